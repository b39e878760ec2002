"""Rule 6: the parent has filled, the child's copy still rests."""

from __future__ import annotations

import pytest
from copydesk.drifting import drifts
from copydesk.inputs import Unfilled
from copydesk.model import Accepted, OrderType, Rejected, RejectReason, TimeInForce
from harness.closed_loop import PARENT, ClosedLoop, D, child

WAIT = Unfilled(action="wait")


def loop(entry: Unfilled = WAIT, exit_: Unfilled = WAIT, **more) -> ClosedLoop:
    return ClosedLoop((child("c1", k="0.5", unfilled_entry=entry, unfilled_exit=exit_),), **more).start()


def bought_alone(desk: ClosedLoop, quantity: str = "10", filled: str = "10"):
    """The parent is first in the book at 59999: it is filled, and the child's copy rests on."""
    order = desk.buy(quantity, price="59999")
    flow(desk)
    desk.trade("59999", filled)
    flow(desk)
    return order


def flow(desk: ClosedLoop, milliseconds: int = 0) -> None:
    """Everything flows, and then that much time passes, timers included."""
    end_ns = desk.now_ns + milliseconds * 1_000_000
    for _ in range(100):
        desk.deliver()
        desk.carry_out()
        if desk.reports or desk.queue:
            continue
        due = desk.copier.next_due_ns
        if not due or due > end_ns:
            desk.now_ns = end_ns
            return
        desk.pass_time(max(1, -(-(due - desk.now_ns) // 1_000_000)))
    raise AssertionError("never quiet")


def last(desk: ClosedLoop):
    return desk.placed("c1")[-1]


def test_6_an_entry_waits_by_default():
    desk = ClosedLoop((child("c1", k="0.5"),)).start()
    bought_alone(desk)
    flow(desk, 600_000)
    assert [(terms.price, terms.quantity) for terms in desk.working("c1")] == [(D(59999), D(5))]
    assert desk.position("c1") == 0


def test_6_an_entry_is_taken_at_market_after_its_time_at_the_worst_price_set():
    desk = loop(Unfilled(action="market_after", after_ms=3_000, max_slippage_percent=D(1)))
    bought_alone(desk)
    flow(desk, 2_900)
    assert desk.position("c1") == 0
    flow(desk, 200)
    assert (desk.position("c1"), desk.working("c1")) == (5, [])
    assert (last(desk).type, last(desk).time_in_force) == (OrderType.LIMIT, TimeInForce.IOC)
    assert last(desk).price == D("60598.9")  # 1 % above 59,999, on the tick


def test_6_beyond_its_slippage_an_entry_is_not_taken():
    desk = loop(Unfilled(action="market_after", after_ms=3_000, max_slippage_percent=D("0.1")))
    bought_alone(desk)
    desk.prices(D(61000))
    flow(desk, 60_000)
    assert (desk.position("c1"), desk.working("c1")) == (0, [])


def test_6_the_clock_starts_at_the_parents_fill_not_at_its_order():
    desk = loop(Unfilled(action="market_after", after_ms=3_000))
    desk.buy("10", price="59999")
    flow(desk, 60_000)
    desk.trade("59999", "10")
    flow(desk, 2_900)
    assert desk.position("c1") == 0
    flow(desk, 200)
    assert desk.position("c1") == 5


def test_6_of_a_partly_filled_parent_order_only_that_part_is_taken_and_the_rest_rests_again():
    desk = loop(Unfilled(action="market_after", after_ms=3_000))
    bought_alone(desk, "10", "4")
    flow(desk, 3_100)
    assert desk.position("c1") == 2
    assert [(terms.price, terms.quantity) for terms in desk.working("c1")] == [(D(59999), D(3))]
    flow(desk, 60_000)
    assert desk.position("c1") == 2


def test_6_a_fill_that_races_the_cancel_is_not_taken_twice():
    desk = loop(Unfilled(action="market_after", after_ms=3_000))
    bought_alone(desk)
    desk.pass_time(3_100)
    (cancel,) = desk.queue
    desk.trade("59998", "3")  # fills 3 of the child's 5 before the cancel arrives
    flow(desk, 10_000)
    assert type(cancel).__name__ == "Cancel"
    assert desk.position("c1") == 5
    assert [terms.quantity for terms in desk.placed("c1")] == [5, 2]


def test_6_a_full_fill_that_races_the_cancel_leaves_nothing_to_take():
    desk = loop(Unfilled(action="market_after", after_ms=3_000))
    bought_alone(desk)
    desk.pass_time(3_100)
    desk.trade("59998", "5")
    flow(desk, 10_000)
    assert (desk.position("c1"), len(desk.placed("c1"))) == (5, 1)


def test_6_the_market_is_not_asked_before_the_order_has_ended():
    desk = loop(Unfilled(action="market_after", after_ms=3_000))
    bought_alone(desk)
    desk.pass_time(3_100)
    (cancel,) = desk.queue
    desk.queue = []
    desk.answer(cancel, Accepted())  # taken note of; its end is not reported yet
    assert desk.queue == []
    desk.on_exchange(cancel)
    flow(desk)
    assert (desk.position("c1"), len(desk.placed("c1"))) == (5, 2)


def test_6_a_chase_moves_the_limit_step_by_step_and_stops_at_the_last():
    desk = loop(Unfilled(action="chase", after_ms=1_000, step_percent=D("0.1"), steps=3))
    desk.prices(D(61000))
    desk.buy("10", price="60000")
    flow(desk)
    desk.trade("60000", "10")
    desk.prices(D(61000))
    seen = []
    for _ in range(5):
        flow(desk, 1_000)
        seen.append([terms.price for terms in desk.working("c1")])
    assert seen[0] == [D(60060)]
    assert seen[1:] == [[D(60120)], [D(60180)], [D(60180)], [D(60180)]]
    assert len(desk.placed("c1")) == 1  # amended, never doubled
    desk.prices(D(60100))
    flow(desk)
    assert desk.position("c1") == 5


def test_6_a_chase_where_the_venue_has_no_amend_goes_on_resting():
    chase = Unfilled(action="chase", after_ms=1_000, step_percent=D("0.1"), steps=3)
    desk = loop(chase, amendable=frozenset())
    desk.prices(D(61000))
    desk.buy("10", price="60000")
    flow(desk)
    desk.trade("60000", "10")
    desk.prices(D(61000))
    flow(desk, 5_000)
    assert [(terms.type, terms.price, terms.quantity) for terms in desk.working("c1")] == [(OrderType.LIMIT, D(60180), 5)]


def test_6_a_chase_waits_while_the_parents_order_works_on():
    desk = loop(Unfilled(action="chase", after_ms=1_000))
    bought_alone(desk, "10", "4")
    flow(desk, 60_000)
    assert [(terms.price, terms.quantity) for terms in desk.working("c1")] == [(D(59999), D(5))]


def test_6_cancel_after_takes_the_entry_away_and_says_so():
    desk = loop(Unfilled(action="cancel_after", after_ms=3_000))
    bought_alone(desk)
    flow(desk, 60_000)
    assert (desk.working("c1"), desk.position("c1")) == ([], 0)
    assert "cancel_after" in desk.said("unfilled")[0]
    (view,) = drifts(desk.copier.desk)
    assert (view.difference, view.cause) == (5, "stale")


def both_long(desk: ClosedLoop) -> None:
    desk.buy("0.2")
    flow(desk)
    assert desk.position("c1") == D("0.1")


def test_6_an_exit_is_closed_at_market_two_seconds_after_the_parents_by_default():
    desk = ClosedLoop((child("c1", k="0.5"),)).start()
    both_long(desk)
    desk.sell("0.2", price="60001")
    flow(desk)
    desk.exchange.apply(taker("60001", "0.2"))
    flow(desk, 1_900)
    assert (desk.position(PARENT), desk.position("c1")) == (0, D("0.1"))
    flow(desk, 200)
    assert (desk.position("c1"), desk.working("c1")) == (0, [])
    assert (last(desk).type, last(desk).reduce_only) == (OrderType.MARKET, True)


def taker(price: str, quantity: str):
    from copydesk_paper.records import MarketTrade

    return MarketTrade(symbol="BTCUSDT", price=D(price), quantity=D(quantity), buyer_is_maker=False)


def test_6_an_exit_may_be_told_to_wait():
    desk = loop()
    both_long(desk)
    desk.sell("0.2", price="60001")
    flow(desk)
    desk.exchange.apply(taker("60001", "0.2"))
    flow(desk, 60_000)
    assert (desk.position("c1"), len(desk.working("c1"))) == (D("0.1"), 1)


def test_6_a_chased_exit_ends_at_market():
    desk = loop(exit_=Unfilled(action="chase", after_ms=1_000, step_percent=D("0.01"), steps=2))
    both_long(desk)
    desk.sell("0.2", price="60900")
    flow(desk)
    desk.exchange.apply(taker("60900", "0.2"))
    desk.prices(D(60000))
    flow(desk, 2_500)
    assert [terms.price for terms in desk.working("c1")] == [D("60887.9")]
    flow(desk, 1_000)
    assert (desk.position("c1"), desk.working("c1")) == (0, [])


def test_6_a_stop_that_triggered_at_the_parent_alone_counts_as_an_unfilled_exit():
    desk = ClosedLoop((child("c1", k="0.5"),)).start()
    both_long(desk)
    stop = desk.sell("0.2", type=OrderType.STOP_MARKET, trigger="59000", reduce_only=True)
    flow(desk)
    desk.fault = lambda intent: Rejected(reason=RejectReason.OTHER, message="no") if intent.account == "c1" else None
    desk.amend(stop, trigger="59900")  # the child's stays at 59000
    flow(desk)
    desk.fault = lambda intent: None
    desk.prices(D("59890"))
    flow(desk)
    assert (desk.position(PARENT), desk.position("c1"), len(desk.working("c1"))) == (0, D("0.1"), 1)
    flow(desk, 2_100)
    assert (desk.position("c1"), desk.working("c1")) == (0, [])


def test_6_the_parent_closes_while_the_entry_rests_the_entry_is_cancelled_first():
    desk = ClosedLoop((child("c1", k="0.5"),)).start()
    bought_alone(desk)
    desk.trade("59998", "2")  # the child has 2 of 5
    flow(desk)
    before = len(desk.intents)
    desk.sell("10")
    flow(desk)
    words = [type(intent).__name__ for intent in desk.intents[before:]]
    assert words[:2] == ["Cancel", "Place"]
    assert (desk.position("c1"), desk.working("c1")) == (0, [])


def test_6_the_parent_closes_half_while_the_entry_rests_the_entry_is_halved():
    desk = ClosedLoop((child("c1", k="0.5"),)).start()
    bought_alone(desk)
    desk.sell("6")
    flow(desk)
    assert [(terms.price, terms.quantity) for terms in desk.working("c1")] == [(D(59999), D(2))]


def test_6_a_crash_between_the_cancel_and_the_market_order_loses_nothing():
    from copydesk.inputs import EngineStarted

    desk = loop(Unfilled(action="market_after", after_ms=3_000))
    bought_alone(desk)
    desk.pass_time(3_100)
    (cancel,) = desk.queue
    desk.on_exchange(cancel)  # it reached the venue, and then the engine died
    desk.queue, desk.reports = [], []
    desk.feed(EngineStarted(at_ns=desk.now_ns))
    for account in (PARENT, "c1"):
        desk.reconnect(account)
    flow(desk, 10_000)
    assert desk.position("c1") == 5


def test_6_the_setting_may_change_while_the_order_rests():
    from copydesk.inputs import BotRules, Configured

    desk = loop()
    bought_alone(desk)
    flow(desk, 10_000)
    rules = child("c1", k="0.5", unfilled_entry=Unfilled(action="market_after", after_ms=3_000))
    bot = BotRules(name="bot", kind="paper", parent=PARENT, children=(rules,))
    desk.feed(Configured(at_ns=desk.now_ns, bots=(bot,), capabilities=desk.copier.desk.capabilities))
    flow(desk, 10_000)
    assert desk.position("c1") == 5


@pytest.mark.parametrize("action", ["market_after", "chase"])
def test_6_nothing_is_added_on_old_news(action):
    """The child is away when the time is up: on its return the catch-up window counts, from the end of the clock."""
    desk = loop(Unfilled(action=action, after_ms=1_000, steps=2, step_percent=D("0.01")))
    bought_alone(desk)
    desk.disconnect("c1")
    flow(desk, 300_000)
    desk.reconnect("c1", reach_back_ms=600_000)
    flow(desk, 10_000)
    assert desk.position("c1") == 0
    assert len(desk.working("c1")) == 1


# --- the window in which it may be made up for ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "hurried", "found"),
    [
        ("wait", True, (60_000, D("0.5"))),
        ("cancel_after", True, (60_000, D("0.5"))),
        ("market_after", False, (60_000, D("0.5"))),
        ("chase", False, (60_000, D("0.5"))),
        ("market_after", True, (63_000, D(2))),
        ("chase", True, (69_000, D("0.2"))),
    ],
)
def test_6_how_old_and_how_far_away_a_fill_may_be(action, hurried, found):
    from copydesk.unfilled import window

    entry = Unfilled(action=action, after_ms=3_000, max_slippage_percent=D(2), step_percent=D("0.1"), steps=2)
    desk = loop(entry)
    desk.buy("1")
    desk.settle()
    (link,) = desk.copier.desk.bots["bot"].links.values()
    assert window(link, hurried=hurried) == found
