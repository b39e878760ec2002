"""The everyday answers and events of USD-M futures, decoded in one step. Pure.

Plain limit and market orders alone, in the form that they have today: of anything else the result is None, and
`translate`, which says what is wrong with it, has to read it. What is read here is what `translate` makes of it.
"""

from __future__ import annotations

from decimal import Decimal
from functools import lru_cache

import msgspec
from copydesk.model import Fill, Order, OrderStatus, OrderType, Terms
from copydesk_wire.errors import Unreadable

from copydesk_binance.fields import SIDES, number
from copydesk_binance.translate import POSITION_SIDES, STATUSES, TIMES_IN_FORCE, TRIGGERS, OrderReport

EXAMPLE = (
    b'{"e":"ORDER_TRADE_UPDATE","E":1795460048138,"T":1795460048137,"o":{"s":"BTCUSDT","c":"example","S":"BUY","o":"LIMIT",'
    b'"f":"GTC","q":"0.100","p":"58200.00","ap":"0","sp":"0","x":"NEW","X":"NEW","i":1,"l":"0","z":"0","L":"0","n":"0",'
    b'"N":"USDT","T":1795460048137,"t":0,"b":"5820","a":"0","m":false,"R":false,"wt":"CONTRACT_PRICE","ot":"LIMIT",'
    b'"ps":"BOTH","cp":false,"rp":"0","pP":false,"si":0,"ss":0,"V":"EXPIRE_MAKER","pm":"NONE","gtd":0}}'
)
"""An everyday report."""
_TYPES = {"LIMIT": OrderType.LIMIT, "MARKET": OrderType.MARKET}
_WITHOUT_FILL = frozenset({"NEW", "CANCELED", "EXPIRED", "AMENDMENT"})


@lru_cache(maxsize=8192)
def remembered(text: str) -> Decimal:
    """A number, made once: the same few come again and again. Raises `Unreadable`."""
    return number(text, "a number")


class _Answer(msgspec.Struct, gc=False, rename="camel"):
    """An order as REST answers it."""

    order_id: int
    symbol: str
    status: str
    client_order_id: str
    price: str
    avg_price: str
    orig_qty: str
    executed_qty: str
    time_in_force: str
    type: str
    reduce_only: bool
    close_position: bool
    side: str
    position_side: str
    working_type: str
    orig_type: str
    update_time: int
    time: int = 0


class _Order(msgspec.Struct, gc=False):
    """The order of an ORDER_TRADE_UPDATE."""

    s: str
    c: str
    S: str
    o: str
    f: str
    q: str
    p: str
    ap: str
    x: str
    X: str
    i: int
    l: str  # noqa: E741 - the venue's name
    z: str
    L: str
    T: int
    t: int
    m: bool
    R: bool
    wt: str
    ot: str
    ps: str
    cp: bool
    n: str = ""
    N: str | None = None
    rm: str = ""


class _Update(msgspec.Struct, gc=False, tag_field="e", tag="ORDER_TRADE_UPDATE"):
    o: _Order


_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_update = msgspec.json.Decoder(_Update).decode
_FAILURES = (msgspec.DecodeError, UnicodeError, KeyError, Unreadable)


def order_answer(body: bytes) -> Order | None:
    """The order in an answer of the ordinary service."""
    try:
        told = _decode_answer(body)
        if told.type != told.orig_type or told.update_time <= 0:
            return None
        type_ = _TYPES[told.type]
        terms, filled = _terms(told, type_), remembered(told.executed_qty)
        return Order(
            venue_id=str(told.order_id),
            client_id=told.client_order_id,
            terms=terms,
            status=_status(told.status, terms.quantity, filled),
            filled=filled,
            average_price=_positive(told.avg_price),
            created_ms=told.time,
            updated_ms=told.update_time,
        )
    except _FAILURES:
        return None


def _terms(told: _Answer, type_: OrderType) -> Terms:
    time_in_force, post_only = TIMES_IN_FORCE[told.time_in_force]
    return Terms(
        symbol=_name(told.symbol),
        side=SIDES[told.side],
        type=type_,
        quantity=remembered(told.orig_qty),
        price=_positive(told.price) if type_ is OrderType.LIMIT else None,
        trigger_by=TRIGGERS[told.working_type],
        time_in_force=time_in_force,
        post_only=post_only,
        reduce_only=told.reduce_only,
        close_position=told.close_position,
        position_side=POSITION_SIDES[told.position_side],
    )


def order_update(frame: bytes | str) -> tuple[OrderReport, bool] | None:
    """What an ORDER_TRADE_UPDATE tells, and whether it is the one that tells that its order is new."""
    try:
        told = _decode_update(frame).o
        if told.o != told.ot or told.T <= 0:
            return None
        type_ = _TYPES[told.o]
        time_in_force, post_only = TIMES_IN_FORCE[told.f]
        quantity, filled = remembered(told.q), remembered(told.z)
        terms = Terms(
            symbol=_name(told.s),
            side=SIDES[told.S],
            type=type_,
            quantity=quantity,
            price=_positive(told.p) if type_ is OrderType.LIMIT else None,
            trigger_by=TRIGGERS[told.wt],
            time_in_force=time_in_force,
            post_only=post_only,
            reduce_only=told.R,
            close_position=told.cp,
            position_side=POSITION_SIDES[told.ps],
        )
        is_first = told.x == "NEW"
        order = Order(
            venue_id=str(told.i),
            client_id=told.c,
            terms=terms,
            status=_status(told.X, quantity, filled),
            filled=filled,
            average_price=_positive(told.ap),
            created_ms=told.T if is_first else 0,
            updated_ms=told.T,
            reason=told.rm,
        )
        if told.x in _WITHOUT_FILL:
            remembered(told.l)
            return OrderReport(order=order), is_first
        return OrderReport(order=order, fill=_fill(told, order)), is_first
    except _FAILURES:
        return None


def _fill(told: _Order, order: Order) -> Fill | None:
    """The execution, where the report is of one. Raises `KeyError` for a kind of report that is not an everyday one."""
    if told.x != "TRADE":
        raise KeyError(told.x)
    last = remembered(told.l)
    if last <= 0:
        return None
    return Fill(
        execution_id=str(told.t) if told.t > 0 else f"{order.venue_id}:{order.filled}",
        venue_id=order.venue_id,
        client_id=order.client_id,
        symbol=order.terms.symbol,
        side=order.terms.side,
        position_side=order.terms.position_side,
        quantity=last,
        price=remembered(told.L),
        fee=remembered(told.n or "0"),
        fee_asset=told.N or "",
        maker=told.m,
        time_ms=told.T,
    )


def _status(word: str, quantity: Decimal, filled: Decimal) -> OrderStatus:
    status = STATUSES[word]
    if status is OrderStatus.NEW and filled > 0:
        raise KeyError(word)
    return status


def _positive(text: str) -> Decimal | None:
    value = remembered(text)
    return value if value > 0 else None


def _name(text: str) -> str:
    if not text:
        raise KeyError
    return text
