"""The listed pairs: their filters, and `exchangeInfo`.

A recorded market brings the `exchangeInfo` of its day, whose symbols are served as they were, with the fields added that
the venue has introduced since. Without one the filters are made from the instruments.
Source: https://developers.binance.com/docs/binance-spot-api-docs/filters
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from copydesk.model import ZERO, Contract, Instrument, OrderType, Record, Side, Terms
from copydesk_paper.synthetic import Character

from copydesk_binance.rehearsal.codes import Refusal
from copydesk_binance.rehearsal.spot.codes import filter_failure

PLACES = 8
"""All prices and quantities of spot have so many decimals on the wire."""
ORDER_TYPES = ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT", "TAKE_PROFIT_LIMIT"]
PREVENTION_MODES = ["NONE", "EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH", "DECREMENT"]
PERMISSIONS = [["SPOT", "MARGIN"]]
MAX_TRAIL = 2_000


def pair(symbol: str, base: str, tick: str, step: str, largest: str, least: str) -> Instrument:
    """A spot pair with the order rules that Binance has for it."""
    quote = symbol.removeprefix(base)
    return Instrument(
        symbol=symbol,
        base=base,
        quote=quote,
        settle=quote,
        contract=Contract.SPOT,
        price_tick=Decimal(tick),
        quantity_step=Decimal(step),
        min_quantity=Decimal(step),
        max_quantity=Decimal(largest),
        min_notional=Decimal(least),
    )


CHARACTERS = (
    Character(pair("BTCUSDT", "BTC", "0.01", "0.00001", "9000", "5"), Decimal("60000.00"), 250.0, Decimal("2"), 5.0),
    Character(pair("ETHUSDT", "ETH", "0.01", "0.0001", "9000", "5"), Decimal("3000.00"), 18.0, Decimal("30"), 4.0),
    Character(pair("SOLUSDT", "SOL", "0.01", "0.001", "90000", "5"), Decimal("150.00"), 2.0, Decimal("400"), 3.0),
    Character(pair("BNBUSDT", "BNB", "0.01", "0.001", "90000", "5"), Decimal("600.00"), 8.0, Decimal("60"), 2.0),
    Character(pair("ETHBTC", "ETH", "0.00001", "0.0001", "100000", "0.0001"), Decimal("0.05000"), 3.0, Decimal("20"), 2.0),
)
"""Pairs of the synthetic market."""


class Rules(Record):
    """The filters of one pair. A limit of zero is none."""

    instrument: Instrument
    min_price: Decimal = ZERO
    max_price: Decimal = ZERO
    bid_highest: Decimal = ZERO
    bid_lowest: Decimal = ZERO
    ask_highest: Decimal = ZERO
    ask_lowest: Decimal = ZERO
    percent_filter: str = "PERCENT_PRICE_BY_SIDE"
    notional_filter: str = "NOTIONAL"
    max_notional: Decimal = ZERO
    notional_of_market: bool = True
    min_trail: int = 10
    max_trail: int = MAX_TRAIL
    max_orders: int = 200
    max_algo_orders: int = 5
    max_lists: int = 20
    max_amends: int = 10

    @property
    def symbol(self) -> str:
        return self.instrument.symbol

    def check_price(self, price: Decimal, name: str = "price") -> None:
        """PRICE_FILTER, of a price and of a stop price. Raises `Refusal`."""
        if _places(price) > PLACES:
            raise Refusal(-1111, name)
        too_far = (self.max_price and price > self.max_price) or price < self.min_price
        if price <= 0 or too_far or price % self.instrument.price_tick:
            raise filter_failure("PRICE_FILTER")

    def check_quantity(self, quantity: Decimal, *, market: bool) -> None:
        """LOT_SIZE and MARKET_LOT_SIZE."""
        instrument = self.instrument
        if _places(quantity) > PLACES:
            raise Refusal(-1111, "quantity")
        if quantity < instrument.min_quantity or quantity <= 0 or quantity % instrument.quantity_step:
            raise filter_failure("LOT_SIZE")
        if instrument.max_quantity and quantity > instrument.max_quantity:
            raise filter_failure("LOT_SIZE")
        if market and instrument.market_max_quantity and quantity > instrument.market_max_quantity:
            raise filter_failure("MARKET_LOT_SIZE")

    def check_worth(self, terms: Terms, last: Decimal) -> None:
        """NOTIONAL, at the order's price or else the last one; and the price's distance from the last one."""
        is_market = terms.type is OrderType.MARKET
        worth = terms.quantity * (terms.price or terms.trigger_price or last)
        wrong = worth < self.instrument.min_notional or (self.max_notional and worth > self.max_notional)
        if wrong and (not is_market or self.notional_of_market):
            raise filter_failure(self.notional_filter)
        if terms.price is None or not last:
            return
        bid = terms.side is Side.BUY
        highest, lowest = (self.bid_highest, self.bid_lowest) if bid else (self.ask_highest, self.ask_lowest)
        if (highest and terms.price > last * highest) or terms.price < last * lowest:
            raise filter_failure(self.percent_filter)

    def check_trail(self, basis_points: int) -> None:
        if not self.min_trail <= basis_points <= self.max_trail:
            raise filter_failure("TRAILING_DELTA")


class Listing:
    """All pairs of the venue."""

    def __init__(self, instruments: Iterable[Instrument], recorded: Mapping[str, Any] | None = None) -> None:
        described = {symbol["symbol"]: symbol for symbol in (recorded or {}).get("symbols", ())}
        listed = [instrument for instrument in instruments if instrument.trading]
        self.described = {one.symbol: _modern(described.get(one.symbol) or {}, one) for one in listed}
        self._rules = {one.symbol: _rules(one, self.described[one.symbol]) for one in listed}

    def __contains__(self, symbol: object) -> bool:
        return symbol in self._rules

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(self._rules)

    @property
    def assets(self) -> tuple[str, ...]:
        named = (asset for rules in self._rules.values() for asset in (rules.instrument.base, rules.instrument.quote))
        return tuple(dict.fromkeys(named))

    def rules(self, symbol: str) -> Rules:
        """Raises `Refusal` -1121 for a pair that is not listed."""
        rules = self._rules.get(symbol)
        if rules is None:
            raise Refusal(-1121)
        return rules


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _text(value: Decimal) -> str:
    return f"{value:.{PLACES}f}"


def _modern(recorded: dict[str, Any], instrument: Instrument) -> dict[str, Any]:
    """The pair as recorded, or made from the instrument, with today's fields in today's order."""
    symbol: dict[str, Any] = {
        "symbol": instrument.symbol,
        "status": "TRADING",
        "baseAsset": instrument.base,
        "baseAssetPrecision": PLACES,
        "quoteAsset": instrument.quote,
        "quotePrecision": PLACES,
        "quoteAssetPrecision": PLACES,
        "baseCommissionPrecision": PLACES,
        "quoteCommissionPrecision": PLACES,
        "orderTypes": ORDER_TYPES,
        "icebergAllowed": False,
        "ocoAllowed": True,
        "otoAllowed": True,
        "opoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "amendAllowed": True,
        "pegInstructionsAllowed": False,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": recorded.get("filters") or _filters(instrument),
        "permissions": [],
        "permissionSets": PERMISSIONS,
        "defaultSelfTradePreventionMode": "NONE",
        "allowedSelfTradePreventionModes": PREVENTION_MODES,
    }
    known = {one["filterType"] for one in symbol["filters"]}
    symbol["filters"] = [*symbol["filters"], *(one for one in _NEW_FILTERS if one["filterType"] not in known)]
    return symbol


_NEW_FILTERS: tuple[dict[str, Any], ...] = (
    {
        "filterType": "TRAILING_DELTA",
        "minTrailingAboveDelta": 10,
        "maxTrailingAboveDelta": MAX_TRAIL,
        "minTrailingBelowDelta": 10,
        "maxTrailingBelowDelta": MAX_TRAIL,
    },
    {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": 200},
    {"filterType": "MAX_NUM_ORDER_LISTS", "maxNumOrderLists": 20},
    {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": 5},
    {"filterType": "MAX_NUM_ORDER_AMENDS", "maxNumOrderAmends": 10},
)


def _filters(instrument: Instrument) -> list[dict[str, Any]]:
    tick, step = _text(instrument.price_tick), _text(instrument.quantity_step)
    largest = _text(instrument.max_quantity or Decimal(9_000_000))
    return [
        {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "1000000.00000000", "tickSize": tick},
        {"filterType": "LOT_SIZE", "minQty": step, "maxQty": largest, "stepSize": step},
        {"filterType": "ICEBERG_PARTS", "limit": 100},
        {"filterType": "MARKET_LOT_SIZE", "minQty": "0.00000000", "maxQty": largest, "stepSize": "0.00000000"},
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": "5",
            "bidMultiplierDown": "0.2",
            "askMultiplierUp": "5",
            "askMultiplierDown": "0.2",
            "avgPriceMins": 5,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": _text(instrument.min_notional),
            "applyMinToMarket": True,
            "maxNotional": "9000000.00000000",
            "applyMaxToMarket": False,
            "avgPriceMins": 5,
        },
    ]


def _rules(instrument: Instrument, symbol: Mapping[str, Any]) -> Rules:
    filters: dict[str, Mapping[str, Any]] = {one["filterType"]: one for one in symbol["filters"]}
    price, by_side = filters.get("PRICE_FILTER", {}), filters.get("PERCENT_PRICE_BY_SIDE")
    percent = filters.get("PERCENT_PRICE", {})
    both = {"Up": percent.get("multiplierUp", "0"), "Down": percent.get("multiplierDown", "0")}
    band = by_side or {f"{side}Multiplier{way}": value for side in ("bid", "ask") for way, value in both.items()}
    notional = filters.get("NOTIONAL", filters.get("MIN_NOTIONAL", {}))
    trail = filters["TRAILING_DELTA"]
    return Rules(
        instrument=instrument,
        min_price=Decimal(price.get("minPrice", "0")),
        max_price=Decimal(price.get("maxPrice", "0")),
        bid_highest=Decimal(band["bidMultiplierUp"]),
        bid_lowest=Decimal(band["bidMultiplierDown"]),
        ask_highest=Decimal(band["askMultiplierUp"]),
        ask_lowest=Decimal(band["askMultiplierDown"]),
        percent_filter="PERCENT_PRICE_BY_SIDE" if by_side else "PERCENT_PRICE",
        notional_filter="NOTIONAL" if "NOTIONAL" in filters else "MIN_NOTIONAL",
        max_notional=Decimal(notional.get("maxNotional", "0")),
        notional_of_market=bool(notional.get("applyMinToMarket", notional.get("applyToMarket", True))),
        min_trail=int(trail["minTrailingAboveDelta"]),
        max_trail=int(trail["maxTrailingAboveDelta"]),
        max_orders=int(filters["MAX_NUM_ORDERS"]["maxNumOrders"]),
        max_algo_orders=int(filters["MAX_NUM_ALGO_ORDERS"]["maxNumAlgoOrders"]),
        max_lists=int(filters["MAX_NUM_ORDER_LISTS"]["maxNumOrderLists"]),
        max_amends=int(filters["MAX_NUM_ORDER_AMENDS"]["maxNumOrderAmends"]),
    )
