"""The gate in front of every request: whose name was called, from which page, with which token.

A server on loopback can still be reached by any web page that the person has open. Three checks keep pages out: the `Host`
must be this machine's own (else a name that an attacker points at 127.0.0.1 would do: DNS rebinding), an `Origin` must be
the API's own, and the token must be known. They hold for requests and for the websocket's handshake alike.
"""

from __future__ import annotations

import hmac
import ipaddress
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from copydesk.model import to_json
from copydesk.view import Failure

BEARER_PROTOCOL = "bearer."
"""A browser cannot send headers with a websocket: there the token comes as the subprotocol `bearer.TOKEN`."""

OPEN_PATHS = frozenset({"/api/v1/health"})

SECURITY_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}


def failure(status: int, sentence: str, **headers: str) -> Response:
    """A refusal in the API's one form, `{"error": sentence}`."""
    return Response(to_json(Failure(error=sentence)), status, headers, "application/json")


class Gate:
    """ASGI middleware: refuses what must not come in, and puts the security headers on all that goes out.

    `host` is the configured address to listen on. `max_body` bounds a request's body in bytes.
    """

    def __init__(self, app: ASGIApp, *, token: str, host: str, max_body: int = 1 << 20) -> None:
        if not token:
            raise ValueError("the control API needs a token")
        self._app = app
        self._token = token.encode()
        self._host = host.strip("[]").lower()
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return

        async def send_guarded(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                MutableHeaders(scope=message).update(SECURITY_HEADERS)
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send_guarded)
        else:
            await self._app(scope, receive, send_guarded)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not self._is_own(host):
            return failure(
                403, f"the Host header says {host!r}, which is not this machine: call the control API by its own address"
            )
        origin = headers.get("origin")
        if origin is not None and origin.lower() != f"http://{host}".lower():
            return failure(403, f"a page of {origin!r} may not call the control API: only its own origin may, or none")
        if scope["path"] not in OPEN_PATHS and not self._knows(scope, headers):
            return failure(
                401,
                "the token is missing or wrong: send `Authorization: Bearer TOKEN` with the token of control.json",
                **{"www-authenticate": "Bearer"},
            )
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > self._max_body:
            return failure(413, f"the body is too large: at most {self._max_body} bytes are read")
        if "transfer-encoding" in headers:
            return failure(411, "the body must say its length: send Content-Length instead of chunks")
        return None

    def _is_own(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in ("localhost", self._host):
            return bool(name)
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # Rebinding needs a name to rebind: where the API listens everywhere, any plain address is as good as another.
        return address.is_loopback or self._host in ("0.0.0.0", "::")  # noqa: S104

    def _knows(self, scope: Scope, headers: Headers) -> bool:
        scheme, _, given = headers.get("authorization", "").partition(" ")
        offered = [given.strip()] if scheme.lower() == "bearer" else []
        if scope["type"] == "websocket":
            protocols = scope.get("subprotocols", [])
            offered += [
                protocol.removeprefix(BEARER_PROTOCOL) for protocol in protocols if protocol.startswith(BEARER_PROTOCOL)
            ]
        return any(hmac.compare_digest(one.encode(), self._token) for one in offered)
