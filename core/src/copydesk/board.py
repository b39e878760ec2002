"""What is shown of the accounts: working orders, positions, balance and the latest fills, as their venues tell.

For people's eyes only: nothing decides by it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from copydesk.model import (
    AccountEvent,
    Balance,
    BalanceEvent,
    Fill,
    FillEvent,
    Order,
    OrderEvent,
    Position,
    PositionEvent,
    PositionSide,
    Snapshot,
)

FILLS_KEPT = 500
ENDED_KEPT = 200


@dataclass(slots=True)
class AccountBoard:
    """One account. `take` and `read` return what changed as (kind, record) pairs for the stream of events."""

    orders: dict[str, Order] = field(default_factory=dict)
    positions: dict[tuple[str, PositionSide], Position] = field(default_factory=dict)
    balance: Balance | None = None
    fills: deque[Fill] = field(default_factory=lambda: deque(maxlen=FILLS_KEPT))
    seen: dict[str, None] = field(default_factory=dict)  # the latest fills
    ended: dict[str, None] = field(default_factory=dict)  # and the orders that ended last: a snapshot may be older

    def take(self, event: AccountEvent) -> list[tuple[str, Order | Fill | Position | Balance]]:
        match event:
            case OrderEvent(order=order):
                return self._order(order)
            case FillEvent(fill=fill):
                return self._fill(fill)
            case PositionEvent(position=position):
                return self._position(position)
            case BalanceEvent(balance=balance):
                self.balance = balance
                return [("balance", balance)]
        return []

    def read(self, snapshot: Snapshot, *, whole: bool) -> list[tuple[str, Order | Fill | Position | Balance]]:
        """Take a snapshot in. Positions that a `whole` one does not list are gone."""
        changes: list[tuple[str, Order | Fill | Position | Balance]] = []
        for order in snapshot.orders:
            changes += self._order(order)
        for fill in sorted(snapshot.fills, key=lambda fill: fill.time_ms):
            changes += self._fill(fill)
        if not whole:
            return changes
        there = {(position.symbol, position.position_side) for position in snapshot.positions}
        for key in [key for key in self.positions if key not in there]:
            gone = self.positions[key]
            changes += self._position(
                Position(
                    account=gone.account, symbol=gone.symbol, position_side=gone.position_side, quantity=gone.quantity * 0
                )
            )
        for position in snapshot.positions:
            changes += self._position(position)
        if snapshot.balance is not None:
            self.balance = snapshot.balance
            changes.append(("balance", snapshot.balance))
        return changes

    def _order(self, order: Order) -> list[tuple[str, Order | Fill | Position | Balance]]:
        known = self.orders.get(order.venue_id)
        if known == order or (known is not None and order.is_working and order.updated_ms < known.updated_ms):
            return []
        if order.is_working:
            if order.venue_id in self.ended:
                return []  # a snapshot that was read before the order ended
            self.orders[order.venue_id] = order
        else:
            _remember(self.ended, order.venue_id, ENDED_KEPT)
            if self.orders.pop(order.venue_id, None) is None:
                return []
        return [("order", order)]

    def _fill(self, fill: Fill) -> list[tuple[str, Order | Fill | Position | Balance]]:
        identity = f"{fill.symbol}:{fill.execution_id}"
        if identity in self.seen:
            return []
        _remember(self.seen, identity, FILLS_KEPT)
        self.fills.append(fill)
        return [("fill", fill)]

    def _position(self, position: Position) -> list[tuple[str, Order | Fill | Position | Balance]]:
        key = (position.symbol, position.position_side)
        known = self.positions.get(key)
        if known == position or (known is None and not position.quantity):
            return []
        if position.quantity:
            self.positions[key] = position
        else:
            del self.positions[key]
        return [("position", position)]


def _remember(names: dict[str, None], name: str, most: int) -> None:
    names[name] = None
    if len(names) > most:
        del names[next(iter(names))]
