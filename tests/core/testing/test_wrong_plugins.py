"""The suite notices what is wrong: each wrong plugin fails the tests that its fault belongs to."""

from __future__ import annotations

from typing import Any

import pytest
from copydesk.testing import RehearsalRig, VenueContract, numbered_tests
from copydesk.testing import bench as bench_module
from copydesk.testing.bench import Bench
from copydesk_paper import plugin as paper

from .wrong import WRONG, Honest

NOT_BROKEN_HERE = {
    "C03": "looks at the installed plugin, in an interpreter of its own",
    "C45": "a modify that changes nothing may be accepted; the venue decides",
    "C59": "a plugin may read more than it was asked for",
    "C69": "the session's own deadline, not the hook's answer",
    "C70": "the paper exchange has no such answer",
    "C71": "the paper exchange has no such answer",
    "C93": "the paper exchange cannot lose a request on its way",
    "C92": "the paper exchange has no order for a whole position",
}
"""Numbered tests that no wrong plugin over the paper exchange can fail, and why."""


@pytest.fixture
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not come is noticed sooner."""
    monkeypatch.setattr(bench_module, "DEADLINE_S", 1.0)


def functions(number: str) -> list[tuple[Any, dict[str, Any]]]:
    """The test function of a number, with the arguments of each of its runs."""
    name = next(name for name in dir(VenueContract) if name.startswith(f"test_{number.lower()}_"))
    function = getattr(VenueContract, name)
    marks = [mark for mark in getattr(function, "pytestmark", []) if mark.name == "parametrize"]
    if not marks:
        return [(function, {})]
    argument, values = marks[0].args
    return [(function, {argument: value}) for value in values]


async def failure(plugin: Honest, number: str) -> str:
    """What the numbered test says of the plugin; empty where it has nothing to say."""
    for function, arguments in functions(number):
        async with RehearsalRig(plugin, "paper", hand=paper, connect_options={"deadline_s": "0.4"}) as rig:
            try:
                async with Bench(rig) as bench:
                    await function(VenueContract(), bench, **arguments)
            except pytest.skip.Exception:
                continue
            except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - whatever stops a test has noticed
                return f"{type(error).__name__}: {error}"
    return ""


@pytest.mark.slow
@pytest.mark.usefixtures("impatience")
@pytest.mark.parametrize("plugin", WRONG, ids=lambda plugin: plugin.__name__)
async def test_a_wrong_plugin_is_noticed(plugin: type[Honest]) -> None:
    missed = [number for number in WRONG[plugin].split() if not await failure(plugin(), number)]
    assert not missed, f"{plugin.__name__} passes {missed}"


async def test_the_honest_plugin_passes() -> None:
    for number in ("C01", "C11", "C26", "C42", "C52", "C60", "C65", "C75", "C84", "C87"):
        assert not await failure(Honest(), number), number


def test_every_numbered_test_is_failed_by_somebody() -> None:
    broken = {number for numbers in WRONG.values() for number in numbers.split()}
    assert broken | NOT_BROKEN_HERE.keys() == numbered_tests().keys()
    assert not broken & NOT_BROKEN_HERE.keys()
