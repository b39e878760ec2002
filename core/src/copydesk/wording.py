"""Log lines: what happened, in the words of people who trade."""

from __future__ import annotations

from decimal import Decimal

from copydesk.inputs import Cancel, Intent, LookUp, Modify, Place, PlaceGroup
from copydesk.model import Fill, Order, OrderGroup, OrderStatus, Outcome, Rejected, RejectReason, Terms, Unknown

_STATUS = {
    OrderStatus.NEW: "working",
    OrderStatus.PARTIALLY_FILLED: "partly filled",
    OrderStatus.FILLED: "filled",
    OrderStatus.CANCELLED: "cancelled",
    OrderStatus.EXPIRED: "expired",
    OrderStatus.REJECTED: "rejected",
}


def number(value: Decimal) -> str:
    """Without trailing zeros and without an exponent."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def plural(what: str, count: int) -> str:
    """`bot`, `bots`; the first word counts: `order in flight`, `orders in flight`."""
    first, space, rest = what.partition(" ")
    return what if count == 1 else f"{first}s{space}{rest}"


def counted(count: int, what: str) -> str:
    """`1 order`, `2 orders`."""
    return f"{count} {plural(what, count)}"


def terms(what: Terms) -> str:
    """`BUY 0.5 BTCUSDT limit @ 64412.9`."""
    words = [what.side.upper(), "all of" if what.close_position else number(what.quantity), what.symbol, what.type]
    if what.price is not None:
        words.append(f"@ {number(what.price)}")
    if what.trigger_price is not None:
        words.append(f"trigger {number(what.trigger_price)}")
    if what.trail_percent is not None:
        words.append(f"trail {number(what.trail_percent)} %")
    if what.reduce_only:
        words.append("reduce-only")
    if what.native:
        words.append(f"({what.native})")
    return " ".join(words)


def parent_order(order: Order) -> str:
    filled = f", {number(order.filled)} filled" if order.filled and order.status is not OrderStatus.FILLED else ""
    return f"Parent {terms(order.terms)}: {_STATUS[order.status]}{filled}"


_PLACED = {"entry": "Copied", "exit": "Copied", "catch-up": "Caught up", "trim": "Trimmed", "flatten": "Closed"}
_PLACED |= {"executed": "Copied", "unfilled": "Taken at market", "ticket": "Sent by hand", "enforce": "Brought back"}


def intent(what: Intent) -> str:
    """What is asked for."""
    match what:
        case Place(order=order):
            return terms(order.terms)
        case PlaceGroup(group=group):
            return _legs(group)
        case Modify(change=change):
            return f"change to {terms(change.terms)}"
        case Cancel(order=ref):
            return f"cancel of the {ref.type} order on {ref.symbol}"
        case LookUp(orders=refs):
            return f"fate of {len(refs)} order{'s' if len(refs) > 1 else ''}"


def outcome(what: Place | PlaceGroup | Modify | Cancel, came: Outcome) -> tuple[str, str]:
    """(level, text)"""
    if isinstance(came, Unknown):
        return "warn", f"No word of {intent(what)}, asking the venue: {came.message}"
    if isinstance(came, Rejected):
        harmless = came.reason.is_transient or came.reason is RejectReason.NOT_FOUND
        return "warn" if harmless else "error", f"Refused ({came.reason}): {intent(what)}: {came.message}"
    return "info", _done(what)


def _legs(group: OrderGroup) -> str:
    return f"{group.kind.upper()} of " + " and ".join(terms(leg.terms) for leg in group.legs)


def _done(what: Place | PlaceGroup | Modify | Cancel) -> str:
    match what:
        case Place(order=order, why=why):
            return f"{_PLACED[why]}: {terms(order.terms)}"
        case PlaceGroup(group=group, why=why):
            return f"{_PLACED[why]}: {_legs(group)}"
        case Modify(change=change):
            return f"Changed: {terms(change.terms)}"
        case Cancel(order=ref, why=why):
            return f"Cancelled: {ref.type} order on {ref.symbol} ({why})"


def fill(what: Fill) -> str:
    return f"Filled {what.side.upper()} {number(what.quantity)} {what.symbol} @ {number(what.price)}"
