"""The parent's side: what its reports and snapshots tell is merged into one picture of its orders and positions. Pure.

Reports may be late, repeated or missing: a parent's order exists once, by its venue id, and its fills move the position
once.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from copydesk import plain
from copydesk.dust import count_parent_fee
from copydesk.following import follow
from copydesk.ids import is_own
from copydesk.inputs import Note
from copydesk.model import ZERO, Fill, Order, OrderRef, OrderStatus, OrderType, Position, Side, Snapshot, Terms
from copydesk.sending import Run, copies_before
from copydesk.silence import infer
from copydesk.standing import committed
from copydesk.state import PAST_KEPT, Book, Bot, Executed, Pair, ParentBook, ParentOrder, book_of, forget_ended
from copydesk.trimming import settle_link
from copydesk.unprotected import measure

_CLOSED_BY_FILLS = frozenset(
    {"parent-ended-unfilled", "done", "overtaken", "rounded-to-nothing", "too-small", "nothing-to-reduce", "below-baseline"}
)
"""Why a pair was closed that would not have been, had the parent's order filled more by then."""
INFERRED = "inferred/"
"""How the number of a parent's order begins that no report told of, only its position."""
ABSENT_TIMES = 2
"""So many snapshots in a row have to miss a parent's order before it counts as ended."""


def parent_report(run: Run, account: str, order: Order) -> None:
    """A report of an order of somebody's own on `account`: every bot that copies it follows."""
    for bot in run.desk.bots.values():
        if bot.working and bot.rules.parent == account:
            _follow_parent(run, bot, order)


def _follow_parent(run: Run, bot: Bot, order: Order) -> None:
    """One report of one parent order: only what it touches is looked at."""
    known = bot.orders.get(order.venue_id)
    before = known.order if known is not None else None
    parent, changed, grown = _merge_parent(bot, order)
    if parent is None or not changed:
        return
    pair_up(run, bot, parent, grown=grown)
    dragged = run.shortcuts and before is not None and not grown and plain.is_dragged(before, parent.order)
    for child in bot.in_turn:
        link = bot.links.get((child.account, book_of(order.terms)))
        if link is None:
            continue
        pair = link.pairs.get(order.venue_id)
        if dragged and pair is not None and plain.waits(link, pair):
            continue
        entry = run.entries.get((bot.rules.name, child.account))
        if pair is not None and entry is not None:
            plain.enter(run, bot, link, pair, entry)
            measure(run, bot, link)
        elif run.shortcuts and pair is not None and plain.withdrawn(run, bot, link, pair):
            continue
        elif pair is not None:
            follow(run, bot, link, pair)
            measure(run, bot, link)
        if grown or not parent.live:
            settle_link(run, bot, link)


def _take_parent(run: Run, bot: Bot, order: Order) -> None:
    parent, changed, grown = _merge_parent(bot, order)
    if parent is not None:
        if changed:
            infer(run, bot, order)
        pair_up(run, bot, parent, grown=grown)


def pair_up(run: Run, bot: Bot, parent: ParentOrder, *, grown: bool) -> None:
    """Give every child its pair with an order that is seen for the first time. A baseline order has none.

    One that had ended, as far as was known, and that `grown` shows to have filled more since, is taken up again.
    """
    if parent.baseline:
        return
    working = bot.book(book_of(parent.order.terms)).working
    if parent.live:
        working[parent.order.venue_id] = parent
    else:
        working.pop(parent.order.venue_id, None)
    if parent.seen and (parent.live or not grown):
        return
    parent.seen = True
    number = parent.order.venue_id
    before = committed(bot, parent)
    for child in bot.rules.children:
        link = bot.link(child, book_of(parent.order.terms))
        pair = link.pairs.get(number) or link.ended.pop(number, None)
        if pair is None:
            seen = Executed(parent) if child.trigger == "on_fill" else parent
            pair = Pair(parent=seen, before=before, earlier=len(copies_before(run.desk, link, number)))
        elif pair.closed in _CLOSED_BY_FILLS:
            pair.closed = pair.waiting = ""
            if pair.last is not None and pair.last.cancelled_for:
                pair.last.cancelled_for = "replace"
        link.pairs[number] = pair


def _merge_parent(bot: Bot, order: Order) -> tuple[ParentOrder | None, bool, bool]:
    """(the parent order, whether the report says anything new, whether its fills grew)."""
    known = bot.orders.get(order.venue_id)
    if known is None:
        if order.venue_id in bot.past:
            return None, False, False
        if order.created_ms and order.created_ms < bot.started_ms:
            return None, False, False  # over before the bot started, or it would be in the baseline
        known = bot.orders[order.venue_id] = ParentOrder(order=order)
        _forget_past(bot)
        grown = parent_filled(bot, known, order)
        return known, True, grown
    grown = parent_filled(bot, known, order)
    newer = order.updated_ms >= known.order.updated_ms
    ends = known.live and not order.is_working
    if (known.live and newer) or ends:
        changed = order != known.order
        known.order = order
        return known, changed or grown, grown
    return known, grown, grown


def parent_filled(bot: Bot, parent: ParentOrder, order: Order) -> bool:
    """Move the followed position by what is newly filled. A fill of a baseline order stays out of it."""
    grown = order.filled - parent.filled
    if grown <= 0:
        return False
    parent.filled, parent.filled_ms = order.filled, order.updated_ms
    book = bot.book(book_of(order.terms))
    sign = order.terms.side.sign
    told = _told_before(book, parent, order, grown)
    parent.told += told
    grown -= told
    book.moves += 1
    book.moved_ms, parent.moved = max(book.moved_ms, order.updated_ms), book.moves
    if parent.baseline:
        # An order that is not followed opens and closes what is not followed, as far as that goes.
        book.position += sign * grown
        book.baseline = _clamped(book.baseline + sign * grown, book.position)
        return True
    closed = min(grown, max(ZERO, -sign * book.followed))
    ignored = min(grown - closed, max(ZERO, -sign * book.baseline))
    parent.close(abs(book.followed), closed)
    parent.ignored += ignored
    parent.opened += grown - closed - ignored
    book.position += sign * grown
    book.baseline += sign * ignored
    return True


def another_bots(bot: Bot, order: Order) -> None:
    """Another bot's copy on the parent's account (rule 19): it moves the position, and nobody follows it."""
    known = bot.orders.get(order.venue_id)
    if known is None:
        if order.venue_id in bot.past or (order.created_ms and order.created_ms < bot.started_ms):
            return
        known = bot.orders[order.venue_id] = ParentOrder(order=order, baseline=True)
    parent_filled(bot, known, order)
    if order.updated_ms >= known.order.updated_ms:
        known.order = order


def _told_before(book: ParentBook, parent: ParentOrder, order: Order, grown: Decimal) -> Decimal:
    """How much of a late report's fills the position told of before: it was taken over then and must not count twice."""
    is_first = not (parent.seen or parent.baseline)
    late = order.updated_ms <= book.inferred_ms or (is_first and order.created_ms <= book.inferred_ms)
    sign = order.terms.side.sign
    if not late or order.venue_id.startswith(INFERRED):
        return ZERO
    told = min(grown, book.inferred.get(sign, ZERO))
    book.inferred[sign] = book.inferred.get(sign, ZERO) - told
    return told


def parent_snapshot(run: Run, bot: Bot, snapshot: Snapshot, *, whole: bool) -> None:
    """Take in what the parent has and did. Nothing is followed until all is known: the target is the present one."""
    mentioned = set()
    for order in sorted(snapshot.orders, key=lambda order: (order.created_ms, order.updated_ms)):
        mentioned.add(order.venue_id)
        if is_own(order.client_id):
            another_bots(bot, order)
        else:
            _take_parent(run, bot, order)
    for fill in snapshot.fills:
        if not is_own(fill.client_id):
            _inferred_fill(run, bot, fill, mentioned)
        count_parent_fee(run.desk, bot, fill)
    for parent in list(bot.orders.values()):
        ref = _ref(parent.order)
        if not parent.live or parent.order.venue_id in mentioned or is_own(parent.order.client_id):
            parent.absent = 0
            continue
        if ref.client_id in snapshot.absent or ref.venue_id in snapshot.absent:
            parent.absent += 1
            if parent.absent >= ABSENT_TIMES:
                _take_parent(run, bot, _ended(parent.order, snapshot.time_ms))
        elif whole:
            run.look_ups.setdefault(bot.rules.parent, []).append(ref)
    if whole:
        _compare_positions(run, bot, snapshot)


def _inferred_fill(run: Run, bot: Bot, fill: Fill, mentioned: set[str]) -> None:
    """A fill of an order that no report told of: the order is inferred from its fills."""
    if fill.venue_id in mentioned or fill.venue_id in bot.past or fill.time_ms < bot.started_ms:
        return
    known = bot.orders.get(fill.venue_id)
    if known is not None and fill.execution_id in known.executions:
        return
    executions = dict(known.executions) if known is not None else {}
    executions[fill.execution_id] = fill.quantity
    filled = sum(executions.values(), ZERO)
    if known is not None and filled <= known.filled:
        known.executions = executions
        return
    terms = known.order.terms if known is not None else _market_of(fill, filled)
    status = OrderStatus.FILLED if filled >= terms.quantity else OrderStatus.PARTIALLY_FILLED
    order = Order(
        venue_id=fill.venue_id,
        client_id=fill.client_id,
        terms=terms,
        status=status,
        filled=filled,
        average_price=fill.price,
        created_ms=known.order.created_ms if known is not None else fill.time_ms,
        updated_ms=fill.time_ms,
        reason="inferred from its fills",
    )
    _take_parent(run, bot, order)
    bot.orders[fill.venue_id].executions = executions


def _compare_positions(run: Run, bot: Bot, snapshot: Snapshot) -> None:
    """Believe a position that differs from the sum of the fills when two snapshots in a row say so."""
    venue: dict[Book, Position] = {(p.symbol, p.position_side): p for p in snapshot.positions}
    for key in set(venue) | set(bot.books):
        book = bot.book(key)
        if snapshot.time_ms <= book.moved_ms:
            continue
        actual = venue[key].quantity if key in venue else ZERO
        beyond = actual - book.position
        if beyond and beyond == book.doubt:
            _take_over(run, bot, key, beyond, venue.get(key), snapshot.time_ms)
            beyond = ZERO
        book.doubt = beyond
        if not beyond:
            book.agreed_ms = snapshot.time_ms


def _take_over(run: Run, bot: Bot, key: Book, beyond: Decimal, position: Position | None, time_ms: int) -> None:
    """Follow what no order told of, as an order of the parent that must have been: filled since both last agreed."""
    book = bot.book(key)
    side = Side.BUY if beyond > 0 else Side.SELL
    prices = [price for price in (position.entry_price, position.mark_price) if price] if position is not None else []
    order = Order(
        venue_id=f"{INFERRED}{key[0]}/{key[1]}/{time_ms}",
        terms=Terms(symbol=key[0], side=side, type=OrderType.MARKET, quantity=abs(beyond), position_side=key[1]),
        status=OrderStatus.FILLED,
        filled=abs(beyond),
        # Its real price is not known: the one that allows the least is where the price window begins.
        average_price=(min if side is Side.BUY else max)(prices, default=ZERO),
        created_ms=max(book.agreed_ms, bot.started_ms),
        updated_ms=max(book.agreed_ms, bot.started_ms),
        reason="inferred from its position",
    )
    _take_parent(run, bot, order)
    book.inferred_ms = book.moved_ms = time_ms
    book.inferred[side.sign] = book.inferred.get(side.sign, ZERO) + abs(beyond)
    run.decisions.append(
        Note(
            level="warn",
            kind="inferred",
            text=f"the parent holds {book.position} {key[0]}, {beyond:+} from what its orders tell: taken over",
            bot=bot.rules.name,
            account=bot.rules.parent,
            symbol=key[0],
        )
    )


def _forget_past(bot: Bot) -> None:
    """Orders that ended long ago are forgotten, but not that they were seen: they are never copied again."""
    bot.past.update(dict.fromkeys(forget_ended(bot.orders, lambda parent: not parent.live)))
    while len(bot.past) > PAST_KEPT:
        del bot.past[next(iter(bot.past))]


def _clamped(baseline: Decimal, position: Decimal) -> Decimal:
    """A baseline never exceeds the position, nor points the other way."""
    if baseline > 0:
        return max(ZERO, min(baseline, position))
    return min(ZERO, max(baseline, position))


def _market_of(fill: Fill, quantity: Decimal) -> Terms:
    return Terms(
        symbol=fill.symbol,
        side=fill.side,
        type=OrderType.MARKET,
        quantity=quantity,
        position_side=fill.position_side,
    )


def _ended(order: Order, time_ms: int) -> Order:
    """The order as it must be, now that the venue does not know it any more."""
    return msgspec.structs.replace(
        order,
        status=OrderStatus.CANCELLED,
        updated_ms=max(time_ms, order.updated_ms),
        reason="the venue does not know it any more",
    )


def _ref(order: Order) -> OrderRef:
    return OrderRef(symbol=order.terms.symbol, type=order.terms.type, client_id=order.client_id, venue_id=order.venue_id)
