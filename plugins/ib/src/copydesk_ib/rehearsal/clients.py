"""One API client of the rehearsal TWS: its socket, from the first bytes to the end."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from copydesk_ib.rehearsal.codes import Refusal, invalid
from copydesk_ib.rehearsal.layout import Told, read, write
from copydesk_ib.rehearsal.logins import Login
from copydesk_ib.rehearsal.messages import MESSAGES
from copydesk_ib.rehearsal.requests import NOT_REHEARSED, REQUESTS
from copydesk_ib.rehearsal.wire import Fields, Reader, WireError, encode, fields_of, integer, version_range

LOWEST, HIGHEST, NEVER = 157, 178, 158
"""Server versions that are spoken. At 158 the public clients' decoders disagree about a field, so it is not offered."""
MAX_WAITING = 8_000_000
"""Bytes that wait for a client that does not read; at more its connection is cut."""
MAX_SUBSCRIPTIONS = 500
VIOLATIONS: Final = 3
"""How often a client may send too much before it is cut off."""

Hear = Callable[["Client", str, dict[str, Any]], Awaitable[None]]


def agree(lowest: int, highest: int, own: int = HIGHEST) -> int:
    """The version that server and client speak; 0 where there is none."""
    version = min(highest, own)
    if version == NEVER:
        version -= 1
    return version if version >= max(lowest, LOWEST) else 0


class Client:
    """A connection. `version` is the agreed server version, `client_id` its number once it said startApi."""

    def __init__(
        self, login: Login, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, per_second: int, own_version: int
    ) -> None:
        self.login = login
        self.version = 0
        self.client_id = -1
        self.started = False
        self.requests = 0
        self.subscriptions: dict[tuple[str, int], Any] = {}
        self._own_version = own_version
        self._per_second = per_second
        self._reader = reader
        self._writer = writer
        self._stream = Reader()
        self._sent: deque[float] = deque()
        self._violations = 0
        self._held: list[bytes] | None = None

    # --- what goes out ----------------------------------------------------------------------------------------------

    def send(self, name: str, **told: object) -> None:
        """Send one message of `MESSAGES`."""
        self.push(self.encoded(name, told))

    def encoded(self, name: str, told: Told) -> bytes:
        """A message as this client's version has it."""
        number, layout = MESSAGES[name]
        return encode([str(number), *write(layout, told, self.version)])

    def push(self, message: bytes) -> None:
        """Send bytes that were encoded for it."""
        if self._held is not None:
            self._held.append(message)
        elif not self._writer.is_closing():
            self._writer.write(message)
            if self._writer.transport.get_write_buffer_size() > MAX_WAITING:
                self.drop()

    def refuse(self, identifier: int, refusal: Refusal) -> None:
        """An error message for a request, an order, or (-1) nothing in particular."""
        self.send("error", id=identifier, code=refusal.code, text=str(refusal))

    def hold(self) -> None:
        """Keep what is sent until `let_go`."""
        self._held = self._held if self._held is not None else []

    def let_go(self, *, lost: bool = False) -> None:
        """Send what was held, or lose it."""
        held, self._held = self._held or [], None
        for message in () if lost else held:
            self.push(message)

    def drop(self) -> None:
        """Cut the connection without a word, as a network does."""
        self._writer.transport.abort()

    def close(self) -> None:
        """End the connection after what was sent."""
        self._writer.close()

    def subscribe(self, kind: str, request: int, what: Any) -> None:
        """Keep a subscription. Raises `Refusal` where there are too many."""
        if len(self.subscriptions) >= MAX_SUBSCRIPTIONS:
            raise Refusal("tickers")
        self.subscriptions[kind, request] = what

    # --- what comes in ----------------------------------------------------------------------------------------------

    async def serve(self, hear: Hear) -> None:
        """Hear its requests, one after the other, until the connection ends."""
        try:
            with contextlib.suppress(ConnectionError, TimeoutError):
                await self._serve(hear)
        except WireError:
            self.drop()
        finally:
            self._writer.close()
            with contextlib.suppress(ConnectionError, asyncio.CancelledError):
                await self._writer.wait_closed()

    async def _serve(self, hear: Hear) -> None:
        if not await self._greet():
            return
        while True:
            message = self._stream.next()
            if message is None:
                data = await self._reader.read(65_536)
                if not data:
                    return
                self._stream.feed(data)
                continue
            if not self._writer.is_closing():
                await self._hear(message, hear)

    async def _greet(self) -> bool:
        """The first line: versions there, the agreed one and the time back. Nothing else before startApi."""
        while not self._stream.hello():
            if not await self._more():
                return False
        while (message := self._stream.next()) is None:
            if not await self._more():
                return False
        self.version = agree(*version_range(message), self._own_version)
        if not self.version:
            return False
        self.push(encode([str(self.version), time.strftime("%Y%m%d %H:%M:%S UTC", time.gmtime())]))
        return True

    async def _more(self) -> bool:
        data = await self._reader.read(65_536)
        self._stream.feed(data)
        return bool(data)

    async def _hear(self, message: bytes, hear: Hear) -> None:
        fields = fields_of(message)
        self.requests += 1
        if not fields:
            return
        number = integer(fields[0])
        name, layout = REQUESTS.get(number, ("", ()))
        if not self.started and name != "start_api":
            self.drop()  # TWS talks to nobody who has not said startApi
            return
        if not self._paced(fields):
            return
        if not name:
            self._unserved(number, fields)
            return
        try:
            told = read(layout, Fields(fields[1:]), self.version)
        except WireError as error:
            self.refuse(_number(fields), Refusal("unreadable", reason=error))
            return
        await hear(self, name, told)

    def _unserved(self, number: int, fields: list[str]) -> None:
        if number not in NOT_REHEARSED:
            self.refuse(-1, Refusal("unknown-message"))
            return
        what, at = NOT_REHEARSED[number]
        if what:
            told = fields[at] if 0 < at < len(fields) else ""
            self.refuse(int(told) if told.isdecimal() else -1, invalid(f"{what}: not rehearsed"))

    def _paced(self, fields: list[str]) -> bool:
        """Whether the client keeps to its messages per second. What is too much is refused, and in the end cut off."""
        now = time.monotonic()
        while self._sent and self._sent[0] <= now - 1:
            self._sent.popleft()
        self._sent.append(now)
        if len(self._sent) <= self._per_second:
            return True
        self._violations += 1
        refusal = Refusal("rate", most=self._per_second, count=len(self._sent), times=self._violations)
        self.refuse(_number(fields), refusal)
        if self._violations >= VIOLATIONS:
            self.close()
        return False


def _number(fields: list[str]) -> int:
    """The request's or order's own number, as far as it can be told without reading it."""
    at = {"3": 1, "4": 2, "9": 2, "1": 2, "20": 1}.get(fields[0], 0)
    told = fields[at] if 0 < at < len(fields) else ""
    return int(told) if told.lstrip("-").isdecimal() else -1
