"""The event stream: nothing lost, nothing twice, slow readers, resuming, prices."""

from __future__ import annotations

import asyncio
import contextlib
import json
from decimal import Decimal

import pytest
from copydesk.client import DIRECT, AsyncControlClient
from copydesk.control import GONE, TOO_SLOW, StreamLimits
from copydesk.errors import EventsGone, UsageError
from copydesk.model import PriceEvent
from copydesk.view import EVENT_BODIES, LogEntry
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

PATIENCE_S = 40.0


@pytest.fixture
def client(running, token):
    return AsyncControlClient(running.url, token)


def raw(running, token, after: int | None, **options):
    query = "" if after is None else f"?after={after}"
    headers = {"Authorization": f"Bearer {token}"}
    return connect(
        f"ws://127.0.0.1:{running.port}/api/v1/stream{query}",
        additional_headers=headers,
        compression=None,
        **DIRECT,
        **options,
    )


async def numbers(client: AsyncControlClient, after: int | None, until: int) -> list[int]:
    """The numbers that a typed client yields, until one of them is reached."""
    seen = []
    async with client, contextlib.aclosing(client.stream(after)) as events, asyncio.timeout(PATIENCE_S):
        async for event in events:
            if event.seq:
                seen.append(event.seq)
            if event.seq >= until:
                break
    return seen


async def read_out(connection, until: int = 0):
    """The numbers read until one of them is reached or the server closes, and its close frame where it sent one."""
    seen = []
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not seen or seen[-1] != until:
                seen += [event["seq"] for event in json.loads(await connection.recv())]
    except ConnectionClosed as closed:
        return seen, closed.rcvd
    return seen, None


async def wait_until(condition) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 - a condition of the other side, which has no event to wait for
            await asyncio.sleep(0)


async def test_ten_thousand_events_while_three_read_lose_nothing(desk, running, token):
    async def emit():
        for _ in range(100):
            desk.burst(100)
            await asyncio.sleep(0)

    clients = [AsyncControlClient(running.url, token) for _ in range(3)]
    reading = [asyncio.create_task(numbers(client, 0, 10_000)) for client in clients]
    await emit()
    for seen in await asyncio.gather(*reading):
        assert seen == list(range(1, 10_001))
    await wait_until(lambda: not desk.sinks)


async def test_frames_are_batches_and_bounded(desk, running, token):
    desk.burst(3000, width=200)
    frames = []
    async with raw(running, token, 0) as connection, asyncio.timeout(PATIENCE_S):
        while sum(len(json.loads(frame)) for frame in frames) < 3000:
            frames.append(await connection.recv())
    assert 2 <= len(frames) < 30
    assert max(len(frame) for frame in frames) < 300_000
    assert [event["seq"] for frame in frames for event in json.loads(frame)] == list(range(1, 3001))


async def test_without_after_it_begins_with_what_comes_next(desk, running, token):
    desk.burst(50)
    async with raw(running, token, None) as connection:
        await wait_until(lambda: desk.sinks)
        desk.burst(1)
        assert [event["seq"] for event in json.loads(await asyncio.wait_for(connection.recv(), PATIENCE_S))] == [51]


async def test_prices_are_conflated_and_not_numbered(desk, running, token):
    async with raw(running, token, 0) as connection:
        await wait_until(lambda: desk.sinks)
        for tick in range(500):
            desk.price("demo/parent", "BTCUSDT", f"{50_000 + tick}")
            desk.price("demo/parent", "ETHUSDT", f"{2_000 + tick}")
        desk.price("real", "BTCUSDT", "1")
        frame = json.loads(await asyncio.wait_for(connection.recv(), PATIENCE_S))
    assert [(event["seq"], event["kind"], event["account"], event["body"]["last"]) for event in frame] == [
        (0, "price", "demo/parent", "50499"),
        (0, "price", "demo/parent", "2499"),
        (0, "price", "real", "1"),
    ]


async def test_bodies_are_typed(desk, client):
    desk.say("hello", bot="grid")
    async with client, contextlib.aclosing(client.stream(0)) as events, asyncio.timeout(PATIENCE_S):
        first = await anext(events)
        assert first.body == desk.lines[0]
        assert isinstance(first.body, LogEntry)
        desk.price("real", "BTCUSDT", "50000.10")
        price = await anext(events)
    assert price.body == PriceEvent(symbol="BTCUSDT", last=Decimal("50000.10"))
    assert set(EVENT_BODIES) == {
        "log",
        "bot",
        "account",
        "order",
        "fill",
        "position",
        "balance",
        "drift",
        "ticket",
        "price",
    }


async def test_a_slow_reader_is_told_so_and_resumes_where_it_was(desk, start, token):
    running = await start(desk, limits=StreamLimits(patience_s=0.3))
    desk.burst(2000, width=10_000)
    async with raw(running, token, 0, max_queue=1, max_size=None) as connection:
        await wait_until(lambda: desk.sinks)
        await wait_until(lambda: not desk.sinks)  # nobody reads: the server has given up, and now tries to say why
        seen, closed = await read_out(connection)
    assert 0 < len(seen) < 2000
    assert seen == list(range(1, len(seen) + 1))
    assert closed is not None
    assert closed.code == TOO_SLOW
    assert "resume with after=" in closed.reason
    async with raw(running, token, seen[-1], max_size=None) as connection:
        rest, _ = await read_out(connection, until=2000)
    assert seen + rest == list(range(1, 2001))


async def test_a_reader_that_never_reads_does_not_keep_the_engine_from_stopping(desk, start, token):
    running = await start(desk, limits=StreamLimits(patience_s=60))
    desk.burst(2000, width=10_000)
    async with raw(running, token, 0, max_queue=1, max_size=None, close_timeout=0):
        await wait_until(lambda: desk.sinks)
        await asyncio.wait_for(running.stop(), PATIENCE_S)
        assert not desk.sinks
        assert not running._server.server_state.connections


async def test_a_reader_that_fell_behind_what_is_kept_is_closed(desk, start, token):
    desk.kept = 500
    running = await start(desk, limits=StreamLimits(page=10))
    async with raw(running, token, 0) as connection:
        await wait_until(lambda: desk.sinks)
        desk.burst(400)
        first = json.loads(await asyncio.wait_for(connection.recv(), PATIENCE_S))
        desk.burst(5000)
        seen, closed = await read_out(connection)
    assert [event["seq"] for event in first] + seen == list(range(1, len(first) + len(seen) + 1))
    assert closed.code == TOO_SLOW


@pytest.mark.parametrize(("after", "says"), [(5, "older than what is kept"), (9999, "started anew")])
async def test_events_that_are_not_there_close_the_stream(desk, running, token, client, after, says):
    desk.kept = 100
    desk.burst(1000)
    async with raw(running, token, after) as connection:
        with pytest.raises(ConnectionClosed) as closed:
            await asyncio.wait_for(connection.recv(), PATIENCE_S)
    assert closed.value.rcvd.code == GONE
    assert says in closed.value.rcvd.reason
    with pytest.raises(EventsGone, match=says):
        await numbers(client, after, after + 1)


async def test_a_malformed_after_is_refused_at_the_handshake_with_a_sentence(running, token):
    for after in ("x", -1):
        with pytest.raises(InvalidStatus) as refused:
            await raw(running, token, after)
        assert refused.value.response.status_code == 422
        assert "query.after is wrong" in json.loads(refused.value.response.body)["error"]


class Cutter:
    """A TCP relay that can cut every connection which goes through it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._writers: list[asyncio.StreamWriter] = []
        self.connections = 0

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_):
        self._server.close()
        self.cut()
        await self._server.wait_closed()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()

    async def _relay(self, reader, writer):
        self.connections += 1
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, far_writer]
        with contextlib.suppress(OSError):
            await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer))

    async def _copy(self, reader, writer):
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
        writer.close()


async def test_a_cut_connection_is_made_again_and_nothing_is_lost_or_repeated(desk, running, token):
    async with Cutter(running.port) as cutter, AsyncControlClient(f"http://127.0.0.1:{cutter.port}", token) as client:
        seen = []
        desk.burst(100)
        async with contextlib.aclosing(client.stream(0)) as events, asyncio.timeout(PATIENCE_S):
            async for event in events:
                seen.append(event.seq)
                if event.seq % 100 == 50 and event.seq < 1000:
                    desk.burst(100)
                    cutter.cut()
                if event.seq == 1000:
                    break
        assert seen == list(range(1, 1001))
        assert cutter.connections > 2


async def test_a_gap_is_fetched_by_sequence_and_a_repetition_dropped(new_desk, start, token):
    class Leaky(type(new_desk())):
        """In the stream's own pages it loses events 4 to 8 and repeats each other one, as a defect would."""

        def events_after(self, seq, limit):
            found = super().events_after(seq, limit)
            if limit != 77:  # the fetch by sequence has them all
                return found
            return [event for event in found for _ in range(2) if not 4 <= event.seq <= 8]

    desk = Leaky()
    running = await start(desk, limits=StreamLimits(page=77))
    desk.burst(20)
    assert await numbers(AsyncControlClient(running.url, token), 0, 20) == list(range(1, 21))


async def test_a_stopped_engine_ends_the_stream_with_a_sentence(desk, start, token, monkeypatch):
    monkeypatch.setattr("copydesk.client._PAUSES_S", (0.01, 0.01))
    running = await start(desk)
    desk.burst(1)
    async with AsyncControlClient(running.url, token) as client, contextlib.aclosing(client.stream(0)) as events:
        await anext(events)
        await running.stop()
        with pytest.raises(UsageError, match=r"no engine answers at http://127\.0\.0\.1"):
            await asyncio.wait_for(anext(events), PATIENCE_S)
    assert desk.sinks == set()


async def test_a_wrong_token_ends_the_stream_with_the_servers_sentence(running):
    async with AsyncControlClient(running.url, "wrong") as client:
        with pytest.raises(UsageError, match="token is missing or wrong"):
            await anext(client.stream(0))


async def test_a_reader_that_leaves_is_forgotten(desk, running, token):
    async with raw(running, token, 0):
        await wait_until(lambda: desk.sinks)
    await wait_until(lambda: not desk.sinks)


async def test_a_reader_costs_nothing_while_nothing_happens(new_desk, start, token):
    class Counting(type(new_desk())):
        asked = 0

        def events_after(self, seq, limit):
            self.asked += 1
            return super().events_after(seq, limit)

    desk = Counting()
    running = await start(desk, limits=StreamLimits(pause_s=0))
    desk.burst(10)
    async with raw(running, token, 0) as connection:
        await asyncio.wait_for(connection.recv(), PATIENCE_S)
        for _ in range(10):
            await asyncio.sleep(0)
        asked = desk.asked
        for _ in range(100):
            await asyncio.sleep(0)
        assert desk.asked == asked
