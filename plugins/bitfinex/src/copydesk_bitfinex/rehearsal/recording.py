"""Reads recordings of Bitfinex's market: raw websocket frames of public channels.

Either cryptofeed's format, one JSON object per line: a header, `{"t": "http", ...}` with the lists of pairs, and
`{"t": "recv", "conn": ..., "data": ...}` with frames; or one JSON array of frames. Books (`P0` and raw) and trades are
replayed. The venue names no price steps; the steps are those that all recorded numbers fit.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from decimal import Decimal, InvalidOperation
from math import gcd
from pathlib import Path
from typing import Any

from copydesk.errors import UsageError
from copydesk.model import Contract, Instrument
from copydesk_paper.recording import lines
from copydesk_paper.records import MarketDepth, MarketEvent, MarketTrade
from copydesk_paper.synthetic import Timed

from copydesk_bitfinex.rehearsal.market import instrument_of
from copydesk_bitfinex.translate import FINEST_TICK

PACE_MS = 20
"""The distance of frames in recordings that tell no times."""
SMALLEST = Decimal("0.00000001")


class Recording:
    """`snapshots` by symbol, `events` with their distance in time, `instruments` of the pairs that have a book."""

    def __init__(self, path: Path) -> None:
        self.exchange_info: dict[str, Any] = {}
        self.snapshots: dict[str, MarketDepth] = {}
        self.events: list[Timed] = []
        self._channels: dict[tuple[str, int], dict[str, Any]] = {}
        self._raw: dict[tuple[str, int], dict[int, tuple[Decimal, Decimal]]] = {}
        self._prices: dict[str, set[Decimal]] = {}
        self._before_ms: int | None = None
        self._line = 0
        try:
            with contextlib.closing(lines(path)) as every:
                for line in every:
                    self._line += 1
                    self._read_line(line)
        except (ValueError, KeyError, TypeError, IndexError, InvalidOperation) as error:
            what = f"{type(error).__name__} {error}"
            raise UsageError(f"{path}, line {self._line}: {what}; is it a recording of Bitfinex's market?") from error
        both = [symbol for symbol, book in self.snapshots.items() if book.bids and book.asks]
        self.snapshots = {symbol: self.snapshots[symbol] for symbol in both}
        self.events = [timed for timed in self.events if timed[1].symbol in self.snapshots]
        self.instruments = tuple(self._instrument(symbol) for symbol in self.snapshots)
        if not self.instruments:
            raise UsageError(f"{path} has no book of a pair: nothing to replay")

    def _read_line(self, line: str) -> None:
        if line.lstrip().startswith("["):
            for index, frame in enumerate(json.loads(line, parse_float=Decimal)):
                self._read_frame("", frame, index * PACE_MS)
            return
        entry = json.loads(line)
        if self._line == 1 and (entry["t"] != "header" or entry["exchange"] != "BITFINEX"):
            raise ValueError("the first line is no header of a BITFINEX recording")
        if entry["t"] == "recv":
            self._read_frame(entry["conn"], json.loads(entry["data"], parse_float=Decimal), round(entry["ts"] * 1000))

    def _read_frame(self, connection: str, frame: Any, at_ms: int) -> None:
        if isinstance(frame, dict):
            if frame.get("event") == "subscribed":
                self._channels[connection, frame["chanId"]] = frame
            return
        place = (connection, frame[0])
        channel = self._channels.get(place)
        if channel is None or frame[1] == "hb":
            return
        if channel["channel"] == "trades":
            if frame[1] == "te":
                self._trade(channel["symbol"], frame[2], at_ms)
        elif channel["channel"] == "book" and isinstance(frame[1], list) and frame[1]:
            self._read_book(place, channel, frame[1], at_ms)

    def _read_book(self, place: tuple[str, int], channel: dict[str, Any], data: list[Any], at_ms: int) -> None:
        whole = isinstance(data[0], list)
        rows = data if whole else [data]
        symbol = channel["symbol"]
        changes = self._raw_levels(place, rows) if channel["prec"] == "R0" else [_level(row) for row in rows]
        sides: tuple[list[tuple[Decimal, Decimal]], ...] = ([], [])
        for price, quantity, buys in changes:
            sides[0 if buys else 1].append((price, quantity))
            self._prices.setdefault(symbol, set()).add(price)
        depth = MarketDepth(symbol=symbol, bids=tuple(sides[0]), asks=tuple(sides[1]), snapshot=whole)
        if symbol not in self.snapshots:
            if whole:
                self.snapshots[symbol] = depth
        elif depth.bids or depth.asks:
            self._happen(at_ms, depth)

    def _raw_levels(self, place: tuple[str, int], rows: list[Any]) -> list[tuple[Decimal, Decimal, bool]]:
        """The raw book tells of orders: its levels are their sums."""
        book = self._raw.setdefault(place, {})
        touched: dict[tuple[Decimal, bool], None] = {}
        for number, price, amount in rows:
            before = book.pop(number, None)
            if before is not None:
                touched[before[0], before[1] > 0] = None
            if price:
                book[number] = (Decimal(price), Decimal(amount))
                touched[Decimal(price), amount > 0] = None
        return [
            (price, sum((abs(q) for p, q in book.values() if p == price and (q > 0) == buys), Decimal(0)), buys)
            for price, buys in touched
        ]

    def _trade(self, symbol: str, row: list[Any], at_ms: int) -> None:
        amount, price = Decimal(row[2]), Decimal(row[3])
        self._prices.setdefault(symbol, set()).add(price)
        if symbol in self.snapshots:
            event = MarketTrade(symbol=symbol, price=price, quantity=abs(amount), buyer_is_maker=amount < 0)
            self._happen(at_ms, event)

    def _happen(self, at_ms: int, event: MarketEvent) -> None:
        before = at_ms if self._before_ms is None else self._before_ms
        self.events.append((max(0, at_ms - before), event))
        self._before_ms = max(at_ms, before)

    def _instrument(self, symbol: str) -> Instrument:
        return instrument_of(symbol, _step_of(self._prices[symbol]), SMALLEST, Decimal(10_000_000), Contract.SPOT)


def _level(row: list[Any]) -> tuple[Decimal, Decimal, bool]:
    """`[PRICE, COUNT, AMOUNT]`: a count of zero removes it."""
    price, count, amount = row
    return Decimal(price), abs(Decimal(amount)) if count else Decimal(0), amount > 0


def _step_of(numbers: Iterable[Decimal]) -> Decimal:
    """The largest step that all of them are whole numbers of."""
    whole = 0
    for number in numbers:
        whole = gcd(whole, int(number / FINEST_TICK))
    return (whole * FINEST_TICK).normalize() + Decimal(0) if whole else FINEST_TICK
