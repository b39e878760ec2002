"""What Rithmic's refusals mean: the codes that are known, and then the words of the text.

Rithmic publishes no list of its codes; those here were seen on its wire. What is refused by risk management or by an
exchange comes as a text alone (`Rejected at RMS - Available margin exhausted`), so that words decide there.
"""

from __future__ import annotations

import re

from copydesk.errors import AuthFailed, VenueError
from copydesk.model import Rejected, RejectReason, Unknown
from copydesk_wire import errors
from copydesk_wire.errors import Family, Meaning

NO_DATA, DENIED = "7", "13"
REJECTED = "FA"
"""The completion reason of an order that was taken and then refused."""
CODES: dict[str, Meaning] = {
    NO_DATA: RejectReason.SYMBOL,
    DENIED: RejectReason.PERMISSION,
    "1028": RejectReason.NOT_FOUND,
    "1112": RejectReason.OTHER,
}
"""What a code means wherever it comes."""
WORDS: tuple[tuple[re.Pattern[str], Meaning], ...] = tuple(
    (re.compile(words, re.IGNORECASE), meaning)
    for words, meaning in (
        (r"margin|buying power|funds|balance", RejectReason.MARGIN),
        (
            r"basket id|unknown order|order not found|not working|already (complete|filled|cancel)|too late",
            RejectReason.NOT_FOUND,
        ),
        (r"quantity|order size|max(imum)? (order )?(size|position)|buy limit|sell limit|contracts", RejectReason.QUANTITY),
        (r"price|tick|trigger|band", RejectReason.PRICE),
        (
            r"atomic order operation|in progress|busy|throttl|too many|not connected|route .*(down|closed)",
            RejectReason.OVERLOADED,
        ),
        (r"permission|not allowed|not enabled|disabled|unauthori[sz]ed|agreement", RejectReason.PERMISSION),
        (r"symbol|instrument|not tradable|market (is )?closed|expired contract", RejectReason.SYMBOL),
    )
)
"""The first whose words are in the text."""


class Refusal(VenueError):
    """Rithmic refused a request in its own reply. `code` and the text are its `rp_code`."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class OrderCopierEnabled(AuthFailed):
    """Rithmic's own order copier is on for this login: what copydesk copies would be copied twice."""


def meaning(code: str, text: str) -> Meaning:
    """What a refusal means, by its code or else by its words."""
    known = CODES.get(code)
    if known is not None:
        return known
    return next((means for words, means in WORDS if words.search(text)), RejectReason.OTHER)


def outcome(code: str, text: str, what: str) -> Rejected | Unknown:
    """The outcome of a place, modify or cancel that was refused."""
    return errors.outcome(meaning(code, text), sentence(code, text, what), code=code)


def failure(refusal: Refusal, what: str) -> VenueError:
    """The error to raise for a read that was refused."""
    means = meaning(refusal.code, str(refusal))
    if means is RejectReason.PERMISSION:
        means = Family.AUTH
    return errors.failure(means, sentence(refusal.code, str(refusal), what), code=refusal.code)


def sentence(code: str, text: str, what: str) -> str:
    return f"{what}: Rithmic says {text.strip().rstrip('.')!r} ({code})."
