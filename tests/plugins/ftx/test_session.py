"""What only FTX does: a closed venue, trigger orders without names, subaccounts, modify as cancel and replace."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import aiohttp
import pytest
from copydesk.errors import AuthFailed, VenueClosed
from copydesk.model import (
    Accepted,
    ConnectionSettings,
    NewOrder,
    Order,
    OrderRef,
    OrderType,
    RehearsalSettings,
    RehearsedAccount,
    Scope,
    Side,
    SnapshotRequest,
    Terms,
)
from copydesk_ftx import plugin
from copydesk_ftx.rehearsal import Rehearsal, start
from copydesk_ftx.session import Session, connect
from copydesk_ftx.venue import Signer

STOP = Terms(
    symbol="BTC-PERP",
    side=Side.SELL,
    type=OrderType.STOP_MARKET,
    quantity=Decimal("0.01"),
    trigger_price=Decimal(55_000),
)


@pytest.fixture
async def venue() -> AsyncIterator[Rehearsal]:
    accounts = {"main": Decimal(100_000), "sub": Decimal(50_000)}
    key = {"key.main": "k" * 40, "key.sub": "k" * 40, "secret.main": "s" * 40, "secret.sub": "s" * 40}
    options = {**key, "subaccount.sub": "desk 2/ü"}
    rehearsal = await start(RehearsalSettings(kind="ftx", accounts=accounts, speed=Decimal(0), options=options))
    yield rehearsal
    await rehearsal.stop()


def settings(account: RehearsedAccount, **options: str) -> ConnectionSettings:
    return ConnectionSettings(
        name=account.name, kind="ftx", options={**account.options, **options}, secrets=account.secrets
    )


async def log_in(venue: Rehearsal, number: int = 0) -> Session:
    return await connect(settings(venue.ready.accounts[number]))


async def test_without_an_address_the_venue_is_closed() -> None:
    secrets = {"key": "k", "secret": "s"}
    with pytest.raises(VenueClosed, match="FTX closed in November 2022"):
        await plugin.connect(ConnectionSettings(name="main", kind="ftx", secrets=secrets))
    (kind,) = plugin.describe().kinds
    assert kind.closed_on == "2022-11-11"


async def test_a_subaccount_is_an_account_of_its_own(venue: Rehearsal) -> None:
    main, sub = await log_in(venue), await log_in(venue, 1)
    assert (main.balance.equity, sub.balance.equity) == (100_000, 50_000)  # type: ignore[union-attr]
    await main.close()
    await sub.close()
    with pytest.raises(AuthFailed, match="No such subaccount"):
        await connect(settings(venue.ready.accounts[1], subaccount="another"))


async def place(session: Session, terms: Terms, name: str) -> Order:
    outcome = await session.place(NewOrder(client_id=name, terms=terms))
    assert isinstance(outcome, Accepted), outcome
    assert outcome.order is not None
    return outcome.order


async def looked_up(session: Session, ref: OrderRef) -> Order | None:
    found = await plugin.snapshot(session, SnapshotRequest(scope=Scope.ORDERS, look_up=(ref,)))
    return found.orders[0] if found.orders else None


async def test_another_process_finds_a_trigger_order_by_its_terms(venue: Rehearsal) -> None:
    """The reply was lost and the process died: nothing at the venue carries our id."""
    session = await log_in(venue)
    one, other = await place(session, STOP, "cdk-one-c0"), await place(session, STOP, "cdk-two-c0")
    await session.close()
    session = await log_in(venue)
    refs = [
        OrderRef(symbol="BTC-PERP", type=STOP.type, client_id=name, terms=STOP, sent_ms=one.created_ms)
        for name in ("cdk-one-c0", "cdk-two-c0", "cdk-three-c0")
    ]
    found = [await looked_up(session, ref) for ref in refs]
    assert [(order.venue_id, order.client_id) for order in found if order] == [
        (one.venue_id, "cdk-one-c0"),
        (other.venue_id, "cdk-two-c0"),
    ]
    assert found[2] is None, "each is found once"
    later = OrderRef(symbol="BTC-PERP", type=STOP.type, client_id="x", terms=STOP, sent_ms=one.created_ms + 60_000)
    assert await looked_up(session, later) is None, "placed long before that was sent"
    await session.close()


async def test_modify_gives_another_order(venue: Rehearsal) -> None:
    """The documented semantics, for bots that use it: the old one is closed, the new one has another id."""
    account = venue.ready.accounts[0]
    session = await log_in(venue)
    limit = Terms(symbol="BTC-PERP", side=Side.BUY, type=OrderType.LIMIT, quantity=Decimal("0.01"), price=Decimal(50_000))
    placed = await place(session, limit, "mine-1")
    signer = Signer(account.secrets["key"], account.secrets["secret"], "")
    body, path = '{"price": 50500}', f"/api/orders/{placed.venue_id}/modify"
    async with aiohttp.ClientSession() as http:
        headers = signer.headers(venue.exchange.now_ms(), "POST", path, body)
        async with http.post(venue.ready.urls["rest"] + path, data=body, headers=headers) as reply:
            told = await reply.json()
    assert told["success"]
    assert str(told["result"]["id"]) != placed.venue_id
    assert told["result"]["price"] == 50_500.0
    (open_,) = venue.exchange.open_orders("main")
    assert open_.terms.price == 50_500
    again = await session.place(NewOrder(client_id="mine-1", terms=limit))
    assert not isinstance(again, Accepted), "a client id is good once, for ever"
    await session.close()
