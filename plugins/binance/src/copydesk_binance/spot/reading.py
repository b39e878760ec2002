"""Reads the truth of one spot account.

`time_ms` is the venue's time before the first request: each part is at least as new as that. Where the private stream tells
of anything while parts are read, all is read once more, so that in quiet times the parts fit together exactly.

Weights: account 20, openOrders 80 for all pairs or 6 for one, ticker/price 4; for the history of a pair myTrades and
allOrders 20 each. History is asked for per pair only, there is no list of the pairs that were traded: asked for are those
that the request names, those that the stream told of or that have orders, and those of assets whose quantity is
not what it was known to be: of these the executions first, and the orders only where there are any.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from copydesk.model import ZERO, Fill, Order, OrderRef, Scope, Snapshot, SnapshotRequest
from msgspec.structs import replace

from copydesk_binance import fields
from copydesk_binance.fields import Params
from copydesk_binance.reading import CLOCK_MARGIN_MS, OLDEST_MS, PAGE, SHORT_PAGE, together
from copydesk_binance.spot import translate
from copydesk_binance.spot.holdings import quote_rank

if TYPE_CHECKING:
    from copydesk_binance.spot.session import SpotSession

log = logging.getLogger("copydesk.binance")

WINDOW_MS = 24 * 3600 * 1000 - 1000
"""The venue answers for at most one day at once."""
MANY_OPEN = 12
MANY_CHANGED = 80
"""So many pairs at most are asked for because an asset has changed: a weight of 20 each, of 6000 in a minute."""
MANY_NAMELESS = 20
"""Fills of so many orders that no list told of have their orders looked up one by one."""


def _differing(one: Mapping[str, Decimal], other: Mapping[str, Decimal]) -> set[str]:
    return {asset for asset in one.keys() | other.keys() if one.get(asset, ZERO) != other.get(asset, ZERO)}


class Reading:
    """One pass of reads."""

    def __init__(self, session: SpotSession, request: SnapshotRequest) -> None:
        self.session = session
        self.request = request
        self.connection = session.connection
        self.whole = not session.in_step and request.scope is Scope.ACCOUNT
        oldest = session.venue.now_ms() - OLDEST_MS
        self.since_ms = max(1, request.since_ms - CLOCK_MARGIN_MS, oldest) if request.since_ms else 0
        asked = set(request.symbols) | {ref.symbol for ref in request.look_up}
        self.traded = asked | {symbol for symbol, at in session.active_ms.items() if at >= max(1, self.since_ms)}
        self.symbols = self.traded | set(session.active_ms)
        self.orders: dict[str, Order] = {}
        self.fills: list[Fill] = []
        self.absent: list[str] = []
        self._names: dict[str, str] = {}  # of orders that are not told themselves

    async def read(self) -> Snapshot:
        session, request = self.session, self.request
        time_ms = session.venue.now_ms()
        before = session.holdings.totals
        account, prices, *_ = await together(
            session.read("account"), session.venue.ask("ticker/price"), self._open_orders()
        )
        for row in fields.rows(prices.body, "prices"):
            session.holdings.prices[str(row.get("symbol"))] = fields.number(row.get("price"), "price")
        session.keep_account(account)
        self.symbols |= {order.terms.symbol for order in self.orders.values()}
        changed = self._pairs_of_changed(before)
        if self.whole:
            self.traded |= self.symbols
        traded = sorted(self.traded & session.instruments.keys()) if self.since_ms else []
        history = [self._history(symbol, time_ms) for symbol in traded]
        history += [self._history_if_traded(one, time_ms) for one in changed if one not in traded and self.since_ms]
        await together(*history, *(self._look_up(ref) for ref in request.look_up))
        await self._name_fills()
        for symbol in self.symbols | self.traded:
            session.active_ms.setdefault(symbol, 0)
        if self.whole:
            session.in_step = session.streaming and session.connection == self.connection
        held = session.holdings.positions(session.instruments, session.active_ms)
        return Snapshot(
            scope=request.scope,
            time_ms=time_ms,
            orders=tuple(self.orders.values()),
            positions=tuple(held),
            balance=replace(session.holdings.balance(session.instruments, time_ms), time_ms=time_ms),
            fills=tuple(self._named()),
            absent=tuple(self.absent),
            prices=self._prices({position.symbol for position in held}),
        )

    async def look_up_only(self) -> Snapshot:
        """The looked-up orders and nothing else: one request each."""
        time_ms = self.session.venue.now_ms()
        await together(*(self._look_up(ref) for ref in self.request.look_up))
        orders = tuple(self.orders.values())
        return Snapshot(scope=Scope.ORDERS, time_ms=time_ms, orders=orders, absent=tuple(self.absent))

    def _pairs_of_changed(self, before: dict[str, Decimal]) -> list[str]:
        """The pairs in which a change of assets may have come about while nobody listened, the likely ones first.

        What there was is what this session knew, and what the engine knew of an account that another session read.
        """
        instruments, now = self.session.instruments, self.session.holdings.totals
        currency = self.session.holdings.currency
        changed = _differing(now, before) if self.whole else set()
        if self.request.known is not None and self.request.scope is Scope.ACCOUNT:
            told = {instruments[symbol].base: one for symbol, one in self.request.known.items() if symbol in instruments}
            changed |= _differing(now, told) - {currency}
        had = {asset for asset, total in (*now.items(), *before.items()) if total} | {currency}
        pairs = [name for name, pair in instruments.items() if pair.base in changed and pair.quote in had]
        pairs.sort(key=lambda symbol: (quote_rank(instruments[symbol].quote, currency), symbol))
        if len(pairs) > MANY_CHANGED:
            text = "%s: %d assets have changed unheard; of the %d pairs in which they may have, %d are asked for."
            log.warning(text, self.session.name, len(changed), len(pairs), MANY_CHANGED)
        return pairs[:MANY_CHANGED]

    def _prices(self, held: set[str]) -> dict[str, Decimal]:
        known = self.session.holdings.prices
        return {symbol: known[symbol] for symbol in sorted(self.symbols | self.traded | held) if symbol in known}

    # --- orders ---

    def _take(self, row: Any) -> None:
        if not translate.is_pending(row):
            order = translate.order(row)
            self.orders[order.venue_id] = order

    async def _open_orders(self) -> None:
        if self.whole or len(self.symbols) > MANY_OPEN:
            bodies = [await self.session.read("openOrders")]
        else:
            bodies = await together(*(self.session.read("openOrders", {"symbol": one}) for one in sorted(self.symbols)))
        for body in bodies:
            for row in fields.rows(body, "orders"):
                self._take(row)

    async def _history(self, symbol: str, now_ms: int) -> None:
        newest = PAGE if self.whole else SHORT_PAGE
        recent, trades = await together(
            self._pages("allOrders", symbol, "orderId", now_ms, newest),
            self._pages("myTrades", symbol, "id", now_ms, newest),
        )
        for row in recent:
            if translate.changed_ms(row) >= self.since_ms:
                self._take(row)
        self.fills += [fill for fill in (translate.trade(row) for row in trades) if fill.time_ms >= self.since_ms]

    async def _history_if_traded(self, symbol: str, now_ms: int) -> None:
        """Of a pair that was perhaps not traded at all, the orders only where there are executions."""
        start = str(self.since_ms)
        if await self.session.read("myTrades", {"symbol": symbol, "startTime": start, "limit": "1"}):
            self.traded.add(symbol)
            await self._history(symbol, now_ms)

    async def _pages(self, path: str, symbol: str, id_: str, now_ms: int, newest: int) -> list[dict[str, Any]]:
        """The newest rows, which tell of old orders that ended since; where that page is full, all since then by time."""
        found: dict[Any, dict[str, Any]] = {}
        page = await self._page(path, {"symbol": symbol, "limit": str(newest)}, id_, found)
        if len(page) < newest or min(fields.whole(row, "time") for row in page) < self.since_ms:
            return list(found.values())
        start = self.since_ms
        while start <= now_ms:
            end = start + WINDOW_MS
            params = {"symbol": symbol, "startTime": str(start), "endTime": str(end), "limit": str(PAGE)}
            before = len(found)
            page = await self._page(path, params, id_, found)
            is_all = len(page) < PAGE or len(found) == before
            start = end + 1 if is_all else max(fields.whole(row, "time") for row in page)
        return list(found.values())

    async def _page(self, path: str, params: Params, id_: str, found: dict[Any, dict[str, Any]]) -> list[Any]:
        page = fields.rows(await self.session.read(path, params), path)
        for row in page:
            found[row.get(id_)] = dict(row)
        return page

    async def _look_up(self, ref: OrderRef) -> None:
        order = await self.session.look_up(ref)
        if order is None:
            self.absent.append(ref.client_id or ref.venue_id)
        else:
            self.orders[order.venue_id] = order

    # --- fills ---

    async def _name_fills(self) -> None:
        """Look up the orders of fills that no list told of: a fill does not know its order's client id."""
        nameless = {fill.venue_id: fill.symbol for fill in self.fills if fill.venue_id not in self.orders}
        if len(nameless) > MANY_NAMELESS:
            return
        bodies = await together(
            *(
                self.session.read_if_known("order", {"symbol": symbol, "orderId": venue_id})
                for venue_id, symbol in nameless.items()
            )
        )
        for body in bodies:
            if body is not None:
                order = translate.order(body)
                self._names[order.venue_id] = order.client_id

    def _named(self) -> list[Fill]:
        names = {order.venue_id: order.client_id for order in self.orders.values()} | self._names
        ordered = sorted(self.fills, key=lambda fill: (fill.time_ms, len(fill.execution_id), fill.execution_id))
        return [replace(fill, client_id=names.get(fill.venue_id, "")) for fill in ordered]
