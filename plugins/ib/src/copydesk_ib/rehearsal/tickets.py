"""An order at the rehearsal TWS, from its ticket to its end, and how messages tell of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from copydesk.model import ZERO, Side
from copydesk_paper.contracts import tidy

from copydesk_ib.rehearsal.listings import Leg, Listing
from copydesk_ib.rehearsal.logins import Login
from copydesk_ib.rehearsal.wire import double, integer, number, plain

if TYPE_CHECKING:
    from copydesk_ib.rehearsal.conditions import Conditions

FIRST_PERM_ID = 1_376_327_000
UNSEEN_ORDER_ID = 2_147_483_647
"""The order id that executions of hand-made orders carry."""
STOPS: Final = ("STP", "STP LMT", "TRAIL", "TRAIL LIMIT")
TOUCHED: Final = ("MIT", "LIT")
AT_CLOSE: Final = ("MOC", "LOC")
TYPES: Final = ("MKT", "LMT", *STOPS, *TOUCHED, *AT_CLOSE)
PRICED: Final = ("LMT", "STP LMT", "LIT", "LOC")
WITH_AUX: Final = ("STP", "STP LMT", "MIT", "LIT")
TIFS: Final = ("DAY", "GTC", "IOC", "FOK", "GTD")
_SPELLINGS: Final = {
    "STPLMT": "STP LMT",
    "STOP": "STP",
    "STOP LIMIT": "STP LMT",
    "TRAILLMT": "TRAIL LIMIT",
    "TRAIL LMT": "TRAIL LIMIT",
    "MARKET": "MKT",
    "LIMIT": "LMT",
}
_ECHOED: Final = (
    "goodAfterTime",
    "goodTillDate",
    "faGroup",
    "faMethod",
    "faPercentage",
    "modelCode",
    "orderRef",
    "algoStrategy",
    "algoParams",
    "hedgeType",
    "hedgeParam",
    "comboLegs",
    "orderComboLegs",
    "smartRouting",
    "settlingFirm",
    "conditions",
    "conditionsIgnoreRth",
    "conditionsCancelOrder",
)


class Status(StrEnum):
    """TWS's order states."""

    PENDING_SUBMIT = "PendingSubmit"
    PRE_SUBMITTED = "PreSubmitted"
    SUBMITTED = "Submitted"
    PENDING_CANCEL = "PendingCancel"
    FILLED = "Filled"
    CANCELLED = "Cancelled"
    API_CANCELLED = "ApiCancelled"
    INACTIVE = "Inactive"

    @property
    def is_final(self) -> bool:
        return self in (Status.FILLED, Status.CANCELLED, Status.API_CANCELLED, Status.INACTIVE)


def order_type(told: str) -> str:
    """An order type in its usual spelling."""
    return _SPELLINGS.get(told.upper(), told.upper())


@dataclass(frozen=True, slots=True)
class Wish:
    """What an order asks for, read from its placeOrder fields. Prices are None where they are not set."""

    action: Side
    type: str
    quantity: Decimal
    limit: Decimal | None
    aux: Decimal | None
    trail_stop: Decimal | None
    trail_percent: Decimal | None
    limit_offset: Decimal | None
    tif: str
    outside_hours: bool
    oca_group: str
    oca_type: int
    parent_id: int
    trigger_method: int
    transmit: bool
    what_if: bool
    order_ref: str


def read_wish(told: Mapping[str, Any]) -> Wish:
    """Read it. Raises `WireError` for what is no number, ValueError for an action that is none."""
    oca_type = integer(told["ocaType"])
    return Wish(
        action=Side.BUY if told["action"] == "BUY" else _sell(told["action"]),
        type=order_type(told["orderType"]),
        quantity=number(told["totalQuantity"]) or ZERO,
        limit=number(told["lmtPrice"]),
        aux=number(told["auxPrice"]),
        trail_stop=number(told["trailStopPrice"]),
        trail_percent=number(told["trailingPercent"]),
        limit_offset=number(told["lmtPriceOffset"]),
        tif=told["tif"].upper() or "DAY",
        outside_hours=told["outsideRth"] == "1",
        oca_group=told["ocaGroup"],
        oca_type=oca_type if oca_type in (1, 2, 3) else 3,
        parent_id=integer(told["parentId"]),
        trigger_method=integer(told["triggerMethod"]),
        transmit=told["transmit"] == "1",
        what_if=told["whatIf"] == "1",
        order_ref=told["orderRef"],
    )


def _sell(action: str) -> Side:
    if action not in ("SELL", "SSHORT", "SLONG"):
        raise ValueError(f"{action!r} is no action")
    return Side.SELL


class Ticket:
    """One order. `account` is the exchange's account, `account_id` IB's name of it.

    `order_id` and `client_id` name it to its client; a hand-made order has 0 for both until client 0 binds it. `working`
    is its order at the exchange now. `stop` is a trailing order's present stop price. A combination has `legs`. `group` are
    all orders of its OCA group, itself among them.
    """

    def __init__(
        self,
        perm_id: int,
        order_id: int,
        client_id: int,
        login: Login,
        account: str,
        listing: Listing | None,
        legs: tuple[Leg, ...],
        told: Mapping[str, Any],
        wish: Wish,
        *,
        hand: bool,
    ) -> None:
        self.perm_id = perm_id
        self.order_id = order_id
        self.client_id = client_id
        self.login = login
        self.account = account
        self.account_id = login.ids[account]
        self.listing = listing
        self.legs = legs
        self.asked = told
        self.wish = wish
        self.hand = hand
        self.status = Status.PENDING_SUBMIT
        self.transmitted = False
        self.parent: Ticket | None = None
        self.children: list[Ticket] = []
        self.group: list[Ticket] = []
        self.liquidation = False
        self.oca_group = wish.oca_group
        self.oca_type = wish.oca_type
        self.filled = ZERO
        self.paid = ZERO
        self.last_price = ZERO
        self.commission: Decimal | None = None
        self.stop: Decimal | None = None
        self.limit_offset: Decimal | None = None
        self.conditions: Conditions | None = None  # none, or they are met
        self.triggered = False
        self.working = 0
        self.why_held = ""
        self.reason = ""
        self.ended_ms = 0
        self.margins: Mapping[str, str] = {}

    @property
    def is_live(self) -> bool:
        return not self.status.is_final

    @property
    def is_held(self) -> bool:
        """True while it waits for its parent."""
        return self.parent is not None and self.parent.status is not Status.FILLED

    @property
    def brothers(self) -> list[Ticket]:
        """The other orders of its OCA group that are not over."""
        return [ticket for ticket in self.group if ticket is not self and ticket.is_live]

    @property
    def quantity(self) -> Decimal:
        return self.wish.quantity

    @property
    def remaining(self) -> Decimal:
        return self.wish.quantity - self.filled

    @property
    def limit(self) -> Decimal | None:
        """The limit price: of a trailing order as far from its stop as was asked for."""
        if self.wish.type != "TRAIL LIMIT" or self.stop is None or self.listing is None:
            return self.wish.limit
        offset = self.limit_offset or ZERO
        return to_tick(self.stop + offset if self.wish.action is Side.BUY else self.stop - offset, self.listing.tick)

    @property
    def average(self) -> Decimal:
        return tidy(self.paid / self.filled) if self.filled else ZERO

    @property
    def is_dormant(self) -> bool:
        """True while it waits for a price or for the close."""
        return self.wish.type in (*STOPS, *TOUCHED, *AT_CLOSE) and not self.triggered

    @property
    def key(self) -> int:
        """The order id that executions carry."""
        return self.order_id or UNSEEN_ORDER_ID

    def fill(self, quantity: Decimal, price: Decimal) -> None:
        self.filled += quantity
        self.paid += quantity * price
        self.last_price = price
        if self.remaining <= 0:
            self.status = Status.FILLED
        elif self.is_live:
            self.status = Status.SUBMITTED

    @property
    def contract(self) -> dict[str, Any]:
        """Its contract as messages have it: of a combination, what was asked for."""
        if self.listing is None:
            return {
                **{name: self.asked[name] for name in ("symbol", "currency")},
                **_COMBO,
                "exchange": self.asked["exchange"],
            }
        return self.listing.told(self.asked["exchange"] or self.listing.exchange)

    def told(self) -> dict[str, Any]:
        """It as openOrder tells it."""
        wish = self.wish
        return {
            **{name: value for name in _ECHOED if (value := self.asked.get(name))},
            **self.contract,
            **self.margins,
            "orderId": self.order_id,
            "clientId": self.client_id,
            "permId": self.perm_id,
            "action": self.asked["action"],
            "totalQuantity": wish.quantity,
            "orderType": wish.type,
            "lmtPrice": _double(self.limit),
            "auxPrice": _double(wish.aux),
            "tif": wish.tif,
            "ocaGroup": self.oca_group,
            "ocaType": self.oca_type,
            "account": self.account_id,
            "outsideRth": wish.outside_hours,
            "parentId": self.parent.order_id if self.parent is not None else 0,
            "triggerMethod": wish.trigger_method,
            "trailStopPrice": _double(self.stop),
            "trailingPercent": _double(wish.trail_percent),
            "trailStop": _double(self._shown_stop()),
            "lmtPriceOffset": _double(self.limit_offset),
            "whatIf": wish.what_if,
            "status": self.status.value,
            "sharesAllocation": f"{self.perm_id}.0/{self.account_id}/{plain(wish.quantity)}",
            "commission": None if self.commission is None else double(self.commission),
            "commissionCurrency": None if self.commission is None else "USD",
            "minCompeteSize": "100" if self._is_share else None,
            "competeOffset": "0.02" if self._is_share else None,
            "shareholder": "Not an insider or substantial shareholder",
        }

    @property
    def _is_share(self) -> bool:
        return self.listing is not None and self.listing.sec_type == "STK"

    def _shown_stop(self) -> Decimal | None:
        """TWS writes the limit price plus one here for limit orders, for whatever reason."""
        if self.stop is None and self.wish.type == "LMT" and self.wish.limit is not None:
            return self.wish.limit + 1
        return self.stop

    def told_status(self) -> dict[str, Any]:
        """It as orderStatus tells it."""
        return {
            "orderId": self.order_id,
            "status": self.status.value,
            "filled": self.filled,
            "remaining": self.remaining,
            "averagePrice": _price(self.average),
            "permId": self.perm_id,
            "parentId": self.parent.order_id if self.parent is not None else 0,
            "lastPrice": _price(self.last_price),
            "clientId": self.client_id,
            "whyHeld": self.why_held,
        }

    def told_completed(self, ended: str) -> dict[str, Any]:
        """It as completedOrder tells it; `ended` is when. TWS writes no total quantity for what was filled."""
        filled = self.status is Status.FILLED
        status = "Cancelled" if self.status is Status.API_CANCELLED else self.status.value
        told = self.told() | {
            "status": status,
            "filledQuantity": self.filled,
            "completedTime": ended,
            "completedStatus": f"Filled Size: {plain(self.filled)}" if filled else self.reason or "Cancelled by Trader",
            "parentPermId": self.parent.perm_id if self.parent is not None else None,
        }
        if filled:
            told["totalQuantity"] = "0"
        return told


_COMBO: Final = {"conId": "28812380", "secType": "BAG", "localSymbol": "28812380", "tradingClass": "COMB"}


def _double(value: Decimal | None) -> str | None:
    return None if value is None else double(value)


def _price(value: Decimal) -> str:
    return double(value) if value else "0"


def to_tick(price: Decimal, tick: Decimal) -> Decimal:
    """The nearest multiple of the tick."""
    return (price / tick).to_integral_value(ROUND_HALF_UP) * tick
