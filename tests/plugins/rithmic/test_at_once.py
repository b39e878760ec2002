"""What is taken in the call that reads it, and what is sent in the very call."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
import websockets
from copydesk.model import Accepted, NewOrder, OrderType, Outcome, Side, Terms, TimeInForce
from copydesk_rithmic import translate
from copydesk_rithmic.library import DecodeError
from copydesk_rithmic.websocket import Socket

from .conftest import Enter

D = Decimal
MES = "CME:MESH7"
PATIENCE_S = 40.0


def market(name: str) -> NewOrder:
    return NewOrder(client_id=name, terms=Terms(symbol=MES, type=OrderType.MARKET, side=Side.BUY, quantity=D(1)))


@pytest.mark.parametrize(
    ("frames", "taken", "left"),
    [
        ((b"one", b"two"), [b"one", b"two"], []),
        ((b"one", (b"in ", b"parts"), b"two"), [b"one"], [b"in parts", b"two"]),
        ((b"one", b"?", b"two"), [b"one"], [b"?", b"two"]),
    ],
    ids=["whole", "in-parts", "unreadable"],
)
async def test_frames_keep_their_order_whoever_reads_them(
    frames: tuple[bytes | tuple[bytes, ...], ...], taken: list[bytes], left: list[bytes]
) -> None:
    async def tell(link: websockets.ServerConnection) -> None:
        await link.recv()
        for frame in frames:
            await link.send(frame)

    heard: list[bytes] = []

    def take(data: bytes) -> None:
        if data == b"?":
            raise DecodeError
        heard.append(data)

    async with websockets.serve(tell, "127.0.0.1", 0) as server, asyncio.timeout(PATIENCE_S):
        port = next(iter(server.sockets)).getsockname()[1]
        async with websockets.connect(f"ws://127.0.0.1:{port}", create_connection=Socket) as link:
            assert isinstance(link, Socket)
            link.take = take
            assert link.fire(b"go")
            assert [frame async for frame in link] == left
    assert heard == taken


async def test_an_order_is_sent_in_the_call_and_told_later(enter: Enter) -> None:
    session = await enter()
    await session.login.know(MES)
    told: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    assert session.fire(market("a"), told.set_result)
    assert not session.fire(market("a"), pytest.fail), "its user tag is taken"
    assert not told.done()
    async with asyncio.timeout(PATIENCE_S):
        outcome = await told
    assert isinstance(outcome, Accepted)
    assert outcome.order is not None
    assert outcome.order.client_id == "a"


async def test_what_was_fired_and_cannot_be_answered_any_more_is_told(enter: Enter) -> None:
    session = await enter()
    await session.login.know(MES)
    told: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    assert session.fire(market("a"), told.set_result)
    await session.close()
    assert told.done(), "nobody is left to hear the answer"


@pytest.mark.parametrize("account", ["lead", "two"])
async def test_what_is_fired_is_what_the_library_encodes(
    account: str, enter: Enter, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = await enter(account)
    rules = await session.login.know(MES)
    assert rules is not None
    plant, whose = session.login.orders, session.account("")
    sent: list[bytes] = []
    monkeypatch.setattr(plant.ws, "fire", lambda data: sent.append(data) or True)
    asked = []
    for type_ in translate.PRICE_TYPES:
        terms = Terms(
            symbol=MES,
            side=Side.SELL,
            type=type_,
            quantity=D(3),
            price=D("5000.25") if type_.has_price else None,
            trigger_price=D("5001.5") if type_.has_trigger else None,
            time_in_force=TimeInForce.IOC,
        )
        order = NewOrder(client_id=f"c-{type_}", terms=terms)
        asked.append((312, translate.new_order(order, rules, "simulator")))
        asked.append((314, {"basket_id": "77"} | translate.change(terms, rules)))
    asked.append((316, {"basket_id": "77", "manual_or_auto": translate.AUTO}))
    for template_id, fields in asked:
        fired = plant.fire(template_id, whose, fields)
        assert fired is not None
        request = plant._build_request(template_id=template_id, user_msg=fired.name, account_id=whose.account_id, **fields)
        whose.name_in(request)
        assert sent.pop() == plant._convert_request_to_bytes(request)
