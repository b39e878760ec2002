"""An account: its wallet, its positions, and the margin that they bind."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from copydesk.model import ZERO, Balance, Contract, Fill, Instrument, Position, PositionSide, Side

from copydesk_paper.contracts import entry_price, notional, tidy, to_cents, worth
from copydesk_paper.orders import WorkingOrder

DEFAULT_LEVERAGE = 20
MAINTENANCE_RATE = Decimal("0.004")
"""Maintenance margin as a share of the position's worth: Binance's first bracket of BTCUSDT."""
KEPT_ORDERS = 5_000
KEPT_FILLS = 20_000

Key = tuple[str, PositionSide]
Marks = Callable[[str], Decimal]


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


@dataclass(frozen=True, slots=True)
class Pool:
    """The margin of one settle currency: `isolated` is bound apart and does not carry the rest."""

    wallet: Decimal
    unrealised: Decimal
    cross_unrealised: Decimal
    initial: Decimal
    maintenance: Decimal
    isolated: Decimal

    @property
    def equity(self) -> Decimal:
        return self.wallet + self.unrealised

    @property
    def cross_equity(self) -> Decimal:
        """What cross positions can lose before they are closed."""
        return self.wallet - self.isolated + self.cross_unrealised

    @property
    def available(self) -> Decimal:
        return max(ZERO, self.cross_equity - self.initial)


class Account:
    """One account. Everything is kept per settle asset in `wallets`; `currency` is the one it reports in."""

    def __init__(self, name: str, currency: str, cash: Decimal, *, hedge_mode: bool) -> None:
        self.name = name
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
        return realised

    def _move(self, asset: str, amount: Decimal) -> None:
        self.wallets[asset] = self.wallets.get(asset, ZERO) + amount


class Margin:
    """Looks at accounts with the instruments and mark prices of the exchange. Changes nothing."""

    def __init__(self, instruments: Mapping[str, Instrument], mark: Marks) -> None:
        self._instruments = instruments
        self._mark = mark

    def pool(self, account: Account, asset: str, extra: WorkingOrder | None = None) -> Pool:
        """The margin in one settle currency; `extra` is an order counted in as if it were working."""
        unrealised = cross = initial = maintenance = isolated = ZERO
        for symbol in self._derivatives(account, asset, extra):
            instrument, leverage = self._instruments[symbol], account.leverage(symbol)
            mark = self._mark(symbol)
            for side in PositionSide:
                holding = account.holdings.get((symbol, side))
                needed = self._exposure(account, symbol, side, extra) / leverage
                if holding is None:
                    initial += needed
                    continue
                profit = worth(instrument, holding.quantity, mark) - holding.cost
                unrealised += profit
                if symbol in account.isolated:
                    bound = abs(holding.cost) / leverage
                    isolated += bound
                    initial += max(ZERO, needed - notional(instrument, holding.quantity, mark) / leverage)
                else:
                    cross += profit
                    initial += needed
                    maintenance += notional(instrument, holding.quantity, mark) * MAINTENANCE_RATE
        wallet = account.wallets.get(asset, ZERO) - self._locked_in_spot(account, asset, extra)
        return Pool(wallet, unrealised, cross, to_cents(initial), to_cents(maintenance), to_cents(isolated))

    def _derivatives(self, account: Account, asset: str, extra: WorkingOrder | None) -> list[str]:
        symbols = dict.fromkeys(symbol for symbol, _ in account.holdings)
        symbols.update(dict.fromkeys(order.symbol for order in account.working.values()))
        if extra is not None:
            symbols[extra.symbol] = None
        return [s for s in symbols if (i := self._instruments[s]).contract is not Contract.SPOT and i.settle == asset]

    def _exposure(self, account: Account, symbol: str, side: PositionSide, extra: WorkingOrder | None) -> Decimal:
        """The larger of what is held if all buys fill and if all sells fill, as Binance computes initial margin."""
        instrument, mark = self._instruments[symbol], self._mark(symbol)
        holding = account.holdings.get((symbol, side))
        held = ZERO
        if holding is not None:
            held = notional(instrument, holding.quantity, mark) * (1 if holding.quantity > 0 else -1)
        buys = sells = ZERO
        orders = [order for order in account.working.values() if order is not extra]
        for order in [*orders, extra] if extra is not None else orders:
            terms = order.terms
            if terms.symbol != symbol or terms.position_side is not side or order.is_dormant or order.reduces:
                continue
            size = notional(instrument, order.remaining, terms.price or mark)
            if terms.side is Side.BUY:
                buys += size
            else:
                sells += size
        if side is PositionSide.LONG:
            return held + buys
        if side is PositionSide.SHORT:
            return sells - held
        return max(abs(held + buys), abs(held - sells))

    def _locked_in_spot(self, account: Account, asset: str, extra: WorkingOrder | None) -> Decimal:
        locked = ZERO
        orders = [order for order in account.working.values() if order is not extra]
        for order in [*orders, extra] if extra is not None else orders:
            instrument = self._instruments[order.symbol]
            if instrument.contract is not Contract.SPOT or order.is_dormant:
                continue
            if order.side is Side.BUY and instrument.quote == asset:
                locked += notional(instrument, order.remaining, order.terms.price or self._mark(order.symbol))
            elif order.side is Side.SELL and instrument.base == asset:
                locked += order.remaining
        return locked

    def bound(self, account: Account, symbol: str) -> Decimal:
        """The initial margin that is bound now in the settle currency of `symbol`."""
        return self.pool(account, self._instruments[symbol].settle).initial

    def affords(self, account: Account, order: WorkingOrder, bound_before: Decimal) -> bool:
        """True where the account can carry this order too, or where no more is bound with it than before.

        The order itself counts once, whether it is working already or not.
        """
        instrument = self._instruments[order.symbol]
        if instrument.contract is Contract.SPOT:
            asset = instrument.quote if order.side is Side.BUY else instrument.base
            return self.pool(account, asset, order).wallet >= 0
        after = self.pool(account, instrument.settle, order)
        return after.cross_equity >= after.initial or after.initial <= bound_before

    def balance(self, account: Account, time_ms: int) -> Balance:
        """The account in its currency; spot holdings count in equity at the mark price."""
        pool = self.pool(account, account.currency)
        cash = account.wallets.get(account.currency, ZERO)
        stock = ZERO
        for (symbol, _), holding in account.holdings.items():
            instrument = self._instruments[symbol]
            if instrument.contract is Contract.SPOT and instrument.quote == account.currency:
                stock += worth(instrument, holding.quantity, self._mark(symbol))
        equity = cash + pool.unrealised + stock
        return Balance(
            account=account.name,
            currency=account.currency,
            equity=equity,
            cash=cash,
            available=pool.available,
            time_ms=time_ms,
        )

    def position(self, account: Account, key: Key) -> Position:
        """The position as it is now; quantity zero once it is gone."""
        symbol, side = key
        instrument, mark = self._instruments[symbol], self._mark(symbol)
        holding = account.holdings.get(key) or Holding()
        return Position(
            account=account.name,
            symbol=symbol,
            position_side=side,
            quantity=holding.quantity,
            entry_price=entry_price(instrument, holding.quantity, holding.cost),
            mark_price=mark,
            unrealised=worth(instrument, holding.quantity, mark) - holding.cost if holding.quantity else ZERO,
            leverage=Decimal(account.leverage(symbol)) if instrument.contract is not Contract.SPOT else ZERO,
            liquidation_price=self._liquidation_price(account, key, holding, mark),
        )

    def _liquidation_price(self, account: Account, key: Key, holding: Holding, mark: Decimal) -> Decimal:
        """The mark price at which equity meets maintenance margin, all else unchanged; zero where there is none."""
        symbol = key[0]
        instrument = self._instruments[symbol]
        if not holding.quantity or instrument.contract is Contract.SPOT:
            return ZERO
        size = holding.quantity * instrument.contract_size
        if symbol in account.isolated:
            carried = abs(holding.cost) / account.leverage(symbol)
        else:
            pool = self.pool(account, instrument.settle)
            own = worth(instrument, holding.quantity, mark) - holding.cost
            own_maintenance = notional(instrument, holding.quantity, mark) * MAINTENANCE_RATE
            carried = pool.cross_equity - own - (pool.maintenance - own_maintenance)
        if instrument.contract is Contract.INVERSE:
            below = carried - holding.cost
            price = (size + abs(size) * MAINTENANCE_RATE) / below if below else ZERO
        else:
            price = (holding.cost - carried) / (size - abs(size) * MAINTENANCE_RATE)
        return max(ZERO, tidy(price))

    def is_exhausted(self, account: Account, symbol: str) -> bool:
        """True where the positions on `symbol` must be liquidated at the present mark price."""
        mark = self._mark(symbol)
        safe = account.safe.get(symbol)
        if safe is not None and safe[0] <= mark <= safe[1]:
            return False
        instrument = self._instruments[symbol]
        held = [account.holdings[k] for side in PositionSide if (k := (symbol, side)) in account.holdings]
        if not held or instrument.contract is Contract.SPOT:
            return False
        size = sum((notional(instrument, holding.quantity, mark) for holding in held), ZERO)
        if symbol in account.isolated:
            profit = sum((worth(instrument, h.quantity, mark) - h.cost for h in held), ZERO)
            bound = sum((abs(h.cost) for h in held), ZERO) / account.leverage(symbol)
            slack = bound + profit - size * MAINTENANCE_RATE
        else:
            pool = self.pool(account, instrument.settle)
            slack = pool.cross_equity - pool.maintenance
        if slack <= 0 or not size:
            return slack <= 0
        room = mark * min(slack / (2 * len(account.holdings) * size), Decimal("0.25"))
        account.safe[symbol] = (mark - room, mark + room)
        return False
