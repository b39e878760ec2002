"""What a start or a stop would do, shown before it is done: the records.

A plan has a `digest` of all that it would do. Who confirms sends the digest back; where the world has moved so that
something else would be sent, the digest is another one, and the plan is shown again. A plan that sends nothing needs no
confirmation. How plans are made is in `forecast.py`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Literal

from copydesk.model import ZERO, LeverageChange, Order, Position, Record, Terms


class StartOrder(Record):
    """How to start a bot. What is empty is taken from its settings. `digest`: of the plan that is confirmed."""

    policy: str = ""
    max_adverse_percent: Decimal | None = None
    digest: str = ""


class StopOrder(Record):
    """How to stop a bot. An empty `policy` is the bot's own. `digest`: of the plan that is confirmed."""

    policy: str = ""
    digest: str = ""


class Checks(Record):
    """What was found before a start: why it cannot be, what to know, and leverage to set (by account key)."""

    refusals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    leverage: tuple[LeverageChange, ...] = ()


class PlannedSend(Record):
    """One request that would go to a venue. `what` is `place`, `modify` or `cancel`; `protects`: it reduces risk."""

    account: str
    what: str
    terms: Terms
    protects: bool = False
    client_id: str = ""


class PlannedPosition(Record):
    """One symbol on one child: what it holds, what it should hold, how much of it counts as copied without being sent."""

    symbol: str
    position_side: str
    held: Decimal
    target: Decimal
    adopted: Decimal


class PlannedChild(Record):
    account: str
    positions: tuple[PlannedPosition, ...] = ()
    sends: tuple[PlannedSend, ...] = ()
    leverage: tuple[LeverageChange, ...] = ()
    remarks: tuple[str, ...] = ()


class StartPlan(Record):
    """What starting a bot would do. With a line in `refusals` it cannot be started so."""

    bot: str
    parent: str
    policy: str
    max_adverse_percent: Decimal
    positions: tuple[Position, ...]
    orders: tuple[Order, ...]
    children: tuple[PlannedChild, ...]
    refusals: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    digest: str = ""

    @property
    def sends(self) -> tuple[PlannedSend, ...]:
        return tuple(send for child in self.children for send in child.sends)

    @property
    def changes(self) -> bool:
        """True where something would be sent or set: then it has to be confirmed."""
        return bool(self.sends or self.policy != "ignore" or any(child.leverage for child in self.children))


class StopPlan(Record):
    """What stopping a bot would do at once. `stays`: what is left at the venue afterwards, in words."""

    bot: str
    policy: str
    children: tuple[PlannedChild, ...]
    warnings: tuple[str, ...] = ()
    digest: str = ""

    @property
    def sends(self) -> tuple[PlannedSend, ...]:
        return tuple(send for child in self.children for send in child.sends)

    @property
    def changes(self) -> bool:
        """True where something would be sent: then it has to be confirmed."""
        return bool(self.sends)


class MissingOrder(Record):
    """Which child, in which symbol. `digest`: of the plan that is confirmed; `actor` is who, for the log."""

    child: str
    symbol: str
    position_side: str = "net"
    digest: str = ""
    actor: str = ""


class MissingPlan(Record):
    """What would be sent now to bring a child to its target, whatever the catch-up window says."""

    bot: str
    child: str
    symbol: str
    position_side: str
    target: Decimal = ZERO
    attributed: Decimal = ZERO
    in_flight: Decimal = ZERO
    sends: tuple[PlannedSend, ...] = ()
    refusals: tuple[str, ...] = ()
    digest: str = ""


KILL_WORD = "STOP"


class KillOrder(Record):
    """Stop every bot at once. `confirm` has to be the word `STOP`: no digest is asked for, for there may be no time."""

    policy: Literal["leave", "cancel_entries", "cancel_all", "flatten"] = "cancel_entries"
    confirm: str = ""
    actor: str = ""


class KillReport(Record):
    """What was begun: the bots that were stopped, how many orders are cancelled and positions closed for it.

    `away`: children that something has to be done on once they are connected again.
    """

    policy: str
    bots: tuple[str, ...]
    cancels: int = 0
    closes: int = 0
    away: tuple[str, ...] = ()
