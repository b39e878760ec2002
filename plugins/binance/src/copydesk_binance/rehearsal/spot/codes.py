"""The spot service's error codes: its sentences, and what it says to what the exchange refuses.

Source: https://developers.binance.com/docs/binance-spot-api-docs/errors and the recorded replies.
"""

from __future__ import annotations

from copydesk_paper.exchange import ExchangeRefusal

from copydesk_binance.rehearsal.codes import Refusal, Wording

SPOT = Wording(
    messages={
        -1000: "An unknown error occurred while processing the request.",
        -1003: (
            "Too much request weight used; current limit is {1} request weight per 1 MINUTE. "
            "Please use WebSocket Streams for live updates to avoid polling the API."
        ),
        -1007: "Timeout waiting for response from backend server. Send status unknown; execution status unknown.",
        -1008: "Server is currently overloaded with other requests. Please try again in a few minutes.",
        -1015: "Too many new orders; current limit is {0} orders per {1}.",
        -1020: "This operation is not supported.",
        -1021: "Timestamp for this request is outside of the recvWindow.",
        -1022: "Signature for this request is not valid.",
        -1100: "Illegal characters found in parameter '{0}'; legal range is '{1}'.",
        -1102: "Mandatory parameter '{0}' was not sent, was empty/null, or malformed.",
        -1106: "Parameter '{0}' sent when not required.",
        -1111: "Parameter '{0}' has too much precision.",
        -1115: "Invalid timeInForce.",
        -1116: "Invalid orderType.",
        -1117: "Invalid side.",
        -1120: "Invalid interval.",
        -1121: "Invalid symbol.",
        -1128: "Combination of optional parameters invalid.",
        -1130: "Data sent for parameter '{0}' is not valid.",
        -1131: "recvWindow must be less than 60000.",
        -1136: "Invalid newOrderRespType.",
        -1145: "Invalid cancelRestrictions.",
        -1158: "Order type not supported in OCO.",
        -1165: "A limit order in a buy OCO must be below.",
        -1166: "A limit order in a sell OCO must be above.",
        -1168: "At least one OCO order must be contingent.",
        -1196: "A stop loss order in a buy OCO must be above.",
        -1197: "A stop loss order in a sell OCO must be below.",
        -1198: "A take profit order in a buy OCO must be below.",
        -1199: "A take profit order in a sell OCO must be above.",
        -1222: "Working order in an OPO list must be a bid.",
        -1223: "Pending orders in an OPO list must be asks.",
        -1225: "Pending orders should not include the '{0}' tag.",
        -2011: "Unknown order sent.",
        -2013: "Order does not exist.",
        -2014: "API-key format invalid.",
        -2015: "Invalid API-key, IP, or permissions for action.",
        -2035: "User Data Stream subscription already active.",
        -2036: "User Data Stream subscription not active.",
        -2039: "Client order ID is not correct for this order ID.",
        -5000: "Path {0}, Method {1} is invalid",
    }
)

UNKNOWN_ORDER = "Unknown order sent."
PRICES_OF_OCO = "The relationship of the prices for the orders is not correct."
_FILTER, _ENGINE = -1013, -2010
_OF_EXCHANGE: dict[str, tuple[int, str]] = {
    "price-tick": (_FILTER, "Filter failure: PRICE_FILTER"),
    "price-band": (_FILTER, "Filter failure: PERCENT_PRICE_BY_SIDE"),
    "quantity-step": (_FILTER, "Filter failure: LOT_SIZE"),
    "min-quantity": (_FILTER, "Filter failure: LOT_SIZE"),
    "max-quantity": (_FILTER, "Filter failure: LOT_SIZE"),
    "min-notional": (_FILTER, "Filter failure: NOTIONAL"),
    "trail": (_FILTER, "Filter failure: TRAILING_DELTA"),
    "insufficient-margin": (_ENGINE, "Account has insufficient balance for requested action."),
    "would-trigger": (_ENGINE, "Order would trigger immediately."),
    "post-only": (_ENGINE, "Order would immediately match and take."),
    "duplicate-client-id": (_ENGINE, "Duplicate order sent."),
    "oco": (_ENGINE, PRICES_OF_OCO),
    "unknown-order": (-2011, UNKNOWN_ORDER),
}


def filter_failure(name: str) -> Refusal:
    return Refusal(_FILTER, message=f"Filter failure: {name}")


def rejected(sentence: str) -> Refusal:
    """What the matching engine says."""
    return Refusal(_ENGINE, message=sentence)


def translated(refusal: ExchangeRefusal) -> Refusal:
    """The spot service's form of what the exchange refused."""
    if refusal.detail == "unknown-symbol":
        return Refusal(-1121)
    code, sentence = _OF_EXCHANGE.get(refusal.detail, (-1000, f"{SPOT.messages[-1000]} ({refusal.detail})"))
    return Refusal(code, message=sentence)
