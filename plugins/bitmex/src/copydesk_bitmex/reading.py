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

from copydesk.model import Fill, Snapshot, SnapshotRequest
from copydesk_wire.fields import Payload, rows
from copydesk_wire.reading import Pass

from copydesk_bitmex import translate

if TYPE_CHECKING:
    from copydesk_bitmex.session import Session

MARGIN_MS = 1_000
"""History is read from so much earlier: clocks differ."""
PAGE = 500
PAGES = 100


class Reading(Pass["Session"]):
    """One pass of reads."""

    def __init__(self, session: Session, request: SnapshotRequest) -> None:
        super().__init__(session, request)
        self.since_ms = max(0, request.since_ms - MARGIN_MS) if request.since_ms else 0

    async def read(self) -> Snapshot:
        session = self.session
        position_rows, balance, fills, _ = await asyncio.gather(
            session.read("/position"), session.read_margins(), self._fills(), self._open_and_recent()
        )
        await self.look_ups()
        return await self.whole([session.position(row) for row in rows(position_rows, "positions")], balance, fills)

    async def _open_and_recent(self) -> None:
        """Working orders, and those that changed since."""
        found = await self._history("/order") if self.since_ms else []
        found += await self._pages("/order", filter=json.dumps({"open": True}))
        primaries = translate.primaries(found)
        for row in found:
            self._keep(row, primaries)

    def _keep(self, row: Payload, primaries: frozenset[str]) -> None:
        order = self.session.keep(translate.order(row))
        if translate.waits(row, primaries):
            self.orders.pop(order.venue_id, None)
        else:
            self.keep(order)

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

    async def prices(self, symbols: set[str]) -> dict[str, Decimal]:
        listed = sorted(symbols & self.session.instruments.keys())
        if not listed:
            return {}
        query = json.dumps({"symbol": listed})
        told: Any = await self.session.venue.ask("/instrument", filter=query, count=str(PAGE))
        prices = [translate.price(row) for row in rows(told, "instruments")]
        return {one.symbol: one.last for one in prices if one is not None}


def _iso(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
