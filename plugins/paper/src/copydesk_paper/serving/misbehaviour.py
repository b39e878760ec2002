"""What the venue does wrong on request, to requests that trade. Streams commit their own faults."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from copydesk_paper.exchange import Exchange
from copydesk_paper.serving.faults import SLICES, Fault, Faults

DOUBTFUL = ("-1007", "5xx")
"""Faults whose answer says nothing: every second such request is carried out, the first one included."""


class Cut(Exception):
    """The connection of this request is to be cut without an answer."""


class Misbehaviour:
    """Carries out requests with the faults in force. `leave` makes the whole server go away for some seconds.

    `answers` makes the venue's own error for each fault that it can commit by an answer: those of `DOUBTFUL` leave open
    what happened, the others say no, and nothing is done.
    """

    def __init__(
        self,
        faults: Faults,
        exchange: Exchange,
        leave: Callable[[float], None],
        answers: Mapping[str, Callable[[], Exception]],
    ) -> None:
        self.faults = faults
        self._exchange = exchange
        self._leave = leave
        self._answers = answers
        self._doubtful = 0
        self.armed = bool(faults.state())
        self._set_slices()

    def add(self, fault: Fault) -> None:
        self.faults.add(fault)
        self.armed = True
        self._set_slices()

    def clear(self, name: str = "") -> None:
        self.faults.clear(name)
        self.armed = bool(self.faults.state())
        self._set_slices()

    @property
    def behind_ms(self) -> int:
        """How far the venue's clock is behind now, for whoever asks for the time."""
        if not self.armed or not self.faults.has("clock-skew"):
            return 0
        seconds: float = max(fault["seconds"] for fault in self.faults.state() if fault["name"] == "clock-skew")
        return round(seconds * 1000)

    def skew_ms(self, account: str) -> int:
        """How far the venue's clock is behind for this request, which counts as an opportunity for the fault."""
        fault = self.faults.fires("clock-skew", account) if self.armed else None
        return round(fault.seconds * 1000) if fault is not None else 0

    async def trade(self, account: str, act: Callable[[], Any]) -> Any:
        """Carry out a request that trades. Raises the venue's error or `Cut` in place of an answer, after acting or not."""
        if not self.armed:
            return act()
        fires = self.faults.fires
        away = fires("go-away", account)
        if away is not None:
            self._leave(away.seconds)
            raise Cut
        for name, answer in self._answers.items():
            if name not in DOUBTFUL and fires(name, account):
                raise answer()
        if fires("lose-request", account):
            raise Cut
        self._set_slices(now=fires("partial-fills", account) is not None)
        for name in DOUBTFUL:
            if fires(name, account):
                self._perhaps(act)
                raise self._answers[name]()
        result = act()
        stalled = fires("stall", account)
        if stalled is not None:
            await asyncio.sleep(stalled.seconds)
        if fires("lose-reply", account):
            raise Cut
        return result

    def _perhaps(self, act: Callable[[], Any]) -> None:
        """Carry it out every second time: whoever reads the answer cannot know."""
        self._doubtful += 1
        if self._doubtful % 2:
            act()

    def _set_slices(self, *, now: bool = False) -> None:
        self._exchange.partial_fills = SLICES if now or self.faults.has("partial-fills") else 0
