"""C22 to C41, C88, C90 and C91: placing orders of every type and flag, and what the venue refuses."""

from __future__ import annotations

import asyncio
import string
from decimal import Decimal

import pytest

from copydesk.model import (
    Accepted,
    NewOrder,
    OrderGroup,
    OrderStatus,
    OrderType,
    PositionSide,
    Rejected,
    RejectReason,
    Side,
    Terms,
    TimeInForce,
    TriggerBy,
)
from copydesk.testing.bench import Bench, Listener, inexact, rejected
from copydesk.venue import Venue

_WAITING = [type_ for type_ in OrderType if type_ is not OrderType.MARKET]


class Placing:
    """Orders of every kind."""

    @pytest.mark.parametrize("type_", list(OrderType), ids=str)
    async def test_c22_every_type_can_be_placed(self, bench: Bench, type_: OrderType) -> None:
        """Each order type of the capabilities is accepted, and the venue has it with the terms that were asked for."""
        venue, listener = await bench.both()
        terms = bench.terms(type_)
        placed = await bench.place(venue, terms)
        told = await listener.order(placed.client_id, bool)
        for order in (placed, told):
            assert order.terms == terms, f"asked for {terms}, and it is {order.terms}"
        if type_ is OrderType.MARKET:
            await listener.filled(placed.client_id)
            assert await bench.at_venue(placed) is None
            return
        there = await bench.at_venue(placed)
        assert there is not None, "the venue does not have it as a working order"
        asked = (terms.side, terms.quantity, terms.price, terms.trigger_price, terms.trail_percent)
        has = there.terms
        assert (has.side, has.quantity, has.price, has.trigger_price, has.trail_percent) == asked

    @pytest.mark.parametrize("type_", list(OrderType), ids=str)
    async def test_c23_sells_too(self, bench: Bench, type_: OrderType) -> None:
        """Each order type of the capabilities can sell what was bought."""
        venue, listener = await bench.both()
        await bench.buy(venue, listener)
        terms = bench.terms(type_, Side.SELL)
        placed = await bench.place(venue, terms)
        assert (await listener.order(placed.client_id, bool)).terms == terms

    async def test_c24_client_id_goes_unchanged(self, bench: Bench) -> None:
        """The longest client id that copydesk may make is at the venue, in the reply, in events and snapshots as it was."""
        venue, listener = await bench.both()
        if bench.capabilities.client_id_text:
            length = min(bench.capabilities.client_id_length, 36)
            name = ("a0-" + string.ascii_lowercase + string.digits)[: length - 2] + "-z"
        else:
            name = "9" * min(bench.capabilities.client_id_length, 9)
        placed = await bench.place(venue, bench.terms(), name)
        assert placed.client_id == name
        assert await bench.at_venue(name) is not None
        await listener.order(name, bool)
        known = await bench.snapshot(venue)
        assert name in [order.client_id for order in known.orders]

    @pytest.mark.parametrize("type_", _WAITING, ids=str)
    async def test_c25_client_id_is_taken_once(self, bench: Bench, type_: OrderType) -> None:
        """The same order sent again while it works is Rejected(duplicate-id), and there is one order."""
        venue = await bench.open()
        terms = bench.terms(type_)
        placed = await bench.place(venue, terms)
        again = await venue.place(NewOrder(account=venue.accounts[0], client_id=placed.client_id, terms=terms))
        rejected(again, RejectReason.DUPLICATE_ID)
        assert len(await bench.rig.orders()) == 1

    async def test_c26_numbers_survive_exactly(self, bench: Bench) -> None:
        """Prices and quantities of every last digit are at the venue and back exactly as they were, and never a float."""
        venue, listener = await bench.both()
        tick, step = bench.instrument.price_tick, bench.instrument.quantity_step
        for number in range(1, 8):
            terms = bench.terms(price=bench.near("0.96") - 7 * number * tick, quantity=bench.quantity + 3 * number * step)
            placed = await bench.place(venue, terms)
            there = await bench.at_venue(placed)
            told = await listener.order(placed.client_id, bool)
            known = await bench.find(venue, bench.ref(venue, placed))
            assert there is not None
            assert known is not None
            for where, order in (("reply", placed), ("venue", there), ("event", told), ("look-up", known)):
                assert (order.terms.price, order.terms.quantity) == (terms.price, terms.quantity), where
                assert not inexact(order), where

    async def test_c27_immediate_or_cancel(self, bench: Bench) -> None:
        """An IOC order that meets nobody ends at once, without a fill; one that meets somebody is filled."""
        venue, listener = await bench.both()
        for factor, filled in (("0.97", False), ("1.01", True)):
            terms = bench.terms(price=bench.near(factor), time_in_force=TimeInForce.IOC)
            outcome = await venue.place(
                NewOrder(account=venue.accounts[0], client_id=(name := bench.client_id()), terms=terms)
            )
            if not filled and isinstance(outcome, Rejected):
                continue
            assert isinstance(outcome, Accepted), outcome
            told = await listener.order(name, lambda order: not order.is_working)
            assert told.terms.time_in_force is TimeInForce.IOC
            assert told.filled == (terms.quantity if filled else 0)
            assert (told.status is OrderStatus.FILLED) == filled
        assert not await bench.rig.orders()

    async def test_c28_fill_or_kill(self, bench: Bench) -> None:
        """A FOK order that cannot be filled as a whole is refused or ends at once, without a fill."""
        venue, listener = await bench.both()
        terms = bench.terms(time_in_force=TimeInForce.FOK)
        name = bench.client_id()
        outcome = await venue.place(NewOrder(account=venue.accounts[0], client_id=name, terms=terms))
        if not isinstance(outcome, Rejected):
            assert isinstance(outcome, Accepted), outcome
            told = await listener.order(name, lambda order: not order.is_working)
            assert told.filled == 0
        assert not await bench.rig.orders()
        assert await bench.held(venue) == 0

    async def test_c29_post_only_rests(self, bench: Bench) -> None:
        """A post-only order that takes nothing rests, and is told as post-only."""
        bench.needs(bench.capabilities.post_only, "no post-only orders")
        venue, listener = await bench.both()
        placed = await bench.place(venue, bench.terms(post_only=True))
        assert placed.terms.post_only
        assert (await listener.order(placed.client_id, bool)).terms.post_only
        assert await bench.at_venue(placed)

    async def test_c30_post_only_never_takes(self, bench: Bench) -> None:
        """A post-only order that would take is Rejected(post-only), or ends at once without a fill."""
        bench.needs(bench.capabilities.post_only, "no post-only orders")
        venue, listener = await bench.both()
        terms = bench.terms(price=bench.near("1.01"), post_only=True)
        name = bench.client_id()
        outcome = await venue.place(NewOrder(account=venue.accounts[0], client_id=name, terms=terms))
        if isinstance(outcome, Accepted):
            told = await listener.order(name, lambda order: not order.is_working)
            assert told.filled == 0
        else:
            rejected(outcome, RejectReason.POST_ONLY)
        assert not await bench.rig.orders()
        assert await bench.held(venue) == 0

    async def test_c31_reduce_only_reduces(self, bench: Bench) -> None:
        """A reduce-only order larger than the position never turns it round."""
        bench.needs(bench.capabilities.reduce_only, "no reduce-only orders")
        venue, listener = await bench.both()
        await bench.buy(venue, listener)
        terms = bench.terms(OrderType.MARKET, Side.SELL, quantity=2 * bench.quantity, reduce_only=True)
        name = bench.client_id()
        outcome = await venue.place(NewOrder(account=venue.accounts[0], client_id=name, terms=terms))
        if isinstance(outcome, Accepted):
            told = await listener.order(name, lambda order: not order.is_working)
            assert told.terms.reduce_only
            assert await bench.held(venue) == 0
        else:
            assert isinstance(outcome, Rejected), outcome
            assert await bench.held(venue) == bench.quantity

    async def test_c32_nothing_to_reduce(self, bench: Bench) -> None:
        """A reduce-only order without a position is Rejected(nothing-to-reduce)."""
        bench.needs(bench.capabilities.reduce_only, "no reduce-only orders")
        venue = await bench.open()
        terms = bench.terms(OrderType.MARKET, Side.SELL, reduce_only=True)
        new = NewOrder(account=venue.accounts[0], client_id=bench.client_id(), terms=terms)
        rejected(await venue.place(new), RejectReason.NOTHING_TO_REDUCE)
        assert await bench.held(venue) == 0

    async def test_c33_resting_reduce_only_is_told(self, bench: Bench) -> None:
        """A resting reduce-only order is told as such, in the reply, in events and snapshots."""
        bench.needs(bench.capabilities.reduce_only, "no reduce-only orders")
        venue, listener = await bench.both()
        await bench.buy(venue, listener)
        placed = await bench.place(venue, bench.terms(OrderType.LIMIT, Side.SELL, reduce_only=True))
        told = await listener.order(placed.client_id, bool)
        known = await bench.find(venue, bench.ref(venue, placed))
        assert known is not None
        assert [order.terms.reduce_only for order in (placed, told, known)] == [True] * 3

    async def test_c34_mark_price_triggers_are_told(self, bench: Bench) -> None:
        """A stop that looks at the mark price is accepted and told as such, or rejected; never silently another one."""
        venue, listener = await bench.both()
        terms = bench.terms(OrderType.STOP_MARKET, trigger_by=TriggerBy.MARK)
        name = bench.client_id()
        outcome = await venue.place(NewOrder(account=venue.accounts[0], client_id=name, terms=terms))
        if isinstance(outcome, Rejected):
            assert not await bench.rig.orders()
            return
        assert isinstance(outcome, Accepted), outcome
        assert (await listener.order(name, bool)).terms.trigger_by is TriggerBy.MARK

    async def test_c35_unknown_symbol(self, bench: Bench) -> None:
        """An order in an instrument that the venue does not have is Rejected(symbol)."""
        venue = await bench.open()
        outcome = await _refused(bench, venue, bench.terms(symbol="NOSUCHUSDT"))
        rejected(outcome, RejectReason.SYMBOL)

    async def test_c36_bad_quantity(self, bench: Bench) -> None:
        """A quantity below the minimum, off the step or above the maximum is Rejected(quantity), and is not rounded."""
        venue = await bench.open()
        rules = bench.instrument
        bad = [rules.quantity_step / 10, bench.quantity + rules.quantity_step / 2]
        if rules.max_quantity:
            bad.append(rules.max_quantity + rules.quantity_step)
        for quantity in bad:
            rejected(await _refused(bench, venue, bench.terms(quantity=quantity)), RejectReason.QUANTITY)

    async def test_c37_bad_price(self, bench: Bench) -> None:
        """A price off the tick is Rejected(price), and is not rounded."""
        venue = await bench.open()
        terms = bench.terms(price=bench.near("0.97") + bench.instrument.price_tick / 2)
        rejected(await _refused(bench, venue, terms), RejectReason.PRICE)

    async def test_c38_too_little_margin(self, bench: Bench) -> None:
        """An order that the account cannot pay is Rejected(margin), or Rejected(quantity) where it is too large as such."""
        venue = await bench.open()
        outcome = await _refused(bench, venue, bench.terms(quantity=bench.far_too_much))
        rejected(outcome, RejectReason.MARGIN, RejectReason.QUANTITY)

    async def test_c39_would_trigger_at_once(self, bench: Bench) -> None:
        """A stop whose trigger is met already is Rejected(price), or triggered at once; it never waits."""
        venue, listener = await bench.both()
        terms = bench.terms(OrderType.STOP_MARKET, trigger_price=bench.near("0.98"))
        name = bench.client_id()
        outcome = await venue.place(NewOrder(account=venue.accounts[0], client_id=name, terms=terms))
        if isinstance(outcome, Accepted):
            assert (await listener.order(name, lambda order: order.triggered)).triggered
            return
        rejected(outcome, RejectReason.PRICE)
        assert not await bench.rig.orders()

    async def test_c40_long_and_short_side_by_side(self, bench: Bench) -> None:
        """In hedge mode a long and a short position stand side by side, told by events and in snapshots."""
        bench.needs(bench.capabilities.hedge_mode, "no hedge mode")
        await bench.rig.use_hedge_mode()
        venue, listener = await bench.both()
        for side, position_side in ((Side.BUY, PositionSide.LONG), (Side.SELL, PositionSide.SHORT)):
            await _trade(bench, venue, listener, side, position_side)
        await _trade(bench, venue, listener, Side.SELL, PositionSide.LONG, bench.part)
        told = {one.position_side: one.quantity for one in (await bench.snapshot(venue)).positions}
        assert told == {PositionSide.LONG: bench.quantity - bench.part, PositionSide.SHORT: -bench.quantity}

    async def test_c41_wrong_position_mode(self, bench: Bench) -> None:
        """An order for another position mode than the account's is Rejected(mode), either way."""
        bench.needs(bench.capabilities.hedge_mode, "no hedge mode")
        one_way = await bench.open()
        rejected(await _refused(bench, one_way, bench.terms(position_side=PositionSide.LONG)), RejectReason.MODE)
        await bench.close(one_way)
        await bench.rig.use_hedge_mode()
        hedged = await bench.open()
        rejected(await _refused(bench, hedged, bench.terms()), RejectReason.MODE)

    async def test_c88_switched_position_mode_is_noticed(self, bench: Bench) -> None:
        """After the owner switched the position mode, an order for the new mode is accepted, at the second try at most."""
        bench.needs(bench.capabilities.hedge_mode, "no hedge mode")
        venue, listener = await bench.both()
        await bench.rig.use_hedge_mode()
        terms = bench.terms(OrderType.MARKET, position_side=PositionSide.LONG)
        new = NewOrder(account=venue.accounts[0], client_id=bench.client_id(), terms=terms)
        outcome = await venue.place(new)
        if not isinstance(outcome, Accepted):
            rejected(outcome, RejectReason.MODE)
            assert isinstance(await venue.place(new), Accepted)
        assert {fill.position_side for fill in await listener.filled(new.client_id)} == {PositionSide.LONG}

    async def test_c90_many_at_once(self, bench: Bench) -> None:
        """Ten orders sent at the same time are all accepted and told, each once and under its own id."""
        venue, listener = await bench.both()
        names = [bench.client_id() for _ in range(10)]
        placed = await asyncio.gather(*(bench.place(venue, bench.terms(), name) for name in names))
        assert [order.client_id for order in placed] == names
        assert len({order.venue_id for order in placed}) == len(names)
        for order in placed:
            assert (await listener.order(order.client_id, bool)).venue_id == order.venue_id
        assert sorted(order.client_id for order in await bench.rig.orders()) == sorted(names)

    async def test_c91_group(self, bench: Bench) -> None:
        """With native_oco a stop and a target go as one group: both stand under one group id, and a cancel ends both."""
        bench.needs(bench.capabilities.native_oco, "it does not link a stop and a target itself")
        venue, listener = await bench.both()
        await bench.buy(venue, listener)
        size = {"quantity": bench.part, "reduce_only": bench.capabilities.reduce_only}
        target = bench.terms(OrderType.LIMIT, Side.SELL, price=bench.near("1.04"), **size)
        stop = bench.terms(OrderType.STOP_MARKET, Side.SELL, trigger_price=bench.near("0.96"), **size)
        legs = tuple(
            NewOrder(account=venue.accounts[0], client_id=bench.client_id(), terms=terms) for terms in (target, stop)
        )
        outcome = await venue.place_group(OrderGroup(account=venue.accounts[0], legs=legs))
        assert isinstance(outcome, Accepted), outcome
        names = [leg.client_id for leg in legs]
        assert [order.client_id for order in outcome.legs] == names
        told = [await listener.order(name, bool) for name in names]
        found = [await bench.find(venue, bench.ref(venue, order)) for order in told]
        for order in (*told, *(order for order in found if order is not None), *outcome.legs):
            assert order.group, f"{order.terms.type} carries no group id"
            assert order.group == outcome.legs[0].group
        assert isinstance(await venue.cancel(bench.ref(venue, told[1])), Accepted)
        for name in names:
            await listener.order(name, lambda order: order.status is OrderStatus.CANCELLED)
        assert not await bench.rig.orders()

    async def test_c92_whole_position(self, bench: Bench) -> None:
        """A type for a whole position is refused without one; with one it stands under its id until it is cancelled."""
        types = sorted(bench.capabilities.whole_position)
        bench.needs(types, "no order is for a whole position")
        venue, listener = await bench.both()
        for type_ in types:
            terms = bench.terms(type_, Side.SELL, quantity=bench.quantity, reduce_only=bench.capabilities.reduce_only)
            new = NewOrder(account=venue.accounts[0], client_id=bench.client_id(), terms=terms)
            rejected(await venue.place(new), RejectReason.NOTHING_TO_REDUCE)
            await bench.buy(venue, listener)
            assert isinstance(await venue.place(new), Accepted)
            told = await listener.order(new.client_id, lambda order: order.is_working)
            assert (told.terms.type, told.terms.side, told.terms.quantity) == (type_, Side.SELL, bench.quantity)
            whole = await bench.snapshot(venue)
            assert [(order.client_id, order.terms) for order in whole.orders] == [(new.client_id, told.terms)]
            await bench.buy(venue, listener)
            await listener.order(new.client_id, lambda order: order.terms.quantity == 2 * bench.quantity)
            assert isinstance(await venue.cancel(bench.ref(venue, told)), Accepted)
            await listener.order(new.client_id, lambda order: order.status is OrderStatus.CANCELLED)
            rejected(await venue.cancel(bench.ref(venue, told)), RejectReason.NOT_FOUND)
            await bench.place(venue, bench.terms(OrderType.MARKET, Side.SELL, quantity=2 * bench.quantity))


async def _refused(bench: Bench, venue: Venue, terms: Terms) -> object:
    """The outcome of an order that must not come in: nothing is at the venue afterwards, and a look-up says absent."""
    new = NewOrder(account=venue.accounts[0], client_id=bench.client_id(), terms=terms)
    outcome = await venue.place(new)
    assert not await bench.rig.orders(), f"the order is at the venue: {outcome}"
    return outcome


async def _trade(
    bench: Bench, venue: Venue, listener: Listener, side: Side, position_side: PositionSide, quantity: Decimal | None = None
) -> None:
    terms = bench.terms(OrderType.MARKET, side, position_side=position_side, quantity=quantity or bench.quantity)
    placed = await bench.place(venue, terms)
    fills = await listener.filled(placed.client_id)
    assert {fill.position_side for fill in fills} == {position_side}
