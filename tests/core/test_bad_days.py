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


def test_a_flip_closes_an_entry_that_fills_while_it_is_being_cancelled():
    """The parent's stop has filled, the child's is cancelled for the flip and fills all the same: one more to close."""
    desk = loop(child("c1", k="0.5"))
    desk.happen(
        [
            Do("order", (Side.BUY, 5, OrderType.STOP_MARKET, 1)),
            Do("order", (Side.BUY, 1, OrderType.LIMIT, -3)),
            Do("order", (Side.SELL, 12, OrderType.MARKET)),
            Do("live", (10_000,)),
        ]
    ).calm()
    assert (desk.position(PARENT), desk.position("c1")) == (-6, -3)
    assert not [view for view in drifts(desk.copier.desk) if view.difference]


def test_an_exit_that_filled_where_the_parents_did_not_is_named_whenever_it_comes_out():
    """Both legs of a bracket fill on a mirrored child, and what a person holds there keeps a trim from mending it."""
    desk = loop(
        child("c1", k="-1", unfilled_entry=Unfilled(action="chase", after_ms=200)),
        amendable=frozenset(OrderType),
        budget={"orders_per_second": 1},
    )
    desk.happen(
        [
            Do("hand_trade", (0, Side.BUY, 8)),
            Do("bracket", (Side.SELL, 3, 4, 1), {"grouped": True}),
            Do("live", (3_000,)),
            Do("order", (Side.SELL, 10, OrderType.MARKET)),
        ]
    ).calm()
    (view,) = drifts(desk.copier.desk)
    assert (view.target, view.attributed) == (10, 7)
    assert [(cause.cause, cause.quantity) for cause in view.causes] == [("ahead", 3)]
