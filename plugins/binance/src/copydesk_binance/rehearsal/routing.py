"""Tables of endpoints: paths, each with its weight, its security and what it does. The endpoints enter themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

from copydesk_binance.rehearsal.codes import Refusal
from copydesk_binance.rehearsal.parameters import Params

Desk = TypeVar("Desk")
"""What the endpoints of a service work on."""
Owner = TypeVar("Owner")
"""What a service keeps of an account."""


class Security(Enum):
    NONE = "none"
    KEY = "key"
    SIGNED = "signed"


class Call(Generic[Owner]):
    """One request: its parameters, and whose it is (for endpoints that need a key)."""

    __slots__ = ("_account", "params")

    def __init__(self, params: Params, account: Owner | None) -> None:
        self.params = params
        self._account = account

    @property
    def account(self) -> Owner:
        if self._account is None:
            raise Refusal(-2014)
        return self._account


@dataclass(frozen=True, slots=True)
class Route(Generic[Desk, Owner]):
    """`orders`: how many orders a call counts for; `trades`: whether faults of requests that trade concern it."""

    act: Callable[[Desk, Call[Owner]], Any]
    security: Security
    weight: Callable[[Params], int]
    orders: Callable[[Params], int] | None = None
    trades: bool = False


class Table(Generic[Desk, Owner]):
    """The endpoints of one service, by method and path."""

    def __init__(self) -> None:
        self.routes: dict[tuple[str, str], Route[Desk, Owner]] = {}

    def route(
        self,
        method: str,
        *paths: str,
        security: Security = Security.SIGNED,
        weight: int | Callable[[Params], int] = 1,
        orders: Callable[[Params], int] | None = None,
        trades: bool = False,
    ) -> Callable[[Callable[[Desk, Call[Owner]], Any]], Callable[[Desk, Call[Owner]], Any]]:
        """Enter an endpoint under all its paths."""

        def enter(act: Callable[[Desk, Call[Owner]], Any]) -> Callable[[Desk, Call[Owner]], Any]:
            weigh = weight if callable(weight) else lambda _, fixed=weight: fixed
            for path in paths:
                self.routes[method, path] = Route(act, security, weigh, orders, trades)
            return act

        return enter

    def public(
        self, *paths: str, weight: int | Callable[[Params], int] = 1
    ) -> Callable[[Callable[[Desk, Call[Owner]], Any]], Callable[[Desk, Call[Owner]], Any]]:
        """Enter an endpoint that everybody may read."""
        return self.route("GET", *paths, security=Security.NONE, weight=weight)


def one_order(_: Params) -> int:
    return 1


def by_symbol(with_symbol: int, without: int) -> Callable[[Params], int]:
    return lambda params: with_symbol if "symbol" in params else without


def by_limit(default: int, *steps: tuple[int, int]) -> Callable[[Params], int]:
    def weigh(params: Params) -> int:
        limit = params.integer("limit") or default
        return next((weight for most, weight in steps if limit <= most), steps[-1][1])

    return weigh
