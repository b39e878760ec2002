"""How long copies take: per child, and stage by stage."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from copydesk.view import Latency

KEPT = 512


@dataclass(slots=True)
class Times:
    """The latest times in nanoseconds."""

    values: deque[int] = field(default_factory=lambda: deque(maxlen=KEPT))

    def add(self, nanoseconds: int) -> None:
        self.values.append(nanoseconds)

    @property
    def latency(self) -> Latency | None:
        """Percentiles by nearest rank, or `None` where nothing was timed yet."""
        if not self.values:
            return None
        ordered = sorted(self.values)
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


@dataclass(slots=True)
class ChildTimes:
    sent: Times = field(default_factory=Times)
    accepted: Times = field(default_factory=Times)
    latest_us: int | None = None
