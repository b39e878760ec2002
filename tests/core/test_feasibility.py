"""The feasibility preview: what it promises is what sizing then does."""

from __future__ import annotations

from decimal import Decimal

import pytest
from copydesk.feasibility import Trade, preview_child, smallest_order, smallest_parent_order, trades_of
from copydesk.model import Balance, Fill, Instrument, Side
from copydesk.sizing import round_to, size_fault
from copydesk.state import Account
from harness.closed_loop import SYMBOL, D, child, instrument
from hypothesis import given
from hypothesis import strategies as st

PRICE = D(60_000)


def account(key: str, equity: str) -> Account:
    balance = Balance(currency="USDT", equity=D(equity), cash=D(equity), available=D(equity))
    return Account(key=key, balance=balance)


def trade(side: Side, quantity: str, symbol: str = SYMBOL) -> Trade:
    return Trade(symbol=symbol, side=side, quantity=D(quantity), price=PRICE, time_ms=1)


def look(rules: object, *trades: Trade, one: Instrument | None = None, mine: str = "500", theirs: str = "1000") -> object:
    found = one or instrument("0.001", minimum="100")
    return preview_child(
        rules,  # type: ignore[arg-type]
        account("parent", theirs),
        account("c1", mine),
        {SYMBOL: found},
        {SYMBOL: PRICE},
        trades,
        {SYMBOL: D(10)},
        1,
    )


@given(
    ratio=st.decimals("0.01", "20", places=2),
    step=st.sampled_from(["1", "0.1", "0.001"]),
    minimum=st.sampled_from(["0", "5", "100"]),
    rounding=st.sampled_from(["floor", "nearest", "min_one"]),
)
def test_the_smallest_parent_order_is_followed_and_one_step_less_is_not(
    ratio: Decimal, step: str, minimum: str, rounding: str
):
    one = instrument(step, minimum=minimum)
    smallest, _ = smallest_order(one, PRICE)
    assert size_fault(smallest, PRICE, one) == ""
    assert size_fault(smallest - one.quantity_step, PRICE, one) != ""
    parent = smallest_parent_order(ratio, smallest, one, rounding)
    assert size_fault(round_to(ratio * parent, one.quantity_step, rounding), PRICE, one) == ""
    less = parent - one.quantity_step
    if less > 0:
        assert size_fault(round_to(ratio * less, one.quantity_step, rounding), PRICE, one) != ""


@pytest.mark.parametrize(
    ("step", "minimum", "limited_by", "smallest"),
    [("0.001", "0", "step", "0.002"), ("0.001", "100", "minimum notional", "0.004"), ("1", "0", "step", "2")],
)
def test_it_says_what_limits_the_order(step: str, minimum: str, limited_by: str, smallest: str):
    found = look(child("c1", k="0.5"), one=instrument(step, minimum=minimum))
    (symbol,) = found.symbols  # type: ignore[attr-defined]
    assert symbol.smallest_parent_order == D(smallest)
    if step == "0.001":
        assert symbol.limited_by == limited_by


def test_the_balance_that_it_names_is_just_enough():
    found = look(child("c1"), trade(Side.BUY, "0.003"))
    (symbol,) = found.symbols  # type: ignore[attr-defined]
    needed = symbol.balance_needed
    assert needed > 500
    assert len(found.skipped) == 1  # type: ignore[attr-defined]
    assert not look(child("c1"), trade(Side.BUY, "0.003"), mine=str(needed)).skipped  # type: ignore[attr-defined]
    assert look(child("c1"), trade(Side.BUY, "0.003"), mine=str(needed - 1)).skipped  # type: ignore[attr-defined]
    assert symbol.margin_needed is not None


def test_it_names_the_skipped_trades_and_carries_what_was_rounded_away():
    buys = [trade(Side.BUY, "0.4") for _ in range(4)]
    found = look(child("c1", k="1"), *buys, trade(Side.SELL, "1.6"), one=instrument("1"))
    assert [skipped.reason for skipped in found.skipped] == ["0.4 of step 1"] * 3  # type: ignore[attr-defined]
    assert found.trades == 5  # type: ignore[attr-defined]


def test_without_a_balance_it_says_why_nothing_can_be_told():
    found = look(child("c1"), mine="0")
    assert "not positive" in found.problem  # type: ignore[attr-defined]


def test_fills_are_taken_together_by_order_and_each_once():
    def fill(execution: str, order: str, quantity: str, time_ms: int) -> Fill:
        return Fill(
            execution_id=execution,
            venue_id=order,
            symbol=SYMBOL,
            side=Side.BUY,
            quantity=D(quantity),
            price=PRICE,
            time_ms=time_ms,
        )

    fills = [fill("1", "a", "1", 5), fill("2", "b", "2", 3), fill("3", "a", "2", 6), fill("1", "a", "1", 5)]
    assert [t.quantity for t in trades_of(fills, 10)] == [D(2), D(3)]
    assert [t.quantity for t in trades_of(fills, 1)] == [D(3)]


# --- the parts of a preview -------------------------------------------------------------------------------------------


def one_fill(number: str, execution: str, quantity: str, price: str, time_ms: int, side: Side = Side.BUY) -> Fill:
    return Fill(
        execution_id=execution,
        venue_id=number,
        symbol=SYMBOL,
        side=side,
        quantity=D(quantity),
        price=D(price),
        time_ms=time_ms,
    )


def test_the_fills_of_an_order_are_one_trade_at_their_mean_price():
    fills = [
        one_fill("o2", "e3", "4", "200", 9, Side.SELL),
        one_fill("o1", "e1", "1", "100", 3),
        one_fill("o1", "e2", "3", "120", 5),
        one_fill("o1", "e2", "3", "120", 5),
        one_fill("o3", "e9", "1", "50", 4),
    ]
    trades = trades_of(fills, 10)
    assert trades == (
        Trade(symbol=SYMBOL, side=Side.BUY, quantity=D(1), price=D(50), time_ms=4),
        Trade(symbol=SYMBOL, side=Side.BUY, quantity=D(4), price=D(115), time_ms=5),
        Trade(symbol=SYMBOL, side=Side.SELL, quantity=D(4), price=D(200), time_ms=9),
    )
    assert trades_of(fills, 2) == trades[1:]
    assert trades_of([], 2) == ()


@pytest.mark.parametrize(("basis", "needed"), [("equity", "50"), ("cash", "40"), ("available", "30"), ("fixed", "50")])
def test_the_balance_that_is_needed_is_of_the_childs_basis(basis, needed):
    """The parent orders 10 of its balance; the child's smallest order is 1 at 50 %: it needs a fifth of the parent's."""
    theirs = Balance(currency="USDT", equity=D(250), cash=D(200), available=D(150))
    rules = child("c1", percent="50", basis=basis, fixed_balance=D(77))
    found = preview_child(
        rules,
        Account(key="parent", balance=theirs),
        Account(key="c1", balance=theirs),
        {SYMBOL: instrument("1")},
        {SYMBOL: D(100)},
        [trade(Side.BUY, "10")],
        {},
        0,
    )
    (one,) = found.symbols
    assert one.balance_needed == D(needed)
    assert (one.last_order, one.margin_needed, found.trades) == (10, None, 1)


def test_what_a_copy_binds_is_its_rounded_size_at_the_price_over_the_leverage():
    from msgspec.structs import replace

    one = replace(instrument("1"), contract_size=D(2))
    for rounding, leverage, margin in (("floor", "10", "60"), ("nearest", "5", "160"), ("nearest", "0", None)):
        found = preview_child(
            child("c1", k="-0.36", rounding=rounding),
            account("parent", "1000"),
            account("c1", "1000"),
            {SYMBOL: one, "ANOTHER": one, "FREE": one},
            {"ANOTHER": D(0), SYMBOL: D(100), "AN UNKNOWN": D(5)},
            [trade(Side.BUY, "99"), trade(Side.BUY, "10"), trade(Side.SELL, "7", "FREE")],
            {SYMBOL: D(leverage)},
            1,
        )
        assert found.ratio == D("-0.36")
        (shown,) = found.symbols
        assert (shown.symbol, shown.price, shown.last_order) == (SYMBOL, 100, 10)
        assert shown.margin_needed == (D(margin) if margin else None), (rounding, leverage)
        assert shown.balance_needed is None
        assert (shown.smallest_child_order, shown.limited_by) == (1, "step")
        assert shown.smallest_parent_order == (3 if rounding == "floor" else 2)


def test_without_trades_nothing_of_the_last_order_is_told():
    found = look(child("c1", percent="100"))
    (one,) = found.symbols
    assert (one.last_order, one.balance_needed, one.margin_needed) == (None, None, None)
    assert (found.account, found.trades, found.skipped, found.problem) == ("c1", 0, (), "")


def test_without_a_ratio_only_the_problem_is_told():
    found = preview_child(child("c1"), account("parent", "0"), account("c1", "5"), {}, {}, [], {}, 1)
    assert (found.account, found.ratio, found.symbols) == ("c1", None, ())
    assert "not positive" in found.problem


@pytest.mark.parametrize(
    ("minimum", "least", "notional", "expected"),
    [
        ("1", "1", "0", ("1", "step")),
        ("1", "5", "0", ("5", "minimum quantity")),
        ("2", "5", "0", ("6", "minimum quantity")),
        ("1", "1", "450", ("5", "minimum notional")),
        ("1", "7", "450", ("7", "minimum quantity")),
    ],
)
def test_what_limits_the_smallest_order(minimum, least, notional, expected):
    from msgspec.structs import replace

    one = replace(instrument(minimum, minimum=notional), min_quantity=D(least))
    assert smallest_order(one, D(100)) == (D(expected[0]), expected[1])
    assert smallest_order(replace(one, contract_size=D(100), min_notional=D(0)), D(100))[0] == (
        D(5) + (minimum == "2") if least == "5" else D(7) if least == "7" else D(1)
    )


def test_what_is_skipped_says_why_and_what_it_would_have_been():
    from copydesk.inputs import Filters, Limits
    from msgspec.structs import replace

    one = replace(instrument("1"), min_quantity=D(2))
    trades = [
        trade(Side.BUY, "8"),  # 2: followed
        trade(Side.BUY, "2"),  # 0.5 more: rounded away
        trade(Side.BUY, "2"),  # carried to 1: too small for the venue
        trade(Side.BUY, "4"),  # carried to 2: followed
        trade(Side.SELL, "3"),  # an exit that closes nothing yet is not skipped
        trade(Side.BUY, "5", "OTHER"),
    ]
    trades.insert(0, trades.pop())
    found = preview_child(
        child("c1", k="0.25"), account("parent", "1"), account("c1", "1"), {SYMBOL: one}, {}, trades, {}, 1
    )
    assert [(skipped.trade, skipped.would_be, skipped.reason) for skipped in found.skipped] == [
        (trades[0], D("1.25"), "c1 has no OTHER"),
        (trades[2], D("0.5"), "0.5 of step 1"),
        (trades[3], D("0.5"), size_fault(D(1), PRICE, one)),
    ]
    assert found.trades == 6
    for more in (
        {"filters": Filters(exclude=("BTC*",))},
        {"filters": Filters(include=("ETH*",))},
        {"limits": Limits(symbols=("ETH*",))},
    ):
        some = preview_child(
            child("c1", k="1", **more), account("parent", "1"), account("c1", "1"), {SYMBOL: one}, {}, trades[1:3], {}, 1
        )
        assert [skipped.reason for skipped in some.skipped] == [f"c1 does not follow {SYMBOL}"] * 2
    for more in ({"filters": Filters(include=("BTC*",))}, {"limits": Limits(symbols=("BTC*", "ETH*"))}):
        some = preview_child(
            child("c1", k="1", **more), account("parent", "1"), account("c1", "1"), {SYMBOL: one}, {}, trades[1:2], {}, 1
        )
        assert some.skipped == ()


def test_a_flip_opens_and_shorts_are_played_like_longs():
    one = instrument("1")
    trades = [
        trade(Side.SELL, "2"),
        trade(Side.SELL, "1"),
        trade(Side.BUY, "3"),
        trade(Side.BUY, "1"),
        trade(Side.SELL, "5"),
    ]
    found = preview_child(
        child("c1", k="0.5"), account("parent", "1"), account("c1", "1"), {SYMBOL: one}, {}, trades, {}, 1
    )
    assert [(skipped.trade, skipped.reason) for skipped in found.skipped] == [
        (trades[1], "0.5 of step 1"),
        (trades[3], "0.5 of step 1"),
    ]


@pytest.mark.parametrize("first", [Side.BUY, Side.SELL])
def test_an_order_that_turns_is_played_with_all_that_it_moves(first: Side):
    """From 4 one way to 1 the other: the child's order is for 5, of which the venue takes no less than 4."""
    from msgspec.structs import replace

    one = replace(instrument("1"), min_quantity=D(4))
    second = Side.SELL if first is Side.BUY else Side.BUY
    found = look(child("c1", k="1"), trade(first, "4"), trade(second, "5"), trade(second, "1"), one=one)
    assert [skipped.trade.quantity for skipped in found.skipped] == [1]  # type: ignore[attr-defined]


def test_the_parents_own_least_order_counts_where_the_child_gets_more():
    from msgspec.structs import replace

    one = replace(instrument("0.5"), min_quantity=D("4.8"))
    assert smallest_parent_order(D(10), D(5), one, "floor") == 5
    assert smallest_parent_order(D("0.5"), D(5), one, "floor") == 10


def test_what_a_copy_binds_is_not_told_where_nobody_knows_the_leverage():
    some = {SYMBOL: instrument("1")}
    found = preview_child(
        child("c1", k="1"), account("parent", "1"), account("c1", "1"), some, {SYMBOL: D(1)}, [trade(Side.BUY, "2")], {}, 1
    )
    assert [one.margin_needed for one in found.symbols] == [None]
