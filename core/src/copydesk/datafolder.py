"""The data folder: where it is, who works on it, and how files in it are written.

In it: `copydesk.toml` (people write it), `bots.toml`, `journal.db` with its `-wal`, `-shm` and `-spool`, `secrets.sealed`,
`control.json` (only while an engine runs) and `lock`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from copydesk.errors import ConfigError, CopydeskError, DataFolderInUse
from copydesk.model import Record, from_json, to_json

LOCK_NAME = "lock"
CONTROL_NAME = "control.json"
TOKEN_NAME = "control.token"  # noqa: S105 - the file's name, not a token
JOURNAL_NAME = "journal.db"
FOLDER_VARIABLE = "COPYDESK_DATA"


class ControlFile(Record):
    """How to reach the engine that runs on this folder."""

    url: str
    token: str
    pid: int

    def __repr__(self) -> str:
        return f"ControlFile(url={self.url!r}, token=<hidden>, pid={self.pid})"


def resolve_folder(given: str | Path | None = None) -> Path:
    """The data folder: `given`, else `COPYDESK_DATA`, else the user's own data folder. It need not exist."""
    chosen = given or os.environ.get(FOLDER_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().absolute()
    from platformdirs import user_data_path  # costs some milliseconds, and only here

    return user_data_path("copydesk", appauthor=False)


def make_folder(folder: Path) -> Path:
    """Create the folder for this user alone where it is not there yet. Raises `ConfigError` where that cannot be."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the data folder {folder} cannot be made: {error.strerror}; choose another with --data or {FOLDER_VARIABLE}"
        ) from None
    return folder


# --- the lock -----------------------------------------------------------------------------------------------


class FolderLock:
    """The sole right to change a data folder, held until `release` or the process ends, however it ends."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go. Calling it again does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()


def lock_folder(folder: Path, name: str = LOCK_NAME) -> FolderLock:
    """Take the folder, or by another `name` a part of it. Raises `DataFolderInUse`, with the holder's process id."""
    path = make_folder(folder) / name
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be opened: {error.strerror}; correct its permissions, or choose another --data"
        ) from None
    if not _lock_soon(descriptor):
        holder = _holder(path) or "unknown"
        os.close(descriptor)
        raise DataFolderInUse(
            f"the data folder {folder} is in use by another copydesk (process {holder}): stop that one, "
            "or choose another folder with --data"
        )
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return FolderLock(descriptor)


def is_locked(folder: Path) -> bool:
    """True while some process holds the folder."""
    try:
        descriptor = os.open(folder / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _holder(path: Path) -> int:
    """The process that took the lock last; 0 where the file does not say."""
    text = path.read_bytes()[:32].strip()
    return int(text) if text.isdigit() else 0


def _lock_soon(descriptor: int) -> bool:
    """Try for 100 ms: `is_locked` in another process holds the lock for a moment too."""
    for pause in (0.005, 0.02, 0.075, 0.0):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        time.sleep(pause)
    return False


# --- files --------------------------------------------------------------------------------------------------


def write_atomically(path: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace the file as a whole: after a crash there is the old content or the new, never a mixture.

    Raises `CopydeskError` where it cannot be written; the old content is then still there.
    """
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            _write_synced(descriptor, data, mode)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # or the new name may be lost with the machine's power
        finally:
            os.close(folder)
    except OSError as error:
        raise CopydeskError(
            f"{path} cannot be written: {error.strerror}; nothing was changed, free some space or correct permissions"
        ) from None


def _write_synced(descriptor: int, data: bytes, mode: int) -> None:
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_control(folder: Path, control: ControlFile) -> None:
    """Tell others on this machine, and this user alone, how to reach the engine."""
    write_atomically(folder / CONTROL_NAME, to_json(control))
    write_atomically(folder / TOKEN_NAME, control.token.encode())  # alone, as Prometheus reads it


def read_control(folder: Path) -> ControlFile | None:
    """How to reach the engine of this folder; `None` where none runs (a file that a crash left behind does not count)."""
    if not is_locked(folder):
        return None
    try:
        control = from_json((folder / CONTROL_NAME).read_bytes(), ControlFile)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as error:
        raise ConfigError(f"{folder / CONTROL_NAME} cannot be read: {error}; restart the engine") from None
    return control if control.pid == _holder(folder / LOCK_NAME) else None


def remove_control(folder: Path) -> None:
    """Take `control.json` and `control.token` away, if they are there."""
    (folder / CONTROL_NAME).unlink(missing_ok=True)
    (folder / TOKEN_NAME).unlink(missing_ok=True)
