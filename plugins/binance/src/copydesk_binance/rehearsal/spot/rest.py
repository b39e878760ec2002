"""What the REST endpoints of spot work on, and their table.

Source: https://developers.binance.com/docs/binance-spot-api-docs/rest-api (weights as of 2026).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from copydesk_paper.serving.misbehaviour import Misbehaviour

from copydesk_binance.rehearsal import routing
from copydesk_binance.rehearsal.codes import Refusal
from copydesk_binance.rehearsal.limits import OrderLimit
from copydesk_binance.rehearsal.routing import Table
from copydesk_binance.rehearsal.spot.account import Account
from copydesk_binance.rehearsal.spot.desk import Desk
from copydesk_binance.rehearsal.spot.market import SpotMarket
from copydesk_binance.rehearsal.wire import Json

Call = routing.Call[Account]


@dataclass(frozen=True, slots=True)
class Rest:
    """What the endpoints work on."""

    desk: Desk
    market: SpotMarket
    weight_per_minute: int
    orders: tuple[OrderLimit, ...]
    maker_fee: Decimal
    taker_fee: Decimal
    now_ms: Callable[[], int]
    misbehaviour: Misbehaviour

    def symbol(self, call: Call) -> str:
        return self.desk.listing.rules(call.params.mandatory("symbol")).symbol

    def symbols(self, call: Call) -> tuple[str, ...]:
        """The pair or the pairs that were asked for, or all."""
        if "symbol" in call.params:
            if "symbols" in call.params:
                raise Refusal(-1128)
            return (self.symbol(call),)
        if "symbols" not in call.params:
            return self.desk.listing.symbols
        try:
            named = json.loads(call.params.text("symbols"))
        except ValueError:
            named = None
        if not isinstance(named, list) or not named or not all(isinstance(one, str) for one in named):
            raise Refusal(-1100, "symbols", '^\\[("[A-Z0-9-_.]{1,20}"(,"[A-Z0-9-_.]{1,20}"){0,}){0,1}\\]$')
        return tuple(self.desk.listing.rules(one).symbol for one in named)

    def for_symbols(self, call: Call, make: Callable[[str], Json]) -> Json | list[Json]:
        """One object for the pair that was asked for, or a list of several or all."""
        rows = [make(symbol) for symbol in self.symbols(call)]
        return rows[0] if "symbol" in call.params else rows


TABLE: Table[Rest, Account] = Table()
route, public = TABLE.route, TABLE.public
