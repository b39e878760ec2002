"""The REST table: paths, each with its method, what it counts for and what it does. The endpoints enter themselves."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from copydesk_bybit.rehearsal.account import Account
from copydesk_bybit.rehearsal.codes import Refusal, bad
from copydesk_bybit.rehearsal.desk import Desk
from copydesk_bybit.rehearsal.limits import Group
from copydesk_bybit.rehearsal.market import MarketData
from copydesk_bybit.rehearsal.parameters import Params
from copydesk_bybit.rehearsal.protection import Protections
from copydesk_bybit.rehearsal.wire import Json

WEEK_MS = 7 * 24 * 3_600_000
T = TypeVar("T")


class Rest:
    """What the endpoints work on."""

    def __init__(self, desk: Desk, protections: Protections, market: MarketData, now_ms: Callable[[], int]) -> None:
        self.desk = desk
        self.protections = protections
        self.market = market
        self.now_ms = now_ms


class Call:
    """One request: its parameters, and whose it is (for endpoints that need a key)."""

    __slots__ = ("_account", "ext", "params")

    def __init__(self, params: Params, account: Account | None) -> None:
        self.params = params
        self._account = account
        self.ext: Json = {}
        """What goes into `retExtInfo`."""

    @property
    def account(self) -> Account:
        if self._account is None:
            raise Refusal(10003)
        return self._account


Act = Callable[[Rest, Call], Any]


@dataclass(frozen=True, slots=True)
class Route:
    """`trades`: whether faults of requests that trade concern it. `counts`: for how many orders it counts."""

    act: Act
    signed: bool
    group: Group
    trades: bool
    counts: Callable[[Params], int]
    message: str


ROUTES: dict[tuple[str, str], Route] = {}


def one(_: Params) -> int:
    return 1


def route(
    method: str,
    path: str,
    *,
    signed: bool = True,
    group: Group = Group.READ,
    trades: bool = False,
    counts: Callable[[Params], int] = one,
    message: str = "OK",
) -> Callable[[Act], Act]:
    def enter(act: Act) -> Act:
        ROUTES[method, path] = Route(act, signed, group, trades, counts, message)
        return act

    return enter


def public(path: str) -> Callable[[Act], Act]:
    return route("GET", path, signed=False, group=Group.MARKET)


# --- pages --------------------------------------------------------------------------------------------------

_CURSOR = re.compile(r"page_token(?:%3D|=)(\d+)")


def page(rows: Sequence[T], params: Params, default: int, most: int) -> tuple[list[T], str]:
    """One page of rows, the newest first, and the cursor of the next one (empty at the end).

    A cursor counts rows from the oldest, so that what comes in between two pages does not move it.
    """
    limit = params.limit(default, most)
    start = 0
    if "cursor" in params:
        found = _CURSOR.search(params.text("cursor"))
        if found is None:
            raise bad("params error: cursor is invalid")
        start = max(0, len(rows) - int(found.group(1)))
    part = list(rows[start : start + limit])
    left = len(rows) - start - len(part)
    return part, f"page_token%3D{left}%26" if left > 0 else ""


def period(params: Params, now_ms: int) -> tuple[int, int]:
    """The time window of a read of the past: seven days at most."""
    start, end = params.integer("startTime"), params.integer("endTime")
    if start is not None and end is not None:
        if end < start:
            raise bad("params error: endTime must be after startTime")
        if end - start > WEEK_MS:
            raise bad("The time range between startTime and endTime cannot exceed 7 days")
    elif start is not None:
        end = start + WEEK_MS
    elif end is not None:
        start = end - WEEK_MS
    else:
        start, end = now_ms - WEEK_MS, now_ms
    return start or 0, end or now_ms


def listed(rows: list[Json], cursor: str, category: str) -> Json:
    return {"nextPageCursor": cursor, "category": category, "list": rows}
