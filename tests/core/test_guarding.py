"""What may be opened on a child: trading states, limits and filters (rules 20 and 22). Exits go whatever they say."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from copydesk.config import ChildSettings, check_bot
from copydesk.drifting import drifts
from copydesk.filters import clock_minutes, day_of, in_session, matches, next_turn_ns, session_of
from copydesk.guarding import guarded
from copydesk.inputs import (
    BotRules,
    ChildRules,
    Configured,
    EngineStarted,
    Filters,
    Limits,
    LimitSet,
    Note,
    Reported,
    Unfilled,
)
from copydesk.model import BalanceEvent, Contract, Order, OrderEvent, OrderStatus, OrderType, PositionSide, Side, Terms
from copydesk.planning import Wanted
from copydesk.rules import rules_of
from copydesk.sending import Run
from copydesk.sizing import notional, quantity_worth
from copydesk.state import ChildOrder, Pair, ParentOrder, Trading
from copydesk.tracking import State
from copydesk.views import health, limit_view
from harness.closed_loop import KIND, PARENT, SYMBOL, ClosedLoop, D, child, instrument
from msgspec.structs import replace

DAY_MS = 24 * 3600 * 1000


def loop(*children: ChildRules, **more: object) -> ClosedLoop:
    more.setdefault("instrument", instrument("1", tick="1"))
    return ClosedLoop(children, price=D(100), **more).start()  # type: ignore[arg-type]


def limited(k: str = "1", **limits: object) -> ChildRules:
    return child("c1", k=k, limits=Limits(**limits))  # type: ignore[arg-type]


def set_limit(desk: ClosedLoop, state: str, *, for_ms: int = 0, account: str = "c1") -> None:
    until = desk.now_ns + for_ms * 1_000_000 if for_ms else 0
    desk.feed(LimitSet(at_ns=desk.now_ns, account=account, state=state, reason="news", actor="somebody", until_ns=until))
    desk.settle()


def cause(desk: ClosedLoop) -> list[str]:
    return [view.cause for view in drifts(desk.copier.desk)]


def named(desk: ClosedLoop, kind: str) -> list[str]:
    """The limits that the log names."""
    return [note.data["limit"] for note in desk.notes if note.kind == kind and "limit" in note.data]


def health_of(desk: ClosedLoop) -> str:
    return health(desk.copier.desk, desk.copier.desk.bots["bot"], "c1")


# --- 20: trading states -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("state", "word"), [("close_only", "close-only"), ("none", "locked")])
def test_20_nothing_is_opened_and_exits_go(state, word):
    desk = loop(child("c1", k="1"), child("c2", k="1"))
    desk.buy("10")
    desk.settle()
    set_limit(desk, state)
    desk.buy("4")
    desk.settle()
    assert (desk.position("c1"), desk.position("c2")) == (10, 14)
    assert (cause(desk), named(desk, "capped"), health_of(desk)) == (["capped", ""], ["trading-state"], word)
    desk.sell("7")
    desk.settle()
    assert (desk.position("c1"), desk.position("c2")) == (5, 7)
    desk.sell("7")
    desk.settle()
    assert (desk.position("c1"), desk.position("c2")) == (0, 0)


def test_20_a_flip_under_close_only_closes_and_does_not_open():
    desk = loop(child("c1", k="1"))
    desk.buy("10")
    desk.settle()
    set_limit(desk, "close_only")
    desk.sell("25")
    desk.settle()
    assert (desk.position(PARENT), desk.position("c1")) == (-15, 0)
    assert cause(desk) == ["capped"]
    assert desk.placed("c1")[-1].reduce_only
    desk.buy("15")
    desk.settle()
    assert (desk.position("c1"), drifts(desk.copier.desk)) == (0, ())


def test_20_resting_entries_are_taken_out_and_come_back_when_the_time_is_over():
    desk = loop(child("c1", k="1"))
    desk.buy("5")
    desk.buy("10", price="90")
    stop = desk.sell("5", type=OrderType.STOP_MARKET, trigger="80", reduce_only=True)
    desk.settle()
    desk.feed(LimitSet(at_ns=desk.now_ns, account="c1", state="close_only", until_ns=desk.now_ns + 60_000 * 1_000_000))
    desk.deliver()
    desk.carry_out()
    desk.deliver()
    assert [terms.type for terms in desk.working("c1")] == [OrderType.STOP_MARKET]
    assert limit_view(desk.copier.desk, "c1").state == "close_only"
    desk.cancel(stop)
    desk.settle()  # lets the minute pass
    assert limit_view(desk.copier.desk, "c1").state == "all"
    assert [(terms.quantity, terms.price) for terms in desk.working("c1")] == [(10, 90)]
    desk.trade("90", "100")
    desk.settle()
    assert desk.position("c1") == desk.position(PARENT) == 15


def test_20_a_state_outlives_a_restart_and_so_does_its_end():
    from copydesk.inputs import EngineStarted

    desk = loop(child("c1", k="1"))
    desk.feed(LimitSet(at_ns=desk.now_ns, account="c1", state="none", until_ns=desk.now_ns + 10**9))
    desk.feed(EngineStarted(at_ns=desk.now_ns))
    assert limit_view(desk.copier.desk, "c1").state == "none"
    desk.pass_time(1500)
    assert limit_view(desk.copier.desk, "c1").state == "all"


# --- 20: sizes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "name", "bought"),
    [
        ({"max_order": D(6)}, "max-order", 6),
        ({"max_order_notional": D(650)}, "max-order-notional", 6),
        ({"max_position": D(7)}, "max-position", 7),
        ({"max_position_notional": D(750)}, "max-position-notional", 7),
    ],
)
def test_20_an_entry_over_a_limit_is_refused_or_shrunk(limits, name, bought):
    for over, expected in (("refuse", 0), ("shrink", bought)):
        desk = loop(limited(over=over, **limits))
        waits = ["price-unknown"] if "notional" in name else []  # a market order has no price until it is filled
        desk.buy("10")
        desk.settle()
        assert (desk.position("c1"), cause(desk), named(desk, "capped")) == (expected, ["capped"], [*waits, name])
        desk.sell("10")
        desk.settle()
        assert desk.position("c1") == 0
        assert drifts(desk.copier.desk) == ()
        desk.buy("5")
        desk.settle()
        assert desk.position("c1") == 5


def test_20_the_position_counts_what_is_held_and_what_other_entries_will_add():
    desk = loop(limited(over="shrink", max_position=D(10)))
    desk.buy("4")
    desk.buy("4", price="90")
    desk.settle()
    last = desk.buy("5", price="80")
    desk.settle()
    assert [terms.quantity for terms in desk.working("c1")] == [4, 2]
    assert named(desk, "capped") == ["max-position"]
    desk.trade("80", "100")
    desk.settle()
    assert (desk.position("c1"), desk.position(PARENT), cause(desk)) == (10, 13, ["capped"])
    assert last.venue_id
    # Room that a close makes is not for orders that are over: what the parent closed is not bought back.
    desk.sell("13", price="120")
    desk.settle()
    desk.trade("120", "1")
    desk.sell("6")
    desk.settle()
    assert desk.position("c1") <= 6


def test_20_a_resting_entry_that_was_refused_is_placed_once_there_is_room():
    desk = loop(limited(max_position=D(10)))
    desk.buy("8")
    desk.buy("5", price="90")
    desk.settle()
    assert desk.working("c1") == []
    desk.sell("4")
    desk.settle()
    assert [terms.quantity for terms in desk.working("c1")] == [5]


def test_20_a_partly_filled_entry_keeps_what_it_filled():
    desk = loop(child("c1", k="1"))
    desk.buy("10", price="90")
    desk.settle()
    desk.trade("90", "15")
    desk.settle()
    filled = desk.position("c1")
    assert 0 < filled < 10
    rules = desk.children[0]
    bot = desk.copier.desk.bots["bot"].rules
    tight = replace(rules, limits=Limits(max_order=D(2), over="shrink"))
    desk.feed(
        Configured(
            at_ns=desk.now_ns,
            bots=(replace(bot, children=(tight,)),),
            capabilities=dict(desk.copier.desk.capabilities),
        )
    )
    desk.reread("c1")
    desk.settle()
    assert (desk.position("c1"), desk.working("c1")) == (filled, [])


def test_20_without_a_price_a_notional_limit_waits_for_the_parents_fill():
    desk = loop(limited(over="shrink", max_order_notional=D(350)))
    desk.copier.desk.prices.clear()
    desk.buy("10")
    desk.settle()
    assert desk.position("c1") == 3


@pytest.mark.parametrize(
    ("contract", "size", "worth"), [("linear", "1", "600"), ("linear", "10", "6000"), ("inverse", "10", "60")]
)
def test_20_notional_of_linear_and_inverse_contracts(contract, size, worth):
    one = replace(instrument("1"), contract=Contract(contract), contract_size=D(size))
    assert notional(D(6), D(100), one) == D(worth)
    assert quantity_worth(D(worth), D(100), one) == 6


def test_20_an_inverse_contract_is_limited_by_its_face_value():
    inverse = replace(instrument("1", tick="1"), contract=Contract.INVERSE, contract_size=D(10))
    desk = loop(limited(over="shrink", max_position_notional=D(75)), instrument=inverse)
    desk.buy("10", price="50")
    desk.settle()
    assert [terms.quantity for terms in desk.working("c1")] == [7]


def test_20_allowed_symbols():
    desk = loop(limited(symbols=("ETH*",)), child("c2", k="1", limits=Limits(symbols=("eth*", "btc*"))))
    desk.buy("5")
    desk.settle()
    assert (desk.position("c1"), desk.position("c2")) == (0, 5)
    assert named(desk, "capped") == ["allowed-symbols"]


def test_20_price_band():
    desk = loop(limited(price_band_percent=D(5)))
    desk.buy("1")
    desk.settle()
    far = desk.buy("5", price="90")
    desk.buy("3", price="96")
    desk.settle()
    assert [terms.price for terms in desk.working("c1")] == [96]
    assert named(desk, "capped") == ["price-band"]
    desk.prices(D(97))
    desk.amend(far, price="95")
    desk.settle()
    assert sorted(terms.price for terms in desk.working("c1")) == [95, 96]


# --- 20: daily loss ---------------------------------------------------------------------------------------------------


def lose(desk: ClosedLoop, amount: str, account: str = "c1") -> None:
    desk.exchange.deposit(account, -D(amount))
    desk.settle()


def test_20_a_daily_loss_makes_the_child_close_only_until_the_next_day():
    desk = loop(limited(daily_loss=D(500)), child("c2", k="1"), cash={"c1": D(100_000), "c2": D(100_000)})
    desk.buy("5")
    desk.buy("5", price="90")
    desk.settle()
    lose(desk, "400")
    assert limit_view(desk.copier.desk, "c1").state == "all"
    desk.exchange.deposit("c1", D(-150))
    desk.deliver()
    desk.carry_out()
    desk.deliver()
    view = limit_view(desk.copier.desk, "c1")
    assert (view.state, view.actor, health_of(desk), desk.working("c1")) == ("close_only", "daily-loss", "close-only", [])
    assert "500" in view.reason
    known = desk.copier.desk.account("c1").trading
    assert known == Trading("close_only", view.reason, "daily-loss", desk.now_ns, view.until_ns)
    assert datetime.fromtimestamp(view.until_ns / 1e9, UTC).time().isoformat() == "00:00:00"
    assert len(desk.working("c2")) == 1
    desk.sell("5")
    desk.deliver()
    desk.carry_out()
    desk.deliver()
    assert desk.position("c1") == 0
    desk.pass_time(DAY_MS)
    assert limit_view(desk.copier.desk, "c1").state == "all"


def test_20_a_reset_counts_the_loss_anew():
    desk = loop(limited(daily_loss=D(500)), cash={"c1": D(100_000)})
    desk.exchange.deposit("c1", D(-600))
    desk.deliver()
    assert limit_view(desk.copier.desk, "c1").state == "close_only"
    desk.feed(LimitSet(at_ns=desk.now_ns, account="c1", state="all", actor="somebody"))
    for lost, state in ((400, "all"), (150, "close_only")):
        desk.exchange.deposit("c1", D(-lost))
        desk.deliver()
        assert limit_view(desk.copier.desk, "c1").state == state


def test_20_a_loss_of_exactly_the_limit_is_one():
    for lost, state in (("499.9", "all"), ("500", "close_only")):
        desk = loop(limited(daily_loss=D(500)), cash={"c1": D(100_000)})
        lose(desk, lost)
        assert limit_view(desk.copier.desk, "c1").state == state


def test_20_a_new_day_begins_with_its_own_equity():
    desk = loop(limited(daily_loss=D(500), day_starts=17 * 60, zone="America/Chicago"), cash={"c1": D(100_000)})
    lose(desk, "400")
    desk.pass_time(DAY_MS)
    lose(desk, "10")
    lose(desk, "400")
    view = limit_view(desk.copier.desk, "c1")
    assert (view.state, view.day_equity) == ("all", D(99_590))


def test_20_a_balance_that_is_read_counts_like_one_that_is_told():
    desk = loop(limited(daily_loss=D(500)), cash={"c1": D(100_000)})
    desk.exchange.deposit("c1", D(-600))
    desk.reports = [report for report in desk.reports if not isinstance(report.event, BalanceEvent)]
    desk.reread("c1")
    assert limit_view(desk.copier.desk, "c1").state == "close_only"


# --- 22: filters ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "copied"),
    [
        (Filters(include=("BTC*",)), 5),
        (Filters(include=("ETH*", "SOL*")), 0),
        (Filters(exclude=("btc????",)), 0),
        (Filters(include=("BTC*",), exclude=("*USDT",)), 0),
        (Filters(exclude=("ETH*",)), 5),
    ],
)
def test_22_symbols(filters, copied):
    desk = loop(child("c1", k="1", filters=filters))
    desk.buy("5")
    desk.settle()
    assert (desk.position("c1"), cause(desk)) == (copied, [""] if copied else ["filtered"])
    assert named(desk, "filtered") == ([] if copied else ["symbols"])


def test_22_entries_wait_for_a_session_and_exits_do_not():
    start = datetime.fromtimestamp(loop(child("c1", k="1")).now_ns / 1e9, UTC)
    until, again = start.hour * 60 + start.minute + 2, start.hour * 60 + start.minute + 5
    clock = [f"{minute // 60:02d}:{minute % 60:02d}" for minute in (until, again)]
    sessions = tuple(session_of(f"mon-sun {text} UTC") for text in (f"00:00-{clock[0]}", f"{clock[1]}-24:00"))
    desk = loop(child("c1", k="1", filters=Filters(sessions=sessions)))
    desk.buy("4")
    desk.buy("6", price="90")
    desk.live(1_000)
    assert (desk.position("c1"), len(desk.working("c1"))) == (4, 1)
    desk.live(130_000)
    assert desk.working("c1") == []  # the session is over
    desk.buy("2")
    desk.live(1_000)
    assert (desk.position("c1"), cause(desk), named(desk, "filtered")) == (4, ["filtered"], ["sessions", "sessions"])
    desk.sell("3")
    desk.live(1_000)
    assert desk.position("c1") == 2
    desk.live(180_000)
    assert [terms.quantity for terms in desk.working("c1")] == [6]  # the next one has begun
    desk.sell("3")
    desk.live(1_000)
    assert desk.position("c1") == 0


@pytest.mark.parametrize(
    ("text", "at", "inside"),
    [
        ("mon-fri 09:30-16:00 America/New_York", "2026-11-23T14:30:00Z", True),
        ("mon-fri 09:30-16:00 America/New_York", "2026-11-23T14:29:59Z", False),
        ("mon-fri 09:30-16:00 America/New_York", "2026-11-23T20:59:59Z", True),
        ("mon-fri 09:30-16:00 America/New_York", "2026-11-23T21:00:00Z", False),
        ("mon-fri 09:30-16:00 America/New_York", "2026-06-22T13:30:00Z", True),  # daylight saving
        ("mon-fri 09:30-16:00 America/New_York", "2026-11-21T15:00:00Z", False),  # a Saturday
        ("sun-thu 18:00-17:00 America/New_York", "2026-11-23T05:00:00Z", True),  # over midnight, begun on Sunday
        ("sun-thu 18:00-17:00 America/New_York", "2026-11-27T22:30:00Z", False),
        ("sun 18:00-17:00 America/New_York", "2026-11-23T21:59:00Z", True),
        ("sat-sun 00:00-24:00 UTC", "2026-11-22T23:59:59Z", True),
        ("sat-sun 00:00-24:00 UTC", "2026-11-23T00:00:00Z", False),
        ("fri-mon 00:00-24:00 UTC", "2026-11-23T12:00:00Z", True),
    ],
)
def test_22_sessions_are_those_of_the_wall_clock(text, at, inside):
    assert in_session((session_of(text),), nanoseconds(at)) is inside


def test_22_the_next_turn_of_several_sessions():
    sessions = (session_of("mon-fri 09:30-16:00 America/New_York"), session_of("mon 20:00-21:00 UTC"))
    turns = [nanoseconds("2026-11-23T10:00:00Z")]
    for _ in range(5):
        turns.append(next_turn_ns(sessions, turns[-1]))
    read = [datetime.fromtimestamp(at / 1e9, UTC).strftime("%a %H:%M") for at in turns[1:]]
    assert read == ["Mon 14:30", "Mon 20:00", "Mon 21:00", "Tue 14:30", "Tue 21:00"]


def test_22_a_day_that_starts_at_a_time_of_its_zone():
    name, ends = day_of(nanoseconds("2026-11-23T22:59:00Z"), 17 * 60, "America/Chicago")
    assert (name, datetime.fromtimestamp(ends / 1e9, UTC).isoformat()) == ("2026-11-22", "2026-11-23T23:00:00+00:00")


def test_22_patterns():
    assert matches("BTCUSDT", ("eth*", "btc*"))
    assert not matches("BTCUSDT", ("BTC",))


def nanoseconds(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp()) * 1_000_000_000


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"filters": {"sessions": "mon-fri 9-17 UTC"}}, "is not a session"),
        ({"filters": {"sessions": "mon-fri 09:00-09:00 UTC"}}, "is not a session"),
        ({"filters": {"sessions": "mon-fri 09:00-25:00 UTC"}}, "is not a session"),
        ({"filters": {"sessions": "mon-fri 09:00-17:00 Mars/Base"}}, "is not a time zone"),
        ({"limits": {"time_zone": "New York"}}, "is not a time zone"),
        ({"limits": {"day_starts": "24:00"}}, "is not a time of day"),
        ({"limits": {"max_order": "0"}}, "greater than 0"),
    ],
)
def test_wrong_limits_and_filters_are_refused_in_words(table, words):
    with pytest.raises(ValueError, match=words):
        ChildSettings.model_validate({"account": "c1", "mode": "multiplier", "value": "1"} | table)


def test_settings_become_rules():

    table = {
        "account": "c1",
        "mode": "multiplier",
        "value": "1",
        "limits": {"max_order": "5", "max_position": "none", "symbols": "BTC*; ETH*", "day_starts": "17:00"},
        "filters": {"sessions": "mon-fri 09:30-16:00 America/New_York; sun 18:00-24:00 UTC", "exclude": "none"},
    }
    bot = rules_of(check_bot({"name": "b", "parent": "p", "children": [table]}), KIND)
    assert bot == BotRules(name="b", kind=KIND, parent="p", children=bot.children)
    (rules,) = bot.children
    assert rules == replace(child("c1", k="1"), limits=rules.limits, filters=rules.filters)
    assert rules.limits == Limits(max_order=D(5), symbols=("BTC*", "ETH*"), day_starts=17 * 60)
    assert [session.opens for session in rules.filters.sessions] == [570, 1080]
    assert rules.filters.exclude == ()


# --- the same in hedge mode -------------------------------------------------------------------------------------------


def test_20_hedge_mode_limits_each_side_by_itself():
    desk = loop(limited(k="-1", over="shrink", max_position=D(4)), hedge=True)
    desk.buy("6", position_side=PositionSide.LONG)
    desk.sell("3", position_side=PositionSide.SHORT)
    desk.settle()
    assert desk.position("c1", PositionSide.SHORT) == -4
    assert desk.position("c1", PositionSide.LONG) == 3
    assert SYMBOL


# --- 20: what is said and kept ----------------------------------------------------------------------------------------


def reasons(desk: ClosedLoop) -> list[str]:
    return [note.text for note in desk.notes if note.kind in ("capped", "filtered")]


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ({"max_order": D(6)}, "skipped: an order may be 6 at the most"),
        ({"max_order_notional": D(650)}, "skipped: an order may be worth 650 USDT at the most"),
        ({"max_position": D(7)}, f"skipped: the position in {SYMBOL} may be 7 at the most"),
        ({"max_position_notional": D(750)}, f"skipped: the position in {SYMBOL} may be worth 750 USDT at the most"),
        ({"symbols": ("ETH*",)}, f"skipped: {SYMBOL} is not among the symbols allowed on c1"),
    ],
)
def test_20_the_log_says_which_limit_and_how_much(limits, words):
    desk = loop(limited(**limits))
    desk.buy("10", price="99")
    desk.settle()
    assert reasons(desk) == [words]


def test_20_what_is_cut_says_how_much_is_opened():
    desk = loop(limited(over="shrink", max_order=D(6)))
    desk.buy("10", price="99")
    desk.settle()
    assert reasons(desk) == [f"opens 6 instead of 10 {SYMBOL}: an order may be 6 at the most"]
    (copy,) = desk.working("c1")
    assert copy.quantity == 6
    desk.prices(D(97))
    desk.settle()
    assert desk.position("c1") == 6
    desk.copier.desk.bots["bot"].links["c1", (SYMBOL, PositionSide.NET)].child = limited(over="shrink", max_order=D(9))
    desk.reread("c1")
    desk.settle()
    assert desk.position("c1") == 6, "room that comes later is not for an order that filled what it might"


def test_20_of_two_limits_the_tighter_one_counts():
    for limits, name, bought in (
        ({"max_order": D(6), "max_position": D(4)}, "max-position", 4),
        ({"max_order": D(3), "max_position": D(4)}, "max-order", 3),
        ({"max_order_notional": D(200), "max_position": D(4), "max_order": D(9)}, "max-order-notional", 2),
    ):
        desk = loop(limited(over="shrink", **limits))
        desk.buy("10", price="99")
        desk.settle()
        assert [terms.quantity for terms in desk.working("c1")] == [bought]
        assert named(desk, "capped") == [name]


def test_20_what_rests_already_counts_against_the_position_and_exits_do_not():
    desk = loop(limited(over="shrink", max_position=D(10)))
    desk.buy("4")
    desk.buy("3", price="95")
    desk.sell("4", price="120", reduce_only=True)
    desk.settle()
    desk.buy("9", price="94")
    desk.settle()
    assert sorted(terms.quantity for terms in desk.working("c1")) == [3, 3, 4]
    desk.sell("20", price="130")
    desk.settle()
    assert max(terms.quantity for terms in desk.working("c1")) == 14, "4 are closed and 10 opened the other way"


def test_20_a_position_limit_in_money_counts_what_is_held_at_the_orders_price():
    desk = loop(limited(over="shrink", max_position_notional=D(1000)))
    desk.buy("4", price="101")
    desk.settle()
    assert desk.position("c1") == 4
    desk.buy("20", price="50")
    desk.settle()
    assert [terms.quantity for terms in desk.working("c1")] == [16]


def test_20_a_part_that_is_too_small_for_the_venue_is_not_opened():
    desk = ClosedLoop(
        (limited(over="shrink", max_order_notional=D(450)),),
        instrument=instrument("1", tick="1", minimum="500"),
        price=D(100),
    ).start()
    desk.buy("10", price="99")
    desk.settle()
    assert desk.working("c1") == []
    assert named(desk, "capped") == ["max-order-notional"]


def test_20_a_flip_closes_all_and_opens_what_is_allowed():
    desk = loop(limited(over="shrink", max_position=D(3)))
    desk.buy("3")
    desk.settle()
    desk.sell("10")
    desk.settle()
    assert desk.position("c1") == -3
    assert desk.placed("c1")[-1].quantity == 6
    assert not desk.placed("c1")[-1].reduce_only


def test_20_a_flip_that_may_open_nothing_is_an_exit():
    desk = loop(child("c1", k="1"))
    desk.buy("3")
    desk.settle()
    desk.feed(LimitSet(at_ns=desk.now_ns, account="c1", state="close_only", actor="ann", reason="enough"))
    desk.sell("10")
    desk.settle()
    assert desk.position("c1") == 0
    assert (desk.placed("c1")[-1].quantity, desk.placed("c1")[-1].reduce_only) == (3, True)
    assert reasons(desk)[-1] == f"opens 0 instead of 7 {SYMBOL}: c1 is close_only (enough)"


def test_20_who_set_a_state_why_since_when_and_until_when_is_kept_and_told():
    desk = loop(child("c1", k="1"))
    until_ns = desk.now_ns + 60_000_000_000
    given = LimitSet(at_ns=desk.now_ns, account="c1", state="none", actor="ann", reason="the news", until_ns=until_ns)
    desk.feed(given)
    trading = desk.copier.desk.account("c1").trading
    assert (trading.state, trading.reason, trading.actor) == ("none", "the news", "ann")
    assert (trading.since_ns, trading.until_ns) == (given.at_ns, until_ns)
    note = desk.notes[-1]
    assert note.text == "c1: locked: nothing is opened; exits still follow the parent's (the news, ann)"
    assert (note.level, note.kind, note.account, note.bot) == ("warn", "limits", "c1", "")
    assert note.data == {"limit": "trading-state", "state": "none", "actor": "ann", "until_ns": until_ns}
    desk.pass_time(59_999)
    assert desk.copier.desk.account("c1").trading.state == "none"
    desk.pass_time(1)
    trading = desk.copier.desk.account("c1").trading
    assert (trading.state, trading.reason, trading.actor) == ("all", "its time is over", "ann")
    assert (trading.since_ns, trading.until_ns) == (until_ns, 0)
    assert (desk.notes[-1].level, desk.notes[-1].text) == ("info", "c1: all is traded (its time is over, ann)")
    desk.feed(LimitSet(at_ns=desk.now_ns, account="c1", state="close_only"))
    assert desk.notes[-1].text == "c1: nothing is opened, what closes is traded"
    desk.feed(LimitSet(at_ns=desk.now_ns, account="c1", state="close_only", actor="bob"))
    assert desk.notes[-1].text == "c1: nothing is opened, what closes is traded (bob)"


def test_20_a_price_band_is_measured_from_the_last_price_told():
    for price, copied in (("95", True), ("94", False), ("105", True), ("106", False)):
        desk = loop(limited(price_band_percent=D(5)))
        desk.copier.desk.prices["paper", SYMBOL] = D(100)
        place = desk.buy if D(price) < 100 else desk.sell
        place("1", price=price)
        desk.settle()
        assert bool(desk.working("c1")) is copied, price
        off = abs(D(price) - 100)
        words = f"skipped: {price} is {off:.2f} % from the last price 100, the band is 5 %"
        assert reasons(desk) == ([] if copied else [words])


def test_20_an_order_that_stands_stays_wherever_the_market_goes_until_its_price_is_moved():
    desk = loop(limited(price_band_percent=D(5)))
    desk.copier.desk.prices["paper", SYMBOL] = D(100)
    bid = desk.buy("1", price="97")
    desk.settle()
    desk.copier.desk.prices["paper", SYMBOL] = D(150)
    desk.reread("c1")
    desk.settle()
    assert [terms.price for terms in desk.working("c1")] == [97]
    desk.copier.desk.prices["paper", SYMBOL] = D(150)
    desk.amend(bid, price="98")
    desk.settle()
    assert desk.working("c1") == []
    desk.copier.desk.prices["paper", SYMBOL] = D(100)
    desk.reread("c1")
    desk.settle()
    assert [terms.price for terms in desk.working("c1")] == [98]


def test_20_without_a_price_no_band_is_measured_and_no_notional_allowed():
    desk = loop(limited(price_band_percent=D(5), max_order_notional=D(1000)))
    desk.copier.desk.prices.clear()
    desk.buy("2")
    desk.reports.reverse()
    desk.reports = [report for report in desk.reports if report.account == PARENT][-1:]
    desk.deliver()
    assert named(desk, "capped") in ([], ["price-unknown"])


def test_20_an_entry_that_names_its_price_goes_out_where_no_other_is_known():
    desk = loop(limited(price_band_percent=D(5)))
    desk.buy("2", price="90")
    desk.copier.desk.prices.clear()
    desk.deliver()
    desk.carry_out()
    assert [terms.price for terms in desk.working("c1")] == [90]


def test_20_an_order_without_a_price_is_judged_by_the_last_one_told():
    for price, copied in ((D(100), True), (D(200), False)):
        desk = loop(limited(max_order_notional=D(1000)))
        desk.copier.desk.prices[KIND, SYMBOL] = price
        terms = Terms(symbol=SYMBOL, side=Side.BUY, type=OrderType.MARKET, quantity=D(10))
        told = Order(venue_id="77", terms=terms, status=OrderStatus.NEW, updated_ms=desk.now_ns // 1_000_000)
        desk.feed(Reported(at_ns=desk.now_ns, account=PARENT, event=OrderEvent(order=told)))
        assert bool(desk.queue) is copied
        assert named(desk, "capped") == ([] if copied else ["max-order-notional"])


def test_20_what_was_cut_and_has_filled_gets_no_more_when_the_limit_goes():
    desk = loop(limited(max_order=D(2), over="shrink"))
    desk.buy("10", price="90")
    desk.settle()
    (copy,) = desk.exchange.open_orders("c1")
    desk.exchange.fill("c1", D(2), venue_id=copy.venue_id)
    desk.settle()
    (link,) = desk.copier.desk.bots["bot"].links.values()
    assert [pair.closed for pair in (*link.pairs.values(), *link.ended.values())] == ["capped"]
    bot = desk.copier.desk.bots["bot"].rules
    free = (replace(bot, children=(replace(bot.children[0], limits=Limits()),)),)
    desk.feed(Configured(at_ns=desk.now_ns, bots=free, capabilities=dict(desk.copier.desk.capabilities)))
    desk.reread("c1")
    desk.settle()
    assert (desk.position("c1"), desk.working("c1")) == (2, [])


@pytest.mark.parametrize(
    "text",
    [
        "mon-fri 09:60-16:00 UTC",
        "mon-fri 09:30-16:60 UTC",
        "mon-fri 09:75-16:75 UTC",
        "mon-fri 24:00-25:00 UTC",
        "mon-fri 24:00-10:00 UTC",
        "mon-fri 10:00-24:01 UTC",
        "mon-fri 10:00-10:00 UTC",
        "mon-xyz 10:00-11:00 UTC",
        "xyz 10:00-11:00 UTC",
        "mon-fri 10:00-11:00 Nowhere/City",
    ],
)
def test_22_a_session_that_cannot_be_is_refused(text):
    with pytest.raises(ValueError, match="is not a"):
        session_of(text)


@pytest.mark.parametrize(
    ("text", "days", "opens", "closes"),
    [
        ("mon-fri 09:59-16:59 UTC", (0, 1, 2, 3, 4), 599, 1019),
        ("mon 00:00-24:00 UTC", (0,), 0, 1440),
        ("fri-mon 23:59-00:00 UTC", (4, 5, 6, 0), 1439, 0),
        ("sun-sat 1:05-2:00 UTC", (6, 0, 1, 2, 3, 4, 5), 65, 120),
        ("sat-tue 10:00-11:00 UTC", (5, 6, 0, 1), 600, 660),
        ("mon-sun 10:00-11:00 UTC", (0, 1, 2, 3, 4, 5, 6), 600, 660),
    ],
)
def test_22_a_session_is_read_as_it_is_written(text, days, opens, closes):
    found = session_of(text)
    assert (found.days, found.opens, found.closes, found.zone) == (days, opens, closes, "UTC")


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


@pytest.mark.parametrize(
    ("session", "at", "inside", "turns"),
    [
        ("mon-fri 09:30-16:00 UTC", "2026-11-18 09:29:59", False, "2026-11-18 09:30:00"),
        ("mon-fri 09:30-16:00 UTC", "2026-11-18 09:30:00", True, "2026-11-18 16:00:00"),
        ("mon-fri 09:30-16:00 UTC", "2026-11-18 15:59:59", True, "2026-11-18 16:00:00"),
        ("mon-fri 09:30-16:00 UTC", "2026-11-18 16:00:00", False, "2026-11-19 09:30:00"),
        ("mon-fri 09:30-16:00 UTC", "2026-11-20 16:00:00", False, "2026-11-23 09:30:00"),
        ("wed 00:00-24:00 UTC", "2026-11-18 23:59:59", True, "2026-11-19 00:00:00"),
        ("wed 00:00-24:00 UTC", "2026-11-19 00:00:00", False, "2026-11-25 00:00:00"),
        ("wed 22:00-02:00 UTC", "2026-11-19 01:59:00", True, "2026-11-19 02:00:00"),
        ("wed 22:00-02:00 UTC", "2026-11-19 02:00:00", False, "2026-11-25 22:00:00"),
        ("wed 22:00-02:00 UTC", "2026-11-18 01:00:00", False, "2026-11-18 22:00:00"),
        ("wed 09:30-16:00 America/New_York", "2026-11-18 14:30:00", True, "2026-11-18 21:00:00"),
    ],
)
def test_22_when_a_session_is_and_when_that_turns(session, at, inside, turns):
    sessions = (session_of(session),)
    assert in_session(sessions, ns(at)) is inside
    assert next_turn_ns(sessions, ns(at)) == ns(turns)
    assert (in_session((), ns(at)), next_turn_ns((), ns(at))) == (True, 0)


def test_22_of_several_sessions_one_is_enough():
    sessions = (session_of("wed 08:00-09:00 UTC"), session_of("wed 10:00-11:00 UTC"))
    assert [in_session(sessions, ns(f"2026-11-18 {hour}:30:00")) for hour in ("08", "09", "10", "11")] == [1, 0, 1, 0]
    assert next_turn_ns(sessions, ns("2026-11-18 09:30:00")) == ns("2026-11-18 10:00:00")


@pytest.mark.parametrize(
    ("at", "starts", "zone", "day", "ends"),
    [
        ("2026-11-18 16:59:59", 17 * 60, "UTC", "2026-11-17", "2026-11-18 17:00:00"),
        ("2026-11-18 17:00:00", 17 * 60, "UTC", "2026-11-18", "2026-11-19 17:00:00"),
        ("2026-11-18 00:00:00", 0, "UTC", "2026-11-18", "2026-11-19 00:00:00"),
        ("2026-11-18 22:30:00", 17 * 60 + 30, "America/New_York", "2026-11-18", "2026-11-19 22:30:00"),
    ],
)
def test_20_which_trading_day_it_is_and_when_the_next_begins(at, starts, zone, day, ends):
    found = day_of(ns(at), starts, zone)
    assert found == (day, ns(ends))
    assert isinstance(found[1], int), "it stands in the journal"


@pytest.mark.parametrize(("limit", "standing"), [("4", []), ("5", [2])])
def test_20_what_is_left_of_a_limit_is_opened_only_where_the_venue_takes_so_little(limit, standing):
    """The entry has filled 3: of the 4 that are allowed 1 is left, and the venue takes no less than 2."""
    desk = loop(child("c1", k="1"), instrument=replace(instrument("1", tick="1"), min_quantity=D(2)))
    desk.buy("10", price="90")
    desk.settle()
    (mine,) = desk.exchange.open_orders("c1")
    desk.exchange.fill("c1", D(3), venue_id=mine.venue_id)
    desk.settle()
    bot = desk.copier.desk.bots["bot"].rules
    tight = replace(desk.children[0], limits=Limits(max_order=D(limit), over="shrink"))
    can = dict(desk.copier.desk.capabilities)
    desk.feed(Configured(at_ns=desk.now_ns, bots=(replace(bot, children=(tight,)),), capabilities=can))
    desk.settle()
    assert [order.terms.quantity - order.filled for order in desk.exchange.open_orders("c1")] == standing


def test_20_a_new_process_looks_at_an_account_again_only_where_a_state_ends():
    desk = ClosedLoop((child("c1", k="1"),))
    desk.feed(EngineStarted(at_ns=desk.now_ns))
    assert desk.copier.next_due_ns == 0
    until_ns = desk.now_ns + 5_000_000
    desk.feed(LimitSet(at_ns=desk.now_ns, account="c1", state="none", until_ns=until_ns))
    desk.feed(EngineStarted(at_ns=desk.now_ns))
    assert desk.copier.next_due_ns == until_ns
    desk.feed(EngineStarted(at_ns=until_ns + 7))
    assert desk.copier.next_due_ns == until_ns + 8, "it ended while there was no process"


@pytest.mark.parametrize(
    ("over", "limit", "filled", "opened"),
    [
        ("shrink", "4", "0", 4),
        ("shrink", "4.7", "0", 4),
        ("shrink", "4", "6", 6),
        ("shrink", "6", "6", 6),
        ("refuse", "4", "6", 6),
    ],
)
def test_20_what_is_wanted_of_an_entry_beyond_a_limit(over, limit, filled, opened):
    """What it has filled already stays, whatever the limit is by now."""
    desk = loop(limited(over=over, max_order=D(limit)))
    known = desk.copier.desk
    bot = known.bots["bot"]
    terms = Terms(symbol=SYMBOL, side=Side.BUY, type=OrderType.LIMIT, quantity=D(9), price=D(99))
    link = bot.link(bot.rules.children[0], (SYMBOL, PositionSide.NET))
    link.ratios[1] = D(1)
    mine = ChildOrder(client_id="1", account="c1", terms=terms, cause="1", filled=D(filled), state=State.PARTIAL, op=None)
    parent = ParentOrder(order=Order(venue_id="1", terms=terms, status=OrderStatus.NEW))
    pair = link.pairs["1"] = Pair(parent=parent, orders=[mine] if D(filled) else [])
    run = Run(known, [], desk.now_ns)
    want = guarded(run, bot, link, pair, known.instruments[KIND, SYMBOL])
    assert want == Wanted(replace(terms, quantity=D(opened)), exit=False, opening=D(opened))
    assert (pair.guard, pair.limit, pair.waiting) == ("capped", "max-order", "max-order")
    (told,) = run.decisions
    assert isinstance(told, Note)
    assert (told.level, told.kind, told.data) == ("warn", "capped", {"limit": "max-order", "parent_order": "1"})
    assert told.text.startswith(f"opens {opened} instead of 9 {SYMBOL}: an order may be {limit} at the most")
    guarded(run, bot, link, pair, known.instruments[KIND, SYMBOL])
    assert len(run.decisions) == 1, "it is told once"


def test_every_setting_becomes_a_rule():
    settings = {
        "account": "c1",
        "mode": "percentage",
        "value": "50",
        "rounding": "nearest",
        "ahead": "ask",
        "basis": "fixed",
        "fixed_balance": "700",
        "balance_max_age_s": "1.5",
        "catch_up": {"max_age_s": "2.5", "max_adverse_percent": "3"},
        "trigger": "on_fill",
        "unfilled_entry": {
            "action": "chase",
            "after_s": "4.5",
            "max_slippage_percent": "5",
            "step_percent": "6",
            "steps": 7,
        },
        "unfilled_exit": {"action": "chase", "after_s": "8.5", "step_percent": "9", "steps": 10},
        "on_size_reject": "shrink_to_fit",
        "ticket_expires_s": "11.5",
        "limits": {
            "over": "shrink",
            "max_order": "12",
            "max_order_notional": "13",
            "max_position": "14",
            "max_position_notional": "15",
            "daily_loss": "16",
            "day_starts": "17:00",
            "time_zone": "Europe/Berlin",
            "symbols": "BTC*",
            "price_band_percent": "18",
        },
        "filters": {"include": "B*", "exclude": "BNB*", "sessions": "mon 09:00-10:00 UTC"},
        "hand_trading": "yield",
    }
    silent = {"after_s": "19.5", "action": "flatten"}
    made = check_bot({"name": "b", "parent": "p", "children": [settings], "parent_silent": silent})
    rules = ChildRules(
        account="c1",
        mode="percentage",
        value=D(50),
        rounding="nearest",
        ahead="ask",
        basis="fixed",
        fixed_balance=D(700),
        balance_max_age_ms=1_500,
        catch_up_max_age_ms=2_500,
        catch_up_max_adverse_percent=D(3),
        trigger="on_fill",
        unfilled_entry=Unfilled(action="chase", after_ms=4_500, max_slippage_percent=D(5), step_percent=D(6), steps=7),
        unfilled_exit=Unfilled(action="chase", after_ms=8_500, step_percent=D(9), steps=10),
        on_size_reject="shrink_to_fit",
        ticket_expires_ms=11_500,
        limits=Limits(
            over="shrink",
            max_order=D(12),
            max_order_notional=D(13),
            max_position=D(14),
            max_position_notional=D(15),
            daily_loss=D(16),
            day_starts=17 * 60,
            zone="Europe/Berlin",
            symbols=("BTC*",),
            price_band_percent=D(18),
        ),
        filters=Filters(include=("B*",), exclude=("BNB*",), sessions=(session_of("mon 09:00-10:00 UTC"),)),
        hand_trading="yield",
    )
    assert rules_of(made, KIND) == BotRules(
        name="b",
        kind=KIND,
        parent="p",
        children=(rules,),
        parent_silent_after_ms=19_500,
        parent_silent_action="flatten",
    )


def test_20_an_older_entry_that_grows_leaves_a_younger_one_what_stands():
    desk = loop(limited(over="shrink", max_position=D(10)))
    first = desk.buy("4", price="90")
    desk.settle()
    desk.buy("6", price="91")
    desk.settle()
    desk.amend(first, quantity="8")
    desk.settle()
    assert sorted(terms.quantity for terms in desk.working("c1")) == [4, 6]


@pytest.mark.parametrize(("text", "minutes"), [("00:00", 0), (" 9:05 ", 545), ("17:59", 1079), ("23:59", 1439)])
def test_a_time_of_day_is_read_as_minutes(text, minutes):
    assert clock_minutes(text) == minutes


@pytest.mark.parametrize("text", ["24:00", "17:60", "17", "noon", "117:00"])
def test_what_is_no_time_of_day_is_refused_in_words(text):
    with pytest.raises(ValueError, match="is not a time of day: write it like 17:00"):
        clock_minutes(text)


def test_20_where_a_limit_is_lowered_the_younger_entry_gives_way():
    desk = loop(limited(over="shrink", max_position=D(10)))
    for quantity, price in (("4", "90"), ("6", "91")):
        desk.buy(quantity, price=price)
        desk.settle()
    bot = desk.copier.desk.bots["bot"].rules
    tight = limited(over="shrink", max_position=D(8))
    can = dict(desk.copier.desk.capabilities)
    desk.feed(Configured(at_ns=desk.now_ns, bots=(replace(bot, children=(tight,)),), capabilities=can))
    desk.settle()
    assert sorted((terms.price, terms.quantity) for terms in desk.working("c1")) == [(90, 4), (91, 4)]


def test_20_a_state_that_nobody_gave_a_reason_for_is_told_without_one():
    desk = loop(limited())
    desk.feed(LimitSet(at_ns=desk.now_ns, account="c1", state="none"))
    desk.buy("10", price="99")
    desk.settle()
    assert reasons(desk) == ["skipped: c1 is none"]


def test_20_a_partly_filled_entry_counts_once_against_a_position_limit_in_money():
    desk = loop(limited(over="shrink", max_position_notional=D(1000)))
    desk.buy("30", price="50")
    desk.settle()
    (mine,) = desk.exchange.open_orders("c1")
    desk.exchange.fill("c1", D(4), venue_id=mine.venue_id)
    desk.settle()
    desk.reread("c1")
    desk.settle()
    assert [order.terms.quantity for order in desk.exchange.open_orders("c1")] == [20]


@pytest.mark.parametrize(("limit", "stays"), [("", True), ("max-order", True), ("price-band", False)])
def test_20_an_order_that_goes_because_of_the_band_does_not_stay_when_its_price_is_moved_back(limit, stays):
    """It was moved out of the band and back before its cancel arrived: what stands is measured all the same."""
    desk = loop(limited(price_band_percent=D(5)))
    desk.copier.desk.prices[KIND, SYMBOL] = D(100)
    desk.buy("1", price="97")
    desk.settle()
    known = desk.copier.desk
    known.prices[KIND, SYMBOL] = D(150)
    bot = known.bots["bot"]
    (link,) = bot.links.values()
    (pair,) = link.pairs.values()
    pair.limit = limit
    want = guarded(Run(known, [], desk.now_ns), bot, link, pair, known.instruments[KIND, SYMBOL])
    assert isinstance(want, Wanted) is stays
