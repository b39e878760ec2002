"""What is traded at the rehearsal: instruments by category and name, their rules and rows of instruments-info."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from copydesk.model import Contract, Instrument
from copydesk_paper.synthetic import Character

from copydesk_bybit.rehearsal.codes import Refusal, bad
from copydesk_bybit.symbols import CATEGORIES, SPOT, name_of, ours

MAX_LEVERAGE = Decimal(100)
LAUNCH_MS = "1584230400000"
CATEGORY_OF: Mapping[Contract, str] = {Contract.LINEAR: "linear", Contract.INVERSE: "inverse", Contract.SPOT: "spot"}


def _instrument(symbol: str, contract: Contract, tick: str, step: str, most: str, market: str, least: str) -> Instrument:
    base, quote = (name_of(symbol)[:3], name_of(symbol)[3:])
    return Instrument(
        symbol=symbol,
        base=base,
        quote=quote,
        settle=base if contract is Contract.INVERSE else quote,
        contract=contract,
        price_tick=Decimal(tick),
        quantity_step=Decimal(step),
        min_quantity=Decimal(step),
        max_quantity=Decimal(most),
        market_max_quantity=Decimal(market),
        min_notional=Decimal(least),
    )


_L, _I, _S = Contract.LINEAR, Contract.INVERSE, Contract.SPOT
CHARACTERS = tuple(
    Character(_instrument(symbol, contract, tick, step, most, market, least), Decimal(start), swing, Decimal(size), pace)
    for symbol, contract, tick, step, most, market, least, start, swing, size, pace in (
        ("BTCUSDT", _L, "0.10", "0.001", "1190.000", "120.000", "5", "60000.0", 25.0, "2", 5.0),
        ("ETHUSDT", _L, "0.01", "0.01", "7240.00", "1500.00", "5", "3000.00", 18.0, "30", 4.0),
        ("SOLUSDT", _L, "0.010", "0.1", "79770.0", "12500.0", "5", "150.000", 2.0, "400", 3.0),
        ("BTCUSD", _I, "0.50", "1", "25000000", "5000000", "0", "60000.0", 5.0, "90000", 2.0),
        ("ETHUSD", _I, "0.05", "1", "10000000", "2000000", "0", "3000.00", 4.0, "40000", 2.0),
        ("BTCUSDT-SPOT", _S, "0.1", "0.000001", "230", "120", "5", "60000.0", 25.0, "2", 3.0),
        ("ETHUSDT-SPOT", _S, "0.01", "0.00001", "8118", "2706", "5", "3000.00", 18.0, "30", 2.0),
        ("SOLUSDT-SPOT", _S, "0.01", "0.001", "60000", "12000", "5", "150.00", 2.0, "400", 2.0),
    )
)
"""Three linear and two inverse perpetuals and three spot pairs, with the order rules that Bybit has for them."""


@dataclass(frozen=True, slots=True)
class Rules:
    """One instrument under its names, with how many places its numbers have on the wire."""

    symbol: str
    category: str
    name: str
    instrument: Instrument
    price_places: int
    quantity_places: int
    max_leverage: Decimal


class Listing:
    """`raw`: rows of instruments-info as they were recorded, by our symbol; those that are not there are made up."""

    def __init__(self, instruments: Iterable[Instrument], raw: Mapping[str, Any] | None = None) -> None:
        self._rules: dict[str, Rules] = {}
        self._rows: dict[str, dict[str, Any]] = {}
        for number, instrument in enumerate(instruments, start=1):
            row = dict((raw or {}).get(instrument.symbol) or _row(instrument, number))
            leverage = row.get("leverageFilter", {}).get("maxLeverage")
            self._rows[instrument.symbol] = row
            self._rules[instrument.symbol] = Rules(
                symbol=instrument.symbol,
                category=CATEGORY_OF[instrument.contract],
                name=name_of(instrument.symbol),
                instrument=instrument,
                price_places=_places(instrument.price_tick),
                quantity_places=_places(instrument.quantity_step),
                max_leverage=Decimal(leverage) if leverage else MAX_LEVERAGE,
            )
        self.symbols: tuple[str, ...] = tuple(self._rules)

    def __contains__(self, symbol: str) -> bool:
        return symbol in self._rules

    def rules(self, symbol: str) -> Rules:
        """By our symbol, which must be there."""
        return self._rules[symbol]

    def named(self, category: str, name: str) -> Rules:
        """By the venue's names. Raises `Refusal` where there is no such instrument."""
        found = self._rules.get(ours(category, name))
        if found is None or found.category != category:
            raise Refusal(170121) if category == SPOT else bad(f"params error: symbol invalid {name}")
        return found

    def of(self, category: str) -> list[Rules]:
        return [rules for rules in self._rules.values() if rules.category == category]

    def row(self, rules: Rules) -> dict[str, Any]:
        """Its row of instruments-info."""
        return self._rows[rules.symbol]


def check_category(category: str) -> str:
    """A category that is here. Options are known to the venue and have no instruments here."""
    if category in CATEGORIES or category == "option":
        return category
    raise bad("params error: Category is invalid" if category else "params error: category cannot be empty")


def _places(step: Decimal) -> int:
    exponent = step.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _row(instrument: Instrument, number: int) -> dict[str, Any]:
    name = name_of(instrument.symbol)
    if instrument.contract is Contract.SPOT:
        return {
            "symbolId": number,
            "symbol": name,
            "baseCoin": instrument.base,
            "quoteCoin": instrument.quote,
            "innovation": "0",
            "status": "Trading",
            "marginTrading": "utaOnly",
            "stTag": "0",
            "lotSizeFilter": {
                "basePrecision": f"{instrument.quantity_step:f}",
                "quotePrecision": "0.0000001",
                "minOrderQty": f"{instrument.min_quantity:f}",
                "maxOrderQty": f"{instrument.max_quantity:f}",
                "minOrderAmt": f"{instrument.min_notional:f}",
                "maxOrderAmt": "8000000",
                "maxLimitOrderQty": f"{instrument.max_quantity:f}",
                "maxMarketOrderQty": f"{instrument.market_max_quantity:f}",
                "postOnlyMaxLimitOrderSize": f"{instrument.max_quantity * 5:f}",
            },
            "priceFilter": {"tickSize": f"{instrument.price_tick:f}"},
            "riskParameters": {"priceLimitRatioX": "0.05", "priceLimitRatioY": "0.1"},
            "symbolType": "",
            "xstockMultiplier": "1",
        }
    inverse = instrument.contract is Contract.INVERSE
    tick = instrument.price_tick
    return {
        "symbol": name,
        "contractType": "InversePerpetual" if inverse else "LinearPerpetual",
        "status": "Trading",
        "baseCoin": instrument.base,
        "quoteCoin": instrument.quote,
        "launchTime": LAUNCH_MS,
        "deliveryTime": "0",
        "deliveryFeeRate": "",
        "priceScale": str(_places(tick)),
        "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
        "priceFilter": {"minPrice": f"{tick:f}", "maxPrice": f"{tick * 19_999_998:f}", "tickSize": f"{tick:f}"},
        "lotSizeFilter": {
            "maxOrderQty": f"{instrument.max_quantity:f}",
            "minOrderQty": f"{instrument.min_quantity:f}",
            "qtyStep": f"{instrument.quantity_step:f}",
            "postOnlyMaxOrderQty": f"{instrument.max_quantity:f}",
            "maxMktOrderQty": f"{instrument.market_max_quantity:f}",
            "minNotionalValue": f"{instrument.min_notional:f}",
        },
        "unifiedMarginTrade": True,
        "fundingInterval": 480,
        "settleCoin": instrument.settle,
        "copyTrading": "none" if inverse else "both",
        "upperFundingRate": "0.005",
        "lowerFundingRate": "-0.005",
        "isPreListing": False,
        "preListingInfo": None,
        "riskParameters": {"priceLimitRatioX": "0.05", "priceLimitRatioY": "0.1"},
        "displayName": "",
        "symbolType": "",
        "forbidUplWithdrawal": False,
        "symbolId": number,
    }
