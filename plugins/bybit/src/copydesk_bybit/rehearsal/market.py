"""Market data in Bybit's JSON: books, trades, candles, tickers; for REST replies and for public topics."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from copydesk.model import ZERO, Candle, Contract
from copydesk_paper.exchange import Exchange
from copydesk_paper.records import Trade
from msgspec.structs import replace

from copydesk_bybit.rehearsal.account import trade_id_of
from copydesk_bybit.rehearsal.codes import bad
from copydesk_bybit.rehearsal.listing import Rules
from copydesk_bybit.rehearsal.wire import Json, bare, money, padded
from copydesk_bybit.symbols import SPOT

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
INTERVALS = {
    "1": MINUTE,
    "3": 3 * MINUTE,
    "5": 5 * MINUTE,
    "15": 15 * MINUTE,
    "30": 30 * MINUTE,
    "60": HOUR,
    "120": 2 * HOUR,
    "240": 4 * HOUR,
    "360": 6 * HOUR,
    "720": 12 * HOUR,
    "D": DAY,
    "W": 7 * DAY,
    "M": 30 * DAY,
}
"""Milliseconds of Bybit's candle intervals; a month is thirty days here."""
_KEPT = {"1m": MINUTE, "5m": 5 * MINUTE, "15m": 15 * MINUTE, "1h": HOUR, "4h": 4 * HOUR, "1d": DAY}
_MONDAY_MS = 4 * DAY
"""The epoch began on a Thursday, and weeks begin on Mondays."""
FUNDING_MS = 8 * HOUR
FUNDING_RATE = "0.0001"
MAX_CANDLES = 1_000
DEPTHS = (1, 50, 200, 1_000)

Levels = list[tuple[str, str]]


class MarketData:
    """What the exchange shows to everybody, as Bybit writes it. Books are numbered by one counter, trades by another."""

    def __init__(self, exchange: Exchange, now_ms: Callable[[], int]) -> None:
        self._exchange = exchange
        self._now_ms = now_ms
        self._updates = 15_000_000
        self._seq = 753_843_900_000
        self._before: dict[str, tuple[Decimal, str]] = {}

    def moved(self) -> None:
        """Count a change of the market."""
        self._updates += 1
        self._seq += 1

    @property
    def update_id(self) -> int:
        return self._updates

    @property
    def seq(self) -> int:
        return self._seq

    # --- books ---

    def levels(self, rules: Rules, limit: int) -> tuple[Levels, Levels]:
        """Bids and asks as the wire has them, the best first."""
        bids, asks = self._exchange.depth(rules.symbol, limit)
        return _written(bids, rules), _written(asks, rules)

    def book(self, rules: Rules, limit: int) -> Json:
        """The `orderbook` reply."""
        bids, asks = self.levels(rules, limit)
        now = self._now_ms()
        return {"s": rules.name, "b": bids, "a": asks, "ts": now, "u": self._updates, "seq": self._seq, "cts": now}

    # --- trades ---

    def trades(self, rules: Rules, limit: int) -> list[Json]:
        """The `recent-trade` rows, the newest first."""
        return [
            {
                "execId": trade_id_of(rules.category, trade.trade_id),
                "symbol": rules.name,
                "price": padded(trade.price, rules.price_places),
                "size": padded(trade.quantity, rules.quantity_places),
                "side": "Sell" if trade.buyer_is_maker else "Buy",
                "time": str(trade.time_ms),
                "isBlockTrade": False,
                "isRPITrade": False,
                "seq": str(self._seq),
            }
            for trade in reversed(self._exchange.trades(rules.symbol, limit))
        ]

    def trade_event(self, trade: Trade, rules: Rules) -> Json:
        """A row of the topic `publicTrade`."""
        row: Json = {
            "T": trade.time_ms,
            "s": rules.name,
            "S": "Sell" if trade.buyer_is_maker else "Buy",
            "v": padded(trade.quantity, rules.quantity_places),
            "p": padded(trade.price, rules.price_places),
            "L": self._tick_direction(trade),
            "i": trade_id_of(rules.category, trade.trade_id),
            "BT": False,
            "RPI": False,
            "seq": self._seq,
        }
        if rules.category == SPOT:
            del row["L"]
        return row

    def _tick_direction(self, trade: Trade) -> str:
        price, before = self._before.get(trade.symbol, (ZERO, "PlusTick"))
        if trade.price == price:
            word = before if before.startswith("Zero") else f"Zero{before}"
        else:
            word = "PlusTick" if trade.price > price else "MinusTick"
        self._before[trade.symbol] = (trade.price, word)
        return word

    # --- candles ---

    def candles(self, rules: Rules, interval: str, limit: int = MAX_CANDLES) -> list[Candle]:
        """Bars of any of Bybit's intervals, the newest last. Raises `Refusal` for another one."""
        length = INTERVALS.get(interval)
        if length is None:
            raise bad("Invalid period!")
        kept, part = max((one for one in _KEPT.items() if length % one[1] == 0), key=lambda one: one[1])
        bars: list[Candle] = []
        for bar in self._exchange.candles(rules.symbol, kept, limit * (length // part)):
            shift = _MONDAY_MS if interval == "W" else 0
            start = bar.open_ms - (bar.open_ms - shift) % length
            if bars and bars[-1].open_ms == start:
                newest = bars[-1]
                bars[-1] = replace(
                    newest,
                    high=max(newest.high, bar.high),
                    low=min(newest.low, bar.low),
                    close=bar.close,
                    volume=newest.volume + bar.volume,
                )
            else:
                bars.append(replace(bar, open_ms=start))
        return bars[-limit:]

    def candle_rows(self, rules: Rules, interval: str, start: int, end: int, limit: int) -> list[list[str]]:
        """The `kline` rows, the newest first."""
        places = rules.price_places
        bars = [bar for bar in self.candles(rules, interval) if start <= bar.open_ms <= end]
        return [
            [
                str(bar.open_ms),
                *(padded(price, places) for price in (bar.open, bar.high, bar.low, bar.close)),
                bare(bar.volume),
                money(_turnover(rules, bar)),
            ]
            for bar in reversed(bars[-limit:])
        ]

    def candle_event(self, rules: Rules, interval: str) -> Json | None:
        """The present bar, as a row of the topic `kline`."""
        bars = self.candles(rules, interval, 1)
        if not bars:
            return None
        bar, places, now = bars[-1], rules.price_places, self._now_ms()
        end = bar.open_ms + INTERVALS[interval] - 1
        return {
            "start": bar.open_ms,
            "end": end,
            "interval": interval,
            "open": padded(bar.open, places),
            "close": padded(bar.close, places),
            "high": padded(bar.high, places),
            "low": padded(bar.low, places),
            "volume": bare(bar.volume),
            "turnover": money(_turnover(rules, bar)),
            "confirm": now > end,
            "timestamp": now,
        }

    # --- tickers ---

    def ticker(self, rules: Rules) -> Json:
        """A row of `tickers`."""
        quote, last = self._exchange.quote(rules.symbol), self._exchange.last_price(rules.symbol)
        day = self._exchange.candles(rules.symbol, "5m", DAY // (5 * MINUTE))
        hour = self._exchange.candles(rules.symbol, "1m", 60)
        places, sizes = rules.price_places, rules.quantity_places
        before = day[0].open if day else last
        volume = sum((bar.volume for bar in day), ZERO)
        turnover = sum((_turnover(rules, bar) for bar in day), ZERO)
        change = (last / before - 1).quantize(Decimal("0.000001")) if before else ZERO
        common: Json = {
            "symbol": rules.name,
            "bid1Price": padded(quote.bid, places),
            "bid1Size": padded(quote.bid_quantity, sizes),
            "ask1Price": padded(quote.ask, places),
            "ask1Size": padded(quote.ask_quantity, sizes),
            "lastPrice": padded(last, places),
            "prevPrice24h": padded(before, places),
            "price24hPcnt": padded(change, 6) if rules.category != SPOT else bare(change),
            "highPrice24h": padded(max((bar.high for bar in day), default=last), places),
            "lowPrice24h": padded(min((bar.low for bar in day), default=last), places),
            "turnover24h": money(turnover) if rules.category == SPOT else padded(turnover, 4),
            "volume24h": bare(volume) if rules.category == SPOT else padded(volume, 4),
        }
        if rules.category == SPOT:
            return common | {"usdIndexPrice": padded(quote.mark, places)}
        now = self._now_ms()
        return common | {
            "indexPrice": padded(quote.mark, places),
            "markPrice": padded(quote.mark, places),
            "prevPrice1h": padded(hour[0].open if hour else last, places),
            "openInterest": "0",
            "openInterestValue": "0",
            "fundingRate": FUNDING_RATE,
            "nextFundingTime": str(now - now % FUNDING_MS + FUNDING_MS),
            "predictedDeliveryPrice": "",
            "basisRate": "",
            "basis": "",
            "deliveryFeeRate": "",
            "deliveryTime": "0",
            "preOpenPrice": "",
            "preQty": "",
            "curPreListingPhase": "",
            "fundingIntervalHour": "8",
            "basisRateYear": "",
            "fundingCap": "0.005",
        }

    def ticker_event(self, rules: Rules) -> Json:
        """What the topic `tickers` tells: some fields less, others more."""
        row = self.ticker(rules)
        if rules.category == SPOT:
            gone = ("bid1Price", "bid1Size", "ask1Price", "ask1Size")
            return {name: value for name, value in row.items() if name not in gone}
        absent = ("predictedDeliveryPrice", "basisRate", "basis", "deliveryFeeRate", "deliveryTime", "basisRateYear")
        event = {name: value for name, value in row.items() if name not in absent}
        event["tickDirection"] = self._before.get(rules.symbol, (ZERO, "ZeroPlusTick"))[1]
        return event | {"singleOpenInterest": "0", "singleOpenInterestValue": "0"}


def _written(side: list[tuple[Decimal, Decimal]], rules: Rules) -> Levels:
    return [(padded(price, rules.price_places), padded(size, rules.quantity_places)) for price, size in side]


def _turnover(rules: Rules, bar: Candle) -> Decimal:
    """In the quote currency, for inverse contracts in the base."""
    if rules.instrument.contract is Contract.INVERSE:
        return bar.volume / bar.close if bar.close else ZERO
    return bar.volume * bar.close


def changes(before: Levels, after: Levels) -> Levels:
    """The levels that differ; those that are gone with size 0."""
    old, new = dict(before), dict(after)
    gone = [(price, "0") for price in old if price not in new]
    return [(price, size) for price, size in new.items() if old.get(price) != size] + gone
