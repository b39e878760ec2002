"""`copydesk rehearse ib` and `copydesk demo --kind ib` as a user runs them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from harness.demos import run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]

RECORDING = Path(__file__).parents[3].parent / "shared/venue-samples/ib/replay-market-data/nt-ib-tick_data.json.gz"
FAULTS = ("--fault", "drop-stream,lose-reply,duplicate-events,reorder")
TWO_LOGINS = ("--option", "login.child2=second", "--option", "login.child3=second")


async def demo(folder: Path, *words: str) -> Any:
    """The verdict of a short demo, which has to end with status 0."""
    short = ("demo", "--headless", "--kind", "ib", "--seconds", "10", "--json")
    ended = await run("--data", str(folder), *short, *words)
    assert ended.status == 0, (ended.out[-3000:], ended.err[-3000:])
    verdict = ended.json
    assert verdict["parent_events"] >= 20
    for child in verdict["children"].values():
        assert child["copied"]
        assert (child["missed"], child["twice"], child["differences"], child["drift"]) == (0, 0, [], [])
    return verdict


async def test_a_misbehaving_tws_with_everybody_in_one_login(tmp_path: Path) -> None:
    assert (await demo(tmp_path, *FAULTS))["market"] == "synthetic"


async def test_two_logins_on_recorded_ticks(tmp_path: Path) -> None:
    if not RECORDING.is_file():
        pytest.skip(f"no recording at {RECORDING}")
    assert (await demo(tmp_path, *TWO_LOGINS, "--market", str(RECORDING)))["market"] == str(RECORDING)
