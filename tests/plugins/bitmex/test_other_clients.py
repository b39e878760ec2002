"""ccxt 4.5.83, the last release that knew BitMEX, trades at the rehearsal venue unmodified but for its addresses.

It runs in an environment of its own, which this test builds.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from copydesk.model import RehearsalSettings
from copydesk_bitmex.rehearsal import start
from harness.environments import python_with, told_by

NEEDS = ("ccxt==4.5.83",)
PROGRAM = Path(__file__).with_name("with_ccxt.py")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return python_with(tmp_path_factory.mktemp("ccxt") / "venv", *NEEDS)


async def test_ccxt_trades_here(python: Path) -> None:
    rehearsal = await start(
        RehearsalSettings(kind="bitmex", accounts={"main": Decimal(100_000)}, options={"requests-per-minute": "600"})
    )
    try:
        ready = rehearsal.ready
        given = {"url": ready.urls["rest"], "ws": ready.urls["ws"], **ready.accounts[0].secrets}
        told = await told_by(python, PROGRAM, given, within_s=120)
    finally:
        await rehearsal.stop()
    assert told["markets"] == ["BTC/USD:BTC", "BTC/USDT:USDT", "ETH/USDT:USDT"]
    assert (told["filled"], told["traded"], told["watched_position"]) == (2_000, 2_000, 2_000)
    assert told["edited"] == 50_500
    assert told["open"] == {"price": 50_500, "amount": 3_000, "clientOrderId": "once"}
    assert (told["orders"], told["cancelled"], told["left"]) == (2, "canceled", 0)
    assert told["position"] == {"symbol": "BTC/USDT:USDT", "side": "long", "contracts": 2_000}
    assert told["linked"] == ["OneCancelsTheOther", "canceled", "closed"]
    assert told["balance"] == ["BTC", "USDT"]
    assert told["trades"] == 3
    assert told["refusals"] == ["InsufficientFunds", "InvalidOrder"]
    assert told["book"]
    assert told["candles"] > 50
