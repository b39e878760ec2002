"""Bybit keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from copydesk.testing import RehearsalRig, Rig, VenueContract
from copydesk_bybit import plugin

from tests.plugins.fired import FiredContract


class TestBybit(VenueContract):
    kind = "bybit"

    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async with RehearsalRig(plugin, self.kind, libraries=("ccxt", "aiohttp")) as rig:
            yield rig


class TestBybitFired(FiredContract):
    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async with RehearsalRig(plugin, "bybit", libraries=("ccxt", "aiohttp")) as rig:
            yield rig
