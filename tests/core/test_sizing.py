"""Arithmetic of quantities and prices: what holds for all numbers."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import pytest
from copydesk.model import Contract, Instrument, Side
from copydesk.sizing import (
    ceil_to,
    entry_quantity,
    exit_quantity,
    floor_to,
    nearest_to,
    passive_price,
    round_to,
    size_fault,
    worst_price,
)
from hypothesis import given
from hypothesis import strategies as st

steps = st.sampled_from([Decimal(text) for text in ("1", "0.001", "0.00000001", "10", "0.5", "0.025")])
amounts = st.decimals(0, 10_000, places=6)
counts = st.integers(0, 2_000)
roundings = st.sampled_from(["floor", "nearest", "min_one"])
ratios = st.sampled_from([Decimal(text) for text in ("0.5", "3", "0.33", "1", "0.0078125")]) | st.builds(
    lambda mine, theirs: Decimal(mine) / Decimal(theirs), st.integers(1, 999), st.integers(1, 999)
)


@given(amounts, steps)
def test_rounding_stays_within_a_step_and_on_it(amount, step):
    down, near, up = floor_to(amount, step), nearest_to(amount, step), ceil_to(amount, step)
    assert down <= amount <= up
    assert down in (up, up - step)
    assert abs(near - amount) <= step / 2
    assert all(rounded % step == 0 for rounded in (down, near, up))


@given(st.integers(1, 999), st.integers(1, 999), st.integers(1, 500), steps)
def test_an_exact_share_is_not_lost_to_division(mine, theirs, quantity, step):
    """1,000 of 3,000 on 3 is 1, although a third has no end in decimals."""
    share = Fraction(mine, theirs) * quantity
    rounded = floor_to(Decimal(mine) / Decimal(theirs) * quantity * step, step)
    assert rounded == int(share) * step


@given(st.lists(amounts, max_size=20), ratios, steps, roundings)
def test_entries_add_up_to_the_rounded_whole(orders, ratio, step, rounding):
    """Rule 3: the cumulative target is rounded, never the increment."""
    before = total = Decimal(0)
    for order in orders:
        total += entry_quantity(ratio * before, ratio * order, step, rounding)
        before += order
        assert total == round_to(ratio * before, step, rounding)


@given(amounts, amounts, steps, roundings)
def test_an_entry_is_never_negative(before, added, step, rounding):
    assert entry_quantity(before, added, step, rounding) >= 0


@given(counts, counts, counts, steps)
def test_an_exit_is_between_nothing_and_all(held, before, after, step):
    closed = exit_quantity(held * step, before * step, after * step, step)
    assert 0 <= closed <= held * step
    assert closed % step == 0


@given(counts, counts, steps)
def test_the_last_close_closes_all(held, before, step):
    assert exit_quantity(held * step, before * step, Decimal(0), step) == held * step


@given(counts, counts, counts, steps)
def test_a_child_never_keeps_more_than_its_proportion(held, before, after, step):
    if not before or after > before:
        return
    left = held * step - exit_quantity(held * step, before * step, after * step, step)
    assert left <= Fraction(held * after, before) * Fraction(step)


@given(st.integers(1, 500), st.lists(st.integers(1, 100), max_size=20), ratios, roundings)
def test_many_small_closes_leave_what_one_large_one_would(parent, closes, ratio, rounding):
    """A child on its target stays on its target, to the step, until it is flat."""
    step = Decimal(1)
    positions = [parent]
    for close in closes:
        positions.append(max(0, positions[-1] - close))
    shares = [round_to(ratio * position, step, rounding) for position in positions]
    held = shares[0]
    for before, after in pairwise(shares):
        held -= exit_quantity(held, before, after, step)
        assert held == after


@given(st.decimals(1, 100_000, places=6), st.sampled_from(list(Side)), steps)
def test_a_price_is_rounded_away_from_aggression(price, side, tick):
    rounded = passive_price(price, side, tick)
    assert (rounded - price) * side.sign <= 0
    assert abs(rounded - price) < tick


@given(st.decimals(1_000, 100_000, places=2), st.sampled_from(list(Side)), st.decimals(0, 5, places=2))
def test_the_worst_price_is_within_the_window(reference, side, percent):
    worst = worst_price(reference, side, percent, Decimal("0.01"))
    assert (worst - reference) * side.sign <= reference * percent / 100
    assert abs(worst - reference * (1 + side.sign * percent / 100)) < Decimal("0.01")


@pytest.mark.parametrize(
    ("quantity", "price", "fault"),
    [
        ("0", "100", "nothing"),
        ("0.5", "100", "0.5 is below the minimum quantity 1"),
        ("1", "4", "1 at 4 is worth 4, below the minimum 5"),
        ("1", None, ""),
        ("1", "5", ""),
    ],
)
def test_what_a_venue_would_not_take(quantity, price, fault):
    instrument = Instrument(
        symbol="X",
        base="X",
        quote="Y",
        settle="Y",
        contract=Contract.LINEAR,
        price_tick=Decimal(1),
        quantity_step=Decimal("0.5"),
        min_quantity=Decimal(1),
        min_notional=Decimal(5),
    )
    assert size_fault(Decimal(quantity), Decimal(price) if price else None, instrument) == fault


def test_a_child_that_should_hold_nothing_closes_all():
    for before, after in ((0, 0), (0, 1), (1, 0), (-1, 1)):
        assert exit_quantity(Decimal(5), Decimal(before), Decimal(after), Decimal(1)) == 5


def test_without_a_step_nothing_is_rounded():
    assert [round_up_or_down(Decimal("1.23"), Decimal(0)) for round_up_or_down in (floor_to, ceil_to, nearest_to)] == [
        Decimal("1.23")
    ] * 3
