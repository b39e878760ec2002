"""Connections on the rehearsal: several accounts of one login, several logins, brackets, instruments, durations."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from decimal import Decimal
from typing import Any

import httpx
import pytest
from copydesk.errors import AuthFailed, Refused
from copydesk.model import (
    Accepted,
    BalanceEvent,
    CandleRequest,
    FillEvent,
    NewOrder,
    OrderEvent,
    OrderType,
    PositionEvent,
    Rejected,
    Side,
    SnapshotRequest,
    Subscription,
    Terms,
    VenueEvent,
)
from copydesk_rithmic import translate
from copydesk_rithmic.rehearsal import Rehearsal
from copydesk_rithmic.session import Session

from .conftest import Enter

MES = "CME:MESH7"
PATIENCE_S = 40.0


def market(account: str = "", name: str = "go", symbol: str = MES, **more: Any) -> NewOrder:
    values = {"type": OrderType.MARKET, "side": Side.BUY, "quantity": Decimal(1)} | more
    return NewOrder(account=account, client_id=name, terms=Terms(symbol=symbol, **values))


async def while_listening(session: Session, count: int, *kinds: type[VenueEvent]) -> asyncio.Task[list[Any]]:
    """Hears the first so many events of these kinds; returned once the subscription is listening."""
    listening = asyncio.Event()

    async def hear() -> list[Any]:
        found: list[Any] = []
        async with asyncio.timeout(PATIENCE_S), aclosing(session.subscribe(Subscription())) as events:
            async for event in events:
                listening.set()
                found += [event] if isinstance(event, kinds) else []
                if len(found) == count:
                    break
        return found

    task = asyncio.create_task(hear())
    async with asyncio.timeout(PATIENCE_S):
        await listening.wait()
    return task


# --- accounts ---


async def test_one_login_is_one_client(enter: Enter, venue: Rehearsal) -> None:
    """A parent and its children of one user share the plants; another user has plants of its own."""
    lead, one, far = await enter("lead"), await enter("one"), await enter("far")
    assert lead.login is one.login
    assert far.login is not lead.login
    users = [link.user.name for link in venue.server.house.links if link.user is not None]
    assert sorted(users) == ["rehearsal"] * 3 + ["second"] * 3
    assert lead.instruments is far.instruments, "instruments are the system's"


async def test_a_login_without_an_account_named_has_all(enter: Enter) -> None:
    session = await enter(account="")
    assert session.accounts == ("lead", "one", "two")
    task = await while_listening(session, 6, OrderEvent, FillEvent, PositionEvent, BalanceEvent)
    assert isinstance(await session.place(market("one")), Accepted)
    assert isinstance(await session.place(market("two")), Accepted)
    events = await task
    named = [
        event.order.account if isinstance(event, OrderEvent) else event.fill.account
        for event in events
        if isinstance(event, OrderEvent | FillEvent)
    ]
    assert {"one", "two"} >= set(named) > set()
    for account, held in (("one", 1), ("two", 1), ("lead", 0)):
        told = await session.snapshot(SnapshotRequest(account=account, since_ms=1, symbols=(MES,)))
        assert sum(position.quantity for position in told.positions) == held
        assert {order.account for order in told.orders} == ({account} if held else set())
        assert told.balance is not None
        assert told.balance.account == account
    with pytest.raises(Refused, match="has no account 'far'"):
        await session.place(market("far"))


async def test_an_account_can_be_named_with_its_firms(enter: Enter) -> None:
    session = await enter(account="Other-FCM/Rehearsal-IB/two")
    assert isinstance(await session.place(market()), Accepted)
    with pytest.raises(AuthFailed, match="it has lead, one, two"):
        await enter(account="Other-FCM/Rehearsal-IB/one")


async def test_a_wrong_symbol_in_the_settings_is_a_sentence(enter: Enter) -> None:
    with pytest.raises(AuthFailed, match="Rithmic has no 'CME:ESH1'"):
        await enter(symbols="CME:MESH7,CME:ESH1")


# --- instruments ---


async def test_an_instrument_is_known_before_anything_is_told_of_it(enter: Enter) -> None:
    """Nobody named it in the settings; what comes behind it waits, so that the sequence stays."""
    session = await enter(symbols="")
    assert dict(session.instruments) == {}
    task = await while_listening(session, 2, OrderEvent)
    hand = await enter(user="rehearsal.hand", symbols="")
    limit = {"price_type": 1, "duration": 1, "transaction_type": 1, "quantity": 1, "trade_route": "simulator"}
    for exchange, contract, price in (("NYMEX", "CLH7", 69.0), ("CME", "MESH7", 5900.0)):
        await hand.login.orders.ask(312, hand.account(""), exchange=exchange, symbol=contract, price=price, **limit)
    told = [event.order.terms.symbol for event in await task]
    assert told == ["NYMEX:CLH7", MES]
    oil = session.instruments["NYMEX:CLH7"]
    assert (oil.contract_size, oil.price_tick, oil.quantity_step) == (1000, Decimal("0.01"), 1)


async def test_point_values_reach_the_money(enter: Enter) -> None:
    """A contract worth fifty dollars a point."""
    session = await enter()
    await session.place(market(symbol="CME:ESH7", name="in", quantity=Decimal(2)))
    before = await session.snapshot(SnapshotRequest(symbols=("CME:ESH7",)))
    (held,) = before.positions
    assert (held.symbol, held.quantity) == ("CME:ESH7", 2)
    assert before.balance is not None
    assert before.balance.equity - before.balance.cash == held.unrealised
    assert held.unrealised == Decimal("-12.5"), "an eighth of a point, twice, from the middle of the book"


# --- brackets ---


async def test_bracket_legs_are_orders_of_their_own(enter: Enter, venue: Rehearsal) -> None:
    """The parent's bracket: its target and its stop are told when they come in, without a client id, as one group."""
    session = await enter()
    task = await while_listening(session, 4, OrderEvent)
    login, account = session.login, session.account("")
    fields = translate.new_order(market(name="entry"), session.instruments[MES], "simulator")
    bracket = {"bracket_type": 6, "stop_ticks": 40, "stop_quantity": 1, "target_ticks": 80, "target_quantity": 1}
    await login.orders.ask(330, account, **fields, **bracket)
    entry, _, target, stop = [event.order for event in await task]
    assert entry.client_id == "entry"
    assert [(leg.client_id, leg.group) for leg in (target, stop)] == [("", entry.venue_id)] * 2
    assert (target.terms.type, stop.terms.type) == (OrderType.LIMIT, OrderType.STOP_MARKET)
    assert target.terms.price is not None
    assert stop.terms.trigger_price is not None
    assert target.terms.price - stop.terms.trigger_price == 30
    ended = await while_listening(session, 2, OrderEvent)
    async with httpx.AsyncClient(trust_env=False) as http:
        body = {"symbol": MES, "price": str(target.terms.price + 1), "quantity": "50"}
        await http.post(f"{venue.ready.control_url}/trades", json=body)
    assert {(event.order.venue_id, str(event.order.status)) for event in await ended} == {
        (target.venue_id, "filled"),
        (stop.venue_id, "cancelled"),
    }


# --- durations, candles ---


async def test_an_order_of_the_day_is_told_and_copied_as_one(enter: Enter, venue: Rehearsal) -> None:
    session, other = await enter("lead"), await enter("one")
    day = {"type": OrderType.LIMIT, "price": Decimal(5900), "native": translate.NATIVE_DAY}
    placed = await session.place(market(**day))
    assert isinstance(placed, Accepted)
    assert placed.order is not None
    copied = await other.place(NewOrder(client_id="copy", terms=placed.order.terms))
    assert isinstance(copied, Accepted)
    assert [basket.duration for basket in venue.desk.baskets.values()] == [translate.DAY, translate.DAY]


async def test_candles_of_every_interval(enter: Enter) -> None:
    session = await enter()
    for interval in translate.BAR_LENGTHS:
        bars = await session.candles(CandleRequest(symbol=MES, interval=interval, limit=5))
        assert len(bars) <= 5
    assert len(await session.candles(CandleRequest(symbol=MES, interval="5m", limit=5))) == 5
    with pytest.raises(Refused, match="no bars of 7m"):
        await session.candles(CandleRequest(symbol=MES, interval="7m"))


async def test_a_refusal_behind_the_front_door_is_rejected(enter: Enter) -> None:
    """Rithmic takes the order, and its risk management says no in a notification."""
    session = await enter()
    outcome = await session.place(market(symbol="CME:ESH7", quantity=Decimal(400)))
    assert isinstance(outcome, Rejected)
    assert (outcome.reason, outcome.code) == ("margin", "FA")
    assert "Rejected at RMS" in outcome.message
