"""A link as a whole: its pairs, what the child holds beyond its share, and where an episode ends. Pure."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from copydesk import tickets
from copydesk.binding import has_room, in_turn
from copydesk.drifting import watch
from copydesk.dust import is_dust, is_flat, tell_dust
from copydesk.following import follow
from copydesk.handwork import child_book, keep_away
from copydesk.ids import TICKET, TRIM, client_order_id
from copydesk.lacking import own_up
from copydesk.model import ZERO, OrderType, PositionSide, Terms
from copydesk.planning import closing_side
from copydesk.refusing import SLOWLY_MS, is_retrying
from copydesk.sending import Run, register, send
from copydesk.standing import excess
from copydesk.state import Bot, ChildOrder, Desk, Link
from copydesk.stopping import FLATTEN, clear
from copydesk.tracking import Event, State
from copydesk.unprotected import measure

TRIM_AGAIN_MS = 250
TRIM_TRIES = 6
"""A trim that the venue does not carry out is tried this often, each time after twice as long; then a person is told."""
CORRECTIONS_KEPT = 20
ENDED_KEPT = 200


def settle_link(run: Run, bot: Bot, link: Link) -> None:
    """Look at every pair of the link, then at the position as a whole."""
    _send_what_waits(run, bot, link)
    clearing = bot.ending or (FLATTEN if bot.silent == FLATTEN else "")
    if clearing:
        if clear(run, bot, link, clearing) and clearing == FLATTEN:
            _close(run, bot, link)
        measure(run, bot, link)
        watch(run.desk, bot, link, run.at_ns)
        return
    if link.detached:
        keep_away(run, bot, link)
    for pair in in_turn(run, bot, link):
        follow(run, bot, link, pair)
    needed = link.needs
    _trim(run, bot, link)
    if needed and not link.needs:
        for pair in in_turn(run, bot, link):
            follow(run, bot, link, pair)
    own_up(run, bot, link)
    measure(run, bot, link)
    watch(run.desk, bot, link, run.at_ns)
    _end_episode(run, bot, link)
    _put_by(link)


# --- trims ------------------------------------------------------------------------------------------------------------


def _trim(run: Run, bot: Bot, link: Link) -> None:
    """Rule 5: what the child holds beyond its target is reduced, once nothing on its way explains it."""
    if not link.attributed or _is_overdrawn(link) or not _may_trim(run, bot, link):
        return
    instrument = run.desk.instruments[bot.rules.kind, link.book[0]]
    quantity = excess(bot, link, instrument)
    if is_dust(quantity, instrument, link.price):
        quantity = ZERO
    if quantity != link.failing:
        link.failing, link.alarm = ZERO, ""
    link.needs = ZERO
    if not quantity:
        link.said = ""
    elif link.child.ahead != "trim":
        if link.said != "ahead":
            link.said = "ahead"
            text = f"holds {quantity} {link.book[0]} more than its share of the parent; its setting is '{link.child.ahead}'"
            tickets.leave(run, link, "warn", "ahead", text, closing_terms(run.desk, bot, link, quantity))
    elif _is_time(run, bot, link, quantity):
        if has_room(run, bot, link, None, closing_terms(run.desk, bot, link, quantity), instrument):
            _reduce(run, bot, link, quantity, "trim")
        else:
            link.needs = quantity


def _is_overdrawn(link: Link) -> bool:
    """In a book of a hedge more was closed than was copied, out of what a person holds there: nothing is left to reduce."""
    side = child_book(link)[1]
    return side is not PositionSide.NET and (side is PositionSide.LONG) != (link.attributed > 0)


def _close(run: Run, bot: Bot, link: Link) -> None:
    """Close all that is attributed. Nothing of the link is open."""
    quantity = ZERO if _is_overdrawn(link) else abs(link.attributed)
    if quantity != link.failing:
        link.failing, link.alarm = ZERO, ""
    connected = run.desk.account(link.child.account).connected
    if quantity and connected and _is_time(run, bot, link, quantity):
        if bot.silent:
            link.released = link.released or link.attributed
        _reduce(run, bot, link, quantity, "flatten")


def _reduce(run: Run, bot: Bot, link: Link, quantity: Decimal, why: str) -> None:
    link.trims += 1
    cause = f"{link.book[0]}/{link.book[1]}/{run.at_ns}/{link.trims}"
    order = ChildOrder(
        client_id=client_order_id(link.bot, link.child.account, cause, TRIM),
        account=link.child.account,
        terms=closing_terms(run.desk, bot, link, quantity),
        cause=cause,
        exit=True,
    )
    link.corrections.append(order)
    register(run, bot, link, None, order)
    send(run, link, order, why)


def _may_trim(run: Run, bot: Bot, link: Link) -> bool:
    """Both sides are known, and nothing of ours is on its way to the venue or may be there unknown to us."""
    accounts = (link.child.account, bot.rules.parent)
    if not bot.working or not all(run.desk.account(account).connected for account in accounts):
        return False
    for pair in link.pairs.values():
        if is_retrying(pair):
            return False
        for order in pair.orders:
            if order.state.is_open and (order.op or order.state in (State.SENDING, State.UNKNOWN)):
                return False
    return not any(order.state.is_open for order in link.corrections)


def _is_time(run: Run, bot: Bot, link: Link, quantity: Decimal) -> bool:
    """False while a trim that failed has to wait. Once it failed too often, a person is told and it goes on slowly."""
    if link.failing and (not link.again_ns or run.at_ns < link.again_ns):
        return False
    failed = 0
    trims = [order for order in link.corrections if not order.enforces]
    for order in reversed(trims):
        if order.filled:
            break
        failed += 1
    if not failed:
        return True
    last = trims[-1]
    if last.refused is not None or failed >= TRIM_TRIES or link.failing:
        known, link.failing = link.failing, quantity
        link.again_ns = 0
        if last.refused is None:  # else there is nothing that could be reduced, until something moves
            link.again_ns = run.at_ns + SLOWLY_MS * 1_000_000
            run.wake_at(link.again_ns, link.child.account)
        link.corrections.clear()
        if known:
            return False
        text = f"holds {quantity} {link.book[0]} more than its share of the parent, and it cannot be reduced: {last.reason}"
        link.alarm = text
        tickets.leave(run, link, "error", "trim-failed", text, closing_terms(run.desk, bot, link, quantity))
        return False
    again_ns = last.sent_ns + TRIM_AGAIN_MS * 2**failed * 1_000_000
    if run.at_ns >= again_ns:
        return True
    if not last.due_ns:
        run.wake(last, (again_ns - run.at_ns) // 1_000_000 + 1)
    return False


def closing_terms(desk: Desk, bot: Bot, link: Link, quantity: Decimal) -> Terms:
    """The market order that closes `quantity` of what is attributed."""
    long = link.attributed > 0
    position_side = link.book[1]
    if position_side is not PositionSide.NET:
        position_side = PositionSide.LONG if long else PositionSide.SHORT
    return Terms(
        symbol=link.book[0],
        side=closing_side(link.attributed),
        type=OrderType.MARKET,
        quantity=quantity,
        reduce_only=desk.capabilities[bot.rules.kind].reduce_only and position_side is PositionSide.NET,
        position_side=position_side,
    )


def _send_what_waits(run: Run, bot: Bot, link: Link) -> None:
    """Corrections that never reached the venue, once no timer waits for them, go again under the same id: of a trim as much
    as is still too much."""
    if not run.desk.account(link.child.account).connected:
        return
    for order in link.corrections:
        if not order.is_unsent or order.due_ns:
            continue
        quantity = min(order.terms.quantity, _still_wanted(run, bot, link, order))
        if not quantity:
            order.on(Event.GIVEN_UP)
            continue
        order.doubted = order.doubted or (order.state is State.MISSING and quantity != order.terms.quantity)
        order.terms = msgspec.structs.replace(order.terms, quantity=quantity)
        order.on(Event.SENT_AGAIN)
        order.absent = 0
        send(run, link, order, order.why)


def _still_wanted(run: Run, bot: Bot, link: Link, order: ChildOrder) -> Decimal:
    if order.enforces or order.leg == TICKET:
        return order.terms.quantity
    instrument = run.desk.instruments[bot.rules.kind, link.book[0]]
    held = max(ZERO, -order.terms.side.sign * link.attributed)
    return held if order.why == FLATTEN else min(held, excess(bot, link, instrument))


# --- the end of an episode --------------------------------------------------------------------------------------------


def _end_episode(run: Run, bot: Bot, link: Link) -> None:
    """From flat to flat: once parent and child are flat and nothing is open, the next order begins with a fresh ratio."""
    if not is_flat(run.desk, bot, link):
        return
    for pair in link.pairs.values():
        if pair.parent.working or pair.open or not (pair.closed or pair.orders):
            return
    if any(order.state.is_open for order in link.corrections):
        return
    tell_dust(run, bot, link)
    link.pairs.clear()
    link.ended.clear()
    link.corrections.clear()
    link.ratios.clear()
    link.released = link.behind = link.failing = ZERO
    link.alarm = ""


def _put_by(link: Link) -> None:
    """Pairs of which nothing more can come are not looked at again; the latest are kept to tell why something lacks."""
    for key, pair in list(link.pairs.items()):
        if pair.closed and not pair.parent.working and not pair.open:
            link.ended[key] = link.pairs.pop(key)
    while len(link.ended) > ENDED_KEPT:
        del link.ended[next(iter(link.ended))]
    if len(link.corrections) > CORRECTIONS_KEPT:
        link.corrections = link.corrections[-CORRECTIONS_KEPT // 2 :]
