"""A Bybit rehearsal with a bench on it, and the owner's hand for requests that the plugin never makes."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from copydesk.testing import RehearsalRig
from copydesk.testing.bench import Bench
from copydesk_bybit import plugin
from copydesk_paper.serving.signatures import sign


@pytest.fixture
async def rig() -> AsyncIterator[RehearsalRig]:
    async with RehearsalRig(plugin, "bybit", options={"coins": "BTC=1"}) as rig:
        yield rig


@pytest.fixture
async def bench(rig: RehearsalRig) -> AsyncIterator[Bench]:
    async with Bench(rig) as bench:
        yield bench


async def by_hand(rig: RehearsalRig, path: str, **params: Any) -> Any:
    """A request that the plugin never makes, from the owner's hand."""

    settings = rig.settings()
    key, secret = settings.secrets["key"], settings.secrets["secret"]
    body, stamp = json.dumps(params), str(time.time_ns() // 10**6)
    headers = {
        "X-BAPI-API-KEY": key,
        "X-BAPI-TIMESTAMP": stamp,
        "X-BAPI-SIGN": sign(secret.encode(), f"{stamp}{key}{body}"),
    }
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(f"{settings.options['url']}/v5/{path}", content=body, headers=headers)
    told = answer.json()
    assert told["retCode"] == 0, told
    return told
