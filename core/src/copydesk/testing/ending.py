"""C81 to C87: several sessions side by side, and what a closed one leaves behind: nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from copydesk.model import BalanceEvent, FillEvent, OrderEvent, PositionEvent
from copydesk.testing import bench as bench_module
from copydesk.testing.bench import Bench, eventually
from copydesk.testing.rig import CHILD


class Ending:
    """Sessions side by side, and their end."""

    async def test_c81_accounts_are_apart(self, bench: Bench) -> None:
        """What happens on one account is neither told by another one's session nor in its snapshot."""
        parent, told = await bench.both()
        child, silent = await bench.both(CHILD)
        name = bench.client_id()
        await bench.place(parent, bench.terms(), name)
        bought = await bench.buy(parent, told)
        own = await bench.place(child, bench.terms(), name)
        await silent.order(name, bool)
        private = OrderEvent | FillEvent | PositionEvent | BalanceEvent
        orders = {event.order.venue_id for event in silent.events if isinstance(event, OrderEvent)}
        assert orders == {own.venue_id}
        assert bought.client_id not in str([event for event in silent.events if isinstance(event, private)])
        known = await bench.snapshot(child, since_ms=1)
        assert [order.venue_id for order in known.orders] == [own.venue_id]
        assert (known.positions, known.fills) == ((), ())

    async def test_c82_two_sessions_of_one_account(self, bench: Bench) -> None:
        """Two sessions of one account are both told of everything."""
        _, one = await bench.both()
        other, two = await bench.both()
        placed = await bench.place(other, bench.terms())
        told = [await listener.order(placed.client_id, bool) for listener in (one, two)]
        assert told[0] == told[1]

    async def test_c83_closing_one_leaves_the_others(self, bench: Bench) -> None:
        """A session works on when another one, of the same account or not, is closed."""
        venue, listener = await bench.both()
        twin, _ = await bench.both()
        child, _ = await bench.both(CHILD)
        await bench.close(twin)
        await bench.close(child)
        placed = await bench.place(venue, bench.terms())
        await listener.order(placed.client_id, bool)

    async def test_c84_iterators_end(self, bench: Bench) -> None:
        """close ends the iterators of subscribe, private and of prices, without an error."""
        venue, private = await bench.both()
        prices = await bench.listen(venue, private=False, symbols=(bench.rig.symbol,))
        await bench.close(venue)
        for listener in (private, prices):
            async with asyncio.timeout(bench_module.DEADLINE_S):
                await listener.task

    async def test_c85_nothing_is_left_behind(self, bench: Bench) -> None:
        """After close there is no task and no socket that was not there before."""
        await bench.rig.price()  # the rig's own connections come first
        tasks, sockets = asyncio.all_tasks(), _sockets()
        venue, private = await bench.both()
        prices = await bench.listen(venue, private=False, symbols=(bench.rig.symbol,))
        await bench.place(venue, bench.terms())
        await bench.snapshot(venue)
        await bench.close(venue)
        await asyncio.gather(private.task, prices.task)
        await eventually(lambda: _no_task_but(tasks), "no task is left")
        await eventually(lambda: _no_socket_but(sockets), "no socket is left")

    async def test_c86_close_while_the_stream_is_down(self, bench: Bench) -> None:
        """close ends a session whose venue is gone too, and leaves no task."""
        await bench.rig.price()
        tasks = asyncio.all_tasks()
        venue, listener = await bench.both()
        await bench.rig.go_away()
        await bench.close(venue)
        async with asyncio.timeout(bench_module.DEADLINE_S):
            await asyncio.gather(listener.task, return_exceptions=True)
        await eventually(lambda: _no_task_but(tasks), "no task is left")

    async def test_c87_closing_twice(self, bench: Bench) -> None:
        """A second close does nothing."""
        venue = await bench.open()
        await venue.close()
        await bench.close(venue)


async def _no_task_but(tasks: set[asyncio.Task[Any]]) -> bool:
    return not asyncio.all_tasks() - tasks


async def _no_socket_but(count: int) -> bool:
    return _sockets() <= count


def _sockets() -> int:
    """How many sockets this process has open; zero where the system does not tell."""
    folder = Path("/proc/self/fd")
    if not folder.is_dir():
        return 0
    count = 0
    for entry in folder.iterdir():
        try:
            count += str(entry.readlink()).startswith("socket:")
        except OSError:
            continue
    return count
