"""The promises of the pure engine, kept whatever happens: a machine makes up stories, and checks what is left of them.

`COPYDESK_EXAMPLES=20000` makes up others, and more of them. A failing story is printed as a scenario file: put it into
`tests/scenarios`, mend what it shows, and it stays mended.
"""

from __future__ import annotations

import os

from harness.machine import DeskMachine
from hypothesis import HealthCheck, Phase, settings

EXAMPLES = int(os.environ.get("COPYDESK_EXAMPLES", os.environ.get("COPYDESK_STORIES", "2000")))
DeskMachine.TestCase.settings = settings(
    derandomize="COPYDESK_EXAMPLES" not in os.environ,  # the gate tells the same stories each time; a hunt tells new ones
    max_examples=EXAMPLES,
    stateful_step_count=14,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.generate],  # what fails is shortened as a story: see `harness.scenario.shortening`
    print_blob=False,
)
TestPromises = DeskMachine.TestCase
