"""Garbage is collected between events, not within one: a full collection takes longer than a hundred copies.

Python collects whenever so many objects were made, thus most likely while copies are made. Here that is switched off for
the process and done when nothing has come in for some milliseconds; what is there once the accounts are read stays, and is
not walked any more. What threads take of memory comes from the heap that all share.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from copydesk.looping import parents_wait

LOOK_S = 0.05
QUIET_NS = 5_000_000
YOUNG = 5_000
"""So many new objects are worth a look at the young ones; ten times that many are not waited with any longer."""
WHOLE_S = 300.0
_M_ARENA_MAX = -8  # <malloc.h>


def one_heap() -> None:
    """From now on let threads take memory from the one heap, where the C library is glibc.

    It gives each thread one of its own otherwise, and what was needed there once, as while hundreds of accounts connect,
    stays resident. To be called before there are threads.
    """
    setting = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if setting is not None:
        setting(_M_ARENA_MAX, 1)


class Tidy:
    """While it is open. `quiet_ns` tells for how long nothing has come in, `settled` whether all that stays is there."""

    def __init__(self, quiet_ns: Callable[[], int], settled: Callable[[], bool]) -> None:
        self._quiet_ns = quiet_ns
        self._settled = settled
        self._frozen = False
        self._whole_at = time.monotonic() + WHOLE_S
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        gc.disable()
        self._look()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        gc.unfreeze()
        gc.enable()

    def _look(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(LOOK_S, self._look)
        made, quiet = gc.get_count()[0], self._quiet_ns() >= QUIET_NS and not parents_wait()
        if quiet and not self._frozen and self._settled():
            self._frozen = True
            gc.collect()
            gc.freeze()
        elif quiet and time.monotonic() >= self._whole_at:
            self._whole_at = time.monotonic() + WHOLE_S
            gc.collect()
        elif made >= (YOUNG if quiet else 10 * YOUNG):
            gc.collect(1)
