"""Conditional orders: which of them the present prices trigger. Trailing stops follow the price."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from copydesk.model import OrderType, Side, TriggerBy

from copydesk_paper.floor import Floor
from copydesk_paper.orders import WorkingOrder
from copydesk_paper.rules import triggers_upwards


class Triggers:
    """The dormant orders of every symbol, the oldest first."""

    def __init__(self, floor: Floor) -> None:
        self._floor = floor
        self._dormant: dict[str, dict[int, WorkingOrder]] = {symbol: {} for symbol in floor.instruments}
        self._seen: dict[str, tuple[Decimal, Decimal]] = {}

    def add(self, order: WorkingOrder) -> None:
        """Let it wait. A trailing stop without activation price starts to trail at the present price."""
        self._dormant[order.symbol][order.venue_id] = order
        if order.terms.type is OrderType.TRAILING_STOP and order.terms.trigger_price is None:
            order.extreme = self.price(order.symbol, order.terms.trigger_by)

    def remove(self, order: WorkingOrder) -> None:
        self._dormant[order.symbol].pop(order.venue_id, None)

    def price(self, symbol: str, trigger_by: TriggerBy) -> Decimal:
        """The price that triggers look at: last (before any trade: mark), or mark (which stands for the index too)."""
        last = self._floor.tapes[symbol].last if trigger_by is TriggerBy.LAST else None
        return last or self._floor.mark(symbol)

    def due(self, symbol: str) -> Iterator[WorkingOrder]:
        """Orders that the present prices trigger, each taken out as it is yielded. Moves trailing stops along."""
        prices = (self.price(symbol, TriggerBy.LAST), self.price(symbol, TriggerBy.MARK))
        if self._seen.get(symbol) == prices:
            return
        self._seen[symbol] = prices
        for order in tuple(self._dormant[symbol].values()):
            if not order.is_working:  # the other order of its group came first
                self.remove(order)
                continue
            price = prices[0] if order.terms.trigger_by is TriggerBy.LAST else prices[1]
            if not price or not self._is_met(order, price):
                continue
            self.remove(order)
            yield order

    def _is_met(self, order: WorkingOrder, price: Decimal) -> bool:
        trigger = order.terms.trigger_price
        if order.terms.type is OrderType.TRAILING_STOP:
            return self._trail(order, price)
        assert trigger is not None
        return price >= trigger if triggers_upwards(order.terms) else price <= trigger

    def _trail(self, order: WorkingOrder, price: Decimal) -> bool:
        terms, activation = order.terms, order.terms.trigger_price
        buys = terms.side is Side.BUY
        if order.extreme is None:
            reached = activation is None or (price <= activation if buys else price >= activation)
            if reached:
                order.extreme = price
            return False
        share = (terms.trail_percent or Decimal(0)) / 100
        if buys:
            order.extreme = min(order.extreme, price)
            return price >= order.extreme * (1 + share)
        order.extreme = max(order.extreme, price)
        return price <= order.extreme * (1 - share)
