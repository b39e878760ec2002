"""How long it takes from a parent's fill to its children's orders at Interactive Brokers and Rithmic, where all accounts
are one login and everything goes over one connection: this engine, and a raw client that does the same and nothing else.

    python benchmarks/desks.py --kind ib,rithmic --children 1,10 --rounds 20 [--json]

For each kind and number of children and each copier, in turns: a fresh rehearsal venue, a fresh copier in a process of its
own, rounds to warm up, then those that count. A round: silence, the parent buys or sells at market, the copier places a
market order of half of it on every child. The tap stands on the one connection: the moment of the fill is that just before
its message is written to the copier, the moment of an order that at which the kernel took in its last bytes. Between two
rounds there is as much silence as the venue's own limit of orders takes. Orders are
held back on their way to the venue, so that its answers do not come while the last ones are still being written.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import tomlkit
from copydesk.bots import BotStore
from copydesk.client import AsyncControlClient
from copydesk.config import CONFIG_NAME, BotSettings, ChildSettings, load_config
from copydesk.datafolder import make_folder
from copydesk.model import RehearsalReady, from_json
from copydesk.secrets import variable_of
from desk_wires import WIRES, Wire
from fanout import PINNED, START_S, cpu_ns, is_copying, resident_mb, running, tail
from tap import CHUNK, CONTROL, TIMESTAMP, stamp

HERE = Path(__file__).parent
FLOOR = "floor"
COLD_S = 0.05
PATIENCE_S = 10.0
HOLD_S = 0.03


@dataclass
class Timed:
    """What came out of one repetition; microseconds, of rounds."""

    kind: str
    copier: str
    children: int
    first_us: list[float] = field(default_factory=list)
    last_us: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)  # per child order
    resident_mb: float = 0.0
    missed: int = 0


class Tap:
    """Passes the connections of one copier on, and sees the parent's fill and the children's orders on them."""

    def __init__(self, wire: type[Wire]) -> None:
        self.wire = wire
        self.last_ns = time.time_ns()
        self.told_ns = 0
        self.orders_ns: list[int] = []
        self._changed = asyncio.Event()
        self._joining: set[asyncio.Task[None]] = set()

    def arm(self) -> None:
        self.told_ns, self.orders_ns = 0, []

    async def quiet(self, seconds: float) -> None:
        """Return once nothing has passed for so long."""
        async with asyncio.timeout(START_S):
            while (left := seconds - (time.time_ns() - self.last_ns) / 1e9) > 0:
                await asyncio.sleep(left)

    async def copied(self, count: int) -> bool:
        """Return once so many orders came; false where none comes any more for so long."""
        while len(self.orders_ns) < count:
            self._changed.clear()
            try:
                async with asyncio.timeout(PATIENCE_S):
                    await self._changed.wait()
            except TimeoutError:
                return False
        return True

    def listen(self, venue_port: int) -> int:
        """Serve on a free port of loopback, which is returned."""
        loop = asyncio.get_running_loop()
        server = socket.create_server(("127.0.0.1", 0))
        server.setblocking(False)

        def accept() -> None:
            client, _ = server.accept()
            task = loop.create_task(self._join(client, venue_port))
            self._joining.add(task)
            task.add_done_callback(self._joining.discard)

        loop.add_reader(server, accept)
        return int(server.getsockname()[1])

    async def _join(self, client: socket.socket, venue_port: int) -> None:
        loop = asyncio.get_running_loop()
        venue = socket.socket()
        for one in (client, venue):
            one.setblocking(False)
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setsockopt(socket.SOL_SOCKET, TIMESTAMP, 1)
        await loop.sock_connect(venue, ("127.0.0.1", venue_port))
        wire = self.wire()
        ways = {loop.create_task(self._up(wire, client, venue)), loop.create_task(self._down(wire, venue, client))}
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        for one in (client, venue):
            one.close()

    async def _up(self, wire: Wire, client: socket.socket, venue: socket.socket) -> None:
        """What the copier writes."""
        loop = asyncio.get_running_loop()
        while True:
            await readable(client)
            try:
                data, control, _, _ = client.recvmsg(CHUNK, CONTROL)
            except BlockingIOError:
                continue
            if not data:
                return
            at_ns = self.last_ns = stamp(control)
            data = wire.said(data)
            if (orders := wire.orders()) and self.told_ns:
                self.orders_ns += [at_ns] * orders
                self._changed.set()
                await asyncio.sleep(HOLD_S)  # what comes meanwhile has its time from the kernel
            await loop.sock_sendall(venue, data)

    async def _down(self, wire: Wire, venue: socket.socket, client: socket.socket) -> None:
        """What the venue writes."""
        loop = asyncio.get_running_loop()
        while data := await loop.sock_recv(venue, CHUNK):
            fills = wire.fills(data)
            self.last_ns = time.time_ns()
            if fills and not self.told_ns:
                self.told_ns = self.last_ns
            await loop.sock_sendall(client, data)


async def readable(one: socket.socket) -> None:
    """Return once there is something to be read."""
    loop = asyncio.get_running_loop()
    there = loop.create_future()
    loop.add_reader(one, lambda: there.done() or there.set_result(None))
    try:
        await there
    finally:
        loop.remove_reader(one)


# --- the copiers ------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def engine(folder: Path, kind: str, ready: RehearsalReady, address: dict[str, str]) -> AsyncIterator[int]:
    """This engine as a user runs it: `copydesk run` on a data folder, with its journal."""
    data = make_folder(folder / "data")
    environment = {"COPYDESK_DATA": str(data)}
    document = tomlkit.document()
    for account in ready.accounts:
        document.setdefault("connections", {})[account.name] = {"kind": kind, **account.options, **address}
        environment |= {variable_of(account.name, name): secret for name, secret in account.secrets.items()}
    (data / CONFIG_NAME).write_text(tomlkit.dumps(document), encoding="utf-8")
    children = tuple(
        ChildSettings(account=account.name, mode="multiplier", value=Decimal("0.5"), trigger="on_fill")
        for account in ready.accounts
        if account.name != "parent"
    )
    BotStore.load(data).add(BotSettings(name="bench", parent="parent", children=children, working=True), load_config(data))
    async with running(["-m", "copydesk", "run", "--json"], folder / "copier.err", environment=environment) as (pid, _):
        async with AsyncControlClient.for_folder(data) as client, asyncio.timeout(START_S):
            while not await is_copying(client):
                await asyncio.sleep(0.2)
        yield pid


@asynccontextmanager
async def floor(folder: Path, kind: str, ready: RehearsalReady, address: dict[str, str], rounds: int) -> AsyncIterator[int]:
    """A client with prepared bytes."""
    accounts = [{**account.options, **account.secrets, **address} for account in ready.accounts]
    given = json.dumps({"accounts": accounts, "rounds": rounds}).encode() + b"\n"
    words = [str(HERE / "desk_wires.py"), kind]
    async with running(words, folder / "copier.err", given=given) as (pid, _):
        yield pid


async def repetition(kind: str, copier: str, children: int, asked: argparse.Namespace) -> Timed:
    """One copier, one number of children, with everything fresh."""
    timed, wire = Timed(kind, copier, children), WIRES[kind]
    names = ",".join(["parent", *(f"child{number}" for number in range(1, children + 1))])
    words = ["-m", "copydesk", "rehearse", kind, "--accounts", names, "--cash", "10000000", "--speed", "0.0001", "--json"]
    words += [word for option in wire.options for word in ("--option", option)]
    with tempfile.TemporaryDirectory(prefix="copydesk-bench-") as place:
        folder = Path(place)
        async with running(words, folder / "venue.err", core=1) as (_, line), aiohttp.ClientSession() as http:
            ready = from_json(line, RehearsalReady)
            tap, total = Tap(wire), asked.warm_up + asked.rounds
            address = wire.address(tap.listen(wire.port(ready)))
            start = engine(folder, kind, ready, address)
            if copier == FLOOR:
                start = floor(folder, kind, ready, address, total)
            async with start as pid, wire.parent(http, ready) as trade:
                await tap.quiet(1.0)
                for number in range(total):
                    into = Timed(kind, copier, children) if number < asked.warm_up else timed
                    await one_round(tap, trade, number, into, pid)
                timed.resident_mb = resident_mb(pid)
            if not timed.last_us:
                raise SystemExit(f"{copier} copied nothing to {children} children: {tail(folder / 'copier.err')}")
    return timed


async def one_round(tap: Tap, trade: Any, number: int, timed: Timed, pid: int) -> None:
    await tap.quiet(max(COLD_S, timed.children * tap.wire.order_s))
    tap.arm()
    cpu = cpu_ns(pid)
    await trade("BUY" if number % 2 == 0 else "SELL")
    copied = await tap.copied(timed.children)
    await tap.quiet(COLD_S)
    if not copied:
        timed.missed += 1
        return
    timed.cpu_us.append((cpu_ns(pid) - cpu) / 1000 / timed.children)
    timed.first_us.append((tap.orders_ns[0] - tap.told_ns) / 1000)
    timed.last_us.append((tap.orders_ns[-1] - tap.told_ns) / 1000)


# --- what is told -----------------------------------------------------------------------------------------------------


def summary(results: list[Timed]) -> Iterator[dict[str, Any]]:
    """One row per kind, number of children and copier: medians over repetitions of their medians, and times the floor."""
    by_place: dict[tuple[str, int], dict[str, list[Timed]]] = {}
    for timed in results:
        by_place.setdefault((timed.kind, timed.children), {}).setdefault(timed.copier, []).append(timed)
    for (kind, children), copiers in by_place.items():
        least: dict[str, float] = {}
        for copier in sorted(copiers, key=lambda name: name != FLOOR):
            mine = copiers[copier]
            row: dict[str, Any] = {"kind": kind, "children": children, "copier": copier}
            for name in ("first_us", "last_us", "cpu_us"):
                row[name] = statistics.median(statistics.median(getattr(timed, name)) for timed in mine)
            for name in ("first_us", "last_us"):
                least.setdefault(name, row[name])
                row[name.replace("_us", "_to_floor")] = row[name] / least[name] if FLOOR in copiers else None
            yield row | {"missed": sum(timed.missed for timed in mine)}


def table(rows: list[dict[str, Any]]) -> str:
    lines = [
        "| kind | children | copier | first order, µs | last order, µs | CPU per order, µs |",
        "|---|---:|---|---:|---:|---:|",
    ]
    for row in rows:
        told = [
            f"{row[f'{name}_us']:.0f}" + (f" ({ratio:.1f}x)" if (ratio := row[f"{name}_to_floor"]) else "")
            for name in ("first", "last")
        ]
        lines.append(
            f"| {row['kind']} | {row['children']} | {row['copier']} | {told[0]} | {told[1]} | {row['cpu_us']:.0f} |"
        )
    return "\n".join(lines)


async def measure(asked: argparse.Namespace) -> list[Timed]:
    results = []
    for number in range(asked.repetitions):
        for kind in asked.kind.split(","):
            for children in map(int, asked.children.split(",")):
                for copier in (FLOOR, "engine") if number % 2 == 0 else ("engine", FLOOR):
                    results.append(await repetition(kind, copier, children, asked))
                    last = statistics.median(results[-1].last_us) / 1000
                    print(
                        f"{number + 1}/{asked.repetitions} {kind} {copier}, {children}: last {last:.2f} ms", file=sys.stderr
                    )
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kind", default="ib,rithmic", help="ib, rithmic, or both with a comma between (both)")
    parser.add_argument("--children", default="1,10", help="numbers of children, with commas between (1,10)")
    parser.add_argument("--repetitions", type=int, default=3, help="fresh processes per copier and number (3)")
    parser.add_argument("--rounds", type=int, default=20, help="rounds that count per repetition (20)")
    parser.add_argument("--warm-up", type=int, default=6, help="rounds before them (6)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--output", type=Path, help="write the JSON object with every single round to this file")
    asked = parser.parse_args()
    if PINNED:
        os.sched_setaffinity(0, {1})
    results = asyncio.run(measure(asked))
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[1]}
    report = {"machine": machine, "rows": list(summary(results))}
    if asked.output:
        asked.output.write_text(json.dumps({**report, "rounds": [asdict(timed) for timed in results]}), encoding="utf-8")
    print(json.dumps(report) if asked.json else table(report["rows"]))


if __name__ == "__main__":
    main()
