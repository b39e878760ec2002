"""One table from Binance's error codes to what copydesk does about them, and the rule that tells "no" from "nobody knows".

Codes are read from the body of the reply. (ccxt picks its table by the URL, which fails for any other base URL.)
Codes are the same for all services. Source: Binance USD-M futures and spot, "Error Codes" and "HTTP Return Codes".
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, NoReturn

from copydesk.model import Record, Rejected, RejectReason, Unknown
from copydesk_wire.connection import Answer
from copydesk_wire.errors import Family, Meaning, failure, outcome, read_json

_R = RejectReason

CODES: dict[int, Meaning] = {
    # general: -10xx
    -1000: Family.UNKNOWN,  # "An unknown error occurred while processing the request"
    -1001: Family.UNKNOWN,  # "Internal error; unable to process your request"
    -1002: Family.AUTH,
    -1003: _R.RATE_LIMIT,
    -1004: _R.OVERLOADED,
    -1005: _R.PERMISSION,
    -1006: Family.UNKNOWN,  # "An unexpected response was received from the message bus. Execution status unknown."
    -1007: Family.UNKNOWN,  # "Timeout waiting for response from backend server. Send status unknown"
    -1008: _R.OVERLOADED,  # throttled before it was processed
    -1011: _R.PERMISSION,
    -1013: _R.QUANTITY,
    -1015: _R.RATE_LIMIT,
    -1016: _R.OVERLOADED,
    -1021: Family.CLOCK,
    -1022: Family.AUTH,
    -1099: Family.AUTH,
    -1108: _R.SYMBOL,
    -1109: _R.PERMISSION,
    -1110: _R.SYMBOL,
    -1111: _R.QUANTITY,  # precision over the maximum: of the quantity or of the price, see MESSAGES
    -1121: _R.SYMBOL,
    -1034: _R.RATE_LIMIT,  # too many connections
    -1122: _R.SYMBOL,
    -1125: _R.NOT_FOUND,  # "This listenKey does not exist"
    # processing: -20xx
    -2010: _R.OTHER,
    -2011: _R.NOT_FOUND,
    -2012: _R.NOT_FOUND,
    -2013: _R.NOT_FOUND,
    -2014: Family.AUTH,
    -2015: Family.AUTH,
    -2016: _R.SYMBOL,
    -2017: Family.AUTH,
    -2018: _R.MARGIN,
    -2019: _R.MARGIN,
    -2021: _R.PRICE,  # would trigger at once
    -2022: _R.NOTHING_TO_REDUCE,
    -2023: _R.PERMISSION,  # in liquidation
    -2024: _R.NOTHING_TO_REDUCE,
    -2027: _R.MARGIN,
    -2028: _R.MARGIN,
    # filters and modes: -40xx and -41xx
    -4001: _R.PRICE,
    -4002: _R.PRICE,
    -4003: _R.QUANTITY,
    -4004: _R.QUANTITY,
    -4005: _R.QUANTITY,
    -4006: _R.PRICE,
    -4007: _R.PRICE,
    -4013: _R.PRICE,
    -4014: _R.PRICE,
    -4016: _R.PRICE,
    -4022: _R.SYMBOL,
    -4023: _R.QUANTITY,
    -4024: _R.PRICE,
    -4029: _R.PRICE,
    -4030: _R.QUANTITY,
    -4046: _R.UNCHANGED,
    -4047: _R.MODE,  # the margin mode cannot change while there are orders, or a position (-4048)
    -4048: _R.MODE,
    -4050: _R.MARGIN,
    -4051: _R.MARGIN,
    -4056: Family.AUTH,
    -4059: _R.UNCHANGED,
    -4060: _R.MODE,
    -4061: _R.MODE,
    -4062: _R.MODE,
    -4067: _R.MODE,
    -4068: _R.MODE,
    -4087: _R.PERMISSION,
    -4088: _R.PERMISSION,
    -4108: _R.SYMBOL,  # on delivery
    -4109: _R.PERMISSION,
    -4115: _R.DUPLICATE_ID,
    -4116: _R.DUPLICATE_ID,
    -4117: _R.OVERLOADED,  # "stop order is triggering": ask again when it has triggered
    -4118: _R.NOTHING_TO_REDUCE,
    -4131: _R.PRICE,
    -4135: _R.PRICE,
    -4138: _R.NOTHING_TO_REDUCE,
    -4140: _R.SYMBOL,
    -4141: _R.SYMBOL,
    -4142: _R.PRICE,
    -4164: _R.QUANTITY,  # notional
    -4168: _R.MODE,
    -4171: _R.UNCHANGED,
    -4183: _R.PRICE,
    -4184: _R.PRICE,
    -4192: _R.PERMISSION,
    -4210: _R.PRICE,
    -4211: _R.PRICE,
    -4400: _R.PERMISSION,
    -4401: _R.PERMISSION,
    -4402: _R.PERMISSION,
    -4403: _R.PERMISSION,
    -4411: _R.PERMISSION,
    -4509: _R.NOTHING_TO_REDUCE,  # a time in force that needs an open position
    # execution: -50xx
    -5021: _R.OTHER,  # fill-or-kill that could not be filled
    -5022: _R.POST_ONLY,
    -5024: _R.SYMBOL,
    -5025: _R.OTHER,  # only limit orders can be amended
    -5026: _R.OTHER,  # amended too often
    -5027: _R.UNCHANGED,
    -5028: _R.OVERLOADED,  # too late for the matching engine's window: not carried out
    -5029: _R.QUANTITY,
}
"""Codes that mean something of their own. A code that is not here is a plain refusal (`RejectReason.OTHER`)."""

MESSAGES: tuple[tuple[int, str, Meaning], ...] = (
    # (code, 0 for any; words of the message in lower case; meaning). Looked at before `CODES`.
    (0, "unknown error, please check your request or try again later", Family.UNKNOWN),
    (0, "execution status unknown", Family.UNKNOWN),
    (0, "send status unknown", Family.UNKNOWN),
    (0, "throttled by system-level protection", _R.OVERLOADED),
    (0, "service unavailable", _R.OVERLOADED),
    (-1000, "invalid json", _R.OTHER),
    (-1111, "price", _R.PRICE),
    (-1013, "price", _R.PRICE),
    (-2010, "insufficient", _R.MARGIN),
    (-2010, "duplicate", _R.DUPLICATE_ID),
    (-2010, "immediately match", _R.POST_ONLY),
    (-2010, "trigger immediately", _R.PRICE),
    (-2010, "relationship of the prices", _R.PRICE),
    (-2010, "market is closed", _R.SYMBOL),
    (-2010, "symbol is not permitted", _R.PERMISSION),
    (-2010, "symbol is restricted", _R.PERMISSION),
    (-2010, "disabled on this account", _R.PERMISSION),
    (-2010, "may not place or cancel", _R.PERMISSION),
    (-1013, "market is closed", _R.SYMBOL),
    (-2026, "archived", _R.NOT_FOUND),  # spot; of futures the code says something else
    (-2038, "no state", _R.UNCHANGED),
    (-4045, "stop order", _R.OTHER),
)

_STATUS: dict[int, Meaning] = {
    401: Family.AUTH,
    403: _R.RATE_LIMIT,  # the web application firewall's limit
    408: Family.UNKNOWN,
    418: _R.RATE_LIMIT,  # banned for going on after 429
    429: _R.RATE_LIMIT,
}
"""Meaning of an HTTP status, for a reply whose body carries no code."""


class Reply(Record):
    """An answer of the venue as far as errors need it. `body` is the decoded JSON (numbers as `Decimal`), or None."""

    status: int
    text: str
    body: Any = None
    retry_after_ms: int = 0

    @property
    def code(self) -> int:
        """The venue's error code, below zero; 0 where the reply is no error or carries no code."""
        body = self.body.get("error", self.body) if isinstance(self.body, dict) else None
        code = body.get("code") if isinstance(body, dict) else None
        try:
            number = int(code) if code is not None else 0
        except (TypeError, ValueError, OverflowError, ArithmeticError):
            return 0
        return number if number < 0 else 0

    @property
    def message(self) -> str:
        """The venue's sentence, or the beginning of whatever it sent instead."""
        body = self.body.get("error", self.body) if isinstance(self.body, dict) else None
        if isinstance(body, dict) and isinstance(body.get("msg"), str):
            return str(body["msg"])
        return " ".join(self.text.split())[:120]

    @property
    def is_fine(self) -> bool:
        return self.status < 400 and self.code == 0 and self.body is not None


def read_reply(status: int, text: str, *, retry_after: str = "") -> Reply:
    """Decode what came back. `retry_after` is the header of that name, in seconds. Never raises."""
    wait_ms = int(Decimal(retry_after) * 1000) if re.fullmatch(r"\d+(\.\d+)?", retry_after) else 0
    return Reply(status=status, text=text, body=read_json(text), retry_after_ms=wait_ms)


def read_answer(answer: Answer) -> Reply:
    """Decode what came back over HTTP. Never raises."""
    return read_reply(answer.status, answer.text, retry_after=answer.header("Retry-After"))


def meaning(reply: Reply) -> Meaning:
    """What an error reply means. A reply that cannot be read means that nobody knows.

    503 comes in three kinds, told apart by their text as the venue documents: "Unknown error, please check your request or
    try again later." may have been carried out; "Service Unavailable." and -1008 were not.
    """
    code = reply.code
    words = reply.message.lower()
    for wanted, part, result in MESSAGES:
        if wanted in (0, code) and part in words:
            return result
    if code:
        return CODES.get(code, RejectReason.OTHER)
    if reply.status >= 500 or reply.status < 400:
        return Family.UNKNOWN
    return _STATUS.get(reply.status, RejectReason.OTHER if reply.body is not None else Family.UNKNOWN)


_BANNED_UNTIL = re.compile(r"banned until (\d{13})")


def retry_after_ms(reply: Reply, now_ms: int) -> int:
    """When to try again: the header, or the time named in the sentence of a ban; 0 where the venue does not say."""
    if reply.retry_after_ms:
        return reply.retry_after_ms
    found = _BANNED_UNTIL.search(reply.message)
    return max(0, int(found.group(1)) - now_ms) if found else 0


def refusal(reply: Reply, what: str, now_ms: int) -> Rejected | Unknown:
    """The outcome that an error reply to a place, modify or cancel means. `what` names the request in the sentence."""
    code, sentence = _said(reply, what)
    return outcome(meaning(reply), sentence, code=code, wait_ms=retry_after_ms(reply, now_ms))


def raise_for(reply: Reply, what: str, now_ms: int) -> NoReturn:
    """Raise the error that an error reply to a read means.

    Raises `AuthFailed`, `RateLimited`, `NotReady` (overloaded, clock, unreadable, status unknown) or `Refused`.
    """
    code, sentence = _said(reply, what)
    raise failure(meaning(reply), sentence, code=code, wait_ms=retry_after_ms(reply, now_ms))


def _said(reply: Reply, what: str) -> tuple[str, str]:
    code = str(reply.code) if reply.code else str(reply.status)
    return code, f"{what}: Binance answered {code}: {reply.message}"
