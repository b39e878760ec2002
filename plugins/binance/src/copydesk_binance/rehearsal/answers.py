"""What Binance answers where the venue misbehaves on request."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from copydesk_binance.rehearsal.codes import Refusal

UNKNOWN_ERROR = "Unknown error, please check your request or try again later."
ANSWERS: Mapping[str, Callable[[], Exception]] = {
    "429": lambda: Refusal(-1003, "127.0.0.1", 0, retry_after_s=1),
    "overload": lambda: Refusal(-1008),
    "-1007": lambda: Refusal(-1007),
    "refuse-margin": lambda: Refusal(-2019),
    "refuse-notional": lambda: Refusal(-4164, 5),
    "refuse-price": lambda: Refusal(-2021),
    "refuse-permission": lambda: Refusal(-2015, "127.0.0.1"),
    "refuse-reduce-only": lambda: Refusal(-2022),
    "5xx": lambda: Refusal(-1000, message=UNKNOWN_ERROR, status=503),
}
