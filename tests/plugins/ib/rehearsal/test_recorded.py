"""What the rehearsal TWS sends has the form of recorded messages of the real one: field by field, by server version."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from copydesk.errors import UsageError
from copydesk_ib.rehearsal.layout import Layout, read
from copydesk_ib.rehearsal.messages import MESSAGES
from copydesk_ib.rehearsal.recording import NAME, Recording
from copydesk_ib.rehearsal.requests import REQUESTS
from copydesk_ib.rehearsal.wire import Fields, WireError
from copydesk_paper.records import MarketTrade

from .conftest import PARENT, Connect, Launch, WireClient

SAMPLES = Path(__file__).parents[4].parent / "shared" / "venue-samples" / "ib"
VERSIONS = (157, *range(159, 179))
NOT_OURS = {
    "ibrs-ACCOUNT_SUMMARY_END-test_positions.json": "cut off by a test",
    "ibrs-ACCT_DOWNLOAD_END-client_method_test_cases-2.json": "a portfolio value under another message's number",
    "ibrs-ACCT_DOWNLOAD_END-client_method_test_cases.json": "a portfolio value under another message's number",
    "ibrs-ACCT_DOWNLOAD_END-test_calculate_option_price.json": "cut off by a test",
    "ibrs-ACCT_VALUE-ACCOUNT_VALUE.json": "of a version before 157, without the account",
    "ibrs-PNL-test_decode_account_summary.json": "an account summary under another message's number",
    "ibrs-REQ_ACCT_DATA-test_account_updates.json": "cut off by a test",
    "ibrs-REQ_PNL-test_pnl_different_model_codes.json": "cut off by a test",
    "ibrs-HANDSHAKE-test_bus_send_order_request.json": "the handshake has no message number",
    "ibrs-HANDSHAKE-test_connection_establish_connection.json": "the handshake has no message number",
    "ibrs-START_API-handle_startup-2.json": "a test's own form",
    "ibrs-CURRENT_TIME-test_server_time-2.json": "cut off by a test",
    "ibrs-REQ_CURRENT_TIME-server_time_test_cases-2.json": "an answer under the request's name",
    "ibrs-REQ_CURRENT_TIME-server_time_test_cases-3.json": "an answer under the request's name",
    "ibrs-REQ_CURRENT_TIME-server_time_test_cases-4.json": "an answer under the request's name",
    "ibrs-REQ_CURRENT_TIME-server_time_test_cases-5.json": "an answer under the request's name",
    "ibrs-HISTORICAL_DATA_UPDATE-test_decode_historical_data_update.json": "made up: a field more than clients read",
    "ibrs-HISTORICAL_DATA_UPDATE-test_historical_data_streaming_with_updates.json": "made up: a field too many",
    "ibrs-MARKET_DEPTH_L2-test_decode_market_depth_l2_version_handling.json": "of a version before 157",
    "ibrs-TICK_PRICE-test_decode_tick_price_basic.json": "made up, without the size",
    "ibrs-COMPLETED_ORDERS_END-test_order_message_routing.json": "made up, with a version that clients do not read",
    "ibrs-CANCEL_ORDER-cancel_order_cme_tagging.json": "of server version 192",
    "ibrs-PORTFOLIO_VALUE-setup_account_updates.json": "of a version before 157",
    "ibrs-POSITION_DATA-test_decode_position_multi.json": "a position for one request, under the other's number",
    "ibrs-POSITION_DATA-test_decode_position_v1_message.json": "of a version before 157",
    "ibrs-POSITION_DATA-test_decode_position_v2_message.json": "of a version before 157",
    "ibrs-POSITION_END-POSITION_END.json": "with an account that clients do not read",
    "ibrs-POSITION_END-test_account_summary.json": "a request under an answer's number",
    "ibrs-POSITION_MULTI_END-POSITION_MULTI_END.json": "without its request",
    "ibrs-REQ_POSITIONS_MULTI-test_positions_multi_with_various_parameters.json": "cut off by a test",
}
NOT_A_LISTING = re.compile("bond|test_cases-[23]|setup_contract_details|errors")
"""Details of bonds, which are not rehearsed, and some that were made up."""
NUMBERS = re.compile(r"-?\d+"), re.compile(r"-?\d+\.\d+(E\d+)?")


def _samples() -> list[Path]:
    return sorted(SAMPLES.glob("*/ibrs-*.json")) if SAMPLES.is_dir() else []


pytestmark = pytest.mark.skipif(not _samples(), reason="the recorded payloads of shared/venue-samples/ib are not there")


def _layouts(told: dict[str, Any]) -> list[Layout]:
    number = int(told["fields"][0])
    if told["direction"] == "client->server":
        return [REQUESTS[number][1]] if number in REQUESTS else []
    return [layout for other, layout in MESSAGES.values() if other == number]


def _readings(told: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    """By which server versions the message reads to its end. Some were kept with an empty field behind their last one."""
    fields = told["fields"][1:]
    for kept in (fields, fields[:-1] if fields and not fields[-1] else None):
        for layout in _layouts(told) if kept is not None else ():
            for version in VERSIONS:
                rest = Fields(kept)
                try:
                    reading = read(layout, rest, version)
                except (WireError, KeyError):
                    continue
                if not rest.left:
                    yield version, reading


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in _samples() if "sessions" not in path.parts])
def test_every_recorded_message_reads_to_its_end(path: Path) -> None:
    told = json.loads(path.read_text())
    if path.name in NOT_OURS or (told["msg_id"] == 10 and NOT_A_LISTING.search(path.stem)):
        pytest.skip(NOT_OURS.get(path.name, "a bond, or made up"))
    assert list(_readings(told)), f"{told['raw']} reads to its end at no version"


def load(topic: str, name: str, version: int = 173) -> dict[str, Any]:
    """A recorded message, read at a server version."""
    told = json.loads((SAMPLES / topic / f"ibrs-{name}.json").read_text())
    return next(reading for at, reading in _readings(told) if at == version)


def form(text: str) -> str:
    """What sort of value a field has: nothing, a whole number, a number with a point, a name."""
    if not text:
        return "nothing"
    return next(
        (sort for sort, pattern in zip(("whole", "point"), NUMBERS, strict=True) if pattern.fullmatch(text)), "text"
    )


def compare(ours: dict[str, Any], recorded: dict[str, Any], *, differ: str = "", free: str = "") -> None:
    """All fields are equal, but for those that `differ` in value and not in form, and those that are `free`."""
    assert list(ours) == list(recorded)
    for name, value in recorded.items():
        if name in free.split():
            continue
        if name in differ.split():
            assert form(ours[name]) == form(value), f"{name}: {ours[name]!r} has another form than {value!r}"
        else:
            assert ours[name] == value, f"{name}: {ours[name]!r} instead of {value!r}"


async def buys_apple(connect: Connect, version: int = 173) -> tuple[WireClient, list[tuple[str, dict[str, Any]]]]:
    client = await connect(100, versions=f"v157..{version}")
    client.place(order_id=5, totalQuantity="100")
    await client.until("commissionReport")
    return client, [(name, told) for name, told in await client.settled() if name != "currentTime"]


ORDER_NUMBERS = "orderId permId account sharesAllocation conId"


async def test_an_order_from_its_placing_to_its_fill(connect: Connect) -> None:
    """The session in which rust-ibapi bought 100 AAPL at server version 173."""
    _, told = await buys_apple(connect)
    names = [name for name, _ in told]
    assert names == ["openOrder", "orderStatus", "execDetails", "openOrder", "orderStatus", "openOrder", "commissionReport"]
    first, status, execution, second, end, third, commission = (fields for _, fields in told)
    topic = "order-updates"
    compare(first, load(topic, "OPEN_ORDER-test_bus_send_order_request"), differ="permId account sharesAllocation", free="")
    compare(
        status,
        load(topic, "ORDER_STATUS-PreSubmitted-setup_place_order"),
        differ="orderId permId",
    )
    compare(second, load(topic, "OPEN_ORDER-test_bus_send_order_request-2"), differ="permId account sharesAllocation")
    costs = load(topic, "OPEN_ORDER-place_order-3", 169)
    spent = "commission minCommission maxCommission commissionCurrency warningText"
    assert {name: third[name] for name in spent.split()} == {name: costs[name] for name in spent.split()}
    filled = load(topic, "ORDER_STATUS-Filled-test_bus_send_order_request")
    compare(end, filled, differ="permId averagePrice lastPrice")
    compare(
        execution,
        load("executions", "EXECUTION_DATA-test_bus_send_order_request"),
        differ="permId account price avgPrice execId time",
        free="exchange venue",
    )
    assert re.fullmatch(r"[0-9a-f]{8}\.[0-9a-f]{8}\.\d\d\.\d\d", execution["execId"])
    recorded = load("executions", "COMMISSION_REPORT-place_order")
    compare(commission, recorded, differ="execId", free="yieldDate")


async def test_a_resting_limit_order(connect: Connect) -> None:
    """The limit orders that were recorded have their price plus one where the price of a trailing stop stands."""
    client = await connect(100, versions="v157..173")
    client.place(order_id=1001, totalQuantity="100", orderType="LMT", lmtPrice="1")
    await client.until("orderStatus", status="Submitted")
    first = await client.until("openOrder")
    recorded = load("order-updates", "OPEN_ORDER-setup_place_order")
    compare(first, recorded, differ="permId account sharesAllocation", free="minCompeteSize competeOffset")
    client.send("cancel_order", orderId=1001)
    await client.until("error")
    status = (await client.all("orderStatus"))[-1]
    compare(status, load("order-updates", "ORDER_STATUS-Cancelled-cancel_order"), differ="orderId permId remaining")
    compare(await client.until("error"), load("errors", "ERR_MSG-202-cancel_order"), differ="id")


async def test_a_future_at_its_exchange(connect: Connect) -> None:
    client = await connect(100, versions="v157..173")
    es = {"secType": "FUT", "exchange": "CME", "totalQuantity": "1", "localSymbol": await _front(client)}
    client.place("ES", order_id=2, orderType="LMT", lmtPrice="5800", **es)
    await client.until("orderStatus")
    told = (await client.all("openOrder"))[-1]
    recorded = load("order-updates", "OPEN_ORDER-test_place_order")
    names = "permId account sharesAllocation conId expiry"
    compare(told, recorded, differ=names, free="localSymbol status trailStop lmtPrice")


async def _front(client: WireClient) -> str:
    client.send("contract_details", v=8, reqId=1, symbol="ES", secType="FUT", exchange="CME")
    return str((await client.until("contractDetails"))["localSymbol"])


async def test_completed_orders(connect: Connect) -> None:
    client, _ = await buys_apple(connect, 169)
    client.send("completed_orders", apiOnly=False)
    await client.until("completedOrdersEnd")
    told = (await client.all("completedOrder"))[0]
    recorded = load("open-orders", "COMPLETED_ORDER-completed_orders", 169)
    compare(told, recorded, differ="permId account", free="completedTime")
    later = await connect(101, versions="v157..173")
    number = later.place(totalQuantity="1", orderType="LMT", lmtPrice="100", tif="GTC")
    later.send("cancel_order", orderId=number)
    await later.until("error", code=202)
    later.send("completed_orders", apiOnly=False)
    await later.until("completedOrdersEnd")
    told = (await later.all("completedOrder"))[-1]
    recorded = load("open-orders", "COMPLETED_ORDER-setup_completed_orders")
    contract = "conId symbol secType expiry multiplier exchange localSymbol tradingClass lmtPrice trailStop"
    compare(told, recorded, differ="permId account", free=f"{contract} completedTime minCompeteSize competeOffset")
    assert told["completedTime"].count(" ") == recorded["completedTime"].count(" ") == 2


async def test_positions_and_accounts(connect: Connect) -> None:
    client, _ = await buys_apple(connect)
    client.send("positions")
    told = await client.until("position")
    compare(told, load("positions", "POSITION_DATA-test_decode_positions"), differ="averageCost", free=_OTHER_SHARE)
    client.send("positions_multi", reqId=6, account=PARENT)
    told = await client.until("positionMulti")
    compare(told, load("positions", "POSITION_MULTI-POSITION_MULTI"), differ="averageCost", free=f"{_OTHER_SHARE} v")
    client.send("account_summary", reqId=123, group="All", tags="NetLiquidation,TotalCashValue")
    told = await client.until("accountSummary")
    recorded = load("account-balance", "ACCOUNT_SUMMARY-test_decode_account_summary")
    compare(told, recorded, differ="value", free="account")
    client.send("account_updates_multi", reqId=9000, account=PARENT)
    told = await client.until("accountUpdateMulti", tag="CashBalance")
    compare(told, load("account-balance", "ACCOUNT_UPDATE_MULTI-setup_account_updates_multi"), differ="value")


_OTHER_SHARE = "account conId symbol exchange localSymbol tradingClass position"


async def test_contract_details(connect: Connect) -> None:
    client = await connect(100, versions="v157..173")
    client.send("contract_details", v=8, reqId=9001, symbol="TSLA", secType="STK", exchange="SMART")
    told = await client.until("contractDetails")
    recorded = load("instruments", "CONTRACT_DATA-request_stock_contract_details")
    free = (
        "marketName orderTypes validExchanges industry category subcategory tradingHours liquidHours secIds marketRuleIds"
    )
    compare(told, recorded, free=f"{free} minSize sizeIncrement")
    assert re.fullmatch(r"(\d{8}:(CLOSED|\d{4}-\d{8}:\d{4});?)+", told["tradingHours"])
    client.send("contract_details", v=8, reqId=9000, symbol="ES", secType="FUT", exchange="CME")
    told = await client.until("contractDetails", reqId=9000)
    recorded = load("instruments", "CONTRACT_DATA-request_future_contract_details")
    assert re.fullmatch(r"\d{8} 08:30 US/Central", recorded["lastTrade"])
    assert re.fullmatch(r"\d{8} 08:30 US/Central", told["lastTrade"])
    free = "lastTrade localSymbol orderTypes validExchanges tradingHours liquidHours marketRuleIds primaryExchange"
    compare(told, recorded, differ="conId contractMonth realExpiration", free=free)


async def test_data(connect: Connect, control: httpx.AsyncClient) -> None:
    client = await connect(100, versions="v157..173")
    apple = {"symbol": "AAPL", "secType": "STK", "exchange": "SMART"}
    client.send("market_data", v=11, reqId=9001, deltaNeutral=False, snapshot=True, **apple)
    compare(
        await client.until("tickPrice", type=1),
        load("market-data", "TICK_PRICE-test_basic_market_data"),
        differ="price size",
        free="v mask",
    )
    compare(await client.until("tickSize", type=0), load("market-data", "TICK_SIZE-test_basic_market_data"), free="v size")
    client.send("market_rule", id=26)
    compare(await client.until("marketRule"), load("instruments", "MARKET_RULE-test_decode_market_rule"), free="increments")
    client.send(
        "historical_data",
        reqId=9000,
        barSize="1 day",
        duration="2 D",
        what="TRADES",
        formatDate="1",
        regularOnly=True,
        **apple,
    )
    told = await client.until("historicalData")
    recorded = load("market-data", "HISTORICAL_DATA-test_decode_historical_data")
    assert [form(value) for value in told["bars"][0].values()][:5] == [
        form(value) for value in recorded["bars"][0].values()
    ][:5]
    client.send("head_timestamp", reqId=9000, formatDate="2", what="TRADES", **apple)
    told = await client.until("headTimestamp")
    compare(told, load("market-data", "HEAD_TIMESTAMP-setup_head_timestamp"), differ="time")
    client.send("family_codes")
    assert (await client.until("familyCodes"))["codes"][0]["account"] == PARENT


REPLAYS = ("nt-ib-tick_data", "nt-ib-historic-trade_ticks", "nt-ib-historic-bid_ask_ticks", "nt-ib-historic-bars")


@pytest.mark.parametrize("name", REPLAYS)
async def test_recorded_markets_are_replayed(launch: Launch, connect: Connect, name: str) -> None:
    """Orders trade at recorded prices, on the recorded tick."""
    path = SAMPLES / "replay-market-data" / f"{name}.json.gz"
    tws = await launch(market=str(path))
    recording = Recording(path)
    assert tws.ready.symbols == (NAME,)
    assert len(recording.events) > 5
    client = await connect(1, to=tws)
    client.place("TAPE", totalQuantity="1")
    price = Decimal((await client.until("execDetails"))["price"])
    assert price == recording.snapshots[NAME].asks[0][0]
    assert not price % recording.instruments[0].price_tick
    for _, event in recording.events:
        tws.exchange.apply(event)
    trades = [event for _, event in recording.events if isinstance(event, MarketTrade)]
    assert not trades or tws.exchange.last_price(NAME) == trades[-1].price


def test_the_recorded_stock_ticks_by_a_fifth() -> None:
    recording = Recording(SAMPLES / "replay-market-data" / f"{REPLAYS[0]}.json.gz")
    assert recording.instruments[0].price_tick == Decimal("0.2")
    seconds = sum(delay for delay, _ in recording.events) / 1000
    assert 4_000 < seconds < 5_000


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    for text in ("", "[]", '[{"tickType": 1}]', '{"open": 1, "date": "today"}', "[1, 2]"):
        (tmp_path / "file.json").write_text(text)
        with pytest.raises(UsageError):
            Recording(tmp_path / "file.json")
