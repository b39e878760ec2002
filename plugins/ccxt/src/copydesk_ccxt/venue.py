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
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import aiohttp
from copydesk.errors import NotReady
from copydesk_wire import venue
from copydesk_wire.connection import Answer
from copydesk_wire.errors import Unreadable
from copydesk_wire.templates import Draft, Pen, Unfit

REQUEST_S = 8.0
MARKETS_S = 30.0
_CLOCKS = ("milliseconds", "microseconds", "seconds", "nonce", "incrementing_nonce")


class Venue(venue.Venue):
    """One address, with ccxt's client for it. A plugin says which class of ccxt it is (`exchange`, with `options`) and how
    its addresses are replaced (`point`)."""

    exchange: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}
    stamp_method: ClassVar[str] = "nonce"
    """The method of ccxt's client that its `sign` asks for the time stamp."""

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

    def draft(self, method: str, path: str, api: Sequence[str], params: Mapping[str, Any], pen: Pen) -> Draft:
        """A request as ccxt makes and signs it, with the pen's key, secret and time stamp in place of an account's.

        Raises `Unfit` where its signing takes the time from elsewhere.
        """
        client = self.signer(apiKey=pen.key, secret=pen.secret)
        for clock in _CLOCKS:
            setattr(client, clock, _unfit)
        setattr(client, self.stamp_method, lambda: pen.stamp)
        if pen.hash is not None:
            client.hmac = pen.hash
        signed = client.sign(path, api, method, dict(params))
        headers = {name: str(value) for name, value in (signed["headers"] or {}).items()}
        return Draft(signed["method"], signed["url"], headers, signed["body"] or "")

    async def end(self) -> None:
        self.client.session = None
        await super().end()


def _unfit(*_: Any) -> Any:
    raise Unfit
