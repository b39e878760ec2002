"""The charting library is in the wheel, with its licence, and was checked; nobody needs Node."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
VENDOR = "copydesk_panel/static/vendor/"
NEEDED = {"lightweight-charts.mjs", "LICENSE", "NOTICE"}

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]


def find_uv() -> str:
    own = ROOT / ".tools" / "bin" / "uv"
    found = str(own) if own.exists() else shutil.which("uv")
    if found is None:
        pytest.skip("uv is not installed: run `make setup`")
    return found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The panel's sources as they are in git: without the library."""
    copy = tmp_path / "panel"
    shutil.copytree(ROOT / "panel", copy, ignore=shutil.ignore_patterns("vendor", "__pycache__", "dist"))
    return copy


def build(source: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [find_uv(), "build", *options, "--out-dir", str(source.parent / "dist"), str(source)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False, env=os.environ | environment)


def test_a_wheel_from_an_sdist_carries_the_library_and_its_licence(source: Path) -> None:
    done = build(source)  # the sdist, and then the wheel from that sdist
    assert done.returncode == 0, done.stderr
    dist = source.parent / "dist"
    with zipfile.ZipFile(next(dist.glob("*.whl"))) as wheel:
        names = {name.removeprefix(VENDOR) for name in wheel.namelist() if name.startswith(VENDOR)}
        assert names >= NEEDED
        assert b"Apache License" in wheel.read(VENDOR + "LICENSE")
        assert b"Lightweight Charts" in wheel.read(VENDOR + "lightweight-charts.mjs")[:400]
    with tarfile.open(next(dist.glob("*.tar.gz"))) as sdist:
        assert any(name.endswith("vendor/lightweight-charts.mjs") for name in sdist.getnames())


def test_an_archive_with_another_hash_is_not_used(source: Path) -> None:
    hook = source / "hatch_build.py"
    hook.write_text(hook.read_text().replace('INTEGRITY = "sha512-I', 'INTEGRITY = "sha512-J'))
    done = build(source, "--wheel")
    assert done.returncode != 0
    assert "it is not used" in done.stderr


def test_a_registry_that_is_not_reachable_is_a_sentence(source: Path, tmp_path: Path) -> None:
    nowhere = {"npm_config_registry": "http://127.0.0.1:9", "npm_config_cache": str(tmp_path / "cache")}
    done = build(source, "--wheel", **nowhere)
    assert done.returncode != 0
    assert "could not be fetched from the npm registry" in done.stderr
    assert "ECONNREFUSED" in done.stderr
    assert "npm_config_registry" in done.stderr
