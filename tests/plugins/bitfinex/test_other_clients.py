"""What ccxt.pro.bitfinex does against the rehearsal venue, unmodified but for its addresses; and what bare requests get."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import ccxt
import ccxt.pro
import pytest
from copydesk.model import RehearsalSettings
from copydesk_bitfinex.rehearsal import Rehearsal, start
from copydesk_paper.serving.signatures import sign

PERPETUAL, PAIR = "BTC/USDT:USDT", "BTC/USDT"
DEADLINE_S = 40.0


@pytest.fixture
async def rehearsal() -> AsyncIterator[Rehearsal]:
    settings = RehearsalSettings(kind="bitfinex", accounts={"main": Decimal(100_000)}, speed=Decimal("0.0001"))
    running = await start(settings)
    yield running
    await running.stop()


@pytest.fixture
async def client(rehearsal: Rehearsal) -> AsyncIterator[Any]:
    secrets = rehearsal.ready.accounts[0].secrets
    bitfinex = ccxt.pro.bitfinex({"apiKey": secrets["key"], "secret": secrets["secret"], "enableRateLimit": False})
    api, urls = bitfinex.urls["api"], rehearsal.ready.urls
    api["public"] = api["private"] = api["v1"] = urls["rest"]
    api["ws"]["public"] = api["ws"]["private"] = urls["ws"]
    await bitfinex.load_markets()
    yield bitfinex
    await bitfinex.close()


async def soon(awaited: Any) -> Any:
    return await asyncio.wait_for(awaited, DEADLINE_S)


@contextlib.asynccontextmanager
async def watching(*coroutines: Any) -> AsyncIterator[list[asyncio.Task[Any]]]:
    tasks = [asyncio.ensure_future(one) for one in coroutines]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_markets_and_market_data(client: Any) -> None:
    assert client.markets[PERPETUAL]["swap"]
    assert client.markets[PAIR]["spot"]
    assert client.markets[PAIR]["margin"]
    assert await client.fetch_status() == {**await client.fetch_status(), "status": "ok"}
    for symbol in (PERPETUAL, PAIR):
        assert (await client.fetch_ticker(symbol))["last"] == 60_000
        book = await client.fetch_order_book(symbol)
        assert book["bids"][0][0] < book["asks"][0][0]
        assert len(await client.fetch_ohlcv(symbol, "1m", limit=10)) == 10
    assert set(await client.fetch_tickers()) >= {PERPETUAL, PAIR}


async def test_streams_of_the_market(client: Any) -> None:
    assert (await soon(client.watch_ticker(PERPETUAL)))["last"] == 60_000
    book = await soon(client.watch_order_book(PERPETUAL))
    assert book["bids"][0][0] < book["asks"][0][0]
    async with watching(client.watch_order_book(PERPETUAL)) as (changed,):
        best, there = book["bids"][0][:2]
        await client.create_order(PERPETUAL, "limit", "buy", 0.5, best)
        assert (await soon(changed))["bids"][0][:2] == [best, there + 0.5]
    assert await soon(client.watch_ohlcv(PERPETUAL, "1m"))


async def test_life_of_orders(client: Any) -> None:
    async with watching(client.watch_orders(), client.watch_my_trades()) as (told, traded):
        await soon(client.authenticate())
        placed = await client.create_order(PERPETUAL, "limit", "buy", 0.01, 59_000, {"clientOrderId": 4711})
        assert placed["clientOrderId"] == "4711"
        assert (await soon(told))[-1]["id"] == placed["id"]
        await client.create_order(PERPETUAL, "market", "buy", 0.02)
        assert (await soon(traded))[-1]["amount"] == 0.02
    edited = await client.edit_order(placed["id"], PERPETUAL, "limit", "buy", 0.02, 59_001)
    assert edited["id"] == placed["id"]
    [open_] = await client.fetch_open_orders(PERPETUAL)
    assert (open_["price"], open_["amount"], open_["clientOrderId"]) == (59_001, 0.02, "4711")
    [position] = await client.fetch_positions()
    assert (position["symbol"], position["info"][2], position["side"]) == (PERPETUAL, 0.02, "long")
    stop = await client.create_order(PERPETUAL, "stop", "sell", 0.01, None, {"triggerPrice": 55_000, "reduceOnly": True})
    assert (await client.fetch_open_order(stop["id"], PERPETUAL))["id"] == stop["id"]
    by_cid = {"cid": 4711, "cidDate": client.ymd(client.milliseconds())}
    await client.cancel_order(None, PERPETUAL, {"clientOrderId": 4711, **by_cid})
    assert [order["id"] for order in await client.fetch_open_orders(PERPETUAL)] == [stop["id"]]
    assert {order["id"] for order in await client.fetch_closed_orders(PERPETUAL)} >= {placed["id"]}
    await client.cancel_all_orders()
    assert await client.fetch_open_orders() == []
    [trade] = await client.fetch_my_trades(PERPETUAL)
    assert (trade["amount"], trade["takerOrMaker"]) == (0.02, "taker")


async def test_pairs_and_wallets(client: Any) -> None:
    await client.create_order(PAIR, "market", "buy", 0.01)
    balance = await client.fetch_balance()
    assert balance["BTC"]["total"] == pytest.approx(0.01, rel=0.01)
    several = [
        {"symbol": PAIR, "type": "limit", "side": "buy", "amount": 0.01, "price": price} for price in (50_000, 51_000)
    ]
    both = await client.create_orders(several)
    assert len(both) == 2
    await client.cancel_orders([order["id"] for order in both], PAIR)
    assert await client.fetch_open_orders(PAIR) == []


async def test_refusals(client: Any) -> None:
    with pytest.raises(ccxt.InsufficientFunds):
        await client.create_order(PAIR, "limit", "buy", 100, 59_000)
    with pytest.raises(ccxt.ExchangeError, match="minimum size"):
        await client.create_order(PERPETUAL, "limit", "buy", 0.00001, 59_000)
    with pytest.raises(ccxt.OrderNotFound):
        await client.cancel_order("999", PERPETUAL)
    client.options["lastNonce"] = 1
    client.nonce = lambda: 1
    with pytest.raises(ccxt.InvalidNonce):
        await client.fetch_positions()
    client.secret = "wrong"
    with pytest.raises(ccxt.AuthenticationError):
        await client.fetch_positions()


# --- bare requests ----------------------------------------------------------------------------------------------------


class Bare:
    """Requests and frames by hand, with nonces by hand."""

    def __init__(self, rehearsal: Rehearsal, http: aiohttp.ClientSession) -> None:
        self.account = rehearsal.ready.accounts[0]
        self.urls = rehearsal.ready.urls
        self.http = http

    async def post(self, path: str, nonce: int, body: dict[str, Any] | None = None) -> Any:
        text = json.dumps(body or {})
        signature = sign(self.account.secrets["secret"].encode(), f"/api/v2/auth/{path}{nonce}{text}", "sha384")
        headers = {"bfx-nonce": str(nonce), "bfx-apikey": self.account.secrets["key"], "bfx-signature": signature}
        async with self.http.post(f"{self.urls['rest']}/v2/auth/{path}", data=text, headers=headers) as answer:
            return await answer.json()

    @contextlib.asynccontextmanager
    async def login(self, nonce: int, *, flags: int = 0, **more: Any) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
        async with self.http.ws_connect(self.urls["ws"]) as socket:
            if flags:
                await socket.send_json({"event": "conf", "flags": flags})
            payload = f"AUTH{nonce}"
            frame = {"event": "auth", "apiKey": self.account.secrets["key"], "authNonce": nonce, "authPayload": payload}
            signature = sign(self.account.secrets["secret"].encode(), payload, "sha384")
            await socket.send_json({**frame, **more, "authSig": signature})
            yield socket


@pytest.fixture
async def bare(rehearsal: Rehearsal) -> AsyncIterator[Bare]:
    async with aiohttp.ClientSession() as http:
        yield Bare(rehearsal, http)


async def heard(socket: aiohttp.ClientWebSocketResponse, wanted: Any) -> Any:
    """The first frame that is wanted, and all before it."""
    frames = []
    async with asyncio.timeout(DEADLINE_S):
        while True:
            frames.append(await socket.receive_json())
            if wanted(frames[-1]):
                return frames


def is_note(frame: Any) -> bool:
    return isinstance(frame, list) and frame[1] == "n"


async def test_a_nonce_has_to_grow_over_rest_and_websocket(bare: Bare) -> None:
    assert isinstance((await bare.post("r/wallets", 100))[0], list)
    assert await bare.post("r/wallets", 100) == ["error", 10114, "nonce: small"]
    async with bare.login(99) as socket:
        refused = (await heard(socket, lambda frame: frame.get("event") == "auth"))[-1]
        assert (refused["status"], refused["code"]) == ("FAILED", 10114)
    async with bare.login(200) as socket:
        assert (await heard(socket, lambda frame: frame.get("event") == "auth"))[-1]["status"] == "OK"
    assert await bare.post("r/wallets", 150) == ["error", 10114, "nonce: small"]


async def test_a_client_id_counts_once_a_day(bare: Bare) -> None:
    order = {"symbol": "tBTCF0:USTF0", "type": "LIMIT", "amount": "0.01", "price": "50000", "cid": 7}
    assert (await bare.post("w/order/submit", 1, order))[6] == "SUCCESS"
    assert (await bare.post("w/order/submit", 2, order))[:2] == ["error", 10001]
    assert (await bare.post("w/order/submit", 3, {**order, "cid": 1 << 45}))[1] == 10020


async def test_frames_are_numbered_and_inputs_are_answered(bare: Bare) -> None:
    order = {"symbol": "tBTCF0:USTF0", "type": "LIMIT", "amount": "0.01", "price": "50000", "cid": 7}
    async with bare.login(1, flags=65536) as socket:
        await socket.send_json([0, "on", None, {**order, "flags": 4096, "meta": {"aff_code": "x"}}])
        frames = await heard(socket, is_note)
        arrays = [frame for frame in frames if isinstance(frame, list)]
        assert [frame[-2] for frame in arrays] == list(range(1, len(arrays) + 1))
        assert arrays[-1][-1] == arrays[-2][-1]  # a notification does not advance the account's own number
        new = next(frame for frame in arrays if frame[1] == "on")[2]
        assert (new[2], new[13], new[31]) == (7, "ACTIVE", {"aff_code": "x", "$F7": 1})
        await socket.send_json([0, "ou", None, {"id": new[0], "delta": "0.02"}])
        assert (await heard(socket, is_note))[-1][2][4][7] == 0.03
        await socket.send_json([0, "oc", None, {"id": 999}])
        assert (await heard(socket, is_note))[-1][2][6:] == ["ERROR", "Order not found."]
        await socket.send_json([0, "ox_multi", None, [["oc_multi", {"all": 1}]]])
        told = await heard(socket, is_note)
        assert next(frame for frame in told if frame[1] == "oc")[2][13] == "CANCELED"


async def test_one_cancels_the_other(bare: Bare) -> None:
    order = {"symbol": "tBTCF0:USTF0", "type": "LIMIT", "amount": "-0.01", "price": "61000", "flags": 16384}
    placed = await bare.post("w/order/submit", 1, {**order, "price_oco_stop": "59000"})
    limit, stop = placed[4]
    assert (limit[8], stop[8], stop[16], stop[25]) == ("LIMIT", "STOP", 59000, limit[0])
    assert (await bare.post("w/order/cancel", 2, {"id": limit[0]}))[6] == "SUCCESS"
    assert await bare.post("r/orders", 3) == []


async def test_requests_of_a_kind_are_counted(bare: Bare) -> None:
    answers = [await bare.post("r/positions", nonce) for nonce in range(1, 92)]
    assert answers[89] == []
    assert answers[90] == ["error", 11010, "ratelimit: error"]
    assert isinstance((await bare.post("r/wallets", 200))[0], list)


async def test_a_subscription_is_answered_under_its_own_name(bare: Bare) -> None:
    async with bare.http.ws_connect(bare.urls["ws"]) as socket:
        asked = [
            {"channel": "ticker", "symbol": "tBTCUST"},
            {"channel": "trades", "symbol": "tBTCUST"},
            {"channel": "book", "symbol": "tBTCUST", "prec": "R0", "len": "25"},
            {"channel": "candles", "key": "trade:1m:tBTCUST"},
            {"channel": "status", "key": "deriv:tBTCF0:USTF0"},
        ]
        for number, one in enumerate(asked):
            await socket.send_json({"event": "subscribe", "subId": f"mine-{number}", **one})
            frames = await heard(socket, lambda frame: isinstance(frame, list))
            answer = next(frame for frame in frames if isinstance(frame, dict) and frame["event"] == "subscribed")
            assert answer == {**answer, **one, "subId": f"mine-{number}"}
            assert frames[-1][0] == answer["chanId"]
        await socket.send_json({"event": "subscribe", "subId": "again", **asked[0]})
        refused = (await heard(socket, lambda frame: isinstance(frame, dict) and frame["event"] == "error"))[-1]
        assert (refused["code"], refused["subId"]) == (10301, "again")


async def test_what_cannot_be_filled_is_taken_and_cancelled(bare: Bare) -> None:
    order = {"symbol": "tBTCF0:USTF0", "type": "FOK", "amount": "0.01", "price": "50000"}
    assert (await bare.post("w/order/submit", 1, order))[6] == "SUCCESS"
    assert [row[13] for row in await bare.post("r/orders/hist", 2)] == ["FILLORKILL CANCELED"]
    assert (await bare.post("w/order/submit", 3, {**order, "type": "LIMIT", "price": "61000", "flags": 4096}))[
        6
    ] == "SUCCESS"
    assert (await bare.post("r/orders/hist", 4))[0][13] == "POSTONLY CANCELED"


async def test_the_past_of_an_account_is_kept(bare: Bare) -> None:
    """Ledger entries, and positions that have ended."""
    order = {"symbol": "tBTCF0:USTF0", "type": "MARKET", "price": "0"}
    await bare.post("w/order/submit", 1, {**order, "amount": "0.01"})
    await bare.post("w/order/submit", 2, {**order, "amount": "-0.01"})
    assert await bare.post("r/positions", 3) == []
    [ended] = await bare.post("r/positions/hist", 4)
    assert ended[:2] == ["tBTCF0:USTF0", "CLOSED"]
    assert await bare.post("r/positions/audit", 5, {"id": [ended[11]]}) == [ended]
    entries = await bare.post("r/ledgers/USTF0/hist", 6)
    assert len(entries) == 2
    assert all(row[1:3] == ["USTF0", "margin"] and row[5] < 0 and "on wallet margin" in row[8] for row in entries)
    wallets = await bare.post("r/wallets", 7)
    assert entries[0][6] == next(row[2] for row in wallets if row[:2] == ["margin", "USTF0"])
    assert await bare.post("r/ledgers/BTC/hist", 8) == []
    assert await bare.post("r/funding/offers/fUSD/hist", 9) == []


async def test_orders_of_a_dead_man_are_cancelled(bare: Bare) -> None:
    """`dms`: once the connection is gone, so are the account's orders."""
    await bare.post(
        "w/order/submit", 1, {"symbol": "tBTCUST", "type": "EXCHANGE LIMIT", "amount": "0.01", "price": "50000"}
    )
    nonces = itertools.count(2)
    async with bare.login(next(nonces)) as socket:
        await heard(socket, lambda frame: isinstance(frame, list) and frame[1] == "os")
    assert len(await bare.post("r/orders", next(nonces))) == 1
    async with bare.login(next(nonces)) as watching:
        await heard(watching, lambda frame: isinstance(frame, list) and frame[1] == "os")
        async with bare.login(next(nonces), dms=4) as socket:
            await heard(socket, lambda frame: isinstance(frame, list) and frame[1] == "os")
        await heard(watching, lambda frame: isinstance(frame, list) and frame[1] == "oc")
    assert await bare.post("r/orders", next(nonces)) == []


async def test_what_a_trade_would_cost(bare: Bare) -> None:
    asked = {"symbol": "tBTCUST", "amount": "0.5"}
    async with bare.http.post(f"{bare.urls['rest']}/v2/calc/trade/avg", json=asked) as response:
        price, amount = await response.json()
    async with bare.http.get(f"{bare.urls['rest']}/v2/ticker/tBTCUST") as response:
        ticker = await response.json()
    assert (amount, price >= ticker[2]) == (0.5, True)
    async with bare.http.post(f"{bare.urls['rest']}/v2/calc/fx", json={"ccy1": "BTC", "ccy2": "UST"}) as response:
        assert await response.json() == [ticker[6]]
