"""C65 to C74, C93 and C94: Unknown told from Rejected, and what is lost from what is late."""

from __future__ import annotations

import asyncio

import pytest

from copydesk.errors import NotReady, VenueError
from copydesk.model import (
    Accepted,
    NewOrder,
    Order,
    OrderChange,
    OrderStatus,
    OrderType,
    Rejected,
    RejectReason,
    Scope,
    Snapshot,
    SnapshotRequest,
    Unknown,
)
from copydesk.testing.bench import Bench, eventually, rejected
from copydesk.testing.rig import Failure
from copydesk.venue import Venue

SHORT_S = 1.0
LATE_S = 1.6
NEVER_TOLD = "it cannot tell what is lost for good"


class Doubting:
    """What may have happened, and what has not."""

    @pytest.mark.parametrize("type_", [OrderType.LIMIT, OrderType.STOP_MARKET], ids=str)
    async def test_c65_lost_reply_to_place_is_unknown(self, bench: Bench, type_: OrderType) -> None:
        """A place whose reply is lost is Unknown; a look-up finds the order, and sending it again does not double it."""
        venue = await bench.open()
        new = NewOrder(account=venue.accounts[0], client_id=bench.client_id(), terms=bench.terms(type_))
        await bench.rig.lose_next_reply()
        outcome = await venue.place(new)
        assert isinstance(outcome, Unknown), f"nobody can know, and it is {outcome}"
        assert outcome.message
        found = await _settled(bench, venue, new)
        assert found is not None, "the venue has it, and the look-up says absent"
        assert found.is_working
        rejected(await venue.place(new), RejectReason.DUPLICATE_ID)
        assert len(await bench.rig.orders()) == 1

    async def test_c66_lost_reply_to_cancel_is_unknown(self, bench: Bench) -> None:
        """A cancel whose reply is lost is Unknown, and a look-up tells that the order is cancelled."""
        venue = await bench.open()
        placed = await bench.place(venue, bench.terms())
        await bench.rig.lose_next_reply()
        outcome = await venue.cancel(bench.ref(venue, placed))
        if not isinstance(outcome, Unknown):  # a cancel may be repeated below; then the second one finds nothing
            rejected(outcome, RejectReason.NOT_FOUND)
        found = await _settled(bench, venue, placed)
        assert found is not None
        assert found.status is OrderStatus.CANCELLED

    async def test_c67_lost_reply_to_modify_is_unknown(self, bench: Bench) -> None:
        """A modify whose reply is lost is Unknown, and a look-up tells the new terms."""
        bench.needs(OrderType.LIMIT in bench.capabilities.amend, "limit orders cannot be amended")
        venue = await bench.open()
        placed = await bench.place(venue, bench.terms())
        wanted = bench.terms(price=bench.near("0.965"))
        await bench.rig.lose_next_reply()
        outcome = await venue.modify(OrderChange(ref=bench.ref(venue, placed), terms=wanted))
        if not isinstance(outcome, Unknown):  # likewise
            rejected(outcome, RejectReason.UNCHANGED)
        found = await _settled(bench, venue, placed)
        assert found is not None
        assert found.terms == wanted

    async def test_c68_late_answer_is_unknown(self, bench: Bench) -> None:
        """A place that is not answered before the deadline is Unknown; it happened, the look-up finds it, once."""
        venue = await bench.open(send_s=SHORT_S)
        new = NewOrder(account=venue.accounts[0], client_id=bench.client_id(), terms=bench.terms())
        await bench.rig.delay_next(LATE_S)
        outcome = await venue.place(new)
        assert isinstance(outcome, Unknown), f"nobody can know, and it is {outcome}"
        await eventually(lambda: bench.at_venue(new.client_id), "the late order is at the venue")
        found = await _settled(bench, venue, new)
        assert found is not None
        assert len(await bench.rig.orders()) == 1

    async def test_c69_deadline_leaves_the_session_whole(self, bench: Bench) -> None:
        """After a send that met its deadline the session goes on working: the next order is accepted and told."""
        venue = await bench.open(send_s=SHORT_S)
        listener = await bench.listen(venue)
        late = NewOrder(account=venue.accounts[0], client_id=bench.client_id(), terms=bench.terms())
        await bench.rig.delay_next(LATE_S)
        assert isinstance(await venue.place(late), Unknown)
        await listener.order(late.client_id, bool)
        patient = await bench.open()
        await bench.place(patient, bench.terms())
        again = NewOrder(account=venue.accounts[0], client_id=bench.client_id(), terms=bench.terms())

        async def accepted() -> bool:
            return isinstance(await venue.place(again), Accepted | Rejected)

        await eventually(accepted, "the next order is answered")
        await listener.order(again.client_id, bool)

    async def test_c70_server_error_is_unknown(self, bench: Bench) -> None:
        """An error that does not say whether it was done is Unknown, and the look-up settles it."""
        venue = await bench.open()
        new = NewOrder(account=venue.accounts[0], client_id=bench.client_id(), terms=bench.terms())
        await bench.rig.fail_next(Failure.SERVER_ERROR)
        outcome = await venue.place(new)
        assert isinstance(outcome, Unknown), f"nobody can know, and it is {outcome}"
        assert await _settled(bench, venue, new) is not None

    async def test_c71_rate_limit_is_rejected(self, bench: Bench) -> None:
        """Too many requests are Rejected(rate-limit) with the time that the venue names, and nothing happened."""
        venue = await bench.open()
        new = NewOrder(account=venue.accounts[0], client_id=bench.client_id(), terms=bench.terms())
        await bench.rig.fail_next(Failure.RATE_LIMIT)
        outcome = rejected(await venue.place(new), RejectReason.RATE_LIMIT)
        assert outcome.retry_after_ms > 0
        assert not await bench.rig.orders()
        wait_s = outcome.retry_after_ms / 1000

        async def accepted() -> bool:
            return isinstance(await venue.place(new), Accepted)

        began = asyncio.get_running_loop().time()
        await eventually(accepted, "the same order is accepted later", seconds=wait_s + 5)
        assert asyncio.get_running_loop().time() - began <= wait_s + 3, "it waits much longer than the venue asks for"
        assert len(await bench.rig.orders()) == 1

    async def test_c72_overload_is_rejected(self, bench: Bench) -> None:
        """A venue that is too busy gives Rejected(overloaded); nothing happened, and the same order is accepted later."""
        venue = await bench.open()
        new = NewOrder(account=venue.accounts[0], client_id=bench.client_id(), terms=bench.terms())
        await bench.rig.fail_next(Failure.OVERLOAD)
        rejected(await venue.place(new), RejectReason.OVERLOADED)
        assert not await bench.rig.orders()
        assert isinstance(await venue.place(new), Accepted)

    async def test_c73_refusal_is_final_and_said(self, bench: Bench) -> None:
        """What the venue refuses is Rejected, at once, with its sentence; the order is absent afterwards."""
        venue = await bench.open()
        terms = bench.terms(price=bench.near("0.97") + bench.instrument.price_tick / 2)
        new = NewOrder(account=venue.accounts[0], client_id=bench.client_id(), terms=terms)
        outcome = await venue.place(new)
        assert isinstance(outcome, Rejected), f"the venue said no, and it is {outcome}"
        assert outcome.message
        assert outcome.code, "the venue's own code is missing"
        assert await bench.find(venue, bench.ref(venue, new)) is None

    async def test_c74_no_part_is_left_empty(self, bench: Bench) -> None:
        """With the venue gone a snapshot raises NotReady and never says that there is nothing; nothing is Accepted."""
        venue, listener = await bench.both()
        placed = await bench.place(venue, bench.terms())
        await listener.order(placed.client_id, bool)
        await bench.rig.go_away()
        with pytest.raises(NotReady):
            await bench.snapshot(venue)
        with pytest.raises(VenueError):
            await bench.find(venue, bench.ref(venue, placed))
        outcome = await venue.place(NewOrder(account=venue.accounts[0], client_id=bench.client_id(), terms=bench.terms()))
        assert isinstance(outcome, Rejected | Unknown), outcome
        if isinstance(outcome, Rejected):
            assert outcome.reason.is_transient, f"nobody said no for good: {outcome}"

    async def test_c93_lost_request_never_arrived(self, bench: Bench) -> None:
        """Where it can be told, an order that was lost on its way is soon said to be lost for good, and may go again."""
        bench.needs(bench.capabilities.tells_never_arrived, NEVER_TOLD)
        venue = await bench.open()
        new = NewOrder(account=venue.accounts[0], client_id=bench.client_id(), terms=bench.terms())
        await bench.rig.lose_next_request()
        outcome = await venue.place(new)
        assert isinstance(outcome, Unknown), f"nobody can know yet, and it is {outcome}"

        async def given_up() -> bool:
            told = await _looked_up(bench, venue, new)
            return told is not None and new.client_id in told.never_arrived

        await eventually(given_up, "it is said that the order never arrived")
        assert not await bench.rig.orders()
        assert isinstance(await venue.place(new), Accepted)
        assert len(await bench.rig.orders()) == 1
        told = await _looked_up(bench, venue, new)
        assert told is not None
        assert not told.never_arrived, "it has arrived this time"

    @pytest.mark.parametrize("type_", [OrderType.LIMIT, OrderType.MARKET], ids=str)
    async def test_c94_what_arrived_is_not_lost(self, bench: Bench, type_: OrderType) -> None:
        """Where it can be told what is lost for good, an order that arrived never is, whether it rests or has ended."""
        bench.needs(bench.capabilities.tells_never_arrived, NEVER_TOLD)
        venue = await bench.open()
        new = NewOrder(account=venue.accounts[0], client_id=bench.client_id(), terms=bench.terms(type_))
        await bench.rig.lose_next_reply()
        assert isinstance(await venue.place(new), Unknown)

        async def found() -> bool:
            told = await _looked_up(bench, venue, new)
            assert told is None or not told.never_arrived, "it is at the venue"
            return told is not None and bool(told.orders)

        await eventually(found, "the order is found")


async def _looked_up(bench: Bench, venue: Venue, order: NewOrder) -> Snapshot | None:
    """What a look-up of the order tells; None where the venue cannot be asked just now."""
    request = SnapshotRequest(account=order.account, scope=Scope.ORDERS, look_up=(bench.ref(venue, order),))
    try:
        return await venue.snapshot(request)
    except NotReady:
        return None


async def _settled(bench: Bench, venue: Venue, order: Order | NewOrder) -> Order | None:
    """What the venue says of the order, as soon as it can be asked again."""

    async def asked() -> tuple[Order | None, ...]:
        try:
            return (await bench.find(venue, bench.ref(venue, order)),)
        except NotReady:
            return ()

    return (await eventually(asked, "the venue can be asked what became of the order"))[0]
