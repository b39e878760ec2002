"""Starting and stopping through the control API, on a running engine with the embedded exchange."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from copydesk.bots import BotStore
from copydesk.cli import main
from copydesk.errors import Conflict, UsageError
from copydesk.model import Accepted, LeverageChange, Side
from copydesk.plans import StartOrder, StopOrder
from harness.livedesk import SYMBOL, Bench, running_bench

D = Decimal


@pytest.fixture
def options() -> dict[str, dict[str, str]]:
    return {"parent": {}, "child": {}}


@pytest.fixture
async def bench(tmp_path: Path, options: dict[str, dict[str, str]]) -> AsyncIterator[Bench]:
    async with running_bench(tmp_path, options) as bench:
        yield bench


async def test_a_start_that_sends_is_confirmed_by_the_digest_of_what_was_shown(bench: Bench) -> None:
    await bench.add()
    await bench.trade("parent", Side.BUY, "2")
    plan = await bench.client.plan_start("bot", StartOrder(policy="copy_now"))
    assert [(send.account, send.terms.quantity) for send in plan.sends] == [("child", D(1))]
    with pytest.raises(Conflict, match="has to be confirmed first"):
        await bench.client.start_bot("bot", StartOrder(policy="copy_now"))
    await bench.trade("parent", Side.BUY, "2")
    with pytest.raises(Conflict, match="has changed since it was shown"):
        await bench.client.start_bot("bot", StartOrder(policy="copy_now", digest=plan.digest))
    assert bench.held("child") == 0
    assert not bench.store.get("bot").working
    plan = await bench.client.plan_start("bot", StartOrder(policy="copy_now"))
    assert (await bench.client.start_bot("bot", StartOrder(policy="copy_now", digest=plan.digest))).working
    await bench.until(lambda: bench.held("child") == 2)


async def test_a_start_under_ignore_needs_no_confirmation_and_sends_nothing(bench: Bench) -> None:
    await bench.add()
    await bench.trade("parent", Side.BUY, "2")
    assert (await bench.client.plan_start("bot")).sends == ()
    assert (await bench.client.start_bot("bot")).working
    await bench.trade("parent", Side.BUY, "1")
    await bench.until(lambda: bench.held("child") == D("0.5"))


async def test_wrong_policies_are_refused_in_words(bench: Bench) -> None:
    await bench.add()
    with pytest.raises(UsageError, match="there is no start policy 'all'"):
        await bench.client.start_bot("bot", StartOrder(policy="all"))
    with pytest.raises(UsageError, match="there is no stop policy 'now'"):
        await bench.client.stop_bot("bot", StopOrder(policy="now"))


async def test_a_flatten_is_confirmed_and_closes_what_was_copied(bench: Bench) -> None:
    await bench.add()
    await bench.client.start_bot("bot")
    await bench.trade("parent", Side.BUY, "2")
    await bench.until(lambda: bench.held("child") == 1)
    with pytest.raises(Conflict, match=r"1 position to close\) has to be confirmed"):
        await bench.client.stop_bot("bot", StopOrder(policy="flatten"))
    assert bench.store.get("bot").working
    plan = await bench.client.plan_stop("bot", StopOrder(policy="flatten"))
    assert not (await bench.client.stop_bot("bot", StopOrder(policy="flatten", digest=plan.digest))).working
    await bench.until(lambda: bench.held("child") == 0)


async def test_what_was_left_can_be_flattened_later(bench: Bench) -> None:
    await bench.add()
    await bench.client.start_bot("bot")
    await bench.trade("parent", Side.BUY, "2")
    await bench.until(lambda: bench.held("child") == 1)
    await bench.client.stop_bot("bot")
    plan = await bench.client.plan_stop("bot", StopOrder(policy="flatten"))
    await bench.client.stop_bot("bot", StopOrder(policy="flatten", digest=plan.digest))
    await bench.until(lambda: bench.held("child") == 0)


async def test_a_bot_that_is_wound_down_is_stored_as_stopped_once_it_is_flat(bench: Bench) -> None:
    await bench.add(stop="wind_down")
    await bench.client.start_bot("bot")
    await bench.trade("parent", Side.BUY, "2")
    await bench.until(lambda: bench.held("child") == 1)
    assert (await bench.client.stop_bot("bot")).working
    await bench.trade("parent", Side.SELL, "2")
    await bench.until(lambda: bench.held("child") == 0)
    await bench.until(lambda: not bench.store.get("bot").working)


# --- modes and leverage -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"parent": {"hedge_mode": "true"}, "child": {}}])
async def test_another_position_mode_refuses_the_start(bench: Bench) -> None:
    await bench.add()
    plan = await bench.client.plan_start("bot")
    assert "parent is in hedge mode and child in one-way mode" in plan.refusals[0]
    with pytest.raises(Conflict, match="cannot be started"):
        await bench.client.start_bot("bot")
    assert not bench.store.get("bot").working


async def test_a_child_cannot_mirror_where_nothing_can_be_sold_short(bench: Bench) -> None:
    await bench.add(child={"value": D(-1)})
    plan = await bench.client.plan_start("bot")
    assert not plan.refusals
    connection = bench.engine.connections["child"]
    spot = msgspec.structs.replace(connection.info.capabilities, shorts=False)
    connection.info = msgspec.structs.replace(connection.info, capabilities=spot)
    plan = await bench.client.plan_start("bot")
    assert "nothing can be sold short" in plan.refusals[0]


async def leverage_of(bench: Bench, account: str) -> Decimal:
    snapshot = await bench.engine.connections[account].snapshot(account, whole=True, symbols=(SYMBOL,))
    return next(margin.leverage for margin in snapshot.margins if margin.symbol == SYMBOL)


async def set_leverage(bench: Bench, account: str, leverage: str) -> None:
    venue = bench.engine.connections[account].venue
    assert venue is not None
    assert isinstance(await venue.set_leverage(LeverageChange(symbol=SYMBOL, leverage=D(leverage))), Accepted)


@pytest.mark.parametrize(("policy", "value", "becomes"), [("match_parent", None, "7"), ("fixed", "3", "3")])
async def test_leverage_is_set_after_it_was_confirmed(bench: Bench, policy: str, value: str | None, becomes: str) -> None:
    await bench.add(child={"leverage": policy, "leverage_value": value})
    await set_leverage(bench, "parent", "7")
    await bench.trade("parent", Side.BUY, "0.2")
    plan = await bench.client.plan_start("bot")
    assert [(change.symbol, change.leverage) for change in plan.children[0].leverage] == [(SYMBOL, D(becomes))]
    with pytest.raises(Conflict, match="has to be confirmed first"):
        await bench.client.start_bot("bot")
    await bench.client.start_bot("bot", StartOrder(digest=plan.digest))
    assert await leverage_of(bench, "child") == D(becomes)


async def test_leverage_is_left_alone_on_an_account_that_is_not_flat(bench: Bench) -> None:
    await bench.add(child={"leverage": "match_parent"})
    await set_leverage(bench, "parent", "7")
    await bench.trade("parent", Side.BUY, "0.2")
    await bench.trade("child", Side.BUY, "0.1")
    before = await leverage_of(bench, "child")
    plan = await bench.client.plan_start("bot")
    assert any("the account is not flat" in warning for warning in plan.warnings)
    await bench.client.start_bot("bot")
    assert await leverage_of(bench, "child") == before


async def test_another_leverage_is_pointed_out(bench: Bench) -> None:
    await bench.add()
    await set_leverage(bench, "parent", "7")
    await bench.trade("parent", Side.BUY, "0.2")
    assert any("has leverage" in warning for warning in (await bench.client.plan_start("bot")).warnings)


async def test_a_preview_is_made_of_bots_that_are_saved_and_that_are_not(bench: Bench) -> None:
    bot = await bench.add(child={"value": "0.01"})
    await bench.trade("parent", Side.BUY, "2")
    await bench.trade("parent", Side.BUY, "0.01")
    for found in (await bench.client.preview("bot"), await bench.client.preview(bot.model_copy(update={"name": "new"}))):
        (child,) = found.children
        assert [trade.quantity for trade in found.trades] == [D(2), D("0.01")]
        assert [skipped.trade.quantity for skipped in child.skipped] == [D("0.01")]
        assert child.symbols[0].symbol == SYMBOL
    assert len((await bench.client.preview("bot", last=1)).trades) == 1


# --- the command line -------------------------------------------------------------------------------------------------


Words = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def words(bench: Bench, capsys: pytest.CaptureFixture[str]) -> Words:
    """Runs a command beside the engine: its status and what it wrote."""

    async def run(*given: str) -> tuple[int, str, str]:
        capsys.readouterr()
        status = await asyncio.to_thread(main, ["--data", str(bench.folder), *given])
        return status, *capsys.readouterr()

    return run


async def test_the_command_line_shows_plans_and_does_them_with_yes(bench: Bench, words: Words) -> None:
    await bench.add()
    await bench.trade("parent", Side.BUY, "2")
    status, out, _ = await words("bots", "start", "bot", "--policy", "copy_now", "--plan")
    assert status == 0
    assert "child" in out
    assert "BUY 1 BTCUSDT market" in out
    status, _, err = await words("bots", "start", "bot", "--policy", "copy_now")
    assert (status, err) == (1, "Nothing was done. Give --yes to do this.\n")
    assert not bench.store.get("bot").working
    status, out, _ = await words("bots", "start", "bot", "--policy", "copy_now", "--yes")
    assert status == 0
    assert "Started bot." in out
    await bench.until(lambda: bench.held("child") == 1)
    status, out, _ = await words("bots", "stop", "bot", "--policy", "flatten", "--plan", "--json")
    plan = json.loads(out)
    assert [send["what"] for send in plan["children"][0]["sends"]] == ["place"]
    assert (await words("bots", "stop", "bot", "--policy", "flatten"))[0] == 1
    assert (await words("bots", "stop", "bot", "--policy", "flatten", "--yes"))[0] == 0
    await bench.until(lambda: bench.held("child") == 0)


async def test_what_sends_nothing_is_done_without_yes(bench: Bench, words: Words) -> None:
    await bench.add()
    await bench.trade("parent", Side.BUY, "2")
    status, out, _ = await words("bots", "start", "bot", "--plan")
    assert status == 0
    assert "it is the baseline" in out
    assert (await words("bots", "start", "bot"))[:2] == (0, "Started bot.\n")
    assert (await words("bots", "start", "bot"))[:2] == (0, "bot works already.\n")
    status, _, err = await words("bots", "start", "bot", "--policy", "copy_now", "--yes")
    assert (status, "stop it first" in err) == (2, True)
    assert (await words("bots", "stop", "bot"))[:2] == (0, "Stopped bot.\n")


async def test_settings_of_the_bot_itself_are_set_and_shown(bench: Bench, words: Words) -> None:
    await bench.add()
    done = await words("bots", "settings", "bot", "--set", "stop=wind_down", "--set", "parent_silent.after_s=60")
    assert done[0] == 0
    assert "stop=wind_down" in done[1]
    assert "parent_silent.after_s=60, parent_silent.action=cancel_child_entries" in done[1]
    bot = bench.store.get("bot")
    assert (bot.stop, bot.parent_silent.after_s) == ("wind_down", D(60))
    assert (await words("bots", "settings", "bot", "--set", "stop"))[0] == 2
    assert (await words("bots", "settings", "bot", "--set", "start.policy=everything"))[0] == 2


async def test_a_preview_in_words_and_as_json(bench: Bench, words: Words) -> None:
    await bench.add(child={"value": "0.01"})
    await bench.trade("parent", Side.BUY, "0.01")
    status, out, _ = await words("bots", "preview", "bot")
    assert status == 0
    assert "would have skipped 1 of 1" in out
    status, out, _ = await words("bots", "preview", "bot", "--last", "5", "--json")
    assert (status, json.loads(out)["bot"]) == (0, "bot")


def test_without_an_engine_only_what_sends_nothing_can_be_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "copydesk.toml").write_text('[connections.a]\nkind = "paper"\n[connections.b]\nkind = "paper"\n')
    here = ["--data", str(tmp_path), "bots"]
    assert main([*here, "add", "bot", "--parent", "a", "--child", "b=x1"]) == 0
    for refused in (["start", "bot", "--policy", "copy_now", "--yes"], ["stop", "bot", "--policy", "flatten", "--yes"]):
        assert main([*here, *refused]) == 2
        assert "no engine runs" in capsys.readouterr().err
    assert main([*here, "start", "bot", "--plan"]) == 2
    assert main([*here, "preview", "bot"]) == 2
    assert main([*here, "start", "bot"]) == 0
    assert BotStore.load(tmp_path).get("bot").working
    assert main([*here, "stop", "bot"]) == 0


@pytest.mark.parametrize("options", [{"parent": {}, "child": {"cash": "100"}}])
async def test_tickets_are_listed_sent_and_dismissed_from_the_command_line(bench: Bench, words: Words) -> None:
    await bench.add()
    await bench.client.start_bot("bot", StartOrder())
    assert await words("tickets", "list") == (0, "No ticket waits to be sent.\n", "")
    await bench.trade("parent", Side.BUY, "2")
    await bench.until(lambda: "t1" in bench.engine.state.tickets)
    status, out, _ = await words("tickets", "list")
    assert status == 0
    assert all(word in out for word in ("t1", "bot", "child", "BUY 1 BTCUSDT market", "in 29", "refused"))
    status, out, _ = await words("tickets", "send", "t1", "--actor", "ann")
    assert (status, out) == (0, "Sent t1 to child: BUY 1 BTCUSDT market. What becomes of it is in the log.\n")
    await bench.until(lambda: "t2" in bench.engine.state.tickets)  # there is as little margin as before
    status, _, err = await words("tickets", "send", "t1")
    assert (status != 0, "ticket t1 was sent already" in err) == (True, True)
    assert (await words("tickets", "dismiss", "t2"))[:2] == (0, "Dismissed t2.\n")
    assert await words("tickets", "list") == (0, "No ticket waits to be sent.\n", "")
    assert "is dismissed already" in (await words("tickets", "dismiss", "t2"))[2]
    assert "there is no ticket 't9'" in (await words("tickets", "send", "t9"))[2]
    found = json.loads((await words("tickets", "list", "--all", "--json"))[1])
    assert [(one["id"], one["status"]) for one in found] == [("t1", "sent"), ("t2", "dismissed")]
