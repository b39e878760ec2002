"""Every recorded payload is translated, or is out of scope by name; what the rehearsal sends has the recorded form."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from copydesk.model import OrderStatus, RehearsalSettings, RejectReason
from copydesk_bitmex import translate
from copydesk_bitmex.errors import meaning, read_reply
from copydesk_bitmex.rehearsal import start
from copydesk_bitmex.rehearsal.description import DEFINITIONS
from copydesk_bitmex.rehearsal.recording import Recording
from copydesk_bitmex.rehearsal.rest import ROUTES, instrument_row
from copydesk_bitmex.venue import Signer
from copydesk_wire.connection import Answer
from copydesk_wire.errors import Unreadable

SHARED = Path(__file__).parents[3].parent / "shared" / "venue-samples"
TOPICS = (
    "account-balance",
    "algo-orders",
    "balance-updates",
    "executions",
    "instruments",
    "open-orders",
    "order-amend",
    "order-cancel",
    "order-place",
    "order-updates",
    "position-updates",
    "positions",
)
INVENTED = "a documentation's placeholders ('string', 0), or made up for a test"
NOT_OURS = {
    "partial rows": "an update's part of a row: it is joined to the whole row before it is read",
    "requests": "a request of another client",
    "others": "a ledger, an asset, an interval, a wallet's address, a spread, an index, spot, options, quanto",
}
SHAPES: tuple[tuple[frozenset[str], Callable[[Any], Any]], ...] = (
    (frozenset({"execID", "execType", "symbol"}), translate.fill),
    (frozenset({"orderID", "ordStatus", "ordType", "side", "symbol", "orderQty"}), translate.order),
    (frozenset({"currentQty", "symbol"}), translate.position),
    (frozenset({"currency", "marginBalance", "walletBalance"}), translate.margin),
    (frozenset({"lotSize", "tickSize", "symbol", "typ"}), translate.instrument),
)
needs_samples = pytest.mark.skipif(not SHARED.exists(), reason="the recorded payloads are not beside this checkout")


def samples() -> list[str]:
    if not SHARED.exists():
        return []
    with (SHARED / "MANIFEST.csv").open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["venue"] == "bitmex" and row["topic"] in TOPICS]
    return [row["file"] for row in rows if row["file"].endswith(".json")]


def objects(body: Any) -> Iterator[dict[str, Any]]:
    """All objects; of a table's frame its data alone, not the description of its columns."""
    if isinstance(body, dict) and "table" in body:
        yield from objects(body.get("data", []))
    elif isinstance(body, dict):
        yield body
        for value in body.values():
            yield from objects(value)
    elif isinstance(body, list):
        for value in body:
            yield from objects(value)


def reader_of(one: dict[str, Any]) -> Callable[[Any], Any] | None:
    return next((reader for shape, reader in SHAPES if shape <= one.keys()), None)


def why_not(one: dict[str, Any], file: str) -> str:
    """Why an object of a sample is not read; empty where nothing excuses it."""
    if "string" in one.values() or one.get("ordStatus") == "new" or Path(file).name.startswith(("hb-", "ntrs-", "jk-")):
        return INVENTED
    if "request" in file or one.get("text") == "CCXT":
        return NOT_OURS["requests"]
    odd = str(one.get("typ", "")) not in translate.KINDS or one.get("isQuanto") is True
    if "lotSize" in one and (odd or one.get("settlCurrency") not in translate.UNITS):
        return NOT_OURS["others"]
    return ""


@needs_samples
@pytest.mark.parametrize("file", samples())
def test_a_recorded_payload_is_read(file: str) -> None:
    body = json.loads((SHARED / file).read_text(), parse_float=Decimal)
    for one in objects(body):
        reader = reader_of(one)
        if reader is None:
            continue
        excuse = why_not(one, file)
        with suppress(*((Unreadable,) if excuse else ())):
            assert_nothing_lost(one, reader(one))


def assert_nothing_lost(one: dict[str, Any], record: Any) -> None:
    """Each number that the record has is exactly the one that was sent."""
    terms = getattr(record, "terms", None)
    if terms is not None:
        assert terms.quantity == Decimal(one["orderQty"] or 0)
        assert record.filled == Decimal(one.get("cumQty") or 0)
        assert (record.venue_id, record.client_id) == (one["orderID"], one.get("clOrdID") or "")
        if terms.price is not None:
            assert terms.price == Decimal(one["price"])
    elif record is not None and "lastPx" in one:
        assert (record.price, record.quantity) == (Decimal(one["lastPx"]), Decimal(one["lastQty"]))
        if one["settlCurrency"] == "XBt":
            assert record.fee * 100_000_000 == one.get("execComm", 0)
    elif "currentQty" in one and not hasattr(record, "asset"):
        assert record.quantity == Decimal(one["currentQty"])


@needs_samples
@pytest.mark.parametrize("path", sorted((SHARED / "bitmex" / "order-updates").glob("*.json")), ids=lambda path: path.name)
def test_orders_of_the_stream_are_read_whole(path: Path) -> None:
    """Those that are whole rows; a part of a row alone is not read as an order."""
    frame = json.loads(path.read_text(), parse_float=Decimal)
    data = frame.get("data", []) if isinstance(frame, dict) else []
    for row in data if isinstance(data, list) else []:
        whole = {"ordType", "side", "orderQty"} <= row.keys()
        if whole and not why_not(row, path.name):
            assert translate.order(row).status in OrderStatus
        elif not whole:
            with pytest.raises(Unreadable):
                translate.order(row)


@needs_samples
def test_sentences_of_recorded_errors_mean_something() -> None:
    rejected = json.loads((SHARED / "bitmex" / "errors" / "ordStatus-Rejected-text.json").read_text())
    sentences = [rejected["text"], "Invalid API Key.", "Account is restricted", "order not found", "orderQty is required"]
    for sentence in sentences:
        reply = read_reply(Answer(400, json.dumps({"error": {"message": sentence, "name": "HTTPError"}}).encode()))
        assert meaning(reply) is not RejectReason.OTHER, sentence


@needs_samples
@pytest.mark.parametrize("name", ["get", "get-with-query", "post-order"])
def test_signatures_are_the_venues(name: str) -> None:
    vector = json.loads((SHARED / "bitmex" / "auth-signing" / f"{name}.json").read_text())
    parts = vector["parts"]
    signer = Signer(vector.get("api_key", "k"), vector["secret"])
    text = vector["string_to_sign"]
    method = parts.get("verb") or parts.get("method")
    body = parts.get("body") or parts.get("data") or ""
    expires = int(parts["expires"])
    target = text.removeprefix(method).partition(str(expires))[0]
    assert signer.headers(expires, method, target, body)["api-signature"] == vector["signature"]


@needs_samples
def test_the_recording_of_the_market_is_replayed() -> None:
    recording = Recording(SHARED / "bitmex" / "replay-market-data" / "cf-BITMEX.ws.1.0.gz")
    assert "XBTUSD" in recording.snapshots
    assert len(recording.events) > 100


# --- what the rehearsal sends -----------------------------------------------------------------------------------------


def form(payload: dict[str, Any]) -> dict[str, str]:
    """The kind of JSON value of each field; whole numbers and others are one kind, for BitMEX writes 9419 and 9419.5."""
    return {
        name: "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
        for name, value in payload.items()
    }


def assert_same_form(sent: dict[str, Any], recorded: dict[str, Any], *, leaves_out: frozenset[str]) -> None:
    ours, theirs = form(sent), form(recorded)
    assert theirs.keys() - ours.keys() <= leaves_out, theirs.keys() - ours.keys()
    for name, kind in theirs.items():
        if name in ours and "NoneType" not in (kind, ours[name]):
            assert ours[name] == kind, f"{name}: {ours[name]} where BitMEX sent {kind}"


OF_OTHERS = frozenset(
    [
        "bankruptLimitDownPrice",
        "bankruptLimitUpPrice",
        "buyLeg",
        "calcInterval",
        "capped",
        "closingTimestamp",
        "indicativeTaxRate",
        "insuranceFee",
        "inverseLeg",
        "limitDownPrice",
        "limitUpPrice",
        "listedSettle",
        "openingTimestamp",
        "optionMultiplier",
        "optionStrikePcnt",
        "optionStrikePrice",
        "optionStrikeRound",
        "optionUnderlyingPrice",
        "prevTotalVolume",
        "publishInterval",
        "publishTime",
        "rebalanceInterval",
        "rebalanceTimestamp",
        "relistInterval",
        "sellLeg",
        "sessionInterval",
        "settledPrice",
        "settledPriceAdjustmentRate",
    ]
)
"""Fields of 2021 that are gone, or are of spreads, options, indices and dated contracts."""
GONE = frozenset(
    {
        "simpleOrderQty",
        "simpleLeavesQty",
        "simpleCumQty",
        "exDestination",
        "multiLegReportingType",
        "underlyingLastPx",
        "lastMkt",
    }
)
"""Fields of 2020 that the swagger of the venue's last days does not have any more."""


@needs_samples
async def test_what_the_rehearsal_sends_has_the_recorded_form() -> None:
    rehearsal = await start(RehearsalSettings(kind="bitmex", accounts={"main": Decimal(100_000)}, speed=Decimal(0)))
    told: list[tuple[str, str, dict[str, Any]]] = []
    venue, account = rehearsal.venue, rehearsal.venue.accounts["main"]
    venue.told = lambda owner, table, action, rows: told.extend((table, action, row) for row in rows)
    try:
        limit = {"symbol": "XBTUSD", "side": "Buy", "orderQty": 100, "price": 50_000, "ordType": "Limit"}
        reply = venue.place(account, limit)
        venue.place(account, {"symbol": "XBTUSD", "side": "Buy", "orderQty": 100, "ordType": "Market"})
        (position,) = venue.positions(account)
        margins = venue.margins(account)
        instrument = instrument_row(venue, "XBTUSD")
    finally:
        await rehearsal.stop()
    folder = SHARED / "bitmex"
    recorded = json.loads((folder / "order-updates" / "bmxoff-order-insert-orderEmptyPartial.json").read_text())["data"][0]
    for table, action, row in told:
        if table == "order" and action == "insert":
            assert_same_form(row, recorded, leaves_out=GONE)
    traded = json.loads((folder / "executions" / "ft-execution-insert-trade-filled-market.json").read_text())["data"][0]
    trades = [row for table, _, row in told if table == "execution" and row["execType"] == "Trade"]
    assert trades
    assert_same_form(trades[0], traded, leaves_out=GONE)
    assert_same_form(
        reply, json.loads((folder / "order-place" / "ft-rest-limit-postonly-new.json").read_text()), leaves_out=GONE
    )
    listed = json.loads((folder / "instruments" / "cf-full-www.bitmex.com_api_v1_instrument_active.json").read_text())
    assert_same_form(instrument, next(row for row in listed if row["symbol"] == "XBTUSD"), leaves_out=OF_OTHERS)
    sent = {"Order": reply, "Execution": trades[0], "Position": position, "Margin": margins[0], "Instrument": instrument}
    for name, row in sent.items():
        assert row.keys() == {field for names in DEFINITIONS[name].values() for field in names.split()}, name


@needs_samples
async def test_the_description_is_the_published_one_of_what_is_routed() -> None:
    """Each call under the published name, with published parameters, results and fields, each of its published type."""
    published = json.loads((SHARED / "specs" / "bitmex" / "swagger.json").read_text())
    rehearsal = await start(RehearsalSettings(kind="bitmex", accounts={"main": Decimal(1)}, speed=Decimal(0)))
    url = rehearsal.ready.urls["rest"]
    try:
        async with aiohttp.ClientSession() as http, http.get(f"{url}/api/explorer/swagger.json") as answer:
            ours = await answer.json()
    finally:
        await rehearsal.stop()
    assert f"http://{ours['host']}{ours['basePath']}" == f"{url}{published['basePath']}"
    routed = {(method.lower(), path) for method, path in ROUTES if path}
    assert {(method, path) for path, one in ours["paths"].items() for method in one} == routed
    for method, path in routed:
        assert_published(ours["paths"][path][method], published["paths"][path][method])
    for name, definition in ours["definitions"].items():
        fields = published["definitions"][name]["properties"]
        for field, schema in definition["properties"].items():
            wanted = {part: fields[field].get(part) for part in ("type", "format")}
            assert {part: schema.get(part) for part in ("type", "format")} == wanted, (name, field)


def assert_published(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    """The operation is the published one, perhaps with fewer parameters."""
    assert [ours[part] for part in ("tags", "operationId")] == [theirs[part] for part in ("tags", "operationId")]
    assert ("security" in ours) == ("security" in theirs), "signed as the published one is"
    known = {one["name"]: one for one in theirs["parameters"]}
    for parameter in ours["parameters"]:
        assert parameter.items() <= known[parameter["name"]].items(), ours["operationId"]
    result = ours["responses"]["200"]["schema"]
    if "x-any" not in str(result) and result != {"type": "object"}:
        assert result.items() <= theirs["responses"]["200"]["schema"].items(), ours["operationId"]
