"""A parent that cannot be heard (rule 15): nothing is inferred from its silence. Pure.

While it is away nothing is added on any child, and its own orders stand. After `parent_silent.after_s` the bot's action is
taken: `hold` leaves everything, `cancel_child_entries` cancels what would open on the children, `flatten` closes what is
attributed. When it is back its snapshot tells what happened; entries whose parent order still works are placed again.
"""

from __future__ import annotations

import heapq

from copydesk import wording
from copydesk.inputs import Note
from copydesk.model import Order
from copydesk.sending import Run
from copydesk.state import Bot
from copydesk.stopping import FLATTEN

TIMER = "silence/"
"""In place of an account among the timers: the bot's name stands in place of the order."""
HOLD, CANCEL_CHILD_ENTRIES = "hold", "cancel_child_entries"
_DONE = {
    HOLD: "its children's orders are left as they are",
    CANCEL_CHILD_ENTRIES: "orders of its children that would open are cancelled",
    FLATTEN: "its children's orders are cancelled and what was copied is closed",
}


def lost(run: Run, bot: Bot) -> None:
    """The parent is not connected from now on."""
    if bot.working and not bot.silent_since_ns:
        bot.silent_since_ns = run.at_ns
        arm(run, bot)


def arm(run: Run, bot: Bot) -> None:
    """Look again when the parent has been silent for long enough, by the rules in force."""
    _disarm(run, bot)
    if bot.silent_since_ns and not bot.silent:
        heapq.heappush(run.due, (_due_ns(bot), TIMER, bot.rules.name))


def _disarm(run: Run, bot: Bot) -> None:
    kept = [timer for timer in run.due if timer[1:] != (TIMER, bot.rules.name)]
    if len(kept) != len(run.due):
        run.due[:] = kept
        heapq.heapify(run.due)


def _due_ns(bot: Bot) -> int:
    return bot.silent_since_ns + bot.rules.parent_silent_after_ms * 1_000_000


def act(run: Run, bot: Bot) -> bool:
    """Take the bot's action, if it is time. Returns whether its links have to be looked at."""
    if not bot.working or not bot.silent_since_ns or bot.silent or run.at_ns < _due_ns(bot):
        return False
    bot.silent = bot.rules.parent_silent_action
    seconds = (run.at_ns - bot.silent_since_ns) / 1e9
    _say(run, bot, "warn", "parent-silent", f"{bot.rules.parent} has been silent for {seconds:.0f} s: {_DONE[bot.silent]}")
    return True


def returned(run: Run, bot: Bot) -> None:
    """The parent was read in full: it is there again."""
    _disarm(run, bot)
    if bot.silent:
        seconds = (run.at_ns - bot.silent_since_ns) / 1e9
        text = f"{bot.rules.parent} is there again after {seconds:.0f} s: what it still wants is followed"
        _say(run, bot, "info", "parent-back", text)
    bot.silent, bot.silent_since_ns = "", 0


def infer(run: Run, bot: Bot, order: Order) -> None:
    """Mark what only the snapshot after a silence tells."""
    if bot.silent_since_ns:
        _say(run, bot, "info", "inferred", f"inferred: {wording.parent_order(order)}", order)


def _say(run: Run, bot: Bot, level: str, kind: str, text: str, order: Order | None = None) -> None:
    run.decisions.append(
        Note(
            level=level,
            kind=kind,
            text=text,
            bot=bot.rules.name,
            account=bot.rules.parent,
            symbol=order.terms.symbol if order is not None else "",
            data={"parent_order": order.venue_id} if order is not None else {},
        )
    )
