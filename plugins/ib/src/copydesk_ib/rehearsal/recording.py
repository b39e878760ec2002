"""Reads recordings of IB's market data as IB's clients keep them: streaming ticks, past bids and asks or trades, and bars.

Ticks are one JSON array of `{"time", "price", "size", "tickType"}`; the others are one JSON object a line. None of them
says which contract it is of, so it is listed here as a stock of its own, `TAPE`, in dollars, with the tick that all
recorded prices fit. IB shows the best prices only: the levels behind them are made up, each as large as the best.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from math import gcd
from pathlib import Path
from typing import Any

from copydesk.errors import UsageError
from copydesk.model import Instrument
from copydesk_paper.recording import lines
from copydesk_paper.records import MarketDepth, MarketTrade
from copydesk_paper.synthetic import Timed

from copydesk_ib.rehearsal.listings import USD, Listing
from copydesk_ib.rehearsal.quotes import ASK, ASK_SIZE, BID, BID_SIZE, LAST, LAST_SIZE

CON_ID, SYMBOL = 900_000_001, "TAPE"
NAME = f"{SYMBOL}:STK:SMART:{USD}"
FINEST = Decimal("1e-8")
LEVELS = 20
BAR_MS = 60_000
Level = tuple[Decimal, Decimal]
"""Price and size."""


class Recording:
    """`snapshots` by symbol, `events` with their distance in time, and the one instrument."""

    def __init__(self, path: Path) -> None:
        self.exchange_info: dict[str, Any] = {}
        self.snapshots: dict[str, MarketDepth] = {}
        self._happened: list[Timed] = []
        self.events: Sequence[Timed] = self._happened
        self._before_ms: int | None = None
        self._bid = self._ask = (Decimal(0), Decimal(0))
        try:
            rows = list(_rows(path))
            self._tick = step_of(price for row in rows for price in _prices(row))
            for row in rows:
                self._read(row)
        except (ValueError, KeyError, TypeError, AttributeError, InvalidOperation) as error:
            what = f"{type(error).__name__} {error}"
            raise UsageError(f"{path}: {what}; is it a recording of IB's market data?") from error
        if NAME not in self.snapshots:
            raise UsageError(f"{path} has no bid with an ask: nothing to replay")
        self.instruments: tuple[Instrument, ...] = (_listing(self._tick).instrument(),)

    def _read(self, row: dict[str, Any]) -> None:
        at_ms = round(_moment(row).timestamp() * 1000)
        if "tickType" in row:
            self._tick_of(row, at_ms)
        elif "priceBid" in row:
            bid, ask = (
                (_number(row["priceBid"]), _number(row["sizeBid"])),
                (_number(row["priceAsk"]), _number(row["sizeAsk"])),
            )
            self._quote(at_ms, bid, ask)
        elif "open" in row:
            self._bar(row, at_ms)
        else:
            self._around(at_ms, _number(row["price"]), _number(row["size"]))

    def _tick_of(self, row: dict[str, Any], at_ms: int) -> None:
        level, kind = (_number(row["price"]), _number(row["size"])), row["tickType"]
        if level[0] <= 0 or level[1] <= 0:
            return
        if kind in (BID, BID_SIZE):
            self._quote(at_ms, level, self._ask)
        elif kind in (ASK, ASK_SIZE):
            self._quote(at_ms, self._bid, level)
        elif kind in (LAST, LAST_SIZE):
            self._trade(at_ms, *level)

    def _quote(self, at_ms: int, bid: Level, ask: Level) -> None:
        self._bid, self._ask = bid, ask
        if not 0 < bid[0] < ask[0]:
            return
        depth = MarketDepth(
            symbol=NAME,
            bids=tuple((price, bid[1]) for n in range(LEVELS) if (price := bid[0] - n * self._tick) > 0),
            asks=tuple((ask[0] + n * self._tick, ask[1]) for n in range(LEVELS)),
            snapshot=True,
        )
        if NAME not in self.snapshots:
            self.snapshots[NAME] = depth
        self._happen(at_ms, depth)

    def _trade(self, at_ms: int, price: Decimal, size: Decimal) -> None:
        if NAME in self.snapshots and size > 0:
            sold = price <= self._bid[0]
            self._happen(at_ms, MarketTrade(symbol=NAME, price=price, quantity=size, buyer_is_maker=sold))

    def _around(self, at_ms: int, price: Decimal, size: Decimal) -> None:
        """A trade of which no bid and ask are known: they stand on both sides of it."""
        self._quote(at_ms, (price - self._tick, size), (price + self._tick, size))
        self._trade(at_ms, price, size)

    def _bar(self, row: dict[str, Any], at_ms: int) -> None:
        """Four prices that it may have gone through."""
        opens, high, low, closes = (_number(row[name]) for name in ("open", "high", "low", "close"))
        size = max(Decimal(1), _number(row["volume"]) / 4)
        path = (opens, low, high, closes) if closes >= opens else (opens, high, low, closes)
        for part, price in enumerate(path):
            self._around(at_ms + part * BAR_MS // 4, price, size.quantize(Decimal(1)))

    def _happen(self, at_ms: int, event: MarketDepth | MarketTrade) -> None:
        before = at_ms if self._before_ms is None else self._before_ms
        self._happened.append((max(0, at_ms - before), event))
        self._before_ms = max(at_ms, before)


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with contextlib.closing(lines(path)) as every:
        first = next(every, "")
        if first.lstrip().startswith("["):
            yield from json.loads(first + "".join(every), parse_float=Decimal)
            return
        for line in (first, *every):
            yield json.loads(line, parse_float=Decimal)


def _number(told: Decimal | int) -> Decimal:
    if not isinstance(told, Decimal | int):
        raise TypeError(f"{told!r} is no number")
    return Decimal(told)


def _prices(row: dict[str, Any]) -> Iterator[Decimal]:
    for name in ("price", "priceBid", "priceAsk", "open", "high", "low", "close"):
        if name in row and _number(row[name]) > 0:
            yield _number(row[name])


def _moment(row: dict[str, Any]) -> datetime:
    moment = datetime.fromisoformat(row.get("time") or row["date"])
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def step_of(numbers: Iterable[Decimal]) -> Decimal:
    """The largest step that all of them are whole numbers of."""
    whole = 0
    for number in numbers:
        whole = gcd(whole, int(number / FINEST))
    if not whole:
        raise ValueError("no prices")
    return (whole * FINEST).normalize() + Decimal(0)


def tape(instrument: Instrument) -> Listing:
    """The listing of a recording's instrument."""
    return _listing(instrument.price_tick)


def _listing(tick: Decimal) -> Listing:
    return Listing(
        con_id=CON_ID,
        symbol=SYMBOL,
        sec_type="STK",
        local_symbol=SYMBOL,
        exchange="SMART",
        primary_exchange="NASDAQ",
        venue="ISLAND",
        currency=USD,
        trading_class="NMS",
        tick=tick,
        step=Decimal("0.0001"),
        long_name="RECORDED MARKET DATA",
        rule=3_000,
        stock_type="COMMON",
    )
