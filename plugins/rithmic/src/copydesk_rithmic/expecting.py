"""Waiting for what becomes of an order that was taken: a notification of its basket, of one of some kinds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from copydesk_rithmic.library import Message

Kinds = frozenset[tuple[int, int]]
"""Pairs of a template id and a notify type."""


class Expected:
    """One expectation. `within` returns what met it; None where the time is over or the stream is lost."""

    def __init__(self, kinds: Kinds) -> None:
        self.kinds = kinds
        self.met: asyncio.Future[Message | None] = asyncio.get_running_loop().create_future()

    async def within(self, seconds: float) -> Message | None:
        try:
            async with asyncio.timeout(seconds):
                return await self.met
        except TimeoutError:
            return None


class Expectations:
    """All that is waited for, by basket."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Expected]] = {}

    @contextmanager
    def of(self, basket_id: str, kinds: Kinds) -> Iterator[Expected]:
        """Expect something of a basket from here on: begin before what causes it is sent."""
        expected = Expected(kinds)
        self._waiting.setdefault(basket_id, []).append(expected)
        try:
            yield expected
        finally:
            self._waiting[basket_id].remove(expected)
            if not self._waiting[basket_id]:
                del self._waiting[basket_id]

    def meet(self, message: Message) -> None:
        """A notification has come."""
        for expected in self._waiting.get(message.basket_id, ()):
            if (message.template_id, message.notify_type) in expected.kinds and not expected.met.done():
                expected.met.set_result(message)

    def give_up(self) -> None:
        """The stream is lost: nothing more comes."""
        for waiting in self._waiting.values():
            for expected in waiting:
                if not expected.met.done():
                    expected.met.set_result(None)
