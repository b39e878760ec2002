"""The everyday frames of the private stream, decoded in one step. Pure.

Reports of ordinary orders and fills alone, in the form that they had last: of anything else the result is None, and
`translate`, which says what is wrong with it, has to read it. What is read here is what `translate` makes of it.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

import msgspec
from copydesk.model import ZERO, Fill, Order, OrderType, PositionSide, Terms, TimeInForce
from copydesk_wire.errors import Unreadable

from copydesk_ftx.translate import SIDES, USD, number, order_status, time_ms

EXAMPLE = (
    b'{"channel":"orders","type":"update","data":{"id":1,"clientId":"example","market":"BTC-PERP","type":"limit",'
    b'"side":"buy","price":58200.0,"size":0.1,"status":"new","filledSize":0.0,"remainingSize":0.1,"reduceOnly":false,'
    b'"liquidation":false,"avgFillPrice":null,"postOnly":false,"ioc":false,"createdAt":"2022-05-02T22:40:07.217963+00:00"}}'
)
"""An everyday report."""


class _Order(msgspec.Struct, gc=False, rename="camel"):
    id: int
    market: str
    type: Literal["limit", "market"]
    side: str
    size: Decimal
    status: str
    price: Decimal | None = None
    filled_size: Decimal | None = None
    avg_fill_price: Decimal | None = None
    client_id: str | None = None
    reduce_only: bool = False
    post_only: bool = False
    ioc: bool = False
    created_at: str | None = None


class _Fill(msgspec.Struct, gc=False, rename="camel"):
    id: int
    order_id: int
    market: str
    side: str
    size: Decimal
    price: Decimal
    fee: Decimal | None = None
    fee_currency: str | None = None
    liquidity: str | None = None
    time: str | None = None


class _Orders(msgspec.Struct, gc=False, tag_field="channel", tag="orders"):
    type: Literal["update"]
    data: _Order


class _Fills(msgspec.Struct, gc=False, tag_field="channel", tag="fills"):
    type: Literal["update"]
    data: _Fill


_decode = msgspec.json.Decoder(_Orders | _Fills).decode
_FAILURES = (msgspec.DecodeError, UnicodeError, KeyError, Unreadable)


def update(frame: bytes, *, now_ms: int) -> Order | Fill | None:
    """The order, as of `now_ms`, or the fill that a frame tells of."""
    try:
        told = _decode(frame)
        return _order(told.data, now_ms) if isinstance(told, _Orders) else _fill(told.data)
    except _FAILURES:
        return None


def _order(told: _Order, now_ms: int) -> Order:
    is_limit = told.type == "limit"
    size, filled = number(told.size, "size"), _or_zero(told.filled_size)
    created_ms = time_ms(told.created_at, "createdAt")
    terms = Terms(
        symbol=told.market,
        side=SIDES[told.side],
        type=OrderType.LIMIT if is_limit else OrderType.MARKET,
        quantity=size,
        price=number(told.price, "price") if is_limit else None,
        time_in_force=TimeInForce.IOC if told.ioc and is_limit else TimeInForce.GTC,
        post_only=told.post_only,
        reduce_only=told.reduce_only,
    )
    return Order(
        venue_id=str(told.id),
        client_id=told.client_id or "",
        terms=terms,
        status=order_status(told.status, size, filled, ioc=told.ioc or not is_limit),
        filled=filled,
        average_price=_or_zero(told.avg_fill_price) or None,
        created_ms=created_ms,
        updated_ms=max(now_ms, created_ms),
    )


def _fill(told: _Fill) -> Fill:
    return Fill(
        execution_id=str(told.id),
        venue_id=str(told.order_id),
        symbol=told.market,
        side=SIDES[told.side],
        position_side=PositionSide.NET,
        quantity=number(told.size, "size"),
        price=number(told.price, "price"),
        fee=_or_zero(told.fee),
        fee_asset=told.fee_currency or USD,
        maker=told.liquidity == "maker",
        time_ms=time_ms(told.time, "time"),
    )


def _or_zero(value: Decimal | None) -> Decimal:
    return ZERO if value is None else number(value, "a number")
