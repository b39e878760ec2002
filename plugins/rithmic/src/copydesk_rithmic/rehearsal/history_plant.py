"""The history plant: bars by time and by number of trades, past ones and as they are made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from copydesk.model import Candle
from copydesk_paper.records import Report, Trade
from copydesk_paper.tape import INTERVALS

from copydesk_rithmic.rehearsal.desk import Refusal
from copydesk_rithmic.rehearsal.links import HISTORY, Link
from copydesk_rithmic.rehearsal.server import Call, House, Routes

TIME_BAR, TICK_BAR = 250, 251
SUBSCRIBE = 1
SECOND, MINUTE, DAY = 1, 2, 3
LENGTHS_S = {SECOND: 1, MINUTE: 60, DAY: 86_400}
REGULAR_TICKS = 1
BACKWARDS = 2
MOST_BARS = 10_000
KEPT_BARS = 1_500


# --- by time ---


def subscribe_time(call: Call) -> None:
    symbol, key = call.house.desk.symbol(call.message), _key(call)
    wanted = (symbol, *key)
    (call.link.bars.add if call.message.request == SUBSCRIBE else call.link.bars.discard)(wanted)
    call.done()


def replay_time(call: Call) -> None:
    """Past bars; `marker` is when a bar ends, in seconds."""
    message = call.message
    symbol, (type_, period) = call.house.desk.symbol(message), _key(call)
    bars = [
        bar
        for bar in _bars(call.house, symbol, type_, period)
        if message.start_index <= bar["marker"] and bar["marker"] <= (message.finish_index or bar["marker"])
    ]
    bars = bars[-(message.user_max_count or MOST_BARS) :]
    if message.time_order == BACKWARDS:
        bars.reverse()
    for bar in bars:
        call.row(**bar)
    call.done()


def _key(call: Call) -> tuple[int, int]:
    type_, period = call.message.bar_type, call.message.bar_type_period
    if type_ not in LENGTHS_S or period < 1:
        raise Refusal("6", "bad input")
    return type_, period


def _bars(house: House, symbol: str, type_: int, period: int) -> Iterator[dict[str, Any]]:
    """All bars of this length that there are, made of the longest that the tape keeps and that fit into it."""
    length_ms = LENGTHS_S[type_] * period * 1000
    fitting = max((ms, name) for name, ms in INTERVALS.items() if length_ms % ms == 0)[1]
    bar: list[Candle] = []
    for candle in house.desk.exchange.candles(symbol, fitting, KEPT_BARS):
        if bar and candle.open_ms // length_ms != bar[0].open_ms // length_ms:
            yield _time_bar(symbol, type_, period, bar)
            bar = []
        bar.append(candle)
    if bar:
        yield _time_bar(symbol, type_, period, bar)


def _time_bar(symbol: str, type_: int, period: int, parts: list[Candle]) -> dict[str, Any]:
    exchange, _, contract = symbol.partition(":")
    length_s = LENGTHS_S[type_] * period
    start = parts[0].open_ms // 1000
    return {
        "symbol": contract,
        "exchange": exchange,
        "type": type_,
        "period": str(period),
        "marker": start - start % length_s + length_s,
        "volume": int(sum(part.volume for part in parts)),
        "open_price": float(parts[0].open),
        "high_price": float(max(part.high for part in parts)),
        "low_price": float(min(part.low for part in parts)),
        "close_price": float(parts[-1].close),
    }


def tell_bars(house: House, now_s: int) -> None:
    """Send the time bars that have ended just now; to be called every second."""
    for link in house.links:
        for symbol, type_, period in link.bars:
            if now_s % (LENGTHS_S[type_] * period) == 0:
                ended = [bar for bar in _bars(house, symbol, type_, period) if bar["marker"] == now_s]
                if ended:
                    link.tell(TIME_BAR, **ended[0])


# --- by number of trades ---


def subscribe_ticks(call: Call) -> None:
    symbol, size = call.house.desk.symbol(call.message), _ticks(call)
    wanted = (symbol, str(size))
    if call.message.request == SUBSCRIBE:
        call.link.tick_bars.setdefault(wanted, [])
    else:
        call.link.tick_bars.pop(wanted, None)
    call.done()


def replay_ticks(call: Call) -> None:
    message, size = call.message, _ticks(call)
    symbol = call.house.desk.symbol(message)
    trades = [
        trade
        for trade in call.house.desk.exchange.trades(symbol, MOST_BARS)
        if message.start_index <= trade.time_ms // 1000 <= (message.finish_index or trade.time_ms // 1000)
    ]
    bars = [trades[at : at + size] for at in range(0, len(trades), size)][-(message.user_max_count or MOST_BARS) :]
    if message.time_order == BACKWARDS:
        bars.reverse()
    for bar in bars:
        call.row(**_tick_bar(symbol, size, bar))
    call.done()


def _ticks(call: Call) -> int:
    text = call.message.bar_type_specifier
    if call.message.bar_type != REGULAR_TICKS or not text.isdigit() or int(text) < 1:
        raise Refusal("6", "bad input: bars of so many trades are all that this rehearsal has")
    return int(text)


def _tick_bar(symbol: str, size: int, trades: list[Trade]) -> dict[str, Any]:
    exchange, _, contract = symbol.partition(":")
    prices = [float(trade.price) for trade in trades]
    return {
        "symbol": contract,
        "exchange": exchange,
        "type": 1,
        "sub_type": 1,
        "type_specifier": str(size),
        "num_trades": len(trades),
        "volume": int(sum(trade.quantity for trade in trades)),
        "open_price": prices[0],
        "high_price": max(prices),
        "low_price": min(prices),
        "close_price": prices[-1],
        "data_bar_seq_num": [str(trades[0].trade_id), str(trades[-1].trade_id)],
        "data_bar_ssboe": [trades[0].time_ms // 1000, trades[-1].time_ms // 1000],
        "data_bar_usecs": [trades[0].time_ms % 1000 * 1000, trades[-1].time_ms % 1000 * 1000],
    }


def on_report(house: House, report: Report) -> None:
    """Count the trades of bars that somebody waits for."""
    if not isinstance(report, Trade):
        return
    for link in house.links:
        _count(link, report)


def _count(link: Link, trade: Trade) -> None:
    for (symbol, size), trades in link.tick_bars.items():
        if symbol != trade.symbol:
            continue
        trades.append(trade)
        if len(trades) == int(size):
            link.tell(TICK_BAR, **_tick_bar(symbol, int(size), list(trades)))
            trades.clear()


HERE = frozenset({HISTORY})
ROUTES: Routes = {
    200: (HERE, subscribe_time),
    202: (HERE, replay_time),
    204: (HERE, subscribe_ticks),
    206: (HERE, replay_ticks),
}
