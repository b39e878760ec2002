"""The state of the pure engine: what it has understood so far. Changed by `copier.py`, rebuilt by replaying a journal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec

from copydesk.budget import Purse, Window, purse_of
from copydesk.ids import COPY
from copydesk.inputs import BotRules, ChildRules, Limits
from copydesk.model import (
    ZERO,
    Balance,
    Capabilities,
    Fill,
    Instrument,
    Order,
    OrderRef,
    Position,
    PositionSide,
    Side,
    Terms,
)
from copydesk.tracking import REPORTS, Event, State, step
from copydesk.view import Ticket

Book = tuple[str, PositionSide]
"""A side book: symbol and position side."""


class Op(StrEnum):
    """What is on its way to the venue for an order. At most one at a time."""

    PLACE = "place"
    MODIFY = "modify"
    CANCEL = "cancel"
    LOOK_UP = "look-up"


@dataclass(slots=True)
class Trading:
    """What may be traded on an account: `all`, `close_only` or `none`; why, by whom, until when (zero: for good)."""

    state: str = "all"
    reason: str = ""
    actor: str = ""
    since_ns: int = 0
    until_ns: int = 0


@dataclass(slots=True)
class Day:
    """A trading day of an account: its name, and the equity at its start."""

    name: str
    equity: Decimal


@dataclass(slots=True)
class Account:
    """What is known of one account at its venue."""

    key: str
    connected: bool = False
    balance: Balance | None = None
    balance_ns: int = 0
    positions: dict[Book, Position] = field(default_factory=dict)
    venue_ms: int = 0  # the latest venue time seen: from here on a snapshot has to reach back
    trading: Trading = field(default_factory=Trading)
    days: dict[tuple[int, str], Day] = field(default_factory=dict)  # by when and where a day starts
    wakes: set[int] = field(default_factory=set)  # times at which its links are looked at again


@dataclass(slots=True)
class ParentOrder:
    """An order of the parent, as merged from all reports of it."""

    order: Order
    filled: Decimal = ZERO
    baseline: bool = False  # was there before the bot started: never copied, but its fills move the position
    max_adverse_percent: Decimal | None = None  # another price window than the child's, for what a start catches up
    closed: Decimal = ZERO  # how much of its fills closed what the children follow,
    ignored: Decimal = ZERO  # only reduced the baseline,
    opened: Decimal = ZERO  # and opened; each by the position at the time of the fill
    closings: list[tuple[Decimal, Decimal]] = field(default_factory=list)  # followed size (before, after) of each close
    moved: int = 0  # `ParentBook.moves` at its latest fill
    filled_ms: int = 0  # the venue's time of its latest fill
    executions: dict[str, Decimal] = field(default_factory=dict)
    fees: dict[str, Decimal] = field(default_factory=dict)  # in the base asset, by execution
    told: Decimal = ZERO  # how much of its fills had moved the position before any report told of them
    absent: int = 0  # how many snapshots in a row said that the venue has no such order
    seen: bool = False  # its pairs were made; one that is gone since then is made again only for more fills

    @property
    def live(self) -> bool:
        """More may come of it, as the child sees it."""
        return self.order.is_working

    @property
    def working(self) -> bool:
        return self.order.is_working

    @property
    def done(self) -> Decimal:
        """What it filled that moved the position when it was told of."""
        return self.filled - self.told

    def close(self, held: Decimal, quantity: Decimal) -> None:
        """Count a fill that closes `quantity` of a followed position of size `held`."""
        if not quantity:
            return
        self.closed += quantity
        start = self.closings.pop()[0] if self.closings and self.closings[-1][1] == held else held
        self.closings.append((start, held - quantity))


class Executed(ParentOrder):
    """What a child with `on_fill` sees of a parent's order: at any time one that has ended with what it filled so far."""

    __slots__ = ("whole",)

    def __init__(self, whole: ParentOrder) -> None:
        self.whole = whole

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole, name)  # the fields above are never set here

    @property
    def live(self) -> bool:
        return False


@dataclass(slots=True)
class ParentBook:
    """The parent's position in one side book; `position - baseline` is what the children follow."""

    position: Decimal = ZERO
    baseline: Decimal = ZERO
    doubt: Decimal = ZERO  # what the last snapshot said beyond `position`; believed when it says so twice
    agreed_ms: int = 0  # the venue's time of the last snapshot that said the same as `position`
    inferred_ms: int = 0  # that of the last one that was believed against the orders,
    inferred: dict[int, Decimal] = field(default_factory=dict)  # how much so, bought (1) and sold (-1): late orders tell it
    working: dict[str, ParentOrder] = field(default_factory=dict)  # live orders that came after the start
    moves: int = 0  # how often the position moved
    moved_ms: int = 0  # the venue's time of the last fill: a snapshot from before it proves nothing
    price: Decimal = ZERO  # of the latest execution with a fee in the base asset

    @property
    def followed(self) -> Decimal:
        return self.position - self.baseline


@dataclass(slots=True)
class ChildOrder:
    """One order of ours on a child account."""

    client_id: str
    account: str
    terms: Terms  # as we asked for them and the venue agreed
    cause: str
    why: str = ""
    leg: str = COPY
    exit: bool = False  # it is there to close, not to open
    held_back: Decimal = ZERO  # of what it filled, for a fee in the base asset that was not told yet
    verified: bool = False  # the venue itself told that it has ended, beside the reply to a cancel
    asked_for: int = 0  # how often it was asked whether it has
    partner: str = ""  # the client id of the other leg of its group
    state: State = State.SENDING
    op: Op | None = Op.PLACE
    intent: int = 0
    asked: Terms | None = None  # the terms of an amend on its way
    refused: Terms | None = None  # terms that the venue would not amend to: not asked for again
    venue_id: str = ""
    filled: Decimal = ZERO
    reduced: Decimal = ZERO  # how much of that made the position smaller, by the position when it was told
    updated_ms: int = 0
    sent_ns: int = 0
    due_ns: int = 0  # when to look at it again, 0 for never
    tries: int = 0
    doubted: bool = False  # it was sent twice, with other terms: the venue tells which of them it has
    absent: int = 0  # how many times the venue said that it has no such order
    enforces: bool = False  # it closes what was traded by hand, and nothing that was copied
    paid_ns: int = 0  # when its cancel was paid for, with the order that takes its place
    cancelled_for: str = ""  # why we asked to cancel it: "replace", "parent", or "unfilled": it goes on at market
    reason: str = ""
    executions: dict[str, Decimal] = field(default_factory=dict)

    @property
    def remaining(self) -> Decimal:
        return max(ZERO, self.terms.quantity - self.filled)

    @property
    def is_unsent(self) -> bool:
        """The venue has nothing of it, and nothing is on its way there: it waits to be sent again."""
        return self.op is None and self.state in (State.WAITING, State.MISSING)

    @property
    def is_doubled(self) -> bool:
        """It filled more than it was for: it was sent again because it was not found, and the venue carried both out."""
        return self.filled > self.terms.quantity

    @property
    def ref(self) -> OrderRef:
        searched = not self.venue_id
        return OrderRef(
            symbol=self.terms.symbol,
            type=self.terms.type,
            client_id=self.client_id,
            venue_id=self.venue_id,
            terms=self.terms if searched else None,
            sent_ms=self.sent_ns // 1_000_000 if searched else 0,
        )

    def on(self, event: Event) -> None:
        """Move by the table of order states."""
        self.state = step(self.state, event)

    def merge(self, order: Order) -> Decimal:
        """Take a report in; return by how much the filled quantity grew. Late and repeated reports do no harm."""
        grown = self._fill_to(order.filled)
        self.venue_id = self.venue_id or order.venue_id
        if order.updated_ms < self.updated_ms and not order.status.is_final:
            return grown
        if self.asked is not None and _amended(order.terms, self.asked):
            self.terms, self.asked = self.asked, None
        if self.doubted and order.is_working:
            self.terms, self.doubted = _as_told(self.terms, order.terms), False
        self.on(REPORTS[order.status])
        self.updated_ms = max(self.updated_ms, order.updated_ms)
        self.reason = order.reason or self.reason
        return grown

    def merge_fill(self, fill: Fill) -> Decimal:
        """Take an execution in, once per execution id; return by how much the filled quantity grew."""
        self.executions[fill.execution_id] = fill.quantity
        return self._fill_to(sum(self.executions.values(), ZERO))

    def _fill_to(self, filled: Decimal) -> Decimal:
        grown = max(ZERO, filled - self.filled)
        self.filled += grown
        return grown


def _as_told(ours: Terms, told: Terms) -> Terms:
    return msgspec.structs.replace(
        ours,
        type=told.type,
        quantity=told.quantity,
        price=told.price,
        trigger_price=told.trigger_price,
        time_in_force=told.time_in_force,
        post_only=told.post_only,
    )


def _amended(reported: Terms, asked: Terms) -> bool:
    """True where a report shows the terms that were asked for (a venue may add to them, so only what moves counts)."""
    return (
        reported.quantity == asked.quantity
        and reported.price == asked.price
        and reported.trigger_price == asked.trigger_price
    )


Agreed = tuple[Order, int, ChildRules, Instrument]
"""A parent's order as it was told, how often the parent's position had moved, the child's rules, the instrument."""


@dataclass(slots=True)
class Pair:
    """One order of the parent and what one child did about it."""

    parent: ParentOrder
    orders: list[ChildOrder] = field(default_factory=list)
    ratio: Decimal | None = None
    before: Decimal = ZERO  # what the parent had committed to that side of the book before this order
    closed: str = ""  # why nothing more is going to be done, empty while something may
    waiting: str = ""  # why nothing is done just now: said once in the log
    closing: Decimal | None = None  # what the child closes for it in all, as last understood
    earlier: int = 0  # how many orders an earlier pair of the same parent order had: part of the ids
    idle_since: int = -1  # `Link.fills` when the venue took an exit away for want of a position
    paid_ns: int = 0  # when its next placing was paid for, with the cancel that makes way for it
    behind_ns: int = 0  # since when the parent's order has filled more than the child's
    hurried: int = 0  # how often it was tried at market since then
    seen: Decimal = ZERO  # what the parent had filled of it when it was last decided upon,
    seen_opened: Decimal = ZERO  # and opened by that
    forgone: Decimal = ZERO  # what is not copied any more of what its executions opened,
    lost: str = ""  # and why
    refusals: int = 0  # how often in a row the venue refused the exit,
    retry_ns: int = 0  # when it is tried again,
    at_market: bool = False  # it is tried as a market order by now,
    may_take: bool = False  # or not as post-only any more,
    alarm: str = ""  # and what a person was told of it
    cap: Decimal | None = None  # the most that the venue takes of an entry,
    shrinks: int = 0  # and how often that was found out
    guard: str = ""  # "capped" or "filtered" while less is opened than the parent's order asks for,
    limit: str = ""  # and the limit or filter that makes it so
    alone: bool = False  # the venue did not take it as leg of a group
    grouped_ns: int = 0  # since when it waits for the other order of the parent's group, or that was refused
    needs: Terms | None = None  # what it waits to sell until that is bound by nothing else
    ended_ns: int = 0  # when the parent's stop was first seen to be gone although what it protected is not
    taken: Decimal = ZERO  # how much of what the child held at the start counts as copied for it, without an order
    agreed: Agreed | None = field(default=None, compare=False)  # what its first order followed from, where that was plain

    @property
    def filled(self) -> Decimal:
        return sum((order.filled for order in self.orders), ZERO)

    @property
    def reduced(self) -> Decimal:
        return sum((order.reduced for order in self.orders), ZERO)

    @property
    def last(self) -> ChildOrder | None:
        return self.orders[-1] if self.orders else None

    @property
    def open(self) -> bool:
        """The child's side may still change."""
        return any(order.state.is_open for order in self.orders)

    @property
    def total(self) -> Decimal:
        """What the child's orders would fill if all went through, a change on its way included.

        Two that look at each other's sizes would otherwise both move at once, and back, for ever.
        """
        last = self.last
        if last is None:
            return ZERO
        coming = max(ZERO, (last.asked or last.terms).quantity - last.filled)
        return self.filled + (coming if last.state.is_open else ZERO)


@dataclass(slots=True)
class Link:
    """(bot, child, symbol, side book): what is planned, tracked and reconciled as one."""

    bot: str
    child: ChildRules
    book: Book  # the parent's book; the child's is the other one where K < 0 in hedge mode
    ratios: dict[int, Decimal] = field(default_factory=dict)  # of the open episode, by the sign of the parent's position
    attributed: Decimal = ZERO
    foreign: Decimal = ZERO  # what the account held beyond `attributed` when its position was last told
    fills: int = 0  # how often `attributed` moved
    pairs: dict[str, Pair] = field(default_factory=dict)
    ended: dict[str, Pair] = field(default_factory=dict)  # pairs of which nothing more can come
    corrections: list[ChildOrder] = field(default_factory=list)
    trims: int = 0  # how many there were: part of their ids
    failing: Decimal = ZERO  # what could not be trimmed; tried on at a slow pace,
    again_ns: int = 0  # the next time then,
    alarm: str = ""  # and what a person was told of it
    begun: bool = False  # an order of it was sent: from then on what is foreign is watched
    own: Decimal = ZERO  # the foreign quantity that is known and left alone
    shown: int = -1  # `fills` when the venue last showed a position that they and `own` explain
    suspected: tuple[Decimal, int, int] | None = None  # foreign, by a snapshot of that time, after so many of our fills
    looks: int = 0  # how often the account was read because of it
    unmoved: Decimal | None = None  # foreign quantity that was tried to be closed
    detached: int = 0  # +1 or -1, by the parent's side, while the episode is in a person's hands
    let_go: Decimal = ZERO  # fills of ours that count no more as attributed: handed over, or closing what was foreign
    behind: Decimal = ZERO  # what no order brings any more, signed: a ticket was left for it
    released: Decimal = ZERO  # what was closed because the parent was silent; signed
    said: str = ""
    since_ns: int = 0
    held_back: Decimal = ZERO  # of that for fees that were not told yet
    dust: Decimal = ZERO  # what was left of the episode before, too small to be sold
    price: Decimal = ZERO  # of its latest execution
    needs: Decimal = ZERO  # what a correction waits to sell until that is bound by nothing else
    naked_since_ns: int = 0  # without a stop while the parent has one, 0 where it is not
    naked_ns: int = 0  # all such times that are over, together,
    naked_longest_ns: int = 0  # and the longest of them

    @property
    def orders(self) -> list[ChildOrder]:
        return [order for pair in self.pairs.values() for order in pair.orders] + self.corrections

    def ratio(self, sign: int) -> Decimal | None:
        """The ratio for a long (+1) or short (-1) parent position; before a flip is known, the other side's."""
        found = self.ratios.get(sign)
        return found if found is not None else self.ratios.get(-sign)

    def move(self, order: ChildOrder, grown: Decimal) -> None:
        """Count what one of its orders filled newly."""
        if grown and order.enforces:
            self.let_go += order.terms.side.sign * grown
        elif grown:
            order.reduced += min(grown, max(ZERO, -order.terms.side.sign * self.attributed))
            self.attributed += order.terms.side.sign * grown
            self.fills += 1


class Links(dict[tuple[str, Book], Link]):
    """Links by child and book. `of` has those of one child: what concerns one account looks at no other's."""

    def __init__(self) -> None:
        super().__init__()
        self._of: dict[str, list[Link]] = {}

    def __setitem__(self, key: tuple[str, Book], link: Link) -> None:
        super().__setitem__(key, link)
        self._of[key[0]] = [other for other in self.of(key[0]) if other.book != key[1]] + [link]

    def drop(self, key: tuple[str, Book]) -> Link:
        """Take a link out and return it."""
        link = super().pop(key)
        self._of[key[0]] = [other for other in self.of(key[0]) if other is not link]
        return link

    def of(self, child: str) -> Sequence[Link]:
        """Those of a child, the oldest first. Never changed: another takes its place."""
        return self._of.get(child, ())


@dataclass(slots=True)
class Bot:
    rules: BotRules
    working: bool = False
    winding: bool = False  # works only until its children are flat: nothing is opened any more
    wound_down: bool = False  # it stopped by itself, because its children were flat
    ending: str = ""  # the stop's policy, while what it asks for is not done yet
    silent: str = ""  # what was done about a parent that is silent for too long
    silent_since_ns: int = 0  # when the parent was lost, 0 while it is there
    started_ms: int = 0
    orders: dict[str, ParentOrder] = field(default_factory=dict)
    books: dict[Book, ParentBook] = field(default_factory=dict)
    links: Links = field(default_factory=Links)
    left: dict[tuple[str, Book], Decimal] = field(default_factory=dict)  # what runs that are over left on children
    turn: str = ""  # the child that is looked at first: it was the first to go without when the budget was used up
    past: dict[str, None] = field(default_factory=dict)  # orders that were forgotten, but not that they were seen
    copied: dict[str, int] = field(default_factory=dict)
    missed: dict[str, int] = field(default_factory=dict)
    unguarded: tuple[BotRules | None, frozenset[str]] = field(default=(None, frozenset()), compare=False)  # see `plain.py`

    @property
    def in_turn(self) -> tuple[ChildRules, ...]:
        """The children, beginning with the one whose turn it is."""
        children = self.rules.children
        if not self.turn:
            return children
        at = next((number for number, child in enumerate(children) if child.account == self.turn), 0)
        return children[at:] + children[:at]

    @property
    def managed(self) -> bool:
        """Its links are looked at: it works, or a stop of it is still being carried out."""
        return self.working or bool(self.ending)

    @property
    def shuns(self) -> str:
        """Why no entry may stand on a child now: `stop` or `silence`, empty where it may."""
        return "stop" if self.winding else "silence" if self.silent not in ("", "hold") else ""

    def book(self, book: Book) -> ParentBook:
        found = self.books.get(book)
        if found is None:
            found = self.books[book] = ParentBook()
        return found

    def link(self, child: ChildRules, book: Book) -> Link:
        key = (child.account, book)
        if key not in self.links:
            self.links[key] = Link(bot=self.rules.name, child=child, book=book)
        return self.links[key]

    def leave(self, link: Link) -> None:
        """The link is not followed any more: what it copied stays where it is, and is remembered."""
        key = (link.child.account, link.book)
        self.left[key] = self.left.get(key, ZERO) + link.attributed


@dataclass(slots=True)
class Tracked:
    """Where one child order belongs. A correction of the link as a whole has no pair."""

    bot: Bot
    link: Link
    pair: Pair | None
    order: ChildOrder


@dataclass(slots=True)
class Left:
    """An order that no bot follows any more: whose it was, where, and what it filled. `sign`: 0 where that was no copy."""

    bot: str
    book: Book
    sign: int
    filled: Decimal


@dataclass(slots=True)
class Desk:
    """Everything."""

    bots: dict[str, Bot] = field(default_factory=dict)
    accounts: dict[str, Account] = field(default_factory=dict)
    instruments: dict[tuple[str, str], Instrument] = field(default_factory=dict)
    capabilities: dict[str, Capabilities] = field(default_factory=dict)
    kinds: dict[str, str] = field(default_factory=dict)  # of the accounts that bots use
    daily: dict[str, list[Limits]] = field(default_factory=dict)  # by account: the limits that ask for its equity
    prices: dict[tuple[str, str], Decimal] = field(default_factory=dict)  # by kind and symbol: the last known one
    windows: dict[str, Window] = field(default_factory=dict)  # of the venues' limits, by name
    purses: dict[str, Purse] = field(default_factory=dict)  # by account, where its kind has limits
    child_orders: dict[tuple[str, str], Tracked] = field(default_factory=dict)
    left: dict[tuple[str, str], Left] = field(default_factory=dict)  # orders that no bot follows any more
    strangers: dict[tuple[str, str], None] = field(
        default_factory=dict
    )  # open orders that no bot knows and that were told of
    intents: int = 0
    tickets: dict[str, Ticket] = field(default_factory=dict)
    ticket_count: int = 0  # how many were left since the journal began: part of their names

    def take_rules(self, bots: tuple[BotRules, ...], capabilities: dict[str, Capabilities]) -> None:
        """What follows from the rules in force for whole accounts."""
        self.capabilities = dict(capabilities)
        self.kinds, self.daily = {}, {}
        for bot in bots:
            self.kinds.update(dict.fromkeys((bot.parent, *(child.account for child in bot.children)), bot.kind))
            for child in bot.children:
                if child.limits.daily_loss:
                    self.daily.setdefault(child.account, []).append(child.limits)
        self.purses = {}
        for window in self.windows.values():
            window.users = 0
        for account, kind in self.kinds.items():
            purse = purse_of(account, kind, capabilities[kind], self.windows)
            if purse is not None:
                self.purses[account] = purse
                for used in (purse.requests, purse.orders):
                    if used is not None:
                        used.users += 1

    def priced(self, account: str, symbol: str, price: Decimal | None) -> None:
        """A price of a symbol was told on an account."""
        if price:
            self.prices[self.kinds.get(account, ""), symbol] = price

    def account(self, key: str) -> Account:
        if key not in self.accounts:
            self.accounts[key] = Account(key=key)
        return self.accounts[key]


ORDERS_KEPT = 4_000
"""So many ended orders are remembered in full, per bot the parent's and in all the children's: late fills of them count."""
PAST_KEPT = 100_000


def forget_ended(orders: dict[Any, Any], is_ended: Callable[[Any], bool]) -> list[Any]:
    """Once there are many, drop the oldest ended ones; return their keys. Costs next to nothing per order."""
    if len(orders) <= 2 * ORDERS_KEPT:
        return []
    ended = [key for key, order in orders.items() if is_ended(order)]
    over = ended[: max(0, len(ended) - ORDERS_KEPT)]
    for key in over:
        del orders[key]
    return over


def forget_links(desk: Desk, links: Iterable[Link]) -> None:
    """Orders of these links are not followed any more. What is remembered of each is its id and what it filled."""
    gone = {id(link) for link in links}
    if not gone:
        return
    kept = {}
    for key, tracked in desk.child_orders.items():
        if id(tracked.link) not in gone:
            kept[key] = tracked
        else:
            order, link = tracked.order, tracked.link
            sign = 0 if order.enforces or link.detached else order.terms.side.sign
            desk.left[key] = Left(link.bot, link.book, sign, order.filled)
    desk.child_orders = kept
    while len(desk.left) > PAST_KEPT:
        del desk.left[next(iter(desk.left))]


def book_of(terms: Terms) -> Book:
    return (terms.symbol, terms.position_side)


def may_open(terms: Terms) -> bool:
    """False where an order can only close: in hedge mode the side of the book tells."""
    if terms.position_side is PositionSide.LONG:
        return terms.side is Side.BUY
    if terms.position_side is PositionSide.SHORT:
        return terms.side is Side.SELL
    return True
