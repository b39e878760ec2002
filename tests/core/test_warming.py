"""The way of a copy is gone through while nothing comes in: nothing is sent, kept or changed by it."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable
from pathlib import Path

import pytest
from copydesk import engine, warming
from copydesk.model import NewOrder
from copydesk.venue import Venue
from copydesk.warming import Warm
from harness.sockets import SocketDesk

PATIENCE_S = 20.0


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            await asyncio.sleep(0.001)
            if what():
                return


async def test_it_goes_on_as_long_as_it_is_open(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(warming, "REST_S", 0.001)
    calls: list[int] = []

    def go() -> bool:
        calls.append(1)
        return len(calls) > 2

    with Warm(go, 0.001):
        await until(lambda: len(calls) > 5)
    count = len(calls)
    await asyncio.sleep(0.02)
    assert len(calls) == count


async def test_it_is_off_at_zero_and_ends_with_a_defect(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    monkeypatch.setattr(warming, "REST_S", 0.001)
    calls: list[int] = []

    def fail() -> bool:
        calls.append(1)
        raise ValueError

    with Warm(fail, 0.0):
        await asyncio.sleep(0.02)
        assert not calls
    with Warm(fail, 0.001):
        await until(lambda: bool(caplog.records))
        await asyncio.sleep(0.02)
    assert len(calls) == 1


async def test_nothing_comes_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(engine, "BUSY_NS", 0)
    warmed: list[NewOrder] = []
    as_it_was = Venue.warm_up

    def warm_up(self: Venue, order: NewOrder) -> None:
        warmed.append(order)
        as_it_was(self, order)

    monkeypatch.setattr(Venue, "warm_up", warm_up)
    desk = SocketDesk(tmp_path)
    await desk.start()
    try:
        assert not desk.engine.warm_up(), "nothing was copied yet"
        await desk.buy("0.010")
        await desk.settled()
        state, rows = copy.deepcopy(desk.engine.state), desk.engine._journal.head
        assert desk.engine.warm_up()
        assert desk.engine.state == state
        assert desk.engine._journal.head == rows
        assert [order.terms.symbol for order in warmed], "the way ended before its last part"
        await desk.close_all()  # whatever had been sent before would have arrived by now
        assert not {report.order.client_id for report in desk.reports} & {order.client_id for order in warmed}
    finally:
        await desk.stop()
