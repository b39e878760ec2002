"""Reads recordings of BitMEX's market: raw websocket sessions in cryptofeed's format, with `orderBookL2` and `trade`.

`<seconds>: <frame>` per line, with `->`/`<-` lines of what was sent in between. It names no order rules: those of
XBTUSD are known, and it alone is replayed; BitMEX's other contracts of those years cannot be valued here.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from math import gcd
from pathlib import Path
from typing import Any

from copydesk.errors import UsageError
from copydesk.model import Contract, Instrument
from copydesk_paper.recording import lines
from copydesk_paper.records import MarketDepth, MarketTrade
from copydesk_paper.synthetic import Timed

_RECEIVED = re.compile(r"^(?P<seconds>\d+(?:\.\d+)?): (?P<frame>\{.*\})\s*$")
FINEST = Decimal("1e-8")
LARGEST = Decimal(10_000_000)


class Recording:
    """`snapshots` by symbol, `events` with their distance in time, `instruments` of the futures that have a whole book."""

    def __init__(self, path: Path) -> None:
        self.exchange_info: dict[str, Any] = {}
        self.snapshots: dict[str, MarketDepth] = {}
        self._happened: list[Timed] = []
        self.events: Sequence[Timed] = self._happened
        self._prices: dict[tuple[str, int], Decimal] = {}
        self._ticks: dict[str, int] = {}
        self._before_ms: int | None = None
        self._line = 0
        try:
            with contextlib.closing(lines(path)) as every:
                for line in every:
                    self._line += 1
                    self._read(line)
        except (ValueError, KeyError, TypeError, InvalidOperation) as error:
            what = f"{type(error).__name__} {error}"
            raise UsageError(f"{path}, line {self._line}: {what}; is it a recording of BitMEX's market?") from error
        made = {symbol: self._instrument(symbol) for symbol in self.snapshots}
        self.snapshots = {symbol: book for symbol, book in self.snapshots.items() if made[symbol] is not None}
        self.instruments = tuple(one for one in made.values() if one is not None)
        if not self.instruments:
            raise UsageError(f"{path} has no whole book of a contract that could be traded here: nothing to replay")

    def _read(self, line: str) -> None:
        found = _RECEIVED.match(line)
        if found is None:
            return
        frame = json.loads(found["frame"], parse_float=Decimal)
        at_ms = int(Decimal(found["seconds"]) * 1000)
        if frame.get("table") == "orderBookL2":
            self._book(frame["action"], frame["data"], at_ms)
        elif frame.get("table") == "trade" and frame["action"] == "insert":
            for row in frame["data"]:
                if row["symbol"] in self.snapshots:
                    self._happen(at_ms, _trade(row))

    def _book(self, action: str, data: list[dict[str, Any]], at_ms: int) -> None:
        by_symbol: dict[str, list[dict[str, Any]]] = {}
        for row in data:
            if "price" in row:
                price = Decimal(row["price"])
                self._prices[row["symbol"], row["id"]] = price
                symbol = row["symbol"]
                self._ticks[symbol] = gcd(self._ticks.get(symbol, 0), int(price / FINEST))
            by_symbol.setdefault(row["symbol"], []).append(row)
        for symbol, rows in by_symbol.items():
            sides = {
                word: tuple(self._level(row, gone=action == "delete") for row in rows if row["side"] == word)
                for word in ("Buy", "Sell")
            }
            depth = MarketDepth(symbol=symbol, bids=sides["Buy"], asks=sides["Sell"], snapshot=action == "partial")
            if symbol in self.snapshots:
                self._happen(at_ms, depth)
            elif action == "partial" and depth.bids and depth.asks:
                self.snapshots[symbol] = depth

    def _level(self, row: dict[str, Any], *, gone: bool) -> tuple[Decimal, Decimal]:
        return self._prices[row["symbol"], row["id"]], Decimal(0) if gone else Decimal(row["size"])

    def _happen(self, at_ms: int, event: MarketDepth | MarketTrade) -> None:
        before = at_ms if self._before_ms is None else self._before_ms
        self._happened.append((max(0, at_ms - before), event))
        self._before_ms = at_ms

    def _instrument(self, symbol: str) -> Instrument | None:
        """The inverse contract on bitcoin in dollars. Others of those years were quanto, or quoted in bitcoin."""
        return contract("XBT", "USD", str(self._tick(symbol)), "100", "1") if symbol == "XBTUSD" else None

    def _tick(self, symbol: str) -> Decimal:
        return (self._ticks[symbol] * FINEST).normalize() + Decimal(0)


def _trade(row: dict[str, Any]) -> MarketTrade:
    seller = row["side"] == "Sell"
    price, size = Decimal(row["price"]), Decimal(row["size"])
    return MarketTrade(symbol=row["symbol"], price=price, quantity=size, buyer_is_maker=seller)


def contract(base: str, quote: str, tick: str, lot: str, size: str) -> Instrument:
    """A perpetual contract: inverse where it is quoted in dollars, linear where in tether."""
    inverse = quote == "USD"
    return Instrument(
        symbol=f"{base}{quote}",
        base=base,
        quote=quote,
        settle="XBT" if inverse else quote,
        contract=Contract.INVERSE if inverse else Contract.LINEAR,
        price_tick=Decimal(tick),
        quantity_step=Decimal(lot),
        min_quantity=Decimal(lot),
        max_quantity=LARGEST * (1 if inverse else 1000),
        market_max_quantity=LARGEST * (1 if inverse else 1000),
        contract_size=Decimal(size),
    )
