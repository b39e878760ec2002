"""User data and market streams, listen keys, and the life of an algo order as its events tell it."""

import asyncio
import json
from decimal import Decimal

import pytest

ORDER = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": "59000"}
STOP = {
    "algoType": "CONDITIONAL",
    "symbol": "BTCUSDT",
    "side": "SELL",
    "type": "STOP_MARKET",
    "quantity": "0.01",
    "triggerPrice": "59000",
    "clientAlgoId": "stop-1",
}


def told(events):
    """Events in short: order updates by execution and status, algo updates by status."""
    short = []
    for event in events:
        if event["e"] == "ORDER_TRADE_UPDATE":
            short.append(f"{event['o']['x']}/{event['o']['X']}")
        elif event["e"] == "ALGO_UPDATE":
            short.append(f"algo {event['o']['X']}")
        else:
            short.append(event["e"])
    return short


async def test_order_events(desk):
    feed = await desk.private()
    placed = (await desk.signed("POST", "/fapi/v1/order", **ORDER, newClientOrderId="cd-1")).json
    await desk.signed(
        "PUT", "/fapi/v1/order", symbol="BTCUSDT", side="BUY", orderId=placed["orderId"], quantity="0.02", price="59001"
    )
    await desk.signed("DELETE", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="cd-1")
    events = await feed.until(lambda event: event["o"]["x"] == "CANCELED")
    assert told(events) == ["NEW/NEW", "AMENDMENT/NEW", "CANCELED/CANCELED"]
    assert {event["o"]["c"] for event in events} == {"cd-1"}
    assert events[0]["o"]["b"] == "590"
    assert events[-1]["o"]["q"] == "0.02"


async def test_a_fill_tells_order_account_and_profit(desk):
    feed = await desk.private()
    await desk.signed("POST", "/fapi/v1/order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01")
    events = await feed.until(lambda event: event["e"] == "ACCOUNT_UPDATE")
    assert told(events) == ["NEW/NEW", "TRADE_LITE", "TRADE/FILLED", "ACCOUNT_UPDATE"]
    account = events[-1]["a"]
    assert account["m"] == "ORDER"
    assert account["P"][0]["pa"] == "0.01"
    assert account["P"][0]["ep"] == "60005"
    assert account["B"][0] == {"a": "USDT", "wb": "99999.69997500", "cw": "99999.69997500", "bc": "0"}
    desk.trade("61000")
    await desk.signed("POST", "/fapi/v1/order", symbol="BTCUSDT", side="SELL", type="MARKET", quantity="0.01")
    events = await feed.until(lambda event: event["e"] == "ACCOUNT_UPDATE")
    assert events[2]["o"]["rp"] == "9.90000000"
    assert events[-1]["a"]["P"][0]["pa"] == "0"
    assert events[-1]["a"]["P"][0]["cr"] == "9.9"
    [trade] = [
        row for row in (await desk.signed("GET", "/fapi/v1/userTrades", symbol="BTCUSDT")).json if row["side"] == "SELL"
    ]
    assert trade["realizedPnl"] == "9.90000000"
    income = (await desk.signed("GET", "/fapi/v1/income")).json
    assert [row["incomeType"] for row in income] == ["COMMISSION", "COMMISSION", "REALIZED_PNL"]


async def test_a_triggered_algo_order_becomes_an_ordinary_one(desk):
    await desk.signed("POST", "/fapi/v1/order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01")
    feed = await desk.private()
    placed = (await desk.signed("POST", "/fapi/v1/algoOrder", **STOP)).json
    desk.trade("58990")
    events = await feed.until(lambda event: event["e"] == "ALGO_UPDATE" and event["o"]["X"] == "FINISHED")
    assert told(events) == [
        "algo NEW",
        "algo TRIGGERING",
        "NEW/NEW",
        "algo TRIGGERED",
        "TRADE_LITE",
        "TRADE/FILLED",
        "algo FINISHED",
    ]
    orders = [event["o"] for event in events if event["e"] == "ORDER_TRADE_UPDATE"]
    assert {order["c"] for order in orders} == {"stop-1"}
    assert {order["ot"] for order in orders} == {"STOP_MARKET"}
    assert {order["o"] for order in orders} == {"MARKET"}
    triggered, finished = (event["o"] for event in events if told([event])[0] in ("algo TRIGGERED", "algo FINISHED"))
    assert triggered["ai"] == finished["ai"] == str(orders[0]["i"])
    assert finished["aid"] == placed["algoId"] != orders[0]["i"]
    assert (finished["aq"], finished["ap"], finished["act"]) == ("0.01", "58985", "MARKET")
    query = (await desk.signed("GET", "/fapi/v1/algoOrder", clientAlgoId="stop-1")).json
    assert query["algoStatus"] == "FINISHED"
    assert query["actualOrderId"] == triggered["ai"]
    order = (await desk.signed("GET", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="stop-1")).json
    assert (order["status"], order["type"], order["origType"]) == ("FILLED", "MARKET", "STOP_MARKET")
    assert (await desk.signed("DELETE", "/fapi/v1/algoOrder", algoId=placed["algoId"])).code == -2011


async def test_a_triggered_stop_limit_rests_as_an_ordinary_order(desk):
    feed = await desk.private()
    await desk.signed("POST", "/fapi/v1/algoOrder", **{**STOP, "type": "STOP", "price": "59500"})
    desk.trade("58990")
    events = await feed.until(lambda event: told([event]) == ["algo TRIGGERED"])
    assert told(events) == ["algo NEW", "algo TRIGGERING", "NEW/NEW", "algo TRIGGERED"]
    [order] = (await desk.signed("GET", "/fapi/v1/openOrders", symbol="BTCUSDT")).json
    assert (order["clientOrderId"], order["type"], order["price"]) == ("stop-1", "LIMIT", "59500.00")
    assert (await desk.signed("GET", "/fapi/v1/openAlgoOrders")).json == []
    await desk.signed("DELETE", "/fapi/v1/order", symbol="BTCUSDT", orderId=order["orderId"])
    events = await feed.until(lambda event: told([event]) == ["algo FINISHED"])
    assert told(events) == ["CANCELED/CANCELED", "algo FINISHED"]


async def test_a_triggered_order_that_the_engine_refuses_is_rejected(desk):
    feed = await desk.private()
    await desk.signed("POST", "/fapi/v1/algoOrder", **STOP, reduceOnly="true")
    desk.trade("58990")
    events = await feed.until(lambda event: told([event]) == ["algo REJECTED"])
    assert told(events) == ["algo NEW", "algo TRIGGERING", "algo REJECTED"]
    assert events[-1]["o"]["rm"] == "ReduceOnly Order is rejected."
    assert events[-1]["o"]["ai"] == ""
    assert (await desk.signed("GET", "/fapi/v1/allOrders", symbol="BTCUSDT")).json == []


async def test_algo_and_ordinary_orders_do_not_share_client_ids(desk):
    assert (await desk.signed("POST", "/fapi/v1/algoOrder", **STOP)).status == 200
    assert (await desk.signed("POST", "/fapi/v1/order", **ORDER, newClientOrderId="stop-1")).status == 200
    assert (await desk.signed("POST", "/fapi/v1/algoOrder", **STOP)).code == -4116
    assert (await desk.signed("POST", "/fapi/v1/order", **ORDER, newClientOrderId="stop-1")).code == -4116
    await desk.signed("DELETE", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="stop-1")
    assert (await desk.signed("POST", "/fapi/v1/order", **ORDER, newClientOrderId="stop-1")).status == 200
    [algo] = (await desk.signed("GET", "/fapi/v1/openAlgoOrders")).json
    assert algo["clientAlgoId"] == "stop-1"


async def test_a_liquidation_is_told_as_one(desk):
    feed = await desk.private()
    await desk.signed("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=100)
    await desk.signed("POST", "/fapi/v1/order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="40")
    desk.trade("57000")
    orders = await feed.until(lambda event: event["e"] == "ORDER_TRADE_UPDATE" and event["o"]["x"] == "CALCULATED")
    liquidation = orders[-1]["o"]
    assert liquidation["c"].startswith("autoclose-")
    assert liquidation["R"] is True
    assert Decimal(liquidation["rp"]) < -100_000
    [forced] = (await desk.signed("GET", "/fapi/v1/forceOrders", symbol="BTCUSDT")).json
    assert forced["clientOrderId"] == liquidation["c"]
    assert (await desk.signed("GET", "/fapi/v3/positionRisk")).json == []


async def test_the_market_hears_of_a_liquidation(desk):
    one, all_ = (
        await desk.listen("/market/ws/btcusdt@forceOrder"),
        await desk.listen("/market/stream?streams=!forceOrder@arr"),
    )
    await desk.signed("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=100)
    await desk.signed("POST", "/fapi/v1/order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="40")
    desk.trade("57000")
    event = await one.next()
    assert event["e"] == "forceOrder"
    assert (event["o"]["s"], event["o"]["S"], event["o"]["q"]) == ("BTCUSDT", "SELL", "40")
    assert Decimal(event["o"]["ap"]) < 57000
    told = await all_.next()
    assert (told["stream"], told["data"]["o"]) == ("!forceOrder@arr", event["o"])


async def test_streams_of_no_use_do_not_stop_the_others(desk):
    odd = ("!forceOrder@arr", "!assetIndex@arr", "!nothing@arr", "btcusdt@depth7", "nosuch@kline_1m", "btcusdt@kline_9m")
    names = "/".join([*odd, "nosuch_perpetual@continuousKline_9m", "btcusdt@markPrice@1s"])
    feed = await desk.listen(f"/stream?streams={names}")
    assert (await feed.next())["stream"] == "btcusdt@markPrice@1s"


async def test_every_address_of_the_private_stream(desk):
    key = desk.secrets()["key"]
    name = (await desk.ask("POST", "/fapi/v1/listenKey", headers={"X-MBX-APIKEY": key})).json["listenKey"]
    again = (await desk.ask("POST", "/fapi/v1/listenKey", headers={"X-MBX-APIKEY": key})).json["listenKey"]
    assert again == name
    raw = [
        await desk.listen(path)
        for path in (f"/ws/{name}", f"/private/ws/{name}", f"/private/ws?listenKey={name}&events=ORDER_TRADE_UPDATE")
    ]
    combined = [await desk.listen(path) for path in (f"/stream?streams={name}", f"/private/stream?listenKey={name}")]
    later = await desk.listen("/private/ws")
    assert await later.ask("SUBSCRIBE", [name]) == {"result": None, "id": 1}
    await desk.signed("POST", "/fapi/v1/order", **ORDER)
    for feed in [*raw, later]:
        assert (await feed.next())["e"] == "ORDER_TRADE_UPDATE"
    for feed in combined:
        frame = await feed.next()
        assert frame["stream"] == name
        assert frame["data"]["e"] == "ORDER_TRADE_UPDATE"


async def test_a_stream_hears_only_its_own_account_and_events(desk):
    name = (await desk.ask("POST", "/fapi/v1/listenKey", headers={"X-MBX-APIKEY": desk.secrets()["key"]})).json["listenKey"]
    feed = await desk.listen(f"/private/ws?listenKey={name}&events=ACCOUNT_UPDATE")
    await desk.signed("POST", "/fapi/v1/order", "child", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01")
    await desk.signed("POST", "/fapi/v1/order", "parent", symbol="BTCUSDT", side="SELL", type="MARKET", quantity="0.02")
    event = await feed.next()
    assert event["e"] == "ACCOUNT_UPDATE"
    assert event["a"]["P"][0]["pa"] == "-0.02"


async def test_a_listen_key_expires_unless_it_is_kept_alive(open_desk):
    desk = await open_desk(options={"listen-key-seconds": "0.6"})
    header = {"X-MBX-APIKEY": desk.secrets()["key"]}
    feed = await desk.private()
    name = (await desk.ask("PUT", "/fapi/v1/listenKey", headers=header)).json["listenKey"]
    event = await feed.next()
    assert event["e"] == "listenKeyExpired"
    assert event["listenKey"] == name
    assert isinstance(event["E"], str)
    assert (await desk.ask("PUT", "/fapi/v1/listenKey", headers=header)).code == -1125
    await desk.signed("POST", "/fapi/v1/order", **ORDER)
    renewed = await desk.private()
    await desk.signed("DELETE", "/fapi/v1/allOpenOrders", symbol="BTCUSDT")
    assert told([await renewed.next()]) == ["CANCELED/CANCELED"]
    with pytest.raises((TimeoutError, asyncio.TimeoutError)):
        await feed.socket.receive(timeout=0.05)


async def test_deleting_the_listen_key_closes_its_streams(desk):
    feed = await desk.private()
    header = {"X-MBX-APIKEY": desk.secrets()["key"]}
    assert (await desk.ask("DELETE", "/fapi/v1/listenKey", headers=header)).json == {}
    with pytest.raises(ConnectionError):
        await feed.next()


async def test_config_and_transfer_events(desk):
    feed = await desk.private()
    await desk.signed("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=7)
    event = await feed.next()
    assert event["e"] == "ACCOUNT_CONFIG_UPDATE"
    assert event["ac"] == {"s": "BTCUSDT", "l": 7}
    http = await desk.http()
    url = f"{desk.rehearsal.ready.control_url}/accounts/parent/deposit"
    async with http.post(url, data=json.dumps({"amount": "-250"})) as response:
        assert response.status == 200
    event = await feed.next()
    assert event["a"]["m"] == "WITHDRAW"
    assert event["a"]["B"] == [{"a": "USDT", "wb": "99750.00000000", "cw": "99750.00000000", "bc": "-250.00000000"}]
    assert event["a"]["P"] == []


MARKET_STREAMS = {
    "btcusdt@aggTrade": "aggTrade",
    "btcusdt@trade": "trade",
    "btcusdt@bookTicker": "bookTicker",
    "btcusdt@kline_1m": "kline",
    "btcusdt@kline_3m": "kline",
    "btcusdt@markPrice@1s": "markPriceUpdate",
    "btcusdt@depth5@100ms": "depthUpdate",
    "btcusdt@depth@100ms": "depthUpdate",
    "btcusdt@ticker": "24hrTicker",
    "btcusdt@miniTicker": "24hrMiniTicker",
}


async def test_market_streams(desk):
    feed = await desk.listen("/public/stream?streams=" + "/".join(list(MARKET_STREAMS)[:3]))
    assert await feed.ask("SUBSCRIBE", list(MARKET_STREAMS)[3:]) == {"result": None, "id": 1}
    assert (await feed.ask("LIST_SUBSCRIPTIONS", [], 2))["result"] == list(MARKET_STREAMS)
    missing = dict(MARKET_STREAMS)
    desk.trade("60010")
    async with asyncio.timeout(40):
        while missing:
            frame = await feed.next()
            assert frame["data"]["e"] == MARKET_STREAMS[frame["stream"]]
            missing.pop(frame["stream"], None)
    await feed.ask("UNSUBSCRIBE", list(MARKET_STREAMS)[1:], 3)
    assert (await feed.ask("LIST_SUBSCRIPTIONS", [], 4))["result"] == ["btcusdt@aggTrade"]
    assert (await feed.ask("SUBSCRIBE", ["nosuch@trade"], 5))["error"]["msg"] == "Invalid request: invalid stream"


async def test_all_book_tickers_are_those_of_listed_symbols(open_desk):
    desk = await open_desk(speed=Decimal(200))
    unlisted = set(desk.exchange.instruments) - set(desk.rehearsal.ready.symbols)
    assert unlisted
    feed = await desk.listen("/public/ws/!bookTicker")
    seen = set()
    async with asyncio.timeout(40):
        while seen != set(desk.rehearsal.ready.symbols):
            seen.add((await feed.next())["s"])


async def test_diff_depth_follows_the_snapshot(desk):
    feed = await desk.listen("/public/ws/btcusdt@depth@100ms")
    books = []
    for price in ("60010", "60020", "60030"):
        desk.trade(price)
        books.append(await feed.next())
    assert [book["pu"] for book in books[1:]] == [book["u"] for book in books[:-1]]
    assert books[-1]["b"] == [["60015.00", "0.000"], ["60025.00", "50.000"]]
