"""`copydesk rehearse bybit` and `copydesk demo --kind bybit` as a user runs them."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]

RECORDING = Path(__file__).parents[3].parent / "shared/venue-samples/bybit/replay-market-data/cf-BYBIT.jsonl.zst"
FAULTS = "drop-stream,lose-reply,duplicate-events,reorder"


async def demo(folder: Path, *words: str) -> Any:
    """The verdict of a short demo, which has to end with status 0."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "copydesk", "--data", str(folder), "demo", "--headless", "--kind", "bybit"),
        *("--seconds", "10", "--pace", "0.3", "--json", *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, error = await process.communicate()
    assert process.returncode == 0, (out[-3000:], error[-3000:])
    verdict = json.loads(out)
    assert verdict["parent_events"] >= 20
    for child in verdict["children"].values():
        assert child["copied"]
        assert (child["missed"], child["twice"], child["differences"], child["drift"]) == (0, 0, [], [])
    return verdict


@pytest.mark.parametrize("faults", ["", FAULTS], ids=["well-behaved", "misbehaving"])
async def test_headless(tmp_path: Path, faults: str) -> None:
    verdict = await demo(tmp_path, *(["--fault", faults] if faults else []))
    assert (verdict["kind"], verdict["market"]) == ("bybit", "synthetic")


async def test_on_the_venues_own_recording(tmp_path: Path) -> None:
    if not RECORDING.is_file():
        pytest.skip(f"no recording at {RECORDING}")
    assert (await demo(tmp_path, "--market", str(RECORDING)))["market"] == str(RECORDING)


async def test_rehearse_says_where_it_is(tmp_path: Path) -> None:
    words = ("--data", str(tmp_path), "rehearse", "bybit", "--accounts", "parent=1000,child", "--json")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "copydesk", *words), stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        ready = json.loads(await process.stdout.readline())
    finally:
        process.terminate()
        assert await process.wait() == 0
    assert ready["kind"] == "bybit"
    assert {account["name"] for account in ready["accounts"]} == {"parent", "child"}
    assert {"BTCUSDT", "BTCUSD", "BTCUSDT-SPOT"} <= set(ready["symbols"])
    assert ready["urls"]["ws_private"].endswith("/v5/private")
