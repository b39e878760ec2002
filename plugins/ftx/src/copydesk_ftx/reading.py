"""Reads the truth of one account.

`time_ms` is the venue's time before the first request: each part is at least as new as that. Where the private stream tells
of anything while parts are read, all is read once more, so that in quiet times the parts fit together exactly. Ordinary
orders are read before trigger orders, so that one that is triggered in between is seen as triggered and never as a new
ordinary order.
"""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from copydesk.model import Fill, Snapshot, SnapshotRequest
from copydesk_wire.reading import Pass
from msgspec.structs import replace

from copydesk_ftx import translate

if TYPE_CHECKING:
    from copydesk_ftx.session import Session

MARGIN_S = 1
"""History is read from so much earlier: FTX took whole seconds."""
PAGE = 100
PAGES = 200
"""More history than this many pages is not read at once."""
EVERYTHING = 20


class Reading(Pass["Session"]):
    """One pass of reads."""

    def __init__(self, session: Session, request: SnapshotRequest) -> None:
        super().__init__(session, request)
        self.since_s = max(0, request.since_ms // 1000 - MARGIN_S)

    async def read(self) -> Snapshot:
        session = self.session
        account, *_ = await asyncio.gather(session.read("/account"), self._ordinary())
        await self._triggers()
        await self.look_ups()
        fills = await self._fills() if self.request.since_ms else []
        balance, positions = session.keep_account(account)
        return await self.whole(positions, balance, fills)

    # --- orders ---

    async def _ordinary(self) -> None:
        rows = translate.rows(await self.session.read("/orders"), "orders")
        if self.request.since_ms:
            rows = [*await self._history("/orders/history", "createdAt"), *rows]
        for row in rows:
            order = translate.order(row, updated_ms=self.time_ms)
            self.session.learn_name(order)
            self.orders[order.venue_id] = order

    async def _triggers(self) -> None:
        """Trigger orders, and the ordinary ones among those read that they became."""
        triggers = self.session.triggers
        for report in await self.session.read_triggers():
            triggers.learn(report)
            venue_id = report.order.venue_id
            child = self.orders.pop(report.becomes, None) if report.becomes else None
            if child is not None:
                triggers.became(venue_id, child)
            recent = self.request.since_ms and report.order.updated_ms >= self.since_s * 1000
            if child is not None or report.order.is_working or recent:
                self.orders[venue_id] = triggers.state(venue_id)
        for order in list(self.orders.values()):
            if owner := triggers.owner(order.venue_id):  # of a trigger order older than what was read of them
                del self.orders[order.venue_id]
                self.orders[owner] = triggers.became(owner, order)

    # --- history ---

    async def _history(self, path: str, time_name: str) -> list[Any]:
        """All rows since `since_ms`, each once, page by page back in time."""
        found: dict[Any, Any] = {}
        end_s = self.time_ms // 1000 + 2
        for _ in range(PAGES):
            window = {"start_time": str(self.since_s), "end_time": str(end_s), "limit": str(PAGE)}
            page, more = await self.session.read_page(path, **window)
            rows = translate.rows(page, path)
            before = len(found)
            found |= {row.get("id"): row for row in rows}
            if not more and len(rows) < PAGE:
                break
            oldest_s = min(translate.time_ms(row.get(time_name), time_name) for row in rows) // 1000
            # A page full of one second tells nothing new when it is asked for again: go on before it.
            end_s = oldest_s if len(found) == before else oldest_s + 1
        return list(found.values())

    async def _fills(self) -> list[Fill]:
        session = self.session
        fills = []
        for row in await self._history("/fills", "time"):
            fill = translate.fill(row)
            named = session.triggers.fill(fill)
            if named is fill:
                named = replace(fill, client_id=session.name_of(fill.venue_id))
            fills.append(named)
        return sorted(fills, key=lambda fill: (fill.time_ms, int(fill.execution_id)))

    # --- prices ---

    async def prices(self, symbols: set[str]) -> dict[str, Decimal]:
        listed = sorted(symbols & self.session.instruments.keys())
        if len(listed) > EVERYTHING:
            rows = translate.rows(await self.session.venue.ask("/markets"), "markets")
        else:
            rows = await asyncio.gather(*(self.session.venue.ask(f"/markets/{quote(symbol)}") for symbol in listed))
        wanted = [row for row in rows if isinstance(row, dict) and row.get("name") in symbols]
        return {str(row["name"]): translate.number(row.get("last"), "last") for row in wanted}
