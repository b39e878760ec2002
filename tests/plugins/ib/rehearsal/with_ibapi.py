"""Trade at a rehearsal TWS with IB's own client, `ibapi` 9.81.1. Reads its port from stdin, tells in JSON."""

import json
import sys
import threading
import time

from ibapi.client import EClient
from ibapi.contract import Contract
from ibapi.execution import ExecutionFilter
from ibapi.order import Order
from ibapi.wrapper import EWrapper

given = json.load(sys.stdin)


class App(EWrapper, EClient):
    """Keeps all that it is told, by the callback's name."""

    def __init__(self):
        EClient.__init__(self, self)
        self.told = {}

    def keep(self, name, *values):
        self.told.setdefault(name, []).append(values)

    def until(self, name, holds=lambda *_: True):
        for _ in range(500):
            found = [values for values in self.told.get(name, ()) if holds(*values)]
            if found:
                return found[-1]
            time.sleep(0.02)
        raise TimeoutError(f"{name}: {self.told.get(name)} {self.told.get('error')}")


def keeping(name):
    return lambda self, *values: self.keep(name, *values)


CALLBACKS = """
nextValidId managedAccounts error contractDetails contractDetailsEnd openOrderEnd execDetailsEnd commissionReport position
positionEnd tickPrice tickSize tickByTickBidAsk historicalData historicalDataEnd historicalDataUpdate realtimeBar
completedOrder completedOrdersEnd accountSummary accountSummaryEnd updateAccountValue accountDownloadEnd currentTime
symbolSamples pnl
"""
for callback in CALLBACKS.split():
    setattr(App, callback, keeping(callback))
App.openOrder = lambda self, number, contract, order, state: self.keep("openOrder", number, contract, order, state)
App.orderStatus = lambda self, *values: self.keep("orderStatus", *values)
App.execDetails = lambda self, request, contract, execution: self.keep("execDetails", request, contract, execution)


def apple():
    contract = Contract()
    contract.symbol, contract.secType, contract.exchange, contract.currency = "AAPL", "STK", "SMART", "USD"
    return contract


def order(kind, action="BUY", quantity=10, **more):
    made = Order()
    made.orderType, made.action, made.totalQuantity, made.account, made.tif = kind, action, quantity, account, "DAY"
    for name, value in more.items():
        setattr(made, name, value)
    return made


app = App()
app.connect("127.0.0.1", given["port"], 12)
threading.Thread(target=app.run, daemon=True).start()
number = app.until("nextValidId")[0]
accounts = app.until("managedAccounts")[0].split(",")
account = accounts[0]
told = {"version": app.serverVersion(), "accounts": accounts}
app.reqContractDetails(1, apple())
app.until("contractDetailsEnd")
details = app.until("contractDetails")[1]
told["contract"] = [details.contract.conId, details.contract.localSymbol]

app.placeOrder(number, apple(), order("MKT", orderRef="mine"))
report = app.until("commissionReport")[0]
execution = app.until("execDetails")[2]
status = app.until("orderStatus", lambda _, state, *rest: state == "Filled")
told["market"] = [status[1], execution.shares, execution.side, execution.orderRef, execution.acctNumber == account]
told["commission"] = report.commission

number += 1
app.placeOrder(number, apple(), order("LMT", quantity=5, lmtPrice=150))
app.until("orderStatus", lambda one, state, *rest: one == number and state == "Submitted")
app.placeOrder(number, apple(), order("LMT", quantity=6, lmtPrice=151))
changed = app.until("openOrder", lambda one, _, terms, state: one == number and terms.lmtPrice == 151)
told["open"] = [[changed[2].lmtPrice, changed[2].totalQuantity, changed[2].tif]]
app.cancelOrder(number)
app.until("error", lambda one, code, *rest: code == 202)

entry = number + 1
app.placeOrder(entry, apple(), order("LMT", quantity=3, lmtPrice=260, transmit=False))
app.placeOrder(entry + 1, apple(), order("LMT", "SELL", 3, lmtPrice=300, parentId=entry, transmit=False))
app.placeOrder(entry + 2, apple(), order("STP", "SELL", 3, auxPrice=100, parentId=entry))
app.until("orderStatus", lambda one, state, *rest: one == entry + 1 and state == "Submitted")
told["bracket"] = [[s for s in app.told["orderStatus"] if s[0] == entry + at][-1][1] for at in range(3)]
app.cancelOrder(entry + 1)
app.cancelOrder(entry + 2)
app.until("orderStatus", lambda one, state, *rest: one == entry + 2 and state == "Cancelled")

app.reqPositions()
app.until("positionEnd")
told["positions"] = [[a == account, c.symbol, float(held)] for a, c, held, _ in app.told["position"]]
app.told.pop("execDetails")
app.reqExecutions(2, ExecutionFilter())
app.until("execDetailsEnd")
told["executions"] = sorted(float(one.shares) for _, _, one in app.told["execDetails"])
app.reqCompletedOrders(False)
app.until("completedOrdersEnd")
told["completed"] = sorted({state.status for _, _, state in app.told["completedOrder"]})
app.reqAccountSummary(3, "All", "NetLiquidation")
app.until("accountSummaryEnd")
told["liquid"] = [name == account for _, name, *rest in app.told["accountSummary"]]
app.reqMktData(4, apple(), "", False, False, [])
app.until("tickPrice", lambda _, kind, price, *rest: kind == 1 and price > 0)
app.reqTickByTickData(5, apple(), "BidAsk", 0, True)
app.until("tickByTickBidAsk")
app.reqHistoricalData(6, apple(), "", "3600 S", "1 min", "TRADES", 1, 1, True, [])
app.until("historicalDataEnd")
told["bars"] = len(app.told["historicalData"])
app.until("historicalDataUpdate")
app.reqRealTimeBars(7, apple(), 5, "TRADES", False, [])
app.until("realtimeBar")
app.reqMatchingSymbols(8, "MSF")
told["symbols"] = [one.contract.symbol for one in app.until("symbolSamples")[1]]
app.placeOrder(entry + 3, apple(), order("LMT", lmtPrice=150.001))
told["refused"] = app.until("error", lambda one, code, *rest: one == entry + 3)[1]
app.disconnect()
print(json.dumps(told))
