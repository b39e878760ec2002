"""A running rehearsal venue: its market, its port, its tasks and how they end; and the options that it is started with."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TypeVar

import msgspec
from copydesk.errors import UsageError
from copydesk.model import Record, RehearsalReady, RehearsalSettings, RehearsedAccount
from msgspec.structs import replace

from copydesk_paper.exchange import Exchange
from copydesk_paper.market import Market
from copydesk_paper.serving.frontend import Frontend
from copydesk_paper.serving.listener import Listener

_log = logging.getLogger("copydesk.rehearsal")


def now_ms() -> int:
    """The clock of rehearsal venues."""
    return time.time_ns() // 1_000_000


class Running:
    """One exchange behind one frontend, from `start` to `stop`. `host`, `port` and `tls_port` are where it listens."""

    def __init__(self, exchange: Exchange, market: Market, frontend: Frontend) -> None:
        self.host = ""
        self.port = 0
        self.tls_port = 0
        self.ca = ""
        self._exchange = exchange
        self._market = market
        self._frontend = frontend
        self._listener = Listener(frontend.handle)
        self._tasks: list[asyncio.Task[None]] = []
        self._endings = contextlib.ExitStack()

    async def start(self, host: str, port: int, *, speed: Decimal = Decimal(1), hosts: Sequence[str] = ()) -> None:
        """Listen, and let the market run; at a speed of zero it stays as it opened. Prime the market before.

        With `hosts` the venue is also there under those names, with TLS, on a port of its own: `ca` is then the file of the
        throw-away authority to trust (the plugin has to depend on `copydesk-paper[tls]`). Raises `UsageError` where a port
        cannot be had.
        """
        try:
            self.host, self.port = host, await self._listener.start(host, port)
            if hosts:
                from copydesk_paper.serving.tls import Authority

                authority = Authority(hosts)
                self._endings.callback(authority.close)
                self.ca = str(authority.certificate)
                self.tls_port = await self._listener.start(host, 0, authority.context)
        except UsageError:
            await self.stop()
            raise
        if speed > 0:
            self.run(self._market.run(self._exchange, speed=speed))

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    def _secure_urls(self) -> dict[str, str]:
        """For the ready record: `tls` and `ca`, where the venue is there with TLS."""
        return {"tls": f"https://{self.host}:{self.tls_port}", "ca": self.ca} if self.tls_port else {}

    def ready(
        self,
        kind: str,
        accounts: Iterable[RehearsedAccount],
        symbols: Iterable[str],
        *,
        ws_path: str = "",
        more: Mapping[str, str] | None = None,
    ) -> RehearsalReady:
        """How the venue is reached: REST at `url`, websockets at `ws_url`, both of them options of every account.

        `accounts` have what else logs in to each. `ws_path` is where websockets are, `more` names other paths of theirs.
        """
        url, ws_root = f"http://{self.address}", f"ws://{self.address}"
        addresses = {"url": url, "ws_url": ws_root + ws_path}
        paths = {name: ws_root + path for name, path in (more or {}).items()}
        return RehearsalReady(
            kind=kind,
            urls={"rest": url, "ws": ws_root + ws_path} | paths | self._secure_urls(),
            accounts=tuple(replace(account, options=addresses | account.options) for account in accounts),
            symbols=tuple(symbols),
            control_url=f"{url}/rehearsal",
        )

    def run(self, work: Coroutine[object, None, None]) -> None:
        """Run a task until `stop`. One that fails is logged."""
        task = asyncio.create_task(work)
        task.add_done_callback(_report_failure)
        self._tasks.append(task)

    def at_end(self, callback: Callable[[], object]) -> None:
        """Call this at `stop`, the last one first."""
        self._endings.callback(callback)

    async def stop(self) -> None:
        """Close every connection and end every task. May be called twice."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._endings.close()
        await self._frontend.close()
        await self._listener.stop()


def _report_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        _log.error("a task of the rehearsal venue failed: %s", task.exception(), exc_info=task.exception())


OptionsRecord = TypeVar("OptionsRecord", bound=Record)


def read_options(
    settings: RehearsalSettings, type_: type[OptionsRecord], *, per_account: Sequence[str] = ("key", "secret")
) -> tuple[OptionsRecord, dict[str, dict[str, str]]]:
    """The rehearsal's options: the plain ones as a record, and of each account those that name it, as in `key.parent`.

    Dashes in names stand for the record's underscores. Raises `UsageError` for no accounts, unknown names and bad values.
    """
    if not settings.accounts:
        raise UsageError("a rehearsal venue needs at least one account: name it with --accounts")
    plain: dict[str, str] = {}
    named: dict[str, dict[str, str]] = {account: {} for account in settings.accounts}
    for name, text in settings.options.items():
        word, _, account = name.partition(".")
        if word not in per_account or not account:
            plain[name.replace("-", "_")] = text
        elif account not in settings.accounts:
            raise UsageError(f"option {name}: this rehearsal has no account {account!r}")
        else:
            named[account][word] = text
    try:
        return msgspec.convert(plain, type_, strict=False), named
    except msgspec.ValidationError as error:
        raise UsageError(f"rehearsal options: {error}; there are {_offered(type_, per_account)}") from None


def _offered(type_: type[Record], per_account: Sequence[str]) -> str:
    plain = [name.replace("_", "-") for name in type_.__struct_fields__]
    return ", ".join([*plain, *(f"{word}.ACCOUNT" for word in per_account)])


def check_keys(keys: Mapping[str, str]) -> None:
    """Raise `UsageError` where two accounts have the same key. `keys` by account."""
    owners: dict[str, str] = {}
    for account, key in keys.items():
        if key in owners:
            raise UsageError(f"two accounts have the same API key: give {account} another key.{account}")
        owners[key] = account
