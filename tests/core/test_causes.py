"""What explains a child's difference from its target: each cause by itself, with how much of it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from copydesk.drifting import drift, drifts
from copydesk.inputs import BotRules, ChildRules, LimitSet, Place
from copydesk.model import (
    Contract,
    Order,
    OrderStatus,
    OrderType,
    Position,
    PositionSide,
    Rejected,
    RejectReason,
    Side,
    Terms,
)
from copydesk.state import Bot, ChildOrder, Desk, Link, Pair, ParentBook, ParentOrder
from copydesk.tracking import State
from harness.closed_loop import KIND, PARENT, SYMBOL, ClosedLoop, D, child, instrument
from msgspec.structs import replace

BOOK = (SYMBOL, PositionSide.NET)


def causes(desk: Desk) -> list[tuple[str, Decimal]]:
    """Of the only link: each cause and its part; they add up to the difference."""
    (bot,) = desk.bots.values()
    (link,) = bot.links.values()
    view = drift(desk, bot, link)
    assert view is not None
    assert sum((part.quantity for part in view.causes), D(0)) == view.difference
    assert view.cause == (view.causes[0].cause if view.causes else "")
    return [(part.cause, part.quantity) for part in view.causes]


def made(
    *,
    followed: str = "10",
    attributed: str = "0",
    ratio: str | None = "1",
    rules: ChildRules | None = None,
    step: str = "1",
    contract: Contract = Contract.LINEAR,
    held: str | None = None,
) -> tuple[Desk, Bot, Link]:
    """A desk on which the parent holds `followed` and the child `attributed`, without any order."""
    rules = rules or child("c1", k="1")
    desk = Desk()
    bot = desk.bots["bot"] = Bot(rules=BotRules(name="bot", kind=KIND, parent=PARENT, children=(rules,)), working=True)
    desk.instruments[KIND, SYMBOL] = replace(instrument(step), contract=contract)
    for account in (PARENT, "c1"):
        desk.account(account).connected = True
    bot.books[BOOK] = ParentBook(position=D(followed))
    link = bot.link(rules, BOOK)
    link.attributed = D(attributed)
    if ratio is not None:
        link.ratios[1 if D(followed) >= 0 else -1] = D(ratio)
    if held is not None:
        desk.account("c1").positions[BOOK] = Position(symbol=SYMBOL, quantity=D(held))
    return desk, bot, link


def pair(
    link: Link,
    *,
    side: Side = Side.BUY,
    quantity: str = "10",
    filled: str = "10",
    live: bool = False,
    ratio: str | None = "1",
    copy: tuple[str, str, State] | None = None,
    number: str = "p1",
    **parts: object,
) -> Pair:
    terms = Terms(symbol=SYMBOL, side=side, type=OrderType.LIMIT, quantity=D(quantity), price=D(100))
    status = OrderStatus.PARTIALLY_FILLED if live else OrderStatus.FILLED
    order = Order(venue_id=number, terms=terms, status=status, filled=D(filled))
    of_parent = {name: parts.pop(name) for name in ("opened", "closings") if name in parts} or {"opened": D(filled)}
    parent = ParentOrder(order=order, filled=D(filled), **of_parent)  # type: ignore[arg-type]
    found = link.pairs[number] = Pair(parent=parent, ratio=D(ratio) if ratio is not None else None, **parts)  # type: ignore[arg-type]
    if copy is not None:
        placed = ChildOrder(f"cdk-{number}", "c1", replace(terms, quantity=D(copy[0])), number, state=copy[2], op=None)
        placed.filled = D(copy[1])
        found.orders.append(placed)
    return found


# --- the target -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("followed", "k", "rounding", "aim"),
    [
        ("10", "0.26", "floor", "2"),
        ("10", "0.26", "nearest", "3"),
        ("-10", "0.26", "nearest", "-3"),
        ("10", "-0.26", "nearest", "-3"),
        ("-10", "-0.26", "floor", "2"),
        ("1", "0.26", "min_one", "1"),
        ("1", "0.26", "floor", "0"),
    ],
)
def test_a_child_that_was_never_in_the_episode_lacks_what_it_would_have(followed, k, rounding, aim):
    desk, bot, link = made(followed=followed, ratio=None, rules=child("c1", k=k, rounding=rounding))
    view = drift(desk, bot, link)
    assert (view.target, view.difference) == (D(aim), D(aim))


def test_a_child_whose_balance_is_not_known_has_no_target():
    desk, bot, link = made(ratio=None, rules=child("c1"))
    assert drift(desk, bot, link).target == 0


# --- each cause by itself ---------------------------------------------------------------------------------------------


def test_a_bot_that_does_not_work_and_a_child_that_is_away():
    desk, bot, link = made(attributed="4")
    bot.working = False
    assert causes(desk) == [("unmanaged", 6)]
    bot.working = True
    desk.account("c1").connected = False
    assert causes(desk) == [("stale", 6)]
    link.attributed = D(10)
    assert drift(desk, bot, link).causes == (), "what is on its target has no cause"


def test_dust_is_what_is_too_little_to_be_sold():
    desk, _, _ = made(followed="0", attributed="0.004", step="0.01", contract=Contract.SPOT)
    assert causes(desk) == [("dust", D("-0.004"))]
    desk, _, _ = made(followed="10", attributed="9.996", step="0.01", contract=Contract.SPOT)
    assert causes(desk) == [("rounding", D("0.004"))], "what is lacking is no dust"
    desk, _, link = made(followed="0", attributed="0.04", step="0.01", contract=Contract.SPOT)
    desk.instruments[KIND, SYMBOL] = replace(desk.instruments[KIND, SYMBOL], min_notional=D(5))
    assert causes(desk) == [("unexplained", D("-0.04"))]
    link.price = D(100)
    assert causes(desk) == [("dust", D("-0.04"))], "worth too little at its price"


def test_an_episode_that_is_in_a_persons_hands():
    desk, _, link = made()
    link.detached = 1
    assert causes(desk) == [("hand-traded", 10)]


def test_what_is_held_beyond_the_share_where_it_is_not_trimmed():
    for policy, expected in (("keep", "ahead"), ("ask", "ahead"), ("trim", "unexplained")):
        desk, _, _ = made(followed="10", attributed="14", rules=child("c1", k="1", ahead=policy))
        assert causes(desk) == [(expected, -4)]


def test_what_could_not_be_trimmed_is_rejected():
    desk, _, link = made(followed="10", attributed="14")
    link.failing = D(3)
    assert causes(desk) == [("rejected", -3), ("rounding", -1)]
    link.failing = D(9)
    assert causes(desk) == [("rejected", -4)]


def test_what_the_account_has_but_not_from_us():
    for held, expected in (("10", [("hand-traded", 6)]), ("7", [("hand-traded", 3), ("unexplained", 3)])):
        desk, _, link = made(attributed="4", held=held)
        link.foreign = D(held) - 4
        assert causes(desk) == expected
    desk, _, link = made(attributed="4", held="1")
    link.foreign = D(-3)
    assert causes(desk) == [("unexplained", 6)]
    desk, _, link = made(followed="-10", attributed="-4")
    link.foreign = D(-5)
    assert causes(desk) == [("hand-traded", -5), ("rounding", -1)]


def test_a_step_is_rounding_and_each_order_that_rests_has_one_more():
    desk, _, link = made(attributed="9")
    assert causes(desk) == [("rounding", 1)]
    link.attributed = D(8)
    assert causes(desk) == [("unexplained", 2)]
    pair(link, live=True, filled="0", copy=("5", "0", State.WORKING))
    assert causes(desk) == [("rounding", 2)]
    link.attributed = D(7)
    assert causes(desk) == [("unexplained", 3)]
    pair(link, live=True, filled="0", copy=("5", "0", State.CANCELLED), number="p2")
    pair(link, live=False, filled="0", copy=("5", "0", State.WORKING), number="p3", closed="done")
    assert causes(desk)[-1][0] == "unexplained", "orders of which one side is over have none"
    pair(link, live=True, filled="0", copy=("5", "0", State.PARTIAL), number="p4")
    assert causes(desk) == [("rounding", 3)]


def test_what_nothing_explains_while_the_parent_is_away():
    desk, _, _ = made(attributed="4")
    desk.account(PARENT).connected = False
    assert causes(desk) == [("stale", 6)]


@pytest.mark.parametrize(
    ("closed", "cause"),
    [
        ("rejected", "rejected"),
        ("no-balance", "rejected"),
        ("unknown-symbol", "rejected"),
        ("expired", "rejected"),
        ("stale", "stale"),
        ("unfilled", "stale"),
        ("overtaken", "stale"),
        ("nothing-to-reduce", "stale"),
        ("cancelled", "hand-traded"),
        ("hand-traded", "hand-traded"),
        ("ahead", "ahead"),
        ("capped", "capped"),
        ("filtered", "filtered"),
        ("winding-down", "unmanaged"),
        ("not-adopted", "unmanaged"),
        ("rounded-to-nothing", "rounding"),
        ("too-small", "rounding"),
        ("done", "unexplained"),
    ],
)
def test_why_a_pair_is_over_tells_what_its_child_lacks(closed, cause):
    for side, followed in ((Side.BUY, "10"), (Side.SELL, "-10")):
        desk, _, link = made(followed=followed, attributed=str(4 * side.sign))
        pair(link, side=side, copy=("10", "4", State.CANCELLED), closed=closed)
        assert causes(desk) == [(cause, 6 * side.sign)]


@pytest.mark.parametrize(
    ("more", "cause"),
    [
        ({"alarm": "refused again and again"}, "rejected"),
        ({"guard": "capped"}, "capped"),
        ({"guard": "filtered"}, "filtered"),
        ({"cap": D(4)}, "capped"),
        ({"waiting": "rounded-to-nothing"}, "rounding"),
        ({"waiting": "too-small"}, "rounding"),
        ({"waiting": "not-connected"}, "stale"),
        ({"waiting": "waits-for-budget"}, "pending"),
        ({}, "pending"),
    ],
)
def test_what_a_pair_waits_for_tells_what_its_child_lacks(more, cause):
    desk, _, link = made(attributed="4")
    pair(link, copy=("10", "4", State.CANCELLED), **more)
    assert causes(desk) == [(cause, 6)]


def test_a_copy_that_was_refused_and_then_done_without():
    desk, _, link = made(attributed="4")
    found = pair(link, copy=("10", "4", State.REJECTED), closed="done")
    assert causes(desk) == [("unexplained", 6)]
    found.orders[0].cancelled_for = "refused"
    assert causes(desk) == [("rejected", 6)]


def test_an_order_under_way_explains_what_it_still_brings():
    desk, _, link = made(attributed="4")
    pair(link, copy=("10", "4", State.WORKING))
    assert causes(desk) == [("pending", 6)]
    desk, _, link = made(followed="5", attributed="1")
    pair(link, live=True, filled="5", copy=("10", "1", State.WORKING))
    assert causes(desk) == [("pending", 4)]
    desk, _, link = made(followed="-5", attributed="-1")
    pair(link, side=Side.SELL, live=True, filled="5", copy=("10", "1", State.WORKING))
    assert causes(desk) == [("pending", -4)]


def test_a_correction_under_way_explains_what_it_still_closes():
    desk, _, link = made(followed="10", attributed="16")
    terms = Terms(symbol=SYMBOL, side=Side.SELL, type=OrderType.MARKET, quantity=D(5), reduce_only=True)
    trim = ChildOrder("cdk-t", "c1", terms, "trim", state=State.WORKING, op=None)
    trim.filled = D(1)
    link.corrections.append(trim)
    assert causes(desk) == [("pending", -4), ("unexplained", -2)]
    (view,) = drifts(desk)
    assert view.in_flight == -4
    trim.state = State.CANCELLED
    assert causes(desk) == [("unexplained", -6)]


def test_what_is_not_copied_any_more_of_executions():
    desk, _, link = made(attributed="4")
    pair(link, copy=("10", "4", State.FILLED), closed="done", forgone=D("4.5"), lost="rejected")
    assert causes(desk) == [("rejected", 5), ("rounding", 1)]


def test_what_was_released_while_the_parent_was_silent_and_what_is_behind():
    for released, behind, expected in (
        ("6", "0", [("unmanaged", 6)]),
        ("0", "6", [("stale", 6)]),
        ("2", "3", [("stale", 3), ("unmanaged", 2), ("rounding", 1)]),
        ("-6", "-6", [("unexplained", 6)]),
    ):
        desk, _, link = made(attributed="4")
        link.released, link.behind = D(released), D(behind)
        assert causes(desk) == expected


def test_no_cause_explains_more_than_there_is():
    desk, _, link = made(attributed="8")
    pair(link, copy=("10", "1", State.CANCELLED), closed="rejected")
    pair(link, copy=("10", "1", State.CANCELLED), closed="stale", number="p2")
    assert causes(desk) == [("rejected", 2)]


@pytest.mark.parametrize(
    ("before", "after", "k", "rounding", "filled", "lacks"),
    [
        ("10", "4", "1", "floor", "2", "-4"),
        ("10", "4", "0.5", "floor", "0", "-3"),
        ("10", "5", "0.5", "floor", "0", "-3"),
        ("10", "5", "0.5", "nearest", "0", "-2"),
    ],
)
def test_an_exit_lacks_the_rounded_share_of_what_the_parent_closed(before, after, k, rounding, filled, lacks):
    start = (D(before) * D(k)).quantize(D(1))
    desk, bot, link = made(
        followed=after, attributed=str(start - D(filled)), ratio=k, rules=child("c1", k=k, rounding=rounding)
    )
    pair(
        link,
        side=Side.SELL,
        quantity=str(D(before) - D(after)),
        filled=str(D(before) - D(after)),
        ratio=k,
        copy=("9", filled, State.REJECTED),
        closed="rejected",
        opened=D(0),
        closings=[(D(before), D(after))],
    )
    view = drift(desk, bot, link)
    assert (view.difference, causes(desk)) == (D(lacks), [("rejected", D(lacks))])


@pytest.mark.parametrize(
    ("before", "after", "rounding", "attributed", "lacks"), [("5", "2", "floor", "4", -1), ("8", "3", "nearest", "6", -2)]
)
def test_an_exit_explains_no_more_than_the_rounded_share(before, after, rounding, attributed, lacks):
    desk, _, link = made(followed=after, attributed=attributed, ratio="0.5", rules=child("c1", k="0.5", rounding=rounding))
    pair(link, side=Side.SELL, ratio="0.5", closed="rejected", opened=D(0), closings=[(D(before), D(after))])
    assert causes(desk) == [("rejected", lacks), ("unexplained", -2)]


def test_a_copy_that_filled_more_than_the_parents_order_did_in_the_end():
    desk, _, link = made(attributed="4")
    pair(link, quantity="20", copy=("10", "4", State.CANCELLED), closed="done")
    assert causes(desk) == [("ahead", 6)]
    desk, _, link = made(attributed="4")
    pair(link, quantity="20", copy=("10", "4", State.CANCELLED), closed="some-other")
    assert causes(desk) == [("unexplained", 6)]


def test_an_entry_whose_ratio_was_never_fixed_lacks_by_the_ratio_that_it_would_have():
    for k, lacks in (("2", "20"), ("-2", "-20")):
        desk, _, link = made(ratio=None, rules=child("c1", k=k))
        pair(link, ratio=None, closed="rejected")
        assert causes(desk) == [("rejected", D(lacks))]


def test_an_alarm_stands_beside_the_difference_while_there_is_one():
    desk, bot, link = made(attributed="4")
    found = pair(link, copy=("10", "4", State.REJECTED), alarm="refused again and again")
    link.alarm = "cannot be reduced"
    assert drift(desk, bot, link).alarm == "refused again and again"
    found.closed = "done"
    assert drift(desk, bot, link).alarm == "cannot be reduced"
    link.attributed = D(10)
    assert drift(desk, bot, link).alarm == ""


# --- in a story -------------------------------------------------------------------------------------------------------


def test_a_refused_flip_lacks_both_halves():
    desk = ClosedLoop((child("c1", k="1"),), instrument=instrument("1")).start()
    desk.buy("4")
    desk.settle()
    desk.feed(LimitSet(at_ns=desk.now_ns, account="c1", state="close_only"))
    desk.sell("10")
    desk.settle()
    (view,) = drifts(desk.copier.desk)
    assert (view.target, view.attributed, view.cause) == (-6, 0, "capped")
    desk.fault = lambda intent: Rejected(reason=RejectReason.OTHER, message="no") if isinstance(intent, Place) else None
    desk.feed(LimitSet(at_ns=desk.now_ns, account="c1", state="all"))
    desk.buy("2")
    desk.live(1_000)
    (view,) = drifts(desk.copier.desk)
    assert (view.target, view.difference) == (-4, -4)
    assert sum(part.quantity for part in view.causes) == -4
