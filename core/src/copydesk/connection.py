"""One configured connection kept open: logs in, reads its stream, takes snapshots, and comes back by itself.

What it hears goes to a `Listener` (the engine) at once, in the event loop, in the order in which it came.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from contextlib import suppress
from decimal import Decimal
from typing import Any, Protocol

import pluggy

from copydesk.errors import AuthFailed, CopydeskError, NotReady, PluginError, RateLimited, UsageError, VenueClosed
from copydesk.model import (
    AccountEvent,
    ConnectionSettings,
    Gap,
    KindInfo,
    OrderEvent,
    OrderRef,
    PriceEvent,
    Scope,
    Snapshot,
    SnapshotRequest,
    StreamLost,
    Subscription,
    VenueEvent,
)
from copydesk.venue import Venue, open_venue
from copydesk.view import ConnectionState

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 30.0
REACH_BACK_MS = 120_000
"""How far before the last known moment a snapshot reaches back: late reports and skewed clocks fit into it."""


class Listener(Protocol):
    """Who is told what a connection hears. All calls are synchronous.

    `heard` returns true where something is now waiting to be sent: the reader then lets it go before it reads on.
    """

    def heard(self, key: str, event: AccountEvent | PriceEvent, received_ns: int) -> bool: ...
    def read(self, key: str, snapshot: Snapshot) -> None: ...
    def changed(self, connection: Connection) -> None: ...
    def venue_ms(self, key: str) -> int: ...
    def scope(self, key: str) -> Scope: ...
    def symbols(self, key: str) -> tuple[str, ...]: ...
    def positions(self, key: str) -> dict[str, Decimal] | None: ...


class Quiet:
    """A time in which nothing is read, because the venue said that it was too much. Shared by all that share the limit."""

    def __init__(self) -> None:
        self._until = 0.0
        self.pauses = 0

    @property
    def left_s(self) -> float:
        """How many seconds of it are left; zero or below where it is over."""
        return self._until - time.monotonic()

    def keep(self, seconds: float) -> None:
        self.pauses += 1
        self._until = max(self._until, time.monotonic() + seconds)


class Connection:
    """A login by name. `state` and `message` say how it is; `keys` are its accounts."""

    def __init__(
        self,
        name: str,
        info: KindInfo,
        listener: Listener,
        *,
        connect_s: float,
        send_s: float,
        read_s: float,
        quiet: Quiet | None = None,
    ) -> None:
        self.name = name
        self.info = info
        self.state = ConnectionState.CONNECTING
        self.message = ""
        self.venue: Venue | None = None
        self.keys: tuple[str, ...] = (name,)
        self._listener = listener
        self.quiet = quiet or Quiet()
        self.since_ns = time.time_ns()
        self._limits = {"connect_s": connect_s, "send_s": send_s, "read_s": read_s}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._snapshots: dict[str, asyncio.Task[None]] = {}
        self._wanted_prices: tuple[str, ...] = ()
        self._price_task: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self._opened: tuple[pluggy.PluginManager, ConnectionSettings] | None = None
        self._life: asyncio.Task[Any] | None = None

    # --- life -----------------------------------------------------------------------------------------------------

    def start(self, manager: pluggy.PluginManager, settings: ConnectionSettings) -> None:
        """Begin to connect, and stay connected until `stop`."""
        self._opened = (manager, settings)
        self._life = self._spawn(self._live(manager, settings))

    async def reconnect(self) -> None:
        """Leave the venue and log in anew, at once. Raises `NotReady` where it never had what it needs to begin."""
        if self._opened is None or self._life is None:
            raise NotReady(f"{self.name} cannot be connected: {self.message}; correct that, then start the engine again")
        self._life.cancel()
        with suppress(asyncio.CancelledError):
            await self._life
        self._down("it is connected anew")
        venue, self.venue = self.venue, None
        if venue is not None:
            await venue.close()
        self._set(ConnectionState.CONNECTING)
        self.start(*self._opened)

    async def stop(self) -> None:
        """End all tasks and the session."""
        for task in list(self._tasks):
            task.cancel()
        for task in list(self._tasks):
            with suppress(asyncio.CancelledError):
                await task
        if self.venue is not None:
            await self.venue.close()
            self.venue = None

    async def until_up(self, timeout_s: float) -> None:
        """Return once the connection is up. Raises `NotReady` with the reason when it is not in time."""
        if self.state is ConnectionState.REFUSED:
            raise NotReady(f"{self.name} cannot be used: {self.message}")
        try:
            async with asyncio.timeout(timeout_s):
                await self._up.wait()
        except TimeoutError:
            raise NotReady(f"{self.name} is not connected: {self.message or 'still trying'}") from None

    def key_of(self, account: str) -> str:
        """The account key of a venue's account name."""
        return f"{self.name}/{account}" if account else self.name

    def refuse(self, message: str) -> None:
        """This connection cannot be used until a person has acted."""
        self._set(ConnectionState.REFUSED, message)

    async def _live(self, manager: pluggy.PluginManager, settings: ConnectionSettings) -> None:
        pause = FIRST_PAUSE_S
        while True:
            try:
                self.venue = await open_venue(manager, settings, **self._limits)
            except (AuthFailed, PluginError, VenueClosed, UsageError) as error:
                self.refuse(str(error))
                return
            except CopydeskError as error:
                self._set(ConnectionState.DOWN, str(error))
            else:
                pause = FIRST_PAUSE_S
                self.keys = tuple(self.key_of(account) for account in self.venue.accounts)
                await self._listen(self.venue)
                await self.venue.close()
                self.venue = None
            await asyncio.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE_S)

    async def _listen(self, venue: Venue) -> None:
        """Read the private stream until it ends; then the session is opened anew."""
        self._restart_prices()
        try:
            await venue.listen(Subscription(), self._tell)
            self._down("the stream ended")
        except CopydeskError as error:
            self._down(str(error))
        except Exception as error:
            log.exception("the plugin for %s failed in listening on %s: a defect of the plugin", self.info.kind, self.name)
            self._down(f"the plugin for {self.info.kind} failed in listening: {type(error).__name__}")

    def _tell(self, event: VenueEvent, received_ns: int) -> bool:
        """Take an event of the private stream in. Never raises."""
        try:
            return self._take(event, received_ns)
        except Exception:
            log.exception("an event of %s could not be taken in; its accounts are read", self.name)
            self._take(Gap(reason="An event could not be taken in."), 0)
            return False

    def _take(self, event: VenueEvent, received_ns: int) -> bool:
        if type(event) is OrderEvent:
            account = event.order.account
            return self._listener.heard(f"{self.name}/{account}" if account else self.name, event, received_ns)
        match event:
            case Gap(reason=reason):
                log.info("%s: %s; reading its accounts", self.name, reason.rstrip("."))
                for key in self.keys:
                    self._drop_snapshot(key)  # one begun before the stream listened could miss what came between
                    self.take_snapshot(key)
            case StreamLost(reason=reason):
                self._down(reason)
            case PriceEvent():
                return self._listener.heard(self.name, event, received_ns)
            case _:
                return self._listener.heard(self.key_of(_account_of(event)), event, received_ns)
        return False

    def _down(self, reason: str) -> None:
        self._up.clear()
        for key in self.keys:
            self._drop_snapshot(key)
        self._set(ConnectionState.DOWN, reason)

    def _set(self, state: ConnectionState, message: str = "") -> None:
        if (state, message) != (self.state, self.message):
            if state != self.state:
                self.since_ns = time.time_ns()
            self.state, self.message = state, message
            self._listener.changed(self)

    # --- snapshots ------------------------------------------------------------------------------------------------

    def take_snapshot(self, key: str, look_up: tuple[OrderRef, ...] = ()) -> asyncio.Task[None]:
        """Read an account in the background. One at a time per account; orders to look up are never left out."""
        running = self._snapshots.get(key)
        if running is not None and not running.done() and not look_up:
            return running
        task = self._spawn(self._read(key, look_up))
        if not look_up:
            self._snapshots[key] = task
        return task

    def _drop_snapshot(self, key: str) -> None:
        running = self._snapshots.pop(key, None)
        if running is not None:
            running.cancel()

    async def snapshot(
        self,
        key: str,
        look_up: tuple[OrderRef, ...] = (),
        *,
        whole: bool = False,
        symbols: tuple[str, ...] = (),
        since_ms: int = 0,
    ) -> Snapshot:
        """Read an account now; where `whole`, all of it with its settings, those of `symbols` too. Raises `VenueError`.

        `since_ms`: how far back fills are wanted, where not only since what is known.
        """
        if self.venue is None:
            raise NotReady(f"{self.name} is not connected: {self.message or 'still trying'}")
        since = self._listener.venue_ms(key)
        request = SnapshotRequest(
            account=key.partition("/")[2],
            scope=Scope.ORDERS if look_up else Scope.ACCOUNT if whole else self._listener.scope(key),
            since_ms=since_ms or (max(0, since - REACH_BACK_MS) if since and not look_up else 0),
            symbols=tuple(sorted({*self._listener.symbols(key), *symbols})),
            look_up=look_up,
            settings=whole,
            known=None if look_up else self._listener.positions(key),
        )
        return await self.venue.snapshot(request)

    async def _read(self, key: str, look_up: tuple[OrderRef, ...]) -> None:
        """Read until it works: an account counts as connected only once it was read after the stream was listening."""
        pause = FIRST_PAUSE_S
        while True:
            if (quiet_s := self.quiet.left_s) > 0:
                if look_up:
                    return  # whoever asked asks again
                await asyncio.sleep(quiet_s)
            try:
                snapshot = await self.snapshot(key, look_up)
            except CopydeskError as error:
                log.warning("%s could not be read: %s", key, error)
                if isinstance(error, RateLimited):
                    self.quiet.keep(error.retry_after_ms / 1000)
                if look_up:
                    return
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE_S)
                continue
            if not look_up:
                self._up.set()
                self._set(ConnectionState.CONNECTED)
            self._listener.read(key, snapshot)
            return

    # --- prices ---------------------------------------------------------------------------------------------------

    def want_prices(self, symbols: tuple[str, ...]) -> None:
        """Listen to the prices of exactly these symbols."""
        if symbols != self._wanted_prices:
            self._wanted_prices = symbols
            self._restart_prices()

    def _restart_prices(self) -> None:
        if self._price_task is not None:
            self._price_task.cancel()
            self._price_task = None
        if self._wanted_prices and self.venue is not None:
            self._price_task = self._spawn(self._prices(self.venue, self._wanted_prices))

    async def _prices(self, venue: Venue, symbols: tuple[str, ...]) -> None:
        subscription = Subscription(private=False, symbols=symbols)
        try:
            await venue.listen(subscription, self._price)
        except CopydeskError as error:
            log.warning("%s: no prices: %s", self.name, error)

    def _price(self, event: VenueEvent, received_ns: int) -> bool:
        return isinstance(event, PriceEvent) and self._listener.heard(self.name, event, received_ns)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a task of connection %s failed", self.name, exc_info=error)


def _account_of(event: Any) -> str:
    for name in ("order", "fill", "position", "balance"):
        record = getattr(event, name, None)
        if record is not None:
            return str(record.account)
    return ""
