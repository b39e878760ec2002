"""Interactive Brokers keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from copydesk.testing import Rig, VenueContract
from harness.tws import TwsRig

from tests.plugins.fired import FiredContract


class TestIb(VenueContract):
    kind = "ib"

    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async with TwsRig() as rig:
            yield rig


class TestIbFired(FiredContract):
    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async with TwsRig() as rig:
            yield rig
