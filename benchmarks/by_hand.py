"""Two copiers that nobody would trust with an account: how fast Python can be, and how fast the machine is.

    by_hand.py floor        prebuilt bytes to N sockets when the parent's event comes: no decision, no signature, no record
    by_hand.py hand-made    decodes the event, sizes, fills a template and signs for each child; nothing else

Both read one JSON object from standard input ({"url", "parent": {"key", "secret"}, "children": [...], "ratio", "price",
"quantity", "rounds"}) and print one line when they listen. Their answers are read and nothing is made of them.
"""

from __future__ import annotations

import asyncio
import base64
import gc
import hashlib
import json
import os
import signal
import socket
import ssl
import sys
import time
import urllib.request
from collections.abc import Callable
from functools import partial
from typing import Any, cast
from urllib.parse import urlsplit

import aiofastnet
import msgspec
import uvloop

SYMBOL = "BTCUSDT"
SCALE = 1000
BLOCK = 64


class Terms(msgspec.Struct, gc=False):
    """What is read of an order in the parent's stream."""

    c: str
    s: str
    S: str
    o: str
    f: str
    q: str
    p: str
    x: str
    i: int


class OrderUpdate(msgspec.Struct, gc=False):
    """An event of the parent's stream."""

    e: str
    o: Terms | None = None


class Key:
    """An account's key: its HMAC with both pads hashed in advance."""

    def __init__(self, secrets: dict[str, str]) -> None:
        self.name = secrets["key"].encode()
        secret = secrets["secret"].encode()
        secret = (secret if len(secret) <= BLOCK else hashlib.sha256(secret).digest()).ljust(BLOCK, b"\0")
        self.inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in secret))
        self.outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in secret))

    def sign(self, text: bytes) -> bytes:
        inner = self.inner.copy()
        inner.update(text)
        outer = self.outer.copy()
        outer.update(inner.digest())
        return outer.hexdigest().encode()


class Child(asyncio.Protocol):
    """A child's kept-open connection. `write`: without TLS to the socket itself, with it by aiofastnet, so that an order
    leaves in the step that makes it: uvloop's transports put it off."""

    def __init__(self, secrets: dict[str, str], number: int, host: bytes) -> None:
        self.key = Key(secrets)
        self.number = b"%d" % number
        self.write: Callable[[bytes], object]
        head = b" /fapi/v1/order HTTP/1.1\r\nHost: %b\r\nX-MBX-APIKEY: %b\r\n" % (host, self.key.name)
        tail = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: "
        self.post, self.delete = b"POST" + head + tail, b"DELETE" + head + tail

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        plain = transport.get_extra_info("socket")
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        fast = transport.get_extra_info("ssl_object") is not None
        self.write = cast("asyncio.Transport", transport).write if fast else partial(os.write, plain.fileno())

    def request(self, head: bytes, text: bytes) -> bytes:
        return b"%b%d\r\n\r\n%b&signature=%b" % (head, len(text) + 75, text, self.key.sign(text))


class Floor:
    """Everything was made before."""

    def __init__(self, asked: dict[str, Any], children: list[Child]) -> None:
        quantity = scaled(asked["quantity"], round(asked["ratio"] * SCALE)).decode()
        made_ms = time.time_ns() // 1_000_000
        self.places, self.cancels = {}, {}
        for name in asked["rounds"]:
            id_, by = f"{name}-".encode(), f"&recvWindow=60000&timestamp={made_ms}".encode()
            terms = f"&side=BUY&type=LIMIT&timeInForce=GTC&quantity={quantity}&price={asked['price']}".encode() + by
            symbol = b"symbol=%b&" % SYMBOL.encode()
            self.places[name.encode()] = [
                (one.write, one.request(one.post, symbol + b"newClientOrderId=" + id_ + one.number + terms))
                for one in children
            ]
            self.cancels[name.encode()] = [
                (one.write, one.request(one.delete, symbol + b"origClientOrderId=" + id_ + one.number + by))
                for one in children
            ]

    def heard(self, frame: bytes) -> None:
        at = frame.find(b'"c":"')
        if at < 0:
            return
        name = frame[at + 5 : frame.index(b'"', at + 5)]
        made = self.places if b'"x":"NEW"' in frame else self.cancels
        for write, request in made[name]:
            write(request)


class HandMade:
    """Sizes and signs for each child, and keeps no record of it."""

    def __init__(self, asked: dict[str, Any], children: list[Child]) -> None:
        self.children = children
        self.thousandths = round(asked["ratio"] * SCALE)
        self.decode = msgspec.json.Decoder(OrderUpdate).decode

    def heard(self, frame: bytes) -> None:
        event = self.decode(frame)
        order = event.o
        if event.e != "ORDER_TRADE_UPDATE" or order is None:
            return
        if order.x == "NEW":
            self._place(order)
        elif order.x == "CANCELED":
            self._cancel(order)

    def _place(self, order: Terms) -> None:
        head = f"symbol={order.s}&side={order.S}&newClientOrderId=cp-{order.i}-".encode()
        middle = f"&type={order.o}&quantity=".encode()
        stamp = time.time_ns() // 1_000_000
        tail = f"&price={order.p}&timeInForce={order.f}&recvWindow=10000&timestamp={stamp}".encode()
        for child in self.children:
            quantity = scaled(order.q, self.thousandths)
            text = b"%b%b%b%b%b" % (head, child.number, middle, quantity, tail)
            child.write(child.request(child.post, text))

    def _cancel(self, order: Terms) -> None:
        head = f"symbol={order.s}&origClientOrderId=cp-{order.i}-".encode()
        tail = f"&recvWindow=10000&timestamp={time.time_ns() // 1_000_000}".encode()
        for child in self.children:
            child.write(child.request(child.delete, head + child.number + tail))


COPIERS: dict[str, type[Floor] | type[HandMade]] = {"floor": Floor, "hand-made": HandMade}


def scaled(quantity: str, thousandths: int) -> bytes:
    whole, _, part = quantity.partition(".")
    steps = (int(whole) * SCALE + int((part + "000")[:3])) * thousandths // SCALE
    return b"%d.%03d" % (steps // SCALE, steps % SCALE)


class Stream(asyncio.Protocol):
    """The parent's stream: unmasked frames that come whole."""

    def __init__(self, path: str, host: str, heard: Callable[[bytes], None]) -> None:
        self._path, self._host, self._heard = path, host, heard
        self._open = False
        self._rest = b""
        self.ready = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        key = base64.b64encode(os.urandom(16)).decode()
        upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13"
        self._transport.write(
            f"GET {self._path} HTTP/1.1\r\nHost: {self._host}\r\n{upgrade}\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        data = self._rest + data if self._rest else data
        if not self._open:
            if b"\r\n\r\n" not in data:
                self._rest = data
                return
            self._open, data = True, data.partition(b"\r\n\r\n")[2]
            self.ready.set()
        while len(data) >= 2:
            length, head = data[1], 2
            if length == 126:
                length, head = int.from_bytes(data[2:4]), 4
            elif length == 127:
                length, head = int.from_bytes(data[2:10]), 10
            if len(data) < head + length:
                break
            if data[0] & 0x0F == 0x1:
                self._heard(data[head : head + length])
            elif data[0] & 0x0F == 0x9:
                self._transport.write(b"\x8a\x80\x00\x00\x00\x00")
            data = data[head + length :]
        self._rest = data


def listen_key(url: str, secrets: dict[str, str]) -> str:
    request = urllib.request.Request(f"{url}/fapi/v1/listenKey", method="POST", headers={"X-MBX-APIKEY": secrets["key"]})
    with urllib.request.urlopen(request, timeout=20) as reply:
        return str(json.load(reply)["listenKey"])


async def main(name: str) -> None:
    asked = json.loads(sys.stdin.readline())
    place = urlsplit(asked["url"])
    loop = asyncio.get_running_loop()
    children = [Child(secrets, number, place.netloc.encode()) for number, secrets in enumerate(asked["children"])]
    tls = ssl.create_default_context() if place.scheme == "https" else None
    connect = partial(aiofastnet.create_connection, loop) if tls is not None else loop.create_connection
    for child in children:
        await connect(lambda child=child: child, place.hostname, place.port, ssl=tls)  # type: ignore[misc]
    copier = COPIERS[name](asked, children)
    path = f"/ws/{listen_key(asked['url'], asked['parent'])}"
    listen = partial(Stream, path, place.netloc, copier.heard)
    _, stream = await connect(listen, place.hostname, place.port, ssl=tls)
    await stream.ready.wait()
    gc.collect()
    gc.freeze()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    print(json.dumps({"watching": len(children)}), flush=True)
    await stop.wait()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
