"""How faults are asked for, and when they fire."""

from __future__ import annotations

import pytest
from copydesk.errors import UsageError
from copydesk_paper.serving.faults import COUNT, EVERY, KEPT, Fault, Faults, parse_fault, read_fault


@pytest.mark.parametrize(
    ("spec", "fault"),
    [
        ("lose-reply", Fault(name="lose-reply", every=EVERY["lose-reply"], count=COUNT)),
        ("lose-reply:3", Fault(name="lose-reply", every=3, count=COUNT)),
        ("lose-reply:3:2@child1", Fault(name="lose-reply", every=3, count=2, account="child1")),
    ],
)
def test_specs(spec, fault):
    assert parse_fault(spec) == fault


@pytest.mark.parametrize("spec", ["", "earthquake", "stall:0", "stall:x", "stall:1:2:3", "go-away"])
def test_bad_specs_are_one_sentence(spec):
    with pytest.raises(UsageError) as error:
        parse_fault(spec, ("stall", "drop-stream"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"name": "nope"}', b'{"name": "stall", "every": 0}', b'{"name": 1}'])
def test_bad_bodies_are_refused(body):
    with pytest.raises(UsageError):
        read_fault(body)


def test_asked_for_by_the_control_endpoint_it_fires_next_and_once():
    faults = Faults()
    faults.add(read_fault(b'{"name": "stall", "account": "a", "seconds": 0.5}'))
    assert faults.fires("stall", "b") is None
    assert faults.fires("stall", "a").seconds == 0.5
    assert faults.fires("stall", "a") is None
    assert not faults.has("stall", "a")


def test_fires_on_every_nth_opportunity_of_each_account_until_its_count():
    faults = Faults(["lose-reply:3:3"])
    fired = [bool(faults.fires("lose-reply", "a")) for _ in range(7)]
    assert fired == [False, False, True, False, False, True, False]
    assert [bool(faults.fires("lose-reply", "b")) for _ in range(6)] == [False, False, True, False, False, False]
    assert faults.state()[0]["fired"] == 3


def test_clear_and_bound():
    faults = Faults(["stall", "reorder"])
    faults.clear("stall")
    assert [one["name"] for one in faults.state()] == ["reorder"]
    for _ in range(KEPT + 5):
        faults.add(Fault(name="stall"))
    assert len(faults.state()) == KEPT
    faults.clear()
    assert not faults.state()
