"""What all accounts at one address share, and how a request is signed."""

from __future__ import annotations

import hmac
from collections.abc import Iterable
from typing import Any, Self
from urllib.parse import quote

import aiohttp
from copydesk.model import Instrument
from copydesk_wire import venue
from copydesk_wire.errors import NoReply

from copydesk_ftx import translate
from copydesk_ftx.errors import Reply, raise_for, read_reply

REQUEST_S = 8.0
ROOT = "/api"


class Venue(venue.Venue):
    """FTX at one address."""

    kind = "ftx"
    host = "ftx.com"

    def __init__(self, http: aiohttp.ClientSession, url: str, ws_url: str) -> None:
        super().__init__(http, url)
        self.ws_url = ws_url if ws_url.endswith("/ws") else f"{ws_url}/ws"

    @classmethod
    async def open(cls, url: str, ws_url: str) -> Self:
        return cls(venue.http_session(), url, ws_url)

    async def read_clock(self) -> int:
        """FTX had no such path: its times stamps are this machine's, and it took what is five seconds off."""
        return self.now_ms() + self.offset_ms

    def read_instrument(self, info: Any) -> Instrument:
        return translate.instrument(info)

    async def list_instruments(self) -> Iterable[Any]:
        return translate.rows(await self.ask("/markets"), "markets")

    async def ask(self, path: str) -> Any:
        """The result of a public read. Raises `NotReady`, `RateLimited` or `Refused`."""
        reply = await self.send("GET", path)
        if not reply.is_fine:
            raise_for(reply, f"GET {path}")
        return reply.result

    async def send(self, method: str, path: str, *, signer: Signer | None = None, body: str = "") -> Reply:
        """Send a request, signed where there is a signer. Raises `NotSent` or `NoReply`."""
        headers = {"Content-Type": "application/json"} if body else {}
        if signer is not None:
            headers |= signer.headers(self.now_ms(), method, ROOT + path, body)
        url = f"{self.url}{ROOT}{path}"
        return read_reply(await self.pool.request(method, url, headers=headers, body=body, deadline_s=REQUEST_S))


class Signer:
    """Signs the requests of one account or subaccount."""

    def __init__(self, key: str, secret: str, subaccount: str) -> None:
        self.key = key
        self._secret = secret.encode()
        self._subaccount = subaccount

    def __repr__(self) -> str:
        return "Signer()"

    def headers(self, at_ms: int, method: str, target: str, body: str) -> dict[str, str]:
        """The headers of a request; `target` is path and query as they are sent."""
        headers = {"FTX-KEY": self.key, "FTX-TS": str(at_ms), "FTX-SIGN": self._sign(f"{at_ms}{method}{target}{body}")}
        return headers | ({"FTX-SUBACCOUNT": quote(self._subaccount, safe="")} if self._subaccount else {})

    def login(self, at_ms: int) -> dict[str, Any]:
        """The frame that logs a websocket in."""
        args = {"key": self.key, "sign": self._sign(f"{at_ms}websocket_login"), "time": at_ms}
        return {"op": "login", "args": args | ({"subaccount": self._subaccount} if self._subaccount else {})}

    def _sign(self, text: str) -> str:
        return hmac.new(self._secret, text.encode(), "sha256").hexdigest()


__all__ = ["REQUEST_S", "ROOT", "NoReply", "Signer", "Venue"]
