"""What the tests of whole demos share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest
from harness.demos import Ended, run

Run = Callable[..., Awaitable[Ended]]


@pytest.fixture
def copydesk() -> Run:
    """Runs `copydesk` with these words to its end."""
    return run
