"""A venue of a few lines, in the engine's own process and without a socket, and an engine with its journal on it.

Every order is taken, a market order is filled at once; the answer and what the child's stream tells come after `answer_s`.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import copydesk.engine
from copydesk.bots import BotStore
from copydesk.config import BotSettings, ChildSettings, Config
from copydesk.engine import Engine
from copydesk.hooks import Done, Plugin, Tell
from copydesk.journal import Journal
from copydesk.livedesk import LiveDesk
from copydesk.model import (
    Accepted,
    Balance,
    Capabilities,
    ConnectionSettings,
    Contract,
    Fill,
    FillEvent,
    Gap,
    Instrument,
    KindInfo,
    NewOrder,
    Order,
    OrderChange,
    OrderEvent,
    OrderRef,
    OrderStatus,
    OrderType,
    Outcome,
    Position,
    Snapshot,
    SnapshotRequest,
    Subscription,
    Terms,
    VenueEvent,
)
from copydesk.plans import StartOrder
from copydesk.plugins import Loaded
from copydesk.secrets import SealedFile
from copydesk.view import ConnectionState
from msgspec.structs import replace

KIND, SYMBOL = "bench", "BTCUSDT"
PRICE = Decimal(60_000)
READY_S = 120.0
INSTRUMENT = Instrument(
    symbol=SYMBOL,
    base="BTC",
    quote="USDT",
    settle="USDT",
    contract=Contract.LINEAR,
    price_tick=Decimal("0.1"),
    quantity_step=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
)
CASH = Balance(account="", currency="USDT", equity=Decimal(100_000), cash=Decimal(100_000), available=Decimal(100_000))
KINDS = KindInfo(
    kind=KIND,
    title="Benchmark",
    capabilities=Capabilities(order_types=frozenset(OrderType), amend=frozenset({OrderType.STOP_MARKET, OrderType.LIMIT})),
)


class Session:
    """An account of a venue that is a few lines of this process."""

    instruments: Mapping[str, Instrument] = {SYMBOL: INSTRUMENT}
    accounts = ("",)
    rehearsal = True
    there: dict[str, Session] = {}
    sent_ns: list[int] = []
    answer_s = 0.0
    answers = 0  # how many of them were answered and told of

    def __init__(self, name: str) -> None:
        self.name = name
        self.orders: dict[str, Order] = {}
        self.held = Decimal(0)
        self.under_way = self.most_under_way = 0
        self._tell: Tell = lambda event, at_ns: None
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.there[name] = self

    async def listen(self, subscription: Subscription, tell: Tell) -> None:
        if subscription.private:
            self._tell = tell
            tell(Gap(reason="listening"), 0)
        await self._ended.wait()

    async def subscribe(self, subscription: Subscription) -> AsyncIterator[VenueEvent]:
        events: asyncio.Queue[VenueEvent] = asyncio.Queue()
        if subscription.private:
            self._tell = lambda event, at_ns: events.put_nowait(event)
            yield Gap(reason="listening")
        while True:
            yield await events.get()

    def told(self, order: Order) -> None:
        """Tell of an order on the stream."""
        self.orders[order.client_id] = order
        if order.status is OrderStatus.FILLED:
            terms = order.terms
            self.held += terms.side.sign * order.filled
            fill = Fill(
                symbol=SYMBOL,
                side=terms.side,
                quantity=order.filled,
                price=PRICE,
                execution_id=order.venue_id,
                venue_id=order.venue_id,
                client_id=order.client_id,
                time_ms=order.updated_ms,
            )
            self._tell(FillEvent(fill=fill), time.perf_counter_ns())
        self._tell(OrderEvent(order=order), time.perf_counter_ns())

    def order(self, name: str, terms: Terms) -> Order:
        """An order that has come to its end where it is a market order, else one that stands."""
        order = Order(
            venue_id=f"v{name}",
            client_id=name,
            terms=terms,
            status=OrderStatus.NEW,
            created_ms=now_ms(),
            updated_ms=now_ms(),
        )
        if terms.type is not OrderType.MARKET:
            return order
        return replace(order, status=OrderStatus.FILLED, filled=terms.quantity, average_price=PRICE)

    def fire(self, order: NewOrder, done: Done) -> bool:
        return self._sent(self.order(order.client_id, order.terms), done)

    def fire_cancel(self, order: OrderRef, done: Done) -> bool:
        return self._sent(replace(self.orders[order.client_id], status=OrderStatus.CANCELLED, updated_ms=now_ms()), done)

    def fire_modify(self, change: OrderChange, done: Done) -> bool:
        return self._sent(replace(self.orders[change.ref.client_id], terms=change.terms, updated_ms=now_ms()), done)

    def _sent(self, order: Order, done: Done) -> bool:
        self.sent_ns.append(time.perf_counter_ns())
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        if self.answer_s:
            self._loop.call_later(self.answer_s, self._answer, done, order)
        else:
            self._loop.call_soon(self._answer, done, order)
        return True

    def _answer(self, done: Done, order: Order) -> None:
        self.under_way -= 1
        done(Accepted(order=order))
        self.told(order)
        Session.answers += 1

    async def place(self, order: NewOrder) -> Outcome:
        return await self._wait(self.fire, order)

    async def modify(self, change: OrderChange) -> Outcome:
        return await self._wait(self.fire_modify, change)

    async def cancel(self, order: OrderRef) -> Outcome:
        return await self._wait(self.fire_cancel, order)

    async def _wait(self, fire: Any, what: Any) -> Outcome:
        came: asyncio.Future[Outcome] = self._loop.create_future()
        fire(what, came.set_result)
        return await came

    async def snapshot(self, request: SnapshotRequest) -> Snapshot:
        held = (Position(symbol=SYMBOL, quantity=self.held, mark_price=PRICE),) if self.held else ()
        there = [order for order in self.orders.values() if order.is_working]
        there += [self.orders[ref.client_id] for ref in request.look_up if ref.client_id in self.orders]
        return Snapshot(time_ms=now_ms(), balance=CASH, orders=tuple(there), positions=held)

    async def close(self) -> None:
        self._ended.set()


async def connect(settings: ConnectionSettings) -> Session:
    return Session(settings.name)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def engine_with(bots: Mapping[str, tuple[str, ...]]) -> AsyncIterator[Engine]:
    """A running engine. `bots`: by parent, its children, which follow by a half. All are connected and started."""
    loaded = Loaded(Plugin("copydesk", KINDS, connect=connect), "bench", KINDS)
    copydesk.engine.load_kind = lambda kind: loaded  # type: ignore[attr-defined]
    Session.there.clear()
    names = [name for parent, children in bots.items() for name in (parent, *children)]
    with tempfile.TemporaryDirectory(prefix="copydesk-bench-") as place:
        folder = Path(place)
        config = Config.model_validate({"connections": {name: {"kind": KIND} for name in names}})
        store = BotStore.load(folder)
        with Journal.open(folder / "journal.db") as journal:
            engine = Engine(config, store, journal, SealedFile(folder, lambda: ""))
            await engine.start()
            desk = LiveDesk(engine, config, store)
            desk.start()
            async with asyncio.timeout(READY_S):
                while any(one.state is not ConnectionState.CONNECTED for one in engine.connections.values()):
                    await asyncio.sleep(0.01)
                for parent, children in bots.items():
                    table = [ChildSettings(account=name, mode="multiplier", value=Decimal("0.5")) for name in children]
                    store.add(BotSettings(name=parent, parent=parent, children=tuple(table)), config)
                    engine.configure()
                    await desk.start_bot(parent, StartOrder())
            yield engine
            await engine.stop()
