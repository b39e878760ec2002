"""What one more child keeps of memory: `copydesk run` on the rehearsal venue of Binance futures.

    python benchmarks/memory.py [--children 1,101,501] [--tls] [--json]
    python benchmarks/memory.py --split 100      which files' objects it is, as `tracemalloc` tells it

Resident memory of the engine's process once all its bots copy, and again after some orders were copied and cancelled. The
difference between two numbers of children, by child, is what counts: the rest is Python, ccxt and the venue's markets.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import itertools
import json
import os
import ssl
import sys
import tempfile
import tracemalloc
from collections import Counter
from contextlib import AsyncExitStack, closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
from copydesk.bots import BotStore
from copydesk.config import BotSettings, ChildSettings, Config
from copydesk.engine import Engine
from copydesk.journal import Journal
from copydesk.livedesk import LiveDesk
from copydesk.model import RehearsalReady, from_json
from copydesk.plans import StartOrder
from copydesk.secrets import SealedFile, variable_of
from copydesk.view import ConnectionState
from copydesk_paper.serving.tls import Authority
from fanout import HERE, START_S, TLS_HOST, Parent, engine, resident_mb, running
from tap import Tap

ORDERS = 5
SETTLED_S = 1.0
UP = 2


async def resident(children: int, tls: ssl.SSLContext | None) -> dict[str, Any]:
    """The engine's memory in kB, with so many children."""
    with tempfile.TemporaryDirectory(prefix="copydesk-bench-") as place:
        folder = Path(place)
        async with AsyncExitStack() as stack:
            words = [str(HERE / "rehearsal_venue.py"), str(children)]
            _, line = await stack.enter_async_context(running(words, folder / "venue.err", core=1))
            http = await stack.enter_async_context(aiohttp.ClientSession())
            ready = from_json(line, RehearsalReady)
            rest = ready.urls["rest"]
            port = Tap(0, tls).listen(int(rest.rsplit(":", 1)[1]))
            url = f"https://{TLS_HOST}:{port}" if tls is not None else f"http://127.0.0.1:{port}"
            pid = await stack.enter_async_context(engine(folder, url, ready, watched=False))
            await asyncio.sleep(SETTLED_S)
            idle_kb = resident_mb(pid) * 1024
            secrets = next(account.secrets for account in ready.accounts if account.name == "parent")
            parent = Parent(http, rest, secrets)
            await parent.learn_price()
            for number in range(ORDERS):
                await parent.place(f"order-{number}")
                await asyncio.sleep(SETTLED_S)
                await parent.cancel(f"order-{number}")
                await asyncio.sleep(SETTLED_S)
            return {"children": children, "idle_kb": idle_kb, "traded_kb": resident_mb(pid) * 1024}


async def measure(asked: argparse.Namespace) -> list[dict[str, Any]]:
    with closing(Authority([TLS_HOST])) as authority:
        os.environ["SSL_CERT_FILE"] = str(authority.certificate)
        rows = [await resident(children, authority.context if asked.tls else None) for children in asked.children]
    for one, other in itertools.pairwise(rows):
        more = other["children"] - one["children"]
        for name in ("idle_kb", "traded_kb"):
            other[f"{name}_per_child"] = (other[name] - one[name]) / more
    return rows


async def split(children: int) -> list[dict[str, Any]]:
    """What the objects of Python take that came with so many children, by package and by file, in kB per child."""
    with tempfile.TemporaryDirectory(prefix="copydesk-bench-") as place:
        folder = Path(place)
        async with AsyncExitStack() as stack:
            words = [str(HERE / "rehearsal_venue.py"), str(children)]
            _, line = await stack.enter_async_context(running(words, folder / "venue.err", core=1))
            ready = from_json(line, RehearsalReady)
            for account in ready.accounts:
                os.environ |= {variable_of(account.name, name): secret for name, secret in account.secrets.items()}
            table = {one.name: {"kind": ready.kind, "url": ready.urls["rest"]} for one in ready.accounts}
            names = [account.name for account in ready.accounts if account.name != "parent"]
            taken = []
            tracemalloc.start(UP)
            for some in (names[:1], names[:1], names):  # the first time much is made that stays
                there = {name: table[name] for name in ("parent", *some)}
                config = Config.model_validate({"engine": {"budget_percent": 1_000_000}, "connections": there})
                taken.append(await objects(Path(tempfile.mkdtemp(dir=folder)), config, tuple(some)))
            _, before, after = taken
            return [
                {"where": where, "kb": round((size - before[where]) / 1024 / (len(names) - 1), 2)}
                for where, size in (after - before).most_common(45)
            ]


async def objects(folder: Path, config: Config, names: tuple[str, ...]) -> Counter[str]:
    """The bytes that objects take, by where they were made."""
    store = BotStore.load(folder)
    with Journal.open(folder / "journal.db") as journal:
        running_ = Engine(config, store, journal, SealedFile(folder, lambda: ""))
        await running_.start()
        desk = LiveDesk(running_, config, store)
        desk.start()
        async with asyncio.timeout(START_S):
            while any(one.state is not ConnectionState.CONNECTED for one in running_.connections.values()):
                await asyncio.sleep(0.05)
        children = tuple(ChildSettings(account=name, mode="multiplier", value=Decimal("0.5")) for name in names)
        store.add(BotSettings(name="bench", parent="parent", children=children), config)
        running_.configure()
        await desk.start_bot("bench", StartOrder())
        await asyncio.sleep(SETTLED_S)
        gc.collect()
        sizes: Counter[str] = Counter()
        for one in tracemalloc.take_snapshot().statistics("lineno"):
            frame = one.traceback[0]
            if frame.filename != __file__:
                parts = frame.filename.rsplit("/", 3)[1:] or [frame.filename]
                for where in (
                    "all",
                    f"all of {parts[-2] if len(parts) > 1 else parts[0]}",
                    f"{'/'.join(parts)}:{frame.lineno}",
                ):
                    sizes[where] += one.size
        await running_.stop()
    return sizes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--children", default="1,101,501", help="numbers of children, with commas between (1,101,501)")
    parser.add_argument("--tls", action="store_true", help="connections are encrypted")
    parser.add_argument("--split", type=int, metavar="CHILDREN", help="by line of source instead")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    asked.children = [int(word) for word in asked.children.split(",")]
    rows = asyncio.run(split(asked.split) if asked.split else measure(asked))
    if asked.json:
        print(json.dumps(rows))
        return
    for row in rows:
        sys.stdout.write(
            "  ".join(f"{name} {cell:,.1f}" if isinstance(cell, float) else f"{cell}" for name, cell in row.items())
        )
        sys.stdout.write("\n")


if __name__ == "__main__":
    main()
