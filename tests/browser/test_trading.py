"""What a trader does in the panel, on the real engine: plans, drift and its remedy, stories, export, lines that move."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from .conftest import SCRIPTS, Stack, Start, Watched, buy, confirm, create_bot, dismiss, start_bot, start_panel

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("browser")]


async def ready(page: Page, stack: Stack) -> None:
    """Signed in, with a bot that works."""
    await page.goto(stack.url)
    await expect(page.locator("[data-state=connected]").first).to_be_visible()
    await create_bot(page, "Mirror", "parent", [("child1", "multiplier", "0.5"), ("child2", "percentage", "100")])


async def test_what_is_missing_is_shown_with_its_cause_and_copied_on_demand(paper_stack: Stack, page: Page) -> None:
    await ready(page, paper_stack)
    dialog = page.get_by_role("dialog")
    await page.get_by_role("button", name="Settings of Mirror").click()
    await dialog.get_by_role("tab", name="How children copy").click()
    await dialog.get_by_label("Settings of").select_option("child1")
    largest = dialog.get_by_label("Largest order", exact=True)
    await largest.fill("0.4")
    await expect(dialog.locator("[data-policy='limits.max_order'] .tag")).to_have_text("changed")
    await expect(dialog.locator(".changes")).to_contain_text("child1 · Largest order none → 0.4")
    await dialog.get_by_role("tab", name="Start, stop, silence").click()
    await expect(dialog.locator("[data-policy='stop'] .tag")).to_have_text("default")
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog).to_be_hidden()
    await start_bot(page, "Mirror")

    await buy(page, "2")
    await page.get_by_role("tab", name="Positions").click()
    row = page.locator(".drift-row[data-child=child1]")
    await expect(row).to_have_attribute("data-state", "look")
    await expect(row).to_contain_text("held back by a limit")
    await expect(page.locator(".drift-row[data-child=child2]")).to_have_attribute("data-state", "even")
    await expect(page.locator("#dock-positions .count")).to_have_text("1")
    await row.get_by_role("button", name="Copy the missing part of BTCUSDT on child1 now").click()
    await expect(dialog).to_contain_text("This is sent at once (1 request), and nothing else:")
    await expect(dialog.locator(".send")).to_contain_text("BUY 1 BTCUSDT market")
    await confirm(page)
    await expect(row).to_have_attribute("data-state", "even")

    await row.get_by_role("button", name="Flatten Mirror").click()
    await expect(dialog.get_by_role("radio", name="flatten")).to_be_checked()
    await expect(dialog.locator(".send")).to_have_count(2)
    await confirm(page)
    await expect(page.locator(".row-bot .status")).to_have_text("Stopped")
    for child in ("child1", "child2"):
        await expect(page.locator(f".drift-row[data-child={child}] .d-attributed")).to_have_text("0")


async def test_a_child_is_held_to_closing_until_a_time_and_let_go_again(paper_stack: Stack, page: Page) -> None:
    await ready(page, paper_stack)
    await start_bot(page, "Mirror")
    dialog = page.get_by_role("dialog")

    async def decide(state: str, *, until: str, why: str) -> None:
        await page.get_by_role("button", name="Settings of Mirror").click()
        await dialog.get_by_role("tab", name="What may be traded").click()
        await dialog.get_by_label("On which child").select_option("child1")
        await dialog.get_by_label("It may trade").select_option(state)
        await dialog.get_by_label("Until", exact=True).select_option(until)
        await dialog.get_by_label("Why").fill(why)
        await dialog.get_by_role("button", name="Set now").click()
        await expect(dialog.locator(".limit-row[data-child=child1]")).to_have_attribute("data-state", state)
        await expect(dialog.locator(".limit-row[data-child=child2]")).to_have_attribute("data-state", "all")

    await decide("close_only", until="1", why="news at two")
    row = dialog.locator(".limit-row[data-child=child1]")
    await expect(row).to_contain_text("panelnews at two")
    await expect(row.locator(".l-until")).to_have_text(re.compile(r"\d\d:\d\d$"))
    await page.keyboard.press("Escape")
    await buy(page, "2")
    await page.get_by_role("tab", name="Positions").click()
    drift = page.locator(".drift-row[data-child=child1]")
    await expect(page.locator(".drift-row[data-child=child2]")).to_have_attribute("data-state", "even")
    await expect(drift.locator(".d-attributed")).to_have_text("0")
    await decide("all", until="good", why="")


async def test_a_plan_that_moved_is_refused_and_shown_again(paper_stack: Stack, page: Page, watched: Watched) -> None:
    watched.allowed = ("409",)
    await ready(page, paper_stack)
    await buy(page, "0.2")
    await page.get_by_role("button", name="Start Mirror").click()
    dialog = page.get_by_role("dialog")
    await dialog.get_by_role("radio", name="copy now").check()
    await expect(dialog.locator(".send").first).to_contain_text("BUY 0.1 BTCUSDT market")
    terms = {"symbol": "BTCUSDT", "side": "buy", "type": "market", "quantity": "0.2"}
    assert await page.evaluate(PLACE, terms) == "accepted"  # meanwhile the parent buys more
    await dialog.locator("[data-act=confirm]:enabled").click()
    await expect(dialog.get_by_role("alert")).to_contain_text("has changed since it was shown")
    await expect(dialog.locator(".send").first).to_contain_text("BUY 0.2 BTCUSDT market")
    await confirm(page)
    await expect(page.locator(".row-bot .status")).to_have_text("Working")


PLACE = """
async (terms) => {
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(terms) };
  return (await (await fetch("/api/v1/accounts/parent/orders", options)).json()).outcome.type;
}
"""


async def test_a_row_of_the_log_tells_the_story_and_the_log_can_be_taken_away(
    paper_stack: Stack, page: Page, tmp_path: Path
) -> None:
    await ready(page, paper_stack)
    await start_bot(page, "Mirror")
    await buy(page, "2")
    log, dialog = page.locator("#log"), page.get_by_role("dialog")
    await log.locator("[data-kind=copy]").filter(has_text="child2").click()
    await expect(dialog.get_by_role("tab", name="child2")).to_have_attribute("aria-selected", "true")
    for words in ("Its equity", "the parent's", "ratio 1", "was asked for", "answered in", "Difference"):
        await expect(dialog).to_contain_text(words)
    await dialog.get_by_role("tab", name="child1").click()
    await expect(dialog).to_contain_text("Multiplier: ratio 0.5")
    await expect(dialog.locator(".fall-line[data-outcome=accepted]")).to_have_count(1)
    await dismiss(page)

    await expect(log.get_by_label("follow")).not_to_be_checked()
    await log.get_by_label("Only this account").select_option("child1")
    await log.get_by_label("Only this kind of event").select_option("copy")
    await expect(log).to_have_attribute("data-rows", "1")
    await page.locator(".log-scroll").focus()
    await page.keyboard.press("ArrowDown")
    await page.keyboard.press("Enter")
    await expect(dialog).to_contain_text("Story of a copy")
    await dismiss(page)
    await log.get_by_label("Only this kind of event").select_option("")
    await expect(log).not_to_have_attribute("data-rows", "1")
    shown = int(await log.get_attribute("data-rows") or 0)
    async with page.expect_download() as csv_file:
        await log.get_by_role("button", name="as CSV").click()
    await (await csv_file.value).save_as(tmp_path / "log.csv")
    with (tmp_path / "log.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    async with page.expect_download() as lines_file:
        await log.get_by_role("button", name="as JSON Lines").click()
    await (await lines_file.value).save_as(tmp_path / "log.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert len(rows) == len(lines) == shown
    assert {row["account"] for row in rows} == {line["account"] for line in lines} == {"child1"}
    assert [row["text"] for row in rows] == [line["text"] for line in lines]


async def test_a_line_can_be_taken_and_the_children_follow(paper_stack: Stack, page: Page) -> None:
    await ready(page, paper_stack)
    await start_bot(page, "Mirror")
    parent, child = page.locator("[data-role=parent] .canvas"), page.locator("[data-role=child] .canvas")
    ticket = page.locator("#ticket")
    shown = page.locator("[data-role=parent] .price")
    await expect(shown).to_have_text(re.compile(r"\d"))
    price = f"{float(await shown.inner_text()) - 20:.0f}"
    await ticket.get_by_label("Quantity").fill("0.02")
    await ticket.get_by_label("Price", exact=True).fill(price)
    await ticket.locator("button.submit").click()
    await expect(child).to_have_attribute("data-line-titles", f"BUY LMT 0.01 @ {price}")
    box = await parent.bounding_box()
    assert box is not None
    y = await page.evaluate("() => Number(document.querySelector('[data-role=parent] .canvas').dataset.orderY)")
    await page.mouse.move(box["x"] + 200, box["y"] + y)
    await page.mouse.down()
    await page.mouse.move(box["x"] + 200, box["y"] + y + 30, steps=4)
    await expect(page.locator("[data-role=parent] .ghost")).to_be_visible()
    await page.mouse.up()
    await expect(parent).not_to_have_attribute("data-line-titles", f"BUY LMT 0.02 @ {price}")
    moved = (await parent.get_attribute("data-line-titles") or "").rpartition("@ ")[2]
    assert float(moved) < float(price)
    await expect(child).to_have_attribute("data-line-titles", f"BUY LMT 0.01 @ {moved}")
    await ticket.get_by_title("Give it another price").click()  # and the same by keyboard
    await page.keyboard.type(price)
    await page.keyboard.press("Enter")
    await expect(child).to_have_attribute("data-line-titles", f"BUY LMT 0.01 @ {price}")


async def test_connections_tell_how_they_are_and_are_made_anew(paper_stack: Stack, page: Page) -> None:
    await ready(page, paper_stack)
    await page.keyboard.press("c")
    dialog = page.get_by_role("dialog")
    row = dialog.locator("[data-connection=child1]")
    await expect(row).to_have_attribute("data-state", "connected")
    for words in ("REHEARSAL", "Round trip", "Clock", "Requests", "Asked to pause", "never", "Key may"):
        await expect(row).to_contain_text(words)
    await row.get_by_role("button", name="Reconnect child1").click()
    await expect(page.locator("#log .l-text").filter(has_text="child1 is connected anew, as asked")).to_have_count(1)
    await expect(row).to_have_attribute("data-state", "connected")
    await dismiss(page)
    await page.keyboard.press("?")
    await expect(dialog).to_contain_text("Kill switch")


async def test_a_viewer_sees_everything_and_is_offered_nothing(paper_stack: Stack, page: Page) -> None:
    await ready(page, paper_stack)
    await page.get_by_role("button", name="An address to look").click()
    field = page.get_by_role("dialog").get_by_role("textbox")
    await expect(field).to_have_value(re.compile("token="))
    browser = page.context.browser
    assert browser is not None
    other = await browser.new_context()
    try:
        seen = await other.new_page()
        await seen.goto(await field.input_value())
        await expect(seen.locator(".row-bot[data-bot=Mirror]")).to_be_visible()
        await expect(seen.locator(".tag.viewer")).to_be_visible()
        for name in ("Start Mirror", "Delete Mirror", "New bot", "Kill switch"):
            await expect(seen.get_by_role("button", name=name)).to_have_count(0)
        await expect(seen.locator("#ticket")).to_be_hidden()
    finally:
        await other.close()


@pytest.mark.timeout(300)  # it starts a whole demo
async def test_the_first_run_explains_itself_and_offers_a_rehearsal_that_leaves_nothing_behind(
    start: Start, tmp_path: Path, page: Page
) -> None:
    (tmp_path / "copydesk.toml").write_text("")
    engine = await start(str(SCRIPTS / "copydesk"), "--data", str(tmp_path), "run", "--json")
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    panel = await start_panel(start, tmp_path, accepted=False, environment={"TMPDIR": str(scratch)})
    stack = Stack(tmp_path, engine, panel, start)
    await page.goto(stack.url)
    dialog = page.get_by_role("dialog")
    await expect(dialog).to_contain_text("without any warranty")
    await page.keyboard.press("Escape")
    await expect(dialog.get_by_role("button", name="Go on")).to_be_disabled()
    await dialog.get_by_role("checkbox", name="I have read this").check()
    await dialog.get_by_role("button", name="Go on").click()
    await expect(dialog).to_be_hidden()
    welcome = page.locator("#welcome")
    await expect(welcome).to_contain_text("copydesk secrets set parent key")
    await expect(welcome).to_contain_text("no money is needed")
    await page.reload()
    await expect(welcome).to_be_visible()
    await expect(dialog).to_be_hidden()

    await expect(welcome.get_by_label("What to rehearse")).to_have_value("binance-futures")
    await welcome.get_by_role("button", name="Start a rehearsal").click()
    await expect(welcome).to_be_hidden(timeout=120_000)
    await expect(page.locator(".row-bot .status")).to_have_text("Working")
    await expect(page.locator("#header")).to_contain_text("REHEARSAL · no real money")
    await expect(page.locator("#ticket")).to_be_visible()
    assert list(scratch.glob("copydesk-demo-*"))
    await expect(page.locator("#log [data-kind=copy]").first).to_be_visible(timeout=60_000)
    await page.get_by_role("button", name="End the rehearsal").click()
    await confirm(page)
    await expect(welcome).to_be_visible()
    await expect(page.get_by_role("button", name="End the rehearsal")).to_be_hidden()
    await expect(page.locator(".row-bot")).to_have_count(0)
    assert not list(scratch.glob("copydesk-demo-*"))
