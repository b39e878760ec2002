"""What the rehearsal lists, and a market in which a pair and what is traded on margin in it have the same prices."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from copydesk.model import Contract, Instrument
from copydesk_paper.exchange import Exchange
from copydesk_paper.market import Market
from copydesk_paper.records import MarketDepth
from copydesk_paper.synthetic import Character, Timed
from msgspec.structs import replace

from copydesk_bitfinex.rehearsal.wire import MARGIN_ASSET
from copydesk_bitfinex.symbols import MARGIN_MARK, currencies, is_derivative
from copydesk_bitfinex.translate import AMOUNT_STEP


def instrument_of(symbol: str, tick: Decimal, least: Decimal, most: Decimal, contract: Contract) -> Instrument:
    base, quote = currencies(symbol)
    return Instrument(
        symbol=symbol,
        base=base,
        quote=quote,
        settle=quote,
        contract=Contract.LINEAR if is_derivative(symbol) else contract,
        price_tick=tick,
        quantity_step=AMOUNT_STEP,
        min_quantity=least,
        max_quantity=most,
        market_max_quantity=most,
    )


def _character(symbol: str, tick: str, least: str, start: int, swing: float, size: int, pace: float) -> Character:
    instrument = instrument_of(symbol, Decimal(tick), Decimal(least), Decimal(2000), Contract.SPOT)
    return Character(instrument, Decimal(start), swing, Decimal(size), pace)


CHARACTERS = (
    _character("tBTCF0:USTF0", "1", "0.0001", 60_000, 3.0, 2, 5.0),
    _character("tETHF0:USTF0", "0.1", "0.001", 3_000, 2.0, 30, 4.0),
    _character("tSOLF0:USTF0", "0.01", "0.02", 150, 2.0, 400, 3.0),
    _character("tBTCUST", "1", "0.00004", 60_000, 3.0, 2, 3.0),
    _character("tETHUST", "0.1", "0.0008", 3_000, 2.0, 30, 3.0),
)


class Mirrored(Market):
    """Another market, in which each exchange pair can be traded on margin too. What happens in the pair happens there."""

    def __init__(self, market: Market) -> None:
        twins = [on_margin(one) for one in market.instruments if one.contract is Contract.SPOT]
        self._twins = {twin.symbol.removesuffix(MARGIN_MARK): twin.symbol for twin in twins}
        derivatives = [one for one in market.instruments if one.contract is not Contract.SPOT]
        pairs = [one for one in market.instruments if one.contract is Contract.SPOT]
        super().__init__((*derivatives, *twins, *pairs), market.raw_exchange_info)
        self._market = market

    def books(self) -> list[MarketDepth]:
        books = self._market.books()
        return books + [replace(book, symbol=self._twins[book.symbol]) for book in books if book.symbol in self._twins]

    def stream(self, exchange: Exchange) -> Iterator[Timed]:
        for delay_ms, event in self._market.stream(exchange):
            yield delay_ms, event
            twin = self._twins.get(event.symbol)
            if twin is not None:
                yield 0, replace(event, symbol=twin)


def on_margin(pair: Instrument) -> Instrument:
    """What is traded on margin in a pair: its money is in the margin wallet."""
    return replace(
        pair,
        symbol=f"{pair.symbol}{MARGIN_MARK}",
        contract=Contract.LINEAR,
        settle=f"{MARGIN_ASSET}{pair.quote}",
    )
