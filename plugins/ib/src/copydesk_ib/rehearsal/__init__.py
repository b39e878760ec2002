"""TWS on loopback: the TWS API's own wire over the paper exchange. See REHEARSAL.md for what it has and what it lacks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated

import msgspec
from copydesk.errors import UsageError
from copydesk.model import Record, RehearsalReady, RehearsalSettings, RehearsedAccount
from copydesk_paper.exchange import Exchange
from copydesk_paper.market import open_market
from copydesk_paper.serving.faults import Faults
from copydesk_paper.serving.misbehaviour import Misbehaviour
from copydesk_paper.serving.running import Running, now_ms, read_options

from copydesk_ib.rehearsal.accounts import Accounts
from copydesk_ib.rehearsal.audience import Audience
from copydesk_ib.rehearsal.codes import Refusal
from copydesk_ib.rehearsal.commissions import tariff
from copydesk_ib.rehearsal.controlling import TwsControl
from copydesk_ib.rehearsal.history import History
from copydesk_ib.rehearsal.listings import USD, Catalogue, listed
from copydesk_ib.rehearsal.logins import Login
from copydesk_ib.rehearsal.orders import Orders
from copydesk_ib.rehearsal.quotes import Quotes
from copydesk_ib.rehearsal.recording import Recording, tape
from copydesk_ib.rehearsal.reference import Reference
from copydesk_ib.rehearsal.server import Server
from copydesk_ib.rehearsal.times import now
from copydesk_ib.rehearsal.trading import Desk

__all__ = ["Rehearsal", "start"]

FAULTS = (
    "drop-stream",
    "lose-reply",
    "lose-request",
    "duplicate-events",
    "reorder",
    "stall",
    "partial-fills",
    "overload",
    "429",
    "go-away",
)
ANSWERS = {
    "429": lambda: Refusal("rate", most=50, count=51, times=1),
    "overload": lambda: Refusal("rejected", reason="The system is busy. Please try again later."),
}
FIRST_ACCOUNT = 1_234_567
FIRST_OTHER_CLIENT = 101
"""The API client ids that those who trade beside copydesk use, one for each account."""
LOST, RESTORED_LOST = 1100, 1101
Version = Annotated[int, msgspec.Meta(ge=157, le=178)]


class Options(Record, forbid_unknown_fields=True):
    """The plain settings of the rehearsal."""

    master_client_id: Annotated[int, msgspec.Meta(ge=-1)] = 7
    server_version: Version = 178
    messages_per_second: Annotated[int, msgspec.Meta(gt=0)] = 50
    preset_messages: bool = False
    read_only: bool = False


class Rehearsal:
    """A running rehearsal venue. `exchange`, `desk` and `server` are for those who live in the same process."""

    def __init__(self, settings: RehearsalSettings, options: Options, named: Mapping[str, Mapping[str, str]]) -> None:
        rows = listed(now().date())
        market = open_market(settings.market, characters=[character for _, character in rows], read=Recording)
        self._settings, self._options = settings, options
        self.catalogue = Catalogue(
            [tape(instrument) for instrument in market.instruments] if settings.market else [listing for listing, _ in rows]
        )
        self.exchange = Exchange(market.instruments, now_ms=now_ms, commission=tariff(self.catalogue))
        self.exchange.price_band = Decimal(0)
        faults = Faults(settings.faults, FAULTS)
        self.audience = Audience(faults)
        self.desk = Desk(self.exchange, self.catalogue, now_ms, self.audience)
        misbehaviour = Misbehaviour(faults, self.exchange, self._leave, ANSWERS)
        orders = Orders(
            self.desk,
            self.audience,
            misbehaviour,
            preset_messages=options.preset_messages,
            read_only=options.read_only,
        )
        reference = Reference(self.catalogue, self.audience, now_ms, lambda: now().date())
        self.accounts = Accounts(self.exchange, self.catalogue, self.audience, lambda: f"{now():%H:%M}")
        self.quotes = Quotes(self.exchange, self.audience, reference.listing, reference.legs, now_ms)
        self.history = History(self.exchange, self.audience, reference.listing, now_ms)
        self.server = Server(
            self.audience,
            (orders, reference, self.accounts, self.quotes, self.history),
            (self.accounts.forget,),
            messages_per_second=options.messages_per_second,
            server_version=options.server_version,
        )
        self.logins = self.desk.logins = _logins(settings, options, named)
        for name, cash in settings.accounts.items():
            self.exchange.open_account(name, cash, currency=USD)
            self.accounts.open_account(name)
        self.server.control = TwsControl(self, misbehaviour)
        self._running = Running(self.exchange, market, self.server)
        market.prime(self.exchange)
        self.ready: RehearsalReady

    def _leave(self, seconds: float) -> None:
        self.server.leave(seconds)

    async def start(self) -> None:
        """Open the ports. Raises `UsageError` where one is not free."""
        running, settings = self._running, self._settings
        await running.start(settings.host, 0, speed=settings.speed)
        for number, login in enumerate(self.logins):
            try:
                await self.server.listen(login, settings.host, settings.port + number if settings.port else 0)
            except UsageError:
                await self.stop()
                raise
        for listener in (self.desk, self.accounts, self.quotes, self.history):
            running.at_end(self.exchange.listen(listener.on_report))
        running.run(self._tick())
        self.ready = self._describe(running.address)

    async def _tick(self) -> None:
        """What happens by the clock."""
        while True:
            await asyncio.sleep(1)
            self.accounts.tick()
            self.history.tick()
            self.desk.tick()

    # --- what a day at IB brings ------------------------------------------------------------------------------------

    def connectivity(self, code: int) -> None:
        """1100: TWS has lost IB, sockets stay; 1101: it is back and what was told meanwhile is lost; 1102: nothing is."""
        self.audience.deaf = False
        name = {1100: "lost", 1101: "restored-lost", 1102: "restored-kept"}[code]
        for client in self.audience.everybody():
            client.refuse(-1, Refusal(name))
        if code == LOST:
            for client in self.audience.everybody():
                client.refuse(-1, Refusal("market-data-broken"))
            self.audience.deaf = True
            return
        if code == RESTORED_LOST:
            self.quotes.drop_subscriptions()
            self.history.drop_subscriptions()
        self.audience.hear_again(kept=code != RESTORED_LOST)

    def reset(self, seconds: float) -> None:
        """The nightly restart: connections end, nobody is let in for a while, orders and positions stay."""
        for client in self.audience.everybody():
            client.refuse(-1, Refusal("lost"))
            client.close()
        self.server.leave(seconds)

    def _describe(self, address: str) -> RehearsalReady:
        accounts = []
        for login in self.logins:
            options = {
                "host": self._settings.host,
                "port": str(login.port),
                "client_id": str(max(login.master, 0)),
                "symbols": ";".join(self.exchange.instruments),
                "rehearsal": "yes",
            }
            accounts += [
                RehearsedAccount(
                    name=name,
                    options=options | {"account": account_id},
                    secrets={},
                    by_hand={"client_id": str(FIRST_OTHER_CLIENT + number)},
                )
                for number, (name, account_id) in enumerate(login.ids.items())
            ]
        order = list(self._settings.accounts)
        return RehearsalReady(
            kind=self._settings.kind,
            urls={login.name: f"{self._settings.host}:{login.port}" for login in self.logins},
            accounts=tuple(sorted(accounts, key=lambda account: order.index(account.name))),
            symbols=tuple(self.exchange.instruments),
            control_url=f"http://{address}/rehearsal",
        )

    async def stop(self) -> None:
        """Close every connection and end. May be called twice."""
        await self._running.stop()


def _logins(settings: RehearsalSettings, options: Options, named: Mapping[str, Mapping[str, str]]) -> list[Login]:
    """The logins with their accounts: all accounts in one, unless `login.ACCOUNT` says otherwise."""
    of: dict[str, dict[str, str]] = {}
    for number, name in enumerate(settings.accounts):
        account_id = named[name].get("id") or f"DU{FIRST_ACCOUNT + number}"
        if any(account_id in accounts for accounts in of.values()):
            raise UsageError(f"two accounts have the id {account_id}: give {name} another id.{name}")
        of.setdefault(named[name].get("login", "tws"), {})[account_id] = name
    return [Login(name, accounts, master=options.master_client_id) for name, accounts in of.items()]


async def start(settings: RehearsalSettings) -> Rehearsal:
    """Start the rehearsal venue in this event loop; it serves until its `stop()`.

    `settings.options`: those of `Options`, with dashes, and of each account `id.ACCOUNT` (IB's account id) and
    `login.ACCOUNT`: accounts of one login share a TWS and its port. Raises `UsageError`.
    """
    options, named = read_options(settings, Options, per_account=("id", "login"))
    rehearsal = Rehearsal(settings, options, named)
    await rehearsal.start()
    return rehearsal
