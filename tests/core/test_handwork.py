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
