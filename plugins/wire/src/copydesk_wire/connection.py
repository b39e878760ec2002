"""One kept-open HTTP/1.1 connection: a request is written in the very call, its answer is handed to a callback."""

from __future__ import annotations

import asyncio
import gzip
import socket
import zlib
from collections.abc import Callable, Mapping
from math import inf
from typing import NamedTuple, TypeAlias, cast

import httptools

MAX_BODY = 64 << 20
READ_AT_ONCE = 1 << 16


class Answer(NamedTuple):
    """What came back: the status, the body, and the headers by their names in lower case, which `header` reads."""

    status: int
    body: bytes
    headers: Mapping[bytes, bytes] = {}

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    def header(self, name: str) -> str:
        """The value of a header, whatever its case; empty without it."""
        return self.headers.get(name.lower().encode(), b"").decode("latin-1")


Done: TypeAlias = Callable[[Answer | Exception], None]
"""Takes the answer, or why none came: `ConnectionError`, `TimeoutError`, `ValueError`, `httptools.HttpParserError`."""


class Connection(asyncio.BufferedProtocol):
    """Carries one request at a time. `can_stay`: it may carry another. `lost_idle`: it ended before a byte of an answer.

    `buffer` is where all connections of one loop read to: what was read is used up before the next one reads. `free` is
    called when an answer has come and the connection may carry another request, `gone` when it has ended.
    """

    __slots__ = (
        "_answer",
        "_body",
        "_buffer",
        "_done",
        "_free",
        "_gone",
        "_headers",
        "_heard",
        "_parser",
        "_size",
        "_transport",
        "can_stay",
        "lost_idle",
        "since",
        "until",
    )

    def __init__(self, buffer: bytearray, free: Callable[[Connection], None], gone: Callable[[Connection], None]) -> None:
        self.can_stay = True
        self.lost_idle = False
        self.since = 0.0  # when it became idle
        self.until = inf  # when it is let go of, should no answer have come
        self._buffer = memoryview(buffer)
        self._free = free
        self._gone = gone
        self._done: Done | None = None
        self._heard = False
        self._answer: Answer | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._headers: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self._size = 0

    # --- one exchange ---

    def send(self, data: bytes, done: Done, *, until: float = inf) -> bool:
        """Write a request. False where not a byte of it could be written: then the connection is of no use any more."""
        if not self.can_stay:
            return False
        self._heard = False
        self._transport.write(data)
        if self._transport.is_closing():
            self.abort()
            return False
        self._done, self.until = done, until
        return True

    def give_up(self, error: Exception | None = None) -> None:
        """Wait no longer: an answer that came now could be taken for that of the next request."""
        self._fail(error or TimeoutError())

    def abort(self) -> None:
        self.can_stay = False
        self._transport.abort()

    def _fail(self, error: Exception) -> None:
        self.abort()
        done, self._done = self._done, None
        if done is not None:
            done(error)

    def _answered(self, answer: Answer) -> None:
        done, self._done, self.until = self._done, None, inf
        if self.can_stay and not self._transport.get_write_buffer_size():
            self._free(self)
        else:
            self.abort()
        if done is not None:
            done(answer)

    # --- what asyncio calls ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        plain = transport.get_extra_info("socket")
        if plain is not None:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def get_buffer(self, sizehint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        if self._done is None:
            self.abort()  # nobody asked
            return
        data = bytes(self._buffer[:nbytes])
        self._heard = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(error)
            return
        answer, self._answer = self._answer, None
        if answer is not None:
            self._answered(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost_idle = not self._heard
        self._fail(ConnectionError())
        self._gone(self)

    # --- what the parser calls ---

    def on_message_begin(self) -> None:
        if self._answer is not None:
            self.can_stay = False  # more than was asked for
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
        if status < 200 or self._done is None or self._answer is not None:
            return
        body = b"".join(self._body)
        try:
            if self._headers.get(b"content-encoding", b"").lower() == b"gzip":
                body = gzip.decompress(body)
        except (OSError, EOFError, zlib.error):
            self._fail(ValueError())
            return
        self.can_stay = self.can_stay and self._parser.should_keep_alive()
        self._answer = Answer(status, body, self._headers)
