"""What the pure engine does, rule by rule, against the matching engine (`docs/semantics`: the numbers are the rules')."""

from __future__ import annotations

import pytest
from copydesk import state
from copydesk.drifting import drifts
from copydesk.inputs import BotStopped, Modify, Place, Snapped
from copydesk.model import OrderType, PositionSide, Rejected, RejectReason, TimeInForce, Unknown
from harness.closed_loop import PARENT, ClosedLoop, D, child, instrument
from msgspec.structs import replace


def loop(*children, **more) -> ClosedLoop:
    return ClosedLoop(children or (child("c1", k="0.5"),), **more).start()


# --- 1: what is copied ------------------------------------------------------------------------------------------------


def test_1_market_order_is_copied_to_every_child():
    desk = loop(child("half", k="0.5"), child("triple", k="3"), child("mirror", k="-1"))
    desk.buy("0.1")
    desk.settle()
    assert [desk.position(name) for name in ("half", "triple", "mirror")] == [D("0.05"), D("0.3"), D("-0.1")]


@pytest.mark.parametrize("tif", list(TimeInForce))
def test_1_limit_order_keeps_price_and_time_in_force(tif):
    desk = loop()
    desk.buy("0.1", price="60000.1", time_in_force=tif)
    desk.settle()
    (copy,) = desk.placed("c1")
    assert (copy.type, copy.price, copy.time_in_force, copy.quantity) == (OrderType.LIMIT, D("60000.1"), tif, D("0.050"))
    assert desk.position("c1") == D("0.05")


@pytest.mark.parametrize(
    ("type_", "price", "trigger"),
    [
        (OrderType.STOP_MARKET, None, "59000"),
        (OrderType.STOP_LIMIT, "58990", "59000"),
        (OrderType.TAKE_PROFIT_MARKET, None, "61000"),
        (OrderType.TAKE_PROFIT_LIMIT, "60990", "61000"),
    ],
)
def test_1_stop_loss_and_take_profit_are_copied_moved_and_removed(type_, price, trigger):
    desk = loop()
    desk.buy("0.1")
    stop = desk.sell("0.1", type=type_, price=price, trigger=trigger, reduce_only=True)
    desk.settle()
    (copy,) = desk.working("c1")
    assert (copy.type, copy.trigger_price, copy.quantity, copy.reduce_only) == (type_, D(trigger), D("0.050"), True)
    moved = str(D(trigger) + 100)
    desk.amend(stop, trigger=moved)
    desk.settle()
    (copy,) = desk.working("c1")
    assert copy.trigger_price == D(moved)
    desk.cancel(stop)
    desk.settle()
    assert desk.working("c1") == []
    assert desk.position("c1") == D("0.05")


def test_1_trailing_stop_is_copied():
    desk = loop()
    desk.buy("0.1")
    desk.sell("0.1", type=OrderType.TRAILING_STOP, trail_percent=D("1"), reduce_only=True)
    desk.settle()
    (copy,) = desk.working("c1")
    assert (copy.type, copy.trail_percent) == (OrderType.TRAILING_STOP, D(1))


def test_1_what_the_venue_alone_knows_is_copied_as_it_is():
    desk = loop()
    desk.buy("0.1", price="60000.1", native="outsideRth=1;tif=DAY")
    desk.settle()
    (copy,) = desk.placed("c1")
    assert copy.native == "outsideRth=1;tif=DAY"


def test_1_stop_that_triggers_closes_both():
    desk = loop()
    desk.buy("0.1")
    desk.sell("0.1", type=OrderType.STOP_MARKET, trigger="59000", reduce_only=True)
    desk.settle()
    desk.prices(D(58999))
    desk.settle()
    assert desk.position(PARENT) == desk.position("c1") == 0
    assert len(desk.placed("c1")) == 2


def test_1_hedge_mode_keeps_the_position_side():
    desk = loop(child("c1", k="2"), child("mirror", k="-1"), hedge=True)
    desk.buy("0.1", position_side=PositionSide.LONG)
    desk.sell("0.2", position_side=PositionSide.SHORT)
    desk.settle()
    desk.sell("0.05", position_side=PositionSide.LONG)
    desk.settle()
    assert desk.position("c1", PositionSide.LONG) == D("0.1")
    assert desk.position("c1", PositionSide.SHORT) == D("-0.4")
    assert desk.position("mirror", PositionSide.SHORT) == D("-0.05")
    assert desk.position("mirror", PositionSide.LONG) == D("0.2")


# --- 2: how much --------------------------------------------------------------------------------------------------------


def test_2_percentage_is_the_same_share_of_the_balance():
    desk = loop(child("c1"), cash={PARENT: D(1000), "c1": D(2000)}, instrument=instrument("1"), price=D(1))
    desk.exchange.set_leverage(PARENT, "BTCUSDT", 20)
    desk.exchange.set_leverage("c1", "BTCUSDT", 20)
    desk.buy("100", price="0.5")
    desk.settle()
    assert [terms.quantity for terms in desk.working("c1")] == [D(200)]


def test_2_multiplier():
    desk = loop(child("half", k="0.5"), child("triple", k="3"), instrument=instrument("1"), price=D(10))
    desk.buy("100")
    desk.settle()
    assert (desk.position("half"), desk.position("triple")) == (50, 300)


def test_2_without_a_fresh_balance_no_entry_is_copied_and_the_log_says_why():
    desk = loop(child("c1", balance_max_age_ms=1000))
    desk.pass_time(5000)
    desk.buy("0.1", price="50000")
    desk.settle()
    assert desk.placed("c1") == []
    assert "5 s old" in desk.said("no-balance")[0]


def test_2_ratio_is_frozen_until_flat():
    desk = loop(child("c1"), cash={PARENT: D(100_000), "c1": D(100_000)})
    desk.buy("0.1")
    desk.settle()
    desk.exchange.deposit("c1", D(900_000))
    desk.buy("0.1")
    desk.settle()
    assert desk.position("c1") == D("0.2")
    desk.sell("0.2")
    desk.settle()
    desk.buy("0.1")
    desk.settle()
    assert desk.position("c1") > D("0.9")


# --- 3: rounding --------------------------------------------------------------------------------------------------------


def test_3_the_cumulative_target_is_rounded_never_the_increment():
    desk = loop(child("c1", k="0.33"), instrument=instrument("1"), price=D(10))
    desk.buy("10")
    desk.settle()
    assert desk.position("c1") == 3
    desk.sell("5")
    desk.settle()
    assert desk.position("c1") == 1
    assert len(desk.placed("c1")) == 2


def test_3_the_residue_is_carried():
    desk = loop(child("c1", k="0.4"), instrument=instrument("1"), price=D(10))
    held = []
    for _ in range(5):
        desk.buy("1")
        desk.settle()
        held.append(int(desk.position("c1")))
    assert held == [0, 0, 1, 1, 2]
    assert desk.said("rounded-to-nothing")[0] == "skipped: 0.4 of step 1"


@pytest.mark.parametrize(("rounding", "expected"), [("floor", 2), ("nearest", 3), ("min_one", 2)])
def test_3_roundings(rounding, expected):
    desk = loop(child("c1", k="0.26", rounding=rounding), instrument=instrument("1"), price=D(10))
    desk.buy("10")
    desk.settle()
    assert desk.position("c1") == expected


def test_3_min_one_takes_at_least_a_step():
    desk = loop(child("c1", k="0.01", rounding="min_one"), instrument=instrument("1"), price=D(10))
    desk.buy("10")
    desk.settle()
    assert desk.position("c1") == 1
    desk.sell("10")
    desk.settle()
    assert desk.position("c1") == 0


def test_3_below_the_minimum_notional_is_skipped_with_a_reason():
    desk = loop(child("c1", k="0.01"), instrument=instrument("0.001", minimum="100"))
    desk.buy("0.1", price="59000")
    desk.settle()
    assert desk.placed("c1") == []
    assert "below the minimum 100" in desk.said("too-small")[0]


# --- 4: exits -----------------------------------------------------------------------------------------------------------


def test_4_exits_are_sized_on_what_the_child_holds():
    """The child got only part of its entry: it closes the same share of that part, and the last close closes all."""
    desk = loop(child("c1", k="3"), instrument=instrument("1"), price=D(10))
    desk.fault = lambda intent: Rejected(reason=RejectReason.MARGIN, message="no") if desk.position("c1") else None
    desk.buy("5")
    desk.settle()
    desk.buy("5")
    desk.settle()
    desk.fault = lambda intent: None
    assert desk.position("c1") == 15
    desk.sell("5")
    desk.settle()
    assert desk.position("c1") == 7  # 15 of 30: closes half of what it has, and keeps the floor
    desk.sell("5")
    desk.settle()
    assert desk.position("c1") == 0


def test_4_a_flip_is_one_crossing_order():
    desk = loop(child("c1", k="2"))
    desk.buy("0.1")
    desk.settle()
    desk.sell("0.25")
    desk.settle()
    assert desk.position("c1") == D("-0.3")
    assert [terms.quantity for terms in desk.placed("c1")] == [D("0.2"), D("0.5")]


def test_4_exits_carry_reduce_only_even_where_the_parent_does_not():
    desk = loop()
    desk.buy("0.1")
    desk.sell("0.1", price="61000")
    desk.settle()
    (copy,) = desk.working("c1")
    assert copy.reduce_only


def test_4_nothing_to_reduce_is_a_success():
    desk = loop()
    desk.fault = lambda intent: Rejected(reason=RejectReason.MARGIN, message="no money")
    desk.buy("0.1")
    desk.settle()
    desk.fault = lambda intent: None
    desk.sell("0.1")
    desk.settle()
    assert desk.position("c1") == 0
    assert desk.said("nothing-to-reduce")
    assert desk.copier.desk.bots["bot"].missed == {"c1": 1}


def test_4_close_position_closes_what_was_copied_and_leaves_foreign_quantity():
    desk = loop(child("c1", k="1"))
    desk.exchange.place("c1", desk.buy("0.1").terms)  # by hand on the child, as well as the copy
    desk.settle()
    desk.sell("0", type=OrderType.STOP_MARKET, trigger="59000", close_position=True)
    desk.settle()
    desk.prices(D(58000))
    desk.settle()
    assert desk.position(PARENT) == 0
    assert desk.position("c1") == D("0.1")


# --- 5, 8: fills that leave a child ahead, cancels ------------------------------------------------------------------------


def test_5_parent_cancelled_with_less_filled_than_the_child_trims_the_child():
    desk = loop(child("c1", k="0.5"))
    order = desk.buy("10", price="59999")
    desk.settle()
    desk.trade("59999", "10")  # the parent was first in the book: it gets all of it
    desk.settle()
    assert (desk.position(PARENT), desk.position("c1")) == (10, 0)
    desk.trade("59998", "3")  # goes through the child's order
    desk.settle()
    assert desk.position("c1") == 3
    assert order.terms.quantity == 10


def child_gets_ahead(desk: ClosedLoop, order, quantity: str = "4") -> None:
    """The parent moves its order away, the venue refuses that to the child, and the market reaches the child's."""
    desk.fault = lambda intent: Rejected(reason=RejectReason.OTHER, message="not now")
    desk.amend(order, price="59990")
    desk.settle()
    desk.fault = lambda intent: None
    desk.trade("59999", quantity)
    desk.settle()


def test_5_child_ahead_of_a_cancelled_parent_order_is_trimmed():
    desk = loop(child("c1", k="0.5"))
    order = desk.buy("10", price="59999")
    desk.settle()
    child_gets_ahead(desk, order)
    assert (desk.position(PARENT), desk.position("c1")) == (0, 4)
    desk.cancel(order)
    desk.settle()
    assert (desk.position("c1"), desk.working("c1")) == (0, [])
    assert [(t.type, t.quantity, t.reduce_only) for t in desk.placed("c1")][1:] == [(OrderType.MARKET, D(4), True)]


def test_5_the_other_policies_keep_or_ask():
    desk = loop(child("keep", k="0.5", ahead="keep"), child("ask", k="0.5", ahead="ask"))
    order = desk.buy("10", price="59999")
    desk.settle()
    child_gets_ahead(desk, order, quantity="8")
    desk.cancel(order)
    desk.settle()
    assert (desk.position("keep"), desk.position("ask")) == (5, 3)
    assert {note.account for note in desk.notes if note.kind == "ahead"} == {"keep", "ask"}


def test_8_a_cancelled_parent_order_cancels_the_children():
    desk = loop()
    order = desk.buy("0.1", price="50000")
    desk.settle()
    assert len(desk.working("c1")) == 1
    desk.cancel(order)
    desk.settle()
    assert desk.working("c1") == []


# --- 7: changes ---------------------------------------------------------------------------------------------------------


def test_7_price_and_quantity_follow():
    desk = loop()
    order = desk.buy("0.1", price="50000")
    desk.settle()
    desk.amend(order, price="51000", quantity="0.2")
    desk.settle()
    (copy,) = desk.working("c1")
    assert (copy.price, copy.quantity) == (D(51000), D("0.1"))
    assert len(desk.placed("c1")) == 1


def test_7_between_two_amends_in_flight_only_the_newest_counts():
    desk = loop()
    order = desk.buy("0.1", price="50000")
    desk.settle()
    desk.amend(order, price="50001")
    desk.deliver()
    for step in range(2, 50):
        desk.amend(order, price=f"500{step:02}")
        desk.deliver()
    desk.settle()
    assert desk.working("c1")[0].price == D(50049)
    assert [what for _, _, what in desk.sent] == ["Place", "Modify", "Modify"]


def test_7_without_amend_at_the_venue_cancel_confirm_place():
    desk = loop(amendable=frozenset())
    order = desk.buy("0.1", price="50000")
    desk.settle()
    desk.amend(order, price="51000")
    desk.settle()
    (copy,) = desk.working("c1")
    assert copy.price == D(51000)
    assert [what for _, _, what in desk.sent] == ["Place", "Cancel", "Place"]


SHRINKING = {"shrink": frozenset(OrderType) - {OrderType.MARKET}}


def test_7_what_only_becomes_smaller_keeps_its_place_where_the_venue_can_do_that():
    desk = loop(amendable=frozenset(), budget=SHRINKING)
    order = desk.buy("0.4", price="50000")
    desk.settle()
    desk.amend(order, quantity="0.2")
    desk.settle()
    (copy,) = desk.working("c1")
    assert (copy.quantity, [what for _, _, what in desk.sent]) == (D("0.1"), ["Place", "Modify"])
    desk.amend(order, quantity="0.1", price="51000")
    desk.settle()
    (copy,) = desk.working("c1")
    assert (copy.quantity, copy.price) == (D("0.05"), D(51000))
    assert [what for _, _, what in desk.sent[2:]] == ["Cancel", "Place"]


def test_7_what_may_not_become_smaller_any_more_is_placed_anew():
    """Binance spot takes ten amendments of an order."""
    desk = loop(amendable=frozenset(), budget=SHRINKING)
    order = desk.buy("0.4", price="50000")
    desk.settle()
    refused = Rejected(reason=RejectReason.OTHER, message="Filter failure: MAX_NUM_ORDER_AMENDS")
    desk.fault = lambda intent: refused if isinstance(intent, Modify) else None
    desk.amend(order, quantity="0.2")
    desk.settle()
    (copy,) = desk.working("c1")
    assert copy.quantity == D("0.1")
    assert [what for _, _, what in desk.sent] == ["Place", "Cancel", "Place"]


# --- 10: unknown outcomes -------------------------------------------------------------------------------------------------


def test_10_a_lost_reply_is_looked_up_and_never_sent_twice():
    desk = loop()
    desk.fault = lambda intent: "lose-reply"
    desk.buy("0.1")
    desk.settle()
    assert desk.position("c1") == D("0.05")
    assert len(desk.placed("c1")) == 1


def test_10_a_request_that_never_arrived_goes_again_under_the_same_id():
    desk = loop()
    lost = iter([Unknown(message="no answer")])
    desk.fault = lambda intent: next(lost, None)
    desk.buy("0.1")
    desk.settle()
    assert desk.position("c1") == D("0.05")
    places = [intent for intent in desk.intents if type(intent).__name__ == "Place"]
    assert len(places) == 2
    assert places[0].order.client_id == places[1].order.client_id


def test_9_rate_limit_is_retried_with_the_same_id():
    desk = loop()
    refusals = iter([1, 2, 3])
    desk.fault = lambda intent: (
        Rejected(reason=RejectReason.RATE_LIMIT, message="slow", retry_after_ms=1000) if next(refusals, None) else None
    )
    desk.buy("0.1", price="59000")
    desk.settle()
    assert len(desk.working("c1")) == 1


# --- 14, 16: gone and back ------------------------------------------------------------------------------------------------


def test_14_a_child_that_is_away_delays_nobody_and_catches_up():
    desk = loop(child("here", k="1"), child("away", k="1"))
    desk.disconnect("away")
    desk.buy("0.1")
    desk.settle()
    assert desk.position("here") == D("0.1")
    assert desk.position("away") == 0
    assert desk.said("not-connected")
    desk.pass_time(5000)
    desk.reconnect("away")
    desk.settle()
    assert desk.position("away") == D("0.1")


def test_14_outside_the_window_nothing_is_added_and_a_ticket_is_left():
    desk = loop(child("away", k="1", catch_up_max_age_ms=1000))
    desk.disconnect("away")
    desk.buy("0.1")
    desk.settle()
    desk.pass_time(5000)
    desk.reconnect("away")
    desk.settle()
    assert desk.position("away") == 0
    (ticket,) = [note for note in desk.notes if note.kind == "stale"]
    assert "ticket" in ticket.data


def test_14_reducing_needs_no_window():
    desk = loop(child("away", k="1", catch_up_max_age_ms=1000))
    desk.buy("0.1")
    desk.settle()
    desk.disconnect("away")
    desk.sell("0.1")
    desk.settle()
    desk.pass_time(600_000)
    desk.reconnect("away")
    desk.settle()
    assert desk.position("away") == 0


def test_14_what_the_parent_did_while_its_stream_was_down_is_copied_on_return():
    desk = loop(child("c1", k="1"))
    resting = desk.buy("0.2", price="50000")
    desk.settle()
    desk.disconnect(PARENT)
    desk.buy("0.1")
    desk.cancel(resting)
    new = desk.buy("0.3", price="51000")
    desk.pass_time(3000)
    desk.reconnect(PARENT)
    desk.settle()
    assert desk.position("c1") == D("0.1")
    assert [(t.price, t.quantity) for t in desk.working("c1")] == [(new.terms.price, D("0.3"))]


def test_start_ignores_what_the_parent_held_before():
    desk = ClosedLoop((child("c1", k="1"),))
    desk.buy("0.5")
    old = desk.sell("0.5", type=OrderType.STOP_MARKET, trigger="59000", reduce_only=True)
    desk.start()
    desk.settle()
    desk.buy("0.1")
    desk.settle()
    assert desk.position("c1") == D("0.1")
    desk.sell("0.6")  # closes what was copied and, below it, the baseline
    desk.settle()
    assert desk.position("c1") == 0
    assert old.terms.quantity == D("0.5")
    desk.sell("0.1")
    desk.settle()
    assert desk.position("c1") == D("-0.1")


def test_14_what_came_and_went_while_a_child_was_away_is_not_traded_again():
    desk = loop(child("away", k="1"))
    desk.disconnect("away")
    desk.buy("0.1")
    desk.sell("0.1")
    desk.buy("0.3")
    desk.sell("0.1")
    desk.settle()
    desk.reconnect("away")
    desk.settle()
    assert desk.position("away") == D("0.2")
    assert sum(t.quantity for t in desk.placed("away")) == D("0.2")


def test_own_orders_on_the_parent_are_not_copied():
    desk = loop(child("c1", k="1"))
    terms = desk.buy("0.1", price="50000").terms
    desk.settle()
    desk.exchange.place(PARENT, terms, "cdk-abcdefghijklmnopqrst-c0")
    desk.settle()
    assert len(desk.working("c1")) == 1


def test_every_event_twice_changes_nothing():
    desk = loop(child("c1", k="2"))
    deliver = desk.deliver

    def twice() -> None:
        desk.reports = [report for report in desk.reports for _ in range(2)]
        deliver()

    desk.deliver = twice  # type: ignore[method-assign]
    desk.buy("0.1")
    stop = desk.sell("0.1", type=OrderType.STOP_MARKET, trigger="59000", reduce_only=True)
    desk.settle()
    desk.amend(stop, trigger="59100")
    desk.settle()
    desk.sell("0.05")
    desk.settle()
    assert desk.position("c1") == D("0.1")
    assert [t.trigger_price for t in desk.working("c1")] == [D(59100)]


def test_4_a_flip_that_the_child_finishes_first_stays_one_order():
    desk = loop(child("c1", k="2"))
    desk.buy("0.1")
    desk.settle()
    desk.sell("0.25")
    parents = [report for report in desk.reports if report.account == PARENT]
    desk.reports = parents[:1]  # the parent's order is known as new; its fill is still on its way
    desk.settle()
    assert desk.position("c1") == D("-0.3")
    desk.reports = parents[1:]
    desk.settle()
    assert desk.position("c1") == D("-0.3")
    assert len(desk.placed("c1")) == 2


# --- what generated stories found ---------------------------------------------------------------------------------------


def test_4_small_closes_do_not_bleed_the_child():
    """Rule 3 holds for exits too: ten closes of a tenth leave the child at its rounded share after each."""
    desk = loop(child("c1", k="0.33"), instrument=instrument("1"), price=D(10))
    desk.buy("10")
    desk.settle()
    held = []
    for _ in range(10):
        desk.sell("1")
        desk.settle()
        held.append(int(desk.position("c1")))
    assert held == [2, 2, 2, 1, 1, 1, 0, 0, 0, 0]


def test_2_a_third_of_three_is_one():
    desk = loop(child("c1"), cash={PARENT: D(3_000_000), "c1": D(1_000_000)}, instrument=instrument("1"), price=D(10))
    desk.buy("3", price="9")
    desk.settle()
    assert [terms.quantity for terms in desk.working("c1")] == [1]


def test_2_a_flip_begins_with_a_fresh_ratio():
    desk = loop(child("c1"), cash={PARENT: D(100_000), "c1": D(100_000)})
    desk.buy("0.1")
    desk.settle()
    desk.exchange.deposit("c1", D(100_000))
    desk.settle()
    desk.sell("0.2")
    desk.settle()
    assert D("-0.21") < desk.position("c1") < D("-0.19")
    desk.buy("0.1")
    desk.settle()
    assert desk.position("c1") == 0


def test_3_min_one_takes_one_step_in_all_not_one_per_order():
    desk = loop(child("c1", k="0.01", rounding="min_one"), instrument=instrument("1"), price=D(10))
    for _ in range(5):
        desk.buy("10")
        desk.settle()
    assert desk.position("c1") == 1


def test_4_a_fast_round_trip_and_reversal_arrives():
    """Entry, exit and the other way, all before the child's first order was answered."""
    desk = loop(child("c1", k="3"))
    desk.buy("0.1")
    desk.sell("0.1")
    desk.sell("0.1")
    desk.settle()
    assert desk.position("c1") == D("-0.3")


def test_5_a_trim_that_the_market_cannot_take_is_tried_again_then_told_and_tried_on():
    desk = loop(child("c1", k="0.5"))
    desk.soon_ms = 20_000
    order = desk.buy("10", price="59999")
    desk.settle()
    child_gets_ahead(desk, order)
    desk.fault = lambda intent: (
        Rejected(reason=RejectReason.OTHER, message="closed for maintenance") if isinstance(intent, Place) else None
    )
    desk.cancel(order)
    desk.settle()
    (told,) = [note for note in desk.notes if note.kind == "trim-failed"]
    assert "maintenance" in told.text
    assert "ticket" in told.data
    trims = [intent for intent in desk.intents if getattr(intent, "why", "") == "trim"]
    assert len({trim.order.client_id for trim in trims}) == len(trims) == 6
    (view,) = drifts(desk.copier.desk)
    assert (view.attributed, view.cause) == (4, "rejected")
    assert "maintenance" in view.alarm
    desk.soon_ms = 100_000
    desk.fault = lambda intent: None
    desk.settle()
    assert desk.position("c1") == 0


def test_7_an_order_made_larger_after_the_childs_had_filled_is_followed():
    desk = loop(child("mirror", k="-1"))
    order = desk.buy("0.1", price="59999.9")  # reversed it takes at once
    desk.settle()
    assert desk.position("mirror") == D("-0.1")
    desk.amend(order, quantity="0.3", price="60001")
    desk.settle()
    assert desk.position(PARENT) == D("0.3")
    assert [(terms.price, terms.quantity) for terms in desk.working("mirror")] == [(D(60001), D("0.2"))]


def test_8_a_parent_cancelled_half_filled_leaves_the_childs_share_waiting():
    desk = loop(child("c1", k="0.5"))
    order = desk.buy("10", price="59999")
    desk.settle()
    desk.trade("59999", "4")  # the parent is first in the queue
    desk.settle()
    desk.cancel(order)
    desk.settle()
    assert [(terms.price, terms.quantity) for terms in desk.working("c1")] == [(D(59999), D(2))]


def two_exits(desk: ClosedLoop) -> None:
    desk.buy("0.2")
    desk.settle()
    desk.sell("0.1", price="61000", reduce_only=True)
    desk.sell("0.2", type=OrderType.STOP_MARKET, trigger="59000", reduce_only=True)
    desk.settle()


def test_4_a_stop_keeps_standing_when_the_target_takes_half():
    """Without amend at the venue, a stop that still covers all is not taken away just to make it smaller."""
    desk = loop(child("c1", k="1"), amendable=frozenset())
    two_exits(desk)
    before = len(desk.sent)
    desk.prices(D(61001))
    desk.settle()
    assert (desk.position("c1"), len(desk.sent)) == (D("0.1"), before)
    desk.prices(D(58999))
    desk.settle()
    assert desk.position(PARENT) == desk.position("c1") == 0
    assert desk.working("c1") == []


def test_4_a_stop_is_made_smaller_where_the_child_holds_more_than_was_copied():
    desk = loop(child("c1", k="1"), amendable=frozenset())
    desk.exchange.place("c1", desk.buy("0.2").terms)  # by hand on the child, as well as the copy
    desk.settle()
    desk.sell("0.1", price="61000", reduce_only=True)
    desk.sell("0.2", type=OrderType.STOP_MARKET, trigger="59000", reduce_only=True)
    desk.settle()
    desk.prices(D(61001))
    desk.settle()
    desk.prices(D(58999))
    desk.settle()
    assert desk.position("c1") == D("0.2")


def test_a_copy_cancelled_by_hand_is_not_placed_again():
    desk = loop()
    desk.buy("0.1", price="50000")
    desk.settle()
    (copy,) = desk.exchange.open_orders("c1")
    desk.exchange.cancel("c1", venue_id=copy.venue_id)
    desk.settle()
    desk.reread("c1")
    desk.settle()
    assert (len(desk.placed("c1")), desk.working("c1")) == (1, [])
    desk.prices(D(49999))
    desk.settle()
    (view,) = drifts(desk.copier.desk)
    assert (view.difference, view.cause) == (D("0.05"), "hand-traded")


def test_an_old_snapshot_does_not_undo_what_fills_told():
    desk = loop(child("c1", k="1"))
    old = desk.snapshot(PARENT)
    desk.buy("0.1")
    desk.settle()
    for _ in range(3):
        desk.feed(Snapped(at_ns=desk.now_ns, account=PARENT, snapshot=old))
        desk.settle()
    assert desk.position("c1") == D("0.1")
    assert desk.said("inferred") == []


def test_a_bot_that_is_started_again_begins_anew():
    desk = loop(child("c1", k="1"))
    resting = desk.buy("0.1", price="50000")
    desk.buy("0.2")
    desk.settle()
    desk.feed(BotStopped(at_ns=desk.now_ns, bot="bot"))
    desk.buy("0.4")
    desk.settle()
    desk.pass_time(10)
    desk.start()
    desk.cancel(resting)
    desk.sell("0.6")
    desk.settle()
    assert desk.position("c1") == D("0.2")  # the baseline's exits are not copied
    desk.buy("0.1")
    desk.settle()
    assert desk.position("c1") == D("0.3")


def test_what_ended_is_forgotten_in_time_and_not_copied_again(monkeypatch):
    monkeypatch.setattr(state, "ORDERS_KEPT", 10)
    desk = loop(child("c1", k="1"))
    for _ in range(50):
        desk.buy("0.001")
        desk.settle()
    held, bot = desk.copier.desk, desk.copier.desk.bots["bot"]
    assert len(held.child_orders) <= 21
    assert len(bot.orders) <= 21
    desk.reread(PARENT, since_ms=1)
    desk.reread("c1", since_ms=1)
    desk.settle()
    assert (len(desk.placed("c1")), desk.position("c1")) == (50, D("0.050"))


def test_a_cancel_counts_once_whether_its_report_or_its_reply_comes_first():
    desk = loop()
    for reply_first in (True, False):
        order = desk.buy("0.1", price="50000")
        desk.settle()
        before = desk.copier.desk.bots["bot"].copied["c1"]
        desk.cancel(order)
        desk.deliver()
        (cancel,) = desk.queue
        desk.queue = []
        outcome = desk.on_exchange(cancel)
        if reply_first:
            desk.answer(cancel, outcome)
            desk.deliver()
        else:
            desk.deliver()
            desk.answer(cancel, outcome)
        desk.settle()
        assert desk.copier.desk.bots["bot"].copied["c1"] == before + 1


def test_start_follows_only_what_comes_on_top_of_the_baseline():
    desk = ClosedLoop((child("c1", k="1"),))
    desk.buy("0.5")
    desk.settle()
    desk.start()
    desk.settle()
    desk.buy("0.1")
    desk.settle()
    desk.sell("0.1")  # all that was copied, a sixth of what the parent holds
    desk.settle()
    assert desk.position("c1") == 0
    desk.sell("0.2")  # of the baseline alone
    desk.settle()
    assert desk.position("c1") == 0
    assert len(desk.placed("c1")) == 2


def test_10_a_venue_that_does_not_know_an_order_yet_has_to_say_so_several_times():
    """Its lists lag behind its matching for longer than the time that alone would count."""
    desk = loop()
    desk.fault = lambda intent: "lose-reply"
    read = desk.snapshot
    blind = iter([True, True])

    def lagging(account, look_up=(), since_ms=0):
        found = read(account, look_up, since_ms)
        if not look_up or not next(blind, False):
            return found
        desk.now_ns += 2_000_000_000
        return replace(found, orders=(), absent=tuple(ref.client_id for ref in look_up))

    desk.snapshot = lagging
    desk.buy("0.1")
    desk.deliver()
    desk.carry_out()
    desk.reports.clear()  # no reports of it either: only look-ups tell
    desk.settle()
    assert [what for _, _, what in desk.sent] == ["Place"]
    assert desk.position("c1") == D("0.05")


def test_an_execution_that_only_a_snapshot_tells_of_counts():
    desk = ClosedLoop((child("c1", k="1"),)).start()
    desk.buy("2", price="59000")
    desk.settle()
    before = desk.snapshot("c1").orders
    desk.exchange.fill("c1", D("0.5"), venue_id=before[0].venue_id)
    desk.reports.clear()
    snapshot = desk.snapshot("c1", since_ms=1)
    assert len(snapshot.fills) == 1
    desk.feed(Snapped(at_ns=desk.now_ns, account="c1", snapshot=replace(snapshot, orders=before)))
    (link,) = desk.copier.desk.bots["bot"].links.values()
    assert link.attributed == D("0.5")
