"""The rehearsal serves async-rithmic as it comes from its authors, over plain websockets and over TLS with a test CA.

All that is set is what the library itself leaves open: its gateway, and which certificates it trusts.
"""

from __future__ import annotations

import asyncio
import datetime
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from copydesk_rithmic.library import async_rithmic
from copydesk_rithmic.rehearsal import Rehearsal

BUY, SELL = async_rithmic.TransactionType.BUY, async_rithmic.TransactionType.SELL
TYPES = async_rithmic.OrderType
SYMBOL = ("MESH7", "CME")
PATIENCE_S = 40.0


class Trader:
    """The library's client with what it was told."""

    def __init__(self, venue: Rehearsal, *, secure: bool) -> None:
        user = venue.desk.users["rehearsal"]
        self.client = async_rithmic.RithmicClient(
            user=user.name,
            password=user.password,
            system_name="Rithmic Paper Trading",
            app_name="test",
            app_version="1",
            url=venue.ready.urls["wss" if secure else "ws"],
        )
        if secure:
            self.client.ssl_context.load_verify_locations(venue.ready.urls["ca"])
        else:
            self.client.ssl_context = None
        self.told: list[Any] = []
        self._changed = asyncio.Condition()
        self.client.on_rithmic_order_notification += self._hear
        self.client.on_exchange_order_notification += self._hear
        self.client.on_instrument_pnl_update += self._hear
        self.client.on_tick += self._hear

    async def _hear(self, message: Any) -> None:
        self.told.append(message)
        async with self._changed:
            self._changed.notify_all()

    async def until(self, **wanted: Any) -> Any:
        """The first message that has these values."""

        def found() -> list[Any]:
            return [
                one
                for one in self.told
                if not isinstance(one, dict) and all(getattr(one, name, None) == value for name, value in wanted.items())
            ]

        await self.wait_for(found)
        return found()[0]

    async def wait_for(self, condition: Callable[[], Any]) -> None:
        async with asyncio.timeout(PATIENCE_S), self._changed:
            await self._changed.wait_for(condition)


@pytest.fixture(params=[False, True], ids=["ws", "wss"])
async def trader(venue: Rehearsal, request: pytest.FixtureRequest) -> AsyncIterator[Trader]:
    there = Trader(venue, secure=request.param)
    await there.client.connect(plant_connect_delay=0)
    yield there
    await there.client.disconnect()


async def test_orders_of_every_type(trader: Trader) -> None:
    """Place, list, change, find, cancel; on the second of several accounts."""
    client = trader.client
    assert [account.account_id for account in client.accounts] == ["lead", "one", "two"]
    prices = {
        TYPES.LIMIT: {"price": 5900.0},
        TYPES.STOP_MARKET: {"trigger_price": 6100.0},
        TYPES.STOP_LIMIT: {"trigger_price": 6100.0, "price": 6101.0},
        TYPES.MARKET_IF_TOUCHED: {"trigger_price": 5900.0},
        TYPES.LIMIT_IF_TOUCHED: {"trigger_price": 5900.0, "price": 5899.75},
    }
    for type_, price in prices.items():
        name = f"order-{type_}"
        answer = await client.submit_order(name, *SYMBOL, 2, BUY, type_, account_id="one", **price)
        assert answer[0].basket_id
        await trader.until(template_id=351, user_tag=name, status="open" if type_ == TYPES.LIMIT else "trigger pending")
    listed = await client.list_orders(account_id="one")
    assert {row.user_tag for row in listed} == {f"order-{type_}" for type_ in prices}
    await client.modify_order(order_id=f"order-{TYPES.LIMIT}", account_id="one", qty=3, price=5901.0)
    await trader.until(template_id=351, status="modified")
    changed = await client.get_order(order_id=f"order-{TYPES.LIMIT}", account_id="one")
    assert (changed.quantity, changed.price) == (3, 5901.0)
    await client.cancel_order(order_id=f"order-{TYPES.LIMIT}", account_id="one")
    await trader.until(template_id=351, status="complete", completion_reason="C", user_tag=f"order-{TYPES.LIMIT}")
    await client.cancel_all_orders(account_id="one")
    await trader.until(template_id=351, status="complete", user_tag=f"order-{TYPES.LIMIT_IF_TOUCHED}")
    assert await client.list_orders(account_id="one") == []


async def test_positions_brackets_and_histories(trader: Trader) -> None:
    client = trader.client
    await client.subscribe_to_pnl_updates()
    await client.submit_order("in", *SYMBOL, 2, BUY, TYPES.MARKET, account_id="lead", stop_ticks=20, target_ticks=40)
    fill = await trader.until(template_id=352, report_type="fill", user_tag="in")
    assert (fill.fill_size, fill.total_fill_size) == (2, 2)
    await trader.until(template_id=450, net_quantity=2)
    target = await trader.until(template_id=351, original_basket_id=fill.basket_id, status="open")
    stop = await trader.until(template_id=351, original_basket_id=fill.basket_id, status="trigger pending")
    assert (target.price - fill.fill_price, stop.trigger_price - fill.fill_price) == (10.0, -5.0)
    assert await client.get_stop_and_target(fill.basket_id, account_id="lead") == (20, 40)
    (held,) = await client.list_positions(account_id="lead")
    assert (held.symbol, held.net_quantity) == ("MESH7", 2)
    await client.exit_position(account_id="lead", symbol="MESH7", exchange="CME")
    await trader.until(template_id=450, net_quantity=0)
    (summary,) = await client.list_account_summary(account_id="lead")
    assert float(summary.cash_on_hand) < 100_000
    (day,) = (await client.show_order_history_dates())[0].date
    history = await client.show_order_history_summary(day, account_id="lead")
    assert [row.user_tag for row in history][:1] == ["in"]
    now = datetime.datetime.now(datetime.UTC)
    fills = await client.get_fill_history(
        now - datetime.timedelta(minutes=1), now + datetime.timedelta(minutes=1), account_id="lead"
    )
    assert [row.fill_size for row in fills] == [2, 2]


async def test_prices_bars_and_contracts(trader: Trader) -> None:
    client = trader.client
    await client.subscribe_to_market_data(*SYMBOL, async_rithmic.DataType.LAST_TRADE)
    await trader.wait_for(lambda: any(isinstance(one, dict) for one in trader.told))
    tick = next(one for one in trader.told if isinstance(one, dict))
    assert (tick["symbol"], tick["trade_price"]) == ("MESH7", 6000.0)
    assert await client.get_front_month_contract("MES", "CME") == "MESH7"
    assert [row.symbol for row in await client.search_symbols("ESH7", exchange="CME")] == ["MESH7", "ESH7"]
    rules = await client.get_reference_data(*SYMBOL)
    assert (rules.min_qprice_change, rules.single_point_value) == (0.25, 5.0)
    now = datetime.datetime.now(datetime.UTC)
    minutes = await client.get_historical_time_bars(
        *SYMBOL, now - datetime.timedelta(minutes=30), now, async_rithmic.TimeBarType.MINUTE_BAR, 5
    )
    assert 5 <= len(minutes) <= 7
    assert all(bar["marker"] % 300 == 0 for bar in minutes)
    limits = await client.get_product_rms(account_id="one")
    assert "MES" in {row.product_code for row in limits}
    assert {row.account_id for row in await client.get_account_rms()} == {"lead", "one", "two"}
