"""Order lists: a stop and a target of which one cancels the other."""

from __future__ import annotations

from decimal import Decimal

import pytest
from copydesk.model import OrderStatus, OrderType, Side, Terms
from copydesk_paper.exchange import ExchangeRefusal

D = Decimal


def leg(type_: OrderType, *, price=None, trigger=None, quantity="1", symbol="BTCUSDT", side=Side.SELL) -> Terms:
    return Terms(
        symbol=symbol,
        side=side,
        type=type_,
        quantity=D(quantity),
        price=D(price) if price else None,
        trigger_price=D(trigger) if trigger else None,
        reduce_only=symbol != "SOLUSDT",
    )


TARGET = leg(OrderType.LIMIT, price="1010")
STOP = leg(OrderType.STOP_MARKET, trigger="990")


def place(bench, *legs: Terms):
    return bench.exchange.place_group("a", [(terms, f"leg{number}") for number, terms in enumerate(legs)])


@pytest.fixture
def held(bench):
    bench.place("a", "buy", 1)
    bench.reports.clear()
    return bench


def statuses(bench) -> list[OrderStatus]:
    return [bench.order("a", name).status for name in ("leg0", "leg1")]


def test_both_stand_under_one_group(held):
    target, stop = place(held, TARGET, STOP)
    assert target.group == stop.group == target.venue_id != ""
    assert [order.group for order in held.exchange.open_orders("a")] == [target.group] * 2


def test_a_target_that_trades_takes_the_stop_away_before_it_is_told(held):
    place(held, TARGET, STOP)
    held.trade(1010, "0.4")
    assert statuses(held) == [OrderStatus.PARTIALLY_FILLED, OrderStatus.EXPIRED]
    assert held.told("a")[2:4] == ["a expired leg1", "a trade leg0"]
    held.trade(1010, "0.6")
    assert statuses(held)[0] is OrderStatus.FILLED


def test_a_stop_that_is_triggered_takes_the_target_away(held):
    place(held, TARGET, STOP)
    held.trade(990, 1, sell=True)
    assert statuses(held) == [OrderStatus.EXPIRED, OrderStatus.FILLED]
    assert held.held("a") == 0


def test_a_stop_that_was_taken_away_is_not_triggered(held):
    place(held, TARGET, STOP)
    held.trade(1010, "0.4")
    held.trade(980, 1, sell=True)
    assert held.held("a") == D("0.6")


@pytest.mark.parametrize("which", ["leg0", "leg1"])
def test_a_cancel_of_one_leg_ends_both(held, which):
    place(held, TARGET, STOP)
    held.exchange.cancel("a", client_id=which)
    assert statuses(held) == [OrderStatus.CANCELLED, OrderStatus.CANCELLED]
    assert held.exchange.open_orders("a") == []


def test_a_position_that_is_closed_otherwise_ends_both(held):
    place(held, TARGET, STOP)
    held.place("a", "sell", 1)
    assert statuses(held) == [OrderStatus.EXPIRED, OrderStatus.EXPIRED]


def test_a_leg_cannot_be_changed(held):
    place(held, TARGET, STOP)
    with pytest.raises(ExchangeRefusal, match="place the group anew"):
        held.exchange.modify("a", client_id="leg0", price=D(1011))


def test_a_leg_that_is_left_can_be_changed(held):
    place(held, TARGET, STOP)
    held.trade(1010, "0.4")
    assert held.exchange.modify("a", client_id="leg0", price=D(1011)).terms.price == 1011


@pytest.mark.parametrize(
    "legs",
    [
        (TARGET,),
        (TARGET, TARGET),
        (STOP, STOP),
        (TARGET, leg(OrderType.STOP_MARKET, trigger="990", quantity="0.5")),
        (TARGET, leg(OrderType.STOP_MARKET, trigger="1020", side=Side.BUY)),
        (leg(OrderType.LIMIT, price="1010"), leg(OrderType.STOP_LIMIT, price="1011", trigger="1011")),
    ],
)
def test_what_makes_no_group_is_refused_as_a_whole(held, legs):
    with pytest.raises(ExchangeRefusal) as refused:
        place(held, *legs)
    assert refused.value.detail == "oco"
    assert held.exchange.open_orders("a") == []


def test_both_legs_are_refused_where_one_is(held):
    with pytest.raises(ExchangeRefusal):
        place(held, TARGET, leg(OrderType.STOP_MARKET, trigger="990.3"))
    assert held.exchange.open_orders("a") == []
    assert held.told("a") == []


def test_on_spot_the_two_lock_the_holding_once(bench):
    bench.place("a", "buy", 1, symbol="SOLUSDT")
    legs = (
        leg(OrderType.LIMIT, price="1010", symbol="SOLUSDT", quantity="0.99"),
        leg(OrderType.STOP_MARKET, trigger="990", symbol="SOLUSDT", quantity="0.99"),
    )
    place(bench, *legs)
    bench.trade(990, 1, sell=True, symbol="SOLUSDT")
    assert statuses(bench) == [OrderStatus.EXPIRED, OrderStatus.FILLED]
    assert bench.held("a", "SOLUSDT") < D("0.01")
