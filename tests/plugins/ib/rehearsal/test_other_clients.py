"""Clients that nobody here wrote trade at the rehearsal TWS, unmodified, each in an environment that this test builds.

`ib_async` is the workspace's own; `ib_insync`, IB's own `ibapi` and npm's `@stoqey/ib` are installed here.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from copydesk.model import RehearsalSettings
from copydesk_ib.rehearsal import start
from harness.environments import outside, python_with

HERE = Path(__file__).parent
ACCOUNTS = ["DU1234567", "DU1234568"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


async def told_by(words: Sequence[str | Path], *, login: int = 0, **environment: str) -> Any:
    """What a client's program tells of its trading at a fresh rehearsal."""
    cash = {"parent": Decimal(100_000), "child": Decimal(50_000)}
    rehearsal = await start(RehearsalSettings(kind="ib", accounts=cash, speed=Decimal(4)))
    try:
        port = str(rehearsal.logins[login].port)
        ran = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=outside() | environment | {"PORT": port},
        )
        out, complaint = await asyncio.wait_for(ran.communicate(json.dumps({"port": int(port)}).encode()), 120)
    finally:
        await rehearsal.stop()
    assert ran.returncode == 0, f"{complaint.decode()[-3000:]}{out.decode()[-1000:]}"
    assert b"Error handling" not in complaint, "a message could not be read"
    return json.loads(out)


def check(told: dict[str, Any], version: int) -> None:
    """What all of them saw."""
    assert told["version"] == version
    assert told["accounts"] == ACCOUNTS
    assert told["contract"] == [265598, "AAPL"]
    assert told["market"] == ["Filled", 10, "BOT", "mine", True]
    assert told["commission"] == 1
    assert told["open"][0][:2] == [151, 6]
    assert told["bracket"] == ["Filled", "Submitted", "PreSubmitted"]
    assert told["positions"] == [[True, "AAPL", 13]]
    assert told["executions"] == [3, 10]
    assert told["completed"] == ["Cancelled", "Filled"]
    assert told["liquid"] == [True, False]
    assert told["bars"] >= 59
    assert told["symbols"] == ["MSFT"]
    assert told["refused"] == 110


def check_more(told: dict[str, Any]) -> None:
    """What the Python libraries were asked besides."""
    assert told["open"] == [[151, 6, "GTC"]]
    assert told["futures"] == ["50", "50"]
    assert told["waiting"] == ["LIT", "LOC", "MIT", "MOC", "STP", "STP LMT", "TRAIL", "TRAIL LIMIT"]
    assert told["chain"] == [[200, 210]]
    assert told["rule"] == [0.01]
    assert told["combo"] == [["BAG", "BOT"], ["FUT", "BOT"], ["FUT", "SLD"]]
    assert told["pair"] == [20_000, 2]
    assert told["part"] == 0.5


async def test_ib_async() -> None:
    told = await told_by([sys.executable, HERE / "with_ib.py", "ib_async"])
    check(told, 178)
    check_more(told)


async def test_ib_insync(tmp_path: Path) -> None:
    python = python_with(tmp_path / "venv", "ib_insync==0.9.86")
    told = await told_by([python, HERE / "with_ib.py", "ib_insync"])
    check(told, 176)
    check_more(told)


async def test_ibapi(tmp_path: Path) -> None:
    python = python_with(tmp_path / "venv", "ibapi==9.81.1.post1")
    check(await told_by([python, HERE / "with_ibapi.py"]), 157)


def node_with(folder: Path, need: str) -> Path:
    """A folder with this npm package."""
    npm = shutil.which("npm")
    if npm is None:
        assert not os.environ.get("CI"), "npm has to be there: install the packages nodejs and npm"
        pytest.skip("npm is not there")
    install = [npm, "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), need]
    subprocess.run(install, check=True, env=outside(), timeout=300)
    return folder


async def test_stoqey(tmp_path: Path) -> None:
    modules = node_with(tmp_path, "@stoqey/ib@1.6.10")
    check(await told_by(["node", HERE / "with_stoqey.mjs"], MODULES=str(modules)), 178)
