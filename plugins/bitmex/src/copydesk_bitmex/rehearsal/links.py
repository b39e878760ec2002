"""Linked orders: one cancels the other, one triggers the others. Source: the published swagger, "Linked Orders".

The exchange itself ends what stands beside the first order that trades. What waits for a primary order is kept here, and
comes to the exchange once that is filled as a whole; where the primary ends otherwise, it is cancelled.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from copydesk.model import Order, OrderStatus, RejectReason, Terms
from copydesk_paper import rules
from copydesk_paper.records import Execution, OrderReport
from copydesk_paper.refusal import ExchangeRefusal
from msgspec.structs import replace

from copydesk_bitmex.rehearsal.asked import Refusal, refusal
from copydesk_bitmex.rehearsal.wire import Json
from copydesk_bitmex.translate import TRIGGERS_OTHER

if TYPE_CHECKING:
    from copydesk_bitmex.rehearsal.venue import Account, Venue

WAITS = "waits"
ENDED = "The order that it waited for has ended"


class Links:
    """The orders that wait for others."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue
        self._released: set[tuple[str, str]] = set()

    def has_to_wait(self, account: Account, extra: Json) -> bool:
        """Its link has a primary order that is not filled yet."""
        name = extra["clOrdLinkID"]
        if not name or _is_primary(extra):
            return False
        working = (account.kept_of(order) for order in self._venue.working(account))
        return any(_is_primary(one) and one["clOrdLinkID"] == name for one in working)

    def hold(self, account: Account, number: str, terms: Terms) -> Order:
        """Take an order that waits. Raises `Refusal` for one that its instrument cannot have."""
        self._check(terms)
        account.extras[number][WAITS] = True
        order = account.aside[number] = self._venue.new(number, terms)
        self._venue.tell_order(account, order)
        return order

    def change(self, account: Account, order: Order, changes: dict[str, Any]) -> Order:
        """Give an order that waits other terms. Raises `ExchangeRefusal`."""
        wanted = {name: value for name, value in changes.items() if value is not None}
        terms = replace(order.terms, **wanted)
        if terms == order.terms:
            raise ExchangeRefusal(RejectReason.UNCHANGED, "unchanged", "the order has these terms already")
        rules.check_form(self._venue.instrument(terms.symbol), terms)
        changed = replace(order, terms=terms, updated_ms=self._venue.now_ms())
        account.aside[order.venue_id] = changed
        self._venue.tell_order(account, changed)
        return changed

    def drop(self, account: Account, order: Order, why: str) -> Order:
        """Cancel an order that waits."""
        account.extras[order.venue_id][WAITS] = False
        return self._venue.end_aside(account, order, why)

    def on_order(self, account: Account, order: Order) -> None:
        """Where it is a primary order that has ended: release what waits for it, or cancel that."""
        extra = account.kept_of(order)
        if not order.status.is_final or not _is_primary(extra):
            return
        for one in list(account.aside.values()):
            other = account.extras[one.venue_id]
            if other.get(WAITS) and other["clOrdLinkID"] == extra["clOrdLinkID"]:
                if order.status is OrderStatus.FILLED:
                    self._release(account, one)
                else:
                    self.drop(account, one, ENDED)

    def released(self, account: Account, report: OrderReport) -> bool:
        """True once for an order that has just come to the exchange after it waited."""
        key = (account.name, report.order.venue_id)
        if report.execution is not Execution.NEW or key not in self._released:
            return False
        self._released.discard(key)
        return True

    def _release(self, account: Account, order: Order) -> None:
        number = order.venue_id
        del account.aside[number]
        account.extras[number][WAITS] = False
        self._released.add((account.name, number))
        try:
            self._venue.enter(account, number, order.terms)
        except Refusal as error:
            self._released.discard((account.name, number))
            self._venue.end_aside(account, order, str(error))

    def _check(self, terms: Terms) -> None:
        exchange = self._venue.exchange
        instrument = exchange.instruments[terms.symbol]
        try:
            rules.check_form(instrument, terms)
            rules.check_size(instrument, terms, exchange.last_price(terms.symbol))
        except ExchangeRefusal as error:
            raise refusal(error) from None


def _is_primary(extra: Json) -> bool:
    return extra.get("contingencyType") == TRIGGERS_OTHER
