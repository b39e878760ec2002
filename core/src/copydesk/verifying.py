"""Protective orders that were taken away are gone only once the venue has said so by itself (rule 11). Pure.

A reply to a cancel says that the request was taken. That the order has ended is heard on the stream or, where it is not
heard there in time, asked for by its id until the venue says so; one that is found to stand after all is cancelled again.
"""

from __future__ import annotations

from copydesk.model import Order
from copydesk.sending import Run, cancel
from copydesk.state import ChildOrder, Tracked
from copydesk.tracking import State

HEARD_MS = 2_000
"""So long the stream has to tell of an order that the reply to a cancel says has ended."""
ASKED = 6
"""So often the venue is asked, each time after twice as long; then a person is told."""


def await_word(run: Run, order: ChildOrder) -> None:
    """The reply to a cancel says that the order has ended: see to it that the venue says so otherwise, too."""
    if is_unverified(order):
        run.wake(order, HEARD_MS)


def is_unverified(order: ChildOrder) -> bool:
    """A protective order of which the venue has not said that it is gone, beside the reply to a cancel."""
    cancelled = order.state is State.CANCELLED and bool(order.cancelled_for)
    protective = order.exit and order.terms.type.is_conditional
    return cancelled and protective and not order.verified and order.asked_for < ASKED


def ask(run: Run, tracked: Tracked) -> None:
    """Nothing was heard in time: look the order up, without making it busy again."""
    order = tracked.order
    order.asked_for += 1
    if order.asked_for >= ASKED:
        text = f"{order.terms.type} {order.client_id} was cancelled, and the venue does not confirm it: have a look there"
        run.note(tracked.link, "error", "unverified", text, client_id=order.client_id)
        return
    if run.desk.account(order.account).connected:
        run.look_ups.setdefault(order.account, []).append(order.ref)
    run.wake(order, HEARD_MS * 2**order.asked_for)


def hear(run: Run, tracked: Tracked, told: Order, *, looked_up: bool) -> None:
    """What the venue tells of an order that has ended as far as is known: it confirms that, or the order still stands."""
    order = tracked.order
    if told.status.is_final:
        order.verified = True
    elif looked_up and is_unverified(order) and order.asked_for and order.op is None:
        cancel(run, tracked.link, order, order.cancelled_for, "it still stands although its cancel was confirmed")
        run.wake(order, HEARD_MS * 2**order.asked_for)
