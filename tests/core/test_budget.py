"""Rule 21: what may be sent just now. Nothing goes over a venue's limits, exits go at once, no child is always last."""

from __future__ import annotations

from collections import Counter, deque

import pytest
from copydesk.budget import NORMAL, RESERVED, Window, may_read
from copydesk.drifting import drifts
from copydesk.inputs import Decision, EngineStarted, LookUp, Note
from copydesk.model import BudgetScope, Costs, OrderType, Rejected, RejectReason, Unknown
from copydesk.views import budget_view
from harness.closed_loop import PARENT, ClosedLoop, D, child, instrument

SECOND_NS = 1_000_000_000
EVERY_TYPE = frozenset(OrderType) - {OrderType.MARKET}


class Counting(ClosedLoop):
    """Counts what is sent, when."""

    def __post_init__(self) -> None:
        self.spent: list[tuple[int, str, str]] = []  # (when, account, what)
        super().__post_init__()

    def _take(self, decisions: list[Decision]) -> None:
        for decision in decisions:
            if isinstance(decision, LookUp):
                self.spent += [(self.now_ns, decision.account, "LookUp")] * len(decision.orders)
            elif not isinstance(decision, Note):
                self.spent.append((self.now_ns, decision.account, type(decision).__name__))
        super()._take(decisions)

    def most(self, window_ns: int = 60 * SECOND_NS, account: str = "") -> int:
        """The most requests within any window of that length."""
        seen: deque[int] = deque()
        most = 0
        for at_ns, name, _ in self.spent:
            if account in ("", name):
                seen.append(at_ns)
                while seen[0] <= at_ns - window_ns:
                    seen.popleft()
                most = max(most, len(seen))
        return most


def limits(per_minute: int = 0, scope: BudgetScope = BudgetScope.MACHINE, **more: object) -> dict[str, object]:
    return {"requests_per_minute": per_minute, "requests_scope": scope, **more}


def loop(children: int, budget: dict[str, object], **more: object) -> Counting:
    names = tuple(child(f"c{number}", k="1") for number in range(1, children + 1))
    desk = Counting(names, instrument=instrument("1", tick="1"), price=D(1000), budget=budget, **more)  # type: ignore[arg-type]
    desk.start()
    desk.live(62_000)  # what it took to read the accounts is over
    return desk


@pytest.mark.parametrize("amendable", [EVERY_TYPE, frozenset({OrderType.LIMIT})])
def test_21_twenty_children_and_a_stop_dragged_thirty_times_under_80_requests_a_minute(amendable):
    desk = loop(20, limits(80), amendable=amendable)
    desk.buy("3")
    stop = desk.sell("3", type=OrderType.STOP_MARKET, trigger="900", reduce_only=True)
    desk.live(2_000)
    children = [rules.account for rules in desk.children]
    assert [desk.position(name) for name in children] == [D(3)] * 20
    assert [len(desk.working(name)) for name in children] == [1] * 20
    for trigger in range(901, 931):
        desk.amend(stop, trigger=str(trigger))
        desk.live(332)
        assert all(desk.working(name) for name in children)  # nobody is without a stop, not for a moment
    before = len(desk.spent)
    desk.sell("1")
    desk.live(1)
    assert [desk.position(name) for name in children] == [D(2)] * 20
    assert len(desk.spent) - before >= 20
    desk.live(300_000)
    assert [[(o.trigger_price, o.type) for o in desk.working(name)] for name in children] == [
        [(D(930), OrderType.STOP_MARKET)]
    ] * 20
    assert desk.most() <= 80
    assert [view.difference for view in drifts(desk.copier.desk)] == [0] * 20
    desk.sell("2")
    desk.live(1)
    assert [desk.position(name) for name in children] == [D(0)] * 20
    desk.live(100_000)
    assert [desk.working(name) for name in children] == [[]] * 20


def test_21_nobody_is_always_the_last():
    desk = loop(10, limits(20), amendable=EVERY_TYPE)
    order = desk.buy("1", price="900")
    desk.live(200_000)
    at_once: Counter[str] = Counter()
    for price in range(901, 911):
        desk.amend(order, price=str(price))
        before = len(desk.spent)
        desk.live(30_000)
        at_once.update(name for at_ns, name, _ in desk.spent[before:] if desk.now_ns - at_ns >= 29 * SECOND_NS)
    desk.live(120_000)
    counts = Counter(name for _, name, what in desk.spent if what == "Modify")
    assert len(counts) == 10
    assert max(counts.values()) <= 1.5 * min(counts.values())
    assert len(at_once) == 10
    assert max(at_once.values()) < 10
    assert desk.most() <= 20
    assert {terms.price for rules in desk.children for terms in desk.working(rules.account)} == {D(910)}


def test_21_an_entry_waits_and_says_so():
    desk = loop(4, limits(4))
    desk.buy("1", price="900")
    desk.live(10)
    placed = [rules.account for rules in desk.children if desk.working(rules.account)]
    assert len(placed) == 4 * NORMAL // 100
    assert len(desk.said("waits-for-budget")) == 2
    desk.live(70_000)
    assert all(len(desk.working(rules.account)) == 1 for rules in desk.children)
    assert desk.most() <= 4


def test_21_an_entry_that_the_parent_takes_back_meanwhile_is_never_sent():
    desk = loop(4, limits(4))
    order = desk.buy("1", price="900")
    desk.live(10)
    desk.cancel(order)
    desk.live(200_000)
    assert sum(what == "Place" for _, _, what in desk.spent) == 2
    assert all(desk.working(rules.account) == [] for rules in desk.children)


def test_21_exits_go_even_when_everything_is_spent():
    desk = loop(10, limits(20))
    desk.buy("2")
    desk.live(200_000)
    held = [rules.account for rules in desk.children if desk.position(rules.account)]
    assert len(held) == 10
    for price in range(901, 905):
        desk.buy("1", price=str(price))
    desk.live(1)
    desk.sell("2")
    desk.live(1)
    assert [desk.position(name) for name in held] == [D(0)] * 10


@pytest.mark.parametrize(("scope", "waits"), [(BudgetScope.CONNECTION, False), (BudgetScope.MACHINE, True)])
def test_21_one_childs_lack_delays_no_child_with_another_scope(scope, waits):
    desk = loop(2, limits(10, scope))
    order = desk.buy("5", price="900")
    desk.live(10)
    purse = desk.copier.desk.purses["c1"]
    assert purse.requests is not None
    purse.requests.spend(desk.now_ns, 10)
    desk.amend(order, price="899")
    desk.live(10)
    assert [terms.price for terms in desk.working("c1")] == [900]
    assert [terms.price for terms in desk.working("c2")] == [900 if waits else 899]
    desk.live(120_000)
    assert [terms.price for terms in desk.working("c1") + desk.working("c2")] == [899, 899]


def test_21_orders_per_second_are_a_limit_of_their_own():
    desk = loop(1, {"orders_per_second": 10})
    for price in range(901, 931):
        desk.buy("1", price=str(price))
    desk.live(1)
    assert len(desk.working("c1")) == 10 * NORMAL // 100
    desk.live(10_000)
    assert len(desk.working("c1")) == 30
    assert desk.most(SECOND_NS, "c1") <= 10


def test_21_the_venue_says_to_wait_and_all_that_share_its_limit_do_but_for_exits():
    desk = loop(2, limits(1000))
    desk.buy("2")
    desk.live(10)
    busy = Rejected(reason=RejectReason.RATE_LIMIT, message="slow down", retry_after_ms=30_000)
    desk.fault = lambda intent: busy if intent.account == "c1" else None
    desk.buy("1", price="900")
    desk.deliver()
    desk.carry_out()
    desk.fault = lambda intent: None
    desk.live(10)
    before = len(desk.spent)
    desk.buy("1", price="901")
    desk.live(10_000)
    assert len(desk.spent) == before
    desk.sell("2")
    desk.live(1)
    assert desk.position("c1") == desk.position("c2") == 0
    desk.live(60_000)
    assert [len(desk.working(name)) for name in ("c1", "c2")] == [2, 2]


def test_21_look_ups_count_and_wait():
    desk = loop(1, limits(10))
    desk.fault = lambda intent: Unknown(message="no answer")
    for price in range(901, 908):
        desk.buy("1", price=str(price))
    desk.live(40_000)
    assert desk.most() <= 10 * RESERVED // 100
    desk.fault = lambda intent: None
    desk.live(600_000)
    assert len(desk.working("c1")) == 7
    assert desk.most() <= 10


def test_21_after_a_restart_what_waited_is_sent():
    desk = loop(4, limits(4))
    desk.buy("1", price="900")
    desk.live(10)
    desk.feed(EngineStarted(at_ns=desk.now_ns))
    for account in (PARENT, *(rules.account for rules in desk.children)):
        desk.reconnect(account)
    desk.live(400_000)
    assert all(len(desk.working(rules.account)) == 1 for rules in desk.children)


def test_21_what_a_request_costs_is_what_its_venue_says():
    desk = loop(2, limits(100, costs=Costs(place=0, modify=1, cancel=10, look_up=1, account=40, symbols=20)))
    order = desk.buy("1", price="900")
    desk.live(10)
    view = budget_view(desk.copier.desk, "c1", desk.now_ns)
    assert view is not None
    assert (view.requests_used, view.requests_per_minute, view.scope, view.waiting) == (0, 100, "machine", 0)
    desk.cancel(order)
    desk.live(10)
    desk.reread("c1")
    view = budget_view(desk.copier.desk, "c2", desk.now_ns)
    assert view is not None
    assert view.requests_used == 60
    assert not may_read(desk.copier.desk, "c1", desk.now_ns)
    assert may_read(desk.copier.desk, "c1", desk.now_ns + 62 * SECOND_NS)


def test_21_without_limits_nothing_is_counted():
    desk = loop(2, {})
    desk.buy("1", price="900")
    desk.live(10)
    assert budget_view(desk.copier.desk, "c1", desk.now_ns) is None
    assert desk.copier.desk.windows == {}
    assert may_read(desk.copier.desk, "c1", desk.now_ns)


def test_a_window_never_lets_more_through_than_its_limit():
    window = Window("test", 10, SECOND_NS, 61)
    sent: list[int] = []
    for at_ns in range(0, 400 * SECOND_NS, 700_000_000):
        if window.has_room(at_ns, 100, 1):
            window.spend(at_ns, 1)
            sent.append(at_ns)
        assert sum(at_ns - 60 * SECOND_NS < one <= at_ns for one in sent) <= 10
        assert window.used(at_ns) == window.total
    assert len(sent) >= 55


def test_reading_holds_no_cancel_back() -> None:
    """Several starts in a minute read everything each time: more than the limit, and yet a cancel may go."""
    window = Window("requests/test", 100, 1_000_000_000, 61)
    window.spend(1_000_000_000, 300, reading=300)
    assert not window.has_room(1_000_000_000, NORMAL, 1)
    assert window.has_room(1_000_000_000, RESERVED, 1)
    window.spend(1_000_000_000, 85)
    assert not window.has_room(1_000_000_000, RESERVED, 1)
    assert window.has_room(63_000_000_000, NORMAL, 1), "after the minute all of it is forgotten"
