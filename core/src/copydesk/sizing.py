"""Arithmetic of quantities and prices. Pure, `Decimal` only.

Rounding is of the cumulative quantity, never of the increment: an order's own part is what it adds to the rounded whole.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_UP, Decimal

from copydesk.model import ZERO, Contract, Instrument, Side

HAIR = Decimal("1e-12")
"""A third of 3 is 1 although `Decimal` has it as 0.99…: what is this close to a whole number of steps is one."""


def floor_to(quantity: Decimal, step: Decimal) -> Decimal:
    """The largest multiple of `step` not above `quantity` (both >= 0)."""
    return (quantity / step + HAIR).to_integral_value(ROUND_FLOOR) * step if step else quantity


def ceil_to(quantity: Decimal, step: Decimal) -> Decimal:
    return (quantity / step - HAIR).to_integral_value(ROUND_CEILING) * step if step else quantity


def nearest_to(quantity: Decimal, step: Decimal) -> Decimal:
    return (quantity / step + HAIR).to_integral_value(ROUND_HALF_UP) * step if step else quantity


def round_to(quantity: Decimal, step: Decimal, rounding: str) -> Decimal:
    """Round by the child's setting: `floor`, `nearest`, or `min_one` (floor, but at least one step of anything)."""
    if rounding == "nearest":
        return nearest_to(quantity, step)
    rounded = floor_to(quantity, step)
    if rounding == "min_one" and not rounded and quantity > 0:
        return step
    return rounded


def entry_quantity(before: Decimal, added: Decimal, step: Decimal, rounding: str) -> Decimal:
    """What `added` contributes to the rounded whole, when `before` was there already (exact child quantities, >= 0).

    The residue that rounding left of `before` is thereby carried into this order.
    """
    return round_to(before + added, step, rounding) - round_to(before, step, rounding)


def exit_quantity(held: Decimal, before: Decimal, after: Decimal, step: Decimal) -> Decimal:
    """How much a child that holds `held` closes when its rounded share goes from `before` to `after` (all >= 0).

    A child that holds its share goes on to hold its share, however many small closes lead there; one that holds more or
    less keeps that proportion, and what remains of it is floored. The last close closes all.
    """
    if held <= 0:
        return ZERO
    if after <= 0 or before <= 0:
        return held
    return max(ZERO, held - floor_to(after * held / before, step))


def passive_price(price: Decimal, side: Side, tick: Decimal) -> Decimal:
    """`price` on the tick, rounded away from aggression: a buy down, a sell up."""
    return floor_to(price, tick) if side is Side.BUY else ceil_to(price, tick)


def worst_price(reference: Decimal, side: Side, percent: Decimal, tick: Decimal) -> Decimal:
    """The worst price that is at most `percent` worse than `reference` for a taker of `side`, on the tick."""
    factor = 1 + side.sign * percent / 100
    return passive_price(reference * factor, side, tick)


def notional(quantity: Decimal, price: Decimal, instrument: Instrument) -> Decimal:
    """What a quantity is worth in the quote currency. An inverse contract is worth its face value, whatever the price."""
    worth = quantity * instrument.contract_size
    return worth if instrument.contract is Contract.INVERSE else worth * price


def quantity_worth(amount: Decimal, price: Decimal, instrument: Instrument) -> Decimal:
    """The quantity that is worth `amount` of the quote currency; the reverse of `notional`. Not rounded."""
    return amount / notional(Decimal(1), price, instrument)


def size_fault(quantity: Decimal, price: Decimal | None, instrument: Instrument) -> str:
    """Why the venue would not take an opening order of this size, or an empty string.

    The notional is checked only where a price is known.
    """
    if quantity <= 0:
        return "nothing"
    if quantity < instrument.min_quantity:
        return f"{quantity} is below the minimum quantity {instrument.min_quantity}"
    if price and instrument.min_notional:
        notional = quantity * price * instrument.contract_size
        if notional < instrument.min_notional:
            return f"{quantity} at {price} is worth {notional:f}, below the minimum {instrument.min_notional}"
    return ""
