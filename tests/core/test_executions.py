"""Rule 1, `on_fill`: executions are copied as market orders on the rounded cumulative target; resting orders are not."""

from __future__ import annotations

from copydesk.drifting import drifts
from copydesk.model import OrderType, Rejected, RejectReason, TimeInForce
from harness.closed_loop import PARENT, ClosedLoop, D, child, instrument


def loop(*children, **more) -> ClosedLoop:
    return ClosedLoop(children or (child("c1", k="0.5", trigger="on_fill"),), **more).start()


def test_1_on_fill_copies_no_resting_order():
    desk = loop()
    order = desk.buy("10", price="59999")
    stop = desk.sell("1", type=OrderType.STOP_MARKET, trigger="59000")
    desk.settle()
    desk.amend(order, price="59990")
    desk.settle()
    desk.cancel(order)
    desk.cancel(stop)
    desk.settle()
    assert desk.placed("c1") == []
    assert desk.notes == []


def test_1_on_fill_copies_each_execution_at_market():
    desk = loop()
    desk.buy("10", price="59999")
    desk.settle()
    held = []
    for quantity in ("4", "2", "4"):
        desk.trade("59999", quantity)
        desk.settle()
        held.append(desk.position("c1"))
    assert held == [2, 3, 5]
    assert {terms.type for terms in desk.placed("c1")} == {OrderType.MARKET}


def test_1_on_fill_rounds_the_cumulative_target_never_the_increment():
    desk = loop(child("c1", k="0.5", trigger="on_fill"), instrument=instrument("1"), price=D(10))
    desk.buy("10", price="9")
    desk.settle()
    held = []
    for _ in range(6):
        desk.trade("9", "1")
        desk.settle()
        held.append(int(desk.position("c1")))
    assert held == [0, 1, 1, 2, 2, 3]


def test_1_on_fill_exits_are_sized_on_what_the_child_holds():
    desk = loop(child("c1", k="0.33", trigger="on_fill"), instrument=instrument("1"), price=D(10))
    desk.buy("10")
    desk.settle()
    desk.sell("10", price="11")
    desk.settle()
    assert (desk.position("c1"), len(desk.placed("c1"))) == (3, 1)
    held = []
    for _ in range(2):
        desk.exchange.apply(taker("11", "5"))
        desk.settle()
        held.append(int(desk.position("c1")))
    assert (held, desk.position(PARENT)) == ([1, 0], 0)
    assert all(terms.reduce_only for terms in desk.placed("c1")[1:])


def taker(price: str, quantity: str):
    from copydesk_paper.records import MarketTrade

    return MarketTrade(symbol="BTCUSDT", price=D(price), quantity=D(quantity), buyer_is_maker=False)


def test_1_on_fill_flips():
    desk = loop(child("c1", k="2", trigger="on_fill"), child("mirror", k="-1", trigger="on_fill"))
    desk.buy("0.1")
    desk.settle()
    desk.sell("0.25")
    desk.settle()
    assert (desk.position("c1"), desk.position("mirror")) == (D("-0.3"), D("0.15"))


def test_1_on_fill_two_orders_of_the_parent_at_once_are_not_counted_twice():
    desk = loop(child("c1", k="0.4", trigger="on_fill"), instrument=instrument("1"), price=D(10))
    for _ in range(5):
        desk.buy("1", price="9")
    desk.settle()
    desk.trade("9", "5")  # all five fill before the child's first order is answered
    desk.settle()
    assert desk.position("c1") == 2
    assert sum(terms.quantity for terms in desk.placed("c1")) == 2


def test_1_on_fill_adds_inside_the_window_only():
    desk = loop(child("c1", k="1", trigger="on_fill", catch_up_max_age_ms=10_000))
    desk.buy("10", price="59999")
    desk.settle()
    desk.disconnect("c1")
    desk.trade("59999", "4")
    desk.settle()
    desk.pass_time(5_000)
    desk.reconnect("c1")
    desk.settle()
    assert desk.position("c1") == 4
    assert (desk.placed("c1")[-1].type, desk.placed("c1")[-1].time_in_force) == (OrderType.LIMIT, TimeInForce.IOC)


def test_1_on_fill_what_was_missed_stays_missed_when_the_order_fills_on():
    desk = loop(child("c1", k="1", trigger="on_fill", catch_up_max_age_ms=10_000))
    desk.buy("10", price="59999")
    desk.settle()
    desk.disconnect("c1")
    desk.trade("59999", "4")
    desk.settle()
    desk.pass_time(50_000)
    desk.reconnect("c1")
    desk.settle()
    assert desk.position("c1") == 0
    assert desk.said("stale")
    desk.trade("59999", "3")
    desk.settle()
    assert desk.position("c1") == 3
    (view,) = drifts(desk.copier.desk)
    assert (view.difference, view.cause) == (4, "stale")


def test_1_on_fill_a_refusal_ends_that_execution_not_the_order():
    desk = loop(child("c1", k="1", trigger="on_fill"))
    desk.buy("10", price="59999")
    desk.settle()
    desk.fault = lambda intent: Rejected(reason=RejectReason.MARGIN, message="no margin")
    desk.trade("59999", "4")
    desk.settle()
    desk.fault = lambda intent: None
    desk.trade("59999", "3")
    desk.settle()
    assert desk.position("c1") == 3


def test_1_on_fill_flat_in_between_the_order_is_followed_on():
    desk = loop(child("c1", k="1", trigger="on_fill"))
    desk.buy("10", price="59999")
    desk.settle()
    desk.trade("59999", "4")
    desk.settle()
    desk.sell("4")
    desk.settle()
    assert desk.position("c1") == 0
    desk.trade("59999", "6")
    desk.settle()
    assert desk.position("c1") == desk.position(PARENT) == 6


def test_1_the_setting_is_fixed_per_parent_order():
    from copydesk.inputs import BotRules, Configured

    desk = loop(child("c1", k="1"))
    desk.buy("10", price="59999")
    desk.settle()
    bot = BotRules(name="bot", kind="paper", parent=PARENT, children=(child("c1", k="1", trigger="on_fill"),))
    desk.feed(Configured(at_ns=desk.now_ns, bots=(bot,), capabilities=desk.copier.desk.capabilities))
    desk.buy("2", price="59998")
    desk.settle()
    assert [terms.price for terms in desk.working("c1")] == [D(59999)]
