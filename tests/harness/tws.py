"""The contract suite's rig for the rehearsal TWS."""

from __future__ import annotations

from typing import Any

from copydesk.hookspecs import VenuePlugin
from copydesk.model import ConnectionSettings, Order, OrderStatus, OrderType, Terms
from copydesk.testing import PARENT, RehearsalRig
from copydesk_ib import plugin
from msgspec.structs import replace

TYPES = {
    OrderType.MARKET: "MKT",
    OrderType.LIMIT: "LMT",
    OrderType.STOP_MARKET: "STP",
    OrderType.STOP_LIMIT: "STP LMT",
    OrderType.TAKE_PROFIT_MARKET: "MIT",
    OrderType.TAKE_PROFIT_LIMIT: "LIT",
    OrderType.TRAILING_STOP: "TRAIL",
}


class TwsRig(RehearsalRig):
    """The session under test is the master client; the owner's hand makes its orders in TWS itself.

    IB has no secrets: a login that is refused names an account that it does not have.
    """

    def __init__(self, tested: VenuePlugin = plugin, **more: Any) -> None:
        super().__init__(tested, "ib", libraries=("ib_async", "ib_insync", "eventkit"), **more)

    def wrong_settings(self) -> ConnectionSettings:
        right = self.settings()
        return replace(right, name="wrong", options=right.options | {"account": "DU0000000"})

    def unreachable_settings(self) -> ConnectionSettings:
        right = self.settings()
        return replace(right, name="unreachable", options=right.options | {"port": "9"})

    # --- by hand ---

    async def by_hand(self, account: str = PARENT, **words: Any) -> int:
        """An order made in TWS, in the words of the rehearsal's control; its permanent id."""
        body = {"account": account, "symbol": self.symbol, "tif": "GTC", **words}
        return int((await self._control("POST", "orders", body))["perm_id"])

    async def parent_places(self, terms: Terms, client_id: str, account: str = PARENT) -> Order:
        words = {
            "symbol": terms.symbol,
            "action": terms.side.upper(),
            "quantity": terms.quantity,
            "type": TYPES[terms.type],
            "limit": terms.price,
            "aux": terms.trigger_price,
            "trail_percent": terms.trail_percent,
            "tif": terms.time_in_force.upper(),
            "order_ref": client_id,
        }
        number = await self.by_hand(account, **words)
        return Order(venue_id=str(number), client_id=client_id, terms=terms, status=OrderStatus.NEW)

    async def amends(self, order: Order, terms: Terms, account: str = PARENT) -> None:
        body = {"quantity": terms.quantity, "limit": terms.price, "aux": terms.trigger_price}
        await self._control("POST", f"orders/{order.venue_id}", body)

    async def cancels(self, order: Order, account: str = PARENT) -> None:
        await self._control("DELETE", f"orders/{order.venue_id}")
