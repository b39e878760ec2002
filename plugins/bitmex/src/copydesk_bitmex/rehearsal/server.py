"""The listening server: REST below `/api/v1`, the websocket at `/realtime`, and the rehearsal's own control."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from aiohttp import web
from copydesk_paper.serving.frontend import Frontend
from copydesk_paper.serving.limits import Bucket, Limits
from copydesk_paper.serving.misbehaviour import Misbehaviour
from copydesk_paper.serving.signatures import is_signature

from copydesk_bitmex.rehearsal import rest_more
from copydesk_bitmex.rehearsal.asked import Refusal
from copydesk_bitmex.rehearsal.description import PATH, describe
from copydesk_bitmex.rehearsal.rest import ROUTES, Call
from copydesk_bitmex.rehearsal.streams import Streams
from copydesk_bitmex.rehearsal.venue import Account, Venue

MORE = rest_more
"""It enters its paths into the table of `rest`."""
ROOT = "/api/v1"
_encode = msgspec.json.Encoder().encode


class Overload(Refusal):
    """The system is overloaded: nothing was done."""

    def __init__(self) -> None:
        super().__init__("The system is currently overloaded. Please try again later.", 503, "HTTPError")


class Server(Frontend):
    """Answers every request. More than `requests_per_minute` of one account, and `orders_per_second`, are refused."""

    def __init__(
        self,
        venue: Venue,
        streams: Streams,
        misbehaviour: Misbehaviour,
        now_ms: Callable[[], int],
        *,
        requests_per_minute: int,
        orders_per_second: int,
    ) -> None:
        super().__init__()
        self._venue = venue
        self._streams = streams
        self._misbehaviour = misbehaviour
        self._now_ms = now_ms
        self._minutes: Limits[Bucket] = Limits(lambda: Bucket(requests_per_minute, 60_000))
        self._seconds: Limits[Bucket] = Limits(lambda: Bucket(orders_per_second, 1_000))

    def drop_all(self) -> None:
        self._streams.drop_all()

    async def websocket(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        if path.rstrip("/") not in ("/realtime", "/ws/realtime"):
            return web.Response(status=404, text=f"no websocket at {path}")
        account = None
        if "api-key" in request.headers:
            try:
                account = self._authenticate(request, "/realtime", "", "")
            except Refusal as refusal:
                return _error(refusal, {})
        return await self._streams.serve(request, dict(parse_qsl(query)), account)

    async def answer(self, request: web.BaseRequest, path: str, query: str) -> web.StreamResponse:
        headers: dict[str, str] = {}
        if path == PATH:
            return web.json_response(describe(request.host, ROUTES))
        try:
            body = await request.text() if request.can_read_body else ""
            payload = await self._call(request, path, query, body, headers)
        except Refusal as refusal:
            return _error(refusal, headers)
        return web.Response(body=_encode(payload), content_type="application/json", headers=headers)

    async def _call(self, request: web.BaseRequest, path: str, query: str, body: str, headers: dict[str, str]) -> Any:
        route = ROUTES.get((request.method, path.removeprefix(ROOT).rstrip("/"))) if path.startswith(ROOT) else None
        if route is None:
            raise Refusal("Not Found", 404, "HTTPError")
        signed = "api-key" in request.headers
        owner = self._authenticate(request, path, query, body) if route.private or signed else None
        self._count(owner.key if owner is not None else request.remote or "", headers, trades=route.trades)
        call = Call(self._venue, _parameters(query, body, request.content_type), owner)
        if owner is not None and route.trades:
            return await self._misbehaviour.trade(owner.name, lambda: route.act(call))
        return route.act(call)

    def _count(self, who: str, headers: dict[str, str], *, trades: bool) -> None:
        now = self._now_ms()
        minute = self._minutes[who]
        fine = minute.take(1, now)
        headers["x-ratelimit-limit"] = str(minute.limit)
        headers["x-ratelimit-remaining"] = str(minute.remaining(now))
        headers["x-ratelimit-reset"] = str(now // 1000 + 1)
        if trades:
            second = self._seconds[who]
            fine = second.take(1, now) and fine
            headers["x-ratelimit-remaining-1s"] = str(second.remaining(now))
        if not fine:
            raise Refusal("Rate limit exceeded, retry in 1 seconds.", 429, "RateLimitError")

    def _authenticate(self, request: web.BaseRequest, path: str, query: str, body: str) -> Account:
        headers = request.headers
        key, given = headers.get("api-key", ""), headers.get("api-signature", "")
        expires = headers.get("api-expires", "") or headers.get("api-nonce", "")
        if not key:
            raise Refusal("Authorization Required", 401, "HTTPError")
        account = self._venue.by_key(key)
        if account is None:
            raise Refusal("Invalid API Key.", 401, "HTTPError")
        now_s = (self._now_ms() - self._misbehaviour.skew_ms(account.name)) / 1000
        if "api-expires" in headers and (not expires.isdecimal() or int(expires) < now_s):
            raise Refusal(
                f"This request has expired - `expires` is in the past. Current time: {int(now_s)}", 401, "HTTPError"
            )
        target = f"{path}?{query}" if query else path
        if not is_signature(given, account.secret, f"{request.method}{target}{expires}{body}"):
            raise Refusal("Signature not valid.", 401, "HTTPError")
        return account


def _parameters(query: str, body: str, content_type: str) -> dict[str, Any]:
    given: dict[str, Any] = dict(parse_qsl(query))
    if not body:
        return given
    if content_type == "application/x-www-form-urlencoded":
        return given | dict(parse_qsl(body))
    try:
        found = json.loads(body, parse_float=Decimal)
    except ValueError:
        raise Refusal("Invalid JSON") from None
    if not isinstance(found, dict):
        raise Refusal("Invalid JSON")
    return given | found


def _error(refusal: Refusal, headers: dict[str, str]) -> web.Response:
    if refusal.status == 429:
        headers = {**headers, "Retry-After": "1"}
    payload = {"error": {"message": str(refusal), "name": refusal.name}}
    return web.Response(body=_encode(payload), status=refusal.status, content_type="application/json", headers=headers)
