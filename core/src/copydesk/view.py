"""What the outside sees of a running engine: plain records that the control API serves and the panel shows.

Everything here is derived; nothing decides by it. Amounts are `Decimal` (strings in JSON), times nanoseconds or
milliseconds since the Unix epoch as the name says.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

from copydesk.model import Balance, Fill, Order, Outcome, Position, PriceEvent, Record, Terms


class ConnectionState(StrEnum):
    CONNECTING = "connecting"
    CONNECTED = "connected"
    DOWN = "down"
    REFUSED = "refused"


class BudgetView(Record):
    """How much of its venue's limits is used just now: `scope` says who shares the limit of requests.

    `waiting` counts the links (child and symbol) that would send something and have no budget for it. A limit of zero is
    one that the venue does not have.
    """

    scope: str
    requests_used: int = 0
    requests_per_minute: int = 0
    orders_used: int = 0
    orders_per_second: int = 0
    waiting: int = 0


class AccountView(Record):
    """One account of a connection. `key` is how the rest names it: `connection` or `connection/account`."""

    key: str
    connection: str
    kind: str
    title: str
    state: ConnectionState
    message: str = ""
    rehearsal: bool = False
    balance: Balance | None = None
    positions: tuple[Position, ...] = ()
    orders: tuple[Order, ...] = ()
    budget: BudgetView | None = None


class Latency(Record):
    """Times of the latest copies or requests in microseconds: how many, the median, the 99th percentile, the longest."""

    count: int
    p50_us: int
    p99_us: int
    max_us: int


class LatencyView(Record):
    """How long the requests of one bot take, stage by stage, each from the moment at which their event was read.

    `decoded`: the event was understood; `planned`: the first request was known; `journalled`: the event was written;
    `sent`: the request left; `acknowledged`: the venue's answer came; `filled`: a market order's first fill was told.
    `fired`: how many requests left in the very call since the start, `waited`: how many took a task.
    """

    bot: str
    stages: dict[str, Latency] = {}
    fired: int = 0
    waited: int = 0


class ConnectionView(Record):
    """One connection. `since_ns`: since when it is in its state. `round_trip`: from a request to its answer.

    `clock_offset_ms`: by how much the venue's clock is ahead of this machine's, as of the latest reading. `permissions`:
    what the venue says that the key may do, or `None` where it does not tell; `withdraw` among them is a danger.
    `pauses`: how often the venue asked for a pause in reading since the start; `pause_left_ms`: of the present one.
    """

    name: str
    kind: str
    title: str
    state: ConnectionState
    message: str = ""
    since_ns: int = 0
    rehearsal: bool = False
    closed_on: str = ""
    accounts: tuple[str, ...] = ()
    round_trip: Latency | None = None
    clock_offset_ms: int | None = None
    permissions: tuple[str, ...] | None = None
    pauses: int = 0
    pause_left_ms: int = 0
    budget: BudgetView | None = None


class DriftCause(Record):
    """How much of a difference one cause explains, with the sign of the difference."""

    cause: str
    quantity: Decimal


class DriftView(Record):
    """One link's position against what it should be, since when. `causes` add up to `difference`; `cause` is the first.

    Naked: holding a position without a stop while the parent has one. `naked_since_ns` is 0 where that is not so now;
    `naked_ns` is all such time that is over, since the bot started.
    """

    bot: str
    child: str
    symbol: str
    position_side: str
    target: Decimal
    attributed: Decimal
    foreign: Decimal
    in_flight: Decimal
    difference: Decimal
    cause: str = ""
    alarm: str = ""  # what cannot be closed though it is tried on, in a sentence
    causes: tuple[DriftCause, ...] = ()
    since_ns: int = 0
    naked_since_ns: int = 0
    naked_ns: int = 0


class Ticket(Record):
    """What could not be copied, filled in for a person to send until it expires. `kind` and `why` say what failed.

    `status`: `open`, `sent` (under `client_id`), `dismissed`, `expired`, or `replaced` by a newer one for the same order.
    """

    id: str
    bot: str
    child: str
    symbol: str
    position_side: str
    terms: Terms
    kind: str
    why: str
    parent_order: str = ""
    created_ns: int
    expires_ns: int
    status: str = "open"
    client_id: str = ""


class TicketAction(Record):
    """A person sends or dismisses a ticket; `actor` is who, for the log."""

    actor: str = ""


class LimitView(Record):
    """What may be traded on a child account: `all`, `close_only` or `none`, why, by whom, and until when (0: for good).

    `day` and `day_equity` say from when and what a daily loss is counted, where one is limited.
    """

    account: str
    state: str
    reason: str = ""
    actor: str = ""
    since_ns: int = 0
    until_ns: int = 0
    day: str = ""
    day_equity: Decimal | None = None


class LimitChange(Record):
    """A trading state to be set. Exits go in each of them."""

    state: Literal["all", "close_only", "none"]
    reason: str = ""
    actor: str = ""
    until_ns: int = 0


class ChildView(Record):
    """One child of a bot. `sent` runs from the parent's event read to the child's request handed to the venue's client,
    `accepted` to the venue's answer. `naked_ns`: how long in all it held something without a stop while its parent had one,
    `naked_longest_ns` the longest time at a stretch, both of what is over.
    `oco`: whether its venue links a stop and a target itself (`native`) or the engine does (`emulated`)."""

    account: str
    mode: str
    value: Decimal
    health: str
    copied: int = 0
    missed: int = 0
    naked_ns: int = 0
    naked_longest_ns: int = 0
    oco: str = "emulated"
    latency_us: int | None = None
    sent: Latency | None = None
    accepted: Latency | None = None


class BotView(Record):
    name: str
    parent: str
    kind: str
    status: str  # "Working" or "Stopped", nothing else
    children: tuple[ChildView, ...]
    copied: int = 0
    missed: int = 0
    latency_us: int | None = None


class LogEntry(Record):
    """One line of the log of actions. `kind` is a short stable word, `data` what a machine may want of it."""

    seq: int = 0
    at_ns: int
    level: str  # "info", "warn", "error"
    kind: str
    text: str
    bot: str = ""
    account: str = ""
    symbol: str = ""
    data: dict[str, Any] = {}


class DeskView(Record):
    """The whole picture at one moment; `seq` is the last event that it includes."""

    seq: int
    at_ns: int
    version: str
    bots: tuple[BotView, ...] = ()
    accounts: tuple[AccountView, ...] = ()
    drift: tuple[DriftView, ...] = ()
    tickets: tuple[Ticket, ...] = ()  # those that may be sent now
    fills: tuple[tuple[str, Fill], ...] = ()  # the latest of each account, as (account key, fill)
    log: tuple[LogEntry, ...] = ()  # the latest lines, oldest first
    prices: dict[str, Decimal] = {}


class DeskEvent(Record):
    """One change, numbered without gaps. `kind`: `log`, `bot`, `bot-removed`, `account`, `order`, `fill`, `position`,
    `balance`, `drift`, `ticket`; `body` is the matching record of this module or of `copydesk.model`, `account` the
    account key."""

    seq: int
    kind: str
    account: str = ""
    body: Any = None


class EventPage(Record):
    """A run of events without a gap; `seq` is the last one in it, or the number asked after where there is none."""

    events: tuple[DeskEvent, ...]
    seq: int


class LogQuery(Record):
    """Which lines of the log of actions: a period (both ends included, zero is open), words, and a page of it.

    `text` is looked for in the line without regard to case. `before_seq` goes on where the last page ended; the newest
    line comes first.
    """

    from_ms: int = 0
    to_ms: int = 0
    bot: str = ""
    account: str = ""
    kind: str = ""
    level: str = ""
    text: str = ""
    before_seq: int = 0
    limit: int = 500


class TicketOutcome(Record):
    """What became of an order, a change or a cancel that a person asked for on a rehearsal account."""

    outcome: Outcome
    client_id: str = ""


class Health(Record):
    """The engine answers. Told without a token."""

    ok: bool
    version: str


class Failure(Record):
    """Why a request was refused: one sentence that says what was wrong and what to do."""

    error: str


EVENT_BODIES: dict[str, type[Record]] = {
    "log": LogEntry,
    "bot": BotView,
    "account": AccountView,
    "order": Order,
    "fill": Fill,
    "position": Position,
    "balance": Balance,
    "drift": DriftView,
    "ticket": Ticket,
    "price": PriceEvent,
}
"""What the body of a `DeskEvent` is, by its kind. A `price` is not numbered: its `seq` is 0."""
