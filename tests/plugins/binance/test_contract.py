"""Binance USD-M futures keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import copydesk_binance
import pytest
from copydesk.testing import RehearsalRig, Rig, VenueContract


class TestBinanceFutures(VenueContract):
    kind = "binance-futures"

    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async with RehearsalRig(copydesk_binance, self.kind, libraries=("ccxt", "aiohttp")) as rig:
            yield rig
