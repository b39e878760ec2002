"""Reads recordings of futures: one-minute bars as CSV, `timestamp_utc,open,high,low,close,volume`.

The file's name names the contract and its market by the ISO code, as in `6EH4.XCME`. Bars have no book: one is made up
around each of their prices, a tick apart.
"""

from __future__ import annotations

import contextlib
import csv
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, overload

from copydesk.errors import UsageError
from copydesk_paper.recording import lines
from copydesk_paper.records import MarketDepth, MarketTrade
from copydesk_paper.synthetic import Timed

from copydesk_rithmic.rehearsal.products import PRODUCTS, instrument, product_of

EXCHANGES = {"XCME": "CME", "XCBT": "CBOT", "XNYM": "NYMEX", "XCEC": "COMEX"}
"""Rithmic's names of the markets by their ISO codes."""
_CONTRACT = re.compile(r"([A-Z0-9]{3,6})\.(XCME|XCBT|XNYM|XCEC)")
BAR_MS = 60_000
LEVELS = 20
LEAST = 20
"""Contracts at each level of a book, at least: bars of quiet minutes would leave nothing to trade with."""


class Recording:
    """`snapshots` by symbol, `events` with their distance in time, `instruments`: the one contract of the file."""

    def __init__(self, path: Path) -> None:
        self.exchange_info: dict[str, Any] = {}
        found = _CONTRACT.search(path.name)
        if found is None or product_of(found[1]) not in PRODUCTS:
            known = ", ".join(sorted(PRODUCTS))
            raise UsageError(
                f"the name of {path} must name a contract and its market, as in 6EH4.XCME; known products are {known}"
            )
        self.symbol = f"{EXCHANGES[found[2]]}:{found[1]}"
        self.instruments = (instrument(self.symbol),)
        bars = Bars(self.symbol, self.instruments[0].price_tick)
        number = 1
        try:
            with contextlib.closing(lines(path)) as every:
                if not next(every, "").startswith("timestamp"):
                    raise ValueError("the first line does not name the columns")
                for row in csv.reader(every):
                    number += 1
                    bars.add(row)
        except (ValueError, IndexError, InvalidOperation) as error:
            raise UsageError(f"{path}, line {number}: {error}; is it a recording of one-minute bars?") from error
        if not bars.steps:
            raise UsageError(f"{path} has no bars: nothing to replay")
        self.snapshots = {self.symbol: bars.book(*bars.steps[0])}
        self.events: Sequence[Timed] = bars


class Bars(Sequence[Timed]):
    """Bars as what may have happened in them: four prices each, a book around each of them, and a trade at it.

    Made when it is read: a month of minutes would fill the memory.
    """

    def __init__(self, symbol: str, tick: Decimal) -> None:
        self.steps: list[tuple[Decimal, Decimal]] = []
        self._symbol = symbol
        self._tick = tick

    def add(self, row: Sequence[str]) -> None:
        """Take one bar as it is written. Raises ValueError, IndexError or InvalidOperation where it is none."""
        open_, high, low, close, volume = (Decimal(text) for text in row[1:6])
        if any(price <= 0 or price % self._tick for price in (open_, high, low, close)):
            raise ValueError(f"a price is not on the tick of {self._tick}")
        size = max(Decimal(LEAST), (volume / 4).to_integral_value())
        prices: Iterable[Decimal] = (open_, low, high, close) if close >= open_ else (open_, high, low, close)
        self.steps += [(price, size) for price in prices]

    def book(self, price: Decimal, size: Decimal) -> MarketDepth:
        """A book around a price."""
        bids = tuple((price - level * self._tick, size) for level in range(1, LEVELS + 1))
        asks = tuple((price + level * self._tick, size) for level in range(1, LEVELS + 1))
        return MarketDepth(symbol=self._symbol, bids=bids, asks=asks, snapshot=True)

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
            return 0, MarketTrade(symbol=self._symbol, price=price, quantity=size, buyer_is_maker=False)
        return (BAR_MS // 4 if index else 0), self.book(price, size)
