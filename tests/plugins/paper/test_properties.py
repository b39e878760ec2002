"""What must hold whatever is traded: random orders, amends, cancels and market moves, then the books are checked."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from decimal import Decimal

from copydesk.model import ZERO, Contract, OrderStatus, OrderType, PositionSide, TimeInForce, to_json
from copydesk_paper.contracts import worth
from copydesk_paper.exchange import ExchangeRefusal
from copydesk_paper.records import AccountReport, Cause, Execution, OrderReport
from hypothesis import given, settings
from hypothesis import strategies as st

D = Decimal
PRICES = st.integers(1988, 2012).map(lambda half: D(half) / 2)
QUANTITIES = st.integers(10, 4000).map(lambda thousandths: D(thousandths) / 1000)
ACCOUNTS = st.sampled_from("abc")
SIDES = st.sampled_from(["buy", "sell"])
TYPES = st.sampled_from(list(OrderType))


@st.composite
def orders(draw):
    kind = draw(TYPES)
    fields = {"type": kind.value, "reduce_only": draw(st.integers(0, 3)) == 0}
    if kind.has_trigger:
        fields["trigger_price"] = draw(PRICES)
    if kind is OrderType.TRAILING_STOP:
        fields["trail_percent"] = draw(st.sampled_from(["0.1", "0.2", "0.5"]))
    if kind.has_price:
        fields["time_in_force"] = draw(st.sampled_from(list(TimeInForce)))
        fields["post_only"] = fields["time_in_force"] is TimeInForce.GTC and draw(st.booleans())
    price = draw(PRICES) if kind.has_price else None
    return ("place", draw(ACCOUNTS), draw(SIDES), draw(QUANTITIES), price, fields)


LIMITS = st.tuples(st.just("place"), ACCOUNTS, SIDES, QUANTITIES, PRICES, st.just({}))
DEPTHS = st.tuples(st.just("depth"), PRICES, st.lists(QUANTITIES, min_size=1, max_size=4), st.booleans())
TRADES = st.tuples(st.just("trade"), PRICES, QUANTITIES, st.booleans())
CANCELS = st.tuples(st.just("cancel"), ACCOUNTS, st.integers(0, 5))
AMENDS = st.tuples(st.just("modify"), ACCOUNTS, st.integers(0, 5), PRICES, QUANTITIES)
SLICES = st.tuples(st.just("slices"), st.integers(0, 4))
STEPS = st.lists(
    st.one_of(LIMITS, LIMITS, LIMITS, LIMITS, orders(), orders(), DEPTHS, TRADES, CANCELS, AMENDS, SLICES),
    min_size=12,
    max_size=50,
)


def play(bench, steps):
    """Do it all; refusals are part of the game. The recording stands far enough away that users meet each other."""
    bench.depth([(995, 3), (990, 20)], [(1005, 3), (1010, 20)])
    for what, *rest in steps:
        with contextlib.suppress(ExchangeRefusal):
            act(bench, what, *rest)
        quote = bench.exchange.quote("BTCUSDT")
        assert not quote.bid or not quote.ask or quote.bid < quote.ask, "the book is crossed"


def act(bench, what, *rest):
    if what == "place":
        account, side, quantity, price, fields = rest
        bench.place(account, side, quantity, price, **fields)
    elif what == "depth":
        bid, quantities, snapshot = rest
        bids = [(bid - D(i) / 2, quantity) for i, quantity in enumerate(quantities)]
        asks = [(bid + D(i + 1) / 2, quantity) for i, quantity in enumerate(quantities)]
        bench.depth(bids, asks, snapshot=snapshot)
    elif what == "trade":
        price, quantity, sell = rest
        bench.trade(price, quantity, sell=sell)
    elif what == "slices":
        bench.exchange.partial_fills = rest[0]
    else:
        account, index, *new = rest
        working = bench.exchange.open_orders(account)
        order = working[index % len(working)] if working else None
        if order is None:
            return
        if what == "cancel":
            bench.exchange.cancel(account, venue_id=order.venue_id)
        else:
            price = new[0] if order.terms.type.has_price else None
            bench.exchange.modify(account, venue_id=order.venue_id, price=price, quantity=new[1])


def trades_of(bench):
    return [r for r in bench.reports if isinstance(r, OrderReport) and r.execution is Execution.TRADE]


@settings(max_examples=100)
@given(STEPS)
def test_positions_and_cash_are_the_sum_of_the_fills(new_bench, steps):
    bench = new_bench()
    play(bench, steps)
    instrument = bench.exchange.instruments["BTCUSDT"]
    for name in "abc":
        fills = bench.exchange.fills(name)
        assert bench.held(name) == sum((fill.quantity * fill.side.sign for fill in fills), ZERO)
        paid = sum((worth(instrument, fill.quantity * fill.side.sign, fill.price) for fill in fills), ZERO)
        fees = sum((fill.fee for fill in fills), ZERO)
        balance = bench.exchange.balance(name)
        mark = bench.exchange.quote("BTCUSDT").mark
        assert balance.equity == 10_000 - paid - fees + worth(instrument, bench.held(name), mark), "money came or went"
        realised = sum((report.realised for report in trades_of(bench) if report.account == name), ZERO)
        assert balance.cash == 10_000 + realised - fees


@settings(max_examples=100)
@given(STEPS)
def test_what_one_user_trades_with_another_is_equal_on_both_sides(new_bench, steps):
    bench = new_bench()
    play(bench, steps)
    sides = defaultdict(list)
    for report in trades_of(bench):
        sides[report.fill.execution_id].append(report.fill)
    for fills in sides.values():
        assert len(fills) in (1, 2)
        if len(fills) == 2:
            one, other = fills
            assert (one.quantity, one.price) == (other.quantity, other.price)
            assert one.side is other.side.opposite
            assert {one.maker, other.maker} == {True, False}
            assert one.account != other.account


@settings(max_examples=100)
@given(STEPS)
def test_orders_fill_no_more_than_they_ask_and_at_no_worse_price(new_bench, steps):
    bench = new_bench()
    play(bench, steps)
    filled = defaultdict(lambda: ZERO)
    held = defaultdict(lambda: ZERO)
    for report in trades_of(bench):
        fill, terms = report.fill, report.order.terms
        filled[fill.account, fill.venue_id] += fill.quantity
        assert report.order.filled == filled[fill.account, fill.venue_id] <= terms.quantity
        if terms.price is not None:
            assert fill.price * fill.side.sign <= terms.price * fill.side.sign
        before = held[fill.account]
        held[fill.account] += fill.quantity * fill.side.sign
        if terms.reduce_only:
            assert abs(held[fill.account]) < abs(before), "a reduce-only order made the position larger"
    for name in "abc":
        for order in bench.exchange.orders(name):
            assert order.filled == filled[name, order.venue_id]
            assert order.status is not OrderStatus.FILLED or order.filled == order.terms.quantity


@settings(max_examples=100)
@given(STEPS)
def test_reports_tell_each_order_s_life_in_order(new_bench, steps):
    bench = new_bench()
    play(bench, steps)
    last, ended = {}, set()
    traded = []
    for report in bench.reports:
        if isinstance(report, OrderReport):
            key = (report.account, report.order.venue_id)
            assert key not in ended, "an ended order was reported again"
            assert (report.execution is Execution.NEW) == (key not in last)
            last[key] = report.order
            if report.order.status.is_final:
                ended.add(key)
            if report.execution is Execution.TRADE:
                traded.append(report.account)
        elif isinstance(report, AccountReport):
            traded = [name for name in traded if name != report.account]
    assert not traded, "an account was not told of what its trades did to it"
    for name in "abc":
        for order in bench.exchange.orders(name):
            assert last[name, order.venue_id] == order


@settings(max_examples=40)
@given(STEPS)
def test_same_inputs_same_reports(new_bench, steps):
    one, two = new_bench(), new_bench()
    play(one, steps)
    play(two, steps)
    assert to_json(one.reports) == to_json(two.reports)


@settings(max_examples=60)
@given(st.lists(st.tuples(ACCOUNTS, SIDES, st.integers(1, 20), PRICES), max_size=25))
def test_inverse_money_is_conserved_too(new_bench, steps):
    bench = new_bench()
    instrument = bench.exchange.instruments["BTCUSD"]
    assert instrument.contract is Contract.INVERSE
    for name in "abc":
        bench.exchange.deposit(name, D(50), asset="BTC")
    for account, side, quantity, price in steps:
        with contextlib.suppress(ExchangeRefusal):
            bench.place(account, side, quantity, price, symbol="BTCUSD")
    for name in "abc":
        fills = bench.exchange.fills(name)
        realised = sum((report.realised for report in trades_of(bench) if report.account == name), ZERO)
        fees = sum((fill.fee for fill in fills), ZERO)
        assert bench.exchange.wallets(name)["BTC"] == 50 + realised - fees
        if not bench.held(name, "BTCUSD"):
            paid = sum((worth(instrument, f.quantity * f.side.sign, f.price) for f in fills), ZERO)
            assert abs(realised + paid) <= len(fills) * D("0.00000001"), "but for the last place of each fill"


SIDES_OF_A_HEDGE = st.sampled_from(list(PositionSide)[1:])
HEDGED = st.lists(
    st.one_of(
        st.tuples(ACCOUNTS, SIDES, QUANTITIES, st.one_of(st.none(), PRICES), SIDES_OF_A_HEDGE),
        DEPTHS,
        TRADES,
    ),
    min_size=10,
    max_size=50,
)


@settings(max_examples=100)
@given(HEDGED)
def test_the_sides_of_a_hedge_never_turn(new_bench, steps):
    bench = new_bench(hedge=True)
    bench.depth([(995, 3), (990, 20)], [(1005, 3), (1010, 20)])
    for step in steps:
        with contextlib.suppress(ExchangeRefusal):
            if step[0] in ("depth", "trade"):
                act(bench, *step)
            else:
                account, side, quantity, price, position_side = step
                bench.place(account, side, quantity, price, position_side=position_side)
        for name in "abc":
            for position in bench.exchange.positions(name):
                assert position.quantity * (1 if position.position_side is PositionSide.LONG else -1) > 0


CRASHES = st.lists(
    st.one_of(
        st.tuples(st.just("order"), ACCOUNTS, SIDES, st.integers(1, 12)),
        st.tuples(st.just("price"), st.integers(700, 1400)),
    ),
    min_size=8,
    max_size=40,
)


@settings(max_examples=100)
@given(CRASHES)
def test_liquidations_keep_the_money_straight(new_bench, steps):
    """Small accounts, high leverage, wild prices: whoever is exhausted is closed, and the insurance fund gives."""
    bench = new_bench()
    for name in "abc":
        bench.exchange.deposit(name, D(-9_500))
        bench.exchange.set_leverage(name, "BTCUSDT", 100)
    for what, *rest in steps:
        with contextlib.suppress(ExchangeRefusal):
            if what == "price":
                bench.depth([(rest[0], 3), (rest[0] - 20, 20)], [(rest[0] + 1, 3), (rest[0] + 20, 20)])
            else:
                bench.place(*rest)
    gifts = ZERO
    for name in "abc":
        told = [r for r in bench.reports if isinstance(r, AccountReport) and r.account == name]
        given_by_fund = sum((r.change for r in told if r.cause is Cause.LIQUIDATION), ZERO)
        gifts += given_by_fund
        realised = sum((r.realised for r in trades_of(bench) if r.account == name), ZERO)
        fees = sum((fill.fee for fill in bench.exchange.fills(name)), ZERO)
        assert bench.exchange.balance(name).cash == 500 + realised - fees + given_by_fund
        for position in bench.exchange.positions(name):
            equity = bench.exchange.balance(name).equity
            assert equity > abs(position.quantity) * position.mark_price * D("0.004"), "it should have been liquidated"
    assert gifts == bench.exchange.insurance_fund
