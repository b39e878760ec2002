"""Wheels of this workspace, and environments to install them in."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {
    "copydesk": "core",
    "copydesk_panel": "panel",
    "copydesk_paper": "plugins/paper",
    "copydesk_wire": "plugins/wire",
    "copydesk_ccxt": "plugins/ccxt",
    "copydesk_binance": "plugins/binance",
    "copydesk_bybit": "plugins/bybit",
    "copydesk_ftx": "plugins/ftx",
    "copydesk_bitmex": "plugins/bitmex",
    "copydesk_bitfinex": "plugins/bitfinex",
    "copydesk_rithmic": "plugins/rithmic",
    "copydesk_ib": "plugins/ib",
}
_HIDDEN = ("PYTHONPATH", "VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "COPYDESK_DATA")


def find_uv() -> str | None:
    own = ROOT / ".tools" / "bin" / "uv"
    return str(own) if own.exists() else shutil.which("uv")


def environment(**more: str) -> dict[str, str]:
    """Outside of this workspace: neither its environment nor its folders are seen."""
    return {name: value for name, value in os.environ.items() if name not in _HIDDEN} | more


def call(
    words: Sequence[str | Path], *, folder: Path | None = None, status: int = 0, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end."""
    ran = subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment(**more),
        timeout=240,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert ran.returncode == status, f"{words}: {ran.stdout[-2000:]}{ran.stderr[-2000:]}"
    return ran


class Fresh:
    """A virtual environment of its own, with a data folder that is not there yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bin = folder / "venv" / "bin"
        self.python = self.bin / "python"
        call([sys.executable, "-m", "venv", folder / "venv"])

    def install(self, *wheels: Path) -> None:
        """The quick way: uv, where there is one."""
        uv = find_uv()
        words = [uv, "pip", "install", "--quiet", "--python", self.python] if uv else [self.python, "-m", "pip", "install"]
        call([*words, *wheels])

    def copydesk(self, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        return call([self.bin / "copydesk", "--data", self.folder / "data", *words], folder=self.folder, status=status)

    def kinds(self) -> dict[str, dict[str, object]]:
        return {kind["kind"]: kind for kind in json.loads(self.copydesk("plugins", "--json").stdout)}

    def loaded(self, module: str) -> set[str]:
        """The top-level modules that are there once `module` was imported."""
        code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
        return set(call([self.python, "-c", code], folder=self.folder).stdout.split())


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A wheel of each distribution, by its package's name."""
    folder = tmp_path_factory.mktemp("wheels")
    uv = find_uv()
    builder = [uv, "build", "--quiet"] if uv else [sys.executable, "-m", "build"]
    option = "--out-dir" if uv else "--outdir"
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda source: call([*builder, "--wheel", option, folder, ROOT / source]), SOURCES.values()))
    return {package: next(folder.glob(f"{package}-[0-9]*.whl")) for package in SOURCES}


@pytest.fixture(scope="session")
def bare(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    """Core's wheel alone, installed by plain pip."""
    fresh = Fresh(tmp_path_factory.mktemp("bare"))
    call([fresh.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheels["copydesk"]])
    return fresh
