"""The spool: rows of the journal that its database may not have yet, in a plain file beside it.

A row is in the kernel's hands after one write that neither locks nor looks anything up, so an order need not wait for a
transaction. The database catches up behind; what a process that died left here is put into it at the next open.

A frame is its length, the same inverted, what the row's hash is made of (the hash before, the lengths, the columns: see
`pack`), and that hash. So each frame is checked by itself and hangs on the one before.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple, Self

from copydesk.errors import JournalError

MAX_BYTES = 1 << 20
"""From this size on the file begins anew as soon as the database has everything."""
MOST_BYTES = 64 << 20
"""From this size on the database is given everything for it, however long that takes."""
_HASH = sha256().digest_size
_length = struct.Struct(">II")
_columns = struct.Struct(">qqIIII")
_LEAST = _HASH + _columns.size


class Frame(NamedTuple):
    """One row, as the journal's table has it, and the hash of the row before."""

    before: bytes
    seq: int
    at_ns: int
    kind: str
    bot: str
    account: str
    body: bytes
    hash: bytes


def pack(before: bytes, seq: int, at_ns: int, kind: bytes, bot: bytes, account: bytes, body: bytes) -> bytes:
    """What a row's hash is made of: the hash before and all columns, with lengths, so that no two rows give the same."""
    lengths = _columns.pack(seq, at_ns, len(kind), len(bot), len(account), len(body))
    return b"".join((before, lengths, kind, bot, account, body))


class Spool:
    """The open file, held by one process. Each method raises `JournalError` where the disk does not do as it should."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._size = os.fstat(descriptor).st_size
        self._waiting: list[bytes] = []

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open the file, or make it for this user alone. Raises `JournalError` where another process holds it."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise JournalError(f"{path} cannot be opened: {error.strerror}; correct its permissions") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            why = "another process writes to this journal: run one engine only"
            raise JournalError(f"{path}: {why if isinstance(error, BlockingIOError) else error.strerror}") from None
        return cls(path, descriptor)

    def add(self, packed: bytes, digest: bytes) -> None:
        """Take a row, to be written by the next `write`."""
        length = len(packed)
        self._waiting += (_length.pack(length, length ^ 0xFFFFFFFF), packed, digest)

    def write(self) -> None:
        """Hand the rows taken to the kernel, in one go. Where that fails they are kept for the next try."""
        if not self._waiting:
            return
        data = b"".join(self._waiting)
        try:
            written = os.write(self._descriptor, data)
        except OSError as error:
            raise self._full(error.strerror) from None
        if written < len(data):
            with contextlib.suppress(OSError):  # else half a frame stays in the middle, which the next open tells
                os.ftruncate(self._descriptor, self._size)
            raise self._full(f"{written} of {len(data)} bytes were written")
        self._size += written
        self._waiting.clear()

    def frames(self) -> Iterator[Frame]:
        """The rows in the file, in order, each hanging on the one before.

        A frame at the end that was not written whole is left out. Raises `JournalError` for anything else that is not
        as it was written.
        """
        try:
            with open(self._descriptor, "rb", closefd=False) as file:
                file.seek(0)
                data = file.read()
        except OSError as error:
            raise JournalError(f"{self._path} cannot be read: {error.strerror}") from None
        at, last = 0, None
        while at < len(data):
            start = at + _length.size
            if start > len(data) or not any(data[at:]):
                return  # torn: by the process's death, or, in zeros, by the machine's
            length, inverted = _length.unpack_from(data, at)
            at = start + length + _HASH
            if length ^ inverted != 0xFFFFFFFF or length < _LEAST:
                raise self._wrong(last, "is not as it was written")
            if at > len(data):
                return
            packed, digest = data[start : start + length], data[start + length : at]
            if sha256(packed).digest() != digest:
                if at == len(data):
                    return
                raise self._wrong(last, "is not as it was written")
            frame = _unpacked(packed, digest)
            if last is not None and (frame.before, frame.seq) != (last.hash, last.seq + 1):
                raise self._wrong(last, "does not follow the one before")
            yield frame
            last = frame

    @property
    def is_long(self) -> bool:
        """True where the file is to begin anew, once the database has everything."""
        return self._size >= MAX_BYTES

    @property
    def is_too_long(self) -> bool:
        """True where the file is to begin anew at once."""
        return self._size >= MOST_BYTES

    def begin_anew(self) -> None:
        """Forget everything written: the database has it. What was taken and not written is kept."""
        try:
            os.ftruncate(self._descriptor, 0)
        except OSError as error:
            raise self._full(error.strerror) from None
        self._size = 0

    def close(self) -> None:
        """Let go of the file. Calling it again does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _wrong(self, last: Frame | None, what: str) -> JournalError:
        place = f"the row after {last.seq}" if last is not None else "the first row"
        return JournalError(f"{self._path}: {place} {what}; move the file away to go on with what the database has")

    def _full(self, why: str | None) -> JournalError:
        return JournalError(f"{self._path} cannot be written: {why}; free some space or repair the disk")


def _unpacked(packed: bytes, digest: bytes) -> Frame:
    seq, at_ns, *lengths = _columns.unpack_from(packed, _HASH)
    parts, at = [], _LEAST
    for length in lengths:
        parts.append(packed[at : at + length])
        at += length
    kind, bot, account, body = parts
    return Frame(packed[:_HASH], seq, at_ns, kind.decode(), bot.decode(), account.decode(), body, digest)
