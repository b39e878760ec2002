"""Requests that leave in the very call that asks for them: see `copydesk.hooks.Fires`.

The bytes come from a template (`shapes`), the connection stands ready (`pool`), the answer is made something of when it
comes. Whatever cannot go this way is not sent: the caller then takes the ordinary one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeAlias, TypeVar

from copydesk.hooks import Done
from copydesk.model import NewOrder, OrderChange, OrderRef, Outcome, Unknown

from copydesk_wire.connection import Answer
from copydesk_wire.pool import Place
from copydesk_wire.shapes import Shapes
from copydesk_wire.templates import Key
from copydesk_wire.venue import Venue

log = logging.getLogger("copydesk.wire")

Asked = TypeVar("Asked", NewOrder, OrderChange, OrderRef)
Answered: TypeAlias = Callable[[Asked, Answer], Outcome | Coroutine[Any, Any, Outcome]]
"""What an answer means; a coroutine where that cannot be told without asking the venue for more."""


class Sender:
    """Fires the requests of one account to one place of its venue."""

    def __init__(self, venue: Venue, place: Place, key: Key) -> None:
        self._venue = venue
        self._place = place
        self._key = key
        self._tasks: set[asyncio.Task[Outcome]] = set()
        self._open = True
        venue.pool.add_user(place)

    def fire(self, shapes: Shapes[Asked], asked: Asked, context: Any, done: Done, answered: Answered[Asked]) -> bool:
        """Send now. False where nothing was sent: the shape is not known, no connection is ready, the venue wants quiet."""
        venue = self._venue
        now_ms = venue.now_ms()
        if not self._open or venue.quiet_until_ms > now_ms:
            return False
        data = shapes.write(asked, context, self._key, now_ms)
        return data is not None and venue.pool.fire(self._place, data, partial(self._take, asked, done, answered))

    def _take(self, asked: Asked, done: Done, answered: Answered[Asked], answer: Answer | Exception) -> None:
        if isinstance(answer, Exception):
            done(Unknown(message=f"{name_of(asked)}: {_loss(answer)}"))
            return
        try:
            outcome = answered(asked, answer)
        except Exception as error:
            log.exception("an answer of %s could not be worked on: this is a defect of the plugin", self._venue.kind)
            outcome = Unknown(message=f"{name_of(asked)}: its answer could not be worked on ({type(error).__name__}).")
        if not asyncio.iscoroutine(outcome):
            done(outcome)
            return
        task = asyncio.get_running_loop().create_task(outcome)
        self._tasks.add(task)
        task.add_done_callback(partial(self._finish, done, name_of(asked)))

    def _finish(self, done: Done, what: str, task: asyncio.Task[Outcome]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            done(Unknown(message=f"{what}: the session was closed before it was known."))
        elif (error := task.exception()) is not None:
            log.error("a request to %s failed: this is a defect of the plugin", self._venue.kind, exc_info=error)
            done(Unknown(message=f"{what}: {type(error).__name__}"))
        else:
            done(task.result())

    async def close(self) -> None:
        """Stop. What is still to be asked of the venue is given up: its outcome is unknown."""
        if self._open:
            self._open = False
            self._venue.pool.remove_user(self._place)
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)


def _loss(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no reply came."
    return f"the connection was lost after sending ({type(error).__name__})."


def name_of(asked: NewOrder | OrderChange | OrderRef) -> str:
    """A request in words, for sentences."""
    if isinstance(asked, NewOrder):
        return f"place {asked.client_id}"
    ref, what = (asked.ref, "modify") if isinstance(asked, OrderChange) else (asked, "cancel")
    return f"{what} {ref.client_id or ref.venue_id}"
