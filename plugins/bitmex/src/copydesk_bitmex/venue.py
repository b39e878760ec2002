"""What all accounts at one address share, and how a request is signed."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
from copydesk.model import Instrument
from copydesk_wire import venue
from copydesk_wire.fields import number, rows

from copydesk_bitmex import translate
from copydesk_bitmex.errors import Reply, raise_for, read_reply

REQUEST_S = 8.0
EXPIRES_S = 60
ROOT = "/api/v1"


class Venue(venue.Venue):
    """BitMEX at one address."""

    kind = "bitmex"
    host = "www.bitmex.com"

    def __init__(self, http: aiohttp.ClientSession, url: str, ws_url: str) -> None:
        super().__init__(http, url)
        self.ws_url = ws_url if ws_url.endswith("/realtime") else f"{ws_url}/realtime"

    @classmethod
    async def open(cls, url: str, ws_url: str) -> Self:
        return cls(venue.http_session(), url, ws_url)

    async def read_clock(self) -> int:
        reply = await self.send("GET", "")
        body = reply.body if isinstance(reply.body, dict) else {}
        return int(number(body.get("timestamp"), "timestamp"))

    def read_instrument(self, info: Any) -> Instrument:
        return translate.instrument(info)

    async def list_instruments(self) -> Iterable[Any]:
        """Futures alone: what cannot be traded through this connection is no reason for a warning."""
        listed = rows(await self.ask("/instrument/active"), "instruments")
        return [row for row in listed if row.get("typ") in translate.KINDS and row.get("isQuanto") is not True]

    async def ask(self, path: str, **query: str) -> Any:
        """The body of a public read. Raises `NotReady`, `RateLimited` or `Refused`."""
        reply = await self.send("GET", f"{path}?{urlencode(query)}" if query else path)
        if not reply.is_fine:
            raise_for(reply, f"GET {path}")
        return reply.body

    async def send(self, method: str, path: str, *, signer: Signer | None = None, body: str = "") -> Reply:
        """Send a request, signed where there is a signer. Raises `NotSent` or `NoReply`."""
        target = ROOT + path
        headers = {"Content-Type": "application/json"} if body else {}
        if signer is not None:
            headers |= signer.headers(self.now_ms() // 1000 + EXPIRES_S, method, target, body)
        answer = await self.pool.request(method, self.url + target, headers=headers, body=body, deadline_s=REQUEST_S)
        return read_reply(answer)


class Signer:
    """Signs the requests of one account."""

    def __init__(self, key: str, secret: str) -> None:
        self.key = key
        self._secret = secret.encode()

    def __repr__(self) -> str:
        return "Signer()"

    def headers(self, expires_s: int, method: str, target: str, body: str) -> dict[str, str]:
        """The headers of a request; `target` is path and query as they are sent."""
        signature = self._sign(f"{method}{target}{expires_s}{body}")
        return {"api-key": self.key, "api-expires": str(expires_s), "api-signature": signature}

    def login(self, expires_s: int) -> dict[str, Any]:
        """The frame that logs a websocket in."""
        return {"op": "authKeyExpires", "args": [self.key, expires_s, self._sign(f"GET/realtime{expires_s}")]}

    def _sign(self, text: str) -> str:
        return hmac.new(self._secret, text.encode(), "sha256").hexdigest()
