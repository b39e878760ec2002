"""What a stranger installs: core's wheel alone by plain pip, then a plugin's beside it."""

from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path

import pytest

from .conftest import Fresh, call

INSTALL_BINANCE = "copydesk: unknown connection kind 'binance-futures': pip install copydesk-binance\n"

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheels"), pytest.mark.timeout(480)]


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
    """In an environment of its own: the bare one stays bare, in whatever order the tests run."""
    fresh = Fresh(tmp_path)
    fresh.install(wheels["copydesk"])
    assert not [kind for kind in fresh.kinds().values() if kind["installed"]]
    fresh.install(*(wheels[f"copydesk_{name}"] for name in ("paper", "wire", "ccxt", "binance")))
    kinds = fresh.kinds()
    assert {name for name, kind in kinds.items() if kind["installed"]} == {"binance", "binance-futures", "paper"}
    assert kinds["binance-futures"]["title"] == "Binance USD-M futures"
    assert kinds["binance-futures"]["plugin"] == "copydesk-binance"
    assert "problem" not in kinds["binance-futures"]
    assert not {"ccxt", "aiohttp", "copydesk_binance"} & fresh.loaded("copydesk.cli")
    # It is whole: its rehearsal serves, on the market that the paper exchange's wheel brings.
    words = [fresh.bin / "copydesk", "--data", tmp_path / "data", "rehearse", "binance-futures", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, cwd=tmp_path) as venue:
        try:
            assert venue.stdout is not None
            ready = json.loads(venue.stdout.readline())
        finally:
            venue.terminate()
    assert venue.returncode == 0
    assert "BTCUSDT" in ready["symbols"]


def test_a_plugin_brings_its_own_library_and_no_other_venues(wheels: dict[str, Path], tmp_path: Path) -> None:
    """Bybit's wheel brings ccxt and nothing of IB or Rithmic, and is uninstalled by itself."""
    fresh = Fresh(tmp_path)
    fresh.install(
        *(wheels[package] for package in ("copydesk", "copydesk_paper", "copydesk_wire", "copydesk_ccxt", "copydesk_bybit"))
    )
    listed = json.loads(call([fresh.python, "-m", "pip", "list", "--format=json", "--disable-pip-version-check"]).stdout)
    names = {entry["name"].lower().replace("_", "-") for entry in listed}
    assert {"ccxt", "copydesk-bybit"} <= names
    assert not {"ib-async", "ib-insync", "async-rithmic", "protobuf", "copydesk-binance"} & names
    assert {name for name, kind in fresh.kinds().items() if kind["installed"]} == {"bybit", "paper"}
    assert not {"ccxt", "aiohttp", "copydesk_bybit"} & fresh.loaded("copydesk.cli")
    call([fresh.python, "-m", "pip", "uninstall", "--quiet", "--yes", "copydesk-bybit"])
    assert {name for name, kind in fresh.kinds().items() if kind["installed"]} == {"paper"}


def test_closed_venues_need_no_ccxt(wheels: dict[str, Path], tmp_path: Path) -> None:
    """FTX and BitMEX have clients of their own; the command line says that their venues are closed."""
    fresh = Fresh(tmp_path)
    fresh.install(*(wheels[f"copydesk{name}"] for name in ("", "_paper", "_wire", "_ftx", "_bitmex")))
    listed = json.loads(call([fresh.python, "-m", "pip", "list", "--format=json", "--disable-pip-version-check"]).stdout)
    assert "ccxt" not in {entry["name"] for entry in listed}
    closed = {name: kind["closed_on"] for name, kind in fresh.kinds().items() if kind["installed"] and kind["closed_on"]}
    assert closed == {"bitmex": "2026-09-23", "ftx": "2022-11-11"}


def test_wheels_hold_their_package_and_nothing_else(wheels: dict[str, Path]) -> None:
    for package, wheel in wheels.items():
        names = zipfile.ZipFile(wheel).namelist()
        outside = [name for name in names if not name.startswith((f"{package}/", f"{package}-"))]
        assert outside == [], package
        recorded = [name for name in names if name.endswith((".zst", ".gz", ".jsonl", ".db", ".pyc", ".toml", ".sealed"))]
        assert recorded == [], package
        assert not [name for name in names if Path(name).name.startswith(("test_", "conftest"))], package
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
