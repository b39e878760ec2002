"""A BitMEX rehearsal whose market stands still, and a client of one account that signs its requests by hand."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import aiohttp
import pytest
from copydesk.model import RehearsalSettings
from copydesk_bitmex.rehearsal import Rehearsal, start
from copydesk_paper.records import MarketDepth, MarketTrade
from copydesk_paper.serving.signatures import sign
from yarl import URL


class VenueRefusal(Exception):
    """An error, with the venue's sentence."""


class Bot:
    """Signed requests by hand."""

    def __init__(self, rehearsal: Rehearsal, http: aiohttp.ClientSession) -> None:
        self.rehearsal = rehearsal
        self._account = rehearsal.ready.accounts[0]
        self._http = http

    def headers(self, method: str, target: str, body: str = "") -> dict[str, str]:
        """Who asks, and the signature."""
        expires = str(int(time.time()) + 10)
        signature = sign(self._account.secrets["secret"].encode(), f"{method}{target}{expires}{body}")
        return {"api-key": self._account.secrets["key"], "api-expires": expires, "api-signature": signature}

    async def ask(self, method: str, path: str, **params: Any) -> Any:
        body = json.dumps(params) if method != "GET" else ""
        query = f"?{urlencode(params)}" if params and not body else ""
        target = f"/api/v1{path}{query}"
        headers = {**self.headers(method, target, body), "Content-Type": "application/json"}
        url = URL(f"{self.rehearsal.ready.urls['rest']}{target}", encoded=True)
        async with self._http.request(method, url, data=body or None, headers=headers) as answer:
            told = await answer.json()
        if "error" in told:
            raise VenueRefusal(told["error"]["message"])
        assert answer.status == 200, told
        return told

    async def orders(self, **more: Any) -> dict[str, Any]:
        """All orders' rows, by their client ids."""
        return {row["clOrdID"]: row for row in await self.ask("GET", "/order", **more)}

    def market(self, price: str, symbol: str = "XBTUSD") -> None:
        """The market stands at a price, and trades there."""
        middle, plenty, exchange = Decimal(price), Decimal(100_000), self.rehearsal.exchange
        bids, asks = ((middle - Decimal("0.5"), plenty),), ((middle + Decimal("0.5"), plenty),)
        exchange.apply(MarketDepth(symbol=symbol, bids=bids, asks=asks, snapshot=True))
        exchange.apply(MarketTrade(symbol=symbol, price=middle, quantity=Decimal(100), buyer_is_maker=True))


@pytest.fixture
async def bot() -> AsyncIterator[Bot]:
    settings = RehearsalSettings(kind="bitmex", accounts={"main": Decimal(100_000)}, speed=Decimal(0))
    rehearsal = await start(settings)
    async with aiohttp.ClientSession() as http:
        yield Bot(rehearsal, http)
    await rehearsal.stop()
