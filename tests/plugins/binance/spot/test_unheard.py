"""Spot pairs that are first traded while nobody listens: found by what changed, and copied under the parent's own order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import pytest
from copydesk.model import Order
from copydesk_binance.rehearsal.parameters import Params
from copydesk_paper.records import MarketDepth, MarketTrade
from harness.sockets import BOT, PARENT

from .test_groups import CHILD, SpotBot

D = Decimal
PAIR = "ETHBTC"
"""Quoted in coins, and nothing of it is known before: neither a position nor a stream tells of this pair."""


class Unheard(SpotBot):
    def quote_pair(self) -> None:
        bids, asks = ((D("0.0499"), D(1000)),), ((D("0.05"), D(1000)),)
        self.rehearsal.exchange.apply(MarketDepth(symbol=PAIR, bids=bids, asks=asks, snapshot=True))
        trade = MarketTrade(symbol=PAIR, price=D("0.05"), quantity=D("0.01"), buyer_is_maker=False)
        self.rehearsal.exchange.apply(trade)

    def buys(self, quantity: str) -> Order:
        """The parent buys at the venue, by whatever program."""
        desk = self.rehearsal.desk
        wanted = {"symbol": PAIR, "side": "BUY", "type": "MARKET", "quantity": quantity, "newClientOrderId": "by-hand-7"}
        desk.place(desk.accounts[PARENT], Params.from_json(wanted))
        order: Order = self.rehearsal.exchange.find(PARENT, client_id="by-hand-7")
        return order

    def has(self, account: str) -> Decimal:  # type: ignore[override]
        coins: Decimal = self.rehearsal.exchange.wallets(account).get("ETH", D(0))
        return coins

    async def followed(self, order: Order) -> None:
        """The child has its half, copied from the parent's very order and not from what its position tells."""
        await self.until(lambda: self.has(CHILD) > 0, "the child has bought")
        assert self.has(CHILD) == D("0.4995") * D("0.999")
        parents = self.engine.state.bots[BOT].orders
        assert parents[order.venue_id].order.client_id == "by-hand-7"
        assert [number for number in parents if not number.isdecimal()] == []
        said = [entry.text for entry in self.desk.latest_lines(500)]
        assert "inferred: Parent BUY 1 ETHBTC market: filled" in said  # nobody heard of it when it happened
        assert not [text for text in said if "taken over" in text]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Unheard]:
    desk = Unheard(tmp_path)
    await desk.start()
    desk.quote_pair()
    for account in (PARENT, CHILD):  # to pay with
        desk.rehearsal.exchange.deposit(account, D(1), asset="BTC")
    await desk.until(
        lambda: desk.engine.state.accounts[CHILD].positions.get(("BTCUSDT", "net")) is not None, "the coins are told"
    )
    yield desk
    await desk.stop()


async def test_a_pair_first_traded_while_the_stream_was_down(desk: Unheard) -> None:
    await desk.fault("drop-stream", PARENT)
    order = desk.buys("1")
    await desk.followed(order)


async def test_a_pair_first_traded_while_copydesk_was_not_running(desk: Unheard) -> None:
    await desk.engine.stop()
    order = desk.buys("1")
    await desk.start_engine()
    await desk.followed(order)
