"""The paper exchange keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from copydesk.testing import RehearsalRig, Rig, VenueContract
from copydesk_paper import plugin


class TestPaper(VenueContract):
    kind = "paper"

    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async with RehearsalRig(plugin, self.kind, connect_options={"deadline_s": "1"}, libraries=("aiohttp",)) as rig:
            yield rig
