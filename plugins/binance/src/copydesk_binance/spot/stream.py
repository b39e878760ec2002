"""The private stream of a spot account: the websocket API's user data stream, subscribed to by signature.

It needs no listen key and no renewal. Frames are read raw, in order, and none is merged.
"""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from copydesk.errors import AuthFailed, NotReady, RateLimited, Refused
from copydesk.model import FillEvent, Gap, OrderEvent, RejectReason
from copydesk_wire.errors import Unreadable, read_json
from copydesk_wire.streaming import Feed, Lost
from copydesk_wire.websocket import Socket

from copydesk_binance.errors import Reply, raise_for, read_reply
from copydesk_binance.fields import Payload, whole
from copydesk_binance.prices import Stream, Timing
from copydesk_binance.spot import decoding, translate
from copydesk_binance.spot.translate import OrderReport

if TYPE_CHECKING:
    from copydesk_binance.spot.session import SpotSession

log = logging.getLogger("copydesk.binance")

TIMING = Timing()
REQUEST_ID = "user-data"
IGNORED = frozenset({"listStatus"})
"""An order list's orders tell of themselves, with the list's number."""


class PrivateStream(Stream):
    """Orders, fills, holdings and balance of one account."""

    session: SpotSession

    def __init__(self, session: SpotSession, feed: Feed) -> None:
        super().__init__(session, feed, TIMING)
        self._unknown: set[str] = set()

    def lost(self) -> None:
        self.session.streaming = self.session.in_step = False
        self.session.heard += 1  # a snapshot that is being read is read again: this loss may be older than its end

    async def listen(self) -> None:
        session = self.session
        socket = await self.open(session.api_url)
        try:
            early = await self._subscribe(socket)
            session.streaming, session.in_step = True, False
            session.connection += 1
            self.listening("The private stream is connected.")
            for frame in early:
                await self._take(frame)
            self.take_at_once(socket)
            async for frame in self.frames(socket):
                await self._take(frame)
        finally:
            self.lost()
            await socket.close()

    async def _subscribe(self, socket: Socket) -> list[Any]:
        """Subscribe, and wait for the venue's word. Returns what it told before that."""
        session = self.session
        request = {"id": REQUEST_ID, "method": "userDataStream.subscribe.signature", "params": session.subscription()}
        socket.send_json(request)
        early: list[Any] = []
        async with asyncio.timeout(self.timing.connect):
            async for frame in self.frames(socket):
                if not isinstance(frame, dict) or frame.get("id") != REQUEST_ID:
                    early.append(frame)
                    continue
                if frame.get("status") == 200:
                    return early
                await self._refused(frame)
        raise Lost("Binance ended the stream before it began.")

    async def _refused(self, frame: Payload) -> None:
        """Raise what the venue's error means. Where it refuses the time stamp, the clock is measured first."""
        reply = _as_reply(frame)
        try:
            raise_for(reply, "subscribe to user data", self.session.venue.now_ms())
        except Refused as error:
            if error.reason is RejectReason.PERMISSION:
                raise AuthFailed(str(error)) from None
            raise
        except RateLimited:
            raise
        except NotReady:
            await self.session.venue.measure_clock()
            raise

    def take_now(self, data: bytes) -> bool:
        """Everyday reports of orders in known instruments, and what is told of the account beside them."""
        report = decoding.execution_report(data)
        if report is not None:
            if report.order.terms.symbol not in self.session.instruments:
                return False
            self._told(report)
            return True
        with suppress(Unreadable):
            event = translate.event_of(read_json(data))
            if event is not None and event.get("e") == "outboundAccountPosition":
                self._account(event)
                return True
        return False

    async def _take(self, frame: Any) -> None:
        event = translate.event_of(frame) if isinstance(frame, dict) else None
        if event is None:
            return
        kind = str(event.get("e"))
        try:
            match kind:
                case "executionReport":
                    await self._order(event)
                case "outboundAccountPosition":
                    self._account(event)
                case "balanceUpdate" | "externalLockUpdate":
                    await self._read_account(translate.balance_change(event).asset)
                case "eventStreamTerminated":
                    raise Lost("Binance ended the user data stream.")
                case "serverShutdown":
                    raise Lost("Binance is about to close the connection.")
                case _:
                    if kind not in IGNORED and kind not in self._unknown:
                        self._unknown.add(kind)
                        log.warning("%s: Binance sent a frame of an unknown kind %r.", self.session.name, kind)
        except Unreadable as error:
            self.session.in_step = False
            self.feed.put(Gap(reason=f"A {kind} could not be read: {error}"))

    async def _order(self, event: Payload) -> None:
        report = translate.execution_report(event)
        await self.know(report.order.terms.symbol)
        self._told(report)

    def _told(self, report: OrderReport) -> None:
        symbol, session = report.order.terms.symbol, self.session
        session.heard += 1
        if report.pending:
            return
        session.active_ms[symbol] = max(report.order.updated_ms, session.active_ms.get(symbol, 0))
        if report.fill is not None:
            session.holdings.prices[symbol] = report.fill.price
            self.feed.put(FillEvent(fill=report.fill))
        self.feed.put(OrderEvent(order=report.order))

    def _account(self, event: Payload) -> None:
        wallets, time_ms = translate.account_position(event), whole(event, "u", "E")
        self.session.heard += 1
        for told in self.session.account_events(wallets, time_ms):
            self.feed.put(told)

    async def _read_account(self, asset: str) -> None:
        """A transfer tells only by how much an asset changed: a reading tells how much there is."""
        session = self.session
        session.heard += 1
        wallets = translate.wallets(await session.read("account", {"omitZeroBalances": "true"}))
        changed = tuple(wallet for wallet in wallets if wallet.asset == asset)
        for told in session.account_events(changed, session.venue.now_ms()):
            self.feed.put(told)


def _as_reply(frame: Payload) -> Reply:
    """A refusal of the websocket API in the form of a REST reply."""
    return read_reply(int(frame.get("status") or 0), json.dumps({"error": frame.get("error")}, default=str))
