"""ccxt 2.1.74, the last release that knew FTX, trades at the rehearsal venue unmodified but for its addresses.

It runs in an environment of its own, which this test builds: its websocket needs an aiohttp of that time.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from copydesk.model import RehearsalSettings
from copydesk_ftx.rehearsal import start
from harness.environments import python_with, told_by

NEEDS = ("ccxt==2.1.74", "aiohttp<3.11", "setuptools<81")
PROGRAM = Path(__file__).with_name("with_ccxt.py")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return python_with(tmp_path_factory.mktemp("ccxt") / "venv", *NEEDS)


async def test_ccxt_trades_here(python: Path) -> None:
    rehearsal = await start(RehearsalSettings(kind="ftx", accounts={"main": Decimal(100_000)}))
    try:
        ready = rehearsal.ready
        given = {"url": ready.urls["rest"], "ws": ready.urls["ws"], **ready.accounts[0].secrets}
        told = await told_by(python, PROGRAM, given, within_s=120)
    finally:
        await rehearsal.stop()
    assert told["market_order"]["status"] == "closed"
    assert told["market_order"]["filled"] == 0.01
    assert told["trade"]["amount"] == 0.01
    assert told["edited"] != told["limit_order"]
    assert told["open"] == [{"id": told["edited"], "price": 50_500.0, "amount": 0.02}]
    assert told["trigger"] == [{"id": told["stop"], "price": 55_000.0}]
    assert told["position"] == {"symbol": "BTC/USD:USD", "side": "long", "contracts": 0.01}
    assert told["refusals"] == ["InvalidOrder", "InsufficientFunds", "OrderNotFound", "DuplicateOrderId"]
    assert told["book_checked"]
    assert told["candles"] > 100
