"""Every recorded payload of a stream or reply that the plugin reads goes through the translation without loss.

The walk follows the samples' manifest; what is out of scope is listed by name, with the reason. A payload that is
neither read nor listed fails.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from decimal import Decimal
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
from copydesk.model import Fill, Order, Record
from copydesk_bybit import listing, translate
from copydesk_bybit.errors import Reply, meaning
from copydesk_bybit.markets import category_of_row
from copydesk_wire.errors import Unreadable

SAMPLES = Path(__file__).parents[3].parent / "shared" / "venue-samples"

OUT_OF_SCOPE = {
    # file name patterns: why the plugin never reads such a payload
    "*-request*.json": "what clients send",
    "*Request-Example*.json": "what clients send",
    "*-params.json": "what clients send",
    "*-sub-request*.json": "what clients send",
    "subscriptions/bbdoc-*-Subscribe-Example.json": "what clients send",
    "subscriptions/bbdoc-*WebSocket-Filters*.json": "what clients send",
    "subscriptions/cf26-out-*": "what clients send",
    "auth/hb-test_listen_for_user_stream_auth-auth_subscription.json": "what clients send",
    "auth/bbdoc-wss-authentication-Authentication.json": "what clients send",
    "heartbeat/bbdoc-wss-authentication-How-to-Send-the-Heartbeat-Packet-3.json": "what options answer to a ping",
    "auth-signing/*": "signatures: see the tests of the rehearsal",
    "account-config/*": "keys, fees, leverage, margin and collateral settings: not read",
    "account-balance/*transaction-log*": "the ledger: not read",
    "account-balance/*Ledger*": "the ledger: not read",
    "account-balance/*Transaction*": "the ledger: not read",
    "account-balance/*coin-balance*": "other wallets than the unified account: not read",
    "account-balance/*all-balance*": "other wallets than the unified account: not read",
    "account-balance/cx-parseBalance-cross.json": "a classic margin account",
    "account-balance/cx-parseBalance-funding.json": "the funding wallet",
    "account-balance/*trade-info*": "statistics",
    "account-balance/*trans-amnt*": "transfers",
    "account-balance/*available_balance*": "transfers",
    "account-balance/hb-perp-empty_funding_payment_mock_response.json": "funding payments",
    "account-balance/jk-GetAccountTypes.json": "wallet kinds",
    "account-balance/jk-GetAssetExchangeHistory.json": "conversions",
    "account-balance/jk-GetAssetOverview.json": "wallets of all products",
    "account-balance/jk-GetMarginAccountInfo.json": "margin settings",
    "disconnect/*": "disconnect protection: not used",
    "errors/bbdoc-error-code-table.json": "the documents' table: see test_errors",
    "errors/cx-exception-map-bybit.json": "a client library's table",
    "errors/cx-err-*.json": "errors of API v2 and earlier (ret_code)",
    "errors/cx-ws-handleErrorMessage-2.json": "an error of API v2",
    "errors/hb-test_update_time_synchronizer_failure_is_logged.json": "another venue's error",
    "executions/cx-fetchTrades.json": "public trades by REST: not read",
    "executions/cx-ws-parseWsTrade-*": "a row out of its frame; the frames are read",
    "heartbeat/*system-status*": "maintenance announcements: not read",
    "heartbeat/cx-fetchStatus.json": "maintenance announcements: not read",
    "instruments/*order-price-limit*": "price limits: not read",
    "instruments/hb-*trading_rules*": "a client's own form, or a row without filters",
    "instruments/hb-perp-all_symbols_including_invalid_pair_mock_response.json": "rows without filters",
    "instruments/*AssetInfo*": "coins and options",
    "instruments/nt-coin_info.json": "coins",
    "market-data-ws/*liquidation*": "liquidations: not read",
    "market-data-ws/*Liquidations*": "liquidations: not read",
    "market-data-ws/*price-limit*": "price limits: not read",
    "market-data-ws/*strategy*": "strategy orders: not read",
    "market-data-ws/*system-status*": "maintenance announcements: not read",
    "market-data-ws/*kline*": "candles by stream: not read",
    "market-data-ws/*Klines*": "candles by stream: not read",
    "market-data-ws/*orderbook*": "whole books: only the best level is read",
    "market-data-ws/*Book*": "whole books: only the best level is read",
    "market-data-ws/*-ack.json": "an acknowledgement of the options' stream",
    "market-data-ws/cx-ws-handleMyTrades-spot.json": "a private trade of API v3",
    "market-data-ws/hb-perp-funding_info_event_for_websocket_update.json": "an event of API v2",
    "market-data-ws/nt-ws_public_trade.json": "a row out of its frame; the frames are read",
    "market-data/*fund*": "funding: not read",
    "market-data/*mark-kline*": "candles of the mark price: not read",
    "market-data/*IndexPriceKlines*": "candles of index prices: not read",
    "market-data/*rderbook*": "books by REST: not read",
    "market-data/*trade*": "public trades by REST: not read",
    "market-data/*TradeHistory*": "public trades by REST: not read",
    "market-data/jk-Get[ADHLOS]*": "statistics, deliveries and settlements: not read",
    "open-orders/cx-parseOrder-createOrders-failed-order.json": "a row of a batch reply: not used",
    "order-*/*batch*": "batch replies: not used",
    "order-place/bbdoc-create-order-request*": "what clients send",
    "order-place/bbdoc-guideline-Response-Example*.json": "order entry by websocket: not used",
    "order-place/*-ws-*": "order entry by websocket: not used",
    "order-amend/*-ws-*": "order entry by websocket: not used",
    "order-cancel/*-ws-*": "order entry by websocket: not used",
    "heartbeat/bbdoc-guideline-Response-Example.json": "order entry by websocket: not used",
    "heartbeat/cx-ws-handlePong-2.json": "a pong of API v3",
    "instruments/bbdoc-instrument-Response-Example-2.json": "options are not copied",
    "instruments/nt-http_get_instruments_option*.json": "options are not copied",
    "order-place/*pre-check*": "not asked for",
    "order-place/hb-perp-funding_payment_mock_response.json": "funding payments",
    "order-cancel/bbdoc-cancel-all-Response-Example.json": "not asked for",
    "order-cancel/jk-SetDisconnectCancelAll.json": "disconnect protection: not used",
    "positions/*close*": "closed profits: not read",
    "positions/*move-position*": "moved positions: not read",
    "positions/cx-parsePosition-fetchPositionsHistory.json": "closed profits: not read",
    "positions/jk-GetClosedProfitLoss.json": "closed profits: not read",
    "positions/cx-parsePosition-usdc.json": "a position of API v3",
    "positions/jk-SwitchPositionMode.json": "not asked for",
    "subscriptions/cx-ws-handleUnSubscribe-client*": "a client's own table",
    "auth/bbdoc-guide-Common-response-parameters.json": "an envelope without anything in it",
    "auth/bbdoc-wss-authentication-Understanding-*.json": "an acknowledgement of the options' stream",
    "auth/hb-test_listen_for_user_stream_auth-result_auth.json": "a client's own test text",
    "algo-orders/bbdoc-trading-stop-Response-Example.json": "not asked for",
}

UNFIT = {
    # payloads of a kind that is read, and which no venue has sent: what does not fit
    "open-orders/cx-fetchOrder.json": "triggerBy",
    "open-orders/hb-test_create_limit_order_successfully-get_orders_resp.json": "orderId",
    "open-orders/hb-test_create_market_order_successfully-get_orders_resp.json": "orderId",
}


def _rows(payload: Any) -> list[Any]:
    """The rows of a reply or frame, whatever it wraps them in."""
    if isinstance(payload, list):
        return [row for part in payload for row in _rows(part)]
    if isinstance(payload, dict):
        for name in ("result", "data", "list"):
            if isinstance(payload.get(name), dict | list):
                return _rows(payload[name])
    return [payload]


def read(payload: Any) -> list[Any]:
    """Everything that one recorded payload holds, as records. Raises `LookupError` where its kind is none of ours."""
    if isinstance(payload, dict):
        if payload.keys() & {"op", "success"} and "data" not in payload:
            return [translate.refusal_of(payload)]
        if payload.get("retCode", 0) != 0:
            return [meaning(Reply(status=200, text=json.dumps(payload, default=str), body=payload))]
        result = payload.get("result")
        if isinstance(result, dict) and {"orderId", "orderLinkId"} == result.keys():
            return [translate.placed_id(payload)]
        rows = result.get("list") if isinstance(result, dict) else None
        if isinstance(rows, list) and rows and isinstance(rows[0], list):
            return [listing.candle(row) for row in rows]
        if str(payload.get("topic", "")).startswith(("publicTrade.", "tickers.", "orderbook.1.")):
            return list(listing.quotes(payload, "spot" if "usdIndexPrice" in str(payload) else "linear"))
    category = result.get("category", "") if isinstance(payload, dict) and isinstance(result, dict) else ""
    rows = [row for row in _rows(payload) if not isinstance(row, str)]  # a test's list of frames may end with a word
    return [record for row in rows for record in _read_row(row, category)]


SHAPES: tuple[tuple[frozenset[str], Callable[[Any, str], Any]], ...] = (
    # (fields that tell the kind of an object, how it is read)
    (frozenset({"orderId", "orderStatus"}), lambda row, category: translate.order(row, category)),
    (frozenset({"execId", "execPrice"}), lambda row, category: translate.execution(row, category)),
    (frozenset({"positionIdx", "size"}), lambda row, category: translate.position(row, category)),
    (frozenset({"totalEquity", "coin"}), lambda row, _: translate.wallet(row)),
    (frozenset({"priceFilter", "lotSizeFilter"}), lambda row, category: listing.instrument(row, category)),
    (frozenset({"symbol", "lastPrice"}), lambda row, category: listing.ticker(row, category)),
    (frozenset({"timeSecond", "timeNano"}), lambda row, _: listing.server_time({"result": row})),
)


def _read_row(row: Any, category: str) -> list[Any]:
    if not isinstance(row, dict):
        raise LookupError(type(row).__name__)
    for names, reader in SHAPES:
        if names <= row.keys():
            if "priceFilter" in names and not category:
                category = category_of_row(row)
            return [reader(row, category or row.get("category") or "linear")]
    raise LookupError(sorted(row)[:4])


def samples() -> list[Any]:
    manifest = SAMPLES / "MANIFEST.csv"
    if not manifest.is_file():
        return [pytest.param("", id="absent", marks=pytest.mark.skip(reason=f"no recorded payloads at {SAMPLES}"))]
    with manifest.open(newline="") as file:
        files = [row["file"] for row in csv.DictReader(file) if row["venue"] == "bybit"]
    return [pytest.param(name.removeprefix("bybit/"), id=name) for name in files if name.endswith(".json")]


def is_out_of_scope(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in OUT_OF_SCOPE)


@pytest.mark.parametrize("name", samples())
def test_recorded_payloads_are_read(name: str) -> None:
    payload = json.loads((SAMPLES / "bybit" / name).read_text(), parse_float=Decimal)
    if name in UNFIT:
        with pytest.raises(Unreadable, match=UNFIT[name]):
            read(payload)
        return
    if is_out_of_scope(name):
        return
    records = read(payload)
    assert records, "nothing in it"
    for record in records:
        if isinstance(record, Record):
            numbers_are_exact(payload, record)


def numbers_are_exact(payload: Any, record: Record) -> None:
    """Each number of the record is one that was sent."""
    sent = {abs(text) for text in texts(payload)}
    for value in numbers(record):
        assert value == 0 or abs(value) in sent, value


def texts(payload: Any) -> list[Decimal]:
    if isinstance(payload, dict):
        return [text for value in payload.values() for text in texts(value)]
    if isinstance(payload, list):
        return [text for value in payload for text in texts(value)]
    try:
        return [Decimal(payload)] if isinstance(payload, str | int | Decimal) else []
    except ArithmeticError:
        return []


def numbers(record: Record) -> list[Decimal]:
    found = []
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if isinstance(value, Decimal) and name != "contract_size":  # which Bybit does not send: it is one
            found.append(value)
        elif isinstance(value, Record):
            found += numbers(value)
        elif isinstance(value, dict):
            found += [number for number in value.values() if isinstance(number, Decimal)]
    return found


def test_what_is_out_of_scope_is_listed_for_a_reason() -> None:
    """A pattern that fits nothing, or only what could be read, has no place in the list."""
    if not SAMPLES.is_dir():
        pytest.skip(f"no recorded payloads at {SAMPLES}")
    names = [str(parameter.values[0]) for parameter in samples()]
    for pattern in OUT_OF_SCOPE:
        assert any(fnmatch(name, pattern) for name in names), pattern
    kept = ("order-updates/", "executions/bbdoc", "position-updates/", "balance-updates/", "open-orders/nt", "positions/nt")
    assert not [name for name in names if name.startswith(kept) and is_out_of_scope(name)]


def test_the_walk_meets_orders_of_every_kind() -> None:
    if not SAMPLES.is_dir():
        pytest.skip(f"no recorded payloads at {SAMPLES}")
    seen, fills = set(), 0
    for parameter in samples():
        name = str(parameter.values[0])
        if name in UNFIT or is_out_of_scope(name):
            continue
        for record in read(json.loads((SAMPLES / "bybit" / name).read_text(), parse_float=Decimal)):
            if isinstance(record, Order):
                seen.add((str(record.terms.type), str(record.status)))
            fills += isinstance(getattr(record, "fill", None), Fill)
    assert {type_ for type_, _ in seen} == {
        "limit",
        "market",
        "stop-limit",
        "stop-market",
        "take-profit-market",
    }
    assert {status for _, status in seen} >= {"new", "partially-filled", "filled", "cancelled", "expired", "rejected"}
    assert fills > 10
