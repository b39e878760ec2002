"""The contract that every venue plugin keeps. Subclass `VenueContract`, override one fixture, run pytest."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from copydesk.pytest_contract import number_of
from copydesk.testing.bench import Bench
from copydesk.testing.changing import Changing
from copydesk.testing.connecting import Connecting
from copydesk.testing.doubting import Doubting
from copydesk.testing.ending import Ending
from copydesk.testing.gaps import Gaps
from copydesk.testing.placing import Placing
from copydesk.testing.reading import Reading
from copydesk.testing.rig import Rig
from copydesk.testing.streaming import Streaming

FAMILIES = (Connecting, Streaming, Placing, Changing, Reading, Doubting, Gaps, Ending)


@pytest.mark.asyncio
class VenueContract(Ending, Gaps, Doubting, Reading, Changing, Placing, Streaming, Connecting):
    """All numbered tests; pytest runs those of the last base first. A number is never used for another test.

    An author overrides the fixture `rig`; pytest-asyncio runs it and the tests in one event loop::

        class TestMyVenue(VenueContract):
            kind = "my-venue"

            @pytest_asyncio.fixture
            async def rig(self) -> AsyncIterator[Rig]:
                async with RehearsalRig(my_plugin, self.kind) as rig:
                    yield rig
    """

    kind = ""
    """The connection kind: the head of its column in the table."""

    @pytest.fixture
    def rig(self) -> Rig:
        """A driver of a fresh venue, for one test."""
        raise NotImplementedError(f"{type(self).__name__} must override the fixture `rig`")

    @pytest_asyncio.fixture
    async def bench(self, rig: Rig) -> AsyncIterator[Bench]:
        async with Bench(rig) as bench:
            yield bench


def numbered_tests() -> dict[str, str]:
    """Each test's id (`C01`) and its sentence, in order."""
    tests = {}
    for family in FAMILIES:
        for name, function in vars(family).items():
            if number := number_of(name):
                tests[number] = " ".join((function.__doc__ or "").split())
    return tests
