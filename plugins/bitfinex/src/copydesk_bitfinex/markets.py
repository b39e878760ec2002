"""What all accounts at one address of Bitfinex share: ccxt's client with its markets, prices that tell price steps,
and for each key the one lane in which its requests travel.

The venue takes a request only if its nonce is greater than all before it of that key. Two requests on two connections may
overtake each other, so of each key one is under way at a time, whoever asks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import aiohttp
from copydesk.errors import NotReady
from copydesk.model import Instrument
from copydesk_ccxt import venue
from copydesk_wire import venue as wire
from copydesk_wire.errors import Unreadable
from msgspec.structs import replace

from copydesk_bitfinex import translate
from copydesk_bitfinex.errors import Reply, raise_for, read_reply
from copydesk_bitfinex.translate import Listed

LANE_S = 15.0
"""How long a request may wait for those before it of the same key."""


class Lane:
    """The requests of one key: one at a time, with nonces that grow. Kept by the address, for all sessions of the key."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self._newest = 0

    def nonce(self) -> int:
        """Microseconds since the epoch, greater than the last one. The venue takes none beyond 2**53 - 1."""
        self._newest = max(self._newest + 1, time.time_ns() // 1_000)
        return self._newest


class Venue(venue.Venue):
    """Bitfinex at one address."""

    exchange = "bitfinex"
    kind = "bitfinex"
    host = "api.bitfinex.com"
    options = {"fetchCurrencies": False}

    def __init__(self, client: Any, http: aiohttp.ClientSession, url: str) -> None:
        super().__init__(client, http, url)
        self._lanes: dict[str, Lane] = {}

    def point(self, url: str, ws_url: str) -> None:
        urls = self.client.urls["api"]
        if url:
            for name in ("v1", "public", "private"):
                urls[name] = url
        socket = ws_url if ws_url.endswith("/ws/2") else f"{ws_url}/ws/2"
        urls["ws"]["public"] = urls["ws"]["private"] = socket

    def lane(self, key: str) -> Lane:
        """The lane of a key."""
        return self._lanes.setdefault(key, Lane())

    def stream_url(self, which: str) -> str:
        """The address of the websocket: `public` or `private`."""
        return str(self.client.urls["api"]["ws"][which])

    async def read_clock(self) -> int:
        """Bitfinex has no such read, and needs none: a nonce has only to be greater than the last."""
        return int(self.client.milliseconds())

    async def load(self) -> None:
        """Read the instruments. ccxt's own reading of them leaves out the names, and is not needed to sign."""
        await wire.Venue.load(self)

    def read_instrument(self, info: Any) -> Instrument:
        return translate.instrument(info)

    async def list_instruments(self) -> Iterable[Any]:
        rules, futures, margin = translate.rows(
            await self.ask("conf/pub:info:pair,pub:info:pair:futures,pub:list:pair:margin"), "pairs"
        )
        prices = await self.prices()
        found = []
        for name, pair in translate.rows(rules + futures, "pairs"):
            if not isinstance(name, str) or not isinstance(pair, list):
                raise Unreadable("Bitfinex lists a pair without its rules.")
            symbol = f"t{name.upper()}"
            listed = Listed(name=symbol, rules=tuple(pair), price=prices.get(symbol, Decimal(0)))
            found += [listed, replace(listed, margin=True)] if name in margin else [listed]
        return found

    async def prices(self, names: Iterable[str] = ()) -> dict[str, Decimal]:
        """Last prices by the venue's names; without `names` of all pairs. Raises as `ask` does."""
        wanted = ",".join(names) or "ALL"
        read = translate.rows(await self.ask(f"tickers?symbols={wanted}"), "tickers")
        # funding currencies (fUSD) are among them, in an array of another form
        return {row[0]: translate.ticker(row)[1].last for row in read if str(row[0]).startswith("t")}

    async def ask(self, path: str) -> Any:
        """A public read. Raises `NotReady`, `RateLimited` or `Refused`; `NoReply` where none came."""
        reply = read_reply(await self.send({"method": "GET", "url": f"{self.client.urls['api']['public']}/v2/{path}"}))
        if not reply.is_fine:
            raise_for(reply, f"GET {path}")
        return reply.body

    async def ask_signed(self, signer: Any, lane: Lane, path: str, params: translate.Params) -> Reply:
        """A signed request, in the lane of its key. Raises `NotSent` or `NoReply`, or `NotReady` where the lane is full."""
        try:
            async with asyncio.timeout(LANE_S):
                await lane.lock.acquire()
        except TimeoutError:
            raise NotReady(f"POST {path} was not sent: other requests of this key took {LANE_S:g} s.") from None
        try:
            return read_reply(await self.send(signer.sign(path, ["private"], "POST", params)))
        finally:
            lane.lock.release()
