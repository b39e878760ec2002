"""Every recorded payload is translated, or refused with a sentence that names what does not fit."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from copydesk.model import Order, Record
from copydesk_binance import account, fields, translate
from copydesk_binance.errors import meaning, read_reply
from copydesk_wire.errors import Unreadable

SAMPLES = Path(__file__).parents[3].parent / "shared" / "venue-samples" / "binance-usdm"

TOPICS = (
    "account-balance",
    "account-config",
    "algo-orders",
    "balance-updates",
    "disconnect",
    "errors",
    "executions",
    "heartbeat",
    "instruments",
    "market-data-ws",
    "open-orders",
    "order-amend",
    "order-cancel",
    "order-place",
    "order-updates",
    "position-updates",
    "positions",
    "rate-limit",
)

# What is not about the account's orders, fills, positions and money in the form that this plugin reads.
NOT_OURS = {
    "cx-fetchPosition.json": "a position in options",
    "cx-parseTrade-futures-trades-3.json": "a trade without symbol and side, of another product",
    "jk-GetAlgoSubOrders.json": "parts of a TWAP order",
    "jk-GetClosedAlgoOrders.json": "a VP order",
    "jk-GetMarginChangeHistory.json": "margin changes",
    "jk-GetPositionAdlQuantileEstimation.json": "queue places",
    "nt-http_futures_market_top_long_short_position_ratio.json": "statistics",
    "ntrs-test_account_info_to_account_state_coin_margined_per_base_coin.json": "an account without its margin balance",
    "ntrs-test_account_info_to_account_state_with_margins.json": "an account without its margin balance",
    "cx-fetchMarginModes.json": "an account without its margin balance",
    "hb-get_exchange_info_error_mock_response-mocked_exchange_info.json": "an instrument without filters",
    "hb-get_exchange_info_mock_response-mocked_exchange_info.json": "an instrument with a program's text as numbers",
    "cx-err-exception-map-binance.json": "a table of a client library",
}

EVENTS: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "ORDER_TRADE_UPDATE": translate.order_update,
    "ALGO_UPDATE": translate.algo_update,
    "ACCOUNT_UPDATE": account.account_update,
    "ACCOUNT_CONFIG_UPDATE": account.leverage_change,
    "aggTrade": fields.market_event,
    "trade": fields.market_event,
    "bookTicker": fields.market_event,
    "listenKeyExpired": lambda event: event["listenKey"],
}
# (fields that tell the kind of an object, how it is read)
SHAPES: tuple[tuple[frozenset[str], Callable[[Any], Any]], ...] = (
    (frozenset({"aid"}), translate.algo_update),
    (frozenset({"algoStatus"}), translate.algo_order),
    (frozenset({"s", "x", "i"}), translate.order_update),
    (frozenset({"s", "pa"}), account.position_update),
    (frozenset({"orderId", "status"}), translate.order),
    (frozenset({"commission"}), translate.trade),
    (frozenset({"commissionAsset", "qty"}), translate.trade),
    (frozenset({"positionAmt"}), account.position),
    (frozenset({"entryPrice"}), account.position),
    (frozenset({"totalWalletBalance"}), account.balance),
    (frozenset({"assets", "positions"}), account.balance),
    (frozenset({"accountAlias"}), account.asset_balance),
    (frozenset({"filters"}), account.instrument),
    (frozenset({"serverTime"}), fields.server_time),
)


def samples() -> list[Any]:
    if not SAMPLES.is_dir():
        return [pytest.param(None, id="absent", marks=pytest.mark.skip(reason=f"no recorded payloads at {SAMPLES}"))]
    files = [path for topic in TOPICS for path in sorted((SAMPLES / topic).glob("*.json"))]
    return [pytest.param(path, id=f"{path.parent.name}/{path.stem}") for path in files]


def unwrap(payload: Any) -> Any:
    """Out of the envelopes of combined streams and of the websocket API."""
    if isinstance(payload, dict):
        if "stream" in payload and "data" in payload:
            return unwrap(payload["data"])
        if "id" in payload and "result" in payload and "status" in payload:
            return unwrap(payload["result"])
    return payload


def read(payload: Any) -> list[Any]:
    """Everything that one recorded payload holds, as records. Raises `LookupError` where its kind is none of ours."""
    payload = unwrap(payload)
    if isinstance(payload, list):
        return [record for row in payload for record in read(row)]
    assert isinstance(payload, dict)
    if "symbols" in payload and "rateLimits" in payload:  # exchangeInfo, which has a serverTime as well
        return read(payload["symbols"])
    if "e" in payload:
        if payload["e"] not in EVENTS:
            raise LookupError(payload["e"])
        return [EVENTS[payload["e"]](payload)]
    reply = read_reply(400 if "error" in payload else 200, json.dumps(payload, default=str))
    if reply.code:
        return [meaning(reply)]
    for names, reader in SHAPES:
        if names <= payload.keys():
            return [reader(payload)]
    raise LookupError(sorted(payload)[:4])


@pytest.mark.parametrize("path", samples())
def test_recorded_payloads_are_read(path: Path) -> None:
    payload = json.loads(path.read_text(), parse_float=Decimal)
    if path.name in NOT_OURS:
        with pytest.raises((Unreadable, LookupError)):
            read(payload)
        return
    try:
        records = read(payload)
    except LookupError:
        return  # a kind that the stream ignores, or a reply that nothing here asks for
    for record in records:
        if isinstance(record, Record):
            numbers_are_exact(payload, record)


def numbers_are_exact(payload: Any, record: Record) -> None:
    """Each number of the record has the text that was sent."""
    sent = {str(text) for text in texts(payload)}
    for value in numbers(record):
        assert value == 0 or str(value) in sent, value


def texts(payload: Any) -> list[Decimal]:
    if isinstance(payload, dict):
        return [text for value in payload.values() for text in texts(value)]
    if isinstance(payload, list):
        return [text for value in payload for text in texts(value)]
    try:
        return [Decimal(payload)] if isinstance(payload, str | int | Decimal) else []
    except ArithmeticError:
        return []


COMPUTED = {"leverage", "equity"}  # v3 tells no leverage; one asset's equity is a sum


def numbers(record: Record) -> list[Decimal]:
    found = []
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if isinstance(value, Decimal) and name not in COMPUTED:
            found.append(value)
        elif isinstance(value, Record):
            found += numbers(value)
        elif isinstance(value, tuple):
            found += [number for item in value if isinstance(item, Record) for number in numbers(item)]
    return found


def test_the_walk_meets_orders_of_every_kind() -> None:
    if not SAMPLES.is_dir():
        pytest.skip(f"no recorded payloads at {SAMPLES}")
    seen = set()
    for path in sorted(SAMPLES.glob("*/*.json")):
        try:
            records = read(json.loads(path.read_text(), parse_float=Decimal))
        except (Unreadable, LookupError, AssertionError):
            continue
        for record in records:
            order = record if isinstance(record, Order) else getattr(record, "order", None)
            if isinstance(order, Order):
                seen.add((order.terms.type, order.status))
    assert {str(type_) for type_, _ in seen} >= {"limit", "market", "stop-limit", "stop-market", "trailing-stop"}
    assert {str(status) for _, status in seen} >= {"new", "partially-filled", "filled", "cancelled", "expired"}


@pytest.mark.parametrize(
    ("name", "margins"),
    [
        (
            "nt-http_futures_account_symbol_config.json",
            {"ETHUSDT": (Decimal(20), "cross"), "BTCUSDT": (Decimal(25), "isolated")},
        ),
        ("jk-GetSymbolConfiguration.json", {"BTCUSDT": (Decimal(21), "cross")}),
    ],
)
def test_recorded_symbol_settings_are_read(name: str, margins: dict[str, tuple[Decimal, str]]) -> None:
    path = SAMPLES / "account-config" / name
    if not path.exists():
        pytest.skip(f"{path} is not there")
    found = account.margins(json.loads(path.read_text()))
    assert {margin.symbol: (margin.leverage, margin.mode) for margin in found} == margins
