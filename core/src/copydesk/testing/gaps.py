"""C75 to C80: streams that are lost and come back."""

from __future__ import annotations

from copydesk.model import Gap, OrderEvent, OrderStatus, OrderType, StreamLost
from copydesk.testing.bench import Bench, Listener


class Gaps:
    """What is missed while a stream is down."""

    async def test_c75_gap_after_each_loss(self, bench: Bench) -> None:
        """Each time the stream is lost, StreamLost comes, and a Gap once it listens again; both say why."""
        venue, listener = await bench.both()
        for _ in range(2):
            before = len(listener.events)
            await _lose_an_order(bench, listener)
            told = [type(event) for event in listener.events[before:] if isinstance(event, Gap | StreamLost)]
            assert told == [StreamLost, Gap]
        assert all(event.reason for event in listener.events if isinstance(event, Gap | StreamLost))
        await bench.buy(venue, listener)

    async def test_c76_events_flow_again(self, bench: Bench) -> None:
        """After the Gap everything is told as before."""
        venue, listener = await bench.both()
        await _lose_an_order(bench, listener)
        before = len(listener.events)
        placed = await bench.place(venue, bench.terms(price=bench.near("0.975")))  # before the lost one in the queue
        await listener.order(placed.client_id, bool, after=before)
        await bench.rig.fills(placed)
        await listener.filled(placed.client_id)

    async def test_c77_missed_order_is_recovered(self, bench: Bench) -> None:
        """An order placed while the stream was down is in the snapshot after the Gap."""
        venue, listener = await bench.both()
        missed = await _lose_an_order(bench, listener)
        told = await bench.snapshot(venue)
        assert missed in [order.client_id for order in told.orders]
        assert missed not in [event.order.client_id for event in listener.events if isinstance(event, OrderEvent)]

    async def test_c78_missed_fill_is_recovered(self, bench: Bench) -> None:
        """Fills that happened while the stream was down are in the snapshot since then: every execution, once."""
        venue, listener = await bench.both()
        placed = await bench.place(venue, bench.terms())
        await listener.order(placed.client_id, bool)
        began = (await bench.snapshot(venue)).time_ms
        before = len(listener.events)
        await bench.rig.drop_stream()
        await bench.rig.fills(placed, bench.part)
        await bench.rig.fills(placed, placed.terms.quantity - bench.part)
        await listener.back(after=before)
        told = await bench.snapshot(venue, since_ms=began)
        assert sum(fill.quantity for fill in told.fills) == placed.terms.quantity
        assert {fill.client_id for fill in told.fills} == {placed.client_id}
        assert len({fill.execution_id for fill in told.fills}) == len(told.fills) == 2
        assert [(order.client_id, order.status) for order in told.orders] == [(placed.client_id, OrderStatus.FILLED)]
        assert [one.quantity for one in told.positions] == [placed.terms.quantity]

    async def test_c79_missed_end_is_recovered(self, bench: Bench) -> None:
        """An order that was cancelled while the stream was down is not working in the snapshot, and told as cancelled."""
        venue, listener = await bench.both()
        placed = await bench.place(venue, bench.terms())
        await listener.order(placed.client_id, bool)
        began = (await bench.snapshot(venue)).time_ms
        before = len(listener.events)
        await bench.rig.drop_stream()
        await bench.rig.cancels(placed)
        await listener.back(after=before)
        told = await bench.snapshot(venue, since_ms=began)
        assert [(order.client_id, order.status) for order in told.orders] == [(placed.client_id, OrderStatus.CANCELLED)]

    async def test_c80_missed_trigger_is_recovered(self, bench: Bench) -> None:
        """A stop that was triggered and filled while the stream was down is told as the same order, filled."""
        venue, listener = await bench.both()
        placed = await bench.place(venue, bench.terms(OrderType.STOP_MARKET))
        await listener.order(placed.client_id, bool)
        began = (await bench.snapshot(venue)).time_ms
        before = len(listener.events)
        await bench.rig.drop_stream()
        await bench.trigger(placed)
        await listener.back(after=before)
        told = await bench.snapshot(venue, since_ms=began)
        assert [(order.venue_id, order.client_id, order.status, order.triggered) for order in told.orders] == [
            (placed.venue_id, placed.client_id, OrderStatus.FILLED, True)
        ]
        assert {(fill.venue_id, fill.client_id) for fill in told.fills} == {(placed.venue_id, placed.client_id)}


async def _lose_an_order(bench: Bench, listener: Listener) -> str:
    """An order placed by hand that the stream is lost with. Returns its client id once the stream is back."""
    before = len(listener.events)
    await bench.rig.drop_stream()
    by_hand = await bench.rig.parent_places(bench.terms(), bench.client_id())
    await listener.event(StreamLost, after=before)
    await listener.back(after=before)
    return by_hand.client_id
