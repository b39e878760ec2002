"""What is missing, copied now because a person says so: what a plan says of it, and that it can be done in any state."""

from __future__ import annotations

import pytest
from copydesk.drifting import drifts
from copydesk.ids import TICKET, client_order_id
from copydesk.inputs import BotStopped, LimitSet, MissingCopied, Place
from copydesk.missing import plan_missing
from copydesk.model import OrderType, PositionSide, Rejected, RejectReason, Side, Terms
from copydesk.plans import MissingPlan, PlannedSend
from harness.closed_loop import PARENT, ClosedLoop, D, child, instrument

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
    refusals = ("bot 'bot' follows nothing in ETHUSDT on c1",)
    assert found == MissingPlan(bot="bot", child="c1", symbol="ETHUSDT", position_side="net", refusals=refusals)


# --- what exactly is sent ---------------------------------------------------------------------------------------------


def link_of(desk: ClosedLoop):
    (link,) = desk.copier.desk.bots["bot"].links.values()
    return link


def market(side: Side, quantity: str, **more: object) -> Terms:
    return Terms(symbol=SYMBOL, side=side, type=OrderType.MARKET, quantity=D(quantity), **more)  # type: ignore[arg-type]


def test_a_plan_tells_all_that_there_is_and_what_would_be_sent():
    desk = loop()
    refuse_once(desk, "2")
    found = plan(desk)
    send = PlannedSend(account="c1", what="place", terms=market(Side.BUY, "1"), protects=False)
    assert len(found.digest) == 16
    assert found == MissingPlan(
        bot="bot", child="c1", symbol=SYMBOL, position_side="net", target=D(1), sends=(send,), digest=found.digest
    )
    refuse_once(desk, "2")
    assert plan(desk).digest != found.digest
    resting = loop()
    resting.buy("2", price="59000")
    resting.settle()
    assert (plan(resting).target, plan(resting).attributed, plan(resting).in_flight) == (0, 0, 1)


@pytest.mark.parametrize(("actor", "asked"), [("ann", "asked for by ann: "), ("", "asked for: ")])
def test_the_order_has_the_name_of_the_moment_and_the_log_says_who_asked(actor, asked):
    desk = loop()
    refuse_once(desk, "2")
    given = MissingCopied(at_ns=desk.now_ns, bot="bot", child="c1", symbol=SYMBOL, position_side="net", actor=actor)
    desk.feed(given)
    (order,) = link_of(desk).corrections
    assert order.cause == f"{SYMBOL}/net/missing/{given.at_ns}"
    assert order.client_id == client_order_id("bot", "c1", order.cause, TICKET)
    assert (order.leg, order.exit, order.terms) == (TICKET, False, market(Side.BUY, "1"))
    (note,) = [note for note in desk.notes if note.kind == "missing"]
    assert note.text == f"{asked}what is missing is copied now, buy 1.000 {SYMBOL}"
    assert note.data["client_id"] == order.client_id


def test_a_child_that_may_open_nothing_is_told_so_and_may_reduce():
    desk = loop()
    refuse_once(desk, "2")
    desk.feed(LimitSet(at_ns=desk.now_ns, account="c1", state="close_only"))
    assert plan(desk).refusals == ("c1 is close_only: nothing is opened there until that is lifted",)
    link_of(desk).attributed = D(3)
    found = plan(desk)
    assert found.refusals == ()
    assert [(send.terms.side, send.terms.quantity, send.protects) for send in found.sends] == [(Side.SELL, 2, True)]


def test_who_holds_the_other_side_closes_that_and_no_more():
    desk = loop()
    desk.buy("2")
    desk.settle()
    desk.fault = lambda intent: Rejected(reason=RejectReason.PERMISSION, message="not today")
    desk.sell("8")
    desk.deliver()
    desk.carry_out()
    desk.fault = lambda intent: None
    link = link_of(desk)
    for order in link.orders:
        order.terms = market(Side.BUY, "1")  # nothing of it is on its way there
    (send,) = plan(desk).sends
    assert (plan(desk).target, plan(desk).attributed) == (-3, 1)
    assert send.terms == market(Side.SELL, "1", reduce_only=True)
    desk.feed(MissingCopied(at_ns=desk.now_ns, bot="bot", child="c1", symbol=SYMBOL, position_side="net"))
    assert link.corrections[-1].exit


@pytest.mark.parametrize("side", [1, -1])
def test_a_child_that_was_never_in_the_episode_joins_at_the_ratio_of_now(side):
    desk = ClosedLoop((child("c1", percent="100"),), cash={PARENT: D(1_000_000), "c1": D(500_000)}).start()
    (desk.buy if side > 0 else desk.sell)("2")
    desk.deliver()
    desk.queue.clear()
    link = link_of(desk)
    link.pairs.clear()
    link.ratios.clear()
    (send,) = plan(desk).sends
    assert (send.terms.side.sign, send.terms.quantity) == (side, 1)
    late = plan_missing(desk.copier.desk, "bot", "c1", SYMBOL, "net", desk.now_ns + 3_600_000_000_000)
    assert not late.sends
    assert "old" in late.refusals[0]
    desk.feed(MissingCopied(at_ns=desk.now_ns, bot="bot", child="c1", symbol=SYMBOL, position_side="net"))
    assert list(link.ratios) == [side]
    assert round(link.ratios[side], 3) == D("0.5")


def test_what_is_too_small_for_the_venue_is_said():
    desk = ClosedLoop((child("c1", k="0.5"),), instrument=instrument(minimum="100")).start()
    desk.buy("0.002")
    desk.settle()
    (refusal,) = plan(desk).refusals
    assert refusal.startswith("what is missing is too small to be sent: ")
    desk.copier.desk.prices.clear()
    assert plan(desk).sends, "where no price is known, the venue has to say so"
    link_of(desk).price = D(60_000)
    assert not plan(desk).sends


@pytest.mark.parametrize(
    ("k", "parents", "childs", "side"),
    [
        ("1", PositionSide.LONG, PositionSide.LONG, Side.BUY),
        ("1", PositionSide.SHORT, PositionSide.SHORT, Side.SELL),
        ("-1", PositionSide.LONG, PositionSide.SHORT, Side.SELL),
    ],
)
def test_in_hedge_mode_it_goes_into_the_side_book_of_the_child(k, parents, childs, side):
    desk = ClosedLoop((child("c1", k=k),), hedge=True).start()
    desk.fault = lambda intent: Rejected(reason=RejectReason.PERMISSION, message="not today")
    place = desk.buy if parents is PositionSide.LONG else desk.sell
    place("2", position_side=parents)
    desk.settle()
    found = plan_missing(desk.copier.desk, "bot", "c1", SYMBOL, str(parents), desk.now_ns)
    assert [send.terms for send in found.sends] == [market(side, "2", position_side=childs)]
