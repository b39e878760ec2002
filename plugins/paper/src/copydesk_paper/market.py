"""The market that an exchange stands in: the shipped synthetic one, or a real recording, replayed again and again."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any, Protocol

from copydesk.errors import UsageError
from copydesk.model import Instrument

from copydesk_paper import synthetic
from copydesk_paper.exchange import Exchange
from copydesk_paper.recording import Recording
from copydesk_paper.records import MarketDepth
from copydesk_paper.synthetic import CHARACTERS, Character, Timed

BRIDGE_STEPS, BRIDGE_STEP_MS = 20, 100
"""A recording starts over in this many small moves from its last price to its first."""
BATCH = 50
"""Events that are applied in one go at most before others get their turn."""


class Market(ABC):
    """Instruments, a first book for each, and what happens then. One market drives one exchange.

    `raw_exchange_info` is the exchangeInfo answer as it was recorded; None for the synthetic market.
    """

    def __init__(self, instruments: tuple[Instrument, ...], raw_exchange_info: dict[str, Any] | None) -> None:
        self.instruments = instruments
        self.raw_exchange_info = raw_exchange_info

    @abstractmethod
    def books(self) -> list[MarketDepth]:
        """The first book of every symbol."""

    @abstractmethod
    def stream(self, exchange: Exchange) -> Iterator[Timed]:
        """What happens, without end."""

    def prime(self, exchange: Exchange) -> None:
        """Give every symbol its book, a last price and a past of a day (which is synthetic for real recordings too)."""
        now = exchange.now_ms()
        for depth in self.books():
            instrument = exchange.instruments[depth.symbol]
            prices = depth.bids or depth.asks
            if prices:
                bars = synthetic.history(depth.symbol, instrument.price_tick, prices[0][0], now)
                exchange.seed_candles(depth.symbol, bars)
            exchange.apply(depth)

    async def run(self, exchange: Exchange, *, speed: Decimal = Decimal(1)) -> None:
        """Bring the market to the exchange in its own time, `speed` times as fast, until cancelled."""
        loop = asyncio.get_running_loop()
        due, applied = loop.time(), 0
        for delay_ms, event in self.stream(exchange):
            due += delay_ms / 1000 / float(speed)
            late = loop.time() - due
            if late > 1:
                due += late  # a stopped or slow machine does not race through what it missed
            if late < 0 or applied >= BATCH:
                await asyncio.sleep(max(0.0, -late))
                applied = 0
            applied += 1
            exchange.apply(event)


class SyntheticMarket(Market):
    """Walks of the instruments of `characters`: a venue has its own, with its own order rules."""

    def __init__(self, characters: Sequence[Character] = CHARACTERS, seed: int = synthetic.SEED) -> None:
        super().__init__(tuple(character.instrument for character in characters), None)
        self._walkers = [synthetic.Walker(character, seed) for character in characters]

    def books(self) -> list[MarketDepth]:
        return [walker.depth() for walker in self._walkers]

    def stream(self, exchange: Exchange) -> Iterator[Timed]:
        return synthetic.stream(self._walkers)


class Recorded(Protocol):
    """What a venue's own reader makes of a recording: a first book of each instrument, then what happened.

    `exchange_info` is what the venue said of its instruments, as it was recorded.
    """

    @property
    def instruments(self) -> tuple[Instrument, ...]: ...
    @property
    def snapshots(self) -> Mapping[str, MarketDepth]: ...
    @property
    def events(self) -> Sequence[Timed]: ...
    @property
    def exchange_info(self) -> dict[str, Any]: ...


class RecordedMarket(Market):
    """Replays a recording again and again."""

    def __init__(self, recording: Recorded) -> None:
        self._recording = recording
        super().__init__(recording.instruments, recording.exchange_info)

    def books(self) -> list[MarketDepth]:
        return [self._recording.snapshots[instrument.symbol] for instrument in self.instruments]

    def stream(self, exchange: Exchange) -> Iterator[Timed]:
        while True:
            for delay_ms, event in self._recording.events:
                if event.symbol in exchange.instruments:
                    yield delay_ms, event
            yield from self._bridge(exchange)

    def _bridge(self, exchange: Exchange) -> Iterator[Timed]:
        """Lead every book from where it is back to where the recording begins, in steps of whole ticks."""
        distances = {depth.symbol: self._distance(exchange, depth) for depth in self.books()}
        for step in range(1, BRIDGE_STEPS + 1):
            left = Decimal(BRIDGE_STEPS - step) / BRIDGE_STEPS
            for index, depth in enumerate(self.books()):
                tick = exchange.instruments[depth.symbol].price_tick
                yield 0 if index else BRIDGE_STEP_MS, _shifted(depth, distances[depth.symbol] * left, tick)

    @staticmethod
    def _distance(exchange: Exchange, first: MarketDepth) -> Decimal:
        if not first.bids or not first.asks:
            return Decimal(0)
        return exchange.quote(first.symbol).mark - (first.bids[0][0] + first.asks[0][0]) / 2


def _shifted(depth: MarketDepth, distance: Decimal, tick: Decimal) -> MarketDepth:
    offset = (distance / tick).to_integral_value(ROUND_HALF_UP) * tick

    def moved(levels: tuple[tuple[Decimal, Decimal], ...]) -> tuple[tuple[Decimal, Decimal], ...]:
        return tuple((price + offset, quantity) for price, quantity in levels if price + offset > 0)

    return MarketDepth(symbol=depth.symbol, bids=moved(depth.bids), asks=moved(depth.asks), snapshot=True)


def open_market(
    path: str = "", *, characters: Sequence[Character] = CHARACTERS, read: Callable[[Path], Recorded] = Recording
) -> Market:
    """The recording at `path`, as `read` reads it; without a path the synthetic market of `characters`.

    Raises `UsageError` for a file of no use.
    """
    if not path:
        return SyntheticMarket(characters)
    file = Path(path).expanduser()
    if not file.is_file():
        raise UsageError(f"market recording {file} is not there: name a file, or none for the shipped market")
    return RecordedMarket(read(file))
