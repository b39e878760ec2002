"""Bitfinex keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import copydesk_bitfinex
import pytest
from copydesk.testing import RehearsalRig, Rig, VenueContract


class TestBitfinex(VenueContract):
    kind = "bitfinex"

    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async with RehearsalRig(copydesk_bitfinex, self.kind, libraries=("ccxt", "aiohttp")) as rig:
            yield rig
