"""Orders and executions out of Rithmic's notifications, 351 and 352, and out of the rows of its lists. Pure."""

from __future__ import annotations

from decimal import Decimal

from copydesk.model import ZERO, Fill, Order, OrderStatus, Side, Terms, TimeInForce
from copydesk_wire.errors import Unreadable

from copydesk_rithmic.errors import REJECTED
from copydesk_rithmic.library import Message
from copydesk_rithmic.translate import (
    BUY,
    DAY,
    LIMIT,
    LIMIT_IF_TOUCHED,
    MARKET,
    MARKET_IF_TOUCHED,
    NATIVE_DAY,
    TIMES,
    TYPES,
    number,
    symbol_of,
    time_us,
)

RITHMIC, EXCHANGE = 351, 352
OPEN_351 = frozenset({13, 14, 18})
RECEIVED, OPEN, COMPLETE, MODIFICATION_FAILED, CANCELLATION_FAILED, TRIGGER_PENDING = 1, 13, 15, 16, 17, 18
STATUS, MODIFY, CANCEL, TRIGGER, FILL, REJECT, NOT_MODIFIED, NOT_CANCELLED = 1, 2, 3, 4, 5, 6, 7, 8
SIZED_351 = frozenset({RECEIVED, OPEN, 14, TRIGGER_PENDING})
"""The 351 whose quantity is the order's."""


def order(message: Message, known: Order | None, *, newest: bool = True) -> Order:
    """An order as a 351 or 352 tells of it, and as it was known before. Raises `Unreadable`.

    What a message leaves out stays as it was; one that is older than what is known (`newest` false) only counts up what
    is filled. An ended order stays ended.
    """
    told = terms(message, known)
    filled = Decimal(message.total_fill_size)
    if known is not None:
        filled = max(filled, known.filled)
        told = told if newest else known.terms
    status, reason = status_of(message, known, told.quantity, filled)
    average = message.avg_fill_price
    at_ms = time_us(message) // 1000
    return Order(
        venue_id=message.basket_id,
        client_id=message.user_tag or (known.client_id if known else ""),
        terms=told,
        status=status,
        filled=filled,
        average_price=number(average) if average else known.average_price if known else None,
        triggered=(known is not None and known.triggered) or is_triggered(message, told, filled),
        created_ms=known.created_ms if known else at_ms,
        updated_ms=max(at_ms, known.updated_ms) if known else at_ms,
        reason=reason or (known.reason if known else ""),
        group=message.original_basket_id or (known.group if known else ""),
    )


def terms(message: Message, known: Order | None) -> Terms:
    """What the order asks for."""
    before = known.terms if known else None
    price_type = type_of(message)
    type_ = TYPES.get(price_type) or (before.type if before else None)
    if type_ is None:
        raise Unreadable(f"Rithmic sent order {message.basket_id} with price type {price_type}, which is not documented")
    price = number(message.price) if message.price else before.price if before else None
    trigger = number(message.trigger_price) if message.trigger_price else before.trigger_price if before else None
    return Terms(
        symbol=symbol_of(message),
        side=Side.BUY if message.transaction_type == BUY else Side.SELL,
        type=type_,
        quantity=quantity_of(message, before.quantity if before else ZERO),
        price=price if type_.has_price else None,
        trigger_price=trigger if type_.has_trigger else None,
        time_in_force=TIMES.get(message.duration, TimeInForce.GTC),
        native=NATIVE_DAY if message.duration == DAY else "",
    )


def type_of(message: Message) -> int:
    """The price type that the order came with: it becomes another one once it is triggered.

    The notifications' own list of types ends before the if-touched ones. One with a trigger price that is told as a limit
    or a market order can be nothing else.
    """
    price_type = message.orig_price_type or message.price_type
    if message.trigger_price and price_type == LIMIT:
        return LIMIT_IF_TOUCHED
    if message.trigger_price and price_type == MARKET:
        return MARKET_IF_TOUCHED
    return int(price_type)


def quantity_of(message: Message, known: Decimal) -> Decimal:
    """The order's quantity: 351 says it in some steps only, 352 says sizes, and after a cancel nothing is unfilled."""
    if message.template_id == RITHMIC:
        if message.notify_type in SIZED_351 and message.quantity:
            return Decimal(message.quantity)
        if known:
            return known
        return Decimal(message.quantity or message.total_fill_size + message.total_unfilled_size)
    if message.quantity:
        return Decimal(message.quantity)
    if message.notify_type == STATUS and message.confirmed_size:
        return Decimal(message.confirmed_size)
    if message.notify_type == MODIFY and message.modified_size:
        return Decimal(message.modified_size)
    return known or Decimal(message.total_fill_size + message.total_unfilled_size + message.cancelled_size)


def status_of(message: Message, known: Order | None, quantity: Decimal, filled: Decimal) -> tuple[OrderStatus, str]:
    """The state, and why it ended."""
    if known is not None and known.status.is_final:
        return (OrderStatus.FILLED if quantity and filled >= quantity else known.status), known.reason
    if quantity and filled >= quantity:
        return OrderStatus.FILLED, ""
    text = message.report_text or message.text
    if message.template_id == RITHMIC:
        if message.notify_type == COMPLETE:
            refused = message.completion_reason == REJECTED
            return (OrderStatus.REJECTED if refused else OrderStatus.CANCELLED), text
    elif message.notify_type == REJECT:
        return OrderStatus.REJECTED, text
    elif message.notify_type == CANCEL or (message.is_snapshot and message.status == "complete"):
        return OrderStatus.CANCELLED, text
    return (OrderStatus.PARTIALLY_FILLED if filled else OrderStatus.NEW), ""


def is_triggered(message: Message, told: Terms, filled: Decimal) -> bool:
    """True for a conditional order whose price was met."""
    if not told.type.is_conditional:
        return False
    became = bool(message.orig_price_type) and message.price_type != message.orig_price_type
    if message.template_id == RITHMIC:
        return became or bool(filled) or message.notify_type == OPEN
    return became or bool(filled) or message.notify_type == TRIGGER


def is_confirmed(message: Message) -> bool:
    """True where a message says that the order stands at the venue, or has ended: the steps before that are its own."""
    if message.template_id == EXCHANGE:
        return message.notify_type in (STATUS, MODIFY, CANCEL, TRIGGER, FILL, REJECT)
    return message.notify_type in OPEN_351 or message.notify_type == COMPLETE


def fill(message: Message, client_id: str) -> Fill:
    """An execution from a 352 FILL. Rithmic tells no fee of it."""
    if not message.fill_id or not message.fill_size:
        raise Unreadable(f"Rithmic sent a fill of {message.basket_id} without its id or its size")
    return Fill(
        execution_id=message.fill_id,
        venue_id=message.basket_id,
        client_id=message.user_tag or client_id,
        symbol=symbol_of(message),
        side=Side.BUY if message.transaction_type == BUY else Side.SELL,
        quantity=Decimal(message.fill_size),
        price=number(message.fill_price),
        time_ms=time_us(message) // 1000,
    )
