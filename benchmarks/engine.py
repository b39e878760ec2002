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
import time
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from copydesk.model import OrderStatus, OrderType, Side, Terms
from msgspec.structs import replace
from small_venue import READY_S, SYMBOL, Session, engine_with, now_ms

PARENT = "parent"


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
    before_kb, began = resident_kb(), time.perf_counter()
    async with engine_with({PARENT: tuple(f"child{number}" for number in range(children))}):
        timed.start_s = time.perf_counter() - began
        timed.resident_kb = (resident_kb() - before_kb) / children
        gc.collect()
        for number in range(rounds):
            await one_round(Session.there[PARENT], number, timed, profiler)
    return timed


async def one_round(parent: Session, number: int, timed: Timed, profiler: cProfile.Profile | None) -> None:
    terms = Terms(
        symbol=SYMBOL, side=Side.BUY, type=OrderType.LIMIT, quantity=Decimal("0.2"), price=Decimal(60_000 + number)
    )
    order = parent.order(f"by-hand-{number}", terms)
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
