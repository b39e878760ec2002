"""What other people's clients ask for beyond what ccxt does."""

import json
from decimal import Decimal

import pytest

STOP = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "quantity": "0.01", "stopPrice": "59000"}
LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.010"}


@pytest.fixture
async def old_desk(open_desk):
    """A venue that takes conditional orders as Binance did until the algo service came."""
    desk = await open_desk(options={"legacy-conditional": "true"})
    await desk.signed("POST", "/fapi/v1/order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.02")
    return desk


async def test_conditional_orders_belong_to_the_algo_service_unless_told_otherwise(desk):
    assert (await desk.signed("POST", "/fapi/v1/order", **STOP)).code == -4120


async def test_the_old_form_of_a_stop_from_order_to_fill(old_desk):
    desk = old_desk
    feed = await desk.private()
    placed = await desk.signed("POST", "/fapi/v1/order", **STOP, reduceOnly="true", newClientOrderId="stop-1")
    row = placed.json
    assert (row["type"], row["origType"], row["status"], row["stopPrice"]) == (
        "STOP_MARKET",
        "STOP_MARKET",
        "NEW",
        "59000.00",
    )
    [open_] = (await desk.signed("GET", "/fapi/v1/openOrders")).json
    assert (open_["orderId"], open_["clientOrderId"], open_["type"]) == (row["orderId"], "stop-1", "STOP_MARKET")
    assert (await desk.signed("GET", "/fapi/v1/openAlgoOrders")).json == []
    desk.trade("58900")
    frames = await feed.until(lambda event: event.get("o", {}).get("X") == "FILLED")
    told = [(one["o"]["o"], one["o"]["x"], one["o"]["X"]) for one in frames if one["e"] == "ORDER_TRADE_UPDATE"]
    assert told == [
        ("STOP_MARKET", "NEW", "NEW"),
        ("STOP_MARKET", "EXPIRED", "EXPIRED"),
        ("MARKET", "NEW", "NEW"),
        ("MARKET", "TRADE", "FILLED"),
    ]
    assert {one["o"]["i"] for one in frames if one["e"] == "ORDER_TRADE_UPDATE"} == {row["orderId"]}
    assert not [one for one in frames if one["e"] == "ALGO_UPDATE"]
    ended = (await desk.signed("GET", "/fapi/v1/order", symbol="BTCUSDT", orderId=row["orderId"])).json
    assert (ended["type"], ended["origType"], ended["status"]) == ("MARKET", "STOP_MARKET", "FILLED")


async def test_an_old_stop_that_is_triggered_in_vain_says_why(old_desk):
    desk = old_desk
    feed = await desk.private()
    placed = await desk.signed("POST", "/fapi/v1/order", **STOP, reduceOnly="true")
    await desk.signed("POST", "/fapi/v1/order", symbol="BTCUSDT", side="SELL", type="MARKET", quantity="0.03")
    desk.trade("58900")
    [*_, reject] = await feed.until(lambda event: event["e"] == "CONDITIONAL_ORDER_TRIGGER_REJECT")
    assert reject["or"] == {"s": "BTCUSDT", "i": placed.json["orderId"], "r": "ReduceOnly Order is rejected."}


@pytest.mark.parametrize(
    ("params", "shown"),
    [
        ({**STOP, "quantity": "", "closePosition": "true"}, {"closePosition": True, "origQty": "0.000"}),
        ({**STOP, "type": "STOP", "price": "58990", "timeInForce": "GTC"}, {"type": "STOP", "price": "58990.00"}),
        ({**STOP, "type": "TAKE_PROFIT_MARKET", "stopPrice": "61000"}, {"type": "TAKE_PROFIT_MARKET"}),
        (
            {**STOP, "workingType": "MARK_PRICE", "priceProtect": "TRUE"},
            {"workingType": "MARK_PRICE", "priceProtect": True},
        ),
        (
            {**STOP, "type": "TRAILING_STOP_MARKET", "stopPrice": "", "callbackRate": "1.5", "activationPrice": "61000"},
            {"type": "TRAILING_STOP_MARKET", "priceRate": "1.5", "activatePrice": "61000.00"},
        ),
    ],
)
async def test_every_old_conditional_type_is_placed_and_cancelled(old_desk, params, shown):
    row = (await old_desk.signed("POST", "/fapi/v1/order", **params)).json
    assert row | shown == row
    gone = await old_desk.signed("DELETE", "/fapi/v1/order", symbol="BTCUSDT", orderId=row["orderId"])
    assert gone.json["status"] == "CANCELED"
    assert (await old_desk.signed("GET", "/fapi/v1/openOrders")).json == []


async def test_old_conditional_orders_go_with_the_others_and_stand_beside_the_new(old_desk):
    desk = old_desk
    [placed] = (await desk.signed("POST", "/fapi/v1/batchOrders", batchOrders=json.dumps([STOP]))).json
    assert placed["type"] == "STOP_MARKET"
    new = {"algoType": "CONDITIONAL", "symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "triggerPrice": "58000"}
    await desk.signed("POST", "/fapi/v1/algoOrder", **new, quantity="0.01")
    await desk.signed("DELETE", "/fapi/v1/allOpenOrders", symbol="BTCUSDT")
    assert (await desk.signed("GET", "/fapi/v1/openOrders")).json == []
    assert len((await desk.signed("GET", "/fapi/v1/openAlgoOrders")).json) == 1
    assert (
        (await desk.signed("POST", "/fapi/v1/order", **{**STOP, "stopPrice": ""}))
        .json["msg"]
        .startswith("Mandatory parameter 'stopprice'")
    )
    assert (await desk.signed("POST", "/fapi/v1/order", **{**STOP, "stopPrice": "61000"})).code == -2021


@pytest.mark.parametrize(
    ("side", "match", "price"),
    [
        ("BUY", "QUEUE", "59995.00"),
        ("SELL", "QUEUE", "60005.00"),
        ("BUY", "OPPONENT", "60005.00"),
        ("SELL", "OPPONENT", "59995.00"),
    ],
)
async def test_price_match_takes_the_price_of_the_book(desk, side, match, price):
    feed = await desk.private()
    row = (await desk.signed("POST", "/fapi/v1/order", **{**LIMIT, "side": side}, priceMatch=match)).json
    assert (row["price"], row["priceMatch"]) == (price, match)
    assert (await feed.next())["o"]["pm"] == match


async def test_price_match_has_its_limits(desk):
    assert (await desk.signed("POST", "/fapi/v1/order", **LIMIT, priceMatch="QUEUE_5")).code == -4131
    assert (await desk.signed("POST", "/fapi/v1/order", **LIMIT, priceMatch="BEST")).code == -5037
    assert (await desk.signed("POST", "/fapi/v1/order", **LIMIT, priceMatch="QUEUE", price="59000")).code == -1106
    market = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01", "priceMatch": "QUEUE"}
    assert (await desk.signed("POST", "/fapi/v1/order", **market)).code == -5038


async def test_a_change_by_price_match(desk):
    row = (await desk.signed("POST", "/fapi/v1/order", **LIMIT, price="59000")).json
    change = {"symbol": "BTCUSDT", "side": "BUY", "orderId": row["orderId"], "quantity": "0.010", "priceMatch": "QUEUE"}
    changed = (await desk.signed("PUT", "/fapi/v1/order", **change)).json
    assert (changed["price"], changed["priceMatch"]) == ("59995.00", "QUEUE")
    [amendment] = (await desk.signed("GET", "/fapi/v1/orderAmendment", symbol="BTCUSDT")).json
    assert amendment["priceMatch"] == "QUEUE"
    again = await desk.signed("PUT", "/fapi/v1/order", **change)
    assert again.code == -5027


async def test_multi_assets_mode(desk):
    feed = await desk.private()
    path = "/fapi/v1/multiAssetsMargin"
    assert (await desk.signed("POST", path, multiAssetsMargin="false")).code == -4171
    assert (await desk.signed("POST", path, multiAssetsMargin="True")).json == {"code": 200, "msg": "success"}
    assert (await feed.next())["ai"] == {"j": True}
    assert (await desk.signed("GET", path)).json == {"multiAssetsMargin": True}
    assert (await desk.signed("GET", "/fapi/v2/account")).json["multiAssetsMargin"] is True
    assert (await desk.signed("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")).code == -4168
    await desk.signed("POST", path, multiAssetsMargin="false")
    await desk.signed("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
    assert (await desk.signed("POST", path, multiAssetsMargin="true")).code == -4168


async def test_what_copiers_ask_of_the_spot_service(desk):
    assert (await desk.ask("GET", "/sapi/v1/system/status")).json == {"status": 0, "msg": "normal"}
    allowed = (await desk.signed("GET", "/sapi/v1/account/apiRestrictions")).json
    assert (allowed["enableFutures"], allowed["enableWithdrawals"]) == (True, False)
    assert (await desk.signed("GET", "/sapi/v1/capital/deposit/hisrec")).json == []


async def test_fee_burn_is_kept(desk):
    assert (await desk.signed("POST", "/fapi/v1/feeBurn", feeBurn="true")).json["code"] == 200
    assert (await desk.signed("GET", "/fapi/v1/feeBurn")).json == {"feeBurn": True}


async def test_reads_of_the_market_that_few_make(desk):
    premium = (await desk.ask("GET", "/fapi/v1/premiumIndexKlines?symbol=BTCUSDT&interval=1m&limit=1")).json
    [candle] = (await desk.ask("GET", "/fapi/v1/klines?symbol=BTCUSDT&interval=1m&limit=1")).json
    assert [(row[0], Decimal(row[4]), len(row)) for row in premium] == [(candle[0], Decimal(0), len(candle))]
    assert (await desk.ask("GET", "/fapi/v1/symbolAdlRisk?symbol=BTCUSDT")).json["adlRisk"] == "low"
    assert {row["symbol"] for row in (await desk.ask("GET", "/fapi/v1/symbolAdlRisk")).json} >= {"BTCUSDT"}
    depth = (await desk.ask("GET", "/fapi/v1/rpiDepth?symbol=BTCUSDT")).json
    assert depth["bids"] == [["59995.00", "50.000"]]
    [source] = (await desk.ask("GET", "/fapi/v1/constituents?symbol=BTCUSDT")).json["constituents"]
    assert Decimal(source["price"]) == 60000
    assert (await desk.ask("GET", "/fapi/v1/insuranceBalance?symbol=BTCUSDT")).json["assets"][0]["asset"] == "USDT"


async def test_what_moods_are_read_from(desk):
    """Of open interest and of who is long the present is known, of takers the latest trades."""

    async def data(name, query="symbol=BTCUSDT&period=5m"):
        return (await desk.ask("GET", f"/futures/data/{name}?{query}")).json

    assert await data("globalLongShortAccountRatio") == []  # nobody holds anything
    await desk.signed("POST", "/fapi/v1/order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.02")
    [interest] = await data("openInterestHist")
    assert (interest["sumOpenInterest"], interest["timestamp"] % 300_000) == ("0.02000000", 0)
    assert Decimal(interest["sumOpenInterestValue"]) == Decimal("0.02") * 60000
    for name in ("globalLongShortAccountRatio", "topLongShortAccountRatio", "topLongShortPositionRatio"):
        [ratio] = await data(name)
        assert (ratio["longAccount"], ratio["shortAccount"]) == ("1.0000", "0.0000")
    takers = await data("takerlongshortRatio")
    assert sum(Decimal(row["buyVol"]) for row in takers) >= Decimal("0.02")
    [basis] = await data("basis", "pair=BTCUSDT&contractType=PERPETUAL&period=1h")
    assert Decimal(basis["futuresPrice"]) - Decimal(basis["indexPrice"]) == Decimal(basis["basis"])
    assert (await desk.ask("GET", "/futures/data/openInterestHist?symbol=BTCUSDT&period=7m")).code == -1130
