from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from copydesk.bots import BOTS_NAME, BotStore
from copydesk.config import LARGEST_VALUE, SMALLEST_VALUE, BotSettings, ChildSettings, Config, load_config
from copydesk.errors import ConfigError, Conflict, CopydeskError, UnknownName, UsageError
from hypothesis import given
from hypothesis import strategies as st


def bot(name: str = "first", parent: str = "parent", *children: str, **settings: Any) -> BotSettings:
    accounts = children or (f"child/{name}",)
    made = tuple(ChildSettings(account=account, mode="multiplier", value=Decimal("0.5")) for account in accounts)
    return BotSettings(name=name, parent=parent, children=made, **settings)


@pytest.fixture
def config(folder: Path) -> Config:
    return load_config(folder)


def test_bots_are_there_after_a_restart_in_their_order(folder: Path, config: Config) -> None:
    store = BotStore.load(folder)
    for name in ("zeta", "alpha", "mid"):
        store.add(bot(name), config)
    store.set_working("alpha", True)
    store.change("zeta", bot("omega", "parent", "child", "other-child"), config)
    store.remove("mid")
    again = BotStore.load(folder)
    assert list(again.bots) == ["omega", "alpha"]
    assert again.bots == store.bots
    assert again.get("alpha").working
    assert len(again.get("omega").children) == 2


def test_a_change_of_settings_leaves_the_status_as_it_is(folder: Path, config: Config) -> None:
    store = BotStore.load(folder)
    store.add(bot(), config)
    store.set_working("first", True)
    store.change("first", bot("first", "parent", "other-child"), config)
    assert BotStore.load(folder).get("first").working


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda store, config: store.add(bot(), config), Conflict, "is there already"),
        (lambda store, config: store.add(bot("new", "nowhere"), config), UsageError, "unknown connection 'nowhere'"),
        (lambda store, config: store.add(bot("new", "parent", "nowhere/A"), config), UsageError, "[connections.nowhere]"),
        (lambda store, config: store.add(bot("new", "parent", "another"), config), UsageError, "of one connection kind"),
        (lambda store, config: store.change("first", bot("second"), config), Conflict, "is there already"),
        (
            lambda store, config: store.change("first", bot("first", "another"), config),
            UsageError,
            "of one connection kind",
        ),
        (lambda store, config: store.change("nobody", bot(), config), UnknownName, "there is no bot 'nobody'"),
        (lambda store, config: store.remove("nobody"), UnknownName, "first, second"),
        (lambda store, config: store.set_working("nobody", True), UnknownName, "there is no bot 'nobody'"),
    ],
)
def test_what_is_refused_changes_nothing(folder: Path, config: Config, change: Any, error: type, words: str) -> None:
    store = BotStore.load(folder)
    store.add(bot(), config)
    store.add(bot("second"), config)
    before, stored = dict(store.bots), (folder / BOTS_NAME).read_bytes()
    with pytest.raises(error) as caught:
        change(store, config)
    assert words in str(caught.value)
    assert (folder / BOTS_NAME).read_bytes() == stored
    assert store.bots == before


def test_a_disk_that_is_full_leaves_the_bots_as_they_were(
    folder: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = BotStore.load(folder)
    store.add(bot(), config)
    stored = (folder / BOTS_NAME).read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(CopydeskError, match=r"bots.toml cannot be written: No space left on device; nothing was changed"):
        store.add(bot("second"), config)
    assert (folder / BOTS_NAME).read_bytes() == stored
    assert list(store.bots) == ["first"]
    assert not list(folder.glob(".*")), "a temporary file was left behind"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("version = 1\n[[bots]]\nname = 'x'\n", ("bot 'x'", "'parent' is missing")),
        ("version = 1\nbots = [3]\n", ("bot ''",)),
        ("version = 2\n", ("layout",)),
        ("version = 1\nbots = 3\n", ("layout",)),
        ("[[[", ("not valid TOML",)),
    ],
)
def test_a_damaged_file_is_one_sentence(folder: Path, text: str, words: tuple[str, ...]) -> None:
    (folder / BOTS_NAME).write_text(text)
    with pytest.raises(ConfigError) as caught:
        BotStore.load(folder)
    for word in (BOTS_NAME, *words):
        assert word in str(caught.value)


@given(
    value=st.decimals(min_value=SMALLEST_VALUE, max_value=LARGEST_VALUE, allow_nan=False).flatmap(
        lambda value: st.sampled_from([value, -value])
    ),
    age=st.decimals(min_value=Decimal("0.001"), max_value=10**6, allow_nan=False),
    name=st.from_regex(r"\w[\w .-]{0,20}", fullmatch=True).map(str.strip).filter(bool),
)
def test_settings_survive_writing_and_reading_to_the_digit(
    tmp_path_factory: pytest.TempPathFactory, value: Decimal, age: Decimal, name: str
) -> None:
    folder = tmp_path_factory.mktemp("bots")
    config = Config.model_validate({"connections": {"parent": {"kind": "toy"}, "child": {"kind": "toy"}}})
    child = ChildSettings(account="child", mode="multiplier", value=value, balance_max_age_s=age)
    made = BotSettings(name=name, parent="parent", children=(child,))
    BotStore.load(folder).add(made, config)
    read = BotStore.load(folder).get(made.name)
    assert read == made
    assert str(read.children[0].value) == str(value)
