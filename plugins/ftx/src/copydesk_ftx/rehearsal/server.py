"""The listening server: REST below `/api`, the websocket at `/ws`, and the rehearsal's own control."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec
from aiohttp import web
from copydesk_paper.serving.frontend import Frontend
from copydesk_paper.serving.limits import Bucket, Limits
from copydesk_paper.serving.misbehaviour import Misbehaviour
from copydesk_paper.serving.signatures import Age, age, is_signature

from copydesk_ftx.rehearsal import rest_more
from copydesk_ftx.rehearsal.rest import Call, Page, Route, find
from copydesk_ftx.rehearsal.streams import Streams
from copydesk_ftx.rehearsal.venue import Account, Refusal, Venue

MORE = rest_more
"""It enters its paths into the table of `rest`."""
WINDOW_MS = 5_000
_encode = msgspec.json.Encoder().encode


class Server(Frontend):
    """Answers every request. More than `requests_per_second` of one key (without one: of one address) are refused."""

    def __init__(
        self,
        venue: Venue,
        streams: Streams,
        misbehaviour: Misbehaviour,
        now_ms: Callable[[], int],
        *,
        requests_per_second: int,
    ) -> None:
        super().__init__()
        self._venue = venue
        self._streams = streams
        self._misbehaviour = misbehaviour
        self._now_ms = now_ms
        self._limits: Limits[Bucket] = Limits(lambda: Bucket(requests_per_second, 1_000))

    def drop_all(self) -> None:
        self._streams.drop_all()

    async def websocket(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        if path.rstrip("/") != "/ws":
            return web.Response(status=404, text=f"no websocket at {path}")
        return await self._streams.serve(request)

    async def answer(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        try:
            result = await self._call(request, path, query, await request.text() if request.can_read_body else "")
        except Refusal as refusal:
            return _reply({"success": False, "error": str(refusal)}, refusal.status)
        if isinstance(result, Page):
            return _reply({"success": True, "result": list(result), "hasMoreData": result.more})
        return _reply({"success": True, "result": result})

    async def _call(self, request: web.BaseRequest, path: str, query: str, body: str) -> Any:
        if not self._limits[request.headers.get("FTX-KEY") or request.remote or ""].take(1, self._now_ms()):
            raise Refusal("Do not send more than 30 requests per second", 429)
        route, named = find(request.method, unquote(path))
        owner = self._authenticate(request, path, query, body) if route.private else None
        call = Call(self._venue, named, dict(parse_qsl(query)), _object(body), owner)
        if owner is not None and route.trades:
            return await self._misbehaviour.trade(owner.name, lambda: _act(route, call))
        return route.act(call)

    def _authenticate(self, request: web.BaseRequest, path: str, query: str, body: str) -> Account:
        headers = request.headers
        key, stamp, given = (headers.get(f"FTX-{name}", "") for name in ("KEY", "TS", "SIGN"))
        if not key or not given or not stamp.isdecimal():
            raise Refusal("Not logged in", 401)
        account = self._venue.find(key, unquote(headers.get("FTX-SUBACCOUNT", "")))
        now = self._now_ms() - self._misbehaviour.skew_ms(account.name)
        if age(int(stamp), now, window_ms=WINDOW_MS, ahead_ms=WINDOW_MS) is not Age.FINE:
            raise Refusal("Not logged in: Request too far in the past or the future", 401)
        target = f"{path}?{query}" if query else path
        if not is_signature(given, account.secret, f"{stamp}{request.method}{target}{body}"):
            raise Refusal("Not logged in: Invalid signature", 401)
        return account


def _act(route: Route, call: Call) -> Any:
    return route.act(call)


def _object(body: str) -> dict[str, Any]:
    if not body:
        return {}
    try:
        found = json.loads(body, parse_float=Decimal)
    except ValueError:
        raise Refusal("Invalid JSON") from None
    if not isinstance(found, dict):
        raise Refusal("Invalid JSON")
    return found


def _reply(payload: dict[str, Any], status: int = 200) -> web.Response:
    return web.Response(body=_encode(payload), status=status, content_type="application/json")
