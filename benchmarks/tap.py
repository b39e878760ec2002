"""A clock between a copier and its venue: passes bytes on, and tells when the parent's event left and each order arrived.

It stands in front of the rehearsal venue, on the same machine. The moment of an order is the one at which the kernel took
in its last bytes (`SO_TIMESTAMPNS`), so it is exact also where this process reads them late; the moment of the event is
read from the same clock just before it is written. What the venue then takes to handle an order does not count.

Between the two it does not sleep: who writes to a sleeper on another core wakes it at his own cost, with an interrupt that
no copier on a real network pays for.
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
import struct
import time
from collections.abc import Callable

PLACE, CANCEL = b"POST ", b"DELETE "
ORDER_PATHS = (b"/fapi/v1/order", b"/api/v3/order")
ORDER_SOCKETS = (b"/ws-fapi/", b"/ws-api/")
HEAD_END = b"\r\n\r\n"
LENGTH = b"content-length:"
EXTENSIONS = re.compile(rb"Sec-WebSocket-Extensions:[^\r]*\r\n", re.IGNORECASE)
TIMESTAMP = getattr(socket, "SO_TIMESTAMPNS", 35)
AWAKE = 0.8
"""Of the time for which an order is held back: then the venue, on the same core, begins to work on the first of them."""
CHUNK = 1 << 18
CONTROL = socket.CMSG_SPACE(16)
QUIET_FRAME = 0x8
"""Websocket operations from here on (close, ping, pong) are no orders."""


class Tap:
    """What was seen since `arm`. `hold_s`: for how long an order is held back, as the way to a distant venue would.

    With `tls`, a server's context, copiers speak TLS with it; the venue behind it does not.
    """

    def __init__(self, hold_s: float, tls: ssl.SSLContext | None = None) -> None:
        self.hold_s = hold_s
        self.tls = tls
        self.last_ns = time.time_ns()
        self.told_ns = 0
        self.orders_ns: list[int] = []
        self.answers = 0
        self.streams = 0
        self.changed = asyncio.Event()
        self.mark = b""
        self.method = PLACE
        self._awaited = 0
        self._accepting: set[asyncio.Task[None]] = set()

    def arm(self, mark: bytes, method: bytes, count: int) -> None:
        """Wait for a stream frame with `mark` in it, and for `count` orders that begin with `method` (or are frames)."""
        self.mark, self.method, self._awaited = mark, method, count
        self.told_ns = 0
        self.orders_ns = []
        self.answers = 0

    def tell(self) -> None:
        """The event is about to be written: from now on orders are waited for, awake."""
        self.told_ns = time.time_ns()
        asyncio.get_running_loop().call_soon(self._stay_awake)

    def _stay_awake(self) -> None:
        waited_s = (time.time_ns() - self.told_ns) / 1e9
        if self.told_ns and len(self.orders_ns) < self._awaited and waited_s < AWAKE * self.hold_s:
            os.sched_yield()  # the venue has the same core
            asyncio.get_running_loop().call_soon(self._stay_awake)

    def saw_order(self, at_ns: int) -> bool:
        """Note a whole order; true where its answer counts."""
        if not self.told_ns:
            return False
        self.orders_ns.append(at_ns)
        return True

    def saw_answer(self) -> None:
        self.answers += 1
        self.changed.set()

    async def quiet(self, seconds: float, deadline_s: float = 60.0) -> None:
        """Return once nothing has passed for so long."""
        async with asyncio.timeout(deadline_s):
            while (left := seconds - (time.time_ns() - self.last_ns) / 1e9) > 0:
                await asyncio.sleep(left)

    async def streaming(self, deadline_s: float = 60.0) -> None:
        """Return once a stream was opened."""
        async with asyncio.timeout(deadline_s):
            while not self.streams:
                await asyncio.sleep(0.05)

    async def answered(self, count: int, patience_s: float = 10.0) -> bool:
        """Return once so many counted orders were answered; false where none comes any more for so long."""
        while self.answers < count:
            self.changed.clear()
            try:
                async with asyncio.timeout(patience_s):
                    await self.changed.wait()
            except TimeoutError:
                return False
        return True

    def listen(self, venue_port: int) -> int:
        """Serve on a free port of loopback, which is returned, in front of the venue's."""
        loop = asyncio.get_running_loop()
        server = socket.create_server(("127.0.0.1", 0), backlog=2048)
        server.setblocking(False)

        def accept() -> None:
            client, _ = server.accept()
            task = loop.create_task(self._join(client, venue_port))
            self._accepting.add(task)
            task.add_done_callback(self._accepting.discard)

        loop.add_reader(server, accept)
        return int(server.getsockname()[1])

    async def _join(self, client: socket.socket, venue_port: int) -> None:
        venue = socket.socket()
        for one in (client, venue):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setsockopt(socket.SOL_SOCKET, TIMESTAMP, 1)
        await asyncio.get_running_loop().sock_connect(venue, ("127.0.0.1", venue_port))
        _Line(self, client, venue)


class _Line:
    """One connection of the copier's and its other half to the venue. Nothing is pipelined: one request at a time."""

    def __init__(self, tap: Tap, client: socket.socket, venue: socket.socket) -> None:
        self._tap = tap
        self._loop = asyncio.get_running_loop()
        self._cipher = _Cipher(tap.tls) if tap.tls is not None else None
        self._to_client, self._to_venue = _Out(client, self.close), _Out(venue, self.close)
        self._client, self._venue = client, venue
        self._pending = b""
        self._counted = 0
        self._is_stream = self._takes_orders = False
        self._loop.add_reader(client, self._from_client)
        self._loop.add_reader(venue, self._from_venue)

    def _from_client(self) -> None:
        tap = self._tap
        try:
            data, control, _, _ = self._client.recvmsg(CHUNK, CONTROL)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        at_ns = tap.last_ns = stamp(control)
        if self._cipher is not None:
            try:
                data, answer = self._cipher.read(data)
            except ssl.SSLError:
                self.close()
                return
            self._to_client.write(answer)
            if not data:
                return
        hold = 0.0
        if self._takes_orders:
            self._pending += data
            frames, self._pending = _frames(self._pending)
            for _ in range(frames):
                hold = tap.hold_s
                self._counted += tap.saw_order(at_ns)
        elif not self._is_stream:
            data = self._request(data, at_ns)
            hold = tap.hold_s if self._pending or self._counted else 0.0
        if hold:
            self._loop.call_later(hold, self._to_venue.write, data)
        else:
            self._to_venue.write(data)

    def _request(self, data: bytes, at_ns: int) -> bytes:
        if data.startswith(b"GET "):
            path = data.split(b" ", 2)[1]
            if any(one in path for one in ORDER_SOCKETS):
                self._takes_orders = True
            return EXTENSIONS.sub(b"", data)  # no compressed frames: `mark` is looked for in them
        self._pending += data
        method, _, rest = self._pending.partition(b" ")
        if not (method + b" " in (PLACE, CANCEL) and rest.startswith(ORDER_PATHS)):
            self._pending = b""
        elif _is_whole(self._pending):
            self._pending = b""
            if method + b" " == self._tap.method:
                self._counted += self._tap.saw_order(at_ns)
        return data

    def _from_venue(self) -> None:
        tap = self._tap
        try:
            data = self._venue.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        tells = self._is_stream and not tap.told_ns and tap.mark and tap.mark in data
        if not (self._is_stream or self._takes_orders) and data.startswith(b"HTTP/1.1 101"):
            self._is_stream = True
            tap.streams += 1
        if self._cipher is not None:
            data = self._cipher.write(data)
        tap.last_ns = time.time_ns()
        if tells:
            tap.tell()
        self._to_client.write(data)
        if self._counted:
            self._counted -= 1
            tap.saw_answer()

    def close(self) -> None:
        for one in (self._client, self._venue):
            if one.fileno() >= 0:
                self._loop.remove_reader(one)
                self._loop.remove_writer(one)
                one.close()


class _Cipher:
    """The server's end of a TLS connection."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=True)
        self._open = False

    def read(self, data: bytes) -> tuple[bytes, bytes]:
        """What was said, and what has to be sent on account of it. Raises `ssl.SSLError`."""
        self._in.write(data)
        said = b""
        try:
            if not self._open:
                self._tls.do_handshake()
                self._open = True
            while chunk := self._tls.read(CHUNK):
                said += chunk
        except ssl.SSLWantReadError:
            pass
        return said, self._out.read()

    def write(self, data: bytes) -> bytes:
        """The bytes that say it."""
        self._tls.write(data)
        return self._out.read()


class _Out:
    """Writes at once what the socket takes, and the rest when it takes more."""

    def __init__(self, to: socket.socket, lost: Callable[[], None]) -> None:
        self._to, self._lost = to, lost
        self._rest = bytearray()

    def write(self, data: bytes) -> None:
        if self._to.fileno() < 0:
            return
        if not self._rest:
            data = data[self._send(data) :]
            if not data or self._to.fileno() < 0:
                return
            asyncio.get_running_loop().add_writer(self._to, self._go_on)
        self._rest += data

    def _go_on(self) -> None:
        del self._rest[: self._send(bytes(self._rest))]
        if not self._rest and self._to.fileno() >= 0:
            asyncio.get_running_loop().remove_writer(self._to)

    def _send(self, data: bytes) -> int:
        try:
            return self._to.send(data)
        except BlockingIOError:
            return 0
        except OSError:
            self._lost()
            return 0


def stamp(control: list[tuple[int, int, bytes]]) -> int:
    for level, kind, value in control:
        if level == socket.SOL_SOCKET and kind == TIMESTAMP:
            seconds, nanoseconds = struct.unpack("qq", value[:16])
            return int(seconds * 1_000_000_000 + nanoseconds)
    return time.time_ns()


def _frames(data: bytes) -> tuple[int, bytes]:
    """How many whole text or binary frames of a client `data` begins with, and what is left after them."""
    count, at = 0, 0
    while len(data) - at >= 2:
        length, head = data[at + 1] & 0x7F, 6
        if length == 126:
            length, head = int.from_bytes(data[at + 2 : at + 4]), 8
        elif length == 127:
            length, head = int.from_bytes(data[at + 2 : at + 10]), 14
        if len(data) - at < head + length:
            break
        count += data[at] & 0x0F < QUIET_FRAME
        at += head + length
    return count, data[at:]


def _is_whole(request: bytes) -> bool:
    end = request.find(HEAD_END)
    if end < 0:
        return False
    head = request[:end].lower()
    at = head.find(LENGTH)
    length = int(head[at + len(LENGTH) :].split(b"\r\n", 1)[0]) if at >= 0 else 0
    return len(request) >= end + len(HEAD_END) + length
