"""The socket of one login: connecting, staying connected, sending, and knowing when it is dead."""

from __future__ import annotations

import asyncio
import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any

from copydesk.errors import NotReady, VenueError
from copydesk.model import Record

from copydesk_ib import library
from copydesk_ib.pacing import Full, Pacer, Urgency
from copydesk_ib.requests import Requests
from copydesk_ib.templates import Templates
from copydesk_ib.waiting import Waiting

log = logging.getLogger("copydesk.ib")


class Timing(Record):
    """Deadlines and intervals, in seconds."""

    connect: float = 8.0
    read: float = 10.0
    contract: float = 6.0
    commission: float = 1.0  # a fill is told without its commission after so long
    undecided: float = 0.3  # an order that is not refused by then is told, though IB has not said that it has it
    alive: float = 10.0  # after so much silence TWS is asked for its time; after twice as much the socket is dead
    backoff_first: float = 0.1
    backoff_most: float = 10.0
    again: float = 1.0  # between two tries to read everything once TWS has IB back
    reckon: float = 1.0  # an execution may follow the position that it makes
    poll: float = 5.0  # how often TWS is asked for what it does not tell


TIMING = Timing()


class Place(Record):
    """Where a login is: its address and the client's number."""

    host: str
    port: int
    client: int
    rehearsal: bool = False

    @property
    def words(self) -> str:
        return f"{self.host}:{self.port}"


class Link(ABC):
    """Keeps one client connected. Who derives says what is read when it is up, and who is told."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.library = library.load()
        self.requests = Requests()
        self.waiting = Waiting()
        self.pacer = Pacer()
        self.up = False
        self.templates: Templates  # for the version of TWS that answers
        self.why = "not connected yet"  # the sentence for whoever asks while it is not up
        self.error: VenueError | None = None  # what the latest attempt to connect met
        self._client: Any = None
        self._told = asyncio.Event()
        self._closed = asyncio.Event()
        self._heard_at = 0.0
        self.read_ns = 0  # when the bytes that are being worked on were read, zero where none are
        self._tasks: set[asyncio.Task[Any]] = set()

    # --- what is built on it ---

    @abstractmethod
    def wrapper(self) -> Any:
        """What the library's client calls."""

    @abstractmethod
    async def read_all(self) -> None:
        """Read everything anew. Raises `VenueError`."""

    @abstractmethod
    def came_up(self, reason: str) -> None:
        """Everything is read, and nothing that happens from now on is missed."""

    @abstractmethod
    def went_down(self, why: str) -> None:
        """It was up, and is not any more."""

    # --- life ---

    def start(self) -> None:
        self.spawn(self._live())

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run it until it ends or the login does."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("a task of the login at %s failed", self.place.words, exc_info=error)

    async def until_up(self) -> None:
        """Return once it is up. Raises what the next attempt to connect meets."""
        while not self.up:
            self._told.clear()
            await self._told.wait()
            if not self.up and self.error is not None:
                raise self.error

    async def end(self) -> None:
        """Close the socket and end all tasks."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.drop("the session was closed")
        self._disconnect()

    async def _live(self) -> None:
        pause = TIMING.backoff_first
        while True:
            try:
                await self._connect()
            except VenueError as error:
                self.error = error
                self.drop(str(error))
                self._disconnect()
                self._told.set()
            else:
                pause = TIMING.backoff_first
                await self._watch()
            await asyncio.sleep(pause)
            pause = min(pause * 2, TIMING.backoff_most)

    async def _connect(self) -> None:
        """Open the socket, read everything, and say that it is up. Raises `VenueError`."""
        self._closed.clear()
        self.error = None
        self._client = self.library.client(self.wrapper())
        await self._open_socket()
        self.templates = Templates(self.library, self._client.serverVersion())
        self._heard_at = asyncio.get_running_loop().time()
        self.pacer.submit(Urgency.CANCEL, lambda: None)  # startApi, which the library has sent
        if self.place.client == 0:
            self.send(Urgency.CHANGE, lambda client: client.reqAutoOpenOrders(True))
            self.send(Urgency.CHANGE, lambda client: client.reqOpenOrders())  # binds what was made by hand
        self.send(Urgency.READ, lambda client: client.reqMarketDataType(4))  # delayed ones where live ones are not paid for
        await self.come_up("Connected to TWS.")

    async def _open_socket(self) -> None:
        place = self.place
        opening = asyncio.create_task(self._client.connectAsync(place.host, place.port, place.client, TIMING.connect))
        closed = asyncio.create_task(self._closed.wait())
        try:
            await asyncio.wait({opening, closed}, return_when=asyncio.FIRST_COMPLETED)
            if opening.done():
                opening.result()
                return
        except (OSError, TimeoutError):
            raise NotReady(
                f"TWS or IB Gateway does not answer at {place.words}: start it, and allow socket clients under "
                "File > Global Configuration > API > Settings"
            ) from None
        finally:
            for task in (opening, closed):
                task.cancel()
            await asyncio.gather(opening, closed, return_exceptions=True)
        raise self.error or NotReady(f"TWS at {place.words} closed the connection before it was ready")

    async def come_up(self, reason: str) -> None:
        """Read everything, then say that it is up."""
        await self.read_all()
        self.up, self.why, self.error = True, "", None
        self.came_up(reason)
        self._told.set()

    async def _watch(self) -> None:
        """Return when the socket is closed, or silent for too long."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                async with asyncio.timeout(TIMING.alive):
                    await self._closed.wait()
                return
            except TimeoutError:
                silent_s = loop.time() - self._heard_at
            if silent_s >= 2 * TIMING.alive:
                self.drop(f"TWS at {self.place.words} does not answer any more")
                self._disconnect()
                return
            if silent_s >= TIMING.alive:
                self.send(Urgency.CANCEL, lambda client: client.reqCurrentTime())

    def drop(self, why: str) -> None:
        """The connection is down, for this reason."""
        was_up, self.up, self.why = self.up, False, why
        self.pacer.clear()
        self.requests.fail_all(NotReady(why))
        self.waiting.lose_all(f"the connection was lost: {why}")
        if was_up:
            self.went_down(why)

    def _disconnect(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            client.disconnect()

    # --- what the wrapper tells ---

    def on_read(self) -> None:
        """Bytes have come, whose messages follow."""
        self.read_ns = time.perf_counter_ns()
        self._heard_at = asyncio.get_running_loop().time()

    def on_worked_off(self) -> None:
        """All messages of these bytes were told."""
        self.read_ns = 0

    def on_closed(self) -> None:
        self._closed.set()
        self.drop(self.error.args[0] if self.error is not None else f"TWS at {self.place.words} closed the connection")

    # --- sending ---

    def fire(self, data: bytes) -> bool:
        """Send the bytes of a message in this very call; false where they cannot go now, and nothing was sent."""
        client = self._client
        if client is None or not client.isConnected() or not self.pacer.at_once():
            return False
        client.conn.sendMsg(data)
        return True

    def send(self, urgency: Urgency, call: Callable[[Any], None], key: object = None) -> int | None:
        """Send a message when its turn comes; a ticket where it has to wait. Raises `NotReady`: then it is never sent."""
        client = self._client
        if client is None or not client.isConnected():
            raise NotReady(self.why or "TWS is not connected")

        def go() -> None:
            try:
                call(client)
            except ConnectionError as error:  # it was lost while this waited; whoever waits is told by `drop`
                log.debug("not sent: %s", error)

        try:
            return self.pacer.submit(urgency, go, key)
        except Full as error:
            raise NotReady(str(error)) from None
