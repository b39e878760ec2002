"""The log of the panel: nothing is lost, whatever the rate, the filter, or the engine does."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import Page, expect

from .conftest import Stack, Watched, start_bot, start_panel

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("browser")]
NewStack = Callable[..., Awaitable[Stack]]

SEQUENCE = """
async () => {
  const scroller = document.querySelector(".log-scroll");
  const seen = new Map();
  const frame = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
  const collect = () => {
    for (const row of scroller.querySelectorAll(".log-inner .log-row:not([hidden])")) {
      seen.set(Number(row.dataset.seq), row.querySelector(".l-text").textContent);
    }
  };
  for (let still = 0; still < 40; ) {
    collect();
    const before = scroller.scrollTop;
    scroller.scrollTop += scroller.clientHeight;
    await frame();
    still = scroller.scrollTop === before ? still + 1 : 0;
    if (still) await new Promise((resolve) => setTimeout(resolve, 20));
  }
  collect();
  return [...seen.keys()].sort((one, other) => one - other);
}
"""


async def sign_in(page: Page, stack: Stack) -> None:
    await page.goto(stack.url)
    await expect(page.locator("[data-state=connected]")).to_be_visible()


async def test_no_row_is_dropped_at_a_high_rate(new_stack: NewStack, page: Page) -> None:
    """500 lines a second for some seconds; then every line from the first on can be scrolled to."""
    stack = await new_stack("--log-rate", "500", "--lines", "2500")
    await sign_in(page, stack)
    await expect(page.locator("#log .l-text").filter(has_text="Line 2500 of")).to_be_visible(timeout=30_000)
    found = await page.evaluate(SEQUENCE)
    assert found == list(range(1, 2501))
    assert await page.locator("#log .log-inner .log-row").count() < 120, "only visible rows are in the document"
    await page.reload()  # now all but the newest page is history that is fetched by scrolling
    await expect(page.locator("#log .l-text").filter(has_text="Line 2500 of")).to_be_visible()
    assert await page.evaluate(SEQUENCE) == list(range(1, 2501))


async def test_reading_older_lines_is_not_disturbed_by_newer_ones(new_stack: NewStack, page: Page) -> None:
    stack = await new_stack("--log-rate", "100", "--lines", "600")
    await sign_in(page, stack)
    log = page.locator("#log")
    await expect(log).to_have_attribute("data-rows", re.compile(r"\d{3,}"))
    await page.locator(".log-scroll").evaluate("element => { element.scrollTop = 1000; }")
    await expect(log.get_by_label("follow")).not_to_be_checked()
    await expect(log).to_have_attribute("data-held", re.compile(r"[1-9]\d*"))
    first = await log.locator(".log-row:not([hidden])[data-seq]").evaluate_all(
        "rows => rows.map(row => row.dataset.seq).sort()"
    )
    await expect(log).to_have_attribute("data-held", re.compile(r"\d\d+"))
    later = await log.locator(".log-row:not([hidden])[data-seq]").evaluate_all(
        "rows => rows.map(row => row.dataset.seq).sort()"
    )
    assert later == first
    await log.get_by_role("button", name="new").click()
    await expect(log.get_by_label("follow")).to_be_checked()
    await expect(log.locator(".l-text").filter(has_text="Line 600 of")).to_be_visible(timeout=30_000)
    assert await page.evaluate(SEQUENCE) == list(range(1, 601))


async def test_the_filters_ask_for_all_that_there_is(new_stack: NewStack, page: Page) -> None:
    stack = await new_stack("--log-rate", "1000", "--lines", "1500")
    await sign_in(page, stack)
    log = page.locator("#log")
    await expect(log.locator(".l-text").filter(has_text="Line 1500 of")).to_be_visible(timeout=30_000)
    await log.get_by_label("Filter by text").fill("LINE 7 of")
    await expect(log).to_have_attribute("data-rows", "1")
    await expect(log.locator(".l-text").filter(has_text="Line 7 of")).to_be_visible()
    await log.get_by_label("Filter by text").fill("no such thing")
    await expect(log).to_contain_text("Nothing in the log fits this filter")
    await log.get_by_label("Filter by text").fill("")
    await log.get_by_label("Period").select_option("custom")
    await log.get_by_label("From", exact=True).fill("2020-01-01T00:00:00")
    await log.get_by_label("To", exact=True).fill("2020-01-02T00:00:00")
    await expect(log).to_contain_text("Nothing has happened in this period")
    await log.get_by_label("Period").select_option("15m")
    await expect(log).not_to_have_attribute("data-rows", "0")


async def test_an_engine_restart_needs_no_reload(new_stack: NewStack, page: Page, watched: Watched) -> None:
    watched.allowed = ("503", "WebSocket")
    stack = await new_stack("--bots", "1")
    await sign_in(page, stack)
    row = page.locator(".row-bot")
    await expect(row).to_have_count(1)
    await start_bot(page, "Desk A 01")
    await expect(row.locator(".status")).to_have_text("Working")
    await stack.desk.stop()
    await expect(page.locator("[data-state=absent]")).to_be_visible()
    await expect(page.locator("[data-act=new-bot]")).to_be_disabled()
    await stack.restart_desk("--bots", "2")
    await expect(page.locator("[data-state=connected]")).to_be_visible()
    await expect(row).to_have_count(2)
    await expect(row.first.locator(".status")).to_have_text("Working")


async def test_killing_the_panel_loses_no_row_and_needs_no_reload(
    new_stack: NewStack, page: Page, watched: Watched
) -> None:
    watched.allowed = ("ERR_CONNECTION", "WebSocket", "Failed to load resource")
    stack = await new_stack("--log-rate", "50", "--lines", "400")
    await sign_in(page, stack)
    await page.evaluate("window.notReloaded = true")
    stack.panel.process.kill()
    await expect(page.locator("[data-state=offline]")).to_be_visible()
    stack.panel = await start_panel(stack.start, stack.folder)
    await expect(page.locator("[data-state=connected]")).to_be_visible()
    await expect(page.locator("#log .l-text").filter(has_text="Line 400 of")).to_be_visible(timeout=60_000)
    assert await page.evaluate(SEQUENCE) == list(range(1, 401))
    assert await page.evaluate("window.notReloaded") is True
