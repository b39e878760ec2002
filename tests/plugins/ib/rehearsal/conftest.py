"""A rehearsal TWS whose market stands still, and clients that speak its wire by the tables."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any

import httpx
import pytest
from copydesk.model import RehearsalSettings
from copydesk_ib.rehearsal import Rehearsal, start
from copydesk_ib.rehearsal.layout import read, write
from copydesk_ib.rehearsal.messages import MESSAGES
from copydesk_ib.rehearsal.requests import REQUESTS
from copydesk_ib.rehearsal.wire import Fields, Reader, encode, fields_of

STANDSTILL = Decimal("0.0001")
ACCOUNTS = {"parent": Decimal(100_000), "child": Decimal(50_000)}
PARENT, CHILD = "DU1234567", "DU1234568"
_NAMES = {number: (name, layout) for name, (number, layout) in MESSAGES.items() if not name.startswith("tickByTick")}
_NUMBERS = {name: (number, layout) for number, (name, layout) in REQUESTS.items()}
_VERSIONED = {number for number, (_, layout) in REQUESTS.items() if layout and str(layout[0]).split()[0] == "v"}
Told = dict[str, Any]


class Blank(dict[str, Any]):
    """What a message is to say; all else is left blank."""

    def __missing__(self, name: str) -> str:
        return ""


class WireClient:
    """One API client. `heard` is all that it was told, as (name, fields), in order."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard: list[tuple[str, Told]] = []
        self.version = 0
        self.closed = False
        self.order_id = 0
        self._reader, self._writer = reader, writer
        self._stream = Reader()
        self._news = asyncio.Event()
        self._task = asyncio.create_task(self._listen())

    async def _listen(self) -> None:
        try:
            while data := await self._reader.read(65_536):
                self._stream.feed(data)
                while (message := self._stream.next()) is not None:
                    self._hear(fields_of(message))
                self._news.set()
        except ConnectionError:
            pass
        self.closed = True
        self._news.set()

    def _hear(self, fields: list[str]) -> None:
        if not self.version:
            self.version = int(fields[0])
            return
        number = int(fields[0])
        if number not in _NAMES:
            self.heard.append((str(number), {"fields": fields[1:]}))
            return
        name, layout = _NAMES[number]
        rest = Fields(fields[1:])
        self.heard.append((name, read(layout, rest, self.version)))
        assert rest.left == 0, f"{name} has {rest.left} fields too many"

    def send(self, name: str, **told: Any) -> None:
        number, layout = _NUMBERS[name]
        self._writer.write(encode([str(number), *write(layout, Blank({"v": 1, **told}), self.version)]))

    def raw(self, *fields: str) -> None:
        self._writer.write(encode(fields))

    def place(self, symbol: str = "AAPL", *, order_id: int = 0, account: str = PARENT, **told: Any) -> int:
        """Send a placeOrder: bought, ten, at the market, at once, if nothing else is said. Returns its order id."""
        if not order_id:
            self.order_id += 1
            order_id = self.order_id
        contract = {"symbol": symbol, "secType": "STK", "exchange": "SMART", "currency": "USD"}
        order = {"action": "BUY", "totalQuantity": "10", "orderType": "MKT", "tif": "DAY", "transmit": True}
        self.send("place_order", **{**contract, **order, "orderId": order_id, "account": account, **told})
        return order_id

    async def until(self, name: str, **wanted: Any) -> Told:
        """The first message of that name with those fields, waiting for it."""
        texts = {key: str(value) for key, value in wanted.items()}
        async with asyncio.timeout(40):
            seen = 0
            while True:
                for heard, told in self.heard[seen:]:
                    seen += 1
                    if heard == name and all(told[key] == value for key, value in texts.items()):
                        return told
                assert not self.closed, f"the connection ended while waiting for {name} {wanted}"
                self._news.clear()
                await self._news.wait()

    async def until_closed(self) -> None:
        async with asyncio.timeout(40):
            while not self.closed:
                self._news.clear()
                await self._news.wait()

    async def settled(self) -> list[tuple[str, Told]]:
        """All that was told, once the server has answered everything before this."""
        known = len(self.heard)
        self.send("current_time")
        async with asyncio.timeout(40):
            while not any(name == "currentTime" for name, _ in self.heard[known:]):
                self._news.clear()
                await self._news.wait()
        return self.heard

    async def all(self, name: str, **wanted: Any) -> list[Told]:
        """All messages of that name with those fields, once the server has answered everything."""
        texts = {key: str(value) for key, value in wanted.items()}
        return [
            told for heard, told in await self.settled() if heard == name and all(told[k] == v for k, v in texts.items())
        ]

    def forget(self) -> None:
        self.heard.clear()

    async def close(self) -> None:
        self._writer.close()
        await self._task


Connect = Callable[..., Awaitable[WireClient]]
Launch = Callable[..., Awaitable[Rehearsal]]


@pytest.fixture
async def launch() -> AsyncIterator[Launch]:
    """Starts rehearsals: `await launch(**options)`."""
    async with AsyncExitStack() as stack:

        async def launch(*, market: str = "", **options: str) -> Rehearsal:
            given = {name.replace("_", "-"): value for name, value in options.items()}
            rehearsal = await start(
                RehearsalSettings(kind="ib", accounts=ACCOUNTS, market=market, speed=STANDSTILL, options=given)
            )
            stack.push_async_callback(rehearsal.stop)
            return rehearsal

        yield launch


@pytest.fixture
async def tws(launch: Launch) -> Rehearsal:
    return await launch()


@pytest.fixture
async def connect(tws: Rehearsal) -> AsyncIterator[Connect]:
    """Opens clients: `await connect(client_id)`, ready for requests."""
    async with AsyncExitStack() as stack:

        async def connect(
            client_id: int = 1, *, versions: str = "v157..178", to: Rehearsal = tws, login: int = 0
        ) -> WireClient:
            streams = await asyncio.open_connection("127.0.0.1", to.logins[login].port)
            client = WireClient(*streams)
            stack.push_async_callback(client.close)
            streams[1].write(b"API\0" + len(versions).to_bytes(4, "big") + versions.encode())
            async with asyncio.timeout(40):
                while not client.version:
                    assert not client.closed, "the server speaks none of these versions"
                    client._news.clear()
                    await client._news.wait()
            client.send("start_api", v=2, clientId=client_id)
            client.order_id = int((await client.until("nextValidId"))["id"]) - 1
            await client.settled()
            client.forget()
            return client

        yield connect


@pytest.fixture
async def control(tws: Rehearsal) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=tws.ready.control_url, trust_env=False) as http:
        yield http
