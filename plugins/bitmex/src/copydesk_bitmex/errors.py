"""One table from BitMEX's error sentences to what copydesk does about them, and the rule that tells "no" from "who knows".

BitMEX had no error codes: a refusal is `{"error": {"message": "a sentence", "name": "ValidationError"}}` and a status.
Source: BitMEX API documentation, "Errors", "Rate limits", "Overload", and the sentences that its clients met.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NoReturn

from copydesk.model import Record, Rejected, RejectReason, Unknown
from copydesk_wire.connection import Answer
from copydesk_wire.errors import Family, Meaning, failure, outcome, read_json

_R = RejectReason

SENTENCES: tuple[tuple[str, Meaning], ...] = (
    # (words of the sentence in lower case, meaning): the first that occurs counts, so the longer ones come first.
    ("the system is currently overloaded", _R.OVERLOADED),
    ("rate limit exceeded", _R.RATE_LIMIT),
    ("invalid amend", _R.UNCHANGED),
    ("this request has expired", Family.CLOCK),
    ("signature not valid", Family.AUTH),
    ("invalid api key", Family.AUTH),
    ("this key is disabled", Family.AUTH),
    ("authorization required", Family.AUTH),
    ("access denied", _R.PERMISSION),
    ("account is restricted", _R.PERMISSION),
    ("verify their identity", _R.PERMISSION),
    ("duplicate clordid", _R.DUPLICATE_ID),
    ("insufficient available balance", _R.MARGIN),
    ("would cause account to", _R.MARGIN),
    ("leverage", _R.MARGIN),
    ("execinst of participatedonotinitiate", _R.POST_ONLY),
    ("execinst of reduceonly", _R.NOTHING_TO_REDUCE),
    ("execinst of close", _R.NOTHING_TO_REDUCE),
    ("reduce-only", _R.NOTHING_TO_REDUCE),
    ("invalid stoppx", _R.PRICE),
    ("stoppx", _R.PRICE),
    ("invalid price", _R.PRICE),
    ("price must be", _R.PRICE),
    ("orderqty", _R.QUANTITY),
    ("order qty", _R.QUANTITY),
    ("lot size", _R.QUANTITY),
    ("invalid ordstatus", _R.NOT_FOUND),
    ("invalid orderid", _R.NOT_FOUND),
    ("invalid origclordid", _R.NOT_FOUND),
    ("not found", _R.NOT_FOUND),
    ("unable to cancel order", _R.NOT_FOUND),
    ("symbol is invalid", _R.SYMBOL),
    ("invalid symbol", _R.SYMBOL),
    ("instrument", _R.SYMBOL),
)
"""A sentence that is not here is a plain refusal (`RejectReason.OTHER`)."""

_STATUS: dict[int, Meaning] = {
    401: Family.AUTH,
    403: _R.PERMISSION,
    404: _R.NOT_FOUND,
    408: Family.UNKNOWN,
    429: _R.RATE_LIMIT,
}
_RETRY = re.compile(r"retry in (\d+) seconds?")


class Reply(Record):
    """An answer of the venue. `body` is the decoded JSON (numbers as `Decimal`), or None where it is no JSON."""

    status: int
    text: str
    body: Any = None
    retry_after: str = ""

    @property
    def message(self) -> str:
        """The venue's sentence, or the beginning of whatever it sent instead."""
        error = self.body.get("error", self.body) if isinstance(self.body, Mapping) else None
        if isinstance(error, Mapping) and isinstance(error.get("message"), str):
            return str(error["message"])
        return error if isinstance(error, str) else " ".join(self.text.split())[:120]

    @property
    def is_fine(self) -> bool:
        return self.status < 400 and self.body is not None and not (isinstance(self.body, Mapping) and "error" in self.body)


def read_reply(answer: Answer) -> Reply:
    """Decode what came back. Never raises."""
    return Reply(
        status=answer.status, text=answer.text, body=read_json(answer.text), retry_after=answer.header("Retry-After")
    )


def meaning(reply: Reply) -> Meaning:
    """What an error reply means. An error of the server: nobody knows; but for the overload, which did nothing."""
    found = sentence_meaning(reply.message)
    if found is not None:
        return found
    if reply.status >= 500 or reply.status < 400:
        return Family.UNKNOWN
    return _STATUS.get(reply.status, RejectReason.OTHER if reply.body is not None else Family.UNKNOWN)


def sentence_meaning(sentence: str) -> Meaning | None:
    words = sentence.lower()
    return next((result for part, result in SENTENCES if part in words), None)


def retry_after_ms(reply: Reply) -> int:
    """When to try again: the header, or what the sentence names."""
    found = _RETRY.search(reply.message)
    if reply.retry_after.isdecimal():
        return int(reply.retry_after) * 1000
    return int(found[1]) * 1000 if found else 500


def refusal(reply: Reply, what: str) -> Rejected | Unknown:
    """The outcome that an error reply to a place, amend or cancel means. `what` names the request in the sentence."""
    return outcome(meaning(reply), _sentence(reply, what), code=str(reply.status), wait_ms=retry_after_ms(reply))


def raise_for(reply: Reply, what: str) -> NoReturn:
    """Raise the error that an error reply to a read means: `AuthFailed`, `RateLimited`, `NotReady` or `Refused`."""
    raise failure(meaning(reply), _sentence(reply, what), code=str(reply.status), wait_ms=retry_after_ms(reply))


def _sentence(reply: Reply, what: str) -> str:
    return f"{what}: BitMEX answered {reply.status}: {reply.message}"
