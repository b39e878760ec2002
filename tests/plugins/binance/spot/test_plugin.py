"""The plugin against the spot rehearsal: what fees leave, holdings as positions, order lists, amendments."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import pytest
from copydesk.bots import BotStore
from copydesk.config import BotSettings, ChildSettings, load_config
from copydesk.errors import AuthFailed, UsageError
from copydesk.model import (
    Accepted,
    BalanceEvent,
    FillEvent,
    Gap,
    NewOrder,
    Order,
    OrderChange,
    OrderEvent,
    OrderGroup,
    OrderRef,
    OrderStatus,
    OrderType,
    PositionEvent,
    Rejected,
    RejectReason,
    Side,
    SnapshotRequest,
    Subscription,
    Terms,
    VenueEvent,
)
from copydesk_binance import spot_plugin as plugin
from copydesk_binance.spot.holdings import Holdings, home_pairs
from copydesk_binance.spot.session import SpotSession
from copydesk_binance.spot.translate import Wallet

from .conftest import DEADLINE_S, SpotDesk

D = Decimal


def terms(side: Side, type_: OrderType, quantity: str, **more: Any) -> Terms:
    return Terms(symbol="BTCUSDT", side=side, type=type_, quantity=D(quantity), **more)


class Client:
    """A session and everything that its stream has told."""

    def __init__(self, session: SpotSession) -> None:
        self.session = session
        self.events: list[VenueEvent] = []
        self._changed = asyncio.Condition()
        self.task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for event in plugin.subscribe(self.session, Subscription()):
            async with self._changed:
                self.events.append(event)
                self._changed.notify_all()

    async def until(self, matches: Callable[[Any], object]) -> Any:
        async with asyncio.timeout(DEADLINE_S), self._changed:
            while not (found := [event for event in self.events if matches(event)]):
                await self._changed.wait()
            return found[0]

    async def place(self, client_id: str, wanted: Terms) -> Order:
        outcome = await plugin.place(self.session, NewOrder(client_id=client_id, terms=wanted))
        assert isinstance(outcome, Accepted), outcome
        assert outcome.order is not None
        return outcome.order


@pytest.fixture
async def client(desk: SpotDesk) -> AsyncIterator[Client]:
    session = await plugin.connect(desk.settings())
    client = Client(session)
    await client.until(lambda event: isinstance(event, Gap))
    yield client
    await plugin.close(session)
    await asyncio.gather(client.task, return_exceptions=True)


async def test_what_the_key_may_do_is_told(client: Client) -> None:
    assert client.session.permissions == ("read", "spot and margin trading")


async def test_what_was_bought_is_held_less_its_fee(desk: SpotDesk, client: Client) -> None:
    await client.place("buy", terms(Side.BUY, OrderType.MARKET, "0.02"))
    fill = (await client.until(lambda event: isinstance(event, FillEvent))).fill
    assert (fill.quantity, fill.fee, fill.fee_asset) == (D("0.02"), D("0.00002"), "BTC")
    held = (await client.until(lambda event: isinstance(event, PositionEvent))).position
    assert (held.symbol, held.quantity) == ("BTCUSDT", D("0.01998"))
    balance = (await client.until(lambda event: isinstance(event, BalanceEvent))).balance
    told = await plugin.snapshot(client.session, SnapshotRequest(since_ms=1))
    assert [position.quantity for position in told.positions] == [D("0.01998")]
    assert told.fills == (fill,)
    assert told.balance is not None
    assert (told.balance.currency, told.balance.cash) == ("USDT", balance.cash) == ("USDT", D("98799.90"))
    assert told.balance.equity == D("98799.90") + D("0.01998") * told.prices["BTCUSDT"]
    refused = await plugin.place(
        client.session, NewOrder(client_id="all", terms=terms(Side.SELL, OrderType.MARKET, "0.02"))
    )
    assert isinstance(refused, Rejected)
    assert refused.reason is RejectReason.MARGIN


async def test_a_stop_and_a_target_are_one_list(desk: SpotDesk, client: Client) -> None:
    await client.place("buy", terms(Side.BUY, OrderType.MARKET, "0.02"))
    stop = NewOrder(client_id="stop", terms=terms(Side.SELL, OrderType.STOP_MARKET, "0.015", trigger_price=D(58000)))
    target = NewOrder(client_id="target", terms=terms(Side.SELL, OrderType.LIMIT, "0.015", price=D(62000)))
    outcome = await plugin.place_group(client.session, OrderGroup(legs=(stop, target)))
    assert isinstance(outcome, Accepted), outcome
    assert {order.client_id: order.terms.type for order in outcome.legs} == {
        "stop": OrderType.STOP_MARKET,
        "target": OrderType.LIMIT,
    }
    assert len({order.group for order in outcome.legs}) == 1
    told = await plugin.snapshot(client.session, SnapshotRequest())
    assert {order.client_id: order.group for order in told.orders} == {
        order.client_id: order.group for order in outcome.legs
    }
    desk.trade("62010")
    ended = await client.until(
        lambda event: isinstance(event, OrderEvent) and event.order.client_id == "stop" and not event.order.is_working
    )
    assert (ended.order.status, ended.order.reason) == (OrderStatus.EXPIRED, "OCO_TRIGGER")
    sold = await client.until(lambda event: isinstance(event, FillEvent) and event.fill.client_id == "target")
    assert sold.fill.price == 62000


async def test_of_a_list_that_waits_only_the_working_order_is_told(desk: SpotDesk, client: Client) -> None:
    list_ = {"symbol": "BTCUSDT", "workingType": "LIMIT", "workingSide": "BUY", "workingPrice": "59000"}
    list_ |= {"workingQuantity": "0.01", "workingTimeInForce": "GTC", "workingClientOrderId": "working"}
    list_ |= {"pendingType": "STOP_LOSS", "pendingSide": "SELL", "pendingQuantity": "0.009", "pendingStopPrice": "58000"}
    await desk.done("POST", "orderList/oto", **list_, pendingClientOrderId="waiting")
    await client.until(lambda event: isinstance(event, OrderEvent) and event.order.client_id == "working")
    told = await plugin.snapshot(client.session, SnapshotRequest())
    assert [order.client_id for order in told.orders] == ["working"]
    assert not any(isinstance(event, OrderEvent) and event.order.client_id == "waiting" for event in client.events)
    desk.trade("58990")
    stop = await client.until(lambda event: isinstance(event, OrderEvent) and event.order.client_id == "waiting")
    assert (stop.order.status, stop.order.terms.trigger_price) == (OrderStatus.NEW, D(58000))


async def test_an_order_can_become_smaller_under_its_own_id(desk: SpotDesk, client: Client) -> None:
    placed = await client.place("mine", terms(Side.BUY, OrderType.LIMIT, "0.02", price=D(59000)))
    ref = OrderRef(symbol="BTCUSDT", type=OrderType.LIMIT, client_id="mine", venue_id=placed.venue_id)
    smaller = terms(Side.BUY, OrderType.LIMIT, "0.015", price=D(59000))
    outcome = await plugin.modify(client.session, OrderChange(ref=ref, terms=smaller))
    assert isinstance(outcome, Accepted), outcome
    assert outcome.order is not None
    assert (outcome.order.client_id, outcome.order.terms) == ("mine", smaller)
    larger = await plugin.modify(client.session, OrderChange(ref=ref, terms=placed.terms))
    assert isinstance(larger, Rejected)
    assert "quantity increase" in larger.message
    told = await client.until(lambda event: isinstance(event, OrderEvent) and event.order.terms.quantity == D("0.015"))
    assert told.order.client_id == "mine"


async def test_a_cancel_by_hand_is_told_under_the_orders_own_id(desk: SpotDesk, client: Client) -> None:
    await client.place("mine", terms(Side.BUY, OrderType.LIMIT, "0.02", price=D(59000)))
    await desk.done("DELETE", "order", symbol="BTCUSDT", origClientOrderId="mine", newClientOrderId="by-hand")
    ended = await client.until(lambda event: isinstance(event, OrderEvent) and not event.order.is_working)
    assert (ended.order.client_id, ended.order.status) == ("mine", OrderStatus.CANCELLED)


async def test_a_deposit_is_read(desk: SpotDesk, client: Client) -> None:
    desk.exchange.deposit("parent", D(500), asset="ETH")
    held = await client.until(lambda event: isinstance(event, PositionEvent))
    assert (held.position.symbol, held.position.quantity) == ("ETHUSDT", D(500))


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (terms(Side.SELL, OrderType.MARKET, "1", reduce_only=True), "no reduce-only"),
        (terms(Side.SELL, OrderType.TRAILING_STOP, "1", trail_percent=D("1.234")), "hundredths of a percent"),
        (terms(Side.BUY, OrderType.STOP_LIMIT, "1", price=D(1), trigger_price=D(2), post_only=True), "no post-only"),
        (terms(Side.BUY, OrderType.STOP_MARKET, "1"), "needs a trigger price"),
    ],
)
async def test_what_spot_does_not_have_is_refused_here(client: Client, wanted: Terms, words: str) -> None:
    outcome = await plugin.place(client.session, NewOrder(client_id="x", terms=wanted))
    assert isinstance(outcome, Rejected)
    assert words in outcome.message


async def test_a_wrong_key_is_for_a_person(desk: SpotDesk) -> None:
    from msgspec.structs import replace

    right = desk.settings()
    with pytest.raises(AuthFailed):
        await plugin.connect(replace(right, secrets=right.secrets | {"secret": "0" * 64}))


# --- holdings -----------------------------------------------------------------------------------------------


async def test_holdings_are_told_by_the_pairs_in_use(client: Client) -> None:
    instruments = client.session.instruments
    assert home_pairs(instruments, "USDT") == {"BTC": "BTCUSDT", "ETH": "ETHUSDT", "SOL": "SOLUSDT", "BNB": "BNBUSDT"}
    holdings = Holdings()
    holdings.take((Wallet(asset="USDT", free=D(10), locked=D(5)), Wallet(asset="ETH", free=D(2))))
    holdings.prices = {"ETHUSDT": D(3000), "ETHBTC": D("0.05")}

    def held(*active: str) -> dict[str, Decimal]:
        return {one.symbol: one.quantity for one in holdings.positions(instruments, active)}

    assert held() == {"ETHUSDT": D(2)}
    assert held("ETHBTC") == {"ETHBTC": D(2)}
    assert held("ETHBTC", "ETHUSDT", "BTCUSDT") == {"ETHBTC": D(2), "ETHUSDT": D(2)}
    balance = holdings.balance(instruments, 1)
    assert (balance.cash, balance.available, balance.equity) == (D(15), D(10), D(6015))
    holdings.change((Wallet(asset="ETH", free=D(0)),))
    gone = holdings.changed(instruments, ("ETHBTC",), {"ETH"})
    assert {one.symbol: one.quantity for one in gone} == {"ETHBTC": D(0), "ETHUSDT": D(0)}


# --- one kind per bot ---------------------------------------------------------------------------------------


def test_a_bot_across_spot_and_futures_is_refused_with_a_sentence(tmp_path: Any) -> None:
    (tmp_path / "copydesk.toml").write_text(
        '[connections.spot]\nkind = "binance"\n[connections.other]\nkind = "binance"\n'
        '[connections.perps]\nkind = "binance-futures"\n'
    )
    config = load_config(tmp_path)
    store = BotStore.load(tmp_path)
    half = {"mode": "multiplier", "value": D("0.5")}
    across = BotSettings(name="across", parent="spot", children=(ChildSettings(account="perps", **half),))
    with pytest.raises(UsageError, match="binance-futures"):
        store.add(across, config)
    store.add(BotSettings(name="same", parent="spot", children=(ChildSettings(account="other", **half),)), config)
