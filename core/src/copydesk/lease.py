"""Leases: no two engines on this machine drive one child account, whatever data folders they run on (rule 16).

A lease is a lock on a file in the user's runtime folder, held for as long as the process lives. The file is named after
what the account is known by: the venue's own account id where a login carries several, else a hash of the connection's
keys, else where it is reached. An account that nothing tells apart (the exchange inside this process) needs none. Two keys
of one account are two accounts to this; there the engine notices orders with its prefix that it does not know.
"""

from __future__ import annotations

import fcntl
import os
import warnings
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
    """`COPYDESK_RUNTIME`, else the user's runtime folder, else one of this user's own among the temporary ones."""
    if chosen := os.environ.get(RUNTIME_VARIABLE):
        return Path(chosen)
    from platformdirs import user_runtime_path

    with warnings.catch_warnings(action="ignore"):  # where there is none it warns, and names one among the temporary ones
        folder = user_runtime_path("copydesk", appauthor=False)
    if os.access(folder.parent, os.W_OK):
        return folder
    return Path(gettempdir()) / f"copydesk-{os.getuid()}"


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
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"{folder} cannot be made: {error.strerror}; name another in {RUNTIME_VARIABLE}") from None
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
