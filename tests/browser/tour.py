"""`make screenshots`: a tour of the panel as PNGs, on the running demo, a desk with five hundred children and an empty one.

python tests/browser/tour.py FOLDER
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from conftest import dismiss
from copydesk.client import AsyncControlClient
from copydesk.view import LogQuery
from playwright.async_api import Browser, Page, async_playwright, expect

HERE = Path(__file__).parent
SCRIPTS = Path(sys.executable).parent
READY_S = 120.0
TRADED_S = 240.0
FILLS = 30
WIDE = {"width": 1600, "height": 1000}
PHONE = {"width": 390, "height": 844}
SMALL, LARGE = {"width": 1280, "height": 720}, {"width": 3840, "height": 2160}
CHROMIUM_ARGUMENTS = ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run")


@contextlib.asynccontextmanager
async def running(*command: str) -> AsyncIterator[str]:
    """A program, until the end of the block; gives its first line."""
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, limit=1 << 20)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_S):
            line = (await process.stdout.readline()).decode()
        yield line
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


class Tour:
    """Takes the pictures, numbered in their order."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._count = 0

    async def take(self, page: Page, name: str) -> None:
        self._count += 1
        path = self._folder / f"{self._count:02}-{name}.png"
        await page.screenshot(path=path)
        print(path, flush=True)


async def open_page(browser: Browser, url: str, size: dict[str, int]) -> Page:
    page = await browser.new_page(viewport=size)  # type: ignore[arg-type]
    page.set_default_timeout(30_000)
    await page.goto(url)
    await expect(page.locator("[data-state=connected]").first).to_be_visible(timeout=30_000)
    return page


@contextlib.asynccontextmanager
async def demo_on(folder: Path, *, runs: bool) -> AsyncIterator[str]:
    """The address of a demo's panel."""
    if runs:
        yield json.loads((folder / "panel.json").read_bytes())["url"]
        return
    async with running(str(SCRIPTS / "copydesk"), "demo", "--json", "--keep", str(folder)) as line:
        yield json.loads(line)["panel"]


async def show_demo(browser: Browser, tour: Tour, folder: Path, *, runs: bool) -> None:
    async with demo_on(folder, runs=runs) as url:
        await has_traded(folder)
        page = await open_page(browser, url, WIDE)
        dialog = page.get_by_role("dialog")
        await expect(page.locator("#log [data-kind=fill]").first).to_be_visible(timeout=180_000)
        await expect(page.locator("[data-role=child] .canvas")).not_to_have_attribute("data-lines", "0", timeout=180_000)
        await tour.take(page, "desk")
        await page.locator("#log [data-kind=copy]").filter(has_text="child3").first.click()
        await expect(dialog).to_contain_text("What the log says of it")
        await tour.take(page, "story-of-a-copy")
        await dismiss(page)
        await page.keyboard.press("n")
        await dialog.get_by_label("Bot name").fill("Evening desk")
        await dialog.get_by_label("Parent account").select_option("parent")
        await dialog.get_by_label("Child account 1: Account").select_option("child1")
        await dialog.get_by_label("Child account 1: Value").fill("-0.5")
        await dialog.get_by_role("button", name="Add child").click()
        await dialog.get_by_label("Child account 2: Account").select_option("child3")
        await dialog.get_by_label("Child account 2: Quantity mode").select_option("percentage")
        await dialog.get_by_label("Child account 2: Value").fill("50")
        await expect(dialog.locator(".preview-child")).to_have_count(2, timeout=30_000)
        await tour.take(page, "new-bot")
        await dismiss(page)
        await page.get_by_role("button", name="Settings of Demo").click()
        await dialog.get_by_role("tab", name="How children copy").click()
        await dialog.get_by_label("Rounding", exact=True).select_option("nearest")
        await dialog.get_by_label("An entry", exact=True).select_option("chase")
        await tour.take(page, "settings")
        await dialog.get_by_role("tab", name="What may be traded").click()
        await expect(dialog.locator("[data-state=all]")).to_have_count(3)
        await tour.take(page, "what-may-be-traded")
        await dismiss(page)
        await page.get_by_role("button", name="Stop Demo").click()
        await dialog.get_by_role("radio", name="flatten").check()
        await expect(dialog.locator("[data-sends]")).to_be_visible()
        await tour.take(page, "plan-of-a-stop")
        await dismiss(page)
        await page.keyboard.press("p")
        await tour.take(page, "positions-and-drift")
        await page.keyboard.press("c")
        await expect(dialog.locator("li")).to_have_count(4)
        await tour.take(page, "connections")
        await dismiss(page)
        await page.keyboard.press("K")
        await tour.take(page, "kill-switch")
        await dismiss(page)
        await page.keyboard.press("l")
        for name, size in (("small", SMALL), ("4k", LARGE), ("phone", PHONE)):
            await page.set_viewport_size(size)  # type: ignore[arg-type]
            await page.wait_for_timeout(600)  # the charts take their new size
            await tour.take(page, name)
        await page.close()


async def show_crowd(browser: Browser, tour: Tour, folder: Path) -> None:
    make_accepted(folder)
    command = [sys.executable, str(HERE / "desk.py"), "--data", str(folder), "--children", "500", "--bots", "2"]
    async with running(*command, "--log-rate", "50"), panel_over(folder) as url:
        page = await open_page(browser, url, WIDE)
        await page.get_by_label("Filter bots and children").fill("crowd-1")
        await page.wait_for_timeout(1500)
        await tour.take(page, "five-hundred-children")
        await page.close()


async def has_traded(folder: Path) -> None:
    """Return once the demo's parent was copied some times."""
    async with asyncio.timeout(TRADED_S), AsyncControlClient.for_folder(folder) as client:
        while len(await client.log(LogQuery(kind="fill"))) < FILLS:  # noqa: ASYNC110 - somebody else's process
            await asyncio.sleep(1)


def make_accepted(folder: Path) -> None:
    folder.mkdir()
    (folder / "panel-accepted.json").write_text("{}")


def make_empty(folder: Path) -> None:
    folder.mkdir()
    (folder / "copydesk.toml").write_text("")


async def show_first_run(browser: Browser, tour: Tour, folder: Path) -> None:
    make_empty(folder)
    async with running(str(SCRIPTS / "copydesk"), "--data", str(folder), "run", "--json"), panel_over(folder) as url:
        page = await open_page(browser, url, WIDE)
        await expect(page.get_by_role("dialog")).to_be_visible()
        await tour.take(page, "disclaimer")
        await page.get_by_role("checkbox", name="I have read this").check()
        await page.get_by_role("button", name="Go on").click()
        await expect(page.get_by_role("dialog")).to_be_hidden()
        await tour.take(page, "first-run")
        await page.close()


@contextlib.asynccontextmanager
async def panel_over(folder: Path) -> AsyncIterator[str]:
    async with running(str(SCRIPTS / "copydesk-panel"), "--data", str(folder), "--json") as line:
        yield json.loads(line)["url"]


async def main(folder: Path, demo: Path | None) -> None:
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        sys.exit("no Chromium is installed: apt-get install chromium")
    tour = Tour(folder)
    with tempfile.TemporaryDirectory(prefix="copydesk-tour-") as scratch:
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGUMENTS)
            await show_demo(browser, tour, demo or Path(scratch) / "demo", runs=demo is not None)
            await show_crowd(browser, tour, Path(scratch) / "crowd")
            await show_first_run(browser, tour, Path(scratch) / "first")
            await browser.close()


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None))
