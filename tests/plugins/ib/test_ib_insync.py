"""Installed with `ib_insync` in place of `ib_async`, the plugin keeps the same contract; with both or none it says so."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from copydesk.errors import PluginError
from copydesk_ib import library
from harness.environments import outside, python_with

ROOT = Path(__file__).parents[3]
NEEDS = ("-e", "core[testing]", "-e", "plugins/paper", "-e", "plugins/wire", "-e", "plugins/ib[ib-insync]")
TOOLS = ("hypothesis", "pytest-asyncio", "pytest-timeout")


@pytest.mark.slow
@pytest.mark.timeout(600)
async def test_the_contract_is_kept_with_ib_insync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    python = await asyncio.to_thread(python_with, tmp_path / "venv", *NEEDS, *TOOLS)
    suite = "tests/plugins/ib/test_contract.py"
    ran = await asyncio.create_subprocess_exec(
        *(python, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", suite),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=outside(),
    )
    out, _ = await ran.communicate()
    assert ran.returncode == 0, out.decode()[-4000:]
    code = "from copydesk_ib import library; print(library.load().name)"
    told = await asyncio.create_subprocess_exec(python, "-c", code, stdout=asyncio.subprocess.PIPE, env=outside())
    assert (await told.communicate())[0].decode().strip() == "ib_insync"


@pytest.mark.parametrize(
    ("installed", "sentence"),
    [((), "pip install 'copydesk-ib[ib-async]'"), (library.NAMES, "are both installed")],
    ids=["none", "both"],
)
def test_no_library_or_two_are_refused_in_a_sentence(
    installed: tuple[str, ...], sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(library.importlib.util, "find_spec", lambda name: name if name in installed else None)
    with pytest.raises(PluginError, match=sentence.replace("[", r"\[").replace("]", r"\]")):
        library.load.__wrapped__()


def test_the_workspace_has_ib_async() -> None:
    assert library.load().name == "ib_async"
    assert "ib_insync" not in sys.modules
