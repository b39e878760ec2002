"""What ccxt.pro.binanceusdm does against the rehearsal venue: unmodified but for its addresses."""

import asyncio
from decimal import Decimal

import ccxt
import pytest

SYMBOL = "BTC/USDT:USDT"


async def test_markets_and_market_data(desk):
    client = await desk.ccxt()
    markets = await client.load_markets()
    btc = markets[SYMBOL]
    assert btc["linear"]
    assert btc["swap"]
    assert btc["precision"]["price"] == 0.1
    assert btc["limits"]["cost"]["min"] == 100
    ticker = await client.fetch_ticker(SYMBOL)
    assert ticker["last"] == 60000
    book = await client.fetch_order_book(SYMBOL)
    assert book["bids"][0] == [59995, 50]
    assert (await client.fetch_trades(SYMBOL))[-1]["price"] == 60000
    bars = await client.fetch_ohlcv(SYMBOL, "15m", limit=10)
    assert len(bars) == 10
    assert bars[-1][4] == 60000
    assert (await client.fetch_bids_asks())[SYMBOL]["ask"] == 60005
    assert (await client.fetch_funding_rate(SYMBOL))["markPrice"] == 60000
    assert await client.fetch_time() > 1_700_000_000_000


async def test_account(desk):
    client = await desk.ccxt()
    await client.load_markets()
    assert (await client.fetch_balance())["USDT"] == {"free": 100000, "used": 0, "total": 100000}
    assert await client.fetch_positions() == []
    assert not (await client.fetch_position_mode())["hedged"]
    await client.set_leverage(5, SYMBOL)
    await client.set_margin_mode("isolated", SYMBOL)
    await client.create_order(SYMBOL, "market", "buy", 0.01)
    [position] = await client.fetch_positions([SYMBOL])
    assert position["contracts"] == 0.01
    assert position["entryPrice"] == 60005
    assert position["marginMode"] == "isolated"
    [risk] = await client.fetch_positions([SYMBOL], {"method": "positionRisk", "useV2": True})
    assert risk["leverage"] == 5
    balance = await client.fetch_balance()
    assert balance["USDT"]["used"] > 0
    [trade] = await client.fetch_my_trades(SYMBOL)
    assert trade["price"] == 60005
    assert trade["takerOrMaker"] == "taker"
    assert trade["fee"]["cost"] == pytest.approx(0.01 * 60005 * 0.0005)
    [commission] = await client.fetch_ledger("USDT")
    assert commission["amount"] == pytest.approx(trade["fee"]["cost"])
    assert (await client.fetch_leverage_tiers([SYMBOL]))[SYMBOL][0]["maxLeverage"] == 125
    assert (await client.fetch_trading_fee(SYMBOL))["taker"] == 0.0005


async def test_life_of_a_limit_order(desk):
    client = await desk.ccxt()
    await client.load_markets()
    placed = await client.create_order(SYMBOL, "limit", "buy", 0.01, 59000, {"clientOrderId": "cd-1"})
    assert placed["status"] == "open"
    assert placed["clientOrderId"] == "cd-1"
    edited = await client.edit_order(placed["id"], SYMBOL, "limit", "buy", 0.02, 59001)
    assert (edited["amount"], edited["price"], edited["id"]) == (0.02, 59001, placed["id"])
    [open_] = await client.fetch_open_orders(SYMBOL)
    assert open_["price"] == 59001
    by_client_id = await client.fetch_order(None, SYMBOL, {"clientOrderId": "cd-1"})
    assert by_client_id["id"] == placed["id"]
    cancelled = await client.cancel_order(placed["id"], SYMBOL)
    assert cancelled["status"] == "canceled"
    with pytest.raises(ccxt.OrderNotFound):
        await client.cancel_order(placed["id"], SYMBOL)
    assert (await client.fetch_order(placed["id"], SYMBOL))["status"] == "canceled"
    [ended] = await client.fetch_orders(SYMBOL)
    assert ended["status"] == "canceled"


async def test_batches(desk):
    client = await desk.ccxt()
    await client.load_markets()
    order = {"symbol": SYMBOL, "type": "limit", "side": "buy", "amount": 0.01, "price": 59000}
    placed = await client.create_orders([order, {**order, "price": 58000}])
    assert [one["status"] for one in placed] == ["open", "open"]
    changes = [{**order, "id": one["id"], "price": 57000} for one in placed]
    assert [one["price"] for one in await client.edit_orders(changes)] == [57000, 57000]
    assert len(await client.cancel_orders([one["id"] for one in placed], SYMBOL)) == 2
    await client.create_order(SYMBOL, "limit", "buy", 0.01, 59000)
    await client.cancel_all_orders(SYMBOL)
    assert await client.fetch_open_orders(SYMBOL) == []


CONDITIONAL = [
    ("market", "sell", None, {"triggerPrice": 59000}, "STOP_MARKET"),
    ("limit", "sell", 58900, {"triggerPrice": 59000}, "STOP"),
    ("market", "sell", None, {"stopLossPrice": 59000}, "STOP_MARKET"),
    ("market", "sell", None, {"takeProfitPrice": 61000}, "TAKE_PROFIT_MARKET"),
    ("limit", "sell", 61000, {"takeProfitPrice": 61000}, "TAKE_PROFIT"),
    ("market", "sell", None, {"trailingPercent": "1.0", "trailingTriggerPrice": 61000}, "TRAILING_STOP_MARKET"),
]


@pytest.mark.parametrize(("kind", "side", "price", "params", "type_"), CONDITIONAL)
async def test_conditional_orders_go_through_the_algo_service(desk, kind, side, price, params, type_):
    client = await desk.ccxt()
    await client.load_markets()
    placed = await client.create_order(SYMBOL, kind, side, 0.01, price, params)
    assert placed["info"]["orderType"] == type_
    assert placed["status"] == "open"
    assert await client.fetch_open_orders(SYMBOL) == []
    [open_] = await client.fetch_open_orders(SYMBOL, params={"trigger": True})
    assert open_["id"] == placed["id"]
    with pytest.raises(ccxt.OrderNotFound):
        await client.fetch_order(str(desk.exchange.open_orders("parent")[0].venue_id), SYMBOL)
    await client.cancel_order(placed["id"], SYMBOL, {"trigger": True})
    assert await client.fetch_open_orders(SYMBOL, params={"trigger": True}) == []
    again = await client.fetch_order(placed["id"], SYMBOL, {"trigger": True})
    assert again["status"] == "canceled"


async def test_hedge_mode(desk):
    client = await desk.ccxt()
    await client.load_markets()
    await client.set_position_mode(True)
    assert (await client.fetch_position_mode())["hedged"]
    await client.create_order(SYMBOL, "market", "buy", 0.02, None, {"hedged": True})
    await client.create_order(SYMBOL, "market", "sell", 0.01, None, {"hedged": True})
    sides = {one["side"]: one["contracts"] for one in await client.fetch_positions()}
    assert sides == {"long": 0.02, "short": 0.01}
    await client.create_order(SYMBOL, "market", "sell", 0.02, None, {"hedged": True, "reduceOnly": True})
    sides = {one["side"]: one["contracts"] for one in await client.fetch_positions() if one["contracts"]}
    assert sides == {"short": 0.01}
    with pytest.raises(ccxt.ExchangeError, match="-4061"):
        await client.create_order(SYMBOL, "market", "buy", 0.02)
    with pytest.raises(ccxt.ExchangeError, match="-4068"):
        await client.set_position_mode(False)


async def test_watching_orders_trades_positions_and_balance(desk):
    client = await desk.ccxt()
    await client.load_markets()
    watched = [
        asyncio.create_task(client.watch_orders()),
        asyncio.create_task(client.watch_my_trades()),
        asyncio.create_task(client.watch_positions()),
        asyncio.create_task(client.watch_balance()),
    ]
    async with asyncio.timeout(40):
        while not all(task.done() for task in watched):  # ccxt tells of an event only whom it finds waiting
            await client.create_order(SYMBOL, "market", "buy", 0.01)
            await asyncio.sleep(0.05)
    orders, trades, positions, balance = [task.result() for task in watched]
    assert orders[0]["amount"] == 0.01
    assert trades[0]["amount"] == 0.01
    assert positions[0]["side"] == "long"
    assert balance["USDT"]["total"] < 100000


async def test_watching_the_market(desk):
    client = await desk.ccxt()
    await client.load_markets()
    watched = [
        asyncio.create_task(client.watch_trades(SYMBOL)),
        asyncio.create_task(client.watch_bids_asks([SYMBOL])),
        asyncio.create_task(client.watch_ticker(SYMBOL)),
        asyncio.create_task(client.watch_ohlcv(SYMBOL, "1m")),
        asyncio.create_task(client.watch_mark_price(SYMBOL)),
        asyncio.create_task(client.watch_order_book(SYMBOL)),
    ]
    price = Decimal(60000)
    async with asyncio.timeout(40):
        while not all(task.done() for task in watched):
            price += 10
            desk.trade(str(price))
            await asyncio.sleep(0.05)
    trades, quotes, ticker, bars, mark, book = [task.result() for task in watched]
    assert trades[-1]["price"] > 60000
    assert quotes[SYMBOL]["bid"] < quotes[SYMBOL]["ask"]
    assert ticker["last"] > 60000
    assert bars[-1][4] > 60000
    assert mark["markPrice"] > 60000
    assert book["bids"][0][0] < book["asks"][0][0]


async def test_orders_over_the_websocket_api(desk):
    client = await desk.ccxt()
    await client.load_markets()
    placed = await client.create_order_ws(SYMBOL, "limit", "buy", 0.01, 59000, {"newClientOrderId": "cd-1"})
    assert placed["clientOrderId"] == "cd-1"
    edited = await client.edit_order_ws(placed["id"], SYMBOL, "limit", "buy", 0.01, 59001)
    assert edited["price"] == 59001
    assert (await client.fetch_order_ws(placed["id"], SYMBOL))["price"] == 59001
    assert (await client.cancel_order_ws(placed["id"], SYMBOL))["status"] == "canceled"
    stop = await client.create_order_ws(SYMBOL, "market", "sell", 0.01, None, {"triggerPrice": 59000})
    assert stop["info"]["algoStatus"] == "NEW"
    await client.cancel_order_ws(stop["id"], SYMBOL, {"trigger": True})
    assert (await client.fetch_balance_ws())["USDT"]["total"] == 100000
    with pytest.raises(ccxt.OrderNotFound):
        await client.cancel_order_ws(placed["id"], SYMBOL)


REFUSED = [
    (("limit", "buy", 0.01, 70000), {}, "-4016"),
    (("limit", "buy", 0.001, 59000), {}, "-4164"),
    (("limit", "buy", 0.01, 60010), {"postOnly": True}, "-5022"),
    (("market", "sell", 0.01, None), {"reduceOnly": True}, "-2022"),
    (("market", "sell", 0.01, None), {"triggerPrice": 61000}, "-2021"),
    (("limit", "buy", 100, 59000), {}, "-2019"),
    (("limit", "buy", 0.01, 59000), {"clientOrderId": "first"}, "-4116"),
    (("limit", "buy", 0.01, 59000), {"clientOrderId": "a" * 37}, "-4015"),
    (("limit", "buy", 0.01, 59000), {"clientOrderId": "no spaces"}, "-1100"),
]


@pytest.mark.parametrize(("order", "params", "code"), REFUSED)
async def test_refusals(desk, order, params, code):
    client = await desk.ccxt()
    await client.load_markets()
    await client.create_order(SYMBOL, "limit", "buy", 0.01, 58000, {"clientOrderId": "first"})
    with pytest.raises(ccxt.ExchangeError, match=code):
        await client.create_order(SYMBOL, *order, params)
    assert len(desk.exchange.open_orders("parent")) == 1


async def test_wrong_keys(desk):
    client = await desk.ccxt()
    await client.load_markets()
    good = client.secret
    client.secret = "wrong"
    with pytest.raises(ccxt.AuthenticationError, match="-1022"):
        await client.fetch_balance()
    client.secret, client.apiKey = good, "A" * 64
    with pytest.raises(ccxt.AuthenticationError, match="-2015"):
        await client.fetch_balance()
    client.apiKey = "short"
    with pytest.raises(ccxt.AuthenticationError, match="-2014"):
        await client.fetch_balance()
