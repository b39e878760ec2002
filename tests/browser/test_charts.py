"""What the two charts draw, and that they move together. Read from the charts themselves, by their data attributes."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import Locator, Page, expect

from .conftest import Stack, start_bot

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("browser")]
NewStack = Callable[..., Awaitable[Stack]]


@pytest.fixture
async def charts(new_stack: NewStack, page: Page) -> tuple[Locator, Locator]:
    """The parent's and the first child's chart of a working bot (Multiplier 0.5, 3 and Percentage 100)."""
    stack = await new_stack("--bots", "1")
    await page.goto(stack.url)
    await start_bot(page, "Desk A 01")
    await expect(page.locator(".status.working")).to_have_count(1)
    parent, child = page.locator("[data-role=parent] .canvas"), page.locator("[data-role=child] .canvas")
    for chart in (parent, child):
        await expect(chart).to_have_attribute("data-bars", re.compile("50[0-9]"))
        await expect(chart).to_have_attribute("data-range", re.compile(r"\d"))
    return parent, child


async def place(page: Page, side: str, type_: str, quantity: str, *, trigger: str = "", reduce_only: bool = False) -> None:
    ticket = page.locator("#ticket")
    await ticket.get_by_role("button", name=side, exact=True).click()
    await ticket.get_by_label("Type").select_option(type_)
    await ticket.get_by_label("Quantity").fill(quantity)
    if trigger:
        await ticket.get_by_label("Trigger").fill(trigger)
    await ticket.get_by_label("Reduce only").set_checked(reduce_only)
    await ticket.locator("button.submit").click()
    await expect(ticket.locator(".answer")).to_contain_text(f"{side} {quantity}")


async def test_fills_protection_and_position_are_drawn(charts: tuple[Locator, Locator], page: Page) -> None:
    parent, child = charts
    last = float(await page.locator("[data-role=parent] .price").inner_text())
    stop, target, far = f"{last - 100:.0f}", f"{last + 100:.0f}", f"{last * 0.8:.0f}"
    await place(page, "Buy", "market", "2")
    await place(page, "Sell", "stop-market", "1.5", trigger=stop, reduce_only=True)
    await place(page, "Sell", "take-profit-market", "2", trigger=target, reduce_only=True)
    await place(page, "Sell", "stop-market", "0.5", trigger=far, reduce_only=True)
    await expect(child).to_have_attribute("data-lines", "4")
    titles = await child.get_attribute("data-line-titles") or ""
    assert re.fullmatch(rf"LONG 1 @ [\d.]+ \| SL 0.75 @ {stop} \| TP 1 @ {target} \| SL 0.25 @ {far}", titles), titles
    await expect(child).to_have_attribute("data-marker-texts", "B 1")
    await expect(parent).to_have_attribute("data-marker-texts", "B 2")
    edge = page.locator("[data-role=child] .edge.below span")
    await expect(edge).to_have_text(f"↓ SL 0.25 @ {far}.0")
    await page.get_by_label("Child account in the right chart").select_option("eval-2")
    await expect(child).to_have_attribute("data-marker-texts", "B 6")
    await expect(child).to_have_attribute("data-line-titles", re.compile("^LONG 6 @ .*SL 4.5"))


async def test_the_time_scales_and_crosshairs_are_linked(charts: tuple[Locator, Locator], page: Page) -> None:
    parent, child = charts
    for leader, follower in ((parent, child), (child, parent)):
        before = await follower.get_attribute("data-range")
        box = await leader.bounding_box()
        assert box is not None
        middle = (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        await page.mouse.move(*middle)
        await page.mouse.wheel(0, -400)
        await expect(follower).not_to_have_attribute("data-range", before or "")
        await expect(follower).to_have_attribute("data-range", await leader.get_attribute("data-range") or "-")
        await page.mouse.move(middle[0] - 60, middle[1])
        await expect(leader).to_have_attribute("data-crosshair", re.compile(r"\d+"))
        await expect(follower).to_have_attribute("data-crosshair", await leader.get_attribute("data-crosshair") or "-")
        await page.mouse.move(5, 5)
        await expect(follower).to_have_attribute("data-crosshair", "")


async def test_symbol_and_interval_hold_for_both(charts: tuple[Locator, Locator], page: Page) -> None:
    parent, child = charts
    await page.get_by_label("Symbol", exact=True).first.select_option("ETHUSDT")
    for chart in (parent, child):
        await expect(chart).to_have_attribute("data-symbol", "ETHUSDT")
    assert await page.locator("#ticket").get_by_label("Symbol").input_value() == "ETHUSDT"
    await page.get_by_role("button", name="5m", exact=True).click()
    await expect(page.get_by_role("button", name="5m", exact=True)).to_have_attribute("aria-pressed", "true")
    for chart in (parent, child):
        await expect(chart).to_have_attribute("data-bars", re.compile("50[0-9]"))
