"""Requests over kept-open HTTP/1.1 connections. A request leaves in the very step that asks for it.

A general client prepares a request in several steps of the event loop, so that of a hundred copies the first one leaves
when the last one is ready. Here the bytes are handed to the socket at once.
"""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import time
import zlib
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlsplit

import httptools
from copydesk.errors import AuthFailed

from copydesk_wire.errors import NoReply, NotSent

CONNECT_S = 4.0
IDLE_S = 50.0
"""A connection not used for so long is not used again: the venue may be about to close it."""
MAX_BODY = 64 << 20

_Place = tuple[str, int, bool]


class Answer(NamedTuple):
    """What came back: the status, the body as text, and the headers, which `header` reads."""

    status: int
    text: str
    headers: Mapping[bytes, bytes]

    def header(self, name: str) -> str:
        """The value of a header, whatever its case; empty without it."""
        return self.headers.get(name.lower().encode(), b"").decode("latin-1")


class Pool:
    """Connections to whatever is asked for. Each carries one request at a time; the one used last is used next."""

    def __init__(self) -> None:
        self._idle: dict[_Place, list[_Connection]] = {}
        self._open: set[_Connection] = set()
        self._tls: ssl.SSLContext | None = None
        self.closed = False

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: str = "",
        deadline_s: float,
    ) -> Answer:
        """Send a request and wait for its answer.

        Raises `NotSent` only where nothing left this machine, `NoReply` otherwise, `AuthFailed` for headers that cannot be
        sent. No text of an error carries the query, which holds the signature. A read that meets a connection which the
        venue has just closed is sent once more; what trades never is.
        """
        parts = urlsplit(url)
        what = f"{method} {parts.path}"
        tls = parts.scheme == "https"
        place = (parts.hostname or "", parts.port or (443 if tls else 80), tls)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        data = _encode(method, target, parts.netloc, headers or {}, body)
        connection = self._take(place)
        fresh = connection is None
        if connection is None:
            connection = await self._connect(place, what, deadline_s)
        try:
            return await self._exchange(place, connection, data, what, deadline_s)
        except NoReply:
            if fresh or method != "GET" or not connection.lost_idle:
                raise
        connection = await self._connect(place, what, deadline_s)
        return await self._exchange(place, connection, data, what, deadline_s)

    async def _exchange(self, place: _Place, connection: _Connection, data: bytes, what: str, deadline_s: float) -> Answer:
        waiter = connection.send(data)
        timer = asyncio.get_running_loop().call_later(deadline_s, connection.give_up)
        try:
            answer = await waiter
        except (ConnectionError, httptools.HttpParserError, ValueError) as error:
            raise NoReply(f"{what}: the connection was lost after sending ({type(error).__name__}).") from None
        except TimeoutError:
            raise NoReply(f"{what}: no reply within {deadline_s:g} s.") from None
        except asyncio.CancelledError:
            connection.abort()  # its answer, if one comes, must not be taken for that of the next request
            raise
        finally:
            timer.cancel()
        if connection.can_stay and not self.closed:
            connection.idle_since = time.monotonic()
            self._idle.setdefault(place, []).append(connection)
        else:
            connection.abort()
        return answer

    def _take(self, place: _Place) -> _Connection | None:
        """The connection that was used last, if one is fit for use; those that are not are closed."""
        idle = self._idle.get(place, [])
        oldest = time.monotonic() - IDLE_S
        while idle:
            connection = idle.pop()
            if connection.can_stay and connection.idle_since >= oldest:
                return connection
            connection.abort()
        return None

    async def _connect(self, place: _Place, what: str, deadline_s: float) -> _Connection:
        host, port, tls = place
        if tls and self._tls is None:
            self._tls = await asyncio.to_thread(ssl.create_default_context)
        try:
            async with asyncio.timeout(min(CONNECT_S, deadline_s)):
                _, connection = await asyncio.get_running_loop().create_connection(
                    lambda: _Connection(self._open), host, port, ssl=self._tls if tls else None
                )
        except (OSError, TimeoutError) as error:
            reason = type(error).__name__
            raise NotSent(f"{what}: no connection to {host}:{port} ({reason}); nothing was sent.") from None
        return connection

    async def close(self) -> None:
        """Close all connections; requests under way end with `NoReply`."""
        self.closed = True
        self._idle.clear()
        for connection in list(self._open):
            connection.abort()
        await asyncio.sleep(0)  # lets the transports say goodbye


class _Connection(asyncio.Protocol):
    """One connection. `can_stay`: it may carry another request. `lost_idle`: it ended before a byte of an answer came."""

    def __init__(self, open_: set[_Connection]) -> None:
        self.can_stay = True
        self.lost_idle = False
        self.idle_since = 0.0
        self._open = open_
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[Answer] | None = None
        self._heard = False
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._size = 0
        self._transport: asyncio.Transport

    # --- one exchange ---

    def send(self, data: bytes) -> asyncio.Future[Answer]:
        """Write a request; the future is its answer."""
        self._waiter = asyncio.get_running_loop().create_future()
        self._heard = False
        self._transport.write(data)
        return self._waiter

    def give_up(self) -> None:
        self._fail(TimeoutError())

    def abort(self) -> None:
        self.can_stay = False
        self._transport.abort()

    def _fail(self, error: Exception) -> None:
        self.abort()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)

    # --- what asyncio calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._open.add(self)
        plain = transport.get_extra_info("socket")
        if plain is not None:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._waiter.done():
            self.abort()  # nobody asked
            return
        self._heard = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._open.discard(self)
        self.lost_idle = not self._heard
        self._fail(ConnectionError())

    # --- what the parser calls ---

    def on_message_begin(self) -> None:
        self._headers = {}
        self._body = []
        self._size = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value

    def on_body(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MAX_BODY:
            self._fail(ValueError())
        else:
            self._body.append(data)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200 or self._waiter is None or self._waiter.done():
            return
        body = b"".join(self._body)
        try:
            if self._headers.get(b"content-encoding", b"").lower() == b"gzip":
                body = gzip.decompress(body)
        except (OSError, EOFError, zlib.error):
            self._fail(ValueError())
            return
        self.can_stay = self.can_stay and self._parser.should_keep_alive()
        self._waiter.set_result(Answer(status, body.decode(errors="replace"), self._headers))


def _encode(method: str, target: str, host: str, headers: Mapping[str, str], body: str) -> bytes:
    """The bytes of a request. Raises `AuthFailed` where a header would break out of its line: then the key is none."""
    content = body.encode()
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *(f"{name}: {value}" for name, value in headers.items())]
    if method == "GET":
        lines.append("Accept-Encoding: gzip")
    else:
        lines.append(f"Content-Length: {len(content)}")
    head = "\r\n".join(lines)
    if not head.isascii() or head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
        raise AuthFailed("The request cannot be written: the key holds characters that no key has; store it again.")
    return head.encode() + b"\r\n\r\n" + content
