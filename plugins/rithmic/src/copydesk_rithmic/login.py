"""One user at one Rithmic system, shared by all connections that log in as this user: its plants, accounts, instruments,
prices, and what the stream has told of each account's orders.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

import websockets
from copydesk.errors import AuthFailed, CopydeskError, NotReady, VenueError
from copydesk.hooks import Done
from copydesk.model import (
    Balance,
    BalanceEvent,
    FillEvent,
    Gap,
    Instrument,
    OrderEvent,
    Outcome,
    Position,
    PositionEvent,
    StreamLost,
    Unknown,
    VenueEvent,
)
from copydesk_wire.errors import NoReply, Unreadable
from copydesk_wire.streaming import Feed
from msgspec.structs import replace
from websockets.exceptions import WebSocketException

from copydesk_rithmic import accounts, errors, plants, translate
from copydesk_rithmic.accounts import Account
from copydesk_rithmic.book import Book
from copydesk_rithmic.errors import DENIED, OrderCopierEnabled, Refusal
from copydesk_rithmic.expecting import Expectations
from copydesk_rithmic.flights import Flights
from copydesk_rithmic.gate import Client, Gate
from copydesk_rithmic.library import Message, decode, encode
from copydesk_rithmic.prices import Prices

log = logging.getLogger("copydesk.rithmic")

SUBSCRIBE = 1
KNOW_S = 3.0
BALANCE_S = 5.0
"""How often a balance is told that changes by its open profit alone: Rithmic sends those with every tick."""
ROUTE_UPDATE, RITHMIC, EXCHANGE, POSITION, BALANCE = 350, 351, 352, 450, 451
PROTOCOL_ERRORS = (OSError, TimeoutError, WebSocketException)


T = TypeVar("T")
Hears = Callable[[Account, VenueEvent], None]


class Login:
    """`listeners` hear the events of the accounts that they watch; `catalogue` has the system's instruments."""

    def __init__(self, gate: Gate, catalogue: dict[str, Instrument]) -> None:
        self.gate = gate
        self.instruments = catalogue
        self.users = 0
        self.accounts: tuple[Account, ...] = ()
        self.watched: dict[Account, None] = {}
        self.books: dict[Account, Book] = {}
        self.flights = Flights()
        self.heard: dict[Account, int] = {}
        self.listeners: dict[Feed, Hears] = {}
        self.offset_ms = 0
        self.failure: asyncio.Future[CopydeskError] = asyncio.get_running_loop().create_future()
        self.expected = Expectations()
        self.client = Client(gate)
        self.prices = Prices(self.client.ticker, self._spawn)
        self._routes: list[Message] = []
        self._holding: dict[Account, deque[VenueEvent]] = {}
        self._unlisted: set[str] = set()
        self._positions: dict[tuple[Account, str], Position] = {}
        self._balances: dict[Account, tuple[float, Balance]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._was_up = False
        self._opening_history = asyncio.Lock()
        self._has_history = False

    def __repr__(self) -> str:
        return f"Login({self.gate!r})"

    @property
    def orders(self) -> plants.OrderPlant:
        return self.client.orders

    @property
    def ticker(self) -> plants.TickerPlant:
        return self.client.ticker

    @property
    def pnl(self) -> plants.PnlPlant:
        return self.client.pnl

    # --- life ---

    async def open(self) -> None:
        """Log in to the ticker, order and P&L plants. Raises `AuthFailed`, `NotReady` or `UsageError`."""
        ticker, orders, pnl = self.ticker, self.orders, self.pnl
        orders.heard, pnl.heard = self._on_order, self._on_money
        orders.watched = lambda rows: tuple(self.watched)
        pnl.watched = lambda: tuple(self.watched)
        for plant in (orders, pnl):
            plant.up, plant.down = self._up, self._down
        for plant in (ticker, orders, pnl):
            plant.refused = self._refused
        try:
            await self._check_system()
            for plant in (ticker, orders, pnl):
                await plant.open()
            self._look_at_login()
            await self._measure_clock()
        except Refusal as refusal:
            raise self._login_error(refusal) from None
        except (NoReply, *PROTOCOL_ERRORS) as error:
            told = str(error) if isinstance(error, NoReply) else type(error).__name__
            raise NotReady(f"Rithmic at {self.gate.url} cannot be reached: {told}") from None

    async def close(self) -> None:
        """End everything."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(plant.close() for plant in self.client.plants.values()))
        self.failure.cancel()

    async def _check_system(self) -> None:
        """Ask which systems there are: only on a connection of its own, which is closed after it."""
        async with asyncio.timeout(plants.CONNECT_S):
            socket = await websockets.connect(
                self.gate.url,
                ssl=self.client.ssl_context,
                close_timeout=plants.CLOSE_S,
                open_timeout=plants.CONNECT_S,
                logger=plants.quiet,
            )
            try:
                await socket.send(encode(16))
                frame = await socket.recv()
                told = decode(frame if isinstance(frame, bytes) else b"")
            finally:
                await socket.close()
        systems = list(getattr(told, "system_name", []))
        if self.gate.system not in systems:
            raise AuthFailed(f"{self.gate.url} has no system {self.gate.system!r}; it has {', '.join(systems) or 'none'}.")

    def _look_at_login(self) -> None:
        self.accounts = accounts.read_accounts(self.orders.accounts)
        self._routes = list(self.orders.trade_routes)

    async def _measure_clock(self) -> None:
        sent = time.time_ns() // 1_000_000
        rows = await self.orders.ask(18)
        back = time.time_ns() // 1_000_000
        if rows and rows[0].ssboe:
            self.offset_ms = (sent + back) // 2 - translate.time_us(rows[0]) // 1000

    def _login_error(self, refusal: Refusal) -> VenueError:
        text = errors.sentence(refusal.code, str(refusal), f"log in as {self.gate.user}")
        if refusal.code != DENIED:
            return NotReady(text)  # in the nightly maintenance, for one
        return AuthFailed(
            f"{text} Check user and password, that the agreements are signed in R | Trader Pro, and that Rithmic has "
            f"admitted the app name {self.gate.app_name!r} to {self.gate.system!r}."
        )

    def check_copier(self, accept: bool) -> None:
        """Raise `OrderCopierEnabled` where Rithmic itself copies orders of this login, unless a person accepts that."""
        status = str(self.orders.login_row.order_copy_status).lower()
        if status == "enabled" and not accept:
            raise OrderCopierEnabled(
                f"Rithmic's own order copier is enabled for the user {self.gate.user!r}: children would be hit twice. Have "
                'it switched off, or, where it does not concern these accounts, set venue_copier = "accept".'
            )

    def now_ms(self) -> int:
        """Rithmic's time, as far as the measured offset tells."""
        return time.time_ns() // 1_000_000 - self.offset_ms

    # --- accounts ---

    async def watch(self, account: Account) -> None:
        """Listen to an account from now on. Raises `NotSent`, `NoReply` or `Refusal`."""
        if account in self.watched:
            return
        self.watched[account] = None
        self.books.setdefault(account, Book())
        try:
            await self.orders.ask(308, account)
            await self.orders.ask(336, account)
            await self.pnl.ask(400, account, request=SUBSCRIBE)
        except BaseException:
            self.watched.pop(account, None)
            raise

    def route(self, account: Account, exchange: str, wanted: str) -> str:
        return accounts.choose_route(self._routes, account, exchange, wanted)

    # --- up and down ---

    @property
    def is_up(self) -> bool:
        """Both private plants are logged in and subscribed."""
        return self.orders.is_up and self.pnl.is_up

    def _up(self) -> None:
        if self.orders.is_up and self.orders.trade_routes is not None:
            self._routes = list(self.orders.trade_routes)
        if self.is_up and not self._was_up:
            self._was_up = True
            for feed in list(self.listeners):
                feed.put(Gap(reason="The order and P&L plants are connected again."))

    def _down(self, reason: str) -> None:
        self.expected.give_up()
        for account in self.heard:
            self.heard[account] += 1  # a snapshot that is being read may have missed something
        if self._was_up:
            self._was_up = False
            for feed in list(self.listeners):
                feed.put(StreamLost(reason=reason))

    def _refused(self, refusal: Refusal) -> None:
        """Logging in again was refused: a person has to look."""
        if not self.failure.done():
            self.failure.set_result(self._login_error(refusal))

    async def watch_failure(self) -> None:
        """Return never; raise once logging in again was refused."""
        raise await asyncio.shield(self.failure)

    def listen(self, feed: Feed, hears: Hears) -> None:
        """Hear the events of watched accounts. A `Gap` comes first, as soon as the plants listen."""
        self.listeners[feed] = hears
        if self.is_up:
            self._was_up = True
            feed.put(Gap(reason="The order and P&L plants are listening."))

    # --- orders ---

    def _on_order(self, message: Message) -> None:
        if message.template_id == ROUTE_UPDATE:
            self._routes = [row for row in self._routes if not _same_route(row, message)] + [message]
            return
        if message.template_id not in (RITHMIC, EXCHANGE) or message.is_snapshot:
            return
        account = self._owner(message)
        if account is None:
            return
        self.heard[account] = self.heard.get(account, 0) + 1
        try:
            events = self.books[account].take(message)
        except Unreadable as error:
            for feed in list(self.listeners):
                feed.put(Gap(reason=f"A notification could not be read: {error}"))
            return
        self.expected.meet(message)
        self._tell(account, events)

    def _owner(self, message: Message) -> Account | None:
        return next((account for account in self.watched if account.is_named_in(message)), None)

    # --- telling ---

    def _tell(self, account: Account, events: list[VenueEvent]) -> None:
        """Give events to whoever listens. Those of an instrument that is not known yet wait until it is, and what follows
        them waits behind them."""
        for number, event in enumerate(events):
            held = self._holding.get(account)
            if held is not None:
                held.append(event)
                continue
            symbol = _symbol_of(event)
            if symbol and symbol not in self.instruments and symbol not in self._unlisted:
                self._holding[account] = deque(events[number:])
                self._spawn(self._introduce(account, symbol))
                return
            for feed, hears in list(self.listeners.items()):
                if feed in self.listeners:
                    hears(account, event)

    async def _introduce(self, account: Account, symbol: str) -> None:
        try:
            async with asyncio.timeout(KNOW_S):
                await self.know(symbol)
        except (VenueError, Refusal, NoReply, TimeoutError) as error:
            log.warning("%s is traded on %s, and its rules could not be read: %s", symbol, account.account_id, error)
            self._unlisted.add(symbol)
        self._tell(account, list(self._holding.pop(account, ())))

    async def know(self, symbol: str) -> Instrument | None:
        """The instrument, read now if it is not known; None where Rithmic has none of that name.

        Raises `NotSent`, `NoReply`, `Refusal` or `Unreadable`.
        """
        known = self.instruments.get(symbol)
        if known is not None:
            return known
        exchange, _, contract = symbol.partition(":")
        if not exchange or not contract:
            return None
        rows = await self.ticker.ask(14, symbol=contract, exchange=exchange)
        if not rows or not rows[0].min_qprice_change:
            return None
        found = replace(translate.instrument(rows[0]), symbol=symbol)
        self._unlisted.discard(symbol)
        self.instruments[symbol] = found
        return found

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def follow(self, what: str, coming: Coroutine[Any, Any, Outcome], done: Done) -> None:
        """Tell what comes of a request that was sent, once that is known."""
        self._spawn(coming).add_done_callback(partial(_finish, what, done))

    # --- money ---

    def _on_money(self, message: Message) -> None:
        if message.template_id not in (POSITION, BALANCE) or message.is_snapshot:
            return
        account = self._owner(message)
        if account is None:
            return
        try:
            if message.template_id == POSITION:
                self._on_position(account, translate.position(message))
            else:
                self._on_balance(account, translate.balance(message, account.currency))
        except Unreadable as error:
            log.warning("%s: %s", account.account_id, error)

    def _on_position(self, account: Account, position: Position) -> None:
        """Tell a position whose size or entry changed: Rithmic sends it again with every tick."""
        told = self._positions.get((account, position.symbol))
        if told is not None and (told.quantity, told.entry_price) == (position.quantity, position.entry_price):
            return
        self.heard[account] = self.heard.get(account, 0) + 1
        self._positions[account, position.symbol] = position
        self._tell(account, [PositionEvent(position=position)])

    def _on_balance(self, account: Account, balance: Balance) -> None:
        at = asyncio.get_running_loop().time()
        told_at, told = self._balances.get(account, (0.0, None))
        if told is not None and told.cash == balance.cash and at - told_at < BALANCE_S:
            return
        self._balances[account] = (at, balance)
        self._tell(account, [BalanceEvent(balance=balance)])

    # --- history ---

    async def history(self) -> plants.HistoryPlant:
        """The history plant, opened on first use. Raises `NotReady`."""
        async with self._opening_history:
            if not self._has_history:
                try:
                    await self.client.history.open()
                except Refusal as refusal:
                    raise errors.failure(refusal, "log in to the history plant") from None
                except (NoReply, *PROTOCOL_ERRORS) as error:
                    await self.client.history.close()
                    raise NotReady(f"The history plant cannot be reached: {type(error).__name__}") from None
                self._has_history = True
        return self.client.history


def _finish(what: str, done: Done, task: asyncio.Task[Outcome]) -> None:
    if task.cancelled():
        done(Unknown(message=f"{what}: the session was closed before it was known."))
    elif (error := task.exception()) is not None:
        log.error("a request to Rithmic failed: this is a defect of the plugin", exc_info=error)
        done(Unknown(message=f"{what}: {type(error).__name__}"))
    else:
        done(task.result())


def _same_route(row: Message, other: Message) -> bool:
    names = ("fcm_id", "ib_id", "exchange", "trade_route")
    return all(getattr(row, name) == getattr(other, name) for name in names)


def _symbol_of(event: VenueEvent) -> str:
    if isinstance(event, OrderEvent):
        return event.order.terms.symbol
    if isinstance(event, FillEvent):
        return event.fill.symbol
    return event.position.symbol if isinstance(event, PositionEvent) else ""
