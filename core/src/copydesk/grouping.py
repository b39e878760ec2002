"""A stop and a target as one (rule 11): where the venue links them itself, the child's two legs are one group. Pure.

The parent's group (`Order.group`) tells which two belong together. Each leg stays the copy of its own parent's order; only
the sending is common: both go out as one, and a change of either cancels the group, which takes both away, and places it
anew. Where the venue has no groups, or refuses this one, the two stand side by side and the engine takes away what is left.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from copydesk.budget import spend_place
from copydesk.inputs import PlaceGroup
from copydesk.model import Instrument, NewOrder, OrderGroup, Terms
from copydesk.planning import Wanted, wanted
from copydesk.protecting import GRACE_MS
from copydesk.sending import Run, cancel, partner, prepare
from copydesk.state import Bot, ChildOrder, Link, Op, Pair

OTHER_MS = 1_000
"""The two orders of a parent's group are told one after the other: so long the first waits for the second."""
AGAIN_MS = 30_000
"""A group that was refused is not tried again before: for that its one leg that stands has to go."""


def belongs_to_group(run: Run, bot: Bot, pair: Pair) -> bool:
    """The pair's order is to be placed as a leg of a group."""
    grouped = bool(pair.parent.order.group) and pair.parent.live and not pair.alone
    return grouped and run.desk.capabilities[bot.rules.kind].native_oco


def fellow(link: Link, pair: Pair) -> Pair | None:
    """The pair of the other order of the parent's group: the one on its side. The entry before them may be in it too."""
    mine = pair.parent.order
    if not mine.group:
        return None
    others = (other for other in link.pairs.values() if other is not pair and other.parent.order.group == mine.group)
    return next((other for other in others if other.parent.order.terms.side is mine.terms.side), None)


def tied(run: Run, order: ChildOrder) -> ChildOrder | None:
    """The other leg of the order's group, while that is open."""
    other = partner(run, order)
    return other if other is not None and other.state.is_open else None


def joins(run: Run, bot: Bot, link: Link, pair: Pair) -> Pair | None:
    """The pair with whose order the pair's is to be placed as a group, where both are there to be placed."""
    other = fellow(link, pair) if belongs_to_group(run, bot, pair) else None
    return other if other is not None and not other.closed and belongs_to_group(run, bot, other) else None


def may_group_again(run: Run, bot: Bot, link: Link, pair: Pair) -> bool:
    """The venue refused the two as a group, for the price stood at one of them; it stands between them again."""
    other = fellow(link, pair)
    if not pair.alone or other is None or other.closed or not other.parent.live:
        return False
    price = run.desk.prices.get((bot.rules.kind, link.book[0]))
    if not price or run.at_ns - pair.grouped_ns < AGAIN_MS * 1_000_000:
        return False
    levels = [terms.trigger_price or terms.price for terms in (pair.parent.order.terms, other.parent.order.terms)]
    known = [level for level in levels if level is not None]
    if not (min(known) < price < max(known)):
        return False
    pair.alone = other.alone = False
    return True


def enter_group(
    run: Run, bot: Bot, link: Link, pair: Pair, want: Wanted, terms: Terms, instrument: Instrument, why: str
) -> bool:
    """Place the pair's order together with the other one, or wait for that. False: it has to go by itself."""
    other = fellow(link, pair)
    if other is None:
        pair.grouped_ns = pair.grouped_ns or run.at_ns
        return run.at_ns - pair.grouped_ns < OTHER_MS * 1_000_000
    if other.closed or not belongs_to_group(run, bot, other):
        return False
    standing = other.last
    if standing is not None and standing.state.is_open and not _is_unsent(standing):
        if standing.op is None and standing.state.is_live:
            cancel(run, link, standing, "replace", "it is placed again together with the other order of its group")
        return True
    theirs = wanted(run.desk, bot, link, other, instrument)
    if not isinstance(theirs, Wanted) or theirs.terms.quantity <= other.filled:
        return False
    quantity = min(terms.quantity, theirs.terms.quantity - other.filled)
    _place(run, bot, link, ((pair, want), (other, theirs)), quantity, why)
    return True


def _is_unsent(order: ChildOrder) -> bool:
    return order.op is None and not order.state.is_live


def _place(run: Run, bot: Bot, link: Link, legs: tuple[tuple[Pair, Wanted], ...], quantity: Decimal, why: str) -> None:
    orders = [
        prepare(run, bot, link, pair, msgspec.structs.replace(want.terms, quantity=quantity), want.leg, is_exit=True)
        for pair, want in legs
    ]
    number = run.number()
    for order, other in zip(orders, reversed(orders), strict=True):
        order.op, order.intent, order.sent_ns, order.partner = Op.PLACE, number, run.at_ns, other.client_id
        spend_place(run, order.account)
    for pair, _ in legs:
        pair.waiting = ""
    first = orders[0]
    group = OrderGroup(legs=tuple(NewOrder(client_id=order.client_id, terms=order.terms) for order in orders))
    run.decisions.append(
        PlaceGroup(id=number, bot=link.bot, account=first.account, cause=first.cause, why=why, group=group)
    )


def common_quantity(run: Run, bot: Bot, link: Link, pair: Pair, quantity: Decimal, instrument: Instrument) -> Decimal:
    """Both legs of a group have one quantity: the smaller one."""
    other = fellow(link, pair)
    theirs = wanted(run.desk, bot, link, other, instrument) if other is not None else None
    if other is None or other.last is None or not isinstance(theirs, Wanted):
        return quantity
    return min(quantity, theirs.terms.quantity - (other.filled - other.last.filled))


def is_settled_by_partner(run: Run, bot: Bot, link: Link, pair: Pair, last: ChildOrder) -> bool | None:
    """The pair's leg ended without our asking. True: the other leg came first, and what is wanted now may be placed.

    None: not to be told yet, or the rest of the other leg still works. False: it was not the other leg's doing.
    """
    other = partner(run, last)
    if other is None or last.filled:
        return False
    if other.state.is_ended:
        if not other.filled and other.cancelled_for:
            last.cancelled_for = other.cancelled_for  # a cancel of one leg takes both away
            return True
        return bool(other.filled)
    if not other.filled:
        return None  # it was triggered, or what became of it is still to be told
    # The other leg trades: the parent's may do so too and be told later. What is left needs its stop after a while.
    if not pair.ended_ns:
        pair.ended_ns = run.at_ns
        run.wake(last, GRACE_MS)
    return True if run.at_ns - pair.ended_ns >= GRACE_MS * 1_000_000 else None
