"""Translation keeps every digit, both ways, and agrees with ccxt on how a request looks."""

from __future__ import annotations

import contextlib
import json
from decimal import Decimal
from typing import Any

import pytest
from copydesk.model import (
    OrderChange,
    OrderRef,
    OrderStatus,
    OrderType,
    PositionSide,
    Side,
    Terms,
    TimeInForce,
    TriggerBy,
)
from copydesk_binance import account, fields, sending, translate
from copydesk_binance.fields import Untranslatable
from copydesk_wire.errors import Unreadable
from hypothesis import given
from hypothesis import strategies as st

PRICES = st.decimals(min_value="0.00000001", max_value="999999999", places=8, allow_nan=False, allow_infinity=False)
SMALL = st.decimals(min_value="0.1", max_value="10", places=1)


def terms_of(type_: OrderType, **changes: Any) -> Terms:
    values: dict[str, Any] = {"symbol": "BTCUSDT", "side": Side.BUY, "type": type_, "quantity": Decimal("0.010")}
    if type_.has_price:
        values["price"] = Decimal("60000.10")
    if type_.has_trigger:
        values["trigger_price"] = Decimal("61000.00")
    if type_ is OrderType.TRAILING_STOP:
        values["trail_percent"] = Decimal("1.5")
    return Terms(**(values | changes))


@given(
    quantity=PRICES, price=PRICES, trigger=PRICES, trail=SMALL, type_=st.sampled_from(OrderType), side=st.sampled_from(Side)
)
def test_what_is_sent_reads_back_as_the_same_terms(
    quantity: Decimal, price: Decimal, trigger: Decimal, trail: Decimal, type_: OrderType, side: Side
) -> None:
    terms = terms_of(
        type_, side=side, quantity=quantity, trigger_by=TriggerBy.MARK if type_.is_conditional else TriggerBy.LAST
    )
    values = {"price": price, "trigger_price": trigger, "trail_percent": trail}
    terms = terms_of(
        type_,
        side=side,
        quantity=quantity,
        trigger_by=terms.trigger_by,
        **{name: value for name, value in values.items() if getattr(terms, name) is not None},
    )
    path, params = sending.place_params("id-1", terms, hedge_mode=False)
    sent = json.loads(json.dumps(params))
    if path == "algoOrder":
        echo = sent | {"algoId": 7, "algoStatus": "NEW", "orderType": sent["type"]}
        order = translate.algo_order(echo).order
        assert order.venue_id == "algo:7"
    else:
        order = translate.order(
            sent | {"orderId": 7, "status": "NEW", "origQty": sent["quantity"], "clientOrderId": "id-1"}
        )
    assert order.terms == terms
    for name in ("quantity", "price", "trigger_price", "trail_percent"):
        ours, theirs = getattr(terms, name), getattr(order.terms, name)
        assert (ours is None and theirs is None) or str(ours) == str(theirs) or format(ours, "f") == str(theirs)


@given(value=st.decimals(allow_nan=False, allow_infinity=False))
def test_text_has_no_exponent_and_loses_nothing(value: Decimal) -> None:
    if abs(value.adjusted()) > 60:
        return
    text = fields.text(value)
    assert "E" not in text.upper()
    assert Decimal(text) == value


@pytest.mark.parametrize("value", [0.1, None, True, "", "abc", "NaN", "Infinity", [], "1e999999999999999999999"])
def test_what_is_no_number_in_text_form_is_refused(value: Any) -> None:
    with pytest.raises(Unreadable, match="price"):
        fields.number(value, "price")


CASES = [
    (terms_of(OrderType.LIMIT), False, {"timeInForce": "GTC", "price": "60000.10", "quantity": "0.010"}),
    (terms_of(OrderType.LIMIT, post_only=True), False, {"timeInForce": "GTX"}),
    (terms_of(OrderType.LIMIT, time_in_force=TimeInForce.FOK), False, {"timeInForce": "FOK"}),
    (terms_of(OrderType.MARKET, reduce_only=True), False, {"reduceOnly": "true", "price": None, "timeInForce": None}),
    (
        terms_of(OrderType.MARKET, reduce_only=True, position_side=PositionSide.SHORT),
        True,
        {"reduceOnly": None, "positionSide": "SHORT"},
    ),
    (
        terms_of(OrderType.STOP_MARKET, close_position=True, reduce_only=True),
        False,
        {"closePosition": "true", "quantity": None, "reduceOnly": None, "triggerPrice": "61000.00"},
    ),
    (terms_of(OrderType.MARKET, close_position=True), False, {"closePosition": None, "reduceOnly": "true"}),
    (terms_of(OrderType.STOP_LIMIT, trigger_by=TriggerBy.MARK), False, {"workingType": "MARK_PRICE", "type": "STOP"}),
    (
        terms_of(OrderType.TRAILING_STOP, trigger_price=Decimal("62000")),
        False,
        {"callbackRate": "1.5", "activatePrice": "62000", "triggerPrice": None},
    ),
]


@pytest.mark.parametrize(("terms", "hedge_mode", "expected"), CASES)
def test_orders_become_the_documented_parameters(terms: Terms, hedge_mode: bool, expected: dict[str, str | None]) -> None:
    path, params = sending.place_params("my-id", terms, hedge_mode=hedge_mode)
    assert path == ("algoOrder" if terms.type.is_conditional else "order")
    assert params["clientAlgoId" if terms.type.is_conditional else "newClientOrderId"] == "my-id"
    assert {name: params.get(name) for name in expected} == expected


@pytest.mark.parametrize(
    ("terms", "hedge_mode", "words"),
    [
        (terms_of(OrderType.STOP_MARKET, trigger_by=TriggerBy.INDEX), False, "index"),
        (terms_of(OrderType.LIMIT, price=None), False, "price"),
        (terms_of(OrderType.STOP_MARKET, trigger_price=None), False, "trigger price"),
        (terms_of(OrderType.TRAILING_STOP, trail_percent=None), False, "trail"),
        (terms_of(OrderType.LIMIT), True, "hedge mode"),
        (terms_of(OrderType.LIMIT, position_side=PositionSide.LONG), False, "one-way mode"),
    ],
)
def test_what_the_venue_cannot_carry_is_refused_before_sending(terms: Terms, hedge_mode: bool, words: str) -> None:
    with pytest.raises(Untranslatable, match=words):
        sending.place_params("my-id", terms, hedge_mode=hedge_mode)


def test_orders_are_named_by_the_service_that_holds_them() -> None:
    plain = OrderRef(symbol="BTCUSDT", type=OrderType.LIMIT, client_id="a", venue_id="12")
    assert sending.ref_params(plain) == ("order", {"symbol": "BTCUSDT", "orderId": "12"})
    named = OrderRef(symbol="BTCUSDT", type=OrderType.LIMIT, client_id="a")
    assert sending.ref_params(named) == ("order", {"symbol": "BTCUSDT", "origClientOrderId": "a"})
    algo = OrderRef(symbol="BTCUSDT", type=OrderType.STOP_MARKET, venue_id="algo:9")
    assert sending.ref_params(algo) == ("algoOrder", {"algoId": "9"})
    with pytest.raises(Untranslatable):
        sending.ref_params(OrderRef(symbol="BTCUSDT", type=OrderType.STOP_MARKET))
    change = OrderChange(ref=plain, terms=terms_of(OrderType.STOP_LIMIT))
    with pytest.raises(Untranslatable, match="limit orders only"):
        sending.modify_params(change)


def test_a_trade_is_a_fill_and_a_forced_order_is_told_as_it_ended() -> None:
    body = {
        "s": "ETHUSDT",
        "c": "adl_autoclose",
        "S": "BUY",
        "o": "MARKET",
        "ot": "MARKET",
        "f": "GTC",
        "q": "1.000",
        "x": "CALCULATED",
        "X": "NEW_ADL",
        "i": 5,
        "l": "1.000",
        "z": "1.000",
        "L": "2500.00",
        "N": "USDT",
        "n": "2.5",
        "T": 17,
        "t": 0,
        "ps": "SHORT",
        "m": False,
        "R": False,
        "cp": False,
    }
    report = translate.order_update({"e": "ORDER_TRADE_UPDATE", "T": 16, "o": body})
    assert report.order.status is OrderStatus.FILLED
    assert report.fill is not None
    assert report.fill.execution_id == "5:1.000"  # a forced order has no trade id
    assert (report.fill.fee, report.fill.fee_asset, report.fill.maker) == (Decimal("2.5"), "USDT", False)
    assert report.fill.position_side is PositionSide.SHORT
    assert report.order.updated_ms == 17


@pytest.mark.parametrize("missing", ["s", "S", "o", "X", "i"])
def test_a_report_without_a_needed_field_is_refused_by_its_name(missing: str) -> None:
    body = {"s": "A", "S": "BUY", "o": "LIMIT", "X": "NEW", "x": "NEW", "i": 1, "q": "1", "p": "1", "T": 1}
    del body[missing]
    with pytest.raises(Unreadable):
        translate.order_update({"e": "ORDER_TRADE_UPDATE", "o": body})


@pytest.mark.parametrize(("field", "value"), [("X", "SLEEPING"), ("o", "ICEBERG"), ("S", "SHORT"), ("f", "SOMETIME")])
def test_an_unknown_word_is_refused_and_named(field: str, value: str) -> None:
    body = {"s": "A", "S": "BUY", "o": "LIMIT", "X": "NEW", "x": "NEW", "i": 1, "q": "1", "p": "1", "T": 1, "f": "GTC"}
    with pytest.raises(Unreadable, match=value):
        translate.order_update({"e": "ORDER_TRADE_UPDATE", "o": body | {field: value}})


async def test_requests_are_the_ones_that_ccxt_would_make() -> None:
    ccxt = pytest.importorskip("ccxt.pro")
    exchange = ccxt.binanceusdm({"options": {"fetchCurrencies": False}})
    filters = [
        {"filterType": "PRICE_FILTER", "tickSize": "0.10", "minPrice": "0.1", "maxPrice": "1000000"},
        {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001", "maxQty": "1000"},
    ]
    symbol = {
        "symbol": "BTCUSDT",
        "pair": "BTCUSDT",
        "contractType": "PERPETUAL",
        "status": "TRADING",
        "baseAsset": "BTC",
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "pricePrecision": 2,
        "quantityPrecision": 3,
        "filters": filters,
        "orderTypes": [word for word in translate.ORDER_TYPES if word != "LIQUIDATION"],
    }
    exchange.set_markets([exchange.parse_market(symbol)])
    for terms, extra in (
        (terms_of(OrderType.LIMIT), {}),
        (terms_of(OrderType.LIMIT, post_only=True), {"postOnly": True}),
        (terms_of(OrderType.MARKET, reduce_only=True), {"reduceOnly": True}),
        (terms_of(OrderType.STOP_MARKET), {"stopLossPrice": "61000.0"}),
        (terms_of(OrderType.STOP_LIMIT), {"stopLossPrice": "61000.0", "timeInForce": "GTC"}),
        (terms_of(OrderType.TAKE_PROFIT_LIMIT), {"takeProfitPrice": "61000.0", "timeInForce": "GTC"}),
        (terms_of(OrderType.TRAILING_STOP), {"trailingPercent": "1.5"}),
    ):
        _, ours = sending.place_params("my-id", terms, hedge_mode=False)
        kind = "limit" if terms.type.has_price else "market"
        price = float(terms.price) if terms.price else None
        extra = extra | {"clientOrderId": "my-id", "isAlgoOrder": terms.type.is_conditional}
        if terms.type is OrderType.TRAILING_STOP:
            extra = extra | {"stopLossOrTakeProfit": "stopLoss"}
        theirs = exchange.create_order_request("BTC/USDT:USDT", kind, "buy", float(terms.quantity), price, extra)
        theirs = {name: str(value).lower() if value is True else value for name, value in theirs.items()}
        same_name = {"stopPrice": "triggerPrice"}
        for name, value in theirs.items():
            if name in ("stopLossOrTakeProfit", "newOrderRespType", "postOnly") or (
                name == "type" and value == ours["type"]
            ):
                continue
            told = ours[same_name.get(name, name)]
            assert told == value or Decimal(told) == Decimal(value), (terms.type, name)


FRAMES: dict[str, tuple[Any, dict[str, Any]]] = {
    "ORDER_TRADE_UPDATE": (
        lambda body: translate.order_update({"e": "ORDER_TRADE_UPDATE", "T": 1, "o": body}),
        {
            "s": "BTCUSDT",
            "c": "a",
            "S": "BUY",
            "o": "MARKET",
            "ot": "STOP_MARKET",
            "f": "GTC",
            "q": "1",
            "p": "0",
            "ap": "5",
            "sp": "4",
            "x": "TRADE",
            "X": "FILLED",
            "i": 1,
            "l": "1",
            "z": "1",
            "L": "5",
            "n": "0.1",
            "N": "USDT",
            "T": 2,
            "t": 3,
            "m": True,
            "R": True,
            "wt": "MARK_PRICE",
            "ps": "LONG",
            "cp": False,
        },
    ),
    "ALGO_UPDATE": (
        lambda body: translate.algo_update({"e": "ALGO_UPDATE", "T": 1, "o": body}),
        {
            "caid": "a",
            "aid": 1,
            "at": "CONDITIONAL",
            "o": "TRAILING_STOP_MARKET",
            "s": "BTCUSDT",
            "S": "SELL",
            "ps": "BOTH",
            "f": "GTC",
            "q": "1",
            "X": "FINISHED",
            "ai": "7",
            "ap": "5",
            "aq": "1",
            "act": "MARKET",
            "tp": "4",
            "p": "0",
            "AP": "4",
            "cr": "1",
            "wt": "CONTRACT_PRICE",
            "cp": False,
            "R": False,
            "rm": "",
        },
    ),
    "position": (account.position_update, {"s": "BTCUSDT", "pa": "1", "ep": "5", "up": "0.1", "ps": "BOTH"}),
    "account": (
        lambda body: account.account_update({"e": "ACCOUNT_UPDATE", "a": body}),
        {"m": "ORDER", "B": [{"a": "USDT", "wb": "1"}], "P": []},
    ),
    "order": (
        translate.order,
        {
            "orderId": 1,
            "symbol": "BTCUSDT",
            "status": "NEW",
            "clientOrderId": "a",
            "price": "1",
            "avgPrice": "0",
            "origQty": "1",
            "executedQty": "0",
            "timeInForce": "GTX",
            "type": "LIMIT",
            "origType": "LIMIT",
            "side": "BUY",
            "positionSide": "BOTH",
            "stopPrice": "0",
            "time": 1,
            "updateTime": 2,
        },
    ),
    "conditional order": (
        translate.algo_order,
        {
            "algoId": 1,
            "clientAlgoId": "a",
            "algoType": "CONDITIONAL",
            "orderType": "STOP",
            "symbol": "BTCUSDT",
            "side": "BUY",
            "positionSide": "BOTH",
            "timeInForce": "GTC",
            "quantity": "1",
            "algoStatus": "NEW",
            "triggerPrice": "5",
            "price": "6",
            "createTime": 1,
            "updateTime": 1,
            "actualOrderId": "",
            "actualQty": "",
        },
    ),
    "trade": (
        translate.trade,
        {
            "id": 1,
            "orderId": 2,
            "symbol": "BTCUSDT",
            "side": "BUY",
            "qty": "1",
            "price": "1",
            "commission": "1",
            "commissionAsset": "USDT",
            "time": 1,
            "positionSide": "BOTH",
            "maker": False,
        },
    ),
    "instrument": (
        account.instrument,
        {"symbol": "A", "status": "TRADING", "filters": [{"filterType": "LOT_SIZE", "stepSize": "1"}]},
    ),
    "bookTicker": (lambda body: fields.market_event(body | {"e": "bookTicker"}), {"s": "A", "b": "1", "a": "2", "T": 1}),
    "aggTrade": (lambda body: fields.market_event(body | {"e": "aggTrade"}), {"s": "A", "p": "1", "T": 1}),
}
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.decimals(),
    st.text(max_size=5),
    st.lists(st.none() | st.text(max_size=3), max_size=2),
    st.dictionaries(st.text(max_size=2), st.none(), max_size=2),
)


@pytest.mark.parametrize("kind", FRAMES)
@given(data=st.data())
def test_junk_in_any_field_is_read_or_refused_by_name(kind: str, data: st.DataObject) -> None:
    reader, body = FRAMES[kind]
    reader(body)
    name = data.draw(st.sampled_from(sorted(body)))
    changed = body | {name: data.draw(JUNK)}
    with contextlib.suppress(Unreadable):  # anything else that is raised fails the test
        reader(changed)
