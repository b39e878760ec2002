"""What the streams of both kinds have in common, and the prices, which come alike."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

from copydesk.errors import NotReady, VenueError
from copydesk.model import PriceEvent
from copydesk_wire import streaming
from copydesk_wire.errors import NoReply
from copydesk_wire.streaming import Feed, Reconnecting
from copydesk_wire.websocket import Socket
from msgspec.structs import replace

from copydesk_binance import fields
from copydesk_binance.fields import Payload, Quote
from copydesk_binance.login import Login

log = logging.getLogger("copydesk.binance")


class Timing(streaming.Timing):
    """Deadlines and intervals of the streams, in seconds."""

    renew: float = 25 * 60.0  # a listen key lives for 60 minutes
    renew_again: float = 30.0
    doubt: float = 2.0
    doubt_again: float = 0.1


class Stream(Reconnecting):
    """A stream of Binance's."""

    def __init__(self, session: Login[Any], feed: Feed, timing: Timing, *, tell: bool = True) -> None:
        super().__init__(feed, venue="Binance", account=session.name, timing=timing, tell=tell)
        self.session = session
        self.timing = timing

    async def objects(self, socket: Socket) -> AsyncIterator[Payload]:
        """Each frame's object, out of the combined stream's envelope. Raises `Lost` at the end."""
        async for frame in self.frames(socket):
            if isinstance(frame, dict):
                data = frame.get("data")
                yield data if isinstance(data, dict) else frame

    async def know(self, symbol: str) -> None:
        """A symbol that was listed since the instruments were read is made known before anything is told of it."""
        if symbol not in self.session.instruments:
            try:
                async with asyncio.timeout(self.timing.doubt):
                    await self.session.venue.read_instruments_again()
            except (VenueError, TimeoutError) as error:
                log.warning("%s: the instruments could not be read again for %s: %s", self.session.name, symbol, error)


class PriceStream(Stream):
    """The latest prices of some symbols, from their trades and best bids and asks."""

    def __init__(self, session: Login[Any], feed: Feed, timing: Timing, symbols: tuple[str, ...], *, tell: bool) -> None:
        super().__init__(session, feed, timing, tell=tell)
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

    async def _subscribe(self, channel: str) -> Socket:
        socket = await self.open(self.session.market_url(channel))
        streams = [f"{symbol.lower()}@{channel}" for symbol in self._symbols]
        socket.send_json({"method": "SUBSCRIBE", "params": streams, "id": 1})
        return socket

    async def _first_prices(self) -> None:
        for symbol in self._symbols:
            try:
                reply = await self.session.venue.ask("ticker/price", {"symbol": symbol})
            except NoReply as error:
                raise NotReady(str(error)) from None
            body = reply.body if isinstance(reply.body, dict) else {}
            self._keep(
                PriceEvent(symbol=symbol, last=fields.number(body.get("price"), "price"), time_ms=body.get("time", 0))
            )

    async def _read(self, socket: Socket) -> None:
        async for frame in self.objects(socket):
            event = fields.market_event(frame)
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
