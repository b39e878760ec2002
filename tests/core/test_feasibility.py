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
