"""The REST endpoints: one table of paths, each with its weight, its security and what it does.

Source: https://developers.binance.com/docs/derivatives/usds-margined-futures/ (weights as of 2026).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import Any

import msgspec
from copydesk.model import Fill

from copydesk_binance.rehearsal import wire
from copydesk_binance.rehearsal.codes import Refusal
from copydesk_binance.rehearsal.limits import MINUTE_MS, TEN_SECONDS_MS
from copydesk_binance.rehearsal.listing import MAINTENANCE_RATIO, MAX_BATCH, MAX_LEVERAGE, MAX_NOTIONAL
from copydesk_binance.rehearsal.market import INTERVALS, MarketData
from copydesk_binance.rehearsal.misbehaviour import Misbehaviour
from copydesk_binance.rehearsal.parameters import Params
from copydesk_binance.rehearsal.signing import plain_number
from copydesk_binance.rehearsal.streams import Streams
from copydesk_binance.rehearsal.venue import Account, Venue
from copydesk_binance.rehearsal.wire import Json

MAKER_RATE, TAKER_RATE = "0.000200", "0.000500"
_DONE = {"code": 200, "msg": "The operation of cancel all open order is done."}


class Security(Enum):
    NONE = "none"
    KEY = "key"
    SIGNED = "signed"


@dataclass(frozen=True, slots=True)
class Limits:
    weight_per_minute: int
    orders_per_minute: int
    orders_per_ten_seconds: int


class Call:
    """One request: its parameters, and whose it is (for endpoints that need a key)."""

    __slots__ = ("_account", "params")

    def __init__(self, params: Params, account: Account | None) -> None:
        self.params = params
        self._account = account

    @property
    def account(self) -> Account:
        if self._account is None:
            raise Refusal(-2014)
        return self._account


@dataclass(frozen=True, slots=True)
class Route:
    """`orders`: how many orders a call counts for; `trades`: whether faults of requests that trade concern it."""

    act: Callable[[Rest, Call], Any]
    security: Security
    weight: Callable[[Params], int]
    orders: Callable[[Params], int] | None = None
    trades: bool = False


ROUTES: dict[tuple[str, str], Route] = {}
Act = Callable[["Rest", Call], Any]


def _route(
    method: str,
    *paths: str,
    security: Security = Security.SIGNED,
    weight: int | Callable[[Params], int] = 1,
    orders: Callable[[Params], int] | None = None,
    trades: bool = False,
) -> Callable[[Act], Act]:
    def enter(act: Act) -> Act:
        weigh = weight if callable(weight) else lambda _, fixed=weight: fixed
        for path in paths:
            ROUTES[method, path] = Route(act, security, weigh, orders, trades)
        return act

    return enter


def _public(*paths: str, weight: int | Callable[[Params], int] = 1) -> Callable[[Act], Act]:
    return _route("GET", *paths, security=Security.NONE, weight=weight)


def _one(_: Params) -> int:
    return 1


def _by_symbol(with_symbol: int, without: int) -> Callable[[Params], int]:
    return lambda params: with_symbol if "symbol" in params else without


def _by_limit(default: int, *steps: tuple[int, int]) -> Callable[[Params], int]:
    def weigh(params: Params) -> int:
        limit = params.integer("limit") or default
        return next((weight for most, weight in steps if limit <= most), steps[-1][1])

    return weigh


class Rest:
    """What the endpoints work on."""

    def __init__(
        self,
        venue: Venue,
        market: MarketData,
        streams: Streams,
        limits: Limits,
        now_ms: Callable[[], int],
        misbehaviour: Misbehaviour,
    ) -> None:
        self.venue = venue
        self.market = market
        self.streams = streams
        self.limits = limits
        self.now_ms = now_ms
        self.misbehaviour = misbehaviour

    def symbols(self, call: Call) -> tuple[str, ...]:
        """The symbol that was asked for, or all."""
        symbol = call.params.text("symbol")
        return (self.venue.listing.rules(symbol).symbol,) if symbol else self.venue.listing.symbols

    def symbol(self, call: Call) -> str:
        return self.venue.listing.rules(call.params.mandatory("symbol")).symbol

    def for_symbols(self, call: Call, make: Callable[[str], Json]) -> Json | list[Json]:
        """One object for the symbol that was asked for, or a list of all."""
        rows = [make(symbol) for symbol in self.symbols(call)]
        return rows[0] if "symbol" in call.params else rows


# --- general ------------------------------------------------------------------------------------------------


@_public("/fapi/v1/ping", "/api/v3/ping")
def _ping(rest: Rest, call: Call) -> Json:
    return {}


@_public("/fapi/v1/time", "/api/v3/time")
def _time(rest: Rest, call: Call) -> Json:
    return {"serverTime": rest.now_ms() - rest.misbehaviour.behind_ms}


@_public("/fapi/v1/exchangeInfo")
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


@_public("/fapi/v1/depth", weight=_by_limit(500, (50, 2), (100, 5), (500, 10), (1000, 20)))
def _depth(rest: Rest, call: Call) -> Json:
    limit = call.params.integer("limit") or 500
    if limit not in _BOOK_LIMITS:
        raise Refusal(-4021, message=f"{limit} is not valid depth limit.")
    return rest.market.depth(rest.symbol(call), limit)


@_public("/fapi/v1/trades", weight=5)
def _trades(rest: Rest, call: Call) -> list[Json]:
    return rest.market.trades(rest.symbol(call), call.params.limit(500, 1000))


@_route("GET", "/fapi/v1/historicalTrades", security=Security.KEY, weight=200)
def _historical_trades(rest: Rest, call: Call) -> list[Json]:
    rows = rest.market.trades(rest.symbol(call), 1000)
    from_id = call.params.integer("fromId") or 0
    return [row for row in rows if row["id"] >= from_id][-call.params.limit(100, 500) :]


@_public("/fapi/v1/aggTrades", weight=20)
def _aggregate_trades(rest: Rest, call: Call) -> list[Json]:
    params = call.params
    rows = rest.market.aggregate_trades(rest.symbol(call), 1000)
    from_id, start, end = params.integer("fromId") or 0, params.integer("startTime") or 0, params.integer("endTime")
    rows = [row for row in rows if row["a"] >= from_id and row["T"] >= start and (end is None or row["T"] <= end)]
    limit = params.limit(500, 1000)
    return rows[:limit] if from_id or start else rows[-limit:]


_CANDLE_WEIGHT = _by_limit(500, (99, 1), (499, 2), (1000, 5), (1500, 10))


def _candle_rows(rest: Rest, call: Call, symbol: str) -> list[list[str | int]]:
    params, interval = call.params, call.params.mandatory("interval")
    start, end = params.integer("startTime") or 0, params.integer("endTime") or 0
    if start and end and start > end:
        raise Refusal(-1023, message="Start time is greater than end time.")
    rules = rest.venue.listing.rules(symbol)
    bars = rest.market.candles(symbol, interval, params.limit(500, 1500), start, end)
    return [rest.market.candle_row(bar, INTERVALS[interval], rules) for bar in bars]


@_public("/fapi/v1/klines", "/fapi/v1/markPriceKlines", weight=_CANDLE_WEIGHT)
def _candles(rest: Rest, call: Call) -> list[list[str | int]]:
    return _candle_rows(rest, call, call.params.mandatory("symbol"))


@_public("/fapi/v1/continuousKlines", "/fapi/v1/indexPriceKlines", weight=_CANDLE_WEIGHT)
def _pair_candles(rest: Rest, call: Call) -> list[list[str | int]]:
    return _candle_rows(rest, call, call.params.mandatory("pair"))


@_public("/fapi/v1/premiumIndex", weight=_by_symbol(1, 10))
def _premium_index(rest: Rest, call: Call) -> Json | list[Json]:
    return rest.for_symbols(call, rest.market.premium)


@_public("/fapi/v1/ticker/price", "/fapi/v2/ticker/price", weight=_by_symbol(1, 2))
def _price(rest: Rest, call: Call) -> Json | list[Json]:
    return rest.for_symbols(call, rest.market.price)


@_public("/fapi/v1/ticker/bookTicker", weight=_by_symbol(2, 5))
def _book_ticker(rest: Rest, call: Call) -> Json | list[Json]:
    return rest.for_symbols(call, rest.market.book_ticker)


@_public("/fapi/v1/ticker/24hr", weight=_by_symbol(1, 40))
def _day(rest: Rest, call: Call) -> Json | list[Json]:
    return rest.for_symbols(call, rest.market.day)


@_public("/fapi/v1/fundingRate")
def _funding_rate(rest: Rest, call: Call) -> list[Json]:
    limit = call.params.limit(100, 1000)
    return [row for symbol in rest.symbols(call) for row in rest.market.funding(symbol, limit)][-limit:]


@_public("/fapi/v1/fundingInfo")
def _funding_info(rest: Rest, call: Call) -> list[Json]:
    return []


# --- listen keys --------------------------------------------------------------------------------------------


@_route("POST", "/fapi/v1/listenKey", security=Security.KEY)
def _create_listen_key(rest: Rest, call: Call) -> Json:
    return {"listenKey": rest.streams.create_key(call.account)}


@_route("PUT", "/fapi/v1/listenKey", security=Security.KEY)
def _keep_listen_key(rest: Rest, call: Call) -> Json:
    return {"listenKey": rest.streams.keep_key(call.account)}


@_route("DELETE", "/fapi/v1/listenKey", security=Security.KEY)
def _delete_listen_key(rest: Rest, call: Call) -> Json:
    rest.streams.delete_key(call.account)
    return {}


# --- orders -------------------------------------------------------------------------------------------------


@_route("POST", "/fapi/v1/order", weight=0, orders=_one, trades=True)
def _place(rest: Rest, call: Call) -> Json:
    return rest.venue.place(call.account, call.params)


@_route("POST", "/fapi/v1/order/test", weight=1)
def _test_order(rest: Rest, call: Call) -> Json:
    return rest.venue.test(call.account, call.params)


@_route("PUT", "/fapi/v1/order", weight=1, orders=_one, trades=True)
def _modify(rest: Rest, call: Call) -> Json:
    return rest.venue.modify(call.account, call.params)


@_route("DELETE", "/fapi/v1/order", weight=1, trades=True)
def _cancel(rest: Rest, call: Call) -> Json:
    return rest.venue.cancel(call.account, call.params)


@_route("GET", "/fapi/v1/order")
def _order(rest: Rest, call: Call) -> Json:
    return rest.venue.order(call.account, call.params)


@_route("GET", "/fapi/v1/openOrder")
def _open_order(rest: Rest, call: Call) -> Json:
    return rest.venue.order(call.account, call.params, working=True)


@_route("GET", "/fapi/v1/openOrders", weight=_by_symbol(1, 40))
def _open_orders(rest: Rest, call: Call) -> list[Json]:
    symbol = rest.symbol(call) if "symbol" in call.params else ""
    return [rest.venue.row(call.account, order) for order in rest.venue.open_orders(call.account, symbol)]


@_route("DELETE", "/fapi/v1/allOpenOrders", trades=True)
def _cancel_all(rest: Rest, call: Call) -> Json:
    rest.venue.cancel_all(call.account, call.params.mandatory("symbol"))
    return _DONE


@_route("GET", "/fapi/v1/allOrders", weight=5)
def _all_orders(rest: Rest, call: Call) -> list[Json]:
    params = call.params
    from_id = params.integer("orderId") or 0
    start, end = params.integer("startTime") or 0, params.integer("endTime")
    orders = [
        order
        for order in rest.venue.orders(call.account, rest.symbol(call))
        if int(order.venue_id) >= from_id and order.created_ms >= start and (end is None or order.created_ms <= end)
    ]
    limit = params.limit(500, 1000)
    return [rest.venue.row(call.account, order) for order in (orders[:limit] if from_id else orders[-limit:])]


@_route("POST", "/fapi/v1/countdownCancelAll", weight=10)
def _countdown(rest: Rest, call: Call) -> Json:
    return rest.venue.countdown(call.account, call.params)


_decode_batch = msgspec.json.Decoder(list[dict[str, Any]], float_hook=plain_number).decode


def _batch(params: Params) -> list[Params]:
    try:
        listed = _decode_batch(params.mandatory("batchOrders"))
    except msgspec.DecodeError:
        raise Refusal(-1130, "batchOrders") from None
    if not 1 <= len(listed) <= MAX_BATCH:
        raise Refusal(-4082)
    return [Params.from_json(one) for one in listed]


def _count_batch(params: Params) -> int:
    return len(_batch(params))


def _each(batch: list[Params], act: Callable[[Params], Json]) -> list[Json]:
    """Each on its own: what one is refused for does not concern the others."""
    results = []
    for params in batch:
        try:
            results.append(act(params))
        except Refusal as refusal:
            results.append(refusal.payload())
    return results


@_route("POST", "/fapi/v1/batchOrders", weight=5, orders=_count_batch, trades=True)
def _place_batch(rest: Rest, call: Call) -> list[Json]:
    return _each(_batch(call.params), lambda params: rest.venue.place(call.account, params))


@_route("PUT", "/fapi/v1/batchOrders", weight=5, orders=_count_batch, trades=True)
def _modify_batch(rest: Rest, call: Call) -> list[Json]:
    return _each(_batch(call.params), lambda params: rest.venue.modify(call.account, params))


@_route("DELETE", "/fapi/v1/batchOrders", weight=1, trades=True)
def _cancel_batch(rest: Rest, call: Call) -> list[Json]:
    symbol = rest.symbol(call)
    named: list[dict[str, str]] = []
    for field, name in (("orderIdList", "orderId"), ("origClientOrderIdList", "origClientOrderId")):
        if field in call.params:
            try:
                listed = msgspec.json.decode(call.params.text(field), type=list[str | int])
            except msgspec.DecodeError:
                raise Refusal(-1130, field) from None
            named += [{"symbol": symbol, name: str(one)} for one in listed]
    if not named:
        raise Refusal(-1102, "orderIdList")
    if len(named) > 2 * MAX_BATCH:
        raise Refusal(-4082)
    return _each([Params(one) for one in named], lambda params: rest.venue.cancel(call.account, params))


# --- the algo service ---------------------------------------------------------------------------------------


@_route("POST", "/fapi/v1/algoOrder", weight=0, orders=_one, trades=True)
def _place_algo(rest: Rest, call: Call) -> Json:
    return rest.venue.place_algo(call.account, call.params)


@_route("DELETE", "/fapi/v1/algoOrder", trades=True)
def _cancel_algo(rest: Rest, call: Call) -> Json:
    algo = rest.venue.cancel_algo(call.account, call.params)
    return {"algoId": algo.algo_id, "clientAlgoId": algo.client_id, "code": "200", "msg": "success"}


@_route("GET", "/fapi/v1/algoOrder")
def _algo(rest: Rest, call: Call) -> Json:
    return rest.venue.algo(call.account, call.params, -2013).row()


@_route("GET", "/fapi/v1/openAlgoOrders", weight=_by_symbol(1, 40))
def _open_algos(rest: Rest, call: Call) -> list[Json]:
    symbol = rest.symbol(call) if "symbol" in call.params else ""
    algo_id = call.params.integer("algoId")
    rows = rest.venue.open_algos(call.account, symbol)
    return [algo.row() for algo in rows if algo_id in (None, algo.algo_id)]


@_route("GET", "/fapi/v1/allAlgoOrders", weight=5)
def _all_algos(rest: Rest, call: Call) -> list[Json]:
    symbol, params = rest.symbol(call), call.params
    from_id, start, end = params.integer("algoId") or 0, params.integer("startTime") or 0, params.integer("endTime")
    found = [
        algo
        for algo in call.account.algo_orders.values()
        if algo.order.terms.symbol == symbol
        and algo.algo_id >= from_id
        and algo.order.created_ms >= start
        and (end is None or algo.order.created_ms <= end)
    ]
    limit = params.limit(500, 1000)
    return [algo.row() for algo in (found[:limit] if from_id else found[-limit:])]


@_route("DELETE", "/fapi/v1/algoOpenOrders", trades=True)
def _cancel_all_algos(rest: Rest, call: Call) -> Json:
    rest.venue.cancel_all_algos(call.account, call.params.mandatory("symbol"))
    return _DONE


# --- accounts -----------------------------------------------------------------------------------------------


@_route("GET", "/fapi/v2/balance", "/fapi/v3/balance", weight=5)
def balances(rest: Rest, call: Call) -> list[Json]:
    return [wire.balance_row(rest.venue.exchange.balance(call.account.name), call.account.alias)]


def account_status(rest: Rest, account: Account, version: int) -> Json:
    venue = rest.venue
    positions = venue.positions(account, all_symbols=version < 3)
    rows = [
        wire.account_position_row(
            position,
            venue.listing.rules(position.symbol),
            isolated=venue.exchange.isolated(account.name, position.symbol),
            version=version,
            updated_ms=account.moved_ms.get((position.symbol, position.position_side), 0),
        )
        for position in positions
    ]
    balance = venue.exchange.balance(account.name)
    return wire.account_reply(balance, positions, rows, version=version, multi_assets=account.multi_assets)


def position_rows(rest: Rest, call: Call, version: int) -> list[Json]:
    venue, account = rest.venue, call.account
    symbol = rest.symbol(call) if "symbol" in call.params else ""
    return [
        wire.position_row(
            position,
            venue.listing.rules(position.symbol),
            isolated=venue.exchange.isolated(account.name, position.symbol),
            version=version,
            updated_ms=account.moved_ms.get((position.symbol, position.position_side), 0),
        )
        for position in venue.positions(account, symbol, all_symbols=version < 3)
    ]


@_route("GET", "/fapi/v1/account", "/fapi/v2/account", weight=5)
def _account_v2(rest: Rest, call: Call) -> Json:
    return account_status(rest, call.account, 2)


@_route("GET", "/fapi/v3/account", weight=5)
def _account_v3(rest: Rest, call: Call) -> Json:
    return account_status(rest, call.account, 3)


@_route("GET", "/fapi/v1/positionRisk", "/fapi/v2/positionRisk", weight=5)
def _position_risk_v2(rest: Rest, call: Call) -> list[Json]:
    return position_rows(rest, call, 2)


@_route("GET", "/fapi/v3/positionRisk", weight=5)
def _position_risk_v3(rest: Rest, call: Call) -> list[Json]:
    return position_rows(rest, call, 3)


@_route("POST", "/fapi/v1/leverage")
def _leverage(rest: Rest, call: Call) -> Json:
    return rest.venue.set_leverage(call.account, call.params)


@_route("POST", "/fapi/v1/marginType")
def _margin_type(rest: Rest, call: Call) -> Json:
    return rest.venue.set_margin_type(call.account, call.params)


@_route("GET", "/fapi/v1/positionSide/dual", weight=30)
def _position_mode(rest: Rest, call: Call) -> Json:
    return {"dualSidePosition": rest.venue.exchange.hedge_mode(call.account.name)}


@_route("POST", "/fapi/v1/positionSide/dual")
def _set_position_mode(rest: Rest, call: Call) -> Json:
    return rest.venue.set_position_mode(call.account, call.params)


@_route("GET", "/fapi/v1/multiAssetsMargin", weight=30)
def _multi_assets(rest: Rest, call: Call) -> Json:
    return {"multiAssetsMargin": call.account.multi_assets}


@_route("POST", "/fapi/v1/multiAssetsMargin")
def _set_multi_assets(rest: Rest, call: Call) -> Json:
    call.params.mandatory("multiAssetsMargin")
    if not call.params.flag("multiAssetsMargin"):
        raise Refusal(-4171)
    raise Refusal(-4084, message="Multi-assets mode is not offered by this rehearsal venue.")


@_route("GET", "/fapi/v1/leverageBracket")
def _leverage_bracket(rest: Rest, call: Call) -> list[Json]:
    bracket = {
        "bracket": 1,
        "initialLeverage": MAX_LEVERAGE,
        "notionalCap": int(MAX_NOTIONAL),
        "notionalFloor": 0,
        "maintMarginRatio": MAINTENANCE_RATIO,
        "cum": 0.0,
    }
    return [{"symbol": symbol, "brackets": [bracket]} for symbol in rest.symbols(call)]


@_route("GET", "/fapi/v1/userTrades", weight=5)
def _user_trades(rest: Rest, call: Call) -> list[Json]:
    params, symbol = call.params, rest.symbol(call)
    from_id, order_id, end = params.integer("fromId"), params.integer("orderId"), params.integer("endTime")
    if from_id is not None and ("startTime" in params or "endTime" in params):
        raise Refusal(-1128)

    def is_wanted(fill: Fill) -> bool:
        return (
            (from_id is None or int(fill.execution_id) >= from_id)
            and (order_id is None or int(fill.venue_id) == order_id)
            and (end is None or fill.time_ms <= end)
        )

    fills = [fill for fill in rest.venue.fills(call.account, symbol, params.integer("startTime") or 0) if is_wanted(fill)]
    limit = params.limit(500, 1000)
    rules = rest.venue.listing.rules(symbol)
    shown = fills[:limit] if from_id is not None or "startTime" in params else fills[-limit:]
    return [wire.trade_row(fill, rules, rest.venue.realised(call.account, fill)) for fill in shown]


@_route("GET", "/fapi/v1/income", weight=30)
def _income(rest: Rest, call: Call) -> list[Json]:
    params = call.params
    symbol, kind = params.text("symbol"), params.text("incomeType")
    start, end = params.integer("startTime") or 0, params.integer("endTime")
    rows = [
        row
        for row in call.account.income
        if symbol in ("", row["symbol"])
        and kind in ("", row["incomeType"])
        and row["time"] >= start
        and (end is None or row["time"] <= end)
    ]
    limit = params.limit(100, 1000)
    return rows[:limit] if start else rows[-limit:]


@_route("GET", "/fapi/v1/commissionRate", weight=20)
def _commission_rate(rest: Rest, call: Call) -> Json:
    return {"symbol": rest.symbol(call), "makerCommissionRate": MAKER_RATE, "takerCommissionRate": TAKER_RATE}


@_route("GET", "/fapi/v1/rateLimit/order")
def _order_limits(rest: Rest, call: Call) -> list[Json]:
    limits = rest.limits
    return [
        {
            "rateLimitType": "ORDERS",
            "interval": "SECOND",
            "intervalNum": TEN_SECONDS_MS // 1000,
            "limit": limits.orders_per_ten_seconds,
        },
        {
            "rateLimitType": "ORDERS",
            "interval": "MINUTE",
            "intervalNum": MINUTE_MS // 60_000,
            "limit": limits.orders_per_minute,
        },
    ]


@_route("GET", "/fapi/v1/apiTradingStatus", weight=_by_symbol(1, 10))
def _trading_status(rest: Rest, call: Call) -> Json:
    return {"indicators": {}, "updateTime": rest.now_ms()}


@_route("GET", "/fapi/v1/accountConfig", weight=5)
def _account_config(rest: Rest, call: Call) -> Json:
    return {
        "feeTier": 0,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "dualSidePosition": rest.venue.exchange.hedge_mode(call.account.name),
        "updateTime": 0,
        "multiAssetsMargin": call.account.multi_assets,
        "tradeGroupId": -1,
    }


@_route("GET", "/fapi/v1/symbolConfig", weight=5)
def _symbol_config(rest: Rest, call: Call) -> list[Json]:
    exchange, name = rest.venue.exchange, call.account.name
    return [
        {
            "symbol": symbol,
            "marginType": "ISOLATED" if exchange.isolated(name, symbol) else "CROSSED",
            "isAutoAddMargin": False,
            "leverage": exchange.leverage(name, symbol),
            "maxNotionalValue": wire.bare(MAX_NOTIONAL),
        }
        for symbol in rest.symbols(call)
    ]


@_route("GET", "/fapi/v1/feeBurn", weight=30)
def _fee_burn(rest: Rest, call: Call) -> Json:
    return {"feeBurn": False}


@_public("/fapi/v1/openInterest")
def _open_interest(rest: Rest, call: Call) -> Json:
    symbol = rest.symbol(call)
    held = wire.padded(rest.venue.open_interest(symbol), rest.venue.listing.rules(symbol).quantity_places)
    return {"symbol": symbol, "openInterest": held, "time": rest.now_ms()}


@_public("/fapi/v1/indexInfo", "/fapi/v1/assetIndex")
def _no_indices(rest: Rest, call: Call) -> list[Json]:
    return []


@_route("GET", "/fapi/v1/adlQuantile", weight=5)
def _adl_quantile(rest: Rest, call: Call) -> list[Json]:
    held = {one.symbol for one in rest.venue.positions(call.account, all_symbols=False) if one.quantity}
    sides = ("LONG", "SHORT", "HEDGE") if rest.venue.exchange.hedge_mode(call.account.name) else ("BOTH",)
    return [
        {"symbol": symbol, "adlQuantile": dict.fromkeys(("LONG", "SHORT", *sides), 0)}
        for symbol in rest.symbols(call)
        if symbol in held
    ]


@_route("GET", "/fapi/v1/orderAmendment")
def _amendments(rest: Rest, call: Call) -> list[Json]:
    params, symbol = call.params, rest.symbol(call)
    order_id, client_id = params.integer("orderId"), params.text("origClientOrderId")
    rows = [
        row
        for row in reversed(call.account.amendments)
        if row["symbol"] == symbol and order_id in (None, row["orderId"]) and client_id in ("", row["clientOrderId"])
    ]
    return rows[: params.limit(50, 100)]


@_route("POST", "/fapi/v1/positionMargin", trades=True)
def _position_margin(rest: Rest, call: Call) -> Json:
    rest.symbol(call)
    call.params.mandatory_decimal("amount")
    raise Refusal(-4084, message="Changing the margin of a position is not offered by this rehearsal venue.")


@_route("GET", "/fapi/v1/positionMargin/history")
def _position_margin_history(rest: Rest, call: Call) -> list[Json]:
    rest.symbol(call)
    return []


@_route("GET", "/fapi/v1/forceOrders", weight=_by_symbol(20, 50))
def _force_orders(rest: Rest, call: Call) -> list[Json]:
    symbols = rest.symbols(call)
    return [
        rest.venue.row(call.account, order)
        for symbol in symbols
        for order in rest.venue.orders(call.account, symbol)
        if order.client_id.startswith(wire.LIQUIDATION_PREFIX)
    ]


# --- what ccxt asks of the spot service when it loads markets with keys ----------------------------------------


@_route("GET", "/sapi/v1/capital/config/getall")
def _coins(rest: Rest, call: Call) -> list[Json]:
    balance = rest.venue.exchange.balance(call.account.name)
    zero = str(Decimal(0))
    return [
        {
            "coin": balance.currency,
            "depositAllEnable": False,
            "withdrawAllEnable": False,
            "name": balance.currency,
            "free": zero,
            "locked": zero,
            "freeze": zero,
            "withdrawing": zero,
            "ipoing": zero,
            "ipoable": zero,
            "storage": zero,
            "isLegalMoney": False,
            "trading": True,
            "networkList": [],
        }
    ]


@_route("GET", "/sapi/v1/margin/allPairs", "/sapi/v1/margin/isolated/allPairs", security=Security.KEY)
def _margin_pairs(rest: Rest, call: Call) -> list[Json]:
    return []
