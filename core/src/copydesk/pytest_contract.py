"""The pytest plugin of the contract suite: writes a table of what passed, was skipped and failed into a README.

`pytest --contract-table plugins/my-venue/README.md tests/...` replaces what stands between the markers
`<!-- contract: begin -->` and `<!-- contract: end -->`. Loaded by every pytest in an environment with copydesk, so it
imports nothing of it before it is asked to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

BEGIN, END = "<!-- contract: begin -->", "<!-- contract: end -->"
_PROPERTY = "copydesk-contract"
_NUMBERED = re.compile(r"test_c(\d{2,})_")
"""Numbers have two digits up to C99, and as many as they need from C100 on."""
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
        function, owner = getattr(item, "function", None), getattr(item, "cls", None)
        number = number_of(getattr(function, "__name__", ""))
        if number and str(getattr(function, "__module__", "")).startswith("copydesk.testing."):
            sentence = " ".join((function.__doc__ or "").split())
            kind = getattr(owner, "kind", "") or getattr(owner, "__name__", "")
            item.user_properties.append((_PROPERTY, [number, sentence, kind]))


def number_of(name: str) -> str:
    """The id of the numbered test of that name, `C01` or `C101`; empty for any other function."""
    match = _NUMBERED.match(name)
    return f"C{match[1]}" if match else ""


@dataclass
class Result:
    """How the runs of one numbered test ended for one kind, and why some were skipped."""

    outcomes: list[str] = field(default_factory=list)
    reasons: dict[str, None] = field(default_factory=dict)

    @property
    def word(self) -> str:
        """Failed where any run failed, skipped where all were."""
        if "failed" in self.outcomes:
            return "failed"
        return "passed" if "passed" in self.outcomes else "skipped"

    @property
    def cell(self) -> str:
        if self.word != "skipped":
            return _WORDS[self.word]
        return f"skipped: {'; '.join(self.reasons)}"


@dataclass
class Results:
    """What is known of all numbered tests: their sentences, and their results by kind."""

    sentences: dict[str, str] = field(default_factory=dict)
    by_kind: dict[str, dict[str, Result]] = field(default_factory=dict)

    def add(self, number: str, sentence: str, kind: str, report: pytest.TestReport) -> None:
        """Take one phase of one run. Set-up and tear-down count where something went wrong in them."""
        self.sentences[number] = sentence
        result = self.by_kind.setdefault(kind, {}).setdefault(number, Result())
        if report.when == "call" or report.outcome != "passed":
            result.outcomes.append(report.outcome)
        if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
            result.reasons[_reason(str(report.longrepr[2]))] = None

    def table(self) -> str:
        """As Markdown: the sums, then one line per numbered test, one column per kind."""
        sums = [f"`{kind}`: {_sum(results.values())}." for kind, results in self.by_kind.items()]
        heads = " | ".join(f"`{kind}`" for kind in self.by_kind)
        lines = ["\n".join(sums), "", f"| | what is promised | {heads} |", "|---|---|" + "---|" * len(self.by_kind)]
        for number, sentence in sorted(self.sentences.items(), key=lambda item: int(item[0][1:])):
            cells = (results[number].cell if number in results else "" for results in self.by_kind.values())
            lines.append(f"| {number} | {sentence} | {' | '.join(cells)} |")
        return "\n".join(lines)


def _sum(results: Iterable[Result]) -> str:
    words = [result.word for result in results]
    counts = ", ".join(f"{words.count(word)} {word}" for word in _WORDS if word in words)
    return f"{len(words)} numbered tests, {counts}"


def _reason(told: str) -> str:
    """Why a test was skipped, without pytest's words and the venue's title before it."""
    _, cannot, reason = told.partition("CannotDo: ")
    return reason if cannot else told.removeprefix("Skipped: ").partition(": ")[2]


class _Table:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._results = Results()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        told = dict(report.user_properties).get(_PROPERTY)
        if isinstance(told, list | tuple):
            number, sentence, kind = (str(word) for word in told)
            self._results.add(number, sentence, kind, report)

    def pytest_sessionfinish(self) -> None:
        if self._results.sentences:
            write_table(self._path, self._results)


def write_table(path: Path, results: Results) -> None:
    """Replace what stands between the markers. Raises `pytest.UsageError` where they are missing."""
    text = path.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise pytest.UsageError(f"{path} has no lines {BEGIN} and {END}: add them where the table shall stand")
    path.write_text(f"{before}{BEGIN}\n{results.table()}\n{END}{after}")
