"""Requests put together from parts that were cut out of real ones.

How a request looks and is signed is for others to know: ccxt, or a plugin's own client. They are shown one with marks in
place of the values, the time stamp, the key and the signature; where the marks turn up is where those go. Nothing here
knows a venue. Values are texts that mean themselves wherever they are put: see `PLAIN`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias

from copydesk_wire.pool import head_of

PLAIN = re.compile(r"[A-Za-z0-9_.~-]*")
"""Texts that need no quoting, neither in an address nor in a form nor in JSON."""
PLAIN_IN_JSON = re.compile(r"[ !#-\[\]-~]*")
"""Texts that need no quoting in JSON."""
KEY = "qZkey8xWv"
SIGNATURE = "qZsignature8xWv"
STAMP = 7_301_946_528_311
_TEXT = "qZtext8xWv"
_LENGTH = "qZlength8xWv"

Values: TypeAlias = tuple[str, ...]
Hash: TypeAlias = Callable[..., str]


class Pen(NamedTuple):
    """With what a draft is to be signed. `hash` takes the place of the keyed hash where it is there: it is called with what
    is signed, the secret, the hash's algorithm, and the form of the digest if that is not `hex`."""

    key: str
    secret: str
    stamp: int
    hash: Hash | None = None


def keyed_hash(text: bytes, secret: bytes, algorithm: str) -> str:
    """HMAC in hex."""
    return hmac.new(secret, text, algorithm).hexdigest()


class Draft(NamedTuple):
    """A request as it is to be sent."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: str


class Unfit(Exception):
    """A request that cannot be put together from parts."""


class Key:
    """An account's key: its name, and its secret worked into both halves of the keyed hash in advance."""

    __slots__ = ("_pads", "_secret", "name")

    def __init__(self, name: str, secret: str) -> None:
        self.name = name
        self._secret = secret.encode()
        self._pads: dict[str, tuple[Any, Any]] = {}

    def pads(self, algorithm: str) -> tuple[Any, Any]:
        """The inner and the outer hash, to be copied."""
        pads = self._pads.get(algorithm)
        if pads is None:
            block = hashlib.new(algorithm).block_size
            secret = self._secret if len(self._secret) <= block else hashlib.new(algorithm, self._secret).digest()
            secret = secret.ljust(block, b"\0")
            inner = hashlib.new(algorithm, bytes(byte ^ 0x36 for byte in secret))
            pads = self._pads[algorithm] = (inner, hashlib.new(algorithm, bytes(byte ^ 0x5C for byte in secret)))
        return pads


class Text:
    """A text with slots. `fill` is given all values, of which it takes those that belong to it."""

    __slots__ = ("_pick", "_text")

    def __init__(self, text: str, slots: Sequence[int]) -> None:
        self._text = text
        self._pick = itemgetter(*slots) if slots else _nothing

    def fill(self, values: Sequence[Any]) -> str:
        return self._text % self._pick(values)


def _nothing(values: Sequence[Any]) -> tuple[()]:
    return ()


class Template:
    """A request with slots for the values, the time stamp, the key's name, what is signed, the signature, the length."""

    __slots__ = ("_algorithm", "_body", "_head", "_signed")

    def __init__(self, signed: Text, head: Text, body: Text, algorithm: str) -> None:
        self._signed = signed
        self._head = head
        self._body = body
        self._algorithm = algorithm

    def fill(self, values: Values, key: Key, stamp: int) -> bytes:
        """The bytes of a request. The values have to be plain."""
        filled: tuple[Any, ...] = (*values, stamp, key.name)
        text = self._signed.fill(filled)
        inner, outer = key.pads(self._algorithm)
        inner, outer = inner.copy(), outer.copy()
        inner.update(text.encode())
        outer.update(inner.digest())
        filled = (*filled, text, outer.hexdigest())
        body = self._body.fill(filled)
        return (self._head.fill((*filled, len(body))) + body).encode("ascii")


def cut(draft: Callable[[Pen], Draft], marks: Sequence[str]) -> Template:
    """A template from a draft of the values `marks`, which must not turn up in anything else. Raises `Unfit` where it is
    signed in another way than by one keyed hash in hex."""
    hashed: list[tuple[bytes, Any]] = []

    def hash_(text: bytes, secret: bytes, algorithm: Any, digest: str = "hex") -> str:
        if digest != "hex":
            raise Unfit
        hashed.append((text, algorithm))
        return SIGNATURE

    made = draft(Pen(KEY, "secret", STAMP, hash_))
    if len(hashed) != 1 or not hashed[0][0]:
        raise Unfit
    signed = hashed[0][0].decode()
    algorithm = hashed[0][1] if isinstance(hashed[0][1], str) else hashed[0][1]().name
    slots = {mark: number for number, mark in enumerate((*marks, str(STAMP), KEY, _TEXT, SIGNATURE, _LENGTH)) if mark}
    finder = re.compile("|".join(re.escape(mark) for mark in sorted(slots, key=len, reverse=True)))

    def parts(text: str) -> Text:
        written = "%s".join(part.replace("%", "%%") for part in finder.split(text))
        return Text(written, [slots[mark] for mark in finder.findall(text)])

    url = made.url.replace(signed, _TEXT)
    head = head_of(made.method, url, made.headers, length=_LENGTH)
    return Template(parts(signed), parts(head), parts(made.body.replace(signed, _TEXT)), algorithm)
