"""What becomes of what was sent (rules 8 to 10): when it is tried again, looked up, given up, and what a person is told."""

from __future__ import annotations

import pytest
from copydesk.inputs import BotStopped, Cancel, LookUp, Modify, Place, PlaceGroup, Reported, Settled, Snapped
from copydesk.model import (
    Accepted,
    FillEvent,
    OrderEvent,
    OrderStatus,
    OrderType,
    Rejected,
    RejectReason,
    Scope,
    Snapshot,
    Unknown,
)
from copydesk.state import ChildOrder, Op
from copydesk.tracking import State
from harness.closed_loop import ClosedLoop, D, child, instrument
from msgspec.structs import replace

BUSY = Rejected(reason=RejectReason.RATE_LIMIT, message="too many requests")
OVERLOADED = Rejected(reason=RejectReason.OVERLOADED, message="busy", retry_after_ms=900)
NO = Rejected(reason=RejectReason.PERMISSION, message="not today", code="-1")


class Timed(ClosedLoop):
    """Keeps when what was sent, in ms after `mark`, and answers as `answers` says, in turn; then the exchange does."""

    def __post_init__(self) -> None:
        self.answers: list[object] = []
        self.times: list[tuple[int, str]] = []
        self.since = 0
        super().__post_init__()
        self.fault = self._answer  # type: ignore[assignment]

    def _answer(self, intent: object) -> object:
        self.times.append(((self.now_ns - self.since) // 1_000_000, type(intent).__name__))
        return self.answers.pop(0) if self.answers else None

    def mark(self, *answers: object) -> None:
        self.since, self.times, self.answers = self.now_ns, [], list(answers)

    def read(
        self, *, absent: tuple[str, ...] = (), orders: tuple[object, ...] = (), never_arrived: tuple[str, ...] = ()
    ) -> None:
        time_ms, scope = self.now_ns // 1_000_000, Scope.ORDERS
        seen = Snapshot(
            account="c1", scope=scope, time_ms=time_ms, orders=orders, absent=absent, never_arrived=never_arrived
        )
        self.feed(Snapped(at_ns=self.now_ns, account="c1", snapshot=seen))


def loop(*children, **more) -> Timed:
    more.setdefault("instrument", instrument("1"))
    desk = Timed(children or (child("c1", k="1"),), **more)
    desk.start()
    return desk


def copies(desk: ClosedLoop) -> list[ChildOrder]:
    return [tracked.order for tracked in desk.copier.desk.child_orders.values()]


def newest(desk: ClosedLoop) -> ChildOrder:
    return copies(desk)[-1]


def link(desk: ClosedLoop):
    (found,) = desk.copier.desk.bots["bot"].links.values()
    return found


DOUBLING = [0, 250, 750, 1750, 3750, 7750, 15750, 31750, 63750]
"""The first try, then 250 ms after it, and each time after twice as long: eight times."""
URGENT = [0, 250, 750, 1750, 2750, 3750, 4750, 5750, 6750]
"""The same for what reduces risk: no second in which it is not tried."""


def within(times: list[tuple[int, str]], wanted: list[int], what: str) -> None:
    """Each at its time; a timer of the loop comes up to a millisecond late each time."""
    assert [name for _, name in times] == [what] * len(wanted)
    for n, ((at_ms, _), wanted_ms) in enumerate(zip(times, wanted, strict=True)):
        assert wanted_ms <= at_ms <= wanted_ms + n, times


def test_9_a_busy_venue_is_asked_again_each_time_after_twice_as_long_and_not_for_ever():
    desk = loop()
    desk.mark(*[BUSY] * 20)
    desk.buy("2", price="59000")
    desk.settle()
    within(desk.times, [at_ms + 1 for at_ms in DOUBLING], "Place")
    assert len({intent.client_id for intent in desk.intents}) == 1
    assert newest(desk).state is State.REJECTED
    (note,) = [note for note in desk.notes if note.kind == "rejected"]
    assert note.text == "not copied: buy 2 BTCUSDT was refused: too many requests"
    assert desk.copier.desk.bots["bot"].missed == {"c1": 1}


def test_9_the_venue_says_how_long_to_wait():
    desk = loop()
    desk.mark(OVERLOADED, OVERLOADED, OVERLOADED, OVERLOADED)
    desk.buy("2", price="59000")
    desk.settle()
    within(desk.times, [1, 901, 1801, 2801, 4801], "Place")
    assert len(desk.working("c1")) == 1


def test_9_what_went_well_is_forgotten_by_the_next_time_that_the_venue_is_busy():
    desk = loop()
    desk.mark(BUSY, BUSY, BUSY)
    bid = desk.buy("2", price="59000")
    desk.settle()
    assert len(desk.working("c1")) == 1
    desk.mark(BUSY)
    desk.cancel(bid)
    desk.settle()
    within(desk.times, [1, 251], "Cancel")
    assert newest(desk).tries == 0


def test_9_a_busy_exit_is_asked_again_every_second():
    desk = loop()
    desk.buy("2")
    desk.settle()
    desk.mark(*[BUSY] * 5)
    desk.sell("2")
    desk.settle()
    within(desk.times, [at_ms + 1 for at_ms in URGENT[:6]], "Place")
    assert desk.position("c1") == 0


def test_9_a_busy_change_is_asked_again():
    desk = loop()
    bid = desk.buy("2", price="59000")
    desk.settle()
    desk.mark(*[BUSY] * 3)
    desk.amend(bid, price="59100")
    desk.deliver()
    desk.carry_out()
    assert (newest(desk).op, newest(desk).asked) == (Op.MODIFY, None), "it counts as busy until then"
    desk.amend(bid, price="59200")
    desk.settle()
    within(desk.times, [1, 251, 751, 1751], "Modify")
    assert [terms.price for terms in desk.working("c1")] == [59_200], "the newest state, none of those between"
    assert newest(desk).tries == 0
    desk.mark(BUSY)
    desk.amend(bid, price="59300")
    desk.settle()
    within(desk.times, [1, 251], "Modify")


def test_9_a_change_that_is_busy_for_too_long_leaves_a_ticket_and_the_order_as_it_was():
    desk = loop()
    bid = desk.buy("2", price="59000")
    desk.settle()
    desk.mark(*[BUSY] * 20)
    desk.amend(bid, price="59100")
    desk.settle()
    within(desk.times, [at_ms + 1 for at_ms in DOUBLING], "Modify")
    assert [terms.price for terms in desk.working("c1")] == [59_000]
    (note,) = [note for note in desk.notes if note.kind == "rejected"]
    assert note.text == "the change was refused: too many requests"
    assert note.data["client_id"] == newest(desk).client_id
    assert note.data["parent_order"] == bid.venue_id
    (ticket,) = desk.copier.desk.tickets.values()
    assert (ticket.terms.price, ticket.terms.quantity, ticket.parent_order) == (59_100, 2, bid.venue_id)


def test_8_a_busy_cancel_is_asked_again_and_then_looked_up():
    desk = loop()
    bid = desk.buy("2", price="59000")
    desk.settle()
    desk.mark(*[BUSY] * 9)
    desk.cancel(bid)
    desk.deliver()
    desk.carry_out()
    assert (newest(desk).op, newest(desk).cancelled_for) == (Op.MODIFY, "")
    desk.settle()
    within(desk.times[:9], [at_ms + 1 for at_ms in URGENT], "Cancel")
    assert len(desk.times) == 10, "it was looked up, stands, and is cancelled once more"
    assert desk.working("c1") == []


@pytest.mark.parametrize("answer", [Unknown(message="no answer"), NO, Rejected(reason=RejectReason.NOT_FOUND, message="?")])
def test_8_a_cancel_of_which_nobody_knows_is_looked_up_and_asked_for_again(answer):
    desk = loop()
    bid = desk.buy("2", price="59000")
    desk.settle()
    desk.mark(answer)
    desk.cancel(bid)
    desk.deliver()
    desk.carry_out()
    assert newest(desk).op is Op.LOOK_UP
    assert newest(desk).due_ns - desk.now_ns == 200_000_000
    desk.settle()
    assert [name for _, name in desk.times] == ["Cancel", "Cancel"]
    assert desk.working("c1") == []


def test_8_the_end_of_a_cancelled_order_is_waited_for_then_looked_up():
    desk = loop()
    bid = desk.buy("2", price="59000")
    desk.settle()
    stands = desk.exchange.open_orders("c1")[0]
    desk.mark(Accepted(order=stands))
    desk.cancel(bid)
    desk.deliver()
    desk.carry_out()
    assert newest(desk).op is Op.CANCEL
    assert newest(desk).due_ns - desk.now_ns == 2_000_000_000
    desk.settle()
    assert any(isinstance(intent, LookUp) for intent in desk.intents)
    assert desk.working("c1") == []


def test_7_a_change_that_is_told_of_is_over_however_late_its_reply():
    desk = loop()
    bid = desk.buy("2", price="59000")
    desk.settle()
    copied = desk.copier.desk.bots["bot"].copied["c1"]
    desk.amend(bid, price="59100")
    desk.deliver()
    (slow,) = desk.queue
    desk.queue.clear()
    desk.on_exchange(slow)
    desk.amend(bid, price="59200")
    desk.settle()
    assert [terms.price for terms in desk.working("c1")] == [59_200]
    assert newest(desk).op is None
    assert desk.copier.desk.bots["bot"].copied["c1"] == copied + 2
    before = len(desk.intents)
    desk.answer(slow, Unknown(message="no answer"))
    desk.settle()
    assert len(desk.intents) == before, "the late reply changes nothing"


def test_7_a_change_that_changes_nothing_is_a_success():
    desk = loop()
    bid = desk.buy("2", price="59000")
    desk.settle()
    desk.mark(Rejected(reason=RejectReason.UNCHANGED, message="no need to change"))
    desk.amend(bid, price="59100")
    desk.settle()
    assert len(desk.times) == 1
    assert (newest(desk).terms.price, newest(desk).asked, newest(desk).op) == (59_100, None, None)
    assert desk.copier.desk.tickets == {}


@pytest.mark.parametrize("answer", [Unknown(message="no answer"), Rejected(reason=RejectReason.NOT_FOUND, message="?")])
def test_7_a_change_of_which_nobody_knows_is_looked_up(answer):
    desk = loop()
    bid = desk.buy("2", price="59000")
    desk.settle()
    desk.mark(answer)
    desk.amend(bid, price="59100")
    desk.deliver()
    desk.carry_out()
    assert newest(desk).op is Op.LOOK_UP
    assert newest(desk).due_ns - desk.now_ns == 200_000_000
    desk.settle()
    assert [name for _, name in desk.times] == ["Modify", "Modify"]
    assert [terms.price for terms in desk.working("c1")] == [59_100]


def test_10_an_id_that_is_taken_is_our_own_order_and_looked_up():
    desk = loop()
    desk.mark("lose-reply")
    desk.buy("2", price="59000")
    desk.deliver()
    (intent,) = desk.queue
    desk.carry_out()
    order = newest(desk)
    order.op, order.state = Op.PLACE, State.SENDING
    desk.reports.clear()
    taken = Rejected(reason=RejectReason.DUPLICATE_ID, message="that id was used")
    desk.feed(Settled(at_ns=desk.now_ns, account="c1", intent=intent.id, client_id=intent.client_id, outcome=taken))
    assert (order.state, order.op) == (State.UNKNOWN, Op.LOOK_UP)
    assert desk.queue[-1].orders[0].client_id == intent.client_id
    desk.settle()
    assert (order.state, len(desk.placed("c1"))) == (State.WORKING, 1)
    assert desk.copier.desk.tickets == {}


def test_9_an_order_that_the_venue_rejects_after_it_was_accepted_leaves_a_ticket():
    desk = loop()
    bid = desk.buy("2", price="59000")
    desk.settle()
    stands = desk.exchange.open_orders("c1")[0]
    for reason, text in (("post only", "post only"), ("", "rejected by the venue")):
        rejected = replace(stands, status=OrderStatus.REJECTED, reason=reason, updated_ms=desk.now_ns // 1_000_000)
        order = newest(desk)
        order.state = State.WORKING
        link(desk).pairs[bid.venue_id].closed = ""
        order.reason = ""
        desk.feed(Reported(at_ns=desk.now_ns, account="c1", event=OrderEvent(order=rejected)))
        assert desk.said("rejected")[-1] == f"not copied: buy 2 BTCUSDT was refused: {text}"
        assert order.state is State.REJECTED
        assert link(desk).pairs[bid.venue_id].closed == "rejected"


def test_an_execution_may_be_told_before_its_order_and_counts_once():
    desk = loop()
    desk.buy("2", price="59000")
    desk.settle()
    copy = next(order for order in desk.exchange.open_orders("c1"))
    desk.exchange.fill("c1", D(1), venue_id=copy.venue_id)
    fills = [report for report in desk.reports if isinstance(report.event, FillEvent) and report.account == "c1"]
    assert len(fills) == 1
    desk.reports.clear()
    desk.feed(fills[0])
    assert (newest(desk).filled, link(desk).attributed) == (1, 1)
    desk.feed(fills[0])
    told = OrderEvent(order=desk.exchange.find("c1", venue_id=copy.venue_id))
    desk.feed(Reported(at_ns=desk.now_ns, account="c1", event=told))
    assert (newest(desk).filled, link(desk).attributed) == (1, 1)


# --- what is looked up ------------------------------------------------------------------------------------------------


def absences(desk: Timed, order: ChildOrder, last_ms: int = 60_000) -> list[int]:
    """The venue says again and again that it has no such order: after how many ms it was asked, until it is given up."""
    begun, asked = order.sent_ns, []
    desk.queue.clear()
    while order.op is Op.LOOK_UP and (desk.now_ns - begun) // 1_000_000 < last_ms:
        desk.queue.clear()
        desk.read(absent=(order.client_id,))
        if order.op is not Op.LOOK_UP:
            break
        asked.append((order.due_ns - desk.now_ns) // 1_000_000)
        desk.now_ns = order.due_ns
    return asked


@pytest.mark.parametrize(("side", "least_ms"), [("entry", 11_000), ("exit", 1_500)])
def test_10_not_found_has_to_be_said_several_times_for_long_enough(side, least_ms):
    desk = loop()
    if side == "exit":
        desk.buy("2")
        desk.settle()
    desk.mark(Unknown(message="no answer"))
    if side == "entry":
        desk.buy("2", price="59000")
    else:
        desk.sell("2", type=OrderType.STOP_MARKET, trigger="58000", reduce_only=True)
    desk.deliver()
    desk.carry_out()
    order = newest(desk)
    assert (order.state, order.op, order.due_ns - desk.now_ns) == (State.UNKNOWN, Op.LOOK_UP, 200_000_000)
    sent_ns = order.sent_ns
    asked = absences(desk, order)
    gone_ms = (desk.now_ns - sent_ns) // 1_000_000
    assert order.state in (State.MISSING, State.SENDING), "placed again under the same id"
    assert gone_ms >= least_ms
    assert gone_ms - asked[-1] < least_ms, "no longer than needed"
    assert len(asked) >= 3, "four times at the least"
    assert asked[0] == 450
    assert max(asked) == max(450, max((gone_ms - asked[-1]) // 4, 450)), "less and less often"


def test_10_four_times_at_the_least_however_long_ago_it_was_sent():
    desk = loop()
    desk.mark(Unknown(message="no answer"))
    desk.buy("2", price="59000")
    desk.deliver()
    desk.carry_out()
    desk.now_ns += 100_000_000_000
    assert len(absences(desk, newest(desk), 900_000)) == 3


def test_10_what_never_arrived_goes_again_at_once_and_nothing_else_does():
    desk = loop()
    desk.mark(Unknown(message="the connection was lost"))
    desk.buy("2", price="59000")
    desk.deliver()
    (place,) = [intent for intent in desk.queue if isinstance(intent, Place)]
    order = newest(desk)
    said = {"absent": (order.client_id,), "never_arrived": (order.client_id,)}
    desk.read(**said)
    assert (order.state, order.intent) == (State.SENDING, place.id), "what is being sent now is not what it was said of"
    desk.carry_out()
    assert order.state is State.UNKNOWN
    desk.read(**said)
    assert order.state is State.SENDING
    (again,) = [intent for intent in desk.queue if isinstance(intent, Place)]
    assert again.client_id == place.client_id
    desk.settle()
    assert (order.state, len(desk.placed("c1"))) == (State.WORKING, 1)
    order.op = Op.LOOK_UP
    desk.queue.clear()
    desk.read(**said)
    assert (order.state, desk.queue) == (State.WORKING, []), "one that stood there has arrived"


def test_10_an_order_that_stood_and_is_gone_has_ended():
    desk = loop()
    desk.buy("2", price="59000")
    desk.settle()
    order = newest(desk)
    desk.pass_time(20_000)
    order.op = Op.LOOK_UP
    absences(desk, order)
    assert (order.state, order.op) == (State.CANCELLED, None)
    assert order.reason == "the venue does not know it any more"


def test_10_an_absence_that_nobody_asked_for_says_nothing():
    desk = loop()
    desk.buy("2", price="59000")
    desk.settle()
    order = newest(desk)
    for _ in range(9):
        desk.pass_time(10_000)
        desk.read(absent=(order.client_id, "nobody's"))
    assert (order.state, order.absent) == (State.WORKING, 0)


def test_5_a_correction_that_never_arrived_goes_again_under_the_same_id():
    desk = loop()
    bid = desk.buy("4", price="59000")
    desk.settle()
    copy = desk.exchange.open_orders("c1")[0]
    desk.exchange.fill("c1", D(4), venue_id=copy.venue_id)
    desk.settle()
    desk.mark(Unknown(message="no answer"))
    desk.cancel(bid)
    desk.settle()
    trims = [intent for intent in desk.intents if isinstance(intent, Place) and intent.why == "trim"]
    assert [trim.client_id for trim in trims] == [trims[0].client_id] * 2
    assert desk.position("c1") == 0
    first_ms, again_ms = (at_ms for at_ms, what in desk.times if what == "Place")
    assert 1_500 <= again_ms - first_ms <= 5_000


def test_16_a_crash_leaves_what_was_on_its_way_unknown():
    from copydesk.inputs import EngineStarted

    desk = loop()
    bid = desk.buy("2", price="59000")
    desk.settle()
    desk.amend(bid, price="59100")
    desk.deliver()
    order = newest(desk)
    assert (order.op, order.asked is not None) == (Op.MODIFY, True)
    desk.buy("1", price="58000")
    desk.deliver()
    desk.queue.clear()
    desk.feed(EngineStarted(at_ns=desk.now_ns))
    assert [one.state for one in copies(desk)] == [State.WORKING, State.UNKNOWN]
    assert {(one.op, one.asked, one.due_ns, one.intent) for one in copies(desk)} == {(None, None, 0, 0)}


# --- groups -----------------------------------------------------------------------------------------------------------


def test_11_each_leg_of_a_group_takes_its_own_part_of_the_reply():
    from copydesk.model import Side, Terms

    desk = loop(oco=True)
    desk.buy("2")
    desk.settle()
    legs = [
        Terms(
            symbol="BTCUSDT",
            side=Side.SELL,
            type=type_,
            quantity=D(2),
            price=price,
            trigger_price=trigger,
            reduce_only=True,
        )
        for type_, price, trigger in (
            (OrderType.LIMIT, D(61_000), None),
            (OrderType.STOP_MARKET, None, D(59_000)),
        )
    ]
    desk.parent_places_group(*legs)
    desk.deliver()
    desk.reports.clear()
    (intent,) = [one for one in desk.queue if isinstance(one, PlaceGroup)]
    desk.queue.remove(intent)
    outcome = desk.on_exchange(intent)
    desk.reports.clear()
    desk.answer(intent, outcome)
    stands = {order.client_id: order.venue_id for order in desk.exchange.open_orders("c1")}
    assert {one.client_id: one.venue_id for one in copies(desk)[-2:]} == stands
    assert {one.state for one in copies(desk)[-2:]} == {State.WORKING}
    assert copies(desk)[-1].partner == copies(desk)[-2].client_id
    assert len({one.intent for one in copies(desk)[-2:]}) == 1
    assert [one.exit for one in copies(desk)[-2:]] == [True, True]


def test_13_what_a_stop_cancels_is_asked_again_while_the_venue_is_busy():
    desk = loop()
    desk.buy("2", price="59000")
    desk.settle()
    desk.mark(BUSY, BUSY)
    desk.feed(BotStopped(at_ns=desk.now_ns, bot="bot", policy="cancel_all"))
    desk.settle()
    assert [name for _, name in desk.times] == ["Cancel"] * 3
    assert desk.working("c1") == []
    assert [intent.why for intent in desk.intents if isinstance(intent, Cancel)] == ["the bot is stopped"] * 3
    assert not any(isinstance(intent, Modify) for intent in desk.intents)
