"""Binance for copydesk: the connection kind `binance-futures`, USD-M futures through ccxt.

Importing this module imports no venue library; `connect` does, in a thread, once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import TYPE_CHECKING

from copydesk.hookspecs import API, RunningRehearsal, hookimpl
from copydesk.model import (
    BudgetScope,
    Candle,
    CandleRequest,
    Capabilities,
    ConnectionSettings,
    Costs,
    Description,
    Field,
    KindInfo,
    LeverageChange,
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
    from copydesk_binance.session import Session

KIND = "binance-futures"

FUTURES = KindInfo(
    kind=KIND,
    title="Binance USD-M futures",
    capabilities=Capabilities(
        order_types=frozenset(OrderType),
        amend=frozenset({OrderType.LIMIT}),
        amend_price_and_quantity_only=True,
        reduce_only=True,
        hedge_mode=True,
        nets_positions=True,
        native_oco=False,
        client_id_text=True,
        client_id_length=36,
        one_account_per_connection=True,
        orders_per_second=20,  # 1200 per minute; the other limit, 300 per 10 s, lies above it
        orders_scope=BudgetScope.ACCOUNT,
        requests_per_minute=2400,  # weight, per address: of all connections together
        requests_scope=BudgetScope.MACHINE,
        costs=Costs(place=0, modify=0, cancel=1, look_up=1, account=90, symbols=28),  # as `reading.py` reads
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
    return Description(api=API, name="copydesk-binance", version=version("copydesk-binance"), kinds=(FUTURES,))


@hookimpl
async def connect(settings: ConnectionSettings) -> Session:
    """Log in to one account. Raises `AuthFailed` or `NotReady`."""
    from copydesk_binance.session import connect

    return await connect(settings)


@hookimpl
def subscribe(session: Session, subscription: Subscription) -> AsyncIterator[VenueEvent]:
    """The account's events, and prices of symbols."""
    from copydesk_binance.stream import events

    return events(session, subscription)


@hookimpl
async def place(session: Session, order: NewOrder) -> Outcome:
    """Place an order under its client id."""
    return await session.place(order)


@hookimpl
async def modify(session: Session, change: OrderChange) -> Outcome:
    """Amend a limit order's price and quantity."""
    return await session.modify(change)


@hookimpl
async def cancel(session: Session, order: OrderRef) -> Outcome:
    """Cancel an order."""
    return await session.cancel(order)


@hookimpl
async def set_leverage(session: Session, change: LeverageChange) -> Outcome:
    """Set the leverage of one symbol."""
    return await session.set_leverage(change)


@hookimpl
async def snapshot(session: Session, request: SnapshotRequest) -> Snapshot:
    """Read the truth of the account."""
    from copydesk_binance.reading import read_snapshot

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
    from copydesk_binance.rehearsal import start

    return await start(settings)
