"""Trade at a rehearsal TWS with `ib_async` or `ib_insync`, as their users do. Reads its port from stdin, tells in JSON."""

import asyncio
import importlib
import json
import sys

asyncio.set_event_loop(asyncio.new_event_loop())
ib = importlib.import_module(sys.argv[1])
given = json.load(sys.stdin)


async def until(holds, what):
    for _ in range(500):
        if holds():
            return
        await asyncio.sleep(0.02)
    raise TimeoutError(what)


async def main():
    told = {}
    client = ib.IB()
    client.RequestTimeout = 10
    errors = []
    client.errorEvent += lambda number, code, *rest: errors.append(code)
    await client.connectAsync("127.0.0.1", given["port"], clientId=11, timeout=10)
    told["version"], told["accounts"] = client.client.serverVersion(), client.managedAccounts()
    account = told["accounts"][0]
    apple = ib.Stock("AAPL", "SMART", "USD")
    await client.qualifyContractsAsync(apple)
    told["contract"] = [apple.conId, apple.localSymbol]
    futures = [details.contract for details in await client.reqContractDetailsAsync(ib.Future("ES", exchange="CME"))]
    told["futures"] = [future.multiplier for future in futures]

    market = client.placeOrder(apple, ib.MarketOrder("BUY", 10, account=account, tif="DAY", orderRef="mine"))
    await until(lambda: market.fills and market.fills[0].commissionReport.commission, "a commission")
    fill = market.fills[0].execution
    told["market"] = [market.orderStatus.status, fill.shares, fill.side, fill.orderRef, fill.acctNumber == account]
    told["commission"] = market.fills[0].commissionReport.commission

    limit = client.placeOrder(apple, ib.LimitOrder("BUY", 5, 150, account=account, tif="GTC"))
    await until(lambda: limit.orderStatus.status == "Submitted", "a resting limit order")
    limit.order.lmtPrice, limit.order.totalQuantity = 151, 6
    client.placeOrder(apple, limit.order)
    await until(lambda: len(limit.log) > 3 and limit.log[-1].message != "Modify", "a changed limit order")
    orders = await client.reqAllOpenOrdersAsync()
    told["open"] = [[t.order.lmtPrice, t.order.totalQuantity, t.order.tif] for t in orders]
    client.cancelOrder(limit.order)
    await until(lambda: limit.orderStatus.status == "Cancelled", "a cancelled order")

    bracket = client.bracketOrder("BUY", 3, 260, 300, 100, account=account, tif="GTC")
    trades = [client.placeOrder(apple, order) for order in bracket]
    await until(lambda: trades[0].orderStatus.status == "Filled", "a filled entry")
    await until(lambda: trades[1].orderStatus.status == "Submitted", "a working target")
    told["bracket"] = [trade.orderStatus.status for trade in trades]
    client.cancelOrder(trades[2].order)
    await until(lambda: trades[2].orderStatus.status == "Cancelled", "a cancelled stop")
    client.cancelOrder(trades[1].order)
    await until(lambda: trades[1].orderStatus.status == "Cancelled", "a cancelled target")

    waiting = []
    for terms in (
        {"orderType": "STP", "auxPrice": 100},
        {"orderType": "STP LMT", "auxPrice": 100, "lmtPrice": 99},
        {"orderType": "TRAIL", "trailingPercent": 5},
        {"orderType": "TRAIL LIMIT", "auxPrice": 9, "trailStopPrice": 100, "lmtPriceOffset": 1},
        {"orderType": "MIT", "auxPrice": 300},
        {"orderType": "LIT", "auxPrice": 300, "lmtPrice": 299},
        {"orderType": "MOC"},
        {"orderType": "LOC", "lmtPrice": 300},
    ):
        order = ib.Order(action="SELL", totalQuantity=1, account=account, tif="DAY", **terms)
        waiting.append(client.placeOrder(apple, order))
    await until(lambda: all(t.orderStatus.status == "PreSubmitted" for t in waiting), "orders that wait")
    told["waiting"] = sorted(t.order.orderType for t in await client.reqAllOpenOrdersAsync())
    for trade in waiting:
        client.cancelOrder(trade.order)
    await until(lambda: all(t.orderStatus.status == "Cancelled" for t in waiting), "cancelled orders")

    told["positions"] = [[p.account == account, p.contract.symbol, p.position] for p in await client.reqPositionsAsync()]
    told["executions"] = sorted(fill.execution.shares for fill in await client.reqExecutionsAsync())
    completed = await client.reqCompletedOrdersAsync(False)
    told["completed"] = sorted({trade.orderStatus.status for trade in completed})
    told["liquid"] = [v.account == account for v in await client.accountSummaryAsync() if v.tag == "NetLiquidation"]

    ticker = client.reqMktData(apple)
    await until(lambda: ticker.bid > 0 and ticker.ask > ticker.bid and ticker.last > 0, "ticks")
    by_tick = client.reqTickByTickData(apple, "BidAsk")
    await until(lambda: by_tick.tickByTicks, "tick by tick")
    bars = await client.reqHistoricalDataAsync(apple, "", "3600 S", "1 min", "TRADES", True, 1, True)
    known = len(bars)
    told["bars"] = known
    changes = []
    bars.updateEvent += lambda *_: changes.append(1)
    await until(lambda: changes, "a bar kept up to date")
    seconds = client.reqRealTimeBars(apple, 5, "TRADES", False)
    await until(lambda: seconds, "a five-second bar")

    told["chain"] = [chain.strikes for chain in await client.reqSecDefOptParamsAsync("AAPL", "", "STK", apple.conId)][:1]
    told["symbols"] = [d.contract.symbol for d in await client.reqMatchingSymbolsAsync("MSF")]
    told["rule"] = [step.increment for step in await client.reqMarketRuleAsync(26)]
    legs = [
        ib.ComboLeg(conId=future.conId, ratio=1, action=action, exchange="CME")
        for future, action in zip(futures, ("BUY", "SELL"), strict=True)
    ]
    spread = ib.Contract(secType="BAG", symbol="ES", exchange="CME", currency="USD", comboLegs=legs)
    combo = client.placeOrder(spread, ib.MarketOrder("BUY", 1, account=account, tif="DAY"))
    await until(lambda: len(combo.fills) == 3, "the executions of a combination")
    told["combo"] = sorted([fill.contract.secType, fill.execution.side] for fill in combo.fills)
    pair = client.placeOrder(ib.Forex("EURUSD"), ib.LimitOrder("BUY", 20_000, 1.09005, account=account, tif="GTC"))
    await until(lambda: pair.fills and pair.fills[0].commissionReport.commission, "a filled pair")
    told["pair"] = [pair.orderStatus.filled, pair.fills[0].commissionReport.commission]
    part = client.placeOrder(apple, ib.MarketOrder("SELL", 0.5, account=account, tif="DAY"))
    await until(lambda: part.orderStatus.status == "Filled", "half a share")
    told["part"] = part.fills[0].execution.shares

    client.placeOrder(apple, ib.LimitOrder("BUY", 1, 150.001, account=account, tif="DAY"))
    await until(lambda: 110 in errors, "a refusal")
    told["refused"] = errors[-1]
    client.disconnect()
    print(json.dumps(told))


asyncio.get_event_loop_policy().get_event_loop().run_until_complete(main())
