"""Reads the truth of one account.

`time_ms` is the venue's time before the first request: each part is at least as new as that. Where the private stream tells
of anything while parts are read, all is read once more, so that in quiet times the parts fit together exactly.
"""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from copydesk.model import Fill, Order, Scope, Snapshot, SnapshotRequest
from copydesk_wire.fields import Payload, rows
from msgspec.structs import replace

from copydesk_bitmex import translate

if TYPE_CHECKING:
    from copydesk_bitmex.session import Session

MARGIN_MS = 1_000
"""History is read from so much earlier: clocks differ."""
PAGE = 500
PAGES = 100


class Reading:
    """One pass of reads."""

    def __init__(self, session: Session, request: SnapshotRequest) -> None:
        self.session = session
        self.request = request
        self.time_ms = session.venue.now_ms()
        self.since_ms = max(0, request.since_ms - MARGIN_MS) if request.since_ms else 0
        self.orders: dict[str, Order] = {}
        self.absent: list[str] = []

    async def read(self) -> Snapshot:
        session = self.session
        position_rows, balance, fills, _ = await asyncio.gather(
            session.read("/position"), session.read_margins(), self._fills(), self._open_and_recent()
        )
        await self._look_ups()
        held = [session.position(row) for row in rows(position_rows, "positions")]
        positions = tuple(position for position in held if position.quantity)
        symbols = {order.terms.symbol for order in self.orders.values()} | {one.symbol for one in positions}
        return Snapshot(
            scope=self.request.scope,
            time_ms=self.time_ms,
            orders=tuple(self.orders.values()),
            positions=positions,
            balance=replace(balance, time_ms=self.time_ms),
            fills=tuple(fills),
            absent=tuple(self.absent),
            prices=await self._prices(symbols | set(self.request.symbols)),
        )

    async def look_up_only(self) -> Snapshot:
        """The looked-up orders and nothing else."""
        await self._look_ups()
        orders, absent = tuple(self.orders.values()), tuple(self.absent)
        return Snapshot(scope=Scope.ORDERS, time_ms=self.time_ms, orders=orders, absent=absent)

    async def _open_and_recent(self) -> None:
        """Working orders, and those that changed since."""
        found = await self._history("/order") if self.since_ms else []
        found += await self._pages("/order", filter=json.dumps({"open": True}))
        primaries = translate.primaries(found)
        for row in found:
            self._keep(row, primaries)

    def _keep(self, row: Payload, primaries: frozenset[str]) -> None:
        order = self.session.keep(translate.order(row))
        known = self.orders.get(order.venue_id)
        if known is not None and order.updated_ms < known.updated_ms:
            return
        if translate.waits(row, primaries):
            self.orders.pop(order.venue_id, None)
        else:
            self.orders[order.venue_id] = order

    async def _look_ups(self) -> None:
        for ref in self.request.look_up:
            order = await self.session.look_up(ref)
            if order is None:
                self.absent.append(ref.client_id or ref.venue_id)
            else:
                self.orders[order.venue_id] = order

    async def _fills(self) -> list[Fill]:
        if not self.since_ms:
            return []
        found = [translate.fill(row) for row in await self._history("/execution/tradeHistory")]
        return sorted((one for one in found if one is not None), key=lambda one: (one.time_ms, one.execution_id))

    async def _history(self, path: str) -> list[Payload]:
        return await self._pages(path, startTime=_iso(self.since_ms))

    async def _pages(self, path: str, **query: str) -> list[Payload]:
        found: list[Payload] = []
        for page in range(PAGES):
            window = {"count": str(PAGE), "start": str(page * PAGE), "reverse": "false", **query}
            told = rows(await self.session.read(path, **window), path)
            found += told
            if len(told) < PAGE:
                break
        return found

    async def _prices(self, symbols: set[str]) -> dict[str, Decimal]:
        listed = sorted(symbols & self.session.instruments.keys())
        if not listed:
            return {}
        query = json.dumps({"symbol": listed})
        told: Any = await self.session.venue.ask("/instrument", filter=query, count=str(PAGE))
        prices = [translate.price(row) for row in rows(told, "instruments")]
        return {one.symbol: one.last for one in prices if one is not None}


def _iso(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
