"""What a person does with the panel, from the first bot to its end."""

from __future__ import annotations

import os
import re
import signal

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


@pytest.mark.parametrize("real_stack", ["binance-futures", "bybit"], indirect=True)
async def test_every_part_of_the_panel_works_on_a_venue(real_stack: Stack, page: Page) -> None:
    """From a line that moves to the kill switch while the venue has stalled."""
    await page.goto(real_stack.url)
    await create_bot(page, "Mirror", "parent", [("child1", "multiplier", "0.5"), ("child2", "percentage", "100")])
    await start_bot(page, "Mirror")
    row, dialog = page.locator(".row-bot[data-bot=Mirror]"), page.get_by_role("dialog")
    await expect(row.locator(".status")).to_have_text("Working")

    parent, child, ticket = (
        page.locator("[data-role=parent] .canvas"),
        page.locator("[data-role=child] .canvas"),
        page.locator("#ticket"),
    )
    price = await below_market(page)
    await ticket.get_by_label("Quantity").fill("0.02")
    await ticket.get_by_label("Price").fill(price)
    await ticket.locator("button.submit").click()
    await expect(child).to_have_attribute("data-line-titles", f"BUY LMT 0.01 @ {price}")
    moved = str(int(price) - 100)
    assert await page.evaluate(MOVE, moved) == "accepted"
    await expect(parent).to_have_attribute("data-line-titles", f"BUY LMT 0.02 @ {moved}")
    await expect(child).to_have_attribute("data-line-titles", f"BUY LMT 0.01 @ {moved}")

    await ticket.get_by_label("Type").select_option("market")
    await ticket.locator("button.submit").click()
    await expect(child).to_have_attribute("data-marker-texts", "B 0.01")
    await page.locator("#log [data-kind=copy]").filter(has_text="child2").filter(has_text="market").first.click()
    for words in ("Its equity", "ratio 1", "was asked for", "answered in"):
        await expect(dialog).to_contain_text(words)
    await page.keyboard.press("Escape")
    await page.get_by_role("tab", name="Positions").click()
    for name, quantity in (("child1", "0.01"), ("child2", "0.02")):
        held = page.locator(f".drift-row[data-child={name}]")
        await expect(held).to_have_attribute("data-state", "even")
        await expect(held.locator(".d-attributed")).to_have_text(quantity)

    await page.get_by_role("button", name="Settings of Mirror").click()
    await dialog.get_by_label("Child account 1: Value").fill("0.75")
    await expect(dialog.locator(".changes")).to_contain_text("child1")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog).to_be_hidden()
    await page.keyboard.press("c")
    await expect(dialog.locator("[data-connection=parent]")).to_have_attribute("data-state", "connected")
    await expect(dialog.locator("[data-connection=parent]")).to_contain_text("REHEARSAL")
    await expect(dialog.locator("[data-connection=child1] .link-facts")).to_contain_text(re.compile("trad", re.IGNORECASE))
    await page.keyboard.press("Escape")

    assert real_stack.venue is not None
    os.kill(real_stack.venue.process.pid, signal.SIGSTOP)
    try:
        await page.keyboard.press("K")
        await dialog.get_by_role("radio", name="flatten").check()
        await dialog.get_by_label("Type STOP to confirm").fill("STOP")
        await page.keyboard.press("Enter")
        await expect(dialog.get_by_role("status")).to_contain_text("1 bot stopped", timeout=5000)
        await page.keyboard.press("Escape")
        await expect(row.locator(".status")).to_have_text("Stopped")
    finally:
        os.kill(real_stack.venue.process.pid, signal.SIGCONT)
    for name in ("child1", "child2"):
        await expect(page.locator(f".drift-row[data-child={name}] .d-attributed")).to_have_text("0")
    await expect(child).to_have_attribute("data-lines", "0")


async def below_market(page: Page) -> str:
    """A price that rests: two percent below the last one, on the tick."""
    shown = page.locator("[data-role=parent] .price")
    await expect(shown).to_have_text(re.compile(r"\d"))
    return f"{float(await shown.inner_text()) * 0.98:.0f}"
