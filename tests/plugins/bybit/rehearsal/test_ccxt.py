"""What ccxt.pro.bybit does against the rehearsal venue: unmodified but for its addresses."""

import asyncio

import ccxt
import pytest

LINEAR, INVERSE, SPOT = "BTC/USDT:USDT", "BTC/USD:BTC", "BTC/USDT"


async def test_markets_and_market_data(desk):
    client = await desk.ccxt()
    markets = await client.load_markets()
    assert markets[LINEAR]["linear"]
    assert markets[INVERSE]["inverse"]
    assert markets[SPOT]["spot"]
    assert markets[LINEAR]["precision"] == {**markets[LINEAR]["precision"], "amount": 0.001, "price": 0.1}
    for symbol in (LINEAR, INVERSE, SPOT):
        assert (await client.fetch_ticker(symbol))["last"] == 60000
        assert (await client.fetch_order_book(symbol))["bids"][0] == [59995, 5000]
        assert (await client.fetch_trades(symbol))[-1]["price"] == 60000
        bars = await client.fetch_ohlcv(symbol, "30m", limit=10)
        assert len(bars) == 10
        assert bars[-1][4] == 60000
    assert set(await client.fetch_tickers([LINEAR])) == {LINEAR}
    assert (await client.fetch_funding_rate(LINEAR))["fundingRate"] == 0.0001
    assert len(await client.fetch_funding_rate_history(LINEAR, limit=3)) == 3
    assert await client.fetch_time() > 1_700_000_000_000


async def test_account(desk):
    client = await desk.ccxt()
    await client.load_markets()
    assert (await client.fetch_balance())["USDT"]["total"] == 100000
    assert await client.fetch_positions() == []
    await client.set_leverage(5, LINEAR)
    with pytest.raises(ccxt.ExchangeError, match="110043"):
        await client.set_leverage(5, LINEAR)
    await client.create_order(LINEAR, "market", "buy", 0.01)
    [position] = await client.fetch_positions([LINEAR])
    assert (position["contracts"], position["side"], position["entryPrice"], position["leverage"]) == (
        0.01,
        "long",
        60005,
        5,
    )
    assert (await client.fetch_position(LINEAR))["contracts"] == 0.01
    [trade] = await client.fetch_my_trades(LINEAR)
    assert (trade["price"], trade["takerOrMaker"]) == (60005, "taker")
    assert trade["fee"] == {"cost": pytest.approx(0.01 * 60005 * 0.0005), "currency": "USDT", "rate": 0.0005}
    assert len(await client.fetch_ledger("USDT")) == 1
    assert (await client.fetch_trading_fee(LINEAR))["taker"] == 0.0005
    await client.create_order(LINEAR, "market", "sell", 0.01, None, {"reduceOnly": True})
    assert await client.fetch_positions([LINEAR]) == [] or (await client.fetch_position(LINEAR))["contracts"] == 0
    [closed] = await client.fetch_positions_history([LINEAR])
    assert closed["realizedPnl"] < 0


async def test_life_of_a_limit_order(desk):
    client = await desk.ccxt()
    await client.load_markets()
    placed = await client.create_order(LINEAR, "limit", "buy", 0.01, 59000, {"clientOrderId": "cd-1"})
    await client.edit_order(placed["id"], LINEAR, "limit", "buy", 0.02, 59001)
    [open_] = await client.fetch_open_orders(LINEAR)
    assert (open_["id"], open_["clientOrderId"], open_["amount"], open_["price"]) == (placed["id"], "cd-1", 0.02, 59001)
    assert open_["symbol"] == LINEAR
    assert (await client.fetch_open_order(placed["id"], LINEAR))["status"] == "open"
    cancelled = await client.cancel_order(placed["id"], LINEAR)
    assert cancelled["id"] == placed["id"]
    with pytest.raises(ccxt.OrderNotFound):
        await client.cancel_order(placed["id"], LINEAR)
    assert await client.fetch_open_orders(LINEAR) == []
    assert (await client.fetch_order(placed["id"], LINEAR, {"acknowledged": True}))["status"] == "canceled"
    assert [order["id"] for order in await client.fetch_canceled_orders(LINEAR)] == [placed["id"]]
    with pytest.raises(ccxt.InvalidOrder):
        await client.create_order(LINEAR, "limit", "buy", 0.01, 59000, {"clientOrderId": "cd-1"})


async def test_refusals_are_told_apart(desk):
    client = await desk.ccxt()
    await client.load_markets()
    with pytest.raises(ccxt.InsufficientFunds):
        await client.create_order(LINEAR, "limit", "buy", 100, 60000)
    with pytest.raises(ccxt.InsufficientFunds):
        await client.create_order(SPOT, "limit", "buy", 100, 60000)
    with pytest.raises(ccxt.InvalidOrder):
        await client.create_order(LINEAR, "market", "sell", 0.01, None, {"reduceOnly": True})
    client.secret = "wrong"
    with pytest.raises(ccxt.AuthenticationError):
        await client.fetch_balance()


async def test_conditional_orders_and_protection(desk):
    client = await desk.ccxt()
    await client.load_markets()
    stop = await client.create_order(
        LINEAR, "market", "buy", 0.01, None, {"triggerPrice": 61000, "triggerDirection": "ascending"}
    )
    [waiting] = await client.fetch_open_orders(LINEAR, params={"trigger": True})
    assert (waiting["id"], waiting["triggerPrice"]) == (stop["id"], 61000)
    desk.trade("61000")
    assert (await client.fetch_position(LINEAR))["contracts"] == 0.01
    await client.create_order(LINEAR, "market", "sell", 0.01, None, {"stopLossPrice": 60000})
    await client.create_order(
        LINEAR, "limit", "buy", 0.01, 60900, {"takeProfit": {"triggerPrice": 63000}, "stopLoss": {"triggerPrice": 59000}}
    )
    desk.trade("60890")
    position = await client.fetch_position(LINEAR)
    assert (position["contracts"], position["takeProfitPrice"], position["stopLossPrice"]) == (0.02, 63000, 59000)
    desk.trade("58990")
    assert (await client.fetch_position(LINEAR))["contracts"] == 0
    assert await client.fetch_open_orders(LINEAR) == []


async def test_batches(desk):
    client = await desk.ccxt()
    await client.load_markets()
    orders = [
        {"symbol": LINEAR, "type": "limit", "side": "buy", "amount": 0.01, "price": price}
        for price in (59000, 58000, 57000)
    ]
    placed = await client.create_orders(orders)
    assert len({order["id"] for order in placed}) == 3
    await client.edit_orders(
        [{"id": placed[0]["id"], "symbol": LINEAR, "type": "limit", "side": "buy", "amount": 0.02, "price": 59001}]
    )
    assert sorted(order["price"] for order in await client.fetch_open_orders(LINEAR)) == [57000, 58000, 59001]
    await client.cancel_orders([order["id"] for order in placed[:2]], LINEAR)
    assert [order["price"] for order in await client.fetch_open_orders(LINEAR)] == [57000]
    await client.cancel_all_orders(LINEAR)
    assert await client.fetch_open_orders(LINEAR) == []


async def test_spot(desk):
    client = await desk.ccxt()
    await client.load_markets()
    await client.create_order(SPOT, "market", "buy", 0.01, 60005, {"createMarketBuyOrderRequiresPrice": True})
    balance = await client.fetch_balance()
    assert balance["BTC"]["total"] == pytest.approx(1.01, abs=1e-4)
    [trade] = await client.fetch_my_trades(SPOT)
    assert (trade["symbol"], trade["fee"]["currency"]) == (SPOT, "BTC")
    placed = await client.create_order(SPOT, "limit", "sell", 0.5, 61000)
    [open_] = await client.fetch_open_orders(SPOT)
    assert (open_["id"], open_["symbol"]) == (placed["id"], SPOT)
    await client.cancel_order(placed["id"], SPOT)


async def test_inverse(desk):
    client = await desk.ccxt()
    await client.load_markets()
    await client.create_order(INVERSE, "market", "buy", 600)
    position = await client.fetch_position(INVERSE)
    assert (position["contracts"], position["side"]) == (600, "long")
    [trade] = await client.fetch_my_trades(INVERSE)
    assert trade["fee"]["currency"] == "BTC"


async def test_hedge_mode(desk):
    client = await desk.ccxt()
    await client.load_markets()
    await client.set_position_mode(True, LINEAR)
    await client.create_order(LINEAR, "market", "buy", 0.02, None, {"hedged": True})
    await client.create_order(LINEAR, "market", "sell", 0.01, None, {"positionIdx": 2})
    sides = {position["side"]: position["contracts"] for position in await client.fetch_positions([LINEAR])}
    assert sides == {"long": 0.02, "short": 0.01}
    with pytest.raises(ccxt.ExchangeError, match="position idx not match"):
        await client.create_order(LINEAR, "market", "buy", 0.01, None, {"positionIdx": 0})


async def test_private_streams(desk):
    client = await desk.ccxt()
    await client.load_markets()
    orders = asyncio.create_task(client.watch_orders(LINEAR))
    trades = asyncio.create_task(client.watch_my_trades(LINEAR))
    balance = asyncio.create_task(client.watch_balance())
    positions = asyncio.create_task(_watch_position(client))
    async with asyncio.timeout(40):
        await desk.listening("parent", "wallet", "order", "execution", "position")
    await client.create_order(LINEAR, "limit", "buy", 0.01, 60005, {"clientOrderId": "watched"})
    async with asyncio.timeout(40):
        [order] = await orders
        [trade] = await trades
        found = await positions
        assert order["clientOrderId"] == "watched"
        assert (trade["price"], trade["amount"]) == (60005, 0.01)
        assert (found[0]["contracts"], found[0]["side"]) == (0.01, "long")
        assert (await balance)["USDT"]["total"] < 100000


async def test_order_entry(desk):
    client = await desk.ccxt()
    await client.load_markets()
    async with asyncio.timeout(40):
        placed = await client.create_order_ws(LINEAR, "limit", "buy", 0.01, 59000, {"clientOrderId": "ws-1"})
        await client.edit_order_ws(placed["id"], LINEAR, "limit", "buy", 0.02, 59001)
        [open_] = await client.fetch_open_orders(LINEAR)
        assert (open_["id"], open_["amount"], open_["price"]) == (placed["id"], 0.02, 59001)
        await client.cancel_order_ws(placed["id"], LINEAR)
        with pytest.raises(ccxt.OrderNotFound):
            await client.cancel_order_ws(placed["id"], LINEAR)


async def test_public_streams(desk):
    client = await desk.ccxt()
    await client.load_markets()
    async with asyncio.timeout(40):
        for symbol in (LINEAR, SPOT):
            book = await client.watch_order_book(symbol, 50)
            assert book["bids"][0] == [59995, 5000]
            ticker = await client.watch_ticker(symbol)
            assert ticker["last"] == 60000
            trades = asyncio.create_task(client.watch_trades(symbol))
            name = "BTCUSDT" if symbol == LINEAR else "BTCUSDT-SPOT"
            while not trades.done():
                desk.trade("60010", name)
                await asyncio.sleep(0.05)
            assert (await trades)[-1]["price"] == 60010
            assert (await client.watch_ohlcv(symbol, "1m"))[-1][4] == 60010


async def _watch_position(client):
    """The first position: ccxt begins with a snapshot, which is empty."""
    while True:
        found = [position for position in await client.watch_positions([LINEAR]) if position["contracts"]]
        if found:
            return found
