"""Past bars of one contract."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from math import ceil

from copydesk.errors import NotReady, Refused
from copydesk.model import Candle, CandleRequest

from copydesk_ib import contracts
from copydesk_ib.link import TIMING
from copydesk_ib.login import Login
from copydesk_ib.pacing import Urgency

DAY_S = 86_400
INTERVALS: dict[str, tuple[str, int]] = {
    "1s": ("1 secs", 1),
    "1m": ("1 min", 60),
    "5m": ("5 mins", 300),
    "15m": ("15 mins", 900),
    "1h": ("1 hour", 3_600),
    "4h": ("4 hours", 14_400),
    "1d": ("1 day", DAY_S),
}
"""IB's name of each interval, and its length in seconds."""
CLOSED_TOO = 4
"""Markets are closed most of the time: so much more is asked for."""
WITHOUT_TRADES = frozenset({"CASH", "CMDTY", "BAG", "CFD"})


def duration(seconds: int) -> str:
    """A length of time as IB wants it: seconds below a day, else whole days, else whole years."""
    if seconds < DAY_S:
        return f"{seconds} S"
    days = ceil(seconds / DAY_S)
    return f"{days} D" if days <= 365 else f"{ceil(days / 365)} Y"


async def candles(login: Login, request: CandleRequest) -> tuple[Candle, ...]:
    """The latest bars, oldest first. Raises `Refused` for an interval or a symbol that there is not, or `NotReady`."""
    interval = INTERVALS.get(request.interval)
    if interval is None:
        raise Refused(f"IB has no bars of {request.interval}; use one of {', '.join(INTERVALS)}.")
    listed = await login.find(request.symbol)
    contract = contracts.contract(login.library, listed)
    name, seconds = interval
    length = duration(min(1_800 if seconds == 1 else seconds * request.limit * CLOSED_TOO, 365 * DAY_S))
    what = "MIDPOINT" if listed.security in WITHOUT_TRADES else "TRADES"
    number, answer = login.requests.open()
    try:
        login.send(
            Urgency.READ,
            lambda client: client.reqHistoricalData(number, contract, "", length, name, what, 0, 2, False, []),
        )
        async with asyncio.timeout(TIMING.read):
            await answer.ended
    except TimeoutError:
        raise NotReady(f"TWS gave no bars of {request.symbol} within {TIMING.read:g} s") from None
    finally:
        login.requests.close(number)
    return tuple(candle(row) for row in answer.rows)[-request.limit :]


def candle(row: tuple[str, ...]) -> Candle:
    """One bar: its start (seconds, or a day), open, high, low, close, volume (-1: none), average, count."""
    start, opened, high, low, closed, volume, *_ = row
    if len(start) == 8:
        open_ms = int(datetime.strptime(start, "%Y%m%d").replace(tzinfo=UTC).timestamp() * 1000)
    else:
        open_ms = int(start) * 1000
    return Candle(
        open_ms=open_ms,
        open=Decimal(opened),
        high=Decimal(high),
        low=Decimal(low),
        close=Decimal(closed),
        volume=max(Decimal(0), Decimal(volume)),
    )
