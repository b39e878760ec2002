"""Drift: how far a child is from its target, since when, and what explains each part of it. Pure, reads only.

Causes are worked out from the present state: what each order of the parent should have brought the child against what it
did bring. A cause explains no more than its own orders lack, and all causes together no more than the difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from copydesk.dust import is_dust
from copydesk.model import ZERO, Instrument
from copydesk.planning import ratio_for
from copydesk.sizing import ceil_to, entry_quantity, round_to
from copydesk.standing import child_sign, still_moves, target
from copydesk.state import Bot, Desk, Link, Pair
from copydesk.tracking import State
from copydesk.view import DriftCause, DriftView

UNEXPLAINED = "unexplained"
_OF_CLOSED = {
    "rounded-to-nothing": "rounding",
    "too-small": "rounding",
    "rejected": "rejected",
    "no-balance": "rejected",
    "unknown-symbol": "rejected",
    "stale": "stale",
    "cancelled": "hand-traded",
    "hand-traded": "hand-traded",
    "expired": "rejected",
    "ahead": "ahead",
    "unfilled": "stale",
    "overtaken": "stale",
    "nothing-to-reduce": "stale",
    "capped": "capped",
    "filtered": "filtered",
    "winding-down": "unmanaged",
    "not-adopted": "unmanaged",
}
_OF_WAITING = {"rounded-to-nothing": "rounding", "too-small": "rounding", "not-connected": "stale"}
_ORDER = ("pending", "rejected", "stale", "hand-traded", "ahead", "capped", "filtered", "unmanaged", "rounding")
"""In which order causes are asked: what is under way first, then what failed by name, what is too small to copy last."""


def drift(desk: Desk, bot: Bot, link: Link) -> DriftView | None:
    """The link's position against its target, or `None` where its instrument is not known yet."""
    instrument = desk.instruments.get((bot.rules.kind, link.book[0]))
    if instrument is None:
        return None
    aim = _aim(desk, bot, link, instrument)
    position = desk.account(link.child.account).positions.get(link.book)
    held = position.quantity if position is not None else ZERO
    difference = aim - link.attributed
    causes = tuple(_causes(desk, bot, link, instrument, difference)) if difference else ()
    return DriftView(
        bot=bot.rules.name,
        child=link.child.account,
        symbol=link.book[0],
        position_side=link.book[1],
        target=aim,
        attributed=link.attributed,
        foreign=held - link.attributed,
        in_flight=_in_flight(link),
        difference=difference,
        cause=causes[0].cause if causes else "",
        causes=causes,
        alarm=_alarm(link) if difference else "",
        since_ns=link.since_ns if difference else 0,
        naked_since_ns=link.naked_since_ns,
        naked_ns=link.naked_ns,
    )


def _alarm(link: Link) -> str:
    alarms = (pair.alarm for pair in link.pairs.values() if pair.alarm and not pair.closed)
    return next(alarms, link.alarm)


def drifts(desk: Desk) -> tuple[DriftView, ...]:
    """Of every link that holds or should hold something."""
    views = [drift(desk, bot, link) for bot in desk.bots.values() for link in bot.links.values()]
    return tuple(view for view in views if view is not None and (view.target or view.attributed))


def watch(desk: Desk, bot: Bot, link: Link, at_ns: int) -> None:
    """Keep since when the link has been off its target. Called whenever anything of it may have changed."""
    instrument = desk.instruments.get((bot.rules.kind, link.book[0]))
    if instrument is None or _aim(desk, bot, link, instrument) == link.attributed:
        link.since_ns = 0
    elif not link.since_ns:
        link.since_ns = at_ns


def _aim(desk: Desk, bot: Bot, link: Link, instrument: Instrument) -> Decimal:
    """The target; of a child that was never in the episode by the ratio that it would have had."""
    followed = bot.book(link.book).followed
    if not followed or link.ratios:
        return target(bot, link, instrument)
    exact = _ratio(desk, bot, link) * followed
    rounded = round_to(abs(exact), instrument.quantity_step, link.child.rounding)
    return rounded if exact > 0 else -rounded


def _ratio(desk: Desk, bot: Bot, link: Link) -> Decimal:
    """What a new episode would be opened with, however old the balances are; zero where they are not known."""
    parent, account = desk.account(bot.rules.parent), desk.account(link.child.account)
    ratio = ratio_for(link.child, parent, account, min(parent.balance_ns, account.balance_ns))
    return ZERO if isinstance(ratio, str) else ratio


def unexplained(desk: Desk, bot: Bot, link: Link) -> Decimal:
    """By how much the child is off its target without anything telling why, signed."""
    instrument = desk.instruments.get((bot.rules.kind, link.book[0]))
    if instrument is None:
        return ZERO
    difference = _aim(desk, bot, link, instrument) - link.attributed
    if abs(difference) <= instrument.quantity_step:  # what nothing else tells of so little is rounding
        return ZERO
    causes = _causes(desk, bot, link, instrument, difference)
    return sum((part.quantity for part in causes if part.cause == UNEXPLAINED), ZERO)


def _in_flight(link: Link) -> Decimal:
    """What open orders of ours would still move, signed."""
    return sum((order.terms.side.sign * order.remaining for order in link.orders if order.state.is_open), ZERO)


def _causes(desk: Desk, bot: Bot, link: Link, instrument: Instrument, difference: Decimal) -> Iterator[DriftCause]:
    """What explains the difference, in parts that add up to it. Each has the sign of the difference."""
    if not bot.working:
        yield DriftCause(cause="unmanaged", quantity=difference)
        return
    if not desk.account(link.child.account).connected:
        yield DriftCause(cause="stale", quantity=difference)
        return
    if abs(link.attributed + difference) < abs(link.attributed) and is_dust(difference, instrument, link.price):
        yield DriftCause(cause="dust", quantity=difference)
        return
    if link.detached:
        yield DriftCause(cause="hand-traded", quantity=difference)
        return
    sign = 1 if difference > 0 else -1
    step = instrument.quantity_step
    lacking = _lacking(bot, link, step, sign, _ratio(desk, bot, link))
    if sign * link.attributed < 0:  # it holds more than it should, or stands on the other side
        lacking["rejected"] = max(lacking.get("rejected", ZERO), link.failing)
        if link.child.ahead != "trim":
            lacking["ahead"] = max(lacking.get("ahead", ZERO), min(abs(difference), abs(link.attributed)))
    left = abs(difference)
    for cause in _ORDER:
        part = min(left, lacking.get(cause, ZERO))
        if part > 0:
            left -= part
            yield DriftCause(cause=cause, quantity=sign * part)
    by_hand = min(left, max(link.foreign * sign, ZERO))  # the account has it, but not from us: there was nothing to reduce
    if by_hand > 0:
        left -= by_hand
        yield DriftCause(cause="hand-traded", quantity=sign * by_hand)
    if left > 0:
        parent_down = not desk.account(bot.rules.parent).connected
        # An order that rests has a step of its own in which what was rounded off of the others may be waiting.
        resting = sum(pair.parent.live and pair.open for pair in link.pairs.values())
        cause = "rounding" if left <= step * (1 + resting) else "stale" if parent_down else UNEXPLAINED
        yield DriftCause(cause=cause, quantity=sign * left)


def _lacking(bot: Bot, link: Link, step: Decimal, sign: int, ratio: Decimal) -> dict[str, Decimal]:
    """By cause: how much more the child would hold in the direction `sign`, had its orders brought what they should."""
    found: dict[str, Decimal] = {}

    def add(cause: str, quantity: Decimal) -> None:
        found[cause] = found.get(cause, ZERO) + quantity

    for pair in (*link.ended.values(), *link.pairs.values()):
        cause = _cause(pair)
        if cause:
            gap = _gap(link, pair, step, ratio) * sign
            if cause == "pending":
                gap = max(gap, still_moves(bot, link, pair, step) * sign)
            add(cause, max(gap, ZERO))
        if pair.lost:
            add(_OF_CLOSED[pair.lost], ceil_to(pair.forgone, step))
    add("unmanaged", max(link.released * sign, ZERO))
    add("stale", max(link.behind * sign, ZERO))
    for order in link.corrections:
        if order.state.is_open:
            add("pending", max(order.terms.side.sign * order.remaining * sign, ZERO))
    return found


def _cause(pair: Pair) -> str:
    """Why the pair's child lacks what it lacks; empty where nothing tells."""
    if pair.closed in _OF_CLOSED:
        return _OF_CLOSED[pair.closed]
    if pair.alarm:
        return "rejected"
    if pair.guard:
        return pair.guard
    if pair.cap is not None:
        return "capped"
    if pair.closed:
        if any(order.cancelled_for == "refused" for order in pair.orders):
            return "rejected"
        # Its copy filled although the parent's order ended with less: that may have come out only after it was settled.
        less = pair.parent.filled < pair.parent.order.terms.quantity
        return "ahead" if pair.closed == "done" and (less or any(order.is_doubled for order in pair.orders)) else ""
    return _OF_WAITING.get(pair.waiting, "pending")


def _gap(link: Link, pair: Pair, step: Decimal, fresh: Decimal) -> Decimal:
    """What the child should have traded for the parent's fills, less what it has, signed. `fresh`: a new ratio."""
    parent, rounding = pair.parent, link.child.rounding
    side, sign = parent.order.terms.side.sign, child_sign(link, pair)
    if pair.ratio is None and not link.ratios and fresh < 0:
        sign = -sign
    opening = abs(pair.ratio if pair.ratio is not None else link.ratio(side) or fresh)
    closing = abs(link.ratio(-side) or opening)
    due = entry_quantity(opening * pair.before, opening * parent.opened, step, rounding)
    for before, after in parent.closings:
        due += round_to(closing * before, step, rounding) - round_to(closing * after, step, rounding)
    return (due - pair.filled) * sign


def is_unsettled(link: Link) -> bool:
    """Something was asked of the venue, and nobody knows yet what became of it."""
    return any(order.state is State.UNKNOWN for order in link.orders)
