"""Notifications: what is told, how seldom, and that the address is shown to nobody; and the numbers for Prometheus."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from aiohttp import web
from copydesk.cli.notify import Post
from copydesk.config import NotifySettings
from copydesk.model import OrderType, Record, Side, Terms, from_json
from copydesk.notifying import HOUR_NS, Notice, Watcher
from copydesk.view import AccountView, BudgetView, ConnectionState, DeskEvent, DriftView, LogEntry, Ticket
from harness.livedesk import Bench, running_bench
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families

D = Decimal
SECOND = 1_000_000_000
SECRET = "a-secret-part-of-the-address"
DEADLINE_S = 30.0


def event(body: Record) -> DeskEvent:
    return DeskEvent(seq=1, kind="any", body=body)


def account(key: str, state: ConnectionState) -> AccountView:
    return AccountView(key=key, connection=key, kind="paper", title="Paper", state=state, message="the stream ended")


def drift(difference: str, cause: str, since_ns: int = 0) -> DriftView:
    return DriftView(
        bot="bot",
        child="child",
        symbol="BTCUSDT",
        position_side="net",
        target=D(1),
        attributed=D(1) - D(difference),
        foreign=D(0),
        in_flight=D(0),
        difference=D(difference),
        cause=cause,
        since_ns=since_ns,
    )


def ticket(number: int) -> Ticket:
    terms = Terms(symbol=f"S{number}", side=Side.BUY, type=OrderType.MARKET, quantity=D(1))
    return Ticket(
        id=f"t{number}",
        bot="bot",
        child="child",
        symbol=f"S{number}",
        position_side="net",
        terms=terms,
        kind="rejected",
        why="refused: margin",
        created_ns=1,
        expires_ns=2,
    )


def test_a_connection_that_is_lost_is_told_of_once() -> None:
    watcher = Watcher(NotifySettings())
    watcher.begin([account("child", ConnectionState.CONNECTED)], [])
    (notice,) = watcher.take(event(account("child", ConnectionState.DOWN)), 1)
    assert (notice.event, notice.body) == ("connection_lost", "child (Paper) is down: the stream ended")
    assert watcher.take(event(account("child", ConnectionState.DOWN)), 2) == []
    assert watcher.take(event(account("child", ConnectionState.CONNECTED)), 3) == []
    assert watcher.take(event(account("child", ConnectionState.DOWN)), 4) == [], "the same matter within repeat_s"
    assert watcher.take(event(account("child", ConnectionState.CONNECTED)), 5) == []
    assert len(watcher.take(event(account("child", ConnectionState.DOWN)), 301 * SECOND)) == 1
    assert watcher.take(event(account("child", ConnectionState.DOWN)), 700 * SECOND) == [], "it is the same loss"


def test_a_difference_is_told_of_only_when_it_lasts_and_is_no_rounding() -> None:
    watcher = Watcher(NotifySettings(out_of_sync_after_s=D(30)))
    watcher.take(event(drift("0.4", "rejected", since_ns=SECOND)), SECOND)
    watcher.take(event(drift("0.4", "rounding", since_ns=SECOND)), SECOND)
    assert watcher.look(60 * SECOND) == []
    watcher.take(event(drift("0.4", "rejected", since_ns=SECOND)), SECOND)
    assert watcher.look(30 * SECOND) == []
    (notice,) = watcher.look(31 * SECOND)
    assert notice.body == "bot, child: holds 0.6 of 1 BTCUSDT (rejected)"
    watcher.take(event(drift("0", "")), 32 * SECOND)
    assert watcher.look(4000 * SECOND) == []


def test_no_more_than_so_many_an_hour_and_what_was_held_back_is_counted() -> None:
    watcher = Watcher(NotifySettings(per_hour=3))
    sent = [notice for number in range(10) for notice in watcher.take(event(ticket(number)), number)]
    assert [notice.title for notice in sent] == ["Copy failed"] * 3
    (late,) = watcher.take(event(ticket(11)), HOUR_NS + 1)
    assert late.body.endswith("7 more were held back: at most 3 are sent an hour.")


def test_only_the_chosen_events_are_told() -> None:
    watcher = Watcher(NotifySettings(events=("limit_hit",)))
    assert watcher.take(event(ticket(1)), 1) == []
    line = LogEntry(at_ns=1, level="warn", kind="limits", text="daily loss: close-only", bot="bot", account="child")
    assert [notice.title for notice in watcher.take(event(line), 1)] == ["Limit hit"]


LINE = LogEntry(
    at_ns=1, level="error", kind="rejected", text="refused", bot="bot", account="child", symbol="ETHUSDT", data={"code": 7}
)
COPY_FAILED = Notice(event="copy_failed", matter="copy bot child ETHUSDT", title="Copy failed", body="bot, child: refused")


@pytest.mark.parametrize(
    ("body", "notice"),
    [
        (LINE, COPY_FAILED),
        (replace(LINE, bot=""), replace(COPY_FAILED, matter="copy  child ETHUSDT", body="refused")),
        (replace(LINE, account=""), None),
        (replace(LINE, level="warn"), None),
        (replace(LINE, data={"ticket_id": "t1"}), None),
        (
            replace(LINE, kind="daily-loss", level="warn"),
            Notice(event="limit_hit", matter="limit child daily-loss", title="Limit hit", body="bot, child: refused"),
        ),
        (
            replace(LINE, kind="capped", account="", level="warn"),
            Notice(event="limit_hit", matter="limit  capped", title="Limit hit", body="refused"),
        ),
        (replace(LINE, kind="limits", level="info"), None),
        (
            ticket(1),
            Notice(
                event="copy_failed",
                matter="copy bot child S1",
                title="Copy failed",
                body="bot, child: refused: margin. Ticket t1 may be sent until it expires.",
            ),
        ),
        (replace(ticket(1), status="sent"), None),
        (account("a", ConnectionState.CONNECTED), None),
        (
            account("a", ConnectionState.REFUSED),
            Notice(
                event="connection_lost",
                matter="connection a",
                title="Connection lost",
                body="a (Paper) is refused: the stream ended",
            ),
        ),
        (
            replace(account("a", ConnectionState.DOWN), message=""),
            Notice(
                event="connection_lost",
                matter="connection a",
                title="Connection lost",
                body="a (Paper) is down: no reason was told",
            ),
        ),
        (BudgetView(scope="account"), None),
    ],
)
def test_what_an_event_makes_due(body: Record, notice: Notice | None) -> None:
    told = Watcher(NotifySettings()).take(event(body), 1)
    assert told == ([notice] if notice is not None else [])


def test_a_connection_that_was_lost_before_is_no_news() -> None:
    watcher = Watcher(NotifySettings())
    watcher.begin([account("a", ConnectionState.DOWN)], [])
    assert watcher.take(event(account("a", ConnectionState.REFUSED)), 1) == []


def test_differences_are_told_apart_by_bot_child_symbol_and_side() -> None:
    watcher = Watcher(NotifySettings(out_of_sync_after_s=D("0.5"), repeat_s=D("1.5")))
    row = replace(drift("0.4", "rejected", since_ns=SECOND), alarm="refused again and again")
    rows = [row, *(replace(row, **{name: "other"}) for name in ("bot", "child", "symbol", "position_side"))]
    watcher.begin([], rows)
    assert watcher.look(SECOND * 3 // 2 - 1) == []
    notices = watcher.look(SECOND * 3 // 2)
    assert notices[0] == Notice(
        event="out_of_sync",
        matter="sync bot child BTCUSDT net",
        title="Child out of sync",
        body="bot, child: holds 0.6 of 1 BTCUSDT (rejected): refused again and again",
    )
    assert len({notice.matter for notice in notices}) == 5
    watcher.take(event(replace(row, difference=D(0))), 2 * SECOND)
    watcher.take(event(replace(rows[1], since_ns=0)), 2 * SECOND)
    watcher.take(event(replace(rows[2], cause="")), 2 * SECOND)
    assert watcher.look(3 * SECOND - 1) == [], "each was told of a moment ago"
    assert watcher.look(3 * SECOND) == notices[3:]


def test_a_notice_counts_for_an_hour() -> None:
    watcher = Watcher(NotifySettings(per_hour=1))
    assert len(watcher.take(event(ticket(1)), 5)) == 1
    assert watcher.take(event(ticket(2)), HOUR_NS + 4) == []
    (notice,) = watcher.take(event(ticket(2)), HOUR_NS + 5)
    assert notice == Notice(
        event="copy_failed",
        matter="copy bot child S2",
        title="Copy failed",
        body="bot, child: refused: margin. Ticket t2 may be sent until it expires."
        "\n1 more were held back: at most 1 are sent an hour.",
    )
    (last,) = watcher.take(event(ticket(3)), 2 * HOUR_NS + 5)
    assert "held back" not in last.body, "they were told of"


@pytest.fixture
async def inbox() -> AsyncIterator[tuple[str, asyncio.Queue[dict[str, str]]]]:
    """An endpoint on this machine, as apprise is given it, and what came to it."""
    came: asyncio.Queue[dict[str, str]] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        came.put_nowait(from_json(await request.read(), dict[str, object]) | {"path": request.path})  # type: ignore[arg-type]
        return web.Response()

    app = web.Application()
    app.router.add_post("/{path:.*}", take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield f"json://127.0.0.1:{port}/{SECRET}", came
    await runner.cleanup()


@pytest.mark.filterwarnings("ignore:'imghdr':DeprecationWarning")  # of a library of apprise
async def test_the_command_sends_and_shows_the_address_to_nobody(
    tmp_path: Path, inbox: tuple[str, asyncio.Queue[dict[str, str]]]
) -> None:
    url, came = inbox
    (tmp_path / "copydesk.toml").write_text("")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "copydesk", "--data", str(tmp_path), "notify", "--test"),
        env=os.environ | {"COPYDESK_NOTIFY_URL": url},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(DEADLINE_S):
        output, _ = await process.communicate()
    assert (process.returncode, output.decode().strip()) == (0, "Sent.")
    message = came.get_nowait()
    assert (message["title"], message["path"]) == ("copydesk", f"/{SECRET}")
    assert SECRET not in output.decode() + repr(Post(url))


async def test_a_connection_that_the_engine_loses_comes_to_people(
    tmp_path: Path, inbox: tuple[str, asyncio.Queue[dict[str, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    url, came = inbox
    (tmp_path / "copydesk.toml").write_text("")
    async with running_bench(tmp_path) as bench:
        follows = asyncio.Event()
        listen = bench.engine.events.listen

        def listened(sink: Callable[[DeskEvent], None]) -> Callable[[], None]:
            follows.set()
            return listen(sink)

        monkeypatch.setattr(bench.engine.events, "listen", listened)
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "copydesk", "--data", str(tmp_path), "notify"),
            env=os.environ | {"COPYDESK_NOTIFY_URL": url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(DEADLINE_S):
                await follows.wait()
                bench.engine.connections["child"].refuse("the key was taken away")
                message = await came.get()
        finally:
            process.terminate()
            output, _ = await process.communicate()
    assert message["title"] == "copydesk: Connection lost"
    assert message["message"].endswith("is refused: the key was taken away")
    assert SECRET not in output.decode()


async def test_the_metrics_want_the_token_and_tell_of_bots_and_connections(tmp_path: Path) -> None:
    async with running_bench(tmp_path) as bench:
        await bench.add()
        await bench.client.start_bot("bot")
        await bench.trade("parent", Side.BUY, "2")
        await bench.until(lambda: bench.desk.view().bots[0].copied == 1)
        found = await scrape(bench)
    assert found["copydesk_bot_working", "bot", "bot"] == 1
    assert found["copydesk_copied_total", "child", "child"] == 1
    assert found["copydesk_position_copied", "child", "child"] == 1
    assert found["copydesk_connection_up", "connection", "child"] == 1
    assert found["copydesk_copy_latency_seconds", "child", "child"] > 0


async def scrape(bench: Bench) -> dict[tuple[str, str, str], float]:
    """Samples by name and one label."""
    async with httpx.AsyncClient(base_url=bench.url) as client:
        assert (await client.get("/metrics")).status_code == 401
        answer = await client.get("/metrics", headers={"Authorization": f"Bearer {bench.token}"})
    assert answer.status_code == 200
    samples = [sample for family in text_string_to_metric_families(answer.text) for sample in family.samples]
    return {(sample.name, name, value): sample.value for sample in samples for name, value in sample.labels.items()}
