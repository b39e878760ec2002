"""What the contract does not ask of Bitfinex: client ids as numbers, numbered frames, the three kinds of instruments."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from copydesk.model import (
    Accepted,
    ConnectionSettings,
    NewOrder,
    OrderChange,
    OrderGroup,
    OrderRef,
    OrderStatus,
    OrderType,
    Outcome,
    RehearsalSettings,
    Rejected,
    RejectReason,
    Scope,
    Side,
    SnapshotRequest,
    Subscription,
    Terms,
    TimeInForce,
    Unknown,
)
from copydesk_bitfinex import session as sessions
from copydesk_bitfinex import translate
from copydesk_bitfinex.entry import Entry
from copydesk_bitfinex.rehearsal import Rehearsal, start
from copydesk_bitfinex.session import Session
from copydesk_bitfinex.stream import Sequence
from copydesk_bitfinex.symbols import currencies, name_of, of_position, ours
from copydesk_wire.websocket import connect
from msgspec.structs import replace

PERPETUAL, MARGIN, PAIR = "tBTCF0:USTF0", "tBTCUST-MARGIN", "tBTCUST"
OWN = "cdk-abcdefghijklmnopqrst-c0"
DEADLINE_S = 40.0


@pytest.fixture
async def rehearsal() -> AsyncIterator[Rehearsal]:
    settings = RehearsalSettings(kind="bitfinex", accounts={"main": Decimal(100_000)}, speed=Decimal("0.0001"))
    running = await start(settings)
    yield running
    await running.stop()


@pytest.fixture
async def session(rehearsal: Rehearsal) -> AsyncIterator[Session]:
    made = await log_in(rehearsal)
    yield made
    await made.close()


async def log_in(rehearsal: Rehearsal) -> Session:
    known = rehearsal.ready.accounts[0]
    settings = ConnectionSettings(name="main", kind="bitfinex", options=known.options, secrets=known.secrets)
    return await sessions.connect(settings)


def limit(symbol: str, price: str = "50000", **more: Any) -> Terms:
    values = {"symbol": symbol, "side": Side.BUY, "type": OrderType.LIMIT, "quantity": Decimal("0.01")}
    return Terms(**(values | {"price": Decimal(price)} | more))


# --- client ids -------------------------------------------------------------------------------------------------------


def test_a_client_id_is_a_number_of_45_bits_and_a_number_stands_for_itself() -> None:
    numbers = {translate.cid_of(f"cdk-{index}") for index in range(5_000)}
    assert len(numbers) == 5_000
    assert all(0 < number < 1 << 45 for number in numbers)
    assert translate.cid_of(OWN) == translate.cid_of(OWN)
    assert translate.cid_of("4711") == 4711
    for text in ("04711", str(1 << 45), "0", ""):
        assert 0 < translate.cid_of(text) < 1 << 45
        assert str(translate.cid_of(text)) != text


def test_a_label_counts_only_where_it_fits_the_number() -> None:
    number = translate.cid_of(OWN)
    assert translate.client_id_of(number, {"label": OWN}) == OWN
    assert translate.client_id_of(number + 1, {"label": OWN}) == str(number + 1)
    assert translate.client_id_of(7, None) == "7"
    assert translate.client_id_of(0, {}) == ""


def test_the_day_of_a_client_id_is_utc() -> None:
    midnight = 1_795_392_000_000
    assert translate.cid_date(midnight - 1) == "2026-11-22"
    assert translate.cid_date(midnight) == "2026-11-23"


async def test_what_the_key_may_do_is_told(session: Session) -> None:
    assert session.permissions == ("account", "funding (read)", "history (read)", "orders", "positions", "wallets")
    told = [["withdraw", 1, 0], ["ui_withdraw", 0, 1]]
    assert translate.permissions(told) == ("withdraw (read)", "ui_withdraw")


@pytest.mark.parametrize("returns_meta", [True, False])
async def test_an_order_is_found_by_its_client_id_alone(rehearsal: Rehearsal, session: Session, returns_meta: bool) -> None:
    placed = await session.place(NewOrder(client_id=OWN, terms=limit(PERPETUAL)))
    assert isinstance(placed, Accepted)
    if not returns_meta:
        for details in rehearsal.venue.accounts["main"].details.values():
            details.meta.clear()
    other = await log_in(rehearsal)
    try:
        ref = OrderRef(symbol=PERPETUAL, type=OrderType.LIMIT, client_id=OWN, sent_ms=session.venue.now_ms())
        for after in (OrderStatus.NEW, OrderStatus.CANCELLED):
            snapshot = await other.snapshot(SnapshotRequest(scope=Scope.ORDERS, look_up=(ref,)))
            assert [(one.client_id, one.status) for one in snapshot.orders] == [(OWN, after)]
            await session.cancel(ref)
    finally:
        await other.close()


# --- numbered frames --------------------------------------------------------------------------------------------------


def test_a_hole_in_the_numbers_is_seen() -> None:
    sequence = Sequence()
    assert sequence.check([0, "ws", [], 1, 1])
    assert sequence.check([0, "hb", 2])
    assert sequence.check([0, "n", [1, "on-req", None, None, [], None, "ERROR", "no"], 3])
    assert sequence.check([0, "n", [1, "on-req", None, None, [], None, "SUCCESS", "yes"], 4, 1])
    assert not sequence.check([0, "oc", [], 6, 3])
    assert sequence.check([0, "on", [], 7, 4])


async def test_a_missing_frame_becomes_a_gap(rehearsal: Rehearsal, session: Session) -> None:
    told = session.subscribe(Subscription())
    try:
        async with asyncio.timeout(DEADLINE_S):
            assert type(await anext(told)).__name__ == "Gap"
            reader = next(one for one in rehearsal.streams.readers if one.account is not None)
            reader._sent += 1
            reader.tell([0, "hb"])
            gap = await anext(told)
    finally:
        await told.aclose()  # type: ignore[attr-defined]
    assert "number" in gap.reason  # type: ignore[union-attr]


# --- order entry over the websocket -----------------------------------------------------------------------------------


async def test_orders_go_over_the_websocket_while_it_is_up(rehearsal: Rehearsal, session: Session) -> None:
    told = session.subscribe(Subscription())
    try:
        async with asyncio.timeout(DEADLINE_S):
            await anext(told)
            before = rehearsal.server.requests
            outcome = await session.place(NewOrder(client_id=OWN, terms=limit(PERPETUAL)))
            assert isinstance(outcome, Accepted)
            ref = OrderRef(symbol=PERPETUAL, type=OrderType.LIMIT, client_id=OWN)
            assert isinstance(await session.cancel(ref), Accepted)
            refused = await session.place(NewOrder(client_id="tiny", terms=limit(PERPETUAL, quantity=Decimal("0.00001"))))
            assert isinstance(refused, Rejected)
            assert refused.reason is RejectReason.QUANTITY
            assert rehearsal.server.requests == before
    finally:
        await told.aclose()  # type: ignore[attr-defined]
    assert session.entry is None
    assert isinstance(await session.place(NewOrder(client_id="later", terms=limit(PERPETUAL))), Accepted)
    assert rehearsal.server.requests == before + 1


async def test_a_websocket_that_is_lost_leaves_what_was_sent_unknown(rehearsal: Rehearsal, session: Session) -> None:
    socket = await connect(rehearsal.ready.urls["ws"], heartbeat_s=5, deadline_s=5)
    entry = session.entry = Entry(socket)
    asked = asyncio.ensure_future(session.place(NewOrder(client_id=OWN, terms=limit(PERPETUAL))))
    told: list[Outcome] = []
    assert session.fire(NewOrder(client_id="fired", terms=limit(PERPETUAL)), told.append)
    await asyncio.sleep(0)
    entry.lost()
    assert isinstance(await asked, Unknown)
    assert [type(outcome) for outcome in told] == [Unknown]
    await socket.close()
    session.entry = entry  # closed: REST takes over
    assert not session.fire(NewOrder(client_id="late", terms=limit(PERPETUAL)), told.append)
    assert isinstance(await session.place(NewOrder(client_id=OWN, terms=limit(PERPETUAL))), Accepted)


# --- instruments ------------------------------------------------------------------------------------------------------


def test_symbols() -> None:
    assert (ours("tBTCUSD", "EXCHANGE LIMIT"), ours("tBTCUSD", "LIMIT")) == ("tBTCUSD", "tBTCUSD-MARGIN")
    assert ours(PERPETUAL, "STOP LIMIT") == of_position(PERPETUAL) == name_of(PERPETUAL) == PERPETUAL
    assert currencies("tDOGE:USD") == ("DOGE", "USD")
    assert currencies("tBTCUSD") == ("BTC", "USD")


async def test_a_pair_is_traded_in_two_ways(session: Session) -> None:
    for symbol in (PAIR, MARGIN, PERPETUAL):
        terms = Terms(symbol=symbol, side=Side.BUY, type=OrderType.MARKET, quantity=Decimal("0.01"))
        assert isinstance(await session.place(NewOrder(client_id=f"buy-{symbol}", terms=terms)), Accepted)
    snapshot = await session.snapshot(SnapshotRequest(since_ms=1))
    held = {position.symbol: position.quantity for position in snapshot.positions}
    assert held[MARGIN] == held[PERPETUAL] == Decimal("0.01")
    assert Decimal("0.0099") < held[PAIR] <= Decimal("0.01")
    assert {fill.symbol for fill in snapshot.fills} == {PAIR, MARGIN, PERPETUAL}
    assert snapshot.balance is not None
    assert snapshot.balance.currency == "USTF0"


async def test_an_exit_from_a_pair_sells_no_more_than_there_is(session: Session) -> None:
    sale = Terms(symbol=PAIR, side=Side.SELL, type=OrderType.MARKET, quantity=Decimal("0.01"), reduce_only=True)
    nothing = await session.place(NewOrder(client_id="too-early", terms=sale))
    assert isinstance(nothing, Rejected)
    assert nothing.reason is RejectReason.NOTHING_TO_REDUCE
    buy = Terms(symbol=PAIR, side=Side.BUY, type=OrderType.MARKET, quantity=Decimal("0.01"))
    assert isinstance(await session.place(NewOrder(client_id="buy", terms=buy)), Accepted)
    assert isinstance(await session.place(NewOrder(client_id="sell", terms=sale)), Accepted)
    await session.read_wallets()
    assert session.coins["BTC"] < Decimal("0.00000001")


# --- orders -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "word"),
    [
        (limit(PAIR, time_in_force=TimeInForce.IOC), "EXCHANGE IOC"),
        (limit(MARGIN, time_in_force=TimeInForce.FOK), "FOK"),
        (limit(PERPETUAL, post_only=True), "LIMIT"),
        (limit(PAIR, type=OrderType.STOP_LIMIT, trigger_price=Decimal(61_000)), "EXCHANGE STOP LIMIT"),
    ],
)
def test_words_of_the_venue(terms: Terms, word: str) -> None:
    params = translate.place_params("x", terms)
    assert params["type"] == word
    assert params["symbol"] == name_of(terms.symbol)
    assert params.get("flags", 0) == (4096 if terms.post_only else 0)


# --- one cancels the other --------------------------------------------------------------------------------------------


def oco(**stop: Any) -> OrderGroup:
    target = NewOrder(client_id="target", terms=limit(PERPETUAL, "150000", side=Side.SELL))
    values: dict[str, Any] = {"type": OrderType.STOP_MARKET, "trigger_price": Decimal(10000), "price": None}
    below = replace(limit(PERPETUAL, side=Side.SELL), **(values | stop))
    return OrderGroup(legs=(NewOrder(client_id="stop", terms=below), target))


async def test_both_orders_of_an_oco_are_known_by_their_client_ids_to_whoever_reads_them(
    rehearsal: Rehearsal, session: Session
) -> None:
    """One request has one place for a text: both ids travel in it."""
    placed = await session.place_group(oco())
    assert isinstance(placed, Accepted), placed
    assert [leg.client_id for leg in placed.legs] == ["stop", "target"]
    other = await log_in(rehearsal)
    try:
        read = await other.snapshot(SnapshotRequest(scope=Scope.ACCOUNT))
    finally:
        await other.close()
    assert {order.client_id: order.terms.type for order in read.orders} == {
        "stop": OrderType.STOP_MARKET,
        "target": OrderType.LIMIT,
    }
    assert {order.group for order in read.orders} == {placed.legs[0].group} != {""}


@pytest.mark.parametrize(
    ("stop", "words"),
    [
        ({"type": OrderType.STOP_LIMIT, "price": Decimal(9900)}, "a limit order and a stop"),
        ({"quantity": Decimal("0.02")}, "one quantity"),
        ({"reduce_only": True}, "one quantity"),
        ({"trigger_price": Decimal("10000.1")}, "five digits"),
    ],
)
async def test_what_the_venue_cannot_link_is_refused_here(session: Session, stop: dict[str, Any], words: str) -> None:
    answer = await session.place_group(oco(**stop))
    assert isinstance(answer, Rejected)
    assert words in answer.message


def test_an_update_sends_the_difference_of_the_totals() -> None:
    before = limit(PERPETUAL, side=Side.SELL, quantity=Decimal("0.5"))
    after = limit(PERPETUAL, "50001", side=Side.SELL, quantity=Decimal("0.3"))
    assert translate.update_params("17", before, after) == {"id": 17, "price": "50001", "delta": "0.2"}


async def test_a_triggered_stop_stays_what_it_was(session: Session, rehearsal: Rehearsal) -> None:
    terms = limit(PERPETUAL, "62000", type=OrderType.STOP_LIMIT, trigger_price=Decimal(60_500))
    placed = await session.place(NewOrder(client_id=OWN, terms=terms))
    assert isinstance(placed, Accepted)
    async with aiohttp.ClientSession() as http:
        body = {"symbol": PERPETUAL, "price": "60600", "quantity": "1000"}
        await http.post(f"{rehearsal.ready.control_url}/trades", json=body)
    ref = OrderRef(symbol=PERPETUAL, type=OrderType.STOP_LIMIT, client_id=OWN, sent_ms=session.venue.now_ms())
    order = await session.look_up(ref)
    assert order is not None
    assert order.triggered
    assert (order.terms.type, order.terms.trigger_price, order.terms.price) == (
        OrderType.STOP_LIMIT,
        Decimal(60_500),
        Decimal(62_000),
    )


async def test_an_update_goes_by_totals_that_are_sure(session: Session, rehearsal: Rehearsal) -> None:
    """Without a stream somebody else may have changed the order; with one, the last answer counts before it is told."""
    assert isinstance(await session.place(NewOrder(client_id=OWN, terms=limit(PERPETUAL))), Accepted)
    ref = OrderRef(symbol=PERPETUAL, type=OrderType.LIMIT, client_id=OWN)
    [order] = rehearsal.exchange.open_orders("main")
    rehearsal.exchange.modify("main", venue_id=order.venue_id, quantity=Decimal("0.05"))

    async def ask(quantity: str) -> None:
        outcome = await session.modify(OrderChange(ref=ref, terms=limit(PERPETUAL, quantity=Decimal(quantity))))
        assert isinstance(outcome, Accepted)
        assert rehearsal.exchange.open_orders("main")[0].terms.quantity == Decimal(quantity)

    await ask("0.03")
    told = session.subscribe(Subscription())
    try:
        async with asyncio.timeout(DEADLINE_S):
            await anext(told)
            await ask("0.04")
            await ask("0.02")
    finally:
        await told.aclose()  # type: ignore[attr-defined]
