"""The spot rehearsal's payloads against recorded ones: every recorded field is sent, with the same kind of value, and none
is sent that neither a sample nor the table of newer fields has."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from harness.samples import differences, part

from .conftest import SpotDesk

SAMPLES = Path(__file__).parents[4].parent / "shared" / "venue-samples" / "binance-spot"
LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": "59000"}
MARKET = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.02"}
OCO = {
    "symbol": "BTCUSDT",
    "side": "SELL",
    "quantity": "0.015",
    "aboveType": "LIMIT_MAKER",
    "abovePrice": "62000",
    "belowType": "STOP_LOSS_LIMIT",
    "belowPrice": "57900",
    "belowStopPrice": "58000",
    "belowTimeInForce": "GTC",
    "newOrderRespType": "RESULT",
}
OTO = {
    "symbol": "BTCUSDT",
    "workingType": "LIMIT",
    "workingSide": "BUY",
    "workingPrice": "58000",
    "workingQuantity": "0.01",
    "workingTimeInForce": "GTC",
    "pendingSide": "SELL",
    "pendingQuantity": "0.01",
    "pendingType": "STOP_LOSS",
    "pendingStopPrice": "57000",
    "newOrderRespType": "RESULT",
}


async def collect(desk: SpotDesk) -> dict[str, Any]:
    """One session with the venue: what it answered and told, by the kinds that the table names."""
    got: dict[str, Any] = {}

    async def keep(kind: str, method: str, path: str, **params: Any) -> Any:
        got[kind] = (await desk.signed(method, f"/api/v3/{path}", **params))[1]
        return got[kind]

    feed = await desk.listen()
    await keep("full", "POST", "order", **MARKET)
    await keep("ack", "POST", "order", **LIMIT, newOrderRespType="ACK")
    placed = await keep("result", "POST", "order", **LIMIT, newOrderRespType="RESULT")
    named = {"symbol": "BTCUSDT", "orderId": placed["orderId"]}
    await keep("order", "GET", "order", **named)
    await keep("amended", "PUT", "order/amend/keepPriority", **named, newQty="0.009")
    await keep("amendments", "GET", "order/amendments", **named)
    replacing = {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": placed["orderId"]}
    await keep("replaced", "POST", "order/cancelReplace", **LIMIT, **replacing)
    await keep("not replaced", "POST", "order/cancelReplace", **LIMIT, **replacing)
    other = await keep("another", "POST", "order", **LIMIT)
    await keep("cancelled", "DELETE", "order", symbol="BTCUSDT", orderId=other["orderId"])
    await keep("error", "DELETE", "order", symbol="BTCUSDT", orderId=other["orderId"])
    oco = await keep("oco", "POST", "orderList/oco", **OCO)
    await keep("list", "GET", "orderList", orderListId=oco["orderListId"])
    await keep("list cancelled", "DELETE", "orderList", symbol="BTCUSDT", orderListId=oco["orderListId"])
    await keep("oto", "POST", "orderList/oto", **OTO)
    await keep("all cancelled", "DELETE", "openOrders", symbol="BTCUSDT")
    await keep("all orders", "GET", "allOrders", symbol="BTCUSDT")
    await keep("account", "GET", "account")
    await keep("trades", "GET", "myTrades", symbol="BTCUSDT")
    await keep("counts", "GET", "rateLimit/order")
    await keep("commission", "GET", "account/commission", symbol="BTCUSDT")
    desk.exchange.deposit("parent", desk.exchange.balance("parent").cash)
    await feed.ask("ping")
    for frame in feed.events:
        event = frame["event"]
        kind = event["e"] if event["e"] != "executionReport" else f"report {event['x']}"
        got[kind], got[f"wrapped {kind}"] = event, frame
    for kind, method, params in (
        ("ws placed", "order.place", LIMIT),
        ("ws account", "account.status", {}),
        ("ws open", "openOrders.status", {"symbol": "BTCUSDT"}),
        ("ws error", "order.status", {"symbol": "BTCUSDT", "orderId": 999_999}),
    ):
        got[kind] = await feed.ask(method, **desk.signed_params(**params))
    got["ws time"] = await feed.ask("time")
    got["ws ping"] = await feed.ask("ping")
    for kind, path in (
        ("time", "time"),
        ("info", "exchangeInfo"),
        ("book", "depth?symbol=BTCUSDT"),
        ("price", "ticker/price?symbol=BTCUSDT"),
        ("quote", "ticker/bookTicker?symbol=BTCUSDT"),
        ("day", "ticker/24hr?symbol=BTCUSDT"),
        ("average", "avgPrice?symbol=BTCUSDT"),
        ("public trades", "trades?symbol=BTCUSDT"),
        ("aggregate trades", "aggTrades?symbol=BTCUSDT"),
        ("candles", "klines?symbol=BTCUSDT&interval=1m"),
    ):
        got[kind] = (await desk.send("GET", f"/api/v3/{path}"))[1]
    return got


FREE = {"id", "clientOrderId", "origClientOrderId", "c", "C", "listClientOrderId", "newClientOrderId"}
STREAM_NEW = {"W", "V"}
"""Newer than some recordings; and only sent once an order stands in the book."""
SHARED_PREVENTION = {"preventedMatchId", "preventedQuantity", "strategyId", "strategyType", "trailingDelta", "trailingTime"}
ASKED_FOR_ONLY = SHARED_PREVENTION | {"icebergQty", "usedSor", "workingFloor", "stopPrice"}
"""Sent with orders that asked for them."""

# kind of ours: (sample, way to the part that is compared, recorded fields that are not sent, fields newer than the sample)
TABLE = [
    ("full", "order-place/nt-new_order_full_response.json", "", (), ()),
    (
        "full",
        "order-place/jk-PlaceOrder.json",
        "",
        ASKED_FOR_ONLY,
        ("workingTime", "selfTradePreventionMode", "fills", "origQuoteOrderQty"),
    ),
    ("ack", "order-place/bndoc-rest-api-New-order-Response-ACK.json", "", (), ()),
    ("result", "order-place/bndoc-rest-api-New-order-Response-RESULT.json", "", (), ()),
    ("order", "open-orders/nt-order_response.json", "", (), ()),
    ("order", "open-orders/bndoc-web-socket-api-Query-order-Response.json", "result", ASKED_FOR_ONLY, ()),
    ("all orders", "open-orders/nt-all_orders_response.json", "", ASKED_FOR_ONLY, ()),
    ("amended", "order-amend/bndoc-rest-api-Order-Amend-Keep-Priority-Response-for-a-single-order.json", "", (), ()),
    ("amendments", "order-amend/bndoc-rest-api-Query-Order-Amendments-Response.json", "", (), ()),
    ("replaced", "order-place/bndoc-rest-api-Cancel-an-Existing-Order-and-Send-a-New-Order.json", "", (), ()),
    ("cancelled", "order-cancel/nt-cancel_open_orders_response.json", "0", (), ()),
    ("error", "errors/cx-err-2011.json", "", (), ()),
    ("oco", "algo-orders/bndoc-rest-api-New-Order-list-OCO.json", "", ASKED_FOR_ONLY, ()),
    ("oco", "algo-orders/jk-PlaceOcoOrderList.json", "", ASKED_FOR_ONLY, ("origQuoteOrderQty",)),
    ("oto", "algo-orders/bndoc-rest-api-New-Order-list-OTO-Response.json", "", ASKED_FOR_ONLY, ()),
    ("list", "algo-orders/bndoc-rest-api-Query-Order-list-Response.json", "", (), ()),
    ("list cancelled", "algo-orders/bndoc-rest-api-Cancel-Order-list-Response.json", "", ASKED_FOR_ONLY, ()),
    ("account", "account-balance/nt-account_response.json", "", (), ()),
    ("account", "account-balance/jk-GetAccountInfo.json", "", (), ()),
    ("trades", "executions/nt-account_trades_response.json", "", (), ()),
    ("counts", "rate-limit/bndoc-rest-api-Query-Unfilled-Order-Count-Response.json", "", (), ()),
    ("commission", "account-config/bndoc-rest-api-Query-Commission-Rates-Response.json", "", (), ()),
    ("report NEW", "order-updates/bndoc-user-data-stream-Order-Update-Payload.json", "event", ("v", "W"), ()),
    ("report NEW", "order-updates/roq-execution-report-stream-maker-new.json", "data", (), STREAM_NEW),
    ("report TRADE", "order-updates/roq-execution-report-stream-maker-filled.json", "data", (), STREAM_NEW),
    ("wrapped report NEW", "order-updates/nt-execution_report_wrapped.json", "", ("W",), ()),
    ("outboundAccountPosition", "balance-updates/nt-account_position.json", "", (), ()),
    ("wrapped outboundAccountPosition", "balance-updates/nt-account_position_wrapped.json", "", (), ()),
    ("wrapped balanceUpdate", "balance-updates/nt-balance_update_wrapped.json", "", (), ()),
    ("wrapped listStatus", "algo-orders/nt-list_status_wrapped.json", "", (), ()),
    (
        "ws placed",
        "order-place/bndoc-web-socket-api-Place-new-order-FULL-response-type.json",
        "",
        (),
        ("selfTradePreventionMode",),
    ),
    ("ws account", "account-balance/bndoc-web-socket-api-Account-information-Response.json", "", (), ()),
    ("ws open", "open-orders/jk-ws-GetOpenOrders.json", "", ASKED_FOR_ONLY, ("stopPrice", "icebergQty")),
    ("ws time", "heartbeat/bndoc-web-socket-api-Check-server-time-Response.json", "", (), ()),
    ("ws ping", "heartbeat/bndoc-web-socket-api-Test-connectivity-Response.json", "", (), ()),
    ("time", "heartbeat/nt-server_time_response.json", "", (), ()),
    ("info", "instruments/nt-exchange_info_response.json", "", ("sors",), ("symbols",)),
    ("info", "instruments/bndoc-rest-api-Exchange-information-Response.json", "", ("sors",), ("symbols", "rateLimits")),
    ("book", "market-data/nt-http_spot_market_depth.json", "", (), ()),
    ("price", "market-data/nt-http_spot_market_ticker_price.json", "", (), ()),
    ("quote", "market-data/nt-http_spot_market_book_ticker.json", "", (), ()),
    ("day", "market-data/nt-ticker_24hr_response.json", "", (), ()),
    ("average", "market-data/nt-http_spot_market_avg_price.json", "", (), ("closeTime",)),
    ("public trades", "market-data/nt-http_spot_market_trades.json", "", (), ()),
    ("aggregate trades", "market-data/nt-http_spot_market_agg_trades.json", "", (), ()),
    ("candles", "market-data/nt-http_spot_market_klines.json", "", (), ()),
]


async def test_payloads_are_as_recorded(desk: SpotDesk) -> None:
    if not SAMPLES.is_dir():
        pytest.skip(f"no recorded payloads at {SAMPLES}")
    got, compared, wrong = await collect(desk), 0, []
    for kind, name, way, missing, newer in TABLE:
        path = SAMPLES / name
        if not path.exists():
            continue
        compared += 1
        sample = part(json.loads(path.read_text()), way)
        wrong += [f"{kind}: {one} ({name})" for one in differences(sample, got[kind], missing, newer, FREE)]
    assert not wrong, "\n".join(wrong)
    assert compared >= 40
