"""Orders, changes and cancels that wait for what TWS says to them.

TWS has no replies: that a place, a change or a cancel was taken shows in the order's next openOrder or orderStatus,
that it was not in an error under the order's id. Where neither comes, nobody knows.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum

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


@dataclass(eq=False)
class Wait:
    """One request and what it waits for. `terms`: how the order shall be, for a change."""

    act: Act
    what: str
    order_id: int = 0  # none yet: it has not been sent
    terms: Terms | None = None
    outcome: asyncio.Future[Outcome] = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    soon: asyncio.TimerHandle | None = None
    likely: Outcome | None = None
    lost: str = ""  # why the connection was lost while this was on its way

    def settle(self, outcome: Outcome) -> None:
        if self.soon is not None:
            self.soon.cancel()
        if not self.outcome.done():
            self.outcome.set_result(outcome)

    def settle_soon(self, likely: Outcome) -> None:
        """Unless something better comes."""
        self.likely = likely
        if self.soon is None:
            self.soon = asyncio.get_running_loop().call_later(GRACE_S, self._settle_likely)

    def _settle_likely(self) -> None:
        if self.likely is not None:
            self.settle(self.likely)


class Waiting:
    """All that waits, by order id."""

    def __init__(self) -> None:
        self._waits: dict[int, list[Wait]] = {}

    def add(self, wait: Wait) -> Wait:
        """It waits for its turn to be sent, or is sent now under its order's id."""
        self._waits.setdefault(wait.order_id, []).append(wait)
        return wait

    def sent(self, wait: Wait, order_id: int) -> None:
        """It goes out under this order id."""
        self._drop(wait)
        wait.order_id = order_id
        self.add(wait)

    async def result(self, wait: Wait) -> Outcome:
        """What became of it; `Unknown` where it was sent and nothing came."""
        try:
            async with asyncio.timeout(ANSWER_S):
                return await wait.outcome
        except TimeoutError:
            if not wait.order_id:
                return not_sent(wait.what, "other messages to TWS were more urgent")
            return Unknown(message=f"{wait.what}: {wait.lost or f'TWS said nothing within {ANSWER_S:g} s.'}")
        finally:
            self._drop(wait)

    def _drop(self, wait: Wait) -> None:
        if wait.soon is not None:
            wait.soon.cancel()
        waits = self._waits.get(wait.order_id, [])
        if wait in waits:
            waits.remove(wait)
        if not waits:
            self._waits.pop(wait.order_id, None)

    def lose_all(self, reason: str) -> None:
        """The connection is gone: nobody knows what became of any of them. Of a new order the next connection may tell."""
        for waits in self._waits.values():
            for wait in waits:
                if not wait.order_id:
                    wait.settle(not_sent(wait.what, reason))
                elif wait.act is Act.PLACE:
                    wait.lost = wait.lost or reason
                else:
                    wait.settle(Unknown(message=f"{wait.what}: {reason}"))

    def next_id(self, number: int) -> None:
        """TWS tells a new connection which order id comes next: what went out under that one or a later never arrived."""
        for waits in self._waits.values():
            for wait in waits:
                if wait.lost and wait.order_id >= number:
                    wait.settle(not_sent(wait.what, f"{wait.lost}, and TWS never got the order"))
                elif wait.lost:
                    wait.settle(Unknown(message=f"{wait.what}: {wait.lost}"))

    def heard(self, known: Known) -> None:
        """An openOrder or orderStatus of one of this client's orders."""
        for wait in list(self._waits.get(known.order_id, ())):
            _JUDGES[wait.act](wait, known)

    def refused(self, order_id: int, code: int, sentence: str) -> list[Act]:
        """An error under an order id. Returns what it was the answer to."""
        answered = []
        for wait in list(self._waits.get(order_id, ())):
            if not is_death(code):
                wait.settle_soon(refusal(code, sentence, wait.what))
                continue
            answered.append(wait.act)
            wait.settle(refusal(code, sentence, wait.what))
        return answered


def not_sent(what: str, why: str) -> Rejected:
    """Nothing has left this machine."""
    return Rejected(reason=RejectReason.OVERLOADED, message=f"{what}: not sent: {why}.")


def _placed(wait: Wait, known: Known) -> None:
    if known.status is OrderStatus.REJECTED or (known.word == "Inactive"):
        message = f"{wait.what}: TWS shows it as {known.word}. {known.reason}".strip()
        wait.settle_soon(Rejected(reason=RejectReason.OTHER, message=message, code=known.word))
    elif known.is_undecided:
        wait.settle_soon(Accepted(order=known.state()))
    else:
        wait.settle(Accepted(order=known.state()))


def _modified(wait: Wait, known: Known) -> None:
    if known.terms == wait.terms and known.is_working:
        wait.settle(Accepted(order=known.state()))
    elif known.status.is_final:
        message = f"{wait.what}: the order is {known.status}."
        wait.settle_soon(Rejected(reason=RejectReason.NOT_FOUND, message=message, code=known.word))


def _cancelled(wait: Wait, known: Known) -> None:
    if known.status is OrderStatus.FILLED:
        message = f"{wait.what}: it was filled."
        wait.settle(Rejected(reason=RejectReason.NOT_FOUND, message=message, code=known.word))
    elif known.status.is_final:
        wait.settle(Accepted(order=known.state()))


_JUDGES = {Act.PLACE: _placed, Act.MODIFY: _modified, Act.CANCEL: _cancelled}
