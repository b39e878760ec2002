"""What binds coins (rule 11): on spot a resting exit holds fast what it would sell, a stop before its trigger too. Pure.

So two exits cannot both stand for the same coins, but for the legs of one group. What has to be sold now comes first, then
stops, then targets: a lower one makes room for a higher one and waits until there is room for itself. Nothing is sent that
the venue could only refuse for want of coins that are bound.
"""

from __future__ import annotations

from decimal import Decimal

from copydesk.model import ZERO, Contract, Instrument, OrderType, Side, Terms
from copydesk.protecting import is_stop
from copydesk.sending import Run, cancel
from copydesk.state import Bot, ChildOrder, Link, Pair

SALE, STOP, TARGET = range(3)
"""Who makes room for whom: a sale at market is a `SALE`, and so is what the parent has sold already."""
WAITS = "waits-for-coins"


def binds(run: Run, bot: Bot, link: Link) -> bool:
    """Whether exits of the link hold fast what they would sell."""
    instrument = run.desk.instruments.get((bot.rules.kind, link.book[0]))
    return instrument is not None and _binds(run, bot, instrument)


def _binds(run: Run, bot: Bot, instrument: Instrument) -> bool:
    return instrument.contract is Contract.SPOT and run.desk.capabilities[bot.rules.kind].exits_bind


def in_turn(run: Run, bot: Bot, link: Link) -> list[Pair]:
    """The pairs of the link; where coins are bound, those first that others have to make room for."""
    pairs = list(link.pairs.values())
    return sorted(pairs, key=_rank) if binds(run, bot, link) else pairs


def _rank(pair: Pair, terms: Terms | None = None) -> int:
    """Of what a pair sells by these terms of the child's; without any, of what it waits to sell, or will."""
    terms = terms or pair.needs
    if terms is not None and terms.type is OrderType.MARKET:
        return SALE
    parent = pair.parent
    terms = parent.order.terms
    if is_stop(terms) and not parent.filled:
        return STOP
    return TARGET if parent.live and terms.type is not OrderType.MARKET else SALE


def has_room(
    run: Run, bot: Bot, link: Link, pair: Pair | None, terms: Terms, instrument: Instrument, beside: Pair | None = None
) -> bool:
    """True where the coins that an exit would sell are free. Else what stands in its way is cancelled, if that is lower.

    `pair`: whose exit it is, None for a correction of the whole link. `beside`: the pair of the other leg of its group.
    """
    if terms.side is not Side.SELL or not _binds(run, bot, instrument):
        return True
    rank = SALE if pair is None else _rank(pair, terms)
    standing = [
        (other, order)
        for other in link.pairs.values()
        if other is not pair and other is not beside
        for order in other.orders
        if order.exit and order.state.is_open and not order.is_unsent and order.terms.side is Side.SELL
    ]
    selling = [order for order in link.corrections if order.state.is_open and not order.is_unsent and not order.enforces]
    bound = _bound([order for _, order in standing] + selling)
    others = (other for other in link.pairs.values() if other is not pair and not other.closed)
    higher = sum((other.needs.quantity for other in others if other.needs and _rank(other) < rank), ZERO)
    claimed = higher + (link.needs if pair is not None and rank > SALE else ZERO)
    if terms.quantity <= link.attributed - link.held_back - bound - claimed:
        return True
    ranks = {order.client_id: _rank(other, order.terms) for other, order in standing}
    if not any(order.op is not None for _, order in standing):
        for _, order in standing:  # the two legs of a group bind the same coins, and go together
            lowest = min(ranks[order.client_id], ranks.get(order.partner, TARGET))
            if lowest > rank and order.state.is_live:
                cancel(run, link, order, "replace", "it binds what has to be sold, or protected, first")
    return False


def _bound(orders: list[ChildOrder]) -> Decimal:
    """What orders hold fast together: the two legs of a group the same coins."""
    groups: dict[str, Decimal] = {}
    for order in orders:
        name = min(order.client_id, order.partner) if order.partner else order.client_id
        groups[name] = max(groups.get(name, ZERO), order.remaining)
    return sum(groups.values(), ZERO)
