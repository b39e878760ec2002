from __future__ import annotations

import itertools
import random
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw
import pytest
from copydesk.errors import JournalBroken, JournalError
from copydesk.journal import Journal
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

KINDS = ("input", "intent", "log", "engine")
ROW = st.tuples(
    st.sampled_from(KINDS),
    st.sampled_from(["", "bot", "bøt"]),
    st.sampled_from(["", "parent", "ib/U1"]),
    st.binary(max_size=40),
    st.integers(1, 50),
    st.booleans(),
)


def fill(path: Path, count: int) -> None:
    with Journal.open(path) as journal:
        for number in range(1, count + 1):
            journal.append(KINDS[number % 4], b"body %d" % number, at_ns=number, bot="bot", account="parent")


def change(path: Path, sql: str, *values: Any) -> None:
    """Alter the file behind the journal's back."""
    connection = apsw.Connection(str(path))
    connection.execute(sql, values)
    connection.close()


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(ROW, max_size=30), data=st.data())
def test_rows_come_back_as_they_were_filtered_as_asked(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str, bytes, int, bool]], data: st.DataObject
) -> None:
    kinds = data.draw(st.sets(st.sampled_from(KINDS)))
    bot, account = data.draw(st.sampled_from(["", "bøt"])), data.draw(st.sampled_from(["", "parent"]))
    from_ns, to_ns = data.draw(st.integers(0, 50)), data.draw(st.integers(0, 50))
    after, before = data.draw(st.integers(0, 30)), data.draw(st.integers(0, 30))
    limit, newest_first = data.draw(st.integers(0, 10)), data.draw(st.booleans())
    with Journal.open(tmp_path_factory.mktemp("journal") / "journal.db") as journal:
        expected = []
        for seq, (kind, of_bot, of_account, body, at_ns, now) in enumerate(rows, start=1):
            assert journal.append(kind, body, at_ns=at_ns, bot=of_bot, account=of_account) == seq
            fits = (not kinds or kind in kinds) and of_bot in (bot or of_bot,) and of_account in (account or of_account,)
            if fits and from_ns <= at_ns and (not to_ns or at_ns < to_ns) and after < seq and (not before or seq < before):
                expected.append((seq, kind, of_bot, of_account, body, at_ns))
            if now:
                journal.commit()
        journal.commit()
        found = journal.rows(
            kinds=kinds,
            bot=bot,
            account=account,
            from_ns=from_ns,
            to_ns=to_ns,
            after_seq=after,
            before_seq=before,
            limit=limit,
            newest_first=newest_first,
        )
        ordered = expected[::-1] if newest_first else expected
        assert [(row.seq, row.kind, row.bot, row.account, row.body, row.at_ns) for row in found] == ordered[: limit or None]
        assert journal.verify() == len(rows)


def test_many_rows_are_read_whole_in_both_directions(tmp_path: Path) -> None:
    fill(tmp_path / "journal.db", 1203)
    with Journal.open(tmp_path / "journal.db", read_only=True) as journal:
        assert [row.seq for row in journal.rows()] == list(range(1, 1204))
        assert [row.seq for row in journal.rows(newest_first=True)] == list(range(1203, 0, -1))
        assert [row.seq for row in journal.rows(limit=700)] == list(range(1, 701))


def test_rows_are_seen_once_committed_and_the_chain_goes_on_after_reopening(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal.open(path) as journal:
        journal.append("input", b"one", at_ns=1)
        assert not list(journal.rows())
        journal.commit()
        journal.append("input", b"two", at_ns=2)
        with Journal.open(path, read_only=True) as reader:
            assert [row.body for row in reader.rows()] == [b"one"]
    with Journal.open(path) as journal:
        assert journal.append("input", b"three", at_ns=3) == 3
        journal.commit()
        assert journal.verify() == 3
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("attempt", range(25))
def test_any_changed_byte_is_found_in_its_row(tmp_path: Path, attempt: int) -> None:
    path, chance = tmp_path / "journal.db", random.Random(attempt)
    fill(path, 20)
    seq = chance.randint(1, 20)
    column = chance.choice(["at_ns", "kind", "bot", "account", "body", "hash"])
    connection = apsw.Connection(str(path))
    (value,) = connection.execute(f"SELECT {column} FROM journal WHERE seq = ?", (seq,)).fetchall()[0]
    if isinstance(value, int):
        changed: Any = value ^ (1 << chance.randrange(60))
        connection.execute(f"UPDATE journal SET {column} = ? WHERE seq = ?", (changed, seq))
    else:
        raw = bytearray(value.encode() if isinstance(value, str) else value)
        raw[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
        as_text = "CAST(? AS TEXT)" if isinstance(value, str) else "?"
        connection.execute(f"UPDATE journal SET {column} = {as_text} WHERE seq = ?", (bytes(raw), seq))
    connection.close()
    with Journal.open(path, read_only=True) as journal, pytest.raises(JournalBroken) as caught:
        journal.verify()
    assert caught.value.seq == seq
    assert f"row {seq} is not as it was written" in str(caught.value)


@pytest.mark.parametrize(
    ("sql", "first_bad", "words"),
    [
        ("DELETE FROM journal WHERE seq = 7", 7, "is missing"),
        ("DELETE FROM journal WHERE seq = 1", 1, "is missing"),
        ("DELETE FROM journal WHERE seq = 20", 20, "is missing"),
        ("DELETE FROM journal", 1, "is missing"),
        ("UPDATE journal SET seq = seq - 7 WHERE seq = 7", 0, "was put in"),
        (
            "INSERT INTO journal SELECT 21, at_ns, kind, bot, account, body, hash FROM journal WHERE seq = 20",
            21,
            "not as it",
        ),
        ("INSERT INTO journal SELECT -5, at_ns, kind, bot, account, body, hash FROM journal WHERE seq = 20", -5, "put in"),
        ("UPDATE journal SET bot = bot || account, account = '' WHERE seq = 9", 9, "is not as it was written"),
        ("UPDATE head SET hash = zeroblob(32)", 20, "is not as it was written"),
        ("DELETE FROM head", 1, "cannot be read"),
    ],
)
def test_a_row_removed_put_in_or_moved_is_found(tmp_path: Path, sql: str, first_bad: int, words: str) -> None:
    path = tmp_path / "journal.db"
    fill(path, 20)
    with Journal.open(path, read_only=True) as journal:
        assert journal.verify() == 20
        change(path, sql)
        with pytest.raises(JournalBroken) as caught:
            journal.verify()
    assert caught.value.seq == first_bad
    assert words in str(caught.value)


def test_a_row_added_with_a_right_hash_is_found_where_the_head_does_not_know_it(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    fill(path, 3)
    kept = tmp_path / "longer.db"
    fill(kept, 4)
    with Journal.open(kept, read_only=True) as longer:
        fourth = list(longer.rows())[3]
    values = (fourth.seq, fourth.at_ns, fourth.kind, fourth.bot, fourth.account, fourth.body, fourth.hash)
    change(path, "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?)", *values)
    with Journal.open(path, read_only=True) as journal, pytest.raises(JournalBroken, match="row 4 was put in"):
        journal.verify()


WRITER = """
import itertools, sys
from pathlib import Path
from copydesk.journal import Journal
journal = Journal.open(Path(sys.argv[1]), durability=sys.argv[2])
for number in itertools.count(1):
    for part in range(number % 3 + 1):
        seq = journal.append("input", b"%d/%d" % (number, part), at_ns=number)
    journal.commit()
    print(seq, flush=True)
"""


@pytest.mark.parametrize("durability", ["page-cache", "fsync"])
def test_after_kill_9_every_committed_row_is_there_and_whole_transactions_only(tmp_path: Path, durability: str) -> None:
    path = tmp_path / "journal.db"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), durability], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        told = [int(line) for line in itertools.islice(writer.stdout, 200)]
        writer.kill()
        told += [int(line) for line in writer.stdout]
    assert writer.returncode == -signal.SIGKILL
    with Journal.open(path) as journal:
        count = journal.verify()
        assert count >= told[-1]
        last = list(journal.rows())[-1]
        number, part = map(int, last.body.split(b"/"))
        if durability == "fsync":
            assert part == number % 3, "half of a transaction was kept"
        journal.append("engine", b"back", at_ns=1)
        journal.commit()
        assert journal.verify() == count + 1


def test_a_second_writer_is_told_and_its_rows_stay_out(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal.open(path), pytest.raises(JournalError, match="another process writes to this journal"):
        Journal.open(path)
    with Journal.open(path, durability="fsync") as first:
        second = Journal.open(path, durability="fsync")
        first.append("input", b"first", at_ns=1)
        first.commit()
        second.append("input", b"second", at_ns=1)
        for _ in range(2):
            with pytest.raises(JournalError, match="another process has written"):
                second.commit()
        with pytest.raises(JournalError, match="another process has written"):
            second.close()
        assert first.verify() == 1


def test_rows_wait_while_the_disk_is_full_and_are_written_afterwards(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal.open(path) as journal:
        pages = journal._connection.pragma("page_count")
        journal._connection.pragma("max_page_count", pages)
        for number in range(3):
            journal.append("input", b"x" * 3000, at_ns=number)
        with pytest.raises(JournalError, match="full; free some space"):
            journal.commit()
        assert journal.verify() == 0
        journal._connection.pragma("max_page_count", 1_000_000)
        journal.commit()
        assert journal.verify() == 3


def test_a_sync_that_fails_is_raised_by_the_next_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = Journal.open(tmp_path / "journal.db")
    assert journal._syncer is not None

    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("copydesk.journal.os.fdatasync", broken)
    journal.append("input", b"", at_ns=1)
    journal.commit()
    journal._syncer._thread.join(timeout=10)
    journal.append("input", b"", at_ns=2)
    with pytest.raises(JournalError, match="cannot be synced to disk"):
        journal.commit()
    with pytest.raises(JournalError, match="cannot be synced to disk"):
        journal.close()


def test_a_journal_that_is_far_behind_catches_up_before_it_takes_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("copydesk.journal.MAX_BUFFERED", 10)
    with Journal.open(tmp_path / "journal.db") as journal:
        for _ in range(10):
            journal.append("input", b"", at_ns=1)
        assert not list(journal.rows())
        journal.append("input", b"", at_ns=1)
        assert len(list(journal.rows())) == 10


def test_nothing_is_appended_without_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("copydesk.journal.MAX_BUFFERED", 10)
    with Journal.open(tmp_path / "journal.db") as journal:
        for _ in range(10):
            journal.append("input", b"", at_ns=1)
        with monkeypatch.context() as broken:

            def full(*_: object) -> None:
                raise JournalError("the disk is full")

            broken.setattr("copydesk.journal._insert", full)
            with pytest.raises(JournalError, match="10 rows wait to be written: the disk is full"):
                journal.append("input", b"", at_ns=1)
        assert journal.head[0] == 10


def test_the_further_it_is_behind_the_more_it_catches_up_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("copydesk.journal.SLICE_ROWS", 5)
    monkeypatch.setattr("copydesk.journal.LATE_ROWS", 10)
    with Journal.open(tmp_path / "journal.db") as journal:
        most = 0
        for _ in range(100):
            for _ in range(12):  # more than a slice, each time: as an engine that is never idle
                journal.append("input", b"", at_ns=1)
            journal.catch_up()
            most = max(most, journal.head[0] - len(list(journal.rows())))
        assert most < 50


def test_the_spool_of_an_engine_that_is_never_idle_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("copydesk.journal.SLICE_ROWS", 5)
    monkeypatch.setattr("copydesk.spool.MAX_BYTES", 1_000)
    monkeypatch.setattr("copydesk.spool.MOST_BYTES", 10_000)
    path = tmp_path / "journal.db"
    with Journal.open(path) as journal:
        for _ in range(200):
            for _ in range(6):
                journal.append("input", b"", at_ns=1)
            journal.catch_up()
            assert sum(file.stat().st_size for file in tmp_path.glob("*spool*")) < 12_000
        assert journal.head[0] == 1_200


def make_text(path: Path) -> None:
    path.write_text("this is not a database, and it is long enough to be looked at as one by its first hundred bytes" * 20)


def make_other_database(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE recipes (name)")
    connection.close()


def make_newer(path: Path) -> None:
    fill(path, 1)
    change(path, "PRAGMA user_version = 9")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (make_text, "is not a journal of copydesk"),
        (make_other_database, "is not a journal of copydesk"),
        (make_newer, "has layout 9"),
        (Path.mkdir, "cannot be opened"),
    ],
)
def test_what_is_not_a_journal_is_refused_and_left_alone(tmp_path: Path, make: Any, words: str) -> None:
    path = tmp_path / "journal.db"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(JournalError, match=words):
        Journal.open(path)
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_reading_needs_a_journal_and_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with pytest.raises(JournalError, match="there is no journal"):
        Journal.open(path, read_only=True)
    assert not path.exists()
    fill(path, 1)
    journal = Journal.open(path, read_only=True)
    journal.append("input", b"", at_ns=1)
    with pytest.raises(JournalError, match="for reading only"):
        journal.commit()
    with pytest.raises(JournalError, match="for reading only"):
        journal.close()


def test_an_old_sqlite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apsw.sqlite_lib_version", lambda: "3.51.2")
    with pytest.raises(JournalError, match=r"SQLite 3\.51\.2 can lose rows .* needs 3\.51\.3 or newer"):
        Journal.open(tmp_path / "journal.db")
    monkeypatch.setattr("apsw.sqlite_lib_version", lambda: "3.51.3")
    Journal.open(tmp_path / "journal.db").close()


def test_the_log_does_not_grow_for_ever_while_rows_keep_coming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("copydesk.journal.CHECKPOINT_ROWS", 100)
    monkeypatch.setattr("copydesk.journal.MAX_LOG_BYTES", 1_000_000)
    monkeypatch.setattr("copydesk.journal.SYNC_SECONDS", 0.001)
    monkeypatch.setattr("copydesk.journal.LOG_BYTES", 100_000)
    path = tmp_path / "journal.db"
    log = Path(f"{path}-wal")
    sizes = [0]
    with Journal.open(path) as journal:
        while sum(after < before for before, after in itertools.pairwise(sizes)) < 3:
            assert len(sizes) < 100_000, "the log was never begun anew"
            journal.append("input", b"x" * 1000, at_ns=1)
            journal.commit()
            sizes.append(log.stat().st_size)
        assert journal.verify() == len(sizes) - 1


def test_rows_are_written_while_somebody_keeps_reading_and_the_log_cannot_begin_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {
        "CHECKPOINT_ROWS": 100,
        "MAX_LOG_BYTES": 100_000,
        "LOG_BYTES": 100_000,
        "SYNC_SECONDS": 0.001,
    }.items():
        monkeypatch.setattr(f"copydesk.journal.{name}", value)
    path = tmp_path / "journal.db"
    log = Path(f"{path}-wal")
    with Journal.open(path) as journal:

        def write() -> int:
            journal.append("input", b"x" * 1000, at_ns=1)
            journal.commit()
            return log.stat().st_size

        write()
        reader = apsw.Connection(str(path))
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM journal").fetchall()
        kept = [write() for _ in range(1_000)]
        assert kept == sorted(kept), "the log was begun anew beneath a reader"
        reader.close()
        for _ in range(100_000):
            if write() < kept[-1]:
                break
        else:
            pytest.fail("the log was not begun anew after the reader had gone")
        assert journal.verify() == journal.head[0]
