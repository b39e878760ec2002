"""Matching: orders that take, orders that rest, and the recording's own depth and trades."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from copydesk.model import ZERO, Contract, Instrument, OrderStatus, Side, TimeInForce

from copydesk_paper.book import BookSide
from copydesk_paper.contracts import ceil_to_step, notional, to_cents
from copydesk_paper.floor import Floor
from copydesk_paper.orders import WorkingOrder
from copydesk_paper.records import MarketDepth, MarketTrade

Commission = Callable[[Instrument, Decimal, Decimal, Decimal], Decimal]
"""What an execution costs, from the instrument, what its order had filled before, its quantity and its price."""


class Matching:
    """Price-time priority over the floor's books. `slices`: into how many executions one order is cut at most.

    `commission`, where a venue has one, takes the place of the fees.
    """

    def __init__(
        self, floor: Floor, *, maker_fee: Decimal, taker_fee: Decimal, commission: Commission | None = None
    ) -> None:
        self._floor = floor
        self._commission = commission
        self._fees = {True: maker_fee, False: taker_fee}
        self.slices = 0

    # --- users' orders ---

    def run(self, order: WorkingOrder) -> None:
        """Let an order that just came (or was triggered or amended) trade, then rest or end by its terms."""
        side = self._floor.books[order.symbol].side(order.side.opposite)
        price, time_in_force = order.terms.price, order.terms.time_in_force
        if order.terms.post_only and self.would_take(order.symbol, order.side, price):
            self._floor.end(order, OrderStatus.EXPIRED, "post-only: it would have taken")
            return
        if time_in_force is TimeInForce.FOK and self.reachable(order) < order.remaining:
            self._floor.end(order, OrderStatus.EXPIRED, "fill-or-kill: not enough in the book")
            return
        self._take(order, side)
        if not order.is_working:
            return
        if self._reducible(order) <= 0:
            self._floor.end(order, OrderStatus.EXPIRED, "reduce-only: nothing left to reduce")
        elif price is None:
            self._floor.end(order, OrderStatus.EXPIRED, "no liquidity left")
        elif time_in_force is not TimeInForce.GTC:
            self._floor.end(order, OrderStatus.EXPIRED, f"{time_in_force}: not filled at once")
        else:
            self._floor.books[order.symbol].side(order.side).add(order)

    def run_out(self, order: WorkingOrder) -> None:
        """Let a liquidation trade; what the book cannot give the insurance fund takes over at the mark price."""
        self._take(order, self._floor.books[order.symbol].side(order.side.opposite))
        while order.is_working:
            quantity = min(order.remaining, self._slice(order))
            self._execute(self._floor.mark(order.symbol), quantity, taker=order, maker=None, taker_side=order.side)

    def would_take(self, symbol: str, side: Side, price: Decimal | None) -> bool:
        """True where an order of this side and limit would trade at once."""
        other = self._floor.books[symbol].side(side.opposite)
        best = other.best()
        return best is not None and other.accepts(best.price, price)

    def reachable(self, order: WorkingOrder) -> Decimal:
        """How much of its remaining quantity the order could trade now."""
        side = self._floor.books[order.symbol].side(order.side.opposite)
        wanted = min(order.remaining, self._reducible(order))
        reached = ZERO
        reducible: dict[tuple[str, str], Decimal] = {}
        for level in side.walk():
            if reached >= wanted or not side.accepts(level.price, order.terms.price):
                break
            reached += level.outside
            for maker in level.queue:
                if maker.account == order.account:
                    continue
                key = (maker.account, maker.terms.position_side.value)
                size = min(maker.remaining, reducible.get(key, self._reducible(maker)))
                if maker.reduces:
                    reducible[key] = reducible.get(key, self._reducible(maker)) - size
                reached += size
        return min(reached, wanted)

    def _take(self, order: WorkingOrder, side: BookSide) -> None:
        while order.is_working:
            level = side.best()
            wanted = min(order.remaining, self._reducible(order))
            if level is None or wanted <= 0 or not side.accepts(level.price, order.terms.price):
                return
            maker, offered = level.front()
            if maker is not None and maker.account == order.account:
                self._floor.end(maker, OrderStatus.EXPIRED, "it would have traded with its own account")
                continue
            if maker is not None:
                offered = min(offered, self._reducible(maker))
                if offered <= 0:
                    self._floor.end(maker, OrderStatus.EXPIRED, "reduce-only: nothing left to reduce")
                    continue
            quantity = min(wanted, offered, *(self._slice(o) for o in (order, maker) if o is not None))
            if maker is None:
                side.take_outside(level, quantity)
            self._execute(level.price, quantity, taker=order, maker=maker, taker_side=order.side)

    def _reducible(self, order: WorkingOrder) -> Decimal:
        """How much it may trade: all for ordinary orders, no more than the position for those that only reduce."""
        if not order.reduces:
            return order.remaining
        terms = order.terms
        return min(
            order.remaining, self._floor.accounts[order.account].closable(terms.symbol, terms.position_side, terms.side)
        )

    def _slice(self, order: WorkingOrder) -> Decimal:
        if self.slices < 2:
            return order.remaining
        step = self._floor.instruments[order.symbol].quantity_step
        return ceil_to_step(order.terms.quantity / self.slices, step)

    def _execute(
        self, price: Decimal, quantity: Decimal, *, taker: WorkingOrder | None, maker: WorkingOrder | None, taker_side: Side
    ) -> None:
        """One execution between two orders, or one order and the recording: reports, wallets, tape."""
        trade_id = next(self._floor.trade_ids)
        for order in (maker, taker):
            if order is None:
                continue
            is_maker = order is maker
            self._floor.trade(
                order, trade_id, quantity, price, self._fee(order, quantity, price, maker=is_maker), maker=is_maker
            )
            if not order.is_working:
                self._floor.end(order, OrderStatus.FILLED)
        symbol = (taker or maker or _nobody()).symbol
        self._floor.print(symbol, trade_id, price, quantity, buyer_is_maker=taker_side is Side.SELL)

    def _fee(self, order: WorkingOrder, quantity: Decimal, price: Decimal, *, maker: bool) -> Decimal:
        if order.liquidation:
            maker = False
        instrument = self._floor.instruments[order.symbol]
        if self._commission is not None:
            return self._commission(instrument, order.filled, quantity, price)
        if instrument.contract is Contract.SPOT and order.side is Side.BUY:
            return to_cents(quantity * self._fees[maker])
        return to_cents(notional(instrument, quantity, price) * self._fees[maker])

    # --- the recording ---

    def depth(self, event: MarketDepth) -> None:
        """New levels; those that meet users' resting orders trade with them, at the users' prices."""
        book = self._floor.books[event.symbol]
        book.update(event.bids, event.asks, snapshot=event.snapshot)
        for users, outside in ((book.bids, book.asks), (book.asks, book.bids)):
            self._uncross(users, outside)

    def _uncross(self, users: BookSide, outside: BookSide) -> None:
        while (mine := users.best()) is not None and (theirs := outside.best()) is not None:
            if not users.accepts(mine.price, theirs.price) or not mine.queue or not theirs.outside:
                return
            maker = mine.queue[0]
            filled = self._fill_resting(maker, theirs.outside, maker.side.opposite)
            if filled:
                outside.take_outside(theirs, filled)

    def trade(self, event: MarketTrade) -> None:
        """A trade of the recording: users' orders that it goes through come first, what is left is printed as it was."""
        aggressor = Side.SELL if event.buyer_is_maker else Side.BUY
        side = self._floor.books[event.symbol].side(aggressor.opposite)
        left = event.quantity
        for level in [level for level in side.walk() if level.queue]:
            if left <= 0 or not side.accepts(level.price, event.price):
                break
            while left > 0 and level.queue:
                front = level.queue[0]
                if level.price != event.price or not front.ahead:
                    left -= self._fill_resting(front, left, aggressor)
                    continue
                passed = min(left, front.ahead)
                level.pass_by(passed)
                left -= passed
                self._print_outside(event, passed)
        if left > 0:
            self._print_outside(event, left)

    def fill(self, order: WorkingOrder, quantity: Decimal) -> None:
        """Somebody trades with exactly this resting order, whatever stands before it."""
        self._fill_resting(order, min(quantity, order.remaining), order.side.opposite)

    def _print_outside(self, event: MarketTrade, quantity: Decimal) -> None:
        trade_id = next(self._floor.trade_ids)
        self._floor.print(event.symbol, trade_id, event.price, quantity, buyer_is_maker=event.buyer_is_maker)

    def _fill_resting(self, maker: WorkingOrder, offered: Decimal, aggressor: Side) -> Decimal:
        """One execution of a resting order against the recording. Returns its quantity; zero where it expired instead."""
        price = maker.terms.price
        assert price is not None
        quantity = min(offered, self._slice(maker), self._reducible(maker))
        if quantity <= 0:
            self._floor.end(maker, OrderStatus.EXPIRED, "reduce-only: nothing left to reduce")
            return ZERO
        maker.ahead = ZERO
        self._execute(price, quantity, taker=None, maker=maker, taker_side=aggressor)
        return quantity


def _nobody() -> WorkingOrder:
    raise AssertionError("an execution has at least one order")
