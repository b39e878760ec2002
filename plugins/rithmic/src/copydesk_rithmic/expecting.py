"""Waiting for what becomes of an order that was taken: a notification of its basket, of one of some kinds."""

from __future__ import annotations

import asyncio

from copydesk_rithmic.library import Message

Kinds = frozenset[tuple[int, int]]
"""Pairs of a template id and a notify type."""


class Expected:
    """One expectation. `within` returns what met it; None where the time is over or the stream is lost."""

    def __init__(self, basket_id: str, kinds: Kinds) -> None:
        self.basket_id = basket_id
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

    def begin(self, basket_id: str, kinds: Kinds) -> Expected:
        """Expect something of a basket from here on: begin before what causes it is sent, and `end` it."""
        expected = Expected(basket_id, kinds)
        self._waiting.setdefault(basket_id, []).append(expected)
        return expected

    def end(self, expected: Expected) -> None:
        """Nobody waits for it any more."""
        waiting = self._waiting[expected.basket_id]
        waiting.remove(expected)
        if not waiting:
            del self._waiting[expected.basket_id]

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
