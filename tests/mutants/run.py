"""Runs the fast, pure tests against every mutant of the pure engine, and keeps what became of each: `make mutants`.

    python tests/mutants/run.py [--only MODULE]... [--again] [--jobs N]

First every test is run once, and which functions it enters is kept. Then each mutant has a process of its own, in which
the tests that enter its function are run, the quickest first, until one fails. Results are appended to `results.jsonl` as
they come: a run that was interrupted goes on where it was, and a mutant whose function has changed is run again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RESULTS = HERE / "results.jsonl"
ENGINE = str(ROOT / "core/src/copydesk") + os.sep
MODULES = (
    "copier", "merging", "following", "standing", "planning", "sizing", "protecting", "guarding", "unfilled", "executions",
    "trimming", "settling", "sending", "tracking", "ids", "drifting", "state", "unprotected", "budget", "pairing",
)  # fmt: skip
"""The modules of the pure engine."""
TESTS = ("tests/scenarios", "tests/core")
NOT_PURE = ("tests/core/desk", "tests/core/control", "tests/core/testing", "test_planted", "test_binance_futures")
SLOWEST_S = 4.0
"""A test that takes longer kills no mutants; the machine is given few stories."""
STORIES = 60
CPU_S, MEMORY = 40, 3 << 30
"""A mutant that lets the tests run for so long, or take so many bytes, goes round in circles: found."""
WALL_S = 150
"""So is one that waits for so long."""


@dataclass
class Kept:
    """What is known of one test: how long it takes, and which functions it enters."""

    item: Any
    seconds: float = 0.0
    functions: set[tuple[str, str]] = field(default_factory=set)
    failed: bool = False


class Mutating:
    """A pytest plugin: in place of running the tests it runs them on mutants."""

    def __init__(self, modules: tuple[str, ...], jobs: int) -> None:
        self.modules, self.jobs = modules, jobs
        self.failed = False
        self.running: dict[int, tuple[Any, int, float]] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.failed = self.failed or report.failed

    def pytest_report_teststatus(self, report: Any) -> tuple[str, str, str]:
        return "", "", ""

    def pytest_runtestloop(self, session: Any) -> bool:
        from mutate import mutants_of

        kept = [one for one in map(self.survey, pure(session.items)) if not one.failed and one.seconds <= SLOWEST_S]
        kept.sort(key=lambda one: one.seconds)
        print(f"{len(kept)} tests, {sum(one.seconds for one in kept):.0f} s", flush=True)
        known = {row["key"] for row in read_results()}
        for module in self.modules:
            if not (ROOT / "core/src/copydesk" / f"{module}.py").exists():
                continue
            mutants = [mutant for mutant in mutants_of(module) if key_of(mutant) not in known]
            print(f"{module}: {len(mutants)} mutants to run", flush=True)
            for mutant in mutants:
                touching = [one for one in kept if (module, mutant.function) in one.functions]
                if not touching:
                    self.keep(mutant, "survived", "no test enters it", 0.0)
                    continue
                while len(self.running) >= self.jobs:
                    self.reap()
                self.start(mutant, touching)
        while self.running:
            self.reap()
        return True

    def survey(self, item: Any) -> Kept:
        """Run a test once and keep which functions of the engine it enters."""
        kept, seen = Kept(item), set()

        def enter(frame: FrameType, event: str, _: object) -> None:
            if event == "call":
                seen.add(frame.f_code)

        self.failed = False
        started = time.process_time()
        sys.setprofile(enter)
        try:
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        finally:
            sys.setprofile(None)
        kept.seconds = time.process_time() - started
        kept.functions = {place for place in map(place_of, seen) if place is not None}
        kept.failed = self.failed
        return kept

    def start(self, mutant: Any, touching: list[Kept]) -> None:
        """A process in which the mutant lives. It tells the test that found it and ends with 1, or with 0."""
        reading, writing = os.pipe()
        sys.stdout.flush()
        child = os.fork()
        if child:
            os.close(writing)
            self.running[child] = (mutant, reading, time.monotonic())
            return
        os.close(reading)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S + 1))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os._exit(self.hunt(mutant, touching, writing))

    def hunt(self, mutant: Any, touching: list[Kept], writing: int) -> int:
        from mutate import plant

        plant(mutant)
        self.failed = False
        for one in touching:
            one.item.config.hook.pytest_runtest_protocol(item=one.item, nextitem=None)
            if self.failed:
                os.write(writing, one.item.nodeid.encode())
                return 1
        return 0

    def reap(self) -> None:
        child, status = self.wait()
        mutant, reading, started = self.running.pop(child)
        by = os.read(reading, 4096).decode()
        os.close(reading)
        if os.WIFSIGNALED(status):
            verdict, by = "timeout", "it never ends"
        else:
            verdict = "survived" if os.waitstatus_to_exitcode(status) == 0 else "killed"
        self.keep(mutant, verdict, by, time.monotonic() - started)

    def wait(self) -> tuple[int, int]:
        """The next process that has ended; one that only waits is ended after `WALL_S`."""
        while True:
            child, status = os.waitpid(-1, os.WNOHANG)
            if child:
                return child, status
            for running, (_, _, started) in self.running.items():
                if time.monotonic() - started > WALL_S:
                    os.kill(running, signal.SIGKILL)
            time.sleep(0.01)

    def keep(self, mutant: Any, verdict: str, by: str, seconds: float) -> None:
        row = {
            "key": key_of(mutant),
            "name": mutant.name,
            "verdict": verdict,
            "by": by,
            "before": mutant.before,
            "after": mutant.after,
            "seconds": round(seconds, 2),
        }
        with RESULTS.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")


def pure(items: list[Any]) -> list[Any]:
    return [item for item in items if not any(part in item.nodeid for part in NOT_PURE)]


def place_of(code: CodeType) -> tuple[str, str] | None:
    """(module, function) of the outermost function that `code` belongs to, or `None` where it is not the engine's."""
    if not code.co_filename.startswith(ENGINE):
        return None
    return Path(code.co_filename).stem, code.co_qualname.partition(".<locals>")[0]


def key_of(mutant: Any) -> str:
    """Changes with the function, so that results of an older one do not count."""
    return mutant.name + "@" + hashlib.blake2b(mutant.source.encode(), digest_size=8).hexdigest()


def read_results() -> list[dict[str, Any]]:
    if not RESULTS.exists():
        return []
    return [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]


def main() -> int:
    import pytest

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=MODULES, help="run the mutants of this module")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--again", action="store_true", help="forget the results so far")
    chosen = parser.parse_args()
    if chosen.again:
        RESULTS.unlink(missing_ok=True)
    sys.path[:0] = [str(HERE)]
    os.chdir(ROOT)
    os.environ["COPYDESK_STORIES"] = str(STORIES)
    words = [*TESTS, "-q", "-p", "no:xdist", "-p", "no:cacheprovider", "-o", "timeout=0"]
    plugin = Mutating(tuple(chosen.only or MODULES), chosen.jobs)
    status = pytest.main([*words, "-m", "not slow and not browser"], plugins=[plugin])
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
