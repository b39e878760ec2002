"""The public websocket streams of spot. Private events come over the websocket API.

Source: https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Any

from copydesk.model import ZERO
from copydesk_paper.records import Quote, Report, Trade
from copydesk_paper.serving.faults import Faults

from copydesk_binance.rehearsal.market import HOUR
from copydesk_binance.rehearsal.spot.listing import Listing
from copydesk_binance.rehearsal.spot.market import SPOT_INTERVALS, WINDOWS, SpotMarket
from copydesk_binance.rehearsal.streams import BookChanges, PublicStreams
from copydesk_binance.rehearsal.wire import Json, money

_NAME = re.compile(
    r"(?P<symbol>[a-z0-9]+)@(?P<kind>[a-zA-Z]+)(?P<rest>[0-9a-zA-Z_@:+]*)"
    r"|!(?P<all>[a-zA-Z]+)(?P<window>_[0-9a-z]+)?@arr(?P<pace>@[13]000ms)?"
)
_SILENT = frozenset({"blockTrade", "referencePrice"})
"""Streams that exist and on which nothing ever happens here."""
_FIXED = frozenset({"aggTrade", "trade", "bookTicker", "miniTicker", "avgPrice", "ticker"}) | _SILENT
_OF_ALL_SYMBOLS = frozenset({"ticker", "miniTicker"})
_EAST, _EAST_MS = "@+08:00", 8 * HOUR
_LEVELS = ("", "5", "10", "20")
_SPEEDS = {"": 10, "@100ms": 1}
_ZERO = money(ZERO)


class SpotStreams(PublicStreams):
    """Public streams by name."""

    def __init__(self, market: SpotMarket, listing: Listing, faults: Faults, now_ms: Callable[[], int]) -> None:
        super().__init__(faults, now_ms)
        self._market = market
        self._listing = listing
        self._books = BookChanges()

    def exists(self, name: str) -> bool:
        found = _NAME.fullmatch(name)
        if found is None:
            return False
        if found["all"]:
            windowed = found["all"] == "ticker" and found["window"] is not None
            return found["window"][1:] in WINDOWS if windowed else not found["window"] and found["all"] in _OF_ALL_SYMBOLS
        kind, rest = found["kind"], found["rest"]
        if found["symbol"].upper() not in self._listing:
            return False
        if kind in _FIXED:
            return not rest or (kind == "ticker" and rest[1:] in WINDOWS)
        if kind == "kline":
            return rest.removeprefix("_").removesuffix(_EAST) in SPOT_INTERVALS
        levels, speed = _depth_of(rest)
        return kind == "depth" and levels in _LEVELS and speed in _SPEEDS

    def on_report(self, report: Report) -> None:
        if not isinstance(report, Trade | Quote) or report.symbol not in self._listing:
            return
        self._market.note(report)
        symbol = report.symbol.lower()
        if isinstance(report, Trade):
            self.publish(f"{symbol}@aggTrade", lambda: self._market.aggregate_event(report))
            self.publish(f"{symbol}@trade", lambda: self._market.trade_event(report))
        else:
            self.publish(f"{symbol}@bookTicker", lambda: self._market.book_ticker_event(report))

    def on_tick(self, name: str) -> None:
        if not self.exists(name):
            return
        found = _NAME.fullmatch(name)
        assert found is not None
        make = {
            "ticker": self._market.day_event,
            "miniTicker": self._market.mini_event,
            "avgPrice": self._market.average_event,
        }
        if found["all"]:
            if self.ticks % 10 == 0:
                event = make[found["all"]]
                if found["window"]:
                    event = partial(self._market.window_event, size=found["window"][1:])
                self.publish(name, lambda: [event(symbol) for symbol in self._listing.symbols])
            return
        symbol, kind, rest = found["symbol"].upper(), found["kind"], found["rest"]
        if kind in make and self.ticks % 10 == 0:
            self.publish(name, lambda: self._market.window_event(symbol, rest[1:]) if rest else make[kind](symbol))
        elif kind == "kline" and self.ticks % 10 == 0:
            interval = rest.removeprefix("_")
            ahead_ms = _EAST_MS if interval.endswith(_EAST) else 0
            candle = self._market.candle_event(symbol, interval.removesuffix(_EAST), ahead_ms=ahead_ms)
            if candle is not None:
                self.publish(name, lambda: candle)
        elif kind == "depth":
            levels, speed = _depth_of(rest)
            if self.ticks % _SPEEDS[speed] == 0:
                self._publish_book(name, symbol, int(levels or 0))

    def _publish_book(self, name: str, symbol: str, levels: int) -> None:
        """A partial book as it is, or what changed in the book since the last event of this stream."""
        if levels:
            self.publish(name, lambda: self._market.depth(symbol, levels))
            return
        bids, asks = self._market.levels(symbol, 1000)
        update = self._market.update_id
        changed = self._books.since(name, update, bids, asks, _ZERO)
        if changed is None:
            return
        before, bids, asks = changed
        event: Json = {"e": "depthUpdate", "E": self.now_ms(), "s": symbol}
        event |= {"U": before + 1, "u": max(update, before + 1), "b": bids, "a": asks}
        self.publish(name, lambda: event)

    def opened(self, name: str) -> None:
        found = _NAME.fullmatch(name)
        if found is not None and found["kind"] == "depth" and self.exists(name):
            symbol: Any = found["symbol"].upper()
            self._books.open(name, self._market.update_id, *self._market.levels(symbol, 1000))

    def closed(self, name: str) -> None:
        self._books.close(name)


def _depth_of(rest: str) -> tuple[str, str]:
    levels, at, speed = rest.partition("@")
    return levels, at + speed
