"""REST endpoints of orders: listen keys, ordinary orders, the algo service."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from copydesk_binance.rehearsal.codes import Refusal
from copydesk_binance.rehearsal.listing import MAX_BATCH
from copydesk_binance.rehearsal.parameters import Params
from copydesk_binance.rehearsal.rest import Call, Rest, Security, by_symbol, one_order, route
from copydesk_binance.rehearsal.signing import plain_number
from copydesk_binance.rehearsal.wire import Json

_DONE = {"code": 200, "msg": "The operation of cancel all open order is done."}


# --- listen keys --------------------------------------------------------------------------------------------


@route("POST", "/fapi/v1/listenKey", security=Security.KEY)
def _create_listen_key(rest: Rest, call: Call) -> Json:
    return {"listenKey": rest.streams.create_key(call.account)}


@route("PUT", "/fapi/v1/listenKey", security=Security.KEY)
def _keep_listen_key(rest: Rest, call: Call) -> Json:
    return {"listenKey": rest.streams.keep_key(call.account)}


@route("DELETE", "/fapi/v1/listenKey", security=Security.KEY)
def _delete_listen_key(rest: Rest, call: Call) -> Json:
    rest.streams.delete_key(call.account)
    return {}


# --- orders -------------------------------------------------------------------------------------------------


@route("POST", "/fapi/v1/order", weight=0, orders=one_order, trades=True)
def _place(rest: Rest, call: Call) -> Json:
    return rest.venue.place(call.account, call.params)


@route("POST", "/fapi/v1/order/test", weight=1)
def _test_order(rest: Rest, call: Call) -> Json:
    return rest.venue.test(call.account, call.params)


@route("PUT", "/fapi/v1/order", weight=0, orders=one_order, trades=True)
def _modify(rest: Rest, call: Call) -> Json:
    return rest.venue.modify(call.account, call.params)


@route("DELETE", "/fapi/v1/order", weight=1, trades=True)
def _cancel(rest: Rest, call: Call) -> Json:
    return rest.venue.cancel(call.account, call.params)


@route("GET", "/fapi/v1/order")
def _order(rest: Rest, call: Call) -> Json:
    return rest.venue.order(call.account, call.params)


@route("GET", "/fapi/v1/openOrder")
def _open_order(rest: Rest, call: Call) -> Json:
    return rest.venue.order(call.account, call.params, working=True)


@route("GET", "/fapi/v1/openOrders", weight=by_symbol(1, 40))
def _open_orders(rest: Rest, call: Call) -> list[Json]:
    symbol = rest.symbol(call) if "symbol" in call.params else ""
    return [rest.venue.row(call.account, order) for order in rest.venue.open_orders(call.account, symbol)]


@route("DELETE", "/fapi/v1/allOpenOrders", trades=True)
def _cancel_all(rest: Rest, call: Call) -> Json:
    rest.venue.cancel_all(call.account, call.params.mandatory("symbol"))
    return _DONE


@route("GET", "/fapi/v1/allOrders", weight=5)
def _all_orders(rest: Rest, call: Call) -> list[Json]:
    params = call.params
    from_id = params.integer("orderId") or 0
    start, end = params.integer("startTime") or 0, params.integer("endTime")
    orders = [
        order
        for order in rest.venue.orders(call.account, rest.symbol(call))
        if int(order.venue_id) >= from_id and order.created_ms >= start and (end is None or order.created_ms <= end)
    ]
    limit = params.limit(500, 1000)
    return [rest.venue.row(call.account, order) for order in (orders[:limit] if from_id else orders[-limit:])]


@route("POST", "/fapi/v1/countdownCancelAll", weight=10)
def _countdown(rest: Rest, call: Call) -> Json:
    return rest.venue.countdown(call.account, call.params)


_decode_batch = msgspec.json.Decoder(list[dict[str, Any]], float_hook=plain_number).decode


def _batch(params: Params) -> list[Params]:
    try:
        listed = _decode_batch(params.mandatory("batchOrders"))
    except msgspec.DecodeError:
        raise Refusal(-1130, "batchOrders") from None
    if not 1 <= len(listed) <= MAX_BATCH:
        raise Refusal(-4082)
    return [Params.from_json(one) for one in listed]


def _count_batch(params: Params) -> int:
    return len(_batch(params))


def _each(batch: list[Params], act: Callable[[Params], Json]) -> list[Json]:
    """Each on its own: what one is refused for does not concern the others."""
    results = []
    for params in batch:
        try:
            results.append(act(params))
        except Refusal as refusal:
            results.append(refusal.payload())
    return results


@route("POST", "/fapi/v1/batchOrders", weight=5, orders=_count_batch, trades=True)
def _place_batch(rest: Rest, call: Call) -> list[Json]:
    return _each(_batch(call.params), lambda params: rest.venue.place(call.account, params))


@route("PUT", "/fapi/v1/batchOrders", weight=5, orders=_count_batch, trades=True)
def _modify_batch(rest: Rest, call: Call) -> list[Json]:
    return _each(_batch(call.params), lambda params: rest.venue.modify(call.account, params))


@route("DELETE", "/fapi/v1/batchOrders", weight=1, trades=True)
def _cancel_batch(rest: Rest, call: Call) -> list[Json]:
    symbol = rest.symbol(call)
    named: list[dict[str, str]] = []
    for field, name in (("orderIdList", "orderId"), ("origClientOrderIdList", "origClientOrderId")):
        if field in call.params:
            try:
                listed = msgspec.json.decode(call.params.text(field), type=list[str | int])
            except msgspec.DecodeError:
                raise Refusal(-1130, field) from None
            named += [{"symbol": symbol, name: str(one)} for one in listed]
    if not named:
        raise Refusal(-1102, "orderIdList")
    if len(named) > 2 * MAX_BATCH:
        raise Refusal(-4082)
    return _each([Params(one) for one in named], lambda params: rest.venue.cancel(call.account, params))


# --- the algo service ---------------------------------------------------------------------------------------


@route("POST", "/fapi/v1/algoOrder", weight=0, orders=one_order, trades=True)
def _place_algo(rest: Rest, call: Call) -> Json:
    return rest.venue.place_algo(call.account, call.params)


@route("DELETE", "/fapi/v1/algoOrder", trades=True)
def _cancel_algo(rest: Rest, call: Call) -> Json:
    algo = rest.venue.cancel_algo(call.account, call.params)
    return {"algoId": algo.algo_id, "clientAlgoId": algo.client_id, "code": "200", "msg": "success"}


@route("GET", "/fapi/v1/algoOrder")
def _algo(rest: Rest, call: Call) -> Json:
    return rest.venue.algo(call.account, call.params, -2013).row()


@route("GET", "/fapi/v1/openAlgoOrders", weight=by_symbol(1, 40))
def _open_algos(rest: Rest, call: Call) -> list[Json]:
    symbol = rest.symbol(call) if "symbol" in call.params else ""
    algo_id = call.params.integer("algoId")
    rows = rest.venue.open_algos(call.account, symbol)
    return [algo.row() for algo in rows if algo_id in (None, algo.algo_id)]


@route("GET", "/fapi/v1/allAlgoOrders", weight=5)
def _all_algos(rest: Rest, call: Call) -> list[Json]:
    symbol, params = rest.symbol(call), call.params
    from_id, start, end = params.integer("algoId") or 0, params.integer("startTime") or 0, params.integer("endTime")
    found = [
        algo
        for algo in call.account.algo_orders.values()
        if algo.order.terms.symbol == symbol
        and algo.algo_id >= from_id
        and algo.order.created_ms >= start
        and (end is None or algo.order.created_ms <= end)
    ]
    limit = params.limit(500, 1000)
    return [algo.row() for algo in (found[:limit] if from_id else found[-limit:])]


@route("DELETE", "/fapi/v1/algoOpenOrders", trades=True)
def _cancel_all_algos(rest: Rest, call: Call) -> Json:
    rest.venue.cancel_all_algos(call.account, call.params.mandatory("symbol"))
    return _DONE
