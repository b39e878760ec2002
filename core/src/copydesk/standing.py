"""Where both sides stand: what a parent's order is made of, what a child should hold, how far each is. Pure, reads only."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from copydesk.ids import CLOSE
from copydesk.model import ZERO, Instrument, PositionSide
from copydesk.sizing import ceil_to, entry_quantity, floor_to, round_to
from copydesk.state import Bot, Executed, Link, Pair, ParentOrder, book_of, may_open
from copydesk.tracking import State

_FOR_THE_CHILD = ("waits-for-close", "waits-for-fill")
"""What a pair waits for that only another of the child's orders can bring: until then its own explains nothing."""


@dataclass(slots=True, frozen=True)
class Parts:
    """How a parent's order divides: what it closes of the followed position, of the baseline, and what it opens."""

    close: Decimal
    ignored: Decimal
    open: Decimal


def divide(bot: Bot, parent: ParentOrder) -> Parts:
    """Divide the parent's order: its fills by what they did when they came, the rest by the position as it is now."""
    terms = parent.order.terms
    closed, ignored, opened = parent.closed, parent.ignored, parent.opened
    if not parent.live:
        return Parts(closed, ignored, opened)
    book = bot.book((terms.symbol, terms.position_side))
    sign = terms.side.sign
    if terms.close_position:
        return Parts(closed + max(ZERO, -sign * book.followed), ignored, ZERO)
    rest = max(ZERO, terms.quantity - parent.filled)
    closing = min(rest, max(ZERO, -sign * book.followed))
    below = min(rest - closing, max(ZERO, -sign * book.baseline))
    beyond = rest - closing - below
    if terms.reduce_only or not may_open(terms):
        return Parts(closed + closing + beyond, ignored + below, opened)
    return Parts(closed + closing, ignored + below, opened + beyond)


def reach(bot: Bot, parent: ParentOrder) -> Decimal:
    """How much of the followed position the parent's order could close at the most: what it closed, and what is left."""
    terms = parent.order.terms
    return parent.closed + max(ZERO, -terms.side.sign * bot.book(book_of(terms)).followed)


def is_exit(bot: Bot, parent: ParentOrder) -> bool:
    """True where the parent's order, as things stand, opens nothing."""
    return not divide(bot, parent).open


def child_sign(link: Link, pair: Pair) -> int:
    """+1 where the child buys for this parent order."""
    sign = pair.parent.order.terms.side.sign
    ratio = pair.ratio if pair.ratio is not None else link.ratio(sign)
    return -sign if ratio is not None and ratio < 0 else sign


def opening_sign(link: Link, pair: Pair) -> int:
    """+1 where what the parent's order opens is long, -1 where it is short; in hedge mode it is the book's."""
    book_side = link.book[1]
    if book_side is PositionSide.NET:
        return pair.parent.order.terms.side.sign
    return 1 if book_side is PositionSide.LONG else -1


def committed(bot: Bot, parent: ParentOrder) -> Decimal:
    """What the parent had committed to this side of the book before this order: its position and working orders."""
    terms = parent.order.terms
    book = bot.book(book_of(terms))
    held = book.followed * terms.side.sign - parent.opened
    working = sum(
        (
            other.order.terms.quantity - other.filled
            for other in book.working.values()
            if other is not parent and other.order.terms.side is terms.side and not other.order.terms.reduce_only
        ),
        ZERO,
    )
    return max(held, ZERO) + working


def target(bot: Bot, link: Link, instrument: Instrument) -> Decimal:
    """What the child should hold now, signed: the rounded share of what the parent holds since the baseline."""
    followed = bot.book(link.book).followed
    ratio = link.ratio(1 if followed > 0 else -1)
    if not followed or ratio is None:
        return ZERO
    exact = ratio * followed
    rounded = round_to(abs(exact), instrument.quantity_step, link.child.rounding)
    return rounded if exact > 0 else -rounded


def in_step(bot: Bot, link: Link, pair: Pair, step: Decimal) -> Decimal:
    """How much the child's orders of a pair would have filled, were they exactly as far as the parent's. Not rounded."""
    parent = pair.parent
    if not parent.live:
        if not (pair.open and parent.done):
            return pair.filled
        if parent.closed or pair.ratio is None or isinstance(parent, Executed):
            return pair.total
        ratio = abs(pair.ratio)
        due = entry_quantity(ratio * pair.before, ratio * parent.opened, step, link.child.rounding)
        return min(pair.total, max(pair.filled, due))
    done = parent.done
    last = pair.last
    if not done or last is None:
        return ZERO
    parts = divide(bot, parent)
    if parts.close and parts.open and pair.ratio is not None:
        opening = round_to(abs(pair.ratio) * parts.open, step, link.child.rounding)
        closing = max(ZERO, pair.total - opening)
        legs = [order for order in pair.orders if order.leg == CLOSE]
        if legs:
            closing = sum((order.terms.quantity if order.state.is_open else order.filled for order in legs), ZERO)
        closed = min(done, parts.close)
        opened = max(ZERO, done - parts.close - parts.ignored)
        return closing * closed / parts.close + opening * opened / parts.open
    whole = parts.close + parts.open
    if not parts.open:  # a reduce-only order that is larger than the position ends where that does
        whole = min(whole, reach(bot, parent))
    if whole and (pair.open or last.state is State.FILLED):
        return pair.total * min(done, whole) / whole
    ratio = pair.ratio or link.ratio(1) or Decimal(1)
    return min(pair.filled, abs(ratio) * done)


def still_moves(bot: Bot, link: Link, pair: Pair, step: Decimal) -> Decimal:
    """By how much a pair moves the child until both of its sides are as far, signed: below what an order is ahead."""
    if not pair.orders or not (pair.parent.live or pair.open):
        return ZERO
    return (in_step(bot, link, pair, step) - pair.filled) * child_sign(link, pair)


def explained(bot: Bot, link: Link, pair: Pair, step: Decimal, towards: int) -> Decimal:
    """How much of what the child holds in the direction `towards` a pair explains while its two sides are not as far.

    An order that adds and is ahead of its parent's; an order that reduces and is behind it. Rounded generously.
    """
    if not pair.orders or not (pair.parent.live or pair.open):
        return ZERO
    last = pair.orders[-1]
    if pair.waiting in _FOR_THE_CHILD and last.is_unsent:
        return ZERO  # it is not at the venue, and waits itself for what the child holds to change
    expected = in_step(bot, link, pair, step)
    if child_sign(link, pair) * towards > 0:
        return max(ZERO, pair.filled - floor_to(expected, step))
    return max(ZERO, ceil_to(expected, step) - pair.filled)


def excess(bot: Bot, link: Link, instrument: Instrument) -> Decimal:
    """How much the child holds beyond its target and beyond what orders that are under way explain, unsigned."""
    held = link.attributed
    if not held:
        return ZERO
    towards = 1 if held > 0 else -1
    step = instrument.quantity_step
    beyond = abs(held) - max(ZERO, target(bot, link, instrument) * towards)
    if beyond > 0:
        beyond -= link.held_back + sum((explained(bot, link, pair, step, towards) for pair in link.pairs.values()), ZERO)
    return min(abs(held), floor_to(max(beyond, ZERO), step))
