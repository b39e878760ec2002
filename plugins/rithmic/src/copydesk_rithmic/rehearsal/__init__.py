"""Rithmic on loopback: R | Protocol over the paper exchange. See REHEARSAL.md for what it has and what it lacks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from copydesk.errors import UsageError
from copydesk.model import Order, Record, RehearsalReady, RehearsalSettings, RehearsedAccount
from copydesk_paper.exchange import Exchange
from copydesk_paper.market import open_market
from copydesk_paper.records import AccountReport, Execution, OrderReport, Report
from copydesk_paper.serving.control import Control
from copydesk_paper.serving.faults import Faults
from copydesk_paper.serving.misbehaviour import Misbehaviour
from copydesk_paper.serving.running import Running, now_ms, read_options
from copydesk_paper.serving.signatures import KeyMaker

from copydesk_rithmic.rehearsal import history_plant, order_plant, pnl_plant, shared, ticker_plant
from copydesk_rithmic.rehearsal.brackets import Brackets
from copydesk_rithmic.rehearsal.desk import Account, Basket, Bracket, Desk, Refusal, User
from copydesk_rithmic.rehearsal.links import Links
from copydesk_rithmic.rehearsal.notices import Notices
from copydesk_rithmic.rehearsal.products import CHARACTERS, USD
from copydesk_rithmic.rehearsal.recording import Recording
from copydesk_rithmic.rehearsal.server import House, Server

__all__ = ["Rehearsal", "start"]

FAULTS = (
    "drop-stream",
    "lose-reply",
    "lose-request",
    "duplicate-events",
    "reorder",
    "stall",
    "partial-fills",
    "go-away",
    "refuse-margin",
    "refuse-permission",
)
ANSWERS = {
    "refuse-margin": lambda: Refusal("6", "Rejected at RMS - Available margin exhausted"),
    "refuse-permission": lambda: Refusal("13", "permission denied"),
}
FEE = Decimal("0.00002")
"""Of what is traded: about half a dollar for a micro contract. Rithmic tells no fees of single fills."""
LEVERAGE = 100
"""Margin within the day, as brokers of futures give it: a hundredth of what a contract is worth."""
ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
PASSWORD_LENGTH = 20
HOST = "localhost"
FCM, IB = "Rehearsal-FCM", "Rehearsal-IB"
ROUTE = "simulator"
EXCHANGES = ("CBOT", "CME", "COMEX", "NYMEX")
HAND = ".hand"
"""What the name of a user's second self ends with: whoever trades beside copydesk logs in with it."""
Count = Annotated[int, msgspec.Meta(gt=0)]


class Options(Record, forbid_unknown_fields=True):
    """The plain settings of the rehearsal. `sessions`: how many connections a user may have to each plant."""

    user: str = "rehearsal"
    system: str = "Rithmic Paper Trading"
    sessions: Count = 8
    heartbeat_seconds: Count = 60
    order_copy: Literal["enabled", "disabled"] = "disabled"
    key_seed: str = ""


class Rehearsal:
    """A running rehearsal venue. `exchange`, `desk` and `server` are for those who live in the same process."""

    def __init__(self, settings: RehearsalSettings, options: Options, given: Mapping[str, Mapping[str, str]]) -> None:
        market = open_market(settings.market, characters=CHARACTERS, read=Recording)
        self._settings = settings
        self._options = options
        self.exchange = Exchange(market.instruments, now_ms=now_ms, maker_fee=FEE, taker_fee=FEE)
        self.desk = Desk(self.exchange, routes=dict.fromkeys(EXCHANGES, ROUTE))
        faults = Faults(settings.faults, FAULTS)
        misbehaviour = Misbehaviour(faults, self.exchange, self._leave, ANSWERS)
        links = Links(faults, options.heartbeat_seconds)
        self.notices = Notices(self.desk)
        house = House(
            desk=self.desk,
            links=links,
            notices=self.notices,
            brackets=Brackets(self.desk, self._tell_bracket),
            misbehaviour=misbehaviour,
            system=options.system,
            sessions=options.sessions,
            order_copy=options.order_copy,
        )
        routes = shared.ROUTES | order_plant.ROUTES | pnl_plant.ROUTES | ticker_plant.ROUTES | history_plant.ROUTES  # type: ignore[operator]
        self.server = Server(house, routes)
        self.server.control = Control(
            self.exchange,
            misbehaviour,
            counters=lambda: {"requests": self.server.requests, "forced_logouts": links.forced},
            as_told=self._as_told,
        )
        self.desk.tell = self._tell_order
        self._running = Running(self.exchange, market, self.server)
        self._open_accounts(given)
        market.prime(self.exchange)
        self.ready: RehearsalReady

    def _leave(self, seconds: float) -> None:
        self.server.leave(seconds)

    def _as_told(self, order: Order) -> Order:
        return self.desk.named(order)

    def _open_accounts(self, given: Mapping[str, Mapping[str, str]]) -> None:
        maker = KeyMaker(self._options.key_seed)
        of_user: dict[str, list[Account]] = {}
        passwords: dict[str, str] = {}
        for name, cash in self._settings.accounts.items():
            words = given[name]
            account = Account(name, words.get("fcm", FCM), words.get("ib", IB))
            self.exchange.open_account(name, cash, currency=USD)
            for symbol in self.exchange.instruments:
                self.exchange.set_leverage(name, symbol, LEVERAGE)
            self.desk.accounts[name] = account
            user = words.get("user", self._options.user)
            of_user.setdefault(user, []).append(account)
            wanted = words.get("password", "")
            if wanted and passwords.setdefault(user, wanted) != wanted:
                raise UsageError(f"option password.{name}: the user {user!r} has another password already")
        for user, accounts in of_user.items():
            password = passwords.get(user) or maker.text(PASSWORD_LENGTH, ALPHABET, user, "password")
            for login, beside in ((user, False), (user + HAND, True)):
                self.desk.users[login] = User(login, password, tuple(accounts), beside)

    # --- what happens ---

    def _tell_order(
        self, basket_id: str, basket: Basket, order: Order, execution: Execution | None, report: OrderReport | None
    ) -> None:
        account, links = basket.account, self.server.house.links
        for template_id, fields in self.notices.of(basket_id, basket, order, execution, report):
            links.tell(lambda link: account in link.orders, account.name, template_id, fields)

    def _tell_bracket(self, account: Account, basket_id: str, bracket: Bracket) -> None:
        template_id, fields = order_plant.bracket_update(account, basket_id, bracket)
        self.server.house.links.tell(lambda link: account in link.brackets, account.name, template_id, fields)

    def _on_report(self, report: Report) -> None:
        self.desk.on_report(report)
        if isinstance(report, AccountReport):
            pnl_plant.on_account(self.server.house, report)
        ticker_plant.on_report(self.server.house, report)
        history_plant.on_report(self.server.house, report)

    async def _tick(self) -> None:
        """Every full second: bars end."""
        while True:
            await asyncio.sleep(1 - time.time() % 1)
            history_plant.tell_bars(self.server.house, round(time.time()))

    # --- life ---

    async def start(self) -> None:
        """Open the ports. Raises `UsageError` where one is not free."""
        running = self._running
        running.at_end(self.exchange.listen(self._on_report))
        await running.start(self._settings.host, self._settings.port, speed=self._settings.speed, hosts=(HOST,))
        running.run(self.server.house.links.watch())
        running.run(self._tick())
        self.ready = self._describe()

    def _describe(self) -> RehearsalReady:
        running = self._running
        url = f"ws://{running.address}"
        symbols = tuple(self.exchange.instruments)
        users = {account: user for user in self.desk.users.values() if not user.beside for account in user.accounts}
        accounts = tuple(
            RehearsedAccount(
                name=account.name,
                options={
                    "url": url,
                    "ssl": "off",
                    "system": self._options.system,
                    "user": user.name,
                    "account": account.name,
                    "symbols": ",".join(symbols),
                },
                secrets={"password": user.password},
                by_hand={"user": user.name + HAND},
            )
            for account, user in users.items()
        )
        return RehearsalReady(
            kind=self._settings.kind,
            urls={"ws": url, "wss": f"wss://{HOST}:{running.tls_port}", "ca": running.ca},
            accounts=accounts,
            symbols=symbols,
            control_url=f"http://{running.address}/rehearsal",
        )

    async def stop(self) -> None:
        """Close every connection and end. May be called twice."""
        await self._running.stop()


async def start(settings: RehearsalSettings) -> Rehearsal:
    """Start the rehearsal venue in this event loop; it serves until its `stop()`.

    `settings.options`: those of `Options`, and of each account `user.ACCOUNT`, `password.ACCOUNT`, `fcm.ACCOUNT` and
    `ib.ACCOUNT`: accounts of one user are one login. Raises `UsageError`.
    """
    options, given = read_options(settings, Options, per_account=("user", "password", "fcm", "ib"))
    rehearsal = Rehearsal(settings, options, given)
    await rehearsal.start()
    return rehearsal
