"""What an account has of each asset, told as positions and as a balance. Pure.

Spot knows no positions. What the account has of a pair's base asset, free and locked, is told as the position of every
pair of that asset that is in use; where none is, of the pair that its worth is known by. The engine takes what was there
before a bot began as its baseline. There is no entry price at the venue: the price of now stands for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from copydesk.model import ZERO, Balance, Instrument, Position

from copydesk_binance.spot.translate import Wallet

CURRENCIES = ("USDT", "USDC", "FDUSD", "TUSD", "BUSD", "EUR", "TRY", "BRL", "JPY")
"""In which currency an account is told: the first of these that it has, or the first."""


class Holdings:
    """The wallets of one account, kept up to date by its stream. `prices` are the last ones, by pair."""

    def __init__(self) -> None:
        self.wallets: dict[str, Wallet] = {}
        self.prices: dict[str, Decimal] = {}
        self.currency = CURRENCIES[0]
        self._told: set[str] = set()

    def take(self, wallets: Iterable[Wallet]) -> None:
        """Take over all wallets as a read told them."""
        self.wallets = {wallet.asset: wallet for wallet in wallets}
        self.currency = next((one for one in CURRENCIES if self._total(one)), CURRENCIES[0])

    def change(self, wallets: Iterable[Wallet]) -> None:
        """Take over those that may have changed."""
        for wallet in wallets:
            self.wallets[wallet.asset] = wallet

    @property
    def totals(self) -> dict[str, Decimal]:
        """Of each asset, free and bound together."""
        return {asset: wallet.total for asset, wallet in self.wallets.items()}

    def _total(self, asset: str) -> Decimal:
        wallet = self.wallets.get(asset)
        return wallet.total if wallet is not None else ZERO

    # --- positions ---

    def positions(self, instruments: Mapping[str, Instrument], active: Iterable[str]) -> list[Position]:
        """All positions as they are: of the pairs in `active`, and of one pair of each other asset."""
        homes = home_pairs(instruments, self.currency)
        symbols = {symbol: None for symbol in active if symbol in instruments and self._counts(instruments[symbol])}
        bases = {instruments[symbol].base for symbol in symbols}
        for asset, wallet in self.wallets.items():
            if wallet.total and asset not in bases and asset != self.currency and asset in homes:
                symbols[homes[asset]] = None
        held = [self._position(instruments[symbol]) for symbol in sorted(symbols)]
        held = [position for position in held if position.quantity]
        self._told = {position.symbol for position in held}
        return held

    def changed(self, instruments: Mapping[str, Instrument], active: Iterable[str], assets: set[str]) -> list[Position]:
        """The positions that the assets' change touches, with quantity zero where nothing is left."""
        before = set(self._told)
        now = {position.symbol: position for position in self.positions(instruments, active)}
        touched = [symbol for symbol in before | now.keys() if instruments[symbol].base in assets]
        return [now.get(symbol) or self._position(instruments[symbol]) for symbol in sorted(touched)]

    def _counts(self, instrument: Instrument) -> bool:
        """The currency in which the account is told is no position, even where it is the base of a pair."""
        return instrument.base != self.currency

    def _position(self, instrument: Instrument) -> Position:
        price = self.prices.get(instrument.symbol, ZERO)
        quantity = self._total(instrument.base)
        return Position(symbol=instrument.symbol, quantity=quantity, entry_price=price, mark_price=price)

    # --- money ---

    def balance(self, instruments: Mapping[str, Instrument], time_ms: int) -> Balance:
        """Equity counts every asset that has a price in the account's currency."""
        cash = self._total(self.currency)
        wallet = self.wallets.get(self.currency)
        worth = sum((self._worth(instruments, asset, one.total) for asset, one in self.wallets.items()), ZERO)
        return Balance(
            currency=self.currency,
            equity=cash + worth,
            cash=cash,
            available=wallet.free if wallet is not None else ZERO,
            time_ms=time_ms,
        )

    def _worth(self, instruments: Mapping[str, Instrument], asset: str, quantity: Decimal) -> Decimal:
        if asset == self.currency or not quantity:
            return ZERO
        direct, other_way = self.prices.get(f"{asset}{self.currency}"), self.prices.get(f"{self.currency}{asset}")
        if direct:
            return quantity * direct
        return quantity / other_way if other_way else ZERO


_QUOTES = {quote: number for number, quote in enumerate((*CURRENCIES, "BTC", "ETH", "BNB"), start=1)}


def quote_rank(quote: str, currency: str) -> int:
    """How likely an asset is traded against `quote`, or told by it; the account's own currency comes first."""
    return 0 if quote == currency else _QUOTES.get(quote, len(_QUOTES) + 1)


def home_pairs(instruments: Mapping[str, Instrument], currency: str) -> dict[str, str]:
    """The pair by which each base asset is told: quoted in the account's currency, or in the next best."""
    homes: dict[str, tuple[int, str]] = {}
    for symbol, instrument in instruments.items():
        place = (quote_rank(instrument.quote, currency), symbol)
        if instrument.base not in homes or place < homes[instrument.base]:
            homes[instrument.base] = place
    return {asset: symbol for asset, (_, symbol) in homes.items()}
