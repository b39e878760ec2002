"""Orders of the algo service: conditional orders in an id space of their own, and their JSON.

Triggered, an algo order (`algoId`) becomes an ordinary order with an id of its own (`actualOrderId`, `ai`) that carries the
algo order's client id. Source: https://developers.binance.com/docs/derivatives/usds-margined-futures/user-data-streams/
Event-Algo-Order-Update and the events of real sessions quoted in nautilus_trader issue 3287.
"""

from __future__ import annotations

from typing import Any

from copydesk.model import Order, OrderType
from copydesk_paper.orders import reduces

from copydesk_binance.rehearsal.listing import Rules
from copydesk_binance.rehearsal.parameters import Detail
from copydesk_binance.rehearsal.wire import (
    POSITION_SIDES,
    TYPES,
    WORKING_TYPES,
    Json,
    average,
    bare,
    engine_type,
    padded,
    side,
)

FIRST_ALGO_ID = 1_000_000_000_000_001
NEW, CANCELED, TRIGGERING, TRIGGERED = "NEW", "CANCELED", "TRIGGERING", "TRIGGERED"
FINISHED, REJECTED, EXPIRED = "FINISHED", "REJECTED", "EXPIRED"
FINAL = frozenset({CANCELED, FINISHED, REJECTED, EXPIRED})


class AlgoOrder:
    """One conditional order. `order` is the exchange's newest record of it; `status` is Binance's algo status."""

    __slots__ = ("algo_id", "client_id", "detail", "order", "reason", "rules", "status", "trigger_ms", "updated_ms")

    def __init__(self, algo_id: int, client_id: str, order: Order, detail: Detail, rules: Rules) -> None:
        self.algo_id = algo_id
        self.client_id = client_id
        self.order = order
        self.detail = detail
        self.rules = rules
        self.status = NEW
        self.trigger_ms = 0
        self.updated_ms = order.created_ms
        self.reason = ""

    @property
    def is_open(self) -> bool:
        return self.status == NEW

    @property
    def actual_order_id(self) -> str:
        """The id of the ordinary order that it became; empty before."""
        return self.order.venue_id if self.order.triggered else ""

    def reply(self) -> Json:
        """The reply to placing it, and a row of the open ones."""
        terms, places = self.order.terms, self.rules.price_places
        trailing = terms.type is OrderType.TRAILING_STOP
        reply: dict[str, Any] = {
            "algoId": self.algo_id,
            "clientAlgoId": self.client_id,
            "algoType": "CONDITIONAL",
            "orderType": TYPES[terms.type],
            "symbol": terms.symbol,
            "side": side(self.order),
            "positionSide": POSITION_SIDES[terms.position_side],
            "timeInForce": self.detail.time_in_force,
            "quantity": padded(terms.quantity, self.rules.quantity_places),
            "algoStatus": self.status,
            "triggerPrice": padded(None if trailing else terms.trigger_price, places),
            "price": padded(terms.price, places),
            "icebergQuantity": None,
            "selfTradePreventionMode": self.detail.prevention,
            "workingType": WORKING_TYPES[terms.trigger_by],
            "priceMatch": "NONE",
            "closePosition": terms.close_position,
            "priceProtect": self.detail.price_protect,
            "reduceOnly": reduces(terms),
        }
        if trailing:
            reply["activatePrice"] = padded(terms.trigger_price, places) if terms.trigger_price else ""
            reply["callbackRate"] = bare(terms.trail_percent)
        return reply | {
            "createTime": self.order.created_ms,
            "updateTime": self.updated_ms,
            "triggerTime": self.trigger_ms,
            "goodTillDate": self.detail.good_till_ms,
        }

    def row(self) -> Json:
        """It as queries show it, with what became of it."""
        placed = self.order.triggered
        row: Json = {}
        for name, value in self.reply().items():
            row[name] = value
            if name == "algoStatus":
                row["actualOrderId"] = self.actual_order_id
                row["actualPrice"] = average(self.order, self.rules) if placed else "0.00000"
                row["actualQty"] = padded(self.order.filled, self.rules.quantity_places) if placed else "0"
                row["actualType"] = engine_type(self.order) if placed else ""
            elif name == "icebergQuantity":
                row |= {"tpTriggerPrice": "0.000", "tpPrice": "0.000", "slTriggerPrice": "0.000"}
                row |= {"slPrice": "0.000", "tpOrderType": ""}
        return row

    def event(self, status: str, now_ms: int) -> Json:
        """`ALGO_UPDATE` with this status."""
        terms, placed = self.order.terms, status in (TRIGGERED, FINISHED)
        fields: Json = {
            "caid": self.client_id,
            "aid": self.algo_id,
            "at": "CONDITIONAL",
            "o": TYPES[terms.type],
            "s": terms.symbol,
            "S": side(self.order),
            "ps": POSITION_SIDES[terms.position_side],
            "f": self.detail.time_in_force,
            "q": bare(terms.quantity),
            "X": status,
            "ai": self.actual_order_id if placed else "",
            "ap": bare(self.order.average_price) if placed else "0.00000",
            "aq": bare(self.order.filled) if placed else "0.00000",
            "act": engine_type(self.order) if placed else "0",
            "tp": bare(terms.trigger_price),
            "p": bare(terms.price),
            "V": self.detail.prevention,
            "wt": WORKING_TYPES[terms.trigger_by],
            "pm": "NONE",
            "cp": terms.close_position,
            "pP": self.detail.price_protect,
            "R": reduces(terms),
            "tt": self.trigger_ms,
            "gtd": self.detail.good_till_ms,
        }
        if terms.type is OrderType.TRAILING_STOP:
            fields["AP"] = bare(terms.trigger_price)
            fields["cr"] = bare(terms.trail_percent)
            fields["ia"] = terms.trigger_price is None or self.order.triggered
        if self.reason:
            fields["rm"] = self.reason
        return {"e": "ALGO_UPDATE", "T": self.updated_ms, "E": now_ms, "o": fields}
