"""What the parent did, as merged from reports, fills and snapshots: its position, its baseline, what is inferred."""

from __future__ import annotations

import pytest
from copydesk.inputs import BotRules, Place, Reported, Snapped
from copydesk.merging import parent_filled
from copydesk.model import (
    Fill,
    FillEvent,
    Order,
    OrderEvent,
    OrderStatus,
    OrderType,
    Position,
    PositionSide,
    Side,
    Terms,
)
from copydesk.state import Bot, ParentBook, ParentOrder
from harness.closed_loop import KIND, PARENT, SYMBOL, ClosedLoop, D, child
from msgspec.structs import replace

NET = PositionSide.NET
BOOK = (SYMBOL, NET)


def order(side: Side, quantity: str, filled: str, *, number: str = "p1", updated_ms: int = 5) -> Order:
    terms = Terms(symbol=SYMBOL, side=side, type=OrderType.LIMIT, quantity=D(quantity), price=D(60_000))
    status = OrderStatus.FILLED if quantity == filled else OrderStatus.PARTIALLY_FILLED
    return Order(venue_id=number, terms=terms, status=status, filled=D(filled), created_ms=1, updated_ms=updated_ms)


def book_after(
    position: str, baseline: str, side: Side, filled: str, *, is_baseline: bool
) -> tuple[ParentBook, ParentOrder]:
    bot = Bot(rules=BotRules(name="bot", kind=KIND, parent=PARENT, children=()))
    bot.books[BOOK] = ParentBook(position=D(position), baseline=D(baseline))
    parent = ParentOrder(order=order(side, "20", "0"), baseline=is_baseline)
    assert parent_filled(bot, parent, order(side, "20", filled)) is True
    assert parent_filled(bot, parent, order(side, "20", filled)) is False, "the same report says nothing new"
    assert parent.filled == D(filled)
    assert (parent.filled_ms, parent.moved) == (5, 1)
    assert (bot.books[BOOK].moves, bot.books[BOOK].moved_ms) == (1, 5)
    return bot.books[BOOK], parent


@pytest.mark.parametrize(
    ("position", "baseline", "side", "filled", "after"),
    [
        ("10", "10", Side.SELL, "4", ("6", "6")),
        ("10", "10", Side.BUY, "3", ("13", "13")),
        ("10", "6", Side.SELL, "4", ("6", "2")),
        ("10", "6", Side.SELL, "6", ("4", "0")),
        ("10", "6", Side.SELL, "8", ("2", "0")),
        ("10", "10", Side.SELL, "12", ("-2", "-2")),
        ("-10", "-10", Side.BUY, "4", ("-6", "-6")),
        ("-10", "-10", Side.SELL, "3", ("-13", "-13")),
        ("-10", "-6", Side.BUY, "7", ("-3", "0")),
        ("-10", "-10", Side.BUY, "12", ("2", "2")),
        ("0", "0", Side.BUY, "5", ("5", "5")),
        ("0", "0", Side.SELL, "5", ("-5", "-5")),
        ("3", "0", Side.SELL, "5", ("-2", "-2")),
        ("-3", "0", Side.BUY, "5", ("2", "2")),
        ("1", "1", Side.BUY, "1", ("2", "2")),
        ("-1", "-1", Side.SELL, "1", ("-2", "-2")),
        ("1", "0.5", Side.SELL, "0.2", ("0.8", "0.3")),
        ("-1", "-0.5", Side.BUY, "0.2", ("-0.8", "-0.3")),
    ],
)
def test_an_order_from_before_the_start_moves_what_was_there_before(position, baseline, side, filled, after):
    book, parent = book_after(position, baseline, side, filled, is_baseline=True)
    assert (book.position, book.baseline) == (D(after[0]), D(after[1]))
    assert (parent.opened, parent.closed, parent.ignored) == (0, 0, 0)


@pytest.mark.parametrize(
    ("position", "baseline", "side", "filled", "closed", "ignored", "opened"),
    [
        ("0", "0", Side.BUY, "5", "0", "0", "5"),
        ("10", "4", Side.SELL, "5", "5", "0", "0"),
        ("10", "4", Side.SELL, "8", "6", "2", "0"),
        ("10", "4", Side.SELL, "12", "6", "4", "2"),
        ("-10", "-4", Side.BUY, "12", "6", "4", "2"),
        ("-10", "-4", Side.SELL, "2", "0", "0", "2"),
        ("10", "10", Side.SELL, "3", "0", "3", "0"),
    ],
)
def test_an_order_that_is_followed_closes_then_leaves_the_baseline_then_opens(
    position, baseline, side, filled, closed, ignored, opened
):
    book, parent = book_after(position, baseline, side, filled, is_baseline=False)
    assert (parent.closed, parent.ignored, parent.opened) == (D(closed), D(ignored), D(opened))
    assert book.position == D(position) + side.sign * D(filled)
    assert book.baseline == D(baseline) + side.sign * D(ignored)
    followed = abs(D(position) - D(baseline))
    assert parent.closings == ([(followed, followed - D(closed))] if D(closed) else [])


def test_what_is_filled_in_parts_adds_up():
    bot = Bot(rules=BotRules(name="bot", kind=KIND, parent=PARENT, children=()))
    book = bot.books[BOOK] = ParentBook(position=D(10), baseline=D(6))
    parent = ParentOrder(order=order(Side.SELL, "20", "0"))
    for number, filled in enumerate(("1", "5", "8", "12", "13"), 1):
        assert parent_filled(bot, parent, order(Side.SELL, "20", filled, updated_ms=number))
        assert (book.moves, book.moved_ms, parent.moved, parent.filled_ms) == (number, number, number, number)
    assert (parent.closed, parent.ignored, parent.opened) == (4, 6, 3)
    assert (book.position, book.baseline) == (-3, 0)
    assert parent.closings == [(4, 0)]
    assert parent_filled(bot, parent, order(Side.SELL, "20", "14", updated_ms=1))
    assert book.moved_ms == 5, "a report that came late does not turn the clock back"


@pytest.mark.parametrize(
    ("seen", "baseline", "created_ms", "updated_ms", "told"),
    [
        (False, False, 1, 20, True),  # nobody had heard of it
        (False, False, 10, 20, True),
        (False, False, 11, 20, False),
        (True, False, 1, 20, False),
        (False, True, 1, 20, False),
        (True, False, 1, 10, True),
        (True, False, 1, 11, False),
        (False, True, 1, 9, True),
    ],
)
def test_what_the_position_had_told_already_does_not_count_again(seen, baseline, created_ms, updated_ms, told):
    for filled, number, left in (("5", "p1", "0"), ("2", "p1", "1"), ("5", "inferred/p1", "3")):
        bot = Bot(rules=BotRules(name="bot", kind=KIND, parent=PARENT, children=()))
        book = bot.books[BOOK] = ParentBook(position=D(3), inferred_ms=10, inferred={1: D(3)})
        late = replace(order(Side.BUY, "20", filled, number=number, updated_ms=updated_ms), created_ms=created_ms)
        parent = ParentOrder(order=late, baseline=baseline, seen=seen)
        parent_filled(bot, parent, late)
        assert book.inferred[1] == (D(left) if told else 3)
        assert parent.told == 3 - book.inferred[1]
        assert book.position == 3 + D(filled) - parent.told
        assert parent.done == D(filled) - parent.told


# --- fills that no report told of -------------------------------------------------------------------------------------


def loop(*children, **more) -> ClosedLoop:
    desk = ClosedLoop(children or (child("c1", k="1"),), **more)
    desk.exchange.deposit(PARENT, D(1))
    return desk.start()


def fill(
    desk: ClosedLoop, quantity: str, *, execution: str = "e1", number: str = "x1", side: Side = Side.BUY, **more
) -> Fill:
    return Fill(
        execution_id=execution,
        venue_id=number,
        symbol=SYMBOL,
        side=side,
        quantity=D(quantity),
        price=D(60_000),
        time_ms=more.pop("time_ms", desk.now_ns // 1_000_000),
        **more,
    )


def history(desk: ClosedLoop, *fills: Fill, orders: tuple[Order, ...] = ()) -> None:
    """The parent is read, and its history tells of these."""
    seen = replace(desk.snapshot(PARENT), orders=orders, fills=fills, positions=(), time_ms=1)
    desk.feed(Snapped(at_ns=desk.now_ns, account=PARENT, snapshot=seen))


def bot(desk: ClosedLoop) -> Bot:
    return desk.copier.desk.bots["bot"]


def test_an_order_is_inferred_from_its_fills():
    desk = loop()
    first = fill(desk, "2", client_id="mine")
    history(desk, first)
    known = bot(desk).orders["x1"]
    assert known.order == Order(
        venue_id="x1",
        client_id="mine",
        terms=Terms(symbol=SYMBOL, side=Side.BUY, type=OrderType.MARKET, quantity=D(2), position_side=NET),
        status=OrderStatus.FILLED,
        filled=D(2),
        average_price=D(60_000),
        created_ms=first.time_ms,
        updated_ms=first.time_ms,
        reason="inferred from its fills",
    )
    assert known.executions == {"e1": D(2)}
    assert bot(desk).book(BOOK).position == 2
    desk.settle()
    assert desk.position("c1") == 2
    history(desk, first)
    desk.settle()
    assert (bot(desk).book(BOOK).position, len(desk.placed("c1"))) == (2, 1), "an execution counts once"
    desk.pass_time(10)
    history(desk, first, fill(desk, "3", execution="e2"))
    desk.settle()
    assert bot(desk).book(BOOK).position == 5
    assert bot(desk).orders["x1"].executions == {"e1": D(2), "e2": D(3)}
    assert desk.position("c1") == 5


def test_fills_of_an_order_that_is_known_complete_it():
    desk = loop()
    placed = desk.buy("5", price="59000")
    desk.settle()
    part = fill(desk, "2", number=placed.venue_id)
    history(desk, part, orders=())
    known = bot(desk).orders[placed.venue_id]
    assert (known.order.status, known.order.filled, known.order.terms.quantity) == (OrderStatus.PARTIALLY_FILLED, 2, 5)
    assert known.order.terms.price == 59_000
    assert known.order.created_ms == placed.created_ms
    assert known.order.average_price == 60_000
    history(desk, part, fill(desk, "3", number=placed.venue_id, execution="e2"))
    assert bot(desk).orders[placed.venue_id].order.status is OrderStatus.FILLED
    assert bot(desk).book(BOOK).position == 5


def test_what_a_report_told_already_is_not_counted_by_its_fills():
    desk = loop()
    desk.buy("4")
    desk.settle()
    (told,) = desk.exchange.fills(PARENT)
    history(desk, replace(told, execution_id="another-name"))
    assert bot(desk).book(BOOK).position == 4
    assert bot(desk).orders[told.venue_id].executions == {"another-name": D(4)}
    assert bot(desk).orders[told.venue_id].order.reason == ""


def test_fills_that_are_not_the_parents_to_follow():
    desk = loop()
    started_ms = bot(desk).started_ms
    bot(desk).past["long-ago"] = None
    history(
        desk,
        fill(desk, "1", number="before", time_ms=started_ms - 1),
        fill(desk, "1", number="long-ago"),
        fill(desk, "1", number="ours", client_id="cdk-abcdefghij-c0"),
        fill(desk, "1", number="at-the-start", time_ms=started_ms),
    )
    assert bot(desk).book(BOOK).position == 1
    assert set(bot(desk).orders) == {"at-the-start"}
    listed = order(Side.BUY, "5", "2", number="listed", updated_ms=desk.now_ns // 1_000_000)
    listed = replace(listed, created_ms=listed.updated_ms)
    history(desk, fill(desk, "3", number="listed"), orders=(listed,))
    assert bot(desk).book(BOOK).position == 3, "its order is listed, and that counts"


# --- positions that no order told of ----------------------------------------------------------------------------------


def read(desk: ClosedLoop, quantity: str, *, entry: str = "0", mark: str = "0") -> None:
    desk.pass_time(1_000)
    held = (Position(symbol=SYMBOL, quantity=D(quantity), entry_price=D(entry), mark_price=D(mark)),) if D(quantity) else ()
    seen = replace(desk.snapshot(PARENT), positions=held)
    desk.feed(Snapped(at_ns=desk.now_ns, account=PARENT, snapshot=seen))


@pytest.mark.parametrize(
    ("quantity", "entry", "mark", "side", "price"),
    [
        ("3", "61000", "60000", Side.BUY, "60000"),
        ("3", "59000", "60000", Side.BUY, "59000"),
        ("-3", "61000", "60000", Side.SELL, "61000"),
        ("-3", "59000", "60000", Side.SELL, "60000"),
        ("1", "0", "60000", Side.BUY, "60000"),
        ("-1", "0", "0", Side.SELL, "0"),
    ],
)
def test_a_position_that_two_snapshots_tell_is_an_order_at_the_price_that_allows_the_least(
    quantity, entry, mark, side, price
):
    desk = loop()
    read(desk, quantity, entry=entry, mark=mark)
    assert bot(desk).book(BOOK).position == 0
    assert bot(desk).book(BOOK).doubt == D(quantity)
    read(desk, quantity, entry=entry, mark=mark)
    book, now_ms = bot(desk).book(BOOK), desk.now_ns // 1_000_000
    assert (book.position, book.doubt, book.inferred_ms, book.moved_ms) == (D(quantity), 0, now_ms, now_ms)
    assert book.inferred == {side.sign: abs(D(quantity))}
    (known,) = bot(desk).orders.values()
    assert known.order == Order(
        venue_id=f"inferred/{SYMBOL}/net/{now_ms}",
        terms=Terms(symbol=SYMBOL, side=side, type=OrderType.MARKET, quantity=abs(D(quantity)), position_side=NET),
        status=OrderStatus.FILLED,
        filled=abs(D(quantity)),
        average_price=D(price),
        created_ms=bot(desk).started_ms,
        updated_ms=bot(desk).started_ms,
        reason="inferred from its position",
    )
    (note,) = [note for note in desk.notes if note.kind == "inferred" and note.account == PARENT]
    assert (note.level, note.bot, note.symbol) == ("warn", "bot", SYMBOL)
    assert f"the parent holds {quantity} {SYMBOL}" in note.text


def test_what_is_inferred_happened_since_both_last_agreed():
    desk = loop()
    desk.buy("2")
    desk.settle()
    read(desk, "2", mark="60000")
    agreed_ms = desk.now_ns // 1_000_000
    read(desk, "5", mark="60000")
    read(desk, "5", mark="60000")
    assert bot(desk).book(BOOK).agreed_ms == desk.now_ns // 1_000_000
    inferred = [parent.order for number, parent in bot(desk).orders.items() if number.startswith("inferred/")]
    assert [(one.terms.quantity, one.created_ms, one.updated_ms) for one in inferred] == [(3, agreed_ms, agreed_ms)]


def test_a_snapshot_from_before_the_last_fill_proves_nothing():
    desk = loop()
    desk.buy("2")
    desk.settle()
    old = replace(desk.snapshot(PARENT), positions=(), time_ms=bot(desk).book(BOOK).moved_ms)
    for _ in range(3):
        desk.feed(Snapped(at_ns=desk.now_ns, account=PARENT, snapshot=old))
    assert (bot(desk).book(BOOK).position, bot(desk).book(BOOK).doubt) == (2, 0)


def test_two_snapshots_that_say_different_things_prove_nothing():
    desk = loop()
    for quantity in ("1", "2", "1", "2"):
        read(desk, quantity, mark="60000")
    assert bot(desk).book(BOOK).position == 0
    read(desk, "0")
    read(desk, "2", mark="60000")
    assert bot(desk).book(BOOK).position == 0


def test_what_was_inferred_in_parts_is_told_late_in_parts():
    """3 and then 2 more were inferred; reports that come late tell them and move nothing, and a new one does."""
    desk = loop()
    for quantity in ("3", "3", "5", "5"):
        read(desk, quantity, mark="60000")
    book = bot(desk).book(BOOK)
    assert (book.position, book.inferred) == (5, {1: 5})
    late = replace(order(Side.BUY, "4", "4", number="late"), created_ms=book.inferred_ms, updated_ms=book.inferred_ms)
    desk.feed(Reported(at_ns=desk.now_ns, account=PARENT, event=OrderEvent(order=late)))
    assert (book.position, book.inferred) == (5, {1: 1})
    assert (bot(desk).orders["late"].told, bot(desk).orders["late"].done) == (4, 0)
    more = replace(order(Side.BUY, "4", "4", number="more"), created_ms=book.inferred_ms, updated_ms=book.inferred_ms + 9)
    desk.feed(Reported(at_ns=desk.now_ns, account=PARENT, event=OrderEvent(order=more)))
    assert (book.position, book.inferred) == (8, {1: 0})
    assert bot(desk).orders["more"].opened == 3
    other = replace(order(Side.SELL, "1", "1", number="other"), created_ms=book.inferred_ms, updated_ms=book.inferred_ms)
    desk.feed(Reported(at_ns=desk.now_ns, account=PARENT, event=OrderEvent(order=other)))
    assert book.position == 7, "nothing was inferred on that side"


# --- orders that are forgotten or gone --------------------------------------------------------------------------------


def test_an_order_that_the_venue_does_not_know_ends():
    desk = loop()
    placed = desk.buy("2", price="59000")
    desk.settle()
    gone = replace(desk.snapshot(PARENT), orders=(), absent=(placed.venue_id,))
    desk.feed(Snapped(at_ns=desk.now_ns, account=PARENT, snapshot=gone))
    assert bot(desk).orders[placed.venue_id].live, "once is not enough"
    desk.feed(Snapped(at_ns=desk.now_ns, account=PARENT, snapshot=gone))
    ended = bot(desk).orders[placed.venue_id].order
    assert (ended.status, ended.reason) == (OrderStatus.CANCELLED, "the venue does not know it any more")
    assert ended.updated_ms == max(gone.time_ms, placed.updated_ms)
    desk.settle()
    assert desk.working("c1") == []


def test_prices_that_are_told_are_kept_by_kind_and_symbol():
    desk = loop()
    bought = desk.buy("1")
    desk.settle()
    prices = desk.copier.desk.prices
    assert set(prices) == {(KIND, SYMBOL)}
    told = replace(bought, average_price=D(123), client_id="mine")
    desk.feed(Reported(at_ns=desk.now_ns, account=PARENT, event=OrderEvent(order=told)))
    assert prices[KIND, SYMBOL] == 123
    desk.feed(Reported(at_ns=desk.now_ns, account=PARENT, event=FillEvent(fill=replace(fill(desk, "1"), price=D(124)))))
    assert prices[KIND, SYMBOL] == 124
    seen = replace(desk.snapshot(PARENT), positions=(), prices={SYMBOL: D(125)})
    desk.feed(Snapped(at_ns=desk.now_ns, account=PARENT, snapshot=seen))
    assert prices[KIND, SYMBOL] == 125
    desk.feed(Reported(at_ns=desk.now_ns, account=PARENT, event=OrderEvent(order=replace(told, average_price=None))))
    assert prices[KIND, SYMBOL] == 125, "an order without a price tells none"


def test_a_copy_that_is_taken_up_again_has_ids_of_its_own_each_time():
    """From flat to flat three times for one parent order: the generations go on, and none is used twice."""
    desk = loop(amendable=frozenset())
    placed = desk.buy("2", price="59000")
    desk.settle()
    for price in ("59100", "59200"):
        desk.amend(placed, price=price)
        desk.settle()
    names = [intent.client_id for intent in desk.intents if isinstance(intent, Place)]
    assert len(names) == len(set(names)) == 3
    assert [name[-1] for name in names] == ["0", "1", "2"]
    link = bot(desk).links["c1", BOOK]
    desk.cancel(placed)
    desk.settle()
    assert link.pairs == {}
    again = replace(
        desk.exchange.find(PARENT, venue_id=placed.venue_id), filled=D(1), updated_ms=desk.now_ns // 1_000_000 + 1
    )
    desk.feed(Reported(at_ns=desk.now_ns, account=PARENT, event=OrderEvent(order=again)))
    pair = link.pairs[placed.venue_id]
    assert pair.earlier == 3
    names = [intent.client_id for intent in desk.intents if isinstance(intent, Place)]
    assert names[-1][-1] == "3"
    assert len(names) == len(set(names)) == 4
