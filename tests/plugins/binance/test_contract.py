"""Binance spot and USD-M futures keep the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from copydesk.testing import RehearsalRig, Rig, VenueContract
from copydesk_binance import futures_plugin, spot_plugin

from tests.plugins.fired import FiredContract

NO_FEES = {"maker-fee": "0", "taker-fee": "0"}
"""The suite counts in whole quantities; what a fee takes from what is bought has tests of its own."""


class TestBinanceSpot(VenueContract):
    kind = "binance"

    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        libraries = ("ccxt", "aiohttp")
        async with RehearsalRig(spot_plugin, self.kind, libraries=libraries, options=NO_FEES) as rig:
            yield rig


class TestBinanceFutures(VenueContract):
    kind = "binance-futures"

    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async with RehearsalRig(futures_plugin, self.kind, libraries=("ccxt", "aiohttp")) as rig:
            yield rig


class TestBinanceSpotFired(FiredContract):
    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async with RehearsalRig(spot_plugin, "binance", libraries=("ccxt", "aiohttp"), options=NO_FEES) as rig:
            yield rig


class TestBinanceFuturesFired(FiredContract):
    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async with RehearsalRig(futures_plugin, "binance-futures", libraries=("ccxt", "aiohttp")) as rig:
            yield rig
