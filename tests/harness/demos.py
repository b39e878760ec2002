"""`copydesk` commands as processes, run as a user runs them, and whatever they may leave behind."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from copydesk.client import AsyncControlClient

COMMAND = str(Path(sys.executable).parent / "copydesk")
DEADLINE_S = 400.0


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.out.count("\n") == 1, f"one object on one line, not {self.out!r}; {self.err}"
        return json.loads(self.out)


async def run(*words: str) -> Ended:
    """Run `copydesk` to its end. Whatever the test does, nothing that it started is left behind."""
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={key: value for key, value in os.environ.items() if not key.startswith("COPYDESK_")},
    )
    try:
        async with asyncio.timeout(DEADLINE_S):
            out, err = await process.communicate()
    except (TimeoutError, asyncio.CancelledError):
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await process.wait()
        raise
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


class Started:
    """A demo that runs; ended at the end of the test, whatever happened."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self.process = process
        self.folder = folder

    @classmethod
    async def start(cls, folder: Path, *words: str) -> Started:
        process = await asyncio.create_subprocess_exec(
            COMMAND,
            "demo",
            *words,
            "--keep",
            str(folder),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        return cls(process, folder)

    async def __aenter__(self) -> Started:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
            await self.process.communicate()

    async def line(self) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(DEADLINE_S):
            return (await self.process.stdout.readline()).decode()

    async def ended(self) -> tuple[int, str]:
        """Its exit status, and what it said on standard error."""
        async with asyncio.timeout(DEADLINE_S):
            _, err = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, err.decode()

    async def view(self) -> Any:
        async with AsyncControlClient.for_folder(self.folder) as client:
            return await client.view()

    async def until(self, condition: Callable[[Any], bool]) -> Any:
        """The engine's view, once it is as wanted."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                with suppress(Exception):
                    view = await self.view()
                    if condition(view):
                        return view
                await asyncio.sleep(0.05)


def living(folder: Path) -> list[str]:
    """The processes that work in a data folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):
                environment = (entry / "environ").read_bytes()
                if f"COPYDESK_DATA={folder}".encode() in environment.split(b"\0"):
                    found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found
