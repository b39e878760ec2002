"""Rule 9: what the venue refuses."""

from __future__ import annotations

import dataclasses

import pytest
from copydesk.drifting import drifts
from copydesk.inputs import Modify, Place, Unfilled
from copydesk.model import OrderStatus, OrderType, Rejected, RejectReason
from copydesk.refusing import change_refused, goes_on, is_retrying
from copydesk.sending import Run
from copydesk.tracking import State
from harness.closed_loop import PARENT, ClosedLoop, D, child, instrument
from msgspec.structs import replace


def loop(*children, **more) -> ClosedLoop:
    return ClosedLoop(children or (child("c1", k="1"),), **more).start()


def refuse(reason: RejectReason, when=lambda terms: True, message: str = "no"):
    """A venue that refuses placements whose terms fit."""

    def verdict(intent):
        if isinstance(intent, Place) and when(intent.order.terms):
            return Rejected(reason=reason, message=message)
        return None

    return verdict


def fine(intent) -> None:
    return None


def long(desk: ClosedLoop) -> None:
    desk.buy("2")
    desk.settle()
    assert desk.position("c1") == 2


# --- sizes --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [RejectReason.MARGIN, RejectReason.QUANTITY])
def test_9_fail_is_the_default(reason):
    desk = loop()
    desk.fault = refuse(reason)
    desk.buy("2")
    desk.settle()
    assert [what for _, _, what in desk.sent] == []
    assert len(desk.said("rejected")) == 1
    (view,) = drifts(desk.copier.desk)
    assert view.cause == "rejected"


def test_9_shrink_to_fit_halves_until_the_venue_takes_it():
    desk = loop(child("c1", k="1", on_size_reject="shrink_to_fit"))
    desk.fault = refuse(RejectReason.MARGIN, lambda terms: terms.quantity > D("0.6"))
    desk.buy("2")
    desk.settle()
    assert desk.position("c1") == D("0.5")
    assert len(desk.said("capped")) == 2
    (view,) = drifts(desk.copier.desk)
    assert (view.difference, view.cause) == (D("1.5"), "capped")
    desk.fault = fine
    desk.sell("2")
    desk.settle()
    assert desk.position("c1") == 0


def test_9_shrink_to_fit_takes_the_instruments_largest():
    desk = loop(
        child("c1", k="1", on_size_reject="shrink_to_fit"), instrument=replace(instrument(), market_max_quantity=D(3))
    )
    desk.fault = refuse(RejectReason.QUANTITY, lambda terms: terms.quantity > 3)
    desk.buy("3")
    desk.settle()
    desk.fault = fine
    assert desk.position("c1") == 3


def test_9_shrink_to_fit_takes_what_the_balance_allows():
    desk = loop(child("c1", k="1", on_size_reject="shrink_to_fit"), cash={"c1": D(100_000)})
    desk.exchange.set_leverage("c1", "BTCUSDT", 2)
    desk.buy("1")
    desk.settle()
    desk.reread("c1")
    assert desk.position("c1") == 1
    desk.buy("10")
    desk.settle()
    assert D("3.34") > desk.position("c1") > D("1.2")
    assert "to fit" in desk.said("capped")[0]


def test_9_shrinking_ends_and_then_a_person_is_told():
    desk = loop(child("c1", k="1", on_size_reject="shrink_to_fit"))
    desk.fault = refuse(RejectReason.MARGIN)
    desk.buy("2")
    desk.settle()
    places = [intent for intent in desk.intents if isinstance(intent, Place)]
    assert len(places) == 7
    assert len({place.order.client_id for place in places}) == 7
    assert len(desk.said("rejected")) == 1


def test_9_an_order_that_may_not_grow_goes_on_with_its_size():
    desk = loop(child("c1", k="1", on_size_reject="shrink_to_fit"))
    order = desk.buy("2", price="59000")
    desk.settle()
    desk.fault = lambda intent: (
        Rejected(reason=RejectReason.MARGIN, message="no")
        if isinstance(intent, Modify) and intent.change.terms.quantity > 2
        else None
    )
    desk.amend(order, quantity="5")
    desk.settle()
    desk.amend(order, price="58000")
    desk.settle()
    assert [(terms.price, terms.quantity) for terms in desk.working("c1")] == [(D(58000), D(2))]


@pytest.mark.parametrize("reason", [RejectReason.PERMISSION, RejectReason.MODE, RejectReason.OTHER, RejectReason.POST_ONLY])
def test_9_other_refusals_of_an_entry_are_final(reason):
    desk = loop(child("c1", k="1", on_size_reject="shrink_to_fit"))
    desk.fault = refuse(reason)
    desk.buy("2")
    desk.settle()
    assert len([intent for intent in desk.intents if isinstance(intent, Place)]) == 1


# --- exits --------------------------------------------------------------------------------------------------------------


def test_9_a_refused_exit_is_tried_again():
    desk = loop()
    long(desk)
    desk.fault = refuse(RejectReason.OTHER)
    desk.sell("2")
    desk.deliver()
    desk.carry_out()
    desk.fault = fine
    assert desk.position("c1") == 2
    desk.settle()
    assert desk.position("c1") == 0
    assert desk.said("alarm") == []


@pytest.mark.parametrize("ahead", ["trim", "keep"])
def test_9_a_resting_exit_that_is_refused_goes_at_market_once_the_parents_fills(ahead):
    desk = loop(child("c1", k="1", ahead=ahead))
    desk.soon_ms = 20_000
    long(desk)
    desk.fault = refuse(RejectReason.OTHER, lambda terms: terms.type is not OrderType.MARKET)
    desk.sell("2", type=OrderType.STOP_MARKET, trigger="59000", reduce_only=True)
    desk.settle()
    assert (desk.position("c1"), desk.working("c1")) == (2, [])
    desk.prices(D(58999))
    desk.settle()
    assert (desk.position(PARENT), desk.position("c1")) == (0, 0)
    last = desk.placed("c1")[-1]
    assert (last.type, last.reduce_only) == (OrderType.MARKET, True)


def test_9_a_resting_exit_that_is_refused_is_tried_on_slowly_and_alarms():
    desk = loop()
    desk.soon_ms = 20_000
    long(desk)
    desk.fault = refuse(RejectReason.PERMISSION)
    desk.sell("2", type=OrderType.STOP_MARKET, trigger="59000", reduce_only=True)
    desk.settle()
    assert len(desk.said("alarm")) == 1
    for minutes in (1, 2, 4):
        tried = len(desk.intents)
        desk.pass_time(minutes * 60_000)
        desk.settle()
        assert len(desk.intents) == tried + 1
    assert len(desk.said("alarm")) == 1
    desk.fault = fine
    desk.soon_ms = 600_000
    desk.settle()
    assert [terms.trigger_price for terms in desk.working("c1")] == [D(59000)]
    assert "at last" in desk.said("alarm")[-1]


@pytest.mark.parametrize("ahead", ["trim", "keep", "ask"])
def test_9_an_exit_is_never_dropped_and_the_alarm_stays_in_the_drift_statement(ahead):
    desk = loop(child("c1", k="1", ahead=ahead))
    desk.soon_ms = 20_000
    long(desk)
    desk.fault = refuse(RejectReason.OTHER, message="closed for maintenance")
    desk.sell("2")
    desk.settle()
    assert len(desk.said("alarm")) == 1
    (view,) = drifts(desk.copier.desk)
    assert (view.attributed, view.cause) == (2, "rejected")
    assert "maintenance" in view.alarm
    desk.fault = fine
    desk.pass_time(31_000)
    desk.settle()
    assert desk.position("c1") == 0


def test_9_a_stop_that_would_trigger_at_once_closes_at_market():
    desk = loop()
    long(desk)
    stop = desk.sell("2", type=OrderType.STOP_MARKET, trigger="59000", reduce_only=True)
    desk.fault = refuse(RejectReason.PRICE, lambda terms: terms.type.is_conditional, "would trigger immediately")
    desk.settle()
    assert (desk.position("c1"), desk.position(PARENT)) == (0, 2)
    assert desk.placed("c1")[-1].type is OrderType.MARKET
    desk.prices(D(58999))
    desk.settle()
    assert desk.position("c1") == 0
    assert stop.terms.quantity == 2


def test_9_two_ways_out_never_close_twice():
    """Where reduce-only does not guard, an exit that is tried again and a trim would turn the child around."""
    desk = loop(reduce_only=False)
    long(desk)
    desk.fault = refuse(RejectReason.OTHER)
    desk.sell("2")
    desk.deliver()
    desk.carry_out()
    desk.fault = fine
    for _ in range(5):
        desk.reread("c1")
        desk.reread(PARENT)
    desk.settle()
    assert desk.position("c1") == 0


def test_9_a_post_only_exit_that_would_trade_at_once_may_do_so():
    """Mirrored, what rests at the parent would take at the child."""
    desk = loop(child("mirror", k="-1"))
    desk.buy("2")
    desk.settle()
    desk.sell("2", price="60500", post_only=True)
    desk.settle()
    assert desk.position("mirror") == 0
    assert desk.said("alarm") == []


# --- the parts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [{}, {"type": OrderType.STOP_MARKET, "trigger": "60100"}])
@pytest.mark.parametrize(("size", "quantity"), [("1", "3.266"), ("2", "1.633")])
def test_9_what_the_balance_allows_is_told_exactly(more, size, quantity):
    """100,000 at leverage 2 with a fiftieth left over, at the price of the order, whatever a contract is worth."""
    desk = loop(child("c1", k="1", on_size_reject="shrink_to_fit"), cash={"c1": D(100_000)}, free=True)
    desk.exchange.set_leverage("c1", "BTCUSDT", 2)
    desk.buy("0.001")
    desk.settle()
    desk.reread("c1")
    account = desk.copier.desk.account("c1")
    account.balance = replace(account.balance, available=D(100_000))
    held = desk.copier.desk.instruments["paper", "BTCUSDT"]
    desk.copier.desk.instruments["paper", "BTCUSDT"] = replace(held, contract_size=D(size))
    desk.fault = refuse(RejectReason.MARGIN, message="too much")
    desk.buy("10", **(more or {"price": "60000"}))
    desk.deliver()
    desk.carry_out()
    note = desk.said("capped")[0]
    found = D(note.split(" ")[0])
    assert abs(found - D(quantity)) < D("0.01"), note


def test_9_a_largest_size_that_is_not_known_is_none():
    desk = loop(
        child("c1", k="1", on_size_reject="shrink_to_fit"), instrument=replace(instrument(), market_max_quantity=D(0))
    )
    desk.fault = refuse(RejectReason.QUANTITY, lambda terms: terms.quantity > 1)
    desk.buy("2")
    desk.settle()
    assert desk.position("c1") == 1


def test_9_of_a_flip_the_opening_part_is_capped():
    from copydesk.model import Capabilities, Order, OrderStatus, Side, Terms
    from copydesk.planning import Wanted
    from copydesk.refusing import capped
    from copydesk.state import Pair, ParentOrder

    terms = Terms(symbol="BTCUSDT", side=Side.SELL, type=OrderType.MARKET, quantity=D(5))
    parent = ParentOrder(order=Order(venue_id="1", terms=terms, status=OrderStatus.NEW))
    want = Wanted(terms, exit=False, opening=D(4))
    can = Capabilities(reduce_only=True)
    assert capped(Pair(parent=parent, cap=D(3)), want, can) == Wanted(replace(terms, quantity=D(3)), False, D(2))
    assert capped(Pair(parent=parent, cap=D(5)), want, can) is want
    assert capped(Pair(parent=parent), want, can) is want


def test_9_a_change_that_is_refused_for_something_else_caps_nothing():
    desk = loop(child("c1", k="1", on_size_reject="shrink_to_fit"))
    order = desk.buy("2", price="59000")
    desk.settle()
    desk.fault = lambda intent: Rejected(reason=RejectReason.OTHER, message="no") if isinstance(intent, Modify) else None
    desk.amend(order, quantity="5")
    desk.settle()
    desk.fault = fine
    desk.amend(order, price="58000")
    desk.settle()
    assert [(terms.price, terms.quantity) for terms in desk.working("c1")] == [(D(58000), D(5))]


def partly_filled_target(**more) -> ClosedLoop:
    """The child's target is refused, and the parent's has filled half."""
    desk = loop(child("c1", k="1", **more))
    long(desk)
    desk.fault = refuse(RejectReason.OTHER, lambda terms: terms.type is not OrderType.MARKET)
    target = desk.sell("2", price="60500", reduce_only=True)
    desk.deliver()
    desk.carry_out()
    desk.exchange.fill(PARENT, D(1), venue_id=target.venue_id)
    desk.deliver()
    return desk


def test_9_a_resting_exit_that_is_refused_once_rests_again_though_the_parents_has_filled_some():
    desk = partly_filled_target()
    desk.fault = fine
    desk.live(2_000)
    assert [(terms.type, terms.price) for terms in desk.working("c1")] == [(OrderType.LIMIT, D(60500))]


def test_9_a_resting_exit_that_is_refused_again_and_again_goes_at_market_for_what_the_parents_has_filled():
    desk = partly_filled_target()
    desk.live(60_000)
    assert desk.placed("c1")[-1].type is OrderType.MARKET


def test_9_an_exit_that_may_not_rest_is_not_chased_either():
    desk = loop(child("c1", k="1", unfilled_exit=Unfilled(action="chase")))
    desk.soon_ms = 20_000
    long(desk)
    desk.fault = refuse(RejectReason.OTHER, lambda terms: terms.type is not OrderType.MARKET)
    target = desk.sell("2", price="60500", reduce_only=True)
    desk.deliver()
    desk.carry_out()
    desk.exchange.fill(PARENT, D(2), venue_id=target.venue_id)
    before = len(desk.intents)
    desk.deliver()
    (sent,) = [intent for intent in desk.intents[before:] if isinstance(intent, Place)]
    assert sent.order.terms.type is OrderType.MARKET


@pytest.mark.parametrize(
    ("reason", "size", "standing", "exit_", "policy", "cap"),
    [
        (RejectReason.MARGIN, "5", State.WORKING, False, "shrink_to_fit", 3),
        (RejectReason.QUANTITY, "5", State.PARTIAL, False, "shrink_to_fit", 3),
        (RejectReason.OTHER, "5", State.WORKING, False, "shrink_to_fit", None),
        (RejectReason.MARGIN, "3", State.WORKING, False, "shrink_to_fit", None),
        (RejectReason.MARGIN, "2", State.WORKING, False, "shrink_to_fit", None),
        (RejectReason.MARGIN, "5", State.REJECTED, False, "shrink_to_fit", None),
        (RejectReason.MARGIN, "5", State.WORKING, True, "shrink_to_fit", None),
        (RejectReason.MARGIN, "5", State.WORKING, False, "fail", None),
        (RejectReason.MARGIN, None, State.WORKING, False, "shrink_to_fit", None),
    ],
)
def test_9_only_a_change_to_more_that_is_too_much_caps_an_entry(reason, size, standing, exit_, policy, cap):
    desk = loop(child("c1", k="1", on_size_reject=policy))
    desk.buy("3", price="59000")
    desk.settle()
    ((key, tracked),) = desk.copier.desk.child_orders.items()
    order = tracked.order
    order.state, order.exit = standing, exit_
    order.refused = replace(order.terms, quantity=D(size)) if size is not None else None
    change_refused(tracked, Rejected(reason=reason, message="no"))
    assert tracked.pair is not None
    assert (key[0], tracked.pair.cap) == ("c1", cap)
    change_refused(dataclasses.replace(tracked, pair=None), Rejected(reason=reason, message="no"))


@pytest.mark.parametrize(
    ("live", "at_market", "alarm", "state", "closed", "waiting", "retries"),
    [
        (False, False, "", "refused", "", "", True),
        (False, False, "refused again", "refused", "", "", True),
        (True, False, "", "refused", "", "", False),
        (True, True, "", "refused", "", "", True),
        (True, True, "refused again", "refused", "", "", False),
        (False, False, "", "parent", "", "", False),
        (False, False, "", "refused", "done", "", False),
        (False, False, "", "refused", "", "waits-for-close", False),
    ],
)
def test_9_which_refused_exit_goes_on_by_itself(live, at_market, alarm, state, closed, waiting, retries):
    desk = loop()
    desk.buy("2", price="59000")
    desk.settle()
    (link,) = desk.copier.desk.bots["bot"].links.values()
    (pair,) = link.pairs.values()
    pair.orders[-1].cancelled_for = state
    pair.at_market, pair.alarm, pair.closed, pair.waiting = at_market, alarm, closed, waiting
    if not live:
        pair.parent.order = replace(pair.parent.order, status=OrderStatus.CANCELLED)
    assert pair.parent.live is live
    assert is_retrying(pair) is retries


@pytest.mark.parametrize(("filled", "refusals", "at_market"), [("1", 3, False), ("1", 4, True), ("0", 4, False)])
def test_9_a_refused_exit_goes_to_the_market_once_the_parents_has_filled_some(filled, refusals, at_market):
    desk = loop()
    long(desk)
    desk.sell("2", price="60500", reduce_only=True)
    desk.settle()
    (tracked,) = [one for one in desk.copier.desk.child_orders.values() if one.order.exit]
    assert tracked.pair is not None
    tracked.pair.parent.filled = D(filled)
    for _ in range(refusals):
        assert goes_on(Run(desk.copier.desk, [], desk.now_ns), tracked, Rejected(reason=RejectReason.OTHER, message="no"))
    assert tracked.pair.at_market is at_market
