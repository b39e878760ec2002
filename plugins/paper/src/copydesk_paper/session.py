"""The live link of one account to a paper exchange. It keeps itself connected."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from decimal import Decimal, InvalidOperation
from itertools import count
from typing import Any, TypeVar

import aiohttp
import msgspec
from copydesk.errors import AuthFailed, NotReady, OutcomeUnknown, Refused, UsageError
from copydesk.model import (
    Accepted,
    BalanceEvent,
    Candle,
    CandleRequest,
    ConnectionSettings,
    FillEvent,
    Gap,
    Instrument,
    LeverageChange,
    MarginSetting,
    NewOrder,
    Order,
    OrderChange,
    OrderEvent,
    OrderGroup,
    OrderRef,
    Outcome,
    PositionEvent,
    PriceEvent,
    Rejected,
    Snapshot,
    SnapshotRequest,
    StreamLost,
    Subscription,
    Unknown,
    VenueEvent,
)

from copydesk_paper import wire
from copydesk_paper.embedded import embedded

DEADLINE_SECONDS = 3.0
"""How long a request waits for its answer, and for the link to be there."""
BACKOFF_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
"""Waits between attempts to reconnect; the last one repeats."""
READER_QUEUE = 20_000
"""Events that wait for a reader; at more they are dropped and a `Gap` takes their place."""
T = TypeVar("T")
_read_event = msgspec.json.Decoder(OrderEvent | FillEvent | PositionEvent | BalanceEvent | PriceEvent).decode


class PaperSession:
    """`instruments` by symbol; `accounts` is the one account, which has no name; always a rehearsal."""

    accounts = ("",)
    rehearsal = True

    def __init__(self, name: str, url: str, token: str, *, deadline_s: float = DEADLINE_SECONDS) -> None:
        self.name = name
        self.instruments: Mapping[str, Instrument] = {}
        self._url = url.rstrip("/")
        self._token = token
        self._deadline_s = deadline_s
        self._http: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._connected = asyncio.Event()
        self._numbers = count(1)
        self._waiting: dict[int, asyncio.Future[wire.Frame]] = {}
        self._watches: dict[int, tuple[list[_Reader], Gap]] = {}
        self._readers: list[_Reader] = []
        self._keeper: asyncio.Task[None] | None = None
        self._on_close: list[Callable[[], Any]] = []

    def __repr__(self) -> str:
        return f"PaperSession({self.name!r}, {self._url!r}, {'connected' if self._connected.is_set() else 'not connected'})"

    # --- life ---

    async def open(self) -> None:
        """Connect for the first time. Raises `NotReady` or `AuthFailed`."""
        self._http = aiohttp.ClientSession()
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._connect()
        except TimeoutError as error:
            await self._http.close()
            raise NotReady(f"{self.name}: the paper exchange at {self._url} does not answer") from error
        except BaseException:
            await self._http.close()
            raise
        self._keeper = asyncio.create_task(self._keep(), name=f"paper session {self.name}")

    async def close(self) -> None:
        """End the link and all tasks; readers end."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        await self._drop("the session was closed")
        if self._http is not None:
            await self._http.close()
        for reader in self._readers:
            reader.end()
        while self._on_close:
            await self._on_close.pop()()

    def when_closed(self, callback: Callable[[], Any]) -> None:
        """Await `callback()` once the session is closed."""
        self._on_close.append(callback)

    async def _connect(self) -> None:
        assert self._http is not None
        headers = {"Authorization": f"Bearer {self._token}"}
        try:
            socket = await self._http.ws_connect(
                self._url + wire.PATH, headers=headers, heartbeat=15, max_msg_size=wire.MAX_FRAME
            )
            hello = wire.read_frame(await socket.receive_str()).hello
        except aiohttp.WSServerHandshakeError as error:
            if error.status == 401:
                raise AuthFailed(f"{self.name}: the paper exchange does not know this token; set it anew") from None
            raise NotReady(f"{self.name}: {self._url} answers {error.status}, this is no paper exchange") from None
        except (aiohttp.ClientError, aiohttp.WSMessageTypeError, OSError, ValueError, msgspec.MsgspecError) as error:
            raise NotReady(f"{self.name}: the paper exchange at {self._url} cannot be reached: {error}") from error
        if hello is None:
            await socket.close()
            raise NotReady(f"{self.name}: {self._url} does not greet as a paper exchange does")
        self.instruments = {instrument.symbol: instrument for instrument in hello.instruments}
        self._socket = socket
        self._connected.set()

    async def _keep(self) -> None:
        """Read until the link breaks, connect again, and so on."""
        while True:
            reason = await self._read()
            await self._drop(reason)
            self._tell_all(StreamLost(reason=reason))
            attempt = 0
            while not self._connected.is_set():
                await asyncio.sleep(BACKOFF_SECONDS[min(attempt, len(BACKOFF_SECONDS) - 1)])
                attempt += 1
                with contextlib.suppress(NotReady, AuthFailed, TimeoutError):
                    async with asyncio.timeout(self._deadline_s):
                        await self._connect()
            if self._readers:
                await self._watch(list(self._readers), "the stream was reconnected")

    async def _watch(self, readers: list[_Reader], reason: str) -> None:
        """Ask for the events of all readers; with the answer, `readers` are told that they miss nothing from there on."""
        number = next(self._numbers)
        self._watches[number] = (readers, Gap(reason=reason))
        with contextlib.suppress(ConnectionError, RuntimeError):  # a broken link: the next one asks anew
            await self._send(wire.request(number, "watch", self._wanted()))

    async def _read(self) -> str:
        assert self._socket is not None
        async for message in self._socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                break
            try:
                frame = wire.read_frame(message.data)
                event = _read_event(frame.event) if frame.event else None
            except msgspec.MsgspecError as error:
                return f"the exchange sent to {self.name} what cannot be read: {error}"
            if frame.id in self._watches:
                readers, gap = self._watches.pop(frame.id)
                for reader in readers:
                    reader.begin(gap)
            elif frame.id:
                waiting = self._waiting.pop(frame.id, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(frame)
            elif event is not None:
                for reader in self._readers:
                    reader.offer(event)
        return f"the stream of {self.name} ended"

    async def _drop(self, reason: str) -> None:
        """The link is gone: nobody can know what became of requests without an answer."""
        self._connected.clear()
        socket, self._socket = self._socket, None
        waiting, self._waiting = self._waiting, {}
        self._watches.clear()
        for future in waiting.values():
            if not future.done():
                future.set_exception(OutcomeUnknown(f"{reason} before the answer came"))
                future.exception()  # whoever waits is told all the same; nobody else has to be
        if socket is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1):
                    await socket.close()

    # --- requests ---

    async def request(self, do: str, body: Any, type_: type[T]) -> T:
        """Ask and wait for the answer.

        Raises `NotReady` where it was not sent, `Refused` where the exchange said no, `OutcomeUnknown` where nobody knows.
        """
        number = 0
        try:
            async with asyncio.timeout(self._deadline_s):
                await self._connected.wait()
                number = next(self._numbers)
                future = self._waiting[number] = asyncio.get_running_loop().create_future()
                await self._send(wire.request(number, do, body))
                frame = await future
        except TimeoutError as error:
            if not number:
                raise NotReady(f"{self.name}: not connected to {self._url}; {do} was not sent") from error
            raise OutcomeUnknown(f"{self.name}: no answer to {do} within {self._deadline_s} s") from error
        except (ConnectionError, RuntimeError) as error:
            raise OutcomeUnknown(f"{self.name}: the link broke while {do} was sent") from error
        finally:
            self._waiting.pop(number, None)
        if frame.error is not None:
            raise Refused(frame.error.message, reason=frame.error.reason, code=frame.error.detail)
        return msgspec.json.decode(frame.result, type=type_)

    async def _send(self, text: str) -> None:
        if self._socket is None:
            raise ConnectionError("not connected")
        await self._socket.send_str(text)

    # --- orders and reads ---

    async def place(self, order: NewOrder) -> Outcome:
        return await self._change("place", order)

    async def place_group(self, group: OrderGroup) -> Outcome:
        return await self._outcome(self.request("place-group", group, tuple[Order, ...]), lambda legs: Accepted(legs=legs))

    async def modify(self, change: OrderChange) -> Outcome:
        return await self._change("modify", change)

    async def cancel(self, order: OrderRef) -> Outcome:
        return await self._change("cancel", order)

    async def set_leverage(self, change: LeverageChange) -> Outcome:
        return await self._outcome(self.request("set-leverage", change, MarginSetting), lambda _: Accepted())

    async def snapshot(self, request: SnapshotRequest) -> Snapshot:
        return await self.request("snapshot", request, Snapshot)

    async def candles(self, request: CandleRequest) -> tuple[Candle, ...]:
        return await self.request("candles", request, tuple[Candle, ...])

    async def _change(self, do: str, body: NewOrder | OrderChange | OrderRef) -> Outcome:
        return await self._outcome(self.request(do, body, Order), lambda order: Accepted(order=order))

    async def _outcome(self, answer: Awaitable[T], accepted: Callable[[T], Accepted]) -> Outcome:
        try:
            return accepted(await answer)
        except Refused as refused:
            return Rejected(reason=refused.reason, message=str(refused), code=refused.code)
        except OutcomeUnknown as unknown:
            return Unknown(message=str(unknown))

    # --- events ---

    async def subscribe(self, wanted: Subscription) -> AsyncIterator[VenueEvent]:
        """Events of one subscription, a `Gap` first. Ends when the session is closed."""
        reader = _Reader(wanted)
        self._readers.append(reader)
        try:
            await self._watch([reader], "the stream begins")
            while (event := await reader.next()) is not None:
                yield event
        finally:
            if reader in self._readers:
                self._readers.remove(reader)

    def _wanted(self) -> Subscription:
        symbols = dict.fromkeys(symbol for reader in self._readers for symbol in reader.wanted.symbols)
        return Subscription(private=any(reader.wanted.private for reader in self._readers), symbols=tuple(symbols))

    def _tell_all(self, event: StreamLost) -> None:
        for reader in self._readers:
            reader.lose(event)


class _Reader:
    """One subscription's queue. Between a break and the next `Gap` it takes nothing: the snapshot then covers that."""

    def __init__(self, wanted: Subscription) -> None:
        self.wanted = wanted
        self._queue: deque[VenueEvent | None] = deque()
        self._filled = asyncio.Event()
        self._live = False

    def offer(self, event: VenueEvent) -> None:
        wants = event.symbol in self.wanted.symbols if isinstance(event, PriceEvent) else self.wanted.private
        if not self._live or not wants:
            return
        if len(self._queue) >= READER_QUEUE:
            self._queue.clear()
            self._put(Gap(reason=f"more than {READER_QUEUE} events were not read in time"))
        self._put(event)

    def begin(self, gap: Gap) -> None:
        self._live = True
        self._put(gap)

    def lose(self, event: StreamLost) -> None:
        if self._live:
            self._live = False
            self._put(event)

    def end(self) -> None:
        self._put(None)

    def _put(self, event: VenueEvent | None) -> None:
        self._queue.append(event)
        self._filled.set()

    async def next(self) -> VenueEvent | None:
        while not self._queue:
            self._filled.clear()
            await self._filled.wait()
        return self._queue.popleft()


async def connect(settings: ConnectionSettings) -> PaperSession:
    """Log in: at the address, or to the exchange in this process. Raises `NotReady`, `AuthFailed` or `UsageError`."""
    options = settings.options
    deadline_s = float(_number(settings, "deadline_s", "3"))
    if url := options.get("url", ""):
        session = PaperSession(settings.name, url, settings.secrets.get("token", ""), deadline_s=deadline_s)
        await session.open()
        return session
    exchange = embedded(options.get("market", ""))
    cash = _number(settings, "cash", "10000")
    hedge_mode = options.get("hedge_mode", "") == "true"
    url, token = await exchange.join(options.get("account", "") or "main", cash, hedge_mode=hedge_mode)
    session = PaperSession(settings.name, url, token, deadline_s=deadline_s)
    try:
        await session.open()
    except BaseException:
        await exchange.leave()
        raise
    session.when_closed(exchange.leave)
    return session


def _number(settings: ConnectionSettings, name: str, default: str) -> Decimal:
    text = settings.options.get(name, "") or default
    try:
        number = Decimal(text)
    except InvalidOperation:
        number = Decimal(0)
    if not number.is_finite() or number <= 0:
        raise UsageError(f"connection {settings.name}: {name} must be a number above 0, not {text!r}")
    return number
