"""The pure engine: (state, input) -> (state, decisions). No clock, no I/O, no randomness, no await.

`Copier.apply` takes one input and returns what follows from it. The same inputs in the same order give the same decisions,
byte for byte; that is what makes the journal of inputs enough.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Any

from copydesk import handwork, plain, silence
from copydesk.budget import BUDGET, forget_queues, served, spend_reading
from copydesk.dust import count_parent_fee
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
    MissingCopied,
    Reported,
    Settled,
    Snapped,
    Ticked,
    TicketDismissed,
    TicketSent,
)
from copydesk.merging import another_bots, parent_report, parent_snapshot
from copydesk.missing import copy_missing
from copydesk.model import (
    ZERO,
    Balance,
    BalanceEvent,
    FillEvent,
    NewOrder,
    Order,
    OrderEvent,
    Position,
    PositionEvent,
    Scope,
)
from copydesk.plain import Entries, Entry
from copydesk.sending import Run
from copydesk.settling import absent, due, report, report_fill, restart, settled, tell_of_strangers, unmentioned
from copydesk.starting import begin, read_account
from copydesk.state import Book, Bot, Desk, Link, forget_links
from copydesk.stopping import conclude, stop
from copydesk.tickets import dismiss_ticket, send_ticket
from copydesk.trimming import settle_link


class Copier:
    """The pure engine with its state. `desk` may be read by anyone and is changed by `apply` alone."""

    def __init__(self, *, shortcuts: bool = True) -> None:
        self.desk = Desk()
        self._shortcuts = shortcuts
        self._begun: tuple[Input | None, Entries] = (None, {})  # what `begin` has found for an input so far
        self._due: list[tuple[int, str, str]] = []
        self._handlers: dict[type, Callable[[Run, Any], None]] = {
            EngineStarted: self._engine_started,
            Configured: self._configured,
            InstrumentSeen: self._instrument_seen,
            BotStarted: self._bot_started,
            BotStopped: self._bot_stopped,
            LimitSet: self._limit_set,
            TicketSent: self._ticket_sent,
            TicketDismissed: dismiss_ticket,
            MissingCopied: copy_missing,
            Snapped: self._snapped,
            AccountDown: self._account_down,
            Reported: self._reported,
            Settled: settled,
            Ticked: self._ticked,
        }

    def apply(self, given: Input) -> list[Decision]:
        """Take one input in and return the decisions that follow from it, in the order in which they are to be sent."""
        begun, entries = self._begun
        if begun is not given:
            entries = dict(self._entries(given))
        self._begun = (None, {})
        run = Run(self.desk, self._due, given.at_ns, shortcuts=self._shortcuts, entries=entries)
        self._handlers[type(given)](run, given)
        conclude(run)
        return run.finish()

    def begin(self, given: Input) -> Iterator[tuple[str, NewOrder]]:
        """What of the decisions on `given` is known at a glance, each (account, order) as soon as it is found.

        They may be sent before `apply` is called with the same input; nothing else may be applied in between.
        """
        found: Entries = {}
        self._begun = (given, found)
        for key, entry in self._entries(given):
            found[key] = entry
            yield key[1], entry.order

    def first(self, given: Input) -> tuple[str, NewOrder] | None:
        """What `begin` would find first. Changes nothing."""
        return next(((key[1], entry.order) for key, entry in self._entries(given)), None)

    def _entries(self, given: Input) -> Iterator[tuple[tuple[str, str], Entry]]:
        if self._shortcuts and isinstance(given, Reported) and isinstance(given.event, OrderEvent):
            return plain.entries(self.desk, given.account, given.event.order, given.at_ns)
        return iter(())

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
        forget_queues(self.desk)
        for bot in self.desk.bots.values():
            silence.lost(run, bot)
            silence.arm(run, bot)
        for account in self.desk.accounts.values():
            rearm(run, account)

    def _configured(self, run: Run, given: Configured) -> None:
        self.desk.take_rules(given.bots, given.capabilities)
        rules = {bot.name: bot for bot in given.bots}
        for name in [name for name in self.desk.bots if name not in rules]:
            forget_links(self.desk, self.desk.bots.pop(name).links.values())
        for name, bot_rules in rules.items():
            bot = self.desk.bots.setdefault(name, Bot(rules=bot_rules))
            bot.rules = bot_rules
            children = {child.account: child for child in bot_rules.children}
            for link in bot.links.values():
                link.child = children.get(link.child.account, link.child)
            silence.arm(run, bot)
            gone = [key for key in bot.links if key[0] not in children]
            dropped = [bot.links.drop(key) for key in gone]
            for link in dropped:
                bot.leave(link)
            forget_links(self.desk, dropped)
        for account in self.desk.accounts.values():
            equity_told(run, account)
        for bot in self.desk.bots.values():  # what rests is looked at by the rules that are in force now
            for link in bot.links.values():
                accounts = (bot.rules.parent, link.child.account)
                if bot.working and all(self.desk.account(key).connected for key in accounts):
                    settle_link(run, bot, link)

    def _instrument_seen(self, run: Run, given: InstrumentSeen) -> None:
        self.desk.instruments[given.kind, given.instrument.symbol] = given.instrument

    def _bot_started(self, run: Run, given: BotStarted) -> None:
        snapshot = given.snapshot
        spend_reading(run, self.desk.bots[given.bot].rules.parent, whole=snapshot.scope is Scope.ACCOUNT)
        begin(run, given)

    def _bot_stopped(self, run: Run, given: BotStopped) -> None:
        for link in stop(run, given):
            settle_link(run, self.desk.bots[given.bot], link)

    def _limit_set(self, run: Run, given: LimitSet) -> None:
        set_limit(run, given)
        self._settle_account(run, given.account)

    def _ticket_sent(self, run: Run, given: TicketSent) -> None:
        send_ticket(run, given)
        if given.ticket in self.desk.tickets:
            self._settle_account(run, self.desk.tickets[given.ticket].child)

    def _settle_account(self, run: Run, account: str) -> None:
        """Look at every link of an account."""
        for bot in self.desk.bots.values():
            if bot.managed:
                for link in bot.links.of(account):
                    settle_link(run, bot, link)

    # --- accounts -------------------------------------------------------------------------------------------------

    def _account_down(self, run: Run, given: AccountDown) -> None:
        self.desk.account(given.account).connected = False
        for bot in self.desk.bots.values():
            if bot.rules.parent == given.account:
                silence.lost(run, bot)

    def _snapped(self, run: Run, given: Snapped) -> None:
        """The truth was read: take it in, ask for what it does not tell, and bring every link of the account in order."""
        whole = given.snapshot.scope is not Scope.ORDERS
        if whole:
            spend_reading(run, given.account, whole=given.snapshot.scope is Scope.ACCOUNT)
            equity_told(run, read_account(self.desk, given.account, given.snapshot, given.at_ns))
        for bot in self.desk.bots.values():
            if bot.working and bot.rules.parent == given.account:
                parent_snapshot(run, bot, given.snapshot, whole=whole)
                if whole:
                    silence.returned(run, bot)
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
            absent(run, given.account, client_id, final=client_id in given.snapshot.never_arrived)
        if whole:
            unmentioned(run, given.account, mentioned)
            handwork.account_read(run, given.account, given.snapshot)
            tell_of_strangers(run, given.account, given.snapshot)
        for bot in self.desk.bots.values():
            for (child, book), link in list(bot.links.items()):
                if child == given.account:
                    if whole:
                        self._compare_foreign(link, book)
                    if bot.managed:
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
                    parent_report(run, account, order)
            case FillEvent(fill=fill):
                for bot in self.desk.bots.values():
                    if bot.working and bot.rules.parent == account:
                        count_parent_fee(self.desk, bot, fill)
                self.desk.priced(account, fill.symbol, fill.price)
                if is_own(fill.client_id):
                    report_fill(run, account, fill, settle=True)
            case PositionEvent(position=position):
                self.desk.priced(account, position.symbol, position.mark_price)
                self._position(run, account, position)
            case BalanceEvent(balance=balance):
                if self._balance(run, account, balance, given.at_ns):
                    self._settle_account(run, account)

    def _position(self, run: Run, account: str, position: Position) -> None:
        positions = self.desk.account(account).positions
        if position.quantity:
            positions[position.symbol, position.position_side] = position
        else:
            positions.pop((position.symbol, position.position_side), None)

        for bot in self.desk.bots.values():
            link = bot.links.get((account, (position.symbol, position.position_side)))
            if link is not None:
                self._compare_foreign(link, link.book)
        handwork.position_told(run, account, (position.symbol, position.position_side))

    def _compare_foreign(self, link: Link, book: Book) -> None:
        held = self.desk.account(link.child.account).positions.get(book)
        link.foreign = (held.quantity if held is not None else ZERO) - link.attributed

    def _balance(self, run: Run, account: str, balance: Balance, at_ns: int) -> bool:
        """True where the account became close-only by it."""
        known = self.desk.account(account)
        known.balance, known.balance_ns = balance, at_ns
        return equity_told(run, known)

    # --- the children's orders ------------------------------------------------------------------------------------

    def _own_order(self, run: Run, account: str, order: Order) -> None:
        report(run, account, order)
        for bot in self.desk.bots.values():
            if bot.working and bot.rules.parent == account:
                another_bots(bot, order)

    def _serve(self, run: Run, name: str) -> None:
        """There is room in a budget: whoever waits for it sends what it wants by now."""
        window = self.desk.windows.get(name)
        for bot_name, child, book in served(run, window) if window is not None else ():
            bot = self.desk.bots.get(bot_name)
            link = bot.links.get((child, book)) if bot is not None else None
            if bot is not None and link is not None and bot.managed:
                settle_link(run, bot, link)

    def _silence_due(self, run: Run, name: str) -> None:
        bot = self.desk.bots.get(name)
        if bot is not None and silence.act(run, bot):
            for link in list(bot.links.values()):
                settle_link(run, bot, link)

    def _ticked(self, run: Run, given: Ticked) -> None:
        while self._due and self._due[0][0] <= given.at_ns:
            at_ns, account, client_id = heapq.heappop(self._due)
            if client_id == BUDGET:
                self._serve(run, account)
                continue
            if account == silence.TIMER:
                self._silence_due(run, client_id)
                continue
            if not client_id:
                account_woken(run, self.desk.account(account))
                handwork.look_again(run, account)
                self._settle_account(run, account)
                continue
            tracked = self.desk.child_orders.get((account, client_id))
            if tracked is not None and tracked.order.due_ns == at_ns:
                due(run, tracked)
