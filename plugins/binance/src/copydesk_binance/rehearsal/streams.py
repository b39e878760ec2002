"""Websocket streams: the private one of each listen key, and the public ones by name.

A connection has a bounded queue and a task that empties it; who reads too slowly is disconnected. Faults of the private
stream (drop, repeat, reorder) happen between the account's event and the queue.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from aiohttp import WSCloseCode, web
from copydesk_paper.records import OrderReport, Quote, Report, Trade
from copydesk_paper.serving.faults import Faults
from copydesk_paper.serving.outbox import Delivery, Outbox

from copydesk_binance.rehearsal import wire
from copydesk_binance.rehearsal.account import Account
from copydesk_binance.rehearsal.codes import Refusal
from copydesk_binance.rehearsal.listing import Listing
from copydesk_binance.rehearsal.market import INTERVALS, MarketData
from copydesk_binance.rehearsal.wire import Json

MAX_STREAMS = 1_024
TICK_S = 0.1
HEARTBEAT_S = 180.0
GOODBYE_S = 1.0
LISTEN_KEY_LENGTH = 64

Levels = list[list[str]]
_encode = msgspec.json.Encoder().encode
_NAME = re.compile(r"(?P<symbol>[a-z0-9_]+)@(?P<kind>[a-zA-Z]+)(?P<rest>[0-9a-zA-Z_@]*)|!(?P<all>[a-zA-Z]+)@arr(@1s)?")
_PAIR = re.compile(r"(?P<pair>[a-z0-9]+)_perpetual@continuousKline_(?P<interval>[0-9a-zA-Z]+)")
_FIXED = frozenset({"aggTrade", "trade", "bookTicker", "ticker", "miniTicker", "forceOrder"})
_ALL_LIQUIDATIONS = "!forceOrder@arr"
_WITHOUT_SYMBOL = frozenset({"!bookTicker", "!contractInfo", _ALL_LIQUIDATIONS, "!assetIndex@arr", "tradingSession"})
_SILENT = frozenset({"compositeIndex", "assetIndex"})
"""Streams that exist and on which nothing ever happens here."""
_OF_ALL_SYMBOLS = frozenset({"ticker", "miniTicker", "markPrice"})
_BOOKS = frozenset({"depth", "rpiDepth"})
_SPEEDS = {"": 2, "@100ms": 1, "@250ms": 2, "@500ms": 5}


class Connection(Outbox):
    """One websocket of a reader."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport | None,
        *,
        combined: bool,
        events: Iterable[str] = (),
    ) -> None:
        super().__init__(socket, transport)
        self.combined = combined
        self.events = frozenset(events)
        """The private events that are wanted; all where it is empty."""
        self.names: dict[str, None] = {}

    def send(self, name: str, payload: bytes) -> None:
        """Send an event of the stream `name`."""
        self.push(self.frame(name, payload))

    def frame(self, name: str, payload: bytes) -> str:
        text = payload.decode()
        return f'{{"stream":"{name}","data":{text}}}' if self.combined else text


class ListenKey:
    """A key to one account's private stream. `value` is the name of the stream."""

    __slots__ = ("account", "timer", "value")

    def __init__(self, account: Account, value: str) -> None:
        self.account = account
        self.value = value
        self.timer: asyncio.TimerHandle | None = None


class Streams:
    """All connections by the names of the streams that they read. A `Watcher` of the venue."""

    def __init__(
        self,
        market: MarketData,
        listing: Listing,
        faults: Faults,
        now_ms: Callable[[], int],
        *,
        listen_key_seconds: float,
    ) -> None:
        self._market = market
        self._listing = listing
        self._now_ms = now_ms
        self._life_s = listen_key_seconds
        self._keys: dict[str, ListenKey] = {}
        self._key_of: dict[str, ListenKey] = {}
        self._readers: dict[str, set[Connection]] = {}
        self._delivery: Delivery[Connection] = Delivery(faults)
        self._last_books: dict[str, tuple[int, list[list[str]], list[list[str]]]] = {}
        self._connections: set[Connection] = set()
        self._ticks = 0

    # --- listen keys ---

    def create_key(self, account: Account) -> str:
        """The account's listen key, new or the one in force, good for another hour."""
        key = self._key_of.get(account.name)
        if key is None:
            key = ListenKey(account, secrets.token_hex(LISTEN_KEY_LENGTH // 2))
            self._keys[key.value] = self._key_of[account.name] = key
        self._extend(key)
        return key.value

    def keep_key(self, account: Account) -> str:
        """Raises `Refusal` -1125 where the account has no listen key in force."""
        key = self._key_of.get(account.name)
        if key is None:
            raise Refusal(-1125)
        self._extend(key)
        return key.value

    def delete_key(self, account: Account) -> None:
        """End the listen key and close its streams."""
        key = self._key_of.get(account.name)
        if key is None:
            raise Refusal(-1125)
        self._forget(key)
        for reader in self._readers.pop(key.value, set()):
            reader.names.pop(key.value, None)
            reader.drop()

    def _extend(self, key: ListenKey) -> None:
        if key.timer is not None:
            key.timer.cancel()
        key.timer = asyncio.get_running_loop().call_later(self._life_s, self._expire, key)

    def _forget(self, key: ListenKey) -> None:
        if key.timer is not None:
            key.timer.cancel()
        self._keys.pop(key.value, None)
        self._key_of.pop(key.account.name, None)

    def _expire(self, key: ListenKey) -> None:
        """Say so on its streams, which stay open and get nothing more, as at Binance."""
        self._forget(key)
        event = _encode(wire.listen_key_expired(key.value, self._now_ms()))
        for reader in self._readers.pop(key.value, set()):
            reader.names.pop(key.value, None)
            reader.send(key.value, event)

    # --- private events ---

    def tell(self, account: Account, event: Json) -> None:
        key = self._key_of.get(account.name)
        readers = self._readers.get(key.value) if key is not None else None
        if not readers or key is None:
            return
        payload = _encode(event)
        for reader in tuple(readers):
            if not reader.events or event["e"] in reader.events:
                self._delivery.send(account.name, reader, reader.frame(key.value, payload), self._forget_reader)

    # --- public events ---

    def on_report(self, report: Report) -> None:
        if isinstance(report, OrderReport):
            self._on_liquidation(report)
            return
        if not isinstance(report, Trade | Quote) or report.symbol not in self._listing:
            return
        if isinstance(report, Trade):
            self._market.note(report)
            symbol = report.symbol.lower()
            self._publish(f"{symbol}@aggTrade", lambda: self._market.aggregate_event(report, self._now_ms()))
            self._publish(f"{symbol}@trade", lambda: self._market.trade_event(report, self._now_ms()))
        else:
            self._market.note(report)
            for name in (f"{report.symbol.lower()}@bookTicker", "!bookTicker"):
                self._publish(name, lambda: self._market.book_ticker_event(report, self._now_ms()))

    def _on_liquidation(self, report: OrderReport) -> None:
        order = report.order
        if report.fill is None or not order.client_id.startswith(wire.LIQUIDATION_PREFIX):
            return
        for name in (f"{order.terms.symbol.lower()}@forceOrder", _ALL_LIQUIDATIONS):
            self._publish(name, lambda: wire.liquidation_event(order, report.fill, self._now_ms()))

    def _publish(self, name: str, make: Callable[[], Any]) -> None:
        readers = self._readers.get(name)
        if readers:
            payload = _encode(make())
            for reader in tuple(readers):
                reader.send(name, payload)

    async def run(self) -> None:
        """Send what comes at a fixed pace: books, candles, tickers, mark prices. Runs until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            self._ticks += 1
            for name in tuple(self._readers):
                self._on_tick(name)

    def _on_tick(self, name: str) -> None:
        pair = _PAIR.fullmatch(name)
        if pair is not None:
            if self._has_pair(pair):
                self._publish_pair(name, pair)
            return
        found = _NAME.fullmatch(name)
        if found is None or not self._exists(found):  # an address may name whatever it likes
            return
        if found["all"]:
            self._publish_all(name, found["all"])
            return
        symbol, kind, rest = found["symbol"].upper(), found["kind"], found["rest"]
        now, ticks = self._now_ms(), self._ticks
        if kind == "kline" and ticks % 2 == 0:
            event = self._market.candle_event(symbol, rest.removeprefix("_"), now)
            if event is not None:
                self._publish(name, lambda: event)
        elif kind == "markPrice" and ticks % (10 if rest == "@1s" else 30) == 0:
            self._publish(name, lambda: self._market.mark_event(symbol, now))
        elif kind == "ticker" and ticks % 10 == 0:
            self._publish(name, lambda: self._market.day_event(symbol, now))
        elif kind == "miniTicker" and ticks % 10 == 0:
            self._publish(name, lambda: self._market.mini_event(symbol, now))
        elif kind in _BOOKS:
            levels, _, speed = rest.partition("@")
            if ticks % _SPEEDS[f"@{speed}" if speed else ""] == 0:
                self._publish_book(name, symbol, int(levels or 0), now)

    def _publish_pair(self, name: str, pair: re.Match[str]) -> None:
        if self._ticks % 2:
            return
        symbol, now = pair["pair"].upper(), self._now_ms()
        event = self._market.candle_event(symbol, pair["interval"], now)
        if event is not None:
            del event["s"], event["k"]["s"]
            event = {"e": "continuous_kline", "E": now, "ps": symbol, "ct": "PERPETUAL", "k": event["k"]}
            self._publish(name, lambda: event)

    def _publish_all(self, name: str, kind: str) -> None:
        if self._ticks % 10:
            return
        make = {
            "ticker": self._market.day_event,
            "miniTicker": self._market.mini_event,
            "markPrice": self._market.mark_event,
        }[kind]
        now = self._now_ms()
        self._publish(name, lambda: [make(symbol, now) for symbol in self._listing.symbols])

    def _publish_book(self, name: str, symbol: str, levels: int, now: int) -> None:
        """A partial book as it is, or what changed in the book since the last event of this stream."""
        rules = self._listing.rules(symbol)
        bids, asks = self._market.levels(rules, levels or 1000)
        update = self._market.update_id
        before = self._last_books[name]
        self._last_books[name] = (update, bids, asks)
        if not levels:
            zero = wire.padded(None, rules.quantity_places)
            bids, asks = _changes(before[1], bids, zero), _changes(before[2], asks, zero)
            if not bids and not asks:
                self._last_books[name] = before
                return
        event: Json = {"e": "depthUpdate", "E": now, "T": now, "s": symbol, "ps": symbol, "st": 1}
        event |= {"U": before[0] + 1, "u": max(update, before[0] + 1), "pu": before[0], "b": bids, "a": asks}
        self._publish(name, lambda: event)

    # --- connections ---

    async def serve(
        self, request: web.BaseRequest, names: Iterable[str], *, combined: bool, events: Iterable[str] = ()
    ) -> web.WebSocketResponse:
        """Serve one websocket until it ends. `names` are the streams of its address, `events` what it wants of them."""
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=1 << 20)
        await socket.prepare(request)
        reader = Connection(socket, request.transport, combined=combined, events=events)
        self._connections.add(reader)
        for name in names:
            self._subscribe(reader, name)

        async def hear(text: str) -> None:
            reader.push(_encode(self._answer(reader, text)).decode())

        try:
            await reader.serve(hear)
        finally:
            self._forget_reader(reader)
            self._connections.discard(reader)
        return socket

    def _answer(self, reader: Connection, text: str) -> Json:
        """Answer SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS, SET_PROPERTY and GET_PROPERTY."""
        try:
            request = msgspec.json.decode(text, type=dict[str, Any])
        except msgspec.DecodeError as error:
            return {"error": {"code": 3, "msg": f"Invalid JSON: {error}"}}
        id_, params = request.get("id"), request.get("params") or []
        try:
            result = self._act(reader, request.get("method"), params)
        except ValueError as error:
            return {"error": {"code": 2, "msg": f"Invalid request: {error}"}, "id": id_}
        return {"result": result, "id": id_}

    def _act(self, reader: Connection, method: Any, params: Any) -> Any:
        if not isinstance(params, list):
            raise ValueError("params must be a list")
        if method == "SUBSCRIBE":
            if len(reader.names) + len(params) > MAX_STREAMS:
                raise ValueError(f"at most {MAX_STREAMS} streams on a connection")
            for name in params:
                self.check_name(name)
            for name in params:
                self._subscribe(reader, name)
            return None
        if method == "UNSUBSCRIBE":
            for name in params:
                self._unsubscribe(reader, name)
            return None
        if method == "LIST_SUBSCRIPTIONS":
            return list(reader.names)
        if method == "SET_PROPERTY" and len(params) == 2 and params[0] == "combined":
            reader.combined = bool(params[1])
            return None
        if method == "GET_PROPERTY" and params == ["combined"]:
            return reader.combined
        raise ValueError(f"unknown method {method!r}")

    def check_name(self, name: Any) -> None:
        """Raises ValueError for a stream that does not exist."""
        if not isinstance(name, str):
            raise ValueError("stream names are texts")
        if name in self._keys or name in _WITHOUT_SYMBOL:
            return
        pair = _PAIR.fullmatch(name)
        if pair is not None and self._has_pair(pair):
            return
        found = _NAME.fullmatch(name)
        if found is None or not self._exists(found):
            raise ValueError("invalid stream")

    def _has_pair(self, pair: re.Match[str]) -> bool:
        return pair["pair"].upper() in self._listing and pair["interval"] in INTERVALS

    def _exists(self, found: re.Match[str]) -> bool:
        if found["all"]:
            return found["all"] in _OF_ALL_SYMBOLS
        kind, rest = found["kind"], found["rest"]
        if found["symbol"].upper() not in self._listing:
            return False
        if kind in _FIXED or kind in _SILENT:
            return not rest
        if kind == "markPrice":
            return rest in ("", "@1s")
        if kind == "kline":
            return rest.removeprefix("_") in INTERVALS
        levels, _, speed = rest.partition("@")
        known = ("", "5", "10", "20") if kind == "depth" else ("",) if kind == "rpiDepth" else ()
        return levels in known and (f"@{speed}" if speed else "") in _SPEEDS

    def _subscribe(self, reader: Connection, name: str) -> None:
        reader.names[name] = None
        readers = self._readers.get(name)
        if readers is None:
            readers = self._readers[name] = set()
            self._open_book(name)
        readers.add(reader)

    def _open_book(self, name: str) -> None:
        """Note the book as it is when the first reader of a depth stream comes: what follows are changes to it."""
        found = _NAME.fullmatch(name)
        if found is not None and found["kind"] in _BOOKS and self._exists(found):
            bids, asks = self._market.levels(self._listing.rules(found["symbol"].upper()), 1000)
            self._last_books[name] = (self._market.update_id, bids, asks)

    def _unsubscribe(self, reader: Connection, name: str) -> None:
        reader.names.pop(name, None)
        readers = self._readers.get(name)
        if readers is not None:
            readers.discard(reader)
            if not readers:
                del self._readers[name]
                self._last_books.pop(name, None)

    def _forget_reader(self, reader: Connection) -> None:
        self._delivery.forget(reader)
        for name in tuple(reader.names):
            self._unsubscribe(reader, name)

    def drop_all(self) -> None:
        for reader in tuple(self._connections):
            self._forget_reader(reader)
            reader.drop()

    def drop_account(self, account: str) -> int:
        """Cut the private streams of one account (empty: of all). Returns how many."""
        dropped = 0
        for key in tuple(self._keys.values()):
            if account in ("", key.account.name):
                for reader in tuple(self._readers.get(key.value, ())):
                    self._forget_reader(reader)
                    reader.drop()
                    dropped += 1
        return dropped

    async def close(self) -> None:
        for key in tuple(self._keys.values()):
            self._forget(key)
        closing = [asyncio.create_task(self._say_goodbye(reader)) for reader in self._connections]
        if closing:
            await asyncio.wait(closing)

    @staticmethod
    async def _say_goodbye(reader: Connection) -> None:
        with contextlib.suppress(ConnectionError, asyncio.TimeoutError):
            await asyncio.wait_for(reader.socket.close(code=WSCloseCode.GOING_AWAY), GOODBYE_S)
        reader.drop()


def _changes(before: Levels, after: Levels, zero: str) -> list[list[str]]:
    """The levels that differ; those that are gone with quantity zero."""
    old, new = dict(before), dict(after)
    gone = [[price, zero] for price in old if price not in new]
    return gone + [[price, size] for price, size in new.items() if old.get(price) != size]
