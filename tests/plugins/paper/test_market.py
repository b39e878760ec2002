"""The shipped market, and real recordings."""

from __future__ import annotations

import asyncio
import itertools
import json
from decimal import Decimal
from pathlib import Path

import pytest
from copydesk.errors import UsageError
from copydesk.model import OrderStatus, OrderType, Side, Terms, to_json
from copydesk_paper.exchange import Exchange, MarketDepth, MarketTrade
from copydesk_paper.market import open_market
from copydesk_paper.synthetic import HISTORY_MINUTES

D = Decimal
RECORDING = Path(__file__).parents[4] / "shared/venue-samples/binance-usdm/replay-market-data/cf-BINANCE_FUTURES.jsonl.zst"
needs_recording = pytest.mark.skipif(not RECORDING.exists(), reason=f"no shared samples: {RECORDING.name} is not there")


def primed(path=""):
    market = open_market(path)
    ticks = itertools.count(1_700_000_000_000)
    exchange = Exchange(market.instruments, now_ms=lambda: next(ticks))
    market.prime(exchange)
    return market, exchange


def buy(exchange, symbol, quantity, side=Side.BUY):
    return exchange.place("a", Terms(symbol=symbol, side=side, type=OrderType.MARKET, quantity=quantity))


def check_book(exchange, symbol):
    quote = exchange.quote(symbol)
    tick = exchange.instruments[symbol].price_tick
    assert 0 < quote.bid < quote.ask
    assert not quote.bid % tick
    assert not quote.ask % tick


def test_primed_market_is_tradable_at_once_and_has_a_past():
    market, exchange = primed()
    exchange.open_account("a", D(100_000))
    exchange.deposit("a", D(1), asset="BTC")
    for instrument in market.instruments:
        check_book(exchange, instrument.symbol)
        size = instrument.quantity_step * 100 if instrument.contract != "inverse" else D(3)
        assert buy(exchange, instrument.symbol, size).status is OrderStatus.FILLED
        minutes = exchange.candles(instrument.symbol, "1m", 5_000)
        assert len(minutes) >= HISTORY_MINUTES
        assert minutes[-1].open_ms > minutes[-2].open_ms
        assert abs(minutes[-2].close / exchange.quote(instrument.symbol).mark - 1) < D("0.001")


def test_synthetic_market_is_the_same_every_time_stays_near_and_moves():
    def run():
        market, exchange = primed()
        reports = []
        exchange.listen(reports.append)
        prices = []
        for _, event in itertools.islice(market.stream(exchange), 4_000):
            exchange.apply(event)
            check_book(exchange, event.symbol)
            prices.append(exchange.quote("BTCUSDT").mark)
        return to_json(reports), prices

    first, prices = run()
    assert run()[0] == first
    assert D(57_000) < min(prices) < max(prices) < D(63_000)
    assert max(prices) - min(prices) > 30


async def test_run_applies_in_time_and_ends_when_cancelled():
    market, exchange = primed()
    seen, enough = [], asyncio.Event()

    def count(report):
        seen.append(report)
        if len(seen) > 200:
            enough.set()

    exchange.listen(count)
    task = asyncio.create_task(market.run(exchange, speed=D(200)))
    await asyncio.wait_for(enough.wait(), 5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@needs_recording
def test_real_recording_gives_its_instruments_and_book():
    market, exchange = primed(str(RECORDING))
    assert {i.symbol for i in market.instruments} == {"SUSHIUSDT", "AKROUSDT", "KEEPUSDT", "CTKUSDT"}
    assert len(market.raw_exchange_info["symbols"]) == 122
    sushi = exchange.instruments["SUSHIUSDT"]
    assert (sushi.price_tick, sushi.quantity_step, sushi.min_notional) == (D("0.0010"), D(1), D(5))
    assert (sushi.max_quantity, sushi.market_max_quantity) == (D(10_000_000), D(100_000))
    quote = exchange.quote("SUSHIUSDT")
    assert (quote.bid, quote.ask) == (D("7.6110"), D("7.6120"))


@needs_recording
def test_real_recording_drives_the_exchange_and_starts_over_smoothly():
    market, exchange = primed(str(RECORDING))
    exchange.open_account("a", D(1_000_000))
    exchange.open_account("b", D(1_000_000))
    resting = exchange.place(
        "b", Terms(symbol="CTKUSDT", side=Side.SELL, type=OrderType.LIMIT, quantity=D(2_000), price=D("1.012"))
    )
    once = len(market._recording.events)
    marks = {symbol: [exchange.quote(symbol).mark] for symbol in exchange.instruments}
    elapsed = 0
    for number, (delay_ms, event) in enumerate(itertools.islice(market.stream(exchange), 3 * once)):
        elapsed += delay_ms
        exchange.apply(event)
        check_book(exchange, event.symbol)
        marks[event.symbol].append(exchange.quote(event.symbol).mark)
        if number % 100 == 0:
            for symbol in exchange.instruments:
                assert buy(exchange, symbol, D(600), Side.BUY if number % 200 else Side.SELL).status is OrderStatus.FILLED
    assert 60_000 < elapsed < 120_000
    for symbol, series in marks.items():
        jumps = [abs(b / a - 1) for a, b in itertools.pairwise(series)]
        assert max(jumps) < D("0.003"), symbol
        assert len(set(series)) > 1
    assert exchange.find("b", venue_id=resting.venue_id).filled > 0


def header():
    return {"t": "header", "exchange": "BINANCE_FUTURES"}


def entry():
    return {
        "symbol": "XUSDT", "baseAsset": "X", "quoteAsset": "USDT", "marginAsset": "USDT", "status": "TRADING",
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.1"},
            {"filterType": "LOT_SIZE", "stepSize": "1", "minQty": "1", "maxQty": "100"},
        ],
    }  # fmt: skip


def http(url, data):
    return {"t": "http", "url": url, "data": json.dumps(data)}


def received(**message):
    return {"t": "recv", "data": json.dumps({"stream": "x", "data": message})}


def write(path, *lines):
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def small(*more):
    depth = {"lastUpdateId": 10, "bids": [["1.0", "5"]], "asks": [["1.1", "5"]]}
    info = http("https://x/fapi/v1/exchangeInfo", {"symbols": [entry()]})
    return [header(), info, http("https://x/fapi/v1/depth?symbol=XUSDT&limit=1000", depth), *more]


def test_small_recording_drops_updates_older_than_the_snapshot(tmp_path):
    old = received(e="depthUpdate", E=1, s="XUSDT", u=10, b=[["1.0", "0"]], a=[])
    new = received(e="depthUpdate", E=5, s="XUSDT", u=11, b=[["0.9", "7"]], a=[])
    trade = received(e="aggTrade", E=15, s="XUSDT", p="1.1", q="2", m=False)
    market = open_market(write(tmp_path / "m.jsonl", *small(old, new, trade)))
    exchange = Exchange(market.instruments, now_ms=lambda: 1)
    first, second = itertools.islice(market.stream(exchange), 2)
    assert first == (0, MarketDepth(symbol="XUSDT", bids=((D("0.9"), D(7)),)))
    assert second == (10, MarketTrade(symbol="XUSDT", price=D("1.1"), quantity=D(2), buyer_is_maker=False))


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [{"nonsense": 1}],
        [{"t": "header", "exchange": "KRAKEN"}],
        [header()],
        [header(), {"t": "recv", "data": "not json"}],
        small(received(e="aggTrade", E=1, s="XUSDT", p="x", q="2", m=False)),
        [header(), http("https://x/fapi/v1/exchangeInfo", {"symbols": [{"symbol": "XUSDT"}]}), *small()[2:]],
    ],
)
def test_files_of_no_use_are_one_sentence(tmp_path, lines):
    with pytest.raises(UsageError) as error:
        open_market(write(tmp_path / "m.jsonl", *lines))
    assert "\n" not in str(error.value)
    assert "m.jsonl" in str(error.value)


def test_missing_binary_and_truncated_files(tmp_path):
    for name, content in (("a.zst", b"no zstandard"), ("b.gz", b"no gzip"), ("c.jsonl", b"\xff\xfe\x00")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UsageError):
            open_market(str(tmp_path / name))
    with pytest.raises(UsageError):
        open_market(str(tmp_path / "none.zst"))
