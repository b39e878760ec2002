"""The streams of one session, as events. Every private frame is read raw, in order, and none is merged.

BitMEX told its tables: first whole rows, then parts of rows; an event carries the whole row as it is then.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from copydesk.errors import AuthFailed, VenueError
from copydesk.model import (
    Balance,
    BalanceEvent,
    Fill,
    FillEvent,
    Gap,
    Order,
    OrderEvent,
    PositionEvent,
    PriceEvent,
)
from copydesk_wire import streaming
from copydesk_wire.errors import NoReply, Unreadable, read_json
from copydesk_wire.fields import Payload, rows
from copydesk_wire.streaming import Feed, Lost, Reconnecting, until_first
from copydesk_wire.websocket import Socket

from copydesk_bitmex import decoding, translate
from copydesk_bitmex.tables import Table
from copydesk_bitmex.venue import EXPIRES_S

if TYPE_CHECKING:
    from copydesk_bitmex.session import Session

log = logging.getLogger("copydesk.bitmex")


class Timing(streaming.Timing):
    """Deadlines and intervals of the streams, in seconds."""

    confirm: float = 5.0
    ping: float = 5.0  # a text frame "ping", which BitMEX answers with "pong"
    doubt: float = 2.0
    balance: float = 5.0  # open profit moves all the time; what was earned or paid is told at once


TIMING = Timing()
TABLES = ("order", "execution", "position", "margin")


class _Realtime(Reconnecting):
    """BitMEX's websocket: text pings, and frames that are no tables."""

    def __init__(self, session: Session, feed: Feed, *, tell: bool = True) -> None:
        super().__init__(feed, venue="BitMEX", account=session.name, timing=TIMING, tell=tell)
        self.session = session

    async def tables(self, socket: Socket) -> AsyncIterator[Payload]:
        """Frames that are JSON objects; pongs are left out. Raises `Lost` at the end, and for a frame that is no JSON."""
        async for data in socket:
            if data == b"pong":
                continue
            frame = read_json(data)
            if not isinstance(frame, dict):
                raise Lost("BitMEX sent a frame that is no JSON.")
            if "error" in frame:
                self._refused(frame)
            self.feed.read_ns = socket.read_ns
            yield frame
            self.feed.read_ns = 0
        raise Lost(f"BitMEX closed the stream (code {socket.close_code}).")

    def _refused(self, frame: Payload) -> None:
        sentence = str(frame["error"])
        asked = frame.get("request")
        login = isinstance(asked, dict) and str(asked.get("op", "")).startswith("authKey")
        if login and frame.get("status") in (401, 403):
            raise AuthFailed(f"BitMEX refused the stream's login: {sentence} Check the key and its secret.")
        raise Lost(f"BitMEX refused: {sentence}")

    async def _ping(self, socket: Socket) -> None:
        while True:
            await asyncio.sleep(TIMING.ping)
            socket.send("ping")


class PrivateStream(_Realtime):
    """Orders, executions, positions and margins of one account."""

    def __init__(self, session: Session, feed: Feed) -> None:
        super().__init__(session, feed)
        self._tables: dict[str, Table] = {}
        self._balance: Balance | None = None
        self._held: dict[str, Decimal] = {}
        self._takes: dict[str, Callable[[str, list[Payload]], None]] = {
            "order": self._orders,
            "execution": self._executions,
            "position": self._positions,
            "margin": self._margins,
        }

    def lost(self) -> None:
        self.session.heard += 1  # a snapshot that is being read is read again: this loss may be older than its end

    async def listen(self) -> None:
        session = self.session
        socket = await self.open(session.venue.ws_url)
        try:
            socket.send_json(session.signer.login(session.venue.now_ms() // 1000 + EXPIRES_S))
            socket.send_json({"op": "subscribe", "args": list(TABLES)})
            self._tables = {name: Table(name) for name in ("order", "position", "margin")}
            frames = self.tables(socket)
            early = await self._first_rows(frames)
            self.listening("The private stream is connected.")
            self.take_at_once(socket)
            for frame in early:
                await self._take(frame)
            await until_first(self._read(frames), self._ping(socket))
        finally:
            self.lost()
            await socket.close()

    async def _first_rows(self, frames: AsyncIterator[Payload]) -> list[Payload]:
        """Wait for the first, whole rows of each table; return what came after those, to be taken next."""
        missing, early = set(TABLES), []
        try:
            async with asyncio.timeout(TIMING.confirm):
                while missing:
                    frame = await anext(frames)
                    name = frame.get("table")
                    if frame.get("action") == "partial" and name in missing:
                        missing.discard(str(name))
                        if name in self._tables:
                            self._tables[str(name)].take("partial", rows(frame.get("data"), str(name)))
                    elif name in TABLES and name not in missing:
                        early.append(frame)
        except TimeoutError:
            raise Lost("BitMEX did not confirm the subscriptions.") from None
        return early

    async def _read(self, frames: AsyncIterator[Payload]) -> None:
        async for frame in frames:
            await self._take(frame)

    def take_now(self, data: bytes) -> bool:
        """Everyday rows in one step, and all others of contracts that are known."""
        if self._take_everyday(data):
            return True
        frame = read_json(data)
        if not isinstance(frame, dict) or str(frame.get("table")) not in self._takes:
            return False
        try:
            parts = rows(frame.get("data"), "rows")
        except Unreadable:
            return False
        if not all(self._is_known(part.get("symbol")) for part in parts):
            return False
        self._told(frame)
        return True

    def _take_everyday(self, data: bytes) -> bool:
        """Where it is false nothing was told: the table took in at most what it takes in again."""
        match decoding.frame(data):
            case decoding.Executions(data=executions):
                fills = decoding.fills(executions)
                if fills is None or not all(row.symbol in self.session.instruments for row in executions):
                    return False
                self.session.heard += 1
                self._tell_fills(fills)
            case decoding.Orders(action=action, data=parts):
                try:
                    told = [decoding.order(row) for row in self._tables["order"].take(action, parts)]
                except Unreadable:
                    return False
                orders = [order for order in told if order and order.terms.symbol in self.session.instruments]
                if len(orders) < len(told):
                    return False
                self.session.heard += 1
                self._tell_orders(orders)
            case _:
                return False
        return True

    async def _take(self, frame: Payload) -> None:
        if str(frame.get("table")) not in self._takes:
            return
        data = frame.get("data")
        for part in data if isinstance(data, list) else ():
            if isinstance(part, dict):
                await self._know(part.get("symbol"))
        self._told(frame)

    def _told(self, frame: Payload) -> None:
        """A frame of one of the account's tables."""
        name = str(frame.get("table"))
        try:
            parts = rows(frame.get("data"), name)
            self.session.heard += 1
            self._takes[name](str(frame.get("action")), parts)
        except Unreadable as error:
            self.feed.put(Gap(reason=f"A frame of {name} could not be read: {error}"))

    def _orders(self, action: str, parts: list[Payload]) -> None:
        """An order that waits for another one of its link is told once it waits no more."""
        table = self._tables["order"]
        told = table.take(action, parts)
        primaries = translate.primaries(table.rows()) if any(map(translate.link, told)) else frozenset()
        self._tell_orders(translate.order(row) for row in told if not translate.waits(row, primaries))

    def _tell_orders(self, orders: Iterable[Order]) -> None:
        for order in orders:
            self.feed.put(OrderEvent(order=self.session.keep(order)))

    def _executions(self, action: str, parts: list[Payload]) -> None:
        if action == "insert":
            self._tell_fills(fill for part in parts if (fill := translate.fill(part)) is not None)

    def _tell_fills(self, fills: Iterable[Fill]) -> None:
        for fill in fills:
            self.feed.put(FillEvent(fill=fill))

    def _positions(self, action: str, parts: list[Payload]) -> None:
        """Each second tells what positions are worth; whoever listens wants to hear of what is held."""
        for row in self._tables["position"].take(action, parts):
            position = self.session.position(row)
            if position.quantity != self._held.get(position.symbol):
                self._held[position.symbol] = position.quantity
                self.feed.put(PositionEvent(position=position))

    def _margins(self, action: str, parts: list[Payload]) -> None:
        """Each currency is told by itself, also those of which nothing changed."""
        before = self._balance = self._balance or self.session.balance()
        for row in self._tables["margin"].take(action, parts):
            self.session.keep_margin(translate.margin(row))
        balance = self.session.balance()
        if balance.cash != before.cash or balance.time_ms - before.time_ms >= TIMING.balance * 1000:
            self._balance = balance
            self.feed.put(BalanceEvent(balance=balance))

    def _is_known(self, symbol: Any) -> bool:
        """Whether a row's contract is known, or it names none."""
        return not isinstance(symbol, str) or not symbol or symbol in self.session.instruments

    async def _know(self, symbol: Any) -> None:
        """A contract that was listed since the instruments were read is made known before anything is told of it."""
        if not self._is_known(symbol):
            try:
                async with asyncio.timeout(TIMING.doubt):
                    await self.session.venue.read_instruments_again()
            except (VenueError, NoReply, TimeoutError) as error:
                log.warning("%s: the instruments could not be read again for %s: %s", self.session.name, symbol, error)


class PriceStream(_Realtime):
    """The latest prices of some symbols."""

    def __init__(self, session: Session, feed: Feed, symbols: tuple[str, ...], *, tell: bool) -> None:
        super().__init__(session, feed, tell=tell)
        self._symbols = symbols
        self._latest: dict[str, PriceEvent] = {}

    async def listen(self) -> None:
        socket = await self.open(self.session.venue.ws_url)
        try:
            socket.send_json({"op": "subscribe", "args": [f"instrument:{symbol}" for symbol in self._symbols]})
            self.listening("The prices are connected.")
            await until_first(self._read(socket), self._ping(socket))
        finally:
            await socket.close()

    async def _read(self, socket: Socket) -> None:
        table = Table("instrument")
        async for frame in self.tables(socket):
            if frame.get("table") != "instrument":
                continue
            parts = rows(frame.get("data"), "instruments")
            known = [part for part in parts if frame.get("action") != "update" or table.knows(part)]
            for row in table.take("insert" if frame.get("action") == "partial" else str(frame.get("action")), known):
                event = translate.price(row)
                if event is not None and event != self._latest.get(event.symbol):
                    self._latest[event.symbol] = event
                    self.feed.put_price(event)
