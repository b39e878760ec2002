"""What venues have in common in checking who asks: keyed hashes, times that are near enough, numbers that must grow."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from enum import Enum


def sign(secret: bytes, text: str, digest: str = "sha256") -> str:
    """The lower-case hex HMAC of a text. `digest` is a name that `hashlib` knows: `sha256`, `sha384`, `sha512`."""
    return hmac.new(secret, text.encode(), digest).hexdigest()


def is_signature(given: str, secret: bytes, text: str, digest: str = "sha256") -> bool:
    """Whether this is the text's signature; takes as long for a wrong one as for a right one."""
    return is_same(given, sign(secret, text, digest))


def is_same(given: str, right: str) -> bool:
    """Compare what must not be found out by trying, in constant time."""
    return hmac.compare_digest(given.encode(), right.encode())


class Age(Enum):
    """How a request's time stamp stands to the venue's clock."""

    FINE = "fine"
    AHEAD = "ahead"
    TOO_OLD = "too old"


def age(stamp_ms: int, now_ms: int, *, window_ms: int, ahead_ms: int) -> Age:
    """Judge a time stamp: it may be `window_ms` old and `ahead_ms` ahead."""
    if stamp_ms > now_ms + ahead_ms:
        return Age.AHEAD
    return Age.TOO_OLD if now_ms - stamp_ms > window_ms else Age.FINE


class Nonces:
    """Numbers that must grow with every request of a key."""

    def __init__(self) -> None:
        self._newest: dict[str, int] = {}

    def take(self, key: str, nonce: int) -> bool:
        """Whether this one is greater than all before it. If so, it is the newest."""
        if nonce <= self._newest.get(key, -1):
            return False
        self._newest[key] = nonce
        return True


class KeyMaker:
    """Makes keys and secrets: random ones, or with a `seed` always the same for the same words."""

    def __init__(self, seed: str = "") -> None:
        self._seed = seed

    def hexadecimal(self, length: int, *words: str) -> str:
        """So many hexadecimal digits. `words` say what for (the account, `key` or `secret`)."""
        return self.text(length, "0123456789abcdef", *words)

    def text(self, length: int, alphabet: str, *words: str) -> str:
        """So many characters out of an alphabet."""
        if not self._seed:
            return "".join(secrets.choice(alphabet) for _ in range(length))
        named = "\0".join((self._seed, *words))
        # Two bytes a character: a remainder of 65536 by a small alphabet is even enough for keys that guard no money.
        noise = hashlib.shake_256(named.encode()).digest(2 * length)
        return "".join(
            alphabet[int.from_bytes(noise[at : at + 2], "big") % len(alphabet)] for at in range(0, 2 * length, 2)
        )
