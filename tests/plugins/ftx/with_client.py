"""What the client that most bots used (ftx 1.2.0 of PyPI) does, as JSON. Run by another Python than the tests': reads the
address and keys from standard input."""

from __future__ import annotations

import json
import sys
from typing import Any

from ftx.api import FtxClient

MARKET = "BTC-PERP"


def main() -> None:
    given = json.load(sys.stdin)
    client: Any = FtxClient(base_url=f"{given['rest']}/api/", api_key=given["key"], api_secret=given["secret"])
    told: dict[str, Any] = {"future": client.get_future(MARKET)["name"]}
    told["book"] = len(client.get_orderbook(MARKET, 5)["bids"])
    order = client.place_order(MARKET, "buy", 50000, 0.01, client_id="mine")
    changed = client.modify_order(order["id"], price=50001)
    told["open"] = [(row["price"], row["id"] == changed["id"]) for row in client.get_open_orders(MARKET)]
    client.cancel_orders(MARKET)
    client.place_order(MARKET, "buy", None, 0.02, type="market")
    client.place_conditional_order(MARKET, "sell", 0.02, type="stop", trigger_price=40000, reduce_only=True)
    told["stops"] = [row["triggerPrice"] for row in client.get_conditional_orders(MARKET)]
    told["position"] = client.get_position(MARKET)["netSize"]
    told["fills"] = [row["size"] for row in client.get_fills()]
    told["balances"] = [row["coin"] for row in client.get_subaccounts_balance("main")]
    try:
        client.place_order(MARKET, "buy", None, 10_000, type="market")
    except Exception as error:  # noqa: BLE001 - whatever it raises is what is told
        told["refused"] = str(error)
    print(json.dumps(told))


main()
