"""A rehearsal venue per test, with a still market, and real ccxt clients for its accounts."""

from __future__ import annotations

import json
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import aiohttp
import ccxt.pro
import pytest
from copydesk.model import RehearsalSettings
from copydesk_binance.rehearsal import Rehearsal, start
from copydesk_paper.exchange import MarketDepth, MarketTrade
from copydesk_paper.serving.signatures import sign
from yarl import URL

DEADLINE_S = 40.0
SYMBOL = "BTC/USDT:USDT"
CASH = Decimal(100_000)


class Desk:
    """A running venue, with what tests do to it."""

    def __init__(self, rehearsal: Rehearsal, stack: AsyncExitStack) -> None:
        self.rehearsal = rehearsal
        self.exchange = rehearsal.exchange
        self.rest = rehearsal.ready.urls["rest"]
        self.ws = rehearsal.ready.urls["ws"]
        self._stack = stack
        self._http: aiohttp.ClientSession | None = None

    async def http(self) -> aiohttp.ClientSession:
        if self._http is None:
            self._http = await self._stack.enter_async_context(aiohttp.ClientSession())
        return self._http

    def secrets(self, account: str = "parent") -> dict[str, str]:
        return next(one.secrets for one in self.rehearsal.ready.accounts if one.name == account)

    async def ccxt(self, account: str = "parent", *, secret: str = "", **options: Any) -> Any:
        """A `ccxt.pro.binanceusdm` of this account: unmodified, but for its addresses."""
        secrets = self.secrets(account)
        settings = {"apiKey": secrets["key"], "secret": secret or secrets["secret"]}
        client = ccxt.pro.binanceusdm({**settings, "enableRateLimit": False, "options": options})
        api = client.urls["api"]
        for name, url in api.items():
            if isinstance(url, str):
                api[name] = re.sub(r"^https://[^/]+", self.rest, url)
        api["ws"]["linear"] = f"{self.ws}/ws"
        api["ws"]["ws-api"]["linear"] = self.rehearsal.ready.urls["ws_api"]
        self._stack.push_async_callback(client.close)
        return client

    async def ask(self, method: str, path: str, *, headers: dict[str, str] | None = None, data: str = "") -> Answer:
        """A request as it stands, without key or signature."""
        http = await self.http()
        sent = {"Content-Type": "application/x-www-form-urlencoded", **(headers or {})}
        async with http.request(method, URL(self.rest + path, encoded=True), headers=sent, data=data or None) as response:
            return Answer(response.status, response.headers, await response.read())

    async def signed(self, method: str, path: str, account: str = "parent", **params: Any) -> Answer:
        """A signed request, as Binance's documents have it."""
        secrets = self.secrets(account)
        query = urlencode({"timestamp": time.time_ns() // 1_000_000, **params})
        query += "&signature=" + sign(secrets["secret"].encode(), query)
        headers = {"X-MBX-APIKEY": secrets["key"]}
        if method in ("POST", "PUT"):
            return await self.ask(method, path, headers=headers, data=query)
        return await self.ask(method, f"{path}?{query}", headers=headers)

    async def listen(self, path: str) -> Feed:
        http = await self.http()
        socket = await self._stack.enter_async_context(http.ws_connect(self.ws + path))
        return Feed(socket)

    async def private(self, account: str = "parent") -> Feed:
        """The account's user data stream."""
        answer = await self.ask("POST", "/fapi/v1/listenKey", headers={"X-MBX-APIKEY": self.secrets(account)["key"]})
        return await self.listen(f"/private/ws?listenKey={answer.json['listenKey']}")

    async def fault(self, name: str, **fields: Any) -> None:
        http = await self.http()
        async with http.post(f"{self.rehearsal.ready.control_url}/faults", json={"name": name, **fields}) as response:
            assert response.status == 201, await response.text()

    def trade(self, price: str, quantity: str = "0.001", symbol: str = "BTCUSDT") -> None:
        """The market trades at a price, with the book around it."""
        middle = Decimal(price)
        bids, asks = ((middle - 5, Decimal(50)),), ((middle + 5, Decimal(50)),)
        self.exchange.apply(MarketDepth(symbol=symbol, bids=bids, asks=asks, snapshot=True))
        trade = MarketTrade(symbol=symbol, price=middle, quantity=Decimal(quantity), buyer_is_maker=False)
        self.exchange.apply(trade)


class Answer:
    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.json = json.loads(body) if body else None

    @property
    def code(self) -> int:
        return self.json.get("code", 0) if isinstance(self.json, dict) else 0


class Feed:
    """The reading end of a websocket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def next(self) -> Any:
        """The next frame. Raises ConnectionError at the end of the connection."""
        message = await self.socket.receive(timeout=DEADLINE_S)
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise ConnectionError(str(message.type))
        return json.loads(message.data)

    async def until(self, is_wanted: Callable[[Any], bool]) -> list[Any]:
        """All frames up to the first wanted one."""
        seen = []
        while True:
            seen.append(await self.next())
            if is_wanted(seen[-1]):
                return seen

    async def ask(self, method: str, params: Any, id_: Any = 1) -> Any:
        await self.socket.send_str(json.dumps({"method": method, "params": params, "id": id_}))
        return (await self.until(lambda frame: frame.get("id") == id_))[-1]


@pytest.fixture(scope="session")
def desk_type() -> type[Desk]:
    """For tests that keep a venue of their own."""
    return Desk


Open = Callable[..., Awaitable[Desk]]


@pytest.fixture
async def open_desk() -> AsyncIterator[Open]:
    """Start a venue with settings of one's own."""
    async with AsyncExitStack() as stack:

        async def open_(**fields: Any) -> Desk:
            defaults = {"kind": "binance-futures", "accounts": {"parent": CASH, "child": CASH}, "speed": Decimal(0)}
            rehearsal = await start(RehearsalSettings(**{**defaults, **fields}))
            stack.push_async_callback(rehearsal.stop)
            desk = Desk(rehearsal, stack)
            if "BTCUSDT" in rehearsal.ready.symbols and not fields.get("market"):
                desk.trade("60000")
            return desk

        yield open_


@pytest.fixture
async def desk(open_desk: Open) -> Desk:
    return await open_desk()
