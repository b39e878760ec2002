"""Reads the fields of a venue's JSON objects. Pure. What is missing or has not the documented form raises `Unreadable`.

Numbers become `Decimal` from their text; a float has lost its text already, so it is refused. A function that takes several
names takes the first that is there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

from copydesk.model import ZERO

from copydesk_wire.errors import Unreadable

Payload = Mapping[str, Any]
V = TypeVar("V")

LARGEST_EXPONENT = 40
"""No price, quantity or sum has more digits before or after its point; what has is no number of the venue."""
SHOWN = 60
_WHOLE = re.compile(r"-?[0-9]{1,19}")
_NOTHING = (None, "")
_NUMBERS = (str, int, Decimal)  # a union is made anew by each call


def _shown(value: Any) -> str:
    """The beginning of a value, for a sentence."""
    return repr(value if isinstance(value, bool) else str(value)[:SHOWN])[: 2 * SHOWN]


def number(value: Any, name: str) -> Decimal:
    """A number from its text, exactly."""
    if isinstance(value, bool) or not isinstance(value, _NUMBERS):
        raise Unreadable(f"the venue sent {name}={_shown(value)}, which is not a number in text form")
    try:
        result = value if type(value) is Decimal else Decimal(value)
    except InvalidOperation:
        raise Unreadable(f"the venue sent {name}={_shown(value)}, which is not a number") from None
    if not result.is_finite():
        raise Unreadable(f"the venue sent {name}={_shown(value)}, which is not a finite number")
    if result and abs(result.adjusted()) > LARGEST_EXPONENT:
        raise Unreadable(f"the venue sent {name}={_shown(value)}, which is too large or too small to be meant")
    return result


def need(payload: Payload, *names: str) -> Any:
    """The first of the fields that is there at all."""
    for name in names:
        if payload.get(name) is not None:
            return payload[name]
    raise Unreadable(f"the venue sent an object without {' or '.join(names)}")


def decimal(payload: Payload, *names: str) -> Decimal:
    return number(need(payload, *names), names[0])


def decimal_or_zero(payload: Payload, *names: str) -> Decimal:
    """A number that the venue leaves out or empty where there is nothing to say."""
    for name in names:
        if payload.get(name) not in _NOTHING:
            return number(payload[name], name)
    return ZERO


def positive(payload: Payload, *names: str) -> Decimal | None:
    """A price that the venue writes as zero, empty or not at all where there is none."""
    value = decimal_or_zero(payload, *names)
    return value if value > 0 else None


def whole(payload: Payload, *names: str) -> int:
    """A whole number such as a time; zero where it is left out or empty."""
    value = next((payload[name] for name in names if payload.get(name) not in _NOTHING), 0)
    if isinstance(value, Decimal) and value.is_finite() and value == value.to_integral_value():
        value = f"{value:f}".partition(".")[0] if value.adjusted() < LARGEST_EXPONENT else value  # 1.7E+12
    if isinstance(value, bool) or not isinstance(value, int | str) or not _WHOLE.fullmatch(str(value)):
        raise Unreadable(f"the venue sent {names[0]}={_shown(value)}, which is not a whole number")
    return int(value)


def text(payload: Payload, *names: str) -> str:
    """A name or an id. Ids come as numbers or as texts."""
    value = need(payload, *names)
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise Unreadable(f"the venue sent {names[0]}={_shown(value)}, which is no name and no id")
    return str(value)


def text_or(payload: Payload, name: str, default: str = "") -> str:
    """A text that may be left out."""
    value = payload.get(name)
    return default if value in _NOTHING else str(value)


def word(payload: Payload, table: Mapping[str, V], *names: str) -> V:
    """What one of the venue's words means."""
    value = need(payload, *names)
    if not isinstance(value, str) or value not in table:
        raise Unreadable(f"the venue sent {names[0]}={_shown(value)}; known are {', '.join(table)}")
    return table[value]


def word_or(payload: Payload, table: Mapping[str, V], name: str, default: V) -> V:
    """A word that the venue leaves out where there is nothing to say."""
    return default if payload.get(name) in _NOTHING else word(payload, table, name)


def flag(payload: Payload, name: str) -> bool:
    value = payload.get(name)
    return value is True or (isinstance(value, str) and value.lower() in ("true", "1"))


def object_(payload: Any, what: str) -> Payload:
    if not isinstance(payload, Mapping):
        raise Unreadable(f"the venue sent {type(payload).__name__} where {what} was expected")
    return payload


def rows(payload: Any, what: str) -> list[Payload]:
    """A list of objects, as most reads answer."""
    if not isinstance(payload, list):
        raise Unreadable(f"the venue sent {type(payload).__name__} where a list of {what} was expected")
    return [object_(row, what) for row in payload]
