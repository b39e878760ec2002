"""How long it takes from a parent's event to its children's orders, on one rehearsal venue and in one run: this engine,
plain ccxt in three ways, a sender made by hand, and the floor of the machine.

    make bench
    python benchmarks/fanout.py --children 1,10 --copiers engine,floor --repetitions 2 --json

For each number of children and each copier, in turns: a fresh venue, a fresh copier in a process of its own, some rounds
to warm up, then the rounds that count. A round: 10 ms of silence, the parent places a limit order, the copier copies it to
every child, the parent cancels it, the copier cancels the copies. docs/performance.md says what is measured and why so.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import hmac
import json
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp
import tomlkit
from copydesk.bots import BotStore
from copydesk.client import AsyncControlClient
from copydesk.config import CONFIG_NAME, BotSettings, ChildSettings, load_config
from copydesk.datafolder import make_folder
from copydesk.model import RehearsalReady, from_json
from copydesk.secrets import variable_of
from copydesk.view import ConnectionState, LogQuery
from copydesk_paper.serving.tls import Authority
from tap import CANCEL, PLACE, Tap

HERE = Path(__file__).parent
SYMBOL = "BTCUSDT"
QUANTITY, RATIO = Decimal("0.2"), Decimal("0.5")
SETTLED_S = 2.0
START_S = 600.0
STOP_S = 30.0
TLS_HOST = "localhost"
LINE = 1 << 24
"""A venue tells the keys of all its accounts in one line."""
FLOOR, NAIVE = "floor", "ccxt gather"
SCRIPTS = {
    NAIVE: ("plain_ccxt.py", "gather"),
    "ccxt sequential": ("plain_ccxt.py", "sequential"),
    "ccxt websocket": ("plain_ccxt.py", "websocket"),
    "hand-made": ("by_hand.py", "hand-made"),
    FLOOR: ("by_hand.py", "floor"),
}
COPIERS = ("engine", *SCRIPTS)
USUAL = tuple(copier for copier in COPIERS if copier != "ccxt sequential")
"""The other one waits for an answer before each order: a round with a hundred children takes six seconds."""
PINNED = (os.cpu_count() or 1) == 2
"""On two cores the copier has one of them, the venue and the clock the other; with more nothing has to be told apart."""


@dataclass
class Timed:
    """What one copier did in one repetition; times in microseconds, of rounds."""

    copier: str
    children: int
    repetition: int
    first_us: list[float] = field(default_factory=list)
    last_us: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)  # per child order
    resident_mb: float = 0.0
    missed: int = 0  # rounds in which not every child got its order


# --- processes --------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def running(
    words: list[str], errors: Path, *, core: int = 0, given: bytes = b"", environment: dict[str, str] | None = None
) -> AsyncIterator[tuple[int, bytes]]:
    """A Python process: its id and its first line. Ended politely, then not."""
    with errors.open("ab") as stderr:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE,
            stderr=stderr,
            env={**os.environ, **(environment or {})},
            preexec_fn=(lambda: os.sched_setaffinity(0, {core})) if PINNED else None,
        )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(given)
        process.stdin.close()
        async with asyncio.timeout(START_S):
            line = await process.stdout.readline()
        if not line:
            raise SystemExit(f"{' '.join(words)} did not start: {tail(errors)}")
        yield process.pid, line
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(STOP_S):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def tail(errors: Path) -> str:
    return errors.read_text(encoding="utf-8").strip()[-2000:]


@asynccontextmanager
async def engine(folder: Path, url: str, ready: RehearsalReady, *, watched: bool) -> AsyncIterator[int]:
    """This engine as a user runs it: `copydesk run` on a data folder, with its journal."""
    environment = {"COPYDESK_DATA": str(make_folder(folder / "data"))}
    document = tomlkit.document()
    document["engine"] = {"budget_percent": 1_000_000}  # as the venue: its limits are out of the way
    for account in ready.accounts:
        document.setdefault("connections", {})[account.name] = {"kind": ready.kind, "url": url}
        environment |= {variable_of(account.name, name): secret for name, secret in account.secrets.items()}
    data = folder / "data"
    (data / CONFIG_NAME).write_text(tomlkit.dumps(document), encoding="utf-8")
    names = [account.name for account in ready.accounts if account.name != "parent"]
    children = tuple(ChildSettings(account=name, mode="multiplier", value=RATIO) for name in names)
    BotStore.load(data).add(BotSettings(name="bench", parent="parent", children=children, working=True), load_config(data))
    async with running(["-m", "copydesk", "run", "--json"], folder / "engine.err", environment=environment) as (pid, _):
        async with AsyncControlClient.for_folder(data) as client, asyncio.timeout(START_S):
            while not await is_copying(client):
                await asyncio.sleep(0.2)
        async with AsyncControlClient.for_folder(data) as client:
            watching = asyncio.create_task(watch(client)) if watched else None
            yield pid
            if watching is not None:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)


async def watch(client: AsyncControlClient) -> None:
    async for _ in client.stream((await client.view()).seq):
        pass


async def is_copying(client: AsyncControlClient) -> bool:
    if any(one.state is not ConnectionState.CONNECTED for one in await client.connections()):
        return False
    return any(entry.text == "bot 'bench' started" for entry in await client.log(LogQuery(kind="bot")))


@asynccontextmanager
async def script(copier: str, folder: Path, url: str, ready: RehearsalReady, told: dict[str, Any]) -> AsyncIterator[int]:
    """One of the copiers that are a script. `told`: what the parent is going to trade, for the one that knows it all."""
    keys = {account.name: account.secrets for account in ready.accounts}
    parent = keys.pop("parent")
    asked = {"url": url, "parent": parent, "children": list(keys.values()), "ratio": float(RATIO), **told}
    given = json.dumps(asked).encode() + b"\n"
    file, way = SCRIPTS[copier]
    async with running([str(HERE / file), way], folder / "copier.err", given=given) as (pid, _):
        yield pid


# --- rounds -----------------------------------------------------------------------------------------------------------


class Parent:
    """Trades on the parent's account, directly at the venue."""

    def __init__(self, http: aiohttp.ClientSession, url: str, secrets: dict[str, str]) -> None:
        self._http = http
        self._url = url
        self._secrets = secrets
        self.price = Decimal(0)

    async def learn_price(self) -> None:
        async with self._http.get(f"{self._url}/fapi/v1/ticker/price", params={"symbol": SYMBOL}) as response:
            price = Decimal((await response.json())["price"])
        self.price = (price * Decimal("0.97")).quantize(Decimal("1"))

    async def place(self, client_id: str) -> None:
        await self._send(
            "POST",
            newClientOrderId=client_id,
            side="BUY",
            type="LIMIT",
            timeInForce="GTC",
            quantity=str(QUANTITY),
            price=str(self.price),
        )

    async def cancel(self, client_id: str) -> None:
        await self._send("DELETE", origClientOrderId=client_id)

    async def _send(self, method: str, **params: str) -> None:
        query = urlencode({"symbol": SYMBOL, **params, "timestamp": str(time.time_ns() // 1_000_000)})
        signature = hmac.new(self._secrets["secret"].encode(), query.encode(), hashlib.sha256).hexdigest()
        address = f"{self._url}/fapi/v1/order?{query}&signature={signature}"
        async with self._http.request(method, address, headers={"X-MBX-APIKEY": self._secrets["key"]}) as response:
            if response.status != 200:
                raise SystemExit(f"the venue refused the parent's order: {await response.text()}")


async def one_round(tap: Tap, parent: Parent, timed: Timed, pid: int, name: str, cold_s: float) -> None:
    """One order and its cancel, timed from the event to the orders."""
    children = timed.children
    mark = f'"c":"{name}"'.encode()
    tap.arm(mark, PLACE, children)
    await tap.quiet(cold_s)
    cpu = cpu_ns(pid)
    await parent.place(name)
    copied = await tap.answered(children)
    await tap.quiet(cold_s)
    if not copied:
        timed.missed += 1
        await parent.cancel(name)
        await tap.quiet(SETTLED_S)
        return
    timed.cpu_us.append((cpu_ns(pid) - cpu) / 1000 / children)
    timed.first_us.append((min(tap.orders_ns) - tap.told_ns) / 1000)
    timed.last_us.append((max(tap.orders_ns) - tap.told_ns) / 1000)
    tap.arm(mark, CANCEL, children)
    await parent.cancel(name)
    await tap.answered(children)
    await tap.quiet(cold_s)


async def repetition(copier: str, children: int, number: int, asked: argparse.Namespace) -> Timed:
    """One copier, one number of children, with everything fresh."""
    timed = Timed(copier, children, number)
    with tempfile.TemporaryDirectory(prefix="copydesk-bench-") as place:
        folder = Path(place)
        words = [str(HERE / "rehearsal_venue.py"), str(children)]
        async with running(words, folder / "venue.err", core=1) as (_, line), aiohttp.ClientSession() as http:
            ready = from_json(line, RehearsalReady)
            tap = Tap(asked.hold_ms / 1000, asked.authority.context if asked.authority else None)
            port = tap.listen(int(ready.urls["rest"].rsplit(":", 1)[1]))
            secrets = next(account.secrets for account in ready.accounts if account.name == "parent")
            parent = Parent(http, ready.urls["rest"], secrets)
            await parent.learn_price()
            warm_up = [f"warm-{round_}" for round_ in range(asked.warm_up)]
            rounds = [f"bench-{round_}" for round_ in range(asked.rounds)]
            url = f"https://{TLS_HOST}:{port}" if asked.authority else f"http://127.0.0.1:{port}"
            told = {"price": str(parent.price), "quantity": str(QUANTITY), "rounds": warm_up + rounds}
            start = (
                engine(folder, url, ready, watched=asked.watched)
                if copier == "engine"
                else script(copier, folder, url, ready, told)
            )
            async with start as pid:
                await tap.streaming()
                with suppress(TimeoutError):  # the pings of hundreds of streams leave no such pause
                    await tap.quiet(SETTLED_S, 5 * SETTLED_S)
                for name in warm_up:
                    await one_round(tap, parent, Timed(copier, children, number), pid, name, asked.cold_ms / 1000)
                for name in rounds:
                    await one_round(tap, parent, timed, pid, name, asked.cold_ms / 1000)
                if not timed.last_us:
                    said = tail(folder / ("engine.err" if copier == "engine" else "copier.err"))
                    raise SystemExit(f"{copier} copied nothing to {children} children: {said}")
                timed.resident_mb = resident_mb(pid)
    return timed


def cpu_ns(pid: int) -> int:
    """What all threads of a process have used of processors, in nanoseconds."""
    return sum(int(task.read_text().split()[0]) for task in Path(f"/proc/{pid}/task").glob("*/schedstat"))


def resident_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


# --- what is told -----------------------------------------------------------------------------------------------------


def summary(results: list[Timed]) -> Iterator[dict[str, Any]]:
    """One row per number of children and copier: medians over repetitions of their medians, and how they compare."""
    for children in sorted({timed.children for timed in results}):
        rows: dict[str, dict[str, Any]] = {}
        for copier in COPIERS:
            mine = [timed for timed in results if (timed.copier, timed.children) == (copier, children)]
            if mine:
                last = middle([timed.last_us for timed in mine])
                rows[copier] = {
                    "children": children,
                    "copier": copier,
                    "first_us": middle([timed.first_us for timed in mine]),
                    "last_us": last,
                    "last_us_from_to": [
                        min(statistics.median(timed.last_us) for timed in mine),
                        max(statistics.median(timed.last_us) for timed in mine),
                    ],
                    "last_p99_to_median": high([us for timed in mine for us in timed.last_us]) / last,
                    "cpu_us_per_order": middle([timed.cpu_us for timed in mine]),
                    "resident_mb": statistics.median(timed.resident_mb for timed in mine),
                    "missed": sum(timed.missed for timed in mine),
                }
        for row in rows.values():
            for name in ("first", "last"):
                if FLOOR in rows:
                    row[f"{name}_to_floor"] = row[f"{name}_us"] / rows[FLOOR][f"{name}_us"]
                if NAIVE in rows:
                    row[f"{name}_faster_than_ccxt"] = rows[NAIVE][f"{name}_us"] / row[f"{name}_us"]
            yield row


def middle(repetitions: list[list[float]]) -> float:
    return statistics.median(statistics.median(values) for values in repetitions)


def high(values: list[float]) -> float:
    """The value that one in a hundred exceeds (the highest of fewer than a hundred)."""
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a Markdown table, times in microseconds; in brackets how many times the floor."""
    lines = [
        "| children | copier | first order, µs | last order, µs | last p99 / median | CPU per order, µs | resident, MB |",
        "|---:|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        cells = [
            *(f"{row[f'{name}_us']:.0f}" + _bracket(row.get(f"{name}_to_floor")) for name in ("first", "last")),
            f"{row['last_p99_to_median']:.1f}",
            f"{row['cpu_us_per_order']:.0f}",
            f"{row['resident_mb']:.0f}",
        ]
        lines.append(f"| {row['children']} | {row['copier']} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _bracket(ratio: float | None) -> str:
    return "" if ratio is None else f" ({ratio:.1f}x)"


def read_command() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--children", default="1,10,100,500", help="numbers of children, with commas between (1,10,100,500)"
    )
    parser.add_argument(
        "--copiers", default=",".join(USUAL), help=f"some of: {', '.join(COPIERS)} (all but the sequential one)"
    )
    parser.add_argument("--repetitions", type=int, default=5, help="fresh processes per copier and number (5)")
    parser.add_argument("--rounds", type=int, default=20, help="rounds that count per repetition (20)")
    parser.add_argument("--warm-up", type=int, default=5, help="rounds before them (5)")
    parser.add_argument("--hold-ms", type=float, default=30.0, help="how long an order is under way to the venue (30)")
    parser.add_argument("--cold-ms", type=float, default=10.0, help="silence before each event (10; 0: back to back)")
    parser.add_argument(
        "--watched", action="store_true", help="somebody reads the engine's events meanwhile, as a panel does"
    )
    parser.add_argument("--tls", action="store_true", help="copiers reach the venue over TLS")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    parser.add_argument("--output", type=Path, help="write the JSON object with every single round to this file")
    asked = parser.parse_args()
    asked.children = [int(word) for word in asked.children.split(",")]
    asked.copiers = [word.strip() for word in asked.copiers.split(",")]
    if unknown := set(asked.copiers) - set(COPIERS):
        parser.error(f"no such copier: {', '.join(unknown)}; there are {', '.join(COPIERS)}")
    return asked


async def measure(asked: argparse.Namespace) -> list[Timed]:
    results = []
    for number in range(asked.repetitions):
        for children in asked.children:
            # In turns, and in turned order: what else the machine does meets all alike.
            for copier in asked.copiers if number % 2 == 0 else reversed(asked.copiers):
                timed = await repetition(copier, children, number, asked)
                results.append(timed)
                last = statistics.median(timed.last_us) / 1000
                print(f"{number + 1}/{asked.repetitions} {copier}, {children}: last {last:.2f} ms", file=sys.stderr)
    return results


def main() -> None:
    asked = read_command()
    if PINNED:
        os.sched_setaffinity(0, {1})
    with closing(Authority([TLS_HOST])) as authority:
        asked.authority = authority if asked.tls else None
        if asked.tls:  # what copiers trust
            os.environ["SSL_CERT_FILE"] = str(authority.certificate)
        results = asyncio.run(measure(asked))
    rows = list(summary(results))
    machine = {"cores": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[1]}
    report = {
        "machine": machine,
        "hold_ms": asked.hold_ms,
        "cold_ms": asked.cold_ms,
        "watched": asked.watched,
        "tls": asked.tls,
        "rows": rows,
    }
    if asked.output:
        asked.output.write_text(json.dumps({**report, "rounds": [asdict(timed) for timed in results]}), encoding="utf-8")
    print(json.dumps(report) if asked.json else table(rows))


if __name__ == "__main__":
    main()
