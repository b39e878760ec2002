"""What a stranger installs: core's wheel alone by plain pip, then a plugin's beside it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {
    "copydesk": "core",
    "copydesk_panel": "panel",
    "copydesk_paper": "plugins/paper",
    "copydesk_binance": "plugins/binance",
}
INSTALL_BINANCE = "copydesk: unknown connection kind 'binance-futures': pip install copydesk-binance\n"

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheels"), pytest.mark.timeout(300)]


def find_uv() -> str | None:
    own = ROOT / ".tools" / "bin" / "uv"
    return str(own) if own.exists() else shutil.which("uv")


def call(words: Sequence[str | Path], *, folder: Path | None = None, status: int = 0) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, outside of this workspace: neither its environment nor its folders are seen."""
    hidden = ("PYTHONPATH", "VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "COPYDESK_DATA")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    ran = subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        timeout=240,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert ran.returncode == status, f"{words}: {ran.stdout[-2000:]}{ran.stderr[-2000:]}"
    return ran


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


class Fresh:
    """A virtual environment of its own, with a data folder that is not there yet."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "venv" / "bin" / "python"
        call([sys.executable, "-m", "venv", folder / "venv"])

    def copydesk(self, *words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        command = self.folder / "venv" / "bin" / "copydesk"
        return call([command, "--data", self.folder / "data", *words], folder=self.folder, status=status)

    def kinds(self) -> dict[str, dict[str, object]]:
        return {kind["kind"]: kind for kind in json.loads(self.copydesk("plugins", "--json").stdout)}

    def loaded(self, module: str) -> set[str]:
        """The top-level modules that are there once `module` was imported."""
        code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
        return set(call([self.python, "-c", code], folder=self.folder).stdout.split())


@pytest.fixture(scope="session")
def bare(wheels: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Fresh:
    """Core's wheel alone, installed by plain pip."""
    fresh = Fresh(tmp_path_factory.mktemp("bare"))
    call([fresh.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheels["copydesk"]])
    return fresh


def test_core_alone_works_lists_no_venue_and_says_what_to_install(bare: Fresh) -> None:
    assert "Usage: copydesk" in bare.copydesk("--help").stdout
    kinds = bare.kinds()
    assert not [kind for kind in kinds.values() if kind["installed"]]
    assert kinds["binance-futures"]["install"] == "pip install copydesk-binance"
    assert "not installed: pip install copydesk-binance" in bare.copydesk("plugins").stdout
    for words in (("rehearse", "binance-futures"), ("demo", "--headless", "--seconds", "1")):
        refused = bare.copydesk(*words, status=2)
        assert (refused.stdout, refused.stderr) == ("", INSTALL_BINANCE)
    assert not (bare.folder / "data").exists()


def test_core_alone_brings_no_venue_library(bare: Fresh) -> None:
    listed = json.loads(call([bare.python, "-m", "pip", "list", "--format=json", "--disable-pip-version-check"]).stdout)
    assert not {"ccxt", "aiohttp"} & {entry["name"] for entry in listed}
    assert "ccxt" not in bare.loaded("copydesk.cli")


def test_a_plugins_wheel_beside_core_makes_its_kind_appear(bare: Fresh, wheels: dict[str, Path], tmp_path: Path) -> None:
    """In a copy of the environment: the bare one stays bare, in whatever order the tests run."""
    fresh = Fresh(tmp_path)
    uv = find_uv()
    installer = (
        [uv, "pip", "install", "--quiet", "--python", fresh.python] if uv else [fresh.python, "-m", "pip", "install"]
    )
    call([*installer, wheels["copydesk"]])
    assert not [kind for kind in fresh.kinds().values() if kind["installed"]]
    call([*installer, wheels["copydesk_paper"], wheels["copydesk_binance"]])
    kinds = fresh.kinds()
    assert {name for name, kind in kinds.items() if kind["installed"]} == {"binance-futures", "paper"}
    assert kinds["binance-futures"]["title"] == "Binance USD-M futures"
    assert kinds["binance-futures"]["plugin"] == "copydesk-binance"
    assert "problem" not in kinds["binance-futures"]
    assert not {"ccxt", "aiohttp", "copydesk_binance"} & fresh.loaded("copydesk.cli")
    # It is whole: its rehearsal serves, on the market that the paper exchange's wheel brings.
    command = [fresh.folder / "venv" / "bin" / "copydesk", "--data", tmp_path / "data"]
    words = [*command, "rehearse", "binance-futures", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as venue:
        try:
            assert venue.stdout is not None
            ready = json.loads(venue.stdout.readline())
        finally:
            venue.terminate()
    assert venue.returncode == 0
    assert "BTCUSDT" in ready["symbols"]


def test_wheels_hold_their_package_and_nothing_else(wheels: dict[str, Path]) -> None:
    for package, wheel in wheels.items():
        names = zipfile.ZipFile(wheel).namelist()
        outside = [name for name in names if not name.startswith((f"{package}/", f"{package}-"))]
        assert outside == [], package
        recorded = [name for name in names if name.endswith((".zst", ".gz", ".jsonl", ".db", ".pyc", ".toml", ".sealed"))]
        assert recorded == [], package
        assert not [name for name in names if "test" in Path(name).name], package
        assert f"{package}/py.typed" in names
        assert wheel.stat().st_size < 500_000, package


def test_the_panels_wheel_carries_the_charting_library_with_its_licence(wheels: dict[str, Path]) -> None:
    wheel = zipfile.ZipFile(wheels["copydesk_panel"])
    vendor = "copydesk_panel/static/vendor/"
    assert b"Apache License" in wheel.read(f"{vendor}LICENSE")
    assert b"TradingView" in wheel.read(f"{vendor}NOTICE")
    assert len(wheel.read(f"{vendor}lightweight-charts.mjs")) > 100_000
    others = [package for package, path in wheels.items() if package != "copydesk_panel"]
    for package in others:
        assert not [name for name in zipfile.ZipFile(wheels[package]).namelist() if "vendor" in name]
