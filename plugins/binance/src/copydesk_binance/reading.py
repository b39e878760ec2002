"""Reads the truth of one account.

What is read, and in which order. Ordinary orders are read before conditional ones, so that a conditional order triggered
in between is seen as triggered and never as a new ordinary order. `time_ms` is the venue's time before the first request:
each part is at least as new as that. Where the private stream tells of anything while parts are read, all is read once
more, so that in quiet times the parts fit together exactly.

A whole read asks for all symbols (openOrders, openAlgoOrders: weight 40 each; income: 30). It is done once after each
connection of the stream, and always where there is none; afterwards the stream tells which symbols matter, and only those
are asked for (weight 1 each; 15 for the history of one that was asked for or heard of).
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from copydesk.errors import VenueError
from copydesk.model import Fill, MarginSetting, Order, OrderRef, Position, Scope, Snapshot, SnapshotRequest
from msgspec.structs import replace

from copydesk_binance import account, fields, translate
from copydesk_binance.fields import Params
from copydesk_binance.fold import fold_all
from copydesk_binance.translate import AlgoReport

if TYPE_CHECKING:
    from copydesk_binance.session import Session

WINDOW_MS = 7 * 24 * 3600 * 1000 - 1000
"""The venue answers for at most seven days at once."""
OLDEST_MS = 30 * 24 * 3600 * 1000
"""Fills and ended orders older than this are not read: each week of a symbol is a request of its own."""
CLOCK_MARGIN_MS = 1000
"""History is read from so much earlier: this machine's idea of the venue's time is never exact."""
PAGE = 1000
SHORT_PAGE = 100
MANY_SYMBOLS = 5
MANY_OPEN = 20


class Reading:
    """One pass of reads."""

    def __init__(self, session: Session, request: SnapshotRequest) -> None:
        self.session = session
        self.request = request
        self.connection = session.connection
        self.whole = not session.in_step and request.scope is Scope.ACCOUNT
        oldest = session.venue.now_ms() - OLDEST_MS
        self.since_ms = max(1, request.since_ms - CLOCK_MARGIN_MS, oldest) if request.since_ms else 0
        asked = set(request.symbols) | {ref.symbol for ref in request.look_up}
        self.traded = asked | {symbol for symbol, at in session.active_ms.items() if at >= max(1, self.since_ms)}
        self.symbols = self.traded | {symbol for symbol, _ in session.positions} | set(session.active_ms)
        self.orders: list[Order] = []
        self.reports: list[AlgoReport] = []
        self.fills: list[Fill] = []
        self.absent: list[str] = []
        self.margins: tuple[MarginSetting, ...] = ()

    async def _settings(self) -> None:
        self.margins = await self.session.learn_settings()

    async def read(self) -> Snapshot:
        session, request = self.session, self.request
        time_ms = session.venue.now_ms()
        positions, account, *_ = await together(
            session.read("positionRisk", version="V3"),
            session.read("account", version="V3"),
            self._open_orders(),
            *([self._traded_symbols(time_ms)] if self.whole and self.since_ms else []),
            *([self._settings()] if request.settings else []),
        )
        held = self._held(positions)
        self.symbols |= {position.symbol for position in held} | {order.terms.symbol for order in self.orders}
        if self.whole:
            self.traded |= self.symbols
        self.symbols |= self.traded
        history = [self._history(symbol, time_ms) for symbol in sorted(self.traded)] if self.since_ms else []
        prices, *_ = await together(self._prices(), *history, *(self._look_up(ref) for ref in request.look_up))
        await self._conditional()
        balance = session.keep_account(account)
        session.keep_positions(held)
        for symbol in self.symbols:
            session.active_ms.setdefault(symbol, 0)
        if self.whole:
            session.in_step = session.streaming and session.connection == self.connection
        return Snapshot(
            scope=request.scope,
            time_ms=time_ms,
            orders=self._folded(),
            positions=tuple(held),
            balance=replace(balance, time_ms=time_ms),
            fills=tuple(self._named(self.fills)),
            absent=tuple(self.absent),
            prices=prices,
            hedge_mode=session.hedge_mode if request.settings else None,
            margins=self.margins,
        )

    async def look_up_only(self) -> Snapshot:
        """The looked-up orders and nothing else: one request each."""
        time_ms = self.session.venue.now_ms()
        await together(*(self._look_up(ref) for ref in self.request.look_up))
        known = {order.venue_id for order in self.orders}
        became = [report for report in self.reports if report.becomes and report.becomes not in known]
        await together(*(self._child(report) for report in became))
        self._recall()
        self.session.fold.learn(self.reports, plain=self.orders)
        return Snapshot(scope=Scope.ORDERS, time_ms=time_ms, orders=self._folded(), absent=tuple(self.absent))

    def _held(self, body: Any) -> list[Position]:
        positions = [account.position(row) for row in fields.rows(body, "positions")]
        return [position for position in positions if position.quantity]

    # --- orders ---

    async def _open_orders(self) -> None:
        for body in await self._per_symbol("openOrders"):
            self.orders += [translate.order(row) for row in fields.rows(body, "orders")]

    async def _per_symbol(self, path: str) -> list[Any]:
        if self.whole or len(self.symbols) > MANY_OPEN:
            return [await self.session.read(path)]
        return await together(*(self.session.read(path, {"symbol": symbol}) for symbol in sorted(self.symbols)))

    async def _history(self, symbol: str, now_ms: int) -> None:
        recent, trades = await together(
            self._pages("allOrders", symbol, "orderId", now_ms, newest=self._newest()),
            self._pages("userTrades", symbol, "id", now_ms),
        )
        self.orders += [translate.order(row) for row in recent if translate.changed_ms(row) >= self.since_ms]
        self.fills += [translate.trade(row) for row in trades]

    def _newest(self) -> int:
        """How many of the newest orders are read: after a gap old ones may have ended, else the stream has told."""
        return PAGE if self.whole else SHORT_PAGE

    async def _pages(self, path: str, symbol: str, id_: str, now_ms: int, *, newest: int = 0) -> list[dict[str, Any]]:
        """All rows since `since_ms`. With `newest`, so many of the newest rows, which tell of old orders that ended since;
        only where that page is full is the rest read by time."""
        found: dict[Any, dict[str, Any]] = {}
        if newest:
            page = await self._page(path, {"symbol": symbol, "limit": str(newest)}, id_, found)
            if len(page) < newest or min(int(row["time"]) for row in page) < self.since_ms:
                return list(found.values())
        start = self.since_ms
        while start <= now_ms:
            end = start + WINDOW_MS
            params = {"symbol": symbol, "startTime": str(start), "endTime": str(end), "limit": str(PAGE)}
            before = len(found)
            page = await self._page(path, params, id_, found)
            is_all = len(page) < PAGE or len(found) == before
            start = end + 1 if is_all else max(int(row["time"]) for row in page)
        return list(found.values())

    async def _page(self, path: str, params: Params, id_: str, found: dict[Any, dict[str, Any]]) -> list[Any]:
        page = fields.rows(await self.session.read(path, params), path)
        for row in page:
            found[row.get(id_)] = dict(row)
        return page

    async def _traded_symbols(self, now_ms: int) -> None:
        """Symbols that were traded since, from the commissions paid."""
        start = self.since_ms
        while start <= now_ms:
            end = start + WINDOW_MS
            params = {"incomeType": "COMMISSION", "startTime": str(start), "endTime": str(end), "limit": str(PAGE)}
            page = fields.rows(await self.session.read("income", params), "incomes")
            self.traded |= {str(row["symbol"]) for row in page if row.get("symbol")}
            last = max((int(row["time"]) for row in page), default=0)
            start = last + 1 if len(page) >= PAGE and last >= start else end + 1

    async def _look_up(self, ref: OrderRef) -> None:
        order, report = await self.session.look_up(ref)
        if order is not None:
            self.orders.append(order)
        if report is not None:
            self.reports.append(report)
        if order is None and report is None:
            self.absent.append(ref.client_id or ref.venue_id)

    # --- conditional orders ---

    async def _conditional(self) -> None:
        bodies = await self._per_symbol("openAlgoOrders")
        for body in bodies:
            self.reports += translate.conditional_reports(body)
        # Recent ones tell which of the ordinary orders were conditional once.
        recent = {order.terms.symbol for order in self.orders}
        if self.since_ms:
            recent |= self.traded
        params: list[Params] = [{"symbol": symbol, "limit": str(self._newest())} for symbol in sorted(recent)]
        for body in await together(*(self.session.read("allAlgoOrders", param) for param in params)):
            self.reports += [report for report in translate.conditional_reports(body) if self._matters(report)]
        known = {order.venue_id for order in self.orders}
        children = [self._child(report) for report in self.reports if report.becomes and report.becomes not in known]
        await together(*children)
        self._recall()
        self.session.fold.learn(self.reports, plain=self.orders)

    def _matters(self, report: AlgoReport) -> bool:
        changed = bool(self.since_ms) and report.order.updated_ms >= self.since_ms
        return changed or report.order.is_working or any(order.venue_id == report.becomes for order in self.orders)

    async def _child(self, report: AlgoReport) -> None:
        ref = OrderRef(symbol=report.order.terms.symbol, type=report.order.terms.type, venue_id=report.becomes)
        order, _ = await self.session.look_up(ref)
        if order is not None:
            self.orders.append(order)

    def _recall(self) -> None:
        """Conditional orders too old for the venue's lists, known from before."""
        told = {report.order.venue_id for report in self.reports}
        for order in self.orders:
            known = self.session.fold.known(order.venue_id)
            if known is not None and known.order.venue_id not in told:
                self.reports.append(known)

    def _folded(self) -> tuple[Order, ...]:
        return fold_all(self.orders, self.reports)

    def _named(self, fills: Iterable[Fill]) -> list[Fill]:
        """Fills under the lasting names of their orders."""
        names = {order.venue_id: order.client_id for order in self.orders}
        named = []
        for fill in sorted(fills, key=lambda fill: (fill.time_ms, fill.execution_id)):
            conditional = self.session.fold.known(fill.venue_id)
            if conditional is not None:
                order = conditional.order
                named.append(replace(fill, venue_id=order.venue_id, client_id=order.client_id))
            else:
                named.append(replace(fill, client_id=names.get(fill.venue_id, "")))
        return named

    # --- prices ---

    async def _prices(self) -> dict[str, Decimal]:
        symbols = sorted(symbol for symbol in self.symbols if symbol in self.session.instruments)
        if not symbols:
            return {}
        if len(symbols) > MANY_SYMBOLS:
            bodies = [(await self.session.venue.ask("ticker/price")).body]
        else:
            replies = await together(*(self.session.venue.ask("ticker/price", {"symbol": symbol}) for symbol in symbols))
            bodies = [[reply.body] for reply in replies]
        prices = {}
        for body in bodies:
            for row in fields.rows(body, "prices"):
                if row.get("symbol") in self.symbols:
                    prices[str(row["symbol"])] = fields.number(row.get("price"), "price")
        return prices


async def together(*reads: Coroutine[Any, Any, Any]) -> list[Any]:
    """Run reads at the same time. The first that fails ends the others; its error is raised as it is."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(read) for read in reads]
    except BaseExceptionGroup as failures:
        for failure in failures.exceptions:
            if isinstance(failure, VenueError):
                raise failure from None
        raise
    return [task.result() for task in tasks]
