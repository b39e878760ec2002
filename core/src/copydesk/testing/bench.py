"""What a contract test works with: sessions of the plugin under test, listeners on them, orders of a fitting size."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from decimal import ROUND_CEILING, ROUND_HALF_EVEN, Decimal
from itertools import count
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar

import msgspec
import pytest

from copydesk.model import (
    Accepted,
    Capabilities,
    ConnectionSettings,
    Fill,
    FillEvent,
    Gap,
    Instrument,
    KindInfo,
    NewOrder,
    Order,
    OrderEvent,
    OrderRef,
    OrderType,
    Rejected,
    RejectReason,
    Scope,
    Side,
    Snapshot,
    SnapshotRequest,
    Subscription,
    Terms,
    VenueEvent,
)
from copydesk.plugins import check_plugin, kind_info
from copydesk.testing.rig import PARENT, Rig
from copydesk.venue import Venue, open_venue

DEADLINE_S = 40.0
"""How long a test waits for what must come."""
SENT_WITHIN_MS = 5_000
"""What a test looks up was sent at most so long ago."""
PARTS = 4
"""An ordinary order of a test is so many smallest orders, so that it can be filled in parts."""
FORTUNE = Decimal(1_000_000_000)
"""More than an account of a rig has, in any currency."""
_LOUD = ("httpx", "httpcore")
"""Loggers of the rig's own requests."""
T = TypeVar("T")


class Bench:
    """One test's sessions at one rig. Ends them all, and fails the test where core's facade saw a defect of the plugin."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.manager = check_plugin(rig.plugin, rig.kind, "the plugin under test")
        self.info: KindInfo = kind_info(self.manager, rig.kind, "the plugin under test")
        self.capabilities: Capabilities = self.info.capabilities
        self.log = _Log()
        self.last = Decimal(0)
        self._instrument: Instrument | None = None
        self._open: list[Venue] = []
        self._listeners: list[Listener] = []
        self._numbers = count(1)

    async def __aenter__(self) -> Self:
        self.log.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for listener in self._listeners:
            await listener.stop()
        for venue in self._open:
            await venue.close()
        self.log.stop()
        if kind is None:
            defects = [line for line in self.log.lines if "the plugin for" in line and " failed in " in line]
            assert not defects, f"an error that is none of copydesk.errors escaped a hook: {defects}"

    # --- sessions ---

    async def open(self, account: str = PARENT, *, settings: ConnectionSettings | None = None, send_s: float = 0) -> Venue:
        """Log in with the plugin under test, through core's facade. Deadlines are the rig's unless `send_s` is given."""
        wanted = settings or self.rig.settings(account)
        venue = await open_venue(self.manager, wanted, connect_s=90, send_s=send_s or self.rig.send_s, read_s=10)
        self._open.append(venue)
        if self._instrument is None:
            assert self.rig.symbol in venue.instruments, f"{self.rig.symbol} is not among the session's instruments"
            self._instrument = venue.instruments[self.rig.symbol]
            self.last = await self.rig.price()
        return venue

    async def close(self, venue: Venue) -> None:
        """Close a session before the test ends."""
        self._open.remove(venue)
        await venue.close()

    async def listen(self, venue: Venue, *, private: bool = True, symbols: tuple[str, ...] = ()) -> Listener:
        """A listener whose subscription is listening: its first event has come."""
        listener = Listener(venue, Subscription(private=private, symbols=symbols))
        self._listeners.append(listener)
        await listener.until(lambda events: events)
        return listener

    async def both(self, account: str = PARENT) -> tuple[Venue, Listener]:
        """A session and a listener on its private stream."""
        venue = await self.open(account)
        return venue, await self.listen(venue)

    # --- orders ---

    @property
    def instrument(self) -> Instrument:
        assert self._instrument is not None, "open a session first"
        return self._instrument

    @property
    def part(self) -> Decimal:
        """The smallest quantity that an order may have here, with some room."""
        rules = self.instrument
        least = max(rules.min_quantity, rules.quantity_step)
        if rules.min_notional:
            least = max(least, rules.min_notional * Decimal("1.2") / (self.last * rules.contract_size))
        return _to_step(least, rules.quantity_step, ROUND_CEILING)

    @property
    def quantity(self) -> Decimal:
        return self.part * PARTS

    @property
    def far_too_much(self) -> Decimal:
        """The largest quantity that an order may have here, or one that no account of the rig could pay."""
        rules = self.instrument
        worth = _to_step(FORTUNE / (self.last * rules.contract_size), rules.quantity_step, ROUND_CEILING)
        return rules.max_quantity or max(self.quantity * 1_000_000, worth)

    def near(self, factor: str) -> Decimal:
        """A price on the tick, the last one times `factor`."""
        return _to_step(self.last * Decimal(factor), self.instrument.price_tick, ROUND_HALF_EVEN)

    def client_id(self) -> str:
        """A client id that this venue has not seen."""
        number = next(self._numbers)
        return f"contract-{number}" if self.capabilities.client_id_text else str(number)

    def terms(self, type_: OrderType = OrderType.LIMIT, side: Side = Side.BUY, **more: Any) -> Terms:
        """An order of this type that waits, unless it is a market order. Skips the test where the venue lacks the type."""
        if type_ not in self.capabilities.order_types:
            self.lacks(f"no {type_} orders")
        if type_ in self.capabilities.whole_position and "quantity" not in more:
            self.lacks(f"{type_} orders are for a whole position")
        buys, stops = side is Side.BUY, type_ in (OrderType.STOP_MARKET, OrderType.STOP_LIMIT)
        behind, beyond = ("0.97", "1.02") if buys else ("1.03", "0.98")
        values: dict[str, Any] = {"symbol": self.rig.symbol, "side": side, "type": type_, "quantity": self.quantity}
        if type_.has_trigger:
            values["trigger_price"] = self.near(beyond if stops else behind)
        if type_.has_price:
            values["price"] = self.near(behind)
        if type_ is OrderType.TRAILING_STOP:
            values["trail_percent"] = Decimal("1.0")
        return Terms(**(values | more))

    async def place(self, venue: Venue, terms: Terms, client_id: str = "") -> Order:
        """Place an order that must be accepted; its state as the reply or, where that has none, a look-up tells."""
        new = NewOrder(account=venue.accounts[0], client_id=client_id or self.client_id(), terms=terms)
        outcome = await venue.place(new)
        assert isinstance(outcome, Accepted), f"{terms.type} was not accepted: {outcome}"
        order = outcome.order or await self.find(venue, self.ref(venue, new))
        assert order is not None, f"{new.client_id} was accepted, and a look-up says that it is absent"
        return order

    async def buy(self, venue: Venue, listener: Listener | None = None) -> Order:
        """Buy one ordinary order's quantity at the market, and wait until it is filled."""
        order = await self.place(venue, self.terms(OrderType.MARKET))
        if listener is not None:
            await listener.order(order.client_id, lambda told: told.filled == told.terms.quantity)
        return order

    def ref(self, venue: Venue, order: Order | NewOrder) -> OrderRef:
        """Names an order by its client id, and by the venue's where that is known; else it says what was asked for."""
        known = isinstance(order, Order)
        return OrderRef(
            account=venue.accounts[0],
            symbol=order.terms.symbol,
            type=order.terms.type,
            client_id=order.client_id,
            venue_id=order.venue_id if isinstance(order, Order) else "",
            terms=None if known else order.terms,
            sent_ms=0 if known else time.time_ns() // 1_000_000 - SENT_WITHIN_MS,
        )

    async def find(self, venue: Venue, ref: OrderRef) -> Order | None:
        """Look one order up; None where the venue says that it does not know it."""
        told = await venue.snapshot(SnapshotRequest(account=venue.accounts[0], scope=Scope.ORDERS, look_up=(ref,)))
        found = [
            order
            for order in told.orders
            if order.client_id == ref.client_id or (ref.venue_id and order.venue_id == ref.venue_id)
        ]
        assert len(found) <= 1, f"one order was looked up and comes as {len(found)}: {found}"
        assert bool(found) != (ref.client_id in told.absent), f"{ref} must be either in orders or in absent"
        return found[0] if found else None

    async def snapshot(self, venue: Venue, **request: Any) -> Snapshot:
        return await venue.snapshot(SnapshotRequest(account=venue.accounts[0], **request))

    async def held(self, venue: Venue) -> Decimal:
        """The account's position in the rig's symbol, both sides added."""
        told = await self.snapshot(venue, symbols=(self.rig.symbol,))
        return sum((one.quantity for one in told.positions if one.symbol == self.rig.symbol), Decimal(0))

    async def at_venue(self, order: str | Order, account: str = PARENT) -> Order | None:
        """The working order of this client id, as the venue itself has it.

        An order that the plugin told of is found by the venue's own id too: some venues keep no client id of some types.
        """
        client_id, venue_id = (order, "") if isinstance(order, str) else (order.client_id, order.venue_id)
        there = await self.rig.orders(account)
        return next((one for one in there if one.client_id == client_id or (venue_id and one.venue_id == venue_id)), None)

    async def trigger(self, order: Order | Terms) -> None:
        """Move the price to where the conditional order is triggered."""
        terms = order.terms if isinstance(order, Order) else order
        beyond = "1.025" if terms.side is Side.BUY else "0.975"
        await self.rig.trades(terms.trigger_price or self.near(beyond), self.part)

    # --- skipping ---

    def needs(self, capability: object, what: str) -> None:
        """Skip the test by name where the venue does not have the capability."""
        if not capability:
            self.lacks(what)

    def lacks(self, what: str) -> NoReturn:
        pytest.skip(f"{self.info.title}: {what}")


class Listener:
    """Reads a subscription into a list, and waits for what is to come."""

    def __init__(self, venue: Venue, subscription: Subscription) -> None:
        self.events: list[VenueEvent] = []
        self._changed = asyncio.Event()
        self.task = asyncio.create_task(venue.listen(subscription, self._take), name="contract listener")
        self.task.add_done_callback(lambda _: self._changed.set())

    def _take(self, event: VenueEvent, received_ns: int) -> bool:
        self.events.append(event)
        self._changed.set()
        return False

    async def until(
        self, found: Callable[[list[VenueEvent]], T], *, after: int = 0, what: str = "what was waited for"
    ) -> T:
        """Wait until `found(events)` is true, and return it."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not (result := found(self.events[after:])):
                    if self.task.done():
                        self.task.result()
                        raise AssertionError(f"the subscription ended before {what} came")
                    self._changed.clear()
                    await self._changed.wait()
                return result
        except TimeoutError:
            shown = "\n  ".join(str(event) for event in self.events[after:][-20:])
            raise AssertionError(f"{what} did not come within {DEADLINE_S:g} s; there came\n  {shown}") from None

    async def event(self, kind: type[T], *, after: int = 0, matches: Callable[[T], object] = bool) -> T:
        """The first event of this kind that fits."""

        def found(events: list[VenueEvent]) -> list[T]:
            return [event for event in events if isinstance(event, kind) and (matches is bool or matches(event))]

        return (await self.until(found, after=after, what=f"a fitting {kind.__name__}"))[0]

    async def order(self, client_id: str, matches: Callable[[Order], object], *, after: int = 0) -> Order:
        """The first report of this order that fits."""

        def fits(event: OrderEvent) -> bool:
            return event.order.client_id == client_id and bool(matches(event.order))

        return (await self.event(OrderEvent, after=after, matches=fits)).order

    async def filled(self, client_id: str) -> list[Fill]:
        """Wait until the order is filled and all its fills have come; the fills, in their order."""
        whole = await self.order(client_id, lambda order: order.status == "filled")

        def all_there(events: list[VenueEvent]) -> list[Fill]:
            fills = self.fills(client_id)
            return fills if sum(fill.quantity for fill in fills) >= whole.filled else []

        return await self.until(all_there, what=f"all fills of {client_id}")

    def orders(self, client_id: str) -> list[Order]:
        return [
            event.order for event in self.events if isinstance(event, OrderEvent) and event.order.client_id == client_id
        ]

    def fills(self, client_id: str) -> list[Fill]:
        return [event.fill for event in self.events if isinstance(event, FillEvent) and event.fill.client_id == client_id]

    async def back(self, *, after: int) -> None:
        """Wait until the stream, lost after the event of that number, is back with a `Gap`."""
        await self.event(Gap, after=after)

    async def stop(self) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


class _Log(logging.Handler):
    """Everything that is logged while a test runs, as text."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self._level = logging.WARNING

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(logging.Formatter("%(name)s %(message)s").format(record))

    def start(self) -> None:
        for name in _LOUD:
            logging.getLogger(name).setLevel(logging.WARNING)
        root = logging.getLogger()
        self._level = root.level
        root.setLevel(logging.DEBUG)
        root.addHandler(self)

    def stop(self) -> None:
        root = logging.getLogger()
        root.removeHandler(self)
        root.setLevel(self._level)
        for name in _LOUD:
            logging.getLogger(name).setLevel(logging.NOTSET)


async def eventually(condition: Callable[[], Coroutine[Any, Any, T]], what: str, seconds: float = 0) -> T:
    """Ask until the answer is true, and return it, for `DEADLINE_S` unless told. For what no event tells of."""
    seconds = seconds or DEADLINE_S
    ends = time.monotonic() + seconds
    while True:
        if answer := await condition():
            return answer
        assert time.monotonic() < ends, f"{what}: not within {seconds:g} s"
        await asyncio.sleep(0.01)


def rejected(outcome: object, *reasons: RejectReason) -> Rejected:
    """The outcome, which must be `Rejected` with one of the reasons and a sentence."""
    assert isinstance(outcome, Rejected), f"it must be Rejected({' or '.join(reasons)}), not {outcome}"
    assert outcome.reason in reasons, f"it must be Rejected({' or '.join(reasons)}), not {outcome}"
    assert outcome.message, f"a rejection says why: {outcome}"
    return outcome


def inexact(record: object) -> list[str]:
    """Names of the fields of a record, at any depth, that hold a `float`."""
    if isinstance(record, float):
        return ["a float"]
    if isinstance(record, msgspec.Struct):
        return [f"{name}: {found}" for name in record.__struct_fields__ for found in inexact(getattr(record, name))]
    if isinstance(record, dict):
        return [found for value in record.values() for found in inexact(value)]
    if isinstance(record, tuple | list):
        return [found for value in record for found in inexact(value)]
    return []


def _to_step(value: Decimal, step: Decimal, rounding: str) -> Decimal:
    return (value / step).to_integral_value(rounding) * step
