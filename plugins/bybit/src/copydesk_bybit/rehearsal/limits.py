"""Rate limits: so many requests a second of each kind for an account, and so many in five seconds for an address.

Source: Bybit v5, "Rate Limit"; headers as recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum

from copydesk_paper.serving.limits import Limits, Window

from copydesk_bybit.rehearsal.codes import Refusal

SECOND = 1_000
ADDRESS_MS = 5 * SECOND


class Group(StrEnum):
    """What is counted together. Each order service counts for itself, and so does each path that reads."""

    CREATE = "order.create"
    AMEND = "order.amend"
    CANCEL = "order.cancel"
    CANCEL_ALL = "order.cancel-all"
    POSITION = "position"
    READ = "read"
    MARKET = ""


BY_PATH = frozenset({Group.READ, Group.POSITION})
TRADES = frozenset({Group.CREATE, Group.AMEND, Group.CANCEL, Group.CANCEL_ALL})


class RateLimits:
    """Counts requests; what is too much raises `Refusal` 10006, or 403 where an address asks too often."""

    def __init__(self, orders: int, reads: int, address: int, now_ms: Callable[[], int]) -> None:
        self._now_ms = now_ms
        self._addresses: Limits[Window] = Limits(lambda: Window(address, ADDRESS_MS))
        self._groups = {group: _per_second(orders if group in TRADES else reads) for group in Group}

    def address(self, ip: str) -> None:
        """One request of an address."""
        if not self._addresses[ip].take(1, self._now_ms()):
            raise Refusal(10018, message="access too frequent.", status=403)

    def take(self, group: Group, account: str, amount: int = 1, *, path: str = "") -> dict[str, str]:
        """So many requests of an account; reads are counted for each path. Returns the headers. Raises `Refusal`."""
        window = self._groups[group][f"{account} {path}" if group in BY_PATH else account]
        now = self._now_ms()
        if not window.take(amount, now):
            raise Refusal(10006, retry_after_s=window.resets_in_s(now))
        left = window.remaining(now)
        return {
            "X-Bapi-Limit": str(window.limit),
            "X-Bapi-Limit-Status": str(left),
            "X-Bapi-Limit-Reset-Timestamp": str(now if left else window.resets_ms(now)),
        }


def _per_second(most: int) -> Limits[Window]:
    return Limits(lambda: Window(most, SECOND))
