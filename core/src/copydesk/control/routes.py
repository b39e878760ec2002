"""The paths of the control API. Each is a few lines: read what was asked, ask the desk, encode what it says."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeVar

from fastapi import APIRouter, Depends, Query
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from copydesk import __version__
from copydesk.bootreport import BootReport
from copydesk.config import BotSettings, check_bot
from copydesk.control.describe import answers
from copydesk.control.desk import Desk
from copydesk.control.reading import TheDesk
from copydesk.control.reading import body_of as _body
from copydesk.control.reading import json_of as _json
from copydesk.control.stream import AHEAD, OLDER, StreamLimits, serve_stream
from copydesk.errors import Conflict, EventsGone, NotAllowed, UnknownName, UsageError
from copydesk.feasibility import Preview
from copydesk.model import (
    Candle,
    CandleRequest,
    Instrument,
    KindInfo,
    OrderChange,
    OrderRef,
    OrderType,
    Terms,
)
from copydesk.plans import StartOrder, StartPlan, StopOrder, StopPlan
from copydesk.view import (
    AccountView,
    DeskView,
    DriftView,
    EventPage,
    Health,
    LimitChange,
    LimitView,
    LogEntry,
    LogQuery,
    Ticket,
    TicketAction,
    TicketOutcome,
)

router = APIRouter(prefix="/api/v1")
T = TypeVar("T")


Count = Annotated[int, Query(ge=0)]
Last = Annotated[int, Query(ge=1, le=1000)]


# --- the picture and what changes in it -----------------------------------------------------------------------


@router.get("/health", **answers(Health))
async def health() -> Response:
    """Whether the engine answers. Needs no token."""
    return _json(Health(ok=True, version=__version__))


@router.get("/view", **answers(DeskView))
async def view(desk: TheDesk) -> Response:
    """The whole picture now; go on from its `seq` with the stream."""
    return _json(desk.view())


@router.get("/events", **answers(EventPage, refusals=(410,)))
async def events(desk: TheDesk, after: Count, limit: Annotated[int, Query(ge=1, le=5000)] = 1000) -> Response:
    """The events numbered `after` + 1 and on, without a gap."""
    found = desk.events_after(after, limit)
    if found is None:
        raise EventsGone(OLDER)
    if not found and after > desk.latest_seq():
        raise EventsGone(AHEAD)
    return _json(EventPage(events=tuple(found), seq=found[-1].seq if found else after))


@router.websocket("/stream")
async def stream(websocket: WebSocket, desk: TheDesk, after: Annotated[int | None, Query(ge=0)] = None) -> None:
    limits: StreamLimits = websocket.app.state.limits
    await serve_stream(websocket, desk, after, limits)


async def _log_query(
    from_ms: Count = 0,
    to_ms: Count = 0,
    bot: str = "",
    account: str = "",
    kind: str = "",
    level: Literal["", "info", "warn", "error"] = "",
    text: str = "",
    before_seq: Count = 0,
    limit: Annotated[int, Query(ge=1, le=5000)] = 500,
) -> LogQuery:
    return LogQuery(
        from_ms=from_ms,
        to_ms=to_ms,
        bot=bot,
        account=account,
        kind=kind,
        level=level,
        text=text,
        before_seq=before_seq,
        limit=limit,
    )


@router.get("/log", **answers(list[LogEntry]))
async def log(desk: TheDesk, query: Annotated[LogQuery, Depends(_log_query)]) -> Response:
    """The lines of the log that fit, the newest first. `before_seq` goes on where the last page ended."""
    return _json(await desk.log(query))


@router.get("/boot-report", **answers(BootReport))
async def boot_report(desk: TheDesk) -> Response:
    """What the engine found when it was started: what changed meanwhile, what it did, what is down."""
    return _json(desk.boot_report())


# --- bots -----------------------------------------------------------------------------------------------------


def _plain(bot: BotSettings) -> dict[str, Any]:
    return bot.model_dump(mode="json")


def _bot(desk: Desk, name: str) -> BotSettings:
    for bot in desk.bots():
        if bot.name == name:
            return bot
    known = ", ".join(sorted(bot.name for bot in desk.bots())) or "none yet"
    raise UnknownName(f"there is no bot {name!r} (there: {known})")


def _is_free(desk: Desk, name: str) -> None:
    if any(bot.name == name for bot in desk.bots()):
        raise Conflict(f"a bot {name!r} is there already: choose another name, or change that one")


async def _bot_in(request: Request) -> BotSettings:
    return check_bot(await _body(request, dict[str, Any]))


@router.get("/bots", **answers(list[BotSettings]))
async def bots(desk: TheDesk) -> Response:
    """The settings of all bots."""
    return _json([_plain(bot) for bot in desk.bots()])


@router.post("/bots", **answers(BotSettings, status=201, body=BotSettings, refusals=(409,)))
async def add_bot(desk: TheDesk, request: Request) -> Response:
    """Add a bot. It begins stopped unless `working` says otherwise."""
    bot = await _bot_in(request)
    _is_free(desk, bot.name)
    await desk.add_bot(bot)
    return _json(_plain(_bot(desk, bot.name)), 201)


@router.put("/bots/{name}", **answers(BotSettings, body=BotSettings, refusals=(404, 409)))
async def change_bot(desk: TheDesk, name: str, request: Request) -> Response:
    """Replace a bot's settings. Another `name` in the body renames it."""
    bot = await _bot_in(request)
    _bot(desk, name)
    if bot.name != name:
        _is_free(desk, bot.name)
    await desk.change_bot(name, bot)
    return _json(_plain(_bot(desk, bot.name)))


@router.delete("/bots/{name}", **answers(None, status=204, refusals=(404, 409)))
async def remove_bot(desk: TheDesk, name: str) -> Response:
    """Remove a bot."""
    _bot(desk, name)
    await desk.remove_bot(name)
    return Response(status_code=204)


async def _body_or(request: Request, shape: type[T]) -> T:
    """The body, or the shape's defaults where there is none."""
    return await _body(request, shape) if (await request.body()).strip() else shape()


@router.get("/bots/{name}/preview", **answers(Preview, refusals=(404,), venue=True))
async def preview(desk: TheDesk, name: str, last: Last = 20) -> Response:
    """What each child could follow of its parent, and what it would have skipped of the parent's last trades."""
    return _json(await desk.preview(_bot(desk, name), last))


@router.post("/preview", **answers(Preview, body=BotSettings, venue=True))
async def preview_of(desk: TheDesk, request: Request, last: Last = 20) -> Response:
    """The same of a bot that is not saved."""
    return _json(await desk.preview(await _bot_in(request), last))


@router.post("/bots/{name}/plan", **answers(StartPlan, body=StartOrder, optional=True, refusals=(404,), venue=True))
async def plan_start(desk: TheDesk, name: str, request: Request) -> Response:
    """What starting the bot would do now; nothing is done. Its `digest` confirms it."""
    _bot(desk, name)
    return _json(await desk.plan_start(name, await _body_or(request, StartOrder)))


@router.post("/bots/{name}/start", **answers(BotSettings, body=StartOrder, optional=True, refusals=(404, 409), venue=True))
async def start_bot(desk: TheDesk, name: str, request: Request) -> Response:
    """Start a bot; one that works goes on. A start that may send something has to be confirmed by its plan's `digest`."""
    _bot(desk, name)
    await desk.start_bot(name, await _body_or(request, StartOrder))
    return _json(_plain(_bot(desk, name)))


@router.post("/bots/{name}/stop-plan", **answers(StopPlan, body=StopOrder, optional=True, refusals=(404,)))
async def plan_stop(desk: TheDesk, name: str, request: Request) -> Response:
    """What stopping the bot would do now; nothing is done. Its `digest` confirms it."""
    _bot(desk, name)
    return _json(await desk.plan_stop(name, await _body_or(request, StopOrder)))


@router.post("/bots/{name}/stop", **answers(BotSettings, body=StopOrder, optional=True, refusals=(404, 409)))
async def stop_bot(desk: TheDesk, name: str, request: Request) -> Response:
    """Stop a bot. A stop that cancels or closes something has to be confirmed by its plan's `digest`."""
    _bot(desk, name)
    await desk.stop_bot(name, await _body_or(request, StopOrder))
    return _json(_plain(_bot(desk, name)))


# --- accounts -------------------------------------------------------------------------------------------------


def _account(desk: Desk, key: str) -> AccountView:
    accounts = desk.account_views()
    for account in accounts:
        if account.key == key:
            return account
    known = ", ".join(sorted(account.key for account in accounts)) or "none yet"
    raise UnknownName(f"there is no account {key!r} (there: {known})")


def _rehearsed(desk: Desk, key: str) -> None:
    if not _account(desk, key).rehearsal:
        raise NotAllowed(f"account {key!r} is not a rehearsal: the ticket works on rehearsal connections only")


@router.get("/kinds", **answers(list[KindInfo]))
async def kinds(desk: TheDesk) -> Response:
    """The connection kinds that the installed plugins offer."""
    return _json(desk.kinds())


@router.get("/accounts", **answers(list[AccountView]))
async def accounts(desk: TheDesk) -> Response:
    """All accounts with what they hold."""
    return _json(desk.account_views())


@router.get("/drift", **answers(list[DriftView]))
async def drift(desk: TheDesk) -> Response:
    """What each child holds against what it should, with the cause of each difference."""
    return _json(desk.drift_views())


@router.get("/tickets", **answers(list[Ticket]))
async def tickets(desk: TheDesk) -> Response:
    """What could not be copied, filled in to be sent by hand until it expires; the oldest first."""
    return _json(desk.tickets())


@router.post("/tickets/{number}/send", **answers(Ticket, body=TicketAction, optional=True, refusals=(404, 409)))
async def send_ticket(desk: TheDesk, number: str, request: Request) -> Response:
    """Send what a ticket is for, once. It is attributed to the child's link."""
    return _json(await desk.send_ticket(number, await _action(request)))


@router.post("/tickets/{number}/dismiss", **answers(Ticket, body=TicketAction, optional=True, refusals=(404, 409)))
async def dismiss_ticket(desk: TheDesk, number: str, request: Request) -> Response:
    """Let a ticket go: nothing is sent by it any more."""
    return _json(await desk.dismiss_ticket(number, await _action(request)))


async def _action(request: Request) -> TicketAction:
    return await _body(request, TicketAction) if (await request.body()).strip() else TicketAction()


@router.get("/limits", **answers(list[LimitView]))
async def limits(desk: TheDesk) -> Response:
    """What may be traded on each child, why, who decided so, and until when."""
    return _json(desk.limits())


@router.put("/accounts/{key:path}/limits", **answers(LimitView, body=LimitChange, refusals=(404,)))
async def set_limit(desk: TheDesk, key: str, request: Request) -> Response:
    """Let a child trade `all`, `close_only` or `none`, until a time or for good. Exits go in each of them."""
    change = await _body(request, LimitChange)
    _account(desk, key)
    return _json(await desk.set_limit(key, change))


@router.get("/accounts/{key:path}/instruments", **answers(list[Instrument], venue=True))
async def instruments(desk: TheDesk, key: str) -> Response:
    """What can be traded on an account, with its order rules."""
    _account(desk, key)
    return _json(desk.instruments(key))


@router.get("/accounts/{key:path}/candles", **answers(list[Candle], venue=True))
async def candles(
    desk: TheDesk,
    key: str,
    symbol: str,
    interval: Literal["1s", "1m", "5m", "15m", "1h", "4h", "1d"] = "1m",
    limit: Annotated[int, Query(ge=1, le=1500)] = 500,
) -> Response:
    """Past bars, the newest last."""
    _account(desk, key)
    return _json(await desk.candles(key, CandleRequest(symbol=symbol, interval=interval, limit=limit)))


@router.post("/accounts/{key:path}/orders", **answers(TicketOutcome, body=Terms, venue=True))
async def place(desk: TheDesk, key: str, request: Request) -> Response:
    """Place an order on a rehearsal account."""
    _rehearsed(desk, key)
    client_id, outcome = await desk.place(key, await _body(request, Terms))
    return _json(TicketOutcome(outcome=outcome, client_id=client_id))


@router.patch("/accounts/{key:path}/orders", **answers(TicketOutcome, body=OrderChange, venue=True))
async def modify(desk: TheDesk, key: str, request: Request) -> Response:
    """Give a working order of a rehearsal account new terms."""
    _rehearsed(desk, key)
    change = await _body(request, OrderChange)
    return _json(TicketOutcome(outcome=await desk.modify(key, change), client_id=change.ref.client_id))


@router.delete("/accounts/{key:path}/orders", **answers(TicketOutcome, body=OrderRef, optional=True, venue=True))
async def cancel(
    desk: TheDesk,
    key: str,
    request: Request,
    symbol: str = "",
    type: OrderType | None = None,
    client_id: str = "",
    venue_id: str = "",
) -> Response:
    """Cancel a working order of a rehearsal account, named in the query (with its `type`) or in the body."""
    _rehearsed(desk, key)
    if type is None:
        order = await _body(request, OrderRef)
    else:
        order = OrderRef(symbol=symbol, type=type, client_id=client_id, venue_id=venue_id)
    if not order.symbol or not (order.client_id or order.venue_id):
        raise UsageError("name the order to cancel: its symbol, its type, and its client_id or its venue_id")
    return _json(TicketOutcome(outcome=await desk.cancel(key, order), client_id=order.client_id))
