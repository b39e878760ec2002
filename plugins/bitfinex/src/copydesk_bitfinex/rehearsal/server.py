"""The listening server: REST below `/v2`, the websocket at `/ws/2`, and the rehearsal's own control."""

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
from copydesk_paper.serving.signatures import Nonces, is_signature

from copydesk_bitfinex.rehearsal import rest_more
from copydesk_bitfinex.rehearsal.asked import PARAMETERS, Body, Refusal
from copydesk_bitfinex.rehearsal.rest import Call, Route, find
from copydesk_bitfinex.rehearsal.streams import Streams
from copydesk_bitfinex.rehearsal.venue import Account, Venue

MORE = rest_more
"""It enters its paths into the table of `rest`."""
DIGEST = "sha384"
MOST_NONCE = 9_007_199_254_740_991
_encode = msgspec.json.Encoder().encode


class Server(Frontend):
    """Answers every request. More than `requests_per_minute` of one kind and key (or address) are refused."""

    def __init__(
        self,
        venue: Venue,
        streams: Streams,
        misbehaviour: Misbehaviour,
        nonces: Nonces,
        now_ms: Callable[[], int],
        *,
        requests_per_minute: int,
    ) -> None:
        super().__init__()
        self._venue = venue
        self._streams = streams
        self._misbehaviour = misbehaviour
        self._nonces = nonces
        self._now_ms = now_ms
        self._limits: Limits[Bucket] = Limits(lambda: Bucket(requests_per_minute, 60_000))

    def drop_all(self) -> None:
        self._streams.drop_all()

    async def websocket(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        if path.rstrip("/") not in ("/ws/2", "/ws"):
            return web.Response(status=404, text=f"no websocket at {path}")
        return await self._streams.serve(request)

    async def answer(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        try:
            result = await self._call(request, path, query, await request.text() if request.can_read_body else "")
        except Refusal as refusal:
            return _reply(["error", refusal.code, str(refusal)], refusal.status)
        return _reply(result)

    async def _call(self, request: web.BaseRequest, path: str, query: str, body: str) -> Any:
        route, named = find(request.method, unquote(path))
        who = request.headers.get("bfx-apikey") or request.remote or ""
        if not self._limits[f"{who} {route.name}"].take(1, self._now_ms()):
            raise Refusal("ratelimit: error", 11010, 429)
        owner = self._authenticate(request, path, query, body) if route.private else None
        call = Call(self._venue, named, dict(parse_qsl(query)), _object(body) if request.method == "POST" else {}, owner)
        if owner is not None and route.trades:
            return await self._misbehaviour.trade(owner.name, lambda: _act(route, call))
        return route.act(call)

    def _authenticate(self, request: web.BaseRequest, path: str, query: str, body: str) -> Account:
        """The signature is of `/api/v2/...`, nonce and body; the query is no part of it."""
        headers = request.headers
        key, nonce, given = (headers.get(f"bfx-{name}", "") for name in ("apikey", "nonce", "signature"))
        if not key or not given or not nonce.isdecimal() or int(nonce) > MOST_NONCE:
            raise Refusal("apikey: invalid" if not key else "nonce: invalid" if given else "apikey: digest invalid", 10100)
        account = self._venue.find(key)
        if not is_signature(given, account.secret, f"/api{path}{nonce}{body}", DIGEST):
            raise Refusal("apikey: digest invalid", 10100)
        if not self._nonces.take(key, int(nonce)):
            raise Refusal("nonce: small", 10114)
        return account


def _act(route: Route, call: Call) -> Any:
    return route.act(call)


def _object(body: str) -> Body:
    if not body:
        return {}
    try:
        found = json.loads(body, parse_float=Decimal)
    except ValueError:
        raise Refusal("body: invalid", PARAMETERS) from None
    if not isinstance(found, dict):
        raise Refusal("body: invalid", PARAMETERS)
    return found


def _reply(payload: Any, status: int = 200) -> web.Response:
    return web.Response(body=_encode(payload), status=status, content_type="application/json")
