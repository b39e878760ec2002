"""A panel over a generator desk, each in a process of its own, and Debian's Chromium to look at it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from copydesk.model import RehearsalReady, from_json
from copydesk.secrets import variable_of
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

HERE = Path(__file__).parent
SCRIPTS = Path(sys.executable).parent
READY_S = 30.0
STOP_S = 10.0
PATIENCE_MS = 20_000  # connecting to a venue alone takes seconds on a busy machine
LINE_LIMIT = 1 << 20
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM_ARGUMENTS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


expect.set_options(timeout=PATIENCE_MS)


@dataclass
class Program:
    """A running process and the first line that it printed."""

    process: asyncio.subprocess.Process
    first_line: str

    async def stop(self) -> int:
        """Ask it to end (SIGTERM) and return its exit status."""
        if self.process.returncode is None:
            self.process.terminate()
        async with asyncio.timeout(STOP_S):
            await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode


Start = Callable[..., Awaitable[Program]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts a program as a process and waits for its first line; ends all of them after the test."""
    running: list[Program] = []

    async def start_it(*command: str, environment: dict[str, str] | None = None) -> Program:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdout=asyncio.subprocess.PIPE,
            limit=LINE_LIMIT,
            env=os.environ | (environment or {}),
        )
        assert process.stdout is not None
        program = Program(process, "")
        running.append(program)
        async with asyncio.timeout(READY_S):
            program.first_line = (await process.stdout.readline()).decode().strip()
        assert program.first_line, f"{command} ended before it was ready"
        return program

    yield start_it
    for program in reversed(running):
        await program.stop()


@dataclass
class Stack:
    """A desk (or a whole engine) and a panel over it. `url` carries the one-time token."""

    folder: Path
    desk: Program
    panel: Program
    start: Start
    venue: Program | None = None

    @property
    def url(self) -> str:
        url: str = json.loads(self.panel.first_line)["url"]
        return url

    async def restart_desk(self, *options: str) -> None:
        await self.desk.stop()
        self.desk = await start_desk(self.start, self.folder, *options)


async def start_desk(start: Start, folder: Path, *options: str) -> Program:
    return await start(sys.executable, str(HERE / "desk.py"), "--data", str(folder), *options)


def accept(folder: Path) -> None:
    """Have the disclaimer confirmed."""
    if folder.is_dir():
        (folder / "panel-accepted.json").write_text("{}")


async def start_panel(
    start: Start, folder: Path, *, accepted: bool = True, environment: dict[str, str] | None = None
) -> Program:
    if accepted:
        accept(folder)
    return await start(str(SCRIPTS / "copydesk-panel"), "--data", str(folder), "--json", environment=environment)


@pytest.fixture
def new_stack(start: Start, tmp_path: Path) -> Callable[..., Awaitable[Stack]]:
    async def make(*options: str) -> Stack:
        desk = await start_desk(start, tmp_path, *options)
        return Stack(tmp_path, desk, await start_panel(start, tmp_path), start)

    return make


@pytest.fixture
async def stack(new_stack: Callable[..., Awaitable[Stack]]) -> Stack:
    return await new_stack()


@pytest.fixture
async def real_stack(request: pytest.FixtureRequest, start: Start, tmp_path: Path) -> Stack:
    """The real thing: a rehearsal venue (of Binance futures, or the kind that the parameter names), the engine and the
    panel, each a process of its own."""
    names, kind = ("parent", "child1", "child2"), getattr(request, "param", "binance-futures")
    command = [str(SCRIPTS / "copydesk"), "rehearse", kind, "--accounts", ",".join(names), "--json"]
    program = await start(*command)
    venue = from_json(program.first_line, RehearsalReady)
    environment = {
        variable_of(account.name, field): value for account in venue.accounts for field, value in account.secrets.items()
    }
    tables = [
        f'[connections.{account.name}]\nkind = "{venue.kind}"\n'
        + "".join(f'{option} = "{value}"\n' for option, value in account.options.items())
        for account in venue.accounts
    ]
    (tmp_path / "copydesk.toml").write_text("\n".join(tables))
    engine = await start(str(SCRIPTS / "copydesk"), "--data", str(tmp_path), "run", "--json", environment=environment)
    return Stack(tmp_path, engine, await start_panel(start, tmp_path), start, program)


def find_chromium() -> str:
    """The browser's path. Skips the test where there is none; fails under `CI=true`, where nothing may be skipped."""
    for name in CHROMIUM_NAMES:
        if path := shutil.which(name):
            return path
    if os.environ.get("CI") == "true":
        pytest.fail("no Chromium is installed: apt-get install chromium")
    pytest.skip("no Chromium is installed: apt-get install chromium")


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    path = find_chromium()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=CHROMIUM_ARGUMENTS)
        yield browser
        await browser.close()


@dataclass
class Watched:
    """What a page did that it should not: console messages and errors, requests to elsewhere. A test that takes the engine
    away puts words of the messages that this brings into `allowed`."""

    troubles: list[str] = field(default_factory=list)
    hosts: set[str] = field(default_factory=set)
    allowed: tuple[str, ...] = ()

    def hear(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.troubles.append(f"{message.text} ({message.location.get('url', '')})")

    def check(self) -> None:
        assert [line for line in self.troubles if not any(word in line for word in self.allowed)] == []
        assert self.hosts <= {"127.0.0.1"}


@pytest.fixture
def watched() -> Watched:
    return Watched()


@pytest.fixture
async def page(browser: Browser, watched: Watched) -> AsyncIterator[Page]:
    """A page that must end without a console error and without a request that leaves this machine."""
    context = await browser.new_context(viewport={"width": 1600, "height": 1000})
    context.set_default_timeout(PATIENCE_MS)
    page = await context.new_page()
    page.on("pageerror", lambda error: watched.troubles.append(str(error)))
    page.on("console", watched.hear)
    page.on("request", lambda request: watched.hosts.add(urlsplit(request.url).hostname or ""))
    yield page
    await context.close()
    watched.check()


async def start_bot(page: Page, name: str) -> None:
    """Ask for the plan of a start and confirm it."""
    await page.get_by_role("button", name=f"Start {name}").click()
    await confirm(page)


async def stop_bot(page: Page, name: str) -> None:
    await page.get_by_role("button", name=f"Stop {name}").click()
    await confirm(page)


async def dismiss(page: Page) -> None:
    """Close the dialog by Escape. Once it is gone the page takes keys again."""
    await page.keyboard.press("Escape")
    await expect(page.get_by_role("dialog")).to_be_hidden()


async def confirm(page: Page) -> None:
    """Confirm the plan that the dialog shows, once it is there."""
    dialog = page.get_by_role("dialog")
    await dialog.locator("[data-act=confirm]:enabled").click()
    await expect(dialog).to_be_hidden()


@pytest.fixture
async def paper_stack(start: Start, tmp_path: Path) -> Stack:
    """The real engine on the embedded exchange: the second venue, and the one that is ready soonest."""
    tables = [f'[connections.{name}]\nkind = "paper"\naccount = "{tmp_path.name}-{name}"\n' for name in PAPER_ACCOUNTS]
    (tmp_path / "copydesk.toml").write_text("\n".join(tables))
    engine = await start(str(SCRIPTS / "copydesk"), "--data", str(tmp_path), "run", "--json")
    return Stack(tmp_path, engine, await start_panel(start, tmp_path), start)


PAPER_ACCOUNTS = ("parent", "child1", "child2")


async def create_bot(page: Page, name: str, parent: str, children: list[tuple[str, str, str]]) -> None:
    """Through the dialog "New bot"; each child is (account, mode, value)."""
    await page.get_by_role("button", name="New bot").first.click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Bot name").fill(name)
    await expect(dialog.get_by_label("Parent account").locator(f"option[value={parent}]")).to_have_count(1)
    await dialog.get_by_label("Parent account").select_option(parent)
    for number, (account, mode, value) in enumerate(children, start=1):
        if number > 1:
            await dialog.get_by_role("button", name="Add child").click()
        await dialog.get_by_label(f"Child account {number}: Account").select_option(account)
        await dialog.get_by_label(f"Child account {number}: Quantity mode").select_option(mode)
        await dialog.get_by_label(f"Child account {number}: Value").fill(value)
    await dialog.get_by_role("button", name="Create bot").click()
    await expect(dialog).to_be_hidden()
    await expect(page.locator(f".row-bot[data-bot='{name}']")).to_be_visible()


async def buy(page: Page, quantity: str, *, side: str = "Buy") -> None:
    """A market order of the parent by the rehearsal's ticket."""
    ticket = page.locator("#ticket")
    await ticket.get_by_role("button", name=side, exact=True).click()
    await ticket.get_by_label("Type").select_option("market")
    await ticket.get_by_label("Quantity").fill(quantity)
    await ticket.locator("button.submit").click()
    await expect(ticket.locator(".answer")).to_contain_text("Accepted")
