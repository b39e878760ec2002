"""Which modules are mutated, and what became of them: `python tests/mutants/results.py [--sample 25] [--survivors]`.

A survivor that does the same as the engine has its line in `alike.toml`, by function: the change, and why it does the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RESULTS = HERE / "results.jsonl"
ALIKE = HERE / "alike.toml"
SURVIVED = "survived"
SEED = 22
DECIDING = (
    "binding", "budget", "copier", "drifting", "dust", "executions", "filters", "following", "grouping", "guarding",
    "handwork", "ids", "lacking", "merging", "missing", "plain", "planning", "protecting", "refusing", "sending",
    "settling", "silence", "sizing", "standing", "starting", "state", "stopping", "tickets", "tracking", "trimming",
    "unfilled", "unprotected", "verifying",
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
        "change": mutant.change,
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


def read_alike() -> dict[tuple[str, str], str]:
    """By (`module.function`, change): why the survivor does the same."""
    told = tomllib.loads(ALIKE.read_text(encoding="utf-8"))
    return {(function, change): why for function, changes in told.items() for change, why in changes.items()}


def sample(made: list[Any], percent: float, seed: int = SEED) -> list[Any]:
    """So many of the mutants, by chance: the same ones each time, also where other functions have changed since.

    They are in the order in which they are drawn: the first of them are a smaller sample.
    """
    drawn = sorted((_drawn(f"{seed}/{mutant.name}"), mutant.name, mutant) for mutant in made)
    return [mutant for share, _, mutant in drawn if share < percent / 100]


def _drawn(name: str) -> float:
    """A number from 0 to 1 for a name."""
    return int.from_bytes(hashlib.blake2b(name.encode(), digest_size=6).digest(), "big") / 2**48


def interval(part: int, whole: int) -> tuple[float, float]:
    """The share of all, in percent, with 95 % confidence, by that of a sample (Wilson's score)."""
    z, share = 1.96, part / whole
    middle = (share + z * z / (2 * whole)) / (1 + z * z / whole)
    half = z * math.sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole)) / (1 + z * z / whole)
    return 100 * (middle - half), 100 * (middle + half)


def main() -> int:
    from mutate import mutants_of

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=MODULES, help="this module")
    parser.add_argument("--sample", type=float, default=100, metavar="PERCENT", help="of so many of each module")
    parser.add_argument("--seed", type=int, default=SEED, help="of another sample")
    parser.add_argument("--survivors", action="store_true", help="list those that are not told in alike.toml")
    chosen = parser.parse_args()
    results, alike = read_results(), read_alike()
    total: Counter[str] = Counter()
    unexplained, changes = [], set()
    print("| module | mutants | run | found | never end | survive | of these alike |\n|---|---|---|---|---|---|---|")
    for module in chosen.only or MODULES:
        made = list(mutants_of(module))
        changes |= {_place(mutant) for mutant in made}
        count = Counter(made=len(made))
        for mutant in sample(made, chosen.sample, chosen.seed):
            row = results.get(key_of(mutant))
            if row is None:
                continue
            count.update(("run", row["verdict"]))
            if row["verdict"] == SURVIVED:
                count["alike"] += _place(mutant) in alike
                if _place(mutant) not in alike:
                    unexplained.append((mutant, row["by"]))
        total += count
        print(_line(f"`{module}`", count))
    print(_line("**all**", total))
    if total["run"]:
        low, high = interval(total[SURVIVED], total["run"])
        print(f"\nof all mutants {low:.1f} to {high:.1f} % survive (95 %); {len(unexplained)} survivors are not explained")
    if not chosen.only:
        for function, change in sorted(set(alike) - changes):
            print(f"not a mutant any more: {function}: {change}")
    if chosen.survivors:
        for mutant, by in unexplained:
            print(f"{mutant.name} :{mutant.first}: {mutant.change} ({by})")
    return 0


def _place(mutant: Any) -> tuple[str, str]:
    return f"{mutant.module}.{mutant.function}", mutant.change


def _line(name: str, count: Counter[str]) -> str:
    share = f"{100 * count[SURVIVED] / count['run']:.1f} %" if count["run"] else "—"
    survive = f"{count[SURVIVED]} ({share})"
    cells = (name, count["made"], count["run"], count["killed"], count["timeout"], survive, count["alike"])
    return f"| {' | '.join(map(str, cells))} |"


if __name__ == "__main__":
    sys.exit(main())
