"""A rehearsal venue per test, with a still market, and real clients for its accounts."""

from __future__ import annotations

import asyncio
import json
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
from copydesk_bybit.rehearsal import Rehearsal, start
from copydesk_paper.exchange import MarketDepth, MarketTrade
from copydesk_paper.serving.signatures import sign

DEADLINE_S = 40.0
CASH = Decimal(100_000)


class Desk:
    """A running venue, with what tests do to it."""

    def __init__(self, rehearsal: Rehearsal, stack: AsyncExitStack) -> None:
        self.rehearsal = rehearsal
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

    async def ccxt(self, account: str = "parent", **options: Any) -> Any:
        """A `ccxt.pro.bybit` of this account: unmodified, but for its addresses."""
        secrets = self.secrets(account)
        client = ccxt.pro.bybit(
            {"apiKey": secrets["key"], "secret": secrets["secret"], "enableRateLimit": False, "options": options}
        )
        api = client.urls["api"]
        for name in ("public", "private", "spot", "futures", "v2"):
            api[name] = self.rest
        for category in ("linear", "inverse", "spot"):
            api["ws"]["public"][category] = f"{self.ws}/v5/public/{category}"
        api["ws"]["private"]["contract"] = f"{self.ws}/v5/private"
        api["ws"]["private"]["trade"] = f"{self.ws}/v5/trade"
        self._stack.push_async_callback(client.close)
        return client

    async def ask(self, method: str, path: str, *, headers: dict[str, str] | None = None, data: str = "") -> Answer:
        """A request as it stands, without key or signature."""
        http = await self.http()
        async with http.request(method, self.rest + path, headers=headers, data=data or None) as response:
            return Answer(response.status, response.headers, await response.read())

    async def signed(self, method: str, path: str, account: str = "parent", **params: Any) -> Answer:
        """A signed request, as Bybit's documents have it."""
        secrets = self.secrets(account)
        payload = json.dumps(params) if method == "POST" else urlencode(params)
        stamp = str(time.time_ns() // 1_000_000)
        headers = {
            "X-BAPI-API-KEY": secrets["key"],
            "X-BAPI-TIMESTAMP": stamp,
            "X-BAPI-RECV-WINDOW": "5000",
            "X-BAPI-SIGN": sign(secrets["secret"].encode(), f"{stamp}{secrets['key']}5000{payload}"),
        }
        if method == "POST":
            return await self.ask("POST", path, headers=headers, data=payload)
        return await self.ask(method, f"{path}?{payload}" if payload else path, headers=headers)

    async def get(self, path: str, account: str = "parent", **params: Any) -> Any:
        """The result of a signed read that must be answered."""
        answer = await self.signed("GET", f"/v5/{path}", account, **params)
        assert answer.code == 0, answer.json
        return answer.json["result"]

    async def post(self, path: str, account: str = "parent", **params: Any) -> Any:
        """The result of a signed request that must be carried out."""
        answer = await self.signed("POST", f"/v5/{path}", account, **params)
        assert answer.code == 0, answer.json
        return answer.json["result"]

    async def refused(self, path: str, account: str = "parent", **params: Any) -> tuple[int, str]:
        """The code and the sentence of a request that must be refused, with HTTP 200."""
        answer = await self.signed("POST", f"/v5/{path}", account, **params)
        assert answer.status == 200
        assert answer.code != 0, answer.json
        return answer.code, answer.json["retMsg"]

    async def listen(self, path: str) -> Feed:
        http = await self.http()
        return Feed(await self._stack.enter_async_context(http.ws_connect(self.ws + path)))

    def auth(self, account: str = "parent") -> dict[str, Any]:
        """What logs a websocket in."""
        secrets = self.secrets(account)
        expires = time.time_ns() // 1_000_000 + 10_000
        signature = sign(secrets["secret"].encode(), f"GET/realtime{expires}")
        return {"op": "auth", "args": [secrets["key"], expires, signature]}

    async def private(self, *topics: str, account: str = "parent") -> Feed:
        """The account's private stream, listening to these topics (else to the four)."""
        feed = await self.listen("/v5/private")
        assert (await feed.ask(self.auth(account)))["success"]
        wanted = list(topics) or ["order", "execution", "position", "wallet"]
        assert (await feed.ask({"op": "subscribe", "args": wanted, "req_id": "1"}))["success"]
        return feed

    async def entry(self, account: str = "parent") -> Feed:
        """A connection to order entry."""
        feed = await self.listen("/v5/trade")
        assert (await feed.ask(self.auth(account)))["retCode"] == 0
        return feed

    async def listening(self, account: str, *topics: str) -> None:
        """Wait until somebody listens to all of these topics of an account."""
        while not self.rehearsal.streams.listeners(account, *topics):  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # there is no event to wait for

    async def fault(self, name: str, **fields: Any) -> None:
        http = await self.http()
        async with http.post(f"{self.rehearsal.ready.control_url}/faults", json={"name": name, **fields}) as response:
            assert response.status == 201, await response.text()

    def trade(self, price: str, symbol: str = "BTCUSDT") -> None:
        """The market trades at a price, with the book around it."""
        middle = Decimal(price)
        bids, asks = ((middle - 5, Decimal(5000)),), ((middle + 5, Decimal(5000)),)
        self.rehearsal.exchange.apply(MarketDepth(symbol=symbol, bids=bids, asks=asks, snapshot=True))
        trade = MarketTrade(symbol=symbol, price=middle, quantity=Decimal(1), buyer_is_maker=False)
        self.rehearsal.exchange.apply(trade)


class Answer:
    def __init__(self, status: int, headers: Any, body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.text = body.decode()
        self.json = json.loads(body) if body.startswith(b"{") else None

    @property
    def code(self) -> int:
        return self.json["retCode"] if self.json else -1


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

    async def ask(self, request: dict[str, Any]) -> Any:
        """Send an operation and wait for what answers it."""
        await self.socket.send_str(json.dumps(request))
        return (await self.until(lambda frame: "topic" not in frame))[-1]

    async def order(self, status: str, **fields: Any) -> Any:
        """The next order row of this status and fields."""
        frames = await self.until(lambda frame: _fits(frame, "order", {"orderStatus": status, **fields}))
        return frames[-1]["data"][0]

    async def row(self, topic: str, **fields: Any) -> Any:
        """The next row of a topic that has these fields."""
        return (await self.until(lambda frame: _fits(frame, topic, fields)))[-1]["data"][0]


def _fits(frame: Any, topic: str, fields: dict[str, Any]) -> bool:
    return frame.get("topic") == topic and all(frame["data"][0].get(name) == value for name, value in fields.items())


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
            defaults = {"kind": "bybit", "accounts": {"parent": CASH, "child": CASH}, "speed": Decimal(0)}
            rehearsal = await start(RehearsalSettings(**{**defaults, **fields}))
            stack.push_async_callback(rehearsal.stop)
            desk = Desk(rehearsal, stack)
            if not fields.get("market"):
                for symbol in ("BTCUSDT", "BTCUSD", "BTCUSDT-SPOT"):
                    desk.trade("60000", symbol)
            return desk

        yield open_


@pytest.fixture
async def desk(open_desk: Open) -> Desk:
    return await open_desk(options={"coins": "BTC=1"})
