"""The pytest plugin of the contract suite: writes a table of what passed, was skipped and failed into a README.

`pytest --contract-table plugins/my-venue/README.md tests/...` replaces what stands between the markers
`<!-- contract: begin -->` and `<!-- contract: end -->`. Loaded by every pytest in an environment with copydesk, so it
imports nothing of it before it is asked to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

BEGIN, END = "<!-- contract: begin -->", "<!-- contract: end -->"
_PROPERTY = "copydesk-contract"
_NUMBERED = re.compile(r"test_(c\d\d)_")
_WORDS = {"passed": "passed", "skipped": "skipped", "failed": "**failed**"}

pytest.register_assert_rewrite("copydesk.testing")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("copydesk").addoption(
        "--contract-table", metavar="README", help="write the contract suite's table into this file, between its markers"
    )


def pytest_configure(config: pytest.Config) -> None:
    path = config.getoption("--contract-table")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Table(Path(path)), "copydesk-contract-table")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        function = getattr(item, "function", None)
        match = _NUMBERED.match(getattr(function, "__name__", ""))
        if match and str(getattr(function, "__module__", "")).startswith("copydesk.testing."):
            sentence = " ".join((function.__doc__ or "").split())
            item.user_properties.append((_PROPERTY, [match.group(1).upper(), sentence]))


@dataclass
class Row:
    """One numbered test: how each of its runs ended, and why some were skipped."""

    sentence: str
    outcomes: list[str] = field(default_factory=list)
    reasons: dict[str, None] = field(default_factory=dict)

    @property
    def result(self) -> str:
        """Failed where any run failed, skipped where all were."""
        if "failed" in self.outcomes:
            return "failed"
        return "passed" if "passed" in self.outcomes else "skipped"


class _Table:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[str, Row] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        told = dict(report.user_properties).get(_PROPERTY)
        if not isinstance(told, list | tuple):
            return
        row = self._rows.setdefault(str(told[0]), Row(str(told[1])))
        if report.outcome == "failed" or report.when == "call" or report.outcome == "skipped":
            row.outcomes.append(report.outcome)
        if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
            row.reasons[str(report.longrepr[2]).rpartition("Skipped: ")[2].rpartition("CannotDo: ")[2]] = None

    def pytest_sessionfinish(self) -> None:
        if self._rows:
            write_table(self._path, self._rows)


def table(rows: Mapping[str, Row]) -> str:
    """The table as Markdown, one line per numbered test, with the sum before it."""
    results = [row.result for row in rows.values()]
    total = ", ".join(f"{results.count(word)} {word}" for word in _WORDS if word in results)
    lines = [f"{len(rows)} numbered tests: {total}.", "", "| | what is promised | |", "|---|---|---|"]
    lines += [f"| {number} | {rows[number].sentence} | {_cell(rows[number])} |" for number in sorted(rows)]
    return "\n".join(lines)


def _cell(row: Row) -> str:
    if row.result != "skipped":
        return _WORDS[row.result]
    return f"skipped: {'; '.join(_brief(row.reasons))}"


def _brief(reasons: Iterable[str]) -> Iterator[str]:
    """Reasons without the venue's title, which the page says already."""
    return (reason.partition(": ")[2] or reason for reason in reasons)


def write_table(path: Path, rows: Mapping[str, Row]) -> None:
    """Replace what stands between the markers. Raises `pytest.UsageError` where they are missing."""
    text = path.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise pytest.UsageError(f"{path} has no lines {BEGIN} and {END}: add them where the table shall stand")
    path.write_text(f"{before}{BEGIN}\n{table(rows)}\n{END}{after}")
