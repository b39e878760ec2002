"""What a child's order looks like where its venue or its pair is not like the parent's."""

from __future__ import annotations

from decimal import Decimal

import pytest
from copydesk.ids import CLOSE, COPY
from copydesk.inputs import Place
from copydesk.model import Balance, Order, OrderStatus, OrderType, PositionSide, Side, Terms, TimeInForce, TriggerBy
from copydesk.planning import Hold, Wanted, as_market, child_terms, ratio_for, wanted
from copydesk.sizing import round_to
from copydesk.state import Account, Pair, ParentOrder, book_of
from copydesk.tracking import State
from harness.closed_loop import PARENT, SYMBOL, ClosedLoop, D, child, instrument
from msgspec.structs import replace

NO_TAKE_PROFIT = frozenset(OrderType) - {OrderType.TAKE_PROFIT_MARKET, OrderType.TAKE_PROFIT_LIMIT}


@pytest.mark.parametrize(
    ("type_", "own", "price"), [(OrderType.STOP_MARKET, None, "58996"), (OrderType.STOP_LIMIT, "58990.4", "58991")]
)
def test_the_twin_of_a_stop_rests_in_the_book_where_there_are_no_take_profits(type_, own, price):
    """At the price of the parent's order, else at its trigger, on the child's tick, and without a trigger of any kind."""
    desk = ClosedLoop((child("c1", k="-1"),), types=NO_TAKE_PROFIT).start()
    desk.sell("2")
    desk.settle()
    desk.copier.desk.instruments["paper", SYMBOL] = replace(desk.instrument, price_tick=D(1))
    desk.buy("2", type=OrderType.STOP_MARKET, trigger="61000", reduce_only=True)
    desk.settle()
    (limit,) = desk.working("c1")
    assert limit == Terms(
        symbol=SYMBOL, side=Side.SELL, type=OrderType.LIMIT, quantity=D(2), price=D(61000), reduce_only=True
    )
    desk = ClosedLoop((child("c1", k="-1"),), types=NO_TAKE_PROFIT).start()
    desk.buy("2")
    desk.settle()
    desk.copier.desk.instruments["paper", SYMBOL] = replace(desk.instrument, price_tick=D(1))
    more = {"price": own} if own is not None else {}
    desk.sell("2", type=type_, trigger="58995.6", trigger_by=TriggerBy.MARK, reduce_only=True, **more)
    desk.settle()
    (limit,) = desk.working("c1")
    assert (limit.type, limit.side, limit.trigger_by) == (OrderType.LIMIT, Side.BUY, TriggerBy.LAST)
    assert limit.price in (D(price), D(price) - 1), "the tick below or above"
    assert limit.trigger_price is None


def entry(type_: OrderType, price: str, quantity: str, side: Side = Side.BUY) -> Terms:
    at = D(price)
    stop = type_ is OrderType.STOP_MARKET
    return Terms(
        symbol=SYMBOL,
        side=side,
        type=type_,
        quantity=D(quantity),
        price=None if stop else at,
        trigger_price=at if stop else None,
    )


@pytest.mark.parametrize("held", [0, 2])
def test_two_orders_of_a_group_that_open_are_sized_by_one_ratio(held):
    """Whichever of the two comes first has no copy yet when the first is placed; both may turn the position round."""
    desk = ClosedLoop((child("c1", k="0.5"),), instrument=instrument("1"), oco=True).start()
    if held:
        desk.sell(str(held))
        desk.settle()
    desk.parent_places_group(entry(OrderType.LIMIT, "59000", "4"), entry(OrderType.STOP_MARKET, "61000", "4"))
    desk.settle()
    assert [terms.quantity for terms in desk.working("c1")] == [2, 2]
    desk.prices(D(61001))
    desk.settle()
    assert (desk.position(PARENT), desk.position("c1")) == (4 - held, D(4 - held) / 2)
    assert desk.working("c1") == []


@pytest.mark.parametrize(("age_s", "limit_s"), [(301, 300), (2, 1)])
def test_a_balance_that_is_too_old_is_told_with_its_age_and_the_limit(age_s, limit_s):
    rules = child("c1", balance_max_age_ms=limit_s * 1000 + 500)
    desk = ClosedLoop((rules,)).start()
    accounts = desk.copier.desk.accounts
    told = ratio_for(rules, accounts[PARENT], accounts["c1"], accounts["c1"].balance_ns + age_s * 1_000_000_000)
    assert told == f"the balance of c1 is {age_s} s old, older than the limit of {limit_s} s"


# --- the parts --------------------------------------------------------------------------------------------------------


def planned(
    terms: Terms,
    *,
    held: str = "0",
    status: OrderStatus = OrderStatus.NEW,
    ratios: dict[int, str] | None = None,
    rounding: str = "floor",
    **parent: Decimal,
) -> Wanted | Hold:
    """What a child whose ratios are so wants for an order of a parent that holds `held`."""
    rules = child("c1", k="1", rounding=rounding)
    desk = ClosedLoop((rules,), instrument=instrument("1")).start().copier.desk
    bot, book = desk.bots["bot"], book_of(terms)
    bot.book(book).position = D(held)
    link = bot.link(rules, book)
    link.ratios = {sign: D(ratio) for sign, ratio in (ratios or {}).items()}
    link.attributed = D(held) * (link.ratio(1) or 0)
    pair = Pair(parent=ParentOrder(order=Order(venue_id="1", terms=terms, status=status), **parent))
    link.pairs["1"] = pair
    return wanted(desk, bot, link, pair, desk.instruments["paper", SYMBOL])


@pytest.mark.parametrize(
    ("done", "hold"),
    [
        (
            {"filled": D(2), "told": D(2)},
            Hold("it was followed already, when the parent's position told of it", "inferred"),
        ),
        (
            {"filled": D(2), "ignored": D(2)},
            Hold("it only reduces what the parent held before the bot started", "below-baseline", final=True),
        ),
        ({"filled": D(2)}, Hold("the parent has nothing that it could reduce", "nothing-to-reduce")),
    ],
)
def test_an_order_that_neither_closes_nor_opens_asks_for_nothing(done, hold):
    assert planned(entry(OrderType.LIMIT, "59000", "2"), status=OrderStatus.FILLED, **done) == hold


@pytest.mark.parametrize(("side", "position_side"), [(Side.BUY, PositionSide.LONG), (Side.SELL, PositionSide.SHORT)])
@pytest.mark.parametrize("hedged", [False, True])
def test_what_opens_is_sized_by_the_ratio_of_the_side_that_it_opens(side, position_side, hedged):
    terms = entry(OrderType.LIMIT, "59000", "5", side)
    terms = replace(terms, position_side=position_side if hedged else PositionSide.NET)
    want = planned(terms, ratios={1: "2", -1: "3"})
    size = D(10) if side is Side.BUY else D(15)
    assert want == Wanted(replace(terms, quantity=size), exit=False, opening=size)


@pytest.mark.parametrize(("side", "held", "size", "opening"), [(Side.SELL, "1", 14, 12), (Side.BUY, "-1", 10, 8)])
def test_a_flip_closes_by_the_ratio_of_one_side_and_opens_by_that_of_the_other(side, held, size, opening):
    want = planned(entry(OrderType.LIMIT, "59000", "5", side), held=held, ratios={1: "2", -1: "3"})
    assert isinstance(want, Wanted)
    assert (want.terms.quantity, want.opening, want.exit) == (size, opening, False)


def test_too_little_is_told_as_people_write_numbers():
    want = planned(entry(OrderType.LIMIT, "59000", "0.500"), ratios={1: "1"})
    assert want == Hold("0.5 of step 1", "rounded-to-nothing")


@pytest.mark.parametrize("rounding", ["floor", "nearest", "min_one"])
@pytest.mark.parametrize("k", ["0.5", "0.3", "0.7"])
def test_an_exit_brings_the_child_to_its_rounded_share_by_itself(rounding, k):
    """No correction has to do what the copy should have done."""
    desk = ClosedLoop((child("c1", k=k, rounding=rounding),), instrument=instrument("1")).start()
    desk.buy("9")
    desk.settle()
    for left in (8, 5, 4, 3, 1):
        desk.sell(str(desk.position(PARENT) - left))
        desk.settle()
        assert desk.position("c1") == round_to(D(k) * left, D(1), rounding)
    assert not [intent for intent in desk.intents if isinstance(intent, Place) and intent.why == "trim"]


@pytest.mark.parametrize(
    ("type_", "k", "triggered", "waits", "becomes"),
    [
        (OrderType.STOP_MARKET, 1, False, False, OrderType.STOP_MARKET),
        (OrderType.STOP_MARKET, 1, True, False, OrderType.MARKET),
        (OrderType.STOP_MARKET, 1, True, True, OrderType.STOP_MARKET),
        (OrderType.STOP_LIMIT, 1, True, False, OrderType.LIMIT),
        (OrderType.TAKE_PROFIT_MARKET, 1, True, False, OrderType.MARKET),
        (OrderType.TAKE_PROFIT_LIMIT, 1, True, False, OrderType.LIMIT),
        (OrderType.TRAILING_STOP, 1, True, False, OrderType.MARKET),
        (OrderType.TRAILING_STOP, 1, False, False, OrderType.TRAILING_STOP),
        (OrderType.LIMIT, 1, True, False, OrderType.LIMIT),
        (OrderType.MARKET, 1, True, False, OrderType.MARKET),
        (OrderType.STOP_MARKET, -1, False, False, OrderType.TAKE_PROFIT_MARKET),
        (OrderType.STOP_LIMIT, -1, False, False, OrderType.TAKE_PROFIT_LIMIT),
        (OrderType.TAKE_PROFIT_MARKET, -1, False, False, OrderType.STOP_MARKET),
        (OrderType.TAKE_PROFIT_LIMIT, -1, False, False, OrderType.STOP_LIMIT),
        (OrderType.TRAILING_STOP, -1, False, False, OrderType.TRAILING_STOP),
        (OrderType.STOP_LIMIT, -1, True, False, OrderType.LIMIT),
        (OrderType.LIMIT, -1, False, False, OrderType.LIMIT),
    ],
)
@pytest.mark.parametrize("book", PositionSide)
def test_the_terms_of_a_copy_are_the_parents_but_for_size_and_side(type_, k, triggered, waits, becomes, book):
    terms = Terms(
        symbol=SYMBOL,
        side=Side.BUY,
        type=type_,
        quantity=D(7),
        price=D("100.55"),
        trigger_price=D("99.95"),
        trigger_by=TriggerBy.MARK,
        trail_percent=D(2),
        time_in_force=TimeInForce.IOC,
        post_only=True,
        position_side=book,
        native="theirs",
        close_position=True,
    )
    parent = Order(venue_id="1", terms=terms, status=OrderStatus.NEW, triggered=triggered)
    twin = {PositionSide.LONG: PositionSide.SHORT, PositionSide.SHORT: PositionSide.LONG}.get(book, book)
    assert child_terms(parent, D(3), D(k), instrument(tick="0.1"), reduce_only=True, waits=waits) == Terms(
        symbol=SYMBOL,
        side=Side.BUY if k > 0 else Side.SELL,
        type=becomes,
        quantity=D(3),
        price=(D("100.5") if k > 0 else D("100.6")) if becomes.has_price else None,
        trigger_price=D("99.95") if becomes.is_conditional else None,
        trigger_by=TriggerBy.MARK if becomes.is_conditional else TriggerBy.LAST,
        trail_percent=D(2) if becomes is OrderType.TRAILING_STOP else None,
        time_in_force=TimeInForce.IOC,
        post_only=True,
        reduce_only=True,
        position_side=book if k > 0 else twin,
        native="theirs",
    )
    market = as_market(terms)
    assert market == Terms(
        symbol=SYMBOL,
        side=Side.BUY,
        type=OrderType.MARKET,
        quantity=D(7),
        trigger_by=TriggerBy.MARK,
        position_side=book,
        close_position=True,
    )


BALANCE = Balance(currency="USDT", cash=D(100), equity=D(200), available=D(50))


@pytest.mark.parametrize(
    ("rules", "ratio"),
    [
        ({"k": "-2"}, "-2"),
        ({"percent": "50"}, "0.25"),
        ({"percent": "100", "basis": "cash"}, "0.5"),
        ({"percent": "100", "basis": "available"}, "0.25"),
        ({"percent": "100", "basis": "fixed", "fixed_balance": D(300)}, "0.75"),
    ],
)
def test_the_ratio_by_the_rules(rules, ratio):
    parent = Account(key="parent", balance=replace(BALANCE, equity=D(400), cash=D(200), available=D(200)))
    found = ratio_for(child("c1", **rules), parent, Account(key="c1", balance=BALANCE), 0)
    assert found == D(ratio)


@pytest.mark.parametrize(
    ("balance", "theirs", "why"),
    [
        (None, BALANCE, "the balance of c1 is not known"),
        (None, None, "the balance of c1 is not known"),
        (BALANCE, None, "the balance of parent is not known"),
        (replace(BALANCE, equity=D(0)), BALANCE, "the balance of c1 is 0 USDT, which is not positive"),
        (BALANCE, replace(BALANCE, equity=D(-1)), "the balance of parent is -1 USDT, which is not positive"),
    ],
)
def test_why_there_is_no_ratio(balance, theirs, why):
    accounts = Account(key="parent", balance=theirs), Account(key="c1", balance=balance)
    assert ratio_for(child("c1"), *accounts, 0) == why


@pytest.mark.parametrize(("age_ms", "old"), [(120_000, False), (120_001, True)])
def test_a_balance_may_be_as_old_as_the_limit(age_ms, old):
    accounts = Account(key="parent", balance=BALANCE), Account(key="c1", balance=BALANCE)
    assert isinstance(ratio_for(child("c1"), *accounts, age_ms * 1_000_000), str) is old


@pytest.mark.parametrize(
    ("status", "brought", "kind"),
    [
        (OrderStatus.NEW, False, "waits-for-fill"),
        (OrderStatus.NEW, True, "waits-for-fill"),
        (OrderStatus.FILLED, True, "waits-for-fill"),
        (OrderStatus.FILLED, False, "nothing-to-reduce"),
    ],
)
def test_an_exit_waits_for_what_may_still_come(status, brought, kind):
    """The child holds nothing: its own order for the parent's entry rests, or there is none."""
    desk = ClosedLoop((child("c1", k="1"),), instrument=instrument("1")).start()
    bid = desk.buy("2", price="59000")
    desk.settle()
    known = desk.copier.desk
    bot = known.bots["bot"]
    (link,) = bot.links.values()
    (entering,) = link.pairs.values()
    if not brought:
        entering.orders[0].state = State.CANCELLED
    bot.books[link.book].position = D(2)
    terms = replace(bid.terms, side=Side.SELL, price=D(61_000), reduce_only=True)
    done = {"filled": D(2), "closed": D(2)} if status is OrderStatus.FILLED else {}
    pair = link.pairs["2"] = Pair(parent=ParentOrder(order=Order(venue_id="2", terms=terms, status=status), **done))
    want = wanted(known, bot, link, pair, known.instruments["paper", SYMBOL])
    assert isinstance(want, Hold)
    assert (want.kind, want.final) == (kind, False)


@pytest.mark.parametrize(
    ("attributed", "k", "want"),
    [("1", "2", (1, True, 0, CLOSE)), ("0", "2", (8, False, 8, COPY)), ("0", "0.1", "rounded-to-nothing")],
)
def test_where_the_venue_does_not_net_a_flip_closes_first_and_opens_then(attributed, k, want):
    desk = ClosedLoop((child("c1", k=k),), instrument=instrument("1"), nets=False).start()
    known = desk.copier.desk
    bot = known.bots["bot"]
    terms = entry(OrderType.LIMIT, "61000", "5", Side.SELL)
    bot.book(book_of(terms)).position = D(1)
    link = bot.link(desk.children[0], book_of(terms))
    link.ratios, link.attributed = {1: D(k), -1: D(k)}, D(attributed)
    pair = link.pairs["1"] = Pair(parent=ParentOrder(order=Order(venue_id="1", terms=terms, status=OrderStatus.NEW)))
    found = wanted(known, bot, link, pair, known.instruments["paper", SYMBOL])
    if isinstance(found, Hold):
        assert found == Hold("too little to open", want)
        return
    size, exits, opening, leg = want
    closes = replace(terms, quantity=D(size), reduce_only=exits)
    assert found == Wanted(closes, exit=exits, opening=D(opening), leg=leg)


def test_a_flip_that_has_ended_closes_and_opens_what_it_did():
    terms = entry(OrderType.LIMIT, "61000", "5", Side.SELL)
    done = {"filled": D(5), "closed": D(1), "opened": D(4)}
    want = planned(terms, held="1", status=OrderStatus.FILLED, ratios={1: "2", -1: "2"}, **done)
    assert isinstance(want, Wanted)
    assert (want.exit, want.opening) == (False, 8)
