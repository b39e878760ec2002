"""Promises of the pure engine, kept whatever the venue does: stories are generated, and what is left afterwards is checked.

`COPYDESK_EXAMPLES=5000` tells more of them. A failing story prints as a list that can be pasted into a test of its own.
"""

from __future__ import annotations

import os
from collections import Counter

import msgspec
from copydesk.drifting import drifts
from copydesk.filters import session_of
from copydesk.inputs import ChildRules, Filters, Limits, Place, Unfilled
from copydesk.model import BudgetScope, Costs, OrderType, PositionSide, Side, TimeInForce
from harness.closed_loop import PARENT, SYMBOL, D, child, instrument
from harness.rough_loop import MID, TRANSIENT, Do, RoughLoop
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

EXAMPLES = int(os.environ.get("COPYDESK_EXAMPLES", "500"))
told = settings(
    derandomize="COPYDESK_EXAMPLES" not in os.environ,  # the gate tells the same stories each time; a hunt tells new ones
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink],
    print_blob=False,
)

# --- stories ----------------------------------------------------------------------------------------------------------

sides = st.sampled_from(list(Side))
books = st.sampled_from([PositionSide.LONG, PositionSide.SHORT])
small = st.integers(0, 3)
quantities = st.integers(1, 12)
offsets = st.sampled_from([-3, 1, 2, 4, 8])
stops = st.sampled_from(
    [
        OrderType.STOP_MARKET,
        OrderType.STOP_LIMIT,
        OrderType.TAKE_PROFIT_MARKET,
        OrderType.TAKE_PROFIT_LIMIT,
        OrderType.TRAILING_STOP,
    ]
)


def do(what: str, *args: st.SearchStrategy[object], **more: st.SearchStrategy[object]) -> st.SearchStrategy[Do]:
    return st.builds(Do, st.just(what), st.tuples(*args), st.fixed_dictionaries(more))


entries = st.one_of(
    do("order", sides, quantities, st.just(OrderType.MARKET), st.just(0), books),
    do("order", sides, quantities, st.just(OrderType.LIMIT), offsets, books),
    do(
        "order",
        sides,
        quantities,
        st.just(OrderType.LIMIT),
        offsets,
        books,
        time_in_force=st.sampled_from(list(TimeInForce)),
    ),
    do("order", sides, quantities, st.just(OrderType.LIMIT), offsets, books, post_only=st.booleans()),
    do("order", sides, quantities, stops, st.integers(1, 8), books, reduce_only=st.booleans()),
    do("bracket", sides, quantities, st.integers(1, 6), st.integers(1, 6), books, grouped=st.booleans()),
)
exits = st.one_of(
    do("exit", st.sampled_from([30, 50, 100, 100, 200, 250])),
    do("exit", st.sampled_from([30, 50, 100]), st.just(OrderType.LIMIT), offsets, reduce_only=st.booleans()),
    do("exit", st.sampled_from([30, 50, 100, 250]), stops, st.integers(1, 8), reduce_only=st.booleans()),
    do(
        "exit",
        st.just(100),
        st.sampled_from([OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET]),
        st.integers(1, 8),
        close_position=st.just(True),
    ),
    do("go_flat"),
)
changes = st.one_of(
    do("amend_one", small, st.integers(0, 12), st.integers(-4, 4)),
    do("cancel_one", small),
)
market = st.one_of(
    do("move", st.integers(MID - 12, MID + 12)),
    do("move", st.integers(MID - 5, MID + 5), st.integers(1, 9)),
    do("print_trade", st.integers(-6, 6), st.integers(1, 20)),
    do("deposit", small, st.sampled_from([100_000, -50_000])),
)
flow = st.one_of(
    do("live"),
    do("live", st.sampled_from([300, 3_000])),
    do("live", st.just(90_000)),
    do("hear", st.integers(1, 6), twice=st.booleans(), backwards=st.booleans()),
    do("send", st.integers(1, 3)),
)
transient = st.sampled_from([*TRANSIENT, "fine"])
trouble = st.one_of(
    do("trouble", small, transient),
    do("trouble", small, transient, transient),
    do("go_deaf", st.integers(0, 4), st.integers(1, 6)),
    do("go_blind", small, st.integers(1, 2)),
    do("lose_sight", small),
    do("break_stream", st.integers(0, 4)),
    do("mend_stream", st.integers(0, 4)),
    do("keep_snapshot", st.integers(0, 4)),
    do("hand_snapshot", st.integers(0, 4)),
    do("read_again", st.integers(0, 4)),
    do("kill", sent=st.booleans()),
    do("conceal", small),
    do("conceal", st.just(0)),
    do("reveal"),
)
states = do("limit", small, st.sampled_from(["all", "close_only", "none"]))
final = do("trouble", small, st.sampled_from(["refuse", "fine"]), st.sampled_from(["refuse", *TRANSIENT]))
hands = st.one_of(
    do("hand_trade", small, sides, quantities),
    do("hand_cancel", small),
    do("send_ticket", small),
)
parents = st.one_of(entries, exits, entries, exits, changes)


def stories(*more: st.SearchStrategy[Do]) -> st.SearchStrategy[list[Do]]:
    return st.lists(st.one_of(parents, parents, flow, flow, market, *more), min_size=6, max_size=40)


ratios = st.sampled_from(["0.5", "3", "0.33", "-1", "1", ""])
roundings = st.sampled_from(["floor", "floor", "nearest", "min_one"])


unfilled = st.builds(
    Unfilled, action=st.sampled_from(["wait", "market_after", "chase"]), after_ms=st.sampled_from([200, 2_000])
)
settings_of_children = st.fixed_dictionaries(
    {},
    optional={
        "trigger": st.sampled_from(["on_submit", "on_fill"]),
        "unfilled_entry": unfilled | st.just(Unfilled(action="cancel_after", after_ms=1_000)),
        "unfilled_exit": unfilled,
        "on_size_reject": st.just("shrink_to_fit"),
    },
)
limits = st.one_of(
    st.just(Limits()),
    st.builds(
        Limits,
        over=st.sampled_from(["refuse", "shrink"]),
        max_order=st.sampled_from([D(0), D(4)]),
        max_position=st.sampled_from([D(0), D(7)]),
        max_position_notional=st.sampled_from([D(0), D(9000)]),
        daily_loss=st.sampled_from([D(0), D(2)]),
        price_band_percent=st.sampled_from([D(0), D("0.3")]),
    ),
)
filters = st.sampled_from(
    [Filters(), Filters(), Filters(exclude=("BTC*",)), Filters(sessions=(session_of("mon-sun 00:00-11:08 UTC"),))]
)


@st.composite
def families(draw: st.DrawFn) -> tuple[ChildRules, ...]:
    sizes = draw(st.lists(st.tuples(ratios, roundings, settings_of_children), min_size=1, max_size=4))
    guarded = draw(st.booleans())
    guards = [(draw(limits), draw(filters)) if guarded else (Limits(), Filters()) for _ in sizes]
    hands = ("enforce", "yield", "coexist") if guarded else ("coexist",)
    return tuple(
        child(
            f"c{n}",
            k=k or None,
            rounding=rounding,
            limits=limit,
            filters=filter_,
            hand_trading=hands[n % len(hands)],
            **more,
        )
        for n, ((k, rounding, more), (limit, filter_)) in enumerate(zip(sizes, guards, strict=True), 1)
    )


amendables = st.sampled_from([frozenset({OrderType.LIMIT}), frozenset[OrderType](), frozenset(OrderType)])


own_budgets = st.sampled_from(
    [
        {},
        {},
        {"requests_per_minute": 20, "requests_scope": BudgetScope.CONNECTION, "costs": Costs(account=1)},
        {"orders_per_second": 1},
    ]
)
budgets = st.one_of(
    own_budgets, st.just({"requests_per_minute": 40, "requests_scope": BudgetScope.MACHINE, "costs": Costs(account=2)})
)


def rough(children: tuple[ChildRules, ...], **more: object) -> RoughLoop:
    desk = RoughLoop(children, instrument=instrument("1", tick="1"), price=D(MID), **more)  # type: ignore[arg-type]
    desk.start()
    return desk


# --- what holds afterwards --------------------------------------------------------------------------------------------


def check_identity(desk: RoughLoop) -> None:
    """I1: one accepted order per client id."""
    for rules in desk.children:
        own = [o.client_id for o in desk.exchange.orders(rules.account) if o.client_id.startswith("cdk-")]
        assert [c for c, n in Counter(own).items() if n > 1] == []


def check_books(desk: RoughLoop) -> None:
    """What the engine believes that it holds is what the venue executed for it, and it followed its parent right."""
    bot = desk.copier.desk.bots["bot"]
    sides = (PositionSide.LONG, PositionSide.SHORT) if desk.hedge else (PositionSide.NET,)
    for side in sides:
        assert bot.book((SYMBOL, side)).position == desk.position(PARENT, side)
    for rules in desk.children:
        for side in sides:
            link = bot.links.get((rules.account, (SYMBOL, side)))
            # A mirrored child holds on the other side of a hedge.
            theirs = _REVERSED[side] if rules.value < 0 and rules.mode == "multiplier" else side
            attributed = link.attributed + link.let_go if link is not None else D(0)
            assert attributed == desk.copied(rules.account, theirs), rules.account


def check_copies(desk: RoughLoop) -> None:
    """I1: the copies of one parent order that only opened filled no more than its share, over all their generations."""
    parents = desk.copier.desk.bots["bot"].orders
    causes = {(i.account, i.order.client_id): i.cause for i in desk.intents if isinstance(i, Place) and i.why != "trim"}
    for rules in desk.children:
        filled: Counter[str] = Counter()
        for order in desk.exchange.orders(rules.account):
            filled[causes.get((rules.account, order.client_id), "")] += order.filled
        for venue_id, parent in parents.items():
            if rules.mode == "multiplier" and parent.opened and not parent.closed:
                largest = max(desk.largest.get(venue_id, D(0)), parent.opened)
                assert filled[venue_id] <= abs(rules.value) * largest + 1, (rules.account, venue_id)


_REVERSED = {
    PositionSide.NET: PositionSide.NET,
    PositionSide.LONG: PositionSide.SHORT,
    PositionSide.SHORT: PositionSide.LONG,
}


def check_drift(desk: RoughLoop) -> None:
    """I7, in part: nothing differs without a reason."""
    views = drifts(desk.copier.desk)
    assert [view for view in views if view.difference and view.cause in ("", "unexplained")] == []


def excused(desk: RoughLoop, account: str) -> bool:
    """By name: an exit of the child still stands at the venue, or a trim failed and a person was told."""
    links = [link for (name, _), link in desk.copier.desk.bots["bot"].links.items() if name == account]
    resting = any(order.state.is_live and order.remaining for link in links for order in link.orders)
    return resting or any(link.failing for link in links)


def check_flat(desk: RoughLoop) -> None:
    """I4: a parent that holds and wants nothing leaves its children with nothing."""
    if desk.exchange.open_orders(PARENT) or desk.exchange.positions(PARENT):
        return
    for rules in desk.children:
        if not excused(desk, rules.account):
            assert desk.exchange.positions(rules.account) == [], rules.account
            assert desk.working(rules.account) == [], rules.account


def check_share(desk: RoughLoop) -> None:
    """I2: no child holds more than its share once the parent has no orders."""
    if desk.exchange.open_orders(PARENT):
        return
    for view in drifts(desk.copier.desk):
        if not excused(desk, view.child):
            assert abs(view.attributed) <= abs(view.target) + desk.instrument.quantity_step, view


def check_replay(desk: RoughLoop) -> None:
    """I5: the journalled inputs give the same decisions, byte for byte."""
    assert desk.decisions_again() == desk.decided


def check_quiet(desk: RoughLoop, story: list[Do]) -> None:
    """No endless loops: reading again changes nothing, and what was sent is bounded by what happened."""
    before = len(desk.intents)
    for number in range(len(desk.names)):
        desk.read_again(number)
    desk.settle()
    assert desk.intents[before:] == []
    for rules in desk.children:
        sent = sum(account == rules.account for account, _, _ in desk.sent)
        assert sent <= 20 + 6 * len(story), f"{sent} requests"


def check_hands(desk: RoughLoop) -> None:
    """Nobody traded by hand, so nothing was taken for that: no episode was let go of."""
    links = desk.copier.desk.bots["bot"].links.values()
    assert [link for link in links if link.detached or link.let_go] == []


def check_all(desk: RoughLoop, story: list[Do]) -> None:
    check_identity(desk)
    check_copies(desk)
    check_books(desk)
    check_drift(desk)
    assert desk.crossings == []
    check_replay(desk)
    check_quiet(desk, story)


@told
@given(families(), stories(trouble, trouble, states), amendables, st.booleans(), st.booleans(), st.booleans(), budgets)
def test_the_promises_hold_on_a_bad_day(children, story, amendable, hedge, nets, oco, budget):
    desk = rough(children, amendable=amendable, hedge=hedge, nets=nets or hedge, oco=oco, budget=budget)
    desk.happen(story).calm()
    check_all(desk, story)
    check_hands(desk)
    check_share(desk)
    check_flat(desk)


@told
@given(families(), stories(trouble, final, hands, states), amendables, st.booleans(), st.booleans(), budgets)
def test_what_is_refused_or_done_by_hand_has_a_name(children, story, amendable, nets, oco, budget):
    desk = rough(children, amendable=amendable, nets=nets, oco=oco, budget=budget)
    desk.happen(story).calm()
    check_all(desk, story)


@told
@given(families(), stories(trouble), st.booleans(), st.booleans(), own_budgets)
def test_a_dead_child_delays_no_other(children, story, hedge, connected, budget):
    """I6: with and without a child that never answers, the others are sent the same orders at the same times."""
    alone = rough(children, hedge=hedge, budget=budget)
    beside = rough((*children, child("dead", k="1")), hedge=hedge, budget=budget)
    beside.dead.add("dead")
    if not connected:
        beside.disconnect("dead")
    for desk in (alone, beside):
        desk.happen(story)
        desk.live(10_000)
    assert sends(beside) == sends(alone)


def sends(desk: RoughLoop) -> list[object]:
    """What the living were sent, without the numbers of the intents."""
    living = [intent for intent in desk.intents if intent.account not in desk.dead]
    return [msgspec.structs.replace(intent, id=0) for intent in living]
