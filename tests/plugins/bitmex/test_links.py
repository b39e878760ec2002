"""Linked orders, over sockets: one cancels the other, one triggers the others, and how a copied parent's are read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from copydesk.inputs import Reported
from copydesk.model import Order, OrderEvent, RehearsalSettings, Side, SnapshotRequest
from copydesk_bitmex.rehearsal import start
from harness.sockets import PARENT, SocketDesk

from .conftest import Bot, VenueRefusal

CANCELS, TRIGGERS = "OneCancelsTheOther", "OneTriggersTheOther"
LIMIT = {"symbol": "XBTUSD", "ordType": "Limit", "side": "Sell", "orderQty": 100, "execInst": "ReduceOnly"}
STOP = {"symbol": "XBTUSD", "ordType": "Stop", "side": "Sell", "orderQty": 100, "execInst": "ReduceOnly,LastPrice"}
ENTRY = {"symbol": "XBTUSD", "ordType": "Limit", "side": "Buy", "orderQty": 100, "price": 59_000}


async def bracket(bot: Bot, link: str = "exits", **more: Any) -> None:
    """A target at 62000 and a stop at 58000 of which one cancels the other."""
    linked = {"clOrdLinkID": link, "contingencyType": CANCELS, **more}
    await bot.ask("POST", "/order", **{**LIMIT, "price": 62_000, "clOrdID": "target", **linked})
    await bot.ask("POST", "/order", **{**STOP, "stopPx": 58_000, "clOrdID": "stop", **linked})


@pytest.fixture
async def holder(bot: Bot) -> Bot:
    """A bot that holds 200 contracts, bought at 60000."""
    bot.market("60000")
    await bot.ask("POST", "/order", symbol="XBTUSD", side="Buy", ordType="Market", orderQty=200)
    return bot


def states(rows: dict[str, Any]) -> dict[str, tuple[str, bool]]:
    return {name: (row["ordStatus"], row["workingIndicator"]) for name, row in rows.items() if name}


# --- one cancels the other ------------------------------------------------------------------------------------------


async def test_the_first_that_trades_cancels_the_others(holder: Bot) -> None:
    await bracket(holder)
    await holder.ask("POST", "/order", **LIMIT, price=63_000, clOrdID="far", clOrdLinkID="exits", contingencyType=CANCELS)
    await holder.ask("POST", "/order", **LIMIT, price=64_000, clOrdID="other", clOrdLinkID="x", contingencyType=CANCELS)
    rows = await holder.orders()
    assert {row["contingencyType"] for name, row in rows.items() if name} == {CANCELS}
    assert rows["target"]["clOrdLinkID"] == rows["stop"]["clOrdLinkID"] == "exits"
    holder.market("62100")
    rows = await holder.orders()
    assert {name: row["ordStatus"] for name, row in rows.items() if name} == {
        "target": "Filled",
        "stop": "Canceled",
        "far": "Canceled",
        "other": "New",
    }
    assert "Canceled: " in rows["stop"]["text"]


async def test_an_activated_stop_and_a_partial_fill_count_too(holder: Bot) -> None:
    await bracket(holder)
    holder.market("57900")
    rows = await holder.orders()
    assert (rows["stop"]["ordStatus"], rows["target"]["ordStatus"]) == ("Filled", "Canceled")
    await holder.ask("POST", "/order", **LIMIT, price=62_000, clOrdID="a", clOrdLinkID="b", contingencyType=CANCELS)
    await holder.ask("POST", "/order", **STOP, stopPx=55_000, clOrdID="c", clOrdLinkID="b", contingencyType=CANCELS)
    number = str(int(rows["stop"]["orderID"].partition("-")[0], 16) + 1)
    holder.rehearsal.exchange.fill("main", Decimal(30), venue_id=number)
    rows = await holder.orders()
    assert (rows["a"]["ordStatus"], rows["a"]["cumQty"]) == ("PartiallyFilled", 30)
    assert rows["c"]["ordStatus"] == "Canceled"


async def test_what_is_taken_at_once_cancels_too(holder: Bot) -> None:
    await bracket(holder)
    sell = {**LIMIT, "price": 59_000, "clOrdID": "now", "clOrdLinkID": "exits", "contingencyType": CANCELS}
    assert (await holder.ask("POST", "/order", **sell))["ordStatus"] == "Filled"
    assert {name for name, row in (await holder.orders()).items() if row["ordStatus"] == "Canceled"} == {"target", "stop"}


async def test_a_cancelled_one_leaves_the_others(holder: Bot) -> None:
    await bracket(holder)
    await holder.ask("DELETE", "/order", clOrdID="target")
    rows = await holder.orders()
    assert (rows["target"]["ordStatus"], rows["stop"]["ordStatus"]) == ("Canceled", "New")
    amended = await holder.ask("PUT", "/order", origClOrdID="stop", stopPx=58_500)
    assert amended["stopPx"] == 58_500


# --- one triggers the others ----------------------------------------------------------------------------------------


async def listening(bot: Bot, http: aiohttp.ClientSession) -> aiohttp.ClientWebSocketResponse:
    """A socket that is told of orders and executions; its first tables are read."""
    socket = await http.ws_connect(bot.rehearsal.ready.urls["ws"], headers=bot.headers("GET", "/realtime"))
    await socket.send_json({"op": "subscribe", "args": ["order", "execution"]})
    partials = 0
    while partials < 2:
        partials += (await socket.receive_json(timeout=40)).get("action") == "partial"
    return socket


async def test_the_others_wait_for_the_primary(bot: Bot) -> None:
    bot.market("60000")
    async with aiohttp.ClientSession() as http:
        socket = await listening(bot, http)
        await bot.ask("POST", "/order", **ENTRY, clOrdID="entry", clOrdLinkID="exits", contingencyType=TRIGGERS)
        await bracket(bot)
        alone = await bot.ask("POST", "/order", **{**ENTRY, "price": 50_000}, clOrdID="alone")
        assert alone["workingIndicator"]
        rows = await bot.orders(filter='{"open":true}')
        assert states(rows) == {
            "entry": ("New", True),
            "target": ("New", False),
            "stop": ("New", False),
            "alone": ("New", True),
        }
        assert rows["target"]["triggered"] == "NotTriggered"
        assert len(bot.rehearsal.exchange.open_orders("main")) == 2, "what waits is not in the market"
        bot.market("62100")
        assert (await bot.orders())["target"]["ordStatus"] == "New"
        moved = await bot.ask("PUT", "/order", origClOrdID="target", price=63_000)
        assert (moved["price"], moved["workingIndicator"]) == (63_000, False)
        bot.market("58900")
        rows = await bot.orders(filter='{"open":true}')
        assert states(rows) == {"target": ("New", True), "stop": ("New", False), "alone": ("New", True)}
        assert {one.terms.price for one in bot.rehearsal.exchange.open_orders("main")} == {50_000, 63_000, None}
        told: list[tuple[str, str]] = []
        while ("stop", "TriggeredOrActivatedBySystem") not in told:
            frame = await socket.receive_json(timeout=40)
            told += [(row["clOrdID"], row.get("execType") or frame["action"]) for row in frame.get("data", [])]
        assert told.index(("entry", "Trade")) < told.index(("target", "TriggeredOrActivatedBySystem"))
        assert told.count(("target", "insert")) == 1, "the same order, before and after"
    bot.market("63100")
    rows = await bot.orders()
    assert (rows["target"]["ordStatus"], rows["stop"]["ordStatus"]) == ("Filled", "Canceled")


async def test_a_part_of_the_primary_triggers_nothing(bot: Bot) -> None:
    bot.market("60000")
    entry = await bot.ask("POST", "/order", **ENTRY, clOrdID="entry", clOrdLinkID="exits", contingencyType=TRIGGERS)
    await bracket(bot)
    number = str(int(entry["orderID"].partition("-")[0], 16))
    bot.rehearsal.exchange.fill("main", Decimal(30), venue_id=number)
    assert states(await bot.orders())["target"] == ("New", False)
    await bot.ask("DELETE", "/order", clOrdID="entry")
    rows = await bot.orders()
    assert {row["ordStatus"] for row in rows.values()} == {"Canceled"}
    assert "has ended" in rows["stop"]["text"]


async def test_what_waits_is_cancelled_by_itself_and_with_all(bot: Bot) -> None:
    bot.market("60000")
    await bot.ask("POST", "/order", **ENTRY, clOrdID="entry", clOrdLinkID="exits", contingencyType=TRIGGERS)
    await bracket(bot)
    [row] = await bot.ask("DELETE", "/order", clOrdID="stop")
    assert (row["ordStatus"], row["clOrdID"]) == ("Canceled", "stop")
    assert states(await bot.orders()) == {
        "entry": ("New", True),
        "target": ("New", False),
        "stop": ("Canceled", False),
    }
    await bot.ask("DELETE", "/order/all")
    assert {row["ordStatus"] for row in (await bot.orders()).values()} == {"Canceled"}


async def test_what_is_refused_later_is_cancelled(bot: Bot) -> None:
    """Exits of more than the account can ever pay: nobody knows before they come to the market."""
    bot.market("60000")
    await bot.ask("POST", "/order", **ENTRY, clOrdID="entry", clOrdLinkID="more", contingencyType=TRIGGERS)
    huge = {**ENTRY, "orderQty": 9_000_000, "price": 58_000}
    assert (await bot.ask("POST", "/order", **huge, clOrdID="huge", clOrdLinkID="more"))["ordStatus"] == "New"
    bot.market("58900")
    rows = await bot.orders()
    assert (rows["entry"]["ordStatus"], rows["huge"]["ordStatus"]) == ("Filled", "Canceled")
    assert "insufficient Available Balance" in rows["huge"]["text"]


@pytest.mark.parametrize(
    ("linked", "sentence"),
    [
        ({"contingencyType": CANCELS}, "clOrdLinkID is required"),
        ({"contingencyType": "OneUpdatesTheOtherAbsolute", "clOrdLinkID": "a"}, "contingencyType is invalid"),
        ({"clOrdLinkID": "a" * 37}, "clOrdLinkID is too long"),
    ],
)
async def test_a_link_that_the_venue_has_not(bot: Bot, linked: dict[str, str], sentence: str) -> None:
    with pytest.raises(VenueRefusal, match=sentence):
        await bot.ask("POST", "/order", **ENTRY, **linked)


async def test_a_pegged_order_has_the_price_of_its_moment(bot: Bot) -> None:
    bot.market("60000")
    pegged = {"symbol": "XBTUSD", "side": "Buy", "orderQty": 100, "pegPriceType": "PrimaryPeg", "execInst": "Fixed"}
    row = await bot.ask("POST", "/order", **pegged, pegOffsetValue=-10)
    assert (row["ordType"], row["price"], row["execInst"], row["ordStatus"]) == ("Pegged", 59_989.5, "Fixed", "New")
    bot.market("60100")
    assert (await bot.ask("GET", "/order"))[0]["price"] == 59_989.5
    with pytest.raises(VenueRefusal, match="Fixed is required"):
        await bot.ask("POST", "/order", **{**pegged, "execInst": ""}, pegOffsetValue=-10)


# --- a parent that links its orders ---------------------------------------------------------------------------------


class LinkedBot(SocketDesk):
    """A parent whose linked orders a child follows at half their size."""

    kind = "bitmex"
    symbol = "XBTUSD"
    children = ("child1",)
    options = {"requests-per-minute": "100000", "orders-per-second": "1000"}
    http: aiohttp.ClientSession

    async def open_rehearsal(self, settings: RehearsalSettings) -> Any:
        return await start(settings)

    def book(self, price: Decimal = Decimal(60_000)) -> None:
        self.by_hand.market(str(price))

    @property
    def by_hand(self) -> Bot:
        return Bot(self.rehearsal, self.http)

    def exits(self, account: str = "child1") -> list[str]:
        orders = self.rehearsal.exchange.open_orders(account)
        return sorted(
            f"{o.terms.quantity}@{o.terms.price or o.terms.trigger_price}" for o in orders if o.terms.side is Side.SELL
        )

    async def parent_orders(self) -> tuple[Order, ...]:
        """As the plugin reads them."""
        return (await self.parent.snapshot(SnapshotRequest(account=self.parent.accounts[0]))).orders

    def told(self) -> set[str]:
        """The client ids of the parent's orders that its stream has told the engine of."""
        events = [given.event for given in self.inputs() if isinstance(given, Reported) and given.account == PARENT]
        return {event.order.client_id for event in events if isinstance(event, OrderEvent)}

    async def child_has(self, *exits: str) -> None:
        await self.until(lambda: self.exits() == list(exits), f"the child has {exits}")


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[LinkedBot]:
    desk = LinkedBot(tmp_path)
    async with aiohttp.ClientSession() as http:
        desk.http = http
        await desk.start()
        yield desk
        await desk.stop()


async def test_a_linked_stop_and_target_are_copied_and_end_with_the_parents(desk: LinkedBot) -> None:
    await desk.buy("200")
    await desk.until(lambda: desk._position("child1") == 100, "the child has bought")
    await bracket(desk.by_hand, orderQty=200)
    await desk.child_has("100@58000", "100@62000")
    (target, stop) = sorted(await desk.parent_orders(), key=lambda order: order.terms.type)
    assert target.group == stop.group == "exits"
    desk.book(Decimal(57_900))
    await desk.until(lambda: desk._position("child1") == 0, "the child's stop has sold")
    await desk.child_has()
    assert not desk.rehearsal.exchange.open_orders(PARENT)


async def test_exits_that_wait_are_copied_once_they_wait_no_more(desk: LinkedBot) -> None:
    primary = {**ENTRY, "orderQty": 200, "clOrdLinkID": "exits", "contingencyType": TRIGGERS}
    await desk.by_hand.ask("POST", "/order", **primary)
    await bracket(desk.by_hand, orderQty=200)
    await desk.until(lambda: len(desk.rehearsal.exchange.open_orders("child1")) == 1, "the child has the entry")
    assert not desk.exits()
    assert [order.terms.side for order in await desk.parent_orders()] == [Side.BUY]
    assert not desk.told() & {"target", "stop"}
    desk.book(Decimal(58_900))
    await desk.child_has("100@58000", "100@62000")
    assert desk.told() >= {"target", "stop"}
