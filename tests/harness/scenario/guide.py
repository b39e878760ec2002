"""The user guide's page on what copying means, made of the rules in words and the scenarios.

python -m harness.scenario.guide tests/scenarios docs/semantics.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

from harness.scenario.reading import RUNNERS, Scenario, read_scenario

RULES = "rules.md"
_HEAD = """\
# What copying means

Every rule, with examples that are run at each change of copydesk: on its engine, and over sockets against a rehearsal
venue. Made of `tests/scenarios` by `make guide`; do not edit this page.

How to read an example: *Desk* is what is set up; where nothing is said, the price is 100, the smallest step of quantity 1,
and every account has 1,000,000. *Story* tells what happens and what then **shall** be. After each step everything comes to
rest: what is on its way arrives. A line that begins with "and" happens in the same moment as the one before it. "Shall
place" and "shall send" are about what followed from the steps just above.
"""


def page(folder: Path) -> str:
    """The whole page."""
    scenarios = [read_scenario(path) for path in sorted(folder.glob("*.scenario"))]
    rules = re.split(r"^(?=## )", (folder / RULES).read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    parts = [_HEAD, _contents(rules)]
    for rule in rules:
        number = _number(rule)
        own = [scenario for scenario in scenarios if _named_after(scenario) == number]
        others = [scenario for scenario in scenarios if number in scenario.rules and scenario not in own]
        parts += [rule.strip() + "\n", *map(_example, own)]
        if others:
            parts.append(f"See also: {', '.join(f'*{other.title}* (rule {_named_after(other)})' for other in others)}.\n")
    return "\n".join(parts)


def _number(rule: str) -> int:
    return int(rule.removeprefix("## ").partition(".")[0])


def _named_after(scenario: Scenario) -> int:
    return int(scenario.name.partition("-")[0])


def _contents(rules: Iterable[str]) -> str:
    titles = [rule.splitlines()[0].removeprefix("## ") for rule in rules]
    return "".join(f"- [{title}](#{_anchor(title)})\n" for title in titles)


def _anchor(title: str) -> str:
    return re.sub(r"[^\w\s-]", "", title.lower()).replace(" ", "-")


def _example(scenario: Scenario) -> str:
    lines = [f"### {scenario.title}", ""]
    if scenario.why:
        lines += [" ".join(scenario.why), ""]
    desk = [line for line in scenario.desk if not line.startswith(("rule ", "rules ", "not on "))]
    lines += ["```text", "Desk", *(f"  {line}" for line in desk), "Story"]
    lines += [f"  {step.text}" for step in scenario.steps]
    lines += ["```", ""]
    lines += [f"Not run on {_the(runner)}: {reason}.\n" for runner, reason in scenario.skips.items()]
    return "\n".join(lines)


def _the(runner: str) -> str:
    return "the pure engine" if runner == RUNNERS[0] else runner


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(page(Path(sys.argv[1])), encoding="utf-8")
