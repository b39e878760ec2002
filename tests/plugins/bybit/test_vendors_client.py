"""The venue's own Python client, pybit, trades at the rehearsal venue unmodified but for its addresses.

It runs in an environment of its own, which this test builds.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from copydesk.model import RehearsalSettings
from copydesk_bybit.rehearsal import start
from harness.environments import python_with, told_by

NEEDS = ("pybit==5.17.0",)
PROGRAM = Path(__file__).with_name("with_pybit.py")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return python_with(tmp_path_factory.mktemp("pybit") / "venv", *NEEDS)


async def test_the_venues_own_client_trades_here(python: Path) -> None:
    accounts = {"main": Decimal(100_000)}
    rehearsal = await start(RehearsalSettings(kind="bybit", accounts=accounts, speed=Decimal("0.0001")))
    try:
        given = {**rehearsal.ready.urls, **rehearsal.ready.accounts[0].secrets}
        told = await told_by(python, PROGRAM, given, within_s=200)
    finally:
        await rehearsal.stop()
    rest = told["rest"]
    assert "exceeds maximum limit" in rest.pop("refused")
    assert rest == {
        "candles": 20,
        "open": ["50001.00"],
        "cancelled": True,
        "position": ["0.020", "40000.00"],
        "fills": ["0.020"],
        "long": "1.0000",
        "coins": ["BTC", "USDT"],
        "free": True,
    }
    assert told["websocket"] == {"book": True, "answer": 0, "order": "50002.00"}
