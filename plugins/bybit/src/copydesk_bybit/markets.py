"""What all accounts at one address of Bybit share, and how ccxt is led to another address than the venue's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import aiohttp
from copydesk.errors import NotReady
from copydesk.model import Instrument, NewOrder, OrderChange, OrderRef, Terms
from copydesk_ccxt import venue
from copydesk_wire import fields
from copydesk_wire.errors import NoReply, Unreadable
from copydesk_wire.shapes import EVERYDAY, EVERYDAY_REFS, CancelShapes, ChangeShapes, PlaceShapes, Symbols
from copydesk_wire.templates import Draft, Pen
from msgspec.structs import replace

from copydesk_bybit import listing, sending, translate
from copydesk_bybit.errors import Reply, raise_for, read_answer
from copydesk_bybit.symbols import CATEGORIES, INVERSE, LINEAR, SPOT, SPOT_MARK, category_of, name_of

_LINEAR, _INVERSE = ("LinearPerpetual", "LinearFutures"), ("InversePerpetual", "InverseFutures")
PAGE = "1000"
EVERYDAY_SYMBOL = "EVERYDAYUSDT"
_EXAMPLES = {LINEAR: "USDT", INVERSE: "USD", SPOT: f"USDT{SPOT_MARK}"}
SYMBOLS = Symbols(name=name_of, kind=category_of, make=lambda category, root: f"{root}{_EXAMPLES[str(category)]}")
"""How symbols are written: the category goes beside the name."""


class Venue(venue.Venue):
    """Linear, inverse and spot at one address. `ready_at` tells for a session when its account may ask again."""

    exchange = "bybit"
    kind = "bybit"
    host = "api.bybit.com"
    options = {
        "fetchCurrencies": False,
        "fetchMarkets": {"types": ["spot", "linear", "inverse"]},
        "enableUnifiedMargin": False,
        "enableUnifiedAccount": True,
        "unifiedMarginStatus": 6,
    }

    def __init__(self, client: Any, http: aiohttp.ClientSession, url: str) -> None:
        super().__init__(client, http, url)
        self.placing = PlaceShapes(self._draft_place, symbols=SYMBOLS)
        self.changing = ChangeShapes(self._draft_change, symbols=SYMBOLS)
        self.cancelling = CancelShapes(self._draft_cancel, symbols=SYMBOLS)
        self.shapes = [self.placing, self.changing, self.cancelling]

    def learn_shapes(self) -> None:
        """Learn the everyday ones of linear contracts, soon."""
        self.placing.learn([replace(order, terms=_linear(order.terms)) for order in EVERYDAY], None)
        refs = [replace(ref, symbol=EVERYDAY_SYMBOL) for ref in EVERYDAY_REFS]
        self.cancelling.learn(refs, None)
        changes = [OrderChange(ref=ref, terms=_linear(order.terms)) for ref in refs for order in EVERYDAY]
        self.changing.learn([one for one in changes if one.ref.type is one.terms.type], None)

    def _draft_place(self, order: NewOrder, _: None, pen: Pen) -> Draft:
        return self.draft("POST", "v5/order/create", ["private"], sending.place_params(order), pen)

    def _draft_change(self, change: OrderChange, _: None, pen: Pen) -> Draft:
        return self.draft("POST", "v5/order/amend", ["private"], sending.modify_params(change), pen)

    def _draft_cancel(self, ref: OrderRef, _: None, pen: Pen) -> Draft:
        return self.draft("POST", "v5/order/cancel", ["private"], sending.ref_params(ref), pen)

    def point(self, url: str, ws_url: str) -> None:
        urls = self.client.urls["api"]
        if url:
            for name in ("public", "private", "spot", "futures", "v2"):
                urls[name] = url
        for category in CATEGORIES:
            urls["ws"]["public"][category] = f"{ws_url}/v5/public/{category}"
        urls["ws"]["private"]["contract"] = f"{ws_url}/v5/private"
        urls["ws"]["private"]["trade"] = f"{ws_url}/v5/trade"

    async def read_clock(self) -> int:
        return listing.server_time((await self.ask("time")).body)

    def read_instrument(self, info: Any) -> Instrument:
        return listing.instrument(info, category_of_row(info))

    async def list_instruments(self) -> Iterable[Any]:
        found: list[Any] = []
        for category in CATEGORIES:
            cursor = ""
            while True:
                params = {"category": category, "limit": PAGE} | ({"cursor": cursor} if cursor else {})
                body = (await self.ask("instruments-info", params)).body
                found += translate.rows_of(body, "instruments")
                cursor = translate.cursor_of(body)
                if not cursor:
                    break
        return found

    def stream_url(self, *path: str) -> str:
        """The address of a websocket, as ccxt has it: `private`, `contract`, or `public` and a category."""
        where = self.client.urls["api"]["ws"]
        for step in path:
            where = where[step]
        return str(self.client.implode_hostname(where))

    async def ask(self, name: str, params: dict[str, str] | None = None) -> Reply:
        """A public read of `v5/market/NAME`. Raises `NotReady`, `RateLimited` or `Refused`."""
        path = f"v5/market/{name}"
        try:
            reply = read_answer(await self.send(self.client.sign(path, ["public"], "GET", params or {})))
        except NoReply as error:
            raise NotReady(str(error)) from None
        if not reply.is_fine:
            raise_for(reply, f"GET {path}", self.now_ms())
        return reply


def category_of_row(info: Any) -> str:
    """Which product a row of instruments-info is of: only the contracts say it."""
    kind = fields.text_or(fields.object_(info, "an instrument"), "contractType")
    if kind in _LINEAR:
        return LINEAR
    if kind in _INVERSE:
        return INVERSE
    if kind:
        raise Unreadable(f"the venue lists a {kind!r}, which is neither linear nor inverse nor spot")
    return SPOT


def _linear(terms: Terms) -> Terms:
    return replace(terms, symbol=EVERYDAY_SYMBOL)
