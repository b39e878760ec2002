"""Notifications folded into orders, whatever comes twice, late or not at all. Pure."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations
from typing import Any

import pytest
from copydesk.model import (
    FillEvent,
    NewOrder,
    Order,
    OrderEvent,
    OrderStatus,
    OrderType,
    RejectReason,
    Side,
    Terms,
    TimeInForce,
    TriggerBy,
)
from copydesk_rithmic import book as book_module
from copydesk_rithmic import errors, translate
from copydesk_rithmic.book import Book
from copydesk_rithmic.library import TEMPLATES, Message
from copydesk_rithmic.translate import Untranslatable

MES = "CME:MESH7"
RULES = translate.instrument(TEMPLATES[15](symbol="MESH7", exchange="CME", min_qprice_change=0.25, single_point_value=5.0))


def told(template_id: int, notify_type: int, at: int, **more: Any) -> Message:
    fields = {
        "basket_id": "7",
        "user_tag": "mine",
        "symbol": "MESH7",
        "exchange": "CME",
        "transaction_type": 1,
        "duration": 2,
        "price_type": 1,
        "orig_price_type": 1,
        "price": 6000.25,
        "ssboe": 1_700_000_000,
        "usecs": at,
    }
    return TEMPLATES[template_id](template_id=template_id, notify_type=notify_type, **(fields | more))


STATUS = told(352, 1, 10, confirmed_size=4, total_unfilled_size=4)
OPEN = told(351, 13, 20, quantity=4, total_unfilled_size=4)
FIRST = told(
    352,
    5,
    30,
    fill_id="a",
    fill_size=1,
    fill_price=6000.25,
    total_fill_size=1,
    total_unfilled_size=3,
    avg_fill_price=6000.25,
)
SECOND = told(352, 5, 40, fill_id="b", fill_size=3, fill_price=6000.0, total_fill_size=4, avg_fill_price=6000.0625)
COMPLETE = told(351, 15, 50, quantity=4, total_fill_size=4, completion_reason="F", avg_fill_price=6000.0625)
LIFE = (STATUS, OPEN, FIRST, SECOND, COMPLETE)


def orders(events: list[Any]) -> list[Order]:
    return [event.order for event in events if isinstance(event, OrderEvent)]


def fills(events: list[Any]) -> list[str]:
    return [event.fill.execution_id for event in events if isinstance(event, FillEvent)]


def taken(*messages: Message) -> list[Any]:
    book = Book()
    return [event for message in messages for event in book.take(message)]


def test_a_life() -> None:
    events = taken(*LIFE)
    assert [(order.status, order.filled) for order in orders(events)] == [
        (OrderStatus.NEW, 0),
        (OrderStatus.PARTIALLY_FILLED, 1),
        (OrderStatus.FILLED, 4),
    ]
    assert fills(events) == ["a", "b"]
    last = orders(events)[-1]
    assert last.average_price == Decimal("6000.0625")
    assert last.terms == Terms(
        symbol=MES, side=Side.BUY, type=OrderType.LIMIT, quantity=Decimal(4), price=Decimal("6000.25")
    )


@pytest.mark.parametrize("sequence", list(permutations(range(len(LIFE)))), ids=lambda order: "".join(map(str, order)))
def test_any_sequence_ends_the_same(sequence: tuple[int, ...]) -> None:
    """Whatever the order in which they come, and each of them twice: the same end, each execution once, nothing back."""
    events = taken(*(LIFE[number] for number in sequence for _ in range(2)))
    assert orders(events)[-1].status is OrderStatus.FILLED
    counted = [order.filled for order in orders(events)]
    assert counted == sorted(counted)
    assert counted[-1] == 4
    assert sorted(fills(events)) == ["a", "b"]
    assert {order.terms.quantity for order in orders(events)} == {4}


def test_the_steps_before_the_exchange_are_not_told() -> None:
    early = [told(351, step, step, quantity=4 if step == 1 else 0) for step in (1, 4, 7, 10)]
    assert taken(*early) == []
    assert len(taken(*early, STATUS)) == 1


def test_an_older_report_does_not_take_a_change_back() -> None:
    changed = told(351, 14, 60, quantity=6, price=6001.0, total_unfilled_size=6)
    late = told(352, 2, 55, modified_size=5, price=6000.75, total_unfilled_size=5)
    later = told(352, 2, 57, modified_size=5, price=6000.75, total_unfilled_size=5)
    last = orders(taken(STATUS, OPEN, changed, late, later))[-1]
    assert (last.terms.quantity, last.terms.price) == (6, 6001)


def test_a_refused_order_is_rejected_with_its_reason() -> None:
    text = "Rejected at RMS - Available margin exhausted"
    events = taken(
        told(351, 1, 5, quantity=4),
        told(352, 6, 10, report_text=text),
        told(351, 15, 20, quantity=4, completion_reason="FA", report_text=text),
    )
    (order,) = orders(events)
    assert (order.status, order.reason) == (OrderStatus.REJECTED, text)


def test_a_cancel_ends_an_order_and_keeps_its_quantity() -> None:
    cancelled = told(352, 3, 60, cancelled_size=3, total_fill_size=1)
    complete = told(351, 15, 70, completion_reason="C", total_fill_size=1)
    last = orders(taken(STATUS, OPEN, FIRST, cancelled, complete))[-1]
    assert (last.status, last.filled, last.terms.quantity) == (OrderStatus.CANCELLED, 1, 4)


def test_a_stop_is_triggered_and_stays_itself() -> None:
    stop = {"price_type": 3, "orig_price_type": 3, "trigger_price": 6010.0}
    waiting = told(351, 18, 10, quantity=4, total_unfilled_size=4, **stop)
    resting = told(351, 13, 30, quantity=4, total_unfilled_size=4, **(stop | {"price_type": 1}))
    before, after = orders(taken(waiting, resting))
    assert (before.triggered, after.triggered) == (False, True)
    assert before.terms == after.terms
    assert after.terms.type is OrderType.STOP_LIMIT


def test_if_touched_orders_are_recognised_however_they_are_told() -> None:
    """The notifications' list of price types ends before them: by their number, or by what no limit order has."""
    for price_type in (6, 1):
        types = {"price_type": price_type, "orig_price_type": price_type}
        (order,) = orders(taken(told(351, 18, 10, quantity=4, trigger_price=5990.0, **types)))
        assert (order.terms.type, order.terms.trigger_price) == (OrderType.TAKE_PROFIT_LIMIT, 5990)
    for price_type in (5, 2):
        types = {"price_type": price_type, "orig_price_type": price_type}
        (order,) = orders(taken(told(351, 18, 10, quantity=4, trigger_price=5990.0, **types)))
        assert order.terms.type is OrderType.TAKE_PROFIT_MARKET


def test_what_was_read_is_known_and_told_when_the_stream_says_it() -> None:
    book = Book()
    row = told(352, 1, 20, is_snapshot=True, status="open", quantity=4, total_unfilled_size=4)
    assert book.learn(row).status is OrderStatus.NEW
    assert book.named("mine") is book.orders["7"]
    assert len(book.take(OPEN)) == 1
    assert book.take(OPEN) == []


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_module, "KEPT_ENDED", 10)
    monkeypatch.setattr(book_module, "KEPT_FILLS", 10)
    book = Book()
    for number in range(50):
        name = str(number)
        sizes = {"fill_size": 1, "total_fill_size": 1}
        book.take(told(352, 5, number, basket_id=name, user_tag=f"t{number}", fill_id=name, **sizes))
    assert len(book.orders) == 10
    assert len(book._fills) == 10
    assert "t0" in book.tags, "a client id is never given twice"


# --- orders to the wire ---


def new(**more: Any) -> NewOrder:
    values = {"type": OrderType.LIMIT, "price": Decimal("6000.25"), "quantity": Decimal(2)} | more
    return NewOrder(client_id="mine", terms=Terms(symbol=MES, side=Side.SELL, **values))


STOP = {"type": OrderType.STOP_MARKET, "price": None, "trigger_price": Decimal(6100)}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"post_only": True}, RejectReason.OTHER),
        ({"reduce_only": True}, RejectReason.OTHER),
        ({"type": OrderType.TRAILING_STOP, "price": None, "trail_percent": Decimal(1)}, RejectReason.OTHER),
        ({**STOP, "trigger_by": TriggerBy.MARK}, RejectReason.OTHER),
        ({"quantity": Decimal("0.5")}, RejectReason.QUANTITY),
        ({"price": None}, RejectReason.PRICE),
        ({"price": Decimal("6000.2500000000000001")}, RejectReason.PRICE),
    ],
)
def test_what_rithmic_cannot_be_told(more: dict[str, Any], reason: RejectReason) -> None:
    with pytest.raises(Untranslatable) as raised:
        translate.new_order(new(**more), RULES, "route")
    assert raised.value.reason is reason


def test_durations() -> None:
    for terms, number in (
        ({}, translate.GTC),
        ({"native": translate.NATIVE_DAY}, translate.DAY),
        ({"time_in_force": TimeInForce.IOC}, translate.IOC),
        ({"time_in_force": TimeInForce.FOK}, translate.FOK),
    ):
        assert translate.new_order(new(**terms), RULES, "route")["duration"] == number


def test_prices_survive_floats() -> None:
    """Every tick of a currency future in both directions."""
    tick = Decimal("0.00005")
    for steps in range(20_000, 24_000):
        price = steps * tick
        assert translate.number(translate.wire_price(price, RULES)) == price


# --- words ---


@pytest.mark.parametrize(
    ("code", "text", "meaning"),
    [
        ("13", "permission denied", "permission"),
        ("7", "no data", "symbol"),
        ("1028", "anything", "not-found"),
        ("6", "Rejected at RMS - Available margin exhausted", "margin"),
        ("6", "max order quantity exceeded", "quantity"),
        ("6", "price is out of band", "price"),
        ("6", "Atomic order operation in progress", "overloaded"),
        ("6", "bad input", "other"),
    ],
)
def test_what_refusals_mean(code: str, text: str, meaning: str) -> None:
    assert errors.meaning(code, text) == meaning
