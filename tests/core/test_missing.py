"""What is missing, copied now because a person says so: what a plan says of it, and that it can be done in any state."""

from __future__ import annotations

import pytest
from copydesk.drifting import drifts
from copydesk.inputs import BotStopped, MissingCopied, Place
from copydesk.missing import plan_missing
from copydesk.model import OrderType, Rejected, RejectReason
from copydesk.plans import MissingPlan
from harness.closed_loop import PARENT, ClosedLoop, D, child

SYMBOL = "BTCUSDT"


def loop(**more: object) -> ClosedLoop:
    return ClosedLoop((child("c1", k="0.5", **more),)).start()


def plan(desk: ClosedLoop) -> MissingPlan:
    return plan_missing(desk.copier.desk, "bot", "c1", SYMBOL, "net", desk.now_ns)


def copy(desk: ClosedLoop) -> ClosedLoop:
    desk.feed(MissingCopied(at_ns=desk.now_ns, bot="bot", child="c1", symbol=SYMBOL, position_side="net", actor="ann"))
    return desk.settle()


def is_even(desk: ClosedLoop) -> bool:
    return not any(view.difference for view in drifts(desk.copier.desk))


def refuse_once(desk: ClosedLoop, quantity: str) -> None:
    """The parent buys, and the child's venue takes nothing."""
    desk.fault = lambda intent: (
        Rejected(reason=RejectReason.PERMISSION, message="not today") if isinstance(intent, Place) else None
    )
    desk.buy(quantity)
    desk.settle()
    desk.fault = lambda intent: None


def test_what_was_refused_is_bought_and_followed_to_the_end():
    desk = loop()
    refuse_once(desk, "2")
    (send,) = plan(desk).sends
    assert (send.what, send.terms.type, send.terms.quantity) == ("place", OrderType.MARKET, 1)
    copy(desk)
    assert desk.position("c1") == 1
    assert is_even(desk)
    desk.sell("1")
    desk.settle()
    assert desk.position("c1") == D("0.5")
    desk.sell("1")
    desk.settle()
    assert desk.position("c1") == 0


def test_a_child_that_missed_the_whole_episode_joins_it_at_its_ratio():
    desk = loop()
    desk.disconnect("c1")
    desk.buy("2")
    desk.settle()
    desk.pass_time(120_000)  # beyond the catch-up window
    desk.reconnect("c1")
    desk.settle()
    assert desk.position("c1") == 0
    copy(desk)
    assert desk.position("c1") == 1
    desk.buy("1")
    desk.settle()
    assert desk.position("c1") == D("1.5")
    assert is_even(desk)


def test_what_rests_is_on_its_way_and_not_missing():
    desk = loop()
    desk.buy("2", type=OrderType.LIMIT, price=D(99))
    desk.settle()
    assert plan(desk).refusals
    assert not plan(desk).sends


def test_asked_twice_it_is_sent_once():
    desk = loop()
    refuse_once(desk, "2")
    before = len(desk.placed("c1"))
    given = MissingCopied(at_ns=desk.now_ns, bot="bot", child="c1", symbol=SYMBOL, position_side="net")
    desk.feed(given)
    desk.feed(given)
    desk.settle()
    assert len(desk.placed("c1")) == before + 1
    assert desk.position("c1") == 1
    assert plan(desk).refusals == ("nothing is missing in BTCUSDT on c1: it holds what it should",)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda desk: desk.disconnect("c1"), "c1 is not connected"),
        (lambda desk: desk.disconnect(PARENT), "parent is not connected"),
        (lambda desk: desk.feed(BotStopped(at_ns=desk.now_ns, bot="bot")), "does not work"),
    ],
)
def test_why_it_cannot_be_done_is_said_and_nothing_is_sent(spoil, says):
    desk = loop()
    refuse_once(desk, "2")
    spoil(desk)
    desk.settle()
    (refusal,) = plan(desk).refusals
    assert says in refusal
    before = len(desk.placed("c1"))
    copy(desk)
    assert len(desk.placed("c1")) == before


def test_a_symbol_that_nobody_follows_is_said():
    desk = loop()
    found = plan_missing(desk.copier.desk, "bot", "c1", "ETHUSDT", "net", desk.now_ns)
    assert found.refusals == ("bot 'bot' follows nothing in ETHUSDT on c1",)
