"""BitMEX's REST paths, each with what it does. Source: BitMEX's published swagger."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from copydesk_paper.exchange import Exchange
from copydesk_paper.refusal import ExchangeRefusal

from copydesk_bitmex.rehearsal import wire, wire_market
from copydesk_bitmex.rehearsal.asked import Refusal, amount, refusal
from copydesk_bitmex.rehearsal.description import TABLE
from copydesk_bitmex.rehearsal.venue import Account, Venue
from copydesk_bitmex.rehearsal.wire import Json
from copydesk_bitmex.translate import BINS, UNITS

PLACE = (
    "symbol! side orderQty price displayQty stopPx clOrdID clOrdLinkID pegOffsetValue pegPriceType ordType timeInForce "
    "execInst contingencyType text"
)
AMEND = "orderID origClOrdID clOrdID orderQty leavesQty price stopPx pegOffsetValue text"
MOST = 500
MOST_BINS = 1_000


@dataclass(frozen=True, slots=True)
class Call:
    """One request: its parameters, out of query and body alike, and whose it is (private paths)."""

    venue: Venue
    given: Json
    owner: Account | None

    @property
    def account(self) -> Account:
        if self.owner is None:
            raise Refusal("Authorization Required", 401, "HTTPError")
        return self.owner

    @property
    def exchange(self) -> Exchange:
        return self.venue.exchange

    @property
    def symbol(self) -> str:
        """The symbol that is asked for; empty for all. A root with its interval, as `XBT:perpetual`, is all of it."""
        text = str(self.given.get("symbol") or "")
        return "" if ":" in text else text

    def table(self, rows: list[Json], *, time_name: str = "timestamp", most: int = MOST) -> list[Json]:
        """What every table can be asked for: `filter`, `startTime`, `endTime`, `reverse`, `start`, `count`, `columns`."""
        given = self.given
        rows = [row for row in rows if self._fits(row)]
        start, end = (time_of(given.get(name)) for name in ("startTime", "endTime"))
        if start:
            rows = [row for row in rows if time_of(row.get(time_name)) >= start]
        if end:
            rows = [row for row in rows if time_of(row.get(time_name)) <= end]
        if str(given.get("reverse", "false")).lower() == "true":
            rows = rows[::-1]
        first, count = _whole(given, "start", 0), _whole(given, "count", 100)
        rows = rows[first : first + min(count, most)]
        return [_columns(row, given.get("columns")) for row in rows]

    def _fits(self, row: Json) -> bool:
        wanted = _object(self.given.get("filter"), "filter")
        for name, value in wanted.items():
            if name == "open":
                if (row.get("ordStatus") in ("New", "PartiallyFilled")) != (value is True):
                    return False
            elif name in ("startTime", "endTime"):
                at, limit = time_of(row.get("timestamp")), time_of(value)
                if (at < limit) if name == "startTime" else (at > limit):
                    return False
            elif isinstance(value, list):
                if row.get(name) not in value:
                    return False
            elif row.get(name) != value:
                return False
        return True


def time_of(value: Any) -> float:
    """A moment as it is written, in seconds since the epoch; zero where there is none. Raises `Refusal`."""
    if value in (None, ""):
        return 0.0
    try:
        return datetime.fromisoformat(str(value)).timestamp()
    except ValueError:
        raise Refusal("startTime is invalid") from None


def _whole(given: Json, name: str, default: int) -> int:
    value = given.get(name)
    if value in (None, ""):
        return default
    if not str(value).isdecimal():
        raise Refusal(f"{name} is invalid")
    return int(value)


def _object(value: Any, name: str) -> Json:
    if value in (None, ""):
        return {}
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            raise Refusal(f"{name} is invalid") from None
    if not isinstance(value, dict):
        raise Refusal(f"{name} is invalid")
    return value


def _columns(row: Json, wanted: Any) -> Json:
    if wanted in (None, ""):
        return row
    names = wanted if isinstance(wanted, list) else str(wanted).strip("[]").replace('"', "").split(",")
    return {name: value for name, value in row.items() if name in names or name == "timestamp"}


Act = Callable[[Call], Any]


@dataclass(frozen=True, slots=True)
class Route:
    """`private`: it has to be signed; `trades`: faults of requests that trade concern it. `name`, `takes` and `gives` are
    how the published swagger calls it, its parameters and what comes back; see `description`."""

    act: Act
    private: bool
    trades: bool
    name: str
    takes: str
    gives: str


ROUTES: dict[tuple[str, str], Route] = {}


def route(
    method: str,
    path: str,
    name: str,
    takes: str = "",
    gives: str = "",
    *,
    private: bool = True,
    trades: bool = False,
) -> Callable[[Act], Act]:
    def enter(act: Act) -> Act:
        ROUTES[method, path] = Route(act, private, trades, name, takes, gives)
        return act

    return enter


def public(path: str, name: str = "", takes: str = "", gives: str = "") -> Callable[[Act], Act]:
    return route("GET", path, name, takes, gives, private=False)


# --- markets ------------------------------------------------------------------------------------------------


def instrument_row(venue: Venue, symbol: str) -> Json:
    exchange = venue.exchange
    day = exchange.candles(symbol, "1h", 24)
    return wire_market.instrument(exchange.instruments[symbol], exchange.quote(symbol), exchange.last_price(symbol), day)


@public("")
def welcome(call: Call) -> Any:
    return {"name": "BitMEX API", "version": "2.0.0", "timestamp": call.venue.now_ms()}


def _symbols(call: Call) -> list[str]:
    return [call.venue.instrument(call.symbol).symbol] if call.symbol else list(call.exchange.instruments)


@public("/instrument", "Instrument.get", TABLE, "Instrument[]")
def instruments(call: Call) -> Any:
    return call.table([instrument_row(call.venue, symbol) for symbol in _symbols(call)])


@public("/instrument/active", "Instrument.getActive", "", "Instrument[]")
def active(call: Call) -> Any:
    return [instrument_row(call.venue, symbol) for symbol in call.exchange.instruments]


@public("/instrument/activeAndIndices", "Instrument.getActiveAndIndices", "", "Instrument[]")
def active_and_indices(call: Call) -> Any:
    return active(call)


@public("/instrument/indices", "Instrument.getIndices", "", "Instrument[]")
def indices(call: Call) -> Any:
    return []


@public("/instrument/activeIntervals", "Instrument.getActiveIntervals", "", "InstrumentInterval")
def intervals(call: Call) -> Any:
    found = [(f"{one.base}:perpetual", symbol) for symbol, one in call.exchange.instruments.items()]
    return {"intervals": [name for name, _ in found], "symbols": [symbol for _, symbol in found]}


@public("/orderBook/L2", "OrderBook.getL2", "symbol! depth", "OrderBookL2[]")
def book(call: Call) -> Any:
    symbol = call.venue.instrument(call.symbol).symbol
    depth = _whole(call.given, "depth", 25) or 1_000
    bids, asks = call.exchange.depth(symbol, depth)
    return wire_market.levels(symbol, bids, asks, call.venue.now_ms())


@public("/quote", "Quote.get", TABLE, "Quote[]")
def quotes(call: Call) -> Any:
    return call.table([wire_market.quote(call.exchange.quote(symbol)) for symbol in _symbols(call)], most=MOST_BINS)


@public("/trade", "Trade.get", TABLE, "Trade[]")
def trades(call: Call) -> Any:
    exchange = call.exchange
    rows = [wire_market.trade(one, exchange.instruments[s]) for s in _symbols(call) for one in exchange.trades(s, 5_000)]
    return call.table(sorted(rows, key=lambda row: row["timestamp"]), most=MOST_BINS)


@public("/trade/bucketed", "Trade.getBucketed", f"binSize partial {TABLE}", "TradeBin[]")
def buckets(call: Call) -> Any:
    size = str(call.given.get("binSize") or "1m")
    if size not in BINS:
        raise Refusal("binSize is invalid")
    symbol = call.venue.instrument(call.symbol).symbol
    bars = call.exchange.candles(symbol, size, 1_500)
    if str(call.given.get("partial", "false")).lower() != "true":
        bars = [bar for bar in bars if bar.open_ms + BINS[size] <= call.venue.now_ms()]
    return call.table([wire_market.bucket(bar, symbol, BINS[size]) for bar in bars], most=MOST_BINS)


@public("/wallet/assets", "Wallet.getAssetsConfig", "", "AssetsConfig[]")
def assets(call: Call) -> Any:
    return [
        {
            "asset": name,
            "currency": unit,
            "majorCurrency": name,
            "name": name,
            "currencyType": "Crypto",
            "scale": len(str(int(scale))) - 1,
            "enabled": True,
            "isMarginCurrency": unit in ("XBt", "USDt"),
            "memoRequired": False,
            "minDepositAmount": 1,
            "minWithdrawalAmount": 1,
            "maxWithdrawalAmount": int(scale),
            "networks": [],
        }
        for unit, (name, scale) in UNITS.items()
    ]


# --- the account --------------------------------------------------------------------------------------------


@route("GET", "/user", "User.get", "", "User")
def user(call: Call) -> Any:
    account = call.account
    unsaid = ("firstname", "lastname", "TFAEnabled", "affiliateID", "country", "geoipCountry", "geoipRegion", "typ")
    return {
        "id": account.number,
        "username": account.name,
        "accountName": account.name,
        "isUser": True,
        "email": f"{account.number}@example.com",
        "created": wire.iso(0),
        "lastUpdated": wire.iso(0),
        **dict.fromkeys(unsaid, ""),
    }


@route("GET", "/user/margin", "User.getMargin", "currency", "Margin")
def margin(call: Call) -> Any:
    rows = call.venue.margins(call.account)
    wanted = str(call.given.get("currency") or "XBt")
    if wanted == "all":
        return rows
    found = [row for row in rows if row["currency"] == wanted]
    if not found:
        raise Refusal("currency is invalid")
    return found[0]


@route("GET", "/user/wallet", "User.getWallet", "currency", "Wallet")
def wallet(call: Call) -> Any:
    rows = [
        {name: row[name] for name in ("account", "currency", "amount", "timestamp")}
        | {"deposited": row["amount"]}
        | dict.fromkeys(("withdrawn", "transferIn", "transferOut", "pendingCredit", "pendingDebit", "confirmedDebit"), 0)
        for row in call.venue.margins(call.account)
    ]
    wanted = str(call.given.get("currency") or "XBt")
    if wanted == "all":
        return rows
    return next((row for row in rows if row["currency"] == wanted), {})


@route("GET", "/user/commission", "User.getCommission")
def commission(call: Call) -> Any:
    return {symbol: {"makerFee": 0.0002, "takerFee": 0.0005, "settlementFee": 0} for symbol in call.exchange.instruments}


@route("GET", "/position", "Position.get", "filter columns count", "Position[]")
def positions(call: Call) -> Any:
    return call.table(call.venue.positions(call.account))


@route("POST", "/position/leverage", "Position.updateLeverage", "symbol! leverage!", "Position")
def set_leverage(call: Call) -> Any:
    symbol, wanted = call.venue.instrument(call.symbol).symbol, amount(call.given, "leverage")
    if wanted is None or not 0 <= wanted <= 100:
        raise Refusal("leverage is invalid")
    try:
        call.exchange.set_leverage(call.account.name, symbol, max(1, int(wanted)))
    except ExchangeRefusal as error:
        raise refusal(error) from None
    return call.venue.position_row(call.account, symbol)


@route("POST", "/position/isolate", "Position.isolateMargin", "symbol! enabled", "Position")
def isolate(call: Call) -> Any:
    symbol = call.venue.instrument(call.symbol).symbol
    try:
        call.exchange.set_isolated(call.account.name, symbol, str(call.given.get("enabled", "true")).lower() == "true")
    except ExchangeRefusal as error:
        raise refusal(error) from None
    return call.venue.position_row(call.account, symbol)


@route("GET", "/execution", "Execution.get", TABLE, "Execution[]")
def executions(call: Call) -> Any:
    rows = [row for row in call.account.executions if call.symbol in ("", row["symbol"])]
    return call.table(rows)


@route("GET", "/execution/tradeHistory", "Execution.getTradeHistory", TABLE, "Execution[]")
def trade_history(call: Call) -> Any:
    rows = [row for row in call.account.executions if row["execType"] == "Trade" and call.symbol in ("", row["symbol"])]
    return call.table(rows)


# --- orders -------------------------------------------------------------------------------------------------


@route("GET", "/order", "Order.getOrders", TABLE, "Order[]")
def orders(call: Call) -> Any:
    rows = [call.venue.row(call.account, order) for order in call.venue.orders(call.account, call.symbol)]
    return call.table(rows)


@route("POST", "/order", "Order.new", PLACE, "Order", trades=True)
def place(call: Call) -> Any:
    return call.venue.place(call.account, call.given)


@route("PUT", "/order", "Order.amend", AMEND, "Order", trades=True)
def amend(call: Call) -> Any:
    return call.venue.amend(call.account, call.given)


@route("DELETE", "/order", "Order.cancel", "orderID:JSON clOrdID:JSON text", "Order[]", trades=True)
def cancel(call: Call) -> Any:
    venue, account = call.venue, call.account
    numbers, names = _list(call.given.get("orderID")), _list(call.given.get("clOrdID"))
    if not numbers and not names:
        raise Refusal("orderID or clOrdID is required")
    found = [venue.find(account, order_id=one) for one in numbers] + [venue.find(account, client_id=one) for one in names]
    return [venue.cancel(account, order) for order in found]


def _list(value: Any) -> list[str]:
    if value in (None, ""):
        return []
    if isinstance(value, str) and value.startswith("["):
        value = json.loads(value)
    return [str(one) for one in value] if isinstance(value, list) else [str(value)]


@route("DELETE", "/order/all", "Order.cancelAll", "symbol filter text", "Order[]", trades=True)
def cancel_all(call: Call) -> Any:
    """Those that the `filter` lets through."""
    return call.venue.cancel_all(call.account, call.symbol, lambda row: bool(call.table([row])))


@route("POST", "/order/closePosition", "Order.closePosition", "symbol! price", "Order", trades=True)
def close_position(call: Call) -> Any:
    symbol = call.venue.instrument(call.symbol).symbol
    held = next((one for one in call.exchange.positions(call.account.name) if one.symbol == symbol), None)
    side = "Buy" if held is not None and held.quantity < 0 else "Sell"
    price = call.given.get("price")
    word = "Limit" if price else "Market"
    wanted = {"symbol": symbol, "side": side, "ordType": word, "execInst": "Close", "price": price}
    return call.venue.place(call.account, wanted)
