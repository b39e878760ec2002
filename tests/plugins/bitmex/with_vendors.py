"""What BitMEX's own clients do, as JSON: `bitmex`, which builds its calls from the venue's description, and `bitmex-ws`.

Run by another Python than the tests': reads addresses and keys from standard input.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from bitmex_websocket import BitMEXWebsocket
from BitMEXAPIKeyAuthenticator import APIKeyAuthenticator
from bravado.client import SwaggerClient
from bravado.exception import HTTPBadRequest
from bravado.requests_client import RequestsClient

CONFIG = {"use_models": False, "validate_responses": False, "also_return_response": True}


def client(given: dict[str, str]) -> Any:
    """As `bitmex.bitmex()` makes it, whose hosts are written into it."""
    http = RequestsClient()
    http.authenticator = APIKeyAuthenticator(given["url"], given["key"], given["secret"])
    return SwaggerClient.from_url(f"{given['url']}/api/explorer/swagger.json", config=CONFIG, http_client=http)


def trade(bitmex: Any) -> dict[str, Any]:
    told: dict[str, Any] = {}
    told["instrument"] = bitmex.Instrument.Instrument_get(symbol="XBTUSD").result()[0][0]["symbol"]
    told["book"] = len(bitmex.OrderBook.OrderBook_getL2(symbol="XBTUSD", depth=3).result()[0])
    told["candles"] = len(bitmex.Trade.Trade_getBucketed(binSize="1m", symbol="XBTUSD", count=10).result()[0])
    bought, answer = bitmex.Order.Order_new(symbol="XBTUSD", orderQty=100, ordType="Market").result()
    told["bought"], told["limit"] = bought["ordStatus"], answer.headers["x-ratelimit-limit"]
    limit = {"symbol": "XBTUSD", "orderQty": -100, "price": 90_000.5, "clOrdID": "mine", "execInst": "ReduceOnly"}
    told["placed"] = bitmex.Order.Order_new(**limit).result()[0]["side"]
    told["amended"] = bitmex.Order.Order_amend(origClOrdID="mine", price=95_000.0).result()[0]["price"]
    query = {"symbol": "XBTUSD", "filter": json.dumps({"open": True}), "reverse": True}
    told["open"] = [row["clOrdID"] for row in bitmex.Order.Order_getOrders(**query).result()[0]]
    told["cancelled"] = bitmex.Order.Order_cancel(clOrdID="mine").result()[0][0]["ordStatus"]
    told["cancelled_all"] = bitmex.Order.Order_cancelAll(symbol="XBTUSD").result()[0]
    told["position"] = bitmex.Position.Position_get(filter=json.dumps({"symbol": "XBTUSD"})).result()[0][0]["currentQty"]
    told["leverage"] = bitmex.Position.Position_updateLeverage(symbol="XBTUSD", leverage=5.0).result()[0]["leverage"]
    told["margin"] = bitmex.User.User_getMargin(currency="XBt").result()[0]["currency"]
    try:
        bitmex.Order.Order_new(symbol="XBTUSD", orderQty=150, price=90_000.0).result()
    except HTTPBadRequest as error:
        told["refused"] = error.response.json()["error"]["message"]
    return told


def listen(given: dict[str, str], bitmex: Any) -> dict[str, Any]:
    """The sample websocket client: it subscribes by the address, waits for its tables, and keeps them."""
    socket = BitMEXWebsocket(given["ws"], "XBTUSD", api_key=given["key"], api_secret=given["secret"])
    bitmex.Order.Order_new(symbol="XBTUSD", orderQty=100, price=50_000.0, clOrdID="heard").result()
    socket.get_instrument()  # which its ticker needs
    told: dict[str, Any] = {"ticker": sorted(socket.get_ticker()), "funds": socket.funds()["currency"]}
    while not socket.open_orders(""):
        pass
    told["open"] = [row["clOrdID"] for row in socket.open_orders("")]
    told["depth"] = bool(socket.market_depth())
    socket.exit()
    return told


given = json.load(sys.stdin)
venue = client(given)
print(json.dumps({"rest": trade(venue), "socket": listen(given, venue)}))
