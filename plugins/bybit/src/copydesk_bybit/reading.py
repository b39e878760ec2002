"""Reads the truth of one account.

`time_ms` is the venue's time before the first request: each part is at least as new as that. Where the private stream tells
of anything while parts are read, all is read once more, so that in quiet times the parts fit together exactly.

What is open is read for whole settle currencies at once; what ended, and executions, by category and time, in windows of a
week, following cursors.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from copydesk.errors import VenueError
from copydesk.model import Fill, Order, OrderRef, OrderType, Position, Scope, Snapshot, SnapshotRequest
from msgspec.structs import replace

from copydesk_bybit import listing, translate
from copydesk_bybit.sending import Params
from copydesk_bybit.symbols import CATEGORIES, INVERSE, LINEAR, SPOT, category_of, name_of

if TYPE_CHECKING:
    from copydesk_bybit.session import Session

WINDOW_MS = 7 * 24 * 3600 * 1000 - 1000
"""The venue answers for at most seven days at once."""
OLDEST_MS = 30 * 24 * 3600 * 1000
"""Fills and ended orders older than this are not read: each week of a category is a request of its own."""
CLOCK_MARGIN_MS = 1000
"""History is read from so much earlier: this machine's idea of the venue's time is never exact."""
SETTLE_COINS = ("USDT", "USDC")
MANY_PRICES = 5


class Reading:
    """One pass of reads."""

    def __init__(self, session: Session, request: SnapshotRequest) -> None:
        self.session = session
        self.request = request
        oldest = session.venue.now_ms() - OLDEST_MS
        self.since_ms = max(1, request.since_ms - CLOCK_MARGIN_MS, oldest) if request.since_ms else 0
        self.symbols = set(request.symbols) | {ref.symbol for ref in request.look_up}
        self.orders: dict[str, Order] = {}
        self.fills: dict[str, Fill] = {}
        self.absent: list[str] = []

    async def read(self) -> Snapshot:
        session, request = self.session, self.request
        time_ms = session.venue.now_ms()
        wallet, *groups = await together(
            session.read_wallet(),
            *(self._held(category, coin) for category, coin in _contracts()),
            *(self._open(category, coin) for category, coin in (*_contracts(), (SPOT, ""))),
            *([self._past(category, time_ms) for category in CATEGORIES] if self.since_ms else []),
            *(self._look_up(ref) for ref in request.look_up),
        )
        held: list[Position] = [position for group in groups if isinstance(group, list) for position in group]
        balance = session.keep_wallet(wallet)
        held += [position for position in session.spot_positions() if position.quantity]
        self.symbols |= {position.symbol for position in held} | {order.terms.symbol for order in self.orders.values()}
        prices = await self._prices()
        return Snapshot(
            scope=request.scope,
            time_ms=time_ms,
            orders=tuple(self._orders()),
            positions=tuple(held),
            balance=replace(balance, time_ms=time_ms),
            fills=tuple(sorted(self.fills.values(), key=lambda fill: (fill.time_ms, fill.execution_id))),
            absent=tuple(self.absent),
            prices=prices,
        )

    async def look_up_only(self) -> Snapshot:
        """The looked-up orders and nothing else: one request each, two for one that ended long ago or never was."""
        time_ms = self.session.venue.now_ms()
        await together(*(self._look_up(ref) for ref in self.request.look_up))
        orders = tuple(self.orders.values())
        return Snapshot(scope=Scope.ORDERS, time_ms=time_ms, orders=orders, absent=tuple(self.absent))

    # --- what is held and what is open ---

    async def _held(self, category: str, coin: str) -> list[Position]:
        params = {"category": category, "limit": "200"} | ({"settleCoin": coin} if coin else {})
        rows = await self.session.pages("position/list", params, "positions")
        return [position for row in rows if (position := self.session.trailing.note(row, category)).quantity]

    async def _open(self, category: str, coin: str) -> None:
        params = {"category": category, "limit": "50"} | ({"settleCoin": coin} if coin else {})
        for row in await self.session.pages("order/realtime", params, "orders"):
            self._keep(translate.order(row, category))

    def _keep(self, order: Order) -> None:
        """Of two states of one order that were read at the same time, the newer one."""
        known = self.orders.get(order.venue_id)
        if known is None or (order.updated_ms, order.filled, order.status.is_final) >= (
            known.updated_ms,
            known.filled,
            known.status.is_final,
        ):
            self.orders[order.venue_id] = self.session.note_order(order)

    def _orders(self) -> list[Order]:
        """All that were read; trailing stops with the distances that their positions have told."""
        learn = self.session.trailing.learn
        return [learn(order) if order.terms.type is OrderType.TRAILING_STOP else order for order in self.orders.values()]

    # --- what was ---

    async def _past(self, category: str, now_ms: int) -> None:
        ended = await together(self._recent(category), self._by_time("order/history", category, now_ms, "orders", "50"))
        for rows in ended:
            for row in rows:
                order = translate.order(row, category)
                if order.updated_ms >= self.since_ms:
                    self._keep(order)
        for row in await self._by_time("execution/list", category, now_ms, "executions", "100"):
            told = translate.execution(row, category)
            if told is not None:
                if self.session.needs_side(told):
                    await self.session.learn_mode(told.fill.symbol)
                fill = self.session.fill_of(told)
                fee_asset = fill.fee_asset or self.session.settle_of(fill.symbol)
                self.fills[fill.execution_id] = replace(fill, fee_asset=fee_asset)

    async def _recent(self, category: str) -> list[Any]:
        """Orders that ended lately, whenever they were placed: history is sorted by when an order was placed."""
        rows: list[Any] = []
        coins = SETTLE_COINS if category == LINEAR else ("",)
        for coin in coins:
            params = {"category": category, "openOnly": "1", "limit": "50"} | ({"settleCoin": coin} if coin else {})
            rows += await self.session.pages("order/realtime", params, "orders")
        return rows

    async def _by_time(self, path: str, category: str, now_ms: int, what: str, limit: str) -> list[Any]:
        rows: list[Any] = []
        start = self.since_ms
        while start <= now_ms:
            end = start + WINDOW_MS
            params: Params = {"category": category, "startTime": str(start), "endTime": str(end), "limit": limit}
            rows += await self.session.pages(path, params, what)
            start = end + 1
        return rows

    async def _look_up(self, ref: OrderRef) -> None:
        order = await self.session.look_up(ref)
        if order is not None:
            self._keep(order)
        else:
            self.absent.append(ref.client_id or ref.venue_id)

    # --- prices ---

    async def _prices(self) -> dict[str, Decimal]:
        symbols = sorted(symbol for symbol in self.symbols if symbol in self.session.instruments)
        by_category = {category: [s for s in symbols if category_of(s) == category] for category in CATEGORIES}
        reads = []
        for category, wanted in by_category.items():
            if len(wanted) > MANY_PRICES:
                reads.append(self._tickers({"category": category}))
            reads += [self._tickers({"category": category, "symbol": name_of(s)}) for s in wanted[:MANY_PRICES]]
        found: dict[str, Decimal] = {}
        for prices in await together(*reads):
            found |= prices
        return {symbol: found[symbol] for symbol in symbols if symbol in found}

    async def _tickers(self, params: dict[str, str]) -> dict[str, Decimal]:
        body = (await self.session.venue.ask("tickers", params)).body
        quotes = [listing.ticker(row, params["category"]) for row in translate.rows_of(body, "tickers")]
        return {quote.symbol: quote.last for quote in quotes if quote.last is not None}


def _contracts() -> tuple[tuple[str, str], ...]:
    """Categories that have positions, with the settle currencies that linear has to be asked for."""
    return (*((LINEAR, coin) for coin in SETTLE_COINS), (INVERSE, ""))


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
