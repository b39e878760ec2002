"""What a process that dies leaves of its journal, at any point, and what is made of it at the next open.

Everything handed to the kernel survives a process's death, so the files as they are at a moment are what a `kill -9` at
that moment leaves: copies of them stand for it where every moment is looked at, and real processes are killed besides.
"""

from __future__ import annotations

import itertools
import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from copydesk.errors import JournalError
from copydesk.journal import Journal, spool_of
from copydesk.spool import Spool
from harness.deaths import left_behind
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

STEP = st.sampled_from(["append", "append", "append", "keep", "prepare", "catch up", "commit"])


def append(journal: Journal, count: int, size: int = 20) -> None:
    for _ in range(count):
        seq = journal.head[0] + 1
        journal.append("input", b"%d " % seq * (size // 5 + 1), at_ns=seq, bot="bøt", account="parent")


def recovered(path: Path) -> list[tuple[int, bytes]]:
    """Number and hash of every row after the next open, which goes on from there and leaves an empty spool."""
    with Journal.open(path) as journal:
        assert spool_of(path).stat().st_size == 0
        rows = [(row.seq, row.hash) for row in journal.rows()]
        assert journal.verify() == len(rows)
        append(journal, 1)
        journal.commit()
        assert journal.verify() == len(rows) + 1
    return rows


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(STEP, st.integers(1, 5)), max_size=12))
def test_after_a_death_at_any_moment_there_is_all_that_was_kept(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    folder = tmp_path_factory.mktemp("journal")
    path = folder / "journal.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("copydesk.journal.SLICE_ROWS", 3)
        patch.setattr("copydesk.spool.MAX_BYTES", 500)
        with Journal.open(path) as journal:
            chain: list[tuple[int, bytes]] = []
            safe = 0
            for number, (step, count) in enumerate(steps):
                match step:
                    case "append":
                        for _ in range(count):
                            append(journal, 1)
                            chain.append(journal.head)
                    case "keep":
                        journal.keep()
                    case "prepare":
                        journal.prepare()
                    case "catch up":
                        journal.catch_up()
                    case "commit":
                        journal.commit()
                if step != "append":
                    safe = len(chain)
                rows = recovered(left_behind(path, folder / str(number)))
                assert rows == chain[: len(rows)]
                assert len(rows) == safe


WRITER = """
import random, sys
from pathlib import Path
from copydesk.journal import Journal
chance = random.Random(int(sys.argv[2]))
journal = Journal.open(Path(sys.argv[1]))
while True:
    for _ in range(chance.choice((1, 1, 3, 150))):
        seq = journal.append("input", b"x" * chance.randint(0, 3000), at_ns=1)
    if chance.random() < 0.6:
        journal.keep()
        print(seq, flush=True)
    if chance.random() < 0.5:
        journal.catch_up()
"""


@pytest.mark.parametrize("seed", range(4))
def test_after_kill_9_every_row_that_was_kept_is_there(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "journal.db"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), str(seed)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        told = [int(line) for line in itertools.islice(writer.stdout, random.Random(seed).randint(50, 150))]
        writer.kill()
        told += [int(line) for line in writer.stdout if line.endswith("\n")]
    rows = recovered(path)
    assert [seq for seq, _ in rows] == list(range(1, len(rows) + 1))
    assert len(rows) >= told[-1]


@pytest.fixture
def died(tmp_path: Path) -> Path:
    """A journal whose process died: three rows in the database, six in the spool, the first two of which are the same."""
    path = tmp_path / "alive" / "journal.db"
    path.parent.mkdir()
    with pytest.MonkeyPatch.context() as patch, Journal.open(path) as journal:
        patch.setattr("copydesk.journal.SLICE_ROWS", 2)
        append(journal, 1)
        journal.commit()
        journal._spool.begin_anew()  # type: ignore[union-attr]
        append(journal, 6)
        journal.keep()
        journal.catch_up()
        return left_behind(path, tmp_path / "dead")


def with_spool(died: Path, folder: Path, data: bytes) -> Path:
    path = left_behind(died, folder)
    spool_of(path).write_bytes(data)
    return path


def frame_ends(data: bytes) -> list[int]:
    """Where each row ends: a length, the same inverted, what is hashed, the hash."""
    ends: list[int] = []
    at = 0
    while at < len(data):
        at += 8 + int.from_bytes(data[at : at + 4]) + 32
        ends.append(at)
    return ends


def test_a_last_row_cut_off_anywhere_is_left_out(died: Path, tmp_path: Path) -> None:
    data = spool_of(died).read_bytes()
    ends = frame_ends(data)
    assert len(ends) == 6
    assert ends[-1] == len(data)
    whole = recovered(with_spool(died, tmp_path / "whole", data))
    assert len(whole) == 7
    for length in range(ends[-2], ends[-1]):
        assert found_in(data[:length], tmp_path) == ([2, 3, 4, 5, 6], "")
    for length in (ends[-2], ends[-2] + 7, ends[-2] + 8, ends[-1] - 1):
        assert recovered(with_spool(died, tmp_path / f"cut-{length}", data[:length])) == whole[:6]
    lost_power = data[: ends[-2]] + bytes(ends[-1] - ends[-2])
    assert recovered(with_spool(died, tmp_path / "zeros", lost_power + bytes(5000))) == whole[:6]


def test_a_changed_byte_is_told_and_never_believed(died: Path, tmp_path: Path) -> None:
    data = spool_of(died).read_bytes()
    ends = frame_ends(data)
    for at in range(len(data)):
        found, told = found_in(data[:at] + bytes([data[at] ^ 1 << at % 8]) + data[at + 1 :], tmp_path)
        assert found == [2, 3, 4, 5, 6][: sum(end <= at for end in ends)]
        if told:
            assert "is not as it was written; move the file away" in told
        else:
            assert at >= ends[-2], "only what can be a last row cut off is passed over"


def found_in(data: bytes, folder: Path) -> tuple[list[int], str]:
    """The rows found in a spool of these bytes, and what is told of the one after them."""
    (folder / "spool").write_bytes(data)
    spool = Spool.open(folder / "spool")
    found: list[int] = []
    try:
        found.extend(frame.seq for frame in spool.frames())
    except JournalError as error:
        return found, str(error)
    finally:
        spool.close()
    return found, ""


def test_a_spool_that_does_not_go_on_from_the_database_is_refused_and_left(died: Path, tmp_path: Path) -> None:
    data = spool_of(died).read_bytes()
    ends = frame_ends(data)
    older = tmp_path / "older" / "journal.db"
    older.parent.mkdir()
    Journal.open(older).close()
    other = tmp_path / "other" / "journal.db"
    other.parent.mkdir()
    with Journal.open(other) as journal:
        journal.append("input", b"another", at_ns=1)
    for path, spool in (
        (older, data),
        (other, data),
        (left_behind(died, tmp_path / "gap"), data[ends[2] :]),
        (left_behind(died, tmp_path / "shorter"), spool_of(left_behind_of_another(tmp_path)).read_bytes()),
    ):
        spool_of(path).write_bytes(spool)
        for durability in ("page-cache", "fsync"):
            with pytest.raises(JournalError, match=r"does not go on where .* ends: put the database back"):
                Journal.open(path, durability=durability)
        assert spool_of(path).read_bytes() == spool
        spool_of(path).unlink()
        Journal.open(path).close()


def left_behind_of_another(tmp_path: Path) -> Path:
    """What a death left of another journal, which never came beyond its second row."""
    path = tmp_path / "another" / "journal.db"
    path.parent.mkdir()
    with Journal.open(path) as journal:
        journal.append("input", b"another", at_ns=1)
        journal.append("input", b"another", at_ns=1)
        journal.keep()
        return left_behind(path, tmp_path / "another-dead")


def test_rows_missing_between_two_are_told(died: Path, tmp_path: Path) -> None:
    data = spool_of(died).read_bytes()
    ends = frame_ends(data)
    path = with_spool(died, tmp_path / "hole", data[: ends[2]] + data[ends[3] :])
    with pytest.raises(JournalError, match="the row after 4 does not follow the one before"):
        Journal.open(path)


def test_what_is_in_the_spool_reaches_the_database_whatever_the_durability(died: Path) -> None:
    with Journal.open(died, durability="fsync") as journal:
        assert journal.verify() == 7
    assert spool_of(died).stat().st_size == 0


def test_reading_leaves_the_spool_alone(died: Path) -> None:
    data = spool_of(died).read_bytes()
    with Journal.open(died, read_only=True) as journal:
        assert journal.verify() == 3
    assert spool_of(died).read_bytes() == data


@contextmanager
def files_no_longer_than(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("room", [0, 1, 100, 3000, 20_000])
def test_rows_wait_while_the_disk_is_full_and_are_kept_afterwards(tmp_path: Path, room: int) -> None:
    path = tmp_path / "journal.db"
    with Journal.open(path) as journal:
        append(journal, 2)
        journal.keep()
        append(journal, 40, size=1000)
        size = spool_of(path).stat().st_size
        with files_no_longer_than(size + room):
            for act in (journal.keep, journal.prepare, journal.catch_up, journal.commit):
                with pytest.raises(JournalError, match=r"spool cannot be written: .*; free some space"):
                    act()
        assert spool_of(path).stat().st_size == size
        assert len(recovered(left_behind(path, tmp_path / "full"))) == 2
        append(journal, 1)
        journal.keep()
        assert len(recovered(left_behind(path, tmp_path / "free"))) == 43


def test_the_file_is_this_users_alone_and_begins_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("copydesk.spool.MAX_BYTES", 50_000)
    path = tmp_path / "journal.db"
    with Journal.open(path) as journal:
        assert spool_of(path).stat().st_mode & 0o777 == 0o600
        sizes: list[int] = []
        for _ in range(300):
            append(journal, 2, size=500)
            journal.keep()
            journal.catch_up()
            sizes.append(spool_of(path).stat().st_size)
        assert max(sizes) < 52_000
        assert sum(after < before for before, after in itertools.pairwise(sizes)) >= 5
        assert journal.verify() == 600
    assert spool_of(path).stat().st_size == 0


def test_the_database_catches_up_in_slices(tmp_path: Path) -> None:
    with Journal.open(tmp_path / "journal.db") as journal:
        append(journal, 250)
        journal.keep()
        assert not list(journal.rows())
        seen = []
        while journal.catch_up():
            seen.append(len(list(journal.rows())))
        assert seen == [100, 200]
        assert journal.verify() == 250
        for _ in range(3):
            journal.append("input", b"x" * 100_000, at_ns=1)
        assert journal.catch_up()
        assert journal.verify() == 251
        assert journal.catch_up()
        assert not journal.catch_up()
        assert not journal.catch_up()
        assert journal.verify() == 253


def test_a_spool_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    spool_of(path).mkdir()
    with pytest.raises(JournalError, match=r"journal\.db-spool cannot be opened: Is a directory"):
        Journal.open(path)
