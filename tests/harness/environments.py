"""Environments of their own for what cannot live in the workspace's: other clients, another library."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def outside() -> dict[str, str]:
    """The environment of a process outside of the workspace's own."""
    return {
        name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV", "PYTHONWARNINGS")
    }


def python_with(folder: Path, *needs: str) -> Path:
    """A Python of its own with these packages."""
    python = folder / "bin" / "python"
    own = Path(__file__).parents[2] / ".tools" / "bin" / "uv"
    uv = str(own) if own.exists() else shutil.which("uv")
    if uv is None:
        make = [sys.executable, "-m", "venv", str(folder)]
        install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    else:
        make = [uv, "venv", "--quiet", "--python", sys.executable, str(folder)]
        install = [uv, "pip", "install", "--quiet", "--python", str(python)]
    subprocess.run(make, check=True, env=outside(), timeout=120)
    subprocess.run([*install, *needs], check=True, env=outside(), timeout=400)
    return python


async def told_by(python: Path, program: Path, given: Mapping[str, Any], *, within_s: float) -> Any:
    """What a program tells in JSON of what it was given in JSON. It has to end well, in time."""
    running = await asyncio.create_subprocess_exec(
        python,
        program,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=outside(),
    )
    try:
        told, complaint = await asyncio.wait_for(running.communicate(json.dumps(given).encode()), within_s)
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    assert running.returncode == 0, complaint.decode()[-3000:]
    return json.loads(told)
