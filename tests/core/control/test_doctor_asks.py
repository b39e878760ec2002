"""`copydesk doctor` beside an engine: what that one says of its accounts is among the findings."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from copydesk.control import Running
from copydesk.datafolder import CONTROL_NAME, ControlFile, lock_folder, make_folder, write_control
from copydesk.doctor import check_running
from copydesk.view import ConnectionState
from msgspec.structs import replace


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    made = make_folder(tmp_path / "data")
    with lock_folder(made):
        yield made


async def test_what_a_person_should_set_is_a_warning(running: Running, desk: object, folder: Path, token: str) -> None:
    write_control(folder, ControlFile(url=running.url, token=token, pid=os.getpid()))
    views = desk.account_views()  # type: ignore[attr-defined]
    changed = (
        replace(views[0], state=ConnectionState.CONNECTED, message="set 'Master API client ID' to 7"),
        replace(views[1], state=ConnectionState.REFUSED, message="the key is wrong"),
    )
    desk.account_views = lambda: changed  # type: ignore[attr-defined]
    found = {check.name: check for check in await asyncio.to_thread(check_running, folder)}
    notice, refused = (found[f"account {view.key}"] for view in views)
    assert (notice.status, notice.finding) == ("warn", "connected: set 'Master API client ID' to 7")
    assert (refused.status, refused.finding) == ("fail", "refused: the key is wrong")


def test_an_engine_that_cannot_be_asked_is_one_finding(folder: Path) -> None:
    (folder / CONTROL_NAME).write_text("{")
    (check,) = check_running(folder)
    assert (check.name, check.status) == ("engine", "warn")
    assert "cannot be read" in check.finding


def test_without_an_engine_there_is_nothing_to_ask(tmp_path: Path) -> None:
    assert list(check_running(tmp_path)) == []
