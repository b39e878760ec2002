"""Stories that once broke a promise, each with what should come of it. Hunts find them (test_properties.py)."""

from __future__ import annotations

from copydesk.drifting import drifts
from copydesk.inputs import Unfilled
from copydesk.model import OrderType, Side
from harness.closed_loop import PARENT, D, child, instrument
from harness.rough_loop import MID, Do, RoughLoop


def loop(*children, **more) -> RoughLoop:
    desk = RoughLoop(children, instrument=instrument("1", tick="1"), price=D(MID), **more)
    desk.start()
    return desk


def test_an_exit_that_got_lost_before_a_flip_is_named_by_what_it_lacks():
    """The flip was sized as though the exit would still arrive; when it never did, the child was short already."""
    desk = loop(child("c1", k="1", trigger="on_fill", unfilled_exit=Unfilled(action="chase")))
    desk.happen(
        [
            Do("order", (Side.BUY, 12, OrderType.MARKET)),
            Do("order", (Side.SELL, 3, OrderType.MARKET)),
            Do("trouble", (0, "fine", "lose-request")),
            Do("live"),
            Do("exit", (200,)),
        ]
    ).calm()
    assert (desk.position(PARENT), desk.position("c1")) == (-9, -6)
    (view,) = drifts(desk.copier.desk)
    assert [(cause.cause, cause.quantity) for cause in view.causes] == [("stale", -3)]
