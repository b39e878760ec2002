"""Derived pictures of the pure engine's state: drift with its cause, health, and the bots as people see them."""

from __future__ import annotations

from decimal import Decimal

from copydesk.config import BotSettings
from copydesk.model import ZERO, Instrument
from copydesk.planning import is_exit, target
from copydesk.state import Bot, Desk, Link, Pair
from copydesk.tracking import State
from copydesk.view import BotView, ChildView, DriftView

_CLOSED_CAUSES = {
    "rounded-to-nothing": "rounding",
    "too-small": "rounding",
    "rejected": "rejected",
    "no-balance": "rejected",
    "unknown-symbol": "rejected",
    "stale": "stale",
    "ended": "hand-traded",
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
    )


def _in_flight(link: Link) -> Decimal:
    """What open orders of ours would still move, signed."""
    return sum((order.terms.side.sign * order.remaining for order in link.orders if order.state.is_open), ZERO)


def _cause(desk: Desk, bot: Bot, link: Link, instrument: Instrument, difference: Decimal) -> str:
    """Why the child is not where it should be, in the vocabulary of the rules; `unexplained` where nothing tells."""
    if not bot.working:
        return "unmanaged"
    pairs = list(link.pairs.values())
    if any(order.state.is_open and order.op is not None for order in link.orders):
        return "pending"
    if not desk.account(link.child.account).connected:
        return "stale"
    if any(_lags(bot, pair) for pair in pairs):
        return "pending"
    if abs(difference) <= instrument.quantity_step and not _failed(pairs):
        return "rounding"
    if link.child.ahead != "trim" and abs(link.attributed) > abs(link.attributed + difference):
        return "ahead"
    causes = [_CLOSED_CAUSES[pair.closed] for pair in pairs if pair.closed in _CLOSED_CAUSES]
    for cause in ("rejected", "stale", "hand-traded", "rounding"):
        if cause in causes:
            return cause
    if any(_short(pair) for pair in pairs):
        return "rejected"  # a copy that ended with less than the parent's
    return "unexplained"


def _lags(bot: Bot, pair: Pair) -> bool:
    """One side of the pair is further than the other and may still be caught up with."""
    return pair.open or (pair.parent.live and bool(pair.filled) and not is_exit(bot, pair.parent))


def _short(pair: Pair) -> bool:
    last = pair.last
    return last is not None and last.state in (State.EXPIRED, State.CANCELLED) and bool(last.remaining)


def _failed(pairs: list[Pair]) -> bool:
    return any(_CLOSED_CAUSES.get(pair.closed) in ("rejected", "stale") for pair in pairs)


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
    views = [drift(desk, bot, link) for (child, _), link in bot.links.items() if child == account]
    off = [view for view in views if view is not None and view.difference and view.cause not in ("rounding", "pending")]
    if not off:
        return "in sync"
    return "ahead" if any(abs(view.attributed) > abs(view.target) for view in off) else "behind"


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
