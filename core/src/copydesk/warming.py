"""The way of a copy is gone through now and then while nothing comes in, so that the next one does not begin cold.

What was not run for some milliseconds has left the processor's caches: the first copy after a pause takes several times as
long as one right after another. Going through everything but the sending every two milliseconds takes about a twentieth
of one core.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from types import TracebackType
from typing import Self

from copydesk.looping import parents_wait

log = logging.getLogger(__name__)

REST_S = 0.05
"""How long is waited where there is nothing to go through just now."""


class Warm:
    """While it is open, `warm_up` is called every `every_s` seconds, not at all for 0. It tells whether there was anything
    to do; when it fails, which is a defect, it is not called any more."""

    def __init__(self, warm_up: Callable[[], bool], every_s: float) -> None:
        self._warm_up = warm_up
        self._every_s = every_s
        self._timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> Self:
        if self._every_s:
            self._wait(REST_S)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _wait(self, seconds: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(seconds, self._go)

    def _go(self) -> None:
        try:
            warm = parents_wait() or self._warm_up()
        except Exception:
            log.exception("the way of a copy could not be gone through: copies begin cold from now on")
            return
        self._wait(self._every_s if warm else max(self._every_s, REST_S))
