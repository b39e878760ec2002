"""Stops, targets, trailing stops; what becomes of them when they trigger."""

from __future__ import annotations

from decimal import Decimal

import pytest
from copydesk.model import OrderStatus, TriggerBy
from copydesk_paper.exchange import ExchangeRefusal

D = Decimal


@pytest.mark.parametrize(
    ("side", "kind", "trigger", "not_yet", "then"),
    [
        ("sell", "stop-market", 995, 995.5, 995),
        ("buy", "stop-market", 1005, 1004.5, 1005),
        ("sell", "take-profit-market", 1005, 1004.5, 1006),
        ("buy", "take-profit-market", 995, 995.5, 994),
    ],
)
def test_market_conditionals_trigger_by_last(bench, side, kind, trigger, not_yet, then):
    bench.trade(1000, 1)
    bench.place("a", side, 1, client_id="c", type=kind, trigger_price=trigger)
    bench.trade(not_yet, 1)
    assert bench.order("a", "c").status is OrderStatus.NEW
    bench.trade(then, 1)
    order = bench.order("a", "c")
    assert (order.status, order.triggered) == (OrderStatus.FILLED, True)
    assert bench.told("a") == ["a new c", "a triggered c", "a trade c", "a account order"]


def test_stop_limit_rests_at_its_price_under_the_same_order(bench):
    placed = bench.place("a", "buy", 1, 1000, "c", type="stop-limit", trigger_price=1005)
    bench.trade(1005, 1)
    order = bench.order("a", "c")
    assert (order.status, order.triggered, order.venue_id) == (OrderStatus.NEW, True, placed.venue_id)
    bench.trade(999, 1, sell=True)
    assert bench.order("a", "c").status is OrderStatus.FILLED
    with pytest.raises(ExchangeRefusal):
        bench.exchange.modify("a", client_id="c", price=D(999))


def test_take_profit_limit(bench):
    bench.place("a", "buy", 1)
    bench.place("a", "sell", 1, 1006, "c", type="take-profit-limit", trigger_price=1005, reduce_only=True)
    bench.trade(1005, 1)
    assert bench.order("a", "c").triggered
    bench.trade(1007, 1)
    assert bench.held("a") == 0


def test_trigger_by_mark_ignores_the_last_price(bench):
    bench.mark(1000)
    bench.place("a", "sell", 1, client_id="c", type="stop-market", trigger_price=995, trigger_by=TriggerBy.MARK)
    bench.trade(990, 1)
    assert not bench.order("a", "c").triggered
    bench.mark(995)
    assert bench.order("a", "c").triggered


def test_trailing_stop_follows_and_triggers(bench):
    bench.trade(1000, 1)
    bench.place("a", "sell", 1, client_id="t", type="trailing-stop", trail_percent=1)
    bench.trade(1100, 1)
    bench.trade(1089.5, 1)
    assert not bench.order("a", "t").triggered
    bench.trade(1089, 1)
    assert bench.order("a", "t").triggered


def test_trailing_stop_waits_for_its_activation(bench):
    bench.trade(1000, 1)
    bench.place("a", "buy", 1, client_id="t", type="trailing-stop", trail_percent=1, trigger_price=950)
    bench.trade(1050, 1)
    assert not bench.order("a", "t").triggered
    for price in (950, 900, 908.5):
        bench.trade(price, 1)
    assert not bench.order("a", "t").triggered
    bench.trade(909, 1)
    assert bench.order("a", "t").triggered


def test_conditional_orders_are_amended_while_they_wait(bench):
    bench.trade(1000, 1)
    bench.place("a", "sell", 1, client_id="c", type="stop-market", trigger_price=900)
    order = bench.exchange.modify("a", client_id="c", trigger_price=D(950), quantity=D(2))
    assert (order.terms.trigger_price, order.terms.quantity) == (D(950), D(2))
    with pytest.raises(ExchangeRefusal) as refusal:
        bench.exchange.modify("a", client_id="c", trigger_price=D(1001))
    assert refusal.value.detail == "would-trigger"
    bench.trade(949, 1)
    assert bench.held("a") == -2


def test_cancelled_conditional_does_not_trigger(bench):
    bench.place("a", "sell", 1, client_id="c", type="stop-market", trigger_price=900)
    bench.exchange.cancel("a", client_id="c")
    bench.trade(890, 1)
    assert bench.order("a", "c").status is OrderStatus.CANCELLED


def test_one_stop_sets_off_the_next(bench):
    """A market sale by one stop prints lower and triggers another account's stop in the same call."""
    bench.trade(1000, 1)
    bench.place("a", "sell", 3, client_id="first", type="stop-market", trigger_price=1000 - 0.5)
    bench.place("b", "sell", 1, client_id="second", type="stop-market", trigger_price=999)
    bench.trade(999.5, 1)
    assert bench.order("b", "second").status is OrderStatus.FILLED


def test_trigger_without_margin_expires(bench):
    bench.trade(1000, 1)
    bench.place("a", "sell", 50, client_id="c", type="stop-market", trigger_price=995)
    bench.exchange.deposit("a", D(-9_000))
    bench.trade(995, 1)
    order = bench.order("a", "c")
    assert (order.status, order.reason) == (OrderStatus.EXPIRED, "insufficient margin")


def test_close_position_closes_whatever_is_there(bench):
    bench.place("a", "buy", 2)
    bench.place("a", "sell", 0, client_id="c", type="stop-market", trigger_price=990, close_position=True)
    with pytest.raises(ExchangeRefusal) as refusal:
        bench.place("a", "sell", 0, type="stop-market", trigger_price=980, close_position=True)
    assert refusal.value.detail == "close-position"
    bench.place("a", "sell", "0.5")
    bench.depth([(989, 10)], [(1001, 10)])
    bench.trade(990, 1)
    assert bench.held("a") == 0
    assert bench.order("a", "c").filled == D("1.5")


def test_close_position_without_position_expires(bench):
    bench.place("a", "sell", 0, client_id="c", type="stop-market", trigger_price=990, close_position=True)
    bench.trade(990, 1)
    assert bench.order("a", "c").status is OrderStatus.EXPIRED
