"""What the records of the engine's state take in: reports of an order, closes, what a child holds, what is forgotten."""

from __future__ import annotations

import copy
from decimal import Decimal

import pytest
from copydesk import state
from copydesk.inputs import BotRules
from copydesk.model import (
    ZERO,
    Fill,
    Order,
    OrderRef,
    OrderStatus,
    OrderType,
    PositionSide,
    Side,
    Terms,
    TimeInForce,
)
from copydesk.state import (
    Bot,
    ChildOrder,
    Desk,
    Executed,
    Link,
    Links,
    Op,
    Pair,
    ParentOrder,
    Tracked,
    forget_links,
    may_open,
)
from copydesk.tracking import State
from harness.closed_loop import SYMBOL, D, child
from msgspec.structs import replace

BOOK = (SYMBOL, PositionSide.NET)
TERMS = Terms(symbol=SYMBOL, side=Side.BUY, type=OrderType.LIMIT, quantity=D(3), price=D(100))


def ours(terms: Terms = TERMS, **more: object) -> ChildOrder:
    more = {"state": State.WORKING, "op": None, **more}
    return ChildOrder(client_id="cdk-1", account="c1", terms=terms, cause="1", **more)  # type: ignore[arg-type]


def told(status: OrderStatus, filled: str = "0", *, at_ms: int = 5, **more: object) -> Order:
    terms = more.pop("terms", TERMS)
    return Order(venue_id="v1", terms=terms, status=status, filled=D(filled), updated_ms=at_ms, **more)  # type: ignore[arg-type]


def link_of(account: str = "c1", book: state.Book = BOOK) -> Link:
    return Link(bot="bot", child=child(account, k="1"), book=book)


# --- an order of a child ----------------------------------------------------------------------------------------------


def test_a_report_moves_the_order_and_a_later_one_of_the_same_moment_does_so_too():
    order = ours(state=State.SENDING)
    assert order.merge(told(OrderStatus.NEW, reason="queued")) == 0
    assert (order.state, order.venue_id, order.updated_ms, order.reason) == (State.WORKING, "v1", 5, "queued")
    assert order.merge(told(OrderStatus.PARTIALLY_FILLED, "1")) == 1
    assert (order.state, order.filled, order.remaining, order.reason) == (State.PARTIAL, 1, 2, "queued")


def test_an_older_report_tells_of_fills_and_of_an_end_and_of_nothing_else():
    order = ours()
    order.merge(told(OrderStatus.PARTIALLY_FILLED, "1", at_ms=9))
    assert order.merge(told(OrderStatus.NEW, "2", at_ms=8, reason="late")) == 1
    assert (order.state, order.filled, order.updated_ms, order.reason) == (State.PARTIAL, 2, 9, "")
    assert order.merge(told(OrderStatus.NEW, "1", at_ms=10)) == 0, "what was filled does not become less"
    assert order.merge(told(OrderStatus.CANCELLED, "2", at_ms=7, reason="by hand")) == 0
    assert (order.state, order.updated_ms, order.reason) == (State.CANCELLED, 10, "by hand")


def test_an_execution_counts_once():
    order = ours()
    fill = Fill(execution_id="e1", venue_id="v1", symbol=SYMBOL, side=Side.BUY, price=D(100), quantity=D(1), time_ms=1)
    assert [order.merge_fill(fill), order.merge_fill(fill)] == [1, 0]
    assert order.merge_fill(replace(fill, execution_id="e2", quantity=D("0.5"))) == D("0.5")
    order.merge(told(OrderStatus.PARTIALLY_FILLED, "3"))
    assert order.merge_fill(replace(fill, execution_id="e3")) == 0, "the order itself had told of it"
    assert not order.is_doubled
    assert order.merge_fill(replace(fill, execution_id="e4")) == D("0.5")
    assert (order.filled, order.remaining, order.is_doubled) == (D("3.5"), 0, True)


@pytest.mark.parametrize("what", ["quantity", "price", "trigger_price"])
def test_an_amend_has_happened_once_a_report_shows_all_of_its_terms(what: str):
    asked = replace(TERMS, quantity=D(7), price=D(8), trigger_price=D(9))
    order = ours(asked=asked, op=Op.MODIFY)
    order.merge(told(OrderStatus.NEW, terms=replace(asked, **{what: D(1)})))
    assert (order.terms, order.asked) == (TERMS, asked)
    order.merge(told(OrderStatus.NEW, terms=replace(asked, native="what the venue adds")))
    assert (order.terms, order.asked) == (asked, None)


def test_of_an_order_that_was_sent_twice_the_venue_tells_which_terms_it_has():
    theirs = Terms(
        symbol="ANOTHER",
        side=Side.SELL,
        type=OrderType.STOP_LIMIT,
        quantity=D(5),
        price=D(6),
        trigger_price=D(7),
        time_in_force=TimeInForce.IOC,
        post_only=True,
        reduce_only=True,
    )
    order = ours(doubted=True)
    order.merge(told(OrderStatus.CANCELLED, terms=theirs))
    assert (order.terms, order.doubted) == (TERMS, True)
    order = ours(doubted=True)
    order.merge(told(OrderStatus.NEW, terms=theirs))
    assert order.terms == replace(theirs, symbol=SYMBOL, side=Side.BUY, reduce_only=False)
    assert not order.doubted
    order.merge(told(OrderStatus.NEW, terms=TERMS))
    assert order.terms.price == 6, "once"


def test_an_order_is_looked_for_by_its_terms_and_its_time_as_long_as_the_venues_id_is_not_known():
    order = ours(sent_ns=12_345_678)
    assert order.ref == OrderRef(symbol=SYMBOL, type=OrderType.LIMIT, client_id="cdk-1", terms=TERMS, sent_ms=12)
    order.venue_id = "v1"
    assert order.ref == OrderRef(symbol=SYMBOL, type=OrderType.LIMIT, client_id="cdk-1", venue_id="v1")


# --- an order of the parent -------------------------------------------------------------------------------------------


def test_closes_that_follow_on_each_other_are_one():
    parent = ParentOrder(order=told(OrderStatus.NEW))
    for held, quantity in ((8, 1), (7, 2), (9, 3), (6, 0)):
        parent.close(D(held), D(quantity))
    assert parent.closings == [(8, 5), (9, 6)]
    assert parent.closed == 6


def test_what_an_order_did_is_what_it_filled_but_for_what_the_position_told_before():
    parent = ParentOrder(order=told(OrderStatus.PARTIALLY_FILLED), filled=D(5), told=D(2))
    assert (parent.done, parent.live, Executed(parent).live, Executed(parent).done) == (3, True, False, 3)


# --- a pair -----------------------------------------------------------------------------------------------------------


def test_what_the_orders_of_a_pair_come_to():
    pair = Pair(parent=ParentOrder(order=told(OrderStatus.NEW)))
    assert (pair.last, pair.total, pair.filled, pair.reduced, pair.open) == (None, 0, 0, 0, False)
    pair.orders = [ours(filled=D(1), reduced=D(1), state=State.CANCELLED), ours(filled=D(2), reduced=D("0.5"))]
    assert (pair.last, pair.total, pair.filled, pair.reduced, pair.open) == (pair.orders[1], 4, 3, D("1.5"), True)
    pair.orders[1].asked = replace(TERMS, quantity=D(9))
    assert pair.total == 10
    pair.orders[1].asked = replace(TERMS, quantity=D(1))
    assert pair.total == 3, "less than it has filled already"
    pair.orders[1].state = State.CANCELLED
    assert (pair.total, pair.open) == (3, False)


# --- a link -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "side", "grown", "after", "reduced"),
    [
        ("5", Side.BUY, "2", "7", "0"),
        ("5", Side.SELL, "2", "3", "2"),
        ("1", Side.SELL, "3", "-2", "1"),
        ("-5", Side.BUY, "2", "-3", "2"),
        ("-5", Side.SELL, "2", "-7", "0"),
    ],
)
def test_a_fill_moves_what_the_child_holds(held: str, side: Side, grown: str, after: str, reduced: str):
    link, order = link_of(), ours(replace(TERMS, side=side), reduced=D(1))
    link.attributed = D(held)
    link.move(order, D(grown))
    link.move(order, ZERO)
    assert (link.attributed, order.reduced, link.fills, link.let_go) == (D(after), 1 + D(reduced), 1, 0)


@pytest.mark.parametrize("side", Side)
def test_what_closes_foreign_quantity_moves_nothing_that_was_copied(side: Side):
    link, order = link_of(), ours(replace(TERMS, side=side), enforces=True)
    link.attributed = D(5)
    link.move(order, D(2))
    link.move(order, D(1))
    assert (link.attributed, order.reduced, link.fills, link.let_go) == (5, 0, 0, 3 * side.sign)


def test_before_a_flip_is_known_the_ratio_of_the_other_side_counts():
    link = link_of()
    assert link.ratio(1) is None
    link.ratios[-1] = D(2)
    assert (link.ratio(1), link.ratio(-1)) == (2, 2)
    link.ratios[1] = ZERO
    assert (link.ratio(1), link.ratio(-1)) == (0, 2)


def test_links_are_found_by_child_in_the_order_in_which_they_came():
    other: state.Book = ("ETHUSDT", PositionSide.NET)
    links = Links()
    first, second, third = link_of(), link_of(book=other), link_of("c2")
    for link in (first, second, third):
        links[link.child.account, link.book] = link
    assert [list(links.of(name)) for name in ("c1", "c2", "c3")] == [[first, second], [third], []]
    again = copy.deepcopy(links)
    assert again == links
    assert list(again.of("c1")) == [first, second]
    assert again.of("c1")[0] is again["c1", BOOK], "the copy's own"
    assert again.of("c1")[0] is not first
    assert links.drop(("c1", BOOK)) is first
    assert [list(links.of(name)) for name in ("c1", "c2")] == [[second], [third]]
    assert set(links) == {("c1", other), ("c2", BOOK)}


# --- a bot and the desk -----------------------------------------------------------------------------------------------


def bot_of(*names: str, **more: object) -> Bot:
    children = tuple(child(name, k="1") for name in names)
    return Bot(rules=BotRules(name="bot", kind="paper", parent="parent", children=children), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(("turn", "first"), [("", "abc"), ("a", "abc"), ("b", "bca"), ("c", "cab"), ("gone", "abc")])
def test_whose_turn_it_is_comes_first(turn: str, first: str):
    assert "".join(rules.account for rules in bot_of("a", "b", "c", turn=turn).in_turn) == first


@pytest.mark.parametrize(
    ("winding", "silent", "why"),
    [
        (False, "", ""),
        (False, "hold", ""),
        (True, "", "stop"),
        (True, "flatten", "stop"),
        (False, "flatten", "silence"),
    ],
)
def test_why_no_entry_may_stand(winding: bool, silent: str, why: str):
    assert bot_of("a", winding=winding, silent=silent).shuns == why


@pytest.mark.parametrize(("working", "ending", "managed"), [(True, "", True), (False, "flatten", True), (False, "", False)])
def test_a_bot_is_looked_at_until_its_stop_is_done(working: bool, ending: str, managed: bool):
    assert bot_of("a", working=working, ending=ending).managed is managed


def test_of_orders_that_nobody_follows_it_is_kept_for_a_while_whether_they_filled(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(state, "PAST_KEPT", 3)
    desk, bot, gone, stays = Desk(), bot_of("c1"), link_of(), link_of("c2")
    for number, (link, filled) in enumerate([(gone, "0"), (stays, "1"), (gone, "1"), (gone, "0")]):
        desk.child_orders[link.child.account, str(number)] = Tracked(bot, link, None, ours(filled=D(filled)))
    forget_links(desk, [])
    assert len(desk.child_orders) == 4
    forget_links(desk, [gone])
    assert list(desk.child_orders) == [("c2", "1")]
    assert {key: order.filled for key, order in desk.left.items()} == {("c1", "0"): 0, ("c1", "2"): 1, ("c1", "3"): 0}
    forget_links(desk, [stays])
    assert list(desk.left) == [("c1", "2"), ("c1", "3"), ("c2", "1")], "the oldest goes first"


def test_a_price_is_known_by_the_kind_of_its_account():
    desk = Desk(kinds={"a": "paper"})
    for price in (D(3), None, ZERO):
        desk.priced("a", SYMBOL, price)
    assert desk.prices == {("paper", SYMBOL): Decimal(3)}


@pytest.mark.parametrize(
    ("book", "side", "may"),
    [
        (PositionSide.NET, Side.BUY, True),
        (PositionSide.NET, Side.SELL, True),
        (PositionSide.LONG, Side.BUY, True),
        (PositionSide.LONG, Side.SELL, False),
        (PositionSide.SHORT, Side.BUY, False),
        (PositionSide.SHORT, Side.SELL, True),
    ],
)
def test_in_hedge_mode_the_side_of_the_book_tells_what_opens(book: PositionSide, side: Side, may: bool):
    assert may_open(replace(TERMS, position_side=book, side=side)) is may
