"""The shipped market: a seeded generator, so that every run sees the same prices, books and trades in the same order.

Each symbol's middle is a random walk of whole ticks, pulled gently back to where it began; each step prints a trade and
shows twenty levels on both sides. It imitates no real day; it is lively enough to fill limit orders and to trigger stops
near the price, and calm enough to stay within a few percent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from heapq import heapify, heapreplace
from random import Random

from copydesk.model import Candle, Contract, Instrument

from copydesk_paper.contracts import ceil_to_step
from copydesk_paper.records import MarketDepth, MarketEvent, MarketTrade

SEED = 20_260_101
LEVELS = 20
HISTORY_MINUTES = 1_440
Timed = tuple[int, MarketEvent]
"""Milliseconds since the event before, and the event."""


@dataclass(frozen=True, slots=True)
class Character:
    """How one symbol moves: first price, ticks per step (one standard deviation), quantity per level, steps per second."""

    instrument: Instrument
    start: Decimal
    swing: float
    size: Decimal
    pace: float


def _linear(base: str, tick: str, step: str, largest: str, market_largest: str, least: str) -> Instrument:
    return Instrument(
        symbol=f"{base}USDT",
        base=base,
        quote="USDT",
        settle="USDT",
        contract=Contract.LINEAR,
        price_tick=Decimal(tick),
        quantity_step=Decimal(step),
        min_quantity=Decimal(step),
        max_quantity=Decimal(largest),
        market_max_quantity=Decimal(market_largest),
        min_notional=Decimal(least),
    )


CHARACTERS = (
    Character(_linear("BTC", "0.1", "0.001", "1000", "120", "100"), Decimal("60000.0"), 25.0, Decimal("2"), 5.0),
    Character(_linear("ETH", "0.01", "0.001", "10000", "2000", "20"), Decimal("3000.00"), 18.0, Decimal("30"), 4.0),
    Character(_linear("SOL", "0.01", "0.01", "1000000", "80000", "5"), Decimal("150.00"), 2.0, Decimal("400"), 3.0),
    Character(
        Instrument(
            symbol="BTCUSD_PERP",
            base="BTC",
            quote="USD",
            settle="BTC",
            contract=Contract.INVERSE,
            price_tick=Decimal("0.1"),
            quantity_step=Decimal(1),
            min_quantity=Decimal(1),
            max_quantity=Decimal(1_000_000),
            market_max_quantity=Decimal(60_000),
            contract_size=Decimal(100),
        ),
        Decimal("60000.0"),
        25.0,
        Decimal(900),
        2.0,
    ),
    Character(
        Instrument(
            symbol="BNBUSDT",
            base="BNB",
            quote="USDT",
            settle="USDT",
            contract=Contract.SPOT,
            price_tick=Decimal("0.01"),
            quantity_step=Decimal("0.001"),
            min_quantity=Decimal("0.001"),
            max_quantity=Decimal(900_000),
            min_notional=Decimal(5),
        ),
        Decimal("600.00"),
        8.0,
        Decimal(60),
        2.0,
    ),
)
"""Three linear contracts with the order rules that Binance has for them, one inverse contract, one spot pair."""


class Walker:
    """One symbol's walk, in ticks. Its own random numbers: symbols do not disturb each other."""

    def __init__(self, character: Character, seed: int) -> None:
        self._character = character
        self._random = Random(f"{seed}/{character.instrument.symbol}")
        self._home = self._ticks = int(character.start / character.instrument.price_tick)

    def depth(self) -> MarketDepth:
        """The book now: the best bid at the walk's tick, the best ask one tick above, then levels some ticks apart."""
        gaps = [self._random.randint(1, 4) for _ in range(LEVELS)]
        bids, asks, away = [], [], 0
        for gap in gaps:
            bids.append((self._price(self._ticks - away), self._quantity()))
            asks.append((self._price(self._ticks + 1 + away), self._quantity()))
            away += gap
        return MarketDepth(symbol=self._character.instrument.symbol, bids=tuple(bids), asks=tuple(asks), snapshot=True)

    def step(self) -> list[MarketEvent]:
        """One move: a trade up (or down) to where the price goes, then the book there."""
        pull = (self._home - self._ticks) * 0.0005
        move = round(self._random.gauss(pull, self._character.swing))
        if self._random.random() < 0.02:
            move *= 3
        rises = move > 0 or (move == 0 and self._random.random() < 0.5)
        self._ticks += move
        at_ask = rises if move == 0 else not rises
        touched = self._ticks + 1 if at_ask else self._ticks
        trade = MarketTrade(
            symbol=self._character.instrument.symbol,
            price=self._price(touched),
            quantity=self._quantity(),
            buyer_is_maker=not rises,
        )
        return [trade, self.depth()]

    def wait_ms(self) -> int:
        return min(2_000, 1 + int(self._random.expovariate(self._character.pace) * 1_000))

    def _price(self, ticks: int) -> Decimal:
        return ticks * self._character.instrument.price_tick

    def _quantity(self) -> Decimal:
        share = Decimal(self._random.randint(5, 200)) / 100
        return ceil_to_step(self._character.size * share, self._character.instrument.quantity_step)


def stream(walkers: list[Walker]) -> Iterator[Timed]:
    """Everything that happens on all symbols, without end."""
    due = [(walker.wait_ms(), index) for index, walker in enumerate(walkers)]
    heapify(due)
    now = 0
    while True:
        at, index = due[0]
        for event in walkers[index].step():
            yield at - now, event
            now = at
        heapreplace(due, (at + walkers[index].wait_ms(), index))


def history(symbol: str, tick: Decimal, end: Decimal, now_ms: int, seed: int = SEED) -> tuple[Candle, ...]:
    """A synthetic past of one-minute bars that ends at `end` before the present minute, oldest first."""
    return _history(symbol, tick, end, now_ms - now_ms % 60_000, seed)


@lru_cache(maxsize=16)
def _history(symbol: str, tick: Decimal, end: Decimal, minute_ms: int, seed: int) -> tuple[Candle, ...]:
    random = Random(f"{seed}/{symbol}/history")
    ticks = end / tick
    swing = float(ticks) * 0.0004
    path = [0]
    for _ in range(HISTORY_MINUTES):
        path.append(path[-1] + round(random.gauss(-path[-1] * 0.002, swing)))
    first_ms = minute_ms - HISTORY_MINUTES * 60_000
    bars = []
    for minute, (opening, closing) in enumerate(zip(path[:0:-1], path[-2::-1], strict=True)):
        high = max(opening, closing) + abs(round(random.gauss(0, swing / 3)))
        low = min(opening, closing) - abs(round(random.gauss(0, swing / 3)))
        bars.append(
            Candle(
                open_ms=first_ms + minute * 60_000,
                open=end + opening * tick,
                high=end + high * tick,
                low=max(tick, end + low * tick),
                close=end + closing * tick,
                volume=Decimal(random.randint(10, 500)),
            )
        )
    return tuple(bars)
