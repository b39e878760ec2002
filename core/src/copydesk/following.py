"""One pair: bringing what a child did about a parent's order to what it should be. Pure: changes the state, sends nothing.

`follow` compares wanted with actual and may be called at any time, any number of times: where nothing differs, nothing
comes out. `trimming.settle_link` does so for a whole link.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from copydesk import executions, handwork, refusing, tickets, unfilled
from copydesk.binding import WAITS, binds, has_room
from copydesk.budget import is_order_paid, may_modify, may_place, pay_both, spend_modify
from copydesk.grouping import (
    belongs_to_group,
    common_quantity,
    enter_group,
    is_settled_by_partner,
    joins,
    may_group_again,
    tied,
)
from copydesk.guarding import guarded
from copydesk.ids import CLOSE
from copydesk.inputs import Modify
from copydesk.model import ZERO, Capabilities, Instrument, OrderChange, OrderType, PositionSide, Terms, TimeInForce
from copydesk.planning import Hold, Wanted, as_market, ratio_for
from copydesk.protecting import fall_back, has_foreign, held_for, lingers, may_stand_beside, older, outlives, retire
from copydesk.sending import Run, cancel, count_missed, prepare, send
from copydesk.sizing import floor_to, size_fault, worst_price
from copydesk.standing import child_sign, divide, excess, is_exit, opening_sign, reach, still_moves, target
from copydesk.state import Bot, ChildOrder, Executed, Link, Op, Pair
from copydesk.tracking import Event, State

_GOES_ON = ("replace", "silence", "unfilled", "refused")
"""What an order was cancelled for, or that it was refused, where it is to be followed by another."""
_CATCHING_UP = ("catch-up", "executed", "unfilled")
NOT_ADOPTED = "not-adopted"
"""Why a pair of something that was there at the start does nothing."""
_SHUNNED = {"stop": "the bot winds down", "silence": "the parent is silent"}
PROMPT_MS = 3_000
"""A parent's market order that is younger than this is copied as a market order even when it was first seen filled."""


def follow(run: Run, bot: Bot, link: Link, pair: Pair) -> None:
    """Send what is missing for one parent order and one child, if anything is and if it may be sent now."""
    if not bot.working or link.detached:
        return
    fall_back(pair)
    if pair.closed and executions.has_news(pair):
        executions.reopen(pair)
    if not pair.closed:
        _follow(run, bot, link, pair)
    elif pair.closed == NOT_ADOPTED and pair.last is not None and pair.last.state.is_live and pair.last.op is None:
        cancel(run, link, pair.last, "stop", "an earlier run of the bot left it, and has filled some of it")
    elif pair.last is not None and pair.last.is_unsent:
        _ticket_unsent(run, link, pair.last)
    retire(run, link, pair)


def _ticket_unsent(run: Run, link: Link, order: ChildOrder) -> None:
    """What a person sent for an order that is done with: to a busy venue it goes again, and what got lost is told."""
    if order.state is State.WAITING:
        if run.at_ns >= order.due_ns and run.desk.account(order.account).connected:
            order.on(Event.SENT_AGAIN)
            send(run, link, order, order.why)
        return
    order.on(Event.GIVEN_UP)
    terms = order.terms
    text = f"not copied: {terms.side} {terms.quantity} {terms.symbol}, sent from a ticket, never reached the venue"
    named = {"client_id": order.client_id, "parent_order": order.cause, "code": ""}
    tickets.leave(run, link, "error", "rejected", text, terms, **named)


def _follow(run: Run, bot: Bot, link: Link, pair: Pair) -> None:
    last = pair.last
    if last is None:
        _enter(run, bot, link, pair)
    elif last.op is not None or last.state in (State.SENDING, State.UNKNOWN):
        return  # one thing at a time: what is wanted by then is sent when this one is settled
    elif last.state is State.WAITING and run.at_ns < last.due_ns:
        return  # the venue was too busy for it: asking again before its time would keep it so
    elif last.state.is_live:
        _keep(run, bot, link, pair, last)
    elif last.state in (State.WAITING, State.MISSING) and older(pair) and not _still_wanted(run, bot, link, pair):
        last.on(Event.GIVEN_UP)
        standing = fall_back(pair)
        if standing is not None and standing.op is None and standing.state.is_live:
            _keep(run, bot, link, pair, standing)
    elif last.state in (State.WAITING, State.MISSING, State.FILLED) or last.cancelled_for in _GOES_ON:
        _enter(run, bot, link, pair)  # after a complete fill nothing, unless more is wanted by now
    elif last.cancelled_for == "given-up":
        _leave_unfilled(run, link, pair, last)
    elif (last.why == "unfilled" and pair.parent.live) or executions.has_news(pair):
        _enter(run, bot, link, pair)  # the market did not take all: it rests with the remainder again
    elif (
        last.partner
        and not last.cancelled_for
        and (settled := is_settled_by_partner(run, bot, link, pair, last)) is not False
    ):
        if settled:
            _enter(run, bot, link, pair)
    elif last.leg == CLOSE and last.state is State.EXPIRED and not last.cancelled_for:
        if not held_for(link, pair):  # another order has closed what this leg of the flip was to close
            _enter(run, bot, link, pair)
    elif _is_idle(bot, pair, last):
        if link.fills != pair.idle_since:
            _enter(run, bot, link, pair)
    elif not last.cancelled_for:
        pair.closed = "cancelled" if last.state is State.CANCELLED else "expired"  # by the venue or by hand: final
        if pair.closed == "expired" and last.remaining and last.why in _CATCHING_UP and not last.exit:
            text = f"filled {last.filled} of {last.terms.quantity} {link.book[0]}: the price is outside the window by now"
            terms = msgspec.structs.replace(as_market(last.terms), quantity=last.remaining)
            tickets.leave(run, link, "warn", "stale", text, terms, parent_order=pair.parent.order.venue_id)
    elif not pair.parent.live:
        _finish(run, bot, link, pair)


def _leave_unfilled(run: Run, link: Link, pair: Pair, last: ChildOrder) -> None:
    pair.closed = "unfilled"
    text = f"filled {last.filled} of {last.terms.quantity} {link.book[0]} in its time, then it was cancelled (cancel_after)"
    terms = msgspec.structs.replace(as_market(last.terms), quantity=last.remaining)
    tickets.leave(run, link, "warn", "unfilled", text, terms, parent_order=pair.parent.order.venue_id)


def _still_wanted(run: Run, bot: Bot, link: Link, pair: Pair) -> bool:
    """The pair's newest order, which never arrived, would be placed again."""
    instrument = run.desk.instruments[bot.rules.kind, link.book[0]]
    current = pair.parent.live or outlives(bot, link, pair)
    return current and isinstance(guarded(run, bot, link, pair, instrument), Wanted)


def _finish(run: Run, bot: Bot, link: Link, pair: Pair) -> None:
    """Nothing more is wanted. Where the parent's order ended with less filled, a child that it reduced lacks something."""
    _give_up(pair, "done")
    parent = pair.parent
    instrument = run.desk.instruments[bot.rules.kind, link.book[0]]
    missing = -child_sign(link, pair) * (target(bot, link, instrument) - link.attributed)
    closed_more = pair.closing is not None and pair.filled > pair.closing
    terms = parent.order.terms
    undone = parent.filled < terms.quantity or (terms.close_position and not parent.filled)
    if (undone or closed_more) and missing > 0 and pair.filled:
        pair.closed = "ahead"
        text = (
            f"lacks {missing} {link.book[0]}: its copy filled {pair.filled}, the parent's order {parent.filled} in the end"
        )
        run.note(link, "warn", "ahead", text, parent_order=parent.order.venue_id)
    elif parent.filled and pair.last is not None and pair.last.cancelled_for and pair.last.remaining:
        pair.closed = "unfilled"
        text = f"filled {pair.last.filled} of {pair.last.terms.quantity} {link.book[0]}, and the parent has moved on since"
        run.note(link, "warn", "unfilled", text, parent_order=parent.order.venue_id)


def _is_idle(bot: Bot, pair: Pair, last: ChildOrder) -> bool:
    """The venue took an exit away because there is nothing to reduce. It is placed anew once the child holds something."""
    ended = last.state is State.EXPIRED or last.refused is not None
    resting = last.terms.type is not OrderType.MARKET and last.terms.time_in_force is TimeInForce.GTC
    return ended and resting and pair.parent.live and is_exit(bot, pair.parent)


def _keep(run: Run, bot: Bot, link: Link, pair: Pair, order: ChildOrder) -> None:
    """The order stands at the venue: leave it, amend it, replace it or cancel it.

    Once the parent's order has ended, the child's waits for its share of what that filled (rule 6).
    """
    parent = pair.parent
    takes = order.terms.type is OrderType.MARKET or order.terms.time_in_force is not TimeInForce.GTC
    if takes or not run.desk.account(link.child.account).connected:
        return
    if not order.remaining:
        return  # its last fill was told, and that it has ended comes next
    instrument = run.desk.instruments[bot.rules.kind, link.book[0]]
    if parent.live or outlives(bot, link, pair):
        pair.ended_ns = 0
    else:
        sign, followed = parent.order.terms.side.sign, bot.book(link.book).followed
        if is_exit(bot, parent):  # what it closes is open the other way by now, or is wanted again
            outlived = followed * sign > 0 or not _shortfall(bot, link, pair, order.terms, instrument)
        else:  # what it opens is closed again
            outlived = followed * sign <= 0
        if outlived or not parent.done:
            if followed * sign < 0 and lingers(run, bot, link, pair, order):
                return
            cancel(run, link, order, "parent", "the parent's order has ended")
            return
    if not fix_ratio(run, bot, link, pair):
        cancel(run, link, order, "replace", "how large it should be cannot be told")
        return
    want = refusing.capped(pair, guarded(run, bot, link, pair, instrument), run.desk.capabilities[bot.rules.kind])
    if isinstance(want, Hold):
        cancel(run, link, order, "replace", want.reason)
        return
    if bot.shuns and not want.exit:
        cancel(run, link, order, bot.shuns, _SHUNNED[bot.shuns])
        return
    quantity = want.terms.quantity - (pair.filled - order.filled)
    if not parent.live and not outlives(bot, link, pair):  # the parent may have moved on: no more than is still missing
        quantity = min(quantity, order.filled + _share_of_shortfall(bot, link, pair, order.terms, instrument))
    leg = tied(run, order)
    if leg is not None:
        if leg.op is not None:
            return  # one thing at a time for both
        quantity = common_quantity(run, bot, link, pair, quantity, instrument)
    if quantity <= order.filled or (order.leg == CLOSE and want.leg != CLOSE):
        cancel(run, link, order, "replace", "nothing more is wanted of it")
        return
    move = unfilled.look(run, bot, link, pair, order, want, instrument)
    if move.cancelled_for and _shortfall(bot, link, pair, order.terms, instrument):
        cancel(run, link, order, move.cancelled_for, move.why)
        return
    terms = msgspec.structs.replace(want.terms, quantity=quantity, price=move.price or want.terms.price)
    can = run.desk.capabilities[bot.rules.kind]
    shrinks = _only_shrinks(terms, order, can)
    if _same(terms, order.terms):
        order.refused = None  # what was refused is not wanted any more
        return
    if order.refused is not None and _same(terms, order.refused) and not shrinks:
        return
    held_fast = binds(run, bot, link)
    amends = terms.type in can.amend and _amendable(terms, order.terms, can.amend_price_and_quantity_only)
    if leg is None and (amends or (shrinks and order.refused is None)):
        if not may_modify(run, link, urgent=want.exit and terms.quantity != order.terms.quantity):
            return
        order.exit = want.exit
        _modify(run, link, order, terms, "follows-position" if want.exit else "parent-changed")
    elif not held_fast and _is_clamped(run, bot, link, pair, terms):
        return
    elif not held_fast and leg is None and want.exit and may_stand_beside(run, link, order, terms):
        if not older(pair):
            _place(run, bot, link, pair, want, terms, "exit")
    elif may_place(run, link, replaces=True):
        order.paid_ns = pair.paid_ns = pay_both(run, order.account)
        if shrinks:
            order.refused = None  # what was refused was to change it, not the terms
        cancel(run, link, order, "replace", "it is placed again with the new terms")


def _is_clamped(run: Run, bot: Bot, link: Link, pair: Pair, terms: Terms) -> bool:
    """The venue makes the order smaller by itself: it is reduce-only, closes all that is held, and only that shrank.

    Cancelling it to place it again would leave the position unprotected for nothing. Not so where the account holds
    more than what was copied: there the order would take of what is not ours.
    """
    order, parent = pair.orders[-1], pair.parent
    closes_all = divide(bot, parent).close >= reach(bot, parent)
    shrunk = terms.quantity < order.terms.quantity
    alike = _same(msgspec.structs.replace(order.terms, quantity=terms.quantity), terms)
    return order.terms.reduce_only and shrunk and alike and closes_all and not has_foreign(run, link)


def _modify(run: Run, link: Link, order: ChildOrder, terms: Terms, why: str) -> None:
    spend_modify(run, order.account)
    order.op, order.asked, order.intent = Op.MODIFY, terms, run.number()
    change = OrderChange(ref=order.ref, terms=terms)
    run.decisions.append(
        Modify(id=order.intent, bot=link.bot, account=order.account, cause=order.cause, why=why, change=change)
    )


def _enter(run: Run, bot: Bot, link: Link, pair: Pair) -> None:
    """Nothing of the pair stands at the venue: place it, if it should be there."""
    parent = pair.parent
    lasting = outlives(bot, link, pair)
    pair.needs = None
    if not parent.live and not parent.done and not lasting:
        if pair.filled:
            _finish(run, bot, link, pair)
        else:
            _give_up(pair, "parent-ended-unfilled")
        return
    if not run.desk.account(link.child.account).connected:
        _wait(run, link, pair, "warn", "not-connected", f"not copied now: {link.child.account} is not connected")
        return
    instrument = run.desk.instruments.get((bot.rules.kind, link.book[0]))
    if instrument is None:
        _miss(run, bot, link, pair, "unknown-symbol", f"not copied: {link.book[0]} is not known on {link.child.account}")
        return
    if not fix_ratio(run, bot, link, pair):
        return
    want = refusing.capped(pair, guarded(run, bot, link, pair, instrument), run.desk.capabilities[bot.rules.kind])
    if isinstance(want, Hold):
        if pair.filled and not parent.live:
            _finish(run, bot, link, pair)
            return
        _wait(run, link, pair, want.level, want.kind, f"skipped: {want.reason}", limit=want.limit)
        if want.final or (not parent.live and want.kind != "waits-for-fill"):
            _give_up(pair, want.kind)
        return
    if bot.winding and not want.exit:
        _wait(run, link, pair, "info", "winding-down", "not copied: the bot winds down and opens nothing any more")
        if not parent.live:
            _give_up(pair, "winding-down")
        return
    if not want.exit and not run.desk.account(bot.rules.parent).connected:
        return  # no risk is added on old news; its snapshot brings us back here
    if not want.exit and _turning(run, bot, link, pair, instrument):
        _wait(run, link, pair, "info", "waits-for-close", "waits until the child has closed its other side")
        return
    quantity = want.terms.quantity - pair.filled
    if pair.forgone and not want.exit:
        quantity = floor_to(max(ZERO, quantity - pair.forgone), instrument.quantity_step)
    if quantity <= 0:
        if not parent.live and not (want.opening and divide(bot, parent).close and _is_contested(link, pair)):
            _finish(run, bot, link, pair)
        return
    terms = msgspec.structs.replace(want.terms, quantity=quantity)
    last = pair.last
    if last is not None and last.refused is not None and _same(terms, last.refused):
        return
    missing = _missing_now(bot, link, pair, want, instrument)
    if missing:
        terms = msgspec.structs.replace(terms, quantity=min(quantity, missing))
    if missing or (not parent.live and not lasting):
        late = _late(run, bot, link, pair, terms, instrument, is_exit=want.exit)
        if late is None:
            return
        terms = late
    if not want.exit:
        fault = size_fault(terms.quantity, terms.price or terms.trigger_price or parent.order.average_price, instrument)
        if fault:
            _wait(run, link, pair, "info", "too-small", f"skipped: {fault}")
            if not parent.live:
                _give_up(pair, "too-small")
            return
    if want.exit:
        if refusing.is_too_early(run, pair):
            return
        terms = as_market(terms) if pair.at_market else terms
        if pair.may_take:
            terms = msgspec.structs.replace(terms, post_only=False)
        _cancel_outlived(run, bot, link, pair, terms)
        if not _may_bind(run, bot, link, pair, terms, instrument):
            return
    why = _why(pair, want, lasting=lasting, hurried=bool(missing))
    if missing:
        pair.behind_ns, pair.hurried = run.at_ns, pair.hurried + 1
    elif want.exit and belongs_to_group(run, bot, pair) and enter_group(run, bot, link, pair, want, terms, instrument, why):
        return
    _place(run, bot, link, pair, want, terms, why)


def _may_bind(run: Run, bot: Bot, link: Link, pair: Pair, terms: Terms, instrument: Instrument) -> bool:
    """The coins are free that an exit would sell; else it waits."""
    free = has_room(run, bot, link, pair, terms, instrument, beside=joins(run, bot, link, pair))
    if free or may_group_again(run, bot, link, pair):
        return True
    pair.needs = terms
    _wait(run, link, pair, "info", WAITS, "waits: another order of the child binds the coins that it would sell")
    return False


def _why(pair: Pair, want: Wanted, *, lasting: bool, hurried: bool) -> str:
    if hurried:
        return "unfilled"
    if want.exit and (pair.parent.live or lasting):
        return "exit"
    if pair.parent.live:
        return "entry"
    return "executed" if isinstance(pair.parent, Executed) else "catch-up"


def _missing_now(bot: Bot, link: Link, pair: Pair, want: Wanted, instrument: Instrument) -> Decimal:
    """What is to be taken at market, because the order that rested for it was cancelled for that (rule 6)."""
    last = pair.last
    if last is None or last.cancelled_for != "unfilled":
        return ZERO
    missing = unfilled.behind(bot, link, pair, want.terms.quantity, instrument.quantity_step)
    return missing if not pair.parent.live else min(missing, _shortfall(bot, link, pair, want.terms, instrument))


def _cancel_outlived(run: Run, bot: Bot, link: Link, pair: Pair, terms: Terms) -> None:
    """Entries that rest although the parent closed what it entered, or is just doing so: they go first, then the exit."""
    closes_all = terms.type is OrderType.MARKET and divide(bot, pair.parent).close >= reach(bot, pair.parent)
    for other in link.pairs.values():
        last = other.last
        if other is pair or last is None or other.closed or other.parent.live or not other.parent.opened:
            continue
        if closes_all and last.state.is_live and last.op is None and last.terms.side is not terms.side:
            cancel(run, link, last, "parent", "the parent closes what it entered")
        elif other.open:
            follow(run, bot, link, other)


def _turning(run: Run, bot: Bot, link: Link, pair: Pair, instrument: Instrument) -> bool:
    """The parent closed and opens the other way, and the child has not got as far: first close, then open.

    Two orders that cross the flat line in the wrong order would leave a reduce-only one with nothing to reduce.
    """
    if not run.desk.capabilities[bot.rules.kind].nets_positions:
        if link.book[1] is PositionSide.NET and held_for(link, pair):
            return True
    elif divide(bot, pair.parent).close:
        return False  # a flip is one crossing order
    sign = child_sign(link, pair)
    opposite = link.attributed * sign < 0
    trims = link.child.ahead == "trim" and not link.failing
    if opposite and trims and excess(bot, link, instrument):
        return True
    if any(order.state.is_open for order in link.corrections):
        return True
    return any(
        order.state.is_open and (order.terms.side.sign != sign or order.terms.reduce_only or (opposite and order.op))
        for other in link.pairs.values()
        if other is not pair and not other.parent.live
        for order in other.orders
    )


def _is_contested(link: Link, pair: Pair) -> bool:
    """An order of the other side may still fill, though it is being cancelled: a flip would have to close that as well."""
    sign = child_sign(link, pair)
    return any(other.open and not other.parent.live and child_sign(link, other) != sign for other in link.pairs.values())


def fix_ratio(run: Run, bot: Bot, link: Link, pair: Pair) -> bool:
    """Fix the pair's ratio: that of the open episode, or a new one. Exits need none; a flip begins an episode."""
    if pair.ratio is not None:
        return True
    parts = divide(bot, pair.parent)
    if not parts.open:
        return True
    side = opening_sign(link, pair)
    ratio: Decimal | str | None = None if parts.close else link.ratios.get(side)
    if ratio is None:
        ratio = ratio_for(link.child, run.desk.account(bot.rules.parent), run.desk.account(link.child.account), run.at_ns)
    if parts.close:
        # The side it comes from goes on to close; a ratio that changed its sign meanwhile waits until all is flat.
        old = link.ratio(-side)
        if old is not None and (isinstance(ratio, str) or ratio * old < 0):
            ratio = old
    if isinstance(ratio, str):
        _miss(run, bot, link, pair, "no-balance", f"not copied: {ratio}")
        return False
    pair.ratio = link.ratios[side] = ratio
    return True


def _late(
    run: Run, bot: Bot, link: Link, pair: Pair, terms: Terms, instrument: Instrument, *, is_exit: bool
) -> Terms | None:
    """The terms for a parent's order that has already filled: exits at once, entries inside age and price window."""
    parent = pair.parent.order
    market = as_market(terms)
    resting = unfilled.chased(run, bot, link, pair, terms, instrument, is_exit=is_exit)
    # One that goes on resting is sized as it is when it is looked at again, or it would be replaced for ever.
    missing = _shortfall if resting is None else _share_of_shortfall
    quantity = min(terms.quantity, missing(bot, link, pair, terms, instrument))
    if is_exit and resting is None:
        left = _left_to_close(link, pair, terms)
        if left <= 0 < quantity:
            _wait(run, link, pair, "info", "waits-for-fill", "what it is to close is still on its way")
            return None
        quantity = min(quantity, left)
    if quantity <= 0:
        _wait(run, link, pair, "info", "overtaken", "not needed any more: the parent's position has moved on since")
        _give_up(pair, "overtaken")
        return None
    market = msgspec.structs.replace(market, quantity=quantity)
    if resting is not None:
        return msgspec.structs.replace(resting, quantity=quantity)
    if is_exit:
        return market
    age_ms = run.at_ms - (pair.parent.filled_ms or parent.updated_ms)
    on_fill = isinstance(pair.parent, Executed)
    if (parent.terms.type is OrderType.MARKET or on_fill) and age_ms <= PROMPT_MS:
        return market
    reference = parent.average_price or parent.terms.price
    last = pair.last
    max_age_ms, adverse = unfilled.window(link, hurried=last is not None and "unfilled" in (last.cancelled_for, last.why))
    if age_ms <= max_age_ms and reference:
        if pair.parent.max_adverse_percent is not None:
            adverse = pair.parent.max_adverse_percent
        worst = worst_price(reference, terms.side, adverse, instrument.price_tick)
        return msgspec.structs.replace(market, type=OrderType.LIMIT, price=worst, time_in_force=TimeInForce.IOC)
    text = (
        f"not copied: the parent's {parent.terms.side} {pair.parent.filled} {link.book[0]} "
        f"was filled {age_ms / 1000:.1f} s ago, outside the catch-up window of {max_age_ms / 1000:g} s"
    )
    _miss(run, bot, link, pair, "stale", text, ticket=market)
    return None


def _left_to_close(link: Link, pair: Pair, terms: Terms) -> Decimal:
    """What the child holds beside what other market orders on their way are closing of it."""
    closing = sum(
        (
            order.remaining
            for order in link.orders
            if not any(order is own for own in pair.orders)
            if order.state.is_open and order.terms.type is OrderType.MARKET and order.terms.side is terms.side
        ),
        ZERO,
    )
    return -link.attributed * terms.side.sign - closing


def _shortfall(bot: Bot, link: Link, pair: Pair, terms: Terms, instrument: Instrument) -> Decimal:
    """How much is missing to the current target in the direction of `terms`, beside what other orders still bring."""
    step = instrument.quantity_step
    others = (other for other in link.pairs.values() if other is not pair)
    coming = sum((still_moves(bot, link, other, step) for other in others), _corrected(link))
    missing = (target(bot, link, instrument) - link.attributed - coming) * terms.side.sign
    return floor_to(max(missing, ZERO), step)


def _share_of_shortfall(bot: Bot, link: Link, pair: Pair, terms: Terms, instrument: Instrument) -> Decimal:
    """What is missing and the older orders do not bring: of several that rest the youngest gives way.

    Did each look at all the others, two would make room for each other for ever.
    """
    step = instrument.quantity_step
    coming, is_older = _corrected(link), True
    for other in link.pairs.values():
        if other is pair:
            is_older = False
            continue
        moves = still_moves(bot, link, other, step)
        if is_older or moves * terms.side.sign < 0 or other.parent.live:
            coming += moves
    missing = (target(bot, link, instrument) - link.attributed - coming) * terms.side.sign
    return floor_to(max(missing, ZERO), step)


def _corrected(link: Link) -> Decimal:
    """What corrections on their way still move, signed."""
    coming = (order for order in link.corrections if order.state.is_open and not order.enforces)
    return sum((order.terms.side.sign * order.remaining for order in coming), ZERO)


def _place(run: Run, bot: Bot, link: Link, pair: Pair, want: Wanted, terms: Terms, why: str) -> None:
    standing = [order for order in pair.orders if order.state.is_live]
    paid = is_order_paid(run, link.child.account, pair.paid_ns)
    if not paid and (standing or not want.exit) and not may_place(run, link, replaces=bool(standing)):
        _wait(run, link, pair, "info", "waits-for-budget", "waits: the venue's limit of requests is used up for now")
        return
    handwork.begin(run.desk, link)
    order = prepare(run, bot, link, pair, terms, want.leg, is_exit=want.exit)
    if standing and not paid:
        paid_ns = pay_both(run, order.account)
        paid = True
        for old in standing:
            old.paid_ns = paid_ns
    executions.see(pair)
    pair.waiting, pair.paid_ns = "", 0
    send(run, link, order, why, paid=paid)


def _give_up(pair: Pair, why: str) -> None:
    """Nothing more comes of the pair; what was refused for now or never arrived is not sent again."""
    executions.see(pair)
    last = pair.last
    if last is not None and last.state in (State.WAITING, State.MISSING):
        last.on(Event.GIVEN_UP)
    pair.closed = why


def _wait(run: Run, link: Link, pair: Pair, level: str, kind: str, text: str, *, limit: str = "") -> None:
    """Say once why nothing is sent now."""
    if pair.waiting != (limit or kind):
        pair.waiting = limit or kind
        named = {"limit": limit} if limit else {}
        run.note(link, level, kind, text, parent_order=pair.parent.order.venue_id, **named)


def _miss(run: Run, bot: Bot, link: Link, pair: Pair, kind: str, text: str, ticket: Terms | None = None) -> None:
    """Nothing will be sent for this order any more, and it should have been: count it and leave a manual ticket."""
    _give_up(pair, kind)
    count_missed(bot, link)
    number = pair.parent.order.venue_id
    if ticket is not None:
        tickets.leave(run, link, "error", kind, text, ticket, parent_order=number)
    else:
        run.note(link, "error", kind, text, parent_order=number)


def _same(a: Terms, b: Terms) -> bool:
    """Alike in all that copying moves."""
    return (
        a.quantity == b.quantity
        and a.price == b.price
        and a.trigger_price == b.trigger_price
        and a.trail_percent == b.trail_percent
        and a.native == b.native
        and a.reduce_only == b.reduce_only
        and a.side is b.side
        and a.type is b.type
    )


def _only_shrinks(new: Terms, order: ChildOrder, can: Capabilities) -> bool:
    """The order becomes smaller and nothing else, which is all that the venue can change of it."""
    old = order.terms
    smaller = new.type in can.shrink and new.type not in can.amend and new.quantity < old.quantity
    return smaller and _same(msgspec.structs.replace(old, quantity=new.quantity), new)


def _amendable(new: Terms, old: Terms, price_and_quantity_only: bool) -> bool:
    moved_trigger = (new.trigger_price, new.trail_percent, new.native) != (old.trigger_price, old.trail_percent, old.native)
    return (
        new.side is old.side
        and new.type is old.type
        and new.reduce_only == old.reduce_only
        and not (price_and_quantity_only and moved_trigger)
    )
