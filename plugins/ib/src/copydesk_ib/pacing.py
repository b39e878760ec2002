"""Keeps a login within TWS's limit of messages, and lets what reduces risk go first.

TWS takes fifty messages a second of one client, all together, and ends the connection of who sends more. The libraries
send in the order in which they were asked, so that a cancel waits behind the opening orders of other accounts.
"""

from __future__ import annotations

import asyncio
import heapq
from collections import deque
from collections.abc import Callable
from enum import IntEnum
from itertools import count

RATE, WINDOW_S = 44, 1.1
"""So many messages in so many seconds: TWS counts when they arrive, and those of a second may arrive closer together."""
WAITING_MOST = 2_000


class Urgency(IntEnum):
    """Who goes first where not all can go at once."""

    CANCEL = 0
    EXIT = 1
    CHANGE = 2
    ENTRY = 3
    READ = 4


class Full(Exception):
    """More is waiting than will ever be sent in time; nothing was sent of this."""


class Pacer:
    """Sends at once, or when there is room. Of two changes of one order that wait, only the later goes."""

    def __init__(self, rate: int = RATE, window_s: float = WINDOW_S) -> None:
        self._rate = rate
        self._window_s = window_s
        self._sent: deque[float] = deque()
        self._waiting: list[tuple[int, int]] = []
        self._calls: dict[int, tuple[Callable[[], None], object]] = {}
        self._numbers = count()
        self._by_key: dict[object, int] = {}
        self._timer: asyncio.TimerHandle | None = None

    def submit(self, urgency: Urgency, send: Callable[[], None], key: object = None) -> int | None:
        """Send now, or later: then the ticket for `withdraw` is returned. Raises `Full`.

        `key`: what is waiting under the same key is replaced, in its place.
        """
        if self.at_once():
            send()
            return None
        if key is not None and key in self._by_key:
            self._calls[self._by_key[key]] = (send, key)
            return self._by_key[key]
        if len(self._calls) >= WAITING_MOST:
            raise Full(f"{WAITING_MOST} messages are waiting to be sent to TWS.")
        number = next(self._numbers)
        self._calls[number] = (send, key)
        if key is not None:
            self._by_key[key] = number
        heapq.heappush(self._waiting, (urgency, number))
        self._wake()
        return number

    def at_once(self) -> bool:
        """Whether a message may go now, ahead of nobody: then it is counted, and the caller sends it."""
        now = asyncio.get_running_loop().time()
        self._forget(now)
        if self._waiting or len(self._sent) >= self._rate:
            return False
        self._sent.append(now)
        return True

    def withdraw(self, ticket: int | None) -> None:
        """It is not to be sent any more, if it still waits."""
        _, key = self._calls.pop(ticket, (None, None)) if ticket is not None else (None, None)
        if key is not None:
            self._by_key.pop(key, None)

    def clear(self) -> None:
        """Forget what waits: the connection is gone."""
        self._waiting.clear()
        self._calls.clear()
        self._by_key.clear()
        self._sent.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _forget(self, now: float) -> None:
        while self._sent and now - self._sent[0] >= self._window_s:
            self._sent.popleft()

    def _wake(self) -> None:
        if self._timer is None and self._waiting:
            wait_s = self._sent[0] + self._window_s - asyncio.get_running_loop().time() if self._sent else 0.0
            self._timer = asyncio.get_running_loop().call_later(max(0.0, wait_s), self._flush)

    def _flush(self) -> None:
        self._timer = None
        now = asyncio.get_running_loop().time()
        self._forget(now)
        while self._waiting and len(self._sent) < self._rate:
            _, number = heapq.heappop(self._waiting)
            if number not in self._calls:
                continue
            send, key = self._calls.pop(number)
            if key is not None:
                self._by_key.pop(key, None)
            self._sent.append(now)
            send()
        self._wake()
