"""One input being worked on, and the ways in which a decision leaves: place, cancel, look up, note. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from copydesk.budget import is_paid, look_up_after_ms, may_cancel, spend_cancel, spend_look_up, spend_place
from copydesk.ids import CLOSE, COPY, TICKET, client_order_id
from copydesk.inputs import Cancel, Decision, LookUp, Note, Place
from copydesk.model import NewOrder, OrderRef, Terms
from copydesk.state import Bot, ChildOrder, Desk, Link, Op, Pair, Tracked, forget_ended
from copydesk.tracking import Event, State

LEG_MS = 1_000
"""Once one leg of a group was cancelled, so long the word of the other is waited for before it is asked for."""


@dataclass(slots=True)
class Run:
    """One input being worked on: the state, the time, and what has been decided so far."""

    desk: Desk
    due: list[tuple[int, str, str]]
    at_ns: int = 0
    decisions: list[Decision] = field(default_factory=list)
    look_ups: dict[str, list[OrderRef]] = field(default_factory=dict)
    shortcuts: bool = True  # see `plain.py`
    entries: Mapping[tuple[str, str], Any] = field(default_factory=dict)  # `plain.Entries`: found already, by bot and child

    @property
    def at_ms(self) -> int:
        return self.at_ns // 1_000_000

    def note(self, link: Link, level: str, kind: str, text: str, **data: Any) -> None:
        self.decisions.append(
            Note(
                level=level,
                kind=kind,
                text=text,
                bot=link.bot,
                account=link.child.account,
                symbol=link.book[0],
                data=data,
            )
        )

    def number(self) -> int:
        self.desk.intents += 1
        return self.desk.intents

    def wake(self, order: ChildOrder, after_ms: int) -> None:
        """Look at `order` again in `after_ms`."""
        order.due_ns = self.at_ns + after_ms * 1_000_000
        heapq.heappush(self.due, (order.due_ns, order.account, order.client_id))

    def wake_at(self, at_ns: int, account: str) -> None:
        """Look at the links of an account at that time."""
        heapq.heappush(self.due, (at_ns, account, ""))

    def look_up(self, order: ChildOrder) -> None:
        """Ask the venue what became of `order`; ask again should no answer come."""
        order.op = Op.LOOK_UP
        if wait_ms := look_up_after_ms(self, order.account):
            self.wake(order, wait_ms)
            return
        spend_look_up(self, order.account)
        self.look_ups.setdefault(order.account, []).append(order.ref)
        self.wake(order, 3_000)

    def finish(self) -> list[Decision]:
        for account, refs in self.look_ups.items():
            self.decisions.append(LookUp(id=self.number(), account=account, orders=tuple(refs)))
        return self.decisions


def register(run: Run, bot: Bot, link: Link, pair: Pair | None, order: ChildOrder) -> None:
    run.desk.child_orders[order.account, order.client_id] = Tracked(bot, link, pair, order)
    forget_ended(run.desk.child_orders, lambda tracked: tracked.order.state.is_ended)


def copies_before(desk: Desk, link: Link, number: str) -> list[tuple[str, str]]:
    """(account, client id) of the child's orders for this parent order in episodes and runs of the bot that are over."""
    found: list[tuple[str, str]] = []
    while True:
        for leg in (COPY, CLOSE):
            key = (link.child.account, client_order_id(link.bot, link.child.account, number, leg, len(found)))
            if key in desk.child_orders or key in desk.left:
                found.append(key)
                break
        else:
            return found


def prepare(run: Run, bot: Bot, link: Link, pair: Pair, terms: Terms, leg: str, *, is_exit: bool) -> ChildOrder:
    """The pair's next order, to be sent: under the same id as the last one where the venue has nothing under that."""
    last = pair.last
    unsent = last is not None and last.state in (State.WAITING, State.MISSING)
    if last is not None and unsent and last.leg == leg:
        last.doubted = last.doubted or (last.state is State.MISSING and last.terms != terms)
        last.on(Event.SENT_AGAIN)
        last.terms, last.absent, last.exit, last.partner = terms, 0, is_exit, ""
        return last
    if last is not None and unsent:
        last.on(Event.GIVEN_UP)
    cause = pair.parent.order.venue_id
    generation = pair.earlier + sum(order.leg != TICKET for order in pair.orders)  # a ticket's id counts by itself
    client_id = client_order_id(link.bot, link.child.account, cause, leg, generation)
    order = ChildOrder(client_id=client_id, account=link.child.account, terms=terms, cause=cause, leg=leg, exit=is_exit)
    pair.orders.append(order)
    register(run, bot, link, pair, order)
    return order


def send(run: Run, link: Link, order: ChildOrder, why: str, *, paid: bool = False) -> None:
    order.op, order.intent, order.sent_ns, order.why = Op.PLACE, run.number(), run.at_ns, why
    if not paid:
        spend_place(run, order.account)
    run.decisions.append(
        Place(
            id=order.intent,
            bot=link.bot,
            account=order.account,
            cause=order.cause,
            why=why,
            order=NewOrder(client_id=order.client_id, terms=order.terms),
        )
    )


def partner(run: Run, order: ChildOrder) -> ChildOrder | None:
    """The other leg of the order's group, ended or not."""
    tracked = run.desk.child_orders.get((order.account, order.partner)) if order.partner else None
    return tracked.order if tracked is not None else None


def cancel(run: Run, link: Link, order: ChildOrder, reason: str, why: str) -> None:
    """Ask for it, if the account is connected and there is budget; else whoever wants it gone asks again.

    A leg of a group goes with the other one.
    """
    if not run.desk.account(order.account).connected:
        return
    other = partner(run, order)
    if other is not None and other.op is Op.CANCEL and other.state.is_open:
        return
    if other is not None and other.state is State.CANCELLED and other.cancelled_for:  # gone too, and not told yet
        order.op = Op.LOOK_UP
        run.wake(order, LEG_MS)
        return
    if not is_paid(run, order.paid_ns):
        if not may_cancel(run, link):
            return
        spend_cancel(run, order.account)
    order.op, order.cancelled_for, order.intent = Op.CANCEL, reason, run.number()
    run.decisions.append(
        Cancel(id=order.intent, bot=link.bot, account=order.account, cause=order.cause, why=why, order=order.ref)
    )


def count_missed(bot: Bot, link: Link) -> None:
    bot.missed[link.child.account] = bot.missed.get(link.child.account, 0) + 1


def count_copied(bot: Bot, link: Link) -> None:
    bot.copied[link.child.account] = bot.copied.get(link.child.account, 0) + 1
