"""The journal: everything that went in, what was decided, and what was said, append-only and hash-chained, in SQLite.

`append` gives a row its number and its hash. When `keep` returns, all rows appended survive the death of this process: with
durability `page-cache` they are in the spool beside the database (`copydesk.spool`), and `catch_up` puts them into the
database behind, some at a time; about 100 ms later they survive the machine's death too (a thread syncs the write-ahead
log). With `fsync` they are in the database and on the disk when `keep` returns. Those who read see what the database has.
There is one writer: the engine that holds the data folder.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Collection, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import apsw

from copydesk.errors import JournalBroken, JournalError
from copydesk.model import Record
from copydesk.spool import Frame, Spool, pack

MIN_SQLITE = (3, 51, 3)  # the first with the repair of the WAL-reset bug, which could corrupt a database under checkpoints
APPLICATION_ID = 0x6370646B  # "cpdk"
LAYOUT = 1
GENESIS = sha256(b"copydesk journal 1").digest()
SYNC_SECONDS = 0.1
CHECKPOINT_ROWS = 1_000
LOG_BYTES = 8 << 20  # what is kept of the write-ahead log when it begins anew
MAX_LOG_BYTES = 64 << 20
MAX_BUFFERED = 100_000
WAIT_MS = 15_000  # how long a row may wait for the disk while the log is moved into the database
YIELD_MS = 50  # how long moving it may keep rows waiting for those who read: far below WAIT_MS
SLICE_ROWS = 100  # so many go into the database at a time, which takes a quarter of a millisecond
LATE_ROWS = 1_000  # for each so many that wait a slice is as large again
SLICE_BYTES = 64 << 10  # or so much, but one row at the least
_PAGE_ROWS = 500

_LAYOUT_SQL = f"""
BEGIN IMMEDIATE;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {LAYOUT};
CREATE TABLE journal (
    seq INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, kind TEXT NOT NULL, bot TEXT NOT NULL, account TEXT NOT NULL,
    body BLOB NOT NULL, hash BLOB NOT NULL
) STRICT;
CREATE TABLE head (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL, hash BLOB NOT NULL) STRICT;
INSERT INTO head VALUES (1, 0, x'{GENESIS.hex()}');
COMMIT;
"""  # noqa: S608 - constants of this module only
_INSERT = "INSERT INTO journal VALUES (?, ?, ?, ?, ?, ?, ?)"
_HEAD = "UPDATE head SET seq = ?, hash = ?"

_Values = tuple[int, int, str, str, str, bytes, bytes]


class Row(Record):
    """One row. `hash` covers the hash of the row before and every other column."""

    seq: int
    at_ns: int
    kind: str
    bot: str
    account: str
    body: bytes
    hash: bytes


class Journal:
    """An open journal. One thread appends and writes; rows may be read at any time and are those in the database."""

    def __init__(self, path: Path, connection: apsw.Connection, spool: Spool | None, read_only: bool) -> None:
        self._path = path
        self._connection = connection
        self._read_only = read_only
        self._buffer: list[_Values] = []
        self._seq: int
        self._hash: bytes
        self._seq, self._hash = _fetch(connection, "SELECT seq, hash FROM head")[0]
        self._spool = spool
        self._syncer = None if spool is None else _Syncer(path)

    @classmethod
    def open(cls, path: Path, *, durability: str = "page-cache", read_only: bool = False) -> Self:
        """Open the journal, or make it. Raises `JournalError` for an unfit SQLite or a file that is not a journal."""
        check_sqlite()
        if read_only and not path.exists():
            raise JournalError(f"there is no journal at {path}: it is made when an engine first runs on this data folder")
        try:
            connection = _connect(path, WAIT_MS)
            _check_layout(path, connection, create=not read_only)
            if read_only:
                connection.pragma("query_only", True)
                return cls(path, connection, None, read_only)
            connection.pragma("journal_size_limit", LOG_BYTES)
            connection.pragma("synchronous", "FULL")
            spool = _recovered(path, connection)
            if durability == "fsync":
                spool.close()
                return cls(path, connection, None, read_only)
            connection.pragma("synchronous", "NORMAL")
            connection.wal_autocheckpoint(0)  # the syncing thread does it, off the path of orders
            return cls(path, connection, spool, read_only)
        except apsw.Error as error:
            raise JournalError(_open_failure(path, error)) from None

    def append(self, kind: str, body: bytes, *, at_ns: int, bot: str = "", account: str = "") -> int:
        """Number and chain a row, to be written by the next `keep`; returns its seq.

        Where the database has fallen far behind, it catches up first. Raises `JournalError` when it cannot.
        """
        if len(self._buffer) >= MAX_BUFFERED:
            self._relieve()
        seq = self._seq + 1
        packed = pack(self._hash, seq, at_ns, kind.encode(), bot.encode(), account.encode(), body)
        digest = sha256(packed).digest()
        self._buffer.append((seq, at_ns, kind, bot, account, body, digest))
        if self._spool is not None:
            self._spool.add(packed, digest)
        self._seq, self._hash = seq, digest
        return seq

    def warm_up(self, kind: str, body: bytes, *, at_ns: int, account: str = "") -> None:
        """Do what `append` computes for such a row, and keep nothing of it."""
        chain_hash(self._hash, self._seq + 1, at_ns, kind.encode(), b"", account.encode(), body)

    @property
    def head(self) -> tuple[int, bytes]:
        """Number and hash of the row appended last; 0 and the beginning of the chain where there is none."""
        return self._seq, self._hash

    def keep(self) -> None:
        """Make all appended rows safe from the death of this process. Raises `JournalError`; the rows are then kept."""
        if self._spool is None:
            self.commit()
            return
        self._spool.write()
        if self._syncer is not None:
            self._syncer.check()

    def prepare(self) -> None:
        """Put appended rows into the spool, if there is one: the next `keep` finds few then. Raises as `keep` does."""
        if self._spool is not None:
            self._spool.write()

    def catch_up(self) -> bool:
        """Put some rows into the database, for half a millisecond. Returns whether more wait. Raises as `commit` does.

        Where many wait it is a share of them, so that the database keeps up with whatever the engine does.
        """
        if self._spool is not None and self._spool.is_too_long:
            self.commit()
            return False
        share = max(1, len(self._buffer) // LATE_ROWS)
        count = size = 0
        for *_, body, _hash in self._buffer[: SLICE_ROWS * share]:
            if count and size + len(body) > SLICE_BYTES * share:
                break
            count, size = count + 1, size + len(body)
        self._write(count)
        return bool(self._buffer)

    def commit(self) -> None:
        """Put all appended rows into the database. Raises `JournalError`; the rows are then kept for the next try."""
        self._write(len(self._buffer))

    def _relieve(self) -> None:
        """Commit what waits, however long it takes. Raises `JournalError` where that fails: no row is taken any more."""
        waiting = len(self._buffer)
        try:
            self.commit()
        except JournalError as error:
            raise JournalError(f"{waiting} rows wait to be written: {error}") from None

    def _write(self, count: int) -> None:
        """Put the first so many rows into the database, in one transaction; what is there is in the spool before."""
        if not count:
            return
        if self._read_only:
            raise JournalError(f"{self._path} was opened for reading only")
        if self._spool is not None:
            self._spool.write()
        _insert(self._path, self._connection, self._buffer[:count])
        del self._buffer[:count]
        if self._spool is not None and self._spool.is_long and not self._buffer:
            self._spool.begin_anew()
        if self._syncer is not None:
            self._syncer.note(count)

    def rows(
        self,
        *,
        kinds: Collection[str] = (),
        bot: str = "",
        account: str = "",
        from_ns: int = 0,
        to_ns: int = 0,
        after_seq: int = 0,
        before_seq: int = 0,
        limit: int = 0,
        newest_first: bool = False,
    ) -> Iterator[Row]:
        """The database's rows in order of seq. Empty and zero filters do not filter; `to_ns`, `before_seq` are exclusive.

        Read page by page, so that a slow reader holds no lock. Raises `JournalError` where the file cannot be read.
        """
        filters, values = _filters(kinds, bot, account, from_ns, to_ns)
        low, high, left = after_seq, before_seq or 2**62, limit or 2**62
        order = "DESC" if newest_first else "ASC"
        sql = f"SELECT * FROM journal WHERE seq > ? AND seq < ?{filters} ORDER BY seq {order} LIMIT ?"  # noqa: S608 - words of this module only
        while left > 0:
            try:
                page = _fetch(self._connection, sql, low, high, *values, min(left, _PAGE_ROWS))
            except (apsw.Error, UnicodeDecodeError) as error:
                raise JournalError(f"{self._path} cannot be read: {error}; see `copydesk journal verify`") from None
            for seq, at_ns, kind, of_bot, of_account, body, digest in page:
                yield Row(seq=seq, at_ns=at_ns, kind=kind, bot=of_bot, account=of_account, body=body, hash=digest)
            if len(page) < min(left, _PAGE_ROWS):
                return
            left -= len(page)
            low, high = (low, page[-1][0]) if newest_first else (page[-1][0], high)

    def verify(self) -> int:
        """Check the whole chain; returns how many rows hold. Raises `JournalBroken` with the first that does not."""
        expected, digest = 1, GENESIS
        try:
            head_seq, head_hash = _fetch(self._connection, "SELECT seq, hash FROM head")[0]
            for seq, at_ns, kind, bot, account, body, stored in self._raw_rows():
                if seq != expected:
                    raise self._broken(min(seq, expected), "is missing" if seq > expected else "was put in")
                digest = chain_hash(digest, seq, at_ns, kind, bot, account, body)
                if stored != digest or (seq == head_seq and head_hash != digest):
                    raise self._broken(seq, "is not as it was written")
                expected += 1
            last_seq = _fetch(self._connection, "SELECT seq FROM head")[0][0]
        except (apsw.Error, IndexError) as error:
            raise self._broken(expected, f"cannot be read ({error})") from None
        if head_seq >= expected:
            raise self._broken(expected, "is missing")
        if last_seq < expected - 1:
            raise self._broken(last_seq + 1, "was put in")
        return expected - 1

    def close(self) -> None:
        """Commit what was appended, sync, and close. Calling it again does nothing."""
        spool, syncer = self._spool, self._syncer
        with contextlib.ExitStack() as closing:
            closing.callback(self._connection.close)
            if spool is not None:
                closing.callback(spool.close)
            if syncer is not None:
                closing.callback(syncer.stop)
            try:
                self.commit()
            finally:
                self._spool = self._syncer = None
            if spool is not None:
                spool.begin_anew()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _raw_rows(self) -> Iterator[tuple[int, int, bytes, bytes, bytes, bytes, bytes]]:
        """All rows with text as bytes, for text that was tampered with need not be UTF-8."""
        last = -(2**63)
        sql = (
            "SELECT seq, at_ns, CAST(kind AS BLOB), CAST(bot AS BLOB), CAST(account AS BLOB), body, hash "
            "FROM journal WHERE seq > ? ORDER BY seq LIMIT ?"
        )
        while page := _fetch(self._connection, sql, last, _PAGE_ROWS):
            yield from page
            last = page[-1][0]

    def _broken(self, seq: int, what: str) -> JournalBroken:
        return JournalBroken(f"{self._path}: row {seq} {what}: nothing from there on can be trusted", seq=seq)


def chain_hash(before: bytes, seq: int, at_ns: int, kind: bytes, bot: bytes, account: bytes, body: bytes) -> bytes:
    """SHA-256 over the hash before and all columns."""
    return sha256(pack(before, seq, at_ns, kind, bot, account, body)).digest()


def check_sqlite() -> str:
    """The version of the SQLite in use. Raises `JournalError` where it is older than `MIN_SQLITE`."""
    version: str = apsw.sqlite_lib_version()
    if tuple(int(part) for part in version.split(".")[:3]) < MIN_SQLITE:
        needed = ".".join(map(str, MIN_SQLITE))
        raise JournalError(
            f"SQLite {version} can lose rows of the journal: copydesk needs {needed} or newer (pip install -U apsw)"
        )
    return version


class _Syncer:
    """A thread that syncs the write-ahead log soon after commits and moves it into the database now and then.

    It works on a connection of its own, so that the committing thread does not wait for the disk, and looks by itself
    whether there is anything to do: waking it at each commit would cost time just where orders are about to be sent. What
    fails here is raised by the next `note` or `check`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._unsynced = self._in_log = 0
        self._failure = ""
        self._stopping = threading.Event()
        self._connection = _connect(path, YIELD_MS)
        self._connection.pragma("synchronous", "NORMAL")
        # SQLite keeps no lock on the log file itself, so that a descriptor of our own on it is safe.
        self._log = os.open(f"{path}-wal", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._thread = threading.Thread(target=self._run, name="journal-sync", daemon=True)
        self._thread.start()

    def note(self, rows: int) -> None:
        """So many rows were committed. Raises `JournalError` where syncing has failed since."""
        self._unsynced += rows
        self.check()

    def check(self) -> None:
        """Raises `JournalError` where syncing has failed."""
        if self._failure:
            raise JournalError(self._failure)

    def stop(self) -> None:
        """Sync what is left and end. Raises `JournalError` where that fails."""
        self._stopping.set()
        self._thread.join()
        os.close(self._log)
        self._connection.close()
        if self._failure:
            raise JournalError(self._failure)

    def _run(self) -> None:
        ending = False
        while not (ending or self._failure):
            ending = self._stopping.wait(SYNC_SECONDS)
            if self._unsynced:
                self._in_log += self._unsynced
                self._unsynced = 0  # a row that is committed just now is synced all the same, and at worst not counted
                self._sync()

    def _sync(self) -> None:
        try:
            os.fdatasync(self._log)
            if self._in_log >= CHECKPOINT_ROWS:
                self._empty_log()
        except (OSError, apsw.Error) as error:
            self._failure = f"{self._path} cannot be synced to disk: {error}; free some space or repair the disk"

    def _empty_log(self) -> None:
        """Move the log into the database, so that the next commit begins it anew.

        Passively, which holds nobody up, but never comes to the end while rows keep coming. So, where the log has become
        long, by keeping the committing thread waiting for the little that is then left, and for a moment for who reads.
        """
        self._in_log = 0
        with contextlib.suppress(apsw.BusyError):  # somebody writes, reads or moves it just now: next time
            self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            if os.fstat(self._log).st_size > MAX_LOG_BYTES:
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_RESTART)


def spool_of(path: Path) -> Path:
    """The spool of the journal at `path`."""
    return path.with_name(f"{path.name}-spool")


def _recovered(path: Path, connection: apsw.Connection) -> Spool:
    """The spool, empty: what it had is in the database. Raises `JournalError` where it does not fit the database."""
    spool = Spool.open(spool_of(path))
    try:
        if lacking := _lacking(path, connection, spool):
            _insert(path, connection, [frame[1:] for frame in lacking])
        spool.begin_anew()
    except BaseException:
        spool.close()
        connection.close()
        raise
    return spool


def _lacking(path: Path, connection: apsw.Connection, spool: Spool) -> list[Frame]:
    """The rows of the spool that the database has not."""
    seq, digest = _fetch(connection, "SELECT seq, hash FROM head")[0]
    frames = list(spool.frames())
    shared = sum(frame.seq <= seq for frame in frames)
    if shared:
        last = frames[shared - 1]
        fits = _fetch(connection, "SELECT hash FROM journal WHERE seq = ?", last.seq) == [(last.hash,)]
    else:
        fits = not frames or (frames[0].seq, frames[0].before) == (seq + 1, digest)
    if not fits:
        raise JournalError(
            f"{spool_of(path)} does not go on where {path} ends: put the database back that belongs to it, or move the "
            "file away to go on with what the database has"
        )
    return frames[shared:]


def _insert(path: Path, connection: apsw.Connection, rows: Sequence[_Values]) -> None:
    """Put rows that follow the head into the database, in one transaction."""
    cursor = connection.cursor()
    seq, *_, digest = rows[-1]
    try:
        cursor.execute("BEGIN IMMEDIATE")
        try:
            cursor.executemany(_INSERT, rows)
            cursor.execute(_HEAD, (seq, digest))
            cursor.execute("COMMIT")
        except apsw.Error:
            if connection.in_transaction:
                cursor.execute("ROLLBACK")
            raise
    except apsw.ConstraintError:
        raise JournalError(f"{path}: another process has written to this journal: run one engine only") from None
    except apsw.Error as error:
        raise JournalError(f"{path} cannot be written: {error}; free some space or repair the disk") from None


def _connect(path: Path, wait_ms: int) -> apsw.Connection:
    connection = apsw.Connection(str(path))
    connection.set_busy_timeout(wait_ms)
    return connection


def _fetch(connection: apsw.Connection, sql: str, *values: str | int) -> list[Any]:
    """All rows of a query, whose types are those of the table's STRICT columns."""
    return connection.execute(sql, values).fetchall()


def _check_layout(path: Path, connection: apsw.Connection, *, create: bool) -> None:
    """Make the layout in an empty file; raise `JournalError` for any other that is not a journal of ours."""
    identity, layout = connection.pragma("application_id"), connection.pragma("user_version")
    tables = _fetch(connection, "SELECT count(*) FROM sqlite_schema")[0][0]
    if not tables and not identity and create:
        connection.pragma("journal_mode", "wal")
        connection.execute(_LAYOUT_SQL)
        os.chmod(path, 0o600)
        return
    if identity != APPLICATION_ID:
        connection.close()
        raise JournalError(f"{path} is not a journal of copydesk: move it away, or choose another folder with --data")
    if layout != LAYOUT:
        connection.close()
        raise JournalError(
            f"{path} has layout {layout}, this copydesk reads layout {LAYOUT}: use the version that wrote it"
        )


def _open_failure(path: Path, error: apsw.Error) -> str:
    if isinstance(error, apsw.NotADBError):
        return f"{path} is not a journal of copydesk: move it away, or choose another folder with --data"
    return f"the journal {path} cannot be opened: {error}; check the folder's permissions and the disk"


def _filters(kinds: Collection[str], bot: str, account: str, from_ns: int, to_ns: int) -> tuple[str, tuple[str | int, ...]]:
    parts: list[tuple[str, tuple[str | int, ...]]] = []
    if kinds:
        parts.append((f"kind IN ({', '.join('?' * len(kinds))})", tuple(kinds)))
    for sql, value in (("bot = ?", bot), ("account = ?", account), ("at_ns >= ?", from_ns), ("at_ns < ?", to_ns)):
        if value:
            parts.append((sql, (value,)))
    return "".join(f" AND {sql}" for sql, _ in parts), tuple(value for _, values in parts for value in values)
