"""What the contract says of doubt, and the least of placing, with every request fired that the session offers to fire."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from copydesk.hooks import Done
from copydesk.model import NewOrder, OrderChange, OrderRef, Outcome, Unknown
from copydesk.testing import Rig
from copydesk.testing.bench import Bench
from copydesk.testing.doubting import Doubting
from copydesk.testing.placing import Placing
from copydesk.venue import Venue
from copydesk_wire import shapes
from copydesk_wire.templates import Template

LEARN_S = 0.6
"""A shape is learnt in the background: so long a request is tried to be fired. Then it goes the slow way."""
AGAIN_S = 0.02


class Fired:
    """Counts what was fired, by the name of the method, and checks that each has one outcome, after the call."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def instead(
        self, method: str, slow: Callable[[Any, Any], Awaitable[Outcome]]
    ) -> Callable[[Any, Any], Awaitable[Outcome]]:
        """A method of `Venue` that fires if it can."""

        async def send(venue: Any, asked: NewOrder | OrderChange | OrderRef) -> Outcome:
            fire: Callable[[Any, Done], bool] = getattr(venue, method)
            loop = asyncio.get_running_loop()
            outcome: asyncio.Future[Outcome] = loop.create_future()
            firing = False

            def done(told: Outcome) -> None:
                assert not firing, "done was called within the call"
                if not outcome.cancelled():
                    outcome.set_result(told)  # raises where it is called twice

            until = loop.time() + LEARN_S
            while True:
                firing = True
                fired = fire(asked, done)
                firing = False
                if fired:
                    break
                if loop.time() > until or not hasattr(venue._session, method):
                    return await slow(venue, asked)
                await asyncio.sleep(AGAIN_S)
            self.counts[method] = self.counts.get(method, 0) + 1
            try:
                async with asyncio.timeout(venue._send_s):
                    return await outcome
            except TimeoutError:
                return Unknown(message="no answer in time")

        return send


@pytest.mark.asyncio
class FiredContract(Doubting):
    """Override the fixture `rig`, as for `VenueContract`. `fires` are the methods that must have been used."""

    fires: tuple[str, ...] = ("fire", "fire_cancel", "fire_modify")

    test_c22_every_type_can_be_placed = Placing.test_c22_every_type_can_be_placed
    test_c24_client_id_goes_unchanged = Placing.test_c24_client_id_goes_unchanged
    test_c25_client_id_is_taken_once = Placing.test_c25_client_id_is_taken_once

    @pytest.fixture
    def fired(self, monkeypatch: pytest.MonkeyPatch) -> Fired:
        monkeypatch.setattr(shapes, "CHECKS", 2)
        monkeypatch.setattr(shapes, "LATER_S", 0.0)
        fired = Fired()
        for name, method in (("place", "fire"), ("cancel", "fire_cancel"), ("modify", "fire_modify")):
            monkeypatch.setattr(Venue, name, fired.instead(method, getattr(Venue, name)))
        return fired

    @pytest_asyncio.fixture
    async def bench(self, rig: Rig, fired: Fired) -> AsyncIterator[Bench]:
        async with Bench(rig) as bench:
            yield bench

    async def test_requests_are_fired(self, bench: Bench, fired: Fired) -> None:
        """Whatever else passes here: it passed on the fast path."""
        venue, _ = await bench.both()
        placed = await bench.place(venue, bench.terms())
        ref = bench.ref(venue, placed)
        if "fire_modify" in self.fires:
            terms = bench.terms(quantity=bench.part * 2)
            await venue.modify(OrderChange(ref=ref, terms=terms))
        await venue.cancel(ref)
        assert fired.counts.keys() >= set(self.fires)

    async def test_warming_up_sends_nothing(self, bench: Bench, fired: Fired, monkeypatch: pytest.MonkeyPatch) -> None:
        """Once the shape of the request is known all its bytes are made, and kept here."""
        venue, _ = await bench.both()
        await bench.place(venue, bench.terms())
        there = await bench.snapshot(venue)
        made: list[bytes] = []
        as_it_was = Template.fill

        def fill(self: Template, *values: Any) -> bytes:
            made.append(as_it_was(self, *values))
            return made[-1]

        monkeypatch.setattr(Template, "fill", fill)
        for _ in range(5):
            venue.warm_up(NewOrder(client_id=bench.client_id(), terms=bench.terms()))
        if getattr(venue._session, "sender", None) is not None:  # the others do not fire over HTTP
            assert len(made) == 5
        await bench.place(venue, bench.terms())  # whatever had been sent before it would have arrived by now
        found = await bench.snapshot(venue)
        assert len(found.orders) == len(there.orders) + 1
