"""The venue's own Python client (binance-sdk-spot) and the most used of other people's (python-binance) trade at the
rehearsal venues unmodified but for their addresses.

They run in an environment of their own, which this test builds.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from copydesk.model import RehearsalSettings
from copydesk_binance.rehearsal import start as start_futures
from copydesk_binance.rehearsal.spot import start as start_spot
from harness.environments import python_with, told_by

NEEDS = ("python-binance==1.0.37", "binance-sdk-spot==13.2.0")
PROGRAM = Path(__file__).with_name("with_vendors.py")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return python_with(tmp_path_factory.mktemp("vendors") / "venv", *NEEDS)


async def test_other_peoples_clients_trade_here(python: Path) -> None:
    accounts = {"main": Decimal(100_000)}
    spot = await start_spot(RehearsalSettings(kind="binance", accounts=accounts, speed=Decimal("0.0001")))
    futures = await start_futures(RehearsalSettings(kind="binance-futures", accounts=accounts, speed=Decimal("0.0001")))
    try:
        given: dict[str, Any] = {}
        for name, rehearsal in (("spot", spot), ("futures", futures)):
            urls = rehearsal.ready.urls
            given[name] = {"url": urls["rest"], **urls, **rehearsal.ready.accounts[0].secrets}
        told = await told_by(python, PROGRAM, given, within_s=120)
    finally:
        await spot.stop()
        await futures.stop()
    binance = told["python-binance"]
    assert binance["candles"] > 25  # of half an hour: the first one that there is is looked for from the beginning of time
    assert (binance["pair"], binance["open"], binance["cancelled"]) == ("BTC", ["50000.00000000"], "CANCELED")
    assert (binance["list"], binance["balance"]["locked"]) == ("OCO", "0.01000000")
    assert binance["trades"] == ["0.02000000"]
    assert "insufficient balance" in binance["refused"]
    assert (binance["position"], binance["stops"], binance["interest"]) == (["0.020"], 1, "0.02000000")
    sdk = told["sdk"]
    assert sdk == {
        "assets": ["BTC", "USDT"],
        "window": "BTCUSDT",
        "placed": "NEW",
        "heard": ["ExecutionReport"],
        "stream": "1hTicker",
    }
