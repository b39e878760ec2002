"""The life of orders over the venue's own wire."""

from __future__ import annotations

import functools
from decimal import Decimal
from typing import Any

import pytest
from copydesk.model import (
    Accepted,
    BalanceEvent,
    FillEvent,
    NewOrder,
    OrderChange,
    OrderRef,
    OrderStatus,
    OrderType,
    PositionEvent,
    PositionSide,
    Rejected,
    RejectReason,
    Side,
    TimeInForce,
    TriggerBy,
    Unknown,
)
from copydesk_binance import futures_plugin as plugin

from .conftest import SYMBOL, Rig

RESTING = [type_ for type_ in OrderType if type_ is not OrderType.MARKET]


def ref(type_: OrderType, client_id: str = "", venue_id: str = "") -> OrderRef:
    return OrderRef(symbol=SYMBOL, type=type_, client_id=client_id, venue_id=venue_id)


@pytest.mark.parametrize("by", ["client_id", "venue_id"])
@pytest.mark.parametrize("type_", RESTING)
async def test_an_order_is_placed_reported_and_cancelled(rig: Rig, type_: OrderType, by: str) -> None:
    session = await rig.connect()
    listener = await rig.listen(session)
    terms = rig.terms(type_, Side.SELL)
    placed = await rig.place(session, "a-1", terms)
    assert placed.status is OrderStatus.NEW
    reported = await listener.order("a-1", lambda order: order.status is OrderStatus.NEW)
    assert reported.terms == terms == placed.terms
    assert reported.venue_id == placed.venue_id
    name = {by: placed.client_id if by == "client_id" else placed.venue_id}
    outcome = await plugin.cancel(session, ref(type_, **name))
    assert isinstance(outcome, Accepted)
    ended = await listener.order("a-1", lambda order: order.status.is_final)
    assert (ended.status, ended.venue_id) == (OrderStatus.CANCELLED, placed.venue_id)
    again = await plugin.cancel(session, ref(type_, **name))
    assert isinstance(again, Rejected)
    assert again.reason is RejectReason.NOT_FOUND


async def test_a_market_order_gives_fills_position_and_balance(rig: Rig) -> None:
    session = await rig.connect()
    listener = await rig.listen(session)
    await rig.fault("partial-fills", count=100)
    placed = await rig.place(session, "m-1", rig.terms(OrderType.MARKET, quantity="0.030"))
    assert placed.status is OrderStatus.FILLED
    await listener.order("m-1", lambda order: order.status is OrderStatus.FILLED)
    fills = [event.fill for event in listener.events if isinstance(event, FillEvent)]
    assert len(fills) > 1
    assert sum(fill.quantity for fill in fills) == Decimal("0.030")
    assert len({fill.execution_id for fill in fills}) == len(fills)
    assert all(fill.fee > 0 and fill.fee_asset == "USDT" and not fill.maker for fill in fills)
    reports = [order.status for order in listener.orders() if order.client_id == "m-1"]
    assert reports.count(OrderStatus.PARTIALLY_FILLED) == len(fills) - 1  # none is merged
    (position,) = await listener.of_kind(PositionEvent)
    assert position.position.quantity == Decimal("0.030")
    (balance,) = await listener.of_kind(BalanceEvent)
    paid = sum(fill.fee for fill in fills)
    assert balance.balance.cash == Decimal(100_000) - paid
    snapshot = await rig.snapshot(session, since_ms=session.venue.now_ms() - 60_000)
    assert snapshot.balance is not None
    assert snapshot.balance.cash == balance.balance.cash
    await rig.place(session, "m-2", rig.terms(OrderType.MARKET, quantity="0.030"))
    _, again = await listener.of_kind(BalanceEvent, 2)
    truth = rig.exchange.balance("parent")
    assert (again.balance.cash, again.balance.equity) == (truth.cash, truth.equity)
    assert {fill.execution_id for fill in snapshot.fills} == {fill.execution_id for fill in fills}
    assert {(fill.venue_id, fill.client_id) for fill in snapshot.fills} == {(placed.venue_id, "m-1")}


async def test_a_resting_order_filled_by_others_is_a_makers(rig: Rig) -> None:
    session = await rig.connect()
    listener = await rig.listen(session)
    terms = rig.terms(OrderType.LIMIT)
    await rig.place(session, "l-1", terms)
    assert terms.price is not None
    rig.trade_at(terms.price - 10)
    await listener.order("l-1", lambda order: order.status is OrderStatus.FILLED)
    (fill,) = await listener.of_kind(FillEvent)
    assert fill.fill.maker
    assert fill.fill.price == terms.price


@pytest.mark.parametrize(
    ("terms", "status"),
    [
        ({"type_": OrderType.LIMIT, "time_in_force": TimeInForce.IOC}, OrderStatus.EXPIRED),
        ({"type_": OrderType.LIMIT, "post_only": True}, OrderStatus.NEW),
        ({"type_": OrderType.STOP_MARKET, "trigger_by": TriggerBy.MARK}, OrderStatus.NEW),
        ({"type_": OrderType.TRAILING_STOP, "trigger_price": Decimal("58000.0")}, OrderStatus.NEW),
    ],
)
async def test_flags_reach_the_venue_and_come_back(rig: Rig, terms: dict[str, object], status: OrderStatus) -> None:
    session = await rig.connect()
    asked = rig.terms(**terms)  # type: ignore[arg-type]
    placed = await rig.place(session, "f-1", asked)
    assert placed.terms == asked
    assert placed.status is status


async def test_an_amend_changes_price_and_quantity(rig: Rig) -> None:
    session = await rig.connect()
    listener = await rig.listen(session)
    terms = rig.terms(OrderType.LIMIT)
    placed = await rig.place(session, "a-1", terms)
    changed = rig.terms(OrderType.LIMIT, quantity="0.020", price=rig.near("0.95"))
    outcome = await plugin.modify(session, OrderChange(ref=ref(OrderType.LIMIT, venue_id=placed.venue_id), terms=changed))
    assert isinstance(outcome, Accepted)
    assert outcome.order is not None
    assert outcome.order.terms == changed
    await listener.order("a-1", lambda order: order.terms == changed)
    again = await plugin.modify(session, OrderChange(ref=ref(OrderType.LIMIT, "a-1"), terms=changed))
    assert isinstance(again, Rejected)
    assert again.reason is RejectReason.UNCHANGED
    gone = await plugin.modify(session, OrderChange(ref=ref(OrderType.LIMIT, "nobody"), terms=terms))
    assert isinstance(gone, Rejected)
    assert gone.reason is RejectReason.NOT_FOUND
    stop = rig.terms(OrderType.STOP_MARKET)
    unfit = await plugin.modify(session, OrderChange(ref=ref(OrderType.STOP_MARKET, "a-1"), terms=stop))
    assert isinstance(unfit, Rejected)


@pytest.mark.parametrize(
    ("terms", "reason"),
    [
        ({"type_": OrderType.LIMIT, "quantity": "0.0000001"}, RejectReason.QUANTITY),
        ({"type_": OrderType.MARKET, "quantity": "0.001"}, RejectReason.QUANTITY),
        ({"type_": OrderType.LIMIT, "price": Decimal("60000.123")}, RejectReason.PRICE),
        ({"type_": OrderType.MARKET, "quantity": "100"}, RejectReason.MARGIN),
        ({"type_": OrderType.MARKET, "reduce_only": True}, RejectReason.NOTHING_TO_REDUCE),
        ({"type_": OrderType.LIMIT, "post_only": True, "price": Decimal("61000.0")}, RejectReason.POST_ONLY),
        ({"type_": OrderType.STOP_MARKET, "trigger_price": Decimal("59000.0")}, RejectReason.PRICE),
        ({"type_": OrderType.LIMIT, "symbol": "NOSUCHUSDT"}, RejectReason.SYMBOL),
        ({"type_": OrderType.LIMIT, "position_side": PositionSide.LONG}, RejectReason.MODE),
    ],
)
async def test_what_the_venue_refuses_says_why(rig: Rig, terms: dict[str, object], reason: RejectReason) -> None:
    session = await rig.connect()
    outcome = await plugin.place(session, NewOrder(client_id="r-1", terms=rig.terms(**terms)))  # type: ignore[arg-type]
    assert isinstance(outcome, Rejected), outcome
    if reason is RejectReason.PRICE and outcome.code == "-1111":
        reason = RejectReason.QUANTITY  # the venue's one code for too many digits of either
    assert outcome.reason is reason, outcome
    assert "r-1" in outcome.message


@pytest.mark.parametrize("type_", [OrderType.LIMIT, OrderType.STOP_MARKET])
async def test_a_second_order_of_the_same_name_is_refused(rig: Rig, type_: OrderType) -> None:
    session = await rig.connect()
    await rig.place(session, "d-1", rig.terms(type_))
    outcome = await plugin.place(session, NewOrder(client_id="d-1", terms=rig.terms(type_)))
    assert isinstance(outcome, Rejected)
    assert outcome.reason is RejectReason.DUPLICATE_ID


async def test_in_hedge_mode_both_sides_are_held_apart(rig: Rig) -> None:
    rig.exchange.set_hedge_mode("parent", True)
    session = await rig.connect()
    assert session.hedge_mode
    listener = await rig.listen(session)
    long, short = PositionSide.LONG, PositionSide.SHORT
    await rig.place(session, "h-1", rig.terms(OrderType.MARKET, Side.BUY, "0.030", position_side=long))
    await rig.place(session, "h-2", rig.terms(OrderType.MARKET, Side.SELL, "0.020", position_side=short))
    closing = rig.terms(OrderType.MARKET, Side.SELL, "0.010", position_side=long, reduce_only=True)
    await rig.place(session, "h-3", closing)
    await rig.place(session, "h-4", rig.terms(OrderType.STOP_MARKET, Side.SELL, position_side=long, reduce_only=True))
    await listener.order("h-4", lambda order: order.terms.position_side is long)
    snapshot = await rig.snapshot(session, symbols=(SYMBOL,))
    held = {position.position_side: position.quantity for position in snapshot.positions}
    assert held == {long: Decimal("0.020"), short: Decimal("-0.020")}
    fills = await listener.of_kind(FillEvent, 3)
    assert [event.fill.position_side for event in fills] == [long, short, long]
    outcome = await plugin.place(session, NewOrder(client_id="h-5", terms=rig.terms(OrderType.MARKET)))
    assert isinstance(outcome, Rejected)


async def test_a_changed_position_mode_is_noticed(rig: Rig) -> None:
    session = await rig.connect()
    rig.exchange.set_hedge_mode("parent", True)
    outcome = await plugin.place(session, NewOrder(client_id="h-1", terms=rig.terms(OrderType.LIMIT)))
    assert isinstance(outcome, Rejected)
    assert outcome.reason is RejectReason.MODE
    assert session.hedge_mode
    await rig.place(session, "h-2", rig.terms(OrderType.LIMIT, position_side=PositionSide.LONG))


# --- triggered orders ---------------------------------------------------------------------------------------


async def test_a_triggered_stop_stays_one_order(rig: Rig) -> None:
    session = await rig.connect()
    listener = await rig.listen(session)
    await rig.place(session, "m-1", rig.terms(OrderType.MARKET))
    stop = await rig.place(session, "s-1", rig.terms(OrderType.STOP_MARKET, Side.SELL, reduce_only=True))
    rig.trade_at(rig.near("0.97"))
    ended = await listener.order("s-1", lambda order: order.status.is_final)
    assert ended.status is OrderStatus.FILLED
    assert (ended.venue_id, ended.triggered, ended.filled) == (stop.venue_id, True, Decimal("0.010"))
    assert ended.terms == stop.terms
    assert {order.client_id for order in listener.orders()} == {"m-1", "s-1"}
    assert {order.venue_id for order in listener.orders() if order.client_id == "s-1"} == {stop.venue_id}
    fills = [event.fill for event in await listener.of_kind(FillEvent, 2)]
    assert [fill.venue_id for fill in fills][-1] == stop.venue_id
    assert fills[-1].client_id == "s-1"
    snapshot = await rig.snapshot(
        session, since_ms=session.venue.now_ms() - 60_000, look_up=(ref(OrderType.STOP_MARKET, "s-1"),)
    )
    assert {(order.venue_id, order.status) for order in snapshot.orders if order.client_id == "s-1"} == {
        (stop.venue_id, OrderStatus.FILLED)
    }
    assert {order.client_id for order in snapshot.orders} == {"m-1", "s-1"}
    assert {fill.client_id for fill in snapshot.fills} == {"m-1", "s-1"}


@pytest.mark.parametrize("by", ["client_id", "venue_id"])
async def test_a_triggered_stop_limit_that_rests_is_cancelled_by_its_old_name(rig: Rig, by: str) -> None:
    session = await rig.connect()
    listener = await rig.listen(session)
    terms = rig.terms(OrderType.STOP_LIMIT, Side.SELL, price=rig.near("1.05"))
    stop = await rig.place(session, "s-1", terms)
    rig.trade_at(rig.near("0.97"))
    await listener.order("s-1", lambda order: order.triggered and order.is_working)
    fresh = await plugin.connect(rig.settings())  # one that has not seen it triggered
    rig.sessions.append(fresh)
    snapshot = await rig.snapshot(fresh, symbols=(SYMBOL,))
    (order,) = snapshot.orders
    assert (order.venue_id, order.client_id, order.triggered, order.status) == (stop.venue_id, "s-1", True, OrderStatus.NEW)
    name = {by: stop.client_id if by == "client_id" else stop.venue_id}
    outcome = await plugin.cancel(session, ref(OrderType.STOP_LIMIT, **name))
    assert isinstance(outcome, Accepted), outcome
    ended = await listener.order("s-1", lambda order: order.status.is_final)
    assert (ended.status, ended.venue_id) == (OrderStatus.CANCELLED, stop.venue_id)
    assert {order.venue_id for order in listener.orders()} == {stop.venue_id}


async def test_an_order_by_hand_like_a_waiting_stop_is_itself(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    session = await rig.connect()
    listener = await rig.listen(session)
    await rig.place(session, "s-1", rig.terms(OrderType.STOP_MARKET, Side.SELL))
    asked = []
    learn = session.learn_conditional

    async def ask(symbol: str = "") -> None:
        asked.append(symbol)
        await learn(symbol)

    monkeypatch.setattr(session, "learn_conditional", ask)
    rig.exchange.place("parent", rig.terms(OrderType.MARKET, Side.SELL), "by-hand")
    order = await listener.order("by-hand", lambda order: order.status is OrderStatus.FILLED)
    assert not order.venue_id.startswith("algo:")
    assert not order.triggered
    assert asked == [SYMBOL]  # once for the order, not for each of its reports


async def test_a_triggered_order_too_old_for_the_lists_is_remembered(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    session = await rig.connect()
    listener = await rig.listen(session)
    stop = await rig.place(session, "s-1", rig.terms(OrderType.STOP_LIMIT, Side.SELL, price=rig.near("1.05")))
    rig.trade_at(rig.near("0.97"))
    await listener.order("s-1", lambda order: order.triggered and order.is_working)
    read = session.read

    async def forgetful(path: str, *rest: Any, **more: Any) -> Any:
        return [] if path in ("allAlgoOrders", "openAlgoOrders") else await read(path, *rest, **more)

    monkeypatch.setattr(session, "read", forgetful)
    (order,) = (await rig.snapshot(session, symbols=(SYMBOL,))).orders
    assert (order.venue_id, order.client_id, order.triggered) == (stop.venue_id, "s-1", True)


async def test_a_stop_that_closes_the_position_closes_what_there_is(rig: Rig) -> None:
    session = await rig.connect()
    listener = await rig.listen(session)
    await rig.place(session, "m-1", rig.terms(OrderType.MARKET, quantity="0.030"))
    closing = rig.terms(OrderType.STOP_MARKET, Side.SELL, quantity="0", close_position=True)
    stop = await rig.place(session, "c-1", closing)
    assert stop.terms.close_position
    rig.trade_at(rig.near("0.97"))
    ended = await listener.order("c-1", lambda order: order.status.is_final)
    assert (ended.status, ended.filled, ended.venue_id) == (OrderStatus.FILLED, Decimal("0.030"), stop.venue_id)
    assert (await rig.snapshot(session)).positions == ()


# --- outcomes that nobody knows -----------------------------------------------------------------------------


@pytest.mark.parametrize("type_", [OrderType.LIMIT, OrderType.STOP_MARKET])
async def test_a_lost_reply_is_unknown_and_settled_by_looking_up(rig: Rig, type_: OrderType) -> None:
    session = await rig.connect()
    await rig.fault("lose-reply", count=1)
    outcome = await plugin.place(session, NewOrder(client_id="u-1", terms=rig.terms(type_)))
    assert isinstance(outcome, Unknown), outcome
    look_up = (ref(type_, "u-1"), ref(type_, "u-2"))
    snapshot = await rig.snapshot(session, symbols=(SYMBOL,), look_up=look_up)
    assert [order.client_id for order in snapshot.orders] == ["u-1"]
    assert snapshot.absent == ("u-2",)


@pytest.mark.parametrize("fault", ["-1007", "5xx"])
async def test_both_fates_of_a_doubtful_answer_are_settled(rig: Rig, fault: str) -> None:
    session = await rig.connect()
    await rig.fault(fault, count=2)
    for name in ("u-1", "u-2"):
        outcome = await plugin.place(session, NewOrder(client_id=name, terms=rig.terms(OrderType.LIMIT)))
        assert isinstance(outcome, Unknown), outcome
    look_up = (ref(OrderType.LIMIT, "u-1"), ref(OrderType.LIMIT, "u-2"))
    snapshot = await rig.snapshot(session, look_up=look_up)
    found = {order.client_id for order in snapshot.orders}
    assert len(found) == 1
    assert found | set(snapshot.absent) == {"u-1", "u-2"}


async def test_no_reply_in_time_is_unknown(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    session = await rig.connect()
    await rig.fault("stall", count=1, seconds=0.5)
    monkeypatch.setattr(session.venue, "send", functools.partial(session.venue.send, deadline_s=0.1))
    outcome = await plugin.place(session, NewOrder(client_id="u-1", terms=rig.terms(OrderType.LIMIT)))
    assert isinstance(outcome, Unknown), outcome
    snapshot = await rig.snapshot(session, look_up=(ref(OrderType.LIMIT, "u-1"),))
    assert [order.client_id for order in snapshot.orders] == ["u-1"]


async def test_a_rate_limit_is_a_refusal_that_says_when(rig: Rig) -> None:
    session = await rig.connect()
    await rig.fault("429", count=1)
    first = await plugin.place(session, NewOrder(client_id="q-1", terms=rig.terms(OrderType.LIMIT)))
    assert isinstance(first, Rejected)
    assert (first.reason, first.retry_after_ms) == (RejectReason.RATE_LIMIT, 1000)
    asked = rig.rehearsal.server.requests
    second = await plugin.place(session, NewOrder(client_id="q-1", terms=rig.terms(OrderType.LIMIT)))
    assert isinstance(second, Rejected)
    assert second.reason is RejectReason.RATE_LIMIT
    assert 0 < second.retry_after_ms <= 1000
    assert rig.rehearsal.server.requests == asked  # nothing is sent while the venue asks for quiet


async def test_an_overloaded_venue_is_a_refusal_that_may_be_repeated(rig: Rig) -> None:
    session = await rig.connect()
    await rig.fault("overload", count=1)
    outcome = await plugin.place(session, NewOrder(client_id="o-1", terms=rig.terms(OrderType.LIMIT)))
    assert isinstance(outcome, Rejected)
    assert outcome.reason is RejectReason.OVERLOADED
    await rig.place(session, "o-1", rig.terms(OrderType.LIMIT))


async def test_a_wrong_clock_is_measured_again(rig: Rig) -> None:
    session = await rig.connect()
    await rig.fault("clock-skew", count=1, seconds=60)
    await rig.place(session, "c-1", rig.terms(OrderType.LIMIT))


async def test_a_venue_that_cannot_be_reached_has_got_nothing(rig: Rig) -> None:
    session = await rig.connect()
    await rig.rehearsal.stop()
    outcome = await plugin.place(session, NewOrder(client_id="n-1", terms=rig.terms(OrderType.LIMIT)))
    # The first may go out on a connection that was still open; the second finds that nobody listens.
    assert isinstance(outcome, Rejected | Unknown)
    outcome = await plugin.place(session, NewOrder(client_id="n-2", terms=rig.terms(OrderType.LIMIT)))
    assert isinstance(outcome, Rejected)
    assert outcome.reason is RejectReason.OVERLOADED
    assert "nothing was sent" in outcome.message
