"""The private stream: nothing is lost without a `Gap`, and it comes back by itself."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from copydesk.model import (
    FillEvent,
    Gap,
    NewOrder,
    OrderEvent,
    OrderRef,
    OrderStatus,
    OrderType,
    PositionEvent,
    PriceEvent,
    Scope,
    Side,
    StreamLost,
    Subscription,
)
from copydesk_binance import futures_plugin as plugin
from copydesk_binance import stream
from copydesk_binance.stream import Timing
from copydesk_wire.streaming import Feed

from .conftest import DEADLINE_S, SYMBOL, Rig


async def lost_and_back(listener: Any) -> str:
    """Wait for `StreamLost` and the `Gap` after it; returns why it was lost."""

    def found(events: list[Any]) -> str | None:
        kinds = [event for event in events if isinstance(event, Gap | StreamLost)]
        return kinds[1].reason if [type(event) for event in kinds[:3]] == [Gap, StreamLost, Gap] else None

    reason: str = await listener.until(found)
    return reason


async def test_a_dropped_stream_is_told_and_the_snapshot_shows_what_happened_meanwhile(rig: Rig) -> None:
    session = await rig.connect()
    listener = await rig.listen(session)
    since = session.venue.now_ms()
    await rig.place(session, "m-1", rig.terms(OrderType.MARKET))
    stop = await rig.place(session, "s-1", rig.terms(OrderType.STOP_MARKET, Side.SELL, reduce_only=True))
    rest = await rig.place(session, "l-1", rig.terms(OrderType.LIMIT))
    await listener.order("l-1", lambda order: order.status is OrderStatus.NEW)
    # What happens now happens unseen.
    rig.rehearsal.streams.drop_all()
    rig.trade_at(rig.near("0.975"))
    rig.exchange.cancel("parent", client_id="l-1")
    rig.exchange.place("parent", rig.terms(OrderType.LIMIT), "by-hand")
    await lost_and_back(listener)
    snapshot = await rig.snapshot(session, since_ms=since)
    orders = {order.client_id: order for order in snapshot.orders}
    assert set(orders) == {"m-1", "s-1", "l-1", "by-hand"}
    assert (orders["s-1"].status, orders["s-1"].triggered, orders["s-1"].venue_id) == (
        OrderStatus.FILLED,
        True,
        stop.venue_id,
    )
    assert (orders["l-1"].status, orders["l-1"].venue_id) == (OrderStatus.CANCELLED, rest.venue_id)
    assert orders["by-hand"].status is OrderStatus.NEW
    assert {fill.client_id for fill in snapshot.fills} == {"m-1", "s-1"}
    assert snapshot.positions == ()
    await rig.place(session, "l-2", rig.terms(OrderType.LIMIT))
    await listener.order("l-2", lambda order: order.status is OrderStatus.NEW)


async def test_a_stop_triggered_unseen_goes_on_under_its_name(rig: Rig) -> None:
    session = await rig.connect()
    listener = await rig.listen(session)
    terms = rig.terms(OrderType.STOP_LIMIT, Side.SELL, price=rig.near("1.05"))
    stop = await rig.place(session, "s-1", terms)
    rig.rehearsal.streams.drop_all()
    rig.trade_at(rig.near("0.97"))
    await lost_and_back(listener)
    # No snapshot was read yet: the next report of the triggered order comes first.
    rig.trade_at(rig.near("1.1"), Decimal(5))
    ended = await listener.order("s-1", lambda order: order.status is OrderStatus.FILLED)
    assert (ended.venue_id, ended.terms.type) == (stop.venue_id, OrderType.STOP_LIMIT)
    assert {order.venue_id for order in listener.orders()} == {stop.venue_id}


async def test_a_stop_from_before_is_known_before_the_first_report(rig: Rig) -> None:
    """The ordinary order's report comes before any report of the conditional one, and before a snapshot."""
    first = await rig.connect()
    stop = await rig.place(first, "s-1", rig.terms(OrderType.STOP_MARKET, Side.SELL))
    session = await rig.connect()
    listener = await rig.listen(session)
    body = {
        "s": SYMBOL,
        "c": "s-1",
        "S": "SELL",
        "o": "MARKET",
        "ot": "MARKET",
        "f": "GTC",
        "q": "0.010",
        "p": "0",
        "x": "NEW",
        "X": "NEW",
        "i": 987654,
        "l": "0",
        "z": "0",
        "T": session.venue.now_ms(),
        "t": 0,
        "ps": "BOTH",
    }
    rig.rehearsal.streams.tell(rig.rehearsal.venue.accounts["parent"], {"e": "ORDER_TRADE_UPDATE", "T": 1, "o": body})
    order = await listener.order("s-1", lambda order: True)
    assert (order.venue_id, order.terms.type, order.triggered) == (stop.venue_id, OrderType.STOP_MARKET, True)


async def test_an_instrument_that_was_listed_since_is_made_known(rig: Rig) -> None:
    session = await rig.connect()
    listener = await rig.listen(session)
    del session.venue.instruments["ETHUSDT"]
    eth = rig.terms(OrderType.LIMIT, symbol="ETHUSDT", quantity="1", price=rig.near("0.97", "ETHUSDT"))
    rig.exchange.place("parent", eth, "by-hand")
    await listener.order("by-hand", lambda order: True)
    assert session.instruments["ETHUSDT"] == rig.exchange.instruments["ETHUSDT"]


async def test_a_snapshot_during_which_the_stream_was_lost_is_read_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    session = await rig.connect()
    listener = await rig.listen(session)
    read = session.read
    reads = 0

    async def disturbed(path: str, *rest: Any, **more: Any) -> Any:
        nonlocal reads
        body = await read(path, *rest, **more)
        if path == "openOrders":
            reads += 1
            if reads == 1:
                rig.rehearsal.streams.drop_all()
                rig.exchange.place("parent", rig.terms(OrderType.LIMIT), "unseen")
                await lost_and_back(listener)
        return body

    monkeypatch.setattr(session, "read", disturbed)
    snapshot = await rig.snapshot(session)
    assert [order.client_id for order in snapshot.orders] == ["unseen"]


async def test_a_read_of_some_symbols_does_not_stand_for_all(rig: Rig) -> None:
    session = await rig.connect()
    await rig.listen(session)
    await rig.snapshot(session, scope=Scope.SYMBOLS, symbols=(SYMBOL,))
    assert not session.in_step
    rig.exchange.place("child", rig.terms(OrderType.LIMIT), "another's")
    only = await rig.snapshot(
        session, scope=Scope.ORDERS, look_up=(OrderRef(symbol=SYMBOL, type=OrderType.LIMIT, client_id="x"),)
    )
    assert (only.absent, only.orders, only.balance) == (("x",), (), None)
    assert not session.in_step


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_trail_that_the_event_leaves_out_is_read(rig: Rig, monkeypatch: pytest.MonkeyPatch, is_known: bool) -> None:
    """The documented ALGO_UPDATE has neither the trail nor the activation price."""
    first = await rig.connect()
    terms = rig.terms(OrderType.TRAILING_STOP, Side.SELL, trigger_price=rig.near("1.01"))
    placed = await rig.place(first, "t-1", terms)
    session = await rig.connect()
    if not is_known:

        async def nothing(symbol: str = "") -> None:
            return

        monkeypatch.setattr(session, "learn_conditional", nothing)
    listener = await rig.listen(session)
    body = {
        "caid": "t-1",
        "aid": int(placed.venue_id.removeprefix("algo:")),
        "at": "CONDITIONAL",
        "s": SYMBOL,
        "S": "SELL",
        "o": "TRAILING_STOP_MARKET",
        "ps": "BOTH",
        "f": "GTC",
        "q": "0.010",
        "X": "NEW",
        "ai": "",
        "tp": "59999.9",
        "p": "0",
        "wt": "CONTRACT_PRICE",
        "cp": False,
        "R": False,
    }
    event = {"e": "ALGO_UPDATE", "T": session.venue.now_ms() + 60_000, "E": 1, "o": body}
    rig.rehearsal.streams.tell(rig.rehearsal.venue.accounts["parent"], event)
    order = await listener.order("t-1", lambda order: True)
    assert order.terms == terms
    rig.rehearsal.streams.tell(rig.rehearsal.venue.accounts["parent"], event | {"o": body | {"aid": 1, "caid": "nobody"}})
    order = await listener.order("nobody", lambda order: True)  # not even the venue knows more of it
    assert order.terms.trail_percent is None


async def test_a_snapshot_that_something_happened_to_is_read_again(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    session = await rig.connect()
    listener = await rig.listen(session)
    read = session.read
    reads = 0

    async def disturbed(path: str, *rest: Any, **more: Any) -> Any:
        nonlocal reads
        body = await read(path, *rest, **more)
        if path == "positionRisk":
            reads += 1
            if reads == 1:
                rig.exchange.place("parent", rig.terms(OrderType.MARKET), "meanwhile")
                await listener.of_kind(PositionEvent)
        return body

    monkeypatch.setattr(session, "read", disturbed)
    snapshot = await rig.snapshot(session, symbols=(SYMBOL,), since_ms=session.venue.now_ms() - 60_000)
    assert reads == 2
    assert [position.quantity for position in snapshot.positions] == [fill.quantity for fill in snapshot.fills]


@pytest.mark.parametrize("fault", ["duplicate-events", "reorder"])
async def test_repeated_and_reordered_reports_all_arrive(rig: Rig, fault: str) -> None:
    session = await rig.connect()
    listener = await rig.listen(session)
    await rig.fault(fault, count=1000)
    await rig.place(session, "m-1", rig.terms(OrderType.MARKET))
    await rig.place(session, "s-1", rig.terms(OrderType.STOP_MARKET, Side.SELL))
    rig.trade_at(rig.near("0.97"))
    await listener.order("s-1", lambda order: order.status is OrderStatus.FILLED)
    await listener.order("m-1", lambda order: order.status is OrderStatus.FILLED)

    def both_fills(events: list[Any]) -> bool:
        return len({event.fill.execution_id for event in events if isinstance(event, FillEvent)}) == 2

    await listener.until(both_fills)
    assert {order.client_id for order in listener.orders()} == {"m-1", "s-1"}
    assert len({order.venue_id for order in listener.orders()}) == 2
    if fault == "duplicate-events":
        await listener.until(lambda events: sum(isinstance(event, FillEvent) for event in events) == 4)


async def test_a_listen_key_that_expires_is_replaced(make_rig: Callable[..., Any]) -> None:
    rig: Rig = await make_rig(**{"listen-key-seconds": "0.2"})
    session = await rig.connect()
    listener = await rig.listen(session)
    assert await lost_and_back(listener) == "The listen key has expired."


async def test_a_listen_key_that_is_renewed_lives(make_rig: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "TIMING", Timing(renew=0.05))
    rig: Rig = await make_rig(**{"listen-key-seconds": "0.3"})
    session = await rig.connect()
    renewed = 0
    enough = asyncio.Event()
    renew = session.renew_listen_key

    async def count() -> None:
        nonlocal renewed
        await renew()
        renewed += 1
        if renewed == 12:
            enough.set()

    monkeypatch.setattr(session, "renew_listen_key", count)
    listener = await rig.listen(session)
    async with asyncio.timeout(DEADLINE_S):
        await enough.wait()
    await rig.place(session, "l-1", rig.terms(OrderType.LIMIT))
    await listener.order("l-1", lambda order: True)
    assert not [event for event in listener.events if isinstance(event, StreamLost)]


async def test_a_listen_key_that_the_venue_forgot_is_replaced(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "TIMING", Timing(renew=0.05))
    session = await rig.connect()
    listener = await rig.listen(session)
    streams = rig.rehearsal.streams
    streams._forget(streams._key_of["parent"])
    assert "does not know the listen key" in await lost_and_back(listener)


async def test_a_stalled_stream_is_lost(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that accepts the connection and then says nothing, not even to a ping."""

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        key = next(line.split(": ")[1] for line in head.split("\r\n") if line.lower().startswith("sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest()).decode()
        writer.write(
            f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {accept}\r\n\r\n".encode()
        )
        await reader.read()
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setattr(stream, "TIMING", Timing(heartbeat=0.1))
    session = await rig.connect()
    right = session.private_url
    addresses = iter([f"ws://127.0.0.1:{port}/"])
    monkeypatch.setattr(session, "private_url", lambda key: next(addresses, right(key)))
    listener = await rig.listen(session)
    assert "stalled" in await lost_and_back(listener)
    await plugin.close(session)
    server.close()
    await server.wait_closed()


async def test_a_venue_that_goes_away_is_found_again(rig: Rig) -> None:
    session = await rig.connect()
    listener = await rig.listen(session)
    await rig.fault("go-away", count=1, seconds=0.3)
    outcome = await plugin.place(session, NewOrder(client_id="x-1", terms=rig.terms(OrderType.LIMIT)))
    assert outcome.message  # cut without an answer: unknown
    await lost_and_back(listener)
    await rig.place(session, "l-1", rig.terms(OrderType.LIMIT))
    await listener.order("l-1", lambda order: True)


async def test_a_report_that_cannot_be_read_is_a_gap(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    session = await rig.connect()
    listener = await rig.listen(session)
    account = rig.rehearsal.venue.accounts["parent"]
    rig.rehearsal.streams.tell(account, {"e": "ORDER_TRADE_UPDATE", "T": 1, "E": 1, "o": {"s": SYMBOL, "X": "SLEEPING"}})
    gaps = await listener.of_kind(Gap, 2)
    assert "ORDER_TRADE_UPDATE could not be read" in gaps[1].reason
    with caplog.at_level(logging.WARNING):
        rig.rehearsal.streams.tell(account, {"e": "SOMETHING_NEW", "E": 1})
        rig.rehearsal.streams.tell(account, {"e": "TRADE_LITE", "E": 1})
        await rig.place(session, "l-1", rig.terms(OrderType.LIMIT))
        await listener.order("l-1", lambda order: True)
    assert caplog.text.count("SOMETHING_NEW") == 1
    assert "TRADE_LITE" not in caplog.text
    assert len(await listener.of_kind(Gap, 2)) == 2


async def test_a_reader_too_slow_gets_a_gap_instead_of_silence() -> None:
    feed = Feed(limit=3)
    told = [StreamLost(reason=str(number)) for number in range(5)]
    for event in told:
        feed.put(event)
    first = await feed.get()
    assert isinstance(first, Gap)
    assert [await feed.get(), await feed.get()] == told[3:]
    await feed.close()
    assert await feed.get() is None


async def test_prices_are_the_latest(rig: Rig) -> None:
    session = await rig.connect()
    listener = await rig.listen(session, private=False, symbols=(SYMBOL, "ETHUSDT"))
    await listener.until(lambda events: len({event.symbol for event in events if isinstance(event, PriceEvent)}) == 2)
    price = rig.near("1.001")

    def is_told(events: list[Any]) -> bool:
        return any(isinstance(event, PriceEvent) and event.symbol == SYMBOL and event.last == price for event in events)

    # The streams may be subscribed a moment after the first prices were read.
    async with asyncio.timeout(DEADLINE_S):
        while not is_told(listener.events):
            rig.trade_at(price)
            await asyncio.wait((listener.task,), timeout=0.02)


async def test_leverage_and_positions_are_kept(rig: Rig) -> None:
    session = await rig.connect()
    listener = await rig.listen(session)
    await rig.place(session, "m-1", rig.terms(OrderType.MARKET))
    await listener.of_kind(PositionEvent)
    snapshot = await rig.snapshot(session)
    assert snapshot.positions[0].leverage == 20
    await session.request("POST", "leverage", {"symbol": SYMBOL, "leverage": "5"})
    await rig.place(session, "m-2", rig.terms(OrderType.MARKET))
    changed = await listener.until(
        lambda events: [e for e in events if isinstance(e, PositionEvent) and e.position.quantity == Decimal("0.020")]
    )
    assert changed[0].position.leverage == 5


async def test_after_a_whole_snapshot_only_known_symbols_are_asked_for(rig: Rig) -> None:
    session = await rig.connect()
    listener = await rig.listen(session)
    eth = rig.terms(OrderType.LIMIT, symbol="ETHUSDT", quantity="1", price=rig.near("0.97", "ETHUSDT"))
    await rig.place(session, "e-1", eth)
    await listener.order("e-1", lambda order: True)
    assert {order.client_id for order in (await rig.snapshot(session)).orders} == {"e-1"}
    assert session.in_step
    await rig.place(session, "s-1", rig.terms(OrderType.STOP_MARKET))
    await listener.order("s-1", lambda order: True)
    light = await rig.snapshot(session, since_ms=session.venue.now_ms() - 60_000)
    assert {order.client_id for order in light.orders} == {"e-1", "s-1"}
    assert set(light.prices) == {SYMBOL, "ETHUSDT"}
    other = await rig.connect()
    await rig.snapshot(other)
    assert not other.in_step  # nothing tells this session what happens between two snapshots


async def test_closing_ends_every_iterator_and_task(rig: Rig) -> None:
    before = asyncio.all_tasks()
    session = await plugin.connect(rig.settings())
    private = await rig.listen(session)
    prices = await rig.listen(session, private=False, symbols=(SYMBOL,))
    await rig.place(session, "l-1", rig.terms(OrderType.LIMIT))
    await private.order("l-1", lambda order: True)
    await plugin.close(session)
    await plugin.close(session)
    async with asyncio.timeout(DEADLINE_S):
        await asyncio.gather(private.task, prices.task)

    assert not [task for task in asyncio.all_tasks() - before if "copydesk_binance/s" in repr(task)]
    assert session.venue.http.closed


async def test_leaving_the_iterator_ends_its_tasks(rig: Rig) -> None:
    session = await rig.connect()
    events = plugin.subscribe(session, Subscription())
    assert isinstance(await anext(events), Gap)
    await events.aclose()  # type: ignore[attr-defined]
    assert not session.feeds
    assert not session.streaming


async def test_two_readers_of_one_account_see_the_same(rig: Rig) -> None:
    parent, child = await rig.connect(), await rig.connect("child")
    assert parent.venue is child.venue
    first, second = await rig.listen(parent), await rig.listen(child)
    await rig.place(parent, "p-1", rig.terms(OrderType.LIMIT))
    await rig.place(child, "c-1", rig.terms(OrderType.LIMIT))
    await first.order("p-1", lambda order: True)
    await second.order("c-1", lambda order: True)
    assert {event.order.client_id for event in first.events if isinstance(event, OrderEvent)} == {"p-1"}
    assert {event.order.client_id for event in second.events if isinstance(event, OrderEvent)} == {"c-1"}
