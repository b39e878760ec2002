"""Linear, inverse and spot in one session: what is told of each, and that none is taken for another."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from copydesk.model import (
    Accepted,
    FillEvent,
    NewOrder,
    OrderChange,
    OrderEvent,
    OrderRef,
    OrderStatus,
    OrderType,
    PositionEvent,
    PositionSide,
    RejectReason,
    Side,
    Terms,
    TriggerBy,
)
from copydesk.testing import RehearsalRig
from copydesk.testing.bench import Bench, rejected

from .conftest import by_hand

LINEAR, INVERSE, SPOT = "BTCUSDT", "BTCUSD", "BTCUSDT-SPOT"


def market(symbol: str, quantity: str, side: Side = Side.BUY, **more: Any) -> Terms:
    return Terms(symbol=symbol, side=side, type=OrderType.MARKET, quantity=Decimal(quantity), **more)


async def test_one_coin_in_three_products_is_three_instruments(bench: Bench) -> None:
    venue, listener = await bench.both()
    for symbol, quantity in ((LINEAR, "0.010"), (INVERSE, "600"), (SPOT, "0.01")):
        placed = await bench.place(venue, market(symbol, quantity))
        [fill] = await listener.filled(placed.client_id)
        assert fill.symbol == symbol
        assert fill.fee_asset == {LINEAR: "USDT", INVERSE: "BTC", SPOT: "BTC"}[symbol]
    snapshot = await bench.snapshot(venue, since_ms=1, symbols=(LINEAR, INVERSE, SPOT))
    held = {position.symbol: position.quantity for position in snapshot.positions}
    fees = sum(fill.fee for fill in snapshot.fills if fill.fee_asset == "BTC")
    assert held == {LINEAR: Decimal("0.010"), INVERSE: Decimal(600), SPOT: Decimal("1.01") - fees}
    assert {fill.symbol for fill in snapshot.fills} == {LINEAR, INVERSE, SPOT}
    assert set(snapshot.prices) == {LINEAR, INVERSE, SPOT}
    assert {order.terms.symbol for order in snapshot.orders} == {LINEAR, INVERSE, SPOT}


async def test_the_balance_of_the_base_currency_is_told_as_spot_position(bench: Bench) -> None:
    venue, listener = await bench.both()
    await bench.place(venue, market(SPOT, "0.5", Side.SELL))
    told = await listener.event(PositionEvent, matches=lambda event: event.position.symbol == SPOT)
    assert told.position.quantity == Decimal("0.5")
    assert told.position.position_side is PositionSide.NET


async def test_a_spot_exit_sells_what_is_there(bench: Bench) -> None:
    """Reduce-only does not exist on spot; after a fee there is a little less than was bought."""
    venue, listener = await bench.both()
    bought = await bench.place(venue, market(SPOT, "0.2"))
    await listener.filled(bought.client_id)
    sold = await bench.place(venue, market(SPOT, "5", Side.SELL, reduce_only=True))
    fills = await listener.filled(sold.client_id)
    assert sum(fill.quantity for fill in fills) == Decimal("1.1999")  # 1.2 without the fee, on the step of 0.000001
    again = NewOrder(client_id="again", terms=market(SPOT, "0.1", Side.SELL, reduce_only=True))
    rejected(await venue.place(again), RejectReason.NOTHING_TO_REDUCE)
    back = NewOrder(client_id="back", terms=market(SPOT, "0.1", reduce_only=True))
    rejected(await venue.place(back), RejectReason.NOTHING_TO_REDUCE)
    with_side = NewOrder(client_id="sided", terms=market(SPOT, "0.1", position_side=PositionSide.LONG))
    rejected(await venue.place(with_side), RejectReason.MODE)


@pytest.mark.parametrize("type_", [OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_LIMIT], ids=str)
async def test_a_spot_order_waits_and_is_cancelled_before_and_after_its_trigger(
    bench: Bench, rig: RehearsalRig, type_: OrderType
) -> None:
    rig.symbol = SPOT
    venue, listener = await bench.both()
    waiting = await bench.place(venue, bench.terms(type_, Side.SELL))
    told = await listener.order(waiting.client_id, bool)
    assert (told.terms.type, told.triggered) == (type_, False)
    assert isinstance(await venue.cancel(bench.ref(venue, waiting)), Accepted)
    gone = await listener.order(waiting.client_id, lambda order: not order.is_working)
    assert (gone.status, gone.triggered) == (OrderStatus.CANCELLED, False)
    met = bench.terms(type_, Side.BUY, trigger_price=bench.near("0.98" if type_ is OrderType.STOP_MARKET else "1.02"))
    rejected(await venue.place(NewOrder(client_id="met", terms=met)), RejectReason.PRICE)
    by_mark = bench.terms(type_, Side.SELL, trigger_by=TriggerBy.MARK)
    rejected(await venue.place(NewOrder(client_id="by-mark", terms=by_mark)), RejectReason.OTHER)
    resting = await bench.place(venue, bench.terms(OrderType.TAKE_PROFIT_LIMIT, Side.SELL, price=bench.near("1.06")))
    await bench.trigger(resting)
    await listener.order(resting.client_id, lambda order: order.triggered)
    assert isinstance(await venue.cancel(bench.ref(venue, resting)), Accepted)


async def test_a_parents_market_order_in_the_quote_currency_counts_with_what_it_bought(
    bench: Bench, rig: RehearsalRig
) -> None:
    _, listener = await bench.both()
    buy = {"side": "Buy", "orderType": "Market", "qty": "600"}
    answer = await by_hand(rig, "order/create", category="spot", symbol="BTCUSDT", **buy)
    assert answer["retMsg"] == "OK"
    told = (await listener.event(OrderEvent, matches=lambda event: not event.order.is_working)).order
    fills = [event.fill for event in listener.events if isinstance(event, FillEvent)]
    assert told.terms.quantity == told.filled == sum(fill.quantity for fill in fills)
    assert Decimal("0.0099") < told.filled <= Decimal("0.01")


async def test_the_protection_of_a_position_is_told_as_orders(bench: Bench, rig: RehearsalRig) -> None:
    venue, listener = await bench.both()
    bought = await bench.buy(venue, listener)
    stop, target = bench.near("0.95"), bench.near("1.05")
    linear = {"category": "linear", "symbol": LINEAR, "positionIdx": 0}
    await by_hand(rig, "position/trading-stop", **linear, tpslMode="Full", takeProfit=str(target), stopLoss=str(stop))

    def protects(type_: OrderType) -> Any:
        return lambda event: event.order.terms.type is type_ and event.order.terms.close_position

    full = (await listener.event(OrderEvent, matches=protects(OrderType.STOP_MARKET))).order
    assert (full.terms.side, full.terms.trigger_price, full.client_id) == (Side.SELL, stop, "")
    assert full.terms.quantity == bought.terms.quantity
    profit = (await listener.event(OrderEvent, matches=protects(OrderType.TAKE_PROFIT_MARKET))).order
    assert profit.terms.trigger_price == target
    after = len(listener.events)
    moved = bench.near("0.96")
    await by_hand(rig, "position/trading-stop", **linear, tpslMode="Full", stopLoss=str(moved))
    told = (await listener.event(OrderEvent, after=after, matches=protects(OrderType.STOP_MARKET))).order
    assert (told.venue_id, told.terms.trigger_price) == (full.venue_id, moved)
    half = str(bench.part * 2)
    sizes = {"tpSize": half, "slSize": half, "slOrderType": "Limit", "slLimitPrice": str(bench.near("0.93"))}
    partial = {"takeProfit": str(bench.near("1.04")), "stopLoss": str(bench.near("0.94")), "tpOrderType": "Market"}
    await by_hand(rig, "position/trading-stop", **linear, tpslMode="Partial", **partial, **sizes)
    part = (await listener.event(OrderEvent, matches=lambda event: event.order.terms.type is OrderType.STOP_LIMIT)).order
    assert (part.terms.quantity, part.terms.reduce_only, part.terms.close_position) == (Decimal(half), True, False)
    assert {order.venue_id for order in (await bench.snapshot(venue)).orders} >= {full.venue_id, profit.venue_id}
    await rig.trades(moved, bench.part)
    await listener.event(PositionEvent, matches=lambda event: event.position.quantity == 0)
    ended = {event.order.venue_id: event.order for event in listener.events if isinstance(event, OrderEvent)}
    assert ended[full.venue_id].status is OrderStatus.FILLED
    assert ended[profit.venue_id].status is OrderStatus.CANCELLED
    assert not (await bench.snapshot(venue)).orders


async def test_a_whole_position_is_closed_by_an_order_of_our_own(bench: Bench, rig: RehearsalRig) -> None:
    venue, listener = await bench.both()
    await bench.buy(venue, listener)
    terms = bench.terms(OrderType.STOP_MARKET, Side.SELL, quantity=Decimal(0), close_position=True)
    placed = await bench.place(venue, terms)
    assert placed.terms.close_position or placed.terms.reduce_only
    moved = bench.terms(OrderType.STOP_MARKET, Side.SELL, close_position=True, trigger_price=bench.near("0.97"))
    assert isinstance(await venue.modify(OrderChange(ref=bench.ref(venue, placed), terms=moved)), Accepted)
    await rig.trades(bench.near("0.97"), bench.part)
    await listener.filled(placed.client_id)
    assert await bench.held(venue) == 0


async def test_many_orders_and_fills_are_read_page_by_page(bench: Bench) -> None:
    venue = await bench.open()
    rig = bench.rig
    assert isinstance(rig, RehearsalRig)
    exchange, account = rig._running.exchange, rig._running.desk  # type: ignore[attr-defined]
    for _ in range(130):
        exchange.place("parent", market(LINEAR, "0.001"))
    for _ in range(70):
        exchange.place("parent", bench.terms())
    snapshot = await bench.snapshot(venue, since_ms=1)
    assert len([order for order in snapshot.orders if order.is_working]) == 70
    assert len(snapshot.fills) == len({fill.execution_id for fill in snapshot.fills}) == 130
    assert len(account.accounts["parent"].orders) == 200


async def test_an_order_that_ended_long_ago_is_found_by_its_name(bench: Bench) -> None:
    venue = await bench.open()
    placed = await bench.place(venue, bench.terms())
    assert isinstance(await venue.cancel(bench.ref(venue, placed)), Accepted)
    ref = OrderRef(symbol=LINEAR, type=OrderType.LIMIT, client_id=placed.client_id)
    found = await bench.find(venue, ref)
    assert found is not None
    assert found.status is OrderStatus.CANCELLED


async def test_what_the_key_may_do_is_told(bench: Bench) -> None:
    venue = await bench.open()
    assert venue.permissions == (
        "ContractTrade: Order",
        "ContractTrade: Position",
        "Spot: SpotTrade",
        "Derivatives: DerivativesTrade",
    )
