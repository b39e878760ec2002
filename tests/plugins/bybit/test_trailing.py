"""Trailing stops, which Bybit sets on a position: their distance, their names, and what they are told as."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from decimal import Decimal
from typing import Any

from copydesk.model import (
    Accepted,
    FillEvent,
    NewOrder,
    Order,
    OrderChange,
    OrderEvent,
    OrderRef,
    OrderStatus,
    OrderType,
    RejectReason,
    Side,
    Terms,
    Unknown,
)
from copydesk.testing import RehearsalRig
from copydesk.testing.bench import Bench, Listener, rejected
from msgspec.structs import replace

from .conftest import by_hand

LINEAR = {"category": "linear", "symbol": "BTCUSDT", "positionIdx": 0, "tpslMode": "Full"}
DISTANCE = "trailingStop=150"


def is_trailing(event: OrderEvent) -> bool:
    return event.order.terms.type is OrderType.TRAILING_STOP


def trailing(bench: Bench, quantity: Decimal, native: str = DISTANCE, **more: Any) -> Terms:
    values = {"quantity": quantity, "reduce_only": True, "trail_percent": None, "native": native} | more
    return bench.terms(OrderType.TRAILING_STOP, Side.SELL, **values)


async def of_a_parent(bench: Bench, rig: RehearsalRig, listener: Listener) -> Order:
    """The trailing stop that the owner sets by hand, as it is told."""
    after = len(listener.events)
    await by_hand(rig, "position/trading-stop", **LINEAR, trailingStop="150")
    return (await listener.event(OrderEvent, after=after, matches=is_trailing)).order


async def test_a_parents_is_told_with_its_distance(bench: Bench, rig: RehearsalRig) -> None:
    venue, listener = await bench.both()
    bought = await bench.buy(venue, listener)
    told = await of_a_parent(bench, rig, listener)
    assert told.terms == trailing(bench, bought.terms.quantity)
    assert told.client_id == ""
    assert (await bench.snapshot(venue)).orders == (told,)
    assert (await bench.snapshot(await bench.open())).orders == (told,), "a session that has not heard of it"
    await bench.buy(venue, listener)
    grown = (
        await listener.event(OrderEvent, matches=lambda event: event.order.terms.quantity == 2 * bought.terms.quantity)
    ).order
    assert grown.terms == trailing(bench, 2 * bought.terms.quantity)


async def test_a_copy_trails_at_the_parents_distance_and_its_fills_carry_its_name(bench: Bench, rig: RehearsalRig) -> None:
    venue, listener = await bench.both()
    bought = await bench.buy(venue, listener)
    terms = trailing(bench, bought.terms.quantity)
    outcome = await venue.place(NewOrder(client_id="copy", terms=terms))
    assert isinstance(outcome, Accepted)
    assert outcome.order is not None
    assert (outcome.order.client_id, outcome.order.terms) == ("copy", terms)
    told = await listener.order("copy", bool)
    assert (told.venue_id, told.terms) == (outcome.order.venue_id, terms)
    rejected(await venue.place(NewOrder(client_id="copy", terms=terms)), RejectReason.DUPLICATE_ID)
    await rig.trades(bench.last - 200, bench.part)
    [fill] = await listener.filled("copy")
    assert (fill.venue_id, fill.side, fill.quantity) == (told.venue_id, Side.SELL, bought.terms.quantity)
    ended = await listener.order("copy", lambda order: order.status is OrderStatus.FILLED)
    assert (ended.terms, ended.triggered) == (terms, True)


async def test_nothing_is_told_of_one_before_its_name_is_known(bench: Bench) -> None:
    venue, listener = await bench.both()
    bought = await bench.buy(venue, listener)
    trailing_stops = venue._session.trailing
    find, tell, has_told = trailing_stops._find, trailing_stops.told, asyncio.Event()

    async def told(order: Order) -> Order:
        known = await tell(order)
        has_told.set()
        return known

    async def find_later(*given: Any) -> Any:
        """Give the stream, which has the order by now, as long as it needs to tell of it."""
        with suppress(TimeoutError):
            await asyncio.wait_for(has_told.wait(), 0.3)
        return await find(*given)

    trailing_stops.told, trailing_stops._find = told, find_later
    await bench.place(venue, trailing(bench, bought.terms.quantity), "copy")
    await listener.order("copy", bool)
    events = [event.order for event in listener.events if isinstance(event, OrderEvent) and is_trailing(event)]
    assert {order.client_id for order in events} == {"copy"}


async def test_a_share_of_the_price_becomes_a_distance_on_the_tick(bench: Bench) -> None:
    venue, listener = await bench.both()
    bought = await bench.buy(venue, listener)
    terms = trailing(bench, bought.terms.quantity, native="", trail_percent=Decimal("1.00001"))
    placed = await bench.place(venue, terms)
    tick = bench.instrument.price_tick
    [distance] = [Decimal(placed.terms.native.partition("=")[2])]
    assert distance % tick == 0
    assert abs(distance - bench.last * Decimal("0.0100001")) <= tick / 2


async def test_only_all_of_a_position_can_trail(bench: Bench) -> None:
    venue, listener = await bench.both()
    bought = await bench.buy(venue, listener)
    part = trailing(bench, bought.terms.quantity - bench.part)
    refused = rejected(await venue.place(NewOrder(client_id="part", terms=part)), RejectReason.OTHER)
    assert "closes all of a position" in refused.message
    buys = replace(trailing(bench, bought.terms.quantity), side=Side.BUY)
    rejected(await venue.place(NewOrder(client_id="buys", terms=buys)), RejectReason.NOTHING_TO_REDUCE)
    bare = trailing(bench, bought.terms.quantity, native="")
    refused = rejected(await venue.place(NewOrder(client_id="bare", terms=bare)), RejectReason.OTHER)
    assert "how far" in refused.message
    spot = replace(trailing(bench, bench.quantity), symbol="BTCUSDT-SPOT")
    refused = rejected(await venue.place(NewOrder(client_id="spot", terms=spot)), RejectReason.OTHER)
    assert "Spot" in refused.message
    assert not await bench.rig.orders()


async def test_one_whose_reply_was_lost_is_found_by_what_it_asks_for(bench: Bench, rig: RehearsalRig) -> None:
    venue, listener = await bench.both()
    bought = await bench.buy(venue, listener)
    new = NewOrder(client_id="lost", terms=trailing(bench, bought.terms.quantity))
    ref = bench.ref(venue, new)
    hook = venue._session.trailing
    sent = hook._set

    async def lost(*given: Any) -> Any:
        await sent(*given)
        return Unknown(message="no reply")

    hook._set = lost
    assert isinstance(await venue.place(new), Unknown)
    hook._set = sent
    far = replace(new.terms, native="trailingStop=151")
    assert await bench.find(venue, replace(ref, terms=far)) is None
    assert await bench.find(venue, replace(ref, sent_ms=ref.sent_ms + 60_000)) is None
    found = await bench.find(venue, ref)
    assert found is not None
    assert (found.client_id, found.terms) == ("lost", new.terms)
    named = await bench.find(venue, replace(ref, terms=None))
    assert named == found
    fresh, heard = await bench.both()
    assert isinstance(await fresh.cancel(replace(ref, venue_id=found.venue_id)), Accepted)
    gone = await heard.event(OrderEvent, matches=is_trailing)
    assert (gone.order.client_id, gone.order.status) == ("lost", OrderStatus.CANCELLED)


async def test_another_distance_is_a_change_and_another_quantity_is_none(bench: Bench, rig: RehearsalRig) -> None:
    venue, listener = await bench.both()
    bought = await bench.buy(venue, listener)
    placed = await bench.place(venue, trailing(bench, bought.terms.quantity))
    ref = bench.ref(venue, placed)
    more = trailing(bench, bought.terms.quantity + bench.part)
    assert isinstance(await venue.modify(OrderChange(ref=ref, terms=more)), Accepted)
    wider = trailing(bench, bought.terms.quantity, "trailingStop=300")
    assert isinstance(await venue.modify(OrderChange(ref=ref, terms=wider)), Accepted)
    told = await listener.order(placed.client_id, lambda order: order.terms == wider)
    assert told.venue_id == placed.venue_id
    [standing] = await rig.orders()
    assert standing.venue_id == (await bench.snapshot(venue)).orders[0].venue_id
    nobody = OrderRef(symbol=placed.terms.symbol, type=placed.terms.type, client_id="nobody")
    rejected(await venue.modify(OrderChange(ref=nobody, terms=placed.terms)), RejectReason.NOT_FOUND)
    rejected(await venue.cancel(nobody), RejectReason.NOT_FOUND)


async def test_a_parents_new_distance_is_told_as_a_change_of_its_order(bench: Bench, rig: RehearsalRig) -> None:
    venue, listener = await bench.both()
    await bench.buy(venue, listener)
    first = await of_a_parent(bench, rig, listener)
    after = len(listener.events)
    await by_hand(rig, "position/trading-stop", **LINEAR, trailingStop="200")
    told = await listener.event(OrderEvent, after=after, matches=lambda event: "=200" in event.order.terms.native)
    assert told.order.venue_id == first.venue_id
    fills = [event for event in listener.events[after:] if isinstance(event, FillEvent)]
    assert not fills
