"""What a reader knows in the end is what happened, however the venue misbehaves meanwhile."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from copydesk.model import (
    Fill,
    FillEvent,
    Gap,
    NewOrder,
    Order,
    OrderEvent,
    OrderRef,
    OrderType,
    Side,
    Snapshot,
    SnapshotRequest,
    StreamLost,
    Subscription,
)
from copydesk_binance import futures_plugin as plugin
from copydesk_binance.session import Session
from msgspec.structs import replace

from .conftest import DEADLINE_S, SYMBOL, Rig

ACTIONS = 90


class Reader:
    """Keeps the newest state of each order and each fill once, from events and, after a `Gap`, from snapshots."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.orders: dict[str, Order] = {}
        self.fills: dict[str, Fill] = {}
        self.gaps = self.losses = 0
        self.told: set[str] = set()
        self._since = session.venue.now_ms() - 1000
        self._last = asyncio.Event()

    def keep(self, order: Order) -> None:
        known = self.orders.get(order.venue_id)
        rank = (order.status.is_final, order.filled, order.updated_ms)
        if known is None or rank >= (known.status.is_final, known.filled, known.updated_ms):
            self.orders[order.venue_id] = order

    def take(self, snapshot: Snapshot) -> None:
        for order in snapshot.orders:
            self.keep(order)
        for fill in snapshot.fills:
            self.fills[fill.execution_id] = fill

    async def run(self) -> None:
        async for event in plugin.subscribe(self.session, Subscription()):
            if isinstance(event, Gap):
                self.gaps += 1
                self.take(await plugin.snapshot(self.session, SnapshotRequest(since_ms=self._since, symbols=(SYMBOL,))))
            elif isinstance(event, StreamLost):
                self.losses += 1
            elif isinstance(event, OrderEvent):
                self.told.add(event.order.venue_id)
                self.keep(event.order)
                if event.order.client_id == "the-last":
                    self._last.set()
            elif isinstance(event, FillEvent):
                self.fills[event.fill.execution_id] = event.fill

    async def until_the_last(self) -> None:
        await self._last.wait()


@pytest.mark.parametrize(
    "faults",
    [(), ("duplicate-events",), ("reorder",), ("drop-stream",), ("drop-stream", "duplicate-events", "reorder")],
    ids=lambda faults: "+".join(faults) or "none",
)
async def test_what_is_known_in_the_end_is_what_happened(rig: Rig, faults: tuple[str, ...]) -> None:
    session = await rig.connect()
    reader = Reader(session)
    reading = asyncio.create_task(reader.run())
    for fault in faults:
        await rig.fault(fault, every=9 if fault == "drop-stream" else 4, count=1000)
    chance = random.Random(7)
    working: list[tuple[str, OrderType]] = []
    for number in range(ACTIONS):
        await act(rig, session, chance, number, working)
        if number % 15 == 0:  # some of it happens unseen, and some of it is seen
            await until_streaming(session, reading)
    await rig.clear_faults()
    await until_streaming(session, reading)
    async with asyncio.timeout(DEADLINE_S):
        await rig.place(session, "the-last", rig.terms(OrderType.LIMIT))
        await asyncio.wait((reading, asyncio.create_task(reader.until_the_last())), return_when=asyncio.FIRST_COMPLETED)
    if reading.done():
        reading.result()
    account = rig.rehearsal.venue.accounts["parent"]
    names = {order.venue_id: order.client_id for order in rig.exchange.orders("parent")}
    names |= {exchange_id: algo.client_id for exchange_id, algo in account.algo_of.items()}
    truth = [replace(order, client_id=names[order.venue_id]) for order in rig.exchange.orders("parent")]
    assert known(reader.orders.values()) == known(truth)
    told = {order.venue_id: order.client_id for order in reader.orders.values()}
    fills = {fill.execution_id: names[fill.venue_id] for fill in rig.exchange.fills("parent")}
    assert {fill.execution_id: told[fill.venue_id] for fill in reader.fills.values()} == fills
    conditional = [order for order in reader.orders.values() if order.terms.type.is_conditional]
    assert {order.venue_id.startswith("algo:") for order in conditional} == {True}
    assert sum(order.triggered for order in conditional) >= 3
    if "drop-stream" in faults:
        assert reader.losses >= 2
        assert reader.gaps > reader.losses
    else:
        assert reader.losses == 0


async def until_streaming(session: Session, reading: asyncio.Task[None]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not session.streaming:
            await asyncio.wait((reading,), timeout=0.02)


def known(orders: Any) -> dict[str, tuple[Any, ...]]:
    """What must be the same on both sides."""
    return {
        order.client_id: (
            order.terms.type,
            order.terms.side,
            order.terms.quantity,
            order.status,
            order.filled,
            order.triggered,
        )
        for order in orders
    }


async def act(rig: Rig, session: Session, chance: random.Random, number: int, working: list[tuple[str, OrderType]]) -> None:
    """One thing that happens: an order placed here or by hand, a cancel, a move of the market."""
    what = chance.random()
    if what < 0.5 or not working:
        type_ = chance.choice(list(OrderType))
        terms = rig.terms(type_, chance.choice(list(Side)), quantity=chance.choice(["0.010", "0.020"]))
        name = f"o-{number}"
        if chance.random() < 0.4:
            if not type_.is_conditional:  # by hand, often looking like a stop that waits
                rig.exchange.place("parent", terms, name)
                working.append((name, type_))
            return
        await plugin.place(session, NewOrder(client_id=name, terms=terms))
        working.append((name, type_))
    elif what < 0.65:
        name, type_ = working.pop(chance.randrange(len(working)))
        await plugin.cancel(session, OrderRef(symbol=SYMBOL, type=type_, client_id=name))
    else:
        rig.trade_at(rig.near(chance.choice(["0.978", "0.99", "1.01", "1.022"])))
