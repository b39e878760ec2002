"""Records into Binance's JSON: orders, executions, and their events; numbers. See `wire_accounts` for the rest.

Field names, their order and the number formats follow the recorded replies and events: REST pads numbers to the symbol's
precision, events strip trailing zeros, money has eight decimals, ids and times are integers.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from copydesk.model import ZERO, Fill, Order, OrderStatus, OrderType, PositionSide, TriggerBy
from copydesk_paper.orders import reduces
from copydesk_paper.records import Execution, OrderReport
from msgspec.structs import replace

from copydesk_binance.rehearsal.listing import Rules
from copydesk_binance.rehearsal.parameters import Detail

Json = dict[str, Any]

STATUSES = {
    OrderStatus.NEW: "NEW",
    OrderStatus.PARTIALLY_FILLED: "PARTIALLY_FILLED",
    OrderStatus.FILLED: "FILLED",
    OrderStatus.CANCELLED: "CANCELED",
    OrderStatus.EXPIRED: "EXPIRED",
    OrderStatus.REJECTED: "REJECTED",
}
TYPES = {
    OrderType.MARKET: "MARKET",
    OrderType.LIMIT: "LIMIT",
    OrderType.STOP_MARKET: "STOP_MARKET",
    OrderType.STOP_LIMIT: "STOP",
    OrderType.TAKE_PROFIT_MARKET: "TAKE_PROFIT_MARKET",
    OrderType.TAKE_PROFIT_LIMIT: "TAKE_PROFIT",
    OrderType.TRAILING_STOP: "TRAILING_STOP_MARKET",
}
POSITION_SIDES = {PositionSide.NET: "BOTH", PositionSide.LONG: "LONG", PositionSide.SHORT: "SHORT"}
WORKING_TYPES = {TriggerBy.LAST: "CONTRACT_PRICE", TriggerBy.MARK: "MARK_PRICE", TriggerBy.INDEX: "MARK_PRICE"}
EXECUTIONS = {
    Execution.NEW: "NEW",
    Execution.AMENDED: "AMENDMENT",
    Execution.TRIGGERED: "NEW",
    Execution.TRADE: "TRADE",
    Execution.CANCELLED: "CANCELED",
    Execution.EXPIRED: "EXPIRED",
}
LIQUIDATION_PREFIX = "autoclose-"
ALGO_PREFIX = "~"
"""Stands before the client ids of algo orders inside the exchange: the two services do not share their ids."""


def bare(value: Decimal | None) -> str:
    """A number without trailing zeros, as events carry it; nothing is `0`."""
    if not value:
        return "0"
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def padded(value: Decimal | None, places: int) -> str:
    return f"{value or ZERO:.{places}f}"


def money(value: Decimal) -> str:
    return f"{value:.8f}"


def bare_money(value: Decimal) -> str:
    return f"{value:.8f}" if value else "0"


def client_id(order: Order) -> str:
    """The client order id; an order that came out of the algo service carries its algo order's."""
    return order.client_id.removeprefix(ALGO_PREFIX)


def is_algo(order: Order) -> bool:
    """Whether the order belongs to the algo service. Conditional orders of the old form do not."""
    return order.terms.type.is_conditional and order.client_id.startswith(ALGO_PREFIX)


def engine_type(order: Order) -> str:
    """The type that the matching engine knows: LIMIT or MARKET, whatever service sent the order there.

    A conditional order of the old form keeps its own type until it is triggered.
    """
    if order.terms.type.is_conditional and not order.triggered and not is_algo(order):
        return TYPES[order.terms.type]
    return "LIMIT" if order.terms.type.has_price else "MARKET"


def original_type(order: Order) -> str:
    return TYPES[order.terms.type]


def side(order: Order) -> str:
    return order.terms.side.name


def average(order: Order, rules: Rules) -> str:
    if not order.average_price:
        return padded(ZERO, rules.price_places)
    return padded(order.average_price, rules.price_places + 3)


# --- orders -------------------------------------------------------------------------------------------------


def order_reply(order: Order, detail: Detail, rules: Rules) -> Json:
    """The reply to placing, changing or cancelling an order."""
    row = order_row(order, detail, rules)
    del row["time"]
    reply: Json = {}
    for name, value in row.items():
        reply[name] = value
        if name == "executedQty":
            reply["cumQty"] = value
    return reply


def order_row(order: Order, detail: Detail, rules: Rules) -> Json:
    """An order as queries show it. `reduceOnly` is true too where the side book alone makes the order reduce."""
    terms = order.terms
    spent = order.filled * order.average_price if order.average_price else ZERO
    row: Json = {
        "orderId": int(order.venue_id),
        "symbol": terms.symbol,
        "status": STATUSES[order.status],
        "clientOrderId": client_id(order),
        "price": padded(terms.price, rules.price_places),
        "avgPrice": average(order, rules),
        "origQty": padded(terms.quantity, rules.quantity_places),
        "executedQty": padded(order.filled, rules.quantity_places),
        "cumQuote": padded(spent, rules.quote_places),
        "timeInForce": detail.time_in_force,
        "type": engine_type(order),
        "reduceOnly": reduces(terms),
        "closePosition": terms.close_position,
        "side": side(order),
        "positionSide": POSITION_SIDES[terms.position_side],
        "stopPrice": padded(terms.trigger_price, rules.price_places),
        "workingType": WORKING_TYPES[terms.trigger_by],
        "priceProtect": detail.price_protect,
        "origType": original_type(order),
        "priceMatch": detail.price_match,
        "selfTradePreventionMode": detail.prevention,
        "goodTillDate": detail.good_till_ms,
        "time": order.created_ms,
        "updateTime": order.updated_ms,
    }
    if terms.type is OrderType.TRAILING_STOP and not is_algo(order):
        row["activatePrice"] = padded(terms.trigger_price, rules.price_places)
        row["priceRate"] = bare(terms.trail_percent)
    return row


def old_trigger_event(report: OrderReport, detail: Detail, bids: Decimal, asks: Decimal, now_ms: int) -> Json:
    """What tells that a conditional order of the old form was triggered: it expires, and is new again as what it became."""
    ended = replace(report.order, triggered=False, status=OrderStatus.EXPIRED)
    return order_event(replace(report, execution=Execution.EXPIRED, order=ended), detail, bids, asks, now_ms)


def trigger_reject_event(report: OrderReport, sentence: str, now_ms: int) -> Json:
    """`CONDITIONAL_ORDER_TRIGGER_REJECT`: a conditional order of the old form was triggered in vain."""
    why = {"s": report.order.terms.symbol, "i": int(report.order.venue_id), "r": sentence}
    return {"e": "CONDITIONAL_ORDER_TRIGGER_REJECT", "E": now_ms, "T": report.time_ms, "or": why}


def amendment_row(before: Order, after: Order, rules: Rules, number: int, count: int, price_match: str) -> Json:
    """One change of an order, as `orderAmendment` shows it."""

    def change(old: Decimal | None, new: Decimal | None) -> Json:
        return {"before": bare(old), "after": bare(new)}

    return {
        "amendmentId": number,
        "symbol": rules.symbol,
        "pair": rules.symbol,
        "orderId": int(after.venue_id),
        "clientOrderId": client_id(after),
        "time": after.updated_ms,
        "amendment": {
            "price": change(before.terms.price, after.terms.price),
            "origQty": change(before.terms.quantity, after.terms.quantity),
            "count": count,
        },
        "priceMatch": price_match,
    }


def trade_row(fill: Fill, rules: Rules, realised: Decimal) -> Json:
    return {
        "symbol": fill.symbol,
        "id": int(fill.execution_id),
        "orderId": int(fill.venue_id),
        "side": fill.side.name,
        "price": padded(fill.price, rules.price_places),
        "qty": padded(fill.quantity, rules.quantity_places),
        "realizedPnl": money(realised),
        "quoteQty": padded(fill.price * fill.quantity, rules.quote_places),
        "commission": money(fill.fee),
        "commissionAsset": fill.fee_asset,
        "time": fill.time_ms,
        "positionSide": POSITION_SIDES[fill.position_side],
        "buyer": fill.side.name == "BUY",
        "maker": fill.maker,
    }


def order_event(report: OrderReport, detail: Detail, bids: Decimal, asks: Decimal, now_ms: int) -> Json:
    """`ORDER_TRADE_UPDATE`. `bids` and `asks` are the notionals of the account's working orders of the symbol."""
    order, terms, fill = report.order, report.order.terms, report.fill
    fields: Json = {
        "s": terms.symbol,
        "c": client_id(order),
        "S": side(order),
        "o": engine_type(order),
        "f": detail.time_in_force,
        "q": bare(terms.quantity),
        "p": bare(terms.price),
        "ap": bare(order.average_price),
        "sp": bare(terms.trigger_price),
        "x": _execution(report),
        "X": STATUSES[order.status],
        "i": int(order.venue_id),
        "l": bare(fill.quantity if fill else None),
        "z": bare(order.filled),
        "L": bare(fill.price if fill else None),
    }
    if fill is not None:
        fields["n"] = money(fill.fee)
        fields["N"] = fill.fee_asset
    fields |= {
        "T": report.time_ms,
        "t": int(fill.execution_id) if fill else 0,
        "b": bare(bids),
        "a": bare(asks),
        "m": fill.maker if fill else False,
        "R": reduces(terms),
        "wt": WORKING_TYPES[terms.trigger_by],
        "ot": original_type(order),
        "ps": POSITION_SIDES[terms.position_side],
        "cp": terms.close_position,
    }
    if terms.type is OrderType.TRAILING_STOP:
        fields["AP"] = bare(terms.trigger_price)
        fields["cr"] = bare(terms.trail_percent)
    fields |= {
        "rp": bare_money(report.realised),
        "pP": detail.price_protect,
        "si": 0,
        "ss": 0,
        "V": detail.prevention,
        "pm": detail.price_match,
        "gtd": detail.good_till_ms,
        "er": _expiry_reason(report),
    }
    return {"e": "ORDER_TRADE_UPDATE", "T": report.time_ms, "E": now_ms, "o": fields}


def _execution(report: OrderReport) -> str:
    if report.execution is Execution.TRADE and report.order.client_id.startswith(LIQUIDATION_PREFIX):
        return "CALCULATED"
    return EXECUTIONS[report.execution]


def _expiry_reason(report: OrderReport) -> str:
    if report.execution is not Execution.EXPIRED:
        return "0"
    if report.order.terms.reduce_only:
        return "4"
    return "2" if report.order.terms.type.has_price else "9"


def trade_lite_event(report: OrderReport, now_ms: int) -> Json:
    """`TRADE_LITE`, the short form of an execution that comes ahead of the long one."""
    fill = report.fill
    assert fill is not None
    return {
        "e": "TRADE_LITE",
        "E": now_ms,
        "T": report.time_ms,
        "s": fill.symbol,
        "q": bare(report.order.terms.quantity),
        "p": bare(report.order.terms.price),
        "m": fill.maker,
        "c": client_id(report.order),
        "S": side(report.order),
        "L": bare(fill.price),
        "l": bare(fill.quantity),
        "t": int(fill.execution_id),
        "i": int(fill.venue_id),
    }


def liquidation_event(order: Order, fill: Fill | None, now_ms: int) -> Json:
    """`forceOrder`: a liquidation, as the whole market sees it."""
    traded = bare(order.average_price)
    return {
        "e": "forceOrder",
        "E": now_ms,
        "o": {
            "s": order.terms.symbol,
            "S": side(order),
            "o": "LIMIT",
            "f": "IOC",
            "q": bare(order.terms.quantity),
            "p": traded,
            "ap": traded,
            "X": STATUSES[order.status],
            "l": bare(fill.quantity if fill else None),
            "z": bare(order.filled),
            "T": order.updated_ms,
        },
    }
