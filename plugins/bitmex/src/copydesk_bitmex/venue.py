"""What all accounts at one address share, and how a request is signed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
from copydesk.model import Instrument, NewOrder, OrderChange, OrderRef
from copydesk_wire import venue
from copydesk_wire.fields import number, rows
from copydesk_wire.shapes import EVERYDAY, EVERYDAY_REFS, CancelShapes, ChangeShapes, PlaceShapes
from copydesk_wire.templates import PLAIN_IN_JSON, Draft, Hash, Pen, keyed_hash

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
        written: dict[str, Any] = {"number": translate.written, "plain": PLAIN_IN_JSON}
        self.placing = PlaceShapes(self._draft_place, **written)
        self.changing = ChangeShapes(self._draft_change, **written)
        self.cancelling = CancelShapes(self._draft_cancel, **written)
        self.shapes = [self.placing, self.changing, self.cancelling]
        self.ws_url = ws_url if ws_url.endswith("/realtime") else f"{ws_url}/realtime"

    @classmethod
    async def open(cls, url: str, ws_url: str) -> Self:
        return cls(venue.http_session(), url, ws_url)

    def stamp(self, now_ms: int) -> int:
        """The second at which a request expires."""
        return now_ms // 1000 + EXPIRES_S

    # --- what is fired ---

    def learn_shapes(self) -> None:
        """Learn the everyday ones, soon."""
        self.placing.learn(EVERYDAY, None)
        self.cancelling.learn(EVERYDAY_REFS, None)
        changes = [OrderChange(ref=ref, terms=order.terms) for ref in EVERYDAY_REFS for order in EVERYDAY]
        self.changing.learn([one for one in changes if one.ref.type is one.terms.type], None)

    def _draft_place(self, order: NewOrder, _: None, pen: Pen) -> Draft:
        return self._draft("POST", translate.place_body(order.client_id, order.terms), pen)

    def _draft_change(self, change: OrderChange, _: None, pen: Pen) -> Draft:
        return self._draft("PUT", translate.amend_body(change), pen)

    def _draft_cancel(self, ref: OrderRef, _: None, pen: Pen) -> Draft:
        return self._draft("DELETE", translate.cancel_body(ref), pen)

    def _draft(self, method: str, body: str, pen: Pen) -> Draft:
        target = f"{ROOT}/order"
        signed = Signer(pen.key, pen.secret, pen.hash).headers(pen.stamp, method, target, body)
        return Draft(method, self.url + target, {"Content-Type": "application/json"} | signed, body)

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
            headers |= signer.headers(self.stamp(self.now_ms()), method, target, body)
        answer = await self.pool.request(method, self.url + target, headers=headers, body=body, deadline_s=REQUEST_S)
        return read_reply(answer)


class Signer:
    """Signs the requests of one account."""

    def __init__(self, key: str, secret: str, hash_: Hash | None = None) -> None:
        self.key = key
        self._secret = secret.encode()
        self._hash = hash_ or keyed_hash

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
        return self._hash(text.encode(), self._secret, "sha256")
