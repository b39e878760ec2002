"""The words of Bybit's wire and what they are here. Source: Bybit v5, "Enums Definitions"."""

from __future__ import annotations

from copydesk.model import (
    OrderStatus,
    PositionSide,
    Side,
    TimeInForce,
    TriggerBy,
)

SIDES: dict[str, Side] = {"Buy": Side.BUY, "Sell": Side.SELL, "BUY": Side.BUY, "SELL": Side.SELL}
SIDE_WORDS: dict[Side, str] = {Side.BUY: "Buy", Side.SELL: "Sell"}

STATUSES: dict[str, OrderStatus] = {
    "Created": OrderStatus.NEW,
    "New": OrderStatus.NEW,
    "Untriggered": OrderStatus.NEW,
    "Triggered": OrderStatus.NEW,
    "Active": OrderStatus.NEW,
    "PendingCancel": OrderStatus.NEW,
    "PartiallyFilled": OrderStatus.PARTIALLY_FILLED,
    "Filled": OrderStatus.FILLED,
    "Cancelled": OrderStatus.CANCELLED,
    "PartiallyFilledCanceled": OrderStatus.CANCELLED,
    "Deactivated": OrderStatus.CANCELLED,
    "Rejected": OrderStatus.REJECTED,
}
WAITING = frozenset({"Untriggered", "Deactivated", "Created"})
BY_THE_VENUE = frozenset({"EC_PostOnlyWillTakeLiquidity", "EC_NoImmediateQtyToFill", "EC_CancelForNoFullFill"})
"""An order that ends so was not cancelled by anybody: it could not live by its own terms."""

TIMES_IN_FORCE: dict[str, tuple[TimeInForce, bool]] = {
    # the venue's word: (ours, post-only)
    "GTC": (TimeInForce.GTC, False),
    "GoodTillCancel": (TimeInForce.GTC, False),
    "IOC": (TimeInForce.IOC, False),
    "ImmediateOrCancel": (TimeInForce.IOC, False),
    "FOK": (TimeInForce.FOK, False),
    "FillOrKill": (TimeInForce.FOK, False),
    "PostOnly": (TimeInForce.GTC, True),
    "RPI": (TimeInForce.GTC, True),
}
TIME_WORDS: dict[TimeInForce, str] = {TimeInForce.GTC: "GTC", TimeInForce.IOC: "IOC", TimeInForce.FOK: "FOK"}

TRIGGERS: dict[str, TriggerBy] = {
    "LastPrice": TriggerBy.LAST,
    "MarkPrice": TriggerBy.MARK,
    "IndexPrice": TriggerBy.INDEX,
    "UNKNOWN": TriggerBy.LAST,
}
TRIGGER_WORDS: dict[TriggerBy, str] = {
    TriggerBy.LAST: "LastPrice",
    TriggerBy.MARK: "MarkPrice",
    TriggerBy.INDEX: "IndexPrice",
}
RISES, FALLS = 1, 2
POSITION_SIDES: dict[int, PositionSide] = {0: PositionSide.NET, 1: PositionSide.LONG, 2: PositionSide.SHORT}
POSITION_INDEXES: dict[PositionSide, int] = {side: index for index, side in POSITION_SIDES.items()}

STOPS = frozenset({"StopLoss", "PartialStopLoss"})
TARGETS = frozenset({"TakeProfit", "PartialTakeProfit"})
TRAILS = frozenset({"TrailingStop", "TrailingProfit"})
ON_POSITION = frozenset({"StopLoss", "TakeProfit"})
NO_STOP = frozenset({"", "UNKNOWN"})

TRADES = frozenset(
    {"Trade", "AdlTrade", "BustTrade", "Delivery", "Settle", "BlockTrade", "MovePosition", "FutureSpread", "UNKNOWN"}
)
"""Executions that move a position. `Funding` and `CorporateAction` move money only."""

INTERVALS = {"1m": "1", "5m": "5", "15m": "15", "1h": "60", "4h": "240", "1d": "D"}
