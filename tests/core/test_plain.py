"""Short cuts: taken where nothing else is to be looked at, and nowhere else. That they come to the same is proven by every
scenario and every made-up story, which are replayed without them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from copydesk import plain
from copydesk.inputs import Cancel, Filters, InstrumentSeen, Limits, LimitSet, Place, Reported
from copydesk.model import BudgetScope, Costs, NewOrder, OrderEvent, OrderStatus, OrderType, PositionSide
from copydesk.sending import Run
from copydesk.state import Bot, ChildOrder, Link, Op, Pair, ParentOrder, Tracked
from copydesk.tracking import State
from harness.closed_loop import PARENT, SYMBOL, ClosedLoop, D, child
from msgspec.structs import replace


def told(desk: ClosedLoop) -> Reported:
    """The latest report of an order of the parent, which the engine has not heard yet."""
    return [one for one in desk.reports if one.account == PARENT and isinstance(one.event, OrderEvent)][-1]


def found(desk: ClosedLoop) -> dict[str, NewOrder]:
    return dict(desk.copier.begin(told(desk)))


def loop(*children: Any, **more: Any) -> ClosedLoop:
    return ClosedLoop(children or (child("c1", k="0.5"), child("c2", percent="50")), **more).start()


def test_what_is_found_at_a_glance_is_what_is_decided():
    desk = loop()
    desk.buy("0.2", price=D(59_000))
    begun = found(desk)
    assert set(begun) == {"c1", "c2"}
    desk.deliver()
    assert {intent.account: intent.order for intent in desk.intents if isinstance(intent, Place)} == begun


def test_looking_changes_nothing():
    desk, other = loop(), loop()
    for one in (desk, other):
        one.buy("0.2", price=D(59_000))
    for _ in range(3):
        found(desk)
    assert desk.copier.desk.bots == other.copier.desk.bots
    assert desk.copier.desk.windows == other.copier.desk.windows


def test_it_is_taken_for_the_whole_life_of_an_entry_that_never_fills(monkeypatch: pytest.MonkeyPatch):
    taken: dict[str, list[bool]] = {}

    def counted(name: str) -> None:
        whole = getattr(plain, name)

        def take(*given: Any) -> bool:
            taken.setdefault(name, []).append(whole(*given))
            return bool(taken[name][-1])

        monkeypatch.setattr(plain, name, take)

    for name in ("accepted", "echoed", "withdrawn"):
        counted(name)
    desk = loop()
    order = desk.buy("0.2", price=D(59_000))
    desk.settle()
    assert (taken["accepted"], taken["echoed"]) == ([True, True], [True, True])
    desk.cancel(order)
    desk.settle()
    assert taken["withdrawn"] == [True, True]
    assert not desk.working("c1")
    assert not desk.working("c2")


CLOSE_ONLY = child("c1", k="1", limits=Limits(max_order=D(5)))
EXCEPTED = {
    "a limit of the child's": CLOSE_ONLY,
    "a filter of the child's": child("c1", k="1", filters=Filters(exclude=("ETH*",))),
    "a child that waits for fills": child("c1", k="1", trigger="on_fill"),
    "too little for the venue": child("c1", k="0.0001"),
}


@pytest.mark.parametrize("rules", EXCEPTED.values(), ids=EXCEPTED.keys())
def test_a_child_with_something_to_look_at_is_left_to_the_general_engine(rules: Any):
    desk = loop(rules, child("c2", k="1"))
    desk.buy("0.2", price=D(59_000))
    assert set(found(desk)) == {"c2"}


def test_a_child_that_may_not_open_or_cannot_be_reached_is_left_out():
    desk = loop(child("c1", k="1"), child("c2", k="1"), child("c3", k="1"))
    desk.feed(LimitSet(at_ns=desk.now_ns, account="c1", state="close_only"))
    desk.disconnect("c2")
    desk.buy("0.2", price=D(59_000))
    assert set(found(desk)) == {"c3"}


def test_what_closes_or_turns_is_left_to_the_general_engine():
    desk = loop()
    desk.buy("0.2")
    desk.settle()
    desk.sell("0.1", price=D(61_000))
    assert not found(desk)
    desk.deliver()
    desk.sell("0.4", type=OrderType.MARKET)
    assert not found(desk)


def test_more_of_the_same_side_carries_the_residue_along():
    desk = loop(child("c1", k="0.33"))
    for _ in range(3):
        desk.buy("0.001", price=D(59_000))
        desk.settle()
    desk.buy("0.001", price=D(59_000))
    (order,) = found(desk).values()
    assert order.terms.quantity == D("0.001")


def test_a_copy_of_ones_own_is_none():
    desk = loop()
    desk.exchange.place(PARENT, desk.buy("0.2", price=D(59_000)).terms, "cdk-abcdefghijklmnopqrst-c0")
    assert not found(desk)


@pytest.mark.parametrize(("scope", "fit"), [(BudgetScope.ACCOUNT, 3), (BudgetScope.MACHINE, 2)])
def test_no_more_is_found_than_the_budget_allows(scope: BudgetScope, fit: int):
    budget = {"requests_per_minute": 10, "costs": Costs(place=3, account=0, symbols=0), "requests_scope": scope}
    desk = loop(*(child(f"c{number}", k="1") for number in range(3)), budget=budget)
    desk.buy("0.2", price=D(59_000))
    assert len(found(desk)) == fit
    desk.deliver()
    assert sum(isinstance(intent, Place) for intent in desk.intents) == fit


def test_a_dragged_order_is_looked_at_once_the_one_under_way_is_settled(monkeypatch: pytest.MonkeyPatch):
    waited: list[bool] = []
    whole = plain.waits

    def waits(link: Link, pair: Pair) -> bool:
        waited.append(whole(link, pair))
        return waited[-1]

    monkeypatch.setattr(plain, "waits", waits)
    desk = loop()
    order = desk.buy("0.2", price=D(59_000))
    desk.settle()
    for price in (59_010, 59_020, 59_030):
        desk.amend(order, price=D(price))
        desk.deliver()
    assert waited == [False, False, True, True, True, True]
    desk.settle()
    assert [terms.price for name in ("c1", "c2") for terms in desk.working(name)] == [D(59_030)] * 2
    sent = [intent for intent in desk.intents if intent.account == "c1"]
    assert len(sent) == 3, "the entry, the first price, the newest"


IN_THE_WAY: dict[str, Callable[[Link], Any]] = {
    "in a person's hands": lambda link: setattr(link, "detached", 1),
    "corrected": lambda link: link.corrections.append(link.orders[0]),
    "a fee held back": lambda link: setattr(link, "held_back", D("0.1")),
    "held on the other side": lambda link: setattr(link, "attributed", D(-1)),
    "an order that has ended": lambda link: [
        setattr(pair, "parent", ParentOrder(order=replace(pair.parent.order, status=OrderStatus.CANCELLED)))
        for pair in link.pairs.values()
    ],
}


@pytest.mark.parametrize("change", IN_THE_WAY.values(), ids=IN_THE_WAY.keys())
def test_a_child_with_something_in_the_way_is_left_to_the_general_engine(change: Callable[[Link], Any]):
    desk = loop(child("c1", k="1"), child("c2", k="1"))
    desk.buy("0.2", price=D(59_000))
    desk.settle()
    change(bot_of(desk).links["c1", (SYMBOL, PositionSide.NET)])
    desk.buy("0.2", price=D(58_000))
    assert set(found(desk)) == {"c2"}


@pytest.mark.parametrize("which", ["requests", "orders"])
@pytest.mark.parametrize(("used", "fits"), [(69, True), (70, False)])
def test_an_entry_uses_its_part_of_a_limit_and_no_more(which: str, used: int, fits: bool):
    budget = {"requests_per_minute": 100, "orders_per_second": 100, "costs": Costs(account=0, symbols=0)}
    desk = loop(child("c1", k="1"), budget={**budget, "requests_scope": BudgetScope.ACCOUNT})
    desk.buy("0.2", price=D(59_000))
    getattr(desk.copier.desk.purses["c1"], which).spend(told(desk).at_ns, used)
    assert set(found(desk)) == ({"c1"} if fits else set())


def test_two_children_that_share_a_window_share_what_it_has():
    budget = {"requests_per_minute": 10, "costs": Costs(place=4, account=0, symbols=0)}
    rules = (child("one/a", k="1"), child("one/b", k="1"))
    desk = loop(*rules, budget={**budget, "requests_scope": BudgetScope.CONNECTION})
    desk.buy("0.2", price=D(59_000))
    assert set(found(desk)) == {"one/a"}


@pytest.mark.parametrize(
    ("op", "states", "held", "closed", "waits"),
    [
        (Op.PLACE, [State.SENDING], "0", "", True),
        (Op.MODIFY, [State.WORKING], "0", "", True),
        (None, [State.WORKING], "0", "", False),
        (Op.LOOK_UP, [State.CANCELLED], "0", "", False),
        (Op.MODIFY, [State.WORKING], "0", "capped", False),
        (Op.PLACE, [State.WORKING, State.SENDING], "1", "", True),
        (Op.PLACE, [State.WORKING, State.SENDING], "0", "", False),
        (Op.MODIFY, [State.WORKING, State.WORKING], "1", "", False),
    ],
)
def test_what_a_dragged_order_waits_for(op: Op | None, states: list[State], held: str, closed: str, waits: bool):
    desk = loop(child("c1", k="1"))
    desk.buy("0.2", price=D(59_000))
    desk.settle()
    (link,) = bot_of(desk).links.values()
    (pair,) = link.pairs.values()
    (order,) = pair.orders
    pair.orders = [replace_state(order, state) for state in states]
    pair.orders[-1].op, pair.closed, link.attributed = op, closed, D(held)
    assert plain.waits(link, pair) is waits
    pair.orders = []
    assert not plain.waits(link, pair)


def replace_state(order: ChildOrder, state: State) -> ChildOrder:
    return dataclasses.replace(order, state=state, op=None)


# --- what makes an entry that stands no plain one any more ------------------------------------------------------------


def correct(desk: ClosedLoop, link: Link, pair: Pair) -> None:
    link.corrections.append(pair.orders[0])


def other_pair(desk: ClosedLoop, link: Link, pair: Pair) -> None:
    link.pairs["other"] = Pair(parent=pair.parent)


def other_order(desk: ClosedLoop, link: Link, pair: Pair) -> None:
    pair.orders.insert(0, pair.orders[0])


def bot_of(desk: ClosedLoop) -> Bot:
    return desk.copier.desk.bots["bot"]


SPOILT: dict[str, Callable[[ClosedLoop, Link, Pair], Any]] = {
    "another pair": other_pair,
    "an order before": other_order,
    "asked to change": lambda desk, link, pair: setattr(pair.orders[0], "asked", pair.orders[0].terms),
    "filled": lambda desk, link, pair: setattr(pair.orders[0], "filled", D("0.1")),
    "over": lambda desk, link, pair: setattr(pair, "closed", "capped"),
    "held": lambda desk, link, pair: setattr(link, "attributed", D(1)),
    "corrected": correct,
    "let go of": lambda desk, link, pair: setattr(link, "detached", 1),
    "without a stop": lambda desk, link, pair: setattr(link, "naked_since_ns", 1),
    "off its target": lambda desk, link, pair: setattr(link, "since_ns", 1),
    "a fee held back": lambda desk, link, pair: setattr(link, "held_back", D("0.1")),
    "stopped": lambda desk, link, pair: setattr(bot_of(desk), "working", False),
    "winding": lambda desk, link, pair: setattr(bot_of(desk), "winding", True),
    "ending": lambda desk, link, pair: setattr(bot_of(desk), "ending", "flatten"),
    "silent": lambda desk, link, pair: setattr(bot_of(desk), "silent", "hold"),
    "not plain from the beginning": lambda desk, link, pair: setattr(pair, "agreed", None),
    "the parent moved": lambda desk, link, pair: setattr(bot_of(desk).books[link.book], "moves", 7),
    "the parent holds": lambda desk, link, pair: setattr(bot_of(desk).books[link.book], "position", D(1)),
    "other rules": lambda desk, link, pair: setattr(link, "child", replace(link.child)),
    "another instrument": lambda desk, link, pair: desk.feed(
        InstrumentSeen(at_ns=desk.now_ns, kind="paper", instrument=replace(desk.instrument))
    ),
    "close only": lambda desk, link, pair: setattr(desk.copier.desk.account("c1").trading, "state", "close_only"),
    "being changed": lambda desk, link, pair: setattr(pair.orders[0], "op", Op.MODIFY),
    "uncertain": lambda desk, link, pair: setattr(pair.orders[0], "state", State.UNKNOWN),
}


@pytest.mark.parametrize("spoil", [None, *SPOILT.values()], ids=["as it was", *SPOILT])
def test_an_entry_is_left_to_the_general_engine_once_something_else_is_to_be_seen(spoil):
    desk = loop(child("c1", k="1"))
    order = desk.buy("0.2", price=D(59_000))
    desk.settle()
    (link,) = bot_of(desk).links.values()
    (pair,) = link.pairs.values()
    tracked = Tracked(bot_of(desk), link, pair, pair.orders[0])
    copy_told = next(one for one in desk.exchange.open_orders("c1"))
    if spoil is not None:
        spoil(desk, link, pair)
    run = Run(desk.copier.desk, [], desk.now_ns)
    assert plain.echoed(run, tracked, copy_told) is (spoil is None)
    pair.parent.order = replace(pair.parent.order, status=OrderStatus.CANCELLED)
    if pair.agreed is not None:
        pair.agreed = (pair.parent.order, *pair.agreed[1:])
    assert plain.withdrawn(run, bot_of(desk), link, pair) is (spoil is None)
    if spoil is None:
        (sent,) = run.decisions
        assert isinstance(sent, Cancel)
        assert (sent.why, pair.orders[0].cancelled_for) == ("the parent's order has ended", "parent")
    assert order.terms.quantity == D("0.2")


def test_an_entry_of_a_child_that_is_away_or_whose_parents_has_filled_is_not_simply_withdrawn():
    for spoil in ("away", "filled", "working"):
        desk = loop(child("c1", k="1"))
        desk.buy("0.2", price=D(59_000))
        desk.settle()
        (link,) = bot_of(desk).links.values()
        (pair,) = link.pairs.values()
        if spoil != "working":
            pair.parent.order = replace(pair.parent.order, status=OrderStatus.CANCELLED)
        if spoil == "away":
            desk.copier.desk.account("c1").connected = False
        if spoil == "filled":
            pair.parent.filled = D("0.1")
        assert not plain.withdrawn(Run(desk.copier.desk, [], desk.now_ns), bot_of(desk), link, pair)


def test_what_fits_the_budget_exactly_is_found_and_a_window_that_is_shared_counts_all():
    budget = {"requests_per_minute": 10, "orders_per_second": 10, "costs": Costs(place=7, account=0, symbols=0)}
    desk = loop(child("c1", k="1"), child("c2", k="1"), budget={**budget, "requests_scope": BudgetScope.ACCOUNT})
    desk.buy("0.2", price=D(59_000))
    assert set(found(desk)) == {"c1", "c2"}
    for window in desk.copier.desk.windows.values():
        window.blocked_ns = told(desk).at_ns
    assert set(found(desk)) == {"c1", "c2"}, "it was closed until now"
    desk.copier.desk.purses["c1"].requests.blocked_ns += 1
    assert set(found(desk)) == {"c2"}
    desk = loop(child("c1", k="1"), child("c2", k="1"), budget={**budget, "requests_scope": BudgetScope.MACHINE})
    desk.buy("0.2", price=D(59_000))
    assert set(found(desk)) == {"c1"}


def test_once_one_child_is_not_plain_what_a_shared_budget_has_left_is_not_known():
    budget = {"requests_per_minute": 100, "costs": Costs(account=0, symbols=0), "requests_scope": BudgetScope.MACHINE}
    desk = loop(CLOSE_ONLY, child("c2", k="1"), budget=budget)
    desk.buy("0.2", price=D(59_000))
    assert set(found(desk)) == set()
    desk = loop(child("c1", k="1"), replace(CLOSE_ONLY, account="c2"), child("c3", k="1"), budget=budget)
    desk.buy("0.2", price=D(59_000))
    assert set(found(desk)) == {"c1"}
    desk = loop(CLOSE_ONLY, child("c2", k="1"), budget=budget)
    for window in desk.copier.desk.windows.values():
        window.users = 2  # two are enough to share it
    desk.buy("0.2", price=D(59_000))
    assert set(found(desk)) == set()


def test_an_order_for_a_whole_position_is_left_to_the_general_engine():
    desk = loop()
    desk.buy("0.2", price=D(59_000))
    report = told(desk)
    assert isinstance(report.event, OrderEvent)
    order = report.event.order
    whole = replace(order, terms=replace(order.terms, close_position=True))
    assert not dict(desk.copier.begin(replace(report, event=OrderEvent(order=whole))))


def test_an_order_is_dragged_where_only_its_prices_are_new_and_it_works():
    desk = loop()
    order = desk.buy("0.2", price=D(59_000))
    moved = replace(order, terms=replace(order.terms, price=D(58_000), trigger_price=D(1)))
    assert plain.is_dragged(order, moved)
    assert not plain.is_dragged(order, replace(order, terms=replace(order.terms, quantity=D(1))))
    for before, now in (
        (order, replace(moved, status=OrderStatus.FILLED)),
        (replace(order, status=OrderStatus.FILLED), moved),
    ):
        assert not plain.is_dragged(before, now)
