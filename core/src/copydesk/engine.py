"""The imperative shell: reads clocks, sockets and disks, feeds the pure engine, sends what comes out. It decides nothing.

One input goes through in one go: journal, decide, commit, send. What was decided and what came of it is written behind the
sends. Everything runs in one event loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal
from itertools import islice
from typing import Any

import msgspec
from msgspec.structs import replace

from copydesk import __version__, wording
from copydesk.board import AccountBoard
from copydesk.bootreport import BootReport, BootWatch, in_words
from copydesk.bots import BotStore
from copydesk.budget import may_read, scaled, scope_name
from copydesk.certifying import KIND as CERTIFICATE
from copydesk.certifying import certificate_of, certificate_words
from copydesk.chronicle import Chronicle, sizing_of
from copydesk.config import Config, account_of, connection_of
from copydesk.connection import Connection, Quiet
from copydesk.connections import settings_for
from copydesk.copier import Copier
from copydesk.errors import JournalError, UsageError
from copydesk.events import Events
from copydesk.filters import clock_minutes, day_of
from copydesk.inputs import (
    AccountDown,
    Configured,
    Decision,
    EngineStarted,
    Input,
    InstrumentSeen,
    LookUp,
    Note,
    Place,
    Reported,
    Settled,
    Snapped,
    Ticked,
)
from copydesk.journal import Journal
from copydesk.lease import Leases, identity
from copydesk.looping import parents_wait, put_first
from copydesk.model import (
    ZERO,
    AccountEvent,
    ConnectionSettings,
    FillEvent,
    KindInfo,
    OrderEvent,
    OrderRef,
    PriceEvent,
    Scope,
    Snapshot,
    Unknown,
    to_json,
)
from copydesk.outgoing import Flight, Outgoing
from copydesk.plugins import Loaded, load_kind
from copydesk.rules import rules_of
from copydesk.secrets import SealedFile
from copydesk.state import Desk
from copydesk.timing import ChildTimes, Marks, Waterfall
from copydesk.view import AccountView, ConnectionState
from copydesk.views import budget_view

log = logging.getLogger(__name__)

BEHIND_S = 0.001
"""What may come after the sends is done so much later, for all that came meanwhile."""
FLUSH_S = 0.05
"""How long rows wait for company before the journal's database gets them; twice as long where inputs keep coming."""
QUIET_NS = 1_000_000
"""So long after an input the database is not written to: the next one may follow closely."""
LONGEST_SLEEP_S = 60.0
"""A machine that was asleep at the end of the day notices this soon after it woke."""
BUSY_NS = 1_500_000
"""For so long after an input nothing is warmed up."""
LARGEST_GROUP = 32
DRAIN_S = 3.0
"""How long a stop waits for the answers to what was sent. What is not answered by then is looked up at the next start."""


class Engine:
    """A running desk: connections, bots, journal. Implements `copydesk.connection.Listener`.

    `on_change` is called after anything that may change what people see.
    """

    def __init__(self, config: Config, store: BotStore, journal: Journal, sealed: SealedFile) -> None:
        self._config = config
        self._store = store
        self._journal = journal
        self._sealed = sealed
        self._copier = Copier()
        self.events = Events(first=time.time_ns() // 1000)
        self.connections: dict[str, Connection] = {}
        self._kinds: dict[str, KindInfo] = {}
        self.boards: dict[str, AccountBoard] = {}
        self.prices: dict[str, Decimal] = {}
        self._read_ns: dict[str, int] = {}
        self._watched: dict[str, set[str]] = {}
        self.times: defaultdict[tuple[str, str], ChildTimes] = defaultdict(ChildTimes)
        self.waterfalls: defaultdict[str, Waterfall] = defaultdict(Waterfall)
        self.chronicle = Chronicle(journal, self.events)
        self.on_change: Callable[[], None] = lambda: None
        self._behind: list[tuple[Input, list[Decision]]] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self.outgoing = Outgoing(self._settle, self.spawn, float(config.engine.place_timeout_s))
        self._used = _accounts_of(store)
        self._tick: asyncio.TimerHandle | None = None
        self._tick_ns = 0
        self._flush: asyncio.TimerHandle | None = None
        self._flush_by_ns = 0
        self._stopping = False
        self._fed_ns = 0
        self._latest: Reported | None = None  # what was copied last at a glance
        self.boot: BootWatch | None = None
        self._leases = Leases(store.folder)
        self._settings: dict[str, ConnectionSettings] = {}
        self._failed: asyncio.Future[None] | None = None

    @property
    def state(self) -> Desk:
        """What the pure engine has understood so far: to be read, never changed."""
        return self._copier.desk

    # --- life -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Recover what the journal tells, then connect everything. Returns at once; connections come up by themselves."""
        self._failed = asyncio.get_running_loop().create_future()
        recovered = self._recover()
        self._journal.append("engine", to_json({"event": "start", "version": __version__}), at_ns=time.time_ns())
        self._open_connections()
        self.hold_leases()
        self.boot = BootWatch(self.state, self._needed_accounts(), time.time_ns(), self._tell_boot)
        self.feed(EngineStarted(at_ns=time.time_ns()))
        self.configure()
        self.chronicle.say("info", "engine", f"copydesk {__version__} started; {recovered} inputs read from the journal")
        self.spawn(self._reconcile())
        self.spawn(self._certify())
        if not self.boot.is_over:
            self.spawn(self._report_boot_in_time())

    async def stop(self) -> None:
        """Close everything in order: what was sent is answered, nothing new is sent, what was written is on the disk."""
        await self.outgoing.drain(DRAIN_S)
        self._stopping = True
        for handle in (self._tick, self._flush):
            if handle is not None:
                handle.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(connection.stop() for connection in self.connections.values()))
        self._write_behind()
        self._leases.release()
        self.chronicle.say("info", "engine", "copydesk stopped")
        self._journal.append("engine", to_json({"event": "stop"}), at_ns=time.time_ns())
        self._journal.commit()

    def quiet_ns(self) -> int:
        """For how long nothing has come in."""
        return time.perf_counter_ns() - self._fed_ns

    async def failure(self) -> None:
        """Return never, unless the engine cannot go on; then raise why."""
        assert self._failed is not None
        await self._failed

    def _recover(self) -> int:
        count = 0
        decode = msgspec.json.Decoder(Input).decode
        for row in self._journal.rows(kinds=("input",)):
            try:
                self._copier.apply(decode(row.body))
            except Exception as error:
                raise JournalError(
                    f"row {row.seq} of the journal cannot be replayed ({type(error).__name__}: {error}): use the copydesk "
                    "that wrote it, or move journal.db away to begin anew with what the venues have"
                ) from error
            count += 1
        return count

    def _open_connections(self) -> None:
        """Begin to connect everything. What a bot needs has to be usable: raises `UsageError` where it is not."""
        needed = {connection_of(key) for bot in self._store.bots.values() for key in bot.accounts}
        engine = self._config.engine
        quiet: dict[str, Quiet] = {}
        loaded: dict[str, Loaded] = {}
        for name, settings in self._config.connections.items():
            if settings.kind not in loaded:
                loaded[settings.kind] = load_kind(settings.kind)
            info = loaded[settings.kind].info
            self._kinds[settings.kind] = info
            connection = self.connections[name] = Connection(
                name,
                info,
                self,
                connect_s=float(engine.connect_timeout_s),
                send_s=float(engine.place_timeout_s),
                read_s=float(engine.snapshot_timeout_s),
                quiet=quiet.setdefault(scope_name(info.capabilities.requests_scope, name, settings.kind), Quiet()),
            )
            self.boards[name] = AccountBoard()
            try:
                given = self._settings[name] = settings_for(name, self._config, info, self._sealed)
                connection.start(loaded[settings.kind].manager(), given)
            except UsageError as error:
                if name in needed:
                    raise
                connection.refuse(str(error))

    def _needed_accounts(self) -> set[str]:
        """The accounts of the bots that were at work when the journal ended."""
        bots = [bot.rules for bot in self.state.bots.values() if bot.managed and bot.rules.name in self._store.bots]
        keys = {key for bot in bots for key in (bot.parent, *(child.account for child in bot.children))}
        return {key for key in keys if connection_of(key) in self.connections}

    async def _report_boot_in_time(self) -> None:
        engine = self._config.engine
        await asyncio.sleep(float(engine.connect_timeout_s + engine.snapshot_timeout_s))
        if self.boot is not None:
            self.boot.is_late(time.time_ns())

    def _tell_boot(self, report: BootReport) -> None:
        level, text = in_words(report)
        self.chronicle.say(level, "boot", text, data=msgspec.to_builtins(report))

    def hold_leases(self, more: Iterable[str] = ()) -> None:
        """Hold the leases of all children that are driven, and of `more`. Raises `AccountInUse` where another has one."""
        keys = set(more)
        for name, settings in self._store.bots.items():
            bot = self.state.bots.get(name)
            if settings.working or (bot is not None and bot.managed):
                keys.update(child.account for child in settings.children)
        known = [key for key in sorted(keys) if connection_of(key) in self._settings]
        self._leases.hold((key, identity(self._settings[connection_of(key)], key)) for key in known)

    def configure(self) -> None:
        """Give the pure engine the rules in force."""
        self._used = _accounts_of(self._store)
        bots = tuple(rules_of(bot, self._config.kind_of(bot.parent)) for bot in self._store.bots.values())
        kinds = {bot.kind for bot in bots}
        percent = self._config.engine.budget_percent
        capabilities = {kind: scaled(self._kinds[kind].capabilities, percent) for kind in sorted(kinds)}
        self.feed(Configured(at_ns=time.time_ns(), bots=bots, capabilities=capabilities))
        self._put_parents_first()

    def _put_parents_first(self) -> None:
        """Let the event loop know which streams are those of working bots' parents."""
        parents = {connection_of(bot.parent) for bot in self._store.bots.values() if bot.working}
        venues = [one.venue for name, one in self.connections.items() if name in parents and one.venue is not None]
        put_first(
            (fileno for venue in venues if (fileno := venue.stream_fileno) >= 0),
            awake=bool(parents) and self._config.engine.busy_poll,
        )

    def spawn(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_ended)
        return task

    def _task_ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        """The engine cannot go on: better stopped than wrong."""
        log.critical("the engine stops: %s", error, exc_info=error)
        if self._failed is not None and not self._failed.done():
            self._failed.set_exception(error)

    # --- the one way in -------------------------------------------------------------------------------------------

    def feed(self, given: Input, received_ns: int = 0) -> bool:
        """Journal an input, let the pure engine decide, and send. `received_ns` (monotonic): when its event was read.

        What is known at a glance is sent first, child by child. Returns whether anything waits for a task to send it.
        """
        if self._stopping:
            return False
        decoded_ns = time.perf_counter_ns()
        self._fed_ns = decoded_ns
        marks = Marks(received_ns or decoded_ns, decoded_ns)
        try:
            account = getattr(given, "account", "")
            self._journal.append("input", to_json(given), at_ns=given.at_ns, account=account, bot=getattr(given, "bot", ""))
            early = self._send_early(given, marks)
            decisions = self._copier.apply(given)
            if self.boot is not None and not self.boot.is_over:
                self.boot.take(given, decisions)
            waits = self._send(decisions, early, marks)
        except Exception as error:  # noqa: BLE001 - a defect here must stop the engine, not the connection that told
            self._fail(error)
            return False
        self._behind.append((given, decisions))
        if len(self._behind) == 1:
            asyncio.get_running_loop().call_later(BEHIND_S, self._write_behind)
        self._arm_tick()
        return waits

    def _send_early(self, given: Input, marks: Marks) -> dict[str, Flight]:
        """Send what is known before the state is brought up to it, each as soon as it is; by client id."""
        early: dict[str, Flight] = {}
        for account, order in _in_growing_groups(self._copier.begin(given)):
            if not marks.planned_ns:
                self._latest = given if isinstance(given, Reported) else None
                marks.planned_ns = time.perf_counter_ns()
                self._journal.keep()  # the input, before the first byte leaves
                marks.journalled_ns = time.perf_counter_ns()
            venue = self.connections[connection_of(account)].venue
            flight = self.outgoing.early(venue, account, order, marks) if venue is not None else None
            if flight is not None:
                early[order.client_id] = flight
        return early

    def _send(self, decisions: list[Decision], early: dict[str, Flight], marks: Marks) -> bool:
        """Send what was decided and has not left yet. Returns whether anything waits for a task."""
        waits = False
        for decision in decisions:
            if isinstance(decision, Note):
                continue
            if not marks.planned_ns:
                marks.planned_ns = time.perf_counter_ns()
                self._journal.keep()  # as above
                marks.journalled_ns = time.perf_counter_ns()
            connection = self.connections[connection_of(decision.account)]
            if isinstance(decision, LookUp):
                connection.take_snapshot(decision.account, decision.orders)
                waits = True
                continue
            flight = early.pop(decision.client_id, None) if early else None
            if flight is None:
                waits |= self.outgoing.send(connection.venue, decision, marks)
            elif isinstance(decision, Place) and decision.order == flight.order:
                flight.request = decision
            else:
                early[decision.client_id] = flight
        for flight in early.values():
            self.spawn(self._recall(flight))
        return waits

    async def _recall(self, flight: Flight) -> None:
        """Take back an order that was sent at a glance and then not decided on: a defect of the engine's."""
        key, order = flight.key, flight.order
        assert order is not None
        connection = self.connections[connection_of(key)]
        log.error("%s was sent to %s at a glance and then not decided on: it is cancelled", order.client_id, key)
        text = f"{wording.terms(order.terms)} was sent by mistake, a defect of copydesk: it is cancelled again"
        self.chronicle.say("error", "engine", text, account=key, data={"client_id": order.client_id})
        if connection.venue is not None:
            ref = OrderRef(
                account=account_of(key), symbol=order.terms.symbol, type=order.terms.type, client_id=order.client_id
            )
            await connection.venue.cancel(ref)
        connection.take_snapshot(key)

    def _write_behind(self) -> None:
        """What may come after the sends: the record of what was decided, log lines, pictures for the panel."""
        work, self._behind = self._behind, []
        for given, decisions in work:
            for decision in decisions:
                if isinstance(decision, Note):
                    self.chronicle.note(decision)
                else:
                    self._journal.append(
                        "intent",
                        to_json(decision),
                        at_ns=given.at_ns,
                        bot=getattr(decision, "bot", ""),
                        account=decision.account,
                    )
            if isinstance(given, Reported):
                self.chronicle.reported(given, self.state)
        try:
            self._journal.prepare()
        except JournalError as error:
            self._fail(error)
        if work and self._flush is None and not self._stopping:
            self._flush_by_ns = time.perf_counter_ns() + int(2 * FLUSH_S * 1e9)
            self._flush = asyncio.get_running_loop().call_later(FLUSH_S, self._flush_now)
        self.on_change()

    def _flush_now(self) -> None:
        """Let the journal's database catch up a little: now, or when it has been quiet for a moment."""
        self._flush = None
        pause_s = 0.0
        if parents_wait() or (self.quiet_ns() < QUIET_NS and time.perf_counter_ns() < self._flush_by_ns):
            pause_s = QUIET_NS / 1e9
        else:
            try:
                if not self._journal.catch_up():
                    return
            except JournalError as error:
                self._fail(error)
                return
        self._flush = asyncio.get_running_loop().call_later(pause_s, self._flush_now)

    def _arm_tick(self) -> None:
        due_ns = self._copier.next_due_ns
        if not due_ns or (self._tick is not None and self._tick_ns <= due_ns):
            return
        if self._tick is not None:
            self._tick.cancel()
        self._tick_ns = due_ns
        delay = max(0.0, (due_ns - time.time_ns()) / 1e9)
        self._tick = asyncio.get_running_loop().call_later(delay, self._tick_now)

    def _tick_now(self) -> None:
        self._tick = None
        if time.time_ns() >= self._tick_ns:
            self.feed(Ticked(at_ns=time.time_ns()))
        self._arm_tick()

    def warm_up(self) -> bool:
        """Go through the way from the parent's event to its first request with an order that is never sent.

        Changes nothing and keeps nothing; left out while something comes in. False where nothing was copied yet.
        """
        latest = self._latest
        if latest is None or not isinstance(latest.event, OrderEvent) or self._stopping:
            return False
        if self.quiet_ns() < BUSY_NS:
            return True
        order = replace(latest.event.order, venue_id=f"{latest.event.order.venue_id}-warm")
        given = replace(latest, event=OrderEvent(order=order))
        self._journal.warm_up("input", to_json(given), at_ns=given.at_ns, account=given.account)
        found = self._copier.first(given)
        if found is not None:
            account, copy = found
            venue = self.connections[connection_of(account)].venue
            if venue is not None:
                self.outgoing.warm_up(venue, account, copy, Marks(0, 0))
        return True

    # --- what came of it ------------------------------------------------------------------------------------------

    def _settle(self, flight: Flight) -> None:
        """Feed what became of a request."""
        request, outcome, received_ns = flight.request, flight.outcome, flight.marks.received_ns
        if request is None or outcome is None:
            return  # it is being recalled
        if flight.fired and flight.venue is not None and not isinstance(outcome, Unknown):
            flight.venue.round_trips.add(flight.answered_ns - flight.sent_ns)
        self.waterfalls[request.bot].settled(request, flight.marks, flight.sent_ns, flight.answered_ns, fired=flight.fired)
        times = self.times[request.bot, request.account]
        times.sent.add(flight.sent_ns - received_ns)
        times.accepted.add(flight.answered_ns - received_ns)
        times.latest_us = (flight.sent_ns - received_ns) // 1000
        sized = sizing_of(self.state, request.account, request.client_id)
        self.feed(
            Settled(
                at_ns=time.time_ns(),
                account=request.account,
                intent=request.id,
                client_id=request.client_id,
                outcome=outcome,
            )
        )
        level, text = wording.outcome(request, outcome)
        self.chronicle.say(
            level,
            "copy",
            text,
            bot=request.bot,
            account=request.account,
            symbol=request.symbol,
            data={
                "client_id": request.client_id,
                "parent_order": request.cause,
                "why": request.why,
                **sized,
                **flight.times_us,
            },
        )

    # --- what connections tell (Listener) ---------------------------------------------------------------------------

    def heard(self, key: str, event: AccountEvent | PriceEvent, received_ns: int) -> bool:
        if isinstance(event, PriceEvent):
            self.prices[event.symbol] = event.last
            self.events.price(event, key)
            return False
        sending = False
        if self._concerns_a_bot(key):
            self._know_instruments(key, event)
            if isinstance(event, FillEvent):
                self._count_fill(key, event, received_ns)
            sending = self.feed(Reported(at_ns=time.time_ns(), account=key, event=event), received_ns)
        for kind, record in self._board(key).take(event):
            self.events.tell(kind, record, key)
        return sending

    def _count_fill(self, key: str, event: FillEvent, received_ns: int) -> None:
        tracked = self.state.child_orders.get((key, event.fill.client_id))
        if tracked is not None:
            self.waterfalls[tracked.bot.rules.name].filled(key, event.fill.client_id, received_ns or time.perf_counter_ns())

    def read(self, key: str, snapshot: Snapshot) -> None:
        self._read_ns[key] = time.time_ns()
        if self._concerns_a_bot(key):
            self.know_symbols(key, snapshot)
            self.feed(Snapped(at_ns=time.time_ns(), account=key, snapshot=snapshot))
        for kind, record in self._board(key).read(snapshot, whole=snapshot.scope is not Scope.ORDERS):
            self.events.tell(kind, record, key)
        self.prices.update(snapshot.prices)

    def changed(self, connection: Connection) -> None:
        self._put_parents_first()
        if connection.state is not ConnectionState.CONNECTED:
            for key in connection.keys:
                if self._concerns_a_bot(key):
                    self.feed(AccountDown(at_ns=time.time_ns(), account=key, reason=connection.message))
        level = "info" if connection.state in (ConnectionState.CONNECTED, ConnectionState.CONNECTING) else "warn"
        text = f"{connection.name} is {connection.state}" + (f": {connection.message}" if connection.message else "")
        self.chronicle.say(level, "connection", text, account=connection.name)
        for key in connection.keys:
            self.events.tell("account", self.account_view(connection, key), key)

    def venue_ms(self, key: str) -> int:
        account = self.state.accounts.get(key)
        return account.venue_ms if account is not None else 0

    def scope(self, key: str) -> Scope:
        """All of a parent's account matters; of a child's, once it was read in full, what the bots trade there."""
        is_parent = any(key == bot.parent for bot in self._store.bots.values())
        return Scope.ACCOUNT if is_parent or not self.venue_ms(key) else Scope.SYMBOLS

    def symbols(self, key: str) -> tuple[str, ...]:
        """The symbols that matter on an account: those of any link that it takes part in."""
        bots = self.state.bots.values()
        links = (bot.links.values() if key == bot.rules.parent else bot.links.of(key) for bot in bots)
        return tuple(sorted({link.book[0] for some in links for link in some}))

    def positions(self, key: str) -> dict[str, Decimal] | None:
        """What an account held when it was told last, by symbol; None where it never was."""
        account = self.state.accounts.get(key)
        if account is None or not account.venue_ms:
            return None
        held: dict[str, Decimal] = {}
        for position in account.positions.values():
            held[position.symbol] = held.get(position.symbol, ZERO) + position.quantity
        return held

    def _concerns_a_bot(self, key: str) -> bool:
        return key in self._used

    def know_symbols(self, key: str, snapshot: Snapshot) -> None:
        """Give the pure engine the instruments of everything in a snapshot."""
        for symbol in sorted(_symbols_of(snapshot)):
            self._know_instrument(key, symbol)

    def _know_instruments(self, key: str, event: AccountEvent) -> None:
        for name in ("order", "fill", "position"):
            record = getattr(event, name, None)
            if record is not None:
                self._know_instrument(key, record.terms.symbol if name == "order" else record.symbol)

    def _know_instrument(self, key: str, symbol: str) -> None:
        """Give the pure engine an instrument before the first event that needs it."""
        connection = self.connections[connection_of(key)]
        if (connection.info.kind, symbol) in self.state.instruments or connection.venue is None:
            return
        instrument = connection.venue.instruments.get(symbol)
        if instrument is not None:
            self.feed(InstrumentSeen(at_ns=time.time_ns(), kind=connection.info.kind, instrument=instrument))
        self._want_prices()

    def watch_prices(self, account: str, symbol: str) -> None:
        """Somebody looks at a chart: listen to that symbol too."""
        self._watched.setdefault(connection_of(account), set()).add(symbol)
        self._want_prices()

    def _want_prices(self) -> None:
        """Listen to the prices of what parents trade and of what somebody looks at: a hundred children need no more."""
        parents = {bot.parent for bot in self._store.bots.values()}
        for connection in self.connections.values():
            wanted = {symbol for key in connection.keys if key in parents for symbol in self.symbols(key)}
            connection.want_prices(tuple(sorted(wanted | self._watched.get(connection.name, set()))))

    def _board(self, key: str) -> AccountBoard:
        return self.boards.setdefault(key, AccountBoard())

    async def _reconcile(self) -> None:
        """Read every account that a bot uses, now and then: whatever was missed is found."""
        while True:
            await asyncio.sleep(float(self._config.engine.reconcile_s))
            up = [one for one in self.connections.values() if one.state is ConnectionState.CONNECTED]
            keys = [(key, connection) for connection in up for key in connection.keys if self._concerns_a_bot(key)]
            for key, connection in sorted(keys, key=lambda one: self._read_ns.get(one[0], 0)):
                # Where the venue's limit is short, trading comes first, and who was read longest ago comes before others.
                if may_read(self.state, key, time.time_ns()):
                    reading = connection.take_snapshot(key)
                    if key in self.state.purses:  # what it costs is known once it is done
                        await asyncio.wait({reading}, timeout=float(self._config.engine.snapshot_timeout_s))

    async def _certify(self) -> None:
        """Write down at the end of each day how every child stands."""
        starts, zone = clock_minutes(self._config.engine.day_ends), self._config.engine.time_zone
        today = day_of(time.time_ns(), starts, zone)[0]
        while True:
            _, end_ns = day_of(time.time_ns(), starts, zone)
            await asyncio.sleep(min(max(0.0, (end_ns - time.time_ns()) / 1e9), LONGEST_SLEEP_S))
            ended, today = today, day_of(time.time_ns(), starts, zone)[0]
            if ended != today:
                self._write_certificate(ended)

    def _write_certificate(self, day: str) -> None:
        seq, digest = self._journal.head
        made = certificate_of(self.state, day=day, at_ns=time.time_ns(), row_seq=seq, row_hash=digest)
        self._journal.append(CERTIFICATE, to_json(made), at_ns=made.at_ns)
        level = "warn" if made.unexplained else "info"
        self.chronicle.say(
            level, CERTIFICATE, certificate_words(made), data={"day": day, "unexplained": len(made.unexplained)}
        )
        self._journal.commit()

    # --- pictures -------------------------------------------------------------------------------------------------

    def account_view(self, connection: Connection, key: str) -> AccountView:
        """One account as its venue and its connection tell."""
        board = self._board(key)
        return AccountView(
            key=key,
            connection=connection.name,
            kind=connection.info.kind,
            title=connection.info.title,
            state=connection.state,
            message=connection.message or (connection.venue.notice if connection.venue is not None else ""),
            rehearsal=connection.venue.is_rehearsal if connection.venue is not None else False,
            balance=board.balance,
            positions=tuple(board.positions.values()),
            orders=tuple(board.orders.values()),
            budget=budget_view(self.state, key, time.time_ns()),
        )


def _in_growing_groups(found: Iterator[Any]) -> Iterator[Any]:
    """All that is found: the first alone, then ever more in a row.

    The first leaves at once. After that, planning some and then sending them goes faster than taking turns: each keeps what
    it works with in the processor's caches.
    """
    size = 1
    while group := tuple(islice(found, size)):
        yield from group
        size = min(LARGEST_GROUP, size * 2)


def _accounts_of(store: BotStore) -> frozenset[str]:
    """The accounts that bots use."""
    return frozenset(key for bot in store.bots.values() for key in bot.accounts)


def _symbols_of(snapshot: Snapshot) -> set[str]:
    positions = {position.symbol for position in snapshot.positions}
    return {order.terms.symbol for order in snapshot.orders} | positions | {fill.symbol for fill in snapshot.fills}
