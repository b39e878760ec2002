"""Orders, changes and cancels that wait for what TWS says to them.

TWS has no replies: that a place, a change or a cancel was taken shows in the order's next openOrder or orderStatus,
that it was not in an error under the order's id. Where neither comes, nobody knows.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass
from enum import StrEnum

from copydesk.hooks import Done
from copydesk.model import Accepted, OrderStatus, Outcome, Rejected, RejectReason, Terms, Unknown

from copydesk_ib.book import Known
from copydesk_ib.errors import is_death, refusal

ANSWER_S = 3.0
"""TWS answers in a fraction of a second; what has no answer after so long is looked up."""
GRACE_S = 0.5
"""An error may follow the status that it explains, and an order may be shown before it has gone out."""


class Act(StrEnum):
    PLACE = "place"
    MODIFY = "modify"
    CANCEL = "cancel"


@dataclass(eq=False, slots=True)
class Wait:
    """One request and who is told what came of it, once. `terms`: how the order shall be, for a change.

    `due`: when nobody waits any longer, by the event loop's clock.
    """

    act: Act
    what: str
    done: Done
    order_id: int = 0  # none yet: it has not been sent
    terms: Terms | None = None
    is_over: bool = False
    due: float = 0.0
    soon: asyncio.TimerHandle | None = None
    likely: Outcome | None = None
    lost: str = ""  # why the connection was lost while this was on its way


class Waiting:
    """All that waits, by order id. One timer watches all deadlines: they come in the order in which the requests did."""

    def __init__(self) -> None:
        self._waits: dict[int, list[Wait]] = {}
        self._due: deque[Wait] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self, wait: Wait) -> Wait:
        """It waits for its turn to be sent, or is sent now under its order's id."""
        loop = asyncio.get_running_loop()
        wait.due = loop.time() + ANSWER_S
        self._waits.setdefault(wait.order_id, []).append(wait)
        while self._due and self._due[0].is_over:
            self._due.popleft()
        self._due.append(wait)
        if self._timer is None:
            self._timer = loop.call_at(wait.due, self._look)
        return wait

    def sent(self, wait: Wait, order_id: int) -> None:
        """It goes out under this order id."""
        self._drop(wait)
        wait.order_id = order_id
        self._waits.setdefault(order_id, []).append(wait)

    def settle(self, wait: Wait, outcome: Outcome) -> None:
        """Tell what came of it, and forget it."""
        if not wait.is_over:
            self.forget(wait)
            wait.done(outcome)

    def settle_soon(self, wait: Wait, likely: Outcome) -> None:
        """Unless something better comes."""
        wait.likely = likely
        if wait.soon is None:
            wait.soon = asyncio.get_running_loop().call_later(GRACE_S, self._settle_likely, wait)

    def forget(self, wait: Wait) -> None:
        """Nobody waits for it any more."""
        wait.is_over = True
        if wait.soon is not None:
            wait.soon.cancel()
        self._drop(wait)

    def _settle_likely(self, wait: Wait) -> None:
        if wait.likely is not None:
            self.settle(wait, wait.likely)

    def _look(self) -> None:
        """The first deadline may have come: what was sent and has no answer by then is unknown."""
        loop, self._timer = asyncio.get_running_loop(), None
        while self._due and (self._due[0].is_over or self._due[0].due <= loop.time()):
            wait = self._due.popleft()
            if not wait.order_id:
                self.settle(wait, not_sent(wait.what, "other messages to TWS were more urgent"))
            else:
                lost = wait.lost or f"TWS said nothing within {ANSWER_S:g} s."
                self.settle(wait, Unknown(message=f"{wait.what}: {lost}"))
        if self._due:
            self._timer = loop.call_at(self._due[0].due, self._look)

    def _drop(self, wait: Wait) -> None:
        waits = self._waits.get(wait.order_id, [])
        if wait in waits:
            waits.remove(wait)
        if not waits:
            self._waits.pop(wait.order_id, None)

    def lose_all(self, reason: str) -> None:
        """The connection is gone: nobody knows what became of any of them. Of a new order the next connection may tell."""
        for wait in self._all():
            if not wait.order_id:
                self.settle(wait, not_sent(wait.what, reason))
            elif wait.act is Act.PLACE:
                wait.lost = wait.lost or reason
            else:
                self.settle(wait, Unknown(message=f"{wait.what}: {reason}"))

    def next_id(self, number: int) -> None:
        """TWS tells a new connection which order id comes next: what went out under that one or a later never arrived."""
        for wait in self._all():
            if wait.lost and wait.order_id >= number:
                self.settle(wait, not_sent(wait.what, f"{wait.lost}, and TWS never got the order"))
            elif wait.lost:
                self.settle(wait, Unknown(message=f"{wait.what}: {wait.lost}"))

    def _all(self) -> list[Wait]:
        return [wait for waits in self._waits.values() for wait in waits]

    def heard(self, known: Known) -> None:
        """An openOrder or orderStatus of one of this client's orders."""
        for wait in list(self._waits.get(known.order_id, ())):
            _JUDGES[wait.act](self, wait, known)

    def refused(self, order_id: int, code: int, sentence: str) -> list[Act]:
        """An error under an order id. Returns what it was the answer to."""
        answered = []
        for wait in list(self._waits.get(order_id, ())):
            if not is_death(code):
                self.settle_soon(wait, refusal(code, sentence, wait.what))
                continue
            answered.append(wait.act)
            self.settle(wait, refusal(code, sentence, wait.what))
        return answered


def not_sent(what: str, why: str) -> Rejected:
    """Nothing has left this machine."""
    return Rejected(reason=RejectReason.OVERLOADED, message=f"{what}: not sent: {why}.")


def _placed(waiting: Waiting, wait: Wait, known: Known) -> None:
    if known.status is OrderStatus.REJECTED or (known.word == "Inactive"):
        message = f"{wait.what}: TWS shows it as {known.word}. {known.reason}".strip()
        waiting.settle_soon(wait, Rejected(reason=RejectReason.OTHER, message=message, code=known.word))
    elif known.is_undecided:
        waiting.settle_soon(wait, Accepted(order=known.state()))
    else:
        waiting.settle(wait, Accepted(order=known.state()))


def _modified(waiting: Waiting, wait: Wait, known: Known) -> None:
    if known.terms == wait.terms and known.is_working:
        waiting.settle(wait, Accepted(order=known.state()))
    elif known.status.is_final:
        message = f"{wait.what}: the order is {known.status}."
        waiting.settle_soon(wait, Rejected(reason=RejectReason.NOT_FOUND, message=message, code=known.word))


def _cancelled(waiting: Waiting, wait: Wait, known: Known) -> None:
    if known.status is OrderStatus.FILLED:
        message = f"{wait.what}: it was filled."
        waiting.settle(wait, Rejected(reason=RejectReason.NOT_FOUND, message=message, code=known.word))
    elif known.status.is_final:
        waiting.settle(wait, Accepted(order=known.state()))


_JUDGES = {Act.PLACE: _placed, Act.MODIFY: _modified, Act.CANCEL: _cancelled}
