"""How quantity and price become money, for linear, inverse and spot instruments alike."""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_HALF_UP, Decimal

from copydesk.model import ZERO, Contract, Instrument

CENT = Decimal("0.00000001")
"""Money is kept to this many places, as venues do."""


def to_cents(amount: Decimal) -> Decimal:
    """Round money to eight places."""
    return amount.quantize(CENT, ROUND_HALF_UP)


def tidy(value: Decimal) -> Decimal:
    """Eight places at most, without trailing zeros and without an exponent."""
    rounded = to_cents(value).normalize()
    return rounded.quantize(Decimal(1)) if rounded == rounded.to_integral_value() else rounded


def worth(instrument: Instrument, quantity: Decimal, price: Decimal) -> Decimal:
    """The signed money that `quantity` (signed) stands for, in the settle currency, to eight places.

    Profit is always `worth(quantity, now) - worth(quantity, entry)`; hence the sign of an inverse contract is turned.
    """
    if instrument.contract is Contract.INVERSE:
        return to_cents(-quantity * instrument.contract_size / price) if price else ZERO
    return to_cents(quantity * instrument.contract_size * price)


def notional(instrument: Instrument, quantity: Decimal, price: Decimal) -> Decimal:
    """The size in the settle currency, without sign."""
    return abs(worth(instrument, quantity, price))


def entry_price(instrument: Instrument, quantity: Decimal, cost: Decimal) -> Decimal:
    """The average price at which `quantity` cost `cost`; zero for no position."""
    if not quantity or not cost:
        return ZERO
    size = quantity * instrument.contract_size
    return tidy(-size / cost if instrument.contract is Contract.INVERSE else cost / size)


def is_multiple(value: Decimal, step: Decimal) -> bool:
    """True where `value` lies on the grid of `step`; a step of zero means no grid."""
    return not step or not value % step


def ceil_to_step(value: Decimal, step: Decimal) -> Decimal:
    """The smallest multiple of `step` that is not below `value`."""
    return (value / step).to_integral_value(ROUND_CEILING) * step if step else value
