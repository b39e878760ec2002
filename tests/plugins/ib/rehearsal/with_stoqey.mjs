// Trade at a rehearsal TWS with `@stoqey/ib`. Reads its port from the environment, tells in JSON.
import { createRequire } from "node:module";

const require = createRequire(`${process.env.MODULES}/`);
const { IBApi, EventName, Stock, OrderAction, OrderType, BarSizeSetting, WhatToShow, TickByTickDataType } = require("@stoqey/ib");

const told = {};
const heard = {};
const ib = new IBApi({ host: "127.0.0.1", port: Number(process.env.PORT), clientId: 13 });
for (const name of Object.values(EventName)) {
  ib.on(name, (...values) => (heard[name] ??= []).push(values));
}

async function until(name, holds = () => true) {
  for (let tried = 0; tried < 500; tried += 1) {
    const found = (heard[name] ?? []).filter((values) => holds(...values));
    if (found.length > 0) return found.at(-1);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`${name}: ${JSON.stringify(heard[EventName.error]?.map((e) => String(e[0])))}`);
}

const apple = new Stock("AAPL", "SMART", "USD");
ib.connect();
let [number] = await until(EventName.nextValidId);
const accounts = (await until(EventName.managedAccounts))[0].split(",");
const account = accounts[0];
const order = (orderType, more = {}) => ({
  orderType, action: OrderAction.BUY, totalQuantity: 10, account, tif: "DAY", transmit: true, ...more,
});
told.version = ib.serverVersion;
told.accounts = accounts;
ib.reqContractDetails(1, apple);
await until(EventName.contractDetailsEnd);
const [, details] = await until(EventName.contractDetails);
told.contract = [details.contract.conId, details.contract.localSymbol];

ib.placeOrder(number, apple, order(OrderType.MKT, { orderRef: "mine" }));
const [report] = await until(EventName.commissionReport);
const [, , execution] = await until(EventName.execDetails);
const status = await until(EventName.orderStatus, (_, state) => state === "Filled");
told.market = [status[1], execution.shares, execution.side, execution.orderRef, execution.acctNumber === account];
told.commission = report.commission;

number += 1;
ib.placeOrder(number, apple, order(OrderType.LMT, { totalQuantity: 5, lmtPrice: 150 }));
await until(EventName.orderStatus, (one, state) => one === number && state === "Submitted");
ib.placeOrder(number, apple, order(OrderType.LMT, { totalQuantity: 6, lmtPrice: 151 }));
const [, , changed] = await until(EventName.openOrder, (one, _, terms) => one === number && terms.lmtPrice === 151);
told.open = [[changed.lmtPrice, changed.totalQuantity, changed.tif]];
ib.cancelOrder(number);
await until(EventName.orderStatus, (one, state) => one === number && state === "Cancelled");

const entry = number + 1;
const sells = { action: OrderAction.SELL, totalQuantity: 3, parentId: entry };
ib.placeOrder(entry, apple, order(OrderType.LMT, { totalQuantity: 3, lmtPrice: 260, transmit: false }));
ib.placeOrder(entry + 1, apple, order(OrderType.LMT, { ...sells, lmtPrice: 300, transmit: false }));
ib.placeOrder(entry + 2, apple, order(OrderType.STP, { ...sells, auxPrice: 100 }));
await until(EventName.orderStatus, (one, state) => one === entry + 1 && state === "Submitted");
told.bracket = [0, 1, 2].map((at) => heard[EventName.orderStatus].filter((s) => s[0] === entry + at).at(-1)[1]);
ib.cancelOrder(entry + 1);
ib.cancelOrder(entry + 2);
await until(EventName.orderStatus, (one, state) => one === entry + 2 && state === "Cancelled");

ib.reqPositions();
await until(EventName.positionEnd);
told.positions = heard[EventName.position].map(([name, contract, held]) => [name === account, contract.symbol, held]);
heard[EventName.execDetails] = [];
ib.reqExecutions(2, {});
await until(EventName.execDetailsEnd);
told.executions = heard[EventName.execDetails].map(([, , one]) => one.shares).sort((a, b) => a - b);
ib.reqCompletedOrders(false);
await until(EventName.completedOrdersEnd);
told.completed = [...new Set(heard[EventName.completedOrder].map(([, , state]) => state.status))].sort();
ib.reqAccountSummary(3, "All", "NetLiquidation");
await until(EventName.accountSummaryEnd);
told.liquid = heard[EventName.accountSummary].map(([, name]) => name === account);
ib.reqMktData(4, apple, "", false, false);
await until(EventName.tickPrice, (_, kind, price) => kind === 1 && price > 0);
ib.reqTickByTickData(5, apple, TickByTickDataType.BidAsk, 0, true);
await until(EventName.tickByTickBidAsk);
ib.reqHistoricalData(6, apple, "", "3600 S", BarSizeSetting.MINUTES_ONE, WhatToShow.TRADES, 1, 1, true);
await until(EventName.historicalData, (_, time) => String(time).startsWith("finished"));
told.bars = heard[EventName.historicalData].length - 1;
await until(EventName.historicalDataUpdate);
ib.reqRealTimeBars(7, apple, 5, WhatToShow.TRADES, false);
await until(EventName.realtimeBar);
ib.reqMatchingSymbols(8, "MSF");
told.symbols = (await until(EventName.symbolSamples))[1].map((one) => one.contract.symbol);
ib.placeOrder(entry + 3, apple, order(OrderType.LMT, { lmtPrice: 150.001 }));
told.refused = (await until(EventName.error, (_, code, request) => request === entry + 3))[1];
ib.disconnect();
console.log(JSON.stringify(told));
