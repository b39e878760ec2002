"""Makes a story that fails as short as it can be: every step and child without which it fails too is left out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from copydesk_paper.refusal import ExchangeRefusal

from harness.scenario.held import pure_stage
from harness.scenario.reading import ScenarioError, read_text
from harness.scenario.stage import ScenarioFailed, now, play

LAST = 2
"""The last two steps stay: all comes to rest, and promises shall hold."""


def failure(text: str) -> str:
    """Which promise the story breaks, or where the engine gives way. Empty where all is well, or it cannot be told."""
    try:
        now(play(pure_stage(read_text(text, Path("made-up.scenario")))))
    except ScenarioFailed as failed:
        what = str(failed).partition(": ")[2]
        untold = isinstance(failed.__cause__, ScenarioFailed | ExchangeRefusal) and not what.startswith("promises")
        return "" if untold else what
    except ScenarioError:
        return ""
    return ""


def shortened(text: str) -> str:
    """The shortest story found that breaks a promise too, or `text` itself where it breaks none by itself."""
    head, _, tail = text.partition("Story\n")
    desk, steps = head.splitlines(), tail.splitlines()
    ends = "promises" in steps[-1]
    told, end = (steps[:-LAST], steps[-LAST:]) if ends else (steps, ["  all comes to rest", "  promises shall hold"])
    fixed = [line for line in desk if not line.startswith(("  child", "  venue", "  all accounts", "  bot"))]
    loose = [line for line in desk if line not in fixed]

    def story(loose: list[str], told: list[str]) -> str:
        return "\n".join([*fixed[:-1], *loose, fixed[-1], "Story", *told, *end, ""])

    broken = _promise(failure(story(loose, told)))
    if not broken:
        return text

    def fails(loose: list[str], told: list[str]) -> bool:
        return _promise(failure(story(loose, told))) == broken

    told = _without(told, lambda some: fails(loose, some))
    loose = _without(loose, lambda some: fails(some, told))
    told = _without(told, lambda some: fails(loose, some))
    for number, line in enumerate(loose):
        if line.startswith("  child"):
            before, (size, *settings), after = loose[:number], line.split(","), loose[number + 1 :]

            def child(some: list[str], rest: tuple[list[str], str, list[str]] = (before, size, after)) -> list[str]:
                return [*rest[0], ",".join([rest[1], *some]), *rest[2]]

            loose = child(_without(settings, lambda some, child=child: fails(child(some), told)))  # type: ignore[misc]
    return story(loose, told)


def _promise(failure: str) -> str:
    """The promise's name: what is left out must not make the story one of another."""
    return ": ".join(failure.split(": ")[:2])


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
