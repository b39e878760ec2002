"""One table from IB's error codes to what copydesk does about them.

An error code of IB says little by itself: 399 and 10349 come for orders that live, 321 and 110 for orders that are
dead, 201 for every refusal there is, with the reason in words. Source: TWS API, "Message Codes", and what was seen of
it in the wild.
"""

from __future__ import annotations

from copydesk.model import Rejected, RejectReason

_R = RejectReason
RATE_WAIT_MS = 1_000

CODES: dict[int, RejectReason] = {
    100: _R.RATE_LIMIT,  # Max rate of messages per second has been exceeded
    103: _R.DUPLICATE_ID,
    104: _R.NOT_FOUND,  # Cannot modify a filled order
    109: _R.PRICE,  # Price is out of the range defined by the Percentage setting at order defaults frame
    110: _R.PRICE,  # The price does not conform to the minimum price variation for this contract
    125: _R.PRICE,  # Buy price must be the same as the best asking price
    126: _R.PRICE,
    135: _R.NOT_FOUND,  # Can't find order with id
    136: _R.NOT_FOUND,  # This order cannot be cancelled
    144: _R.QUANTITY,
    146: _R.PRICE,  # Invalid trigger method
    154: _R.SYMBOL,  # Orders cannot be transmitted for a halted security
    161: _R.NOT_FOUND,  # Cancel attempted when order is not in a cancellable state
    163: _R.PRICE,  # The price specified would violate the percentage constraint
    200: _R.SYMBOL,  # No security definition has been found for the request
    203: _R.PERMISSION,  # The security is not available or allowed for this account
    355: _R.QUANTITY,  # Order size does not conform to market rule
    356: _R.QUANTITY,
    361: _R.PRICE,  # Invalid trigger price
    382: _R.QUANTITY,  # Order size exceeds the precautionary limit
    383: _R.QUANTITY,
    388: _R.QUANTITY,  # Order size is smaller than the minimum requirement
    403: _R.PRICE,  # Invalid stop price
    422: _R.QUANTITY,  # The order size cannot be zero
    434: _R.QUANTITY,  # The order size cannot be zero
    435: _R.PERMISSION,  # You must specify an account
    436: _R.PERMISSION,
    439: _R.PERMISSION,
    461: _R.QUANTITY,
    463: _R.PRICE,
    478: _R.SYMBOL,  # Parameters in request conflicts with contract parameters
    502: _R.OVERLOADED,
    504: _R.OVERLOADED,  # Not connected
    512: _R.OVERLOADED,  # Order sending error
    10015: _R.PERMISSION,
    10147: _R.NOT_FOUND,
    10148: _R.NOT_FOUND,
    10149: _R.NOT_FOUND,
    10197: _R.OVERLOADED,
    10242: _R.QUANTITY,  # Fractional-sized order cannot be modified
    10243: _R.QUANTITY,  # Fractional-sized order cannot be placed via API
    10244: _R.QUANTITY,
    10247: _R.QUANTITY,
    10248: _R.QUANTITY,
    10249: _R.QUANTITY,
    10289: _R.QUANTITY,  # You must set Cash Quantity for this order
    10318: _R.QUANTITY,  # This order doesn't support fractional quantity trading
}
PLAIN = frozenset(
    {105, 106, 107, 111, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124}
    | {129, 131, 132, 133, 134, 137, 140, 145, 147, 151, 152, 160, 201, 313, 320, 321}
    | {322, 325, 328, 329, 336, 376, 387, 391, 392, 415, 416, 417, 431, 441, 442, 446}
    | {503, 10005, 10006, 10043, 10052, 10268, 10320, 10327, 10332}
)
"""Codes of refusals that are nothing more: wrong parameters, contradictions, types that an exchange does not have."""
CODES |= dict.fromkeys(PLAIN, _R.OTHER)
"""Codes after which the order is dead, or the change or cancel was not done. A code that is nowhere here decides nothing:
the order's own status does."""

NOTICES = frozenset(
    {202, 399, 404, 481, 1100, 1101, 1102, 1300, 2100, 2101, 2102, 2103, 2104, 2105, 2106, 2107, 2108, 2109, 2110, 2119}
    | {2137, 2148, 2150, 2157, 2158, 2161, 2163, 2164, 2167, 2168, 2169, 10167, 10349}
)
"""Told of an order that lives, or of no order at all. 202 is the word for a cancel that was carried out."""

SENTENCES: tuple[tuple[str, RejectReason], ...] = (
    # (words of a sentence in lower case, reason): the first that occurs counts. For the codes that say nothing themselves.
    ("equity with loan value", _R.MARGIN),
    ("must exceed the initial margin", _R.MARGIN),
    ("margin", _R.MARGIN),
    ("available funds", _R.MARGIN),
    ("insufficient", _R.MARGIN),
    ("cash account", _R.MARGIN),
    ("minimum price variation", _R.PRICE),
    ("limit price", _R.PRICE),
    ("trigger price", _R.PRICE),
    ("stop price", _R.PRICE),
    ("price cap", _R.PRICE),
    ("fractional", _R.QUANTITY),
    ("order size", _R.QUANTITY),
    ("order quantity", _R.QUANTITY),
    ("minimum size", _R.QUANTITY),
    ("must specify an account", _R.PERMISSION),
    ("invalid account", _R.PERMISSION),
    ("not allowed", _R.PERMISSION),
    ("no trading permission", _R.PERMISSION),
    ("read-only mode", _R.PERMISSION),
    ("max rate of messages", _R.RATE_LIMIT),
    ("try again", _R.OVERLOADED),
    ("not connected", _R.OVERLOADED),
    ("invalid contract", _R.SYMBOL),
    ("contract is not available", _R.SYMBOL),
)
VAGUE = frozenset({201, 203, 320, 321, 322, 512})

TOO_FAST, REFUSED = 100, 201
LOST = frozenset({1100, 2110})
"""TWS has no connection to IB: the second is what it tells who connects meanwhile."""
BACK_WITHOUT_DATA, BACK_WITH_DATA, PORT_RESET = 1101, 1102, 1300
IN_USE = 326


def is_death(code: int) -> bool:
    """Whether the code says that nothing was done, or that the order is no more."""
    return code in CODES and code not in NOTICES


def reason(code: int, sentence: str) -> RejectReason:
    """What can be done about a refusal."""
    if code in VAGUE or code not in CODES:
        words = sentence.lower()
        for part, found in SENTENCES:
            if part in words:
                return found
    return CODES.get(code, RejectReason.OTHER)


def refusal(code: int, sentence: str, what: str) -> Rejected:
    """The outcome that an error for a place, modify or cancel means."""
    why = reason(code, sentence)
    wait_ms = RATE_WAIT_MS if why is RejectReason.RATE_LIMIT else 0
    return Rejected(reason=why, message=f"{what}: IB answered {code}: {sentence}", code=str(code), retry_after_ms=wait_ms)
