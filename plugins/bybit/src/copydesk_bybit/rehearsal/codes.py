"""The venue's return codes: what a refused request is answered with. Bybit answers them with HTTP 200.

Source: Bybit v5, "Error Codes"; sentences as the venue sends them.
"""

from __future__ import annotations

from collections.abc import Mapping

from copydesk_paper.refusal import ExchangeRefusal

from copydesk_bybit.symbols import SPOT

MESSAGES: Mapping[int, str] = {
    10000: "Server Timeout",
    10002: (
        "invalid request, please check your server timestamp or recv_window param. "
        "req_timestamp[{}],server_timestamp[{}],recv_window[{}]"
    ),
    10003: "API key is invalid.",
    10004: "error sign! origin_string[{}]",
    10005: "Permission denied, please check your API key permissions.",
    10006: "Too many visits. Exceeded the API Rate Limit.",
    10016: "Server error.",
    10017: "Route not found.",
    110001: "order not exists or too late to cancel",
    110003: "Order price exceeds the allowable range.",
    110007: "ab not enough for new order",
    110012: "Insufficient available balance.",
    110013: "cannot set leverage gt maxLeverage by risk limit",
    110017: "current position is zero, cannot fix reduce-only order qty",
    110020: "Not allowed to have more than 500 active orders.",
    110024: "You have an existing position, so the position mode cannot be switched.",
    110025: "Position mode is not modified",
    110028: "You have existing open orders, so the position mode cannot be switched.",
    110029: "Hedge mode is not supported for this symbol.",
    110034: "There is no net position",
    110043: "leverage not modified",
    110061: "Not allowed to have more than 20 TP/SLs under Partial tpSlMode",
    110064: "The modified contract quantity cannot be less than or equal to the filled quantity.",
    110072: "OrderLinkedID is duplicate",
    110074: "This contract is not live",
    110092: "expect Rising, but trigger_price[{}] <= current[{}]??laste",
    110093: "expect Falling, but trigger_price[{}] >= current[{}]??last",
    110094: "Order does not meet minimum order value {}",
    110026: "Cross/isolated margin mode is not modified",
    34040: "not modified",
    170121: "Invalid symbol.",
    170131: "Insufficient balance.",
    170134: "Order price has too many decimals.",
    170136: "Order quantity exceeded lower limit.",
    170137: "Order quantity has too many decimals.",
    170140: "Order value exceeded lower limit.",
    170141: "Duplicate clientOrderId.",
    170213: "Order does not exist.",
    170217: "Only LIMIT-MAKER order is supported for the current pair.",
    170313: "The modified contract quantity cannot be less than to the filled quantity.",
    170381: "Order quantity too large.",
}
UNCHANGED = "The order remains unchanged as the parameters entered match the existing ones."
IDX_MISMATCH = "position idx not match position mode"


class Refusal(Exception):
    """A request is refused: `code` and the venue's sentence. `status` is HTTP's, nearly always 200."""

    def __init__(self, code: int, *values: object, message: str = "", status: int = 200, retry_after_s: int = 0) -> None:
        self.code = code
        self.status = status
        self.retry_after_s = retry_after_s
        self.message = message or MESSAGES.get(code, "").format(*values)
        super().__init__(self.message)


def bad(message: str) -> Refusal:
    """10001: a parameter that is missing or wrong."""
    return Refusal(10001, message=message)


_DERIVATIVES: Mapping[str, tuple[int, str]] = {
    # what the exchange objects to: (code, sentence; empty: the code's own)
    "unknown-symbol": (10001, "params error: symbol invalid {symbol}"),
    "unknown-order": (110001, ""),
    "duplicate-client-id": (110072, ""),
    "price-tick": (10001, "params error: price invalid"),
    "price-band": (110003, ""),
    "quantity-step": (10001, "Qty invalid"),
    "min-quantity": (10001, "The number of contracts exceeds minimum limit allowed"),
    "max-quantity": (10001, "The number of contracts exceeds maximum limit allowed: too large"),
    "min-notional": (110094, "Order does not meet minimum order value {least}{quote}"),
    "insufficient-margin": (110007, ""),
    "nothing-to-reduce": (110017, ""),
    "reduce-only": (110017, "Reduce-only rule not satisfied"),
    "position-side": (10001, IDX_MISMATCH),
    "position-mode": (10001, IDX_MISMATCH),
    "hedge-with-positions": (110024, ""),
    "leverage": (110013, ""),
    "unchanged": (10001, UNCHANGED),
    "margin-type": (110024, ""),
}
_SPOT: Mapping[str, tuple[int, str]] = {
    "unknown-symbol": (170121, ""),
    "unknown-order": (170213, ""),
    "duplicate-client-id": (170141, ""),
    "price-tick": (170134, ""),
    "price-band": (170193, "Buy order price cannot be higher than the limit."),
    "quantity-step": (170137, ""),
    "min-quantity": (170136, ""),
    "max-quantity": (170381, ""),
    "min-notional": (170140, ""),
    "insufficient-margin": (170131, ""),
    "unchanged": (10001, UNCHANGED),
}


def translated(refusal: ExchangeRefusal, category: str, **values: object) -> Refusal:
    """What the venue answers where the exchange refuses."""
    table = _SPOT if category == SPOT else _DERIVATIVES
    code, sentence = table.get(refusal.detail, (10001, f"params error: {refusal}"))
    return Refusal(code, message=sentence.format(**values)) if sentence else Refusal(code)
