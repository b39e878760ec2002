"""The listed symbols: their order rules as Binance's filters have them, and `exchangeInfo`.

A recorded market brings the `exchangeInfo` of its day, whose symbols are served as they were, with the fields added that
the venue has introduced since. Without one the filters are made from the instruments.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from copydesk.model import ZERO, Instrument, Record

from copydesk_binance.rehearsal.codes import Refusal

ORDER_TYPES = ["LIMIT", "MARKET", "STOP", "STOP_MARKET", "TAKE_PROFIT", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"]
TIMES_IN_FORCE = ["GTC", "IOC", "FOK", "GTX", "GTD"]
MAX_BATCH = 5
MAX_NOTIONAL = Decimal(50_000_000)
MAX_LEVERAGE = 125
MAINTENANCE_RATIO = 0.004
_PERPETUAL_UNTIL = 4133404800000
_LISTED_SINCE = 1569398400000


class Rules(Record):
    """The order rules of one symbol. `price_places` and `quantity_places` are the decimals of its numbers on the wire."""

    instrument: Instrument
    price_places: int
    quantity_places: int
    min_price: Decimal
    max_price: Decimal
    highest: Decimal
    lowest: Decimal

    @property
    def symbol(self) -> str:
        return self.instrument.symbol

    @property
    def quote_places(self) -> int:
        return self.price_places + self.quantity_places

    def check_price(self, price: Decimal) -> None:
        """Raises `Refusal` for a price that no filter lets through, with the code of the filter that stops it."""
        if price <= 0:
            raise Refusal(-4001)
        if _places(price) > self.price_places:
            raise Refusal(-1111)
        if self.max_price and price > self.max_price:
            raise Refusal(-4002)
        if price < self.min_price:
            raise Refusal(-4013)
        if price % self.instrument.price_tick:
            raise Refusal(-4014)

    def check_band(self, price: Decimal, mark: Decimal, *, buy: bool) -> None:
        """PERCENT_PRICE: a buy not too far above, a sell not too far below the mark price."""
        if not mark:
            return
        if buy and price > (limit := mark * self.highest):
            raise Refusal(-4016, f"{limit:.{self.price_places}f}")
        if not buy and price < (limit := mark * self.lowest):
            raise Refusal(-4024, f"{limit:.{self.price_places}f}")

    def check_quantity(self, quantity: Decimal, *, market: bool) -> None:
        instrument = self.instrument
        if quantity <= 0:
            raise Refusal(-4003)
        if _places(quantity) > self.quantity_places:
            raise Refusal(-1111)
        if quantity < instrument.min_quantity:
            raise Refusal(-4004)
        largest = instrument.market_max_quantity if market and instrument.market_max_quantity else instrument.max_quantity
        if largest and quantity > largest:
            raise Refusal(-4005)
        if quantity % instrument.quantity_step:
            raise Refusal(-4023)


class Listing:
    """All symbols of the venue."""

    def __init__(self, instruments: Iterable[Instrument], recorded: Mapping[str, Any] | None = None) -> None:
        described = {symbol["symbol"]: symbol for symbol in (recorded or {}).get("symbols", ())}
        listed = [instrument for instrument in instruments if instrument.trading]
        self._symbols = [_modern(described.get(one.symbol) or {}, one) for one in listed]
        self._rules = {one.symbol: _rules(one, symbol) for one, symbol in zip(listed, self._symbols, strict=True)}
        self._assets = (recorded or {}).get("assets") or _assets(listed)

    def __contains__(self, symbol: object) -> bool:
        return symbol in self._rules

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(self._rules)

    def rules(self, symbol: str) -> Rules:
        """Raises `Refusal` -1121 for a symbol that is not listed."""
        rules = self._rules.get(symbol)
        if rules is None:
            raise Refusal(-1121)
        return rules

    def exchange_info(
        self, now_ms: int, *, weight: int, orders_per_minute: int, orders_per_ten_seconds: int
    ) -> dict[str, Any]:
        return {
            "timezone": "UTC",
            "serverTime": now_ms,
            "futuresType": "U_MARGINED",
            "rateLimits": [
                {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": weight},
                {"rateLimitType": "ORDERS", "interval": "MINUTE", "intervalNum": 1, "limit": orders_per_minute},
                {"rateLimitType": "ORDERS", "interval": "SECOND", "intervalNum": 10, "limit": orders_per_ten_seconds},
            ],
            "exchangeFilters": [],
            "assets": self._assets,
            "symbols": self._symbols,
        }


def _places(value: Decimal) -> int:
    exponent = value.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _written_places(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _text(value: Decimal) -> str:
    return f"{value:f}"


def _modern(recorded: dict[str, Any], instrument: Instrument) -> dict[str, Any]:
    """The symbol as recorded, or made from the instrument, with today's fields."""
    symbol: dict[str, Any] = {
        "symbol": instrument.symbol,
        "pair": instrument.symbol,
        "contractType": "PERPETUAL",
        "deliveryDate": _PERPETUAL_UNTIL,
        "onboardDate": _LISTED_SINCE,
        "status": "TRADING",
        "maintMarginPercent": "2.5000",
        "requiredMarginPercent": "5.0000",
        "baseAsset": instrument.base,
        "quoteAsset": instrument.quote,
        "marginAsset": instrument.settle,
        "pricePrecision": max(2, _written_places(instrument.price_tick)),
        "quantityPrecision": _written_places(instrument.quantity_step),
        "baseAssetPrecision": 8,
        "quotePrecision": 8,
        "underlyingType": "COIN",
        "underlyingSubType": [],
        "settlePlan": 0,
        "triggerProtect": "0.0500",
        "liquidationFee": "0.012500",
        "marketTakeBound": "0.05",
        "maxMoveOrderLimit": 10000,
        "filters": _filters(instrument),
        **recorded,
    }
    filters = symbol["filters"]
    if not any(one["filterType"] == "POSITION_RISK_CONTROL" for one in filters):
        symbol["filters"] = [*filters, {"filterType": "POSITION_RISK_CONTROL", "positionControlSide": "NONE"}]
    return symbol | {
        "status": "TRADING",
        "orderTypes": ORDER_TYPES,
        "timeInForce": TIMES_IN_FORCE,
        "permissionSets": ["GRID", "COPY"],
    }


def _filters(instrument: Instrument) -> list[dict[str, Any]]:
    tick, step = instrument.price_tick, instrument.quantity_step
    largest = instrument.max_quantity or Decimal(1_000_000)
    smallest = instrument.min_quantity or step
    return [
        {"filterType": "PRICE_FILTER", "minPrice": _text(tick), "maxPrice": "10000000", "tickSize": _text(tick)},
        {"filterType": "LOT_SIZE", "minQty": _text(smallest), "maxQty": _text(largest), "stepSize": _text(step)},
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": _text(smallest),
            "maxQty": _text(instrument.market_max_quantity or largest),
            "stepSize": _text(step),
        },
        {"filterType": "MAX_NUM_ORDERS", "limit": 200},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "limit": 200},
        {"filterType": "MIN_NOTIONAL", "notional": _text(instrument.min_notional or ZERO)},
        {"filterType": "PERCENT_PRICE", "multiplierUp": "1.0500", "multiplierDown": "0.9500", "multiplierDecimal": "4"},
    ]


def _rules(instrument: Instrument, symbol: Mapping[str, Any]) -> Rules:
    filters = {one["filterType"]: one for one in symbol["filters"]}
    price, percent = filters.get("PRICE_FILTER", {}), filters.get("PERCENT_PRICE", {})
    return Rules(
        instrument=instrument,
        price_places=int(symbol["pricePrecision"]),
        quantity_places=int(symbol["quantityPrecision"]),
        min_price=Decimal(price.get("minPrice", "0")),
        max_price=Decimal(price.get("maxPrice", "0")),
        highest=Decimal(percent.get("multiplierUp", "1.05")),
        lowest=Decimal(percent.get("multiplierDown", "0.95")),
    )


def _assets(instruments: Iterable[Instrument]) -> list[dict[str, Any]]:
    return [
        {"asset": asset, "marginAvailable": True, "autoAssetExchange": "-10000"}
        for asset in dict.fromkeys(one.settle for one in instruments)
    ]
