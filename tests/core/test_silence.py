"""Rule 15: a parent that cannot be heard."""

from __future__ import annotations

import msgspec
import pytest
from copydesk.drifting import drifts
from copydesk.inputs import BotRules, BotStopped, Configured, EngineStarted, Note
from copydesk.model import OrderType
from harness.closed_loop import KIND, PARENT, ClosedLoop, D, child


def busy(action: str = "cancel_child_entries", after_ms: int = 30_000) -> ClosedLoop:
    """The child holds 2, protected by a stop, with an entry of 1 that rests."""
    desk = ClosedLoop((child("c1", k="1"),)).start()
    configure(desk, action, after_ms)
    desk.buy("2")
    desk.sell("2", type=OrderType.STOP_MARKET, trigger="55000", reduce_only=True)
    desk.buy("1", price="59000")
    return desk.settle()


def configure(desk: ClosedLoop, action: str, after_ms: int) -> None:
    rules: BotRules = desk.copier.desk.bots["bot"].rules
    rules = msgspec.structs.replace(rules, parent_silent_action=action, parent_silent_after_ms=after_ms)
    can = {KIND: desk.copier.desk.capabilities[KIND]}
    desk.feed(Configured(at_ns=desk.now_ns, bots=(rules,), capabilities=can))


def act(desk: ClosedLoop) -> None:
    """Whatever is due or waiting now, and nothing that is later."""
    for _ in range(20):
        desk.deliver()
        desk.carry_out()


def types(desk: ClosedLoop) -> set[OrderType]:
    return {terms.type for terms in desk.working("c1")}


def test_nothing_happens_for_half_a_minute_then_entries_go_and_protection_stays():
    desk = busy()
    desk.disconnect(PARENT)
    desk.pass_time(29_000)
    act(desk)
    assert types(desk) == {OrderType.LIMIT, OrderType.STOP_MARKET}
    desk.pass_time(1_500)
    act(desk)
    assert types(desk) == {OrderType.STOP_MARKET}
    assert desk.position("c1") == 2
    assert desk.said("parent-silent")


def test_back_again_its_entry_is_placed_anew():
    desk = busy()
    desk.disconnect(PARENT)
    desk.pass_time(31_000)
    act(desk)
    desk.reconnect(PARENT)
    desk.settle()
    assert types(desk) == {OrderType.LIMIT, OrderType.STOP_MARKET}
    assert desk.said("parent-back")
    desk.trade("59000", "1000")
    desk.settle()
    assert desk.position("c1") == 3


def test_what_was_filled_long_ago_meanwhile_is_not_made_up_for():
    desk = busy()
    desk.disconnect(PARENT)
    desk.pass_time(31_000)
    act(desk)
    desk.trade("59000", "1000")
    desk.pass_time(90_000)
    act(desk)
    desk.reconnect(PARENT, reach_back_ms=300_000)
    desk.settle()
    assert desk.position(PARENT) == 3
    assert desk.position("c1") == 2
    assert desk.said("stale")
    assert any("filled" in text for text in desk.said("inferred"))


def test_an_exit_meanwhile_is_followed_at_once():
    desk = busy()
    desk.disconnect(PARENT)
    desk.pass_time(90_000)
    act(desk)
    desk.sell("2")
    desk.pass_time(90_000)
    desk.reconnect(PARENT, reach_back_ms=300_000)
    desk.settle()
    assert desk.position("c1") == 0


def test_a_short_drop_cancels_nothing():
    desk = busy()
    desk.disconnect(PARENT)
    desk.pass_time(10_000)
    desk.reconnect(PARENT)
    desk.pass_time(60_000)
    act(desk)
    assert types(desk) == {OrderType.LIMIT, OrderType.STOP_MARKET}
    assert desk.said("parent-silent") == []


@pytest.mark.parametrize(
    ("action", "left", "position"),
    [("hold", {OrderType.LIMIT, OrderType.STOP_MARKET}, 2), ("flatten", set(), 0)],
)
def test_the_other_actions(action: str, left: set[OrderType], position: int):
    desk = busy(action)
    desk.disconnect(PARENT)
    desk.pass_time(31_000)
    act(desk)
    assert types(desk) == left
    assert desk.position("c1") == position


def test_what_was_flattened_is_not_bought_again_on_return():
    desk = busy("flatten")
    desk.disconnect(PARENT)
    desk.pass_time(31_000)
    act(desk)
    desk.reconnect(PARENT)
    desk.settle()
    assert desk.position("c1") == 0
    (row,) = drifts(desk.copier.desk)
    assert (row.difference, row.cause) == (D(2), "unmanaged")
    desk.sell("2")
    desk.settle()
    assert desk.position("c1") == 0


def test_the_time_may_be_changed_while_the_parent_is_silent():
    desk = busy()
    desk.disconnect(PARENT)
    desk.pass_time(6_000)
    act(desk)
    configure(desk, "cancel_child_entries", 5_000)
    desk.pass_time(1)
    act(desk)
    assert types(desk) == {OrderType.STOP_MARKET}


def test_after_a_start_a_parent_that_does_not_come_back_is_silent_too():
    desk = busy()
    desk.feed(EngineStarted(at_ns=desk.now_ns))
    desk.reread("c1")
    desk.pass_time(31_000)
    act(desk)
    assert types(desk) == {OrderType.STOP_MARKET}
    assert D(2) == desk.position("c1")


def test_a_parent_that_is_lost_twice_has_been_silent_since_the_first_time():
    desk = busy()
    desk.disconnect(PARENT)
    desk.pass_time(20_000)
    desk.disconnect(PARENT)
    desk.pass_time(9_999)
    assert not desk.said("parent-silent")
    desk.pass_time(1)
    (told,) = desk.said("parent-silent")
    assert told == "parent has been silent for 30 s: orders of its children that would open are cancelled"


def test_the_parent_of_a_bot_that_does_not_work_is_not_missed():
    desk = busy()
    desk.feed(BotStopped(at_ns=desk.now_ns, bot="bot"))
    desk.disconnect(PARENT)
    bot = desk.copier.desk.bots["bot"]
    assert (bot.silent_since_ns, desk.copier.next_due_ns) == (0, 0)
    desk.pass_time(60_000)
    assert (bot.silent, desk.said("parent-silent")) == ("", [])


def test_what_is_told_of_a_silence_names_the_bot_its_parent_and_the_order():
    desk = busy("hold")
    desk.disconnect(PARENT)
    desk.pass_time(30_000)
    order = desk.buy("1", price="58000")
    desk.pass_time(15_000)
    desk.reconnect(PARENT)
    about = {"bot": "bot", "account": PARENT}
    silent, *inferred, back = [note for note in desk.notes if note.kind in ("parent-silent", "inferred", "parent-back")]
    assert silent == Note(level="warn", kind="parent-silent", text=silent.text, **about)
    assert back == Note(
        level="info",
        kind="parent-back",
        text="parent is there again after 45 s: what it still wants is followed",
        **about,
    )
    (new,) = [note for note in inferred if note.data["parent_order"] == order.venue_id]
    assert new.text.startswith("inferred: ")
    assert (new.level, new.symbol, new.bot, new.account) == ("info", order.terms.symbol, "bot", PARENT)
