"""The streams of one session, as events. Every private frame is read raw, in order, and none is merged.

FTX pushed ordinary orders and fills. Trigger orders, positions and balances had no channel: trigger orders are read every
half second and whenever something hints at them, positions and balance after each fill.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from copydesk.errors import AuthFailed, VenueError
from copydesk.model import Fill, FillEvent, Gap, Order, OrderEvent, PriceEvent
from copydesk_wire import streaming
from copydesk_wire.errors import NoReply, Unreadable
from copydesk_wire.streaming import Feed, Lost, Reconnecting, until_first
from copydesk_wire.websocket import Socket
from msgspec.structs import replace

from copydesk_ftx import decoding, translate

if TYPE_CHECKING:
    from copydesk_ftx.session import Session

log = logging.getLogger("copydesk.ftx")


class Timing(streaming.Timing):
    """Deadlines and intervals of the streams, in seconds."""

    confirm: float = 5.0
    ping: float = 15.0  # the venue closed what was silent for longer
    triggers: float = 0.5
    account: float = 0.05  # fills that come together are one reason to read the account
    doubt: float = 2.0


TIMING = Timing()
CHANNELS = ("orders", "fills")


class PrivateStream(Reconnecting):
    """Orders, fills, and what is read because FTX did not push it."""

    def __init__(self, session: Session, feed: Feed) -> None:
        super().__init__(feed, venue="FTX", account=session.name, timing=TIMING)
        self.session = session
        session.listeners.add(feed)
        self._account = asyncio.Event()
        self._unknown: set[str] = set()

    async def run(self) -> None:
        try:
            await super().run()
        finally:
            self.session.listeners.discard(self.feed)

    def lost(self) -> None:
        self.session.heard += 1  # a snapshot that is being read is read again: this loss may be older than its end

    async def listen(self) -> None:
        session = self.session
        socket = await self.open(session.venue.ws_url)
        try:
            socket.send_json(session.signer.login(session.venue.now_ms()))
            for channel in CHANNELS:
                socket.send_json({"op": "subscribe", "channel": channel})
            frames = self.frames(socket)
            early = await self._confirmed(frames)
            for report in await session.read_triggers():
                session.triggers.learn(report)
            self.listening("The private stream is connected.")
            self.take_at_once(socket)
            for frame in early:
                await self._take(frame)
            await until_first(self._read(frames), self._ping(socket), self._watch_triggers(), self._watch_account())
        finally:
            self.lost()
            await socket.close()

    async def _confirmed(self, frames: AsyncIterator[Any]) -> list[Any]:
        """Wait until both channels are confirmed; return what came before that."""
        missing, early = set(CHANNELS), []
        try:
            async with asyncio.timeout(TIMING.confirm):
                while missing:
                    frame = await anext(frames)
                    if frame.get("type") == "subscribed":
                        missing.discard(str(frame.get("channel")))
                    elif frame.get("type") == "error":
                        self._refused(str(frame.get("msg")))
                    else:
                        early.append(frame)
        except TimeoutError:
            raise Lost("FTX did not confirm the subscriptions.") from None
        return early

    def _refused(self, sentence: str) -> None:
        if "login" in sentence.lower() or "logged in" in sentence.lower():
            raise AuthFailed(f"FTX refused the stream's login: {sentence}. Check the key, its secret and the subaccount.")
        raise Lost(f"FTX refused: {sentence}")

    async def _read(self, frames: AsyncIterator[Any]) -> None:
        async for frame in frames:
            await self._take(frame)

    async def _ping(self, socket: Socket) -> None:
        while True:
            await asyncio.sleep(TIMING.ping)
            socket.send_json({"op": "ping"})

    # --- frames ---

    def take_now(self, data: bytes) -> bool:
        """Everyday fills, and reports of orders of which it is known whether a trigger order became them."""
        session = self.session
        told = decoding.update(data, now_ms=session.venue.now_ms())
        if isinstance(told, Fill):
            self._told_fill(told)
            return True
        if told is None or told.terms.symbol not in session.instruments:
            return False
        session.learn_name(told)
        if session.triggers.doubtful(told):
            return False
        session.heard += 1
        self._told_order(told)
        return True

    async def _take(self, frame: Any) -> None:
        if not isinstance(frame, dict):
            return
        type_, channel, data = frame.get("type"), frame.get("channel"), frame.get("data")
        try:
            match type_:
                case "update" if channel == "orders" and isinstance(data, dict):
                    await self._order(data)
                case "update" if channel == "fills" and isinstance(data, dict):
                    self._told_fill(translate.fill(data))
                case "info" if frame.get("code") == 20001:
                    raise Lost("FTX asked to connect again.")
                case "error":
                    self._refused(str(frame.get("msg")))
                case "pong" | "subscribed" | "unsubscribed" | "info":
                    pass
                case _:
                    if f"{type_}/{channel}" not in self._unknown:
                        self._unknown.add(f"{type_}/{channel}")
                        log.warning("%s: FTX sent an unknown frame %r/%r.", self.session.name, type_, channel)
        except Unreadable as error:
            self.feed.put(Gap(reason=f"A frame of {channel} could not be read: {error}"))

    async def _order(self, data: dict[str, Any]) -> None:
        session, triggers = self.session, self.session.triggers
        order = translate.order(data, updated_ms=session.venue.now_ms())
        session.heard += 1
        session.learn_name(order)
        await self._know(order.terms.symbol)
        if triggers.doubtful(order):
            await self._settle(order.terms.symbol)
        self._told_order(order)

    def _told_order(self, order: Order) -> None:
        triggers = self.session.triggers
        owner = triggers.owner(order.venue_id)
        if owner:
            self.feed.put(OrderEvent(order=triggers.became(owner, order)))
            return
        triggers.is_plain(order.venue_id)
        self.feed.put(OrderEvent(order=order))

    async def _settle(self, symbol: str) -> None:
        """Ask the venue which trigger orders have become ordinary ones. Reading stops meanwhile, so that order is kept."""
        session = self.session
        try:
            async with asyncio.timeout(TIMING.doubt):
                for report in await session.read_triggers(symbol):
                    session.triggers.learn(report)
        except (VenueError, TimeoutError) as error:
            self.feed.put(Gap(reason=f"It could not be told whether an order of {symbol} was a trigger order: {error}"))

    def _told_fill(self, fill: Fill) -> None:
        session = self.session
        session.heard += 1
        named = session.triggers.fill(fill)
        if named is fill:
            named = replace(fill, client_id=session.name_of(fill.venue_id))
        self.feed.put(FillEvent(fill=named))
        self._account.set()

    async def _know(self, symbol: str) -> None:
        """A market that was listed since the instruments were read is made known before anything is told of it."""
        if symbol not in self.session.instruments:
            try:
                async with asyncio.timeout(TIMING.doubt):
                    await self.session.venue.read_instruments_again()
            except (VenueError, NoReply, TimeoutError) as error:
                log.warning("%s: the instruments could not be read again for %s: %s", self.session.name, symbol, error)

    # --- what is not pushed ---

    async def _watch_triggers(self) -> None:
        session = self.session
        while True:
            try:
                async with asyncio.timeout(TIMING.triggers):
                    await session.asked.wait()
            except TimeoutError:
                pass
            session.asked.clear()
            try:
                await self._read_triggers()
            except AuthFailed:
                raise
            except VenueError as error:
                log.warning("%s: the trigger orders could not be read: %s", session.name, error)

    async def _read_triggers(self) -> None:
        """What waits is one cheap read; only where one is gone or new, what became of it."""
        session = self.session
        rows = translate.rows(await session.read("/conditional_orders"), "trigger orders")
        found = [translate.trigger_order(row) for row in rows]
        there = {report.order.venue_id for report in found}
        gone = {report.order.terms.symbol for report in session.triggers.waiting() if report.order.venue_id not in there}
        for symbol in sorted(gone):
            found += await session.read_triggers(symbol)
        for report in found:
            if session.triggers.learn(report):
                session.heard += 1
                await self._know(report.order.terms.symbol)
                self.feed.put(OrderEvent(order=session.triggers.state(report.order.venue_id)))

    async def _watch_account(self) -> None:
        session = self.session
        while True:
            await self._account.wait()
            await asyncio.sleep(TIMING.account)
            self._account.clear()
            try:
                await session.refresh_account()
            except AuthFailed:
                raise
            except VenueError as error:
                log.warning("%s: the account could not be read: %s", session.name, error)
                self._account.set()
                await asyncio.sleep(TIMING.triggers)


class PriceStream(Reconnecting):
    """The latest prices of some symbols."""

    def __init__(self, session: Session, feed: Feed, symbols: tuple[str, ...], *, tell: bool) -> None:
        super().__init__(feed, venue="FTX", account=session.name, timing=TIMING, tell=tell)
        self._session = session
        self._symbols = symbols
        self._latest: dict[str, PriceEvent] = {}

    async def listen(self) -> None:
        socket = await self.open(self._session.venue.ws_url)
        try:
            for symbol in self._symbols:
                socket.send_json({"op": "subscribe", "channel": "ticker", "market": symbol})
            self.listening("The prices are connected.")
            await self._first_prices()
            async for frame in self.frames(socket):
                if isinstance(frame, dict) and frame.get("channel") == "ticker" and isinstance(frame.get("data"), dict):
                    self._keep(translate.price(frame["data"], str(frame.get("market"))))
        finally:
            await socket.close()

    async def _first_prices(self) -> None:
        for symbol in self._symbols:
            market = await self._session.venue.ask(f"/markets/{symbol}")
            if isinstance(market, dict):
                self._keep(translate.price(market, symbol))

    def _keep(self, event: PriceEvent) -> None:
        if event != self._latest.get(event.symbol):
            self._latest[event.symbol] = event
            self.feed.put_price(event)
