"""Made-up stories that are kept because of the parts of the engine that they reach: each keeps the promises."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.scenario.held import pure_stage
from harness.scenario.reading import read_scenario
from harness.scenario.stage import ScenarioFailed, now, play

FILES = sorted((Path(__file__).parent / "tales").glob("*.scenario"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_promises_hold_in(path: Path) -> None:
    try:
        now(play(pure_stage(read_scenario(path))))
    except ScenarioFailed as failed:
        pytest.fail(str(failed), pytrace=False)
