"""What accounts hold, as Bybit tells it: positions of either side, and the wallet of a unified account."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal

from copydesk.model import ZERO, Position, PositionSide
from copydesk_paper.exchange import Exchange

from copydesk_bybit.rehearsal import wire
from copydesk_bybit.rehearsal.account import Account, Key, Protection
from copydesk_bybit.rehearsal.listing import Listing, Rules
from copydesk_bybit.rehearsal.wire import Json
from copydesk_bybit.symbols import SPOT

USD_COINS = frozenset({"USD", "USDT", "USDC"})


class Holdings:
    """The rows of positions and wallets. `protection_of`: a position's take profit, stop loss, and trailing distance."""

    def __init__(self, exchange: Exchange, listing: Listing, seq: Iterator[int]) -> None:
        self.exchange = exchange
        self.listing = listing
        self._seq = seq
        self.protection_of: Callable[[Account, Key], tuple[Protection, str]] = lambda account, key: (Protection(), "")

    def held(self, account: Account, key: Key) -> Decimal:
        """The signed position."""
        for position in self.exchange.positions(account.name):
            if (position.symbol, position.position_side) == key:
                return position.quantity
        return ZERO

    def sides(self, account: Account, rules: Rules) -> tuple[PositionSide, ...]:
        if rules.category != SPOT and self.exchange.hedge_mode(account.name):
            return PositionSide.LONG, PositionSide.SHORT
        return (PositionSide.NET,)

    def position(self, account: Account, rules: Rules, side: PositionSide) -> Json:
        """A position as reads tell it, whether there is one or not."""
        key = (rules.symbol, side)
        found = next((one for one in self.exchange.positions(account.name) if (one.symbol, one.position_side) == key), None)
        return self.row(account, rules, found or self._flat(account, rules, side))

    def _flat(self, account: Account, rules: Rules, side: PositionSide) -> Position:
        return Position(
            symbol=rules.symbol,
            position_side=side,
            quantity=ZERO,
            mark_price=self.exchange.quote(rules.symbol).mark,
            leverage=Decimal(self.exchange.leverage(account.name, rules.symbol)),
        )

    def row(self, account: Account, rules: Rules, position: Position) -> Json:
        key = (rules.symbol, position.position_side)
        protection, trailing = self.protection_of(account, key)
        return wire.position_row(
            position,
            rules,
            isolated=account.margin_mode == "ISOLATED_MARGIN",
            protection=protection,
            trailing=trailing,
            earned=(account.earned_now.get(key, ZERO), account.earned.get(key, ZERO)),
            times=(account.opened_ms.get(key, 0), account.moved_ms.get(key, 0)),
            seq=next(self._seq),
        )

    def wallet(self, account: Account, coins: frozenset[str] = frozenset()) -> Json:
        """The unified account; with `coins` only their rows, with the totals of all."""
        rows = []
        for coin, amount in self.exchange.wallets(account.name).items():
            pool = self.exchange.pool(account.name, coin)
            price = self.usd(coin)
            earned = sum((sum_ for key, sum_ in account.earned.items() if self._settles(key, coin)), ZERO)
            rows.append((wire.coin_row(coin, pool, amount, price, earned), pool, amount, price))
        row = wire.wallet_row(rows)
        if coins:
            row["coin"] = [one for one in row["coin"] if one["coin"] in coins]
        return row

    def _settles(self, key: Key, coin: str) -> bool:
        return self.listing.rules(key[0]).instrument.settle == coin

    def usd(self, coin: str) -> Decimal:
        """What a coin is worth in USD here; zero for one that nothing here is traded in."""
        if coin in USD_COINS:
            return Decimal(1)
        for symbol in (f"{coin}USDT", f"{coin}USD", f"{coin}USDT-SPOT", f"{coin}USDC-SPOT"):
            if symbol in self.listing:
                return self.exchange.quote(symbol).mark
        return ZERO
