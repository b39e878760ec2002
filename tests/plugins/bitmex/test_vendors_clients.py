"""BitMEX's own Python clients, `bitmex` and `bitmex-ws`, trade at the rehearsal venue; only its addresses are other ones.

They run in an environment of their own, which this test builds.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from copydesk.model import RehearsalSettings
from copydesk_bitmex.rehearsal import start
from harness.environments import python_with, told_by

NEEDS = ("bitmex==0.2.2", "bitmex-ws==1.5.0")
PROGRAM = Path(__file__).with_name("with_vendors.py")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return python_with(tmp_path_factory.mktemp("bitmex") / "venv", *NEEDS)


async def test_the_venues_own_clients_trade_here(python: Path) -> None:
    settings = RehearsalSettings(
        kind="bitmex",
        accounts={"main": Decimal(100_000)},
        speed=Decimal("0.0001"),
        options={"requests-per-minute": "600"},
    )
    rehearsal = await start(settings)
    try:
        given = {**rehearsal.ready.urls, "url": rehearsal.ready.urls["rest"], **rehearsal.ready.accounts[0].secrets}
        told = await told_by(python, PROGRAM, given, within_s=200)
    finally:
        await rehearsal.stop()
    assert told["rest"] == {
        "instrument": "XBTUSD",
        "book": 6,
        "candles": 10,
        "bought": "Filled",
        "limit": "600",
        "placed": "Sell",
        "amended": 95_000,
        "open": ["mine"],
        "cancelled": "Canceled",
        "cancelled_all": [],
        "position": 100,
        "leverage": 5,
        "margin": "XBt",
        "refused": "Order quantity must be a multiple of lot size",
    }
    ticker = ["buy", "last", "mid", "sell"]
    assert told["socket"] == {"ticker": ticker, "funds": "XBt", "open": ["heard"], "depth": True}
