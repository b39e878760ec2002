"""Spot market data in Binance's JSON: for REST replies and for stream events."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from copydesk.model import ZERO, Candle
from copydesk_paper.exchange import Exchange
from copydesk_paper.records import Quote, Trade

from copydesk_binance.rehearsal.market import DAY, HOUR, INTERVALS, MAX_CANDLES, MINUTE, SECOND, Bars
from copydesk_binance.rehearsal.spot.listing import Listing
from copydesk_binance.rehearsal.streams import Levels
from copydesk_binance.rehearsal.wire import Json, money

WINDOWS = {"1h": HOUR, "4h": 4 * HOUR, "1d": DAY}
"""The rolling windows that streams tell of."""


SPOT_INTERVALS = {"1s": SECOND, **INTERVALS}


class SpotMarket(Bars):
    """What the exchange shows to everybody. All numbers have eight decimals."""

    intervals = SPOT_INTERVALS

    def __init__(self, exchange: Exchange, listing: Listing, now_ms: Callable[[], int]) -> None:
        super().__init__(exchange, listing.rules)
        self._listing = listing
        self._now_ms = now_ms

    # --- books and trades ---

    def levels(self, symbol: str, limit: int) -> tuple[Levels, Levels]:
        """Bids and asks as the wire has them, the best first."""
        bids, asks = self._exchange.depth(symbol, limit)
        return _written(bids), _written(asks)

    def depth(self, symbol: str, limit: int) -> Json:
        bids, asks = self.levels(symbol, limit)
        return {"lastUpdateId": self.update_id, "bids": bids, "asks": asks}

    def trades(self, symbol: str, limit: int) -> list[Json]:
        return [
            {
                "id": trade.trade_id,
                "price": money(trade.price),
                "qty": money(trade.quantity),
                "quoteQty": money(trade.price * trade.quantity),
                "time": trade.time_ms,
                "isBuyerMaker": trade.buyer_is_maker,
                "isBestMatch": True,
            }
            for trade in self._exchange.trades(symbol, limit)
        ]

    def aggregate_trades(self, symbol: str, limit: int) -> list[Json]:
        return [_aggregate(trade) for trade in self._exchange.trades(symbol, limit)]

    def aggregate_event(self, trade: Trade) -> Json:
        return {"e": "aggTrade", "E": self._now_ms(), "s": trade.symbol} | _aggregate(trade)

    def trade_event(self, trade: Trade) -> Json:
        return {
            "e": "trade",
            "E": self._now_ms(),
            "s": trade.symbol,
            "t": trade.trade_id,
            "p": money(trade.price),
            "q": money(trade.quantity),
            "T": trade.time_ms,
            "m": trade.buyer_is_maker,
            "M": True,
        }

    def book_ticker(self, symbol: str) -> Json:
        quote = self._exchange.quote(symbol)
        return {
            "symbol": symbol,
            "bidPrice": money(quote.bid),
            "bidQty": money(quote.bid_quantity),
            "askPrice": money(quote.ask),
            "askQty": money(quote.ask_quantity),
        }

    def book_ticker_event(self, quote: Quote) -> Json:
        """The one event without a kind and a time."""
        return {
            "u": self.update_id,
            "s": quote.symbol,
            "b": money(quote.bid),
            "B": money(quote.bid_quantity),
            "a": money(quote.ask),
            "A": money(quote.ask_quantity),
        }

    # --- candles ---

    def candle_row(self, bar: Candle, length: int) -> list[str | int]:
        turnover = bar.volume * bar.close
        return [
            bar.open_ms,
            money(bar.open),
            money(bar.high),
            money(bar.low),
            money(bar.close),
            money(bar.volume),
            bar.open_ms + length - 1,
            money(turnover),
            1 if bar.volume else 0,
            money(bar.volume / 2),
            money(turnover / 2),
            "0",
        ]

    def candle_event(self, symbol: str, interval: str, *, ahead_ms: int = 0) -> Json | None:
        """The newest bar as the stream has it; None before there is one."""
        bars = self.candles(symbol, interval, 1, ahead_ms=ahead_ms)
        if not bars:
            return None
        length, now, newest = self.intervals[interval], self._now_ms(), self.last_trade_id(symbol)
        row = self.candle_row(bars[-1], length)
        bar = {"t": row[0], "T": row[6], "s": symbol, "i": interval, "f": newest, "L": newest}
        bar |= {"o": row[1], "c": row[4], "h": row[2], "l": row[3], "v": row[5], "n": row[8]}
        bar |= {"x": now > bars[-1].open_ms + length - 1, "q": row[7], "V": row[9], "Q": row[10], "B": "0"}
        return {"e": "kline", "E": now, "s": symbol, "k": bar}

    # --- tickers ---

    def day(self, symbol: str) -> Json:
        """`ticker/24hr`."""
        bars, now = self.candles(symbol, "1h", 24), self._now_ms()
        last, quote = self._exchange.last_price(symbol), self._exchange.quote(symbol)
        opened = bars[0].open if bars else last
        volume = sum((bar.volume for bar in bars), ZERO)
        turnover = sum((bar.volume * bar.close for bar in bars), ZERO)
        trade = self._last_trade.get(symbol)
        return {
            "symbol": symbol,
            "priceChange": money(last - opened),
            "priceChangePercent": f"{(last - opened) / opened * 100 if opened else ZERO:.3f}",
            "weightedAvgPrice": money(turnover / volume if volume else last),
            "prevClosePrice": money(opened),
            "lastPrice": money(last),
            "lastQty": money(trade.quantity if trade else ZERO),
            "bidPrice": money(quote.bid),
            "bidQty": money(quote.bid_quantity),
            "askPrice": money(quote.ask),
            "askQty": money(quote.ask_quantity),
            "openPrice": money(opened),
            "highPrice": money(max((bar.high for bar in bars), default=last)),
            "lowPrice": money(min((bar.low for bar in bars), default=last)),
            "volume": money(volume),
            "quoteVolume": money(turnover),
            "openTime": bars[0].open_ms if bars else now - DAY,
            "closeTime": now,
            "firstId": 1,
            "lastId": max(1, self.last_trade_id(symbol)),
            "count": self.last_trade_id(symbol),
        }

    def window(self, symbol: str, start_ms: int) -> Json:
        """`ticker` and `ticker/tradingDay`: since then, to the minute."""
        now, last = self._now_ms(), self._exchange.last_price(symbol)
        start_ms -= start_ms % MINUTE
        bars = self.candles(symbol, "1h" if now - start_ms > DAY + HOUR else "1m", MAX_CANDLES, start_ms)
        opened = bars[0].open if bars else last
        volume = sum((bar.volume for bar in bars), ZERO)
        turnover = sum((bar.volume * bar.close for bar in bars), ZERO)
        newest = self.last_trade_id(symbol)
        return {
            "symbol": symbol,
            "priceChange": money(last - opened),
            "priceChangePercent": f"{(last - opened) / opened * 100 if opened else ZERO:.3f}",
            "weightedAvgPrice": money(turnover / volume if volume else last),
            "openPrice": money(opened),
            "highPrice": money(max((bar.high for bar in bars), default=last)),
            "lowPrice": money(min((bar.low for bar in bars), default=last)),
            "lastPrice": money(last),
            "volume": money(volume),
            "quoteVolume": money(turnover),
            "openTime": start_ms,
            "closeTime": now,
            "firstId": 1,
            "lastId": max(1, newest),
            "count": newest,
        }

    def window_event(self, symbol: str, size: str) -> Json:
        """`1hTicker` and its like."""
        told = self.window(symbol, self._now_ms() - WINDOWS[size])
        fields = {name: told[field] for name, field in _DAY if field in told}
        return {"e": f"{size}Ticker", "E": self._now_ms(), "s": symbol} | fields

    def day_event(self, symbol: str) -> Json:
        day = self.day(symbol)
        return {"e": "24hrTicker", "E": self._now_ms(), "s": symbol} | {name: day[field] for name, field in _DAY}

    def mini_event(self, symbol: str) -> Json:
        day = self.day(symbol)
        return {"e": "24hrMiniTicker", "E": self._now_ms(), "s": symbol} | {name: day[field] for name, field in _MINI}

    def price(self, symbol: str) -> Json:
        return {"symbol": symbol, "price": money(self._exchange.last_price(symbol))}

    def average(self, symbol: str) -> Json:
        """`avgPrice`: of the last five minutes."""
        bars = self.candles(symbol, "1m", 5)
        volume = sum((bar.volume for bar in bars), ZERO)
        mean = sum((bar.volume * bar.close for bar in bars), ZERO) / volume if volume else self._exchange.last_price(symbol)
        return {"mins": 5, "price": money(mean), "closeTime": self._now_ms()}

    def average_event(self, symbol: str) -> Json:
        average = self.average(symbol)
        named = {"i": "5m", "w": average["price"], "T": average["closeTime"]}
        return {"e": "avgPrice", "E": self._now_ms(), "s": symbol} | named


_DAY = (
    ("p", "priceChange"),
    ("P", "priceChangePercent"),
    ("w", "weightedAvgPrice"),
    ("x", "prevClosePrice"),
    ("c", "lastPrice"),
    ("Q", "lastQty"),
    ("b", "bidPrice"),
    ("B", "bidQty"),
    ("a", "askPrice"),
    ("A", "askQty"),
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
_MINI = (
    ("c", "lastPrice"),
    ("o", "openPrice"),
    ("h", "highPrice"),
    ("l", "lowPrice"),
    ("v", "volume"),
    ("q", "quoteVolume"),
)


def _written(side: list[tuple[Decimal, Decimal]]) -> Levels:
    return [[money(price), money(size)] for price, size in side]


def _aggregate(trade: Trade) -> Json:
    return {
        "a": trade.trade_id,
        "p": money(trade.price),
        "q": money(trade.quantity),
        "f": trade.trade_id,
        "l": trade.trade_id,
        "T": trade.time_ms,
        "m": trade.buyer_is_maker,
        "M": True,
    }
