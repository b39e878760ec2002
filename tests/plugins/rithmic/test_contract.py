"""Rithmic keeps the contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from copydesk.testing import RehearsalRig, Rig, VenueContract
from copydesk_rithmic import plugin

from tests.plugins.fired import FiredContract


class TestRithmic(VenueContract):
    kind = "rithmic"

    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async with RehearsalRig(plugin, self.kind, libraries=("async_rithmic", "google.protobuf")) as rig:
            yield rig


class TestRithmicFired(FiredContract):
    @pytest.fixture
    async def rig(self) -> AsyncIterator[Rig]:
        async with RehearsalRig(plugin, "rithmic", libraries=("async_rithmic", "google.protobuf")) as rig:
            yield rig
