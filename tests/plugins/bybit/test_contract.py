"""Bybit keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import copydesk_bybit
import pytest
from copydesk.testing import RehearsalRig, Rig, VenueContract


class TestBybit(VenueContract):
    kind = "bybit"

    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async with RehearsalRig(copydesk_bybit, self.kind, libraries=("ccxt", "aiohttp")) as rig:
            yield rig
