"""Binance USD-M futures on loopback: the venue's own wire over the paper exchange.

`start` brings up a server that ccxt, Binance's connectors and other people's bots talk to unmodified but for its addresses:
REST (`/fapi/...`), market and user data streams (`/ws`, `/stream`, also below `/public`, `/market`, `/private`), the
websocket API (`/ws-fapi/v1`), and beside them the rehearsal's own control (`/rehearsal/...`).
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import secrets
import time
from collections.abc import Coroutine, Mapping, Set
from decimal import Decimal
from typing import Annotated

import msgspec
from copydesk.errors import UsageError
from copydesk.model import Contract, Record, RehearsalReady, RehearsalSettings, RehearsedAccount
from copydesk_paper.exchange import Exchange
from copydesk_paper.faults import Faults
from copydesk_paper.listener import Listener
from copydesk_paper.market import Market, open_market
from copydesk_paper.tls import Authority
from msgspec.structs import replace

from copydesk_binance.rehearsal.account import Account
from copydesk_binance.rehearsal.codes import Refusal
from copydesk_binance.rehearsal.control import Control
from copydesk_binance.rehearsal.limits import OrderCount, RequestWeight
from copydesk_binance.rehearsal.listing import Listing
from copydesk_binance.rehearsal.market import MarketData
from copydesk_binance.rehearsal.misbehaviour import ANSWERS, Misbehaviour
from copydesk_binance.rehearsal.rest import Limits, Rest
from copydesk_binance.rehearsal.server import API_PATH, Frontend
from copydesk_binance.rehearsal.streams import Streams
from copydesk_binance.rehearsal.venue import Venue
from copydesk_binance.rehearsal.websocket_api import WebsocketApi

__all__ = ["Rehearsal", "start"]

log = logging.getLogger(__name__)
HOSTS = ("fapi.binance.com", "fstream.binance.com", "ws-fapi.binance.com", "api.binance.com", "localhost")
"""The venue's real host names, under which it is there too with `tls`."""
Count = Annotated[int, msgspec.Meta(gt=0)]


class Options(Record, forbid_unknown_fields=True):
    """The plain settings of the rehearsal, with Binance's own limits as defaults."""

    weight_per_minute: Count = 2_400
    orders_per_minute: Count = 1_200
    orders_per_10s: Count = 300
    tls: bool = False
    legacy_conditional: bool = False
    listen_key_seconds: Annotated[float, msgspec.Meta(gt=0)] = 3600.0


class Rehearsal:
    """A running rehearsal venue. `exchange` and `venue` are for those who live in the same process."""

    def __init__(self, settings: RehearsalSettings, options: Options, market: Market) -> None:
        self.exchange = Exchange(market.instruments, now_ms=_now_ms)
        self.exchange.price_band = Decimal(0)  # PERCENT_PRICE is checked by the listing, with Binance's codes
        self._settings = settings
        self._market = market
        faults = Faults(settings.faults)
        traded = [one for one in market.instruments if one.contract is Contract.LINEAR]
        listing = Listing(traded, market.raw_exchange_info)
        limits = Limits(options.weight_per_minute, options.orders_per_minute, options.orders_per_10s)
        weights = RequestWeight(options.weight_per_minute, _now_ms)
        self._misbehaviour = Misbehaviour(faults, self.exchange, self._leave, ANSWERS)
        self.venue = Venue(self.exchange, listing, _now_ms, old_conditional=options.legacy_conditional)
        data = MarketData(self.exchange, listing, _now_ms)
        self.streams = Streams(data, listing, faults, _now_ms, listen_key_seconds=options.listen_key_seconds)
        self.venue.watchers.append(self.streams)
        rest = Rest(self.venue, data, self.streams, limits, _now_ms, self._misbehaviour)
        self._api = WebsocketApi(rest, weights, self._misbehaviour)
        control = Control(self.venue, self._misbehaviour, self._counters)
        self._frontend = Frontend(rest, weights, self._misbehaviour, self._api, control)
        self._listener = Listener(self._frontend.handle)
        self._stop_listening = self.exchange.listen(self.streams.on_report)
        self._authority = Authority(HOSTS) if options.tls else None
        self._tasks: list[asyncio.Task[None]] = []
        self._limits = limits
        self.ready: RehearsalReady

    @property
    def away(self) -> Set[str]:
        """The accounts that are cut off."""
        return self._frontend.cut_off

    def cut_off(self, account: str) -> None:
        """Drop the account's streams and answer none of its requests, until `let_in`."""
        self._frontend.cut_off.add(account)
        with contextlib.suppress(Refusal):  # no listen key in force
            self.streams.delete_key(self.venue.accounts[account])

    def let_in(self, account: str) -> None:
        self._frontend.cut_off.discard(account)

    def _leave(self, seconds: float) -> None:
        self._frontend.leave(seconds)

    def _counters(self) -> dict[str, int]:
        return {"requests": self._frontend.requests}

    def open_accounts(self) -> None:
        """Open the accounts, with the keys that the options give or with random ones."""
        for name, cash in self._settings.accounts.items():
            options = self._settings.options
            key = options.get(f"key.{name}") or secrets.token_hex(32)
            secret = options.get(f"secret.{name}") or secrets.token_hex(32)
            if key in self.venue.by_key:
                raise UsageError(f"two accounts have the same API key: give {name} another key.{name}")
            limits = self._limits
            orders = OrderCount(limits.orders_per_ten_seconds, limits.orders_per_minute, _now_ms)
            self.exchange.open_account(name, cash)
            self.venue.add(Account(name, key, secret, orders))

    async def listen(self) -> None:
        """Prime the market and open the port. Raises `UsageError` where the port is not free."""
        self._market.prime(self.exchange)
        host, port = self._settings.host, self._settings.port
        try:
            port = await self._listener.start(host, port)
        except OSError as error:
            await self._listener.stop()
            if error.errno == errno.EADDRINUSE:
                sentence = f"port {port} on {host} is in use: give another --port, or 0 for any that is free"
                raise UsageError(sentence) from None
            raise UsageError(f"cannot listen on {host}:{port}: {error}") from None
        self.ready = self._describe(f"{host}:{port}")
        if self._authority is not None:
            port = await self._listener.start(host, 0, self._authority.context)
            secure = {"tls": f"https://{host}:{port}", "ca": str(self._authority.certificate)}
            self.ready = replace(self.ready, urls=self.ready.urls | secure)
        if self._settings.speed > 0:
            self._run(self._market.run(self.exchange, speed=self._settings.speed))
        self._run(self.streams.run())

    def _run(self, work: Coroutine[object, None, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(_report_failure)
        self._tasks.append(task)

    def _describe(self, address: str) -> RehearsalReady:
        url, ws_url = f"http://{address}", f"ws://{address}"
        accounts = tuple(
            RehearsedAccount(
                name=account.name,
                options={"url": url, "ws_url": ws_url},
                secrets={"key": account.key, "secret": account.secret.decode()},
            )
            for account in self.venue.accounts.values()
        )
        return RehearsalReady(
            kind=self._settings.kind,
            urls={"rest": url, "ws": ws_url, "ws_api": f"{ws_url}{API_PATH}"},
            accounts=accounts,
            symbols=self.venue.listing.symbols,
            control_url=f"{url}/rehearsal",
        )

    async def stop(self) -> None:
        """Close every connection and end. May be called twice."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        self._tasks.clear()
        self._stop_listening()
        self.venue.close()
        await self.streams.close()
        self._api.drop_all()
        await self._listener.stop()
        if self._authority is not None:
            self._authority.close()


async def start(settings: RehearsalSettings) -> Rehearsal:
    """Start the rehearsal venue in this event loop; it serves until its `stop()`.

    `settings.options`: `weight-per-minute`, `orders-per-minute`, `orders-per-10s`, `listen-key-seconds`, and `key.ACCOUNT`
    and `secret.ACCOUNT` for keys that are not to be random; with `tls` the venue is also there under its real host names,
    at `urls["tls"]` and with the authority `urls["ca"]`; with `legacy-conditional` it takes stop and take-profit orders at
    `/fapi/v1/order` too, as Binance did until 2025-12-09. A `speed` of zero leaves the market as it opened.
    Raises `UsageError` for settings of no use and for a port in use.
    """
    if not settings.accounts:
        raise UsageError("a rehearsal venue needs at least one account: name it with --accounts")
    options = _read_options(settings.options, settings.accounts)
    rehearsal = Rehearsal(settings, options, open_market(settings.market))
    try:
        rehearsal.open_accounts()
        await rehearsal.listen()
    except UsageError:
        await rehearsal.stop()
        raise
    return rehearsal


def _read_options(options: Mapping[str, str], accounts: Mapping[str, Decimal]) -> Options:
    plain: dict[str, str] = {}
    for name, text in options.items():
        word, _, account = name.partition(".")
        if word not in ("key", "secret") or not account:
            plain[name.replace("-", "_")] = text
        elif account not in accounts:
            raise UsageError(f"option {name}: this rehearsal has no account {account!r}")
    try:
        read = msgspec.convert(plain, Options, strict=False)
    except msgspec.ValidationError as error:
        known = ", ".join(one.replace("_", "-") for one in Options.__struct_fields__)
        sentence = f"rehearsal options: {error}; there are {known} (all above zero), key.ACCOUNT and secret.ACCOUNT"
        raise UsageError(sentence) from None
    return read


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _report_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("a task of the rehearsal venue failed: %s", task.exception(), exc_info=task.exception())
