"""Client order ids: a pure function of (bot, child, parent order, leg, generation).

Shape: `cdk-` + 20 characters of a hash + `-` + leg + generation in base 36, at most 29 characters of `[a-z0-9-]`; it fits
every venue that takes text. Repeating a send repeats the id, so the venue can be asked what became of it; and whoever
knows the bot and the parent's order can make the id again, even after losing the journal.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from hashlib import blake2b

PREFIX = "cdk-"
COPY = "c"
CLOSE = "x"
"""The first leg of a flip where the venue does not net: what is held is closed before the copy opens the other side."""
TRIM = "t"
TICKET = "m"
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = tuple(first + second for first in _BASE32 for second in _BASE32)
_TRIPLES = tuple(pair + third for pair in _PAIRS for third in _BASE32)
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_words = struct.Struct(">IIIB").unpack


@lru_cache(maxsize=65536)
def _named(bot: str, child: str) -> blake2b:
    return blake2b(f"{bot}\x1f{child}\x1f".encode(), digest_size=13)


@lru_cache(maxsize=65536)
def _stem(bot: str, child: str, parent_order: str) -> str:
    """The id up to its leg: 100 bits of the hash are 20 characters of base 32."""
    named = _named(bot, child).copy()
    named.update(parent_order.encode())
    a, b, c, d = _words(named.digest())
    return (
        f"{PREFIX}{_TRIPLES[a >> 17]}{_TRIPLES[a >> 2 & 32767]}{_TRIPLES[(a & 3) << 13 | b >> 19]}"
        f"{_TRIPLES[b >> 4 & 32767]}{_TRIPLES[(b & 15) << 11 | c >> 21]}{_TRIPLES[c >> 6 & 32767]}"
        f"{_PAIRS[(c & 63) << 4 | d >> 4]}-"
    )


def client_order_id(bot: str, child: str, parent_order: str, leg: str = COPY, generation: int = 0) -> str:
    """The id of one child order. `generation` counts replacements of the same leg, from 0."""
    return f"{_stem(bot, child, parent_order)}{leg}{_base36(generation) if generation else '0'}"


def is_own(client_id: str) -> bool:
    """True for an id that a copydesk made: such orders are never copied."""
    return client_id.startswith(PREFIX)


def _base36(number: int) -> str:
    digits = ""
    while True:
        number, rest = divmod(number, 36)
        digits = _DIGITS[rest] + digits
        if not number:
            return digits
