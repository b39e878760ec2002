"""What a person does with the panel, from the first bot to its end."""

from __future__ import annotations

import pytest
from playwright.async_api import Page, expect

from .conftest import Stack

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def chart(page: Page, role: str) -> object:
    return page.locator(f"[data-role={role}] .canvas")


async def create_bot(page: Page, name: str, parent: str, children: list[tuple[str, str, str]]) -> None:
    await page.get_by_role("button", name="New bot").first.click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_label("Bot name").fill(name)
    await dialog.get_by_label("Parent account").select_option(parent)
    for number, (account, mode, value) in enumerate(children, 1):
        if number > 1:
            await dialog.get_by_role("button", name="Add child").click()
        await dialog.get_by_label(f"Child account {number}: Account").select_option(account)
        await dialog.get_by_label(f"Child account {number}: Quantity mode").select_option(mode)
        await dialog.get_by_label(f"Child account {number}: Value").fill(value)
    await dialog.get_by_role("button", name="Create bot").click()
    await expect(dialog).to_be_hidden()


async def test_a_bot_from_its_creation_to_its_end(stack: Stack, page: Page) -> None:
    await page.goto(stack.url)
    await expect(page.locator("[data-state=connected]")).to_be_visible()
    await create_bot(page, "Mirror", "main", [("eval-1", "multiplier", "0.5"), ("eval-2", "multiplier", "3")])

    row = page.locator("tr.bot[data-bot=Mirror]")
    await expect(row.locator(".status")).to_have_text("Stopped")
    await page.get_by_role("button", name="Start Mirror").click()
    await expect(row.locator(".status")).to_have_text("Working")

    parent, child = page.locator("[data-role=parent] .canvas"), page.locator("[data-role=child] .canvas")
    await expect(child).to_have_attribute("data-account", "eval-1")
    await expect(child).not_to_have_attribute("data-bars", "0")
    ticket = page.locator("#ticket")
    await expect(ticket).to_contain_text("no real money")
    await ticket.get_by_label("Quantity").fill("2")
    await ticket.get_by_label("Price").fill("50000")
    await ticket.get_by_role("button", name="Buy 2 BTCUSDT").click()

    await expect(parent).to_have_attribute("data-line-titles", "BUY LMT 2 @ 50000")
    await expect(child).to_have_attribute("data-line-titles", "BUY LMT 1 @ 50000")
    log = page.locator("#log")
    await expect(log.locator("[data-kind=copied]")).to_have_count(2)

    await ticket.get_by_role("button", name="Cancel Buy 2 BTCUSDT").click()
    await expect(parent).to_have_attribute("data-lines", "0")
    await expect(child).to_have_attribute("data-lines", "0")
    await expect(log.locator("[data-kind=cancelled]")).to_have_count(2)

    await page.get_by_role("button", name="Stop Mirror").click()
    await expect(row.locator(".status")).to_have_text("Stopped")
    await page.get_by_role("button", name="Delete Mirror").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete bot").click()
    await expect(row).to_have_count(0)
