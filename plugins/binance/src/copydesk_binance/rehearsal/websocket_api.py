"""The websocket API (`/ws-fapi/v1`): requests and replies as JSON frames, with the REST endpoints' own logic behind them.

Source: https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-api-general-info and recordings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import WSMsgType, web
from copydesk_paper.serving.misbehaviour import Cut, Misbehaviour

from copydesk_binance.rehearsal import rest_accounts, rest_market, rest_orders
from copydesk_binance.rehearsal.account import Account
from copydesk_binance.rehearsal.codes import Refusal
from copydesk_binance.rehearsal.limits import RequestWeight, weight_limit
from copydesk_binance.rehearsal.parameters import Params
from copydesk_binance.rehearsal.rest import ROUTES, Call, Rest, Security
from copydesk_binance.rehearsal.signing import check_form_of_key, check_signed_params, check_time, plain_number
from copydesk_binance.rehearsal.streams import HEARTBEAT_S
from copydesk_binance.rehearsal.wire import Json

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any], float_hook=plain_number).decode
MAX_FRAME = 1 << 18
ENDPOINTS = (rest_market, rest_orders, rest_accounts)
"""The modules that fill the table of REST endpoints."""


@dataclass(frozen=True, slots=True)
class Method:
    act: Callable[[Rest, Call], Any]
    security: Security = Security.SIGNED
    weight: int = 1
    orders: bool = False
    trades: bool = False


def _like(method: str, path: str, *, weight: int | None = None) -> Method:
    """A method that does what a REST endpoint does."""
    route = ROUTES[method, path]
    weighs = route.weight(Params({"symbol": "any"})) if weight is None else weight
    return Method(route.act, route.security, weighs, orders=route.orders is not None, trades=route.trades)


def _cancel_algo(rest: Rest, call: Call) -> Json:
    """Unlike the REST endpoint it answers with the whole order."""
    return rest.venue.cancel_algo(call.account, call.params).reply()


def _refuse_logon(rest: Rest, call: Call) -> Json:
    raise Refusal(-4056, message="Only Ed25519 keys can log on; sign each request with HMAC-SHA256 instead.")


def _session_status(rest: Rest, call: Call) -> Json:
    return {
        "apiKey": None,
        "authorizedSince": None,
        "connectedSince": rest.now_ms(),
        "returnRateLimits": True,
        "serverTime": rest.now_ms(),
    }


def _positions_v1(rest: Rest, call: Call) -> list[Json]:
    return rest_accounts.position_rows(rest, call, 2)


def _positions_v2(rest: Rest, call: Call) -> list[Json]:
    rows = rest_accounts.position_rows(rest, call, 3)
    return [{_V2_NAMES.get(name, name): value for name, value in row.items()} for row in rows]


_V2_NAMES = {"unRealizedProfit": "unrealizedProfit"}

METHODS: dict[str, Method] = {
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
    "session.logon": Method(_refuse_logon, Security.NONE),
    "session.status": Method(_session_status, Security.NONE),
    "session.logout": Method(_session_status, Security.NONE),
}


class WebsocketApi:
    def __init__(self, rest: Rest, weights: RequestWeight, misbehaviour: Misbehaviour) -> None:
        self._rest = rest
        self._weights = weights
        self._misbehaviour = misbehaviour
        self._transports: set[asyncio.Transport] = set()

    async def serve(self, request: web.BaseRequest) -> web.WebSocketResponse:
        """Serve one connection until it ends: one reply to each request, in their order."""
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=MAX_FRAME)
        await socket.prepare(request)
        transport, ip = request.transport, request.remote or ""
        if transport is None:
            return socket
        self._transports.add(transport)
        try:
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    await socket.send_str((await self._answer(message.data, ip)).decode())
        except Cut:
            transport.abort()
        finally:
            self._transports.discard(transport)
        return socket

    async def _answer(self, text: str, ip: str) -> bytes:
        try:
            request = _decode(text)
        except msgspec.DecodeError:
            return _encode({"id": None, "status": 400, "error": {"code": -1000, "msg": "Invalid JSON request."}})
        id_, params = request.get("id"), request.get("params") or {}
        reply: Json = {"id": id_}
        limits: list[Json] = []
        try:
            if not isinstance(params, dict):
                raise Refusal(-1135, message="Invalid 'params' in JSON request; expected an object.")
            reply |= {"status": 200, "result": await self._call(str(request.get("method")), params, ip, limits)}
        except Refusal as refusal:
            error = refusal.payload()
            if refusal.retry_after_s:
                now = self._rest.now_ms()
                error["data"] = {"serverTime": now, "retryAfter": now + refusal.retry_after_s * 1000}
            reply |= {"status": refusal.status, "error": error}
        if not isinstance(params, dict) or params.get("returnRateLimits") is not False:
            reply["rateLimits"] = limits or [weight_limit(self._weights.limit, self._weights.used(ip))]
        return _encode(reply)

    async def _call(self, name: str, params: dict[str, Any], ip: str, limits: list[Json]) -> Any:
        """Carry out one request; fills in `limits`, those that it counts for."""
        method = METHODS.get(name)
        if method is None:
            raise Refusal(-1099, message=f"Unknown method '{name}'.") if name else Refusal(-1102, "method")
        used = self._weights.use(ip, 0 if method.orders else method.weight)
        if not method.orders:
            limits.append(weight_limit(self._weights.limit, used))
        account = self._authenticate(method.security, params, ip)
        call = Call(Params.from_json(params), account)
        if method.orders and account is not None:
            try:
                account.orders.add(1)
            finally:
                limits += account.orders.rate_limits()
        if method.trades and account is not None:
            return await self._misbehaviour.trade(account.name, lambda: method.act(self._rest, call))
        return method.act(self._rest, call)

    def _authenticate(self, security: Security, params: dict[str, Any], ip: str) -> Account | None:
        if security is Security.NONE:
            return None
        key = str(params.get("apiKey") or "")
        if not key:
            raise Refusal(-1102, "apiKey")
        account = self._rest.venue.by_key.get(key)
        if account is None:
            raise check_form_of_key(key, ip)
        if security is Security.SIGNED:
            typed = Params.from_json(params)
            skew = self._misbehaviour.skew_ms(account.name)
            check_time(typed.integer("timestamp"), typed.integer("recvWindow"), self._rest.now_ms() - skew)
            check_signed_params(account.secret, params)
        return account

    def drop_all(self) -> None:
        for transport in tuple(self._transports):
            transport.abort()
