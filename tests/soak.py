"""Makes up stories for the pure engine until the time is over, other ones each time: `make soak`.

`COPYDESK_SOAK_S` says for how many seconds (an hour where it does not). A story that fails is shortened and kept as a
scenario file in `soak-failures`. The exit status is 1 where any did.
"""

from __future__ import annotations

import os
import sys
import time
from itertools import cycle
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

KEPT = Path("soak-failures")
EXAMPLES = 250
SPOT = 5
"""One batch of stories for so many others is about coins."""


def soak(seconds: float) -> int:
    """How many stories failed."""
    from harness.machine import DeskMachine
    from harness.scenario.shortening import shortened

    class Counted(DeskMachine):
        told = 0

        def teardown(self) -> None:
            super().teardown()
            Counted.told += 1

    class OnSpot(Counted):
        spot = True

    chosen = settings(
        max_examples=EXAMPLES,
        stateful_step_count=25,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        print_blob=False,
        report_multiple_bugs=False,
    )
    machines = cycle([*[Counted] * SPOT, OnSpot])
    begun, failed = time.monotonic(), 0
    while time.monotonic() < begun + seconds:
        try:
            run_state_machine_as_test(next(machines), settings=chosen)
        except Exception as error:  # noqa: BLE001 - whatever it is, its story is kept and others are told
            failed += 1
            KEPT.mkdir(exist_ok=True)
            file = KEPT / f"{time.time_ns()}.scenario"
            file.write_text(shortened(DeskMachine.latest), encoding="utf-8")
            print(f"{file}: {str(error).splitlines()[0][:200]}", flush=True)
    print(f"{Counted.told} stories held, {failed} did not, in {time.monotonic() - begun:.0f} s")
    return failed


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    sys.exit(1 if soak(float(os.environ.get("COPYDESK_SOAK_S", "3600"))) else 0)
