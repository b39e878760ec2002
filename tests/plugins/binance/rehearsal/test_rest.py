"""REST as Binance's documents have it: signatures, limits, and a code for everything that can be wrong."""

import time

import pytest
from copydesk_paper.serving.signatures import sign

LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.010", "price": "59000"}
MARKET = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}
STOP = {
    "algoType": "CONDITIONAL",
    "symbol": "BTCUSDT",
    "side": "SELL",
    "type": "STOP_MARKET",
    "quantity": "0.01",
    "triggerPrice": "59000",
}


def without(params, name):
    return {key: value for key, value in params.items() if key != name}


async def test_general(desk):
    assert (await desk.ask("GET", "/fapi/v1/ping")).json == {}
    answer = await desk.ask("GET", "/fapi/v1/time")
    assert abs(answer.json["serverTime"] - time.time_ns() // 1_000_000) < 60_000
    assert answer.headers["X-MBX-USED-WEIGHT-1M"] == "2"
    unknown = await desk.ask("GET", "/fapi/v1/nothing")
    assert (unknown.status, unknown.code) == (404, -5000)


async def test_signatures_over_query_and_body(desk):
    secrets = desk.secrets()
    secret, headers = secrets["secret"].encode(), {"X-MBX-APIKEY": secrets["key"]}
    query, body = f"timestamp={time.time_ns() // 1_000_000}&symbol=BTCUSDT", "countdownTime=0"
    signature = sign(secret, query + body)
    path = "/fapi/v1/countdownCancelAll"
    for sent_query, sent_body in (
        (query, f"{body}&signature={signature}"),
        (f"{query}&signature={signature}", body),
        (f"signature={signature}&{query}", body),
    ):
        assert (await desk.ask("POST", f"{path}?{sent_query}", headers=headers, data=sent_body)).status == 200
    wrong = await desk.ask("POST", f"{path}?{query}", headers=headers, data=f"{body}&signature={signature[::-1]}")
    assert (wrong.status, wrong.code) == (400, -1022)
    missing = await desk.ask("POST", f"{path}?{query}", headers=headers, data=body)
    assert missing.code == -1102
    assert missing.json["msg"] == "Mandatory parameter 'signature' was not sent, was empty/null, or malformed."


async def test_time_window(desk):
    now = time.time_ns() // 1_000_000
    assert (await desk.signed("GET", "/fapi/v2/balance", timestamp=now - 6000)).code == -1021
    assert (await desk.signed("GET", "/fapi/v2/balance", timestamp=now - 6000, recvWindow=10000)).status == 200
    assert (await desk.signed("GET", "/fapi/v2/balance", recvWindow=60000)).status == 200
    assert (await desk.signed("GET", "/fapi/v2/balance", recvWindow=60001)).code == -1131
    ahead = await desk.signed("GET", "/fapi/v2/balance", timestamp=now + 5000)
    assert ahead.code == -1021
    assert "1000ms ahead" in ahead.json["msg"]
    assert (await desk.signed("GET", "/fapi/v2/balance", timestamp="")).code == -1102
    assert (await desk.signed("GET", "/fapi/v2/balance", timestamp="now")).code == -1102


async def test_keys(desk):
    assert (await desk.ask("POST", "/fapi/v1/listenKey")).code == -2014
    unknown = await desk.ask("POST", "/fapi/v1/listenKey", headers={"X-MBX-APIKEY": "f" * 64})
    assert (unknown.status, unknown.code) == (401, -2015)


ORDERS_REFUSED = [
    (without(LIMIT, "symbol"), -1102),
    (without(LIMIT, "side"), -1102),
    (without(LIMIT, "type"), -1102),
    (without(LIMIT, "quantity"), -1102),
    (without(LIMIT, "price"), -1102),
    (without(LIMIT, "timeInForce"), -1102),
    ({**LIMIT, "quantity": "ten"}, -1102),
    ({**LIMIT, "symbol": "NOSUCH"}, -1121),
    ({**LIMIT, "side": "LONG"}, -1117),
    ({**LIMIT, "type": "ICEBERG"}, -1116),
    ({**LIMIT, "type": "STOP_MARKET", "stopPrice": "1"}, -4120),
    ({**LIMIT, "type": "TRAILING_STOP_MARKET"}, -4120),
    ({**LIMIT, "timeInForce": "DAY"}, -1115),
    ({**LIMIT, "newOrderRespType": "FULL"}, -1136),
    ({**LIMIT, "positionSide": "UP"}, -4060),
    ({**LIMIT, "positionSide": "LONG"}, -4061),
    ({**LIMIT, "price": "59000.005"}, -1111),
    ({**LIMIT, "price": "59000.05"}, -4014),
    ({**LIMIT, "price": "0"}, -4001),
    ({**LIMIT, "price": "0.01"}, -4013),
    ({**LIMIT, "price": "99999999"}, -4002),
    ({**LIMIT, "price": "70000"}, -4016),
    ({**LIMIT, "side": "SELL", "price": "50000"}, -4024),
    ({**LIMIT, "quantity": "0"}, -4003),
    ({**LIMIT, "quantity": "0.0001"}, -1111),
    ({**LIMIT, "quantity": "5000"}, -4005),
    ({**LIMIT, "quantity": "0.001"}, -4164),
    ({**LIMIT, "quantity": "40"}, -2019),
    ({**LIMIT, "timeInForce": "GTX", "price": "60010"}, -5022),
    ({**LIMIT, "timeInForce": "FOK"}, -5021),
    ({**LIMIT, "timeInForce": "GTD"}, -1102),
    ({**LIMIT, "timeInForce": "GTD", "goodTillDate": "1700000000000"}, -5040),
    ({**LIMIT, "priceMatch": "BEST"}, -5037),
    ({**LIMIT, "priceMatch": "QUEUE"}, -1106),
    ({**LIMIT, "closePosition": "true"}, -4136),
    ({**LIMIT, "newClientOrderId": "a" * 37}, -4015),
    ({**LIMIT, "newClientOrderId": "not allowed"}, -1100),
    ({**LIMIT, "newClientOrderId": "taken"}, -4116),
    ({**LIMIT, "side": "SELL", "price": "61000", "reduceOnly": "true"}, -2022),
    ({**MARKET, "price": "60000"}, -1106),
    ({**MARKET, "timeInForce": "GTC"}, -1106),
    ({**MARKET, "quantity": "121"}, -4005),
    ({**MARKET, "side": "SELL", "reduceOnly": "true"}, -2022),
]


@pytest.mark.parametrize(("params", "code"), ORDERS_REFUSED)
async def test_refused_orders(desk, params, code):
    await desk.signed("POST", "/fapi/v1/order", **LIMIT, newClientOrderId="taken")
    answer = await desk.signed("POST", "/fapi/v1/order", **params)
    assert (answer.status, answer.code) == (400, code), answer.json
    assert len(desk.exchange.open_orders("parent")) == 1


ALGOS_REFUSED = [
    (without(STOP, "algoType"), -1102),
    ({**STOP, "algoType": "TWAP"}, -1130),
    ({**STOP, "type": "LIMIT"}, -1116),
    (without(STOP, "triggerPrice"), -1102),
    (without(STOP, "quantity"), -1102),
    ({**STOP, "type": "STOP"}, -1102),
    ({**STOP, "triggerPrice": "61000"}, -2021),
    ({**STOP, "triggerPrice": "59000.05"}, -4014),
    ({**STOP, "triggerPrice": "0"}, -4006),
    ({**STOP, "type": "TAKE_PROFIT_MARKET"}, -2021),
    ({**without(STOP, "triggerPrice"), "type": "TRAILING_STOP_MARKET"}, -1102),
    ({**without(STOP, "triggerPrice"), "type": "TRAILING_STOP_MARKET", "callbackRate": "11"}, -1130),
    ({**STOP, "closePosition": "true"}, -4137),
    ({**without(STOP, "quantity"), "closePosition": "true", "reduceOnly": "true"}, -1106),
    ({**without(STOP, "quantity"), "closePosition": "true", "type": "STOP", "price": "1"}, -4136),
    ({**STOP, "workingType": "INDEX"}, -1130),
    ({**STOP, "clientAlgoId": "taken"}, -4116),
]


@pytest.mark.parametrize(("params", "code"), ALGOS_REFUSED)
async def test_refused_algo_orders(desk, params, code):
    await desk.signed("POST", "/fapi/v1/algoOrder", **STOP, clientAlgoId="taken")
    answer = await desk.signed("POST", "/fapi/v1/algoOrder", **params)
    assert (answer.status, answer.code) == (400, code), answer.json
    assert len(desk.exchange.open_orders("parent")) == 1


async def test_ack_and_result(desk):
    ack = (await desk.signed("POST", "/fapi/v1/order", **MARKET)).json
    assert (ack["status"], ack["executedQty"]) == ("NEW", "0.000")
    result = (await desk.signed("POST", "/fapi/v1/order", **MARKET, newOrderRespType="RESULT")).json
    assert (result["status"], result["executedQty"], result["avgPrice"]) == ("FILLED", "0.010", "60005.00000")
    expired = (
        await desk.signed("POST", "/fapi/v1/order", **{**LIMIT, "timeInForce": "IOC"}, newOrderRespType="RESULT")
    ).json
    assert (expired["status"], expired["executedQty"]) == ("EXPIRED", "0.000")


async def test_unknown_orders(desk):
    named = {"symbol": "BTCUSDT", "orderId": 12345}
    assert (await desk.signed("DELETE", "/fapi/v1/order", **named)).code == -2011
    assert (await desk.signed("GET", "/fapi/v1/order", **named)).code == -2013
    assert (await desk.signed("GET", "/fapi/v1/openOrder", **named)).code == -2013
    assert (await desk.signed("PUT", "/fapi/v1/order", **named, side="BUY", quantity="0.01", price="59000")).code == -2013
    assert (await desk.signed("GET", "/fapi/v1/order", symbol="BTCUSDT")).code == -1102
    assert (await desk.signed("GET", "/fapi/v1/algoOrder", algoId=1)).code == -2013
    assert (await desk.signed("DELETE", "/fapi/v1/algoOrder", clientAlgoId="none")).code == -2011
    placed = (await desk.signed("POST", "/fapi/v1/order", **LIMIT)).json
    elsewhere = {"symbol": "ETHUSDT", "orderId": placed["orderId"]}
    assert (await desk.signed("DELETE", "/fapi/v1/order", **elsewhere)).code == -2011
    assert (await desk.signed("DELETE", "/fapi/v1/order", "child", **{**elsewhere, "symbol": "BTCUSDT"})).code == -2011


async def test_refused_changes(desk):
    placed = (await desk.signed("POST", "/fapi/v1/order", **LIMIT)).json
    change = {"symbol": "BTCUSDT", "side": "BUY", "orderId": placed["orderId"], "quantity": "0.010", "price": "59000"}
    for fields, code in (
        ({}, -5027),
        ({"price": "59000.05"}, -4014),
        ({"quantity": "0.001"}, -4164),
        ({"price": "90000"}, -4016),
        ({"price": ""}, -1102),
        ({"quantity": "40"}, -2019),
    ):
        answer = await desk.signed("PUT", "/fapi/v1/order", **{**change, **fields})
        assert answer.code == code, answer.json
    unchanged = (await desk.signed("GET", "/fapi/v1/order", symbol="BTCUSDT", orderId=placed["orderId"])).json
    assert (unchanged["price"], unchanged["origQty"]) == ("59000.00", "0.010")


async def test_changing_a_reduce_only_order_below_the_minimum(desk):
    await desk.signed("POST", "/fapi/v1/order", **MARKET)
    closing = {**LIMIT, "side": "SELL", "price": "61000", "quantity": "0.005", "reduceOnly": "true"}
    placed = (await desk.signed("POST", "/fapi/v1/order", **closing)).json
    change = {"symbol": "BTCUSDT", "side": "SELL", "orderId": placed["orderId"], "quantity": "0.001", "price": "61000"}
    assert (await desk.signed("PUT", "/fapi/v1/order", **change)).code == -4164
    feed = await desk.private()
    changed = await desk.signed("PUT", "/fapi/v1/order", **change, reduceOnly="true", modifyId=77)
    assert (changed.json["origQty"], changed.json["modifyId"]) == ("0.001", 77)
    assert (await feed.next())["o"]["M"] == "77"
    opening = (await desk.signed("POST", "/fapi/v1/order", **LIMIT)).json
    change = {**change, "side": "BUY", "orderId": opening["orderId"], "quantity": "0.011", "price": "59000"}
    assert (await desk.signed("PUT", "/fapi/v1/order", **change, reduceOnly="true")).code == -5047


async def test_modes(desk):
    post = desk.signed
    assert (await post("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="CROSSED")).code == -4046
    assert (await post("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="NONE")).code == -1130
    assert (await post("POST", "/fapi/v1/positionSide/dual", dualSidePosition="false")).code == -4059
    assert (await post("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=126)).code == -4028
    reply = await post("POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=10)
    assert reply.json["leverage"] == 10
    await post("POST", "/fapi/v1/order", **LIMIT)
    assert (await post("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")).code == -4047
    assert (await post("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")).code == -4067
    await post("DELETE", "/fapi/v1/allOpenOrders", symbol="BTCUSDT")
    await post("POST", "/fapi/v1/order", **MARKET)
    assert (await post("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")).code == -4048
    assert (await post("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")).code == -4068
    await post("POST", "/fapi/v1/order", **{**MARKET, "side": "SELL"}, reduceOnly="true")
    assert (await post("POST", "/fapi/v1/positionSide/dual", dualSidePosition="true")).status == 200
    assert (await post("POST", "/fapi/v1/order", **MARKET)).code == -4061
    assert (await post("POST", "/fapi/v1/order", **MARKET, positionSide="LONG", reduceOnly="false")).code == -1106
    assert (await post("POST", "/fapi/v1/order", **{**MARKET, "side": "SELL"}, positionSide="LONG")).code == -2022
    assert (await post("POST", "/fapi/v1/order", **MARKET, positionSide="LONG")).status == 200
    assert (await post("POST", "/fapi/v1/order", **{**MARKET, "side": "SELL"}, positionSide="LONG")).status == 200


async def test_close_position(desk):
    closing = {**without(STOP, "quantity"), "closePosition": "true"}
    await desk.signed("POST", "/fapi/v1/order", **MARKET)
    placed = await desk.signed("POST", "/fapi/v1/algoOrder", **closing)
    assert (placed.json["closePosition"], placed.json["quantity"]) == (True, "0.000")
    assert (await desk.signed("POST", "/fapi/v1/algoOrder", **closing)).code == -4130
    desk.trade("58990")
    assert desk.exchange.positions("parent") == []
    done = (await desk.signed("GET", "/fapi/v1/algoOrder", algoId=placed.json["algoId"])).json
    assert (done["algoStatus"], done["actualQty"]) == ("FINISHED", "0.010")


async def test_order_limits(open_desk):
    desk = await open_desk(options={"orders-per-10s": "4", "orders-per-minute": "6"})
    for count in range(1, 4):
        answer = await desk.signed("POST", "/fapi/v1/order", **LIMIT, newClientOrderId=f"cd-{count}")
        assert answer.status == 200
    assert answer.headers["X-MBX-ORDER-COUNT-1M"] in ("1", "2", "3")  # a minute may have begun meanwhile
    codes = [(await desk.signed("POST", "/fapi/v1/order", **MARKET)).code for _ in range(12)]
    assert -1015 in codes
    last = await desk.signed("POST", "/fapi/v1/order", **MARKET)
    assert last.status == 429
    assert int(last.headers["Retry-After"]) > 0
    assert (await desk.signed("DELETE", "/fapi/v1/allOpenOrders", symbol="BTCUSDT")).status == 200
    assert (await desk.signed("POST", "/fapi/v1/order", "child", **MARKET)).status == 200


async def test_weight_limit_then_ban(open_desk):
    desk = await open_desk(options={"weight-per-minute": "50"})
    statuses = []
    for _ in range(40):
        answer = await desk.ask("GET", "/fapi/v1/ticker/24hr")
        statuses.append(answer.status)
        if answer.status == 418:
            break
    assert statuses[0] == 200
    assert 429 in statuses
    assert statuses[-1] == 418
    assert answer.code == -1003
    assert "banned until" in answer.json["msg"]
    assert int(answer.headers["Retry-After"]) > 60
    assert (await desk.signed("POST", "/fapi/v1/order", **LIMIT)).status == 418


async def test_good_till_date(desk):
    till = time.time_ns() // 1_000_000 + 700_000
    placed = (await desk.signed("POST", "/fapi/v1/order", **{**LIMIT, "timeInForce": "GTD"}, goodTillDate=till)).json
    assert placed["timeInForce"] == "GTD"
    assert placed["goodTillDate"] == till - till % 1000


async def test_batches_answer_each_order_on_its_own(desk):
    import json

    batch = json.dumps([LIMIT, {**LIMIT, "side": "NONE"}])
    placed, refused = (await desk.signed("POST", "/fapi/v1/batchOrders", batchOrders=batch)).json
    assert placed["status"] == "NEW"
    assert refused["code"] == -1117
    assert (await desk.signed("POST", "/fapi/v1/batchOrders", batchOrders=json.dumps([LIMIT] * 6))).code == -4082
    ids = json.dumps([placed["orderId"], 999])
    cancelled, unknown = (await desk.signed("DELETE", "/fapi/v1/batchOrders", symbol="BTCUSDT", orderIdList=ids)).json
    assert cancelled["status"] == "CANCELED"
    assert unknown == {"code": -2011, "msg": "Unknown order sent."}


async def test_countdown_cancels_all(desk):
    feed = await desk.private()
    await desk.signed("POST", "/fapi/v1/order", **LIMIT)
    await desk.signed("POST", "/fapi/v1/countdownCancelAll", symbol="BTCUSDT", countdownTime=30)
    events = await feed.until(lambda event: event["o"]["x"] == "CANCELED")
    assert len(events) == 2
