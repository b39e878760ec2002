"""Rule 9: what the venue refuses for good. Pure.

An entry that is too large for the venue or for the margin is made smaller where its child's setting says so; any other is
not tried again. An exit is never dropped: it is tried again after twice as long each time, then as a reduce-only market
order, then it raises an alarm and is tried on at a slow pace while the child holds what it is to close. One that the venue
does not let rest, because it would trade at once, is placed so that it may.
"""

from __future__ import annotations

import dataclasses
from decimal import Decimal

import msgspec

from copydesk.model import ZERO, Capabilities, Instrument, OrderType, Rejected, RejectReason, Terms
from copydesk.planning import Hold, Wanted, only_closing
from copydesk.sending import Run
from copydesk.sizing import floor_to, size_fault
from copydesk.state import Link, Pair, Tracked
from copydesk.tracking import State

EXIT_AGAIN_MS = 250
EXIT_TRIES = 4
"""So often an exit is tried as it is, each time after twice as long, and so often again at market; then it is an alarm."""
SLOWLY_MS = 30_000
SHRINKS = 6
"""So often an order is made smaller until the venue takes it."""
ROOM = Decimal("0.98")
"""Of what is available, so much is asked for: the price moves, and fees are taken of it too."""


def goes_on(run: Run, tracked: Tracked, refusal: Rejected) -> bool:
    """A pair's placement was refused for good: arrange what is tried next. False: nothing is."""
    pair, order = tracked.pair, tracked.order
    if pair is None:
        return False
    if order.exit:
        _exit_refused(run, tracked, pair, refusal)
        return True
    if refusal.reason is RejectReason.PRICE and order.terms.type.is_conditional and (pair.parent.live or pair.parent.done):
        _wait_for_trigger(run, tracked, refusal)
        return True
    return _shrinks(run, tracked, pair, refusal)


def _wait_for_trigger(run: Run, tracked: Tracked, refusal: Rejected) -> None:
    """An entry would trigger at once: the parent's is about to, and what becomes of that is copied."""
    order = tracked.order
    order.cancelled_for, order.refused = "refused", order.terms
    text = f"waits until the parent's order is triggered: {refusal.message}"
    run.note(tracked.link, "warn", "waits-for-trigger", text, parent_order=order.cause, client_id=order.client_id)


# --- exits ------------------------------------------------------------------------------------------------------------


def _exit_refused(run: Run, tracked: Tracked, pair: Pair, refusal: Rejected) -> None:
    order, link = tracked.order, tracked.link
    order.cancelled_for = "refused"
    pair.refusals += 1
    if refusal.reason is RejectReason.PRICE and order.terms.type.is_conditional:
        # It would trigger at once: the market is there already, so what it was to do is done now.
        pair.at_market, wait_ms = True, EXIT_AGAIN_MS
    elif refusal.reason is RejectReason.POST_ONLY and order.terms.post_only:
        pair.may_take, wait_ms = True, EXIT_AGAIN_MS  # it has its price there; that it comes first is what copying may cost
    elif pair.refusals <= 2 * EXIT_TRIES:
        pair.at_market = pair.at_market or (pair.refusals >= EXIT_TRIES and bool(pair.parent.filled))
        wait_ms = EXIT_AGAIN_MS * 2 ** ((pair.refusals - 1) % EXIT_TRIES)
    else:  # what the parent still waits for itself is tried less and less often, what it has closed is not
        wait_ms = SLOWLY_MS * (2 ** min(pair.refusals - 2 * EXIT_TRIES, 7) if pair.parent.live else 1)
    pair.retry_ns = run.at_ns + wait_ms * 1_000_000
    run.wake(order, wait_ms)
    if pair.refusals >= 2 * EXIT_TRIES:
        text = f"an exit of {order.terms.quantity} {order.terms.symbol} is refused again and again: {refusal.message}"
        if not pair.alarm:
            run.note(link, "error", "alarm", text, code=refusal.code, parent_order=order.cause, client_id=order.client_id)
        pair.alarm = text


def is_too_early(run: Run, pair: Pair) -> bool:
    """An exit that was refused waits; but not a resting one once the parent's has filled: then the market is tried."""
    last, parent = pair.last, pair.parent
    if last is None or last.cancelled_for != "refused":
        return False
    if not parent.live and parent.filled:
        pair.at_market = True
        if last.terms.type is not OrderType.MARKET:
            return False
    return run.at_ns < pair.retry_ns


def is_retrying(pair: Pair) -> bool:
    """An exit whose parent's is over, or that goes to the market in a moment, goes on by itself: nothing else is to reduce
    the child for it meanwhile."""
    last = pair.last
    refused = last is not None and last.cancelled_for == "refused"
    soon = not pair.parent.live or (pair.at_market and not pair.alarm)
    # One that has come to open the other side waits itself until the child is reduced.
    return refused and not pair.closed and soon and pair.waiting != "waits-for-close"


def taken(run: Run, tracked: Tracked) -> None:
    """The venue took an order of the pair: whatever was refused before is over."""
    pair = tracked.pair
    if pair is None or not pair.refusals:
        return
    if pair.alarm:
        text = f"the exit is placed at last, after {pair.refusals} refusals"
        run.note(tracked.link, "info", "alarm", text, parent_order=tracked.order.cause)
    pair.refusals, pair.retry_ns, pair.alarm = 0, 0, ""


# --- sizes ------------------------------------------------------------------------------------------------------------


def capped(pair: Pair, want: Wanted | Hold, can: Capabilities) -> Wanted | Hold:
    """What is wanted, of an entry no more than the venue would take. What is left of a flip may be an exit."""
    if pair.cap is None or isinstance(want, Hold) or want.exit or want.terms.quantity <= pair.cap:
        return want
    closing = want.terms.quantity - want.opening
    quantity = max(pair.cap, closing, pair.filled)
    if quantity >= want.terms.quantity:
        return want
    terms = msgspec.structs.replace(want.terms, quantity=quantity)
    if quantity == closing:
        return only_closing(terms, can)
    return dataclasses.replace(want, terms=terms, opening=quantity - closing)


def _shrinks(run: Run, tracked: Tracked, pair: Pair, refusal: Rejected) -> bool:
    """Make an entry smaller, by what is known of why it was too large, else by half."""
    order, link = tracked.order, tracked.link
    sizing = refusal.reason in (RejectReason.QUANTITY, RejectReason.MARGIN)
    if not sizing or link.child.on_size_reject != "shrink_to_fit" or pair.shrinks >= SHRINKS:
        return False
    instrument = run.desk.instruments[tracked.bot.rules.kind, link.book[0]]
    price = order.terms.price or order.terms.trigger_price or pair.parent.order.average_price
    quantity = floor_to(_fitting(run, link, order.terms, refusal, price, instrument), instrument.quantity_step)
    if size_fault(quantity, price, instrument):
        return False
    pair.shrinks += 1
    pair.cap = pair.filled + quantity
    order.cancelled_for = "refused"
    text = f"{quantity} instead of {order.terms.quantity} {link.book[0]}, to fit: {refusal.message}"
    run.note(link, "warn", "capped", text, parent_order=order.cause, limit="venue")
    return True


def _fitting(
    run: Run, link: Link, terms: Terms, refusal: Rejected, price: Decimal | None, instrument: Instrument
) -> Decimal:
    largest = instrument.market_max_quantity if terms.type is OrderType.MARKET else instrument.max_quantity
    if refusal.reason is RejectReason.QUANTITY and ZERO < largest < terms.quantity:
        return largest
    account = run.desk.account(link.child.account)
    position = account.positions.get(link.book)
    if refusal.reason is RejectReason.MARGIN and account.balance is not None and price and position is not None:
        affordable = account.balance.available * position.leverage * ROOM / (price * instrument.contract_size)
        if ZERO < affordable < terms.quantity:
            return affordable
    return terms.quantity / 2


def change_refused(tracked: Tracked, refusal: Rejected) -> None:
    """An order that stands could not be made larger: it goes on with the size that it has."""
    pair, order = tracked.pair, tracked.order
    sizing = refusal.reason in (RejectReason.QUANTITY, RejectReason.MARGIN)
    if pair is None or order.exit or not sizing or tracked.link.child.on_size_reject != "shrink_to_fit":
        return
    if order.refused is not None and order.refused.quantity > order.terms.quantity and order.state is not State.REJECTED:
        pair.cap = pair.filled + order.remaining
