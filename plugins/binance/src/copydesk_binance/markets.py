"""What all accounts at one address share: the ccxt client with its markets, one connection pool, the clock's offset.

ccxt's markets of this venue take about 8 MB and its import 85 MB: both are paid once. An account's own part is a shallow
copy of the client, which shares everything but the key.
"""

from __future__ import annotations

import asyncio
import copy
import gc
import importlib
import logging
import time
from typing import Any
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import aiohttp
from copydesk.errors import NotReady, UsageError
from copydesk.model import Instrument

from copydesk_binance import translate
from copydesk_binance.errors import NoReply, Reply, Unreadable, raise_for, read_reply
from copydesk_binance.pool import Pool

log = logging.getLogger("copydesk.binance")

REQUEST_S = 8.0
MARKETS_S = 30.0
INSTRUMENTS_S = 60.0

_REST_PATHS = {
    "fapiPublic": "/fapi/v1",
    "fapiPublicV2": "/fapi/v2",
    "fapiPublicV3": "/fapi/v3",
    "fapiPrivate": "/fapi/v1",
    "fapiPrivateV2": "/fapi/v2",
    "fapiPrivateV3": "/fapi/v3",
    "fapiData": "/futures/data",
}


class Venue:
    """One address of the venue, shared by all sessions of one event loop that use it."""

    def __init__(self, client: Any, http: aiohttp.ClientSession, pool: Pool, url: str) -> None:
        self.client = client
        self.http = http  # for the streams, and for what ccxt reads itself
        self.pool = pool
        self.url = url
        self.instruments: dict[str, Instrument] = {}
        self.users = 0
        self._instruments_read = -INSTRUMENTS_S
        self.quiet_until_ms = 0  # until then the venue has asked this address to be quiet

    # --- time ---

    def now_ms(self) -> int:
        """The venue's time, as far as the measured offset tells."""
        return int(self.client.nonce())

    async def measure_clock(self) -> None:
        """Ask the venue for its time and keep the offset for time stamps. Raises `NotReady`."""
        sent = time.time_ns() // 1_000_000
        reply = await self.ask("time")
        back = time.time_ns() // 1_000_000
        server = translate.server_time(reply.body)
        self.client.options["timeDifference"] = (sent + back) // 2 - server

    # --- requests ---

    async def ask(self, path: str, params: dict[str, str] | None = None) -> Reply:
        """A public read. Raises `NotReady`, `RateLimited` or `Refused`."""
        reply = await self.send(self.client.sign(path, ["fapiPublic"], "GET", params or {}))
        if not reply.is_fine:
            raise_for(reply, f"GET {path}", self.now_ms())
        return reply

    async def send(self, request: dict[str, Any], deadline_s: float = REQUEST_S) -> Reply:
        """Send what `sign` made. Raises `NotSent` only where nothing left this machine, `NoReply` otherwise.

        No text of an error carries the address: its query holds the signature.
        """
        answer = await self.pool.request(
            request["method"],
            request["url"],
            headers=request.get("headers"),
            body=request.get("body") or "",
            deadline_s=deadline_s,
        )
        return read_reply(answer.status, answer.text, retry_after=answer.retry_after)

    # --- instruments ---

    def keep_instruments(self, symbols: list[Any]) -> None:
        """Take over what exchangeInfo lists. One that cannot be read is left out: nothing can be traded in it."""
        for symbol in symbols:
            try:
                instrument = translate.instrument(symbol)
            except Unreadable as error:
                log.warning("An instrument of %s cannot be traded: %s", self.url, error)
            else:
                self.instruments[instrument.symbol] = instrument

    async def read_instruments_again(self) -> None:
        """After something was traded that was not listed before; once a minute at most. Raises as `ask` does."""
        now = time.monotonic()
        if now - self._instruments_read >= INSTRUMENTS_S:
            self._instruments_read = now
            body = (await self.ask("exchangeInfo")).body
            self.keep_instruments(translate.rows(body.get("symbols") if isinstance(body, dict) else None, "symbols"))

    # --- one account's part ---

    def signer(self, key: str, secret: str) -> Any:
        """A client with a key: a shallow copy, so that markets, tables and options are the shared ones."""
        client = copy.copy(self.client)
        client.apiKey = key
        client.secret = secret
        client.session = None  # it only signs; requests go through the shared pool
        return client

    async def release(self) -> None:
        """One session fewer; the last one closes the pool."""
        self.users -= 1
        if self.users > 0:
            return
        places = _venues.get(asyncio.get_running_loop(), {})
        for place in [place for place, venue in places.items() if venue is self]:
            del places[place]
        self.client.session = None
        await self.pool.close()
        await self.http.close()


_venues: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[tuple[str, str], Venue]] = WeakKeyDictionary()
_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


async def share_venue(url: str = "", ws_url: str = "") -> Venue:
    """The venue at `url` (empty: the real one), opened on first use. Release it when done. Raises `NotReady`."""
    loop = asyncio.get_running_loop()
    place = (url.rstrip("/"), ws_url.rstrip("/"))
    async with _locks.setdefault(loop, asyncio.Lock()):
        places = _venues.setdefault(loop, {})
        if place not in places:
            places[place] = await _open(*place)
        places[place].users += 1
        return places[place]


async def _open(url: str, ws_url: str) -> Venue:
    module = await asyncio.to_thread(importlib.import_module, "ccxt.pro")
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=30, ttl_dns_cache=60)
    http = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
    pool = Pool()
    try:
        client = module.binanceusdm(
            {
                "session": http,
                "enableRateLimit": False,
                "timeout": int(REQUEST_S * 1000),
                "options": {"fetchCurrencies": False, "fetchMargins": False, "adjustForTimeDifference": False},
            }
        )
        _point_at(client, url, ws_url)
        venue = Venue(client, http, pool, url or "fapi.binance.com")
        await venue.measure_clock()
        await _load_markets(venue, module)
        gc.freeze()  # these tables stay: without this, each full collection would walk them, in the middle of a copy
    except BaseException as error:
        await pool.close()
        await http.close()
        if isinstance(error, NoReply):
            raise NotReady(str(error)) from None
        raise
    return venue


async def _load_markets(venue: Venue, module: Any) -> None:
    try:
        async with asyncio.timeout(MARKETS_S):
            markets = await venue.client.load_markets()
    except (TimeoutError, module.BaseError) as error:
        raise NotReady(f"The instruments at {venue.url} could not be read ({type(error).__name__}).") from None
    venue.keep_instruments([market["info"] for market in markets.values()])
    if not venue.instruments:
        raise Unreadable(f"{venue.url} lists no instrument.")


def _point_at(client: Any, url: str, ws_url: str) -> None:
    """Other addresses than the venue's own. ccxt rewrites the websocket's path itself, if it ends in `/ws`."""
    if not url and not ws_url:
        return
    if url:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"The url {url!r} of a binance-futures connection must begin with http:// or https://.")
        for name, path in _REST_PATHS.items():
            client.urls["api"][name] = url + path
        ws_url = ws_url or url.replace("http", "ws", 1)
    client.urls["api"]["ws"]["linear"] = ws_url if ws_url.endswith("/ws") else f"{ws_url}/ws"


def is_loopback(url: str) -> bool:
    """Whether an address is this machine's own: a rehearsal."""
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")
