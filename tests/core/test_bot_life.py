"""Starting and stopping through the control API, on a running engine with the embedded exchange."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest
from copydesk.bots import BotStore
from copydesk.client import AsyncControlClient
from copydesk.config import BotSettings, ChildSettings, Config
from copydesk.control import serve
from copydesk.engine import Engine
from copydesk.errors import Conflict, UsageError
from copydesk.journal import Journal
from copydesk.livedesk import LiveDesk
from copydesk.model import Accepted, LeverageChange, OrderType, Side, Terms
from copydesk.plans import StartOrder, StopOrder
from copydesk.secrets import SealedFile

D = Decimal
SYMBOL = "BTCUSDT"
PATIENCE_S = 15.0


@dataclass
class Bench:
    engine: Engine
    store: BotStore
    client: AsyncControlClient

    async def until(self, what: Callable[[], bool]) -> None:
        happened = asyncio.Event()
        stop = self.engine.events.listen(lambda _: happened.set())
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not what():
                    happened.clear()
                    await happened.wait()
        finally:
            stop()

    async def trade(self, account: str, side: Side, quantity: str) -> None:
        terms = Terms(symbol=SYMBOL, side=side, type=OrderType.MARKET, quantity=D(quantity))
        outcome = await self.client.place(account, terms)
        assert isinstance(outcome.outcome, Accepted), outcome

    def held(self, account: str) -> Decimal:
        positions = self.engine.boards[account].positions.values() if account in self.engine.boards else ()
        return sum((p.quantity for p in positions if p.symbol == SYMBOL), D(0))

    async def add(self, **more: object) -> BotSettings:
        child = {"account": "child", "mode": "multiplier", "value": "0.5", **more.pop("child", {})}  # type: ignore[dict-item]
        table = {"name": "bot", "parent": "parent", "children": [ChildSettings.model_validate(child)], **more}
        return await self.client.add_bot(BotSettings.model_validate(table))


@pytest.fixture
def options() -> dict[str, dict[str, str]]:
    return {"parent": {}, "child": {}}


@pytest.fixture
async def bench(tmp_path: Path, options: dict[str, dict[str, str]]) -> AsyncIterator[Bench]:
    connections = {
        name: {"kind": "paper", "account": f"{tmp_path.name}-{name}", "cash": "1000000", **more}
        for name, more in options.items()
    }
    config = Config.model_validate({"connections": connections})
    async with AsyncExitStack() as stack:
        journal = stack.enter_context(Journal.open(tmp_path / "journal.db"))
        store = BotStore.load(tmp_path)
        engine = Engine(config, store, journal, SealedFile(tmp_path, lambda: ""))
        stack.push_async_callback(engine.stop)
        await engine.start()
        desk = LiveDesk(engine, config, store)
        desk.start()
        running = await serve(desk, host="127.0.0.1", port=0, token="a token")
        stack.push_async_callback(running.stop)
        client = await stack.enter_async_context(AsyncControlClient(running.url, "a token"))
        for connection in engine.connections.values():
            await connection.until_up(PATIENCE_S)
        yield Bench(engine, store, client)


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
    with pytest.raises(Conflict, match=r"1 position\(s\) to close\) has to be confirmed"):
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
