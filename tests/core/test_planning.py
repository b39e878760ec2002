"""What a child's order looks like where its venue or its pair is not like the parent's."""

from __future__ import annotations

import pytest
from copydesk.model import OrderType, Side, Terms, TriggerBy
from harness.closed_loop import PARENT, SYMBOL, ClosedLoop, D, child, instrument
from msgspec.structs import replace

NO_TAKE_PROFIT = frozenset(OrderType) - {OrderType.TAKE_PROFIT_MARKET, OrderType.TAKE_PROFIT_LIMIT}


@pytest.mark.parametrize(
    ("type_", "own", "price"), [(OrderType.STOP_MARKET, None, "58996"), (OrderType.STOP_LIMIT, "58990.4", "58991")]
)
def test_the_twin_of_a_stop_rests_in_the_book_where_there_are_no_take_profits(type_, own, price):
    """At the price of the parent's order, else at its trigger, on the child's tick, and without a trigger of any kind."""
    desk = ClosedLoop((child("c1", k="-1"),), types=NO_TAKE_PROFIT).start()
    desk.sell("2")
    desk.settle()
    desk.copier.desk.instruments["paper", SYMBOL] = replace(desk.instrument, price_tick=D(1))
    desk.buy("2", type=OrderType.STOP_MARKET, trigger="61000", reduce_only=True)
    desk.settle()
    (limit,) = desk.working("c1")
    assert limit == Terms(
        symbol=SYMBOL, side=Side.SELL, type=OrderType.LIMIT, quantity=D(2), price=D(61000), reduce_only=True
    )
    desk = ClosedLoop((child("c1", k="-1"),), types=NO_TAKE_PROFIT).start()
    desk.buy("2")
    desk.settle()
    desk.copier.desk.instruments["paper", SYMBOL] = replace(desk.instrument, price_tick=D(1))
    more = {"price": own} if own is not None else {}
    desk.sell("2", type=type_, trigger="58995.6", trigger_by=TriggerBy.MARK, reduce_only=True, **more)
    desk.settle()
    (limit,) = desk.working("c1")
    assert (limit.type, limit.side, limit.trigger_by) == (OrderType.LIMIT, Side.BUY, TriggerBy.LAST)
    assert limit.price in (D(price), D(price) - 1), "the tick below or above"
    assert limit.trigger_price is None


def entry(type_: OrderType, price: str, quantity: str, side: Side = Side.BUY) -> Terms:
    at = D(price)
    stop = type_ is OrderType.STOP_MARKET
    return Terms(
        symbol=SYMBOL,
        side=side,
        type=type_,
        quantity=D(quantity),
        price=None if stop else at,
        trigger_price=at if stop else None,
    )


@pytest.mark.parametrize("held", [0, 2])
def test_two_orders_of_a_group_that_open_are_sized_by_one_ratio(held):
    """Whichever of the two comes first has no copy yet when the first is placed; both may turn the position round."""
    desk = ClosedLoop((child("c1", k="0.5"),), instrument=instrument("1"), oco=True).start()
    if held:
        desk.sell(str(held))
        desk.settle()
    desk.parent_places_group(entry(OrderType.LIMIT, "59000", "4"), entry(OrderType.STOP_MARKET, "61000", "4"))
    desk.settle()
    assert [terms.quantity for terms in desk.working("c1")] == [2, 2]
    desk.prices(D(61001))
    desk.settle()
    assert (desk.position(PARENT), desk.position("c1")) == (4 - held, D(4 - held) / 2)
    assert desk.working("c1") == []


@pytest.mark.parametrize(("age_s", "limit_s"), [(301, 300), (2, 1)])
def test_a_balance_that_is_too_old_is_told_with_its_age_and_the_limit(age_s, limit_s):
    from copydesk.planning import ratio_for

    rules = child("c1", balance_max_age_ms=limit_s * 1000 + 500)
    desk = ClosedLoop((rules,)).start()
    accounts = desk.copier.desk.accounts
    told = ratio_for(rules, accounts[PARENT], accounts["c1"], accounts["c1"].balance_ns + age_s * 1_000_000_000)
    assert told == f"the balance of c1 is {age_s} s old, older than the limit of {limit_s} s"
