"""The typed facade over one plugin and one connection: deadlines, and every failure turned into an outcome or an error.

The rest of copydesk never touches `manager.hook`. What a plugin raises is one of `copydesk.errors.VenueError`; anything
else is a defect of the plugin, logged as such, and an `Unknown` outcome for whatever was being sent.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import pluggy

from copydesk.errors import CopydeskError, NotReady, OutcomeUnknown, PluginError, RateLimited, Refused, VenueError
from copydesk.hooks import Done, Plugin, Tell
from copydesk.model import (
    Accepted,
    Candle,
    CandleRequest,
    ConnectionSettings,
    Instrument,
    LeverageChange,
    NewOrder,
    OrderChange,
    OrderGroup,
    OrderRef,
    Outcome,
    Rejected,
    RejectReason,
    Snapshot,
    SnapshotRequest,
    Subscription,
    Unknown,
    VenueEvent,
)
from copydesk.timing import Times

log = logging.getLogger(__name__)
T = TypeVar("T")
_Fire = Callable[[Any, Done], bool]

CLOSE_TIMEOUT_S = 5.0


class Venue:
    """One open connection. Made by `open_venue`; `close` ends it."""

    def __init__(
        self, manager: pluggy.PluginManager, settings: ConnectionSettings, session: Any, *, send_s: float, read_s: float
    ) -> None:
        self.settings = settings
        self._hook = manager.hook
        self._session = session
        self._send_s = send_s
        self._read_s = read_s
        methods = session if any(isinstance(one, Plugin) for one in manager.get_plugins()) else None
        self._fire: _Fire | None = getattr(methods, "fire", None)
        self._fire_cancel: _Fire | None = getattr(methods, "fire_cancel", None)
        self._fire_modify: _Fire | None = getattr(methods, "fire_modify", None)
        self._warm_up: Callable[[NewOrder], None] | None = getattr(methods, "warm_up", None)
        self._listen: Callable[[Subscription, Tell], Awaitable[None]] | None = getattr(methods, "listen", None)
        self.fired = 0
        self.round_trips = Times()
        self.clock_offset_ms: int | None = None

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """Every instrument that the venue offers, by symbol."""
        instruments: Mapping[str, Instrument] = self._session.instruments
        return instruments

    @property
    def accounts(self) -> tuple[str, ...]:
        """The venue's own names of the accounts of this login; one empty name where there is exactly one."""
        return tuple(self._session.accounts)

    @property
    def is_rehearsal(self) -> bool:
        """True where the session says that it talks to a rehearsal venue."""
        return bool(getattr(self._session, "rehearsal", False))

    @property
    def permissions(self) -> tuple[str, ...] | None:
        """What the venue says that the key may do, or `None` where the session does not tell."""
        told = getattr(self._session, "permissions", None)
        return tuple(told) if told is not None else None

    @property
    def notice(self) -> str:
        """What a person should set otherwise at the venue; empty where all is well."""
        return str(getattr(self._session, "notice", ""))

    @property
    def stream_fileno(self) -> int:
        """The file descriptor that the private stream is read from; -1 where the session does not tell."""
        return int(getattr(self._session, "stream_fileno", -1))

    @property
    def has_candles(self) -> bool:
        return bool(self._hook.candles.get_hookimpls())

    def subscribe(self, subscription: Subscription) -> AsyncIterator[VenueEvent]:
        """Listen. The iterator ends when the session is closed."""
        events: AsyncIterator[VenueEvent] = self._hook.subscribe(session=self._session, subscription=subscription)
        return events

    async def listen(self, subscription: Subscription, tell: Tell) -> None:
        """Tell every event as it is read, until the session is closed. Raises what the plugin raises."""
        if self._listen is not None:
            await self._listen(subscription, tell)
            return
        async for event in self.subscribe(subscription):
            if tell(event, 0):
                await asyncio.sleep(0)  # what waits to be sent leaves before the next event is read

    # --- sending in the very call: false where nothing was sent. `fired` counts what was. ---------------------------

    def fire(self, order: NewOrder, done: Done) -> bool:
        return self._fire is not None and self._fired(self._fire, "fire", order, done)

    def warm_up(self, order: NewOrder) -> None:
        """Go through all that `fire` does but the sending."""
        if self._warm_up is not None:
            self._warm_up(order)

    def fire_cancel(self, order: OrderRef, done: Done) -> bool:
        return self._fire_cancel is not None and self._fired(self._fire_cancel, "fire_cancel", order, done)

    def fire_modify(self, change: OrderChange, done: Done) -> bool:
        return self._fire_modify is not None and self._fired(self._fire_modify, "fire_modify", change, done)

    def _fired(self, fire: _Fire, what: str, request: Any, done: Done) -> bool:
        try:
            left = fire(request, done)
            self.fired += left
            return left
        except Exception as error:  # noqa: BLE001 - a plugin's defect must not take the engine with it
            done(Unknown(message=self._defect(what, error)))
            return True

    # --- sending ------------------------------------------------------------------------------------------------------

    async def place(self, order: NewOrder) -> Outcome:
        return await self._send("place", lambda: self._hook.place(session=self._session, order=order), self.fire, order)

    async def place_group(self, group: OrderGroup) -> Outcome:
        return await self._send("place_group", lambda: self._hook.place_group(session=self._session, group=group))

    async def modify(self, change: OrderChange) -> Outcome:
        hook = self._hook.modify
        return await self._send("modify", lambda: hook(session=self._session, change=change), self.fire_modify, change)

    @property
    def has_leverage(self) -> bool:
        return bool(self._hook.set_leverage.get_hookimpls())

    async def set_leverage(self, change: LeverageChange) -> Outcome:
        return await self._send("set_leverage", lambda: self._hook.set_leverage(session=self._session, change=change))

    async def cancel(self, order: OrderRef) -> Outcome:
        return await self._send(
            "cancel", lambda: self._hook.cancel(session=self._session, order=order), self.fire_cancel, order
        )

    async def snapshot(self, request: SnapshotRequest) -> Snapshot:
        """Read one account in full. Raises `VenueError`; never returns a part."""
        began = time.time_ns()
        found: Snapshot = await self._read(
            "snapshot", self._hook.snapshot(session=self._session, request=request), Snapshot
        )
        if found.time_ms:  # told somewhere between the two moments; the middle is the best guess
            self.clock_offset_ms = found.time_ms - (began + time.time_ns()) // 2_000_000
        return found

    async def candles(self, request: CandleRequest) -> tuple[Candle, ...]:
        """Past bars, oldest first; none where the plugin has no history."""
        if not self.has_candles:
            return ()
        return await self._read("candles", self._hook.candles(session=self._session, request=request), tuple)

    async def close(self) -> None:
        """End the session. A plugin that does not manage to in time is left behind with a line in the log."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._hook.close(session=self._session)
        except TimeoutError:
            log.warning("connection %s did not close within %g s", self.settings.name, CLOSE_TIMEOUT_S)
        except CopydeskError as error:
            log.warning("connection %s: %s", self.settings.name, error)

    async def _send(
        self, what: str, call: Callable[[], Awaitable[Outcome]], fire: _Fire | None = None, request: Any = None
    ) -> Outcome:
        began = time.perf_counter_ns()
        try:
            async with asyncio.timeout(self._send_s):
                came: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
                fired = fire is not None and fire(request, partial(_tell_once, came))
                outcome = await (came if fired else call())
            self.round_trips.add(time.perf_counter_ns() - began)
        except TimeoutError:
            return Unknown(message=f"no answer to {what} within {self._send_s:g} s")
        except RateLimited as error:
            return Rejected(
                reason=RejectReason.RATE_LIMIT,
                message=str(error),
                code=error.code,
                retry_after_ms=error.retry_after_ms,
            )
        except Refused as error:
            return Rejected(reason=error.reason, message=str(error), code=error.code)
        except (OutcomeUnknown, VenueError) as error:
            return Unknown(message=str(error))
        except Exception as error:  # noqa: BLE001 - a plugin's defect must not take the engine with it
            return Unknown(message=self._defect(what, error))
        if not isinstance(outcome, Accepted | Rejected | Unknown):
            return Unknown(message=self._defect(what, TypeError(f"it returned {type(outcome).__name__}")))
        return outcome

    async def _read(self, what: str, call: Awaitable[T], kind: type[T]) -> T:
        try:
            async with asyncio.timeout(self._read_s):
                answer = await call
        except TimeoutError:
            raise NotReady(f"no {what} from {self.settings.name} within {self._read_s:g} s") from None
        except VenueError:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            raise NotReady(self._defect(what, error)) from None
        if not isinstance(answer, kind):
            raise NotReady(self._defect(what, TypeError(f"it returned {type(answer).__name__}")))
        return answer

    def _defect(self, what: str, error: Exception) -> str:
        sentence = f"the plugin for {self.settings.kind} failed in {what}: {type(error).__name__}"
        log.error("%s on %s: this is a defect of the plugin", sentence, self.settings.name, exc_info=error)
        return sentence


def _tell_once(came: asyncio.Future[Outcome], outcome: Outcome) -> None:
    if not came.done():
        came.set_result(outcome)


async def open_venue(
    manager: pluggy.PluginManager,
    settings: ConnectionSettings,
    *,
    connect_s: float = 30,
    send_s: float = 10,
    read_s: float = 15,
) -> Venue:
    """Log in. Raises `NotReady`, `AuthFailed`, `VenueClosed`, or another `CopydeskError` with a sentence."""
    try:
        async with asyncio.timeout(connect_s):
            session = await manager.hook.connect(settings=settings)
    except TimeoutError:
        raise NotReady(f"{settings.name} did not answer within {connect_s:g} s") from None
    except CopydeskError:
        raise
    except ImportError as error:
        missing = error.name or str(error)
        raise PluginError(
            f"the plugin for {settings.kind} needs {missing}, which is not installed: install the plugin again"
        ) from None
    except Exception as error:
        log.exception("the plugin for %s failed in connect on %s", settings.kind, settings.name)
        raise NotReady(f"the plugin for {settings.kind} failed in connect: {type(error).__name__}") from None
    return Venue(manager, settings, session, send_s=send_s, read_s=read_s)
