"""BitMEX's tables: a `partial` with whole rows, then `insert`, `update` and `delete` of parts of rows. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from copydesk_wire.errors import Unreadable
from copydesk_wire.fields import Payload

KEYS: dict[str, tuple[str, ...]] = {
    "order": ("orderID",),
    "position": ("account", "symbol", "currency"),
    "margin": ("account", "currency"),
    "instrument": ("symbol",),
}
KEPT = 5_000
"""So many rows of a table are kept; of `order`, where ended ones stay, the oldest go first."""


class Table:
    """Whole rows by key, put together from what the stream tells."""

    def __init__(self, name: str) -> None:
        self._keys = KEYS[name]
        self._rows: dict[tuple[Any, ...], dict[str, Any]] = {}

    def take(self, action: str, parts: Iterable[Payload]) -> list[dict[str, Any]]:
        """Take a frame's parts in; return the whole rows that they concern. An update of an unknown row is `Unreadable`."""
        if action == "partial":
            self._rows.clear()
        told = []
        for part in parts:
            key = self._key(part)
            if action == "delete":
                self._rows.pop(key, None)
                continue
            row = self._rows.get(key)
            if row is None:
                if action == "update":
                    raise Unreadable(f"the venue sent an update of the row {key} that it never told of")
                row = self._rows[key] = {}
            row.update(part)
            told.append(dict(row))
        while len(self._rows) > KEPT:
            del self._rows[next(iter(self._rows))]
        return told

    def knows(self, part: Payload) -> bool:
        return self._key(part) in self._rows

    def rows(self) -> Iterable[dict[str, Any]]:
        """All whole rows."""
        return self._rows.values()

    def _key(self, part: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(part.get(name) for name in self._keys)
