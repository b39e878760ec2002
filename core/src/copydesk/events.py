"""The numbered events of a running engine: kept for a while, told to whoever listens, without gaps."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any

from copydesk.view import DeskEvent

log = logging.getLogger(__name__)

KEPT = 20_000


class Events:
    """A ring of the latest events. Numbers begin anew with each engine start, from a start that only grows."""

    def __init__(self, first: int) -> None:
        """`first`: the number before the first event; later engines have to be given a larger one."""
        self.last = first
        self._ring: deque[DeskEvent] = deque(maxlen=KEPT)
        self._sinks: list[Callable[[DeskEvent], None]] = []

    @property
    def is_watched(self) -> bool:
        """Somebody listens."""
        return bool(self._sinks)

    def tell(self, kind: str, body: Any, account: str = "") -> None:
        """Number an event, keep it and hand it on."""
        self.last += 1
        event = DeskEvent(seq=self.last, kind=kind, account=account, body=body)
        self._ring.append(event)
        self._hand_on(event)

    def price(self, body: Any, account: str) -> None:
        """Hand a price on. Prices carry no number and are not kept: the next one replaces it."""
        if self._sinks:
            self._hand_on(DeskEvent(seq=0, kind="price", account=account, body=body))

    def after(self, seq: int, limit: int) -> list[DeskEvent] | None:
        """The events numbered `seq + 1` and on; `None` where they are not kept any more, or never were."""
        if seq > self.last:
            return None
        newer = self.last - seq
        if newer > len(self._ring):
            return None
        if newer <= limit:
            return list(islice(reversed(self._ring), newer))[::-1]  # a deque is walked from its nearer end only so
        start = len(self._ring) - newer
        return list(islice(self._ring, start, min(start + limit, len(self._ring))))

    def listen(self, sink: Callable[[DeskEvent], None]) -> Callable[[], None]:
        self._sinks.append(sink)

        def stop() -> None:
            if sink in self._sinks:
                self._sinks.remove(sink)

        return stop

    def _hand_on(self, event: DeskEvent) -> None:
        for sink in tuple(self._sinks):
            try:
                sink(event)
            except Exception:
                log.exception("a listener failed and is not told any more")
                self._sinks.remove(sink)
