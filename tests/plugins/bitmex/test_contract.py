"""BitMEX keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from copydesk.testing import RehearsalRig, Rig, VenueContract
from copydesk_bitmex import plugin

from tests.plugins.fired import FiredContract


class TestBitmex(VenueContract):
    kind = "bitmex"

    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async with RehearsalRig(plugin, self.kind, libraries=("aiohttp",)) as rig:
            yield rig


class TestBitmexFired(FiredContract):
    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async with RehearsalRig(plugin, "bitmex", libraries=("aiohttp",)) as rig:
            yield rig
