"""The spot rehearsal's orders: filters, refusals, lists, amendments, money that is bound."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from .conftest import SpotDesk

LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": "59000"}
MARKET = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.02"}
STOP = {"symbol": "BTCUSDT", "side": "BUY", "type": "STOP_LOSS", "quantity": "0.01", "stopPrice": "61000"}
INSUFFICIENT = (-2010, "Account has insufficient balance for requested action.")
WOULD_TAKE = (-2010, "Order would immediately match and take.")
WOULD_TRIGGER = (-2010, "Order would trigger immediately.")
ENGINE = (INSUFFICIENT[1], WOULD_TAKE[1], WOULD_TRIGGER[1])


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"symbol": "NOSUCH"}, (-1121, "Invalid symbol.")),
        ({"side": "UP"}, (-1117, "Invalid side.")),
        ({"type": "STOP"}, (-1116, "Invalid orderType.")),
        ({"timeInForce": "GTX"}, (-1115, "Invalid timeInForce.")),
        ({"timeInForce": None}, (-1102, "Mandatory parameter 'timeInForce' was not sent, was empty/null, or malformed.")),
        ({"price": None}, (-1102, "Mandatory parameter 'price' was not sent, was empty/null, or malformed.")),
        ({"price": "59000.001"}, (-1013, "Filter failure: PRICE_FILTER")),
        ({"price": "0.000000001"}, (-1111, "Parameter 'price' has too much precision.")),
        ({"price": "1000"}, (-1013, "Filter failure: PERCENT_PRICE_BY_SIDE")),
        ({"quantity": "0.000001"}, (-1013, "Filter failure: LOT_SIZE")),
        ({"quantity": "0.00005"}, (-1013, "Filter failure: NOTIONAL")),
        ({"quantity": "100"}, INSUFFICIENT),
        ({"side": "SELL"}, INSUFFICIENT),
        (
            {"type": "LIMIT_MAKER", "timeInForce": None, "price": "61000"},
            WOULD_TAKE,
        ),
        ({"type": "LIMIT_MAKER"}, (-1106, "Parameter 'timeInForce' sent when not required.")),
        ({"icebergQty": "0.001"}, (-2010, "Iceberg orders are not supported for this symbol.")),
        ({"newClientOrderId": "a b"}, (-1100, None)),
        ({"strategyType": "5"}, (-1134, "strategyType was less than 1000000.")),
    ],
)
async def test_what_is_wrong_is_said_in_the_venues_words(desk: SpotDesk, changes: Any, refusal: Any) -> None:
    params = {name: value for name, value in (LIMIT | changes).items() if value is not None}
    code, sentence = await desk.refused("POST", "order", **params)
    assert code == refusal[0]
    assert refusal[1] is None or sentence == refusal[1]
    if sentence not in ENGINE:  # what the matching engine alone would say is not known to a test order
        assert await desk.refused("POST", "order/test", **params) == (code, sentence)


async def test_stops_trigger_and_the_wrong_side_is_refused(desk: SpotDesk) -> None:
    assert await desk.refused("POST", "order", **STOP | {"stopPrice": "59000"}) == WOULD_TRIGGER
    feed = await desk.listen()
    placed = await desk.done("POST", "order", **STOP, newOrderRespType="RESULT")
    assert (placed["type"], placed["stopPrice"], placed["workingTime"]) == ("STOP_LOSS", "61000.00000000", -1)
    desk.trade("61010")
    reports = [await feed.until(lambda event: event.get("e") == "executionReport") for _ in range(3)]
    assert [(one["x"], one["X"], one["w"]) for one in reports] == [
        ("NEW", "NEW", False),
        ("NEW", "NEW", True),
        ("TRADE", "FILLED", False),
    ]
    assert len({one["i"] for one in reports}) == 1


async def test_orders_bind_what_they_would_trade(desk: SpotDesk) -> None:
    await desk.done("POST", "order", **MARKET)

    async def balance(asset: str) -> tuple[str, str]:
        rows = (await desk.done("GET", "account", omitZeroBalances="true"))["balances"]
        return next((row["free"], row["locked"]) for row in rows if row["asset"] == asset)

    assert await balance("BTC") == ("0.01998000", "0.00000000")
    sell = {"symbol": "BTCUSDT", "side": "SELL", "quantity": "0.015"}
    await desk.done("POST", "order", **sell, type="STOP_LOSS", stopPrice="59000")
    assert await balance("BTC") == ("0.00498000", "0.01500000")
    assert await desk.refused("POST", "order", **sell, type="TAKE_PROFIT", stopPrice="61000") == INSUFFICIENT
    rows = (await desk.done("GET", "account"))["balances"]
    assert {row["asset"] for row in rows} >= {"BTC", "ETH", "SOL", "BNB", "USDT"}


async def test_quote_quantity_and_responses(desk: SpotDesk) -> None:
    market = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quoteOrderQty": "600.05"}
    full = await desk.done("POST", "order", **market)
    assert (full["origQty"], full["origQuoteOrderQty"]) == ("0.01000000", "600.05000000")
    assert full["fills"][0] == {
        "price": "60005.00000000",
        "qty": "0.01000000",
        "commission": "0.00001000",
        "commissionAsset": "BTC",
        "tradeId": full["fills"][0]["tradeId"],
    }
    ack = await desk.done("POST", "order", **STOP)
    assert set(ack) == {"symbol", "orderId", "orderListId", "clientOrderId", "transactTime"}
    assert await desk.refused("POST", "order", **market | {"quantity": "1"}) == (
        -1128,
        "Combination of optional parameters invalid.",
    )


async def test_fill_or_kill_that_cannot_be_filled_is_taken_and_expires(desk: SpotDesk) -> None:
    """As the documents have it: status 200, EXPIRED in the reply and on the stream, and found like any other order."""
    feed = await desk.listen()
    fok = LIMIT | {"timeInForce": "FOK", "newClientOrderId": "kill"}
    for _ in range(2):  # the name is free again
        reply = await desk.done("POST", "order", **fok)
        assert (reply["status"], reply["executedQty"], reply["fills"]) == ("EXPIRED", "0.00000000", [])
        assert reply["expiryReason"] == "UNFILLED_FOK_ORDER_EXPIRED"
        reports = [await feed.until(lambda event: event.get("e") == "executionReport") for _ in range(2)]
        assert [(one["x"], one["X"], one["i"], one["w"]) for one in reports] == [
            ("NEW", "NEW", reply["orderId"], True),
            ("EXPIRED", "EXPIRED", reply["orderId"], False),
        ]
        assert reports[1]["eR"] == "UNFILLED_FOK_ORDER_EXPIRED"
        found = await desk.done("GET", "order", symbol="BTCUSDT", origClientOrderId="kill")
        assert (found["orderId"], found["status"]) == (reply["orderId"], "EXPIRED")
    assert [row["status"] for row in await desk.done("GET", "allOrders", symbol="BTCUSDT")] == ["EXPIRED"] * 2
    assert await desk.done("GET", "openOrders") == []
    assert await desk.refused("POST", "order", **fok | {"quantity": "100"}) == INSUFFICIENT


async def test_a_market_order_beyond_the_book_expires(desk: SpotDesk) -> None:
    desk.book("60000", ask_quantity="0.005")
    partly = await desk.done("POST", "order", **MARKET)
    assert (partly["status"], partly["executedQty"]) == ("EXPIRED", "0.00500000")
    assert partly["expiryReason"] == "INSUFFICIENT_LIQUIDITY"
    nothing = await desk.done("POST", "order", **MARKET)
    assert (nothing["status"], nothing["executedQty"], nothing["fills"]) == ("EXPIRED", "0.00000000", [])
    assert nothing["expiryReason"] == "INSUFFICIENT_LIQUIDITY"
    quote = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quoteOrderQty": "600"}
    sentence = "Order book liquidity is less than symbol minimum quantity."
    assert await desk.refused("POST", "order", **quote) == (-2010, sentence)


# --- changing -----------------------------------------------------------------------------------------------


async def test_an_amended_order_is_smaller_and_keeps_its_place(desk: SpotDesk) -> None:
    feed = await desk.listen()
    placed = await desk.done("POST", "order", **LIMIT, newClientOrderId="first")
    named = {"symbol": "BTCUSDT", "origClientOrderId": "first"}
    assert (await desk.refused("PUT", "order/amend/keepPriority", **named, newQty="0.02"))[0] == -2038
    reply = await desk.done("PUT", "order/amend/keepPriority", **named, newQty="0.008", newClientOrderId="second")
    assert reply["amendedOrder"]["qty"] == "0.00800000"
    assert (reply["amendedOrder"]["origClientOrderId"], reply["amendedOrder"]["clientOrderId"]) == ("first", "second")
    assert reply["amendedOrder"]["orderId"] == placed["orderId"]
    event = await feed.until(lambda event: event.get("x") == "REPLACED")
    assert (event["c"], event["q"]) == ("second", "0.00800000")
    assert (await desk.refused("GET", "order", **named))[0] == -2013
    found = await desk.done("GET", "order", symbol="BTCUSDT", origClientOrderId="second")
    assert found["origQty"] == "0.00800000"
    [row] = await desk.done("GET", "order/amendments", symbol="BTCUSDT", orderId=placed["orderId"])
    assert (row["origQty"], row["newQty"]) == ("0.01000000", "0.00800000")


async def test_cancel_and_replace_tells_which_half_failed(desk: SpotDesk) -> None:
    placed = await desk.done("POST", "order", **LIMIT)
    new = LIMIT | {"price": "59001"}
    named = {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": placed["orderId"]}
    done = await desk.done("POST", "order/cancelReplace", **new, **named)
    assert (done["cancelResult"], done["newOrderResult"]) == ("SUCCESS", "SUCCESS")
    status, reply = await desk.signed(
        "POST", "/api/v3/order/cancelReplace", **new, cancelReplaceMode="STOP_ON_FAILURE", cancelOrderId=placed["orderId"]
    )
    assert (status, reply["code"], reply["data"]["newOrderResult"]) == (400, -2022, "NOT_ATTEMPTED")
    status, reply = await desk.signed(
        "POST", "/api/v3/order/cancelReplace", **new, cancelReplaceMode="ALLOW_FAILURE", cancelOrderId=placed["orderId"]
    )
    assert (status, reply["code"]) == (409, -2021)
    assert reply["data"]["cancelResponse"] == {"code": -2011, "msg": "Unknown order sent."}
    assert reply["data"]["newOrderResponse"]["status"] == "NEW"


async def test_a_cancel_has_an_id_of_its_own(desk: SpotDesk) -> None:
    feed = await desk.listen()
    await desk.done("POST", "order", **LIMIT, newClientOrderId="mine")
    reply = await desk.done("DELETE", "order", symbol="BTCUSDT", origClientOrderId="mine", newClientOrderId="its-cancel")
    assert (reply["origClientOrderId"], reply["clientOrderId"], reply["status"]) == ("mine", "its-cancel", "CANCELED")
    event = await feed.until(lambda event: event.get("x") == "CANCELED")
    assert (event["c"], event["C"]) == ("its-cancel", "mine")
    await desk.done("POST", "order", **LIMIT)
    only = {"symbol": "BTCUSDT", "orderId": (await desk.done("GET", "openOrders"))[0]["orderId"]}
    assert (await desk.refused("DELETE", "order", **only, cancelRestrictions="ONLY_PARTIALLY_FILLED"))[0] == -2011
    assert (await desk.refused("DELETE", "order", **only, cancelRestrictions="ONLY"))[0] == -1145
    assert [one["orderId"] for one in await desk.done("DELETE", "openOrders", symbol="BTCUSDT")] == [only["orderId"]]
    assert await desk.refused("DELETE", "openOrders", symbol="BTCUSDT") == (-2011, "Unknown order sent.")


# --- order lists --------------------------------------------------------------------------------------------

OCO = {
    "symbol": "BTCUSDT",
    "side": "SELL",
    "quantity": "0.015",
    "aboveType": "LIMIT_MAKER",
    "abovePrice": "62000",
    "belowType": "STOP_LOSS",
    "belowStopPrice": "58000",
    "newOrderRespType": "RESULT",
}


async def test_of_an_oco_one_cancels_the_other_and_both_bind_once(desk: SpotDesk) -> None:
    await desk.done("POST", "order", **MARKET)
    feed = await desk.listen()
    reply = await desk.done("POST", "orderList/oco", **OCO, listClientOrderId="the-list")
    assert (reply["contingencyType"], reply["listStatusType"]) == ("OCO", "EXEC_STARTED")
    assert reply["listOrderStatus"] == "EXECUTING"
    above, below = reply["orderReports"]
    assert [one["type"] for one in (above, below)] == ["LIMIT_MAKER", "STOP_LOSS"]
    assert {one["orderListId"] for one in (above, below)} == {reply["orderListId"]}
    event = await feed.until(lambda event: event.get("e") == "listStatus")
    assert (event["c"], event["l"], event["C"]) == ("OCO", "EXEC_STARTED", "the-list")
    rows = (await desk.done("GET", "account", omitZeroBalances="true"))["balances"]
    assert next(row["locked"] for row in rows if row["asset"] == "BTC") == "0.01500000"
    desk.trade("57900")
    other = await feed.until(lambda event: event.get("x") == "EXPIRED")
    assert (other["i"], other["eR"]) == (above["orderId"], "OCO_TRIGGER")
    ended = await feed.until(lambda event: event.get("e") == "listStatus")
    assert (ended["l"], ended["L"]) == ("ALL_DONE", "ALL_DONE")
    assert (await desk.done("GET", "order", symbol="BTCUSDT", orderId=below["orderId"]))["status"] == "FILLED"
    assert await desk.done("GET", "openOrderList") == []
    [listed] = await desk.done("GET", "allOrderList")
    assert listed["listOrderStatus"] == "ALL_DONE"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"aboveType": "MARKET"}, -1158),
        ({"belowType": "LIMIT_MAKER", "belowStopPrice": None, "belowPrice": "58000"}, -1168),
        ({"aboveType": "STOP_LOSS", "abovePrice": None, "aboveStopPrice": "62000"}, -1197),
        ({"belowType": "TAKE_PROFIT"}, -1199),
        ({"abovePrice": "59000"}, -2010),
    ],
)
async def test_an_oco_that_makes_no_sense_is_refused(desk: SpotDesk, changes: Any, code: int) -> None:
    await desk.done("POST", "order", **MARKET)
    params = {name: value for name, value in (OCO | changes).items() if value is not None}
    assert (await desk.refused("POST", "orderList/oco", **params))[0] == code
    assert await desk.done("GET", "openOrders") == []


async def test_a_list_is_cancelled_as_a_whole_and_through_one_of_its_orders(desk: SpotDesk) -> None:
    await desk.done("POST", "order", **MARKET)
    reply = await desk.done("POST", "orderList/oco", **OCO)
    gone = await desk.done("DELETE", "orderList", symbol="BTCUSDT", orderListId=reply["orderListId"])
    assert [one["status"] for one in gone["orderReports"]] == ["CANCELED", "CANCELED"]
    again = await desk.done("POST", "orderList/oco", **OCO)
    await desk.done("DELETE", "order", symbol="BTCUSDT", orderId=again["orders"][0]["orderId"])
    assert await desk.done("GET", "openOrders") == []
    assert (await desk.refused("DELETE", "orderList", symbol="BTCUSDT", orderListId=again["orderListId"]))[0] == -2011


async def test_the_old_form_of_an_oco(desk: SpotDesk) -> None:
    await desk.done("POST", "order", **MARKET)
    old = {"symbol": "BTCUSDT", "side": "SELL", "quantity": "0.01", "price": "62000", "stopPrice": "58000"}
    reply = await desk.done("POST", "order/oco", **old, stopLimitPrice="57900", stopLimitTimeInForce="GTC")
    assert {one["type"] for one in reply["orderReports"]} == {"LIMIT_MAKER", "STOP_LOSS_LIMIT"}


OTO = {
    "symbol": "BTCUSDT",
    "workingType": "LIMIT",
    "workingSide": "BUY",
    "workingPrice": "59000",
    "workingQuantity": "0.01",
    "workingTimeInForce": "GTC",
    "pendingSide": "SELL",
    "pendingQuantity": "0.009",
}
PAIR = {
    "pendingAboveType": "LIMIT_MAKER",
    "pendingAbovePrice": "63000",
    "pendingBelowType": "STOP_LOSS",
    "pendingBelowStopPrice": "58000",
}


async def test_a_working_order_triggers_what_waits_for_it(desk: SpotDesk) -> None:
    feed = await desk.listen()
    reply = await desk.done("POST", "orderList/otoco", **OTO, **PAIR)
    assert [one["status"] for one in reply["orderReports"]] == ["NEW", "PENDING_NEW", "PENDING_NEW"]
    numbers = [one["orderId"] for one in reply["orders"]]
    assert [one["status"] for one in await desk.done("GET", "openOrders")] == ["NEW", "PENDING_NEW", "PENDING_NEW"]
    desk.trade("58990")
    await feed.until(lambda event: event.get("x") == "TRADE")
    rows = await desk.done("GET", "openOrders", symbol="BTCUSDT")
    assert [(row["orderId"], row["status"]) for row in rows] == [(numbers[1], "NEW"), (numbers[2], "NEW")]
    desk.trade("63010")
    rows = [await desk.done("GET", "order", symbol="BTCUSDT", orderId=number) for number in numbers]
    assert [row["status"] for row in rows] == ["FILLED", "FILLED", "EXPIRED"]
    assert await desk.done("GET", "openOrderList") == []


async def test_without_the_working_order_nothing_waits(desk: SpotDesk) -> None:
    pending = {"pendingType": "STOP_LOSS", "pendingStopPrice": "58000"}
    reply = await desk.done("POST", "orderList/oto", **OTO, **pending)
    working, waiting = (one["orderId"] for one in reply["orders"])
    await desk.done("DELETE", "order", symbol="BTCUSDT", orderId=working)
    assert (await desk.done("GET", "order", symbol="BTCUSDT", orderId=waiting))["status"] == "CANCELED"
    reply = await desk.done("POST", "orderList/oto", **OTO, **pending)
    await desk.done("DELETE", "order", symbol="BTCUSDT", orderId=reply["orders"][1]["orderId"])
    assert await desk.done("GET", "openOrders") == []
    # What waits may turn out to be more than there is: then it expires, and says so.
    reply = await desk.done("POST", "orderList/oto", **OTO | {"pendingQuantity": "0.01"}, **pending)
    desk.trade("58990")
    row = await desk.done("GET", "order", symbol="BTCUSDT", orderId=reply["orders"][1]["orderId"])
    assert (row["status"], row["expiryReason"]) == ("EXPIRED", "REJECTED")


PAID = {name: value for name, value in OTO.items() if name != "pendingQuantity"}


async def test_what_is_bought_is_what_waits(desk: SpotDesk) -> None:
    """One pays the other: the pending orders are of what the working one bought, less the commission, in whole steps."""
    reply = await desk.done("POST", "orderList/opoco", **PAID, **PAIR)
    assert reply["contingencyType"] == "OTO"
    assert ["origQty" in one for one in reply["orderReports"]] == [True, False, False]
    numbers = [one["orderId"] for one in reply["orders"]]
    desk.trade("58990")
    rows = [await desk.done("GET", "order", symbol="BTCUSDT", orderId=number) for number in numbers]
    assert [(row["status"], row["origQty"]) for row in rows] == [
        ("FILLED", "0.01000000"),
        ("NEW", "0.00999000"),
        ("NEW", "0.00999000"),
    ]
    await desk.done("DELETE", "openOrders", symbol="BTCUSDT")
    # There is some left now beside what is bought: the commission is taken from that.
    socket = await desk.socket()
    pending = {"pendingType": "LIMIT_MAKER", "pendingPrice": "64000"}
    placed = (await socket.ask("orderList.place.opo", **desk.signed_params(**PAID, **pending)))["result"]
    desk.trade("60000")
    desk.trade("58980")
    row = await desk.done("GET", "order", symbol="BTCUSDT", orderId=placed["orders"][1]["orderId"])
    assert (row["status"], row["origQty"]) == ("NEW", "0.01000000")


async def test_who_pays_the_other(desk: SpotDesk) -> None:
    pending = {"pendingType": "LIMIT_MAKER", "pendingPrice": "64000"}
    path = "orderList/opo"
    assert (await desk.refused("POST", path, **{**PAID, **pending, "workingSide": "SELL"}))[0] == -1222
    assert (await desk.refused("POST", path, **{**PAID, **pending, "pendingSide": "BUY"}))[0] == -1223
    refusal = await desk.refused("POST", path, **PAID, **pending, pendingQuantity="0.01")
    assert refusal == (-1225, "Pending orders should not include the 'pendingQuantity' tag.")
    reply = await desk.done("POST", path, **PAID, **pending)
    await desk.done("DELETE", "orderList", symbol="BTCUSDT", orderListId=reply["orderListId"])
    assert await desk.done("GET", "openOrders") == []


async def test_what_clients_ask_beside_orders(desk: SpotDesk) -> None:
    """All of this is asked by Binance's own `binance-connector` and `binance-sdk-spot`."""
    filters = await desk.done("GET", "myFilters", symbol="BTCUSDT")
    assert {one["filterType"] for one in filters["symbolFilters"]} >= {"MAX_NUM_ORDERS", "MAX_NUM_ORDER_LISTS"}
    status, rules = await desk.send("GET", "/api/v3/executionRules?symbol=BTCUSDT")
    assert (status, rules) == (200, {"symbolRules": [{"symbol": "BTCUSDT", "rules": []}]})
    status, mini = await desk.send("GET", "/api/v3/ticker/24hr?symbols=%5B%22BTCUSDT%22,%22ETHUSDT%22%5D&type=MINI")
    assert (status, [one["symbol"] for one in mini]) == (200, ["BTCUSDT", "ETHUSDT"])
    assert "bidPrice" not in mini[0]
    status, reply = await desk.send("GET", "/api/v3/ticker/price?symbols=BTCUSDT")
    assert (status, reply["code"]) == (400, -1100)
    assert (await desk.done("GET", "account/commission", symbol="BTCUSDT"))["standardCommission"]["taker"] == "0.00100000"


async def test_order_counts_and_weights_are_in_the_headers(desk: SpotDesk) -> None:
    await desk.done("POST", "order", **LIMIT)
    assert desk.headers["X-MBX-ORDER-COUNT-10S"] == "1"
    assert desk.headers["X-MBX-ORDER-COUNT-1D"] == "1"
    assert int(desk.headers["X-MBX-USED-WEIGHT-1M"]) >= 1
    counts = await desk.done("GET", "rateLimit/order")
    assert [(row["interval"], row["count"]) for row in counts] == [("SECOND", 1), ("DAY", 1)]
    await desk.done("POST", "order", **MARKET)  # a filled order does not count any more
    assert [row["count"] for row in await desk.done("GET", "rateLimit/order")] == [1, 1]


async def test_too_many_orders_are_refused_with_a_time(make_desk: Any) -> None:
    desk = await make_desk(orders_per_10s="2")
    for price in ("59000", "59001"):
        await desk.done("POST", "order", **LIMIT | {"price": price})
    status, reply = await desk.signed("POST", "/api/v3/order", **LIMIT)
    assert (status, reply["code"]) == (429, -1015)
    assert 1 <= int(desk.headers["Retry-After"]) <= 10
    assert Decimal(reply["msg"].split(" is ")[1].split()[0]) == 2
