"""C42 to C54: modifying, cancelling, and the one life of a conditional order."""

from __future__ import annotations

from typing import Any

import pytest

from copydesk.model import (
    Accepted,
    OrderChange,
    OrderRef,
    OrderStatus,
    OrderType,
    Outcome,
    Rejected,
    RejectReason,
    Side,
)
from copydesk.testing.bench import Bench, rejected
from copydesk.venue import Venue

_WAITING = [type_ for type_ in OrderType if type_ is not OrderType.MARKET]
_CONDITIONAL = [type_ for type_ in OrderType if type_.is_conditional]


class Changing:
    """Working orders that change or end."""

    @pytest.mark.parametrize("type_", _WAITING, ids=str)
    async def test_c42_modify_changes_the_order(self, bench: Bench, type_: OrderType) -> None:
        """An amendable order gets its new price and total quantity, and stays the same order under the same ids."""
        bench.needs(type_ in bench.capabilities.amend, f"{type_} orders cannot be amended")
        venue, listener = await bench.both()
        placed = await bench.place(venue, bench.terms(type_))
        changes: dict[str, Any] = {"quantity": bench.quantity + bench.part}
        if type_.has_price:
            changes["price"] = bench.near("0.965")
        wanted = bench.terms(type_, **changes)
        outcome = await venue.modify(OrderChange(ref=bench.ref(venue, placed), terms=wanted))
        assert isinstance(outcome, Accepted), outcome
        told = await listener.order(placed.client_id, lambda order: order.terms == wanted)
        assert told.venue_id == placed.venue_id
        assert told.is_working
        there = await bench.at_venue(placed)
        assert there is not None
        assert (there.terms.quantity, there.terms.price) == (wanted.quantity, wanted.price)
        assert len(await bench.rig.orders()) == 1

    @pytest.mark.parametrize("type_", _CONDITIONAL, ids=str)
    async def test_c43_modify_changes_the_trigger(self, bench: Bench, type_: OrderType) -> None:
        """Where a trigger or trail can be amended, it is, and the order stays the same."""
        can = type_ in bench.capabilities.amend and not bench.capabilities.amend_price_and_quantity_only
        bench.needs(can, f"triggers of {type_} orders cannot be amended")
        venue, listener = await bench.both()
        placed = await bench.place(venue, bench.terms(type_))
        if type_ is OrderType.TRAILING_STOP:
            wanted = bench.terms(type_, trail_percent=placed.terms.trail_percent * 2)  # type: ignore[operator]
        else:
            stops = type_ in (OrderType.STOP_MARKET, OrderType.STOP_LIMIT)
            wanted = bench.terms(type_, trigger_price=bench.near("1.03" if stops else "0.96"))
        outcome = await venue.modify(OrderChange(ref=bench.ref(venue, placed), terms=wanted))
        assert isinstance(outcome, Accepted), outcome
        told = await listener.order(placed.client_id, lambda order: order.terms == wanted)
        assert told.venue_id == placed.venue_id

    async def test_c44_quantity_is_the_total(self, bench: Bench) -> None:
        """The quantity of a modify counts what is filled already."""
        bench.needs(OrderType.LIMIT in bench.capabilities.amend, "limit orders cannot be amended")
        venue, listener = await bench.both()
        placed = await bench.place(venue, bench.terms())
        await bench.rig.fills(placed, bench.part)
        await listener.order(placed.client_id, lambda order: order.filled)
        wanted = bench.terms(quantity=bench.quantity + bench.part)
        outcome = await venue.modify(OrderChange(ref=bench.ref(venue, placed), terms=wanted))
        assert isinstance(outcome, Accepted), outcome
        told = await listener.order(placed.client_id, lambda order: order.terms.quantity == wanted.quantity)
        assert (told.filled, told.status) == (bench.part, OrderStatus.PARTIALLY_FILLED)

    async def test_c45_modify_that_changes_nothing(self, bench: Bench) -> None:
        """A modify to what the order is already is Rejected(unchanged), or accepted without a change."""
        bench.needs(OrderType.LIMIT in bench.capabilities.amend, "limit orders cannot be amended")
        venue = await bench.open()
        placed = await bench.place(venue, bench.terms())
        outcome = await venue.modify(OrderChange(ref=bench.ref(venue, placed), terms=placed.terms))
        if not isinstance(outcome, Accepted):
            rejected(outcome, RejectReason.UNCHANGED)
        there = await bench.at_venue(placed)
        assert there is not None
        assert (there.terms.price, there.terms.quantity) == (placed.terms.price, placed.terms.quantity)

    async def test_c46_modify_of_an_unknown_order(self, bench: Bench) -> None:
        """A modify of an order that is not working is Rejected(not-found)."""
        bench.needs(OrderType.LIMIT in bench.capabilities.amend, "limit orders cannot be amended")
        venue, listener = await bench.both()
        terms = bench.terms()
        never = OrderRef(account=venue.accounts[0], symbol=terms.symbol, type=terms.type, client_id=bench.client_id())
        rejected(await venue.modify(OrderChange(ref=never, terms=terms)), RejectReason.NOT_FOUND)
        placed = await bench.place(venue, terms)
        await bench.rig.cancels(placed)
        await listener.order(placed.client_id, lambda order: not order.is_working)
        moved = bench.terms(price=bench.near("0.965"))
        gone = await venue.modify(OrderChange(ref=bench.ref(venue, placed), terms=moved))
        rejected(gone, RejectReason.NOT_FOUND)
        assert not await bench.rig.orders()

    @pytest.mark.parametrize("type_", _WAITING, ids=str)
    async def test_c47_what_cannot_be_amended_stays(self, bench: Bench, type_: OrderType) -> None:
        """A modify of a type that cannot be amended is Rejected; nothing is cancelled to replace it."""
        if type_ in bench.capabilities.amend:
            bench.lacks(f"{type_} orders can be amended")
        venue = await bench.open()
        placed = await bench.place(venue, bench.terms(type_))
        wanted = bench.terms(type_, quantity=bench.quantity + bench.part)
        outcome = await venue.modify(OrderChange(ref=bench.ref(venue, placed), terms=wanted))
        assert isinstance(outcome, Rejected), outcome
        there = await bench.at_venue(placed)
        assert there is not None, "it was cancelled"
        assert there.terms.quantity == placed.terms.quantity

    @pytest.mark.parametrize("type_", _WAITING, ids=str)
    async def test_c48_cancel_by_client_id(self, bench: Bench, type_: OrderType) -> None:
        """A working order of each type is cancelled by its client id alone, told as cancelled, and gone at the venue."""
        venue, listener = await bench.both()
        placed = await bench.place(venue, bench.terms(type_))
        ref = OrderRef(account=venue.accounts[0], symbol=placed.terms.symbol, type=type_, client_id=placed.client_id)
        outcome = await venue.cancel(ref)
        assert isinstance(outcome, Accepted), outcome
        told = await listener.order(placed.client_id, lambda order: not order.is_working)
        assert told.status is OrderStatus.CANCELLED
        assert not await bench.rig.orders()

    async def test_c49_cancel_by_venue_id(self, bench: Bench) -> None:
        """An order placed by hand is cancelled by the venue's id alone, or Rejected(permission): it is its owner's."""
        venue, listener = await bench.both()
        by_hand = await bench.rig.parent_places(bench.terms(), bench.client_id())
        told = await listener.order(by_hand.client_id, bool)
        ref = OrderRef(account=venue.accounts[0], symbol=told.terms.symbol, type=told.terms.type, venue_id=told.venue_id)
        outcome = await venue.cancel(ref)
        if not isinstance(outcome, Accepted):
            rejected(outcome, RejectReason.PERMISSION)
            assert await bench.at_venue(by_hand)
            return
        await listener.order(by_hand.client_id, lambda order: order.status is OrderStatus.CANCELLED)

    @pytest.mark.parametrize("type_", _WAITING, ids=str)
    async def test_c50_cancel_of_what_does_not_work(self, bench: Bench, type_: OrderType) -> None:
        """A cancel of an order that never was, or that has ended, is Rejected(not-found)."""
        venue, listener = await bench.both()
        terms = bench.terms(type_)
        never = OrderRef(account=venue.accounts[0], symbol=terms.symbol, type=type_, client_id=bench.client_id())
        rejected(await venue.cancel(never), RejectReason.NOT_FOUND)
        placed = await bench.place(venue, terms)
        assert isinstance(await venue.cancel(bench.ref(venue, placed)), Accepted)
        await listener.order(placed.client_id, lambda order: not order.is_working)
        rejected(await venue.cancel(bench.ref(venue, placed)), RejectReason.NOT_FOUND)

    async def test_c51_cancel_of_a_filled_order(self, bench: Bench) -> None:
        """A cancel of an order that is filled is Rejected(not-found)."""
        venue, listener = await bench.both()
        placed = await bench.place(venue, bench.terms())
        await bench.rig.fills(placed)
        await listener.filled(placed.client_id)
        rejected(await venue.cancel(bench.ref(venue, placed)), RejectReason.NOT_FOUND)

    @pytest.mark.parametrize("type_", _CONDITIONAL, ids=str)
    async def test_c52_triggered_order_is_one_for_life(self, bench: Bench, type_: OrderType) -> None:
        """A triggered order keeps its ids in events, fills and snapshots, and there is no second one."""
        venue, listener = await bench.both()
        terms = bench.terms(type_, **_that_fills(bench, type_))
        placed = await bench.place(venue, terms)
        await listener.order(placed.client_id, bool)
        await bench.trigger(placed)
        fills = await listener.filled(placed.client_id)
        await listener.order(placed.client_id, lambda order: order.triggered)
        every = [event.order for event in listener.events if hasattr(event, "order")]
        assert {(order.venue_id, order.client_id) for order in every} == {(placed.venue_id, placed.client_id)}
        assert {order.terms.type for order in every} == {type_}
        assert {fill.venue_id for fill in fills} == {placed.venue_id}
        known = await bench.snapshot(venue, since_ms=placed.created_ms or 1, symbols=(bench.rig.symbol,))
        assert [(order.venue_id, order.status, order.triggered) for order in known.orders] == [
            (placed.venue_id, OrderStatus.FILLED, True)
        ]
        assert {fill.venue_id for fill in known.fills} == {placed.venue_id}

    @pytest.mark.parametrize("type_", [OrderType.STOP_LIMIT, OrderType.TAKE_PROFIT_LIMIT], ids=str)
    async def test_c53_triggered_order_can_be_cancelled(self, bench: Bench, type_: OrderType) -> None:
        """A triggered order that rests is one working order, and is cancelled by the ids that it was placed under."""
        venue, listener = await bench.both()
        placed = await bench.place(venue, bench.terms(type_, price=bench.near("0.95")))
        await bench.trigger(placed)
        await listener.order(placed.client_id, lambda order: order.triggered)
        known = await bench.snapshot(venue)
        assert [(order.venue_id, order.client_id, order.triggered) for order in known.orders] == [
            (placed.venue_id, placed.client_id, True)
        ]
        outcome = await _cancel_in_the_end(bench, venue, bench.ref(venue, placed))
        assert isinstance(outcome, Accepted), outcome
        told = await listener.order(placed.client_id, lambda order: not order.is_working)
        assert told.status is OrderStatus.CANCELLED
        assert not await bench.rig.orders()

    @pytest.mark.parametrize("type_", [OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET], ids=str)
    async def test_c54_protective_order_closes(self, bench: Bench, type_: OrderType) -> None:
        """A reduce-only stop or target waits for its trigger, then closes the position and no more."""
        bench.needs(bench.capabilities.reduce_only, "no reduce-only orders")
        venue, listener = await bench.both()
        await bench.buy(venue, listener)
        placed = await bench.place(venue, bench.terms(type_, Side.SELL, reduce_only=True))
        assert placed.terms.reduce_only
        await bench.trigger(placed)
        await listener.filled(placed.client_id)
        assert await bench.held(venue) == 0


def _that_fills(bench: Bench, type_: OrderType) -> dict[str, Any]:
    """A limit price that is met as soon as the order is triggered."""
    return {"price": bench.near("1.025")} if type_.has_price else {}


async def _cancel_in_the_end(bench: Bench, venue: Venue, ref: OrderRef) -> Outcome:
    """Cancel; a venue that is still triggering says that it is overloaded."""
    outcome = await venue.cancel(ref)
    for _ in range(20):
        if not isinstance(outcome, Rejected) or not outcome.reason.is_transient:
            break
        outcome = await venue.cancel(ref)
    return outcome
