"""Rate limits: fixed windows of the clock and buckets that fill up again, by address, account or whatever a venue counts.

A venue writes them into its own headers, under its own names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Limit(Protocol):
    """A count that may not grow beyond `limit`."""

    limit: int

    def take(self, amount: int, now_ms: int) -> bool:
        """Count so much; false where it is too much."""

    def remaining(self, now_ms: int) -> int:
        """What is left now, zero at least."""

    def resets_ms(self, now_ms: int) -> int:
        """When it is whole again: milliseconds since the epoch."""


class Window:
    """A count that starts anew with every full interval of the clock. What is too much is counted too."""

    __slots__ = ("_interval_ms", "_number", "count", "limit")

    def __init__(self, limit: int, interval_ms: int) -> None:
        self.limit = limit
        self.count = 0
        self._interval_ms = interval_ms
        self._number = 0

    def take(self, amount: int, now_ms: int) -> bool:
        self._turn(now_ms)
        self.count += amount
        return self.count <= self.limit

    def used(self, now_ms: int) -> int:
        """What was counted in the present interval."""
        self._turn(now_ms)
        return self.count

    def remaining(self, now_ms: int) -> int:
        return max(0, self.limit - self.used(now_ms))

    def resets_ms(self, now_ms: int) -> int:
        return now_ms - now_ms % self._interval_ms + self._interval_ms

    def resets_in_s(self, now_ms: int) -> int:
        """Whole seconds until the count starts anew, at least one."""
        return max(1, -(-(self.resets_ms(now_ms) - now_ms) // 1000))

    def _turn(self, now_ms: int) -> None:
        number = now_ms // self._interval_ms
        if number != self._number:
            self._number = number
            self.count = 0


class Bucket:
    """Tokens that come back steadily: `limit` in each `interval_ms`. What is too much takes none."""

    __slots__ = ("_interval_ms", "_level", "_measured_ms", "limit")

    def __init__(self, limit: int, interval_ms: int) -> None:
        self.limit = limit
        self._interval_ms = interval_ms
        self._level = limit * interval_ms  # in tokens times the interval, so that all of it is whole numbers
        self._measured_ms = 0

    def take(self, amount: int, now_ms: int) -> bool:
        self._fill(now_ms)
        wanted = amount * self._interval_ms
        if wanted > self._level:
            return False
        self._level -= wanted
        return True

    def remaining(self, now_ms: int) -> int:
        self._fill(now_ms)
        return self._level // self._interval_ms

    def resets_ms(self, now_ms: int) -> int:
        self._fill(now_ms)
        missing = self.limit * self._interval_ms - self._level
        return now_ms - -missing // self.limit

    def _fill(self, now_ms: int) -> None:
        passed = max(0, now_ms - self._measured_ms)
        self._level = min(self.limit * self._interval_ms, self._level + passed * self.limit)
        self._measured_ms = max(self._measured_ms, now_ms)


AnyLimit = TypeVar("AnyLimit", bound=Limit)


class Limits(Generic[AnyLimit]):
    """One limit for each address, account, or whatever is counted by."""

    def __init__(self, make: Callable[[], AnyLimit]) -> None:
        self._make = make
        self._of: dict[str, AnyLimit] = {}

    def __getitem__(self, key: str) -> AnyLimit:
        found = self._of.get(key)
        if found is None:
            found = self._of[key] = self._make()
        return found
