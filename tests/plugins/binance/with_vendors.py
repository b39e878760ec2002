"""What the venue's own Python clients and the most used of other people's do, as JSON. Run by another Python than the
tests': reads addresses and keys from standard input."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
import warnings
from collections.abc import Callable
from typing import Any

warnings.simplefilter("ignore")

from binance_sdk_spot.spot import (  # noqa: E402
    ConfigurationRestAPI,
    ConfigurationWebSocketAPI,
    ConfigurationWebSocketStreams,
    Spot,
)

from binance import Client  # noqa: E402

PAIR = "BTCUSDT"
LISTS = {"aboveType": "LIMIT_MAKER", "abovePrice": "90000", "belowType": "STOP_LOSS", "belowStopPrice": "30000"}


def error_of(call: Callable[[], Any]) -> str:
    try:
        call()
    except Exception as error:  # noqa: BLE001 - whatever it raises is what is told
        return str(error)
    return ""


def with_python_binance(given: dict[str, Any]) -> dict[str, Any]:
    """python-binance: spot, and futures with another key."""
    spot, futures = given["spot"], given["futures"]
    client = Client(spot["key"], spot["secret"], ping=False)
    client.API_URL, client.MARGIN_API_URL = f"{spot['url']}/api", f"{spot['url']}/sapi"
    told: dict[str, Any] = {"candles": len(client.get_historical_klines(PAIR, "1m", "30 minutes ago UTC"))}
    told["pair"] = client.get_symbol_info(PAIR)["baseAsset"]
    client.order_market_buy(symbol=PAIR, quantity="0.02")
    rested = client.order_limit_buy(symbol=PAIR, quantity="0.001", price="50000")
    told["open"] = [row["price"] for row in client.get_open_orders()]
    told["cancelled"] = client.cancel_order(symbol=PAIR, orderId=rested["orderId"])["status"]
    told["list"] = client.create_oco_order(symbol=PAIR, side="SELL", quantity="0.01", **LISTS)["contingencyType"]
    told["balance"] = client.get_asset_balance("BTC")
    told["trades"] = [row["qty"] for row in client.get_my_trades(symbol=PAIR)]
    told["refused"] = error_of(lambda: client.order_market_buy(symbol=PAIR, quantity="100"))

    client = Client(futures["key"], futures["secret"], ping=False)
    client.FUTURES_URL, client.FUTURES_DATA_URL = f"{futures['url']}/fapi", f"{futures['url']}/futures/data"
    client.futures_create_order(symbol=PAIR, side="BUY", type="MARKET", quantity="0.02")
    stop = {"side": "SELL", "type": "STOP_MARKET", "stopPrice": "50000", "closePosition": "true"}
    client.futures_create_order(symbol=PAIR, **stop)
    told["position"] = [row["positionAmt"] for row in client.futures_position_information(symbol=PAIR)]
    told["stops"] = len(client.futures_get_open_algo_orders())
    told["interest"] = client.futures_open_interest_hist(symbol=PAIR, period="5m")[0]["sumOpenInterest"]
    return told


async def with_sdk(given: dict[str, Any]) -> dict[str, Any]:
    """binance-sdk-spot: REST, the websocket API with its user data, market streams."""
    spot = given["spot"]
    keys = {"api_key": spot["key"], "api_secret": spot["secret"]}
    client = Spot(
        config_rest_api=ConfigurationRestAPI(base_path=spot["url"], **keys),
        config_ws_api=ConfigurationWebSocketAPI(stream_url=spot["ws_api"], **keys),
        config_ws_streams=ConfigurationWebSocketStreams(stream_url=spot["ws"]),
    )
    account = client.rest_api.get_account(omit_zero_balances=True).data()
    told: dict[str, Any] = {"assets": sorted(row.asset for row in account.balances)}
    window = client.rest_api.ticker(symbol=PAIR, window_size="1h").data()
    told["window"] = window.actual_instance.symbol

    socket = await client.websocket_api.create_connection()
    user_data = await socket.user_data_stream_subscribe_signature()
    heard: list[str] = []
    changed = asyncio.Event()

    def hear(event: Any) -> None:
        heard.append(type(getattr(event, "actual_instance", event)).__name__)
        changed.set()

    user_data.stream.on("message", hear)
    order = {"symbol": PAIR, "side": "BUY", "type": "LIMIT", "quantity": 0.001, "price": 50000.0}
    placed = await socket.order_place(time_in_force="GTC", **order)
    told["placed"] = placed.data().result.status
    async with asyncio.timeout(40):
        await changed.wait()
    told["heard"] = heard[:1]
    await socket.close_connection(close_session=True)

    streams = await client.websocket_streams.create_connection()
    ticker = await streams.rolling_window_ticker(symbol=PAIR.lower(), window_size="1h")
    first: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    ticker.on("message", lambda event: first.done() or first.set_result(event.e))
    async with asyncio.timeout(40):
        told["stream"] = await first
    await streams.close_connection(close_session=True)
    return told


async def main() -> None:
    logging.disable(logging.CRITICAL)
    given = json.load(sys.stdin)
    told = {"python-binance": with_python_binance(given), "sdk": await with_sdk(given)}
    print(json.dumps(told))


asyncio.run(main())
