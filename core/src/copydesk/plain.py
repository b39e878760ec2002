"""What is plain is done at once: an entry with nothing to look at, that the venue took it, its echo on the stream. Pure.

The general engine compares wanted with actual for whatever may be the case (`following`, `trimming`). Most events are of
the plainest kind and meet a child of which nothing else is under way; for those the answer is known by a few comparisons.
Each function here says in what case that is so, leaves everything else to the general engine, and comes to what that would
have come to. Every scenario and every story that the machine makes up is replayed without short cuts, and has to give the
same decisions and the same state.

`entries` reads only, so what it finds may be on its way to the venues before the state is brought up to it, the first of it
before the second is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

import msgspec

from copydesk import handwork
from copydesk.budget import NORMAL, Purse, Window
from copydesk.guarding import NO_FILTERS, NO_LIMITS
from copydesk.ids import COPY, client_order_id, is_own
from copydesk.inputs import ChildRules, Settled
from copydesk.model import ZERO, Accepted, Instrument, NewOrder, Order, OrderStatus, OrderType, PositionSide, Terms
from copydesk.planning import child_terms, ratio_for
from copydesk.sending import Run, cancel, count_copied, prepare, send
from copydesk.sizing import entry_quantity, size_fault
from copydesk.state import Account, Book, Bot, ChildOrder, Desk, Link, Op, Pair, Tracked, book_of, may_open
from copydesk.tracking import Event, State


class Entry(NamedTuple):
    """What one child of a bot is to place, and the ratio that its quantity has."""

    ratio: Decimal
    order: NewOrder


Entries = dict[tuple[str, str], Entry]
"""By bot and child account."""


# --- an entry ---------------------------------------------------------------------------------------------------------


def entries(desk: Desk, account: str, order: Order, at_ns: int) -> Iterator[tuple[tuple[str, str], Entry]]:
    """What children place at once for an order of the parent that is told of for the first time. Changes nothing."""
    terms = order.terms
    fresh = order.is_working and not order.filled and not order.triggered and not is_own(order.client_id)
    if not fresh or terms.reduce_only or terms.close_position or not may_open(terms):
        return
    paying = _Paying(at_ns)
    for name, bot in desk.bots.items():
        if bot.rules.parent == account and bot.working:
            for child, entry in _of_bot(desk, bot, order, paying):
                yield (name, child.account), entry


def _of_bot(desk: Desk, bot: Bot, order: Order, paying: _Paying) -> Iterator[tuple[ChildRules, Entry]]:
    kind, terms = bot.rules.kind, order.terms
    instrument = desk.instruments.get((kind, terms.symbol))
    parent = desk.accounts.get(bot.rules.parent)
    if instrument is None or parent is None or not parent.connected or bot.winding or bot.ending or bot.silent:
        return
    if order.venue_id in bot.orders or order.venue_id in bot.past or 0 < order.created_ms < bot.started_ms:
        return
    book, sign = bot.books.get(book_of(terms)), terms.side.sign
    held = ZERO
    if book is not None:
        held = book.followed * sign
        if held < 0 or book.baseline * sign < 0:
            return  # it closes something
        for other in book.working.values():
            if other.order.terms.side is terms.side and not other.order.terms.reduce_only:
                held += other.order.terms.quantity - other.filled
    sizing = _Sizing(order, instrument, held, book_of(terms), _opening_sign(terms), desk.capabilities[kind].order_types)
    unguarded = _unguarded(bot)
    for child in bot.in_turn:
        entry = None
        if child.account in unguarded:
            entry = _of_child(desk, bot, child, parent, sizing, paying)
        if entry is None:
            paying.in_order = False
        else:
            yield child, entry


def _of_child(desk: Desk, bot: Bot, child: ChildRules, parent: Account, sizing: _Sizing, paying: _Paying) -> Entry | None:
    account = desk.accounts.get(child.account)
    if account is None or not account.connected or account.trading.state != "all":
        return None
    number, sign = sizing.order.venue_id, sizing.order.terms.side.sign
    link = bot.links.get((child.account, sizing.book))
    ratio = link.ratios.get(sizing.side) if link is not None else None
    if ratio is None:
        fresh = ratio_for(child, parent, account, paying.at_ns)
        if isinstance(fresh, str):
            return None
        ratio = fresh
    if link is not None and not _is_clear(link, sign if ratio > 0 else -sign):
        return None
    terms = sizing.terms(ratio, child.rounding)
    client_id = client_order_id(bot.rules.name, child.account, number)
    if terms is None or (child.account, client_id) in desk.child_orders:
        return None
    if not paying.can(desk.purses.get(child.account)):
        return None
    return Entry(ratio, NewOrder(client_id=client_id, terms=terms))


def _is_clear(link: Link, sign: int) -> bool:
    """Nothing of the link stands in the way of an entry in the direction `sign`."""
    if link.detached or link.corrections or link.held_back or link.attributed * sign < 0:
        return False
    return all(pair.parent.live for pair in link.pairs.values())


def _unguarded(bot: Bot) -> frozenset[str]:
    """The children that copy orders as they are, without limits and filters: by the rules in force."""
    rules, accounts = bot.unguarded
    if rules is not bot.rules:
        accounts = frozenset(child.account for child in bot.rules.children if _is_unguarded(child))
        bot.unguarded = (bot.rules, accounts)
    return accounts


def _is_unguarded(child: ChildRules) -> bool:
    return child.trigger == "on_submit" and child.limits == NO_LIMITS and child.filters == NO_FILTERS


def _opening_sign(terms: Terms) -> int:
    if terms.position_side is PositionSide.NET:
        return terms.side.sign
    return 1 if terms.position_side is PositionSide.LONG else -1


@dataclass(slots=True)
class _Sizing:
    """The terms of the children's orders, made once for each quantity."""

    order: Order
    instrument: Instrument
    before: Decimal
    book: Book
    side: int  # of the position that is opened
    types: frozenset[OrderType]  # that the venue has
    made: dict[tuple[Decimal, str], Terms | None] = field(default_factory=dict)
    latest: tuple[Decimal | None, str, Terms | None] = (None, "", None)

    def terms(self, ratio: Decimal, rounding: str) -> Terms | None:
        """The terms at that ratio; `None` where the venue would not take them."""
        known, known_rounding, terms = self.latest  # most children of a bot have the same ratio
        if ratio == known and rounding == known_rounding:
            return terms
        key = (ratio, rounding)
        if key not in self.made:
            self.made[key] = self._make(ratio, rounding)
        self.latest = (ratio, rounding, self.made[key])
        return self.made[key]

    def _make(self, ratio: Decimal, rounding: str) -> Terms | None:
        size = abs(ratio)
        quantity = entry_quantity(
            size * self.before, size * self.order.terms.quantity, self.instrument.quantity_step, rounding
        )
        if not quantity:
            return None
        terms = child_terms(self.order, quantity, ratio, self.instrument, reduce_only=False, waits=False)
        if terms.type not in self.types:
            return None
        price = terms.price or terms.trigger_price or self.order.average_price
        return None if size_fault(quantity, price, self.instrument) else terms


@dataclass(slots=True)
class _Paying:
    """Whether the budgets allow all that is found, one after the other."""

    at_ns: int
    in_order: bool = True  # every child so far was plain: what those before it spend is known
    taken: dict[str, int] = field(default_factory=dict)  # of windows that accounts share

    def can(self, purse: Purse | None) -> bool:
        if purse is None:
            return True
        requests, orders, cost = purse.requests, purse.orders, purse.costs.place
        if requests is not None and cost and not self._fits(requests, cost):
            return False
        if orders is not None and not self._fits(orders, 1):
            return False
        for window, taken in ((requests, cost), (orders, 1)):
            if window is not None and window.users > 1:
                self.taken[window.name] = self.taken.get(window.name, 0) + taken
        return True

    def _fits(self, window: Window, cost: int) -> bool:
        shared = window.users > 1
        if window.waiting or self.at_ns < window.blocked_ns or (shared and not self.in_order):
            return False
        window.expire(self.at_ns)
        used = window.total + self.taken.get(window.name, 0)
        return used + cost <= max(window.limit * NORMAL // 100, cost)


def enter(run: Run, bot: Bot, link: Link, pair: Pair, entry: Entry) -> None:
    """Bring the state up to an entry that was found."""
    handwork.begin(run.desk, link)
    order = pair.parent.order
    terms = order.terms
    pair.ratio = link.ratios[_opening_sign(terms)] = entry.ratio
    pair.agreed = (order, bot.books[link.book].moves, link.child, run.desk.instruments[bot.rules.kind, terms.symbol])
    send(run, link, prepare(run, bot, link, pair, entry.order.terms, COPY, is_exit=False), "entry")


def withdrawn(run: Run, bot: Bot, link: Link, pair: Pair) -> bool:
    """The parent took its entry away before it filled: so is the child's. False: let the general engine look at it."""
    if pair.parent.order.status is not OrderStatus.CANCELLED or pair.parent.filled or pair.agreed is None:
        return False
    order = pair.orders[-1]
    if order.state is not State.WORKING or order.op is not None or not run.desk.accounts[order.account].connected:
        return False
    if not _is_alone(run, bot, link, pair, order):
        return False
    cancel(run, link, order, "parent", "the parent's order has ended")
    return order.op is Op.CANCEL


# --- an order that is dragged ------------------------------------------------------------------------------------------


def is_dragged(before: Order, now: Order) -> bool:
    """All that is new of a working order is where it stands."""
    if not (before.is_working and now.is_working):
        return False
    there = now.terms
    return before.terms == msgspec.structs.replace(
        there, price=before.terms.price, trigger_price=before.terms.trigger_price
    )


def waits(link: Link, pair: Pair) -> bool:
    """The child's newest order for it is under way: what is wanted by then is sent when that is settled."""
    last = pair.last
    if last is None or last.op is None or not last.state.is_open or pair.closed:
        return False
    # Beside an older one that may have to go, only where that has to wait for the newest to stand.
    return len(pair.orders) == 1 or (last.state is State.SENDING and bool(link.attributed))


# --- what comes of it -------------------------------------------------------------------------------------------------


def accepted(run: Run, tracked: Tracked, given: Settled) -> bool:
    """The venue took an entry as it is and nothing else is to be done. False: let the general engine look at it."""
    order, outcome = tracked.order, given.outcome
    if not isinstance(outcome, Accepted) or order.op is not Op.PLACE or not _is_calm(run, tracked):
        return False
    reply = outcome.order
    if reply is not None and (reply.status is not OrderStatus.NEW or reply.filled):
        return False
    order.op = None
    order.on(Event.ACCEPTED)
    order.tries = 0
    count_copied(tracked.bot, tracked.link)
    if reply is not None:
        order.merge(reply)
    return True


def echoed(run: Run, tracked: Tracked, told: Order) -> bool:
    """The stream tells of an entry that it stands, which changes nothing. False: let the general engine look at it."""
    order = tracked.order
    if told.status is not OrderStatus.NEW or told.filled or not _is_calm(run, tracked):
        return False
    order.merge(told)
    order.absent = 0
    return True


def _is_calm(run: Run, tracked: Tracked) -> bool:
    """What the order follows from is as it was when it was sent."""
    pair, order = tracked.pair, tracked.order
    if pair is None or pair.agreed is None or pair.parent.order is not pair.agreed[0]:
        return False
    if order.state not in (State.SENDING, State.WORKING) or order.op not in (Op.PLACE, None):
        return False
    return _is_alone(run, tracked.bot, tracked.link, pair, order)


def _is_alone(run: Run, bot: Bot, link: Link, pair: Pair, order: ChildOrder) -> bool:
    """All that there is of the link is this order, both sides are flat, and the rules are those by which it was sent."""
    if len(link.pairs) != 1 or len(pair.orders) != 1 or order.asked is not None or order.filled or pair.closed:
        return False
    if link.attributed or link.corrections or link.detached or link.naked_since_ns or link.since_ns or link.held_back:
        return False
    if not bot.working or bot.winding or bot.ending or bot.silent or pair.agreed is None:
        return False
    _, moves, child, instrument = pair.agreed
    book = bot.books[link.book]
    return (
        book.moves == moves
        and not book.followed
        and link.child is child
        and run.desk.instruments[bot.rules.kind, link.book[0]] is instrument
        and run.desk.accounts[order.account].trading.state == "all"
    )
