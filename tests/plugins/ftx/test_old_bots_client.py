"""The client that most bots used, ftx 1.2.0 of PyPI, trades at the rehearsal venue unmodified but for its address.

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
from copydesk_ftx.rehearsal import start

NEEDS = ("ftx==1.2.0",)
PROGRAM = Path(__file__).with_name("with_client.py")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ftx") / "venv"
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True, env=environment, timeout=120)
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *NEEDS]
    subprocess.run(pip, check=True, env=environment, timeout=400)
    return folder / "bin" / "python"


async def test_it_trades_here(python: Path) -> None:
    accounts = {"main": Decimal(100_000)}
    rehearsal = await start(RehearsalSettings(kind="ftx", accounts=accounts, speed=Decimal("0.0001")))
    try:
        given = {**rehearsal.ready.urls, **rehearsal.ready.accounts[0].secrets}
        ran = await asyncio.create_subprocess_exec(
            python, PROGRAM, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        out, complaint = await asyncio.wait_for(ran.communicate(json.dumps(given).encode()), 60)
        assert ran.returncode == 0, complaint.decode()[-3000:]
    finally:
        await rehearsal.stop()
    told = json.loads(out)
    assert told.pop("refused")
    assert told == {
        "future": "BTC-PERP",
        "book": 5,
        "open": [[50001, True]],
        "stops": [40000],
        "position": 0.02,
        "fills": [0.02],
        "balances": ["USD"],
    }
