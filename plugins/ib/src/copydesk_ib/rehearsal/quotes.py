"""Market data as it happens: ticks, tick by tick, five-second bars, the book."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Final

from copydesk_paper.exchange import Exchange
from copydesk_paper.records import Quote, Report, Trade

from copydesk_ib.rehearsal.audience import Audience
from copydesk_ib.rehearsal.clients import Client
from copydesk_ib.rehearsal.codes import Refusal, invalid
from copydesk_ib.rehearsal.listings import Leg, Listing
from copydesk_ib.rehearsal.wire import double, integer, plain

Told = dict[str, Any]
LINES: Final = 100
"""How many contracts a login may watch at once."""
BID, BID_SIZE, ASK, ASK_SIZE, LAST, LAST_SIZE, HIGH, LOW, VOLUME, CLOSE, OPEN, LAST_TIME = (
    1, 0, 2, 3, 4, 5, 6, 7, 8, 9, 14, 45,
)  # fmt: skip
BY_TICK: Final = {"Last": 1, "AllLast": 2, "BidAsk": 3, "MidPoint": 4}


@dataclass(slots=True)
class _Watch:
    """What a client watches of one contract. `shown` is what it was told last, by tick type.

    `smart`: the book says whose its rows are. `legs` are those of a combination, whose first contract `listing` then is.
    """

    client: Client
    request: int
    listing: Listing
    shown: dict[int, str] = field(default_factory=dict)
    smart: bool = False
    legs: tuple[Leg, ...] = ()

    def concerns(self, symbol: str) -> bool:
        return symbol == self.listing.name or any(leg.listing.name == symbol for leg in self.legs)


class Quotes:
    """All subscriptions to what happens."""

    def __init__(
        self,
        exchange: Exchange,
        audience: Audience,
        find: Callable[[Told], Listing],
        find_legs: Callable[[Told], tuple[Leg, ...]],
        now_ms: Callable[[], int],
    ) -> None:
        self._exchange = exchange
        self._audience = audience
        self._find = find
        self._find_legs = find_legs
        self._now_ms = now_ms

    # --- ticks ------------------------------------------------------------------------------------------------------

    async def market_data(self, client: Client, told: Told) -> None:
        request = integer(told["reqId"])
        if ("ticks", request) in client.subscriptions:
            raise Refusal("duplicate-ticker")
        if sum(kind == "ticks" for kind, _ in client.subscriptions) >= LINES:
            raise Refusal("tickers")
        legs = self._find_legs(told) if told["secType"] == "BAG" else ()
        watch = _Watch(client, request, legs[0].listing if legs else self._find(told), legs=legs)
        client.send(
            "tickReqParams", reqId=request, minTick=plain(watch.listing.tick), bboExchange="9c0001", snapshotPermissions=3
        )
        client.send("marketDataType", reqId=request, type=1)
        if not legs:
            self._show_day(watch)
            self._show_last(watch)
        self._show_quote(watch)
        if told["snapshot"] == "1":
            client.send("tickSnapshotEnd", reqId=request)
        else:
            client.subscribe("ticks", request, watch)

    async def cancel_market_data(self, client: Client, told: Told) -> None:
        if client.subscriptions.pop(("ticks", integer(told["reqId"])), None) is None:
            raise Refusal("unknown-ticker", id=told["reqId"])

    async def market_data_type(self, client: Client, told: Told) -> None:
        """Live data is there always, whatever else would do too."""

    def _show_day(self, watch: _Watch) -> None:
        bars = self._exchange.candles(watch.listing.name, "1d", 2)
        if not bars:
            return
        self._price(watch, HIGH, bars[-1].high)
        self._price(watch, LOW, bars[-1].low)
        self._size(watch, VOLUME, bars[-1].volume)
        self._price(watch, CLOSE, bars[0].close if len(bars) > 1 else bars[-1].open)
        self._price(watch, OPEN, bars[-1].open)

    def _show_quote(self, watch: _Watch) -> None:
        if watch.legs:
            self._show_net(watch)
            return
        quote = self._exchange.quote(watch.listing.name)
        self._price(watch, BID, quote.bid, BID_SIZE, quote.bid_quantity)
        self._price(watch, ASK, quote.ask, ASK_SIZE, quote.ask_quantity)

    def _show_net(self, watch: _Watch) -> None:
        """What a combination can be sold and bought for, leg by leg; nothing while a leg has no price."""
        quotes = [self._exchange.quote(leg.listing.name) for leg in watch.legs]
        if not all(quote.bid and quote.ask for quote in quotes):
            return
        bid = ask = Decimal(0)
        for leg, quote in zip(watch.legs, quotes, strict=True):
            bid += leg.ratio * (quote.bid if leg.sign > 0 else -quote.ask)
            ask += leg.ratio * (quote.ask if leg.sign > 0 else -quote.bid)
        size = min(
            min(quote.bid_quantity, quote.ask_quantity) // leg.ratio for leg, quote in zip(watch.legs, quotes, strict=True)
        )
        self._price(watch, BID, bid, BID_SIZE, size)
        self._price(watch, ASK, ask, ASK_SIZE, size)

    def _show_last(self, watch: _Watch) -> None:
        trades = self._exchange.trades(watch.listing.name, 1)
        last = self._exchange.last_price(watch.listing.name)
        if watch.listing.sec_type == "CASH" or not last:
            return
        size = trades[-1].quantity if trades else Decimal(0)
        self._price(watch, LAST, last, LAST_SIZE, size)
        seconds = str((trades[-1].time_ms if trades else self._now_ms()) // 1000)
        if watch.shown.get(LAST_TIME) != seconds:
            watch.shown[LAST_TIME] = seconds
            watch.client.send("tickString", reqId=watch.request, type=LAST_TIME, value=seconds)

    def _price(
        self, watch: _Watch, kind: int, price: Decimal, size_kind: int | None = None, size: Decimal | None = None
    ) -> None:
        told, told_size = double(price), plain(size) if size is not None else ""
        if watch.shown.get(kind) != told and (price or watch.legs):
            watch.shown[kind] = told
            mask = 1 if kind in (BID, ASK) else 0
            watch.client.send("tickPrice", reqId=watch.request, type=kind, price=told, size=told_size, mask=mask)
        if size_kind is not None and size is not None:
            self._size(watch, size_kind, size)

    @staticmethod
    def _size(watch: _Watch, kind: int, size: Decimal) -> None:
        told = plain(size)
        if watch.shown.get(kind) != told:
            watch.shown[kind] = told
            watch.client.send("tickSize", reqId=watch.request, type=kind, size=told)

    # --- tick by tick -----------------------------------------------------------------------------------------------

    async def tick_by_tick(self, client: Client, told: Told) -> None:
        if told["type"] not in BY_TICK:
            raise invalid(f"Invalid tick type: {told['type']}")
        request = integer(told["reqId"])
        client.subscribe(f"by-tick-{told['type']}", request, _Watch(client, request, self._find(told)))

    async def cancel_tick_by_tick(self, client: Client, told: Told) -> None:
        request = integer(told["reqId"])
        for kind in BY_TICK:
            client.subscriptions.pop((f"by-tick-{kind}", request), None)

    def _by_tick(self, kind: str, watch: _Watch, report: Trade | Quote) -> None:
        told: Told = {"reqId": watch.request, "type": BY_TICK[kind], "time": report.time_ms // 1000}
        if isinstance(report, Trade) and kind in ("Last", "AllLast"):
            told |= {"price": double(report.price), "size": report.quantity, "exchange": watch.listing.venue}
            watch.client.send("tickByTickLast", **told)
        elif isinstance(report, Quote) and kind == "BidAsk":
            told |= {"bid": double(report.bid), "ask": double(report.ask)}
            told |= {"bidSize": report.bid_quantity, "askSize": report.ask_quantity}
            watch.client.send("tickByTickBidAsk", **told)
        elif isinstance(report, Quote) and kind == "MidPoint":
            watch.client.send("tickByTickMiddle", **told, middle=double((report.bid + report.ask) / 2))

    # --- the book ---------------------------------------------------------------------------------------------------

    async def market_depth(self, client: Client, told: Told) -> None:
        request, rows = integer(told["reqId"]), min(max(1, integer(told["rows"])), 20)
        watch = _Watch(client, request, self._find(told))
        watch.smart = told["smart"] == "1"
        client.subscribe(f"depth-{rows}", request, watch)
        self._show_depth(watch, rows)

    async def cancel_market_depth(self, client: Client, told: Told) -> None:
        request = integer(told["reqId"])
        for key in [key for key in client.subscriptions if key[0].startswith("depth-") and key[1] == request]:
            del client.subscriptions[key]

    def _show_depth(self, watch: _Watch, rows: int) -> None:
        """Rows that changed; operation 0 inserts, 1 updates, 2 deletes. Side 1 is the bid."""
        for side, levels in zip((1, 0), self._exchange.depth(watch.listing.name, rows), strict=True):
            for row in range(rows):
                key = 1000 + side * 100 + row
                before = watch.shown.get(key, "")
                now = f"{double(levels[row][0])} {plain(levels[row][1])}" if row < len(levels) else ""
                if now == before:
                    continue
                watch.shown[key] = now
                price, size = (now or before).split()
                operation = 2 if not now else 1 if before else 0
                told: Told = {"reqId": watch.request, "position": row, "operation": operation, "side": side}
                told |= {"price": price, "size": size if now else "0"}
                if watch.smart:
                    watch.client.send("marketDepthL2", **told, maker=watch.listing.venue)
                else:
                    watch.client.send("marketDepth", **told)

    # --- what happens -----------------------------------------------------------------------------------------------

    def on_report(self, report: Report) -> None:
        if not isinstance(report, Trade | Quote) or self._audience.deaf:
            return
        for kind, watch in self._watching(report.symbol):
            if kind == "ticks":
                if isinstance(report, Quote):
                    self._show_quote(watch)
                elif not watch.legs:
                    self._show_trade(watch)
            elif kind.startswith("depth-"):
                self._show_depth(watch, int(kind.removeprefix("depth-")))
            else:
                self._by_tick(kind.removeprefix("by-tick-"), watch, report)

    def _show_trade(self, watch: _Watch) -> None:
        self._show_last(watch)
        bars = self._exchange.candles(watch.listing.name, "1d", 1)
        if bars:
            self._size(watch, VOLUME, bars[-1].volume)

    def _watching(self, symbol: str) -> Iterator[tuple[str, _Watch]]:
        for client in self._audience.everybody():
            for (kind, _), watch in tuple(client.subscriptions.items()):
                if isinstance(watch, _Watch) and watch.concerns(symbol):
                    yield kind, watch

    def drop_subscriptions(self) -> None:
        """What 1101 means: whoever wants market data has to ask for it anew."""
        for client in self._audience.everybody():
            kept = {key: watch for key, watch in client.subscriptions.items() if not isinstance(watch, _Watch)}
            client.subscriptions = kept
