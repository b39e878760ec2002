"""The table: what `--contract-table` writes into a README, and that the documentation lists every numbered test."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from copydesk.pytest_contract import BEGIN, END, Results, number_of, write_table
from copydesk.testing import numbered_tests

DOCS = Path(__file__).parents[3] / "docs/contract.md"

AUTHOR = """
from copydesk_paper import plugin
import pytest_asyncio
from copydesk.testing import RehearsalRig, VenueContract


class TestPaper(VenueContract):
    kind = "paper"

    @pytest_asyncio.fixture
    async def rig(self):
        async with RehearsalRig(plugin, self.kind) as rig:
            yield rig


class TestBroken(VenueContract):
    kind = "broken"
"""


def test_an_author_gets_a_table(tmp_path: Path) -> None:
    (tmp_path / "test_author.py").write_text(AUTHOR)
    readme = tmp_path / "README.md"
    readme.write_text(f"# Mine\n\n{BEGIN}\nold\n{END}\nafter\n")
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--contract-table", "README.md", "-k", "c01 or c22 or c70"]
    done = subprocess.run([sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1, done.stdout
    text = readme.read_text()
    assert text.startswith(f"# Mine\n\n{BEGIN}\n`paper`: 3 numbered tests, 2 passed, 1 skipped.\n`broken`: 3 ")
    assert text.endswith(f"{END}\nafter\n")
    sentences = numbered_tests()
    assert f"| C01 | {sentences['C01']} | passed | **failed** |" in text
    assert f"| C22 | {sentences['C22']} | passed | **failed** |" in text
    assert f"| C70 | {sentences['C70']} | skipped: its rehearsal has no fault 5xx | **failed** |" in text
    assert "old" not in text


def test_a_readme_without_markers_is_left_alone(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("nothing here")
    with pytest.raises(pytest.UsageError, match="has no lines"):
        write_table(readme, Results())
    assert readme.read_text() == "nothing here"


def test_the_documentation_lists_every_numbered_test() -> None:
    rows = dict(re.findall(r"^\| (C\d{2,}) \| (.*) \|$", DOCS.read_text(), re.MULTILINE))
    assert rows == numbered_tests()


def test_each_number_is_used_once() -> None:
    from copydesk.testing.contract import FAMILIES

    names = [name for family in FAMILIES for name in vars(family) if name.startswith("test_")]
    numbers = [int(re.fullmatch(r"test_c(\d{2,})_[a-z_]+", name)[1]) for name in names]
    assert len(set(numbers)) == len(numbers)
    assert [f"C{number:02}" for number in sorted(numbers)] == sorted(numbered_tests(), key=lambda word: int(word[1:]))


def test_numbers_may_have_more_than_two_digits() -> None:
    assert [number_of(name) for name in ("test_c07_a", "test_c101_b", "test_c1_c", "test_case_d")] == [
        "C07",
        "C101",
        "",
        "",
    ]
    results = Results()
    for number in ("C101", "C99", "C07"):
        report = pytest.TestReport(number, (number, 0, number), {}, "passed", None, "call")
        results.add(number, f"Sentence {number}.", "paper", report)
    assert re.findall(r"^\| (C\d+) ", results.table(), re.MULTILINE) == ["C07", "C99", "C101"]
