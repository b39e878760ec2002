"""REST endpoints for everybody: general information and market data of spot."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from copydesk_binance.rehearsal.codes import Refusal
from copydesk_binance.rehearsal.market import DAY, HOUR, MINUTE
from copydesk_binance.rehearsal.parameters import Params
from copydesk_binance.rehearsal.routing import by_limit
from copydesk_binance.rehearsal.spot.rest import Call, Rest, public
from copydesk_binance.rehearsal.wire import Json

STATUSES = ("TRADING", "HALT", "BREAK")

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
    symbols = [symbol for symbol in map(listing.described.__getitem__, rest.symbols(call)) if _is_asked_for(call, symbol)]
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


def _is_asked_for(call: Call, symbol: Json) -> bool:
    """By `permissions` and `symbolStatus`, neither of which goes with names of pairs."""
    params = call.params
    for name in ("permissions", "symbolStatus"):
        if name in params and ("symbol" in params or "symbols" in params):
            raise Refusal(-1128)
    status = params.text("symbolStatus")
    if status and status not in STATUSES:
        raise Refusal(-1122, message="Invalid symbolStatus.")
    wanted = set(re.findall(r"[A-Z0-9_]+", params.text("permissions") or "SPOT MARGIN LEVERAGED"))
    granted = {permission for one in symbol["permissionSets"] for permission in one}
    return bool(wanted & granted) and status in ("", symbol["status"])


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
    from_id, start, end = params.integer("fromId") or 0, params.start_ms, params.integer("endTime")
    rows = [row for row in rows if row["a"] >= from_id and row["T"] >= start and (end is None or row["T"] <= end)]
    limit = params.limit(500, 1000)
    return rows[:limit] if from_id or start else rows[-limit:]


def _time_zone(call: Call) -> int:
    """How far a zone is ahead of UTC, in milliseconds: `8`, `-1:00`, `05:45`."""
    text = call.params.text("timeZone", "0")
    found = re.fullmatch(r"([+-]?)(\d{1,2})(?::(\d{2}))?", text)
    if found is None or int(found[3] or 0) > 59:
        raise Refusal(-1130, "timeZone")
    ahead = (int(found[2]) * 60 + int(found[3] or 0)) * (-MINUTE if found[1] == "-" else MINUTE)
    if not -12 * HOUR <= ahead <= 14 * HOUR:
        raise Refusal(-1130, "timeZone")
    return ahead


@public("/api/v3/klines", "/api/v3/uiKlines", weight=2)
def _candles(rest: Rest, call: Call) -> list[list[str | int]]:
    params, symbol, interval = call.params, rest.symbol(call), call.params.mandatory("interval")
    start, end = params.start_ms, params.integer("endTime") or 0
    bars = rest.market.candles(symbol, interval, params.limit(500, 1000), start, end, ahead_ms=_time_zone(call))
    return [rest.market.candle_row(bar, rest.market.intervals[interval]) for bar in bars]


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


@public("/api/v3/ticker/24hr", weight=_by_count(2, 80))
def _day(rest: Rest, call: Call) -> Json | list[Json]:
    return rest.for_symbols(call, _full_or_mini(call, rest.market.day))


def _for_each(params: Params) -> int:
    """Four for each pair, 200 at most."""
    return 4 if "symbol" in params else min(200, 4 * (params.text("symbols").count(",") + 1))


@public("/api/v3/ticker/tradingDay", weight=_for_each)
def _trading_day(rest: Rest, call: Call) -> Json | list[Json]:
    _check_named(call)
    ahead, now = _time_zone(call), rest.now_ms()
    midnight = (now + ahead) // DAY * DAY - ahead
    return rest.for_symbols(call, _full_or_mini(call, lambda symbol: rest.market.window(symbol, midnight)))


@public("/api/v3/ticker", weight=_for_each)
def _rolling(rest: Rest, call: Call) -> Json | list[Json]:
    _check_named(call)
    size = re.fullmatch(r"([1-9]|[1-5]\d)m|([1-9]|1\d|2[0-3])h|([1-7])d", call.params.text("windowSize", "1d"))
    if size is None:
        raise Refusal(-1130, "windowSize")
    length = next(int(one) * unit for one, unit in zip(size.groups(), (MINUTE, HOUR, DAY), strict=True) if one)
    start = rest.now_ms() - length
    return rest.for_symbols(call, _full_or_mini(call, lambda symbol: rest.market.window(symbol, start)))


def _check_named(call: Call) -> None:
    if "symbol" not in call.params and "symbols" not in call.params:
        raise Refusal(-1102, message="Param 'symbol' or 'symbols' must be sent, but both were empty/null!")


def _full_or_mini(call: Call, make: Callable[[str], Json]) -> Callable[[str], Json]:
    kind = call.params.text("type", "FULL")
    if kind not in ("FULL", "MINI"):
        raise Refusal(-1139, message="Invalid ticker type.")
    return make if kind == "FULL" else lambda symbol: _mini(make(symbol))


# --- what there is nothing of here --------------------------------------------------------------------------


@public("/api/v3/historicalBlockTrades", weight=25)
def _block_trades(rest: Rest, call: Call) -> list[Json]:
    """Nobody trades in blocks here."""
    rest.symbol(call)
    if call.params.integer("fromId") is None:
        raise Refusal(-1102, "fromId")
    return []


@public("/api/v3/referencePrice", "/api/v3/referencePrice/calculation", weight=2)
def _reference_price(rest: Rest, call: Call) -> Json:
    rest.symbol(call)
    raise Refusal(-2043, message="This symbol doesn't have a reference price.")


_MINI = ("symbol", "openPrice", "highPrice", "lowPrice", "lastPrice", "volume", "quoteVolume", "openTime", "closeTime")


def _mini(day: Json) -> Json:
    return {name: day[name] for name in (*_MINI, "firstId", "lastId", "count")}
