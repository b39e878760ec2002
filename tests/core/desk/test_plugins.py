from __future__ import annotations

import sys
from pathlib import Path

import pytest
from copydesk.errors import PluginError, UnknownKind
from copydesk.hookspecs import REQUIRED
from copydesk.plugins import describe_kind, distribution_of, find_kind, installed_kinds, load_plugin

from .conftest import TOY, install_plugin


@pytest.fixture
def broken(site: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a test installs a plugin named `broken_venue` that offers the kind `toy`."""
    monkeypatch.delitem(sys.modules, "broken_venue", raising=False)
    return site


def refusal(site: Path, source: str, kind: str = "toy") -> str:
    install_plugin(site, "broken_venue", source, (kind,), "copydesk-broken")
    with pytest.raises(PluginError) as caught:
        load_plugin(kind)
    sentence = str(caught.value)
    assert "copydesk-broken" in sentence
    assert "\n" not in sentence
    return sentence


def test_kinds_are_listed_without_importing_their_plugin(toy: Path) -> None:
    kinds = installed_kinds()
    assert {"toy", "toy-closed"} <= set(kinds)
    assert list(kinds) == sorted(kinds)
    assert distribution_of(kinds["toy"]) == "copydesk-toy"
    assert "toy_venue" not in sys.modules


def test_a_plugin_is_alone_in_its_manager_and_describes_its_kind(toy: Path) -> None:
    first, second = load_plugin("toy"), load_plugin("toy-closed")
    assert first is not second
    assert [name for name, _ in first.list_name_plugin()] == ["copydesk-toy"]
    assert describe_kind("toy-closed").closed_on == "2022-11-11"
    assert describe_kind("toy").title == "Toy venue"


@pytest.mark.parametrize(
    ("kind", "package"),
    [
        ("bybit", "copydesk-bybit"),
        ("bitmex", "copydesk-bitmex"),
        ("ftx", "copydesk-ftx"),
        ("binance", "copydesk-binance"),
        ("binance-futures", "copydesk-binance"),
        ("bitfinex", "copydesk-bitfinex"),
        ("rithmic", "copydesk-rithmic"),
        ("ib", "copydesk-ib"),
        ("paper", "copydesk-paper"),
    ],
)
def test_a_kind_that_is_not_installed_says_what_to_install(
    kind: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("copydesk.plugins.entry_points", lambda group: ())
    with pytest.raises(UnknownKind) as caught:
        load_plugin(kind)
    assert str(caught.value) == f"unknown connection kind {kind!r}: pip install {package}"


def test_a_kind_that_nobody_knows_says_which_there_are(toy: Path) -> None:
    with pytest.raises(UnknownKind, match=r"unknown connection kind 'nyse': the kinds are binance, .*, toy, toy-closed"):
        find_kind("nyse")


@pytest.mark.parametrize("hook", REQUIRED)
def test_a_missing_hook_is_named(broken: Path, hook: str) -> None:
    source = (
        TOY.replace(f"def {hook}(", f"def _{hook}(")
        if hook != "describe"
        else TOY.replace("def describe(", "def _describe(")
    )
    source = source.replace(f"@hookimpl\ndef _{hook}", f"def _{hook}").replace(
        f"@hookimpl\nasync def _{hook}", f"async def _{hook}"
    )
    assert f"lacks what every plugin must have: {hook};" in refusal(broken, source)


def test_a_hook_that_no_specification_knows_is_named(broken: Path) -> None:
    assert "plase" in refusal(broken, TOY + "\n@hookimpl\nasync def plase(session, order): ...\n")


def test_a_hook_with_an_argument_that_no_specification_knows_is_named(broken: Path) -> None:
    assert "colour" in refusal(broken, TOY.replace("place(session, order)", "place(session, colour)"))


@pytest.mark.parametrize(("api", "who"), [(0, "upgrade the plugin"), (2, "upgrade copydesk")])
def test_another_api_number_says_who_is_behind(broken: Path, api: int, who: str) -> None:
    sentence = refusal(broken, TOY.replace("api=1", f"api={api}"))
    assert f"is written for hook API {api}, this copydesk has 1: {who}" in sentence


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (TOY.replace("return Description(", "return dict("), "describes itself with a dict"),
        (TOY.replace("    kinds = (", "    raise KeyError('gone')\n    kinds = ("), "failed to describe itself: KeyError"),
        ("import a_library_that_is_not_there", "cannot be imported: ModuleNotFoundError: No module named 'a_library"),
        ("raise RuntimeError('no')", "cannot be imported: RuntimeError: no"),
        ("def (", "cannot be imported: SyntaxError"),
    ],
)
def test_what_a_plugin_does_wrong_is_one_sentence(broken: Path, source: str, words: str) -> None:
    assert words in refusal(broken, source)


def test_a_kind_that_is_registered_but_not_offered_is_named(broken: Path) -> None:
    assert "registered for the kind 'toyish' but does not offer it" in refusal(broken, TOY, "toyish")


def test_two_distributions_of_one_kind_are_both_named(toy: Path) -> None:
    install_plugin(toy, "rival_venue", TOY, ("toy",), "copydesk-rival")
    with pytest.raises(PluginError, match=r"both copydesk-(toy|rival) and copydesk-(toy|rival) offer .* 'toy'"):
        installed_kinds()
