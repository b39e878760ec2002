"""Rule 16: after a restart the boot report tells what was found and done, and what is down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from decimal import Decimal
from pathlib import Path

import pytest
from copydesk.bootreport import BootReport, BootWatch, in_words
from copydesk.bots import BotStore
from copydesk.cli import main
from copydesk.config import BotSettings, ChildSettings, Config
from copydesk.engine import Engine
from copydesk.inputs import EngineStarted, Input
from copydesk.journal import Journal
from copydesk.lease import RUNTIME_VARIABLE
from copydesk.livedesk import LiveDesk
from copydesk.model import Accepted, OrderType, RehearsalSettings, Side, Terms
from copydesk.plugins import load_plugin
from copydesk.secrets import SealedFile, variable_of
from harness.closed_loop import PARENT, SYMBOL, ClosedLoop, child

# --- the watch --------------------------------------------------------------------------------------------------------


class Watched(ClosedLoop):
    """Tells everything to a `BootWatch` once there is one."""

    watch: BootWatch | None = None

    def feed(self, given: Input) -> None:
        count = len(self.intents), len(self.notes)
        super().feed(given)
        if self.watch is not None and not self.watch.is_over:
            self.watch.take(given, [*self.intents[count[0] :], *self.notes[count[1] :]])

    def restart(self, told: list[BootReport]) -> None:
        self.reports.clear()
        self.watch = BootWatch(self.copier.desk, (PARENT, "c1"), self.now_ns, told.append)
        self.feed(EngineStarted(at_ns=self.now_ns))


def running() -> Watched:
    desk = Watched((child("c1", k="1"),))
    desk.start()
    desk.buy("2")
    desk.settle()
    return desk


def test_what_the_parent_did_meanwhile_is_found_and_followed():
    desk, told = running(), []
    desk.sell("1")
    desk.restart(told)
    assert told == []
    desk.reread("c1")
    desk.reread(PARENT, since_ms=1)
    desk.settle()
    (report,) = told
    assert report.complete
    assert report.bots == ("bot",)
    assert any("SELL 1 BTCUSDT" in line for line in report.parent)
    assert desk.watch is not None
    assert desk.position("c1") == 1


def test_an_order_in_flight_is_listed_with_what_became_of_it():
    desk, told = running(), []
    desk.buy("1")
    desk.deliver()
    (intent,) = desk.queue
    desk.queue.clear()
    desk.on_exchange(intent)  # type: ignore[arg-type]  # it arrived, and the engine died before the answer
    desk.restart(told)
    desk.reread(PARENT, since_ms=1)
    desk.reread("c1")
    desk.settle()
    (report,) = told
    assert [(one.client_id, one.became) for one in report.intents] == [(intent.client_id, "filled")]  # type: ignore[union-attr]
    assert "settled 1 order in flight" in in_words(report)[1]


def test_after_the_deadline_those_that_are_down_are_named_apart():
    desk, told = running(), []
    desk.disconnect("c1")
    desk.restart(told)
    desk.reread(PARENT, since_ms=1)
    assert told == []
    assert desk.watch is not None
    desk.watch.is_late(desk.now_ns)
    desk.watch.is_late(desk.now_ns)
    (report,) = told
    assert not report.complete
    assert [(down.account, down.was_up) for down in report.down] == [("c1", False)]
    level, text = in_words(report)
    assert level == "warn"
    assert "down at the last shutdown, and still: c1" in text
    desk.reconnect("c1")
    assert told[-1].complete
    assert told[-1].down == ()


def test_what_was_up_before_is_named_as_such():
    desk, told = running(), []
    desk.restart(told)
    desk.reread("c1")
    assert desk.watch is not None
    desk.watch.is_late(desk.now_ns)
    assert "down, and up before: parent" in in_words(told[0])[1]


# --- the whole --------------------------------------------------------------------------------------------------------


@pytest.fixture
async def connections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[dict[str, dict[str, str]]]:
    """A paper exchange that outlives the engines."""
    monkeypatch.setenv(RUNTIME_VARIABLE, str(tmp_path / "run"))
    accounts = {"parent": Decimal(1_000_000), "child": Decimal(1_000_000)}
    rehearsal = await load_plugin("paper").hook.rehearse(settings=RehearsalSettings(kind="paper", accounts=accounts))
    for account in rehearsal.ready.accounts:
        for field, value in account.secrets.items():
            monkeypatch.setenv(variable_of(account.name, field), value)
    yield {account.name: {"kind": "paper", **account.options} for account in rehearsal.ready.accounts}
    await rehearsal.stop()


@asynccontextmanager
async def engine_on(folder: Path, connections: dict[str, dict[str, str]]) -> AsyncIterator[LiveDesk]:
    config = Config.model_validate({"connections": connections})
    async with AsyncExitStack() as stack:
        journal = stack.enter_context(Journal.open(folder / "journal.db"))
        store = BotStore.load(folder)
        engine = Engine(config, store, journal, SealedFile(folder, lambda: ""))
        stack.push_async_callback(engine.stop)
        await engine.start()
        desk = LiveDesk(engine, config, store)
        desk.start()
        for connection in engine.connections.values():
            await connection.until_up(15)
        yield desk


async def until(desk: LiveDesk, what: object) -> None:
    happened = asyncio.Event()
    stop = desk.listen(lambda _: happened.set())
    try:
        async with asyncio.timeout(40):
            while not what():  # type: ignore[operator]
                happened.clear()
                await happened.wait()
    finally:
        stop()


async def trade(desk: LiveDesk, side: Side, quantity: str) -> None:
    terms = Terms(symbol=SYMBOL, side=side, type=OrderType.MARKET, quantity=Decimal(quantity))
    _, outcome = await desk.place("parent", terms)
    assert isinstance(outcome, Accepted)


def held(desk: LiveDesk, account: str) -> Decimal:
    views = {view.key: view for view in desk.account_views()}
    return sum((position.quantity for position in views[account].positions), Decimal(0))


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """Another data folder."""
    folder = tmp_path / "other"
    folder.mkdir()
    return folder


async def test_a_restart_is_reported_and_read_again_from_the_journal(
    tmp_path: Path, other: Path, connections: dict[str, dict[str, str]], capsys: pytest.CaptureFixture[str]
):
    member = ChildSettings.model_validate({"account": "child", "mode": "multiplier", "value": "0.5"})
    async with engine_on(tmp_path, connections) as desk:
        await desk.add_bot(BotSettings(name="bot", parent="parent", children=(member,)))
        await desk.start_bot("bot")
        await trade(desk, Side.BUY, "2")
        await until(desk, lambda: held(desk, "child") == 1)
    async with engine_on(other, connections) as stranger:
        await trade(stranger, Side.SELL, "1")
    async with engine_on(tmp_path, connections) as desk:
        await until(desk, lambda: desk.boot_report().complete)
        await until(desk, lambda: held(desk, "child") == Decimal("0.5"))
        report = desk.boot_report()
        assert report.bots == ("bot",)
        assert any("SELL 1 BTCUSDT" in line for line in report.parent)
    assert main(["--data", str(tmp_path), "boot-report", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bots"] == ["bot"]
    assert main(["--data", str(tmp_path), "boot-report"]) == 0
    assert "Resumed: bot" in capsys.readouterr().out


def test_without_any_start_there_is_nothing_to_tell(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["--data", str(tmp_path), "boot-report"]) == 0
    assert "anything to report" in capsys.readouterr().out
