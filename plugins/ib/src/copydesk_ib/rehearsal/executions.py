"""Executions as the order desk keeps them, and how messages tell of them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from copydesk.model import ZERO, Side
from copydesk_paper.records import OrderReport

from copydesk_ib.rehearsal.listings import Listing
from copydesk_ib.rehearsal.tickets import Ticket
from copydesk_ib.rehearsal.times import stamp
from copydesk_ib.rehearsal.wire import MAX_DOUBLE, double


@dataclass(frozen=True, slots=True)
class Execution:
    """One execution of an order: of its contract, of a leg, or (`listing` None) of a combination as a whole."""

    ticket: Ticket
    listing: Listing | None
    exec_id: str
    time_ms: int
    side: Side
    shares: Decimal
    price: Decimal
    cumulative: Decimal
    average: Decimal
    maker: bool = False
    fee: Decimal = ZERO
    realized: Decimal = ZERO

    def told(self, request: int = -1) -> dict[str, Any]:
        """It as execDetails tells it, live (-1) or for a request."""
        ticket, listing = self.ticket, self.listing
        venue = listing.venue if listing is not None else ticket.asked["exchange"]
        return {
            **(ticket.contract if listing is None else listing.told(venue)),
            "reqId": request,
            "orderId": ticket.key,
            "execId": self.exec_id,
            "time": stamp(self.time_ms),
            "account": ticket.account_id,
            "venue": venue,
            "side": "BOT" if self.side is Side.BUY else "SLD",
            "shares": self.shares,
            "price": double(self.price),
            "permId": ticket.perm_id,
            "clientId": ticket.client_id,
            "liquidation": ticket.liquidation,
            "cumQty": self.cumulative,
            "avgPrice": double(self.average),
            "orderRef": ticket.wish.order_ref,
            "lastLiquidity": 1 if self.maker else 2,
        }

    def told_commission(self) -> dict[str, Any]:
        """It as commissionReport tells it; profit only where it closed something."""
        return {
            "execId": self.exec_id,
            "commission": double(self.fee),
            "currency": "USD",
            "realized": double(self.realized - self.fee) if self.realized else MAX_DOUBLE,
        }


def read_execution(ticket: Ticket, listing: Listing | None, report: OrderReport, exec_id: str) -> Execution:
    """The execution of an order (`listing` is its own) or of a leg that the exchange reports."""
    fill, own = report.fill, listing is ticket.listing
    assert fill is not None
    return Execution(
        ticket=ticket,
        listing=listing,
        exec_id=exec_id,
        time_ms=fill.time_ms,
        side=fill.side,
        shares=fill.quantity,
        price=fill.price,
        cumulative=ticket.filled if own else report.order.filled,
        average=ticket.average if own else report.order.average_price or ZERO,
        maker=fill.maker,
        fee=fill.fee,
        realized=report.realised,
    )
