"""Bitfinex on loopback: the venue's own wire over the paper exchange. REHEARSAL.md says what it has and lacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated

import msgspec
from copydesk.model import Contract, Record, RehearsalReady, RehearsalSettings, RehearsedAccount
from copydesk_paper.exchange import Exchange
from copydesk_paper.market import open_market
from copydesk_paper.serving.control import Control
from copydesk_paper.serving.faults import Faults
from copydesk_paper.serving.misbehaviour import Misbehaviour
from copydesk_paper.serving.running import Running, check_keys, now_ms, read_options
from copydesk_paper.serving.signatures import KeyMaker, Nonces

from copydesk_bitfinex.rehearsal.asked import Refusal
from copydesk_bitfinex.rehearsal.market import CHARACTERS, Mirrored
from copydesk_bitfinex.rehearsal.recording import Recording
from copydesk_bitfinex.rehearsal.server import Server
from copydesk_bitfinex.rehearsal.streams import Streams
from copydesk_bitfinex.rehearsal.venue import Account, Venue
from copydesk_bitfinex.rehearsal.wire import wallet_of
from copydesk_bitfinex.symbols import is_derivative

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
    "go-away",
)
ANSWERS = {
    "429": lambda: Refusal("ratelimit: error", 11010, 429),
    "overload": lambda: Refusal("temporarily_unavailable: not ready, please try again later", 11000, 500),
    "5xx": lambda: Refusal("unknown error", 10000, 500),
}
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
KEY_LENGTH = 43
DERIVATIVE_LEVERAGE, MARGIN_LEVERAGE = 10, 5
Count = Annotated[int, msgspec.Meta(gt=0)]


class Options(Record, forbid_unknown_fields=True):
    """The plain settings of the rehearsal."""

    requests_per_minute: Count = 90
    key_seed: str = ""


class Rehearsal:
    """A running rehearsal venue. `exchange`, `venue` and `server` are for those who live in the same process."""

    def __init__(self, settings: RehearsalSettings, options: Options, keys: Mapping[str, Mapping[str, str]]) -> None:
        market = Mirrored(open_market(settings.market, characters=CHARACTERS, read=Recording))
        self._settings = settings
        self.exchange = Exchange(market.instruments, now_ms=now_ms)
        self.exchange.price_band = Decimal("0.5")
        faults = Faults(settings.faults, FAULTS)
        misbehaviour = Misbehaviour(faults, self.exchange, self._leave, ANSWERS)
        nonces = Nonces()
        self.venue = Venue(self.exchange, now_ms)
        self.streams = Streams(self.venue, misbehaviour, faults, nonces, now_ms)
        self.server = Server(
            self.venue, self.streams, misbehaviour, nonces, now_ms, requests_per_minute=options.requests_per_minute
        )
        self.server.control = Control(self.exchange, misbehaviour, counters=lambda: {"requests": self.server.requests})
        self._running = Running(self.exchange, market, self.server)
        self._currency = next(iter(market.instruments)).settle
        self._open_accounts(options, keys)
        market.prime(self.exchange)
        self.ready: RehearsalReady

    def _leave(self, seconds: float) -> None:
        self.server.leave(seconds)

    def _open_accounts(self, options: Options, given: Mapping[str, Mapping[str, str]]) -> None:
        """Each account has its cash in every currency in which something is paid or settled."""
        maker = KeyMaker(options.key_seed)
        instruments = self.exchange.instruments.values()
        currencies = dict.fromkeys(one.settle for one in instruments)
        keys = {
            name: given[name].get("key") or maker.text(KEY_LENGTH, ALPHABET, name, "key")
            for name in self._settings.accounts
        }
        check_keys(keys)
        for number, (name, cash) in enumerate(self._settings.accounts.items(), start=1):
            secret = given[name].get("secret") or maker.text(KEY_LENGTH, ALPHABET, name, "secret")
            self.exchange.open_account(name, cash, currency=self._currency)
            for currency in currencies:
                if currency != self._currency:
                    self.exchange.deposit(name, cash, asset=currency)
            for one in instruments:
                if one.contract is not Contract.SPOT:
                    leverage = DERIVATIVE_LEVERAGE if is_derivative(one.symbol) else MARGIN_LEVERAGE
                    self.exchange.set_leverage(name, one.symbol, leverage)
            self.venue.add(Account(name, keys[name], secret.encode(), 269_300 + number))

    async def start(self) -> None:
        """Open the port. Raises `UsageError` where the port is not free."""
        running = self._running
        await running.start(self._settings.host, self._settings.port, speed=self._settings.speed)
        running.at_end(self.exchange.listen(self.venue.on_report))
        running.at_end(self.exchange.listen(self.streams.on_report))
        running.run(self.streams.beat())
        self.ready = running.ready(self._settings.kind, self._accounts(), self.exchange.instruments, ws_path="/ws/2")

    def _accounts(self) -> Iterator[RehearsedAccount]:
        for account in self.venue.accounts.values():
            secrets = {"key": account.key, "secret": account.secret.decode()}
            yield RehearsedAccount(name=account.name, options={"currency": wallet_of(self._currency)[1]}, secrets=secrets)

    async def stop(self) -> None:
        """Close every connection and end. May be called twice."""
        await self._running.stop()


async def start(settings: RehearsalSettings) -> Rehearsal:
    """Start the rehearsal venue in this event loop; it serves until its `stop()`.

    `settings.options`: `requests-per-minute` (of one kind and key), `key-seed`, and of each account `key.ACCOUNT` and
    `secret.ACCOUNT`. Raises `UsageError`.
    """
    options, keys = read_options(settings, Options)
    rehearsal = Rehearsal(settings, options, keys)
    await rehearsal.start()
    return rehearsal
