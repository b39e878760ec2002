"""FTX keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from copydesk.testing import RehearsalRig, Rig, VenueContract
from copydesk_ftx import plugin

from tests.plugins.fired import FiredContract


class TestFtx(VenueContract):
    kind = "ftx"

    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async with RehearsalRig(plugin, self.kind, libraries=("aiohttp",)) as rig:
            yield rig


class TestFtxFired(FiredContract):
    fires = ("fire", "fire_cancel")

    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async with RehearsalRig(plugin, "ftx", libraries=("aiohttp",)) as rig:
            yield rig
