"""Websockets, against a server that sends what it is told: the order of frames, pieces, floods, silence, and the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from copydesk.errors import VenueError
from copydesk.model import Gap, StreamLost, VenueEvent
from copydesk_wire import websocket
from copydesk_wire.errors import Unreadable
from copydesk_wire.streaming import Feed, Lost, Reconnecting, Timing
from copydesk_wire.websocket import Socket, connect

DEADLINE_S = 10.0
Talk = Callable[[web.WebSocketResponse], Awaitable[None]]


class Server:
    """Lets `talk` talk on each connection."""

    def __init__(self) -> None:
        self.talk: Talk = listen
        self.url = ""

    async def serve(self, request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse(autoping=True, compress=False)
        await socket.prepare(request)
        await self.talk(socket)
        return socket


async def listen(socket: web.WebSocketResponse) -> None:
    async for message in socket:
        if message.type is WSMsgType.TEXT:
            await socket.send_str(message.data)


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_get("/", server.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"ws://127.0.0.1:{runner.addresses[0][1]}/"
    yield server
    await runner.cleanup()


async def opened(server: Server, *, heartbeat_s: float = 5.0) -> Socket:
    return await connect(server.url, heartbeat_s=heartbeat_s, deadline_s=DEADLINE_S)


async def test_what_is_sent_comes_back_and_the_end_is_told(server: Server) -> None:
    socket = await opened(server)
    socket.send_json({"a": 1})
    socket.send("b")
    assert [await anext(socket), await anext(socket)] == [b'{"a": 1}', b"b"]
    await socket.close()
    assert [frame async for frame in socket] == []
    with pytest.raises(ConnectionError):
        socket.send("late")


async def test_a_frame_is_taken_in_the_call_that_reads_it_and_the_order_stays(server: Server) -> None:
    """What cannot be taken at once is read, and what comes meanwhile waits behind it."""
    socket = await opened(server)
    told: list[str] = []
    reading, go_on = asyncio.Event(), asyncio.Event()

    def take(data: bytes, read_ns: int) -> bool:
        assert read_ns > 0
        if data.startswith(b"slow"):
            return False
        told.append(f"taken {data.decode()}")
        return True

    async def read() -> None:
        async for data in socket:
            reading.set()
            await go_on.wait()
            told.append(f"read {data.decode()}")
            if data == b"3":
                return

    socket.take = take
    reader = asyncio.create_task(read())
    for frame in ("1", "slow 2", "3"):
        socket.send(frame)
    async with asyncio.timeout(DEADLINE_S):
        await reading.wait()
        assert told == ["taken 1"]
        go_on.set()
        await reader
    assert told == ["taken 1", "read slow 2", "read 3"]
    await socket.close()


async def test_pieces_are_one_frame(server: Server) -> None:
    async def in_pieces(socket: web.WebSocketResponse) -> None:
        writer = socket._writer
        assert writer is not None
        transport: Any = writer.transport
        transport.write(b"\x01\x02ab" + b"\x89\x00" + b"\x00\x02cd" + b"\x80\x02ef")
        await listen(socket)

    server.talk = in_pieces
    socket = await opened(server)
    async with asyncio.timeout(DEADLINE_S):
        assert await anext(socket) == b"abcdef"
    await socket.close()


async def test_frames_that_nobody_reads_end_the_connection(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(websocket, "MOST_WAITING", 5)

    async def flood(socket: web.WebSocketResponse) -> None:
        for number in range(50):
            await socket.send_str(str(number))
        await listen(socket)

    server.talk = flood
    socket = await opened(server)
    async with asyncio.timeout(DEADLINE_S):
        await socket._wake.wait()
        while not socket.closed:  # noqa: ASYNC110 - the other side ends it
            await asyncio.sleep(0.01)
    assert len([frame async for frame in socket]) == 5


async def test_silence_without_an_answer_to_a_ping_is_the_end(server: Server) -> None:
    async def deaf(socket: web.WebSocketResponse) -> None:
        await asyncio.sleep(DEADLINE_S)

    server.talk = deaf
    socket = await opened(server, heartbeat_s=0.2)
    async with asyncio.timeout(DEADLINE_S):
        assert [frame async for frame in socket] == []
    assert socket.stalled


async def test_nobody_listening_and_no_websocket_are_errors_of_the_connection(server: Server) -> None:
    with pytest.raises(ConnectionRefusedError):
        await connect("ws://127.0.0.1:9/", heartbeat_s=1, deadline_s=1)
    with pytest.raises(ConnectionError):
        await connect(f"{server.url}nothing-here", heartbeat_s=1, deadline_s=5)


class Numbers(Reconnecting):
    """Tells a gap for each number; even ones at once."""

    def __init__(self, feed: Feed, url: str) -> None:
        super().__init__(feed, venue="Venue", account="me", timing=Timing(backoff_first=0.01))
        self._url = url

    async def listen(self) -> None:
        socket = await self.open(self._url)
        self.take_at_once(socket)
        try:
            self.listening("up")
            socket.send("go")
            async for frame in self.frames(socket):
                if frame == 0:
                    raise Lost("a zero came")
                self.feed.put(Gap(reason=f"read {frame}"))
        finally:
            await socket.close()

    def take_now(self, data: bytes) -> bool:
        if int(data) % 2 or data == b"0":
            return False
        self.feed.put(Gap(reason=f"taken {data.decode()}"))
        return True


async def test_a_feed_with_a_listener_tells_in_the_call_that_reads(server: Server) -> None:
    async def count(socket: web.WebSocketResponse) -> None:
        await socket.receive()
        for number in (2, 3, 4, 0):
            await socket.send_str(str(number))
        await listen(socket)

    server.talk = count
    told: list[tuple[str, bool]] = []
    enough = asyncio.Event()

    def tell(event: VenueEvent, read_ns: int) -> bool:
        assert isinstance(event, Gap | StreamLost)
        told.append((event.reason, read_ns > 0))
        if len(told) > 8:
            enough.set()
        return False

    feed = Feed(tell)
    feed.start(Numbers(feed, server.url).run())
    async with asyncio.timeout(DEADLINE_S):
        await enough.wait()
    await feed.close()
    once = [("up", False), ("taken 2", True), ("read 3", True)]
    assert told[:3] == once
    assert [reason.split()[-1] for reason, _ in told[3:5]] == ["4", "came"]
    assert told[5:8] == once
    before = len(told)
    feed.put(Gap(reason="late"))
    assert len(told) == before
    assert await feed.get() is None


async def test_a_feed_tells_what_ended_its_loop() -> None:
    async def fail() -> None:
        raise Unreadable("no such form")

    feed = Feed(lambda event, read_ns: False)
    feed.start(fail())
    with pytest.raises(VenueError, match="no such form"):
        await feed.get()
    await feed.close()
