"""Market data of the past: bars of every size, kept up to date where that is wanted, five-second bars, and ticks."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from copydesk.model import Candle
from copydesk_paper.contracts import tidy
from copydesk_paper.exchange import Exchange
from copydesk_paper.records import Quote, Report
from copydesk_paper.tape import INTERVALS

from copydesk_ib.rehearsal.audience import Audience
from copydesk_ib.rehearsal.clients import Client
from copydesk_ib.rehearsal.codes import Refusal, invalid
from copydesk_ib.rehearsal.listings import Listing
from copydesk_ib.rehearsal.times import moment, stamp
from copydesk_ib.rehearsal.wire import double, integer, plain

Told = dict[str, Any]
SECOND, MINUTE, HOUR, DAY = 1, 60, 3_600, 86_400
BAR_SIZES: Final = {
    **{f"{n} secs": n for n in (1, 5, 10, 15, 30)},
    **{f"{n} mins": n * MINUTE for n in (2, 3, 5, 10, 15, 20, 30)},
    **{f"{n} hours": n * HOUR for n in (2, 3, 4, 8)},
    "1 sec": SECOND,
    "1 min": MINUTE,
    "1 hour": HOUR,
    "1 day": DAY,
    "1 week": 7 * DAY,
    "1W": 7 * DAY,
    "1 month": 30 * DAY,
    "1M": 30 * DAY,
}
"""Seconds of each bar size that TWS takes."""
DURATIONS: Final = {"S": SECOND, "D": DAY, "W": 7 * DAY, "M": 30 * DAY, "Y": 365 * DAY}
SHOWN: Final = ("TRADES", "MIDPOINT", "BID", "ASK", "BID_ASK", "ADJUSTED_LAST")
MOST_BARS = 1_500
MOST_TICKS = 1_000
REAL_TIME_SECONDS: Final = 5


@dataclass(slots=True)
class _Kept:
    """Bars that a client wants kept up to date."""

    client: Client
    request: int
    listing: Listing
    seconds: int
    what: str
    in_seconds: bool
    told: tuple[str, ...] = ()


@dataclass(slots=True)
class _RealTime:
    client: Client
    request: int
    listing: Listing
    next_ms: int


class History:
    """Bars and ticks of the past, and the bars that go on."""

    def __init__(
        self, exchange: Exchange, audience: Audience, find: Callable[[Told], Listing], now_ms: Callable[[], int]
    ) -> None:
        self._exchange = exchange
        self._audience = audience
        self._find = find
        self._now_ms = now_ms
        self._quotes: dict[str, deque[Quote]] = {}

    # --- bars -------------------------------------------------------------------------------------------------------

    async def historical_data(self, client: Client, told: Told) -> None:
        listing = self._listing(told)
        seconds, span = _bar_seconds(told["barSize"]), _span_seconds(told["duration"])
        if told["what"] not in SHOWN:
            raise invalid("What to show field is missing or incorrect.")
        keep = told["keepUpToDate"] == "1"
        if keep and told["end"]:
            raise invalid("End date not supported with the keep up to date request")
        end_ms = _moment_ms(told["end"]) if told["end"] else self._now_ms()
        in_seconds = told["formatDate"] == "2"
        bars = [bar for bar in self._bars(listing, seconds) if end_ms - span * 1000 <= bar.open_ms < end_ms]
        rows = [_row(bar, seconds, told["what"], in_seconds=in_seconds) for bar in bars]
        start, end = stamp(end_ms - span * 1000), stamp(end_ms)
        request = integer(told["reqId"])
        client.send("historicalData", reqId=request, start=start, end=end, bars=rows)
        if keep:
            client.subscribe("bars", request, _Kept(client, request, listing, seconds, told["what"], in_seconds))

    async def cancel_historical_data(self, client: Client, told: Told) -> None:
        if client.subscriptions.pop(("bars", integer(told["reqId"])), None) is None:
            raise Refusal("history", reason=f"API historical data query cancelled: {told['reqId']}")

    def _listing(self, told: Told) -> Listing:
        if told["secType"] == "BAG":
            raise Refusal("history", reason="Historical data of combinations is not rehearsed.")
        listing = self._find(told)
        if listing.sec_type == "CASH" and told["what"] in ("TRADES", "ADJUSTED_LAST"):
            name = f"{listing.symbol}.{listing.currency}"
            raise Refusal("history", reason=f"No historical market data for {name}/CASH@FXSUBPIP Last {told['barSize']}")
        return listing

    def _bars(self, listing: Listing, seconds: int) -> list[Candle]:
        """Bars of that many seconds, merged from the longest interval of the tape that divides them."""
        lengths = {name: length for name, length in INTERVALS.items() if seconds * 1000 % length == 0}
        base = max(lengths, key=lambda name: lengths[name])
        return merge(self._exchange.candles(listing.name, base, MOST_BARS), seconds * 1000)

    async def head_timestamp(self, client: Client, told: Told) -> None:
        bars = self._bars(self._find(told), MINUTE)
        if not bars:
            raise Refusal("history", reason="No head time stamp")
        first = bars[0].open_ms
        shown = str(first // 1000) if told["formatDate"] == "2" else _utc(first)
        client.send("headTimestamp", reqId=told["reqId"], time=shown)

    async def histogram(self, client: Client, told: Told) -> None:
        """How much was traded at each price of the kept trades."""
        sizes: dict[Decimal, Decimal] = {}
        for trade in self._exchange.trades(self._find(told).name, MOST_TICKS):
            sizes[trade.price] = sizes.get(trade.price, Decimal(0)) + trade.quantity
        rows = [{"price": double(price), "count": str(int(size))} for price, size in sorted(sizes.items())]
        client.send("histogram", reqId=told["reqId"], bars=rows)

    async def cancel_histogram(self, client: Client, told: Told) -> None:
        """It was answered already."""

    async def cancel_head_timestamp(self, client: Client, told: Told) -> None:
        """It was answered already."""

    # --- bars that go on --------------------------------------------------------------------------------------------

    async def real_time_bars(self, client: Client, told: Told) -> None:
        if told["what"] not in SHOWN[:4]:
            raise invalid("What to show field is missing or incorrect.")
        request, listing = integer(told["reqId"]), self._find(told)
        step = REAL_TIME_SECONDS * 1000
        next_ms = self._now_ms() // step * step + step
        client.subscribe("real-time", request, _RealTime(client, request, listing, next_ms))

    async def cancel_real_time_bars(self, client: Client, told: Told) -> None:
        client.subscriptions.pop(("real-time", integer(told["reqId"])), None)

    def tick(self) -> None:
        """Once a second: bars that changed, and five-second bars that are over."""
        for client in () if self._audience.deaf else self._audience.everybody():
            for kept in tuple(client.subscriptions.values()):
                if isinstance(kept, _Kept):
                    self._update(kept)
                elif isinstance(kept, _RealTime):
                    self._real_time(kept)

    def _update(self, kept: _Kept) -> None:
        bars = self._bars(kept.listing, kept.seconds)
        if not bars:
            return
        row = _row(bars[-1], kept.seconds, kept.what, in_seconds=kept.in_seconds)
        told = tuple(row.values())
        if told != kept.told:
            kept.told = told
            kept.client.send("historicalUpdate", reqId=kept.request, **row)

    def _real_time(self, kept: _RealTime) -> None:
        step = REAL_TIME_SECONDS * 1000
        while kept.next_ms <= self._now_ms():
            first = kept.next_ms - step
            kept.next_ms += step
            bars = [
                bar
                for bar in self._exchange.candles(kept.listing.name, "1s", 4 * REAL_TIME_SECONDS)
                if first <= bar.open_ms < first + step
            ]
            last = self._exchange.last_price(kept.listing.name)
            quiet = Candle(open_ms=first, open=last, high=last, low=last, close=last, volume=Decimal(0))
            bar = merge(bars, step)[-1] if bars else quiet
            row = _row(bar, REAL_TIME_SECONDS, "TRADES", in_seconds=True)
            kept.client.send("realTimeBar", reqId=kept.request, **row)

    def drop_subscriptions(self) -> None:
        """What 1101 means: bars that were kept up to date are not any more."""
        for client in self._audience.everybody():
            kept = {key: one for key, one in client.subscriptions.items() if not isinstance(one, _Kept | _RealTime)}
            client.subscriptions = kept

    # --- ticks ------------------------------------------------------------------------------------------------------

    def on_report(self, report: Report) -> None:
        if isinstance(report, Quote):
            self._quotes.setdefault(report.symbol, deque(maxlen=MOST_TICKS)).append(report)

    async def historical_ticks(self, client: Client, told: Told) -> None:
        listing, request = self._find(told), integer(told["reqId"])
        count = integer(told["count"])
        if not 0 < count <= MOST_TICKS:
            raise invalid(f"Number of ticks must be between 1 and {MOST_TICKS}")
        if bool(told["start"]) == bool(told["end"]):
            raise invalid("Specify exactly one of start date or end date")
        since = _moment_ms(told["start"]) if told["start"] else 0
        until = _moment_ms(told["end"]) if told["end"] else self._now_ms() + 1
        match told["what"]:
            case "TRADES":
                trades = [
                    {
                        "time": one.time_ms // 1000,
                        "price": double(one.price),
                        "size": one.quantity,
                        "exchange": listing.venue,
                    }
                    for one in self._exchange.trades(listing.name, MOST_TICKS)
                    if since <= one.time_ms <= until
                ]
                self._send_ticks(client, "historicalTicksLast", request, trades, count, bool(told["start"]))
            case "BID_ASK" | "MIDPOINT":
                quotes = [one for one in self._quotes.get(listing.name, ()) if since <= one.time_ms <= until]
                middle = told["what"] == "MIDPOINT"
                name = "historicalTicks" if middle else "historicalTicksBidAsk"
                rows = [_middle(one) if middle else _bid_ask(one) for one in quotes]
                self._send_ticks(client, name, request, rows, count, bool(told["start"]))
            case _:
                raise invalid("What to show field is missing or incorrect.")

    @staticmethod
    def _send_ticks(client: Client, name: str, request: int, rows: list[Told], count: int, forwards: bool) -> None:
        client.send(name, reqId=request, ticks=rows[:count] if forwards else rows[-count:], done=True)


def merge(bars: Iterable[Candle], length_ms: int) -> list[Candle]:
    """Bars of a longer interval, oldest first."""
    merged: list[Candle] = []
    for bar in bars:
        opens = bar.open_ms - bar.open_ms % length_ms
        if not merged or merged[-1].open_ms != opens:
            merged.append(
                Candle(open_ms=opens, open=bar.open, high=bar.high, low=bar.low, close=bar.close, volume=bar.volume)
            )
            continue
        last = merged[-1]
        merged[-1] = Candle(
            open_ms=opens,
            open=last.open,
            high=max(last.high, bar.high),
            low=min(last.low, bar.low),
            close=bar.close,
            volume=last.volume + bar.volume,
        )
    return merged


def _row(bar: Candle, seconds: int, what: str, *, in_seconds: bool) -> Told:
    traded = what in ("TRADES", "ADJUSTED_LAST")
    if seconds >= DAY:
        time = f"{datetime.fromtimestamp(bar.open_ms / 1000, UTC):%Y%m%d}"
    else:
        time = str(bar.open_ms // 1000) if in_seconds else stamp(bar.open_ms)
    average = tidy((bar.open + bar.high + bar.low + bar.close) / 4)
    return {
        "time": time,
        "open": double(bar.open),
        "high": double(bar.high),
        "low": double(bar.low),
        "close": double(bar.close),
        "volume": plain(bar.volume) if traded else "-1",
        "average": double(average) if traded else "-1",
        "count": "1" if traded else "-1",
    }


def _bid_ask(quote: Quote) -> Told:
    return {
        "time": quote.time_ms // 1000,
        "bid": double(quote.bid),
        "ask": double(quote.ask),
        "bidSize": quote.bid_quantity,
        "askSize": quote.ask_quantity,
    }


def _middle(quote: Quote) -> Told:
    return {"time": quote.time_ms // 1000, "price": double((quote.bid + quote.ask) / 2), "size": 0}


def _bar_seconds(told: str) -> int:
    seconds = BAR_SIZES.get(" ".join(told.split()))
    if seconds is None:
        raise invalid("Historical data bar size setting is invalid. Legal ones are: 1 secs, 5 secs, ... 1 day, 1W, 1M")
    return seconds


def _span_seconds(told: str) -> int:
    count, _, unit = told.partition(" ")
    if not count.isdecimal() or unit not in DURATIONS:
        raise invalid("Historical data query duration string invalid: write an integer, a blank and S, D, W, M or Y")
    return int(count) * DURATIONS[unit]


def _moment_ms(told: str) -> int:
    try:
        return round(moment(told).timestamp() * 1000)
    except ValueError:
        raise invalid("The date, time, or time-zone entered is invalid.") from None


def _utc(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y%m%d-%H:%M:%S}"
