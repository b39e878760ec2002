"""A trade copier as people write it with ccxt: wait for the parent's orders, one `create_order` per child.

    plain_ccxt.py gather        all at once: `asyncio.gather`
    plain_ccxt.py sequential    one after the other
    plain_ccxt.py websocket     all at once, over the venue's websocket for orders

It reads one JSON object from standard input ({"url", "parent": {"key", "secret"}, "children": [...], "ratio"})
and prints one line when it watches. It is treated kindly: children share the parent's markets, their connections are open
before the first order, and ccxt's own throttle, which would hold back an order that soon follows another, is off.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any

import ccxt.pro as ccxt
import certifi


def client(url: str, keys: dict[str, str]) -> Any:
    exchange = ccxt.binanceusdm(
        {
            "apiKey": keys["key"],
            "secret": keys["secret"],
            "cafile": os.environ.get("SSL_CERT_FILE", certifi.where()),
            "enableRateLimit": False,
            "newUpdates": True,
            "options": {"fetchCurrencies": False},
        }
    )
    for name, address in exchange.urls["api"].items():
        if isinstance(address, str):
            exchange.urls["api"][name] = url + "/" + address.split(".com/", 1)[1]
    socket = url.replace("http", "ws", 1)
    exchange.urls["api"]["ws"]["linear"] = socket + "/ws"
    exchange.urls["api"]["ws"]["ws-api"]["linear"] = socket + "/ws-fapi/v1"
    return exchange


class Copier:
    def __init__(self, way: str, parent: Any, children: list[Any], ratio: float) -> None:
        self.way = way
        self.parent = parent
        self.children = children
        self.ratio = ratio
        self.copies: dict[str, list[Any]] = {}

    async def run(self) -> None:
        while True:
            for order in await self.parent.watch_orders():
                if order["status"] == "open" and order["id"] not in self.copies:
                    self.copies[order["id"]] = await self.all([self.copy(child, order) for child in self.children])
                elif order["status"] == "canceled" and order["id"] in self.copies:
                    copies = self.copies.pop(order["id"])
                    pairs = zip(self.children, copies, strict=True)
                    await self.all([self.cancel(child, copy["id"], order["symbol"]) for child, copy in pairs])

    async def all(self, requests: list[Coroutine[Any, Any, Any]]) -> list[Any]:
        if self.way == "sequential":
            return [await request for request in requests]
        return await asyncio.gather(*requests)

    async def cancel(self, child: Any, id_: str, symbol: str) -> Any:
        return await (child.cancel_order_ws if self.way == "websocket" else child.cancel_order)(id_, symbol)

    async def copy(self, child: Any, order: Any) -> Any:
        amount = order["amount"] * self.ratio
        create = child.create_order_ws if self.way == "websocket" else child.create_order
        return await create(order["symbol"], order["type"], order["side"], amount, order["price"])


async def main() -> None:
    asked = json.loads(sys.stdin.readline())
    parent = client(asked["url"], asked["parent"])
    children = [client(asked["url"], keys) for keys in asked["children"]]
    try:
        await parent.load_markets()
        for child in children:
            child.set_markets_from_exchange(parent)
            await child.fetch_time()
        copier = asyncio.create_task(Copier(sys.argv[1], parent, children, asked["ratio"]).run())
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        print(json.dumps({"watching": len(children)}), flush=True)
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({copier, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if copier.done():
            copier.result()
        copier.cancel()
    finally:
        await asyncio.gather(parent.close(), *(child.close() for child in children))


if __name__ == "__main__":
    asyncio.run(main())
