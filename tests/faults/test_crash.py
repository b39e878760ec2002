"""`kill -9` of the engine in the middle of trading, again and again: no order twice, none missing, no unexplained drift."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(480), pytest.mark.xdist_group("crash")]

MOMENTS = "1.1,2,3.3,4.2,5.6,6.3,7.9,9.2,10.1,11.6"
"""Seconds of the engine's work. A round of the script takes about five: they fall between and into its actions."""


LIMITS = {"binance-futures": ["--option", "weight-per-minute=24000"], "paper": []}
"""Starting takes about a quarter of what Binance allows per minute: ten starts in a minute are a test's own affair."""


@pytest.mark.parametrize("kind", LIMITS)
async def test_ten_kills_in_the_middle_of_trading(
    copydesk: Callable[..., Awaitable[Any]], tmp_path: Path, kind: str
) -> None:
    folder = tmp_path / "data"
    words = ["--kind", kind, "--seconds", "12", "--pace", "0.1", "--kill", MOMENTS, "--keep", str(folder), "--json"]
    ended = await copydesk("demo", "--headless", *words, *LIMITS[kind])
    verdict = ended.json
    wrong = [sentence for child in verdict["children"].values() for sentence in child["differences"]]
    assert ended.status == 0, (wrong, ended)
    assert verdict["engine_kills"] == 10
    assert verdict["parent_events"] >= 80
    assert (verdict["missed"], verdict["twice"], verdict["unexplained_drift"]) == (0, 0, 0)
    for name, child in verdict["children"].items():
        assert sum(child["orders"].values()) >= 30, f"{name} was there between the kills"
        assert child["positions"] == verdict["parent_position"] == {}

    verified = await copydesk("--data", str(folder), "journal", "verify", "--json")
    assert verified.status == 0
    assert verified.json["ok"]
    replayed = await copydesk("--data", str(folder), "journal", "replay", "--json")
    assert replayed.status == 0, replayed.out
    assert replayed.json["intents"] >= 100
    assert "difference" not in replayed.json
    inputs = await copydesk("--data", str(folder), "journal", "show", "--kind", "engine", "--limit", "0")
    assert inputs.out.count('"start"') == 11
