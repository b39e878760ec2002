"""Runs the fast, pure tests against every mutant of the pure engine, and keeps what became of each: `make mutants`.

    python tests/mutants/run.py [--only MODULE]... [--again | --survivors] [--quick] [--sample N] [--seed N] [--jobs N]

First every test is run once, and which lines of the engine it executes is kept. Then each mutant has a process of its
own, in which the tests that execute its statement are run until one fails: first those that take less than `QUICK_S`, of
these first the ones that found others of the same function, then those that enter the fewest functions. What survives is
given to the slower tests and to made-up stories of the machine (not with `--quick`), for `LONG_S` at the most. Results are
appended to `results.jsonl` as they come: a run that was interrupted goes on where it was, and a mutant whose function has
changed is run again. `--survivors` runs those once more that survived.
"""

from __future__ import annotations

import argparse
import ast
import os
import resource
import select
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from inspect import iscoroutinefunction
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

from results import MODULES, RESULTS, ROOT, SEED, SURVIVED, keep_result, key_of, read_results, sample

ENGINE = str(ROOT / "core/src/copydesk") + os.sep
TESTS = ("tests/scenarios", "tests/core", "tests/core/desk/test_families.py")
NOT_PURE = (
    "test_machine",
    "tests/core/control", "tests/core/testing", "test_planted", "test_binance_futures", "test_refusals.py", "test_bot_life",
    "test_hookspecs", "test_the_engine_writes_one",
)  # fmt: skip
NOT_PURE_BUT = {"tests/core/desk": "test_families"}
QUICK_S, SLOW_S = 0.4, 6.0
"""A test that takes longer than the first is run on what the quick ones leave; longer than the second, on none."""
TALES, STORIES = 80, 5
"""So many times the machine makes up so many stories: each time counts as one test, and they are the same every time."""
LONG_S = 10.0
"""So much of them is run on a mutant, the shortest first."""
SLOWER = 10
"""A mutant that makes a test so many times slower goes round in circles: found. So is one that takes so much memory."""
MEMORY = 3 << 30
WALL_S = 90
"""So is one that waits for so long."""


@dataclass
class Kept:
    """What is known of one test: how long it takes, and which lines it executes."""

    name: str
    run: Callable[[], None]
    seconds: float = 0.0
    lines: dict[tuple[str, str], set[int]] = field(default_factory=lambda: defaultdict(set))  # by module and function
    failed: bool = False

    @property
    def is_test(self) -> bool:
        return "::" in self.name

    def executes(self, mutant: Any) -> bool:
        if mutant.table or mutant.of_words:
            return any(module == mutant.module for module, _ in self.lines)
        lines = self.lines.get((mutant.module, mutant.function))
        if lines is None:
            return False
        return not mutant.first or any(mutant.first <= line <= mutant.last for line in lines)


@dataclass
class Running:
    mutant: Any
    pipe: int
    started: float
    tests: int
    last: bool  # nothing comes after it


class Mutating:
    """A pytest plugin: in place of running the tests it runs them on mutants."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self.chosen = chosen
        self.modules: tuple[str, ...] = tuple(chosen.only or MODULES)
        self.failed = False
        self.running: dict[int, Running] = {}
        self.finders: dict[tuple[str, str], list[str]] = defaultdict(
            list
        )  # by function: the tests that found, the latest first
        self.survived: list[Any] = []
        self.rest: Any = None

    def pytest_runtest_logreport(self, report: Any) -> None:
        self.failed = self.failed or report.failed

    def pytest_report_teststatus(self, report: Any) -> tuple[str, str, str]:
        return "", "", ""

    def pytest_runtestloop(self, session: Any) -> bool:
        import gc

        self.rest = SimpleNamespace(listchain=lambda: [session])  # what lasts for the session lasts
        tests = [Kept(item.nodeid, partial(self.test, item)) for item in pure(session.items)]
        if not self.chosen.quick:
            tests += [Kept(f"tale {number}", partial(self.tale, number)) for number in range(TALES)]
        self.survey(tests)
        quick = [one for one in tests if not one.failed and one.seconds <= QUICK_S and one.is_test]
        long = [one for one in tests if not one.failed and one.seconds <= SLOW_S and one not in quick]
        quick.sort(key=lambda one: (len(one.lines), one.seconds))
        long.sort(key=lambda one: one.seconds)
        for name, some in (("quick", quick), ("long", long)):
            print(f"{len(some)} {name} tests, {sum(one.seconds for one in some):.0f} s", flush=True)
        gc.collect()
        gc.freeze()  # the processes share it
        mutants = self.mutants()
        print(f"{time.strftime('%H:%M:%S')} {len(mutants)} mutants to run", flush=True)
        self.run(mutants, quick, last=self.chosen.quick)
        if not self.chosen.quick:
            left, self.survived = self.survived, []
            print(f"{time.strftime('%H:%M:%S')} {len(left)} are left for the long tests", flush=True)
            self.run(left, long, last=True)
        return True

    def mutants(self) -> list[Any]:
        """Those to be run, in the order in which they are drawn: where this ends early, it was a smaller sample."""
        from mutate import mutants_of

        known = read_results()
        if self.chosen.survivors:
            known = {key: row for key, row in known.items() if row["verdict"] != SURVIVED}
        made = [mutant for module in self.modules for mutant in mutants_of(module)]
        drawn = sample(made, self.chosen.sample, self.chosen.seed)
        return [mutant for mutant in drawn if key_of(mutant) not in known]

    def survey(self, tests: list[Kept]) -> None:
        """Run every test once and keep how long it takes and which lines of the engine it executes."""
        from coverage import Coverage
        from mutate import forget_cached

        meter = Coverage(data_file=None, config_file=False, include=[ENGINE + "*"])
        meter.start()
        for one in tests:
            self.failed = False
            forget_cached()
            meter.switch_context(one.name)
            started = time.process_time()
            one.run()
            one.seconds, one.failed = time.process_time() - started, self.failed
        meter.stop()
        by_name = {one.name: one for one in tests}
        found = meter.get_data()
        for file in found.measured_files():
            places = functions_of(Path(file))
            for line, names in found.contexts_by_lineno(file).items():
                for name in set(names) & by_name.keys() if line in places else ():
                    by_name[name].lines[places[line]].add(line)

    def tale(self, number: int) -> None:
        """Some stories of the machine, the same ones for the same number."""
        from harness.machine import DeskMachine
        from hypothesis import HealthCheck, Phase, settings
        from hypothesis.stateful import run_state_machine_as_test

        chosen = settings(
            max_examples=STORIES,
            stateful_step_count=14,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        )
        machine = type("DeskMachine", (DeskMachine,), {"_hypothesis_internal_use_seed": 1000 + number})
        try:
            run_state_machine_as_test(machine, settings=chosen)
        except BaseException:  # noqa: BLE001 - whatever it is, the mutant does not go unnoticed
            self.failed = True

    def test(self, item: Any) -> None:
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=self.rest)

    def run(self, mutants: list[Any], tests: list[Kept], *, last: bool) -> None:
        for mutant in mutants:
            finders = self.finders[mutant.module, mutant.function]
            touching = [one for one in tests if one.executes(mutant)]
            rank = {name: n for n, name in enumerate(finders)}
            touching.sort(key=lambda one, rank=rank: rank.get(one.name, len(rank)))  # type: ignore[misc]
            if not touching and last:
                keep_result(mutant, SURVIVED, "no test executes it", 0.0)
                continue
            if not touching:
                self.survived.append(mutant)
                continue
            while len(self.running) >= self.chosen.jobs:
                self.reap()
            self.start(mutant, touching, last=last)
        while self.running:
            self.reap()

    def start(self, mutant: Any, touching: list[Kept], *, last: bool) -> None:
        """A process in which the mutant lives. It tells the test that found it and ends with 1, or with 0."""
        reading, writing = os.pipe()
        sys.stdout.flush()
        child = os.fork()
        if child:
            os.close(writing)
            self.running[child] = Running(mutant, reading, time.monotonic(), len(touching), last)
            return
        os.close(reading)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        os._exit(self.hunt(mutant, touching, writing))

    def hunt(self, mutant: Any, touching: list[Kept], writing: int) -> int:
        from mutate import plant

        plant(mutant)
        self.failed = False
        spent = 0.0
        for one in touching:
            signal.setitimer(signal.ITIMER_PROF, 2 + SLOWER * one.seconds)
            one.run()
            if self.failed:
                os.write(writing, one.name.encode())
                return 1
            spent += one.seconds
            if spent > LONG_S and one.seconds > QUICK_S / 4:
                break
        return 0

    def reap(self) -> None:
        child, status = self.wait()
        ended = self.running.pop(child)
        mutant, seconds = ended.mutant, time.monotonic() - ended.started
        by = os.read(ended.pipe, 4096).decode()
        os.close(ended.pipe)
        if os.WIFSIGNALED(status):
            keep_result(mutant, "timeout", "it never ends", seconds)
        elif os.waitstatus_to_exitcode(status) != 0:
            keep_result(mutant, "killed", by, seconds)
            finders = self.finders[mutant.module, mutant.function]
            if by in finders:
                finders.remove(by)
            finders.insert(0, by)
        elif ended.last:
            keep_result(mutant, SURVIVED, f"{ended.tests} tests", seconds)
        else:
            self.survived.append(mutant)

    def wait(self) -> tuple[int, int]:
        """The next process that has ended; one that only waits is ended after `WALL_S`."""
        while True:
            oldest = min(known.started for known in self.running.values())
            pipes = [known.pipe for known in self.running.values()]
            said, _, _ = select.select(pipes, [], [], max(0.0, oldest + WALL_S - time.monotonic()))
            for child, known in self.running.items():
                if known.pipe in said:  # it has named the test that found it, or it has ended
                    return os.waitpid(child, 0)
                if time.monotonic() - known.started > WALL_S:
                    os.kill(child, signal.SIGKILL)


def pure(items: list[Any]) -> list[Any]:
    """The tests that stay within one process, each once; those with sockets may fail in a forked one for nothing."""
    chosen = {}
    for item in items:
        if any(part in item.nodeid for part in NOT_PURE) or iscoroutinefunction(item.function):
            continue
        if any(part in item.nodeid and but not in item.nodeid for part, but in NOT_PURE_BUT.items()):
            continue
        chosen[item.nodeid] = item
    return list(chosen.values())


def functions_of(path: Path) -> dict[int, tuple[str, str]]:
    """(module, function) by each line in the body of one; of one within another, the outermost."""
    found: dict[int, tuple[str, str]] = {}

    def walk(nodes: list[ast.stmt], owner: str) -> None:
        for node in nodes:
            if isinstance(node, ast.ClassDef):
                walk(node.body, f"{owner}{node.name}.")
            elif isinstance(node, ast.FunctionDef):
                lines = range(node.body[0].lineno, (node.end_lineno or 0) + 1)
                found.update(dict.fromkeys(lines, (path.stem, owner + node.name)))

    walk(ast.parse(path.read_text(encoding="utf-8")).body, "")
    return found


def main() -> int:
    import pytest

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=MODULES, help="run the mutants of this module")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--again", action="store_true", help="forget the results so far")
    parser.add_argument("--survivors", action="store_true", help="run those again that survived")
    parser.add_argument("--quick", action="store_true", help="without the machine's stories")
    parser.add_argument(
        "--sample", type=float, default=100, metavar="PERCENT", help="so many of each module, the same ones each time"
    )
    parser.add_argument("--seed", type=int, default=SEED, help="take another sample")
    chosen = parser.parse_args()
    if chosen.again:
        RESULTS.unlink(missing_ok=True)
    os.chdir(ROOT)
    words = [*TESTS, "-q", "--tb=no", "-p", "no:xdist", "-p", "no:cacheprovider", "-o", "timeout=0"]
    words += ["-o", "tmp_path_retention_policy=none", "-m", "not slow and not browser"]
    with TemporaryDirectory() as folder:  # of its own: other runs of pytest clear away the old ones among the common ones
        return int(pytest.main([*words, "--basetemp", f"{folder}/tests"], plugins=[Mutating(chosen)]))


if __name__ == "__main__":
    sys.exit(main())
