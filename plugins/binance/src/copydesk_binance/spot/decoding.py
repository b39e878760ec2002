"""The everyday reports of spot's user data stream, decoded in one step. Pure.

Plain limit and market orders alone, in the form that they have today: of anything else the result is None, and
`translate`, which says what is wrong with it, has to read it. What is read here is what `translate` makes of it.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec
from copydesk.model import Fill, Order, OrderType, Terms
from copydesk_wire.errors import Unreadable

from copydesk_binance.decoding import remembered
from copydesk_binance.fields import SIDES
from copydesk_binance.spot.translate import NONE, STATUSES, TIMES_IN_FORCE, TRADES, OrderReport, average

_TYPES = {"LIMIT": (OrderType.LIMIT, False), "LIMIT_MAKER": (OrderType.LIMIT, True), "MARKET": (OrderType.MARKET, False)}


class _Report(msgspec.Struct, gc=False, tag_field="e", tag="executionReport"):
    s: str
    c: str
    S: str
    o: str
    f: str
    q: str
    p: str
    x: str
    X: str
    r: str
    i: int
    l: str  # noqa: E741 - the venue's name
    z: str
    L: str
    n: str
    T: int
    t: int
    m: bool
    Z: str
    O: int = 0  # noqa: E741 - the venue's name
    W: int = 0
    g: int = -1
    d: int = 0
    C: str = ""
    expiry: str = msgspec.field(name="eR", default="")
    N: str | None = None


class _Frame(msgspec.Struct, gc=False):
    """The websocket API's envelope."""

    event: _Report


_decode = msgspec.json.Decoder(_Frame).decode


def execution_report(frame: bytes | str) -> OrderReport | None:
    """What a frame's `executionReport` tells."""
    try:
        return _report(_decode(frame).event)
    except (msgspec.DecodeError, UnicodeError, KeyError, Unreadable):
        return None


def _report(told: _Report) -> OrderReport | None:
    type_, is_maker = _TYPES[told.o]
    time_in_force, post_only = TIMES_IN_FORCE[told.f]
    if not told.s or told.d or told.T <= 0 or told.O < 0 or told.X == "PENDING_NEW":
        return None
    filled, last, price = remembered(told.z), remembered(told.l), remembered(told.p)
    order = Order(
        venue_id=str(told.i),
        client_id=told.C if told.x == "CANCELED" and told.C else told.c,
        terms=Terms(
            symbol=told.s,
            side=SIDES[told.S],
            type=type_,
            quantity=remembered(told.q),
            price=price if type_ is OrderType.LIMIT and price > 0 else None,
            time_in_force=time_in_force,
            post_only=post_only or is_maker,
        ),
        status=STATUSES[told.X],
        filled=filled,
        average_price=average(remembered(told.Z), filled),
        created_ms=told.O,
        updated_ms=told.T,
        reason=told.r if told.r not in NONE else told.expiry,
        group=str(told.g) if told.g >= 0 else "",
    )
    return OrderReport(order=order, fill=_fill(told, order, last) if told.x in TRADES and last > 0 else None)


def _fill(told: _Report, order: Order, last: Decimal) -> Fill:
    return Fill(
        execution_id=str(told.t) if told.t >= 0 else f"{order.venue_id}:{order.filled}",
        venue_id=order.venue_id,
        client_id=order.client_id,
        symbol=order.terms.symbol,
        side=order.terms.side,
        quantity=last,
        price=remembered(told.L),
        fee=remembered(told.n),
        fee_asset=told.N or "",
        maker=told.m,
        time_ms=told.T,
    )
