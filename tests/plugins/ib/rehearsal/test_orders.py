"""The rehearsal TWS keeps TWS's rules about orders."""

from __future__ import annotations

from decimal import Decimal

import httpx
import pytest
from copydesk_ib.rehearsal import Rehearsal
from copydesk_ib.rehearsal.times import stamp
from copydesk_paper.exchange import MarketDepth, MarketTrade
from copydesk_paper.serving.running import now_ms

from .conftest import CHILD, PARENT, Connect, Launch, Told, WireClient


def trade(tws: Rehearsal, price: str, symbol: str = "AAPL", quantity: str = "1000") -> None:
    """Somebody trades through everything up to that price."""
    listing, wanted = tws.catalogue.named(symbol), Decimal(price)
    assert listing is not None
    below = wanted < tws.exchange.last_price(listing.name)
    tws.exchange.apply(MarketTrade(symbol=listing.name, price=wanted, quantity=Decimal(quantity), buyer_is_maker=below))


PRICE = {"conjunction": "a", "isMore": "1", "exchange": "SMART", "method": "0"}


async def statuses(client: WireClient, order_id: int) -> list[str]:
    """The states that an order was told to be in, repetitions left out."""
    told = [one["status"] for one in await client.all("orderStatus", orderId=order_id)]
    return [status for number, status in enumerate(told) if not number or told[number - 1] != status]


async def errors(client: WireClient) -> list[tuple[int, int]]:
    return [(int(told["id"]), int(told["code"])) for told in await client.all("error")]


# --- placing, changing, cancelling ------------------------------------------------------------------------------


async def test_a_market_order_is_told_as_tws_tells_it(connect: Connect) -> None:
    client = await connect()
    number = client.place(totalQuantity="100", orderRef="hello")
    await client.until("commissionReport")
    told = await client.settled()
    names = [name for name, fields in told if name != "currentTime"]
    assert names == ["openOrder", "orderStatus", "execDetails", "openOrder", "orderStatus", "openOrder", "commissionReport"]
    execution = next(fields for name, fields in told if name == "execDetails")
    assert (execution["side"], execution["shares"], execution["orderRef"]) == ("BOT", "100", "hello")
    assert (execution["reqId"], execution["orderId"], execution["account"]) == ("-1", str(number), PARENT)
    assert await statuses(client, number) == ["PreSubmitted", "Filled"]


async def test_a_limit_order_is_changed_and_cancelled(connect: Connect) -> None:
    client = await connect()
    number = client.place(orderType="LMT", lmtPrice="190")
    await client.until("orderStatus", orderId=number, status="Submitted")
    client.place(order_id=number, orderType="LMT", lmtPrice="191.5", totalQuantity="20")
    changed = await client.until("openOrder", orderId=number, lmtPrice="191.5")
    assert (changed["totalQuantity"], changed["status"]) == ("20", "Submitted")
    client.send("cancel_order", orderId=number)
    await client.until("error", id=number, code=202)
    assert await statuses(client, number) == ["PreSubmitted", "Submitted", "Cancelled"]
    permanent = {told["permId"] for told in await client.all("openOrder")}
    assert len(permanent) == 1


async def test_a_partly_filled_order_keeps_what_it_has_when_it_is_changed(tws: Rehearsal, connect: Connect) -> None:
    client = await connect()
    number = client.place(orderType="LMT", lmtPrice="190")
    await client.until("orderStatus", status="Submitted")
    trade(tws, "190", quantity="4")
    told = await client.until("orderStatus", filled=4)
    assert (told["remaining"], told["status"]) == ("6", "Submitted")
    client.place(order_id=number, orderType="LMT", lmtPrice="189", totalQuantity="12")
    told = await client.until("orderStatus", remaining=8)
    assert told["filled"] == "4"


@pytest.mark.parametrize(
    ("wanted", "code"),
    [
        ({"account": ""}, 321),
        ({"account": "DU9"}, 321),
        ({"symbol": "NOPE"}, 200),
        ({"symbol": "ES", "secType": "FUT", "exchange": "CME"}, 200),
        ({"exchange": ""}, 321),
        ({"orderType": "REL"}, 387),
        ({"orderType": "LMT", "lmtPrice": "190.001"}, 110),
        ({"orderType": "LMT"}, 107),
        ({"orderType": "STP"}, 107),
        ({"totalQuantity": "0"}, 434),
        ({"totalQuantity": "0.00001"}, 388),
        ({"tif": "SOON"}, 10052),
        ({"orderType": "MOC", "tif": "GTC"}, 113),
        ({"orderType": "STP", "auxPrice": "190", "tif": "IOC"}, 111),
        ({"parentId": "77"}, 10006),
        ({"totalQuantity": "many"}, 320),
        ({"totalQuantity": "50000"}, 201),
        ({"faGroup": "all"}, 321),
        ({"algoStrategy": "Guess", "algoParams": []}, 439),
        ({"algoStrategy": "Vwap", "algoParams": [{"tag": "maxPctVol", "value": "0.9"}]}, 441),
        ({"algoStrategy": "Twap", "algoParams": [{"tag": "startTime", "value": "noon"}]}, 441),
        ({"algoStrategy": "Adaptive", "orderType": "STP", "auxPrice": "210", "algoParams": []}, 442),
        ({"algoStrategy": "Adaptive", "algoParams": [{"tag": "pctVol", "value": "0.1"}]}, 443),
        ({"hedgeType": "D", "hedgeParam": ""}, 321),
        ({"adjustedOrderType": "STP"}, 321),
        ({"conditions": [{"kind": "4", "conjunction": "a", "isMore": "1", "percent": "30"}]}, 321),
        ({"conditions": [{"kind": "3", "conjunction": "a", "isMore": "1", "time": "soon"}]}, 321),
        ({"conditions": [{"kind": "1", **PRICE, "conId": "1", "price": "1"}]}, 321),
        ({"conditions": [{"kind": "1", **PRICE, "conId": "265598", "price": "1"}], "conditionsCancelOrder": "1"}, 321),
    ],
)
async def test_what_it_does_not_take_is_refused_with_its_code(connect: Connect, wanted: Told, code: int) -> None:
    client = await connect()
    told = {"symbol": "AAPL", **wanted}
    number = client.place(**told)
    assert (await client.until("error", id=number))["code"] == str(code)
    client.forget()
    client.send("all_open_orders")
    await client.until("openOrderEnd")
    assert not [told for told in await client.all("openOrder") if told["status"] != "Inactive"]


async def test_order_ids_grow(connect: Connect) -> None:
    client, other = await connect(1), await connect(2)
    client.place(order_id=5, orderType="LMT", lmtPrice="190")
    client.place(order_id=4, orderType="LMT", lmtPrice="190")
    client.place(order_id=0, orderType="LMT", lmtPrice="190", orderId="0")
    assert await errors(client) == [(4, 103), (0, 10149)]
    other.place(order_id=5, orderType="LMT", lmtPrice="190")
    assert await errors(other) == []
    client.send("ids", count=1)
    assert (await client.until("nextValidId"))["id"] == "6"


async def test_what_is_over_cannot_be_changed_or_cancelled(connect: Connect) -> None:
    client = await connect()
    filled = client.place()
    await client.until("orderStatus", status="Filled")
    client.place(order_id=filled, totalQuantity="20")
    client.send("cancel_order", orderId=filled)
    client.send("cancel_order", orderId=99)
    resting = client.place(orderType="LMT", lmtPrice="190")
    client.place(order_id=resting, orderType="LMT", lmtPrice="190", action="SELL")
    assert await errors(client) == [(filled, 104), (filled, 10148), (99, 10147), (resting, 105)]


async def test_ioc_and_fok_end_without_a_fill(connect: Connect) -> None:
    client = await connect()
    for tif in ("IOC", "FOK"):
        number = client.place(orderType="LMT", lmtPrice="150", tif=tif)
        await client.until("error", id=number, code=202)
        assert (await statuses(client, number))[-1] == "Cancelled"


async def test_a_preset_message_kills_nothing(launch: Launch, connect: Connect) -> None:
    tws = await launch(preset_messages="true")
    client = await connect(to=tws)
    number = client.place(orderType="LMT", lmtPrice="190", tif="")
    await client.until("error", id=number, code=10349)
    assert (await statuses(client, number))[-1] == "Submitted"


# --- algorithms, and orders that wait for something else ----------------------------------------------------------


async def test_an_algorithm_is_kept_with_its_attributes(connect: Connect) -> None:
    client = await connect()
    params = [{"tag": "maxPctVol", "value": "0.2"}, {"tag": "noTakeLiq", "value": "1"}]
    number = client.place(orderType="LMT", lmtPrice="190", algoStrategy="Vwap", algoParams=params)
    told = await client.until("openOrder", orderId=number, status="Submitted")
    assert (told["algoStrategy"], told["algoParams"]) == ("Vwap", params)


def when(symbol_id: int, price: str, *, more: bool = True, joined: bool = True) -> Told:
    return {
        **PRICE,
        "kind": "1",
        "conId": str(symbol_id),
        "price": price,
        "isMore": "1" if more else "0",
        "conjunction": "a" if joined else "o",
    }


async def test_an_order_waits_for_the_price_of_another_contract(tws: Rehearsal, connect: Connect) -> None:
    client = await connect()
    other = tws.catalogue.named("MSFT")
    assert other is not None
    level = str(tws.exchange.last_price(other.name) + 10)
    conditions = [when(other.con_id, level)]
    number = client.place(conditions=conditions, conditionsIgnoreRth="0", conditionsCancelOrder="0")
    told = await client.until("openOrder", orderId=number)
    assert (told["conditions"], told["status"]) == (conditions, "PreSubmitted")
    trade(tws, "210")
    assert await statuses(client, number) == ["PreSubmitted"]
    trade(tws, level, "MSFT")
    await client.until("orderStatus", orderId=number, status="Filled")


@pytest.mark.parametrize(
    ("joined", "prices"),
    [(True, ("220", "180", "199")), (False, ("205", "206", "211")), (False, ("205", "204", "189"))],
    ids=["both", "either-the-first", "either-the-second"],
)
async def test_conditions_are_joined(tws: Rehearsal, connect: Connect, joined: bool, prices: tuple[str, str, str]) -> None:
    """Both together are met between 195 and 200, either of two above 210 or below 190."""
    client = await connect()
    apple = tws.catalogue.named("AAPL")
    assert apple is not None
    first, second = ("195", "200") if joined else ("210", "190")
    trade(tws, "205")
    conditions = [when(apple.con_id, first, joined=joined), when(apple.con_id, second, more=False)]
    number = client.place(
        orderType="LMT", lmtPrice="150", conditions=conditions, conditionsIgnoreRth="0", conditionsCancelOrder="0"
    )
    for price in prices[:2]:
        trade(tws, price)
        assert await statuses(client, number) == ["PreSubmitted"]
    trade(tws, prices[2])
    await client.until("orderStatus", orderId=number, status="Submitted")
    trade(tws, "205")
    assert (await statuses(client, number))[-1] == "Submitted", "once is enough"


async def test_an_order_waits_for_its_time(connect: Connect) -> None:
    client = await connect()
    late, soon = ([{"kind": "3", "conjunction": "a", "isMore": "1", "time": at}] for at in ("20990101 00:00:00", stamp(1)))
    waits, goes = (client.place(conditions=one, conditionsIgnoreRth="0", conditionsCancelOrder="0") for one in (late, soon))
    await client.until("orderStatus", orderId=goes, status="Filled")
    assert await statuses(client, waits) == ["PreSubmitted"]


# --- orders that wait for a price -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("told", "away", "met"),
    [
        ({"orderType": "STP", "action": "SELL", "auxPrice": "195"}, "195.01", "195"),
        ({"orderType": "STP", "auxPrice": "210"}, "209.99", "210"),
        ({"orderType": "STP LMT", "auxPrice": "210", "lmtPrice": "230"}, "209.99", "210"),
        ({"orderType": "MIT", "auxPrice": "195"}, "195.01", "195"),
        ({"orderType": "LIT", "action": "SELL", "auxPrice": "210", "lmtPrice": "180"}, "209.99", "210"),
        ({"orderType": "TRAIL", "action": "SELL", "auxPrice": "5"}, "197", "196.9"),
        ({"orderType": "TRAIL", "action": "SELL", "trailingPercent": "1"}, "200", "199.9"),
        (
            {"orderType": "TRAIL LIMIT", "auxPrice": "5", "trailStopPrice": "207", "lmtPriceOffset": "20"},
            "206.9",
            "207",
        ),
    ],
)
async def test_it_waits_for_its_price(tws: Rehearsal, connect: Connect, told: Told, away: str, met: str) -> None:
    client = await connect()
    number = client.place(**told)
    assert await statuses(client, number) == ["PreSubmitted"]
    trade(tws, away)
    assert await statuses(client, number) == ["PreSubmitted"]
    trade(tws, met)
    await client.until("orderStatus", orderId=number, status="Filled")


async def test_a_trailing_stop_follows_the_price_and_says_so(tws: Rehearsal, connect: Connect) -> None:
    client = await connect()
    number = client.place(orderType="TRAIL", action="SELL", auxPrice="5")
    assert (await client.until("openOrder", orderId=number))["trailStopPrice"]
    trade(tws, "220")
    told = await client.until("openOrder", orderId=number, trailStopPrice="215.0")
    assert told["trailStop"] == "215.0"
    trade(tws, "215")
    await client.until("orderStatus", orderId=number, status="Filled")


async def test_a_stop_whose_price_is_met_goes_at_once(connect: Connect) -> None:
    client = await connect()
    number = client.place(orderType="STP", action="SELL", auxPrice="260")
    await client.until("orderStatus", orderId=number, status="Filled")


async def test_a_stop_limit_rests_where_its_limit_is_not_met(tws: Rehearsal, connect: Connect) -> None:
    client = await connect()
    number = client.place(orderType="STP LMT", auxPrice="203", lmtPrice="195")
    trade(tws, "204")
    await client.until("orderStatus", orderId=number, status="Submitted")
    client.place(order_id=number, orderType="STP LMT", auxPrice="203", lmtPrice="196")
    assert (await client.until("openOrder", lmtPrice="196.0"))["status"] == "Submitted"


async def test_orders_for_the_close_wait_for_it_and_day_orders_end(connect: Connect, control: httpx.AsyncClient) -> None:
    client = await connect()
    market, limit, day = (
        client.place(orderType="MOC"),
        client.place(orderType="LOC", lmtPrice="260"),
        client.place(orderType="LMT", lmtPrice="150"),
    )
    lasting = client.place(orderType="LMT", lmtPrice="151", tif="GTC")
    assert await statuses(client, market) == ["PreSubmitted"]
    (await control.post("/close-day")).raise_for_status()
    ends = [(await statuses(client, number))[-1] for number in (market, limit, day, lasting)]
    assert ends == ["Filled", "Filled", "Cancelled", "Submitted"]


async def test_outside_regular_hours_only_those_trade_that_say_so(connect: Connect, control: httpx.AsyncClient) -> None:
    client = await connect()
    (await control.post("/hours", json={"hours": "extended"})).raise_for_status()
    patient = client.place(orderType="LMT", lmtPrice="260")
    eager = client.place(orderType="LMT", lmtPrice="260", outsideRth=True)
    await client.until("error", id=patient, code=399)
    await client.until("orderStatus", orderId=eager, status="Filled")
    assert await statuses(client, patient) == ["PreSubmitted"]
    (await control.post("/hours", json={"hours": "regular"})).raise_for_status()
    await client.until("orderStatus", orderId=patient, status="Filled")


# --- families ---------------------------------------------------------------------------------------------------


async def bracket(client: WireClient, **parent: str) -> tuple[int, int, int]:
    entry = client.place(**({"transmit": False, "orderType": "LMT", "lmtPrice": "190"} | parent))
    goal = client.place(action="SELL", orderType="LMT", lmtPrice="210", parentId=entry, transmit=False, tif="GTC")
    assert not await client.all("openOrder"), "what is not transmitted is not told"
    stop = client.place(action="SELL", orderType="STP", auxPrice="180", parentId=entry, tif="GTC")
    return entry, goal, stop


async def test_a_bracket_waits_for_its_last_order_then_for_its_entry(tws: Rehearsal, connect: Connect) -> None:
    client = await connect()
    entry, goal, stop = await bracket(client)
    await client.until("orderStatus", orderId=entry, status="Submitted")
    held = await client.until("orderStatus", orderId=goal)
    assert (held["status"], held["whyHeld"], held["parentId"]) == ("PreSubmitted", "child", str(entry))
    families = {told["ocaGroup"] for told in await client.all("openOrder") if told["orderId"] != str(entry)}
    permanent = (await client.until("openOrder", orderId=entry))["permId"]
    assert families == {permanent}
    trade(tws, "189")
    await client.until("orderStatus", orderId=entry, status="Filled")
    await client.until("orderStatus", orderId=goal, status="Submitted")
    assert await statuses(client, stop) == ["PreSubmitted"]
    trade(tws, "211")
    await client.until("orderStatus", orderId=goal, status="Filled")
    await client.until("orderStatus", orderId=stop, status="Cancelled")


async def test_children_end_with_their_parent(connect: Connect) -> None:
    client = await connect()
    entry, goal, stop = await bracket(client)
    client.send("cancel_order", orderId=entry)
    for number in (entry, goal, stop):
        await client.until("orderStatus", orderId=number, status="Cancelled")


@pytest.mark.parametrize(("kind", "left"), [(1, None), (2, "6"), (3, "6")])
async def test_one_cancels_all(tws: Rehearsal, connect: Connect, kind: int, left: str | None) -> None:
    """Type 1 ends the others with the first fill, types 2 and 3 make them smaller until one is filled."""
    client = await connect()
    client.place(orderType="LMT", lmtPrice="190", ocaGroup="both", ocaType=kind)
    second = client.place(orderType="LMT", lmtPrice="185", ocaGroup="both", ocaType=kind)
    await client.until("orderStatus", orderId=second, status="Submitted")
    trade(tws, "190", quantity="4")
    if left is None:
        await client.until("orderStatus", orderId=second, status="Cancelled")
        return
    assert (await client.until("orderStatus", orderId=second, remaining=left))["status"] == "Submitted"
    trade(tws, "189", quantity="6")
    await client.until("orderStatus", orderId=second, status="Cancelled")


# --- who sees what ----------------------------------------------------------------------------------------------


async def test_a_client_sees_its_own_and_the_master_sees_all(connect: Connect, control: httpx.AsyncClient) -> None:
    mine, other, master = await connect(1), await connect(2), await connect(7)
    number = mine.place(orderType="LMT", lmtPrice="190")
    made = (await control.post("/orders", json={"account": "parent", "symbol": "AAPL", "quantity": "3"})).json()
    assert (made["order_id"], made["status"]) == (0, "Filled")
    assert {told["orderId"] for told in await mine.all("openOrder")} == {str(number)}
    assert not await other.all("openOrder")
    assert {told["clientId"] for told in await master.all("openOrder")} == {"0", "1"}
    execution = (await master.all("execDetails"))[0]
    assert (execution["orderId"], execution["clientId"]) == ("2147483647", "0")


async def test_only_its_client_can_cancel_an_order(connect: Connect) -> None:
    mine, master = await connect(1), await connect(7)
    number = mine.place(orderType="LMT", lmtPrice="190")
    await master.until("openOrder", orderId=number)
    master.send("cancel_order", orderId=number)
    assert await errors(master) == [(number, 10147)]
    master.place(order_id=number, orderType="LMT", lmtPrice="190")
    assert (await errors(master))[-1] == (number, 103), "its own ids must be above all that it saw"


async def test_all_open_orders_shows_everybodys_once(connect: Connect, control: httpx.AsyncClient) -> None:
    mine, other = await connect(1), await connect(2)
    mine.place(orderType="LMT", lmtPrice="190", account=CHILD)
    limit = {"account": "parent", "symbol": "AAPL", "type": "LMT", "limit": "180"}
    (await control.post("/orders", json=limit)).raise_for_status()
    await mine.settled()
    other.send("open_orders")
    await other.until("openOrderEnd")
    assert not await other.all("openOrder")
    other.send("all_open_orders")
    told = await other.all("openOrder")
    assert sorted((one["clientId"], one["account"]) for one in told) == [("0", PARENT), ("1", CHILD)]


async def test_client_0_binds_what_was_made_by_hand(connect: Connect, control: httpx.AsyncClient) -> None:
    zero = await connect(0)
    limit = {"account": "parent", "symbol": "AAPL", "type": "LMT", "limit": "180"}
    made = (await control.post("/orders", json=limit)).json()
    assert (await zero.until("openOrder"))["orderId"] == "0"
    zero.send("cancel_order", orderId=0)
    assert await errors(zero) == [(0, 10147)]
    zero.send("open_orders")
    bound = await zero.until("orderBound")
    assert (bound["permId"], bound["orderId"]) == (str(made["perm_id"]), "-1")
    zero.send("auto_open_orders", bind=True)
    await zero.settled()
    second = (await control.post("/orders", json=limit)).json()
    assert second["order_id"] == -2
    zero.send("cancel_order", orderId=-1)
    await zero.until("orderStatus", orderId=-1, status="Cancelled")


async def test_only_client_0_can_bind(connect: Connect) -> None:
    client = await connect(3)
    client.send("auto_open_orders", bind=True)
    assert await errors(client) == [(-1, 327)]


async def test_another_client_trades_changes_and_cancels(connect: Connect, control: httpx.AsyncClient) -> None:
    master = await connect(7)
    order = {"account": "parent", "symbol": "ESZ6", "type": "LMT", "limit": "5000", "client_id": 23, "order_ref": "bot"}
    order["symbol"] = next(name for name in (await control.get("/state")).json()["prices"] if name.startswith("ES"))
    made = (await control.post("/orders", json=order)).json()
    told = await master.until("openOrder", permId=made["perm_id"])
    assert (told["clientId"], told["orderId"], told["orderRef"], told["multiplier"]) == ("23", "1", "bot", "50")
    changed = await control.post(f"/orders/{made['perm_id']}", json={"limit": "5000.25", "quantity": "2"})
    assert changed.status_code == 200
    assert (await master.until("openOrder", lmtPrice="5000.25"))["totalQuantity"] == "2"
    (await control.delete(f"/orders/{made['perm_id']}")).raise_for_status()
    await master.until("orderStatus", status="Cancelled")
    refused = await control.delete(f"/orders/{made['perm_id']}")
    assert (refused.status_code, refused.json()["error"][:6]) == (422, "10148:")


# --- what is over -----------------------------------------------------------------------------------------------


async def test_completed_orders_and_executions_are_found_again(connect: Connect, control: httpx.AsyncClient) -> None:
    client = await connect(1)
    client.place(orderRef="first")
    cancelled = client.place(orderType="LMT", lmtPrice="150", orderRef="second")
    client.send("cancel_order", orderId=cancelled)
    hand = {"account": "child", "symbol": "MSFT", "quantity": "2", "action": "SELL"}
    (await control.post("/orders", json=hand)).raise_for_status()
    await client.until("error", code=202)
    client.forget()
    client.send("completed_orders", apiOnly=False)
    await client.until("completedOrdersEnd")
    told = await client.all("completedOrder")
    assert [(one["orderRef"], one["status"], one["completedStatus"]) for one in told] == [
        ("first", "Filled", "Filled Size: 10"),
        ("second", "Cancelled", "Cancelled by Trader"),
        ("", "Filled", "Filled Size: 2"),
    ]
    client.send("executions", v=3, reqId=9, side="SELL")
    await client.until("execDetailsEnd", reqId=9)
    found = await client.all("execDetails")
    assert [(one["reqId"], one["symbol"], one["account"], one["side"]) for one in found] == [("9", "MSFT", CHILD, "SLD")]


async def test_the_global_cancel_takes_everybodys(connect: Connect, control: httpx.AsyncClient) -> None:
    client, other = await connect(1), await connect(2)
    client.place(orderType="LMT", lmtPrice="150")
    limit = {"account": "child", "symbol": "AAPL", "type": "LMT", "limit": "180"}
    (await control.post("/orders", json=limit)).raise_for_status()
    await client.settled()
    other.send("global_cancel")
    await client.until("orderStatus", status="Cancelled")
    other.send("all_open_orders")
    await other.until("openOrderEnd")
    assert not await other.all("openOrder")


# --- contracts --------------------------------------------------------------------------------------------------


async def test_fractions_multipliers_and_pairs(tws: Rehearsal, connect: Connect) -> None:
    client = await connect()
    es = next(listing for listing in tws.catalogue.by_id.values() if listing.symbol == "ES")
    client.place(totalQuantity="0.5")
    client.place("ES", secType="FUT", exchange="CME", expiry=es.expiry[:6], totalQuantity="2", account=CHILD)
    client.place("EUR", secType="CASH", exchange="IDEALPRO", totalQuantity="20000", orderType="LMT", lmtPrice="1.08605")
    await client.until("execDetails", symbol="EUR")
    client.send("positions")
    await client.until("positionEnd")
    held = {one["symbol"]: one for one in await client.all("position")}
    assert held["AAPL"]["position"] == "0.5"
    assert (held["EUR"]["position"], held["EUR"]["exchange"]) == ("20000", "IDEALPRO")
    assert (held["ES"]["position"], held["ES"]["multiplier"], held["ES"]["account"]) == ("2", "50", CHILD)
    assert Decimal(held["ES"]["averageCost"]) == 50 * Decimal((await client.all("execDetails", symbol="ES"))[0]["price"])
    fees = [Decimal(one["commission"]) for one in await client.all("commissionReport")]
    assert fees[1:] == [Decimal("4.5"), Decimal(2)]
    assert 0 < fees[0] < 2


async def test_a_combination_trades_its_legs(tws: Rehearsal, connect: Connect) -> None:
    client = await connect()
    near, far = (listing for listing in tws.catalogue.by_id.values() if listing.symbol == "ES")
    legs = [
        {"conId": near.con_id, "ratio": 1, "action": "BUY", "exchange": "CME"},
        {"conId": far.con_id, "ratio": 1, "action": "SELL", "exchange": "CME"},
    ]
    combo = {"secType": "BAG", "exchange": "CME", "comboLegs": legs, "orderType": "LMT", "account": CHILD}
    number = client.place("ES", totalQuantity="1", lmtPrice="-500", **combo)
    await client.until("orderStatus", orderId=number, status="Submitted")
    client.place("ES", order_id=number, totalQuantity="1", lmtPrice="-50", **combo)
    await client.until("orderStatus", orderId=number, status="Filled")
    executions = await client.all("execDetails")
    assert sorted((one["secType"], one["side"], one["shares"]) for one in executions) == [
        ("BAG", "BOT", "1"),
        ("FUT", "BOT", "1"),
        ("FUT", "SLD", "1"),
    ]
    prices = {one["localSymbol"]: Decimal(one["price"]) for one in executions}
    whole = next(one for one in executions if one["secType"] == "BAG")
    assert Decimal(whole["price"]) == prices[near.local_symbol] - prices[far.local_symbol]
    assert {position.symbol: position.quantity for position in tws.exchange.positions("child")} == {
        near.name: 1,
        far.name: -1,
    }


async def test_a_what_if_order_shows_its_margin_and_is_forgotten(connect: Connect) -> None:
    client = await connect()
    client.place(totalQuantity="100", whatIf=True)
    told = await client.until("openOrder", whatIf=1)
    assert Decimal(told["initMarginChange"]) > 4000
    assert Decimal(told["initMarginAfter"]) == Decimal(told["initMarginBefore"]) + Decimal(told["initMarginChange"])
    client.send("all_open_orders")
    await client.until("openOrderEnd")
    assert len(await client.all("openOrder")) == 1


# --- time, liquidation, races -----------------------------------------------------------------------------------


def at(seconds: int) -> str:
    return stamp(now_ms() + seconds * 1000)


async def test_an_order_waits_until_its_time_and_ends_with_it(tws: Rehearsal, connect: Connect) -> None:
    client = await connect()
    later = client.place(orderType="LMT", lmtPrice="190", goodAfterTime=at(1000))
    over = client.place(orderType="LMT", lmtPrice="190", tif="GTD", goodTillDate=at(-1))
    lasting = client.place(orderType="LMT", lmtPrice="190", tif="GTD", goodTillDate=at(1000))
    await client.settled()
    tws.desk.tick()
    assert await statuses(client, later) == ["PreSubmitted"]
    assert (await statuses(client, over))[-1] == "Cancelled"
    assert (await statuses(client, lasting))[-1] == "Submitted"
    client.place(order_id=later, orderType="LMT", lmtPrice="190", goodAfterTime=at(-1))
    await client.until("orderStatus", orderId=later, status="Submitted")


async def test_a_refused_order_leaves_its_id_free(connect: Connect) -> None:
    client = await connect()
    number = client.place(orderType="LMT", lmtPrice="190.001")
    await client.until("error", id=number, code=110)
    client.place(order_id=number, orderType="LMT", lmtPrice="190")
    await client.until("orderStatus", orderId=number, status="Submitted")


async def test_an_execution_is_put_right(tws: Rehearsal, connect: Connect, control: httpx.AsyncClient) -> None:
    client = await connect()
    number = client.place(totalQuantity="10")
    first = await client.until("execDetails")
    await client.until("commissionReport")
    equity = tws.exchange.balance("parent").equity
    price = Decimal(first["price"]) - 1
    answer = await control.post("/corrections", json={"exec_id": first["execId"], "price": str(price)})
    assert answer.json()["exec_id"] == first["execId"][:-2] + "02"
    told = await client.until("execDetails", execId=answer.json()["exec_id"])
    assert (Decimal(told["price"]), told["shares"], told["cumQty"]) == (price, "10", "10")
    assert Decimal((await client.all("orderStatus", orderId=number))[-1]["averagePrice"]) == price
    assert tws.exchange.balance("parent").equity == equity + 10
    refused = await control.post("/corrections", json={"exec_id": "0.0.01.01", "price": "1"})
    assert refused.status_code == 422


async def test_a_liquidation_is_told_as_one(tws: Rehearsal, connect: Connect, control: httpx.AsyncClient) -> None:
    """IB closes what an account cannot carry: the order was nobody's, the execution says what it was."""
    master = await connect(7)
    es = next(listing for listing in tws.catalogue.by_id.values() if listing.symbol == "ES")
    master.place("ES", secType="FUT", exchange="CME", expiry=es.expiry[:6], totalQuantity="2", account=CHILD)
    await master.until("execDetails", liquidation=0)
    trade(tws, "5000", es.local_symbol)
    tws.exchange.apply(
        MarketDepth(
            symbol=es.name, bids=((Decimal(5000), Decimal(50)),), asks=((Decimal(5001), Decimal(50)),), snapshot=True
        )
    )
    told = await master.until("execDetails", liquidation=1)
    assert (told["side"], told["shares"], told["orderId"], told["account"]) == ("SLD", "2", "2147483647", CHILD)
    assert not tws.exchange.positions("child")


async def test_a_brother_that_was_filled_meanwhile_is_not_cancelled(tws: Rehearsal, connect: Connect) -> None:
    """Both of a group trigger with one price: what was filled stays filled, and every execution is told."""
    client = await connect()
    numbers = [
        client.place(orderType="STP", action="SELL", auxPrice=price, ocaGroup="both", ocaType=1) for price in ("195", "194")
    ]
    await client.until("orderStatus", orderId=numbers[1])
    trade(tws, "193")
    ends = [(await statuses(client, number))[-1] for number in numbers]
    executions = await client.all("execDetails")
    assert ends.count("Filled") == len(executions) >= 1
    assert set(ends) <= {"Filled", "Cancelled"}
    held = sum(Decimal(told["shares"]) for told in executions)
    assert tws.exchange.positions("parent")[0].quantity == -held


async def test_a_trailing_limit_keeps_its_limit_as_far_from_its_stop(tws: Rehearsal, connect: Connect) -> None:
    client = await connect()
    number = client.place(orderType="TRAIL LIMIT", action="SELL", auxPrice="5", trailStopPrice="195", lmtPrice="194")
    told = await client.until("openOrder", orderId=number)
    assert (told["lmtPrice"], told["lmtPriceOffset"]) == ("194.0", "1.0")
    trade(tws, "220")
    assert (await client.until("openOrder", trailStopPrice="215.0"))["lmtPrice"] == "214.0"
    trade(tws, "215")
    assert (await client.until("orderStatus", orderId=number, status="Submitted"))["filled"] == "0"


async def test_when_the_day_is_over_orders_are_taken_back(
    tws: Rehearsal, connect: Connect, control: httpx.AsyncClient
) -> None:
    client = await connect()
    resting = client.place(orderType="LMT", lmtPrice="190", tif="GTC")
    stop = client.place(orderType="STP", action="SELL", auxPrice="180", tif="GTC")
    await client.until("orderStatus", orderId=resting, status="Submitted")
    await client.until("orderStatus", orderId=stop)
    (await control.post("/hours", json={"hours": "closed"})).raise_for_status()
    await client.until("orderStatus", orderId=resting, status="PreSubmitted")
    trade(tws, "170")
    assert not await client.all("execDetails")
    (await control.post("/hours", json={"hours": "regular"})).raise_for_status()
    await client.until("execDetails", orderId=stop)


async def test_so_many_orders_on_one_side_and_no_more(launch: Launch, connect: Connect) -> None:
    tws = await launch(messages_per_second="1000")
    client = await connect(to=tws)
    numbers = [client.place(orderType="LMT", lmtPrice="190") for _ in range(21)]
    assert (await client.until("error", id=numbers[-1]))["code"] == "201"
    other_side = client.place(orderType="LMT", lmtPrice="230", action="SELL")
    await client.until("orderStatus", orderId=other_side, status="Submitted")
    assert (await statuses(client, numbers[-2]))[-1] == "Submitted"


async def test_a_read_only_tws_takes_no_orders(launch: Launch, connect: Connect) -> None:
    tws = await launch(read_only="true")
    client = await connect(to=tws)
    told = await client.until("error", id=client.place())
    assert (told["code"], "Read-Only" in told["text"]) == ("321", True)
    client.send("all_open_orders")
    await client.until("openOrderEnd")


async def test_a_combination_by_hand(tws: Rehearsal, connect: Connect, control: httpx.AsyncClient) -> None:
    master = await connect(7)
    names = [listing.name for listing in tws.catalogue.by_id.values() if listing.symbol == "ES"]
    order = {"account": "parent", "legs": [[names[0], 1, "BUY"], [names[1], 1, "SELL"]], "type": "LMT", "limit": "-500"}
    made = (await control.post("/orders", json=order)).json()
    told = await master.until("openOrder", secType="BAG")
    assert (told["orderId"], [leg["action"] for leg in told["comboLegs"]]) == ("0", ["BUY", "SELL"])
    state = (await control.get("/state")).json()["accounts"]["parent"]
    assert [one["perm_id"] for one in state["combinations"]] == [made["perm_id"]]
    (await control.post(f"/orders/{made['perm_id']}", json={"limit": "-50"})).raise_for_status()
    await master.until("execDetails", secType="BAG")
