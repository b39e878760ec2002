"""The sending side of one websocket of a rehearsal venue: a bounded queue and what empties it."""

from __future__ import annotations

import asyncio
from collections import deque

from aiohttp import web

MAX_QUEUE = 20_000
"""Frames that wait for a client that does not read; at more its connection is cut."""


class Outbox:
    """Frames leave in the order in which they were pushed. `pump` runs as a task of the connection."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        self.socket = socket
        self._transport = transport
        self._queue: deque[str] = deque()
        self._wake = asyncio.Event()

    def push(self, text: str) -> None:
        if len(self._queue) >= MAX_QUEUE:
            self.drop()
            return
        self._queue.append(text)
        self._wake.set()

    def drop(self) -> None:
        """Cut the connection without a word, as a network does."""
        if self._transport is not None:
            self._transport.abort()

    async def pump(self) -> None:
        """Send what is queued until the connection ends."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                await self.socket.send_str(self._queue.popleft())
