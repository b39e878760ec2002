"""The rehearsal venue of the fan-out benchmark, in a process of its own: `rehearsal_venue.py CHILDREN`.

The same server that `copydesk rehearse binance-futures` starts. Its market stands still and its request limits are out of
the way, so that what is measured is the copier. Prints one JSON line when it is ready and serves until SIGTERM.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from decimal import Decimal

from copydesk.model import RehearsalSettings, to_json
from copydesk_binance.rehearsal import start

UNLIMITED = "1000000000"
CASH = Decimal(10_000_000)


async def serve(children: int) -> None:
    accounts = {"parent": CASH, **{f"child{number}": CASH for number in range(1, children + 1)}}
    limits = dict.fromkeys(("weight-per-minute", "orders-per-minute", "orders-per-10s"), UNLIMITED)
    settings = RehearsalSettings(kind="binance-futures", accounts=accounts, speed=Decimal(0), options=limits)
    asked = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, asked.set)
    running = await start(settings)
    sys.stdout.write(to_json(running.ready).decode() + "\n")
    sys.stdout.flush()
    await asked.wait()
    await running.stop()


if __name__ == "__main__":
    os.nice(5)  # where cores are few, the clock that stands in front of it comes first
    asyncio.run(serve(int(sys.argv[1])))
