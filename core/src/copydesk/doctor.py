"""The checks of `copydesk doctor`: each gives one line, `ok`, `warn` or `fail`, with a sentence."""

from __future__ import annotations

import ctypes
import os
import shutil
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import urlsplit

from copydesk.bots import BotStore, check_accounts
from copydesk.config import Config, load_config
from copydesk.connections import settings_for
from copydesk.datafolder import JOURNAL_NAME, is_locked, read_control
from copydesk.errors import CopydeskError, PluginError, SecretsError, UsageError
from copydesk.journal import Journal, check_sqlite, spool_of
from copydesk.model import Record
from copydesk.plugins import describe_kind
from copydesk.secrets import SealedFile

OK, WARN, FAIL = "ok", "warn", "fail"
MAX_CLOCK_ERROR_S = 1.0
SLOW_SYNC_MS, HOPELESS_SYNC_MS = 30.0, 1000.0
LOW_SPACE, NO_SPACE = 1 << 30, 100 << 20
DESCRIPTORS_BASE, DESCRIPTORS_PER_CONNECTION = 128, 8
HTTP_SECONDS = 3.0


class Check(Record):
    """One finding. `status`: `ok`, `warn` or `fail`."""

    name: str
    status: str
    finding: str


def examine(folder: Path, sealed: SealedFile) -> list[Check]:
    """All checks of a data folder, whatever state it is in. Changes nothing in it."""
    checks = [_check("sqlite", lambda: f"SQLite {check_sqlite()}"), check_folder(folder)]
    try:
        config = load_config(folder)
    except CopydeskError as error:
        config = Config()
        checks.append(Check(name="configuration", status=FAIL, finding=str(error)))
    else:
        count = len(config.connections)
        status, words = (OK, f"{count} connections") if count else (WARN, "no connection yet: add one to copydesk.toml")
        checks.append(Check(name="configuration", status=status, finding=words))
    for name in config.connections:
        checks += check_connection(name, config, sealed)
    checks += check_running(folder)
    checks.append(_check("bots", lambda: _bots_in_words(folder, config)))
    checks += [check_port(folder, config), check_journal(folder), check_disk(folder), check_space(folder)]
    checks += [check_clock(), check_descriptors(config)]
    return checks


# --- what people wrote --------------------------------------------------------------------------------------


def check_connection(name: str, config: Config, sealed: SealedFile) -> Iterable[Check]:
    """Its plugin, options and keys; and its address' clock where it names one."""
    title = f"connection {name}"
    try:
        info = describe_kind(config.connections[name].kind)
        settings = settings_for(name, config, info, sealed)
    except (UsageError, PluginError) as error:
        hint = " (keys were not looked at)" if not isinstance(error, SecretsError) else ""
        return [Check(name=title, status=FAIL, finding=f"{error}{hint}")]
    url = settings.options.get("url", "")
    if info.closed_on and not url:
        return [
            Check(
                name=title, status=FAIL, finding=f"{info.title} closed on {info.closed_on}: give the `url` of a rehearsal"
            )
        ]
    found = Check(name=title, status=OK, finding=f"{info.title}, {len(settings.secrets)} keys found")
    return [found, check_venue_clock(name, url)] if url.startswith(("http://", "https://")) else [found]


def check_running(folder: Path) -> Iterable[Check]:
    """What the engine of this folder, where one runs, says of its accounts."""
    from copydesk.client import ControlClient
    from copydesk.view import ConnectionState

    try:
        control = read_control(folder)
        if control is None:
            return []
        with ControlClient(control.url, control.token) as client:
            views = client.accounts()
    except CopydeskError as error:
        return [Check(name="engine", status=WARN, finding=str(error))]
    fine = {ConnectionState.CONNECTED, ConnectionState.CONNECTING}
    checks = []
    for view in views:
        status = FAIL if view.state is ConnectionState.REFUSED else OK if view.state in fine and not view.message else WARN
        words = f"{view.state}: {view.message}" if view.message else str(view.state)
        checks.append(Check(name=f"account {view.key}", status=status, finding=words))
    return checks


def check_venue_clock(name: str, url: str) -> Check:
    """Compare this machine's clock with the `Date` of the connection's address, as far as whole seconds tell."""
    import httpx

    title = f"clock of {name}"
    try:
        before = time.time()
        answer = httpx.get(url, timeout=HTTP_SECONDS, trust_env=not _is_loopback(url))
        after = time.time()
    except httpx.HTTPError as error:
        return Check(
            name=title, status=WARN, finding=f"{url} does not answer ({error}): is the venue or its rehearsal running?"
        )
    try:
        told = parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
    except ValueError:
        return Check(name=title, status=OK, finding=f"{url} answers, without telling the time")
    error_s = max(0.0, told - after, before - (told + 1))
    if error_s > MAX_CLOCK_ERROR_S:
        return Check(
            name=title, status=FAIL, finding=f"this machine's clock is {error_s:.0f} s off that of {url}: set it by NTP"
        )
    return Check(name=title, status=OK, finding=f"agrees with {url} to the second")


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _bots_in_words(folder: Path, config: Config) -> str:
    bots = BotStore.load(folder).bots.values()
    for bot in bots:
        check_accounts(bot, config)
    return f"{len(bots)} bots, {sum(bot.working for bot in bots)} of them working"


# --- the data folder ----------------------------------------------------------------------------------------


def check_folder(folder: Path) -> Check:
    if not folder.is_dir():
        return Check(name="data folder", status=FAIL, finding=f"{folder} does not exist: make it with `copydesk init`")
    if not os.access(folder, os.W_OK | os.X_OK):
        return Check(name="data folder", status=FAIL, finding=f"{folder} cannot be written to: correct its permissions")
    if folder.stat().st_mode & 0o077:
        return Check(name="data folder", status=WARN, finding=f"{folder} is open to other users: chmod 700 it")
    engine = ", an engine runs on it" if is_locked(folder) else ""
    return Check(name="data folder", status=OK, finding=f"{folder}{engine}")


def check_port(folder: Path, config: Config) -> Check:
    """Whether the control API could listen where it is told to; a running engine holds that place rightly."""
    host, port = config.control.host, config.control.port
    if is_locked(folder):
        return Check(name="control API", status=OK, finding="not tried: an engine runs on this data folder")
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            return Check(name="control API", status=OK, finding=f"{host} port {port or 'any'} is free")
    except OSError as error:
        number = error.errno or 0
        reason = os.strerror(number) if number > 0 else error.strerror  # below: a name that has no address
        finding = f"cannot listen on {host} port {port} ({reason}): choose another in [control] of copydesk.toml"
        return Check(name="control API", status=FAIL, finding=finding)


def check_journal(folder: Path) -> Check:
    path = folder / JOURNAL_NAME
    if not path.exists():
        return Check(name="journal", status=OK, finding="none yet: the first run makes it")
    try:
        with Journal.open(path, read_only=True) as journal:
            last = next(journal.rows(newest_first=True, limit=1), None)
    except CopydeskError as error:
        return Check(name="journal", status=FAIL, finding=str(error))
    if last is not None and last.at_ns > time.time_ns():
        return Check(
            name="journal", status=FAIL, finding="its last row is from the future: this machine's clock was set back"
        )
    finding = f"{last.seq if last else 0} rows, {path.stat().st_size / 1e6:.1f} MB"
    spool = spool_of(path)
    if spool.exists() and spool.stat().st_size and not is_locked(folder):
        finding += (
            f"; the engine was killed: the next start takes its last rows from {spool.name}, keep both files together"
        )
    return Check(name="journal", status=OK, finding=finding)


def check_disk(folder: Path) -> Check:
    """Write and sync 4 KiB some times, as the journal does."""
    if not folder.is_dir():
        return Check(name="disk", status=FAIL, finding="not measured: there is no data folder")
    times: list[float] = []
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            for _ in range(16):
                began = time.perf_counter()
                os.pwrite(file.fileno(), b"\0" * 4096, 0)
                os.fdatasync(file.fileno())
                times.append((time.perf_counter() - began) * 1000)
    except OSError as error:
        return Check(name="disk", status=FAIL, finding=f"{folder} cannot be written to: {error.strerror}")
    middle, worst = statistics.median(times), max(times)
    status = FAIL if middle > HOPELESS_SYNC_MS else WARN if middle > SLOW_SYNC_MS else OK
    advice = "" if status == OK else ": put the data folder on a faster disk"
    return Check(name="disk", status=status, finding=f"a sync takes {middle:.2f} ms, at worst {worst:.2f} ms{advice}")


def check_space(folder: Path) -> Check:
    place = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(place).free
    status = FAIL if free < NO_SPACE else WARN if free < LOW_SPACE else OK
    advice = "" if status == OK else ": free some, or the journal cannot be written and trading stops"
    return Check(name="space", status=status, finding=f"{free / 1e9:.1f} GB free{advice}")


# --- the machine --------------------------------------------------------------------------------------------


def check_clock() -> Check:
    """Ask the kernel whether its clock is disciplined, as NTP daemons do (Linux only)."""
    if not sys.platform.startswith("linux"):
        return Check(name="clock", status=WARN, finding="not checked on this system: see that it is set by NTP")
    timex = (
        ctypes.c_long * 64
    )()  # struct timex with modes = 0: read only. Its fourth and fifth words are the errors in µs
    state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    if state < 0:
        return Check(name="clock", status=WARN, finding="the system does not tell whether the clock is set by NTP")
    error_s = timex[3] / 1e6
    unsynchronised = state == 5
    if unsynchronised:
        return Check(
            name="clock", status=WARN, finding="not set by NTP: venues refuse orders of a clock that is some seconds off"
        )
    if error_s > MAX_CLOCK_ERROR_S:
        return Check(name="clock", status=WARN, finding=f"may be up to {error_s:.1f} s off: check the NTP service")
    return Check(name="clock", status=OK, finding=f"set by NTP, at most {error_s * 1000:.0f} ms off")


def check_descriptors(config: Config) -> Check:
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = DESCRIPTORS_BASE + DESCRIPTORS_PER_CONNECTION * len(config.connections)
    if soft != resource.RLIM_INFINITY and soft < needed:
        advice = f"ulimit -n {needed}" if hard == resource.RLIM_INFINITY or hard >= needed else "raise the hard limit"
        return Check(name="file limit", status=FAIL, finding=f"{soft} open files allowed, {needed} may be needed: {advice}")
    return Check(name="file limit", status=OK, finding=f"{soft} open files allowed, about {needed} may be needed")


def _check(name: str, find: Callable[[], str]) -> Check:
    """`ok` with what `find` says, or `fail` with the sentence that it raises."""
    try:
        return Check(name=name, status=OK, finding=find())
    except CopydeskError as error:
        return Check(name=name, status=FAIL, finding=str(error))
