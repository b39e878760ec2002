"""FTX for copydesk: the connection kind `ftx`. The venue closed in November 2022; it lives on as a rehearsal server.

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
    from copydesk_ftx.session import Session

KIND = "ftx"

FTX = KindInfo(
    kind=KIND,
    title="FTX",
    closed_on="2022-11-11",
    capabilities=Capabilities(
        order_types=frozenset(OrderType),
        amend=frozenset(),  # FTX modified by cancelling and placing anew, under another id: the engine does so itself
        reduce_only=True,
        hedge_mode=False,
        nets_positions=True,
        native_oco=False,
        client_id_text=True,
        client_id_length=64,
        one_account_per_connection=True,
        orders_per_second=30,
        requests_per_minute=1800,
    ),
    fields=(
        Field(name="key", title="API key", secret=True),
        Field(name="secret", title="API secret", secret=True),
        Field(name="subaccount", title="Subaccount (empty: the main account)", required=False),
        Field(name="url", title="REST address of a rehearsal: the real venue is closed", required=False),
        Field(name="ws_url", title="Websocket address (empty: from the REST address)", required=False),
    ),
)


@hookimpl
def describe() -> Description:
    """What this plugin offers."""
    return Description(api=API, name="copydesk-ftx", version=version("copydesk-ftx"), kinds=(FTX,))


@hookimpl
async def connect(settings: ConnectionSettings) -> Session:
    """Log in to one account or subaccount. Raises `VenueClosed` without an address, `AuthFailed` or `NotReady`."""
    from copydesk_ftx.session import connect

    return await connect(settings)


@hookimpl
def subscribe(session: Session, subscription: Subscription) -> AsyncIterator[VenueEvent]:
    """The account's events, and prices of symbols."""
    from copydesk_ftx.stream import events

    return events(session, subscription)


@hookimpl
async def place(session: Session, order: NewOrder) -> Outcome:
    """Place an order under its client id."""
    return await session.place(order)


@hookimpl
async def modify(session: Session, change: OrderChange) -> Outcome:
    """Never called: no type of order can be amended."""
    return await session.modify(change)


@hookimpl
async def cancel(session: Session, order: OrderRef) -> Outcome:
    """Cancel an order."""
    return await session.cancel(order)


@hookimpl
async def snapshot(session: Session, request: SnapshotRequest) -> Snapshot:
    """Read the truth of the account."""
    from copydesk_ftx.reading import read_snapshot

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
    from copydesk_ftx.rehearsal import start

    return await start(settings)
