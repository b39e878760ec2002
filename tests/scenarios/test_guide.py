"""The page on semantics in the user guide is what the scenarios say, and every rule has one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from harness.scenario.guide import RULES, page
from harness.scenario.reading import ScenarioError, read_scenario, read_text

FOLDER = Path(__file__).parent
PAGE = FOLDER.parents[1] / "docs" / "semantics.md"
DESK = "A title\n\nDesk\n  rule 1\n  child a x1\n\nStory\n"


def test_the_page_is_made_of_the_scenarios() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(FOLDER), "make it anew with `make guide`"


def test_every_rule_has_a_scenario_and_every_scenario_its_rule() -> None:
    rules = {int(number) for number in re.findall(r"^## (\d+)\.", (FOLDER / RULES).read_text(), flags=re.MULTILINE)}
    told = {path: read_scenario(path).rules for path in FOLDER.glob("*.scenario")}
    assert rules == set(range(1, 23))
    assert {rule for numbers in told.values() for rule in numbers} == rules
    for path, numbers in told.items():
        assert int(path.name[:2]) in numbers, f"{path.name} is named after another rule than {numbers}"


REPORTED = {
    "the child fills 1 of 2: the copied stop is 1": "04-partial-fill-sizes-the-stop",
    "the parent's target takes its stop away while the child's target still rests": "11-stop-survives-the-target",
    "a reconnect repeats three old fills": "19-old-fills-repeated",
    "the venue times out after accepting, and reports the order ten seconds later": "10-reported-ten-seconds-later",
    "a restart with the child long 1 and the parent flat, then the parent buys 1": "16-restart-child-long-parent-flat",
    "scale 33 %: buy 10, sell 5": "03-scale-33-percent",
    "two orders in quick succession, the first one's margin locked": "02-margin-locked-by-the-first-order",
    "the parent uses its whole balance": "02-parent-uses-its-whole-balance",
    "the parent closes in three partial closes": "04-three-partial-closes",
    "five orders in the same millisecond": "01-five-orders-at-once",
    "a reduce-only exit on a flat child": "04-reduce-only-exit-on-a-flat-child",
    "a position-mode mismatch": "18-position-mode-mismatch",
    "twenty children and a stop dragged thirty times": "21-twenty-children-and-a-dragged-stop",
    "a reversal from 2 long to 2 short while the child holds 1 long": "04-flip",
    "a connection down at shutdown and still down at boot": "16-down-at-shutdown-and-at-boot",
    "fifty parent orders each below the child's minimum": "03-fifty-orders-below-the-minimum",
}
"""What users of other copiers reported."""


@pytest.mark.parametrize("name", REPORTED.values())
def test_what_users_of_other_copiers_reported_has_a_scenario(name: str) -> None:
    scenario = read_scenario(FOLDER / f"{name}.scenario")
    assert sum(step.phrase.is_check for step in scenario.steps) >= 1
    assert any(not step.phrase.is_check for step in scenario.steps)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (DESK + "  child a shal hold 3\n", 8, "no such step; expected one of: {account} shall"[:12]),
        (DESK + "  child b shall hold 3\n", 8, "there is no account 'b': parent, a"),
        (DESK + "  parent buys three\n", 8, "'three' is no number"),
        (DESK + "  parent buys 3 at\n", 8, "'at' does not belong there"),
        (DESK + "  parent buys 3\n", 0, "the story checks nothing"),
        (DESK + "  time passes: 3 moons\n  child a shall be flat\n", 8, "no such step"),
        (DESK.replace("child a x1", "child a 1"), 0, "needs its size"),
        (DESK.replace("child a x1", "child a x1,rounding=up"), 0, "'rounding' must be"),
        (DESK.replace("rule 1", "rule one"), 4, "is no setting of a desk"),
        (DESK.replace("  rule 1\n", ""), 0, "names no rule"),
        (DESK.replace("rule 1", "market depth 4"), 4, "'depth' is nothing of a market"),
    ],
)
def test_what_is_written_wrongly_is_refused_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(ScenarioError) as failed:
        read_text(text, Path("wrong.scenario"))
    place = f"wrong.scenario, line {line}: " if line else "wrong.scenario: "
    assert str(failed.value).startswith(place)
    assert words in str(failed.value)
