"""REST endpoints for everybody: general information and market data of spot."""

from __future__ import annotations

from typing import Any

from copydesk_binance.rehearsal.codes import Refusal
from copydesk_binance.rehearsal.market import INTERVALS
from copydesk_binance.rehearsal.routing import by_limit
from copydesk_binance.rehearsal.spot.rest import Call, Rest, public
from copydesk_binance.rehearsal.wire import Json

# --- general ------------------------------------------------------------------------------------------------


@public("/api/v3/ping", "/fapi/v1/ping", "/dapi/v1/ping")
def _ping(rest: Rest, call: Call) -> Json:
    return {}


@public("/api/v3/time", "/fapi/v1/time", "/dapi/v1/time")
def _time(rest: Rest, call: Call) -> Json:
    return {"serverTime": rest.now_ms() - rest.misbehaviour.behind_ms}


@public("/api/v3/exchangeInfo", weight=20)
def _exchange_info(rest: Rest, call: Call) -> Json:
    listing = rest.desk.listing
    with_sets = call.params.text("showPermissionSets", "true").lower() == "true"
    symbols = [listing.described[symbol] for symbol in rest.symbols(call)]
    if not with_sets:
        symbols = [symbol | {"permissionSets": []} for symbol in symbols]
    weight = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": rest.weight_per_minute}
    raw = {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 61_000}
    return {
        "timezone": "UTC",
        "serverTime": rest.now_ms(),
        "rateLimits": [weight, *(limit.told() for limit in rest.orders), raw],
        "exchangeFilters": [],
        "symbols": symbols,
    }


@public("/api/v3/executionRules", weight=2)
def _execution_rules(rest: Rest, call: Call) -> Json:
    """No pair has a range beyond which an order does not trade."""
    return {"symbolRules": [{"symbol": symbol, "rules": []} for symbol in rest.symbols(call)]}


@public("/fapi/v1/exchangeInfo", "/dapi/v1/exchangeInfo")
def _no_futures(rest: Rest, call: Call) -> Json:
    """What ccxt asks the other services for when it loads markets: there are none here."""
    return {"timezone": "UTC", "serverTime": rest.now_ms(), "rateLimits": [], "exchangeFilters": [], "symbols": []}


# --- market data --------------------------------------------------------------------------------------------


@public("/api/v3/depth", weight=by_limit(100, (100, 5), (500, 25), (1000, 50), (5000, 250)))
def _depth(rest: Rest, call: Call) -> Json:
    limit = call.params.limit(100, 5000)
    return rest.market.depth(rest.symbol(call), limit)


@public("/api/v3/trades", "/api/v3/historicalTrades", weight=25)
def _trades(rest: Rest, call: Call) -> list[Json]:
    limit, from_id = call.params.limit(500, 1000), call.params.integer("fromId")
    rows = rest.market.trades(rest.symbol(call), 1000)
    return rows[-limit:] if from_id is None else [row for row in rows if row["id"] >= from_id][:limit]


@public("/api/v3/aggTrades", weight=4)
def _aggregate_trades(rest: Rest, call: Call) -> list[Json]:
    params = call.params
    rows = rest.market.aggregate_trades(rest.symbol(call), 1000)
    from_id, start, end = params.integer("fromId") or 0, params.integer("startTime") or 0, params.integer("endTime")
    rows = [row for row in rows if row["a"] >= from_id and row["T"] >= start and (end is None or row["T"] <= end)]
    limit = params.limit(500, 1000)
    return rows[:limit] if from_id or start else rows[-limit:]


@public("/api/v3/klines", "/api/v3/uiKlines", weight=2)
def _candles(rest: Rest, call: Call) -> list[list[str | int]]:
    params, symbol, interval = call.params, rest.symbol(call), call.params.mandatory("interval")
    start, end = params.integer("startTime") or 0, params.integer("endTime") or 0
    bars = rest.market.candles(symbol, interval, params.limit(500, 1000), start, end)
    return [rest.market.candle_row(bar, INTERVALS[interval]) for bar in bars]


@public("/api/v3/avgPrice", weight=2)
def _average(rest: Rest, call: Call) -> Json:
    return rest.market.average(rest.symbol(call))


def _by_count(one: int, several: int) -> Any:
    return lambda params: one if "symbol" in params else several


@public("/api/v3/ticker/price", weight=_by_count(2, 4))
def _price(rest: Rest, call: Call) -> Json | list[Json]:
    return rest.for_symbols(call, rest.market.price)


@public("/api/v3/ticker/bookTicker", weight=_by_count(2, 4))
def _book_ticker(rest: Rest, call: Call) -> Json | list[Json]:
    return rest.for_symbols(call, rest.market.book_ticker)


@public("/api/v3/ticker/24hr", "/api/v3/ticker/tradingDay", "/api/v3/ticker", weight=_by_count(2, 80))
def _day(rest: Rest, call: Call) -> Json | list[Json]:
    kind = call.params.text("type", "FULL")
    if kind not in ("FULL", "MINI"):
        raise Refusal(-1139, message="Invalid ticker type.")
    make = rest.market.day if kind == "FULL" else lambda symbol: _mini(rest.market.day(symbol))
    return rest.for_symbols(call, make)


_MINI = ("symbol", "openPrice", "highPrice", "lowPrice", "lastPrice", "volume", "quoteVolume", "openTime", "closeTime")


def _mini(day: Json) -> Json:
    return {name: day[name] for name in (*_MINI, "firstId", "lastId", "count")}
