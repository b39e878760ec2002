"""What all accounts at one address of a venue share: its instruments, one connection pool, the clock's offset."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any, ClassVar, Self, TypeVar
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import aiohttp
from copydesk.errors import NotReady, UsageError
from copydesk.model import Instrument

from copydesk_wire.errors import NoReply, Unreadable
from copydesk_wire.pool import Pool
from copydesk_wire.shapes import Shapes

log = logging.getLogger("copydesk.wire")

INSTRUMENTS_S = 60.0


class Venue(ABC):
    """One address of a venue, shared by all sessions of one event loop that use it: see `share`.

    A plugin says how it is opened, how the clock and the instruments are read. `url` is the address that was given, or
    `host` for the real venue.
    """

    kind: ClassVar[str]
    host: ClassVar[str]

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self.http = http  # for the streams
        self.pool = Pool()
        self.url = url or self.host
        self.instruments: dict[str, Instrument] = {}
        self.users = 0
        self.quiet_until_ms = 0  # until then the venue has asked this address to be quiet
        self.offset_ms = 0  # how far this machine's clock is ahead of the venue's
        self.shapes: list[Shapes[Any]] = []  # of the requests that can be fired
        self._instruments_read = -INSTRUMENTS_S

    # --- what a plugin says ---

    @classmethod
    @abstractmethod
    async def open(cls, url: str, ws_url: str) -> Self:
        """Make it, with nothing read yet. One of the two addresses may be empty, or both for the real venue."""

    @abstractmethod
    async def read_clock(self) -> int:
        """Ask the venue for its time, in milliseconds since the epoch. Raises `NotReady`."""

    @abstractmethod
    def read_instrument(self, info: Any) -> Instrument:
        """An instrument from what the venue lists of it. Raises `Unreadable`."""

    @abstractmethod
    async def list_instruments(self) -> Iterable[Any]:
        """Ask the venue for what it lists. Raises as reads do."""

    async def load(self) -> None:
        """Read what every session needs: the clock and the instruments. Raises `NotReady`."""
        await self.measure_clock()
        self.keep_instruments(await self.list_instruments())
        if not self.instruments:
            raise Unreadable(f"{self.url} lists no instrument.")

    # --- time ---

    def now_ms(self) -> int:
        """The venue's time, as far as the measured offset tells."""
        return time.time_ns() // 1_000_000 - self.offset_ms

    def stamp(self, now_ms: int) -> int:
        """What requests are stamped with at that time."""
        return now_ms

    async def measure_clock(self) -> None:
        """Ask the venue for its time and keep the offset. Raises `NotReady`."""
        sent = time.time_ns() // 1_000_000
        server = await self.read_clock()
        back = time.time_ns() // 1_000_000
        self.offset_ms = (sent + back) // 2 - server

    # --- instruments ---

    def keep_instruments(self, infos: Iterable[Any]) -> None:
        """Take over what the venue lists. One that cannot be read is left out: nothing can be traded in it."""
        for info in infos:
            try:
                instrument = self.read_instrument(info)
            except Unreadable as error:
                log.warning("An instrument of %s cannot be traded: %s", self.url, error)
            else:
                self.instruments[instrument.symbol] = instrument

    async def read_instruments_again(self) -> None:
        """After something was traded that was not listed before; once a minute at most. Raises as reads do."""
        now = time.monotonic()
        if now - self._instruments_read >= INSTRUMENTS_S:
            self._instruments_read = now
            self.keep_instruments(await self.list_instruments())

    # --- life ---

    async def release(self) -> None:
        """One session fewer; the last one closes the pool."""
        self.users -= 1
        if self.users > 0:
            return
        places = _venues.get(asyncio.get_running_loop(), {})
        for place in [place for place, venue in places.items() if venue is self]:
            del places[place]
        await self.end()

    async def end(self) -> None:
        for shapes in self.shapes:
            await shapes.close()
        await self.pool.close()
        await self.http.close()


AnyVenue = TypeVar("AnyVenue", bound=Venue)
_Place = tuple[type[Venue], str, str]
_venues: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[_Place, Venue]] = WeakKeyDictionary()
_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


async def share(type_: type[AnyVenue], url: str = "", ws_url: str = "") -> AnyVenue:
    """The venue at `url` (empty: the real one), opened on first use. Release it when done.

    Raises `NotReady`, and `UsageError` for an address that is none.
    """
    loop = asyncio.get_running_loop()
    place = (type_, url.rstrip("/"), ws_url.rstrip("/"))
    async with _locks.setdefault(loop, asyncio.Lock()):
        places = _venues.setdefault(loop, {})
        venue = places.get(place)
        if venue is None:
            venue = places[place] = await _open(*place)
        assert isinstance(venue, type_)
        venue.users += 1
        return venue


async def _open(type_: type[Venue], url: str, ws_url: str) -> Venue:
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise UsageError(f"The url {url!r} of a {type_.kind} connection must begin with http:// or https://.")
    venue = await type_.open(url, ws_url or url.replace("http", "ws", 1))
    try:
        await venue.load()
    except BaseException as error:
        await venue.end()
        if isinstance(error, NoReply):
            raise NotReady(str(error)) from None
        raise
    return venue


def http_session() -> aiohttp.ClientSession:
    """For streams: as many connections as there are accounts, no cookies. To be made inside the loop."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30, ttl_dns_cache=60)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())


def is_loopback(url: str) -> bool:
    """Whether an address is this machine's own: a rehearsal."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")
