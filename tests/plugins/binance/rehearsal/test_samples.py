"""The venue's payloads against recorded ones: every recorded field is sent, with the same kind of value, and none is sent
that neither a sample nor the table of newer fields has."""

import asyncio
import json
from contextlib import AsyncExitStack
from decimal import Decimal
from pathlib import Path

import pytest
from copydesk.model import RehearsalSettings
from copydesk_binance.rehearsal import start
from harness.samples import differences, part

SAMPLES = Path(__file__).parents[5] / "shared/venue-samples/binance-usdm"
LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.010", "price": "59000"}
MARKET = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.010"}
STOP = {
    "algoType": "CONDITIONAL",
    "symbol": "BTCUSDT",
    "side": "SELL",
    "type": "STOP",
    "quantity": "0.010",
    "triggerPrice": "59000",
    "price": "59000",
}
TRAIL = {**STOP, "type": "TRAILING_STOP_MARKET", "callbackRate": "1", "activatePrice": "61000"}


async def collect(desk_type):
    """One session with the venue: what it answered and told, by the kinds that the table names."""
    got = {}
    async with AsyncExitStack() as stack:
        settings = RehearsalSettings(kind="binance-futures", accounts={"parent": Decimal(100_000)}, speed=Decimal(0))
        rehearsal = await start(settings)
        stack.push_async_callback(rehearsal.stop)
        desk = desk_type(rehearsal, stack)
        desk.trade("60000")
        feed = await desk.private()
        await collect_rest(desk, got)
        await collect_websocket_api(desk, got)
        http = await desk.http()
        await http.post(f"{rehearsal.ready.control_url}/accounts/parent/deposit", data='{"amount": "-10"}')
        events = await feed.until(lambda event: event["e"] == "ACCOUNT_UPDATE" and event["a"]["m"] == "WITHDRAW")
        sort_events(events, got)
        await collect_market(desk, got)
    return got


async def collect_rest(desk, got):
    async def keep(kind, method, path, **params):
        got[kind] = (await desk.signed(method, path, **params)).json
        return got[kind]

    name = await desk.ask("POST", "/fapi/v1/listenKey", headers={"X-MBX-APIKEY": desk.secrets()["key"]})
    got["listen key"] = name.json
    await keep("leverage", "POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=10)
    await keep("done", "POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="ISOLATED")
    await desk.signed("POST", "/fapi/v1/marginType", symbol="BTCUSDT", marginType="CROSSED")
    placed = await keep("order reply", "POST", "/fapi/v1/order", **LIMIT)
    got["order row"] = (await desk.signed("GET", "/fapi/v1/openOrders")).json[0]
    change = {"symbol": "BTCUSDT", "side": "BUY", "orderId": placed["orderId"], "quantity": "0.011", "price": "59001"}
    await keep("changed order", "PUT", "/fapi/v1/order", **change)
    got["amendment"] = (await desk.signed("GET", "/fapi/v1/orderAmendment", symbol="BTCUSDT")).json[0]
    await keep("cancelled order", "DELETE", "/fapi/v1/order", symbol="BTCUSDT", orderId=placed["orderId"])
    await keep("error", "DELETE", "/fapi/v1/order", symbol="BTCUSDT", orderId=placed["orderId"])
    await keep("all cancelled", "DELETE", "/fapi/v1/allOpenOrders", symbol="BTCUSDT")
    algo = await keep("algo reply", "POST", "/fapi/v1/algoOrder", **STOP)
    got["algo row"] = (await desk.signed("GET", "/fapi/v1/openAlgoOrders")).json[0]
    await keep("algo cancelled", "DELETE", "/fapi/v1/algoOrder", algoId=algo["algoId"])
    trail = await keep("trailing algo reply", "POST", "/fapi/v1/algoOrder", **TRAIL)
    await desk.signed("DELETE", "/fapi/v1/algoOrder", algoId=trail["algoId"])
    await desk.signed("POST", "/fapi/v1/order", **MARKET)
    got["trade"] = (await desk.signed("GET", "/fapi/v1/userTrades", symbol="BTCUSDT")).json[0]
    got["income"] = (await desk.signed("GET", "/fapi/v1/income")).json[0]
    for version in (2, 3):
        account = await keep(f"account {version}", "GET", f"/fapi/v{version}/account")
        got[f"asset {version}"] = account["assets"][0]
        got[f"account position {version}"] = account["positions"][0]
        got[f"position {version}"] = (await desk.signed("GET", f"/fapi/v{version}/positionRisk")).json[0]
        got[f"balance {version}"] = (await desk.signed("GET", f"/fapi/v{version}/balance")).json[0]
    await keep("position mode", "GET", "/fapi/v1/positionSide/dual")
    await keep("multi assets", "GET", "/fapi/v1/multiAssetsMargin")
    await keep("commission", "GET", "/fapi/v1/commissionRate", symbol="BTCUSDT")
    await keep("account config", "GET", "/fapi/v1/accountConfig")
    await keep("fee burn", "GET", "/fapi/v1/feeBurn")
    got["symbol config"] = (await desk.signed("GET", "/fapi/v1/symbolConfig")).json[0]
    got["bracket"] = (await desk.signed("GET", "/fapi/v1/leverageBracket")).json[0]
    got["order limits"] = (await desk.signed("GET", "/fapi/v1/rateLimit/order")).json[0]


async def collect_websocket_api(desk, got):
    client = await desk.ccxt()
    socket = await desk.listen("/ws-fapi/v1")

    async def call(kind, method, **params):
        signed = client.sign_params({"apiKey": client.apiKey, **params})
        got[kind] = await socket.ask(method, signed, kind)
        return got[kind]

    placed = await call("ws placed", "order.place", **{**LIMIT, "price": "58000"})
    named = {"symbol": "BTCUSDT", "orderId": placed["result"]["orderId"]}
    await call("ws changed", "order.modify", **named, side="BUY", quantity="0.010", price="58001")
    await call("ws cancelled", "order.cancel", **named)
    await call("ws cancel refused", "order.cancel", **named)
    await call("ws change refused", "order.modify", **named, side="BUY", quantity="0.010", price="58001")
    await call("ws place refused", "order.place", **{**LIMIT, "quantity": "40"})
    algo = await call("ws algo placed", "algoOrder.place", **STOP)
    await call("ws algo cancelled", "algoOrder.cancel", algoId=algo["result"]["algoId"])
    await call("ws balance", "v2/account.balance")
    await call("ws account", "v2/account.status")
    await call("ws positions", "v2/account.position")
    await call("ws positions 1", "account.position", symbol="BTCUSDT")
    await call("ws depth", "depth", symbol="BTCUSDT")
    await call("ws price", "ticker.price", symbol="BTCUSDT")
    await call("ws book", "ticker.book", symbol="BTCUSDT")
    await socket.socket.send_str("{")
    got["ws invalid"] = await socket.next()


def sort_events(events, got):
    for event in events:
        kind = event["e"]
        if kind == "ORDER_TRADE_UPDATE":
            got[f"order event {event['o']['x']}"] = event
        elif kind == "ACCOUNT_UPDATE":
            got[f"account event {event['a']['m']}"] = event
        else:
            got[kind] = event
    got["listen key expired"] = {"e": "listenKeyExpired", "E": "1", "listenKey": "k"}


async def collect_market(desk, got):
    for kind, path in {
        "time": "time",
        "book": "depth?symbol=BTCUSDT",
        "day": "ticker/24hr?symbol=BTCUSDT",
        "price": "ticker/price?symbol=BTCUSDT",
        "book ticker": "ticker/bookTicker?symbol=BTCUSDT",
        "premium": "premiumIndex?symbol=BTCUSDT",
        "exchange info": "exchangeInfo",
        "open interest": "openInterest?symbol=BTCUSDT",
    }.items():
        got[kind] = (await desk.ask("GET", f"/fapi/v1/{path}")).json
    for kind, path in {
        "public trade": "trades?symbol=BTCUSDT",
        "aggregate trade": "aggTrades?symbol=BTCUSDT",
        "candle": "klines?symbol=BTCUSDT&interval=1m",
        "funding": "fundingRate?symbol=BTCUSDT",
    }.items():
        got[kind] = (await desk.ask("GET", f"/fapi/v1/{path}")).json[-1]
    got["listed"] = got["exchange info"]["symbols"][0]
    streams = ("aggTrade", "trade", "bookTicker", "kline_1m", "markPrice@1s", "depth@100ms", "ticker", "miniTicker")
    feed = await desk.listen("/stream?streams=" + "/".join(f"btcusdt@{stream}" for stream in streams))
    streams += ("continuousKline_1m",)
    await feed.ask("SUBSCRIBE", ["btcusdt_perpetual@continuousKline_1m"])
    await feed.ask("LIST_SUBSCRIPTIONS", [])
    desk.trade("60020")
    async with asyncio.timeout(40):
        while not {f"stream {stream}" for stream in streams} <= set(got):
            frame = await feed.next()
            got[f"stream {frame['stream'].partition('@')[2]}"] = frame["data"]
    got["subscribed"] = await feed.ask("SUBSCRIBE", ["btcusdt@aggTrade"], "text")


@pytest.fixture(scope="module")
def got(desk_type):
    if not SAMPLES.is_dir():
        pytest.skip("the shared venue samples are not here")
    return asyncio.run(collect(desk_type))


TRAILING = {"AP", "cr"}  # sent with trailing stops only
FEE = {"N", "n"}  # sent with trades only
ORDER_EVENT_NEW = {"o.V", "o.pm", "o.gtd", "o.er"}  # newer than the recordings
ALGO_TEXT = {"activatePrice", "callbackRate"}  # sent with trailing stops only
OLD_ORDER = {
    "activatePrice",
    "priceRate",
    "pair",
    "cumBase",
}  # of conditional orders before the algo service, and of COIN-M

# kind of ours: (sample, way to the part that is compared, recorded fields that are not sent, fields newer than the sample)
TABLE = [
    ("order reply", "order-place/jk-ws-PlaceOrder.json", "result", (), ()),
    ("order reply", "order-place/jk-PlaceOrder.json", "", OLD_ORDER, ("closePosition",)),
    ("changed order", "order-amend/cx-ws-handleEditOrderWs-swap.json", "result", (), ()),
    ("changed order", "order-amend/cx-editOrders.json", "1", (), ()),
    ("changed order", "order-amend/jk-EditOrder.json", "", OLD_ORDER, ("cumQuote",)),
    ("cancelled order", "order-cancel/jk-CancelOrder.json", "", OLD_ORDER, ("avgPrice",)),
    ("all cancelled", "order-cancel/jk-CancelAllOrders.json", "", (), ()),
    ("order row", "open-orders/cx-parseOrder-fetchOpenOrder-linear-swap.json", "", (), ()),
    ("order row", "open-orders/nt-order_response.json", "", (), ()),
    ("error", "errors/hb-test_cancel_all_unknown_order-cancel_response.json", "", (), ()),
    ("error", "errors/cx-err-2019.json", "", (), ()),
    ("error", "errors/cx-err-4164.json", "", (), ()),
    ("algo reply", "algo-orders/jk-PlaceConditionalOrder.json", "", ALGO_TEXT, ()),
    ("algo reply", "open-orders/cx-parseOrder.json", "", (), ()),
    ("trailing algo reply", "algo-orders/jk-PlaceConditionalOrder.json", "", (), ()),
    ("algo row", "algo-orders/jk-GetConditionalOrder.json", "", (), ()),
    ("algo cancelled", "open-orders/cx-parseOrder-cancelOrder-linear-swap-conditional.json", "", (), ()),
    ("ws placed", "order-place/jk-ws-PlaceOrder.json", "", (), ()),
    ("ws changed", "order-amend/roq-wsapi-order-modify-success.json", "", (), ()),
    ("ws cancelled", "order-cancel/roq-wsapi-order-cancel-success.json", "", (), ()),
    ("ws cancel refused", "errors/roq-wsapi-order-cancel-2011.json", "", (), ()),
    ("ws change refused", "errors/roq-wsapi-order-modify-2013.json", "", (), ()),
    ("ws place refused", "errors/roq-wsapi-order-place-2019-margin-insufficient.json", "", (), ()),
    ("ws invalid", "errors/roq-wsapi-invalid-json.json", "", (), ()),
    ("ws algo placed", "algo-orders/jk-ws-PlaceConditionalOrder.json", "", (), ()),
    ("ws algo cancelled", "algo-orders/jk-ws-CancelConditionalOrder.json", "", (), ()),
    ("ws balance", "account-balance/jk-ws-GetBalances.json", "", (), ()),
    ("ws account", "account-balance/jk-ws-GetAccountInfo.json", "", (), ()),
    ("ws positions", "positions/jk-ws-GetPositions.json", "", (), ()),
    ("ws positions 1", "positions/cx-ws-handlePositionsWs.json", "", (), ("rateLimits",)),
    ("ws depth", "market-data/jk-ws-GetOrderBook.json", "", (), ()),
    ("ws price", "market-data/jk-ws-GetPrice.json", "", (), ()),
    ("ws book", "market-data/jk-ws-GetBookPrice.json", "", (), ()),
    ("order event NEW", "order-updates/roq-order-trade-update-new.json", "", (), ORDER_EVENT_NEW),
    ("order event CANCELED", "order-updates/roq-order-trade-update-canceled.json", "", (), ORDER_EVENT_NEW),
    ("order event TRADE", "order-updates/roq-order-trade-update-filled-maker.json", "", (), ORDER_EVENT_NEW),
    ("order event AMENDMENT", "order-updates/ntrs-build_amendment_order_update.json", "", TRAILING | FEE, ORDER_EVENT_NEW),
    ("order event NEW", "order-updates/jk-ws-OrderUpdate.json", "data", TRAILING | FEE, ("o.er",)),
    (
        "order event TRADE",
        "executions/cx-ws-parseWsTrade-private-watchMyTrades-future-delivery.json",
        "=o",
        (),
        ORDER_EVENT_NEW,
    ),
    ("TRADE_LITE", "executions/nt-trade_lite.json", "", (), ()),
    ("TRADE_LITE", "executions/nt-ws_futures_trade_lite.json", "", (), ()),
    ("ALGO_UPDATE", "algo-orders/nt-algo_update_new.json", "", ("rm",), ("o.AP", "o.cr", "o.ia")),
    ("ALGO_UPDATE", "algo-orders/jk-ws-AlgoOrderUpdate.json", "data", (), ("o.AP", "o.cr", "o.ia")),
    ("account event ORDER", "balance-updates/roq-account-update-order.json", "", (), ("a.P.0.bep",)),
    ("account event ORDER", "balance-updates/nt-account_update.json", "", (), ("a.P.0.ma",)),
    ("account event WITHDRAW", "balance-updates/roq-account-update-withdraw.json", "", (), ()),
    ("listen key expired", "disconnect/roq-listen-key-expired.json", "", (), ()),
    ("ACCOUNT_CONFIG_UPDATE", "account-config/jk-ws-Leverage.json", "data", (), ()),
    ("balance 2", "account-balance/jk-GetBalances.json", "0", (), ()),
    ("balance 3", "account-balance/nt-balance.json", "0", (), ()),
    ("account 2", "account-balance/nt-account_info_v2.json", "", (), ("breakEvenPrice", "notional", "isolatedWallet")),
    ("account 3", "account-balance/jk-GetAccountInfoV3.json", "", (), ()),
    (
        "asset 2",
        "account-balance/cx-fetchBalance-fapiPrivateV2GetAccount.json",
        "assets.0",
        (),
        ("marginAvailable", "updateTime"),
    ),
    ("position 2", "positions/jk-GetPositionInformation.json", "0", (), ("isolated", "adlQuantile")),
    ("position 3", "positions/cx-fetchPositionsRisk.json", "0", (), ("updateTime", "adl")),
    ("position mode", "account-config/cx-fetchPositionMode.json", "", (), ()),
    ("multi assets", "account-config/jk-GetMultiAssetsMode.json", "", (), ()),
    ("commission", "account-config/nt-http_futures_wallet_commission_rate_btcusdt.json", "", (), ()),
    ("account config", "account-balance/jk-GetAccountConfiguration.json", "", (), ()),
    ("symbol config", "account-config/nt-http_futures_account_symbol_config.json", "0", (), ()),
    ("bracket", "account-config/jko-GetBrackets.json", "0", (), ()),
    ("order limits", "rate-limit/jk-GetOrderRateLimit.json", "0", (), ()),
    ("fee burn", "account-config/jk-GetBnbBurnStatus.json", "", (), ()),
    ("leverage", "account-config/jk-ChangeInitialLeverage.json", "", (), ()),
    ("amendment", "order-amend/jk-GetOrderEditHistory.json", "0", (), ()),
    ("open interest", "market-data/nt-http_futures_market_open_interest.json", "", (), ()),
    ("stream continuousKline_1m", "market-data-ws/jk-ws-ContKlines.json", "data", (), ()),
    ("done", "account-config/jk-ChangeMarginType.json", "", (), ()),
    ("listen key", "auth/hb-successful_get_listen_key_response.json", "", (), ()),
    ("trade", "executions/jk-GetUserTrades.json", "0", (), ()),
    ("trade", "executions/cx-parseTrade-futures-trades-2.json", "", ("marginAsset",), ()),
    ("income", "account-balance/jko-GetIncomeHistory.json", "1", (), ("tranId",)),
    ("time", "heartbeat/jk-GetServerTime.json", "", (), ()),
    ("book", "market-data/nt-http_futures_market_depth.json", "", (), ()),
    ("day", "market-data/nt-http_futures_market_ticker_24hr.json", "", (), ()),
    ("price", "market-data/nt-http_futures_market_ticker_price.json", "", (), ()),
    ("book ticker", "market-data/jk-GetBookPrice.json", "", (), ()),
    ("premium", "market-data/nt-http_futures_market_premium_index.json", "", (), ()),
    ("public trade", "market-data/nt-http_futures_market_trades.json", "0", (), ("isRPITrade",)),
    ("aggregate trade", "market-data/nt-http_futures_market_agg_trades.json", "0", (), ("nq",)),
    ("candle", "market-data/nt-http_futures_market_continuous_klines.json", "0", (), ()),
    ("funding", "market-data/jk-GetFundingRates.json", "0", (), ()),
    (
        "listed",
        "instruments/cf-cut-exchangeInfo-2021.json",
        "symbols.0",
        (),
        ("maxMoveOrderLimit", "permissionSets", "filters"),
    ),
    ("exchange info", "instruments/cf-cut-exchangeInfo-2021.json", "", (), ("symbols",)),
    ("stream aggTrade", "market-data-ws/cf21-aggTrade-aggTrade.json", "data", (), ("st", "nq")),
    ("stream aggTrade", "market-data-ws/nt-agg_trade_stream.json", "", (), ("nq",)),
    ("stream trade", "market-data-ws/nt-trade_stream.json", "", (), ("X",)),
    ("stream bookTicker", "market-data-ws/cf21-bookTicker-bookTicker.json", "data", (), ("st", "ps")),
    ("stream bookTicker", "market-data-ws/nt-book_ticker_stream.json", "", (), ()),
    ("stream kline_1m", "market-data-ws/cf21-kline_1m-kline.json", "data", (), ()),
    ("stream markPrice@1s", "market-data-ws/nt-mark_price_stream.json", "", (), ("ap",)),
    ("stream depth@100ms", "market-data-ws/cf21-100ms-depthUpdate.json", "data", (), ("st", "ps")),
    ("stream ticker", "market-data-ws/nt-ticker_stream.json", "", (), ()),
    ("stream miniTicker", "market-data-ws/jk-ws-MiniTicker.json", "data", (), ()),
    ("subscribed", "subscriptions/jk-ws-AccountUpdate-sub-ack.json", "", (), ()),
]


FREE = {
    "id",
    "clientOrderId",
    "clientAlgoId",
    "actualOrderId",
    "activatePrice",
    "callbackRate",
    "i",
    "c",
    "caid",
    "ai",
    "accountAlias",
}


@pytest.mark.parametrize(
    ("kind", "name", "way", "missing", "newer"), TABLE, ids=lambda value: value if isinstance(value, str) else ""
)
def test_payloads_are_as_recorded(got, kind, name, way, missing, newer):
    path = SAMPLES / name
    if not path.exists():
        pytest.skip(f"the shared samples do not have {name}")
    sample, ours = json.loads(path.read_text()), got[kind]
    if way.startswith("="):
        ours, newer = part(ours, way[1:]), {one.rpartition(".")[2] for one in newer}
    else:
        sample = part(sample, way)
    assert list(differences(sample, ours, missing, newer, FREE)) == []
