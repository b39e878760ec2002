"""A rehearsal venue with a market that stands still, so that tests move it themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from copydesk.model import (
    Accepted,
    ConnectionSettings,
    Gap,
    NewOrder,
    Order,
    OrderEvent,
    OrderType,
    RehearsalSettings,
    Side,
    Snapshot,
    SnapshotRequest,
    Subscription,
    Terms,
    VenueEvent,
)
from copydesk_binance import futures_plugin as plugin
from copydesk_binance.session import Session
from copydesk_paper.records import MarketTrade

SYMBOL = "BTCUSDT"
DEADLINE_S = 40.0


class Listener:
    """Reads a subscription into a list, and waits for what is to come."""

    def __init__(self, session: Session, subscription: Subscription) -> None:
        self.events: list[VenueEvent] = []
        self._changed = asyncio.Condition()
        self.task = asyncio.create_task(self._read(session, subscription))

    async def _read(self, session: Session, subscription: Subscription) -> None:
        async for event in plugin.subscribe(session, subscription):
            self.events.append(event)
            async with self._changed:
                self._changed.notify_all()

    async def until(self, found: Callable[[list[VenueEvent]], Any], *, after: int = 0) -> Any:
        """Wait until `found(events)` is true, and return what it found."""
        async with asyncio.timeout(DEADLINE_S), self._changed:
            while not (result := found(self.events[after:])):
                if self.task.done():
                    self.task.result()
                    raise AssertionError("the subscription ended")
                await self._changed.wait()
            return result

    async def of_kind(self, kind: type, count: int = 1) -> list[Any]:
        def found(events: list[VenueEvent]) -> list[Any]:
            those = [event for event in events if isinstance(event, kind)]
            return those if len(those) >= count else []

        return list(await self.until(found))

    async def order(self, client_id: str, matches: Callable[[Order], bool]) -> Order:
        """The first report of an order of this name that fits."""

        def found(events: list[VenueEvent]) -> Order | None:
            orders = [event.order for event in events if isinstance(event, OrderEvent)]
            return next((order for order in orders if order.client_id == client_id and matches(order)), None)

        order: Order = await self.until(found)
        return order

    def orders(self) -> list[Order]:
        return [event.order for event in self.events if isinstance(event, OrderEvent)]


class Rig:
    """One rehearsal venue and what tests do with it."""

    def __init__(self, rehearsal: Any) -> None:
        self.rehearsal = rehearsal
        self.sessions: list[Session] = []

    @property
    def exchange(self) -> Any:
        return self.rehearsal.exchange

    def settings(self, account: str = "parent", **secrets: str) -> ConnectionSettings:
        account_ = next(one for one in self.rehearsal.ready.accounts if one.name == account)
        return ConnectionSettings(
            name=account, kind=plugin.info.kind, options=account_.options, secrets=account_.secrets | secrets
        )

    async def connect(self, account: str = "parent") -> Session:
        session = await plugin.connect(self.settings(account))
        self.sessions.append(session)
        return session

    async def listen(self, session: Session, **subscription: Any) -> Listener:
        """A listener that is listening."""
        listener = Listener(session, Subscription(**subscription))
        first = await listener.until(lambda events: events[:1])
        assert isinstance(first[0], Gap)
        return listener

    def price(self) -> Decimal:
        price: Decimal = self.exchange.last_price(SYMBOL)
        return price

    def trade_at(self, price: Decimal, quantity: Decimal = Decimal(1)) -> None:
        """Somebody trades at this price."""
        side = price < self.price()
        self.exchange.apply(MarketTrade(symbol=SYMBOL, price=price, quantity=quantity, buyer_is_maker=side))

    def near(self, factor: str, symbol: str = SYMBOL) -> Decimal:
        """A price on the tick, so far from the last one."""
        tick = self.exchange.instruments[symbol].price_tick
        return (self.exchange.last_price(symbol) * Decimal(factor) / tick).to_integral_value() * tick

    def terms(self, type_: OrderType, side: Side = Side.BUY, quantity: str = "0.010", **more: Any) -> Terms:
        """An order of this type that does not trade at once, unless it is a market order."""
        far = "0.97" if side is Side.BUY else "1.03"
        beyond = "1.02" if side is Side.BUY else "0.98"
        is_stop = type_ in (OrderType.STOP_LIMIT, OrderType.STOP_MARKET)
        values: dict[str, Any] = {"symbol": SYMBOL, "side": side, "type": type_, "quantity": Decimal(quantity)}
        if type_.has_trigger:
            values["trigger_price"] = self.near(beyond if is_stop else far)
        if type_.has_price:
            values["price"] = self.near(beyond if type_ is OrderType.STOP_LIMIT else far)
        if type_ is OrderType.TRAILING_STOP:
            values["trail_percent"] = Decimal("1.0")
        return Terms(**(values | more))

    async def place(self, session: Session, client_id: str, terms: Terms) -> Order:
        """Place an order that must be accepted."""
        outcome = await plugin.place(session, NewOrder(client_id=client_id, terms=terms))
        assert isinstance(outcome, Accepted), outcome
        assert outcome.order is not None
        assert outcome.order.client_id == client_id
        return outcome.order

    async def snapshot(self, session: Session, **request: Any) -> Snapshot:
        return await plugin.snapshot(session, SnapshotRequest(**request))

    async def fault(self, name: str, **more: Any) -> None:
        """Ask the venue to misbehave."""
        async with aiohttp.ClientSession() as http:
            url = f"{self.rehearsal.ready.control_url}/faults"
            async with http.post(url, json={"name": name, "every": 1, **more}) as response:
                assert response.status == 201, await response.text()

    async def clear_faults(self) -> None:
        async with aiohttp.ClientSession() as http, http.delete(f"{self.rehearsal.ready.control_url}/faults") as response:
            assert response.status == 200


@pytest.fixture
async def make_rig() -> AsyncIterator[Callable[..., Any]]:
    """Starts rigs, and ends them after the test."""
    rigs: list[Rig] = []

    async def make(**options: str) -> Rig:
        from copydesk_binance.rehearsal import start

        accounts = {"parent": Decimal(100_000), "child": Decimal(50_000)}
        settings = RehearsalSettings(kind=plugin.info.kind, accounts=accounts, speed=Decimal(0), options=options)
        rig = Rig(await start(settings))
        rigs.append(rig)
        rig.trade_at(Decimal("60000.0"))
        return rig

    yield make
    for rig in rigs:
        for session in rig.sessions:
            await plugin.close(session)
        await rig.rehearsal.stop()


@pytest.fixture
async def rig(make_rig: Callable[..., Any]) -> Rig:
    made: Rig = await make_rig()
    return made
