"""What all accounts at one address of Binance share, and how ccxt is led to another address than the venue's own."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import aiohttp
from copydesk.model import Instrument, NewOrder, OrderChange, OrderRef, OrderType, PositionSide
from copydesk_ccxt import venue
from copydesk_wire.shapes import EVERYDAY, EVERYDAY_REFS, CancelShapes, ChangeShapes, PlaceShapes
from copydesk_wire.templates import Draft, Pen
from msgspec.structs import replace

from copydesk_binance import account, fields, sending
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
        "sapi": "/sapi/v1",
    }

    def __init__(self, client: Any, http: aiohttp.ClientSession, url: str) -> None:
        super().__init__(client, http, url)
        self.placing = PlaceShapes(self._draft_place)
        self.changing = ChangeShapes(self._draft_change)
        self.cancelling = CancelShapes(self._draft_cancel)
        self.shapes = [self.placing, self.changing, self.cancelling]

    def learn_shapes(self, *, hedge_mode: bool) -> None:
        """Learn the everyday ones, soon."""
        sides = (PositionSide.LONG, PositionSide.SHORT) if hedge_mode else (PositionSide.NET,)
        for order in EVERYDAY:
            orders = [replace(order, terms=replace(order.terms, position_side=side)) for side in sides]
            self.placing.learn(orders, hedge_mode)
        for ref in EVERYDAY_REFS:
            self.cancelling.learn([ref], None)
            self.changing.learn(
                [OrderChange(ref=ref, terms=order.terms) for order in EVERYDAY if order.terms.type is OrderType.LIMIT], None
            )

    def _draft_place(self, order: NewOrder, hedge_mode: bool, pen: Pen) -> Draft:
        path, params = sending.place_params(order.client_id, order.terms, hedge_mode=hedge_mode)
        return self.draft("POST", path, ["fapiPrivate"], params, pen)

    def _draft_change(self, change: OrderChange, _: None, pen: Pen) -> Draft:
        return self.draft("PUT", "order", ["fapiPrivate"], sending.modify_params(change), pen)

    def _draft_cancel(self, ref: OrderRef, _: None, pen: Pen) -> Draft:
        path, params = sending.ref_params(ref)
        return self.draft("DELETE", path, ["fapiPrivate"], params, pen)

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
    paths = {"public": "/api/v3", "private": "/api/v3", "v1": "/api/v1", "sapi": "/sapi/v1"}

    def __init__(self, client: Any, http: aiohttp.ClientSession, url: str) -> None:
        super().__init__(client, http, url)
        self.placing = PlaceShapes(self._draft_place)
        self.changing = ChangeShapes(self._draft_change)
        self.cancelling = CancelShapes(self._draft_cancel)
        self.shapes = [self.placing, self.changing, self.cancelling]

    def learn_shapes(self) -> None:
        """Learn the everyday ones, soon."""
        self.placing.learn([order for order in EVERYDAY if not order.terms.reduce_only], None)
        self.cancelling.learn(EVERYDAY_REFS, None)
        for ref in EVERYDAY_REFS:
            self.changing.learn(
                [OrderChange(ref=ref, terms=order.terms) for order in EVERYDAY if order.terms.type is OrderType.LIMIT], None
            )

    def _draft_place(self, order: NewOrder, _: None, pen: Pen) -> Draft:
        return self.draft("POST", "order", ["private"], spot.place_params(order.client_id, order.terms), pen)

    def _draft_change(self, change: OrderChange, _: None, pen: Pen) -> Draft:
        return self.draft("PUT", "order/amend/keepPriority", ["private"], spot.amend_params(change), pen)

    def _draft_cancel(self, ref: OrderRef, _: None, pen: Pen) -> Draft:
        return self.draft("DELETE", "order", ["private"], spot.ref_params(ref), pen)

    def point_streams(self, ws_url: str) -> None:
        base = ws_url.removesuffix("/ws")
        self.client.urls["api"]["ws"]["spot"] = f"{base}/ws"
        self.client.urls["api"]["ws"]["ws-api"]["spot"] = f"{base}/ws-api/v3"

    def read_instrument(self, info: Any) -> Instrument:
        return spot.instrument(info)
