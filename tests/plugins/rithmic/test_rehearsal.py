"""What the rehearsal server does with frames as they come: the door, silence, lists, brackets. No client in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
import websockets
from copydesk.errors import UsageError
from copydesk.model import RehearsalSettings
from copydesk_rithmic.library import Message, decode, encode
from copydesk_rithmic.rehearsal import Rehearsal, start
from websockets.exceptions import ConnectionClosed

PATIENCE_S = 40.0
TICKER, ORDER, HISTORY, PNL = 1, 2, 3, 4
NAMED = {"account_id": "lead", "fcm_id": "Rehearsal-FCM", "ib_id": "Rehearsal-IB"}
ENTRY = {
    "user_tag": "t",
    "symbol": "MESH7",
    "exchange": "CME",
    "quantity": 2,
    "transaction_type": 1,
    "duration": 1,
    "price_type": 2,
    "trade_route": "simulator",
    "manual_or_auto": 2,
    **NAMED,
}


class Wire:
    """One connection, spoken to in messages."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self.socket = socket

    async def next(self) -> Message:
        async with asyncio.timeout(PATIENCE_S):
            message = decode(await self.socket.recv(decode=False))
        assert message is not None
        return message

    async def ask(self, template_id: int, **fields: Any) -> list[Message]:
        """Send, and return all until the end of the answer."""
        await self.socket.send(encode(template_id, **fields))
        heard = [await self.next()]
        while heard[-1].template_id not in (template_id + 1, 75) or not list(heard[-1].rp_code):
            heard.append(await self.next())
        return heard

    async def until(self, **wanted: Any) -> Message:
        while True:
            message = await self.next()
            if all(getattr(message, name, None) == value for name, value in wanted.items()):
                return message


Open = Callable[..., Awaitable[Wire]]


@pytest.fixture
async def enter(venue: Rehearsal) -> AsyncIterator[Open]:
    async with AsyncExitStack() as stack:

        async def opened(plant: int = 0, **other: Any) -> Wire:
            wire = Wire(await stack.enter_async_context(websockets.connect(venue.ready.urls["ws"])))
            if plant:
                user = venue.desk.users["rehearsal"]
                login = {"user": user.name, "password": user.password, "system_name": "Rithmic Paper Trading"}
                login |= {"app_name": "test", "app_version": "1", "infra_type": plant} | other
                (answer,) = await wire.ask(10, **login)
                assert list(answer.rp_code) == ["0"]
            return wire

        yield opened


# --- the door ---


async def test_a_request_before_the_login_is_rejected(enter: Open) -> None:
    wire = await enter()
    (reject,) = await wire.ask(320, user_msg=["mine"], **NAMED)
    assert (reject.template_id, list(reject.rp_code), list(reject.user_msg)) == (75, ["13", "permission denied"], ["mine"])
    assert list((await wire.ask(16))[0].system_name) == ["Rithmic Paper Trading", "Rithmic Test"]


@pytest.mark.parametrize("other", [{"password": "wrong"}, {"system_name": "none"}, {"infra_type": 9}, {"app_name": ""}])
async def test_a_wrong_login_is_refused(venue: Rehearsal, enter: Open, other: dict[str, Any]) -> None:
    user = venue.desk.users["rehearsal"]
    login = {"user": user.name, "password": user.password, "system_name": "Rithmic Paper Trading"}
    login |= {"app_name": "test", "app_version": "1", "infra_type": ORDER}
    wire = await enter()
    (answer,) = await wire.ask(10, **(login | other))
    assert answer.rp_code[0] != "0"
    assert (await wire.ask(320, **NAMED))[0].template_id == 75


async def test_frames_that_are_none_are_rejected(enter: Open) -> None:
    wire = await enter(ORDER)
    for frame in (b"", b"\0\0\0\1", b"\0\0\0\2\xff\xff", encode(13)):
        await wire.socket.send(frame)
        assert (await wire.next()).template_id == 75
    assert list((await wire.ask(18))[0].rp_code) == ["0"]


async def test_plain_http_is_told_what_this_is(venue: Rehearsal) -> None:
    async with aiohttp.ClientSession() as http, http.get(venue.ready.urls["ws"].replace("ws", "http", 1)) as answer:
        assert answer.status == 426
        assert "protobuf over websockets" in await answer.text()


async def test_one_session_too_many_ends_the_oldest(venue: Rehearsal, enter: Open) -> None:
    venue.server.house.sessions = 2
    first, second, third = [await enter(ORDER) for _ in range(3)]
    assert (await first.next()).template_id == 77
    with pytest.raises(ConnectionClosed):
        await first.next()
    for wire in (second, third):
        assert await wire.ask(18)
    assert await (await enter(PNL)).ask(18), "each plant is counted by itself"


async def test_who_sends_no_heartbeat_is_cut_off(venue: Rehearsal, enter: Open) -> None:
    links = venue.server.house.links
    wire = await enter(ORDER)
    links.heartbeat_s = 0.02
    watch = asyncio.create_task(links.watch())
    try:
        with pytest.raises(ConnectionClosed):
            await wire.next()
    finally:
        watch.cancel()


async def test_an_account_is_known_with_its_firms_only(enter: Open) -> None:
    wire = await enter(ORDER)
    for other, code in (({"fcm_id": ""}, "1039"), ({"fcm_id": "Other-FCM"}, "13"), ({"account_id": "far"}, "13")):
        (answer,) = await wire.ask(320, **(NAMED | other))
        assert answer.rp_code[0] == code


# --- orders ---


async def test_an_order_is_answered_by_two_messages_before_anything_is_told(enter: Open) -> None:
    wire = await enter(ORDER)
    await wire.ask(308, **NAMED)
    row, end = await wire.ask(312, user_msg=["7"], **ENTRY)
    assert (row.user_tag, list(row.rq_handler_rp_code), list(row.rp_code)) == ("t", ["0"], [])
    assert (end.basket_id, list(end.rp_code), list(end.user_msg)) == ("", ["0"], ["7"])
    told = [await wire.next() for _ in range(8)]
    assert [(one.template_id, one.notify_type) for one in told] == [
        *((351, 1), (351, 4), (351, 7), (351, 10), (352, 1), (351, 13), (352, 5), (351, 15))
    ]
    assert [one.quantity for one in told if one.template_id == 351] == [2, 0, 0, 0, 2, 2]
    assert not any(one.quantity for one in told if one.template_id == 352)


@pytest.mark.parametrize(
    ("other", "code"),
    [
        ({"symbol": "NONE"}, "7"),
        ({"trade_route": "satellite"}, "6"),
        ({"quantity": 0}, "6"),
        ({"price_type": 1, "price": 5999.9}, "6"),
        ({"account_id": "far"}, "13"),
        ({"trailing_stop": True}, "1112"),
    ],
)
async def test_the_front_door_refuses(enter: Open, other: dict[str, Any], code: str) -> None:
    wire = await enter(ORDER)
    (answer,) = await wire.ask(312, **(ENTRY | other))
    assert answer.rp_code[0] == code
    assert [message.template_id for message in await wire.ask(320, **NAMED)] == [321]


async def test_risk_management_refuses_afterwards(enter: Open) -> None:
    """Taken, given a basket, and complete with "FA"; the history has it."""
    wire = await enter(ORDER)
    await wire.ask(308, **NAMED)
    row, _ = await wire.ask(312, **(ENTRY | {"symbol": "ESH7", "quantity": 499}))
    complete = await wire.until(template_id=351, notify_type=15)
    assert (complete.basket_id, complete.completion_reason) == (row.basket_id, "FA")
    assert complete.report_text == "Rejected at RMS - Available margin exhausted"
    day = (await wire.ask(318))[0].date[0]
    (listed, _) = await wire.ask(324, date=day, **NAMED)
    assert (listed.basket_id, listed.status, listed.is_snapshot) == (row.basket_id, "complete", True)


async def test_a_change_that_is_refused_behind_the_door_is_told(enter: Open) -> None:
    wire = await enter(ORDER)
    await wire.ask(308, **NAMED)
    stop = {"price_type": 4, "trigger_price": 6100.0}
    row, _ = await wire.ask(312, **(ENTRY | stop))
    await wire.until(notify_type=18)
    answer = await wire.ask(314, basket_id=row.basket_id, price_type=4, trigger_price=5900.0, quantity=2, **NAMED)
    assert list(answer[-1].rp_code) == ["0"]
    failed = await wire.until(template_id=351, notify_type=16)
    assert failed.status == "Modification Failed"
    assert failed.trigger_price == 6100


async def test_bracket_levels_move_and_legs_take_each_other_away(enter: Open, venue: Rehearsal) -> None:
    wire = await enter(ORDER)
    for template_id in (308, 336):
        await wire.ask(template_id, **NAMED)
    levels = {"bracket_type": 6, "stop_ticks": 40, "stop_quantity": 2, "target_ticks": 80, "target_quantity": 2}
    row, _ = await wire.ask(330, **ENTRY, **levels)
    released = await wire.until(template_id=353)
    assert (released.stop_quantity_released, released.target_quantity_released) == (2, 2)
    (target,) = [one for one in await wire.ask(338, **NAMED) if one.template_id == 339 and one.basket_id]
    (stop,) = [one for one in await wire.ask(340, **NAMED) if one.template_id == 341 and one.basket_id]
    assert (target.target_ticks, stop.stop_ticks) == ("80", "40")
    assert list((await wire.ask(334, basket_id=row.basket_id, level=40, stop_ticks=20, **NAMED))[-1].rp_code) == ["0"]
    legs = {leg.price_type: leg for leg in await wire.ask(320, **NAMED) if leg.template_id == 352 and leg.is_snapshot}
    assert legs[4].trigger_price == 6000.25 - 5
    await wire.ask(316, basket_id=legs[1].basket_id, manual_or_auto=2, **NAMED)
    assert venue.exchange.open_orders("lead") == []


async def test_bars_end_on_time(venue: Rehearsal, enter: Open) -> None:
    """A bar of so many trades comes with its last trade; a bar of a second when the second is over."""
    from copydesk_paper.records import MarketTrade

    wire = await enter(HISTORY)
    named = {"symbol": "MESH7", "exchange": "CME", "request": 1}
    await wire.ask(204, bar_type=1, bar_sub_type=1, bar_type_specifier="3", **named)
    await wire.ask(200, bar_type=1, bar_type_period=1, **named)
    for price in ("6000.00", "6001.00", "6000.50"):
        venue.exchange.apply(
            MarketTrade(symbol="CME:MESH7", price=Decimal(price), quantity=Decimal(1), buyer_is_maker=False)
        )
    bar = await wire.until(template_id=251)
    assert (bar.num_trades, bar.open_price, bar.high_price, bar.close_price) == (3, 6000, 6001, 6000.5)
    second = await wire.until(template_id=250)
    assert second.close_price == 6000.5


# --- options ---


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"nonsense": "1"}, "rehearsal options"),
        ({"sessions": "0"}, "rehearsal options"),
        ({"password.lead": "a", "password.one": "b"}, "has another password already"),
        ({"user.nobody": "x"}, "has no account"),
    ],
)
async def test_options_that_cannot_be(options: dict[str, str], sentence: str) -> None:
    accounts = {"lead": Decimal(1000), "one": Decimal(1000)}
    with pytest.raises(UsageError, match=sentence):
        await start(RehearsalSettings(kind="rithmic", accounts=accounts, options=options))
