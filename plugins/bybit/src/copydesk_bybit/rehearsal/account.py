"""What Bybit keeps of an account and of its orders beyond what the exchange does."""

from __future__ import annotations

import hashlib
import uuid
from collections import deque
from dataclasses import dataclass, field
from decimal import Decimal

from copydesk.model import ZERO, Fill, Order, PositionSide

from copydesk_bybit.symbols import SPOT

KEPT_ORDERS = 20_000
KEPT_FILLS = 20_000
_NAMES = uuid.UUID("6ba7b814-9dad-11d1-80b4-00c04fd430c8")
FIRST_SPOT_ID = 2_100_000_000_000_000_000


@dataclass(slots=True)
class Protection:
    """Take profit and stop loss, as an order asks for them or a position has them. Texts are as they were sent."""

    take_profit: str = ""
    stop_loss: str = ""
    tp_trigger_by: str = ""
    sl_trigger_by: str = ""
    tp_limit_price: str = ""
    sl_limit_price: str = ""
    tp_order_type: str = "Market"
    sl_order_type: str = "Market"
    mode: str = "Full"

    def __bool__(self) -> bool:
        return bool(self.take_profit or self.stop_loss)


@dataclass(slots=True)
class Known:
    """One order as Bybit tells it: what the exchange does not keep.

    `order` is its newest state; `stop_type` and `direction` are those of a conditional order. `quote_quantity`: what a spot
    market order was asked for in the quote currency. `fees` by coin.
    """

    order_id: str
    link_id: str
    category: str
    position_idx: int = 0
    stop_type: str = ""
    direction: int = 0
    trigger_by: str = ""
    last_on_created: Decimal = ZERO
    close_on_trigger: bool = False
    market_unit: str = ""
    quote_quantity: Decimal | None = None
    protection: Protection = field(default_factory=Protection)
    mode: str = ""
    create_type: str = "CreateByUser"
    is_leverage: str = ""
    limit_price: Decimal | None = None
    parent_link_id: str = ""
    fees: dict[str, Decimal] = field(default_factory=dict)
    value: Decimal = ZERO
    cancel_type: str = "UNKNOWN"
    reject_reason: str = "EC_NoError"
    ending: str = ""
    """A `cancelType`: why it is being cancelled now."""
    order: Order | None = None


@dataclass(slots=True)
class Done:
    """One execution of the account with what Bybit tells beside it."""

    fill: Fill
    known: Known
    leaves: Decimal
    closed: Decimal
    realised: Decimal
    mark: Decimal
    seq: int


Key = tuple[str, PositionSide]


class Account:
    """One account: its key, its orders under Bybit's ids, what its positions earned and how they are protected."""

    def __init__(self, name: str, key: str, secret: str) -> None:
        self.name = name
        self.key = key
        self.secret = secret.encode()
        self.user_id = int(hashlib.sha256(name.encode()).hexdigest()[:6], 16)
        self.margin_mode = "REGULAR_MARGIN"
        self.updated_ms = 0
        self.orders: dict[str, Known] = {}
        """By the exchange's id; orders that never came into the book are there too, under an id of their own."""
        self.by_id: dict[str, str] = {}
        self.by_link: dict[str, str] = {}
        self.fills: deque[Done] = deque(maxlen=KEPT_FILLS)
        self.placing: Known | None = None
        self.earned: dict[Key, Decimal] = {}
        self.earned_now: dict[Key, Decimal] = {}
        self.sizes: dict[Key, Decimal] = {}
        """Signed positions as the executions that were told add up to."""
        self.opened_ms: dict[Key, int] = {}
        self.moved_ms: dict[Key, int] = {}
        self.trailing: dict[Key, tuple[str, str]] = {}
        """Distance and activation price of a position's trailing stop."""
        self.protecting: dict[Key, list[Known]] = {}
        """Orders that were made to protect a position; those that have ended are taken out as they are met."""
        self.entered: dict[Key, dict[str, Decimal]] = {}
        """What orders with a protection of their own traded since that was last looked at, by the exchange's ids."""
        self.closed: deque[dict[str, object]] = deque(maxlen=1_000)

    def __repr__(self) -> str:
        return f"Account({self.name!r})"

    def keep(self, venue_id: str, known: Known) -> None:
        """Remember an order under all its names; the oldest is forgotten where there are too many."""
        self.orders[venue_id] = known
        self.by_id[known.order_id] = venue_id
        if known.link_id:
            self.by_link[known.link_id] = venue_id
        if len(self.orders) > KEPT_ORDERS:
            oldest = self.orders.pop(next(iter(self.orders)))
            self.by_id.pop(oldest.order_id, None)
            self.by_link.pop(oldest.link_id, None)

    def find(self, order_id: str, link_id: str) -> str:
        """The exchange's id of an order that is named by the venue's id or, without that, the client's. Empty: unknown."""
        return self.by_id.get(order_id, "") if order_id else self.by_link.get(link_id, "")


def order_id_of(category: str, account: str, number: int) -> str:
    """Spot counts its orders, the others have UUIDs."""
    if category == SPOT:
        return str(FIRST_SPOT_ID + number)
    return str(uuid.uuid5(_NAMES, f"order/{account}/{number}"))


def execution_id_of(category: str, fill: Fill) -> str:
    if category == SPOT:
        return str(FIRST_SPOT_ID + int(fill.execution_id) * 4 + (1 if fill.maker else 0))
    return str(uuid.uuid5(_NAMES, f"execution/{fill.venue_id}/{fill.execution_id}"))


def trade_id_of(category: str, number: int) -> str:
    """A public trade's id."""
    return str(FIRST_SPOT_ID + number) if category == SPOT else str(uuid.uuid5(_NAMES, f"trade/{number}"))
