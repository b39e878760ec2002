"""What the control API needs of a running engine."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from copydesk.bootreport import BootReport
from copydesk.config import BotSettings
from copydesk.feasibility import Preview
from copydesk.model import Candle, CandleRequest, Instrument, KindInfo, OrderChange, OrderRef, Outcome, Terms
from copydesk.plans import KillOrder, KillReport, MissingOrder, MissingPlan, StartOrder, StartPlan, StopOrder, StopPlan
from copydesk.story import Story
from copydesk.view import (
    AccountView,
    ConnectionView,
    DeskEvent,
    DeskView,
    DriftView,
    LatencyView,
    LimitChange,
    LimitView,
    LogEntry,
    LogQuery,
    Ticket,
    TicketAction,
)


class Desk(Protocol):
    """A running engine as the control API sees it. Everything is called in the engine's own event loop.

    What is not `async` returns at once and does no I/O worth speaking of. A person's mistake raises `UsageError` (or
    `UnknownName`, `Conflict`, `NotAllowed`) and changes nothing; a venue's trouble raises `VenueError`.
    """

    def view(self) -> DeskView:
        """The whole picture now. Its `seq` is the last event that it includes."""
        ...

    def latest_seq(self) -> int:
        """The number of the last event. Asked for often: costs nothing."""
        ...

    def account_views(self) -> tuple[AccountView, ...]: ...

    def drift_views(self) -> tuple[DriftView, ...]: ...

    def events_after(self, seq: int, limit: int) -> list[DeskEvent] | None:
        """The events numbered `seq + 1` and on, at most `limit`, without a gap. `None`: older than what is kept.

        Costs what it returns, not what is kept: each reader of the stream calls it for each of its frames.
        """
        ...

    def listen(self, sink: Callable[[DeskEvent], None]) -> Callable[[], None]:
        """Call `sink` for each event once `events_after` has it, and for each price (`seq` 0). Returns "stop listening"."""
        ...

    async def log(self, query: LogQuery) -> list[LogEntry]:
        """The lines of the log that fit, the newest first."""
        ...

    def bots(self) -> tuple[BotSettings, ...]: ...

    async def add_bot(self, bot: BotSettings) -> None: ...

    async def change_bot(self, name: str, bot: BotSettings) -> None: ...

    async def remove_bot(self, name: str) -> None: ...

    async def preview(self, bot: BotSettings, last: int) -> Preview:
        """What each child could follow of its parent, and what it would have skipped of its `last` trades."""
        ...

    async def plan_start(self, name: str, order: StartOrder) -> StartPlan:
        """What starting the bot would do now."""
        ...

    async def start_bot(self, name: str, order: StartOrder) -> None:
        """Raises `Conflict` for what was not confirmed by the digest of its plan, or is refused."""
        ...

    async def plan_stop(self, name: str, order: StopOrder) -> StopPlan:
        """What stopping the bot would do now."""
        ...

    async def stop_bot(self, name: str, order: StopOrder) -> None:
        """Raises `Conflict` for what was not confirmed by the digest of its plan."""
        ...

    async def plan_missing(self, name: str, order: MissingOrder) -> MissingPlan:
        """What would be sent now to bring a child to its target."""
        ...

    async def copy_missing(self, name: str, order: MissingOrder) -> None:
        """Raises `Conflict` for what was not confirmed by the digest of its plan, or is refused."""
        ...

    async def kill(self, order: KillOrder) -> KillReport:
        """Stop every bot. Waits for no venue."""
        ...

    async def story(self, seq: int) -> Story:
        """The whole story of the copy that a line of the log is part of. Raises `UnknownName` where it is of none."""
        ...

    def connections(self) -> tuple[ConnectionView, ...]: ...
    def latencies(self) -> tuple[LatencyView, ...]: ...

    async def reconnect(self, name: str) -> None:
        """Leave a venue and log in anew; how that goes is told as it happens."""
        ...

    def boot_report(self) -> BootReport:
        """What the engine found when it was started, and what it did about it."""
        ...

    def kinds(self) -> tuple[KindInfo, ...]: ...

    def instruments(self, account: str) -> tuple[Instrument, ...]:
        """The instruments of an account (by its key), in order of their symbols."""
        ...

    def tickets(self) -> tuple[Ticket, ...]:
        """All manual tickets that are kept, the oldest first, each with its status of now."""
        ...

    async def send_ticket(self, number: str, action: TicketAction) -> Ticket:
        """Send what a ticket is for; what becomes of it is in the log. A ticket that cannot be sent is refused."""
        ...

    async def dismiss_ticket(self, number: str, action: TicketAction) -> Ticket: ...

    def limits(self) -> tuple[LimitView, ...]:
        """What may be traded on each child of a bot."""
        ...

    async def set_limit(self, account: str, change: LimitChange) -> LimitView: ...

    async def candles(self, account: str, request: CandleRequest) -> tuple[Candle, ...]: ...

    async def place(self, account: str, terms: Terms) -> tuple[str, Outcome]:
        """Place a person's order. Returns the client id that it went out under, and what became of it."""
        ...

    async def modify(self, account: str, change: OrderChange) -> Outcome: ...

    async def cancel(self, account: str, order: OrderRef) -> Outcome: ...
