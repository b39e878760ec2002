"""What all accounts at one address share, and how a request is signed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self
from urllib.parse import quote

import aiohttp
from copydesk.model import Instrument, NewOrder, OrderRef
from copydesk_wire import venue
from copydesk_wire.errors import NoReply
from copydesk_wire.shapes import EVERYDAY, EVERYDAY_REFS, CancelShapes, PlaceShapes
from copydesk_wire.templates import PLAIN_IN_JSON, Draft, Hash, Pen, keyed_hash

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
        self.placing = PlaceShapes(self._draft_place, number=translate.text_of, plain=PLAIN_IN_JSON)
        self.cancelling = CancelShapes(self._draft_cancel)
        self.shapes = [self.placing, self.cancelling]
        self.ws_url = ws_url if ws_url.endswith("/ws") else f"{ws_url}/ws"

    @classmethod
    async def open(cls, url: str, ws_url: str) -> Self:
        return cls(venue.http_session(), url, ws_url)

    def learn_shapes(self, subaccount: str) -> None:
        """Learn the everyday ones, soon."""
        self.placing.learn([order for order in EVERYDAY if not order.terms.type.is_conditional], subaccount)
        self.cancelling.learn([ref for ref in EVERYDAY_REFS if not ref.type.is_conditional], subaccount)

    def _draft_place(self, order: NewOrder, subaccount: str, pen: Pen) -> Draft:
        path, body = translate.place_body(order.client_id, order.terms)
        return self._draft("POST", path, body, subaccount, pen)

    def _draft_cancel(self, ref: OrderRef, subaccount: str, pen: Pen) -> Draft:
        return self._draft("DELETE", translate.order_path(ref), "", subaccount, pen)

    def _draft(self, method: str, path: str, body: str, subaccount: str, pen: Pen) -> Draft:
        headers = {"Content-Type": "application/json"} if body else {}
        headers |= Signer(pen.key, pen.secret, subaccount, pen.hash).headers(pen.stamp, method, ROOT + path, body)
        return Draft(method, f"{self.url}{ROOT}{path}", headers, body)

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

    def __init__(self, key: str, secret: str, subaccount: str, hash_: Hash | None = None) -> None:
        self.key = key
        self.subaccount = subaccount
        self._secret = secret.encode()
        self._hash = hash_ or keyed_hash

    def __repr__(self) -> str:
        return "Signer()"

    def headers(self, at_ms: int, method: str, target: str, body: str) -> dict[str, str]:
        """The headers of a request; `target` is path and query as they are sent."""
        headers = {"FTX-KEY": self.key, "FTX-TS": str(at_ms), "FTX-SIGN": self._sign(f"{at_ms}{method}{target}{body}")}
        return headers | ({"FTX-SUBACCOUNT": quote(self.subaccount, safe="")} if self.subaccount else {})

    def login(self, at_ms: int) -> dict[str, Any]:
        """The frame that logs a websocket in."""
        args = {"key": self.key, "sign": self._sign(f"{at_ms}websocket_login"), "time": at_ms}
        return {"op": "login", "args": args | ({"subaccount": self.subaccount} if self.subaccount else {})}

    def _sign(self, text: str) -> str:
        return self._hash(text.encode(), self._secret, "sha256")


__all__ = ["REQUEST_S", "ROOT", "NoReply", "Signer", "Venue"]
