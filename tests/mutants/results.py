"""Which modules are mutated, and what became of them: `python tests/mutants/results.py [--survivors]`."""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, TypeVar

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RESULTS = HERE / "results.jsonl"
SURVIVED = "survived"
SEED = 22
T = TypeVar("T")
DECIDING = (
    "binding", "budget", "copier", "drifting", "dust", "executions", "filters", "following", "grouping", "guarding",
    "handwork", "ids", "lacking", "merging", "missing", "planning", "protecting", "refusing", "sending", "settling",
    "silence", "sizing", "standing", "starting", "state", "stopping", "tickets", "tracking", "trimming", "unfilled",
    "unprotected", "verifying",
)  # fmt: skip
"""What decides: all that `copier` reaches."""
TELLING = ("families", "feasibility", "forecast", "certifying", "notifying", "rules")
"""What is as pure, and tells people of what is or would be decided, or makes the engine's rules of their settings."""
MODULES = (*DECIDING, *TELLING)


def key_of(mutant: Any) -> str:
    """Changes with the function, so that results of an older one do not count."""
    return mutant.name + "@" + hashlib.blake2b(mutant.source.encode(), digest_size=8).hexdigest()


def keep_result(mutant: Any, verdict: str, by: str, seconds: float) -> None:
    row = {
        "key": key_of(mutant),
        "name": mutant.name,
        "verdict": verdict,
        "by": by,
        "line": mutant.first,
        "before": mutant.before,
        "after": mutant.after,
        "seconds": round(seconds, 2),
    }
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def read_results() -> dict[str, dict[str, Any]]:
    """The latest result of each mutant, by its key."""
    if not RESULTS.exists():
        return {}
    rows = map(json.loads, RESULTS.read_text(encoding="utf-8").splitlines())
    return {row["key"]: row for row in rows}


def sample(made: list[T], percent: int) -> list[T]:
    """So many of a module's mutants, by chance, and the same ones each time."""
    return made if percent >= 100 else random.Random(SEED).sample(made, max(1, len(made) * percent // 100))


def main() -> int:
    from mutate import mutants_of

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=100, metavar="PERCENT", help="of so many of each module")
    parser.add_argument("--survivors", action="store_true", help="list them")
    chosen = parser.parse_args()
    results = read_results()
    total: Counter[str] = Counter()
    print("| module | mutants | run | found | never end | survive |\n|---|---|---|---|---|---|")
    survivors: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for module in MODULES:
        made = list(mutants_of(module))
        keys = [key_of(mutant) for mutant in sample(made, chosen.sample)]
        rows = [results[key] for key in keys if key in results]
        count = Counter(row["verdict"] for row in rows) + Counter(made=len(made), run=len(rows))
        total += count
        survivors[module] = [row for row in rows if row["verdict"] == SURVIVED]
        print(_line(f"`{module}`", count))
    print(_line("**all**", total))
    if chosen.survivors:
        for rows in survivors.values():
            for row in rows:
                print(f"{row['name']} :{row['line']}: {row['before']!r} -> {row['after']!r} ({row['by']})")
    return 0


def _line(name: str, count: Counter[str]) -> str:
    share = f"{100 * count[SURVIVED] / count['run']:.1f} %" if count["run"] else "—"
    cells = (name, count["made"], count["run"], count["killed"], count["timeout"], f"{count[SURVIVED]} ({share})")
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    sys.exit(main())
