"""Who is asking: API keys, HMAC-SHA256 signatures and the time window of signed requests.

Source: Bybit v5, "Integration Guidance" and "Connect".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from copydesk_paper.serving.signatures import Age, age, is_signature

from copydesk_bybit.rehearsal.account import Account
from copydesk_bybit.rehearsal.codes import Refusal, bad

DEFAULT_WINDOW_MS = 5_000
AHEAD_MS = 1_000


def authenticate(
    accounts: Mapping[str, Account], headers: Mapping[str, str], payload: str, now_ms: int, skew_ms: Any
) -> Account:
    """Whose request it is. `payload` is the query or the body exactly as it was sent; `skew_ms(account)` how far the
    venue's clock is behind. Raises `Refusal`."""
    key, given = headers.get("X-BAPI-API-KEY", ""), headers.get("X-BAPI-SIGN", "")
    stamp = headers.get("X-BAPI-TIMESTAMP", "")
    window = headers.get("X-BAPI-RECV-WINDOW", "") or str(DEFAULT_WINDOW_MS)
    if not key or not given or not stamp:
        raise Refusal(
            10001, message="params error: X-BAPI-API-KEY, X-BAPI-SIGN and X-BAPI-TIMESTAMP are required", status=401
        )
    if not stamp.isdecimal() or not window.isdecimal():
        raise bad("params error: timestamp or recv_window is no number")
    account = accounts.get(key)
    if account is None:
        raise Refusal(10003)
    check_time(stamp, int(window), now_ms - skew_ms(account.name))
    text = f"{stamp}{key}{headers.get('X-BAPI-RECV-WINDOW', '')}{payload}"
    if not is_signature(given.lower(), account.secret, text):
        raise Refusal(10004, text.replace(key, f"{key[:4]}..."))
    return account


def check_time(stamp: str, window_ms: int, now_ms: int) -> None:
    """server_time - recv_window <= timestamp < server_time + 1000."""
    if age(int(stamp), now_ms, window_ms=window_ms, ahead_ms=AHEAD_MS - 1) is not Age.FINE:
        raise Refusal(10002, stamp, now_ms, window_ms)


def check_socket(accounts: Mapping[str, Account], args: Any, now_ms: int) -> Account:
    """The account of an `auth` operation: [key, expires, signature of GET/realtime and expires]. Raises `Refusal`."""
    if not isinstance(args, list) or len(args) != 3:
        raise Refusal(10001, message="Params Error")
    key, expires, given = (str(one) for one in args)
    account = accounts.get(key)
    if account is None:
        raise Refusal(10003, message="Your api key is invalid.")
    if not expires.isdecimal() or int(expires) <= now_ms:
        raise Refusal(10004, message="Params Error: expires is in the past")
    if not is_signature(given.lower(), account.secret, f"GET/realtime{expires}"):
        raise Refusal(10004, message="Your auth signature is invalid.")
    return account
