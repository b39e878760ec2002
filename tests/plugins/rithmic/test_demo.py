"""The demo on Rithmic as a user runs it: two logins, a venue that misbehaves."""

from __future__ import annotations

import pytest
from copydesk.demo.verdict import Verdict
from copydesk.model import from_json
from harness.demos import run

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480)]
FAULTS = "drop-stream:61,lose-reply,duplicate-events,reorder"


async def test_two_logins_and_faults() -> None:
    """The parent and a child are accounts of one login, two more children of another."""
    logins = ("--option", "user.child2=second", "--option", "user.child3=second")
    words = ("--kind", "rithmic", "--seconds", "1", "--pace", "0.1", "--fault", FAULTS, *logins)
    ended = await run("demo", "--headless", "--json", *words)
    assert ended.status == 0, ended
    verdict = from_json(ended.out, Verdict)
    assert (verdict.missed, verdict.twice, verdict.unexplained_drift) == (0, 0, 0)
    assert verdict.copied > 40
    assert {"take-profit-limit", "stop-limit", "flip", "amend"} <= verdict.parent_orders.keys()
