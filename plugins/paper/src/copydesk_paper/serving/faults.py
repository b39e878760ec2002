"""Faults that a rehearsal venue commits on request: which there are, how they are asked for, and when each one fires.

What a fault does is the server's affair; this module only counts opportunities, so that the same run has the same faults.
An opportunity is one event about to be sent (`drop-stream`, `duplicate-events`, `reorder`) or one request (the others).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from copydesk.errors import UsageError
from copydesk.model import Record

EVERY: Mapping[str, int] = {
    "drop-stream": 97,
    "lose-reply": 7,
    "lose-request": 7,
    "duplicate-events": 5,
    "reorder": 6,
    "stall": 29,
    "partial-fills": 1,
    "overload": 11,
    "429": 13,
    "5xx": 11,
    "-1007": 17,
    "clock-skew": 1,
    "go-away": 97,
    "refuse-margin": 7,
    "refuse-notional": 7,
    "refuse-price": 7,
    "refuse-permission": 7,
    "refuse-reduce-only": 7,
}
"""The faults that exist, and that one fires on every n-th opportunity by default. A server offers those it can commit."""
COUNT = 25
"""How often a fault fires by default before it stops."""
STALL_SECONDS = 2.0
KEPT = 100
SLICES = 3
"""Into how many executions `partial-fills` cuts an order."""


class Fault(Record):
    """A fault that was asked for: on every `every`-th opportunity, `count` times at most, of one account or (empty) of any.

    `seconds` is for faults that last: how long a stall takes, how far a clock is off, how long a server is away.
    """

    name: str
    every: int = 1
    count: int = 1
    account: str = ""
    seconds: float = STALL_SECONDS


def parse_fault(spec: str, known: Iterable[str] = tuple(EVERY)) -> Fault:
    """Read `name`, `name:every` or `name:every:count`, each with `@account` behind it where only one account is meant.

    Raises `UsageError` for a name that is not in `known` and for numbers that are not whole and positive.
    """
    terms, _, account = spec.partition("@")
    name, *numbers = terms.strip().split(":")
    _check_name(name, known)
    if len(numbers) > 2 or not all(number.isdecimal() and int(number) > 0 for number in numbers):
        raise UsageError(f"fault {spec!r}: write {name}, {name}:EVERY or {name}:EVERY:COUNT with whole numbers above zero")
    every = int(numbers[0]) if numbers else EVERY[name]
    return Fault(name=name, every=every, count=int(numbers[1]) if len(numbers) == 2 else COUNT, account=account.strip())


def read_fault(body: bytes, known: Iterable[str] = tuple(EVERY)) -> Fault:
    """Read the body of `POST /rehearsal/faults`; left out, it fires at the next opportunity, once. Raises `UsageError`."""
    try:
        fault = msgspec.json.decode(body, type=Fault)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise UsageError(f'this is not a fault: {error}; send for example {{"name": "drop-stream"}}') from error
    _check_name(fault.name, known)
    if fault.every < 1 or fault.count < 1 or fault.seconds < 0:
        raise UsageError(f"fault {fault.name}: every and count must be 1 or more, seconds 0 or more")
    return fault


def _check_name(name: str, known: Iterable[str]) -> None:
    offered = [one for one in EVERY if one in set(known)]
    if name not in offered:
        raise UsageError(f"unknown fault {name!r}: this venue can {', '.join(offered)}")


class Faults:
    """The faults in force. Ask `fires` at each opportunity; the answer depends on nothing but the questions before."""

    def __init__(self, specs: Iterable[str] = (), known: Iterable[str] = tuple(EVERY)) -> None:
        self.known = tuple(known)
        self._faults: list[_Scheduled] = []
        for spec in specs:
            self.add(parse_fault(spec, self.known))

    def add(self, fault: Fault) -> None:
        """Put a fault in force. At most `KEPT` are kept: the oldest is dropped for it."""
        del self._faults[: max(0, len(self._faults) - KEPT + 1)]
        self._faults.append(_Scheduled(fault))

    def clear(self, name: str = "") -> None:
        """End all faults, or those of one name."""
        self._faults = [scheduled for scheduled in self._faults if name and scheduled.fault.name != name]

    def has(self, name: str, account: str = "") -> bool:
        """True where such a fault is in force. Counts nothing."""
        return any(scheduled.concerns(name, account) for scheduled in self._faults)

    def fires(self, name: str, account: str = "") -> Fault | None:
        """Count an opportunity of this account for this fault. Returns the fault where it fires now."""
        fired = [
            scheduled.fault for scheduled in self._faults if scheduled.concerns(name, account) and scheduled.meets(account)
        ]
        return fired[0] if fired else None

    def state(self) -> list[dict[str, Any]]:
        """Each fault with how often it fired, as plain data."""
        return [{**msgspec.structs.asdict(scheduled.fault), "fired": scheduled.fired} for scheduled in self._faults]


class _Scheduled:
    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.fired = 0
        self._met: dict[str, int] = {}  # opportunities by account, so that accounts do not disturb each other

    def concerns(self, name: str, account: str) -> bool:
        fault = self.fault
        return fault.name == name and self.fired < fault.count and fault.account in ("", account)

    def meets(self, account: str) -> bool:
        met = self._met[account] = self._met.get(account, 0) + 1
        if met % self.fault.every:
            return False
        self.fired += 1
        return True
