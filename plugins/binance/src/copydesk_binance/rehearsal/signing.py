"""Who is asking: API keys, HMAC-SHA256 signatures and the time window of signed requests.

Source: https://developers.binance.com/docs/derivatives/usds-margined-futures/general-info, "Endpoint security type".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Protocol
from urllib.parse import quote, unquote

from copydesk_paper.serving.signatures import Age, age

from copydesk_binance.rehearsal.codes import Refusal

DEFAULT_WINDOW_MS = 5_000
MAX_WINDOW_MS = 60_000
AHEAD_MS = 1_000
_KEY_FORM = re.compile(r"[A-Za-z0-9]{64}")
_SIGNATURE = re.compile(r"(?:^|&)signature=([^&]*)")


def check_form_of_key(key: str, ip: str) -> Refusal:
    """The refusal for a key that no account has: malformed (-2014) or merely unknown (-2015)."""
    if _KEY_FORM.fullmatch(key):
        return Refusal(-2015, ip)
    return Refusal(-2014)


class Signer(Protocol):
    """Whoever has a key here."""

    def has_signed(self, text: str, signature: str) -> bool: ...


def check_signature(signer: Signer, query: str, body: str) -> None:
    """Check the `signature` of a REST request over its query string followed by its body, exactly as they were sent.

    Raises `Refusal` -1102 without one and -1022 for a wrong one.
    """
    given = ""
    parts = []
    for part in (query, body):
        found = _SIGNATURE.search(part)
        if found:
            given = found.group(1)
            part = part[: found.start()] + part[found.end() :]
            part = part.removeprefix("&")
        parts.append(part)
    _compare(signer, unquote(given), "".join(parts))


def check_signed_params(signer: Signer, params: Mapping[str, Any]) -> None:
    """Check the `signature` of a websocket API request: its parameters sorted by name, joined like a query string.

    Binance's own connectors sign the values as they are, ccxt signs them percent-encoded; both are taken.
    """
    named = [(name, as_text(value)) for name, value in sorted(params.items()) if name != "signature"]
    given = str(params.get("signature") or "")
    plain = "&".join(f"{name}={value}" for name, value in named)
    try:
        _compare(signer, given, plain)
    except Refusal as refusal:
        encoded = "&".join(f"{name}={quote(value, safe='')}" for name, value in named)
        if refusal.code != -1022 or encoded == plain:
            raise
        _compare(signer, given, encoded)


def check_time(timestamp: int | None, window: int | None, now_ms: int) -> None:
    """Refuse (-1102, -1131, -1021) a signed request without a timestamp, or whose timestamp is outside of its window."""
    if timestamp is None:
        raise Refusal(-1102, "timestamp")
    judged = age(timestamp, now_ms, window_ms=DEFAULT_WINDOW_MS if window is None else window, ahead_ms=AHEAD_MS)
    if judged is Age.AHEAD:
        raise Refusal(-1021, message=f"Timestamp for this request was {AHEAD_MS}ms ahead of the server's time.")
    if window is not None and window > MAX_WINDOW_MS:
        raise Refusal(-1131)
    if judged is Age.TOO_OLD:
        raise Refusal(-1021)


def plain_number(text: str) -> str:
    """A JSON number with a fraction as plain decimal text: `1e-05` is not a form that Binance takes."""
    return f"{Decimal(text):f}" if "e" in text or "E" in text else text


def as_text(value: Any) -> str:
    """A JSON value of a websocket API request as it stands in the text that is signed."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _compare(signer: Signer, given: str, payload: str) -> None:
    if not given:
        raise Refusal(-1102, "signature")
    if not signer.has_signed(payload, given):
        raise Refusal(-1022)
