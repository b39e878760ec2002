"""The typed clients against a served desk; a data folder tells them where it is."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from decimal import Decimal

import msgspec
import pytest
from copydesk.client import AsyncControlClient, ControlClient
from copydesk.datafolder import CONTROL_NAME, ControlFile, lock_folder, write_control
from copydesk.errors import Conflict, CopydeskError, NotAllowed, NotReady, RateLimited, UnknownName, UsageError
from copydesk.model import CandleRequest, OrderChange, OrderRef, OrderType, Side, Terms
from copydesk.plans import KillOrder, MissingOrder
from copydesk.view import LimitChange, LogQuery, Ticket

TERMS = Terms(symbol="BTCUSDT", side=Side.SELL, type=OrderType.LIMIT, quantity=Decimal("0.5"), price=Decimal(50_000))

TICKET = Ticket(
    id="t1",
    bot="grid",
    child="real",
    symbol="BTCUSDT",
    position_side="net",
    terms=TERMS,
    kind="stale",
    why="too late",
    created_ns=1,
    expires_ns=2,
)


@pytest.fixture
def folder(tmp_path, running, token):
    with lock_folder(tmp_path):
        write_control(tmp_path, ControlFile(url=running.url, token=token, pid=os.getpid()))
        yield tmp_path


def everything(client: ControlClient, desk, bot) -> None:
    """Each method of the blocking client once."""
    assert client.health().ok
    assert client.view() == desk.view()
    assert client.add_bot(bot) == bot
    assert client.start_bot(bot.name).working
    assert not client.stop_bot(bot.name).working
    assert client.bots() == [bot]
    renamed = bot.model_copy(update={"name": "another name"})
    assert client.change_bot(bot.name, renamed) == renamed
    client.remove_bot("another name")
    assert client.bots() == []
    assert [kind.kind for kind in client.kinds()] == ["paper"]
    assert [account.key for account in client.accounts()] == ["demo/parent", "real"]
    assert client.drift() == []
    limited = client.set_limit("real", LimitChange(state="close_only", reason="news", actor="me"))
    assert (limited.state, client.limits()) == ("close_only", [limited])
    desk.left = {"t1": TICKET, "t2": msgspec.structs.replace(TICKET, id="t2")}
    assert client.tickets() == [*desk.left.values()]
    assert client.send_ticket("t1", "me") == desk.left["t1"]
    assert client.dismiss_ticket("t2").status == "dismissed"
    missing = MissingOrder(child="real", symbol="BTCUSDT")
    digest = client.plan_missing(bot.name, missing).digest
    client.copy_missing(bot.name, msgspec.structs.replace(missing, digest=digest))
    assert client.kill(KillOrder(policy="flatten", confirm="STOP")).policy == "flatten"
    assert "rounding" in {policy.name for policy in client.policies()}
    assert client.connections() == [*desk.connections()]
    client.reconnect("demo")
    with pytest.raises(UnknownName, match="no line 7"):
        client.story(7)
    assert client.instruments("demo/parent")[0].symbol == "BTCUSDT"
    assert len(client.candles("demo/parent", CandleRequest(symbol="BTCUSDT", limit=7))) == 7
    placed = client.place("demo/parent", TERMS)
    assert placed.outcome.order == desk.placed[placed.client_id]
    ref = OrderRef(symbol="BTCUSDT", type=OrderType.LIMIT, client_id=placed.client_id)
    assert client.modify("demo/parent", OrderChange(ref=ref, terms=TERMS)).client_id == placed.client_id
    assert client.cancel("demo/parent", ref).outcome == placed.outcome
    order_event = client.events(after=0).events[0]
    assert order_event.body == placed.outcome.order
    assert client.log(LogQuery(text="no such line")) == []


async def test_the_blocking_client_does_everything(folder, desk, new_bot):
    with ControlClient.for_folder(folder) as client:
        await asyncio.to_thread(everything, client, desk, new_bot("my grid 2.0"))


async def test_the_asynchronous_client_does_everything(folder, desk, new_bot):
    bot = new_bot("grid")
    async with AsyncControlClient.for_folder(folder) as client:
        assert (await client.health()).ok
        assert await client.view() == desk.view()
        assert await client.add_bot(bot) == bot
        assert (await client.start_bot("grid")).working
        assert not (await client.stop_bot("grid")).working
        assert await client.change_bot("grid", bot) == bot
        assert await client.bots() == [bot]
        await client.remove_bot("grid")
        assert len(await client.kinds()) == 1
        assert len(await client.accounts()) == 2
        assert await client.drift() == []
        limited = await client.set_limit("real", LimitChange(state="none"))
        assert (limited.state, await client.limits()) == ("none", [limited])
        desk.left = {"t1": TICKET, "t2": msgspec.structs.replace(TICKET, id="t2")}
        assert (await client.send_ticket("t1", "me")).client_id == "me"
        assert (await client.dismiss_ticket("t2")).status == "dismissed"
        assert await client.tickets() == [*desk.left.values()]
        missing = MissingOrder(child="real", symbol="BTCUSDT")
        assert (await client.plan_missing("grid", missing)).digest == "of it"
        await client.copy_missing("grid", msgspec.structs.replace(missing, digest="of it"))
        assert (await client.kill(KillOrder(confirm="STOP"))).policy == "cancel_entries"
        assert len(await client.policies()) > 20
        assert len(await client.connections()) == 1
        await client.reconnect("demo")
        with pytest.raises(UnknownName, match="no line 7"):
            await client.story(7)
        assert await client.instruments("demo/parent") == list(desk.instruments("demo/parent"))
        assert len(await client.candles("demo/parent", CandleRequest(symbol="BTCUSDT", limit=2))) == 2
        placed = await client.place("demo/parent", TERMS)
        ref = OrderRef(symbol="BTCUSDT", type=OrderType.LIMIT, client_id=placed.client_id)
        assert (await client.modify("demo/parent", OrderChange(ref=ref, terms=TERMS))).outcome == placed.outcome
        assert (await client.cancel("demo/parent", ref)).outcome == placed.outcome
        assert (await client.events(0)).seq == 1
        assert await client.log() == []


async def test_refusals_come_back_as_the_same_error_with_the_same_sentence(folder, new_bot):
    async with AsyncControlClient.for_folder(folder) as client:
        await client.add_bot(new_bot("grid"))
        with pytest.raises(Conflict, match=r"^a bot 'grid' is there already: choose another name, or change that one$"):
            await client.add_bot(new_bot("grid"))
        with pytest.raises(UnknownName, match=r"^there is no bot 'none' \(there: grid\)$"):
            await client.stop_bot("none")
        with pytest.raises(NotAllowed, match=r"rehearsal connections only$"):
            await client.place("real", TERMS)
        with pytest.raises(UsageError, match=r"^unknown connection 'nowhere'"):
            await client.add_bot(new_bot("other", parent="nowhere"))
        with pytest.raises(NotReady, match=r"it is tried again$"):
            await client.candles("real", CandleRequest(symbol="DOWN"))
        with pytest.raises(RateLimited, match=r"asks for a pause$"):
            await client.candles("real", CandleRequest(symbol="BUSY"))
        with pytest.raises(CopydeskError, match="failed by a defect of copydesk"):
            await client.candles("real", CandleRequest(symbol="DEFECT"))


async def test_a_folder_without_an_engine_is_told_so(tmp_path):
    for kind in (ControlClient, AsyncControlClient):
        with pytest.raises(UsageError, match=f"^no engine is running on {tmp_path}: start one with `copydesk run"):
            kind.for_folder(tmp_path)


async def test_a_file_left_by_a_crash_is_no_engine(tmp_path, token):
    write_control(tmp_path, ControlFile(url="http://127.0.0.1:9", token=token, pid=1))
    assert stat.S_IMODE((tmp_path / CONTROL_NAME).stat().st_mode) == 0o600
    with pytest.raises(UsageError, match="no engine is running on"):
        ControlClient.for_folder(tmp_path)


async def test_an_engine_that_is_gone_is_told_so(folder, running):
    await running.stop()
    with ControlClient.for_folder(folder) as client, pytest.raises(UsageError, match=f"no engine answers at {running.url}"):
        client.view()


async def test_an_engine_that_does_not_answer_is_given_up(token):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with AsyncControlClient(f"http://127.0.0.1:{silent.getsockname()[1]}", token, timeout_s=0.2) as client:
            with pytest.raises(NotReady, match=r"did not answer within 0\.2 s"):
                await client.view()


async def test_the_token_is_in_no_representation(running, token):
    async with AsyncControlClient(running.url, token) as client:
        assert token not in repr(client)
    assert token not in repr(ControlFile(url="u", token=token, pid=1))


async def test_proxies_of_the_environment_are_not_asked(running, token, desk, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    desk.burst(1)
    async with AsyncControlClient(running.url, token) as client:
        assert (await client.view()).seq == 1
        async with contextlib.aclosing(client.stream(0)) as events:
            assert (await anext(events)).seq == 1
