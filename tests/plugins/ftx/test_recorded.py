"""Every recorded payload is translated, or is out of scope by name; what the rehearsal sends has the recorded form."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from copydesk.model import OrderType, Record, RehearsalSettings, RejectReason, Side
from copydesk_ftx import translate
from copydesk_ftx.errors import meaning, read_reply
from copydesk_ftx.rehearsal import start
from copydesk_ftx.rehearsal.recording import Recording
from copydesk_ftx.rehearsal.venue import terms_of
from copydesk_ftx.venue import Signer
from copydesk_wire.connection import Answer
from copydesk_wire.errors import Unreadable

SHARED = Path(__file__).parents[3].parent / "shared" / "venue-samples"
TOPICS = (
    "account-balance",
    "account-config",
    "algo-orders",
    "executions",
    "instruments",
    "open-orders",
    "order-amend",
    "order-cancel",
    "order-place",
    "order-updates",
    "positions",
)
NOT_OURS = {
    "cx-fetchBalance.json": "balances per coin: the account's worth is read from /account",
    "hb-balance_request_mock_response_for_base_and_quote.json": "balances per coin",
    "hb-balance_request_mock_response_only_base.json": "balances per coin",
    "hb-perp-balance_request_mock_response_for_base_and_quote.json": "balances per coin",
    "hb-perp-balance_request_mock_response_only_base.json": "balances per coin",
    "jk-GetAllAccountBalances.json": "balances per coin",
    "jk-GetBalances.json": "balances per coin",
    "hb-perp-funding_payment_mock_response.json": "funding payments",
    "cx-fetchTradingFees.json": "fees; the rest of it is an account, which is read elsewhere",
    "hb-perp-configure_successful_set_leverage.json": "an empty reply",
    "jk-ChangeAccountLeverage.json": "a request",
    "jk-CancelTriggerOrder.json": "a sentence",
    "jk-CancelOrder.json": "a sentence",
    "cx-cancelOrders.json": "a list of ids, of a request that is never made",
    "cx-cancelOrders-2.json": "a list of ids, of a request that is never made",
    "jko-CancelQuoteRequest.json": "a request for quotes of options",
    "jk-GetTriggerOrderTriggers.json": "what a trigger order became is read from its history",
    "cx-fetchMarkets-3.json": "a client's own form of a market, and the venue's inside it",
    "cx-fetchMarkets-remove-expiry.json": "a fragment",
    "cx-fetchMarkets-remove-expiry-2.json": "a fragment",
    "hb-all_symbols_including_invalid_pair_mock_response.json": "a market without its underlying, made up for a test",
    "hb-perp-all_symbols_including_invalid_pair_mock_response.json": "a market without its underlying, made up for a test",
    "hb-perp-trading_rules_request_erroneous_mock_response.json": "a market without its steps, made up for a test",
    "hb-trading_rules_request_erroneous_mock_response.json": "a market without its steps, made up for a test",
    "jk-GetAssets.json": "coins",
}
SHAPES: tuple[tuple[frozenset[str], Callable[[Any], Record]], ...] = (
    (frozenset({"feeRate", "orderId"}), translate.fill),
    (frozenset({"fee", "orderId", "tradeId"}), translate.fill),
    (frozenset({"triggerPrice", "type"}), translate.trigger_order),
    (frozenset({"id", "market", "side", "size", "type", "status"}), translate.order),
    (frozenset({"netSize"}), translate.position),
    (frozenset({"totalAccountValue"}), translate.balance),
    (frozenset({"sizeIncrement", "name", "type"}), translate.instrument),
)


def samples() -> list[tuple[str, str]]:
    if not SHARED.exists():
        return []
    with (SHARED / "MANIFEST.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["venue"] == "ftx" and row["topic"] in TOPICS]
    return [(row["topic"], row["file"]) for row in rows if row["file"].endswith(".json")]


def objects(body: Any) -> Iterator[dict[str, Any]]:
    if isinstance(body, dict):
        yield body
        for value in body.values():
            yield from objects(value)
    elif isinstance(body, list):
        for value in body:
            yield from objects(value)


needs_samples = pytest.mark.skipif(not SHARED.exists(), reason="the recorded payloads are not beside this checkout")


@needs_samples
@pytest.mark.parametrize(("topic", "file"), samples())
def test_a_recorded_payload_is_read(topic: str, file: str) -> None:
    body = json.loads((SHARED / file).read_text(), parse_float=Decimal)
    read = []
    for one in objects(body):
        for shape, reader in SHAPES:
            if shape <= one.keys():
                try:
                    read.append((one, reader(one)))
                except Unreadable:
                    assert Path(file).name in NOT_OURS, f"{file}: {reader.__name__} cannot read it"
                break
    assert read or Path(file).name in NOT_OURS, f"{file}: nothing of it is read, and nothing says why"
    for one, record in read:
        assert_nothing_lost(one, record)


def assert_nothing_lost(one: dict[str, Any], record: Any) -> None:
    """Each number that the record has is exactly the one that was sent."""
    terms = getattr(record, "terms", None) or getattr(getattr(record, "order", None), "terms", None)
    if terms is not None:
        assert terms.quantity == Decimal(one["size"])
        assert str(terms.side) == one["side"]
        assert terms.symbol == one["market"]
        if one.get("triggerPrice") is not None and terms.type.has_trigger:
            assert terms.trigger_price == one["triggerPrice"]
        if one.get("price") is not None and terms.price is not None:
            assert terms.price == one["price"]
    elif "feeRate" in one or "tradeId" in one:
        assert (record.price, record.quantity, record.fee) == (one["price"], one["size"], one["fee"])
    elif "netSize" in one:
        assert record.quantity == Decimal(one["netSize"])


@needs_samples
@pytest.mark.parametrize("path", sorted((SHARED / "ftx" / "errors").glob("cx-err-*.json")), ids=lambda path: path.stem)
def test_each_recorded_error_means_something(path: Path) -> None:
    reply = read_reply(Answer(400, path.read_bytes()))
    assert not reply.is_fine
    assert meaning(reply) is not RejectReason.OTHER, reply.message


@needs_samples
@pytest.mark.parametrize("name", ["get-markets", "post-order"])
def test_signatures_are_the_venues(name: str) -> None:
    vector = json.loads((SHARED / "ftx" / "auth-signing" / f"{name}.json").read_text())
    parts = vector["parts"]
    signer = Signer(vector["api_key"], vector["secret"], "")
    headers = signer.headers(int(parts["ts"]), parts["method"], parts["path"], parts.get("body", ""))
    assert headers["FTX-SIGN"] == vector["signature"]


@needs_samples
def test_the_websockets_login_is_the_venues() -> None:
    vector = json.loads((SHARED / "ftx" / "auth-signing" / "ws-login.json").read_text())
    frame = Signer(vector["api_key"], vector["secret"], "").login(vector["parts"]["time"])
    assert frame["args"]["sign"] == vector["signature"]


@needs_samples
@pytest.mark.parametrize("path", sorted((SHARED / "ftx" / "replay-market-data").glob("*")), ids=lambda path: path.name)
def test_recordings_of_the_market_are_replayed(path: Path) -> None:
    recording = Recording(path)
    assert recording.instruments
    assert len(recording.events) > 500
    for instrument in recording.instruments:
        assert recording.snapshots[instrument.symbol].bids


# --- what the rehearsal sends -----------------------------------------------------------------------------------------


def form(payload: dict[str, Any]) -> dict[str, str]:
    """The kind of JSON value of each field. A number with a point is none without; null fits anything."""
    return {name: type(value).__name__ for name, value in payload.items()}


def assert_same_form(sent: dict[str, Any], recorded: dict[str, Any]) -> None:
    ours, theirs = form(sent), form(recorded)
    assert theirs.keys() <= ours.keys(), theirs.keys() - ours.keys()
    for name, kind in theirs.items():
        if name in ours and "NoneType" not in (kind, ours[name]):
            assert ours[name] == kind, f"{name}: {ours[name]} where FTX sent {kind}"


def recorded(name: str) -> dict[str, Any]:
    body = json.loads((SHARED / "ftx" / name).read_text())
    found = body.get("data", body.get("result", body))
    return found[0] if isinstance(found, list) else found


@needs_samples
async def test_what_the_rehearsal_sends_has_the_recorded_form() -> None:
    rehearsal = await start(RehearsalSettings(kind="ftx", accounts={"main": Decimal(100_000)}, speed=Decimal(0)))
    told: dict[str, list[dict[str, Any]]] = {"orders": [], "fills": []}
    venue, account = rehearsal.venue, rehearsal.venue.accounts["main"]
    venue.told = lambda name, channel, payload: told[channel].append(payload)
    try:
        btc = venue.instrument("BTC-PERP")
        limit = terms_of(btc, Side.BUY, OrderType.LIMIT, Decimal(1), price=Decimal(50_000))
        reply = venue.place(account, limit, "named")
        venue.place(account, terms_of(btc, Side.BUY, OrderType.MARKET, Decimal(1)), "")
        trailing = terms_of(btc, Side.SELL, OrderType.TRAILING_STOP, Decimal(1), trail_percent=Decimal(1))
        details = {"trailValue": -600.0, "trailStart": 60_000.0, "triggerPrice": 59_400.0, "retryUntilFilled": True}
        trigger = venue.place_trigger(account, trailing, details)
        position, info = venue.positions(account)[0], venue.info(account)
    finally:
        await rehearsal.stop()
    for name in ("ft-order-limit-new-ADA", "ft-order-limit-ioc-closed-unfilled"):
        for sent in told["orders"]:
            assert_same_form(sent, recorded(f"order-updates/{name}.json"))
    for name in ("ft-fill-perp-taker", "ft-fill-spot-taker"):
        for sent in told["fills"]:
            assert_same_form(sent, recorded(f"executions/{name}.json"))
    assert_same_form(trigger, recorded("algo-orders/nt-trailing_stop.json"))
    assert_same_form(info, recorded("account-config/nt-account_info.json"))
    # Typed by hand, with 1 for 1.0: only the names of the fields can be trusted.
    assert recorded("open-orders/jk-GetOrders.json").keys() <= reply.keys()
    assert recorded("positions/jk-GetPositions.json").keys() <= position.keys()
