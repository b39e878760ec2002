"""What a request costs in processor time, from parts and as ccxt makes and signs it; and what its answer costs.

    python benchmarks/step_costs.py --json

Everything is measured in turns in one process, for an everyday limit order; the figure is the least of many short runs, for
a busy machine only ever adds.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import ccxt.pro as ccxt
from copydesk.model import Fill, NewOrder, Order, OrderType, Side, Terms
from copydesk_binance import decoding, markets, translate
from copydesk_binance.errors import read_answer
from copydesk_bitmex import decoding as bitmex_decoding
from copydesk_bitmex import translate as bitmex_translate
from copydesk_bitmex.tables import Table
from copydesk_bybit import markets as bybit
from copydesk_ftx import decoding as ftx_decoding
from copydesk_ftx import translate as ftx_translate
from copydesk_wire.connection import Answer
from copydesk_wire.errors import read_json
from copydesk_wire.pool import encode
from copydesk_wire.templates import Key, Pen

CALLS, RUNS = 100, 200
STAMP = 1_763_856_000_000
ANSWER = (
    b'{"orderId":283194212,"symbol":"BTCUSDT","status":"NEW","clientOrderId":"cdk-abcdefghij234567abcd-c0",'
    b'"price":"58200.00","avgPrice":"0.00","origQty":"0.010","executedQty":"0.000","cumQty":"0.000","cumQuote":"0.00000",'
    b'"timeInForce":"GTC","type":"LIMIT","reduceOnly":false,"closePosition":false,"side":"BUY","positionSide":"BOTH",'
    b'"stopPrice":"0.00","workingType":"CONTRACT_PRICE","priceProtect":false,"origType":"LIMIT","priceMatch":"NONE",'
    b'"selfTradePreventionMode":"EXPIRE_MAKER","goodTillDate":0,"updateTime":1795460048137}'
)
UPDATE = (
    b'{"e":"ORDER_TRADE_UPDATE","E":1795460048138,"T":1795460048137,"o":{"s":"BTCUSDT","c":"web_1","S":"BUY","o":"LIMIT",'
    b'"f":"GTC","q":"0.100","p":"58200.00","ap":"0","sp":"0","x":"NEW","X":"NEW","i":8886774,"l":"0","z":"0","L":"0",'
    b'"n":"0","N":"USDT","T":1795460048137,"t":0,"b":"5820","a":"0","m":false,"R":false,"wt":"CONTRACT_PRICE",'
    b'"ot":"LIMIT","ps":"BOTH","cp":false,"rp":"0","pP":false,"si":0,"ss":0,"V":"EXPIRE_MAKER","pm":"NONE","gtd":0}}'
)
BITMEX_TRADE = (
    b'{"table":"execution","action":"insert","data":[{"execID":"e-1","orderID":"example","clOrdID":"web_1","account":1,'
    b'"symbol":"XBTUSD","side":"Buy","lastQty":100,"lastPx":58200.5,"lastLiquidityInd":"AddedLiquidity","execType":"Trade",'
    b'"ordType":"Limit","ordStatus":"Filled","currency":"USD","settlCurrency":"XBt","execComm":-25,'
    b'"transactTime":"2026-05-29T01:24:53.824Z","timestamp":"2026-05-29T01:24:53.824Z"}]}'
)
FTX_FILL = (
    b'{"channel":"fills","type":"update","data":{"id":7,"orderId":1,"market":"BTC-PERP","side":"sell","size":0.1,'
    b'"price":58200.5,"fee":0.02,"feeCurrency":"USD","liquidity":"taker","time":"2022-05-02T22:40:07.217963+00:00"}}'
)
VENUES: dict[str, tuple[str, Any, Any]] = {
    "binance-futures": ("binanceusdm", markets.Venue, False),
    "binance": ("binance", markets.SpotVenue, None),
    "bybit": ("bybit", bybit.Venue, None),
}


def least_us(call: Callable[[], Any]) -> float:
    """Microseconds of processor time per call, the least of many runs."""
    least = float("inf")
    for _ in range(RUNS):
        began = time.perf_counter_ns()
        for _ in range(CALLS):
            call()
        least = min(least, (time.perf_counter_ns() - began) / CALLS / 1000)
    return round(least, 2)


async def measure_request(kind: str) -> dict[str, Any]:
    name, type_, context = VENUES[kind]
    client = getattr(ccxt, name)()
    client.session = None
    venue = type_(client, None, "")
    terms = Terms(
        symbol="BTCUSDT",
        side=Side.BUY,
        type=OrderType.LIMIT,
        quantity=Decimal("0.010"),
        price=Decimal("58200.00"),
    )
    order = NewOrder(client_id="cdk-abcdefghij234567abcd-c0", terms=terms)
    key, pen = Key("k" * 64, "s" * 64), Pen("k" * 64, "s" * 64, STAMP)
    venue.placing.learn([order], context)
    await venue.placing._learning
    signer = venue.signer(apiKey=pen.key, secret=pen.secret)
    venue.signer = lambda **_: signer  # one for all its requests, as a session has it

    def slow() -> bytes:
        draft = venue._draft_place(order, context, pen)
        return encode(draft.method, draft.url, draft.headers, draft.body)

    def fast() -> bytes | None:
        written: bytes | None = venue.placing.write(order, context, key, STAMP)
        return written

    if fast() != slow():
        raise SystemExit(f"{kind}: the two ways make different requests")
    return {"what": f"place, {kind}", "fast_us": least_us(fast), "slow_us": least_us(slow)}


def bitmex_order(table: Table) -> Order | None:
    frame = bitmex_decoding.frame(bitmex_decoding.EXAMPLE)
    assert isinstance(frame, bitmex_decoding.Orders)
    return bitmex_decoding.order(table.take(frame.action, frame.data)[0])


def bitmex_trade() -> list[Fill] | None:
    frame = bitmex_decoding.frame(BITMEX_TRADE)
    assert isinstance(frame, bitmex_decoding.Executions)
    return bitmex_decoding.fills(frame.data)


async def measure() -> list[dict[str, Any]]:
    rows = [await measure_request(kind) for kind in VENUES]
    answer = Answer(200, ANSWER)
    table = Table("order")
    reads: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
        "answer, binance-futures": (
            lambda: decoding.order_answer(ANSWER),
            lambda: translate.order(read_answer(answer).body),
        ),
        "event, binance-futures": (
            lambda: decoding.order_update(UPDATE),
            lambda: translate.order_update(read_json(UPDATE)),
        ),
        "order, bitmex": (
            lambda: bitmex_order(table),
            lambda: bitmex_translate.order(table.take("insert", read_json(bitmex_decoding.EXAMPLE)["data"])[0]),
        ),
        "trade, bitmex": (bitmex_trade, lambda: bitmex_translate.fill(read_json(BITMEX_TRADE)["data"][0])),
        "order, ftx": (
            lambda: ftx_decoding.update(ftx_decoding.EXAMPLE, now_ms=STAMP),
            lambda: ftx_translate.order(read_json(ftx_decoding.EXAMPLE)["data"], updated_ms=STAMP),
        ),
        "fill, ftx": (
            lambda: ftx_decoding.update(FTX_FILL, now_ms=STAMP),
            lambda: ftx_translate.fill(read_json(FTX_FILL)["data"]),
        ),
    }
    for what, (fast, slow) in reads.items():
        if fast() is None:
            raise SystemExit(f"{what}: it was not decoded in one step")
        rows.append({"what": what, "fast_us": least_us(fast), "slow_us": least_us(slow)})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="the rows as JSON")
    asked = parser.parse_args()
    rows = asyncio.run(measure())
    if asked.json:
        print(json.dumps(rows))
        return
    print("| what | in one step, µs | the slow way, µs | times |\n|---|---:|---:|---:|")
    for row in rows:
        print(f"| {row['what']} | {row['fast_us']} | {row['slow_us']} | {row['slow_us'] / row['fast_us']:.1f} |")


if __name__ == "__main__":
    main()
