"""The venue's own Python client, bitfinex-api-py 4.0.0, trades at the rehearsal venue unmodified but for its addresses.

It runs in an environment of its own, which this test builds.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest
from copydesk.model import RehearsalSettings
from copydesk_bitfinex.rehearsal import start
from harness.environments import python_with, told_by

NEEDS = ("bitfinex-api-py==4.0.0",)
PROGRAM = Path(__file__).with_name("with_vendor.py")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return python_with(tmp_path_factory.mktemp("vendor") / "venv", *NEEDS)


async def test_the_venues_own_client_trades_here(python: Path) -> None:
    accounts = {"main": Decimal(100_000)}
    rehearsal = await start(RehearsalSettings(kind="bitfinex", accounts=accounts, speed=Decimal("0.0001")))
    try:
        ready = rehearsal.ready
        given = {"url": ready.urls["rest"], "ws": ready.urls["ws"], **ready.accounts[0].secrets}
        told = await told_by(python, PROGRAM, given, within_s=120)
    finally:
        await rehearsal.stop()
    rest = told["rest"]
    assert (rest["status"], rest["last"]) == (1, 60_000)
    assert rest["market"] == [100, 40]
    assert rest["placed"] == ["SUCCESS", "ACTIVE"]
    assert rest["updated"] == 50_001
    assert rest["open"] == [50_001]
    assert rest["cancelled"] == "SUCCESS"
    assert rest["positions"] == [["tBTCF0:USTF0", 0.01]]
    assert rest["trades"] == [0.01]
    assert rest["wallets"] == ["exchange", "margin"]
    assert "not enough exchange balance" in rest["refused"]
    socket = told["websocket"]
    assert ["ticker", "tBTCUST"] in socket
    for event in (["auth", "OK"], ["answered", "SUCCESS"], ["new", 77], ["ended", "CANCELED"]):
        assert event in socket
