"""One pass of reads of an account: what all of them keep, and how that becomes a snapshot.

`time_ms` is the venue's time before the first request: each part is at least as new as that.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from decimal import Decimal
from typing import Generic, Protocol, TypeVar

from copydesk.model import Balance, Fill, Order, OrderRef, Position, Scope, Snapshot, SnapshotRequest
from msgspec.structs import replace


class Clock(Protocol):
    def now_ms(self) -> int: ...


class Looking(Protocol):
    """What a session is asked for here."""

    @property
    def venue(self) -> Clock: ...

    async def look_up(self, ref: OrderRef) -> Order | None: ...


AnySession = TypeVar("AnySession", bound=Looking)


class Pass(ABC, Generic[AnySession]):
    """`orders` by the venue's ids; `absent`: the looked-up ones of which the venue says that it has none."""

    def __init__(self, session: AnySession, request: SnapshotRequest) -> None:
        self.session = session
        self.request = request
        self.time_ms = session.venue.now_ms()
        self.orders: dict[str, Order] = {}
        self.absent: list[str] = []

    @abstractmethod
    async def read(self) -> Snapshot:
        """Everything that a snapshot has."""

    @abstractmethod
    async def prices(self, symbols: set[str]) -> dict[str, Decimal]:
        """The last price of each of these that is listed."""

    def keep(self, order: Order) -> None:
        """Of two states of one order the newer one."""
        known = self.orders.get(order.venue_id)
        if known is None or order.updated_ms >= known.updated_ms:
            self.orders[order.venue_id] = order

    async def look_ups(self) -> None:
        for ref in self.request.look_up:
            order = await self.session.look_up(ref)
            if order is None:
                self.absent.append(ref.client_id or ref.venue_id)
            else:
                self.keep_looked_up(order)

    def keep_looked_up(self, order: Order) -> None:
        """It is the newest state that there is, unless a plugin knows better."""
        self.orders[order.venue_id] = order

    async def look_up_only(self) -> Snapshot:
        """The looked-up orders and nothing else."""
        await self.look_ups()
        orders, absent = tuple(self.orders.values()), tuple(self.absent)
        return Snapshot(scope=Scope.ORDERS, time_ms=self.time_ms, orders=orders, absent=absent)

    async def whole(self, positions: Iterable[Position], balance: Balance, fills: Iterable[Fill]) -> Snapshot:
        """What was read, with the prices of all that it speaks of."""
        held = tuple(position for position in positions if position.quantity)
        symbols = {order.terms.symbol for order in self.orders.values()} | {position.symbol for position in held}
        return Snapshot(
            scope=self.request.scope,
            time_ms=self.time_ms,
            orders=tuple(self.orders.values()),
            positions=held,
            balance=replace(balance, time_ms=self.time_ms),
            fills=tuple(fills),
            absent=tuple(self.absent),
            prices=await self.prices(symbols | set(self.request.symbols)),
        )
