"""The command line as a process of its own: start-up, signals, and a running engine beside it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from copydesk.bots import BotStore
from copydesk.cli import main
from copydesk.config import BotSettings, load_config
from copydesk.control import serve
from copydesk.datafolder import ControlFile, lock_folder, write_control
from copydesk.model import Capabilities, KindInfo
from copydesk.plans import StartOrder, StopOrder
from copydesk.view import AccountView, ConnectionState, DeskView, DriftView

COMMAND = str(Path(sys.executable).parent / "copydesk")
HEAVY = (
    "ccxt",
    "aiohttp",
    "httpx",
    "fastapi",
    "pydantic",
    "cryptography",
    "keyring",
    "apsw",
    "pluggy",
    "rich.table",
    "asyncio",
)


def test_importing_the_command_line_imports_nothing_heavy() -> None:
    code = f"import sys, copydesk.cli; print([name for name in {HEAVY!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stdout == "[]\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_rehearsal_serves_until_it_is_stopped(toy: Path, tmp_path: Path, number: signal.Signals) -> None:
    words = [COMMAND, "--data", str(tmp_path), "rehearse", "toy", "--accounts", "parent,child1", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(toy)}
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as venue:
        assert venue.stdout is not None
        ready = json.loads(venue.stdout.readline())
        assert [account["name"] for account in ready["accounts"]] == ["parent", "child1"]
        assert ready["accounts"][1]["secrets"] == {"key": "K-child1", "secret": "S-child1"}
        host, _, port = ready["urls"]["rest"].removeprefix("http://").partition(":")
        with socket.create_connection((host, int(port)), timeout=10):
            pass
        again = [*words[:4], "toy", "--port", port]
        second = subprocess.run(again, capture_output=True, text=True, env=environment, timeout=60, check=False)
        assert (second.returncode, second.stdout) == (2, "")
        assert second.stderr == (
            f"copydesk: 127.0.0.1:{port} cannot be served on (Address already in use): "
            "choose another --port, or 0 for any free one\n"
        )
        venue.send_signal(number)
        out, err = venue.communicate(timeout=60)
    assert (venue.returncode, out, err) == (0, "", "")
    assert (toy / "stopped").exists()


def test_a_reader_that_has_enough_gets_no_traceback(tmp_path: Path) -> None:
    pipeline = f"'{COMMAND}' --data '{tmp_path}' plugins --json | true; echo ${{PIPESTATUS[0]}}"
    ran = subprocess.run(["bash", "-c", pipeline], capture_output=True, text=True, timeout=60, check=True)
    assert (ran.stdout, ran.stderr) == ("1\n", "")


class StoredDesk:
    """What the control API asks of an engine, as far as bots and accounts go, over a real bot store."""

    def __init__(self, folder: Path) -> None:
        self.config = load_config(folder)
        self.store = BotStore.load(folder)

    def latest_seq(self) -> int:
        return self.view().seq

    def account_views(self) -> tuple[AccountView, ...]:
        return self.view().accounts

    def drift_views(self) -> tuple[DriftView, ...]:
        return self.view().drift

    def view(self) -> DeskView:
        parent = AccountView(key="parent", connection="parent", kind="toy", title="Toy", state=ConnectionState.CONNECTED)
        return DeskView(seq=0, at_ns=1, version="test", accounts=(parent,))

    def bots(self) -> Sequence[BotSettings]:
        return tuple(self.store.bots.values())

    def kinds(self) -> Sequence[KindInfo]:
        return (KindInfo(kind="toy", title="Toy", capabilities=Capabilities()),)

    async def add_bot(self, bot: BotSettings) -> None:
        self.store.add(bot, self.config)

    async def change_bot(self, name: str, bot: BotSettings) -> None:
        self.store.change(name, bot, self.config)

    async def remove_bot(self, name: str) -> None:
        self.store.remove(name)

    async def start_bot(self, name: str, order: StartOrder) -> None:
        self.store.set_working(name, True)

    async def stop_bot(self, name: str, order: StopOrder) -> None:
        self.store.set_working(name, False)


async def test_while_an_engine_runs_bots_are_changed_through_it(
    toy: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = StoredDesk(folder)

    async def run(*words: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = await asyncio.to_thread(main, ["--data", str(folder), *words])
        return status, *capsys.readouterr()

    running = await serve(desk, host="127.0.0.1", port=0, token="token")
    try:
        with lock_folder(folder):
            write_control(folder, ControlFile(url=running.url, token="token", pid=os.getpid()))
            added = await run("bots", "add", "first", "--parent", "parent", "--child", "child=x2", "--start")
            assert added == (0, "Added the bot first.\nStarted first.\n", "")
            assert desk.store.get("first").working
            status, out, _ = await run("bots", "settings", "first", "--child", "other-child=50%", "--json")
            assert (status, len(json.loads(out)["children"])) == (0, 2)
            status, _, err = await run("bots", "add", "first", "--parent", "parent", "--child", "child=x2")
            assert status == 2
            assert err.startswith("copydesk: ")
            assert "first" in err
            status, _, err = await run("bots", "add", "b", "--parent", "parent", "--child", "another=x2")
            assert (status, "of one connection kind" in err) == (2, True)
            assert (await run("bots", "stop", "nobody"))[0] == 2
            accounts = {account["account"]: account for account in json.loads((await run("accounts", "--json"))[1])}
            assert accounts["parent"]["state"] == "connected"
            assert "state" not in accounts["child"]
            assert (await run("bots", "stop", "first"))[1] == "Stopped first.\n"
            assert (await run("bots", "remove", "first"))[0] == 0
            assert not desk.store.bots
            await running.stop()
            status, _, err = await run("bots", "list")
            assert status == 2
            assert "no engine answers" in err
    finally:
        await running.stop()
