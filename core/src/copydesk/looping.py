"""The engine's event loop: what a parent tells is read before anything else that is there to be read.

asyncio takes in all that became readable at once and looks at the sockets again when it is through with it: a parent's
event then waits for the answers and reports of hundreds of children. Here those are taken in a few at a time, and before
each few the parents' streams are looked at. Where there is no epoll, and while no parent's stream is known, it is as in
asyncio's own loop.
"""

from __future__ import annotations

import asyncio
import os
import select
import selectors
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

AT_ONCE = 1
"""So many that are no parent's stream are taken in before the parents' streams are looked at again."""


if sys.platform == "linux":

    class ParentsFirst(selectors.EpollSelector):
        """A selector that knows which file descriptors are parents' streams. `awake`: it waits without sleeping."""

        def __init__(self) -> None:
            super().__init__()
            self._every = select.epoll.fromfd(os.dup(self.fileno()))
            self._parents = select.epoll()
            self._first: frozenset[int] = frozenset()
            self.awake = False

        def put_first(self, filenos: Iterable[int]) -> None:
            """From now on these are the parents' streams; one that is not registered is left out."""
            for fileno in self._first:
                with suppress(OSError):
                    self._parents.unregister(fileno)
            self._first = frozenset()
            known = self.get_map()
            for fileno in frozenset(filenos):
                if fileno in known:
                    self._parents.register(fileno, select.EPOLLIN)
                    self._first |= {fileno}

        def waits(self) -> bool:
            """Whether a parent's stream has something to be read."""
            return bool(self._first) and bool(self._parents.poll(0, 1))

        def unregister(self, fileobj: Any) -> selectors.SelectorKey:
            key = super().unregister(fileobj)
            if key.fd in self._first:  # its number may soon be another socket's
                self._first -= {key.fd}
                with suppress(OSError):  # closed already: the kernel has forgotten it
                    self._parents.unregister(key.fd)
            return key

        def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
            if not self._first:
                return super().select(timeout)
            found = dict(self._parents.poll(0, len(self._first)))
            found.update(self._others(0 if found else timeout))
            known = self.get_map()
            return [(key, _kinds(event) & key.events) for fd, event in found.items() if (key := known.get(fd)) is not None]

        def _others(self, timeout: float | None) -> list[tuple[int, int]]:
            """A few of all that are ready; the kernel goes round, so that each has its turn."""
            if not self.awake:
                return self._every.poll(timeout, AT_ONCE)
            until = float("inf") if timeout is None else time.monotonic() + timeout
            while not (found := self._every.poll(0, AT_ONCE)) and time.monotonic() < until:
                pass
            return found

        def close(self) -> None:
            self._every.close()
            self._parents.close()
            super().close()

    def _kinds(event: int) -> int:
        """What selectors call what epoll tells: an error or a hang-up is for whoever waits."""
        kinds = selectors.EVENT_WRITE if event & ~select.EPOLLIN else 0
        return kinds | (selectors.EVENT_READ if event & ~select.EPOLLOUT else 0)

    class EngineLoop(asyncio.SelectorEventLoop):
        """An event loop on `ParentsFirst`."""

        def __init__(self) -> None:
            self.sockets = ParentsFirst()
            super().__init__(self.sockets)

    def new_loop() -> asyncio.AbstractEventLoop:
        """A loop for the engine's process."""
        return EngineLoop()

    def put_first(filenos: Iterable[int], *, awake: bool) -> None:
        """Tell the running loop which file descriptors are parents' streams, and whether it waits without sleeping."""
        loop = asyncio.get_running_loop()
        if isinstance(loop, EngineLoop):
            loop.sockets.put_first(filenos)
            loop.sockets.awake = awake

    def parents_wait() -> bool:
        """Whether a parent's stream has something to be read: what may wait then gives way. Takes a microsecond."""
        loop = asyncio.get_running_loop()
        return isinstance(loop, EngineLoop) and loop.sockets.waits()

else:

    def new_loop() -> asyncio.AbstractEventLoop:
        """asyncio's own."""
        return asyncio.new_event_loop()

    def put_first(filenos: Iterable[int], *, awake: bool) -> None:
        """Nothing: this loop treats all alike."""

    def parents_wait() -> bool:
        """Never known here."""
        return False
