"""How long copies take is told stage by stage, over the control API and by `copydesk latency`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from copydesk.cli import main
from copydesk.inputs import Place
from copydesk.model import NewOrder, OrderType, Side, Terms
from copydesk.timing import KEPT, STAGES, Marks, Times, Waterfall
from harness.closed_loop import SYMBOL, D
from harness.livedesk import Bench, running_bench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with running_bench(tmp_path) as bench:
        yield bench


def order(name: str, type_: OrderType) -> Place:
    terms = Terms(symbol=SYMBOL, side=Side.BUY, type=type_, quantity=D(1), price=D(1) if type_ is OrderType.LIMIT else None)
    return Place(id=1, bot="bot", account="c1", cause="p", why="entry", order=NewOrder(client_id=name, terms=terms))


def test_times_keep_the_latest():
    times = Times()
    assert times.latency is None
    for number in range(KEPT + 10):
        times.add(number * 1000)
    latency = times.latency
    assert latency is not None
    assert (latency.count, latency.max_us) == (KEPT, KEPT + 9)
    assert latency.p50_us == 10 + (KEPT - 1) // 2


def test_an_event_counts_once_and_each_of_its_requests_counts():
    waterfall = Waterfall()
    marks = Marks(received_ns=1_000, decoded_ns=3_000, journalled_ns=9_000, planned_ns=5_000)
    waterfall.settled(order("a", OrderType.MARKET), marks, 11_000, 41_000, fired=True)
    waterfall.settled(order("b", OrderType.LIMIT), marks, 21_000, 51_000, fired=False)
    waterfall.filled("c1", "a", 61_000)
    waterfall.filled("c1", "a", 71_000)
    waterfall.filled("c1", "b", 71_000)
    view = waterfall.view("bot")
    assert tuple(view.stages) == STAGES
    assert {name: (one.count, one.p50_us, one.max_us) for name, one in view.stages.items()} == {
        "decoded": (1, 2, 2),
        "planned": (1, 4, 4),
        "journalled": (1, 8, 8),
        "sent": (2, 10, 20),
        "acknowledged": (2, 40, 50),
        "filled": (1, 60, 60),
    }
    assert (view.fired, view.waited) == (1, 1)


def test_a_fill_that_overtakes_the_answer_counts_too():
    waterfall = Waterfall()
    waterfall.filled("c1", "a", 31_000)
    waterfall.filled("c1", "a", 32_000)
    waterfall.settled(order("a", OrderType.MARKET), Marks(1_000, 1_000), 11_000, 41_000, fired=True)
    filled = waterfall.view("bot").stages["filled"]
    assert (filled.count, filled.max_us) == (1, 30)


async def test_the_command_shows_the_stages_of_what_was_copied(bench: Bench, capsys: pytest.CaptureFixture[str]):
    async def words(*said: str) -> tuple[int, str]:
        status = await asyncio.to_thread(main, ["--data", str(bench.folder), "latency", *said])
        return status, capsys.readouterr().out

    assert await words() == (0, "Nothing was copied since the engine started.\n")
    await bench.add()
    await bench.client.start_bot("bot")
    await bench.trade("parent", Side.BUY, "2")
    await bench.until(lambda: bench.held("child") == 1)
    await bench.until(lambda: [set(one.stages) for one in bench.desk.latencies()] == [set(STAGES)])
    (view,) = await bench.client.latencies()
    assert set(view.stages) == set(STAGES)
    medians = [view.stages[name].p50_us for name in ("decoded", "planned", "sent", "acknowledged")]
    assert medians == sorted(medians)
    status, out = await words("bot")
    assert status == 0
    assert "a request has left" in out
    assert "1 requests left in the very call." in out
    told = json.loads((await words("--json"))[1])
    assert [one["bot"] for one in told] == ["bot"]
    assert (await words("nobody"))[0] == 2
