"""Rules 4, 7, 8 and 11: exits, flips and protective orders of a child that is not where its parent is."""

from __future__ import annotations

import dataclasses

import pytest
from copydesk.drifting import drifts
from copydesk.inputs import Cancel, LookUp, Modify, Place, Unfilled
from copydesk.model import Accepted, OrderStatus, OrderType, PositionSide, Rejected, RejectReason, Side
from copydesk.protecting import retire
from copydesk.sending import Run
from copydesk.tracking import State
from copydesk_paper.records import MarketTrade
from harness.closed_loop import PARENT, SYMBOL, ClosedLoop, D, child, instrument
from msgspec.structs import replace

STOP, TARGET = OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET


def loop(*children, **more) -> ClosedLoop:
    more.setdefault("instrument", instrument("1"))
    waits = Unfilled(action="wait")  # a target that the parent's has left behind rests on
    return ClosedLoop(children or (child("c1", k="1", unfilled_exit=waits),), **more).start()


def stops(desk: ClosedLoop, account: str = "c1") -> list[str]:
    return [f"{terms.quantity}@{terms.trigger_price}" for terms in desk.working(account) if terms.type is STOP]


def bracket(desk: ClosedLoop, quantity: str = "2", *, target: str = "61000", stop: str = "59000"):
    """Entry at market, a target that rests in the book, a stop."""
    desk.buy(quantity)
    return (
        desk.sell(quantity, price=target, reduce_only=True),
        desk.sell(quantity, type=STOP, trigger=stop, reduce_only=True),
    )


def buyers(desk: ClosedLoop, price: str, quantity: str) -> None:
    """Somebody buys up to `price`: it fills the sells that rest there."""
    desk.exchange.apply(MarketTrade(symbol=SYMBOL, price=D(price), quantity=D(quantity), buyer_is_maker=False))


def own_link(desk: ClosedLoop, account: str = "c1"):
    return desk.copier.desk.bots["bot"].links[account, (SYMBOL, PositionSide.NET)]


def half_filled(desk: ClosedLoop) -> None:
    """Parent long 2 by a limit order; the child's copy filled 1 of 2 and rests, for somebody else stood in the way."""
    desk.buy("2", price="59990")
    desk.settle()
    desk.trade("59990", "3")  # the parent, who came first, 2; the child 1
    desk.settle()
    assert (desk.position(PARENT), desk.position("c1")) == (2, 1)


def own_link_orders(desk: ClosedLoop, account: str = "c1"):
    """All that the engine knows to have sent, of episodes that are over too."""
    return [tracked.order for (name, _), tracked in desk.copier.desk.child_orders.items() if name == account]


def deafen(desk: ClosedLoop, account: str) -> None:
    """From now on the stream tells nothing of orders that are cancelled there."""
    hear = desk._hear

    def partly(report) -> None:
        order = getattr(report, "order", None)
        if order is None or report.account != account or order.status is not OrderStatus.CANCELLED:
            hear(report)

    desk.exchange.listen(partly)
    desk.exchange._floor._listeners.remove(hear)


# --- 4: exits ---------------------------------------------------------------------------------------------------------


def test_4_three_partial_closes_leave_nothing():
    desk = loop(child("half", k="0.5"), child("third", k="0.33"), child("triple", k="3"))
    desk.buy("10")
    desk.settle()
    for quantity in ("3", "4", "3"):
        desk.sell(quantity, reduce_only=True)
        desk.settle()
    assert [desk.position(name) for name in (PARENT, "half", "third", "triple")] == [0, 0, 0, 0]


def test_4_scale_33_percent_buys_three_then_holds_one():
    desk = loop(child("c1", k="0.33"))
    desk.buy("10")
    desk.settle()
    assert desk.position("c1") == 3
    desk.sell("5")
    desk.settle()
    assert desk.position("c1") == 1
    assert [terms.quantity for terms in desk.placed("c1")] == [3, 2]


@pytest.mark.parametrize("nets", [True, False])
def test_4_reversal_from_two_long_to_two_short_while_the_child_holds_one_long(nets):
    desk = loop(nets=nets)
    half_filled(desk)
    before = len(desk.placed("c1"))
    desk.sell("4")
    desk.settle()
    assert (desk.position(PARENT), desk.position("c1")) == (-2, -2)
    flip = desk.placed("c1")[before:]
    assert [terms.quantity for terms in flip] == ([3] if nets else [1, 2])
    assert flip[0].reduce_only is not nets


def test_4_the_legs_of_a_flip_have_ids_of_their_own_and_the_second_waits_for_the_first():
    desk = loop(nets=False)
    desk.buy("2")
    desk.settle()
    desk.sell("5")
    desk.deliver()
    (first,) = desk.queue
    assert isinstance(first, Place)
    assert (first.order.terms.quantity, first.order.terms.reduce_only) == (2, True)
    desk.fault = lambda intent: "lose-reply"
    desk.carry_out()
    desk.reports.clear()  # nothing is heard of it: until the venue tells, the second leg does not go
    assert [type(intent).__name__ for intent in desk.queue] == []
    desk.fault = lambda intent: None
    desk.settle()
    second = next(intent for intent in reversed(desk.intents) if isinstance(intent, Place))
    assert (second.order.terms.quantity, second.order.terms.reduce_only) == (3, False)
    assert first.client_id.rpartition("-")[2].startswith("x")
    assert second.client_id.rpartition("-")[2].startswith("c")
    assert first.client_id.rpartition("-")[0] == second.client_id.rpartition("-")[0]
    assert desk.position("c1") == -3


def test_4_a_resting_flip_closes_first_and_opens_then():
    desk = loop(nets=False)
    desk.buy("2")
    desk.settle()
    desk.sell("5", price="61000")
    desk.settle()
    (leg,) = desk.working("c1")
    assert (leg.quantity, leg.reduce_only, leg.price) == (2, True, D(61000))
    desk.prices(D(61001))
    desk.settle()
    assert (desk.position(PARENT), desk.position("c1")) == (-3, -3)
    assert len(desk.placed("c1")) == 3


def test_4_a_leg_that_closes_is_taken_away_when_somebody_else_closed():
    desk = loop(nets=False)
    desk.buy("2")
    desk.settle()
    flip = desk.sell("5", price="61000")
    desk.settle()
    desk.sell("2")
    desk.settle()
    (leg,) = desk.working("c1")
    assert (leg.quantity, leg.reduce_only) == (5, False)
    desk.cancel(flip)
    desk.settle()
    assert (desk.working("c1"), desk.position("c1")) == ([], 0)


def test_4_a_flip_right_after_the_entry_counts_what_the_entry_brings():
    desk = loop()
    desk.buy("2")
    desk.sell("4")
    desk.settle()
    assert [terms.quantity for terms in desk.placed("c1")] == [2, 4]
    assert (desk.position(PARENT), desk.position("c1")) == (-2, -2)


def test_4_a_reduce_only_exit_on_a_flat_child_is_a_success():
    desk = loop(child("small", k="0.1"))
    desk.buy("5")
    desk.settle()
    desk.sell("5", reduce_only=True)
    desk.settle()
    assert (desk.position("small"), desk.placed("small")) == (0, [])
    assert desk.copier.desk.bots["bot"].missed == {}


def test_4_without_reduce_only_an_exit_is_clamped_to_what_the_child_holds():
    desk = loop(reduce_only=False)
    half_filled(desk)
    desk.sell("2")
    desk.settle()
    exits = [terms for terms in desk.placed("c1") if terms.side is Side.SELL]
    assert [(terms.quantity, terms.reduce_only) for terms in exits] == [(1, False)]
    assert desk.position("c1") == 0


# --- 11: protective orders --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("amendable", [frozenset(), frozenset(OrderType)])
def test_11_child_fills_one_of_two_and_the_stop_is_one(amendable):
    desk = loop(amendable=amendable)
    half_filled(desk)
    desk.sell("2", type=STOP, trigger="59000", reduce_only=True)
    desk.settle()
    assert stops(desk) == ["1@59000"]
    desk.trade("59990", "1")
    desk.settle()
    assert (stops(desk), desk.position("c1")) == (["2@59000"], 2)


def test_11_the_stop_is_placed_with_the_first_fill_and_not_before():
    desk = loop()
    desk.buy("2", price="59990")
    desk.settle()
    desk.sell("2", type=STOP, trigger="59000")
    desk.trade("59990", "2")
    desk.settle()
    assert stops(desk) == []
    desk.trade("59990", "1")
    desk.settle()
    assert stops(desk) == ["1@59000"]


def test_11_the_childs_stop_survives_when_the_parents_target_takes_its_stop_away():
    desk = loop(amendable=frozenset())
    _, stop = bracket(desk)
    desk.settle()
    buyers(desk, "61000", "2")  # the parent's, who came first
    desk.cancel(stop)
    desk.settle()
    assert (desk.position(PARENT), desk.position("c1")) == (0, 2)
    assert stops(desk) == ["2@59000"]
    buyers(desk, "61000", "1")  # half of the child's target: the stop covers more than is held, and is guarded
    desk.settle()
    desk.prices(D(58999))
    desk.settle()
    assert (desk.position("c1"), desk.working("c1")) == (0, [])


@pytest.mark.parametrize("first", ["stop", "target"])
def test_11_it_survives_in_whichever_order_the_two_are_told(first):
    desk = loop()
    _, stop = bracket(desk)
    desk.settle()
    buyers(desk, "61000", "2")
    later, desk.reports = desk.reports, []
    desk.cancel(stop)
    if first == "target":
        desk.reports = later + desk.reports
        later = []
    desk.deliver()
    desk.carry_out()
    desk.pass_time(100)
    desk.reports = later
    desk.settle()
    assert (desk.position("c1"), stops(desk)) == (2, ["2@59000"])


def test_11_a_stop_that_was_cancelled_by_hand_goes_on_the_child_too():
    desk = loop()
    _, stop = bracket(desk)
    desk.settle()
    desk.cancel(stop)
    desk.settle()
    assert (desk.position("c1"), stops(desk)) == (2, [])


def test_11_a_stop_that_is_replaced_by_hand_is_replaced_without_a_gap():
    desk = loop()
    _, stop = bracket(desk)
    desk.settle()
    desk.cancel(stop)
    desk.deliver()
    desk.carry_out()
    desk.pass_time(100)
    desk.sell("2", type=STOP, trigger="59500", reduce_only=True)
    desk.deliver()
    desk.carry_out()
    assert stops(desk) == ["2@59000", "2@59500"]
    desk.settle()
    assert stops(desk) == ["2@59500"]
    assert own_link(desk).naked_ns == 0


@pytest.mark.parametrize("close_position", [False, True])
def test_11_flat_removes_every_protective_order(close_position):
    desk = loop()
    desk.buy("2")
    desk.sell("2", type=STOP, trigger="59000", reduce_only=not close_position, close_position=close_position)
    desk.sell("2", type=TARGET, trigger="61000", reduce_only=True)
    desk.settle()
    assert [(terms.quantity, terms.reduce_only) for terms in desk.working("c1")] == [(2, True), (2, True)]
    desk.sell("2")
    desk.settle()
    assert (desk.position("c1"), desk.working("c1")) == (0, [])


def test_11_a_cancel_that_is_not_confirmed_is_asked_after_until_it_is():
    desk = loop()
    bracket(desk)
    desk.settle()
    desk.fault = lambda intent: "lose-reply" if isinstance(intent, Cancel) else None
    for order in desk.exchange.open_orders(PARENT):
        desk.cancel(order)
    desk.sell("2")
    for _ in range(4):
        desk.deliver()
        desk.carry_out()
        desk.reports = [report for report in desk.reports if report.account != "c1"]
    desk.reread("c1", since_ms=1)
    desk.settle()
    assert desk.working("c1") == []
    assert not any(order.state.is_open for order in own_link(desk).orders)


def test_11_what_only_a_reply_says_is_gone_is_asked_for():
    desk = loop()
    bracket(desk)
    desk.settle()
    before = len(desk.intents)
    deafen(desk, "c1")
    desk.sell("2")
    desk.settle()
    asked = [ref.client_id for intent in desk.intents[before:] if isinstance(intent, LookUp) for ref in intent.orders]
    stop = next(order for order in own_link_orders(desk) if order.terms.type is STOP)
    assert stop.client_id in asked
    assert stop.verified
    assert desk.said("unverified") == []


def test_11_what_the_stream_tells_is_gone_is_not_asked_for():
    desk = loop()
    bracket(desk)
    desk.settle()
    for order in desk.exchange.open_orders(PARENT):
        desk.cancel(order)
    desk.sell("2")
    desk.settle()
    assert not any(isinstance(intent, LookUp) for intent in desk.intents)


def test_11_a_stop_that_stands_although_its_cancel_was_confirmed_is_cancelled_again():
    desk = loop()
    bracket(desk)
    desk.settle()
    lies = []

    def lie(intent):
        """The venue says that it cancelled the stop, and did not."""
        tracked = desk.copier.desk.child_orders[intent.account, intent.client_id]
        if not isinstance(intent, Cancel) or tracked.order.terms.type is not STOP or len(lies) == 2:
            return None
        lies.append(intent.client_id)
        found = desk.exchange.find("c1", client_id=intent.client_id)
        return Accepted(order=replace(found, status=OrderStatus.CANCELLED))

    desk.fault = lie
    for order in desk.exchange.open_orders(PARENT):
        desk.cancel(order)
    desk.sell("2")
    desk.settle()
    assert len(lies) == 2
    assert desk.working("c1") == []


def test_11_a_stop_of_the_old_side_is_gone_before_the_new_side_opens():
    desk = loop()
    half_filled(desk)
    desk.sell("2", type=STOP, trigger="59000", reduce_only=True)
    desk.settle()
    desk.sell("4")
    desk.settle()
    desk.buy("2", type=STOP, trigger="61000", reduce_only=True)
    for order in desk.exchange.open_orders(PARENT):
        if order.terms.side is Side.SELL:
            desk.cancel(order)
    desk.settle()
    assert desk.position("c1") == -2
    assert [(terms.side, terms.quantity) for terms in desk.working("c1")] == [(Side.BUY, 2)]


# --- 7 and 8: replacing a stop where it cannot be amended ---------------------------------------------------------------


def test_7_a_dragged_stop_leaves_the_position_never_without_one():
    desk = loop(amendable=frozenset())
    _, stop = bracket(desk)
    desk.settle()
    for price in range(59010, 59310, 10):
        desk.amend(stop, trigger=str(price))
        desk.deliver()
        assert stops(desk)
        desk.carry_out()
        assert 1 <= len(stops(desk)) <= 2
    desk.settle()
    assert stops(desk) == ["2@59300"]
    link = own_link(desk)
    assert (link.naked_ns, link.naked_since_ns) == (0, 0)
    assert not any(isinstance(intent, Modify) for intent in desk.intents)


def test_7_a_dragged_stop_costs_two_requests_for_each_that_is_carried_out():
    desk = loop(amendable=frozenset())
    _, stop = bracket(desk)
    desk.settle()
    before = len(desk.sent)
    for price in range(59010, 59310, 10):
        desk.amend(stop, trigger=str(price))
        desk.deliver()
    desk.settle()
    assert stops(desk) == ["2@59300"]
    assert len(desk.sent) - before <= 4


def test_7_where_the_new_stop_is_refused_the_old_one_stays():
    desk = loop(amendable=frozenset())
    _, stop = bracket(desk)
    desk.settle()
    refuse = Rejected(reason=RejectReason.PRICE, message="would trigger at once")
    desk.fault = lambda intent: refuse if isinstance(intent, Place) else None
    desk.amend(stop, trigger="59500")
    desk.settle()
    assert stops(desk) == ["2@59000"]
    assert "would trigger" in desk.said("rejected")[0]
    desk.fault = lambda intent: None
    before = len(desk.intents)
    desk.reread("c1")
    desk.settle()
    assert stops(desk) == ["2@59000"]
    assert desk.intents[before:] == []
    desk.amend(stop, trigger="59400")
    desk.settle()
    assert stops(desk) == ["2@59400"]


def test_7_a_new_stop_of_which_nothing_is_known_keeps_the_old_one_standing():
    desk = loop(amendable=frozenset())
    _, stop = bracket(desk)
    desk.settle()
    desk.fault = lambda intent: "lose-reply" if isinstance(intent, Place) else None
    desk.amend(stop, trigger="59500")
    desk.deliver()
    desk.carry_out()
    desk.reports.clear()
    assert stops(desk) == ["2@59000", "2@59500"]
    desk.settle()
    assert stops(desk) == ["2@59500"]


def test_7_both_stops_that_trigger_together_close_no_more_than_is_held():
    desk = loop(amendable=frozenset())
    _, stop = bracket(desk)
    desk.settle()
    desk.amend(stop, trigger="59500")
    desk.deliver()
    desk.carry_out()
    desk.prices(D(58999))
    desk.settle()
    assert (desk.position(PARENT), desk.position("c1"), desk.working("c1")) == (0, 0, [])


def test_7_without_reduce_only_the_old_stop_goes_first_and_that_time_is_measured():
    desk = loop(amendable=frozenset(), reduce_only=False)
    desk.buy("2")
    stop = desk.sell("2", type=STOP, trigger="59000")
    desk.settle()
    desk.amend(stop, trigger="59500")
    desk.deliver()
    desk.carry_out()
    assert stops(desk) == []
    desk.deliver()
    desk.pass_time(1500)
    desk.settle()
    assert stops(desk) == ["2@59500"]
    link = own_link(desk)
    assert link.naked_ns == link.naked_longest_ns == 1_500_000_000
    assert "without a stop for 1.5 s" in desk.said("naked")[0]


def test_7_with_a_foreign_position_the_old_stop_goes_first():
    """Both together could take of what is not ours."""
    desk = loop(amendable=frozenset())
    desk.exchange.place("c1", desk.buy("2").terms)
    stop = desk.sell("2", type=STOP, trigger="59000", reduce_only=True)
    desk.settle()
    desk.amend(stop, trigger="59500")
    for _ in range(6):
        desk.deliver()
        desk.carry_out()
        assert len(stops(desk)) <= 1
    assert stops(desk) == ["2@59500"]
    desk.prices(D(59499))
    desk.settle()
    assert desk.position("c1") == 2


def test_11_naked_time_is_in_the_drift_statement():
    desk = loop()
    desk.fault = lambda intent: Rejected(reason=RejectReason.OVERLOADED, message="busy") if is_stop(intent) else None
    bracket(desk)
    for _ in range(3):
        desk.deliver()
        desk.carry_out()
    (view,) = drifts(desk.copier.desk)
    assert view.naked_since_ns > 0
    desk.fault = lambda intent: None
    desk.pass_time(100)
    desk.settle()
    (view,) = drifts(desk.copier.desk)
    assert (view.naked_since_ns, view.naked_ns > 0) == (0, True)


def is_stop(intent) -> bool:
    return isinstance(intent, Place) and intent.order.terms.type is STOP


def test_4_an_opening_leg_that_waits_does_not_keep_the_child_from_being_reduced():
    """Both stops were refused while they closed; by now one opens the other side, and waits for what nobody else closes."""
    desk = loop(nets=False)
    desk.buy("3")
    desk.settle()
    refuse = Rejected(reason=RejectReason.OTHER, message="nobody stands against it")
    desk.fault = lambda intent: refuse if isinstance(intent, Place) else None
    desk.sell("3", type=STOP, trigger="59000")
    desk.sell("1", type=STOP, trigger="59000")
    desk.deliver()
    desk.carry_out()
    desk.prices(D(58999))
    for _ in range(3):
        desk.deliver()
        desk.carry_out()
    desk.fault = lambda intent: None
    desk.settle()
    assert (desk.position(PARENT), desk.position("c1")) == (-1, -1)


@pytest.mark.parametrize(
    ("state", "closed", "held", "goes"),
    [
        (State.WORKING, "", "2", True),
        (State.FILLED, "", "2", True),
        (State.CANCELLED, "done", "2", True),
        (State.CANCELLED, "", "0", True),
        (State.CANCELLED, "", "2", False),
        (State.SENDING, "", "2", False),
    ],
)
def test_11_an_older_order_goes_once_a_newer_one_has_taken_its_place(state, closed, held, goes):
    desk = loop()
    desk.buy("2", price="59000")
    desk.settle()
    link = own_link(desk)
    (pair,) = link.pairs.values()
    (old,) = pair.orders
    pair.orders.append(dataclasses.replace(old, client_id="cdk-newer", state=state))
    pair.closed, link.attributed = closed, D(held)
    run = Run(desk.copier.desk, [], desk.now_ns)
    retire(run, link, pair)
    assert [decision.order for decision in run.decisions] == ([old.ref] if goes else [])
