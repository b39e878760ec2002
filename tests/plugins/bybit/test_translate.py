"""Between the wire and the records: symbols, order types, requests, what follows from what."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from copydesk.model import (
    NewOrder,
    OrderChange,
    OrderRef,
    OrderStatus,
    OrderType,
    PositionSide,
    RejectReason,
    Side,
    Terms,
    TimeInForce,
    TriggerBy,
)
from copydesk_bybit import sending, translate
from copydesk_bybit.sending import Untranslatable
from copydesk_bybit.symbols import category_of, name_of, ours
from copydesk_wire.errors import Unreadable

ROW = {
    "symbol": "BTCUSDT",
    "orderId": "id-1",
    "orderLinkId": "link-1",
    "side": "Buy",
    "orderType": "Limit",
    "price": "60000.00",
    "qty": "0.010",
    "timeInForce": "GTC",
    "orderStatus": "New",
    "cumExecQty": "0",
    "reduceOnly": False,
    "positionIdx": 0,
    "stopOrderType": "UNKNOWN",
    "triggerPrice": "0.00",
    "triggerDirection": 0,
    "triggerBy": "UNKNOWN",
    "closeOnTrigger": False,
    "createdTime": "1700000000000",
    "updatedTime": "1700000000001",
    "category": "linear",
}
EXECUTION = {
    "symbol": "BTCUSDT",
    "execId": "e-1",
    "orderId": "id-1",
    "side": "Buy",
    "execQty": "0.01",
    "execPrice": "60000",
    "execFee": "-0.1",
    "execTime": "1700000000000",
    "isMaker": True,
    "category": "linear",
}


def order(**fields: Any) -> Any:
    return translate.order(ROW | fields)


@pytest.mark.parametrize(
    ("symbol", "category", "name"),
    [
        ("BTCUSDT", "linear", "BTCUSDT"),
        ("BTCPERP", "linear", "BTCPERP"),
        ("BTC-26MAR27", "linear", "BTC-26MAR27"),
        ("BTCUSDT-26MAR27", "linear", "BTCUSDT-26MAR27"),
        ("BTCUSD", "inverse", "BTCUSD"),
        ("BTCUSDH27", "inverse", "BTCUSDH27"),
        ("BTCUSDT-SPOT", "spot", "BTCUSDT"),
        ("USDCUSDT-SPOT", "spot", "USDCUSDT"),
        ("BTCUSDC-SPOT", "spot", "BTCUSDC"),
        ("NOSUCHUSDT", "linear", "NOSUCHUSDT"),
    ],
)
def test_symbols_there_and_back(symbol: str, category: str, name: str) -> None:
    assert (category_of(symbol), name_of(symbol), ours(category, name)) == (category, name, symbol)


@pytest.mark.parametrize(
    ("fields", "type_"),
    [
        ({}, OrderType.LIMIT),
        ({"orderType": "Market"}, OrderType.MARKET),
        # A conditional order is a stop where the price comes against its side.
        ({"stopOrderType": "Stop", "triggerPrice": "61000", "triggerDirection": 1}, OrderType.STOP_LIMIT),
        ({"stopOrderType": "Stop", "triggerPrice": "59000", "triggerDirection": 2}, OrderType.TAKE_PROFIT_LIMIT),
        (
            {"side": "Sell", "orderType": "Market", "stopOrderType": "Stop", "triggerPrice": "5", "triggerDirection": 2},
            OrderType.STOP_MARKET,
        ),
        (
            {"side": "Sell", "orderType": "Market", "stopOrderType": "Stop", "triggerPrice": "5", "triggerDirection": 1},
            OrderType.TAKE_PROFIT_MARKET,
        ),
        ({"orderType": "Market", "stopOrderType": "StopLoss", "triggerPrice": "5"}, OrderType.STOP_MARKET),
        ({"stopOrderType": "PartialTakeProfit", "triggerPrice": "5"}, OrderType.TAKE_PROFIT_LIMIT),
        ({"orderType": "Market", "stopOrderType": "TrailingStop", "triggerPrice": "0.00"}, OrderType.TRAILING_STOP),
        # Spot tells no direction: what the price was decides.
        ({"stopOrderType": "tpslOrder", "triggerPrice": "5", "basePrice": "4", "category": "spot"}, OrderType.STOP_LIMIT),
        ({"stopOrderType": "Stop", "triggerPrice": "3", "basePrice": "4", "category": "spot"}, OrderType.TAKE_PROFIT_LIMIT),
    ],
)
def test_order_types(fields: dict[str, Any], type_: OrderType) -> None:
    terms = order(**fields).terms
    assert terms.type is type_
    assert (terms.price is not None) == type_.has_price


@pytest.mark.parametrize(
    ("fields", "status", "triggered"),
    [
        ({"orderStatus": "New"}, OrderStatus.NEW, False),
        ({"orderStatus": "PartiallyFilled", "cumExecQty": "0.004"}, OrderStatus.PARTIALLY_FILLED, False),
        ({"orderStatus": "Filled", "cumExecQty": "0.010"}, OrderStatus.FILLED, False),
        ({"orderStatus": "Cancelled"}, OrderStatus.CANCELLED, False),
        ({"orderStatus": "PartiallyFilledCanceled", "cumExecQty": "0.004"}, OrderStatus.CANCELLED, False),
        ({"orderStatus": "Rejected", "rejectReason": "EC_Others"}, OrderStatus.REJECTED, False),
        ({"orderStatus": "Cancelled", "rejectReason": "EC_PostOnlyWillTakeLiquidity"}, OrderStatus.EXPIRED, False),
        ({"orderStatus": "Cancelled", "rejectReason": "EC_NoImmediateQtyToFill"}, OrderStatus.EXPIRED, False),
    ],
)
def test_states(fields: dict[str, Any], status: OrderStatus, triggered: bool) -> None:
    told = order(**fields)
    assert (told.status, told.triggered) == (status, triggered)


@pytest.mark.parametrize(
    ("word", "status", "triggered"),
    [
        ("Untriggered", OrderStatus.NEW, False),
        ("Deactivated", OrderStatus.CANCELLED, False),
        ("Triggered", OrderStatus.NEW, True),
        ("New", OrderStatus.NEW, True),
        ("Filled", OrderStatus.FILLED, True),
    ],
)
def test_states_of_an_order_that_waits(word: str, status: OrderStatus, triggered: bool) -> None:
    stop = {"stopOrderType": "Stop", "triggerPrice": "61000", "triggerDirection": 1}
    told = order(orderStatus=word, **stop)
    assert (told.status, told.triggered) == (status, triggered)


def test_an_unknown_word_is_no_guess() -> None:
    for fields in ({"orderStatus": "Whatever"}, {"side": "Both"}, {"timeInForce": "GTX"}, {"positionIdx": 7}, {"qty": 0.1}):
        with pytest.raises(Unreadable):
            order(**fields)


def test_executions() -> None:
    told = translate.execution(EXECUTION | {"closedSize": "0.01"}, settle="USDT")
    assert told is not None
    assert (told.fill.fee, told.fill.fee_asset, told.fill.maker) == (Decimal("-0.1"), "USDT", True)
    assert told.hedge_side is PositionSide.SHORT  # a buy that closes
    assert told.with_side(told.hedge_side).position_side is PositionSide.SHORT
    opening = translate.execution(EXECUTION | {"side": "Sell", "closedSize": ""})
    assert opening is not None
    assert opening.hedge_side is PositionSide.SHORT
    assert translate.execution(EXECUTION | {"execType": "Funding"}) is None


def terms(type_: OrderType = OrderType.LIMIT, symbol: str = "BTCUSDT", **more: Any) -> Terms:
    values: dict[str, Any] = {"symbol": symbol, "side": Side.BUY, "type": type_, "quantity": Decimal("0.010")}
    if type_.has_price:
        values["price"] = Decimal("60000.10")
    if type_.has_trigger:
        values["trigger_price"] = Decimal(61000)
    return Terms(**(values | more))


def place(wanted: Terms) -> dict[str, Any]:
    return sending.place_params(NewOrder(client_id="a-1", terms=wanted))


BASE = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "qty": "0.010", "orderLinkId": "a-1", "positionIdx": 0}
LIMIT = BASE | {"orderType": "Limit", "price": "60000.10", "timeInForce": "GTC"}


@pytest.mark.parametrize(
    ("wanted", "params"),
    [
        (terms(), LIMIT),
        (terms(post_only=True), LIMIT | {"timeInForce": "PostOnly"}),
        (terms(time_in_force=TimeInForce.FOK), LIMIT | {"timeInForce": "FOK"}),
        (terms(reduce_only=True, side=Side.SELL), LIMIT | {"side": "Sell", "reduceOnly": True}),
        (terms(position_side=PositionSide.SHORT), LIMIT | {"positionIdx": 2}),
        (
            terms(OrderType.STOP_LIMIT),
            LIMIT | {"triggerPrice": "61000", "triggerDirection": 1, "triggerBy": "LastPrice"},
        ),
        (
            terms(OrderType.TAKE_PROFIT_MARKET, trigger_by=TriggerBy.MARK),
            BASE | {"orderType": "Market", "triggerPrice": "61000", "triggerDirection": 2, "triggerBy": "MarkPrice"},
        ),
        (
            terms(OrderType.STOP_MARKET, side=Side.SELL, close_position=True),
            BASE
            | {"side": "Sell", "orderType": "Market", "qty": "0", "reduceOnly": True, "closeOnTrigger": True}
            | {"triggerPrice": "61000", "triggerDirection": 2, "triggerBy": "LastPrice"},
        ),
    ],
)
def test_requests(wanted: Terms, params: dict[str, Any]) -> None:
    assert place(wanted) == params


def test_spot_requests() -> None:
    market = place(terms(OrderType.MARKET, "BTCUSDT-SPOT"))
    assert market == {
        "category": "spot",
        "symbol": "BTCUSDT",
        "side": "Buy",
        "orderType": "Market",
        "qty": "0.010",
        "orderLinkId": "a-1",
        "marketUnit": "baseCoin",
    }
    stop = place(terms(OrderType.STOP_LIMIT, "BTCUSDT-SPOT"))
    assert (stop["orderFilter"], stop["triggerPrice"]) == ("StopOrder", "61000")
    assert "triggerDirection" not in stop


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        (terms(OrderType.TRAILING_STOP, trail_percent=Decimal(1)), RejectReason.OTHER),
        (terms(price=None), RejectReason.OTHER),
        (terms(OrderType.STOP_MARKET, trigger_price=None), RejectReason.OTHER),
        (terms(symbol="BTCUSDT-SPOT", position_side=PositionSide.LONG), RejectReason.MODE),
        (terms(OrderType.STOP_LIMIT, "BTCUSDT-SPOT", trigger_by=TriggerBy.MARK), RejectReason.OTHER),
    ],
)
def test_what_bybit_cannot_carry_is_not_sent(wanted: Terms, reason: RejectReason) -> None:
    with pytest.raises(Untranslatable) as caught:
        place(wanted)
    assert caught.value.reason is reason
    assert str(caught.value)


def test_amends_and_references() -> None:
    ref = OrderRef(symbol="BTCUSDT", type=OrderType.STOP_LIMIT, client_id="a-1")
    assert sending.modify_params(OrderChange(ref=ref, terms=terms(OrderType.STOP_LIMIT))) == {
        "category": "linear",
        "symbol": "BTCUSDT",
        "orderLinkId": "a-1",
        "qty": "0.010",
        "price": "60000.10",
        "triggerPrice": "61000",
        "triggerBy": "LastPrice",
    }
    by_both = OrderRef(symbol="BTCUSD", type=OrderType.LIMIT, client_id="a-1", venue_id="v-1")
    assert sending.ref_params(by_both) == {"category": "inverse", "symbol": "BTCUSD", "orderId": "v-1"}
    with pytest.raises(Untranslatable):
        sending.ref_params(OrderRef(symbol="BTCUSD", type=OrderType.LIMIT))
    with pytest.raises(Untranslatable):
        sending.modify_params(OrderChange(ref=ref, terms=terms(OrderType.MARKET)))


def test_a_wallet_in_isolated_margin_has_what_its_coins_have_free() -> None:
    coin = {"coin": "USDT", "equity": "100", "usdValue": "99", "walletBalance": "100", "totalOrderIM": "10", "locked": "0"}
    wallet = translate.wallet(
        {"totalEquity": "99", "totalAvailableBalance": "", "coin": [coin | {"totalPositionIM": "40"}]}
    )
    assert (wallet.balance.equity, wallet.balance.cash) == (Decimal(99), Decimal(99))
    assert wallet.balance.available == Decimal("49.5")
    assert wallet.coins == {"USDT": Decimal(100)}
