"""What the spot service keeps of an account beyond what the exchange does."""

from __future__ import annotations

from collections import deque
from decimal import Decimal

from copydesk.model import ZERO, Order, Record

from copydesk_binance.rehearsal.keys import ApiKey, Holder
from copydesk_binance.rehearsal.limits import OrderCount
from copydesk_binance.rehearsal.spot.order_list import OrderList

KEPT_UNPLACED = 5_000


class Detail(Record):
    """What Binance keeps of an order beyond its terms. `list_id` is below zero for an order by itself, `working_ms` before
    it stands in the book. `pending`: it waits for the working order of its list; `paid`: of what that one buys."""

    kind: str = "LIMIT"
    time_in_force: str = "GTC"
    prevention: str = "NONE"
    quote_quantity: Decimal = ZERO
    list_id: int = -1
    strategy_id: int = 0
    strategy_type: int = 0
    response: str = ""
    working_ms: int = -1
    pending: bool = False
    paid: bool = False
    expiry: str = ""
    spent: Decimal = ZERO


class Account(Holder):
    """One account: its key, its order counts, its orders' details, its order lists, its amendments."""

    def __init__(self, name: str, api_key: ApiKey, orders: OrderCount, uid: int) -> None:
        super().__init__(name, api_key)
        self.orders = orders
        self.uid = uid
        self.details: dict[str, Detail] = {}
        self.lists: dict[int, OrderList] = {}
        self.amendments: deque[dict[str, object]] = deque(maxlen=5_000)
        self.renamed: dict[str, str] = {}
        """Client ids under which orders are known now, where an amendment changed them, by the exchange's id."""
        self.unplaced: dict[str, Order] = {}
        """Orders that ended without coming to the market: in their lists, or because the book could not fill them."""
        self.cancelling = ""
        """The client id of the cancel that is being carried out."""
        self.wallets: dict[str, Decimal] = {}
        """What there was of each asset when something was last told."""
        self.updated_ms = 0

    def keep_unplaced(self, order: Order) -> None:
        self.unplaced[order.venue_id] = order
        if len(self.unplaced) > KEPT_UNPLACED:
            del self.unplaced[next(iter(self.unplaced))]
