"""The table of order states as a whole."""

from __future__ import annotations

import pytest
from copydesk.tracking import REPORTS, TABLE, Event, State, TrackingError, step
from hypothesis import given
from hypothesis import strategies as st

ENDED = {State.FILLED, State.CANCELLED, State.EXPIRED, State.REJECTED}
LIVE = {State.WORKING, State.PARTIAL}
NOWHERE = {State.WAITING, State.MISSING}
REPORTED = set(REPORTS.values())
ANSWERS = {Event.ACCEPTED, Event.REFUSED, Event.BUSY, Event.LOST}

IMPOSSIBLE = {
    # Only what the venue does not have is sent again or given up,
    *((state, event) for state in State if state not in NOWHERE for event in (Event.SENT_AGAIN, Event.GIVEN_UP)),
    # only what was given up is found after all,
    *((state, Event.FOUND) for state in State if state not in (State.REJECTED, State.CANCELLED)),
    # only what was sent and not answered can be found missing at first,
    *((state, Event.NOT_FOUND) for state in (State.SENDING, State.WAITING, State.MISSING)),
    # and what is not on its way is not answered, but for an answer that comes late.
    *((state, event) for state in NOWHERE for event in ANSWERS - {Event.ACCEPTED}),
}


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("event", list(Event))
def test_every_pair_is_in_the_table_or_raises(state, event):
    if (state, event) in IMPOSSIBLE:
        with pytest.raises(TrackingError, match=f"{state} cannot be {event}"):
            step(state, event)
    else:
        assert step(state, event) is TABLE[state, event]


def test_the_table_has_no_other_rows():
    assert set(TABLE) == {(state, event) for state in State for event in Event} - IMPOSSIBLE


def test_kinds_of_states_divide_them():
    for state in State:
        assert state.is_ended == (state in ENDED)
        assert state.is_open != state.is_ended
        assert state.is_live == (state in LIVE)


@pytest.mark.parametrize("state", sorted(ENDED))
def test_what_ended_stays_as_it_ended_but_for_a_fill_that_raced_it(state):
    for event in Event:
        if (state, event) in IMPOSSIBLE:
            continue
        wanted = {Event.FILLED: State.FILLED, Event.FOUND: State.WORKING}.get(event, state)
        assert step(state, event) is wanted


def test_a_report_decides_whatever_was_believed_before():
    for state in (State.SENDING, State.UNKNOWN, *NOWHERE):
        for status, event in REPORTS.items():
            assert step(state, event).is_ended == status.is_final


def run(state: State, events: list[Event]) -> list[State]:
    """The states passed through; an event that the table does not have is left out."""
    passed = [state]
    for event in events:
        if (passed[-1], event) in TABLE:
            passed.append(TABLE[passed[-1], event])
    return passed


events = st.lists(st.sampled_from([event for event in Event if event is not Event.FOUND]), max_size=40)
"""But for what was given up, and is found to have arrived after all."""


@given(st.sampled_from(list(State)), events)
def test_nothing_leads_from_ended_to_live(state, given_events):
    passed = run(state, given_events)
    first = next((n for n, at in enumerate(passed) if at.is_ended), len(passed))
    assert all(at.is_ended for at in passed[first:])


@given(events)
def test_what_filled_in_part_is_never_new_again(given_events):
    passed = run(State.SENDING, given_events)
    if State.PARTIAL in passed:
        assert State.WORKING not in passed[passed.index(State.PARTIAL) :]


@given(st.lists(st.sampled_from(sorted(REPORTED)), min_size=1, max_size=12))
def test_the_order_of_reports_does_not_matter_for_whether_it_ended(reports):
    """A venue may deliver late and twice: once one report was final, the order has ended, and a fill outweighs the rest."""
    for arranged in (reports, reports[::-1], sorted(reports), reports * 2):
        last = run(State.SENDING, list(arranged))[-1]
        assert last.is_ended == any(step(State.SENDING, report).is_ended for report in reports)
        assert (last is State.FILLED) == (Event.FILLED in reports)
