"""The margin that an account's positions and orders bind, and what it is worth at the present mark prices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from copydesk.model import ZERO, Balance, Contract, Instrument, Position, PositionSide, Side

from copydesk_paper.contracts import entry_price, notional, tidy, to_cents, worth
from copydesk_paper.orders import WorkingOrder
from copydesk_paper.wallet import Account, Holding, Key

MAINTENANCE_RATE = Decimal("0.004")
"""Maintenance margin as a share of the position's worth: Binance's first bracket of BTCUSDT."""


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


class Margin:
    """Looks at accounts with the instruments and mark prices of the exchange. Changes nothing."""

    def __init__(self, instruments: Mapping[str, Instrument], mark: Callable[[str], Decimal]) -> None:
        self._instruments = instruments
        self._mark = mark

    def pool(self, account: Account, asset: str, extra: WorkingOrder | None = None) -> Pool:
        """The margin in one settle currency; `extra` is an order counted in as if it were working."""
        sizes, locked = self._order_sizes(account, asset, extra)
        unrealised = cross = initial = maintenance = isolated = ZERO
        for key in [*sizes, *(key for key in account.holdings if key not in sizes)]:
            symbol = key[0]
            instrument, leverage = self._instruments[symbol], account.leverage(symbol)
            if instrument.contract is Contract.SPOT or instrument.settle != asset:
                continue
            holding = account.holdings.get(key)
            mark = self._mark(symbol)
            held = ZERO if holding is None else notional(instrument, holding.quantity, mark)
            signed = -held if holding is not None and holding.quantity < 0 else held
            needed = _exposure(key[1], signed, *sizes.get(key, (ZERO, ZERO))) / leverage
            if holding is None:
                initial += needed
                continue
            profit = worth(instrument, holding.quantity, mark) - holding.cost
            unrealised += profit
            if symbol in account.isolated:
                isolated += abs(holding.cost) / leverage
                initial += max(ZERO, needed - held / leverage)
            else:
                cross += profit
                initial += needed
                maintenance += held * MAINTENANCE_RATE
        wallet = account.wallets.get(asset, ZERO) - locked
        return Pool(wallet, unrealised, cross, to_cents(initial), to_cents(maintenance), to_cents(isolated))

    def _order_sizes(
        self, account: Account, asset: str, extra: WorkingOrder | None
    ) -> tuple[dict[Key, tuple[Decimal, Decimal]], Decimal]:
        """What working orders would buy and sell, by position; and how much of `asset` spot orders lock."""
        sizes: dict[Key, tuple[Decimal, Decimal]] = {}
        locked = ZERO
        for order in _with(account.working.values(), extra):
            terms = order.terms
            instrument = self._instruments[terms.symbol]
            if order.is_dormant or order.reduces:
                continue
            spot = instrument.contract is Contract.SPOT
            if spot and order.side is Side.SELL:
                locked += order.remaining if instrument.base == asset else ZERO
                continue
            if instrument.settle != asset:
                continue
            size = notional(instrument, order.remaining, terms.price or self._mark(terms.symbol))
            if spot:
                locked += size
                continue
            key = (terms.symbol, terms.position_side)
            buys, sells = sizes.get(key, (ZERO, ZERO))
            sizes[key] = (buys + size, sells) if order.side is Side.BUY else (buys, sells + size)
        return sizes, locked

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
        if account.is_safe(symbol, mark):
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


def _with(orders: Iterable[WorkingOrder], extra: WorkingOrder | None) -> Iterator[WorkingOrder]:
    """All orders and the extra one, which may be among them, once each."""
    yield from (order for order in orders if order is not extra)
    if extra is not None:
        yield extra


def _exposure(side: PositionSide, held: Decimal, buys: Decimal, sells: Decimal) -> Decimal:
    """The larger of what is held if all buys fill and if all sells fill, as Binance computes initial margin."""
    if side is PositionSide.LONG:
        return held + buys
    if side is PositionSide.SHORT:
        return sells - held
    return max(abs(held + buys), abs(held - sells))
