"""Orders on their way: what may be said of them once the connection that they went out over is gone."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from copydesk.errors import NotReady
from copydesk.model import Accepted, NewOrder, OrderRef, OrderType, Scope, Side, Snapshot, SnapshotRequest, Terms, Unknown
from copydesk_paper.serving.faults import Fault
from copydesk_rithmic import plants
from copydesk_rithmic.accounts import Account
from copydesk_rithmic.flights import Flights
from copydesk_rithmic.rehearsal import Rehearsal
from copydesk_rithmic.session import Session
from msgspec.structs import replace

from .conftest import Enter

ONE, TWO = Account("one", "FCM", "IB"), Account("two", "FCM", "IB")
MES = "CME:MESH7"
NEW = NewOrder(
    client_id="a-1", terms=Terms(symbol=MES, side=Side.BUY, type=OrderType.LIMIT, quantity=Decimal(1), price=Decimal(5900))
)
DEADLINE_S = 15


def test_what_went_out_again_is_another_flight() -> None:
    flights = Flights()
    flights.begin(ONE, "a", 1, 10)
    assert flights.is_under_way(ONE, "a")
    assert not flights.is_under_way(TWO, "a")
    assert flights.ended(ONE, ("a", "b"), 0) == {}
    flights.miss(ONE, "a")
    assert not flights.is_under_way(ONE, "a"), "it may go again"
    assert list(flights.ended(ONE, ("a", "b"), 1)) == ["a"], "however often it was looked for"
    flights.begin(ONE, "a", 2, 20)
    assert flights.is_under_way(ONE, "a")
    assert flights.ended(ONE, ("a",), 1) == {}
    flights.end(ONE, "a")
    assert flights.ended(ONE, ("a",), 9) == {}


async def lose(venue: Rehearsal, session: Session, order: NewOrder = NEW) -> None:
    """Send an order that gets lost with its connection, and wait until there is another connection."""
    venue.server.house.misbehaviour.add(Fault(name="lose-request", account="lead", every=1, count=1))
    assert isinstance(await session.place(order), Unknown)
    await back(session)


async def back(session: Session) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not session.login.is_up:  # noqa: ASYNC110 - nobody is told of it here
            await asyncio.sleep(0.02)


async def looked_up(session: Session) -> Snapshot:
    ref = OrderRef(symbol=MES, type=OrderType.LIMIT, client_id=NEW.client_id)
    return await session.snapshot(SnapshotRequest(scope=Scope.ORDERS, look_up=(ref,)))


async def test_an_order_is_given_up_once_its_connection_is_gone_for_long_enough(
    venue: Rehearsal, enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await enter()
    monkeypatch.setattr(plants, "SETTLED_S", 1e9)
    await lose(venue, session)
    told = await looked_up(session)
    assert (told.absent, told.never_arrived) == ((NEW.client_id,), ()), "it may still be on its way"
    monkeypatch.setattr(plants, "SETTLED_S", 0.0)
    told = await looked_up(session)
    assert (told.absent, told.never_arrived) == ((NEW.client_id,), (NEW.client_id,))
    assert isinstance(await session.place(NEW), Accepted)
    assert (await looked_up(session)).absent == ()


async def test_a_connection_that_is_gone_for_long_enough_is_so_whatever_becomes_of_the_next(
    venue: Rehearsal, enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await enter()
    monkeypatch.setattr(plants, "SETTLED_S", 0.0)
    await lose(venue, session)
    assert (await looked_up(session)).never_arrived == (NEW.client_id,)
    monkeypatch.setattr(plants, "SETTLED_S", 1e9)
    await lose(venue, session, replace(NEW, client_id="a-2"))
    assert (await looked_up(session)).never_arrived == (NEW.client_id,)
    assert session.login.orders.settled == 1


async def test_an_execution_that_no_list_has_shows_that_it_arrived(
    venue: Rehearsal, enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await enter()
    monkeypatch.setattr(plants, "SETTLED_S", 0.0)
    venue.server.house.misbehaviour.add(Fault(name="lose-reply", account="lead", every=1, count=1))
    market = NewOrder(
        client_id=NEW.client_id, terms=Terms(symbol=MES, side=Side.BUY, type=OrderType.MARKET, quantity=Decimal(1))
    )
    assert isinstance(await session.place(market), Unknown)

    routes = venue.server._routes
    empty = {number: (routes[number][0], lambda call: call.done()) for number in (320, 324)}
    venue.server._routes = {**routes, **empty}  # lists that lag behind
    await back(session)
    told = await looked_up(session)
    assert (told.absent, told.never_arrived) == ((NEW.client_id,), ())


async def test_while_nobody_can_be_asked_nothing_is_said(venue: Rehearsal, enter: Enter) -> None:
    session = await enter()
    await lose(venue, session)
    await venue.stop()
    with pytest.raises(NotReady):
        await looked_up(session)
