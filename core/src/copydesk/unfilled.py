"""Rule 6: the parent's order has filled and the child's copy of it still rests. Pure.

The clock starts at the first fill of the parent's order that the child's has not matched, and stops when it has. Only what
the parent filled beyond the child is acted upon, also while the parent's order works on: then what is missing is taken at
market and the rest rests again. A whole order is moved (`chase`) only once the parent's has ended: before, what the parent
still waits for would be moved too.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import msgspec

from copydesk.inputs import Unfilled
from copydesk.model import ZERO, Instrument, OrderType, Terms
from copydesk.planning import Wanted
from copydesk.protecting import held_for
from copydesk.sending import Run
from copydesk.sizing import floor_to, passive_price, size_fault
from copydesk.standing import divide, reach
from copydesk.state import Bot, ChildOrder, Link, Pair

MOST_PATIENT = 6
"""What the market cannot take is tried again after twice as long each time, up to this many doublings."""


@dataclass(slots=True, frozen=True)
class Move:
    """What to do about an order that rests: cancel it (`cancelled_for`, `why`), move it to `price`, or let it rest."""

    cancelled_for: str = ""
    why: str = ""
    price: Decimal | None = None


REST = Move()


def reduces(link: Link, pair: Pair, *, is_exit: bool) -> bool:
    """An exit, or a flip while the child still holds what it closes: that goes by the rules of an exit."""
    return is_exit or bool(held_for(link, pair))


def policy(link: Link, pair: Pair, *, is_exit: bool) -> Unfilled:
    return link.child.unfilled_exit if reduces(link, pair, is_exit=is_exit) else link.child.unfilled_entry


def behind(bot: Bot, link: Link, pair: Pair, total: Decimal, step: Decimal) -> Decimal:
    """How much less the child's orders filled than their share of what the parent's did; `total`: what is wanted in all."""
    parent = pair.parent
    if not parent.filled:
        return ZERO
    if not parent.live:
        return max(ZERO, total - pair.filled)
    parts = divide(bot, parent)
    whole = parts.close + parts.open
    if not parts.open:
        whole = min(whole, reach(bot, parent))
    done = min(parent.filled - parts.ignored, whole)
    return max(ZERO, floor_to(total * done / whole, step) - pair.filled) if whole > 0 else ZERO


def look(run: Run, bot: Bot, link: Link, pair: Pair, order: ChildOrder, want: Wanted, instrument: Instrument) -> Move:
    """What the child's setting says about an order that rests while the parent has filled more. Keeps the clock."""
    rules, closes = policy(link, pair, is_exit=want.exit), reduces(link, pair, is_exit=want.exit)
    missing = behind(bot, link, pair, want.terms.quantity, instrument.quantity_step)
    if not missing:
        pair.behind_ns = pair.hurried = 0
        return REST
    if not pair.behind_ns:
        filled_ns = pair.parent.filled_ms * 1_000_000
        pair.behind_ns = min(run.at_ns, filled_ns) if filled_ns else run.at_ns
    if rules.action == "wait" or (rules.action == "chase" and pair.parent.live and not closes):
        return REST
    wait_ns = (rules.after_ms << min(pair.hurried, MOST_PATIENT)) * 1_000_000
    elapsed_ns = run.at_ns - pair.behind_ns
    if elapsed_ns < wait_ns:
        _wake(run, order, wait_ns - elapsed_ns)
        return REST
    if rules.action == "cancel_after":
        return Move("given-up", f"not filled {rules.after_ms / 1000:g} s after the parent's order")
    chases = rules.action == "chase" and order.terms.type is OrderType.LIMIT and not pair.parent.live
    if chases and not (closes and elapsed_ns >= wait_ns * (rules.steps + 1)):
        if not closes and not _is_fresh(run, bot, link, pair):
            return Move(price=order.terms.price)
        steps = min(elapsed_ns // wait_ns, rules.steps)
        if steps < rules.steps or closes:
            _wake(run, order, wait_ns - elapsed_ns % wait_ns)
        return Move(price=chased_price(want.terms, steps, rules, instrument))
    if not closes and not _may_take(run, bot, link, pair, missing, instrument):
        return REST
    return Move("unfilled", f"the parent's order filled {elapsed_ns / 1e9:.1f} s ago: the rest is taken at market")


def _wake(run: Run, order: ChildOrder, after_ns: int) -> None:
    """Look again then, unless it is looked at before that anyway."""
    due_ns = run.at_ns + after_ns
    if not order.due_ns or order.due_ns > due_ns:
        run.wake(order, -(-after_ns // 1_000_000))


def _may_take(run: Run, bot: Bot, link: Link, pair: Pair, missing: Decimal, instrument: Instrument) -> bool:
    """Whether the venue and the window allow to take what is missing of an entry; says so once where they do not."""
    if not run.desk.account(bot.rules.parent).connected:
        return False
    reference = pair.parent.order.average_price or pair.parent.order.terms.price
    fault = size_fault(missing, reference, instrument)
    if not reference or not _is_fresh(run, bot, link, pair):
        fault = "the parent's fill is too long ago"
    if fault and pair.waiting != "unfilled":
        pair.waiting = "unfilled"
        text = f"left resting: {missing} {link.book[0]} that the parent filled is not taken at market: {fault}"
        run.note(link, "warn", "unfilled", text, parent_order=pair.parent.order.venue_id)
    return not fault


def _is_fresh(run: Run, bot: Bot, link: Link, pair: Pair) -> bool:
    """Risk is added only on news that is fresh and from a parent that is heard (I7)."""
    heard = run.desk.account(bot.rules.parent).connected
    return heard and run.at_ms - pair.parent.filled_ms <= window(link, hurried=True)[0]


def window(link: Link, *, hurried: bool) -> tuple[int, Decimal]:
    """(age in ms, percent of the price) within which an entry may be made up for; rule 6's begins when its clock is up."""
    child = link.child
    rules = child.unfilled_entry
    if not hurried or rules.action in ("wait", "cancel_after"):
        return child.catch_up_max_age_ms, child.catch_up_max_adverse_percent
    if rules.action == "chase":
        return rules.after_ms * (rules.steps + 1) + child.catch_up_max_age_ms, rules.step_percent * rules.steps
    return rules.after_ms + child.catch_up_max_age_ms, rules.max_slippage_percent


def chased_price(terms: Terms, steps: int, rules: Unfilled, instrument: Instrument) -> Decimal | None:
    """The limit, `steps` steps nearer to the other side than the parent's."""
    if terms.price is None:
        return None
    moved = terms.price * (1 + terms.side.sign * steps * rules.step_percent / 100)
    return passive_price(moved, terms.side, instrument.price_tick)


def chased(
    run: Run, bot: Bot, link: Link, pair: Pair, terms: Terms, instrument: Instrument, *, is_exit: bool
) -> Terms | None:
    """The terms under which an order goes on resting that was cancelled to move it, where the venue has no amend.

    An entry only while the parent's fill is fresh: what became of the cancel may have come late.
    """
    rules = policy(link, pair, is_exit=is_exit)
    if not (reduces(link, pair, is_exit=is_exit) or _is_fresh(run, bot, link, pair)):
        return None
    last = pair.last
    moving = last is not None and last.cancelled_for == "replace" and last.terms.type is OrderType.LIMIT
    if rules.action != "chase" or not moving or terms.type is not OrderType.LIMIT or not pair.behind_ns:
        return None
    steps = min((run.at_ns - pair.behind_ns) // (rules.after_ms * 1_000_000), rules.steps)
    price = chased_price(terms, steps, rules, instrument)
    return None if price is None else msgspec.structs.replace(terms, price=price)
