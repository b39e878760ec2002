"""One connection: an account of a login, or all of its accounts. Places, changes, cancels, looks up."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeAlias

from copydesk.errors import NotReady, Refused, VenueError
from copydesk.hooks import Done, Tell
from copydesk.model import (
    Accepted,
    BalanceEvent,
    Candle,
    CandleRequest,
    FillEvent,
    Gap,
    Instrument,
    NewOrder,
    Order,
    OrderChange,
    OrderEvent,
    OrderRef,
    OrderStatus,
    Outcome,
    PositionEvent,
    Rejected,
    RejectReason,
    Snapshot,
    SnapshotRequest,
    Subscription,
    Terms,
    Unknown,
    VenueEvent,
)
from copydesk_wire.errors import NoReply, NotSent
from copydesk_wire.streaming import Feed
from copydesk_wire.venue import is_loopback
from msgspec.structs import replace

from copydesk_rithmic import errors, reading, reports, translate
from copydesk_rithmic.accounts import Account
from copydesk_rithmic.book import Book
from copydesk_rithmic.errors import REJECTED, Refusal
from copydesk_rithmic.expecting import Expected, Kinds
from copydesk_rithmic.library import Message
from copydesk_rithmic.login import Login
from copydesk_rithmic.sharing import release
from copydesk_rithmic.translate import Untranslatable

log = logging.getLogger("copydesk.rithmic")

Answer: TypeAlias = Callable[[], Awaitable[list[Message]]]
SETTLE_S = 2.0
"""How long a reply that says "taken" is followed up by what became of it."""
ENDED = frozenset({(351, reports.COMPLETE), (352, reports.CANCEL), (352, reports.REJECT)})
PLACED = ENDED | {
    (351, reports.OPEN),
    (351, reports.TRIGGER_PENDING),
    (352, reports.STATUS),
    (352, reports.FILL),
}
CHANGED = ENDED | {(351, 14), (351, reports.MODIFICATION_FAILED), (352, reports.MODIFY), (352, reports.NOT_MODIFIED)}
CANCELLED = ENDED | {(351, reports.CANCELLATION_FAILED), (352, reports.NOT_CANCELLED)}
FAILED = frozenset({(351, 16), (351, 17), (352, 7), (352, 8)})


class Session:
    """What `connect` returns. Where it has one account, that has no name; else each is named by its id."""

    def __init__(self, name: str, login: Login, chosen: tuple[Account, ...], routes: Mapping[str, str]) -> None:
        self.name = name
        self.login = login
        single = len(chosen) == 1
        self.by_name: dict[str, Account] = {"" if single else account.account_id: account for account in chosen}
        self.accounts = tuple(self.by_name)
        self.rehearsal = is_loopback(login.gate.url)
        self.feeds: set[Feed] = set()
        self.closed = False
        self._names = {account: name for name, account in self.by_name.items()}
        self._routes = routes

    def __repr__(self) -> str:
        ids = [account.account_id for account in self.by_name.values()]
        return f"Session(name={self.name!r}, accounts={ids}, login={self.login!r})"

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        """Those that were named in the settings, or in which anything has happened."""
        return self.login.instruments

    def account(self, name: str) -> Account:
        """The account of that name. Raises `Refused`."""
        found = self.by_name.get(name)
        if found is None:
            raise Refused(f"The connection {self.name!r} has no account {name!r}.", reason=RejectReason.PERMISSION)
        return found

    def book(self, account: Account) -> Book:
        return self.login.books[account]

    # --- events ---

    async def subscribe(self, subscription: Subscription) -> AsyncIterator[VenueEvent]:
        """The accounts' events, and prices of symbols."""
        async with self._following(subscription, Feed()) as feed:
            while (event := await feed.get()) is not None:
                yield event

    async def listen(self, subscription: Subscription, tell: Tell) -> None:
        """What `subscribe` gives, told in the call that reads it: see `copydesk.hooks.Listens`."""
        async with self._following(subscription, Feed(tell)) as feed:
            await feed.get()  # nothing is kept: it returns when the feed is closed, and raises what ended a loop

    @asynccontextmanager
    async def _following(self, subscription: Subscription, feed: Feed) -> AsyncIterator[Feed]:
        """Fill a feed with what is subscribed to."""
        self.feeds.add(feed)
        try:
            if self.closed:
                await feed.close()
            else:
                feed.start(self.login.watch_failure())
                if subscription.private:
                    self.login.listen(feed, lambda account, event: self._hear(feed, account, event))
                if subscription.symbols:
                    feed.start(self._prices(feed, subscription))
            yield feed
        finally:
            self.feeds.discard(feed)
            self.login.listeners.pop(feed, None)
            self.login.prices.feeds.pop(feed, None)
            await feed.close()

    def _hear(self, feed: Feed, account: Account, event: VenueEvent) -> None:
        name = self._names.get(account)
        if name is not None:
            feed.read_ns = self.login.orders.read_ns
            feed.put(event if not name else _owned(event, name))

    async def _prices(self, feed: Feed, subscription: Subscription) -> None:
        login = self.login
        login.prices.feeds[feed] = frozenset(subscription.symbols)
        if not subscription.private:
            feed.put(Gap(reason="The prices are connected."))
        for symbol in subscription.symbols:
            try:
                event = await login.prices.read(symbol)
            except (VenueError, NoReply, Refusal) as error:
                log.warning("%s: no prices of %s: %s", self.name, symbol, error)
                continue
            if event is not None:
                feed.put_price(event)

    # --- orders ---

    async def place(self, order: NewOrder) -> Outcome:
        """Place an order; its client id is the user tag."""
        what = f"place {order.client_id}"
        account, login = self.account(order.account), self.login
        if self._is_taken(account, order.client_id):
            message = f"{what}: there is an order of that user tag already."
            return Rejected(reason=RejectReason.DUPLICATE_ID, message=message)
        try:
            fields = await self._new_order(account, order)
        except Untranslatable as error:
            return Rejected(reason=error.reason, message=f"{what}: {error}.")
        login.flights.begin(account, order.client_id, login.orders.connection, login.now_ms())
        return await self._taken(account, order, partial(login.orders.ask, 312, account, empty=False, **fields), what)

    async def _taken(self, account: Account, order: NewOrder, answer: Answer, what: str) -> Outcome:
        """What becomes of an order that is on its way."""
        rows = await self._answer(what, answer)
        if isinstance(rows, Unknown):
            return rows  # the tag stays taken until somebody has looked
        self.login.flights.end(account, order.client_id)
        if isinstance(rows, Rejected):
            return rows
        if not rows or not rows[0].basket_id:
            return Unknown(message=f"{what}: Rithmic took it and named no basket.")
        return await self._placed(account, order, rows[0], what)

    def _is_taken(self, account: Account, client_id: str) -> bool:
        """Whether an order of that user tag is there, or may be."""
        return self.login.flights.is_under_way(account, client_id) or client_id in self.book(account).tags

    async def _new_order(self, account: Account, order: NewOrder) -> dict[str, Any]:
        exchange, _ = translate.split(order.terms.symbol)
        try:
            rules = await self.login.know(order.terms.symbol)
        except (VenueError, NoReply, Refusal) as error:
            raise Untranslatable(
                RejectReason.OVERLOADED, f"the rules of {order.terms.symbol} cannot be read: {error}"
            ) from None
        if rules is None:
            raise Untranslatable(RejectReason.SYMBOL, f"Rithmic has no {order.terms.symbol}")
        route = self.login.route(account, exchange, self._routes.get(exchange, ""))
        return translate.new_order(order, rules, route)

    async def _placed(self, account: Account, order: NewOrder, row: Message, what: str) -> Outcome:
        """It was taken: wait for what risk management and the exchange say."""
        book, basket_id = self.book(account), row.basket_id
        if not book.is_confirmed(basket_id):
            expected = self.login.expected.begin(basket_id, PLACED)
            try:
                await expected.within(SETTLE_S)
            finally:
                self.login.expected.end(expected)
        known = book.orders.get(basket_id) if book.is_confirmed(basket_id) else None
        if known is None:
            at_ms = translate.time_us(row) // 1000
            known = Order(
                venue_id=basket_id,
                client_id=order.client_id,
                terms=order.terms,
                status=OrderStatus.NEW,
                created_ms=at_ms,
                updated_ms=at_ms,
            )
            book.tags[order.client_id] = basket_id
        if known.status is OrderStatus.REJECTED:
            return errors.outcome(REJECTED, known.reason or "rejected", what)
        return Accepted(order=self.owned(account, known))

    async def modify(self, change: OrderChange) -> Outcome:
        """Give a working order other terms."""
        what = f"modify {change.ref.client_id or change.ref.venue_id}"
        account = self.account(change.ref.account)
        order = await self._working(account, change.ref, what)
        if not isinstance(order, Order):
            return order
        try:
            fields = self._change(order, change.terms)
        except Untranslatable as error:
            return Rejected(reason=error.reason, message=f"{what}: {error}.")
        return await self._alter(314, account, order, what, fields, CHANGED)

    def _change(self, order: Order, terms: Terms) -> dict[str, Any]:
        """The fields of 314. Raises `Untranslatable`."""
        rules = self.login.instruments.get(order.terms.symbol)
        if rules is None:
            raise Untranslatable(RejectReason.SYMBOL, f"the rules of {order.terms.symbol} are not known")
        if terms.type is not order.terms.type:
            raise Untranslatable(RejectReason.OTHER, f"a {order.terms.type} order cannot become a {terms.type} order")
        return translate.change(terms, rules)

    async def cancel(self, ref: OrderRef) -> Outcome:
        """Cancel a working order."""
        what = f"cancel {ref.client_id or ref.venue_id}"
        account = self.account(ref.account)
        order = await self._working(account, ref, what)
        if not isinstance(order, Order):
            return order
        return await self._alter(316, account, order, what, {"manual_or_auto": translate.AUTO}, CANCELLED)

    async def _working(self, account: Account, ref: OrderRef, what: str) -> Order | Rejected:
        """The order, looked for at Rithmic where it was not heard of."""
        order = self.book(account).named(ref.client_id, ref.venue_id)
        if order is None:
            try:
                order = await self.look_up(account, ref)
            except VenueError as error:
                return Rejected(reason=RejectReason.OVERLOADED, message=f"{what}: {error}")
        if order is None or not order.is_working:
            state = f"it is {order.status}" if order is not None else "Rithmic does not have it"
            return Rejected(reason=RejectReason.NOT_FOUND, message=f"{what}: {state}.")
        return order

    async def _alter(
        self,
        template_id: int,
        account: Account,
        order: Order,
        what: str,
        fields: dict[str, Any],
        kinds: Kinds,
    ) -> Outcome:
        """Send a change or a cancel, and wait for what becomes of it."""
        expected = self.login.expected.begin(order.venue_id, kinds)
        asking = partial(self.login.orders.ask, template_id, account, empty=False, basket_id=order.venue_id, **fields)
        return await self._altered(account, order, asking, expected, what)

    async def _altered(self, account: Account, order: Order, answer: Answer, expected: Expected, what: str) -> Outcome:
        """What becomes of a change or a cancel that is on its way."""
        try:
            rows = await self._answer(what, answer)
            if not isinstance(rows, list):
                return rows
            message = await expected.within(SETTLE_S)
        finally:
            self.login.expected.end(expected)
        now = self.book(account).orders.get(order.venue_id, order)
        if message is not None and (message.template_id, message.notify_type) in FAILED:
            return errors.outcome(REJECTED, message.report_text or message.text or "the change failed", what)
        if now.status is OrderStatus.FILLED or (expected.kinds is CHANGED and not now.is_working):
            return Rejected(reason=RejectReason.NOT_FOUND, message=f"{what}: it is {now.status}.")
        return Accepted(order=self.owned(account, now))

    async def _answer(self, what: str, answer: Answer) -> list[Message] | Rejected | Unknown:
        """The answer to a request that trades, or what its failure means. It is sent once, and now or not at all."""
        try:
            return await answer()
        except NotSent as error:
            return Rejected(reason=RejectReason.OVERLOADED, message=f"{what}: {error}")
        except NoReply as error:
            return Unknown(message=f"{what}: {error}")
        except Refusal as refusal:
            return errors.outcome(refusal.code, str(refusal), what)

    # --- in the very call: false where nothing was sent, and the other way has to be taken ---

    def fire(self, order: NewOrder, done: Done) -> bool:
        """Place an order whose instrument is known and whose client id is new."""
        account, login = self.by_name.get(order.account), self.login
        rules = login.instruments.get(order.terms.symbol)
        if account is None or rules is None or self._is_taken(account, order.client_id):
            return False
        exchange = order.terms.symbol.partition(":")[0]
        try:
            fields = translate.new_order(order, rules, login.route(account, exchange, self._routes.get(exchange, "")))
        except Untranslatable:
            return False
        asked = login.orders.fire(312, account, fields)
        if asked is None:
            return False
        login.flights.begin(account, order.client_id, login.orders.connection, login.now_ms())
        what = f"place {order.client_id}"
        self.login.follow(what, self._taken(account, order, partial(login.orders.answer, asked), what), done)
        return True

    def fire_modify(self, change: OrderChange, done: Done) -> bool:
        """Give a working order other terms."""
        account, order = self._firm(change.ref)
        if account is None or order is None:
            return False
        try:
            fields = self._change(order, change.terms)
        except Untranslatable:
            return False
        what = f"modify {change.ref.client_id or change.ref.venue_id}"
        return self._fire_at(314, account, order, what, fields, CHANGED, done)

    def fire_cancel(self, ref: OrderRef, done: Done) -> bool:
        """Cancel a working order."""
        account, order = self._firm(ref)
        if account is None or order is None:
            return False
        what = f"cancel {ref.client_id or ref.venue_id}"
        return self._fire_at(316, account, order, what, {"manual_or_auto": translate.AUTO}, CANCELLED, done)

    def _firm(self, ref: OrderRef) -> tuple[Account | None, Order | None]:
        """The account that is meant and its order, where that is known to work."""
        account = self.by_name.get(ref.account)
        order = self.book(account).named(ref.client_id, ref.venue_id) if account is not None else None
        return account, order if order is not None and order.is_working else None

    def _fire_at(
        self,
        template_id: int,
        account: Account,
        order: Order,
        what: str,
        fields: dict[str, Any],
        kinds: Kinds,
        done: Done,
    ) -> bool:
        login = self.login
        asked = login.orders.fire(template_id, account, {"basket_id": order.venue_id, **fields})
        if asked is None:
            return False
        expected = login.expected.begin(order.venue_id, kinds)
        login.follow(what, self._altered(account, order, partial(login.orders.answer, asked), expected, what), done)
        return True

    # --- looking up ---

    async def look_up(self, account: Account, ref: OrderRef) -> Order | None:
        """What Rithmic knows of one order; None where it has none. Raises `VenueError`."""
        found = await reading.look_up(self, account, (ref,))
        return next(iter(found), None)

    def owned(self, account: Account, order: Order) -> Order:
        """The order under the name that its account has here."""
        name = self._names[account]
        return replace(order, account=name) if name else order

    # --- reading ---

    async def snapshot(self, request: SnapshotRequest) -> Snapshot:
        """The truth of one account."""
        return await reading.read_snapshot(self, request)

    async def candles(self, request: CandleRequest) -> tuple[Candle, ...]:
        """Past bars, oldest first. Raises `Refused` for an interval or a symbol that Rithmic does not have."""
        length = translate.BAR_LENGTHS.get(request.interval)
        if length is None:
            raise Refused(f"Rithmic has no bars of {request.interval}; use one of {', '.join(translate.BAR_LENGTHS)}.")
        exchange, _, contract = request.symbol.partition(":")
        plant = await self.login.history()
        now_s = self.login.now_ms() // 1000
        seconds = translate.BAR_SECONDS[length[0]] * length[1]
        try:
            rows = await plant.ask(
                202,
                empty=False,
                symbol=contract or exchange,
                exchange=exchange if contract else "",
                bar_type=length[0],
                bar_type_period=length[1],
                start_index=now_s - seconds * (max(1, request.limit) + 1),
                finish_index=now_s + seconds,
                time_order=1,
            )
            bars = {bar.open_ms: bar for bar in (translate.candle(row, request.interval) for row in rows)}
        except Refusal as refusal:
            raise errors.failure(refusal, f"bars of {request.symbol}") from None
        except NoReply as error:
            raise NotReady(str(error)) from None
        return tuple(bars[open_ms] for open_ms in sorted(bars))[-request.limit :]

    # --- the end ---

    async def close(self) -> None:
        """End all feeds and leave the shared login."""
        if self.closed:
            return
        self.closed = True
        for feed in list(self.feeds):
            await feed.close()
        await release(self.login)


def _owned(event: VenueEvent, name: str) -> VenueEvent:
    """An event of a session that has several accounts: it says whose it is."""
    match event:
        case OrderEvent(order=order):
            return OrderEvent(order=replace(order, account=name))
        case FillEvent(fill=fill):
            return FillEvent(fill=replace(fill, account=name))
        case PositionEvent(position=position):
            return PositionEvent(position=replace(position, account=name))
        case BalanceEvent(balance=balance):
            return BalanceEvent(balance=replace(balance, account=name))
    return event
