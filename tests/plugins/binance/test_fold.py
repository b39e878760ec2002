"""A conditional order is one order for life, whichever service reports first."""

from __future__ import annotations

import itertools
from decimal import Decimal

import pytest
from copydesk.model import Fill, Order, OrderStatus, OrderType, Side, Terms
from copydesk_binance.fold import Doubt, Fold, Told, as_one, fold_all
from copydesk_binance.translate import AlgoReport, OrderReport
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

STOP = Terms(
    symbol="BTCUSDT",
    side=Side.SELL,
    type=OrderType.STOP_LIMIT,
    quantity=Decimal(3),
    price=Decimal(99),
    trigger_price=Decimal(100),
)
LIMIT = replace(STOP, type=OrderType.LIMIT, trigger_price=None)


def algo(word: str, at: int, *, becomes: str = "", filled: int = 0) -> AlgoReport:
    status = {"NEW": OrderStatus.NEW, "TRIGGERED": OrderStatus.NEW, "FINISHED": OrderStatus.CANCELLED}[word]
    order = Order(
        venue_id="algo:7",
        client_id="stop-1",
        terms=STOP,
        status=OrderStatus.FILLED if filled == 3 else status,
        filled=Decimal(filled),
        triggered=word != "NEW",
        updated_ms=at,
    )
    return AlgoReport(order=order, becomes=becomes, finished=word == "FINISHED")


def ordinary(status: OrderStatus, at: int, *, filled: int = 0, client_id: str = "") -> OrderReport:
    order = Order(venue_id="55", client_id=client_id, terms=LIMIT, status=status, filled=Decimal(filled), updated_ms=at)
    fill = None
    if filled:
        fill = Fill(
            execution_id=f"e{filled}",
            venue_id="55",
            symbol="BTCUSDT",
            side=Side.SELL,
            quantity=Decimal(1),
            price=Decimal(99),
        )
    return OrderReport(order=order, fill=fill)


WAITING = algo("NEW", 1)
TRIGGERED = algo("TRIGGERED", 5, becomes="55")
FINISHED = algo("FINISHED", 9, becomes="55", filled=3)
CHILD = (
    ordinary(OrderStatus.NEW, 5),
    ordinary(OrderStatus.PARTIALLY_FILLED, 6, filled=1),
    ordinary(OrderStatus.PARTIALLY_FILLED, 7, filled=2),
    ordinary(OrderStatus.FILLED, 8, filled=3),
)


def play(reports: list[AlgoReport | OrderReport], venue: AlgoReport = TRIGGERED) -> tuple[list[Told], int]:
    """Fold as the stream does, asking the venue where in doubt. Returns what was told and how often it was asked."""
    fold, told, asked = Fold(), [], 0
    fold.learn((WAITING,))
    for report in reports:
        if isinstance(report, AlgoReport):
            told.append(fold.conditional(report))
            continue
        answer = fold.ordinary(report, is_first=report.order.status is OrderStatus.NEW)
        if isinstance(answer, Doubt):
            asked += 1
            fold.learn((venue,))
            answer = fold.ordinary(report, is_first=False)
        assert isinstance(answer, Told)
        told.append(answer)
    return told, asked


@given(order=st.permutations([TRIGGERED, FINISHED, *CHILD]), client_id=st.sampled_from(["", "stop-1", "web_abc"]))
def test_any_order_of_arrival_gives_one_order(order: list[AlgoReport | OrderReport], client_id: str) -> None:
    reports = [
        replace(report, order=replace(report.order, client_id=client_id)) if isinstance(report, OrderReport) else report
        for report in order
    ]
    told, asked = play(reports)
    assert len(told) == len(reports)  # none is lost, none is merged
    assert {item.order.venue_id for item in told} == {"algo:7"}
    assert {item.order.client_id for item in told} == {"stop-1"}
    assert {item.order.terms.type for item in told} == {OrderType.STOP_LIMIT}
    assert {item.fill.execution_id for item in told if item.fill} == {"e1", "e2", "e3"}
    assert {item.fill.venue_id for item in told if item.fill} == {"algo:7"}
    assert all(item.order.triggered for item in told)
    assert told[-1].order.status is OrderStatus.FILLED
    assert told[-1].order.filled == 3
    filled = [item.order.filled for item in told]
    assert filled == sorted(filled)
    ended = [item.order.status.is_final for item in told]
    assert ended == sorted(ended)  # once ended, it stays so
    assert asked <= 1
    if client_id == "stop-1":
        assert asked == 0


@pytest.mark.parametrize("reports", list(itertools.permutations([TRIGGERED, algo("FINISHED", 9, becomes="55"), CHILD[0]])))
def test_how_it_ended_is_told_by_the_order_that_it_became(reports: tuple[AlgoReport | OrderReport, ...]) -> None:
    told, _ = play(list(reports))
    assert all(item.order.is_working for item in told)
    fold = Fold()
    fold.learn((WAITING,))
    for report in reports:
        if isinstance(report, AlgoReport):
            fold.conditional(report)
    last = fold.ordinary(ordinary(OrderStatus.CANCELLED, 10), is_first=False)
    assert isinstance(last, Told)
    assert last.order.status is OrderStatus.CANCELLED


def test_an_order_by_hand_that_looks_like_a_waiting_one_is_asked_about_and_stays_itself() -> None:
    fold = Fold()
    fold.learn((WAITING,))
    doubt = fold.ordinary(CHILD[0], is_first=True)
    assert doubt == Doubt(symbol="BTCUSDT", order_id="55")
    fold.learn((WAITING,))  # the venue says: it still waits
    assert isinstance(fold.ordinary(CHILD[0], is_first=True), Doubt)
    fold.learn_plain("55")
    told = fold.ordinary(CHILD[1], is_first=False)
    assert isinstance(told, Told)
    assert told.order.venue_id == "55"


def test_orders_placed_from_here_and_orders_unlike_any_waiting_one_are_not_asked_about() -> None:
    fold = Fold()
    fold.learn((WAITING,))
    fold.expect_plain("mine")
    mine = replace(CHILD[0], order=replace(CHILD[0].order, client_id="mine"))
    assert isinstance(fold.ordinary(mine, is_first=True), Told)
    other = replace(CHILD[0], order=replace(CHILD[0].order, venue_id="56", terms=replace(LIMIT, quantity=Decimal(2))))
    assert isinstance(fold.ordinary(other, is_first=True), Told)


def test_a_stranger_is_asked_about_unless_its_first_report_was_seen() -> None:
    fold = Fold()
    assert isinstance(fold.ordinary(CHILD[1], is_first=False), Doubt)
    assert isinstance(fold.ordinary(CHILD[0], is_first=True), Told)
    assert isinstance(fold.ordinary(CHILD[1], is_first=False), Told)


def test_reads_of_both_services_give_one_order() -> None:
    child = CHILD[2].order
    for orders, reports in (
        ((child,), (TRIGGERED,)),
        ((child, CHILD[0].order), (WAITING, TRIGGERED)),
        ((CHILD[0].order, child), (TRIGGERED, WAITING)),
    ):
        (order,) = fold_all(orders, reports)
        assert (order.venue_id, order.filled, order.status) == ("algo:7", 2, OrderStatus.PARTIALLY_FILLED)
    plain = replace(child, venue_id="99")
    assert {order.venue_id for order in fold_all((plain,), (WAITING,))} == {"99", "algo:7"}


def test_an_amended_triggered_order_shows_its_new_price_and_quantity() -> None:
    amended = replace(CHILD[0].order, terms=replace(LIMIT, price=Decimal(98), quantity=Decimal(2)))
    order = as_one(TRIGGERED.order, amended)
    assert (order.terms.price, order.terms.quantity, order.terms.trigger_price) == (98, 2, 100)


def test_an_order_that_says_it_was_triggered_is_asked_about_whatever_it_looks_like() -> None:
    fold = Fold()
    fold.learn((WAITING,))
    was_stop = replace(CHILD[0].order, terms=replace(STOP, quantity=Decimal(1)), triggered=True)
    assert isinstance(fold.ordinary(OrderReport(order=was_stop), is_first=True), Doubt)
    fold.learn((TRIGGERED,))
    told = fold.ordinary(OrderReport(order=was_stop), is_first=True)
    assert isinstance(told, Told)
    assert told.order.venue_id == "algo:7"
