"""The rehearsal that the panel offers to who has no connection yet: a desk of its own, which this panel looks at meanwhile.

It is what `copydesk demo` starts: a rehearsal venue, an engine with a data folder for that evening, a bot, and a parent who
trades. The user's own engine, its files and its journal have no part in it, so that ending it leaves nothing behind. It
ends with this process, however that ends: the rehearsal holds the other end of a pipe.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import sys
import tempfile
from pathlib import Path
from typing import Literal

from copydesk_panel.link import TOKEN_VARIABLE, URL_VARIABLE, ControlSource, Link

START_S = 120.0
STOP_S = 20.0
KIND = re.compile(r"[a-z][a-z0-9-]{0,39}")
State = Literal["none", "starting", "running", "ending"]


class RehearsalRefused(Exception):
    """It cannot be started, or there is none; the message is a sentence for people."""


class Rehearsal:
    """Starts and ends one, and leads the pages to it and back."""

    def __init__(self, link: Link) -> None:
        self.state: State = "none"
        self._link = link
        self._own = link.source
        self._process: asyncio.subprocess.Process | None = None
        self._watching: asyncio.Task[None] | None = None

    async def start(self, kind: str) -> None:
        """Start a rehearsal of a connection kind; returns once it trades. Raises `RehearsalRefused`."""
        if not KIND.fullmatch(kind):
            raise RehearsalRefused("Name the connection kind to rehearse, such as binance-futures.")
        if self.state != "none":
            raise RehearsalRefused("A rehearsal is there already: end that one first.")
        self.state = "starting"
        try:
            folder = await self._open(kind)
        except BaseException:
            await self._close()
            raise
        await self._link.lead_to(ControlSource(folder))
        self.state = "running"
        self._watching = asyncio.create_task(self._watch())

    async def _open(self, kind: str) -> Path:
        environment = {name: value for name, value in os.environ.items() if name not in (URL_VARIABLE, TOKEN_VARIABLE)}
        with tempfile.TemporaryFile() as errors:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "copydesk", "demo", "--no-panel", "--json", "--kind", kind),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                env=environment,
                start_new_session=True,  # Ctrl-C is for the panel, which ends it in order
            )
            assert self._process.stdout is not None
            line = b""
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(START_S):
                    line = await self._process.stdout.readline()
            if line:
                return Path(json.loads(line)["data"])
            errors.seek(0)
            said = errors.read().decode(errors="replace").strip().splitlines()
            why = said[-1].removeprefix("copydesk: ") if said else f"it was not ready within {START_S:g} s"
            raise RehearsalRefused(f"The rehearsal did not start: {why}")

    async def _watch(self) -> None:
        """Lead the pages back where it ends by itself."""
        assert self._process is not None
        await self._process.wait()
        await self._link.lead_to(self._own)
        self._process = None
        self.state = "none"

    async def end(self) -> None:
        """End it and leave nothing of it. Raises `RehearsalRefused` where none runs."""
        if self.state != "running":
            raise RehearsalRefused("There is no rehearsal to end.")
        self.state = "ending"
        await self.close()

    async def close(self) -> None:
        """The same, whatever it is doing."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)
            self._watching = None
        await self._link.lead_to(self._own)
        await self._close()

    async def _close(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
            try:
                async with asyncio.timeout(STOP_S):
                    await process.wait()
            except TimeoutError:
                process.kill()
                await process.wait()
        self.state = "none"
