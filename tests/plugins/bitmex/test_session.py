"""What only BitMEX does: a closed venue, tables in parts, satoshi, client ids that are good once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
from copydesk.errors import VenueClosed
from copydesk.model import (
    Accepted,
    ConnectionSettings,
    NewOrder,
    OrderType,
    RehearsalSettings,
    Rejected,
    RejectReason,
    Side,
    Terms,
)
from copydesk_bitmex import plugin, translate
from copydesk_bitmex.rehearsal import Rehearsal, start
from copydesk_bitmex.session import Session, connect
from copydesk_bitmex.tables import Table
from copydesk_wire.errors import Unreadable

LIMIT = Terms(symbol="XBTUSD", side=Side.BUY, type=OrderType.LIMIT, quantity=Decimal(100), price=Decimal(50_000))


@pytest.fixture
async def venue() -> AsyncIterator[Rehearsal]:
    settings = RehearsalSettings(kind="bitmex", accounts={"main": Decimal(100_000)}, speed=Decimal(0))
    rehearsal = await start(settings)
    yield rehearsal
    await rehearsal.stop()


@pytest.fixture
async def session(venue: Rehearsal) -> AsyncIterator[Session]:
    (account,) = venue.ready.accounts
    session = await connect(
        ConnectionSettings(name="main", kind="bitmex", options=account.options, secrets=account.secrets)
    )
    yield session
    await session.close()


async def test_without_an_address_the_venue_is_closed() -> None:
    secrets = {"key": "k", "secret": "s"}
    with pytest.raises(VenueClosed, match="BitMEX closed on 23 September 2026"):
        await plugin.connect(ConnectionSettings(name="main", kind="bitmex", secrets=secrets))
    (kind,) = plugin.describe().kinds
    assert kind.closed_on == "2026-09-23"


async def test_what_the_key_may_do_is_told(session: Session) -> None:
    assert session.permissions == ("read", "order")
    assert translate.permissions([{"id": "another", "permissions": ["withdraw"]}], "mine") is None


async def test_tether_and_bitcoin_are_one_balance(session: Session) -> None:
    balance = await session.read_margins()
    assert session.margins["USDT"].equity == 100_000
    assert balance.currency == "USDT"
    assert abs(balance.equity - 200_000) < 100, "as much in bitcoin as in tether"


async def test_an_inverse_position_is_counted_in_contracts(venue: Rehearsal, session: Session) -> None:
    market = Terms(symbol="XBTUSD", side=Side.BUY, type=OrderType.MARKET, quantity=Decimal(600))
    outcome = await session.place(NewOrder(client_id="mine-1", terms=market))
    assert isinstance(outcome, Accepted)
    (held,) = venue.exchange.positions("main")
    assert held.quantity == 600
    told = venue.venue.positions(venue.venue.accounts["main"])[0]
    assert told["currentQty"] == 600
    assert abs(told["markValue"]) == pytest.approx(600 / 60_000 * 1e8, rel=0.01), "in satoshi"


async def test_a_client_id_is_good_once(session: Session) -> None:
    first = await session.place(NewOrder(client_id="mine-1", terms=LIMIT))
    assert isinstance(first, Accepted)
    again = await session.place(NewOrder(client_id="mine-1", terms=LIMIT))
    assert isinstance(again, Rejected)
    assert again.reason is RejectReason.DUPLICATE_ID


def test_a_table_is_put_together_from_parts() -> None:
    table = Table("order")
    whole = {"orderID": "a", "price": 5, "leavesQty": 3}
    assert table.take("partial", [whole]) == [whole]
    assert table.take("update", [{"orderID": "a", "leavesQty": 1}]) == [{"orderID": "a", "price": 5, "leavesQty": 1}]
    assert table.take("delete", [{"orderID": "a"}]) == []
    with pytest.raises(Unreadable, match="never told of"):
        table.take("update", [{"orderID": "a", "leavesQty": 0}])
