"""`make test`: all tests, several at a time. Where few of them fail, those once more, alone and one after the other.

    python tests/gate.py [pytest's options]

A slow and busy machine shows what only a failure beside others shows: it is printed by name in any case, as a defect to be
mended. The exit status is 0 where everything passed, at least alone; else it is pytest's own.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

import pytest

MOST = 5
FAILED = 1  # pytest's exit status where tests failed and nothing else went wrong


class Failures:
    """Which tests failed, and whether all could be collected."""

    def __init__(self) -> None:
        self.tests: dict[str, None] = {}
        self.collected = True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.tests[without_group(report.nodeid)] = None

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.collected = False


def without_group(nodeid: str) -> str:
    """A test's id as pytest takes it: `--dist loadgroup` adds `@` and the group."""
    at = nodeid.rfind("@")
    return nodeid[:at] if at > nodeid.rfind("]") and at > nodeid.rfind("::") else nodeid


def main(options: Sequence[str]) -> int:
    beside = Failures()
    status = int(pytest.main([*options], plugins=[beside]))
    tests = list(beside.tests)
    if status != FAILED or not beside.collected or not tests:
        return status
    if len(tests) > MOST:
        print(f"\n{len(tests)} tests failed, more than {MOST}: they are not tried again.")
        return status
    print(f"\n{len(tests)} of the tests failed. Once more, alone and one after the other:", flush=True)
    verdicts = {
        test: subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", test]).returncode for test in tests
    }
    for test, verdict in verdicts.items():
        print(f"failed beside others, {'failed' if verdict else 'passed'} alone: {test}")
    return max(verdicts.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
