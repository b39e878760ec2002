"""What a person does against the usual course, on a running engine with the embedded exchange: and how it is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
from copydesk.errors import Conflict, UnknownName, UsageError
from copydesk.inputs import LimitSet
from copydesk.model import OrderType, Side, Terms
from copydesk.plans import KillOrder, MissingOrder, StartOrder
from copydesk.policies import policies, unworded
from copydesk.story import ChildStory
from copydesk.view import ConnectionState, LogQuery
from harness.livedesk import SYMBOL, Bench, running_bench

D = Decimal


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with running_bench(tmp_path) as bench:
        yield bench


def test_every_setting_and_every_choice_has_words() -> None:
    assert unworded() == (), "add words for them in policies.py"
    named = {policy.name for policy in policies()}
    assert {"rounding", "limits.max_order", "unfilled_entry.action", "stop"} <= named


async def limited(bench: Bench, state: str) -> None:
    bench.engine.feed(LimitSet(at_ns=1, account="child", state=state))


async def test_nothing_is_opened_where_nothing_may_be(bench: Bench) -> None:
    await bench.add()
    await bench.client.start_bot("bot")
    await limited(bench, "close_only")
    await bench.trade("parent", Side.BUY, "2")
    await bench.until(lambda: any(view.difference for view in bench.desk.drift_views()))
    order = MissingOrder(child="child", symbol=SYMBOL)
    plan = await bench.client.plan_missing("bot", order)
    assert plan.refusals == ("child is close_only: nothing is opened there until that is lifted",)
    with pytest.raises(Conflict, match="close_only"):
        await bench.client.copy_missing("bot", order)


async def test_what_is_missing_is_copied_now_once_its_plan_was_confirmed(bench: Bench) -> None:
    """The entry was over a limit: it is not copied by itself any more, but a person may want it."""
    await bench.add(child={"limits": {"max_order": "0.4"}})
    await bench.client.start_bot("bot")
    await bench.trade("parent", Side.BUY, "2")
    await bench.until(lambda: any(view.difference == 1 for view in bench.desk.drift_views()))
    order = MissingOrder(child="child", symbol=SYMBOL)
    plan = await bench.client.plan_missing("bot", order)
    assert [(send.what, send.terms.quantity) for send in plan.sends] == [("place", D(1))]
    with pytest.raises(Conflict, match="has to be confirmed first"):
        await bench.client.copy_missing("bot", order)
    assert bench.held("child") == 0
    await bench.client.copy_missing("bot", MissingOrder(child="child", symbol=SYMBOL, digest=plan.digest))
    await bench.until(lambda: bench.held("child") == 1)
    await bench.until(lambda: not any(view.difference for view in bench.desk.drift_views()))
    assert (await bench.client.plan_missing("bot", order)).refusals == (
        "nothing is missing in BTCUSDT on child: it holds what it should",
    )
    await bench.trade("parent", Side.SELL, "2")
    await bench.until(lambda: bench.held("child") == 0)


async def test_a_connection_is_made_anew_and_its_child_followed_again(bench: Bench) -> None:
    await bench.add()
    await bench.client.start_bot("bot")
    before = bench.engine.connections["child"].venue
    await bench.client.reconnect("child")
    await bench.until(lambda: bench.engine.connections["child"].venue not in (None, before))
    await bench.until(lambda: bench.engine.connections["child"].state is ConnectionState.CONNECTED)
    await bench.trade("parent", Side.BUY, "2")
    await bench.until(lambda: bench.held("child") == 1)


async def test_the_kill_switch_asks_for_its_word_and_stops_everything(bench: Bench) -> None:
    await bench.add()
    await bench.client.start_bot("bot")
    await bench.trade("parent", Side.BUY, "2")
    rests = Terms(symbol=SYMBOL, side=Side.BUY, type=OrderType.LIMIT, quantity=D(2), price=D(20_000))
    await bench.client.place("parent", rests)
    await bench.until(lambda: bench.held("child") == 1)
    await bench.until(lambda: len(bench.engine.boards["child"].orders) == 1)
    with pytest.raises(UsageError, match="'STOP'"):
        await bench.client.kill(KillOrder(policy="flatten"))
    assert bench.store.get("bot").working
    report = await bench.client.kill(KillOrder(policy="flatten", confirm="STOP", actor="trader"))
    assert (report.bots, report.cancels, report.closes, report.away) == (("bot",), 1, 1, ())
    assert not bench.store.get("bot").working
    await bench.until(lambda: bench.held("child") == 0)
    await bench.until(lambda: not bench.engine.boards["child"].orders)


async def test_the_kill_switch_waits_for_no_venue(bench: Bench) -> None:
    """A venue that answers nothing any more: everything is stopped all the same, at once."""
    await bench.add()
    await bench.client.start_bot("bot")
    await bench.trade("parent", Side.BUY, "2")
    await bench.until(lambda: bench.held("child") == 1)
    never = asyncio.Event()
    venue = bench.engine.connections["child"].venue
    assert venue is not None
    place, venue.place = venue.place, lambda order: never.wait()  # type: ignore[assignment, method-assign]
    async with asyncio.timeout(40):
        report = await bench.client.kill(KillOrder(policy="flatten", confirm="STOP"))
    assert report.closes == 1
    assert not bench.engine.state.bots["bot"].working
    venue.place = place  # type: ignore[method-assign]


async def test_the_story_of_a_copy_tells_balances_request_answer_and_price(bench: Bench) -> None:
    await bench.add(child={"mode": "percentage", "value": "50"})
    await bench.client.start_bot("bot", StartOrder())
    await bench.trade("parent", Side.BUY, "2")
    await bench.until(lambda: bench.held("child") == 1)
    lines = await bench.client.log(LogQuery(kind="copy"))
    story = await bench.client.story(lines[0].seq)
    (child,) = story.children
    assert (story.bot, story.parent, child.account) == ("bot", "parent", "child")
    assert story.order is not None
    assert (story.order.terms.quantity, story.filled) == (D(2), D(2))
    assert (child.ratio, child.exact, child.asked, child.filled) == (D("0.5"), D(1), D(1), D(1))
    assert story.balance is not None
    assert (child.own, child.parents) == (D(1_000_000), D(1_000_000))
    (request,) = child.requests
    assert request.outcome == "accepted"
    times = ("received", "decoded", "planned", "journalled", "sent", "answered")
    moments = [getattr(request, f"{name}_ns") for name in times]
    assert moments == sorted(moments)
    assert 0 < moments[0] < moments[-1]
    assert child.ticks is not None
    assert child.difference is not None
    assert child.money == child.difference * child.filled
    assert any(line.kind == "parent" for line in story.lines)
    by_fill = await bench.client.story((await bench.client.log(LogQuery(kind="fill")))[0].seq)
    assert by_fill.parent_order == story.parent_order
    with pytest.raises(UnknownName, match="not part of a copy"):
        await bench.client.story((await bench.client.log(LogQuery(kind="engine")))[0].seq)


async def test_the_story_tells_the_ratio_that_was_used_and_not_what_it_would_be_by_then(bench: Bench) -> None:
    """Balances move while a position is open; its ratio does not. A new position has a new one."""
    await bench.add(child={"mode": "percentage", "value": "100"})
    await bench.client.start_bot("bot", StartOrder())

    async def told(held: str) -> ChildStory:
        await bench.until(lambda: f"{bench.held('child'):.1f}" == held)
        await bench.until(lambda: not any(view.in_flight for view in bench.desk.drift_views()))
        (line, *_) = await bench.client.log(LogQuery(kind="copy", account="child"))
        (child,) = (await bench.client.story(line.seq)).children
        return child

    await bench.trade("parent", Side.BUY, "2")
    opened = await told("2.0")
    await bench.trade("child", Side.BUY, "300", "ETHUSDT")  # costs the child a fee
    await bench.until(lambda: bench.engine.state.accounts["child"].balance.equity < 999_999)
    await bench.trade("parent", Side.BUY, "2")
    added = await told("4.0")
    assert (added.ratio, added.own, added.parents) == (D(1), opened.own, opened.parents)
    assert added.frozen_ns == opened.frozen_ns
    assert (added.asked, added.exit) == (2, False)
    await bench.trade("parent", Side.SELL, "4")
    closed = await told("0.0")
    assert (closed.ratio, closed.exit, closed.exact, closed.asked) == (D(1), True, None, D(4))
    await bench.trade("parent", Side.BUY, "10")
    child = await told("10.0")
    assert child.ratio is not None
    assert child.ratio < 1
    assert child.own is not None
    assert child.parents is not None
    assert child.ratio == child.own / child.parents
    assert child.frozen_ns > closed.frozen_ns


async def test_connections_tell_how_they_are(bench: Bench) -> None:
    await bench.add()
    await bench.client.start_bot("bot")
    await bench.trade("parent", Side.BUY, "2")
    await bench.until(lambda: bench.held("child") == 1)
    shown = {connection.name: connection for connection in await bench.client.connections()}
    assert set(shown) == {"parent", "child"}
    child = shown["child"]
    assert (child.state, child.rehearsal, child.accounts) == (ConnectionState.CONNECTED, True, ("child",))
    assert child.round_trip is not None
    assert child.round_trip.count >= 1
    assert child.since_ns > 0
    with pytest.raises(UnknownName, match="no connection 'nobody'"):
        await bench.client.reconnect("nobody")
