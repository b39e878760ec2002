"""The processes of a demo: the rehearsal venue, the engine and the panel, each its own, as a user would run them."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import tomlkit

from copydesk.client import AsyncControlClient
from copydesk.config import CONFIG_NAME
from copydesk.datafolder import make_folder, read_control
from copydesk.errors import CopydeskError, UsageError
from copydesk.model import ConnectionSettings, RehearsalReady, from_json
from copydesk.secrets import variable_of

START_S = 60.0
STOP_S = 15.0
END_S = 2.0
WATCH_S = 0.2


class Stage:
    """Runs what a demo needs, in a data folder of its own. Use as an async context manager."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.folder = make_folder(folder)
        self.kind = kind
        self.ready: RehearsalReady | None = None
        self._environment = dict(os.environ, COPYDESK_DATA=str(folder), PYTHONUNBUFFERED="1")
        self._processes: dict[str, asyncio.subprocess.Process] = {}

    async def __aenter__(self) -> Stage:
        return self

    async def __aexit__(self, *_: object) -> None:
        for name in ("panel", "engine", "venue"):
            await self.stop(name)

    # --- the venue ------------------------------------------------------------------------------------------------

    async def open_venue(
        self, accounts: Mapping[str, Decimal], *, market: str = "", faults: str = "", options: Mapping[str, str]
    ) -> RehearsalReady:
        """Start the rehearsal venue and write the configuration that connects to it."""
        names = ",".join(f"{name}={cash}" for name, cash in accounts.items())
        words = ["rehearse", self.kind, "--accounts", names, "--json"]
        words += ["--market", market] if market else []
        words += ["--fault", faults] if faults else []
        words += [f"--option={name}={value}" for name, value in options.items()]
        line = await self._start("venue", words)
        self.ready = from_json(line, RehearsalReady)
        self._write_config(self.ready)
        return self.ready

    def _write_config(self, ready: RehearsalReady) -> None:
        """The connections go into the configuration, their keys into the environment: where a user would put them."""
        document = tomlkit.document()
        document.add(tomlkit.comment("Written by `copydesk demo`: connections to a rehearsal venue on this machine."))
        connections = tomlkit.table(is_super_table=True)
        for account in ready.accounts:
            table = tomlkit.table()
            table.add("kind", ready.kind)
            for name, value in account.options.items():
                table.add(name, value)
            connections.add(account.name, table)
            for field, secret in account.secrets.items():
                self._environment[variable_of(account.name, field)] = secret
        document.add("connections", connections)
        (self.folder / CONFIG_NAME).write_text(tomlkit.dumps(document), encoding="utf-8")

    def settings_of(self, name: str) -> ConnectionSettings:
        """How somebody beside the engine logs in to an account of the venue."""
        assert self.ready is not None
        account = next(account for account in self.ready.accounts if account.name == name)
        return ConnectionSettings(
            name=name, kind=self.kind, options=account.options | account.by_hand, secrets=account.secrets
        )

    # --- the engine and the panel -----------------------------------------------------------------------------------

    async def start_engine(self) -> AsyncControlClient:
        """Start the engine (again) and return a client of its control API."""
        await self._start("engine", ["run", "--json"])
        assert read_control(self.folder) is not None
        return AsyncControlClient.for_folder(self.folder)

    async def kill_engine(self) -> None:
        """What a power cut does: SIGKILL."""
        process = self._processes.pop("engine")
        process.kill()
        await process.wait()

    async def start_panel(self, port: int = 0) -> AsyncIterator[str]:
        """Start the panel and yield its address, which opens it once; then the next one whenever one was used."""
        words = ["--data", str(self.folder), "--port", str(port), "--json"]
        line = await self._start("panel", words, program=[sys.executable, "-m", "copydesk_panel"])
        output = self._processes["panel"].stdout
        assert output is not None
        while line:
            yield str(from_json(line, dict[str, str])["url"])
            line = (await output.readline()).decode()

    # --- processes ------------------------------------------------------------------------------------------------

    async def _start(self, name: str, words: list[str], program: list[str] | None = None) -> str:
        """Start one and return its first line, which it prints when it is ready."""
        errors = self.folder / f"{name}.err"
        with errors.open("ab") as stderr:
            process = await asyncio.create_subprocess_exec(
                *(program or [sys.executable, "-m", "copydesk"]),
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                env=self._environment,
                start_new_session=True,  # Ctrl-C is ours to pass on, in order
            )
        self._processes[name] = process
        assert process.stdout is not None
        try:
            async with asyncio.timeout(START_S):
                line = await process.stdout.readline()
        except TimeoutError:
            line = b""
        if not line:
            with suppress(TimeoutError):  # it has ended, or it hangs
                async with asyncio.timeout(END_S):
                    await process.wait()
            await self.stop(name)
            failure = UsageError if process.returncode == 2 else CopydeskError
            raise failure(f"the {name} did not start: {self._last_words(name)}")
        return line.decode()

    def _last_words(self, name: str) -> str:
        told = (self.folder / f"{name}.err").read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return told[-1].removeprefix("copydesk: ") if told else "it said nothing"

    async def watch(self) -> None:
        """Return never. Raises `CopydeskError` as soon as one of the processes has ended by itself."""
        while True:
            for name, process in self._processes.items():
                if process.returncode is not None:
                    raise CopydeskError(f"the {name} has ended, with status {process.returncode}: {self._last_words(name)}")
            await asyncio.sleep(WATCH_S)

    async def stop(self, name: str) -> None:
        """End one: politely, then not."""
        process = self._processes.pop(name, None)
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
