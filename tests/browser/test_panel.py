"""What a person does with the panel, from the first bot to its end."""

from __future__ import annotations

import re

import pytest
from playwright.async_api import Page, expect

from .conftest import Stack, create_bot, start_bot, stop_bot

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("browser")]


async def test_a_bot_from_its_creation_to_its_end(real_stack: Stack, page: Page) -> None:
    """Against a real engine on a Binance futures rehearsal venue."""
    await page.goto(real_stack.url)
    await expect(page.locator("[data-state=connected]")).to_be_visible()
    await create_bot(page, "Mirror", "parent", [("child1", "multiplier", "0.5"), ("child2", "multiplier", "3")])

    row = page.locator(".row-bot[data-bot=Mirror]")
    await expect(row.locator(".status")).to_have_text("Stopped")
    await start_bot(page, "Mirror")
    await expect(row.locator(".status")).to_have_text("Working")

    parent, child = page.locator("[data-role=parent] .canvas"), page.locator("[data-role=child] .canvas")
    await expect(child).to_have_attribute("data-account", "child1")
    await expect(child).to_have_attribute("data-symbol", "BTCUSDT")
    await expect(child).to_have_attribute("data-bars", re.compile(r"[1-9]\d*"))
    ticket, log = page.locator("#ticket"), page.locator("#log .log-inner")
    await expect(ticket).to_contain_text("no real money")
    price = await below_market(page)
    await ticket.get_by_label("Quantity").fill("0.02")
    await ticket.get_by_label("Price").fill(price)
    await ticket.get_by_role("button", name="Buy 0.02 BTCUSDT").click()

    await expect(parent).to_have_attribute("data-line-titles", f"BUY LMT 0.02 @ {price}")
    await expect(child).to_have_attribute("data-line-titles", f"BUY LMT 0.01 @ {price}")
    copied = (
        log.locator("[data-seq]").filter(has_text=f"Copied: BUY 0.01 BTCUSDT limit @ {price}").filter(has_text="child1")
    )
    await expect(copied.first).to_be_visible()
    await expect(
        log.locator("[data-seq]").filter(has_text="Copied: BUY 0.06 BTCUSDT").filter(has_text="child2").first
    ).to_be_visible()

    await ticket.get_by_role("button", name="Cancel Buy 0.02 BTCUSDT").click()
    await expect(parent).to_have_attribute("data-lines", "0")
    await expect(child).to_have_attribute("data-lines", "0")
    await expect(log.locator("[data-seq]").filter(has_text="Cancelled: ").filter(has_text="child1").first).to_be_visible()

    await ticket.get_by_label("Type").select_option("market")
    await ticket.get_by_role("button", name="Buy 0.02 BTCUSDT").click()
    await expect(parent).to_have_attribute("data-marker-texts", "B 0.02")
    await expect(child).to_have_attribute("data-marker-texts", "B 0.01")
    await expect(child).to_have_attribute("data-line-titles", re.compile(r"^LONG 0\.01 @ \d+"))

    await stop_bot(page, "Mirror")
    await expect(row.locator(".status")).to_have_text("Stopped")
    await page.get_by_role("button", name="Delete Mirror").click()
    await page.get_by_role("dialog").get_by_role("button", name="Delete bot").click()
    await expect(row).to_have_count(0)


MOVE = """
async (price) => {
  const view = await (await fetch("/api/v1/view")).json();
  const { venue_id, client_id, terms } = view.accounts.find((account) => account.key === "parent").orders[0];
  const ref = { symbol: terms.symbol, type: terms.type, venue_id, client_id };
  const body = JSON.stringify({ ref, terms: { ...terms, price } });
  const headers = { "Content-Type": "application/json" };
  const answer = await fetch("/api/v1/accounts/parent/orders", { method: "PATCH", body, headers });
  return (await answer.json()).outcome.type;
}
"""


async def test_lines_move_with_their_orders(real_stack: Stack, page: Page) -> None:
    await page.goto(real_stack.url)
    await create_bot(page, "Mirror", "parent", [("child1", "multiplier", "0.5")])
    await start_bot(page, "Mirror")
    await expect(page.locator(".row-bot .status")).to_have_text("Working")
    child, ticket = page.locator("[data-role=child] .canvas"), page.locator("#ticket")
    price = await below_market(page)
    await ticket.get_by_label("Quantity").fill("0.02")
    await ticket.get_by_label("Price").fill(price)
    await ticket.get_by_role("button", name="Buy 0.02 BTCUSDT").click()
    await expect(child).to_have_attribute("data-line-titles", f"BUY LMT 0.01 @ {price}")
    moved = str(int(price) - 100)
    assert await page.evaluate(MOVE, moved) == "accepted"
    await expect(page.locator("[data-role=parent] .canvas")).to_have_attribute(
        "data-line-titles", f"BUY LMT 0.02 @ {moved}"
    )
    await expect(child).to_have_attribute("data-line-titles", f"BUY LMT 0.01 @ {moved}")


async def below_market(page: Page) -> str:
    """A price that rests: two percent below the last one, on the tick."""
    shown = page.locator("[data-role=parent] .price")
    await expect(shown).to_have_text(re.compile(r"\d"))
    return f"{float(await shown.inner_text()) * 0.98:.0f}"
