"""Market data in Binance's JSON: books, trades, candles, tickers, mark prices; for REST replies and for stream events."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from decimal import Decimal

from copydesk.model import ZERO, Candle
from copydesk_paper.exchange import Exchange
from copydesk_paper.records import Quote, Trade

from copydesk_binance.rehearsal.codes import Refusal
from copydesk_binance.rehearsal.listing import Listing, Rules
from copydesk_binance.rehearsal.wire import Json, money, padded

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
INTERVALS = {
    "1m": MINUTE,
    "3m": 3 * MINUTE,
    "5m": 5 * MINUTE,
    "15m": 15 * MINUTE,
    "30m": 30 * MINUTE,
    "1h": HOUR,
    "2h": 2 * HOUR,
    "4h": 4 * HOUR,
    "6h": 6 * HOUR,
    "8h": 8 * HOUR,
    "12h": 12 * HOUR,
    "1d": DAY,
    "3d": 3 * DAY,
    "1w": 7 * DAY,
    "1M": 30 * DAY,
}
"""Milliseconds of Binance's candle intervals; a month is thirty days here."""
_KEPT = {"1s": SECOND, "1m": MINUTE, "5m": 5 * MINUTE, "15m": 15 * MINUTE, "1h": HOUR, "4h": 4 * HOUR, "1d": DAY}
_MONDAY_MS = 4 * DAY
"""The epoch began on a Thursday, and weeks begin on Mondays."""
FUNDING_MS = 8 * HOUR
FUNDING_RATE = "0.00010000"
MAX_CANDLES = 1500


class Bars:
    """Candles of every interval that the service has, and how often the books changed. `check` refuses unlisted symbols."""

    intervals: Mapping[str, int] = INTERVALS

    def __init__(self, exchange: Exchange, check: Callable[[str], object]) -> None:
        self._exchange = exchange
        self._check = check
        self._updates = 1_000_000
        self._last_trade: dict[str, Trade] = {}

    def note(self, report: Trade | Quote) -> None:
        """Count a change of the market."""
        self._updates += 1
        if isinstance(report, Trade):
            self._last_trade[report.symbol] = report

    @property
    def update_id(self) -> int:
        return self._updates

    def last_trade_id(self, symbol: str) -> int:
        trade = self._last_trade.get(symbol)
        return trade.trade_id if trade else 0

    def candles(
        self, symbol: str, interval: str, limit: int = 500, start_ms: int = 0, end_ms: int = 0, *, ahead_ms: int = 0
    ) -> list[Candle]:
        """Bars, the newest last; they begin as days do in a zone that is so much ahead of UTC.

        Raises `Refusal` -1120 for an interval that the service does not have.
        """
        length = self.intervals.get(interval)
        if length is None:
            raise Refusal(-1120)
        self._check(symbol)
        fits = (name for name in _KEPT if length % _KEPT[name] == 0 and ahead_ms % _KEPT[name] == 0)
        base = max(fits, key=_KEPT.__getitem__)
        ratio = length // _KEPT[base]
        bars = _merged(self._exchange.candles(symbol, base, MAX_CANDLES if start_ms else limit * ratio), length, ahead_ms)
        if length == SECOND:
            bars = _without_gaps(bars)
        bars = [bar for bar in bars if bar.open_ms >= start_ms and (not end_ms or bar.open_ms <= end_ms)]
        return bars[:limit] if start_ms else bars[-limit:]


class MarketData(Bars):
    """What the exchange shows to everybody, as Binance writes it. Book updates are numbered by one counter."""

    def __init__(self, exchange: Exchange, listing: Listing, now_ms: Callable[[], int]) -> None:
        super().__init__(exchange, listing.rules)
        self._listing = listing
        self._now_ms = now_ms

    # --- books and trades ---

    def levels(self, rules: Rules, limit: int) -> tuple[list[list[str]], list[list[str]]]:
        """Bids and asks as the wire has them, the best first."""
        bids, asks = self._exchange.depth(rules.symbol, limit)
        return self._written(bids, rules), self._written(asks, rules)

    @staticmethod
    def _written(side: list[tuple[Decimal, Decimal]], rules: Rules) -> list[list[str]]:
        return [[padded(price, rules.price_places), padded(size, rules.quantity_places)] for price, size in side]

    def depth(self, symbol: str, limit: int) -> Json:
        bids, asks = self.levels(self._listing.rules(symbol), limit)
        now = self._now_ms()
        return {"lastUpdateId": self._updates, "E": now, "T": now, "bids": bids, "asks": asks}

    def trades(self, symbol: str, limit: int) -> list[Json]:
        rules = self._listing.rules(symbol)
        return [
            {
                "id": trade.trade_id,
                "price": padded(trade.price, rules.price_places),
                "qty": padded(trade.quantity, rules.quantity_places),
                "quoteQty": padded(trade.price * trade.quantity, rules.quote_places),
                "time": trade.time_ms,
                "isBuyerMaker": trade.buyer_is_maker,
                "isRPITrade": False,
            }
            for trade in self._exchange.trades(symbol, limit)
        ]

    def aggregate_trades(self, symbol: str, limit: int) -> list[Json]:
        rules = self._listing.rules(symbol)
        return [_aggregate(trade, rules) for trade in self._exchange.trades(symbol, limit)]

    def aggregate_event(self, trade: Trade, now_ms: int) -> Json:
        fields = _aggregate(trade, self._listing.rules(trade.symbol))
        event: Json = {"e": "aggTrade", "E": now_ms, "a": fields.pop("a"), "s": trade.symbol}
        return event | fields | {"st": 1}

    def trade_event(self, trade: Trade, now_ms: int) -> Json:
        rules = self._listing.rules(trade.symbol)
        return {
            "e": "trade",
            "E": now_ms,
            "T": trade.time_ms,
            "s": trade.symbol,
            "t": trade.trade_id,
            "p": padded(trade.price, rules.price_places),
            "q": padded(trade.quantity, rules.quantity_places),
            "X": "MARKET",
            "m": trade.buyer_is_maker,
        }

    def book_ticker(self, symbol: str) -> Json:
        rules, quote = self._listing.rules(symbol), self._exchange.quote(symbol)
        return {
            "symbol": symbol,
            "bidPrice": padded(quote.bid, rules.price_places),
            "bidQty": padded(quote.bid_quantity, rules.quantity_places),
            "askPrice": padded(quote.ask, rules.price_places),
            "askQty": padded(quote.ask_quantity, rules.quantity_places),
            "time": quote.time_ms,
            "lastUpdateId": self._updates,
        }

    def book_ticker_event(self, quote: Quote, now_ms: int) -> Json:
        rules = self._listing.rules(quote.symbol)
        return {
            "e": "bookTicker",
            "u": self._updates,
            "s": quote.symbol,
            "b": padded(quote.bid, rules.price_places),
            "B": padded(quote.bid_quantity, rules.quantity_places),
            "a": padded(quote.ask, rules.price_places),
            "A": padded(quote.ask_quantity, rules.quantity_places),
            "T": quote.time_ms,
            "E": now_ms,
            "st": 1,
            "ps": quote.symbol,
        }

    # --- candles ---

    def candle_row(self, bar: Candle, length: int, rules: Rules) -> list[str | int]:
        places = rules.price_places
        volume, turnover = padded(bar.volume, rules.quantity_places), padded(bar.volume * bar.close, rules.quote_places)
        half, half_turnover = bar.volume / 2, bar.volume * bar.close / 2
        return [
            bar.open_ms,
            padded(bar.open, places),
            padded(bar.high, places),
            padded(bar.low, places),
            padded(bar.close, places),
            volume,
            bar.open_ms + length - 1,
            turnover,
            1 if bar.volume else 0,
            padded(half, rules.quantity_places),
            padded(half_turnover, rules.quote_places),
            "0",
        ]

    def candle_event(self, symbol: str, interval: str, now_ms: int) -> Json | None:
        """The newest bar as the stream has it; None before there is one."""
        bars = self.candles(symbol, interval, 1)
        if not bars:
            return None
        rules, length, trade = self._listing.rules(symbol), INTERVALS[interval], self._last_trade.get(symbol)
        row = self.candle_row(bars[-1], length, rules)
        newest = trade.trade_id if trade else 0
        return {
            "e": "kline",
            "E": now_ms,
            "s": symbol,
            "k": {
                "t": row[0],
                "T": row[6],
                "s": symbol,
                "i": interval,
                "f": newest,
                "L": newest,
                "o": row[1],
                "c": row[4],
                "h": row[2],
                "l": row[3],
                "v": row[5],
                "n": row[8],
                "x": now_ms > bars[-1].open_ms + length - 1,
                "q": row[7],
                "V": row[9],
                "Q": row[10],
                "B": "0",
            },
        }

    # --- tickers and marks ---

    def day(self, symbol: str) -> Json:
        """`ticker/24hr`."""
        rules = self._listing.rules(symbol)
        places = rules.price_places
        now = self._now_ms()
        bars = self.candles(symbol, "1h", 24)
        last = self._exchange.last_price(symbol)
        opened = bars[0].open if bars else last
        volume = sum((bar.volume for bar in bars), ZERO)
        turnover = sum((bar.volume * bar.close for bar in bars), ZERO)
        trade = self._last_trade.get(symbol)
        return {
            "symbol": symbol,
            "priceChange": padded(last - opened, places),
            "priceChangePercent": padded((last - opened) / opened * 100 if opened else ZERO, 3),
            "weightedAvgPrice": padded(turnover / volume if volume else last, places),
            "lastPrice": padded(last, places),
            "lastQty": padded(trade.quantity if trade else ZERO, rules.quantity_places),
            "openPrice": padded(opened, places),
            "highPrice": padded(max((bar.high for bar in bars), default=last), places),
            "lowPrice": padded(min((bar.low for bar in bars), default=last), places),
            "volume": padded(volume, rules.quantity_places),
            "quoteVolume": padded(turnover, rules.quote_places),
            "openTime": bars[0].open_ms if bars else now - DAY,
            "closeTime": now,
            "firstId": 1,
            "lastId": trade.trade_id if trade else 1,
            "count": trade.trade_id if trade else 0,
        }

    def day_event(self, symbol: str, now_ms: int) -> Json:
        day = self.day(symbol)
        return {"e": "24hrTicker", "E": now_ms, "s": symbol} | {name: day[field] for name, field in _DAY_EVENT} | {"st": 1}

    def mini_event(self, symbol: str, now_ms: int) -> Json:
        day = self.day(symbol)
        return {"e": "24hrMiniTicker", "E": now_ms, "s": symbol} | {name: day[field] for name, field in _MINI_EVENT}

    def price(self, symbol: str) -> Json:
        rules = self._listing.rules(symbol)
        price = padded(self._exchange.last_price(symbol), rules.price_places)
        return {"symbol": symbol, "price": price, "time": self._now_ms()}

    def premium(self, symbol: str) -> Json:
        """`premiumIndex`; the mark price stands for the index too."""
        self._listing.rules(symbol)
        now = self._now_ms()
        mark = money(self._exchange.quote(symbol).mark)
        return {
            "symbol": symbol,
            "markPrice": mark,
            "indexPrice": mark,
            "estimatedSettlePrice": mark,
            "lastFundingRate": FUNDING_RATE,
            "interestRate": "0.00010000",
            "nextFundingTime": now - now % FUNDING_MS + FUNDING_MS,
            "time": now,
        }

    def mark_event(self, symbol: str, now_ms: int) -> Json:
        premium = self.premium(symbol)
        mark = premium["markPrice"]
        return {
            "e": "markPriceUpdate",
            "E": now_ms,
            "s": symbol,
            "p": mark,
            "i": mark,
            "P": mark,
            "ap": mark,
            "r": FUNDING_RATE,
            "T": premium["nextFundingTime"],
            "st": 1,
        }

    def funding(self, symbol: str, limit: int) -> list[Json]:
        mark = self.premium(symbol)["markPrice"]
        newest = self._now_ms() // FUNDING_MS * FUNDING_MS
        return [
            {"symbol": symbol, "fundingTime": newest - back * FUNDING_MS, "fundingRate": FUNDING_RATE, "markPrice": mark}
            for back in reversed(range(limit))
        ]


_DAY_EVENT = (
    ("p", "priceChange"),
    ("P", "priceChangePercent"),
    ("w", "weightedAvgPrice"),
    ("c", "lastPrice"),
    ("Q", "lastQty"),
    ("o", "openPrice"),
    ("h", "highPrice"),
    ("l", "lowPrice"),
    ("v", "volume"),
    ("q", "quoteVolume"),
    ("O", "openTime"),
    ("C", "closeTime"),
    ("F", "firstId"),
    ("L", "lastId"),
    ("n", "count"),
)
_MINI_EVENT = (
    ("c", "lastPrice"),
    ("o", "openPrice"),
    ("h", "highPrice"),
    ("l", "lowPrice"),
    ("v", "volume"),
    ("q", "quoteVolume"),
)


def _aggregate(trade: Trade, rules: Rules) -> Json:
    return {
        "a": trade.trade_id,
        "p": padded(trade.price, rules.price_places),
        "q": padded(trade.quantity, rules.quantity_places),
        "nq": padded(trade.quantity, rules.quantity_places),
        "f": trade.trade_id,
        "l": trade.trade_id,
        "T": trade.time_ms,
        "m": trade.buyer_is_maker,
    }


def _without_gaps(bars: list[Candle]) -> list[Candle]:
    """With a flat bar for each second in which nobody traded, as far as `MAX_CANDLES` go back."""
    filled: deque[Candle] = deque(maxlen=MAX_CANDLES)
    for bar in bars:
        if filled:
            close, first = filled[-1].close, max(filled[-1].open_ms + SECOND, bar.open_ms - MAX_CANDLES * SECOND)
            for at_ms in range(first, bar.open_ms, SECOND):
                filled.append(Candle(open_ms=at_ms, open=close, high=close, low=close, close=close, volume=ZERO))
        filled.append(bar)
    return list(filled)


def _merged(bars: list[Candle], length: int, ahead_ms: int = 0) -> list[Candle]:
    """Longer bars out of shorter ones."""
    offset = (_MONDAY_MS if length == 7 * DAY else 0) - ahead_ms
    merged: list[Candle] = []
    for bar in bars:
        start = (bar.open_ms - offset) // length * length + offset
        if merged and merged[-1].open_ms == start:
            before = merged[-1]
            merged[-1] = Candle(
                open_ms=start,
                open=before.open,
                high=max(before.high, bar.high),
                low=min(before.low, bar.low),
                close=bar.close,
                volume=before.volume + bar.volume,
            )
        else:
            merged.append(
                Candle(open_ms=start, open=bar.open, high=bar.high, low=bar.low, close=bar.close, volume=bar.volume)
            )
    return merged
