"""Starting a bot (rule 12): what becomes of what the parent already has. Pure.

| policy | the parent's positions and working orders are |
|---|---|
| `ignore` | its own affair: a baseline, and exits below it send nothing |
| `adopt` | followed; what the children already hold counts as copied, as far as it fits their target; nothing is bought |
| `copy_now` | followed; what the children lack is sent at market |
| `copy_if_better` | followed; what they lack is sent as a limit order IOC, at the parent's entry price or better |

Under the last two only what an earlier run of the same bot left counts as copied. Working orders of the parent are copied
under all but `ignore`; orders that an earlier run left for them are taken over by their client ids.

A position is followed as if one order had opened it, so that what is sent for it goes the way of every catching up: by the
present target, once, inside a window.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from decimal import Decimal

from copydesk import handwork
from copydesk.following import NOT_ADOPTED, fix_ratio
from copydesk.ids import CLOSE, COPY, client_order_id, is_own
from copydesk.inputs import BotStarted, Decision
from copydesk.merging import pair_up
from copydesk.model import ZERO, Order, OrderStatus, OrderType, Position, PositionSide, Side, Snapshot, Terms
from copydesk.planning import ratio_for
from copydesk.sending import Run, copies_before, register
from copydesk.standing import is_exit, target
from copydesk.state import (
    Account,
    Book,
    Bot,
    ChildOrder,
    Desk,
    Executed,
    Link,
    Links,
    Pair,
    ParentBook,
    ParentOrder,
    forget_links,
)
from copydesk.tracking import State
from copydesk.trimming import settle_link

IGNORE, ADOPT, COPY_NOW, COPY_IF_BETTER = "ignore", "adopt", "copy_now", "copy_if_better"
GENERATIONS = 36
"""So many replacements of one order are looked for among what an earlier run left."""


def begin(run: Run, given: BotStarted) -> None:
    """Start the bot on the parent's snapshot. An earlier run of it is over."""
    bot = run.desk.bots[given.bot]
    for link in bot.links.values():
        bot.leave(link)
    forget_links(run.desk, bot.links.values())
    bot.working, bot.winding, bot.ending, bot.silent, bot.silent_since_ns = True, False, "", "", 0
    bot.wound_down, bot.started_ms = False, given.snapshot.time_ms
    bot.orders, bot.past, bot.books, bot.links = {}, {}, {}, Links()
    follows = given.policy != IGNORE
    for order in given.snapshot.orders:
        if follows and order.is_working and not is_own(order.client_id):
            bot.orders[order.venue_id] = ParentOrder(order=order, filled=order.filled, told=order.filled)
        else:
            bot.orders[order.venue_id] = ParentOrder(order=order, filled=order.filled, baseline=True)
    for position in given.snapshot.positions:
        baseline = ZERO if follows else position.quantity
        bot.books[position.symbol, position.position_side] = ParentBook(position=position.quantity, baseline=baseline)
    read_account(run.desk, bot.rules.parent, given.snapshot, given.at_ns)
    if not follows:
        return
    for account, snapshot in given.children.items():
        read_account(run.desk, account, snapshot, given.at_ns)
    for position in given.snapshot.positions:
        if position.quantity and (bot.rules.kind, position.symbol) in run.desk.instruments:
            _take_over(run, bot, given, position)
    for parent in list(bot.orders.values()):
        pair_up(run, bot, parent, grown=False)
    _take_over_orders(run, bot, given.children)
    for link in list(bot.links.values()):
        if link.attributed or any(pair.orders for pair in link.pairs.values()):
            handwork.begin(run.desk, link)
        settle_link(run, bot, link)


def unsettled(desk: Desk, bot: Bot) -> list[str]:
    """Children of which nobody knows yet what became of an order that an earlier run of the bot sent, or whose position
    does not show yet what it filled: what they hold would be taken for less than it is, and copied twice."""
    return [
        child
        for (child, _), link in bot.links.items()
        if not handwork.is_quiet(link)
        or (handwork.lacks(desk, link) and handwork.may_be_unseen(desk, link))
        or any(_may_arrive(desk, order) for order in link.orders)
    ]


def _may_arrive(desk: Desk, order: ChildOrder) -> bool:
    """The venue does not know it, and may still come to."""
    age_ms = desk.account(order.account).venue_ms - order.sent_ns // 1_000_000
    return order.state is State.MISSING and age_ms < handwork.UNSEEN_MS


def read_account(desk: Desk, key: str, snapshot: Snapshot, at_ns: int) -> Account:
    """Take in what a whole snapshot tells of an account: it is connected, and this is what it has."""
    account = desk.account(key)
    account.connected = True
    account.venue_ms = max(account.venue_ms, snapshot.time_ms)
    if snapshot.balance is not None:
        account.balance, account.balance_ns = snapshot.balance, at_ns
    account.positions = {(p.symbol, p.position_side): p for p in snapshot.positions if p.quantity}
    for position in snapshot.positions:
        desk.priced(key, position.symbol, position.mark_price)
    for symbol, price in snapshot.prices.items():
        desk.priced(key, symbol, price)
    return account


# --- positions --------------------------------------------------------------------------------------------------------


def _take_over(run: Run, bot: Bot, given: BotStarted, position: Position) -> None:
    """Follow a position of the parent as if one order had opened it now."""
    order = _opening(given, position)
    adverse = given.max_adverse_percent if given.policy == COPY_IF_BETTER else None
    quantity = abs(position.quantity)
    parent = ParentOrder(order=order, filled=quantity, opened=quantity, seen=True, max_adverse_percent=adverse)
    bot.orders[order.venue_id] = parent
    book = (position.symbol, position.position_side)
    sign = 1 if position.quantity > 0 else -1
    for child in bot.rules.children:
        link = bot.link(child, book)
        pair = link.pairs[order.venue_id] = Pair(parent=parent)
        ratio = ratio_for(child, run.desk.account(bot.rules.parent), run.desk.account(child.account), run.at_ns)
        if isinstance(ratio, str):
            pair.closed = "no-balance"
            run.note(link, "error", "no-balance", f"the parent's {position.quantity} {book[0]} is not followed: {ratio}")
            continue
        pair.ratio = link.ratios[sign] = ratio
        aim = target(bot, link, run.desk.instruments[bot.rules.kind, book[0]])
        taken = takes(run.desk, bot, link, aim, given.policy)
        if taken:
            link.attributed += taken
            link.fills += 1
            pair.taken = abs(taken)
            run.note(link, "info", "adopted", f"{taken} {book[0]} that it holds counts as copied from now on")
        if taken == aim:
            pair.closed = "done"
        elif given.policy == ADOPT or (given.policy == COPY_IF_BETTER and not position.entry_price):
            pair.closed = NOT_ADOPTED


def takes(desk: Desk, bot: Bot, link: Link, aim: Decimal, policy: str) -> Decimal:
    """How much of what the child holds counts as copied, signed: under `adopt` anything that is nobody else's, else what
    earlier runs of this bot left. Of that so much is left no longer."""
    child = link.child.account
    book = _book_at(link, link.ratio(1 if aim > 0 else -1))
    found = desk.account(child).positions.get(book)
    held = found.quantity if found is not None else ZERO
    others = (other.links.get((child, link.book)) for name, other in desk.bots.items() if name != bot.rules.name)
    held -= sum((other.attributed for other in others if other is not None), ZERO)
    left = _common(held, bot.left.pop((child, link.book), ZERO))  # what is not there any more a person has closed
    taken = _common(held if policy == ADOPT else left, aim)
    bot.left[child, link.book] = left - _common(left, taken)
    return taken


def _common(one: Decimal, other: Decimal) -> Decimal:
    """Of two on the same side of zero the one that is nearer to it, else zero."""
    if one * other <= 0:
        return ZERO
    return one if abs(one) <= abs(other) else other


def _book_at(link: Link, ratio: Decimal | None) -> Book:
    """The child's own side book: the other one where it mirrors a parent in hedge mode."""
    symbol, side = link.book
    if ratio is None or ratio > 0 or side is PositionSide.NET:
        return link.book
    return (symbol, PositionSide.SHORT if side is PositionSide.LONG else PositionSide.LONG)


def _opening(given: BotStarted, position: Position) -> Order:
    """The order that the parent's position could have come from."""
    better = given.policy == COPY_IF_BETTER and position.entry_price
    quantity, time_ms = abs(position.quantity), given.snapshot.time_ms
    terms = Terms(
        symbol=position.symbol,
        side=Side.BUY if position.quantity > 0 else Side.SELL,
        type=OrderType.LIMIT if better else OrderType.MARKET,
        quantity=quantity,
        price=position.entry_price if better else None,
        position_side=position.position_side,
    )
    return Order(
        venue_id=f"start-{time_ms}-{position.symbol}-{position.position_side}",
        terms=terms,
        status=OrderStatus.FILLED,
        filled=quantity,
        average_price=position.entry_price or None,
        created_ms=time_ms,
        updated_ms=time_ms,
        reason="what it held when the bot was started",
    )


# --- orders -----------------------------------------------------------------------------------------------------------


def _take_over_orders(run: Run, bot: Bot, children: Mapping[str, Snapshot]) -> None:
    """Orders that an earlier run left on a child for what the parent still wants go on; ids are never used twice."""
    for (child, _), link in bot.links.items():
        snapshot = children.get(child)
        standing = {order.client_id: order for order in snapshot.orders if order.is_working} if snapshot is not None else {}
        for cause, pair in link.pairs.items():
            # A second copy of what has filled could fill that twice.
            before = (run.desk.left.get(key) for key in copies_before(run.desk, link, cause))
            copied = any(left is not None and left.filled for left in before)
            found = _left(bot.rules.name, child, cause, standing)
            if found is not None:
                number, leg, order = found
                pair.earlier = max(pair.earlier, number + 1)
                copied = copied or bool(order.filled)
                rests = not isinstance(pair.parent, Executed) and fix_ratio(run, bot, link, pair)  # none rest of `on_fill`
                if copied or rests:
                    pair.earlier -= 1
                    _adopt_order(run, bot, link, pair, order, leg)
            if copied:
                pair.closed = NOT_ADOPTED
                text = f"not copied again: an earlier run of the bot has filled some of it for the parent's order {cause}"
                run.note(link, "warn", NOT_ADOPTED, text, parent_order=cause)


def _left(bot: str, child: str, cause: str, standing: Mapping[str, Order]) -> tuple[int, str, Order] | None:
    """The newest copy of a parent's order that stands on the child, with its generation and leg."""
    if not any(is_own(client_id) for client_id in standing):
        return None
    for number in reversed(range(GENERATIONS)):
        for leg in (COPY, CLOSE):
            order = standing.get(client_order_id(bot, child, cause, leg, number))
            if order is not None:
                return number, leg, order
    return None


def _adopt_order(run: Run, bot: Bot, link: Link, pair: Pair, order: Order, leg: str) -> None:
    mine = ChildOrder(
        client_id=order.client_id,
        account=link.child.account,
        terms=order.terms,
        cause=pair.parent.order.venue_id,
        leg=leg,
        exit=is_exit(bot, pair.parent),
        state=State.PARTIAL if order.filled else State.WORKING,
        op=None,
        filled=order.filled,
        venue_id=order.venue_id,
        updated_ms=order.updated_ms,
    )
    pair.orders.append(mine)
    run.desk.left.pop((mine.account, mine.client_id), None)
    register(run, bot, link, pair, mine)


# --- the plan ---------------------------------------------------------------------------------------------------------


def rehearse(desk: Desk, given: BotStarted) -> tuple[list[Decision], Bot, Desk]:
    """What would follow from this start, decided by the engine itself on a copy: (decisions, the bot, the desk) after it.

    `desk` is not changed.
    """
    old = desk.bots[given.bot]
    bot = Bot(rules=old.rules, links=old.links, left=dict(old.left))
    concerned = (old.rules.parent, *(child.account for child in old.rules.children))
    scratch = copy.copy(desk)
    scratch.bots = {**desk.bots, given.bot: bot}
    scratch.accounts = {k: copy.deepcopy(a) if k in concerned else a for k, a in desk.accounts.items()}
    scratch.prices, scratch.child_orders, scratch.left = dict(desk.prices), dict(desk.child_orders), dict(desk.left)
    run = Run(desk=scratch, due=[], at_ns=given.at_ns)
    begin(run, given)
    return run.finish(), bot, scratch
