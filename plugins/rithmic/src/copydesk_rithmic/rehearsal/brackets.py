"""Brackets: a target and a stop that come in as their entry is filled, of which one takes the other away."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal

from copydesk.model import Order, OrderType, Terms
from copydesk_paper.records import Execution, OrderReport
from copydesk_paper.refusal import ExchangeRefusal
from msgspec.structs import replace

from copydesk_rithmic.rehearsal.desk import LIMIT, STOP_MARKET, Account, Basket, Bracket, Desk, Refusal, number_of


class Brackets:
    """Follows the orders of a desk. `tell` is given an account, the entry's basket id and its bracket as it is now."""

    def __init__(self, desk: Desk, tell: Callable[[Account, str, Bracket], None]) -> None:
        self._desk = desk
        self._tell = tell
        desk.told = self._follow

    def level(self, account: Account, entry_id: str, *, stop_ticks: int = 0, target_ticks: int = 0) -> None:
        """Move the stop or the target of a bracket. Raises `Refusal`."""
        desk = self._desk
        entry = desk.baskets.get(entry_id)
        if entry is None or entry.account != account or entry.bracket is None:
            raise Refusal("1028", "Basket id is not found or its order is complete.")
        bracket = entry.bracket
        bracket.stop_ticks, bracket.target_ticks = stop_ticks or bracket.stop_ticks, target_ticks or bracket.target_ticks
        target, stop = self._prices(desk.order(entry_id), bracket)
        for leg_id, leg, placed in desk.orders(account):
            if leg.original != entry_id or not placed.is_working:
                continue
            price, trigger = (target, None) if leg.price_type == LIMIT else (None, stop)
            try:
                desk.exchange.modify(account.name, venue_id=number_of(leg_id), price=price, trigger_price=trigger)
            except ExchangeRefusal as refusal:
                if refusal.detail != "unchanged":
                    raise Refusal("6", f"bad input: {refusal}") from None
        self._tell(account, entry_id, bracket)

    def _follow(self, basket_id: str, basket: Basket, order: Order, report: OrderReport) -> None:
        if basket.bracket is not None and report.fill is not None:
            self._release(basket_id, basket, order, report.fill.quantity)
        if basket.linked:
            self._follow_leg(basket, order, report.execution)

    def _release(self, entry_id: str, entry: Basket, order: Order, quantity: Decimal) -> None:
        """A part of the entry is filled: as much of its target and its stop comes in."""
        bracket = entry.bracket
        assert bracket is not None
        bracket.released += int(quantity)
        target, stop = self._prices(order, bracket)
        out = Terms(symbol=order.terms.symbol, side=order.terms.side.opposite, type=OrderType.LIMIT, quantity=quantity)
        legs: list[tuple[int, Terms]] = []
        if bracket.target_ticks:
            legs.append((LIMIT, replace(out, price=target)))
        if bracket.stop_ticks:
            legs.append((STOP_MARKET, replace(out, type=OrderType.STOP_MARKET, trigger_price=stop)))
        placed = []
        for price_type, terms in legs:
            leg = leg_of(entry, price_type, entry_id)
            placed.append((self._desk.enter(leg, terms), leg))
        if len(placed) == 2:
            (first, one), (second, other) = placed
            one.linked, other.linked = second, first
        self._tell(entry.account, entry_id, bracket)

    def _prices(self, entry: Order, bracket: Bracket) -> tuple[Decimal, Decimal]:
        """Where target and stop stand: so many ticks from the average entry, which is brought to the tick."""
        tick = self._desk.exchange.instruments[entry.terms.symbol].price_tick
        entered = entry.average_price or Decimal(0)
        entered -= entered % tick
        step = entry.terms.side.sign * tick
        return entered + bracket.target_ticks * step, entered - bracket.stop_ticks * step

    def _follow_leg(self, basket: Basket, order: Order, execution: Execution) -> None:
        """One leg traded or ended: the other one shrinks or goes."""
        desk, other_id = self._desk, basket.linked
        other = desk.baskets[other_id]
        if other.refused is not None or not desk.order(other_id).is_working:
            return
        with suppress(ExchangeRefusal):  # somebody changed it by hand meanwhile
            if not order.is_working:
                basket.linked = other.linked = ""
                desk.exchange.cancel(other.account.name, venue_id=number_of(other_id))
            elif execution is Execution.TRADE:
                left = order.terms.quantity - order.filled
                desk.exchange.modify(other.account.name, venue_id=number_of(other_id), quantity=left)


def leg_of(entry: Basket, price_type: int, entry_id: str) -> Basket:
    """The basket of a leg: the entry's, without its tag."""
    return Basket(
        entry.account, entry.user, "", entry.route, price_type, entry.duration, entry.placement, original=entry_id
    )
