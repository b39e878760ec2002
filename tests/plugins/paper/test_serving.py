"""What all rehearsal servers share, by itself: limits, signatures, keys, options, and the door that closes for a while."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal

import aiohttp
import pytest
from aiohttp import WSMsgType, web
from copydesk.errors import UsageError
from copydesk.model import Record, RehearsalSettings
from copydesk_paper.exchange import Exchange
from copydesk_paper.market import open_market
from copydesk_paper.serving.control import Control
from copydesk_paper.serving.faults import Faults
from copydesk_paper.serving.frontend import Frontend
from copydesk_paper.serving.limits import Bucket, Limits, Window
from copydesk_paper.serving.misbehaviour import Cut, Misbehaviour
from copydesk_paper.serving.outbox import Outbox
from copydesk_paper.serving.running import Running, check_keys, now_ms, read_options
from copydesk_paper.serving.signatures import Age, KeyMaker, Nonces, age, is_signature, sign
from hypothesis import given
from hypothesis import strategies as st

# --- limits ---


def test_a_window_starts_anew_with_each_interval_of_the_clock() -> None:
    window = Window(3, 1000)
    assert [window.take(1, 5_900) for _ in range(4)] == [True, True, True, False]
    assert (window.remaining(5_999), window.resets_ms(5_999), window.resets_in_s(5_999)) == (0, 6_000, 1)
    assert window.remaining(6_000) == 3
    assert window.take(3, 6_000)


def test_a_bucket_fills_up_steadily() -> None:
    bucket = Bucket(10, 1000)
    assert bucket.take(10, 50_000)
    assert not bucket.take(1, 50_099)
    assert bucket.take(1, 50_100)
    assert bucket.resets_ms(50_100) == 51_100
    assert bucket.remaining(50_700) == 6


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 7)), max_size=60))
def test_a_bucket_never_lets_more_through_than_it_held_and_got(steps: list[tuple[int, int]]) -> None:
    bucket, now, taken = Bucket(5, 1000), 1_000_000, 0
    for wait, amount in steps:
        now += wait
        if bucket.take(amount, now):
            taken += amount
        assert 0 <= bucket.remaining(now) <= 5
        assert taken * 1000 <= 5 * 1000 + 5 * (now - 1_000_000)


def test_each_address_has_a_limit_of_its_own() -> None:
    limits = Limits(lambda: Window(1, 1000))
    assert limits["a"].take(1, 1)
    assert limits["b"].take(1, 1)
    assert not limits["a"].take(1, 2)


# --- who asks ---


def test_signatures_are_those_that_venues_publish() -> None:
    # Binance's own example (REST "SIGNED endpoint examples"), and FTX's (websocket login)
    secret = b"NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
    text = "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
    assert sign(secret, text) == "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"
    ftx = b"Y2QTHI23f23f23jfjas23f23To0RfUwX3H42fvN-"
    assert sign(ftx, "1557246346499websocket_login") == "d10b5a67a1a941ae9463a60b285ae845cdeac1b11edc7da9977bef0228b96de9"
    assert is_signature(sign(secret, text, "sha384"), secret, text, "sha384")
    assert not is_signature(sign(secret, text), secret, text + "0")
    assert not is_signature("", secret, text)


def test_a_time_stamp_is_fine_in_its_window_only() -> None:
    judged = {stamp: age(stamp, 10_000, window_ms=500, ahead_ms=100) for stamp in (9_499, 9_500, 10_100, 10_101)}
    assert judged == {9_499: Age.TOO_OLD, 9_500: Age.FINE, 10_100: Age.FINE, 10_101: Age.AHEAD}


def test_nonces_must_grow_for_each_key() -> None:
    nonces = Nonces()
    assert [nonces.take("a", number) for number in (5, 5, 4, 6)] == [True, False, False, True]
    assert nonces.take("b", 1)


def test_keys_are_random_or_follow_from_a_seed() -> None:
    assert KeyMaker().hexadecimal(64, "main") != KeyMaker().hexadecimal(64, "main")
    seeded = KeyMaker("seed").hexadecimal(64, "main", "key")
    assert seeded == KeyMaker("seed").hexadecimal(64, "main", "key")
    others = (KeyMaker("seed").hexadecimal(64, "main", "secret"), KeyMaker("seeds").hexadecimal(64, "main", "key"))
    assert seeded not in others
    assert len(seeded) == 64
    assert set(KeyMaker("seed").text(200, "xyz", "a")) == set("xyz")


# --- options ---


class Options(Record, forbid_unknown_fields=True):
    orders_per_10s: int = 5


def settings(**options: str) -> RehearsalSettings:
    named = {name.replace("__", "."): text for name, text in options.items()}
    return RehearsalSettings(kind="any", accounts={"main": Decimal(1)}, options=named)


def test_options_are_read_and_keys_go_to_their_accounts() -> None:
    options, keys = read_options(settings(**{"orders-per-10s": "7", "key__main": "k"}), Options)
    assert options.orders_per_10s == 7
    assert keys == {"main": {"key": "k"}}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"key__other": "k"}, "has no account 'other'"),
        ({"speling": "1"}, "there are orders-per-10s, key.ACCOUNT, secret.ACCOUNT"),
        ({"orders-per-10s": "many"}, "rehearsal options"),
    ],
)
def test_options_that_do_not_fit_are_refused_with_a_sentence(options: dict[str, str], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        read_options(settings(**options), Options)


def test_no_accounts_and_keys_given_twice_are_refused() -> None:
    with pytest.raises(UsageError, match="at least one account"):
        read_options(RehearsalSettings(kind="any", accounts={}), Options)
    with pytest.raises(UsageError, match=r"give b another key\.b"):
        check_keys({"a": "same", "b": "same"})


# --- the door ---


class Echo(Frontend):
    """A venue that says what it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.open: set[Outbox] = set()

    async def answer(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        if path == "/cut":
            raise Cut
        return web.Response(text=f"{path} {query}")

    async def websocket(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        outbox = Outbox(socket, request.transport)
        self.open.add(outbox)

        async def hear(text: str) -> None:
            outbox.push(text)
            outbox.push(text.upper())

        try:
            await outbox.serve(hear)
        finally:
            self.open.discard(outbox)
        return socket

    def drop_all(self) -> None:
        for outbox in tuple(self.open):
            outbox.drop()


@pytest.fixture
async def echo() -> AsyncIterator[tuple[Echo, Running]]:
    market = open_market()
    exchange = Exchange(market.instruments, now_ms=now_ms)
    market.prime(exchange)
    exchange.open_account("main", Decimal(1000))
    venue = Echo()
    venue.control = Control(exchange, Misbehaviour(Faults(()), exchange, venue.leave, {}))
    running = Running(exchange, market, venue)
    await running.start("127.0.0.1", 0, speed=Decimal(0))
    yield venue, running
    await running.stop()


async def test_requests_arrive_as_sent_and_can_be_cut(echo: tuple[Echo, Running]) -> None:
    venue, running = echo
    async with aiohttp.ClientSession(f"http://{running.address}") as http:
        async with http.get("/v1/some%20thing?a=b&c") as response:
            assert await response.text() == "/v1/some%20thing a=b&c"
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await http.post("/cut")
        async with http.get("/rehearsal/state") as response:
            assert "main" in (await response.json())["accounts"]
    assert venue.requests == 2


async def test_a_venue_that_went_away_cuts_all_but_its_control(echo: tuple[Echo, Running]) -> None:
    venue, running = echo
    async with aiohttp.ClientSession(f"http://{running.address}") as http:
        async with http.ws_connect("/ws") as socket:
            await socket.send_str("hello")
            assert [await socket.receive_str() for _ in range(2)] == ["hello", "HELLO"]
            venue.leave(60)
            assert (await socket.receive(timeout=40)).type in (WSMsgType.CLOSED, WSMsgType.ERROR, WSMsgType.CLOSE)
        with pytest.raises(aiohttp.ClientError):
            await http.get("/v1/time")
        async with http.get("/rehearsal/state") as response:
            assert response.status == 200


async def test_a_port_in_use_is_said_in_a_sentence(echo: tuple[Echo, Running]) -> None:
    _, running = echo
    second = Echo()
    other = Running(running._exchange, running._market, second)
    with pytest.raises(UsageError, match=f"port {running.port} on 127.0.0.1 is in use"):
        await other.start("127.0.0.1", running.port)
