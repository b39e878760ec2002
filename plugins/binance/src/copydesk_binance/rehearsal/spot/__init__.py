"""Binance spot on loopback: the venue's own wire over the paper exchange.

`start` brings up a server that ccxt, Binance's connectors and other people's bots talk to unmodified but for its addresses:
REST (`/api/v3/...`), market streams (`/ws`, `/stream`), the websocket API with its user data streams (`/ws-api/v3`), and
beside them the rehearsal's own control (`/rehearsal/...`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Annotated

import msgspec
from copydesk.errors import UsageError
from copydesk.model import Contract, Order, Record, RehearsalReady, RehearsalSettings, RehearsedAccount
from copydesk_paper.exchange import Exchange
from copydesk_paper.market import open_market
from copydesk_paper.serving.control import Control
from copydesk_paper.serving.faults import Faults
from copydesk_paper.serving.misbehaviour import Misbehaviour
from copydesk_paper.serving.running import Running, now_ms, read_options
from msgspec.structs import replace

from copydesk_binance.rehearsal.answers import ANSWERS
from copydesk_binance.rehearsal.keys import PER_ACCOUNT, make_keys
from copydesk_binance.rehearsal.limits import OrderCount, OrderLimit, RequestWeight
from copydesk_binance.rehearsal.server import Server
from copydesk_binance.rehearsal.service import Service
from copydesk_binance.rehearsal.spot import wire
from copydesk_binance.rehearsal.spot.account import Account
from copydesk_binance.rehearsal.spot.api import API_PATH, SpotApi
from copydesk_binance.rehearsal.spot.codes import SPOT
from copydesk_binance.rehearsal.spot.desk import Desk
from copydesk_binance.rehearsal.spot.listing import CHARACTERS, Listing
from copydesk_binance.rehearsal.spot.market import SpotMarket
from copydesk_binance.rehearsal.spot.recording import SpotRecording
from copydesk_binance.rehearsal.spot.rest import TABLE, Rest
from copydesk_binance.rehearsal.spot.streams import SpotStreams

__all__ = ["Rehearsal", "start"]

HOSTS = ("api.binance.com", "stream.binance.com", "ws-api.binance.com", "localhost")
"""The venue's real host names, under which it is there too with `tls`."""
FIRST_UID = 350_000_000
Count = Annotated[int, msgspec.Meta(gt=0)]


class Options(Record, forbid_unknown_fields=True):
    """The plain settings of the rehearsal, with Binance's own limits and fees as defaults."""

    weight_per_minute: Count = 6_000
    orders_per_10s: Count = 100
    orders_per_day: Count = 200_000
    maker_fee: Decimal = Decimal("0.001")
    taker_fee: Decimal = Decimal("0.001")
    tls: bool = False
    key_seed: str = ""


class Rehearsal:
    """A running rehearsal venue. `exchange`, `desk` and `server` are for those who live in the same process."""

    def __init__(self, settings: RehearsalSettings, options: Options, keys: Mapping[str, Mapping[str, str]]) -> None:
        market = open_market(settings.market, characters=CHARACTERS, read=SpotRecording)
        self._settings = settings
        self._options = options
        self.exchange = Exchange(
            market.instruments, now_ms=now_ms, maker_fee=options.maker_fee, taker_fee=options.taker_fee
        )
        self.exchange.price_band = Decimal(0)  # PERCENT_PRICE_BY_SIDE is checked by the listing, with Binance's words
        faults = Faults(settings.faults)
        listing = Listing([one for one in market.instruments if one.contract is Contract.SPOT], market.raw_exchange_info)
        self._orders = (
            OrderLimit(limit=options.orders_per_10s, interval="SECOND", number=10),
            OrderLimit(limit=options.orders_per_day, interval="DAY", number=1),
        )
        weights = RequestWeight(options.weight_per_minute, now_ms)
        self.misbehaviour = Misbehaviour(faults, self.exchange, self._leave, ANSWERS)
        self.desk = Desk(self.exchange, listing, now_ms)
        data = SpotMarket(self.exchange, listing, now_ms)
        self.streams = SpotStreams(data, listing, faults, now_ms)
        rest = Rest(
            desk=self.desk,
            market=data,
            weight_per_minute=options.weight_per_minute,
            orders=self._orders,
            maker_fee=options.maker_fee,
            taker_fee=options.taker_fee,
            now_ms=now_ms,
            misbehaviour=self.misbehaviour,
        )
        service = Service(rest, TABLE, self.desk.by_key, weights, self.misbehaviour, SPOT, now_ms)
        self.api = SpotApi(service, faults)
        self.desk.watchers.append(self.api)
        self.server = Server(service, self.streams, self.api)
        self.server.control = Control(
            self.exchange, self.misbehaviour, symbols=listing.symbols, counters=self._counters, as_told=self._as_told
        )
        self._running = Running(self.exchange, market, self.server)
        self._open_accounts(keys)
        market.prime(self.exchange)
        self.ready: RehearsalReady

    def _leave(self, seconds: float) -> None:
        self.server.leave(seconds)

    def _counters(self) -> dict[str, int]:
        return {"requests": self.server.requests}

    def _as_told(self, order: Order) -> Order:
        account = self.desk.accounts.get(order.account)
        return order if account is None else replace(order, client_id=wire.client_id(account, order))

    def _open_accounts(self, given: Mapping[str, Mapping[str, str]]) -> None:
        keys = make_keys(self._settings.accounts, given, self._options.key_seed)
        for number, (name, cash) in enumerate(self._settings.accounts.items(), start=1):
            self.exchange.open_account(name, cash)
            self.desk.add(Account(name, keys[name], OrderCount(self._orders, now_ms), FIRST_UID + number))

    async def start(self) -> None:
        """Open the port. Raises `UsageError` where the port is not free."""
        settings, running = self._settings, self._running
        hosts = HOSTS if self._options.tls else ()
        await running.start(settings.host, settings.port, speed=settings.speed, hosts=hosts)
        running.at_end(self.desk.close)
        running.at_end(self.exchange.listen(self.streams.on_report))
        running.run(self.streams.run())
        self.ready = running.ready(
            self._settings.kind, self._accounts(), self.desk.listing.symbols, more={"ws_api": API_PATH}
        )

    def _accounts(self) -> Iterator[RehearsedAccount]:
        for account in self.desk.accounts.values():
            yield RehearsedAccount(name=account.name, options={}, secrets=account.api_key.secrets)

    async def stop(self) -> None:
        """Close every connection and end. May be called twice."""
        await self._running.stop()


async def start(settings: RehearsalSettings) -> Rehearsal:
    """Start the rehearsal venue in this event loop; it serves until its `stop()`.

    `settings.options`: `weight-per-minute`, `orders-per-10s`, `orders-per-day`, `maker-fee`, `taker-fee` (0.001 is 0.1 %,
    taken from what is bought), `key-seed`, and `key.ACCOUNT` with `secret.ACCOUNT`, or with `public-key.ACCOUNT`: a PEM
    file with the Ed25519 or RSA public key that signatures are checked with. With `tls` the venue is also there under its
    real host names, at `urls["tls"]` and with the authority `urls["ca"]`. A `speed` of zero leaves the market as it
    opened. Raises `UsageError` for settings of no use and for a port in use.
    """
    options, keys = read_options(settings, Options, per_account=PER_ACCOUNT)
    if not 0 <= options.maker_fee < 1 or not 0 <= options.taker_fee < 1:
        raise UsageError("rehearsal options: maker-fee and taker-fee are shares, from 0 to less than 1 (0.001 is 0.1 %)")
    rehearsal = Rehearsal(settings, options, keys)
    await rehearsal.start()
    return rehearsal
