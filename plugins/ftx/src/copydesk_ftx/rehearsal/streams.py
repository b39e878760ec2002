"""FTX's websocket: login, `orders` and `fills` of an account, and `ticker`, `trades`, `orderbook`, `markets` for all.

A login that works is answered with nothing, as FTX did; a private channel wants one before it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web
from copydesk.model import Contract
from copydesk_paper.exchange import Exchange
from copydesk_paper.records import Quote, Report, Trade
from copydesk_paper.serving.faults import Faults
from copydesk_paper.serving.outbox import Delivery, Outbox
from copydesk_paper.serving.signatures import is_signature

from copydesk_ftx.rehearsal import wire
from copydesk_ftx.rehearsal.venue import Account, Refusal, Venue
from copydesk_ftx.rehearsal.wire import Json, Levels

PRIVATE = frozenset({"orders", "fills"})
PUBLIC = frozenset({"ticker", "trades", "orderbook"})
LOGIN_WINDOW_MS = 30_000
DEPTH = 100
_encode = msgspec.json.Encoder().encode


class Reader(Outbox):
    """One websocket: who logged in on it, and what it listens to, as (channel, market)."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        super().__init__(socket, transport)
        self.account: Account | None = None
        self.channels: dict[tuple[str, str], None] = {}

    def tell(self, payload: Json) -> None:
        self.push(_encode(payload).decode())


class Streams:
    """All websockets."""

    def __init__(self, venue: Venue, faults: Faults, now_ms: Callable[[], int]) -> None:
        self._venue = venue
        self._exchange: Exchange = venue.exchange
        self._now_ms = now_ms
        self._readers: dict[Reader, None] = {}
        self._delivery: Delivery[Reader] = Delivery(faults)
        self._books: dict[str, tuple[Levels, Levels]] = {}
        self._moved: dict[str, None] = {}
        self._flush: asyncio.Handle | None = None
        venue.told = self.tell_private

    async def serve(self, request: web.BaseRequest) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        reader = Reader(socket, request.transport)
        self._readers[reader] = None
        try:
            await reader.serve(self._hear(reader))
        finally:
            self._readers.pop(reader, None)
            self._delivery.forget(reader)
        return socket

    def drop_all(self) -> None:
        for reader in list(self._readers):
            reader.drop()

    # --- what clients say ---

    def _hear(self, reader: Reader) -> Callable[[str], Awaitable[None]]:
        async def hear(text: str) -> None:
            try:
                frame = msgspec.json.decode(text)
            except msgspec.DecodeError:
                frame = None
            if not isinstance(frame, dict):
                reader.tell({"type": "error", "code": 400, "msg": "Invalid JSON"})
                return
            try:
                self._do(reader, frame)
            except Refusal as refusal:
                reader.tell({"type": "error", "code": refusal.status, "msg": str(refusal)})

        return hear

    def _do(self, reader: Reader, frame: Json) -> None:
        match frame.get("op"):
            case "ping":
                reader.tell({"type": "pong"})
            case "login":
                self._log_in(reader, frame.get("args"))
            case "subscribe":
                self._subscribe(reader, str(frame.get("channel")), str(frame.get("market") or ""))
            case "unsubscribe":
                self._unsubscribe(reader, str(frame.get("channel")), str(frame.get("market") or ""))
            case other:
                raise Refusal(f"Invalid op: {other}")

    def _log_in(self, reader: Reader, args: Any) -> None:
        if reader.account is not None:
            raise Refusal("Already logged in")
        if not isinstance(args, dict):
            raise Refusal("Missing parameter args")
        try:
            account = self._venue.find(str(args.get("key")), str(args.get("subaccount") or ""))
        except Refusal:
            raise Refusal("Invalid login credentials") from None
        stamp = args.get("time")
        fresh = isinstance(stamp, int) and abs(self._now_ms() - stamp) <= LOGIN_WINDOW_MS
        if not fresh or not is_signature(str(args.get("sign")), account.secret, f"{stamp}websocket_login"):
            raise Refusal("Invalid login credentials")
        reader.account = account

    def _subscribe(self, reader: Reader, channel: str, market: str) -> None:
        if channel in PRIVATE:
            if reader.account is None:
                raise Refusal("Not logged in")
            market = ""
        elif channel in PUBLIC:
            self._check_market(market)
        elif channel != "markets":
            raise Refusal(f"No such channel: {channel}", 404)
        if (channel, market) in reader.channels:
            raise Refusal("Already subscribed")
        reader.channels[channel, market] = None
        reader.tell(_named({"type": "subscribed"}, channel, market))
        first = self._first(channel, market)
        if first is not None:
            reader.tell(_named({"type": "partial"}, channel, market) | {"data": first})

    def _check_market(self, market: str) -> None:
        if market not in self._exchange.instruments:
            raise Refusal(f"No such market: {market}", 404)

    def _unsubscribe(self, reader: Reader, channel: str, market: str) -> None:
        if reader.channels.pop((channel, market), ...) is ...:
            raise Refusal("Not subscribed")
        reader.tell(_named({"type": "unsubscribed"}, channel, market))

    def _first(self, channel: str, market: str) -> Any:
        if channel == "orderbook":
            bids, asks = self._book(market)
            self._books.setdefault(market, (bids, asks))
            return self._book_frame(market, bids, asks, bids, asks, "partial")
        if channel == "markets":
            return {"data": {name: self._market(name) for name in self._exchange.instruments}, "action": "partial"}
        return None

    def _market(self, name: str) -> Json:
        instrument = self._exchange.instruments[name]
        spot = instrument.contract is Contract.SPOT
        return {
            "name": name,
            "enabled": True,
            "priceIncrement": wire.real(instrument.price_tick),
            "sizeIncrement": wire.real(instrument.quantity_step),
            "type": "spot" if spot else "future",
            "baseCurrency": instrument.base if spot else None,
            "quoteCurrency": instrument.quote if spot else None,
            "underlying": None if spot else instrument.base,
            "restricted": False,
            "future": None if spot else {"name": name, "underlying": instrument.base, "type": "perpetual", "enabled": True},
        }

    # --- what happens ---

    def tell_private(self, account: str, channel: str, payload: Json) -> None:
        text = _encode({"channel": channel, "type": "update", "data": payload}).decode()
        for reader in list(self._readers):
            if reader.account is not None and reader.account.name == account and (channel, "") in reader.channels:
                self._delivery.send(account, reader, text, lambda lost: None)

    def on_report(self, report: Report) -> None:
        """Public trades at once; quotes and books once everything of one moment has happened."""
        if isinstance(report, Trade):
            frame = _named({"type": "update"}, "trades", report.symbol) | {"data": [wire.trade(report)]}
            self._publish("trades", report.symbol, frame)
        if isinstance(report, Trade | Quote):
            self._moved[report.symbol] = None
            if self._flush is None:
                self._flush = asyncio.get_running_loop().call_soon(self._tell_moved)

    def _tell_moved(self) -> None:
        self._flush = None
        moved, self._moved = self._moved, {}
        for market in moved:
            if self._has_readers("ticker", market):
                quote = wire.ticker(self._exchange.quote(market), self._exchange.last_price(market))
                self._publish("ticker", market, _named({"type": "update"}, "ticker", market) | {"data": quote})
            if self._has_readers("orderbook", market):
                self._tell_book(market)

    def _tell_book(self, market: str) -> None:
        before = self._books.get(market, ([], []))
        bids, asks = now = self._book(market)
        if now == before:
            return
        self._books[market] = now
        changes = self._book_frame(market, _changes(before[0], bids), _changes(before[1], asks), bids, asks, "update")
        self._publish("orderbook", market, _named({"type": "update"}, "orderbook", market) | {"data": changes})

    def _book(self, market: str) -> tuple[Levels, Levels]:
        bids, asks = self._exchange.depth(market, DEPTH)
        return wire.levels(bids), wire.levels(asks)

    def _book_frame(self, market: str, bids: Levels, asks: Levels, all_bids: Levels, all_asks: Levels, action: str) -> Json:
        return {
            "time": self._now_ms() / 1000,
            "checksum": wire.checksum(all_bids, all_asks),
            "bids": bids,
            "asks": asks,
            "action": action,
        }

    def _has_readers(self, channel: str, market: str) -> bool:
        return any((channel, market) in reader.channels for reader in self._readers)

    def _publish(self, channel: str, market: str, frame: Json) -> None:
        text = ""
        for reader in list(self._readers):
            if (channel, market) in reader.channels:
                text = text or _encode(frame).decode()
                reader.push(text)


def _named(frame: Json, channel: str, market: str) -> Json:
    return {"channel": channel, **({"market": market} if market else {}), **frame}


def _changes(before: Levels, now: Levels) -> Levels:
    """Levels that are new or other; those that are gone with a size of zero."""
    old, new = dict(before), dict(now)
    changed = [(price, size) for price, size in new.items() if old.get(price) != size]
    return changed + [(price, 0.0) for price in old if price not in new]
