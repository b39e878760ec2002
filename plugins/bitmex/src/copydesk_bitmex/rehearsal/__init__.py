"""BitMEX on loopback: the venue's own wire over the paper exchange. See REHEARSAL.md for what it has and what it lacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated

import msgspec
from copydesk.model import Contract, Order, Record, RehearsalReady, RehearsalSettings, RehearsedAccount
from copydesk_paper.exchange import Exchange
from copydesk_paper.market import open_market
from copydesk_paper.serving.control import Control
from copydesk_paper.serving.faults import Faults
from copydesk_paper.serving.misbehaviour import Misbehaviour
from copydesk_paper.serving.running import Running, check_keys, now_ms, read_options
from copydesk_paper.serving.signatures import KeyMaker
from copydesk_paper.synthetic import Character
from msgspec.structs import replace

from copydesk_bitmex.rehearsal import wire
from copydesk_bitmex.rehearsal.asked import Refusal
from copydesk_bitmex.rehearsal.recording import Recording, contract
from copydesk_bitmex.rehearsal.server import Overload, Server
from copydesk_bitmex.rehearsal.streams import Streams
from copydesk_bitmex.rehearsal.venue import Account, Venue

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
    "429": lambda: Refusal("Rate limit exceeded, retry in 1 seconds.", 429, "RateLimitError"),
    "overload": Overload,
    "5xx": lambda: Refusal("Internal Server Error", 500, "HTTPError"),
}
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
FIRST_NUMBER = 100_001
Count = Annotated[int, msgspec.Meta(gt=0)]

CHARACTERS = (
    Character(contract("XBT", "USDT", "0.5", "1000", "0.000001"), Decimal(60_000), 5.0, Decimal(2_000_000), 5.0),
    Character(contract("XBT", "USD", "0.5", "100", "1"), Decimal(60_000), 5.0, Decimal(200_000), 4.0),
    Character(contract("ETH", "USDT", "0.05", "1000", "0.00001"), Decimal(3_000), 4.0, Decimal(3_000_000), 3.0),
)


class Options(Record, forbid_unknown_fields=True):
    """The plain settings of the rehearsal, with BitMEX's own limits as defaults."""

    requests_per_minute: Count = 120
    orders_per_second: Count = 10
    key_seed: str = ""


class Rehearsal:
    """A running rehearsal venue. `exchange`, `venue` and `server` are for those who live in the same process."""

    def __init__(self, settings: RehearsalSettings, options: Options, keys: Mapping[str, Mapping[str, str]]) -> None:
        market = open_market(settings.market, characters=CHARACTERS, read=Recording)
        self._settings = settings
        self.exchange = Exchange(market.instruments, now_ms=now_ms)
        self.exchange.price_band = Decimal(0)
        faults = Faults(settings.faults, FAULTS)
        misbehaviour = Misbehaviour(faults, self.exchange, self._leave, ANSWERS)
        self.venue = Venue(self.exchange, now_ms)
        self.streams = Streams(self.venue, faults)
        self.server = Server(
            self.venue,
            self.streams,
            misbehaviour,
            now_ms,
            requests_per_minute=options.requests_per_minute,
            orders_per_second=options.orders_per_second,
        )
        self.server.control = Control(
            self.exchange, misbehaviour, counters=lambda: {"requests": self.server.requests}, as_told=self._as_told
        )
        self._running = Running(self.exchange, market, self.server)
        self._open_accounts(options, keys)
        market.prime(self.exchange)
        self._give_bitcoin()
        self.ready: RehearsalReady

    def _leave(self, seconds: float) -> None:
        self.server.leave(seconds)

    def _as_told(self, order: Order) -> Order:
        account = self.venue.accounts[order.account]
        extra = account.extras.get(order.venue_id, {})
        return replace(order, venue_id=wire.guid(int(order.venue_id), account.number), client_id=extra.get("clOrdID", ""))

    def _open_accounts(self, options: Options, given: Mapping[str, Mapping[str, str]]) -> None:
        maker = KeyMaker(options.key_seed)
        keys = {name: given[name].get("key") or maker.text(24, ALPHABET, name, "key") for name in given}
        check_keys(keys)
        for number, (name, cash) in enumerate(self._settings.accounts.items(), start=FIRST_NUMBER):
            secret = given[name].get("secret") or maker.text(48, ALPHABET, name, "secret")
            self.exchange.open_account(name, cash, currency="USDT")
            self.venue.add(Account(name, number, keys[name], secret.encode()))

    def _give_bitcoin(self) -> None:
        """Margin for the inverse contracts, worth as much as the cash."""
        inverse = [one for one in self.exchange.instruments.values() if one.contract is Contract.INVERSE]
        for name, cash in self._settings.accounts.items():
            if inverse:
                price = self.exchange.last_price(inverse[0].symbol)
                self.exchange.deposit(name, (cash / price).quantize(Decimal("0.0001")), asset="XBT")

    async def start(self) -> None:
        """Open the port. Raises `UsageError` where the port is not free."""
        running = self._running
        await running.start(self._settings.host, self._settings.port, speed=self._settings.speed)
        running.at_end(self.exchange.listen(self.streams.on_report))
        self.ready = running.ready(self._settings.kind, self._accounts(), self.exchange.instruments, ws_path="/realtime")

    def _accounts(self) -> Iterator[RehearsedAccount]:
        for account in self.venue.accounts.values():
            secrets = {"key": account.key, "secret": account.secret.decode()}
            yield RehearsedAccount(name=account.name, options={}, secrets=secrets)

    async def stop(self) -> None:
        """Close every connection and end. May be called twice."""
        await self._running.stop()


async def start(settings: RehearsalSettings) -> Rehearsal:
    """Start the rehearsal venue in this event loop; it serves until its `stop()`.

    `settings.options`: `requests-per-minute`, `orders-per-second`, `key-seed`, and `key.ACCOUNT` and `secret.ACCOUNT`. Each
    account has its cash in tether, and as much again in bitcoin for the inverse contracts. Raises `UsageError`.
    """
    options, keys = read_options(settings, Options)
    rehearsal = Rehearsal(settings, options, keys)
    await rehearsal.start()
    return rehearsal
