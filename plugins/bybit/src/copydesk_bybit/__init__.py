"""Bybit for copydesk: the connection kind `bybit`, unified accounts with linear, inverse and spot, through ccxt.

Importing this module imports no venue library; `connect` does, in a thread, once.
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
    from copydesk_bybit.session import Session

KIND = "bybit"
_PLACED = frozenset(OrderType) - {OrderType.TRAILING_STOP}  # Bybit's belongs to a position and has no client id

BYBIT = KindInfo(
    kind=KIND,
    title="Bybit",
    capabilities=Capabilities(
        order_types=_PLACED,
        amend=_PLACED - {OrderType.MARKET},
        amend_price_and_quantity_only=False,
        reduce_only=True,
        hedge_mode=True,
        nets_positions=True,
        native_oco=False,
        client_id_text=True,
        client_id_length=36,
        one_account_per_connection=True,
        orders_per_second=10,
        requests_per_minute=7200,  # 600 in 5 s, per address
    ),
    fields=(
        Field(name="key", title="API key", secret=True),
        Field(name="secret", title="API secret", secret=True),
        Field(name="url", title="REST address (empty: the real venue)", required=False),
        Field(name="ws_url", title="Websocket address (empty: from the REST address)", required=False),
    ),
)


@hookimpl
def describe() -> Description:
    """What this plugin offers."""
    return Description(api=API, name="copydesk-bybit", version=version("copydesk-bybit"), kinds=(BYBIT,))


@hookimpl
async def connect(settings: ConnectionSettings) -> Session:
    """Log in to one account. Raises `AuthFailed` or `NotReady`."""
    from copydesk_bybit.session import connect

    return await connect(settings)


@hookimpl
def subscribe(session: Session, subscription: Subscription) -> AsyncIterator[VenueEvent]:
    """The account's events, and prices of symbols."""
    from copydesk_bybit.stream import events

    return events(session, subscription)


@hookimpl
async def place(session: Session, order: NewOrder) -> Outcome:
    """Place an order under its client id."""
    return await session.place(order)


@hookimpl
async def modify(session: Session, change: OrderChange) -> Outcome:
    """Amend an order's price, quantity and trigger price."""
    return await session.modify(change)


@hookimpl
async def cancel(session: Session, order: OrderRef) -> Outcome:
    """Cancel an order."""
    return await session.cancel(order)


@hookimpl
async def snapshot(session: Session, request: SnapshotRequest) -> Snapshot:
    """Read the truth of the account."""
    from copydesk_bybit.reading import read_snapshot

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
    from copydesk_bybit.rehearsal import start

    return await start(settings)
