"""REST endpoints of spot orders and order lists."""

from __future__ import annotations

from copydesk.model import Order

from copydesk_binance.rehearsal.codes import Refusal
from copydesk_binance.rehearsal.parameters import Params
from copydesk_binance.rehearsal.routing import by_symbol, one_order
from copydesk_binance.rehearsal.spot.parameters import made_up_id
from copydesk_binance.rehearsal.spot.rest import Call, Rest, route
from copydesk_binance.rehearsal.wire import Json


def two_orders(_: Params) -> int:
    return 2


def three_orders(_: Params) -> int:
    return 3


# --- single orders ------------------------------------------------------------------------------------------


@route("POST", "/api/v3/order", orders=one_order, trades=True)
def _place(rest: Rest, call: Call) -> Json:
    return rest.desk.place(call.account, call.params)


@route("POST", "/api/v3/order/test")
def _test(rest: Rest, call: Call) -> Json:
    rest.desk.test(call.account, call.params)
    if not call.params.flag("computeCommissionRates"):
        return {}
    rates = {"maker": f"{rest.maker_fee:.8f}", "taker": f"{rest.taker_fee:.8f}"}
    nothing = dict.fromkeys(rates, "0.00000000")
    discount = {"enabledForAccount": False, "enabledForSymbol": False, "discountAsset": "BNB", "discount": "0.00000000"}
    return {
        "standardCommissionForOrder": rates,
        "specialCommissionForOrder": nothing,
        "taxCommissionForOrder": nothing,
        "discount": discount,
    }


@route("DELETE", "/api/v3/order", trades=True)
def _cancel(rest: Rest, call: Call) -> Json:
    return rest.desk.cancel(call.account, call.params)


@route("POST", "/api/v3/order/cancelReplace", orders=one_order, trades=True)
def _replace(rest: Rest, call: Call) -> Json:
    return rest.desk.replace(call.account, call.params)


@route("PUT", "/api/v3/order/amend/keepPriority", weight=4, trades=True)
def _amend(rest: Rest, call: Call) -> Json:
    return rest.desk.amend(call.account, call.params)


@route("GET", "/api/v3/order", weight=4)
def _order(rest: Rest, call: Call) -> Json:
    return rest.desk.row(call.account, rest.desk.named(call.account, call.params, -2013))


def _working(rest: Rest, call: Call, symbol: str) -> list[Order]:
    desk = rest.desk
    working = [*desk.exchange.open_orders(call.account.name, symbol), *desk.lists.pending(call.account, symbol)]
    return sorted(working, key=lambda order: int(order.venue_id))


@route("GET", "/api/v3/openOrders", weight=by_symbol(6, 80))
def _open_orders(rest: Rest, call: Call) -> list[Json]:
    symbol = rest.symbol(call) if "symbol" in call.params else ""
    return [rest.desk.row(call.account, order) for order in _working(rest, call, symbol)]


@route("DELETE", "/api/v3/openOrders", trades=True)
def _cancel_all(rest: Rest, call: Call) -> list[Json]:
    """Single orders, then order lists as a whole. Refused where there is nothing to cancel."""
    desk, account, symbol = rest.desk, call.account, rest.symbol(call)
    working = desk.exchange.open_orders(account.name, symbol)
    lists = [one for one in account.lists.values() if one.is_open and one.symbol == symbol]
    if not working and not lists:
        raise Refusal(-2011)
    alone = [order for order in working if desk.detail(account, order).list_id < 0]
    replies = [desk.end(account, order, made_up_id()) for order in alone]
    return [*replies, *(desk.lists.cancel_list(account, one, made_up_id()) for one in lists)]


@route("GET", "/api/v3/allOrders", weight=20)
def _all_orders(rest: Rest, call: Call) -> list[Json]:
    params, desk, symbol = call.params, rest.desk, rest.symbol(call)
    from_id = params.integer("orderId")
    start, end = params.integer("startTime") or 0, params.integer("endTime")
    unplaced = [order for order in call.account.unplaced.values() if order.terms.symbol == symbol]
    known = [*desk.exchange.orders(call.account.name, symbol), *desk.lists.pending(call.account, symbol), *unplaced]
    orders = [
        order
        for order in sorted(known, key=lambda order: int(order.venue_id))
        if (from_id is None or int(order.venue_id) >= from_id)
        and order.created_ms >= start
        and (end is None or order.created_ms <= end)
    ]
    limit = params.limit(500, 1000)
    shown = orders[:limit] if from_id is not None or start else orders[-limit:]
    return [desk.row(call.account, order) for order in shown]


@route("GET", "/api/v3/order/amendments", weight=4)
def _amendments(rest: Rest, call: Call) -> list[Json]:
    params, symbol = call.params, rest.symbol(call)
    order_id, from_id = params.integer("orderId"), params.integer("fromExecutionId") or 0
    if order_id is None:
        raise Refusal(-1102, "orderId")
    rows = [
        dict(row)
        for row in call.account.amendments
        if row["symbol"] == symbol and row["orderId"] == order_id and int(str(row["executionId"])) >= from_id
    ]
    return rows[: params.limit(500, 1000)]


# --- order lists --------------------------------------------------------------------------------------------


@route("POST", "/api/v3/orderList/oco", orders=two_orders, trades=True)
def _place_oco(rest: Rest, call: Call) -> Json:
    return rest.desk.lists.place_oco(call.account, call.params)


@route("POST", "/api/v3/order/oco", orders=two_orders, trades=True)
def _place_old_oco(rest: Rest, call: Call) -> Json:
    return rest.desk.lists.place_old_oco(call.account, call.params)


@route("POST", "/api/v3/orderList/oto", orders=two_orders, trades=True)
def _place_oto(rest: Rest, call: Call) -> Json:
    return rest.desk.lists.place_oto(call.account, call.params)


@route("POST", "/api/v3/orderList/otoco", orders=three_orders, trades=True)
def _place_otoco(rest: Rest, call: Call) -> Json:
    return rest.desk.lists.place_otoco(call.account, call.params)


@route("POST", "/api/v3/orderList/opo", orders=two_orders, trades=True)
def _place_opo(rest: Rest, call: Call) -> Json:
    return rest.desk.lists.place_opo(call.account, call.params)


@route("POST", "/api/v3/orderList/opoco", orders=three_orders, trades=True)
def _place_opoco(rest: Rest, call: Call) -> Json:
    return rest.desk.lists.place_opoco(call.account, call.params)


@route("DELETE", "/api/v3/orderList", trades=True)
def _cancel_list(rest: Rest, call: Call) -> Json:
    return rest.desk.lists.cancel(call.account, call.params)


@route("GET", "/api/v3/orderList", weight=4)
def _list(rest: Rest, call: Call) -> Json:
    lists = rest.desk.lists
    return lists.head(lists.named(call.account, call.params, -2018, "origClientOrderId"))


@route("GET", "/api/v3/allOrderList", weight=20)
def _all_lists(rest: Rest, call: Call) -> list[Json]:
    params, from_id = call.params, call.params.integer("fromId")
    start, end = params.integer("startTime") or 0, params.integer("endTime")
    found = [
        one
        for one in call.account.lists.values()
        if (from_id is None or one.list_id >= from_id) and one.time_ms >= start and (end is None or one.time_ms <= end)
    ]
    limit = params.limit(500, 1000)
    shown = found[:limit] if from_id is not None or start else found[-limit:]
    return [rest.desk.lists.head(one) for one in shown]


@route("GET", "/api/v3/openOrderList", weight=6)
def _open_lists(rest: Rest, call: Call) -> list[Json]:
    return [rest.desk.lists.head(one) for one in call.account.lists.values() if one.is_open]
