"""The traps of async-rithmic, each shown to be removed. They are private methods of the library: were one renamed in a new
version, these tests would say so."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
import sys
from contextlib import aclosing
from decimal import Decimal

import pytest
from copydesk.errors import AuthFailed, NotReady, UsageError
from copydesk.model import (
    Accepted,
    Gap,
    NewOrder,
    OrderChange,
    OrderEvent,
    OrderRef,
    OrderType,
    Rejected,
    RejectReason,
    Scope,
    Side,
    SnapshotRequest,
    StreamLost,
    Subscription,
    Terms,
    Unknown,
)
from copydesk_paper.serving.faults import Fault
from copydesk_rithmic.accounts import Account, choose_route
from copydesk_rithmic.errors import OrderCopierEnabled, Refusal
from copydesk_rithmic.gate import read_gate
from copydesk_rithmic.library import TEMPLATES, Message, protocol_buffers
from copydesk_rithmic.plants import Asked
from copydesk_rithmic.rehearsal import Rehearsal
from copydesk_wire.errors import NoReply, NotSent

from .conftest import Enter, settings_of

MES = "CME:MESH7"
PATIENCE_S = 40.0


def order(name: str, **more: object) -> NewOrder:
    values = {"type": OrderType.LIMIT, "price": Decimal(5900)} | more
    return NewOrder(client_id=name, terms=Terms(symbol=MES, side=Side.BUY, quantity=Decimal(1), **values))  # type: ignore[arg-type]


def seen_by(venue: Rehearsal, template_id: int) -> list[Message]:
    """The requests of one kind that reach the server from now on."""
    seen: list[Message] = []
    plants, handler = venue.server._routes[template_id]

    def look(call: object) -> object:
        seen.append(call.message)  # type: ignore[attr-defined]
        return handler(call)  # type: ignore[arg-type]

    venue.server._routes = {**venue.server._routes, template_id: (plants, look)}  # type: ignore[dict-item]
    return seen


# --- what is refused ---


async def test_a_refused_request_raises_its_code_and_text(enter: Enter) -> None:
    session = await enter()
    with pytest.raises(Refusal, match="Basket id is not found") as raised:
        await session.login.orders.ask(316, session.account(""), basket_id="1684919999", manual_or_auto=2)
    assert raised.value.code == "1028"


async def test_no_data_is_an_empty_answer_or_a_refusal(enter: Enter) -> None:
    session = await enter()
    assert await session.login.ticker.ask(14, symbol="NONE", exchange="CME") == []
    with pytest.raises(Refusal):
        await session.login.ticker.ask(14, symbol="NONE", exchange="CME", empty=False)


async def test_a_wrong_password_is_a_sentence(venue: Rehearsal, enter: Enter) -> None:
    venue.desk.users.pop("rehearsal")
    with pytest.raises(AuthFailed, match="agreements are signed in R"):
        await enter()


async def test_a_login_that_is_refused_for_now_is_tried_again(venue: Rehearsal, enter: Enter) -> None:
    """Only a denied login is a person's affair: in the nightly maintenance the reason is another one."""
    login = venue.server._routes[10]
    venue.server._routes = {**venue.server._routes, 10: (frozenset(), lambda call: call.refuse("1000", "maintenance"))}
    with pytest.raises(NotReady, match="maintenance"):
        await enter()
    venue.server._routes = {**venue.server._routes, 10: login}
    session = await enter()
    async with asyncio.timeout(PATIENCE_S), aclosing(session.subscribe(Subscription())) as events:
        assert isinstance(await anext(events), Gap)
        venue.desk.users.clear()
        venue.server.drop_all()
        assert isinstance(await anext(events), StreamLost)
        with pytest.raises(AuthFailed, match="Check user and password"):
            await anext(events)


async def test_heartbeats_are_sent_in_the_interval_that_rithmic_names(
    venue: Rehearsal, enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("copydesk_rithmic.plants.LEAST_BEAT_S", 0.01)
    session = await enter()
    plant = session.login.orders
    assert plant.heartbeat_interval == 60
    plant.heartbeat_interval = 0.02
    beats = asyncio.Event()
    plants, answer = venue.server._routes[18]
    venue.server._routes = {**venue.server._routes, 18: (plants, lambda call: (beats.set(), answer(call))[1])}
    beating = asyncio.create_task(plant._heartbeat_loop())
    try:
        async with asyncio.timeout(PATIENCE_S):
            await beats.wait()
    finally:
        beating.cancel()


async def test_an_unknown_system_is_answered_with_those_there_are(enter: Enter) -> None:
    with pytest.raises(AuthFailed, match="it has Rithmic Paper Trading, Rithmic Test"):
        await enter(system="Rithmic 09")


# --- who waits for whom ---


async def test_a_request_can_be_made_while_a_message_is_heard(enter: Enter) -> None:
    """The library awaits handlers in the loop that reads replies; here a request inside one is answered."""
    session = await enter()
    answers: list[list[Message]] = []

    async def ask() -> None:
        answers.append(await session.login.orders.ask(18))

    heard = session.login.orders.heard
    tasks: list[asyncio.Task[None]] = []

    def hear(message: Message) -> None:
        tasks.append(asyncio.create_task(ask()))
        heard(message)

    session.login.orders.heard = hear
    await session.place(order("asks"))
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(*tasks)
    assert len(tasks) == len(answers) >= 5


# --- dead connections ---


async def test_nothing_waits_for_a_reconnect_to_be_sent(venue: Rehearsal, enter: Enter) -> None:
    session = await enter()
    plant = session.login.orders
    seen = seen_by(venue, 312)
    lost, back = asyncio.Event(), asyncio.Event()
    down, up = plant.down, plant.up

    def is_down(reason: str) -> None:
        down(reason)
        lost.set()

    def is_up() -> None:
        up()
        back.set()

    plant.down, plant.up = is_down, is_up
    venue.server.drop_all()
    async with asyncio.timeout(PATIENCE_S):
        await lost.wait()
    outcome = await session.place(order("stale"))
    assert isinstance(outcome, Rejected)
    assert outcome.reason is RejectReason.OVERLOADED
    async with asyncio.timeout(PATIENCE_S):
        await back.wait()
    assert isinstance(await session.place(order("fresh")), Accepted)
    assert [message.user_tag for message in seen] == ["fresh"]


async def test_a_request_that_lost_its_connection_ends_at_once(venue: Rehearsal, enter: Enter) -> None:
    session = await enter()
    venue.server._routes = {**venue.server._routes, 18: (frozenset(), lambda call: call.link.drop())}
    with pytest.raises(NoReply):
        async with asyncio.timeout(15):  # half of the time that the request would be given
            await session.login.orders.ask(18, seconds=30)


async def test_a_request_before_the_login_is_not_sent(venue: Rehearsal, enter: Enter) -> None:
    session = await enter()
    session.login.orders.is_up = False
    seen = seen_by(venue, 312)
    with pytest.raises(NotSent):
        await session.login.orders.ask(312, session.account(""))
    assert seen == []


async def test_nothing_is_sent_twice(venue: Rehearsal, enter: Enter) -> None:
    """The library sends cancels and changes again, three times. One that is not answered is Unknown, and the only one."""
    session = await enter()
    placed = await session.place(order("slow"))
    assert isinstance(placed, Accepted)
    assert placed.order is not None
    seen: list[Message] = []
    venue.server._routes = {**venue.server._routes, 316: (frozenset(), lambda call: seen.append(call.message))}
    with pytest.raises(NoReply, match="did not answer"):
        await session.login.orders.ask(316, session.account(""), basket_id=placed.order.venue_id, seconds=0.05)
    assert len(seen) == 1


async def test_a_lost_connection_is_told_and_a_gap_follows(venue: Rehearsal, enter: Enter) -> None:
    session = await enter()
    async with asyncio.timeout(PATIENCE_S), aclosing(session.subscribe(Subscription())) as events:
        assert isinstance(await anext(events), Gap)
        venue.server.drop_all()
        assert isinstance(await anext(events), StreamLost)
        assert isinstance(await anext(events), Gap)
        await session.place(order("after"))
        event = await anext(events)
        assert isinstance(event, OrderEvent)
        assert event.order.client_id == "after"


async def test_a_forced_logout_says_why(venue: Rehearsal, enter: Enter) -> None:
    """One session too many ends the oldest one, which does not come back at once: it would only end the other."""
    session = await enter()
    venue.server.house.sessions = 1
    async with asyncio.timeout(PATIENCE_S), aclosing(session.subscribe(Subscription())) as events:
        assert isinstance(await anext(events), Gap)
        other = await enter("one", app_version="2")  # another program of the same user
        lost = await anext(events)
        assert isinstance(lost, StreamLost)
        assert "too many" in lost.reason
        assert isinstance(await other.place(order("undisturbed")), Accepted)


async def test_messages_that_the_library_does_not_know_are_passed_over(enter: Enter) -> None:
    """Rithmic sends newer ones now and then: 358 was seen in production, and has no class here."""
    session = await enter()
    unknown = protocol_buffers.base_pb2.Base(template_id=358).SerializeToString()
    session.login.orders._take(len(unknown).to_bytes(4, "big") + unknown)
    assert isinstance(await session.place(order("after all")), Accepted)


async def test_rows_without_a_label_belong_to_the_request_of_their_account() -> None:
    """Lists come as notifications that are marked as snapshots; a replayed fill need not be marked."""
    mine, other = Account("A", "F", "I"), Account("A", "G", "I")

    def row(template_id: int, account: Account = mine, **more: object) -> Message:
        message = TEMPLATES[template_id](template_id=template_id, **more)
        account.name_in(message)
        return message

    for template_id, message, is_row in (
        (320, row(352, is_snapshot=True), True),
        (320, row(351, is_snapshot=True), True),
        (320, row(352), False),
        (320, row(352, other, is_snapshot=True), False),
        (324, row(450, is_snapshot=True), False),
        (3506, row(352, notify_type=5), True),
        (3506, row(352, notify_type=1), False),
        (402, row(451, is_snapshot=True), True),
        (402, row(450), False),
        (312, row(352, is_snapshot=True), False),
    ):
        assert Asked("a name", template_id, mine, may_be_empty=True).owns(message) is is_row


# --- whom a request names, and how ---


async def test_accounts_of_another_clearing_firm_are_addressed(venue: Rehearsal, enter: Enter) -> None:
    """The library writes the login's own FCM over that of the account."""
    session = await enter("two")
    seen = seen_by(venue, 312)
    assert isinstance(await session.place(order("elsewhere")), Accepted)
    assert [(message.account_id, message.fcm_id) for message in seen] == [("two", "Other-FCM")]


async def test_orders_are_declared_automatic(venue: Rehearsal, enter: Enter) -> None:
    session = await enter()
    seen = [seen_by(venue, template_id) for template_id in (312, 314, 316)]
    placed = await session.place(order("machine"))
    assert isinstance(placed, Accepted)
    assert placed.order is not None
    ref = OrderRef(symbol=MES, type=OrderType.LIMIT, venue_id=placed.order.venue_id)
    await session.modify(OrderChange(ref=ref, terms=order("machine", price=Decimal(5901)).terms))
    await session.cancel(ref)
    assert [[message.manual_or_auto for message in each] for each in seen] == [[2], [2], [2]]


def test_the_route_is_the_default_one_that_is_up() -> None:
    account = Account("A", "F", "I")

    def row(route: str, status: str = "UP", *, default: bool = False, fcm: str = "F") -> Message:
        fields = {"fcm_id": fcm, "ib_id": "I", "exchange": "CME", "trade_route": route, "status": status}
        return TEMPLATES[311](template_id=311, is_default=default, **fields)

    rows = [row("first", "DOWN"), row("second"), row("third", default=True), row("other", default=True, fcm="G")]
    assert choose_route(rows, account, "CME") == "third"
    assert choose_route(rows, account, "CME", "second") == "second"
    assert choose_route(rows, account, "CME", "first") == ""
    assert choose_route([*rows, row("third", "DOWN", default=True)], account, "CME") == "second"
    assert choose_route(rows, account, "NYMEX") == ""


async def test_a_route_that_is_not_there_is_a_sentence(enter: Enter) -> None:
    session = await enter(routes="CME=satellite")
    outcome = await session.place(order("nowhere"))
    assert isinstance(outcome, Rejected)
    assert "no trade route from this account to CME" in outcome.message


# --- encryption ---


def test_clear_text_is_for_this_machine_alone(venue: Rehearsal) -> None:
    for url, ssl, sentence in (
        ("ws://rituz00100.rithmic.com:443", "off", "in clear text"),
        ("ws://127.0.0.1:1", "on", "does not go with ws://"),
        ("wss://127.0.0.1:1", "off", "does not go with wss://"),
        ("http://127.0.0.1:1", "on", "must begin with wss://"),
    ):
        with pytest.raises(UsageError, match=sentence):
            read_gate(settings_of(venue, "lead", url=url, ssl=ssl), "1")
    assert read_gate(settings_of(venue, "lead", url="rituz00100.rithmic.com:443", ssl=""), "1").encrypted


async def test_tls_with_an_authority_of_ones_own(venue: Rehearsal, enter: Enter) -> None:
    urls = venue.ready.urls
    session = await enter(url=urls["wss"], ssl="on", ca_file=urls["ca"])
    assert isinstance(await session.place(order("sealed")), Accepted)
    with pytest.raises(NotReady):
        await enter(url=urls["wss"], ssl="on")
    with pytest.raises(UsageError, match="ca_file"):
        await enter(url=urls["wss"], ssl="on", ca_file=f"{urls['ca']}.missing")


# --- what is told to nobody ---


async def test_passwords_are_in_no_log(venue: Rehearsal, enter: Enter) -> None:
    """Not even where somebody turns everything up."""
    password = venue.desk.users["rehearsal"].password
    heard = io.StringIO()
    handler = logging.StreamHandler(heard)
    loggers = [logging.getLogger(name) for name in ("", "rithmic", "rithmic.plant.order", "websockets", "copydesk.rithmic")]
    levels = [logger.level for logger in loggers]
    logging.getLogger().addHandler(handler)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    try:
        session = await enter()
        await session.place(order("quiet"))
        venue.server.drop_all()
        venue.desk.users.clear()
        with pytest.raises(AuthFailed):
            await enter(app_version="3")
    finally:
        logging.getLogger().removeHandler(handler)
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
    assert password not in heard.getvalue()
    assert "> BINARY" not in heard.getvalue(), "a frame that is logged shows its bytes, and the login's has the password"
    assert password not in repr(session) + repr(session.login) + repr(session.login.client) + repr(session.login.gate)


def test_the_library_is_kept_off_standard_output() -> None:
    code = "import logging, copydesk_rithmic.library\nlogging.getLogger('rithmic').warning('loud')\nprint({})"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(told.stdout) == {}


# --- Rithmic's own copier ---


async def test_a_login_with_rithmics_own_copier_is_refused(venue: Rehearsal, enter: Enter) -> None:
    venue.server.house.order_copy = "enabled"
    with pytest.raises(OrderCopierEnabled, match="children would be hit twice"):
        await enter()
    session = await enter(venue_copier="accept")
    assert isinstance(await session.place(order("on purpose")), Accepted)


# --- doubt ---


async def test_an_unanswered_order_keeps_its_tag_until_somebody_has_looked(venue: Rehearsal, enter: Enter) -> None:
    session = await enter()
    venue.server.house.misbehaviour.faults.add(Fault(name="lose-request"))
    venue.server.house.misbehaviour.armed = True
    assert isinstance(await session.place(order("lost")), Unknown)
    again = await session.place(order("lost"))
    assert isinstance(again, Rejected)
    assert again.reason is RejectReason.DUPLICATE_ID
    ref = OrderRef(symbol=MES, type=OrderType.LIMIT, client_id="lost")
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                told = await session.snapshot(SnapshotRequest(scope=Scope.ORDERS, look_up=(ref,)))
                break
            except NotReady:
                await asyncio.sleep(0.01)
    assert told.absent == ("lost",)
    assert isinstance(await session.place(order("lost")), Accepted)
