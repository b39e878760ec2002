"""The connection pool, against a server that answers as told: what is sent twice, what never, and what is left over."""

from __future__ import annotations

import asyncio
import gzip
import select
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
from copydesk.errors import AuthFailed
from copydesk_paper.serving.tls import Authority
from copydesk_wire import pool as pools
from copydesk_wire import transports
from copydesk_wire.connection import Answer
from copydesk_wire.errors import NoReply, NotSent
from copydesk_wire.pool import Pool, encode, place_of

Answerer = Callable[[int, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Reads requests and lets `answer` answer each: it is given the number of the connection and the stream."""

    def __init__(self) -> None:
        self.requests: list[tuple[int, str, bytes]] = []
        self.answer: Answerer = plain
        self.connections = 0
        self.sockets: list[socket.socket] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        self.sockets.append(writer.get_extra_info("socket"))
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                lines = head.decode().split("\r\n")
                length = next((int(line.split(":")[1]) for line in lines if line.startswith("Content-Length")), 0)
                self.requests.append((number, lines[0], await reader.readexactly(length)))
                await self.answer(number, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(40):
        while True:
            if holds():
                return
            await asyncio.sleep(0.01)


async def plain(number: int, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")


@pytest.fixture(scope="module")
def authority() -> Iterator[Authority]:
    authority = Authority(["localhost"])
    yield authority
    authority.close()


@pytest.fixture(params=["aiofastnet", "aiofastnet-tls", "asyncio-tls"])
async def server(
    request: pytest.FixtureRequest, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Server]:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))
    transports.tls_context.cache_clear()
    if request.param.startswith("asyncio"):
        monkeypatch.setattr(transports, "fast", None)
    tls = request.param.endswith("tls")
    server = Server()
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=authority.context if tls else None)
    server.url = f"{'https' if tls else 'http'}://localhost:{listening.sockets[0].getsockname()[1]}"
    yield server
    listening.close()
    transports.tls_context.cache_clear()


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    pool = Pool()
    yield pool
    await pool.close()


async def ask(pool: Pool, server: Server, method: str = "GET", *, body: str = "", deadline_s: float = 5.0) -> str:
    answer = await pool.request(method, f"{server.url}/path?signature=hidden", body=body, deadline_s=deadline_s)
    return answer.text


async def test_a_connection_is_used_again_and_a_second_only_where_it_is_busy(pool: Pool, server: Server) -> None:
    for _ in range(3):
        assert await ask(pool, server) == "{}"
    assert server.connections == 1
    await asyncio.gather(ask(pool, server), ask(pool, server, "POST", body="a=1"))
    assert server.connections == 2
    assert server.requests[-1][1:] in (
        ("POST /path?signature=hidden HTTP/1.1", b"a=1"),
        ("GET /path?signature=hidden HTTP/1.1", b""),
    )


async def test_a_request_leaves_in_the_step_that_asks_for_it(pool: Pool, server: Server) -> None:
    """What makes the first of many copies leave before the last one is ready."""
    await ask(pool, server)
    assert not select.select(server.sockets, [], [], 0)[0]
    request = ask(pool, server, "POST", body="a=1")
    request.send(None)
    assert select.select(server.sockets, [], [], 5)[0], "nothing has come, and the event loop did not go on meanwhile"
    request.close()


@pytest.mark.parametrize("way", ["aiofastnet", "asyncio"])
async def test_a_connection_that_was_reset_is_passed_over(pool: Pool, way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was sent over it, and that is known in the call: the next one carries the request."""
    if way == "asyncio":
        monkeypatch.setattr(transports, "fast", None)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        place = place_of(f"http://127.0.0.1:{listening.getsockname()[1]}")
        pool.add_user(place)
        await until(lambda: pool.ready(place) > pools.SPARE)
        accepted = [listening.accept()[0] for _ in range(pools.SPARE + 1)]
        newest = pool._idle[place][-1]._transport.get_extra_info("sockname")
        reset = next(one for one in accepted if one.getpeername() == newest)
        reset.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        reset.close()
        told: list[Answer | Exception] = []
        assert pool.fire(place, encode("POST", "http://127.0.0.1/path", {}, "a=1"), told.append)
        others = [one for one in accepted if one is not reset]
        heard = select.select(others, [], [], 5)[0]
        assert [one.recv(1000)[-3:] for one in heard] == [b"a=1"]
        assert not told
        for one in others:
            one.close()


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[1, 2\r\n1\r\n]\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n[1, 2]",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%b"
        % (len(gzip.compress(b"[1, 2]", mtime=0)), gzip.compress(b"[1, 2]", mtime=0)),
    ],
    ids=["chunked", "continue", "gzip"],
)
async def test_answers_come_in_every_form_and_in_pieces(pool: Pool, server: Server, reply: bytes) -> None:
    async def in_pieces(number: int, writer: asyncio.StreamWriter) -> None:
        for at in range(0, len(reply), 7):
            writer.write(reply[at : at + 7])
            await writer.drain()
            await asyncio.sleep(0)

    server.answer = in_pieces
    for _ in range(2):
        assert await ask(pool, server) == "[1, 2]"
    assert server.connections == 1


async def hang_up(number: int, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def test_what_trades_is_never_sent_twice(pool: Pool, server: Server) -> None:
    await ask(pool, server)
    server.answer = hang_up
    with pytest.raises(NoReply, match="POST /path: the connection was lost after sending") as failure:
        await ask(pool, server, "POST", body="a=1")
    assert len(server.requests) == 2
    assert "hidden" not in str(failure.value)


async def test_a_read_that_meets_a_closing_connection_is_sent_once_more(pool: Pool, server: Server) -> None:
    await ask(pool, server)

    async def only_new_ones(number: int, writer: asyncio.StreamWriter) -> None:
        await (hang_up if number == 1 else plain)(number, writer)

    server.answer = only_new_ones
    assert await ask(pool, server) == "{}"
    server.answer = hang_up
    with pytest.raises(NoReply):
        await ask(pool, server)
    assert server.connections == 3  # and not again and again


async def test_an_answer_that_comes_too_late_is_nobodys(pool: Pool, server: Server) -> None:
    asked, answer = asyncio.Event(), asyncio.Event()

    async def late(number: int, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await answer.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nlate")

    server.answer = late
    with pytest.raises(NoReply, match=r"no reply within 0\.05 s"):
        await ask(pool, server, "POST", deadline_s=0.05)
    asked.clear()
    given_up = asyncio.create_task(ask(pool, server, "POST"))
    await asked.wait()
    given_up.cancel()
    with pytest.raises(asyncio.CancelledError):
        await given_up
    answer.set()
    server.answer = plain
    assert await ask(pool, server) == "{}"
    assert server.connections == 3


@pytest.mark.parametrize(
    "reply", [b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\nno"]
)
async def test_what_is_no_answer_is_no_reply(pool: Pool, server: Server, reply: bytes) -> None:
    async def nonsense(number: int, writer: asyncio.StreamWriter) -> None:
        writer.write(reply)

    server.answer = nonsense
    with pytest.raises(NoReply):
        await ask(pool, server, "POST")


async def test_a_key_that_would_break_out_of_its_line_is_not_sent(pool: Pool, server: Server) -> None:
    for key in ("a\r\nX-Other: b", "a\nb", "ключ"):
        with pytest.raises(AuthFailed) as failure:
            await pool.request("GET", server.url, headers={"X-MBX-APIKEY": key}, deadline_s=1.0)
        assert key not in str(failure.value)
    assert server.connections == 0


async def test_nothing_was_sent_where_nobody_listens(pool: Pool) -> None:
    with pytest.raises(NotSent, match="nothing was sent"):
        await pool.request("POST", "http://127.0.0.1:9/path?signature=hidden", deadline_s=1.0)


async def test_closing_ends_what_is_under_way(pool: Pool, server: Server) -> None:
    asked = asyncio.Event()

    async def never(number: int, writer: asyncio.StreamWriter) -> None:
        asked.set()

    server.answer = never
    waiting = asyncio.create_task(ask(pool, server, "POST"))
    await asked.wait()
    await pool.close()
    with pytest.raises(NoReply):
        await waiting
    assert not pool._open


class Fired:
    """What became of requests that were fired, by name, as it was told."""

    def __init__(self, pool: Pool, server: Server) -> None:
        self.told: list[tuple[str, Answer | Exception]] = []
        self.changed = asyncio.Event()
        self._pool = pool
        self._url = f"{server.url}/path"
        self.place = place_of(server.url)

    def fire(self, name: str) -> bool:
        def done(answer: Answer | Exception) -> None:
            self.told.append((name, answer))
            self.changed.set()

        before = len(self.told)
        fired = self._pool.fire(self.place, encode("POST", self._url, {}, f"name={name}"), done)
        assert len(self.told) == before, "it was told within the call"
        return fired

    async def until(self, count: int) -> None:
        async with asyncio.timeout(40):
            while len(self.told) < count:
                self.changed.clear()
                await self.changed.wait()

    async def ready(self, count: int) -> None:
        await until(lambda: self._pool.ready(self.place) >= count)


@pytest.fixture
def fired(pool: Pool, server: Server) -> Fired:
    return Fired(pool, server)


async def test_nothing_is_fired_where_no_connection_stands_ready(pool: Pool, server: Server, fired: Fired) -> None:
    assert not fired.fire("early")
    pool.add_user(fired.place)
    await fired.ready(pools.SPARE + 1)
    assert fired.fire("late")
    await fired.until(1)
    assert [(name, answer.text) for name, answer in fired.told if isinstance(answer, Answer)] == [("late", "{}")]
    assert [body for _, _, body in server.requests] == [b"name=late"]


async def test_as_many_as_there_are_users_are_fired_in_one_go(pool: Pool, server: Server, fired: Fired) -> None:
    for _ in range(8):
        pool.add_user(fired.place)
    await fired.ready(8 + pools.SPARE + 8 // pools.USERS_PER_SPARE)
    assert all(fired.fire(str(number)) for number in range(8))
    await fired.until(8)
    assert sorted(name for name, _ in fired.told) == [str(number) for number in range(8)]
    assert sorted(body for _, _, body in server.requests) == [b"name=%d" % number for number in range(8)]
    assert len({number for number, _, _ in server.requests}) == 8, "a connection carried a request before its answer"


async def test_a_lost_connection_is_told_once_and_replaced(pool: Pool, server: Server, fired: Fired) -> None:
    pool.add_user(fired.place)
    await fired.ready(pools.SPARE + 1)
    server.answer = hang_up
    assert fired.fire("lost")
    await fired.until(1)
    assert isinstance(fired.told[0][1], ConnectionError)
    server.answer = plain
    await fired.ready(pools.SPARE + 1)
    assert fired.fire("next")
    await fired.until(2)
    assert isinstance(fired.told[1][1], Answer)
    assert [body for _, _, body in server.requests] == [b"name=lost", b"name=next"]


async def test_a_connection_without_an_answer_is_thrown_away(
    pool: Pool, server: Server, fired: Fired, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "FIRED_S", 0.05)
    monkeypatch.setattr(pools, "LOOK_S", 0.05)
    pool.add_user(fired.place)
    await fired.ready(pools.SPARE + 1)

    async def never(number: int, writer: asyncio.StreamWriter) -> None:
        pass

    server.answer = never
    assert fired.fire("unanswered")
    await fired.until(1)
    assert isinstance(fired.told[0][1], TimeoutError)


async def test_idle_connections_are_replaced_before_the_venue_closes_them(
    pool: Pool, server: Server, fired: Fired, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pools, "FRESH_S", 0.1)
    monkeypatch.setattr(pools, "LOOK_S", 0.05)
    pool.add_user(fired.place)
    await fired.ready(pools.SPARE + 1)
    await until(lambda: server.connections >= 3 * (pools.SPARE + 1))
    await fired.ready(pools.SPARE + 1)
    assert len(pool._open) <= 2 * (pools.SPARE + 1)


async def test_more_than_was_asked_for_ends_the_connection(pool: Pool, server: Server, fired: Fired) -> None:
    pool.add_user(fired.place)
    await fired.ready(pools.SPARE + 1)

    async def twice(number: int, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}" * 2)

    server.answer = twice
    for name in ("one", "two"):
        assert fired.fire(name)
    await fired.until(2)
    assert len({number for number, _, _ in server.requests}) == 2
    assert all(isinstance(answer, Answer) for _, answer in fired.told)


async def test_closing_tells_what_was_fired(pool: Pool, server: Server, fired: Fired) -> None:
    pool.add_user(fired.place)
    await fired.ready(1)

    async def never(number: int, writer: asyncio.StreamWriter) -> None:
        pass

    server.answer = never
    assert fired.fire("open")
    await pool.close()
    await fired.until(1)
    assert isinstance(fired.told[0][1], ConnectionError)
    assert not fired.fire("closed")
