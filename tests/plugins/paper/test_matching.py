"""Price-time priority, order types and times in force, against the recording and between users."""

from __future__ import annotations

from decimal import Decimal

import pytest
from copydesk.model import Contract, Instrument, OrderStatus, OrderType, RejectReason, Side, Terms, TimeInForce
from copydesk_paper.exchange import Exchange, ExchangeRefusal, MarketDepth

D = Decimal
LINEAR = Instrument(
    symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    settle="USDT",
    contract=Contract.LINEAR,
    price_tick=D("0.5"),
    quantity_step=D("0.001"),
)


def test_market_order_walks_the_levels_and_reports_in_order(bench):
    order = bench.place("a", "buy", 2, client_id="m")
    assert order.status is OrderStatus.FILLED
    assert [(fill.price, fill.quantity) for fill in bench.exchange.fills("a")] == [(D(1001), D(1)), (D(1002), D(1))]
    assert order.average_price == D("1001.5")
    assert bench.told() == ["a new m", "a trade m", "a trade m", "a account order"]


def test_depth_update_restores_what_users_took(bench):
    bench.place("a", "buy", 1)
    assert bench.exchange.quote("BTCUSDT").ask == D(1002)
    bench.depth([], [(1005, 3)], snapshot=False)
    assert bench.exchange.quote("BTCUSDT").ask == D(1001)


def test_market_order_beyond_the_book_expires_with_what_it_got(bench):
    bench.exchange.deposit("a", D(100_000))
    order = bench.place("a", "buy", 20, client_id="big")
    assert (order.status, order.filled) == (OrderStatus.EXPIRED, D(13))
    with pytest.raises(ExchangeRefusal) as refusal:
        bench.place("a", "buy", 1)
    assert refusal.value.detail == "no-liquidity"


def test_users_match_by_price_then_time(bench):
    bench.place("a", "sell", 1, 1000.5, "a1")
    bench.place("b", "sell", 1, 1000.5, "b1")
    bench.place("b", "sell", 1, 1001, "b2")
    bench.place("c", "buy", "1.5", 1000.5)
    assert bench.order("a", "a1").status is OrderStatus.FILLED
    assert bench.order("b", "b1").filled == D("0.5")
    assert bench.order("b", "b2").filled == 0
    maker, taker = bench.exchange.fills("a")[0], bench.exchange.fills("c")[0]
    assert (maker.maker, taker.maker) == (True, False)
    assert maker.execution_id == taker.execution_id
    assert (maker.fee, taker.fee) == (D("0.20010000"), D("0.50025000"))


def test_user_stands_behind_the_recording_at_its_price(bench):
    bench.place("a", "sell", 1, 1001, "mine")
    bench.place("b", "buy", "1.25", 1001)
    assert bench.order("a", "mine").filled == D("0.25"), "one of the recording's stood before it"


def test_recorded_trade_at_the_price_fills_after_the_queue_ahead(bench):
    bench.place("a", "buy", 1, 1000, "mine")
    bench.trade(1000, "0.75", sell=True)
    assert bench.order("a", "mine").filled == 0
    bench.trade(1000, "0.75", sell=True)
    assert bench.order("a", "mine").filled == D("0.5")


def test_recorded_trade_through_the_price_fills_by_price_and_time_and_no_more_than_it_has(bench):
    bench.place("a", "buy", 1, 999, "far")
    bench.place("b", "buy", 1, 1000, "near")
    bench.place("c", "buy", 1, 1000, "late")
    bench.trade(998, "1.5", sell=True)
    filled = [bench.order(*who).filled for who in (("b", "near"), ("c", "late"), ("a", "far"))]
    assert filled == [D(1), D("0.5"), D(0)]
    assert bench.exchange.fills("b")[0].price == D(1000), "at the user's own price"
    assert bench.exchange.fills("b")[0].maker


def test_depth_that_crosses_a_resting_order_fills_it(bench):
    bench.place("a", "buy", 3, 999.5, "mine")
    bench.depth([(997, 5)], [(999, 2), (999.5, 4)])
    assert bench.order("a", "mine").status is OrderStatus.FILLED
    quote = bench.exchange.quote("BTCUSDT")
    assert (quote.bid, quote.ask, quote.ask_quantity) == (D(997), D("999.5"), D(3))


def test_limit_that_crosses_takes_and_rests_with_the_remainder(bench):
    order = bench.place("a", "buy", 3, 1001.5)
    assert (order.status, order.filled) == (OrderStatus.PARTIALLY_FILLED, D(1))
    quote = bench.exchange.quote("BTCUSDT")
    assert (quote.bid, quote.bid_quantity, quote.ask) == (D("1001.5"), D(2), D(1002))


def test_ioc_expires_with_the_remainder(bench):
    order = bench.place("a", "buy", 3, 1001, time_in_force=TimeInForce.IOC)
    assert (order.status, order.filled) == (OrderStatus.EXPIRED, D(1))
    assert not bench.exchange.open_orders("a")


def test_fok_all_or_nothing(bench):
    with pytest.raises(ExchangeRefusal) as refusal:
        bench.place("a", "buy", "3.5", 1002, time_in_force=TimeInForce.FOK)
    assert refusal.value.detail == "fok"
    assert bench.place("a", "buy", 3, 1002, time_in_force=TimeInForce.FOK).status is OrderStatus.FILLED


def test_post_only_is_refused_where_it_would_take(bench):
    with pytest.raises(ExchangeRefusal) as refusal:
        bench.place("a", "buy", 1, 1001, post_only=True)
    assert (refusal.value.reason, refusal.value.detail) == (RejectReason.POST_ONLY, "post-only")
    assert bench.place("a", "buy", 1, 1000.5, post_only=True).status is OrderStatus.NEW


def test_own_resting_order_expires_rather_than_trade_with_itself(bench):
    bench.place("a", "sell", 1, 1000.5, "own")
    bench.place("a", "buy", 1, client_id="m")
    assert bench.order("a", "own").status is OrderStatus.EXPIRED
    assert bench.exchange.fills("a")[0].price == D(1001)


def test_partial_fills_cut_executions(bench):
    bench.exchange.partial_fills = 4
    order = bench.place("a", "buy", "0.9")
    assert order.status is OrderStatus.FILLED
    assert [fill.quantity for fill in bench.exchange.fills("a")] == [D("0.225")] * 4
    bench.place("b", "buy", "0.9", 1000.5, "rest")
    bench.trade(1000.5, 5, sell=True)
    assert [fill.quantity for fill in bench.exchange.fills("b")] == [D("0.225")] * 4


def test_client_id_is_taken_only_while_its_order_is_open(bench):
    bench.place("a", "buy", 1, 990, "same")
    with pytest.raises(ExchangeRefusal) as refusal:
        bench.place("a", "buy", 1, 991, "same")
    assert refusal.value.detail == "duplicate-client-id"
    assert bench.place("b", "buy", 1, 990, "same").status is OrderStatus.NEW
    first = bench.exchange.cancel("a", client_id="same")
    again = bench.place("a", "buy", 1, 991, "same")
    assert bench.order("a", "same").venue_id == again.venue_id != first.venue_id


def test_cancel_ends_once(bench):
    order = bench.place("a", "buy", 1, 990, "x")
    assert bench.exchange.cancel("a", venue_id=order.venue_id).status is OrderStatus.CANCELLED
    with pytest.raises(ExchangeRefusal) as refusal:
        bench.exchange.cancel("a", client_id="x")
    assert refusal.value.reason is RejectReason.NOT_FOUND
    assert bench.exchange.quote("BTCUSDT").bid == D(1000)


@pytest.mark.parametrize(
    ("change", "first"), [({"quantity": D("0.5")}, "a"), ({"quantity": D(2)}, "b"), ({"price": D(1000)}, "b")]
)
def test_amend_loses_priority_unless_only_the_quantity_falls(bench, change, first):
    bench.depth([(990, 5)], [(1010, 5)])
    bench.place("a", "buy", 1, 999.5 if "price" in change else 1000, "x")
    bench.place("b", "buy", 1, 1000, "y")
    bench.exchange.modify("a", client_id="x", **change)
    bench.trade(1000, "0.25", sell=True)
    assert [name for name in "ab" if bench.exchange.fills(name)] == [first]


def test_amend_may_take_at_once_and_refuses_what_changes_nothing(bench):
    bench.place("a", "buy", 1, 990, "x")
    with pytest.raises(ExchangeRefusal) as refusal:
        bench.exchange.modify("a", client_id="x", price=D(990))
    assert refusal.value.reason is RejectReason.UNCHANGED
    order = bench.exchange.modify("a", client_id="x", price=D(1001))
    assert order.status is OrderStatus.FILLED
    assert bench.told("a") == ["a new x", "a amended x", "a trade x", "a account order"]


def test_refused_amend_leaves_the_order_as_it_was(bench):
    bench.place("a", "buy", 1, 990, "x")
    with pytest.raises(ExchangeRefusal):
        bench.exchange.modify("a", client_id="x", price=D("990.3"))
    with pytest.raises(ExchangeRefusal):
        bench.exchange.modify("a", client_id="x", quantity=D(90_000))
    bench.exchange.deposit("a", D(-9_000))
    with pytest.raises(ExchangeRefusal) as refusal:
        bench.exchange.modify("a", client_id="x", quantity=D(90))
    assert refusal.value.detail == "insufficient-margin"
    assert bench.order("a", "x").terms.price == D(990)
    bench.trade(989, 1, sell=True)
    assert bench.order("a", "x").status is OrderStatus.FILLED


def test_amend_to_what_is_filled_cancels(bench):
    bench.place("a", "buy", 2, 1001, "x")
    assert bench.exchange.modify("a", client_id="x", quantity=D(1)).status is OrderStatus.CANCELLED


@pytest.mark.parametrize(
    ("fields", "detail"),
    [
        ({"price": 1000.3}, "price-tick"),
        ({"price": 2000}, "price-band"),
        ({"quantity": "0.0005"}, "quantity-step"),
        ({"quantity": 0}, "min-quantity"),
        ({"quantity": 101, "price": 900}, "max-quantity"),
        ({"quantity": 51}, "max-quantity"),
        ({"quantity": "0.001"}, "min-notional"),
        ({"symbol": "NOPE"}, "unknown-symbol"),
        ({"type": "limit"}, "price-tick"),
        ({"type": "trailing-stop", "trail_percent": 50}, "trail"),
        ({"trail_percent": 1}, "trail"),
        ({"close_position": True}, "close-position"),
        ({"reduce_only": True}, "nothing-to-reduce"),
        ({"type": "stop-market", "trigger_price": 900}, "would-trigger"),
        ({"quantity": 300, "price": 1000, "symbol": "SOLUSDT"}, "insufficient-margin"),
        ({"quantity": 49, "price": 1003}, None),
    ],
)
def test_order_rules(bench, fields, detail):
    bench.exchange.deposit("a", D(5_000))
    order = {"quantity": 1, **fields}
    if detail is None:
        assert bench.place("a", "buy", **order).status is OrderStatus.PARTIALLY_FILLED
        return
    bench.reports.clear()
    with pytest.raises(ExchangeRefusal) as refusal:
        bench.place("a", "buy", **order)
    assert refusal.value.detail == detail
    assert not bench.reports
    assert not bench.exchange.open_orders("a")


def test_listener_that_trades_is_told_afterwards(bench):
    def copy(report):
        if getattr(report, "account", "") == "a" and getattr(report, "execution", "") == "trade":
            bench.place("b", "buy", 1, client_id="copy")

    bench.exchange.listen(copy)
    bench.place("a", "buy", 1, client_id="m")
    assert bench.told() == ["a new m", "a trade m", "a account order", "b new copy", "b trade copy", "b account order"]


def test_a_venues_commission_takes_the_place_of_the_fees():
    """It is told what the order had filled before: a minimum for the order as a whole is paid once."""
    asked = []

    def commission(instrument, before, quantity, price):
        asked.append((instrument.symbol, before, quantity, price))
        return D(5) if not before else D(0)

    exchange = Exchange((LINEAR,), now_ms=lambda: 1, commission=commission)
    exchange.open_account("a", D(10_000))
    asks = ((D(1001), D(1)), (D(1002), D(2)))
    exchange.apply(MarketDepth(symbol="BTCUSDT", bids=((D(1000), D(1)),), asks=asks, snapshot=True))
    exchange.place("a", Terms(symbol="BTCUSDT", side=Side.BUY, type=OrderType.MARKET, quantity=D(2)))
    assert asked == [("BTCUSDT", D(0), D(1), D(1001)), ("BTCUSDT", D(1), D(1), D(1002))]
    assert [fill.fee for fill in exchange.fills("a")] == [D(5), D(0)]
    assert exchange.wallets("a") == {"USDT": D(9_995)}
