"""`make test` tells of what fails beside others, and fails where it fails alone as well or where much fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

GATE = Path(__file__).parents[2] / "gate.py"
ONCE = """
import pathlib, pytest
once = pathlib.Path(__file__).with_name("once")

@pytest.mark.xdist_group("alone")
@pytest.mark.parametrize("word", ["a@b"])
def test_fails_once(word):
    if not once.exists():
        once.touch()
        pytest.fail("beside others")

def test_passes(): pass
"""
ALWAYS = "def test_fails_always(): assert False\n"
SIX = "import pytest\n@pytest.mark.parametrize('n', range(6))\ndef test_fails(n): assert False\n"


def run(folder: Path, workers: int, **sources: str) -> tuple[int, str]:
    (folder / "pytest.ini").write_text("[pytest]\n")
    for name, source in sources.items():
        (folder / f"test_{name}.py").write_text(source)
    options = ["-p", "xdist.plugin", "-n", str(workers), "--dist", "loadgroup", "-p", "no:cacheprovider"]
    own = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        [sys.executable, GATE, *options], cwd=folder, env=own, capture_output=True, text=True, timeout=100
    )
    return done.returncode, done.stdout


def test_what_passes_alone_is_named_and_lets_the_gate_pass(tmp_path: Path) -> None:
    status, told = run(tmp_path, 2, once=ONCE)
    assert (status, told.splitlines()[-1]) == (
        0,
        "failed beside others, passed alone: test_once.py::test_fails_once[a@b]",
    )
    assert "Failed: beside others" in told, "and how it failed"


def test_what_fails_alone_as_well_fails_the_gate(tmp_path: Path) -> None:
    status, told = run(tmp_path, 0, once=ONCE, always=ALWAYS)
    assert status == 1
    assert told.splitlines()[-2:] == [
        "failed beside others, failed alone: test_always.py::test_fails_always",
        "failed beside others, passed alone: test_once.py::test_fails_once[a@b]",
    ]


@pytest.mark.parametrize(("sources", "words"), [({"six": SIX}, "6 tests failed"), ({"broken": "import nothing"}, "error")])
def test_nothing_is_tried_again_where_much_failed_or_a_file_is_broken(
    tmp_path: Path, sources: dict[str, str], words: str
) -> None:
    status, told = run(tmp_path, 0, **sources)
    assert status != 0
    assert words in told
    assert "Once more" not in told
