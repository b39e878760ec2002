"""Bitfinex's websocket of API v2: public channels by number, and the account's channel 0 after a login.

With the conf flag 65536 each array carries its number in the connection; those of channel 0 carry a second one, which
notifications do not advance. Heartbeats come where a channel was silent for some seconds.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec
from aiohttp import web
from copydesk.model import Side
from copydesk_paper.exchange import Exchange
from copydesk_paper.records import Quote, Report, Trade
from copydesk_paper.serving.faults import Faults
from copydesk_paper.serving.misbehaviour import Cut, Misbehaviour
from copydesk_paper.serving.outbox import Delivery, Outbox
from copydesk_paper.serving.signatures import Nonces, is_signature

from copydesk_bitfinex.rehearsal import orders, rest, wire
from copydesk_bitfinex.rehearsal.asked import Body, Refusal
from copydesk_bitfinex.rehearsal.venue import Account, Venue
from copydesk_bitfinex.rehearsal.wire import Row
from copydesk_bitfinex.symbols import is_derivative

SEQUENCE, CHECKSUM, TIMESTAMP, BULK = 65536, 131072, 32768, 536870912
KNOWN_FLAGS = SEQUENCE | CHECKSUM | TIMESTAMP | BULK | 8
MOST_CHANNELS = 25
DEAD_MANS_SWITCH = 4
"""What `dms` of a login says where the account's orders are to be cancelled once the connection ends."""
HEARTBEAT_S = 15.0
TRADES_FIRST = 30
DEPTHS = ("1", "25", "100", "250")
CAPS = ("orders", "account", "funding", "history", "wallets", "withdraw", "positions")
GROUPS = {
    # what a login's filter names: the kinds of frames
    "trading": ("os", "on", "ou", "oc", "te", "tu", "ps", "pn", "pu", "pc"),
    "wallet": ("ws", "wu"),
    "balance": ("bu", "miu"),
    "notify": ("n",),
    "funding": (),
    "algo": (),
}
_encode = msgspec.json.Encoder().encode
Book = dict[tuple[Side, Decimal], tuple[int, Decimal]]


@dataclass(slots=True, eq=False)
class Channel:
    """A public subscription. `book`: what its reader has been told of the book."""

    number: int
    kind: str
    symbol: str
    asked: Body
    key: str = ""
    precision: str = "P0"
    length: int = 25
    book: Book = field(default_factory=dict)
    told: Any = None


class Reader(Outbox):
    """One websocket: who logged in on it, what it listens to, and the numbers of its frames."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        super().__init__(socket, transport)
        self.account: Account | None = None
        self.kinds: frozenset[str] | None = None  # of channel 0; None: all
        self.is_dead_mans = False  # the account's orders are cancelled when it ends
        self.channels: dict[int, Channel] = {}
        self.flags = 0
        self._sent = 0
        self._sent_private = 0

    def tell(self, payload: Any) -> None:
        self.push(_encode(payload).decode())

    def push(self, frame: str | bytes) -> None:
        """Frames get their numbers when they leave, whatever became of them before."""
        text = str(frame)
        if not text.startswith("[") or not self.flags & (SEQUENCE | TIMESTAMP):
            super().push(text)
            return
        more: list[int] = []
        if self.flags & SEQUENCE:
            self._sent += 1
            more.append(self._sent)
            if text.startswith("[0,") and not text.startswith('[0,"hb"') and not self._is_error(text):
                self._sent_private += not text.startswith('[0,"n"')
                more.append(self._sent_private)
        super().push(f"{text[:-1]},{','.join(map(str, more))}]" if more else text)

    @staticmethod
    def _is_error(text: str) -> bool:
        return text.startswith('[0,"n"') and json.loads(text)[2][6] == "ERROR"

    def wants(self, kind: str) -> bool:
        return self.kinds is None or kind in self.kinds


class Streams:
    """All websockets."""

    def __init__(
        self, venue: Venue, misbehaviour: Misbehaviour, faults: Faults, nonces: Nonces, now_ms: Callable[[], int]
    ) -> None:
        self._venue = venue
        self._exchange: Exchange = venue.exchange
        self._misbehaviour = misbehaviour
        self._nonces = nonces
        self._now_ms = now_ms
        self.readers: dict[Reader, None] = {}
        self._delivery: Delivery[Reader] = Delivery(faults)
        self._moved: dict[str, None] = {}
        self._flush: asyncio.Handle | None = None
        self._numbers = itertools.count(1)
        venue.told = self.tell_private

    async def serve(self, request: web.BaseRequest) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        reader = Reader(socket, request.transport)
        self.readers[reader] = None
        reader.tell(
            {"event": "info", "version": 2, "serverId": f"rehearsal-{next(self._numbers)}", "platform": {"status": 1}}
        )
        try:
            await reader.serve(self._hear(reader))
        finally:
            self.readers.pop(reader, None)
            self._delivery.forget(reader)
            if reader.is_dead_mans and reader.account is not None:
                orders.cancel_multi(self._venue, reader.account, {"all": 1})
        return socket

    def drop_all(self) -> None:
        for reader in list(self.readers):
            reader.drop()

    async def beat(self) -> None:
        """Heartbeats of every channel, as long as the venue runs."""
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            for reader in list(self.readers):
                if reader.account is not None:
                    reader.tell([0, "hb"])
                for number in reader.channels:
                    reader.tell([number, "hb"])

    # --- what clients say ---

    def _hear(self, reader: Reader) -> Callable[[str], Awaitable[None]]:
        async def hear(text: str) -> None:
            try:
                frame = json.loads(text, parse_float=Decimal)
            except ValueError:
                reader.tell(_error(10000, "invalid JSON"))
                return
            if isinstance(frame, list):
                await self._input(reader, frame)
            elif isinstance(frame, dict):
                self._event(reader, frame)
            else:
                reader.tell(_error(10000, "unknown message"))

        return hear

    def _event(self, reader: Reader, frame: Body) -> None:
        match frame.get("event"):
            case "ping":
                reader.tell({"event": "pong", "ts": self._now_ms(), "cid": frame.get("cid")})
            case "conf":
                self._configure(reader, frame.get("flags"))
            case "auth":
                self._log_in(reader, frame)
            case "unauth":
                reader.account = None
                reader.tell({"event": "unauth", "status": "OK", "chanId": 0})
            case "subscribe":
                self._subscribe(reader, frame)
            case "unsubscribe":
                self._unsubscribe(reader, frame)
            case _:
                reader.tell(_error(10000, "event: invalid"))

    def _configure(self, reader: Reader, flags: Any) -> None:
        if not isinstance(flags, int) or isinstance(flags, bool) or flags < 0:
            reader.tell({"event": "conf", "status": "FAILED", "code": 10050, "msg": "conf: invalid"})
            return
        reader.flags = flags & KNOWN_FLAGS
        reader.tell({"event": "conf", "status": "OK", "flags": reader.flags})

    # --- the account ---

    def _log_in(self, reader: Reader, frame: Body) -> None:
        try:
            account = self._check_login(reader, frame)
        except Refusal as refusal:
            reader.tell({"event": "auth", "status": "FAILED", "chanId": 0, "code": refusal.code, "msg": str(refusal)})
            return
        asked = frame.get("filter")
        if isinstance(asked, list) and asked:
            groups = [str(one) for one in asked]
            reader.kinds = frozenset(kind for one in groups for kind in GROUPS.get(one.partition("-")[0], ()))
        reader.account = account
        reader.is_dead_mans = frame.get("dms") == DEAD_MANS_SWITCH
        reader.tell(
            {
                "event": "auth",
                "status": "OK",
                "chanId": 0,
                "userId": account.number,
                "auth_id": f"00000000-0000-0000-0000-{next(self._numbers):012d}",
                "caps": {name: {"read": 1, "write": int(name in ("orders", "positions"))} for name in CAPS},
            }
        )
        for kind, rows in (
            ("ps", self._venue.positions(account)),
            ("ws", self._venue.wallets(account)),
            ("os", [self._venue.row(account, order) for order in self._venue.working(account)]),
        ):
            if reader.wants(kind):
                reader.tell([0, kind, rows])

    def _check_login(self, reader: Reader, frame: Body) -> Account:
        if reader.account is not None:
            raise Refusal("already authenticated", 10100)
        account = self._venue.find(str(frame.get("apiKey")))
        nonce, payload = str(frame.get("authNonce")), str(frame.get("authPayload"))
        if not nonce.isdecimal():
            raise Refusal("nonce: invalid", 10111)
        if not is_signature(str(frame.get("authSig")), account.secret, payload, "sha384"):
            raise Refusal("apikey: digest invalid", 10100)
        if payload != f"AUTH{nonce}":
            raise Refusal("payload: invalid", 10111)
        if not self._nonces.take(account.key, int(nonce)):
            raise Refusal("nonce: small", 10114)
        return account

    async def _input(self, reader: Reader, frame: Row) -> None:
        """`[0, "on", null, {...}]`, answered by notifications."""
        if len(frame) < 4 or frame[0] != 0:
            reader.tell(_error(10000, "unknown message"))
            return
        kind, body = str(frame[1]), frame[3]
        account = reader.account
        if account is None:
            reader.tell(_error(10200, "not authenticated"))
            return
        if kind == "calc":
            reader.tell([0, "miu", ["base", self._venue.margin_base(account)]])
            return
        try:
            answer = await self._misbehaviour.trade(account.name, lambda: self._act(account, kind, body))
        except Refusal as refusal:
            answer = self._no(kind, body, refusal)
        except Cut:
            reader.drop()
            return
        if reader.wants("n"):
            reader.tell([0, "n", answer])

    def _act(self, account: Account, kind: str, body: Any) -> Row:
        acts = {"on": orders.submit_on_stream, "ou": orders.update, "oc": orders.cancel}
        acts |= {"oc_multi": orders.cancel_multi, "ox_multi": _multi}
        if kind not in acts:
            raise Refusal(f"unknown input {kind}", 10000)
        if not isinstance(body, dict | list):
            raise Refusal("payload: invalid", 10020)
        return acts[kind](self._venue, account, body)  # type: ignore[arg-type]

    def _no(self, kind: str, body: Any, refusal: Refusal) -> Row:
        fields = body if isinstance(body, dict) else {}
        row = wire.request_row(
            fields.get("id") if kind != "on" else 0,
            fields.get("cid"),
            str(fields.get("symbol") or ""),
            _real(fields.get("amount")),
            str(fields.get("type") or ""),
            _real(fields.get("price")),
        )
        code = None if refusal.code == 10001 else refusal.code
        return wire.notification(f"{kind}-req", row, str(refusal), mts=self._now_ms(), good=False, code=code)

    def tell_private(self, account: str, kind: str, data: Any) -> None:
        text = _encode([0, kind, data]).decode()
        for reader in list(self.readers):
            if reader.account is not None and reader.account.name == account and reader.wants(kind):
                self._delivery.send(account, reader, text, lambda lost: None)

    # --- public channels ---

    def _subscribe(self, reader: Reader, frame: Body) -> None:
        kind, key = str(frame.get("channel")), str(frame.get("key") or "")
        symbol = str(frame.get("symbol") or frame.get("pair") or "")
        named = {} if frame.get("subId") is None else {"subId": frame["subId"]}
        try:
            channel = self._channel(kind, symbol, key, frame)
            if len(reader.channels) >= MOST_CHANNELS:
                raise Refusal("subscribe: limit", 10305)
            if any((one.kind, one.asked) == (kind, channel.asked) for one in reader.channels.values()):
                raise Refusal("subscribe: dup", 10301)
        except Refusal as refusal:
            told = {"channel": kind} | ({"symbol": symbol} if symbol else {}) | ({"key": key} if key else {}) | named
            code = 10300 if refusal.code in (10020, 10001) else refusal.code
            reader.tell({**told, "event": "error", "msg": str(refusal), "code": code})
            return
        reader.channels[channel.number] = channel
        reader.tell({"event": "subscribed", "channel": kind, "chanId": channel.number, **channel.asked, **named})
        first = self._first(channel)
        if first is not None:
            reader.tell([channel.number, first])

    def _channel(self, kind: str, symbol: str, key: str, frame: Body) -> Channel:
        if kind not in ("ticker", "trades", "book", "candles", "status"):
            raise Refusal("channel: unknown", 10302)
        number = next(self._numbers) + 1_000
        if kind == "candles":
            rest.candles_of(self._exchange, key, 1)
            symbol = key.split(":", 2)[2]
            return Channel(number, kind, symbol, {"key": key}, key=key)
        if kind == "status":
            symbol = key.removeprefix("deriv:")
            if not key.startswith("deriv:") or not is_derivative(symbol) or symbol not in self._exchange.instruments:
                raise Refusal("key: invalid", 10020)
            return Channel(number, kind, symbol, {"key": key}, key=key)
        name = symbol if symbol in self._exchange.instruments else f"t{symbol}"
        if name not in self._exchange.instruments or not wire.is_listed(name):
            raise Refusal("symbol: invalid", 10020)
        asked: Body = {"symbol": name}
        if kind == "book":
            precision, length = str(frame.get("prec") or "P0"), str(frame.get("len") or 25)
            if precision not in (*wire.PRECISIONS, "R0") or length not in DEPTHS:
                raise Refusal("prec: invalid" if length in DEPTHS else "len: invalid", 10020)
            asked |= {"prec": precision, "freq": str(frame.get("freq") or "F0"), "len": length}
            asked["pair"] = wire.pair_of(name)
            return Channel(number, kind, name, asked, precision=precision, length=int(length))
        return Channel(number, kind, name, asked | {"pair": wire.pair_of(name)})

    def _unsubscribe(self, reader: Reader, frame: Body) -> None:
        number = frame.get("chanId")
        channel = reader.channels.pop(int(number), None) if str(number).isdecimal() else None  # type: ignore[arg-type]
        if channel is None:
            reader.tell(_error(10400, "unsubscribe: invalid"))
        else:
            reader.tell({"event": "unsubscribed", "status": "OK", "chanId": channel.number})

    def _first(self, channel: Channel) -> Any:
        exchange, symbol = self._exchange, channel.symbol
        match channel.kind:
            case "ticker":
                channel.told = rest.ticker_row(exchange, symbol)
                return channel.told
            case "trades":
                return [wire.trade(one) for one in reversed(exchange.trades(symbol, TRADES_FIRST))]
            case "candles":
                return [wire.candle(bar) for bar in reversed(rest.candles_of(exchange, channel.key, 240))]
            case "status":
                return rest.derivative_status(exchange, symbol, self._now_ms())
            case _:
                channel.book = self._book(channel)
                return [self._level(channel, at, there) for at, there in channel.book.items()]

    def _book(self, channel: Channel) -> Book:
        return wire.book(*self._exchange.depth(channel.symbol, channel.length), channel.precision)

    @staticmethod
    def _level(channel: Channel, at: tuple[Side, Decimal], there: tuple[int, Decimal]) -> Row:
        side, price = at
        count, quantity = there
        if channel.precision != "R0":
            return wire.level(side, price, count, quantity)
        number = wire.raw_id(side, price)
        if not count:
            return [number, 0, side.sign]
        return [number, wire.number(price), wire.number(side.sign * quantity)]

    # --- what happens ---

    def on_report(self, report: Report) -> None:
        """Public trades at once; tickers and books once everything of one moment has happened."""
        if isinstance(report, Trade):
            row = wire.trade(report)
            for reader, channel in self._listening("trades", report.symbol):
                reader.tell([channel.number, "te", row])
                reader.tell([channel.number, "tu", row])
        if isinstance(report, Trade | Quote) and wire.is_listed(report.symbol):
            self._moved[report.symbol] = None
            if self._flush is None:
                self._flush = asyncio.get_running_loop().call_soon(self._tell_moved)

    def _tell_moved(self) -> None:
        self._flush = None
        moved, self._moved = self._moved, {}
        for symbol in moved:
            for reader, channel in self._listening("ticker", symbol):
                row = rest.ticker_row(self._exchange, symbol)
                if row != channel.told:
                    channel.told = row
                    reader.tell([channel.number, row])
            for reader, channel in self._listening("candles", symbol):
                bars = rest.candles_of(self._exchange, channel.key, 1)
                bar = wire.candle(bars[-1]) if bars else None
                if bar is not None and bar != channel.told:
                    channel.told = bar
                    reader.tell([channel.number, bar])
            for reader, channel in self._listening("book", symbol):
                self._tell_book(reader, channel)

    def _tell_book(self, reader: Reader, channel: Channel) -> None:
        before, now = channel.book, self._book(channel)
        if before == now:
            return
        channel.book = now
        gone = [(at, (0, Decimal(0))) for at in before if at not in now]
        changed = [(at, there) for at, there in now.items() if before.get(at) != there]
        for at, there in gone + changed:
            reader.tell([channel.number, self._level(channel, at, there)])
        if reader.flags & CHECKSUM and channel.precision == "P0":
            bids, asks = self._exchange.depth(channel.symbol, wire.CHECKED_LEVELS)
            reader.tell([channel.number, "cs", wire.checksum(bids, asks)])

    def _listening(self, kind: str, symbol: str) -> list[tuple[Reader, Channel]]:
        return [
            (reader, channel)
            for reader in self.readers
            for channel in reader.channels.values()
            if channel.kind == kind and channel.symbol == symbol
        ]


def _multi(venue: Venue, account: Account, body: Any) -> Row:
    return orders.multi(venue, account, {"ops": body} if isinstance(body, list) else body)


def _error(code: int, message: str) -> Body:
    return {"event": "error", "msg": message, "code": code}


def _real(value: Any) -> float | None:
    try:
        return None if value is None else float(value)
    except (TypeError, ValueError):
        return None
