"""What bots ask BitMEX for beside trading: its dead man's switch, keys, a day's executions, lists with nothing in them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from copydesk_paper.records import Execution, OrderReport

from .conftest import Bot

DEADLINE_S = 40.0
ORDER = {"symbol": "XBTUSDT", "side": "Buy", "ordType": "Limit", "orderQty": 1000, "price": 50000}


async def test_orders_of_a_dead_man_are_cancelled(bot: Bot) -> None:
    cancelled = asyncio.Event()
    exchange = bot.rehearsal.exchange

    def hear(report: Any) -> None:
        if isinstance(report, OrderReport) and report.execution is Execution.CANCELLED:
            cancelled.set()

    exchange.listen(hear)
    await bot.ask("POST", "/order", **ORDER)
    assert (await bot.ask("POST", "/order/cancelAllAfter", timeout=60_000))["cancelTime"]
    assert (await bot.ask("POST", "/order/cancelAllAfter", timeout=0))["cancelTime"] == 0  # never
    assert len(exchange.open_orders("main")) == 1
    await bot.ask("POST", "/order/cancelAllAfter", timeout=60_000)
    await bot.ask("POST", "/order/cancelAllAfter", timeout=20)  # instead of the minute
    async with asyncio.timeout(DEADLINE_S):
        await cancelled.wait()
    assert exchange.open_orders("main") == []


async def test_reads_that_few_make(bot: Bot) -> None:
    await bot.ask("POST", "/order", symbol="XBTUSDT", side="Buy", ordType="Market", orderQty=1000)
    today = time.strftime("%Y-%m-%dT00:00:00.000Z", time.gmtime())
    traded = await bot.ask("GET", "/user/executionHistory", symbol="XBTUSDT", timestamp=today)
    assert "Trade" in {row["execType"] for row in traded}
    assert await bot.ask("GET", "/user/executionHistory", symbol="XBTUSD", timestamp=today) == []
    [key] = await bot.ask("GET", "/apiKey")
    assert (key["name"], key["permissions"]) == ("main", ["order"])
    assert [await bot.ask("GET", path) for path in ("/funding", "/liquidation", "/globalNotification")] == [[], [], []]
