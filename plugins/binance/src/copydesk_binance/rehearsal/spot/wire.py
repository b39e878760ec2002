"""Records into the spot service's JSON: orders, executions, events, balances.

Field names, their order and the number formats follow the recorded replies and events: all numbers have eight decimals, ids
and times are integers. Source: https://developers.binance.com/docs/binance-spot-api-docs/ (REST and user data stream).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from copydesk.model import ZERO, Fill, Order, OrderStatus, OrderType
from copydesk_paper.records import Execution, OrderReport

from copydesk_binance.rehearsal.spot.account import Account, Detail
from copydesk_binance.rehearsal.spot.order_list import EXECUTING, OrderList
from copydesk_binance.rehearsal.wire import STATUSES, Json, money

EXECUTIONS = {
    Execution.NEW: "NEW",
    Execution.AMENDED: "REPLACED",
    Execution.TRIGGERED: "NEW",
    Execution.TRADE: "TRADE",
    Execution.CANCELLED: "CANCELED",
    Execution.EXPIRED: "EXPIRED",
}
NOTHING = money(ZERO)


def client_id(account: Account, order: Order) -> str:
    """The id under which an order is known now."""
    return account.renamed.get(order.venue_id, order.client_id)


def _status(order: Order, detail: Detail) -> str:
    return "PENDING_NEW" if detail.pending else STATUSES[order.status]


def _numbers(order: Order, detail: Detail) -> Json:
    terms = order.terms
    return {
        "price": money(terms.price or ZERO),
        **({} if detail.pending and detail.paid else {"origQty": money(terms.quantity)}),
        "executedQty": money(order.filled),
        "origQuoteOrderQty": money(detail.quote_quantity),
        "cummulativeQuoteQty": money(detail.spent),
        "status": _status(order, detail),
        "timeInForce": detail.time_in_force,
        "type": detail.kind,
        "side": terms.side.name,
    }


def _condition(order: Order) -> Json:
    """What only conditional orders have."""
    terms = order.terms
    fields: Json = {}
    if terms.type.is_conditional or terms.type is OrderType.TRAILING_STOP:
        fields["stopPrice"] = money(terms.trigger_price or ZERO)
    if terms.trail_percent is not None:
        fields["trailingDelta"] = int(terms.trail_percent * 100)
        fields["trailingTime"] = order.created_ms if terms.trigger_price is None or order.triggered else -1
    return fields


def _strategy(detail: Detail) -> Json:
    fields: Json = {}
    if detail.strategy_id:
        fields["strategyId"] = detail.strategy_id
    if detail.strategy_type:
        fields["strategyType"] = detail.strategy_type
    return fields


def _ended(detail: Detail) -> Json:
    return {"expiryReason": detail.expiry} if detail.expiry else {}


# --- orders -------------------------------------------------------------------------------------------------


def order_reply(account: Account, order: Order, detail: Detail, response: str, fills: Iterable[Fill] = ()) -> Json:
    """The reply to placing an order: `ACK`, `RESULT` or `FULL`."""
    reply: Json = {
        "symbol": order.terms.symbol,
        "orderId": int(order.venue_id),
        "orderListId": detail.list_id,
        "clientOrderId": client_id(account, order),
        "transactTime": order.updated_ms,
    }
    if response == "ACK":
        return reply
    reply |= _numbers(order, detail) | _condition(order)
    reply["workingTime"] = detail.working_ms
    reply |= _strategy(detail)
    if response == "FULL":
        reply["fills"] = [
            {
                "price": money(fill.price),
                "qty": money(fill.quantity),
                "commission": money(fill.fee),
                "commissionAsset": fill.fee_asset,
                "tradeId": int(fill.execution_id),
            }
            for fill in fills
        ]
    return reply | {"selfTradePreventionMode": detail.prevention} | _ended(detail)


def cancel_reply(account: Account, order: Order, detail: Detail, cancel_id: str) -> Json:
    """The reply to a cancel. The order's own id is the original one; `clientOrderId` is the cancel's."""
    return (
        {
            "symbol": order.terms.symbol,
            "origClientOrderId": client_id(account, order),
            "orderId": int(order.venue_id),
            "orderListId": detail.list_id,
            "clientOrderId": cancel_id,
            "transactTime": order.updated_ms,
        }
        | _numbers(order, detail)
        | _condition(order)
        | _strategy(detail)
        | {"selfTradePreventionMode": detail.prevention}
    )


def order_row(account: Account, order: Order, detail: Detail) -> Json:
    """An order as queries show it."""
    terms = order.terms
    row: Json = {
        "symbol": terms.symbol,
        "orderId": int(order.venue_id),
        "orderListId": detail.list_id,
        "clientOrderId": client_id(account, order),
    }
    numbers = _numbers(order, detail)
    quote = numbers.pop("origQuoteOrderQty")
    row |= numbers | {"stopPrice": money(terms.trigger_price or ZERO)} | _condition(order)
    row |= {
        "icebergQty": NOTHING,
        "time": order.created_ms,
        "updateTime": order.updated_ms,
        "isWorking": detail.working_ms >= 0,
        "workingTime": detail.working_ms,
        "origQuoteOrderQty": quote,
    }
    return row | _strategy(detail) | {"selfTradePreventionMode": detail.prevention} | _ended(detail)


def amend_reply(account: Account, order: Order, detail: Detail, before: str, execution_id: int) -> Json:
    """The reply to `order/amend/keepPriority`."""
    numbers = _numbers(order, detail)
    return {
        "transactTime": order.updated_ms,
        "executionId": execution_id,
        "amendedOrder": {
            "symbol": order.terms.symbol,
            "orderId": int(order.venue_id),
            "orderListId": detail.list_id,
            "origClientOrderId": before,
            "clientOrderId": client_id(account, order),
            "price": numbers["price"],
            "qty": money(order.terms.quantity),
            "executedQty": numbers["executedQty"],
            "preventedQty": NOTHING,
            "quoteOrderQty": numbers["origQuoteOrderQty"],
            "cumulativeQuoteQty": numbers["cummulativeQuoteQty"],
            "status": numbers["status"],
            "timeInForce": numbers["timeInForce"],
            "type": numbers["type"],
            "side": numbers["side"],
            **_condition(order),
            "workingTime": detail.working_ms,
            "selfTradePreventionMode": detail.prevention,
        },
    }


def trade_row(fill: Fill, list_id: int) -> Json:
    return {
        "symbol": fill.symbol,
        "id": int(fill.execution_id),
        "orderId": int(fill.venue_id),
        "orderListId": list_id,
        "price": money(fill.price),
        "qty": money(fill.quantity),
        "quoteQty": money(fill.price * fill.quantity),
        "commission": money(fill.fee),
        "commissionAsset": fill.fee_asset,
        "time": fill.time_ms,
        "isBuyer": fill.side.name == "BUY",
        "isMaker": fill.maker,
        "isBestMatch": True,
    }


# --- order lists --------------------------------------------------------------------------------------------


def list_head(one: OrderList, names: Mapping[int, str]) -> Json:
    """An order list with the names of its orders."""
    return {
        "orderListId": one.list_id,
        "contingencyType": one.kind,
        "listStatusType": one.step,
        "listOrderStatus": one.status,
        "listClientOrderId": one.client_id,
        "transactionTime": one.time_ms,
        "symbol": one.symbol,
        "orders": [{"symbol": one.symbol, "orderId": order_id, "clientOrderId": name} for order_id, name in names.items()],
    }


def list_event(one: OrderList, names: Mapping[int, str], now_ms: int) -> Json:
    """`listStatus`."""
    return {
        "e": "listStatus",
        "E": now_ms,
        "s": one.symbol,
        "g": one.list_id,
        "c": one.kind,
        "l": one.step,
        "L": one.status if one.status == EXECUTING else "ALL_DONE",
        "r": "NONE",
        "C": one.client_id,
        "T": one.time_ms,
        "O": [{"s": one.symbol, "i": order_id, "c": name} for order_id, name in names.items()],
    }


# --- events -------------------------------------------------------------------------------------------------


def execution_report(
    account: Account, report: OrderReport, detail: Detail, *, execution_id: int, cancel_id: str, now_ms: int
) -> Json:
    """`executionReport`. Of a cancelled order `c` is the cancel's id and `C` the order's own."""
    order, terms, fill = report.order, report.order.terms, report.fill
    name = client_id(account, order)
    event: Json = {
        "e": "executionReport",
        "E": now_ms,
        "s": terms.symbol,
        "c": cancel_id or name,
        "S": terms.side.name,
        "o": detail.kind,
        "f": detail.time_in_force,
        "q": NOTHING if detail.pending and detail.paid else money(terms.quantity),
        "p": money(terms.price or ZERO),
        "P": money(terms.trigger_price or ZERO),
        "F": NOTHING,
        "g": detail.list_id,
        "C": name if cancel_id else "",
        "x": EXECUTIONS[report.execution],
        "X": _status(order, detail),
        "r": "NONE",
        "i": int(order.venue_id),
        "l": money(fill.quantity if fill else ZERO),
        "z": money(order.filled),
        "L": money(fill.price if fill else ZERO),
        "n": money(fill.fee) if fill else "0",
        "N": fill.fee_asset if fill else None,
        "T": report.time_ms,
        "t": int(fill.execution_id) if fill else -1,
        "I": execution_id,
        "w": detail.working_ms >= 0 and order.status in (OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED),
        "m": fill.maker if fill else False,
        "M": fill is not None,
        "O": order.created_ms,
        "Z": money(detail.spent),
        "Y": money(fill.price * fill.quantity if fill else ZERO),
        "Q": money(detail.quote_quantity),
    }
    if terms.trail_percent is not None:
        event["d"] = int(terms.trail_percent * 100)
        event["D"] = order.created_ms if terms.trigger_price is None or order.triggered else -1
    if detail.strategy_id:
        event["j"] = detail.strategy_id
    if detail.strategy_type:
        event["J"] = detail.strategy_type
    if detail.working_ms >= 0:
        event["W"] = detail.working_ms
    event["V"] = detail.prevention
    if report.execution is Execution.EXPIRED and detail.expiry:
        event["eR"] = detail.expiry
    return event


def position_event(balances: Mapping[str, tuple[Decimal, Decimal]], updated_ms: int, now_ms: int) -> Json:
    """`outboundAccountPosition`: the assets that may have changed, free and locked."""
    return {
        "e": "outboundAccountPosition",
        "E": now_ms,
        "u": updated_ms,
        "B": [{"a": asset, "f": money(free), "l": money(locked)} for asset, (free, locked) in balances.items()],
    }


def balance_event(asset: str, change: Decimal, time_ms: int, now_ms: int) -> Json:
    """`balanceUpdate`: a deposit or a withdrawal."""
    return {"e": "balanceUpdate", "E": now_ms, "a": asset, "d": money(change), "T": time_ms}


# --- accounts -----------------------------------------------------------------------------------------------


def account_reply(
    account: Account, balances: Mapping[str, tuple[Decimal, Decimal]], maker: Decimal, taker: Decimal
) -> Json:
    return {
        "makerCommission": int(maker * 10_000),
        "takerCommission": int(taker * 10_000),
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {"maker": money(maker), "taker": money(taker), "buyer": NOTHING, "seller": NOTHING},
        "canTrade": True,
        "canWithdraw": False,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": account.updated_ms,
        "accountType": "SPOT",
        "balances": [
            {"asset": asset, "free": money(free), "locked": money(locked)} for asset, (free, locked) in balances.items()
        ],
        "permissions": ["SPOT"],
        "uid": account.uid,
    }
