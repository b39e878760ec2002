"""BitMEX's websocket: tables as partial, insert, update and delete; the account's own after a login."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import msgspec
from aiohttp import web
from copydesk.model import Order, OrderStatus, OrderType, Position, Side, Terms
from copydesk_paper.records import AccountReport, OrderReport, Quote, Report, Trade
from copydesk_paper.serving.faults import Faults
from copydesk_paper.serving.outbox import Delivery, Outbox
from copydesk_paper.serving.signatures import is_signature

from copydesk_bitmex.rehearsal import wire, wire_market
from copydesk_bitmex.rehearsal.asked import Refusal
from copydesk_bitmex.rehearsal.rest import instrument_row
from copydesk_bitmex.rehearsal.venue import Account, Venue
from copydesk_bitmex.rehearsal.wire import Json

PRIVATE = frozenset({"order", "execution", "position", "margin", "wallet", "account", "transact", "affiliate"})
PUBLIC = frozenset({"instrument", "trade", "quote", "orderBookL2", "orderBookL2_25", "orderBook10"})
SILENT = frozenset(
    {"announcement", "connected", "funding", "insurance", "liquidation", "publicNotifications", "settlement"}
)
"""Topics that exist and on which nothing ever happens here."""
KEYS: dict[str, list[str]] = {
    "order": ["orderID"],
    "execution": ["execID"],
    "position": ["account", "symbol", "currency"],
    "margin": ["account", "currency"],
    "instrument": ["symbol"],
    "trade": [],
    "quote": [],
    "orderBookL2": ["symbol", "id", "side"],
    "orderBookL2_25": ["symbol", "id", "side"],
    "orderBook10": ["symbol"],
}
MARK_MS = 1_000
DEPTHS = {"orderBookL2": 1_000, "orderBookL2_25": 25, "orderBook10": 10}
_encode = msgspec.json.Encoder().encode
_KINDS = {bool: "boolean", int: "long", float: "float", str: "symbol", type(None): "float"}
_GUIDS, _TIMES = frozenset({"orderID", "execID", "trdMatchID"}), frozenset({"timestamp", "transactTime"})


class Reader(Outbox):
    """One websocket: who logged in on it, and what it listens to, as (table, symbol)."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        super().__init__(socket, transport)
        self.account: Account | None = None
        self.topics: dict[tuple[str, str], None] = {}

    def tell(self, payload: Json) -> None:
        self.push(_encode(payload).decode())


class Streams:
    """All websockets."""

    def __init__(self, venue: Venue, faults: Faults) -> None:
        self._venue = venue
        self._exchange = venue.exchange
        self._readers: dict[Reader, None] = {}
        self._delivery: Delivery[Reader] = Delivery(faults)
        self._instruments: dict[str, Json] = {}
        self._books: dict[tuple[str, str], dict[tuple[str, int], Json]] = {}
        self._moved: dict[str, None] = {}
        self._marked: dict[str, int] = {}
        self._flush: asyncio.Handle | None = None
        venue.told = self.tell_private

    async def serve(
        self, request: web.BaseRequest, query: dict[str, str], account: Account | None
    ) -> web.WebSocketResponse:
        """`account`: who the upgrade's own headers log in."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        reader = Reader(socket, request.transport)
        reader.account = account
        self._readers[reader] = None
        now = wire.iso(self._venue.now_ms())
        reader.tell(
            {
                "info": "Welcome to the BitMEX Realtime API.",
                "version": "2026-09-01T00:00:00.000Z",
                "timestamp": now,
                "docs": "https://www.bitmex.com/app/wsAPI",
                "limit": {"remaining": 39},
            }
        )
        topics = [topic for topic in query.get("subscribe", "").split(",") if topic]
        if topics:
            self._do(reader, {"op": "subscribe", "args": topics})
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
            if text == "ping":
                reader.push("pong")
                return
            if text == "help":
                reader.tell({"info": "See https://www.bitmex.com/app/wsAPI for more documentation.", "ops": sorted(OPS)})
                return
            try:
                frame = msgspec.json.decode(text)
            except msgspec.DecodeError:
                frame = None
            if not isinstance(frame, dict):
                reader.tell(
                    {"status": 400, "error": "Unrecognized request. See docs or send 'help' for more info.", "meta": {}}
                )
                return
            self._do(reader, frame)

        return hear

    def _do(self, reader: Reader, frame: Json) -> None:
        args = frame.get("args")
        given = args if isinstance(args, list) else [args]
        op = str(frame.get("op"))
        try:
            if op not in OPS:
                raise Refusal(f"Unknown op: {op}")
            if op in ("authKeyExpires", "authKey"):
                self._log_in(reader, given)
                reader.tell({"success": True, "request": frame})
            elif op == "cancelAllAfter":
                self._cancel_all_after(reader, given, frame)
            else:
                for topic in given:
                    self._topic(reader, op, str(topic), frame)
        except Refusal as refusal:
            reader.tell({"status": refusal.status, "error": str(refusal), "meta": {}, "request": frame})

    def _log_in(self, reader: Reader, given: list[Any]) -> None:
        account = self._venue.by_key(str(given[0])) if len(given) == 3 else None
        if account is None:
            raise Refusal("Invalid API Key.", 401)
        expires = given[1]
        now_s = self._venue.now_ms() / 1000
        if not isinstance(expires, int | float) or expires < now_s:
            raise Refusal(f"This request has expired - `expires` is in the past. Current time: {int(now_s)}", 401)
        if not is_signature(str(given[2]), account.secret, f"GET/realtime{expires}"):
            raise Refusal("Signature not valid.", 401)
        if reader.account is not None and reader.account is not account:
            raise Refusal("Already authenticated.", 400)
        reader.account = account

    def _cancel_all_after(self, reader: Reader, given: list[Any], frame: Json) -> None:
        account = reader.account
        if account is None:
            raise Refusal("You must be authenticated to use this op.", 401)
        timeout = given[0] or 0
        if not isinstance(timeout, int):
            raise Refusal("timeout is invalid")
        reader.tell({**self._venue.cancel_all_after(account, timeout), "request": frame})

    def _topic(self, reader: Reader, op: str, topic: str, frame: Json) -> None:
        table, _, symbol = topic.partition(":")
        if table not in PRIVATE | PUBLIC | SILENT:
            raise Refusal(f"Unknown or expired topic: {topic}")
        if table in PRIVATE and reader.account is None:
            raise Refusal(f"User requested an account-locked subscription but no authorization was provided: {topic}", 401)
        if op == "unsubscribe":
            reader.topics.pop((table, symbol), None)
            reader.tell({"success": True, "unsubscribe": topic, "request": frame})
            return
        if (table, symbol) in reader.topics:
            raise Refusal(f"You are already subscribed to this topic: {topic}")
        reader.topics[table, symbol] = None
        reader.tell({"success": True, "subscribe": topic, "request": frame})
        if table in KEYS:
            reader.tell(self._partial(reader, table, symbol))

    # --- whole tables ---

    def _partial(self, reader: Reader, table: str, symbol: str) -> Json:
        data = self._whole(reader, table, symbol)
        shown = data[0] if data else self._example(table)
        filter_: Json = {"account": reader.account.number} if table in PRIVATE and reader.account is not None else {}
        if symbol:
            filter_["symbol"] = symbol
        return {
            "table": table,
            "action": "partial",
            "keys": KEYS[table],
            "types": {name: _kind(name, value) for name, value in shown.items()},
            "foreignKeys": {"symbol": "instrument", "side": "side"},
            "attributes": dict.fromkeys(KEYS[table], "grouped"),
            "filter": filter_,
            "data": data,
        }

    def _example(self, table: str) -> Json:
        """A row of a table that is empty: the types of its columns are told all the same."""
        instrument = next(iter(self._exchange.instruments.values()))
        terms = Terms(symbol=instrument.symbol, side=Side.BUY, type=OrderType.MARKET, quantity=Decimal(1))
        row = wire.order(Order(venue_id="1", terms=terms, status=OrderStatus.NEW), instrument, 1, {})
        if table == "execution":
            return wire.execution(row, 1, 1, "New", None, instrument)
        if table == "position":
            held = Position(symbol=instrument.symbol, quantity=Decimal(1), mark_price=Decimal(1), entry_price=Decimal(1))
            return {**wire.position(held, instrument, 1, 1, isolated=False), "timestamp": ""}
        return row if table == "order" else {}

    def _whole(self, reader: Reader, table: str, symbol: str) -> list[Json]:
        venue, account = self._venue, reader.account
        if table in PRIVATE:
            assert account is not None
            return [row for row in _private(venue, account, table) if symbol in ("", row.get("symbol"))]
        symbols = [symbol] if symbol in self._exchange.instruments else list(self._exchange.instruments)
        if table == "instrument":
            return [self._instrument(one) for one in symbols]
        if table == "trade":
            return [
                wire_market.trade(t, self._exchange.instruments[s]) for s in symbols for t in self._exchange.trades(s, 1)
            ]
        if table == "quote":
            return [wire_market.quote(self._exchange.quote(one)) for one in symbols]
        return [row for one in symbols for row in self._book(table, one)]

    def _instrument(self, symbol: str) -> Json:
        row = self._instruments[symbol] = instrument_row(self._venue, symbol)
        return row

    def _book(self, table: str, symbol: str) -> list[Json]:
        bids, asks = self._exchange.depth(symbol, DEPTHS[table])
        now = self._venue.now_ms()
        if table == "orderBook10":
            sides = {"bids": [list(level) for level in _reals(bids)], "asks": [list(level) for level in _reals(asks)]}
            return [{"symbol": symbol, **sides, "timestamp": wire.iso(now)}]
        rows = wire_market.levels(symbol, bids, asks, now)
        self._books[table, symbol] = {(row["side"], row["id"]): row for row in rows}
        return rows

    # --- what happens ---

    def tell_private(self, account: Account, table: str, action: str, rows: list[Json]) -> None:
        text = _encode({"table": table, "action": action, "data": rows}).decode()
        symbols = {"", *(str(row.get("symbol", "")) for row in rows)}
        for reader in list(self._readers):
            if reader.account is account and any((table, symbol) in reader.topics for symbol in symbols):
                self._delivery.send(account.name, reader, text, lambda lost: None)

    def on_report(self, report: Report) -> None:
        """Private tables and public trades at once; quotes and books once everything of one moment has happened."""
        if isinstance(report, OrderReport):
            self._venue.on_order(report)
        elif isinstance(report, AccountReport):
            self._venue.on_account(report.account, [position.symbol for position in report.positions])
        elif isinstance(report, Trade):
            row = wire_market.trade(report, self._exchange.instruments[report.symbol])
            self._publish("trade", report.symbol, "insert", [row])
        if isinstance(report, Trade | Quote):
            self._moved[report.symbol] = None
            if self._flush is None:
                self._flush = asyncio.get_running_loop().call_soon(self._tell_moved)

    def _tell_moved(self) -> None:
        self._flush = None
        moved, self._moved = self._moved, {}
        for symbol in moved:
            if self._is_read("instrument", symbol):
                before = self._instruments.get(symbol, {})
                now = self._instrument(symbol)
                changed = {name: value for name, value in now.items() if before.get(name, ...) != value}
                self._publish(
                    "instrument", symbol, "update", [{"symbol": symbol, **changed, "timestamp": now["timestamp"]}]
                )
            if self._is_read("quote", symbol):
                self._publish("quote", symbol, "insert", [wire_market.quote(self._exchange.quote(symbol))])
            for table in ("orderBookL2", "orderBookL2_25"):
                if self._is_read(table, symbol):
                    self._tell_book(table, symbol)
            self._tell_marks(symbol)
            if self._is_read("orderBook10", symbol):
                self._publish("orderBook10", symbol, "update", self._book("orderBook10", symbol))

    def _tell_marks(self, symbol: str) -> None:
        """What positions are worth moves with the price: told now and then, as BitMEX did."""
        now = self._venue.now_ms()
        if now - self._marked.get(symbol, 0) < MARK_MS:
            return
        self._marked[symbol] = now
        owners = {reader.account.name for reader in self._readers if reader.account is not None}
        for name in sorted(owners):
            if any(held.symbol == symbol for held in self._exchange.positions(name)):
                self._venue.on_account(name, [symbol])

    def _tell_book(self, table: str, symbol: str) -> None:
        before = self._books.get((table, symbol), {})
        self._book(table, symbol)
        now = self._books[table, symbol]
        gone = [
            {name: row[name] for name in ("symbol", "id", "side", "price", "timestamp")}
            for key, row in before.items()
            if key not in now
        ]
        new = [row for key, row in now.items() if key not in before]
        other = [
            {name: row[name] for name in ("symbol", "id", "side", "size", "price", "timestamp", "transactTime")}
            for key, row in now.items()
            if key in before and before[key]["size"] != row["size"]
        ]
        for action, rows in (("delete", gone), ("update", other), ("insert", new)):
            if rows:
                self._publish(table, symbol, action, rows)

    def _is_read(self, table: str, symbol: str) -> bool:
        return any((table, symbol) in reader.topics or (table, "") in reader.topics for reader in self._readers)

    def _publish(self, table: str, symbol: str, action: str, rows: list[Json]) -> None:
        text = ""
        for reader in list(self._readers):
            if (table, symbol) in reader.topics or (table, "") in reader.topics:
                text = text or _encode({"table": table, "action": action, "data": rows}).decode()
                reader.push(text)


OPS = frozenset({"authKey", "authKeyExpires", "cancelAllAfter", "subscribe", "unsubscribe"})


def _private(venue: Venue, account: Account, table: str) -> list[Json]:
    if table == "order":
        return [venue.row(account, order) for order in venue.working(account)]
    if table == "position":
        return venue.positions(account)
    return venue.margins(account) if table == "margin" else []


def _kind(name: str, value: Any) -> str:
    if name in _GUIDS:
        return "guid"
    return "timestamp" if name in _TIMES else _KINDS.get(type(value), "symbol")


def _reals(side: list[tuple[Any, Any]]) -> list[tuple[Any, Any]]:
    return [(wire.real(price), wire.real(size)) for price, size in side]
