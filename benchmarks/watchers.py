"""What eight open panels cost the engine: its copy latency with eight of them and with none, by turns.

    python benchmarks/watchers.py [--orders 200] [--rounds 3]

The engine runs on the embedded exchange in a process of its own, the panel in another; a watcher reads the event stream
through the panel as a page does. The time is the engine's own: from the parent's event read to the child's request handed
over. Needs a machine that has nothing else to do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path

import aiohttp
from copydesk.client import AsyncControlClient
from copydesk.config import BotSettings, ChildSettings
from copydesk.model import OrderType, Side, Terms
from yarl import URL

SCRIPTS = Path(sys.executable).parent
CHILDREN = ("child1", "child2", "child3")
WATCHERS = 8
PAUSE_S = 0.02
READY_S = 60.0


@asynccontextmanager
async def running(*command: str) -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_S):
            yield (await process.stdout.readline()).decode()
    finally:
        process.terminate()
        await process.communicate()


def configure(folder: Path) -> None:
    names = ("parent", *CHILDREN)
    tables = [f'[connections.{name}]\nkind = "paper"\naccount = "{folder.name}-{name}"\n' for name in names]
    (folder / "copydesk.toml").write_text("\n".join(tables))


async def watch(stack: AsyncExitStack, panel: str) -> None:
    """Eight readers of the stream, signed in as a browser is."""
    client = await stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)))
    async with client.get(panel) as answer:
        answer.raise_for_status()
    origin = URL(panel).origin()
    async with client.get(origin / "api/v1/view") as answer:
        after = (await answer.json())["seq"]
    tasks = []
    for _ in range(WATCHERS):
        stream = await client.ws_connect(origin / "api/v1/stream", params={"after": str(after)}, origin=str(origin))
        tasks.append(asyncio.create_task(read(stream)))
        stack.push_async_callback(stream.close)
    stack.callback(lambda: [task.cancel() for task in tasks])


async def read(stream: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in stream:
        pass


async def measure(orders: int, *, watched: bool) -> tuple[int, int]:
    """(median, 99th percentile) of the children's times, in microseconds."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="copydesk-bench-")))
        configure(folder)
        await stack.enter_async_context(running(str(SCRIPTS / "copydesk"), "--data", str(folder), "run", "--json"))
        panel = await stack.enter_async_context(running(str(SCRIPTS / "copydesk-panel"), "--data", str(folder), "--json"))
        client = await stack.enter_async_context(AsyncControlClient.for_folder(folder))
        while any(account.state != "connected" for account in await client.accounts()):
            await asyncio.sleep(0.1)
        children = tuple(ChildSettings(account=name, mode="multiplier", value=Decimal(1)) for name in CHILDREN)
        await client.add_bot(BotSettings(name="bench", parent="parent", children=children))
        await client.start_bot("bench")
        if watched:
            await watch(stack, json.loads(panel)["url"])
        for number in range(orders):
            side = Side.SELL if number % 2 else Side.BUY
            terms = Terms(symbol="BTCUSDT", side=side, type=OrderType.MARKET, quantity=Decimal("0.01"))
            await client.place("parent", terms)
            await asyncio.sleep(PAUSE_S)
        (bot,) = (await client.view()).bots
        times = [child.sent for child in bot.children if child.sent is not None]
        return max(time.p50_us for time in times), max(time.p99_us for time in times)


async def main(orders: int, rounds: int) -> None:
    found: dict[bool, list[tuple[int, int]]] = {False: [], True: []}
    for _ in range(rounds):
        for watched in (False, True):
            found[watched].append(await measure(orders, watched=watched))
    print(f"{'watchers':>8} {'p50 us':>8} {'p99 us':>8}")
    medians = {}
    for watched, results in found.items():
        medians[watched] = statistics.median(p50 for p50, _ in results)
        p99 = statistics.median(p99 for _, p99 in results)
        print(f"{WATCHERS if watched else 0:>8} {medians[watched]:>8.0f} {p99:>8.0f}")
    print(f"With {WATCHERS} watchers the median is {100 * (medians[True] / medians[False] - 1):+.1f} %.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    asyncio.run(main(options.orders, options.rounds))
