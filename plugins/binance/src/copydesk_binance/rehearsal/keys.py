"""Whose request it is: API keys, with a secret for HMAC-SHA256, or with an Ed25519 or RSA public key."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from pathlib import Path

from copydesk.errors import UsageError
from copydesk_paper.serving.running import check_keys
from copydesk_paper.serving.signatures import KeyMaker, is_signature
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_public_key

PER_ACCOUNT = ("key", "secret", "public-key")
"""The options of one account."""
KEY_LENGTH = 64
PublicKey = ed25519.Ed25519PublicKey | rsa.RSAPublicKey


class ApiKey:
    """A key, and what its signatures are checked with: the secret, unless there is a public key."""

    def __init__(self, key: str, secret: str, public_key: PublicKey | None = None) -> None:
        self.key = key
        self.secret = secret.encode()
        self.public_key = public_key

    @property
    def may_log_on(self) -> bool:
        """Only Ed25519 keys can."""
        return isinstance(self.public_key, ed25519.Ed25519PublicKey)

    @property
    def secrets(self) -> dict[str, str]:
        """What the account's owner is told; of a public key he has the other half himself."""
        return {"key": self.key} | ({} if self.public_key else {"secret": self.secret.decode()})

    def has_signed(self, text: str, signature: str) -> bool:
        """HMAC in hexadecimal digits, the other two in base 64."""
        if self.public_key is None:
            return is_signature(signature, self.secret, text)
        try:
            raw = base64.b64decode(signature, validate=True)
            if isinstance(self.public_key, ed25519.Ed25519PublicKey):
                self.public_key.verify(raw, text.encode())
            else:
                self.public_key.verify(raw, text.encode(), padding.PKCS1v15(), SHA256())
        except (InvalidSignature, ValueError):
            return False
        return True

    def __repr__(self) -> str:
        return "ApiKey()"


class Holder:
    """An account, as far as its requests are checked."""

    def __init__(self, name: str, api_key: ApiKey) -> None:
        self.name = name
        self.api_key = api_key

    @property
    def key(self) -> str:
        return self.api_key.key

    @property
    def may_log_on(self) -> bool:
        return self.api_key.may_log_on

    def has_signed(self, text: str, signature: str) -> bool:
        return self.api_key.has_signed(text, signature)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


def make_keys(names: Iterable[str], given: Mapping[str, Mapping[str, str]], seed: str) -> dict[str, ApiKey]:
    """A key for each account: the given one, or one that is made. Raises `UsageError`."""
    maker = KeyMaker(seed)
    made = {name: _make(name, given[name], maker) for name in names}
    check_keys({name: one.key for name, one in made.items()})
    return made


def _make(name: str, given: Mapping[str, str], maker: KeyMaker) -> ApiKey:
    public = given.get("public-key")
    if public and "secret" in given:
        raise UsageError(f"account {name} has a secret.{name} or a public-key.{name}, not both")
    key = given.get("key") or maker.hexadecimal(KEY_LENGTH, name, "key")
    secret = given.get("secret") or maker.hexadecimal(KEY_LENGTH, name, "secret")
    return ApiKey(key, secret, _read_public_key(public) if public else None)


def _read_public_key(path: str) -> PublicKey:
    """The Ed25519 or RSA public key in a PEM file. Raises `UsageError`."""
    try:
        key = load_pem_public_key(Path(path).expanduser().read_bytes())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is not a public key in PEM form: {error}") from None
    if not isinstance(key, ed25519.Ed25519PublicKey | rsa.RSAPublicKey):
        raise UsageError(f"{path} holds a key of another kind: Binance takes Ed25519 and RSA keys")
    return key
