"""Plugins that are wrong in one way each: the paper plugin with one hook, or one record on its way, falsified."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

from copydesk.errors import AuthFailed, NotReady, VenueError
from copydesk.hookspecs import hookimpl
from copydesk.model import (
    Accepted,
    BalanceEvent,
    Candle,
    CandleRequest,
    ConnectionSettings,
    Description,
    FillEvent,
    Gap,
    NewOrder,
    Order,
    OrderChange,
    OrderEvent,
    OrderGroup,
    OrderRef,
    OrderStatus,
    OrderType,
    Outcome,
    PositionEvent,
    PositionSide,
    PriceEvent,
    Rejected,
    RejectReason,
    Scope,
    Snapshot,
    SnapshotRequest,
    StreamLost,
    Subscription,
    Terms,
    TimeInForce,
    TriggerBy,
    Unknown,
    VenueEvent,
)
from copydesk_paper import plugin as paper
from msgspec.structs import replace


class Honest:
    """The paper plugin, with four places to falsify: events, outcomes, snapshots, and what is sent."""

    def event(self, event: VenueEvent) -> VenueEvent | None:
        return event

    def sent(self, terms: Terms) -> Terms:
        return terms

    def outcome(self, outcome: Outcome) -> Outcome:
        return outcome

    def told(self, snapshot: Snapshot, request: SnapshotRequest) -> Snapshot:
        return snapshot

    @hookimpl
    def describe(self) -> Description:
        return paper.describe()

    @hookimpl
    async def connect(self, settings: ConnectionSettings) -> Any:
        return await paper.connect(settings)

    @hookimpl
    async def subscribe(self, session: Any, subscription: Subscription) -> AsyncIterator[VenueEvent]:
        async for event in paper.subscribe(session, subscription):
            changed = self.event(event)
            if changed is not None:
                yield changed

    @hookimpl
    async def place(self, session: Any, order: NewOrder) -> Outcome:
        return self.outcome(await paper.place(session, replace(order, terms=self.sent(order.terms))))

    @hookimpl
    async def place_group(self, session: Any, group: OrderGroup) -> Outcome:
        return self.outcome(await paper.place_group(session, group))

    @hookimpl
    async def modify(self, session: Any, change: OrderChange) -> Outcome:
        return self.outcome(await paper.modify(session, change))

    @hookimpl
    async def cancel(self, session: Any, order: OrderRef) -> Outcome:
        return self.outcome(await paper.cancel(session, order))

    @hookimpl
    async def snapshot(self, session: Any, request: SnapshotRequest) -> Snapshot:
        return self.told(await paper.snapshot(session, request), request)

    @hookimpl
    async def candles(self, session: Any, request: CandleRequest) -> tuple[Candle, ...]:
        return await paper.candles(session, request)

    @hookimpl
    async def close(self, session: Any) -> None:
        await paper.close(session)


# --- logging in ---


def _described(**changes: Any) -> Description:
    description = paper.describe()
    return replace(description, kinds=(replace(description.kinds[0], **changes),))


class AmendsWhatItLacks(Honest):
    @hookimpl
    def describe(self) -> Description:
        can = paper.describe().kinds[0].capabilities
        return _described(capabilities=replace(can, order_types=frozenset({OrderType.MARKET, OrderType.LIMIT})))


class ShowsTheToken(Honest):
    @hookimpl
    def describe(self) -> Description:
        return _described(fields=tuple(replace(field, secret=False) for field in paper.describe().kinds[0].fields))


class TriesForever(Honest):
    @hookimpl
    async def connect(self, settings: ConnectionSettings) -> Any:
        try:
            return await paper.connect(settings)
        except AuthFailed as error:
            raise NotReady(str(error)) from None


class LetsLibraryErrorsOut(Honest):
    @hookimpl
    async def connect(self, settings: ConnectionSettings) -> Any:
        try:
            return await paper.connect(settings)
        except NotReady:
            raise ConnectionError("connection refused") from None


class SaysTheKey(Honest):
    @hookimpl
    async def connect(self, settings: ConnectionSettings) -> Any:
        try:
            return await paper.connect(settings)
        except AuthFailed:
            raise AuthFailed(f"the token {settings.secrets.get('token', '')} is wrong") from None


class RoundsTheRules(Honest):
    @hookimpl
    async def connect(self, settings: ConnectionSettings) -> Any:
        session = await paper.connect(settings)
        session.instruments = {name: replace(one, price_tick=Decimal(0)) for name, one in session.instruments.items()}
        return session


class InventsAnAccount(Honest):
    @hookimpl
    async def connect(self, settings: ConnectionSettings) -> Any:
        session = await paper.connect(settings)
        session.accounts = ("main",)
        return session


class OneLoginForAll(Honest):
    first: ConnectionSettings | None = None

    @hookimpl
    async def connect(self, settings: ConnectionSettings) -> Any:
        self.first = self.first or settings
        return await paper.connect(self.first)


# --- the stream ---


class BeginsWithoutGap(Honest):
    begun = False

    def event(self, event: VenueEvent) -> VenueEvent | None:
        begun, self.begun = self.begun, True
        return event if begun or not isinstance(event, Gap) else StreamLost(reason="not yet")


class TellsNoOrders(Honest):
    def event(self, event: VenueEvent) -> VenueEvent | None:
        return None if isinstance(event, OrderEvent) and not event.order.filled else event


class MergesFills(Honest):
    def event(self, event: VenueEvent) -> VenueEvent | None:
        partial = isinstance(event, OrderEvent) and event.order.status is OrderStatus.PARTIALLY_FILLED
        return None if partial else event


class TellsFillsApart(Honest):
    """Fills come without the order report that counts them."""

    def event(self, event: VenueEvent) -> VenueEvent | None:
        if isinstance(event, OrderEvent) and event.order.filled and event.order.terms.type is OrderType.MARKET:
            return OrderEvent(order=replace(event.order, venue_id="another"))
        return event


class NumbersFillsByOrder(Honest):
    def event(self, event: VenueEvent) -> VenueEvent | None:
        if isinstance(event, FillEvent):
            return FillEvent(fill=replace(event.fill, execution_id=event.fill.venue_id))
        return event


class TellsNoSign(Honest):
    def event(self, event: VenueEvent) -> VenueEvent | None:
        if isinstance(event, PositionEvent):
            return PositionEvent(position=replace(event.position, quantity=abs(event.position.quantity)))
        return event


class ForgetsClosedPositions(Honest):
    def event(self, event: VenueEvent) -> VenueEvent | None:
        return None if isinstance(event, PositionEvent) and not event.position.quantity else event


class TellsEquityAsCash(Honest):
    def event(self, event: VenueEvent) -> VenueEvent | None:
        if isinstance(event, BalanceEvent):
            return BalanceEvent(balance=replace(event.balance, cash=event.balance.equity + 1))
        return event


class TellsOwnOrdersOnly(Honest):
    def event(self, event: VenueEvent) -> VenueEvent | None:
        return None if isinstance(event, OrderEvent) and event.order.client_id.startswith("by-hand") else event


class TellsOldPrices(Honest):
    def event(self, event: VenueEvent) -> VenueEvent | None:
        return replace(event, last=event.last + 1) if isinstance(event, PriceEvent) else event


class MixesPricesIn(Honest):
    @hookimpl
    async def subscribe(self, session: Any, subscription: Subscription) -> AsyncIterator[VenueEvent]:
        async for event in paper.subscribe(session, replace(subscription, private=True)):
            yield event


class CountsBackwards(Honest):
    """Where an event is repeated, the second one has lost what was filled."""

    seen: set[str]

    def event(self, event: VenueEvent) -> VenueEvent | None:
        if not isinstance(event, OrderEvent):
            return event
        self.seen = getattr(self, "seen", set())
        key = f"{event.order.venue_id} {event.order.filled}"
        again = key in self.seen and event.order.filled
        self.seen.add(key)
        return OrderEvent(order=replace(event.order, filled=Decimal(0))) if again else event


class HasNoTime(Honest):
    def event(self, event: VenueEvent) -> VenueEvent | None:
        if isinstance(event, OrderEvent):
            return OrderEvent(order=replace(event.order, updated_ms=2 * 10**12 - event.order.updated_ms))
        return event


# --- orders ---


class StopsWithoutLimit(Honest):
    def sent(self, terms: Terms) -> Terms:
        return replace(terms, type=OrderType.STOP_MARKET, price=None) if terms.type is OrderType.STOP_LIMIT else terms


class BuysOnly(Honest):
    def sent(self, terms: Terms) -> Terms:
        return replace(terms, reduce_only=False) if terms.side == "buy" else replace(terms, quantity=2 * terms.quantity)


class TagsTheId(Honest):
    """The id is another one at the venue; on its way back it is made good again."""

    @hookimpl
    async def place(self, session: Any, order: NewOrder) -> Outcome:
        outcome = await paper.place(session, replace(order, client_id=f"x-{order.client_id}"))
        if isinstance(outcome, Accepted) and outcome.order is not None:
            return Accepted(order=replace(outcome.order, client_id=order.client_id))
        return outcome


class AcceptsTwice(Honest):
    def outcome(self, outcome: Outcome) -> Outcome:
        doubled = isinstance(outcome, Rejected) and outcome.reason is RejectReason.DUPLICATE_ID
        return Accepted() if doubled else outcome


class RoundsPrices(Honest):
    def sent(self, terms: Terms) -> Terms:
        return terms if terms.price is None else replace(terms, price=terms.price.quantize(Decimal(1)))


class CalculatesInFloats(Honest):
    def event(self, event: VenueEvent) -> VenueEvent | None:
        if isinstance(event, OrderEvent):
            terms = event.order.terms
            return OrderEvent(order=replace(event.order, terms=replace(terms, quantity=Decimal(float(terms.quantity)))))
        return event


class KnowsGoodTillCancelledOnly(Honest):
    def sent(self, terms: Terms) -> Terms:
        return replace(terms, time_in_force=TimeInForce.GTC)


class ForgetsPostOnly(Honest):
    def sent(self, terms: Terms) -> Terms:
        return replace(terms, post_only=False)


class ForgetsReduceOnly(Honest):
    def sent(self, terms: Terms) -> Terms:
        return replace(terms, reduce_only=False)


class LooksAtTheLastPrice(Honest):
    def sent(self, terms: Terms) -> Terms:
        return replace(terms, trigger_by=TriggerBy.LAST)


class RoundsForYou(Honest):
    def sent(self, terms: Terms) -> Terms:
        price = None if terms.price is None else terms.price.quantize(Decimal("0.1"))
        return replace(terms, price=price, quantity=max(Decimal("0.008"), terms.quantity.quantize(Decimal("0.001"))))


class HasOneReason(Honest):
    def outcome(self, outcome: Outcome) -> Outcome:
        return replace(outcome, reason=RejectReason.OTHER) if isinstance(outcome, Rejected) else outcome


class KnowsOneSide(Honest):
    def event(self, event: VenueEvent) -> VenueEvent | None:
        if isinstance(event, FillEvent):
            return FillEvent(fill=replace(event.fill, position_side=PositionSide.NET))
        return event


class ReplacesInsteadOfAmending(Honest):
    @hookimpl
    async def modify(self, session: Any, change: OrderChange) -> Outcome:
        await paper.cancel(session, change.ref)
        return await paper.place(session, NewOrder(client_id=change.ref.client_id, terms=change.terms))


class AmendsNothingAndReplaces(ReplacesInsteadOfAmending):
    @hookimpl
    def describe(self) -> Description:
        return _described(capabilities=replace(paper.describe().kinds[0].capabilities, amend=frozenset()))


class AmendsWhatIsLeft(Honest):
    @hookimpl
    async def modify(self, session: Any, change: OrderChange) -> Outcome:
        known = await paper.snapshot(session, SnapshotRequest(look_up=(change.ref,)))
        filled = known.orders[0].filled if known.orders else Decimal(0)
        terms = replace(change.terms, quantity=change.terms.quantity + filled)
        return await paper.modify(session, replace(change, terms=terms))


class KeepsTheTrigger(Honest):
    @hookimpl
    async def modify(self, session: Any, change: OrderChange) -> Outcome:
        outcome = await paper.modify(session, replace(change, terms=replace(change.terms, trigger_price=None)))
        return Accepted() if isinstance(outcome, Rejected) else outcome


class CancelsEverything(Honest):
    @hookimpl
    async def cancel(self, session: Any, order: OrderRef) -> Outcome:
        outcome = await paper.cancel(session, order)
        return outcome if isinstance(outcome, Unknown) else Accepted()


class CancelsByClientIdOnly(Honest):
    @hookimpl
    async def cancel(self, session: Any, order: OrderRef) -> Outcome:
        return await paper.cancel(session, replace(order, venue_id=""))


class ForgetsCancels(Honest):
    def event(self, event: VenueEvent) -> VenueEvent | None:
        return None if isinstance(event, OrderEvent) and event.order.status is OrderStatus.CANCELLED else event


class BecomesAnother(Honest):
    """A triggered order comes back under another id, as the venue's own order of another service would."""

    def event(self, event: VenueEvent) -> VenueEvent | None:
        return OrderEvent(order=_another(event.order)) if isinstance(event, OrderEvent) else event

    def told(self, snapshot: Snapshot, request: SnapshotRequest) -> Snapshot:
        return replace(snapshot, orders=tuple(_another(order) for order in snapshot.orders))


def _another(order: Order) -> Order:
    return replace(order, venue_id=f"9{order.venue_id}") if order.triggered else order


# --- snapshots ---


class HoldsNothing(Honest):
    def told(self, snapshot: Snapshot, request: SnapshotRequest) -> Snapshot:
        return replace(snapshot, positions=())


class KnowsNoPrices(Honest):
    def told(self, snapshot: Snapshot, request: SnapshotRequest) -> Snapshot:
        return replace(snapshot, prices={})


class KnowsWhatItPlaced(Honest):
    def told(self, snapshot: Snapshot, request: SnapshotRequest) -> Snapshot:
        return snapshot if request.look_up or request.symbols or request.since_ms else replace(snapshot, orders=())


class SaysTooMuch(Honest):
    """It calls a snapshot of everything one of some orders."""

    def told(self, snapshot: Snapshot, request: SnapshotRequest) -> Snapshot:
        return replace(snapshot, scope=Scope.ORDERS)


class LeavesOutTheBalance(Honest):
    def told(self, snapshot: Snapshot, request: SnapshotRequest) -> Snapshot:
        return replace(snapshot, balance=None) if request.scope is Scope.SYMBOLS else snapshot


class CallsEndedAbsent(Honest):
    def told(self, snapshot: Snapshot, request: SnapshotRequest) -> Snapshot:
        ended = [order.client_id for order in snapshot.orders if not order.is_working]
        working = tuple(order for order in snapshot.orders if order.is_working)
        return replace(snapshot, orders=working, absent=(*snapshot.absent, *ended))


class LooksUpNothing(Honest):
    def told(self, snapshot: Snapshot, request: SnapshotRequest) -> Snapshot:
        return replace(snapshot, absent=())


class HasNoPast(Honest):
    def told(self, snapshot: Snapshot, request: SnapshotRequest) -> Snapshot:
        return replace(snapshot, fills=())


class HasNoEnded(Honest):
    def told(self, snapshot: Snapshot, request: SnapshotRequest) -> Snapshot:
        return replace(snapshot, orders=tuple(order for order in snapshot.orders if order.is_working))


class ReadsOtherFills(Honest):
    def told(self, snapshot: Snapshot, request: SnapshotRequest) -> Snapshot:
        return replace(snapshot, fills=tuple(replace(fill, fee=Decimal(0)) for fill in snapshot.fills))


class BeginsWithTheNewest(Honest):
    @hookimpl
    async def candles(self, session: Any, request: CandleRequest) -> tuple[Candle, ...]:
        return tuple(reversed(await paper.candles(session, request)))


class DrawsNothing(Honest):
    @hookimpl
    async def candles(self, session: Any, request: CandleRequest) -> tuple[Candle, ...]:
        try:
            return await paper.candles(session, request)
        except VenueError:
            return ()


class SaysEmptyWhenUnread(Honest):
    @hookimpl
    async def snapshot(self, session: Any, request: SnapshotRequest) -> Snapshot:
        try:
            return await paper.snapshot(session, request)
        except VenueError:
            return Snapshot(time_ms=1)


# --- doubt ---


class CallsSilenceNo(Honest):
    def outcome(self, outcome: Outcome) -> Outcome:
        if isinstance(outcome, Unknown):
            return Rejected(reason=RejectReason.OTHER, message="no answer", code="timeout")
        return outcome


class CallsSilenceYes(Honest):
    @hookimpl
    async def place(self, session: Any, order: NewOrder) -> Outcome:
        try:
            async with asyncio.timeout(0.2):
                return await paper.place(session, order)
        except TimeoutError:
            return Accepted()


class TriesAgain(Honest):
    """It sends an order without an answer again, under another id."""

    @hookimpl
    async def place(self, session: Any, order: NewOrder) -> Outcome:
        outcome = await paper.place(session, order)
        if isinstance(outcome, Unknown):
            return await paper.place(session, replace(order, client_id=f"{order.client_id}-2"))
        return outcome


class DoubtsEverything(Honest):
    def outcome(self, outcome: Outcome) -> Outcome:
        return Unknown(message=outcome.message) if isinstance(outcome, Rejected) else outcome


class HasNoCode(Honest):
    def outcome(self, outcome: Outcome) -> Outcome:
        return replace(outcome, code="") if isinstance(outcome, Rejected) else outcome


# --- gaps and the end ---


class ReconnectsSilently(Honest):
    gaps = 0

    def event(self, event: VenueEvent) -> VenueEvent | None:
        if isinstance(event, Gap):
            self.gaps += 1
        return None if isinstance(event, Gap) and self.gaps > 1 else event


class SaysNoLoss(Honest):
    def event(self, event: VenueEvent) -> VenueEvent | None:
        return None if isinstance(event, StreamLost) else event


class StaysSilentAfterwards(Honest):
    lost = False

    def event(self, event: VenueEvent) -> VenueEvent | None:
        self.lost = self.lost or isinstance(event, StreamLost)
        return None if self.lost and isinstance(event, OrderEvent) else event


class NeverEnds(Honest):
    @hookimpl
    async def subscribe(self, session: Any, subscription: Subscription) -> AsyncIterator[VenueEvent]:
        async for event in paper.subscribe(session, subscription):
            yield event
        await asyncio.Event().wait()


class LeavesATask(Honest):
    @hookimpl
    async def connect(self, settings: ConnectionSettings) -> Any:
        session = await paper.connect(settings)
        session.left_behind = asyncio.create_task(asyncio.sleep(3))
        return session


class ClosesOnce(Honest):
    @hookimpl
    async def close(self, session: Any) -> None:
        if getattr(session, "is_closed", False):
            raise RuntimeError("closed already")
        session.is_closed = True
        await paper.close(session)


class HearsOneListener(Honest):
    """A second session of the account hears nothing."""

    listening = False

    @hookimpl
    async def subscribe(self, session: Any, subscription: Subscription) -> AsyncIterator[VenueEvent]:
        is_first, self.listening = not self.listening, True
        async for event in paper.subscribe(session, subscription):
            if is_first or isinstance(event, Gap):
                yield event


class ClosesAll(Honest):
    sessions: list[Any]

    @hookimpl
    async def connect(self, settings: ConnectionSettings) -> Any:
        self.sessions = [*getattr(self, "sessions", []), await paper.connect(settings)]
        return self.sessions[-1]

    @hookimpl
    async def close(self, session: Any) -> None:
        for one in self.sessions:
            await paper.close(one)


class OneAtATime(Honest):
    busy = False

    @hookimpl
    async def place(self, session: Any, order: NewOrder) -> Outcome:
        if self.busy:
            return Rejected(reason=RejectReason.OVERLOADED, message="one order at a time")
        self.busy = True
        try:
            return await paper.place(session, order)
        finally:
            self.busy = False


class GroupsInName(Honest):
    """It places the legs of a group one by one."""

    @hookimpl
    async def place_group(self, session: Any, group: OrderGroup) -> Outcome:
        outcomes = [await paper.place(session, leg) for leg in group.legs]
        return Accepted(
            legs=tuple(outcome.order for outcome in outcomes if isinstance(outcome, Accepted) and outcome.order)
        )


class KeepsItsMode(Honest):
    """It decides by the position mode that the account had first."""

    def sent(self, terms: Terms) -> Terms:
        return replace(terms, position_side=PositionSide.NET)


class GivesUpWhatItDoesNotSee(Honest):
    """It takes a list that is not up to date for the whole truth."""

    @hookimpl
    def describe(self) -> Description:
        description = paper.describe()
        (info,) = description.kinds
        can = replace(info.capabilities, tells_never_arrived=True)
        return replace(description, kinds=(replace(info, capabilities=can),))

    def told(self, snapshot: Snapshot, request: SnapshotRequest) -> Snapshot:
        ids = tuple(ref.client_id for ref in request.look_up)
        return replace(snapshot, orders=(), absent=ids, never_arrived=ids)


WRONG: dict[type[Honest], str] = {
    AmendsWhatItLacks: "C01",
    ShowsTheToken: "C02",
    TriesForever: "C04 C05",
    LetsLibraryErrorsOut: "C06",
    RoundsTheRules: "C07",
    InventsAnAccount: "C08",
    SaysTheKey: "C09",
    BeginsWithoutGap: "C10",
    TellsNoOrders: "C11 C17",
    TellsFillsApart: "C12",
    MergesFills: "C13 C89",
    NumbersFillsByOrder: "C14",
    TellsNoSign: "C15",
    ForgetsClosedPositions: "C15",
    TellsEquityAsCash: "C16",
    TellsOwnOrdersOnly: "C17",
    TellsOldPrices: "C18",
    MixesPricesIn: "C19",
    CountsBackwards: "C20",
    HasNoTime: "C21",
    StopsWithoutLimit: "C22",
    BuysOnly: "C23",
    TagsTheId: "C24",
    AcceptsTwice: "C25",
    RoundsPrices: "C26",
    CalculatesInFloats: "C11 C26",
    KnowsGoodTillCancelledOnly: "C27 C28",
    ForgetsPostOnly: "C29 C30",
    ForgetsReduceOnly: "C31 C32 C33 C54",
    LooksAtTheLastPrice: "C34",
    RoundsForYou: "C36 C37",
    HasOneReason: "C35 C38 C39 C41",
    KnowsOneSide: "C40",
    OneAtATime: "C90",
    GroupsInName: "C91",
    KeepsItsMode: "C40 C88",
    ReplacesInsteadOfAmending: "C42 C46",
    AmendsNothingAndReplaces: "C47",
    KeepsTheTrigger: "C43",
    AmendsWhatIsLeft: "C44",
    CancelsEverything: "C50 C51",
    CancelsByClientIdOnly: "C49",
    ForgetsCancels: "C48",
    BecomesAnother: "C52 C53",
    KnowsNoPrices: "C55",
    HoldsNothing: "C56 C57",
    LeavesOutTheBalance: "C58",
    SaysTooMuch: "C56 C58",
    CallsEndedAbsent: "C60",
    LooksUpNothing: "C60",
    HasNoPast: "C61 C78",
    HasNoEnded: "C79 C80",
    ReadsOtherFills: "C62",
    BeginsWithTheNewest: "C63",
    DrawsNothing: "C64",
    SaysEmptyWhenUnread: "C74",
    CallsSilenceNo: "C65 C66 C67",
    CallsSilenceYes: "C68",
    TriesAgain: "C65",
    DoubtsEverything: "C72 C73",
    GivesUpWhatItDoesNotSee: "C94",
    HasNoCode: "C73",
    ReconnectsSilently: "C75",
    SaysNoLoss: "C75",
    StaysSilentAfterwards: "C76",
    KnowsWhatItPlaced: "C57 C77",
    OneLoginForAll: "C81",
    HearsOneListener: "C82",
    ClosesAll: "C83",
    NeverEnds: "C84",
    LeavesATask: "C85 C86",
    ClosesOnce: "C87",
}
"""What is wrong, and the tests that must notice."""
