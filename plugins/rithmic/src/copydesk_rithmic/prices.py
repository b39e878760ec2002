"""The latest prices of the symbols that somebody wants, from the ticker plant."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from copydesk.errors import VenueError
from copydesk.model import PriceEvent
from copydesk_wire.errors import NoReply
from copydesk_wire.streaming import Feed

from copydesk_rithmic import translate
from copydesk_rithmic.errors import Refusal
from copydesk_rithmic.library import Message
from copydesk_rithmic.plants import TickerPlant

TRADES_AND_BEST = 3
SUBSCRIBE = 1
PRICE_S = 3.0
LAST_TRADE, BEST = 150, 151


class Prices:
    """`feeds` are told the prices of their symbols. What was wanted once is listened to for as long as the login lasts."""

    def __init__(self, ticker: TickerPlant, spawn: Callable[[Coroutine[Any, Any, None]], object]) -> None:
        self.feeds: dict[Feed, frozenset[str]] = {}
        self.latest: dict[str, PriceEvent] = {}
        self._ticker = ticker
        self._spawn = spawn
        self._quotes: dict[str, dict[str, Any]] = {}
        self._wanted: dict[str, None] = {}
        self._priced = asyncio.Condition()
        ticker.heard, ticker.up = self._on_market, self._renew

    async def want(self, symbol: str) -> None:
        """Listen to a symbol's prices from now on. Raises `NotSent`, `NoReply` or `Refusal`."""
        if symbol in self._wanted:
            return
        self._wanted[symbol] = None
        try:
            await self._subscribe(symbol)
        except BaseException:
            self._wanted.pop(symbol, None)
            raise

    async def _subscribe(self, symbol: str) -> None:
        exchange, _, contract = symbol.partition(":")
        await self._ticker.ask(
            100, symbol=contract, exchange=exchange, request=SUBSCRIBE, update_bits=TRADES_AND_BEST, empty=False
        )

    def _renew(self) -> None:
        if self._wanted:
            self._spawn(self._subscribe_all())

    async def _subscribe_all(self) -> None:
        with suppress(VenueError, NoReply, Refusal):  # the plant is lost again, and renews then
            for symbol in tuple(self._wanted):
                await self._subscribe(symbol)

    async def read(self, symbol: str) -> PriceEvent | None:
        """The latest price; None where none comes within some seconds, as of a contract that was never traded."""
        await self.want(symbol)
        with suppress(TimeoutError):
            async with asyncio.timeout(PRICE_S), self._priced:
                while symbol not in self.latest:
                    await self._priced.wait()
        return self.latest.get(symbol)

    def _on_market(self, message: Message) -> None:
        if message.template_id not in (LAST_TRADE, BEST):
            return
        quote = self._quotes.setdefault(f"{message.exchange}:{message.symbol}", {})
        if message.template_id == LAST_TRADE:
            if message.presence_bits & 1:
                quote["last"] = translate.number(message.trade_price)
        else:
            for bit, name, price in ((1, "bid", message.bid_price), (2, "ask", message.ask_price)):
                if message.presence_bits & bit:
                    quote[name] = translate.number(price)
                elif message.clear_bits & bit:
                    quote[name] = None
        if "last" in quote:
            symbol = f"{message.exchange}:{message.symbol}"
            event = PriceEvent(symbol=symbol, time_ms=translate.time_us(message) // 1000, **quote)
            is_first = symbol not in self.latest
            self.latest[symbol] = event
            for feed, symbols in list(self.feeds.items()):
                if symbol in symbols:
                    feed.put_price(event)
            if is_first:
                self._spawn(self._say_priced())

    async def _say_priced(self) -> None:
        async with self._priced:
            self._priced.notify_all()
