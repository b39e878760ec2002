"""The venue's payloads against recorded ones: every recorded field is sent, with the same kind of value and of number, and
none is sent that neither a sample nor the table of newer fields has."""

import asyncio
import json
import re
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path

import pytest
from copydesk.model import RehearsalSettings
from copydesk_bybit.rehearsal import start

SAMPLES = Path(__file__).parents[5] / "shared/venue-samples/bybit"
NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")
BTC = {"category": "linear", "symbol": "BTCUSDT"}
LIMIT = {**BTC, "side": "Buy", "orderType": "Limit", "qty": "0.010", "price": "59000"}
MARKET = {**BTC, "side": "Buy", "orderType": "Market", "qty": "0.010"}
SPOT = {"category": "spot", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.01", "price": "59000"}

# Kind of payload: (recorded files, recorded fields that are not sent here, newer fields that the samples lack)
NEWER_ORDER = {"createType", "cumFeeDetail"}
TABLE = {
    "order event": (
        ["order-updates/bbdoc-order-Stream-Example.json", "order-updates/roq-order-linear-new.json"],
        {"isLeverage", "tpSlMode", "orderIv"},
        NEWER_ORDER | {"closedPnl", "rpiTakerAccess", "rpiMatchedQty", "feeCurrency", "tpslMode"},
    ),
    "spot order event": (
        ["order-updates/roq-order-spot-new.json"],
        set(),
        NEWER_ORDER
        | {"closedPnl", "rpiTakerAccess", "rpiMatchedQty", "feeCurrency", "basePrice", "marketUnit"}
        | {"tpLimitPrice", "slLimitPrice", "placeType"},
    ),
    "order row": (["open-orders/bbdoc-open-order-Response-Example.json"], set(), NEWER_ORDER),
    "execution event": (
        ["executions/bbdoc-execution-Stream-Example.json", "executions/roq-execution-linear-taker.json"],
        set(),
        {"seq", "createType", "execPnl", "extraFees", "feeCurrency", "marketUnit"},
    ),
    "fast execution event": (["executions/bbdoc-fast-execution-Stream-Example.json"], set(), set()),
    "execution row": (["executions/bbdoc-execution-Response-Example.json"], set(), set()),
    "position event": (["position-updates/bbdoc-position-Stream-Example.json"], set(), {"leverageSysUpdatedTime"}),
    "position row": (["positions/bbdoc-position-Response-Example.json"], {"mmrSysUpdateTime"}, {"mmrSysUpdatedTime"}),
    "wallet event": (["balance-updates/bbdoc-wallet-Stream-Example.json"], set(), set()),
    "wallet row": (["account-balance/bbdoc-wallet-balance-Response-Example.json"], set(), set()),
    "linear instrument": (["instruments/cf-cut-v5-instruments-info-linear-2026.json"], set(), set()),
    "spot instrument": (["instruments/cf-cut-v5-instruments-info-spot-2026.json"], set(), set()),
    "placed": (["order-place/bbdoc-create-order-Response-Example.json"], set(), set()),
    "batch placed": (["order-place/bbdoc-batch-place-Response-Example.json"], set(), set()),
    "all cancelled": (["order-cancel/bbdoc-cancel-all-Response-Example.json"], set(), set()),
    "order entry": (["order-place/roq-ws-trade-create-success.json"], set(), set()),
    "order entry refused": (["errors/roq-ws-trade-cancel-110001-order-not-exists.json"], set(), set()),
    "logged in": (["auth/cx-ws-handleAuthenticate-3.json"], set(), set()),
    "logged in to order entry": (["auth/cx-ws-handleAuthenticate-2.json"], set(), set()),
    "subscribed": (["subscriptions/cf26-subscribe-True.json"], set(), set()),
    "private pong": (["heartbeat/ntrs-test_parse_raw_json_pong_message.json"], set(), set()),
    "public pong": (["heartbeat/bbdoc-wss-authentication-How-to-Send-the-Heartbeat-Packet-2.json"], set(), set()),
    "time": (["heartbeat/nt-server_time.json"], set(), {"retExtInfo"}),
    "trade event": (["market-data-ws/cf26-publicTrade-snapshot.json"], set(), set()),
    "book event": (["market-data-ws/cf26-orderbook-snapshot.json"], set(), set()),
    "ticker event": (["market-data-ws/cf26-tickers-snapshot.json"], set(), set()),
    "spot ticker event": (["market-data-ws/nt-ws_ticker_spot.json"], set(), set()),
    "candle event": (["market-data-ws/cf26-kline-snapshot.json"], set(), set()),
    "ticker": (["market-data/bbdoc-tickers-Response-Example.json"], set(), {"fundingCap"}),
    "spot ticker": (["market-data/nt-tickers-3.json"], set(), set()),
    "book": (["market-data/bbdoc-orderbook-Response-Example.json"], set(), set()),
    "trades": (["market-data/bbdoc-recent-trade-Response-Example.json"], set(), set()),
    "candles": (["market-data/bbdoc-kline-Response-Example.json"], set(), set()),
    "account info": (["account-config/nt-http_get_account_info.json"], set(), {"retExtInfo", "time"}),
    "fee rate": (["account-config/bbdoc-fee-rate-Response-Example.json"], set(), {"category"}),
    "key": (
        ["account-config/nt-http_get_user_query_api.json"],
        {"userIDInt64", "inviterIDInt64", "affiliateIDInt64"},
        set(),
    ),
    "closed": (["positions/bbdoc-close-pnl-Response-Example.json"], set(), set()),
    "leverage set": (["account-config/bbdoc-leverage-Response-Example.json"], set(), set()),
    "funding": (["market-data/bbdoc-history-fund-rate-Response-Example.json"], set(), set()),
}
IDS = frozenset({"orderId", "orderLinkId", "execId", "reqId"})
FREE = frozenset({"cumFeeDetail", "extraFees", "permissions", "chains"})
"""Objects and lists whose contents are the account's own."""


async def collect(desk_type):
    """One session with the venue: what it answered and told, by the kinds that the table names."""
    got = {}
    async with AsyncExitStack() as stack:
        options = {"coins": "BTC=1"}
        settings = RehearsalSettings(kind="bybit", accounts={"parent": Decimal(100_000)}, speed=Decimal(0), options=options)
        rehearsal = await start(settings)
        stack.push_async_callback(rehearsal.stop)
        desk = desk_type(rehearsal, stack)
        desk.trade("60000")
        desk.trade("60000", "BTCUSDT-SPOT")
        await collect_private(desk, got)
        await collect_order_entry(desk, got)
        await collect_market(desk, got)
    return got


async def collect_private(desk, got):
    async def keep(kind, method, path, **params):
        got[kind] = (await desk.signed(method, f"/v5/{path}", **params)).json

    feed = await desk.listen("/v5/private")
    got["logged in"] = await feed.ask(desk.auth())
    topics = ["order", "execution", "execution.fast", "position", "wallet"]
    await feed.ask({"op": "subscribe", "args": topics, "req_id": "1"})
    got["private pong"] = await feed.ask({"op": "ping"})
    await keep("placed", "POST", "order/create", **LIMIT, orderLinkId="a-1")
    await feed.until(lambda frame: keep_frame(got, "order event", frame, "order"))
    await keep("order row", "GET", "order/realtime", **BTC)
    await keep("batch placed", "POST", "order/create-batch", category="linear", request=[{**LIMIT, "orderLinkId": "b"}])
    await keep("all cancelled", "POST", "order/cancel-all", **BTC)
    await desk.post("order/create", **MARKET)
    await feed.until(lambda frame: keep_frame(got, "execution event", frame, "execution"))
    await feed.until(lambda frame: keep_frame(got, "fast execution event", frame, "execution.fast"))
    await feed.until(lambda frame: keep_frame(got, "position event", frame, "position"))
    await feed.until(lambda frame: keep_frame(got, "wallet event", frame, "wallet"))
    await keep("execution row", "GET", "execution/list", **BTC)
    await keep("position row", "GET", "position/list", **BTC)
    await keep("wallet row", "GET", "account/wallet-balance", accountType="UNIFIED")
    await desk.post("order/create", **SPOT)
    await feed.until(lambda frame: keep_frame(got, "spot order event", frame, "order"))
    await keep("leverage set", "POST", "position/set-leverage", **BTC, buyLeverage="7", sellLeverage="7")
    await desk.post("order/create", **MARKET | {"side": "Sell", "reduceOnly": True})
    await keep("closed", "GET", "position/closed-pnl", **BTC)
    await keep("account info", "GET", "account/info")
    await keep("fee rate", "GET", "account/fee-rate", **BTC)
    await keep("key", "GET", "user/query-api")


def keep_frame(got, kind, frame, topic):
    if frame.get("topic") != topic:
        return False
    got[kind] = frame
    return True


async def collect_order_entry(desk, got):
    entry = await desk.listen("/v5/trade")
    got["logged in to order entry"] = await entry.ask(desk.auth())
    header = {"X-BAPI-TIMESTAMP": str(desk.rehearsal.exchange.now_ms())}
    request = {"reqId": "1", "header": header, "op": "order.create", "args": [{**LIMIT, "orderLinkId": "c"}]}
    got["order entry"] = await entry.ask(request)
    wrong = {"reqId": "2", "header": header, "op": "order.cancel", "args": [{**BTC, "orderLinkId": "none"}]}
    got["order entry refused"] = await entry.ask(wrong)


async def collect_market(desk, got):
    async def keep(kind, path, **params):
        got[kind] = (await desk.signed("GET", f"/v5/market/{path}", **params)).json

    await keep("time", "time")
    await keep("linear instrument", "instruments-info", category="linear")
    await keep("spot instrument", "instruments-info", category="spot")
    await keep("ticker", "tickers", category="linear", symbol="BTCUSDT")
    await keep("spot ticker", "tickers", category="spot", symbol="BTCUSDT")
    await keep("book", "orderbook", category="spot", symbol="BTCUSDT", limit=1)
    await keep("trades", "recent-trade", category="spot", symbol="BTCUSDT", limit=1)
    await keep("candles", "kline", category="linear", symbol="BTCUSDT", interval="60", limit=3)
    await keep("funding", "funding/history", category="linear", symbol="ETHUSDT", limit=2)
    feed = await desk.listen("/v5/public/linear")
    topics = ["publicTrade.BTCUSDT", "orderbook.50.BTCUSDT", "tickers.BTCUSDT", "kline.1.BTCUSDT"]
    got["subscribed"] = await feed.ask({"op": "subscribe", "args": topics})
    await feed.until(lambda frame: keep_frame(got, "book event", frame, "orderbook.50.BTCUSDT"))
    await feed.until(lambda frame: keep_frame(got, "ticker event", frame, "tickers.BTCUSDT"))
    desk.trade("60001")
    await feed.until(lambda frame: keep_frame(got, "trade event", frame, "publicTrade.BTCUSDT"))
    await feed.until(lambda frame: keep_frame(got, "candle event", frame, "kline.1.BTCUSDT"))
    got["public pong"] = await feed.ask({"op": "ping"})
    spot = await desk.listen("/v5/public/spot")
    await spot.ask({"op": "subscribe", "args": ["tickers.BTCUSDT"]})
    await spot.until(lambda frame: keep_frame(got, "spot ticker event", frame, "tickers.BTCUSDT"))


@pytest.fixture(scope="module")
def got(desk_type):
    """One session serves all comparisons."""
    return asyncio.run(collect(desk_type))


def test_the_table_is_whole(got):
    assert set(got) == set(TABLE)


@pytest.mark.parametrize("kind", TABLE)
def test_payloads_are_as_recorded(kind, got):
    files, absent, newer = TABLE[kind]
    if not SAMPLES.is_dir():
        pytest.skip(f"no recorded payloads at {SAMPLES}")
    recorded = [json.loads((SAMPLES / file).read_text()) for file in files]
    problems = []
    compare(kind, recorded, got[kind], absent, newer, problems)
    assert problems == []


def compare(where, recorded, sent, absent, newer, problems):
    """Note each field that is missing, of another kind, or sent without being known."""
    name = where.rpartition(".")[2]
    if name in FREE:
        return
    if isinstance(sent, dict):
        known = {field for sample in recorded if isinstance(sample, dict) for field in sample}
        problems += [f"{where}.{field} is not sent" for field in known - sent.keys() - absent]
        problems += [f"{where}.{field} is in no sample" for field in sent.keys() - known - newer]
        for field in known & sent.keys():
            samples = [sample[field] for sample in recorded if isinstance(sample, dict) and field in sample]
            compare(f"{where}.{field}", samples, sent[field], absent, newer, problems)
    elif isinstance(sent, list):
        rows = [row for sample in recorded if isinstance(sample, list) for row in sample]
        if any(not isinstance(sample, list) for sample in recorded):
            problems.append(f"{where} is a list")
        for row in sent[:3] if rows else []:
            compare(where, rows, row, absent, newer, problems)
    elif not is_alike(name, sent, recorded):
        problems.append(f"{where}: {sent!r} is a {kind_of(sent)}, recorded is {recorded[0]!r}")


def is_alike(name, sent, recorded):
    """The same kind of value. What is absent is an empty text, and ids may or may not be numbers."""
    kinds = {kind_of(sample) for sample in recorded}
    if isinstance(sent, str) and (name in IDS or sent == "" or "" in recorded):
        return any(isinstance(sample, str) for sample in recorded)
    return kind_of(sent) in kinds


def kind_of(value):
    if isinstance(value, str):
        return "number in text" if NUMBER.fullmatch(value) else "text"
    return type(value).__name__
