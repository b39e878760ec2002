"""REST endpoints of the market: no key needed."""

from __future__ import annotations

from copydesk.model import ZERO

from copydesk_bybit.rehearsal.codes import bad
from copydesk_bybit.rehearsal.listing import Rules, check_category
from copydesk_bybit.rehearsal.market import FUNDING_MS, FUNDING_RATE, INTERVALS, MAX_CANDLES
from copydesk_bybit.rehearsal.rest import Call, Rest, listed, page, public
from copydesk_bybit.rehearsal.wire import Json, padded
from copydesk_bybit.symbols import SPOT

FAR_MS = 10**15
MINUTE_MS = 60_000
INTEREST_MS = {
    "5min": 5 * MINUTE_MS,
    "15min": 15 * MINUTE_MS,
    "30min": 30 * MINUTE_MS,
    "1h": 60 * MINUTE_MS,
    "4h": 240 * MINUTE_MS,
    "1d": 1440 * MINUTE_MS,
}


def _category(call: Call, default: str = "") -> str:
    return check_category(call.params.text("category") or default)


def named(rest: Rest, call: Call, default: str = "") -> Rules:
    """The instrument that was asked for."""
    return rest.desk.listing.named(_category(call, default), call.params.need("symbol"))


@public("/v5/market/time")
def _time(rest: Rest, call: Call) -> Json:
    now = rest.now_ms()
    return {"timeSecond": str(now // 1000), "timeNano": f"{now}000000"}


@public("/v5/market/instruments-info")
def _instruments(rest: Rest, call: Call) -> Json:
    params, category = call.params, _category(call)
    if "symbol" in params:
        every = [rest.desk.listing.named(category, params.text("symbol"))]
    else:
        every = rest.desk.listing.of(category)
    wanted = params.text("status") or "Trading"
    rows = [
        row
        for rules in every
        if (row := rest.desk.listing.row(rules))["status"] == wanted
        and params.text("baseCoin") in ("", rules.instrument.base)
    ]
    if category == SPOT:
        return {"category": category, "list": rows}
    part, cursor = page(rows, params, 500, 1000)
    return listed(part, cursor, category)


@public("/v5/market/tickers")
def _tickers(rest: Rest, call: Call) -> Json:
    params, category = call.params, _category(call)
    every = [named(rest, call)] if "symbol" in params else rest.desk.listing.of(category)
    return {"category": category, "list": [rest.market.ticker(rules) for rules in every]}


@public("/v5/market/orderbook")
def _book(rest: Rest, call: Call) -> Json:
    rules = named(rest, call)
    return rest.market.book(rules, call.params.limit(1 if rules.category == SPOT else 25, 1000))


@public("/v5/market/recent-trade")
def _trades(rest: Rest, call: Call) -> Json:
    rules = named(rest, call)
    most = 60 if rules.category == SPOT else 1000
    return {"category": rules.category, "list": rest.market.trades(rules, call.params.limit(min(500, most), most))}


def candles(rest: Rest, call: Call) -> tuple[Rules, list[list[str]]]:
    """The bars that were asked for, the newest first."""
    params = call.params
    rules = named(rest, call, "linear")
    interval = params.need("interval")
    if interval not in INTERVALS:
        raise bad("Invalid period!")
    start, end = params.integer("start") or 0, params.integer("end") or FAR_MS
    rows = rest.market.candle_rows(rules, interval, start, end, params.limit(200, MAX_CANDLES))
    return rules, rows


@public("/v5/market/kline")
def _kline(rest: Rest, call: Call) -> Json:
    rules, rows = candles(rest, call)
    return {"symbol": rules.name, "category": rules.category, "list": rows}


def _price_kline(rest: Rest, call: Call) -> Json:
    """Mark and index prices have no volume. Here they are the traded prices."""
    rules, rows = candles(rest, call)
    if rules.category == SPOT:
        raise bad("params error: Category is invalid")
    return {"symbol": rules.name, "category": rules.category, "list": [row[:5] for row in rows]}


public("/v5/market/mark-price-kline")(_price_kline)
public("/v5/market/index-price-kline")(_price_kline)


@public("/v5/market/funding/history")
def _funding(rest: Rest, call: Call) -> Json:
    rules = named(rest, call)
    now = rest.now_ms()
    newest = now - now % FUNDING_MS
    rows = [
        {"symbol": rules.name, "fundingRate": FUNDING_RATE, "fundingRateTimestamp": str(newest - number * FUNDING_MS)}
        for number in range(call.params.limit(200, 200))
    ]
    return {"category": rules.category, "list": rows}


@public("/v5/market/open-interest")
def _open_interest(rest: Rest, call: Call) -> Json:
    """Nobody holds a position against the recording: what the accounts hold is all there is."""
    rules = named(rest, call)
    length = INTEREST_MS.get(call.params.need("intervalTime"))
    if length is None:
        raise bad("params error: intervalTime is invalid")
    exchange = rest.desk.exchange
    held = sum(
        (
            position.quantity
            for name in rest.desk.accounts
            for position in exchange.positions(name)
            if position.symbol == rules.symbol and position.quantity > 0
        ),
        ZERO,
    )
    now = rest.now_ms()
    row: Json = {"openInterest": padded(held, rules.quantity_places), "timestamp": str(now - now % length)}
    return {"symbol": rules.name, "category": rules.category, "list": [row], "nextPageCursor": ""}


@public("/v5/market/risk-limit")
def _risk_limits(rest: Rest, call: Call) -> Json:
    category = _category(call)
    every = [named(rest, call)] if "symbol" in call.params else rest.desk.listing.of(category)
    rows = [
        {
            "id": 1,
            "symbol": rules.name,
            "riskLimitValue": "2000000",
            "maintenanceMargin": "0.004",
            "initialMargin": "0.01",
            "isLowestRisk": 1,
            "maxLeverage": f"{rules.max_leverage:f}",
            "mmDeduction": "",
        }
        for rules in every
    ]
    return {"category": category, "list": rows, "nextPageCursor": ""}


@public("/v5/market/price-limit")
def _price_limit(rest: Rest, call: Call) -> Json:
    rules = named(rest, call, "linear")
    mark = rest.desk.exchange.quote(rules.symbol).mark
    tick = rules.instrument.price_tick
    high, low = mark * 11 / 10 // tick * tick, mark * 9 / 10 // tick * tick
    return {
        "symbol": rules.name,
        "buyLmt": padded(high, rules.price_places),
        "sellLmt": padded(low, rules.price_places),
        "ts": str(rest.now_ms()),
    }


@public("/v5/system/status")
def _status(rest: Rest, call: Call) -> Json:
    return {"list": []}


@public("/v5/announcements/index")
def _announcements(rest: Rest, call: Call) -> Json:
    return {"total": 0, "list": []}
