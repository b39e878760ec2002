"""The records that everything in copydesk speaks: instruments, orders, fills, positions, balances, events, outcomes.

All are frozen. Prices, quantities and money are `Decimal`, from the wire to the wire. Times are integers: `*_ms` is
milliseconds since the Unix epoch as the venue says it, `*_ns` is nanoseconds since the epoch by this machine's clock.
A symbol is the venue's own name of the instrument (`BTCUSDT`), an account is the venue's own name of the account inside a
connection (empty where a connection has exactly one).
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Any, TypeVar, dataclass_transform

import msgspec

ZERO = Decimal(0)


class _KeywordOnly(msgspec.StructMeta):
    """Makes `kw_only` hold for derived records too: msgspec takes it for the class that says it only."""

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any], **options: Any) -> Any:
        return super().__new__(mcls, name, bases, namespace, **{"kw_only": True, **options})


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(msgspec.field,))
class Record(msgspec.Struct, frozen=True, omit_defaults=True, gc=False, metaclass=_KeywordOnly):
    """Base of every record: immutable, keyword-only, encodes to compact JSON and back without loss."""


# --- words --------------------------------------------------------------------------------------------------


class Word(StrEnum):
    """A word of the wire. Hashed as the text that it is, which Python's own way for enumerations takes a call for."""

    __hash__ = str.__hash__


class Side(Word):
    BUY = "buy"
    SELL = "sell"

    sign: int
    """+1 for a buy, -1 for a sell."""

    def __init__(self, word: str) -> None:
        self.sign = 1 if word == "buy" else -1  # as for all words here: told when read, for they are asked for often

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(Word):
    MARKET = "market"
    LIMIT = "limit"
    STOP_MARKET = "stop-market"
    STOP_LIMIT = "stop-limit"
    TAKE_PROFIT_MARKET = "take-profit-market"
    TAKE_PROFIT_LIMIT = "take-profit-limit"
    TRAILING_STOP = "trailing-stop"

    has_price: bool
    """True where the order carries a limit price."""
    has_trigger: bool
    """True where the order waits for a trigger price (a trailing stop moves its own)."""
    is_conditional: bool
    """True where the order does not stand in the book until it is triggered."""

    def __init__(self, word: str) -> None:
        self.has_price = word.endswith("limit")
        self.has_trigger = word.startswith(("stop-", "take-profit-"))
        self.is_conditional = word not in ("market", "limit")


class TimeInForce(Word):
    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"


class PositionSide(Word):
    """The side book an order belongs to: `NET` in one-way mode, `LONG` or `SHORT` in hedge mode."""

    NET = "net"
    LONG = "long"
    SHORT = "short"


class TriggerBy(Word):
    LAST = "last"
    MARK = "mark"
    INDEX = "index"


class OrderStatus(Word):
    """What the venue says of an order. `NEW` and `PARTIALLY_FILLED` are working; the other four are final."""

    NEW = "new"
    PARTIALLY_FILLED = "partially-filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"

    is_final: bool

    def __init__(self, word: str) -> None:
        self.is_final = word not in ("new", "partially-filled")


class Contract(Word):
    """How quantity becomes money: spot and linear in the quote currency, inverse in the base currency."""

    SPOT = "spot"
    LINEAR = "linear"
    INVERSE = "inverse"


# --- what is traded -----------------------------------------------------------------------------------------


class Instrument(Record):
    """One tradable instrument and its order rules. A rule that is zero does not apply."""

    symbol: str
    base: str
    quote: str
    settle: str
    contract: Contract
    price_tick: Decimal
    quantity_step: Decimal
    min_quantity: Decimal = ZERO
    max_quantity: Decimal = ZERO
    market_max_quantity: Decimal = ZERO
    min_notional: Decimal = ZERO
    contract_size: Decimal = Decimal(1)
    trading: bool = True


# --- orders -------------------------------------------------------------------------------------------------


class Terms(Record):
    """What an order asks for, apart from whose it is: the part that copying copies.

    `price` only for types with a limit price, `trigger_price` only for conditional types (for a trailing stop: the
    optional activation price), `trail_percent` (1 = 1 %) only for a trailing stop. `close_position` means "whatever the
    position is then"; its `quantity` may be zero. `native` is what the order asks for beyond these fields, in the words of
    its venue's plugin (`tif=DAY;outsideRth=1`): copied as it is.
    """

    symbol: str
    side: Side
    type: OrderType
    quantity: Decimal
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    trigger_by: TriggerBy = TriggerBy.LAST
    trail_percent: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    post_only: bool = False
    reduce_only: bool = False
    close_position: bool = False
    position_side: PositionSide = PositionSide.NET
    native: str = ""


class NewOrder(Record):
    """An order to be placed. `client_id` goes to the venue unchanged."""

    account: str = ""
    client_id: str
    terms: Terms


class OrderGroup(Record):
    """Two orders that are placed as one: both or none, and what trades or triggers takes the other away.

    `kind` is `oco` (one cancels the other): a stop and a target of the same side and quantity. Each leg has a client id of
    its own; the venue's id of the whole is `Order.group` of both.
    """

    account: str = ""
    kind: str = "oco"
    legs: tuple[NewOrder, ...]


class OrderRef(Record):
    """Names one order at the venue: by `client_id`, by `venue_id`, or both. `type` tells which service holds it.

    `terms` and `sent_ms` say what was asked for, and when by this machine's clock, where the venue's own id is not known: a
    venue that keeps no client id of such an order can be searched for it.
    """

    account: str = ""
    symbol: str
    type: OrderType
    client_id: str = ""
    venue_id: str = ""
    terms: Terms | None = None
    sent_ms: int = 0


class OrderChange(Record):
    """The new terms of a working order: total quantity (filled part included), price, trigger, trail."""

    ref: OrderRef
    terms: Terms


class Order(Record):
    """An order as the venue reports it. `filled` is cumulative; `updated_ms` orders two reports of one order.

    A conditional order is one order for life: once triggered it keeps its `venue_id` and `client_id`, whatever the venue
    calls the order that it became. `group` is the venue's id of the order list that it belongs to, empty for none.
    """

    account: str = ""
    venue_id: str
    client_id: str = ""
    terms: Terms
    status: OrderStatus
    filled: Decimal = ZERO
    average_price: Decimal | None = None
    triggered: bool = False
    created_ms: int = 0
    updated_ms: int = 0
    reason: str = ""
    group: str = ""

    @property
    def is_working(self) -> bool:
        return not self.status.is_final


class Fill(Record):
    """One execution. `execution_id` is unique per account and symbol at the venue; `fee` is positive when paid."""

    account: str = ""
    execution_id: str
    venue_id: str
    client_id: str = ""
    symbol: str
    side: Side
    position_side: PositionSide = PositionSide.NET
    quantity: Decimal
    price: Decimal
    fee: Decimal = ZERO
    fee_asset: str = ""
    maker: bool = False
    time_ms: int = 0


class Position(Record):
    """A position. `quantity` is signed: below zero is short. A hedge-mode account has one per side."""

    account: str = ""
    symbol: str
    position_side: PositionSide = PositionSide.NET
    quantity: Decimal
    entry_price: Decimal = ZERO
    mark_price: Decimal = ZERO
    unrealised: Decimal = ZERO
    leverage: Decimal = ZERO
    liquidation_price: Decimal = ZERO


class Balance(Record):
    """What an account is worth in `currency`: `equity` with open profit, `cash` without, `available` for new orders."""

    account: str = ""
    currency: str
    equity: Decimal
    cash: Decimal
    available: Decimal
    time_ms: int = 0


class Candle(Record):
    """One bar. `open_ms` is its start; `volume` in base units (contracts for inverse)."""

    open_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal


# --- what a session tells -----------------------------------------------------------------------------------


class OrderEvent(Record, tag="order"):
    """An order was accepted, changed, triggered, filled, ended. Carries the order's whole present state."""

    order: Order


class FillEvent(Record, tag="fill"):
    fill: Fill


class PositionEvent(Record, tag="position"):
    position: Position


class BalanceEvent(Record, tag="balance"):
    balance: Balance


class PriceEvent(Record, tag="price"):
    """The latest traded price, with the best bid and ask where the venue gives them. Never journalled on its own."""

    symbol: str
    last: Decimal
    bid: Decimal | None = None
    ask: Decimal | None = None
    time_ms: int = 0


class Gap(Record, tag="gap"):
    """Something may have been missed: the stream (re)connected. Whoever reads must take a snapshot."""

    reason: str


class StreamLost(Record, tag="lost"):
    """The stream is down; the session is trying again by itself. A `Gap` follows when it is back."""

    reason: str


AccountEvent = OrderEvent | FillEvent | PositionEvent | BalanceEvent
VenueEvent = AccountEvent | PriceEvent | Gap | StreamLost


class Subscription(Record):
    """What to listen to: the private stream of the connection's accounts, and prices of `symbols`."""

    private: bool = True
    symbols: tuple[str, ...] = ()


class Scope(Word):
    """How much of an account is wanted. A plugin may always read more than that, and says what it read."""

    ACCOUNT = "account"  # everything
    SYMBOLS = "symbols"  # balance and positions, and the orders and fills of the symbols asked for
    ORDERS = "orders"  # the looked-up orders alone


class SnapshotRequest(Record):
    """`since_ms`: fills and ended orders from then on are wanted too. `look_up`: orders whose fate must be settled.

    `settings`: position mode, leverage and margin mode are wanted too, the latter two of `symbols` at least. `known`: the
    positions by symbol as they were told last, `None` where that is not said: what is different now was traded since.
    """

    account: str = ""
    scope: Scope = Scope.ACCOUNT
    since_ms: int = 0
    symbols: tuple[str, ...] = ()
    look_up: tuple[OrderRef, ...] = ()
    settings: bool = False
    known: dict[str, Decimal] | None = None


class MarginSetting(Record):
    """How one symbol is traded on margin: `mode` is `cross` or `isolated`, empty where the venue does not tell."""

    symbol: str
    leverage: Decimal
    mode: str = ""


class LeverageChange(Record):
    """The leverage that a symbol shall have on an account from now on."""

    account: str = ""
    symbol: str
    leverage: Decimal


class Snapshot(Record):
    """The truth as the venue tells it at `time_ms`.

    `orders`: every working order, the looked-up ones that exist, and those that changed or ended since `since_ms` as far
    as the venue can tell. `absent`: client ids that were looked up and that the venue says it does not know.
    `never_arrived`: those of them of which that is final, because the connection that they went out over is gone and the
    venue has told all that came over it. It is said of the latest send of an id, as of the moment the snapshot is returned.
    `prices`: last prices of the symbols concerned. A part that could not be read raises; it is never left empty: `scope`
    says which parts there are. `hedge_mode` and `margins` are told where `settings` were asked for and the venue has them.
    """

    account: str = ""
    scope: Scope = Scope.ACCOUNT
    time_ms: int
    orders: tuple[Order, ...] = ()
    positions: tuple[Position, ...] = ()
    balance: Balance | None = None
    fills: tuple[Fill, ...] = ()
    absent: tuple[str, ...] = ()
    never_arrived: tuple[str, ...] = ()
    prices: dict[str, Decimal] = {}
    hedge_mode: bool | None = None
    margins: tuple[MarginSetting, ...] = ()


class CandleRequest(Record):
    """`interval` is `1s`, `1m`, `5m`, `15m`, `1h`, `4h` or `1d`; at most `limit` bars, the newest last."""

    symbol: str
    interval: str = "1m"
    limit: int = 500


# --- outcomes of what was asked of a venue ------------------------------------------------------------------


class RejectReason(Word):
    """Why a venue said no, by what can be done about it."""

    RATE_LIMIT = "rate-limit"  # transient: again later, same client id
    OVERLOADED = "overloaded"  # transient
    QUANTITY = "quantity"  # sizing: below minimum, off the step, above maximum, notional
    MARGIN = "margin"  # sizing
    PRICE = "price"  # price off the tick, outside the band, would trigger at once
    POST_ONLY = "post-only"  # would have taken liquidity
    NOTHING_TO_REDUCE = "nothing-to-reduce"  # reduce-only without a position: a success in disguise
    DUPLICATE_ID = "duplicate-id"  # the venue already has an order of this client id
    NOT_FOUND = "not-found"  # modify or cancel of an order that the venue does not know as working
    UNCHANGED = "unchanged"  # a modify that changes nothing
    MODE = "mode"  # position mode or margin mode does not fit
    PERMISSION = "permission"  # the key may not do this
    SYMBOL = "symbol"  # no such instrument, or not trading
    OTHER = "other"

    @property
    def is_transient(self) -> bool:
        return self in (RejectReason.RATE_LIMIT, RejectReason.OVERLOADED)


class Accepted(Record, tag="accepted"):
    """The venue took it. `order` is the state in its reply, where it sends one; `legs` are those of a group."""

    order: Order | None = None
    legs: tuple[Order, ...] = ()


class Rejected(Record, tag="rejected"):
    """The venue said no and nothing happened. `code` is the venue's own; `retry_after_ms` where it names a time."""

    reason: RejectReason
    message: str
    code: str = ""
    retry_after_ms: int = 0


class Unknown(Record, tag="unknown"):
    """Nobody knows whether it happened: time-out, 5xx, connection lost after sending. Look it up; never send anew."""

    message: str


Outcome = Accepted | Rejected | Unknown


# --- what a plugin says of itself ---------------------------------------------------------------------------


class BudgetScope(Word):
    """Who shares a limit of a venue: one account, all accounts of a login, everything of a kind on this machine."""

    ACCOUNT = "account"
    CONNECTION = "connection"
    MACHINE = "machine"


class Costs(Record):
    """What each kind of request costs of `requests_per_minute`: `look_up` per order, `account` for reading everything,
    `symbols` for reading what the bots trade."""

    place: int = 1
    modify: int = 1
    cancel: int = 1
    look_up: int = 1
    account: int = 5
    symbols: int = 5


class Capabilities(Record):
    """What a connection kind can do. The engine plans by this and by nothing else that it knows of a venue."""

    order_types: frozenset[OrderType] = frozenset(OrderType)
    amend: frozenset[OrderType] = frozenset()
    amend_price_and_quantity_only: bool = True
    shrink: frozenset[OrderType] = frozenset()
    whole_position: frozenset[OrderType] = frozenset()
    reduce_only: bool = True
    post_only: bool = True
    hedge_mode: bool = False
    nets_positions: bool = True
    shorts: bool = True
    native_oco: bool = False
    exits_bind: bool = False
    tells_never_arrived: bool = False
    client_id_text: bool = True
    client_id_length: int = 36
    one_account_per_connection: bool = True
    orders_per_second: int = 0
    requests_per_minute: int = 0
    orders_scope: BudgetScope = BudgetScope.ACCOUNT
    requests_scope: BudgetScope = BudgetScope.CONNECTION
    costs: Costs = Costs()


class Field(Record):
    """One setting a person gives for a connection. Secret ones are kept out of the config, the log and the panel."""

    name: str
    title: str
    secret: bool = False
    required: bool = True
    default: str = ""


class KindInfo(Record):
    kind: str
    title: str
    capabilities: Capabilities
    fields: tuple[Field, ...] = ()
    closed_on: str = ""  # ISO date, for a venue that no longer exists


class Description(Record):
    """A plugin's self-description. `api` is the hook API number that it was written for."""

    api: int
    name: str
    version: str
    kinds: tuple[KindInfo, ...]


class ConnectionSettings(Record):
    """How to reach a venue. `options` are the plain settings, `secrets` the others; `repr` never shows the latter."""

    name: str
    kind: str
    options: dict[str, str] = {}
    secrets: dict[str, str] = {}

    def __repr__(self) -> str:
        hidden = f"<{len(self.secrets)} hidden>"
        return f"ConnectionSettings(name={self.name!r}, kind={self.kind!r}, options={self.options!r}, secrets={hidden})"


class RehearsalSettings(Record):
    """How to start a rehearsal venue: accounts with their starting cash, market recording, faults, loopback port."""

    kind: str
    accounts: dict[str, Decimal]
    host: str = "127.0.0.1"
    port: int = 0
    market: str = ""
    speed: Decimal = Decimal(1)
    faults: tuple[str, ...] = ()
    options: dict[str, str] = {}


class RehearsedAccount(Record):
    """What a client needs to log in to one account of a rehearsal venue: as connection options and secrets.

    `by_hand`: options that somebody who trades beside copydesk uses in place of these, where a venue lets a login in once.
    """

    name: str
    options: dict[str, str]
    secrets: dict[str, str]
    by_hand: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"RehearsedAccount(name={self.name!r}, options={self.options!r}, secrets=<{len(self.secrets)} hidden>)"


class RehearsalReady(Record):
    """What a running rehearsal venue tells: its addresses, its accounts, its symbols, and where faults are asked for."""

    kind: str
    urls: dict[str, str]
    accounts: tuple[RehearsedAccount, ...]
    symbols: tuple[str, ...]
    control_url: str


# --- encoding -----------------------------------------------------------------------------------------------

_encoder = msgspec.json.Encoder(decimal_format="string", order="deterministic")
T = TypeVar("T")


def to_json(record: Any) -> bytes:
    """Encode a record (or plain data) to canonical JSON: same record, same bytes."""
    return _encoder.encode(record)


def from_json(data: bytes | str, type_: type[T]) -> T:
    """Decode and check. Raises `msgspec.ValidationError` with the path of what does not fit."""
    return msgspec.json.decode(data, type=type_)
