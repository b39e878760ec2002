"""FTX on loopback: the venue's own wire over the paper exchange. See REHEARSAL.md for what it has and what it lacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated

import msgspec
from copydesk.model import Contract, Instrument, Record, RehearsalReady, RehearsalSettings, RehearsedAccount
from copydesk_paper.exchange import MAKER_FEE, TAKER_FEE, Exchange
from copydesk_paper.market import open_market
from copydesk_paper.serving.control import Control
from copydesk_paper.serving.faults import Faults
from copydesk_paper.serving.misbehaviour import Misbehaviour
from copydesk_paper.serving.running import Running, now_ms, read_options
from copydesk_paper.serving.signatures import KeyMaker
from copydesk_paper.synthetic import Character

from copydesk_ftx.rehearsal.recording import Recording
from copydesk_ftx.rehearsal.server import Server
from copydesk_ftx.rehearsal.streams import Streams
from copydesk_ftx.rehearsal.venue import Account, Refusal, Venue, as_told
from copydesk_ftx.translate import USD

__all__ = ["Rehearsal", "start"]

FAULTS = (
    "drop-stream",
    "lose-reply",
    "duplicate-events",
    "reorder",
    "stall",
    "partial-fills",
    "overload",
    "429",
    "5xx",
    "clock-skew",
    "go-away",
)
ANSWERS = {
    "429": lambda: Refusal("Do not send more than 2 orders on this market per 200ms", 429),
    "overload": lambda: Refusal("Please retry request", 503),
    "5xx": lambda: Refusal("An unexpected error occurred, please try again later (58BC21C795).", 500),
}
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
KEY_LENGTH = 40
Count = Annotated[int, msgspec.Meta(gt=0)]


def _perpetual(base: str, tick: str, step: str) -> Instrument:
    return Instrument(
        symbol=f"{base}-PERP",
        base=base,
        quote=USD,
        settle=USD,
        contract=Contract.LINEAR,
        price_tick=Decimal(tick),
        quantity_step=Decimal(step),
        min_quantity=Decimal(step),
        max_quantity=Decimal(100_000),
        market_max_quantity=Decimal(100_000),
    )


CHARACTERS = (
    Character(_perpetual("BTC", "1", "0.0001"), Decimal(60_000), 3.0, Decimal(2), 5.0),
    Character(_perpetual("ETH", "0.1", "0.001"), Decimal(3_000), 2.0, Decimal(30), 4.0),
    Character(_perpetual("SOL", "0.0025", "0.01"), Decimal(150), 8.0, Decimal(400), 3.0),
)


class Options(Record, forbid_unknown_fields=True):
    """The plain settings of the rehearsal."""

    requests_per_second: Count = 30
    key_seed: str = ""


class Rehearsal:
    """A running rehearsal venue. `exchange`, `venue` and `server` are for those who live in the same process."""

    def __init__(self, settings: RehearsalSettings, options: Options, keys: Mapping[str, Mapping[str, str]]) -> None:
        market = open_market(settings.market, characters=CHARACTERS, read=Recording)
        self._settings = settings
        self.exchange = Exchange(market.instruments, now_ms=now_ms)
        self.exchange.price_band = Decimal("0.05")
        faults = Faults(settings.faults, FAULTS)
        misbehaviour = Misbehaviour(faults, self.exchange, self._leave, ANSWERS)
        self.venue = Venue(self.exchange, now_ms, TAKER_FEE, MAKER_FEE)
        self.streams = Streams(self.venue, faults, now_ms)
        self.server = Server(
            self.venue, self.streams, misbehaviour, now_ms, requests_per_second=options.requests_per_second
        )
        self.server.control = Control(
            self.exchange, misbehaviour, counters=lambda: {"requests": self.server.requests}, as_told=as_told
        )
        self._running = Running(self.exchange, market, self.server)
        self._open_accounts(options, keys)
        market.prime(self.exchange)
        self.ready: RehearsalReady

    def _leave(self, seconds: float) -> None:
        self.server.leave(seconds)

    def _open_accounts(self, options: Options, given: Mapping[str, Mapping[str, str]]) -> None:
        maker = KeyMaker(options.key_seed)
        for number, (name, cash) in enumerate(self._settings.accounts.items(), start=1):
            key = given[name].get("key") or maker.text(KEY_LENGTH, ALPHABET, name, "key")
            secret = given[name].get("secret") or maker.text(KEY_LENGTH, ALPHABET, name, "secret")
            self.exchange.open_account(name, cash, currency=USD)
            subaccount = given[name].get("subaccount", "")
            self.venue.add(Account(name, key, secret.encode(), subaccount, identifier=83_191_000 + number))

    async def start(self) -> None:
        """Open the port. Raises `UsageError` where the port is not free."""
        running = self._running
        await running.start(self._settings.host, self._settings.port, speed=self._settings.speed)
        running.at_end(self.exchange.listen(self.streams.on_report))
        running.at_end(self.exchange.listen(self.venue.on_report))
        self.ready = running.ready(self._settings.kind, self._accounts(), self.exchange.instruments, ws_path="/ws")

    def _accounts(self) -> Iterator[RehearsedAccount]:
        for account in self.venue.accounts.values():
            secrets = {"key": account.key, "secret": account.secret.decode()}
            more = {"subaccount": account.subaccount} if account.subaccount else {}
            yield RehearsedAccount(name=account.name, options=more, secrets=secrets)

    async def stop(self) -> None:
        """Close every connection and end. May be called twice."""
        await self._running.stop()


async def start(settings: RehearsalSettings) -> Rehearsal:
    """Start the rehearsal venue in this event loop; it serves until its `stop()`.

    `settings.options`: `requests-per-second`, `key-seed`, and of each account `key.ACCOUNT`, `secret.ACCOUNT` and
    `subaccount.ACCOUNT`: accounts of one key and secret are subaccounts of one login. Raises `UsageError`.
    """
    options, keys = read_options(settings, Options, per_account=("key", "secret", "subaccount"))
    rehearsal = Rehearsal(settings, options, keys)
    await rehearsal.start()
    return rehearsal
