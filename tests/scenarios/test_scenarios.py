"""Every scenario, on the pure engine and over sockets (`README.md` says how to write one)."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from harness.scenario.held import pure_stage
from harness.scenario.lapse import Lapse
from harness.scenario.pure import PureStage
from harness.scenario.reading import Scenario, read_scenario
from harness.scenario.stage import ScenarioFailed, play
from harness.scenario.wire import WireStage

FOLDER = Path(__file__).parent
FILES = sorted(FOLDER.glob("*.scenario"))


def scenario_for(path: Path, runner: str) -> Scenario:
    """The scenario, unless it says why it cannot run there."""
    scenario = read_scenario(path)
    if runner in scenario.skips:
        pytest.skip(f"{scenario.name}: {scenario.skips[runner]}")
    return scenario


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_pure_engine(path: Path) -> None:
    scenario = scenario_for(path, PureStage.runner)
    try:
        asyncio.run(play(pure_stage(scenario)))
    except ScenarioFailed as failed:
        pytest.fail(str(failed), pytrace=False)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_binance_futures(path: Path, tmp_path: Path) -> None:
    scenario = scenario_for(path, WireStage.runner)
    with Lapse() as lapse, asyncio.Runner(loop_factory=lambda: lapse.loop) as runner:
        try:
            runner.run(play(WireStage(scenario, tmp_path, lapse)))
        except ScenarioFailed as failed:
            pytest.fail(str(failed), pytrace=False)
