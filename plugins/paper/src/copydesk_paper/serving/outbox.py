"""The sending side of a rehearsal venue's websockets: a bounded queue each, and the faults that private events meet."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Generic, Protocol, TypeVar

from aiohttp import WSMsgType, web

from copydesk_paper.serving.faults import Faults

MAX_QUEUE = 20_000
"""Frames that wait for a client that does not read; at more its connection is cut."""

REORDER_WAIT_S = 0.1
"""How long `reorder` holds a frame back where none follows that it could change places with."""


class Outbox:
    """Frames leave in the order in which they were pushed, each at once unless one before it is still on its way.

    A frame is text, or bytes on a wire that is binary.
    """

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        self.socket = socket
        self._transport = transport
        self._queue: deque[str | bytes] = deque()
        self._wake = asyncio.Event()
        self._drained = asyncio.Event()
        self._drained.set()
        self._dropped = False

    def push(self, frame: str | bytes) -> None:
        if len(self._queue) >= MAX_QUEUE:
            self.drop()
            return
        self._queue.append(frame)
        self._drained.clear()
        self._wake.set()

    async def until_sent(self) -> None:
        """Return once everything that was pushed has left."""
        await self._drained.wait()

    def drop(self) -> None:
        """Cut the connection without a word, as a network does. What came over it and was not heard yet never is."""
        self._dropped = True
        if self._transport is not None:
            self._transport.abort()

    async def serve(self, hear: Callable[[Any], Awaitable[None]], frames: WSMsgType = WSMsgType.TEXT) -> None:
        """Send what is pushed and hear every frame of that type that comes, one after the other, until the connection
        ends."""
        pump = asyncio.create_task(self._pump())
        try:
            async for message in self.socket:
                if self._dropped:
                    return
                if message.type is frames:
                    await hear(message.data)
        finally:
            pump.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await pump

    async def _pump(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                frame = self._queue.popleft()
                if isinstance(frame, bytes):
                    await self.socket.send_bytes(frame)
                else:
                    await self.socket.send_str(frame)
            self._drained.set()


class Sink(Protocol):
    """What takes frames, of text or of bytes: an `Outbox`, or the socket of a venue that speaks over plain TCP."""

    def push(self, frame: Any, /) -> None: ...
    def drop(self) -> None: ...


Receiver = TypeVar("Receiver", bound=Sink)


class Delivery(Generic[Receiver]):
    """Pushes private events, with the faults `drop-stream`, `reorder` and `duplicate-events` of their account."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._held: dict[Receiver, str | bytes] = {}

    def send(self, account: str, outbox: Receiver, text: str | bytes, cut: Callable[[Receiver], None]) -> None:
        """Push one event. Where the stream is to be dropped, the event is lost, and `cut` is told before."""
        faults = self._faults
        if faults.fires("drop-stream", account):
            self.forget(outbox)
            cut(outbox)
            outbox.drop()
            return
        held = self._held.pop(outbox, None)
        if held is None and faults.fires("reorder", account):
            self._held[outbox] = text
            asyncio.get_running_loop().call_later(REORDER_WAIT_S, self._release, outbox)
            return
        outbox.push(text)
        if faults.fires("duplicate-events", account):
            outbox.push(text)
        if held is not None:
            outbox.push(held)

    def forget(self, outbox: Receiver) -> None:
        """The connection is gone, and what was held back for it."""
        self._held.pop(outbox, None)

    def _release(self, outbox: Receiver) -> None:
        held = self._held.pop(outbox, None)
        if held is not None:
            outbox.push(held)
