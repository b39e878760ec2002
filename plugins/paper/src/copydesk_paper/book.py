"""The order book of one symbol: the recording's levels and the users' resting orders, in price-time priority."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from decimal import Decimal

from copydesk.model import ZERO, Side

from copydesk_paper.orders import WorkingOrder


class Level:
    """One price: the recording's quantity and the users' orders, the oldest first.

    A user's order stands behind the recording's quantity that was there before it (`WorkingOrder.ahead`); what the
    recording adds later stands behind the user.
    """

    __slots__ = ("outside", "price", "queue")

    def __init__(self, price: Decimal) -> None:
        self.price = price
        self.outside = ZERO
        self.queue: list[WorkingOrder] = []

    def front(self) -> tuple[WorkingOrder | None, Decimal]:
        """Who is served next (None: the recording) and with how much at most."""
        if not self.queue:
            return None, self.outside
        first = self.queue[0]
        return (None, first.ahead) if first.ahead else (first, first.remaining)

    def take_outside(self, quantity: Decimal) -> None:
        """Take from the recording's quantity; all users' orders move up."""
        self.outside -= quantity
        self.pass_by(quantity)

    def pass_by(self, quantity: Decimal) -> None:
        """Move users' orders up by `quantity` of the recording that traded or left."""
        for order in self.queue:
            order.ahead = max(ZERO, order.ahead - quantity)

    def set_outside(self, quantity: Decimal) -> None:
        self.outside = quantity
        for order in self.queue:
            order.ahead = min(order.ahead, quantity)

    @property
    def quantity(self) -> Decimal:
        return sum((order.remaining for order in self.queue), self.outside)

    @property
    def is_empty(self) -> bool:
        return not self.outside and not self.queue


class BookSide:
    """Bids or asks. `recorded` is the recording's book, `levels` what stands there after users took from it."""

    def __init__(self, side: Side) -> None:
        self.side = side
        self.levels: dict[Decimal, Level] = {}
        self.recorded: dict[Decimal, Decimal] = {}
        self._prices: list[Decimal] = []  # ascending
        self._taken: dict[Decimal, None] = {}  # prices to restore with the next update, in order

    def best(self) -> Level | None:
        if not self._prices:
            return None
        return self.levels[self._prices[-1 if self.side is Side.BUY else 0]]

    def walk(self) -> Iterator[Level]:
        """All levels, the best first."""
        for price in reversed(self._prices) if self.side is Side.BUY else self._prices:
            yield self.levels[price]

    def accepts(self, level_price: Decimal, limit: Decimal | None) -> bool:
        """True where an order from the other side with this limit (None: any price) may trade at `level_price`."""
        if limit is None:
            return True
        return level_price >= limit if self.side is Side.BUY else level_price <= limit

    def best_outside(self) -> Decimal | None:
        """The best price at which the recording itself stands."""
        return next((level.price for level in self.walk() if level.outside), None)

    def add(self, order: WorkingOrder) -> None:
        """Let a user's limit order rest, last in its queue."""
        assert order.terms.price is not None
        level = self._level(order.terms.price)
        order.ahead = level.outside
        level.queue.append(order)

    def remove(self, order: WorkingOrder) -> None:
        """Take a resting order out; one that does not rest here is left alone."""
        price = order.terms.price
        level = self.levels.get(price) if price is not None else None
        if level is not None and order in level.queue:
            level.queue.remove(order)
            self.drop_if_empty(level)

    def take_outside(self, level: Level, quantity: Decimal) -> None:
        level.take_outside(quantity)
        self._taken[level.price] = None
        self.drop_if_empty(level)

    def drop_if_empty(self, level: Level) -> None:
        if level.is_empty and level.price in self.levels:
            del self.levels[level.price]
            del self._prices[bisect_left(self._prices, level.price)]

    def update(self, changes: Iterable[tuple[Decimal, Decimal]], *, snapshot: bool) -> None:
        """Bring the recording's levels up to date and restore what was taken from the others."""
        touched = dict(self._taken)
        self._taken.clear()
        if snapshot:
            touched.update(dict.fromkeys(self.recorded))
            self.recorded.clear()
        for price, quantity in changes:
            touched[price] = None
            if quantity:
                self.recorded[price] = quantity
            else:
                self.recorded.pop(price, None)
        self._show(touched)

    def forget_crossed(self, other: Decimal | None) -> None:
        """Drop recorded levels that a newer price of the other side has overtaken (the recording had a hole)."""
        best = self.best_outside()
        if other is None or best is None or not self.accepts(best, other):
            return
        crossed = [price for price in self.recorded if self.accepts(price, other)]
        for price in crossed:
            del self.recorded[price]
        self._show(crossed)

    def _show(self, prices: Iterable[Decimal]) -> None:
        for price in prices:
            quantity = self.recorded.get(price, ZERO)
            if not quantity and price not in self.levels:
                continue
            level = self._level(price)
            level.set_outside(quantity)
            self.drop_if_empty(level)

    def _level(self, price: Decimal) -> Level:
        level = self.levels.get(price)
        if level is None:
            level = self.levels[price] = Level(price)
            insort(self._prices, price)
        return level


class Book:
    """Both sides."""

    def __init__(self) -> None:
        self.bids = BookSide(Side.BUY)
        self.asks = BookSide(Side.SELL)

    def side(self, side: Side) -> BookSide:
        return self.bids if side is Side.BUY else self.asks

    def update(
        self,
        bids: Iterable[tuple[Decimal, Decimal]],
        asks: Iterable[tuple[Decimal, Decimal]],
        *,
        snapshot: bool,
    ) -> None:
        bids, asks = tuple(bids), tuple(asks)
        self.bids.update(bids, snapshot=snapshot)
        self.asks.update(asks, snapshot=snapshot)
        self.asks.forget_crossed(max((price for price, quantity in bids if quantity), default=None))
        self.bids.forget_crossed(min((price for price, quantity in asks if quantity), default=None))

    def middle(self) -> Decimal | None:
        """The middle of the recording's own best prices; users' orders alone do not move it."""
        bid, ask = self.bids.best_outside(), self.asks.best_outside()
        if bid is None or ask is None:
            return bid if ask is None else ask
        return (bid + ask) / 2
