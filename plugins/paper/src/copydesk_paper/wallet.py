"""An account: its wallets and its positions."""

from __future__ import annotations

from collections import deque
from decimal import Decimal

from copydesk.model import ZERO, Contract, Fill, Instrument, PositionSide, Side

from copydesk_paper.contracts import to_cents, worth
from copydesk_paper.orders import WorkingOrder

DEFAULT_LEVERAGE = 20
KEPT_ORDERS = 5_000
KEPT_FILLS = 20_000

Key = tuple[str, PositionSide]
"""Symbol and side: what a position is known by."""


class Holding:
    """A position: signed quantity, and what it cost in the settle currency (`worth` at its entry prices)."""

    __slots__ = ("cost", "quantity")

    def __init__(self) -> None:
        self.quantity = ZERO
        self.cost = ZERO

    def trade(self, instrument: Instrument, quantity: Decimal, price: Decimal) -> Decimal:
        """Add a signed quantity at a price. Returns the realised profit of the part that closed."""
        closing = ZERO
        if self.quantity and (self.quantity > 0) != (quantity > 0):
            closing = min(abs(quantity), abs(self.quantity)) * (1 if self.quantity > 0 else -1)
        realised = ZERO
        if closing:
            share = self.cost if closing == self.quantity else to_cents(self.cost * closing / self.quantity)
            realised = worth(instrument, closing, price) - share
            self.cost -= share
            self.quantity -= closing
        opening = quantity + closing
        if opening:
            self.cost += worth(instrument, opening, price)
            self.quantity += opening
        return realised


class Account:
    """One account. Everything is kept per settle asset in `wallets`; `currency` is the one it reports in.

    `holders`, shared by all accounts: who holds something of a symbol, by name.
    """

    def __init__(self, name: str, currency: str, cash: Decimal, holders: Holders, *, hedge_mode: bool) -> None:
        self.name = name
        self._holders = holders
        self.currency = currency
        self.hedge_mode = hedge_mode
        self.wallets: dict[str, Decimal] = {currency: cash}
        self.holdings: dict[Key, Holding] = {}
        self.leverages: dict[str, int] = {}
        self.isolated: set[str] = set()
        self.working: dict[int, WorkingOrder] = {}
        self.ended: deque[WorkingOrder] = deque(maxlen=KEPT_ORDERS)
        self.fills: deque[Fill] = deque(maxlen=KEPT_FILLS)
        self.safe: dict[str, tuple[Decimal, Decimal]] = {}
        """Mark prices between which a look at the margin cannot find a liquidation; emptied by every change."""

    def holding(self, symbol: str, position_side: PositionSide) -> Decimal:
        held = self.holdings.get((symbol, position_side))
        return held.quantity if held else ZERO

    def is_safe(self, symbol: str, mark: Decimal) -> bool:
        """Whether it is known already that this mark price does not liquidate the account."""
        safe = self.safe.get(symbol)
        return safe is not None and safe[0] <= mark <= safe[1]

    def leverage(self, symbol: str) -> int:
        return self.leverages.get(symbol, DEFAULT_LEVERAGE)

    def closable(self, symbol: str, position_side: PositionSide, side: Side) -> Decimal:
        """How much an order of this side can reduce."""
        held = self.holding(symbol, position_side)
        return abs(held) if held and (held > 0) == (side is Side.SELL) else ZERO

    def working_on(self, symbol: str) -> list[WorkingOrder]:
        return [order for order in self.working.values() if order.symbol == symbol]

    def trade(
        self, instrument: Instrument, order: WorkingOrder, quantity: Decimal, price: Decimal, fee: Decimal
    ) -> Decimal:
        """Book one execution: position, profit, fee. Returns the realised profit."""
        self.safe.clear()
        signed = quantity * order.side.sign
        key = (order.symbol, order.terms.position_side)
        holding = self.holdings.setdefault(key, Holding())
        if instrument.contract is Contract.SPOT:
            bought = signed - fee if order.side is Side.BUY else signed
            self._move(instrument.base, bought)
            self._move(instrument.quote, -worth(instrument, signed, price) - (fee if order.side is Side.SELL else ZERO))
            realised = holding.trade(instrument, bought, price)
        else:
            realised = holding.trade(instrument, signed, price)
            self._move(instrument.settle, realised - fee)
        if not holding.quantity:
            del self.holdings[key]
        self._note_holder(order.symbol)
        return realised

    def _note_holder(self, symbol: str) -> None:
        if any((symbol, side) in self.holdings for side in PositionSide):
            self._holders.setdefault(symbol, {})[self.name] = self
        elif symbol in self._holders:
            self._holders[symbol].pop(self.name, None)

    def _move(self, asset: str, amount: Decimal) -> None:
        self.wallets[asset] = self.wallets.get(asset, ZERO) + amount


Holders = dict[str, dict[str, Account]]
