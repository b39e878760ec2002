"""A venue that is reached by ccxt's knowledge of it: one ccxt client with its markets for all accounts at an address.

ccxt's markets of a venue take 8 to 45 MB and its import 85 MB: both are paid once. An account's own part is a shallow copy
of the client, which shares everything but the key.
"""

from __future__ import annotations

import asyncio
import copy
import gc
import importlib
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import aiohttp
from copydesk.errors import NotReady
from copydesk_wire import venue
from copydesk_wire.errors import Unreadable
from copydesk_wire.pool import Answer

REQUEST_S = 8.0
MARKETS_S = 30.0


class Venue(venue.Venue):
    """One address, with ccxt's client for it. A plugin says which class of ccxt it is (`exchange`, with `options`) and how
    its addresses are replaced (`point`)."""

    exchange: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, client: Any, http: aiohttp.ClientSession, url: str) -> None:
        super().__init__(http, url)
        self.client = client

    @abstractmethod
    def point(self, url: str, ws_url: str) -> None:
        """Put other addresses than the venue's own into the client. One of the two may be empty."""

    @classmethod
    async def open(cls, url: str, ws_url: str) -> Self:
        module = await asyncio.to_thread(importlib.import_module, "ccxt.pro")
        http = venue.http_session()
        client = getattr(module, cls.exchange)(
            {
                "session": http,
                "enableRateLimit": False,
                "timeout": int(REQUEST_S * 1000),
                "options": {"adjustForTimeDifference": False, **cls.options},
            }
        )
        made = cls(client, http, url)
        if url or ws_url:
            made.point(url, ws_url)
        return made

    async def load(self) -> None:
        """Read the clock, and the markets as ccxt does. Raises `NotReady`."""
        await self.measure_clock()
        module = importlib.import_module("ccxt.pro")
        try:
            async with asyncio.timeout(MARKETS_S):
                markets = await self.client.load_markets()
        except (TimeoutError, module.BaseError) as error:
            raise NotReady(f"The instruments at {self.url} could not be read ({type(error).__name__}).") from None
        self.keep_instruments([market["info"] for market in markets.values()])
        if not self.instruments:
            raise Unreadable(f"{self.url} lists no instrument.")
        gc.freeze()  # these tables stay: without this, each full collection would walk them, in the middle of a copy

    def now_ms(self) -> int:
        return int(self.client.milliseconds()) - int(self.client.options.get("timeDifference", 0))

    async def measure_clock(self) -> None:
        """Ask the venue for its time and keep the offset, which ccxt's time stamps follow. Raises `NotReady`."""
        await super().measure_clock()
        self.client.options["timeDifference"] = self.offset_ms

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

    def signer(self, **credentials: str) -> Any:
        """A client with a key (`apiKey`, `secret`): a shallow copy, so that markets, tables and options are the shared
        ones. It only signs; requests go through the shared pool."""
        client = copy.copy(self.client)
        for name, value in credentials.items():
            setattr(client, name, value)
        client.session = None
        return client

    async def end(self) -> None:
        self.client.session = None
        await super().end()
