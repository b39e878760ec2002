"""The everyday frames of the private stream, decoded in one step. Pure.

Rows of plain limit and market orders and of trades alone, in the form that they had last: of anything else the result is
None, and `translate`, which says what is wrong with it, has to read it. What is read here is what `translate` makes of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Literal, Required, TypedDict

import msgspec
from copydesk.model import ZERO, Fill, Order, OrderStatus, OrderType, PositionSide, Terms, TimeInForce, TriggerBy
from copydesk_wire.errors import Unreadable
from copydesk_wire.fields import number

from copydesk_bitmex.translate import (
    CLOSE,
    POST_ONLY,
    REDUCE_ONLY,
    SIDES,
    STATUSES,
    TIMES,
    TRIGGERED,
    TRIGGERS,
    UNITS,
    reason,
    time_ms,
)

EXAMPLE = (
    b'{"table":"order","action":"insert","data":[{"orderID":"example","clOrdID":"example","clOrdLinkID":"","account":1,'
    b'"symbol":"XBTUSD","side":"Buy","orderQty":100,"price":58200.5,"displayQty":null,"stopPx":null,"pegOffsetValue":null,'
    b'"pegPriceType":"","currency":"USD","settlCurrency":"XBt","ordType":"Limit","timeInForce":"GoodTillCancel",'
    b'"execInst":"","contingencyType":"","ordStatus":"New","triggered":"","workingIndicator":true,"ordRejReason":"",'
    b'"leavesQty":100,"cumQty":0,"avgPx":null,"text":"Submitted via API.","transactTime":"2026-05-29T01:24:53.824Z",'
    b'"timestamp":"2026-05-29T01:24:53.824Z"}]}'
)
"""An everyday report."""
_TYPES = {"Limit": OrderType.LIMIT, "Market": OrderType.MARKET}


class OrderPart(TypedDict, total=False):
    """A row of the `order` table, or a part of one: all that `translate` reads of it."""

    orderID: Required[str]
    clOrdID: str | None
    clOrdLinkID: str | None
    symbol: str | None
    side: str | None
    orderQty: Decimal | None
    price: Decimal | None
    stopPx: Decimal | None
    pegOffsetValue: Decimal | None
    pegPriceType: str | None
    ordType: str | None
    timeInForce: str | None
    execInst: str | None
    contingencyType: str | None
    ordStatus: str | None
    triggered: str | None
    ordRejReason: str | None
    cumQty: Decimal | None
    avgPx: Decimal | None
    text: str | None
    transactTime: str | None
    timestamp: str | None


_EXECUTION = {
    "exec_id": "execID",
    "order_id": "orderID",
    "exec_type": "execType",
    "cl_ord_id": "clOrdID",
    "last_qty": "lastQty",
    "last_px": "lastPx",
    "exec_comm": "execComm",
    "settl_currency": "settlCurrency",
    "last_liquidity_ind": "lastLiquidityInd",
    "transact_time": "transactTime",
}


class Execution(msgspec.Struct, gc=False, rename=_EXECUTION):
    """A row of the `execution` table."""

    exec_id: str
    order_id: str
    symbol: str
    exec_type: str
    cl_ord_id: str | None = None
    side: str | None = None
    last_qty: Decimal | None = None
    last_px: Decimal | None = None
    exec_comm: Decimal | None = None
    settl_currency: str | None = None
    last_liquidity_ind: str | None = None
    transact_time: str | None = None
    timestamp: str | None = None


class Orders(msgspec.Struct, gc=False, tag_field="table", tag="order"):
    action: Literal["insert", "update"]
    data: list[OrderPart]


class Executions(msgspec.Struct, gc=False, tag_field="table", tag="execution"):
    action: Literal["insert"]
    data: list[Execution]


_decode = msgspec.json.Decoder(Orders | Executions).decode
_FAILURES = (Unreadable, KeyError, TypeError, AttributeError)


def frame(data: bytes) -> Orders | Executions | None:
    """The rows, or parts of rows, that a frame tells of."""
    try:
        told: Orders | Executions = _decode(data)
    except (msgspec.DecodeError, UnicodeError):
        return None
    return told


def order(row: Mapping[str, Any]) -> Order | None:
    """A whole row of the `order` table, whichever way its parts were read."""
    try:
        if _text(row.get("pegPriceType")) or _text(row.get("contingencyType")) or _text(row.get("clOrdLinkID")):
            return None
        type_, status = _TYPES[row["ordType"]], STATUSES[row["ordStatus"]]
        filled, quantity = _or_zero(row.get("cumQty")), _or_zero(row.get("orderQty"))
        does = _instructions(_text(row.get("execInst")))
        is_limit = type_ is OrderType.LIMIT
        average = _or_zero(row.get("avgPx"))
        at_ms = time_ms(row, "timestamp", "transactTime")
        terms = Terms(
            symbol=_name(row["symbol"]),
            side=SIDES[row["side"]],
            type=type_,
            quantity=quantity,
            price=number(row["price"], "price") if is_limit else None,
            trigger_by=_trigger(does),
            time_in_force=TIMES[_text(row.get("timeInForce")) or "GoodTillCancel"] if is_limit else TimeInForce.GTC,
            post_only=POST_ONLY in does,
            reduce_only=REDUCE_ONLY in does or CLOSE in does,
            close_position=CLOSE in does and not quantity,
        )
        if status is OrderStatus.NEW and filled:
            status = OrderStatus.PARTIALLY_FILLED
        return Order(
            venue_id=_name(row["orderID"]),
            client_id=_text(row.get("clOrdID")),
            terms=terms,
            status=status,
            filled=filled,
            average_price=average if average > 0 else None,
            triggered=row.get("triggered") in TRIGGERED,
            created_ms=at_ms,
            updated_ms=at_ms,
            reason=reason(row) if status.is_final and status is not OrderStatus.FILLED else "",
        )
    except _FAILURES:
        return None


def fills(rows: list[Execution]) -> list[Fill] | None:
    """The trades among rows of the `execution` table."""
    try:
        return [_fill(row) for row in rows if row.exec_type == "Trade"]
    except _FAILURES:
        return None


def _fill(told: Execution) -> Fill:
    asset, scale = UNITS[told.settl_currency or "XBt"]
    return Fill(
        execution_id=_name(told.exec_id),
        venue_id=_name(told.order_id),
        client_id=told.cl_ord_id or "",
        symbol=_name(told.symbol),
        side=SIDES[_name(told.side)],
        position_side=PositionSide.NET,
        quantity=number(told.last_qty, "lastQty"),
        price=number(told.last_px, "lastPx"),
        fee=_or_zero(told.exec_comm) / scale,
        fee_asset=asset,
        maker=(told.last_liquidity_ind or "").startswith("Added"),
        time_ms=time_ms({"transactTime": told.transact_time, "timestamp": told.timestamp}, "transactTime", "timestamp"),
    )


@lru_cache(maxsize=256)
def _instructions(text: str) -> frozenset[str]:
    return frozenset(part.strip() for part in text.split(",") if part.strip())


def _trigger(does: frozenset[str]) -> TriggerBy:
    found = {TRIGGERS[one] for one in does & TRIGGERS.keys()}
    if len(found) > 1:
        raise KeyError(*found)
    return found.pop() if found else TriggerBy.LAST


def _or_zero(value: Any) -> Decimal:
    return ZERO if value is None or value == "" else number(value, "a number")


def _name(value: str | None) -> str:
    if not isinstance(value, str) or not value:
        raise KeyError(value)
    return value


def _text(value: Any) -> str:
    return "" if value is None else str(value)
