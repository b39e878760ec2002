"""How far both sides of a pair are (rules 4 to 6): what a child holds ahead of its parent's order, or behind it."""

from __future__ import annotations

from decimal import Decimal

import pytest
from copydesk.inputs import BotRules, ChildRules
from copydesk.model import Order, OrderStatus, OrderType, PositionSide, Side, Terms
from copydesk.standing import excess, explained, in_step, opening_sign, still_moves, target
from copydesk.state import Bot, ChildOrder, Executed, Link, Pair, ParentBook, ParentOrder
from copydesk.tracking import State
from harness.closed_loop import KIND, PARENT, SYMBOL, D, child, instrument

STEP = D(1)
ONE = child("c1", k="1")
Made = tuple[Bot, Link, Pair]


def terms(side: Side, quantity: str, book: PositionSide = PositionSide.NET) -> Terms:
    return Terms(symbol=SYMBOL, side=side, type=OrderType.LIMIT, quantity=D(quantity), price=D(100), position_side=book)


def made(
    *,
    side: Side = Side.BUY,
    quantity: str = "10",
    filled: str = "0",
    live: bool = True,
    position: str = "0",
    baseline: str = "0",
    orders: tuple[tuple[str, str, State, str], ...] = (),
    ratio: str | None = "1",
    rules: ChildRules = ONE,
    book: PositionSide = PositionSide.NET,
    **parts: str,
) -> Made:
    """A parent's order and its pair. `orders`: quantity, filled, state and leg of each order of the child."""
    bot = Bot(rules=BotRules(name="bot", kind=KIND, parent=PARENT, children=(rules,)), working=True)
    bot.books[SYMBOL, book] = ParentBook(position=D(position), baseline=D(baseline))
    status = OrderStatus.PARTIALLY_FILLED if live else OrderStatus.CANCELLED
    order = Order(venue_id="p1", terms=terms(side, quantity, book), status=status, filled=D(filled))
    parent = ParentOrder(order=order, filled=D(filled), **{name: D(value) for name, value in parts.items()})
    link = bot.link(rules, (SYMBOL, book))
    pair = link.pairs["p1"] = Pair(parent=parent, ratio=D(ratio) if ratio is not None else None)
    if ratio is not None:
        link.ratios[1] = D(ratio)
    for number, (size, done, state, leg) in enumerate(orders):
        placed = ChildOrder(f"cdk-{number}", "c1", terms(side, size, book), "p1", leg=leg, state=state, op=None)
        placed.filled = D(done)
        pair.orders.append(placed)
    return bot, link, pair


WORKING, FILLED, GONE = State.WORKING, State.FILLED, State.CANCELLED


def step_of(made_of: Made) -> Decimal:
    return in_step(*made_of, STEP)


@pytest.mark.parametrize(
    ("filled", "orders", "expected"),
    [
        ("0", (("10", "4", WORKING, "c"),), "0"),
        ("5", (), "0"),
        ("5", (("10", "4", WORKING, "c"),), "5"),
        ("5", (("10", "10", FILLED, "c"),), "5"),
        ("5", (("20", "4", WORKING, "c"),), "10"),
        ("5", (("10", "4", GONE, "c"),), "4"),
        ("5", (("10", "7", GONE, "c"),), "5"),
        ("2", (("6", "6", FILLED, "c"), ("4", "1", WORKING, "c")), "2"),
    ],
)
def test_an_entry_that_both_still_work_on(filled, orders, expected):
    assert step_of(made(filled=filled, opened=filled, position=filled, orders=orders)) == D(expected)


def test_an_entry_at_half_the_size_and_one_whose_ratio_is_not_fixed():
    assert step_of(made(filled="5", opened="5", position="5", ratio="0.5", orders=(("5", "4", GONE, "c"),))) == D("2.5")
    assert step_of(made(filled="3", opened="3", position="3", ratio="-0.5", orders=(("5", "1", GONE, "c"),))) == 1
    bot, link, pair = made(filled="3", opened="3", position="3", ratio=None, orders=(("9", "9", GONE, "c"),))
    assert in_step(bot, link, pair, STEP) == 3
    link.ratios[1] = D(2)
    assert in_step(bot, link, pair, STEP) == 6


@pytest.mark.parametrize(
    ("quantity", "filled", "closed", "position", "orders", "expected"),
    [
        ("10", "4", "4", "6", (("10", "1", WORKING, "c"),), "4"),
        ("10", "4", "4", "2", (("6", "1", WORKING, "c"),), "4"),
        ("10", "6", "6", "0", (("6", "1", WORKING, "c"),), "6"),
        ("4", "2", "2", "8", (("2", "1", WORKING, "c"),), "1"),
    ],
)
def test_an_exit_ends_where_the_position_does(quantity, filled, closed, position, orders, expected):
    of = made(side=Side.SELL, quantity=quantity, filled=filled, closed=closed, position=position, orders=orders)
    of[2].parent.order = Order(
        venue_id="p1",
        terms=Terms(
            symbol=SYMBOL, side=Side.SELL, type=OrderType.LIMIT, quantity=D(quantity), price=D(100), reduce_only=True
        ),
        status=OrderStatus.PARTIALLY_FILLED,
        filled=D(filled),
    )
    assert step_of(of) == D(expected)


@pytest.mark.parametrize(
    ("filled", "closed", "position", "orders", "expected"),
    [
        # 10 are sold, 4 of them close: the child's one order closes 4 and opens 6.
        ("2", "2", "2", (("10", "1", WORKING, "c"),), "2"),
        ("4", "4", "0", (("10", "1", WORKING, "c"),), "4"),
        ("7", "4", "-3", (("10", "1", WORKING, "c"),), "7"),
        # Where the child had more to close, its order is larger by that.
        ("2", "2", "2", (("12", "1", WORKING, "c"),), "3"),
        ("6", "4", "-2", (("12", "1", WORKING, "c"),), "8"),
        # Where the venue does not net, the close is an order of its own, and counts by what it may fill or filled.
        ("2", "2", "2", (("4", "1", WORKING, "x"),), "2"),
        ("2", "2", "2", (("8", "1", WORKING, "x"),), "4"),
        ("7", "4", "-3", (("4", "4", FILLED, "x"), ("6", "1", WORKING, "c")), "7"),
        ("7", "4", "-3", (("4", "2", GONE, "x"), ("6", "1", WORKING, "c")), "5"),
    ],
)
def test_a_flip_closes_first_and_then_opens(filled, closed, position, orders, expected):
    opened = str(D(filled) - D(closed))
    of = made(side=Side.SELL, filled=filled, closed=closed, opened=opened, position=position, orders=orders)
    assert step_of(of) == D(expected)


def test_what_a_flip_opens_is_the_rounded_share():
    """10 are sold, 4 of them close: at 0.51 the other 6 are opened as 3."""
    of = made(
        side=Side.SELL, filled="7", closed="4", opened="3", position="-3", ratio="0.51", orders=(("5", "1", WORKING, "c"),)
    )
    assert step_of(of) == D("3.5")


def test_a_flip_that_reduces_the_baseline_between():
    """Held 10 of which 4 are followed; 12 are sold: 4 close, 6 are from before the start, 2 open."""
    orders = (("6", "1", WORKING, "c"),)
    for filled, parts, position, baseline, expected in (
        ("3", {"closed": "3"}, "7", "6", "3"),
        ("8", {"closed": "4", "ignored": "4"}, "2", "2", "4"),
        ("11", {"closed": "4", "ignored": "6", "opened": "1"}, "-1", "0", "5"),
    ):
        of = made(
            side=Side.SELL, quantity="12", filled=filled, position=position, baseline=baseline, orders=orders, **parts
        )
        assert step_of(of) == D(expected), filled


@pytest.mark.parametrize(
    ("filled", "orders", "parts", "ratio", "expected"),
    [
        ("6", (("10", "4", GONE, "c"),), {"opened": "6"}, "1", "4"),
        ("6", (("10", "4", WORKING, "c"),), {"opened": "6"}, "1", "6"),
        ("6", (("10", "8", WORKING, "c"),), {"opened": "6"}, "1", "8"),
        ("6", (("5", "4", WORKING, "c"),), {"opened": "6"}, "1", "5"),
        ("6", (("10", "4", WORKING, "c"),), {"opened": "6"}, "0.5", "4"),
        ("6", (("10", "1", WORKING, "c"),), {"opened": "6"}, "-0.5", "3"),
        ("6", (("10", "4", WORKING, "c"),), {"closed": "6"}, "1", "10"),
        ("6", (("10", "4", WORKING, "c"),), {"opened": "6"}, None, "10"),
        ("0", (("10", "4", WORKING, "c"),), {}, "1", "4"),
    ],
)
def test_a_parents_order_that_has_ended(filled, orders, parts, ratio, expected):
    assert step_of(made(live=False, filled=filled, orders=orders, ratio=ratio, **parts)) == D(expected)


def test_what_is_rounded_is_the_position_not_the_order():
    of = made(live=False, filled="3", opened="3", ratio="0.5", orders=(("10", "0", WORKING, "c"),))
    assert step_of(of) == 1
    of[2].before = D(1)
    assert step_of(of) == 2
    of[1].child = child("c1", k="0.5", rounding="nearest")
    of[2].before = D(0)
    assert in_step(of[0], of[1], of[2], STEP) == 2
    assert in_step(of[0], of[1], of[2], D("0.1")) == D("1.5")


def test_executions_bring_all_that_their_order_is_for():
    bot, link, pair = made(live=False, filled="3", opened="3", orders=(("10", "1", WORKING, "c"),))
    pair.parent = Executed(pair.parent)
    assert in_step(bot, link, pair, STEP) == 10


@pytest.mark.parametrize(
    ("side", "ratio", "done", "moves"),
    [
        (Side.BUY, "1", "3", "2"),
        (Side.BUY, "1", "8", "-3"),
        (Side.SELL, "1", "3", "-2"),
        (Side.BUY, "-1", "3", "-2"),
    ],
)
def test_what_a_pair_still_moves_is_signed(side, ratio, done, moves):
    of = made(
        side=side, filled="5", opened="5", position=str(5 * side.sign), ratio=ratio, orders=(("10", done, WORKING, "c"),)
    )
    assert still_moves(*of, STEP) == D(moves)


def test_what_has_no_order_or_is_over_moves_nothing():
    assert still_moves(*made(filled="5", opened="5"), STEP) == 0
    over = made(live=False, filled="5", opened="5", orders=(("10", "2", GONE, "c"),))
    assert (still_moves(*over, STEP), explained(*over, STEP, 1)) == (0, 0)
    assert explained(*made(filled="5", opened="5"), STEP, 1) == 0


@pytest.mark.parametrize(
    ("side", "done", "towards", "explains"),
    [
        (Side.BUY, "8", 1, "3"),
        (Side.BUY, "3", 1, "0"),
        (Side.BUY, "8", -1, "0"),
        (Side.BUY, "3", -1, "2"),
        (Side.SELL, "8", -1, "3"),
        (Side.SELL, "3", 1, "2"),
    ],
)
def test_an_order_that_adds_explains_what_it_is_ahead_one_that_reduces_what_it_is_behind(side, done, towards, explains):
    position = str(5 * side.sign)
    of = made(side=side, filled="5", opened="5", position=position, orders=(("10", done, WORKING, "c"),))
    assert explained(*of, STEP, towards) == D(explains)


def test_what_is_explained_is_rounded_generously():
    of = made(filled="5", opened="5", position="5", orders=(("9", "7", WORKING, "c"),))
    assert in_step(*of, STEP) == D("4.5")
    assert explained(*of, STEP, 1) == 3
    assert explained(*of, D("0.5"), 1) == D("2.5")
    behind = made(filled="5", opened="5", position="5", orders=(("9", "1", WORKING, "c"),))
    assert explained(*behind, STEP, -1) == 4
    assert explained(*behind, D("0.5"), -1) == D("3.5")


@pytest.mark.parametrize(
    ("attributed", "position", "held_back", "beyond"),
    [
        ("0", "5", "0", "0"),
        ("7", "5", "0", "2"),
        ("-7", "-5", "0", "2"),
        ("7", "-5", "0", "7"),
        ("-7", "5", "0", "7"),
        ("4", "5", "0", "0"),
        ("7.9", "5", "0", "2"),
        ("7", "5", "1.5", "0"),
        ("7", "5", "0.5", "1"),
        ("2", "0", "0", "2"),
    ],
)
def test_what_a_child_holds_beyond_its_share(attributed, position, held_back, beyond):
    bot, link, pair = made(live=False, filled="5", opened="5", position=position, orders=(("5", "5", FILLED, "c"),))
    pair.closed = "done"
    link.attributed, link.held_back = D(attributed), D(held_back)
    assert excess(bot, link, instrument("1")) == D(beyond)


def test_what_an_order_under_way_explains_is_not_beyond():
    bot, link, _ = made(filled="5", opened="5", position="5", orders=(("10", "8", WORKING, "c"),))
    link.attributed = D(9)
    assert excess(bot, link, instrument("1")) == 1


def test_the_side_that_an_order_opens():
    for side, book, sign in (
        (Side.BUY, PositionSide.NET, 1),
        (Side.SELL, PositionSide.NET, -1),
        (Side.SELL, PositionSide.LONG, 1),
        (Side.BUY, PositionSide.LONG, 1),
        (Side.SELL, PositionSide.SHORT, -1),
        (Side.BUY, PositionSide.SHORT, -1),
    ):
        _, link, pair = made(side=side, book=book)
        assert opening_sign(link, pair) == sign


@pytest.mark.parametrize(("position", "aim"), [("3", "6"), ("-3", "-9"), ("0", "0"), ("0.2", "0"), ("-0.5", "-1")])
def test_the_target_is_the_rounded_share_by_the_ratio_of_the_parents_side(position, aim):
    rules = child("c1", k="1")
    bot = Bot(rules=BotRules(name="bot", kind=KIND, parent=PARENT, children=(rules,)))
    link = bot.link(rules, (SYMBOL, PositionSide.NET))
    assert target(bot, link, instrument("1")) == 0
    bot.book(link.book).position = D(position)
    assert target(bot, link, instrument("1")) == 0, "no ratio is known"
    link.ratios = {1: D(2), -1: D(3)}
    assert target(bot, link, instrument("1")) == D(aim)
