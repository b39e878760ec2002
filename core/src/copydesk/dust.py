"""Dust (rule 18): what a fee in the base asset leaves of a spot holding, too small to be sold. Pure.

A spot venue takes its fee out of what was bought: 1 bought is 0.999 held, and of that only whole steps can be sold. So what
is held is counted without the fee, exits sell what is free floored to the step, and what remains below the smallest order
is told by its name, keeps no episode open, and is sold with the next exit that has room for it.
"""

from __future__ import annotations

from decimal import Decimal

from copydesk.model import ZERO, Contract, Fill, Instrument, Side
from copydesk.sending import Run
from copydesk.sizing import ceil_to
from copydesk.state import Bot, Desk, Link, Tracked

LIKELY_FEE = Decimal("0.002")
"""More than a spot venue takes of those who trade little."""


def fee_in_base(desk: Desk, kind: str, fill: Fill) -> Decimal:
    """What of the execution's own quantity went as its fee."""
    instrument = desk.instruments.get((kind, fill.symbol))
    spot = instrument is not None and instrument.contract is Contract.SPOT
    return fill.fee if spot and instrument is not None and fill.fee_asset == instrument.base else ZERO


def count_fee(desk: Desk, tracked: Tracked, fill: Fill) -> bool:
    """The child holds less than its order filled. True where that changes anything."""
    fee = fee_in_base(desk, tracked.bot.rules.kind, fill)
    tracked.link.price = fill.price
    tracked.link.attributed -= fee
    return bool(fee)


def hold_back(desk: Desk, tracked: Tracked) -> None:
    """An order may be told filled before its executions, which name the fee: so long the likely fee is not free."""
    order, link = tracked.order, tracked.link
    instrument = desk.instruments.get((tracked.bot.rules.kind, order.terms.symbol))
    if instrument is None or instrument.contract is not Contract.SPOT or order.terms.side is not Side.BUY:
        return
    unheard = order.filled - sum(order.executions.values(), ZERO)
    held_back = max(ZERO, unheard) * LIKELY_FEE
    link.held_back += held_back - order.held_back
    order.held_back = held_back


def count_parent_fee(desk: Desk, bot: Bot, fill: Fill) -> None:
    """The parent holds less than its orders filled. Once per execution, of an order that is known."""
    fee = fee_in_base(desk, bot.rules.kind, fill)
    known = bot.orders.get(fill.venue_id)
    if not fee or known is None or fill.execution_id in known.fees:
        return
    known.fees[fill.execution_id] = fee
    book = bot.book((fill.symbol, fill.position_side))
    book.position -= fee
    own = book.baseline - fee if known.baseline else book.baseline
    book.baseline = min(max(ZERO, own), max(ZERO, book.position))
    book.price = fill.price


def least_sellable(instrument: Instrument, price: Decimal) -> Decimal:
    """The smallest quantity that the venue takes of a spot holding; by quantity alone where no price is known."""
    least = max(instrument.min_quantity, instrument.quantity_step)
    if instrument.min_notional and price:
        least = max(least, ceil_to(instrument.min_notional / (price * instrument.contract_size), instrument.quantity_step))
    return least


def is_dust(quantity: Decimal, instrument: Instrument, price: Decimal) -> bool:
    """True of a spot holding, above zero, that is too small to be sold."""
    if instrument.contract is not Contract.SPOT or not quantity:
        return False
    return abs(quantity) < least_sellable(instrument, price)


def is_flat(desk: Desk, bot: Bot, link: Link) -> bool:
    """Parent and child hold nothing of the link, or nothing that could be sold."""
    book = bot.book(link.book)
    if not link.attributed and not book.followed:
        return True
    instrument = desk.instruments.get((bot.rules.kind, link.book[0]))
    if instrument is None or instrument.contract is not Contract.SPOT:
        return False
    price = link.price or book.price
    held = (link.attributed, book.followed)
    return all(not quantity or is_dust(quantity, instrument, price) for quantity in held)


def tell_dust(run: Run, bot: Bot, link: Link) -> None:
    """Say once what is left at the end of an episode."""
    if link.attributed and link.attributed != link.dust:
        asset = run.desk.instruments[bot.rules.kind, link.book[0]].base
        text = f"{link.attributed} {asset} is left, too little to be sold: the fee was taken out of what was bought"
        run.note(link, "info", "dust", text, quantity=str(link.attributed))
    link.dust = link.attributed
