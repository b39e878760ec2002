"""Requests that leave in the very call: what becomes of them, and of those that cannot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from copydesk.bots import BotStore
from copydesk.config import BotSettings, ChildSettings, Config
from copydesk.engine import Engine
from copydesk.hooks import Done, Plugin, Tell
from copydesk.inputs import Cancel, Place, Reported
from copydesk.journal import Journal
from copydesk.livedesk import LiveDesk
from copydesk.model import (
    Accepted,
    Balance,
    Capabilities,
    ConnectionSettings,
    Gap,
    Instrument,
    KindInfo,
    NewOrder,
    Order,
    OrderEvent,
    OrderRef,
    OrderStatus,
    OrderType,
    Outcome,
    Rejected,
    RejectReason,
    Side,
    Snapshot,
    SnapshotRequest,
    Subscription,
    Terms,
    Unknown,
    VenueEvent,
)
from copydesk.outgoing import Flight, Outgoing
from copydesk.plugins import Loaded, check_plugin
from copydesk.secrets import SealedFile
from copydesk.timing import Marks
from copydesk.venue import Venue, open_venue
from harness.closed_loop import instrument
from harness.deaths import left_behind

D = Decimal
SYMBOL = instrument("1").symbol
INFO = KindInfo(kind="swift", title="Swift", capabilities=Capabilities(order_types=frozenset(OrderType)))
PATIENCE_S = 40.0


class Session:
    """A session whose `fire` does what `way` says; what is fired and placed is kept."""

    instruments: Mapping[str, Instrument] = {SYMBOL: instrument("1")}
    accounts = ("",)

    def __init__(self, name: str, way: Callable[[NewOrder, Done], bool]) -> None:
        self.name, self.way = name, way
        self.fired: list[str] = []
        self.placed: list[str] = []
        self.cancelled: list[str] = []
        self.closed = asyncio.Event()
        self.tell: Tell = lambda event, at_ns: False

    def fire(self, order: NewOrder, done: Done, /) -> bool:
        self.fired.append(order.client_id)
        return self.way(order, done)

    async def listen(self, subscription: Subscription, tell: Tell, /) -> None:
        if subscription.private:
            self.tell = tell
            tell(Gap(reason="listening"), 0)
        await self.closed.wait()

    async def subscribe(self, subscription: Subscription, /) -> AsyncIterator[VenueEvent]:
        raise AssertionError("listen is there")
        yield

    async def place(self, order: NewOrder, /) -> Outcome:
        self.placed.append(order.client_id)
        return Accepted()

    async def modify(self, change: Any, /) -> Outcome:
        return Accepted()

    async def cancel(self, order: OrderRef, /) -> Outcome:
        self.cancelled.append(order.client_id)
        return Accepted()

    async def snapshot(self, request: SnapshotRequest, /) -> Snapshot:
        return Snapshot(time_ms=1, balance=Balance(currency="USDT", equity=D(1000), cash=D(1000), available=D(1000)))

    async def close(self) -> None:
        self.closed.set()


def soon(outcome: Any) -> Callable[[NewOrder, Done], bool]:
    def way(order: NewOrder, done: Done) -> bool:
        asyncio.get_running_loop().call_soon(done, outcome)
        return True

    return way


async def opened(way: Callable[[NewOrder, Done], bool]) -> tuple[Venue, Session]:
    session = Session("one", way)

    async def connect(settings: ConnectionSettings) -> Any:
        return session

    manager = check_plugin(Plugin("copydesk", INFO, connect=connect), "swift", "swift")
    return await open_venue(manager, ConnectionSettings(name="one", kind="swift"), send_s=PATIENCE_S), session


def order(name: str) -> NewOrder:
    terms = Terms(symbol=SYMBOL, side=Side.BUY, type=OrderType.LIMIT, quantity=D(1), price=D(100))
    return NewOrder(client_id=name, terms=terms)


def place(name: str) -> Place:
    return Place(id=1, bot="bot", account="one", cause="p", why="entry", order=order(name))


class Outbox:
    """An `Outgoing` and what it settled."""

    def __init__(self, deadline_s: float = PATIENCE_S) -> None:
        self.settled: list[Flight] = []
        self.changed = asyncio.Event()
        self.outgoing = Outgoing(self._settle, asyncio.get_running_loop().create_task, deadline_s)

    def _settle(self, flight: Flight) -> None:
        self.settled.append(flight)
        self.changed.set()

    async def outcomes(self, count: int) -> list[Outcome | None]:
        async with asyncio.timeout(PATIENCE_S):
            while len(self.settled) < count:
                self.changed.clear()
                await self.changed.wait()
        return [flight.outcome for flight in self.settled]


async def test_what_can_be_fired_leaves_in_the_call_and_is_settled_after_it():
    venue, session = await opened(soon(Accepted()))
    box = Outbox()
    assert box.outgoing.send(venue, place("a"), Marks(0, 0)) is False
    assert session.fired == ["a"]
    assert box.settled == []
    assert await box.outcomes(1) == [Accepted()]
    assert session.placed == []
    assert venue.fired == 1


async def test_what_cannot_be_fired_is_placed_in_a_task():
    venue, session = await opened(lambda order, done: False)
    box = Outbox()
    assert box.outgoing.send(venue, place("a"), Marks(0, 0)) is True
    assert session.placed == []
    assert await box.outcomes(1) == [Accepted()]
    assert session.placed == ["a"]


async def test_a_request_that_no_method_fires_goes_the_usual_way():
    venue, session = await opened(soon(Accepted()))
    box = Outbox()
    ref = OrderRef(symbol=SYMBOL, type=OrderType.LIMIT, client_id="a")
    assert box.outgoing.send(venue, Cancel(id=1, bot="bot", account="one", cause="p", why="parent", order=ref), Marks(0, 0))
    await box.outcomes(1)
    assert session.cancelled == ["a"]


async def test_no_answer_in_time_is_unknown_and_a_later_one_unheard():
    kept: list[Done] = []
    venue, _ = await opened(lambda order, done: kept.append(done) or True)  # type: ignore[func-returns-value]
    box = Outbox(deadline_s=0.05)
    for name in ("a", "b"):
        box.outgoing.send(venue, place(name), Marks(0, 0))
    kept[1](Accepted())
    assert [type(one) for one in await box.outcomes(2)] == [Accepted, Unknown]
    kept[0](Accepted())
    box.outgoing.send(venue, place("c"), Marks(0, 0))
    kept[2](Accepted())
    assert [flight.request.client_id for flight in box.settled if flight.request] == ["b", "a"]
    assert [type(one) for one in await box.outcomes(3)] == [Accepted, Unknown, Accepted]


async def test_the_deadline_holds_for_each_however_many_were_answered_before():
    kept: list[Done] = []
    venue, _ = await opened(lambda order, done: kept.append(done) or True)  # type: ignore[func-returns-value]
    box = Outbox(deadline_s=0.05)
    for name in ("a", "b", "c"):
        box.outgoing.send(venue, place(name), Marks(0, 0))
        if name == "a":
            kept[0](Accepted())
        await asyncio.sleep(0.02)
    assert [type(one) for one in await box.outcomes(3)] == [Accepted, Unknown, Unknown]
    assert all(flight.answered_ns - flight.sent_ns >= 50_000_000 for flight in box.settled[1:])


@pytest.mark.parametrize("outcome", ["taken", None], ids=["a text", "nothing"])
async def test_an_outcome_that_is_none_is_unknown(outcome: object):
    venue, _ = await opened(soon(outcome))
    box = Outbox()
    box.outgoing.send(venue, place("a"), Marks(0, 0))
    (came,) = await box.outcomes(1)
    assert isinstance(came, Unknown)


async def test_what_fire_raises_is_a_defect_and_unknown(caplog: pytest.LogCaptureFixture):
    def way(order: NewOrder, done: Done) -> bool:
        raise ZeroDivisionError

    venue, session = await opened(way)
    box = Outbox()
    box.outgoing.send(venue, place("a"), Marks(0, 0))
    (came,) = await box.outcomes(1)
    assert isinstance(came, Unknown)
    assert session.placed == []
    assert "defect of the plugin" in caplog.text


async def test_a_ticket_takes_the_same_way():
    refusal = Rejected(reason=RejectReason.MARGIN, message="too poor")
    venue, session = await opened(soon(refusal))
    assert await venue.place(order("a")) == refusal
    assert (session.fired, session.placed) == (["a"], [])


# --- in the engine ----------------------------------------------------------------------------------------------------


class Desk:
    """An engine with a parent and two children on sessions of this file."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, way: Callable[[NewOrder, Done], bool]) -> None:
        self.folder, self.way = folder, way
        self.sessions: dict[str, Session] = {}

        async def connect(settings: ConnectionSettings) -> Any:
            session = self.sessions[settings.name] = Session(settings.name, lambda order, done: self.way(order, done))
            return session

        loaded = Loaded(Plugin("copydesk", INFO, connect=connect), "swift", INFO)
        monkeypatch.setattr("copydesk.engine.load_kind", lambda kind: loaded)

    async def __aenter__(self) -> Desk:
        names = ("parent", "c1", "c2")
        config = Config.model_validate({"connections": {name: {"kind": "swift"} for name in names}})
        store = BotStore.load(self.folder)
        self.journal = Journal.open(self.folder / "journal.db")
        self.engine = Engine(config, store, self.journal, SealedFile(self.folder, lambda: ""))
        await self.engine.start()
        self.live = LiveDesk(self.engine, config, store)
        for connection in self.engine.connections.values():
            await connection.until_up(PATIENCE_S)
        children = tuple(ChildSettings(account=name, mode="multiplier", value=D(1)) for name in names[1:])
        store.add(BotSettings(name="bot", parent="parent", children=children), config)
        self.engine.configure()
        await self.live.start_bot("bot")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.engine.stop()
        self.journal.close()

    def tell(self, number: str) -> None:
        told = Order(venue_id=number, client_id=f"hand-{number}", terms=order("").terms, status=OrderStatus.NEW)
        self.sessions["parent"].tell(OrderEvent(order=told), 0)

    async def until(self, what: Callable[[], bool]) -> None:
        happened = asyncio.Event()
        stop = self.engine.events.listen(lambda _: happened.set())
        async with asyncio.timeout(PATIENCE_S):
            while not what():
                happened.clear()
                await happened.wait()
        stop()


async def test_copies_leave_while_the_parents_event_is_told_and_behind_its_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    written: list[bool] = []

    def way(one: NewOrder, done: Done) -> bool:
        with Journal.open(left_behind(tmp_path / "journal.db", tmp_path / f"left-{len(written)}")) as journal:
            rows = journal.rows(kinds=("input",), account="parent", newest_first=True, limit=1)
            written.append(any(b'"venue_id":"7"' in row.body for row in rows))
        return soon(Accepted())(one, done)

    async with Desk(tmp_path, monkeypatch, way) as desk:
        desk.tell("7")
        assert [len(desk.sessions[name].fired) for name in ("c1", "c2")] == [1, 1]
        assert written == [True, True]
        state = desk.engine.state
        await desk.until(lambda: sum(state.bots["bot"].copied.values()) == 2)
        assert [len(desk.sessions[name].placed) for name in ("c1", "c2")] == [0, 0]
        assert {key[1] for key in state.child_orders} == {desk.sessions[name].fired[0] for name in ("c1", "c2")}


async def test_a_child_whose_session_cannot_fire_is_copied_like_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    refused: list[str] = []

    def way(one: NewOrder, done: Done) -> bool:
        if not refused:
            refused.append(one.client_id)
        return one.client_id not in refused and soon(Accepted())(one, done)

    async with Desk(tmp_path, monkeypatch, way) as desk:
        desk.tell("7")
        state = desk.engine.state
        await desk.until(lambda: sum(state.bots["bot"].copied.values()) == 2)
        assert [desk.sessions[name].placed for name in ("c1", "c2")] == [refused, []]


async def test_what_was_sent_at_a_glance_and_is_not_decided_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    async with Desk(tmp_path, monkeypatch, soon(Accepted())) as desk:
        copier = desk.engine._copier
        whole = copier.begin

        def begin(given: Any) -> Any:
            yield from whole(given)
            if isinstance(given, Reported) and given.account == "parent":
                yield "c1", order("cdk-nobody-wanted-this-c0")

        monkeypatch.setattr(copier, "begin", begin)
        desk.tell("7")
        assert "cdk-nobody-wanted-this-c0" in desk.sessions["c1"].fired
        await desk.until(lambda: desk.sessions["c1"].cancelled == ["cdk-nobody-wanted-this-c0"])
        assert any("by mistake" in line.text for line in desk.engine.chronicle.latest(20))
        await desk.until(lambda: sum(desk.engine.state.bots["bot"].copied.values()) == 2)
