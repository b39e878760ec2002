"""Rule 16: two engines can never drive one child, whatever data folders they run on."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from copydesk.bots import BotStore
from copydesk.config import BotSettings, ChildSettings, Config
from copydesk.engine import Engine
from copydesk.errors import AccountInUse, ConfigError
from copydesk.journal import Journal
from copydesk.lease import RUNTIME_VARIABLE, Leases, identity, runtime_folder
from copydesk.livedesk import LiveDesk
from copydesk.model import ConnectionSettings, RehearsalSettings
from copydesk.plugins import load_plugin
from copydesk.secrets import SealedFile, variable_of


def settings(**more: object) -> ConnectionSettings:
    return ConnectionSettings(**{"name": "one", "kind": "binance-futures", **more})  # type: ignore[arg-type]


def test_the_identity_is_of_the_keys_not_of_the_name_and_does_not_show_them():
    keys = {"key": "a-very-secret-key", "secret": "s"}
    first = identity(settings(secrets=keys), "one")
    assert first == identity(settings(name="other", secrets=keys), "other")
    assert first != identity(settings(secrets={**keys, "key": "b"}), "one")
    assert first != identity(settings(kind="binance", secrets=keys), "one")
    assert first != identity(settings(secrets=keys, options={"url": "http://127.0.0.1:1"}), "one")
    assert "secret" not in first
    assert len(first) < 60


def test_a_named_account_is_the_same_by_whatever_keys():
    assert identity(settings(secrets={"key": "a"}), "one/DU1") == identity(settings(secrets={"key": "b"}), "two/DU1")
    assert identity(settings(secrets={"key": "a"}), "one/DU1") != identity(settings(secrets={"key": "a"}), "one/DU2")


def test_what_nothing_tells_apart_needs_no_lease(tmp_path: Path):
    assert identity(settings(kind="paper", options={"account": "main"}), "one") == ""
    Leases(tmp_path, tmp_path / "run").hold([("one", "")])
    assert not (tmp_path / "run").exists()


def test_a_second_holder_is_refused_in_words_and_has_nothing(tmp_path: Path):
    first, second = Leases(tmp_path / "a", tmp_path / "run"), Leases(tmp_path / "b", tmp_path / "run")
    first.hold([("c1", "k-1"), ("c2", "k-2")])
    with pytest.raises(AccountInUse, match=rf"account 'mine' is driven by another copydesk .*{os.getpid()}.*/a\)"):
        second.hold([("free", "k-0"), ("mine", "k-2")])
    third = Leases(tmp_path / "c", tmp_path / "run")
    third.hold([("free", "k-0")])
    first.hold([("c1", "k-1")])
    second.hold([("mine", "k-2")])
    for leases in (first, second, third):
        leases.release()
        leases.release()
    assert list((tmp_path / "run").iterdir()) == []


def test_a_process_that_dies_leaves_nothing_behind_that_refuses(tmp_path: Path):
    program = (
        "import os, sys; from pathlib import Path; from copydesk.lease import Leases; "
        "folder = Path(sys.argv[1]); Leases(folder, folder).hold([('c1', 'k-1')]); os._exit(9)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=False, timeout=60).returncode == 9
    assert (tmp_path / "k-1.lease").exists()
    leases = Leases(tmp_path, tmp_path)
    leases.hold([("c1", "k-1")])
    leases.release()


@pytest.mark.parametrize("home", ["/nowhere/at/all", "", None])
def test_a_container_without_a_runtime_folder_neither_warns_nor_fails(
    home: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv(RUNTIME_VARIABLE)
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    if home is None:
        monkeypatch.delenv("HOME", raising=False)
    else:
        monkeypatch.setenv("HOME", home)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("copydesk.lease.os.path.isdir", lambda path: False)  # no /run/user either
    tmp_path.chmod(0o1777)
    leases = Leases(tmp_path)
    leases.hold([("c1", "k-1")])
    folder = tmp_path / f"copydesk-{os.getuid()}"
    assert runtime_folder() == folder
    assert (folder / "k-1.lease").exists()
    assert folder.stat().st_mode & 0o777 == 0o700
    leases.release()


def test_the_runtime_folder_of_the_session_goes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(RUNTIME_VARIABLE)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert runtime_folder() == tmp_path / "copydesk"
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "gone"))
    assert runtime_folder() != tmp_path / "gone" / "copydesk"


def test_a_folder_that_somebody_else_laid_there_is_not_used(tmp_path: Path):
    tmp_path.chmod(0o1777)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigError, match="not this user's own; remove it or name another in COPYDESK_RUNTIME"):
        Leases(tmp_path, tmp_path / "run").hold([("c1", "k-1")])


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    made = [tmp_path / "a", tmp_path / "b"]
    for folder in made:
        folder.mkdir()
    return made


async def test_an_engine_on_another_folder_is_refused_the_start(
    tmp_path: Path, folders: list[Path], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(RUNTIME_VARIABLE, str(tmp_path / "run"))
    async with AsyncExitStack() as stack:
        accounts = {"parent": 1000, "child": 1000}
        rehearsal = await load_plugin("paper").hook.rehearse(settings=RehearsalSettings(kind="paper", accounts=accounts))
        stack.push_async_callback(rehearsal.stop)
        ready = {account.name: account for account in rehearsal.ready.accounts}
        connections = {name: {"kind": "paper", **account.options} for name, account in ready.items()}
        for name, account in ready.items():
            for field, value in account.secrets.items():
                monkeypatch.setenv(variable_of(name, field), value)

        async def start(folder: Path) -> LiveDesk:
            config = Config.model_validate({"connections": connections})
            store = BotStore.load(folder)
            child = ChildSettings.model_validate({"account": "child", "mode": "multiplier", "value": "1"})
            store.add(BotSettings(name="bot", parent="parent", children=(child,)), config)
            journal = stack.enter_context(Journal.open(folder / "journal.db"))
            engine = Engine(config, store, journal, SealedFile(folder, lambda: ""))
            stack.push_async_callback(engine.stop)
            await engine.start()
            for connection in engine.connections.values():
                await connection.until_up(15)
            return LiveDesk(engine, config, store)

        first, second = await start(folders[0]), await start(folders[1])
        await first.start_bot("bot")
        with pytest.raises(AccountInUse, match="'child' is driven by another copydesk"):
            await second.start_bot("bot")
        assert not second.bots()[0].working
        await first.stop_bot("bot")
        await second.start_bot("bot")
