"""Market data of the rehearsal TWS: what happens, and what has happened."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from copydesk.model import Candle
from copydesk_ib.rehearsal import Rehearsal
from copydesk_ib.rehearsal.history import merge
from copydesk_paper.exchange import MarketDepth, MarketTrade

from .conftest import Connect, WireClient

APPLE = {"symbol": "AAPL", "secType": "STK", "exchange": "SMART"}
NAME = "AAPL:STK:SMART:USD"


def trade(tws: Rehearsal, price: str, quantity: str = "7") -> None:
    tws.exchange.apply(MarketTrade(symbol=NAME, price=Decimal(price), quantity=Decimal(quantity), buyer_is_maker=True))


async def watch(client: WireClient, request: int = 3, **more: Any) -> None:
    client.send("market_data", v=11, reqId=request, deltaNeutral=False, **(APPLE | more))


async def test_ticks_are_told_once_and_then_as_they_change(tws: Rehearsal, connect: Connect) -> None:
    client = await connect()
    await watch(client)
    quote = tws.exchange.quote(NAME)
    bid, ask = await client.until("tickPrice", type=1), await client.until("tickPrice", type=2)
    assert (Decimal(bid["price"]), Decimal(bid["size"])) == (quote.bid, quote.bid_quantity)
    assert Decimal(ask["price"]) == quote.ask
    assert (await client.until("tickReqParams"))["minTick"] == "0.01"
    await client.settled()
    client.forget()
    trade(tws, "201")
    assert (await client.until("tickPrice", type=4))["price"] == "201.0"
    await client.until("tickSize", type=5, size=7)
    client.send("cancel_market_data", v=2, reqId=3)
    await client.settled()
    client.forget()
    trade(tws, "200")
    assert not await client.all("tickPrice")
    client.send("cancel_market_data", v=2, reqId=3)
    assert (await client.until("error", id=3))["code"] == "300"


async def test_a_snapshot_ends(connect: Connect) -> None:
    client = await connect()
    await watch(client, snapshot=True)
    await client.until("tickSnapshotEnd", reqId=3)
    await watch(client)
    await watch(client)
    assert (await client.until("error", id=3))["code"] == "102"


async def test_currencies_have_no_last_price(connect: Connect) -> None:
    client = await connect()
    await watch(client, symbol="EUR", secType="CASH", exchange="IDEALPRO", snapshot=True)
    await client.until("tickSnapshotEnd")
    assert "4" not in {told["type"] for told in await client.all("tickPrice")}
    client.send(
        "historical_data",
        reqId=4,
        symbol="EUR",
        secType="CASH",
        exchange="IDEALPRO",
        barSize="1 min",
        duration="1 D",
        what="TRADES",
    )
    assert (await client.until("error", id=4))["code"] == "162"


async def test_a_combination_has_a_net_price(tws: Rehearsal, connect: Connect) -> None:
    client = await connect()
    near, far = (listing for listing in tws.catalogue.by_id.values() if listing.symbol == "ES")
    legs = [
        {"conId": listing.con_id, "ratio": 1, "action": action, "exchange": "CME"}
        for listing, action in ((near, "BUY"), (far, "SELL"))
    ]
    await watch(client, secType="BAG", symbol="ES", exchange="CME", comboLegs=legs)
    one, other = tws.exchange.quote(near.name), tws.exchange.quote(far.name)
    assert Decimal((await client.until("tickPrice", type=1))["price"]) == one.bid - other.ask
    assert Decimal((await client.until("tickPrice", type=2))["price"]) == one.ask - other.bid
    client.forget()
    tws.exchange.apply(
        MarketDepth(
            symbol=far.name, bids=((Decimal(5850), Decimal(9)),), asks=((Decimal(5851), Decimal(9)),), snapshot=True
        )
    )
    assert Decimal((await client.until("tickPrice", type=1))["price"]) == one.bid - 5851


async def test_tick_by_tick(tws: Rehearsal, connect: Connect) -> None:
    client = await connect()
    client.send("tick_by_tick", reqId=5, type="AllLast", **APPLE)
    await client.settled()
    trade(tws, "201.5")
    told = (await client.until("99"))["fields"]
    assert (told[0], told[1], told[3], told[4], told[6]) == ("5", "2", "201.5", "7", "ISLAND")
    client.send("cancel_tick_by_tick", reqId=5)
    await client.settled()
    client.forget()
    trade(tws, "201.6")
    assert not await client.all("99")
    client.send("tick_by_tick", reqId=6, type="Everything", **APPLE)
    assert (await client.until("error", id=6))["code"] == "321"


async def test_the_book(tws: Rehearsal, connect: Connect) -> None:
    client = await connect()
    client.send("market_depth", v=5, reqId=7, rows=3, smart=False, **APPLE)
    rows = await client.all("marketDepth")
    bids, asks = tws.exchange.depth(NAME, 3)
    shown = [(Decimal(row["price"]), Decimal(row["size"])) for row in rows]
    assert shown == bids + asks
    assert [(row["side"], row["position"], row["operation"]) for row in rows][:3] == [("1", str(n), "0") for n in range(3)]
    client.forget()
    client.place(orderType="LMT", lmtPrice=str(bids[0][0]), totalQuantity="5")
    told = await client.until("marketDepth", side=1, position=0)
    assert (told["operation"], Decimal(told["size"])) == ("1", bids[0][1] + 5)


async def test_the_smart_book_names_its_venues(connect: Connect) -> None:
    client = await connect()
    client.send("market_depth", v=5, reqId=7, rows=2, smart=True, **APPLE)
    rows = await client.all("marketDepthL2")
    assert [(row["maker"], row["side"], row["smart"]) for row in rows] == [
        ("ISLAND", side, "1") for side in ("1", "1", "0", "0")
    ]


async def test_a_histogram_counts_what_was_traded(tws: Rehearsal, connect: Connect) -> None:
    client = await connect()
    for price in ("201", "202", "201"):
        trade(tws, price)
    client.send("histogram", reqId=7, period="1 day", **APPLE)
    told = (await client.until("histogram"))["bars"]
    assert told == [{"price": "201.0", "count": "14"}, {"price": "202.0", "count": "7"}]


@pytest.mark.parametrize(
    ("size", "duration", "least"),
    [("1 min", "3600 S", 59), ("5 mins", "1 D", 200), ("1 hour", "1 D", 23), ("1 day", "1 W", 1), ("3 mins", "1800 S", 9)],
)
async def test_bars_of_all_sizes(connect: Connect, size: str, duration: str, least: int) -> None:
    client = await connect()
    client.send("historical_data", reqId=8, barSize=size, duration=duration, what="TRADES", formatDate="1", **APPLE)
    bars = (await client.until("historicalData"))["bars"]
    assert len(bars) >= least
    assert all(Decimal(bar["low"]) <= Decimal(bar["open"]) <= Decimal(bar["high"]) for bar in bars)
    assert [bar["time"] for bar in bars] == sorted(bar["time"] for bar in bars)


@pytest.mark.parametrize(
    "wrong",
    [
        {"barSize": "7 mins"},
        {"duration": "soon"},
        {"what": "GOSSIP"},
        {"end": "yesterday"},
        {"end": "20260101 10:00:00", "keepUpToDate": True},
    ],
)
async def test_bars_that_cannot_be_had(connect: Connect, wrong: dict[str, Any]) -> None:
    client = await connect()
    told = {"barSize": "1 min", "duration": "1 D", "what": "TRADES", "formatDate": "1"}
    client.send("historical_data", reqId=8, **(APPLE | told | wrong))
    assert (await client.until("error", id=8))["code"] == "321"


async def test_a_bar_is_kept_up_to_date(tws: Rehearsal, connect: Connect) -> None:
    client = await connect()
    told = {"barSize": "1 min", "duration": "1800 S", "what": "TRADES", "formatDate": "2", "keepUpToDate": True}
    client.send("historical_data", reqId=8, **APPLE, **told)
    await client.until("historicalData")
    trade(tws, "188")
    tws.history.tick()
    update = await client.until("historicalUpdate", reqId=8, close="188.0")
    assert (update["low"], update["time"].isdecimal()) == ("188.0", True)
    client.send("cancel_historical_data", reqId=8)
    await client.settled()
    client.forget()
    trade(tws, "187")
    tws.history.tick()
    assert not await client.all("historicalUpdate")


async def test_past_ticks(tws: Rehearsal, connect: Connect) -> None:
    client = await connect()
    for price in ("201", "202", "203"):
        trade(tws, price)
    now = "20991231-00:00:00"
    client.send("historical_ticks", reqId=9, end=now, count=2, what="TRADES", regularOnly=False, **APPLE)
    ticks = (await client.until("historicalTicksLast"))["ticks"]
    assert [tick["price"] for tick in ticks] == ["202.0", "203.0"]
    client.send("historical_ticks", reqId=10, end=now, count=5000, what="TRADES", **APPLE)
    assert (await client.until("error", id=10))["code"] == "321"


async def test_contracts_are_found_by_whatever_names_them(tws: Rehearsal, connect: Connect) -> None:
    client = await connect()
    option = next(one for one in tws.catalogue.by_id.values() if one.sec_type == "OPT" and one.right == "C")
    ways: list[dict[str, Any]] = [
        {"conId": option.con_id},
        {"localSymbol": option.local_symbol, "secType": "OPT"},
        {"symbol": "AAPL", "secType": "OPT", "expiry": option.expiry, "strike": option.strike, "right": "CALL"},
    ]
    for request, way in enumerate(ways, start=20):
        client.send("contract_details", v=8, reqId=request, **way)
        await client.until("contractDetailsEnd", reqId=request)
        found = await client.all("contractDetails", reqId=request)
        assert [told["conId"] for told in found] == [str(option.con_id)]
    client.send("contract_details", v=8, reqId=30, symbol="ES", secType="FUT", exchange="GLOBEX")
    await client.until("contractDetailsEnd", reqId=30)
    assert len(await client.all("contractDetails", reqId=30)) == 2
    client.send("option_parameters", reqId=31, symbol="AAPL", secType="STK", conId=265598)
    told = await client.until("optionParameters", reqId=31)
    assert [strike["strike"] for strike in told["strikes"]] == ["200", "210"]
    await client.until("optionParametersEnd", reqId=31)


def test_merged_bars_span_what_they_are_made_of() -> None:
    def bar(minute: int, low: int, high: int) -> Candle:
        return Candle(
            open_ms=minute * 60_000,
            open=Decimal(low),
            high=Decimal(high),
            low=Decimal(low),
            close=Decimal(high),
            volume=Decimal(2),
        )

    merged = merge([bar(0, 5, 7), bar(1, 4, 6), bar(2, 6, 9)], 120_000)
    assert [(one.open, one.high, one.low, one.close, one.volume) for one in merged] == [
        (5, 7, 4, 6, 4),
        (6, 9, 6, 9, 2),
    ]
