"""What all accounts at one address of Binance share, and how ccxt is led to another address than the venue's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from copydesk.model import Instrument
from copydesk_ccxt import venue

from copydesk_binance import translate
from copydesk_binance.errors import Reply, raise_for, read_answer

_REST_PATHS = {
    "fapiPublic": "/fapi/v1",
    "fapiPublicV2": "/fapi/v2",
    "fapiPublicV3": "/fapi/v3",
    "fapiPrivate": "/fapi/v1",
    "fapiPrivateV2": "/fapi/v2",
    "fapiPrivateV3": "/fapi/v3",
    "fapiData": "/futures/data",
}


class Venue(venue.Venue):
    """USD-M futures."""

    exchange = "binanceusdm"
    kind = "binance-futures"
    host = "fapi.binance.com"
    options = {"fetchCurrencies": False, "fetchMargins": False}

    def point(self, url: str, ws_url: str) -> None:
        """ccxt rewrites the websocket's path itself, if it ends in `/ws`."""
        if url:
            for name, path in _REST_PATHS.items():
                self.client.urls["api"][name] = url + path
        self.client.urls["api"]["ws"]["linear"] = ws_url if ws_url.endswith("/ws") else f"{ws_url}/ws"

    async def read_clock(self) -> int:
        return translate.server_time((await self.ask("time")).body)

    def read_instrument(self, info: Any) -> Instrument:
        return translate.instrument(info)

    async def list_instruments(self) -> Iterable[Any]:
        body = (await self.ask("exchangeInfo")).body
        return translate.rows(body.get("symbols") if isinstance(body, dict) else None, "symbols")

    async def ask(self, path: str, params: dict[str, str] | None = None) -> Reply:
        """A public read. Raises `NotReady`, `RateLimited` or `Refused`."""
        reply = read_answer(await self.send(self.client.sign(path, ["fapiPublic"], "GET", params or {})))
        if not reply.is_fine:
            raise_for(reply, f"GET {path}", self.now_ms())
        return reply
