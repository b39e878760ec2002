"""Reads the truth of one account.

`time_ms` is the venue's time before the first request: each part is at least as new as that. Requests of one key go one
after the other, for their nonces' sake, and working orders are read before ended ones, so that one that ends in between is
not missed. Where the private stream tells of anything meanwhile, all is read once more.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from copydesk.errors import NotReady
from copydesk.model import Fill, Order, Snapshot, SnapshotRequest
from copydesk_wire.errors import NoReply
from copydesk_wire.reading import Pass

from copydesk_bitfinex import translate
from copydesk_bitfinex.symbols import name_of

if TYPE_CHECKING:
    from copydesk_bitfinex.session import Session

CLOCK_MARGIN_MS = 1000
"""History is read from so much earlier: this machine's idea of the venue's time is never exact."""
ORDERS_PAGE, TRADES_PAGE = 2_500, 2_500
PAGES = 40
"""More history than this many pages is not read at once."""


class Reading(Pass["Session"]):
    """One pass of reads."""

    def __init__(self, session: Session, request: SnapshotRequest) -> None:
        super().__init__(session, request)
        self.since_ms = max(1, request.since_ms - CLOCK_MARGIN_MS) if request.since_ms else 0

    async def read(self) -> Snapshot:
        session = self.session
        for row in await session.read("r/orders"):
            self.keep(session.learn(translate.order(row)))
        fills: list[Fill] = []
        if self.since_ms:
            for row in await self._history("r/orders/hist", 4, ORDERS_PAGE):
                told = translate.order(row)
                if told.order.updated_ms >= self.since_ms:
                    self.keep(session.learn(told))
            fills = [session.learn_fill(row) for row in await self._history("r/trades/hist", 2, TRADES_PAGE)]
        await self.look_ups()
        await session.read_wallets()
        held = [translate.position(row) for row in await session.read("r/positions")]
        session.positions = {position.symbol: position for position in held if position.quantity}
        positions = [*session.positions.values(), *session.coin_positions()]
        fills.sort(key=lambda fill: (fill.time_ms, int(fill.execution_id)))
        return await self.whole(positions, session.balance(at_ms=self.time_ms), fills)

    def keep(self, order: Order) -> None:
        """Of two states of one order the newer one."""
        known = self.orders.get(order.venue_id)
        if known is None or _newness(order) >= _newness(known):
            self.orders[order.venue_id] = order

    keep_looked_up = keep

    # --- what was ---

    async def _history(self, path: str, time_place: int, page: int) -> list[Any]:
        """All rows since then, the newest first as the venue sends them, page by page by their times."""
        found: dict[Any, Any] = {}
        end_ms = 0
        for _ in range(PAGES):
            params = {"start": self.since_ms, "limit": page} | ({"end": end_ms} if end_ms else {})
            rows = await self.session.read(path, params)
            before = len(found)
            found |= {row[0]: row for row in rows if row}
            if len(rows) < page or len(found) == before:
                return list(found.values())
            end_ms = min(int(row[time_place]) for row in rows)
        raise NotReady(f"{path} has more than {PAGES * page} rows since {self.since_ms}: too many to read at once.")

    # --- prices ---

    async def prices(self, symbols: set[str]) -> dict[str, Decimal]:
        listed = sorted(symbols & self.session.instruments.keys())
        if not listed:
            return {}
        try:
            prices = await self.session.venue.prices(sorted({name_of(symbol) for symbol in listed}))
        except NoReply as error:
            raise NotReady(str(error)) from None
        return {symbol: prices[name_of(symbol)] for symbol in listed if name_of(symbol) in prices}


def _newness(order: Order) -> tuple[bool, Decimal, int]:
    return order.status.is_final, order.filled, order.updated_ms
