"""The hooks of one connection kind as one object, over a session that has a method for each of them.

    plugin = Plugin("copydesk-notebook", NOTEBOOK, connect="copydesk_notebook.session:connect")

is a whole plugin, and its entry point is `notebook = "copydesk_notebook:plugin"`. What a plugin writes itself is what its
kind is (`KindInfo`), how one logs in (`connect`), the session, and the rehearsal venue where it has one. A function may be
named by where it stands; its module is then imported when it is first called, so that listing kinds stays cheap. A plugin
that wants it otherwise writes the hooks of `hookspecs` itself, as functions of a module.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from importlib.metadata import version
from pkgutil import resolve_name
from typing import Any, Protocol, TypeAlias

from copydesk.errors import PluginError
from copydesk.hookspecs import API, OPTIONAL, REQUIRED, RunningRehearsal, hookimpl
from copydesk.model import (
    Candle,
    CandleRequest,
    ConnectionSettings,
    Description,
    Instrument,
    KindInfo,
    LeverageChange,
    NewOrder,
    OrderChange,
    OrderGroup,
    OrderRef,
    Outcome,
    RehearsalSettings,
    Snapshot,
    SnapshotRequest,
    Subscription,
    VenueEvent,
)


class Session(Protocol):
    """What `connect` returns: a live link to a venue. Each method is the hook of its name, as `docs/hooks.md` tells it.

    `rehearsal: bool` and `notice: str` may be there besides.
    """

    @property
    def instruments(self) -> Mapping[str, Instrument]: ...
    @property
    def accounts(self) -> Sequence[str]: ...
    def subscribe(self, subscription: Subscription, /) -> AsyncIterator[VenueEvent]: ...
    async def place(self, order: NewOrder, /) -> Outcome: ...
    async def modify(self, change: OrderChange, /) -> Outcome: ...
    async def cancel(self, order: OrderRef, /) -> Outcome: ...
    async def snapshot(self, request: SnapshotRequest, /) -> Snapshot: ...
    async def close(self) -> None: ...


class PlacesGroups(Session, Protocol):
    """The session of a kind with `Capabilities.native_oco`."""

    async def place_group(self, group: OrderGroup, /) -> Outcome: ...


class SetsLeverage(Session, Protocol):
    """The session of a plugin made with `leverage=True`."""

    async def set_leverage(self, change: LeverageChange, /) -> Outcome: ...


class TellsCandles(Session, Protocol):
    """The session of a plugin made with `candles=True`."""

    async def candles(self, request: CandleRequest, /) -> tuple[Candle, ...]: ...


Done: TypeAlias = Callable[[Outcome], None]
"""Takes what became of a request that was fired. Called once, from the event loop, after `fire` has returned."""
Tell: TypeAlias = Callable[[VenueEvent, int], bool]
"""Takes an event and the moment at which its bytes were read (`time.perf_counter_ns()`, 0 where unknown). Never raises.

True where something is to be sent that could not be fired: whoever reads on in a loop may let it go first.
"""


class Fires(Session, Protocol):
    """A session of a `Plugin` that can send in the very call, without a task of the event loop.

    Each method is optional by itself.

    True: the request's bytes have been handed to the socket, and `done` will be called once, later, never within the call.
    False: nothing was sent and `done` is never called (no shape prepared for this order, no idle connection, a budget or
    back-off in the way, closed); core then calls `place`, `cancel` or `modify` with the same. The deadline is
    core's: past it the outcome is `Unknown` and a later `done` goes unheard. What a method raises is a defect, and counts
    as `Unknown`.
    """

    def fire(self, order: NewOrder, done: Done, /) -> bool: ...
    def fire_cancel(self, order: OrderRef, done: Done, /) -> bool: ...
    def fire_modify(self, change: OrderChange, done: Done, /) -> bool: ...


class Warms(Fires, Protocol):
    """A session that can go through its part of a copy without sending anything."""

    def warm_up(self, order: NewOrder, /) -> None:
        """Do all of `fire` but the sending, and decode an everyday report: what was not run for milliseconds has left the
        processor's caches, and takes several times as long. Called every few milliseconds while nothing comes in, with an
        order that is never sent. Changes nothing that can be told from outside.
        """
        ...


class Listens(Session, Protocol):
    """A session that calls for each event as it reads it, instead of handing it over through an iterator."""

    async def listen(self, subscription: Subscription, tell: Tell, /) -> None:
        """What `subscribe` does, told by calls: the same events in the same order, from the event loop.

        Returns when the session is closed, raises what `subscribe` raises; cancelled when no longer wanted. `tell` is not
        called before this was awaited, nor after it has ended. The events of one frame may be told in one go.
        """
        ...


class Wakes(Session, Protocol):
    """A session that tells where its private stream is read from."""

    @property
    def stream_fileno(self) -> int:
        """The file descriptor of the private stream, as the event loop knows it; -1 while there is none.

        Where the account is a working bot's parent, the loop looks there before it looks anywhere else.
        """
        ...


WITHOUT_SESSION = ("describe", "connect", "rehearse")
Connect: TypeAlias = Callable[[ConnectionSettings], Awaitable[Session]]
Rehearse: TypeAlias = Callable[[RehearsalSettings], Awaitable[RunningRehearsal]]


class Plugin:
    """All hooks of one kind.

    `distribution` is what one installs; its version is told with the kind. `connect` and `rehearse` are functions, or where
    they stand: `"package.module:function"`. `leverage` and `candles` say that the session has `set_leverage` and `candles`;
    it has `place_group` where the kind has `native_oco`. An optional hook that a plugin does not have is not there.
    """

    def __init__(
        self,
        distribution: str,
        info: KindInfo,
        *,
        connect: str | Connect,
        rehearse: str | Rehearse = "",
        leverage: bool = False,
        candles: bool = False,
    ) -> None:
        self.distribution = distribution
        self.info = info
        self._connect = connect
        self._rehearse = rehearse
        groups = info.capabilities.native_oco
        has = {"place_group": groups, "set_leverage": leverage, "candles": candles, "rehearse": bool(rehearse)}
        for hook in OPTIONAL:
            if not has[hook]:
                setattr(self, hook, None)  # as `__hash__ = None` does: pluggy passes over what cannot be called

    def __repr__(self) -> str:
        return f"Plugin({self.distribution!r}, {self.info.kind!r})"

    @hookimpl
    def describe(self) -> Description:
        """What this plugin offers: its one kind."""
        return Description(api=API, name=self.distribution, version=version(self.distribution), kinds=(self.info,))

    @hookimpl
    async def connect(self, settings: ConnectionSettings) -> Session:
        """Log in. Raises what the plugin's own function raises, and `PluginError` where its session lacks a method."""
        session: Session = await _found(self._connect)(settings)
        hooks = [hook for hook in (*REQUIRED, *OPTIONAL) if hook not in WITHOUT_SESSION and getattr(self, hook)]
        missing = [hook for hook in hooks if not callable(getattr(session, hook, None))]
        if missing:
            lacks = f"its session lacks {', '.join(missing)}"
            raise PluginError(f"the plugin {self.distribution} cannot be used: {lacks}; upgrade it, or tell its author")
        return session

    @hookimpl
    def subscribe(self, session: Session, subscription: Subscription) -> AsyncIterator[VenueEvent]:
        return session.subscribe(subscription)

    @hookimpl
    async def place(self, session: Session, order: NewOrder) -> Outcome:
        return await session.place(order)

    @hookimpl
    async def modify(self, session: Session, change: OrderChange) -> Outcome:
        return await session.modify(change)

    @hookimpl
    async def cancel(self, session: Session, order: OrderRef) -> Outcome:
        return await session.cancel(order)

    @hookimpl
    async def snapshot(self, session: Session, request: SnapshotRequest) -> Snapshot:
        return await session.snapshot(request)

    @hookimpl
    async def close(self, session: Session) -> None:
        await session.close()

    @hookimpl
    async def place_group(self, session: PlacesGroups, group: OrderGroup) -> Outcome:
        return await session.place_group(group)

    @hookimpl
    async def set_leverage(self, session: SetsLeverage, change: LeverageChange) -> Outcome:
        return await session.set_leverage(change)

    @hookimpl
    async def candles(self, session: TellsCandles, request: CandleRequest) -> tuple[Candle, ...]:
        return await session.candles(request)

    @hookimpl
    async def rehearse(self, settings: RehearsalSettings) -> RunningRehearsal:
        running: RunningRehearsal = await _found(self._rehearse)(settings)
        return running


def _found(function: str | Callable[..., Any]) -> Callable[..., Any]:
    """The function itself, or the one of that name, its module imported."""
    found: Callable[..., Any] = resolve_name(function) if isinstance(function, str) else function
    return found
