"""One table from FTX's error sentences to what copydesk does about them, and the rule that tells "no" from "nobody knows".

FTX had no error codes: a refusal is `{"success": false, "error": "a sentence"}`, with an HTTP status that says little.
Source: FTX API documentation, "Errors", and the sentences that its clients met.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn

from copydesk.model import Record, Rejected, RejectReason, Unknown
from copydesk_wire.connection import Answer
from copydesk_wire.errors import Family, Meaning, failure, outcome, read_json

_R = RejectReason

SENTENCES: tuple[tuple[str, Meaning], ...] = (
    # (words of the sentence in lower case, meaning): the first that occurs counts, so the longer ones come first.
    ("order took too long to process", Family.UNKNOWN),
    ("internal error", Family.UNKNOWN),
    ("an unexpected error occurred", Family.UNKNOWN),
    ("please retry request", _R.OVERLOADED),
    ("please try again", _R.OVERLOADED),
    ("try again", _R.OVERLOADED),
    ("slow down", _R.RATE_LIMIT),
    ("do not send more than", _R.RATE_LIMIT),
    ("cannot send more than", _R.RATE_LIMIT),
    ("too many requests", _R.RATE_LIMIT),
    ("not logged in", Family.AUTH),
    ("invalid login credentials", Family.AUTH),
    ("no such subaccount", Family.AUTH),
    ("only have permissions for subaccount", _R.PERMISSION),
    ("not authorized for subaccount-specific access", _R.PERMISSION),
    ("not approved to trade this product", _R.PERMISSION),
    ("not allowed", _R.PERMISSION),
    ("size too small", _R.QUANTITY),
    ("size too large", _R.QUANTITY),
    ("invalid size", _R.QUANTITY),
    ("not enough balances", _R.MARGIN),
    ("account does not have enough balances", _R.MARGIN),
    ("account does not have enough margin", _R.MARGIN),
    ("invalid price", _R.PRICE),
    ("trigger price too high", _R.PRICE),
    ("trigger price too low", _R.PRICE),
    ("price too far", _R.PRICE),
    ("price band", _R.PRICE),
    ("spot orders cannot be reduce-only", _R.MODE),
    ("invalid reduce-only order", _R.NOTHING_TO_REDUCE),
    ("duplicate client order id", _R.DUPLICATE_ID),
    ("order not found", _R.NOT_FOUND),
    ("order already closed", _R.NOT_FOUND),
    ("order already queued for cancellation", _R.NOT_FOUND),
    ("no such order", _R.NOT_FOUND),
    ("must modify either price or size", _R.UNCHANGED),
    ("no such market", _R.SYMBOL),
    ("no such future", _R.SYMBOL),
    ("no such coin", _R.SYMBOL),
    ("market is in post only mode", _R.POST_ONLY),
)
"""A sentence that is not here is a plain refusal (`RejectReason.OTHER`)."""

_STATUS: dict[int, Meaning] = {
    401: Family.AUTH,
    403: _R.PERMISSION,
    404: _R.NOT_FOUND,
    408: Family.UNKNOWN,
    429: _R.RATE_LIMIT,
}
"""Meaning of an HTTP status, for a reply without a sentence."""


class Reply(Record):
    """An answer of the venue. `body` is the decoded JSON (numbers as `Decimal`), or None where it is no JSON."""

    status: int
    text: str
    body: Any = None

    @property
    def message(self) -> str:
        """The venue's sentence, or the beginning of whatever it sent instead."""
        if isinstance(self.body, dict):
            said = self.body.get("error") or self.body.get("result")
            if isinstance(said, str):
                return said
        return " ".join(self.text.split())[:120]

    @property
    def is_fine(self) -> bool:
        return self.status < 400 and isinstance(self.body, dict) and self.body.get("success") is True

    @property
    def result(self) -> Any:
        """What was asked for."""
        return self.body["result"] if isinstance(self.body, dict) and "result" in self.body else None


def read_reply(answer: Answer) -> Reply:
    """Decode what came back. Never raises."""
    return Reply(status=answer.status, text=answer.text, body=read_json(answer.text))


def meaning(reply: Reply) -> Meaning:
    """What an error reply means. A reply that cannot be read, or an error of the server, means that nobody knows."""
    words = reply.message.lower()
    for part, result in SENTENCES:
        if part in words:
            return result
    if reply.status >= 500 or reply.status < 400:
        return Family.UNKNOWN
    return _STATUS.get(reply.status, RejectReason.OTHER if reply.body is not None else Family.UNKNOWN)


_PER = re.compile(r"per (\d+) ?ms")


def retry_after_ms(reply: Reply) -> int:
    """When to try again: FTX named the time in which it counted, and sent no header."""
    found = _PER.search(reply.message)
    return int(found[1]) if found else 1_000


def refusal(reply: Reply, what: str) -> Rejected | Unknown:
    """The outcome that an error reply to a place or cancel means. `what` names the request in the sentence."""
    return outcome(meaning(reply), _sentence(reply, what), code=str(reply.status), wait_ms=retry_after_ms(reply))


def raise_for(reply: Reply, what: str) -> NoReturn:
    """Raise the error that an error reply to a read means: `AuthFailed`, `RateLimited`, `NotReady` or `Refused`."""
    raise failure(meaning(reply), _sentence(reply, what), code=str(reply.status), wait_ms=retry_after_ms(reply))


def _sentence(reply: Reply, what: str) -> str:
    return f"{what}: FTX answered {reply.status}: {reply.message}"
