"""One table from Bitfinex's codes and sentences to what copydesk does about them, and the rule that tells "no" from "nobody
knows".

An error is `["error", 10001, "Invalid order: ..."]`, most often with HTTP status 500: where there is a code, the
status says nothing. Over the websocket it is a notification with the status `ERROR` or `FAILURE`, mostly without a code.
Source: Bitfinex API v2, "Error codes" (abbreviations glossary), and the sentences that clients have met.
"""

from __future__ import annotations

from typing import Any, NoReturn

from copydesk.model import Record, Rejected, RejectReason, Unknown
from copydesk_wire.connection import Answer
from copydesk_wire.errors import Family, Meaning, failure, outcome, read_json

_R = RejectReason

CODES: dict[int, Meaning] = {
    10000: Family.UNKNOWN,  # unknown error
    10008: _R.OVERLOADED,  # concurrent requests
    10011: _R.OVERLOADED,  # not ready
    10020: _R.OTHER,  # a parameter; the sentence names it
    10100: Family.AUTH,
    10111: Family.AUTH,
    10112: Family.AUTH,
    10113: Family.AUTH,
    10114: Family.CLOCK,  # nonce: small
    10200: _R.PERMISSION,
    11000: _R.OVERLOADED,  # not ready, initialising
    11010: _R.RATE_LIMIT,
    20051: _R.OVERLOADED,
    20060: _R.OVERLOADED,  # maintenance
    20061: _R.OVERLOADED,
}
"""Codes whose sentence adds nothing. 10001 is a refusal of any kind: its sentence tells which."""

SENTENCES: tuple[tuple[str, Meaning], ...] = (
    # (words of the sentence in lower case, meaning): the first that occurs counts.
    ("ratelimit", _R.RATE_LIMIT),
    ("rate limit", _R.RATE_LIMIT),
    ("nonce", Family.CLOCK),
    ("apikey: digest invalid", Family.AUTH),
    ("apikey: invalid", Family.AUTH),
    ("permission", _R.PERMISSION),
    ("not enough", _R.MARGIN),
    ("available balance is only", _R.MARGIN),
    ("insufficient", _R.MARGIN),
    ("leverage", _R.MODE),
    ("cannot be traded on margin", _R.SYMBOL),
    ("minimum size", _R.QUANTITY),
    ("maximum size", _R.QUANTITY),
    ("maximum order size", _R.QUANTITY),
    ("amount", _R.QUANTITY),
    ("reduce-only", _R.NOTHING_TO_REDUCE),
    ("reduce only", _R.NOTHING_TO_REDUCE),
    ("duplicate", _R.DUPLICATE_ID),
    ("order not found", _R.NOT_FOUND),
    ("order is already", _R.NOT_FOUND),
    ("nothing to update", _R.UNCHANGED),
    ("symbol: invalid", _R.SYMBOL),
    ("unknown symbol", _R.SYMBOL),
    ("pair", _R.SYMBOL),
    ("post only", _R.POST_ONLY),
    ("price", _R.PRICE),
    ("temporarily_unavailable", _R.OVERLOADED),
    ("try again", _R.OVERLOADED),
)
"""A sentence that is not here is a plain refusal (`RejectReason.OTHER`)."""

FINE = "SUCCESS"
RETRY_MS = 5_000
"""When to try again after a rate limit: the venue names no time; it counts by the minute."""


class Reply(Record):
    """An answer of the venue. `body` is the decoded JSON (numbers as `Decimal`), or None where it is no JSON."""

    status: int
    text: str
    body: Any = None

    @property
    def error(self) -> tuple[int, str] | None:
        """Code and sentence of an error, or of a notification that says no; None for a good answer."""
        body = self.body
        if isinstance(body, list) and len(body) >= 3 and body[0] == "error":
            return (body[1] if isinstance(body[1], int) else 0), str(body[2])
        return refused(body) if isinstance(body, list) else None

    @property
    def is_fine(self) -> bool:
        return self.status < 400 and isinstance(self.body, list) and self.error is None

    @property
    def message(self) -> str:
        """The venue's code and sentence, or the beginning of whatever it sent instead."""
        if self.error is not None:
            code, sentence = self.error
            return f"{code}: {sentence}" if code else sentence
        return " ".join(self.text.split())[:120] or "nothing"


def refused(notification: list[Any]) -> tuple[int, str] | None:
    """Code and sentence of a notification that says no: `[MTS, "on-req", ..., CODE, "ERROR", text]`; else None."""
    if len(notification) < 8 or not isinstance(notification[1], str) or not notification[1].endswith("-req"):
        return None
    if notification[6] == FINE:
        return None
    return (notification[5] if isinstance(notification[5], int) else 0), str(notification[7])


def read_reply(answer: Answer) -> Reply:
    """Decode what came back. Never raises."""
    return Reply(status=answer.status, text=answer.text, body=read_json(answer.text))


def meaning_of(code: int, sentence: str) -> Meaning:
    """What a code and a sentence mean."""
    words = sentence.lower()
    known = CODES.get(code)
    if known is not None and known is not _R.OTHER:
        return known
    for part, result in SENTENCES:
        if part in words:
            return result
    return _R.OTHER


def meaning(reply: Reply) -> Meaning:
    """What an error reply means. A reply without a code that can be read means that nobody knows."""
    if reply.error is not None:
        return meaning_of(*reply.error)
    if reply.status == 429:
        return _R.RATE_LIMIT
    return Family.UNKNOWN


def refusal(reply: Reply, what: str) -> Rejected | Unknown:
    """The outcome that an error reply to a place, modify or cancel means. `what` names the request in the sentence."""
    return outcome(meaning(reply), _sentence(reply, what), code=_code(reply), wait_ms=RETRY_MS)


def raise_for(reply: Reply, what: str) -> NoReturn:
    """Raise the error that an error reply to a read means: `AuthFailed`, `RateLimited`, `NotReady` or `Refused`."""
    raise failure(meaning(reply), _sentence(reply, what), code=_code(reply), wait_ms=RETRY_MS)


def _code(reply: Reply) -> str:
    if reply.error is None:
        return str(reply.status)
    return str(reply.error[0]) if reply.error[0] else "ERROR"


def _sentence(reply: Reply, what: str) -> str:
    return f"{what}: Bitfinex answered {reply.status}: {reply.message}"
