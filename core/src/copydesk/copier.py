"""The pure engine: (state, input) -> (state, decisions). No clock, no I/O, no randomness, no await.

`Copier.apply` takes one input and returns what follows from it. The same inputs in the same order give the same decisions,
byte for byte; that is what makes the journal of inputs enough.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import msgspec

from copydesk.following import follow
from copydesk.guarding import account_woken, equity_told, rearm, set_limit
from copydesk.ids import is_own
from copydesk.inputs import (
    AccountDown,
    BotStarted,
    BotStopped,
    Configured,
    Decision,
    EngineStarted,
    Input,
    InstrumentSeen,
    LimitSet,
    Note,
    Reported,
    Settled,
    Snapped,
    Ticked,
)
from copydesk.model import (
    ZERO,
    Balance,
    BalanceEvent,
    Fill,
    FillEvent,
    Order,
    OrderEvent,
    OrderRef,
    OrderStatus,
    OrderType,
    Position,
    PositionEvent,
    Scope,
    Snapshot,
    Terms,
)
from copydesk.sending import Run
from copydesk.settling import absent, due, report, report_fill, restart, settled, unmentioned
from copydesk.standing import committed
from copydesk.state import PAST_KEPT, Account, Book, Bot, Desk, Link, Pair, ParentBook, ParentOrder, book_of, forget_ended
from copydesk.trimming import settle_link


class Copier:
    """The pure engine with its state. `desk` may be read by anyone and is changed by `apply` alone."""

    def __init__(self) -> None:
        self.desk = Desk()
        self._due: list[tuple[int, str, str]] = []
        self._handlers: dict[type, Callable[[Run, Any], None]] = {
            EngineStarted: self._engine_started,
            Configured: self._configured,
            InstrumentSeen: self._instrument_seen,
            BotStarted: self._bot_started,
            BotStopped: self._bot_stopped,
            LimitSet: self._limit_set,
            Snapped: self._snapped,
            AccountDown: self._account_down,
            Reported: self._reported,
            Settled: self._settled,
            Ticked: self._ticked,
        }

    def apply(self, given: Input) -> list[Decision]:
        """Take one input in and return the decisions that follow from it, in the order in which they are to be sent."""
        run = Run(desk=self.desk, due=self._due, at_ns=given.at_ns)
        self._handlers[type(given)](run, given)
        return run.finish()

    @property
    def next_due_ns(self) -> int:
        """When a `Ticked` is wanted next, or 0 for never."""
        return self._due[0][0] if self._due else 0

    # --- settings and life ----------------------------------------------------------------------------------------

    def _engine_started(self, run: Run, given: EngineStarted) -> None:
        for account in self.desk.accounts.values():
            account.connected = False
        for tracked in self.desk.child_orders.values():
            restart(tracked.order)
        self._due.clear()
        for account in self.desk.accounts.values():
            rearm(run, account)

    def _configured(self, run: Run, given: Configured) -> None:
        self.desk.take_rules(given.bots, given.capabilities)
        rules = {bot.name: bot for bot in given.bots}
        for name in [name for name in self.desk.bots if name not in rules]:
            self._forget(self.desk.bots.pop(name).links.values())
        for name, bot_rules in rules.items():
            bot = self.desk.bots.setdefault(name, Bot(rules=bot_rules))
            bot.rules = bot_rules
            children = {child.account: child for child in bot_rules.children}
            for link in bot.links.values():
                link.child = children.get(link.child.account, link.child)
            gone = [key for key in bot.links if key[0] not in children]
            self._forget([bot.links.pop(key) for key in gone])
        for account in self.desk.accounts.values():
            equity_told(run, account)

    def _forget(self, links: Iterable[Link]) -> None:
        gone = {id(link) for link in links}
        if gone:
            kept = {key: tracked for key, tracked in self.desk.child_orders.items() if id(tracked.link) not in gone}
            self.desk.child_orders = kept

    def _instrument_seen(self, run: Run, given: InstrumentSeen) -> None:
        self.desk.instruments[given.kind, given.instrument.symbol] = given.instrument

    def _bot_started(self, run: Run, given: BotStarted) -> None:
        """Baseline: what the parent has now stays its own affair, and what follows is copied."""
        bot = self.desk.bots[given.bot]
        self._forget(bot.links.values())
        bot.working, bot.started_ms = True, given.snapshot.time_ms
        bot.orders, bot.past, bot.books, bot.links = {}, {}, {}, {}
        for order in given.snapshot.orders:
            bot.orders[order.venue_id] = ParentOrder(order=order, filled=order.filled, baseline=True)
        for position in given.snapshot.positions:
            bot.books[position.symbol, position.position_side] = ParentBook(
                position=position.quantity, baseline=position.quantity
            )
        self._read_account(bot.rules.parent, given.snapshot, given.at_ns)

    def _bot_stopped(self, run: Run, given: BotStopped) -> None:
        self.desk.bots[given.bot].working = False

    def _limit_set(self, run: Run, given: LimitSet) -> None:
        set_limit(run, given)
        self._settle_account(run, given.account)

    def _settle_account(self, run: Run, account: str) -> None:
        """Look at every link of an account."""
        for bot in self.desk.bots.values():
            if bot.working:
                for (child, _), link in list(bot.links.items()):
                    if child == account:
                        settle_link(run, bot, link)

    # --- accounts -------------------------------------------------------------------------------------------------

    def _read_account(self, key: str, snapshot: Snapshot, at_ns: int) -> Account:
        account = self.desk.account(key)
        account.connected = True
        account.venue_ms = max(account.venue_ms, snapshot.time_ms)
        if snapshot.balance is not None:
            account.balance, account.balance_ns = snapshot.balance, at_ns
        account.positions = {(p.symbol, p.position_side): p for p in snapshot.positions if p.quantity}
        for position in snapshot.positions:
            self.desk.priced(key, position.symbol, position.mark_price)
        for symbol, price in snapshot.prices.items():
            self.desk.priced(key, symbol, price)
        return account

    def _account_down(self, run: Run, given: AccountDown) -> None:
        self.desk.account(given.account).connected = False

    def _snapped(self, run: Run, given: Snapped) -> None:
        """The truth was read: take it in, ask for what it does not tell, and bring every link of the account in order."""
        whole = given.snapshot.scope is not Scope.ORDERS
        if whole:
            equity_told(run, self._read_account(given.account, given.snapshot, given.at_ns))
        for bot in self.desk.bots.values():
            if bot.working and bot.rules.parent == given.account:
                self._parent_snapshot(run, bot, given.snapshot, whole=whole)
                for link in list(bot.links.values()):
                    settle_link(run, bot, link)
        if not any(child.account == given.account for bot in self.desk.bots.values() for child in bot.rules.children):
            return
        mentioned = set()
        for order in given.snapshot.orders:
            mentioned.add(order.client_id)
            report(run, given.account, order, looked_up=True)
        for fill in given.snapshot.fills:
            report_fill(run, given.account, fill)
        for client_id in given.snapshot.absent:
            mentioned.add(client_id)
            absent(run, given.account, client_id)
        if whole:
            unmentioned(run, given.account, mentioned)
        for bot in self.desk.bots.values():
            for (child, book), link in list(bot.links.items()):
                if child == given.account:
                    if whole:
                        self._compare_foreign(link, book)
                    if bot.working:
                        settle_link(run, bot, link)

    def _reported(self, run: Run, given: Reported) -> None:
        account, event = given.account, given.event
        match event:
            case OrderEvent(order=order):
                self.desk.account(account).venue_ms = max(self.desk.account(account).venue_ms, order.updated_ms)
                self.desk.priced(account, order.terms.symbol, order.average_price)
                if is_own(order.client_id):
                    self._own_order(run, account, order)
                else:
                    self._parent_report(run, account, order)
            case FillEvent(fill=fill):
                self.desk.priced(account, fill.symbol, fill.price)
                if is_own(fill.client_id):
                    report_fill(run, account, fill, settle=True)
            case PositionEvent(position=position):
                self.desk.priced(account, position.symbol, position.mark_price)
                self._position(account, position)
            case BalanceEvent(balance=balance):
                if self._balance(run, account, balance, given.at_ns):
                    self._settle_account(run, account)

    def _position(self, account: str, position: Position) -> None:
        positions = self.desk.account(account).positions
        if position.quantity:
            positions[position.symbol, position.position_side] = position
        else:
            positions.pop((position.symbol, position.position_side), None)

        for bot in self.desk.bots.values():
            link = bot.links.get((account, (position.symbol, position.position_side)))
            if link is not None:
                self._compare_foreign(link, link.book)

    def _compare_foreign(self, link: Link, book: Book) -> None:
        held = self.desk.account(link.child.account).positions.get(book)
        link.foreign = (held.quantity if held is not None else ZERO) - link.attributed

    def _balance(self, run: Run, account: str, balance: Balance, at_ns: int) -> bool:
        """True where the account became close-only by it."""
        known = self.desk.account(account)
        known.balance, known.balance_ns = balance, at_ns
        return equity_told(run, known)

    # --- the parent's orders --------------------------------------------------------------------------------------

    def _parent_report(self, run: Run, account: str, order: Order) -> None:
        for bot in self.desk.bots.values():
            if bot.working and bot.rules.parent == account:
                self._follow_parent(run, bot, order)

    def _follow_parent(self, run: Run, bot: Bot, order: Order) -> None:
        """One report of one parent order: only what it touches is looked at."""
        parent, changed, grown = self._merge_parent(bot, order)
        if parent is None or not changed:
            return
        self._pair_up(bot, parent)
        for child in bot.rules.children:
            link = bot.links.get((child.account, book_of(order.terms)))
            if link is None:
                continue
            pair = link.pairs.get(order.venue_id)
            if pair is not None:
                follow(run, bot, link, pair)
            if grown or not parent.live:
                settle_link(run, bot, link)

    def _take_parent(self, bot: Bot, order: Order) -> None:
        parent, _, _ = self._merge_parent(bot, order)
        if parent is not None:
            self._pair_up(bot, parent)

    def _pair_up(self, bot: Bot, parent: ParentOrder) -> None:
        """Give every child its pair with an order that is seen for the first time. A baseline order has none."""
        if parent.baseline:
            return
        working = bot.book(book_of(parent.order.terms)).working
        if parent.live:
            working[parent.order.venue_id] = parent
        else:
            working.pop(parent.order.venue_id, None)
        if parent.seen:
            return
        parent.seen = True
        before = committed(bot, parent)
        for child in bot.rules.children:
            link = bot.link(child, book_of(parent.order.terms))
            link.pairs[parent.order.venue_id] = Pair(parent=parent, before=before)

    def _merge_parent(self, bot: Bot, order: Order) -> tuple[ParentOrder | None, bool, bool]:
        """(the parent order, whether the report says anything new, whether its fills grew)."""
        known = bot.orders.get(order.venue_id)
        if known is None:
            if order.venue_id in bot.past:
                return None, False, False
            if order.created_ms and order.created_ms < bot.started_ms:
                return None, False, False  # over before the bot started, or it would be in the baseline
            known = bot.orders[order.venue_id] = ParentOrder(order=order)
            _forget_past(bot)
            grown = self._parent_filled(bot, known, order)
            return known, True, grown
        grown = self._parent_filled(bot, known, order)
        newer = order.updated_ms >= known.order.updated_ms
        ends = known.live and not order.is_working
        if (known.live and newer) or ends:
            changed = order != known.order
            known.order = order
            return known, changed or grown, grown
        return known, grown, grown

    def _parent_filled(self, bot: Bot, parent: ParentOrder, order: Order) -> bool:
        """Move the followed position by what is newly filled. A fill of a baseline order stays out of it."""
        grown = order.filled - parent.filled
        if grown <= 0:
            return False
        parent.filled = order.filled
        book = bot.book(book_of(order.terms))
        book.moves += 1
        book.moved_ms, parent.moved = max(book.moved_ms, order.updated_ms), book.moves
        sign = order.terms.side.sign
        if parent.baseline:
            # An order from before the start opens and closes what was there before the start, as far as that goes.
            before, signed = book.baseline, sign * grown
            book.position += signed
            book.baseline = before + signed if before * signed >= 0 else _toward_zero(before, signed)
            book.baseline = _clamped(book.baseline, book.position)
            return True
        closed = min(grown, max(ZERO, -sign * book.followed))
        ignored = min(grown - closed, max(ZERO, -sign * book.baseline))
        parent.close(abs(book.followed), closed)
        parent.ignored += ignored
        parent.opened += grown - closed - ignored
        book.position += sign * grown
        book.baseline += sign * ignored
        return True

    def _parent_snapshot(self, run: Run, bot: Bot, snapshot: Snapshot, *, whole: bool) -> None:
        """Take in what the parent has and did. Nothing is followed until all is known: the target is the present one."""
        mentioned = set()
        for order in sorted(snapshot.orders, key=lambda order: (order.created_ms, order.updated_ms)):
            mentioned.add(order.venue_id)
            if not is_own(order.client_id):
                self._take_parent(bot, order)
        for fill in snapshot.fills:
            if not is_own(fill.client_id):
                self._inferred_fill(bot, fill, mentioned)
        for parent in bot.orders.values():
            ref = _ref(parent.order)
            if not parent.live or parent.order.venue_id in mentioned or is_own(parent.order.client_id):
                continue
            if ref.client_id in snapshot.absent or ref.venue_id in snapshot.absent:
                self._take_parent(bot, _ended(parent.order, snapshot.time_ms))
            elif whole:
                run.look_ups.setdefault(bot.rules.parent, []).append(ref)
        if whole:
            self._compare_positions(run, bot, snapshot)

    def _inferred_fill(self, bot: Bot, fill: Fill, mentioned: set[str]) -> None:
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
        self._take_parent(bot, order)
        bot.orders[fill.venue_id].executions = executions

    def _compare_positions(self, run: Run, bot: Bot, snapshot: Snapshot) -> None:
        """Believe a position that differs from the sum of the fills when two snapshots in a row say so."""
        venue: dict[Book, Position] = {(p.symbol, p.position_side): p for p in snapshot.positions}
        for key in set(venue) | set(bot.books):
            book = bot.book(key)
            if snapshot.time_ms <= book.moved_ms:
                continue
            actual = venue[key].quantity if key in venue else ZERO
            beyond = actual - book.position
            if beyond and beyond == book.doubt:
                book.position = actual
                book.baseline = _clamped(book.baseline, actual)
                run.decisions.append(
                    Note(
                        level="warn",
                        kind="inferred",
                        text=f"the parent holds {actual} {key[0]}, {beyond:+} from what its orders tell: taken over",
                        bot=bot.rules.name,
                        account=bot.rules.parent,
                        symbol=key[0],
                    )
                )
                beyond = ZERO
            book.doubt = beyond

    # --- the children's orders ------------------------------------------------------------------------------------

    def _own_order(self, run: Run, account: str, order: Order) -> None:
        report(run, account, order)
        for bot in self.desk.bots.values():
            if bot.working and bot.rules.parent == account:
                # Another bot's copy on this account: it moves the position, and nobody follows it.
                known = bot.orders.get(order.venue_id)
                if known is None:
                    known = bot.orders[order.venue_id] = ParentOrder(order=order, baseline=True)
                self._parent_filled(bot, known, order)

    def _settled(self, run: Run, given: Settled) -> None:
        settled(run, given)

    def _ticked(self, run: Run, given: Ticked) -> None:
        while self._due and self._due[0][0] <= given.at_ns:
            at_ns, account, client_id = heapq.heappop(self._due)
            if not client_id:
                account_woken(run, self.desk.account(account))
                self._settle_account(run, account)
                continue
            tracked = self.desk.child_orders.get((account, client_id))
            if tracked is not None and tracked.order.due_ns == at_ns:
                due(run, tracked)


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


def _toward_zero(baseline: Decimal, change: Decimal) -> Decimal:
    moved = baseline + change
    return moved if moved * baseline > 0 else ZERO


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
