"""Wallets, positions, modes, reduce-only, liquidation; linear, inverse, spot."""

from __future__ import annotations

from decimal import Decimal

import pytest
from copydesk.model import OrderStatus, PositionSide, RejectReason
from copydesk_paper.exchange import ExchangeRefusal

D = Decimal


def test_profit_fees_and_entry_price(bench):
    bench.place("a", "buy", 2)
    position = bench.exchange.positions("a")[0]
    assert (position.quantity, position.entry_price) == (D(2), D("1001.5"))
    bench.depth([(1100, 10)], [(1101, 10)])
    assert bench.exchange.positions("a")[0].unrealised == 2 * (D("1100.5") - D("1001.5"))
    bench.place("a", "sell", 1)
    report = next(r for r in bench.reports if getattr(r, "realised", 0))
    assert report.realised == D("98.5")
    fees = (D(2003) + D(1100)) * D("0.0005")
    balance = bench.exchange.balance("a")
    assert balance.cash == D(10_000) + D("98.5") - fees
    assert balance.equity == balance.cash + D("1100.5") - D("1001.5")


def test_flip_through_zero_starts_anew(bench):
    bench.place("a", "buy", 1)
    bench.place("a", "sell", 2)
    position = bench.exchange.positions("a")[0]
    assert (position.quantity, position.entry_price) == (D(-1), D(999))


def test_available_falls_by_margin_of_positions_and_orders(bench):
    bench.exchange.set_leverage("a", "BTCUSDT", 10)
    bench.mark(1000)
    bench.place("a", "buy", 1, 900)
    assert bench.exchange.balance("a").available == D(10_000 - 90)
    bench.place("a", "sell", "0.5", 1100)
    assert bench.exchange.balance("a").available == D(10_000 - 90), "the larger of both sides"
    bench.place("a", "sell", 1, 1100)
    assert bench.exchange.balance("a").available == D(10_000 - 165)


def test_margin_refuses_more_but_never_an_exit(bench):
    bench.exchange.set_leverage("a", "BTCUSDT", 1)
    bench.place("a", "buy", "9.5")
    with pytest.raises(ExchangeRefusal) as refusal:
        bench.place("a", "buy", 1)
    assert refusal.value.reason is RejectReason.MARGIN
    assert bench.place("a", "sell", 9).status is OrderStatus.FILLED


def test_leverage_has_limits(bench):
    for wrong in (0, 126):
        with pytest.raises(ExchangeRefusal):
            bench.exchange.set_leverage("a", "BTCUSDT", wrong)
    bench.place("a", "buy", 10)
    with pytest.raises(ExchangeRefusal) as refusal:
        bench.exchange.set_leverage("a", "BTCUSDT", 1)
    assert refusal.value.detail == "insufficient-margin"
    assert bench.exchange.leverage("a", "BTCUSDT") == 20


def test_reduce_only_is_clamped_to_the_position(bench):
    bench.place("a", "buy", 1)
    order = bench.place("a", "sell", 3, reduce_only=True)
    assert (order.filled, order.status) == (D(1), OrderStatus.EXPIRED)
    assert bench.held("a") == 0


def test_resting_reduce_only_orders_never_turn_the_position(bench):
    bench.place("a", "buy", 1)
    bench.place("a", "sell", 1, 1010, "one", reduce_only=True)
    bench.place("a", "sell", 1, 1020, "two", reduce_only=True)
    bench.trade(1030, 5)
    assert bench.held("a") == 0
    assert bench.order("a", "one").status is OrderStatus.FILLED
    assert bench.order("a", "two").status is OrderStatus.EXPIRED


def test_another_user_takes_no_more_of_a_reduce_only_order_than_the_position(bench):
    bench.place("a", "buy", 1)
    bench.place("a", "sell", 1, 1001.5, "target", reduce_only=True)
    bench.place("a", "sell", "0.75")
    order = bench.place("b", "buy", 1, 1001.5)
    assert order.filled == D("0.25")
    assert bench.held("a") == 0
    assert bench.order("a", "target").status is OrderStatus.EXPIRED


def test_reduce_only_orders_expire_with_the_position(bench):
    bench.place("a", "buy", 1)
    bench.place("a", "sell", 1, 1010, "target", reduce_only=True)
    bench.place("a", "sell", 1, client_id="stop", type="stop-market", trigger_price=950, reduce_only=True)
    bench.place("a", "sell", 1)
    assert bench.order("a", "target").status is OrderStatus.EXPIRED
    assert bench.order("a", "stop").status is OrderStatus.NEW, "a waiting conditional order stays, as on Binance"
    bench.trade(950, 1)
    assert bench.order("a", "stop").status is OrderStatus.EXPIRED


def test_hedge_mode_keeps_two_positions(new_bench):
    bench = new_bench(hedge=True)
    with pytest.raises(ExchangeRefusal) as refusal:
        bench.place("a", "buy", 1)
    assert refusal.value.detail == "position-side"
    bench.place("a", "buy", 1, position_side=PositionSide.LONG)
    bench.place("a", "sell", 2, position_side=PositionSide.SHORT)
    assert {p.position_side: p.quantity for p in bench.exchange.positions("a")} == {"long": D(1), "short": D(-2)}
    order = bench.place("a", "sell", 5, position_side=PositionSide.LONG)
    assert order.filled == 1, "selling the long side closes it and no more"
    with pytest.raises(ExchangeRefusal) as refusal:
        bench.exchange.set_hedge_mode("a", False)
    assert refusal.value.detail == "hedge-with-positions"


def test_position_mode_changes_on_a_flat_account(bench):
    bench.exchange.set_hedge_mode("a", True)
    assert bench.exchange.hedge_mode("a")
    assert bench.told() == ["a account position-mode"]


def test_cross_liquidation(bench):
    bench.exchange.deposit("a", D(-9_400))
    bench.place("a", "buy", 10)
    bench.place("a", "sell", 1, 1100, "target", reduce_only=True)
    price = bench.exchange.positions("a")[0].liquidation_price
    assert 940 < price < 960
    bench.mark(price + 1)
    assert bench.held("a") == 10
    bench.depth([(price // 1 - 2, 20)], [(1001, 1)])
    bench.mark(price - 1)
    assert bench.held("a") == 0
    assert bench.order("a", "target").reason == "liquidation"
    assert "a account liquidation" in bench.told("a")
    assert bench.exchange.balance("a").cash >= 0


def test_who_closed_and_opened_again_is_liquidated_like_anybody(bench):
    bench.exchange.deposit("a", D(-9_400))
    bench.place("a", "buy", 10)
    bench.place("a", "sell", 10)
    bench.mark(900)
    assert bench.held("a") == 0
    bench.mark(1000)
    bench.place("a", "buy", 10)
    price = bench.exchange.positions("a")[0].liquidation_price
    bench.mark(price - 1)
    assert bench.held("a") == 0
    assert "a account liquidation" in bench.told("a")


def test_insurance_fund_pays_what_a_wallet_cannot(bench):
    bench.exchange.deposit("a", D(-9_400))
    bench.place("a", "buy", 10)
    bench.depth([(800, 2)], [(801, 1)])
    assert bench.held("a") == 0
    assert bench.exchange.balance("a").cash == 0
    assert bench.exchange.insurance_fund > 0


def test_isolated_position_goes_alone(bench):
    bench.exchange.set_isolated("a", "BTCUSDT", True)
    bench.place("a", "buy", 2)
    price = bench.exchange.positions("a")[0].liquidation_price
    assert 950 < price < 960
    bench.depth([(940, 20)], [(941, 20)])
    assert bench.held("a") == 0
    assert bench.exchange.balance("a").cash > 9_800


def test_inverse_contracts_settle_in_the_base(bench):
    with pytest.raises(ExchangeRefusal) as refusal:
        bench.place("a", "buy", 5, symbol="BTCUSD")
    assert refusal.value.detail == "insufficient-margin"
    bench.exchange.deposit("a", D(1), asset="BTC")
    bench.place("a", "buy", 1, symbol="BTCUSD")
    bench.depth([(1100, 10)], [(1101, 10)], symbol="BTCUSD")
    bench.place("a", "sell", 1, symbol="BTCUSD")
    profit = D(100) / 1001 - D(100) / 1100
    fees = (D(100) / 1001 + D(100) / 1100) * D("0.0005")
    assert abs(bench.exchange.wallets("a")["BTC"] - (1 + profit - fees)) < D("0.00000005")
    assert bench.exchange.fills("a")[0].fee_asset == "BTC"


def test_inverse_liquidation_price(bench):
    bench.exchange.deposit("a", D("0.5"), asset="BTC")
    bench.depth([(1000, 100)], [(1001, 100)], symbol="BTCUSD")
    bench.place("a", "buy", 50, symbol="BTCUSD")
    price = bench.exchange.positions("a")[0].liquidation_price
    bench.mark(price + D("0.5"), symbol="BTCUSD")
    assert bench.held("a", "BTCUSD") == 50
    bench.mark(price - D("0.5"), symbol="BTCUSD")
    assert bench.held("a", "BTCUSD") == 0


def test_spot_moves_both_assets_and_takes_the_fee_from_what_comes_in(bench):
    bench.place("a", "buy", 1, symbol="SOLUSDT")
    wallets = bench.exchange.wallets("a")
    assert (wallets["USDT"], wallets["SOL"]) == (D(8_999), D("0.9995"))
    assert bench.exchange.balance("a").equity == D(8_999) + D("0.9995") * 1001, "what is held counts at the mark"
    with pytest.raises(ExchangeRefusal) as refusal:
        bench.place("a", "sell", 1, symbol="SOLUSDT")
    assert refusal.value.detail == "insufficient-margin"
    bench.place("a", "sell", "0.99", symbol="SOLUSDT")
    assert bench.exchange.wallets("a")["SOL"] == D("0.0095")


def test_withdrawal_leaves_what_is_bound(bench):
    bench.place("a", "buy", 10)
    with pytest.raises(ExchangeRefusal):
        bench.exchange.deposit("a", D(-9_900))
    bench.exchange.deposit("a", D(-9_000))
    assert bench.told("a")[-1] == "a account withdraw"
