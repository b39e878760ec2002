"""Binance USD-M futures on loopback: the venue's own wire over the paper exchange.

`start` brings up a server that ccxt, Binance's connectors and other people's bots talk to unmodified but for its addresses:
REST (`/fapi/...`), market and user data streams (`/ws`, `/stream`, also below `/public`, `/market`, `/private`), the
websocket API (`/ws-fapi/v1`), and beside them the rehearsal's own control (`/rehearsal/...`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Set
from decimal import Decimal
from typing import Annotated

import msgspec
from copydesk.model import Contract, Order, Record, RehearsalReady, RehearsalSettings, RehearsedAccount
from copydesk_paper.exchange import Exchange
from copydesk_paper.market import Market, open_market
from copydesk_paper.serving.control import Control
from copydesk_paper.serving.faults import Faults
from copydesk_paper.serving.misbehaviour import Misbehaviour
from copydesk_paper.serving.running import Running, now_ms, read_options
from msgspec.structs import replace

from copydesk_binance.rehearsal.account import Account
from copydesk_binance.rehearsal.answers import ANSWERS
from copydesk_binance.rehearsal.codes import FUTURES, Refusal
from copydesk_binance.rehearsal.keys import PER_ACCOUNT, make_keys
from copydesk_binance.rehearsal.limits import OrderCount, RequestWeight
from copydesk_binance.rehearsal.listing import Listing
from copydesk_binance.rehearsal.market import MarketData
from copydesk_binance.rehearsal.methods import API_PATH, METHODS
from copydesk_binance.rehearsal.rest import TABLE, Limits, Rest
from copydesk_binance.rehearsal.server import Server
from copydesk_binance.rehearsal.service import Service
from copydesk_binance.rehearsal.user_streams import Streams
from copydesk_binance.rehearsal.venue import Venue
from copydesk_binance.rehearsal.websocket_api import WebsocketApi
from copydesk_binance.rehearsal.wire import client_id

__all__ = ["Rehearsal", "start"]

HOSTS = ("fapi.binance.com", "fstream.binance.com", "ws-fapi.binance.com", "api.binance.com", "localhost")
"""The venue's real host names, under which it is there too with `tls`."""
Count = Annotated[int, msgspec.Meta(gt=0)]


class Options(Record, forbid_unknown_fields=True):
    """The plain settings of the rehearsal, with Binance's own limits as defaults."""

    weight_per_minute: Count = 2_400
    orders_per_minute: Count = 1_200
    orders_per_10s: Count = 300
    tls: bool = False
    key_seed: str = ""
    legacy_conditional: bool = False
    listen_key_seconds: Annotated[float, msgspec.Meta(gt=0)] = 3600.0


class Rehearsal:
    """A running rehearsal venue. `exchange`, `venue` and `server` are for those who live in the same process."""

    def __init__(
        self,
        settings: RehearsalSettings,
        options: Options,
        keys: Mapping[str, Mapping[str, str]],
        market: Market | None = None,
    ) -> None:
        market = market if market is not None else open_market(settings.market)
        self._settings = settings
        self._options = options
        self.exchange = Exchange(market.instruments, now_ms=now_ms)
        self.exchange.price_band = Decimal(0)  # PERCENT_PRICE is checked by the listing, with Binance's codes
        faults = Faults(settings.faults)
        traded = [one for one in market.instruments if one.contract is Contract.LINEAR]
        listing = Listing(traded, market.raw_exchange_info)
        self._limits = Limits(options.weight_per_minute, options.orders_per_minute, options.orders_per_10s)
        weights = RequestWeight(options.weight_per_minute, now_ms)
        self.misbehaviour = misbehaviour = Misbehaviour(faults, self.exchange, self._leave, ANSWERS)
        self.venue = Venue(self.exchange, listing, now_ms, old_conditional=options.legacy_conditional)
        data = MarketData(self.exchange, listing, now_ms)
        self.streams = Streams(data, listing, faults, now_ms, listen_key_seconds=options.listen_key_seconds)
        self.venue.watchers.append(self.streams)
        rest = Rest(self.venue, data, self.streams, self._limits, now_ms, misbehaviour)
        service = Service(rest, TABLE, self.venue.by_key, weights, misbehaviour, FUTURES, now_ms)
        self.server = Server(service, self.streams, WebsocketApi(API_PATH, service, METHODS))
        self.server.control = Control(
            self.exchange, misbehaviour, symbols=listing.symbols, counters=self._counters, as_told=_as_told
        )
        self._running = Running(self.exchange, market, self.server)
        self._open_accounts(keys)
        market.prime(self.exchange)
        self.ready: RehearsalReady

    @property
    def away(self) -> Set[str]:
        """The accounts that are cut off."""
        return self.server.cut_off

    def cut_off(self, account: str) -> None:
        """Drop the account's streams and answer none of its requests, until `let_in`."""
        self.server.cut_off.add(account)
        with contextlib.suppress(Refusal):  # no listen key in force
            self.streams.delete_key(self.venue.accounts[account])

    def let_in(self, account: str) -> None:
        self.server.cut_off.discard(account)

    def _leave(self, seconds: float) -> None:
        self.server.leave(seconds)

    def _counters(self) -> dict[str, int]:
        return {"requests": self.server.requests}

    def _open_accounts(self, given: Mapping[str, Mapping[str, str]]) -> None:
        keys = make_keys(self._settings.accounts, given, self._options.key_seed)
        for name, cash in self._settings.accounts.items():
            orders = OrderCount(self._limits.orders, now_ms, batch_counts_once=True)
            self.exchange.open_account(name, cash)
            self.venue.add(Account(name, keys[name], orders))

    async def start(self) -> None:
        """Open the port. Raises `UsageError` where the port is not free."""
        settings, running = self._settings, self._running
        hosts = HOSTS if self._options.tls else ()
        await running.start(settings.host, settings.port, speed=settings.speed, hosts=hosts)
        running.at_end(self.venue.close)
        running.at_end(self.exchange.listen(self.streams.on_report))
        running.run(self.streams.run())
        self.ready = running.ready(
            self._settings.kind, self._accounts(), self.venue.listing.symbols, more={"ws_api": API_PATH}
        )

    def _accounts(self) -> Iterator[RehearsedAccount]:
        for account in self.venue.accounts.values():
            yield RehearsedAccount(name=account.name, options={}, secrets=account.api_key.secrets)

    async def stop(self) -> None:
        """Close every connection and end. May be called twice."""
        await self._running.stop()


def _as_told(order: Order) -> Order:
    return replace(order, client_id=client_id(order))


async def start(settings: RehearsalSettings) -> Rehearsal:
    """Start the rehearsal venue in this event loop; it serves until its `stop()`.

    `settings.options`: `weight-per-minute`, `orders-per-minute`, `orders-per-10s`, `listen-key-seconds`, and `key.ACCOUNT`
    with `secret.ACCOUNT` for keys that are not to be random (with `key-seed` all are made from that text), or with
    `public-key.ACCOUNT`: a PEM file with the Ed25519 or RSA public key that signatures are checked with; with `tls` the
    venue is also there under its real host names, at `urls["tls"]` and with the authority `urls["ca"]`; with
    `legacy-conditional` it takes stop and take-profit orders at `/fapi/v1/order` too, as Binance did until 2025-12-09. A
    `speed` of zero leaves the market as it opened. Raises `UsageError` for settings of no use and for a port in use.
    """
    options, keys = read_options(settings, Options, per_account=PER_ACCOUNT)
    rehearsal = Rehearsal(settings, options, keys)
    await rehearsal.start()
    return rehearsal
