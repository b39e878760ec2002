"""One event stream from the engine for all pages of this panel: eight open browsers cost the engine what one does.

The relay reads the engine's stream while anybody watches and keeps its latest frames. A page is a cursor into them, woken
by the next frame; what is older than the frames kept is asked of the engine once, when the page comes. So a slow page holds
no memory and delays nobody: one that takes nothing for `patience_s`, or falls behind what is kept, is closed with
`TOO_SLOW` and comes back from where it was.
"""

from __future__ import annotations

import asyncio
from collections import deque

import aiohttp
import msgspec
from aiohttp import web

TOO_SLOW = 4008
GONE = 4010
ENGINE_LOST = 4502  # the engine's end of the stream went away
KEPT_FRAMES = 512
KEPT_BYTES = 8 << 20
PATIENCE_S = 10.0


class _Numbered(msgspec.Struct):
    seq: int = 0


_numbers = msgspec.json.Decoder(list[_Numbered]).decode
_raws = msgspec.json.Decoder(list[msgspec.Raw]).decode


class Frame(msgspec.Struct):
    """A JSON array of events as the engine sent it: those numbered `before + 1` to `last`, and prices, which have none."""

    text: str
    before: int
    last: int


class Ended(Exception):
    """The stream ends for a page, with a websocket close code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Relay:
    """The engine's event stream, read once: from its first page's coming until `close`."""

    def __init__(self, engine: aiohttp.ClientWebSocketResponse, after: int, patience_s: float = PATIENCE_S) -> None:
        """`engine` tells what follows the event numbered `after`."""
        self._first = after
        self._patience_s = patience_s
        self._engine = engine
        self._last = after
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self._begun = 0  # the place of the oldest frame kept, counted from the first that ever came
        self._ended: int | None = None
        self._news = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    @property
    def is_open(self) -> bool:
        return self._ended is None

    @property
    def first(self) -> int:
        """A page that has everything up to this event misses nothing here."""
        return self._first

    @property
    def last(self) -> int:
        return self._last

    async def close(self) -> None:
        self._reading.cancel()
        await asyncio.gather(self._reading, return_exceptions=True)

    async def _read(self) -> None:
        code = ENGINE_LOST
        try:
            async with self._engine:
                async for frame in self._engine:
                    if frame.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                        self._take(frame.data if isinstance(frame.data, str) else frame.data.decode())
                told = self._engine.close_code
                code = told if told is not None and 4000 <= told < 5000 else ENGINE_LOST
        finally:
            self._ended = code
            self._wake()

    def _take(self, text: str) -> None:
        before = self._last
        self._last = max(before, *(event.seq for event in _numbers(text)))
        self._frames.append(Frame(text, before, self._last))
        self._bytes += len(text)
        while len(self._frames) > KEPT_FRAMES or self._bytes > KEPT_BYTES:
            gone = self._frames.popleft()
            self._begun += 1
            self._bytes -= len(gone.text)
            self._first = gone.last
        self._wake()

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def show(self, page: web.WebSocketResponse, after: int) -> None:
        """Send a page what follows `after`, which is not older than what is kept, until it goes. Raises `Ended`.

        Of the frames from before it came it is sent no prices: they are old, and the next ones come by themselves.
        """
        came = self._begun + len(self._frames)
        place = self._begun
        while True:
            while place < self._begun + len(self._frames):
                if place < self._begun:
                    raise Ended(TOO_SLOW)
                frame = self._frames[place - self._begun]
                whole = place >= came and frame.before >= after
                place += 1
                if text := frame.text if whole else newer(frame.text, after):
                    await self._send(page, text)
            if self._ended is not None:
                raise Ended(self._ended)
            await self._news.wait()

    async def _send(self, page: web.WebSocketResponse, text: str) -> None:
        try:
            async with asyncio.timeout(self._patience_s):
                await page.send_str(text)
        except TimeoutError:
            raise Ended(TOO_SLOW) from None


def newer(frame: str, after: int) -> str:
    """The events of a frame that are numbered above `after`, without its prices; empty where there is none."""
    numbers = [event.seq for event in _numbers(frame)]
    found = [bytes(event) for event, seq in zip(_raws(frame), numbers, strict=True) if seq > after]
    return f"[{b','.join(found).decode()}]" if found else ""
