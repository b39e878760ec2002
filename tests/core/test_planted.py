"""The machine finds each fault that is planted in the engine; and what it prints of one is a scenario that shows it."""

from __future__ import annotations

from pathlib import Path

import pytest
from harness.machine import DeskMachine
from harness.planted import FAULTS, THEMES, planted
from harness.scenario.held import pure_stage
from harness.scenario.reading import read_text
from harness.scenario.stage import ScenarioFailed, now, play
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

EXAMPLES = 2_000
"""Within so many the machine finds each. It makes up the same ones every time."""


def hunt(phase: Phase, theme: str = "") -> None:
    chosen = settings(
        derandomize=True,
        database=None,
        max_examples=EXAMPLES,
        stateful_step_count=14,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[phase],
        print_blob=False,
        report_multiple_bugs=False,
    )
    run_state_machine_as_test(type("DeskMachine", (DeskMachine,), {"theme": theme}), settings=chosen)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", FAULTS)
def test_the_machine_finds(name: str) -> None:
    with planted(name), pytest.raises(AssertionError):
        hunt(Phase.generate, THEMES[name])


def test_what_it_prints_is_a_scenario() -> None:
    with planted("count a fill twice"), pytest.raises(AssertionError) as found:
        hunt(Phase.generate)
    story = found.value.__notes__[-1].lstrip("\n")
    assert story.startswith("A story that the machine made up"), "it is printed with the failure"
    scenario = read_text(story, Path("found.scenario"))
    assert len(scenario.steps) <= 6, story
    with planted("count a fill twice"), pytest.raises(ScenarioFailed, match="promises shall hold"):
        now(play(pure_stage(scenario)))
    now(play(pure_stage(scenario)))
