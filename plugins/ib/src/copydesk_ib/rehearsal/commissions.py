"""IB's fixed commissions in US dollars, by kind of contract."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from copydesk.model import ZERO, Instrument
from copydesk_paper.contracts import to_cents
from copydesk_paper.matching import Commission

from copydesk_ib.rehearsal.listings import Catalogue


def _of_shares(quantity: Decimal, price: Decimal) -> Decimal:
    """Half a cent for a share; for an order a dollar at least, but no more than one percent of its worth."""
    return max(min(Decimal(1), quantity * price / 100), quantity * Decimal("0.005"))


TARIFFS: Final[Mapping[str, Callable[[Decimal, Decimal], Decimal]]] = {
    "STK": _of_shares,
    "FUT": lambda quantity, _: quantity * Decimal("2.25"),
    "OPT": lambda quantity, _: max(Decimal(1), quantity * Decimal("0.65")),
    "CASH": lambda quantity, price: max(Decimal(2), quantity * price * Decimal("0.00002")),
}
"""What an order costs, from its filled quantity and price."""


def tariff(catalogue: Catalogue) -> Commission:
    """What one execution costs: the difference that it makes to its order, whose minimum is paid once."""

    def commission(instrument: Instrument, before: Decimal, quantity: Decimal, price: Decimal) -> Decimal:
        of = TARIFFS[catalogue.by_name[instrument.symbol].sec_type]
        return to_cents(of(before + quantity, price) - (of(before, price) if before else ZERO))

    return commission
