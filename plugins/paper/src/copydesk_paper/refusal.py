"""Why the exchange says no."""

from __future__ import annotations

from copydesk.model import RejectReason


class ExchangeRefusal(Exception):
    """Nothing happened. `reason` is the family, `detail` a stable word for the rule, `str()` a sentence for people."""

    def __init__(self, reason: RejectReason, detail: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.detail = detail
