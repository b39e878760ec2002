"""What USD-M futures tell of orders and trades, as copydesk's records. Pure: no clock, no I/O, no state.

Source of all names: Binance USD-M futures API documentation.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from copydesk.model import (
    Fill,
    Order,
    OrderStatus,
    OrderType,
    PositionSide,
    Record,
    Terms,
    TimeInForce,
    TriggerBy,
)
from copydesk_wire.errors import Unreadable

from copydesk_binance.fields import (
    SIDES,
    Payload,
    flag,
    inner_of,
    need_number,
    number_or_zero,
    object_of,
    positive,
    rows,
    text_of,
    whole,
    word_of,
    word_or,
)

ALGO_PREFIX = "algo:"
"""Marks the `venue_id` of a conditional order, whose ids come from a service of their own."""

# --- words --------------------------------------------------------------------------------------------------

ORDER_TYPES: dict[str, OrderType] = {
    "LIMIT": OrderType.LIMIT,
    "MARKET": OrderType.MARKET,
    "STOP": OrderType.STOP_LIMIT,
    "STOP_MARKET": OrderType.STOP_MARKET,
    "TAKE_PROFIT": OrderType.TAKE_PROFIT_LIMIT,
    "TAKE_PROFIT_MARKET": OrderType.TAKE_PROFIT_MARKET,
    "TRAILING_STOP_MARKET": OrderType.TRAILING_STOP,
    "LIQUIDATION": OrderType.MARKET,
}
TYPE_WORDS: dict[OrderType, str] = {ours: word for word, ours in reversed(ORDER_TYPES.items()) if word != "LIQUIDATION"}

STATUSES: dict[str, OrderStatus] = {
    "NEW": OrderStatus.NEW,
    "PARTIALLY_FILLED": OrderStatus.PARTIALLY_FILLED,
    "FILLED": OrderStatus.FILLED,
    "CANCELED": OrderStatus.CANCELLED,
    "CANCELLED": OrderStatus.CANCELLED,
    "EXPIRED": OrderStatus.EXPIRED,
    "EXPIRED_IN_MATCH": OrderStatus.EXPIRED,
    "REJECTED": OrderStatus.REJECTED,
    "NEW_INSURANCE": OrderStatus.NEW,
    "NEW_ADL": OrderStatus.NEW,
}

TIMES_IN_FORCE: dict[str, tuple[TimeInForce, bool]] = {
    # the venue's word: (ours, post-only)
    "GTC": (TimeInForce.GTC, False),
    "IOC": (TimeInForce.IOC, False),
    "FOK": (TimeInForce.FOK, False),
    "GTX": (TimeInForce.GTC, True),
    "GTD": (TimeInForce.GTC, False),  # the venue cancels it at its date and reports that
    "GTE_GTC": (TimeInForce.GTC, False),
    "RPI": (TimeInForce.GTC, True),
}

POSITION_SIDES: dict[str, PositionSide] = {"BOTH": PositionSide.NET, "LONG": PositionSide.LONG, "SHORT": PositionSide.SHORT}
TRIGGERS: dict[str, TriggerBy] = {"CONTRACT_PRICE": TriggerBy.LAST, "MARK_PRICE": TriggerBy.MARK}
TRIGGER_WORDS: dict[TriggerBy, str] = {ours: word for word, ours in TRIGGERS.items()}

ALGO_STATUSES: dict[str, OrderStatus | None] = {
    # None: it depends on the order that it became
    "NEW": OrderStatus.NEW,
    "CANCELED": OrderStatus.CANCELLED,
    "CANCELLED": OrderStatus.CANCELLED,
    "EXPIRED": OrderStatus.EXPIRED,
    "REJECTED": OrderStatus.REJECTED,
    "TRIGGERING": OrderStatus.NEW,
    "TRIGGERED": None,
    "FINISHED": None,
}
_TRIGGERED_STATUSES = frozenset({"TRIGGERING", "TRIGGERED", "FINISHED"})
_TRADES = frozenset({"TRADE", "CALCULATED"})


# --- orders -------------------------------------------------------------------------------------------------


class OrderReport(Record):
    """What one ORDER_TRADE_UPDATE tells: the order as it is now and, where it traded, the execution."""

    order: Order
    fill: Fill | None = None


class AlgoReport(Record):
    """A conditional order as its own service tells it. `becomes` is the id of the ordinary order that it became.

    `lacks_trail`: a trailing stop whose trail or activation price was not sent; the documented event has neither.
    """

    order: Order
    becomes: str = ""
    finished: bool = False
    lacks_trail: bool = False


def _terms(payload: Payload, type_: OrderType, keys: _Keys) -> Terms:
    time_in_force, post_only = TIMES_IN_FORCE["GTC"]
    if payload.get(keys.time_in_force):
        time_in_force, post_only = word_of(payload, TIMES_IN_FORCE, keys.time_in_force)
    trailing = type_ is OrderType.TRAILING_STOP
    activation = next((name for name in keys.activation if name in payload), None)  # the trigger price moves by itself
    trigger = positive(payload, activation) if trailing and activation else None
    return Terms(
        symbol=text_of(payload, keys.symbol),
        side=word_of(payload, SIDES, keys.side),
        type=type_,
        quantity=number_or_zero(payload, keys.quantity),
        price=positive(payload, keys.price) if type_.has_price else None,
        trigger_price=positive(payload, keys.trigger) if type_.has_trigger else trigger,
        trigger_by=word_or(payload, TRIGGERS, keys.trigger_by, TriggerBy.LAST),
        trail_percent=positive(payload, *keys.trail) if trailing else None,
        time_in_force=time_in_force,
        post_only=post_only,
        reduce_only=flag(payload, keys.reduce_only),
        close_position=flag(payload, keys.close_position),
        position_side=word_or(payload, POSITION_SIDES, keys.position_side, PositionSide.NET),
    )


class _Keys(Record):
    """Under which names one service sends the terms of an order."""

    symbol: str
    side: str
    quantity: str
    price: str
    trigger: str
    activation: tuple[str, ...]
    trail: tuple[str, ...]
    trigger_by: str
    time_in_force: str
    reduce_only: str
    close_position: str
    position_side: str


_STREAM = _Keys(
    symbol="s",
    side="S",
    quantity="q",
    price="p",
    trigger="sp",
    activation=("AP",),
    trail=("cr",),
    trigger_by="wt",
    time_in_force="f",
    reduce_only="R",
    close_position="cp",
    position_side="ps",
)
_ALGO_STREAM = _Keys(
    symbol="s",
    side="S",
    quantity="q",
    price="p",
    trigger="tp",
    activation=("AP",),
    trail=("cr",),
    trigger_by="wt",
    time_in_force="f",
    reduce_only="R",
    close_position="cp",
    position_side="ps",
)
_REST = _Keys(
    symbol="symbol",
    side="side",
    quantity="origQty",
    price="price",
    trigger="stopPrice",
    activation=("activatePrice", "activationPrice"),
    trail=("priceRate", "callbackRate"),
    trigger_by="workingType",
    time_in_force="timeInForce",
    reduce_only="reduceOnly",
    close_position="closePosition",
    position_side="positionSide",
)
_ALGO_REST = _Keys(
    symbol="symbol",
    side="side",
    quantity="quantity",
    price="price",
    trigger="triggerPrice",
    activation=("activatePrice", "activationPrice", "triggerPrice"),
    trail=("callbackRate", "priceRate"),
    trigger_by="workingType",
    time_in_force="timeInForce",
    reduce_only="reduceOnly",
    close_position="closePosition",
    position_side="positionSide",
)


def _status(payload: Payload, name: str, quantity: Decimal, filled: Decimal) -> OrderStatus:
    status: OrderStatus = word_of(payload, STATUSES, name)
    if status is OrderStatus.NEW and filled > 0:  # NEW_ADL and NEW_INSURANCE are sent for forced orders that traded
        return OrderStatus.FILLED if filled >= quantity else OrderStatus.PARTIALLY_FILLED
    return status


def order_update(event: Payload, account: str = "") -> OrderReport:
    """An ORDER_TRADE_UPDATE (or its `o` alone). `updated_ms` is the trade time; the fee is positive when paid."""
    body = inner_of(event, "an order")
    type_: OrderType = word_of(body, ORDER_TYPES, "ot", "o")
    present: OrderType = word_of(body, ORDER_TYPES, "o")
    terms = _terms(body, type_, _STREAM)
    filled = number_or_zero(body, "z")
    venue_id = text_of(body, "i")
    time_ms = whole(body, "T") or whole(event, "T", "E")
    order = Order(
        account=account,
        venue_id=venue_id,
        client_id=str(body.get("c") or ""),
        terms=terms,
        status=_status(body, "X", terms.quantity, filled),
        filled=filled,
        average_price=positive(body, "ap"),
        triggered=type_.is_conditional and present is not type_,
        created_ms=time_ms if body.get("x") == "NEW" else 0,
        updated_ms=time_ms,
        reason=str(body.get("rm") or ""),
    )
    last = number_or_zero(body, "l")
    if str(body.get("x")) not in _TRADES or last <= 0:
        return OrderReport(order=order)
    trade_id = whole(body, "t")
    fill = Fill(
        account=account,
        execution_id=str(trade_id) if trade_id > 0 else f"{venue_id}:{filled}",
        venue_id=venue_id,
        client_id=order.client_id,
        symbol=terms.symbol,
        side=terms.side,
        position_side=terms.position_side,
        quantity=last,
        price=need_number(body, "L"),
        fee=number_or_zero(body, "n"),
        fee_asset=str(body.get("N") or ""),
        maker=flag(body, "m"),
        time_ms=time_ms,
    )
    return OrderReport(order=order, fill=fill)


def is_first_report(event: Payload) -> bool:
    """Whether an ORDER_TRADE_UPDATE is the one that tells that its order is new."""
    body = event.get("o", event)
    return isinstance(body, Mapping) and body.get("x") == "NEW"


def changed_ms(payload: Payload) -> int:
    """When an order that REST answered has changed last."""
    return whole(payload, "updateTime", "time")


def order(payload: Any, account: str = "") -> Order:
    """An order as REST and the websocket API answer it."""
    body = object_of(payload, "an order")
    type_: OrderType = word_of(body, ORDER_TYPES, "origType", "type")
    present: OrderType = word_of(body, ORDER_TYPES, "type", "origType")
    terms = _terms(body, type_, _REST)
    filled = number_or_zero(body, "executedQty", "cumQty")
    return Order(
        account=account,
        venue_id=text_of(body, "orderId"),
        client_id=str(body.get("clientOrderId") or ""),
        terms=terms,
        status=_status(body, "status", terms.quantity, filled),
        filled=filled,
        average_price=positive(body, "avgPrice"),
        triggered=type_.is_conditional and present is not type_,
        created_ms=whole(body, "time"),
        updated_ms=whole(body, "updateTime", "time"),
    )


def _algo_status(word: str, quantity: Decimal, filled: Decimal) -> OrderStatus:
    """Filled part and all: a triggered order is whatever the order that it became is, as far as this report tells."""
    if word not in ALGO_STATUSES:
        raise Unreadable(f"Binance sent algoStatus={word!r}; known are {', '.join(ALGO_STATUSES)}.")
    status = ALGO_STATUSES[word]
    if status is not None:
        return status
    if filled > 0 and filled >= quantity:
        return OrderStatus.FILLED
    if word == "FINISHED":
        return OrderStatus.CANCELLED
    return OrderStatus.PARTIALLY_FILLED if filled > 0 else OrderStatus.NEW


def algo_update(event: Payload, account: str = "") -> AlgoReport:
    """An ALGO_UPDATE (or its `o` alone)."""
    body = inner_of(event, "a conditional order")
    type_: OrderType = word_of(body, ORDER_TYPES, "o")
    _conditional(body.get("at"))
    terms = _terms(body, type_, _ALGO_STREAM)
    filled = number_or_zero(body, "aq")
    word = text_of(body, "X")
    time_ms = whole(event, "T", "E")
    return AlgoReport(
        order=Order(
            account=account,
            venue_id=f"{ALGO_PREFIX}{text_of(body, 'aid')}",
            client_id=str(body.get("caid") or ""),
            terms=terms,
            status=_algo_status(word, terms.quantity, filled),
            filled=filled,
            average_price=positive(body, "ap"),
            triggered=word in _TRIGGERED_STATUSES,
            created_ms=time_ms if word == "NEW" else 0,
            updated_ms=time_ms,
            reason=str(body.get("rm") or "") if word in ("REJECTED", "EXPIRED") else "",
        ),
        becomes=_becomes(body.get("ai")),
        finished=word == "FINISHED",
        lacks_trail=type_ is OrderType.TRAILING_STOP and not {"AP", "cr"} <= body.keys(),
    )


def algo_order(payload: Any, account: str = "") -> AlgoReport:
    """A conditional order as REST and the websocket API answer it."""
    body = object_of(payload, "a conditional order")
    type_: OrderType = word_of(body, ORDER_TYPES, "orderType", "type")
    _conditional(body.get("algoType"))
    terms = _terms(body, type_, _ALGO_REST)
    filled = number_or_zero(body, "actualQty", "executedQty")
    word = text_of(body, "algoStatus")
    return AlgoReport(
        order=Order(
            account=account,
            venue_id=f"{ALGO_PREFIX}{text_of(body, 'algoId')}",
            client_id=str(body.get("clientAlgoId") or ""),
            terms=terms,
            status=_algo_status(word, terms.quantity, filled),
            filled=filled,
            average_price=positive(body, "actualPrice", "avgPrice"),
            triggered=word in _TRIGGERED_STATUSES,
            created_ms=whole(body, "createTime"),
            updated_ms=whole(body, "updateTime", "triggerTime", "createTime"),
        ),
        becomes=_becomes(body.get("actualOrderId")),
        finished=word == "FINISHED",
    )


def conditional_reports(body: Any) -> list[AlgoReport]:
    """The conditional orders of a read; orders of other algorithms (TWAP, VP) are none."""
    found = rows(body, "conditional orders")
    return [algo_order(row) for row in found if row.get("algoType") in (None, "CONDITIONAL")]


def _conditional(algo_type: Any) -> None:
    if algo_type not in (None, "CONDITIONAL"):
        raise Unreadable(f"Binance sent a {algo_type!r} order, which is no conditional order: it is not copied.")


def _becomes(order_id: Any) -> str:
    if order_id is None or order_id == "":
        return ""
    known = text_of({"id": order_id}, "id")
    return "" if known == "0" else known


def trade(payload: Any, account: str = "") -> Fill:
    """A row of userTrades. `commission` is positive when paid; a maker's rebate is below zero."""
    body = object_of(payload, "a trade")
    return Fill(
        account=account,
        execution_id=text_of(body, "id"),
        venue_id=text_of(body, "orderId"),
        symbol=text_of(body, "symbol"),
        side=word_of(body, SIDES, "side"),
        position_side=word_or(body, POSITION_SIDES, "positionSide", PositionSide.NET),
        quantity=need_number(body, "qty"),
        price=need_number(body, "price"),
        fee=number_or_zero(body, "commission"),
        fee_asset=str(body.get("commissionAsset") or ""),
        maker=flag(body, "maker"),
        time_ms=whole(body, "time"),
    )
