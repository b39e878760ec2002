"""Reads recorded Binance spot sessions, in the format of cryptofeed's raw data collection, as `copydesk_paper.recording`
does futures: `exchangeInfo`, `/api/v3/depth` snapshots, and combined-stream messages (`depthUpdate`, `trade`, `aggTrade`).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from copydesk.errors import UsageError
from copydesk.model import Contract, Instrument
from copydesk_paper.recording import levels, lines
from copydesk_paper.records import MarketDepth, MarketEvent, MarketTrade
from copydesk_paper.synthetic import Timed


class SpotRecording:
    """`snapshots` by symbol, `events` with their distance in time, `instruments` of the symbols that have a snapshot.

    Those quoted in USDT come first, because accounts begin with USDT.
    """

    def __init__(self, path: Path) -> None:
        self.exchange_info: dict[str, Any] = {}
        self.snapshots: dict[str, MarketDepth] = {}
        self.events: list[Timed] = []
        self._updates: dict[str, int] = {}
        self._before_ms: int | None = None
        number = 0
        try:
            with contextlib.closing(lines(path)) as every:
                for number, line in enumerate(every, start=1):
                    self._read(number, json.loads(line))
            found = [_instrument(entry) for entry in self._entries()]
        except (ValueError, KeyError, TypeError, AttributeError, InvalidOperation) as error:
            what = f"{type(error).__name__} {error}"
            raise UsageError(f"{path}, line {number}: {what}; is it a raw recording of Binance spot?") from error
        if not found:
            raise UsageError(f"{path} has no exchangeInfo with depth snapshots of its symbols: nothing to replay")
        self.instruments = tuple(sorted(found, key=lambda instrument: instrument.quote != "USDT"))

    def _read(self, number: int, line: dict[str, Any]) -> None:
        kind = line["t"]
        if number == 1 and (kind != "header" or line["exchange"] != "BINANCE"):
            raise ValueError("the first line is no header of a BINANCE recording")
        if kind == "http":
            self._read_answer(line["url"], json.loads(line["data"]))
        elif kind == "recv":
            message = json.loads(line["data"])
            self._read_message(message.get("data", message))

    def _read_answer(self, url: str, answer: dict[str, Any]) -> None:
        if "/exchangeInfo" in url:
            self.exchange_info = answer
        elif "/depth?" in url:
            symbol = url.partition("symbol=")[2].partition("&")[0]
            self._updates[symbol] = answer["lastUpdateId"]
            bids, asks = levels(answer["bids"]), levels(answer["asks"])
            self.snapshots[symbol] = MarketDepth(symbol=symbol, bids=bids, asks=asks, snapshot=True)

    def _read_message(self, message: dict[str, Any]) -> None:
        event: MarketEvent
        if message.get("e") == "depthUpdate":
            if message["u"] <= self._updates.get(message["s"], 0):
                return
            event = MarketDepth(symbol=message["s"], bids=levels(message["b"]), asks=levels(message["a"]))
        elif message.get("e") in ("trade", "aggTrade"):
            event = MarketTrade(
                symbol=message["s"],
                price=Decimal(message["p"]),
                quantity=Decimal(message["q"]),
                buyer_is_maker=message["m"],
            )
        else:
            return
        at = int(message["E"])
        self.events.append((0 if self._before_ms is None else max(0, at - self._before_ms), event))
        self._before_ms = max(at, self._before_ms or 0)

    def _entries(self) -> Iterator[dict[str, Any]]:
        return (entry for entry in self.exchange_info.get("symbols", ()) if entry["symbol"] in self.snapshots)


def _instrument(entry: dict[str, Any]) -> Instrument:
    """One symbol of exchangeInfo, with the rules of its filters."""
    filters = {one["filterType"]: one for one in entry["filters"]}
    lot, market_lot = filters["LOT_SIZE"], filters.get("MARKET_LOT_SIZE", {})
    notional = filters.get("NOTIONAL", filters.get("MIN_NOTIONAL", {}))
    return Instrument(
        symbol=entry["symbol"],
        base=entry["baseAsset"],
        quote=entry["quoteAsset"],
        settle=entry["quoteAsset"],
        contract=Contract.SPOT,
        price_tick=Decimal(filters["PRICE_FILTER"]["tickSize"]),
        quantity_step=Decimal(lot["stepSize"]),
        min_quantity=Decimal(lot["minQty"]),
        max_quantity=Decimal(lot["maxQty"]),
        market_max_quantity=Decimal(market_lot.get("maxQty", "0")),
        min_notional=Decimal(notional.get("minNotional", "0")),
        trading=entry["status"] == "TRADING",
    )
