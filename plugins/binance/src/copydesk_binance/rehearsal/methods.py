"""The methods of the futures' websocket API (`/ws-fapi/v1`)."""

from __future__ import annotations

from copydesk_binance.rehearsal import rest_accounts, rest_data, rest_market, rest_orders
from copydesk_binance.rehearsal.account import Account
from copydesk_binance.rehearsal.rest import TABLE, Call, Rest
from copydesk_binance.rehearsal.websocket_api import Method, like
from copydesk_binance.rehearsal.wire import Json

API_PATH = "/ws-fapi/v1"
ENDPOINTS = (rest_market, rest_data, rest_orders, rest_accounts)
"""The modules that fill the table of REST endpoints."""


def _like(method: str, path: str, *, weight: int | None = None) -> Method[Rest, Account]:
    return like(TABLE, method, path, weight=weight)


def _cancel_algo(rest: Rest, call: Call) -> Json:
    """Unlike the REST endpoint it answers with the whole order."""
    return rest.venue.cancel_algo(call.account, call.params).reply()


def _positions_v1(rest: Rest, call: Call) -> list[Json]:
    return rest_accounts.position_rows(rest, call, 2)


def _positions_v2(rest: Rest, call: Call) -> list[Json]:
    rows = rest_accounts.position_rows(rest, call, 3)
    return [{_V2_NAMES.get(name, name): value for name, value in row.items()} for row in rows]


_V2_NAMES = {"unRealizedProfit": "unrealizedProfit"}

METHODS: dict[str, Method[Rest, Account]] = {
    "ping": _like("GET", "/fapi/v1/ping"),
    "time": _like("GET", "/fapi/v1/time"),
    "exchangeInfo": _like("GET", "/fapi/v1/exchangeInfo"),
    "depth": _like("GET", "/fapi/v1/depth", weight=10),
    "ticker.price": _like("GET", "/fapi/v1/ticker/price"),
    "ticker.book": _like("GET", "/fapi/v1/ticker/bookTicker"),
    "order.place": _like("POST", "/fapi/v1/order"),
    "order.test": _like("POST", "/fapi/v1/order/test"),
    "order.modify": _like("PUT", "/fapi/v1/order"),
    "order.cancel": _like("DELETE", "/fapi/v1/order"),
    "order.status": _like("GET", "/fapi/v1/order"),
    "algoOrder.place": _like("POST", "/fapi/v1/algoOrder"),
    "algoOrder.cancel": Method(_cancel_algo, trades=True),
    "account.balance": _like("GET", "/fapi/v2/balance"),
    "v2/account.balance": _like("GET", "/fapi/v3/balance"),
    "account.status": _like("GET", "/fapi/v2/account"),
    "v2/account.status": _like("GET", "/fapi/v3/account"),
    "account.position": Method(_positions_v1, weight=5),
    "v2/account.position": Method(_positions_v2, weight=5),
    "userDataStream.start": _like("POST", "/fapi/v1/listenKey"),
    "userDataStream.ping": _like("PUT", "/fapi/v1/listenKey"),
    "userDataStream.stop": _like("DELETE", "/fapi/v1/listenKey"),
}
