"""The notifications of an order, 351 and 352, in the sequence and with the fields in which Rithmic was seen to send them.

The first 351 has no instrument type, currency and sequence numbers yet; its quantity is zero between the first and "open";
the exchange's order id comes with the first 352; 352 says sizes instead of a quantity. Fields whose value is zero are not
sent: the library's messages cannot tell them from absent ones.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from copydesk.model import Order, OrderStatus, OrderType
from copydesk_paper.records import Execution, OrderReport
from copydesk_paper.refusal import ExchangeRefusal

from copydesk_rithmic.rehearsal.desk import BUY, SELL, Account, Basket, Desk, Notice

RITHMIC, EXCHANGE, BRACKET = 351, 352, 353
RECEIVED, MODIFY_RECEIVED, CANCEL_RECEIVED, OPEN_PENDING = 1, 2, 3, 4
AT_GATEWAY, MODIFY_AT_GATEWAY, CANCEL_AT_GATEWAY = 7, 8, 9
SENT, MODIFY_SENT, CANCEL_SENT = 10, 11, 12
OPEN, MODIFIED, COMPLETE, MODIFICATION_FAILED, CANCELLATION_FAILED, TRIGGER_PENDING = 13, 14, 15, 16, 17, 18
STATUS, MODIFY, CANCEL, TRIGGER, FILL, REJECT, NOT_MODIFIED = 1, 2, 3, 4, 5, 6, 7
TEXTS = {
    RECEIVED: "Order received from client",
    MODIFY_RECEIVED: "Modify received from client",
    CANCEL_RECEIVED: "Cancel received from client",
    OPEN_PENDING: "open pending",
    AT_GATEWAY: "order received by exch gateway",
    MODIFY_AT_GATEWAY: "modify received by exch gateway",
    CANCEL_AT_GATEWAY: "cancel received by exch gateway",
    SENT: "order sent to exch",
    MODIFY_SENT: "modify sent to exch",
    CANCEL_SENT: "cancel sent to exch",
    OPEN: "open",
    MODIFIED: "modified",
    COMPLETE: "complete",
    MODIFICATION_FAILED: "Modification Failed",
    TRIGGER_PENDING: "trigger pending",
}
SIZED = frozenset({RECEIVED, OPEN, MODIFIED, COMPLETE, TRIGGER_PENDING})
"""The 351 that carry the order's quantity; in all others it is zero."""
EARLY = frozenset({RECEIVED})
BEFORE_EXCHANGE = frozenset({RECEIVED, OPEN_PENDING, AT_GATEWAY, SENT})
FIRST_CONFIRMATION = 1_058_108
BECOMES = {
    OrderType.STOP_LIMIT: 1,
    OrderType.TAKE_PROFIT_LIMIT: 1,
    OrderType.STOP_MARKET: 2,
    OrderType.TAKE_PROFIT_MARKET: 2,
}
"""The price type that a triggered order has from then on."""


class Notices:
    """Makes the notifications of orders. Confirmations are numbered by one counter.

    `executions` keeps the 352 of every fill by account, as it was sent: what a replay sends again.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._confirmations = FIRST_CONFIRMATION
        self.executions: dict[Account, list[dict[str, Any]]] = {}

    def of(
        self, basket_id: str, basket: Basket, order: Order, execution: Execution | None, report: OrderReport | None
    ) -> Iterator[Notice]:
        """What is sent of one thing that happened to an order. No execution: it is refused behind the front door."""
        match execution:
            case None:
                yield self._rithmic(basket, order, RECEIVED)
                yield self._rithmic(basket, order, OPEN_PENDING)
                yield self._exchange(basket, order, REJECT, "reject", text=order.reason, report_text=order.reason)
                yield self._rithmic(
                    basket, order, COMPLETE, completion_reason="FA", text=order.reason, report_text=order.reason
                )
            case Execution.NEW:
                for step in (RECEIVED, OPEN_PENDING, AT_GATEWAY, SENT):
                    yield self._rithmic(basket, order, step)
                yield self._exchange(basket, order, STATUS, "status", **self._confirmed("confirmed", order))
                yield self._rithmic(basket, order, TRIGGER_PENDING if order.terms.type.has_trigger else OPEN)
            case Execution.TRIGGERED:
                yield self._exchange(basket, order, TRIGGER, "trigger", trigger_id=self._number())
                yield self._rithmic(basket, order, OPEN)
            case Execution.TRADE:
                yield self._fill(basket, order, report)
                if order.status is OrderStatus.FILLED:
                    yield self._rithmic(basket, order, COMPLETE, completion_reason="F", **_average(order))
            case Execution.AMENDED:
                yield from self._steps(basket, order, (MODIFY_RECEIVED, MODIFY_AT_GATEWAY, MODIFY_SENT))
                size = int(order.terms.quantity)
                stamps = {"modified_time": _clock(), "modified_date": _date(), "modify_id": self._number()}
                yield self._exchange(basket, order, MODIFY, "modify", modified_size=size, **stamps)
                yield self._rithmic(basket, order, MODIFIED)
            case _:
                yield from self._ended(basket, order)

    def refused_change(self, basket_id: str, basket: Basket, order: Order, refusal: ExchangeRefusal) -> Iterator[Notice]:
        """A change that was taken at the front door, and then refused."""
        text = {"text": f"Rejected by exchange - {refusal}", "report_text": f"Rejected by exchange - {refusal}"}
        yield from self._steps(basket, order, (MODIFY_RECEIVED, MODIFY_AT_GATEWAY, MODIFY_SENT))
        yield self._exchange(basket, order, NOT_MODIFIED, "not modified", **text)
        yield self._rithmic(basket, order, MODIFICATION_FAILED, **text)

    def row(self, basket: Basket, order: Order) -> Notice:
        """An order as a list or a history shows it: one 352, with the time of its last change."""
        stamp = dict(basket.stamp)
        template, fields = self._row(basket, order)
        basket.stamp = stamp
        return template, fields | stamp

    def _row(self, basket: Basket, order: Order) -> Notice:
        fields = {"is_snapshot": True, "quantity": int(order.terms.quantity), **_average(order)}
        if order.is_working:
            waits = order.terms.type.has_trigger and not order.triggered
            template, fields = self._exchange(basket, order, STATUS, "status", **fields)
            fields["status"] = TEXTS[TRIGGER_PENDING if waits else OPEN]
        else:
            type_, word = {"filled": (FILL, "fill"), "rejected": (REJECT, "reject")}.get(order.status, (CANCEL, "cancel"))
            text = {"text": order.reason or None, "report_text": order.reason or None}
            template, fields = self._exchange(basket, order, type_, word, **fields, **text)
            fields["status"] = TEXTS[COMPLETE]
        return template, fields

    # --- the parts ---

    def _steps(self, basket: Basket, order: Order, steps: tuple[int, ...]) -> Iterator[Notice]:
        for step in steps:
            yield self._rithmic(basket, order, step)

    def _ended(self, basket: Basket, order: Order) -> Iterator[Notice]:
        if basket.cancel_asked:
            yield from self._steps(basket, order, (CANCEL_RECEIVED, CANCEL_AT_GATEWAY, CANCEL_SENT))
        left = int(order.terms.quantity - order.filled)
        stamps = {"cancelled_time": _clock(), "cancelled_date": _date(), "cancelled_id": self._number()}
        yield self._exchange(basket, order, CANCEL, "cancel", cancelled_size=left, **stamps, text=order.reason or None)
        yield self._rithmic(basket, order, COMPLETE, completion_reason="C", text=order.reason or None, **_average(order))

    def _fill(self, basket: Basket, order: Order, report: OrderReport | None) -> Notice:
        assert report is not None
        assert report.fill is not None
        fill = report.fill
        template, fields = self._exchange(
            basket,
            order,
            FILL,
            "fill",
            fill_price=float(fill.price),
            fill_size=int(fill.quantity),
            fill_id=fill.execution_id,
            fill_time=_clock(fill.time_ms),
            fill_date=_date(fill.time_ms),
            **_average(order),
        )
        self.executions.setdefault(basket.account, []).append(fields)
        return template, fields

    def _rithmic(self, basket: Basket, order: Order, step: int, **more: Any) -> Notice:
        fields = self._common(basket, order, early=step in EARLY)
        fields |= {"notify_type": step, "status": TEXTS[step]}
        if step in SIZED:
            fields["quantity"] = int(order.terms.quantity)
        if step not in BEFORE_EXCHANGE and order.status is not OrderStatus.REJECTED:
            fields["exchange_order_id"] = order.venue_id
        return RITHMIC, fields | more

    def _exchange(self, basket: Basket, order: Order, type_: int, word: str, **more: Any) -> Notice:
        fields = self._common(basket, order)
        fields |= {"notify_type": type_, "report_type": word, "exchange_order_id": order.venue_id}
        return EXCHANGE, fields | more

    def _common(self, basket: Basket, order: Order, *, early: bool = False) -> dict[str, Any]:
        terms = order.terms
        exchange, _, symbol = terms.symbol.partition(":")
        price_type = BECOMES[terms.type] if order.triggered and terms.type in BECOMES else basket.price_type
        basket.stamp = self._desk.stamp()
        fields: dict[str, Any] = {
            "user_tag": basket.tag or None,
            "basket_id": order.venue_id,
            "original_basket_id": basket.original or None,
            "linked_basket_ids": basket.linked or None,
            "fcm_id": basket.account.fcm,
            "ib_id": basket.account.ib,
            "user_id": basket.user,
            "account_id": basket.account.name,
            "symbol": symbol,
            "exchange": exchange,
            "trade_exchange": exchange,
            "trade_route": basket.route,
            "price": float(terms.price) if terms.price is not None else None,
            "trigger_price": float(terms.trigger_price) if terms.trigger_price is not None else None,
            "transaction_type": BUY if terms.side.sign > 0 else SELL,
            "duration": basket.duration,
            "price_type": price_type,
            "orig_price_type": basket.price_type,
            "manual_or_auto": basket.placement,
            "window_name": basket.window or None,
            **basket.stamp,
        }
        if early:
            return fields
        return fields | {
            "instrument_type": "Future",
            "currency": self._desk.exchange.instruments[terms.symbol].settle,
            "sequence_number": basket.sequence,
            "orig_sequence_number": basket.sequence,
            "cor_sequence_number": basket.sequence,
            "total_fill_size": int(order.filled),
            "total_unfilled_size": int(terms.quantity - order.filled),
        }

    def _number(self) -> str:
        self._confirmations += 1
        return str(self._confirmations)

    def _confirmed(self, word: str, order: Order) -> dict[str, Any]:
        return {
            f"{word}_size": int(order.terms.quantity),
            f"{word}_time": _clock(),
            f"{word}_date": _date(),
            f"{word}_id": self._number(),
        }


def _average(order: Order) -> dict[str, Any]:
    return {"avg_fill_price": float(order.average_price)} if order.average_price is not None else {}


def _clock(at_ms: int = 0) -> str:
    return time.strftime("%H:%M:%S", time.gmtime(at_ms / 1000 if at_ms else time.time()))


def _date(at_ms: int = 0) -> str:
    return time.strftime("%Y%m%d", time.gmtime(at_ms / 1000 if at_ms else time.time()))
