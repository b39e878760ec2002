"""The websocket API: requests and replies as JSON frames, with the REST endpoints' own logic behind them.

Source: https://developers.binance.com/docs/derivatives/usds-margined-futures/websocket-api-general-info, its twin for spot,
and recordings.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic

import msgspec
from aiohttp import web
from copydesk_paper.serving.misbehaviour import Cut
from copydesk_paper.serving.outbox import Outbox

from copydesk_binance.rehearsal.codes import Refusal
from copydesk_binance.rehearsal.limits import weight_limit
from copydesk_binance.rehearsal.parameters import Params
from copydesk_binance.rehearsal.routing import Call, Desk, Security, Table
from copydesk_binance.rehearsal.service import HolderType, Service
from copydesk_binance.rehearsal.signing import plain_number
from copydesk_binance.rehearsal.streams import HEARTBEAT_S

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(dict[str, Any], float_hook=plain_number).decode
MAX_FRAME = 1 << 18
SESSION_WEIGHT = 2
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Method(Generic[Desk, HolderType]):
    """`orders`: how many orders a call counts for."""

    act: Callable[[Desk, Call[HolderType]], Any]
    security: Security = Security.SIGNED
    weight: int = 1
    orders: Callable[[Params], int] | None = None
    trades: bool = False


def like(table: Table[Desk, HolderType], method: str, path: str, *, weight: int | None = None) -> Method[Desk, HolderType]:
    """A method that does what a REST endpoint does."""
    route = table.routes[method, path]
    weighs = route.weight(Params({"symbol": "any"})) if weight is None else weight
    return Method(route.act, route.security, weighs, orders=route.orders, trades=route.trades)


class Connection(Outbox, Generic[HolderType]):
    """One websocket of the API. `account` is who has logged on to it, and `authorized_ms` when."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None, ip: str, since_ms: int) -> None:
        super().__init__(socket, transport)
        self.ip = ip
        self.since_ms = since_ms
        self.account: HolderType | None = None
        self.authorized_ms = 0


class WebsocketApi(Generic[Desk, HolderType]):
    """Serves the methods at `path`: one reply to each request, in their order."""

    def __init__(
        self, path: str, service: Service[Desk, HolderType], methods: Mapping[str, Method[Desk, HolderType]]
    ) -> None:
        self.path = path
        self.service = service
        self._methods = methods
        self.session: dict[str, Callable[[Connection[HolderType], Json], Any]] = {
            "session.logon": self.log_on,
            "session.status": self.status,
            "session.logout": self.log_out,
        }
        """The methods that concern the connection itself."""
        self._connections: set[Connection[HolderType]] = set()

    async def serve(self, request: web.BaseRequest) -> web.WebSocketResponse:
        """Serve one connection until it ends."""
        socket = web.WebSocketResponse(heartbeat=HEARTBEAT_S, max_msg_size=MAX_FRAME)
        await socket.prepare(request)
        connection: Connection[HolderType] = Connection(
            socket, request.transport, request.remote or "", self.service.now_ms()
        )
        self._connections.add(connection)

        async def hear(text: str) -> None:
            try:
                connection.push((await self._answer(text, connection)).decode())
            except Cut:
                connection.drop()

        try:
            await connection.serve(hear)
        finally:
            self._connections.discard(connection)
            self.forget(connection)
        return socket

    def forget(self, connection: Connection[HolderType]) -> None:
        """A connection has ended."""

    async def _answer(self, text: str, connection: Connection[HolderType]) -> bytes:
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
            result = await self._call(str(request.get("method") or ""), params, connection, limits)
            reply |= {"status": 200, "result": result}
        except Refusal as refusal:
            error = refusal.payload(self.service.wording)
            if refusal.retry_after_s:
                now = self.service.now_ms()
                error["data"] = {"serverTime": now, "retryAfter": now + refusal.retry_after_s * 1000}
            reply |= {"status": refusal.status, "error": error}
        if not isinstance(params, dict) or params.get("returnRateLimits") is not False:
            weights = self.service.weights
            reply["rateLimits"] = limits or [weight_limit(weights.limit, weights.used(connection.ip))]
        return _encode(reply)

    async def _call(self, name: str, params: Json, connection: Connection[HolderType], limits: list[Json]) -> Any:
        """Carry out one request; fills in `limits`, those that it counts for."""
        if name in self.session:
            self.use(SESSION_WEIGHT, connection, limits)
            return self.session[name](connection, params)
        method = self._methods.get(name)
        if method is None:
            raise self.unknown_method(name)
        service = self.service
        self.weigh(method, connection, limits)
        account = None
        if method.security is not Security.NONE:
            if connection.account is not None and "apiKey" not in params:
                account = connection.account
            else:
                account = service.authenticate_params(method.security, params, connection.ip)
            if method.orders is not None:
                try:
                    account.orders.add(method.orders(Params.from_json(params)))
                finally:
                    self.count_orders(account, limits)
        return await service.act(method.act, Params.from_json(params), account, trades=method.trades)

    def unknown_method(self, name: str) -> Refusal:
        return Refusal(-1099, message=f"Unknown method '{name}'.") if name else Refusal(-1102, "method")

    def weigh(self, method: Method[Desk, HolderType], connection: Connection[HolderType], limits: list[Json]) -> None:
        """Futures: an order weighs nothing, and its reply shows the limits of orders."""
        if method.orders:
            self.service.weights.use(connection.ip, 0)
        else:
            self.use(method.weight, connection, limits)

    def use(self, weight: int, connection: Connection[HolderType], limits: list[Json]) -> None:
        weights = self.service.weights
        limits.append(weight_limit(weights.limit, weights.use(connection.ip, weight)))

    def count_orders(self, account: HolderType, limits: list[Json]) -> None:
        limits += [weight_limit(-1, -1), *account.orders.rate_limits()]

    # --- sessions ---

    def signed_by(self, connection: Connection[HolderType], params: Json) -> HolderType:
        return self.service.authenticate_params(Security.SIGNED, params, connection.ip)

    def log_on(self, connection: Connection[HolderType], params: Json) -> Json:
        """From now on requests without a key are this account's."""
        account = self.signed_by(connection, params)
        if not account.may_log_on:
            raise Refusal(-4056, message="Only Ed25519 keys can log on: HMAC_SHA256 and RSA API keys are not supported.")
        connection.account, connection.authorized_ms = account, self.service.now_ms()
        return self.status(connection, params)

    def status(self, connection: Connection[HolderType], params: Json) -> Json:
        account = connection.account
        return {
            "apiKey": account.key if account else None,
            "authorizedSince": connection.authorized_ms if account else None,
            "connectedSince": connection.since_ms,
            "returnRateLimits": True,
            "serverTime": self.service.now_ms(),
        }

    def log_out(self, connection: Connection[HolderType], params: Json) -> Json:
        connection.account = None
        return self.status(connection, params)

    def drop_all(self) -> None:
        for connection in tuple(self._connections):
            connection.drop()
