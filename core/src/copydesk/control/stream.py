"""The event stream: one websocket reader, which loses nothing and costs the engine next to nothing.

The desk itself keeps the latest events, numbered; that is the queue, and it is bounded. A reader is a cursor into it: woken
by the next event, it takes what follows its cursor in pages and sends each as a frame. So a slow reader holds no memory; if
it falls behind what is kept, or takes nothing for `patience_s`, it is closed with `TOO_SLOW` and comes back with `after`.
Prices are not numbered: only the latest of each symbol is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator

from starlette.websockets import WebSocket, WebSocketDisconnect

from copydesk.control.desk import Desk
from copydesk.control.gate import BEARER_PROTOCOL
from copydesk.model import Record, to_json
from copydesk.view import DeskEvent

TOO_SLOW = 4008
GONE = 4010
OLDER = "these events are older than what is kept: take a new view and go on from its seq"
AHEAD = "there are no events that new, this engine was started anew: take a new view and go on from its seq"


class StreamLimits(Record):
    """`page`: events taken at once. `frame_bytes`: a frame ends once it is that long. `pause_s`: between two frames, so
    that a busy market is sent as some batches a second. `patience_s`: how long one frame may wait to be taken."""

    page: int = 1000
    frame_bytes: int = 256 * 1024
    pause_s: float = 0.05
    patience_s: float = 10.0


class Closed(Exception):
    """The server ends the stream, with a websocket close code and a reason."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class EventReader:
    """One reader's place in the events. `after` is the last number that it has; `None` starts with what comes next."""

    def __init__(self, desk: Desk, after: int | None, limits: StreamLimits) -> None:
        self._desk = desk
        self._limits = limits
        self._cursor = desk.latest_seq() if after is None else after
        self._prices: dict[tuple[str, str], DeskEvent] = {}
        self._wake = asyncio.Event()
        self._wake.set()

    def hear(self, event: DeskEvent) -> None:
        """The desk's listener. Keeps nothing but the latest price of each symbol."""
        if event.seq == 0:
            self._prices[event.account, getattr(event.body, "symbol", "")] = event
        self._wake.set()

    async def send_all(self, send: Callable[[str], Awaitable[None]]) -> None:
        """Send frames until cancelled. Raises `Closed`."""
        if self._cursor > self._desk.latest_seq():
            raise Closed(GONE, AHEAD)
        page = self._page(GONE, OLDER)
        while True:
            for frame in self._frames(page):
                try:
                    async with asyncio.timeout(self._limits.patience_s):
                        await send(frame)
                except TimeoutError:
                    raise Closed(
                        TOO_SLOW, f"nothing was read for {self._limits.patience_s:g} s: resume with after="
                    ) from None
            if len(page) < self._limits.page:
                await asyncio.sleep(self._limits.pause_s)
                await self._wake.wait()
            page = self._page(TOO_SLOW, "the reader fell behind what is kept: resume with after= or take a new view")

    def _page(self, code: int, reason: str) -> list[DeskEvent]:
        self._wake.clear()
        events = self._desk.events_after(self._cursor, self._limits.page)
        if events is None:
            raise Closed(code, reason)
        if events:
            self._cursor = events[-1].seq
        return events

    def _frames(self, events: list[DeskEvent]) -> Iterator[str]:
        prices, self._prices = self._prices, {}
        parts: list[bytes] = []
        size = 0
        for event in (*events, *prices.values()):
            part = to_json(event)
            parts.append(part)
            size += len(part) + 1
            if size >= self._limits.frame_bytes:
                yield _array(parts)
                parts, size = [], 0
        if parts:
            yield _array(parts)


def _array(parts: list[bytes]) -> str:
    return f"[{b','.join(parts).decode()}]"


async def serve_stream(websocket: WebSocket, desk: Desk, after: int | None, limits: StreamLimits) -> None:
    """Serve one reader until it goes, the server stops, or it is closed with a code. The gate has let it in already."""
    chosen = next((name for name in websocket.scope.get("subprotocols", []) if name.startswith(BEARER_PROTOCOL)), None)
    await websocket.accept(chosen)
    reader = EventReader(desk, after, limits)
    stop_listening = desk.listen(reader.hear)
    sending = asyncio.create_task(reader.send_all(websocket.send_text))
    leaving = asyncio.create_task(_until_gone(websocket))
    try:
        await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        stop_listening()
        if sending.done():
            await _close(websocket, sending, limits)
    finally:
        stop_listening()
        sending.cancel()
        leaving.cancel()
        await asyncio.gather(sending, leaving, return_exceptions=True)


async def _until_gone(websocket: WebSocket) -> None:
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass  # a reader has nothing to say


async def _close(websocket: WebSocket, sending: asyncio.Task[None], limits: StreamLimits) -> None:
    try:
        sending.result()
    except Closed as closed:
        # A reader that takes nothing cannot be told why: then its connection just ends.
        with contextlib.suppress(TimeoutError, WebSocketDisconnect):
            async with asyncio.timeout(limits.patience_s):
                await websocket.close(closed.code, closed.reason)
    except WebSocketDisconnect:
        pass
