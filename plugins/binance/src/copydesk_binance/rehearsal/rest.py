"""What the REST endpoints of USD-M futures work on, and their table.

Source: https://developers.binance.com/docs/derivatives/usds-margined-futures/ (weights as of 2026).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from copydesk_paper.serving.misbehaviour import Misbehaviour

from copydesk_binance.rehearsal import routing
from copydesk_binance.rehearsal.account import Account
from copydesk_binance.rehearsal.limits import OrderLimit
from copydesk_binance.rehearsal.market import MarketData
from copydesk_binance.rehearsal.routing import Security, Table, by_limit, by_symbol, one_order
from copydesk_binance.rehearsal.user_streams import Streams
from copydesk_binance.rehearsal.venue import Venue
from copydesk_binance.rehearsal.wire import Json

__all__ = ["TABLE", "Call", "Limits", "Rest", "Security", "by_limit", "by_symbol", "one_order", "public", "route"]


@dataclass(frozen=True, slots=True)
class Limits:
    weight_per_minute: int
    orders_per_minute: int
    orders_per_ten_seconds: int

    @property
    def orders(self) -> tuple[OrderLimit, OrderLimit]:
        return (
            OrderLimit(limit=self.orders_per_ten_seconds, interval="SECOND", number=10),
            OrderLimit(limit=self.orders_per_minute, interval="MINUTE", number=1),
        )


Call = routing.Call[Account]


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


TABLE: Table[Rest, Account] = Table()
route, public = TABLE.route, TABLE.public
