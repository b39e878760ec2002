"""REST endpoints of statistics (`/futures/data/...`): what bots read moods from. As far as this market's memory goes:
of open interest and of who is long only the present is known, of trades the latest.

Source: https://developers.binance.com/docs/derivatives/usds-margined-futures/market-data/rest-api
"""

from __future__ import annotations

from decimal import Decimal
from itertools import groupby

from copydesk.model import ZERO

from copydesk_binance.rehearsal.codes import Refusal
from copydesk_binance.rehearsal.market import INTERVALS
from copydesk_binance.rehearsal.rest import Call, Rest, public
from copydesk_binance.rehearsal.wire import Json

PERIODS = ("5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d")
FOUR = Decimal("0.0001")
NEWEST = 1000


def _period(call: Call) -> int:
    period = call.params.mandatory("period")
    if period not in PERIODS:
        raise Refusal(-1130, "period")
    return INTERVALS[period]


def _now(rest: Rest, call: Call) -> int:
    """The period that is under way, by its beginning."""
    length = _period(call)
    return rest.now_ms() // length * length


def _asked_for(call: Call, rows: list[Json]) -> list[Json]:
    start, end = call.params.integer("startTime") or 0, call.params.integer("endTime")
    fits = [row for row in rows if row["timestamp"] >= start and (end is None or row["timestamp"] <= end)]
    return fits[-call.params.limit(30, 500) :]


@public("/futures/data/openInterestHist", weight=0)
def _open_interest(rest: Rest, call: Call) -> list[Json]:
    symbol = rest.symbol(call)
    held = rest.venue.open_interest(symbol)
    worth = held * Decimal(rest.market.premium(symbol)["markPrice"])
    row = {"symbol": symbol, "sumOpenInterest": f"{held:.8f}", "sumOpenInterestValue": f"{worth:.8f}"}
    return _asked_for(call, [row | {"timestamp": _now(rest, call)}])


def _held(rest: Rest, symbol: str) -> list[Decimal]:
    """What each account holds of a symbol, where it holds anything."""
    held = [
        sum((one.quantity for one in rest.venue.exchange.positions(name) if one.symbol == symbol), ZERO)
        for name in rest.venue.accounts
    ]
    return [quantity for quantity in held if quantity]


def _ratio(rest: Rest, call: Call, symbol: str, long: Decimal, short: Decimal) -> list[Json]:
    """Nothing is told where nobody holds anything."""
    both, now = long + short, _now(rest, call)
    if not both:
        return []
    ratio = (long / short).quantize(FOUR) if short else long / both
    parts = {"longAccount": f"{(long / both).quantize(FOUR)}", "shortAccount": f"{(short / both).quantize(FOUR)}"}
    return _asked_for(call, [{"symbol": symbol, "longShortRatio": f"{ratio:f}", **parts, "timestamp": now}])


@public("/futures/data/globalLongShortAccountRatio", "/futures/data/topLongShortAccountRatio", weight=0)
def _accounts(rest: Rest, call: Call) -> list[Json]:
    symbol = rest.symbol(call)
    held = _held(rest, symbol)
    long = sum(quantity > 0 for quantity in held)
    return _ratio(rest, call, symbol, Decimal(long), Decimal(len(held) - long))


@public("/futures/data/topLongShortPositionRatio", weight=0)
def _positions(rest: Rest, call: Call) -> list[Json]:
    symbol = rest.symbol(call)
    held = _held(rest, symbol)
    long = sum((quantity for quantity in held if quantity > 0), ZERO)
    return _ratio(rest, call, symbol, long, -sum((quantity for quantity in held if quantity < 0), ZERO))


@public("/futures/data/takerlongshortRatio", weight=0)
def _takers(rest: Rest, call: Call) -> list[Json]:
    length, trades = _period(call), rest.venue.exchange.trades(rest.symbol(call), NEWEST)
    rows: list[Json] = []
    for start, some in groupby(trades, key=lambda trade: trade.time_ms // length * length):
        bought = sold = ZERO
        for trade in some:
            bought, sold = (bought, sold + trade.quantity) if trade.buyer_is_maker else (bought + trade.quantity, sold)
        ratio = (bought / sold).quantize(FOUR) if sold else ZERO
        row = {"buySellRatio": f"{ratio:.4f}", "buyVol": f"{bought:.4f}", "sellVol": f"{sold:.4f}"}
        rows.append(row | {"timestamp": start})
    return _asked_for(call, rows)


@public("/futures/data/basis", weight=0)
def _basis(rest: Rest, call: Call) -> list[Json]:
    """How far the perpetual contract's price is from the index: other contracts are not listed."""
    pair, kind = call.params.mandatory("pair"), call.params.mandatory("contractType")
    symbol = rest.venue.listing.rules(pair).symbol
    if kind != "PERPETUAL":
        return []
    index, price = (
        Decimal(text) for text in (rest.market.premium(symbol)["indexPrice"], rest.market.price(symbol)["price"])
    )
    row = {
        "indexPrice": f"{index:f}",
        "contractType": kind,
        "basisRate": f"{((price - index) / index).quantize(FOUR):f}" if index else "0.0000",
        "futuresPrice": f"{price:f}",
        "annualizedBasisRate": "",
        "basis": f"{price - index:f}",
        "pair": pair,
        "timestamp": _now(rest, call),
    }
    return _asked_for(call, [row])


@public("/futures/data/delivery-price", weight=0)
def _deliveries(rest: Rest, call: Call) -> list[Json]:
    """Nothing has ever been delivered here."""
    rest.venue.listing.rules(call.params.mandatory("pair"))
    return []
