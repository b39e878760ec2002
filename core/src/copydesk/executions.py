"""`on_fill`: children that copy a parent's executions instead of its orders. Pure.

To such a child a parent's order has at any time ended with what it filled so far (`state.Executed`), so it is brought up to
that as a child is that came back: `following.follow` compares, exits at once and entries inside the catch-up window. Here
is what a working order needs besides: it goes on when it fills more.
"""

from __future__ import annotations

from copydesk.state import Executed, Pair

LOST = ("rejected", "stale", "expired", "cancelled", "no-balance")
"""Ends of an attempt after which what was to be opened is not tried again when the parent's order fills more."""


def has_news(pair: Pair) -> bool:
    """The parent's order has filled more since its pair with an `on_fill` child was closed."""
    return isinstance(pair.parent, Executed) and pair.parent.filled > pair.seen


def see(pair: Pair) -> None:
    """What the parent has executed by now is decided upon."""
    pair.seen, pair.seen_opened = pair.parent.filled, pair.parent.opened


def reopen(pair: Pair) -> None:
    """Go on with what the parent's order executed since; what was given up before stays given up."""
    if pair.closed in LOST and pair.ratio is not None:
        pair.forgone = max(pair.forgone, abs(pair.ratio) * pair.seen_opened - pair.filled)
        pair.lost = pair.closed
    pair.closed = pair.waiting = ""
