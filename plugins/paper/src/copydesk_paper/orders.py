"""An order inside the exchange: the mutable twin of `copydesk.model.Order`."""

from __future__ import annotations

from decimal import Decimal

from copydesk.model import ZERO, Order, OrderStatus, PositionSide, Side, Terms
from msgspec.structs import replace

from copydesk_paper.contracts import tidy


def reduces(terms: Terms) -> bool:
    """True where an order may only make a position smaller: by its flags, or because it closes a side of a hedge."""
    if terms.reduce_only or terms.close_position:
        return True
    return terms.position_side is not PositionSide.NET and (terms.position_side is PositionSide.LONG) != (
        terms.side is Side.BUY
    )


class WorkingOrder:
    """One order for life. `ahead` is the recording's quantity that stands before it in the queue of its price level.

    `extreme` is a trailing stop's best price since its activation (None: not active yet). `linked`: whichever of its
    `group` trades or is triggered first takes the others away; `tied`: its end does so too, and it cannot be changed.
    """

    __slots__ = (
        "account",
        "ahead",
        "client_id",
        "created_ms",
        "extreme",
        "filled",
        "group",
        "linked",
        "liquidation",
        "paid",
        "reason",
        "status",
        "terms",
        "tied",
        "triggered",
        "updated_ms",
        "venue_id",
    )

    def __init__(self, account: str, venue_id: int, client_id: str, terms: Terms, now_ms: int) -> None:
        self.account = account
        self.venue_id = venue_id
        self.client_id = client_id
        self.terms = terms
        self.status = OrderStatus.NEW
        self.filled = ZERO
        self.paid = ZERO  # sum of price * quantity, for the average price
        self.triggered = False
        self.created_ms = self.updated_ms = now_ms
        self.reason = ""
        self.ahead = ZERO
        self.extreme: Decimal | None = None
        self.liquidation = False
        self.group = ""
        self.linked = self.tied = False

    @property
    def symbol(self) -> str:
        return self.terms.symbol

    @property
    def side(self) -> Side:
        return self.terms.side

    @property
    def remaining(self) -> Decimal:
        return self.terms.quantity - self.filled

    @property
    def is_dormant(self) -> bool:
        """True while a conditional order waits for its trigger: it is in no book and binds no margin."""
        return self.terms.type.is_conditional and not self.triggered

    @property
    def reduces(self) -> bool:
        return reduces(self.terms)

    @property
    def is_working(self) -> bool:
        return not self.status.is_final

    def fill(self, quantity: Decimal, price: Decimal) -> None:
        self.filled += quantity
        self.paid += quantity * price
        self.status = OrderStatus.FILLED if self.remaining <= 0 else OrderStatus.PARTIALLY_FILLED

    def change(self, **fields: object) -> None:
        """Give it other terms."""
        self.terms = replace(self.terms, **fields)

    def record(self) -> Order:
        """What the world sees of it now."""
        return Order(
            account=self.account,
            venue_id=str(self.venue_id),
            client_id=self.client_id,
            terms=self.terms,
            status=self.status,
            filled=self.filled,
            average_price=tidy(self.paid / self.filled) if self.filled else None,
            triggered=self.triggered,
            created_ms=self.created_ms,
            updated_ms=self.updated_ms,
            reason=self.reason,
            group=self.group,
        )
