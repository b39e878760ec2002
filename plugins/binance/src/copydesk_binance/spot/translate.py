"""Between the wire of Binance spot and copydesk's records, both ways. Pure: no clock, no I/O, no state.

Source of all names: https://developers.binance.com/docs/binance-spot-api-docs/ (REST, websocket API, user data stream).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from copydesk.model import (
    ZERO,
    Contract,
    Fill,
    Instrument,
    NewOrder,
    Order,
    OrderChange,
    OrderGroup,
    OrderRef,
    OrderStatus,
    OrderType,
    PositionSide,
    Record,
    Side,
    Terms,
    TimeInForce,
    TriggerBy,
)
from copydesk_wire.errors import Unreadable

from copydesk_binance.fields import (
    SIDES,
    TIME_WORDS,
    Params,
    Payload,
    Untranslatable,
    WrongMode,
    flag,
    need,
    need_number,
    number_or_zero,
    object_of,
    order_id_params,
    positive,
    rows,
    text,
    text_of,
    whole,
    word_of,
    word_or,
)

# --- words --------------------------------------------------------------------------------------------------

ORDER_TYPES: dict[str, OrderType] = {
    "LIMIT": OrderType.LIMIT,
    "LIMIT_MAKER": OrderType.LIMIT,
    "MARKET": OrderType.MARKET,
    "STOP_LOSS": OrderType.STOP_MARKET,
    "STOP_LOSS_LIMIT": OrderType.STOP_LIMIT,
    "TAKE_PROFIT": OrderType.TAKE_PROFIT_MARKET,
    "TAKE_PROFIT_LIMIT": OrderType.TAKE_PROFIT_LIMIT,
}
TYPE_WORDS: dict[OrderType, str] = {
    OrderType.LIMIT: "LIMIT",
    OrderType.MARKET: "MARKET",
    OrderType.STOP_MARKET: "STOP_LOSS",
    OrderType.STOP_LIMIT: "STOP_LOSS_LIMIT",
    OrderType.TAKE_PROFIT_MARKET: "TAKE_PROFIT",
    OrderType.TAKE_PROFIT_LIMIT: "TAKE_PROFIT_LIMIT",
    OrderType.TRAILING_STOP: "STOP_LOSS",
}
_TRAILED = frozenset({OrderType.STOP_MARKET, OrderType.STOP_LIMIT})
"""With a trail these are trailing stops; what a trailing stop-limit gives up at which price is not kept."""
STATUSES: dict[str, OrderStatus] = {
    "NEW": OrderStatus.NEW,
    "PENDING_NEW": OrderStatus.NEW,
    "PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELLED,
    "PENDING_CANCEL": OrderStatus.NEW,
    "REJECTED": OrderStatus.REJECTED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
}
TIMES_IN_FORCE: dict[str, tuple[TimeInForce, bool]] = {
    # the venue's word: (ours, post-only)
    "GTC": (TimeInForce.GTC, False),
    "IOC": (TimeInForce.IOC, False),
    "FOK": (TimeInForce.FOK, False),
    "GTX": (TimeInForce.GTC, True),
}
TRADES = frozenset({"TRADE", "CALCULATED"})
NONE = ("", "NONE")
BASIS_POINTS = 100
"""A trail is sent in hundredths of a percent."""


# --- orders -------------------------------------------------------------------------------------------------


class OrderReport(Record):
    """What one `executionReport` tells: the order as it is now and, where it traded, the execution.

    `pending`: it waits for the working order of its list, and is not in the market.
    """

    order: Order
    fill: Fill | None = None
    pending: bool = False


def _terms(payload: Payload, names: Mapping[str, str], word: str) -> Terms:
    """`names` are the fields of one form of an order."""
    type_ = ORDER_TYPES[word]
    time_in_force, post_only = word_or(payload, TIMES_IN_FORCE, names["time_in_force"], TIMES_IN_FORCE["GTC"])
    trail = number_or_zero(payload, names["trail"])
    if trail and type_ in _TRAILED:
        type_ = OrderType.TRAILING_STOP
    trailing = type_ is OrderType.TRAILING_STOP
    return Terms(
        symbol=text_of(payload, names["symbol"]),
        side=word_of(payload, SIDES, names["side"]),
        type=type_,
        quantity=number_or_zero(payload, names["quantity"]),
        price=positive(payload, names["price"]) if type_.has_price else None,
        trigger_price=positive(payload, names["trigger"]) if type_.has_trigger or trailing else None,
        trail_percent=trail / BASIS_POINTS if trailing else None,
        time_in_force=time_in_force,
        post_only=post_only or word == "LIMIT_MAKER",
    )


_STREAM = {
    "symbol": "s",
    "side": "S",
    "quantity": "q",
    "price": "p",
    "trigger": "P",
    "trail": "d",
    "time_in_force": "f",
}
_REST = {
    "symbol": "symbol",
    "side": "side",
    "quantity": "origQty",
    "price": "price",
    "trigger": "stopPrice",
    "trail": "trailingDelta",
    "time_in_force": "timeInForce",
}
_AMENDED = _REST | {"quantity": "qty"}


def _type_word(payload: Payload, name: str) -> str:
    word_of(payload, ORDER_TYPES, name)
    return str(payload[name])


def average(spent: Decimal, filled: Decimal) -> Decimal | None:
    """The venue tells what was spent. Exact as far as a quotient can be."""
    return spent / filled if filled > 0 and spent > 0 else None


def _group(payload: Payload, name: str) -> str:
    number = payload.get(name)
    return str(number) if isinstance(number, int) and number >= 0 else ""


def execution_report(event: Payload, account: str = "") -> OrderReport:
    """An `executionReport`, out of its envelope. The fee is positive when paid, in whatever asset it was taken."""
    body = object_of(event, "an order")
    terms = _terms(body, _STREAM, _type_word(body, "o"))
    filled, venue_id = number_or_zero(body, "z"), text_of(body, "i")
    kind, time_ms = str(body.get("x")), whole(body, "T", "E")
    original = str(body.get("C") or "")
    client_id = original if kind == "CANCELED" and original else str(body.get("c") or "")
    order = Order(
        account=account,
        venue_id=venue_id,
        client_id=client_id,
        terms=terms,
        status=word_of(body, STATUSES, "X"),
        filled=filled,
        average_price=average(number_or_zero(body, "Z"), filled),
        triggered=_was_triggered(terms, is_working=body.get("w") is True, working_ms=whole(body, "W"), filled=filled),
        created_ms=whole(body, "O"),
        updated_ms=time_ms,
        reason=_reason(body),
        group=_group(body, "g"),
    )
    pending = body.get("X") == "PENDING_NEW"
    last = number_or_zero(body, "l")
    if kind not in TRADES or last <= 0:
        return OrderReport(order=order, pending=pending)
    trade_id = whole(body, "t")
    fill = Fill(
        account=account,
        execution_id=str(trade_id) if trade_id >= 0 else f"{venue_id}:{filled}",
        venue_id=venue_id,
        client_id=client_id,
        symbol=terms.symbol,
        side=terms.side,
        quantity=last,
        price=need_number(body, "L"),
        fee=number_or_zero(body, "n"),
        fee_asset=str(body.get("N") or ""),
        maker=flag(body, "m"),
        time_ms=time_ms,
    )
    return OrderReport(order=order, fill=fill)


def _was_triggered(terms: Terms, *, is_working: bool, working_ms: int, filled: Decimal) -> bool:
    return terms.type.is_conditional and (is_working or working_ms > 0 or filled > 0)


def _reason(body: Payload) -> str:
    refused, expired = str(body.get("r") or ""), str(body.get("eR") or "")
    return refused if refused not in NONE else expired


def order(payload: Any, account: str = "") -> Order:
    """An order as REST and the websocket API answer it: queried, placed, cancelled, or an amendment's `amendedOrder`."""
    body = object_of(payload, "an order")
    amended = "qty" in body and "origQty" not in body
    terms = _terms(body, _AMENDED if amended else _REST, _type_word(body, "type"))
    filled = number_or_zero(body, "executedQty")
    spent = number_or_zero(body, "cummulativeQuoteQty", "cumulativeQuoteQty")
    cancelled = body.get("status") == "CANCELED" and body.get("origClientOrderId")
    working_ms = whole(body, "workingTime")
    return Order(
        account=account,
        venue_id=text_of(body, "orderId"),
        client_id=str((body["origClientOrderId"] if cancelled else body.get("clientOrderId")) or ""),
        terms=terms,
        status=word_of(body, STATUSES, "status"),
        filled=filled,
        average_price=average(spent, filled),
        triggered=_was_triggered(terms, is_working=False, working_ms=working_ms, filled=filled),
        created_ms=whole(body, "time", "transactTime"),
        updated_ms=whole(body, "updateTime", "transactTime", "time"),
        reason=str(body.get("expiryReason") or ""),
        group=_group(body, "orderListId"),
    )


def is_pending(payload: Payload) -> bool:
    """Whether an order waits for the working order of its list: it is not in the market, and is not told."""
    return payload.get("status") == "PENDING_NEW"


def amended(payload: Any) -> Order:
    """The reply to an amendment, which tells the time beside the order."""
    body = object_of(payload, "an amendment")
    changed = dict(object_of(need(body, "amendedOrder"), "an order"))
    return order({"transactTime": body.get("transactTime"), **changed})


def changed_ms(payload: Payload) -> int:
    """When an order that REST answered has changed last."""
    return whole(payload, "updateTime", "time")


def legs(payload: Any) -> tuple[Order, ...]:
    """The orders in the reply to an order list."""
    body = object_of(payload, "an order list")
    found = tuple(order(row) for row in rows(need(body, "orderReports"), "orders"))
    if not found:
        raise Unreadable("Binance answered with an order list without orders.")
    return found


def trade(payload: Any, account: str = "") -> Fill:
    """A row of myTrades."""
    body = object_of(payload, "a trade")
    return Fill(
        account=account,
        execution_id=text_of(body, "id"),
        venue_id=text_of(body, "orderId"),
        symbol=text_of(body, "symbol"),
        side=Side.BUY if flag(body, "isBuyer") else Side.SELL,
        quantity=need_number(body, "qty"),
        price=need_number(body, "price"),
        fee=number_or_zero(body, "commission"),
        fee_asset=str(body.get("commissionAsset") or ""),
        maker=flag(body, "isMaker"),
        time_ms=whole(body, "time"),
    )


# --- the account --------------------------------------------------------------------------------------------


class Wallet(Record):
    """One asset: what can be spent and what orders bind."""

    asset: str
    free: Decimal
    locked: Decimal = ZERO

    @property
    def total(self) -> Decimal:
        return self.free + self.locked


def account_position(event: Payload) -> tuple[Wallet, ...]:
    """An `outboundAccountPosition`, out of its envelope: the assets that may have changed."""
    body = object_of(event, "an account position")
    return tuple(
        Wallet(asset=text_of(row, "a"), free=need_number(row, "f"), locked=need_number(row, "l"))
        for row in rows(need(body, "B"), "balances")
    )


class BalanceChange(Record):
    """A `balanceUpdate` or an `externalLockUpdate`: an asset and by how much it changed."""

    asset: str
    change: Decimal
    time_ms: int


def balance_change(event: Payload) -> BalanceChange:
    body = object_of(event, "a balance change")
    return BalanceChange(asset=text_of(body, "a"), change=need_number(body, "d"), time_ms=whole(body, "T", "E"))


class ListStatus(Record):
    """A `listStatus`: an order list began or ended. Its orders tell of themselves."""

    group: str
    symbol: str
    kind: str
    status: str
    orders: tuple[str, ...]


def list_status(event: Payload) -> ListStatus:
    body = object_of(event, "an order list")
    return ListStatus(
        group=text_of(body, "g"),
        symbol=text_of(body, "s"),
        kind=text_of(body, "c"),
        status=text_of(body, "L"),
        orders=tuple(text_of(row, "i") for row in rows(need(body, "O"), "orders")),
    )


def wallets(payload: Any) -> tuple[Wallet, ...]:
    """The balances of an account read."""
    body = object_of(payload, "an account")
    return tuple(
        Wallet(asset=text_of(row, "asset"), free=need_number(row, "free"), locked=need_number(row, "locked"))
        for row in rows(need(body, "balances"), "balances")
    )


def event_of(frame: Any) -> Payload | None:
    """The event in a frame of the websocket API, or of a combined stream; None for replies to requests."""
    body = object_of(frame, "a frame")
    for name in ("event", "data"):
        inner = body.get(name)
        if isinstance(inner, Mapping):
            return inner
    return body if "e" in body else None


# --- the market ---------------------------------------------------------------------------------------------


def instrument(payload: Any) -> Instrument:
    """One symbol of exchangeInfo with its filters."""
    body = object_of(payload, "a symbol")
    filters = {str(row.get("filterType")): row for row in rows(need(body, "filters"), "filters")}
    lot: Payload = filters.get("LOT_SIZE", {})
    market_lot: Payload = filters.get("MARKET_LOT_SIZE", {})
    price: Payload = filters.get("PRICE_FILTER", {})
    notional: Payload = filters.get("NOTIONAL", filters.get("MIN_NOTIONAL", {}))
    quote = str(body.get("quoteAsset") or "")
    return Instrument(
        symbol=text_of(body, "symbol"),
        base=str(body.get("baseAsset") or ""),
        quote=quote,
        settle=quote,
        contract=Contract.SPOT,
        price_tick=number_or_zero(price, "tickSize"),
        quantity_step=number_or_zero(lot, "stepSize"),
        min_quantity=number_or_zero(lot, "minQty"),
        max_quantity=number_or_zero(lot, "maxQty"),
        market_max_quantity=number_or_zero(market_lot, "maxQty"),
        min_notional=number_or_zero(notional, "minNotional"),
        trading=body.get("status") == "TRADING",
    )


# --- requests -----------------------------------------------------------------------------------------------


def place_params(client_id: str, terms: Terms) -> Params:
    """The parameters that place an order. Raises `Untranslatable` for what spot does not have."""
    _check(terms)
    params: Params = {"symbol": terms.symbol, "side": terms.side.value.upper(), "quantity": text(terms.quantity)}
    for name, value in _typed(terms).items():
        params[name] = value
    return params | {"newClientOrderId": client_id, "newOrderRespType": "FULL"}


def _check(terms: Terms) -> None:
    if terms.position_side is not PositionSide.NET:
        raise WrongMode(f"Spot has no long and short sides: an order on {terms.symbol} cannot be {terms.position_side}.")
    if terms.reduce_only or terms.close_position:
        raise Untranslatable("Spot has no reduce-only orders: what is sold is what the account has.")
    if terms.trigger_by is not TriggerBy.LAST and terms.type.is_conditional:
        raise Untranslatable(f"Binance spot triggers by the last price, not by the {terms.trigger_by} price.")


def _typed(terms: Terms) -> Params:
    """The type of an order and what goes with it."""
    params: Params = {"type": "LIMIT_MAKER" if _is_maker(terms) else TYPE_WORDS[terms.type]}
    if terms.type.has_price:
        if terms.price is None:
            raise Untranslatable(f"A {terms.type} order needs a price.")
        params["price"] = text(terms.price)
        if not _is_maker(terms):
            params["timeInForce"] = TIME_WORDS[terms.time_in_force]
    if terms.post_only and not _is_maker(terms):
        raise Untranslatable(f"Binance spot has no post-only {terms.type} orders.")
    if terms.type is OrderType.TRAILING_STOP:
        params["trailingDelta"] = _trail(terms)
    elif terms.type.has_trigger and terms.trigger_price is None:
        raise Untranslatable(f"A {terms.type} order needs a trigger price.")
    if terms.trigger_price is not None and terms.type.is_conditional:
        params["stopPrice"] = text(terms.trigger_price)
    return params


def _is_maker(terms: Terms) -> bool:
    return terms.post_only and terms.type is OrderType.LIMIT


def _trail(terms: Terms) -> str:
    if terms.trail_percent is None:
        raise Untranslatable("A trailing stop needs a trail in percent.")
    basis_points = terms.trail_percent * BASIS_POINTS
    if basis_points != basis_points.to_integral_value():
        raise Untranslatable(f"Binance spot trails by whole hundredths of a percent, not by {terms.trail_percent} %.")
    return text(basis_points.to_integral_value())


def group_params(group: OrderGroup) -> Params:
    """The parameters that place a stop and a target as an OCO list. Raises `Untranslatable`."""
    first, second = group.legs
    if (first.terms.symbol, first.terms.side, first.terms.quantity) != (
        second.terms.symbol,
        second.terms.side,
        second.terms.quantity,
    ):
        raise Untranslatable("The two orders of a group have one symbol, one side and one quantity.")
    above, below = sorted(group.legs, key=_level, reverse=True)
    terms = first.terms
    params: Params = {"symbol": terms.symbol, "side": terms.side.value.upper(), "quantity": text(terms.quantity)}
    for prefix, leg in (("above", above), ("below", below)):
        _check(leg.terms)
        named = leg.terms
        if named.type is OrderType.LIMIT:  # the target of a list is a maker's order, whatever was asked for
            named = _as_maker(named)
        typed = {"clientOrderId": leg.client_id, **_typed(named)}
        params |= {f"{prefix}{name[0].upper()}{name[1:]}": value for name, value in typed.items()}
    return params | {"newOrderRespType": "FULL"}


def _level(leg: NewOrder) -> Decimal:
    """The price at which a leg of a list comes to life; a trailing stop follows behind, wherever it stands."""
    terms = leg.terms
    if terms.type is OrderType.TRAILING_STOP and terms.trigger_price is None:
        return ZERO if terms.side is Side.SELL else Decimal("Infinity")
    return terms.trigger_price or terms.price or ZERO


def _as_maker(terms: Terms) -> Terms:
    if terms.time_in_force is not TimeInForce.GTC:
        raise Untranslatable("The target of a group stands in the book: it cannot be immediate-or-cancel.")
    return Terms(**{name: getattr(terms, name) for name in terms.__struct_fields__} | {"post_only": True})


def amend_params(change: OrderChange) -> Params:
    """The parameters that make an order smaller, which keeps its place in the queue.

    Whether that is all that changes is for the caller to know. Raises `Untranslatable` without a name for the order.
    """
    params = {"symbol": change.terms.symbol, "newQty": text(change.terms.quantity)} | order_id_params(change.ref)
    if change.ref.client_id:
        params["newClientOrderId"] = change.ref.client_id  # else the venue makes up a new one
    return params


def ref_params(ref: OrderRef) -> Params:
    """The parameters that name one order, for a cancel or a query."""
    return {"symbol": ref.symbol} | order_id_params(ref)
