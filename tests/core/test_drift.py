"""The drift statement and the day's certificate: parts that add up, since when, and a statement that can be checked."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import apsw
import msgspec
import pytest
from copydesk.bots import BotStore
from copydesk.certifying import KIND as CERTIFICATE
from copydesk.certifying import Certificate, ChildStanding, certificate_of, certificate_words, certificates, check, find
from copydesk.cli import main
from copydesk.config import Config
from copydesk.control import serve
from copydesk.datafolder import ControlFile, lock_folder, write_control
from copydesk.drifting import drifts
from copydesk.engine import Engine
from copydesk.errors import UnknownName
from copydesk.events import Events
from copydesk.journal import Journal
from copydesk.model import Rejected, RejectReason, to_json
from copydesk.secrets import SealedFile
from copydesk.view import DeskEvent, DeskView, DriftCause, DriftView
from copydesk.views import health
from harness.closed_loop import PARENT, START_NS, ClosedLoop, D, child, instrument
from harness.scenario.lapse import Lapse


def loop(**more: object) -> ClosedLoop:
    return ClosedLoop((child("c1", k="1", **more),), instrument=instrument("1"), price=D(100)).start()


def parts(desk: ClosedLoop) -> list[tuple[str, int]]:
    (view,) = drifts(desk.copier.desk)
    assert sum(part.quantity for part in view.causes) == view.difference
    assert view.cause == (view.causes[0].cause if view.causes else "")
    return [(part.cause, int(part.quantity)) for part in view.causes]


def refuse_next(desk: ClosedLoop) -> None:
    verdicts = [Rejected(reason=RejectReason.MARGIN, message="insufficient margin")]
    desk.fault = lambda intent: verdicts.pop() if verdicts else None


# --- causes -------------------------------------------------------------------------------------------------------------


def test_a_difference_of_several_parts() -> None:
    """One order was refused, another rests on the child alone: each explains its own part."""
    desk = loop()
    refuse_next(desk)
    desk.buy("2")
    desk.settle()
    desk.buy("3", price="99")
    desk.settle()
    (order,) = desk.exchange.open_orders(PARENT)
    desk.exchange.fill(PARENT, D(3), venue_id=order.venue_id)
    desk.deliver()
    assert parts(desk) == [("pending", 3), ("rejected", 2)]


def test_a_cause_ends_with_what_it_explained() -> None:
    """A refused order is no reason any more once the episode went on without it."""
    desk = loop()
    refuse_next(desk)
    desk.buy("2")
    desk.settle()
    assert parts(desk) == [("rejected", 2)]
    desk.sell("2")
    desk.settle()
    desk.buy("3", price="99")
    desk.settle()
    (order,) = desk.exchange.open_orders(PARENT)
    desk.exchange.fill(PARENT, D(3), venue_id=order.venue_id)
    desk.deliver()
    assert parts(desk) == [("pending", 3)]


def test_what_nothing_tells_of_is_unexplained() -> None:
    desk = loop()
    desk.buy("2")
    desk.settle()
    next(iter(desk.copier.desk.bots["bot"].links.values())).attributed = D(-3)
    assert parts(desk) == [("unexplained", 5)]


def test_a_child_that_is_gone_is_stale_and_a_stopped_bot_leaves_its_children_unmanaged() -> None:
    desk = loop()
    desk.buy("2")
    desk.settle()
    desk.disconnect("c1")
    desk.buy("1")
    desk.settle()
    assert parts(desk) == [("stale", 1)]
    desk.copier.desk.bots["bot"].working = False
    assert parts(desk) == [("unmanaged", 1)]


def test_since_when() -> None:
    desk = loop()
    desk.disconnect("c1")
    desk.buy("2")
    began = desk.now_ns
    desk.settle()
    desk.pass_time(5_000)
    desk.buy("1")
    desk.settle()
    assert drifts(desk.copier.desk)[0].since_ns == began, "from when it began, whatever came on top"
    desk.reconnect("c1")
    desk.settle()
    (view,) = drifts(desk.copier.desk)
    assert (view.difference, view.since_ns, view.causes) == (0, 0, ())


def test_without_the_parents_connection_a_child_is_frozen_not_behind() -> None:
    desk = loop()
    refuse_next(desk)
    desk.buy("2")
    desk.settle()
    bot = desk.copier.desk.bots["bot"]
    assert health(desk.copier.desk, bot, "c1") == "behind"
    desk.disconnect(PARENT)
    assert health(desk.copier.desk, bot, "c1") == "stale"
    assert parts(desk) == [("rejected", 2)]


# --- the command ----------------------------------------------------------------------------------------------------------


class OneDrift:
    """As much of a desk as tells of drift."""

    def __init__(self) -> None:
        desk = loop()
        refuse_next(desk)
        desk.buy("2")
        desk.settle()
        self.rows = drifts(desk.copier.desk)
        self.events = Events(first=1)

    def drift_views(self) -> tuple[DriftView, ...]:
        return self.rows

    def view(self) -> DeskView:
        return DeskView(seq=self.latest_seq(), at_ns=1, version="test", drift=self.rows)

    def latest_seq(self) -> int:
        return self.events.last

    def events_after(self, seq: int, limit: int) -> list[DeskEvent] | None:
        return self.events.after(seq, limit)

    def listen(self, sink: Callable[[DeskEvent], None]) -> Callable[[], None]:
        return self.events.listen(sink)


async def test_the_command_tells_the_drift_now_and_as_it_changes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    desk = OneDrift()
    running = await serve(desk, host="127.0.0.1", port=0, token="token")  # type: ignore[arg-type]
    command = [str(Path(sys.executable).parent / "copydesk"), "--data", str(tmp_path), "drift"]
    with lock_folder(tmp_path):
        write_control(tmp_path, ControlFile(url=running.url, token="token", pid=os.getpid()))
        assert await asyncio.to_thread(main, command[1:]) == 0
        told = capsys.readouterr().out.split()
        assert {"bot", "c1", "BTCUSDT", "2", "rejected"} <= set(told)
        watching = await asyncio.create_subprocess_exec(*command, "--watch", "--json", stdout=asyncio.subprocess.PIPE)
        try:
            assert watching.stdout is not None
            first = msgspec.json.decode(await asyncio.wait_for(watching.stdout.readline(), 30))
            assert (first["difference"], first["causes"]) == ("2", [{"cause": "rejected", "quantity": "2"}])
            (row,) = desk.rows
            desk.events.tell("drift", msgspec.structs.replace(row, difference=D(1)), row.child)
            second = msgspec.json.decode(await asyncio.wait_for(watching.stdout.readline(), 30))
            assert second["difference"] == "1"
        finally:
            watching.terminate()
            await watching.wait()
            await running.stop()


# --- the certificate ------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A data folder with the journal of a day that left one copy refused, and its certificate."""
    desk = loop()
    refuse_next(desk)
    desk.buy("2")
    desk.settle()
    desk.buy("3")
    desk.settle()
    with Journal.open(tmp_path / "journal.db") as journal:
        for given in desk.inputs:
            journal.append("input", given, at_ns=START_NS)
        seq, digest = journal.head
        made = certificate_of(desk.copier.desk, day="2026-11-23", at_ns=desk.now_ns, row_seq=seq, row_hash=digest)
        journal.append(CERTIFICATE, to_json(made), at_ns=desk.now_ns)
    return tmp_path


def test_a_certificate_holds_and_says_what_there_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Journal.open(folder / "journal.db", read_only=True) as journal:
        made = find(journal)
        assert check(journal, made).faults == ()
    (standing,) = made.children
    assert (standing.child, standing.health, made.unexplained) == ("c1", "behind", [])
    (link,) = standing.links
    assert (link.target, link.attributed, link.cause) == (5, 3, "rejected")
    assert main(["--data", str(folder), "certificate"]) == 0
    said = capsys.readouterr().out
    assert "Certificate of 2026-11-23: 0 unexplained, 1 open position of 1 children" in said
    assert "rejected" in said
    assert "It holds." in said


@pytest.mark.parametrize(("links", "words"), [(0, "0 open positions"), (1, "1 open position"), (2, "2 open positions")])
def test_the_sentence_of_a_certificate_counts_what_is_open(links: int, words: str) -> None:
    desk = loop()
    desk.buy("2")
    desk.settle()
    (row,) = drifts(desk.copier.desk)
    child_of = ChildStanding(bot="bot", child="c1", health="in sync", links=(row,) * links)
    made = Certificate(day="2026-11-23", at_ns=1, row_seq=1, row_hash="", children=(child_of,))
    assert certificate_words(made) == f"Certificate of 2026-11-23: 0 unexplained, {words} of 1 children"


def test_a_certificate_that_says_otherwise_does_not_hold(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Journal.open(folder / "journal.db") as journal:
        made = find(journal)
        (standing,) = made.children
        better = msgspec.structs.replace(made, children=(msgspec.structs.replace(standing, health="in sync", links=()),))
        journal.append(CERTIFICATE, to_json(better), at_ns=made.at_ns)
    assert main(["--data", str(folder), "certificate", "--json"]) == 1
    told = msgspec.json.decode(capsys.readouterr().out)
    assert told["ok"] is False
    assert "say otherwise" in told["faults"][0]


def test_a_changed_journal_does_not_bear_its_certificate(folder: Path) -> None:
    connection = apsw.Connection(str(folder / "journal.db"))
    connection.execute("UPDATE journal SET at_ns = at_ns + 1 WHERE seq = 3")
    connection.close()
    with Journal.open(folder / "journal.db", read_only=True) as journal:
        (fault,) = check(journal, find(journal)).faults
    assert "row 3" in fault


def test_a_day_without_a_certificate_is_refused_with_a_sentence(
    folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    with Journal.open(folder / "journal.db", read_only=True) as journal, pytest.raises(UnknownName, match="2026-11-22"):
        find(journal, "2026-11-22")
    empty = tmp_path_factory.mktemp("empty")
    Journal.open(empty / "journal.db").close()
    with Journal.open(empty / "journal.db", read_only=True) as journal, pytest.raises(UnknownName, match="day_ends"):
        find(journal)


def test_the_engine_writes_one_when_the_day_ends(tmp_path: Path) -> None:
    ends = datetime.now(UTC) + timedelta(minutes=90)
    config = Config.model_validate({"engine": {"day_ends": f"{ends:%H:%M}", "time_zone": "UTC"}})
    with Lapse() as lapse, asyncio.Runner(loop_factory=lambda: lapse.loop) as runner:
        runner.run(_two_days(config, tmp_path, lapse))
    with Journal.open(tmp_path / "journal.db", read_only=True) as journal:
        made: list[Certificate] = list(certificates(journal))
        assert len(made) == 2
        assert [check(journal, one).faults for one in made] == [(), ()]
    for certificate, at in zip(made, (ends, ends + timedelta(days=1)), strict=True):
        assert certificate.day == f"{at - timedelta(days=1):%Y-%m-%d}", "of the day that began 24 hours before"
        late_s = certificate.at_ns / 1e9 - at.replace(second=0, microsecond=0).timestamp()
        assert 0 <= late_s < 1


async def _two_days(config: Config, folder: Path, lapse: Lapse) -> None:
    journal = Journal.open(folder / "journal.db")
    engine = Engine(config, BotStore.load(folder), journal, SealedFile(folder, lambda: "nothing is sealed"))
    await engine.start()
    await lapse.idle()
    end_s = lapse.loop.time() + 26 * 3600
    while await lapse.jump(end_s):
        pass
    await engine.stop()
    journal.close()


def test_what_a_refused_order_should_have_brought_is_the_rounded_share():
    """Half of 9 is 5 to the nearest, and of 1 it is 1: both ways the whole difference has its cause."""
    desk = ClosedLoop((child("c1", k="0.5", rounding="nearest"),), instrument=instrument("1"), soon_ms=20_000).start()
    refusal = Rejected(reason=RejectReason.OTHER, message="no")
    desk.fault = lambda intent: refusal
    desk.buy("9")
    desk.settle()
    (view,) = drifts(desk.copier.desk)
    assert view.causes == (DriftCause(cause="rejected", quantity=D(5)),)
    desk.sell("9")
    desk.settle()
    desk.fault = lambda intent: None
    desk.buy("9")
    desk.settle()
    assert desk.position("c1") == 5
    desk.fault = lambda intent: refusal
    desk.sell("8")
    desk.settle()
    (view,) = drifts(desk.copier.desk)
    assert view.causes == (DriftCause(cause="rejected", quantity=D(-4)),)
