"""The TWS wire: length-prefixed messages of fields that end in NUL, numbers as their text, and the first line of a client.

Public facts: https://interactivebrokers.github.io/tws-api/ and what the public clients write and read.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

HELLO = b"API\0"
MAX_MESSAGE = 0xFFFFFF
"""The longest message that TWS takes; a longer one is a broken client."""
MAX_DOUBLE = "1.7976931348623157E308"
"""What "not set" looks like as a double."""
MAX_INTEGER = "2147483647"
MAX_LONG = "9223372036854775807"
_LENGTH = struct.Struct(">I")
_RANGE = re.compile(rb"v(\d+)(?:\.\.(\d+))?(?: .*)?", re.DOTALL)

Value = str | int | bool | Decimal | None


class WireError(Exception):
    """What came cannot be read as a message."""


def text(value: Value) -> str:
    """A field as TWS writes it: nothing for None, 1 and 0 for truth, numbers without an exponent."""
    if value is None:
        return ""
    if value is True or value is False:
        return "1" if value else "0"
    return plain(value) if isinstance(value, Decimal) else str(value)


def plain(value: Decimal) -> str:
    """A quantity: without an exponent and without zeros at its end (`100`, `0.5`)."""
    whole = value.to_integral_value()
    return str(int(whole)) if value == whole else f"{value.normalize():f}"


def double(value: Decimal) -> str:
    """A price as a double prints: always with a point (`5800.0`, `196.52`)."""
    told = plain(value)
    return told if "." in told else f"{told}.0"


def encode(fields: Sequence[str]) -> bytes:
    """One message with its length."""
    body = "\0".join((*fields, "")).encode()
    return _LENGTH.pack(len(body)) + body


class Reader:
    """Cuts a stream of bytes into messages."""

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> None:
        self._bytes += data

    def hello(self) -> bool:
        """Take the four bytes that a client begins with. False while they are not all there."""
        if not HELLO.startswith(bytes(self._bytes[: len(HELLO)])):
            raise WireError("this is not a TWS client: its first bytes are not API")
        if len(self._bytes) < len(HELLO):
            return False
        del self._bytes[: len(HELLO)]
        return True

    def next(self) -> bytes | None:
        """The next whole message, None while there is none."""
        if len(self._bytes) < _LENGTH.size:
            return None
        (length,) = _LENGTH.unpack_from(self._bytes)
        if length > MAX_MESSAGE:
            raise WireError(f"a message of {length} bytes is too long")
        end = _LENGTH.size + length
        if len(self._bytes) < end:
            return None
        message = bytes(self._bytes[_LENGTH.size : end])
        del self._bytes[:end]
        return message


def fields_of(message: bytes) -> list[str]:
    """The fields of a message."""
    try:
        return message.decode().split("\0")[:-1]
    except UnicodeDecodeError:
        raise WireError("a message is not UTF-8") from None


def version_range(message: bytes) -> tuple[int, int]:
    """Lowest and highest server version that a client speaks, from `v157..178`."""
    found = _RANGE.fullmatch(message.rstrip(b"\0"))
    if found is None:
        raise WireError("the first message of a client names the versions that it speaks")
    lowest, highest = found.groups()
    return int(lowest), int(highest or lowest)


class Fields:
    """Reads the fields of one request from left to right. Raises `WireError` where one is missing or no number."""

    def __init__(self, fields: list[str]) -> None:
        self._fields = fields
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._fields) - self._at

    def text(self) -> str:
        if self._at >= len(self._fields):
            raise WireError(f"the message ends after {self._at} fields")
        self._at += 1
        return self._fields[self._at - 1]

    def texts(self, count: int) -> list[str]:
        """The next so many fields."""
        found = self._fields[self._at : self._at + count]
        if len(found) < count:
            raise WireError(f"the message ends after {len(self._fields)} fields")
        self._at += count
        return found

    def integer(self) -> int:
        """A whole number; empty is zero."""
        return integer(self.text())

    def flag(self) -> bool:
        return self.text() in ("1", "true")


def integer(told: str) -> int:
    """A whole number as clients write it; empty is zero."""
    try:
        return int(told or "0")
    except ValueError:
        raise WireError(f"{told!r} is not a whole number") from None


def number(told: str) -> Decimal | None:
    """A decimal as clients write it; None where it is not set."""
    if told in ("", MAX_DOUBLE, MAX_INTEGER, "Infinity") or told.lower() == "1.7976931348623157e+308":
        return None
    try:
        value = Decimal(told)
    except InvalidOperation:
        raise WireError(f"{told!r} is not a number") from None
    if not value.is_finite():
        raise WireError(f"{told!r} is not a number")
    return value
