"""The listening server: one port for REST, streams, the websocket API and the rehearsal's own control."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs

import msgspec
from aiohttp import web
from copydesk_paper.serving.frontend import Frontend
from copydesk_paper.serving.misbehaviour import Cut, Misbehaviour

from copydesk_binance.rehearsal.account import Account
from copydesk_binance.rehearsal.codes import Refusal
from copydesk_binance.rehearsal.limits import RequestWeight
from copydesk_binance.rehearsal.parameters import Params
from copydesk_binance.rehearsal.rest import ROUTES, Call, Rest, Route, Security
from copydesk_binance.rehearsal.signing import check_form_of_key, check_signature, check_time
from copydesk_binance.rehearsal.streams import Streams
from copydesk_binance.rehearsal.websocket_api import WebsocketApi

API_PATH = "/ws-fapi/v1"
_encode = msgspec.json.Encoder().encode
_JSON = "application/json"
_ROOTS = frozenset({"public", "market", "private"})


class Server(Frontend):
    """Answers every request. The accounts in `cut_off` reach nothing: as if their cable were pulled."""

    def __init__(self, rest: Rest, weights: RequestWeight, misbehaviour: Misbehaviour, api: WebsocketApi) -> None:
        super().__init__()
        self._rest = rest
        self._streams: Streams = rest.streams
        self._weights = weights
        self._misbehaviour = misbehaviour
        self._api = api
        self.cut_off: set[str] = set()

    def drop_all(self) -> None:
        self._streams.drop_all()
        self._api.drop_all()

    async def close(self) -> None:
        await self._streams.close()
        self._api.drop_all()

    # --- REST ---

    async def answer(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        ip = request.remote or ""
        headers: dict[str, str] = {}
        try:
            route = ROUTES.get((request.method, path))
            if route is None:
                raise Refusal(-5000, path, request.method)
            body = (await request.text()) if request.can_read_body else ""
            status, payload = 200, await self._call(request, route, query, body, ip, headers)
        except Refusal as refusal:
            status, payload = refusal.status, refusal.payload()
            if refusal.retry_after_s:
                headers["Retry-After"] = str(refusal.retry_after_s)
        headers.setdefault("X-MBX-USED-WEIGHT-1M", str(self._weights.used(ip)))
        return web.Response(body=_encode(payload), status=status, content_type=_JSON, headers=headers)

    async def _call(
        self, request: web.BaseRequest, route: Route, query: str, body: str, ip: str, headers: dict[str, str]
    ) -> Any:
        params = Params.from_parts(query, body)
        self._weights.use(ip, route.weight(params))
        account = None
        if route.security is not Security.NONE:
            account = self._authenticate(request.headers.get("X-MBX-APIKEY", ""), route, params, query, body, ip)
        call = Call(params, account)
        if account is None:
            return route.act(self._rest, call)
        if route.orders is not None:
            try:
                account.orders.add(route.orders(params))
            finally:
                headers.update(account.orders.headers())
        if route.trades:
            return await self._misbehaviour.trade(account.name, lambda: route.act(self._rest, call))
        return route.act(self._rest, call)

    def _authenticate(self, key: str, route: Route, params: Params, query: str, body: str, ip: str) -> Account:
        account = self._rest.venue.by_key.get(key)
        if account is None:
            raise check_form_of_key(key, ip)
        if account.name in self.cut_off:
            raise Cut
        if route.security is Security.SIGNED:
            skew = self._misbehaviour.skew_ms(account.name)
            check_time(params.integer("timestamp"), params.integer("recvWindow"), self._rest.now_ms() - skew)
            check_signature(account.secret, query, body)
        return account

    # --- websockets ---

    async def websocket(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        if path == API_PATH:
            return await self._api.serve(request)
        segments = [segment for segment in path.split("/") if segment]
        if segments and segments[0] in _ROOTS:
            del segments[0]
        if not segments or segments[0] not in ("ws", "stream"):
            return web.Response(status=404, text=f"no websocket at {path}")
        asked = parse_qs(query)
        names = [*segments[1:], *asked.get("listenKey", ())]
        for listed in asked.get("streams", ()):
            names += [name for name in listed.split("/") if name]
        events = [name for listed in asked.get("events", ()) for name in listed.split("/")]
        return await self._streams.serve(request, names, combined=segments[0] == "stream", events=events)
