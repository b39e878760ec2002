"""When what did not work is tried again: exits, trims, copies that rest, unconfirmed cancels (rules 5, 6, 9, 11)."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from copydesk.inputs import BotRules, Cancel, Modify, Place, Unfilled
from copydesk.model import (
    Accepted,
    Order,
    OrderStatus,
    OrderType,
    Rejected,
    RejectReason,
    Side,
    Terms,
    Unknown,
)
from copydesk.planning import Wanted
from copydesk.sending import Run
from copydesk.state import Bot, ChildOrder, Desk, Pair, ParentBook, ParentOrder
from copydesk.tracking import State
from copydesk.unfilled import behind, look, window
from copydesk.verifying import ASKED, is_unverified
from harness.closed_loop import KIND, PARENT, SYMBOL, ClosedLoop, D, child, instrument
from msgspec.structs import replace

NO = Rejected(reason=RejectReason.OTHER, message="no", code="-7")
WAITS = Unfilled(action="wait")


class Timed(ClosedLoop):
    """Keeps when what was sent, in ms after `mark`, and answers what `verdict` says."""

    def __post_init__(self) -> None:
        self.times: list[tuple[int, str, str]] = []
        self.since = 0
        self.verdict = lambda intent: None
        super().__post_init__()
        self.fault = self._answer  # type: ignore[assignment]

    def _answer(self, intent: object) -> object:
        type_ = str(intent.order.terms.type) if isinstance(intent, Place) else ""
        self.times.append(((self.now_ns - self.since) // 1_000_000, type(intent).__name__, type_))
        return self.verdict(intent)

    def mark(self, answer=None) -> None:
        self.since, self.times = self.now_ns, []
        self.verdict = answer or (lambda intent: None)

    def gaps(self) -> list[int]:
        """Ms between two sends, as the engine meant them: a timer of the loop comes up to a millisecond late."""
        times = [at_ms for at_ms, _, _ in self.times]
        return [later - earlier for earlier, later in pairwise(times)]


def loop(*children, **more) -> Timed:
    more.setdefault("instrument", instrument("1"))
    return Timed(children or (child("c1", k="1", unfilled_exit=WAITS),), **more).start()  # type: ignore[return-value]


def about(found: list[int], wanted: list[int]) -> bool:
    return len(found) == len(wanted) and all(0 <= late - meant <= 1 for late, meant in zip(found, wanted, strict=True))


def newest(desk: ClosedLoop) -> ChildOrder:
    return [tracked.order for tracked in desk.copier.desk.child_orders.values()][-1]


def link(desk: ClosedLoop):
    (found,) = desk.copier.desk.bots["bot"].links.values()
    return found


# --- exits that are refused -------------------------------------------------------------------------------------------


def test_9_an_exit_is_tried_four_times_then_four_times_at_market_then_slowly():
    desk = loop()
    desk.buy("2")
    desk.settle()
    desk.mark(lambda intent: NO)
    exit_ = desk.sell("2", price="70000")
    desk.deliver()
    desk.exchange.fill(PARENT, D(2), venue_id=exit_.venue_id)
    desk.live(200_000)
    kinds = [type_ for _, _, type_ in desk.times]
    assert kinds[:1] == ["limit"]
    assert set(kinds[1:]) == {"market"}
    gaps = desk.gaps()
    assert about(gaps[1:9], [500, 1000, 2000, 250, 500, 1000, 2000, 30_000]), gaps
    assert about(gaps[9:12], [30_000] * 3), gaps
    pair = next(iter(link(desk).pairs.values()))
    assert pair.alarm == f"an exit of 2 {SYMBOL} is refused again and again: no"
    (alarm,) = [note for note in desk.notes if note.kind == "alarm"]
    assert (alarm.level, alarm.text, alarm.data["code"]) == ("error", pair.alarm, "-7")
    assert alarm.data["parent_order"] == exit_.venue_id
    refusals = pair.refusals
    desk.mark()
    desk.live(31_000)
    assert desk.position("c1") == 0
    over = desk.notes[-1] if desk.notes[-1].kind == "alarm" else [n for n in desk.notes if n.kind == "alarm"][-1]
    assert (over.level, over.text) == ("info", f"the exit is placed at last, after {refusals} refusals")
    assert (pair.refusals, pair.retry_ns, pair.alarm) == (0, 0, "")


def test_9_what_the_parent_still_waits_for_is_tried_less_and_less_often():
    desk = loop()
    desk.buy("2")
    desk.settle()
    desk.mark(lambda intent: NO)
    desk.sell("2", price="70000")
    desk.live(16 * 3_600_000)
    assert {type_ for _, _, type_ in desk.times} == {"limit"}
    slow = [60_000 * 2**n for n in range(7)]
    assert about(desk.gaps()[:17], [250, 500, 1000, 2000, 250, 500, 1000, 2000, *slow, slow[-1], slow[-1]]), desk.gaps()


@pytest.mark.parametrize(
    ("reason", "type_", "then"),
    [
        (RejectReason.PRICE, OrderType.STOP_MARKET, "market"),
        (RejectReason.PRICE, OrderType.LIMIT, "limit"),
        (RejectReason.POST_ONLY, OrderType.LIMIT, "limit"),
        (RejectReason.OTHER, OrderType.STOP_MARKET, "stop-market"),
    ],
)
def test_9_what_an_exit_becomes_by_why_it_was_refused(reason, type_, then):
    desk = loop()
    desk.buy("2")
    desk.settle()
    refused = iter([Rejected(reason=reason, message="no")])
    desk.mark(lambda intent: next(refused, None))
    stops = type_ is OrderType.STOP_MARKET
    desk.sell(
        "2",
        type=type_,
        price=None if stops else "70000",
        trigger="50000" if stops else None,
        reduce_only=True,
        post_only=not stops,
    )
    desk.live(1_000)
    assert [kind for _, _, kind in desk.times] == [str(type_), then]
    assert about(desk.gaps(), [250])
    if then == "limit":
        assert desk.working("c1")[0].post_only is (reason is not RejectReason.POST_ONLY)


# --- entries that are too large -----------------------------------------------------------------------------------------


def shrinking(**more) -> Timed:
    return loop(child("c1", k="1", on_size_reject="shrink_to_fit"), **more)


@pytest.mark.parametrize(
    ("largest", "market_largest", "price", "asked", "taken"),
    [("6", "4", "59000", "10", "6"), ("6", "4", None, "10", "4"), ("10", "4", "59000", "10", "5")],
)
def test_9_the_venues_largest_order_is_tried_first(largest, market_largest, price, asked, taken):
    one = replace(instrument("1"), max_quantity=D(largest), market_max_quantity=D(market_largest))
    desk = shrinking(instrument=one)
    desk.exchange.instruments[SYMBOL] = instrument("1")
    told = Rejected(reason=RejectReason.QUANTITY, message="too large")
    desk.mark(lambda intent: told if intent.order.terms.quantity > D(taken) else None)
    desk.buy(asked, price=price)
    desk.settle()
    assert [intent.order.terms.quantity for intent in desk.intents] == [D(asked), D(taken)]
    (note,) = [note for note in desk.notes if note.kind == "capped"]
    assert note.text == f"{D(taken)} instead of {D(asked)} {SYMBOL}, to fit: too large"
    assert note.data["limit"] == "venue"


def test_9_a_part_that_is_too_small_for_the_venue_is_not_tried():
    desk = shrinking(instrument=instrument("1", minimum="200000"))
    desk.mark(lambda intent: Rejected(reason=RejectReason.MARGIN, message="too large"))
    desk.buy("4", price="59000")
    desk.settle()
    assert len(desk.times) == 1, "half of it is 118,000"
    assert len(desk.said("rejected")) == 1


def test_9_six_times_and_no_more():
    desk = shrinking()
    desk.mark(lambda intent: Rejected(reason=RejectReason.MARGIN, message="too large"))
    desk.buy("1000", price="59000")
    desk.settle()
    quantities = [intent.order.terms.quantity for intent in desk.intents]
    assert quantities == [1000, 500, 250, 125, 62, 31, 15]


def test_9_a_flip_that_is_too_large_still_closes_all():
    desk = shrinking()
    desk.buy("4")
    desk.settle()
    desk.mark(
        lambda intent: (
            Rejected(reason=RejectReason.MARGIN, message="too large") if intent.order.terms.quantity > 6 else None
        )
    )
    desk.sell("14")
    desk.settle()
    assert [intent.order.terms.quantity for intent in desk.intents[1:]] == [14, 7, 4]
    assert desk.position("c1") == 0


# --- trims ------------------------------------------------------------------------------------------------------------


def ahead(desk: Timed, quantity: str = "4") -> None:
    """The child filled what the parent then cancelled."""
    bid = desk.buy(quantity, price="59000")
    desk.settle()
    copy = desk.exchange.open_orders("c1")[0]
    desk.exchange.fill("c1", D(quantity), venue_id=copy.venue_id)
    desk.settle()
    desk.mark(lambda intent: NO)
    desk.cancel(bid)
    desk.deliver()
    desk.carry_out()


def test_5_a_trim_is_tried_six_times_each_time_after_twice_as_long_then_slowly():
    desk = loop()
    ahead(desk)
    desk.live(100_000)
    assert about(desk.gaps()[:5], [500, 1000, 2000, 4000, 8000]), desk.gaps()
    slow = desk.gaps()[5:]
    assert slow
    assert 30_000 <= slow[0] <= 47_000, slow
    (failed,) = [note for note in desk.notes if note.kind == "trim-failed"]
    text = f"holds 4 {SYMBOL} more than its share of the parent, and it cannot be reduced: no"
    assert (failed.text, failed.level) == (text, "error")
    assert link(desk).alarm == text
    (ticket,) = [ticket for ticket in desk.copier.desk.tickets.values() if ticket.kind == "trim-failed"]
    assert ticket.terms == Terms(symbol=SYMBOL, side=Side.SELL, type=OrderType.MARKET, quantity=D(4), reduce_only=True)
    ids = [intent.client_id for intent in desk.intents if isinstance(intent, Place) and intent.why == "trim"]
    assert len(ids) == len(set(ids))
    assert all(name.endswith("-t0") for name in ids)
    desk.mark()
    desk.live(70_000)
    assert desk.position("c1") == 0
    assert (link(desk).failing, link(desk).alarm) == (0, "")


def test_5_a_trim_that_has_nothing_to_reduce_waits_until_something_moves():
    desk = loop()
    ahead(desk)
    desk.mark(lambda intent: Rejected(reason=RejectReason.NOTHING_TO_REDUCE, message="no position"))
    desk.live(600_000)
    assert len(desk.times) <= 2
    assert link(desk).again_ns == 0
    assert link(desk).failing == 4


@pytest.mark.parametrize(("policy", "kind"), [("keep", "keep"), ("ask", "ask")])
def test_5_where_it_is_not_trimmed_it_is_said_once_with_a_ticket(policy, kind):
    desk = loop(child("c1", k="1", ahead=policy))
    ahead(desk)
    desk.live(60_000)
    desk.reread("c1")
    assert desk.times == []
    (note,) = [note for note in desk.notes if note.kind == "ahead" and "ticket" in note.data]
    assert note.text == f"holds 4 {SYMBOL} more than its share of the parent; its setting is '{kind}'"
    assert note.level == "warn"
    (ticket,) = desk.copier.desk.tickets.values()
    assert (ticket.terms.side, ticket.terms.quantity, ticket.parent_order) == (Side.SELL, 4, "")
    assert link(desk).said == "ahead"


# --- cancels that nobody confirms -----------------------------------------------------------------------------------------


def unconfirmed(desk: Timed) -> ChildOrder:
    """A stop that is gone as the reply to its cancel says; the stream says nothing."""
    desk.buy("2")
    stop = desk.sell("2", type=OrderType.STOP_MARKET, trigger="50000", reduce_only=True)
    desk.settle()
    order = newest(desk)
    desk.cancel(stop)
    while not any(isinstance(one, Cancel) for one in desk.queue):
        desk.deliver()
        desk.pass_time(100)
    (intent,) = [one for one in desk.queue if isinstance(one, Cancel)]
    desk.queue.clear()
    gone = desk.exchange.cancel("c1", client_id=order.client_id)
    desk.reports.clear()
    desk.answer(intent, Accepted(order=gone))
    return order


def test_11_a_cancel_that_is_not_confirmed_is_asked_for_then_told():
    desk = loop()
    order = unconfirmed(desk)
    assert order.state is State.CANCELLED
    assert is_unverified(order)
    looks: list[int] = []
    begun = desk.now_ns
    while desk.copier.next_due_ns and len(looks) < 9:
        desk.pass_time(max(1, (desk.copier.next_due_ns - desk.now_ns) // 1_000_000))
        if any(type(intent).__name__ == "LookUp" for intent in desk.queue):
            looks.append((desk.now_ns - begun) // 1_000_000)
        desk.queue.clear()
    assert about(looks, [2_000, 6_000, 14_000, 30_000, 62_000]), looks
    assert order.asked_for == ASKED
    (note,) = [note for note in desk.notes if note.kind == "unverified"]
    assert note.text == f"stop-market {order.client_id} was cancelled, and the venue does not confirm it: have a look there"
    assert (note.level, note.data) == ("error", {"client_id": order.client_id})
    assert not is_unverified(order)


def test_11_one_that_stands_after_all_is_cancelled_again():
    desk = loop()
    order = unconfirmed(desk)
    stands = replace(desk.exchange.find("c1", client_id=order.client_id), status=OrderStatus.NEW)
    desk.pass_time(2_000)
    desk.queue.clear()
    seen = replace(desk.snapshot("c1"), orders=(stands,))
    from copydesk.inputs import Snapped

    desk.feed(Snapped(at_ns=desk.now_ns, account="c1", snapshot=seen))
    again = [intent for intent in desk.queue if isinstance(intent, Cancel)]
    assert [intent.why for intent in again] == ["it still stands although its cancel was confirmed"]
    assert order.due_ns - desk.now_ns == 4_000_000_000


@pytest.mark.parametrize("how", ["stream", "absent"])
def test_11_one_that_the_venue_confirms_is_not_asked_for(how):
    desk = loop()
    order = unconfirmed(desk)
    gone = desk.exchange.find("c1", client_id=order.client_id)
    from copydesk.inputs import Reported, Snapped
    from copydesk.model import OrderEvent

    if how == "stream":
        desk.feed(Reported(at_ns=desk.now_ns, account="c1", event=OrderEvent(order=gone)))
    else:
        seen = replace(desk.snapshot("c1"), orders=(), absent=(order.client_id,))
        desk.feed(Snapped(at_ns=desk.now_ns, account="c1", snapshot=seen))
    assert order.verified
    assert not is_unverified(order)


# --- copies that rest -------------------------------------------------------------------------------------------------


def resting(
    *,
    side: Side = Side.BUY,
    quantity: str = "10",
    filled: str = "10",
    done: str = "0",
    live: bool = False,
    policy: Unfilled = WAITS,
    position: str = "10",
    baseline: str = "0",
    exit_: bool = False,
    type_: OrderType = OrderType.LIMIT,
    **parts: str,
):
    """A parent's order that filled a second ago, and the child's copy that rests."""
    rules = child("c1", k="1", unfilled_entry=policy, unfilled_exit=policy)
    desk = Desk()
    bot = desk.bots["bot"] = Bot(rules=BotRules(name="bot", kind=KIND, parent=PARENT, children=(rules,)), working=True)
    desk.account(PARENT).connected = True
    bot.books[SYMBOL, "net"] = ParentBook(position=D(position), baseline=D(baseline))  # type: ignore[index]
    terms = Terms(symbol=SYMBOL, side=side, type=OrderType.LIMIT, quantity=D(quantity), price=D(100))
    order = Order(
        venue_id="p1",
        terms=terms,
        status=OrderStatus.PARTIALLY_FILLED if live else OrderStatus.FILLED,
        filled=D(filled),
        average_price=D(100),
    )
    parts = parts or ({"closed": filled} if exit_ else {"opened": filled})
    parent = ParentOrder(order=order, filled=D(filled), filled_ms=1_000, **{k: D(v) for k, v in parts.items()})
    link = bot.link(rules, (SYMBOL, "net"))  # type: ignore[arg-type]
    pair = link.pairs["p1"] = Pair(parent=parent, ratio=D(1))
    copy = ChildOrder("cdk-a", "c1", replace(terms, type=type_), "p1", state=State.WORKING, op=None)
    copy.filled = D(done)
    pair.orders.append(copy)
    run = Run(desk=desk, due=[], at_ns=2_000 * 1_000_000)
    want = Wanted(terms, exit=exit_, opening=D(0) if exit_ else D(quantity))
    return run, bot, link, pair, copy, want


@pytest.mark.parametrize(
    ("more", "total", "expected"),
    [
        ({"filled": "0"}, "10", "0"),
        ({"filled": "10", "done": "4"}, "10", "6"),
        ({"filled": "10", "done": "12"}, "10", "0"),
        ({"filled": "5", "done": "2", "live": True, "position": "5"}, "10", "3"),
        ({"filled": "5", "done": "2", "live": True, "position": "5"}, "5", "0"),
        ({"filled": "3", "done": "0", "live": True, "position": "3"}, "5", "1"),
        ({"filled": "3", "live": True, "position": "3"}, "0", "0"),
        # an exit of 10 where only 8 are left to close
        ({"side": Side.SELL, "filled": "4", "live": True, "position": "4", "exit_": True, "closed": "4"}, "8", "3"),
        # 4 of what was sold only reduced what was there before the start
        (
            {
                "side": Side.SELL,
                "filled": "6",
                "live": True,
                "position": "4",
                "baseline": "0",
                "closed": "2",
                "ignored": "4",
            },
            "6",
            "2",
        ),
    ],
)
def test_6_by_how_much_the_child_is_behind(more, total, expected):
    _, bot, link, pair, _, _ = resting(**more)
    assert behind(bot, link, pair, D(total), D(1)) == D(expected)


def act(of, **more):
    run, bot, link, pair, order, want = of
    run.at_ns = more.pop("at_ms", 2_000) * 1_000_000
    return look(run, bot, link, pair, order, want, instrument("1", tick="1"))


AFTER = Unfilled(action="market_after", after_ms=3_000)
CHASE = Unfilled(action="chase", after_ms=1_000, step_percent=D(1), steps=3)


def test_6_the_clock_starts_at_the_parents_fill_and_is_waited_for():
    of = resting(policy=AFTER)
    run, _, _, pair, order, _ = of
    assert act(of) == act(of)
    assert pair.behind_ns == 1_000_000_000
    assert order.due_ns == 4_000_000_000
    assert len(run.due) == 1, "once"
    assert act(of, at_ms=3_999).cancelled_for == ""
    move = act(of, at_ms=4_000)
    assert (move.cancelled_for, move.price) == ("unfilled", None)
    assert move.why == "the parent's order filled 3.0 s ago: the rest is taken at market"


def test_6_without_a_time_of_the_fill_the_clock_starts_now():
    of = resting(policy=AFTER)
    of[3].parent.filled_ms = 0
    act(of)
    assert of[3].behind_ns == 2_000_000_000
    late = resting(policy=AFTER)
    late[3].parent.filled_ms = 9_000  # the venue's clock is ahead
    act(late)
    assert late[3].behind_ns == 2_000_000_000


def test_6_a_copy_that_caught_up_stops_the_clock():
    of = resting(policy=AFTER)
    of[3].hurried = 2
    act(of)
    of[4].filled = D(10)
    act(of)
    assert (of[3].behind_ns, of[3].hurried) == (0, 0)


@pytest.mark.parametrize(("hurried", "wait_ms"), [(0, 3_000), (1, 6_000), (2, 12_000), (6, 192_000), (9, 192_000)])
def test_6_what_the_market_did_not_take_is_tried_again_after_twice_as_long(hurried, wait_ms):
    of = resting(policy=AFTER, exit_=True, side=Side.SELL, position="0")
    of[3].hurried = hurried
    assert act(of, at_ms=1_000 + wait_ms - 1).cancelled_for == ""
    assert act(of, at_ms=1_000 + wait_ms).cancelled_for == "unfilled"


def test_6_cancel_after():
    of = resting(policy=Unfilled(action="cancel_after", after_ms=2_500))
    assert act(of, at_ms=3_499).cancelled_for == ""
    assert (act(of, at_ms=3_500).cancelled_for, act(of, at_ms=3_500).why) == (
        "given-up",
        "not filled 2.5 s after the parent's order",
    )


def test_6_a_chase_moves_a_step_each_time_and_stops_where_its_steps_end():
    of = resting(policy=CHASE)
    order = of[4]
    found = []
    for at_ms in (1_500, 2_000, 2_900, 3_000, 4_000, 9_000):
        order.due_ns = 0
        of[0].due.clear()
        move = act(of, at_ms=at_ms)
        found.append((move.price, (order.due_ns - of[0].at_ns) // 1_000_000 if order.due_ns else 0))
    assert found == [(None, 500), (101, 1_000), (101, 100), (102, 1_000), (103, 0), (103, 0)]


def test_6_a_chase_waits_for_the_parents_end_unless_it_closes():
    of = resting(policy=CHASE, live=True, filled="5", position="5")
    assert act(of, at_ms=60_000) == act(of, at_ms=1_500)
    closes = resting(policy=CHASE, live=True, filled="5", position="5", exit_=True, side=Side.SELL)
    assert act(closes, at_ms=60_000).cancelled_for == "unfilled"


def test_6_an_exit_that_was_chased_to_its_end_goes_at_market():
    of = resting(policy=CHASE, exit_=True, side=Side.SELL, position="0")
    assert [act(of, at_ms=at_ms).price for at_ms in (2_000, 3_000, 4_000, 4_999)] == [99, 98, 97, 97]
    assert act(of, at_ms=5_000).cancelled_for == "unfilled"


def test_6_a_stop_is_not_chased():
    of = resting(policy=CHASE, exit_=True, side=Side.SELL, position="0", type_=OrderType.STOP_LIMIT)
    assert act(of, at_ms=2_000).cancelled_for == "unfilled"


@pytest.mark.parametrize(("policy", "fresh_ms"), [(AFTER, 63_000), (CHASE, 64_000)])
def test_6_risk_is_not_added_on_old_news(policy, fresh_ms):
    of = resting(policy=policy)
    of[4].terms = replace(of[4].terms, price=D(101))
    last = act(of, at_ms=1_000 + fresh_ms)
    assert last.cancelled_for == ("unfilled" if policy is AFTER else "")
    assert last.price == (None if policy is AFTER else 103)
    late = act(of, at_ms=1_001 + fresh_ms)
    assert late.cancelled_for == ""
    assert late.price == (None if policy is AFTER else 101), "it stays where it is"
    told = list(of[0].decisions)
    if policy is AFTER:
        text = f"left resting: 10 {SYMBOL} that the parent filled is not taken at market: the parent's fill is too long ago"
        assert [(note.level, note.kind, note.text) for note in told] == [("warn", "unfilled", text)]
        assert told[0].data == {"parent_order": "p1"}
        act(of, at_ms=90_000)
        assert len(of[0].decisions) == 1, "said once"


def test_6_what_is_too_small_for_the_market_is_left_resting():
    run, bot, link, pair, order, want = resting(policy=AFTER, done="9")
    run.at_ns = 4_000_000_000
    assert look(run, bot, link, pair, order, want, instrument("1", minimum="150")).cancelled_for == ""
    assert pair.waiting == "unfilled"
    assert look(run, bot, link, pair, order, want, instrument("1", minimum="100")).cancelled_for == "unfilled"
    pair.waiting = ""
    bare = replace(pair.parent.order, average_price=None)
    pair.parent.order = bare
    assert look(run, bot, link, pair, order, want, instrument("1", minimum="100")).cancelled_for == "unfilled"


def test_6_without_the_parent_no_risk_is_added_and_exits_go():
    of = resting(policy=AFTER)
    of[0].desk.account(PARENT).connected = False
    assert act(of, at_ms=5_000).cancelled_for == ""
    assert of[0].decisions == []
    closes = resting(policy=AFTER, exit_=True, side=Side.SELL, position="0")
    closes[0].desk.account(PARENT).connected = False
    assert act(closes, at_ms=5_000).cancelled_for == "unfilled"


def test_6_the_window_within_which_an_entry_is_made_up_for():
    for policy, hurried, expected in (
        (AFTER, False, (60_000, D("0.5"))),
        (Unfilled(action="market_after", after_ms=3_000, max_slippage_percent=D(2)), True, (63_000, D(2))),
        (CHASE, False, (60_000, D("0.5"))),
        (CHASE, True, (64_000, D(3))),
        (WAITS, True, (60_000, D("0.5"))),
    ):
        link = resting(policy=policy)[2]
        assert window(link, hurried=hurried) == expected


def test_6_a_chase_on_a_venue_without_amend_goes_on_from_where_it_is():
    chase = Unfilled(action="chase", after_ms=1_000, step_percent=Decimal("0.01"), steps=3)
    desk = loop(child("c1", k="1", unfilled_entry=chase), amendable=frozenset())
    bid = desk.buy("2", price="59000")
    desk.settle()
    desk.mark()
    desk.exchange.fill(PARENT, D(2), venue_id=bid.venue_id)
    desk.live(10_000)
    placed = [intent.order.terms for intent in desk.intents if isinstance(intent, Place)]
    assert [(terms.price, terms.quantity) for terms in placed] == [
        (D(59_000), 2),
        (D("59005.9"), 2),
        (D("59011.8"), 2),
        (D("59017.7"), 2),
    ]
    assert not any(isinstance(intent, Modify) for intent in desk.intents)
    assert about([at_ms for at_ms, what, _ in desk.times if what == "Place"], [1_000, 2_000, 3_000])


def test_10_a_lost_reply_to_a_trim_sends_nothing_twice():
    desk = loop()
    ahead(desk)
    desk.mark(lambda intent: "lose-reply")
    desk.live(60_000)
    assert desk.position("c1") == 0
    assert isinstance(Unknown(message=""), Unknown)
