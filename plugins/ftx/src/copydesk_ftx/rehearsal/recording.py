"""Reads recordings of FTX's market: raw websocket sessions with books and trades, or one-minute bars.

A session is cryptofeed's raw format: `<seconds>: <frame>` per line, with `->`/`<-` lines of what was sent in between. Bars
are CSV: `timestamp,open,high,low,close,volume`, the market's name being in the file's name (`btc-perp`). FTX named no order
rules in either; steps are those that all recorded numbers fit.
"""

from __future__ import annotations

import contextlib
import csv
import json
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation
from math import gcd
from pathlib import Path
from typing import Any, overload

from copydesk.errors import UsageError
from copydesk.model import Contract, Instrument
from copydesk_paper.recording import lines
from copydesk_paper.records import MarketDepth, MarketTrade
from copydesk_paper.synthetic import Timed

from copydesk_ftx.translate import USD

_RECEIVED = re.compile(r"^(?P<seconds>\d+(?:\.\d+)?): (?P<frame>\{.*\})\s*$")
_MARKET = re.compile(r"[a-z0-9]+-perp", re.IGNORECASE)
FINEST, FINEST_SIZE = Decimal("1e-8"), Decimal("0.0001")
BAR_MS = 60_000
LEVELS = 20


class Recording:
    """`snapshots` by market, `events` with their distance in time, `instruments` of the futures that have a book."""

    def __init__(self, path: Path) -> None:
        self.exchange_info: dict[str, Any] = {}
        self.snapshots: dict[str, MarketDepth] = {}
        self._happened: list[Timed] = []
        self.events: Sequence[Timed] = self._happened
        self._numbers: dict[str, tuple[set[Decimal], set[Decimal]]] = {}
        self._before_ms: int | None = None
        self._line = 0
        try:
            with contextlib.closing(lines(path)) as every:
                first = next(every, "")
                if first.startswith("timestamp,"):
                    self._read_bars(path, every)
                else:
                    for line in every:
                        self._read_line(line)
        except (ValueError, KeyError, TypeError, IndexError, InvalidOperation) as error:
            what = f"{type(error).__name__} {error}"
            raise UsageError(f"{path}, line {self._line}: {what}; is it a recording of FTX's market?") from error
        self.instruments = tuple(self._instrument(market) for market in self.snapshots)
        if not self.instruments:
            raise UsageError(f"{path} has no book of a future: nothing to replay")

    # --- websocket sessions ---

    def _read_line(self, line: str) -> None:
        self._line += 1
        found = _RECEIVED.match(line)
        if found is None:
            return
        frame = json.loads(found["frame"], parse_float=Decimal)
        market = str(frame.get("market", ""))
        if "/" in market or frame.get("type") not in ("partial", "update"):
            return
        at_ms = int(Decimal(found["seconds"]) * 1000)
        if frame["channel"] == "orderbook":
            self._read_book(market, frame["type"], frame["data"], at_ms)
        elif frame["channel"] == "trades":
            for trade in frame["data"]:
                self._trade(market, trade, at_ms)

    def _read_book(self, market: str, type_: str, data: dict[str, Any], at_ms: int) -> None:
        bids, asks = (tuple((Decimal(p), Decimal(q)) for p, q in data[side]) for side in ("bids", "asks"))
        self._keep_numbers(market, bids + asks)
        depth = MarketDepth(symbol=market, bids=bids, asks=asks, snapshot=type_ == "partial")
        if market not in self.snapshots:
            if bids and asks and depth.snapshot:
                self.snapshots[market] = depth
        elif bids or asks:
            self._happen(at_ms, depth)

    def _trade(self, market: str, data: dict[str, Any], at_ms: int) -> None:
        price, size = Decimal(data["price"]), Decimal(data["size"])
        self._keep_numbers(market, ((price, size),))
        if market in self.snapshots:
            seller = data["side"] == "sell"
            self._happen(at_ms, MarketTrade(symbol=market, price=price, quantity=size, buyer_is_maker=seller))

    def _happen(self, at_ms: int, event: MarketDepth | MarketTrade) -> None:
        before = at_ms if self._before_ms is None else self._before_ms
        self._happened.append((max(0, at_ms - before), event))
        self._before_ms = at_ms

    # --- bars ---

    def _read_bars(self, path: Path, every: Iterable[str]) -> None:
        found = _MARKET.search(path.name)
        if found is None:
            raise ValueError("the file's name does not name a perpetual future")
        market = found[0].upper()
        bars = Bars(market)
        for row in csv.reader(every):
            self._line += 1
            open_, high, low, close = (Decimal(text) for text in row[1:5])
            size = max(FINEST_SIZE, (Decimal(row[5]) / close / 4).quantize(FINEST_SIZE))
            prices = (open_, low, high, close) if close >= open_ else (open_, high, low, close)
            bars.steps += [(price, size) for price in prices]
            self._keep_numbers(market, ((price, size) for price in prices))
        self.snapshots[market] = around(market, *bars.steps[0])
        self.events = bars

    # --- order rules ---

    def _keep_numbers(self, market: str, levels: Iterable[tuple[Decimal, Decimal]]) -> None:
        prices, sizes = self._numbers.setdefault(market, (set(), set()))
        for price, size in levels:
            prices.add(price)
            if size:
                sizes.add(size)

    def _instrument(self, market: str) -> Instrument:
        prices, sizes = self._numbers[market]
        step = _step_of(sizes)
        return Instrument(
            symbol=market,
            base=market.partition("-")[0],
            quote=USD,
            settle=USD,
            contract=Contract.LINEAR,
            price_tick=_step_of(prices),
            quantity_step=step,
            min_quantity=step,
            max_quantity=Decimal(1_000_000),
            market_max_quantity=Decimal(1_000_000),
        )


class Bars(Sequence[Timed]):
    """Bars as what may have happened in them: four prices each, a book around each of them, and a trade at it.

    Made when it is read: a month of minutes would fill the memory.
    """

    def __init__(self, market: str) -> None:
        self.market = market
        self.steps: list[tuple[Decimal, Decimal]] = []

    def __len__(self) -> int:
        return 2 * len(self.steps)

    @overload
    def __getitem__(self, index: int) -> Timed: ...
    @overload
    def __getitem__(self, index: slice) -> list[Timed]: ...
    def __getitem__(self, index: int | slice) -> Timed | list[Timed]:
        if isinstance(index, slice):
            return [self[one] for one in range(*index.indices(len(self)))]
        price, size = self.steps[index // 2]
        if index % 2:
            return 0, MarketTrade(symbol=self.market, price=price, quantity=size, buyer_is_maker=False)
        return (BAR_MS // 4 if index else 0), around(self.market, price, size)


def around(market: str, price: Decimal, size: Decimal) -> MarketDepth:
    """A book around a price, its levels one dollar apart."""
    bids = tuple((price - level, size) for level in range(1, LEVELS + 1))
    asks = tuple((price + level, size) for level in range(1, LEVELS + 1))
    return MarketDepth(symbol=market, bids=bids, asks=asks, snapshot=True)


def _step_of(numbers: Iterable[Decimal]) -> Decimal:
    """The largest step that all of them are whole numbers of."""
    whole = 0
    for number in numbers:
        whole = gcd(whole, int(number / FINEST))
    return (whole * FINEST).normalize() + Decimal(0) if whole else FINEST
