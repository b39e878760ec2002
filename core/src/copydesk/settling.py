"""What became of what was sent: outcomes, reports of our own orders, look-ups and the timers behind them. Pure."""

from __future__ import annotations

from decimal import Decimal

from copydesk import plain, refusing, tickets
from copydesk.budget import slow_down
from copydesk.dust import count_fee, hold_back
from copydesk.following import follow
from copydesk.ids import TICKET, is_own
from copydesk.inputs import Note, Settled
from copydesk.model import ZERO, Accepted, Fill, Order, OrderStatus, Rejected, RejectReason, Snapshot, Unknown, to_json
from copydesk.protecting import fall_back
from copydesk.sending import Run, count_copied, count_missed
from copydesk.state import ChildOrder, Left, Op, Tracked
from copydesk.tracking import Event, State
from copydesk.trimming import settle_link
from copydesk.verifying import ask, await_word, hear, is_unverified

LOOK_UP_AFTER_MS = 200
LOOK_UP_AGAIN_MS = 450
NOT_FOUND_TIMES = 4
NOT_FOUND_MS = 1_500
NOT_FOUND_ADDING_MS = 11_000
"""A venue has to say "not found" this often, this long after the send, before an order counts as never arrived. Venues have
reported orders ten seconds late, and many take an id again once its first order has ended: an order that adds waits
longer than that. One that is reduce-only cannot do harm twice, and waiting would."""
RETRY_MS = 250
URGENT_RETRY_MS = 1_000
"""A venue that is too busy is asked again after twice as long each time, for what reduces risk no later than this."""
NOT_KNOWN = "the venue does not know it any more"
STRANGERS_KEPT = 1_000
RETRIES = 8
CANCEL_REPORT_MS = 2_000


def settled(run: Run, given: Settled) -> None:
    """An outcome came. One for an intent that is not waited for any more changes nothing."""
    tracked = run.desk.child_orders.get((given.account, given.client_id))
    if tracked is None or tracked.order.intent != given.intent:
        return
    if run.shortcuts and plain.accepted(run, tracked, given):
        return
    order, outcome = tracked.order, given.outcome
    if isinstance(outcome, Rejected) and outcome.reason is RejectReason.RATE_LIMIT:
        slow_down(run, given.account, outcome.retry_after_ms)
    if order.op is Op.PLACE or order.state in (State.SENDING, State.UNKNOWN):
        for leg in _legs(run, tracked):
            _placed(run, leg, _outcome_of(leg.order, outcome))
    elif order.op is Op.MODIFY:
        _modified(run, tracked, outcome)
    elif order.op is Op.CANCEL:
        _cancelled(run, tracked, outcome)
    _go_on(run, tracked)


def _legs(run: Run, tracked: Tracked) -> list[Tracked]:
    """What was sent as one: an order, or the two of a group."""
    order = tracked.order
    other = run.desk.child_orders.get((order.account, order.partner)) if order.partner else None
    return [tracked] if other is None or other.order.intent != order.intent else [tracked, other]


def _outcome_of(order: ChildOrder, outcome: Accepted | Rejected | Unknown) -> Accepted | Rejected | Unknown:
    if not isinstance(outcome, Accepted) or not outcome.legs:
        return outcome
    return Accepted(order=next((leg for leg in outcome.legs if leg.client_id == order.client_id), None))


def _placed(run: Run, tracked: Tracked, outcome: Accepted | Rejected | Unknown) -> None:
    order = tracked.order
    order.op = None
    match outcome:
        case Accepted(order=reply):
            order.on(Event.ACCEPTED)
            order.tries = 0
            refusing.taken(run, tracked)
            count_copied(tracked.bot, tracked.link)
            if reply is not None:
                _merge(run, tracked, reply)
        case Unknown():
            order.on(Event.LOST)
            if order.state is State.UNKNOWN:
                order.op = Op.LOOK_UP
                run.wake(order, LOOK_UP_AFTER_MS)
        case Rejected(reason=RejectReason.DUPLICATE_ID):
            # The venue has an order of this id: ours, from a send whose reply was lost.
            order.on(Event.LOST)
            if order.state is State.UNKNOWN:
                run.look_up(order)
        case Rejected() if outcome.reason.is_transient and order.tries < RETRIES:
            order.on(Event.BUSY)
            if order.state is State.WAITING:
                _try_later(run, order, outcome, urgent=order.exit)
        case Rejected():
            order.on(Event.REFUSED)
            order.reason = outcome.message
            if order.state is State.REJECTED:
                _refused(run, tracked, outcome)


def _refused(run: Run, tracked: Tracked, outcome: Rejected) -> None:
    """A placement was refused for good."""
    order, link, pair = tracked.order, tracked.link, tracked.pair
    if outcome.reason is RejectReason.NOTHING_TO_REDUCE:
        # A success in disguise; should the child come to hold something, the exit is wanted again.
        order.refused = order.terms
        if pair is not None:
            pair.idle_since = link.fills
            standing = fall_back(pair)
            if standing is not None:
                standing.refused = order.terms
        run.note(link, "info", "nothing-to-reduce", f"nothing to reduce: {outcome.message}", **_names(tracked))
        return
    if pair is not None and order.partner:
        pair.alone, pair.grouped_ns, order.cancelled_for = True, run.at_ns, "replace"
        text = f"the venue does not take it as one order of a group, so it is placed by itself: {outcome.message}"
        run.note(link, "warn", "ungrouped", text, **_names(tracked))
        return
    standing = fall_back(pair) if pair is not None else None
    if standing is not None:
        standing.refused = order.terms  # it stays as it is, and the same is not asked for again
    elif refusing.goes_on(run, tracked, outcome):
        return
    elif pair is not None:
        pair.closed = "rejected"
    count_missed(tracked.bot, link)
    text = f"not copied: {order.terms.side} {order.terms.quantity} {order.terms.symbol} was refused: {outcome.message}"
    if pair is not None or order.leg == TICKET:
        tickets.leave(run, link, "error", "rejected", text, order.terms, code=outcome.code, **_names(tracked))
    else:
        ticket = to_json(order.terms).decode()
        run.note(link, "error", "rejected", text, code=outcome.code, ticket=ticket, **_names(tracked))


def _names(tracked: Tracked) -> dict[str, str]:
    """What an order is found by: its own id, and the parent's order unless it corrects a position as a whole."""
    named = {"client_id": tracked.order.client_id}
    return named if tracked.pair is None else named | {"parent_order": tracked.pair.parent.order.venue_id}


def _modified(run: Run, tracked: Tracked, outcome: Accepted | Rejected | Unknown) -> None:
    order = tracked.order
    order.op = None
    match outcome:
        case Accepted(order=reply):
            _amend_holds(order)
            count_copied(tracked.bot, tracked.link)
            if reply is not None:
                _merge(run, tracked, reply)
        case Rejected(reason=RejectReason.UNCHANGED):
            _amend_holds(order)
        case Rejected(reason=RejectReason.NOT_FOUND) | Unknown():
            if order.state.is_open:
                order.op = Op.LOOK_UP
                run.wake(order, LOOK_UP_AFTER_MS)
        case Rejected() if outcome.reason.is_transient and order.tries < RETRIES:
            order.asked = None
            _again(run, order, outcome, urgent=order.exit)
        case Rejected():
            order.refused, order.asked = order.asked, None
            refusing.change_refused(tracked, outcome)
            count_missed(tracked.bot, tracked.link)
            _change_refused(run, tracked, outcome)


def _change_refused(run: Run, tracked: Tracked, outcome: Rejected) -> None:
    """The order stands as it was. Where nothing goes on by itself, a ticket tries the change again."""
    order, pair = tracked.order, tracked.pair
    text = f"the change was refused: {outcome.message}"
    if pair is None or order.refused is None or pair.cap is not None:
        run.note(tracked.link, "error", "rejected", text, code=outcome.code, **_names(tracked))
        return
    tickets.leave(run, tracked.link, "error", "rejected", text, order.refused, code=outcome.code, **_names(tracked))


def _cancelled(run: Run, tracked: Tracked, outcome: Accepted | Rejected | Unknown) -> None:
    order = tracked.order
    match outcome:
        case Accepted(order=reply):
            order.tries = 0
            count_copied(tracked.bot, tracked.link)
            if reply is not None:
                _merge(run, tracked, reply)
            if order.state.is_open:
                run.wake(order, CANCEL_REPORT_MS)  # rule 8: its terminal report is waited for
            else:
                await_word(run, order)
        case Rejected() if outcome.reason.is_transient and order.tries < RETRIES:
            order.cancelled_for = ""
            _again(run, order, outcome, urgent=True)
        case _:
            if order.state.is_open:
                order.op = Op.LOOK_UP
                run.wake(order, LOOK_UP_AFTER_MS)


def _again(run: Run, order: ChildOrder, outcome: Rejected, *, urgent: bool) -> None:
    """Later: until then the order counts as being changed, so that nothing else is sent for it."""
    order.op, order.intent = Op.MODIFY, 0
    _try_later(run, order, outcome, urgent=urgent)


def _try_later(run: Run, order: ChildOrder, outcome: Rejected, *, urgent: bool) -> None:
    wait_ms = RETRY_MS * 2**order.tries
    order.tries += 1
    run.wake(order, max(outcome.retry_after_ms, min(wait_ms, URGENT_RETRY_MS) if urgent else wait_ms))


def _amend_holds(order: ChildOrder) -> None:
    if order.asked is not None:
        order.terms, order.asked = order.asked, None
        order.tries = 0


def _merge(run: Run, tracked: Tracked, reply: Order) -> None:
    order, before = tracked.order, tracked.order.is_doubled
    tracked.link.move(order, order.merge(reply))
    hold_back(run.desk, tracked)
    if order.is_doubled and not before:
        _tell_doubled(run, tracked)


def _tell_doubled(run: Run, tracked: Tracked) -> None:
    order = tracked.order
    text = (
        f"filled {order.filled} {order.terms.symbol} where it was for {order.terms.quantity}: it was not found, so it was "
        "sent again, and the venue carried out both"
    )
    run.note(tracked.link, "warn", "ahead", text, **_names(tracked))


def _go_on(run: Run, tracked: Tracked) -> None:
    """After a change of one order: look at its whole link, for its fills may move the others."""
    order = tracked.order
    if order.state.is_ended:
        _filled_first(tracked)
        order.op = None
    if tracked.bot.managed:
        settle_link(run, tracked.bot, tracked.link)


def _filled_first(tracked: Tracked) -> None:
    """An order whose fill came before the reply to it was copied as well; the reply is not looked at any more."""
    if tracked.order.op is Op.PLACE and tracked.order.filled:
        count_copied(tracked.bot, tracked.link)


# --- reports of our own orders ----------------------------------------------------------------------------------------


def report(run: Run, account: str, order: Order, *, looked_up: bool = False) -> None:
    """A venue's report of an order of ours. `looked_up`: it was read, so it also settles what was unknown."""
    tracked = run.desk.child_orders.get((account, order.client_id))
    left = run.desk.left.get((account, order.client_id))
    if left is not None and order.filled > left.filled:
        _left_fills(run, account, left, order.filled)
    if tracked is None or (run.shortcuts and not looked_up and plain.echoed(run, tracked, order)):
        return
    ours = tracked.order
    if order.is_working and _was_given_up(ours, order, looked_up=looked_up):
        _found_after_all(tracked)
    was_open, changing = ours.state.is_open, ours.op is Op.MODIFY and ours.asked is not None
    _merge(run, tracked, order)
    ours.absent = 0
    hear(run, tracked, order, looked_up=looked_up)
    if ours.state.is_ended and ours.op is Op.CANCEL and not was_open and not order.status.is_final:
        return  # it was found to stand although it was thought to have ended: it is cancelled again
    if ours.state.is_ended:
        if ours.op is Op.CANCEL and ours.intent and ours.state is State.CANCELLED:
            count_copied(tracked.bot, tracked.link)  # the report came before the reply
        _filled_first(tracked)
        ours.op = None
        if was_open and tracked.pair is not None and not ours.cancelled_for:
            tracked.pair.idle_since = tracked.link.fills
        if was_open and order.status is OrderStatus.REJECTED:
            _refused(run, tracked, Rejected(reason=RejectReason.OTHER, message=order.reason or "rejected by the venue"))
    elif changing and ours.asked is None:  # what was asked for is told: the next change need not wait for the reply
        ours.op, ours.tries = None, 0
        count_copied(tracked.bot, tracked.link)
    elif looked_up and ours.op in (Op.LOOK_UP, None):
        ours.op, ours.asked, ours.cancelled_for = None, None, ""
    elif ours.op is Op.LOOK_UP and ours.state.is_live and ours.asked is None and not ours.cancelled_for:
        ours.op = None  # a placement whose outcome was unknown: the stream tells that it stands
    if not looked_up:
        _go_on(run, tracked)


def _was_given_up(ours: ChildOrder, told: Order, *, looked_up: bool) -> bool:
    """Nobody told that it never came to stand, or stands no more, but that it was not found."""
    if ours.state is State.CANCELLED:
        return looked_up and ours.reason == NOT_KNOWN
    return ours.state is State.REJECTED and told.updated_ms > ours.updated_ms


def _found_after_all(tracked: Tracked) -> None:
    """What was given up because it was not found stands at the venue: its pair is looked at again, and keeps it or not."""
    pair, link, cause = tracked.pair, tracked.link, tracked.order.cause
    if pair is None or link.pairs.get(cause, pair) is not pair:
        return
    link.ended.pop(cause, None)
    link.pairs[cause] = pair
    pair.closed = pair.waiting = ""
    tracked.order.on(Event.FOUND)
    tracked.order.op, tracked.order.cancelled_for, tracked.order.reason = None, "", ""


def _left_fills(run: Run, account: str, left: Left, filled: Decimal) -> None:
    """An order that nobody follows any more fills on: a later start is to know what it brought."""
    bot = run.desk.bots.get(left.bot)
    if bot is not None:
        key = (account, left.book)
        bot.left[key] = bot.left.get(key, ZERO) + left.sign * (filled - left.filled)
    left.filled = filled


def report_fill(run: Run, account: str, fill: Fill, *, settle: bool = False) -> None:
    """One execution of an order of ours, counted once."""
    tracked = run.desk.child_orders.get((account, fill.client_id))
    if tracked is None or fill.execution_id in tracked.order.executions:
        return
    before = tracked.order.is_doubled
    grown = tracked.order.merge_fill(fill)
    if grown:
        tracked.link.move(tracked.order, grown)
    hold_back(run.desk, tracked)
    if tracked.order.is_doubled and not before:
        _tell_doubled(run, tracked)
    if (count_fee(run.desk, tracked, fill) or grown) and settle:
        _go_on(run, tracked)


def absent(run: Run, account: str, client_id: str, *, final: bool = False) -> None:
    """The venue says that it has no such order. It has to say so several times, for long enough, before that counts, unless
    it is `final`: the order never arrived, and never will."""
    tracked = run.desk.child_orders.get((account, client_id))
    if tracked is None:
        return
    order = tracked.order
    if order.state.is_ended:
        order.verified = True
    if order.op is not Op.LOOK_UP or order.state.is_ended:
        return
    order.absent += 1
    age_ms = (run.at_ns - order.sent_ns) // 1_000_000
    adds = not order.terms.reduce_only  # also of one that stood: whether it filled or was cancelled nobody has said yet
    final = final and order.state is State.UNKNOWN
    if not final and (order.absent < NOT_FOUND_TIMES or age_ms < (NOT_FOUND_ADDING_MS if adds else NOT_FOUND_MS)):
        run.wake(order, max(LOOK_UP_AGAIN_MS, age_ms // 4))
        return
    order.op = None
    if order.state is State.UNKNOWN:
        order.on(Event.NOT_FOUND)
    elif order.state.is_live:
        order.on(Event.CANCELLED)  # it stood there once and is gone: ended without our hearing of it
        order.reason = NOT_KNOWN


def unmentioned(run: Run, account: str, mentioned: set[str]) -> None:
    """Orders of ours that should stand at the venue and that a snapshot does not show: ask for them by id."""
    for bot in run.desk.bots.values():
        for link in bot.links.of(account):
            for order in link.orders:
                at_venue = order.state is State.UNKNOWN or order.state.is_live
                unasked = order.op is None or (order.op is Op.LOOK_UP and not order.due_ns)
                if at_venue and unasked and order.client_id not in mentioned:
                    run.look_up(order)


def tell_of_strangers(run: Run, account: str, snapshot: Snapshot) -> None:
    """Working orders with this engine's prefix that no bot here knows, each once: somebody else's, or of a lost journal."""
    found = []
    for order in snapshot.orders:
        key = (account, order.client_id)
        known = key in run.desk.child_orders or key in run.desk.left or key in run.desk.strangers
        if order.is_working and is_own(order.client_id) and not known:
            run.desk.strangers[key] = None
            found.append(order.client_id)
    while len(run.desk.strangers) > STRANGERS_KEPT:
        del run.desk.strangers[next(iter(run.desk.strangers))]
    if found:
        text = (
            f"{account} has {len(found)} working order(s) of a copydesk that no bot here knows ({', '.join(found[:5])}): "
            "another engine is at work there, or a journal was lost; they are left alone"
        )
        run.decisions.append(Note(level="error", kind="stranger", text=text, account=account, data={"orders": found}))


def restart(order: ChildOrder) -> None:
    """A new process took over: what was on its way has an unknown outcome, to be looked up once the account is read."""
    if order.state is State.SENDING:
        order.on(Event.LOST)
    order.op, order.asked, order.due_ns, order.intent = None, None, 0, 0


def due(run: Run, tracked: Tracked) -> None:
    """The time that an order asked for has come: look it up, or try again."""
    order = tracked.order
    order.due_ns = 0
    if order.state.is_ended:
        if is_unverified(order):
            ask(run, tracked)
        if tracked.bot.working or tracked.pair is None or order.partner:
            settle_link(run, tracked.bot, tracked.link)
    elif order.op is Op.LOOK_UP or (order.op is Op.CANCEL and order.intent):
        order.op = Op.LOOK_UP
        if run.desk.account(order.account).connected:
            run.look_up(order)  # otherwise the snapshot after the next connect asks
    elif order.op is Op.MODIFY and not order.intent:
        order.op = None
        settle_link(run, tracked.bot, tracked.link)
    elif order.state in (State.WAITING, State.MISSING):
        if tracked.pair is not None:
            follow(run, tracked.bot, tracked.link, tracked.pair)
        else:
            settle_link(run, tracked.bot, tracked.link)
    elif order.op is None and tracked.bot.working:
        settle_link(run, tracked.bot, tracked.link)
