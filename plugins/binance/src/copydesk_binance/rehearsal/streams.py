"""Public websocket streams by name, for whichever of Binance's services. Private ones are the service's own affair.

A connection has a bounded queue and a task that empties it; who reads too slowly is disconnected.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import msgspec
from aiohttp import WSCloseCode, web
from copydesk_paper.serving.faults import Faults
from copydesk_paper.serving.outbox import Delivery, Outbox

MAX_STREAMS = 1_024
TICK_S = 0.1
HEARTBEAT_S = 180.0
GOODBYE_S = 1.0

Json = dict[str, Any]
Levels = list[list[str]]
encode = msgspec.json.Encoder().encode


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


class PublicStreams(ABC):
    """All connections by the names of the streams that they read. A service says which there are and what is on them."""

    def __init__(self, faults: Faults, now_ms: Callable[[], int]) -> None:
        self.now_ms = now_ms
        self.readers: dict[str, set[Connection]] = {}
        self.delivery: Delivery[Connection] = Delivery(faults)
        self.ticks = 0
        self._connections: set[Connection] = set()

    # --- what a service says ---

    @abstractmethod
    def exists(self, name: str) -> bool:
        """Whether there is such a stream."""

    @abstractmethod
    def on_tick(self, name: str) -> None:
        """A tenth of a second has passed: publish what this stream sends at a fixed pace. Its name may be anything."""

    @abstractmethod
    def opened(self, name: str) -> None:
        """The first reader of a stream has come."""

    @abstractmethod
    def closed(self, name: str) -> None:
        """The last reader of a stream has gone."""

    # --- events ---

    def publish(self, name: str, make: Callable[[], Any]) -> None:
        readers = self.readers.get(name)
        if readers:
            payload = encode(make())
            for reader in tuple(readers):
                reader.send(name, payload)

    async def run(self) -> None:
        """Send what comes at a fixed pace: books, candles, tickers, mark prices. Runs until cancelled."""
        while True:
            await asyncio.sleep(TICK_S)
            self.ticks += 1
            for name in tuple(self.readers):
                self.on_tick(name)

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
            self.subscribe(reader, name)

        async def hear(text: str) -> None:
            reader.push(encode(self._answer(reader, text)).decode())

        try:
            await reader.serve(hear)
        finally:
            self.forget_reader(reader)
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
                self._check_name(name)
            for name in params:
                self.subscribe(reader, name)
            return None
        if method == "UNSUBSCRIBE":
            for name in params:
                self.unsubscribe(reader, name)
            return None
        if method == "LIST_SUBSCRIPTIONS":
            return list(reader.names)
        if method == "SET_PROPERTY" and len(params) == 2 and params[0] == "combined":
            reader.combined = bool(params[1])
            return None
        if method == "GET_PROPERTY" and params == ["combined"]:
            return reader.combined
        raise ValueError(f"unknown method {method!r}")

    def _check_name(self, name: Any) -> None:
        """Raises ValueError for a stream that does not exist."""
        if not isinstance(name, str):
            raise ValueError("stream names are texts")
        if not self.exists(name):
            raise ValueError("invalid stream")

    def subscribe(self, reader: Connection, name: str) -> None:
        reader.names[name] = None
        readers = self.readers.get(name)
        if readers is None:
            readers = self.readers[name] = set()
            self.opened(name)
        readers.add(reader)

    def unsubscribe(self, reader: Connection, name: str) -> None:
        reader.names.pop(name, None)
        readers = self.readers.get(name)
        if readers is not None:
            readers.discard(reader)
            if not readers:
                del self.readers[name]
                self.closed(name)

    def forget_reader(self, reader: Connection) -> None:
        self.delivery.forget(reader)
        for name in tuple(reader.names):
            self.unsubscribe(reader, name)

    def drop_all(self) -> None:
        for reader in tuple(self._connections):
            self.forget_reader(reader)
            reader.drop()

    async def close(self) -> None:
        """Say goodbye to every reader."""
        closing = [asyncio.create_task(self._say_goodbye(reader)) for reader in self._connections]
        if closing:
            await asyncio.wait(closing)

    @staticmethod
    async def _say_goodbye(reader: Connection) -> None:
        with contextlib.suppress(ConnectionError, asyncio.TimeoutError):
            await asyncio.wait_for(reader.socket.close(code=WSCloseCode.GOING_AWAY), GOODBYE_S)
        reader.drop()


class BookChanges:
    """What changed in the books since they were last published, by the name of the stream."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[int, Levels, Levels]] = {}

    def open(self, name: str, update: int, bids: Levels, asks: Levels) -> None:
        """The book as it is when the first reader comes: what follows are changes to it."""
        self._last[name] = (update, bids, asks)

    def close(self, name: str) -> None:
        self._last.pop(name, None)

    def since(self, name: str, update: int, bids: Levels, asks: Levels, zero: str) -> tuple[int, Levels, Levels] | None:
        """The update that was published last, and what differs now; None where nothing does."""
        before = self._last[name]
        bids_changed, asks_changed = _changes(before[1], bids, zero), _changes(before[2], asks, zero)
        if not bids_changed and not asks_changed:
            return None
        self._last[name] = (update, bids, asks)
        return before[0], bids_changed, asks_changed

    def last_update(self, name: str, update: int, bids: Levels, asks: Levels) -> int:
        """Note the book as published now; the update of the time before."""
        before = self._last[name][0]
        self._last[name] = (update, bids, asks)
        return before


def _changes(before: Levels, after: Levels, zero: str) -> list[list[str]]:
    """The levels that differ; those that are gone with quantity zero."""
    old, new = dict(before), dict(after)
    gone = [[price, zero] for price in old if price not in new]
    return gone + [[price, size] for price, size in new.items() if old.get(price) != size]
