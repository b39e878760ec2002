"""Requests over kept-open HTTP/1.1 connections. A request leaves in the very step that asks for it.

A general client prepares a request in several steps of the event loop, so that of a hundred copies the first one leaves
when the last one is ready. Here the bytes are handed to the socket at once, and connections stand ready before they are
needed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from functools import partial
from urllib.parse import urlsplit

import httptools
from copydesk.errors import AuthFailed

from copydesk_wire.connection import READ_AT_ONCE, Answer, Connection, Done
from copydesk_wire.errors import NoReply, NotSent
from copydesk_wire.transports import Place, open_connection

CONNECT_S = 4.0
IDLE_S = 50.0
"""A connection not used for so long is not used again: the venue may be about to close it."""
FRESH_S = 30.0
"""After so long an idle connection is replaced, a tenth of all at a time: some stand ready always."""
FIRED_S = 15.0
"""How long the answer to a fired request is waited for. Whoever fired it has given up before."""
LOOK_S = 1.0
"""How often idle connections are looked at."""
AT_ONCE = 8
"""How many connections are being made ready at one time."""
SPARE = 2
"""Connections ready beyond one per user, and one more for every so many users."""
USERS_PER_SPARE = 4
MOST = 4096
"""No more connections than this stand ready."""
LONGEST_PAUSE_S = 30.0


def place_of(url: str) -> Place:
    parts = urlsplit(url)
    tls = parts.scheme == "https"
    return Place(parts.hostname or "", parts.port or (443 if tls else 80), tls)


class Pool:
    """Connections to whatever is asked for. Each carries one request at a time; the one used last is used next."""

    def __init__(self) -> None:
        self._idle: dict[Place, list[Connection]] = {}
        self._open: set[Connection] = set()
        self._users: dict[Place, int] = {}
        self._buffer = bytearray(READ_AT_ONCE)
        self._keeper: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self.closed = False

    # --- one request ---

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
        place = place_of(url)
        what = f"{method} {urlsplit(url).path}"
        data = encode(method, url, headers or {}, body)
        connection = self._take(place)
        fresh = connection is None
        if connection is None:
            connection = await self._connect(place, what, deadline_s)
        try:
            return await self._exchange(connection, data, what, deadline_s)
        except NoReply:
            if fresh or method != "GET" or not connection.lost_idle:
                raise
        except NotSent:
            if fresh:
                raise
        connection = await self._connect(place, what, deadline_s)
        return await self._exchange(connection, data, what, deadline_s)

    async def _exchange(self, connection: Connection, data: bytes, what: str, deadline_s: float) -> Answer:
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[Answer] = loop.create_future()
        if not connection.send(data, partial(_settle, waiter)):
            raise NotSent(f"{what}: the connection was lost before sending; nothing was sent.")
        timer = loop.call_later(deadline_s, connection.give_up)
        try:
            return await waiter
        except (ConnectionError, httptools.HttpParserError, ValueError) as error:
            raise NoReply(f"{what}: the connection was lost after sending ({type(error).__name__}).") from None
        except TimeoutError:
            raise NoReply(f"{what}: no reply within {deadline_s:g} s.") from None
        except asyncio.CancelledError:
            connection.abort()  # its answer, if one comes, must not be taken for that of the next request
            raise
        finally:
            timer.cancel()

    def fire(self, place: Place, data: bytes, done: Done) -> bool:
        """Write a request now, on a connection that stands ready. `done` is given its answer, later, from the event loop.

        False where no connection is ready: nothing was sent, and one is being made.
        """
        while (connection := self._take(place)) is not None:
            if connection.send(data, done, until=time.monotonic() + FIRED_S):
                return True
        self._wake.set()
        return False

    # --- connections ---

    def _take(self, place: Place) -> Connection | None:
        """The connection that was used last, if one is fit for use; those that are not are closed."""
        idle = self._idle.get(place)
        if not idle or self.closed:
            return None
        oldest = time.monotonic() - IDLE_S
        while idle:
            connection = idle.pop()
            if connection.can_stay and connection.since >= oldest:
                return connection
            connection.abort()
        return None

    async def _connect(self, place: Place, what: str, deadline_s: float) -> Connection:
        make = partial(Connection, self._buffer, partial(self._free, place), self._gone)
        try:
            async with asyncio.timeout(min(CONNECT_S, deadline_s)):
                connection = await open_connection(make, place)
        except (OSError, TimeoutError) as error:
            reason = type(error).__name__
            raise NotSent(f"{what}: no connection to {place.host}:{place.port} ({reason}); nothing was sent.") from None
        if self.closed:
            connection.abort()
            raise NotSent(f"{what}: the session is closed; nothing was sent.")
        if connection.can_stay:
            self._open.add(connection)
        return connection

    def _free(self, place: Place, connection: Connection) -> None:
        if self.closed:
            connection.abort()
            return
        connection.since = time.monotonic()
        self._idle.setdefault(place, []).append(connection)

    def _gone(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._wake.set()

    # --- connections that stand ready ---

    def add_user(self, place: Place) -> None:
        """Keep one more connection ready there, and spare ones with it."""
        self._users[place] = self._users.get(place, 0) + 1
        if self._keeper is None:
            self._keeper = asyncio.get_running_loop().create_task(self._keep())
        self._wake.set()

    def remove_user(self, place: Place) -> None:
        self._users[place] = max(0, self._users.get(place, 0) - 1)

    def ready(self, place: Place) -> int:
        """How many idle connections there are."""
        return sum(connection.can_stay for connection in self._idle.get(place, ()))

    async def _keep(self) -> None:
        """Replace what has been idle for long and what was lost, and let go of what never answered."""
        pause = LOOK_S
        while True:
            self._sort_out()
            pause = LOOK_S if await self._fill_up() else min(pause * 2, LONGEST_PAUSE_S)
            self._wake.clear()
            try:
                async with asyncio.timeout(pause):
                    await (self._wake.wait() if pause == LOOK_S else asyncio.sleep(pause))
            except TimeoutError:
                continue

    def _sort_out(self) -> None:
        now = time.monotonic()
        for connection in [one for one in self._open if one.until < now]:
            connection.give_up()
        for idle in self._idle.values():
            idle[:] = [one for one in idle if one.can_stay]
            old = [one for one in idle if one.since < now - FRESH_S]
            for connection in old[: max(AT_ONCE, len(idle) // 10)]:
                idle.remove(connection)
                connection.abort()

    async def _fill_up(self) -> bool:
        """Make the connections that lack. False where one could not be made."""
        for place, users in self._users.items():
            wanted = min(MOST, users + SPARE + users // USERS_PER_SPARE) if users else 0
            while (lacking := wanted - self.ready(place)) > 0:
                made = await asyncio.gather(
                    *(self._connect(place, "connecting ahead", CONNECT_S) for _ in range(min(lacking, AT_ONCE))),
                    return_exceptions=True,
                )
                for connection in made:
                    if isinstance(connection, Connection):
                        self._free(place, connection)
                if any(isinstance(one, BaseException) for one in made):
                    return False
        return True

    async def close(self) -> None:
        """Close all connections; requests under way end with `NoReply`."""
        self.closed = True
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        self._idle.clear()
        for connection in list(self._open):
            connection.abort()
        await asyncio.sleep(0)  # lets the transports say goodbye


def _settle(waiter: asyncio.Future[Answer], answer: Answer | Exception) -> None:
    if waiter.done():
        return
    if isinstance(answer, Exception):
        waiter.set_exception(answer)
    else:
        waiter.set_result(answer)


def encode(method: str, url: str, headers: Mapping[str, str], body: str) -> bytes:
    """The bytes of a request. Raises `AuthFailed` where a header would break out of its line: then the key is none."""
    content = body.encode()
    return head_of(method, url, headers, length=str(len(content))).encode() + content


def head_of(method: str, url: str, headers: Mapping[str, str], *, length: str) -> str:
    """A request up to its body, whose `length` in bytes is told."""
    parts = urlsplit(url)
    target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    lines = [
        f"{method} {target} HTTP/1.1",
        f"Host: {parts.netloc}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    lines.append("Accept-Encoding: gzip" if method == "GET" else f"Content-Length: {length}")
    head = "\r\n".join(lines)
    if not head.isascii() or head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
        raise AuthFailed("The request cannot be written: the key holds characters that no key has; store it again.")
    return head + "\r\n\r\n"
