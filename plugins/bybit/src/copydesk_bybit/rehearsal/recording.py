"""Reads recorded Bybit sessions: the raw HTTP answers and websocket frames of a day, one JSON object per line.

First line a header; then `{"t": "http", "url": ..., "data": ...}` with `instruments-info` of linear and spot, and
`{"t": "recv", "conn": ..., "data": ...}` with public frames, of which `orderbook` and `publicTrade` are replayed. Which
connection is linear and which spot is told by its `{"t": "connect", "conn": ..., "addr": ...}`. This is the format of
cryptofeed's raw data collection.
"""

from __future__ import annotations

import contextlib
import json
from decimal import InvalidOperation
from pathlib import Path
from typing import Any

from copydesk.errors import UsageError, VenueError
from copydesk.model import Instrument
from copydesk_paper.recording import levels
from copydesk_paper.recording import lines as lines_of
from copydesk_paper.records import MarketDepth, MarketEvent, MarketTrade
from copydesk_paper.synthetic import Timed
from copydesk_wire import fields

from copydesk_bybit import listing
from copydesk_bybit.symbols import CATEGORIES, ours


class Recording:
    """`snapshots` by symbol, `events` with their distance in time, `instruments` of the symbols that have a snapshot.

    `exchange_info`: the recorded rows of instruments-info, by our symbol.
    """

    def __init__(self, path: Path) -> None:
        self.exchange_info: dict[str, Any] = {}
        self.snapshots: dict[str, MarketDepth] = {}
        self.events: list[Timed] = []
        self._listed: dict[str, Instrument] = {}
        self._categories: dict[str, str] = {}
        self._before_ms: int | None = None
        number = 0
        try:
            with contextlib.closing(lines_of(path)) as every:
                for number, line in enumerate(every, start=1):
                    self._read(number, json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError, InvalidOperation, VenueError) as error:
            what = f"{type(error).__name__} {error}"
            raise UsageError(f"{path}, line {number}: {what}; is it a raw recording of Bybit?") from error
        self.instruments = tuple(self._listed[symbol] for symbol in self.snapshots if symbol in self._listed)
        if not self.instruments:
            raise UsageError(f"{path} has no instruments-info with order books of its symbols: nothing to replay")
        known = {instrument.symbol for instrument in self.instruments}
        self.snapshots = {symbol: book for symbol, book in self.snapshots.items() if symbol in known}
        self.events = [event for event in self.events if event[1].symbol in known]

    def _read(self, number: int, line: dict[str, Any]) -> None:
        kind = line["t"]
        if number == 1 and (kind != "header" or line["exchange"] != "BYBIT"):
            raise ValueError("the first line is no header of a BYBIT recording")
        if kind == "http" and "/instruments-info" in line["url"]:
            self._list(json.loads(line["data"])["result"])
        elif kind == "connect":
            self._categories[line["conn"]] = line["addr"].rstrip("/").rpartition("/")[2]
        elif kind == "recv":
            category = self._categories.get(line["conn"], "")
            if category in CATEGORIES:
                self._read_frame(category, json.loads(line["data"]), round(line["ts"] * 1000))

    def _list(self, result: dict[str, Any]) -> None:
        for row in result["list"]:
            instrument = listing.instrument(row, result["category"])
            self._listed[instrument.symbol] = instrument
            self.exchange_info[instrument.symbol] = row

    def _read_frame(self, category: str, frame: dict[str, Any], at_ms: int) -> None:
        topic = fields.text_or(frame, "topic")
        events: list[MarketEvent] = []
        if topic.startswith("orderbook."):
            data = frame["data"]
            symbol = ours(category, data["s"])
            whole = frame["type"] == "snapshot"
            book = MarketDepth(symbol=symbol, bids=levels(data["b"]), asks=levels(data["a"]), snapshot=whole)
            if whole and symbol not in self.snapshots:
                self.snapshots[symbol] = book
            elif symbol in self.snapshots:
                events = [book]
        elif topic.startswith("publicTrade."):
            events = [
                MarketTrade(
                    symbol=ours(category, row["s"]),
                    price=fields.decimal(row, "p"),
                    quantity=fields.decimal(row, "v"),
                    buyer_is_maker=row["S"] == "Sell",
                )
                for row in frame["data"]
            ]
        for event in events:
            self.events.append((0 if self._before_ms is None else max(0, at_ms - self._before_ms), event))
            self._before_ms = max(at_ms, self._before_ms or 0)
