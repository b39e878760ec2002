"""Every recorded payload of spot is translated without loss, or is out of scope, by name and with a reason."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from copydesk.model import Order, Record
from copydesk_binance import fields
from copydesk_binance.errors import meaning, read_reply
from copydesk_binance.spot import translate
from copydesk_wire.errors import Unreadable

SHARED = Path(__file__).parents[4].parent / "shared" / "venue-samples"
ABSENT = pytest.mark.skip(reason=f"no recorded payloads at {SHARED}")

OUT_OF_TOPIC = {
    "auth-signing": "vectors of signatures: tested in test_signatures.py",
    "market-data": "public market data beyond prices and bars, which come over the streams",
    "order-updates-sbe": "the binary form of the streams, which this plugin does not ask for",
    "replay-market-data": "recordings of markets: the rehearsal replays them",
    "subscriptions": "replies to SUBSCRIBE on market streams, which are not waited for",
    "account-config": "fees and permissions, which are not read",
    "auth": "replies to logging on and subscribing: only their status is read",
}

# (part of a file's name, why it is none of what the plugin reads)
OUT_OF_SCOPE = (
    ("-request.json", "a request of a client"),
    ("Margin", "the margin service"),
    ("margin", "the margin service"),
    ("binance-pay", "another wallet"),
    ("FundingWallet", "another wallet"),
    ("WalletBalances", "another wallet"),
    ("UserAssets", "another wallet"),
    ("wallet_account", "another wallet"),
    ("AccountStatus", "whether an account is blocked"),
    ("SOR", "smart order routing"),
    ("SIGNED", "a request of a client"),
    ("allocations", "smart order routing"),
    ("Allocations", "smart order routing"),
    ("revented", "self-trade prevention"),
    ("test-order", "the commission of an order that is only tried"),
    ("Test-new-order", "an order that is only tried"),
    ("PlaceTestOrder", "an order that is only tried"),
    ("Liability", "the margin service"),
    ("MarginCall", "the margin service"),
    ("rate-limit", "rate limits as numbers"),
    ("RateLimits", "rate limits as numbers"),
    ("myFilters", "filters of one account"),
    ("elevant-", "filters of one account"),
    ("Relevant-Filters", "filters of one account"),
    ("Execution-Rules", "price ranges"),
    ("price_range", "price ranges"),
    ("filters-", "one filter by itself: read as part of a symbol"),
    ("trading_rules", "a client's own form of the rules"),
    ("mendments", "the history of amendments"),
    ("System", "whether the venue is up"),
    ("wap", "the margin service"),
    ("test_user_stream_update_for_order_failure", "a program's own exception in a list"),
    ("unwraps_ws_api_event_container", "an event without its fields"),
)
EVENTS: dict[str, Callable[[Any], Any]] = {
    "executionReport": translate.execution_report,
    "outboundAccountPosition": translate.account_position,
    "balanceUpdate": translate.balance_change,
    "externalLockUpdate": translate.balance_change,
    "listStatus": translate.list_status,
    "aggTrade": fields.market_event,
    "trade": fields.market_event,
    "bookTicker": fields.market_event,
}
TOLD_BY_NAME = frozenset({"eventStreamTerminated", "serverShutdown"})
"""Events without anything to read: the stream ends."""
# (fields that tell the kind of an object, how it is read)
SHAPES: tuple[tuple[frozenset[str], Callable[[Any], Any]], ...] = (
    (frozenset({"amendedOrder"}), translate.amended),
    (frozenset({"orderReports"}), translate.legs),
    (frozenset({"orderId", "status", "type"}), translate.order),
    (frozenset({"commission", "orderId"}), translate.trade),
    (frozenset({"balances"}), translate.wallets),
    (frozenset({"baseAsset", "filters"}), translate.instrument),
    (frozenset({"serverTime"}), fields.server_time),
    (frozenset({"u", "s", "b", "B", "a", "A"}), fields.market_event),
)
# (fields, why an object that nothing reads carries nothing that the plugin needs)
NOTHING_IN_IT: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"method"}), "a request"),
    (frozenset({"listStatusType", "orders"}), "an order list without its orders: the orders are read by themselves"),
    (frozenset({"orderId", "clientOrderId"}), "an acknowledgement without a state: FULL replies are asked for"),
    (frozenset({"symbols", "permissions"}), "a request"),
    (frozenset({"rateLimitType"}), "rate limits as numbers"),
    (frozenset({"rateLimits"}), "rate limits as numbers"),
    (frozenset({"sors"}), "smart order routing"),
    (frozenset({"code", "msg"}), "a confirmation by a code that is no error"),
    (frozenset({"error", "id"}), "a refused subscription to a market stream, which ends in silence that is noticed"),
    (frozenset({"asset", "btcValuation"}), "another wallet"),
    (frozenset({"codes", "message_tables"}), "a table out of the documents"),
    (frozenset({"defaultSelfTradePreventionMode"}), "a part of a symbol"),
    (frozenset({"BTC/USDT"}), "a client's own form of all symbols"),
    (frozenset({"bidPrice", "askPrice"}), "a quote that was asked for: quotes come over the stream"),
    (frozenset({"price", "symbol", "time"}), "a price as the websocket API answers it: read over REST"),
    (frozenset({"isBestMatch", "isBuyerMaker"}), "public trades that were asked for: they come over the stream"),
    (frozenset({"bids", "asks"}), "books, which are not read"),
    (frozenset({"ping"}), "a heartbeat"),
)
IGNORED = frozenset({"kline", "depthUpdate", "blockTrade", "1hTicker", "24hrTicker", "24hrMiniTicker", "markPriceUpdate"})
"""Events of market streams that are not subscribed to."""
EMPTY = "an empty list or object"


def rows() -> list[Any]:
    manifest = SHARED / "MANIFEST.csv"
    if not manifest.is_file():
        return [pytest.param(None, id="absent", marks=ABSENT)]
    with manifest.open(newline="") as lines:
        files = [row for row in csv.DictReader(lines) if row["venue"] == "binance-spot"]
    return [pytest.param(row, id=row["file"].removeprefix("binance-spot/")) for row in files]


def out_of_scope(row: Mapping[str, str]) -> str:
    """Why a file is not walked; empty where it is."""
    if row["topic"] in OUT_OF_TOPIC:
        return OUT_OF_TOPIC[row["topic"]]
    name = Path(row["file"]).name
    return next((why for part, why in OUT_OF_SCOPE if part in name), "" if name.endswith(".json") else "not JSON")


def unwrap(payload: Any) -> Any:
    """Out of the envelopes of streams and of the websocket API."""
    if isinstance(payload, dict):
        for name in ("event", "data"):
            if isinstance(payload.get(name), dict):
                return unwrap(payload[name])
        if "status" in payload and "result" in payload and "orderId" not in payload:
            return unwrap(payload["result"])
    return payload


def read(payload: Any) -> Iterator[Any]:
    """Everything that one recorded payload holds, as records. Raises `LookupError` where its kind is none of ours."""
    payload = unwrap(payload)
    if isinstance(payload, list):
        for row in payload:
            yield from read(row)
        return
    if not isinstance(payload, dict):
        raise LookupError(str(payload)[:40])
    if isinstance(payload.get("symbols"), list) and payload["symbols"] and isinstance(payload["symbols"][0], dict):
        yield from read(payload["symbols"])
        return
    if "e" in payload:
        kind = payload["e"]
        if kind in EVENTS:
            yield EVENTS[kind](payload)
            return
        if kind in TOLD_BY_NAME:
            return
        raise LookupError(kind)
    reply = read_reply(400 if "error" in payload else 200, json.dumps(payload, default=str))
    if reply.code:
        yield meaning(reply)
        return
    if "cancelResponse" in payload:
        for part in (payload["cancelResponse"], payload["newOrderResponse"]):
            if part is not None and not ("orderId" in part and "status" not in part):  # acknowledged without a state
                yield from read(part)
        return
    for names, reader in SHAPES:
        if names <= payload.keys():
            yield reader(payload)
            return
    raise LookupError(sorted(payload))


@pytest.mark.parametrize("row", rows())
def test_recorded_payloads_are_read_without_loss(row: Mapping[str, str]) -> None:
    why = out_of_scope(row)
    if why:
        pytest.skip(f"out of scope: {why}")
    payload = json.loads((SHARED / row["file"]).read_text(), parse_float=Decimal)
    try:
        records = list(read(payload))
    except LookupError as error:
        unread = error
    else:
        unread = None
    if unread is not None:
        assert excuse(unwrap(payload)), f"nothing reads {unread}"
        return
    sent = {str(number) for number in _texts(payload)}
    for record in records:
        for one in record if isinstance(record, tuple) else (record,):
            if isinstance(one, Record):
                _numbers_are_as_sent(one, sent)


def excuse(payload: Any) -> str:
    """Why nothing of this payload is read; empty where there is no good reason."""
    while isinstance(payload, list) and payload:
        payload = unwrap(payload[0])
    if not isinstance(payload, dict) or not payload:
        return EMPTY
    if payload.get("e") in IGNORED:
        return "an event of a stream that is not subscribed to"
    return next((why for names, why in NOTHING_IN_IT if names <= payload.keys()), "")


COMPUTED = {"average_price", "trail_percent", "contract_size"}
"""A quotient of what was spent; hundredths of a percent in percent; one, always."""


def _numbers_are_as_sent(record: Record, sent: set[str]) -> None:
    for name in record.__struct_fields__:
        value = getattr(record, name)
        if isinstance(value, Decimal) and name not in COMPUTED:
            assert not value or str(value) in sent, (name, value)
        elif isinstance(value, Record):
            _numbers_are_as_sent(value, sent)


def _texts(payload: Any) -> Iterator[Decimal]:
    if isinstance(payload, dict):
        for value in payload.values():
            yield from _texts(value)
    elif isinstance(payload, list):
        for value in payload:
            yield from _texts(value)
    elif isinstance(payload, str | int | Decimal) and not isinstance(payload, bool):
        try:
            yield Decimal(payload)
        except ArithmeticError:
            return


def test_the_walk_meets_orders_of_every_kind() -> None:
    if not SHARED.is_dir():
        pytest.skip(f"no recorded payloads at {SHARED}")
    seen: set[tuple[str, str]] = set()
    groups = 0
    for path in sorted((SHARED / "binance-spot").glob("*/*.json")):
        try:
            records = list(read(json.loads(path.read_text(), parse_float=Decimal)))
        except (LookupError, ValueError, Unreadable):
            continue
        for record in records:
            for one in record if isinstance(record, tuple) else (record,):
                order = one if isinstance(one, Order) else getattr(one, "order", None)
                if isinstance(order, Order):
                    seen.add((str(order.terms.type), str(order.status)))
                    groups += bool(order.group)
    assert {type_ for type_, _ in seen} >= {"limit", "market", "stop-limit", "take-profit-limit"}
    assert {status for _, status in seen} >= {"new", "partially-filled", "filled", "cancelled", "expired", "rejected"}
    assert groups > 5
