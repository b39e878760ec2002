"""New bot, settings, delete, stop all: what may be chosen, what is refused, and that nothing typed is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from playwright.async_api import Locator, Page, expect

from .conftest import Stack, Watched, dismiss, start_bot

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.xdist_group("browser")]
NewStack = Callable[..., Awaitable[Stack]]


async def offered(select: Locator) -> list[str]:
    values: list[str] = await select.locator("option").evaluate_all("options => options.map(option => option.value)")
    return [value for value in values if value]


async def test_pickers_offer_only_what_may_be_copied_to(stack: Stack, page: Page) -> None:
    await page.goto(stack.url)
    await page.get_by_role("button", name="New bot").first.click()
    dialog = page.get_by_role("dialog")
    first = dialog.get_by_label("Child account 1: Account")
    await expect(first).to_be_disabled()
    assert await offered(dialog.get_by_label("Parent account")) == ["main", "eval-1", "eval-2", "eval-3", "desk", "desk-2"]
    await dialog.get_by_label("Parent account").select_option("desk")
    assert await offered(first) == ["desk-2"]
    await expect(dialog.get_by_role("button", name="Add child")).to_be_disabled()
    await dialog.get_by_label("Parent account").select_option("main")
    await first.select_option("eval-1")
    await dialog.get_by_role("button", name="Add child").click()
    second = dialog.get_by_label("Child account 2: Account")
    assert await offered(second) == ["eval-2", "eval-3"]
    await second.select_option("eval-3")
    assert await offered(first) == ["eval-1", "eval-2"]
    await dialog.get_by_role("button", name="Remove child 1").click()
    assert await first.input_value() == "eval-3"
    await expect(dialog.get_by_role("button", name="Remove child 1")).to_be_disabled()


async def test_what_is_refused_is_said_and_nothing_typed_is_lost(stack: Stack, page: Page, watched: Watched) -> None:
    watched.allowed = ("422", "409")
    await page.goto(stack.url)
    await page.get_by_role("button", name="New bot").first.click()
    dialog = page.get_by_role("dialog")
    alert = dialog.get_by_role("alert")
    create = dialog.get_by_role("button", name="Create bot")
    await create.click()
    await expect(alert).to_have_text("Give the bot a name.")
    await dialog.get_by_label("Bot name").fill("Mirror")
    await create.click()
    await expect(alert).to_have_text("Choose the parent account.")
    await dialog.get_by_label("Parent account").select_option("main")
    await create.click()
    await expect(alert).to_have_text("Choose the account of child 1.")
    await dialog.get_by_label("Child account 1: Account").select_option("eval-1")
    value = dialog.get_by_label("Child account 1: Value")
    await value.fill("a half")
    await create.click()
    await expect(alert).to_contain_text('The value of child 1 is "a half"')
    await value.fill("0")
    await create.click()
    await expect(alert).to_contain_text("multiplier K must be a decimal other than 0")
    assert await value.input_value() == "0"
    assert await dialog.get_by_label("Bot name").input_value() == "Mirror"
    await value.fill("-1")
    await expect(dialog).to_contain_text("Below zero: this child trades the other way round.")
    await create.click()
    await expect(dialog).to_be_hidden()
    await expect(page.locator(".row-bot .c-children")).to_contain_text("eval-1")
    await page.get_by_role("button", name="New bot").first.click()
    await dialog.get_by_label("Bot name").fill("Mirror")
    await dialog.get_by_label("Parent account").select_option("main")
    await dialog.get_by_label("Child account 1: Account").select_option("eval-1")
    await create.click()
    await expect(alert).to_contain_text("a bot 'Mirror' is there already")


async def test_settings_change_what_they_show_and_keep_the_rest(new_stack: NewStack, page: Page) -> None:
    stack = await new_stack("--bots", "1")
    await page.goto(stack.url)
    await page.get_by_role("button", name="Settings of Desk A 01").click()
    dialog = page.get_by_role("dialog")
    assert await dialog.get_by_label("Bot name").input_value() == "Desk A 01"
    assert await dialog.get_by_label("Child account 3: Quantity mode").input_value() == "percentage"
    await dialog.get_by_label("Child account 1: Value").fill("0.25")
    await dialog.get_by_role("button", name="Remove child 2").click()
    await dialog.get_by_role("button", name="Save").click()
    await expect(dialog).to_be_hidden()
    rows = page.locator(".row-child")
    await expect(rows).to_have_count(2)
    await expect(rows.first).to_contain_text("Multiplier × 0.25")
    stored = await page.evaluate("fetch('/api/v1/bots').then(answer => answer.json())")
    assert [child["account"] for child in stored[0]["children"]] == ["eval-1", "eval-3"]
    assert stored[0]["children"][0]["rounding"] == "floor"


async def test_delete_tells_what_becomes_of_the_children_and_the_kill_switch_wants_its_word(
    new_stack: NewStack, page: Page
) -> None:
    stack = await new_stack("--bots", "3")
    await page.goto(stack.url)
    for number in (1, 2):
        await start_bot(page, f"Desk A 0{number}")
    await expect(page.locator(".status.working")).to_have_count(2)
    dialog = page.get_by_role("dialog")
    await page.get_by_role("button", name="Delete Desk A 01").click()
    await expect(dialog).to_contain_text("It is working now and is stopped first.")
    await expect(dialog).to_contain_text("Everything stays at the venue as it is")
    await expect(dialog).to_contain_text("Nothing is sent now.")
    await dismiss(page)
    await expect(page.locator(".row-bot")).to_have_count(3)
    await page.get_by_role("button", name="Kill switch").click()
    await expect(dialog).to_contain_text("2 bots are working")
    stop = dialog.get_by_role("button", name="Stop everything")
    await expect(stop).to_be_disabled()
    await dialog.get_by_label("Type STOP to confirm").fill("stop it")
    await expect(stop).to_be_disabled()
    await dialog.get_by_label("Type STOP to confirm").fill("stop")
    await page.keyboard.press("Enter")
    await expect(dialog.get_by_role("status")).to_contain_text("2 bots stopped")
    await expect(page.locator(".status.working")).to_have_count(0)


async def test_a_key_that_may_withdraw_is_warned_of(stack: Stack, page: Page) -> None:
    await page.goto(stack.url)
    await page.get_by_role("button", name="Connections").click()
    dialog = page.get_by_role("dialog")
    await expect(dialog.locator("[data-connection=desk] .link-message")).to_contain_text("may WITHDRAW")
    await expect(dialog.locator("[data-connection=main]")).to_contain_text("withdraw (read)")
    await expect(dialog.locator(".link-message.danger")).to_have_count(1)


async def test_the_ticket_is_there_only_on_rehearsal_connections(stack: Stack, page: Page) -> None:
    await page.goto(stack.url)
    for name, parent, child in (("Practice", "main", "eval-1"), ("Real", "desk", "desk-2")):
        await page.get_by_role("button", name="New bot").first.click()
        dialog = page.get_by_role("dialog")
        await dialog.get_by_label("Bot name").fill(name)
        await dialog.get_by_label("Parent account").select_option(parent)
        await dialog.get_by_label("Child account 1: Account").select_option(child)
        await dialog.get_by_role("button", name="Create bot").click()
        await expect(page.locator(f".row-bot.chosen[data-bot={name}]")).to_be_visible()
    ticket = page.locator("#ticket")
    await expect(ticket).to_be_hidden()
    await page.get_by_role("button", name="Practice", exact=True).click()
    await expect(ticket).to_be_visible()
    await expect(page.locator("[data-role=parent] .badge")).to_be_visible()
