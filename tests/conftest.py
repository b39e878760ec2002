"""What all tests share: the engines that they start hold their leases in a folder of this run, not of whoever runs it, and
how long a property takes to be shown proves nothing.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("copydesk", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("copydesk")
RUNTIME_VARIABLE = "COPYDESK_RUNTIME"


@pytest.fixture(scope="session", autouse=True)
def own_leases(tmp_path_factory: pytest.TempPathFactory) -> None:
    """One folder for each worker, and for the programs that it starts."""
    os.environ[RUNTIME_VARIABLE] = str(tmp_path_factory.mktemp("leases"))


@pytest.fixture(autouse=True)
def environment_stays() -> Iterator[None]:
    """What one test sets for its engine, another must not find: not even where the first one failed half-way."""
    before = _own()
    yield
    for name in _own().keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


def _own() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name.startswith("COPYDESK_")}
