"""Reads recorded Binance-futures sessions: the raw HTTP answers and websocket messages of a day, one JSON object per line.

First line a header; then `{"t": "http", "url": ..., "data": ...}` with `exchangeInfo` and `/fapi/v1/depth` snapshots, and
`{"t": "recv", "data": ...}` with combined-stream messages, of which `depthUpdate` and `aggTrade` are replayed. This is the
format of cryptofeed's raw data collection.
"""

from __future__ import annotations

import contextlib
import gzip
import io
import json
from collections.abc import Generator, Iterable, Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import zstandard
from copydesk.errors import UsageError
from copydesk.model import Contract, Instrument

from copydesk_paper.records import MarketDepth, MarketEvent, MarketTrade
from copydesk_paper.synthetic import Timed

MAX_BYTES = 512 * 1024 * 1024
"""More than this, uncompressed, is not read."""


class Recording:
    """`snapshots` by symbol, `events` with their distance in time, `instruments` of the symbols that have a snapshot.

    Another market of Binance's is a subclass: the name of its recordings, its words, and how it lists instruments.
    """

    exchange = "BINANCE_FUTURES"
    market = "Binance futures"
    trades = frozenset({"aggTrade"})

    def __init__(self, path: Path) -> None:
        self.exchange_info: dict[str, Any] = {}
        self.snapshots: dict[str, MarketDepth] = {}
        self.events: list[Timed] = []
        self._path = path
        self._updates: dict[str, int] = {}
        self._before_ms: int | None = None
        number = 0
        try:
            with contextlib.closing(lines(path)) as every:
                for number, line in enumerate(every, start=1):
                    self._read(number, json.loads(line))
            self.instruments = self.listed(self._entries())
        except (ValueError, KeyError, TypeError, AttributeError, InvalidOperation) as error:
            what = f"{type(error).__name__} {error}"
            raise UsageError(f"{path}, line {number}: {what}; is it a raw recording of {self.market}?") from error
        if not self.instruments:
            raise UsageError(f"{path} has no exchangeInfo with depth snapshots of its symbols: nothing to replay")

    def listed(self, entries: Iterable[dict[str, Any]]) -> tuple[Instrument, ...]:
        """The instruments of exchangeInfo's entries."""
        return tuple(_instrument(entry) for entry in entries)

    def _read(self, number: int, line: dict[str, Any]) -> None:
        kind = line["t"]
        if number == 1 and (kind != "header" or line["exchange"] != self.exchange):
            raise ValueError(f"the first line is no header of a {self.exchange} recording")
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
        elif message.get("e") in self.trades:
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
    return Instrument(
        symbol=entry["symbol"],
        base=entry["baseAsset"],
        quote=entry["quoteAsset"],
        settle=entry["marginAsset"],
        contract=Contract.LINEAR,
        price_tick=Decimal(filters["PRICE_FILTER"]["tickSize"]),
        quantity_step=Decimal(lot["stepSize"]),
        min_quantity=Decimal(lot["minQty"]),
        max_quantity=Decimal(lot["maxQty"]),
        market_max_quantity=Decimal(market_lot.get("maxQty", "0")),
        min_notional=Decimal(filters.get("MIN_NOTIONAL", {}).get("notional", "0")),
        trading=entry["status"] == "TRADING",
    )


def levels(rows: list[list[str]]) -> tuple[tuple[Decimal, Decimal], ...]:
    """Rows of price and quantity in text form, as numbers."""
    return tuple((Decimal(price), Decimal(quantity)) for price, quantity in rows)


def lines(path: Path) -> Generator[str, None, None]:
    """The lines of a plain, gzip or zstandard file. Raises `UsageError` where it cannot be read."""
    read = 0
    try:
        with path.open("rb") as file, _opened(file, path.suffix) as stream, io.TextIOWrapper(stream, "utf-8") as text:
            for line in text:
                read += len(line)
                if read > MAX_BYTES:
                    raise UsageError(f"{path} holds more than {MAX_BYTES >> 20} MB: cut it")
                if line.strip():
                    yield line
    except (OSError, EOFError, UnicodeDecodeError, zstandard.ZstdError) as error:
        raise UsageError(f"{path} cannot be read as a market recording: {error}") from error


def _opened(file: Any, suffix: str) -> Any:
    if suffix == ".zst":
        return zstandard.ZstdDecompressor().stream_reader(file)
    return gzip.GzipFile(fileobj=file) if suffix == ".gz" else file
