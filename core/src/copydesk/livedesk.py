"""A running engine as people see and work it: what the control API asks for."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable

import msgspec

from copydesk import __version__
from copydesk.bootreport import BootReport
from copydesk.botlife import BotLife
from copydesk.bots import BotStore
from copydesk.chronicle import read_lines
from copydesk.config import BotSettings, Config, account_of, connection_of
from copydesk.connection import Connection
from copydesk.connections import check_bot_accounts
from copydesk.connectionviews import connection_views
from copydesk.datafolder import JOURNAL_NAME
from copydesk.drifting import drifts
from copydesk.engine import Engine
from copydesk.errors import Conflict, CopydeskError, NotReady, UnknownName, UsageError
from copydesk.families import chains
from copydesk.feasibility import Preview
from copydesk.inputs import LimitSet, TicketDismissed, TicketSent
from copydesk.interventions import Interventions
from copydesk.model import (
    Candle,
    CandleRequest,
    Instrument,
    KindInfo,
    NewOrder,
    OrderChange,
    OrderRef,
    Outcome,
    Terms,
)
from copydesk.plans import KillOrder, KillReport, MissingOrder, MissingPlan, StartOrder, StartPlan, StopOrder, StopPlan
from copydesk.plugins import describe_kind, installed_kinds
from copydesk.starting import IGNORE
from copydesk.story import Story, read_story
from copydesk.tickets import standing_of, why_not
from copydesk.venue import Venue
from copydesk.view import (
    AccountView,
    BotView,
    ConnectionState,
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
from copydesk.views import bot_view, limit_view

REFRESH_S = 0.1
"""How often bots and drift are told to whoever watches, at the most."""
LOG_SHOWN = 300


class LiveDesk:
    """Implements `copydesk.control.Desk` on an engine. `start` resumes the bots that should be Working."""

    def __init__(self, engine: Engine, config: Config, store: BotStore) -> None:
        self._engine = engine
        self._config = config
        self._store = store
        self._life = BotLife(engine, config, store)
        self._hand = Interventions(engine, store)
        self._drift: dict[tuple[str, str, str, str], DriftView] = {}
        self._told: dict[str, BotView] = {}
        self._tickets: dict[str, Ticket] = {}
        self._untold = False  # bots and drift may have changed while nobody watched
        self._refresh: asyncio.TimerHandle | None = None
        self._expiry: asyncio.TimerHandle | None = None
        engine.on_change = self._refresh_soon

    def start(self) -> None:
        """Stop what was stopped, and start what was started, while no engine ran."""
        self._life.resume()

    # --- pictures -------------------------------------------------------------------------------------------------

    def view(self) -> DeskView:
        engine = self._engine
        return DeskView(
            seq=self.latest_seq(),
            at_ns=time.time_ns(),
            version=__version__,
            bots=tuple(self._bot_view(bot) for bot in self._store.bots.values()),
            accounts=self.account_views(),
            drift=self.drift_views(),
            tickets=tuple(ticket for ticket in self.tickets() if ticket.status == "open"),
            fills=tuple((key, fill) for key, board in engine.boards.items() for fill in board.fills),
            log=tuple(reversed(self.latest_lines(LOG_SHOWN))),
            prices=dict(engine.prices),
        )

    def latest_seq(self) -> int:
        return self._engine.events.last

    def account_views(self) -> tuple[AccountView, ...]:
        engine = self._engine
        return tuple(engine.account_view(c, key) for c in engine.connections.values() for key in c.keys)

    def drift_views(self) -> tuple[DriftView, ...]:
        return drifts(self._engine.state)

    def _bot_view(self, settings: BotSettings) -> BotView:
        times = {child: times for (bot, child), times in self._engine.times.items() if bot == settings.name}
        view = bot_view(self._engine.state, settings, self._config.kind_of(settings.parent))
        children = tuple(
            msgspec.structs.replace(
                child,
                latency_us=times[child.account].latest_us,
                sent=times[child.account].sent.latency,
                accepted=times[child.account].accepted.latency,
            )
            if child.account in times
            else child
            for child in view.children
        )
        timed = [child.latency_us for child in children if child.latency_us is not None]
        return msgspec.structs.replace(view, children=children, latency_us=max(timed, default=None))

    def _refresh_soon(self) -> None:
        if self._refresh is None:
            self._refresh = asyncio.get_running_loop().call_later(REFRESH_S, self._refresh_now)

    def _refresh_now(self) -> None:
        """Tell what changed of bots and drift since the last time; where nobody watches, once somebody does."""
        self._refresh = None
        self._life.follow_stops()
        if self._engine.events.is_watched:
            self._tell_changes()
        else:
            self._untold = True

    def _tell_changes(self) -> None:
        self._untold = False
        events = self._engine.events
        bots = {settings.name: self._bot_view(settings) for settings in self._store.bots.values()}
        for name, bot in bots.items():
            if self._told.get(name) != bot:
                events.tell("bot", bot)
        self._told = bots
        rows = {(row.bot, row.child, row.symbol, row.position_side): row for row in drifts(self._engine.state)}
        for key in self._drift.keys() - rows.keys():  # flat now
            gone = self._drift[key]
            zero = gone.target * 0
            rows[key] = msgspec.structs.replace(
                gone, target=zero, attributed=zero, in_flight=zero, difference=zero, cause="", causes=(), since_ns=0
            )
        for key, row in rows.items():
            if self._drift.get(key) != row:
                events.tell("drift", row, row.child)
        self._drift = {key: row for key, row in rows.items() if row.target or row.attributed}
        self._tell_tickets()

    def _tell_tickets(self) -> None:
        """Tell which tickets are new, sent, dismissed or expired, and look again when the next one expires."""
        found = {ticket.id: ticket for ticket in self.tickets()}
        for number, ticket in found.items():
            if self._tickets.get(number) != ticket:
                self._engine.events.tell("ticket", ticket, ticket.child)
        self._tickets = found
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        expiries = [ticket.expires_ns for ticket in found.values() if ticket.status == "open"]
        if expiries:
            delay = max(0.0, (min(expiries) - time.time_ns()) / 1e9)
            self._expiry = asyncio.get_running_loop().call_later(delay + REFRESH_S, self._refresh_soon)

    def events_after(self, seq: int, limit: int) -> list[DeskEvent] | None:
        if self._untold:
            self._tell_changes()
        return self._engine.events.after(seq, limit)

    def listen(self, sink: Callable[[DeskEvent], None]) -> Callable[[], None]:
        if self._untold:
            self._tell_changes()
        return self._engine.events.listen(sink)

    def latest_lines(self, limit: int) -> list[LogEntry]:
        """The latest lines of the log, the newest first."""
        return self._engine.chronicle.latest(limit)

    async def log(self, query: LogQuery) -> list[LogEntry]:
        self._engine.chronicle.settle()
        return await asyncio.to_thread(read_lines, self._store.folder / JOURNAL_NAME, query)

    def kinds(self) -> tuple[KindInfo, ...]:
        """What is installed and can be used; a plugin that cannot is said in the log of the engine's start."""
        found = []
        for kind in sorted(installed_kinds()):
            try:
                found.append(describe_kind(kind))
            except CopydeskError:
                continue
        return tuple(found)

    # --- bots -----------------------------------------------------------------------------------------------------

    def bots(self) -> tuple[BotSettings, ...]:
        return tuple(self._store.bots.values())

    async def add_bot(self, bot: BotSettings) -> None:
        check_bot_accounts(bot, self._config)
        if bot.working and bot.start.policy != IGNORE:
            raise UsageError(
                f"a start under {bot.start.policy!r} is planned and confirmed: add the bot stopped, then start it"
            )
        self._store.add(bot.model_copy(update={"working": False}), self._config)
        self._engine.configure()
        self._engine.chronicle.say("info", "bot", f"bot {bot.name!r} added", bot=bot.name)
        self._warn_of_chains(bot)
        await self._read_accounts(bot)
        if bot.working:
            await self.start_bot(bot.name)
        self._refresh_soon()

    async def change_bot(self, name: str, bot: BotSettings) -> None:
        old = self._store.get(name)
        if old.working and (bot.parent != old.parent or bot.name != name):
            raise Conflict(f"bot {name!r} is Working: stop it before its name or parent is changed")
        check_bot_accounts(bot, self._config)
        if old.working:
            self._engine.hold_leases(child.account for child in bot.children)
        self._store.change(name, bot.model_copy(update={"working": old.working}), self._config)
        if bot.name != name:
            self._engine.events.tell("bot-removed", {"name": name})
        self._engine.configure()
        self._engine.chronicle.say("info", "bot", f"bot {bot.name!r}: settings changed", bot=bot.name)
        self._warn_of_chains(bot)
        await self._read_accounts(bot)
        self._refresh_soon()

    def _warn_of_chains(self, bot: BotSettings) -> None:
        for sentence in chains(bot, self._store.others(bot.name)):
            self._engine.chronicle.say("warn", "bot", sentence, bot=bot.name)

    async def remove_bot(self, name: str) -> None:
        if self._store.get(name).working:
            raise Conflict(
                f"bot {name!r} is Working: stop it first; its children's orders and positions are left as they are"
            )
        self._store.remove(name)
        self._engine.configure()
        self._engine.chronicle.say("info", "bot", f"bot {name!r} removed", bot=name)
        self._engine.events.tell("bot-removed", {"name": name})

    def boot_report(self) -> BootReport:
        boot = self._engine.boot
        return boot.report() if boot is not None else BootReport(started_ns=0)

    async def preview(self, bot: BotSettings, last: int) -> Preview:
        check_bot_accounts(bot, self._config)
        return await self._life.preview(bot, last)

    async def plan_start(self, name: str, order: StartOrder) -> StartPlan:
        return await self._life.plan_start(name, order)

    async def start_bot(self, name: str, order: StartOrder = StartOrder()) -> None:  # noqa: B008 - it is frozen
        await self._life.start(name, order)
        self._refresh_soon()

    async def plan_stop(self, name: str, order: StopOrder) -> StopPlan:
        return self._life.plan_stop(name, order)

    async def stop_bot(self, name: str, order: StopOrder = StopOrder()) -> None:  # noqa: B008 - it is frozen
        self._life.stop(name, order)
        self._refresh_soon()

    async def plan_missing(self, name: str, order: MissingOrder) -> MissingPlan:
        return self._hand.plan_missing(name, order)

    async def copy_missing(self, name: str, order: MissingOrder) -> None:
        self._hand.copy_missing(name, order)
        self._refresh_soon()

    async def kill(self, order: KillOrder) -> KillReport:
        report = self._hand.kill(order)
        self._refresh_soon()
        return report

    async def story(self, seq: int) -> Story:
        return await read_story(self._engine, self._store.folder / JOURNAL_NAME, seq)

    # --- connections ------------------------------------------------------------------------------------------------

    def connections(self) -> tuple[ConnectionView, ...]:
        return connection_views(self._engine)

    def latencies(self) -> tuple[LatencyView, ...]:
        return tuple(waterfall.view(bot) for bot, waterfall in self._engine.waterfalls.items() if bot in self._store.bots)

    async def reconnect(self, name: str) -> None:
        connection = self._engine.connections.get(name)
        if connection is None:
            raise UnknownName(f"there is no connection {name!r}: see `copydesk accounts`")
        self._engine.chronicle.say("info", "connection", f"{name} is connected anew, as asked", account=name)
        await connection.reconnect()

    async def _read_accounts(self, bot: BotSettings) -> None:
        """Read the accounts that joined, so that their balances are known before the first order."""
        for key in bot.accounts:
            connection = self._engine.connections[connection_of(key)]
            known = self._engine.state.accounts.get(key)
            if connection.state is not ConnectionState.CONNECTED or (known is not None and known.connected):
                continue
            try:
                self._engine.read(key, await connection.snapshot(key))
            except NotReady as error:
                self._engine.chronicle.say("warn", "connection", f"{key} could not be read: {error}", account=key)

    # --- tickets ----------------------------------------------------------------------------------------------------

    def tickets(self) -> tuple[Ticket, ...]:
        at_ns = time.time_ns()
        return tuple(standing_of(ticket, at_ns) for ticket in self._engine.state.tickets.values())

    async def send_ticket(self, number: str, action: TicketAction) -> Ticket:
        self._ticket(number)
        at_ns = time.time_ns()
        fault = why_not(self._engine.state, number, at_ns)
        if fault:
            raise Conflict(fault)
        self._engine.feed(TicketSent(at_ns=at_ns, ticket=number, actor=action.actor))
        self._refresh_soon()
        return self._ticket(number)

    async def dismiss_ticket(self, number: str, action: TicketAction) -> Ticket:
        ticket = self._ticket(number)
        if ticket.status != "open":
            raise Conflict(f"ticket {number} is {ticket.status} already: there is nothing to dismiss")
        self._engine.feed(TicketDismissed(at_ns=time.time_ns(), ticket=number, actor=action.actor))
        self._refresh_soon()
        return self._ticket(number)

    def _ticket(self, number: str) -> Ticket:
        for ticket in self.tickets():
            if ticket.id == number:
                return ticket
        raise UnknownName(f"there is no ticket {number!r}: see `copydesk tickets list`")

    # --- limits -----------------------------------------------------------------------------------------------------

    def limits(self) -> tuple[LimitView, ...]:
        children = {child.account for bot in self._store.bots.values() for child in bot.children}
        return tuple(limit_view(self._engine.state, account) for account in sorted(children))

    async def set_limit(self, account: str, change: LimitChange) -> LimitView:
        if all(view.account != account for view in self.limits()):
            raise UnknownName(f"no bot has a child {account!r}: limits are set on children")
        at_ns = time.time_ns()
        if change.until_ns and change.until_ns <= at_ns:
            raise UsageError("the time at which the limit ends has passed already: choose a later one, or none")
        self._engine.feed(
            LimitSet(
                at_ns=at_ns,
                account=account,
                state=change.state,
                reason=change.reason,
                actor=change.actor,
                until_ns=change.until_ns,
            )
        )
        self._refresh_soon()
        return limit_view(self._engine.state, account)

    # --- accounts -------------------------------------------------------------------------------------------------

    def _connection(self, account: str) -> Connection:
        connection = self._engine.connections.get(connection_of(account))
        if connection is None or account not in connection.keys:
            raise UnknownName(f"there is no account {account!r}: see `copydesk accounts`")
        return connection

    def _venue(self, account: str) -> Venue:
        connection = self._connection(account)
        if connection.venue is None:
            raise NotReady(f"{connection.name} is not connected: {connection.message or 'still trying'}")
        return connection.venue

    def _check_symbol(self, account: str, symbol: str) -> None:
        if symbol not in self._venue(account).instruments:
            raise UsageError(f"unknown symbol {symbol!r}: {account} has no such instrument; use the venue's own name of it")

    def instruments(self, account: str) -> tuple[Instrument, ...]:
        return tuple(self._venue(account).instruments.values())

    async def candles(self, account: str, request: CandleRequest) -> tuple[Candle, ...]:
        self._check_symbol(account, request.symbol)
        candles = await self._venue(account).candles(request)
        self._engine.watch_prices(account, request.symbol)
        return candles

    async def place(self, account: str, terms: Terms) -> tuple[str, Outcome]:
        """The ticket's order: a person's own, so its id is not one of ours and it is copied like any other."""
        self._check_symbol(account, terms.symbol)
        client_id = f"ticket-{secrets.token_hex(8)}"
        order = NewOrder(account=account_of(account), client_id=client_id, terms=terms)
        return client_id, await self._venue(account).place(order)

    async def modify(self, account: str, change: OrderChange) -> Outcome:
        self._check_symbol(account, change.ref.symbol)
        return await self._venue(account).modify(change)

    async def cancel(self, account: str, order: OrderRef) -> Outcome:
        self._check_symbol(account, order.symbol)
        return await self._venue(account).cancel(order)
