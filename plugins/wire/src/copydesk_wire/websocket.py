"""A websocket whose frames are taken in the very call that reads them, or read one by one.

What is taken at once does not wait for a task to be woken. A frame that cannot be, and whatever comes after it, is kept for
the reader: the order stays.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, TypeAlias

import picows

from copydesk_wire.transports import buffers, tls_context

CLOSE_S = 1.0
MOST_WAITING = 10_000
"""More frames than this that nobody reads end the connection: then it is told that something was missed."""
READ_AT_ONCE = 4096

Take: TypeAlias = Callable[[bytes, int], bool]
"""Takes a frame and the moment (`time.perf_counter_ns()`) at which it was read; False where it has to be read instead."""


class Socket(picows.WSListener):
    """One connection. `async for` gives its text frames until it ends; then `why` says why."""

    def __init__(self) -> None:
        self.take: Take | None = None
        self.read_ns = 0  # when the frame that is being worked on was read
        self.stalled = False
        self.close_code = 0
        self.closed = False
        self._frames: deque[tuple[bytes, int]] = deque()
        self._parts: list[bytes] = []
        self._busy = False
        self._wake = asyncio.Event()
        self._transport: picows.WSTransport

    # --- what is read ---

    def on_ws_connected(self, transport: picows.WSTransport) -> None:
        self._transport = transport

    def on_ws_frame(self, transport: picows.WSTransport, frame: picows.WSFrame) -> None:
        at_ns = time.perf_counter_ns()
        match frame.msg_type:
            case picows.WSMsgType.TEXT if frame.fin:
                self._hear(frame.get_payload_as_bytes(), at_ns)
            case picows.WSMsgType.TEXT:
                self._parts = [frame.get_payload_as_bytes()]
            case picows.WSMsgType.CONTINUATION if self._parts:
                self._parts.append(frame.get_payload_as_bytes())
                if frame.fin:
                    whole, self._parts = b"".join(self._parts), []
                    self._hear(whole, at_ns)
            case picows.WSMsgType.CLOSE:
                self.close_code = int(frame.get_close_code().value)
                transport.send_close(frame.get_close_code())
                transport.disconnect()
            case _:
                pass

    def _hear(self, data: bytes, at_ns: int) -> None:
        if self.take is not None and not self._busy and not self._frames:
            self.read_ns = at_ns
            if self.take(data, at_ns):
                return
        if len(self._frames) < MOST_WAITING:
            self._frames.append((data, at_ns))
            self._wake.set()
        else:
            self._transport.disconnect(graceful=False)

    def on_ws_disconnected(self, transport: picows.WSTransport) -> None:
        self.closed = True
        goodbye: Any = transport.close_handshake
        self.stalled = goodbye is not None and goodbye.sent is not None and "ping" in goodbye.sent.reason
        self._wake.set()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        self._busy = False
        while not self._frames:
            if self.closed:
                raise StopAsyncIteration
            self._wake.clear()
            await self._wake.wait()
        data, self.read_ns = self._frames.popleft()
        self._busy = True
        return data

    @property
    def fileno(self) -> int:
        """The file descriptor that is read from; -1 where there is none."""
        plain = self._transport.underlying_transport.get_extra_info("socket")
        return -1 if plain is None else int(plain.fileno())

    # --- what is sent ---

    def send(self, text: str | bytes) -> None:
        """Send a text frame now. Raises `ConnectionError` where the connection is closed."""
        if self.closed or self._transport.is_close_frame_sent:
            raise ConnectionResetError("the websocket is closed")
        self._transport.send(picows.WSMsgType.TEXT, text.encode() if isinstance(text, str) else text)

    def send_json(self, value: Any) -> None:
        """Send a value as a text frame now. Raises `ConnectionError` where the connection is closed."""
        self.send(json.dumps(value))

    async def close(self) -> None:
        """Say goodbye and wait a moment for the other side's."""
        if not self.closed:
            self._transport.send_close(picows.WSCloseCode.OK)
            self._transport.disconnect()
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_S):
                    await _quietly(self._transport)
            self._transport.disconnect(graceful=False)


async def _quietly(transport: picows.WSTransport) -> None:
    with suppress(picows.WSError):
        await transport.wait_disconnected()


async def connect(url: str, *, heartbeat_s: float, deadline_s: float) -> Socket:
    """Open a websocket that is pinged after so much silence, and given up without an answer in half of it.

    Raises `ConnectionError` or another `OSError`, or `TimeoutError`.
    """
    context: ssl.SSLContext | None = await asyncio.to_thread(tls_context) if url.startswith("wss:") else None
    try:
        async with asyncio.timeout(deadline_s):
            _, socket = await picows.ws_connect(
                Socket,
                url,
                ssl_context=context,
                websocket_handshake_timeout=deadline_s,
                enable_auto_ping=True,
                auto_ping_idle_timeout=heartbeat_s,
                auto_ping_reply_timeout=heartbeat_s / 2,
                max_frame_size=1 << 30,
                read_buffer_init_size=READ_AT_ONCE,
                max_redirects=0,
                **buffers(context is not None),
            )
    except picows.WSError as error:
        raise ConnectionError(f"it was refused ({type(error).__name__})") from None
    assert isinstance(socket, Socket)
    return socket
