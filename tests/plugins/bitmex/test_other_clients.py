"""ccxt 4.5.83, the last release that knew BitMEX, trades at the rehearsal venue unmodified but for its addresses.

It runs in an environment of its own, which this test builds.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from copydesk.model import RehearsalSettings
from copydesk_bitmex.rehearsal import start

NEEDS = ("ccxt==4.5.83",)
PROGRAM = Path(__file__).with_name("with_ccxt.py")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ccxt") / "venv"
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, env=environment, timeout=120)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *NEEDS]
    subprocess.run(pip, check=True, env=environment, timeout=400)
    return folder / "bin" / "python"


async def test_ccxt_trades_here(python: Path) -> None:
    rehearsal = await start(
        RehearsalSettings(kind="bitmex", accounts={"main": Decimal(100_000)}, options={"requests-per-minute": "600"})
    )
    try:
        ready = rehearsal.ready
        given = {"url": ready.urls["rest"], "ws": ready.urls["ws"], **ready.accounts[0].secrets}
        ran = await asyncio.create_subprocess_exec(
            python, PROGRAM, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, complaint = await asyncio.wait_for(ran.communicate(json.dumps(given).encode()), 120)
        assert ran.returncode == 0, complaint.decode()[-3000:]
    finally:
        await rehearsal.stop()
    told = json.loads(out)
    assert told["markets"] == ["BTC/USD:BTC", "BTC/USDT:USDT", "ETH/USDT:USDT"]
    assert (told["filled"], told["traded"], told["watched_position"]) == (2_000, 2_000, 2_000)
    assert told["edited"] == 50_500
    assert told["open"] == {"price": 50_500, "amount": 3_000, "clientOrderId": "once"}
    assert (told["orders"], told["cancelled"], told["left"]) == (2, "canceled", 0)
    assert told["position"] == {"symbol": "BTC/USDT:USDT", "side": "long", "contracts": 2_000}
    assert told["balance"] == ["BTC", "USDT"]
    assert told["trades"] == 1
    assert told["refusals"] == ["InsufficientFunds", "InvalidOrder"]
    assert told["book"]
    assert told["candles"] > 50
