"""Garbage is collected while nothing comes in, and at the latest when there is much of it."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator

import pytest
from copydesk import tidying
from copydesk.tidying import Tidy

PATIENCE_S = 20.0


class Knot:
    """Refers to itself: only a collection ends it."""

    def __init__(self) -> None:
        self.me = self


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(tidying, "LOOK_S", 0.001)
    gc.unfreeze()  # what another test of this process left
    yield
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0


async def until(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while True:
            await asyncio.sleep(0.001)
            if what():
                return


async def test_nothing_is_collected_while_things_come_in(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tidying, "YOUNG", 1_000_000)
    with Tidy(lambda: 0, lambda: True):
        knot = weakref.ref(Knot())
        rubbish = [[] for _ in range(50_000)]
        await asyncio.sleep(0.05)
        assert knot() is not None
        assert not gc.isenabled()
        del rubbish


async def test_much_of_it_is_collected_even_then(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tidying, "YOUNG", 100)
    with Tidy(lambda: 0, lambda: True):
        knot = weakref.ref(Knot())
        kept = [[] for _ in range(5_000)]
        await until(lambda: knot() is None)
        assert kept


async def test_what_stays_is_frozen_once_all_is_there_and_it_is_quiet():
    there: list[int] = []
    with Tidy(lambda: tidying.QUIET_NS, lambda: bool(there)):
        await asyncio.sleep(0.02)
        assert gc.get_freeze_count() == 0
        knot = weakref.ref(Knot())
        there.append(1)
        await until(lambda: gc.get_freeze_count() > 0)
        assert knot() is None
        count = gc.get_freeze_count()
        await asyncio.sleep(0.02)
        assert gc.get_freeze_count() <= count


async def test_all_is_collected_now_and_then(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tidying, "YOUNG", 1_000_000)
    monkeypatch.setattr(tidying, "WHOLE_S", 0.01)
    with Tidy(lambda: tidying.QUIET_NS, lambda: False):
        knot = weakref.ref(Knot())
        await until(lambda: knot() is None)


THREADS = """
import ctypes, sys, threading
from copydesk.tidying import one_heap
if "one" in sys.argv:
    one_heap()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
both = threading.Barrier(3)
def take():
    both.wait()
    libc.malloc(10_000)
    both.wait()
threads = [threading.Thread(target=take) for _ in range(3)]
for one in threads: one.start()
for one in threads: one.join()
libc.malloc_stats()
"""


@pytest.mark.skipif(not os.confstr_names.get("CS_GNU_LIBC_VERSION"), reason="the C library is not glibc")
def test_threads_take_memory_from_the_one_heap() -> None:
    def heaps(*words: str) -> int:
        done = subprocess.run(
            [sys.executable, "-c", THREADS, *words], capture_output=True, text=True, check=True, timeout=60
        )
        return done.stderr.count("Arena ")

    assert heaps("one") == 1 < heaps()
