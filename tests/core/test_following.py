"""How one pair is followed, part by part: what counts as missing, what as the same order, and why one is left or let go."""

from __future__ import annotations

from typing import Any

import pytest
from copydesk import following, settling, unfilled
from copydesk.inputs import BotRules
from copydesk.model import (
    Capabilities,
    Order,
    OrderEvent,
    OrderStatus,
    OrderType,
    Position,
    PositionSide,
    Scope,
    Side,
    Snapshot,
    Terms,
)
from copydesk.planning import Wanted
from copydesk.sending import Run
from copydesk.state import Bot, ChildOrder, Desk, Executed, Link, Pair, ParentBook, ParentOrder
from copydesk.tracking import State
from copydesk.verifying import is_unverified
from harness.closed_loop import KIND, PARENT, SYMBOL, ClosedLoop, D, child, instrument
from msgspec.structs import replace

BUY, SELL = Side.BUY, Side.SELL
MARKET, LIMIT, STOP, TRAILING = OrderType.MARKET, OrderType.LIMIT, OrderType.STOP_MARKET, OrderType.TRAILING_STOP
BOOK = (SYMBOL, PositionSide.NET)
ONE = instrument("0.1")


def terms(side: Side = BUY, quantity: str = "2", type_: OrderType = LIMIT, **more: Any) -> Terms:
    price = {"price": D(60_000)} if type_.has_price else {}
    return Terms(symbol=SYMBOL, side=side, type=type_, quantity=D(quantity), **{**price, **more})


def copied(given: Terms, filled: str = "0", state: State = State.WORKING, **more: Any) -> ChildOrder:
    more.setdefault("op", None)
    return ChildOrder(client_id="x", account="c1", terms=given, cause="p", filled=D(filled), state=state, **more)


def pair(side: Side, quantity: str, filled: str, *orders: ChildOrder, live: bool = False, **more: Any) -> Pair:
    status = OrderStatus.PARTIALLY_FILLED if live else OrderStatus.FILLED
    order = Order(venue_id="p", terms=terms(side, quantity), status=status, filled=D(filled), created_ms=1, updated_ms=1)
    parent = ParentOrder(order=order, filled=D(filled), opened=D(filled))
    return Pair(parent=parent, orders=list(orders), **more)


def standing(followed: str, attributed: str, *pairs: Pair) -> tuple[Bot, Link]:
    rules = child("c1", k="1")
    bot = Bot(rules=BotRules(name="bot", kind=KIND, parent=PARENT, children=(rules,)), working=True)
    bot.books[BOOK] = ParentBook(position=D(followed))
    link = bot.link(rules, BOOK)
    link.ratios, link.attributed = {1: D(1), -1: D(1)}, D(attributed)
    link.pairs = {str(number): one for number, one in enumerate(pairs)}
    return bot, link


def resting(side: Side, left: str, **more: Any) -> Pair:
    """The parent's order has filled, and so much of the child's copy rests."""
    return pair(side, left, left, copied(terms(side, left)), **more)


# --- how much is missing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_missing_is_shared_by_those_that_rest_and_the_youngest_gives_way(sign: int):
    side, other = (BUY, SELL) if sign > 0 else (SELL, BUY)
    older = resting(side, "0.3"), resting(side, "0.2")
    mine, younger, against = resting(side, "9"), resting(side, "0.1"), resting(other, "0.2")
    bot, link = standing(str(sign), str(sign * D("0.2")), *older, mine, younger, against)
    given = terms(side, "9")
    assert following._shortfall(bot, link, mine, given, ONE) == D("0.4")  # 0.8 less 0.6, and 0.2 more
    assert following._share_of_shortfall(bot, link, mine, given, ONE) == D("0.5")
    younger.parent.order = replace(younger.parent.order, status=OrderStatus.NEW)
    younger.orders[0].state = State.FILLED
    assert following._share_of_shortfall(bot, link, younger, given, ONE) == 0, "those before it bring more than enough"
    link.corrections = [
        copied(terms(side, "0.3"), "0.1"),
        copied(terms(side, "5"), enforces=True),
        copied(terms(side, "5"), state=State.CANCELLED),
    ]
    assert following._corrected(link) == sign * D("0.2")
    assert following._share_of_shortfall(bot, link, mine, given, ONE) == D("0.3")
    assert following._share_of_shortfall(bot, link, mine, terms(other, "9"), ONE) == 0


@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_left_to_close_is_what_no_other_market_order_closes(sign: int):
    side, other = (SELL, BUY) if sign > 0 else (BUY, SELL)
    mine = pair(side, "9", "9", copied(terms(side, "4", MARKET)))
    link = standing("0", str(sign))[1]
    link.pairs = {
        "mine": mine,
        "same": pair(side, "9", "9", copied(terms(side, "0.5", MARKET), "0.2")),
        "resting": pair(side, "9", "9", copied(terms(side, "5"))),
        "other": pair(other, "9", "9", copied(terms(other, "5", MARKET))),
        "ended": pair(side, "9", "9", copied(terms(side, "5", MARKET), state=State.EXPIRED)),
    }
    link.corrections = [copied(terms(side, "0.1", MARKET))]
    assert following._left_to_close(link, mine, terms(side, "9", MARKET)) == D("0.6")


@pytest.mark.parametrize(
    ("side", "live", "state", "contested"),
    [
        (SELL, False, State.WORKING, True),
        (SELL, True, State.WORKING, False),
        (SELL, False, State.CANCELLED, False),
        (SELL, True, State.CANCELLED, False),
        (BUY, False, State.WORKING, False),
    ],
)
def test_a_side_is_contested_while_an_order_of_the_other_one_may_fill(side, live, state, contested):
    mine = pair(BUY, "2", "2", copied(terms()))
    link = standing("0", "0", mine, pair(side, "2", "1", copied(terms(side), state=state), live=live))[1]
    assert following._is_contested(link, mine) is contested


@pytest.mark.parametrize(
    ("live", "lasting", "is_exit", "hurried", "why"),
    [
        (True, False, False, True, "unfilled"),
        (False, False, True, True, "unfilled"),
        (True, False, True, False, "exit"),
        (False, True, True, False, "exit"),
        (False, False, True, False, "catch-up"),
        (False, True, False, False, "catch-up"),
        (True, False, False, False, "entry"),
    ],
)
def test_why_an_order_is_sent(live, lasting, is_exit, hurried, why):
    one = pair(BUY, "2", "1", live=live)
    want = Wanted(terms=terms(), leg="c", exit=is_exit, opening=D(0))
    assert following._why(one, want, lasting=lasting, hurried=hurried) == why
    if why == "catch-up":
        one.parent = Executed(one.parent)
        assert following._why(one, want, lasting=lasting, hurried=hurried) == "executed"


# --- what is the same order, and what can be made of it ---------------------------------------------------------------

PLAIN = terms(SELL, "2", reduce_only=True)
MOVED = {
    "quantity": D(1), "price": D(1), "trigger_price": D(1), "trail_percent": D(1), "native": {"a": "b"},
    "reduce_only": False, "side": BUY, "type": STOP,
}  # fmt: skip


@pytest.mark.parametrize("name", MOVED)
def test_one_thing_that_copying_moves_makes_another_order(name: str):
    assert following._same(PLAIN, PLAIN)
    assert not following._same(PLAIN, replace(PLAIN, **{name: MOVED[name]}))
    assert following._same(PLAIN, replace(PLAIN, post_only=True))


@pytest.mark.parametrize("name", MOVED)
@pytest.mark.parametrize("only", [True, False])
def test_price_and_quantity_can_be_amended_the_rest_where_the_venue_says_so(name: str, only: bool):
    trigger = name in ("trigger_price", "trail_percent", "native")
    expected = name in ("quantity", "price") or (trigger and not only)
    assert following._amendable(replace(PLAIN, **{name: MOVED[name]}), PLAIN, only) is expected


@pytest.mark.parametrize(
    ("new", "shrink", "amend", "shrinks"),
    [
        ({"quantity": D(1)}, True, False, True),
        ({"quantity": D(1)}, True, True, False),
        ({"quantity": D(1)}, False, False, False),
        ({"quantity": D(3)}, True, False, False),
        ({}, True, False, False),
        ({"quantity": D(1), "price": D(1)}, True, False, False),
    ],
)
def test_an_order_may_only_become_smaller(new, shrink, amend, shrinks):
    some = frozenset({LIMIT})
    can = Capabilities(shrink=some if shrink else frozenset(), amend=some if amend else frozenset())
    assert following._only_shrinks(replace(PLAIN, **new), copied(PLAIN), can) is shrinks


@pytest.mark.parametrize(
    ("changed", "clamped"),
    [
        ("", True),
        ("not reduce-only", False),
        ("larger", False),
        ("same size", False),
        ("price", False),
        ("not all", False),
        ("foreign", False),
    ],
)
def test_a_reduce_only_order_that_closes_all_is_made_smaller_by_the_venue(changed, clamped):
    old = replace(PLAIN, reduce_only=changed != "not reduce-only")
    size = {"larger": "2.5", "same size": "2"}.get(changed, "1.5")
    new = replace(old, quantity=D(size), price=D(1) if changed == "price" else old.price)
    mine = pair(SELL, "1" if changed == "not all" else "2", "0", copied(old), live=True)
    bot, link = standing("2", "1.5", mine)
    run = Run(desk=Desk(), due=[])
    if changed == "foreign":
        link.foreign = D("0.5")
        run.desk.account("c1").positions[BOOK] = Position(symbol=SYMBOL, quantity=D(2), position_side=BOOK[1])
    assert following._is_clamped(run, bot, link, mine, new) is clamped


# --- small questions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_exit", [True, False])
@pytest.mark.parametrize("held", ["0.5", "0", "-0.5"])
def test_6_what_closes_goes_by_the_rules_of_an_exit(is_exit: bool, held: str):
    one = pair(SELL, "2", "0", live=True)
    link = standing("1", held, one)[1]
    closes = is_exit or held == "0.5"
    assert unfilled.reduces(link, one, is_exit=is_exit) is closes
    expected = link.child.unfilled_exit if closes else link.child.unfilled_entry
    assert unfilled.policy(link, one, is_exit=is_exit) == expected


@pytest.mark.parametrize(
    ("changed", "unverified"),
    [
        ({}, True),
        ({"state": State.EXPIRED}, False),
        ({"cancelled_for": ""}, False),
        ({"exit": False}, False),
        ({"terms": PLAIN}, False),
        ({"verified": True}, False),
        ({"asked_for": 5}, True),
        ({"asked_for": 6}, False),
    ],
)
def test_11_what_has_to_be_confirmed_is_a_protective_order_that_was_cancelled(changed, unverified):
    stop = terms(SELL, "2", STOP, trigger_price=D(1), reduce_only=True)
    order = copied(stop, state=State.CANCELLED, cancelled_for="parent", exit=True)
    for name, value in changed.items():
        setattr(order, name, value)
    assert is_unverified(order) is unverified


@pytest.mark.parametrize("state", [State.WAITING, State.MISSING])
def test_what_is_given_up_is_not_sent_again(state: State):
    one = pair(BUY, "2", "0", copied(terms(), state=state))
    following._give_up(one, "done")
    assert (one.closed, one.orders[0].state) == ("done", State.REJECTED)
    standing_order = pair(BUY, "2", "1", copied(terms()))
    following._give_up(standing_order, "done")
    assert (standing_order.orders[0].state, standing_order.seen) == (State.WORKING, 1)


@pytest.mark.parametrize("type_", [MARKET, LIMIT])
def test_13_what_a_bot_that_winds_down_does_not_open_is_over_with_the_parents_order(type_: OrderType):
    desk = ClosedLoop((child("c1", k="1"),), instrument=ONE).start()
    bot = desk.copier.desk.bots["bot"]
    desk.buy("1")
    desk.settle()
    bot.winding = True
    order = desk.buy("1", type=type_, price=None if type_ is MARKET else "59000")
    desk.settle()
    (link,) = bot.links.values()
    found = {**link.pairs, **link.ended}[order.venue_id]
    assert (found.waiting, found.orders) == ("winding-down", [])
    assert found.closed == ("winding-down" if type_ is MARKET else "")


def test_how_large_an_order_should_be_that_turned_into_an_entry_may_not_be_known():
    """The exit that rests opens by now, for another one has closed; how large it may be nobody can tell: it goes."""
    desk = ClosedLoop((child("c1", percent="100"),), instrument=ONE, price=D(100)).start()
    desk.buy("1")
    desk.settle()
    desk.sell("1", price="110")
    desk.settle()
    desk.pass_time(3_600_000)
    desk.sell("1")
    for _ in range(3):
        desk.reports = [report for report in desk.reports if isinstance(report.event, OrderEvent)]
        desk.deliver()
        desk.carry_out()
    assert (desk.position("c1"), desk.working("c1")) == (0, [])


def test_strangers_are_remembered_up_to_a_bound(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(settling, "STRANGERS_KEPT", 2)
    run = Run(desk=Desk(), due=[])
    for numbers in ("a", "ab", "abc"):
        orders = tuple(
            Order(venue_id=n, client_id=f"cdk-{n}", terms=terms(), status=OrderStatus.NEW, filled=D(0)) for n in numbers
        )
        settling.tell_of_strangers(run, "c1", Snapshot(account="c1", scope=Scope.ACCOUNT, time_ms=1, orders=orders))
    assert [note.data["orders"] for note in run.decisions] == [["cdk-a"], ["cdk-b"], ["cdk-c"]]
    assert list(run.desk.strangers) == [("c1", "cdk-b"), ("c1", "cdk-c")]
