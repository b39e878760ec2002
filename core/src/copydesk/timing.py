"""How long copies take: per child, and stage by stage."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field

from copydesk.inputs import Cancel, Modify, Place, PlaceGroup
from copydesk.model import OrderType
from copydesk.view import Latency, LatencyView

KEPT = 512
AWAITED = 10_000
"""So many market orders at the most are waited for to fill; the oldest are given up."""


class Times:
    """The latest times in nanoseconds, the oldest overwritten. Eight bytes each: there are some for every child."""

    __slots__ = ("_count", "_values")

    def __init__(self) -> None:
        self._values = array("q")
        self._count = 0

    def add(self, nanoseconds: int) -> None:
        if self._count < KEPT:
            self._values.append(nanoseconds)
        else:
            self._values[self._count % KEPT] = nanoseconds
        self._count += 1

    @property
    def latency(self) -> Latency | None:
        """Percentiles by nearest rank, or `None` where nothing was timed yet."""
        if not self._values:
            return None
        ordered = sorted(self._values)
        last = len(ordered) - 1
        return Latency(
            count=len(ordered),
            p50_us=ordered[last // 2] // 1000,
            p99_us=ordered[last * 99 // 100] // 1000,
            max_us=ordered[-1] // 1000,
        )


@dataclass(slots=True)
class Marks:
    """The moments of one input on its way to the venues (`time.perf_counter_ns()`), zero where it did not come to that."""

    received_ns: int  # its bytes were read
    decoded_ns: int  # and understood
    journalled_ns: int = 0
    planned_ns: int = 0  # the first request is known
    told: bool = False  # the waterfall has them


@dataclass(slots=True)
class ChildTimes:
    sent: Times = field(default_factory=Times)
    accepted: Times = field(default_factory=Times)
    latest_us: int | None = None


STAGES = ("decoded", "planned", "journalled", "sent", "acknowledged", "filled")


class Waterfall:
    """The stages of one bot's requests."""

    def __init__(self) -> None:
        self.stages = {stage: Times() for stage in STAGES}
        self.fired = self.waited = 0
        self._awaited: dict[tuple[str, str], int] = {}  # when the event was read of a market order that was answered
        self._overtaken: dict[tuple[str, str], int] = {}  # when the first fill was told of one that was not

    def settled(
        self, request: Place | PlaceGroup | Modify | Cancel, marks: Marks, sent_ns: int, answered_ns: int, *, fired: bool
    ) -> None:
        """A request has its outcome."""
        began, stages = marks.received_ns, self.stages
        if not marks.told:
            marks.told = True
            stages["decoded"].add(marks.decoded_ns - began)
            stages["planned"].add(marks.planned_ns - began)
            stages["journalled"].add(marks.journalled_ns - began)
        stages["sent"].add(sent_ns - began)
        stages["acknowledged"].add(answered_ns - began)
        self.fired += fired
        self.waited += not fired
        if isinstance(request, Place) and request.order.terms.type is OrderType.MARKET:
            key = (request.account, request.client_id)
            filled_ns = self._overtaken.pop(key, 0)
            if filled_ns:
                stages["filled"].add(filled_ns - began)
            else:
                _keep(self._awaited, key, began)

    def filled(self, account: str, client_id: str, at_ns: int) -> None:
        """A fill of ours was told. It may overtake the answer."""
        began = self._awaited.pop((account, client_id), 0)
        if began:
            self.stages["filled"].add(at_ns - began)
        elif (account, client_id) not in self._overtaken:
            _keep(self._overtaken, (account, client_id), at_ns)

    def view(self, bot: str) -> LatencyView:
        stages = {stage: latency for stage, times in self.stages.items() if (latency := times.latency) is not None}
        return LatencyView(bot=bot, stages=stages, fired=self.fired, waited=self.waited)


def _keep(times: dict[tuple[str, str], int], key: tuple[str, str], at_ns: int) -> None:
    times[key] = at_ns
    if len(times) > AWAITED:
        del times[next(iter(times))]
