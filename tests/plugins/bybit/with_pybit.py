"""What the venue's own Python client, pybit, does, as JSON. Run by another Python than the tests': reads addresses and keys
from standard input."""

from __future__ import annotations

import json
import logging
import queue
import sys
from typing import Any

from pybit import _websocket_trading, unified_trading
from pybit.unified_trading import HTTP, WebSocket, WebSocketTrading

LINEAR = {"category": "linear", "symbol": "BTCUSDT"}
SPOT = {"category": "spot", "symbol": "BTCUSDT"}
WAIT_S = 40


def over_rest(client: Any) -> dict[str, Any]:
    rested = client.place_order(side="Buy", orderType="Limit", qty="0.01", price="50000", **LINEAR)["result"]
    told: dict[str, Any] = {"candles": len(client.get_kline(interval="1", limit=20, **LINEAR)["result"]["list"])}
    client.amend_order(orderId=rested["orderId"], price="50001", **LINEAR)
    told["open"] = [row["price"] for row in client.get_open_orders(**LINEAR)["result"]["list"]]
    told["cancelled"] = client.cancel_order(orderId=rested["orderId"], **LINEAR)["result"]["orderId"] == rested["orderId"]
    client.place_order(side="Buy", orderType="Market", qty="0.02", **LINEAR)
    client.set_trading_stop(stopLoss="40000", tpslMode="Full", positionIdx=0, **LINEAR)
    [position] = client.get_positions(**LINEAR)["result"]["list"]
    told["position"] = [position["size"], position["stopLoss"]]
    told["fills"] = [row["execQty"] for row in client.get_executions(category="linear")["result"]["list"]]
    told["long"] = client.get_long_short_ratio(period="5min", **LINEAR)["result"]["list"][0]["buyRatio"]
    client.place_order(side="Buy", orderType="Market", qty="600", **SPOT)
    [wallet] = client.get_wallet_balance(accountType="UNIFIED")["result"]["list"]
    told["coins"] = sorted(coin["coin"] for coin in wallet["coin"])
    free = client.get_transferable_amount(coinName="BTC")["result"]["availableWithdrawalMap"]["BTC"]
    told["free"] = 0.0099 < float(free) < 0.0101
    try:
        client.place_order(side="Buy", orderType="Market", qty="100000", **LINEAR)
    except Exception as error:  # noqa: BLE001 - whatever it raises is what is told
        told["refused"] = str(error)
    return told


def over_websocket(given: dict[str, Any]) -> dict[str, Any]:
    """A public book, order entry, and what the private stream tells of it."""
    unified_trading.PUBLIC_WSS = f"{given['ws']}/v5/public/{{CHANNEL_TYPE}}"
    unified_trading.PRIVATE_WSS = f"{given['ws']}/v5/private"
    _websocket_trading.TRADE_WSS = f"{given['ws']}/v5/trade"
    keys = {"api_key": given["key"], "api_secret": given["secret"]}
    books: queue.Queue[Any] = queue.Queue()
    orders: queue.Queue[Any] = queue.Queue()
    answers: queue.Queue[Any] = queue.Queue()
    public = WebSocket(testnet=False, channel_type="linear")
    public.orderbook_stream(50, "BTCUSDT", books.put)
    private = WebSocket(testnet=False, channel_type="private", **keys)
    private.order_stream(orders.put)
    trading = WebSocketTrading(testnet=False, **keys)
    trading.place_order(answers.put, side="Buy", orderType="Limit", qty="0.01", price="50002", **LINEAR)
    told = {
        "book": len(books.get(timeout=WAIT_S)["data"]["b"]) > 0,
        "answer": answers.get(timeout=WAIT_S)["retCode"],
        "order": orders.get(timeout=WAIT_S)["data"][0]["price"],
    }
    for socket in (public, private, trading):
        socket.exit()
    return told


def main() -> None:
    logging.disable(logging.CRITICAL)
    given = json.load(sys.stdin)
    client = HTTP(api_key=given["key"], api_secret=given["secret"])
    client.endpoint = given["rest"]
    print(json.dumps({"rest": over_rest(client), "websocket": over_websocket(given)}))


main()
