"""The rehearsal TWS as a server: versions, clients, pacing, lost connections, faults."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal

import httpx
import pytest
from copydesk.errors import UsageError
from copydesk.model import RehearsalSettings
from copydesk_ib.rehearsal import Rehearsal, start
from copydesk_ib.rehearsal.clients import agree
from copydesk_ib.rehearsal.requests import REQUESTS

from .conftest import ACCOUNTS, CHILD, PARENT, Connect, Launch, WireClient

# --- versions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lowest", "highest", "agreed"),
    [(157, 178, 178), (100, 157, 157), (157, 158, 157), (158, 158, 0), (100, 156, 0), (179, 225, 0), (157, 225, 178)],
)
def test_the_version_is_the_highest_that_both_speak_and_never_158(lowest: int, highest: int, agreed: int) -> None:
    assert agree(lowest, highest) == agreed


@pytest.mark.parametrize("version", [157, 159, 161, 163, 165, 168, 172, 176, 177, 178])
async def test_every_version_trades(connect: Connect, version: int) -> None:
    """The client reads by the tables and complains of every field too many or too few."""
    client = await connect(1, versions=f"v157..{version}")
    assert client.version == version
    number = client.place(orderType="LMT", lmtPrice="190", orderRef="versions")
    told = await client.until("openOrder", orderId=number)
    assert (told["orderRef"], told["account"]) == ("versions", PARENT)
    client.place()
    execution = await client.until("execDetails")
    assert ("pendingPriceRevision" in execution) == (version >= 178)
    client.send("contract_details", v=8, reqId=3, symbol="AAPL", exchange="SMART")
    assert ("minSize" in await client.until("contractDetails")) == (version >= 164)
    client.send("cancel_order", orderId=number)
    assert ("advanced" in await client.until("error", code=202)) == (version >= 166)


async def test_a_client_that_speaks_none_of_them_is_cut_off(tws: Rehearsal) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", tws.logins[0].port)
    writer.write(b"API\0\x00\x00\x00\x09v100..120")
    assert await asyncio.wait_for(reader.read(), 5) == b""
    writer.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", tws.logins[0].port)
    writer.write(b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
        await asyncio.wait_for(reader.readexactly(1), 5)
    writer.close()


async def reconnect(connect: Connect, client_id: int) -> WireClient:
    """Connect as soon as the server lets it."""
    async with asyncio.timeout(40):
        while True:
            try:
                return await connect(client_id)
            except (AssertionError, ConnectionError):
                await asyncio.sleep(0.02)


# --- clients ----------------------------------------------------------------------------------------------------


async def test_a_client_id_is_good_once_at_a_time(tws: Rehearsal, connect: Connect) -> None:
    first = await connect(5)
    with pytest.raises(AssertionError, match="connection ended"):
        await connect(5)
    assert not first.closed
    await first.close()
    assert not (await reconnect(connect, 5)).closed


async def test_two_logins_know_nothing_of_each_other(launch: Launch, connect: Connect) -> None:
    tws = await launch(**{"login.child": "second", "id.child": "U7"})
    one, two = await connect(5, to=tws), await connect(5, to=tws, login=1)
    assert [login.name for login in tws.logins] == ["tws", "second"]
    assert {account.name: account.options["account"] for account in tws.ready.accounts} == {"parent": PARENT, "child": "U7"}
    two.send("managed_accounts")
    assert (await two.until("managedAccounts"))["accounts"] == "U7"
    one.place(orderType="LMT", lmtPrice="190", account="")
    await one.until("orderStatus", status="Submitted")
    two.send("all_open_orders")
    await two.until("openOrderEnd")
    assert not await two.all("openOrder")


async def test_options_that_are_wrong_are_refused() -> None:
    for options in ({"server-version": "200"}, {"id.child": "DU1234567"}, {"login.nobody": "x"}, {"speed": "fast"}):
        with pytest.raises(UsageError):
            await start(RehearsalSettings(kind="ib", accounts=ACCOUNTS, options=options))


async def test_what_it_does_not_know_it_says(connect: Connect) -> None:
    client = await connect()
    client.raw("999", "2", "1")
    assert (await client.until("error"))["code"] == "505"
    client.raw("63", "1", "seven")
    assert (await client.until("error", code=320))["id"] == "-1"
    client.raw("52", "2", "17", "265598")
    assert (await client.until("error", id=17))["text"].endswith("Fundamental data: not rehearsed")
    client.raw("23", "1", "17")
    client.raw("3", "9", "265598")
    assert (await client.until("error", id=9))["code"] == "320"
    client.send("contract_details", v=8, reqId=4, symbol="NOPE", exchange="SMART")
    assert (await client.until("error", id=4))["code"] == "200"


async def test_every_request_of_the_table_is_answered_by_somebody(tws: Rehearsal) -> None:
    assert set(tws.server._handlers) == {name for name, _ in REQUESTS.values()}


async def test_subscriptions_have_a_bound(launch: Launch, connect: Connect) -> None:
    tws = await launch(messages_per_second="100000")
    client = await connect(to=tws)
    for request in range(501):
        client.send("positions_multi", reqId=request, account=PARENT)
    assert (await client.until("error"))["code"] == "101"
    client.send("cancel_positions_multi", reqId=3)
    client.send("positions_multi", reqId=501, account=PARENT)
    await client.until("positionMultiEnd", reqId=501)


# --- pacing -----------------------------------------------------------------------------------------------------


async def test_too_many_messages_are_refused_and_in_the_end_cut_off(launch: Launch, connect: Connect) -> None:
    tws = await launch(messages_per_second="20")
    client = await connect(to=tws)
    numbers = [client.place(orderType="LMT", lmtPrice="190") for _ in range(30)]
    await client.until_closed()
    told = [told for name, told in client.heard if name == "error"]
    assert [one["code"] for one in told] == ["100"] * 3
    assert told[0]["text"].startswith("Max rate of messages per second has been exceeded:max=20 rec=21")
    taken = len(tws.desk.live(tws.logins[0]))
    assert 18 <= taken <= 20
    assert [int(one["id"]) for one in told] == numbers[taken : taken + 3]


# --- the connection to IB ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "told_later"), [(1101, False), (1102, True)])
async def test_tws_loses_ib_and_keeps_its_sockets(
    connect: Connect, control: httpx.AsyncClient, code: int, told_later: bool
) -> None:
    client = await connect(7)
    client.send("market_data", v=11, reqId=3, symbol="AAPL", secType="STK", exchange="SMART", deltaNeutral=False)
    await client.until("tickPrice")
    (await control.post("/connectivity", json={"code": 1100})).raise_for_status()
    await client.until("error", code=1100)
    made = (await control.post("/orders", json={"account": "parent", "symbol": "AAPL"})).json()
    assert made["status"] == "Filled"
    assert not await client.all("execDetails")
    refused = client.place()
    assert (await client.until("error", id=refused))["code"] == "504"
    (await control.post("/connectivity", json={"code": code})).raise_for_status()
    await client.until("error", code=code)
    assert bool(await client.all("execDetails")) == told_later
    client.send("cancel_market_data", v=2, reqId=3)
    assert bool(await client.all("error", code=300)) == (not told_later)
    client.send("executions", v=3, reqId=9)
    await client.until("execDetails", reqId=9)


async def test_the_nightly_restart_keeps_orders(tws: Rehearsal, connect: Connect, control: httpx.AsyncClient) -> None:
    client = await connect(7)
    client.place(orderType="LMT", lmtPrice="190", tif="GTC")
    await client.until("orderStatus", status="Submitted")
    (await control.post("/reset", json={"seconds": 0.2})).raise_for_status()
    await client.until_closed()
    again = await reconnect(connect, 7)
    again.send("all_open_orders")
    assert (await again.until("openOrder"))["lmtPrice"] == "190.0"


# --- faults -----------------------------------------------------------------------------------------------------


async def fault(control: httpx.AsyncClient, name: str, **more: object) -> None:
    (await control.post("/faults", json={"name": name, **more})).raise_for_status()


async def test_a_lost_reply_is_a_cut_connection(tws: Rehearsal, connect: Connect, control: httpx.AsyncClient) -> None:
    client = await connect(7)
    await fault(control, "lose-reply", account="parent")
    client.place(orderType="LMT", lmtPrice="190", account=CHILD)
    await client.until("orderStatus", status="Submitted")
    client.place(orderType="LMT", lmtPrice="191")
    await client.until_closed()
    assert not [told for name, told in client.heard if name == "openOrder" and told["lmtPrice"] == "191.0"]
    again = await reconnect(connect, 7)
    again.send("all_open_orders")
    await again.until("openOrder", lmtPrice="191.0")


async def test_a_lost_request_never_happened(tws: Rehearsal, connect: Connect, control: httpx.AsyncClient) -> None:
    client = await connect(7)
    await fault(control, "lose-request")
    client.place()
    await client.until_closed()
    assert not tws.desk.tickets


@pytest.mark.parametrize(("name", "code"), [("429", 100), ("overload", 201)])
async def test_a_refusal_on_request(
    tws: Rehearsal, connect: Connect, control: httpx.AsyncClient, name: str, code: int
) -> None:
    client = await connect(7)
    await fault(control, name)
    number = client.place()
    assert (await client.until("error", id=number))["code"] == str(code)
    assert not tws.desk.tickets
    client.place(order_id=number)
    await client.until("orderStatus", orderId=number, status="Filled")


async def test_a_stalled_answer_comes_late(connect: Connect, control: httpx.AsyncClient) -> None:
    client = await connect(7)
    await fault(control, "stall", seconds=0.3)
    began = time.monotonic()
    client.place()
    await client.until("execDetails")
    assert time.monotonic() - began >= 0.3


async def test_events_are_repeated_exchanged_and_dropped(connect: Connect, control: httpx.AsyncClient) -> None:
    client = await connect(7)
    await fault(control, "duplicate-events", count=1000)
    client.place()
    await client.until("commissionReport")
    executions = await client.all("execDetails")
    assert len(executions) == 2
    assert executions[0] == executions[1]
    (await control.delete("/faults")).raise_for_status()
    client.forget()
    await fault(control, "reorder", count=1000, every=2)
    client.place()
    await client.until("commissionReport")
    names = [name for name, _ in await client.settled() if name != "currentTime"]
    usual = ["openOrder", "orderStatus", "execDetails", "openOrder", "orderStatus", "openOrder", "commissionReport"]
    assert sorted(names) == sorted(usual)
    assert names[:4] != ["openOrder", "orderStatus", "execDetails", "openOrder"]
    (await control.delete("/faults")).raise_for_status()
    await fault(control, "drop-stream")
    client.place()
    await client.until_closed()


async def test_partial_fills_count_up(connect: Connect, control: httpx.AsyncClient) -> None:
    client = await connect(7)
    await fault(control, "partial-fills", count=1000)
    number = client.place(totalQuantity="9")
    await client.until("orderStatus", orderId=number, status="Filled")
    executions = await client.all("execDetails")
    assert [(told["shares"], told["cumQty"]) for told in executions] == [("3", "3"), ("3", "6"), ("3", "9")]
    fees = [Decimal(told["commission"]) for told in await client.all("commissionReport")]
    assert sum(fees) == 1, "the minimum of a dollar is for the order, not for each execution"


async def test_it_goes_away_for_a_while(tws: Rehearsal, connect: Connect, control: httpx.AsyncClient) -> None:
    client = await connect(7)
    await fault(control, "go-away", seconds=0.2)
    client.place()
    await client.until_closed()
    assert not tws.desk.tickets
