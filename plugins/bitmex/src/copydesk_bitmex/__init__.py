"""BitMEX for copydesk: the connection kind `bitmex`. The venue closed in September 2026; it lives on as a rehearsal server.

Importing this module imports no venue library; `connect` does.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import TYPE_CHECKING

from copydesk.hookspecs import API, RunningRehearsal, hookimpl
from copydesk.model import (
    Candle,
    CandleRequest,
    Capabilities,
    ConnectionSettings,
    Description,
    Field,
    KindInfo,
    NewOrder,
    OrderChange,
    OrderRef,
    OrderType,
    Outcome,
    RehearsalSettings,
    Snapshot,
    SnapshotRequest,
    Subscription,
    VenueEvent,
)

if TYPE_CHECKING:
    from copydesk_bitmex.session import Session

KIND = "bitmex"

BITMEX = KindInfo(
    kind=KIND,
    title="BitMEX",
    closed_on="2026-09-23",
    capabilities=Capabilities(
        order_types=frozenset(OrderType),
        amend=frozenset(OrderType) - {OrderType.MARKET},
        reduce_only=True,
        hedge_mode=False,
        nets_positions=True,
        native_oco=False,
        client_id_text=True,
        client_id_length=36,
        one_account_per_connection=True,
        orders_per_second=10,
        requests_per_minute=120,
    ),
    fields=(
        Field(name="key", title="API key", secret=True),
        Field(name="secret", title="API secret", secret=True),
        Field(name="url", title="REST address of a rehearsal: the real venue is closed", required=False),
        Field(name="ws_url", title="Websocket address (empty: from the REST address)", required=False),
    ),
)


@hookimpl
def describe() -> Description:
    """What this plugin offers."""
    return Description(api=API, name="copydesk-bitmex", version=version("copydesk-bitmex"), kinds=(BITMEX,))


@hookimpl
async def connect(settings: ConnectionSettings) -> Session:
    """Log in to one account. Raises `VenueClosed` without an address, `AuthFailed` or `NotReady`."""
    from copydesk_bitmex.session import connect

    return await connect(settings)


@hookimpl
def subscribe(session: Session, subscription: Subscription) -> AsyncIterator[VenueEvent]:
    """The account's events, and prices of symbols."""
    from copydesk_bitmex.stream import events

    return events(session, subscription)


@hookimpl
async def place(session: Session, order: NewOrder) -> Outcome:
    """Place an order under its client id."""
    return await session.place(order)


@hookimpl
async def modify(session: Session, change: OrderChange) -> Outcome:
    """Amend a working order: quantity, price, trigger, trail."""
    return await session.modify(change)


@hookimpl
async def cancel(session: Session, order: OrderRef) -> Outcome:
    """Cancel an order."""
    return await session.cancel(order)


@hookimpl
async def snapshot(session: Session, request: SnapshotRequest) -> Snapshot:
    """Read the truth of the account."""
    from copydesk_bitmex.reading import read_snapshot

    return await read_snapshot(session, request)


@hookimpl
async def candles(session: Session, request: CandleRequest) -> tuple[Candle, ...]:
    """Past bars of one symbol."""
    return await session.candles(request)


@hookimpl
async def close(session: Session) -> None:
    """Close the session and end its tasks."""
    await session.close()


@hookimpl
async def rehearse(settings: RehearsalSettings) -> RunningRehearsal:
    """Start the venue's rehearsal server on loopback."""
    from copydesk_bitmex.rehearsal import start

    return await start(settings)
