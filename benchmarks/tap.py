"""A clock between a copier and its venue: passes bytes on, and notes when the parent's event leaves and orders arrive.

It stands in front of the rehearsal venue, on the same machine and in a process that does nothing else meanwhile, so both
moments are read from one clock. What the venue then takes to handle an order does not count: an order has arrived when its
last byte was read here.
"""

from __future__ import annotations

import asyncio
import re
import time

PLACE = b"POST /fapi/v1/order"
CANCEL = b"DELETE /fapi/v1/order"
HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"
EXTENSIONS = re.compile(rb"Sec-WebSocket-Extensions:[^\r]*\r\n", re.IGNORECASE)


class Tap:
    """What was seen since `arm`. `hold_s`: for how long an order is held back, as the way to a distant venue would."""

    def __init__(self, hold_s: float) -> None:
        self.hold_s = hold_s
        self.last_ns = time.perf_counter_ns()
        self.told_ns = 0
        self.orders_ns: list[int] = []
        self.answers = 0
        self.streams = 0
        self.changed = asyncio.Event()
        self.mark = b""
        self._counted = PLACE

    def arm(self, mark: bytes, counted: bytes) -> None:
        """Wait for a stream frame with `mark` in it, and for requests that begin with `counted`."""
        self.mark = mark
        self._counted = counted
        self.told_ns = 0
        self.orders_ns = []
        self.answers = 0

    def saw_request(self, head: bytes) -> bool:
        """Note a whole request; true where its answer counts."""
        if head != self._counted or not self.told_ns:
            return False
        self.orders_ns.append(time.perf_counter_ns())
        return True

    def saw_answer(self) -> None:
        self.answers += 1
        self.changed.set()

    async def quiet(self, seconds: float, deadline_s: float = 60.0) -> None:
        """Return once nothing has passed for so long."""
        async with asyncio.timeout(deadline_s):
            while (left := seconds - (time.perf_counter_ns() - self.last_ns) / 1e9) > 0:
                await asyncio.sleep(left)

    async def streaming(self, deadline_s: float = 60.0) -> None:
        """Return once a stream was opened."""
        async with asyncio.timeout(deadline_s):
            while not self.streams:
                await asyncio.sleep(0.05)

    async def answered(self, count: int, deadline_s: float = 30.0) -> None:
        """Return once so many counted requests were answered."""
        async with asyncio.timeout(deadline_s):
            while self.answers < count:
                self.changed.clear()
                await self.changed.wait()

    async def listen(self, venue_port: int) -> int:
        """Serve on a free port of loopback, which is returned, in front of the venue's."""
        loop = asyncio.get_running_loop()

        def accept() -> asyncio.Protocol:
            return _Client(self, venue_port)

        server = await loop.create_server(accept, "127.0.0.1", 0, backlog=1024)
        return int(server.sockets[0].getsockname()[1])


class _Client(asyncio.Protocol):
    """The copier's side of one connection. Nothing is pipelined: one request at a time."""

    def __init__(self, tap: Tap, venue_port: int) -> None:
        self._tap = tap
        self._venue_port = venue_port
        self._venue: _Venue | None = None
        self._early: list[bytes] = []
        self._request = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connecting = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        _, self._venue = await loop.create_connection(
            lambda: _Venue(self._tap, self._transport), "127.0.0.1", self._venue_port
        )
        for data in self._early:
            self._venue.transport.write(data)

    def data_received(self, data: bytes) -> None:
        tap = self._tap
        tap.last_ns = time.perf_counter_ns()
        hold = 0.0
        venue = self._venue
        if data.startswith(b"GET "):
            data = EXTENSIONS.sub(b"", data)  # no compressed frames: `mark` is looked for in them
        if venue is not None and not venue.is_stream:
            self._request += data
            head = PLACE if self._request.startswith(PLACE) else CANCEL if self._request.startswith(CANCEL) else b""
            if not head:
                self._request = b""
            else:
                hold = tap.hold_s
                if _is_whole(self._request):
                    venue.counted = tap.saw_request(head)
                    self._request = b""
        if venue is None:
            self._early.append(data)
        elif hold:
            asyncio.get_running_loop().call_later(hold, venue.transport.write, data)
        else:
            venue.transport.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connecting.cancel()
        if self._venue is not None:
            self._venue.transport.close()


class _Venue(asyncio.Protocol):
    """The venue's side of one connection."""

    def __init__(self, tap: Tap, client: asyncio.Transport) -> None:
        self._tap = tap
        self._client = client
        self.is_stream = False
        self.counted = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        tap = self._tap
        tap.last_ns = time.perf_counter_ns()
        if self.is_stream:
            if not tap.told_ns and tap.mark and tap.mark in data:
                tap.told_ns = time.perf_counter_ns()
        elif data.startswith(b"HTTP/1.1 101"):
            self.is_stream = True
            tap.streams += 1
        self._client.write(data)
        if self.counted:
            self.counted = False
            tap.saw_answer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._client.close()


def _is_whole(request: bytes) -> bool:
    end = request.find(HEAD_END)
    if end < 0:
        return False
    head = request[:end].lower()
    at = head.find(LENGTH)
    length = int(head[at + len(LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    return len(request) >= end + len(HEAD_END) + length
