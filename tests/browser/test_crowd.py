"""Five hundred children, a phone, and everybody's eyes: what the page holds at its extremes, and what axe finds in it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Page, expect

from .conftest import Stack, buy, create_bot, dismiss, start_bot

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("browser")]
NewStack = Callable[..., Awaitable[Stack]]
SERIOUS = {"serious", "critical"}


async def check_accessible(page: Page, where: str) -> None:
    """No finding of axe-core that it calls serious or worse."""
    found = await Axe().run(page)
    assert [
        (where, one["id"], [node["html"][:160] for node in one["nodes"]][:3])
        for one in found.response["violations"]
        if one["impact"] in SERIOUS
    ] == []


async def test_five_hundred_children_are_as_quick_as_five(new_stack: NewStack, page: Page) -> None:
    stack = await new_stack("--children", "500")
    await page.goto(stack.url)
    bots = page.locator("#bots")
    await expect(bots).to_contain_text("1 bot, 500 children")
    await expect(bots.locator(".row-bot")).to_contain_text("5 behind")
    assert await bots.locator(".bots-row").count() < 60, "only what is seen is in the document"
    await bots.get_by_label("Filter bots and children").fill("crowd-4")
    await expect(bots.locator(".row-child").first).to_contain_text("crowd-400")
    await bots.get_by_label("Filter bots and children").fill("")
    await bots.get_by_label("only those to look at").check()
    await expect(bots.locator(".row-child")).to_have_count(5)
    await bots.get_by_label("only those to look at").uncheck()
    await bots.get_by_role("button", name="Hide the children of Crowd").click()
    await expect(bots.locator(".row-child")).to_have_count(0)
    await bots.locator(".rows-scroll").focus()
    await page.keyboard.press("ArrowRight")
    await page.keyboard.press("ArrowDown")
    await expect(bots.locator(".row-child.chosen")).to_contain_text("crowd-002")
    took_ms = await page.evaluate(
        """async () => {
          const begun = performance.now();
          const scroller = document.querySelector("#bots .rows-scroll");
          for (let at = 0; at < 500; at += 10) {
            scroller.scrollTop = at * 27;
            await new Promise((resolve) => requestAnimationFrame(resolve));
          }
          scroller.scrollTop = 0;
          return performance.now() - begun;
        }"""
    )
    assert took_ms < 10_000, "50 frames of scrolling"
    await page.get_by_role("button", name="Settings of Crowd").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.locator(".child-line")).to_have_count(500)
    await dialog.get_by_role("tab", name="How children copy").click()
    await dialog.get_by_label("Rounding", exact=True).select_option("nearest")
    await expect(dialog.locator(".changes")).to_contain_text("500 children · Rounding floor → nearest")


async def test_a_phone_can_stop_a_bot(paper_stack: Stack, page: Page) -> None:
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.goto(paper_stack.url)
    await create_bot(page, "Mirror", "parent", [("child1", "multiplier", "0.5")])
    await start_bot(page, "Mirror")
    stop = page.get_by_role("button", name="Stop Mirror")
    await expect(stop).to_be_in_viewport()
    assert await page.evaluate("document.documentElement.scrollWidth") <= 390, "nothing is wider than the phone"
    await stop.click()
    await page.get_by_role("dialog").get_by_role("radio", name="flatten").check()
    await page.get_by_role("dialog").locator("[data-act=confirm]:enabled").click()
    await expect(page.locator(".row-bot .status")).to_have_text("Stopped")


async def test_axe_finds_nothing_serious_anywhere(paper_stack: Stack, page: Page) -> None:
    await page.goto(paper_stack.url)
    await create_bot(page, "Mirror", "parent", [("child1", "multiplier", "0.5"), ("child2", "multiplier", "1")])
    await start_bot(page, "Mirror")
    await buy(page, "0.02")
    dialog = page.get_by_role("dialog")
    await check_accessible(page, "the desk")
    await page.locator("#log [data-kind=copy]").first.click()
    await expect(dialog).to_contain_text("Difference")
    await check_accessible(page, "a story")
    await dismiss(page)
    await page.get_by_role("tab", name="Positions").click()
    await expect(page.locator(".drift-row[data-child]")).to_have_count(2)
    await check_accessible(page, "positions")
    await page.get_by_role("tab", name="Tickets").click()
    await check_accessible(page, "tickets")
    await page.get_by_role("button", name="Settings of Mirror").click()
    for name in ("Accounts and size", "Start, stop, silence", "How children copy"):
        await dialog.get_by_role("tab", name=name).click()
        await check_accessible(page, name)
    await dismiss(page)
    await page.get_by_role("button", name="Stop Mirror").click()
    await expect(dialog.locator("[data-sends]")).to_be_visible()
    await check_accessible(page, "the plan of a stop")
    await dismiss(page)
    for key in ("n", "K", "c", "?"):
        await page.keyboard.press(key)
        await expect(dialog).to_be_visible()
        await check_accessible(page, key)
        await dismiss(page)
