"""What ccxt.pro.binance does against the spot rehearsal: unmodified but for its addresses."""

from __future__ import annotations

import asyncio

import ccxt
import pytest
from copydesk.testing.bench import eventually

from .conftest import SpotDesk

SYMBOL = "BTC/USDT"


async def test_markets_and_market_data(desk: SpotDesk) -> None:
    client = await desk.ccxt()
    btc = (await client.load_markets())[SYMBOL]  # with all its default reads: futures, wallet, margin
    assert (btc["spot"], btc["precision"]["price"], btc["limits"]["cost"]["min"]) == (True, 0.01, 5)
    assert (await client.fetch_ticker(SYMBOL))["last"] == 60000
    assert (await client.fetch_order_book(SYMBOL))["bids"][0] == [59995, 50]
    assert (await client.fetch_trades(SYMBOL))[-1]["price"] == 60000
    assert len(await client.fetch_ohlcv(SYMBOL, "15m", limit=10)) == 10
    assert (await client.fetch_bids_asks())[SYMBOL]["ask"] == 60005
    assert (await client.fetch_trading_fees())[SYMBOL]["taker"] == 0.001
    assert (await client.watch_order_book(SYMBOL))["asks"][0] == [60005, 50]


async def test_life_of_orders_and_what_the_stream_tells(desk: SpotDesk) -> None:
    client = await desk.ccxt()
    await client.load_markets()
    assert (await client.fetch_balance())["USDT"] == {"free": 100000, "used": 0, "total": 100000}
    orders, balance = asyncio.create_task(client.watch_orders()), asyncio.create_task(client.watch_balance())

    async def subscribed() -> bool:
        return desk.rehearsal.api.listeners("parent") == 1

    await eventually(subscribed, "ccxt's subscription")
    order = await client.create_order(SYMBOL, "limit", "buy", 0.01, 50000)
    assert (await orders)[0]["id"] == order["id"]
    assert (await balance)["USDT"] == {"free": 99500, "used": 500, "total": 100000}
    moved = await client.edit_order(order["id"], SYMBOL, "limit", "buy", 0.01, 51000)
    assert [one["id"] for one in await client.fetch_open_orders(SYMBOL)] == [moved["id"]]
    assert (await client.cancel_order(moved["id"], SYMBOL))["status"] == "canceled"
    with pytest.raises(ccxt.OrderNotFound):
        await client.cancel_order(moved["id"], SYMBOL)


async def test_a_fee_is_taken_from_what_is_bought(desk: SpotDesk) -> None:
    client = await desk.ccxt()
    await client.load_markets()
    bought = await client.create_order(SYMBOL, "market", "buy", 0.01)
    assert (bought["status"], bought["average"]) == ("closed", 60005)
    assert bought["fees"] == [{"currency": "BTC", "cost": 0.00001}]
    assert (await client.fetch_balance())["BTC"]["free"] == 0.00999
    with pytest.raises(ccxt.InsufficientFunds):
        await client.create_order(SYMBOL, "market", "sell", 0.01)
    sold = await client.create_order(SYMBOL, "market", "sell", 0.00999)
    assert sold["fees"][0]["currency"] == "USDT"
    trades = await client.fetch_my_trades(SYMBOL)
    assert [trade["side"] for trade in trades] == ["buy", "sell"]


async def test_conditional_orders_and_the_websocket_api(desk: SpotDesk) -> None:
    client = await desk.ccxt()
    await client.load_markets()
    await client.create_order(SYMBOL, "market", "buy", 0.02)
    stop = await client.create_order(SYMBOL, "market", "sell", 0.005, None, {"stopLossPrice": 59000})
    trailing = {"trailingPercent": 1, "stopLossOrTakeProfit": "stopLoss"}
    trail = await client.create_order(SYMBOL, "market", "sell", 0.005, None, trailing)
    over = await client.create_order_ws(SYMBOL, "limit", "sell", 0.004, 70000)
    assert {one["id"] for one in await client.fetch_open_orders_ws(SYMBOL)} == {stop["id"], trail["id"], over["id"]}
    await client.cancel_order_ws(over["id"], SYMBOL)
    desk.trade("58900")
    assert (await client.fetch_order(stop["id"], SYMBOL))["status"] == "closed"
