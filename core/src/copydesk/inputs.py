"""What goes into the pure engine and what comes out: inputs, intents and notes.

Every input is journalled before anything that follows from it leaves; replaying the same inputs gives the same decisions,
byte for byte. An account is named by its key: `connection` or `connection/account`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from copydesk.filters import Session
from copydesk.model import (
    ZERO,
    AccountEvent,
    Capabilities,
    Instrument,
    NewOrder,
    OrderChange,
    OrderGroup,
    OrderRef,
    Outcome,
    Record,
    Snapshot,
)

# --- rules in force ---------------------------------------------------------------------------------------------------


class Unfilled(Record):
    """What is done where the parent's order has filled and the child's copy still rests.

    `action`: `wait`, `market_after`, `chase`, `cancel_after`; each `after_ms` (chase: every `after_ms`). Percents are of
    the parent's price; exits close at market, whatever the slippage.
    """

    action: str = "wait"
    after_ms: int = 2_000
    max_slippage_percent: Decimal = Decimal("0.5")
    step_percent: Decimal = Decimal("0.05")
    steps: int = 5


class Limits(Record):
    """A child's risk limits (rule 20); zero and empty mean none. Amounts of notional are in the quote currency, the daily
    loss in the account's. A day starts `day_starts` minutes after midnight in `zone`."""

    over: str = "refuse"
    max_order: Decimal = ZERO
    max_order_notional: Decimal = ZERO
    max_position: Decimal = ZERO
    max_position_notional: Decimal = ZERO
    daily_loss: Decimal = ZERO
    day_starts: int = 0
    zone: str = "UTC"
    symbols: tuple[str, ...] = ()
    price_band_percent: Decimal = ZERO


class Filters(Record):
    """What a child follows at all (rule 22): patterns of symbols, and the sessions in which it may open."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    sessions: tuple[Session, ...] = ()


class ChildRules(Record):
    """How one child follows. `value` is K for `multiplier`, percent of the same share (100 = the same) for `percentage`."""

    account: str
    mode: str
    value: Decimal
    rounding: str = "floor"
    ahead: str = "trim"
    basis: str = "equity"
    fixed_balance: Decimal = ZERO
    balance_max_age_ms: int = 120_000
    catch_up_max_age_ms: int = 60_000
    catch_up_max_adverse_percent: Decimal = Decimal("0.5")
    trigger: str = "on_submit"
    unfilled_entry: Unfilled = Unfilled()
    unfilled_exit: Unfilled = Unfilled(action="market_after")
    on_size_reject: str = "fail"
    ticket_expires_ms: int = 300_000
    limits: Limits = Limits()
    filters: Filters = Filters()
    hand_trading: str = "coexist"


class BotRules(Record):
    name: str
    kind: str
    parent: str
    children: tuple[ChildRules, ...]
    parent_silent_after_ms: int = 30_000
    parent_silent_action: str = "cancel_child_entries"


# --- inputs -----------------------------------------------------------------------------------------------------------


class EngineStarted(Record, tag="engine-started"):
    """A new process took over: nothing is connected, and whatever was in flight has an unknown outcome."""

    at_ns: int


class Configured(Record, tag="configured"):
    """The rules in force from now on, and what each kind can do. Open episodes keep the ratio they began with."""

    at_ns: int
    bots: tuple[BotRules, ...]
    capabilities: dict[str, Capabilities]


class InstrumentSeen(Record, tag="instrument"):
    """The order rules of one instrument, given before the first event that needs them."""

    at_ns: int
    kind: str
    instrument: Instrument


class BotStarted(Record, tag="bot-started"):
    """A person started the bot. `policy` says what becomes of what the parent has in `snapshot`: see `starting.py`.

    `children`: what the children had when the plan was made. Not needed where the policy is `ignore`.
    """

    at_ns: int
    bot: str
    snapshot: Snapshot
    policy: str = "ignore"
    max_adverse_percent: Decimal = ZERO
    children: dict[str, Snapshot] = {}


class BotStopped(Record, tag="bot-stopped"):
    """A person stopped the bot. `policy` says what becomes of its orders and positions: see `stopping.py`."""

    at_ns: int
    bot: str
    policy: str = "leave"


class LimitSet(Record, tag="limit-set"):
    """A person set what copydesk may trade on a child: `all`, `close_only` or `none`, until `until_ns` (zero: for good)."""

    at_ns: int
    account: str
    state: str
    reason: str = ""
    actor: str = ""
    until_ns: int = 0


class TicketSent(Record, tag="ticket-sent"):
    """A person sends what a ticket is for."""

    at_ns: int
    ticket: str
    actor: str = ""


class TicketDismissed(Record, tag="ticket-dismissed"):
    """A person does not want what a ticket is for."""

    at_ns: int
    ticket: str
    actor: str = ""


class MissingCopied(Record, tag="missing-copied"):
    """A person wants what a child lacks or holds too much made up for now."""

    at_ns: int
    bot: str
    child: str
    symbol: str
    position_side: str
    actor: str = ""


class Snapped(Record, tag="snapshot"):
    """An account was read in full; it is connected."""

    at_ns: int
    account: str
    snapshot: Snapshot


class AccountDown(Record, tag="down"):
    at_ns: int
    account: str
    reason: str


class Reported(Record, tag="report"):
    """The venue reported something by itself."""

    at_ns: int
    account: str
    event: AccountEvent


class Settled(Record, tag="settled"):
    """What became of an intent."""

    at_ns: int
    account: str
    intent: int
    client_id: str
    outcome: Outcome


class Ticked(Record, tag="tick"):
    """A time that the engine asked for has come."""

    at_ns: int


Input = (
    EngineStarted
    | Configured
    | InstrumentSeen
    | BotStarted
    | BotStopped
    | LimitSet
    | Snapped
    | AccountDown
    | Reported
    | Settled
    | Ticked
    | TicketSent
    | TicketDismissed
    | MissingCopied
)

# --- decisions --------------------------------------------------------------------------------------------------------


class Place(Record, tag="place"):
    """Place `order` on the child. `cause` names the parent's order; `why` is one of the words in `docs/semantics`."""

    id: int
    bot: str
    account: str
    cause: str
    why: str
    order: NewOrder

    @property
    def client_id(self) -> str:
        return self.order.client_id

    @property
    def symbol(self) -> str:
        return self.order.terms.symbol


class PlaceGroup(Record, tag="place-group"):
    """Place the two legs of `group` on the child as one. `cause` names the parent's order that called for it first."""

    id: int
    bot: str
    account: str
    cause: str
    why: str
    group: OrderGroup

    @property
    def client_id(self) -> str:
        return self.group.legs[0].client_id

    @property
    def symbol(self) -> str:
        return self.group.legs[0].terms.symbol


class Modify(Record, tag="modify"):
    id: int
    bot: str
    account: str
    cause: str
    why: str
    change: OrderChange

    @property
    def client_id(self) -> str:
        return self.change.ref.client_id

    @property
    def symbol(self) -> str:
        return self.change.ref.symbol


class Cancel(Record, tag="cancel"):
    id: int
    bot: str
    account: str
    cause: str
    why: str
    order: OrderRef

    @property
    def client_id(self) -> str:
        return self.order.client_id

    @property
    def symbol(self) -> str:
        return self.order.symbol


class LookUp(Record, tag="look-up"):
    """Read the account and settle the fate of `orders`."""

    id: int
    account: str
    orders: tuple[OrderRef, ...]


class Note(Record, tag="note"):
    """A decision that sends nothing but that a person may want to know of."""

    level: str
    kind: str
    text: str
    bot: str = ""
    account: str = ""
    symbol: str = ""
    data: dict[str, Any] = {}


Intent = Place | PlaceGroup | Modify | Cancel | LookUp
Decision = Intent | Note
