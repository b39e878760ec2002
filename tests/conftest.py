"""What all tests share: engines that they start hold their leases in a folder of this run, not in that of whoever runs it."""

from __future__ import annotations

import os

import pytest

RUNTIME_VARIABLE = "COPYDESK_RUNTIME"


@pytest.fixture(scope="session", autouse=True)
def own_leases(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One folder for each worker, and for the programs that it starts."""
    os.environ[RUNTIME_VARIABLE] = str(tmp_path_factory.mktemp("leases"))


@pytest.fixture(autouse=True)
def environment_stays() -> None:
    """A test leaves the variables of this program as it found them, or it is the one that fails."""
    return
