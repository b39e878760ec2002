"""Requests that leave in the very call that asks for them: see `copydesk.hooks.Fires`.

The bytes come from a template (`shapes`), the connection stands ready (`pool`), the answer is made something of when it
comes. Whatever cannot go this way is not sent: the caller then takes the ordinary one.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Generic, NamedTuple, TypeAlias, TypeVar

from copydesk.hooks import Done
from copydesk.model import NewOrder, OrderChange, OrderRef, Outcome, Rejected, Unknown

from copydesk_wire.connection import Answer
from copydesk_wire.shapes import Shapes
from copydesk_wire.templates import Key
from copydesk_wire.transports import Place
from copydesk_wire.venue import Venue

log = logging.getLogger("copydesk.wire")

Asked = TypeVar("Asked", NewOrder, OrderChange, OrderRef)
Rest: TypeAlias = Coroutine[Any, Any, Outcome]
"""What is still to be asked of the venue before an outcome is known."""
Judge: TypeAlias = Callable[[Answer, str], Any]
"""What an answer to the request so named means: the refusal, or the venue's reply where it is none. None where the time
stamp was refused, before anything else was looked at."""


class Way(NamedTuple, Generic[Asked]):
    """What is made of the answers to one kind of request. `accept` gives the outcome of a reply that is no refusal, `again`
    sends the request the slow way. `quick` may give the outcome of an everyday answer, or None."""

    accept: Callable[[Asked, Any], Outcome]
    again: Callable[[Asked], Rest]
    quick: Callable[[Answer], Outcome | None] | None = None


class Sender:
    """Fires the requests of one account to one place of its venue."""

    def __init__(self, venue: Venue, place: Place, key: Key, judge: Judge) -> None:
        self._venue = venue
        self._judge = judge
        self._place = place
        self._key = key
        self._tasks: set[asyncio.Task[Outcome]] = set()
        self._open = True
        self.dry = False
        """While it is set, requests are put together and not sent."""
        venue.pool.add_user(place)

    def fire(self, shapes: Shapes[Asked], asked: Asked, context: Any, done: Done, way: Way[Asked]) -> bool:
        """Send now. False where nothing was sent: the shape is not known, no connection is ready, the venue wants quiet."""
        venue = self._venue
        now_ms = venue.now_ms()
        if not self._open or venue.quiet_until_ms > now_ms:
            return False
        data = shapes.write(asked, context, self._key, venue.stamp(now_ms))
        if data is None or self.dry:
            return False
        return venue.pool.fire(self._place, data, partial(self._take, asked, done, way))

    def _take(self, asked: Asked, done: Done, way: Way[Asked], answer: Answer | Exception) -> None:
        if isinstance(answer, Exception):
            done(Unknown(message=f"{in_words(asked)}: {_loss(answer)}"))
            return
        try:
            outcome = way.quick(answer) if way.quick is not None else None
            meant = self._meant(asked, way, answer) if outcome is None else outcome
        except Exception as error:
            log.exception("an answer of %s could not be worked on: this is a defect of the plugin", self._venue.kind)
            meant = Unknown(message=f"{in_words(asked)}: its answer could not be worked on ({type(error).__name__}).")
        if not asyncio.iscoroutine(meant):
            done(meant)
            return
        task = asyncio.get_running_loop().create_task(meant)
        self._tasks.add(task)
        task.add_done_callback(partial(self._finish, done, in_words(asked)))

    def _meant(self, asked: Asked, way: Way[Asked], answer: Answer) -> Outcome | Rest:
        judged = self._judge(answer, in_words(asked))
        if judged is None:
            return way.again(asked)
        if isinstance(judged, Rejected | Unknown) or asyncio.iscoroutine(judged):
            return judged
        return way.accept(asked, judged)

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


def in_words(asked: NewOrder | OrderChange | OrderRef) -> str:
    """A request in words, for sentences."""
    if isinstance(asked, NewOrder):
        return f"place {asked.client_id}"
    ref, what = (asked.ref, "modify") if isinstance(asked, OrderChange) else (asked, "cancel")
    return f"{what} {ref.client_id or ref.venue_id}"
