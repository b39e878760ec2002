"""The listening server: one port for REST, streams, the websocket API and the rehearsal's own control."""

from __future__ import annotations

from typing import Any, Generic, Protocol
from urllib.parse import parse_qs

import msgspec
from aiohttp import web
from copydesk_paper.serving.frontend import Frontend
from copydesk_paper.serving.misbehaviour import Cut

from copydesk_binance.rehearsal.codes import Refusal
from copydesk_binance.rehearsal.parameters import Params
from copydesk_binance.rehearsal.routing import Desk, Route, Security
from copydesk_binance.rehearsal.service import HolderType, Service
from copydesk_binance.rehearsal.streams import PublicStreams

_encode = msgspec.json.Encoder().encode
_JSON = "application/json"
_ROOTS = frozenset({"public", "market", "private"})


class Api(Protocol):
    """The websocket API."""

    path: str

    async def serve(self, request: web.BaseRequest) -> web.WebSocketResponse: ...
    def drop_all(self) -> None: ...


class Server(Frontend, Generic[Desk, HolderType]):
    """Answers every request. The accounts in `cut_off` reach nothing: as if their cable were pulled."""

    def __init__(self, service: Service[Desk, HolderType], streams: PublicStreams, api: Api) -> None:
        super().__init__()
        self._service = service
        self._streams = streams
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
        ip, service = request.remote or "", self._service
        headers: dict[str, str] = {}
        try:
            route = service.table.routes.get((request.method, path))
            if route is None:
                raise Refusal(-5000, path, request.method, status=404)
            body = (await request.text()) if request.can_read_body else ""
            status, payload = 200, await self._call(request, route, query, body, ip, headers)
        except Refusal as refusal:
            status, payload = refusal.status, refusal.payload(service.wording)
            if refusal.retry_after_s:
                headers["Retry-After"] = str(refusal.retry_after_s)
        headers.setdefault("X-MBX-USED-WEIGHT-1M", str(service.weights.used(ip)))
        return web.Response(body=_encode(payload), status=status, content_type=_JSON, headers=headers)

    async def _call(
        self,
        request: web.BaseRequest,
        route: Route[Desk, HolderType],
        query: str,
        body: str,
        ip: str,
        headers: dict[str, str],
    ) -> Any:
        service, params = self._service, Params.from_parts(query, body)
        service.weights.use(ip, route.weight(params))
        account = None
        if route.security is not Security.NONE:
            key = request.headers.get("X-MBX-APIKEY", "")
            account = service.authenticate(key, route.security, params, query, body, ip)
            if account.name in self.cut_off:
                raise Cut
            if route.orders is not None:
                try:
                    account.orders.add(route.orders(params))
                finally:
                    headers.update(account.orders.headers())
        return await service.act(route.act, params, account, trades=route.trades)

    # --- websockets ---

    async def websocket(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        if path == self._api.path:
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
