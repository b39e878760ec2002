"""The listening server: one port for REST, the public and private streams, order entry and the rehearsal's own control."""

from __future__ import annotations

import html
from typing import Any

import msgspec
from aiohttp import web
from copydesk_paper.serving.frontend import Frontend
from copydesk_paper.serving.misbehaviour import Misbehaviour

from copydesk_bybit.rehearsal import rest_account, rest_market, rest_more, rest_orders
from copydesk_bybit.rehearsal.codes import Refusal
from copydesk_bybit.rehearsal.limits import RateLimits
from copydesk_bybit.rehearsal.order_entry import OrderEntry
from copydesk_bybit.rehearsal.parameters import Params
from copydesk_bybit.rehearsal.rest import ROUTES, Call, Rest, Route
from copydesk_bybit.rehearsal.signing import authenticate
from copydesk_bybit.rehearsal.streams import Streams
from copydesk_bybit.symbols import CATEGORIES

ENDPOINTS = (rest_market, rest_orders, rest_account, rest_more)
"""The modules that fill the table of REST endpoints."""
_encode = msgspec.json.Encoder().encode
_PATHS = {path for _, path in ROUTES}


class Server(Frontend):
    """Answers every request."""

    def __init__(
        self, rest: Rest, limits: RateLimits, misbehaviour: Misbehaviour, streams: Streams, entry: OrderEntry
    ) -> None:
        super().__init__()
        self._rest = rest
        self._limits = limits
        self._misbehaviour = misbehaviour
        self._streams = streams
        self._entry = entry

    def drop_all(self) -> None:
        self._streams.drop_all()
        self._entry.drop_all()

    async def close(self) -> None:
        await self._streams.close()
        self._entry.drop_all()

    # --- REST ---

    async def answer(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        headers: dict[str, str] = {"Timenow": str(self._rest.now_ms())}
        try:
            body = (await request.text()) if request.can_read_body else ""
            return _reply(await self._call(request, path, query, body, headers), headers)
        except Refusal as refusal:
            if refusal.status >= 500:
                return web.Response(status=refusal.status, text=f"<html>{html.escape(refusal.message)}</html>")
            if refusal.retry_after_s:
                reset = self._rest.now_ms() + refusal.retry_after_s * 1000
                headers |= {"X-Bapi-Limit-Status": "0", "X-Bapi-Limit-Reset-Timestamp": str(reset)}
            return _reply(self._envelope(refusal.code, refusal.message, {}, {}), headers, refusal.status)

    async def _call(
        self, request: web.BaseRequest, path: str, query: str, body: str, headers: dict[str, str]
    ) -> dict[str, Any]:
        self._limits.address(request.remote or "")
        route = ROUTES.get((request.method, path))
        if route is None:
            raise (
                Refusal(10017, status=404)
                if path not in _PATHS
                else Refusal(10001, message="Request method error", status=400)
            )
        payload = query if request.method == "GET" else body
        params = Params.from_query(query) if request.method == "GET" else Params.from_body(body)
        if not route.signed:
            call = Call(params, None)
            return self._envelope(0, route.message, route.act(self._rest, call), call.ext)
        account = authenticate(
            self._rest.desk.by_key, request.headers, payload, self._rest.now_ms(), self._misbehaviour.skew_ms
        )
        call = Call(params, account)
        headers |= self._limits.take(route.group, account.name, route.counts(params), path=path)
        result = await self._act(route, call)
        return self._envelope(0, route.message, result, call.ext)

    async def _act(self, route: Route, call: Call) -> Any:
        if route.trades:
            return await self._misbehaviour.trade(call.account.name, lambda: route.act(self._rest, call))
        return route.act(self._rest, call)

    def _envelope(self, code: int, message: str, result: Any, ext: dict[str, Any]) -> dict[str, Any]:
        return {"retCode": code, "retMsg": message, "result": result, "retExtInfo": ext, "time": self._rest.now_ms()}

    # --- websockets ---

    async def websocket(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        words = [word for word in path.split("/") if word]
        match words:
            case ["v5", "private"]:
                return await self._streams.serve_private(request)
            case ["v5", "public", category] if category in CATEGORIES:
                return await self._streams.serve_public(request, category)
            case ["v5", "trade"]:
                return await self._entry.serve(request)
        return web.Response(status=404, text=f"no websocket at {path}")


def _reply(payload: dict[str, Any], headers: dict[str, str], status: int = 200) -> web.Response:
    return web.Response(body=_encode(payload), status=status, content_type="application/json", headers=headers)
