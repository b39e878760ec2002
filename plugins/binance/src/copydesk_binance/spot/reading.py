"""Reads the truth of one spot account.

`time_ms` is the venue's time before the first request: each part is at least as new as that. Where the private stream tells
of anything while parts are read, all is read once more, so that in quiet times the parts fit together exactly.

Weights: account 20, openOrders 80 for all pairs or 6 for one, ticker/price 4; for the history of a pair myTrades and
allOrders 20 each. History is asked for per pair only, there is no list of the pairs that were traded: asked for are those
that the request names, those that the stream told of or that have orders, and those of assets whose quantity has changed.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from copydesk.model import Fill, Order, OrderRef, Scope, Snapshot, SnapshotRequest
from copydesk_wire import session as steady
from msgspec.structs import replace

from copydesk_binance import fields
from copydesk_binance.fields import Params
from copydesk_binance.reading import CLOCK_MARGIN_MS, OLDEST_MS, PAGE, SHORT_PAGE, together
from copydesk_binance.spot import translate
from copydesk_binance.spot.session import SpotSession

WINDOW_MS = 24 * 3600 * 1000 - 1000
"""The venue answers for at most one day at once."""
MANY_OPEN = 12
MANY_NAMELESS = 20
"""Fills of so many orders that no list told of have their orders looked up one by one."""


async def read_snapshot(session: SpotSession, request: SnapshotRequest) -> Snapshot:
    """One account's orders, holdings, balance, fills and prices. Raises where any part cannot be read."""
    return await steady.read_snapshot(
        session, request, lambda: _Reading(session, request).read(), lambda: _Reading(session, request).look_up_only()
    )


class _Reading:
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
        before = {asset: wallet.total for asset, wallet in session.holdings.wallets.items()}
        account, prices, *_ = await together(
            session.read("account"), session.venue.ask("ticker/price"), self._open_orders()
        )
        for row in fields.rows(prices.body, "prices"):
            session.holdings.prices[str(row.get("symbol"))] = fields.number(row.get("price"), "price")
        session.keep_account(account)
        self.symbols |= {order.terms.symbol for order in self.orders.values()}
        if self.whole:
            self.traded |= self.symbols | self._pairs_of_changed(before)
        traded = sorted(self.traded & session.instruments.keys()) if self.since_ms else []
        history = (self._history(symbol, time_ms) for symbol in traded)
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

    def _pairs_of_changed(self, before: dict[str, Decimal]) -> set[str]:
        """The pairs in which a change of assets may have come about while nobody listened."""
        now = {asset: wallet.total for asset, wallet in self.session.holdings.wallets.items()}
        changed = {asset for asset in now.keys() | before.keys() if now.get(asset, 0) != before.get(asset, 0)}
        had = {asset for asset, total in (*now.items(), *before.items()) if total}
        return {
            symbol
            for symbol, instrument in self.session.instruments.items()
            if instrument.base in changed and instrument.quote in had
        }

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
