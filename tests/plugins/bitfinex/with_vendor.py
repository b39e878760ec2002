"""What the venue's own Python client does, as JSON. Run by another Python than the tests': reads addresses and keys from
standard input."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from bfxapi import Client

PAIR, PERPETUAL = "tBTCUST", "tBTCF0:USTF0"


def over_rest(client: Any) -> dict[str, Any]:
    public, auth = client.rest.public, client.rest.auth
    told: dict[str, Any] = {"status": public.get_platform_status().status, "last": public.get_t_ticker(PAIR).last_price}
    told["market"] = [len(public.get_candles_hist(PAIR, "1m")), len(public.get_t_book(PERPETUAL, "P0"))]
    placed = auth.submit_order(type="EXCHANGE LIMIT", symbol=PAIR, amount=0.01, price=50000.0)
    told["placed"] = [placed.status, placed.data.order_status]
    told["updated"] = auth.update_order(id=placed.data.id, price=50001.0).data.price
    told["open"] = [order.price for order in auth.get_orders()]
    told["cancelled"] = auth.cancel_order(id=placed.data.id).status
    auth.submit_order(type="MARKET", symbol=PERPETUAL, amount=0.01, price=0)
    told["positions"] = [(position.symbol, position.amount) for position in auth.get_positions()]
    told["trades"] = [trade.exec_amount for trade in auth.get_trades_history()]
    told["wallets"] = sorted({wallet.wallet_type for wallet in auth.get_wallets()})
    try:
        auth.submit_order(type="EXCHANGE LIMIT", symbol=PAIR, amount=1000, price=50000.0)
    except Exception as error:  # noqa: BLE001 - whatever it raises is what is told
        told["refused"] = str(error)
    return told


async def over_websocket(client: Any) -> list[Any]:
    """What the sockets told, until each kind came: the client has one for the account and another for the ticker."""
    told: list[Any] = []
    awaited = {"auth", "answered", "new", "ended", "ticker"}
    socket = client.wss

    async def tell(kind: str, what: Any) -> None:
        told.append([kind, what])
        if awaited and not awaited.difference(one for one, _ in told):
            awaited.clear()
            await socket.close()

    @socket.on("authenticated")
    async def authenticated(event: Any) -> None:
        await tell("auth", event["status"])
        await socket.inputs.submit_order(type="LIMIT", symbol=PERPETUAL, amount="0.01", price="50000", cid=77)

    @socket.on("on-req-notification")
    async def answered(notification: Any) -> None:
        await tell("answered", notification.status)

    @socket.on("order_new")
    async def new(order: Any) -> None:
        await tell("new", order.cid)
        await socket.inputs.cancel_order(id=order.id)

    @socket.on("order_cancel")
    async def ended(order: Any) -> None:
        await tell("ended", order.order_status)

    @socket.on("t_ticker_update")
    async def ticker(subscription: Any, row: Any) -> None:
        await tell("ticker", subscription["symbol"])

    @socket.on("open")
    async def opened() -> None:
        await socket.subscribe("ticker", symbol=PAIR)

    await asyncio.wait_for(socket.start(), 60)
    return told


given = json.load(sys.stdin)
vendor = Client(rest_host=f"{given['url']}/v2", wss_host=given["ws"], api_key=given["key"], api_secret=given["secret"])
print(json.dumps({"rest": over_rest(vendor), "websocket": asyncio.run(over_websocket(vendor))}))
