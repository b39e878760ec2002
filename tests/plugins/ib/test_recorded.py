"""Every recorded message of the real TWS is decoded and translated, or is out of scope by name."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from copydesk.model import OrderStatus, OrderType, RejectReason, Side, Terms, TimeInForce
from copydesk_ib import charts, contracts, errors, library, translate
from copydesk_ib.book import Book, completed_ms
from copydesk_ib.purses import TAGS, Purse

SHARED = Path(__file__).parents[3].parent / "shared" / "venue-samples"
VERSIONS = (173, 178, 177, 176, 170, 166, 164, 163, 162, 160, 159, 157)
NOT_READ = {
    "2": "sizes beside prices",
    "6": "account values come by accountUpdateMulti, of several accounts at once",
    "7": "portfolio values: of one account at a time",
    "8": "the time of account values",
    "12": "the book",
    "13": "the book with its makers",
    "45": "generic ticks",
    "50": "five-second bars",
    "54": "the end of account values of one account",
    "63": "account summaries: every three minutes only",
    "64": "their end",
    "71": "positions of one account: the libraries' classes pass over them, and reqPositions has all",
    "72": "their end",
    "78": "family codes",
    "79": "symbol search",
    "88": "the earliest bar",
    "90": "bars that go on: a chart is read again",
    "94": "profit and loss",
    "95": "profit and loss of one contract",
    "99": "tick by tick",
    "173": "the handshake: a version and a time, without a message number",
}
MADE_UP = {
    "ibrs-CONTRACT_DATA-contract_details_test_cases-2.json": "made up by a test: fields are missing",
    "ibrs-CONTRACT_DATA-contract_details_test_cases-3.json": "made up by a test: fields are missing",
    "ibrs-CONTRACT_DATA-contract_details_errors_test_cases.json": "made up by a test: fields are missing",
    "ibrs-TICK_PRICE-test_decode_tick_price_basic.json": "made up by a test, without the size",
    "ibrs-POSITION_DATA-test_decode_position_multi.json": "a position for one request, under the other's number",
    "ibrs-POSITION_DATA-test_decode_position_v1_message.json": "of a version before 157",
    "ibrs-POSITION_DATA-test_decode_position_v2_message.json": "of a version before 157",
    "ibrs-NEXT_VALID_ID-setup_next_valid_order_id.json": "a pattern that a test fills in",
    "ibrs-CURRENT_TIME-test_server_time.json": "a pattern that a test fills in",
    "ibrs-CURRENT_TIME-test_server_time-3.json": "made up by a test: no time",
    "ibrs-CONTRACT_DATA-request_bond_contract_details.json": "made up by a test: details of a bond under a stock's number",
    "ibrs-COMPLETED_ORDERS_END-test_order_message_routing.json": "made up by a test, with a version",
}


class Recorder:
    """A wrapper that writes down what the decoder calls."""

    ib = type("Zone", (), {"TimezoneTWS": "UTC"})
    defaultTimezone = __import__("datetime").UTC  # noqa: N815

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self.failures: list[Exception] = []

    def __getattr__(self, name: str) -> Any:
        return lambda *values: self.calls.append((name, values))

    def unreadable(self, message: list[str], error: Exception) -> None:
        self.failures.append(error)


def samples(*numbers: str) -> list[Any]:
    """The recorded messages of TWS with one of these numbers (all: none given), each with its name."""
    if not SHARED.exists():
        return []
    found: list[Any] = []
    with (SHARED / "MANIFEST.csv").open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["venue"] != "ib" or not row["file"].endswith(".json"):
                continue
            told = json.loads((SHARED / row["file"]).read_text(encoding="utf-8"))
            path = Path(row["file"])
            wanted = [fields for fields in _messages(told) if not numbers or fields[0] in numbers]
            found += [pytest.param(path.name, fields, id=path.stem) for fields in wanted]
    return found


def _messages(told: Any) -> Iterator[list[str]]:
    if isinstance(told, dict) and told.get("direction") == "server->client":
        yield [str(field) for field in told["fields"]]
    elif isinstance(told, dict) and "responses" in told:
        for response in told["responses"]:
            yield response["raw"].split("|")[:-1]


def decode(name: str, fields: list[str]) -> list[tuple[str, tuple[Any, ...]]]:
    """What the decoder calls for a message, at the first version at which it can be read."""
    if name in MADE_UP:
        pytest.skip(MADE_UP[name])
    for version in VERSIONS:
        recorder = Recorder()
        decoder = library.load().client(recorder).decoder
        decoder.serverVersion = version
        decoder.interpret(list(fields))
        if not recorder.failures:
            return recorder.calls
    raise AssertionError(f"{name} cannot be read at any version: {recorder.failures}")


NUMBERS = ("totalQuantity", "lmtPrice", "auxPrice", "trailStopPrice", "trailingPercent", "lmtPriceOffset", "filledQuantity")
NUMBERS_OF_EXECUTIONS = ("shares", "price", "cumQty", "avgPrice")


def inexact(record: Any) -> list[str]:
    names = [name for name in (*NUMBERS, *NUMBERS_OF_EXECUTIONS, "strike") if hasattr(record, name)]
    return [name for name in names if isinstance(getattr(record, name), float) and getattr(record, name) < 1e300]


@pytest.mark.skipif(not SHARED.exists(), reason=f"no recordings at {SHARED}")
@pytest.mark.parametrize(("name", "fields"), samples())
def test_every_message_is_read_or_out_of_scope_by_name(name: str, fields: list[str]) -> None:
    if fields[0] in NOT_READ:
        assert fields[0] not in library.WANTED
        pytest.skip(f"not read: {NOT_READ[fields[0]]}")
    assert fields[0] in library.WANTED, f"message {fields[0]} is neither read nor out of scope by name"
    assert decode(name, fields)


@pytest.mark.parametrize(("name", "fields"), samples("5"))
def test_open_orders_are_translated(name: str, fields: list[str]) -> None:
    ((called, (_, contract, order, state)),) = decode(name, fields)
    assert called == "openOrder"
    assert not [*inexact(order), *inexact(contract)]
    listed = contracts.guess(contract)
    known = Book().open_order(order, contract, state, listed, 1)
    if order.orderType in translate.NO_ORDERS:
        assert known is None
        return
    assert known is not None
    told = known.state()
    assert told.venue_id == fields[25] == str(order.permId)
    assert told.account == fields[20]
    assert told.client_id == fields[23]
    assert (told.terms.side, told.terms.quantity) == (Side[fields[13]], Decimal(fields[14]))
    assert told.terms.type is {**translate.TYPES, **translate.VARIANTS}[fields[15]]
    assert told.terms.price == (Decimal(fields[16]) if told.terms.type.has_price else None)
    assert told.status in (OrderStatus.NEW, OrderStatus.CANCELLED)
    assert ("tif=DAY" in told.terms.native) == (fields[18] == "DAY")
    assert told.terms.symbol == f"{fields[11]}:{fields[4]}:{fields[9]}:{fields[10]}"


@pytest.mark.parametrize(("name", "fields"), samples("101"))
def test_completed_orders_are_translated(name: str, fields: list[str]) -> None:
    ((called, (contract, order, state)),) = decode(name, fields)
    assert called == "completedOrder"
    known = Book().completed(order, contract, state, contracts.guess(contract), 1)
    assert known is not None
    told = known.state()
    assert told.venue_id == fields[23]
    assert told.terms.side is Side[fields[12]]
    assert told.terms.quantity > 0
    assert told.status is {"Cancelled": OrderStatus.CANCELLED, "Filled": OrderStatus.FILLED}[state.status]
    assert told.reason
    assert known.updated_ms == completed_ms(state.completedTime) > 1_600_000_000_000


@pytest.mark.parametrize(("name", "fields"), samples("3"))
def test_order_statuses_are_read(name: str, fields: list[str]) -> None:
    ((called, values),) = decode(name, fields)
    assert called == "orderStatus"
    number, word, filled, remaining, *_ = values
    assert (number, word) == (int(fields[1]), fields[2])
    assert (filled, remaining) == (Decimal(fields[3]), Decimal(fields[4]))
    assert word in WORKING | translate.ENDED
    told = translate.status(word, filled, filled + remaining, refused=False)
    assert told.is_final == (word in translate.ENDED)


@pytest.mark.parametrize(("name", "fields"), samples("11"))
def test_executions_are_translated(name: str, fields: list[str]) -> None:
    ((called, (_, contract, execution)),) = decode(name, fields)
    assert called == "execDetails"
    assert not inexact(execution)
    found = translate.execution(execution, contracts.guess(contract))
    fill = found.fill
    assert execution.execId == f"{fill.execution_id}.{found.revision:02d}"
    assert (fill.venue_id, fill.account) == (fields[21], fields[16])
    assert fill.side is {"BOT": Side.BUY, "SLD": Side.SELL}[fields[18]]
    assert (fill.quantity, fill.price) == (Decimal(fields[19]), Decimal(fields[20]))
    assert fill.time_ms > 1_500_000_000_000


@pytest.mark.parametrize(("name", "fields"), samples("59"))
def test_commissions_are_exact(name: str, fields: list[str]) -> None:
    assert decode(name, fields) == [("commission", (fields[2], Decimal(fields[3]), fields[4]))]


@pytest.mark.parametrize(("name", "fields"), samples("61"))
def test_positions_are_exact(name: str, fields: list[str]) -> None:
    ((called, (account, contract, quantity, cost)),) = decode(name, fields)
    assert (called, account, contract.conId) == ("position", fields[2], int(fields[3]))
    assert (quantity, cost) == (Decimal(fields[14]), Decimal(fields[15]))
    assert not inexact(contract)


@pytest.mark.parametrize(("name", "fields"), samples("73"))
def test_account_values_make_a_purse(name: str, fields: list[str]) -> None:
    ((called, (_, account, _, tag, value, currency)),) = decode(name, fields)
    assert called == "accountUpdateMulti"
    assert Purse(account).take((account, tag, value, currency)) == (tag in TAGS)


@pytest.mark.parametrize(("name", "fields"), samples("10"))
def test_contracts_become_instruments(name: str, fields: list[str]) -> None:
    ((called, (_, details)),) = decode(name, fields)
    assert called == "contractDetails"
    listed = contracts.listing(details)
    made = contracts.instrument(listed)
    assert made.price_tick > 0
    assert made.quantity_step > 0
    assert made.contract_size == Decimal(details.contract.multiplier or 1) / max(1, details.priceMagnifier)
    wanted = contracts.read_symbol(made.symbol)
    assert wanted is not None
    parts = (listed.local, listed.security, listed.exchange, listed.currency)
    assert (wanted.local, wanted.security, wanted.exchange, wanted.currency) == parts


@pytest.mark.parametrize(("name", "fields"), samples("17"))
def test_bars_become_candles(name: str, fields: list[str]) -> None:
    ((called, (_, rows)),) = decode(name, fields)
    assert (called, len(rows)) == ("bars", int(fields[4]))
    for row in rows:
        if row[0].isdigit():  # asked for as seconds since the epoch; some recordings asked otherwise
            bar = charts.candle(row)
            assert bar.low <= bar.open <= bar.high
            assert bar.open_ms > 1_500_000_000_000


@pytest.mark.parametrize(("name", "fields"), samples("4"))
def test_errors_have_a_meaning(name: str, fields: list[str]) -> None:
    ((called, (_, code, sentence, _)),) = decode(name, fields)
    assert (called, code, sentence) == ("error", int(fields[3]), fields[4])
    if code in errors.NOTICES:
        assert not errors.is_death(code)
    else:
        assert errors.refusal(code, sentence, "x").code == str(code)


@pytest.mark.skipif(not SHARED.exists(), reason=f"no recordings at {SHARED}")
def test_codes_that_users_met_have_a_reason() -> None:
    seen = json.loads((SHARED / "ib" / "errors" / "ft-observed-error-codes.json").read_text(encoding="utf-8"))
    assert seen
    for one in seen:
        code, sentence = int(one["code"]), one["message"]
        known = errors.is_death(code) or code in errors.NOTICES
        assert known, f"{code}: {sentence} is not in the table"
        if "margin" in sentence:
            assert errors.reason(code, sentence) is RejectReason.MARGIN


WORKING = {"ApiPending", "PendingSubmit", "PreSubmitted", "Submitted", "PendingCancel", "Inactive"}
RECORDED_ORDER = ("encode_limit_order", "submit_order")


@pytest.mark.skipif(not SHARED.exists(), reason=f"no recordings at {SHARED}")
@pytest.mark.parametrize("part", RECORDED_ORDER)
async def test_an_order_is_written_as_the_recorded_clients_wrote_it(part: str) -> None:
    """The fields of placeOrder up to `hidden`, of a client that nobody here wrote. The library wants an event loop."""
    for path in sorted((SHARED / "ib" / "order-place").glob(f"*{part}*.json")):
        told = json.loads(path.read_text(encoding="utf-8"))["fields"]
        sent = written(
            Terms(
                symbol="x",
                side=Side[told[16]],
                type={v: k for k, v in translate._NAMES.items()}[told[18]],
                quantity=Decimal(told[17]),
                price=Decimal(told[19]) if told[19] else None,
                time_in_force=translate.TIMES.get(told[21], TimeInForce.GTC),
                native=f"tif={told[21]}" if told[21] and told[21] not in translate.TIMES else "",
            )
        )
        assert (sent[16], sent[18]) == (told[16], told[18]), path.name
        assert sent[21] == (told[21] or "GTC"), f"{path.name}: a time in force is always said"
        assert Decimal(sent[17]) == Decimal(told[17]), path.name
        assert sent[19] == "" or Decimal(sent[19]) == Decimal(told[19]), path.name
        assert [sent[at] for at in range(27, 36)] == [told[at] for at in range(27, 36)], path.name


def written(terms: Terms, **more: Any) -> list[str]:
    """The fields of the placeOrder that the plugin sends."""
    made = library.load()
    client = made.client(Recorder())
    client.connState, client._serverVersion = client.CONNECTED, 173
    sent: list[str] = []
    client.conn.sendMsg = lambda message: sent.extend(message[4:].decode().split("\0")[:-1])
    order = translate.order(made, terms, account="DU1", reference="r", **more)
    client.placeOrder(5, made.contract(conId=1, secType="STK", exchange="SMART"), order)
    return sent


@pytest.mark.parametrize("type_", list(OrderType), ids=str)
def test_terms_come_back_as_they_were_sent(type_: OrderType) -> None:
    prices = {"price": Decimal("1.05")} if type_.has_price else {}
    triggers = {"trigger_price": Decimal("0.95")} if type_.has_trigger else {}
    trail = {"trail_percent": Decimal("1.5")} if type_ is OrderType.TRAILING_STOP else {}
    listed = contracts.Listing(number=1, underlying="A", security="STK", exchange="SMART", currency="USD", local="A")
    terms = Terms(
        symbol=listed.symbol, side=Side.SELL, type=type_, quantity=Decimal("0.0003"), **prices, **triggers, **trail
    )
    sent = translate.order(library.load(), terms, account="DU1", reference="r")
    for name, value in vars(sent).items():
        if isinstance(value, str) and name in ("totalQuantity", "lmtPrice", "auxPrice", "trailingPercent"):
            setattr(sent, name, Decimal(value))
        elif isinstance(value, float) and value > 1e300:
            setattr(sent, name, None)
    assert translate.terms(sent, listed, "SMART") == terms
