"""Orders at work: what holds them back, what sends them to the exchange, and what becomes of them there."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Final

from copydesk.model import ZERO
from copydesk_paper.exchange import Exchange
from copydesk_paper.records import Execution as Why
from copydesk_paper.records import OrderReport, Quote, Report, Trade
from copydesk_paper.refusal import ExchangeRefusal

from copydesk_ib.rehearsal.codes import Refusal, invalid
from copydesk_ib.rehearsal.combos import Combos
from copydesk_ib.rehearsal.executions import Execution, read_execution
from copydesk_ib.rehearsal.logins import Teller
from copydesk_ib.rehearsal.tickets import AT_CLOSE, STOPS, TOUCHED, Status, Ticket, Wish
from copydesk_ib.rehearsal.times import is_over
from copydesk_ib.rehearsal.triggers import Prices, is_due, start_trailing, terms_of, watched

KEPT_EXECUTIONS = 20_000
NOT_OPEN: Final = "Your order will not be placed at the exchange until the regular session opens."
MARGIN: Final = (
    "We are unable to accept your order. Your Available Funds are insufficient to cover the change in margin that it "
    "would bring about."
)


class Working:
    """Transmitted orders. `hours` is which part of the day it is: `regular`, `extended` or `closed`.

    `strange` is told of orders of the exchange that nobody here sent: liquidations.
    """

    def __init__(
        self, exchange: Exchange, now_ms: Callable[[], int], teller: Teller, strange: Callable[[OrderReport], Ticket | None]
    ) -> None:
        self.exchange = exchange
        self.now_ms = now_ms
        self.teller = teller
        self.hours = "regular"
        self.executions: deque[Execution] = deque(maxlen=KEPT_EXECUTIONS)
        self.combos = Combos(self)
        self._strange = strange
        self._at_exchange: dict[int, Ticket] = {}
        self._dormant: dict[str, dict[int, Ticket]] = {}
        self._waiting: dict[int, Ticket] = {}
        self._executed = 0

    def prices(self, symbol: str) -> Prices:
        quote = self.exchange.quote(symbol)
        return Prices(self.exchange.last_price(symbol), quote.bid, quote.ask)

    # --- beginning --------------------------------------------------------------------------------------------------

    def transmit(self, family: Iterable[Ticket]) -> None:
        """Tell of orders and let them go as far as they can."""
        fresh = [member for member in family if not member.transmitted and member.is_live]
        for member in fresh:
            member.transmitted = True
            member.status = Status.PRE_SUBMITTED
            member.why_held = "child" if member.is_held else ""
            if not member.is_held:
                self._start_trailing(member)
            self.teller.order(member)
        for member in fresh:
            self._release(member)

    def _release(self, ticket: Ticket) -> None:
        """Let a transmitted order go as far as it can."""
        if not ticket.is_live or ticket.working or ticket.is_held:
            return
        ticket.why_held = ""
        if not self._may_trade(ticket):
            self._waiting[ticket.perm_id] = ticket
            if not self._is_open(ticket):
                self.teller.problem(ticket, Refusal("message", order=_line(ticket), reason=NOT_OPEN))
        elif ticket.legs:
            self.combos.start(ticket)
        elif ticket.is_dormant:
            self._wait_for_price(ticket)
        else:
            self._send(ticket)

    def _wait_for_price(self, ticket: Ticket) -> None:
        assert ticket.listing is not None
        if ticket.wish.type not in AT_CLOSE:
            self._dormant.setdefault(ticket.listing.name, {})[ticket.perm_id] = ticket
            self._start_trailing(ticket)
            self._look(ticket, self.prices(ticket.listing.name))

    def _start_trailing(self, ticket: Ticket) -> None:
        if ticket.stop is None and ticket.listing is not None:
            start_trailing(ticket, watched(ticket, self.prices(ticket.listing.name)))

    def _may_trade(self, ticket: Ticket) -> bool:
        after = ticket.asked["goodAfterTime"]
        if not self._is_open(ticket) or (after and not is_over(after)):
            return False
        if ticket.conditions is not None and ticket.conditions.are_met(self.prices):
            ticket.conditions = None  # once is enough
        return ticket.conditions is None

    def _is_open(self, ticket: Ticket) -> bool:
        listing = ticket.listing or ticket.legs[0].listing
        if not listing.has_hours or self.hours == "regular":
            return True
        return self.hours == "extended" and ticket.wish.outside_hours

    # --- at the exchange --------------------------------------------------------------------------------------------

    def _send(self, ticket: Ticket) -> None:
        self._waiting.pop(ticket.perm_id, None)
        number = self.exchange.reserve_id()
        self.watch(number, ticket)
        ticket.working = number
        try:
            order = self.exchange.place(ticket.account, terms_of(ticket), f"{ticket.perm_id}.{number}", reserved=number)
        except ExchangeRefusal as refusal:
            ticket.working = 0
            self._at_exchange.pop(number, None)
            self._refused(ticket, refusal)
            return
        if order.is_working and not order.filled and ticket.status is not Status.SUBMITTED:
            ticket.status = Status.SUBMITTED
            self.teller.order(ticket)

    def watch(self, number: int, ticket: Ticket) -> None:
        """Reports of this order of the exchange are of this ticket."""
        self._at_exchange[number] = ticket

    def _refused(self, ticket: Ticket, refusal: ExchangeRefusal) -> None:
        if refusal.detail == "no-liquidity":
            self._waiting[ticket.perm_id] = ticket
        elif refusal.detail == "fok":
            self.end(ticket, Status.CANCELLED, str(refusal))
        else:
            self.reject(ticket, MARGIN if refusal.detail == "insufficient-margin" else str(refusal))

    def _withdraw(self, ticket: Ticket) -> bool:
        """Take its order out of the exchange. False where it was filled meanwhile, and only the report is on its way."""
        number, ticket.working = ticket.working, 0
        if not number:
            return True
        try:
            self.exchange.cancel(ticket.account, venue_id=str(number))
        except ExchangeRefusal:
            ticket.working = number
            return False
        return True

    def amend(self, ticket: Ticket, before: Wish) -> None:
        """Bring its new terms to the exchange. Raises `ExchangeRefusal` where that does not take them."""
        wish = ticket.wish
        if wish.quantity == ticket.filled:
            self._close(ticket, Status.FILLED)
            self.teller.order(ticket)
            return
        if ticket.working and (wish.type, wish.tif) == (before.type, before.tif):
            self._change(ticket)
            self.teller.order(ticket)
            return
        if ticket.working:
            self._withdraw(ticket)
            ticket.triggered = False
        if (wish.aux, wish.trail_percent, wish.trail_stop) != (before.aux, before.trail_percent, before.trail_stop):
            ticket.stop = None
        self._forget(ticket)
        if not ticket.triggered and wish.type in (*STOPS, *TOUCHED, *AT_CLOSE):
            ticket.status = Status.PRE_SUBMITTED
        self.teller.order(ticket)
        self._release(ticket)

    def _change(self, ticket: Ticket) -> None:
        terms = terms_of(ticket)
        order = self.exchange.find(ticket.account, venue_id=str(ticket.working))
        total = order.filled + ticket.remaining
        if (total, terms.price) != (order.terms.quantity, order.terms.price):
            self.exchange.modify(ticket.account, venue_id=str(ticket.working), quantity=total, price=terms.price)

    # --- ending -----------------------------------------------------------------------------------------------------

    def reject(self, ticket: Ticket, reason: str) -> None:
        """The venue does not take it."""
        self._close(ticket, Status.INACTIVE, reason)
        self.teller.order(ticket)
        self.teller.problem(ticket, Refusal("rejected", reason=reason))
        self._orphan(ticket)

    def end(self, ticket: Ticket, status: Status, reason: str = "") -> None:
        """It is over, not filled; its children go with it. Nothing happens to one that was filled meanwhile."""
        if not self._withdraw(ticket):
            return
        self._close(ticket, status, reason)
        if ticket.transmitted:
            self.teller.status(ticket)
        self.teller.problem(ticket, Refusal("cancelled", reason=reason))
        self._orphan(ticket)

    def _close(self, ticket: Ticket, status: Status, reason: str = "") -> None:
        self._withdraw(ticket)
        ticket.status = status
        ticket.reason = reason
        ticket.ended_ms = self.now_ms()
        self.combos.stop(ticket)
        self._forget(ticket)

    def _forget(self, ticket: Ticket) -> None:
        """It waits for nothing any more."""
        self._waiting.pop(ticket.perm_id, None)
        if ticket.listing is not None:
            self._dormant.get(ticket.listing.name, {}).pop(ticket.perm_id, None)

    def _orphan(self, ticket: Ticket) -> None:
        for child in tuple(ticket.children):
            if child.is_live:
                self.end(child, Status.CANCELLED, "the parent order was cancelled")

    # --- what the exchange tells ------------------------------------------------------------------------------------

    def on_report(self, report: Report) -> None:
        if isinstance(report, OrderReport):
            ticket = self._at_exchange.get(int(report.order.venue_id)) or self._adopt(report)
            if ticket is not None:
                self._on_order(ticket, report)
        elif isinstance(report, Trade | Quote):
            self._on_price(report.symbol)

    def _adopt(self, report: OrderReport) -> Ticket | None:
        """An order that IB itself made."""
        if report.order.status.is_final and report.fill is None:
            return None
        ticket = self._strange(report)
        if ticket is not None:
            ticket.working = int(report.order.venue_id)
            self.watch(ticket.working, ticket)
        return ticket

    def _on_order(self, ticket: Ticket, report: OrderReport) -> None:
        number = int(report.order.venue_id)
        if report.order.status.is_final:
            self._at_exchange.pop(number, None)
        current = ticket.working == number
        if current and report.order.status.is_final:
            ticket.working = 0
        if ticket.legs:
            self.combos.on_order(ticket, number, report)
        elif report.execution is Why.TRADE:
            self._on_fill(ticket, report)
        elif report.execution in (Why.CANCELLED, Why.EXPIRED) and ticket.is_live and current:
            if report.order.reason == "no liquidity left" and ticket.wish.tif not in ("IOC", "FOK"):
                self._waiting[ticket.perm_id] = ticket
            else:
                self.end(ticket, Status.CANCELLED, report.order.reason)

    def _on_fill(self, ticket: Ticket, report: OrderReport) -> None:
        fill = report.fill
        assert fill is not None
        ticket.fill(fill.quantity, fill.price)
        self.tell_fill(ticket, read_execution(ticket, ticket.listing, report, self.next_exec_id()))

    def tell_fill(self, ticket: Ticket, execution: Execution) -> None:
        """Tell of an execution and what it made of the order, then let follow what follows from it."""
        self.executions.append(execution)
        self.teller.execution(execution)
        if ticket.status is Status.FILLED:
            ticket.ended_ms = self.now_ms()
        self.teller.order(ticket)
        ticket.commission = (ticket.commission or ZERO) + execution.fee
        self.teller.commission(execution)
        self._shrink_brothers(ticket, execution.shares)
        if ticket.status is Status.FILLED:
            for child in tuple(ticket.children):
                self._release(child)

    def correct(self, exec_id: str, price: Decimal) -> Execution:
        """The venue puts an execution right: the same once more, with another price and the next number at its end.

        Raises `Refusal` where there is no such execution of an order for one contract.
        """
        base = exec_id.rpartition(".")[0]
        before = next((one for one in reversed(self.executions) if one.exec_id.rpartition(".")[0] == base), None)
        if before is None or before.listing is None or before.ticket.legs:
            raise invalid(f"There is no execution {exec_id} to correct")
        ticket = before.ticket
        ticket.paid += (price - before.price) * before.shares
        ticket.last_price = price
        number = int(before.exec_id.rpartition(".")[2]) + 1
        execution = replace(before, exec_id=f"{base}.{number:02d}", price=price, average=ticket.average)
        self.executions.append(execution)
        gained = (before.price - price) * before.shares * before.side.sign * before.listing.multiplier
        self.exchange.deposit(ticket.account, gained)
        self.teller.execution(execution)
        self.teller.status(ticket)
        return execution

    def next_exec_id(self) -> str:
        self._executed += 1
        return f"00025b46.{self._executed:08x}.01.01"

    def _shrink_brothers(self, ticket: Ticket, shares: Decimal) -> None:
        """One cancels all: brothers end when it is filled; of groups of types 2 and 3 they become smaller before."""
        for brother in ticket.brothers:
            smaller = brother.quantity - shares
            if ticket.status is Status.FILLED or ticket.oca_type == 1 or smaller <= brother.filled:
                self.end(brother, Status.CANCELLED, "the other order of its group was filled")
            else:
                self._resize(brother, smaller)

    def _resize(self, ticket: Ticket, quantity: Decimal) -> None:
        ticket.wish = replace(ticket.wish, quantity=quantity)
        if ticket.working:
            self._change(ticket)
        self.teller.order(ticket)

    # --- what time and prices bring about ---------------------------------------------------------------------------

    def _on_price(self, symbol: str) -> None:
        dormant = self._dormant.get(symbol)
        if dormant:
            prices = self.prices(symbol)
            for ticket in tuple(dormant.values()):
                self._look(ticket, prices)
        for ticket in tuple(self._waiting.values()):
            own = ticket.listing is not None and ticket.listing.name == symbol
            looked_at = ticket.conditions is not None and ticket.conditions.look_at(symbol)
            if (own or looked_at) and self._may_trade(ticket):
                self._leave_waiting(ticket)
        self.combos.on_price(symbol)

    def _look(self, ticket: Ticket, prices: Prices) -> None:
        if not self._may_trade(ticket):
            return
        stop = ticket.stop
        if is_due(ticket, watched(ticket, prices)):
            self._forget(ticket)
            ticket.triggered = True
            self._send(ticket)
        elif ticket.stop != stop and ticket.transmitted:
            self.teller.order(ticket)

    def _leave_waiting(self, ticket: Ticket) -> None:
        self._waiting.pop(ticket.perm_id, None)
        self._release(ticket)

    def turn(self, hours: str) -> None:
        """Another part of the day begins: what may trade now goes out, what may not is taken back."""
        self.hours = hours
        for ticket in tuple(self._at_exchange.values()):
            if ticket.working and not self._is_open(ticket) and self._withdraw(ticket):
                ticket.status = Status.PRE_SUBMITTED
                self._waiting[ticket.perm_id] = ticket
                self.teller.order(ticket)
        self.wake()
        for symbol in tuple(self._dormant):
            self._on_price(symbol)

    def wake(self) -> None:
        """Let go what had to wait for its time."""
        for ticket in tuple(self._waiting.values()):
            if self._may_trade(ticket):
                self._leave_waiting(ticket)

    def auction(self, ticket: Ticket) -> None:
        """The closing auction: an order for the close trades now."""
        ticket.triggered = True
        self._release(ticket)


def _line(ticket: Ticket) -> str:
    contract = ticket.contract
    return (
        f"{ticket.asked['action']} {ticket.quantity} {contract['symbol']} {contract['exchange']}.{contract['tradingClass']}"
    )
