"""The REST table: paths, each with its weight, its security and what it does. The endpoints enter themselves.

Source: https://developers.binance.com/docs/derivatives/usds-margined-futures/ (weights as of 2026).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from copydesk_paper.serving.misbehaviour import Misbehaviour

from copydesk_binance.rehearsal.account import Account
from copydesk_binance.rehearsal.codes import Refusal
from copydesk_binance.rehearsal.market import MarketData
from copydesk_binance.rehearsal.parameters import Params
from copydesk_binance.rehearsal.streams import Streams
from copydesk_binance.rehearsal.venue import Venue
from copydesk_binance.rehearsal.wire import Json


class Security(Enum):
    NONE = "none"
    KEY = "key"
    SIGNED = "signed"


@dataclass(frozen=True, slots=True)
class Limits:
    weight_per_minute: int
    orders_per_minute: int
    orders_per_ten_seconds: int


class Call:
    """One request: its parameters, and whose it is (for endpoints that need a key)."""

    __slots__ = ("_account", "params")

    def __init__(self, params: Params, account: Account | None) -> None:
        self.params = params
        self._account = account

    @property
    def account(self) -> Account:
        if self._account is None:
            raise Refusal(-2014)
        return self._account


@dataclass(frozen=True, slots=True)
class Route:
    """`orders`: how many orders a call counts for; `trades`: whether faults of requests that trade concern it."""

    act: Callable[[Rest, Call], Any]
    security: Security
    weight: Callable[[Params], int]
    orders: Callable[[Params], int] | None = None
    trades: bool = False


ROUTES: dict[tuple[str, str], Route] = {}
Act = Callable[["Rest", Call], Any]


def route(
    method: str,
    *paths: str,
    security: Security = Security.SIGNED,
    weight: int | Callable[[Params], int] = 1,
    orders: Callable[[Params], int] | None = None,
    trades: bool = False,
) -> Callable[[Act], Act]:
    def enter(act: Act) -> Act:
        weigh = weight if callable(weight) else lambda _, fixed=weight: fixed
        for path in paths:
            ROUTES[method, path] = Route(act, security, weigh, orders, trades)
        return act

    return enter


def public(*paths: str, weight: int | Callable[[Params], int] = 1) -> Callable[[Act], Act]:
    return route("GET", *paths, security=Security.NONE, weight=weight)


def one_order(_: Params) -> int:
    return 1


def by_symbol(with_symbol: int, without: int) -> Callable[[Params], int]:
    return lambda params: with_symbol if "symbol" in params else without


def by_limit(default: int, *steps: tuple[int, int]) -> Callable[[Params], int]:
    def weigh(params: Params) -> int:
        limit = params.integer("limit") or default
        return next((weight for most, weight in steps if limit <= most), steps[-1][1])

    return weigh


class Rest:
    """What the endpoints work on."""

    def __init__(
        self,
        venue: Venue,
        market: MarketData,
        streams: Streams,
        limits: Limits,
        now_ms: Callable[[], int],
        misbehaviour: Misbehaviour,
    ) -> None:
        self.venue = venue
        self.market = market
        self.streams = streams
        self.limits = limits
        self.now_ms = now_ms
        self.misbehaviour = misbehaviour

    def symbols(self, call: Call) -> tuple[str, ...]:
        """The symbol that was asked for, or all."""
        symbol = call.params.text("symbol")
        return (self.venue.listing.rules(symbol).symbol,) if symbol else self.venue.listing.symbols

    def symbol(self, call: Call) -> str:
        return self.venue.listing.rules(call.params.mandatory("symbol")).symbol

    def for_symbols(self, call: Call, make: Callable[[str], Json]) -> Json | list[Json]:
        """One object for the symbol that was asked for, or a list of all."""
        rows = [make(symbol) for symbol in self.symbols(call)]
        return rows[0] if "symbol" in call.params else rows
