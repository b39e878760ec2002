"""Binance for copydesk: the connection kinds `binance` (spot) and `binance-futures` (USD-M futures), through ccxt.

Importing this module imports no venue library; `connect` does, in a thread, once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import TYPE_CHECKING, TypeAlias

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
    OrderGroup,
    OrderRef,
    OrderType,
    Outcome,
    RehearsalSettings,
    Rejected,
    RejectReason,
    Snapshot,
    SnapshotRequest,
    Subscription,
    VenueEvent,
)

if TYPE_CHECKING:
    from copydesk_binance.session import Session
    from copydesk_binance.spot.session import SpotSession

    AnySession: TypeAlias = Session | SpotSession

KIND = "binance-futures"
SPOT_KIND = "binance"

FIELDS = (
    Field(name="key", title="API key", secret=True),
    Field(name="secret", title="API secret", secret=True),
    Field(name="url", title="REST address (empty: the real venue)", required=False),
    Field(name="ws_url", title="Websocket address (empty: from the REST address)", required=False),
)

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
    fields=FIELDS,
)


SPOT = KindInfo(
    kind=SPOT_KIND,
    title="Binance spot",
    capabilities=Capabilities(
        order_types=frozenset(OrderType),
        amend=frozenset(),
        amend_price_and_quantity_only=True,
        shrink=frozenset(OrderType) - {OrderType.MARKET},
        reduce_only=False,
        hedge_mode=False,
        nets_positions=True,
        shorts=False,
        native_oco=True,
        client_id_text=True,
        client_id_length=36,
        one_account_per_connection=True,
        orders_per_second=10,  # 100 per 10 s
        orders_scope=BudgetScope.ACCOUNT,
        requests_per_minute=6000,  # weight, per address: of all connections together
        requests_scope=BudgetScope.MACHINE,
        costs=Costs(place=1, modify=4, cancel=1, look_up=4, account=144, symbols=70),  # as `spot/reading.py` reads
    ),
    fields=FIELDS,
)


@hookimpl
def describe() -> Description:
    """What this plugin offers."""
    return Description(api=API, name="copydesk-binance", version=version("copydesk-binance"), kinds=(SPOT, FUTURES))


@hookimpl
async def connect(settings: ConnectionSettings) -> AnySession:
    """Log in to one account. Raises `AuthFailed` or `NotReady`."""
    if settings.kind == SPOT_KIND:
        from copydesk_binance.spot.session import connect as connect_spot

        return await connect_spot(settings)
    from copydesk_binance.session import connect as connect_futures

    return await connect_futures(settings)


@hookimpl
def subscribe(session: AnySession, subscription: Subscription) -> AsyncIterator[VenueEvent]:
    """The account's events, and prices of symbols."""
    from copydesk_binance.session import Session

    if isinstance(session, Session):
        from copydesk_binance.stream import events

        return events(session, subscription)
    from copydesk_binance.spot.stream import events as spot_events

    return spot_events(session, subscription)


@hookimpl
async def place(session: AnySession, order: NewOrder) -> Outcome:
    """Place an order under its client id."""
    return await session.place(order)


@hookimpl
async def modify(session: AnySession, change: OrderChange) -> Outcome:
    """Amend an order: futures, a limit order's price and quantity; spot, a smaller quantity."""
    return await session.modify(change)


@hookimpl
async def place_group(session: AnySession, group: OrderGroup) -> Outcome:
    """Place a stop and a target as one list. Spot only: futures have no such lists."""
    from copydesk_binance.session import Session

    if isinstance(session, Session):
        return Rejected(reason=RejectReason.OTHER, message="Binance futures link no orders: place them one by one.")
    return await session.place_group(group)


@hookimpl
async def cancel(session: AnySession, order: OrderRef) -> Outcome:
    """Cancel an order."""
    return await session.cancel(order)


@hookimpl
async def set_leverage(session: AnySession, change: LeverageChange) -> Outcome:
    """Set the leverage of one symbol. Futures only."""
    from copydesk_binance.session import Session

    if isinstance(session, Session):
        return await session.set_leverage(change)
    return Rejected(reason=RejectReason.OTHER, message="Spot has no leverage.")


@hookimpl
async def snapshot(session: AnySession, request: SnapshotRequest) -> Snapshot:
    """Read the truth of the account."""
    from copydesk_binance.session import Session

    if isinstance(session, Session):
        from copydesk_binance.reading import read_snapshot

        return await read_snapshot(session, request)
    from copydesk_binance.spot.reading import read_snapshot as read_spot

    return await read_spot(session, request)


@hookimpl
async def candles(session: AnySession, request: CandleRequest) -> tuple[Candle, ...]:
    """Past bars of one symbol."""
    return await session.candles(request)


@hookimpl
async def close(session: AnySession) -> None:
    """Close the session and end its tasks."""
    await session.close()


@hookimpl
async def rehearse(settings: RehearsalSettings) -> RunningRehearsal:
    """Start the venue's rehearsal server on loopback."""
    if settings.kind == SPOT_KIND:
        from copydesk_binance.rehearsal.spot import start as start_spot

        return await start_spot(settings)
    from copydesk_binance.rehearsal import start

    return await start(settings)
