"""A spot rehearsal per test, with a still market at 60000, and clients for its accounts."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import aiohttp
import ccxt.pro
import pytest
from copydesk.model import ConnectionSettings, RehearsalSettings
from copydesk_binance.rehearsal.spot import Rehearsal, start
from copydesk_paper.exchange import MarketDepth, MarketTrade
from copydesk_paper.serving.signatures import sign

DEADLINE_S = 40.0
ACCOUNTS = {"parent": Decimal(100_000), "child": Decimal(50_000)}


class Socket:
    """A connection to the websocket API: replies by their id, and the events that come between."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self.events: list[dict[str, Any]] = []

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        await self._socket.send_json({"id": method, "method": method, "params": params})
        while (frame := await self._next()).get("id") != method:
            self.events.append(frame)
        return frame

    async def _next(self) -> dict[str, Any]:
        async with asyncio.timeout(DEADLINE_S):
            frame: dict[str, Any] = await self._socket.receive_json()
        return frame

    async def until(self, matches: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The first event that fits, heard or to come; those before it are dropped."""
        while True:
            frame = self.events.pop(0) if self.events else await self._next()
            event: dict[str, Any] = frame.get("event", {})
            if matches(event):
                return event


class SpotDesk:
    """A running venue, with what tests do to it."""

    def __init__(self, rehearsal: Rehearsal, stack: AsyncExitStack, http: aiohttp.ClientSession) -> None:
        self.rehearsal = rehearsal
        self.exchange = rehearsal.exchange
        self._stack = stack
        self._http = http

    def settings(self, account: str = "parent") -> ConnectionSettings:
        ready = next(one for one in self.rehearsal.ready.accounts if one.name == account)
        return ConnectionSettings(name=account, kind="binance", options=ready.options, secrets=ready.secrets)

    def trade(self, price: str, symbol: str = "BTCUSDT", quantity: str = "0.001") -> None:
        """The market trades at a price, with the book around it."""
        middle = Decimal(price)
        bids, asks = ((middle - 5, Decimal(50)),), ((middle + 5, Decimal(50)),)
        self.exchange.apply(MarketDepth(symbol=symbol, bids=bids, asks=asks, snapshot=True))
        trade = MarketTrade(symbol=symbol, price=middle, quantity=Decimal(quantity), buyer_is_maker=False)
        self.exchange.apply(trade)

    def book(self, price: str, *, ask_quantity: str = "50", symbol: str = "BTCUSDT") -> None:
        """The book stands around a price, and nobody trades."""
        middle = Decimal(price)
        bids, asks = ((middle - 5, Decimal(50)),), ((middle + 5, Decimal(ask_quantity)),)
        self.exchange.apply(MarketDepth(symbol=symbol, bids=bids, asks=asks, snapshot=True))

    async def signed(self, method: str, path: str, account: str = "parent", **params: Any) -> tuple[int, Any]:
        """A signed request, as Binance's documents have it: the status and the reply."""
        secrets = self.settings(account).secrets
        query = urlencode({"timestamp": time.time_ns() // 1_000_000, **params})
        return await self.send(method, path, f"{query}&signature={sign(secrets['secret'].encode(), query)}", secrets["key"])

    async def send(self, method: str, path: str, query: str = "", key: str = "") -> tuple[int, Any]:
        """A request as it stands."""
        url = f"{self.rehearsal.ready.urls['rest']}{path}"
        body = {"data": query} if method in ("POST", "PUT") else {}
        headers = {"X-MBX-APIKEY": key, "Content-Type": "application/x-www-form-urlencoded"}
        if not body and query:
            url = f"{url}?{query}"
        async with self._http.request(method, url, headers=headers, **body) as response:
            self.headers = response.headers
            return response.status, json.loads(await response.read())

    async def done(self, method: str, path: str, **params: Any) -> Any:
        """A signed request that must be carried out: its reply."""
        status, reply = await self.signed(method, f"/api/v3/{path}", **params)
        assert status == 200, reply
        return reply

    async def refused(self, method: str, path: str, **params: Any) -> tuple[int, str]:
        """A signed request that must be refused: the code and the sentence."""
        status, reply = await self.signed(method, f"/api/v3/{path}", **params)
        assert status >= 400, reply
        return reply["code"], reply["msg"]

    async def socket(self) -> Socket:
        connection = self._http.ws_connect(self.rehearsal.ready.urls["ws_api"])
        return Socket(await self._stack.enter_async_context(connection))

    def signed_params(self, account: str = "parent", **params: Any) -> dict[str, Any]:
        """The parameters of a websocket API request with key, time stamp and signature."""
        secrets = self.settings(account).secrets
        named = {"apiKey": secrets["key"], "timestamp": time.time_ns() // 1_000_000, **params}
        text = "&".join(f"{name}={value}" for name, value in sorted(named.items()))
        return {**named, "signature": sign(secrets["secret"].encode(), text)}

    async def listen(self, account: str = "parent") -> Socket:
        """A connection that has subscribed to the account's user data."""
        socket = await self.socket()
        reply = await socket.ask("userDataStream.subscribe.signature", **self.signed_params(account))
        assert reply["result"] == {"subscriptionId": 0}
        return socket

    async def ccxt(self, account: str = "parent", **options: Any) -> Any:
        """A `ccxt.pro.binance` of this account: unmodified, but for its addresses."""
        secrets = self.settings(account).secrets
        client = ccxt.pro.binance(
            {"apiKey": secrets["key"], "secret": secrets["secret"], "enableRateLimit": False, "options": options}
        )
        rest, ws = self.rehearsal.ready.urls["rest"], self.rehearsal.ready.urls["ws"]
        for name, url in client.urls["api"].items():
            if isinstance(url, str):
                client.urls["api"][name] = f"{rest}/{url.split('/', 3)[3]}"
        client.urls["api"]["ws"]["spot"] = f"{ws}/ws"
        client.urls["api"]["ws"]["ws-api"]["spot"] = self.rehearsal.ready.urls["ws_api"]
        self._stack.push_async_callback(client.close)
        return client


@pytest.fixture
async def make_desk() -> AsyncIterator[Callable[..., Any]]:
    """Starts venues, and ends them after the test."""
    async with AsyncExitStack() as stack:

        async def make(**options: str) -> SpotDesk:
            named = {name.replace("__", ".").replace("_", "-"): value for name, value in options.items()}
            settings = RehearsalSettings(kind="binance", accounts=ACCOUNTS, speed=Decimal(0), options=named)
            rehearsal = await start(settings)
            stack.push_async_callback(rehearsal.stop)
            http = await stack.enter_async_context(aiohttp.ClientSession())
            desk = SpotDesk(rehearsal, stack, http)
            desk.trade("60000")
            return desk

        yield make


@pytest.fixture
async def desk(make_desk: Callable[..., Any]) -> SpotDesk:
    made: SpotDesk = await make_desk()
    return made
