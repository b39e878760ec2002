"""One login: one socket to TWS or IB Gateway, shared by all accounts of it that are connected here.

It keeps the book of orders and executions, and tells each account's session what concerns it. Messages are handled in
the order in which they come; one about a contract that is not known yet waits until it is, and all after it too.
"""

from __future__ import annotations

import asyncio
import logging
import time
from decimal import Decimal
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from copydesk.errors import NotReady, VenueError
from copydesk.model import (
    BalanceEvent,
    Gap,
    OrderEvent,
    PriceEvent,
    StreamLost,
    VenueEvent,
)

from copydesk_ib import errors
from copydesk_ib.asking import Asking, fail
from copydesk_ib.book import Book, Known
from copydesk_ib.contracts import COMBO, Listing
from copydesk_ib.fills import HeldFills
from copydesk_ib.holdings import Held, Holdings
from copydesk_ib.link import TIMING, Place
from copydesk_ib.pacing import Urgency
from copydesk_ib.purses import Purses
from copydesk_ib.quotes import Quotes
from copydesk_ib.requests import Joined, failure
from copydesk_ib.sight import Sight
from copydesk_ib.waiting import Act
from copydesk_ib.wrapper import Wrapper

log = logging.getLogger("copydesk.ib")


class Listener(Protocol):
    """A session: it is told what happens on its accounts, by their names at IB, and to the connection."""

    def hear(self, account: str, event: VenueEvent) -> None: ...
    def hear_price(self, event: PriceEvent) -> None: ...
    def hear_all(self, event: Gap | StreamLost) -> None: ...


class Login(Asking):
    """See the module. Got from `share`, given back with `release`."""

    def __init__(self, place: Place) -> None:
        super().__init__(place)
        self.book = Book()
        self.sight = Sight(place.client)
        self.purses = Purses(self, lambda balance: self.tell(balance.account, BalanceEvent(balance=balance)))
        self.quotes = Quotes(self, self._price)
        self.fills = HeldFills(self)
        self.accounts: tuple[str, ...] = ()
        self.holdings = Holdings(self)
        self.listeners: set[Listener] = set()
        self.used: dict[str, int] = {}  # accounts whose values are listened to, by how many sessions
        self.users = 0
        self.last_order_id = 0
        self.heard = 0  # what came that a snapshot could have missed
        self.refresh = Joined(self._refresh)
        self.quiet = True  # what is learned while everything is read anew is no news
        self._ends: dict[str, asyncio.Future[None]] = {}
        self._listed: set[int] | None = None  # the orders of a list that is being read
        self._doubting = False

    # --- life ---------------------------------------------------------------------------------------------------

    def wrapper(self) -> Any:
        return Wrapper(self)

    async def read_all(self) -> None:
        self.quiet = True
        for account in self.used:
            self.purses.listen(account)
        await self.refresh()

    def came_up(self, reason: str) -> None:
        self.quiet = False
        self.holdings.begin()
        self.quotes.again()
        for listener in tuple(self.listeners):
            listener.hear_all(Gap(reason=reason))

    def went_down(self, why: str) -> None:
        for listener in tuple(self.listeners):
            listener.hear_all(StreamLost(reason=why))

    def drop(self, why: str) -> None:
        super().drop(why)
        self.heard += 1
        self.purses.clear()
        self.fills.clear()

    def fail_asked(self, error: VenueError) -> None:
        super().fail_asked(error)
        fail(self._ends, error)

    async def end(self) -> None:
        await self.refresh.cancel()
        await super().end()

    def use(self, account: str) -> None:
        """A session of this account is there: have its values told."""
        self.used[account] = self.used.get(account, 0) + 1
        if self.used[account] == 1 and self.up:
            self.purses.listen(account)

    def leave(self, account: str) -> None:
        """One session of this account fewer."""
        self.used[account] -= 1
        if not self.used[account]:
            del self.used[account]
            self.purses.leave(account)

    # --- telling ------------------------------------------------------------------------------------------------

    def tell(self, account: str, event: VenueEvent) -> None:
        """Give an event to the sessions of an account."""
        self.heard += 1
        for listener in tuple(self.listeners):
            listener.hear(account, event)

    def changed(self, known: Known, *, decided: bool = False) -> None:
        """Something was heard of an order: whoever waits for it and whoever listens is told.

        What IB may still refuse is told a moment later: a copy of it would be filled before the refusal comes.
        """
        if known.client == self.place.client and known.order_id:
            self.waiting.heard(known)
        if known.told is None and known.is_undecided and not (self.quiet or decided):
            asyncio.get_running_loop().call_later(TIMING.undecided, self._decided, known)
            return
        order = self.book.tell(known, now_ms())
        if order is not None and not self.quiet:
            self.tell(known.account, OrderEvent(order=order))
        for attached in self.book.wakes(known):
            self.changed(attached)

    def _decided(self, known: Known) -> None:
        if self.up and known.told is None:
            self.changed(known, decided=True)

    def on_worked_off(self) -> None:
        super().on_worked_off()
        self.quotes.tell()

    def _price(self, event: PriceEvent) -> None:
        self.catalogue.priced(event.symbol, event.last)
        for listener in tuple(self.listeners):
            listener.hear_price(event)

    def on_unreadable(self, message: list[str], error: Exception) -> None:
        log.error("a message %s of TWS cannot be read: %r (%s fields)", message[0], error, len(message))
        if not self.quiet:
            for listener in tuple(self.listeners):
                listener.hear_all(Gap(reason=f"A message {message[0]} of TWS could not be read."))

    # --- orders -------------------------------------------------------------------------------------------------------

    def on_order_id(self, number: int) -> None:
        """Ids of orders that this client places have to be larger than any that it has seen."""
        self.last_order_id = max(self.last_order_id, number)

    def on_open_order(self, contract: Any, order: Any, state: Any) -> None:
        self.on_order_id(order.orderId)
        if order.faGroup and not order.account:
            if order.permId not in self.book.passed_over:
                log.error("Order %s is allocated by an advisor's group: it cannot be copied.", order.permId)
            self.book.passed_over.add(order.permId)
            return

        def handle(listed: Listing) -> None:
            known = self.book.open_order(order, contract, state, listed, now_ms())
            if known is None:
                return
            self.sight.heard(known.perm, known.client, reading=self._listed is not None)
            if self._listed is not None:
                self._listed.add(known.perm)
            self.changed(known)

        self.take(contract, handle)

    def on_order_status(
        self, order_id: int, word: str, filled: Decimal, average: Decimal | None, perm: int, client: int
    ) -> None:
        def handle(_: Listing) -> None:
            known = self.book.order_status(perm, client, order_id, word, filled, average)
            if known is not None:
                self.changed(known)
            elif perm not in self.book.passed_over and self._listed is None:
                self.doubt()  # in a list it would be the same again

        self.take(None, handle)

    def on_completed(self, contract: Any, order: Any, state: Any) -> None:
        def handle(listed: Listing) -> None:
            known = self.book.completed(order, contract, state, listed, now_ms())
            if known is not None:
                self.changed(known)

        self.take(contract, handle)

    def on_execution(self, contract: Any, execution: Any, *, asked: bool) -> None:
        def handle(listed: Listing) -> None:
            if contract.secType == COMBO:
                whole = self.book.orders.get(execution.permId)
                if whole is None:
                    if not asked:
                        self.doubt()
                    return
                listed = whole.listed
            self._executed(listed, execution, asked=asked)

        self.take(None if contract.secType == COMBO else contract, handle)

    def _executed(self, listed: Listing, told: Any, *, asked: bool) -> None:
        known, found, corrected = self.book.execution(told, listed)
        if found is not None and not corrected:
            self.holdings.executed(listed, told)
        self.sight.heard(told.permId, told.clientId, reading=asked)
        if known is None:
            if found is not None and not asked:
                self.doubt()
            return
        self.changed(known)
        if found is None or self.quiet:
            return
        if corrected:
            log.warning("IB corrected execution %s.", told.execId)
            self._gap(f"IB corrected execution {found.fill.execution_id}.")
        else:
            self.fills.hold(found, told.execId)

    def on_commission(self, execution: str, amount: Decimal, currency: str) -> None:
        def handle(_: Listing) -> None:
            found = self.book.commission(execution, amount, currency)
            if found is not None:
                self.fills.paid(found)

        self.take(None, handle)

    def on_position(self, account: str, contract: Any, quantity: Decimal, cost: Decimal) -> None:
        def handle(listed: Listing) -> None:
            self.holdings.take(account, Held(listed=listed, quantity=quantity, cost=cost))

        self.take(contract, handle)

    # --- errors and the state of TWS ----------------------------------------------------------------------------------

    def on_error(self, number: int, code: int, sentence: str) -> None:
        if code in errors.LOST:
            self.error = None
            self.drop(f"TWS has lost IB: {sentence}")
        elif code in (errors.BACK_WITHOUT_DATA, errors.BACK_WITH_DATA):
            self.spawn(self._regain(sentence))
        elif code == errors.PORT_RESET:
            self.error = NotReady(f"TWS has moved to another port: {sentence}; give the connection that one")
        elif code == errors.IN_USE:
            self.error = NotReady(
                f"client id {self.place.client} is in use at {self.place.words}: another program, or another copydesk, is "
                "connected with it; end that one, or give this connection a client id of its own"
            )
        elif code == errors.TOO_FAST and number <= 0:
            error = failure(code, sentence)
            log.warning("TWS at %s: %s", self.place.words, error)
            self.requests.fail_waiting(error)
            self.fail_asked(error)
        elif self.requests.has(number):
            self.requests.refuse(number, code, sentence)
        elif number > 0 and code not in errors.NOTICES:
            self.take(None, lambda _: self._order_error(number, code, sentence))
        elif code not in errors.NOTICES:
            log.warning("TWS at %s: %s (%s)", self.place.words, sentence, code)

    def _order_error(self, order_id: int, code: int, sentence: str) -> None:
        answered = self.waiting.refused(order_id, code, sentence)
        if errors.is_death(code) and (Act.PLACE in answered or (not answered and code == errors.REFUSED)):
            known = self.book.refuse(self.place.client, order_id, f"{code}: {sentence}")
            if known is not None:
                self.changed(known)

    async def _regain(self, sentence: str) -> None:
        """TWS has IB again: everything is read anew, until it can be."""
        while not self.up:
            try:
                await self.come_up(f"TWS has IB again: {sentence}")
            except VenueError as error:
                log.info("TWS at %s cannot be read yet: %s", self.place.words, error)
                await asyncio.sleep(TIMING.again)

    def _gap(self, reason: str) -> None:
        for listener in tuple(self.listeners):
            listener.hear_all(Gap(reason=reason))

    # --- reading ------------------------------------------------------------------------------------------------------

    async def _refresh(self) -> None:
        """Bring the book and the positions up to date with all that TWS lists. Raises `NotReady`."""
        first, before = self.quiet, self.book.heard
        self._listed, self.holdings.reading = set(), set()
        number, executions = self.requests.open()
        ends = [self._end_of(name) for name in ("orders", "completed", "positions")]
        try:
            self.send(Urgency.READ, lambda client: client.reqAllOpenOrders())
            self.send(Urgency.READ, lambda client: client.reqExecutions(number, self.library.execution_filter()))
            self.send(Urgency.READ, lambda client: client.reqCompletedOrders(False))  # their prices are in the executions
            self.send(Urgency.READ, lambda client: client.reqPositions())
            async with asyncio.timeout(TIMING.read):
                await asyncio.gather(*ends, executions.ended)
            self._after_reading(before)
        except TimeoutError:
            raise NotReady(f"TWS at {self.place.words} did not list its orders within {TIMING.read:g} s") from None
        finally:
            self._listed = self.holdings.reading = None
            self.requests.close(number)
        if self.sight.read(first=first):
            log.warning("%s", self.sight.notice)
            self.spawn(self._poll())

    def _after_reading(self, before: int) -> None:
        for known in self.book.vanish(self._listed or (), before, "TWS does not list it any more"):
            self.changed(known)
        for execution in self.book.strangers():
            self.changed(self.book.adopt(execution, now_ms()))
        self.holdings.read()

    def _end_of(self, name: str) -> asyncio.Future[None]:
        ended = self._ends.get(name)
        if ended is None or ended.done():
            ended = self._ends[name] = asyncio.get_running_loop().create_future()
        return ended

    def on_end(self, name: str) -> None:
        def handle(_: Listing) -> None:
            ended = self._ends.pop(name, None)
            if ended is not None and not ended.done():
                ended.set_result(None)

        self.take(None, handle)

    def on_executions_end(self, number: int) -> None:
        self.take(None, lambda _: self.requests.end(number))

    def doubt(self) -> None:
        """Something was heard of what is not known: read everything, soon and once."""
        if not self._doubting and self.up:
            self._doubting = True
            self.spawn(self._settle_doubt())

    async def _settle_doubt(self) -> None:
        try:
            await self.refresh()
        except VenueError as error:
            self._gap(f"Something changed that could not be read: {error}")
        finally:
            self._doubting = False

    async def _poll(self) -> None:
        """While this login is not told of what others do, ask."""
        while self.sight.blind:
            await asyncio.sleep(TIMING.poll)
            if self.up:
                try:
                    await self.refresh()
                except VenueError as error:
                    log.info("TWS at %s: %s", self.place.words, error)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


_logins: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Place, Login]] = WeakKeyDictionary()


async def share(place: Place) -> Login:
    """The login at a place, connected on first use. Raises `NotReady` or `AuthFailed`."""
    logins = _logins.setdefault(asyncio.get_running_loop(), {})
    login = logins.get(place)
    if login is None:
        login = logins[place] = Login(place)
        login.start()
    login.users += 1
    try:
        await login.until_up()
    except BaseException:
        await release(login)
        raise
    return login


async def release(login: Login) -> None:
    """One session fewer; the last one ends the login."""
    login.users -= 1
    if login.users > 0:
        return
    logins = _logins.get(asyncio.get_running_loop(), {})
    if logins.get(login.place) is login:
        del logins[login.place]
    await login.end()
