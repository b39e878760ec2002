"""Bybit v5 on loopback: the venue's own wire over the paper exchange.

`start` brings up a server that ccxt, pybit and other people's bots talk to unmodified but for its addresses: REST
(`/v5/...`), the streams (`/v5/public/linear`, `/v5/public/inverse`, `/v5/public/spot`, `/v5/private`), order entry
(`/v5/trade`), and beside them the rehearsal's own control (`/rehearsal/...`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Annotated

import msgspec
from copydesk.errors import UsageError
from copydesk.model import Order, Record, RehearsalReady, RehearsalSettings, RehearsedAccount
from copydesk_paper.exchange import Exchange
from copydesk_paper.market import open_market
from copydesk_paper.serving.control import Control
from copydesk_paper.serving.faults import Faults
from copydesk_paper.serving.misbehaviour import Misbehaviour
from copydesk_paper.serving.running import Running, check_keys, now_ms, read_options
from copydesk_paper.serving.signatures import KeyMaker
from msgspec.structs import replace

from copydesk_bybit.rehearsal.account import Account
from copydesk_bybit.rehearsal.codes import Refusal
from copydesk_bybit.rehearsal.desk import Desk
from copydesk_bybit.rehearsal.limits import RateLimits
from copydesk_bybit.rehearsal.listing import CHARACTERS, Listing
from copydesk_bybit.rehearsal.market import MarketData
from copydesk_bybit.rehearsal.order_entry import OrderEntry
from copydesk_bybit.rehearsal.protection import Protections
from copydesk_bybit.rehearsal.recording import Recording
from copydesk_bybit.rehearsal.rest import Rest
from copydesk_bybit.rehearsal.server import Server
from copydesk_bybit.rehearsal.streams import Streams
from copydesk_bybit.symbols import CATEGORIES, SPOT

__all__ = ["Rehearsal", "start"]

HOSTS = ("api.bybit.com", "api.bytick.com", "stream.bybit.com", "localhost")
"""The venue's real host names, under which it is there too with `tls`."""
LEVERAGE = 10
Count = Annotated[int, msgspec.Meta(gt=0)]

ANSWERS: Mapping[str, Callable[[], Exception]] = {
    "429": lambda: Refusal(10006, retry_after_s=1),
    "overload": lambda: Refusal(
        429, message="The trading service is experiencing a high server load. Please retry if you encounter this issue."
    ),
    "-1007": lambda: Refusal(10000),
    "5xx": lambda: Refusal(10016, message="502 Bad Gateway", status=502),
}
"""What Bybit answers where the venue misbehaves on request. -1007 is its own 10000, "Server Timeout"."""


WEBSOCKETS = {f"ws_{category}": f"/v5/public/{category}" for category in CATEGORIES} | {
    "ws_private": "/v5/private",
    "ws_trade": "/v5/trade",
}


class Options(Record, forbid_unknown_fields=True):
    """The plain settings of the rehearsal, with Bybit's own limits as defaults. `coins`: what each account has besides its
    USDT, as in `BTC=0.5,ETH=3`."""

    orders_per_second: Count = 10
    reads_per_second: Count = 50
    requests_per_5s: Count = 600
    coins: str = ""
    tls: bool = False
    key_seed: str = ""


class Rehearsal:
    """A running rehearsal venue. `exchange` and `desk` are for those who live in the same process."""

    def __init__(self, settings: RehearsalSettings, options: Options, keys: Mapping[str, Mapping[str, str]]) -> None:
        market = open_market(settings.market, characters=CHARACTERS, read=Recording)
        self._settings = settings
        self._options = options
        self.exchange = Exchange(market.instruments, now_ms=now_ms)
        self.exchange.price_band = Decimal(0)  # the desk checks it, with Bybit's limits and codes
        faults = Faults(settings.faults)
        listing = Listing(market.instruments, market.raw_exchange_info)
        limits = RateLimits(options.orders_per_second, options.reads_per_second, options.requests_per_5s, now_ms)
        misbehaviour = Misbehaviour(faults, self.exchange, self._leave, ANSWERS)
        self.desk = Desk(self.exchange, listing, now_ms)
        data = MarketData(self.exchange, now_ms)
        self.streams = Streams(self.desk, data, faults, now_ms)
        self.desk.watchers.append(self.streams)
        rest = Rest(self.desk, Protections(self.desk), data, now_ms)
        self.server = Server(rest, limits, misbehaviour, self.streams, OrderEntry(rest, limits, misbehaviour))
        self.server.control = Control(
            self.exchange, misbehaviour, symbols=listing.symbols, counters=self._counters, as_told=self._as_told
        )
        self._running = Running(self.exchange, market, self.server)
        self._stop_listening = [self.exchange.listen(self.desk.on_report), self.exchange.listen(self.streams.on_report)]
        self._open_accounts(keys)
        market.prime(self.exchange)
        self.ready: RehearsalReady

    def _leave(self, seconds: float) -> None:
        self.server.leave(seconds)

    def _counters(self) -> dict[str, int]:
        return {"requests": self.server.requests}

    def _as_told(self, order: Order) -> Order:
        """An order under the ids that the venue tells."""
        known = self.desk.accounts[order.account].orders.get(order.venue_id)
        return order if known is None else replace(order, venue_id=known.order_id, client_id=known.link_id)

    def _open_accounts(self, given: Mapping[str, Mapping[str, str]]) -> None:
        maker = KeyMaker(self._options.key_seed)
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
        keys = {name: given[name].get("key") or maker.text(18, alphabet, name, "key") for name in given}
        check_keys(keys)
        coins = _read_coins(self._options.coins)
        for name, cash in self._settings.accounts.items():
            secret = given[name].get("secret") or maker.text(36, alphabet, name, "secret")
            self.desk.add(Account(name, keys[name], secret))
            self.exchange.open_account(name, cash)
            for coin, amount in coins.items():
                self.exchange.deposit(name, amount, asset=coin)
            for symbol in self.desk.listing.symbols:
                if self.desk.listing.rules(symbol).category != SPOT:
                    self.exchange.set_leverage(name, symbol, LEVERAGE)

    async def start(self) -> None:
        """Open the port. Raises `UsageError` where the port is not free."""
        settings, running = self._settings, self._running
        hosts = HOSTS if self._options.tls else ()
        await running.start(settings.host, settings.port, speed=settings.speed, hosts=hosts)
        for stop in self._stop_listening:
            running.at_end(stop)
        running.run(self.streams.run())
        self.ready = running.ready(self._settings.kind, self._accounts(), self.desk.listing.symbols, more=WEBSOCKETS)

    def _accounts(self) -> Iterator[RehearsedAccount]:
        for account in self.desk.accounts.values():
            secrets = {"key": account.key, "secret": account.secret.decode()}
            yield RehearsedAccount(name=account.name, options={}, secrets=secrets)

    async def stop(self) -> None:
        """Close every connection and end. May be called twice."""
        await self._running.stop()


def _read_coins(text: str) -> dict[str, Decimal]:
    coins = {}
    for part in filter(None, text.split(",")):
        coin, _, amount = part.partition("=")
        try:
            coins[coin.strip()] = Decimal(amount)
        except ArithmeticError:
            raise UsageError(f"option coins: write COIN=AMOUNT, as in BTC=0.5,ETH=3, not {part!r}") from None
    return coins


async def start(settings: RehearsalSettings) -> Rehearsal:
    """Start the rehearsal venue in this event loop; it serves until its `stop()`.

    `settings.options`: `orders-per-second`, `reads-per-second`, `requests-per-5s`, `coins`, and `key.ACCOUNT` and
    `secret.ACCOUNT` for keys that are not to be random (with `key-seed` all are made from that text); with `tls` it is
    also there under its real host names, at `urls["tls"]` and with the authority `urls["ca"]`. A `speed` of zero leaves the
    market as it opened. Raises `UsageError` for settings of no use and for a port in use.
    """
    options, keys = read_options(settings, Options)
    rehearsal = Rehearsal(settings, options, keys)
    await rehearsal.start()
    return rehearsal
