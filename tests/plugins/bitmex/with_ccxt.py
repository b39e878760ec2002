"""What ccxt's BitMEX does, as JSON. Run by another Python than the tests': reads addresses and keys from standard input."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import ccxt.pro
from ccxt.base.errors import BaseError

MARKET = "BTC/USDT:USDT"


async def refused(work: Any) -> str:
    try:
        await work
    except BaseError as error:
        return type(error).__name__
    return ""


async def linked(bitmex: Any) -> list[Any]:
    """Two exits of which one cancels the other; the second is filled at once."""
    link = {"clOrdLinkID": "exits", "contingencyType": "OneCancelsTheOther", "reduceOnly": True}
    target = await bitmex.create_order(MARKET, "limit", "sell", 1_000, 90_000, link)
    first = target["info"]["contingencyType"]
    await bitmex.create_order(MARKET, "limit", "sell", 1_000, 50_000, link)
    rows = await bitmex.fetch_orders(MARKET, None, 10, {"filter": {"clOrdLinkID": "exits"}})
    await bitmex.create_order(MARKET, "market", "buy", 1_000)
    return [first, *(row["status"] for row in rows)]


async def trade(bitmex: Any) -> dict[str, Any]:
    await bitmex.load_markets()
    told: dict[str, Any] = {"markets": sorted(bitmex.markets)}
    watched = {
        name: asyncio.ensure_future(work)
        for name, work in (
            ("orders", bitmex.watch_orders()),
            ("trades", bitmex.watch_my_trades()),
            ("positions", bitmex.watch_positions()),
        )
    }
    await asyncio.sleep(1)
    await bitmex.create_order(MARKET, "market", "buy", 2_000)
    orders = await asyncio.wait_for(watched["orders"], 10)
    while not orders[-1]["filled"]:  # new, and filled only then
        orders = await asyncio.wait_for(bitmex.watch_orders(), 10)
    told["filled"] = orders[-1]["filled"]
    told["traded"] = (await asyncio.wait_for(watched["trades"], 10))[-1]["amount"]
    positions = await asyncio.wait_for(watched["positions"], 10)
    while not positions:  # the first, empty table
        positions = await asyncio.wait_for(bitmex.watch_positions(), 10)
    told["watched_position"] = positions[-1]["contracts"]
    limit = await bitmex.create_order(MARKET, "limit", "buy", 1_000, 50_000, {"clientOrderId": "once"})
    told["edited"] = (await bitmex.edit_order(limit["id"], MARKET, "limit", "buy", 3_000, 50_500))["price"]
    (order,) = await bitmex.fetch_open_orders(MARKET)
    told["open"] = {name: order[name] for name in ("price", "amount", "clientOrderId")}
    stop = {"triggerPrice": 55_000, "triggerDirection": "below", "reduceOnly": True}
    await bitmex.create_order(MARKET, "stop", "sell", 1_000, None, stop)
    told["orders"] = len(await bitmex.fetch_open_orders(MARKET))
    told["cancelled"] = (await bitmex.cancel_order(limit["id"], MARKET))["status"]
    await bitmex.cancel_all_orders(MARKET)
    told["left"] = len(await bitmex.fetch_open_orders(MARKET))
    told["linked"] = await linked(bitmex)
    (position,) = await bitmex.fetch_positions([MARKET])
    told["position"] = {name: position[name] for name in ("symbol", "side", "contracts")}
    told["balance"] = sorted(name for name, value in (await bitmex.fetch_balance())["total"].items() if value)
    told["trades"] = len(await bitmex.fetch_my_trades(MARKET))
    told["refusals"] = [
        await refused(bitmex.create_order(MARKET, "limit", "buy", 500_000_000, 50_000)),
        await refused(bitmex.create_order(MARKET, "limit", "buy", 1_000, 50_000, {"clientOrderId": "once"})),
    ]
    told["book"] = bool((await asyncio.wait_for(bitmex.watch_order_book(MARKET), 10))["bids"])
    told["candles"] = len(await bitmex.fetch_ohlcv(MARKET, "1m"))
    return told


async def main() -> None:
    given = json.load(sys.stdin)
    bitmex = ccxt.pro.bitmex({"apiKey": given["key"], "secret": given["secret"]})
    bitmex.urls["api"].update({"public": given["url"], "private": given["url"], "ws": given["ws"]})
    try:
        print(json.dumps(await trade(bitmex)))
    finally:
        await bitmex.close()


asyncio.run(main())
