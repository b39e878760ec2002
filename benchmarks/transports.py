"""What one order costs on a kept-open connection, with and without TLS, and what a connection keeps of memory.

    python benchmarks/transports.py [--connections 100] [--rounds 200] [--uvloop] [--json]

A server in a process of its own answers requests of an order's size. `copydesk_wire.pool.Pool` fires one on each connection
and reads the answers, in turns over asyncio's transports and aiofastnet's. Figures are of processor time: the least of all
rounds, for a busy machine only ever adds, and the median.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import ssl
import statistics
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import aiofastnet
import uvloop
from copydesk_paper.serving.tls import Authority
from copydesk_wire import transports
from copydesk_wire.connection import Answer
from copydesk_wire.pool import Pool
from copydesk_wire.transports import Place

HOST = "localhost"
BODY = b"x" * 330
REQUEST = b"POST /fapi/v1/order HTTP/1.1\r\nHost: localhost\r\nContent-Length: 330\r\nX-MBX-APIKEY: %b\r\n\r\n%b" % (
    b"k" * 64,
    BODY,
)
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 420\r\n\r\n" + b"r" * 420
PAUSE_S = 0.003
READY_S = 60.0


class Answering(asyncio.Protocol):
    """Answers each whole request."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._read = 0

    def data_received(self, data: bytes) -> None:
        self._read += len(data)
        while self._read >= len(REQUEST):
            self._read -= len(REQUEST)
            self._transport.write(ANSWER)


async def serve(chain: str) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(chain)
    loop = asyncio.get_running_loop()
    servers = [await loop.create_server(Answering, "127.0.0.1", 0, ssl=one, backlog=2048) for one in (None, context)]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    await asyncio.Event().wait()


def resident_kb() -> float:
    gc.collect()
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("VmRSS:"))


class Measured:
    """One way of connecting, to one place."""

    def __init__(self, name: str, fast: ModuleType | None, place: Place) -> None:
        self.name = name
        self.place = place
        self._fast = fast
        self.pool = Pool()
        self.kb = 0.0
        self.write_us: list[float] = []
        self.order_us: list[float] = []

    async def open(self, connections: int) -> None:
        transports.fast = self._fast
        before = resident_kb()
        for _ in range(connections):
            self.pool.add_user(self.place)
        async with asyncio.timeout(READY_S):
            while self.pool.ready(self.place) < connections:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.2)  # tickets of the sessions
        self.kb = (resident_kb() - before) / self.pool.ready(self.place)

    async def round(self, connections: int) -> None:
        done = asyncio.get_running_loop().create_future()
        answered = 0

        def take(answer: Answer | Exception) -> None:
            nonlocal answered
            assert isinstance(answer, Answer)
            answered += 1
            if answered == connections:
                done.set_result(None)

        await asyncio.sleep(PAUSE_S)
        began = time.process_time_ns()
        for _ in range(connections):
            if not self.pool.fire(self.place, REQUEST, take):
                raise SystemExit("no connection was ready")
        written = time.process_time_ns()
        await done
        self.write_us.append((written - began) / 1000 / connections)
        self.order_us.append((time.process_time_ns() - began) / 1000 / connections)


async def measure(ports: list[int], asked: argparse.Namespace) -> list[dict[str, Any]]:
    ways = [
        Measured(f"{name}{' with TLS' if tls else ''}", fast, Place(HOST, port, tls))
        for tls, port in zip((False, True), ports, strict=True)
        for name, fast in (("asyncio", None), ("aiofastnet", aiofastnet))
    ]
    for way in ways:
        await way.open(asked.connections)
    gc.freeze()
    gc.disable()
    for _ in range(asked.rounds):
        for way in ways:
            await way.round(asked.connections)
    for way in ways:
        await way.pool.close()
    return [
        {
            "transport": way.name,
            "write_us": min(way.write_us),
            "order_us": min(way.order_us),
            "write_us_median": statistics.median(way.write_us),
            "order_us_median": statistics.median(way.order_us),
            "kb_per_connection": way.kb,
        }
        for way in ways
    ]


def main() -> None:
    if sys.argv[1:2] == ["serve"]:
        uvloop.run(serve(sys.argv[2]))
        return
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--connections", type=int, default=100, help="orders per round, each on its own (100)")
    parser.add_argument("--rounds", type=int, default=200, help="rounds (200)")
    parser.add_argument("--uvloop", action="store_true", help="on uvloop in place of asyncio's loop")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    asked = parser.parse_args()
    authority = Authority([HOST])
    os.environ["SSL_CERT_FILE"] = str(authority.certificate)
    chain = authority.certificate.with_name("venue.pem")
    server = subprocess.Popen([sys.executable, __file__, "serve", str(chain)], stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        ports = json.loads(server.stdout.readline())
        rows = (uvloop.run if asked.uvloop else asyncio.run)(measure(ports, asked))
    finally:
        server.terminate()
        server.wait()
        authority.close()
    if asked.json:
        print(json.dumps(rows))
        return
    print("| connection | write, µs | write and answer, µs | its median | kB |\n|---|---:|---:|---:|---:|")
    for row in rows:
        cells = (row["write_us"], row["order_us"], row["order_us_median"], row["kb_per_connection"])
        print(f"| {row['transport']} | {' | '.join(f'{cell:.1f}' for cell in cells)} |")


if __name__ == "__main__":
    main()
