"""Rule 13: what becomes of the children's orders and positions when a bot is stopped."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from copydesk import trimming
from copydesk.drifting import drifts
from copydesk.forecast import plan_stop
from copydesk.ids import TICKET, TRIM
from copydesk.inputs import BotStopped, Cancel, Decision, EngineStarted, Note, Place, Ticked
from copydesk.model import OrderType, PositionSide, Rejected, RejectReason, Side, Terms, Unknown
from copydesk.sending import Run
from copydesk.state import ChildOrder, Link, Op
from copydesk.stopping import clear
from copydesk.stopping import stop as begin_stop
from copydesk.tracking import State
from copydesk.views import health
from harness.closed_loop import PARENT, SYMBOL, ClosedLoop, D, child


def busy() -> ClosedLoop:
    """The child holds 2, protected by a stop, with an entry of 1 that rests."""
    desk = ClosedLoop((child("c1", k="1"),)).start()
    desk.buy("2")
    desk.sell("2", type=OrderType.STOP_MARKET, trigger="55000", reduce_only=True)
    desk.buy("1", price="59000")
    desk.settle()
    assert desk.position("c1") == 2
    assert len(desk.working("c1")) == 2
    return desk


def stop(desk: ClosedLoop, policy: str) -> ClosedLoop:
    desk.feed(BotStopped(at_ns=desk.now_ns, bot="bot", policy=policy))
    return desk.settle()


def types(desk: ClosedLoop) -> set[OrderType]:
    return {terms.type for terms in desk.working("c1")}


@pytest.mark.parametrize(
    ("policy", "left", "position"),
    [
        ("leave", {OrderType.STOP_MARKET, OrderType.LIMIT}, 2),
        ("cancel_entries", {OrderType.STOP_MARKET}, 2),
        ("cancel_all", set(), 2),
        ("flatten", set(), 0),
    ],
)
def test_each_policy_leaves_what_it_says(policy: str, left: set[OrderType], position: int):
    desk = stop(busy(), policy)
    assert types(desk) == left
    assert desk.position("c1") == position
    bot = desk.copier.desk.bots["bot"]
    assert not bot.working
    assert not bot.ending
    assert health(desk.copier.desk, bot, "c1") == ("unmanaged" if position else "in sync")
    sent = len(desk.sent)
    desk.sell("2")
    desk.settle()
    assert len(desk.sent) == sent


def test_flatten_closes_what_was_copied_and_nothing_else():
    desk = busy()
    desk.exchange.place("c1", Terms(symbol=SYMBOL, side=Side.BUY, type=OrderType.MARKET, quantity=D(3)))
    stop(desk, "flatten")
    assert desk.position("c1") == 3
    closing = [i for i in desk.intents if isinstance(i, Place)][-1]
    assert closing.order.terms.reduce_only
    assert closing.why == "flatten"


def test_flatten_waits_for_the_cancels_before_it_closes():
    desk = busy()
    desk.feed(BotStopped(at_ns=desk.now_ns, bot="bot", policy="flatten"))
    assert {type(i) for i in desk.queue} == {Cancel}
    desk.settle()
    assert desk.position("c1") == 0


def test_a_child_that_is_away_is_dealt_with_when_it_is_back():
    desk = busy()
    desk.disconnect("c1")
    stop(desk, "flatten")
    assert desk.position("c1") == 2
    assert desk.copier.desk.bots["bot"].ending == "flatten"
    desk.reconnect("c1")
    desk.settle()
    assert desk.position("c1") == 0
    assert desk.said("stop-done")


def test_a_crash_in_the_middle_of_a_stop_changes_nothing_of_its_end():
    desk = busy()
    desk.feed(BotStopped(at_ns=desk.now_ns, bot="bot", policy="flatten"))
    desk.queue.clear()  # nothing reached the venue
    desk.feed(EngineStarted(at_ns=desk.now_ns))
    for account in (PARENT, "c1"):
        desk.reread(account)
    desk.settle()
    assert desk.position("c1") == 0
    assert desk.working("c1") == []


def test_a_cancel_whose_fate_is_unknown_is_asked_for_and_repeated():
    desk = busy()
    lost = []

    def lose(intent: object) -> Unknown | None:
        if isinstance(intent, Cancel) and len(lost) < 2:
            lost.append(intent)
            return Unknown(message="lost")
        return None

    desk.fault = lose  # type: ignore[assignment]
    stop(desk, "cancel_all")
    assert len(lost) == 2
    assert desk.working("c1") == []


def test_a_flatten_that_the_venue_refuses_tells_a_person():
    desk = busy()
    desk.fault = lambda i: (
        Rejected(reason=RejectReason.OTHER, message="not today") if isinstance(i, Place) and i.why == "flatten" else None
    )
    stop(desk, "flatten")
    assert desk.position("c1") == 2
    assert desk.said("trim-failed")
    assert not desk.copier.desk.bots["bot"].ending


# --- winding down -----------------------------------------------------------------------------------------------------


def test_wind_down_opens_nothing_follows_exits_and_stops_when_flat():
    desk = stop(busy(), "wind_down")
    bot = desk.copier.desk.bots["bot"]
    assert types(desk) == {OrderType.STOP_MARKET}
    assert bot.working
    desk.buy("5")
    desk.settle()
    assert desk.position("c1") == 2
    assert desk.said("winding-down")
    desk.sell("3.5")  # half of seven
    desk.settle()
    assert desk.position("c1") == 1
    assert all(row.cause for row in drifts(desk.copier.desk) if row.difference)
    desk.sell("3.5")
    desk.settle()
    assert desk.position("c1") == 0
    assert not bot.working
    assert bot.wound_down
    assert desk.working("c1") == []
    assert desk.said("wound-down")


def test_wind_down_follows_a_flip_to_flat_only():
    desk = stop(busy(), "wind_down")
    desk.sell("5")
    desk.settle()
    assert desk.position("c1") == 0
    assert not desk.copier.desk.bots["bot"].working


def test_wind_down_keeps_protection():
    desk = stop(busy(), "wind_down")
    desk.prices(D(54_000))
    desk.settle()
    assert desk.position("c1") == 0
    assert not desk.copier.desk.bots["bot"].working


def test_wind_down_of_a_flat_bot_stops_at_once():
    desk = ClosedLoop((child("c1", k="1"),)).start()
    desk.buy("1", price="59000")
    desk.settle()
    stop(desk, "wind_down")
    assert desk.working("c1") == []
    assert not desk.copier.desk.bots["bot"].working


# --- the plan ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("policy", ["leave", "wind_down", "cancel_entries", "cancel_all", "flatten"])
def test_the_plan_says_what_is_cancelled_and_closed(policy: str):
    desk = busy()
    plan = plan_stop(desk.copier.desk, "bot", policy)
    expected = {
        "leave": [],
        "wind_down": ["cancel"],
        "cancel_entries": ["cancel"],
        "cancel_all": ["cancel", "cancel"],
        "flatten": ["cancel", "cancel", "place"],
    }[policy]
    assert sorted(send.what for send in plan.sends) == expected
    assert bool(plan.warnings) is (policy == "cancel_all")
    sent = len(desk.sent)
    stop(desk, policy)
    assert sorted(what.lower() for _, _, what in desk.sent[sent:]) == expected


def test_the_plan_of_cancel_all_says_which_orders_protect():
    plan = plan_stop(busy().copier.desk, "bot", "cancel_all")
    assert {send.terms.type for send in plan.sends if send.protects} == {OrderType.STOP_MARKET}
    assert "without protection" in plan.warnings[0]


# --- what was left ----------------------------------------------------------------------------------------------------


def test_orders_that_a_stopped_bot_left_are_no_strangers_but_those_of_another_engine_are():
    desk = stop(busy(), "leave")
    desk.start()
    desk.reread("c1")
    assert desk.said("stranger") == []
    theirs = Terms(symbol=SYMBOL, side=Side.BUY, type=OrderType.LIMIT, quantity=D(1), price=D(50_000))
    desk.exchange.place("c1", theirs, "cdk-somebodyelses-c0")
    desk.reread("c1")
    desk.reread("c1")
    (text,) = desk.said("stranger")
    assert "cdk-somebodyelses-c0" in text


# --- the parts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("working", [True, False])
@pytest.mark.parametrize(
    ("policy", "works", "winds", "ending", "looked_at"),
    [
        ("leave", False, False, "", 0),
        ("wind_down", True, True, "", 1),
        ("cancel_entries", False, False, "cancel_entries", 1),
        ("cancel_all", False, False, "cancel_all", 1),
        ("flatten", False, False, "flatten", 1),
    ],
)
def test_what_a_stop_makes_of_a_bot(policy: str, works: bool, winds: bool, ending: str, looked_at: int, working: bool):
    desk = busy().copier.desk
    bot = desk.bots["bot"]
    bot.working, bot.winding, bot.silent = working, working, "hold"
    links = begin_stop(Run(desk, []), BotStopped(at_ns=1, bot="bot", policy=policy))
    assert (bot.working, bot.winding, bot.ending, bot.silent) == (works and working, winds and working, ending, "")
    assert len(links) == (looked_at if working or policy != "wind_down" else 0)


def cleared(
    policy: str, *, ending: str = "", change: Callable[[Link], None] = lambda link: None
) -> tuple[bool, list[Decision]]:
    """What `clear` says and sends for a child that holds 2, protected by a stop, with an entry that rests."""
    desk = busy().copier.desk
    bot = desk.bots["bot"]
    bot.ending = ending
    (link,) = bot.links.values()
    change(link)
    run = Run(desk, [], 1)
    return clear(run, bot, link, policy), run.decisions


@pytest.mark.parametrize(
    ("policy", "done", "cancels"),
    [
        ("", True, 0),
        ("leave", True, 0),
        ("wind_down", False, 1),
        ("cancel_entries", False, 1),
        ("cancel_all", False, 2),
        ("flatten", False, 2),
    ],
)
def test_what_a_policy_takes_away_is_cancelled(policy: str, done: bool, cancels: int):
    found, sent = cleared(policy, ending=policy)
    assert (found, len(sent)) == (done, cancels)
    assert {one.why for one in sent if isinstance(one, Cancel)} <= {"the bot is stopped"}


def test_a_silent_parent_is_the_reason_where_the_bot_is_not_stopped():
    _, sent = cleared("flatten")
    assert {one.why for one in sent if isinstance(one, Cancel)} == {"the parent is silent"}


@pytest.mark.parametrize(
    ("side", "attributed", "overdrawn"),
    [
        (PositionSide.LONG, "0.5", False),
        (PositionSide.LONG, "-0.5", True),
        (PositionSide.SHORT, "-0.5", False),
        (PositionSide.SHORT, "0.5", True),
        (PositionSide.NET, "-0.5", False),
    ],
)
def test_a_book_of_a_hedge_that_is_on_the_other_side_has_nothing_to_reduce(
    side: PositionSide, attributed: str, overdrawn: bool
):
    bot = ClosedLoop((child("c1", k="1"),)).copier.desk.bots["bot"]
    link = bot.link(bot.rules.children[0], (SYMBOL, side))
    link.attributed = D(attributed)
    assert trimming._is_overdrawn(link) is overdrawn


@pytest.mark.parametrize(("enforces", "leg", "wanted"), [(True, TRIM, 2), (False, TICKET, 2), (False, TRIM, 0)])
def test_what_a_person_or_a_rule_asked_for_is_sent_again_whole_and_a_trim_only_for_what_is_too_much(
    enforces: bool, leg: str, wanted: int
):
    desk = ClosedLoop((child("c1", k="1"),)).start()
    bot = desk.copier.desk.bots["bot"]
    link = bot.link(bot.rules.children[0], (SYMBOL, PositionSide.NET))
    terms = Terms(symbol=SYMBOL, side=Side.SELL, type=OrderType.MARKET, quantity=D(2))
    order = ChildOrder(client_id="x", account="c1", terms=terms, cause="p", leg=leg, enforces=enforces, state=State.MISSING)
    assert trimming._still_wanted(Run(desk.copier.desk, [], desk.now_ns), bot, link, order) == wanted


def only_a_correction(link: Link) -> None:
    link.corrections = [pair.orders[0] for pair in link.pairs.values() if pair.open][:1]
    link.pairs.clear()


@pytest.mark.parametrize(
    ("policy", "done", "cancels"),
    [("leave", True, 0), ("cancel_entries", True, 0), ("cancel_all", False, 1), ("flatten", False, 0)],
)
def test_what_flatten_sends_itself_is_waited_for_and_other_corrections_are_no_entries(
    policy: str, done: bool, cancels: int
):
    found, sent = cleared(policy, change=only_a_correction)
    assert (found, len(sent)) == (done, cancels)


@pytest.mark.parametrize("state", [State.WAITING, State.MISSING])
def test_what_never_reached_the_venue_is_given_up(state: State):
    def never_sent(link: Link) -> None:
        for pair in link.pairs.values():
            for order in pair.orders:
                order.state = state if order.state.is_open else order.state

    assert cleared("cancel_all", change=never_sent) == (True, [])


@pytest.mark.parametrize("spoil", ["away", "busy"])
def test_what_cannot_be_cancelled_now_is_waited_for(spoil: str):
    desk = busy().copier.desk
    bot = desk.bots["bot"]
    (link,) = bot.links.values()
    for order in link.orders:
        order.op = Op.MODIFY if spoil == "busy" else None
    desk.account("c1").connected = spoil != "away"
    run = Run(desk, [], 1)
    assert not clear(run, bot, link, "cancel_all")
    assert run.decisions == []


def test_once_wound_down_what_closes_nothing_any_more_goes_at_once():
    """Where the venue knows no reduce-only, a stop that stays would open the other side."""
    desk = ClosedLoop((child("c1", k="1"),), reduce_only=False).start()
    desk.buy("2")
    desk.sell("2", type=OrderType.STOP_MARKET, trigger="55000", reduce_only=True)
    desk.settle()
    desk.feed(BotStopped(at_ns=desk.now_ns, bot="bot", policy="wind_down"))
    desk.disconnect(PARENT)  # nothing that it does is heard any more
    (stop_order,) = desk.exchange.open_orders("c1")
    (link,) = desk.copier.desk.bots["bot"].links.values()
    link.attributed = D(0)
    desk.notes.clear()
    desk.feed(Ticked(at_ns=desk.now_ns))
    assert desk.said("wound-down")
    assert [intent.client_id for intent in desk.queue if isinstance(intent, Cancel)] == [stop_order.client_id]


@pytest.mark.parametrize("policy", ["cancel_entries", "wind_down"])
def test_the_plan_leaves_exits_alone_also_where_the_venue_knows_no_reduce_only(policy: str):
    desk = ClosedLoop((child("c1", k="1"),), reduce_only=False).start()
    desk.buy("2")
    desk.sell("2", type=OrderType.STOP_MARKET, trigger="55000", reduce_only=True)
    desk.settle()
    desk.copier.desk.bots["bot"].links["c1", (SYMBOL, PositionSide.NET)].attributed = D(1)
    plan = plan_stop(desk.copier.desk, "bot", policy)
    assert plan.sends == ()
    desk.feed(BotStopped(at_ns=desk.now_ns, bot="bot", policy=policy))
    assert not [one for one in desk.queue if isinstance(one, Cancel) and one.why == "the bot is stopped"]


def test_the_end_of_a_stop_is_told_of_the_bot():
    desk = stop(busy(), "flatten")
    assert desk.notes[-1] == Note(
        level="info", kind="stop-done", text="bot 'bot': what its stop asked for is done: flatten", bot="bot"
    )
