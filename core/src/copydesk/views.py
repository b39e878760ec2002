"""Derived pictures of the pure engine's state: health, limits, and the bots as people see them. Pure, reads only."""

from __future__ import annotations

from collections.abc import Sequence

from copydesk.config import BotSettings
from copydesk.drifting import drift, is_unsettled
from copydesk.state import Bot, Desk, Link, Trading
from copydesk.view import BotView, BudgetView, ChildView, LimitView


def health(desk: Desk, bot: Bot, account: str, links: Sequence[Link] | None = None) -> str:
    """One word for one child. Without its parent's connection it is frozen at what is known: stale too.

    `links`: those of the child, where they are at hand.
    """
    if links is None:
        links = links_of(bot).get(account, ())
    if not bot.working:
        held = any(link.attributed for link in links)
        return "unmanaged" if held else "in sync"
    if not (desk.account(account).connected and desk.account(bot.rules.parent).connected):
        return "stale"
    trading = desk.account(account).trading.state
    if trading != "all":
        return "close-only" if trading == "close_only" else "locked"
    if any(is_unsettled(link) for link in links):
        return "recovering"
    views = [drift(desk, bot, link) for link in links]
    off = [
        view for view in views if view is not None and view.difference and view.cause not in ("rounding", "pending", "dust")
    ]
    if not off:
        return "in sync"
    return "ahead" if any(abs(view.attributed) > abs(view.target) for view in off) else "behind"


def budget_view(desk: Desk, account: str, at_ns: int) -> BudgetView | None:
    """What is used of the limits that an account shares, or `None` where its venue names none."""
    purse = desk.purses.get(account)
    if purse is None:
        return None
    requests, orders = purse.requests, purse.orders
    return BudgetView(
        scope=purse.scope,
        requests_used=requests.used(at_ns) if requests is not None else 0,
        requests_per_minute=requests.limit if requests is not None else 0,
        orders_used=orders.used(at_ns) if orders is not None else 0,
        orders_per_second=orders.limit if orders is not None else 0,
        waiting=sum(len(window.waiting) for window in (requests, orders) if window is not None),
    )


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


def links_of(bot: Bot | None) -> dict[str, list[Link]]:
    """The links of each child that has any."""
    links: dict[str, list[Link]] = {}
    for (child, _), link in bot.links.items() if bot is not None else ():
        links.setdefault(child, []).append(link)
    return links


def bot_view(desk: Desk, settings: BotSettings, kind: str) -> BotView:
    """A bot as people see it, but for how long its copies take."""
    bot = desk.bots.get(settings.name)
    copied = bot.copied if bot is not None else {}
    missed = bot.missed if bot is not None else {}
    links = links_of(bot)
    children = tuple(
        ChildView(
            account=child.account,
            mode=child.mode,
            value=child.value,
            health=health(desk, bot, child.account, links.get(child.account, ())) if bot is not None else "in sync",
            copied=copied.get(child.account, 0),
            missed=missed.get(child.account, 0),
            oco="native" if kind in desk.capabilities and desk.capabilities[kind].native_oco else "emulated",
            naked_ns=sum(link.naked_ns for link in links.get(child.account, ())),
            naked_longest_ns=max((link.naked_longest_ns for link in links.get(child.account, ())), default=0),
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
