"""Who may talk to the panel: one-time tokens, session cookies, Host and Origin checks, and the headers of every answer."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from typing import Literal

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

MAX_SESSIONS = 64
Role = Literal["trader", "viewer"]
TRADER: Role = "trader"
VIEWER: Role = "viewer"
LOOPBACK_NAMES = ("127.0.0.1", "localhost", "[::1]")
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-cache",
}


class Gate:
    """Hands out one-time tokens, turns each into a session, and checks every request.

    The cookie's name carries the port, because browsers share cookies between the ports of a host. Sessions are known by
    their hashes alone; `keep` is called with all of them whenever there is a new one, so that a restart knows them too.
    """

    def __init__(
        self,
        port: int,
        sessions: Mapping[str, Role] | None = None,
        keep: Callable[[dict[str, Role]], None] = lambda _: None,
    ) -> None:
        self.port = port
        self.cookie = f"copydesk-panel-{port}"
        self.origins = frozenset(f"http://{name}:{port}" for name in LOOPBACK_NAMES)
        self._hosts = frozenset(f"{name}:{port}" for name in LOOPBACK_NAMES)
        self._tokens: dict[str, Role] = {}
        self._sessions: dict[str, Role] = dict(sessions or {})
        self._keep = keep

    def new_token(self, role: Role = TRADER) -> str:
        """Make the next one-time token for a role; the one before it ceases to work."""
        self._tokens = {token: its_role for token, its_role in self._tokens.items() if its_role != role}
        token = secrets.token_urlsafe(24)
        self._tokens[token] = role
        return token

    def redeem(self, token: str) -> str | None:
        """The session that the token opens, or None where the token is not a present one. Works once per token."""
        role = next(
            (role for own, role in self._tokens.items() if secrets.compare_digest(token.encode(), own.encode())), None
        )
        if role is None:
            return None
        self._tokens = {own: its_role for own, its_role in self._tokens.items() if its_role != role}
        session = secrets.token_urlsafe(32)
        self._sessions[_hash(session)] = role
        while len(self._sessions) > MAX_SESSIONS:
            self._sessions.pop(next(iter(self._sessions)))
        self._keep(dict(self._sessions))
        return session

    def role(self, request: web.Request) -> Role | None:
        """What the request's session may do, or None where it has none."""
        return self.role_of(request.cookies.get(self.cookie, ""))

    def role_of(self, session: str) -> Role | None:
        return self._sessions.get(_hash(session))

    def refusal(self, request: web.Request) -> str:
        """Why a request is refused before anything looks at it, or an empty string.

        Host protects against DNS rebinding; Origin and Sec-Fetch-Site against other pages in the same browser. A websocket
        must say its Origin: no browser leaves it out, and CORS does not protect websockets.
        """
        if request.headers.get("Host", "") not in self._hosts:
            return f"this panel answers only under http://127.0.0.1:{self.port}"
        origin = request.headers.get("Origin")
        is_websocket = request.headers.get("Upgrade", "").lower() == "websocket"
        if origin is None:
            if is_websocket:
                return "a websocket has to say the page that it comes from"
        elif origin not in self.origins:
            return "this panel answers only its own pages"
        site = request.headers.get("Sec-Fetch-Site", "none")
        navigates = request.headers.get("Sec-Fetch-Mode") == "navigate" and request.method == "GET"
        if site not in ("none", "same-origin") and not navigates:
            return "this panel answers only its own pages"
        return ""


def _hash(session: str) -> str:
    return hashlib.sha256(session.encode()).hexdigest()


def guard(gate: Gate) -> Middleware:
    """The middleware that refuses what the gate refuses, and puts the security headers on every answer."""

    @web.middleware
    async def checked(request: web.Request, handler: Handler) -> web.StreamResponse:
        if reason := gate.refusal(request):
            refused = web.json_response({"error": reason}, status=403, headers=HEADERS)
            refused.force_close()  # a foreign page keeps no connection open
            return refused
        try:
            response = await handler(request)
        except web.HTTPException as problem:
            response = problem
            if problem.status >= 400:
                response = web.json_response({"error": problem.text or problem.reason}, status=problem.status)
        if not response.prepared:
            response.headers.update(HEADERS)
        return response

    return checked
