"""The streams of one session, as events. Every private frame is read raw, in order, and none is merged.

Bybit wants an `op: ping` of its own every 20 seconds beside the pings of websockets, whose answers tell that it lives.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any

from copydesk.errors import AuthFailed, NotReady, VenueError
from copydesk.model import (
    BalanceEvent,
    FillEvent,
    Gap,
    OrderEvent,
    OrderType,
    PositionEvent,
    PriceEvent,
)
from copydesk_wire import fields
from copydesk_wire.errors import Unreadable
from copydesk_wire.fields import Payload
from copydesk_wire.streaming import Feed, Lost, Reconnecting, Timing, until_first
from copydesk_wire.websocket import Socket
from msgspec.structs import replace

from copydesk_bybit import listing, translate
from copydesk_bybit.listing import Quote
from copydesk_bybit.symbols import CATEGORIES, category_of, name_of

if TYPE_CHECKING:
    from copydesk_bybit.session import Session

log = logging.getLogger("copydesk.bybit")

PING_S = 10.0
LOGIN_S = 8.0
EXPIRES_MS = 10_000
DOUBT_S = 2.0
TOPICS = ("order", "execution", "position", "wallet")
IGNORED = frozenset({"greeks", "dcp", "execution.fast"})
SPOT_ARGS = 10
TIMING = Timing(heartbeat=PING_S)


class _Stream(Reconnecting):
    """A stream of Bybit's, which has pings of its own."""

    def __init__(self, session: Session, feed: Feed, *, tell: bool = True) -> None:
        super().__init__(feed, venue="Bybit", account=session.name, timing=TIMING, tell=tell)
        self.session = session

    async def ping(self, socket: Socket) -> None:
        """Keep the stream alive until cancelled."""
        while True:
            await asyncio.sleep(PING_S)
            socket.send_json({"op": "ping"})


class PrivateStream(_Stream):
    """Orders, fills, positions and balance of one account."""

    def __init__(self, session: Session, feed: Feed) -> None:
        super().__init__(session, feed)
        self._unknown: set[str] = set()

    def lost(self) -> None:
        self.session.heard += 1  # a snapshot that is being read is read again: this loss may be older than its end

    async def listen(self) -> None:
        socket = await self.open(self.session.venue.stream_url("private", "contract"))
        try:
            frames = self.frames(socket)
            async with asyncio.timeout(LOGIN_S):
                await self._log_in(socket, frames)
                await self._ask(socket, frames, {"op": "subscribe", "args": list(TOPICS)})
            self.listening("The private stream is connected.")
            await until_first(self._read(frames), self.ping(socket))
        finally:
            self.lost()
            await socket.close()

    async def _log_in(self, socket: Socket, frames: AsyncIterator[Any]) -> None:
        expires = self.session.venue.now_ms() + EXPIRES_MS
        signer = self.session.signer
        signature = signer.hmac(f"GET/realtime{expires}".encode(), signer.secret.encode(), hashlib.sha256)
        try:
            await self._ask(socket, frames, {"op": "auth", "args": [signer.apiKey, expires, signature]})
        except _Refused as refused:
            if "expire" in str(refused).lower():
                await self.session.venue.measure_clock()
                raise NotReady(f"Bybit refused the stream's time stamp: {refused}") from None
            raise AuthFailed(f"Bybit refused the login of the private stream: {refused}") from None

    @staticmethod
    async def _ask(socket: Socket, frames: AsyncIterator[Any], request: Payload) -> None:
        """Send an operation and wait for its answer; nothing else comes before it. Raises `_Refused`."""
        socket.send_json(request)
        async for frame in frames:
            if isinstance(frame, dict) and frame.get("op") == request["op"]:
                reason = translate.refusal_of(frame)
                if reason is not None:
                    raise _Refused(reason)
                return

    async def _read(self, frames: AsyncIterator[Any]) -> None:
        async for frame in frames:
            if isinstance(frame, dict):
                await self._take(frame)

    async def _take(self, frame: Payload) -> None:
        topic = fields.text_or(frame, "topic")
        try:
            match topic:
                case "order":
                    for row in translate.frame_rows(frame):
                        await self._order(row)
                case "execution":
                    for row in translate.frame_rows(frame):
                        await self._execution(row)
                case "position":
                    for row in translate.frame_rows(frame):
                        self._position(row)
                case "wallet":
                    self._wallet(frame)
                case _:
                    self._note_unknown(topic, frame)
        except Unreadable as error:
            self.feed.put(Gap(reason=f"A frame of the topic {topic} could not be read: {error}"))

    def _note_unknown(self, topic: str, frame: Payload) -> None:
        if topic and topic not in IGNORED and topic not in self._unknown:
            self._unknown.add(topic)
            log.warning("%s: Bybit sent a frame of an unknown topic %r.", self.session.name, topic)
        elif reason := translate.refusal_of(frame):
            raise Lost(f"Bybit refused the stream: {reason}")

    # --- orders ---

    async def _order(self, row: Payload) -> None:
        if fields.text_or(row, "category") not in CATEGORIES:
            return  # options are not copied
        order = self.session.note_order(translate.order(row))
        await self._know(order.terms.symbol)
        if order.terms.type is OrderType.TRAILING_STOP:
            try:
                async with asyncio.timeout(DOUBT_S):
                    order = await self.session.trailing.told(order)
            except (VenueError, TimeoutError) as error:
                self.feed.put(
                    Gap(reason=f"It could not be told how far the trailing stop {order.venue_id} trails: {error}")
                )
                return
        self.session.hear(order.terms.symbol, order.updated_ms)
        self.feed.put(OrderEvent(order=order))

    async def _execution(self, row: Payload) -> None:
        if fields.text_or(row, "category") not in CATEGORIES:
            return
        told = translate.execution(row)
        if told is None:
            return
        await self._know(told.fill.symbol)
        if self.session.needs_side(told):
            try:
                async with asyncio.timeout(DOUBT_S):
                    await self.session.learn_mode(told.fill.symbol)
            except (VenueError, TimeoutError) as error:
                name = told.fill.execution_id
                self.feed.put(Gap(reason=f"It could not be told which side execution {name} is of: {error}"))
                return
        fill = self.session.fill_of(told)
        self.session.hear(fill.symbol, fill.time_ms)
        fee_asset = fill.fee_asset or self.session.settle_of(fill.symbol)
        self.feed.put(FillEvent(fill=replace(fill, fee_asset=fee_asset)))

    async def _know(self, symbol: str) -> None:
        """A symbol that was listed since the instruments were read is made known before anything is told of it."""
        if symbol not in self.session.instruments:
            try:
                async with asyncio.timeout(DOUBT_S):
                    await self.session.venue.read_instruments_again()
            except (VenueError, TimeoutError) as error:
                log.warning("%s: the instruments could not be read again for %s: %s", self.session.name, symbol, error)

    # --- the account ---

    def _position(self, row: Payload) -> None:
        if fields.text_or(row, "category") not in CATEGORIES:
            return
        position = self.session.trailing.note(row, fields.text(row, "category"))
        self.session.hear(position.symbol, fields.whole(row, "updatedTime"))
        self.feed.put(PositionEvent(position=position))
        if (order := self.session.trailing.changed(position)) is not None:
            self.feed.put(OrderEvent(order=order))

    def _wallet(self, frame: Payload) -> None:
        for row in translate.frame_rows(frame):
            wallet = translate.wallet(row, time_ms=fields.whole(frame, "creationTime"))
            self.session.heard += 1
            balance = self.session.keep_wallet(wallet, whole=False)
            for position in self.session.changed_spot_positions():
                self.feed.put(PositionEvent(position=position))
            self.feed.put(BalanceEvent(balance=balance))


class PriceStream(_Stream):
    """The latest prices of some symbols, from their trades and best bids and asks: a socket for each category."""

    def __init__(self, session: Session, feed: Feed, symbols: Iterable[str], *, tell: bool) -> None:
        super().__init__(session, feed, tell=tell)
        self._symbols = tuple(symbols)
        self._latest: dict[str, PriceEvent] = {}
        self._ready: set[str] = set()

    async def listen(self) -> None:
        self._ready.clear()
        by_category = {category: [s for s in self._symbols if category_of(s) == category] for category in CATEGORIES}
        wanted = {category: symbols for category, symbols in by_category.items() if symbols}
        await until_first(*(self._listen_to(category, symbols, len(wanted)) for category, symbols in wanted.items()))

    async def _listen_to(self, category: str, symbols: list[str], sockets: int) -> None:
        socket = await self.open(self.session.venue.stream_url("public", category))
        try:
            topics = [
                f"{kind}.{name_of(symbol)}" for symbol in symbols for kind in ("publicTrade", "orderbook.1", "tickers")
            ]
            for start in range(0, len(topics), SPOT_ARGS):
                socket.send_json({"op": "subscribe", "args": topics[start : start + SPOT_ARGS]})
            self._ready.add(category)
            if len(self._ready) == sockets:
                self.listening("The prices are connected.")
            await until_first(self._read(category, socket), self.ping(socket))
        finally:
            await socket.close()

    async def _read(self, category: str, socket: Socket) -> None:
        async for frame in self.frames(socket):
            if isinstance(frame, dict):
                if reason := translate.refusal_of(frame):
                    log.warning("%s: Bybit refused a price topic: %s", self.session.name, reason)
                for event in listing.quotes(frame, category):
                    self._keep(event)

    def _keep(self, event: PriceEvent | Quote) -> None:
        before = self._latest.get(event.symbol)
        if isinstance(event, Quote):
            last = event.last or (before.last if before is not None else None)
            if last is None:
                return
            bid = event.bid or (before.bid if before is not None else None)
            ask = event.ask or (before.ask if before is not None else None)
            event = PriceEvent(symbol=event.symbol, last=last, bid=bid, ask=ask, time_ms=event.time_ms)
        elif before is not None:
            event = replace(event, bid=before.bid, ask=before.ask)
        if event != before:
            self._latest[event.symbol] = event
            self.feed.put_price(event)


class _Refused(Exception):
    """The venue refused an operation of a stream; says why."""
