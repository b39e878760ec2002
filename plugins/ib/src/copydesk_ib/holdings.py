"""The positions of a login's accounts, and whether the executions that it was told of explain them."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from copydesk.model import Position, PositionEvent, Record

from copydesk_ib.contracts import COMBO, Listing
from copydesk_ib.link import TIMING

if TYPE_CHECKING:
    from copydesk_ib.login import Login

ZERO = Decimal(0)
Key = tuple[str, str]
"""An account and a symbol."""


class Held(Record):
    """A position as TWS told it last. `cost` is per unit, the multiplier included."""

    listed: Listing
    quantity: Decimal
    cost: Decimal


class Holdings:
    """See the module. `reading` has the positions of a list that is being read, None where none is."""

    def __init__(self, login: Login) -> None:
        self.reading: set[Key] | None = None
        self._login = login
        self._held: dict[Key, Held] = {}
        self._reckoned: dict[Key, Decimal] = {}

    def quantity(self, account: str, symbol: str) -> Decimal:
        held = self._held.get((account, symbol))
        return held.quantity if held is not None else ZERO

    def of(self, account: str) -> list[Position]:
        """The positions of an account."""
        return [self._told(name, held) for (name, _), held in self._held.items() if name == account]

    def take(self, account: str, held: Held) -> None:
        """A position, as TWS tells it; zero where it is gone."""
        key = (account, held.listed.symbol)
        if self.reading is not None:
            self.reading.add(key)
        before = self._held.get(key)
        if held.quantity:
            self._held[key] = held
        else:
            self._held.pop(key, None)
        if before == held or (before is None and not held.quantity) or self._login.quiet:
            return
        self._login.fills.after(account, PositionEvent(position=self._told(account, held)))
        if self._reckoned.get(key, ZERO) != held.quantity:
            asyncio.get_running_loop().call_later(TIMING.reckon, self._reckon, key)

    def read(self) -> None:
        """A list was read to its end: what it does not have is gone."""
        seen, self.reading = self.reading or set(), None
        for account, symbol in [key for key in self._held if key not in seen]:
            listed = self._held[account, symbol].listed
            self.take(account, Held(listed=listed, quantity=ZERO, cost=ZERO))

    def executed(self, listed: Listing, told: Any) -> None:
        """An execution: the position that it makes is expected. A combination's is that of its legs."""
        if listed.security != COMBO:
            key = (told.acctNumber, listed.symbol)
            self._reckoned[key] = self._reckoned.get(key, ZERO) + (told.shares if told.side == "BOT" else -told.shares)

    def begin(self) -> None:
        """What is held now is where reckoning begins."""
        self._reckoned = {key: held.quantity for key, held in self._held.items()}

    def _reckon(self, key: Key) -> None:
        """A position that no execution explains: somebody traded, and this login was not told."""
        quantity = self.quantity(*key)
        if self._login.up and self._reckoned.get(key, ZERO) != quantity:
            self._reckoned[key] = quantity
            self._login.doubt()

    def _told(self, account: str, held: Held) -> Position:
        quote = self._login.quotes.known(held.listed.symbol)
        entry = held.cost / held.listed.size
        mark = quote.last if quote is not None else ZERO
        return Position(
            account=account,
            symbol=held.listed.symbol,
            quantity=held.quantity,
            entry_price=entry,
            mark_price=mark,
            unrealised=(mark - entry) * held.quantity * held.listed.size if mark else ZERO,
        )
