"""Bad input, through the real command line in a process of its own: one sentence each, and what is stored stays.

What single commands refuse is tested with the command (desk/test_cli.py); here is what takes a whole program: an engine
that is to run on files changed by hand, ports that others have, and what a running engine is asked for.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from copydesk.client import ControlClient
from copydesk.config import BotSettings, ChildSettings
from copydesk.errors import CopydeskError, UsageError
from copydesk.model import CandleRequest, OrderChange, OrderRef, OrderType, Side, Terms

BIN = Path(sys.executable).parent
TWO_PAPERS = "[connections.parent]\nkind = 'paper'\naccount = 'p'\n[connections.child]\nkind = 'paper'\naccount = 'c'\n"
BINANCE = "[connections.venue]\nkind = 'binance-futures'\nurl = 'http://127.0.0.1:9'\n"
BOT = """\
version = 1

[[bots]]
name = "first"
parent = "parent"
working = true
[[bots.children]]
account = "{child}"
mode = "multiplier"
value = "{value}"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "data"
    path.mkdir(mode=0o700)
    (path / "copydesk.toml").write_text(TWO_PAPERS)
    (path / "bots.toml").write_text(BOT.format(child="child", value="0.5"))
    return path


@pytest.fixture
def nowhere(tmp_path: Path) -> str:
    """An import path on which copydesk knows of a plugin for `nowhere` that is not installed, whichever others are."""
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "from copydesk.plugins import DISTRIBUTIONS as d; d['nowhere'] = 'copydesk-nowhere'\n"
    )
    return str(site)


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that another program has."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COPYDESK_")}
    return {**kept, "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring", **more}


def assert_refused(folder: Path, words: list[str], *parts: str, program: str = "copydesk", **more: str) -> None:
    """Status 2, one sentence with these parts on standard error, nothing else; the person's files as they were."""
    before = {path: path.read_bytes() for path in folder.glob("*.toml")}
    command = [str(BIN / program), "--data", str(folder), *words]
    ran = subprocess.run(
        command, capture_output=True, text=True, env=environment(**more), timeout=60, check=False, stdin=subprocess.DEVNULL
    )
    assert (ran.returncode, ran.stdout) == (2, ""), ran
    assert ran.stderr.count("\n") == 1, ran.stderr
    assert "Traceback" not in ran.stderr
    for part in parts:
        assert part in ran.stderr
    assert {path: path.read_bytes() for path in folder.glob("*.toml")} == before


def give_config(folder: Path, text: str) -> None:
    (folder / "copydesk.toml").write_text(text)


def give_bot(folder: Path, child: str = "child", value: str = "0.5") -> None:
    (folder / "bots.toml").write_text(BOT.format(child=child, value=value))


RUNS: dict[str, tuple[Callable[[Path], Any], tuple[str, ...]]] = {
    "malformed configuration": (
        lambda folder: give_config(folder, "[connections.parent\n"),
        ("copydesk.toml is not valid TOML", "line 1", "correct that place"),
    ),
    "malformed bots": (
        lambda folder: (folder / "bots.toml").write_text("version = 1\n[[bots]\n"),
        ("bots.toml is not valid TOML", "line 2"),
    ),
    "unknown kind": (
        lambda folder: give_config(folder, TWO_PAPERS.replace("'paper'", "'nyse'")),
        ("unknown connection kind 'nyse'", "binance-futures", "install the plugin that offers it"),
    ),
    "kind not installed": (
        lambda folder: give_config(folder, TWO_PAPERS.replace("'paper'", "'nowhere'")),
        ("unknown connection kind 'nowhere': pip install copydesk-nowhere",),
    ),
    "unknown connection": (
        lambda folder: give_bot(folder, child="nowhere"),
        ("unknown connection 'nowhere'",),
    ),
    "parent is child": (
        lambda folder: give_bot(folder, child="parent"),
        ("bots.toml", "'first'", "both parent and child", "choose two different accounts"),
    ),
    "K = 0": (
        lambda folder: give_bot(folder, value="0"),
        ("bots.toml", "'first'", "K must be a decimal other than 0"),
    ),
    "no number": (
        lambda folder: give_bot(folder, value="half"),
        ("bots.toml", "'first'", "the value must be a decimal"),
    ),
}


@pytest.mark.parametrize("case", RUNS)
def test_an_engine_does_not_run_on_what_makes_no_sense(case: str, folder: Path, nowhere: str) -> None:
    spoil, parts = RUNS[case]
    spoil(folder)
    assert_refused(folder, ["run"], *parts, PYTHONPATH=nowhere)


def test_an_engine_does_not_run_a_bot_of_two_kinds(folder: Path) -> None:
    """Its files may come from two hands; the command line and the panel store no such bot."""
    give_config(folder, TWO_PAPERS + BINANCE)
    give_bot(folder, child="venue")
    keys = {"COPYDESK_VENUE_KEY": "k" * 64, "COPYDESK_VENUE_SECRET": "s" * 64}
    assert_refused(folder, ["run"], "'first'", "(paper)", "(binance-futures)", "must be of one connection kind", **keys)


def test_an_engine_does_not_run_a_bot_without_its_key(folder: Path) -> None:
    give_config(folder, BINANCE + BINANCE.replace("venue", "parent"))
    give_bot(folder, child="venue")
    keys = {"COPYDESK_PARENT_KEY": "k" * 64, "COPYDESK_PARENT_SECRET": "s" * 64, "COPYDESK_VENUE_KEY": "k" * 64}
    ways = ("connection 'venue' (binance-futures) has no 'secret'", "`copydesk secrets set venue secret`")
    assert_refused(folder, ["run"], *ways, "COPYDESK_VENUE_SECRET", **keys)


def test_a_key_sealed_with_another_passphrase_is_one_sentence(folder: Path) -> None:
    give_config(folder, BINANCE + BINANCE.replace("venue", "parent"))
    give_bot(folder, child="venue")
    command = [str(BIN / "copydesk"), "--data", str(folder), "secrets", "set", "venue", "key"]
    told = environment(COPYDESK_PASSPHRASE="open sesame")
    subprocess.run(command, input="k" * 64, text=True, env=told, check=True, capture_output=True, timeout=60)
    sealed = (folder / "secrets.sealed").read_bytes()
    assert_refused(folder, ["run"], "passphrase", COPYDESK_PASSPHRASE="open barley")
    assert (folder / "secrets.sealed").read_bytes() == sealed


# --- ports that others have -------------------------------------------------------------------------------------------


def test_the_control_port_is_taken(folder: Path, taken: int) -> None:
    give_config(folder, f"{TWO_PAPERS}[control]\nport = {taken}\n")
    assert_refused(folder, ["run"], f"127.0.0.1 port {taken}", "choose another 'port' in [control] of copydesk.toml")
    assert not (folder / "control.json").exists()


@pytest.mark.parametrize(
    ("kind", "remedy"), [("binance-futures", "give another --port, or 0 for any"), ("paper", "0 for any that is free")]
)
def test_the_rehearsals_port_is_taken(kind: str, remedy: str, folder: Path, taken: int) -> None:
    assert_refused(folder, ["rehearse", kind, "--port", str(taken)], "127.0.0.1", f"port {taken}", remedy)


def test_the_panels_port_is_taken(folder: Path, taken: int) -> None:
    pytest.importorskip("copydesk_panel")
    words = ["--port", str(taken)]
    assert_refused(folder, words, str(taken), "--port, or 0 for any", program="copydesk-panel")


def test_the_demos_panel_port_is_taken(folder: Path, taken: int, tmp_path: Path) -> None:
    """Known only once venue and engine run: both are ended again."""
    words = ["demo", "--kind", "paper", "--port", str(taken), "--keep", str(tmp_path / "kept"), "--json"]
    assert_refused(folder, words, f"the panel did not start: Port {taken}", "--port, or 0 for any")
    assert not (tmp_path / "kept" / "control.json").exists()


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (["--kind", "nyse"], "unknown connection kind 'nyse'"),
        (["--kind", "nowhere"], "unknown connection kind 'nowhere': pip install copydesk-nowhere"),
        (["--market", "nowhere.zst"], "--market 'nowhere.zst' is no file"),
        (["--kill", "soon"], "--kill 'soon' must be seconds"),
        (["--fault", "meteor", "--json"], "the venue did not start: "),
        (["--seconds", "0"], "--seconds"),
    ],
)
def test_a_demo_that_cannot_be(words: list[str], part: str, folder: Path, nowhere: str) -> None:
    assert_refused(folder, ["demo", "--headless", *words], part, PYTHONPATH=nowhere)


# --- a running engine -------------------------------------------------------------------------------------------------


@pytest.fixture
def client(folder: Path) -> Iterator[ControlClient]:
    """A client of an engine in a process of its own, on two paper accounts."""
    (folder / "bots.toml").write_text(BOT.format(child="child", value="0.5").replace("working = true", "working = false"))
    command = [str(BIN / "copydesk"), "--data", str(folder), "run", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment()) as engine:
        try:
            assert engine.stdout is not None
            assert engine.stdout.readline()
            with ControlClient.for_folder(folder) as client:
                client.start_bot("first")  # returns once the parent is connected
                client.stop_bot("first")
                yield client
        finally:
            engine.terminate()
    assert engine.returncode == 0


def test_a_running_engine_refuses_in_one_sentence_and_stores_nothing(client: ControlClient, folder: Path) -> None:
    before = (folder / "bots.toml").read_bytes()
    terms = Terms(symbol="NOSUCHUSDT", side=Side.BUY, type=OrderType.MARKET, quantity=Decimal(1))
    ref = OrderRef(symbol="NOSUCHUSDT", type=OrderType.LIMIT, client_id="x")
    unknown = "unknown symbol 'NOSUCHUSDT'"
    other = ChildSettings(account="nowhere", mode="multiplier", value=Decimal(1))
    bot = BotSettings(name="second", parent="parent", children=(other,))
    asked: list[tuple[Callable[[], object], str]] = [
        (lambda: client.place("parent", terms), unknown),
        (lambda: client.modify("parent", OrderChange(ref=ref, terms=terms)), unknown),
        (lambda: client.cancel("parent", ref), unknown),
        (lambda: client.candles("parent", CandleRequest(symbol="NOSUCHUSDT")), unknown),
        (lambda: client.instruments("nowhere"), "there is no account 'nowhere'"),
        (lambda: client.add_bot(bot), "unknown connection 'nowhere'"),
        (lambda: client.start_bot("nobody"), "there is no bot 'nobody'"),
    ]
    for ask, part in asked:
        with pytest.raises(CopydeskError) as refused:
            ask()
        assert isinstance(refused.value, UsageError), refused.value  # a 4xx
        assert part in str(refused.value)
        assert "\n" not in str(refused.value)
    assert (folder / "bots.toml").read_bytes() == before


def test_a_second_engine_on_the_same_folder_is_refused(client: ControlClient, folder: Path) -> None:
    assert_refused(folder, ["run"], "is in use by another copydesk (process ")
    assert client.health().ok
