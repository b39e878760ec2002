"""The accounts of one connection: what `connect` returns."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from copydesk import hooks
from copydesk.errors import AuthFailed, NotReady, Refused, UsageError, VenueError
from copydesk.hooks import Done, Tell
from copydesk.model import (
    Accepted,
    BalanceEvent,
    Candle,
    CandleRequest,
    ConnectionSettings,
    FillEvent,
    Gap,
    Instrument,
    NewOrder,
    OrderChange,
    OrderEvent,
    OrderGroup,
    OrderRef,
    Outcome,
    PositionEvent,
    PriceEvent,
    Snapshot,
    SnapshotRequest,
    StreamLost,
    Subscription,
    VenueEvent,
)
from copydesk_wire.streaming import Feed
from msgspec.structs import replace

from copydesk_ib import charts, login, reading
from copydesk_ib.link import Place
from copydesk_ib.login import Login
from copydesk_ib.sending import Desk

log = logging.getLogger("copydesk.ib")

DEFAULT_HOST, DEFAULT_CLIENT = "127.0.0.1", "1"


class Session(hooks.Session):
    """One account of a login, or all of them: then each event and each request names one."""

    def __init__(self, name: str, shared: Login, names: tuple[str, ...]) -> None:
        self.name = name
        self.login = shared
        self.rehearsal = shared.place.rehearsal
        self._accounts = names if len(names) > 1 else ("",)
        self.closed = False
        self.desks = {name: Desk(shared, name) for name in names}
        self._names = dict(zip(self._accounts, names, strict=True))
        self._labels = dict(zip(names, self._accounts, strict=True))
        self._private: set[Feed] = set()
        self._prices: dict[Feed, frozenset[str]] = {}

    def __repr__(self) -> str:
        return f"Session(name={self.name!r}, tws={self.login.place.words!r}, accounts={tuple(self._labels)!r})"

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        return self.login.catalogue.instruments

    @property
    def accounts(self) -> Sequence[str]:
        return self._accounts

    @property
    def notice(self) -> str:
        """What has to be set in TWS, so that everything that is done on these accounts is told."""
        return self.login.sight.notice

    # --- what is told ---

    def hear(self, account: str, event: VenueEvent) -> None:
        """An event of an account of the login."""
        label = self._labels.get(account)
        if label is None:
            return
        told = _labelled(event, label) if label != account else event
        for feed in tuple(self._private):
            feed.read_ns = self.login.read_ns
            feed.put(told)

    def hear_price(self, event: PriceEvent) -> None:
        for feed, symbols in tuple(self._prices.items()):
            if event.symbol in symbols:
                feed.read_ns = self.login.read_ns
                feed.put_price(event)

    def hear_all(self, event: Gap | StreamLost) -> None:
        for feed in self._private | self._prices.keys():
            feed.read_ns = 0
            feed.put(event)

    async def subscribe(self, subscription: Subscription) -> AsyncIterator[VenueEvent]:
        async with self._following(subscription, Feed()) as feed:
            while (event := await feed.get()) is not None:
                yield event

    async def listen(self, subscription: Subscription, tell: Tell) -> None:
        """What `subscribe` gives, told in the call that reads it: see `copydesk.hooks.Listens`."""
        async with self._following(subscription, Feed(tell)) as feed:
            await feed.get()  # nothing is kept: it returns when the feed is closed

    @asynccontextmanager
    async def _following(self, subscription: Subscription, feed: Feed) -> AsyncIterator[Feed]:
        """Fill a feed with what is subscribed to."""
        if subscription.private:
            self._private.add(feed)
        if subscription.symbols:
            self._prices[feed] = frozenset(subscription.symbols)
        try:
            if self.closed:
                await feed.close()
            else:
                if self.login.up:
                    feed.put(Gap(reason="TWS is connected."))
                feed.start(self._want_prices(feed, subscription.symbols))
            yield feed
        finally:
            self._private.discard(feed)
            self._prices.pop(feed, None)
            await feed.close()

    async def _want_prices(self, feed: Feed, symbols: tuple[str, ...]) -> None:
        for symbol in symbols:
            try:
                quote = self.login.quotes.want(await self.login.find(symbol))
            except VenueError as error:
                log.warning("%s: no prices of %s: %s", self.name, symbol, error)
                continue
            if (event := quote.event()) is not None:
                feed.put_price(event)

    # --- what is done ---

    def desk(self, account: str) -> Desk:
        """The desk of an account by its name here. Raises `Refused`."""
        desk = self._desk_of(account)
        if desk is None:
            raise Refused(f"{self.name} has no account {account!r}")
        return desk

    def _desk_of(self, account: str) -> Desk | None:
        return self.desks.get(self._names.get(account, ""))

    async def place(self, order: NewOrder) -> Outcome:
        return self._own(await self.desk(order.account).place(order), order.account)

    async def place_group(self, group: OrderGroup) -> Outcome:
        return self._own(await self.desk(group.account).place_group(group), group.account)

    async def modify(self, change: OrderChange) -> Outcome:
        return self._own(await self.desk(change.ref.account).modify(change), change.ref.account)

    async def cancel(self, order: OrderRef) -> Outcome:
        return self._own(await self.desk(order.account).cancel(order), order.account)

    def fire(self, order: NewOrder, done: Done) -> bool:
        desk = self._desk_of(order.account)
        return desk is not None and desk.fire(order, self._to(done, order.account))

    def fire_modify(self, change: OrderChange, done: Done) -> bool:
        desk = self._desk_of(change.ref.account)
        return desk is not None and desk.fire_modify(change, self._to(done, change.ref.account))

    def fire_cancel(self, order: OrderRef, done: Done) -> bool:
        desk = self._desk_of(order.account)
        return desk is not None and desk.fire_cancel(order, self._to(done, order.account))

    def _to(self, done: Done, account: str) -> Done:
        return lambda outcome: done(self._own(outcome, account))

    def _own(self, outcome: Outcome, account: str) -> Outcome:
        """Orders in an outcome under the account's name here."""
        if not isinstance(outcome, Accepted):
            return outcome
        order = replace(outcome.order, account=account) if outcome.order is not None else None
        return Accepted(order=order, legs=tuple(replace(leg, account=account) for leg in outcome.legs))

    async def snapshot(self, request: SnapshotRequest) -> Snapshot:
        return await reading.read_snapshot(self.login, self.desk(request.account), request)

    async def candles(self, request: CandleRequest) -> tuple[Candle, ...]:
        return await charts.candles(self.login, request)

    async def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        self.login.listeners.discard(self)
        for name in self.desks:
            self.login.leave(name)
        for feed in self._private | self._prices.keys():
            await feed.close()
        await login.release(self.login)


def _labelled(event: VenueEvent, label: str) -> VenueEvent:
    """The event under the account's name here."""
    match event:
        case OrderEvent(order=order):
            return OrderEvent(order=replace(order, account=label))
        case FillEvent(fill=fill):
            return FillEvent(fill=replace(fill, account=label))
        case PositionEvent(position=position):
            return PositionEvent(position=replace(position, account=label))
        case BalanceEvent(balance=balance):
            return BalanceEvent(balance=replace(balance, account=label))
    return event


# --- logging in ---------------------------------------------------------------------------------------------------


async def connect(settings: ConnectionSettings) -> Session:
    """Log in. Raises `NotReady` (TWS does not answer), `AuthFailed` (no such account), `UsageError` (settings)."""
    options = {name: value.strip() for name, value in settings.options.items()}
    place = place_of(options)
    shared = await login.share(place)
    try:
        names = _names(settings.name, options.get("account", ""), shared)
        session = Session(settings.name, shared, names)
        await _know(shared, options.get("symbols", ""))
    except BaseException:
        await login.release(shared)
        raise
    for name in names:
        shared.use(name)
    shared.listeners.add(session)
    return session


def place_of(options: Mapping[str, str]) -> Place:
    """Where to connect. Raises `UsageError` for what is no port or no client id."""
    numbers: dict[str, Any] = {}
    for name, default, most in (("port", "", 65_535), ("client_id", DEFAULT_CLIENT, 2**31 - 1)):
        text = options.get(name, "") or default
        if not text.isdigit() or int(text) > most:
            raise UsageError(f"{name} must be a number from 0 to {most}, not {text!r}")
        numbers[name] = int(text)
    rehearsal = options.get("rehearsal", "").lower() in ("yes", "true", "1")
    host = options.get("host", "") or DEFAULT_HOST
    return Place(host=host, port=numbers["port"], client=numbers["client_id"], rehearsal=rehearsal)


def _names(connection: str, account: str, shared: Login) -> tuple[str, ...]:
    """The accounts that are meant: the one that is named, else all of the login."""
    if not account:
        return shared.accounts
    if account not in shared.accounts:
        known = ", ".join(shared.accounts)
        raise AuthFailed(f"The connection {connection!r}: the login has no account {account}; it has {known}")
    return (account,)


async def _know(shared: Login, symbols: str) -> None:
    """Learn what is named beforehand, so that it can be charted and traded before anybody has an order in it."""
    for symbol in filter(None, (part.strip() for part in symbols.split(";"))):
        try:
            listed = await shared.find(symbol)
            if listed.rule:
                await shared.quotes.price(listed)
        except Refused as error:
            raise UsageError(f"symbols: {error}") from None
        except NotReady as error:
            log.warning("%s is not known yet: %s", symbol, error)
