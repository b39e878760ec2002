"""Raw websocket streams as events: frames in their order, none merged, connecting again, deadlines, one bounded buffer.

ccxt's own `watch_orders` merges and defers updates; so the sockets are opened here, at the addresses that ccxt knows, and
the frames are read as they come. Prices are the exception: only the latest is kept.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from typing import Any

from copydesk.errors import AuthFailed, RateLimited, VenueError
from copydesk.hooks import Tell
from copydesk.model import Gap, PriceEvent, Record, StreamLost, VenueEvent

from copydesk_wire.errors import read_json
from copydesk_wire.websocket import Socket, connect

log = logging.getLogger("copydesk.ccxt")


class Timing(Record):
    """Deadlines and intervals of a stream, in seconds."""

    connect: float = 8.0
    heartbeat: float = 5.0  # a ping is sent after so much silence; without an answer in half of it the stream is dead
    backoff_first: float = 0.1
    backoff_most: float = 10.0


BUFFER = 10_000


class Lost(Exception):
    """The stream is down; says why."""


class Feed:
    """What a stream tells, to one reader: with `tell` in the very call, else through a bounded buffer. When that is full,
    all of it becomes one `Gap`: never silent.

    `read_ns` is when the frame that is being worked on was read (`time.perf_counter_ns()`), 0 for none. `fileno` is where
    the stream is read from that tells of its own losses and gaps, -1 while there is none.
    """

    def __init__(self, tell: Tell | None = None, *, limit: int = BUFFER) -> None:
        self.read_ns = 0
        self.fileno = -1
        self._tell = tell
        self._limit = limit
        self._events: deque[VenueEvent] = deque()
        self._prices: dict[str, PriceEvent] = {}
        self._wake = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._failure: BaseException | None = None
        self._closed = False

    def put(self, event: VenueEvent) -> None:
        """Tell an event, or keep it for the reader."""
        if self._tell is not None:
            if not self._closed:
                self._tell(event, self.read_ns)
            return
        if len(self._events) >= self._limit:
            self._events.clear()
            self._events.append(Gap(reason=f"More than {self._limit} events were waiting to be read; they were dropped."))
            if isinstance(event, Gap):
                return
        self._events.append(event)
        self._wake.set()

    def put_price(self, event: PriceEvent) -> None:
        """Tell the latest price of a symbol, or keep it for the reader."""
        if self._tell is not None:
            self.put(event)
            return
        self._prices[event.symbol] = event
        self._wake.set()

    def start(self, *loops: Coroutine[Any, Any, None]) -> None:
        """Run the loops that fill this feed, as tasks that `close` ends."""
        for loop in loops:
            task = asyncio.create_task(loop)
            task.add_done_callback(self._ended)
            self._tasks.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and task.exception() is not None:
            self._failure = task.exception()
            self._wake.set()

    async def get(self) -> VenueEvent | None:
        """The next event; None when the feed is closed. Raises what ended a loop."""
        while True:
            if self._closed:
                return None
            if self._events:
                return self._events.popleft()
            if self._prices:
                return self._prices.pop(next(iter(self._prices)))
            if self._failure is not None:
                raise self._failure
            self._wake.clear()
            await self._wake.wait()

    async def close(self) -> None:
        """End the loops and the reader's iteration."""
        self._closed = True
        self._wake.set()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class Reconnecting(ABC):
    """A stream that connects again whenever it is lost, after a pause that grows. A plugin writes `listen`.

    `venue` and `account` are for sentences. With `tell` the reader hears `Gap` and `StreamLost` of this stream.
    """

    def __init__(
        self,
        feed: Feed,
        *,
        venue: str,
        account: str,
        timing: Timing,
        tell: bool = True,
    ) -> None:
        self.feed = feed
        self._venue = venue
        self._whose = account
        self._timing = timing
        self._tell = tell
        self._delay = timing.backoff_first
        self._told_lost = False  # once is enough, however often connecting again fails

    async def run(self) -> None:
        """Listen until cancelled. Raises `AuthFailed`, which trying again does not help."""
        while True:
            try:
                await self.listen()
                raise Lost(f"{self._venue} ended the stream.")
            except AuthFailed:
                raise
            except (Lost, VenueError) as error:
                reason = str(error)
                wait = error.retry_after_ms / 1000 if isinstance(error, RateLimited) else 0.0
            except (TimeoutError, OSError) as error:
                reason, wait = f"No websocket connection ({type(error).__name__}).", 0.0
            self.feed.read_ns = 0
            if self._tell:
                self.feed.fileno = -1
            self.lost()
            if self._tell and not self._told_lost:
                self._told_lost = True
                self.feed.put(StreamLost(reason=reason))
            log.info("%s: stream lost: %s", self._whose, reason)
            await asyncio.sleep(max(wait, self._delay))
            self._delay = min(self._delay * 2, self._timing.backoff_most)

    @abstractmethod
    async def listen(self) -> None:
        """Connect and read until the stream is lost, which raises."""

    def lost(self) -> None:  # noqa: B027 - a stream may have nothing to do then
        """Called whenever the stream is down."""

    def listening(self, reason: str) -> None:
        """Say that the stream is up and nothing that happens from now on is missed."""
        self._delay = self._timing.backoff_first
        self._told_lost = False
        if self._tell:
            self.feed.put(Gap(reason=reason))

    async def open(self, url: str) -> Socket:
        """Connect to a websocket that is pinged in silence."""
        socket = await connect(url, heartbeat_s=self._timing.heartbeat, deadline_s=self._timing.connect)
        if self._tell:
            self.feed.fileno = socket.fileno
        return socket

    def take_at_once(self, socket: Socket) -> None:
        """From now on let `take_now` take each frame in the call that reads it, where it can."""

        def take(data: bytes, read_ns: int) -> bool:
            self.feed.read_ns = read_ns
            taken = self.take_now(data)
            self.feed.read_ns = 0
            return taken

        socket.take = take

    def take_now(self, data: bytes) -> bool:
        """Take a frame without waiting for anything. False where that cannot be: nothing was done then, and it is read
        by `frames`."""
        return False

    async def frames(self, socket: Socket) -> AsyncIterator[Any]:
        """The JSON of each frame. Raises `Lost` at the end."""
        async for data in socket:
            frame = read_json(data)
            if frame is None:
                raise Lost(f"{self._venue} sent a frame that is no JSON.")
            self.feed.read_ns = socket.read_ns
            yield frame
            self.feed.read_ns = 0
        if socket.stalled:
            raise Lost("The stream stalled: a ping was not answered.")
        raise Lost(f"{self._venue} closed the stream (code {socket.close_code}).")


async def until_first(*loops: Coroutine[Any, Any, None]) -> None:
    """Run loops side by side until the first of them ends, and end the others. Raises what it raised."""
    tasks = [asyncio.ensure_future(loop) for loop in loops]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
