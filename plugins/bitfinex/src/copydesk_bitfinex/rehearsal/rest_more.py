"""REST paths that bots call beside trading: what was, what a trade would cost, and what there is nothing of here.

Source: Bitfinex API v2, "REST".
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from copydesk.model import ZERO

from copydesk_bitfinex.rehearsal import wire
from copydesk_bitfinex.rehearsal.asked import PARAMETERS, Refusal
from copydesk_bitfinex.rehearsal.rest import MOST_ROWS, Call, derivative_status, in_time, route
from copydesk_bitfinex.rehearsal.wire import Row
from copydesk_bitfinex.symbols import is_derivative

MOST_LEVELS = 1_000

# --- public -------------------------------------------------------------------------------------------------


@route("POST", "/calc/trade/avg")
def average_price(call: Call) -> Any:
    """What so much would be traded at on average, by the book as it is: `[PRICE_AVG, AMOUNT]`."""
    symbol = str(_given(call, "symbol"))
    amount, limit = _decimal(call, "amount"), _decimal(call, "price_limit")
    if symbol not in call.exchange.instruments or not amount:
        raise Refusal("symbol: invalid" if amount else "amount: invalid", PARAMETERS)
    bids, asks = call.exchange.depth(symbol, MOST_LEVELS)
    left, spent = abs(amount), ZERO
    for price, size in asks if amount > 0 else bids:
        if not left or (limit and (price > limit if amount > 0 else price < limit)):
            break
        taken = min(size, left)
        left, spent = left - taken, spent + taken * price
    traded = abs(amount) - left
    sign = 1 if amount > 0 else -1
    return [wire.number(spent / traded) if traded else None, wire.number(sign * traded)]


@route("POST", "/calc/fx")
def exchange_rate(call: Call) -> Any:
    one, other = str(_given(call, "ccy1")), str(_given(call, "ccy2"))
    for instrument in call.exchange.instruments.values():
        if {instrument.base, instrument.quote} == {one, other} and wire.is_listed(instrument.symbol):
            last = call.exchange.last_price(instrument.symbol)
            return [wire.number(last if instrument.base == one else (1 / last).quantize(Decimal("1e-12")))]
    raise Refusal("ccy: invalid", PARAMETERS)


def _given(call: Call, name: str) -> Any:
    return call.body.get(name, call.query.get(name))


def _decimal(call: Call, name: str) -> Decimal:
    try:
        return Decimal(str(_given(call, name) or 0))
    except ArithmeticError:
        raise Refusal(f"{name}: invalid", PARAMETERS) from None


@route("GET", "/status/deriv/{symbol}/hist")
def derivative_history(call: Call) -> Any:
    """Only the present is known."""
    symbol = call.symbol()
    if not is_derivative(symbol):
        raise Refusal("key: invalid", PARAMETERS)
    return [derivative_status(call.exchange, symbol, call.venue.now_ms())]


@route("GET", "/liquidations/hist")
def liquidations(call: Call) -> Any:
    """Those of this venue's accounts are told to their owners alone."""
    return []


@route("GET", "/funding/stats/{symbol}/hist")
def funding_statistics(call: Call) -> Any:
    return []


# --- the account --------------------------------------------------------------------------------------------


@route("POST", "/auth/r/ledgers/hist")
def ledgers(call: Call) -> Any:
    return in_time(call, list(call.account.history.ledger), 3, most=MOST_ROWS)


@route("POST", "/auth/r/ledgers/{currency}/hist")
def ledgers_of(call: Call) -> Any:
    return in_time(call, _of(call, call.account.history.ledger), 3, most=MOST_ROWS)


@route("POST", "/auth/r/movements/hist")
def movements(call: Call) -> Any:
    return in_time(call, list(call.account.history.movements), 6, most=1_000)


@route("POST", "/auth/r/movements/{currency}/hist")
def movements_of(call: Call) -> Any:
    return in_time(call, _of(call, call.account.history.movements), 6, most=1_000)


def _of(call: Call, rows: Any) -> list[Row]:
    return [row for row in rows if row[1] == call.named["currency"]]


@route("POST", "/auth/r/positions/hist")
def ended_positions(call: Call) -> Any:
    return in_time(call, list(call.account.history.positions), 13, most=500)


@route("POST", "/auth/r/positions/snap")
def position_snapshots(call: Call) -> Any:
    return call.venue.positions(call.account)


@route("POST", "/auth/r/positions/audit")
def audited_positions(call: Call) -> Any:
    """Those that are, and those that were, by their numbers where they are given."""
    ids = call.body.get("id")
    rows = [*call.venue.positions(call.account), *call.account.history.positions]
    return rows if ids is None else [row for row in rows if row[11] in (ids if isinstance(ids, list) else [ids])]


# --- what there is nothing of: funding, logins, alerts --------------------------------------------------------


@route("POST", "/auth/r/funding/{kind}")
def no_funding(call: Call) -> Any:
    """No account lends or borrows."""
    return []


@route("POST", "/auth/r/funding/{kind}/{symbol}")
def no_funding_of(call: Call) -> Any:
    return []


@route("POST", "/auth/r/funding/{kind}/{symbol}/hist")
def no_funding_ever(call: Call) -> Any:
    return []


@route("POST", "/auth/r/info/funding/{key}")
def funding_information(call: Call) -> Any:
    return ["sym", call.named["key"], [0, 0, 0, 0]]


@route("POST", "/auth/r/logins/hist")
def logins(call: Call) -> Any:
    return []


@route("POST", "/auth/r/alerts")
def alerts(call: Call) -> Any:
    return []
