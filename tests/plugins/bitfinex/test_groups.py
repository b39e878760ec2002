"""Rule 11 on Bitfinex, over sockets: a parent's OCO orders become OCO orders of its child, in a derivative, on margin and
in an exchange pair."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from copydesk.model import Accepted, NewOrder, Order, OrderGroup, OrderRef, OrderType, RehearsalSettings, Side, Terms
from copydesk_bitfinex.rehearsal import start
from copydesk_paper.records import MarketDepth
from harness.sockets import PARENT, PRICE, SocketDesk

D = Decimal
CHILD = "child1"
DERIVATIVE, MARGIN, COINS = "tBTCF0:USTF0", "tBTCUST-MARGIN", "tBTCUST"


class BitfinexBot(SocketDesk):
    """A parent and a child that follows it at half its size, on Bitfinex."""

    kind = "bitfinex"
    children = (CHILD,)
    options = {"requests-per-minute": "100000"}

    def __init__(self, folder: Path, symbol: str) -> None:
        super().__init__(folder)
        self.symbol = symbol

    async def open_rehearsal(self, settings: RehearsalSettings) -> Any:
        return await start(settings)

    def book(self, price: Decimal = PRICE) -> None:
        bids, asks = ((price - 1, D(1000)),), ((price + 1, D(1000)),)
        self.rehearsal.exchange.apply(MarketDepth(symbol=self.symbol, bids=bids, asks=asks, snapshot=True))

    async def place_group(self, quantity: str, *, stop: str = "58000") -> tuple[Order, ...]:
        """The parent places an OCO: its target at 62000 and its stop."""
        terms: dict[str, Any] = {"symbol": self.symbol, "side": Side.SELL, "quantity": D(quantity)}
        terms["reduce_only"] = self.symbol != COINS
        legs = [
            Terms(type=OrderType.LIMIT, price=D(62000), **terms),
            Terms(type=OrderType.STOP_MARKET, trigger_price=D(stop), **terms),
        ]
        named = tuple(NewOrder(client_id=f"leg-{next(self._numbers)}", terms=leg) for leg in legs)
        outcome = await self.parent.place_group(OrderGroup(legs=named))
        assert isinstance(outcome, Accepted), outcome
        return outcome.legs

    def standing(self, account: str = CHILD) -> dict[str, str]:
        """Its exits, as quantity and price, with their groups."""
        return {
            f"{order.terms.quantity.normalize():f}@{(order.terms.price or order.terms.trigger_price):.0f}": order.group
            for order in self.rehearsal.exchange.open_orders(account)
            if order.terms.side is Side.SELL
        }

    async def has(self, *wanted: str) -> None:
        """Wait until the child has these exits, as one group where they are two."""
        await self.until(lambda: set(self.standing()) == set(wanted), f"the child has {wanted}")
        if wanted:
            assert len(set(self.standing().values()) - {""}) == 1

    def bought(self) -> Decimal:
        """What the child has, without the fee that an exchange pair takes out of what is bought."""
        exchange = self.rehearsal.exchange
        coins: Decimal = exchange.wallets(CHILD).get("BTC", D(0)) if self.symbol == COINS else self._position(CHILD)
        return coins


def _ref(order: Order) -> OrderRef:
    return OrderRef(symbol=order.terms.symbol, type=order.terms.type, client_id=order.client_id, venue_id=order.venue_id)


@pytest.fixture(params=[DERIVATIVE, MARGIN, COINS])
async def desk(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[BitfinexBot]:
    desk = BitfinexBot(tmp_path, request.param)
    await desk.start()
    await desk.buy("0.02")
    await desk.until(lambda: desk.bought() > D("0.0099"), "the child has bought")
    yield desk
    said = [entry.text for entry in desk.desk.latest_lines(500)]
    await desk.stop()
    assert not [text for text in said if "refused" in text.lower() or "by itself" in text]


async def test_an_oco_is_copied_moved_and_taken_away_as_one(desk: BitfinexBot) -> None:
    _, stop = await desk.place_group("0.018")
    await desk.has("0.009@58000", "0.009@62000")
    assert desk.desk.view().bots[0].children[0].oco == "native"
    told = {order.client_id for order in desk.rehearsal.exchange.open_orders(CHILD)}
    assert all(client_id.startswith("cdk-") for client_id in told)
    await desk.parent.cancel(_ref(stop))
    moved, _ = await desk.place_group("0.018", stop="58500")
    await desk.has("0.009@58500", "0.009@62000")
    await desk.parent.cancel(_ref(moved))
    await desk.has()
    assert not desk.standing(PARENT)


async def test_the_stop_closes_on_both(desk: BitfinexBot) -> None:
    await desk.place_group("0.018")
    await desk.has("0.009@58000", "0.009@62000")
    held = desk.bought()
    desk.book(D(57990))
    desk.trade(D(57990))
    await desk.until(lambda: desk.bought() == held - D("0.009"), "the stop has sold")
    await desk.has()
