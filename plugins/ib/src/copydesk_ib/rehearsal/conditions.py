"""What an order waits for besides its own price: the price of some contract, or a time. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from copydesk.model import Side

from copydesk_ib.rehearsal.codes import invalid
from copydesk_ib.rehearsal.listings import Catalogue, Listing
from copydesk_ib.rehearsal.times import moment, now
from copydesk_ib.rehearsal.triggers import Prices, seen
from copydesk_ib.rehearsal.wire import WireError, integer, number

PRICE, TIME = "1", "3"
NAMES = {"4": "Margin", "5": "Execution", "6": "Volume", "7": "Percent change"}


@dataclass(frozen=True, slots=True)
class Condition:
    """`is_met` looks at the prices of `listing`, or at the clock. `joined`: the next one has to be met as well."""

    is_met: Callable[[Callable[[str], Prices]], bool]
    listing: Listing | None
    joined: bool


@dataclass(frozen=True, slots=True)
class Conditions:
    """All of an order. Those that are joined by "and" bind closer than those that are by "or"."""

    every: tuple[Condition, ...]

    def are_met(self, prices: Callable[[str], Prices]) -> bool:
        """`prices` tells what the market shows of a symbol."""
        together = True
        for condition in self.every:
            together = together and condition.is_met(prices)
            if condition.joined:
                continue
            if together:
                return True
            together = True
        return self.every[-1].joined and together

    def look_at(self, symbol: str) -> bool:
        """Whether the price of that symbol matters."""
        return any(condition.listing is not None and condition.listing.name == symbol for condition in self.every)


def read_conditions(told: Mapping[str, Any], catalogue: Catalogue) -> Conditions | None:
    """Read those of an order, if it has any. Raises `Refusal`."""
    every: Sequence[Mapping[str, str]] = told.get("conditions") or ()
    if not every:
        return None
    if told.get("conditionsCancelOrder") == "1":
        raise invalid("Conditions that cancel an order are not rehearsed")
    try:
        return Conditions(tuple(_read(one, catalogue) for one in every))
    except (ValueError, WireError):
        raise invalid("Invalid order condition") from None


def _read(one: Mapping[str, str], catalogue: Catalogue) -> Condition:
    kind, joined, more = one["kind"], one["conjunction"] == "a", one.get("isMore") == "1"
    if kind in NAMES:
        raise invalid(f"{NAMES[kind]} conditions are not rehearsed")
    if kind == TIME:
        at = moment(one["time"])
        return Condition(lambda _: (now() >= at) == more, None, joined)
    listing, limit = catalogue.by_id.get(integer(one["conId"])), number(one["price"])
    if listing is None or limit is None:
        raise ValueError("a price condition needs a contract and a price")
    method = integer(one["method"])

    def is_met(prices: Callable[[str], Prices]) -> bool:
        price = seen(prices(listing.name), method or _usual(listing), Side.BUY if more else Side.SELL)
        return price > Decimal(0) and (price >= limit if more else price <= limit)

    return Condition(is_met, listing, joined)


def _usual(listing: Listing) -> int:
    return 4 if listing.sec_type == "CASH" else 2
