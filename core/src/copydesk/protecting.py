"""Protective orders (rule 11): which of them outlive the parent's, and how one is replaced without a gap. Pure.

A stop is the last thing between a child and a loss that its parent does not have. So it is judged by what the *child*
holds: it goes when the child is flat, not when the parent is; and where the venue guards with reduce-only, the new one
stands before the old one is taken away (`docs/decisions/0012-a-new-stop-stands-before-the-old-one-goes.md`).
"""

from __future__ import annotations

from decimal import Decimal

from copydesk.model import ZERO, OrderType, PositionSide, Terms
from copydesk.sending import Run, cancel
from copydesk.standing import child_sign
from copydesk.state import Bot, ChildOrder, Link, Pair
from copydesk.tracking import State

STOPS = frozenset({OrderType.STOP_MARKET, OrderType.STOP_LIMIT, OrderType.TRAILING_STOP})
GRACE_MS = 500
"""A parent's stop that vanished while the parent holds on: the fill that took it away may be told later."""


def is_stop(terms: Terms) -> bool:
    return terms.type in STOPS


def is_guarded(terms: Terms) -> bool:
    """The venue itself sees to it that the order only reduces: by its flag, or because it closes one side of a hedge."""
    return terms.reduce_only or terms.position_side is not PositionSide.NET


def held_for(link: Link, pair: Pair) -> Decimal:
    """How much the child holds that the pair's order could close."""
    return max(ZERO, -(link.attributed - link.held_back) * child_sign(link, pair))


def outlives(bot: Bot, link: Link, pair: Pair) -> bool:
    """The parent's stop is over and so is the position that it protected, but not the child's: its stop stays."""
    parent, last = pair.parent, pair.last
    if parent.live or last is None or not (last.exit and is_stop(last.terms)):
        return False
    return bool(held_for(link, pair)) and not _still_held(bot, link, pair)


def lingers(run: Run, bot: Bot, link: Link, pair: Pair, order: ChildOrder) -> bool:
    """The parent's stop was taken away although the parent holds on: believed after a moment, if it still is so.

    Where a target takes a stop away, a venue may tell of the stop first; and who moves a stop by hand may cancel it first.
    """
    is_protective = order.exit and is_stop(order.terms) and is_guarded(order.terms)
    if not is_protective or pair.parent.filled or not held_for(link, pair):
        return False
    if not pair.ended_ns:
        pair.ended_ns = run.at_ns
        run.wake(order, GRACE_MS)
    return run.at_ns - pair.ended_ns < GRACE_MS * 1_000_000


def _still_held(bot: Bot, link: Link, pair: Pair) -> bool:
    return -bot.book(link.book).followed * pair.parent.order.terms.side.sign > 0


# --- one in the place of another --------------------------------------------------------------------------------------


def may_stand_beside(run: Run, link: Link, old: ChildOrder, new: Terms) -> bool:
    """A new protective order may be placed while the old one stands: reduce-only keeps both from closing too much.

    Not where the account holds more than what was copied: there both together could take of what is not ours.
    """
    if not (old.exit and old.terms.type.is_conditional and new.type.is_conditional) or old.filled:
        return False
    return is_guarded(old.terms) and is_guarded(new) and not has_foreign(run, link)


def has_foreign(run: Run, link: Link) -> bool:
    # A fill and the position after it are told one after the other: foreign is what both the last two say.
    held = run.desk.account(link.child.account).positions.get(link.book)
    return bool(held is not None and held.quantity != link.attributed and link.foreign)


def older(pair: Pair) -> list[ChildOrder]:
    """Orders that a newer one of the pair is to take the place of, and that may still stand."""
    return [order for order in pair.orders[:-1] if order.state.is_open]


def fall_back(pair: Pair) -> ChildOrder | None:
    """Where the newest order came to nothing and an older one still stands, that one is the pair's order again."""
    last = pair.last
    if last is None or last.state.is_open or last.state is State.FILLED:
        return None
    standing = older(pair)
    if not standing:
        return None
    pair.orders.remove(standing[-1])
    pair.orders.append(standing[-1])
    return standing[-1]


def retire(run: Run, link: Link, pair: Pair) -> None:
    """Take away what a newer order has taken the place of."""
    last = pair.last
    if last is None or not (last.state.is_live or last.state is State.FILLED or pair.closed or not link.attributed):
        return
    for order in older(pair):
        if order.state.is_live and order.op is None:
            cancel(run, link, order, "replace", "a newer one stands in its place")
