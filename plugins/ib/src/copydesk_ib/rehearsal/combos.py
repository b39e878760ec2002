"""Combinations: orders for several contracts at one net price, traded leg by leg when the price is there."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from copydesk.model import ZERO, OrderType, Side, Terms
from copydesk_paper.contracts import notional, tidy
from copydesk_paper.records import Execution as Why
from copydesk_paper.records import OrderReport
from copydesk_paper.refusal import ExchangeRefusal

from copydesk_ib.rehearsal.executions import Execution, read_execution
from copydesk_ib.rehearsal.listings import Leg
from copydesk_ib.rehearsal.tickets import Status, Ticket
from copydesk_ib.rehearsal.wire import double

if TYPE_CHECKING:
    from copydesk_ib.rehearsal.working import Working


class _Work:
    """A combination at work: what of each leg is filled, at what sum, and which legs have an order at the exchange."""

    def __init__(self, ticket: Ticket) -> None:
        self.filled = [ZERO] * len(ticket.legs)
        self.paid = [ZERO] * len(ticket.legs)
        self.orders: dict[int, int] = {}
        self.started = False


class Combos:
    """The combinations that are working."""

    def __init__(self, orders: Working) -> None:
        self._orders = orders
        self._working: dict[int, tuple[Ticket, _Work]] = {}

    def start(self, ticket: Ticket) -> None:
        """Let it work; it trades as soon as its net price is there."""
        if ticket.perm_id not in self._working:
            if not self._affords(ticket):
                self._orders.reject(ticket, "Your Available Funds are insufficient for this combination.")
                return
            self._working[ticket.perm_id] = (ticket, _Work(ticket))
            ticket.status = Status.SUBMITTED
            if not self._is_there(ticket):
                self._orders.teller.order(ticket)
        self._try(ticket)

    def stop(self, ticket: Ticket) -> None:
        """It is over: whatever of its legs still works is cancelled."""
        found = self._working.pop(ticket.perm_id, None)
        for number in found[1].orders if found is not None else ():
            self._orders.exchange.cancel(ticket.account, venue_id=str(number))

    def on_price(self, symbol: str) -> None:
        for ticket, _ in tuple(self._working.values()):
            if any(leg.listing.name == symbol for leg in ticket.legs):
                self._try(ticket)

    def on_order(self, ticket: Ticket, number: int, report: OrderReport) -> None:
        """What happened to the order of a leg."""
        found = self._working.get(ticket.perm_id)
        if found is None or number not in found[1].orders:
            return
        work = found[1]
        index = work.orders[number]
        if report.order.status.is_final:
            del work.orders[number]
        if report.execution is not Why.TRADE or report.fill is None:
            return
        work.filled[index] += report.fill.quantity
        work.paid[index] += report.fill.quantity * report.fill.price
        execution = read_execution(ticket, ticket.legs[index].listing, report, self._orders.next_exec_id())
        self._orders.executions.append(execution)
        self._orders.teller.execution(execution)
        ticket.commission = (ticket.commission or ZERO) + execution.fee
        self._orders.teller.commission(execution)
        self._count(ticket, work, report)

    def _count(self, ticket: Ticket, work: _Work, report: OrderReport) -> None:
        """Whole combinations that its legs make up are what the order itself has filled."""
        whole = min(filled // leg.ratio for filled, leg in zip(work.filled, ticket.legs, strict=True))
        if whole <= ticket.filled:
            return
        net = sum(
            (leg.sign * leg.ratio * paid / filled)
            for leg, filled, paid in zip(ticket.legs, work.filled, work.paid, strict=True)
        )
        shares = whole - ticket.filled
        ticket.fill(shares, tidy(Decimal(net)))
        if ticket.status is Status.FILLED:
            self._working.pop(ticket.perm_id, None)
        execution = Execution(
            ticket=ticket,
            listing=None,
            exec_id=self._orders.next_exec_id(),
            time_ms=report.time_ms,
            side=ticket.wish.action,
            shares=shares,
            price=ticket.last_price,
            cumulative=ticket.filled,
            average=ticket.average,
        )
        self._orders.tell_fill(ticket, execution)

    # --- trading ----------------------------------------------------------------------------------------------------

    def _try(self, ticket: Ticket) -> None:
        work = self._working[ticket.perm_id][1]
        if work.orders or (not work.started and not self._is_there(ticket)):
            return
        work.started = True
        for index, leg in enumerate(ticket.legs):
            missing = ticket.quantity * leg.ratio - work.filled[index]
            if missing > 0 and ticket.is_live:
                self._send_leg(ticket, work, index, missing)

    def _send_leg(self, ticket: Ticket, work: _Work, index: int, quantity: Decimal) -> None:
        exchange, leg = self._orders.exchange, ticket.legs[index]
        number = exchange.reserve_id()
        work.orders[number] = index
        self._orders.watch(number, ticket)
        terms = Terms(symbol=leg.listing.name, side=_side(ticket, leg), type=OrderType.MARKET, quantity=quantity)
        try:
            exchange.place(ticket.account, terms, f"{ticket.perm_id}.{number}", reserved=number)
        except ExchangeRefusal:
            work.orders.pop(number, None)  # no liquidity: again with the next price

    def _is_there(self, ticket: Ticket) -> bool:
        """Whether the legs can be had at the net price."""
        net = ZERO
        for leg in ticket.legs:
            side = _side(ticket, leg)
            prices = self._orders.prices(leg.listing.name)
            price = prices.ask if side is Side.BUY else prices.bid
            if not price:
                return False
            net += leg.sign * leg.ratio * price
        limit = ticket.wish.limit
        if ticket.wish.type == "MKT" or limit is None:
            return True
        return net <= limit if ticket.wish.action is Side.BUY else net >= limit

    def _affords(self, ticket: Ticket) -> bool:
        exchange = self._orders.exchange
        return self._needs(ticket) <= exchange.balance(ticket.account).available

    def _needs(self, ticket: Ticket) -> Decimal:
        """The margin of its legs, each for itself."""
        exchange = self._orders.exchange
        needed = ZERO
        listings = [(leg.listing, leg.ratio) for leg in ticket.legs]
        if ticket.listing is not None:
            listings = [(ticket.listing, 1)]
        for listing, ratio in listings:
            instrument = exchange.instruments[listing.name]
            price = exchange.quote(listing.name).mark
            size = notional(instrument, ticket.quantity * ratio, price)
            needed += size / exchange.leverage(ticket.account, listing.name)
        return needed

    def margins(self, ticket: Ticket) -> Mapping[str, str]:
        """The margins before and after an order, and what it changes, as openOrder tells them to a what-if."""
        exchange = self._orders.exchange
        pool = exchange.pool(ticket.account, "USD")
        change = self._needs(ticket)
        told: dict[str, str] = {}
        for name, before, added in (
            ("initMargin", pool.initial, change),
            ("maintMargin", pool.maintenance, change * 4 / 5),
            ("equity", pool.equity, ZERO),
        ):
            told |= {
                f"{name}Before": double(tidy(before)),
                f"{name}Change": double(tidy(added)),
                f"{name}After": double(tidy(before + added)),
            }
        return told


def _side(ticket: Ticket, leg: Leg) -> Side:
    return ticket.wish.action if leg.sign > 0 else ticket.wish.action.opposite
