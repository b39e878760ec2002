"""A day of an operator, by the command line and the control API, against the venue's own wire over sockets."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from copydesk.client import AsyncControlClient
from copydesk.errors import Conflict, CopydeskError
from copydesk.model import OrderType, Side, Terms
from copydesk.plans import StartOrder, StopOrder
from copydesk.view import LimitChange
from harness.closed_loop import D
from harness.demos import COMMAND, Ended

pytestmark = [pytest.mark.timeout(90), pytest.mark.xdist_group("operator")]

SYMBOL = "BTCUSDT"
DEADLINE_S = 40.0
Command = Callable[..., Awaitable[Ended]]


@asynccontextmanager
async def process(*words: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`copydesk` with these words, killed at the end if it still runs."""
    pipe = asyncio.subprocess.PIPE
    running = await asyncio.create_subprocess_exec(COMMAND, *words, stdout=pipe, stderr=asyncio.subprocess.DEVNULL)
    try:
        yield running
    finally:
        with suppress(ProcessLookupError):
            running.kill()
        await running.wait()


async def line_of(running: asyncio.subprocess.Process) -> str:
    assert running.stdout is not None
    async with asyncio.timeout(DEADLINE_S):
        return (await running.stdout.readline()).decode()


class Day:
    """The data folder, the engine's API and the venue's own word on what accounts hold."""

    def __init__(self, folder: Path, client: AsyncControlClient, control_url: str, http: aiohttp.ClientSession) -> None:
        self.folder, self.client, self._control, self._http = folder, client, control_url, http

    async def venue(self, account: str) -> tuple[Any, list[str]]:
        """What the venue says that the account holds, and the types of its working orders."""
        async with self._http.get(f"{self._control}/state") as reply:
            state = (await reply.json())["accounts"][account]
        held = sum((D(one["quantity"]) for one in state["positions"] if one["symbol"] == SYMBOL), D(0))
        return held, sorted(order["terms"]["type"] for order in state["open_orders"])

    async def someone_trades(self, price: str, quantity: str) -> None:
        """Somebody sells at that price into what rests there."""
        body = {"symbol": SYMBOL, "price": price, "quantity": quantity, "side": "sell"}
        async with self._http.post(f"{self._control}/trades", json=body) as reply:
            assert reply.status == 200, await reply.text()

    async def parent(self, side: Side, quantity: str, **more: Any) -> None:
        terms = Terms(symbol=SYMBOL, side=side, type=more.pop("type", OrderType.MARKET), quantity=D(quantity), **more)
        await self.client.place("parent", terms)

    async def holds(self, **held: str) -> None:
        for account, quantity in held.items():
            await until(lambda account=account, quantity=quantity: self._is(account, D(quantity)))

    async def _is(self, account: str, quantity: Any) -> bool:
        return bool((await self.venue(account))[0] == quantity)

    async def said(self, text: str) -> bool:
        return any(text in entry.text for entry in await self.client.log())


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not await condition():  # noqa: ASYNC110 - it is another process that changes
            await asyncio.sleep(0.05)


@asynccontextmanager
async def engine(folder: Path, venue: dict[str, Any], http: aiohttp.ClientSession) -> AsyncIterator[tuple[Day, Any]]:
    """The engine that `copydesk run` makes, once all its accounts are connected."""
    async with process("--data", str(folder), "run") as running:
        await line_of(running)
        async with AsyncControlClient.for_folder(folder) as client:

            async def connected() -> bool:
                return all(account.state == "connected" for account in await client.accounts())

            await until(connected)
            yield Day(folder, client, venue["control_url"], http), running


def configure(folder: Path, venue: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    tables = []
    for account in venue["accounts"]:
        options = "\n".join(f"{name} = {json.dumps(value)}" for name, value in account["options"].items())
        tables.append(f'[connections.{account["name"]}]\nkind = "binance-futures"\n{options}\n')
        for field, value in account["secrets"].items():
            monkeypatch.setenv(f"COPYDESK_{account['name'].upper()}_{field.upper()}", value)
    (folder / "copydesk.toml").write_text("\n".join(tables))


async def test_limits_tickets_plans_and_a_kill_over_sockets(
    copydesk: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "data"
    words = ("rehearse", "binance-futures", "--accounts", "parent,child1,child2", "--speed", "0.001", "--json")
    words += ("--option", "weight-per-minute=24000")  # two starts within a minute are the test's own affair
    async with process(*words) as rehearsal, aiohttp.ClientSession() as http:
        venue = json.loads(await line_of(rehearsal))
        configure(folder, venue, monkeypatch)
        child1 = "child1=x0.5,unfilled_entry.action=cancel_after,unfilled_entry.after_s=0.5"
        added = await copydesk(
            "--data", str(folder), "bots", "add", "day", "--parent", "parent", "--child", child1, "--child", "child2=x1"
        )
        assert added.status == 0, added
        async with engine(folder, venue, http) as (day, running):
            await a_start_is_confirmed_by_its_digest(day)
            await a_child_that_may_only_close(day)
            await a_ticket_is_sent(day)
            running.send_signal(signal.SIGKILL)
            await running.wait()
        async with engine(folder, venue, http) as (day, _):
            await the_boot_report_tells(day, copydesk)
            await a_stop_flattens(day, copydesk)
        for check in ("verify", "replay"):
            ended = await copydesk("--data", str(folder), "journal", check, "--json")
            assert ended.status == 0, ended.out


async def a_start_is_confirmed_by_its_digest(day: Day) -> None:
    await day.parent(Side.BUY, "0.02")
    await day.holds(parent="0.02")
    order = StartOrder(policy="copy_now")
    plan = await day.client.plan_start("day", order)
    assert [(send.account, send.terms.quantity) for send in plan.sends] == [("child1", D("0.01")), ("child2", D("0.02"))]
    with pytest.raises(Conflict):
        await day.client.start_bot("day", order)
    with pytest.raises(Conflict):
        await day.client.start_bot("day", StartOrder(policy="copy_now", digest="0" * 16))
    assert (await day.venue("child1"), await day.venue("child2")) == ((0, []), (0, []))
    await day.client.start_bot("day", StartOrder(policy="copy_now", digest=plan.digest))
    await day.holds(child1="0.01", child2="0.02")


async def a_child_that_may_only_close(day: Day) -> None:
    change = LimitChange(state="close_only", reason="news at 14:30", actor="desk")
    assert (await day.client.set_limit("child1", change)).state == "close_only"
    await day.parent(Side.BUY, "0.02")
    await day.holds(child2="0.04", child1="0.01")
    await until(lambda: day.said("child1 is close_only (news at 14:30)"))
    (row,) = [row for row in await day.client.drift() if row.child == "child1"]
    assert (row.difference, row.cause) == (D("0.01"), "capped")
    await day.parent(Side.SELL, "0.04")
    await day.holds(parent="0", child1="0", child2="0")
    await day.client.set_limit("child1", LimitChange(state="all", actor="desk"))


async def a_ticket_is_sent(day: Day) -> None:
    """The parent's order fills and its copy on child1 does not: it is taken away, and a ticket is left."""
    await day.parent(Side.BUY, "0.02", type=OrderType.LIMIT, price=D("59000"))

    async def resting() -> bool:
        return (await day.venue("child1"))[1] == (await day.venue("child2"))[1] == ["limit"]

    await until(resting)
    await day.someone_trades("59000", "0.02")

    async def left() -> bool:
        return bool(await day.client.tickets())

    await until(left)
    (ticket,) = await day.client.tickets()
    assert (ticket.child, ticket.kind, ticket.terms.quantity) == ("child1", "unfilled", D("0.01"))
    assert await day.venue("child1") == (0, [])
    await day.client.send_ticket(ticket.id, "desk")
    await day.holds(child1="0.01")
    with pytest.raises(CopydeskError, match="sent already"):
        await day.client.send_ticket(ticket.id, "desk")
    await day.someone_trades("59000", "0.02")
    await day.holds(child2="0.02")


async def the_boot_report_tells(day: Day, copydesk: Command) -> None:
    async def reported() -> bool:
        return bool((await day.client.boot_report()).bots)

    await until(reported)
    words = await copydesk("--data", str(day.folder), "boot-report")
    assert (words.status, "Resumed: day" in words.out) == (0, True), words
    await day.holds(parent="0.02", child1="0.01", child2="0.02")


async def a_stop_flattens(day: Day, copydesk: Command) -> None:
    stop = ("--data", str(day.folder), "bots", "stop", "day", "--policy", "flatten")
    refused = await copydesk(*stop)
    assert (refused.status, "SELL 0.01 BTCUSDT market" in refused.out, "--yes" in refused.err) == (1, True, True)
    plan = await day.client.plan_stop("day", StopOrder(policy="flatten"))
    assert {send.account for send in plan.sends} == {"child1", "child2"}
    await day.holds(child1="0.01", child2="0.02")
    assert (await copydesk(*stop, "--yes")).status == 0
    await day.holds(child1="0", child2="0", parent="0.02")
    assert (await day.client.bots())[0].working is False
    rows = await day.client.drift()
    assert {row.cause for row in rows if row.difference} <= {"unmanaged"}
