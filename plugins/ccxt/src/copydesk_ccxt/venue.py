"""What all accounts at one address share: the ccxt client with its markets, one connection pool, the clock's offset.

ccxt's markets of a venue take 8 to 45 MB and its import 85 MB: both are paid once. An account's own part is a shallow copy
of the client, which shares everything but the key.
"""

from __future__ import annotations

import asyncio
import copy
import gc
import importlib
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, TypeVar
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import aiohttp
from copydesk.errors import NotReady, UsageError
from copydesk.model import Instrument

from copydesk_ccxt.errors import NoReply, Unreadable
from copydesk_ccxt.pool import Answer, Pool

log = logging.getLogger("copydesk.ccxt")

REQUEST_S = 8.0
MARKETS_S = 30.0
INSTRUMENTS_S = 60.0


class Venue(ABC):
    """One address of a venue, shared by all sessions of one event loop that use it: see `share`.

    A plugin says which class of ccxt it is (`exchange`, with `options`), how its addresses are replaced (`point`), and how
    it reads the clock and the instruments. `url` is the address that was given, or `host` for the real venue.
    """

    exchange: ClassVar[str]
    kind: ClassVar[str]
    host: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, client: Any, http: aiohttp.ClientSession, pool: Pool, url: str) -> None:
        self.client = client
        self.http = http  # for the streams, and for what ccxt reads itself
        self.pool = pool
        self.url = url or self.host
        self.instruments: dict[str, Instrument] = {}
        self.users = 0
        self.quiet_until_ms = 0  # until then the venue has asked this address to be quiet
        self._instruments_read = -INSTRUMENTS_S

    # --- what a plugin says ---

    @abstractmethod
    def point(self, url: str, ws_url: str) -> None:
        """Put other addresses than the venue's own into the client. One of the two may be empty."""

    @abstractmethod
    async def read_clock(self) -> int:
        """Ask the venue for its time, in milliseconds since the epoch. Raises `NotReady`."""

    @abstractmethod
    def read_instrument(self, info: Any) -> Instrument:
        """An instrument from what the venue lists of it. Raises `Unreadable`."""

    @abstractmethod
    async def list_instruments(self) -> Iterable[Any]:
        """Ask the venue for what it lists. Raises as reads do."""

    # --- time ---

    def now_ms(self) -> int:
        """The venue's time, as far as the measured offset tells."""
        return int(self.client.milliseconds()) - int(self.client.options.get("timeDifference", 0))

    async def measure_clock(self) -> None:
        """Ask the venue for its time and keep the offset, which ccxt's time stamps follow. Raises `NotReady`."""
        sent = time.time_ns() // 1_000_000
        server = await self.read_clock()
        back = time.time_ns() // 1_000_000
        self.client.options["timeDifference"] = (sent + back) // 2 - server

    # --- requests ---

    async def send(self, request: Mapping[str, Any], deadline_s: float = REQUEST_S) -> Answer:
        """Send what `sign` made. Raises `NotSent` only where nothing left this machine, `NoReply` otherwise.

        No text of an error carries the address: its query may hold the signature.
        """
        return await self.pool.request(
            request["method"],
            request["url"],
            headers=request.get("headers"),
            body=request.get("body") or "",
            deadline_s=deadline_s,
        )

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

    # --- one account's part ---

    def signer(self, **credentials: str) -> Any:
        """A client with a key (`apiKey`, `secret`): a shallow copy, so that markets, tables and options are the shared
        ones. It only signs; requests go through the shared pool."""
        client = copy.copy(self.client)
        for name, value in credentials.items():
            setattr(client, name, value)
        client.session = None
        return client

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
        self.client.session = None
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
    module = await asyncio.to_thread(importlib.import_module, "ccxt.pro")
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30, ttl_dns_cache=60)
    http = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
    client = getattr(module, type_.exchange)(
        {
            "session": http,
            "enableRateLimit": False,
            "timeout": int(REQUEST_S * 1000),
            "options": {"adjustForTimeDifference": False, **type_.options},
        }
    )
    venue = type_(client, http, Pool(), url)
    try:
        _check_url(type_, url)
        if url or ws_url:
            venue.point(url, ws_url or url.replace("http", "ws", 1))
        await venue.measure_clock()
        await _load_markets(venue, module.BaseError)
        gc.freeze()  # these tables stay: without this, each full collection would walk them, in the middle of a copy
    except BaseException as error:
        await venue.end()
        if isinstance(error, NoReply):
            raise NotReady(str(error)) from None
        raise
    return venue


def _check_url(type_: type[Venue], url: str) -> None:
    parts = urlsplit(url)
    if url and (parts.scheme not in ("http", "https") or not parts.hostname):
        raise UsageError(f"The url {url!r} of a {type_.kind} connection must begin with http:// or https://.")


async def _load_markets(venue: Venue, failure: type[Exception]) -> None:
    try:
        async with asyncio.timeout(MARKETS_S):
            markets = await venue.client.load_markets()
    except (TimeoutError, failure) as error:
        raise NotReady(f"The instruments at {venue.url} could not be read ({type(error).__name__}).") from None
    venue.keep_instruments([market["info"] for market in markets.values()])
    if not venue.instruments:
        raise Unreadable(f"{venue.url} lists no instrument.")


def is_loopback(url: str) -> bool:
    """Whether an address is this machine's own: a rehearsal."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")
