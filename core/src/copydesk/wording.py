"""Log lines: what happened, in the words of people who trade."""

from __future__ import annotations

from decimal import Decimal

from copydesk.inputs import Cancel, Intent, LookUp, Modify, Place
from copydesk.model import Accepted, Fill, Order, OrderStatus, Outcome, Rejected, Terms

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
    return " ".join(words)


def parent_order(order: Order) -> str:
    filled = f", {number(order.filled)} filled" if order.filled and order.status is not OrderStatus.FILLED else ""
    return f"Parent {terms(order.terms)}: {_STATUS[order.status]}{filled}"


def intent(what: Intent) -> str:
    match what:
        case Place(order=order):
            return f"child order {terms(order.terms)}"
        case Modify(change=change):
            return f"child order changed to {terms(change.terms)}"
        case Cancel(order=ref, why=why):
            return f"child order on {ref.symbol} cancelled: {why}"
        case LookUp(orders=refs):
            return f"asking the venue about {len(refs)} order{'s' if len(refs) > 1 else ''}"


def outcome(what: Intent, came: Outcome) -> tuple[str, str]:
    """(level, text)"""
    match came:
        case Accepted():
            return "info", f"{intent(what)}: accepted"
        case Rejected(message=message, reason=reason):
            level = "warn" if reason.is_transient else "error"
            return level, f"{intent(what)}: refused ({reason}): {message}"
        case _:
            return "warn", f"{intent(what)}: outcome unknown, asking the venue: {came.message}"


def fill(what: Fill) -> str:
    return f"Filled {what.side.upper()} {number(what.quantity)} {what.symbol} @ {number(what.price)}"
