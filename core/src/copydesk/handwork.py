"""What people do by hand on a child, in a symbol that is copied (rule 17). Pure.

The venue tells one position. What of it this engine's orders brought is *attributed*, the rest is *foreign*. Who closes
copied quantity by hand leaves less at the venue than is attributed: then the episode is let go of, for an exit that came
later would open the other way. Reports of fills and of positions overtake each other, so only what two whole snapshots
in a row say, with nothing of ours on its way, is believed.

| `hand_trading` | |
|---|---|
| `coexist` | what was traded by hand is neither copied nor touched |
| `enforce` | what was added by hand is closed again |
| `yield` | whatever is traded by hand in the symbol makes the engine let go |
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from copydesk.budget import may_read
from copydesk.guarding import wake_account
from copydesk.ids import TRIM, client_order_id
from copydesk.model import ZERO, OrderType, PositionSide, Side, Snapshot, Terms
from copydesk.sending import Run, cancel, register, send
from copydesk.state import Book, Bot, ChildOrder, Desk, Link
from copydesk.tracking import Event, State

COEXIST, ENFORCE, YIELD = "coexist", "enforce", "yield"
CONFIRM_MS = 500
"""How far two snapshots lie apart at the least that together are believed."""
UNSEEN_MS = 11_000
"""So long an order's latest fill may be missing in the positions that are read, while no position has shown it yet."""
HAND_TRADED = "hand-traded"
_OTHER = {PositionSide.LONG: PositionSide.SHORT, PositionSide.SHORT: PositionSide.LONG}


def child_book(link: Link) -> Book:
    """The side book in which the child trades: the other one where K is below zero in hedge mode."""
    symbol, side = link.book
    ratio = link.ratio(1)
    value = ratio if ratio is not None else link.child.value
    return (symbol, _OTHER.get(side, side)) if value < 0 else link.book


def foreign(desk: Desk, account: str, book: Book) -> Decimal:
    """What an account holds beyond what this engine's orders brought it, of all bots together. Signed."""
    position = desk.account(account).positions.get(book)
    held = position.quantity if position is not None else ZERO
    return held - sum((link.attributed for _, link in _links(desk, account) if child_book(link) == book), ZERO)


def _links(desk: Desk, account: str) -> Iterator[tuple[Bot, Link]]:
    for bot in desk.bots.values():
        for link in bot.links.of(account):
            yield bot, link


def begin(desk: Desk, link: Link) -> None:
    """The first order of a link goes out: what stands there already is the person's own."""
    if not link.begun:
        link.begun, link.own = True, foreign(desk, link.child.account, child_book(link))


# --- what is told -----------------------------------------------------------------------------------------------------


def position_told(run: Run, account: str, book: Book) -> None:
    """The venue told a position by itself: it may raise a suspicion, and proves nothing."""
    for bot, link in _links(run.desk, account):
        if link.begun and not link.detached and bot.working and child_book(link) == book:
            found = _found(run.desk, link)
            if not link.attributed:
                link.own = found if link.child.hand_trading == COEXIST else link.own
            if _matters(link, found):
                _look_soon(run, link)


def account_read(run: Run, account: str, snapshot: Snapshot) -> None:
    """The whole account was read, and its orders and fills are taken in."""
    if snapshot.time_ms < run.desk.account(account).venue_ms:
        return  # something newer is known
    for bot, link in list(_links(run.desk, account)):
        if link.detached or not (link.begun and bot.working):
            continue
        found = _found(run.desk, link)
        if found == link.own:
            link.suspected, link.looks = None, 0
            continue
        if not is_quiet(link) or may_be_unseen(run.desk, link):
            link.suspected = None
        elif link.suspected is None or link.suspected[:2] != (found, link.fills):
            link.suspected = (found, link.fills, snapshot.time_ms)
        elif snapshot.time_ms - link.suspected[2] >= CONFIRM_MS:
            link.suspected, link.looks = None, 0
            _believe(run, bot, link, found)
            continue
        if _matters(link, found):
            _look_soon(run, link)


def look_again(run: Run, account: str) -> None:
    """A suspicion has to be settled: read the account, where there is budget to spare."""
    if not run.desk.account(account).connected or account in run.look_ups:
        return
    for bot, link in _links(run.desk, account):
        if not (link.begun and bot.working) or link.detached:
            continue
        if _matters(link, foreign(run.desk, account, child_book(link))):
            link.looks += 1
            if not may_read(run.desk, account, run.at_ns):
                _look_soon(run, link)
                continue
            run.look_ups[account] = []
            return


def _look_soon(run: Run, link: Link) -> None:
    """Each time after twice as long: what is not settled by reading may have to wait for an order that nobody knows of."""
    after_ms = CONFIRM_MS * 2 ** min(link.looks, 6)
    wake_account(run, run.desk.account(link.child.account), run.at_ns + after_ms * 1_000_000)


def _matters(link: Link, found: Decimal) -> bool:
    """What is foreign now would have a consequence, were it true."""
    if link.child.hand_trading == COEXIST:
        return _closes(link, found)
    return found != link.own and found != link.unmoved


def lacks(desk: Desk, link: Link) -> bool:
    """The account holds less than what was copied."""
    return _closes(link, foreign(desk, link.child.account, child_book(link)))


def _closes(link: Link, found: Decimal) -> bool:
    """Copied quantity was closed by hand: against it stands more than stood there before it was opened."""
    sign = 1 if link.attributed > 0 else -1
    return bool(link.attributed) and found * sign < min(link.own * sign, ZERO)


def is_quiet(link: Link) -> bool:
    """Nothing of ours is on its way: what the venue shows is what it did."""
    unsettled = (State.SENDING, State.UNKNOWN)
    return all(order.op is None and order.state not in unsettled for order in link.orders if order.state.is_open)


def _found(desk: Desk, link: Link) -> Decimal:
    """What is foreign by what was told just now. Where that is what there was before, all of our fills are in it."""
    found = foreign(desk, link.child.account, child_book(link))
    if found == link.own:
        link.shown = link.fills
    return found


def may_be_unseen(desk: Desk, link: Link) -> bool:
    """The venue has not shown a position yet that our latest fills are in, and may still show what was before them."""
    if link.shown == link.fills:
        return False
    since_ms = desk.account(link.child.account).venue_ms - UNSEEN_MS
    orders = (tracked.order for tracked in desk.child_orders.values() if tracked.link is link)
    return any(order.filled and order.updated_ms > since_ms for order in orders)


# --- what follows from it ---------------------------------------------------------------------------------------------


def _believe(run: Run, bot: Bot, link: Link, found: Decimal) -> None:
    symbol, by_hand = link.book[0], found - link.own
    if _closes(link, found):
        closed = min(abs(by_hand), abs(link.attributed))
        _detach(
            run, bot, link, found, f"{closed} of the {abs(link.attributed)} {symbol} that were copied were closed by hand"
        )
    elif link.child.hand_trading == YIELD and (link.attributed or link.pairs):
        _detach(run, bot, link, found, f"{abs(by_hand)} {symbol} were traded by hand")
    elif link.child.hand_trading == ENFORCE:
        _bring_back(run, bot, link, found)
    else:
        link.own = found


def _detach(run: Run, bot: Bot, link: Link, found: Decimal, what: str) -> None:
    """Let go: what is held is the person's from now on, until the parent is flat."""
    followed = bot.book(link.book).followed
    link.detached = 1 if followed >= 0 else -1
    link.own = found + link.attributed
    for pair in link.pairs.values():
        pair.closed = HAND_TRADED
    text = (
        f"{what}: its orders are taken away and the parent is not followed until it is flat; "
        f"what is still held, {link.own} {link.book[0]}, is yours"
    )
    run.note(link, "error", HAND_TRADED, text, held=str(link.own))
    keep_away(run, bot, link)


def keep_away(run: Run, bot: Bot, link: Link) -> None:
    """While the link is let go of: nothing of ours stands or is held; once the parent is flat, it is followed anew."""
    still_open = False
    for order in link.orders:
        if not order.state.is_open:
            continue
        if order.is_unsent:
            order.on(Event.GIVEN_UP)
            continue
        still_open = True
        if order.op is None and order.state.is_live and run.desk.account(order.account).connected:
            cancel(run, link, order, "parent", "its position is in a person's hands")
    if link.attributed:  # what an order filled before its cancel came
        link.let_go += link.attributed
        link.attributed = ZERO
    followed = bot.book(link.book).followed
    if still_open or followed * link.detached > 0:
        return
    for pair in link.pairs.values():
        if pair.orders or pair.parent.filled or not pair.parent.live:
            pair.closed = pair.closed or HAND_TRADED
    link.detached = 0
    link.ratios.clear()
    link.own = foreign(run.desk, link.child.account, child_book(link))
    run.note(link, "info", HAND_TRADED, f"the parent is flat in {link.book[0]}: it is followed again from here on")


def _bring_back(run: Run, bot: Bot, link: Link, found: Decimal) -> None:
    """Close what was added by hand to what stood there before. Only ever less is held afterwards."""
    account = run.desk.account(link.child.account)
    book = child_book(link)
    position = account.positions.get(book)
    held = position.quantity if position is not None else ZERO
    added = found - link.own
    if added * held <= 0:  # there is less of the person's own
        link.own = found
        return
    quantity = min(abs(added), abs(held))
    if found == link.unmoved or account.trading.state == "none":
        return
    link.unmoved = found  # not tried again for the same quantity
    link.trims += 1
    cause = f"{book[0]}/{book[1]}/{run.at_ns}/by-hand/{link.trims}"
    side = Side.SELL if held > 0 else Side.BUY
    guarded = run.desk.capabilities[bot.rules.kind].reduce_only and book[1] is PositionSide.NET
    order = ChildOrder(
        client_id=client_order_id(link.bot, link.child.account, cause, TRIM),
        account=link.child.account,
        terms=Terms(
            symbol=book[0],
            side=side,
            type=OrderType.MARKET,
            quantity=quantity,
            reduce_only=guarded,
            position_side=book[1],
        ),
        cause=cause,
        exit=True,
        enforces=True,
    )
    link.corrections.append(order)
    register(run, bot, link, None, order)
    text = f"{quantity} {book[0]} that were added by hand are closed again: its setting is 'enforce'"
    run.note(link, "warn", HAND_TRADED, text)
    send(run, link, order, "enforce")
