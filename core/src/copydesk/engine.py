"""The imperative shell: reads clocks, sockets and disks, feeds the pure engine, sends what comes out. It decides nothing.

One input goes through in one go: journal, decide, commit, send. What was decided and what came of it is written behind the
sends. Everything runs in one event loop.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from copydesk import __version__, wording
from copydesk.board import AccountBoard
from copydesk.bots import BotStore
from copydesk.config import BotSettings, ChildSettings, Config, account_of, connection_of
from copydesk.connection import Connection
from copydesk.connections import settings_for
from copydesk.copier import Copier
from copydesk.errors import Conflict, CopydeskError, NotReady, UnknownName, UsageError
from copydesk.events import Events
from copydesk.ids import is_own
from copydesk.inputs import (
    AccountDown,
    BotRules,
    BotStarted,
    BotStopped,
    Cancel,
    ChildRules,
    Configured,
    Decision,
    EngineStarted,
    Input,
    InstrumentSeen,
    Intent,
    LookUp,
    Modify,
    Note,
    Place,
    Reported,
    Settled,
    Snapped,
    Ticked,
)
from copydesk.journal import Journal
from copydesk.model import (
    Candle,
    CandleRequest,
    FillEvent,
    Instrument,
    KindInfo,
    NewOrder,
    OrderChange,
    OrderEvent,
    OrderRef,
    Outcome,
    PriceEvent,
    Scope,
    Snapshot,
    Terms,
    Unknown,
    VenueEvent,
    from_json,
    to_json,
)
from copydesk.plugins import describe_kind, installed_kinds, load_plugin
from copydesk.secrets import SealedFile
from copydesk.timing import ChildTimes
from copydesk.venue import Venue
from copydesk.view import AccountView, ConnectionState, DeskEvent, DeskView, DriftView, LogEntry, LogQuery
from copydesk.views import bot_view, drifts

log = logging.getLogger(__name__)

REFRESH_S = 0.1
"""How often bots and drift are told to whoever watches, at the most."""
LOG_SHOWN = 300
FLUSH_S = 0.05


class Engine:
    """A running desk: connections, bots, journal. Implements `copydesk.control.Desk` and `copydesk.connection.Listener`."""

    def __init__(self, config: Config, store: BotStore, journal: Journal, sealed: SealedFile) -> None:
        self._config = config
        self._store = store
        self._journal = journal
        self._sealed = sealed
        self._copier = Copier()
        self._events = Events(first=time.time_ns() // 1000)
        self._connections: dict[str, Connection] = {}
        self._kinds: dict[str, KindInfo] = {}
        self._boards: dict[str, AccountBoard] = {}
        self._prices: dict[str, Decimal] = {}
        self._times: dict[tuple[str, str], ChildTimes] = {}
        self._latest_us: dict[str, dict[str, int]] = {}
        self._drift: dict[tuple[str, str, str, str], DriftView] = {}
        self._behind: list[tuple[Input, list[Decision]]] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._tick: asyncio.TimerHandle | None = None
        self._tick_ns = 0
        self._flush: asyncio.TimerHandle | None = None
        self._refresh: asyncio.TimerHandle | None = None
        self._stopping = False
        self._failed: asyncio.Future[None] | None = None

    # --- life -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Recover what the journal tells, then connect everything. Returns at once; connections come up by themselves."""
        self._failed = asyncio.get_running_loop().create_future()
        recovered = self._recover()
        self._journal.append("engine", to_json({"event": "start", "version": __version__}), at_ns=time.time_ns())
        self._open_connections()
        self.feed(EngineStarted(at_ns=time.time_ns()))
        self._configure()
        self._say("info", "engine", f"copydesk {__version__} started; {recovered} inputs read from the journal")
        for name, bot in self._copier.desk.bots.items():
            if bot.working and not self._store.bots[name].working:
                self.feed(BotStopped(at_ns=time.time_ns(), bot=name))
        for settings in self._store.bots.values():
            if settings.working and not self._copier.desk.bots[settings.name].working:
                self._spawn(self._start_when_connected(settings.name))
        self._spawn(self._reconcile())

    async def stop(self) -> None:
        """Close everything in order: nothing new is sent, what was written is on the disk."""
        self._stopping = True
        for handle in (self._tick, self._flush, self._refresh):
            if handle is not None:
                handle.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(connection.stop() for connection in self._connections.values()))
        self._write_behind()
        self._say("info", "engine", "copydesk stopped")
        self._journal.append("engine", to_json({"event": "stop"}), at_ns=time.time_ns())
        self._journal.commit()

    async def failure(self) -> None:
        """Return never, unless the engine cannot go on; then raise why."""
        assert self._failed is not None
        await self._failed

    def _recover(self) -> int:
        count = 0
        decode = msgspec.json.Decoder(Input).decode
        for row in self._journal.rows(kinds=("input",)):
            self._copier.apply(decode(row.body))
            count += 1
        return count

    def _open_connections(self) -> None:
        engine = self._config.engine
        for name, settings in self._config.connections.items():
            info = describe_kind(settings.kind)
            self._kinds[settings.kind] = info
            connection = self._connections[name] = Connection(
                name,
                info,
                self,
                connect_s=float(engine.connect_timeout_s),
                send_s=float(engine.place_timeout_s),
                read_s=float(engine.snapshot_timeout_s),
            )
            self._boards[name] = AccountBoard()
            try:
                connection.start(load_plugin(settings.kind), settings_for(name, self._config, info, self._sealed))
            except UsageError as error:
                connection.refuse(str(error))

    def _configure(self) -> None:
        """Give the pure engine the rules in force."""
        bots = tuple(_rules(bot, self._config.kind_of(bot.parent)) for bot in self._store.bots.values())
        kinds = {bot.kind for bot in bots}
        capabilities = {kind: self._kinds[kind].capabilities for kind in sorted(kinds)}
        self.feed(Configured(at_ns=time.time_ns(), bots=bots, capabilities=capabilities))

    def _spawn(self, work: Any) -> asyncio.Task[Any]:
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

    def feed(self, given: Input, received_ns: int = 0) -> None:
        """Journal an input, let the pure engine decide, and send. `received_ns` (monotonic): when its event was read."""
        if self._stopping:
            return
        try:
            account = getattr(given, "account", "")
            bot = getattr(given, "bot", "")
            self._journal.append("input", to_json(given), at_ns=given.at_ns, account=account, bot=bot)
            decisions = self._copier.apply(given)
            intents = [decision for decision in decisions if not isinstance(decision, Note)]
            if intents:
                self._journal.commit()  # the input is kept before the first byte leaves
                for intent in intents:
                    self._spawn(self._carry_out(intent, received_ns or time.perf_counter_ns()))
        except CopydeskError as error:
            self._fail(error)
            return
        self._behind.append((given, decisions))
        if len(self._behind) == 1:
            asyncio.get_running_loop().call_soon(self._write_behind)
        self._arm_tick()

    def _write_behind(self) -> None:
        """What may come after the sends: the record of what was decided, log lines, pictures for the panel."""
        work, self._behind = self._behind, []
        for given, decisions in work:
            for decision in decisions:
                if isinstance(decision, Note):
                    self._say(
                        decision.level,
                        decision.kind,
                        decision.text,
                        bot=decision.bot,
                        account=decision.account,
                        symbol=decision.symbol,
                        data=decision.data,
                    )
                else:
                    self._journal.append(
                        "intent",
                        to_json(decision),
                        at_ns=given.at_ns,
                        bot=getattr(decision, "bot", ""),
                        account=decision.account,
                    )
            self._describe(given)
        if work and self._flush is None and not self._stopping:
            self._flush = asyncio.get_running_loop().call_later(FLUSH_S, self._flush_now)
        self._refresh_soon()

    def _flush_now(self) -> None:
        self._flush = None
        try:
            self._journal.commit()
        except CopydeskError as error:
            self._fail(error)

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

    # --- sending --------------------------------------------------------------------------------------------------

    async def _carry_out(self, intent: Intent, received_ns: int) -> None:
        """Send one intent and feed what became of it."""
        connection = self._connections[connection_of(intent.account)]
        if isinstance(intent, LookUp):
            connection.take_snapshot(intent.account, intent.orders)
            return
        sent_ns = time.perf_counter_ns()
        outcome = await self._send(connection.venue, intent)
        answered_ns = time.perf_counter_ns()
        times = self._times.setdefault((intent.bot, intent.account), ChildTimes())
        times.sent.add(sent_ns - received_ns)
        times.accepted.add(answered_ns - received_ns)
        self._latest_us.setdefault(intent.bot, {})[intent.account] = (sent_ns - received_ns) // 1000
        client_id = _client_id(intent)
        self.feed(
            Settled(at_ns=time.time_ns(), account=intent.account, intent=intent.id, client_id=client_id, outcome=outcome)
        )
        level, text = wording.outcome(intent, outcome)
        self._say(
            level,
            "copy",
            text,
            bot=intent.bot,
            account=intent.account,
            symbol=_symbol(intent),
            data={
                "client_id": client_id,
                "parent_order": intent.cause,
                "why": intent.why,
                "sent_us": (sent_ns - received_ns) // 1000,
                "answered_us": (answered_ns - received_ns) // 1000,
            },
        )

    async def _send(self, venue: Venue | None, intent: Place | Modify | Cancel) -> Outcome:
        if venue is None:
            # Nothing was sent; saying "unknown" makes the engine look the order up before anything goes again.
            return Unknown(message="the connection was lost")
        account = account_of(intent.account)
        match intent:
            case Place(order=order):
                return await venue.place(msgspec.structs.replace(order, account=account) if account else order)
            case Modify(change=change):
                ref = msgspec.structs.replace(change.ref, account=account) if account else change.ref
                return await venue.modify(OrderChange(ref=ref, terms=change.terms))
            case Cancel(order=ref):
                return await venue.cancel(msgspec.structs.replace(ref, account=account) if account else ref)

    # --- what connections tell (Listener) ---------------------------------------------------------------------------

    def heard(self, key: str, event: VenueEvent, received_ns: int) -> None:
        if isinstance(event, PriceEvent):
            self._prices[event.symbol] = event.last
            self._events.price(event, key)
            return
        if self._concerns_a_bot(key):
            self._know_instruments(key, event)
            self.feed(Reported(at_ns=time.time_ns(), account=key, event=event), received_ns)  # type: ignore[arg-type]
        for kind, record in self._board(key).take(event):
            self._events.tell(kind, record, key)

    def read(self, key: str, snapshot: Snapshot) -> None:
        if self._concerns_a_bot(key):
            for symbol in sorted(_symbols_of(snapshot)):
                self._know_instrument(key, symbol)
            self.feed(Snapped(at_ns=time.time_ns(), account=key, snapshot=snapshot))
        for kind, record in self._board(key).read(snapshot, whole=snapshot.scope is not Scope.ORDERS):
            self._events.tell(kind, record, key)
        self._prices.update(snapshot.prices)

    def changed(self, connection: Connection) -> None:
        if connection.state is not ConnectionState.CONNECTED:
            for key in connection.keys:
                if self._concerns_a_bot(key):
                    self.feed(AccountDown(at_ns=time.time_ns(), account=key, reason=connection.message))
        level = "info" if connection.state in (ConnectionState.CONNECTED, ConnectionState.CONNECTING) else "warn"
        text = f"{connection.name} is {connection.state}" + (f": {connection.message}" if connection.message else "")
        self._say(level, "connection", text, account=connection.name)
        for key in connection.keys:
            self._events.tell("account", self._account_view(connection, key), key)

    def venue_ms(self, key: str) -> int:
        account = self._copier.desk.accounts.get(key)
        return account.venue_ms if account is not None else 0

    def scope(self, key: str) -> Scope:
        """All of a parent's account matters; of a child's, once it was read in full, what the bots trade there."""
        is_parent = any(key == bot.parent for bot in self._store.bots.values())
        return Scope.ACCOUNT if is_parent or not self.venue_ms(key) else Scope.SYMBOLS

    def symbols(self, key: str) -> tuple[str, ...]:
        """The symbols that matter on an account: those of any link that it takes part in."""
        symbols = {
            link.book[0]
            for bot in self._copier.desk.bots.values()
            for link in bot.links.values()
            if key in (bot.rules.parent, link.child.account)
        }
        return tuple(sorted(symbols))

    def _concerns_a_bot(self, key: str) -> bool:
        return any(key in bot.accounts for bot in self._store.bots.values())

    def _know_instruments(self, key: str, event: VenueEvent) -> None:
        for name in ("order", "fill", "position"):
            record = getattr(event, name, None)
            if record is not None:
                self._know_instrument(key, record.terms.symbol if name == "order" else record.symbol)

    def _know_instrument(self, key: str, symbol: str) -> None:
        """Give the pure engine an instrument before the first event that needs it."""
        connection = self._connections[connection_of(key)]
        if (connection.info.kind, symbol) in self._copier.desk.instruments or connection.venue is None:
            return
        instrument = connection.venue.instruments.get(symbol)
        if instrument is not None:
            self.feed(InstrumentSeen(at_ns=time.time_ns(), kind=connection.info.kind, instrument=instrument))
        self._want_prices()

    def _want_prices(self) -> None:
        """Listen to the prices of what is traded, on each connection that has a chart to feed."""
        for connection in self._connections.values():
            wanted = {
                symbol
                for key in connection.keys
                for symbol in (*self.symbols(key), *(p.symbol for p in self._board(key).positions.values()))
            }
            connection.want_prices(tuple(sorted(wanted)))

    def _board(self, key: str) -> AccountBoard:
        return self._boards.setdefault(key, AccountBoard())

    async def _reconcile(self) -> None:
        """Read every account that a bot uses, now and then: whatever was missed is found."""
        while True:
            await asyncio.sleep(float(self._config.engine.reconcile_s))
            for connection in self._connections.values():
                if connection.state is ConnectionState.CONNECTED:
                    for key in connection.keys:
                        if self._concerns_a_bot(key):
                            connection.take_snapshot(key)

    # --- what is told to people -----------------------------------------------------------------------------------

    def _say(
        self,
        level: str,
        kind: str,
        text: str,
        *,
        bot: str = "",
        account: str = "",
        symbol: str = "",
        data: dict[str, Any] | None = None,
    ) -> None:
        """One line of the log of actions: journalled and told."""
        at_ns = time.time_ns()
        entry = LogEntry(
            at_ns=at_ns, level=level, kind=kind, text=text, bot=bot, account=account, symbol=symbol, data=data or {}
        )
        seq = self._journal.append("log", to_json(entry), at_ns=at_ns, bot=bot, account=account)
        self._events.tell("log", msgspec.structs.replace(entry, seq=seq), account)

    def _describe(self, given: Input) -> None:
        """The log lines of what venues reported."""
        if not isinstance(given, Reported):
            return
        parents = [bot for bot in self._store.bots.values() if bot.parent == given.account and bot.working]
        match given.event:
            case OrderEvent(order=order) if not is_own(order.client_id):
                for bot in parents:
                    self._say(
                        "info",
                        "parent",
                        wording.parent_order(order),
                        bot=bot.name,
                        account=given.account,
                        symbol=order.terms.symbol,
                        data={"parent_order": order.venue_id, "status": order.status},
                    )
            case FillEvent(fill=fill) if is_own(fill.client_id):
                tracked = self._copier.desk.child_orders.get((given.account, fill.client_id))
                self._say(
                    "info",
                    "fill",
                    wording.fill(fill),
                    bot=tracked.bot.rules.name if tracked is not None else "",
                    account=given.account,
                    symbol=fill.symbol,
                    data={"client_id": fill.client_id},
                )

    def _refresh_soon(self) -> None:
        if self._refresh is None and not self._stopping:
            self._refresh = asyncio.get_running_loop().call_later(REFRESH_S, self._refresh_now)

    def _refresh_now(self) -> None:
        self._refresh = None
        for settings in self._store.bots.values():
            self._events.tell("bot", self._bot_view(settings))
        fresh = {(view.bot, view.child, view.symbol, view.position_side): view for view in drifts(self._copier.desk)}
        for key, view in fresh.items():
            if self._drift.get(key) != view:
                self._events.tell("drift", view, view.child)
        self._drift = fresh

    def _bot_view(self, settings: BotSettings) -> Any:
        kind = self._config.kind_of(settings.parent)
        times = {child: times for (bot, child), times in self._times.items() if bot == settings.name}
        view = bot_view(self._copier.desk, settings, kind, self._latest_us.get(settings.name, {}))
        children = tuple(
            msgspec.structs.replace(
                child, sent=times[child.account].sent.latency, accepted=times[child.account].accepted.latency
            )
            if child.account in times
            else child
            for child in view.children
        )
        return msgspec.structs.replace(view, children=children)

    def _account_view(self, connection: Connection, key: str) -> AccountView:
        board = self._board(key)
        return AccountView(
            key=key,
            connection=connection.name,
            kind=connection.info.kind,
            title=connection.info.title,
            state=connection.state,
            message=connection.message,
            rehearsal=connection.venue.is_rehearsal if connection.venue is not None else False,
            balance=board.balance,
            positions=tuple(board.positions.values()),
            orders=tuple(board.orders.values()),
        )

    # --- what the control API asks for (Desk) -----------------------------------------------------------------------

    def view(self) -> DeskView:
        fills = tuple((key, fill) for key, board in self._boards.items() for fill in board.fills)
        accounts = tuple(self._account_view(c, key) for c in self._connections.values() for key in c.keys)
        return DeskView(
            seq=self._events.last,
            at_ns=time.time_ns(),
            version=__version__,
            bots=tuple(self._bot_view(bot) for bot in self._store.bots.values()),
            accounts=accounts,
            drift=drifts(self._copier.desk),
            fills=fills,
            log=tuple(reversed(self.log(LogQuery(limit=LOG_SHOWN)))),
            prices=dict(self._prices),
        )

    def events_after(self, seq: int, limit: int) -> list[DeskEvent] | None:
        return self._events.after(seq, limit)

    def listen(self, sink: Callable[[DeskEvent], None]) -> Callable[[], None]:
        return self._events.listen(sink)

    def log(self, query: LogQuery) -> list[LogEntry]:
        self._journal.commit()
        rows = self._journal.rows(
            kinds=("log",),
            bot=query.bot,
            account=query.account,
            from_ns=query.from_ms * 1_000_000,
            to_ns=query.to_ms * 1_000_000,
            before_seq=query.before_seq,
            newest_first=True,
        )
        found: list[LogEntry] = []
        for row in rows:
            entry = msgspec.structs.replace(from_json(row.body, LogEntry), seq=row.seq)
            if _fits(entry, query):
                found.append(entry)
                if len(found) >= query.limit:
                    break
        return found

    def bots(self) -> tuple[BotSettings, ...]:
        return tuple(self._store.bots.values())

    async def add_bot(self, bot: BotSettings) -> None:
        working = bot.working
        self._store.add(bot.model_copy(update={"working": False}), self._config)
        self._configure()
        self._say("info", "bot", f"bot {bot.name!r} added", bot=bot.name)
        if working:
            await self.start_bot(bot.name)
        self._refresh_soon()
        await self._read_children(bot)

    async def change_bot(self, name: str, bot: BotSettings) -> None:
        old = self._store.get(name)
        if old.working and (bot.parent != old.parent or bot.name != name):
            raise Conflict(f"bot {name!r} is Working: stop it before its name or parent is changed")
        self._store.change(name, bot.model_copy(update={"working": old.working}), self._config)
        if bot.name != name:
            self._events.tell("bot-removed", {"name": name})
        self._configure()
        self._say("info", "bot", f"bot {bot.name!r}: settings changed", bot=bot.name)
        await self._read_children(bot)

    async def remove_bot(self, name: str) -> None:
        if self._store.get(name).working:
            raise Conflict(
                f"bot {name!r} is Working: stop it first; its children's orders and positions are left as they are"
            )
        self._store.remove(name)
        self._configure()
        self._say("info", "bot", f"bot {name!r} removed", bot=name)
        self._events.tell("bot-removed", {"name": name})

    async def start_bot(self, name: str) -> None:
        bot = self._store.get(name)
        if bot.working and self._copier.desk.bots[name].working:
            return
        connection = self._connections[connection_of(bot.parent)]
        await connection.until_up(float(self._config.engine.connect_timeout_s))
        await self._read_children(bot)
        snapshot = await connection.snapshot(bot.parent)
        for symbol in sorted(_symbols_of(snapshot)):
            self._know_instrument(bot.parent, symbol)
        self.feed(BotStarted(at_ns=time.time_ns(), bot=name, snapshot=snapshot))
        self._store.set_working(name, True)
        self._say("info", "bot", f"bot {name!r} started", bot=name)
        self._refresh_soon()

    async def stop_bot(self, name: str) -> None:
        if not self._store.get(name).working:
            return
        self.feed(BotStopped(at_ns=time.time_ns(), bot=name))
        self._store.set_working(name, False)
        self._say(
            "info", "bot", f"bot {name!r} stopped; its children's orders and positions are left as they are", bot=name
        )
        self._refresh_soon()

    async def _start_when_connected(self, name: str) -> None:
        """A bot that was started while no engine ran: start it as soon as its parent can be read."""
        while True:
            try:
                await self.start_bot(name)
            except NotReady as error:
                self._say("warn", "bot", f"bot {name!r} waits: {error}", bot=name)
                await asyncio.sleep(5)
            else:
                return

    async def _read_children(self, bot: BotSettings) -> None:
        """Read the accounts that joined, so that their balances are known before the first order."""
        for key in bot.accounts:
            connection = self._connections[connection_of(key)]
            if connection.state is ConnectionState.CONNECTED and not self._known(key):
                try:
                    self.read(key, await connection.snapshot(key))
                except NotReady as error:
                    self._say("warn", "connection", f"{key} could not be read: {error}", account=key)

    def _known(self, key: str) -> bool:
        account = self._copier.desk.accounts.get(key)
        return account is not None and account.connected

    def kinds(self) -> tuple[KindInfo, ...]:
        return tuple(describe_kind(kind) for kind in sorted(installed_kinds()))

    def _venue(self, account: str) -> Venue:
        connection = self._connections.get(connection_of(account))
        if connection is None:
            raise UnknownName(f"there is no account {account!r}: see `copydesk accounts`")
        if connection.venue is None:
            raise NotReady(f"{connection.name} is not connected: {connection.message or 'still trying'}")
        return connection.venue

    def instruments(self, account: str) -> tuple[Instrument, ...]:
        return tuple(self._venue(account).instruments.values())

    async def candles(self, account: str, request: CandleRequest) -> tuple[Candle, ...]:
        connection = self._connections[connection_of(account)]
        candles = await self._venue(account).candles(request)
        if request.symbol not in self.symbols(account):
            connection.want_prices(tuple(sorted({*self.symbols(account), request.symbol})))
        return candles

    async def place(self, account: str, terms: Terms) -> tuple[str, Outcome]:
        """The ticket's order: a person's own, so its id is not one of ours and it is copied like any other."""
        client_id = f"ticket-{secrets.token_hex(8)}"
        order = NewOrder(account=account_of(account), client_id=client_id, terms=terms)
        return client_id, await self._venue(account).place(order)

    async def modify(self, account: str, change: OrderChange) -> Outcome:
        return await self._venue(account).modify(change)

    async def cancel(self, account: str, order: OrderRef) -> Outcome:
        return await self._venue(account).cancel(order)


def _rules(bot: BotSettings, kind: str) -> BotRules:
    return BotRules(
        name=bot.name, kind=kind, parent=bot.parent, children=tuple(_child_rules(child) for child in bot.children)
    )


def _child_rules(child: ChildSettings) -> ChildRules:
    return ChildRules(
        account=child.account,
        mode=child.mode,
        value=child.value,
        rounding=child.rounding,
        ahead=child.ahead,
        basis=child.basis,
        fixed_balance=child.fixed_balance or Decimal(0),
        balance_max_age_ms=int(child.balance_max_age_s * 1000),
        catch_up_max_age_ms=int(child.catch_up.max_age_s * 1000),
        catch_up_max_adverse_percent=child.catch_up.max_adverse_percent,
    )


def _symbols_of(snapshot: Snapshot) -> set[str]:
    positions = {position.symbol for position in snapshot.positions}
    return {order.terms.symbol for order in snapshot.orders} | positions | {fill.symbol for fill in snapshot.fills}


def _client_id(intent: Place | Modify | Cancel) -> str:
    match intent:
        case Place(order=order):
            return order.client_id
        case Modify(change=change):
            return change.ref.client_id
        case Cancel(order=ref):
            return ref.client_id


def _symbol(intent: Place | Modify | Cancel) -> str:
    match intent:
        case Place(order=order):
            return order.terms.symbol
        case Modify(change=change):
            return change.terms.symbol
        case Cancel(order=ref):
            return ref.symbol


def _fits(entry: LogEntry, query: LogQuery) -> bool:
    if query.kind and entry.kind != query.kind:
        return False
    if query.level and entry.level != query.level:
        return False
    return not query.text or query.text.lower() in entry.text.lower()


def data_paths(folder: Path) -> dict[str, Path]:
    """The files of a data folder that a running engine uses."""
    return {"journal": folder / "journal.db", "log": folder / "engine.log"}
