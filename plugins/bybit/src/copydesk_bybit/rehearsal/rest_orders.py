"""REST endpoints of orders and executions."""

from __future__ import annotations

from collections.abc import Callable

from copydesk_bybit.rehearsal.account import Known
from copydesk_bybit.rehearsal.codes import Refusal, bad
from copydesk_bybit.rehearsal.limits import Group
from copydesk_bybit.rehearsal.listing import check_category
from copydesk_bybit.rehearsal.parameters import Params
from copydesk_bybit.rehearsal.rest import Call, Rest, listed, page, period, route
from copydesk_bybit.rehearsal.wire import Json
from copydesk_bybit.symbols import SPOT

MAX_BATCH = {"spot": 10, "linear": 20, "inverse": 20, "option": 20}
RECENT = 500
DAY_MS = 24 * 3_600_000

# --- one order ----------------------------------------------------------------------------------------------


@route("POST", "/v5/order/create", group=Group.CREATE, trades=True)
def _create(rest: Rest, call: Call) -> Json:
    return rest.desk.place(call.account, call.params)


@route("POST", "/v5/order/amend", group=Group.AMEND, trades=True)
def _amend(rest: Rest, call: Call) -> Json:
    return rest.desk.amend(call.account, call.params)


@route("POST", "/v5/order/cancel", group=Group.CANCEL, trades=True)
def _cancel(rest: Rest, call: Call) -> Json:
    return rest.desk.cancel(call.account, call.params)


@route("POST", "/v5/order/cancel-all", group=Group.CANCEL_ALL, trades=True)
def _cancel_all(rest: Rest, call: Call) -> Json:
    return rest.desk.cancel_all(call.account, call.params)


@route("POST", "/v5/order/pre-check", group=Group.READ)
def _pre_check(rest: Rest, call: Call) -> Json:
    return rest.desk.check(call.account, call.params)


# --- batches ------------------------------------------------------------------------------------------------


def _size(params: Params) -> int:
    return len(params.listed("request"))


def _batch(rest: Rest, call: Call, act: Callable[[Params], Json], *, created: bool = False) -> Json:
    """Each on its own: what one is refused for stands in `retExtInfo` and does not concern the others."""
    category = check_category(call.params.need("category"))
    requests = call.params.listed("request")
    if not 1 <= len(requests) <= MAX_BATCH[category]:
        raise bad(f"params error: a batch of {category} has 1 to {MAX_BATCH[category]} orders")
    rows, codes = [], []
    for params in requests:
        row: Json = {"category": category, "symbol": params.text("symbol")}
        try:
            row |= act(params.with_(category=category))
            codes.append({"code": 0, "msg": "OK"})
            when = str(rest.now_ms())
        except Refusal as refusal:
            row |= {"orderId": params.text("orderId"), "orderLinkId": params.text("orderLinkId")}
            codes.append({"code": refusal.code, "msg": refusal.message})
            when = ""
        rows.append(row | {"createAt": when} if created else row)
    call.ext = {"list": codes}
    return {"list": rows}


@route("POST", "/v5/order/create-batch", group=Group.CREATE, trades=True, counts=_size)
def _create_batch(rest: Rest, call: Call) -> Json:
    return _batch(rest, call, lambda params: rest.desk.place(call.account, params), created=True)


@route("POST", "/v5/order/amend-batch", group=Group.AMEND, trades=True, counts=_size)
def _amend_batch(rest: Rest, call: Call) -> Json:
    return _batch(rest, call, lambda params: rest.desk.amend(call.account, params))


@route("POST", "/v5/order/cancel-batch", group=Group.CANCEL, trades=True, counts=_size)
def _cancel_batch(rest: Rest, call: Call) -> Json:
    return _batch(rest, call, lambda params: rest.desk.cancel(call.account, params))


# --- reads --------------------------------------------------------------------------------------------------


def _by_filter(params: Params, known: Known) -> bool:
    wanted = params.text("orderFilter")
    if not wanted:
        return True
    kind = "Order" if not known.stop_type else "tpslOrder" if known.stop_type == "tpslOrder" else "StopOrder"
    return wanted == kind


def _orders(rest: Rest, call: Call, category: str, *, working: bool | None) -> list[Known]:
    return [
        known
        for known in rest.desk.select(call.account, call.params, category, working=working)
        if _by_filter(call.params, known)
    ]


@route("GET", "/v5/order/realtime")
def _realtime(rest: Rest, call: Call) -> Json:
    params = call.params
    category = check_category(params.need("category"))
    by_name = "orderId" in params or "orderLinkId" in params
    if category == "linear" and not by_name and not any(n in params for n in ("symbol", "baseCoin", "settleCoin")):
        raise bad("Missing some parameters that must be filled in, symbol or settleCoin or baseCoin")
    if "symbol" in params:
        rest.desk.listing.named(category, params.text("symbol"))
    if by_name:
        found = _orders(rest, call, category, working=None)
    elif params.integer("openOnly") == 1:
        found = _orders(rest, call, category, working=False)[:RECENT]
    else:
        found = _orders(rest, call, category, working=True)
    part, cursor = page(found, params, 20, 50)
    return listed([rest.desk.row(call.account, known) for known in part], cursor, category)


@route("GET", "/v5/order/history")
def _history(rest: Rest, call: Call) -> Json:
    params = call.params
    category = check_category(params.need("category"))
    if "symbol" in params:
        rest.desk.listing.named(category, params.text("symbol"))
    start, end = period(params, rest.now_ms())
    by_name = "orderId" in params or "orderLinkId" in params
    rows = []
    for known in _orders(rest, call, category, working=False):
        order = known.order
        assert order is not None
        if not by_name and not start <= order.created_ms <= end:
            continue
        if not order.filled and order.updated_ms < rest.now_ms() - DAY_MS:
            continue
        row = rest.desk.row(call.account, known)
        if "orderStatus" not in params or row["orderStatus"] == params.text("orderStatus"):
            rows.append(row)
    part, cursor = page(rows, params, 20, 50)
    return listed(part, cursor, category)


@route("GET", "/v5/execution/list")
def _executions(rest: Rest, call: Call) -> Json:
    params = call.params
    category = check_category(params.need("category"))
    if "symbol" in params:
        rest.desk.listing.named(category, params.text("symbol"))
    start, end = period(params, rest.now_ms())
    by_name = "orderId" in params or "orderLinkId" in params
    venue_id = call.account.find(params.text("orderId"), params.text("orderLinkId")) if by_name else ""
    found = []
    for done in reversed(call.account.fills):
        rules = rest.desk.listing.rules(done.fill.symbol)
        if rules.category != category or not start <= done.fill.time_ms <= end:
            continue
        if by_name and done.fill.venue_id != venue_id:
            continue
        if not by_name and "symbol" in params and params.text("symbol") != rules.name:
            continue
        if not by_name and "baseCoin" in params and params.text("baseCoin") != rules.instrument.base:
            continue
        row = rest.desk.execution(done)
        if "execType" not in params or row["execType"] == params.text("execType"):
            found.append(row)
    part, cursor = page(found, params, 50, 100)
    return listed(part, cursor, category)


@route("GET", "/v5/order/spot-borrow-check")
def _borrow_check(rest: Rest, call: Call) -> Json:
    rules = rest.desk.listing.named(SPOT, call.params.need("symbol"))
    wallets = rest.desk.exchange.wallets(call.account.name)
    side = call.params.need("side")
    coin = rules.instrument.quote if side == "Buy" else rules.instrument.base
    amount = str(wallets.get(coin, 0))
    return {
        "symbol": rules.name,
        "side": side,
        "maxTradeQty": amount,
        "maxTradeAmount": amount,
        "spotMaxTradeQty": amount,
        "spotMaxTradeAmount": amount,
        "borrowCoin": coin,
    }


@route("POST", "/v5/order/disconnected-cancel-all", message="success")
def _disconnect_protection(rest: Rest, call: Call) -> Json:
    window = call.params.integer("timeWindow")
    if window is None or not 3 <= window <= 300:
        raise bad("params error: timeWindow must be from 3 to 300")
    raise Refusal(10005, message="Disconnect protection is not part of this rehearsal.")
