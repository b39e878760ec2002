"""`docs/writing-a-plugin.md` does what it says, in a fresh environment, with the plugin of the hook reference."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from .conftest import ROOT, Fresh, environment

START_S = 120

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheels"), pytest.mark.timeout(480)]


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / "docs" / page).read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def accounts_once_connected(fresh: Fresh, desk: Path) -> dict[str, dict[str, object]]:
    """The accounts as the command line tells them, once all are connected or the deadline has passed."""
    deadline = time.monotonic() + START_S
    while True:
        words = [fresh.bin / "copydesk", "--data", desk, "accounts", "--json"]
        told = subprocess.run(words, capture_output=True, text=True, env=environment(), timeout=60, check=False)
        accounts = {row["account"]: row for row in json.loads(told.stdout)} if told.returncode == 0 else {}
        if all(row.get("state") == "connected" for row in accounts.values()) or time.monotonic() > deadline:
            return accounts


def test_the_guide_works_from_its_first_command_to_its_last(wheels: dict[str, Path], tmp_path: Path) -> None:
    fresh = Fresh(tmp_path)
    fresh.install(wheels["copydesk"])  # instead of the registry's: the same name, this source
    first, install, use = blocks("writing-a-plugin.md", "sh")
    (project,) = blocks("hooks.md", "toml")
    module = next(block for block in blocks("hooks.md", "python") if "plugin = Plugin(" in block)
    (tmp_path / "pyproject.txt").write_text(project)
    (tmp_path / "module.txt").write_text(module)
    put = "mv ../pyproject.txt pyproject.toml; mv ../module.txt copydesk_notebook.py\n"
    use, run = use.strip().rsplit("\n", 1)
    assert run == "copydesk run"
    script = "set -eu\n" + first + put + install + use
    path = f"{fresh.bin}:/usr/bin:/bin"
    ran = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
        env=environment(PATH=path),
    )
    assert ran.returncode == 0, ran.stdout[-3000:] + ran.stderr[-3000:]
    assert re.search(r"notebook +Notebook +copydesk-notebook +installed", ran.stdout)
    assert "Started first" in ran.stdout
    desk = tmp_path / "notebook-desk"
    words = [fresh.bin / "copydesk", "--data", desk, "run", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment()) as engine:
        try:
            assert engine.stdout is not None
            assert engine.stdout.readline()
            accounts = accounts_once_connected(fresh, desk)
        finally:
            engine.terminate()
    assert engine.returncode == 0
    assert {name: row.get("state") for name, row in accounts.items()} == {"parent": "connected", "child": "connected"}
