"""A desk in memory, and the control API of it on a real socket. Nothing of an engine but what the API asks of one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from itertools import count

import msgspec
import pytest
from copydesk.bootreport import BootReport
from copydesk.config import BotSettings, ChildSettings
from copydesk.control import Running, StreamLimits, serve
from copydesk.errors import Conflict, NotReady, RateLimited, UnknownName, UsageError
from copydesk.feasibility import Preview
from copydesk.model import (
    Accepted,
    Candle,
    CandleRequest,
    Capabilities,
    Contract,
    Instrument,
    KindInfo,
    Order,
    OrderChange,
    OrderRef,
    OrderStatus,
    Outcome,
    PriceEvent,
    Record,
    Rejected,
    RejectReason,
    Terms,
)
from copydesk.plans import (
    KillOrder,
    KillReport,
    MissingOrder,
    MissingPlan,
    StartOrder,
    StartPlan,
    StopOrder,
    StopPlan,
)
from copydesk.story import Story
from copydesk.view import (
    AccountView,
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

TOKEN = "a-token-that-only-the-tests-know"

BTCUSDT = Instrument(
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    settle="USDT",
    contract=Contract.LINEAR,
    price_tick=Decimal("0.1"),
    quantity_step=Decimal("0.001"),
)


class MemoryDesk:
    """Keeps the last `kept` events, bots by name, and two accounts, of which `demo/parent` is a rehearsal."""

    def __init__(self, kept: int = 20_000) -> None:
        self.kept = kept
        self.events: list[DeskEvent] = []
        self.sinks: set[Callable[[DeskEvent], None]] = set()
        self.stored: dict[str, BotSettings] = {}
        self.lines: list[LogEntry] = []
        self.placed: dict[str, Order] = {}
        self.limited: dict[str, LimitView] = {}
        self.left: dict[str, Ticket] = {}
        self._numbers = count(1)
        self._orders = count(1)

    # what the tests do to it

    def emit(self, kind: str, body: Record, account: str = "") -> DeskEvent:
        event = DeskEvent(seq=next(self._numbers), kind=kind, account=account, body=body)
        self.events = [*self.events[1 - self.kept :], event] if len(self.events) >= self.kept else [*self.events, event]
        self._tell(event)
        return event

    def say(self, text: str, *, level: str = "info", bot: str = "", at_ms: int = 0) -> None:
        entry = LogEntry(seq=len(self.lines) + 1, at_ns=at_ms * 1_000_000, level=level, kind="word", text=text, bot=bot)
        self.lines.append(entry)
        self.emit("log", entry)

    def burst(self, many: int, width: int = 20) -> None:
        """Emit many log events, quickly, without storing the lines."""
        body = LogEntry(at_ns=1, level="info", kind="word", text="x" * width)
        events = [DeskEvent(seq=next(self._numbers), kind="log", body=body) for _ in range(many)]
        self.events = (self.events + events)[-self.kept :]
        for event in events:
            self._tell(event)

    def price(self, account: str, symbol: str, last: str) -> None:
        self._tell(DeskEvent(seq=0, kind="price", account=account, body=PriceEvent(symbol=symbol, last=Decimal(last))))

    def _tell(self, event: DeskEvent) -> None:
        for sink in tuple(self.sinks):
            sink(event)

    # what the control API asks of it

    def latest_seq(self) -> int:
        return self.view().seq

    def account_views(self) -> tuple[AccountView, ...]:
        return self.view().accounts

    def tickets(self) -> tuple[Ticket, ...]:
        return tuple(self.left.values())

    async def send_ticket(self, number: str, action: TicketAction) -> Ticket:
        return self._ticket(number, "sent", action)

    async def dismiss_ticket(self, number: str, action: TicketAction) -> Ticket:
        return self._ticket(number, "dismissed", action)

    def _ticket(self, number: str, status: str, action: TicketAction) -> Ticket:
        if number not in self.left:
            raise UnknownName(f"there is no ticket {number!r}")
        if self.left[number].status != "open":
            raise Conflict(f"ticket {number} was {self.left[number].status} already")
        self.left[number] = msgspec.structs.replace(self.left[number], status=status, client_id=action.actor)
        return self.left[number]

    def limits(self) -> tuple[LimitView, ...]:
        return tuple(self.limited.values())

    async def set_limit(self, account: str, change: LimitChange) -> LimitView:
        self.limited[account] = LimitView(
            account=account, state=change.state, reason=change.reason, actor=change.actor, until_ns=change.until_ns
        )
        return self.limited[account]

    def drift_views(self) -> tuple[DriftView, ...]:
        return self.view().drift

    def view(self) -> DeskView:
        seq = self.events[-1].seq if self.events else 0
        accounts = tuple(
            AccountView(
                key=key,
                connection=key.partition("/")[0],
                kind="paper",
                title=key,
                state=ConnectionState.CONNECTED,
                rehearsal=key != "real",
            )
            for key in ("demo/parent", "real")
        )
        return DeskView(seq=seq, at_ns=1, version="test", accounts=accounts, log=tuple(self.lines[-50:]))

    def events_after(self, seq: int, limit: int) -> list[DeskEvent] | None:
        first = self.events[0].seq if self.events else 1
        if seq + 1 < first:
            return None
        return self.events[seq + 1 - first : seq + 1 - first + limit]

    def listen(self, sink: Callable[[DeskEvent], None]) -> Callable[[], None]:
        self.sinks.add(sink)
        return lambda: self.sinks.discard(sink)

    async def log(self, query: LogQuery) -> list[LogEntry]:
        fitting = [
            line
            for line in reversed(self.lines)
            if query.from_ms * 1_000_000 <= line.at_ns
            and (not query.to_ms or line.at_ns <= query.to_ms * 1_000_000)
            and query.bot in ("", line.bot)
            and query.level in ("", line.level)
            and query.text.lower() in line.text.lower()
            and (not query.before_seq or line.seq < query.before_seq)
        ]
        return fitting[: query.limit]

    def bots(self) -> tuple[BotSettings, ...]:
        return tuple(self.stored.values())

    async def add_bot(self, bot: BotSettings) -> None:
        if bot.parent == "nowhere":
            raise UsageError("unknown connection 'nowhere': add it to copydesk.toml")
        self.stored[bot.name] = bot

    async def change_bot(self, name: str, bot: BotSettings) -> None:
        del self.stored[name]
        self.stored[bot.name] = bot

    async def remove_bot(self, name: str) -> None:
        del self.stored[name]

    def boot_report(self) -> BootReport:
        return BootReport(started_ns=1, complete=True)

    async def preview(self, bot: BotSettings, last: int) -> Preview:
        return Preview(bot=bot.name, parent=bot.parent, children=())

    async def plan_start(self, name: str, order: StartOrder) -> StartPlan:
        policy, percent = order.policy or "ignore", order.max_adverse_percent or Decimal(0)
        return StartPlan(
            bot=name,
            parent=self.stored[name].parent,
            policy=policy,
            max_adverse_percent=percent,
            positions=(),
            orders=(),
            children=(),
            digest=f"of {policy}",
        )

    async def plan_stop(self, name: str, order: StopOrder) -> StopPlan:
        return StopPlan(bot=name, policy=order.policy or "leave", children=(), digest=f"of {order.policy or 'leave'}")

    async def start_bot(self, name: str, order: StartOrder) -> None:
        if order.policy and order.digest != f"of {order.policy}":
            raise Conflict(f"bot {name!r}: the plan of its start has to be confirmed first")
        self.stored[name] = self.stored[name].model_copy(update={"working": True})

    async def stop_bot(self, name: str, order: StopOrder) -> None:
        if order.policy and order.digest != f"of {order.policy}":
            raise Conflict(f"bot {name!r}: the plan of its stop has to be confirmed first")
        self.stored[name] = self.stored[name].model_copy(update={"working": False})

    async def plan_missing(self, name: str, order: MissingOrder) -> MissingPlan:
        return MissingPlan(
            bot=name, child=order.child, symbol=order.symbol, position_side=order.position_side, digest="of it"
        )

    async def copy_missing(self, name: str, order: MissingOrder) -> None:
        if order.digest != "of it":
            raise Conflict(f"what is missing in {order.symbol} on {order.child}: its plan has to be confirmed first")

    async def kill(self, order: KillOrder) -> KillReport:
        return KillReport(policy=order.policy, bots=tuple(self.stored))

    async def story(self, seq: int) -> Story:
        raise UnknownName(f"the log has no line {seq}")

    def latencies(self) -> tuple[LatencyView, ...]:
        return ()

    def connections(self) -> tuple[ConnectionView, ...]:
        return (ConnectionView(name="demo", kind="paper", title="Paper", state=ConnectionState.CONNECTED),)

    async def reconnect(self, name: str) -> None:
        pass

    def kinds(self) -> tuple[KindInfo, ...]:
        return (KindInfo(kind="paper", title="Paper", capabilities=Capabilities(hedge_mode=True)),)

    def instruments(self, account: str) -> tuple[Instrument, ...]:
        return (BTCUSDT,)

    async def candles(self, account: str, request: CandleRequest) -> tuple[Candle, ...]:
        match request.symbol:
            case "DOWN":
                raise NotReady("the venue of demo cannot be reached: it is tried again")
            case "BUSY":
                raise RateLimited("the venue asks for a pause", retry_after_ms=1500)
            case "DEFECT":
                raise ZeroDivisionError("a defect, with a secret in its message")
        one = Decimal(1)
        return tuple(Candle(open_ms=n, open=one, high=one, low=one, close=one, volume=one) for n in range(request.limit))

    async def place(self, account: str, terms: Terms) -> tuple[str, Outcome]:
        if terms.symbol != "BTCUSDT":
            return "", Rejected(reason=RejectReason.SYMBOL, message=f"no such symbol {terms.symbol}")
        number = next(self._orders)
        client_id = f"ticket-{number}"
        order = Order(venue_id=str(number), client_id=client_id, terms=terms, status=OrderStatus.NEW)
        self.placed[client_id] = order
        self.emit("order", order, account)
        return client_id, Accepted(order=order)

    async def modify(self, account: str, change: OrderChange) -> Outcome:
        return self._found(change.ref)

    async def cancel(self, account: str, order: OrderRef) -> Outcome:
        return self._found(order)

    def _found(self, ref: OrderRef) -> Outcome:
        order = self.placed.get(ref.client_id)
        if order is None:
            return Rejected(reason=RejectReason.NOT_FOUND, message=f"no order {ref.client_id}")
        return Accepted(order=order)


@pytest.fixture
def token() -> str:
    return TOKEN


@pytest.fixture
def new_desk() -> Callable[..., MemoryDesk]:
    return MemoryDesk


@pytest.fixture
def desk() -> MemoryDesk:
    return MemoryDesk()


@pytest.fixture
def new_bot() -> Callable[..., BotSettings]:
    def make(name: str, **changes: object) -> BotSettings:
        children = (ChildSettings(account="demo/child", mode="multiplier", value=Decimal("0.5")),)
        return BotSettings.model_validate({"name": name, "parent": "demo/parent", "children": children, **changes})

    return make


@pytest.fixture
async def start(token: str) -> AsyncIterator[Callable[..., object]]:
    """Serves a desk until the test ends: `running = await start(desk, limits=...)`."""
    started: list[Running] = []

    async def serve_it(desk: MemoryDesk, *, limits: StreamLimits | None = None, port: int = 0) -> Running:
        running = await serve(desk, host="127.0.0.1", port=port, token=token, limits=limits)
        started.append(running)
        return running

    yield serve_it
    for running in started:
        await running.stop()


@pytest.fixture
async def running(start: Callable[..., object], desk: MemoryDesk) -> Running:
    return await start(desk)  # type: ignore[misc, no-any-return]
