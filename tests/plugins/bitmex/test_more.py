"""What bots ask BitMEX for beside trading: its dead man's switch, keys, a day's executions, lists with nothing in them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from copydesk.model import RehearsalSettings
from copydesk_bitmex.rehearsal import Rehearsal, start
from copydesk_paper.records import Execution, OrderReport
from copydesk_paper.serving.signatures import sign

DEADLINE_S = 5.0
ORDER = {"symbol": "XBTUSDT", "side": "Buy", "ordType": "Limit", "orderQty": 1000, "price": 50000}


class Bot:
    """Signed requests by hand."""

    def __init__(self, rehearsal: Rehearsal, http: aiohttp.ClientSession) -> None:
        self.rehearsal = rehearsal
        self._account = rehearsal.ready.accounts[0]
        self._http = http

    async def ask(self, method: str, path: str, **params: Any) -> Any:
        body = json.dumps(params) if method != "GET" else ""
        query = "?" + "&".join(f"{name}={value}" for name, value in params.items()) if params and not body else ""
        expires = str(int(time.time()) + 10)
        target = f"/api/v1{path}{query}"
        signature = sign(self._account.secrets["secret"].encode(), f"{method}{target}{expires}{body}")
        headers = {"api-key": self._account.secrets["key"], "api-expires": expires, "api-signature": signature}
        headers["Content-Type"] = "application/json"
        url = f"{self.rehearsal.ready.urls['rest']}{target}"
        async with self._http.request(method, url, data=body or None, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()


@pytest.fixture
async def bot() -> AsyncIterator[Bot]:
    settings = RehearsalSettings(kind="bitmex", accounts={"main": Decimal(100_000)}, speed=Decimal(0))
    rehearsal = await start(settings)
    async with aiohttp.ClientSession() as http:
        yield Bot(rehearsal, http)
    await rehearsal.stop()


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
