"""Order lists: OCO (one cancels the other), OTO (one triggers the other), OTOCO (one triggers two of which one cancels
the other). The exchange links the two orders of an OCO; what a working order triggers waits here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from copydesk_binance.rehearsal.spot.parameters import Wanted

EXECUTING, ALL_DONE = "EXECUTING", "ALL_DONE"
STARTED, UPDATED, ENDED = "EXEC_STARTED", "UPDATED", "ALL_DONE"


@dataclass
class Leg:
    """One order of a list. `order_id` is empty while it is pending; `shown_id` is the number that the venue tells."""

    wanted: Wanted
    order_id: str = ""
    shown_id: int = 0
    pending: bool = False
    ended: bool = False
    expired: str = ""
    """Why a pending order will never be placed."""


@dataclass
class OrderList:
    """`kind` is the contingency: OCO, or OTO for both kinds in which a working order triggers others."""

    list_id: int
    client_id: str
    kind: str
    symbol: str
    legs: list[Leg] = field(default_factory=list)
    status: str = EXECUTING
    step: str = STARTED
    time_ms: int = 0

    @property
    def is_open(self) -> bool:
        return self.status == EXECUTING

    @property
    def working(self) -> Leg | None:
        """The order that triggers the others."""
        return self.legs[0] if self.kind == "OTO" else None

    def leg(self, order_id: str) -> Leg | None:
        return next((leg for leg in self.legs if leg.order_id == order_id), None)
