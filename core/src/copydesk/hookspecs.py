"""The hook specifications: what a venue plugin implements. API number 1.

A plugin is an object (found through the entry-point group `copydesk.venues`, one entry per connection kind) with functions
that carry `@hookimpl`: a `copydesk.hooks.Plugin`, or a module, or whatever else has them. Core builds one
`pluggy.PluginManager` per connection with exactly that one plugin in it; every hook is
`firstresult`. pluggy does not await: hooks marked *async* return a coroutine (or an async iterator) that core's facade
awaits under a deadline. Each hook takes one frozen record besides the session, so that fields can be added without breaking
anyone. See `docs/hooks.md`, which a test compares with this file.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from typing import Any, Protocol

import pluggy

from copydesk.model import (
    Candle,
    CandleRequest,
    ConnectionSettings,
    Description,
    LeverageChange,
    NewOrder,
    OrderChange,
    OrderGroup,
    OrderRef,
    Outcome,
    RehearsalReady,
    RehearsalSettings,
    Snapshot,
    SnapshotRequest,
    Subscription,
    VenueEvent,
)

API = 1
PROJECT = "copydesk"
ENTRY_POINT_GROUP = "copydesk.venues"
REQUIRED = ("describe", "connect", "subscribe", "place", "modify", "cancel", "snapshot", "close")
OPTIONAL = ("place_group", "set_leverage", "candles", "rehearse")

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)

Session = Any
"""A plugin's own live link to a venue. Opaque to core: it is handed back to the plugin's hooks and never looked into."""


class RunningRehearsal(Protocol):
    """A rehearsal venue that is serving. `ready` tells how to reach it; `stop()` ends it and returns when it has ended."""

    ready: RehearsalReady

    async def stop(self) -> None: ...


class VenueSpec:
    """The hooks of one venue plugin."""

    @hookspec(firstresult=True)
    def describe(self) -> Description:  # type: ignore[empty-body]
        """Say which connection kinds this plugin offers and what each can do. Sync, cheap, imports no venue library.

        Fires: when the plugin is loaded, when kinds are listed.
        """

    @hookspec(firstresult=True)
    def connect(self, settings: ConnectionSettings) -> Awaitable[Session]:  # type: ignore[empty-body]
        """Log in and return a session. Async. Loads instruments, which `session.instruments` then maps by symbol.

        Fires: when a bot or a person needs the connection. The session keeps itself connected from then on.
        The session carries `instruments: Mapping[str, Instrument]` and `accounts: Sequence[str]`.
        Raises `NotReady` (try again later), `AuthFailed` (a person has to act) or `VenueClosed`.
        """

    @hookspec(firstresult=True)
    def subscribe(self, session: Session, subscription: Subscription) -> AsyncIterator[VenueEvent]:  # type: ignore[empty-body]
        """Yield what happens: order, fill, position and balance events of all the session's accounts, prices of `symbols`.

        Async iterator. Every report is yielded, in the venue's order, none merged. `StreamLost` when the stream drops;
        a `Gap` first of all, and after every reconnect, once the stream is listening again.
        Fires: once per connection for the private stream, and once more for each set of symbols whose prices are wanted.
        """

    @hookspec(firstresult=True)
    def place(self, session: Session, order: NewOrder) -> Awaitable[Outcome]:  # type: ignore[empty-body]
        """Place an order under its `client_id`, unchanged. Async.

        Fires: for each planned order; again with the same order where the venue said for long enough that it has no such
        id. Returns `Accepted` or `Rejected`; `Unknown` wherever the order may have reached the venue. Never retries itself.
        """

    @hookspec(firstresult=True)
    def modify(self, session: Session, change: OrderChange) -> Awaitable[Outcome]:  # type: ignore[empty-body]
        """Give a working order new terms. Async. Only called for types in `Capabilities.amend` and `shrink`."""

    @hookspec(firstresult=True)
    def cancel(self, session: Session, order: OrderRef) -> Awaitable[Outcome]:  # type: ignore[empty-body]
        """Cancel a working order. Async. An order that is not working any more is `Rejected(NOT_FOUND)`."""

    @hookspec(firstresult=True)
    def snapshot(self, session: Session, request: SnapshotRequest) -> Awaitable[Snapshot]:  # type: ignore[empty-body]
        """Read the truth of one account. Async. A part that cannot be read raises; it is never left empty.

        Fires: after every `Gap`, when an outcome is unknown (with the order in `look_up`), and on a timer.
        """

    @hookspec(firstresult=True)
    def close(self, session: Session) -> Awaitable[None]:  # type: ignore[empty-body]
        """Close the session and end all its tasks. Async. Iterators of `subscribe` end."""

    @hookspec(firstresult=True)
    def place_group(self, session: Session, group: OrderGroup) -> Awaitable[Outcome]:  # type: ignore[empty-body]
        """Place a stop and a target of which one cancels the other, both or none. Async. Optional.

        Fires: for the protective orders of a child whose parent has them as one group, where `Capabilities.native_oco`.
        One outcome for the whole; `Accepted.legs` has both orders, each with the same `Order.group`.
        """

    @hookspec(firstresult=True)
    def set_leverage(self, session: Session, change: LeverageChange) -> Awaitable[Outcome]:  # type: ignore[empty-body]
        """Set the leverage of one symbol. Async. Optional.

        Fires: before a bot starts, where a child's setting asks for it.
        """

    @hookspec(firstresult=True)
    def candles(self, session: Session, request: CandleRequest) -> Awaitable[tuple[Candle, ...]]:  # type: ignore[empty-body]
        """Past bars of one symbol, oldest first, for charts. Async. Optional."""

    @hookspec(firstresult=True)
    def rehearse(self, settings: RehearsalSettings) -> Awaitable[RunningRehearsal]:  # type: ignore[empty-body]
        """Start the venue's rehearsal server on loopback and return it running. Async. Optional.

        Fires: for `copydesk rehearse` and `copydesk demo`. The server runs in the calling event loop.
        """


class VenuePlugin(Protocol):
    """The typed twin of `VenueSpec`: `plugin: VenuePlugin = my_module` lets mypy check a plugin."""

    def describe(self) -> Description: ...
    def connect(self, settings: ConnectionSettings) -> Awaitable[Session]: ...
    def subscribe(self, session: Any, subscription: Subscription) -> AsyncIterator[VenueEvent]: ...
    def place(self, session: Any, order: NewOrder) -> Awaitable[Outcome]: ...
    def modify(self, session: Any, change: OrderChange) -> Awaitable[Outcome]: ...
    def cancel(self, session: Any, order: OrderRef) -> Awaitable[Outcome]: ...
    def snapshot(self, session: Any, request: SnapshotRequest) -> Awaitable[Snapshot]: ...
    def close(self, session: Any) -> Awaitable[None]: ...
