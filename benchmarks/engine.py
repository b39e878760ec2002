"""What the engine itself costs per child order: everything on but the wire.

    python benchmarks/engine.py [--children 1,10,100,500] [--rounds 60] [--json] [--profile 40]

The engine runs with its journal in this process, on a venue that takes every order at once and tells of it on each child's
stream, without a socket. A round: the parent places a limit order, every child's copy is taken and told of, the parent
cancels, so do the copies. Processor time is that of the process, so that a busy machine does little harm.
"""

from __future__ import annotations

import argparse
import asyncio
import cProfile
import gc
import json
import pstats
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import copydesk.engine
from copydesk.bots import BotStore
from copydesk.config import BotSettings, ChildSettings, Config
from copydesk.engine import Engine
from copydesk.hooks import Done, Plugin, Tell
from copydesk.journal import Journal
from copydesk.livedesk import LiveDesk
from copydesk.model import (
    Accepted,
    Balance,
    Capabilities,
    ConnectionSettings,
    Contract,
    Gap,
    Instrument,
    KindInfo,
    NewOrder,
    Order,
    OrderChange,
    OrderEvent,
    OrderRef,
    OrderStatus,
    OrderType,
    Outcome,
    Side,
    Snapshot,
    SnapshotRequest,
    Subscription,
    Terms,
    VenueEvent,
)
from copydesk.plans import StartOrder
from copydesk.plugins import Loaded
from copydesk.secrets import SealedFile
from copydesk.view import ConnectionState
from msgspec.structs import replace

KIND, SYMBOL, PARENT = "bench", "BTCUSDT", "parent"
READY_S = 120.0
INSTRUMENT = Instrument(
    symbol=SYMBOL,
    base="BTC",
    quote="USDT",
    settle="USDT",
    contract=Contract.LINEAR,
    price_tick=Decimal("0.1"),
    quantity_step=Decimal("0.001"),
    min_quantity=Decimal("0.001"),
)
CASH = Balance(account="", currency="USDT", equity=Decimal(100_000), cash=Decimal(100_000), available=Decimal(100_000))
KINDS = KindInfo(
    kind=KIND,
    title="Benchmark",
    capabilities=Capabilities(order_types=frozenset(OrderType), amend=frozenset({OrderType.STOP_MARKET, OrderType.LIMIT})),
)


class Session:
    """An account of a venue that is a few lines of this process."""

    instruments: Mapping[str, Instrument] = {SYMBOL: INSTRUMENT}
    accounts = ("",)
    rehearsal = True
    there: dict[str, Session] = {}
    sent_ns: list[int] = []
    answers = 0  # how many of them were answered and told of

    def __init__(self, name: str) -> None:
        self.name = name
        self.orders: dict[str, Order] = {}
        self._tell: Tell = lambda event, at_ns: None
        self._ended = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self.there[name] = self

    async def listen(self, subscription: Subscription, tell: Tell) -> None:
        if subscription.private:
            self._tell = tell
            tell(Gap(reason="listening"), 0)
        await self._ended.wait()

    async def subscribe(self, subscription: Subscription) -> AsyncIterator[VenueEvent]:
        events: asyncio.Queue[VenueEvent] = asyncio.Queue()
        if subscription.private:
            self._tell = lambda event, at_ns: events.put_nowait(event)
            yield Gap(reason="listening")
        while True:
            yield await events.get()

    def told(self, order: Order) -> None:
        self.orders[order.client_id] = order
        self._tell(OrderEvent(order=order), time.perf_counter_ns())

    def fire(self, order: NewOrder, done: Done) -> bool:
        self.sent_ns.append(time.perf_counter_ns())
        taken = Order(
            venue_id=f"v{order.client_id}",
            client_id=order.client_id,
            terms=order.terms,
            status=OrderStatus.NEW,
            updated_ms=now_ms(),
        )
        self._loop.call_soon(self._answer, done, taken)
        return True

    def fire_cancel(self, order: OrderRef, done: Done) -> bool:
        self.sent_ns.append(time.perf_counter_ns())
        gone = replace(self.orders[order.client_id], status=OrderStatus.CANCELLED, updated_ms=now_ms())
        self._loop.call_soon(self._answer, done, gone)
        return True

    def fire_modify(self, change: OrderChange, done: Done) -> bool:
        self.sent_ns.append(time.perf_counter_ns())
        other = replace(self.orders[change.ref.client_id], terms=change.terms, updated_ms=now_ms())
        self._loop.call_soon(self._answer, done, other)
        return True

    def _answer(self, done: Done, order: Order) -> None:
        done(Accepted(order=order))
        self.told(order)
        Session.answers += 1

    async def place(self, order: NewOrder) -> Outcome:
        return await self._wait(self.fire, order)

    async def modify(self, change: OrderChange) -> Outcome:
        return await self._wait(self.fire_modify, change)

    async def cancel(self, order: OrderRef) -> Outcome:
        return await self._wait(self.fire_cancel, order)

    async def _wait(self, fire: Any, what: Any) -> Outcome:
        came: asyncio.Future[Outcome] = self._loop.create_future()
        fire(what, came.set_result)
        return await came

    async def snapshot(self, request: SnapshotRequest) -> Snapshot:
        return Snapshot(account="", time_ms=now_ms(), balance=CASH, orders=tuple(self.orders.values()))

    async def close(self) -> None:
        self._ended.set()


async def connect(settings: ConnectionSettings) -> Session:
    return Session(settings.name)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class Timed:
    """What came out for one number of children; microseconds, of rounds."""

    children: int
    start_s: float = 0.0
    resident_kb: float = 0.0  # per child
    first_us: list[float] = field(default_factory=list)
    last_us: list[float] = field(default_factory=list)
    place_us: list[float] = field(default_factory=list)  # of processor time, per child
    cancel_us: list[float] = field(default_factory=list)


def resident_kb() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


async def settled(children: int) -> None:
    """Return once every child's order was answered and nothing is left to be done."""
    async with asyncio.timeout(READY_S):
        while Session.answers < children:
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.12)  # pictures for the panel, rows that wait for company


async def measure(children: int, rounds: int, profiler: cProfile.Profile | None) -> Timed:
    timed = Timed(children)
    names = [f"child{number}" for number in range(children)]
    connections: dict[str, Any] = {name: {"kind": KIND} for name in (PARENT, *names)}
    loaded = Loaded(Plugin("copydesk", KINDS, connect=connect), "bench", KINDS)
    copydesk.engine.load_kind = lambda kind: loaded  # type: ignore[attr-defined]
    Session.there.clear()
    with tempfile.TemporaryDirectory(prefix="copydesk-bench-") as place:
        folder = Path(place)
        config = Config.model_validate({"connections": connections})
        store = BotStore.load(folder)
        table = [ChildSettings(account=name, mode="multiplier", value=Decimal("0.5")) for name in names]
        before_kb, began = resident_kb(), time.perf_counter()
        with Journal.open(folder / "journal.db") as journal:
            engine = Engine(config, store, journal, SealedFile(folder, lambda: ""))
            await engine.start()
            desk = LiveDesk(engine, config, store)
            desk.start()
            async with asyncio.timeout(READY_S):
                while any(one.state is not ConnectionState.CONNECTED for one in engine.connections.values()):
                    await asyncio.sleep(0.01)
                store.add(BotSettings(name="bench", parent=PARENT, children=tuple(table)), config)
                engine.configure()
                await desk.start_bot("bench", StartOrder())
            timed.start_s = time.perf_counter() - began
            timed.resident_kb = (resident_kb() - before_kb) / children
            parent = Session.there[PARENT]
            gc.collect()
            for number in range(rounds):
                await one_round(parent, number, timed, profiler)
            await engine.stop()
    return timed


async def one_round(parent: Session, number: int, timed: Timed, profiler: cProfile.Profile | None) -> None:
    terms = Terms(
        symbol=SYMBOL, side=Side.BUY, type=OrderType.LIMIT, quantity=Decimal("0.2"), price=Decimal(60_000 + number)
    )
    order = Order(
        venue_id=f"{number}", client_id=f"hand-{number}", terms=terms, status=OrderStatus.NEW, created_ms=now_ms()
    )
    Session.sent_ns.clear()
    Session.answers = 0
    if profiler is not None:
        profiler.enable()
    told, cpu = time.perf_counter_ns(), time.process_time_ns()
    parent.told(order)
    await settled(timed.children)
    timed.place_us.append((time.process_time_ns() - cpu) / 1000 / timed.children)
    timed.first_us.append((Session.sent_ns[0] - told) / 1000)
    timed.last_us.append((Session.sent_ns[-1] - told) / 1000)
    Session.answers = 0
    cpu = time.process_time_ns()
    parent.told(replace(order, status=OrderStatus.CANCELLED, updated_ms=now_ms()))
    await settled(timed.children)
    timed.cancel_us.append((time.process_time_ns() - cpu) / 1000 / timed.children)
    if profiler is not None:
        profiler.disable()


def row(timed: Timed) -> dict[str, Any]:
    medians = {name: statistics.median(value) for name, value in asdict(timed).items() if isinstance(value, list)}
    return {"children": timed.children, "start_s": timed.start_s, "resident_kb": timed.resident_kb, **medians}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--children", default="1,10,100", help="numbers of children, with commas between (1,10,100)")
    parser.add_argument("--rounds", type=int, default=40, help="rounds for each (40)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--profile", type=int, default=0, metavar="LINES", help="profile, and print so many lines")
    asked = parser.parse_args()
    profiler = cProfile.Profile() if asked.profile else None
    rows = [row(asyncio.run(measure(int(one), asked.rounds, profiler))) for one in asked.children.split(",")]
    if asked.json:
        print(json.dumps(rows))
    else:
        print("| children | first, µs | last, µs | CPU per copy, µs | CPU per cancel, µs | start, s | kB per child |")
        print("|---:|---:|---:|---:|---:|---:|---:|")
        for one in rows:
            cells = (f"{one[name]:.0f}" for name in ("first_us", "last_us", "place_us", "cancel_us"))
            print(f"| {one['children']} | {' | '.join(cells)} | {one['start_s']:.2f} | {one['resident_kb']:.0f} |")
    if profiler is not None:
        pstats.Stats(profiler).sort_stats("tottime").print_stats(asked.profile)


if __name__ == "__main__":
    main()
