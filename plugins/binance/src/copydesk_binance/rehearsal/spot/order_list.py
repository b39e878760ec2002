"""What is known of one order list."""

from __future__ import annotations

from dataclasses import dataclass, field

EXECUTING, ALL_DONE = "EXECUTING", "ALL_DONE"
STARTED, UPDATED = "EXEC_STARTED", "UPDATED"


@dataclass
class OrderList:
    """`kind` is the contingency: OCO, or OTO for both sorts in which a working order triggers others.

    `names` are the client ids of its orders by their numbers; with OTO the working order comes first. `open` are the
    numbers of those that have not ended.
    """

    list_id: int
    client_id: str
    kind: str
    symbol: str
    time_ms: int
    names: dict[int, str] = field(default_factory=dict)
    open: set[int] = field(default_factory=set)
    status: str = EXECUTING
    step: str = STARTED

    @property
    def is_open(self) -> bool:
        return self.status == EXECUTING
