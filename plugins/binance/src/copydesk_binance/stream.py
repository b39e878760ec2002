"""The streams of one session, as events. Every private frame is read raw, in order, and none is merged.

ccxt's own `watch_orders` merges and defers updates and renews its listen key only once; so the sockets are opened here, at
the addresses that ccxt knows, and the frames are read as they come. Prices are the exception: only the latest is kept.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
from copydesk.errors import AuthFailed, NotReady, RateLimited, Refused, VenueError
from copydesk.model import FillEvent, Gap, OrderEvent, OrderRef, PriceEvent, Record, StreamLost, Subscription, VenueEvent
from msgspec.structs import replace

from copydesk_binance import translate
from copydesk_binance.errors import NoReply, Unreadable
from copydesk_binance.fold import Doubt, Told
from copydesk_binance.session import Session
from copydesk_binance.translate import AlgoReport, OrderReport, Payload, Quote

log = logging.getLogger("copydesk.binance")


class Timing(Record):
    """Deadlines and intervals of the streams, in seconds."""

    connect: float = 8.0
    heartbeat: float = 5.0  # a ping is sent after so much silence; without an answer in half of it the stream is dead
    renew: float = 25 * 60.0  # a listen key lives for 60 minutes
    renew_again: float = 30.0
    backoff_first: float = 0.1
    backoff_most: float = 10.0
    doubt: float = 2.0
    doubt_again: float = 0.1


TIMING = Timing()
BUFFER = 10_000
IGNORED = frozenset({"TRADE_LITE", "MARGIN_CALL", "STRATEGY_UPDATE", "GRID_UPDATE", "CONDITIONAL_ORDER_TRIGGER_REJECT"})
_DOUBT_TRIES = 3


class _Lost(Exception):
    """The stream is down; says why."""


class Feed:
    """A bounded buffer between the sockets and one reader. When it is full, all of it becomes one `Gap`: never silent."""

    def __init__(self, limit: int = BUFFER) -> None:
        self._limit = limit
        self._events: deque[VenueEvent] = deque()
        self._prices: dict[str, PriceEvent] = {}
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._failure: BaseException | None = None
        self._closed = False

    def put(self, event: VenueEvent) -> None:
        """Keep an event for the reader."""
        if len(self._events) >= self._limit:
            self._events.clear()
            self._events.append(Gap(reason=f"More than {self._limit} events were waiting to be read; they were dropped."))
            if isinstance(event, Gap):
                return
        self._events.append(event)
        self._wake.set()

    def put_price(self, event: PriceEvent) -> None:
        """Keep the latest price of a symbol."""
        self._prices[event.symbol] = event
        self._wake.set()

    def start(self, *loops: Any) -> None:
        """Run the loops that fill this feed, as tasks that `close` ends."""
        for loop in loops:
            task = asyncio.create_task(loop)
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()
            self._wake.set()

    async def get(self) -> VenueEvent | None:
        """The next event; None when the feed is closed. Raises what ended a loop."""
        while True:
            if self._closed:
                return None
            if self._events:
                return self._events.popleft()
            if self._prices:
                return self._prices.pop(next(iter(self._prices)))
            if self._failure is not None:
                raise self._failure
            self._wake.clear()
            await self._wake.wait()

    async def close(self) -> None:
        """End the loops and the reader's iteration."""
        self._closed = True
        self._wake.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def events(session: Session, subscription: Subscription) -> AsyncIterator[VenueEvent]:
    """What `subscribe` yields: `Gap` first and after every reconnect, `StreamLost` when a stream drops.

    With `private` only the private stream's state is told so; prices then come and go silently.
    """
    feed = Feed()
    session.feeds.add(feed)
    try:
        if session.closed:
            return
        if subscription.private:
            feed.start(PrivateStream(session, feed).run())
        if subscription.symbols:
            feed.start(PriceStream(session, feed, subscription.symbols, tell=not subscription.private).run())
        while (event := await feed.get()) is not None:
            yield event
    finally:
        session.feeds.discard(feed)
        await feed.close()


class _Reconnecting:
    """A stream that connects again whenever it is lost, after a pause that grows."""

    def __init__(self, session: Session, feed: Feed, *, tell: bool = True) -> None:
        self.session = session
        self.feed = feed
        self._tell = tell
        self._delay = TIMING.backoff_first
        self._told_lost = False  # once is enough, however often connecting again fails

    async def run(self) -> None:
        while True:
            try:
                await self.listen()
            except AuthFailed:
                raise
            except (_Lost, VenueError) as error:
                reason = str(error)
                wait = error.retry_after_ms / 1000 if isinstance(error, RateLimited) else 0.0
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                reason, wait = f"No websocket connection ({type(error).__name__}).", 0.0
            self.lost()
            if self._tell and not self._told_lost:
                self._told_lost = True
                self.feed.put(StreamLost(reason=reason))
            log.info("%s: stream lost: %s", self.session.name, reason)
            await asyncio.sleep(max(wait, self._delay))
            self._delay = min(self._delay * 2, TIMING.backoff_most)

    async def listen(self) -> None:
        """Connect and read until the stream is lost, which raises."""
        raise NotImplementedError

    def lost(self) -> None:
        """Called whenever the stream is down."""

    def listening(self, reason: str) -> None:
        """The stream is up and nothing that happens from now on is missed."""
        self._delay = TIMING.backoff_first
        self._told_lost = False
        if self._tell:
            self.feed.put(Gap(reason=reason))

    async def open(self, url: str) -> aiohttp.ClientWebSocketResponse:
        async with asyncio.timeout(TIMING.connect):
            return await self.session.venue.http.ws_connect(
                url, heartbeat=TIMING.heartbeat, max_msg_size=0, timeout=aiohttp.ClientWSTimeout(ws_close=1.0)
            )

    async def frames(self, socket: aiohttp.ClientWebSocketResponse) -> AsyncIterator[Payload]:
        """Each frame's object, out of the combined stream's envelope. Raises `_Lost` at the end."""
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                continue
            try:
                frame = json.loads(message.data, parse_float=Decimal)
            except ValueError:
                raise _Lost("Binance sent a frame that is no JSON.") from None
            if isinstance(frame, dict):
                data = frame.get("data")
                yield data if isinstance(data, dict) else frame
        failure = socket.exception()
        if isinstance(failure, aiohttp.ServerTimeoutError | TimeoutError):
            raise _Lost("The stream stalled: a ping was not answered.")
        raise _Lost(f"Binance closed the stream (code {socket.close_code}).")


class PrivateStream(_Reconnecting):
    """Orders, fills, positions and balance of one account."""

    def __init__(self, session: Session, feed: Feed) -> None:
        super().__init__(session, feed)
        self._key = ""
        self._unknown: set[str] = set()

    def lost(self) -> None:
        self.session.streaming = self.session.in_step = False
        self.session.heard += 1  # a snapshot that is being read is read again: this loss may be older than its end

    async def listen(self) -> None:
        self._key = await self.session.listen_key()
        socket = await self.open(self.session.private_url(self._key))
        try:
            await self.session.learn_conditional()
            self.session.streaming, self.session.in_step = True, False
            self.session.connection += 1
            self.listening("The private stream is connected.")
            await self._read_and_renew(socket)
        finally:
            self.lost()
            await socket.close()

    async def _read_and_renew(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        reading = asyncio.ensure_future(self._read(socket))
        renewing = asyncio.ensure_future(self._renew())
        try:
            await asyncio.wait((reading, renewing), return_when=asyncio.FIRST_COMPLETED)
            for task in (reading, renewing):
                if task.done():
                    task.result()
        finally:
            reading.cancel()
            renewing.cancel()
            await asyncio.gather(reading, renewing, return_exceptions=True)

    async def _renew(self) -> None:
        pause = TIMING.renew
        while True:
            await asyncio.sleep(pause)
            try:
                await self.session.renew_listen_key()
                pause = TIMING.renew
            except (Refused, AuthFailed):
                raise _Lost("Binance does not know the listen key any more.") from None
            except (NotReady, RateLimited) as error:
                log.warning("%s: the listen key was not renewed: %s", self.session.name, error)
                pause = TIMING.renew_again

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for frame in self.frames(socket):
            await self._take(frame)

    async def _take(self, frame: Payload) -> None:
        kind = str(frame.get("e"))
        try:
            match kind:
                case "ORDER_TRADE_UPDATE":
                    await self._order(frame)
                case "ALGO_UPDATE":
                    await self._conditional(translate.algo_update(frame))
                case "ACCOUNT_UPDATE":
                    self._account(frame)
                case "ACCOUNT_CONFIG_UPDATE":
                    self._setting(frame)
                case "listenKeyExpired":
                    if frame.get("listenKey", self._key) == self._key:
                        raise _Lost("The listen key has expired.")
                case _:
                    if kind not in IGNORED and kind not in self._unknown:
                        self._unknown.add(kind)
                        log.warning("%s: Binance sent a frame of an unknown kind %r.", self.session.name, kind)
        except Unreadable as error:
            self.session.in_step = False
            self.feed.put(Gap(reason=f"A {kind} could not be read: {error}"))

    # --- orders ---

    async def _order(self, frame: Payload) -> None:
        report = translate.order_update(frame)
        await self._know(report.order.terms.symbol)
        is_first = translate.is_first_report(frame)
        told = self.session.fold.ordinary(report, is_first=is_first)
        if isinstance(told, Doubt):
            settled = await self._settle(told, report, is_first=is_first)
            if settled is None:
                return
            told = settled
        self._told(told)

    async def _settle(self, doubt: Doubt, report: OrderReport, *, is_first: bool) -> Told | None:
        """Ask the venue whether an ordinary order is a triggered one. Reading stops meanwhile, so that order is kept."""
        fold = self.session.fold
        try:
            async with asyncio.timeout(TIMING.doubt):
                for _ in range(_DOUBT_TRIES):
                    await self.session.learn_conditional(doubt.symbol)
                    told = fold.ordinary(report, is_first=is_first)
                    if isinstance(told, Told):
                        return told
                    if not fold.is_triggering(doubt.symbol):
                        break
                    await asyncio.sleep(TIMING.doubt_again)
                else:
                    raise NotReady("A conditional order is being triggered and does not say which order it became.")
        except (VenueError, NoReply, TimeoutError) as error:
            self.session.in_step = False
            self.feed.put(Gap(reason=f"It could not be told whether order {doubt.order_id} was conditional: {error}"))
            return None
        fold.learn_plain(doubt.order_id)
        return Told(order=report.order, fill=report.fill)

    async def _conditional(self, report: AlgoReport) -> None:
        fold = self.session.fold
        await self._know(report.order.terms.symbol)
        if fold.lacks_trail(report):  # then its own read tells it
            order = report.order
            try:
                async with asyncio.timeout(TIMING.doubt):
                    _, whole = await self.session.look_up(
                        OrderRef(symbol=order.terms.symbol, type=order.terms.type, venue_id=order.venue_id)
                    )
            except (VenueError, TimeoutError) as error:
                self.session.in_step = False
                self.feed.put(Gap(reason=f"The trail of the order {order.venue_id} could not be read: {error}"))
                return
            fold.learn(() if whole is None else (whole,))
        self._told(fold.conditional(report))

    async def _know(self, symbol: str) -> None:
        """A symbol that was listed since the instruments were read is made known before anything is told of it."""
        if symbol not in self.session.instruments:
            try:
                async with asyncio.timeout(TIMING.doubt):
                    await self.session.venue.read_instruments_again()
            except (VenueError, TimeoutError) as error:
                log.warning("%s: the instruments could not be read again for %s: %s", self.session.name, symbol, error)

    def _told(self, told: Told) -> None:
        self._heard(told.order.terms.symbol, told.order.updated_ms)
        if told.fill is not None:
            self.feed.put(FillEvent(fill=told.fill))
        self.feed.put(OrderEvent(order=told.order))

    def _heard(self, symbol: str, time_ms: int) -> None:
        self.session.heard += 1
        self.session.active_ms[symbol] = max(time_ms, self.session.active_ms.get(symbol, 0))

    # --- the account ---

    def _account(self, frame: Payload) -> None:
        update = translate.account_update(frame)
        for position in update.positions:
            self._heard(position.symbol, update.time_ms)
        self.session.heard += 1
        for event in self.session.account_events(update):
            self.feed.put(event)

    def _setting(self, frame: Payload) -> None:
        changed = translate.leverage_change(frame)
        if changed is None:
            return
        symbol, leverage = changed
        for place, position in self.session.positions.items():
            if place[0] == symbol:
                self.session.positions[place] = replace(position, leverage=leverage)


class PriceStream(_Reconnecting):
    """The latest prices of some symbols, from their trades and best bids and asks."""

    def __init__(self, session: Session, feed: Feed, symbols: tuple[str, ...], *, tell: bool) -> None:
        super().__init__(session, feed, tell=tell)
        self._symbols = symbols
        self._latest: dict[str, PriceEvent] = {}

    async def listen(self) -> None:
        trades = await self._subscribe("aggTrade")
        try:
            quotes = await self._subscribe("bookTicker")
            try:
                self.listening("The prices are connected.")
                await self._first_prices()
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._read(trades))
                    group.create_task(self._read(quotes))
            except BaseExceptionGroup as failures:
                raise failures.exceptions[0] from None
            finally:
                await quotes.close()
        finally:
            await trades.close()

    async def _subscribe(self, channel: str) -> aiohttp.ClientWebSocketResponse:
        socket = await self.open(self.session.market_url(channel))
        streams = [f"{symbol.lower()}@{channel}" for symbol in self._symbols]
        await socket.send_json({"method": "SUBSCRIBE", "params": streams, "id": 1})
        return socket

    async def _first_prices(self) -> None:
        for symbol in self._symbols:
            try:
                reply = await self.session.venue.ask("ticker/price", {"symbol": symbol})
            except NoReply as error:
                raise NotReady(str(error)) from None
            body = reply.body if isinstance(reply.body, dict) else {}
            self._keep(
                PriceEvent(symbol=symbol, last=translate.number(body.get("price"), "price"), time_ms=body.get("time", 0))
            )

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for frame in self.frames(socket):
            event = translate.market_event(frame)
            if event is not None:
                self._keep(event)

    def _keep(self, event: PriceEvent | Quote) -> None:
        before = self._latest.get(event.symbol)
        if isinstance(event, Quote):
            if before is None:
                return
            event = replace(before, bid=event.bid, ask=event.ask, time_ms=event.time_ms)
        elif before is not None:
            event = replace(event, bid=before.bid, ask=before.ask)
        if event != before:
            self._latest[event.symbol] = event
            self.feed.put_price(event)
