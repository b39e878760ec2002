"""Stopping a bot (rule 13): what becomes of its children's orders and positions. Pure.

| policy | |
|---|---|
| `leave` | everything stays at the venue as it is, and is shown as unmanaged |
| `wind_down` | nothing is opened any more; exits and protection are followed until the children are flat: then stopped |
| `cancel_entries` | orders that would open are cancelled; positions and what protects them stay |
| `cancel_all` | every order is cancelled, protection too; positions stay |
| `flatten` | every order is cancelled, then the attributed quantity is closed at market, reduce-only |

What a policy asks for is compared with what is, like everything else: a child that is away is dealt with when it is back.
"""

from __future__ import annotations

from collections.abc import Iterator

from copydesk.inputs import BotStopped, Note
from copydesk.model import ZERO
from copydesk.sending import Run, cancel
from copydesk.standing import is_exit
from copydesk.state import Bot, ChildOrder, Link, Pair, may_open
from copydesk.tracking import Event, State

LEAVE, WIND_DOWN, CANCEL_ENTRIES, CANCEL_ALL, FLATTEN = "leave", "wind_down", "cancel_entries", "cancel_all", "flatten"


def goes(bot: Bot, link: Link, pair: Pair | None, order: ChildOrder, policy: str) -> bool:
    """True where a policy takes this open order away."""
    if policy in (CANCEL_ALL, FLATTEN):
        return pair is not None or policy == CANCEL_ALL
    return pair is not None and policy in (CANCEL_ENTRIES, WIND_DOWN) and opens(bot, link, pair, order)


def opens(bot: Bot, link: Link, pair: Pair, order: ChildOrder) -> bool:
    """True where an order of a child may add risk: more than what it could close would be left of it."""
    if order.terms.reduce_only or not may_open(order.terms) or (order.exit and is_exit(bot, pair.parent)):
        return False
    return order.remaining > max(ZERO, -link.attributed * order.terms.side.sign)


def open_orders(link: Link) -> Iterator[tuple[Pair | None, ChildOrder]]:
    for pair in link.pairs.values():
        for order in pair.orders:
            if order.state.is_open:
                yield pair, order
    for order in link.corrections:
        if order.state.is_open:
            yield None, order


def clear(run: Run, bot: Bot, link: Link, policy: str) -> bool:
    """Cancel what the policy takes away, as far as it can be now. Returns whether nothing of that is open any more."""
    done = True
    connected = run.desk.account(link.child.account).connected
    for pair, order in open_orders(link):
        if not goes(bot, link, pair, order, policy):
            done = done and policy != FLATTEN  # what it sends itself is on its way
            continue
        if order.op is None and order.state in (State.WAITING, State.MISSING):
            order.on(Event.GIVEN_UP)
            continue
        done = False
        if connected and order.op is None and order.state.is_live:
            if bot.ending:
                cancel(run, link, order, "stop", "the bot is stopped")
            else:
                cancel(run, link, order, "silence", "the parent is silent")
    return done


# --- the bot as a whole -----------------------------------------------------------------------------------------------


def stop(run: Run, given: BotStopped) -> list[Link]:
    """Stop the bot, or begin to. Returns the links that have to be looked at."""
    bot = run.desk.bots[given.bot]
    bot.silent = ""
    if given.policy == WIND_DOWN:
        bot.winding = bot.working
    else:
        bot.working, bot.winding = False, False
        bot.ending = given.policy if given.policy != LEAVE else ""
    return list(bot.links.values()) if bot.winding or bot.ending else []


def is_flat(bot: Bot) -> bool:
    """Nothing attributed is held, and nothing that opens is on its way."""
    return not any(
        link.attributed or any(pair is None or opens(bot, link, pair, order) for pair, order in open_orders(link))
        for link in bot.links.values()
    )


def is_done(bot: Bot) -> bool:
    """What the stop asked for is done, or a person has been told why not."""
    for link in bot.links.values():
        if any(goes(bot, link, pair, order, bot.ending) for pair, order in open_orders(link)):
            return False
        if bot.ending == FLATTEN and (next(open_orders(link), None) or (link.attributed and not link.failing)):
            return False
    return True


def conclude(run: Run) -> None:
    """See whether a bot that winds down is flat, and whether a stop has come to its end."""
    for bot in run.desk.bots.values():
        if bot.winding and is_flat(bot):
            bot.working, bot.winding, bot.wound_down, bot.ending = False, False, True, CANCEL_ALL
            _say(run, bot, "wound-down", "wound down: its children are flat, it is stopped")
            for link in bot.links.values():
                clear(run, bot, link, CANCEL_ALL)
        if bot.ending and is_done(bot):
            _say(run, bot, "stop-done", f"what its stop asked for is done: {bot.ending}")
            bot.ending = ""


def _say(run: Run, bot: Bot, kind: str, text: str) -> None:
    run.decisions.append(Note(level="info", kind=kind, text=f"bot {bot.rules.name!r}: {text}", bot=bot.rules.name))
