"""FTX's REST paths, each with what it does. Source: FTX API documentation, "REST API", as of 2022."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from copydesk.model import Contract, Order, OrderType, Side
from copydesk_paper.exchange import Exchange

from copydesk_ftx.rehearsal import wire
from copydesk_ftx.rehearsal.venue import Account, Refusal, Venue, terms_of
from copydesk_ftx.rehearsal.wire import Json
from copydesk_ftx.translate import TRIGGER_TYPES

PAGE = 100
MOST_CANDLES = 1_500
RESOLUTIONS: dict[int, str] = {15: "1m", 60: "1m", 300: "5m", 900: "15m", 3600: "1h", 14400: "4h", 86400: "1d"}


@dataclass(frozen=True, slots=True)
class Call:
    """One request: what the path names, the query, the JSON body, and whose it is (private paths)."""

    venue: Venue
    named: dict[str, str]
    query: dict[str, str]
    body: Json
    owner: Account | None

    @property
    def account(self) -> Account:
        if self.owner is None:
            raise Refusal("Not logged in", 401)
        return self.owner

    @property
    def exchange(self) -> Exchange:
        return self.venue.exchange

    def seconds(self, name: str) -> int:
        """A time of the query, given in seconds since the epoch, as milliseconds; 0 for none."""
        text = self.query.get(name, "")
        if not text:
            return 0
        try:
            return int(Decimal(text) * 1000)
        except InvalidOperation:
            raise Refusal(f"Invalid parameter {name}") from None

    def amount(self, name: str, *, needed: bool = False) -> Decimal | None:
        """A number of the body. Raises `Refusal` for one that is none, or is missing."""
        value = self.body.get(name)
        if value is None:
            if needed:
                raise Refusal(f"Missing parameter {name}")
            return None
        if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
            raise Refusal(f"Invalid parameter {name}")
        try:
            return Decimal(value)
        except InvalidOperation:
            raise Refusal(f"Invalid parameter {name}") from None

    def word(self, name: str, *known: str) -> str:
        value = self.body.get(name)
        if value is None:
            raise Refusal(f"Missing parameter {name}")
        if not isinstance(value, str) or (known and value not in known):
            raise Refusal(f"Invalid parameter {name}")
        return value

    def flag(self, name: str) -> bool:
        value = self.body.get(name)
        if value not in (None, True, False):
            raise Refusal(f"Invalid parameter {name}")
        return value is True


Act = Callable[[Call], Any]


@dataclass(frozen=True, slots=True)
class Route:
    """`private`: it has to be signed; `trades`: faults of requests that trade concern it."""

    method: str
    pattern: re.Pattern[str]
    act: Act
    private: bool
    trades: bool


ROUTES: list[Route] = []


def route(method: str, path: str, *, private: bool = True, trades: bool = False) -> Callable[[Act], Act]:
    """`{name}` in a path is anything; a market's name may hold a slash, as `BTC/USD`."""
    pattern = re.sub(r"{market}", r"(?P<market>[^/]+(?:/[A-Z0-9]+)?)", path)
    pattern = re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", pattern)

    def enter(act: Act) -> Act:
        ROUTES.append(Route(method, re.compile(f"/api{pattern}"), act, private, trades))
        return act

    return enter


def find(method: str, path: str) -> tuple[Route, dict[str, str]]:
    """Raises `Refusal` where FTX had nothing."""
    for one in ROUTES:
        matched = one.pattern.fullmatch(path) if one.method == method else None
        if matched is not None:
            return one, matched.groupdict()
    raise Refusal("Not found", 404)


class Page(list[Any]):
    """A list of which there may be more: the reply then has `hasMoreData`."""

    more = False


def _page(rows: list[Any], call: Call, most: int = PAGE) -> Page:
    text = call.query.get("limit", "")
    if text and not text.isdecimal():
        raise Refusal("Invalid parameter limit")
    limit = min(int(text), most) if text else most
    page = Page(rows[:limit])
    page.more = len(rows) > limit
    return page


# --- markets ------------------------------------------------------------------------------------------------


def _market(call: Call, name: str) -> Json:
    instrument = call.venue.instrument(name)
    exchange = call.exchange
    return wire.market(instrument, exchange.quote(name), exchange.last_price(name), _volume(exchange, name))


def _future(call: Call, name: str) -> Json:
    instrument = call.venue.instrument(name)
    if instrument.contract is Contract.SPOT:
        raise Refusal(f"No such future: {name}")
    exchange = call.exchange
    return wire.future(instrument, exchange.quote(name), exchange.last_price(name), _volume(exchange, name))


def _volume(exchange: Exchange, name: str) -> Decimal:
    return sum((bar.volume * bar.close for bar in exchange.candles(name, "1h", 24)), Decimal(0))


@route("GET", "/markets", private=False)
def markets(call: Call) -> Any:
    return [_market(call, name) for name in call.exchange.instruments]


@route("GET", "/markets/{market}/orderbook", private=False)
def orderbook(call: Call) -> Any:
    name = call.venue.instrument(call.named["market"]).symbol
    depth = call.query.get("depth", "20")
    if not depth.isdecimal() or not 1 <= int(depth) <= 100:
        raise Refusal("Invalid parameter depth")
    bids, asks = call.exchange.depth(name, int(depth))
    return {"bids": wire.levels(bids), "asks": wire.levels(asks)}


@route("GET", "/markets/{market}/trades", private=False)
def trades(call: Call) -> Any:
    name = call.venue.instrument(call.named["market"]).symbol
    start, end = call.seconds("start_time"), call.seconds("end_time")
    found = [t for t in call.exchange.trades(name, 5_000) if t.time_ms >= start and (not end or t.time_ms <= end)]
    return _page([wire.trade(one) for one in reversed(found)], call)


@route("GET", "/markets/{market}/candles", private=False)
def candles(call: Call) -> Any:
    name = call.venue.instrument(call.named["market"]).symbol
    text = call.query.get("resolution", "")
    if not text.isdecimal() or int(text) not in RESOLUTIONS:
        raise Refusal("Invalid parameter resolution")
    start, end = call.seconds("start_time"), call.seconds("end_time")
    bars = call.exchange.candles(name, RESOLUTIONS[int(text)], MOST_CANDLES)
    return [wire.candle(bar) for bar in bars if bar.open_ms >= start and (not end or bar.open_ms <= end)]


@route("GET", "/markets/{market}", private=False)
def one_market(call: Call) -> Any:
    return _market(call, call.named["market"])


@route("GET", "/futures", private=False)
def futures(call: Call) -> Any:
    listed = call.exchange.instruments.items()
    return [_future(call, name) for name, instrument in listed if instrument.contract is not Contract.SPOT]


@route("GET", "/futures/{name}/stats", private=False)
def future_stats(call: Call) -> Any:
    _future(call, call.named["name"])
    return {"volume": 0.0, "nextFundingRate": 0.0, "nextFundingTime": wire.iso(0), "openInterest": 0.0}


@route("GET", "/futures/{name}", private=False)
def one_future(call: Call) -> Any:
    return _future(call, call.named["name"])


@route("GET", "/funding_rates", private=False)
def funding_rates(call: Call) -> Any:
    return []


@route("GET", "/coins", private=False)
def coins(call: Call) -> Any:
    return [_coin(asset) for asset in _assets(call)]


@route("GET", "/wallet/coins")
def wallet_coins(call: Call) -> Any:
    return [_coin(asset) for asset in _assets(call)]


def _assets(call: Call) -> list[str]:
    listed = call.exchange.instruments.values()
    spot = {asset for one in listed if one.contract is Contract.SPOT for asset in (one.base, one.quote)}
    return sorted({"USD"} | spot)


def _coin(asset: str) -> Json:
    return {
        "id": asset,
        "name": asset,
        "collateral": True,
        "usdFungible": asset == "USD",
        "isEtf": False,
        "isToken": False,
        "hidden": False,
        "fiat": asset == "USD",
        "canDeposit": False,
        "canWithdraw": False,
        "canConvert": False,
        "collateralWeight": 1.0,
        "initialMarginWeight": 1.0,
        "spotMargin": False,
        "indexPrice": 1.0,
        "methods": [],
        "creditTo": None,
    }


# --- the account --------------------------------------------------------------------------------------------


@route("GET", "/account")
def account(call: Call) -> Any:
    return call.venue.info(call.account)


@route("GET", "/login_status")
def login_status(call: Call) -> Any:
    owner = call.account
    return {"loggedIn": True, "user": call.venue.info(owner), "subaccount": owner.subaccount or None}


@route("POST", "/account/leverage")
def leverage(call: Call) -> Any:
    wanted = call.amount("leverage", needed=True)
    assert wanted is not None
    call.venue.set_leverage(call.account, int(wanted))
    return None


@route("GET", "/positions")
def positions(call: Call) -> Any:
    rows = call.venue.positions(call.account)
    averages = ("recentAverageOpenPrice", "recentBreakEvenPrice", "recentPnl", "cumulativeBuySize", "cumulativeSellSize")
    if call.query.get("showAvgPrice", "").lower() in ("true", "1"):
        return rows
    return [{name: value for name, value in row.items() if name not in averages} for row in rows]


@route("GET", "/wallet/balances")
def balances(call: Call) -> Any:
    return call.venue.balances(call.account)


@route("GET", "/wallet/all_balances")
def all_balances(call: Call) -> Any:
    mine = call.account
    every = [one for one in call.venue.accounts.values() if one.key == mine.key]
    return {one.subaccount or "main": call.venue.balances(one) for one in every}


@route("GET", "/subaccounts")
def subaccounts(call: Call) -> Any:
    mine = call.account
    named = [one.subaccount for one in call.venue.accounts.values() if one.key == mine.key and one.subaccount]
    return [{"nickname": name, "deletable": False, "editable": False, "competition": False} for name in named]


@route("GET", "/fills")
def fills(call: Call) -> Any:
    start, end = call.seconds("start_time"), call.seconds("end_time")
    market = call.query.get("market", "")
    if market:
        call.venue.instrument(market)
    rows = call.venue.fills(call.account, market, start)
    if end:
        rows = [row for row in rows if datetime.fromisoformat(row["time"]).timestamp() * 1000 <= end]
    wanted = call.query.get("orderId", "")
    if wanted:
        rows = [row for row in rows if str(row["orderId"]) == wanted]
    if call.query.get("order") == "asc":
        rows.reverse()
    return _page(rows, call)


@route("GET", "/funding_payments")
def funding_payments(call: Call) -> Any:
    return []


# --- orders -------------------------------------------------------------------------------------------------


def _rest(call: Call, orders: list[Order]) -> list[Json]:
    return [call.venue.rest(call.account, order) for order in orders]


@route("GET", "/orders")
def open_orders(call: Call) -> Any:
    return _rest(call, call.venue.ordinary(call.account, open_=True, market=call.query.get("market", "")))


@route("GET", "/orders/history")
def order_history(call: Call) -> Any:
    start, end = call.seconds("start_time"), call.seconds("end_time")
    orders = call.venue.ordinary(call.account, open_=False, market=call.query.get("market", ""))
    orders = [o for o in orders if o.created_ms >= start and (not end or o.created_ms <= end)]
    if call.query.get("side"):
        orders = [o for o in orders if str(o.terms.side) == call.query["side"]]
    if call.query.get("order") == "asc":
        orders.reverse()
    return _page(_rest(call, orders), call)


@route("POST", "/orders", trades=True)
def place_order(call: Call) -> Any:
    instrument = call.venue.instrument(call.word("market"))
    side, type_ = Side(call.word("side", "buy", "sell")), OrderType(call.word("type", "limit", "market"))
    size, price = call.amount("size", needed=True), call.amount("price")
    if type_ is OrderType.LIMIT and price is None:
        raise Refusal("Missing parameter price")
    assert size is not None
    client_id = call.body.get("clientId")
    if client_id is not None and (not isinstance(client_id, str) or not 0 < len(client_id) <= 64):
        raise Refusal("Invalid parameter clientId")
    terms = terms_of(
        instrument,
        side,
        type_,
        size,
        price=price if type_ is OrderType.LIMIT else None,
        ioc=call.flag("ioc"),
        post_only=call.flag("postOnly"),
        reduce_only=call.flag("reduceOnly"),
    )
    return call.venue.place(call.account, terms, client_id or "")


@route("DELETE", "/orders", trades=True)
def cancel_all(call: Call) -> Any:
    market = str(call.body.get("market") or call.query.get("market", ""))
    side = call.body.get("side")
    limits_only, triggers_only = call.flag("limitOrdersOnly"), call.flag("conditionalOrdersOnly")
    venue, owner = call.venue, call.account
    if not triggers_only:
        for order in venue.ordinary(owner, open_=True, market=market):
            if side in (None, str(order.terms.side)):
                venue.cancel(owner, order)
    if not limits_only:
        for order in venue.triggers(owner, open_=True, market=market):
            if side in (None, str(order.terms.side)):
                venue.cancel_trigger(owner, order)
    return "Orders queued for cancelation"


@route("GET", "/orders/by_client_id/{client_id}")
def order_by_client_id(call: Call) -> Any:
    return call.venue.rest(call.account, call.venue.by_client_id(call.account, call.named["client_id"]))


@route("DELETE", "/orders/by_client_id/{client_id}", trades=True)
def cancel_by_client_id(call: Call) -> Any:
    return call.venue.cancel(call.account, call.venue.by_client_id(call.account, call.named["client_id"]))


@route("POST", "/orders/by_client_id/{client_id}/modify", trades=True)
def modify_by_client_id(call: Call) -> Any:
    return _modify(call, call.venue.by_client_id(call.account, call.named["client_id"]))


@route("POST", "/orders/{number}/modify", trades=True)
def modify_order(call: Call) -> Any:
    return _modify(call, call.venue.by_number(call.account, call.named["number"]))


def _modify(call: Call, order: Order) -> Any:
    client_id = call.body.get("clientId")
    return call.venue.modify(call.account, order, call.amount("price"), call.amount("size"), str(client_id or ""))


@route("GET", "/orders/{number}")
def one_order(call: Call) -> Any:
    return call.venue.rest(call.account, call.venue.by_number(call.account, call.named["number"]))


@route("DELETE", "/orders/{number}", trades=True)
def cancel_order(call: Call) -> Any:
    return call.venue.cancel(call.account, call.venue.by_number(call.account, call.named["number"]))


# --- trigger orders -----------------------------------------------------------------------------------------


def _triggers(call: Call, *, open_: bool) -> list[Order]:
    orders = call.venue.triggers(call.account, open_=open_, market=call.query.get("market", ""))
    wanted = call.query.get("type", "")
    if not wanted:
        return orders
    if wanted not in TRIGGER_TYPES:
        raise Refusal("Invalid parameter type")
    return [order for order in orders if order.terms.type in TRIGGER_TYPES[wanted]]


@route("GET", "/conditional_orders")
def open_triggers(call: Call) -> Any:
    return [call.venue.trigger(call.account, order) for order in _triggers(call, open_=True)]


@route("GET", "/conditional_orders/history")
def trigger_history(call: Call) -> Any:
    start, end = call.seconds("start_time"), call.seconds("end_time")
    orders = [o for o in _triggers(call, open_=False) if o.created_ms >= start and (not end or o.created_ms <= end)]
    return _page([call.venue.trigger(call.account, order) for order in orders], call)


@route("GET", "/conditional_orders/{number}/triggers")
def trigger_fills(call: Call) -> Any:
    order = call.venue.trigger_by_number(call.account, call.named["number"])
    if not order.triggered:
        return []
    row = {
        "error": order.reason or None,
        "filledSize": wire.real(order.filled),
        "orderSize": wire.real(order.terms.quantity),
        "orderId": call.venue.number(order),
        "time": call.account.details.get(order.venue_id, {}).get("triggeredAt"),
    }
    return [row]


@route("POST", "/conditional_orders", trades=True)
def place_trigger(call: Call) -> Any:
    instrument = call.venue.instrument(call.word("market"))
    side = Side(call.word("side", "buy", "sell"))
    word = str(call.body.get("type", "stop"))
    if word not in TRIGGER_TYPES:
        raise Refusal("Invalid parameter type")
    size, limit = call.amount("size", needed=True), call.amount("orderPrice")
    assert size is not None
    type_ = TRIGGER_TYPES[word][1 if limit is not None else 0]
    details: Json = {"retryUntilFilled": call.body.get("retryUntilFilled", limit is None) is True}
    trigger, percent = None, None
    if type_ is OrderType.TRAILING_STOP:
        percent = _trail(call, instrument.symbol, side, details)
    else:
        trigger = call.amount("triggerPrice", needed=True)
    terms = terms_of(
        instrument,
        side,
        type_,
        size,
        price=limit,
        trigger=trigger,
        trail_percent=percent,
        reduce_only=call.flag("reduceOnly"),
    )
    return call.venue.place_trigger(call.account, terms, details)


def _trail(call: Call, market: str, side: Side, details: Json) -> Decimal:
    """The exchange trails by a percentage, to a tenth of a percent; FTX by an amount, below zero for a sell."""
    value = call.amount("trailValue", needed=True)
    assert value is not None
    if not value or (value < 0) != (side is Side.SELL):
        raise Refusal("Invalid parameter trailValue")
    last = call.exchange.last_price(market)
    details |= {"trailValue": float(value), "trailStart": float(last), "triggerPrice": float(last + value)}
    return max(Decimal("0.1"), (abs(value) / last * 100).quantize(Decimal("0.1")))


@route("POST", "/conditional_orders/{number}/modify", trades=True)
def modify_trigger(call: Call) -> Any:
    order = call.venue.trigger_by_number(call.account, call.named["number"])
    names = {"size": "quantity", "triggerPrice": "trigger_price", "orderPrice": "price"}
    changes = {ours: value for name, ours in names.items() if (value := call.amount(name)) is not None}
    return call.venue.modify_trigger(call.account, order, changes)


@route("DELETE", "/conditional_orders/{number}", trades=True)
def cancel_trigger(call: Call) -> Any:
    return call.venue.cancel_trigger(call.account, call.venue.trigger_by_number(call.account, call.named["number"]))
