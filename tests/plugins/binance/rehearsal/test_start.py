"""Starting and stopping the venue, and what it says of settings that are of no use."""

import asyncio
import socket
import ssl
from decimal import Decimal
from pathlib import Path

import aiohttp
import ccxt.pro
import pytest
from aiohttp.abc import AbstractResolver
from copydesk.errors import UsageError
from copydesk.hookspecs import RunningRehearsal

RECORDING = Path(__file__).parents[5] / "shared/venue-samples/binance-usdm/replay-market-data/cf-BINANCE_FUTURES.jsonl.zst"


async def test_ready(desk):
    running: RunningRehearsal = desk.rehearsal
    ready = running.ready
    assert ready.kind == "binance-futures"
    assert set(ready.urls) == {"rest", "ws", "ws_api"}
    assert [account.name for account in ready.accounts] == ["parent", "child"]
    assert ready.accounts[0].options == {"url": ready.urls["rest"], "ws_url": ready.urls["ws"]}
    assert set(ready.accounts[0].secrets) == {"key", "secret"}
    assert ready.accounts[0].secrets["secret"] not in repr(ready)
    assert {"BTCUSDT", "ETHUSDT"} <= set(ready.symbols)
    state = (await desk.ask("GET", "/rehearsal/state")).json
    assert state["accounts"]["parent"]["balance"]["cash"] == "100000"
    assert (await desk.ask("GET", "/rehearsal/nothing")).status == 404


async def test_keys_of_ones_own(open_desk):
    options = {"key.parent": "my-key", "secret.parent": "my-secret"}
    desk = await open_desk(options=options)
    assert desk.secrets() == {"key": "my-key", "secret": "my-secret"}
    assert (await desk.signed("GET", "/fapi/v3/account")).status == 200


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"accounts": {}}, "at least one account"),
        ({"options": {"colour": "red"}}, "colour"),
        ({"options": {"weight-per-minute": "many"}}, "weight_per_minute"),
        ({"options": {"listen-key-seconds": "0"}}, "listen_key_seconds"),
        ({"options": {"key.stranger": "x"}}, "stranger"),
        ({"options": {"key.parent": "same", "key.child": "same"}}, "same API key"),
        ({"market": "/no/such/recording"}, "/no/such/recording"),
    ],
)
async def test_settings_of_no_use(open_desk, settings, says):
    with pytest.raises(UsageError, match=says):
        await open_desk(**settings)


async def test_a_port_in_use(open_desk, desk):
    port = int(desk.rest.rsplit(":", 1)[1])
    with pytest.raises(UsageError, match=f"port {port} on 127.0.0.1 is in use"):
        await open_desk(port=port)


async def test_stopping_twice_and_starting_again_on_the_same_port(open_desk, desk):
    feed = await desk.private()
    await desk.rehearsal.stop()
    with pytest.raises(ConnectionError):
        await feed.next()
    await desk.rehearsal.stop()
    again = await open_desk(port=int(desk.rest.rsplit(":", 1)[1]))
    assert (await again.ask("GET", "/fapi/v1/ping")).status == 200


async def test_the_market_moves(open_desk):
    desk = await open_desk(speed=Decimal(50))
    feed = await desk.listen("/ws/btcusdt@aggTrade")
    trades = [await feed.next() for _ in range(5)]
    assert len({trade["a"] for trade in trades}) == 5


async def test_a_recorded_market_is_served_as_it_was(open_desk):
    if not RECORDING.exists():
        pytest.skip("the shared venue samples are not here")
    desk = await open_desk(market=str(RECORDING), speed=Decimal(10))
    client = await desk.ccxt()
    markets = await client.load_markets()
    assert {market["id"] for market in markets.values()} == set(desk.rehearsal.ready.symbols)
    info = (await desk.ask("GET", "/fapi/v1/exchangeInfo")).json
    [symbol] = [one for one in info["symbols"] if one["symbol"] == desk.rehearsal.ready.symbols[0]]
    assert {"triggerProtect", "orderTypes", "permissionSets", "marketTakeBound"} <= set(symbol)
    market = next(iter(markets.values()))
    book = await client.fetch_order_book(market["symbol"])
    cost = 3 * max(market["limits"]["cost"]["min"] or 5, 5)
    amount = float(client.amount_to_precision(market["symbol"], cost / book["asks"][0][0]))
    order = await client.create_order(market["symbol"], "market", "buy", amount)
    assert order["status"] == "closed"


class Loopback(AbstractResolver):
    """Answers every host name with the venue's TLS port."""

    def __init__(self, port: int) -> None:
        self._port = port

    async def resolve(self, host, port=0, family=socket.AF_INET):
        address = {"hostname": host, "host": "127.0.0.1", "port": self._port, "family": socket.AF_INET}
        return [{**address, "proto": 0, "flags": socket.AI_NUMERICHOST}]

    async def close(self) -> None:
        pass


async def test_the_venue_under_its_real_host_names(open_desk):
    desk = await open_desk(options={"tls": "true"})
    urls = desk.rehearsal.ready.urls
    authority = Path(urls["ca"])
    context = ssl.create_default_context(cafile=urls["ca"])
    connector = aiohttp.TCPConnector(resolver=Loopback(int(urls["tls"].rsplit(":", 1)[1])), ssl=context)
    secrets = desk.secrets()
    async with aiohttp.ClientSession(connector=connector) as session:
        client = ccxt.pro.binanceusdm({"apiKey": secrets["key"], "secret": secrets["secret"], "session": session})
        client.own_session = False
        await client.load_markets()
        order = await client.create_order("BTC/USDT:USDT", "limit", "buy", 0.01, 59000)
        assert order["status"] == "open"
        with pytest.raises(ccxt.InsufficientFunds):
            await client.create_order("BTC/USDT:USDT", "limit", "buy", 100, 59000)
        watching = asyncio.create_task(client.watch_orders())
        async with asyncio.timeout(40):
            while not watching.done():
                await client.create_order("BTC/USDT:USDT", "limit", "buy", 0.01, 58000)
                await asyncio.sleep(0.05)
        assert watching.result()[0]["price"] == 58000
        await client.close()
    await desk.rehearsal.stop()
    assert not list(authority.parent.parent.glob(f"{authority.parent.name}/*"))
