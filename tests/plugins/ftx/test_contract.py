"""FTX keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import copydesk_ftx
import pytest
from copydesk.testing import RehearsalRig, Rig, VenueContract


class TestFtx(VenueContract):
    kind = "ftx"

    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async with RehearsalRig(copydesk_ftx, self.kind, libraries=("aiohttp",)) as rig:
            yield rig
