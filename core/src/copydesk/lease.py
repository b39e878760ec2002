"""Leases: no two engines on this machine drive one child account, whatever data folders they run on (rule 16).

A lease is a lock on a file in the user's runtime folder, held for as long as the process lives. The file is named after
what the account is known by: the venue's own account id where a login carries several, else a hash of the connection's
keys, else where it is reached. An account that nothing tells apart (the exchange inside this process) needs none. Two keys
of one account are two accounts to this; there the engine notices orders with its prefix that it does not know.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path
from tempfile import gettempdir

import msgspec

from copydesk.config import account_of
from copydesk.errors import AccountInUse, ConfigError
from copydesk.model import ConnectionSettings, Record, from_json, to_json

RUNTIME_VARIABLE = "COPYDESK_RUNTIME"
_PLACES = ("url", "host", "port", "client_id")
"""Options that tell where a connection leads, for those without keys."""


class Holder(Record):
    """What the file says of whoever holds the lease."""

    pid: int
    data: str


def runtime_folder() -> Path:
    """`COPYDESK_RUNTIME`, else the user's runtime folder, else one of this user's own among the temporary ones.

    The same for all programs of a user, whether started from a desktop, by a service manager or in a container: those
    often lack `XDG_RUNTIME_DIR`, and the folder that it would name may be there all the same.
    """
    if chosen := os.environ.get(RUNTIME_VARIABLE):
        return Path(chosen)
    for folder in (os.environ.get("XDG_RUNTIME_DIR", ""), f"/run/user/{os.getuid()}"):
        if os.path.isabs(folder) and os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK):
            return Path(folder) / "copydesk"
    return Path(gettempdir()) / f"copydesk-{os.getuid()}"


def _make(folder: Path) -> None:
    """Make the folder, for this user alone. Raises `ConfigError` where it cannot be, or somebody else laid it there."""
    remedy = f"name another in {RUNTIME_VARIABLE}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.parent.stat().st_mode & stat.S_IWOTH:  # among the temporary ones anybody may have been first
            found = folder.lstat()
            if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
                raise ConfigError(f"{folder} is not this user's own; remove it or {remedy}")
    except OSError as error:
        raise ConfigError(f"{folder} cannot be made: {error.strerror}; {remedy}") from None


def identity(settings: ConnectionSettings, key: str) -> str:
    """What an account is known by, as a file name; empty where nothing tells it apart. Nothing can be read back from it."""
    account = account_of(key)
    places = {name: settings.options.get(name, "") for name in _PLACES}
    if not (settings.secrets or any(places.values())):
        return ""
    known = {"places": places, "secrets": {} if account else settings.secrets, "account": account}
    digest = blake2b(to_json([settings.kind, known]), digest_size=16, person=b"copydesk lease").hexdigest()
    return f"{settings.kind}-{digest}"


class Leases:
    """The leases of one engine. `data` is its data folder, told to those who are refused."""

    def __init__(self, data: Path, folder: Path | None = None) -> None:
        self._data = data
        self._folder = folder
        self._held: dict[str, int] = {}

    def hold(self, wanted: Iterable[tuple[str, str]]) -> None:
        """Hold exactly the leases of these (account key, identity). Raises `AccountInUse`; then nothing has changed."""
        names = {name: key for key, name in wanted if name}
        taken: dict[str, int] = {}
        try:
            for name, key in names.items():
                if name not in self._held:
                    taken[name] = self._take(name, key)
        except BaseException:
            for name, descriptor in taken.items():
                self._drop(name, descriptor)
            raise
        self._held |= taken
        for name in [name for name in self._held if name not in names]:
            self._drop(name, self._held.pop(name))

    def release(self) -> None:
        """Let go of all. Calling it again does nothing."""
        self.hold(())

    def _path(self, name: str) -> Path:
        folder = self._folder = self._folder or runtime_folder()
        _make(folder)
        return folder / f"{name}.lease"

    def _take(self, name: str, key: str) -> int:
        path = self._path(name)
        while True:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                raise AccountInUse(_refusal(key, path)) from None
            if _is_still(path, descriptor):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, to_json(Holder(pid=os.getpid(), data=str(self._data))), 0)
                return descriptor
            os.close(descriptor)  # whoever held it took the file away in between

    def _drop(self, name: str, descriptor: int) -> None:
        self._path(name).unlink(missing_ok=True)  # while it is locked: see `_is_still`
        os.close(descriptor)


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))


def _refusal(key: str, path: Path) -> str:
    try:
        holder = from_json(path.read_bytes(), Holder)
        who = f"process {holder.pid}, data folder {holder.data}"
    except (OSError, msgspec.MsgspecError):
        who = "process unknown"
    return (
        f"account {key!r} is driven by another copydesk already ({who}): two would double its orders; "
        "stop that one, or take the account out of its bot"
    )
