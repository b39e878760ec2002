"""Bitfinex keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from copydesk.testing import RehearsalRig, Rig, VenueContract
from copydesk_bitfinex import plugin

from tests.plugins.fired import FiredContract


class TestBitfinex(VenueContract):
    kind = "bitfinex"

    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async with RehearsalRig(plugin, self.kind, libraries=("ccxt", "aiohttp")) as rig:
            yield rig


class TestBitfinexFired(FiredContract):
    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async with RehearsalRig(plugin, "bitfinex", libraries=("ccxt", "aiohttp")) as rig:
            yield rig
