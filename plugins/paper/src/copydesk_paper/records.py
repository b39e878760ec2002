"""What the exchange tells its listeners, in the order in which it happened."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from copydesk.model import ZERO, Balance, Fill, Order, Position, Record


class Execution(StrEnum):
    """Why an order is reported."""

    NEW = "new"
    AMENDED = "amended"
    TRIGGERED = "triggered"
    TRADE = "trade"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Cause(StrEnum):
    """Why an account changed."""

    ORDER = "order"
    DEPOSIT = "deposit"
    WITHDRAW = "withdraw"
    FUNDING = "funding"
    LEVERAGE = "leverage"
    MARGIN_TYPE = "margin-type"
    POSITION_MODE = "position-mode"
    LIQUIDATION = "liquidation"


class OrderReport(Record, tag="order"):
    """One thing that happened to one order. `fill` and `realised` (profit in the settle currency) with a trade only."""

    account: str
    execution: Execution
    order: Order
    fill: Fill | None = None
    realised: Decimal = ZERO
    time_ms: int = 0


class AccountReport(Record, tag="account"):
    """The balance and the positions that changed, as they are now. Sent once after the trades of one matching step."""

    account: str
    cause: Cause
    balance: Balance
    change: Decimal = ZERO
    positions: tuple[Position, ...] = ()
    time_ms: int = 0


class Trade(Record, tag="trade"):
    """A public trade print."""

    symbol: str
    trade_id: int
    price: Decimal
    quantity: Decimal
    buyer_is_maker: bool
    time_ms: int


class Quote(Record, tag="quote"):
    """The best bid and ask with their sizes, and the mark price."""

    symbol: str
    bid: Decimal
    bid_quantity: Decimal
    ask: Decimal
    ask_quantity: Decimal
    mark: Decimal
    time_ms: int


Report = OrderReport | AccountReport | Trade | Quote


# --- what the market tells the exchange ------------------------------------------------------------------------


class MarketTrade(Record, tag="market-trade"):
    """A trade of the recording's own participants. It goes through what users have resting there."""

    symbol: str
    price: Decimal
    quantity: Decimal
    buyer_is_maker: bool


class MarketDepth(Record, tag="market-depth"):
    """Levels of the recording's book as (price, quantity); quantity zero removes one. `snapshot` replaces all of them.

    What users took from the recording's levels since the last update of that symbol stands there again afterwards.
    """

    symbol: str
    bids: tuple[tuple[Decimal, Decimal], ...] = ()
    asks: tuple[tuple[Decimal, Decimal], ...] = ()
    snapshot: bool = False


class MarketMark(Record, tag="market-mark"):
    """The mark price, for recordings that carry one. Without any, the mark price is the middle of the book."""

    symbol: str
    price: Decimal


MarketEvent = MarketTrade | MarketDepth | MarketMark
