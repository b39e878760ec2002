"""BitMEX keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import copydesk_bitmex
import pytest
from copydesk.testing import RehearsalRig, Rig, VenueContract


class TestBitmex(VenueContract):
    kind = "bitmex"

    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async with RehearsalRig(copydesk_bitmex, self.kind, libraries=("aiohttp",)) as rig:
            yield rig
