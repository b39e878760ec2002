"""A conditional order and the ordinary order that it becomes, as one order for life. Pure.

Some venues keep conditional orders in a service of their own; when one is triggered, an ordinary order with another id
comes into being. Here the conditional order keeps its names; what the ordinary one does shows in its status and fills.
"""

from __future__ import annotations

from decimal import Decimal

from copydesk.model import Order, OrderStatus
from msgspec.structs import replace


def as_one(conditional: Order, became: Order | None, *, finished: bool = False) -> Order:
    """The conditional order with what became of it. `finished`: its service says that the ordinary order has ended."""
    if became is None:
        if finished and conditional.status is not OrderStatus.FILLED:
            # How it ended is told by the ordinary order's own last report, which is still to come.
            return replace(conditional, status=_working(conditional.filled), triggered=True)
        return conditional
    terms = conditional.terms
    if became.terms.quantity > 0:
        terms = replace(terms, quantity=became.terms.quantity)
    if terms.type.has_price and became.terms.price is not None:
        terms = replace(terms, price=became.terms.price)
    filled = max(conditional.filled, became.filled)
    status = became.status
    if not status.is_final:
        whole = terms.quantity > 0 and filled >= terms.quantity
        status = OrderStatus.FILLED if whole else _working(filled)
    return replace(
        conditional,
        terms=terms,
        status=status,
        filled=filled,
        average_price=became.average_price or conditional.average_price,
        triggered=True,
        updated_ms=max(conditional.updated_ms, became.updated_ms),
        reason=became.reason or conditional.reason,
    )


def _working(filled: Decimal) -> OrderStatus:
    return OrderStatus.PARTIALLY_FILLED if filled > 0 else OrderStatus.NEW


def newest(one: Order, other: Order) -> Order:
    """The later state of one order: an ended one beats a working one, then more filled, then the later report."""
    return max(one, other, key=lambda order: (order.status.is_final, order.filled, order.updated_ms))
