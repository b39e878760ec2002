"""What a child lacks without anything telling why is said, with a ticket; what it has too much of goes by itself."""

from __future__ import annotations

import pytest
from copydesk.drifting import drifts
from copydesk.inputs import TicketSent
from copydesk.model import OrderType, PositionSide, Side, Terms
from copydesk.state import Link
from harness.closed_loop import PARENT, SYMBOL, ClosedLoop, D, child, instrument


def loop(*, k: str = "1", hedge: bool = False) -> ClosedLoop:
    return ClosedLoop((child("c1", k=k),), instrument=instrument("1", tick="1"), price=D(100), hedge=hedge).start()


def link(desk: ClosedLoop) -> Link:
    (found,) = desk.copier.desk.bots["bot"].links.values()
    return found


def loses(desk: ClosedLoop, quantity: str, account: str = "c1") -> None:
    """The child has that much less than its orders told, and nobody knows why."""
    side = Side.SELL if link(desk).attributed > 0 else Side.BUY
    held = next(position for position in desk.exchange.positions(account))
    terms = Terms(symbol=SYMBOL, side=side, type=OrderType.MARKET, quantity=D(quantity), position_side=held.position_side)
    desk.exchange.place(account, terms)
    desk.reports.clear()
    link(desk).attributed += side.sign * D(quantity)
    desk.reread(account)


@pytest.mark.parametrize(
    ("side", "hedge", "book"),
    [
        ("buy", False, PositionSide.NET),
        ("sell", False, PositionSide.NET),
        ("buy", True, PositionSide.LONG),
        ("sell", True, PositionSide.SHORT),
    ],
)
def test_what_is_lacking_leaves_a_ticket_that_brings_it(side, hedge, book):
    desk = loop(hedge=hedge)
    getattr(desk, side)("10", position_side=book)
    desk.settle()
    loses(desk, "4")
    missing = D(4) if side == "buy" else D(-4)
    assert link(desk).behind == missing
    (ticket,) = desk.copier.desk.tickets.values()
    assert (ticket.kind, ticket.bot, ticket.child, ticket.parent_order) == ("behind", "bot", "c1", "")
    assert ticket.terms == Terms(symbol=SYMBOL, side=Side(side), type=OrderType.MARKET, quantity=D(4), position_side=book)
    (note,) = [note for note in desk.notes if note.kind == "behind"]
    assert note.text == f"lacks 4 {SYMBOL}: its copies filled in another order than the parent's orders"
    assert note.level == "warn"
    (view,) = drifts(desk.copier.desk)
    assert (view.difference, view.cause) == (missing, "stale")
    desk.reread("c1")
    assert len(desk.copier.desk.tickets) == 1, "said once"
    desk.feed(TicketSent(at_ns=desk.now_ns, ticket=ticket.id))
    desk.settle()
    assert desk.position("c1", book) == (10 if side == "buy" else -10)


def test_a_step_is_rounding_and_needs_nobody():
    desk = loop()
    desk.buy("10")
    desk.settle()
    loses(desk, "1")
    assert desk.copier.desk.tickets == {}
    assert [view.cause for view in drifts(desk.copier.desk)] == ["rounding"]


def test_what_is_lacking_while_the_parent_is_away_is_not_said_yet():
    desk = loop()
    desk.buy("10")
    desk.settle()
    desk.disconnect(PARENT)
    loses(desk, "4")
    assert desk.copier.desk.tickets == {}
    assert [view.cause for view in drifts(desk.copier.desk)] == ["stale"]
    desk.reconnect(PARENT)
    assert [ticket.kind for ticket in desk.copier.desk.tickets.values()] == ["behind"]


def test_what_is_lacking_while_an_order_fills_is_not_said_yet():
    desk = loop()
    desk.buy("10")
    bid = desk.buy("2", price="90")
    desk.exchange.fill(PARENT, D(1), venue_id=bid.venue_id)
    desk.settle()
    loses(desk, "6")
    assert desk.copier.desk.tickets == {}, "the parent's order fills, and the child's copy may any moment"
    desk.cancel(bid)
    desk.settle()
    assert [ticket.terms.quantity for ticket in desk.copier.desk.tickets.values()] == [6]


def test_what_is_lacking_does_not_wait_for_what_only_rests():
    desk = loop()
    desk.buy("10")
    desk.buy("2", price="90")
    desk.settle()
    loses(desk, "6")
    assert [ticket.terms.quantity for ticket in desk.copier.desk.tickets.values()] == [6]


def test_what_is_held_the_wrong_way_is_not_bought():
    """Held short although it should be long: that reduces by itself first."""
    desk = loop()
    desk.buy("10")
    desk.settle()
    link(desk).attributed = D(-3)
    from copydesk.lacking import own_up
    from copydesk.sending import Run

    run = Run(desk=desk.copier.desk, due=[], at_ns=desk.now_ns)
    own_up(run, desk.copier.desk.bots["bot"], link(desk))
    assert (run.decisions, desk.copier.desk.tickets) == ([], {})
    link(desk).attributed, link(desk).detached = D(3), 1
    own_up(run, desk.copier.desk.bots["bot"], link(desk))
    assert (run.decisions, desk.copier.desk.tickets) == ([], {})
    link(desk).detached = 0
    own_up(run, desk.copier.desk.bots["bot"], link(desk))
    assert [ticket.terms.quantity for ticket in desk.copier.desk.tickets.values()] == [7]
