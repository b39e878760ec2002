"""The connection kind `paper`: the hooks. Without a URL it trades on an exchange inside this process.

The exchange itself is in `copydesk_paper.exchange`, its market in `copydesk_paper.market`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from decimal import Decimal, InvalidOperation
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from copydesk.errors import OutcomeUnknown, Refused, UsageError
from copydesk.hookspecs import API, hookimpl
from copydesk.model import (
    Accepted,
    Candle,
    CandleRequest,
    Capabilities,
    ConnectionSettings,
    Description,
    Field,
    KindInfo,
    LeverageChange,
    MarginSetting,
    NewOrder,
    Order,
    OrderChange,
    OrderGroup,
    OrderRef,
    OrderType,
    Outcome,
    RehearsalSettings,
    Rejected,
    Snapshot,
    SnapshotRequest,
    Subscription,
    Unknown,
    VenueEvent,
)

if TYPE_CHECKING:
    from copydesk_paper.rehearsal import PaperRehearsal
    from copydesk_paper.session import PaperSession

_KIND = KindInfo(
    kind="paper",
    title="Paper exchange",
    capabilities=Capabilities(
        amend=frozenset(OrderType) - {OrderType.MARKET},
        amend_price_and_quantity_only=False,
        hedge_mode=True,
        native_oco=True,
    ),
    fields=(
        Field(name="url", title="Address of a paper exchange (empty: one inside this program)", required=False),
        Field(name="token", title="Token of the account there", secret=True, required=False),
        Field(name="account", title="Name of the account inside this program", required=False, default="main"),
        Field(name="cash", title="Its starting cash in USDT", required=False, default="10000"),
        Field(name="market", title="Market recording (empty: the shipped one)", required=False),
        Field(name="hedge_mode", title="Hedge mode (true or false)", required=False, default="false"),
        Field(name="deadline_s", title="Seconds that a request waits for its answer", required=False, default="3"),
    ),
)


@hookimpl
def describe() -> Description:
    return Description(api=API, name="copydesk-paper", version=version("copydesk-paper"), kinds=(_KIND,))


@hookimpl
async def connect(settings: ConnectionSettings) -> PaperSession:
    from copydesk_paper.embedded import embedded
    from copydesk_paper.session import PaperSession

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


@hookimpl
def subscribe(session: PaperSession, subscription: Subscription) -> AsyncIterator[VenueEvent]:
    return session.subscribe(subscription)


@hookimpl
async def place(session: PaperSession, order: NewOrder) -> Outcome:
    return await _change(session, "place", order)


@hookimpl
async def place_group(session: PaperSession, group: OrderGroup) -> Outcome:
    try:
        return Accepted(legs=await session.request("place-group", group, tuple[Order, ...]))
    except Refused as refused:
        return Rejected(reason=refused.reason, message=str(refused), code=refused.code)
    except OutcomeUnknown as unknown:
        return Unknown(message=str(unknown))


@hookimpl
async def modify(session: PaperSession, change: OrderChange) -> Outcome:
    return await _change(session, "modify", change)


@hookimpl
async def cancel(session: PaperSession, order: OrderRef) -> Outcome:
    return await _change(session, "cancel", order)


async def _change(session: PaperSession, do: str, body: Any) -> Outcome:
    try:
        return Accepted(order=await session.request(do, body, Order))
    except Refused as refused:
        return Rejected(reason=refused.reason, message=str(refused), code=refused.code)
    except OutcomeUnknown as unknown:
        return Unknown(message=str(unknown))


@hookimpl
async def set_leverage(session: PaperSession, change: LeverageChange) -> Outcome:
    try:
        await session.request("set-leverage", change, MarginSetting)
    except Refused as refused:
        return Rejected(reason=refused.reason, message=str(refused), code=refused.code)
    except OutcomeUnknown as unknown:
        return Unknown(message=str(unknown))
    return Accepted()


@hookimpl
async def snapshot(session: PaperSession, request: SnapshotRequest) -> Snapshot:
    return await session.request("snapshot", request, Snapshot)


@hookimpl
async def candles(session: PaperSession, request: CandleRequest) -> tuple[Candle, ...]:
    return await session.request("candles", request, tuple[Candle, ...])


@hookimpl
async def close(session: PaperSession) -> None:
    await session.close()


@hookimpl
async def rehearse(settings: RehearsalSettings) -> PaperRehearsal:
    from copydesk_paper.rehearsal import start_rehearsal

    return await start_rehearsal(settings)
