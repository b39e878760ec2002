"""Rule 17: what people do by hand on a child. Above all: no exit that comes later opens the other way."""

from __future__ import annotations

import pytest
from copydesk.drifting import drifts
from copydesk.inputs import ChildRules, LimitSet
from copydesk.model import OrderType, PositionEvent, PositionSide, Side, Terms
from harness.closed_loop import PARENT, SYMBOL, ClosedLoop, D, child, instrument

MODES = ("coexist", "enforce", "yield")


def loop(*children: ChildRules, **more: object) -> ClosedLoop:
    return ClosedLoop(children, instrument=instrument("1", tick="1"), price=D(100), **more).start()  # type: ignore[arg-type]


def following(mode: str = "coexist", k: str = "1") -> ChildRules:
    return child("c1", k=k, hand_trading=mode)


def by_hand(
    desk: ClosedLoop, side: Side, quantity: str, account: str = "c1", position_side: PositionSide = PositionSide.NET
) -> None:
    desk.pass_time(1)
    desk.exchange.place(
        account,
        Terms(symbol=SYMBOL, side=side, type=OrderType.MARKET, quantity=D(quantity), position_side=position_side),
    )
    desk.settle()


def alerts(desk: ClosedLoop) -> list[str]:
    return [note.level for note in desk.notes if note.kind == "hand-traded"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("closed", ["10", "4", "13"])
def test_17_a_hand_close_lets_go_of_the_episode_in_every_mode(mode, closed):
    desk = loop(following(mode), child("c2", k="1"))
    desk.buy("10")
    stop = desk.sell("10", type=OrderType.STOP_MARKET, trigger="80", reduce_only=True)
    desk.settle()
    by_hand(desk, Side.SELL, closed)
    left = D(10) - D(closed)
    assert (desk.position("c1"), desk.working("c1"), alerts(desk)) == (left, [], ["error"])
    assert [(view.cause, view.attributed) for view in drifts(desk.copier.desk)] == [("hand-traded", D(0)), ("", D(10))]
    # What the parent does until it is flat concerns the other child alone.
    desk.buy("5")
    desk.sell("5", price="120")
    desk.amend(stop, trigger="85")
    desk.settle()
    assert (desk.position("c1"), desk.working("c1"), desk.position("c2")) == (left, [], D(15))
    desk.sell("15")
    desk.settle()
    assert (desk.position(PARENT), desk.position("c1"), desk.position("c2")) == (0, left, 0)
    # Then it is followed anew, and what the person holds stays out of it.
    for order in desk.exchange.open_orders(PARENT):
        desk.cancel(order)
    desk.buy("3")
    desk.settle()
    assert desk.position("c1") == left + 3
    assert [view.difference for view in drifts(desk.copier.desk)] == [0, 0]
    desk.sell("3")
    desk.settle()
    if left >= 0:  # else the venue nets it against the person's own, and there is nothing to reduce
        assert desk.position("c1") == left


def test_17_a_parent_that_reverses_is_followed_after_the_turn():
    desk = loop(following())
    desk.buy("10")
    desk.settle()
    by_hand(desk, Side.SELL, "10")
    desk.sell("15")
    desk.settle()
    assert (desk.position(PARENT), desk.position("c1")) == (-5, 0)
    desk.sell("2")
    desk.settle()
    assert desk.position("c1") == -2
    desk.buy("7")
    desk.settle()
    assert desk.position("c1") == 0


def test_17_coexist_leaves_what_was_added_alone():
    desk = loop(following())
    desk.buy("10")
    desk.settle()
    by_hand(desk, Side.BUY, "4")
    desk.reread("c1")
    desk.settle()
    assert (desk.position("c1"), alerts(desk)) == (14, [])
    desk.sell("5")
    desk.settle()
    assert desk.position("c1") == 9
    by_hand(desk, Side.SELL, "4")  # its own again
    desk.reread("c1")
    desk.settle()
    assert alerts(desk) == []
    desk.sell("5")
    desk.settle()
    assert desk.position("c1") == 0


def test_17_what_stood_against_it_before_is_no_hand_close():
    desk = loop(following())
    by_hand(desk, Side.SELL, "3")
    desk.buy("10")
    desk.settle()
    desk.reread("c1")
    desk.settle()
    assert (desk.position("c1"), alerts(desk)) == (7, [])
    by_hand(desk, Side.SELL, "1")
    assert alerts(desk) == ["error"]


def test_17_enforce_closes_what_was_added():
    desk = loop(following("enforce"), child("c2", k="1"))
    desk.buy("10")
    desk.settle()
    by_hand(desk, Side.BUY, "4")
    by_hand(desk, Side.BUY, "4", account="c2")
    assert (desk.position("c1"), desk.position("c2"), alerts(desk)) == (10, 14, ["warn"])
    assert [view.foreign for view in drifts(desk.copier.desk)] == [0, 4]
    desk.sell("10")
    desk.settle()
    assert (desk.position("c1"), desk.position("c2")) == (0, 4)
    by_hand(desk, Side.SELL, "2")  # nothing is copied just now, and the symbol is followed
    assert desk.position("c1") == 0


def test_17_enforce_does_nothing_on_a_locked_child():
    desk = loop(following("enforce"))
    desk.buy("10")
    desk.settle()
    desk.feed(LimitSet(at_ns=desk.now_ns, account="c1", state="none"))
    by_hand(desk, Side.BUY, "4")
    assert desk.position("c1") == 14
    desk.sell("10")
    desk.settle()
    assert desk.position("c1") == 4


def test_17_yield_lets_go_whatever_is_traded():
    desk = loop(following("yield"))
    desk.buy("10")
    desk.settle()
    by_hand(desk, Side.BUY, "4")
    assert alerts(desk) == ["error"]
    desk.sell("10")
    desk.settle()
    assert desk.position("c1") == 14


def test_17_positions_that_overtake_fills_raise_no_alarm():
    desk = loop(following("yield"), child("c2", k="1"))
    for quantity in ("10", "3"):
        desk.buy(quantity)
        desk.deliver()
        desk.carry_out()
        positions = [report for report in desk.reports if isinstance(report.event, PositionEvent)]
        others = [report for report in desk.reports if report not in positions]
        desk.reports = positions
        desk.deliver()
        desk.pass_time(400)
        desk.reports += others
        desk.settle()
    desk.sell("7")
    desk.settle()
    desk.sell("6")
    desk.settle()
    assert (desk.position("c1"), desk.position("c2"), alerts(desk)) == (0, 0, [])


def test_17_one_reading_proves_nothing():
    desk = loop(following())
    desk.buy("10")
    desk.settle()
    true = desk.snapshot("c1")
    from copydesk.inputs import Snapped
    from msgspec.structs import replace

    false = replace(true, positions=(replace(true.positions[0], quantity=D(6)),))
    desk.feed(Snapped(at_ns=desk.now_ns, account="c1", snapshot=false))
    desk.settle()
    assert alerts(desk) == []
    desk.sell("10")
    desk.settle()
    assert desk.position("c1") == 0


def test_17_a_hand_close_while_the_child_was_away():
    desk = loop(following())
    desk.buy("10")
    desk.settle()
    desk.disconnect("c1")
    by_hand(desk, Side.SELL, "10")
    desk.sell("10")
    desk.settle()
    desk.reconnect("c1")
    desk.settle()
    assert desk.position("c1") == 0
    desk.buy("2")
    desk.settle()
    assert desk.position("c1") == 2


@pytest.mark.parametrize(("k", "side"), [("1", PositionSide.LONG), ("-1", PositionSide.SHORT)])
def test_17_hedge_mode_knows_the_childs_side(k, side):
    desk = loop(following(k=k), hedge=True)
    desk.buy("10", position_side=PositionSide.LONG)
    desk.settle()
    for _ in range(3):
        desk.pass_time(1000)
        desk.reread("c1")
    desk.settle()
    assert alerts(desk) == []
    by_hand(desk, Side.SELL if side is PositionSide.LONG else Side.BUY, "10", position_side=side)
    assert alerts(desk) == ["error"]
    desk.sell("10", position_side=PositionSide.LONG)
    desk.settle()
    assert desk.exchange.positions("c1") == []


def test_17_settings_reach_the_engine():
    from copydesk.config import check_bot
    from copydesk.rules import rules_of

    table = {"account": "c1", "mode": "multiplier", "value": "1", "hand_trading": "yield"}
    (rules,) = rules_of(check_bot({"name": "b", "parent": "p", "children": [table]}), "paper").children
    assert rules.hand_trading == "yield"


# --- what is believed, and when ---------------------------------------------------------------------------------------


def link_of(desk: ClosedLoop, account: str = "c1"):
    return next(found for (name, _), found in desk.copier.desk.bots["bot"].links.items() if name == account)


def reads(desk: ClosedLoop, held: str, *, after_ms: int, account: str = "c1") -> None:
    """The account is read and shows this position."""
    from copydesk.inputs import Snapped
    from copydesk.model import Position
    from msgspec.structs import replace

    desk.now_ns += after_ms * 1_000_000
    positions = (Position(symbol=SYMBOL, quantity=D(held)),) if D(held) else ()
    seen = replace(desk.snapshot(account), positions=positions)
    desk.feed(Snapped(at_ns=desk.now_ns, account=account, snapshot=seen))


def opened(mode: str = "coexist", *, quantity: str = "10", **more: object) -> ClosedLoop:
    desk = loop(following(mode), **more)
    desk.buy(quantity)
    desk.settle()
    return desk


@pytest.mark.parametrize(("apart_ms", "believed"), [(499, False), (500, True), (3_000, True)])
def test_17_two_readings_have_to_lie_apart(apart_ms, believed):
    desk = opened()
    reads(desk, "6", after_ms=1_000)
    assert link_of(desk).suspected == (D(-4), 1, desk.now_ns // 1_000_000)
    reads(desk, "6", after_ms=apart_ms)
    assert (alerts(desk) == ["error"]) is believed
    assert (link_of(desk).suspected is None) is believed


def test_17_readings_that_differ_begin_anew():
    desk = opened()
    for held in ("6", "7", "6", "7"):
        reads(desk, held, after_ms=600)
    assert alerts(desk) == []
    reads(desk, "10", after_ms=600)
    assert (link_of(desk).suspected, link_of(desk).looks) == (None, 0)
    reads(desk, "7", after_ms=600)
    assert alerts(desk) == []


def test_17_a_reading_while_something_is_on_its_way_proves_nothing():
    desk = opened()
    desk.buy("5", price="90")
    desk.deliver()
    for _ in range(3):
        reads(desk, "6", after_ms=600)
    assert (alerts(desk), link_of(desk).suspected) == ([], None)
    desk.carry_out()
    desk.deliver()
    for _ in range(2):
        reads(desk, "6", after_ms=600)
    assert alerts(desk) == ["error"]


def test_17_a_reading_from_before_what_is_known_proves_nothing():
    from copydesk.inputs import Snapped
    from msgspec.structs import replace

    desk = opened()
    old = replace(desk.snapshot("c1"), positions=(), time_ms=desk.copier.desk.account("c1").venue_ms - 1)
    for _ in range(3):
        desk.now_ns += 600_000_000
        desk.feed(Snapped(at_ns=desk.now_ns, account="c1", snapshot=old))
    assert alerts(desk) == []


@pytest.mark.parametrize(
    ("mode", "held", "text"),
    [
        ("coexist", "6", f"4 of the 10 {SYMBOL} that were copied were closed by hand"),
        ("coexist", "-2", f"10 of the 10 {SYMBOL} that were copied were closed by hand"),
        ("yield", "13", f"3 {SYMBOL} were traded by hand"),
        ("yield", "4", f"6 of the 10 {SYMBOL} that were copied were closed by hand"),
    ],
)
def test_17_what_was_done_by_hand_is_told_and_what_is_held_is_the_persons(mode, held, text):
    desk = opened(mode)
    desk.sell("10", type=OrderType.STOP_MARKET, trigger="50", reduce_only=True)
    desk.settle()
    for _ in range(2):
        reads(desk, held, after_ms=600)
    link = link_of(desk)
    assert (link.attributed, link.let_go, link.own, link.detached) == (0, 10, D(held), 1)
    (note,) = [note for note in desk.notes if note.kind == "hand-traded"]
    assert note.text == (
        f"{text}: its orders are taken away and the parent is not followed until it is flat; "
        f"what is still held, {D(held)} {SYMBOL}, is yours"
    )
    assert (note.level, note.data) == ("error", {"held": str(D(held))})
    assert {pair.closed for pair in link.pairs.values()} == {"hand-traded"}
    from copydesk.inputs import Cancel

    assert [intent.why for intent in desk.queue if isinstance(intent, Cancel)] == ["its position is in a person's hands"]
    desk.carry_out()
    desk.reports = [report for report in desk.reports if not isinstance(report.event, PositionEvent)]
    desk.settle()
    assert desk.working("c1") == []


def test_17_a_short_is_let_go_of_like_a_long():
    desk = loop(following())
    desk.sell("10")
    desk.settle()
    for _ in range(2):
        reads(desk, "-6", after_ms=600)
    assert (link_of(desk).detached, link_of(desk).let_go, link_of(desk).own) == (-1, -10, -6)
    desk.sell("3")
    desk.settle()
    assert link_of(desk).detached == -1
    desk.buy("13")
    desk.settle()
    assert link_of(desk).detached == 0
    (over,) = [note for note in desk.notes if note.kind == "hand-traded" and note.level == "info"]
    assert over.text == f"the parent is flat in {SYMBOL}: it is followed again from here on"
    assert link_of(desk).ratios == {}


def test_17_what_is_added_by_hand_beside_a_copy_is_known_and_left():
    desk = opened()
    for _ in range(2):
        reads(desk, "14", after_ms=600)
    assert (link_of(desk).own, alerts(desk), link_of(desk).attributed) == (4, [], 10)
    for _ in range(2):
        reads(desk, "12", after_ms=600)
    assert (link_of(desk).own, alerts(desk)) == (2, [])
    for _ in range(2):
        reads(desk, "9", after_ms=600)
    assert alerts(desk) == ["error"], "now one of the copied ones is gone"


def test_17_what_stood_there_before_the_first_copy_is_the_persons():
    desk = loop(following("enforce"))
    by_hand(desk, Side.BUY, "3")
    desk.buy("10")
    desk.settle()
    assert link_of(desk).own == 3
    for _ in range(2):
        reads(desk, "13", after_ms=600)
    assert alerts(desk) == []
    assert desk.position("c1") == 13


@pytest.mark.parametrize(("held", "closed"), [("14", "4"), ("11", "1")])
def test_17_enforce_closes_exactly_what_was_added(held, closed):
    desk = opened("enforce")
    for _ in range(2):
        reads(desk, held, after_ms=600)
    from copydesk.inputs import Place

    (intent,) = [one for one in desk.queue if isinstance(one, Place)]
    assert intent.why == "enforce"
    assert intent.order.terms == Terms(
        symbol=SYMBOL, side=Side.SELL, type=OrderType.MARKET, quantity=D(closed), reduce_only=True
    )
    (note,) = [note for note in desk.notes if note.kind == "hand-traded"]
    assert note.text == f"{D(closed)} {SYMBOL} that were added by hand are closed again: its setting is 'enforce'"
    assert note.level == "warn"
    assert link_of(desk).unmoved == D(closed)
    for _ in range(3):
        reads(desk, held, after_ms=600)
    assert len([one for one in desk.intents if isinstance(one, Place) and one.why == "enforce"]) == 1


def looks_at(desk: ClosedLoop, last_ms: int) -> list[int]:
    """When the account is asked for because of a suspicion, in ms, while nobody answers."""
    from copydesk.inputs import LookUp, Ticked

    begun, found = desk.now_ns, []
    desk.queue.clear()
    while 0 < desk.copier.next_due_ns <= begun + last_ms * 1_000_000:
        desk.now_ns = max(desk.now_ns, desk.copier.next_due_ns)
        desk.feed(Ticked(at_ns=desk.now_ns))
        if any(isinstance(one, LookUp) and not one.orders for one in desk.queue):
            found.append((desk.now_ns - begun) // 1_000_000)
        desk.queue.clear()
    return found


def test_17_a_suspicion_is_looked_into_soon_and_then_less_and_less_often():
    from copydesk.inputs import Reported
    from copydesk.model import Position

    desk = opened()
    told = PositionEvent(position=Position(symbol=SYMBOL, quantity=D(6)))
    desk.feed(Reported(at_ns=desk.now_ns, account="c1", event=told))
    assert alerts(desk) == []
    assert looks_at(desk, 1_000) == [500]
    for expected in (1_000, 2_000, 4_000):
        reads(desk, "5" if expected == 2_000 else "6", after_ms=0)
        assert looks_at(desk, 4_500) == [expected]
    for expected, held in ((8_000, "5"), (16_000, "6"), (32_000, "5"), (32_000, "6")):
        reads(desk, held, after_ms=0)
        assert looks_at(desk, 40_000)[:1] == [expected]


def test_17_nobody_is_asked_while_the_account_is_away():
    from copydesk.inputs import AccountDown, Reported
    from copydesk.model import Position

    desk = opened()
    told = PositionEvent(position=Position(symbol=SYMBOL, quantity=D(6)))
    desk.feed(Reported(at_ns=desk.now_ns, account="c1", event=told))
    desk.feed(AccountDown(at_ns=desk.now_ns, account="c1", reason="test"))
    assert looks_at(desk, 5_000) == []


def test_17_comparing_waits_where_the_budget_is_used_up():
    from copydesk.inputs import Reported
    from copydesk.model import BudgetScope, Costs, Position

    budget = {
        "requests_per_minute": 40,
        "requests_scope": BudgetScope.ACCOUNT,
        "costs": Costs(account=1, symbols=5),
    }
    desk = opened(budget=budget)
    desk.copier.desk.windows["requests/c1"].spend(desk.now_ns, 30)
    told = PositionEvent(position=Position(symbol=SYMBOL, quantity=D(6)))
    desk.feed(Reported(at_ns=desk.now_ns, account="c1", event=told))
    found = looks_at(desk, 120_000)
    assert found
    assert found[0] > 20_000, found


# --- several links, and what is still on its way ----------------------------------------------------------------------


def both_sides(mode: str = "coexist") -> ClosedLoop:
    """Hedge mode: the child holds 10 long and 5 short, each of them copied."""
    desk = loop(following(mode), hedge=True)
    desk.buy("10", position_side=PositionSide.LONG)
    desk.sell("5", position_side=PositionSide.SHORT)
    desk.settle()
    return desk


def shows(desk: ClosedLoop, *held: tuple[PositionSide, str], after_ms: int = 600) -> None:
    from copydesk.inputs import Snapped
    from copydesk.model import Position
    from msgspec.structs import replace

    desk.now_ns += after_ms * 1_000_000
    positions = tuple(Position(symbol=SYMBOL, quantity=D(size), position_side=side) for side, size in held)
    desk.feed(Snapped(at_ns=desk.now_ns, account="c1", snapshot=replace(desk.snapshot("c1"), positions=positions)))


def tells(desk: ClosedLoop, quantity: str, side: PositionSide = PositionSide.NET) -> None:
    from copydesk.inputs import Reported
    from copydesk.model import Position

    told = PositionEvent(position=Position(symbol=SYMBOL, quantity=D(quantity), position_side=side))
    desk.feed(Reported(at_ns=desk.now_ns, account="c1", event=told))


def test_17_two_sides_that_a_hand_closes_at_once_are_both_let_go_of():
    desk = both_sides()
    for _ in range(2):
        shows(desk)
    assert alerts(desk) == ["error", "error"]
    assert [link.detached for link in desk.copier.desk.bots["bot"].links.values()] == [1, -1]


@pytest.mark.parametrize("whole", [("long", "10"), ("short", "-5")])
def test_17_of_two_sides_the_one_that_a_hand_closes_is_let_go_of_whichever_comes_first(whole):
    desk = both_sides()
    side = PositionSide(whole[0])
    for _ in range(2):
        shows(desk, (side, whole[1]))
    held = {link.book[1]: link.detached for link in desk.copier.desk.bots["bot"].links.values()}
    assert held == {side: 0, **({PositionSide.SHORT: -1} if side is PositionSide.LONG else {PositionSide.LONG: 1})}
    for _ in range(2):
        shows(desk)
    assert 0 not in {link.detached for link in desk.copier.desk.bots["bot"].links.values()}
    assert alerts(desk) == ["error", "error"]


def test_17_a_side_that_was_let_go_of_does_not_hide_the_other():
    desk = both_sides()
    for _ in range(2):
        shows(desk, (PositionSide.SHORT, "-5"))
    assert alerts(desk) == ["error"]
    assert looks_at(desk, 5_000) == []
    tells(desk, "-2", PositionSide.SHORT)
    assert looks_at(desk, 1_000) == [500]


@pytest.mark.parametrize("mode", ["enforce", "yield"])
def test_17_what_a_person_holds_after_letting_go_is_not_looked_into(mode):
    desk = opened(mode)
    for _ in range(2):
        reads(desk, "6", after_ms=600)
    looks_at(desk, 60_000)
    tells(desk, "2")
    assert looks_at(desk, 60_000) == []


def test_17_enforce_closes_on_the_side_where_it_was_added():
    from copydesk.inputs import Place

    desk = both_sides("enforce")
    for _ in range(2):
        shows(desk, (PositionSide.LONG, "10.5"), (PositionSide.SHORT, "-5"))
    (intent,) = [one for one in desk.queue if isinstance(one, Place)]
    assert intent.order.terms == Terms(
        symbol=SYMBOL,
        side=Side.SELL,
        type=OrderType.MARKET,
        quantity=D("0.5"),
        position_side=PositionSide.LONG,
    )
    (order,) = desk.copier.desk.bots["bot"].links["c1", (SYMBOL, PositionSide.LONG)].corrections
    assert (order.exit, order.enforces) == (True, True)


def test_17_enforce_counts_from_what_stood_there():
    from copydesk.inputs import Place

    desk = loop(following("enforce"))
    by_hand(desk, Side.BUY, "3")
    desk.buy("10")
    desk.settle()
    for _ in range(2):
        reads(desk, "12", after_ms=600)
    assert (link_of(desk).own, alerts(desk), desk.queue) == (2, [], [])
    for _ in range(2):
        reads(desk, "13", after_ms=600)
    (intent,) = [one for one in desk.queue if isinstance(one, Place)]
    assert (intent.order.terms.side, intent.order.terms.quantity) == (Side.SELL, 1)


def test_17_yield_tells_how_much_was_traded_beside_what_stood_there():
    desk = loop(following("yield"))
    by_hand(desk, Side.BUY, "3")
    desk.buy("10")
    desk.settle()
    for _ in range(2):
        reads(desk, "15", after_ms=600)
    assert desk.said("hand-traded")[0].startswith(f"2 {SYMBOL} were traded by hand")


def test_17_a_reading_while_it_is_uncertain_whether_an_order_arrived_proves_nothing():
    from copydesk.model import Unknown

    desk = opened()
    desk.fault = lambda intent: Unknown(message="?")
    desk.buy("5", price="90")
    desk.deliver()
    desk.carry_out()
    for _ in range(3):
        reads(desk, "6", after_ms=600)
    assert (alerts(desk), link_of(desk).suspected) == ([], None)


def test_17_an_order_that_ended_before_hides_none_that_stands():
    desk = loop(following())
    desk.buy("10")
    desk.buy("1", price="90")
    desk.settle()
    (bid,) = desk.exchange.open_orders("c1")
    desk.exchange.cancel("c1", venue_id=bid.venue_id)
    desk.sell("10", type=OrderType.STOP_MARKET, trigger="50", reduce_only=True)
    desk.settle()
    by_hand(desk, Side.SELL, "10")
    assert (alerts(desk), desk.working("c1")) == (["error"], [])


def test_17_what_fills_before_its_cancel_comes_is_the_persons_too():
    desk = loop(following())
    desk.buy("10")
    desk.buy("5", price="90")
    desk.settle()
    (bid,) = desk.exchange.open_orders("c1")
    for _ in range(2):
        reads(desk, "6", after_ms=600)
    assert link_of(desk).let_go == 10
    desk.exchange.fill("c1", D(2), venue_id=bid.venue_id)
    desk.deliver()
    assert (link_of(desk).attributed, link_of(desk).let_go) == (0, 12)
    desk.sell("10")
    desk.deliver()
    assert link_of(desk).detached, "its order is being cancelled, and may fill until that is done"
    desk.settle()
    assert not link_of(desk).detached


def test_17_an_order_that_the_parent_placed_meanwhile_is_copied_once_it_is_flat():
    desk = opened()
    by_hand(desk, Side.SELL, "10")
    desk.buy("5", price="90")
    desk.settle()
    assert desk.working("c1") == []
    desk.sell("10")
    desk.settle()
    assert [(terms.side, terms.quantity, terms.price) for terms in desk.working("c1")] == [(Side.BUY, 5, 90)]


def test_17_a_setting_that_turns_round_meanwhile_does_not_turn_the_side_of_an_open_episode():
    from copydesk.handwork import child_book
    from msgspec.structs import replace

    desk = both_sides()
    links = list(desk.copier.desk.bots["bot"].links.values())
    for link in links:
        link.child = replace(link.child, value=D(-1))
    assert [child_book(link) == link.book for link in links] == [True, True]
    links[0].ratios.clear()
    assert child_book(links[0]) == (SYMBOL, PositionSide.SHORT)
    links[0].child = replace(links[0].child, value=D(0))
    assert child_book(links[0]) == links[0].book, "nothing is copied, which is no other side"
