"""How copies end: what the child has by then, why its order was taken away, and what a person is told of it."""

from __future__ import annotations

import pytest
from copydesk.grouping import is_settled_by_partner
from copydesk.inputs import Cancel, ChildRules, Place, PlaceGroup, Reported, Unfilled
from copydesk.model import Order, OrderEvent, OrderStatus, OrderType, Rejected, RejectReason, Side, Terms
from copydesk.sending import Run
from copydesk.state import Link, Pair
from copydesk.tracking import State
from copydesk_paper.records import MarketTrade
from harness.closed_loop import PARENT, SYMBOL, ClosedLoop, D, child, instrument
from msgspec.structs import replace

WAIT = Unfilled(action="wait")
STOP = OrderType.STOP_MARKET


def waiting(k: str = "1", **more: object) -> ChildRules:
    return child("c1", k=k, unfilled_entry=WAIT, unfilled_exit=WAIT, **more)


def loop(*children: ChildRules, **more: object) -> ClosedLoop:
    return ClosedLoop(children or (waiting(),), instrument=instrument("0.1"), **more).start()  # type: ignore[arg-type]


def link(desk: ClosedLoop) -> Link:
    (found,) = desk.copier.desk.bots["bot"].links.values()
    return found


def pairs(desk: ClosedLoop) -> list[Pair]:
    return [*link(desk).pairs.values(), *link(desk).ended.values()]


def told(desk: ClosedLoop, kind: str) -> list[tuple[str, str]]:
    return [(note.level, note.text) for note in desk.notes if note.kind == kind]


def cancels(desk: ClosedLoop) -> list[str]:
    return [intent.why for intent in desk.intents if isinstance(intent, Cancel)]


def places(desk: ClosedLoop) -> int:
    return len([intent for intent in desk.intents if isinstance(intent, Place)])


def buyers(desk: ClosedLoop, price: str, quantity: str) -> None:
    desk.exchange.apply(MarketTrade(symbol=SYMBOL, price=D(price), quantity=D(quantity), buyer_is_maker=False))


def child_alone(desk: ClosedLoop, order: Order, away: str, price: str, quantity: str) -> None:
    """The parent moves its order away, the venue refuses that to the child, and the market reaches the child's."""
    desk.fault = lambda intent: Rejected(reason=RejectReason.OTHER, message="not now")
    desk.amend(order, price=away)
    desk.settle()
    desk.fault = lambda intent: None
    if order.terms.side is Side.SELL:
        buyers(desk, price, quantity)
    else:
        desk.trade(price, quantity)
    desk.settle()


@pytest.mark.parametrize(("traded", "filled", "why"), [("0.4", "0", "has ended"), ("0.6", "0.2", "closes what it entered")])
def test_an_entry_that_the_parent_has_closed_again_is_taken_away_and_told(traded, filled, why):
    desk = loop()
    desk.buy("0.4", price="59990")
    desk.settle()
    desk.trade("59990", traded)  # the parent, who came first, 0.4
    desk.settle()
    desk.sell("0.4")
    desk.settle()
    assert [reason for reason in cancels(desk) if why in reason] == cancels(desk) != []
    text = f"filled {filled.replace('0.0', '0')} of 0.4 {SYMBOL}, and the parent has moved on since"
    assert told(desk, "unfilled") == [("warn", text)]
    assert (desk.position("c1"), desk.working("c1")) == (0, [])


def test_an_order_that_filled_like_the_parents_is_done_whatever_else_is_lacking():
    desk = loop()
    desk.buy("0.4")
    desk.settle()
    desk.buy("0.2", price="59990")
    desk.settle()
    desk.trade("59990", "0.2")
    desk.settle()
    desk.sell("0.1")
    desk.settle()
    assert (desk.position(PARENT), desk.position("c1")) == (D("0.5"), D("0.3"))
    assert [pair.closed for pair in pairs(desk)] == ["", "done", "done"]
    assert told(desk, "ahead") == told(desk, "unfilled") == []


def test_a_child_whose_exit_closed_more_than_the_parents_did_is_said_to_lack_it():
    desk = loop()
    desk.buy("1")
    desk.settle()
    order = desk.sell("0.8", price="60010", reduce_only=True)
    desk.settle()
    child_alone(desk, order, "60020", "60010", "0.8")
    assert (desk.position(PARENT), desk.position("c1")) == (1, D("0.2"))
    buyers(desk, "60020", "0.3")
    desk.settle()
    assert told(desk, "ahead") == []
    desk.cancel(order)
    desk.settle()
    text = f"lacks 0.5 {SYMBOL}: its copy filled 0.8, the parent's order 0.3 in the end"
    assert told(desk, "ahead") == [("warn", text)]
    assert [pair.closed for pair in pairs(desk)] == ["done", "ahead"]
    assert told(desk, "unfilled") == []


def test_a_child_that_is_as_far_as_the_parent_when_that_cancels_is_done():
    desk = loop()
    desk.buy("1")
    desk.settle()
    order = desk.sell("0.8", price="60010", reduce_only=True)
    desk.settle()
    child_alone(desk, order, "60020", "60010", "0.8")
    buyers(desk, "60020", "0.8")
    desk.settle()
    assert (desk.position(PARENT), desk.position("c1")) == (D("0.2"), D("0.2"))
    assert [pair.closed for pair in pairs(desk)] == ["done", "done"]
    assert told(desk, "ahead") == told(desk, "unfilled") == []


def ends(desk: ClosedLoop, status: OrderStatus) -> None:
    """The venue takes the child's order away by itself, and tells it."""
    (order,) = desk.exchange.open_orders("c1")
    gone = replace(order, status=status, updated_ms=order.updated_ms + 1)
    desk.exchange.cancel("c1", venue_id=order.venue_id)
    desk.reports.clear()
    desk.feed(Reported(at_ns=desk.now_ns, account="c1", event=OrderEvent(order=gone)))
    desk.settle()


@pytest.mark.parametrize("status", [OrderStatus.EXPIRED, OrderStatus.CANCELLED])
def test_an_entry_that_the_venue_takes_away_is_over_and_leaves_no_ticket(status):
    desk = loop()
    desk.buy("0.4", price="59990")
    desk.settle()
    ends(desk, status)
    assert [pair.closed for pair in pairs(desk)] == [str(status)]
    assert (desk.copier.desk.tickets, desk.working("c1")) == ({}, [])


def test_an_order_of_the_parent_that_ends_unfilled_takes_its_copy_along():
    desk = loop()
    desk.buy("0.4")
    desk.settle()
    order = desk.buy("0.2", price="59990")
    desk.settle()
    desk.cancel(order)
    desk.settle()
    assert cancels(desk) == ["the parent's order has ended"]
    assert desk.working("c1") == []


@pytest.mark.parametrize("ahead", ["keep", "ask"])
def test_who_keeps_what_it_has_too_much_of_turns_with_the_parent_at_once(ahead):
    desk = loop(child("c1", k="1", ahead=ahead))
    order = desk.buy("1", price="59990")
    desk.settle()
    child_alone(desk, order, "59980", "59990", "0.5")
    desk.cancel(order)
    desk.settle()
    desk.sell("2")
    desk.deliver()
    assert [intent.order.terms.quantity for intent in desk.intents if isinstance(intent, Place)] == [1, 2]
    assert told(desk, "waits-for-close") == []


def test_what_adds_waits_for_a_trim_that_is_on_its_way():
    desk = loop(child("c1", k="1"))
    order = desk.buy("1", price="59990")
    desk.settle()
    child_alone(desk, order, "59980", "59990", "0.5")
    desk.buy("0.2")
    desk.deliver()
    desk.carry_out()
    desk.deliver()
    desk.cancel(order)
    desk.settle()
    assert (desk.position(PARENT), desk.position("c1")) == (D("0.2"), D("0.2"))


def test_10_what_the_venue_carried_out_twice_is_told_once():
    desk = loop()
    desk.buy("0.4", price="59990")
    desk.settle()
    (order,) = desk.exchange.open_orders("c1")
    for filled in ("0.4", "0.6", "0.8"):
        double = replace(order, status=OrderStatus.FILLED, filled=D(filled))
        desk.feed(Reported(at_ns=desk.now_ns, account="c1", event=OrderEvent(order=double)))
    (note,) = [note for note in desk.notes if note.kind == "ahead"]
    assert note.text.startswith(f"filled 0.6 {SYMBOL} where it was for 0.4: it was not found, so it was sent again")
    assert (note.level, note.data["client_id"]) == ("warn", order.client_id)
    assert note.data["parent_order"] == pairs(desk)[0].parent.order.venue_id


def test_2_an_episode_ends_with_the_reply_that_tells_of_the_last_fill():
    desk = loop()
    desk.buy("0.4")
    desk.settle()
    assert link(desk).ratios == {1: 1}
    desk.sell("0.4")
    desk.deliver()
    desk.carry_out()
    assert (link(desk).ratios, link(desk).pairs, link(desk).ended, link(desk).attributed) == ({}, {}, {}, 0)


def test_a_link_whose_correction_is_on_its_way_goes_on():
    desk = loop()
    order = desk.buy("0.4", price="59990")
    desk.settle()
    child_alone(desk, order, "59980", "59990", "0.2")
    desk.cancel(order)
    desk.deliver()
    desk.carry_out()
    desk.deliver()
    (trim,) = link(desk).corrections
    assert (trim.terms.quantity, trim.terms.side) == (D("0.2"), Side.SELL)
    assert link(desk).ratios
    desk.settle()
    assert (desk.position("c1"), link(desk).ratios, link(desk).corrections) == (0, {}, [])


def test_5_what_cannot_be_trimmed_is_tried_once_in_each_slow_turn():
    desk = loop(child("c1", k="1"))
    order = desk.buy("1", price="59990")
    desk.settle()
    child_alone(desk, order, "59980", "59990", "0.4")
    desk.fault = lambda intent: Rejected(reason=RejectReason.OTHER, message="no") if isinstance(intent, Place) else None
    desk.cancel(order)
    desk.soon_ms = 20_000
    desk.settle()
    tried = [places(desk)]
    for _ in range(3):
        due_ns = link(desk).again_ns
        desk.live((due_ns - desk.now_ns) // 1_000_000 - 1)
        tried.append(places(desk))
        desk.live(1_000)
        tried.append(places(desk))
        assert due_ns + 30_000_000_000 <= link(desk).again_ns <= due_ns + 31_000_000_000
    first = tried[0]
    assert tried == [first, first, first + 1, first + 1, first + 2, first + 2, first + 3]
    assert len(told(desk, "trim-failed")) == 1


def test_a_trim_that_is_refused_leaves_no_ticket_of_its_own():
    desk = loop(child("c1", k="1"))
    order = desk.buy("1", price="59990")
    desk.settle()
    child_alone(desk, order, "59980", "59990", "0.4")
    tickets = len(desk.copier.desk.tickets)
    desk.fault = lambda intent: Rejected(reason=RejectReason.OTHER, message="no") if isinstance(intent, Place) else None
    desk.cancel(order)
    desk.deliver()
    desk.carry_out()
    desk.deliver()
    desk.carry_out()
    note = [note for note in desk.notes if note.kind == "rejected"][-1]
    assert note.text == f"not copied: sell 0.4 {SYMBOL} was refused: no"
    assert "ticket" in note.data
    assert "ticket_id" not in note.data
    assert "parent_order" not in note.data
    assert len(desk.copier.desk.tickets) == tickets


# --- the legs of a group ----------------------------------------------------------------------------------------------

LIVE, GONE, FULL = State.WORKING, State.CANCELLED, State.FILLED


@pytest.mark.parametrize(
    ("mine", "state", "filled", "cancelled_for", "expected", "after"),
    [
        ("0.1", FULL, "0.5", "", False, False),  # it filled some itself
        ("0", FULL, "0.5", "", True, True),
        ("0", GONE, "0.1", "", True, True),
        ("0", GONE, "0.1", "replace", True, True),
        ("0", GONE, "0", "replace", True, True),
        ("0", GONE, "0", "", False, False),
        ("0", LIVE, "0", "", None, None),
        ("0", LIVE, "0.1", "", None, True),  # the other leg trades on: waited for a moment
    ],
)
def test_11_a_leg_that_ended_by_itself_was_taken_away_by_the_other_or_not(
    mine, state, filled, cancelled_for, expected, after
):
    desk = loop(oco=True)
    desk.buy("0.5")
    desk.settle()
    legs = ({"type": OrderType.LIMIT, "price": D(61_000)}, {"type": STOP, "trigger_price": D(59_000)})
    desk.parent_places_group(
        *(Terms(symbol=SYMBOL, side=Side.SELL, quantity=D("0.5"), reduce_only=True, **leg) for leg in legs)
    )
    desk.settle()
    assert [intent for intent in desk.intents if isinstance(intent, PlaceGroup)]
    pair, other = [pair for pair in pairs(desk) if pair.last is not None and pair.last.partner]
    last, leg = pair.last, other.last
    assert last is not None
    assert leg is not None
    last.state, last.filled = State.CANCELLED, D(mine)
    leg.state, leg.filled, leg.cancelled_for = state, D(filled), cancelled_for
    bot = desk.copier.desk.bots["bot"]
    for after_ms, wanted in ((0, expected), (499, expected), (500, after)):
        run = Run(desk=desk.copier.desk, due=[], at_ns=desk.now_ns + after_ms * 1_000_000)
        assert is_settled_by_partner(run, bot, link(desk), pair, last) is wanted
        assert bool(run.due) is (filled == "0.1" and state is LIVE and not after_ms)
    taken = expected is True and cancelled_for and filled == "0"
    assert last.cancelled_for == (cancelled_for if taken else "")
    last.partner = "unknown"
    assert is_settled_by_partner(run, bot, link(desk), pair, last) is False
