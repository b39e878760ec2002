"""The streams of one session, as events. The listen key is renewed here: ccxt's own renewal happens only once."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from copydesk.errors import AuthFailed, NotReady, RateLimited, Refused, VenueError
from copydesk.model import FillEvent, Gap, OrderEvent, OrderRef
from copydesk_wire.errors import NoReply, Unreadable, read_json
from copydesk_wire.streaming import Feed, Lost, until_first
from copydesk_wire.websocket import Socket
from msgspec.structs import replace

from copydesk_binance import account, decoding, translate
from copydesk_binance.fields import Payload
from copydesk_binance.fold import Doubt, Told
from copydesk_binance.prices import Stream, Timing
from copydesk_binance.translate import AlgoReport, OrderReport

if TYPE_CHECKING:
    from copydesk_binance.session import Session

log = logging.getLogger("copydesk.binance")


TIMING = Timing()
IGNORED = frozenset({"TRADE_LITE", "MARGIN_CALL", "STRATEGY_UPDATE", "GRID_UPDATE", "CONDITIONAL_ORDER_TRIGGER_REJECT"})
_DOUBT_TRIES = 3
_AT_ONCE = IGNORED | {"ACCOUNT_UPDATE"}


class PrivateStream(Stream):
    """Orders, fills, positions and balance of one account."""

    session: Session

    def __init__(self, session: Session, feed: Feed) -> None:
        super().__init__(session, feed, TIMING)
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
            self.take_at_once(socket)
            await until_first(self._read(socket), self._renew())
        finally:
            self.lost()
            await socket.close()

    async def _renew(self) -> None:
        pause = TIMING.renew
        while True:
            await asyncio.sleep(pause)
            try:
                await self.session.renew_listen_key()
                pause = TIMING.renew
            except (Refused, AuthFailed):
                raise Lost("Binance does not know the listen key any more.") from None
            except (NotReady, RateLimited) as error:
                log.warning("%s: the listen key was not renewed: %s", self.session.name, error)
                pause = TIMING.renew_again

    async def _read(self, socket: Socket) -> None:
        async for frame in self.objects(socket):
            await self._take(frame)

    def take_now(self, data: bytes) -> bool:
        """Everyday reports of orders that are in no doubt, and what is told of the account beside them."""
        session = self.session
        decoded = decoding.order_update(data)
        if decoded is not None:
            report, is_first = decoded
            if report.order.terms.symbol not in session.instruments:
                return False
            told = session.fold.ordinary(report, is_first=is_first)
            if isinstance(told, Doubt):
                return False
            self._told(told)
            return True
        frame = read_json(data)
        kind = frame.get("e") if isinstance(frame, dict) else None
        if kind not in _AT_ONCE:
            return False
        with suppress(Unreadable):
            if kind == "ACCOUNT_UPDATE":
                self._account(frame)
            return True
        return False

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
                        raise Lost("The listen key has expired.")
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
        await self.know(report.order.terms.symbol)
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
        await self.know(report.order.terms.symbol)
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
        update = account.account_update(frame)
        for position in update.positions:
            self._heard(position.symbol, update.time_ms)
        self.session.heard += 1
        for event in self.session.account_events(update):
            self.feed.put(event)

    def _setting(self, frame: Payload) -> None:
        changed = account.leverage_change(frame)
        if changed is None:
            return
        symbol, leverage = changed
        for place, position in self.session.positions.items():
            if place[0] == symbol:
                self.session.positions[place] = replace(position, leverage=leverage)
