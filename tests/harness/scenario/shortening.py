"""Makes a story that fails as short as it can be: every step and child without which it fails too is left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from harness.scenario.held import pure_stage
from harness.scenario.reading import ScenarioError, read_text
from harness.scenario.stage import ScenarioFailed, now, play

LAST = 2
"""The last two steps stay: all comes to rest, and promises shall hold."""


def failure(text: str) -> str:
    """Which promise the story breaks, or an empty string. A story that cannot be told breaks none."""
    try:
        now(play(pure_stage(read_text(text, Path("made-up.scenario")))))
    except ScenarioFailed as failed:
        what = str(failed).partition(": ")[2]
        return what if what.startswith(("promises", "all comes")) else ""
    except ScenarioError:
        return ""
    return ""


def shortened(text: str) -> str:
    """The shortest story found that breaks a promise too, or `text` itself where it breaks none by itself."""
    head, _, tail = text.partition("Story\n")
    desk, steps = head.splitlines(), tail.splitlines()
    told, end = steps[:-LAST], steps[-LAST:]
    fixed = [line for line in desk if not line.startswith(("  child", "  venue", "  all accounts"))]
    loose = [line for line in desk if line not in fixed]

    def story(loose: list[str], told: list[str]) -> str:
        return "\n".join([*(line for line in desk if line in fixed or line in loose), "Story", *told, *end, ""])

    if not failure(text):
        return text
    told = _without(told, lambda some: bool(failure(story(loose, some))))
    loose = _without(loose, lambda some: bool(failure(story(some, told))))
    return story(loose, _without(told, lambda some: bool(failure(story(loose, some)))))


def _without(lines: list[str], still_fails: Callable[[list[str]], bool]) -> list[str]:
    """As few of the lines as will do, larger parts left out first."""
    size = max(1, len(lines) // 2)
    while size:
        at = 0
        while at < len(lines):
            fewer = lines[:at] + lines[at + size :]
            if still_fails(fewer):
                lines = fewer
            else:
                at += size
        size //= 2
    return lines
