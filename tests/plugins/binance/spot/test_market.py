"""What other people's clients read of the spot market beyond what ccxt does: windows, zones, lists of pairs, streams."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aiohttp
import pytest

from .conftest import DEADLINE_S, SpotDesk

HOUR_MS = 3_600_000
FULL = {"symbol", "priceChange", "priceChangePercent", "weightedAvgPrice", "openPrice", "highPrice", "lowPrice"}
FULL |= {"lastPrice", "volume", "quoteVolume", "openTime", "closeTime", "firstId", "lastId", "count"}


async def ask(desk: SpotDesk, path: str, query: str = "") -> Any:
    status, reply = await desk.send("GET", f"/api/v3/{path}", query)
    assert status == 200, reply
    return reply


async def no(desk: SpotDesk, path: str, query: str = "") -> int:
    status, reply = await desk.send("GET", f"/api/v3/{path}", query)
    assert status == 400, reply
    code: int = reply["code"]
    return code


async def test_a_rolling_window_begins_on_a_minute_and_is_as_long_as_asked_for(desk: SpotDesk) -> None:
    for size, length in (("5m", HOUR_MS // 12), ("4h", 4 * HOUR_MS), ("2d", 48 * HOUR_MS)):
        told = await ask(desk, "ticker", f"symbol=BTCUSDT&windowSize={size}")
        assert set(told) == FULL
        assert told["openTime"] % 60_000 == 0
        assert length <= told["closeTime"] - told["openTime"] < length + 60_000
        assert float(told["lowPrice"]) <= float(told["openPrice"]) <= float(told["highPrice"])
    short, long = [await ask(desk, "ticker", f"symbol=BTCUSDT&windowSize={size}") for size in ("5m", "4h")]
    assert float(short["volume"]) < float(long["volume"])
    several = await ask(desk, "ticker", 'symbols=["BTCUSDT","ETHUSDT"]&type=MINI')
    assert [row["symbol"] for row in several] == ["BTCUSDT", "ETHUSDT"]
    assert "priceChange" not in several[0]
    assert [await no(desk, "ticker", query) for query in ("", "symbol=BTCUSDT&windowSize=1d2h")] == [-1102, -1130]


async def test_days_and_candles_of_other_zones(desk: SpotDesk) -> None:
    day = await ask(desk, "ticker/tradingDay", "symbol=BTCUSDT&timeZone=-3:30")
    assert (day["openTime"] - int(3.5 * HOUR_MS)) % (24 * HOUR_MS) == 0
    for zone, ahead in (("8", 8), ("-1:00", -1), ("05:45", 5.75)):
        bars = await ask(desk, "klines", f"symbol=BTCUSDT&interval=1d&limit=2&timeZone={zone}")
        assert all((bar[0] + ahead * HOUR_MS) % (24 * HOUR_MS) == 0 for bar in bars)
        assert bars[-1][6] >= time.time() * 1000 - 60_000
    assert await no(desk, "klines", "symbol=BTCUSDT&interval=1d&timeZone=15") == -1130


async def test_candles_of_seconds_have_no_gaps(desk: SpotDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    floor = desk.exchange._floor
    begin = floor.now_ms() // 1000 * 1000 + 1000
    for second, price in ((0, "60000"), (0, "60010"), (3, "60020")):
        monkeypatch.setattr(floor, "now_ms", lambda at=begin + second * 1000 + 300: at)
        desk.trade(price)
    bars = await ask(desk, "klines", f"symbol=BTCUSDT&interval=1s&startTime={begin}")
    assert [(bar[0] - begin, bar[6] - bar[0], bar[1], bar[4], bar[8]) for bar in bars] == [
        (0, 999, "60000.00000000", "60010.00000000", 1),
        (1000, 999, "60010.00000000", "60010.00000000", 0),
        (2000, 999, "60010.00000000", "60010.00000000", 0),
        (3000, 999, "60020.00000000", "60020.00000000", 1),
    ]
    assert len(await ask(desk, "klines", "symbol=BTCUSDT&interval=1s&limit=2")) == 2


async def test_pairs_by_permission_and_status(desk: SpotDesk) -> None:
    everything = (await ask(desk, "exchangeInfo"))["symbols"]
    assert len((await ask(desk, "exchangeInfo", 'permissions=["MARGIN"]'))["symbols"]) == len(everything)
    assert (await ask(desk, "exchangeInfo", "permissions=TRD_GRP_003"))["symbols"] == []
    assert (await ask(desk, "exchangeInfo", "symbolStatus=HALT"))["symbols"] == []
    assert await no(desk, "exchangeInfo", "symbol=BTCUSDT&permissions=SPOT") == -1128
    assert await no(desk, "exchangeInfo", "symbolStatus=OPEN") == -1122


async def test_what_there_is_nothing_of_says_so(desk: SpotDesk) -> None:
    assert await ask(desk, "historicalBlockTrades", "symbol=BTCUSDT&fromId=1") == []
    assert await no(desk, "referencePrice", "symbol=BTCUSDT") == -2043


async def test_what_is_asked_of_the_wallet_service(desk: SpotDesk) -> None:
    [held] = (await desk.signed("POST", "/sapi/v3/asset/getUserAsset"))[1]
    assert (held["asset"], held["free"]) == ("USDT", "100000")
    assert (await desk.signed("GET", "/sapi/v1/account/status"))[1] == {"data": "Normal"}
    assert (await desk.signed("GET", "/sapi/v1/account/apiTradingStatus"))[1]["data"]["isLocked"] is False
    assert (await desk.signed("GET", "/sapi/v1/asset/assetDetail", asset="BTC"))[1]["BTC"]["withdrawStatus"] is False


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("btcusdt@ticker_1h", "1hTicker"),
        ("!ticker_4h@arr", "4hTicker"),
        ("!miniTicker@arr@1000ms", "24hrMiniTicker"),
        ("btcusdt@kline_1d@+08:00", "kline"),
    ],
)
async def test_streams_that_few_listen_to(desk: SpotDesk, name: str, kind: str) -> None:
    url = f"{desk.rehearsal.ready.urls['ws']}/stream?streams={name.replace('+', '%2B')}"
    async with aiohttp.ClientSession() as http, http.ws_connect(url) as socket, asyncio.timeout(DEADLINE_S):
        frame = await socket.receive_json()
    event = frame["data"][0] if isinstance(frame["data"], list) else frame["data"]
    assert (frame["stream"], event["e"]) == (name, kind)
    if kind == "kline":
        assert (event["k"]["t"] + 8 * HOUR_MS) % (24 * HOUR_MS) == 0
