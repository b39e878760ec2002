"""What only the parent's position tells of: it is believed when two snapshots say so, and followed by the rules."""

from __future__ import annotations

from decimal import Decimal

import pytest
from copydesk.drifting import drifts
from copydesk.inputs import Place, Reported
from copydesk.model import Order, OrderEvent, OrderType, Side, TimeInForce
from harness.closed_loop import PARENT, SYMBOL, D, child, instrument
from harness.scenario.held import HeldLoop

MID = 1000
HALF, TRIPLE = child("half", k="0.5"), child("triple", k="3")
AT_ONCE = child("half", k="0.5", catch_up_max_age_ms=1)


class Unheard(HeldLoop):
    """The closed loop in which orders of the parent may be concealed."""

    latest: Order

    def order(self, side: Side, quantity: int, type_: OrderType = OrderType.MARKET, offset: int = 0) -> None:
        price = str(MID - side.sign * offset) if offset else None
        self.latest = self.parent_places(side, str(quantity), type=type_, price=price)

    def hide(self) -> None:
        self.conceal(self.latest.venue_id)


def desk(*children: object) -> Unheard:
    loop = Unheard(children or (HALF, TRIPLE), instrument=instrument("1", tick="1"), price=D(MID))  # type: ignore[arg-type]
    loop.start()
    loop.live(1_000)
    read(loop)  # parent and engine agree
    return loop


def read(loop: Unheard, times: int = 1) -> None:
    for _ in range(times):
        loop.pass_time(1_000)
        loop.reread(PARENT, since_ms=1)
        loop.live(500)


def causes(loop: Unheard) -> set[str]:
    return {view.cause for view in drifts(loop.copier.desk) if view.difference}


def held(loop: Unheard) -> list[Decimal]:
    return [loop.position(rules.account) for rules in loop.children]


def unseen(loop: Unheard, side: Side, quantity: int) -> None:
    loop.order(side, quantity)
    loop.hide()
    loop.live(100)


def test_an_order_that_nothing_told_of_is_followed_once_its_position_was_said_twice() -> None:
    loop = desk()
    unseen(loop, Side.SELL, 10)
    read(loop)
    assert held(loop) == [0, 0]
    read(loop)
    assert held(loop) == [-5, -30]
    assert loop.said("inferred") == [f"the parent holds -10 {SYMBOL}, -10 from what its orders tell: taken over"]
    entries = [intent.order.terms for intent in loop.intents if isinstance(intent, Place)]
    assert {(terms.type, terms.time_in_force) for terms in entries} == {(OrderType.LIMIT, TimeInForce.IOC)}
    assert causes(loop) == set()


def test_risk_is_reduced_at_once_however_old_it_is() -> None:
    loop = desk(AT_ONCE)
    loop.order(Side.BUY, 10)
    loop.live(100)
    assert held(loop) == [5]
    unseen(loop, Side.SELL, 6)
    read(loop, 2)
    assert held(loop) == [2]
    unseen(loop, Side.SELL, 4)
    read(loop, 2)
    assert held(loop) == [0]
    assert causes(loop) == set()


def test_risk_is_added_inside_the_window_only() -> None:
    loop = desk(AT_ONCE)
    unseen(loop, Side.BUY, 10)
    read(loop, 2)
    assert held(loop) == [0]
    assert causes(loop) == {"stale"}
    (missed,) = [note for note in loop.notes if note.kind == "stale"]
    assert "ticket" in missed.data


def test_a_flip_that_nothing_told_of_closes_and_opens() -> None:
    loop = desk()
    loop.order(Side.BUY, 10)
    loop.live(100)
    unseen(loop, Side.SELL, 14)
    read(loop, 2)
    assert held(loop) == [-2, -12]
    assert causes(loop) == set()


@pytest.mark.parametrize("hear", ["stream", "history"])
def test_the_order_behind_it_is_told_late_and_counts_once(hear: str) -> None:
    loop = desk()
    unseen(loop, Side.SELL, 10)
    read(loop, 2)
    sent = len(loop.sent)
    loop.concealed.clear()
    if hear == "stream":
        (order,) = loop.exchange.orders(PARENT)
        loop.feed(Reported(at_ns=loop.now_ns, account=PARENT, event=OrderEvent(order=order)))
    read(loop, 3)
    assert held(loop) == [-5, -30]
    assert len(loop.sent) == sent
    assert causes(loop) == set()
    loop.order(Side.BUY, 10)
    loop.live(100)
    assert held(loop) == [0, 0]


def test_an_order_that_is_missed_once_goes_on() -> None:
    """A snapshot that does not show a working order is no proof that it ended; two in a row are."""
    loop = desk()
    loop.order(Side.BUY, 10, OrderType.LIMIT, 5)
    loop.live(100)
    loop.hide()
    read(loop)
    assert [len(loop.working(rules.account)) for rules in loop.children] == [1, 1]
    read(loop)
    assert [len(loop.working(rules.account)) for rules in loop.children] == [0, 0]


def test_an_order_that_ended_as_far_as_was_known_and_then_filled_is_followed() -> None:
    loop = desk()
    loop.order(Side.SELL, 10, OrderType.LIMIT, 5)
    loop.live(100)
    loop.hide()
    read(loop, 2)
    assert loop.working("half") == []
    loop.concealed.clear()
    loop.prices(D(MID + 20))
    loop.live(100)
    assert loop.position(PARENT) == -10
    assert held(loop) == [-5, -30]
    assert causes(loop) == set()
    assert len({client_id for account, client_id, what in loop.sent if account == "half" and what == "Place"}) == 2
