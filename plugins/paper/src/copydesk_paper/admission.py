"""Whether an order may come in, or change: by its form, the account, the book, the margin, in that order."""

from __future__ import annotations

from decimal import Decimal

from copydesk.model import OrderType, RejectReason, Terms, TimeInForce

from copydesk_paper import rules
from copydesk_paper.contracts import notional
from copydesk_paper.floor import Floor
from copydesk_paper.matching import Matching
from copydesk_paper.orders import WorkingOrder
from copydesk_paper.refusal import ExchangeRefusal
from copydesk_paper.triggers import Triggers
from copydesk_paper.wallet import Account

PRICE_BAND = Decimal("0.15")


class Admission:
    """Looks at one order with everything that stands on the floor. Changes nothing; raises `ExchangeRefusal`."""

    def __init__(self, floor: Floor, matching: Matching, triggers: Triggers) -> None:
        self.price_band = PRICE_BAND
        self._floor = floor
        self._matching = matching
        self._triggers = triggers

    def check_new(self, order: WorkingOrder) -> None:
        """An order that wants in."""
        account, instrument = self._floor.account(order.account), self._floor.instrument(order.symbol)
        rules.check_form(instrument, order.terms)
        rules.check_mode(account, instrument, order.terms)
        self._check_numbers(order)
        if order.client_id and any(working.client_id == order.client_id for working in account.working.values()):
            message = f"an order with client id {order.client_id!r} is open already"
            raise ExchangeRefusal(RejectReason.DUPLICATE_ID, "duplicate-client-id", message)
        if order.is_dormant:
            return
        self._check_book(order)
        if not order.reduces:
            self._check_margin(account, order, self._floor.margin.bound(account, order.symbol))

    def check_amended(self, order: WorkingOrder, bound_before: Decimal) -> None:
        """A working order that has its new terms already; `bound_before` is the initial margin without them."""
        account, instrument = self._floor.account(order.account), self._floor.instrument(order.symbol)
        rules.check_form(instrument, order.terms)
        self._check_numbers(order)
        if not order.is_dormant and not order.reduces:
            self._check_margin(account, order, bound_before)

    def _check_numbers(self, order: WorkingOrder) -> None:
        terms = order.terms
        rules.check_size(self._floor.instrument(order.symbol), terms, self._reference(terms))
        rules.check_band(terms, self._floor.mark(order.symbol), self.price_band)
        if order.is_dormant:
            rules.check_trigger(terms, self._triggers.price(order.symbol, terms.trigger_by))

    def _reference(self, terms: Terms) -> Decimal:
        """The price at which an order without a limit is sized: the best one on the other side."""
        best = self._floor.books[terms.symbol].side(terms.side.opposite).best()
        return best.price if best else self._floor.mark(terms.symbol)

    def _check_book(self, order: WorkingOrder) -> None:
        terms = order.terms
        crosses = self._matching.would_take(terms.symbol, terms.side, terms.price)
        if terms.post_only and crosses:
            message = f"a {terms.side} at {terms.price} would take liquidity"
            raise ExchangeRefusal(RejectReason.POST_ONLY, "post-only", message)
        if terms.time_in_force is TimeInForce.FOK and self._matching.reachable(order) < terms.quantity:
            message = f"the book cannot fill {terms.quantity} {terms.symbol} at once"
            raise ExchangeRefusal(RejectReason.OTHER, "fok", message)
        if terms.type is OrderType.MARKET and not crosses:
            message = f"nobody stands against a {terms.side} of {terms.symbol}"
            raise ExchangeRefusal(RejectReason.OTHER, "no-liquidity", message)

    def _check_margin(self, account: Account, order: WorkingOrder, bound_before: Decimal) -> None:
        margin, instrument = self._floor.margin, self._floor.instrument(order.symbol)
        if margin.affords(account, order, bound_before):
            return
        size = notional(instrument, order.remaining, order.terms.price or self._reference(order.terms))
        available = margin.pool(account, instrument.settle).available
        message = f"an order worth {size} needs more margin than the {available} {instrument.settle} available"
        raise ExchangeRefusal(RejectReason.MARGIN, "insufficient-margin", message)
