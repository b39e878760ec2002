"""The promises of the pure engine, kept whatever happens: a machine makes up stories, and checks what is left of them.

`COPYDESK_EXAMPLES=20000` makes up others, and more of them. A failing story is printed as a scenario file: put it into
`tests/scenarios`, mend what it shows, and it stays mended.
"""

from __future__ import annotations

import os

import pytest
from harness.machine import DeskMachine
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

HUNTS = "COPYDESK_EXAMPLES" in os.environ
EXAMPLES = int(os.environ.get("COPYDESK_EXAMPLES", os.environ.get("COPYDESK_STORIES", "2000")))
PARTS = 4
"""So many workers can share the stories, and none takes long on a busy machine."""


SPOT = 10
"""One story for so many others is about coins."""


@pytest.mark.timeout(600)
@pytest.mark.parametrize("part", range(PARTS))
def test_the_promises_hold(part: int) -> None:
    tell(EXAMPLES // PARTS, seed=part)


@pytest.mark.timeout(600)
def test_the_promises_hold_on_spot() -> None:
    tell(EXAMPLES // SPOT, seed=PARTS, spot=True)


def tell(stories: int, *, seed: int, spot: bool = False) -> None:
    chosen = settings(
        max_examples=max(1, stories),
        stateful_step_count=14,
        deadline=None,
        database=None,
        phases=[Phase.generate],  # what fails is shortened as a story: see `harness.scenario.shortening`
        suppress_health_check=list(HealthCheck),
        print_blob=False,
    )
    machine = type("DeskMachine", (DeskMachine,), {"spot": spot})
    if not HUNTS:  # the gate tells the same stories each time
        machine._hypothesis_internal_use_seed = seed  # type: ignore[attr-defined]
    run_state_machine_as_test(machine, settings=chosen)
