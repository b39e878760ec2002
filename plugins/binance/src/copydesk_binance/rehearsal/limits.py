"""Request weight per address and order counts per account, as Binance counts them: fixed windows by the clock.

Source: https://developers.binance.com/docs/derivatives/usds-margined-futures/general-info, "LIMITS".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from copydesk.model import Record
from copydesk_paper.serving.limits import Limits, Window

from copydesk_binance.rehearsal.codes import Refusal

MINUTE_MS = 60_000
STRIKES_BEFORE_BAN = 10
FIRST_BAN_S = 120


class RequestWeight:
    """The weight used by each address. Who goes on after 429s is banned: 418, with the time in `Retry-After`."""

    def __init__(self, limit: int, now_ms: Callable[[], int]) -> None:
        self.limit = limit
        self._now_ms = now_ms
        self._windows = Limits(lambda: Window(limit, MINUTE_MS))
        self._strikes: dict[str, int] = {}
        self._banned_until_ms: dict[str, int] = {}

    def use(self, ip: str, weight: int) -> int:
        """Count `weight` for this address and return what it used this minute. Raises `Refusal` with 429 or 418."""
        now_ms = self._now_ms()
        banned = self._banned_until_ms.get(ip, 0)
        if banned > now_ms:
            raise _banned(ip, banned, now_ms)
        window = self._windows[ip]
        if window.take(weight, now_ms):
            return window.count
        strikes = self._strikes[ip] = self._strikes.get(ip, 0) + 1
        if strikes <= STRIKES_BEFORE_BAN:
            raise Refusal(-1003, ip, self.limit, retry_after_s=window.resets_in_s(now_ms))
        self._strikes[ip] = 0
        banned = self._banned_until_ms[ip] = now_ms + FIRST_BAN_S * 1000
        raise _banned(ip, banned, now_ms)

    def used(self, ip: str) -> int:
        return self._windows[ip].count


class OrderLimit(Record):
    """So many orders in each interval, as `exchangeInfo` has it; its name in headers and sentences."""

    limit: int
    interval: str
    number: int

    @property
    def milliseconds(self) -> int:
        return self.number * _INTERVALS_MS[self.interval]

    @property
    def header(self) -> str:
        return f"X-MBX-ORDER-COUNT-{self.number}{self.interval[0]}"

    def told(self) -> dict[str, Any]:
        interval = {"interval": self.interval, "intervalNum": self.number, "limit": self.limit}
        return {"rateLimitType": "ORDERS"} | interval


_INTERVALS_MS = {"SECOND": 1_000, "MINUTE": MINUTE_MS, "DAY": 1_440 * MINUTE_MS}
_WORDS = {("SECOND", 10): "TEN_SECONDS", ("MINUTE", 1): "MINUTE", ("DAY", 1): "DAY"}


class OrderCount:
    """The orders that one account placed or changed, in each of the intervals that are limited.

    `batch_counts_once`: a batch is one to all intervals but the first, as futures count.
    """

    __slots__ = ("_batch_counts_once", "_now_ms", "limits", "windows")

    def __init__(self, limits: Sequence[OrderLimit], now_ms: Callable[[], int], *, batch_counts_once: bool = False) -> None:
        self.limits = tuple(limits)
        self.windows = [Window(one.limit, one.milliseconds) for one in limits]
        self._now_ms = now_ms
        self._batch_counts_once = batch_counts_once

    def add(self, orders: int) -> None:
        """Count the orders of one request. Raises `Refusal` -1015 (HTTP 429) where a limit is passed."""
        now_ms = self._now_ms()
        counts = [1 if index and self._batch_counts_once else orders for index in range(len(self.windows))]
        fits = [window.take(count, now_ms) for window, count in zip(self.windows, counts, strict=True)]
        for limit, window, fit in zip(self.limits, self.windows, fits, strict=True):
            if not fit:
                word = _WORDS.get((limit.interval, limit.number), f"{limit.number} {limit.interval}")
                raise Refusal(-1015, limit.limit, word, retry_after_s=window.resets_in_s(now_ms))

    def forgive(self, orders: int) -> None:
        """Spot: an order that was filled does not count any more."""
        for window in self.windows:
            window.count = max(0, window.count - orders)

    def headers(self) -> dict[str, str]:
        return {limit.header: str(window.count) for limit, window in zip(self.limits, self.windows, strict=True)}

    def rate_limits(self) -> list[dict[str, Any]]:
        """The `rateLimits` of orders as they stand, for a websocket API reply or a query."""
        now_ms = self._now_ms()
        return [
            limit.told() | {"count": window.used(now_ms)} for limit, window in zip(self.limits, self.windows, strict=True)
        ]


def weight_limit(limit: int, count: int) -> dict[str, Any]:
    return {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": limit, "count": count}


def _banned(ip: str, until_ms: int, now_ms: int) -> Refusal:
    sentence = (
        f"Way too many requests; IP({ip}) banned until {until_ms}. Please use the websocket for live updates to avoid bans."
    )
    return Refusal(-1003, message=sentence, status=418, retry_after_s=max(1, (until_ms - now_ms) // 1000))
