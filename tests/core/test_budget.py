"""Rule 21: what may be sent just now. Nothing goes over a venue's limits, exits go at once, no child is always last."""

from __future__ import annotations

from collections import Counter, deque

import pytest
from copydesk.budget import (
    NORMAL,
    RESERVED,
    Window,
    is_order_paid,
    is_paid,
    look_up_after_ms,
    may_cancel,
    may_modify,
    may_place,
    may_read,
    pay_both,
    purse_of,
    scaled,
)
from copydesk.checks import budget_warnings
from copydesk.drifting import drifts
from copydesk.inputs import Decision, EngineStarted, LookUp, Note
from copydesk.model import BudgetScope, Capabilities, Costs, OrderType, Rejected, RejectReason, Unknown
from copydesk.sending import Run
from copydesk.state import Link, Links
from copydesk.views import budget_view
from harness.closed_loop import PARENT, ClosedLoop, D, child, instrument
from msgspec.structs import replace

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


@pytest.mark.parametrize(
    ("can", "told"),
    [
        ({}, []),
        ({"requests_per_minute": 6000, "orders_per_second": 100}, []),
        (
            {"requests_per_minute": 80, "requests_scope": BudgetScope.MACHINE, "costs": Costs(place=2)},
            ["80 requests a minute of its 4 children together, 56 of them", "costs 8, so 7 a minute"],
        ),
        ({"requests_per_minute": 80, "requests_scope": BudgetScope.ACCOUNT, "costs": Costs(place=2)}, []),
        (
            {"requests_per_minute": 19, "requests_scope": BudgetScope.CONNECTION, "costs": Costs(place=1)},
            ["19 requests a minute of its 3 children together, 13 of them", "costs 3, so 4 a minute"],
        ),
        (
            {"orders_per_second": 2, "orders_scope": BudgetScope.CONNECTION},
            ["2 orders a second of its 3 children together, 1 of them", "takes 3.0 s"],
        ),
        ({"orders_per_second": 6, "orders_scope": BudgetScope.MACHINE}, []),
        ({"requests_per_minute": 1, "costs": Costs(place=0)}, []),
    ],
)
def test_21_the_start_plan_warns_by_the_budget_that_is_kept(can, told):
    accounts = ("ib/u1", "ib/u2", "ib/u3", "other")
    (sentence,) = list(budget_warnings(accounts, "ib", Capabilities(**can))) or [""]
    assert all(words in sentence for words in told)
    assert bool(sentence) is bool(told)


def test_21_what_the_warning_says_is_what_happens():
    """Seven orders a minute for four children are said to go at once: so many are copied, and the next one waits."""
    desk = loop(4, limits(80, costs=Costs(place=2, account=0, symbols=0)))
    for _ in range(8):
        desk.buy("1", price="900")
        desk.deliver()
        desk.carry_out()
    assert [len(desk.working(f"c{number}")) for number in range(1, 5)] == [7, 7, 7, 7]


def test_21_the_reading_at_a_start_is_counted():
    desk = Counting((child("c1", k="1"),), budget=limits(100, costs=Costs(account=30)))
    window = desk.copier.desk.windows["requests/paper"]
    before = (window.used(desk.now_ns), window.reading)
    desk.start()
    assert before == (30, 30), "the child's"
    assert (window.used(desk.now_ns), window.reading) == (60, 60), "and the parent's, when the bot was started"


# --- the parts --------------------------------------------------------------------------------------------------------


def window(limit: int = 100, *, grain_ns: int = 1_000, slots: int = 3, **more: object) -> Window:
    return Window("w", limit, grain_ns, slots, **more)  # type: ignore[arg-type]


def test_a_window_forgets_slot_by_slot():
    one = window()
    for at_ns, cost, reading in ((0, 5, 0), (999, 1, 1), (1_000, 7, 7), (2_999, 2, 0)):
        one.spend(at_ns, cost, reading)
    assert [list(slot) for slot in one.spent] == [[0, 6, 1], [1, 7, 7], [2, 2, 0]]
    assert (one.total, one.reading) == (15, 8)
    assert [one.used(at_ns) for at_ns in (2_999, 3_000, 3_999, 4_000, 4_999, 5_000)] == [15, 9, 9, 2, 2, 0]
    assert (one.total, one.reading) == (15, 8), "asking changes nothing"
    one.expire(3_000)
    assert (one.total, one.reading, len(one.spent)) == (9, 7, 2)
    one.spend(9_000, 3)
    assert (one.total, one.reading, len(one.spent)) == (3, 0, 1)


def test_what_fits_into_a_window():
    one = window(100)
    one.spend(0, 60, 20)
    assert one.has_room(0, NORMAL, 10)
    assert not one.has_room(0, NORMAL, 11)
    assert one.has_room(0, RESERVED, 45), "what reading has cost holds nothing back that may use the reserve"
    assert not one.has_room(0, RESERVED, 46)
    assert one.has_room(3_000, NORMAL, 70), "it is over"
    empty = window(10)
    assert empty.has_room(0, NORMAL, 99), "a single request always fits into an empty one"
    odd = window(3)
    assert odd.has_room(0, NORMAL, 2)
    odd.spend(0, 2)
    assert not odd.has_room(0, NORMAL, 1)


def test_a_window_that_the_venue_closed_is_closed_until_then():
    one = window(blocked_ns=500)
    assert [one.has_room(at_ns, NORMAL, 1) for at_ns in (499, 500)] == [False, True]
    assert (one.next_ns(499), one.next_ns(500)) == (500, 501)


def test_when_a_window_has_more_room():
    one = window()
    assert one.next_ns(70) == 71
    one.spend(1_500, 1)
    one.spend(2_500, 1)
    assert one.next_ns(2_600) == 4_000, "when its oldest slot is over"
    assert one.next_ns(4_000) == 4_001


def test_what_shares_a_limit_and_what_has_one_of_its_own():
    names = {}
    for scope in BudgetScope:
        can = Capabilities(requests_per_minute=60, requests_scope=scope, orders_per_second=5, orders_scope=scope)
        windows: dict[str, Window] = {}
        for account in ("a/1", "a/2", "b"):
            purse = purse_of(account, "kind", can, windows)
            assert purse.requests is windows[purse.requests.name]
            assert purse.orders is windows[purse.orders.name]
        names[scope] = sorted(windows)
        requests, orders = windows[names[scope][-1]], windows[names[scope][0]]
        assert (requests.limit, requests.grain_ns, requests.slots) == (60, 1_000_000_000, 61)
        assert (orders.limit, orders.grain_ns, orders.slots) == (5, 100_000_000, 11)
    assert names[BudgetScope.MACHINE] == ["orders/kind", "requests/kind"]
    assert names[BudgetScope.CONNECTION] == ["orders/a", "orders/b", "requests/a", "requests/b"]
    assert names[BudgetScope.ACCOUNT] == [f"{what}/{a}" for what in ("orders", "requests") for a in ("a/1", "a/2", "b")]
    again = Capabilities(requests_per_minute=90, requests_scope=BudgetScope.ACCOUNT)
    purse = purse_of("b", "kind", again, windows)
    assert (purse.requests.limit, purse.orders) == (90, None), "a limit that changed"
    assert purse_of("b", "kind", Capabilities(), windows) is None


def spent(desk: ClosedLoop, name: str) -> tuple[int, int]:
    found = desk.copier.desk.windows[name]
    return found.used(desk.now_ns), found.reading


def test_21_each_request_is_counted_by_its_kind():
    costs = Costs(place=3, modify=5, cancel=7, look_up=11, account=13, symbols=17)
    budget = {"requests_per_minute": 100_000, "orders_per_second": 1_000, "costs": costs}
    desk = Counting((child("c1", k="1"),), instrument=instrument("1", tick="1"), price=D(1000), budget=budget)
    desk.start()

    def both() -> tuple[int, int]:
        return spent(desk, "requests/c1")[0], spent(desk, "orders/c1")[0]

    assert both() == (13, 0)
    assert spent(desk, "requests/c1") == (13, 13)
    bid = desk.buy("2", price="900")
    desk.settle()
    assert both() == (16, 1)
    desk.amend(bid, price="901")
    desk.settle()
    assert both() == (21, 2)
    desk.now_ns += 2_000_000_000
    desk.cancel(bid)
    desk.settle()
    assert both() == (28, 0), "a cancel is no order"
    desk.fault = lambda intent: Unknown(message="?")
    desk.buy("2", price="900")
    desk.deliver()
    desk.carry_out()
    desk.fault = lambda intent: None
    desk.now_ns += 2_000_000_000
    desk.pass_time(300)
    assert both() == (31 + 11, 0), "nor is a look-up"
    from copydesk.inputs import Snapped
    from copydesk.model import Scope

    partly = replace(desk.snapshot("c1"), scope=Scope.SYMBOLS)
    desk.feed(Snapped(at_ns=desk.now_ns, account="c1", snapshot=partly))
    assert spent(desk, "requests/c1") == (42 + 17, 13 + 17)
    desk.feed(Snapped(at_ns=desk.now_ns, account="c1", snapshot=replace(partly, scope=Scope.ORDERS)))
    assert spent(desk, "requests/c1")[0] == 59, "that was counted when it was asked"


@pytest.mark.parametrize("used", [69, 84])
def test_21_a_change_of_what_protects_may_use_the_reserve_and_another_waits(used):
    for exit_ in (True, False):
        desk = Counting(
            (child("c1", k="1", ahead="keep"),),
            instrument=instrument("1", tick="1"),
            price=D(1000),
            budget=limits(100, BudgetScope.ACCOUNT, costs=Costs(account=0, symbols=0)),
            amendable=EVERY_TYPE,
        )
        desk.start()
        desk.buy("2")
        bid = desk.buy("2", price="900")
        stop = desk.sell("2", type=OrderType.STOP_MARKET, trigger="800", reduce_only=True)
        desk.settle()
        found = desk.copier.desk.windows["requests/c1"]
        found.spend(desk.now_ns, used - found.total)
        if exit_:
            desk.amend(stop, trigger="800", quantity="1")
        else:
            desk.amend(bid, price="900", quantity="1")
        before = len(desk.spent)
        desk.deliver()
        sent = [what for _, _, what in desk.spent[before:]]
        assert sent == (["Modify"] if exit_ or used == 69 else []), (exit_, used)
        assert bool(found.waiting) is not bool(sent)


def test_21_a_busy_venue_closes_the_windows_of_requests_and_of_orders():
    desk = Counting((child("c1", k="1"),), budget={"requests_per_minute": 100, "orders_per_second": 10})
    desk.start()
    told = Rejected(reason=RejectReason.RATE_LIMIT, message="slow down", retry_after_ms=7_000)
    desk.fault = lambda intent: told
    desk.buy("1", price="59000")
    desk.deliver()
    desk.carry_out()
    assert {found.blocked_ns - desk.now_ns for name, found in desk.copier.desk.windows.items() if "c1" in name} == {
        7_000_000_000
    }


@pytest.mark.parametrize(
    ("used", "blocked_ms", "may"),
    [(0, 0, True), (45, 0, True), (46, 0, False), (0, 10, False), (51, 0, False)],
)
def test_accounts_are_read_where_there_is_budget_to_spare(used, blocked_ms, may):
    desk = Counting((child("c1", k="1"),), budget=limits(100, BudgetScope.ACCOUNT, costs=Costs(symbols=5, account=0)))
    found = desk.copier.desk.windows["requests/c1"]
    found.spend(desk.now_ns, used)
    found.blocked_ns = desk.now_ns + blocked_ms * 1_000_000
    assert may_read(desk.copier.desk, "c1", desk.now_ns) is may
    assert may_read(desk.copier.desk, "c1", desk.now_ns + 10 * 1_000_000) is (may or blocked_ms > 0)
    assert may_read(desk.copier.desk, "nobody", desk.now_ns)


def test_a_costly_reading_is_done_once_nothing_else_is_spent():
    desk = Counting((child("c1", k="1"),), budget=limits(10, BudgetScope.ACCOUNT, costs=Costs(symbols=50, account=0)))
    assert may_read(desk.copier.desk, "c1", desk.now_ns)
    desk.copier.desk.windows["requests/c1"].spend(desk.now_ns, 1)
    assert not may_read(desk.copier.desk, "c1", desk.now_ns)


def test_21_a_look_up_waits_until_there_is_room():
    desk = Counting((child("c1", k="1"),), budget=limits(100, BudgetScope.ACCOUNT))
    desk.start()
    desk.live(62_000)
    desk.fault = lambda intent: Unknown(message="?")
    desk.buy("1", price="59000")
    desk.deliver()
    desk.carry_out()
    found = desk.copier.desk.windows["requests/c1"]
    found.spend(desk.now_ns, 100)
    spent_ns = desk.now_ns
    asked = len([what for _, _, what in desk.spent if what == "LookUp"])
    desk.live(60_000)
    assert len([what for _, _, what in desk.spent if what == "LookUp"]) == asked
    desk.fault = lambda intent: None
    desk.live(5_000)
    first = next(at_ns for at_ns, _, what in desk.spent if what == "LookUp")
    assert 60_000 <= (first - spent_ns) // 1_000_000 <= 62_100


def test_21_who_could_not_pay_stays_first_and_the_others_wait_behind():
    """A change that costs more than is left keeps its place in the queue."""
    desk = Counting(
        tuple(child(f"c{number}", k="1") for number in (1, 2)),
        budget=limits(40, costs=Costs(place=15, cancel=1, account=0, symbols=0)),
    )
    desk.start()
    for _ in range(2):
        desk.buy("1", price="59000")
        desk.deliver()
        desk.carry_out()
        desk.pass_time(1)
    found = desk.copier.desk.windows["requests/paper"]
    first = list(found.waiting)
    assert first
    assert not found.serving
    desk.live(61_100)
    assert [len(desk.working(name)) for name in ("c1", "c2")] != [0, 0]
    desk.live(200_000)
    assert [len(desk.working(name)) for name in ("c1", "c2")] == [2, 2]
    assert found.waiting == {}
    assert found.wake_ns == 0


def test_21_the_turn_of_a_link_that_is_gone_by_then_passes():
    """A bot that is started anew begins without links, and its limit still knows who waited."""
    desk = loop(4, limits(4))
    desk.buy("1", price="900")
    desk.live(10)
    found = desk.copier.desk.windows["requests/paper"]
    assert found.waiting
    desk.copier.desk.bots["bot"].links = Links()
    desk.live(62_000)
    assert found.waiting == {}


def test_a_new_process_forgets_who_waited_and_when():
    desk = loop(4, limits(4))
    desk.buy("1", price="900")
    desk.live(10)
    found = desk.copier.desk.windows["requests/paper"]
    assert found.waiting
    assert found.wake_ns
    found.serving = True
    desk.feed(EngineStarted(at_ns=desk.now_ns))
    assert (found.waiting, found.wake_ns, found.serving) == ({}, 0, False)


@pytest.mark.parametrize(
    ("minute", "second", "percent", "kept"),
    [(90, 3, "50", (45, 1)), (90, 3, "0.1", (1, 1)), (90, 3, "200", (180, 6)), (0, 3, "100", (0, 3))],
)
def test_21_a_share_of_a_limit_is_one_request_at_the_least_and_no_limit_stays_none(minute, second, percent, kept):
    can = Capabilities(requests_per_minute=minute, orders_per_second=second, native_oco=True)
    part = scaled(can, D(percent))
    assert (part.requests_per_minute, part.orders_per_second) == kept
    assert replace(part, requests_per_minute=minute, orders_per_second=second) == can


def holding(desk: Counting) -> tuple[Run, list[Link]]:
    """The children hold 1 each, and nothing is spent any more."""
    desk.buy("1")
    desk.live(62_000)
    return Run(desk.copier.desk, [], desk.now_ns), list(desk.copier.desk.bots["bot"].links.values())


def test_21_an_order_that_takes_anothers_place_costs_the_cancel_as_well():
    run, (link,) = holding(loop(1, limits(100, BudgetScope.ACCOUNT, costs=Costs(place=3, cancel=7), orders_per_second=10)))
    requests, orders = run.desk.purses["c1"].requests, run.desk.purses["c1"].orders
    requests.spend(run.at_ns, 60)
    assert may_place(run, link, replaces=True)
    requests.spend(run.at_ns, 1)
    assert not may_place(run, link, replaces=True)
    requests.waiting.clear()
    requests.spend(run.at_ns, 6)
    orders.spend(run.at_ns, 6)
    assert may_place(run, link, replaces=False)
    orders.spend(run.at_ns, 1)
    assert not may_place(run, link, replaces=False)
    assert (list(requests.waiting), len(orders.waiting)) == ([], 1)


def test_21_who_waits_first_has_its_turn_first():
    run, links = holding(loop(3, limits(100)))
    bot, window = run.desk.bots["bot"], run.desk.windows["requests/paper"]
    window.spend(run.at_ns, 70)
    for link in links[1:]:
        assert not may_place(run, link, replaces=False)
    assert [child for _, child, _ in window.waiting] == ["c2", "c3"]
    assert bot.turn == "c2", "at the next order it is the first, not the last that went without"
    later = Run(run.desk, [], run.at_ns + 70 * SECOND_NS)
    assert not may_place(later, links[0], replaces=False), "others wait for the room that there is by now"
    assert may_place(later, links[1], replaces=False)
    window.serving = True
    assert may_place(later, links[2], replaces=False)


def test_21_what_is_paid_in_advance_counts_for_a_second():
    run, _ = holding(loop(1, limits(100)))
    paid_ns = pay_both(run, "c1")
    assert [is_paid(Run(run.desk, [], paid_ns + after), paid_ns) for after in (0, SECOND_NS - 1, SECOND_NS)] == [
        True,
        True,
        False,
    ]
    assert not is_paid(run, 0)


def test_21_a_look_up_waits_for_no_longer_than_until_there_is_room():
    run, _ = holding(loop(1, limits(100, BudgetScope.ACCOUNT)))
    run.at_ns += 500_000
    window = run.desk.windows["requests/c1"]
    window.spend(run.at_ns, 100)
    after_ms = look_up_after_ms(run, "c1")
    assert not window.has_room(run.at_ns + (after_ms - 1) * 1_000_000, RESERVED, 1)
    assert window.has_room(run.at_ns + after_ms * 1_000_000, RESERVED, 1)


@pytest.mark.parametrize(("used", "may"), [(84, True), (85, False)])
def test_21_a_cancel_may_use_the_reserve_and_no_more(used, may):
    run, (link,) = holding(loop(1, limits(100, BudgetScope.ACCOUNT)))
    window = run.desk.windows["requests/c1"]
    window.spend(run.at_ns, used)
    assert may_cancel(run, link) is may
    assert list(window.waiting) == ([] if may else [("bot", "c1", link.book)])
    assert may_modify(run, link, urgent=True) is may
    assert not may_modify(run, link, urgent=False)


def test_21_however_many_wait_a_window_has_one_timer():
    run, links = holding(loop(3, limits(100)))
    run.desk.windows["requests/paper"].spend(run.at_ns, 100)
    for link in links:
        assert not may_place(run, link, replaces=False)
    assert len(run.due) == 1


@pytest.mark.parametrize(("per_second", "counts_ns"), [(10, SECOND_NS // 10), (0, SECOND_NS)])
def test_21_an_order_that_was_paid_for_counts_as_long_as_its_window_is_longer_than_the_venues(per_second, counts_ns):
    run, _ = holding(loop(1, limits(100, BudgetScope.ACCOUNT, orders_per_second=per_second)))
    paid_ns = run.at_ns
    for after, paid in ((0, True), (counts_ns - 1, True), (counts_ns, False)):
        assert is_order_paid(Run(run.desk, [], paid_ns + after), "c1", paid_ns) is paid
    assert not is_order_paid(run, "c1", 0)
    assert is_order_paid(Run(run.desk, [], paid_ns + SECOND_NS - 1), "nobody", paid_ns)
