"""What eight open panels cost the engine: its copy latency with eight of them and with none, by turns in one run.

    python benchmarks/watchers.py [--orders 100] [--rounds 10] [--browsers]

One engine on the embedded exchange and one panel, each a process of its own. A round is so many orders of the parent with
nobody watching, and so many with eight watchers; every other round begins with the watchers. A watcher reads the event
stream through the panel as a page does; with `--browsers` it is a page in Chromium. The time is the engine's own, of every
single copy: from the parent's event read to the child's request handed over. Needs a machine with nothing else to do.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from decimal import Decimal
from pathlib import Path

import aiohttp
from copydesk.client import AsyncControlClient
from copydesk.config import BotSettings, ChildSettings
from copydesk.model import OrderType, Side, Terms
from copydesk.view import LogQuery
from playwright.async_api import async_playwright
from yarl import URL

SCRIPTS = Path(sys.executable).parent
CHILDREN = ("child1", "child2", "child3")
WATCHERS = 8
PAUSE_S = 0.02
SETTLE_S = 1.0
READY_S = 60.0
Watching = Callable[[URL, aiohttp.CookieJar], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def running(*command: str) -> AsyncIterator[str]:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_S):
            line = (await process.stdout.readline()).decode()
        yield line
    finally:
        process.terminate()
        await process.communicate()


def configure(folder: Path) -> None:
    names = ("parent", *CHILDREN)
    tables = [f'[connections.{name}]\nkind = "paper"\naccount = "{folder.name}-{name}"\n' for name in names]
    (folder / "copydesk.toml").write_text("\n".join(tables))


@asynccontextmanager
async def readers(panel: URL, jar: aiohttp.CookieJar) -> AsyncIterator[None]:
    """Eight readers of the stream, signed in as a browser is."""
    async with aiohttp.ClientSession(cookie_jar=jar) as client, AsyncExitStack() as stack:
        async with client.get(panel / "api/v1/view") as answer:
            after = (await answer.json())["seq"]
        for _ in range(WATCHERS):
            stream = await client.ws_connect(panel / "api/v1/stream", params={"after": str(after)}, origin=str(panel))
            task = asyncio.create_task(read(stream))
            stack.push_async_callback(stream.close)
            stack.callback(task.cancel)
        yield


async def read(stream: aiohttp.ClientWebSocketResponse) -> None:
    async for _ in stream:
        pass


@asynccontextmanager
async def pages(panel: URL, jar: aiohttp.CookieJar) -> AsyncIterator[None]:
    """Eight pages in Chromium, signed in."""
    cookies = [{"name": cookie.key, "value": cookie.value, "url": str(panel)} for cookie in jar]
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=("--headless", "--no-sandbox"))
        context = await browser.new_context(viewport={"width": 1600, "height": 1000})
        await context.add_cookies(cookies)
        for _ in range(WATCHERS):
            page = await context.new_page()
            await page.goto(str(panel))
            await page.locator(".state[data-state=connected]").wait_for()
        await asyncio.sleep(SETTLE_S)
        yield
        await browser.close()


async def sign_in(address: str) -> aiohttp.CookieJar:
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as client, client.get(address) as answer:
        answer.raise_for_status()
    return jar


async def trade(client: AsyncControlClient, orders: int) -> list[int]:
    """Let the parent trade. Returns the time of each child's order, in microseconds."""
    (newest,) = await client.log(LogQuery(limit=1))
    for number in range(orders):
        side = Side.SELL if number % 2 else Side.BUY
        terms = Terms(symbol="BTCUSDT", side=side, type=OrderType.MARKET, quantity=Decimal("0.01"))
        await client.place("parent", terms)
        await asyncio.sleep(PAUSE_S)
    lines = await client.log(LogQuery(kind="copy", limit=5000))
    return [line.data["sent_us"] for line in lines if line.seq > newest.seq]


async def main(orders: int, rounds: int, watching: Watching) -> None:
    found: dict[bool, list[int]] = {False: [], True: []}
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="copydesk-bench-")))
        configure(folder)
        await stack.enter_async_context(running(str(SCRIPTS / "copydesk"), "--data", str(folder), "run", "--json"))
        line = await stack.enter_async_context(running(str(SCRIPTS / "copydesk-panel"), "--data", str(folder), "--json"))
        address = json.loads(line)["url"]
        panel, jar = URL(address).origin(), await sign_in(address)
        client = await stack.enter_async_context(AsyncControlClient.for_folder(folder))
        while any(account.state != "connected" for account in await client.accounts()):
            await asyncio.sleep(0.1)
        children = tuple(ChildSettings(account=name, mode="multiplier", value=Decimal(1)) for name in CHILDREN)
        await client.add_bot(BotSettings(name="bench", parent="parent", children=children))
        await client.start_bot("bench")
        await trade(client, orders)  # warms up
        for number in range(rounds):
            for watched in (False, True) if number % 2 else (True, False):
                async with watching(panel, jar) if watched else nullcontext():
                    found[watched] += await trade(client, orders)
    print(f"{'watchers':>8} {'copies':>7} {'p50 us':>7} {'p90 us':>7} {'p99 us':>7}")
    for watched, times in found.items():
        times.sort()
        p50, p90, p99 = (times[len(times) * share // 100] for share in (50, 90, 99))
        print(f"{WATCHERS if watched else 0:>8} {len(times):>7} {p50:>7} {p90:>7} {p99:>7}")
    change = statistics.median(found[True]) / statistics.median(found[False]) - 1
    print(f"With {WATCHERS} watchers the median is {100 * change:+.1f} %.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--browsers", action="store_true")
    options = parser.parse_args()
    asyncio.run(main(options.orders, options.rounds, pages if options.browsers else readers))
