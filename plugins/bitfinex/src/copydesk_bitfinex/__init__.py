"""Bitfinex for copydesk: the connection kind `bitfinex`: derivatives, margin and exchange pairs over API v2.

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
    Costs,
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
    from copydesk_bitfinex.session import Session

KIND = "bitfinex"
DEFAULT_CURRENCY = "USTF0"
_PLACED = frozenset(
    {OrderType.MARKET, OrderType.LIMIT, OrderType.STOP_MARKET, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP}
)

BITFINEX = KindInfo(
    kind=KIND,
    title="Bitfinex",
    capabilities=Capabilities(
        order_types=_PLACED,
        amend=_PLACED - {OrderType.MARKET, OrderType.TRAILING_STOP},
        amend_price_and_quantity_only=False,
        reduce_only=True,
        hedge_mode=False,
        nets_positions=True,
        native_oco=False,
        client_id_text=True,  # as `meta.label`; the venue's own `cid` is a number made of it
        client_id_length=64,
        one_account_per_connection=True,
        orders_per_second=3,  # 1000 in five minutes
        requests_per_minute=450,  # 90 of each kind: reading an account takes five kinds
        costs=Costs(look_up=2),
    ),
    fields=(
        Field(name="key", title="API key", secret=True),
        Field(name="secret", title="API secret", secret=True),
        Field(
            name="currency",
            title="Currency in which the account's worth is told",
            required=False,
            default=DEFAULT_CURRENCY,
        ),
        Field(name="url", title="REST address (empty: the real venue)", required=False),
        Field(name="ws_url", title="Websocket address (empty: from the REST address)", required=False),
    ),
)


@hookimpl
def describe() -> Description:
    """What this plugin offers."""
    return Description(api=API, name="copydesk-bitfinex", version=version("copydesk-bitfinex"), kinds=(BITFINEX,))


@hookimpl
async def connect(settings: ConnectionSettings) -> Session:
    """Log in to one account. Raises `AuthFailed` or `NotReady`."""
    from copydesk_bitfinex.session import connect

    return await connect(settings)


@hookimpl
def subscribe(session: Session, subscription: Subscription) -> AsyncIterator[VenueEvent]:
    """The account's events, and prices of symbols."""
    from copydesk_bitfinex.stream import events

    return events(session, subscription)


@hookimpl
async def place(session: Session, order: NewOrder) -> Outcome:
    """Place an order under the number that its client id gives."""
    return await session.place(order)


@hookimpl
async def modify(session: Session, change: OrderChange) -> Outcome:
    """Update an order's price, quantity and trigger price; it keeps its id."""
    return await session.modify(change)


@hookimpl
async def cancel(session: Session, order: OrderRef) -> Outcome:
    """Cancel an order."""
    return await session.cancel(order)


@hookimpl
async def snapshot(session: Session, request: SnapshotRequest) -> Snapshot:
    """Read the truth of the account."""
    from copydesk_bitfinex.reading import read_snapshot

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
    from copydesk_bitfinex.rehearsal import start

    return await start(settings)
