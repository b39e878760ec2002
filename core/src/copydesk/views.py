"""Derived pictures of the pure engine's state: drift with its cause, health, and the bots as people see them."""

from __future__ import annotations

from decimal import Decimal

from copydesk.config import BotSettings
from copydesk.model import ZERO, Instrument
from copydesk.standing import still_moves, target
from copydesk.state import Bot, Desk, Link, Trading
from copydesk.view import BotView, ChildView, DriftView, LimitView

_CLOSED_CAUSES = {
    "rounded-to-nothing": "rounding",
    "too-small": "rounding",
    "rejected": "rejected",
    "no-balance": "rejected",
    "unknown-symbol": "rejected",
    "stale": "stale",
    "cancelled": "hand-traded",
    "expired": "rejected",
    "ahead": "ahead",
    "unfilled": "stale",
    "capped": "capped",
    "filtered": "filtered",
}


def drift(desk: Desk, bot: Bot, link: Link) -> DriftView | None:
    """The link's position against its target, or `None` where its instrument is not known yet."""
    instrument = desk.instruments.get((bot.rules.kind, link.book[0]))
    if instrument is None:
        return None
    aim = target(bot, link, instrument)
    position = desk.account(link.child.account).positions.get(link.book)
    held = position.quantity if position is not None else ZERO
    difference = aim - link.attributed
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
        cause=_cause(desk, bot, link, instrument, difference) if difference else "",
        since_ns=link.since_ns,
        naked_since_ns=link.naked_since_ns,
        naked_ns=link.naked_ns,
    )


def _in_flight(link: Link) -> Decimal:
    """What open orders of ours would still move, signed."""
    return sum((order.terms.side.sign * order.remaining for order in link.orders if order.state.is_open), ZERO)


def _cause(desk: Desk, bot: Bot, link: Link, instrument: Instrument, difference: Decimal) -> str:
    """Why the child is not where it should be, in the vocabulary of the rules; `unexplained` where nothing tells.

    What is under way comes first, then what failed by name; rounding is believed of one step at the most.
    """
    if not bot.working:
        return "unmanaged"
    if not (desk.account(link.child.account).connected and desk.account(bot.rules.parent).connected):
        return "stale"
    pairs = [*link.ended.values(), *link.pairs.values()]
    if any(order.state.is_open and (order.op or not order.state.is_live) for order in link.orders):
        return "pending"
    step = instrument.quantity_step
    moves = (still_moves(bot, link, pair, step) for pair in pairs)
    coming = sum((abs(move) for move in moves if move * difference > 0), ZERO)
    if any(not pair.closed and pair.waiting in ("waits-for-close", "waits-for-fill") for pair in pairs):
        return "pending"
    if coming and coming >= abs(difference) - step:
        return "pending"
    holds_more = abs(link.attributed) > abs(link.attributed + difference)
    if holds_more and link.failing:
        return "rejected"
    if holds_more and link.child.ahead != "trim":
        return "ahead"
    causes = [_CLOSED_CAUSES[pair.closed] for pair in pairs if pair.closed in _CLOSED_CAUSES]
    causes += [pair.guard for pair in pairs if pair.guard]
    for cause in ("rejected", "stale", "hand-traded", "ahead", "capped", "filtered"):
        if cause in causes:
            return cause
    if abs(difference) <= step:
        return "rounding"
    if any(pair.closed == "overtaken" for pair in pairs):
        return "stale"
    return "rounding" if "rounding" in causes else "unexplained"


def drifts(desk: Desk) -> tuple[DriftView, ...]:
    """Of every link that holds or should hold something."""
    views = [drift(desk, bot, link) for bot in desk.bots.values() for link in bot.links.values()]
    return tuple(view for view in views if view is not None and (view.target or view.attributed))


def health(desk: Desk, bot: Bot, account: str) -> str:
    """One word for one child."""
    if not bot.working:
        held = any(link.attributed for (child, _), link in bot.links.items() if child == account)
        return "unmanaged" if held else "in sync"
    if not desk.account(account).connected:
        return "stale"
    trading = desk.account(account).trading.state
    if trading != "all":
        return "close-only" if trading == "close_only" else "locked"
    views = [drift(desk, bot, link) for (child, _), link in bot.links.items() if child == account]
    off = [view for view in views if view is not None and view.difference and view.cause not in ("rounding", "pending")]
    if not off:
        return "in sync"
    return "ahead" if any(abs(view.attributed) > abs(view.target) for view in off) else "behind"


def limit_view(desk: Desk, account: str) -> LimitView:
    """What may be traded on an account now."""
    known = desk.accounts.get(account)
    trading = known.trading if known is not None else Trading()
    day = next(iter(known.days.values()), None) if known is not None and account in desk.daily else None
    return LimitView(
        account=account,
        state=trading.state,
        reason=trading.reason,
        actor=trading.actor,
        since_ns=trading.since_ns,
        until_ns=trading.until_ns,
        day=day.name if day is not None else "",
        day_equity=day.equity if day is not None else None,
    )


def _links(bot: Bot | None, account: str) -> list[Link]:
    return [link for (child, _), link in bot.links.items() if child == account] if bot is not None else []


def bot_view(desk: Desk, settings: BotSettings, kind: str) -> BotView:
    """A bot as people see it, but for how long its copies take."""
    bot = desk.bots.get(settings.name)
    copied = bot.copied if bot is not None else {}
    missed = bot.missed if bot is not None else {}
    children = tuple(
        ChildView(
            account=child.account,
            mode=child.mode,
            value=child.value,
            health=health(desk, bot, child.account) if bot is not None else "in sync",
            copied=copied.get(child.account, 0),
            missed=missed.get(child.account, 0),
            oco="native" if kind in desk.capabilities and desk.capabilities[kind].native_oco else "emulated",
            naked_ns=sum(link.naked_ns for link in _links(bot, child.account)),
            naked_longest_ns=max((link.naked_longest_ns for link in _links(bot, child.account)), default=0),
        )
        for child in settings.children
    )
    return BotView(
        name=settings.name,
        parent=settings.parent,
        kind=kind,
        status="Working" if settings.working else "Stopped",
        children=children,
        copied=sum(child.copied for child in children),
        missed=sum(child.missed for child in children),
    )
