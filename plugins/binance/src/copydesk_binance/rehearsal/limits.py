"""Request weight per address and order counts per account, as Binance counts them: fixed windows by the clock.

Source: https://developers.binance.com/docs/derivatives/usds-margined-futures/general-info, "LIMITS".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from copydesk_paper.serving.limits import Limits, Window

from copydesk_binance.rehearsal.codes import Refusal

MINUTE_MS = 60_000
TEN_SECONDS_MS = 10_000
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


class OrderCount:
    """The orders that one account placed or changed, per ten seconds and per minute."""

    __slots__ = ("_now_ms", "per_minute", "per_ten_seconds")

    def __init__(self, per_ten_seconds: int, per_minute: int, now_ms: Callable[[], int]) -> None:
        self.per_ten_seconds = Window(per_ten_seconds, TEN_SECONDS_MS)
        self.per_minute = Window(per_minute, MINUTE_MS)
        self._now_ms = now_ms

    def add(self, orders: int) -> None:
        """Count the orders of one request, of which a batch is one to the minute and as many as it has to the ten seconds.

        Raises `Refusal` -1015 (HTTP 429) where one of the limits is passed.
        """
        now_ms = self._now_ms()
        fits_ten, fits_minute = self.per_ten_seconds.take(orders, now_ms), self.per_minute.take(1, now_ms)
        if not fits_ten:
            after = self.per_ten_seconds.resets_in_s(now_ms)
            raise Refusal(-1015, self.per_ten_seconds.limit, "TEN_SECONDS", retry_after_s=after)
        if not fits_minute:
            after = self.per_minute.resets_in_s(now_ms)
            raise Refusal(-1015, self.per_minute.limit, "MINUTE", retry_after_s=after)

    def headers(self) -> dict[str, str]:
        return {
            "X-MBX-ORDER-COUNT-10S": str(self.per_ten_seconds.count),
            "X-MBX-ORDER-COUNT-1M": str(self.per_minute.count),
        }

    def rate_limits(self) -> list[dict[str, Any]]:
        """The `rateLimits` of a websocket API reply to a request that counts as an order, as recorded."""
        return [
            weight_limit(-1, -1),
            _order_limit("SECOND", 10, self.per_ten_seconds),
            _order_limit("MINUTE", 1, self.per_minute),
        ]


def weight_limit(limit: int, count: int) -> dict[str, Any]:
    return {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": limit, "count": count}


def _order_limit(interval: str, number: int, window: Window) -> dict[str, Any]:
    return {
        "rateLimitType": "ORDERS",
        "interval": interval,
        "intervalNum": number,
        "limit": window.limit,
        "count": window.count,
    }


def _banned(ip: str, until_ms: int, now_ms: int) -> Refusal:
    sentence = (
        f"Way too many requests; IP({ip}) banned until {until_ms}. Please use the websocket for live updates to avoid bans."
    )
    return Refusal(-1003, message=sentence, status=418, retry_after_s=max(1, (until_ms - now_ms) // 1000))
