"""The life of a child order: one table (state, event) -> state, and the merging of reports that may be late or repeated.

What is not in the table is an error. The unlikely but real rows (a fill after a cancel, a report before the reply) are
in it.
"""

from __future__ import annotations

from copydesk.errors import CopydeskError
from copydesk.model import OrderStatus, Word


class State(Word):
    """`WAITING` was refused for now and goes out again; `MISSING` was sent, and the venue has no such order."""

    SENDING = "sending"
    UNKNOWN = "unknown"
    WAITING = "waiting"
    MISSING = "missing"
    WORKING = "working"
    PARTIAL = "partial"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"

    is_live: bool
    """Stands at the venue, as far as is known."""
    is_open: bool
    """May still become or be something at the venue."""
    is_ended: bool

    def __init__(self, word: str) -> None:
        self.is_live = word in ("working", "partial")
        self.is_ended = word in ("filled", "cancelled", "expired", "rejected")
        self.is_open = not self.is_ended


class Event(Word):
    ACCEPTED = "accepted"
    REFUSED = "refused"
    BUSY = "busy"
    LOST = "lost"
    NOT_FOUND = "not-found"
    SENT_AGAIN = "sent-again"
    GIVEN_UP = "given-up"
    FOUND = "found"
    NEW = "new"
    PARTLY = "partly-filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"


REPORTS = {
    OrderStatus.NEW: Event.NEW,
    OrderStatus.PARTIALLY_FILLED: Event.PARTLY,
    OrderStatus.FILLED: Event.FILLED,
    OrderStatus.CANCELLED: Event.CANCELLED,
    OrderStatus.EXPIRED: Event.EXPIRED,
    OrderStatus.REJECTED: Event.REJECTED,
}

_REPORTED = {
    Event.NEW: State.WORKING,
    Event.PARTLY: State.PARTIAL,
    Event.FILLED: State.FILLED,
    Event.CANCELLED: State.CANCELLED,
    Event.EXPIRED: State.EXPIRED,
    Event.REJECTED: State.REJECTED,
}


_ENDED = tuple(state for state in State if state.is_ended)


def _table() -> dict[tuple[State, Event], State]:
    table: dict[tuple[State, Event], State] = {}
    # Before the venue is known to have it, any report decides: it may overtake the reply, or settle what was unknown.
    for state in (State.SENDING, State.UNKNOWN, State.WAITING, State.MISSING):
        for event, reported in _REPORTED.items():
            table[state, event] = reported
        table[state, Event.ACCEPTED] = State.WORKING
    table[State.SENDING, Event.REFUSED] = State.REJECTED
    table[State.SENDING, Event.BUSY] = State.WAITING
    table[State.SENDING, Event.LOST] = State.UNKNOWN
    table[State.UNKNOWN, Event.LOST] = State.UNKNOWN
    table[State.UNKNOWN, Event.NOT_FOUND] = State.MISSING
    table[State.UNKNOWN, Event.REFUSED] = State.REJECTED  # a reply that comes after the deadline
    table[State.UNKNOWN, Event.BUSY] = State.WAITING
    for state in (State.WAITING, State.MISSING):
        table[state, Event.SENT_AGAIN] = State.SENDING
        table[state, Event.GIVEN_UP] = State.REJECTED
    for state in (State.REJECTED, State.CANCELLED):
        table[state, Event.FOUND] = State.WORKING  # it was given up because the venue did not know it, and stands after all
    # At the venue.
    for event, reported in _REPORTED.items():
        table[State.WORKING, event] = reported
        table[State.PARTIAL, event] = reported
    table[State.PARTIAL, Event.NEW] = State.PARTIAL  # late, or an amend of the total
    for state in (State.WORKING, State.PARTIAL, *_ENDED):
        # The reply overtaken by reports, or a refusal of a repeated send: the reports know better.
        for event in (Event.ACCEPTED, Event.REFUSED, Event.BUSY, Event.LOST):
            table[state, event] = state
    table[State.WORKING, Event.NOT_FOUND] = State.WORKING
    table[State.PARTIAL, Event.NOT_FOUND] = State.PARTIAL
    # Ended: late reports change nothing, except that a fill may race a cancel and complete the order.
    for state in _ENDED:
        for event in _REPORTED:
            table[state, event] = state
        table[state, Event.NOT_FOUND] = state
    for state in (State.CANCELLED, State.EXPIRED, State.REJECTED):
        table[state, Event.FILLED] = State.FILLED
    return table


TABLE = _table()


class TrackingError(CopydeskError):
    """Something that the table of order states does not know happened: a defect."""


def step(state: State, event: Event) -> State:
    """The state that follows. Raises `TrackingError` for a pair that the table does not have."""
    try:
        return TABLE[state, event]
    except KeyError:
        raise TrackingError(f"an order that is {state} cannot be {event}") from None
