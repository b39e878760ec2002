"""Plans of starts and stops (rules 12 and 13): what they show is all that is then done, and nothing else."""

from __future__ import annotations

from decimal import Decimal

import pytest
from copydesk.forecast import plan_start, plan_stop, without_leverage
from copydesk.inputs import BotStarted, BotStopped, Cancel, Modify, Place, PlaceGroup
from copydesk.model import LeverageChange, OrderType, PositionSide, Side, Terms
from copydesk.plans import Checks, PlannedChild, PlannedPosition, PlannedSend, StartPlan
from harness.closed_loop import PARENT, SYMBOL, ClosedLoop, D, child, instrument
from msgspec.structs import replace

NET = PositionSide.NET


def loop(*children, **more) -> ClosedLoop:
    more.setdefault("instrument", instrument("1", tick="1"))
    return ClosedLoop(children or (child("c1", k="0.5"), child("c2", k="2")), price=D(100), **more)


def start_of(desk: ClosedLoop, policy: str, adverse: str = "0") -> BotStarted:
    accounts = [rules.account for rules in desk.children]
    return BotStarted(
        at_ns=desk.now_ns,
        bot="bot",
        snapshot=desk.snapshot(PARENT),
        policy=policy,
        max_adverse_percent=D(adverse),
        children={account: desk.snapshot(account) for account in accounts} if policy != "ignore" else {},
    )


def market(side: Side, quantity: str, *, reduce_only: bool = False, book: PositionSide = NET) -> Terms:
    return Terms(
        symbol=SYMBOL, side=side, type=OrderType.MARKET, quantity=D(quantity), reduce_only=reduce_only, position_side=book
    )


def limit(side: Side, quantity: str, price: str, *, reduce_only: bool = False) -> Terms:
    return Terms(
        symbol=SYMBOL, side=side, type=OrderType.LIMIT, quantity=D(quantity), price=D(price), reduce_only=reduce_only
    )


def position(held: str, target: str, adopted: str = "0", book: str = "net") -> PlannedPosition:
    return PlannedPosition(symbol=SYMBOL, position_side=book, held=D(held), target=D(target), adopted=D(adopted))


def sent(desk: ClosedLoop) -> list[tuple[str, str, Terms]]:
    found = []
    for intent in desk.intents:
        match intent:
            case Place():
                found.append((intent.account, "place", intent.order.terms))
            case PlaceGroup():
                found += [(intent.account, "place", leg.terms) for leg in intent.group.legs]
            case Modify():
                found.append((intent.account, "modify", intent.change.terms))
            case Cancel():
                order = desk.copier.desk.child_orders[intent.account, intent.order.client_id].order
                found.append((intent.account, "cancel", order.terms))
    return found


def is_done(desk: ClosedLoop, given: BotStarted, plan: StartPlan) -> None:
    """The start sends at once what its plan shows."""
    before = len(desk.intents)
    desk.feed(given)
    desk.intents = desk.intents[before:]
    shown = [(send.account, send.what, send.terms) for send in plan.sends]
    assert sorted(map(repr, sent(desk))) == sorted(map(repr, shown))


# --- start ------------------------------------------------------------------------------------------------------------


def test_12_copy_now_shows_what_each_child_gets_and_does_that():
    desk = loop()
    desk.buy("10")
    desk.buy("4", price="90")
    desk.sell("10", type=OrderType.STOP_MARKET, trigger="80", reduce_only=True)
    given = start_of(desk, "copy_now")
    plan = plan_start(desk.copier.desk, given, Checks(warnings=("mind the gap",)))
    assert (plan.bot, plan.parent, plan.policy, plan.max_adverse_percent) == ("bot", PARENT, "copy_now", 0)
    assert [held.quantity for held in plan.positions] == [10]
    assert [order.terms.quantity for order in plan.orders] == [4, 10]
    assert (plan.refusals, plan.warnings) == ((), ("mind the gap",))
    remark = f"{plan.children[0].remarks[0]}"
    assert plan.children == (
        PlannedChild(
            account="c1",
            positions=(position("0", "5"),),
            sends=(
                PlannedSend(account="c1", what="place", terms=market(Side.BUY, "5")),
                PlannedSend(account="c1", what="place", terms=limit(Side.BUY, "2", "90")),
            ),
            remarks=(remark,),
        ),
        PlannedChild(
            account="c2",
            positions=(position("0", "20"),),
            sends=(
                PlannedSend(account="c2", what="place", terms=market(Side.BUY, "20")),
                PlannedSend(account="c2", what="place", terms=limit(Side.BUY, "8", "90")),
            ),
            remarks=(remark,),
        ),
    )
    assert remark == "skipped: the child holds nothing yet"
    assert plan.changes
    is_done(desk, given, plan)
    desk.settle()
    assert (desk.position("c1"), desk.position("c2")) == (5, 20)


def test_12_ignore_shows_what_the_parent_has_and_sends_nothing():
    desk = loop()
    desk.buy("10")
    gone = desk.buy("4", price="90")
    desk.buy("3", price="91")
    desk.cancel(gone)
    given = start_of(desk, "ignore")
    plan = plan_start(desk.copier.desk, given)
    assert [order.terms.quantity for order in plan.orders] == [3]
    assert [(one.account, one.positions, one.sends, one.remarks) for one in plan.children] == [
        ("c1", (), (), ()),
        ("c2", (), (), ()),
    ]
    assert not plan.changes
    is_done(desk, given, plan)


def test_12_adopt_shows_what_counts_as_copied():
    desk = loop()
    desk.buy("10")
    for account, quantity in (("c1", "3"), ("c2", "30")):
        desk.exchange.place(account, market(Side.BUY, quantity))
    given = start_of(desk, "adopt")
    plan = plan_start(desk.copier.desk, given)
    assert [one.positions for one in plan.children] == [
        (position("3", "5", "3"),),
        (position("30", "20", "20"),),
    ]
    assert plan.sends == ()
    assert plan.changes, "it has to be confirmed all the same"
    assert [one.remarks for one in plan.children] == [(), ()]
    is_done(desk, given, plan)


def test_12_a_group_is_shown_leg_by_leg():
    desk = loop(child("c1", k="1"), oco=True)
    desk.buy("2")
    legs = (limit(Side.SELL, "2", "120", reduce_only=True), Terms(
        symbol=SYMBOL, side=Side.SELL, type=OrderType.STOP_MARKET, quantity=D(2), trigger_price=D(80), reduce_only=True
    ))  # fmt: skip
    desk.buy("1", price="90")
    desk.parent_places_group(*legs)
    desk.exchange.place("c1", market(Side.BUY, "2"))
    given = start_of(desk, "adopt")
    plan = plan_start(desk.copier.desk, given)
    assert {(send.what, send.terms, send.protects) for send in plan.sends} == {
        ("place", limit(Side.BUY, "1", "90"), False),
        *(("place", leg, True) for leg in legs),
    }
    is_done(desk, given, plan)
    assert any(isinstance(intent, PlaceGroup) for intent in desk.intents)


def test_12_orders_of_an_earlier_run_are_taken_over_changed_or_left():
    desk = loop(child("c1", k="1"))
    desk.start()
    bid = desk.buy("4", price="90")
    other = desk.buy("3", price="91")
    stray = desk.buy("2", price="92")
    desk.settle()
    desk.feed(BotStopped(at_ns=desk.now_ns, bot="bot"))
    desk.amend(bid, price="89")
    desk.amend(other, price="91", quantity="1")
    desk.cancel(stray)
    given = start_of(desk, "adopt")
    plan = plan_start(desk.copier.desk, given)
    left = next(order for order in desk.exchange.open_orders("c1") if order.terms.price == 92)
    copies = {order.terms.price: order.client_id for order in desk.exchange.open_orders("c1")}
    assert plan.children[0].sends == (
        PlannedSend(account="c1", what="modify", terms=limit(Side.BUY, "4", "89"), client_id=copies[D(90)]),
        PlannedSend(account="c1", what="modify", terms=limit(Side.BUY, "1", "91"), client_id=copies[D(91)]),
    )
    assert plan.children[0].remarks == (
        f"an order that an earlier run left there stays as it is, followed by nobody: {left.client_id}",
    )
    is_done(desk, given, plan)


def test_12_two_orders_that_are_left_are_named_both():
    desk = loop(child("c1", k="1"))
    desk.start()
    bids = [desk.buy("4", price=price) for price in ("90", "91")]
    desk.settle()
    desk.feed(BotStopped(at_ns=desk.now_ns, bot="bot"))
    for bid in bids:
        desk.cancel(bid)
    plan = plan_start(desk.copier.desk, start_of(desk, "copy_now"))
    ids = ", ".join(sorted(order.client_id for order in desk.exchange.open_orders("c1")))
    assert plan.children[0].remarks == (
        f"2 orders that an earlier run left there stay as they are, followed by nobody: {ids}",
    )
    assert plan_start(desk.copier.desk, start_of(desk, "ignore")).children[0].remarks == ()


def test_12_a_replaced_order_is_a_cancel_in_the_plan():
    desk = loop(child("c1", k="1"), amendable=frozenset())
    desk.start()
    bid = desk.buy("4", price="90")
    desk.settle()
    desk.feed(BotStopped(at_ns=desk.now_ns, bot="bot"))
    desk.amend(bid, price="89")
    given = start_of(desk, "adopt")
    plan = plan_start(desk.copier.desk, given)
    (standing,) = desk.exchange.open_orders("c1")
    assert plan.sends == (
        PlannedSend(account="c1", what="cancel", terms=limit(Side.BUY, "4", "90"), client_id=standing.client_id),
    )
    is_done(desk, given, plan)


def test_12_copy_if_better_cannot_be_without_an_entry_price():
    desk = loop(child("c1", k="1"))
    desk.buy("10")
    given = start_of(desk, "copy_if_better", "1")
    assert plan_start(desk.copier.desk, given).warnings == ()
    assert plan_start(desk.copier.desk, given).max_adverse_percent == 1
    unpriced = tuple(replace(held, entry_price=Decimal(0)) for held in given.snapshot.positions)
    bare = replace(given, snapshot=replace(given.snapshot, positions=unpriced))
    plan = plan_start(desk.copier.desk, bare, Checks(warnings=("first",)))
    assert plan.warnings == (
        "first",
        f"the venue does not tell the parent's entry price of {SYMBOL}: nothing is copied of that",
    )
    assert plan.sends == ()
    assert plan_start(desk.copier.desk, replace(bare, policy="copy_now")).warnings == ()


def test_12_leverage_belongs_to_its_child_and_is_part_of_the_plan_until_it_is_set():
    desk = loop()
    change = LeverageChange(account="c2", symbol=SYMBOL, leverage=D(7))
    given = start_of(desk, "ignore")
    plan = plan_start(desk.copier.desk, given, Checks(leverage=(change,), refusals=("no",)))
    assert [one.leverage for one in plan.children] == [(), (change,)]
    assert plan.refusals == ("no",)
    assert plan.changes
    plain = plan_start(desk.copier.desk, given)
    assert plan.digest != plain.digest
    bared = without_leverage(plan)
    assert [one.leverage for one in bared.children] == [(), ()]
    assert bared.digest == plain.digest
    assert (bared.refusals, bared.bot) == (("no",), "bot")


def test_12_another_plan_has_another_digest():
    """Each thing that would be done otherwise makes another digest; under `ignore` the parent makes no difference."""
    seen = {}
    for name, quantity, price, policy, adverse, held in (
        ("plain", "10", "90", "copy_now", "0", "0"),
        ("position", "11", "90", "copy_now", "0", "0"),
        ("order", "10", "91", "copy_now", "0", "0"),
        ("policy", "10", "90", "adopt", "0", "0"),
        ("adverse", "10", "90", "copy_if_better", "1", "0"),
        ("more adverse", "10", "90", "copy_if_better", "2", "0"),
        ("adopted", "10", "90", "adopt", "0", "2"),
    ):
        desk = loop(child("c1", k="0.1"))
        desk.buy(quantity)
        desk.buy("4", price=price)
        if D(held):
            desk.exchange.place("c1", market(Side.BUY, held))
        seen[name] = plan_start(desk.copier.desk, start_of(desk, policy, adverse)).digest
        assert seen[name] == plan_start(desk.copier.desk, start_of(desk, policy, adverse)).digest
    assert len(set(seen.values())) == len(seen), seen
    digests = set()
    for quantity in ("10", "11"):
        desk = loop(child("c1", k="0.1"))
        desk.buy(quantity)
        digests.add(plan_start(desk.copier.desk, start_of(desk, "ignore")).digest)
    assert len(digests) == 1


def test_12_planning_changes_nothing():
    desk = loop()
    desk.start()
    desk.buy("10")
    desk.settle()
    before = repr(desk.copier.desk)
    plan_start(desk.copier.desk, start_of(desk, "copy_now"))
    plan_stop(desk.copier.desk, "bot", "flatten")
    assert repr(desk.copier.desk) == before


# --- stop -------------------------------------------------------------------------------------------------------------


def working(**more) -> ClosedLoop:
    """A child with a position of 10, its stop, its target, and an entry of 2 that rests."""
    desk = loop(child("c1", k="1"), **more).start()
    desk.buy("10")
    desk.buy("2", price="90")
    desk.sell("10", type=OrderType.STOP_MARKET, trigger="80", reduce_only=True)
    desk.settle()
    desk.sell("10", price="120")
    desk.settle()
    return desk


@pytest.mark.parametrize(
    ("policy", "cancelled", "remarks", "warnings"),
    [
        ("leave", [], (f"a position of 10 {SYMBOL} and 3 orders on {SYMBOL} stay as they are, unmanaged",), ()),
        (
            "wind_down",
            [("buy", "2", False)],
            (f"a position of 10 {SYMBOL} and 2 orders on {SYMBOL} are followed until it is flat",),
            (),
        ),
        (
            "cancel_entries",
            [("buy", "2", False)],
            (f"a position of 10 {SYMBOL} and 2 orders on {SYMBOL} stay as they are, unmanaged",),
            (),
        ),
        (
            "cancel_all",
            [("buy", "2", False), ("sell", "10", True), ("sell", "10", True)],
            (f"a position of 10 {SYMBOL} stays as it is, unmanaged",),
            (f"c1 keeps 10 {SYMBOL} without protection: its stops and targets go",),
        ),
        ("flatten", [("buy", "2", False), ("sell", "10", True), ("sell", "10", True)], (), ()),
    ],
)
def test_13_each_policy_shows_what_goes_and_what_stays(policy, cancelled, remarks, warnings):
    desk = working()
    plan = plan_stop(desk.copier.desk, "bot", policy)
    assert (plan.bot, plan.policy, plan.warnings) == ("bot", policy, warnings)
    (one,) = plan.children
    assert (one.account, one.remarks) == ("c1", remarks)
    gone = sorted((s.terms.side, f"{s.terms.quantity:f}", s.protects) for s in one.sends if s.what == "cancel")
    assert gone == cancelled
    names = {order.client_id: order.terms for order in desk.exchange.open_orders("c1")}
    assert all(names[send.client_id] == send.terms for send in one.sends if send.what == "cancel")
    places = [send for send in one.sends if send.what == "place"]
    close = PlannedSend(account="c1", what="place", terms=market(Side.SELL, "10", reduce_only=True), protects=True)
    assert places == ([close] if policy == "flatten" else [])
    assert plan.changes is bool(one.sends)
    before = len(desk.intents)
    desk.feed(BotStopped(at_ns=desk.now_ns, bot="bot", policy=policy))
    assert sorted(intent.client_id for intent in desk.intents[before:] if isinstance(intent, Cancel)) == sorted(
        send.client_id for send in one.sends if send.what == "cancel"
    )


def test_13_one_order_and_no_position_stays_as_it_is():
    desk = loop(child("c1", k="1")).start()
    desk.buy("2", price="90")
    desk.settle()
    assert plan_stop(desk.copier.desk, "bot", "leave").children[0].remarks == (
        f"1 order on {SYMBOL} stays as it is, unmanaged",
    )
    assert plan_stop(desk.copier.desk, "bot", "wind_down").children[0].remarks == ()
    desk.buy("2", price="89")
    desk.settle()
    assert plan_stop(desk.copier.desk, "bot", "leave").children[0].remarks == (
        f"2 orders on {SYMBOL} stay as they are, unmanaged",
    )
    assert plan_stop(desk.copier.desk, "bot", "cancel_all").warnings == ()
    assert plan_stop(desk.copier.desk, "bot", "cancel_all").children[0].remarks == ()


def test_13_a_child_that_is_away_is_dealt_with_when_it_is_back():
    desk = working()
    desk.disconnect("c1")
    assert plan_stop(desk.copier.desk, "bot", "flatten").children[0].remarks == (
        "c1 is not connected: it is done when it is back",
    )
    assert "not connected" not in repr(plan_stop(desk.copier.desk, "bot", "leave"))


def test_13_another_stop_has_another_digest():
    desk = working()
    policies = ("leave", "wind_down", "cancel_entries", "cancel_all", "flatten")
    digests = {plan_stop(desk.copier.desk, "bot", policy).digest for policy in policies}
    assert len(digests) == 5
    before = plan_stop(desk.copier.desk, "bot", "cancel_all").digest
    desk.buy("1", price="88")
    desk.settle()
    assert plan_stop(desk.copier.desk, "bot", "cancel_all").digest != before
