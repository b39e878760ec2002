"""Binance's error codes: one table of sentences, one table from the exchange's refusals to codes.

Source: https://developers.binance.com/docs/derivatives/usds-margined-futures/error-code and the recorded replies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from copydesk.model import Record
from copydesk_paper.exchange import ExchangeRefusal

MESSAGES: dict[int, str] = {
    -1000: "An unknown error occurred while processing the request.",
    -1003: (
        "Too many requests; current limit of IP({0}) is {1} requests per minute. "
        "Please use the websocket for live updates to avoid polling the API."
    ),
    -1007: "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
    -1008: "Request throttled by system-level protection. Reduce-only/close-position orders are exempt. Please try again.",
    -1015: "Too many new orders; current limit is {0} orders per {1}.",
    -1021: "Timestamp for this request is outside of the recvWindow.",
    -1022: "Signature for this request is not valid.",
    -1099: "Not found, authenticated, or authorized",
    -1100: "Illegal characters found in parameter '{0}'; legal range is '{1}'.",
    -1101: "Duplicate values for a parameter detected.",
    -1102: "Mandatory parameter '{0}' was not sent, was empty/null, or malformed.",
    -1106: "Parameter '{0}' sent when not required.",
    -1111: "Precision is over the maximum defined for this asset.",
    -1115: "Invalid timeInForce.",
    -1116: "Invalid orderType.",
    -1117: "Invalid side.",
    -1120: "Invalid interval.",
    -1121: "Invalid symbol.",
    -1122: "Invalid symbol status.",
    -1125: "This listenKey does not exist.",
    -1128: "Combination of optional parameters invalid.",
    -1130: "Data sent for parameter '{0}' is not valid.",
    -1131: "recvWindow must be less than 60000",
    -1136: "Invalid newOrderRespType.",
    -2011: "Unknown order sent.",
    -2013: "Order does not exist.",
    -2014: "API-key format invalid.",
    -2015: "Invalid API-key, IP, or permissions for action, request ip: {0}",
    -2019: "Margin is insufficient.",
    -2020: "Unable to fill.",
    -2021: "Order would immediately trigger.",
    -2022: "ReduceOnly Order is rejected.",
    -2026: "This OrderType is not supported when reduceOnly.",
    -4001: "Price less than 0.",
    -4002: "Price greater than max price.",
    -4003: "Quantity less than or equal to zero.",
    -4004: "Quantity less than min quantity.",
    -4005: "Quantity greater than max quantity.",
    -4006: "Stop price less than zero.",
    -4007: "Stop price greater than max price.",
    -4013: "Price less than min price.",
    -4014: "Price not increased by tick size.",
    -4015: "Client order id length should not be more than 36 chars",
    -4016: "Limit price can't be higher than {0}.",
    -4023: "Qty not increased by step size.",
    -4024: "Limit price can't be lower than {0}.",
    -4028: "Leverage {0} is not valid",
    -4045: "Reach max stop order limit.",
    -4046: "No need to change margin type.",
    -4047: "Margin type cannot be changed if there exists open orders.",
    -4048: "Margin type cannot be changed if there exists position.",
    -4059: "No need to change position side.",
    -4060: "Invalid position side.",
    -4061: "Order's position side does not match user's setting.",
    -4062: "Invalid or improper reduceOnly value.",
    -4067: "Position side cannot be changed if there exists open orders.",
    -4068: "Position side cannot be changed if there exists position.",
    -4082: "Invalid number of batch place orders.",
    -4084: "Method is not allowed currently. Upcoming soon.",
    -4116: "ClientOrderId is duplicated.",
    -4120: "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead.",
    -4130: "An open stop or take profit order with GTE and closePosition in the direction is existing.",
    -4131: "The counterparty's best price does not meet the PERCENT_PRICE filter limit.",
    -4136: "Target strategy invalid for orderType {0},closePosition {1}",
    -4164: "Order's notional must be no smaller than {0} (unless you choose reduce only).",
    -4168: "Unable to adjust to Multi-Assets mode with symbols of USD\u24c8-M Futures under isolated-margin mode.",
    -4171: "No need to change multi-assets mode.",
    -5000: "Path {0}, Method {1} is invalid",
    -5021: "Due to the order could not be filled immediately, the FOK order has been rejected.",
    -5022: "Due to the order could not be executed as maker, the Post Only order will be rejected.",
    -5025: "Only limit order is supported.",
    -5027: "No need to modify the order.",
    -5047: "The original order is not a reduce-only order.",
    -5037: "Invalid price match",
    -5038: "Price match only supports order type: LIMIT, STOP AND TAKE_PROFIT",
    -5040: (
        "The goodTillDate timestamp must be greater than the current time plus 600 seconds and smaller than 253402300799000"
    ),
}

_STATUS = {-1003: 429, -1007: 408, -1008: 503, -1015: 429, -2014: 401, -2015: 401, -5000: 404}

_OF_EXCHANGE: dict[str, int] = {
    "unknown-symbol": -1121,
    "unknown-account": -2015,
    "price-tick": -4014,
    "quantity-step": -4023,
    "min-quantity": -4004,
    "max-quantity": -4005,
    "min-notional": -4164,
    "price-band": -4016,
    "insufficient-margin": -2019,
    "reduce-only": -2022,
    "nothing-to-reduce": -2022,
    "would-trigger": -2021,
    "post-only": -5022,
    "duplicate-client-id": -4116,
    "unknown-order": -2011,
    "unchanged": -5027,
    "position-mode": -4059,
    "position-side": -4061,
    "hedge-with-positions": -4068,
    "leverage": -4028,
    "no-liquidity": -2020,
    "fok": -5021,
    "close-position": -4130,
    "margin-type": -4047,
    "trail": -4006,
}


class Wording(Record):
    """How one of Binance's services words its errors: sentences with places in them, and codes that name parameters in
    lower case."""

    messages: Mapping[int, str]
    lowered: frozenset[int] = frozenset()

    def sentence(self, code: int, words: tuple[Any, ...]) -> str:
        if code in self.lowered:
            words = tuple(str(word).lower() for word in words)
        return self.messages[code].format(*words)


FUTURES = Wording(messages=MESSAGES, lowered=frozenset({-1102, -1106}))


class Refusal(Exception):
    """What Binance says instead of doing it: a code, a sentence, an HTTP status, and when to come again.

    `words` go into the sentence that the service has for the code, unless `message` is the sentence; `data` is what the
    reply carries beside it.
    """

    def __init__(
        self,
        code: int,
        *words: Any,
        message: str = "",
        status: int = 0,
        retry_after_s: int = 0,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        self.code = code
        self.words = words
        self.message = message
        self.status = status or _STATUS.get(code, 400)
        self.retry_after_s = retry_after_s
        self.data = data
        super().__init__(f"{code} {message} {words}")

    def payload(self, wording: Wording = FUTURES) -> dict[str, Any]:
        said: dict[str, Any] = {"code": self.code, "msg": self.message or wording.sentence(self.code, self.words)}
        return said | {"data": self.data} if self.data is not None else said


def translated(refusal: ExchangeRefusal, *words: Any) -> Refusal:
    """The Binance form of what the exchange refused. `words` fill the sentence of a code that has places in it."""
    code = _OF_EXCHANGE.get(refusal.detail)
    if code is None:
        return Refusal(-1000, message=f"{MESSAGES[-1000]} ({refusal.detail})")
    if words:
        return Refusal(code, *words)
    return Refusal(code, message=MESSAGES[code].replace("{0}", "the limit"))
