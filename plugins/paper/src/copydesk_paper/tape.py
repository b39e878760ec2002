"""The public record of one symbol: last price, recent trades, candles of every interval."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from decimal import Decimal

from copydesk.model import ZERO, Candle
from msgspec.structs import replace

from copydesk_paper.records import Trade

INTERVALS = {"1s": 1_000, "1m": 60_000, "5m": 300_000, "15m": 900_000, "1h": 3_600_000, "4h": 14_400_000, "1d": 86_400_000}
"""Milliseconds of each candle interval."""
KEPT_TRADES = 1_000
KEPT_CANDLES = 1_500


class Tape:
    def __init__(self) -> None:
        self.last: Decimal = ZERO
        self.trades: deque[Trade] = deque(maxlen=KEPT_TRADES)
        self._candles: dict[str, deque[Candle]] = {name: deque(maxlen=KEPT_CANDLES) for name in INTERVALS}

    def print(self, trade: Trade) -> None:
        self.last = trade.price
        self.trades.append(trade)
        price = trade.price
        bar = Candle(open_ms=trade.time_ms, open=price, high=price, low=price, close=price, volume=trade.quantity)
        for name, length in INTERVALS.items():
            _merge(self._candles[name], bar, length)

    def seed(self, minutes: Iterable[Candle]) -> None:
        """Take past one-minute bars, oldest first, as history of all intervals from a minute up."""
        bars: Iterable[Candle] = tuple(minutes)
        for bar in bars:
            self.last = bar.close
        for name, length in INTERVALS.items():
            if length < INTERVALS["1m"]:
                continue
            merged: deque[Candle] = deque()  # each interval out of the one before it, which divides it
            for bar in bars:
                _merge(merged, bar, length)
            for bar in merged:
                _merge(self._candles[name], bar, length)
            bars = merged

    def candles(self, interval: str, limit: int) -> list[Candle]:
        """At most `limit` bars, the newest last. Raises KeyError for an interval that is not in `INTERVALS`."""
        bars = self._candles[interval]
        return list(bars)[-limit:] if limit > 0 else []


def _merge(bars: deque[Candle], bar: Candle, length: int) -> None:
    """Put a shorter bar into the series of a longer interval."""
    start = bar.open_ms - bar.open_ms % length
    if not bars or bars[-1].open_ms < start:
        bars.append(bar if bar.open_ms == start else replace(bar, open_ms=start))
        return
    newest = bars[-1]
    bars[-1] = replace(
        newest,
        high=max(newest.high, bar.high),
        low=min(newest.low, bar.low),
        close=bar.close,
        volume=newest.volume + bar.volume,
    )
