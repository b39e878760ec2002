"""Whatever Binance sends is read, or refused with `Unreadable`: no other error comes out of the translation."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from copydesk.model import OrderStatus, OrderType, PositionSide, RejectReason, TimeInForce
from copydesk_binance import account, fields, translate
from copydesk_binance.errors import Reply, meaning, read_reply, refusal
from copydesk_binance.spot import translate as spot
from copydesk_wire.errors import Unreadable
from hypothesis import given, settings
from hypothesis import strategies as st

SAMPLES = Path(__file__).parents[3].parent / "shared" / "venue-samples" / "binance-usdm"
READERS: tuple[Callable[[Any], Any], ...] = (
    translate.order_update,
    translate.algo_update,
    account.account_update,
    account.position_update,
    account.leverage_change,
    translate.order,
    translate.algo_order,
    translate.trade,
    account.position,
    account.balance,
    account.asset_balance,
    account.instrument,
    fields.server_time,
    fields.candle,
    fields.market_event,
)

ORDER_EVENT: dict[str, Any] = {
    "e": "ORDER_TRADE_UPDATE",
    "E": 1700000000001,
    "T": 1700000000000,
    "o": {
        "s": "BTCUSDT",
        "c": "mine",
        "S": "BUY",
        "o": "LIMIT",
        "f": "GTC",
        "q": "0.010",
        "p": "60000.10",
        "ap": "0",
        "sp": "0",
        "x": "NEW",
        "X": "NEW",
        "i": 8886774,
        "l": "0",
        "z": "0",
        "L": "0",
        "T": 1700000000000,
        "t": 0,
        "m": False,
        "R": False,
        "wt": "CONTRACT_PRICE",
        "ot": "LIMIT",
        "ps": "BOTH",
        "cp": False,
        "rp": "0",
        "pm": "NONE",
        "gtd": 0,
    },
}
ALGO_EVENT: dict[str, Any] = {
    "e": "ALGO_UPDATE",
    "E": 1700000000001,
    "T": 1700000000000,
    "o": {
        "caid": "mine",
        "aid": 2148719,
        "at": "CONDITIONAL",
        "o": "TAKE_PROFIT",
        "s": "BTCUSDT",
        "S": "SELL",
        "ps": "BOTH",
        "f": "GTC",
        "q": "0.01",
        "X": "NEW",
        "ai": "",
        "tp": "750",
        "p": "750",
        "wt": "CONTRACT_PRICE",
        "pm": "NONE",
        "cp": False,
        "pP": False,
        "R": False,
        "tt": 0,
        "gtd": 0,
        "rm": "",
    },
}
OWN: tuple[Any, ...] = (
    ORDER_EVENT,
    ALGO_EVENT,
    {
        "e": "ACCOUNT_UPDATE",
        "E": 1700000000001,
        "T": 1700000000000,
        "a": {
            "m": "ORDER",
            "B": [{"a": "USDT", "wb": "122624.12345678", "cw": "100.12345678", "bc": "50.12345678"}],
            "P": [
                {"s": "BTCUSDT", "pa": "-20", "ep": "6563.6", "up": "2850.21200", "mt": "cross", "iw": "0", "ps": "SHORT"}
            ],
        },
    },
    {"e": "ACCOUNT_CONFIG_UPDATE", "E": 1700000000001, "T": 1700000000000, "ac": {"s": "BTCUSDT", "l": 25}},
    {"e": "ACCOUNT_CONFIG_UPDATE", "E": 1700000000001, "T": 1700000000000, "ai": {"j": True}},
    {
        "orderId": 283194212,
        "symbol": "BTCUSDT",
        "status": "NEW",
        "clientOrderId": "mine",
        "price": "60000.00",
        "avgPrice": "0.00",
        "origQty": "0.010",
        "executedQty": "0.000",
        "timeInForce": "GTX",
        "type": "LIMIT",
        "reduceOnly": False,
        "closePosition": False,
        "side": "BUY",
        "positionSide": "LONG",
        "stopPrice": "0",
        "workingType": "CONTRACT_PRICE",
        "origType": "LIMIT",
        "time": 1700000000000,
        "updateTime": 1700000000000,
    },
    {
        "algoId": 2146760,
        "clientAlgoId": "mine",
        "algoType": "CONDITIONAL",
        "orderType": "TRAILING_STOP_MARKET",
        "symbol": "BTCUSDT",
        "side": "SELL",
        "positionSide": "BOTH",
        "timeInForce": "GTC",
        "quantity": "0.01",
        "algoStatus": "NEW",
        "triggerPrice": "0",
        "price": "0.00",
        "workingType": "MARK_PRICE",
        "activatePrice": "",
        "callbackRate": "0.1",
        "createTime": 1700000000000,
        "updateTime": 1700000000000,
    },
    {
        "id": 698759,
        "orderId": 25851813,
        "symbol": "BTCUSDT",
        "side": "SELL",
        "positionSide": "SHORT",
        "qty": "0.002",
        "price": "7819.01",
        "commission": "-0.07819010",
        "commissionAsset": "USDT",
        "maker": False,
        "time": 1569514978020,
    },
    {
        "symbol": "BTCUSDT",
        "positionSide": "BOTH",
        "positionAmt": "0.010",
        "entryPrice": "60000.0",
        "markPrice": "60010.5",
        "unRealizedProfit": "0.10",
        "liquidationPrice": "0",
        "notional": "600.105",
        "positionInitialMargin": "30.00525",
    },
    {"totalMarginBalance": "100.5", "totalWalletBalance": "100.0", "availableBalance": "90.1", "assets": []},
    {"asset": "USDT", "balance": "122607.35137903", "crossUnPnl": "0.0", "availableBalance": "23.7", "updateTime": 1},
    {
        "symbol": "BTCUSDT",
        "status": "TRADING",
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": "0.10"},
            {"filterType": "LOT_SIZE", "stepSize": "0.001", "minQty": "0.001", "maxQty": "1000"},
            {"filterType": "MIN_NOTIONAL", "notional": "100"},
        ],
    },
    {"serverTime": 1700000000000},
    [1499040000000, "0.01634790", "0.80000000", "0.01575800", "0.01577100", "148976.11427815", 1499644799999],
    {"e": "aggTrade", "s": "BTCUSDT", "p": "0.001", "q": "100", "T": 1700000000000},
    {"e": "bookTicker", "s": "BTCUSDT", "b": "25.35190000", "a": "25.36520000", "T": 1700000000000},
    {"id": "x", "status": 400, "error": {"code": -2019, "msg": "Margin is insufficient."}},
    {"code": -1003, "msg": "Way too many requests; IP(1.2.3.4) banned until 1700000000000."},
)

_odd = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.decimals(),
    st.sampled_from(
        ["", "0", "-0", "1E+3", "1e-8", "1E+999999", "NaN", "Infinity", "--5", "1_0", "²", "9" * 5000, " 1", "0x10", "null"]
    ),
    st.sampled_from([[], {}, [[]], {"o": "LIMIT"}, [None], [1], 10**30, Decimal("1.7E+12"), float("inf")]),
)


def places(payload: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to every value of a payload."""
    yield path
    if isinstance(payload, dict):
        for name in payload:
            yield from places(payload[name], (*path, name))
    elif isinstance(payload, list):
        for index, value in enumerate(payload[:3]):
            yield from places(value, (*path, index))


def changed(payload: Any, path: tuple[Any, ...], value: Any, *, gone: bool = False) -> Any:
    """A copy with another value at one place, or without it."""
    if not path:
        return value
    copy = dict(payload) if isinstance(payload, dict) else list(payload)
    if len(path) == 1 and gone:
        del copy[path[0]]
    else:
        copy[path[0]] = changed(copy[path[0]], path[1:], value, gone=gone)
    return copy


def reads_or_refuses(payload: Any) -> None:
    for reader in READERS:
        with contextlib.suppress(Unreadable):
            reader(payload)
    text = json.dumps(payload, default=str)
    for status in (200, 400, 503):
        reply = read_reply(status, text)
        assert meaning(reply) is not None
        assert refusal(reply, "placing", 0).message
    assert meaning(Reply(status=400, text=text, body=payload)) is not None


@st.composite
def mutated(draw: st.DrawFn, payloads: tuple[Any, ...]) -> Any:
    payload = draw(st.sampled_from(payloads))
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(list(places(payload))))
        if path:
            payload = changed(payload, path, draw(_odd), gone=draw(st.booleans()))
    return payload


SPOT_REPORT = {
    "e": "executionReport",
    "E": 1_700_000_000_001,
    "s": "BTCUSDT",
    "c": "its-cancel",
    "S": "SELL",
    "o": "STOP_LOSS",
    "f": "GTC",
    "q": "0.01000000",
    "p": "0.00000000",
    "P": "58000.00000000",
    "g": 3,
    "C": "mine",
    "x": "TRADE",
    "X": "PARTIALLY_FILLED",
    "r": "NONE",
    "i": 42,
    "l": "0.00500000",
    "z": "0.00500000",
    "L": "58000.00000000",
    "n": "0.29000000",
    "N": "USDT",
    "T": 1_700_000_000_000,
    "t": 7,
    "w": True,
    "m": False,
    "O": 1_700_000_000_000,
    "Z": "290.00000000",
    "d": 100,
    "W": 1_700_000_000_000,
    "eR": "OCO_TRIGGER",
}
SPOT_ORDER = {
    "symbol": "BTCUSDT",
    "orderId": 42,
    "orderListId": 3,
    "clientOrderId": "mine",
    "price": "59000.00000000",
    "origQty": "0.01000000",
    "executedQty": "0.00500000",
    "cummulativeQuoteQty": "290.00000000",
    "status": "PARTIALLY_FILLED",
    "timeInForce": "GTC",
    "type": "LIMIT_MAKER",
    "side": "BUY",
    "stopPrice": "0.00000000",
    "time": 1_700_000_000_000,
    "updateTime": 1_700_000_000_001,
    "workingTime": 1_700_000_000_000,
    "origClientOrderId": "mine",
}
SPOT = (
    SPOT_REPORT,
    SPOT_ORDER,
    {"orderReports": [SPOT_ORDER, SPOT_ORDER]},
    {"transactTime": 1_700_000_000_000, "amendedOrder": {**SPOT_ORDER, "qty": "0.005"}},
    {"e": "outboundAccountPosition", "u": 1, "B": [{"a": "BTC", "f": "1.0", "l": "0.5"}]},
    {"e": "balanceUpdate", "a": "BTC", "d": "-1.0", "T": 1},
    {"e": "listStatus", "s": "BTCUSDT", "g": 3, "c": "OCO", "L": "EXECUTING", "O": [{"i": 1}]},
    {"balances": [{"asset": "BTC", "free": "1.0", "locked": "0"}]},
    {"symbol": "BTCUSDT", "id": 1, "orderId": 2, "price": "1", "qty": "2", "commission": "0", "time": 1, "isBuyer": True},
    {"symbol": "BTCUSDT", "status": "TRADING", "filters": [{"filterType": "NOTIONAL", "minNotional": "5"}]},
)
SPOT_READERS: tuple[Callable[[Any], Any], ...] = (
    spot.execution_report,
    spot.order,
    spot.legs,
    spot.amended,
    spot.account_position,
    spot.balance_change,
    spot.list_status,
    spot.wallets,
    spot.trade,
    spot.instrument,
    spot.event_of,
)


@settings(max_examples=300)
@given(mutated(SPOT))
def test_a_spoilt_payload_of_spot_is_read_or_refused(payload: Any) -> None:
    for reader in SPOT_READERS:
        with contextlib.suppress(Unreadable):
            reader(payload)


@settings(max_examples=300)
@given(mutated(OWN))
def test_a_spoilt_payload_is_read_or_refused(payload: Any) -> None:
    reads_or_refuses(payload)


@settings(max_examples=60)
@given(_odd)
def test_nonsense_is_refused(payload: Any) -> None:
    reads_or_refuses(payload)


def recorded() -> tuple[Any, ...]:
    files = sorted(SAMPLES.rglob("*.json")) if SAMPLES.is_dir() else []
    small = [path for path in files if path.stat().st_size < 20_000]
    return tuple(json.loads(path.read_text(), parse_float=Decimal) for path in small)


RECORDED = recorded()


@pytest.mark.skipif(not RECORDED, reason=f"no recorded payloads at {SAMPLES}")
@settings(max_examples=200)
@given(mutated(RECORDED or ({},)))
def test_a_spoilt_recorded_payload_is_read_or_refused(payload: Any) -> None:
    reads_or_refuses(payload)


@pytest.mark.skipif(not RECORDED, reason=f"no recorded payloads at {SAMPLES}")
def test_every_recorded_payload_goes_through_every_reader() -> None:
    for payload in RECORDED:
        rows = payload if isinstance(payload, list) else [payload]
        for row in (payload, *rows[:5]):
            reads_or_refuses(row)


def order_event(**fields: Any) -> dict[str, Any]:
    return {**ORDER_EVENT, "o": {**ORDER_EVENT["o"], **fields}}


@pytest.mark.parametrize(
    ("fields", "status", "fills"),
    [
        ({"x": "NEW", "X": "NEW"}, OrderStatus.NEW, None),
        ({"x": "CANCELED", "X": "CANCELED", "z": "0.004", "ap": "60000.1"}, OrderStatus.CANCELLED, None),
        ({"x": "EXPIRED", "X": "EXPIRED", "f": "IOC", "z": "0.004"}, OrderStatus.EXPIRED, None),
        ({"x": "EXPIRED", "X": "EXPIRED_IN_MATCH", "V": "EXPIRE_TAKER"}, OrderStatus.EXPIRED, None),
        ({"x": "AMENDMENT", "X": "NEW", "p": "59000"}, OrderStatus.NEW, None),
        ({"x": "AMENDMENT", "X": "PARTIALLY_FILLED", "z": "0.004"}, OrderStatus.PARTIALLY_FILLED, None),
        ({"x": "TRADE", "X": "PARTIALLY_FILLED", "l": "0.004", "z": "0.004", "L": "6E4", "t": 7}, "partially-filled", "7"),
        (
            {"x": "TRADE", "X": "FILLED", "l": "0.01", "z": "0.01", "L": "60000", "t": 8, "n": "-0.1", "N": "USDT"},
            "filled",
            "8",
        ),
        (
            {"c": "autoclose-1700000000000", "x": "CALCULATED", "X": "FILLED", "l": "0.01", "z": "0.01", "L": "5", "t": 0},
            OrderStatus.FILLED,
            "8886774:0.01",
        ),
        ({"c": "autoclose-1", "x": "CALCULATED", "X": "NEW_INSURANCE", "l": "0", "z": "0"}, OrderStatus.NEW, None),
        ({"c": "adl_autoclose", "x": "TRADE", "X": "NEW_ADL", "l": "0.01", "z": "0.01", "L": "5", "t": 9}, "filled", "9"),
        (
            {"c": "settlement_autoclose-1", "x": "TRADE", "X": "FILLED", "l": "0.01", "z": "0.01", "L": "5", "t": 10},
            OrderStatus.FILLED,
            "10",
        ),
        ({"o": "LIQUIDATION", "ot": "LIQUIDATION", "f": "IOC"}, OrderStatus.NEW, None),
    ],
)
def test_every_execution_type(fields: dict[str, Any], status: str, fills: str | None) -> None:
    report = translate.order_update(order_event(**fields))
    assert report.order.status == status
    assert (report.fill.execution_id if report.fill else None) == fills
    if report.fill is not None:
        assert report.fill.quantity == Decimal(fields["l"])


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("GTC", (TimeInForce.GTC, False)),
        ("IOC", (TimeInForce.IOC, False)),
        ("FOK", (TimeInForce.FOK, False)),
        ("GTX", (TimeInForce.GTC, True)),
        ("GTD", (TimeInForce.GTC, False)),
        ("GTE_GTC", (TimeInForce.GTC, False)),
        ("RPI", (TimeInForce.GTC, True)),
    ],
)
def test_every_time_in_force(word: str, expected: tuple[TimeInForce, bool]) -> None:
    terms = translate.order_update(order_event(f=word, gtd=1900000000000)).order.terms
    assert (terms.time_in_force, terms.post_only) == expected


@pytest.mark.parametrize(
    ("word", "becomes", "filled", "status", "triggered"),
    [
        ("NEW", "", "0", OrderStatus.NEW, False),
        ("CANCELED", "", "0", OrderStatus.CANCELLED, False),
        ("EXPIRED", "", "0", OrderStatus.EXPIRED, False),
        ("REJECTED", "", "0", OrderStatus.REJECTED, False),
        ("TRIGGERING", "", "0", OrderStatus.NEW, True),
        ("TRIGGERED", "77", "0", OrderStatus.NEW, True),
        ("FINISHED", "77", "0.01", OrderStatus.FILLED, True),
        ("FINISHED", "77", "0", OrderStatus.CANCELLED, True),
    ],
)
def test_every_status_of_a_conditional_order(
    word: str, becomes: str, filled: str, status: OrderStatus, triggered: bool
) -> None:
    fields = {**ALGO_EVENT["o"], "X": word, "ai": becomes, "aq": filled, "rm": "Reduce Only reject"}
    report = translate.algo_update({**ALGO_EVENT, "o": fields})
    assert (report.order.status, report.order.triggered, report.becomes) == (status, triggered, becomes)
    assert report.order.terms.type is OrderType.TAKE_PROFIT_LIMIT
    assert bool(report.order.reason) == (word in ("REJECTED", "EXPIRED"))


@pytest.mark.parametrize("side", ["LONG", "SHORT"])
def test_hedge_mode(side: str) -> None:
    assert translate.order_update(order_event(ps=side)).order.terms.position_side is PositionSide(side.lower())


def test_an_unknown_side_book_is_refused_and_not_taken_for_one_way() -> None:
    with pytest.raises(Unreadable, match="ps='UP'"):
        translate.order_update(order_event(ps="UP"))
    with pytest.raises(Unreadable, match="wt='INDEX_PRICE'"):
        translate.order_update(order_event(wt="INDEX_PRICE"))


def test_numbers_in_exponent_form() -> None:
    terms = translate.order_update(order_event(q="1E-3", p="6E+4")).order.terms
    assert (terms.quantity, terms.price) == (Decimal("0.001"), Decimal(60000))
    assert fields.server_time({"serverTime": Decimal("1.7E+12")}) == 1_700_000_000_000


@pytest.mark.parametrize(
    ("code", "reason"),
    [(-4046, RejectReason.UNCHANGED), (-4059, RejectReason.UNCHANGED), (-4171, RejectReason.UNCHANGED)],
)
def test_what_is_so_already_is_no_failure(code: int, reason: RejectReason) -> None:
    assert meaning(read_reply(400, json.dumps({"code": code, "msg": "No need to change"}))) is reason
