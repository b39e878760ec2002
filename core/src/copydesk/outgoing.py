"""What is on its way to the venues: sent in the very call where the session can do that, under one timer for all deadlines.

A hundred copies of one order are a hundred requests. Where each had a task and a timer of its own, those would cost more
than planning, signing and sending it; so a request is one small record here, from its bytes to its outcome.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import msgspec

from copydesk.config import account_of
from copydesk.inputs import Cancel, Modify, Place, PlaceGroup
from copydesk.looping import parents_wait
from copydesk.model import Accepted, NewOrder, OrderChange, OrderRef, Outcome, Rejected, Unknown
from copydesk.timing import Marks
from copydesk.venue import Venue

Request = Place | PlaceGroup | Modify | Cancel
SLICE_NS = 500_000
"""So long at a time outcomes are worked off: what comes from a parent meanwhile does not wait for all of them."""


class Flight:
    """One request: when it left, what became of it. `request` is known once the pure engine has decided on it.

    `fired`: it left in the very call. Times are `time.perf_counter_ns()`.
    """

    __slots__ = ("_land", "answered_ns", "fired", "key", "marks", "order", "outcome", "request", "sent_ns", "venue")

    def __init__(self, land: Callable[[Flight], None], venue: Venue | None, key: str, marks: Marks) -> None:
        self.venue = venue
        self.key = key
        self.marks = marks
        self.order: NewOrder | None = None
        self.request: Request | None = None
        self.fired = False
        self.sent_ns = time.perf_counter_ns()
        self.answered_ns = 0
        self.outcome: Outcome | None = None
        self._land = land

    @property
    def times_us(self) -> dict[str, int]:
        """Its moments in microseconds since its event was received, for the log; those it did not come to are left out."""
        marks = self.marks
        moments = {
            "decoded_us": marks.decoded_ns,
            "planned_us": marks.planned_ns,
            "journalled_us": marks.journalled_ns,
            "sent_us": self.sent_ns,
            "answered_us": self.answered_ns,
        }
        return {name: (at_ns - marks.received_ns) // 1000 for name, at_ns in moments.items() if at_ns}

    def done(self, outcome: Outcome) -> None:
        """What came of it. The first word counts."""
        if self.outcome is None:
            if type(outcome) not in _OUTCOMES:
                outcome = Unknown(message=f"the plugin told the outcome as a {type(outcome).__name__}: a defect of it")
            self.outcome = outcome
            self.answered_ns = time.perf_counter_ns()
            self._land(self)


class Outgoing:
    """All requests under way. `settle` is called for each that has an outcome, behind whatever is being sent just now."""

    def __init__(
        self, settle: Callable[[Flight], None], spawn: Callable[[Coroutine[Any, Any, None]], Any], deadline_s: float
    ) -> None:
        self._settle = settle
        self._spawn = spawn
        self._deadline_s = deadline_s
        self._fired: deque[Flight] = deque()  # by the time they left
        self._landed: deque[Flight] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._idle = asyncio.Event()
        self._count = 0
        self._stopped = False
        self._gave_way = False

    def early(self, venue: Venue, key: str, order: NewOrder, marks: Marks) -> Flight | None:
        """Send an order that is known before the pure engine has taken its input in; `None` where that cannot be."""
        flight = Flight(self._land, venue, key, marks)
        if not venue.fire(_placed(order, key), flight.done):
            return None
        flight.order = order
        self._left(flight)
        return flight

    def warm_up(self, venue: Venue, key: str, order: NewOrder, marks: Marks) -> None:
        """Go through what `early` does, and send nothing."""
        Flight(self._land, venue, key, marks)
        venue.warm_up(_placed(order, key))

    def send(self, venue: Venue | None, request: Request, marks: Marks) -> bool:
        """Send what was decided: at once where the session can, else in a task, which is to be let go: then true."""
        flight = Flight(self._land, venue, request.account, marks)
        flight.request = request
        if venue is None:
            # Nothing was sent; saying "unknown" makes the engine look the order up before anything goes again.
            self._count += 1
            flight.done(Unknown(message="the connection was lost"))
            return False
        if _fire(venue, request, flight):
            self._left(flight)
            return False
        self._count += 1
        self._spawn(_wait(venue, request, flight))
        return True

    async def drain(self, timeout_s: float) -> None:
        """Wait until everything has its outcome, for so long at the most; then take no outcome any more."""
        if self._count and not self._stopped:
            self._idle.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._idle.wait()
        self.abandon()

    def abandon(self) -> None:
        """Take no outcome any more."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()

    def _left(self, flight: Flight) -> None:
        self._count += 1
        flight.fired = True
        fired = self._fired
        while fired and fired[0].outcome is not None:
            fired.popleft()
        fired.append(flight)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._deadline_s, self._look)

    def _look(self) -> None:
        """The deadline of the request that left first may have come."""
        self._timer = None
        late_ns, fired = time.perf_counter_ns() - int(self._deadline_s * 1e9), self._fired
        while fired and (fired[0].outcome is not None or fired[0].sent_ns <= late_ns):
            fired.popleft().done(Unknown(message=f"no answer within {self._deadline_s:g} s"))
        if fired:
            left_s = (fired[0].sent_ns - late_ns) / 1e9
            self._timer = asyncio.get_running_loop().call_later(left_s, self._look)

    def _land(self, flight: Flight) -> None:
        if not self._stopped:
            self._landed.append(flight)
            if len(self._landed) == 1:
                asyncio.get_running_loop().call_soon(self._work_off)

    def _work_off(self) -> None:
        """Settle some of what has landed, until a parent tells something: at least one, or else all give way once."""
        landed, until_ns = self._landed, time.perf_counter_ns() + SLICE_NS
        gives_way = self._gave_way = not self._gave_way and parents_wait()
        while landed and not self._stopped:
            if not gives_way:
                self._settle(landed[0])
                landed.popleft()  # only now: who lands meanwhile finds that this is at work
                self._count -= 1
            if landed and (gives_way or time.perf_counter_ns() > until_ns or parents_wait()):
                asyncio.get_running_loop().call_soon(self._work_off)
                return
        if not self._count:
            self._idle.set()


_OUTCOMES = (Accepted, Rejected, Unknown)


def _placed(order: NewOrder, key: str) -> NewOrder:
    account = account_of(key)
    return msgspec.structs.replace(order, account=account) if account else order


def _ref(ref: OrderRef, key: str) -> OrderRef:
    account = account_of(key)
    return msgspec.structs.replace(ref, account=account) if account else ref


def _fire(venue: Venue, request: Request, flight: Flight) -> bool:
    match request:
        case Place(order=order):
            return venue.fire(_placed(order, request.account), flight.done)
        case Cancel(order=ref):
            return venue.fire_cancel(_ref(ref, request.account), flight.done)
        case Modify(change=change):
            return venue.fire_modify(_changed(change, request.account), flight.done)
    return False


async def _wait(venue: Venue, request: Request, flight: Flight) -> None:
    flight.done(await _sent(venue, request))


def _changed(change: OrderChange, key: str) -> OrderChange:
    return OrderChange(ref=_ref(change.ref, key), terms=change.terms)


async def _sent(venue: Venue, request: Request) -> Outcome:
    match request:
        case Place(order=order):
            return await venue.place(_placed(order, request.account))
        case PlaceGroup(group=group):
            account = account_of(request.account)
            legs = tuple(msgspec.structs.replace(leg, account=account) for leg in group.legs)
            return await venue.place_group(msgspec.structs.replace(group, account=account, legs=legs))
        case Modify(change=change):
            return await venue.modify(_changed(change, request.account))
        case Cancel(order=ref):
            return await venue.cancel(_ref(ref, request.account))
