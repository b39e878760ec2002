"""Naked time: how long a child holds a position without a stop while its parent has one. Measured, and said. Pure."""

from __future__ import annotations

from copydesk.protecting import held_for, is_stop
from copydesk.sending import Run
from copydesk.standing import is_exit
from copydesk.state import Bot, Link, Pair

SAID_MS = 1_000
"""Time without protection that is longer than this gets a line in the log."""


def measure(run: Run, bot: Bot, link: Link) -> None:
    """Begin, go on or end to count. Called whenever anything of the link may have changed."""
    if _is_naked(bot, link):
        link.naked_since_ns = link.naked_since_ns or run.at_ns
    elif link.naked_since_ns:
        lasted = run.at_ns - link.naked_since_ns
        link.naked_since_ns = 0
        link.naked_ns += lasted
        link.naked_longest_ns = max(link.naked_longest_ns, lasted)
        if lasted > SAID_MS * 1_000_000:
            text = f"{link.book[0]} was without a stop for {lasted / 1e9:.1f} s while the parent had one"
            run.note(link, "warn", "naked", text, lasted_ms=lasted // 1_000_000)


def _is_naked(bot: Bot, link: Link) -> bool:
    if not bot.working or not link.attributed:
        return False
    guarding = [pair for pair in link.pairs.values() if _guards(bot, link, pair)]
    return bool(guarding) and not any(_stands(pair) for pair in link.pairs.values() if held_for(link, pair))


def _guards(bot: Bot, link: Link, pair: Pair) -> bool:
    """The parent has a stop on the position that the child holds."""
    parent = pair.parent
    return parent.live and is_stop(parent.order.terms) and bool(held_for(link, pair)) and is_exit(bot, parent)


def _stands(pair: Pair) -> bool:
    return any(order.state.is_live and order.exit and is_stop(order.terms) for order in pair.orders)
