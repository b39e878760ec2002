"""Whose socket is looked at first: a parent's stream overtakes whatever else became readable."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from copydesk.looping import AT_ONCE, new_loop, parents_wait, put_first

pytestmark = pytest.mark.skipif("not hasattr(__import__('select'), 'epoll')", reason="epoll is Linux's")
CHILDREN = 50
PATIENCE_S = 40.0


class Wires:
    """Sockets whose bytes are noted in the order in which the loop reads them: `parent` and any number of children."""

    def __init__(self, stack: ExitStack, children: int = CHILDREN) -> None:
        self.read: list[str] = []
        self.asked: list[bool] = []
        self._far: dict[str, socket.socket] = {}
        self._near: dict[str, socket.socket] = {}
        self.changed = asyncio.Event()
        self.told_while_busy = False
        for name in (*(f"c{number}" for number in range(children)), "parent"):
            near, far = (stack.enter_context(one) for one in socket.socketpair())
            near.setblocking(False)
            self._near[name], self._far[name] = near, far
            asyncio.get_running_loop().add_reader(near.fileno(), self._take, name)

    def fileno(self, name: str = "parent") -> int:
        return self._near[name].fileno()

    def tell(self, name: str) -> None:
        self._far[name].send(b".")

    def deaf(self, name: str) -> None:
        asyncio.get_running_loop().remove_reader(self.fileno(name))

    def _take(self, name: str) -> None:
        self._near[name].recv(1)
        self.read.append(name)
        self.asked.append(parents_wait())
        if self.told_while_busy:
            self.told_while_busy = False
            self.tell("parent")
        self.changed.set()

    async def until(self, count: int) -> list[str]:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.read) < count:
                self.changed.clear()
                await self.changed.wait()
        return self.read


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture(params=[False, True], ids=["sleeping", "awake"])
def awake(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def run(work: object) -> None:
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(work)  # type: ignore[arg-type]


def test_a_parents_event_overtakes_what_became_readable_before_it(stack: ExitStack, awake: bool):
    async def work() -> None:
        wires = Wires(stack)
        put_first([wires.fileno()], awake=awake)
        wires.told_while_busy = True  # the parent tells while the first of the children is taken in
        for number in range(CHILDREN):
            wires.tell(f"c{number}")
        read = await wires.until(CHILDREN + 1)
        assert read.index("parent") <= 2 * AT_ONCE
        assert sorted(read) == sorted([*(f"c{number}" for number in range(CHILDREN)), "parent"])

    run(work())


def test_every_child_has_its_turn_while_a_parent_goes_on_telling(stack: ExitStack, awake: bool):
    async def work() -> None:
        wires = Wires(stack)
        put_first([wires.fileno()], awake=awake)
        for number in range(CHILDREN):
            wires.tell(f"c{number}")
        while len(set(wires.read)) <= CHILDREN:
            wires.tell("parent")
            await wires.until(len(wires.read) + 1)
        assert wires.read.count("parent") <= 2 * CHILDREN

    run(work())


def test_it_is_known_between_two_children_that_a_parent_waits(stack: ExitStack):
    async def work() -> None:
        wires = Wires(stack, 1)
        put_first([wires.fileno()], awake=False)
        assert not parents_wait()
        wires.tell("parent")
        assert parents_wait()
        await wires.until(1)
        assert wires.asked == [False]
        put_first([], awake=False)
        wires.tell("parent")
        assert not parents_wait()

    run(work())


def test_a_stream_that_is_not_listened_to_any_more_is_forgotten(stack: ExitStack):
    async def work() -> None:
        wires = Wires(stack, 1)
        put_first([wires.fileno(), 10_000], awake=False)
        wires.tell("parent")
        wires.deaf("parent")
        assert not parents_wait()
        wires.tell("c0")
        assert await wires.until(1) == ["c0"]

    run(work())


def test_timers_and_other_threads_are_heard_while_it_waits(stack: ExitStack, awake: bool):
    async def work() -> None:
        wires = Wires(stack, 0)
        put_first([wires.fileno()], awake=awake)
        async with asyncio.timeout(PATIENCE_S):
            await asyncio.sleep(0.01)
            assert await asyncio.to_thread(lambda: 7) == 7

    run(work())
