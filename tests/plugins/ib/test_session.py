"""One login and its sessions: many accounts on one socket, the client id, the night, contracts, what TWS corrects."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest
from copydesk.errors import AuthFailed, NotReady, Refused, UsageError
from copydesk.model import (
    Accepted,
    ConnectionSettings,
    Gap,
    NewOrder,
    OrderEvent,
    OrderGroup,
    OrderRef,
    OrderType,
    Outcome,
    RehearsalSettings,
    Rejected,
    Side,
    SnapshotRequest,
    StreamLost,
    Subscription,
    Terms,
    VenueEvent,
)
from copydesk_ib import link
from copydesk_ib.pacing import Pacer
from copydesk_ib.rehearsal import start
from copydesk_ib.session import Session, connect, place_of
from msgspec.structs import replace

D = Decimal
AAPL = "AAPL:STK:SMART:USD"


class Tws:
    """A rehearsal, and the sessions that were opened at it."""

    def __init__(self, running: Any) -> None:
        self.running = running
        self.sessions: list[Session] = []

    async def open(self, who: str = "parent", **options: str) -> Session:
        known = next(one for one in self.running.ready.accounts if one.name == who)
        session = await connect(ConnectionSettings(name=who, kind="ib", options=known.options | options))
        self.sessions.append(session)
        return session


@pytest.fixture
async def tws() -> AsyncIterator[Tws]:
    accounts = {"parent": D(100_000), "child": D(50_000)}
    made = Tws(await start(RehearsalSettings(kind="ib", accounts=accounts, speed=D(0))))
    yield made
    for session in made.sessions:
        await session.close()
    await made.running.stop()


class Ear:
    """What a session tells."""

    def __init__(self, session: Session) -> None:
        self.events: list[VenueEvent] = []
        self._task = asyncio.create_task(self._listen(session))

    async def _listen(self, session: Session) -> None:
        async for event in session.subscribe(Subscription()):
            self.events.append(event)

    async def until(self, kind: type[Any], after: int = 0) -> Any:
        async with asyncio.timeout(40):
            while True:
                found = [event for event in self.events[after:] if isinstance(event, kind)]
                if found:
                    return found[0]
                await asyncio.sleep(0.005)


def limit(name: str = "a", account: str = "", **more: Any) -> NewOrder:
    values = {"symbol": AAPL, "side": Side.BUY, "type": OrderType.LIMIT, "quantity": D(5), "price": D(190), **more}
    return NewOrder(account=account, client_id=name, terms=Terms(**values))


async def test_accounts_of_one_login_share_one_socket(tws: Tws) -> None:
    parent, child = await tws.open(), await tws.open("child")
    assert parent.login is child.login
    assert len(tws.running.audience.clients) == 1
    await parent.close()
    assert len(tws.running.audience.clients) == 1
    assert isinstance(await child.place(limit()), Accepted)


async def test_a_connection_without_an_account_has_all_of_the_login(tws: Tws) -> None:
    session = await tws.open(account="")
    assert session.accounts == ("DU1234567", "DU1234568")
    ear = Ear(session)
    await ear.until(Gap)
    outcome = await session.place(limit(account="DU1234568"))
    assert isinstance(outcome, Accepted)
    assert outcome.order is not None
    assert outcome.order.account == "DU1234568"
    assert (await ear.until(OrderEvent)).order.account == "DU1234568"
    for account, count in (("DU1234567", 0), ("DU1234568", 1)):
        told = await session.snapshot(SnapshotRequest(account=account))
        assert (told.account, len(told.orders)) == (account, count)
    with pytest.raises(Refused):
        await session.snapshot(SnapshotRequest(account="DU9"))


async def test_an_order_is_sent_in_the_call_as_long_as_tws_takes_more(tws: Tws, monkeypatch: pytest.MonkeyPatch) -> None:
    session = await tws.open()
    await session.login.find(AAPL)
    monkeypatch.setattr(session.login, "pacer", Pacer(rate=3, window_s=0.2))
    loop = asyncio.get_running_loop()
    told: dict[str, asyncio.Future[Outcome]] = {name: loop.create_future() for name in ("a", "b", "c")}
    assert session.fire(limit("a"), told["a"].set_result)
    assert not session.fire(limit("a"), pytest.fail), "its reference is taken"
    assert all(session.fire(limit(name), told[name].set_result) for name in ("b", "c"))
    assert not session.fire(limit("d"), pytest.fail), "TWS takes no more now"
    assert not any(outcome.done() for outcome in told.values()), "told within the call"
    assert isinstance(await session.place(limit("d")), Accepted), "it waits for its turn"
    async with asyncio.timeout(40):
        outcomes = await asyncio.gather(*told.values())
    assert all(isinstance(outcome, Accepted) for outcome in outcomes)
    assert {order.client_id for order in (await session.snapshot(SnapshotRequest())).orders} == {"a", "b", "c", "d"}


async def test_a_wrong_account_and_wrong_numbers_are_said(tws: Tws) -> None:
    with pytest.raises(AuthFailed, match="has no account DU9; it has DU1234567, DU1234568"):
        await tws.open(account="DU9")
    for name, value in (("port", "http"), ("client_id", "-1"), ("port", "70000")):
        with pytest.raises(UsageError, match=name):
            place_of({"port": "1", name: value})
    with pytest.raises(UsageError, match="names no contract"):
        await tws.open(symbols="APPLE")


async def test_a_client_id_in_use_is_said_and_tried_again(tws: Tws) -> None:
    session = await tws.open()
    place = session.login.place
    other = type(session.login)(place)
    other.start()
    try:
        with pytest.raises(NotReady, match="client id 7 is in use"):
            await other.until_up()
        await session.close()
        async with asyncio.timeout(40):
            await other.until_up() if other.up else await _in_the_end(other)
    finally:
        await other.end()


async def _in_the_end(login: Any) -> None:
    while True:
        try:
            await login.until_up()
        except NotReady:
            continue
        return


async def test_after_the_night_the_session_is_back_with_everything(tws: Tws, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "TIMING", replace(link.TIMING, backoff_most=0.1))
    session = await tws.open()
    ear = Ear(session)
    await ear.until(Gap)
    await session.place(limit())
    before = len(ear.events)
    tws.running.reset(0.3)
    await ear.until(StreamLost, before)
    with pytest.raises(NotReady):
        await session.snapshot(SnapshotRequest())
    refused = await session.place(limit("b"))
    assert isinstance(refused, Rejected)
    assert refused.reason.is_transient
    await ear.until(Gap, before)
    told = await session.snapshot(SnapshotRequest())
    assert [order.client_id for order in told.orders] == ["a"]
    gone = await session.cancel(OrderRef(symbol=AAPL, type=OrderType.LIMIT, client_id="a"))
    assert isinstance(gone, Accepted), "an order of before the night is still this client's"


async def test_without_ib_nothing_is_read_or_sent(tws: Tws) -> None:
    session = await tws.open()
    ear = Ear(session)
    await ear.until(Gap)
    before = len(ear.events)
    tws.running.connectivity(1100)
    lost = await ear.until(StreamLost, before)
    assert "lost IB" in lost.reason
    with pytest.raises(NotReady):
        await session.snapshot(SnapshotRequest())
    assert isinstance(await session.place(limit()), Rejected)
    tws.running.connectivity(1102)
    await ear.until(Gap, before)
    assert isinstance(await session.place(limit()), Accepted)


async def test_both_legs_of_a_group_or_none(tws: Tws) -> None:
    session = await tws.open()
    good = limit("target", side=Side.SELL, price=D(220))
    bad = limit("stop", side=Side.SELL, type=OrderType.STOP_MARKET, price=None, trigger_price=D("190.005"))
    outcome = await session.place_group(OrderGroup(legs=(good, bad)))
    assert isinstance(outcome, Rejected)
    assert outcome.code == "110"
    assert (await session.snapshot(SnapshotRequest())).orders == ()


async def test_a_contract_that_nobody_named_is_learned_before_it_is_told(tws: Tws) -> None:
    session = await tws.open(symbols="")
    ear = Ear(session)
    await ear.until(Gap)
    assert "MSFT:STK:SMART:USD" not in session.instruments
    outcome = await session.place(limit(symbol="MSFT:STK:SMART:USD", price=D(400)))
    assert isinstance(outcome, Accepted)
    assert (await ear.until(OrderEvent)).order.terms.symbol in session.instruments


async def test_only_its_owner_may_cancel_an_order(tws: Tws) -> None:
    session, other = await tws.open(), await tws.open(client_id="31")
    assert isinstance(await other.place(limit("theirs")), Accepted)
    ref = OrderRef(symbol=AAPL, type=OrderType.LIMIT, client_id="theirs")
    refused = await session.cancel(ref)
    assert isinstance(refused, Rejected)
    assert "API client 31" in refused.message
    assert isinstance(await other.cancel(ref), Accepted)


async def test_an_order_of_an_earlier_run_is_known_by_its_reference(tws: Tws) -> None:
    session = await tws.open()
    await session.place(limit("mine"))
    await session.close()
    again = await tws.open()
    outcome = await again.place(limit("mine"))
    assert isinstance(outcome, Rejected)
    assert outcome.reason == "duplicate-id"


async def test_an_order_of_an_advisors_group_is_said_once_and_nothing_is_asked_for_ever(
    tws: Tws, caplog: pytest.LogCaptureFixture
) -> None:
    session = await tws.open()
    login = session.login
    group = login.library.order(permId=99, orderId=3, faGroup="everybody", action="BUY", orderType="MKT")
    asked = login.book.heard
    for _ in range(3):
        login.on_open_order(login.library.contract(conId=1), group, None)
        login.on_order_status(3, "Submitted", D(0), D(0), 99, 5)
    assert [record.message for record in caplog.records if "advisor" in record.message] == [
        "Order 99 is allocated by an advisor's group: it cannot be copied."
    ]
    assert login.book.heard == asked + 3
    assert not login._doubting


async def test_who_connects_while_tws_has_lost_ib_reads_nothing(tws: Tws) -> None:
    """What it lists then is not the truth."""
    session = await tws.open()
    session.login.on_error(-1, 2110, "Connectivity between Trader Workstation and server is broken.")
    with pytest.raises(NotReady, match="TWS has lost IB"):
        await session.snapshot(SnapshotRequest())
    session.login.on_error(-1, 1102, "Connectivity between IB and TWS has been restored - data maintained.")
    async with asyncio.timeout(40):
        await session.login.until_up()
    assert (await session.snapshot(SnapshotRequest())).balance
