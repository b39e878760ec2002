"""Clients of the control API: `ControlClient` for the command line, `AsyncControlClient` with the event stream for a panel.

Both speak typed records. What the engine refuses is raised as the same error with the same sentence; `UsageError` where no
engine answers. Connections go straight to the engine, whatever proxies the environment names.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from urllib.parse import quote

import httpx
import msgspec
import websockets
from websockets.asyncio.client import connect

from copydesk.bootreport import BootReport
from copydesk.config import BotSettings
from copydesk.datafolder import read_control
from copydesk.errors import (
    Conflict,
    CopydeskError,
    EventsGone,
    NotAllowed,
    NotReady,
    OutcomeUnknown,
    RateLimited,
    UnknownName,
    UsageError,
    VenueError,
)
from copydesk.feasibility import Preview
from copydesk.model import Candle, CandleRequest, Instrument, KindInfo, OrderChange, OrderRef, Terms, from_json, to_json
from copydesk.plans import (
    KillOrder,
    KillReport,
    MissingOrder,
    MissingPlan,
    StartOrder,
    StartPlan,
    StopOrder,
    StopPlan,
)
from copydesk.policies import Policy
from copydesk.story import Story
from copydesk.view import (
    EVENT_BODIES,
    AccountView,
    ConnectionView,
    DeskEvent,
    DeskView,
    DriftView,
    EventPage,
    Failure,
    Health,
    LatencyView,
    LimitChange,
    LimitView,
    LogEntry,
    LogQuery,
    Ticket,
    TicketAction,
    TicketOutcome,
)

ERRORS: dict[int, type[CopydeskError]] = {
    401: UsageError,
    403: NotAllowed,
    404: UnknownName,
    409: Conflict,
    410: EventsGone,
    422: UsageError,
    429: RateLimited,
    502: VenueError,
    503: NotReady,
    504: OutcomeUnknown,
}
"""What a status is raised as; any other is a `CopydeskError`."""

_GONE = 4010
_TIMEOUT_S = 30.0
_MAX_FRAME = 16 << 20
_PAUSES_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 2.0, 2.0, 2.0)
DIRECT: dict[str, Any] = {"proxy": None} if int(version("websockets").partition(".")[0]) >= 15 else {}
"""Connect to this machine without a proxy; before version 15 the library knew none."""

T = TypeVar("T")


# --- what can be asked ----------------------------------------------------------------------------------------


class Call(Generic[T]):
    """One request, and how to read its answer."""

    def __init__(
        self,
        method: str,
        path: str,
        read: Callable[[bytes], T],
        *,
        query: Mapping[str, Any] | None = None,
        body: bytes | None = None,
    ) -> None:
        self.method = method
        self.path = f"/api/v1{path}"
        self.read = read
        self.query = {name: value for name, value in (query or {}).items() if value not in ("", None)}
        self.body = body


def _as(shape: type[T]) -> Callable[[bytes], T]:
    return lambda data: from_json(data, shape)


def _nothing(_: bytes) -> None:
    return None


def _bots(data: bytes) -> list[BotSettings]:
    return [BotSettings.model_validate(bot) for bot in from_json(data, list[dict[str, Any]])]


class _Calls:
    """Every request of the API as a `Call`."""

    health = Call("GET", "/health", _as(Health))
    view = Call("GET", "/view", _as(DeskView))
    bots = Call("GET", "/bots", _bots)
    boot_report = Call("GET", "/boot-report", _as(BootReport))
    kinds = Call("GET", "/kinds", _as(list[KindInfo]))
    accounts = Call("GET", "/accounts", _as(list[AccountView]))
    drift = Call("GET", "/drift", _as(list[DriftView]))
    limits = Call("GET", "/limits", _as(list[LimitView]))
    tickets = Call("GET", "/tickets", _as(list[Ticket]))
    policies = Call("GET", "/policies", _as(list[Policy]))
    connections = Call("GET", "/connections", _as(list[ConnectionView]))
    latencies = Call("GET", "/latency", _as(list[LatencyView]))

    @staticmethod
    def story(seq: int) -> Call[Story]:
        return Call("GET", "/story", _as(Story), query={"seq": seq})

    @staticmethod
    def plan_missing(name: str, order: MissingOrder) -> Call[MissingPlan]:
        return Call("POST", _bot(name, "missing-plan"), _as(MissingPlan), body=to_json(order))

    @staticmethod
    def copy_missing(name: str, order: MissingOrder) -> Call[None]:
        return Call("POST", _bot(name, "copy-missing"), _nothing, body=to_json(order))

    @staticmethod
    def kill(order: KillOrder) -> Call[KillReport]:
        return Call("POST", "/kill", _as(KillReport), body=to_json(order))

    @staticmethod
    def reconnect(name: str) -> Call[None]:
        return Call("POST", f"/connections/{quote(name, safe='')}/reconnect", _nothing)

    @staticmethod
    def ticket(number: str, what: str, actor: str) -> Call[Ticket]:
        body = to_json(TicketAction(actor=actor))
        return Call("POST", f"/tickets/{quote(number, safe='')}/{what}", _as(Ticket), body=body)

    @staticmethod
    def set_limit(account: str, change: LimitChange) -> Call[LimitView]:
        return Call("PUT", _account(account, "limits"), _as(LimitView), body=to_json(change))

    @staticmethod
    def events(after: int, limit: int) -> Call[EventPage]:
        return Call("GET", "/events", _event_page, query={"after": after, "limit": limit})

    @staticmethod
    def log(query: LogQuery) -> Call[list[LogEntry]]:
        return Call("GET", "/log", _as(list[LogEntry]), query=msgspec.to_builtins(query))

    @staticmethod
    def add_bot(bot: BotSettings) -> Call[BotSettings]:
        return Call("POST", "/bots", BotSettings.model_validate_json, body=bot.model_dump_json().encode())

    @staticmethod
    def change_bot(name: str, bot: BotSettings) -> Call[BotSettings]:
        return Call("PUT", _bot(name), BotSettings.model_validate_json, body=bot.model_dump_json().encode())

    @staticmethod
    def remove_bot(name: str) -> Call[None]:
        return Call("DELETE", _bot(name), _nothing)

    @staticmethod
    def preview(bot: BotSettings | str, last: int) -> Call[Preview]:
        query = {"last": last}
        if isinstance(bot, str):
            return Call("GET", _bot(bot, "preview"), _as(Preview), query=query)
        return Call("POST", "/preview", _as(Preview), query=query, body=bot.model_dump_json().encode())

    @staticmethod
    def plan_start(name: str, order: StartOrder) -> Call[StartPlan]:
        return Call("POST", _bot(name, "plan"), _as(StartPlan), body=to_json(order))

    @staticmethod
    def start_bot(name: str, order: StartOrder) -> Call[BotSettings]:
        return Call("POST", _bot(name, "start"), BotSettings.model_validate_json, body=to_json(order))

    @staticmethod
    def plan_stop(name: str, order: StopOrder) -> Call[StopPlan]:
        return Call("POST", _bot(name, "stop-plan"), _as(StopPlan), body=to_json(order))

    @staticmethod
    def stop_bot(name: str, order: StopOrder) -> Call[BotSettings]:
        return Call("POST", _bot(name, "stop"), BotSettings.model_validate_json, body=to_json(order))

    @staticmethod
    def instruments(account: str) -> Call[list[Instrument]]:
        return Call("GET", _account(account, "instruments"), _as(list[Instrument]))

    @staticmethod
    def candles(account: str, request: CandleRequest) -> Call[list[Candle]]:
        query = {"symbol": request.symbol, "interval": request.interval, "limit": request.limit}
        return Call("GET", _account(account, "candles"), _as(list[Candle]), query=query)

    @staticmethod
    def place(account: str, terms: Terms) -> Call[TicketOutcome]:
        return Call("POST", _account(account, "orders"), _as(TicketOutcome), body=to_json(terms))

    @staticmethod
    def modify(account: str, change: OrderChange) -> Call[TicketOutcome]:
        return Call("PATCH", _account(account, "orders"), _as(TicketOutcome), body=to_json(change))

    @staticmethod
    def cancel(account: str, order: OrderRef) -> Call[TicketOutcome]:
        return Call("DELETE", _account(account, "orders"), _as(TicketOutcome), body=to_json(order))


def _bot(name: str, *more: str) -> str:
    return "/".join(("/bots", quote(name, safe=""), *more))


def _account(key: str, what: str) -> str:
    return f"/accounts/{quote(key, safe='')}/{what}"


def _event_page(data: bytes) -> EventPage:
    page = from_json(data, EventPage)
    return EventPage(events=tuple(_with_body(event) for event in page.events), seq=page.seq)


def _with_body(event: DeskEvent) -> DeskEvent:
    """The event with its body as the record that its kind says."""
    shape = EVENT_BODIES.get(event.kind)
    if shape is None or event.body is None:
        return event
    return msgspec.structs.replace(event, body=msgspec.convert(event.body, shape, strict=True))


# --- the clients ----------------------------------------------------------------------------------------------


class _Client:
    """What both clients share: the address, the token, and how answers are read."""

    def __init__(self, url: str, token: str, *, timeout_s: float = _TIMEOUT_S) -> None:
        self.url = url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"}
        self._timeout_s = timeout_s

    @classmethod
    def for_folder(cls, folder: Path | str) -> Self:
        """A client of the engine that runs on this data folder. Raises `UsageError` where none does."""
        control = read_control(Path(folder))
        if control is None:
            raise UsageError(f"no engine is running on {folder}: start one with `copydesk run --data {folder}`")
        return cls(control.url, control.token)

    def _request(self, call: Call[Any]) -> dict[str, Any]:
        content = {} if call.body is None else {"content": call.body, "headers": {"Content-Type": "application/json"}}
        return {"method": call.method, "url": call.path, "params": call.query, **content}

    def _read(self, call: Call[T], response: httpx.Response) -> T:
        if not response.is_success:
            raise _error(response.status_code, response.content)
        try:
            return call.read(response.content)
        except (msgspec.MsgspecError, ValueError) as error:
            what = f"{call.method} {call.path}"
            raise CopydeskError(
                f"the engine's answer to {what} cannot be read, is it of another version? {error}"
            ) from None

    def _lost(self, error: httpx.HTTPError) -> CopydeskError:
        if isinstance(error, httpx.ConnectError):
            return self._no_engine()
        if isinstance(error, httpx.TimeoutException):
            return NotReady(f"the engine at {self.url} did not answer within {self._timeout_s:g} s")
        return NotReady(f"the connection to the engine at {self.url} broke: {error}")

    def _no_engine(self) -> UsageError:
        return UsageError(f"no engine answers at {self.url}: start it with `copydesk run`")


def _error(status: int, content: bytes) -> CopydeskError:
    try:
        sentence = from_json(content, Failure).error
    except msgspec.MsgspecError:
        sentence = f"the engine answered with status {status}"
    return ERRORS.get(status, CopydeskError)(sentence)


class ControlClient(_Client):
    """The blocking client. Use it as a context manager, or call `close`."""

    def __init__(self, url: str, token: str, *, timeout_s: float = _TIMEOUT_S) -> None:
        super().__init__(url, token, timeout_s=timeout_s)
        self._http = httpx.Client(base_url=self.url, headers=self._headers, timeout=timeout_s, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _do(self, call: Call[T]) -> T:
        try:
            response = self._http.request(**self._request(call))
        except httpx.HTTPError as error:
            raise self._lost(error) from None
        return self._read(call, response)

    def health(self) -> Health:
        return self._do(_Calls.health)

    def view(self) -> DeskView:
        return self._do(_Calls.view)

    def events(self, after: int, limit: int = 1000) -> EventPage:
        """Raises `EventsGone` where these are not kept any more."""
        return self._do(_Calls.events(after, limit))

    def log(self, query: LogQuery | None = None) -> list[LogEntry]:
        return self._do(_Calls.log(query or LogQuery()))

    def bots(self) -> list[BotSettings]:
        return self._do(_Calls.bots)

    def add_bot(self, bot: BotSettings) -> BotSettings:
        return self._do(_Calls.add_bot(bot))

    def change_bot(self, name: str, bot: BotSettings) -> BotSettings:
        return self._do(_Calls.change_bot(name, bot))

    def remove_bot(self, name: str) -> None:
        self._do(_Calls.remove_bot(name))

    def preview(self, bot: BotSettings | str, last: int = 20) -> Preview:
        """Of a bot by its name, or of one that is not saved."""
        return self._do(_Calls.preview(bot, last))

    def plan_start(self, name: str, order: StartOrder | None = None) -> StartPlan:
        return self._do(_Calls.plan_start(name, order or StartOrder()))

    def start_bot(self, name: str, order: StartOrder | None = None) -> BotSettings:
        return self._do(_Calls.start_bot(name, order or StartOrder()))

    def plan_stop(self, name: str, order: StopOrder | None = None) -> StopPlan:
        return self._do(_Calls.plan_stop(name, order or StopOrder()))

    def stop_bot(self, name: str, order: StopOrder | None = None) -> BotSettings:
        return self._do(_Calls.stop_bot(name, order or StopOrder()))

    def policies(self) -> list[Policy]:
        return self._do(_Calls.policies)

    def connections(self) -> list[ConnectionView]:
        return self._do(_Calls.connections)

    def latencies(self) -> list[LatencyView]:
        return self._do(_Calls.latencies)

    def reconnect(self, name: str) -> None:
        return self._do(_Calls.reconnect(name))

    def story(self, seq: int) -> Story:
        return self._do(_Calls.story(seq))

    def plan_missing(self, name: str, order: MissingOrder) -> MissingPlan:
        return self._do(_Calls.plan_missing(name, order))

    def copy_missing(self, name: str, order: MissingOrder) -> None:
        return self._do(_Calls.copy_missing(name, order))

    def kill(self, order: KillOrder) -> KillReport:
        return self._do(_Calls.kill(order))

    def boot_report(self) -> BootReport:
        return self._do(_Calls.boot_report)

    def kinds(self) -> list[KindInfo]:
        return self._do(_Calls.kinds)

    def accounts(self) -> list[AccountView]:
        return self._do(_Calls.accounts)

    def drift(self) -> list[DriftView]:
        return self._do(_Calls.drift)

    def tickets(self) -> list[Ticket]:
        return self._do(_Calls.tickets)

    def send_ticket(self, number: str, actor: str = "") -> Ticket:
        return self._do(_Calls.ticket(number, "send", actor))

    def dismiss_ticket(self, number: str, actor: str = "") -> Ticket:
        return self._do(_Calls.ticket(number, "dismiss", actor))

    def limits(self) -> list[LimitView]:
        return self._do(_Calls.limits)

    def set_limit(self, account: str, change: LimitChange) -> LimitView:
        return self._do(_Calls.set_limit(account, change))

    def instruments(self, account: str) -> list[Instrument]:
        return self._do(_Calls.instruments(account))

    def candles(self, account: str, request: CandleRequest) -> list[Candle]:
        return self._do(_Calls.candles(account, request))

    def place(self, account: str, terms: Terms) -> TicketOutcome:
        return self._do(_Calls.place(account, terms))

    def modify(self, account: str, change: OrderChange) -> TicketOutcome:
        return self._do(_Calls.modify(account, change))

    def cancel(self, account: str, order: OrderRef) -> TicketOutcome:
        return self._do(_Calls.cancel(account, order))


class AsyncControlClient(_Client):
    """The client for an event loop. Use it as an asynchronous context manager, or call `close`."""

    def __init__(self, url: str, token: str, *, timeout_s: float = _TIMEOUT_S) -> None:
        super().__init__(url, token, timeout_s=timeout_s)
        self._http = httpx.AsyncClient(base_url=self.url, headers=self._headers, timeout=timeout_s, trust_env=False)

    async def close(self) -> None:
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _do(self, call: Call[T]) -> T:
        try:
            response = await self._http.request(**self._request(call))
        except httpx.HTTPError as error:
            raise self._lost(error) from None
        return self._read(call, response)

    async def health(self) -> Health:
        return await self._do(_Calls.health)

    async def view(self) -> DeskView:
        return await self._do(_Calls.view)

    async def events(self, after: int, limit: int = 1000) -> EventPage:
        """Raises `EventsGone` where these are not kept any more."""
        return await self._do(_Calls.events(after, limit))

    async def log(self, query: LogQuery | None = None) -> list[LogEntry]:
        return await self._do(_Calls.log(query or LogQuery()))

    async def bots(self) -> list[BotSettings]:
        return await self._do(_Calls.bots)

    async def add_bot(self, bot: BotSettings) -> BotSettings:
        return await self._do(_Calls.add_bot(bot))

    async def change_bot(self, name: str, bot: BotSettings) -> BotSettings:
        return await self._do(_Calls.change_bot(name, bot))

    async def remove_bot(self, name: str) -> None:
        await self._do(_Calls.remove_bot(name))

    async def preview(self, bot: BotSettings | str, last: int = 20) -> Preview:
        """Of a bot by its name, or of one that is not saved."""
        return await self._do(_Calls.preview(bot, last))

    async def plan_start(self, name: str, order: StartOrder | None = None) -> StartPlan:
        return await self._do(_Calls.plan_start(name, order or StartOrder()))

    async def start_bot(self, name: str, order: StartOrder | None = None) -> BotSettings:
        return await self._do(_Calls.start_bot(name, order or StartOrder()))

    async def plan_stop(self, name: str, order: StopOrder | None = None) -> StopPlan:
        return await self._do(_Calls.plan_stop(name, order or StopOrder()))

    async def stop_bot(self, name: str, order: StopOrder | None = None) -> BotSettings:
        return await self._do(_Calls.stop_bot(name, order or StopOrder()))

    async def policies(self) -> list[Policy]:
        return await self._do(_Calls.policies)

    async def connections(self) -> list[ConnectionView]:
        return await self._do(_Calls.connections)

    async def latencies(self) -> list[LatencyView]:
        return await self._do(_Calls.latencies)

    async def reconnect(self, name: str) -> None:
        return await self._do(_Calls.reconnect(name))

    async def story(self, seq: int) -> Story:
        return await self._do(_Calls.story(seq))

    async def plan_missing(self, name: str, order: MissingOrder) -> MissingPlan:
        return await self._do(_Calls.plan_missing(name, order))

    async def copy_missing(self, name: str, order: MissingOrder) -> None:
        return await self._do(_Calls.copy_missing(name, order))

    async def kill(self, order: KillOrder) -> KillReport:
        return await self._do(_Calls.kill(order))

    async def boot_report(self) -> BootReport:
        return await self._do(_Calls.boot_report)

    async def kinds(self) -> list[KindInfo]:
        return await self._do(_Calls.kinds)

    async def accounts(self) -> list[AccountView]:
        return await self._do(_Calls.accounts)

    async def drift(self) -> list[DriftView]:
        return await self._do(_Calls.drift)

    async def tickets(self) -> list[Ticket]:
        return await self._do(_Calls.tickets)

    async def send_ticket(self, number: str, actor: str = "") -> Ticket:
        return await self._do(_Calls.ticket(number, "send", actor))

    async def dismiss_ticket(self, number: str, actor: str = "") -> Ticket:
        return await self._do(_Calls.ticket(number, "dismiss", actor))

    async def limits(self) -> list[LimitView]:
        return await self._do(_Calls.limits)

    async def set_limit(self, account: str, change: LimitChange) -> LimitView:
        return await self._do(_Calls.set_limit(account, change))

    async def instruments(self, account: str) -> list[Instrument]:
        return await self._do(_Calls.instruments(account))

    async def candles(self, account: str, request: CandleRequest) -> list[Candle]:
        return await self._do(_Calls.candles(account, request))

    async def place(self, account: str, terms: Terms) -> TicketOutcome:
        return await self._do(_Calls.place(account, terms))

    async def modify(self, account: str, change: OrderChange) -> TicketOutcome:
        return await self._do(_Calls.modify(account, change))

    async def cancel(self, account: str, order: OrderRef) -> TicketOutcome:
        return await self._do(_Calls.cancel(account, order))

    # --- the stream

    async def stream(self, after: int | None = None) -> AsyncGenerator[DeskEvent, None]:
        """Yield the events numbered `after` + 1 and on (`None`: from now on), in order and each once, with typed bodies.

        Prices come between them with `seq` 0. A lost connection is made again and resumed where it ended; a gap is fetched
        by sequence. Ends only by raising: `EventsGone` where the engine does not keep what is missing (take a new view),
        `UsageError` where the engine is gone or does not know the token. Close it with `contextlib.aclosing`.
        """
        last = (await self.view()).seq if after is None else after
        failures = 0
        while True:
            try:
                async with self._connect(last) as connection:
                    async for frame in connection:
                        failures = 0
                        for event in from_json(frame, list[DeskEvent]):
                            for whole in await self._without_gap(last, event):
                                last = whole.seq or last
                                yield _with_body(whole)
            except websockets.InvalidStatus as error:
                raise _error(error.response.status_code, bytes(error.response.body or b"")) from None
            except websockets.ConnectionClosed as error:
                if error.rcvd is not None and error.rcvd.code == _GONE:
                    raise EventsGone(error.rcvd.reason) from None
            except (OSError, websockets.InvalidHandshake, NotReady):
                pass
            if failures >= len(_PAUSES_S):
                raise self._no_engine()
            await asyncio.sleep(_PAUSES_S[failures])
            failures += 1

    def _connect(self, after: int) -> connect:
        return connect(
            f"ws{self.url.removeprefix('http')}/api/v1/stream?after={after}",
            additional_headers=self._headers,
            compression=None,
            max_size=_MAX_FRAME,
            open_timeout=self._timeout_s,
            **DIRECT,
        )

    async def _without_gap(self, last: int, event: DeskEvent) -> list[DeskEvent]:
        """What of `event` is new after `last`, with whatever is missing before it. Raises `EventsGone`."""
        if event.seq == 0:
            return [event]
        found: list[DeskEvent] = []
        while last + 1 < event.seq:
            page = await self.events(last, min(event.seq - last - 1, 5000))
            if not page.events:
                raise EventsGone(f"the engine has no events between {last} and {event.seq}: take a new view")
            found += page.events
            last = page.seq
        return [*found, event] if event.seq > last else []
