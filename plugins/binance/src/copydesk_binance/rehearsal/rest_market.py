"""REST endpoints for everybody: general information and market data."""

from __future__ import annotations

from copydesk_binance.rehearsal.codes import Refusal
from copydesk_binance.rehearsal.market import INTERVALS
from copydesk_binance.rehearsal.rest import Call, Rest, Security, by_limit, by_symbol, public, route
from copydesk_binance.rehearsal.wire import Json

# --- general ------------------------------------------------------------------------------------------------


@public("/fapi/v1/ping", "/api/v3/ping")
def _ping(rest: Rest, call: Call) -> Json:
    return {}


@public("/fapi/v1/time", "/api/v3/time")
def _time(rest: Rest, call: Call) -> Json:
    return {"serverTime": rest.now_ms() - rest.misbehaviour.behind_ms}


@public("/fapi/v1/exchangeInfo")
def _exchange_info(rest: Rest, call: Call) -> Json:
    limits = rest.limits
    return rest.venue.listing.exchange_info(
        rest.now_ms(),
        weight=limits.weight_per_minute,
        orders_per_minute=limits.orders_per_minute,
        orders_per_ten_seconds=limits.orders_per_ten_seconds,
    )


# --- market data --------------------------------------------------------------------------------------------

_BOOK_LIMITS = (5, 10, 20, 50, 100, 500, 1000)


@public("/fapi/v1/depth", weight=by_limit(500, (50, 2), (100, 5), (500, 10), (1000, 20)))
def _depth(rest: Rest, call: Call) -> Json:
    limit = call.params.integer("limit") or 500
    if limit not in _BOOK_LIMITS:
        raise Refusal(-4021, message=f"{limit} is not valid depth limit.")
    return rest.market.depth(rest.symbol(call), limit)


@public("/fapi/v1/rpiDepth", weight=20)
def _retail_depth(rest: Rest, call: Call) -> Json:
    """There are no retail price improvement orders here: the book as it is."""
    limit = call.params.integer("limit") or 1000
    if limit != 1000:
        raise Refusal(-4021, message=f"{limit} is not valid depth limit.")
    return rest.market.depth(rest.symbol(call), limit)


@public("/fapi/v1/trades", weight=5)
def _trades(rest: Rest, call: Call) -> list[Json]:
    return rest.market.trades(rest.symbol(call), call.params.limit(500, 1000))


@route("GET", "/fapi/v1/historicalTrades", security=Security.KEY, weight=200)
def _historical_trades(rest: Rest, call: Call) -> list[Json]:
    rows = rest.market.trades(rest.symbol(call), 1000)
    from_id = call.params.integer("fromId") or 0
    return [row for row in rows if row["id"] >= from_id][-call.params.limit(100, 500) :]


@public("/fapi/v1/aggTrades", weight=20)
def _aggregate_trades(rest: Rest, call: Call) -> list[Json]:
    params = call.params
    rows = rest.market.aggregate_trades(rest.symbol(call), 1000)
    from_id, start, end = params.integer("fromId") or 0, params.start_ms, params.integer("endTime")
    rows = [row for row in rows if row["a"] >= from_id and row["T"] >= start and (end is None or row["T"] <= end)]
    limit = params.limit(500, 1000)
    return rows[:limit] if from_id or start else rows[-limit:]


_CANDLE_WEIGHT = by_limit(500, (99, 1), (499, 2), (1000, 5), (1500, 10))


def _candle_rows(rest: Rest, call: Call, symbol: str) -> list[list[str | int]]:
    params, interval = call.params, call.params.mandatory("interval")
    start, end = params.start_ms, params.integer("endTime") or 0
    if start and end and start > end:
        raise Refusal(-1023, message="Start time is greater than end time.")
    rules = rest.venue.listing.rules(symbol)
    bars = rest.market.candles(symbol, interval, params.limit(500, 1500), start, end)
    return [rest.market.candle_row(bar, INTERVALS[interval], rules) for bar in bars]


@public("/fapi/v1/klines", "/fapi/v1/markPriceKlines", weight=_CANDLE_WEIGHT)
def _candles(rest: Rest, call: Call) -> list[list[str | int]]:
    return _candle_rows(rest, call, call.params.mandatory("symbol"))


@public("/fapi/v1/continuousKlines", "/fapi/v1/indexPriceKlines", weight=_CANDLE_WEIGHT)
def _pair_candles(rest: Rest, call: Call) -> list[list[str | int]]:
    return _candle_rows(rest, call, call.params.mandatory("pair"))


@public("/fapi/v1/premiumIndexKlines", weight=_CANDLE_WEIGHT)
def _premium_candles(rest: Rest, call: Call) -> list[list[str | int]]:
    """The index price is the mark price here, so that the premium is nothing."""
    nothing = "0.00000000"
    return [
        [opened, *[nothing] * 4, "0", closed, "0", count, "0", "0", "0"]
        for opened, _, _, _, _, _, closed, _, count, *_ in _candle_rows(rest, call, call.params.mandatory("symbol"))
    ]


@public("/fapi/v1/constituents", weight=2)
def _constituents(rest: Rest, call: Call) -> Json:
    """The one place where the index price comes from."""
    symbol = rest.symbol(call)
    price = rest.market.premium(symbol)["indexPrice"]
    source = {"exchange": "rehearsal", "symbol": symbol, "price": price, "weight": "1.00000000"}
    return {"symbol": symbol, "time": rest.now_ms(), "constituents": [source]}


@public("/fapi/v1/premiumIndex", weight=by_symbol(1, 10))
def _premium_index(rest: Rest, call: Call) -> Json | list[Json]:
    return rest.for_symbols(call, rest.market.premium)


@public("/fapi/v1/ticker/price", "/fapi/v2/ticker/price", weight=by_symbol(1, 2))
def _price(rest: Rest, call: Call) -> Json | list[Json]:
    return rest.for_symbols(call, rest.market.price)


@public("/fapi/v1/ticker/bookTicker", weight=by_symbol(2, 5))
def _book_ticker(rest: Rest, call: Call) -> Json | list[Json]:
    return rest.for_symbols(call, rest.market.book_ticker)


@public("/fapi/v1/ticker/24hr", weight=by_symbol(1, 40))
def _day(rest: Rest, call: Call) -> Json | list[Json]:
    return rest.for_symbols(call, rest.market.day)


@public("/fapi/v1/fundingRate")
def _funding_rate(rest: Rest, call: Call) -> list[Json]:
    limit = call.params.limit(100, 1000)
    return [row for symbol in rest.symbols(call) for row in rest.market.funding(symbol, limit)][-limit:]


@public("/fapi/v1/fundingInfo")
def _funding_info(rest: Rest, call: Call) -> list[Json]:
    return []
