"""Requests to TWS that are answered under a number: rows, then an end; or rows for as long as they are wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import count
from typing import Any

from copydesk.errors import NotReady, RateLimited, Refused, VenueError
from copydesk.model import RejectReason

from copydesk_ib.errors import NOTICES, RATE_WAIT_MS, reason

FIRST = 1_000_000_000
"""Numbers of requests begin here: errors come under the number of a request or the id of an order, without saying which."""


class Answer:
    """What comes under one number. `row` is called for each row; without it they are kept until the end.

    `at_end` is called at the end, before any row that comes after it.
    """

    def __init__(self, row: Callable[[Any], object] | None = None, at_end: Callable[[], None] | None = None) -> None:
        self.at_end = at_end
        self.lasts = False  # rows come for as long as they are wanted, and nobody waits for an end
        self.rows: list[Any] = []
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.row = row or self.rows.append

    def end(self, error: VenueError | None = None) -> None:
        if self.ended.done():
            return
        if error is None:
            self.ended.set_result(None)
            if self.at_end is not None:
                self.at_end()
        else:
            self.ended.set_exception(error)
            self.ended.exception()  # nobody has to be waiting


class Requests:
    """All requests of one login that are not answered yet."""

    def __init__(self) -> None:
        self._numbers = count(FIRST)
        self._open: dict[int, Answer] = {}

    def open(
        self, row: Callable[[Any], object] | None = None, at_end: Callable[[], None] | None = None
    ) -> tuple[int, Answer]:
        number = next(self._numbers)
        answer = self._open[number] = Answer(row, at_end)
        return number, answer

    def has(self, number: int) -> bool:
        return number in self._open

    def close(self, number: int) -> None:
        self._open.pop(number, None)

    def row(self, number: int, row: Any) -> None:
        answer = self._open.get(number)
        if answer is not None:
            answer.row(row)

    def end(self, number: int) -> None:
        answer = self._open.get(number)
        if answer is not None:
            answer.end()

    def refuse(self, number: int, code: int, sentence: str) -> None:
        """An error under a request's number."""
        answer = self._open.get(number)
        if answer is not None and code not in NOTICES:
            answer.end(failure(code, sentence))

    def fail_all(self, error: VenueError) -> None:
        """None of them is answered any more."""
        for answer in self._open.values():
            answer.end(error)
        self._open.clear()

    def fail_waiting(self, error: VenueError) -> None:
        """One of those that have not ended will not be answered, and nobody knows which."""
        for answer in self._open.values():
            if not answer.lasts:
                answer.end(error)


def failure(code: int, sentence: str) -> VenueError:
    """The error that a refused read means."""
    why = reason(code, sentence)
    text = f"IB answered {code}: {sentence}"
    if why is RejectReason.RATE_LIMIT:
        return RateLimited(text, retry_after_ms=RATE_WAIT_MS, code=str(code))
    if why is RejectReason.OVERLOADED:
        return NotReady(text)
    return Refused(text, reason=why, code=str(code))


class Joined:
    """Runs a read for all that want it: who asks while one is running waits for the next one."""

    def __init__(self, read: Callable[[], Any]) -> None:
        self._read = read
        self._running: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    async def __call__(self) -> None:
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._read())
            self._running.add_done_callback(_look)
            await asyncio.shield(self._running)
            return
        if self._next is None:
            self._next = asyncio.create_task(self._after(self._running))
            self._next.add_done_callback(_look)
        await asyncio.shield(self._next)

    async def _after(self, running: asyncio.Task[None]) -> None:
        await asyncio.wait({running})
        self._running, self._next = self._next, None
        await self._read()

    async def cancel(self) -> None:
        """End what runs."""
        tasks = [task for task in (self._running, self._next) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _look(task: asyncio.Task[None]) -> None:
    """An error that nobody waits for any more is no news."""
    if not task.cancelled():
        task.exception()
