"""What the sessions of all plugins have in common: an account at an address, its feeds, logging in, and ending."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Any, Generic, TypeVar

from copydesk.errors import AuthFailed, NotReady, RateLimited, Refused
from copydesk.model import (
    ConnectionSettings,
    Instrument,
    RejectReason,
    Scope,
    Snapshot,
    SnapshotRequest,
    Subscription,
    VenueEvent,
)

from copydesk_wire.streaming import Feed
from copydesk_wire.venue import Venue, is_loopback, share

AnyVenue = TypeVar("AnyVenue", bound=Venue)
HIDDEN = "<hidden>"


class Session(ABC, Generic[AnyVenue]):
    """One account at one address. `instruments` by symbol, `accounts` (one, without a name), `rehearsal`."""

    accounts: tuple[str, ...] = ("",)

    def __init__(self, name: str, venue: AnyVenue, hidden: Iterable[str]) -> None:
        self.name = name
        self.venue = venue
        self.rehearsal = is_loopback(venue.url)
        self.feeds: set[Feed] = set()
        self.heard = 0  # how many private events came; tells whether something happened while a snapshot was read
        self.closed = False
        self._hidden = tuple(word for word in hidden if word)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(name={self.name!r}, url={self.venue.url!r})"

    @property
    def instruments(self) -> Mapping[str, Instrument]:
        return self.venue.instruments

    @abstractmethod
    async def log_in(self) -> None:
        """Check the key and learn what the account has. Raises `AuthFailed` or `NotReady`."""

    def hide(self, text: str) -> str:
        """A text of the venue without the account's secrets: some venues repeat what they were sent."""
        for hidden in self._hidden:
            text = text.replace(hidden, HIDDEN)
        return text

    async def close(self) -> None:
        """End all feeds and leave the shared pool."""
        if self.closed:
            return
        self.closed = True
        for feed in list(self.feeds):
            await feed.close()
        await self.venue.release()


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
    except BaseException as error:
        await session.close()
        if isinstance(error, Refused) and error.reason is RejectReason.PERMISSION:
            raise AuthFailed(f"The connection {settings.name!r}: {error}") from None
        if isinstance(error, RateLimited | Refused):
            raise NotReady(f"The connection {settings.name!r}: {error}") from None
        raise
    return session


async def events(
    session: Session[Any],
    subscription: Subscription,
    private: Callable[[Feed], Coroutine[Any, Any, None]],
    prices: Callable[[Feed], Coroutine[Any, Any, None]],
) -> AsyncIterator[VenueEvent]:
    """What `subscribe` yields: `Gap` first and after every reconnect, `StreamLost` when a stream drops.

    `private` and `prices` are the loops that fill a feed; only those that were asked for run. Where both are, the private
    stream's state alone is told: prices then come and go silently.
    """
    feed = Feed()
    session.feeds.add(feed)
    try:
        if session.closed:
            return
        if subscription.private:
            feed.start(private(feed))
        if subscription.symbols:
            feed.start(prices(feed))
        while (event := await feed.get()) is not None:
            yield event
    finally:
        session.feeds.discard(feed)
        await feed.close()


async def read_snapshot(
    session: Session[Any],
    request: SnapshotRequest,
    whole: Callable[[], Awaitable[Snapshot]],
    orders: Callable[[], Awaitable[Snapshot]],
) -> Snapshot:
    """Read the looked-up orders alone, or everything; once more where the stream told of anything meanwhile, so that in
    quiet times the parts fit together exactly."""
    if request.scope is Scope.ORDERS:
        return await orders()
    heard = session.heard
    snapshot = await whole()
    return snapshot if session.heard == heard else await whole()
