"""What a venue's error can mean, and what copydesk makes of it. Each plugin has the table of its own codes."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import Any

import msgspec
from copydesk.errors import AuthFailed, NotReady, RateLimited, Refused, VenueError
from copydesk.model import Rejected, RejectReason, Unknown


class Family(StrEnum):
    """Meanings of an error that are not a plain refusal of one order."""

    AUTH = "auth"  # the login is wrong: a person has to act
    CLOCK = "clock"  # the time stamp was outside the window: refused before anything else, measure the clock again
    UNKNOWN = "unknown"  # the request may have been carried out


Meaning = RejectReason | Family


class Unreadable(NotReady):
    """The venue sent something that does not have the documented form. Names the field; nothing is made up instead."""


class NotSent(NotReady):
    """The connection could not be made: nothing of the request has reached the venue."""


class NoReply(VenueError):
    """The request was sent, or may have been, and no reply came back."""


_decode = msgspec.json.Decoder(float_hook=Decimal).decode


def read_json(text: str | bytes) -> Any:
    """The JSON of a reply, numbers with a fraction as `Decimal`; None where it is none."""
    try:
        return _decode(text)
    except (msgspec.DecodeError, ValueError):
        return None


def outcome(meaning: Meaning, sentence: str, *, code: str, wait_ms: int = 0) -> Rejected | Unknown:
    """The outcome that an error reply to a place, modify or cancel means. `wait_ms`: when the venue said to try again."""
    if meaning is Family.UNKNOWN:
        return Unknown(message=sentence)
    if isinstance(meaning, Family):
        reason = RejectReason.PERMISSION if meaning is Family.AUTH else RejectReason.OVERLOADED
        return Rejected(reason=reason, message=sentence, code=code)
    return Rejected(reason=meaning, message=sentence, code=code, retry_after_ms=wait_ms if meaning.is_transient else 0)


def failure(meaning: Meaning, sentence: str, *, code: str, wait_ms: int = 0) -> VenueError:
    """The error to raise for an error reply to a read: `AuthFailed`, `RateLimited`, `NotReady` (overloaded, clock,
    unreadable, status unknown) or `Refused`."""
    if meaning is Family.AUTH:
        return AuthFailed(f"{sentence} Check the key, its secret and its permissions.")
    if meaning is RejectReason.RATE_LIMIT:
        return RateLimited(sentence, retry_after_ms=wait_ms, code=code)
    if isinstance(meaning, Family) or meaning is RejectReason.OVERLOADED:
        return NotReady(sentence)
    return Refused(sentence, reason=meaning, code=code)
