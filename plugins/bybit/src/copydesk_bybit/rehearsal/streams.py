"""Websocket streams: the private one of each account, and the public topics of each category.

Source: Bybit v5, "Connect" and the pages of the topics; acknowledgements and pongs as recorded.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import WSCloseCode, web
from copydesk_paper.records import Quote, Report, Trade
from copydesk_paper.serving.faults import Faults
from copydesk_paper.serving.outbox import Delivery, Outbox

from copydesk_bybit.rehearsal.account import Account
from copydesk_bybit.rehearsal.codes import Refusal
from copydesk_bybit.rehearsal.desk import Desk
from copydesk_bybit.rehearsal.listing import Rules
from copydesk_bybit.rehearsal.market import DEPTHS, INTERVALS, Levels, MarketData, changes
from copydesk_bybit.rehearsal.signing import check_socket
from copydesk_bybit.rehearsal.wire import Json
from copydesk_bybit.symbols import CATEGORIES, SPOT

TICK_S = 0.1
GOODBYE_S = 1.0
MAX_ARGS = 21_000
MAX_SPOT_ARGS = 10
PRIVATE_TOPICS = frozenset({"order", "execution", "execution.fast", "position", "wallet", "greeks", "dcp", "spread.order"})
BY_CATEGORY = frozenset({"order", "execution", "execution.fast", "position"})
"""Topics of which there is also one for each category, as in `order.linear`."""
_EVERY = {1: 1, 50: 1, 200: 1, 1_000: 2}
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any]).decode


class Reader(Outbox):
    """One websocket of a client. `category` is empty for the private stream; `account` is set once it has logged in."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None, category: str) -> None:
        super().__init__(socket, transport)
        self.category = category
        self.id = f"{secrets.token_hex(10)}-{secrets.token_hex(2)}"
        self.account: Account | None = None
        self.topics: dict[str, None] = {}

    def send(self, frame: Json) -> None:
        self.push(_encode(frame).decode())


class Streams:
    """All connections. A `Watcher` of the desk."""

    def __init__(self, desk: Desk, market: MarketData, faults: Faults, now_ms: Callable[[], int]) -> None:
        self._desk = desk
        self._market = market
        self._now_ms = now_ms
        self._delivery: Delivery[Reader] = Delivery(faults)
        self._readers: set[Reader] = set()
        self._private: dict[str, set[Reader]] = {}
        self._public: dict[tuple[str, str], set[Reader]] = {}
        self._books: dict[tuple[str, str], tuple[Levels, Levels]] = {}
        self._tickers: dict[tuple[str, str], Json] = {}
        self._ticks = 0

    # --- private events ---

    def listens(self, account: Account) -> bool:
        """Whether anybody listens to an account."""
        return bool(self._private.get(account.name))

    def tell(self, account: Account, topic: str, row: Json) -> None:
        """One row of a private topic, to all who listen to it."""
        readers = self._private.get(account.name)
        if not readers:
            return
        frames: dict[str, str] = {}
        for reader in tuple(readers):
            for name in (topic, f"{topic}.{row.get('category')}"):
                if name in reader.topics and reader.account is account:
                    if name not in frames:
                        frames[name] = _encode(self._private_frame(account, name, row)).decode()
                    self._delivery.send(account.name, reader, frames[name], self._forget)

    def _private_frame(self, account: Account, topic: str, row: Json) -> Json:
        frame: Json = {"topic": topic, "creationTime": self._now_ms(), "data": [row]}
        if topic.startswith("execution.fast"):
            return frame
        return {"id": f"{account.user_id:06x}{secrets.token_hex(8)}"} | frame

    # --- public events ---

    def on_report(self, report: Report) -> None:
        """To be called with every report of the exchange."""
        if not isinstance(report, Trade | Quote) or report.symbol not in self._desk.listing:
            return
        self._market.moved()
        rules = self._desk.listing.rules(report.symbol)
        if isinstance(report, Trade):
            row = self._market.trade_event(report, rules)
            topic = f"publicTrade.{rules.name}"
            self._publish(
                rules.category, topic, lambda: {"topic": topic, "type": "snapshot", "ts": self._now_ms(), "data": [row]}
            )
        else:
            self._tell_best(rules)

    def _tell_best(self, rules: Rules) -> None:
        topic = f"orderbook.1.{rules.name}"
        if (rules.category, topic) in self._public:
            self._publish(rules.category, topic, lambda: self._book_frame(rules, topic, 1, "snapshot"))

    def _publish(self, category: str, topic: str, make: Callable[[], Json]) -> None:
        readers = self._public.get((category, topic))
        if readers:
            text = _encode(make()).decode()
            for reader in tuple(readers):
                reader.push(text)

    def _book_frame(self, rules: Rules, topic: str, depth: int, kind: str, levels: Any = None) -> Json:
        bids, asks = levels if levels is not None else self._market.levels(rules, depth)
        now, market = self._now_ms(), self._market
        data = {"s": rules.name, "b": bids, "a": asks, "u": market.update_id, "seq": market.seq}
        if rules.category == SPOT or depth == 1:
            return {"topic": topic, "ts": now, "type": kind, "data": data, "cts": now}
        return {"topic": topic, "type": kind, "ts": now, "data": data, "cts": now}

    async def run(self) -> None:
        """Send what comes at a fixed pace: books, tickers, candles. Runs until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            self._ticks += 1
            for category, topic in tuple(self._public):
                self._on_tick(category, topic)

    def _on_tick(self, category: str, topic: str) -> None:
        kind, _, rest = topic.partition(".")
        if kind == "orderbook":
            self._tick_book(category, topic, rest)
        elif kind == "tickers" and self._ticks % 2 == 0:
            self._tick_ticker(category, topic, rest)
        elif kind == "kline" and self._ticks % 10 == 0:
            frame = self._candle_frame(category, topic, rest)
            if frame is not None:
                self._publish(category, topic, lambda: frame)

    def _tick_book(self, category: str, topic: str, rest: str) -> None:
        depth_text, _, name = rest.partition(".")
        depth = int(depth_text)
        if depth == 1 or self._ticks % _EVERY[depth]:
            return
        rules = self._desk.listing.named(category, name)
        before, after = self._books[category, topic], self._market.levels(rules, depth)
        bids, asks = changes(before[0], after[0]), changes(before[1], after[1])
        if bids or asks:
            self._books[category, topic] = after
            self._publish(category, topic, lambda: self._book_frame(rules, topic, depth, "delta", (bids, asks)))

    def _tick_ticker(self, category: str, topic: str, name: str) -> None:
        rules = self._desk.listing.named(category, name)
        after, before = self._market.ticker_event(rules), self._tickers.get((category, topic), {})
        changed = {field: value for field, value in after.items() if before.get(field) != value}
        if not changed:
            return
        self._tickers[category, topic] = after
        whole = category == SPOT  # spot tickers come as snapshots only
        data = after if whole else {"symbol": name} | changed
        self._publish(category, topic, lambda: self._ticker_frame(topic, "snapshot" if whole else "delta", data))

    def _ticker_frame(self, topic: str, kind: str, data: Json) -> Json:
        return {"topic": topic, "type": kind, "data": data, "cs": self._market.seq, "ts": self._now_ms()}

    def _candle_frame(self, category: str, topic: str, rest: str) -> Json | None:
        interval, _, name = rest.partition(".")
        event = self._market.candle_event(self._desk.listing.named(category, name), interval)
        if event is None:
            return None
        return {"topic": topic, "data": [event], "ts": self._now_ms(), "type": "snapshot"}

    # --- connections ---

    async def serve_private(self, request: web.BaseRequest) -> web.WebSocketResponse:
        return await self._serve(request, "", self._hear_private)

    async def serve_public(self, request: web.BaseRequest, category: str) -> web.WebSocketResponse:
        return await self._serve(request, category, self._hear_public)

    async def _serve(
        self, request: web.BaseRequest, category: str, hear: Callable[[Reader, Json], None]
    ) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=1 << 20)
        await socket.prepare(request)
        reader = Reader(socket, request.transport, category)
        self._readers.add(reader)
        try:
            await reader.serve(_hearing(reader, hear))
        finally:
            self._forget(reader)
            self._readers.discard(reader)
        return socket

    def _hear_private(self, reader: Reader, frame: Json) -> None:
        op, id_ = frame.get("op"), _id(frame)
        if op == "ping":
            reader.send(id_ | {"op": "pong", "args": [str(self._now_ms())], "conn_id": reader.id})
        elif op == "auth":
            self._log_in(reader, frame)
        elif op in ("subscribe", "unsubscribe"):
            self._subscribe_private(reader, frame)
        else:
            _refuse(reader, frame, "error:invalid op")

    def _log_in(self, reader: Reader, frame: Json) -> None:
        try:
            account = check_socket(self._desk.by_key, frame.get("args"), self._now_ms())
        except Refusal as refusal:
            reader.send({"success": False, "ret_msg": refusal.message, "op": "auth", "conn_id": reader.id} | _id(frame))
            return
        reader.account = account
        self._private.setdefault(account.name, set()).add(reader)
        reader.send({"success": True, "ret_msg": "", "op": "auth", "conn_id": reader.id} | _id(frame))

    def _subscribe_private(self, reader: Reader, frame: Json) -> None:
        topics = _args(frame)
        if reader.account is None:
            _refuse(reader, frame, "Request not authorized")
            return
        unknown = [topic for topic in topics if not _is_private(topic)]
        if unknown or not topics:
            _refuse(reader, frame, f"error:handler not found,topic:{','.join(unknown)}")
            return
        for topic in topics:
            if frame["op"] == "subscribe":
                reader.topics[topic] = None
            else:
                reader.topics.pop(topic, None)
        reader.send({"success": True, "ret_msg": "", "op": frame["op"], "conn_id": reader.id} | _id(frame))

    def _hear_public(self, reader: Reader, frame: Json) -> None:
        op = frame.get("op")
        spot = reader.category == SPOT
        id_ = {"req_id": str(frame.get("req_id") or "")}
        if op == "ping":
            reader.send({"success": True, "ret_msg": "pong", "conn_id": reader.id} | id_ | {"op": "ping"})
            return
        if op not in ("subscribe", "unsubscribe"):
            _refuse(reader, frame, "error:invalid op")
            return
        topics = _args(frame)
        problem = self._problem(reader, topics) if op == "subscribe" else ""
        if problem:
            _refuse(reader, frame, problem)
            return
        word = "subscribe" if spot and op == "subscribe" else ""
        reader.send({"success": True, "ret_msg": word, "conn_id": reader.id} | id_ | {"op": op})
        for topic in topics:
            if op == "subscribe":
                self._subscribe(reader, topic)
            else:
                self._unsubscribe(reader, topic)

    def _problem(self, reader: Reader, topics: list[str]) -> str:
        """Why these topics cannot be subscribed to; empty where they can."""
        if not topics:
            return "error:args is empty"
        if reader.category == SPOT and len(topics) > MAX_SPOT_ARGS:
            return "args size >10"
        if sum(map(len, topics)) > MAX_ARGS:
            return "args is too long"
        for topic in topics:
            if not self._exists(reader.category, topic):
                return f"error:handler not found,topic:{topic}"
        again = [topic for topic in topics if topic in reader.topics]
        return f"error:already subscribed,topic:{again[0]}" if again else ""

    def _exists(self, category: str, topic: str) -> bool:
        kind, _, rest = topic.partition(".")
        name = rest
        if kind in ("orderbook", "kline"):
            first, _, name = rest.partition(".")
            known = first in INTERVALS if kind == "kline" else first in {str(depth) for depth in DEPTHS}
            if not known:
                return False
        elif kind not in ("publicTrade", "tickers", "allLiquidation", "liquidation", "priceLimit"):
            return False
        try:
            self._desk.listing.named(category, name)
        except Refusal:
            return False
        return True

    def _subscribe(self, reader: Reader, topic: str) -> None:
        category = reader.category
        reader.topics[topic] = None
        self._public.setdefault((category, topic), set()).add(reader)
        kind, _, rest = topic.partition(".")
        if kind == "orderbook":
            depth_text, _, name = rest.partition(".")
            rules, depth = self._desk.listing.named(category, name), int(depth_text)
            levels = self._market.levels(rules, depth)
            if (category, topic) not in self._books or depth == 1:
                self._books[category, topic] = levels
            reader.send(self._book_frame(rules, topic, depth, "snapshot", self._books[category, topic]))
        elif kind == "tickers":
            rules = self._desk.listing.named(category, rest)
            row = self._tickers.setdefault((category, topic), self._market.ticker_event(rules))
            reader.send(self._ticker_frame(topic, "snapshot", row))

    def _unsubscribe(self, reader: Reader, topic: str) -> None:
        reader.topics.pop(topic, None)
        place = (reader.category, topic)
        readers = self._public.get(place)
        if readers is not None:
            readers.discard(reader)
            if not readers:
                del self._public[place]
                self._books.pop(place, None)
                self._tickers.pop(place, None)

    def _forget(self, reader: Reader) -> None:
        self._delivery.forget(reader)
        if reader.account is not None:
            self._private.get(reader.account.name, set()).discard(reader)
        if reader.category:
            for topic in tuple(reader.topics):
                self._unsubscribe(reader, topic)

    def listeners(self, account: str, *topics: str) -> int:
        """How many private connections of an account listen to all of these topics."""
        return sum(all(topic in reader.topics for topic in topics) for reader in self._private.get(account, ()))

    def drop_all(self) -> None:
        """Cut every connection without a word."""
        for reader in tuple(self._readers):
            self._forget(reader)
            reader.drop()

    async def close(self) -> None:
        """Say goodbye on every connection."""
        closing = [asyncio.create_task(_say_goodbye(reader)) for reader in self._readers]
        if closing:
            await asyncio.wait(closing)


def _hearing(reader: Reader, hear: Callable[[Reader, Json], None]) -> Callable[[str], Awaitable[None]]:
    async def heard(text: str) -> None:
        try:
            frame = _decode(text)
        except msgspec.DecodeError:
            reader.send({"success": False, "ret_msg": "error:json unmarshal failed", "conn_id": reader.id, "op": ""})
            return
        hear(reader, frame)

    return heard


async def _say_goodbye(reader: Reader) -> None:
    with contextlib.suppress(ConnectionError, asyncio.TimeoutError):
        await asyncio.wait_for(reader.socket.close(code=WSCloseCode.GOING_AWAY), GOODBYE_S)
    reader.drop()


def _id(frame: Json) -> Json:
    return {"req_id": str(frame["req_id"])} if frame.get("req_id") else {}


def _args(frame: Json) -> list[str]:
    args = frame.get("args")
    return [str(one) for one in args] if isinstance(args, list) else []


def _is_private(topic: str) -> bool:
    if topic in PRIVATE_TOPICS:
        return True
    head, _, category = topic.rpartition(".")
    return head in BY_CATEGORY and category in (*CATEGORIES, "option")


def _refuse(reader: Reader, frame: Json, message: str) -> None:
    reader.send({"success": False, "ret_msg": message, "conn_id": reader.id, "op": str(frame.get("op") or "")} | _id(frame))
