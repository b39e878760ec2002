"""The session against the server, over sockets: the hooks, every fault, reconnects."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from decimal import Decimal
from functools import partial

import aiohttp
import pytest
from copydesk.errors import AuthFailed, NotReady, OutcomeUnknown, UsageError
from copydesk.hookspecs import OPTIONAL, REQUIRED, VenuePlugin
from copydesk.model import (
    Accepted,
    BalanceEvent,
    CandleRequest,
    ConnectionSettings,
    FillEvent,
    Gap,
    NewOrder,
    OrderChange,
    OrderEvent,
    OrderRef,
    OrderStatus,
    OrderType,
    PositionEvent,
    PriceEvent,
    RehearsalSettings,
    Rejected,
    RejectReason,
    Side,
    SnapshotRequest,
    StreamLost,
    Subscription,
    Terms,
    Unknown,
)
from copydesk_paper import plugin

D = Decimal
SYMBOL = "BTCUSDT"


def terms(side="buy", quantity="0.01", price=None, **fields):
    kind = OrderType(fields.pop("type", "limit" if price else "market"))
    price = Decimal(price) if price else None
    return Terms(symbol=SYMBOL, side=Side(side), type=kind, quantity=D(quantity), price=price, **fields)


def ref(client_id, kind="limit"):
    return OrderRef(symbol=SYMBOL, type=OrderType(kind), client_id=client_id)


class Stream:
    """Collects what a subscription yields; waits until something is there."""

    def __init__(self, session, **wanted):
        self.events = []
        self._news = asyncio.Event()
        self.task = asyncio.create_task(self._read(plugin.subscribe(session, Subscription(**wanted))))

    async def _read(self, iterator):
        async for event in iterator:
            self.events.append(event)
            self._news.set()

    async def until(self, condition, seconds=5):
        async with asyncio.timeout(seconds):
            while not condition(self.events):
                self._news.clear()
                await self._news.wait()

    def kinds(self):
        return [type(event) for event in self.events]


@pytest.fixture
async def start():
    """Starts a rehearsal and connects to its accounts; closes everything afterwards."""
    running, sessions = [], []

    async def _start(*faults, deadline_s="2", accounts=("main",), **fields):
        settings = RehearsalSettings(
            kind="paper", accounts=dict.fromkeys(accounts, D(10_000)), faults=faults, speed=D("0.001"), **fields
        )
        venue = await plugin.rehearse(settings)
        running.append(venue)
        for account in venue.ready.accounts:
            options = {**account.options, "deadline_s": deadline_s}
            sessions.append(
                await plugin.connect(
                    ConnectionSettings(name=account.name, kind="paper", options=options, secrets=account.secrets)
                )
            )
        return venue, *sessions[-len(accounts) :]

    yield _start
    for session in sessions:
        await plugin.close(session)
    for venue in running:
        await venue.stop()


async def persist(ask, *errors):
    """Ask until there is an answer; with `NotReady` nothing was sent, so it may be asked again."""
    async with asyncio.timeout(40):
        while True:
            with contextlib.suppress(NotReady, *errors):
                return await ask()


async def ask(venue, method, path, **kwargs):
    async with aiohttp.ClientSession() as http, http.request(method, venue.ready.control_url + path, **kwargs) as answer:
        return answer.status, await answer.json()


def test_the_module_is_a_plugin():
    checked: VenuePlugin = plugin
    for name in (*REQUIRED, *OPTIONAL):
        assert callable(getattr(checked, name))
    kind = plugin.describe().kinds[0]
    assert kind.kind == "paper"
    assert [field.name for field in kind.fields if field.secret] == ["token"]


async def test_orders_and_their_events(start):
    _, session = await start()
    stream = Stream(session)
    await stream.until(lambda events: events)
    placed = await plugin.place(session, NewOrder(client_id="c1", terms=terms(price="50000")))
    assert isinstance(placed, Accepted)
    assert (placed.order.status, placed.order.client_id, placed.order.account) == (OrderStatus.NEW, "c1", "")
    change = OrderChange(ref=ref("c1"), terms=terms(price="50001", quantity="0.02"))
    changed = await plugin.modify(session, change)
    assert (changed.order.terms.price, changed.order.terms.quantity) == (D(50001), D("0.02"))
    assert (await plugin.modify(session, change)).reason is RejectReason.UNCHANGED
    assert (await plugin.cancel(session, ref("c1"))).order.status is OrderStatus.CANCELLED
    refused = await plugin.cancel(session, ref("c1"))
    assert (refused.reason, refused.code) == (RejectReason.NOT_FOUND, "unknown-order")
    bought = await plugin.place(session, NewOrder(client_id="c2", terms=terms()))
    assert bought.order.status is OrderStatus.FILLED
    await stream.until(lambda events: isinstance(events[-1], BalanceEvent))
    assert stream.kinds() == [
        Gap, OrderEvent, OrderEvent, OrderEvent, OrderEvent, OrderEvent, FillEvent, PositionEvent, BalanceEvent,
    ]  # fmt: skip
    assert stream.events[6].fill.client_id == "c2"
    assert stream.events[7].position.quantity == D("0.01")


async def test_conditional_orders_can_be_amended(start):
    _, session = await start()
    stop = terms("sell", type="stop-market", trigger_price=D(50_000))
    await plugin.place(session, NewOrder(client_id="s", terms=stop))
    moved = terms("sell", type="stop-market", trigger_price=D(51_000))
    outcome = await plugin.modify(session, OrderChange(ref=ref("s", "stop-market"), terms=moved))
    assert outcome.order.terms.trigger_price == D(51_000)
    trail = terms("sell", type="trailing-stop", trail_percent=D(1))
    await plugin.place(session, NewOrder(client_id="t", terms=trail))
    wider = terms("sell", type="trailing-stop", trail_percent=D(2))
    outcome = await plugin.modify(session, OrderChange(ref=ref("t", "trailing-stop"), terms=wider))
    assert outcome.order.terms.trail_percent == D(2)


async def test_snapshot_tells_what_was_asked(start):
    venue, session = await start()
    await plugin.place(session, NewOrder(client_id="gone", terms=terms(price="50000")))
    await plugin.cancel(session, ref("gone"))
    await plugin.place(session, NewOrder(client_id="rests", terms=terms(price="50000")))
    await plugin.place(session, NewOrder(client_id="m", terms=terms()))
    plain = await plugin.snapshot(session, SnapshotRequest())
    assert [order.client_id for order in plain.orders] == ["rests"]
    assert (plain.fills, plain.absent) == ((), ())
    assert plain.positions[0].quantity == D("0.01")
    assert plain.balance.equity < 10_000
    assert plain.prices == {SYMBOL: venue.server.exchange.last_price(SYMBOL)}
    since = await plugin.snapshot(session, SnapshotRequest(since_ms=1, symbols=("ETHUSDT",)))
    assert [order.client_id for order in since.orders] == ["rests", "gone", "m"]
    assert [fill.client_id for fill in since.fills] == ["m"]
    assert "ETHUSDT" in since.prices
    looked = await plugin.snapshot(session, SnapshotRequest(look_up=(ref("gone"), ref("never"))))
    assert [order.client_id for order in looked.orders] == ["rests", "gone"]
    assert looked.absent == ("never",)


async def test_accounts_are_apart(start):
    _, one, two = await start(accounts=("one", "two"))
    stream = Stream(two)
    await stream.until(lambda events: events)
    await plugin.place(one, NewOrder(client_id="x", terms=terms()))
    await plugin.place(two, NewOrder(client_id="y", terms=terms(price="50000")))
    await stream.until(lambda events: len(events) > 1)
    assert [event.order.client_id for event in stream.events[1:]] == ["y"]
    assert not (await plugin.snapshot(two, SnapshotRequest())).positions


async def test_prices_and_candles(start):
    _, session = await start()
    stream = Stream(session, private=False, symbols=(SYMBOL,))
    await stream.until(lambda events: len(events) > 1)
    assert stream.kinds()[:2] == [Gap, PriceEvent]
    assert stream.events[1].bid < stream.events[1].ask
    bars = await plugin.candles(session, CandleRequest(symbol=SYMBOL, interval="1h", limit=5))
    assert len(bars) == 5
    assert bars == tuple(sorted(bars, key=lambda bar: bar.open_ms))
    await plugin.place(session, NewOrder(client_id="m", terms=terms()))
    await stream.until(lambda events: len(events) > 2)
    assert set(stream.kinds()[1:]) == {PriceEvent}


async def test_dropped_stream_comes_back_with_a_gap(start):
    venue, session = await start("drop-stream:2:1")
    stream = Stream(session)
    await stream.until(lambda events: events)
    await plugin.place(session, NewOrder(client_id="a", terms=terms(price="50000")))
    outcome = await plugin.place(session, NewOrder(client_id="b", terms=terms(price="50000")))
    assert isinstance(outcome, Accepted | Unknown)
    await stream.until(lambda events: isinstance(events[-1], Gap) and len(events) > 1)
    assert stream.kinds() == [Gap, OrderEvent, StreamLost, Gap]
    found = await plugin.snapshot(session, SnapshotRequest(look_up=(ref("b"),)))
    assert {order.client_id for order in found.orders} == {"a", "b"}
    await plugin.cancel(session, ref("a"))
    await stream.until(lambda events: isinstance(events[-1], OrderEvent))
    assert venue.server.faults.state()[0]["fired"] == 1


async def test_lost_reply_is_unknown_and_can_be_looked_up(start):
    _, session = await start("lose-reply:1:1", deadline_s="0.5")
    outcome = await plugin.place(session, NewOrder(client_id="lost", terms=terms(price="50000")))
    assert isinstance(outcome, Unknown)
    found = await plugin.snapshot(session, SnapshotRequest(look_up=(ref("lost"),)))
    assert [order.client_id for order in found.orders] == ["lost"]
    again = await plugin.place(session, NewOrder(client_id="lost", terms=terms(price="50000")))
    assert isinstance(again, Rejected)
    assert again.reason is RejectReason.DUPLICATE_ID


async def test_overload_does_nothing(start):
    venue, session = await start("overload:1:1")
    outcome = await plugin.place(session, NewOrder(client_id="x", terms=terms(price="50000")))
    assert outcome.reason is RejectReason.OVERLOADED
    assert outcome.reason.is_transient
    assert not venue.server.exchange.orders("main")
    assert isinstance(await plugin.place(session, NewOrder(client_id="x", terms=terms(price="50000"))), Accepted)


async def test_duplicated_events(start):
    _, session = await start("duplicate-events:1:1")
    stream = Stream(session)
    await stream.until(lambda events: events)
    await plugin.place(session, NewOrder(client_id="m", terms=terms()))
    await stream.until(lambda events: isinstance(events[-1], BalanceEvent))
    assert stream.events[1] == stream.events[2]
    assert Counter(stream.kinds())[OrderEvent] == 3


async def test_reordered_events(start):
    _, session = await start("reorder:1:1")
    stream = Stream(session)
    await stream.until(lambda events: events)
    await plugin.place(session, NewOrder(client_id="m", terms=terms()))
    await stream.until(lambda events: isinstance(events[-1], BalanceEvent))
    statuses = [event.order.status for event in stream.events if isinstance(event, OrderEvent)]
    assert statuses == [OrderStatus.FILLED, OrderStatus.NEW]


async def test_reordered_event_without_another_comes_all_the_same(start):
    _, session = await start("reorder:1:1")
    stream = Stream(session)
    await stream.until(lambda events: events)
    await plugin.place(session, NewOrder(client_id="x", terms=terms(price="50000")))
    await stream.until(lambda events: len(events) == 2)


async def test_stall_delays_and_loses_nothing(start):
    venue, session = await start(deadline_s="0.5")
    status, _ = await ask(venue, "POST", "/faults", json={"name": "stall", "seconds": 0.8})
    assert status == 201
    outcome = await plugin.place(session, NewOrder(client_id="x", terms=terms(price="50000")))
    assert isinstance(outcome, Unknown)
    stream = Stream(session)
    await stream.until(lambda events: events)
    assert isinstance(await plugin.cancel(session, ref("x")), Accepted)


async def test_partial_fills(start):
    _, session = await start("partial-fills")
    outcome = await plugin.place(session, NewOrder(client_id="m", terms=terms(quantity="0.03")))
    fills = (await plugin.snapshot(session, SnapshotRequest(since_ms=1))).fills
    assert [fill.quantity for fill in fills] == [D("0.01")] * 3
    assert outcome.order.status is OrderStatus.FILLED


async def test_all_faults_at_once_and_everything_is_found(start):
    """All faults at once: whatever the outcomes say, the exchange has each order once, and the snapshot finds it."""
    venue, session = await start(
        "drop-stream:11", "lose-reply", "duplicate-events", "reorder", "overload", "partial-fills", deadline_s="0.3"
    )
    stream = Stream(session)
    outcomes = {}
    for number in range(40):
        order = NewOrder(client_id=f"o{number}", terms=terms(price="50000"))
        outcomes[order.client_id] = await persist(partial(plugin.place, session, order))
    fired = {fault["name"]: fault["fired"] for fault in venue.server.faults.state() if fault["name"] != "partial-fills"}
    assert all(times > 1 for times in fired.values()), fired
    request = SnapshotRequest(look_up=tuple(ref(name) for name in outcomes))
    found = await persist(partial(plugin.snapshot, session, request), OutcomeUnknown)
    rejected = {name for name, outcome in outcomes.items() if isinstance(outcome, Rejected)}
    assert set(found.absent) == rejected
    assert {order.client_id for order in found.orders} == set(outcomes) - rejected
    assert len(venue.server.exchange.orders("main")) == 40 - len(rejected)
    await stream.until(lambda events: StreamLost in map(type, events))


async def test_control_endpoint(start):
    venue, session = await start()
    status, body = await ask(venue, "POST", "/accounts/main/deposit", json={"amount": "500"})
    assert (status, body["equity"]) == (200, "10500")
    status, body = await ask(venue, "POST", "/accounts/nobody/deposit", json={"amount": "500"})
    assert (status, body) == (404, {"error": "this venue has no account 'nobody'"})
    status, body = await ask(venue, "POST", "/faults", json={"name": "earthquake"})
    assert status == 422
    assert "drop-stream" in body["error"]
    await ask(venue, "POST", "/faults", json={"name": "lose-reply", "account": "main"})
    assert (await ask(venue, "GET", "/state"))[1]["faults"][0]["name"] == "lose-reply"
    assert (await ask(venue, "DELETE", "/faults"))[1] == {"faults": []}
    status, _ = await ask(venue, "GET", "/state", headers={"Origin": "http://evil.example"})
    assert status == 403
    status, _ = await ask(venue, "GET", "/state", headers={"Host": "evil.example"})
    assert status == 403
    assert session.rehearsal


async def test_wrong_token_unreachable_server_and_taken_port(start):
    venue, _ = await start()
    url = venue.ready.urls["url"]
    with pytest.raises(AuthFailed):
        await plugin.connect(ConnectionSettings(name="x", kind="paper", options={"url": url}, secrets={"token": "wrong"}))
    with pytest.raises(UsageError, match="port"):
        await start(port=venue.server.port)
    await venue.stop()
    with pytest.raises(NotReady):
        await plugin.connect(ConnectionSettings(name="x", kind="paper", options={"url": url}, secrets={"token": "wrong"}))


async def test_secrets_are_not_shown(start):
    venue, session = await start()
    token = venue.ready.accounts[0].secrets["token"]
    assert token not in repr(session) + repr(venue.ready)


async def test_requests_without_a_link_were_not_sent(start):
    venue, session = await start(deadline_s="0.2")
    stream = Stream(session)
    await stream.until(lambda events: events)
    await venue.stop()
    await stream.until(lambda events: isinstance(events[-1], StreamLost))
    with pytest.raises(NotReady):
        await plugin.place(session, NewOrder(client_id="x", terms=terms()))


async def test_close_ends_subscriptions(start):
    _, session = await start()
    stream = Stream(session)
    await stream.until(lambda events: events)
    await plugin.close(session)
    await asyncio.wait_for(stream.task, 2)


async def test_embedded_exchange_is_one_for_the_process():
    one = await plugin.connect(ConnectionSettings(name="1", kind="paper", options={"account": "em1", "cash": "500"}))
    two = await plugin.connect(ConnectionSettings(name="2", kind="paper", options={"account": "em2"}))
    try:
        await plugin.place(one, NewOrder(client_id="x", terms=terms(price="60100", quantity="0.002")))
        assert (await plugin.snapshot(one, SnapshotRequest())).balance.equity < 501
        assert (await plugin.snapshot(two, SnapshotRequest())).balance.equity == 10_000
    finally:
        await plugin.close(one)
        await plugin.close(two)
    again = await plugin.connect(ConnectionSettings(name="1", kind="paper", options={"account": "em1", "cash": "900"}))
    try:
        assert (await plugin.snapshot(again, SnapshotRequest())).positions[0].quantity == D("0.002")
    finally:
        await plugin.close(again)


async def test_bad_options_are_one_sentence():
    for options in ({"cash": "lots"}, {"cash": "-1"}, {"deadline_s": "0"}, {"market": "/nowhere.zst"}):
        with pytest.raises(UsageError):
            await plugin.connect(ConnectionSettings(name="x", kind="paper", options=options))
