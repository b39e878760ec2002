"""Rule 11 on spot, over sockets: a parent's order lists become order lists on its child, for two exits cannot both bind the
coins there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from copydesk.model import Accepted, NewOrder, Order, OrderGroup, OrderRef, OrderType, RehearsalSettings, Side, Terms
from copydesk_binance.errors import Reply
from copydesk_binance.rehearsal.spot import start
from copydesk_paper.records import MarketTrade
from harness.sockets import BOT, PARENT, SocketDesk

D = Decimal
CHILD = "child1"
STOP, LIMIT = OrderType.STOP_MARKET, OrderType.LIMIT


class SpotBot(SocketDesk):
    """A parent and a child that follows it at half its size, on Binance spot."""

    kind = "binance"
    children = (CHILD,)
    options = {"weight-per-minute": "1000000", "orders-per-10s": "100000"}

    async def open_rehearsal(self, settings: RehearsalSettings) -> Any:
        return await start(settings)

    async def place_group(self, quantity: str = "0.0199", *, target: str = "62000", stop: str = "58000") -> list[Order]:
        """The parent places an order list: its target and its stop."""
        terms = {"symbol": self.symbol, "side": Side.SELL, "quantity": D(quantity)}
        legs = [Terms(type=LIMIT, price=D(target), **terms), Terms(type=STOP, trigger_price=D(stop), **terms)]
        named = tuple(NewOrder(client_id=f"leg-{next(self._numbers)}", terms=leg) for leg in legs)
        outcome = await self.parent.place_group(OrderGroup(legs=named))
        assert isinstance(outcome, Accepted), outcome
        return list(outcome.legs)

    async def place_otoco(self) -> None:
        """The parent places an entry at 59000 with its stop and its target, as ccxt signs it."""
        params = {"symbol": self.symbol, "workingType": "LIMIT", "workingSide": "BUY", "workingPrice": "59000"}
        params |= {"workingQuantity": "0.02", "workingTimeInForce": "GTC", "pendingSide": "SELL"}
        params |= {"pendingQuantity": "0.0199", "pendingAboveType": "LIMIT_MAKER", "pendingAbovePrice": "62000"}
        params |= {"pendingBelowType": "STOP_LOSS", "pendingBelowStopPrice": "58000"}
        answer = await self.parent._session.trade("POST", "orderList/otoco", params, "an order list")
        assert isinstance(answer, Reply), answer

    async def close_parent_orders(self) -> None:
        """The parent cancels all that it has standing."""
        for order in self.rehearsal.exchange.open_orders(PARENT):
            if order.venue_id in {one.venue_id for one in self.rehearsal.exchange.open_orders(PARENT)}:
                await self.parent.cancel(_ref(order))

    def standing(self, account: str = CHILD) -> list[str]:
        """Its exits, as quantity and price."""
        return sorted(
            f"{order.terms.quantity.normalize():f}@{(order.terms.price or order.terms.trigger_price):.0f}"
            for order in self.rehearsal.exchange.open_orders(account)
            if order.terms.side is Side.SELL
        )

    def groups(self) -> list[str]:
        return [order.group for order in self.rehearsal.exchange.open_orders(CHILD) if order.terms.side is Side.SELL]

    async def has(self, *wanted: str) -> None:
        """Wait until the child has these exits, as one list where they are two."""
        await self.until(lambda: self.standing() == sorted(wanted), f"the child has {wanted}, not {self.standing()}")
        if len(wanted) == 2:
            first, second = self.groups()
            assert first == second != ""

    def coins(self, account: str = CHILD) -> Decimal:
        coins: Decimal = self.rehearsal.exchange.wallets(account).get("BTC", D(0))
        return coins

    async def buy_both(self) -> None:
        """The parent buys 0.02 and the child 0.01; a fee of a thousandth is taken from each."""
        await self.buy("0.02")
        await self.until(lambda: self.coins() == D("0.00999"), "the child has bought")

    def buyers(self, price: str, quantity: str) -> None:
        """Somebody buys what is offered at a price."""
        trade = MarketTrade(symbol=self.symbol, price=D(price), quantity=D(quantity), buyer_is_maker=False)
        self.rehearsal.exchange.apply(trade)

    def refusals(self) -> list[str]:
        """What the venue refused, as the log says it."""
        said = [entry.text for entry in self.desk.latest_lines(500)]
        return [text for text in said if "refused" in text.lower() or "insufficient" in text or "by itself" in text]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[SpotBot]:
    desk = SpotBot(tmp_path)
    await desk.start()
    yield desk
    refused = desk.refusals()
    await desk.stop()
    assert not refused


def _ref(order: Order) -> OrderRef:
    return OrderRef(symbol=order.terms.symbol, type=order.terms.type, client_id=order.client_id, venue_id=order.venue_id)


async def test_a_list_is_copied_moved_and_taken_away_as_one(desk: SpotBot) -> None:
    await desk.buy_both()
    _, stop = await desk.place_group()
    await desk.has("0.00995@58000", "0.00995@62000")
    assert desk.desk.view().bots[0].children[0].oco == "native"

    await desk.parent.cancel(_ref(stop))
    moved, _ = await desk.place_group(stop="58500")
    await desk.has("0.00995@58500", "0.00995@62000")

    await desk.parent.cancel(_ref(moved))
    await desk.until(lambda: not desk.standing(PARENT), "a cancelled leg takes the parent's list away")
    await desk.has()
    assert desk.coins() == D("0.00999")
    child = next(bot for bot in desk.desk.view().bots if bot.name == BOT).children[0]
    assert 0 < child.naked_longest_ns < 5 * 10**9  # between the old list and the new one: measured, and not long


async def test_the_target_is_filled_in_part_and_what_is_left_has_its_stop_again(desk: SpotBot) -> None:
    """A trade with one order of a list ends the other. What the child's target leaves is protected anew, as one list."""
    await desk.buy_both()
    await desk.place_group()
    await desk.has("0.00995@58000", "0.00995@62000")
    child = next(order for order in desk.rehearsal.exchange.open_orders(CHILD) if order.terms.price == 62000)
    desk.rehearsal.exchange.fill(CHILD, D("0.004"), venue_id=child.venue_id)
    desk.trade(D(60000))
    await desk.has("0.00595@58000", "0.00595@62000")
    assert desk.coins() == D("0.00599")
    desk.buyers("62000", "1")
    await desk.until(lambda: desk.coins() == D("0.00004"), "the target is filled, but for what no step can sell")
    await desk.has()


async def test_the_stop_is_triggered_on_both(desk: SpotBot) -> None:
    await desk.buy_both()
    await desk.place_group()
    await desk.has("0.00995@58000", "0.00995@62000")
    desk.book(D(57990))
    desk.trade(D(57990))
    await desk.until(lambda: desk.coins() == D("0.00004"), "the stop has sold")
    await desk.has()
    assert not desk.standing(PARENT)


async def test_an_entry_that_brings_its_stop_and_its_target_along(desk: SpotBot) -> None:
    """An OTOCO: what waits in the parent's list is no order of the child's before the parent's entry is filled."""
    await desk.place_otoco()
    await desk.until(lambda: len(desk.rehearsal.exchange.open_orders(CHILD)) == 1, "the entry is copied")
    entry = desk.rehearsal.exchange.open_orders(CHILD)[0]
    assert (entry.terms.side, entry.terms.quantity, entry.terms.price) == (Side.BUY, D("0.01"), D(59000))
    parents = next(order for order in desk.rehearsal.exchange.open_orders(PARENT))
    desk.rehearsal.exchange.fill(CHILD, D("0.005"), venue_id=entry.venue_id)
    desk.rehearsal.exchange.fill(PARENT, D("0.02"), venue_id=parents.venue_id)
    await desk.until(lambda: len(desk.standing(PARENT)) == 2, "the parent's list is in the market")
    await desk.has("0.00499@58000", "0.00499@62000")  # never more than the child has
    left = desk.rehearsal.exchange.find(CHILD, venue_id=entry.venue_id)
    desk.rehearsal.exchange.fill(CHILD, left.terms.quantity - left.filled, venue_id=entry.venue_id)
    await desk.has("0.00995@58000", "0.00995@62000")


async def test_a_stop_alone_that_becomes_a_list(desk: SpotBot) -> None:
    """What binds the coins goes before what is to bind them."""
    await desk.buy_both()
    stop = await desk.sell("0.0199", type=STOP, trigger_price=D(58000))
    await desk.has("0.00995@58000")
    await desk.parent.cancel(_ref(stop))
    await desk.place_group(stop="58200")
    await desk.has("0.00995@58200", "0.00995@62000")
    await desk.close_parent_orders()
    await desk.sell("0.0199", price=D(61500))
    await desk.has("0.00995@61500")


async def test_a_market_sale_takes_the_list_away_first(desk: SpotBot) -> None:
    await desk.buy_both()
    await desk.place_group()
    await desk.has("0.00995@58000", "0.00995@62000")
    await desk.close_parent_orders()
    await desk.sell("0.0199")
    await desk.until(lambda: desk.coins() == D("0.00004"), "the child has sold too")
    await desk.has()
