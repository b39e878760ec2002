"""What ccxt's FTX does, as JSON. Run by another Python than the tests': reads addresses and keys from standard input."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import ccxt.pro
from ccxt.base.errors import BaseError

MARKET = "BTC/USD:USD"


async def refused(ftx: Any, **order: Any) -> str:
    try:
        await ftx.create_order(MARKET, **order)
    except BaseError as error:
        return type(error).__name__
    return ""


async def trade(ftx: Any) -> dict[str, Any]:
    await ftx.load_markets()
    subscribed: asyncio.Queue[str] = asyncio.Queue()
    ftx.handle_subscription_status = lambda client, message: subscribed.put_nowait(message["channel"])
    orders, trades = asyncio.ensure_future(ftx.watch_orders()), asyncio.ensure_future(ftx.watch_my_trades())
    assert {await asyncio.wait_for(subscribed.get(), 60) for _ in range(2)} == {"orders", "fills"}
    await ftx.create_order(MARKET, "market", "buy", 0.01)
    told: dict[str, Any] = {}
    last = (await asyncio.wait_for(orders, 60))[-1]
    told["market_order"] = {"status": last["status"], "filled": last["filled"]}
    told["trade"] = {"amount": (await asyncio.wait_for(trades, 60))[-1]["amount"]}
    told["limit_order"] = (await ftx.create_order(MARKET, "limit", "buy", 0.01, 50_000, {"clientOrderId": "once"}))["id"]
    told["edited"] = (await ftx.edit_order(told["limit_order"], MARKET, "limit", "buy", 0.02, 50_500))["id"]
    told["open"] = [
        {name: order[name] for name in ("id", "price", "amount")} for order in await ftx.fetch_open_orders(MARKET)
    ]
    stop = {"triggerPrice": 55_000, "reduceOnly": True}
    told["stop"] = (await ftx.create_order(MARKET, "stop", "sell", 0.01, None, stop))["id"]
    waiting = await ftx.fetch_open_orders(MARKET, params={"type": "stop"})
    told["trigger"] = [{"id": order["id"], "price": order["stopPrice"]} for order in waiting]
    await ftx.cancel_order(told["stop"], MARKET, {"type": "stop"})
    (position,) = await ftx.fetch_positions()
    told["position"] = {name: position[name] for name in ("symbol", "side", "contracts")}
    told["refusals"] = [
        await refused(ftx, type="limit", side="buy", amount=0.00001, price=50_000),
        await refused(ftx, type="limit", side="buy", amount=100, price=59_000),
    ]
    try:
        await ftx.cancel_order("999", MARKET)
    except BaseError as error:
        told["refusals"].append(type(error).__name__)
    again = {"clientOrderId": "once"}
    told["refusals"].append(await refused(ftx, type="limit", side="buy", amount=0.01, price=50_000, params=again))
    for _ in range(4):  # ccxt checks the checksum of each change of the book, and raises
        book = await asyncio.wait_for(ftx.watch_order_book(MARKET), 10)
    told["book_checked"] = bool(book["bids"])
    told["candles"] = len(await ftx.fetch_ohlcv(MARKET, "1m"))
    return told


async def main() -> None:
    given = json.load(sys.stdin)
    ftx = ccxt.pro.ftx({"apiKey": given["key"], "secret": given["secret"]})
    ftx.urls["api"].update({"public": given["url"], "private": given["url"], "ws": given["ws"]})
    try:
        print(json.dumps(await trade(ftx)))
    finally:
        await ftx.close()


asyncio.run(main())
