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
