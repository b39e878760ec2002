from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from copydesk.config import BotSettings, ChildSettings, check_bot, load_config
from copydesk.errors import ConfigError, UsageError
from hypothesis import given
from hypothesis import strategies as st

GOOD = """\
[engine]
reconcile_s = 2.5
durability = "fsync"

[control]
port = 8123

[connections.main]
kind = "binance-futures"
url = "http://127.0.0.1:8080"
testnet = true

[connections."second-one"]
kind = "binance-futures"
"""


def load(folder: Path, text: str) -> str:
    """The sentence with which this text is refused."""
    (folder / "copydesk.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(folder)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert sentence.startswith(str(folder / "copydesk.toml"))
    return sentence


def test_what_people_write_is_read(tmp_path: Path) -> None:
    (tmp_path / "copydesk.toml").write_text(GOOD)
    config = load_config(tmp_path)
    assert config.engine.reconcile_s == Decimal("2.5")
    assert config.engine.place_timeout_s == 10
    assert config.control.port == 8123
    assert config.connections["main"].kind == "binance-futures"
    assert config.connections["main"].options == {"url": "http://127.0.0.1:8080", "testnet": "true"}
    assert config.kind_of("second-one/U123") == "binance-futures"


def test_an_empty_file_is_a_configuration(tmp_path: Path) -> None:
    (tmp_path / "copydesk.toml").write_text("")
    assert load_config(tmp_path).connections == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[engine\nreconcile_s = 1", ("not valid TOML", "line 1")),
        ("[engine]\nreconcile_s = 1\nreconcile_s = 2\n", ("not valid TOML", "overwrite")),
        ("[engine]\n\nreconcile_s = 0\n", ("line 3", "engine.reconcile_s", "greater than 0")),
        ("[engine]\nreconcile_s = 'often'\n", ("line 2", "'reconcile_s'", "decimal")),
        ("[engine]\ndurability = 'maybe'\n", ("line 2", "'page-cache' or 'fsync'")),
        ("[engine]\nspeed = 3\n", ("line 2", "'speed' is not a setting")),
        ("[motor]\n", ("line 1", "'motor' is not a setting")),
        ("[control]\nhost = 'localhost'\nport = 70000\n", ("line 3", "control.port")),
        ("\n[connections.main]\nurl = 'http://x'\n", ("line 2", "connections.main", "'kind' is missing")),
        ("[connections.main]\nkind = 7\n", ("line 2", "connections.main.kind", "string")),
        ("[connections.main]\nkind = 'toy'\n[connections.'a/b']\nkind = 'toy'\n", ("'a/b'", "letters, digits")),
        ("connections = 3\n", ("line 1", "connections")),
        ("[connections.main]\nkind = 'toy'\nurl = [1]\n", ("line 3", "connections.main.url", "string")),
    ],
)
def test_what_cannot_be_used_is_one_sentence_with_its_place(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    sentence = load(tmp_path, text)
    for word in words:
        assert word in sentence


@pytest.mark.parametrize("name", ["key", "secret", "apiKey", "api-secret", "password", "token"])
def test_a_key_in_the_configuration_is_refused_and_not_repeated(tmp_path: Path, name: str) -> None:
    sentence = load(tmp_path, f"[connections.main]\nkind = 'toy'\n{name} = 'do-not-show-this'\n")
    assert "copydesk secrets set" in sentence
    assert name in sentence
    assert "do-not-show-this" not in sentence


def test_no_file_and_no_text_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"does not exist: make it with `copydesk init`"):
        load_config(tmp_path)
    (tmp_path / "copydesk.toml").write_bytes(b"[engine]\xff")
    with pytest.raises(ConfigError, match=r"byte 8 is not UTF-8"):
        load_config(tmp_path)
    (tmp_path / "copydesk.toml").unlink()
    (tmp_path / "copydesk.toml").mkdir()
    with pytest.raises(ConfigError, match=r"cannot be read"):
        load_config(tmp_path)


def child(**settings: object) -> dict[str, object]:
    return {"account": "child", "mode": "multiplier", "value": "0.5", **settings}


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"children": [child(value="0")]}, "other than 0"),
        ({"children": [child(value="-0.00")]}, "other than 0"),
        ({"children": [child(value="NaN")]}, "the value must be a decimal"),
        ({"children": [child(value="Infinity")]}, "the value must be a decimal"),
        ({"children": [child(value="half")]}, "decimal"),
        ({"children": [{"account": "child", "mode": "multiplier"}]}, "needs its 'value'"),
        ({"children": [child(mode="percentage", value="0")]}, "above 0"),
        ({"children": [child(mode="percentage", value="-5")]}, "above 0"),
        ({"children": [child(mode="share")]}, "'percentage' or 'multiplier'"),
        ({"children": [child(basis="fixed")]}, "'fixed_balance'"),
        ({"children": [child(fixed_balance="100")]}, "'fixed_balance'"),
        ({"children": [child(catch_up={"max_age_s": 0})]}, "'catch_up.max_age_s'"),
        ({"children": [child(colour="red")]}, "'colour' is not a setting"),
        ({"children": [child(account="child/")]}, "'connection' or 'connection/account'"),
        ({"children": []}, "'children' needs at least 1"),
        ({"children": [child(), child(mode="percentage", value="1")]}, "'child' is there twice"),
        ({"children": [child(account="parent")]}, "both parent and child"),
        ({"children": [child()], "parent": "no spaces"}, "'connection' or 'connection/account'"),
        ({"children": [child()], "name": " "}, "a bot's name"),
        ({"children": [child()], "name": "a/b"}, "a bot's name"),
    ],
)
def test_a_bot_that_makes_no_sense_is_one_sentence(table: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_bot({"name": "bot", "parent": "parent", **table})
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_multiplier_may_reverse_and_a_percentage_is_the_same_share_unless_told() -> None:
    assert ChildSettings(account="c", mode="multiplier", value=Decimal(-1)).value == -1
    assert ChildSettings(account="c", mode="percentage").value == 100


def test_two_accounts_of_one_connection_are_two_accounts() -> None:
    bot = check_bot({"name": "ib", "parent": "ib/U1", "children": [child(account="ib/U2")]})
    assert isinstance(bot, BotSettings)
    assert bot.accounts == ("ib/U1", "ib/U2")


WORDS = st.sampled_from(
    [
        "engine",
        "control",
        "connections",
        "kind",
        "options",
        "url",
        "key",
        "port",
        "reconcile_s",
        "durability",
        "account",
        "mode",
        "value",
        "basis",
        "fixed_balance",
        "catch_up",
        "multiplier",
        "percentage",
        "fixed",
        "parent",
        "a/b",
    ]
)
SCALARS = st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats() | st.text(max_size=5) | WORDS
TABLES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=4), max_leaves=8
)


def without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_none(part) for key, part in value.items() if part is not None}
    return [without_none(part) for part in value if part is not None] if isinstance(value, list) else value


@given(table=st.dictionaries(WORDS, TABLES, max_size=4))
def test_whatever_is_written_it_is_read_or_refused_in_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, table: dict[str, Any]
) -> None:
    folder = tmp_path_factory.getbasetemp()
    (folder / "copydesk.toml").write_text(tomlkit.dumps(without_none(table)), encoding="utf-8")
    sentence = ""
    try:
        load_config(folder)
    except ConfigError as error:
        sentence = str(error)
    assert sentence == "" or sentence.startswith(str(folder / "copydesk.toml"))
    assert "\n" not in sentence


@given(
    table=st.fixed_dictionaries(
        {},
        optional={
            "name": TABLES,
            "parent": TABLES,
            "working": TABLES,
            "children": TABLES | st.lists(st.dictionaries(WORDS, TABLES, max_size=6), max_size=3),
        },
    )
)
def test_whatever_a_bot_is_said_to_be_it_is_one_or_refused_in_one_sentence(table: dict[str, Any]) -> None:
    sentence = ""
    try:
        bot = check_bot(table)
    except UsageError as error:
        sentence = str(error)
    if sentence:
        assert sentence.startswith("bot ")
        assert "\n" not in sentence
    else:
        assert bot.parent not in bot.accounts[1:]
        assert all(child.value.is_finite() and child.value != 0 for child in bot.children)
