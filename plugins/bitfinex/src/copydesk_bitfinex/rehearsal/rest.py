"""Bitfinex's REST paths of API v2, each with what it does. Source: Bitfinex API v2, "REST"."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from copydesk.model import Contract, Order
from copydesk_paper.exchange import Exchange

from copydesk_bitfinex.rehearsal import orders, wire
from copydesk_bitfinex.rehearsal.asked import PARAMETERS, Body, Refusal
from copydesk_bitfinex.rehearsal.venue import Account, Venue
from copydesk_bitfinex.rehearsal.wire import Row
from copydesk_bitfinex.symbols import MARGIN_MARK, is_derivative, is_exchange, name_of
from copydesk_bitfinex.translate import INTERVALS, cid_date

HOUR_MS = 3_600_000
MOST_CANDLES, MOST_TRADES, MOST_ROWS = 10_000, 10_000, 2_500
DEPTH = (1, 25, 100)
OURS_OF: dict[str, str] = {venue: interval for interval, venue in INTERVALS.items()}


@dataclass(frozen=True, slots=True)
class Call:
    """One request: what the path names, the query, the JSON body, and whose it is (private paths)."""

    venue: Venue
    named: dict[str, str]
    query: dict[str, str]
    body: Body
    owner: Account | None

    @property
    def account(self) -> Account:
        if self.owner is None:
            raise Refusal("apikey: invalid", 10100)
        return self.owner

    @property
    def exchange(self) -> Exchange:
        return self.venue.exchange

    def whole(self, name: str, default: int) -> int:
        """A whole number of the query or the body."""
        value = self.query.get(name, self.body.get(name, default))
        text = str(value)
        if isinstance(value, bool) or not re.fullmatch(r"-?\d{1,18}", text):
            raise Refusal(f"{name}: invalid", PARAMETERS)
        return int(text)

    def symbol(self, name: str = "symbol") -> str:
        """A pair or derivative named in the path. Raises `Refusal`."""
        symbol = self.named[name]
        if symbol not in self.exchange.instruments:
            raise Refusal("symbol: invalid", PARAMETERS)
        return symbol


Act = Callable[[Call], Any]


@dataclass(frozen=True, slots=True)
class Route:
    """`trades`: faults of requests that trade concern it. `name` is what its rate limit counts."""

    name: str
    method: str
    pattern: re.Pattern[str]
    act: Act
    private: bool
    trades: bool


ROUTES: list[Route] = []


def route(method: str, path: str, *, trades: bool = False) -> Callable[[Act], Act]:
    pattern = re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", path)

    def enter(act: Act) -> Act:
        ROUTES.append(Route(path, method, re.compile(f"/v2{pattern}"), act, path.startswith("/auth/"), trades))
        return act

    return enter


def find(method: str, path: str) -> tuple[Route, dict[str, str]]:
    """Raises `Refusal` where Bitfinex has nothing."""
    for one in ROUTES:
        matched = one.pattern.fullmatch(path) if one.method == method else None
        if matched is not None:
            return one, matched.groupdict()
    raise Refusal("Not Found", 404, 404)


# --- public -------------------------------------------------------------------------------------------------


@route("GET", "/platform/status")
def platform_status(call: Call) -> Any:
    return [1]


@route("GET", "/conf/{names}")
def conf(call: Call) -> Any:
    return [_conf(call, name) for name in call.named["names"].split(",")]


def _conf(call: Call, name: str) -> Any:
    instruments = list(call.exchange.instruments.values())
    pairs = [one for one in instruments if is_exchange(one.symbol)]
    derivatives = [one for one in instruments if is_derivative(one.symbol)]
    on_margin = [name_of(one.symbol) for one in instruments if not wire.is_listed(one.symbol)]
    currencies = sorted({unit for one in pairs + derivatives for unit in (one.base, one.quote)})
    tables: dict[str, Callable[[], Any]] = {
        "pub:info:pair": lambda: [wire.listing(one) for one in pairs],
        "pub:info:pair:futures": lambda: [wire.listing(one) for one in derivatives],
        "pub:list:pair:exchange": lambda: [wire.pair_of(one.symbol) for one in pairs],
        "pub:list:pair:futures": lambda: [wire.pair_of(one.symbol) for one in derivatives],
        "pub:list:pair:margin": lambda: [wire.pair_of(one) for one in on_margin],
        "pub:list:pair:securities": list,
        "pub:list:currency": lambda: currencies,
        "pub:list:currency:margin": lambda: currencies,
        "pub:list:currency:viewable": lambda: currencies,
        "pub:map:currency:sym": lambda: [["UST", "USDt"]],
        "pub:map:currency:label": lambda: [[unit, unit] for unit in currencies],
        "pub:map:currency:undl": lambda: [[unit, unit.removesuffix("F0")] for unit in currencies if unit.endswith("F0")],
        "pub:info:tx:status": list,
    }
    if name not in tables and not name.startswith("pub:"):
        raise Refusal("conf: invalid", PARAMETERS)
    return tables.get(name, list)()


@route("GET", "/tickers")
def tickers(call: Call) -> Any:
    wanted = call.query.get("symbols", "")
    if not wanted:
        raise Refusal("symbols: invalid", PARAMETERS)
    listed = [symbol for symbol in call.exchange.instruments if wire.is_listed(symbol)]
    names = listed if wanted == "ALL" else [name for name in wanted.split(",") if name in listed]
    return [[name, *ticker_row(call.exchange, name)] for name in names]


@route("GET", "/ticker/{symbol}")
def ticker(call: Call) -> Any:
    return ticker_row(call.exchange, call.symbol())


def ticker_row(exchange: Exchange, symbol: str) -> Row:
    return wire.ticker(exchange.quote(symbol), exchange.last_price(symbol), exchange.candles(symbol, "1h", 24))


@route("GET", "/trades/{symbol}/hist")
def public_trades(call: Call) -> Any:
    found = [wire.trade(one) for one in call.exchange.trades(call.symbol(), MOST_TRADES)]
    return in_time(call, list(reversed(found)), 1, most=MOST_TRADES, usual=125)


@route("GET", "/book/{symbol}/{precision}")
def book(call: Call) -> Any:
    symbol, precision = call.symbol(), call.named["precision"]
    length = call.whole("len", 25)
    if length not in (*DEPTH, 250) or precision not in (*wire.PRECISIONS, "R0"):
        raise Refusal("len: invalid" if length not in DEPTH else "prec: invalid", PARAMETERS)
    levels = wire.book(*call.exchange.depth(symbol, length), precision)
    if precision == "R0":
        found = ((wire.raw_id(side, price), side, price, quantity) for (side, price), (_, quantity) in levels.items())
        return [[number, wire.number(price), wire.number(side.sign * quantity)] for number, side, price, quantity in found]
    return [wire.level(side, price, count, quantity) for (side, price), (count, quantity) in levels.items()]


@route("GET", "/candles/{key}/{section}")
def candles(call: Call) -> Any:
    bars = candles_of(call.exchange, call.named["key"])
    rows = [wire.candle(bar) for bar in reversed(bars)]
    if call.named["section"] == "last":
        return rows[0] if rows else []
    return in_time(call, rows, 0, most=MOST_CANDLES, usual=100)


def candles_of(exchange: Exchange, key: str, limit: int = MOST_CANDLES) -> list[Any]:
    """Bars of `trade:1m:tBTCUSD`, the newest last. Raises `Refusal`."""
    kind, _, rest = key.partition(":")
    interval, _, symbol = rest.partition(":")
    if kind != "trade" or interval not in OURS_OF or symbol not in exchange.instruments:
        raise Refusal("key: invalid", PARAMETERS)
    return exchange.candles(symbol, OURS_OF[interval], limit)


@route("GET", "/status/deriv")
def derivatives_status(call: Call) -> Any:
    wanted = call.query.get("keys", "ALL")
    listed = [symbol for symbol in call.exchange.instruments if is_derivative(symbol)]
    names = listed if wanted == "ALL" else [name for name in wanted.split(",") if name in listed]
    return [[name, *derivative_status(call.exchange, name, call.venue.now_ms())] for name in names]


def derivative_status(exchange: Exchange, symbol: str, now_ms: int) -> Row:
    row: Row = [None] * 23
    last, mark = exchange.last_price(symbol), exchange.quote(symbol).mark
    row[0], row[2], row[3], row[5] = now_ms, wire.number(last), wire.number(mark), 0
    row[7], row[8], row[9], row[11] = now_ms - now_ms % (8 * HOUR_MS) + 8 * HOUR_MS, 0, 0, 0
    row[14], row[17] = wire.number(mark), 0
    row[21], row[22] = 0.0005, 0.0025
    return row


# --- rows ---------------------------------------------------------------------------------------------------


def in_time(call: Call, rows: list[Row], time_place: int, *, most: int, usual: int = 25) -> list[Row]:
    """Those between `start` and `end`, `limit` of them; `sort=1`: the oldest first. They come in newest first."""
    start, end = call.whole("start", 0), call.whole("end", 0)
    limit = call.whole("limit", usual)
    if not 0 < limit <= most:
        raise Refusal("limit: invalid", PARAMETERS)
    found = [row for row in rows if row[time_place] >= start and (not end or row[time_place] <= end)]
    return list(reversed(found))[:limit] if call.whole("sort", -1) == 1 else found[:limit]


# --- the account --------------------------------------------------------------------------------------------


@route("POST", "/auth/r/wallets")
def wallets(call: Call) -> Any:
    return call.venue.wallets(call.account)


@route("POST", "/auth/r/positions")
def positions(call: Call) -> Any:
    return call.venue.positions(call.account)


@route("POST", "/auth/r/info/user")
def user(call: Call) -> Any:
    account = call.account
    return [account.number, f"{account.name}@example.com", account.name, 1_500_000_000_000, 1, 1, None, "UTC"]


@route("POST", "/auth/r/info/margin/{key}")
def margin(call: Call) -> Any:
    if call.named["key"] == "base":
        return ["base", call.venue.margin_base(call.account)]
    return [["sym", call.named["key"], [0, 0, 0, 0, None, None, None, None]]]


@route("POST", "/auth/r/permissions")
def permissions(call: Call) -> Any:
    granted = {"account", "orders", "positions", "wallets", "history"}
    known = sorted(granted | {"funding", "withdraw"})
    return [[name, int(name != "withdraw"), int(name in granted and name != "history")] for name in known]


@route("POST", "/auth/r/summary")
def summary(call: Call) -> Any:
    fees = [[0.0002, 0.0002, 0.0002, None, None, 0.0002], [0.0005, 0.0005, 0.0005, None, None, 0.0005]]
    return [None, None, None, None, fees, [None, {}], None, None, None, {"leo_lev": 0, "leo_amount_avg": 0}]


@route("POST", "/auth/calc/order/avail")
def available(call: Call) -> Any:
    """How much could be bought or sold: of the quote currency by the price, of the base currency as it is."""
    name = str(call.body.get("symbol"))
    exchange = call.body.get("type") == "EXCHANGE"
    symbol = name if exchange or is_derivative(name) else f"{name}{MARGIN_MARK}"
    instrument = call.exchange.instruments.get(symbol)
    if instrument is None:
        raise Refusal("symbol: invalid", PARAMETERS)
    buys = str(call.body.get("dir", 1)) in ("1", "buy")
    spot = instrument.contract is Contract.SPOT
    asset = instrument.base if spot and not buys else instrument.settle
    free = call.exchange.pool(call.account.name, asset).available
    price = Decimal(str(call.body.get("rate") or call.exchange.last_price(symbol)))
    amount = free if spot and not buys else free / price
    return [wire.number(amount if buys else -amount)]


# --- orders -------------------------------------------------------------------------------------------------


@route("POST", "/auth/r/orders")
def open_orders(call: Call) -> Any:
    return _chosen(call, call.venue.working(call.account))


@route("POST", "/auth/r/orders/hist")
def order_history(call: Call) -> Any:
    rows = _chosen(call, call.venue.ended(call.account), by_cid=False)
    return in_time(call, rows, 4, most=MOST_ROWS)


@route("POST", "/auth/r/orders/{symbol}")
def open_orders_of(call: Call) -> Any:
    symbol = call.symbol()
    return _chosen(call, [one for one in call.venue.working(call.account) if name_of(one.terms.symbol) == symbol])


@route("POST", "/auth/r/orders/{symbol}/hist")
def order_history_of(call: Call) -> Any:
    symbol = call.symbol()
    ended = [one for one in call.venue.ended(call.account) if name_of(one.terms.symbol) == symbol]
    return in_time(call, _chosen(call, ended, by_cid=False), 4, most=MOST_ROWS)


def _chosen(call: Call, found: list[Order], *, by_cid: bool = True) -> list[Row]:
    """Those of the ids that the body names, of its group, or of its client id and day."""
    account, body = call.account, call.body
    ids = body.get("id")
    if ids is not None:
        named = ids if isinstance(ids, list) else [ids]
        found = [one for one in found if int(one.venue_id) in {_whole_id(number) for number in named}]
    if by_cid and body.get("gid") is not None:
        found = [one for one in found if account.details[one.venue_id].gid == body["gid"]]
    if by_cid and body.get("cid") is not None:
        day = body.get("cid_date")
        if not isinstance(day, str):
            raise Refusal("cid_date: invalid", PARAMETERS)
        found = [
            one for one in found if account.details[one.venue_id].cid == body["cid"] and cid_date(one.created_ms) == day
        ]
    return [call.venue.row(account, one) for one in found]


def _whole_id(value: Any) -> int:
    if isinstance(value, bool) or not str(value).isdecimal():
        raise Refusal("id: invalid", PARAMETERS)
    return int(value)


@route("POST", "/auth/r/order/{key}/trades")
def order_trades(call: Call) -> Any:
    _, _, number = call.named["key"].rpartition(":")
    fills = [one for one in call.venue.fills(call.account) if one.venue_id == number]
    return [call.venue.execution(call.account, one) for one in fills]


@route("POST", "/auth/r/trades/hist")
def trade_history(call: Call) -> Any:
    rows = [call.venue.execution(call.account, one) for one in call.venue.fills(call.account)]
    return in_time(call, rows, 2, most=MOST_ROWS)


@route("POST", "/auth/r/trades/{symbol}/hist")
def trade_history_of(call: Call) -> Any:
    symbol = call.symbol()
    fills = [one for one in call.venue.fills(call.account) if name_of(one.symbol) == symbol]
    return in_time(call, [call.venue.execution(call.account, one) for one in fills], 2, most=MOST_ROWS)


@route("POST", "/auth/w/order/submit", trades=True)
def submit(call: Call) -> Any:
    return orders.submit(call.venue, call.account, call.body)


@route("POST", "/auth/w/order/update", trades=True)
def update(call: Call) -> Any:
    return orders.update(call.venue, call.account, call.body)


@route("POST", "/auth/w/order/cancel", trades=True)
def cancel(call: Call) -> Any:
    return orders.cancel(call.venue, call.account, call.body)


@route("POST", "/auth/w/order/cancel/multi", trades=True)
def cancel_multi(call: Call) -> Any:
    return orders.cancel_multi(call.venue, call.account, call.body)


@route("POST", "/auth/w/order/multi", trades=True)
def multi(call: Call) -> Any:
    return orders.multi(call.venue, call.account, call.body)


@route("POST", "/auth/w/deriv/collateral/set")
def collateral(call: Call) -> Any:
    if str(call.body.get("symbol")) not in {row[0] for row in call.venue.positions(call.account)}:
        raise Refusal("symbol: invalid", PARAMETERS)
    return [[1]]
