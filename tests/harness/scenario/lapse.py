"""A clock for programs that talk over sockets: it runs as always, and jumps ahead where nothing is going on.

All sockets are of this process, over loopback: once the event loop has been waiting for a moment without anything to
read or write, nothing is on its way, and only timers can make a difference. The moment of
the next timer is then reached by a jump.
"""

from __future__ import annotations

import asyncio
import selectors
import time
from collections.abc import Callable
from typing import Any

GUARD_S = 0.003
"""How long nothing may have arrived before the loop counts as idle."""
LATE_TIMES = 50
"""So often a wait that took twice as long as it should is not believed: this machine is busy, and so may its network be."""


class _Watchful(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Says when the loop has nothing to do but wait."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: asyncio.Future[None] | None = None
        self.is_busy: Callable[[], bool] = lambda: False
        self._late = 0

    def select(self, timeout: float | None = None) -> Any:
        if self.waiting is None or self.waiting.done() or (timeout is not None and timeout <= 0):
            return super().select(timeout)
        began_s = time.perf_counter()
        found = super().select(GUARD_S if timeout is None else min(timeout, GUARD_S))
        if found or self.is_busy() or (timeout is not None and timeout <= GUARD_S):
            return found
        late = time.perf_counter() - began_s > 2 * GUARD_S and self._late < LATE_TIMES
        self._late = self._late + 1 if late else 0
        if not late:
            self.waiting.set_result(None)
        return found


class _Loop(asyncio.SelectorEventLoop):
    """Knows what its threads are doing: while one works, the loop is not idle however quiet its sockets are."""

    def __init__(self, selector: _Watchful) -> None:
        super().__init__(selector)
        self.threads: set[asyncio.Future[Any]] = set()
        selector.is_busy = lambda: bool(self.threads)

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:
        work = super().run_in_executor(executor, func, *args)
        self.threads.add(work)
        work.add_done_callback(self.threads.discard)
        return work


class Lapse:
    """The clock of one event loop and of the whole process, from `__enter__` to `__exit__`."""

    def __init__(self) -> None:
        self._selector = _Watchful()
        self.loop = _Loop(self._selector)
        self.ahead_ns = 0
        self._real = (time.time, time.time_ns, time.monotonic, time.monotonic_ns)

    def __enter__(self) -> Lapse:
        wall, wall_ns, steady, steady_ns = self._real
        time.time = lambda: wall() + self.ahead_ns / 1e9
        time.time_ns = lambda: wall_ns() + self.ahead_ns
        time.monotonic = lambda: steady() + self.ahead_ns / 1e9
        time.monotonic_ns = lambda: steady_ns() + self.ahead_ns
        return self

    def __exit__(self, *_: object) -> None:
        time.time, time.time_ns, time.monotonic, time.monotonic_ns = self._real

    async def idle(self) -> None:
        """Return as soon as nothing is going on any more."""
        self._selector.waiting = self.loop.create_future()
        await self._selector.waiting

    async def jump(self, limit_s: float) -> bool:
        """Go to the next timer, or to `limit_s` of the loop's clock where that is sooner: then return False.

        Afterwards nothing is going on again.
        """
        timers = [handle.when() for handle in self.loop._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
        next_s = min(timers, default=limit_s)
        ahead_s = min(next_s, limit_s) - self.loop.time()
        if ahead_s > 0:
            self.ahead_ns += int(ahead_s * 1e9) + 1_000
        await self.idle()
        return next_s < limit_s
