"""C10 to C21, and C89: what a subscription tells, and in which order."""

from __future__ import annotations

from decimal import Decimal
from itertools import accumulate, pairwise

from copydesk.model import (
    ZERO,
    BalanceEvent,
    FillEvent,
    Gap,
    OrderEvent,
    OrderStatus,
    OrderType,
    PositionEvent,
    PriceEvent,
    Side,
)
from copydesk.testing.bench import Bench, inexact


class Streaming:
    """The events of a session."""

    async def test_c10_gap_comes_first(self, bench: Bench) -> None:
        """The first event of a subscription is Gap, with a reason, and nothing else comes unasked."""
        venue = await bench.open()
        await bench.place(venue, bench.terms())
        listener = await bench.listen(venue)
        assert isinstance(listener.events[0], Gap)
        assert listener.events[0].reason

    async def test_c11_order_is_told(self, bench: Bench) -> None:
        """An order placed by the session is told: its client id, its terms, working."""
        venue, listener = await bench.both()
        terms = bench.terms()
        placed = await bench.place(venue, terms)
        told = await listener.order(placed.client_id, bool)
        assert (told.venue_id, told.status, told.filled) == (placed.venue_id, OrderStatus.NEW, ZERO)
        assert told.terms == terms

    async def test_c12_market_order_tells_all(self, bench: Bench) -> None:
        """A market order is told as order, fills, position and balance, each fill beside the order that counts it."""
        venue, listener = await bench.both()
        placed = await bench.place(venue, bench.terms(OrderType.MARKET))
        await listener.filled(placed.client_id)
        await listener.event(PositionEvent)
        await listener.event(BalanceEvent)
        events = listener.events
        for index, event in enumerate(events):
            if isinstance(event, FillEvent):
                beside = (events[index - 1], events[index + 1])
                ids = {one.order.venue_id for one in beside if isinstance(one, OrderEvent)}
                assert event.fill.venue_id in ids, f"no order report beside {event}"

    async def test_c13_fills_are_not_merged(self, bench: Bench) -> None:
        """Several executions are several fills and several order reports, and what is filled counts up to all."""
        venue, listener = await bench.both()
        placed = await bench.place(venue, bench.terms())
        for _ in range(2):
            await bench.rig.fills(placed, bench.part)
        await bench.rig.fills(placed, placed.terms.quantity - 2 * bench.part)
        fills = await listener.filled(placed.client_id)
        assert [fill.quantity for fill in fills] == [bench.part, bench.part, placed.terms.quantity - 2 * bench.part]
        counted = [order.filled for order in listener.orders(placed.client_id)]
        assert counted == [0, bench.part, 2 * bench.part, placed.terms.quantity]
        statuses = [order.status for order in listener.orders(placed.client_id)]
        partly = OrderStatus.PARTIALLY_FILLED
        assert statuses == [OrderStatus.NEW, partly, partly, OrderStatus.FILLED]

    async def test_c14_fills_say_what_they_are(self, bench: Bench) -> None:
        """Each fill has an execution id of its own, its order's ids, symbol, side, price and a fee, all numbers exact."""
        venue, listener = await bench.both()
        resting = await bench.place(venue, bench.terms())
        await bench.rig.fills(resting, bench.part)
        await bench.rig.fills(resting, resting.terms.quantity - bench.part)
        bought = await bench.buy(venue, listener)
        for order in (resting, bought):
            fills = await listener.filled(order.client_id)
            whole = listener.orders(order.client_id)[-1]
            paid = sum((fill.price * fill.quantity for fill in fills), Decimal(0))
            assert whole.average_price is not None
            assert abs(paid / whole.filled - whole.average_price) <= bench.instrument.price_tick
            for fill in fills:
                assert (fill.venue_id, fill.client_id) == (order.venue_id, order.client_id)
                assert (fill.symbol, fill.side) == (order.terms.symbol, order.terms.side)
                assert fill.price % bench.instrument.price_tick == 0
                assert fill.time_ms > 0
                assert fill.fee_asset or not fill.fee
                assert not inexact(fill)
        assert {fill.price for fill in listener.fills(resting.client_id)} == {resting.terms.price}
        every = [event.fill.execution_id for event in listener.events if isinstance(event, FillEvent)]
        assert len(set(every)) == len(every), "two executions have one id"
        assert all(every)

    async def test_c15_position_is_told_until_it_is_gone(self, bench: Bench) -> None:
        """A position is told as it is, below zero where it is short, and with quantity zero when it is gone."""
        bench.needs(bench.capabilities.nets_positions, "positions are not netted")
        bench.needs(bench.capabilities.shorts, "nothing can be sold short")
        venue, listener = await bench.both()
        sizes: list[Decimal] = []
        for side in (Side.BUY, Side.SELL, Side.SELL, Side.BUY):
            before = len(listener.events)
            await bench.place(venue, bench.terms(OrderType.MARKET, side))
            wanted = (sizes[-1] if sizes else 0) + side.sign * bench.quantity

            def fits(event: PositionEvent, wanted: Decimal = wanted) -> bool:
                return event.position.symbol == bench.rig.symbol and event.position.quantity == wanted

            sizes.append((await listener.event(PositionEvent, after=before, matches=fits)).position.quantity)
        assert sizes == [bench.quantity, 0, -bench.quantity, 0]
        assert await bench.held(venue) == 0

    async def test_c16_balance_is_told(self, bench: Bench) -> None:
        """After a trade the balance is told; its cash is that of a snapshot."""
        venue, listener = await bench.both()
        before = (await bench.snapshot(venue)).balance
        await bench.buy(venue, listener)
        told = (await listener.event(BalanceEvent)).balance
        after = (await bench.snapshot(venue)).balance
        assert before is not None
        assert after is not None
        assert (told.currency, told.cash) == (after.currency, after.cash)
        assert told.cash < before.cash, "the fee is missing"
        assert not inexact(told)

    async def test_c17_order_of_another_hand_is_told(self, bench: Bench) -> None:
        """An order that the account's owner places, amends, cancels by hand is told under its own client id each time."""
        _, listener = await bench.both()
        by_hand = await bench.rig.parent_places(bench.terms(), "by-hand-1" if bench.capabilities.client_id_text else "9001")
        told = await listener.order(by_hand.client_id, bool)
        assert told.terms == by_hand.terms
        moved = bench.terms(price=bench.near("0.965"))
        if OrderType.LIMIT in bench.capabilities.amend:
            await bench.rig.amends(by_hand, moved)
            changed = await listener.order(by_hand.client_id, lambda order: order.terms.price == moved.price)
            assert changed.venue_id == told.venue_id
        await bench.rig.cancels(by_hand)
        ended = await listener.order(by_hand.client_id, lambda order: not order.is_working)
        assert (ended.status, ended.venue_id) == (OrderStatus.CANCELLED, told.venue_id)

    async def test_c18_prices_are_told(self, bench: Bench) -> None:
        """A subscription to prices begins with a Gap and tells the last price of its symbols, and of no others."""
        venue = await bench.open()
        listener = await bench.listen(venue, private=False, symbols=(bench.rig.symbol,))
        assert isinstance(listener.events[0], Gap)
        first = await listener.event(PriceEvent)
        assert (first.symbol, first.last) == (bench.rig.symbol, bench.last)
        moved = bench.near("1.001")
        await bench.rig.trades(moved, bench.part)
        told = await listener.event(PriceEvent, matches=lambda event: event.last == moved)
        assert told.bid is None or told.ask is None or told.bid < told.ask
        prices = [event for event in listener.events if isinstance(event, PriceEvent)]
        assert {event.symbol for event in prices} == {bench.rig.symbol}
        assert not any(inexact(event) for event in prices)

    async def test_c19_prices_and_account_are_apart(self, bench: Bench) -> None:
        """A subscription to prices tells nothing of the account, and a private one without symbols tells no price."""
        venue, private = await bench.both()
        prices = await bench.listen(venue, private=False, symbols=(bench.rig.symbol,))
        await bench.buy(venue, private)
        await bench.rig.trades(bench.near("1.001"), bench.part)
        await prices.event(PriceEvent, matches=lambda event: event.last == bench.near("1.001"))
        assert {type(event) for event in prices.events} == {Gap, PriceEvent}
        assert not any(isinstance(event, PriceEvent) for event in private.events)

    async def test_c20_repeated_events_do_no_harm(self, bench: Bench) -> None:
        """Where the venue repeats its events, what is told twice is the same, and the newest state is the right one."""
        venue, listener = await bench.both()
        await bench.rig.repeat_events()
        placed = await bench.place(venue, bench.terms())
        await bench.rig.fills(placed, bench.part)
        await bench.rig.fills(placed, placed.terms.quantity - bench.part)
        await listener.order(placed.client_id, lambda order: order.status is OrderStatus.FILLED)
        after = await bench.buy(venue, listener)
        told = listener.orders(placed.client_id)
        assert [order.filled for order in told] == sorted(order.filled for order in told), "an order went back"
        assert {order.venue_id for order in told} == {placed.venue_id}
        fills = [event.fill for event in listener.events if isinstance(event, FillEvent)]
        by_id = {fill.execution_id: fill for fill in fills}
        assert all(by_id[fill.execution_id] == fill for fill in fills), "one execution id, two executions"
        whole = sum(fill.quantity for fill in by_id.values())
        assert whole == placed.terms.quantity + after.terms.quantity

    async def test_c21_reordered_events_can_be_put_right(self, bench: Bench) -> None:
        """Where events come out of order, the newest by status, filled quantity and time is the truth."""
        venue, listener = await bench.both()
        await bench.rig.reorder_events()
        placed = await bench.place(venue, bench.terms())
        for left in range(4, 0, -1):
            await bench.rig.fills(placed, bench.part if left > 1 else placed.terms.quantity - 3 * bench.part)
        fills = await listener.filled(placed.client_id)
        assert sum(fill.quantity for fill in fills) == placed.terms.quantity
        told = sorted(
            listener.orders(placed.client_id), key=lambda order: (order.status.is_final, order.filled, order.updated_ms)
        )
        assert told[-1].status is OrderStatus.FILLED
        assert all(before.updated_ms <= after.updated_ms for before, after in pairwise(told)), "updated_ms does not order"
        known = await bench.find(venue, bench.ref(venue, placed))
        assert known is not None
        assert (known.status, known.filled) == (told[-1].status, told[-1].filled)

    async def test_c89_market_order_in_several_executions(self, bench: Bench) -> None:
        """A market order that trades in several executions is told with each of them, and what is filled counts up."""
        venue, listener = await bench.both()
        await bench.rig.partial_fills()
        placed = await bench.place(venue, bench.terms(OrderType.MARKET))
        fills = await listener.filled(placed.client_id)
        assert len(fills) > 1
        counted = [order.filled for order in listener.orders(placed.client_id) if order.filled]
        assert counted == list(accumulate(fill.quantity for fill in fills))
