"""A rehearsal whose market stands still, and ways into it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from copydesk.model import ConnectionSettings, RehearsalSettings
from copydesk_rithmic.entry import connect
from copydesk_rithmic.rehearsal import Rehearsal, start
from copydesk_rithmic.session import Session

CASH = {"lead": Decimal(100_000), "one": Decimal(50_000), "two": Decimal(50_000), "far": Decimal(50_000)}
OPTIONS = {"user.far": "second", "fcm.two": "Other-FCM"}
"""Three accounts of one login, one of them at another clearing firm, and one of another login."""
STANDSTILL = Decimal("0.0001")


@pytest.fixture
async def venue() -> AsyncIterator[Rehearsal]:
    settings = RehearsalSettings(kind="rithmic", accounts=CASH, speed=STANDSTILL, options=OPTIONS)
    running = await start(settings)
    yield running
    await running.stop()


def settings_of(venue: Rehearsal, name: str, **options: str) -> ConnectionSettings:
    """How to log in to an account; an option that is empty is left out."""
    known = next(account for account in venue.ready.accounts if account.name == name)
    every = {word: value for word, value in (known.options | options).items() if value}
    return ConnectionSettings(name=name, kind="rithmic", options=every, secrets=known.secrets)


Enter = Callable[..., Awaitable[Session]]


@pytest.fixture
async def enter(venue: Rehearsal) -> AsyncIterator[Enter]:
    """Log in to an account of the rehearsal, with other options where they are given; all sessions are closed after."""
    opened: list[Session] = []

    async def log_in(name: str = "lead", **options: Any) -> Session:
        session = await connect(settings_of(venue, name, **options))
        opened.append(session)
        return session

    yield log_in
    for session in opened:
        await session.close()
