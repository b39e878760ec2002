"""The streams of one session, as events. Every private frame is read raw, in order, and none is merged.

Channel 0 of an authenticated websocket tells orders, executions, positions and wallets. Every frame carries a number
(conf flag 65536): a hole in them means that something was missed, and becomes a `Gap`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from enum import IntEnum
from typing import TYPE_CHECKING, Any

from copydesk.errors import AuthFailed, VenueError
from copydesk.model import (
    ZERO,
    BalanceEvent,
    FillEvent,
    Gap,
    OrderEvent,
    PositionEvent,
    PriceEvent,
)
from copydesk_wire import streaming
from copydesk_wire.errors import Family, NoReply, Unreadable
from copydesk_wire.streaming import Feed, Lost, Reconnecting
from copydesk_wire.websocket import Socket
from msgspec.structs import replace

from copydesk_bitfinex import translate
from copydesk_bitfinex.entry import Entry
from copydesk_bitfinex.errors import meaning_of
from copydesk_bitfinex.symbols import name_of
from copydesk_bitfinex.translate import Row

if TYPE_CHECKING:
    from copydesk_bitfinex.session import Session

log = logging.getLogger("copydesk.bitfinex")

SEQUENCE = 65536
KNOWN_NOTHING = frozenset({"hb", "bu", "miu", "fiu", "n", "fos", "fcs", "fls", "te"})
"""Frames that tell nothing which is not told elsewhere: an execution is told again with its fee, by `tu`."""


class Code(IntEnum):
    """What `info` events say."""

    RESTART = 20051
    MAINTENANCE = 20060
    RESUMED = 20061


class Timing(streaming.Timing):
    """Deadlines and intervals of the streams, in seconds."""

    confirm: float = 5.0
    silence: float = 40.0  # the venue sends a heartbeat every 15 s
    listed: float = 2.0


TIMING = Timing()


class Sequence:
    """The numbers of a connection's frames. `check` returns them without their numbers."""

    def __init__(self) -> None:
        self._newest = 0

    def check(self, frame: Row) -> bool:
        """Whether this frame follows the last one. Frames of channel 0 carry two numbers, of which the last but one
        counts all frames; heartbeats and notifications of errors carry one."""
        number = frame[-1]
        if frame[0] == 0 and not _has_one(frame):
            number = frame[-2]
        if not isinstance(number, int) or isinstance(number, bool):
            return True
        follows = not self._newest or number == self._newest + 1
        self._newest = number
        return follows


def _has_one(frame: Row) -> bool:
    if len(frame) < 4 or frame[1] == "hb":
        return True
    return frame[1] == "n" and isinstance(frame[2], list) and len(frame[2]) > 6 and frame[2][6] == "ERROR"


def _check_event(frame: Any) -> None:
    """Raise `Lost` where the venue asks to connect again."""
    if isinstance(frame, dict) and frame.get("event") == "info":
        match frame.get("code"):
            case Code.RESTART:
                raise Lost("Bitfinex asked to connect again.")
            case Code.MAINTENANCE:
                raise Lost("Bitfinex is in maintenance.")
            case Code.RESUMED:
                raise Lost("Bitfinex resumes after maintenance and asks to subscribe again.")


class PrivateStream(Reconnecting):
    """Orders, executions, positions and wallets."""

    def __init__(self, session: Session, feed: Feed) -> None:
        super().__init__(feed, venue="Bitfinex", account=session.name, timing=TIMING)
        self.session = session
        self._unknown: set[str] = set()
        self._sequence = Sequence()
        self._entry: Entry | None = None

    def lost(self) -> None:
        self.session.heard += 1  # a snapshot that is being read is read again: this loss may be older than its end

    async def listen(self) -> None:
        session = self.session
        socket = await self.open(session.venue.stream_url("private"))
        self._sequence = Sequence()
        try:
            socket.send_json({"event": "conf", "flags": SEQUENCE})
            frames = self.frames(socket)
            await session.log_in_stream(socket)
            early = await self._confirmed(frames)
            self._entry = session.entry = Entry(socket)
            self.listening("The private stream is connected.")
            for frame in early:
                await self._take(frame)
            await self._read(frames)
        finally:
            self._end_entry()
            self.lost()
            await socket.close()

    def _end_entry(self) -> None:
        if self._entry is not None:
            self._entry.lost()
            if self.session.entry is self._entry:
                self.session.entry = None
            self._entry = None

    async def _confirmed(self, frames: AsyncIterator[Any]) -> list[Any]:
        """Wait for the login's answer; return what came before it."""
        early: list[Any] = []
        try:
            async with asyncio.timeout(TIMING.confirm):
                while True:
                    frame = await anext(frames)
                    _check_event(frame)
                    if isinstance(frame, dict) and frame.get("event") in ("auth", "error"):
                        self._check_login(frame)
                        if frame["event"] == "auth":
                            return early
                    early.append(frame)
        except TimeoutError:
            raise Lost("Bitfinex did not answer the login.") from None

    def _check_login(self, frame: dict[str, Any]) -> None:
        if frame.get("status") == "OK":
            return
        code = frame.get("code")
        sentence = str(frame.get("msg"))
        if meaning_of(code if isinstance(code, int) else 0, sentence) is Family.AUTH:
            raise AuthFailed(f"Bitfinex refused the stream's login: {sentence}. Check the key and its secret.")
        raise Lost(f"Bitfinex refused the login: {code} {sentence}")

    async def _read(self, frames: AsyncIterator[Any]) -> None:
        while True:
            try:
                async with asyncio.timeout(TIMING.silence):
                    frame = await anext(frames)
            except TimeoutError:
                raise Lost("The stream stalled: no heartbeat came.") from None
            await self._take(frame)

    # --- frames ---

    async def _take(self, frame: Any) -> None:
        if isinstance(frame, dict):
            _check_event(frame)
            return
        if not isinstance(frame, list) or len(frame) < 2 or frame[0] != 0:
            return
        if not self._sequence.check(frame):
            self.session.heard += 1
            self.feed.put(Gap(reason="A frame of the private stream is missing: its number was left out."))
        try:
            await self._hear(str(frame[1]), frame[2] if len(frame) > 2 else None)
        except Unreadable as error:
            self.feed.put(Gap(reason=f"A frame {frame[1]} could not be read: {error}"))

    async def _hear(self, kind: str, data: Any) -> None:
        match kind:
            case "os" | "ps" | "ws":
                self._learn_first(kind, translate.rows(data, "rows"))
            case "on" | "ou" | "oc":
                await self._order(_row(data, "order"))
            case "tu":
                await self._fill(_row(data, "execution"))
            case "pn" | "pu" | "pc":
                await self._position(_row(data, "position"), closed=kind == "pc")
            case "wu":
                self._keep_wallet(_row(data, "wallet"))
                self._tell_wallets()
            case "n" if self._entry is not None:
                self._entry.hear(data)
            case _ if kind in KNOWN_NOTHING:
                pass
            case _ if kind not in self._unknown:
                self._unknown.add(kind)
                log.warning("%s: Bitfinex sent an unknown frame %r.", self.session.name, kind)

    def _learn_first(self, kind: str, rows: list[Row]) -> None:
        """What is told at a login: it is learned. Whoever reads takes a snapshot then, which has all of it."""
        session = self.session
        match kind:
            case "os":
                for row in rows:
                    session.learn(translate.order(row))
            case "ps":
                held = [translate.position(row) for row in rows if not translate.is_closed(row)]
                session.positions = {position.symbol: position for position in held}
            case "ws":
                for row in rows:
                    self._keep_wallet(row)
                session.changed_coin_positions()

    async def _order(self, row: Row) -> None:
        order = self.session.learn(translate.order(row))
        self.session.hear(order.terms.symbol)
        await self._know(order.terms.symbol)
        self.feed.put(OrderEvent(order=order))

    async def _fill(self, row: Row) -> None:
        fill = self.session.learn_fill(row)
        self.session.hear(fill.symbol)
        await self._know(fill.symbol)
        self.feed.put(FillEvent(fill=fill))

    async def _position(self, row: Row, *, closed: bool) -> None:
        session = self.session
        position = translate.position(row)
        if closed:
            position = replace(position, quantity=ZERO, unrealised=ZERO)
            session.positions.pop(position.symbol, None)
        else:
            session.positions[position.symbol] = position
        session.hear(position.symbol)
        await self._know(position.symbol)
        self.feed.put(PositionEvent(position=position))
        self.feed.put(BalanceEvent(balance=session.balance(at_ms=session.venue.now_ms())))

    def _keep_wallet(self, row: Row) -> None:
        wallet = translate.wallet(row)
        before = self.session.wallets.get((wallet.wallet, wallet.currency))
        if wallet.available is None and before is not None and before.available is not None:
            # not worked out yet: what the balance changed by, until a frame tells it
            wallet = replace(wallet, available=before.available + wallet.balance - before.balance)
        self.session.keep_wallet(wallet)

    def _tell_wallets(self) -> None:
        session = self.session
        session.hear()
        self.feed.put(BalanceEvent(balance=session.balance(at_ms=session.venue.now_ms())))
        for position in session.changed_coin_positions():
            self.feed.put(PositionEvent(position=position))

    async def _know(self, symbol: str) -> None:
        """A pair that was listed since the instruments were read is made known before anything is told of it."""
        if symbol not in self.session.instruments:
            try:
                async with asyncio.timeout(TIMING.listed):
                    await self.session.venue.read_instruments_again()
            except (VenueError, NoReply, TimeoutError) as error:
                log.warning("%s: the instruments could not be read again for %s: %s", self.session.name, symbol, error)


def _row(data: Any, what: str) -> Row:
    if not isinstance(data, list):
        raise Unreadable(f"Bitfinex sent {type(data).__name__} where an {what} was expected.")
    return data


class PriceStream(Reconnecting):
    """The latest prices of some symbols."""

    def __init__(self, session: Session, feed: Feed, symbols: tuple[str, ...], *, tell: bool) -> None:
        super().__init__(feed, venue="Bitfinex", account=session.name, timing=TIMING, tell=tell)
        self._session = session
        self._symbols: dict[str, list[str]] = {}  # ours, by the venue's names
        for symbol in symbols:
            self._symbols.setdefault(name_of(symbol), []).append(symbol)
        self._channels: dict[int, str] = {}
        self._latest: dict[str, PriceEvent] = {}

    async def listen(self) -> None:
        socket = await self.open(self._session.venue.stream_url("public"))
        self._channels = {}
        try:
            for name in self._symbols:
                socket.send_json({"event": "subscribe", "channel": "ticker", "symbol": name})
            self.listening("The prices are connected.")
            await self._read(socket)
        finally:
            await socket.close()

    async def _read(self, socket: Socket) -> None:
        async for frame in self.frames(socket):
            _check_event(frame)
            if isinstance(frame, dict) and frame.get("event") == "subscribed":
                self._channels[int(frame["chanId"])] = str(frame.get("symbol"))
            elif isinstance(frame, list) and len(frame) > 1 and isinstance(frame[1], list):
                self._keep(frame[0], frame[1])

    def _keep(self, channel: Any, row: Row) -> None:
        name = self._channels.get(channel, "")
        for symbol in self._symbols.get(name, []):
            event = translate.price(row, symbol, time_ms=self._session.venue.now_ms())
            last = self._latest.get(symbol)
            if last is None or replace(event, time_ms=0) != replace(last, time_ms=0):
                self._latest[symbol] = event
                self.feed.put_price(event)
