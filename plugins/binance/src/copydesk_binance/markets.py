"""What all accounts at one address of Binance share, and how ccxt is led to another address than the venue's own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from copydesk.model import Instrument
from copydesk_ccxt import venue

from copydesk_binance import account, fields
from copydesk_binance.errors import Reply, raise_for, read_answer
from copydesk_binance.spot import translate as spot


class BinanceVenue(venue.Venue):
    """One of Binance's services. `public_api` names the part of ccxt's table that public reads belong to."""

    public_api: ClassVar[str]
    paths: ClassVar[Mapping[str, str]]
    """The paths below the address of a rehearsal, by ccxt's names."""

    def point(self, url: str, ws_url: str) -> None:
        if url:
            for name, path in self.paths.items():
                self.client.urls["api"][name] = url + path
        self.point_streams(ws_url)

    @abstractmethod
    def point_streams(self, ws_url: str) -> None:
        """Put the websocket's address into the client."""

    async def read_clock(self) -> int:
        return fields.server_time((await self.ask("time")).body)

    async def list_instruments(self) -> Iterable[Any]:
        body = (await self.ask("exchangeInfo")).body
        return fields.rows(body.get("symbols") if isinstance(body, dict) else None, "symbols")

    async def ask(self, path: str, params: dict[str, str] | None = None) -> Reply:
        """A public read. Raises `NotReady`, `RateLimited` or `Refused`."""
        reply = read_answer(await self.send(self.client.sign(path, [self.public_api], "GET", params or {})))
        if not reply.is_fine:
            raise_for(reply, f"GET {path}", self.now_ms())
        return reply


class Venue(BinanceVenue):
    """USD-M futures."""

    exchange = "binanceusdm"
    kind = "binance-futures"
    host = "fapi.binance.com"
    options = {"fetchCurrencies": False, "fetchMargins": False}
    public_api = "fapiPublic"
    paths = {
        "fapiPublic": "/fapi/v1",
        "fapiPublicV2": "/fapi/v2",
        "fapiPublicV3": "/fapi/v3",
        "fapiPrivate": "/fapi/v1",
        "fapiPrivateV2": "/fapi/v2",
        "fapiPrivateV3": "/fapi/v3",
        "fapiData": "/futures/data",
    }

    def point_streams(self, ws_url: str) -> None:
        """ccxt rewrites the websocket's path itself, if it ends in `/ws`."""
        self.client.urls["api"]["ws"]["linear"] = ws_url if ws_url.endswith("/ws") else f"{ws_url}/ws"

    def read_instrument(self, info: Any) -> Instrument:
        return account.instrument(info)


class SpotVenue(BinanceVenue):
    """Spot."""

    exchange = "binance"
    kind = "binance"
    host = "api.binance.com"
    options = {"fetchCurrencies": False, "fetchMargins": False, "fetchMarkets": {"types": ["spot"]}}
    public_api = "public"
    paths = {"public": "/api/v3", "private": "/api/v3", "v1": "/api/v1"}

    def point_streams(self, ws_url: str) -> None:
        base = ws_url.removesuffix("/ws")
        self.client.urls["api"]["ws"]["spot"] = f"{base}/ws"
        self.client.urls["api"]["ws"]["ws-api"]["spot"] = f"{base}/ws-api/v3"

    def read_instrument(self, info: Any) -> Instrument:
        return spot.instrument(info)
