"""How soon a log event is seen in the panel, and what the panel's process weighs, at 50 and at 500 events a second.

    python benchmarks/panel.py [--seconds 10] [--json FILE]

A desk of the tests tells the events and ten prices a second, the panel is its own process, Chromium shows the page. The
time runs from the event's own stamp to the moment at which its row is in the document, both by this machine's clock.
`seen` are the rows that were in view, `behind` is how many events the page lacked at the end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Page, async_playwright

ROOT = Path(__file__).parents[1]
SCRIPTS = Path(sys.executable).parent
RATES = (50, 500)
READY_S = 60.0
WARM_S = 3.0
SETTLE_S = 1.0

WATCH = """
() => {
  window.seen = new Map();
  const look = () => {
    const now = performance.timeOrigin + performance.now();
    for (const row of document.querySelectorAll("#log .log-inner .log-row")) {
      const seq = Number(row.dataset.seq);
      if (seq && !window.seen.has(seq)) window.seen.set(seq, now);
    }
  };
  look();
  window.seen = new Map([...window.seen.keys()].map((seq) => [seq, 0]));
  const watched = { subtree: true, attributes: true, childList: true };
  new MutationObserver(look).observe(document.querySelector("#log .log-inner"), watched);
}
"""
TIMES = """
async () => {
  const lines = await (await fetch("/api/v1/log?limit=5000")).json();
  const at = new Map(lines.map((line) => [line.seq, line.at_ns / 1e6]));
  return [...window.seen].filter(([seq, ms]) => ms && at.has(seq)).map(([seq, ms]) => ms - at.get(seq));
}
"""
BEHIND = """
async () => {
  const [newest] = await (await fetch("/api/v1/log?limit=1")).json();
  const shown = [...document.querySelectorAll("#log .log-inner .log-row")].map((row) => Number(row.dataset.seq) || 0);
  return Math.max(0, newest.seq - Math.max(...shown));
}
"""


@asynccontextmanager
async def running(*command: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_S):
            line = (await process.stdout.readline()).decode()
        yield process, line
    finally:
        process.terminate()
        await process.communicate()


def megabytes(process: int) -> float:
    """The resident memory of a process (Linux)."""
    (line,) = [line for line in Path(f"/proc/{process}/status").read_text().splitlines() if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


async def measure(page: Page, rate: int, seconds: float, panel: int) -> dict[str, Any]:
    await page.evaluate(WATCH)
    await asyncio.sleep(seconds)
    times = sorted(await page.evaluate(TIMES))
    last = len(times) - 1
    return {
        "events_per_s": rate,
        "seen": len(times),
        "behind": await page.evaluate(BEHIND),
        "p50_ms": round(times[last // 2], 1),
        "p99_ms": round(times[last * 99 // 100], 1),
        "max_ms": round(times[-1], 1),
        "panel_mb": round(megabytes(panel), 1),
    }


def find_chromium() -> str:
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))


async def run(rate: int, seconds: float) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="copydesk-bench-") as scratch:
        save(Path(scratch) / "panel-accepted.json", [])
        desk = (sys.executable, str(ROOT / "tests/browser/desk.py"), "--data", scratch, "--log-rate", str(rate))
        panel = (str(SCRIPTS / "copydesk-panel"), "--data", scratch, "--json")
        async with running(*desk), running(*panel) as (process, line), async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=find_chromium(), args=("--headless", "--no-sandbox"))
            page = await browser.new_page(viewport={"width": 1600, "height": 1000})
            await page.goto(json.loads(line)["url"])
            await page.locator("[data-state=connected]").first.wait_for()
            await asyncio.sleep(WARM_S)
            found = await measure(page, rate, seconds, process.pid)
            await asyncio.sleep(SETTLE_S)
            await browser.close()
            return found


async def main(seconds: float, file: Path | None) -> None:
    results = [await run(rate, seconds) for rate in RATES]
    print(f"{'events/s':>9} {'seen':>6} {'behind':>7} {'p50 ms':>8} {'p99 ms':>8} {'max ms':>8} {'panel MB':>9}")
    for one in results:
        print(
            f"{one['events_per_s']:>9} {one['seen']:>6} {one['behind']:>7} {one['p50_ms']:>8} {one['p99_ms']:>8} "
            f"{one['max_ms']:>8} {one['panel_mb']:>9}"
        )
    if file is not None:
        save(file, results)


def save(file: Path, results: list[dict[str, Any]]) -> None:
    file.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    asyncio.run(main(options.seconds, options.json))
