"""The parent of the demo: trades by a script, as a person would, through the venue's own client library.

A round enters, adds a stop and a target, drags the stop, scales in with a limit order that it changes, takes partial
profit, tries the other order types, flips, cancels and closes. Only what the script did is cancelled and closed: a person
may trade on the same account beside it.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from decimal import Decimal

import msgspec

from copydesk.errors import CopydeskError, NotReady
from copydesk.model import (
    Accepted,
    Capabilities,
    Instrument,
    NewOrder,
    Order,
    OrderChange,
    OrderRef,
    OrderType,
    Outcome,
    PriceEvent,
    Rejected,
    Scope,
    Side,
    SnapshotRequest,
    Subscription,
    Terms,
    TimeInForce,
    Unknown,
)
from copydesk.sizing import ceil_to, floor_to
from copydesk.venue import Venue

PATIENCE = 12
"""How often the trader tries again, or asks what became of an order, before it gives that order up."""


@dataclass
class Trader:
    """Trades `notional` (in the quote currency) of one symbol at a time, with `pause` seconds between two actions.

    `reach` scales how far from the price its waiting orders stand: 1 puts the stop and the target 2 % away.

    `did` counts the orders by type, the changes and cancels, and orders of a special sort once more under its name.
    `changed_ms`: when an order was last given other terms, by the venue's number.
    """

    venue: Venue
    symbol: str
    can: Capabilities
    notional: Decimal
    pause: float
    reach: Decimal = Decimal(1)
    name: str = field(default_factory=lambda: f"trader-{secrets.token_hex(4)}")
    did: Counter[str] = field(default_factory=Counter)
    changed_ms: dict[str, int] = field(default_factory=dict)
    price: Decimal = Decimal(0)
    _count: int = 0
    _held: Decimal = Decimal(0)  # by the script's own orders that have ended
    _orders: dict[str, Order] = field(default_factory=dict)  # those that may still be working, by client id

    @property
    def instrument(self) -> Instrument:
        return self.venue.instruments[self.symbol]

    async def watch(self) -> None:
        """Keep `price` up to date, until cancelled."""
        while True:
            try:
                async for event in self.venue.subscribe(Subscription(private=False, symbols=(self.symbol,))):
                    if isinstance(event, PriceEvent):
                        self.price = event.last
            except CopydeskError:
                await asyncio.sleep(0.5)

    async def until_priced(self, deadline_s: float = 60) -> None:
        """Return once there is a price. Raises `NotReady` where none comes in time."""
        until = time.monotonic() + deadline_s
        while not self.price:
            if time.monotonic() > until:
                raise NotReady(f"no price of {self.symbol} within {deadline_s:g} s")
            await asyncio.sleep(0.05)

    async def trade(self, enough: Callable[[], bool]) -> None:
        """Rounds until it is `enough`, at least one; what a round leaves behind is closed after it."""
        done = 0
        while not done or not enough():
            side = Side.BUY if done % 2 == 0 or not self.can.shorts else Side.SELL
            async for _ in self._round(side) if self.can.shorts else self._long_round():
                await asyncio.sleep(self.pause)
                if done and enough():
                    break
            await self.close_all()
            done += 1

    async def _round(self, side: Side) -> AsyncIterator[None]:
        """One round, entering on `side`; yields after each action."""
        size, away = self._size(), side.opposite
        await self.place(side, OrderType.MARKET, size)
        yield
        stop = await self.place(away, OrderType.STOP_MARKET, size, trigger=self._at(-2, side), reduce_only=True)
        yield
        goal = await self.place(away, OrderType.TAKE_PROFIT_MARKET, size, trigger=self._at(2, side), reduce_only=True)
        yield
        for percent in ("-1.9", "-1.8", "-1.7"):
            stop = await self.move(stop, trigger=self._at(Decimal(percent), side))
            yield
        limit = await self.place(side, OrderType.LIMIT, size, price=self._at(Decimal("-0.8"), side))
        yield
        limit = await self.move(limit, price=self._at(Decimal("-0.9"), side))
        yield
        limit = await self.move(limit, quantity=size + self._size(Decimal("0.5")))
        yield
        await self.place(away, OrderType.MARKET, self._size(Decimal("0.5")), reduce_only=True)
        yield
        async for _ in self._odds_and_ends(side, size, self._size(Decimal("0.5"))):
            yield
        await self.cancel(limit)
        yield
        await self.cancel(goal)
        yield
        await self.cancel(stop)
        yield
        await self.place(away, OrderType.MARKET, self._size(Decimal("0.5")) + size)
        self.did["flip"] += 1
        yield
        await self.place(side, OrderType.MARKET, size, reduce_only=True)
        yield

    async def _long_round(self) -> AsyncIterator[None]:
        """One round where nothing can be sold that is not there, and what orders would sell is bound while they stand."""
        size, part = self._size(), self._size(Decimal("0.25"))
        await self.place(Side.BUY, OrderType.MARKET, size)
        yield
        stop = await self.place(Side.SELL, OrderType.STOP_MARKET, part, trigger=self._at(-2, Side.BUY))
        yield
        goal = await self.place(Side.SELL, OrderType.TAKE_PROFIT_MARKET, part, trigger=self._at(2, Side.BUY))
        yield
        for percent in ("-1.9", "-1.8"):
            stop = await self.move(stop, trigger=self._at(Decimal(percent), Side.BUY))
            yield
        limit = await self.place(Side.BUY, OrderType.LIMIT, size, price=self._at(Decimal("-0.8"), Side.BUY))
        yield
        limit = await self.move(limit, price=self._at(Decimal("-0.9"), Side.BUY))
        yield
        limit = await self.move(limit, quantity=size + part * 2)
        yield
        async for _ in self._odds_and_ends(Side.BUY, size, part):
            yield
        for order in (limit, goal, stop):
            await self.cancel(order)
            yield
        await self.place(Side.SELL, OrderType.MARKET, part)
        yield

    async def _odds_and_ends(self, side: Side, size: Decimal, half: Decimal) -> AsyncIterator[None]:
        """The rarer orders: each stands for a moment and is cancelled, or ends by itself."""
        away = side.opposite
        through, behind = self._at(1, side), self._at(-1, side)
        await self.place(side, OrderType.LIMIT, half, price=through, tif=TimeInForce.IOC)
        yield
        await self.place(away, OrderType.LIMIT, half, price=behind, tif=TimeInForce.FOK)
        yield
        passive = await self.place(side, OrderType.LIMIT, size, price=behind, post_only=True)
        yield
        await self.cancel(passive)
        yield
        rest = [
            (OrderType.STOP_LIMIT, self._at(-3, side), self._at(Decimal("-3.1"), side), None),
            (OrderType.TAKE_PROFIT_LIMIT, self._at(3, side), self._at(Decimal("2.9"), side), None),
            (OrderType.TRAILING_STOP, None, None, Decimal(2)),
        ]
        for type_, trigger, price, trail in rest:
            quantity = half if type_ not in self.can.whole_position else await self._position()
            order = await self.place(away, type_, quantity, trigger=trigger, price=price, trail=trail, reduce_only=True)
            yield
            await self.cancel(order)
            yield

    async def _position(self) -> Decimal:
        """How much of the symbol the account holds, whoever traded it."""
        request = SnapshotRequest(scope=Scope.SYMBOLS, symbols=(self.symbol,))
        positions = (await self.venue.snapshot(request)).positions
        return sum((abs(position.quantity) for position in positions if position.symbol == self.symbol), Decimal(0))

    # --- single actions -------------------------------------------------------------------------------------------

    async def place(
        self,
        side: Side,
        type_: OrderType,
        quantity: Decimal,
        *,
        price: Decimal | None = None,
        trigger: Decimal | None = None,
        trail: Decimal | None = None,
        tif: TimeInForce = TimeInForce.GTC,
        post_only: bool = False,
        reduce_only: bool = False,
    ) -> Order | None:
        """Place an order; `None` where the venue will not have it or does not know the type."""
        if type_ not in self.can.order_types or (post_only and not self.can.post_only):
            return None
        terms = Terms(
            symbol=self.symbol,
            side=side,
            type=type_,
            quantity=quantity,
            price=price,
            trigger_price=trigger,
            trail_percent=trail,
            time_in_force=tif,
            post_only=post_only,
            reduce_only=reduce_only and self.can.reduce_only,
        )
        return await self._placed(terms)

    async def _placed(self, terms: Terms) -> Order | None:
        self._count += 1
        order = NewOrder(client_id=f"{self.name}-{self._count}", terms=terms)
        ref = OrderRef(symbol=terms.symbol, type=terms.type, client_id=order.client_id)
        for attempt in range(PATIENCE):
            outcome = await self.venue.place(order)
            found = await self._made_sure(outcome, ref, attempt)
            if found is not None:
                self._orders[order.client_id] = found
                self.did.update(_sorts_of(terms))
                return found
            if isinstance(outcome, Rejected) and not outcome.reason.is_transient:
                self.did["refused"] += 1
                return None
        return None

    async def _made_sure(self, outcome: Outcome, ref: OrderRef, attempt: int) -> Order | None:
        """The order, if the venue has it."""
        match outcome:
            case Accepted(order=order) if order is not None:
                return order
            case Accepted() | Unknown():
                for _ in range(PATIENCE):
                    try:
                        snapshot = await self.venue.snapshot(SnapshotRequest(scope=Scope.ORDERS, look_up=(ref,)))
                    except CopydeskError:
                        await asyncio.sleep(0.3)
                        continue
                    for order in snapshot.orders:
                        if order.client_id == ref.client_id:
                            return order
                    if ref.client_id in snapshot.absent and attempt:
                        return None
                    await asyncio.sleep(0.3)
            case Rejected(retry_after_ms=wait_ms):
                await asyncio.sleep(max(wait_ms / 1000, 0.2))
        return None

    async def move(
        self,
        order: Order | None,
        *,
        price: Decimal | None = None,
        trigger: Decimal | None = None,
        quantity: Decimal | None = None,
    ) -> Order | None:
        """Drag an order: amended where the venue can, else cancelled and placed again, as a venue's own screen does."""
        if order is None:
            return None
        self.did["amend"] += 1
        terms = msgspec.structs.replace(
            order.terms,
            price=price or order.terms.price,
            trigger_price=trigger or order.terms.trigger_price,
            quantity=quantity or order.terms.quantity,
        )
        if terms.type not in self.can.amend or (trigger and self.can.amend_price_and_quantity_only):
            await self.cancel(order)
            return await self._placed(terms)
        self.changed_ms[order.venue_id] = int(time.time() * 1000)
        for _ in range(PATIENCE):
            outcome = await self.venue.modify(OrderChange(ref=_ref(order), terms=terms))
            if not isinstance(outcome, Rejected) or not outcome.reason.is_transient:
                break
            await asyncio.sleep(0.2)
        return msgspec.structs.replace(order, terms=terms)

    async def cancel(self, order: Order | None) -> None:
        """Cancel, until the venue says that it is done or that there is no such order."""
        if order is None:
            return
        self.did["cancel"] += 1
        for _ in range(PATIENCE):
            outcome = await self.venue.cancel(_ref(order))
            if isinstance(outcome, Accepted) or (isinstance(outcome, Rejected) and not outcome.reason.is_transient):
                return
            await asyncio.sleep(0.2)

    async def close_all(self) -> None:
        """Cancel every order of the script and close what it holds, until the venue shows that nothing is left of it."""
        for _ in range(PATIENCE):
            try:
                working = await self._look_at_own()
                if not working and not self._held:
                    return
                for order in working:
                    await self.cancel(order)
                if not working:
                    await self._close()
            except CopydeskError:
                await asyncio.sleep(0.3)

    async def _look_at_own(self) -> list[Order]:
        """The script's orders that work, as the venue has them; what ended goes into what the script holds."""
        refs = tuple(_ref(order) for order in self._orders.values())
        if not refs:
            return []
        snapshot = await self.venue.snapshot(SnapshotRequest(scope=Scope.ORDERS, symbols=(self.symbol,), look_up=refs))
        for order in snapshot.orders:
            if order.client_id not in self._orders:
                continue
            if order.is_working:
                self._orders[order.client_id] = order
            else:
                del self._orders[order.client_id]
                self._held += order.terms.side.sign * order.filled
        for client_id in snapshot.absent:
            self._orders.pop(client_id, None)
        return list(self._orders.values())

    async def _close(self) -> None:
        """Trade away what the script holds; reduce-only where the whole account holds it too."""
        snapshot = await self.venue.snapshot(SnapshotRequest(scope=Scope.SYMBOLS, symbols=(self.symbol,)))
        position = sum((p.quantity for p in snapshot.positions if p.symbol == self.symbol), Decimal(0))
        side = Side.SELL if self._held > 0 else Side.BUY
        if not self.can.shorts:
            self._held = min(self._held, floor_to(position, self.instrument.quantity_step))  # fees took a part of it
            if not self._can_sell(self._held):
                self._held = Decimal(0)
                return
        reduces = position * self._held > 0 and abs(position) >= abs(self._held)
        await self.place(side, OrderType.MARKET, abs(self._held), reduce_only=reduces)

    def _can_sell(self, quantity: Decimal) -> bool:
        """Whether it is more than dust."""
        return quantity >= self.instrument.min_quantity and quantity * self.price >= self.instrument.min_notional

    # --- sizes and prices -------------------------------------------------------------------------------------------

    def _size(self, share: Decimal = Decimal(1)) -> Decimal:
        """`share` of the usual size, in whole pairs of steps, so that half of it can be had."""
        step = self.instrument.quantity_step * 4
        value = self.price * self.instrument.contract_size
        return max(step, floor_to(self.notional / value, step)) * share

    def _at(self, percent: Decimal | int, side: Side) -> Decimal:
        """A price `percent` away, upwards for a buyer and downwards for a seller."""
        return ceil_to(self.price * (1 + side.sign * self.reach * Decimal(percent) / 100), self.instrument.price_tick)


def _ref(order: Order) -> OrderRef:
    return OrderRef(symbol=order.terms.symbol, type=order.terms.type, client_id=order.client_id, venue_id=order.venue_id)


def _sorts_of(terms: Terms) -> list[str]:
    """The order's type, and what else is special about it."""
    sorts = {
        "ioc": terms.time_in_force is TimeInForce.IOC,
        "fok": terms.time_in_force is TimeInForce.FOK,
        "post-only": terms.post_only,
        "reduce-only": terms.reduce_only,
    }
    return [str(terms.type), *(name for name, is_so in sorts.items() if is_so)]
