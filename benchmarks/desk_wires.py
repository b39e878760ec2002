"""The wires of Interactive Brokers and Rithmic as the tap of `desks.py` reads them, and on each a raw client as the floor.

    desk_wires.py ib|rithmic    the floor: reads {"accounts", "rounds"} from standard input, prints a line when it listens

The floor connects as a copier does, reads every message, and writes one prepared order for each child when the parent's
fill comes: no decision, no record, no look at what is answered.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Protocol

import uvloop
import websockets
from copydesk.model import RehearsalReady
from copydesk_ib.rehearsal.layout import write
from copydesk_ib.rehearsal.requests import BLANK_ORDER, PLACE_ORDER
from copydesk_ib.rehearsal.wire import HELLO
from copydesk_ib.rehearsal.wire import encode as tws
from copydesk_rithmic.library import decode, encode

Trade = Callable[[str], Awaitable[None]]
EXTENSIONS = re.compile(rb"Sec-WebSocket-Extensions:[^\r]*\r\n", re.IGNORECASE)
PARENT_QUANTITY, CHILD_QUANTITY = 2, 1
SIDES = ("BUY", "SELL")


class Wire(Protocol):
    """One connection as the tap sees it, and what a bench needs to know of its venue."""

    options: tuple[str, ...]
    order_s: float  # so long an order counts against the limit of the venue

    def said(self, data: bytes) -> bytes:
        """Take what the copier wrote, and return what is passed on."""

    def orders(self) -> int:
        """How many orders have come whole since the last call."""

    def fills(self, data: bytes) -> int:
        """Take what the venue wrote, and say how many fills of the parent are in it."""

    @staticmethod
    def port(ready: RehearsalReady) -> int: ...

    @staticmethod
    def address(port: int) -> dict[str, str]: ...

    @staticmethod
    def parent(http: Any, ready: RehearsalReady) -> AbstractAsyncContextManager[Trade]: ...


# --- Interactive Brokers ----------------------------------------------------------------------------------------------

IB_SYMBOL = "AAPL"
PLACE, EXECUTION, NEXT_ID = b"3", b"11", b"9"
PARENT_ACCOUNT = b"DU1234567"
VERSION = 178


class TwsFrames:
    """Cuts what comes into messages."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, data: bytes) -> Iterator[bytes]:
        self._rest = (self._rest + data).removeprefix(HELLO)
        while len(self._rest) >= 4 and len(self._rest) >= (end := 4 + int.from_bytes(self._rest[:4], "big")):
            body, self._rest = self._rest[4:end], self._rest[end:]
            yield body


class TwsWire:
    options = ("messages-per-second=1000000",)
    order_s = 1.1 / 44  # what the plugin keeps to, whatever the rehearsal takes

    def __init__(self) -> None:
        self._up, self._down = TwsFrames(), TwsFrames()
        self._orders = 0

    def said(self, data: bytes) -> bytes:
        self._orders += sum(body.startswith(PLACE + b"\0") for body in self._up.take(data))
        return data

    def orders(self) -> int:
        count, self._orders = self._orders, 0
        return count

    def fills(self, data: bytes) -> int:
        return sum(is_parents_execution(body) for body in self._down.take(data))

    @staticmethod
    def port(ready: RehearsalReady) -> int:
        return int(ready.urls["tws"].rpartition(":")[2])

    @staticmethod
    def address(port: int) -> dict[str, str]:
        return {"port": str(port)}

    @staticmethod
    @asynccontextmanager
    async def parent(http: Any, ready: RehearsalReady) -> AsyncIterator[Trade]:
        async def trade(side: str) -> None:
            order = {"account": "parent", "symbol": IB_SYMBOL, "action": side, "quantity": str(PARENT_QUANTITY)}
            async with http.post(f"{ready.control_url}/orders", json=order) as response:
                response.raise_for_status()

        yield trade


def is_parents_execution(body: bytes) -> bool:
    return body.startswith(EXECUTION + b"\0-1\0") and PARENT_ACCOUNT in body


class TwsFloor(asyncio.Protocol):
    """A client of TWS that knows what it is going to send but for the order ids."""

    def __init__(self, asked: dict[str, Any], ready: asyncio.Event) -> None:
        self._accounts = [one["account"] for one in asked["accounts"][1:]]
        self._client_id = asked["accounts"][0]["client_id"]
        self._rounds = asked["rounds"]
        self._ready = ready
        self._frames, self._greeted = TwsFrames(), False
        self._prepared: Iterator[list[bytes]] = iter(())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        plain = transport.get_extra_info("socket")
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._fd = plain.fileno()
        versions = f"v157..{VERSION}".encode()
        self._transport.write(HELLO + len(versions).to_bytes(4, "big") + versions)

    def data_received(self, data: bytes) -> None:
        for body in self._frames.take(data):
            if not self._greeted:
                self._greeted = True
                self._version = int(body.split(b"\0")[0])
                self._transport.write(tws(["71", "2", self._client_id, ""]))
            elif is_parents_execution(body):
                for order in next(self._prepared):
                    os.write(self._fd, order)
            elif body.startswith(NEXT_ID + b"\0") and not self._ready.is_set():
                self._prepared = iter([*self._prepare(int(body.split(b"\0")[2]))])
                self._ready.set()

    def _prepare(self, order_id: int) -> Iterator[list[bytes]]:
        contract = {"symbol": IB_SYMBOL, "secType": "STK", "exchange": "SMART", "currency": "USD"}
        terms = {"totalQuantity": str(CHILD_QUANTITY), "orderType": "MKT", "tif": "DAY", "transmit": "1"}
        for number in range(self._rounds):
            orders = []
            for account in self._accounts:
                own = {
                    "orderId": str(order_id),
                    "account": account,
                    "action": SIDES[number % 2],
                    "orderRef": f"f-{order_id}",
                }
                fields = write(PLACE_ORDER, BLANK_ORDER | contract | terms | own, self._version)
                orders.append(tws([PLACE.decode(), *fields]))
                order_id += 1
            yield orders


async def tws_floor(asked: dict[str, Any]) -> None:
    ready, place = asyncio.Event(), asked["accounts"][0]
    loop = asyncio.get_running_loop()
    await loop.create_connection(lambda: TwsFloor(asked, ready), place["host"], int(place["port"]))
    await ready.wait()


# --- Rithmic ----------------------------------------------------------------------------------------------------------

RITHMIC_SYMBOL, EXCHANGE, ROUTE = "MESH7", "CME", "simulator"
NEW_ORDER, EXCHANGE_NOTICE, FILL = 312, 352, 5
BINARY = 0x2
HEAD_END = b"\r\n\r\n"


class WsFrames:
    """Cuts what comes after the handshake into binary frames, unmasked."""

    def __init__(self) -> None:
        self._rest = b""
        self._open = False

    def take(self, data: bytes) -> Iterator[bytes]:
        self._rest += data
        if not self._open:
            _, end, rest = self._rest.partition(HEAD_END)
            if not end:
                return
            self._open, self._rest = True, rest
        while (found := ws_frame(self._rest)) is not None:
            operation, body, self._rest = found
            if operation == BINARY:
                yield body


def ws_frame(rest: bytes) -> tuple[int, bytes, bytes] | None:
    """The first frame, if it is whole: its operation, its payload, and what is left after it."""
    if len(rest) >= 2:
        masked, length, head = rest[1] & 0x80, rest[1] & 0x7F, 2
        if length == 126:
            length, head = int.from_bytes(rest[2:4], "big"), 4
        elif length == 127:
            length, head = int.from_bytes(rest[2:10], "big"), 10
        end = head + (4 if masked else 0) + length
        if len(rest) < end:
            return None
        body = rest[end - length : end]
        if masked:
            mask = rest[head : head + 4]
            body = bytes(byte ^ mask[number % 4] for number, byte in enumerate(body))
        return rest[0] & 0x0F, body, rest[end:]
    return None


class RithmicWire:
    options = ("heartbeat-seconds=3600",)
    order_s = 0.0

    def __init__(self) -> None:
        self._up, self._down = WsFrames(), WsFrames()
        self._orders = 0

    def said(self, data: bytes) -> bytes:
        self._orders += sum(decode(body).template_id == NEW_ORDER for body in self._up.take(data))
        return EXTENSIONS.sub(b"", data) if data.startswith(b"GET ") else data  # no compressed frames

    def orders(self) -> int:
        count, self._orders = self._orders, 0
        return count

    def fills(self, data: bytes) -> int:
        return sum(is_parents_fill(body) for body in self._down.take(data))

    @staticmethod
    def port(ready: RehearsalReady) -> int:
        return int(ready.urls["ws"].rpartition(":")[2])

    @staticmethod
    def address(port: int) -> dict[str, str]:
        return {"url": f"ws://127.0.0.1:{port}"}

    @staticmethod
    @asynccontextmanager
    async def parent(http: Any, ready: RehearsalReady) -> AsyncIterator[Trade]:
        account = next(one for one in ready.accounts if one.name == "parent")
        options = {**account.options, **account.by_hand, **account.secrets}
        async with entered(options) as (link, names):

            async def trade(side: str) -> None:
                await link.send(rithmic_order("parent", names, side, "hand", PARENT_QUANTITY))

            reading = asyncio.create_task(_read_on(link))
            yield trade
            reading.cancel()


async def _read_on(link: Any) -> None:
    async for _ in link:
        pass


def is_parents_fill(body: bytes) -> bool:
    message = decode(body)
    if message is None or message.template_id != EXCHANGE_NOTICE:
        return False
    return bool(message.notify_type == FILL and message.account_id == "parent" and not message.is_snapshot)


def rithmic_order(account: str, names: dict[str, str], side: str, tag: str, quantity: int) -> bytes:
    return encode(
        NEW_ORDER,
        user_msg=["order"],
        user_tag=tag,
        account_id=account,
        symbol=RITHMIC_SYMBOL,
        exchange=EXCHANGE,
        quantity=quantity,
        transaction_type=1 + SIDES.index(side),
        duration=1,
        price_type=2,
        manual_or_auto=2,
        trade_route=ROUTE,
        **names,
    )


@asynccontextmanager
async def entered(options: dict[str, str]) -> AsyncIterator[tuple[Any, dict[str, str]]]:
    """A login to the order plant that is told of the parent's orders, and what names its clearing firm and broker."""
    async with websockets.connect(options["url"], compression=None) as link:
        login = {"user": options["user"], "password": options["password"], "system_name": options["system"]}
        await link.send(
            encode(
                10,
                template_version="3.9",
                user_msg=["login"],
                app_name="bench",
                app_version="1",
                infra_type=2,
                **login,
            )
        )
        entry = await _answer(link, 11)
        assert list(entry.rp_code)[:1] == ["0"], list(entry.rp_code)
        await link.send(encode(300, user_msg=["who"]))
        who = await _answer(link, 301)
        names = {"fcm_id": who.fcm_id, "ib_id": who.ib_id}
        await link.send(encode(308, user_msg=["subscribe"], account_id="parent", **names))
        await _answer(link, 309)
        yield link, names


async def _answer(link: Any, template_id: int) -> Any:
    while True:
        message = decode(await link.recv())
        if message is not None and message.template_id == template_id:
            return message


async def rithmic_floor(asked: dict[str, Any]) -> None:
    link, names = await _STACK.enter(entered(asked["accounts"][0]))
    children = [one["account"] for one in asked["accounts"][1:]]
    orders = [
        [rithmic_order(child, names, SIDES[number % 2], f"f-{number}-{child}", CHILD_QUANTITY) for child in children]
        for number in range(asked["rounds"])
    ]

    async def follow() -> None:
        left = iter(orders)
        async for frame in link:
            if is_parents_fill(frame):
                for order in next(left):
                    await link.send(order)

    _STACK.tasks.add(asyncio.create_task(follow()))


class _Stack:
    """What stays open until the process ends."""

    def __init__(self) -> None:
        self.tasks: set[asyncio.Task[None]] = set()
        self._open: list[AbstractAsyncContextManager[Any]] = []

    async def enter(self, one: AbstractAsyncContextManager[Any]) -> Any:
        self._open.append(one)
        return await one.__aenter__()


_STACK = _Stack()
WIRES: dict[str, type[Any]] = {"ib": TwsWire, "rithmic": RithmicWire}
FLOORS = {"ib": tws_floor, "rithmic": rithmic_floor}


async def main(kind: str) -> None:
    asked = json.loads(sys.stdin.readline())
    await FLOORS[kind](asked)
    gc.collect()
    gc.freeze()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    print(json.dumps({"watching": len(asked["accounts"]) - 1}), flush=True)
    await stop.wait()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
