"""The REST side of the rehearsal venue: who may ask, how often, what is refused, and how pages go on."""

import json
import socket
import ssl
from pathlib import Path

import aiohttp
import pytest
from copydesk.errors import UsageError
from copydesk_bybit.rehearsal.account import Account
from copydesk_bybit.rehearsal.codes import Refusal
from copydesk_bybit.rehearsal.signing import authenticate, check_socket

SIGNED = Path(__file__).parents[5] / "shared/venue-samples/bybit/auth-signing"
BTC = {"category": "linear", "symbol": "BTCUSDT"}
LIMIT = {**BTC, "side": "Buy", "orderType": "Limit", "qty": "0.010", "price": "59000"}
SPOT = {"category": "spot", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.01", "price": "59000"}


@pytest.mark.parametrize("name", ["get", "post", "ws-auth"])
def test_signatures_are_those_of_the_documents(name):
    path = SIGNED / f"{name}.json"
    if not path.is_file():
        pytest.skip(f"no recorded payloads at {SIGNED}")
    vector = json.loads(path.read_text())
    account = Account("parent", vector["api_key"], vector["secret"])
    accounts, parts = {account.key: account}, vector["parts"]

    def check(signature):
        if name == "ws-auth":
            return check_socket(accounts, [account.key, parts["expires"], signature], int(parts["expires"]) - 1)
        headers = {
            "X-BAPI-API-KEY": account.key,
            "X-BAPI-SIGN": signature,
            "X-BAPI-TIMESTAMP": parts["timestamp"],
            "X-BAPI-RECV-WINDOW": parts["recv_window"],
        }
        return authenticate(accounts, headers, parts["payload"], int(parts["timestamp"]), lambda _: 0)

    assert check(vector["signature"]) is account
    with pytest.raises(Refusal) as refused:
        check("0" * 64)
    assert refused.value.code == 10004


async def test_who_may_not_ask(desk):
    unsigned = await desk.ask("GET", "/v5/account/info")
    assert (unsigned.status, unsigned.code) == (401, 10001)
    stranger = {"X-BAPI-API-KEY": "none", "X-BAPI-SIGN": "x", "X-BAPI-TIMESTAMP": "1"}
    assert (await desk.ask("GET", "/v5/account/info", headers=stranger)).code == 10003
    old = stranger | {"X-BAPI-API-KEY": desk.secrets()["key"]}
    late = await desk.ask("GET", "/v5/account/info", headers=old)
    assert late.code == 10002
    assert "recv_window[5000]" in late.json["retMsg"]
    wrong = old | {"X-BAPI-TIMESTAMP": str(desk.rehearsal.exchange.now_ms())}
    assert (await desk.ask("GET", "/v5/account/info", headers=wrong)).code == 10004


async def test_what_is_not_there_is_said(desk):
    assert (await desk.ask("GET", "/v5/nothing")).status == 404
    assert (await desk.ask("POST", "/v5/account/info")).status == 400
    assert (await desk.signed("POST", "/v5/order/disconnected-cancel-all", timeWindow=10)).code == 10005


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        ({"category": "nothing"}, 10001, "symbol"),
        ({"symbol": "NOSUCHUSDT"}, 10001, "symbol invalid"),
        ({"side": "Long"}, 10001, "Side invalid"),
        ({"orderType": "Stop"}, 10001, "OrderType invalid"),
        ({"timeInForce": "GTX"}, 10001, "TimeInForce invalid"),
        ({"qty": "much"}, 10001, "Qty invalid"),
        ({"qty": "0.0105"}, 10001, "Qty invalid"),
        ({"qty": "0"}, 10001, "Qty invalid"),
        ({"qty": "9999"}, 10001, "exceeds maximum limit"),
        ({"qty": "0.001", "price": "54000.05"}, 10001, "price invalid"),
        ({"price": "1000000"}, 110003, "allowable range"),
        ({"qty": "100"}, 110007, "not enough"),
        ({"orderLinkId": "a b"}, 10001, "OrderLinkId"),
        ({"orderLinkId": "a" * 37}, 10001, "OrderLinkId"),
        ({"positionIdx": 1}, 10001, "position idx not match position mode"),
        ({"side": "Sell", "price": "61000", "reduceOnly": True}, 110017, "reduce-only"),
        ({"triggerPrice": "61000"}, 10001, "TriggerDirection"),
        ({"triggerPrice": "59000", "triggerDirection": 1}, 110092, "expect Rising"),
        ({"triggerPrice": "61000", "triggerDirection": 2}, 110093, "expect Falling"),
        ({"reduceOnly": True, "takeProfit": "70000"}, 10001, "reduce-only"),
        ({"tpslMode": "Full", "tpOrderType": "Limit", "takeProfit": "70000"}, 10001, "market orders only"),
        (SPOT | {"symbol": "NOSUCHUSDT"}, 170121, "Invalid symbol"),
        (SPOT | {"qty": "0.0000001"}, 170137, "decimals"),
        (SPOT | {"qty": "0.000001"}, 170140, "lower limit"),
        (SPOT | {"qty": "100"}, 170131, "Insufficient"),
        (SPOT | {"price": "59000.05"}, 170134, "decimals"),
    ],
)
async def test_orders_that_are_refused(desk, changes, code, words):
    got, message = await desk.refused("order/create", **(LIMIT | changes))
    assert got == code
    assert words.lower() in message.lower()
    assert (await desk.get("order/realtime", **BTC))["list"] == []


async def test_a_client_id_is_taken_for_good(desk):
    await desk.post("order/create", **LIMIT, orderLinkId="once")
    await desk.post("order/cancel", **BTC, orderLinkId="once")
    assert (await desk.refused("order/create", **LIMIT, orderLinkId="once"))[0] == 110072
    await desk.post("order/create", **SPOT, orderLinkId="spot")
    assert (await desk.refused("order/create", **SPOT, orderLinkId="spot"))[0] == 170141
    await desk.post("order/create", "child", **LIMIT, orderLinkId="once")


async def test_amends_and_cancels_that_are_refused(desk):
    assert (await desk.refused("order/cancel", **BTC))[0] == 10001
    assert (await desk.refused("order/cancel", **BTC, orderId="none"))[0] == 110001
    assert (await desk.refused("order/cancel", category="spot", symbol="BTCUSDT", orderId="none"))[0] == 170213
    placed = await desk.post("order/create", **LIMIT)
    named = {**BTC, "orderId": placed["orderId"]}
    code, message = await desk.refused("order/amend", **named, price="59000")
    assert code == 10001
    assert "remains unchanged" in message
    wrong = {"category": "linear", "symbol": "ETHUSDT", "orderId": placed["orderId"]}
    assert (await desk.refused("order/cancel", **wrong))[0] == 110001
    await desk.post("order/cancel", **named)
    assert (await desk.refused("order/amend", **named, price="58000"))[0] == 110001
    assert (await desk.refused("order/cancel", **named))[0] == 110001


async def test_orders_that_are_taken_and_end_at_once(desk):
    feed = await desk.private("order")
    for changes, reason in (
        ({"timeInForce": "PostOnly", "price": "61000"}, "EC_PostOnlyWillTakeLiquidity"),
        ({"timeInForce": "IOC"}, "EC_NoImmediateQtyToFill"),
        ({"timeInForce": "FOK"}, "EC_CancelForNoFullFill"),
    ):
        placed = await desk.post("order/create", **(LIMIT | changes))
        told = await feed.order("Cancelled", orderId=placed["orderId"])
        assert told["rejectReason"] == reason
        [row] = (await desk.get("order/realtime", **BTC, orderId=placed["orderId"]))["list"]
        assert (row["orderStatus"], row["cumExecQty"]) == ("Cancelled", "0.000")
    history = await desk.get("order/history", **BTC)
    assert len(history["list"]) == 3


async def test_a_waiting_order_is_told_from_its_beginning_to_its_end(desk):
    feed = await desk.private("order.linear", "execution.fast")
    stop = LIMIT | {"triggerPrice": "61000", "triggerDirection": 1, "price": "61010", "orderLinkId": "stop"}
    placed = await desk.post("order/create", **stop)
    states = []
    desk.trade("61000")
    while not states or states[-1] != "Filled":
        frame = await feed.next()
        if frame["topic"] == "order.linear":
            row = frame["data"][0]
            assert (row["orderId"], row["stopOrderType"]) == (placed["orderId"], "Stop")
            states.append(row["orderStatus"])
    assert states == ["Untriggered", "Triggered", "New", "Filled"]
    other = await desk.post("order/create", **(stop | {"triggerPrice": "62000", "orderLinkId": "other"}))
    await desk.post("order/cancel", **BTC, orderId=other["orderId"])
    assert (await feed.until(lambda frame: frame["data"][0].get("orderStatus") == "Deactivated"))[-1]


async def test_too_many_requests(open_desk):
    desk = await open_desk(options={"orders-per-second": "2", "reads-per-second": "3", "requests-per-5s": "12"})
    codes = [(await desk.signed("POST", "/v5/order/create", **LIMIT)) for _ in range(5)]
    refused = [answer for answer in codes if answer.code == 10006]
    assert refused
    assert refused[0].status == 200
    assert refused[0].headers["X-Bapi-Limit-Status"] == "0"
    assert int(refused[0].headers["X-Bapi-Limit-Reset-Timestamp"]) > refused[0].json["time"]
    assert codes[0].headers["X-Bapi-Limit"] == "2"
    statuses = [(await desk.signed("GET", "/v5/account/info", "child")).status for _ in range(9)]
    assert 403 in statuses


async def test_pages_go_on_where_they_ended(desk):
    for number in range(7):
        desk.rehearsal.exchange.now_ms()
        await desk.post("order/create", **LIMIT, orderLinkId=f"page-{number}")
    seen, cursor = [], ""
    while True:
        params = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        result = await desk.get("order/realtime", **BTC, **params)
        seen += [row["orderLinkId"] for row in result["list"]]
        cursor = result["nextPageCursor"]
        if not cursor:
            break
        await desk.post("order/create", **SPOT)  # what comes between two pages does not move them
    assert seen == [f"page-{number}" for number in range(6, -1, -1)]
    answer = await desk.signed("GET", "/v5/order/realtime", **BTC, cursor="nonsense")
    assert answer.code == 10001


async def test_batches_say_for_each_what_became_of_it(open_desk):
    desk = await open_desk(options={"orders-per-second": "100"})
    request = [
        {"symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.01", "price": "59000", "orderLinkId": "good"},
        {"symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.0001", "price": "59000", "orderLinkId": "bad"},
    ]
    answer = await desk.signed("POST", "/v5/order/create-batch", category="linear", request=request)
    assert [one["code"] for one in answer.json["retExtInfo"]["list"]] == [0, 10001]
    rows = answer.json["result"]["list"]
    assert [bool(row["orderId"]) for row in rows] == [True, False]
    assert [row["orderLinkId"] for row in rows] == ["good", "bad"]
    too_many = await desk.signed("POST", "/v5/order/create-batch", category="spot", request=request * 6)
    assert too_many.code == 10001


async def test_modes_and_leverage(desk):
    await desk.post("position/switch-mode", category="linear", coin="USDT", mode=0)  # as bots do at each start
    code, _ = await desk.refused("position/switch-mode", category="linear", symbol="BTCUSDT", mode=0)
    assert code == 110025
    await desk.post("order/create", **LIMIT, orderLinkId="in-the-way")
    assert (await desk.refused("position/switch-mode", category="linear", coin="USDT", mode=3))[0] == 110028
    await desk.post("order/cancel-all", category="linear", settleCoin="USDT")
    await desk.post("position/switch-mode", category="linear", coin="USDT", mode=3)
    rows = (await desk.get("position/list", **BTC))["list"]
    assert [row["positionIdx"] for row in rows] == [1, 2]
    assert (await desk.refused("order/create", **LIMIT))[1] == "position idx not match position mode"
    await desk.post("order/create", **LIMIT, positionIdx=1)
    assert (await desk.refused("position/set-leverage", **BTC, buyLeverage="500", sellLeverage="500"))[0] == 110013
    assert (await desk.refused("position/set-leverage", **BTC, buyLeverage="10", sellLeverage="10"))[0] == 110043
    assert (await desk.refused("position/set-leverage", **BTC, buyLeverage="9", sellLeverage="8"))[0] == 10001
    assert (await desk.refused("position/trading-stop", **BTC, tpslMode="Full", stopLoss="1", positionIdx=1))[0] == 10001


async def test_a_trailing_stop_follows_the_price(desk):
    await desk.post("order/create", **BTC, side="Buy", orderType="Market", qty="0.010")
    await desk.post("position/trading-stop", **BTC, tpslMode="Full", positionIdx=0, trailingStop="600")
    [row] = (await desk.get("order/realtime", **BTC))["list"]
    assert (row["stopOrderType"], row["side"], row["qty"]) == ("TrailingStop", "Sell", "0.010")
    assert (await desk.get("position/list", **BTC))["list"][0]["trailingStop"] == "600"
    desk.trade("62000")
    desk.trade("61500")
    assert (await desk.get("position/list", **BTC))["list"][0]["size"] == "0.010"
    desk.trade("61370")
    assert (await desk.get("position/list", **BTC))["list"][0]["size"] == "0"


async def test_partial_protection_ends_its_pair(desk):
    protected = LIMIT | {"price": "61000", "takeProfit": "62000", "stopLoss": "58000", "tpslMode": "Partial"}
    await desk.post("order/create", **protected, orderLinkId="entry")
    rows = {row["stopOrderType"]: row for row in (await desk.get("order/realtime", **BTC))["list"]}
    assert set(rows) == {"PartialTakeProfit", "PartialStopLoss"}
    assert {row["parentOrderLinkId"] for row in rows.values()} == {"entry"}
    await desk.post("order/create", **BTC, side="Buy", orderType="Market", qty="0.010")
    desk.trade("62000")
    assert (await desk.get("order/realtime", **BTC))["list"] == []
    assert (await desk.get("position/list", **BTC))["list"][0]["size"] == "0.010"


async def test_faults_say_what_the_venue_would(desk):
    await desk.fault("429", account="parent")
    assert (await desk.refused("order/create", **LIMIT))[0] == 10006
    await desk.fault("overload", account="parent")
    assert (await desk.refused("order/create", **LIMIT))[0] == 429
    await desk.fault("-1007", account="parent")
    assert (await desk.refused("order/create", **LIMIT, orderLinkId="doubt"))[0] == 10000
    assert len((await desk.get("order/realtime", **BTC, orderLinkId="doubt"))["list"]) == 1
    await desk.fault("5xx", account="parent")
    answer = await desk.signed("POST", "/v5/order/create", **LIMIT)
    assert (answer.status, answer.json) == (502, None)
    await desk.fault("clock-skew", account="parent", seconds=60)
    assert (await desk.refused("order/create", **LIMIT))[0] == 10002


async def test_order_entry_refuses_what_it_must(desk):
    entry = await desk.listen("/v5/trade")
    header = {"X-BAPI-TIMESTAMP": str(desk.rehearsal.exchange.now_ms())}
    create = {"header": header, "op": "order.create", "args": [LIMIT]}
    assert (await entry.ask(create))["retCode"] == 10003
    assert (await entry.ask(desk.auth()))["retCode"] == 0
    assert (await entry.ask(desk.auth()))["retCode"] == 20001
    assert (await entry.ask({**create, "op": "order.nothing"}))["retCode"] == 10404
    assert (await entry.ask({**create, "header": {}}))["retCode"] == 10001
    assert (await entry.ask({**create, "header": {"X-BAPI-TIMESTAMP": "1"}}))["retCode"] == 10002
    assert (await entry.ask({**create, "reqId": "1"}))["retCode"] == 0
    assert (await entry.ask({**create, "reqId": "1"}))["retCode"] == 20006
    assert (await entry.ask({"op": "ping"}))["op"] == "pong"


async def test_streams_refuse_what_they_must(desk):
    private = await desk.listen("/v5/private")
    assert not (await private.ask({"op": "subscribe", "args": ["order"]}))["success"]
    wrong = desk.auth()
    wrong["args"][2] = "0" * 64
    assert not (await private.ask(wrong))["success"]
    assert (await private.ask(desk.auth()))["success"]
    assert not (await private.ask({"op": "subscribe", "args": ["orders"]}))["success"]
    assert (await private.ask({"op": "subscribe", "args": ["greeks", "order.spot"]}))["success"]
    assert (await private.ask({"op": "unsubscribe", "args": ["greeks"]}))["success"]
    assert not (await private.ask({"op": "dance"}))["success"]
    public = await desk.listen("/v5/public/spot")
    for args in ([], ["orderbook.7.BTCUSDT"], ["publicTrade.NOSUCH"], ["kline.2.BTCUSDT"], ["publicTrade.BTCUSDT"] * 11):
        assert not (await public.ask({"op": "subscribe", "args": args}))["success"]
    assert (await public.ask({"op": "subscribe", "args": ["publicTrade.BTCUSDT"]}))["success"]
    assert not (await public.ask({"op": "subscribe", "args": ["publicTrade.BTCUSDT"]}))["success"]
    await public.socket.send_str("{")
    assert not (await public.next())["success"]


async def test_the_recorded_market_is_replayed(open_desk):
    path = Path(__file__).parents[5] / "shared/venue-samples/bybit/replay-market-data/cf-BYBIT.jsonl.zst"
    if not path.is_file():
        pytest.skip(f"no recording at {path}")
    desk = await open_desk(market=str(path), speed=5)
    assert set(desk.rehearsal.ready.symbols) >= {"BTCUSDT", "ETHUSDT", "DOGEUSDT"}
    feed = await desk.listen("/v5/public/linear")
    await feed.ask({"op": "subscribe", "args": ["publicTrade.BTCUSDT", "publicTrade.ETHUSDT"]})
    frame = (await feed.until(lambda frame: frame.get("topic", "").startswith("publicTrade")))[-1]
    assert frame["data"][0]["s"] in ("BTCUSDT", "ETHUSDT")
    rows = (await desk.get("market/instruments-info", category="linear", symbol="DOGEUSDT"))["list"]
    assert rows[0]["lotSizeFilter"]["qtyStep"] == "1"  # as it was recorded


async def test_it_is_there_under_its_real_names_too(open_desk):
    """With TLS, and an authority of its own that a client has to trust: no address in the client is touched."""
    desk = await open_desk(options={"tls": "true", "key-seed": "always"})
    urls = desk.rehearsal.ready.urls
    trusted = ssl.create_default_context(cafile=urls["ca"])
    connector = aiohttp.TCPConnector(resolver=_Loopback(), ssl=trusted)
    port = urls["tls"].rpartition(":")[2]
    async with aiohttp.ClientSession(connector=connector) as http:
        async with http.get(f"https://api.bybit.com:{port}/v5/market/time") as answer:
            assert (await answer.json())["retCode"] == 0
        async with http.ws_connect(f"wss://stream.bybit.com:{port}/v5/public/linear") as socket:
            await socket.send_json({"op": "ping"})
            assert (await socket.receive_json())["ret_msg"] == "pong"
    assert desk.secrets() == (await open_desk(options={"key-seed": "always"})).secrets()


class _Loopback(aiohttp.abc.AbstractResolver):
    """Every name is this machine."""

    async def resolve(self, host, port=0, family=socket.AF_INET):
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": family, "proto": 0, "flags": 0}]

    async def close(self):
        return None


@pytest.mark.parametrize(
    ("options", "words"),
    [({"coins": "BTC"}, "coins"), ({"orders-per-second": "0"}, "orders-per-second"), ({"nothing": "1"}, "nothing")],
)
async def test_options_of_no_use_are_refused(open_desk, options, words):
    with pytest.raises(UsageError, match=words):
        await open_desk(options=options)


async def test_what_few_bots_ask_for(desk):
    async def told(path, **query):
        answer = await desk.signed("GET", f"/v5/{path}", **query)
        assert answer.code == 0, answer.json
        return answer.json["result"]

    assert (await told("market/account-ratio", **BTC, period="5min"))["list"] == []  # nobody holds anything
    await desk.signed("POST", "/v5/order/create", **BTC, side="Buy", orderType="Market", qty="0.010")
    [ratio] = (await told("market/account-ratio", **BTC, period="5min"))["list"]
    assert (ratio["buyRatio"], ratio["sellRatio"]) == ("1.0000", "0.0000")
    rows = (await told("market/premium-index-price-kline", **BTC, interval="1", limit=2))["list"]
    assert [row[1:] for row in rows] == [["0"] * 4] * 2
    book = await told("market/rpi_orderbook", **BTC, limit=5)
    assert [len(level) for level in book["b"]] == [3] * len(book["b"])
    free = await told("account/withdrawal", coinName="USDT")
    assert free["availableWithdrawal"] == free["availableWithdrawalMap"]["USDT"]
    assert (await told("asset/deposit/query-record"))["rows"] == []
    assert (await desk.signed("POST", "/v5/position/set-auto-add-margin", **BTC, autoAddMargin=0)).code == 0
    assert "not part" in (await desk.signed("POST", "/v5/position/add-margin", **BTC, margin="1")).json["retMsg"]
