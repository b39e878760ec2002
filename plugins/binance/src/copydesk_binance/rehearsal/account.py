"""What Binance keeps of an account beyond what the exchange does."""

from __future__ import annotations

import hashlib
from collections import deque
from decimal import Decimal

from copydesk.model import PositionSide
from copydesk_paper.records import OrderReport

from copydesk_binance.rehearsal.algo import AlgoOrder
from copydesk_binance.rehearsal.keys import ApiKey, Holder
from copydesk_binance.rehearsal.limits import OrderCount
from copydesk_binance.rehearsal.parameters import Detail, Wanted
from copydesk_binance.rehearsal.wire import Json

KEPT_INCOME = 20_000
KEPT_AMENDMENTS = 5_000


class Account(Holder):
    """One account: its key, its order counts, its algo orders and their details, what it earned."""

    def __init__(self, name: str, api_key: ApiKey, orders: OrderCount) -> None:
        super().__init__(name, api_key)
        self.alias = hashlib.sha256(name.encode()).hexdigest()[:12]
        self.orders = orders
        self.multi_assets = False
        self.pays_fees_in_bnb = False
        """Only kept and shown: there is no BNB here to pay with."""
        self.algo_orders: dict[int, AlgoOrder] = {}
        self.algo_of: dict[str, AlgoOrder] = {}
        """Algo orders by the exchange's id."""
        self.details: dict[str, Detail] = {}
        self.expired: set[str] = set()
        """Orders that ended at their good-till date, which the exchange can only cancel."""
        self.income: deque[Json] = deque(maxlen=KEPT_INCOME)
        self.amendments: deque[Json] = deque(maxlen=KEPT_AMENDMENTS)
        self.realised: dict[str, Decimal] = {}
        self.earned: dict[tuple[str, PositionSide], Decimal] = {}
        self.moved_ms: dict[tuple[str, PositionSide], int] = {}
        self.placing: Wanted | None = None
        self.modifying = ""
        """The `modifyId` of the change that is being carried out."""
        self.triggering: tuple[AlgoOrder, OrderReport] | None = None
