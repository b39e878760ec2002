"""Both ways of reading a private stream, in one step and slowly, side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

from copydesk.model import (
    ConnectionSettings,
    FillEvent,
    NewOrder,
    OrderEvent,
    OrderRef,
    OrderType,
    RehearsalSettings,
    Side,
    Subscription,
    Terms,
    VenueEvent,
)
from hypothesis import strategies as st

PATIENCE_S = 20.0


def changed(
    example: dict[str, Any], value: Callable[[str, Any], st.SearchStrategy[Any]], anything: st.SearchStrategy[Any]
) -> st.SearchStrategy[dict[str, Any]]:
    """The same object with likely values, at most one field left out, and here and there anything at all."""
    likely = st.fixed_dictionaries({}, optional={name: value(name, one) for name, one in example.items()})
    odd = st.just({}) | st.dictionaries(st.sampled_from(sorted(example)), anything, max_size=2)
    gone = st.sets(st.sampled_from(sorted(example)), max_size=1)
    return st.builds(
        lambda other, strange, out: {name: one for name, one in (example | other | strange).items() if name not in out},
        likely,
        odd,
        gone,
    )


class Listener:
    """Hears one session's private stream, told by calls."""

    def __init__(self, session: Any) -> None:
        self.events: list[VenueEvent] = []
        self._news = asyncio.Event()
        self.task = asyncio.create_task(session.listen(Subscription(), self._tell))

    def _tell(self, event: VenueEvent, read_ns: int) -> None:
        self.events.append(event)
        self._news.set()

    async def until(self, what: Callable[[list[VenueEvent]], bool]) -> None:
        while not what(self.events):
            self._news.clear()
            await self._news.wait()


async def listen_both_ways(
    rehearse: Callable[[RehearsalSettings], Awaitable[Any]],
    connect: Callable[[ConnectionSettings], Awaitable[Any]],
    settings: RehearsalSettings,
    traded: tuple[str, Decimal, Decimal],
    only_fast: Callable[[Any], None],
) -> tuple[list[VenueEvent], list[VenueEvent]]:
    """Orders and fills that two sessions of one account hear over sockets: one that `only_fast` is told of, and another.
    A third cancels a limit order and has a market order filled. `traded`: symbol, quantity, the limit order's price."""
    rehearsal = await rehearse(settings)
    (account,) = rehearsal.ready.accounts
    login = ConnectionSettings(name="main", kind=settings.kind, options=account.options, secrets=account.secrets)
    fast, slow, hand = await connect(login), await connect(login), await connect(login)
    only_fast(fast)
    listeners = Listener(fast), Listener(slow)
    symbol, quantity, price = traded
    limit = Terms(symbol=symbol, side=Side.BUY, type=OrderType.LIMIT, quantity=quantity, price=price)
    market = Terms(symbol=symbol, side=Side.BUY, type=OrderType.MARKET, quantity=quantity)
    try:
        async with asyncio.timeout(PATIENCE_S):
            for listener in listeners:
                await listener.until(bool)
            await hand.place(NewOrder(client_id="one", terms=limit))
            await hand.place(NewOrder(client_id="two", terms=market))
            await hand.cancel(OrderRef(symbol=symbol, type=OrderType.LIMIT, client_id="one"))
            for listener in listeners:
                await listener.until(_have_ended)
    finally:
        for listener in listeners:
            listener.task.cancel()
        await asyncio.gather(*(listener.task for listener in listeners), return_exceptions=True)
        for session in (fast, slow, hand):
            await session.close()
        await rehearsal.stop()
    heard_fast, heard_slow = (
        [event for event in listener.events if isinstance(event, OrderEvent | FillEvent)] for listener in listeners
    )
    return list(heard_fast), list(heard_slow)


def _have_ended(events: list[VenueEvent]) -> bool:
    """Whether both orders have ended and the fill is there."""
    orders = {event.order.client_id for event in events if isinstance(event, OrderEvent) and event.order.status.is_final}
    return orders == {"one", "two"} and any(isinstance(event, FillEvent) for event in events)
