"""How much may be sent to a venue just now (rule 21). Pure.

A window counts what was spent of one limit in one scope: the requests of a minute, the orders of a second. What may not be
sent now is not sent and changes nothing; its link stands in the window's queue and is looked at again when there is room.
It then sends what is wanted *by then*, so everything between is dropped by itself. The queue is first come, first served:
no child is always the last.

Ordinary requests may use `NORMAL` percent of a limit, cancels and look-ups `RESERVED`, whatever reading accounts has cost:
after several starts in a minute that alone can be more than the limit. What closes is never held back (invariant I3); it
counts, and the rest of the limit is its own.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from copydesk.model import BudgetScope, Capabilities, Costs, PositionSide

if TYPE_CHECKING:
    from copydesk.sending import Run
    from copydesk.state import Desk, Link

NORMAL, RESERVED = 70, 85
"""Percent of a limit that ordinary requests may use, and that cancels and look-ups may."""
READING = 50
"""Percent up to which accounts are read now and then: comparing may wait, trading may not."""
PAID_NS, ORDER_PAID_NS = 1_000_000_000, 100_000_000
"""How long what was paid in advance counts, of requests and of orders: as much as a window is longer than the venue's."""
BUDGET = "budget"
"""Marks a timer as one of a window."""

Queued = tuple[str, str, tuple[str, PositionSide]]
"""A link: bot, child, side book."""


@dataclass(slots=True)
class Window:
    """What was spent in the last `slots` times `grain_ns`; a little longer than the venue's own window, to be safe."""

    name: str
    limit: int
    grain_ns: int
    slots: int
    spent: deque[list[int]] = field(default_factory=deque)  # slot, cost, and what of it was reading; the oldest first
    total: int = 0
    reading: int = 0  # what of the total was reading: it holds nothing back that may use the reserve
    blocked_ns: int = 0  # the venue said to wait until then
    waiting: dict[Queued, None] = field(default_factory=dict)
    wake_ns: int = 0
    serving: bool = False
    users: int = 0  # how many accounts share it

    def spend(self, at_ns: int, cost: int, reading: int = 0) -> None:
        """Count `cost`, of which `reading` was for reading accounts."""
        slot, spent = at_ns // self.grain_ns, self.spent
        self.total += cost
        self.reading += reading
        if spent and spent[-1][0] == slot:
            spent[-1][1] += cost
            spent[-1][2] += reading
        else:
            self.expire(at_ns)
            spent.append([slot, cost, reading])

    def expire(self, at_ns: int) -> None:
        oldest, spent = at_ns // self.grain_ns - self.slots, self.spent
        while spent and spent[0][0] <= oldest:
            _, cost, reading = spent.popleft()
            self.total -= cost
            self.reading -= reading

    def used(self, at_ns: int) -> int:
        """What is spent of the limit at that time. Changes nothing."""
        oldest = at_ns // self.grain_ns - self.slots
        return sum(cost for slot, cost, _ in self.spent if slot > oldest)

    def has_room(self, at_ns: int, percent: int, cost: int) -> bool:
        """True where `cost` more stays within that part of the limit; a single request always fits into an empty one."""
        self.expire(at_ns)
        if at_ns < self.blocked_ns:
            return False
        used = self.total - self.reading if percent == RESERVED else self.total
        return used + cost <= max(self.limit * percent // 100, cost)

    def next_ns(self, at_ns: int) -> int:
        """When there is more room than now."""
        if at_ns < self.blocked_ns:
            return self.blocked_ns
        return max((self.spent[0][0] + self.slots) * self.grain_ns if self.spent else 0, at_ns + 1)


@dataclass(slots=True)
class Purse:
    """What one account pays from: a window of requests and one of orders, each its own or shared with others."""

    scope: BudgetScope
    costs: Costs
    requests: Window | None = None
    orders: Window | None = None


def scaled(can: Capabilities, percent: Decimal) -> Capabilities:
    """With that share of the venue's limits: where something else uses them too, or where the venue granted more."""
    return msgspec.structs.replace(
        can,
        requests_per_minute=_share(can.requests_per_minute, percent),
        orders_per_second=_share(can.orders_per_second, percent),
    )


def _share(limit: int, percent: Decimal) -> int:
    return max(1, int(limit * percent / 100)) if limit else 0


def purse_of(account: str, kind: str, can: Capabilities, windows: dict[str, Window]) -> Purse | None:
    """The purse of an account by what its kind says of its limits, or `None` where it names none."""
    if not (can.requests_per_minute or can.orders_per_second):
        return None
    purse = Purse(scope=can.requests_scope, costs=can.costs)
    if can.requests_per_minute:
        name = f"requests/{scope_name(can.requests_scope, account, kind)}"
        purse.requests = windows.setdefault(name, Window(name, can.requests_per_minute, 1_000_000_000, 61))
        purse.requests.limit = can.requests_per_minute
    if can.orders_per_second:
        name = f"orders/{scope_name(can.orders_scope, account, kind)}"
        purse.orders = windows.setdefault(name, Window(name, can.orders_per_second, 100_000_000, 11))
        purse.orders.limit = can.orders_per_second
    return purse


def scope_name(scope: BudgetScope, account: str, kind: str) -> str:
    """What all that share a limit have in common."""
    if scope is BudgetScope.MACHINE:
        return kind
    return account.partition("/")[0] if scope is BudgetScope.CONNECTION else account


@dataclass(slots=True, frozen=True)
class FanOut:
    """What one order of the parent costs of one limit, copied to all `accounts` that share it: `cost` of `room`, which is
    what entries may use of `limit` (requests a minute, or orders a second)."""

    what: str
    accounts: tuple[str, ...]
    limit: int
    room: int
    cost: int


def fan_outs(accounts: Sequence[str], kind: str, can: Capabilities) -> list[FanOut]:
    """Each limit that these accounts pay from, by the windows that they would have."""
    windows: dict[str, Window] = {}
    costs: dict[tuple[str, str], dict[str, int]] = {}
    for account in accounts:
        purse = purse_of(account, kind, can, windows)
        if purse is not None:
            for what, window, cost in (("requests", purse.requests, purse.costs.place), ("orders", purse.orders, 1)):
                if window is not None and cost:
                    costs.setdefault((what, window.name), {})[account] = cost
    return [
        FanOut(what, tuple(paid), windows[name].limit, windows[name].limit * NORMAL // 100, sum(paid.values()))
        for (what, name), paid in costs.items()
    ]


# --- before something is sent -----------------------------------------------------------------------------------------


def may_place(run: Run, link: Link, *, replaces: bool) -> bool:
    """An order that may wait. `replaces`: one that stands is taken away for it, which costs too."""
    purse = run.desk.purses.get(link.child.account)
    if purse is None:
        return True
    costs = purse.costs
    return _may(run, purse, link, NORMAL, costs.place + (costs.cancel if replaces else 0), 1)


def pay_both(run: Run, account: str) -> int:
    """Pay for an order and for the cancel that goes with it, whichever comes first. Returns when that was."""
    spend_place(run, account)
    spend_cancel(run, account)
    return run.at_ns


def is_paid(run: Run, paid_ns: int) -> bool:
    """A cancel was paid for, and not too long ago."""
    return bool(paid_ns) and run.at_ns - paid_ns < PAID_NS


def is_order_paid(run: Run, account: str, paid_ns: int) -> bool:
    """The order that takes the place of another was paid for, and not too long ago."""
    purse = run.desk.purses.get(account)
    counted = purse is not None and purse.orders is not None
    return bool(paid_ns) and run.at_ns - paid_ns < (ORDER_PAID_NS if counted else PAID_NS)


def may_modify(run: Run, link: Link, *, urgent: bool) -> bool:
    purse = run.desk.purses.get(link.child.account)
    return purse is None or _may(run, purse, link, RESERVED if urgent else NORMAL, purse.costs.modify, 1)


def may_cancel(run: Run, link: Link) -> bool:
    purse = run.desk.purses.get(link.child.account)
    return purse is None or _may(run, purse, link, RESERVED, purse.costs.cancel, 0)


def look_up_after_ms(run: Run, account: str) -> int:
    """How long a look-up has to wait; zero where it may go now."""
    purse = run.desk.purses.get(account)
    window = purse.requests if purse is not None else None
    if purse is None or window is None or window.has_room(run.at_ns, RESERVED, purse.costs.look_up):
        return 0
    return (window.next_ns(run.at_ns) - run.at_ns) // 1_000_000 + 1


def _may(run: Run, purse: Purse, link: Link, percent: int, requests: int, orders: int) -> bool:
    short = purse.requests
    if short is None or not requests or _fits(run, short, link, percent, requests):
        short = purse.orders
        if short is None or not orders or _fits(run, short, link, percent, orders):
            return True
    if not short.waiting and short.users > 1 and link.bot in run.desk.bots:
        run.desk.bots[link.bot].turn = link.child.account
    short.waiting[_queued(link)] = None
    _arm(run, short)
    return False


def _fits(run: Run, window: Window, link: Link, percent: int, cost: int) -> bool:
    """There is room, and nobody has waited for it longer."""
    waiting = window.waiting
    if waiting and percent == NORMAL and not window.serving and next(iter(waiting)) != _queued(link):
        return False
    return window.has_room(run.at_ns, percent, cost)


def _queued(link: Link) -> Queued:
    return (link.bot, link.child.account, link.book)


def _arm(run: Run, window: Window) -> None:
    at_ns = window.next_ns(run.at_ns)
    if at_ns < window.wake_ns or window.wake_ns <= run.at_ns:
        window.wake_ns = at_ns
        heapq.heappush(run.due, (at_ns, window.name, BUDGET))


# --- what was spent ---------------------------------------------------------------------------------------------------


def spend_place(run: Run, account: str) -> None:
    purse = run.desk.purses.get(account)
    if purse is not None:
        _spend(run, purse, purse.costs.place, 1)


def spend_modify(run: Run, account: str) -> None:
    purse = run.desk.purses.get(account)
    if purse is not None:
        _spend(run, purse, purse.costs.modify, 1)


def spend_cancel(run: Run, account: str) -> None:
    purse = run.desk.purses.get(account)
    if purse is not None:
        _spend(run, purse, purse.costs.cancel, 0)


def spend_look_up(run: Run, account: str) -> None:
    purse = run.desk.purses.get(account)
    if purse is not None:
        _spend(run, purse, purse.costs.look_up, 0)


def spend_reading(run: Run, account: str, *, whole: bool) -> None:
    """An account was read: of everything, or of the symbols that matter."""
    purse = run.desk.purses.get(account)
    if purse is not None:
        cost = purse.costs.account if whole else purse.costs.symbols
        if purse.requests is not None:
            purse.requests.spend(run.at_ns, cost, cost)


def _spend(run: Run, purse: Purse, requests: int, orders: int) -> None:
    if requests and purse.requests is not None:
        purse.requests.spend(run.at_ns, requests)
    if orders and purse.orders is not None:
        purse.orders.spend(run.at_ns, orders)


def slow_down(run: Run, account: str, after_ms: int) -> None:
    """The venue said to wait: all that shares its windows does, but for what closes."""
    purse = run.desk.purses.get(account)
    if purse is not None and after_ms:
        for window in (purse.requests, purse.orders):
            if window is not None:
                window.blocked_ns = max(window.blocked_ns, run.at_ns + after_ms * 1_000_000)


# --- time -------------------------------------------------------------------------------------------------------------


def served(run: Run, window: Window) -> Iterator[Queued]:
    """The links whose turn it is, as long as there is room; whoever iterates looks at each of them."""
    window.wake_ns = 0
    while window.waiting and window.has_room(run.at_ns, NORMAL, 1):
        key = next(iter(window.waiting))
        del window.waiting[key]
        spent, window.serving = window.total, True
        yield key
        window.serving = False
        if key in window.waiting and window.total == spent:
            window.waiting = {key: None, **window.waiting}  # what it wants costs more than is left: it stays the first
            break
    if window.waiting:
        _arm(run, window)


def forget_queues(desk: Desk) -> None:
    """A new process took over: who wants something is found when its account is read."""
    for window in desk.windows.values():
        window.waiting.clear()
        window.wake_ns, window.serving = 0, False


def may_read(desk: Desk, account: str, at_ns: int) -> bool:
    """True where there is budget to spare for comparing an account with its venue. Changes nothing."""
    purse = desk.purses.get(account)
    if purse is None or purse.requests is None:
        return True
    window = purse.requests
    used = window.used(at_ns)
    return at_ns >= window.blocked_ns and (not used or used + purse.costs.symbols <= window.limit * READING // 100)
