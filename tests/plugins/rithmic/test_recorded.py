"""Frames recorded on Rithmic's own wire, through both directions: read by the plugin, and set beside what the rehearsal
server sends in the same place, field by field.

The recorded client's frames are sent to a rehearsal that has its user, its accounts and its contract; what comes back is
compared with what came back then. Every file of the manifest is compared here, or named in `ELSEWHERE` with where. Zeros
and empty texts are left out on both sides: the library's messages do not tell them from absent fields.
"""

from __future__ import annotations

import asyncio
import csv
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import websockets
from copydesk.model import (
    FillEvent,
    NewOrder,
    OrderEvent,
    OrderStatus,
    OrderType,
    RehearsalSettings,
    Side,
    Terms,
)
from copydesk_rithmic import accounts, errors, translate
from copydesk_rithmic.accounts import Account
from copydesk_rithmic.book import Book
from copydesk_rithmic.library import TEMPLATES, Message, decode, encode, fields_of
from copydesk_rithmic.rehearsal import start

SAMPLES = Path(__file__).parents[4] / "shared" / "venue-samples"
HERE = SAMPLES / "rithmic"
SESSION = "rithmic/sessions/rith-market-order-session.json"
REFUSALS = "rithmic/errors/rprs-rp_code-observations.json"
WORDS = "rithmic/order-updates/status-text-vocabulary.json"
BARS = "rithmic/replay-market-data/nt-cme-6EH4.XCME_1min_bars_20240101_20240131.csv.gz"
ELSEWHERE = {
    SESSION: "test_the_whole_session",
    REFUSALS: "test_observed_refusals: codes without frames",
    WORDS: "test_status_words: words without frames",
    BARS: "test_recording.py: a market",
}
NEWER = {
    301: {"user", "order_copy_status", "country_code", "state_code", "tp_max_session_count", "op_max_session_count"},
    15: {"is_tradable"},
}
"""What today's messages have and those of 2023 had not."""
SAME = {
    "template_id", "rp_code", "rq_handler_rp_code", "heartbeat_interval", "country_code", "state_code", "fcm_id", "ib_id",
    "user_type", "account_currency", "status", "is_default", "user_tag", "notify_type", "report_type", "transaction_type",
    "duration", "price_type", "orig_price_type", "manual_or_auto", "symbol", "exchange", "trade_exchange", "trade_route",
    "instrument_type", "currency", "quantity", "user_id", "account_id", "total_fill_size", "total_unfilled_size",
    "completion_reason", "confirmed_size", "fill_size", "fill_price", "avg_fill_price", "is_front_month_symbol",
    "min_qprice_change", "single_point_value", "clear_bits", "trading_exchange", "product_code", "user_msg",
}  # fmt: skip
"""Fields whose values are the recorded ones where the same was asked for. The others are names, numbers and times."""
OTHER_VALUES = {17: {"user_msg"}, 114: {"symbol", "user_msg"}, 15: {"symbol", "user_msg"}, 311: {"exchange", "trade_route"}}
"""What was asked for otherwise: another contract, another client's label; this rehearsal has its own routes."""

pytestmark = pytest.mark.skipif(not HERE.is_dir(), reason="the recorded payloads of Rithmic are not here")


def manifest() -> list[str]:
    if not HERE.is_dir():
        return []
    with (SAMPLES / "MANIFEST.csv").open(encoding="utf-8") as file:
        return [row["file"] for row in csv.DictReader(file) if row["venue"] == "rithmic"]


def load(path: str) -> Any:
    return json.loads((SAMPLES / path).read_text(encoding="utf-8"))


def message_of(sample: dict[str, Any]) -> Message:
    message = decode(bytes.fromhex(sample["wire_hex"]))
    assert message is not None
    return message


FRAMES = [path for path in manifest() if path not in ELSEWHERE]


# --- what the server sends ---


@pytest.fixture(scope="module")
def sent(tmp_path_factory: pytest.TempPathFactory) -> list[Message]:
    """Everything that the rehearsal sends to the recorded client, and to one that asks for what others recorded."""
    bars = tmp_path_factory.mktemp("market") / "ESZ3.XCME_1min.csv"
    bars.write_text("timestamp_utc,open,high,low,close,volume\n2023-10-04 14:14:00,4266.75,4266.75,4266.75,4266.75,900\n")
    return asyncio.run(drive(bars))


async def drive(bars: Path) -> list[Message]:
    """The recorded client's frames, one after the other, each after the answer to the one before."""
    recorded = [message_of(one) for one in load(SESSION)["messages"] if one["dir"] == "client->server"]
    login = recorded[0]
    options = {"system": login.system_name, "user": login.user, "password.du20000": login.password}
    options |= {"fcm.du20000": "Rithmic-FCM", "ib.du20000": "Prospects", "fcm.480000": "Rithmic", "ib.480000": "Rithmic"}
    cash = {"du20000": Decimal(100_000), "480000": Decimal(100_000)}
    settings = RehearsalSettings(kind="rithmic", accounts=cash, market=str(bars), speed=Decimal("0.0001"), options=options)
    venue = await start(settings)
    try:
        async with websockets.connect(venue.ready.urls["ws"]) as asker:
            heard = await ask(asker, encode(16))
        async with websockets.connect(venue.ready.urls["ws"]) as ticker:
            await ask(ticker, as_sent(login, infra_type=1))
            heard += await ask(ticker, encode(14, symbol="ESZ3", exchange="CME"))
            heard += await ask(ticker, encode(113, symbol="ES", exchange="CME"))
        async with websockets.connect(venue.ready.urls["ws"]) as client:
            for message in recorded:
                heard += await ask(client, as_sent(message))
            return heard  # what comes of the order came before the answer to the last heartbeat
    finally:
        await venue.stop()


def as_sent(message: Message, **other: Any) -> bytes:
    return encode(message.template_id, **{k: v for k, v in (fields_of(message) | other).items() if k != "template_id"})


async def ask(socket: websockets.ClientConnection, frame: bytes) -> list[Message]:
    """Send a request and return all that comes until its end; what comes after an order's end is left for later."""
    await socket.send(frame)
    heard: list[Message] = []
    async with asyncio.timeout(40):
        while not heard or not list(getattr(heard[-1], "rp_code", ())):
            heard.append(await next_of(socket))
    return heard


async def next_of(socket: websockets.ClientConnection) -> Message:
    message = decode(await socket.recv(decode=False))
    assert message is not None
    return message


def counterpart(recorded: Message, sent: list[Message]) -> Message:
    """What the rehearsal sent in the same place."""

    def place(message: Message) -> tuple[Any, ...]:
        ends = bool(list(getattr(message, "rp_code", ())))
        return message.template_id, getattr(message, "notify_type", 0), ends

    return next(message for message in sent if place(message) == place(recorded))


@pytest.mark.parametrize("path", FRAMES)
def test_recorded_frame(path: str, sent: list[Message]) -> None:
    """Read whole; and where the server sends one in its place, it has the same fields, and the same values where they are
    no names, numbers and times."""
    sample = load(path)
    message = message_of(sample)
    told = fields_of(message)
    assert type(message).__name__ == sample["message"]
    assert told.keys() == {name for name, value in sample["fields"].items() if value not in (0, "", 0.0, False)}
    if sample["dir"] == "client->server":
        return
    ours = fields_of(counterpart(message, sent))
    assert ours.keys() - NEWER.get(message.template_id, set()) == told.keys() - no_label(told, ours)
    same = (SAME & told.keys() & ours.keys()) - OTHER_VALUES.get(message.template_id, set())
    assert {name: ours[name] for name in same} == {name: told[name] for name in same}


def no_label(told: dict[str, Any], ours: dict[str, Any]) -> set[str]:
    """`user_msg` is echoed where there is one: some of the recorded clients sent it, and this one does not."""
    return {"user_msg"} if "user_msg" not in ours else set()


def test_every_recorded_file_is_looked_at() -> None:
    assert set(ELSEWHERE) <= set(manifest())
    assert len(FRAMES) >= 30


def test_the_whole_session(sent: list[Message]) -> None:
    """An order's messages come in the recorded sequence, and each has the recorded fields."""

    def life(messages: list[Message]) -> list[tuple[int, int, frozenset[str]]]:
        return [
            (message.template_id, getattr(message, "notify_type", 0), frozenset(fields_of(message)))
            for message in messages
            if message.template_id in (313, 351, 352)
        ]

    recorded = [message_of(one) for one in load(SESSION)["messages"] if one["dir"] == "server->client"]
    assert life(sent) == life(recorded)
    assert len(life(recorded)) == 10


# --- what the plugin reads ---


def test_an_order_is_read_from_recorded_notifications() -> None:
    """Ten messages: the order is told when it stands and when it is filled, with its execution, and as what it was."""
    book, events = Book(), []
    for one in load(SESSION)["messages"]:
        message = message_of(one)
        if message.template_id in (351, 352):
            events += book.take(message)
    orders = [event.order for event in events if isinstance(event, OrderEvent)]
    fills = [event.fill for event in events if isinstance(event, FillEvent)]
    assert [order.status for order in orders] == [OrderStatus.NEW, OrderStatus.FILLED]
    assert [(order.filled, order.average_price) for order in orders] == [(0, None), (1, 4267)]
    order = orders[-1]
    assert (order.venue_id, order.client_id) == ("1684914997", "20231004_151407")
    wanted = Terms(
        symbol="CME:ESZ3", side=Side.BUY, type=OrderType.MARKET, quantity=Decimal(1), native=translate.NATIVE_DAY
    )
    assert order.terms == wanted
    assert [(fill.execution_id, fill.venue_id, fill.client_id) for fill in fills] == [
        ("1058110", order.venue_id, order.client_id)
    ]
    assert (fills[0].price, fills[0].quantity, fills[0].time_ms) == (Decimal(4267), Decimal(1), 1_696_428_847_486)


def test_the_login_is_read_from_recorded_frames() -> None:
    messages = [message_of(one) for one in load(SESSION)["messages"]]
    row = next(message for message in messages if message.template_id == 303 and message.account_id)
    (account,) = accounts.read_accounts([row])
    assert account == Account("du20000", "Rithmic-FCM", "Prospects", "USD")
    routes = [message for message in messages if message.template_id == 311 and message.exchange]
    assert accounts.choose_route(routes, account, "NYBOT") == "ice"
    assert accounts.choose_route(routes, account, "NOWHERE") == ""


def test_reference_data_is_read_from_a_recorded_frame() -> None:
    rules = translate.instrument(message_of(load("rithmic/instruments/rith-15-ResponseReferenceData.json")))
    assert (rules.symbol, rules.base, rules.settle) == ("CME:ES", "ES", "USD")
    assert (rules.price_tick, rules.contract_size, rules.quantity_step) == (Decimal("0.25"), 50, 1)


# --- what the plugin sends ---


def test_an_order_is_sent_as_the_recorded_client_sent_it() -> None:
    """The same fields and values, but for whom and how it was entered: by a program, and labelled for its answer."""
    recorded = fields_of(message_of(load("rithmic/order-place/rith-312-RequestNewOrder.json")))
    terms = Terms(symbol="CME:ESZ3", side=Side.BUY, type=OrderType.MARKET, quantity=Decimal(1), native=translate.NATIVE_DAY)
    rules = translate.instrument(
        TEMPLATES[15](symbol="ESZ3", exchange="CME", min_qprice_change=0.25, single_point_value=50.0)
    )
    fields = translate.new_order(NewOrder(client_id=recorded["user_tag"], terms=terms), rules, recorded["trade_route"])
    request = TEMPLATES[312](template_id=312, **fields)
    Account(recorded["account_id"], recorded["fcm_id"], recorded["ib_id"]).name_in(request)
    assert fields_of(request) == recorded | {"manual_or_auto": translate.AUTO}


# --- words and codes without frames ---


def test_status_words(sent: list[Message]) -> None:
    """Every status text of the rehearsal is one that Rithmic has; its reject is read as what it is."""
    words = load(WORDS)
    from copydesk_rithmic.rehearsal.notices import TEXTS

    assert set(TEXTS.values()) <= set(words["order_status_texts"])
    assert {message.status for message in sent if message.template_id == 351} <= set(words["order_status_texts"])
    assert errors.meaning("FA", words["observed_reject_report_text"]) == "margin"


async def test_observed_refusals() -> None:
    """The refusals that others saw, for the requests that this rehearsal has."""
    observed = {(one["category"], one["response"]): [one["code"], one["message"]] for one in load(REFUSALS)}
    settings = RehearsalSettings(kind="rithmic", accounts={"one": Decimal(1000)}, speed=Decimal("0.0001"))
    venue = await start(settings)
    user = venue.desk.users["rehearsal"]
    login = {"user": user.name, "password": user.password, "system_name": "Rithmic Paper Trading"}
    login |= {"app_name": "test", "app_version": "1"}
    named = {"account_id": "one", "fcm_id": "Rehearsal-FCM", "ib_id": "Rehearsal-IB"}
    try:
        async with (
            websockets.connect(venue.ready.urls["ws"]) as orders,
            websockets.connect(venue.ready.urls["ws"]) as ticker,
        ):
            await ask(orders, encode(10, infra_type=2, **login))
            await ask(ticker, encode(10, infra_type=1, **login))
            for socket, frame, seen in (
                (orders, encode(320), ("invalid_argument", "ResponseShowOrders")),
                (ticker, encode(109), ("invalid_argument", "ResponseSearchSymbols")),
                (ticker, encode(320, **named), ("wrong_plant", "ResponseShowOrders")),
                (orders, encode(109, search_text="ES"), ("wrong_plant", "ResponseSearchSymbols")),
                (orders, encode(3506, finish_index=1, **named), ("known_benign_empty", "ResponseReplayExecutions")),
            ):
                assert list((await ask(socket, frame))[-1].rp_code) == observed[seen]
    finally:
        await venue.stop()
