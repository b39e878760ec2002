"""What the sessions of all plugins have in common: an account at an address, its feeds, logging in, and ending."""

from __future__ import annotations

import asyncio
import logging
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from typing import Any, Generic, Protocol, TypeVar

from copydesk import hooks
from copydesk.errors import AuthFailed, NotReady, RateLimited, Refused, VenueError
from copydesk.hooks import Done, Tell
from copydesk.model import (
    ConnectionSettings,
    Instrument,
    NewOrder,
    Outcome,
    RejectReason,
    Scope,
    Snapshot,
    SnapshotRequest,
    Subscription,
    VenueEvent,
)

from copydesk_wire.firing import Sender
from copydesk_wire.streaming import Feed, Reconnecting
from copydesk_wire.venue import Venue, is_loopback, share

AnyVenue = TypeVar("AnyVenue", bound=Venue)
HIDDEN = "<hidden>"
PERMISSIONS_S = 5.0

log = logging.getLogger("copydesk.wire")


class Reading(Protocol):
    """One pass of reads. It is made anew for each."""

    async def read(self) -> Snapshot:
        """Everything that a snapshot has."""
        ...

    async def look_up_only(self) -> Snapshot:
        """The looked-up orders and nothing else."""
        ...


class Session(hooks.Session, Generic[AnyVenue]):
    """One account at one address. `instruments` by symbol, `accounts` (one, without a name), `rehearsal`.

    `permissions`: what the venue says that the key may do, `None` where it does not tell.
    """

    permissions: tuple[str, ...] | None = None
    accounts: tuple[str, ...] = ("",)

    def __init__(self, name: str, venue: AnyVenue, hidden: Iterable[str]) -> None:
        self.name = name
        self.venue = venue
        self.rehearsal = is_loopback(venue.url)
        self.feeds: set[Feed] = set()
        self._private: Feed | None = None
        self.heard = 0  # how many private events came; tells whether something happened while a snapshot was read
        self.closed = False
        self.sender: Sender | None = None  # of what can be fired
        self._hidden = tuple(word for word in hidden if word)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, url={self.venue.url!r})"

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        return self.venue.instruments

    @property
    def stream_fileno(self) -> int:
        """The file descriptor that what happens to the account is read from; -1 while there is none."""
        return self._private.fileno if self._private is not None else -1

    # --- what a plugin writes ---

    @abstractmethod
    async def log_in(self) -> None:
        """Check the key and learn what the account has. Raises `AuthFailed` or `NotReady`."""

    @abstractmethod
    def private_stream(self, feed: Feed) -> Reconnecting:
        """The stream that fills the feed with what happens to the account."""

    @abstractmethod
    def price_stream(self, feed: Feed, symbols: tuple[str, ...], *, tell: bool) -> Reconnecting:
        """The stream that fills the feed with prices of symbols. `tell`: its own losses and gaps are told."""

    @abstractmethod
    def reading(self, request: SnapshotRequest) -> Reading:
        """One pass of reads for a snapshot."""

    async def read_permissions(self) -> tuple[str, ...] | None:
        """What the venue says that the key may do, in its words; `withdraw` is in those that let money out. `None`: it does
        not tell. Raises `VenueError`."""
        return None

    # --- hooks ---

    async def subscribe(self, subscription: Subscription) -> AsyncIterator[VenueEvent]:
        """The account's events, and prices of symbols.

        `Gap` first and after every reconnect, `StreamLost` when a stream drops. Where both are wanted, the private stream's
        state alone is told: prices then come and go silently.
        """
        feed = Feed()
        self.feeds.add(feed)
        try:
            if self.closed:
                return
            self._start(feed, subscription)
            while (event := await feed.get()) is not None:
                yield event
        finally:
            self.feeds.discard(feed)
            await feed.close()

    async def listen(self, subscription: Subscription, tell: Tell) -> None:
        """What `subscribe` gives, told in the call that reads it: see `copydesk.hooks.Listens`."""
        feed = Feed(tell)
        self.feeds.add(feed)
        try:
            if not self.closed:
                self._start(feed, subscription)
                await feed.get()  # nothing is kept: it returns when the feed is closed, and raises what ended a loop
        finally:
            self.feeds.discard(feed)
            await feed.close()

    def _start(self, feed: Feed, subscription: Subscription) -> None:
        if subscription.private:
            self._private = feed
            feed.start(self.private_stream(feed).run())
        if subscription.symbols:
            feed.start(self.price_stream(feed, subscription.symbols, tell=not subscription.private).run())

    async def snapshot(self, request: SnapshotRequest) -> Snapshot:
        """The looked-up orders alone, or everything.

        Once more where the stream told of anything meanwhile, so that in quiet times the parts fit together exactly. Raises
        where any part cannot be read.
        """
        if request.scope is Scope.ORDERS:
            return await self.reading(request).look_up_only()
        heard = self.heard
        snapshot = await self.reading(request).read()
        return snapshot if self.heard == heard else await self.reading(request).read()

    def warm_up(self, order: NewOrder) -> None:
        """Go through all of `fire` but the sending: see `copydesk.hooks.Warms`."""
        if self.sender is not None:
            self.sender.dry = True
            try:
                self.fire(order, _unheard)
            finally:
                self.sender.dry = False

    def fire(self, order: NewOrder, done: Done) -> bool:
        """Place an order now, where a plugin can: see `copydesk.hooks.Fires`."""
        return False

    def hide(self, text: str) -> str:
        """A text of the venue without the account's secrets: some venues repeat what they were sent."""
        for hidden in self._hidden:
            text = text.replace(hidden, HIDDEN)
        return text

    async def learn_permissions(self) -> None:
        """Told to people only: nothing depends on it, and where it cannot be read the login goes on."""
        try:
            async with asyncio.timeout(PERMISSIONS_S):
                self.permissions = await self.read_permissions()
        except (VenueError, TimeoutError) as error:
            log.info(
                "%s: what its key may do could not be read: %s", self.name, self.hide(str(error)) or "no answer in time"
            )

    async def close(self) -> None:
        """End all feeds and leave the shared pool."""
        if self.closed:
            return
        self.closed = True
        if self.sender is not None:
            await self.sender.close()
        for feed in list(self.feeds):
            await feed.close()
        await self.venue.release()


def _unheard(outcome: Outcome) -> None:
    """Nothing was sent, so nothing comes of it."""


AnySession = TypeVar("AnySession", bound=Session[Any])


async def log_in(
    settings: ConnectionSettings, venue_type: type[AnyVenue], make: Callable[[AnyVenue, str, str], AnySession]
) -> AnySession:
    """Open the venue, make a session of it, its key and its secret, and log in.

    Raises `AuthFailed` (missing or refused key) or `NotReady` (unreachable, overloaded).
    """
    key, secret = settings.secrets.get("key", "").strip(), settings.secrets.get("secret", "").strip()
    if not key or not secret:
        raise AuthFailed(f"The connection {settings.name!r} has no key or no secret; store both and connect again.")
    try:
        venue = await share(venue_type, settings.options.get("url", "").strip(), settings.options.get("ws_url", "").strip())
    except (RateLimited, Refused) as error:
        raise NotReady(f"The connection {settings.name!r}: {error}") from None
    session = make(venue, key, secret)
    try:
        await session.log_in()
        await session.learn_permissions()
    except BaseException as error:
        await session.close()
        if isinstance(error, Refused) and error.reason is RejectReason.PERMISSION:
            raise AuthFailed(f"The connection {settings.name!r}: {error}") from None
        if isinstance(error, RateLimited | Refused):
            raise NotReady(f"The connection {settings.name!r}: {error}") from None
        raise
    return session
