"""Rule 12: what becomes of what the parent has when its bot is started; the plan shows it and sends nothing."""

from __future__ import annotations

import copy
from decimal import Decimal

import msgspec
import pytest
from copydesk.drifting import drifts
from copydesk.filters import session_of
from copydesk.forecast import plan_start
from copydesk.ids import COPY, client_order_id
from copydesk.inputs import BotStarted, BotStopped, ChildRules, Configured, Filters, Place
from copydesk.model import OrderType, Position, PositionSide, Side, Terms, to_json
from copydesk.starting import read_account, unsettled
from copydesk.state import ChildOrder, Op
from copydesk.tracking import State
from harness.closed_loop import PARENT, SYMBOL, ClosedLoop, D, child
from hypothesis import assume, given, settings
from hypothesis import strategies as st


def started(desk: ClosedLoop, policy: str, percent: str = "0") -> BotStarted:
    desk.deliver()
    desk.pass_time(1)
    return BotStarted(
        at_ns=desk.now_ns,
        bot="bot",
        snapshot=desk.snapshot(PARENT),
        policy=policy,
        max_adverse_percent=D(percent),
        children={rules.account: desk.snapshot(rules.account) for rules in desk.children},
    )


def start(desk: ClosedLoop, policy: str, percent: str = "0") -> ClosedLoop:
    desk.feed(started(desk, policy, percent))
    desk.pass_time(1)
    return desk.settle()


def loop(*rules: ChildRules, **more: object) -> ClosedLoop:
    """A parent that has traded before any bot was started."""
    return ClosedLoop(rules or (child("c1", k="0.5"),), **more)  # type: ignore[arg-type]


def by_hand(desk: ClosedLoop, account: str, side: Side, quantity: str) -> None:
    desk.exchange.place(account, Terms(symbol=SYMBOL, side=side, type=OrderType.MARKET, quantity=D(quantity)))


def test_ignore_sends_nothing_and_exits_below_the_baseline_send_nothing():
    desk = loop()
    desk.buy("2")
    desk.buy("1", price="59000")
    start(desk, "ignore")
    desk.sell("2")
    desk.settle()
    assert desk.sent == []
    assert desk.position("c1") == 0


def test_copy_now_buys_the_share_and_follows_from_there():
    desk = loop(child("c1", k="0.5"), child("c2", k="-1"))
    desk.buy("2")
    start(desk, "copy_now")
    assert (desk.position("c1"), desk.position("c2")) == (D(1), D(-2))
    desk.sell("1")
    desk.settle()
    assert (desk.position("c1"), desk.position("c2")) == (D("0.5"), D(-1))
    desk.sell("1")
    desk.settle()
    assert (desk.position("c1"), desk.position("c2")) == (0, 0)
    assert drifts(desk.copier.desk) == ()


@pytest.mark.parametrize(("held", "adopted", "after_half"), [("1", "1", "0.5"), ("3", "1", "2.5"), ("0.4", "0.4", "0.2")])
def test_adopt_takes_what_fits_the_target_and_closes_only_that(held: str, adopted: str, after_half: str):
    desk = loop()
    desk.buy("2")
    by_hand(desk, "c1", Side.BUY, held)
    start(desk, "adopt")
    assert desk.sent == []
    (row,) = drifts(desk.copier.desk)
    assert (row.target, row.attributed) == (D(1), D(adopted))
    (link,) = desk.copier.desk.bots["bot"].links.values()
    (pair,) = (link.pairs | link.ended).values()
    assert (link.fills, pair.taken, pair.ratio) == (1, D(adopted), D("0.5"))
    assert row.cause == ("" if adopted == "1" else "unmanaged")
    desk.sell("1")
    desk.settle()
    assert desk.position("c1") == D(after_half)


def test_adopt_leaves_a_position_on_the_other_side_alone():
    desk = loop()
    desk.buy("2")
    by_hand(desk, "c1", Side.SELL, "1")
    start(desk, "adopt")
    desk.sell("2")
    desk.settle()
    assert desk.position("c1") == D(-1)
    assert desk.sent == []


def test_copy_if_better_takes_only_the_parents_price_or_better():
    desk = loop(child("c1", k="1"))
    desk.buy("1")
    desk.prices(D(61_000))
    start(desk, "copy_if_better")
    assert desk.position("c1") == 0
    (order,) = [i.order.terms for i in desk.intents if isinstance(i, Place)]
    assert order.price is not None
    assert order.price <= D("60000.1")

    better = loop(child("c1", k="1"))
    better.buy("1")
    better.prices(D(59_000))
    start(better, "copy_if_better")
    assert better.position("c1") == 1


def test_copy_if_better_allows_as_many_percent_as_are_given():
    desk = loop(child("c1", k="1"))
    desk.buy("1")
    desk.prices(D(60_100))
    start(desk, "copy_if_better", "0.5")
    assert desk.position("c1") == 1


def test_working_orders_of_the_parent_are_copied_with_what_is_left_of_them():
    desk = loop(child("c1", k="0.5"))
    desk.buy("2")
    desk.sell("2", type=OrderType.STOP_MARKET, trigger="55000", reduce_only=True)
    entry = desk.buy("4", price="59000")
    desk.trade("59000", "1")
    assert desk.exchange.find(PARENT, venue_id=entry.venue_id).filled == 1
    start(desk, "copy_now")
    assert desk.position("c1") == D("1.5")
    assert sorted((t.type, t.quantity) for t in desk.working("c1")) == [
        (OrderType.LIMIT, D("1.5")),
        (OrderType.STOP_MARKET, D("1")),
    ]
    desk.trade("58999", "1000")
    desk.settle()
    assert desk.position(PARENT) == 6
    assert desk.position("c1") == 3


def test_an_order_that_was_partly_filled_before_the_start_does_not_make_a_quicker_child_trim():
    desk = loop(child("c1", k="1"))
    entry = desk.buy("4", price="59000")
    desk.trade("59000", "2")
    desk.settle()
    by_hand(desk, "c1", Side.BUY, "2")
    start(desk, "adopt")
    (mine,) = desk.exchange.open_orders("c1")
    assert mine.terms.quantity == 2
    desk.exchange.cancel(PARENT, venue_id=entry.venue_id)  # held back: the child fills first
    reports, desk.reports = desk.reports, []
    desk.trade("58999", "1000")
    desk.deliver()
    desk.carry_out()
    assert desk.position("c1") == 4
    assert [i for i in desk.intents if isinstance(i, Place) and i.why == "trim"] == []
    desk.reports += reports
    desk.settle()
    assert desk.position("c1") == 2  # what was ahead of an order that ended is given back


def test_a_bot_that_is_started_again_adopts_what_it_left_orders_too():
    desk = loop(child("c1", k="1")).start()
    desk.buy("2")
    desk.sell("2", type=OrderType.STOP_MARKET, trigger="55000", reduce_only=True)
    desk.settle()
    before = [order.client_id for order in desk.exchange.open_orders("c1")]
    desk.feed(BotStopped(at_ns=desk.now_ns, bot="bot"))
    sent = list(desk.sent)
    start(desk, "adopt")
    assert desk.sent == sent
    assert [order.client_id for order in desk.exchange.open_orders("c1")] == before
    tracked = desk.copier.desk.child_orders["c1", before[0]]
    assert tracked.pair is not None
    assert tracked.pair.orders == [tracked.order]
    (stands,) = desk.exchange.open_orders("c1")
    assert tracked.pair.closed == ""
    assert tracked.order == ChildOrder(
        client_id=before[0],
        account="c1",
        terms=stands.terms,
        cause=tracked.pair.parent.order.venue_id,
        exit=True,
        state=State.WORKING,
        op=None,
        venue_id=stands.venue_id,
        updated_ms=stands.updated_ms,
    )
    desk.sell("2")
    desk.settle()
    assert desk.position("c1") == 0


def test_what_a_snapshot_tells_of_prices_is_known_for_the_whole_kind():
    desk = loop().start()
    known = desk.copier.desk
    known.prices.clear()
    told = Position(symbol=SYMBOL, quantity=D(1), mark_price=D(123))
    read_account(known, "c1", msgspec.structs.replace(desk.snapshot("c1"), positions=(told,), prices={}), desk.now_ns)
    assert known.prices == {("paper", SYMBOL): D(123)}
    read_account(known, "c1", msgspec.structs.replace(desk.snapshot("c1"), prices={"ETHUSDT": D(7)}), desk.now_ns)
    assert known.prices["paper", "ETHUSDT"] == 7


def test_copy_now_by_percentage_goes_by_the_balances_of_both():
    desk = loop(child("c1", percent="100"), cash={PARENT: D(1_000_000), "c1": D(500_000)})
    desk.buy("2")
    start(desk, "copy_now")
    assert desk.position("c1") == 1


def test_a_symbol_that_is_not_known_and_a_child_that_was_not_read_keep_no_bot_from_starting():
    desk = loop()
    desk.buy("2")
    given = started(desk, "copy_now")
    strange = (*given.snapshot.positions, Position(symbol="STRANGE", quantity=D(5)), Position(symbol="NONE", quantity=D(0)))
    snapshot = msgspec.structs.replace(given.snapshot, positions=strange)
    desk.feed(msgspec.structs.replace(given, snapshot=snapshot, children={}))
    desk.settle()
    assert desk.position("c1") == 1


def test_what_an_order_had_filled_before_the_start_is_below_the_baseline_and_once_only():
    desk = loop()
    bid = desk.buy("3", price="59000")
    desk.exchange.fill(PARENT, D(1), venue_id=bid.venue_id)
    start(desk, "ignore")
    desk.exchange.fill(PARENT, D(1), venue_id=bid.venue_id)
    desk.settle()
    (book,) = desk.copier.desk.bots["bot"].books.values()
    assert (book.position, book.baseline, book.followed) == (2, 2, 0)


def test_copy_now_after_leave_does_not_double_and_uses_no_id_twice():
    desk = loop(child("c1", k="1")).start()
    order = desk.buy("2", price="59000")
    desk.buy("1")
    desk.settle()
    desk.feed(BotStopped(at_ns=desk.now_ns, bot="bot"))
    (mine,) = desk.exchange.open_orders("c1")
    desk.exchange.cancel("c1", client_id=mine.client_id)
    desk.reports.clear()
    start(desk, "copy_now")
    assert desk.position("c1") == 1
    (again,) = desk.exchange.open_orders("c1")
    assert again.client_id != mine.client_id
    desk.cancel(order)
    desk.settle()
    assert desk.working("c1") == []


def test_copy_now_counts_nothing_of_a_persons_own():
    desk = loop(child("c1", k="1"))
    desk.buy("2")
    by_hand(desk, "c1", Side.BUY, "5")
    start(desk, "copy_now")
    assert desk.position("c1") == 7
    desk.sell("2")
    desk.settle()
    assert desk.position("c1") == 5


def test_percentage_without_a_balance_follows_nothing_and_says_so():
    desk = loop(child("c1"), child("c2", k="1"), cash={"c1": D(0)})
    desk.buy("2")
    start(desk, "copy_now")
    assert {account for account, _, _ in desk.sent} == {"c2"}
    (text,) = desk.said("no-balance")
    assert text.startswith("the parent's 2 BTCUSDT is not followed: the balance of c1 is 0")
    mine, _ = desk.copier.desk.bots["bot"].links.values()
    assert [pair.closed for pair in mine.ended.values()] == ["no-balance"]


def test_hedge_books_are_taken_over_each_on_its_own_side():
    desk = loop(child("c1", k="1"), child("c2", k="-1"), hedge=True)
    desk.parent_places(Side.BUY, "2", position_side=PositionSide.LONG)
    desk.parent_places(Side.SELL, "1", position_side=PositionSide.SHORT)
    start(desk, "copy_now")
    assert desk.position("c1", PositionSide.LONG) == 2
    assert desk.position("c1", PositionSide.SHORT) == -1
    assert desk.position("c2", PositionSide.SHORT) == -2
    assert desk.position("c2", PositionSide.LONG) == 1


@pytest.mark.parametrize(
    ("state", "op", "known"),
    [
        (State.WORKING, None, True),
        (State.WORKING, Op.CANCEL, False),
        (State.SENDING, Op.PLACE, False),
        (State.SENDING, None, False),
        (State.UNKNOWN, None, False),
        (State.CANCELLED, Op.LOOK_UP, True),
    ],
)
@pytest.mark.parametrize("corrects", [False, True])
def test_what_became_of_an_order_of_an_earlier_run(state: State, op: Op | None, known: bool, corrects: bool):
    desk = loop(child("c1", k="1")).start()
    desk.buy("2", price="59000")
    desk.settle()
    bot = desk.copier.desk.bots["bot"]
    (link,) = bot.links.values()
    (order,) = link.orders
    order.state, order.op = state, op
    if corrects:
        link.corrections, link.pairs = [order], {}
    assert unsettled(desk.copier.desk, bot) == ([] if known else ["c1"])


def test_an_order_that_is_taken_over_keeps_its_number_and_the_next_one_has_the_next():
    desk = loop(child("c1", k="1")).start()
    desk.buy("2")
    stop = desk.sell("2", type=OrderType.STOP_MARKET, trigger="55000", reduce_only=True)
    desk.settle()
    for number in range(4):
        (mine,) = desk.exchange.open_orders("c1")
        assert mine.client_id == client_order_id("bot", "c1", stop.venue_id, COPY, number)
        desk.feed(BotStopped(at_ns=desk.now_ns, bot="bot"))
        start(desk, "adopt")
        desk.amend(stop, trigger=str(54_000 - number))
        desk.settle()


# --- the plan ---------------------------------------------------------------------------------------------------------


def test_a_plan_leaves_no_timer_behind():
    sessions = (session_of("mon-fri 09:30-16:00 UTC"),)
    desk = loop(child("c1", k="1", filters=Filters(sessions=sessions)))
    desk.buy("2")
    given = started(desk, "copy_now")
    due = desk.copier.next_due_ns
    plan_start(desk.copier.desk, given)
    assert (desk.copier.next_due_ns, desk.copier.desk.account("c1").wakes) == (due, set())


@pytest.mark.parametrize("policy", ["ignore", "adopt", "copy_now", "copy_if_better"])
def test_the_plan_says_what_then_happens_and_changes_nothing(policy: str):
    desk = loop(child("c1", k="0.5"), child("c2", k="2"))
    desk.buy("2")
    desk.sell("2", type=OrderType.STOP_MARKET, trigger="55000", reduce_only=True)
    desk.buy("1", price="59000")
    by_hand(desk, "c2", Side.BUY, "1")
    what = started(desk, policy)
    before = copy.deepcopy(desk.copier.desk)
    plan = plan_start(desk.copier.desk, what)
    assert desk.copier.desk == before
    assert desk.intents == []
    desk.feed(what)
    placed = [(i.account, i.order.terms) for i in desk.intents if isinstance(i, Place)]
    assert sorted(map(to_json, [(s.account, s.terms) for s in plan.sends])) == sorted(map(to_json, placed))
    assert bool(placed) is (policy != "ignore")


def test_the_digest_moves_with_what_would_be_sent_and_not_with_time():
    desk = loop()
    desk.buy("2")
    first = plan_start(desk.copier.desk, started(desk, "copy_now"))
    desk.pass_time(5_000)
    assert plan_start(desk.copier.desk, started(desk, "copy_now")).digest == first.digest
    assert plan_start(desk.copier.desk, started(desk, "copy_if_better")).digest != first.digest
    desk.buy("1")
    moved = plan_start(desk.copier.desk, started(desk, "copy_now"))
    assert moved.digest != first.digest
    assert [send.terms.quantity for send in moved.sends] == [Decimal("1.5")]


# --- whatever there was before ----------------------------------------------------------------------------------------

moves = st.lists(st.tuples(st.sampled_from(list(Side)), st.integers(1, 9)), max_size=4)


@settings(max_examples=60, derandomize=True)
@given(
    policy=st.sampled_from(["ignore", "adopt", "copy_now", "copy_if_better"]),
    ratio=st.sampled_from(["0.5", "1", "3", "-1", "0.33"]),
    before=moves,
    held=st.integers(-9, 9),
    after=moves,
    trigger=st.sampled_from(["on_submit", "on_fill"]),
)
def test_once_the_parent_is_flat_no_child_holds_what_was_copied(
    policy: str, ratio: str, before: list[tuple[Side, int]], held: int, after: list[tuple[Side, int]], trigger: str
):
    desk = loop(child("c1", k=ratio, trigger=trigger))
    for side, quantity in before:
        desk.parent_places(side, str(quantity))
    # What a person holds on the other side takes the venue's reduce-only exits away: another rule's matter.
    assume(not held or (not after and held * D(ratio) * desk.position(PARENT) >= 0))
    if held:
        by_hand(desk, "c1", Side.BUY if held > 0 else Side.SELL, str(abs(held)))
    start(desk, policy)
    adopted = sum((link.attributed for link in desk.copier.desk.bots["bot"].links.values()), D(0))
    assert policy in ("adopt", "copy_now", "copy_if_better") or not adopted
    assert abs(adopted) <= abs(D(ratio) * desk.position(PARENT))
    for side, quantity in after:
        desk.parent_places(side, str(quantity))
        desk.settle()
    baseline = sum((book.baseline for book in desk.copier.desk.bots["bot"].books.values()), D(0))
    rest = desk.position(PARENT) - baseline
    if rest:
        desk.parent_places(Side.SELL if rest > 0 else Side.BUY, str(abs(rest)))
        desk.settle()
    links = desk.copier.desk.bots["bot"].links.values()
    assert [link.attributed for link in links if link.attributed] == []
    assert [row for row in drifts(desk.copier.desk) if row.cause == "unexplained"] == []
    if policy != "adopt":
        assert desk.position("c1") == held


def test_what_is_caught_up_with_after_a_start_does_not_enlarge_the_copied_stops():
    desk = loop()
    desk.buy("60")
    desk.sell("10", type=OrderType.STOP_MARKET, trigger="59000")
    by_hand(desk, "c1", Side.BUY, "25")
    start(desk, "adopt")
    desk.feed(BotStopped(at_ns=desk.now_ns, bot="bot"))
    plan = plan_start(desk.copier.desk, started(desk, "copy_now"))
    assert [(send.what, send.terms.type, send.terms.quantity) for send in plan.sends] == [
        ("place", OrderType.MARKET, D(5)),
        ("place", OrderType.STOP_MARKET, D(5)),
    ]


def test_a_stop_that_an_earlier_run_left_and_that_is_not_followed_any_more_stays_and_is_told_of():
    desk = loop()
    desk.buy("60")
    desk.sell("10", type=OrderType.STOP_MARKET, trigger="59000")
    start(desk, "copy_now")
    desk.feed(BotStopped(at_ns=desk.now_ns, bot="bot"))
    rules = desk.copier.desk.bots["bot"].rules
    rules = msgspec.structs.replace(rules, children=(child("c1", k="0.5", trigger="on_fill"),))
    desk.feed(Configured(at_ns=desk.now_ns, bots=(rules,), capabilities=desk.copier.desk.capabilities))
    plan = plan_start(desk.copier.desk, started(desk, "copy_now"))
    assert plan.sends == ()
    (remark,) = plan.children[0].remarks
    assert remark.startswith("an order that an earlier run left there stays as it is, followed by nobody")
    start(desk, "copy_now")
    desk.live(5_000)
    assert [terms.type for terms in desk.working("c1")] == [OrderType.STOP_MARKET]


# --- what is taken over ---------------------------------------------------------------------------------------------


def taken_over(desk: ClosedLoop, policy: str, adverse: str = "0") -> ClosedLoop:
    from copydesk.inputs import BotStarted

    children = {rules.account: desk.snapshot(rules.account) for rules in desk.children}
    desk.feed(
        BotStarted(
            at_ns=desk.now_ns,
            bot="bot",
            snapshot=desk.snapshot(PARENT),
            policy=policy,
            max_adverse_percent=D(adverse),
            children=children,
        )
    )
    return desk


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("policy", ["adopt", "copy_now", "copy_if_better"])
def test_12_a_position_is_followed_as_if_one_order_had_opened_it(policy, side):
    from copydesk.model import Order, OrderStatus, OrderType, Side, Terms

    desk = ClosedLoop((child("c1", k="1"),))
    getattr(desk, side)("2")
    (held,) = desk.exchange.positions(PARENT)
    desk.pass_time(5)
    taken_over(desk, policy, "1")
    (parent,) = desk.copier.desk.bots["bot"].orders.values()
    time_ms = desk.now_ns // 1_000_000
    better = policy == "copy_if_better"
    assert parent.order == Order(
        venue_id=f"start-{time_ms}-BTCUSDT-net",
        terms=Terms(
            symbol="BTCUSDT",
            side=Side(side),
            type=OrderType.LIMIT if better else OrderType.MARKET,
            quantity=D(2),
            price=held.entry_price if better else None,
        ),
        status=OrderStatus.FILLED,
        filled=D(2),
        average_price=held.entry_price,
        created_ms=time_ms,
        updated_ms=time_ms,
        reason="what it held when the bot was started",
    )
    assert (parent.filled, parent.opened, parent.seen) == (2, 2, True)
    assert parent.max_adverse_percent == (1 if better else None)
    link = next(iter(desk.copier.desk.bots["bot"].links.values()))
    assert link.ratios == {1 if side == "buy" else -1: 1}


@pytest.mark.parametrize(
    ("policy", "held", "aim", "earlier", "others", "taken"),
    [
        ("adopt", "5", "8", None, "0", "5"),
        ("adopt", "9", "8", None, "0", "8"),
        ("adopt", "-5", "8", None, "0", "0"),
        ("adopt", "-5", "-8", None, "0", "-5"),
        ("adopt", "5", "8", None, "2", "3"),
        ("adopt", "5", "8", None, "5", "0"),
        ("copy_now", "5", "8", None, "0", "0"),
        ("copy_now", "5", "8", "3", "0", "3"),
        ("copy_now", "5", "8", "6", "0", "5"),
        ("copy_now", "5", "2", "6", "0", "2"),
        ("copy_now", "5", "8", "-3", "0", "0"),
        ("copy_now", "5", "8", "0", "0", "0"),
        ("copy_now", "0", "8", "3", "0", "0"),
        ("copy_now", "5", "-8", "-3", "0", "0"),
        ("adopt", "5", "0", None, "0", "0"),
    ],
)
def test_12_how_much_of_what_is_held_counts_as_copied(policy, held, aim, earlier, others, taken):
    from copydesk.inputs import BotRules
    from copydesk.model import Position, PositionSide
    from copydesk.starting import takes
    from copydesk.state import Bot, Desk, Link

    rules = child("c1", k="1")
    desk, book = Desk(), ("BTCUSDT", PositionSide.NET)
    for name in ("bot", "another", "third"):
        desk.bots[name] = Bot(rules=BotRules(name=name, kind="paper", parent=PARENT, children=(rules,)))
    desk.bots["another"].link(rules, book).attributed = D(others)
    if D(held):
        desk.account("c1").positions[book] = Position(symbol="BTCUSDT", quantity=D(held))
    bot = desk.bots["bot"]
    if earlier is not None:
        bot.leave(Link(bot="bot", child=rules, book=book, attributed=D(earlier)))
    assert takes(desk, bot, bot.link(rules, book), D(aim), policy) == D(taken)


@pytest.mark.parametrize(
    ("k", "book", "theirs"),
    [
        ("1", "long", "long"),
        ("-1", "long", "short"),
        ("-1", "short", "long"),
        ("-1", "net", "net"),
        ("1", "short", "short"),
    ],
)
def test_12_what_is_held_is_looked_for_on_the_childs_own_side(k, book, theirs):
    from copydesk.inputs import BotRules
    from copydesk.model import Position, PositionSide
    from copydesk.starting import takes
    from copydesk.state import Bot, Desk

    rules = child("c1", k=k)
    desk = Desk()
    bot = desk.bots["bot"] = Bot(rules=BotRules(name="bot", kind="paper", parent=PARENT, children=(rules,)))
    link = bot.link(rules, ("BTCUSDT", PositionSide(book)))
    link.ratios[1] = link.ratios[-1] = D(k)
    side = PositionSide(theirs)
    desk.account("c1").positions["BTCUSDT", side] = Position(symbol="BTCUSDT", position_side=side, quantity=D(4))
    assert takes(desk, bot, link, D(9), "adopt") == 4


@pytest.mark.parametrize(("age_ms", "settled"), [(10_999, False), (11_000, True)])
def test_what_the_venue_does_not_know_may_arrive_for_so_many_milliseconds(age_ms: int, settled: bool):
    desk = loop(child("c1", k="1")).start()
    desk.buy("2", price="59000")
    desk.settle()
    known = desk.copier.desk
    bot = known.bots["bot"]
    (order,) = [order for link in bot.links.values() for order in link.orders]
    order.state, order.op = State.MISSING, None
    order.sent_ns = (known.account("c1").venue_ms - age_ms) * 1_000_000 + 999_999
    assert unsettled(known, bot) == ([] if settled else ["c1"])
