"""Every fault, asked for through the control endpoint or at the start, and what a client sees of it."""

import asyncio
import time

import aiohttp
import ccxt
import pytest
from copydesk.errors import UsageError

LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.010", "price": "59000"}
SYMBOL = "BTC/USDT:USDT"


async def place(desk, account="parent", **fields):
    return await desk.signed("POST", "/fapi/v1/order", account, **{**LIMIT, **fields})


def prices(events):
    return [event["o"]["p"] for event in events]


async def test_drop_stream_loses_the_event_and_the_connection(desk):
    feed = await desk.private()
    other = await desk.private("child")
    await desk.fault("drop-stream", account="parent")
    await place(desk, price="58000")
    await place(desk, "child", price="58000")
    with pytest.raises((ConnectionError, aiohttp.ClientError)):
        await feed.next()
    assert (await other.next())["o"]["p"] == "58000"
    feed = await desk.private()
    await place(desk, price="58001")
    assert (await feed.next())["o"]["p"] == "58001"


async def test_duplicate_events(desk):
    feed = await desk.private()
    await desk.fault("duplicate-events")
    await place(desk, price="58000")
    await place(desk, price="58001")
    assert prices([await feed.next() for _ in range(3)]) == ["58000", "58000", "58001"]


async def test_reordered_events(desk):
    feed = await desk.private()
    await desk.fault("reorder")
    for price in ("58000", "58001", "58002"):
        await place(desk, price=price)
    assert prices([await feed.next() for _ in range(3)]) == ["58001", "58000", "58002"]


async def test_a_reordered_event_is_not_held_for_ever(desk):
    feed = await desk.private()
    await desk.fault("reorder")
    await place(desk, price="58000")
    assert prices([await feed.next()]) == ["58000"]


async def test_lose_reply_accepts_and_says_nothing(desk):
    await desk.fault("lose-reply")
    with pytest.raises(aiohttp.ClientError):
        await place(desk, newClientOrderId="cd-1")
    found = await desk.signed("GET", "/fapi/v1/order", symbol="BTCUSDT", origClientOrderId="cd-1")
    assert found.json["status"] == "NEW"
    assert (await place(desk)).status == 200


async def test_lose_reply_as_ccxt_sees_it(desk):
    client = await desk.ccxt()
    await client.load_markets()
    await desk.fault("lose-reply", count=2)
    with pytest.raises(ccxt.NetworkError):
        await client.create_order(SYMBOL, "limit", "buy", 0.01, 59000)
    with pytest.raises(ccxt.NetworkError):
        await client.create_order_ws(SYMBOL, "limit", "buy", 0.01, 58000)
    assert len(desk.exchange.open_orders("parent")) == 2


async def test_429(desk):
    await desk.fault("429")
    answer = await place(desk)
    assert (answer.status, answer.code, answer.headers["Retry-After"]) == (429, -1003, "1")
    assert desk.exchange.open_orders("parent") == []
    assert (await place(desk)).status == 200


@pytest.mark.parametrize(("fault", "status", "code"), [("5xx", 503, -1000), ("-1007", 408, -1007)])
async def test_half_of_the_doubtful_answers_were_accepted(desk, fault, status, code):
    await desk.fault(fault, count=4)
    for _ in range(4):
        answer = await place(desk)
        assert (answer.status, answer.code) == (status, code)
    assert len(desk.exchange.open_orders("parent")) == 2


async def test_overload_is_a_clear_no(desk):
    await desk.fault("overload")
    answer = await place(desk)
    assert (answer.status, answer.code) == (503, -1008)
    assert desk.exchange.open_orders("parent") == []


async def test_stall(desk):
    await desk.fault("stall", seconds=1)
    began = time.monotonic()
    stalled = asyncio.create_task(place(desk))
    assert (await desk.ask("GET", "/fapi/v1/ping")).status == 200
    assert not stalled.done()
    assert (await stalled).status == 200
    assert time.monotonic() - began >= 1


async def test_clock_skew(desk):
    client = await desk.ccxt()
    await client.load_markets()
    await desk.fault("clock-skew", seconds=5, count=2)
    with pytest.raises(ccxt.InvalidNonce, match="-1021"):
        await client.create_order(SYMBOL, "limit", "buy", 0.01, 59000)
    assert await client.load_time_difference() >= 4900
    client.options["adjustForTimeDifference"] = True
    assert (await client.create_order(SYMBOL, "limit", "buy", 0.01, 59000))["status"] == "open"


async def test_partial_fills(desk):
    feed = await desk.private()
    await desk.fault("partial-fills")
    await desk.signed("POST", "/fapi/v1/order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.030")
    events = await feed.until(lambda event: event["e"] == "ACCOUNT_UPDATE")
    fills = [event["o"] for event in events if event["e"] == "ORDER_TRADE_UPDATE" and event["o"]["x"] == "TRADE"]
    assert len(fills) == 3
    assert [fill["z"] for fill in fills] == ["0.01", "0.02", "0.03"]
    assert [fill["X"] for fill in fills] == ["PARTIALLY_FILLED", "PARTIALLY_FILLED", "FILLED"]
    assert len({fill["t"] for fill in fills}) == 3


async def test_go_away_and_come_back(desk):
    feed = await desk.private()
    await desk.fault("go-away", seconds=0.2)
    with pytest.raises(aiohttp.ClientError):
        await place(desk)
    with pytest.raises((ConnectionError, aiohttp.ClientError)):
        await feed.next()
    with pytest.raises(aiohttp.ClientError):
        await desk.ask("GET", "/fapi/v1/ping")
    state = await desk.ask("GET", "/rehearsal/state")
    assert state.json["faults"][0]["fired"] == 1
    async with asyncio.timeout(40):
        while True:
            try:
                await desk.ask("GET", "/fapi/v1/ping")
                break
            except aiohttp.ClientError:
                continue
    assert (await place(desk)).status == 200
    assert len(desk.exchange.open_orders("parent")) == 1


async def test_faults_from_the_start_and_for_one_account(open_desk):
    desk = await open_desk(faults=("429:2@child",))
    assert [(await place(desk)).status for _ in range(2)] == [200, 200]
    assert [(await place(desk, "child")).status for _ in range(4)] == [200, 429, 200, 429]


async def test_faults_can_be_ended(desk):
    await desk.fault("429", count=100)
    assert (await place(desk)).status == 429
    http = await desk.http()
    async with http.delete(f"{desk.rehearsal.ready.control_url}/faults?name=429") as response:
        assert (await response.json())["faults"] == []
    assert (await place(desk)).status == 200


async def test_bad_requests_for_faults(desk):
    http = await desk.http()
    url = f"{desk.rehearsal.ready.control_url}/faults"
    for body in ('{"name": "earthquake"}', "{", '{"name": "429", "account": "stranger"}', '{"name": "429", "every": 0}'):
        async with http.post(url, data=body) as response:
            assert response.status == 422
            assert (await response.json())["error"]
    assert (await place(desk)).status == 200


async def test_faults_reach_the_websocket_api(desk):
    client = await desk.ccxt()
    await client.load_markets()
    await desk.fault("-1007")
    with pytest.raises(ccxt.RequestTimeout):
        await client.create_order_ws(SYMBOL, "limit", "buy", 0.01, 58000)
    assert (await client.create_order_ws(SYMBOL, "limit", "buy", 0.01, 58000))["status"] == "open"


async def test_unknown_fault_at_the_start(open_desk):
    with pytest.raises(UsageError, match="earthquake"):
        await open_desk(faults=("earthquake",))
