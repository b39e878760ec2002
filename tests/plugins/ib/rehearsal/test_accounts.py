"""Accounts at the rehearsal TWS: what they are worth, what they hold, and who is told when that changes."""

from __future__ import annotations

from decimal import Decimal

import httpx
from copydesk_ib.rehearsal import Rehearsal

from .conftest import CHILD, PARENT, Connect


async def buys(control: httpx.AsyncClient, quantity: str = "10", account: str = "parent", symbol: str = "AAPL") -> None:
    order = {"account": account, "symbol": symbol, "quantity": quantity}
    (await control.post("/orders", json=order)).raise_for_status()


async def test_account_values_add_up(tws: Rehearsal, connect: Connect, control: httpx.AsyncClient) -> None:
    client = await connect()
    await buys(control, "100")
    client.send("account_updates", v=2, subscribe=True, account=PARENT)
    await client.until("accountDownloadEnd", account=PARENT)
    values = {told["tag"]: told["value"] for told in await client.all("accountValue")}
    held = (await client.until("portfolioValue"))["marketValue"]
    assert values["StockMarketValue"] == values["GrossPositionValue"] == held
    assert Decimal(values["TotalCashValue"]) + Decimal(held) == Decimal(values["NetLiquidation"])
    assert Decimal(values["NetLiquidation"]) == round(tws.exchange.balance("parent").equity, 2)
    assert abs(Decimal(values["BuyingPower"]) - 4 * Decimal(values["AvailableFunds"])) < Decimal("0.05")
    margin = Decimal(values["InitMarginReq"])
    assert 5000 < margin < 5100, "a quarter of the shares' worth"


async def test_one_account_at_a_time_has_its_updates(connect: Connect, control: httpx.AsyncClient) -> None:
    client = await connect()
    client.send("account_updates", v=2, subscribe=True, account=CHILD)
    await client.until("accountDownloadEnd", account=CHILD)
    client.send("account_updates", v=2, subscribe=True, account=PARENT)
    await client.until("accountDownloadEnd", account=PARENT)
    assert [told["code"] for told in await client.all("error")] == ["2100"]
    client.forget()
    await buys(control, account="child")
    await buys(control, account="parent")
    await client.until("portfolioValue", position="10")
    told = await client.all("accountValue")
    assert {one["account"] for one in told} == {PARENT}
    assert "AccountType" not in {one["tag"] for one in told}, "only what changed is told"
    client.send("account_updates", v=2, subscribe=False, account=PARENT)
    await client.settled()
    client.forget()
    await buys(control)
    assert not await client.all("accountValue")


async def test_several_accounts_at_once(connect: Connect, control: httpx.AsyncClient) -> None:
    client = await connect()
    for request, account in ((1, PARENT), (2, CHILD)):
        client.send("account_updates_multi", reqId=request, account=account)
        client.send("positions_multi", reqId=request + 10, account=account)
        await client.until("positionMultiEnd", reqId=request + 10)
    await client.settled()
    client.forget()
    await buys(control, account="child")
    told = await client.until("positionMulti")
    assert (told["reqId"], told["account"], told["position"]) == ("12", CHILD, "10")
    assert {one["reqId"] for one in await client.all("accountUpdateMulti")} == {"2"}
    client.send("cancel_account_updates_multi", reqId=2)
    client.send("cancel_positions_multi", reqId=12)
    await client.settled()
    client.forget()
    await buys(control, account="child")
    assert not [name for name, _ in await client.settled() if name.endswith("Multi")]


async def test_positions_of_all_accounts_are_told_until_they_are_gone(connect: Connect, control: httpx.AsyncClient) -> None:
    client = await connect()
    client.send("positions")
    await client.until("positionEnd")
    await buys(control, account="child")
    assert (await client.until("position", account=CHILD))["position"] == "10"
    sale = {"account": "child", "symbol": "AAPL", "action": "SELL", "quantity": "10"}
    (await control.post("/orders", json=sale)).raise_for_status()
    gone = await client.until("position", account=CHILD, position="0")
    assert gone["conId"] == "265598"


async def test_summaries_have_the_tags_that_were_asked_for(connect: Connect) -> None:
    client = await connect()
    client.send("account_summary", reqId=4, group="All", tags="NetLiquidation,BuyingPower,Nonsense")
    await client.until("accountSummaryEnd", reqId=4)
    told = [(one["account"], one["tag"]) for one in await client.all("accountSummary")]
    assert told == [(name, tag) for name in (PARENT, CHILD) for tag in ("NetLiquidation", "BuyingPower")]
    client.send("account_summary", reqId=5, group="Mine", tags="NetLiquidation")
    assert (await client.until("error", id=5))["code"] == "321"
    client.send("account_summary", reqId=6, group="All", tags="NetLiquidation")
    client.send("account_summary", reqId=7, group="All", tags="NetLiquidation")
    assert (await client.until("error", id=7))["code"] == "321"


async def test_profit_is_told_and_told_again_when_it_changes(
    tws: Rehearsal, connect: Connect, control: httpx.AsyncClient
) -> None:
    client = await connect()
    await buys(control, "100")
    client.send("pnl", reqId=8, account=PARENT)
    told = await client.until("pnl", reqId=8)
    pool = tws.exchange.pool("parent", "USD")
    assert Decimal(told["unrealized"]) == round(pool.unrealised, 2)
    assert Decimal(told["realized"]) == -1, "the commission"
    client.send("pnl_single", reqId=9, account=PARENT, conId=265598)
    one = await client.until("pnlSingle", reqId=9)
    assert (one["position"], Decimal(one["unrealized"])) == ("100", round(pool.unrealised, 2))
    known = len(await client.all("pnl"))
    await buys(control, "50")
    tws.accounts.tick()
    assert len(await client.all("pnl")) == known + 1
    assert (await client.all("pnlSingle"))[-1]["position"] == "150"


async def test_a_foreign_account_is_refused(connect: Connect) -> None:
    client = await connect()
    for name in ("account_updates_multi", "positions_multi", "pnl"):
        client.send(name, reqId=3, account="DU9")
        assert (await client.until("error", id=3))["code"] == "321"
        client.forget()
