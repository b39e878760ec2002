"""Where a connection's keys come from. They are never part of the configuration and never shown.

Looked up in this order; the first that has the field wins:

1. the environment: `COPYDESK_<CONNECTION>_<FIELD>`, upper case, anything but letters and digits as `_`;
2. the sealed file `secrets.sealed` in the data folder, opened with a passphrase: from a file that is named, from
   `COPYDESK_PASSPHRASE`, or by a prompt, in this order;
3. the system's keyring, under the service `copydesk` and the name `CONNECTION/FIELD`.

The sealed file is one line of JSON in the clear (version and parameters, which the cipher authenticates) and one of base64:
all keys as JSON under ChaCha20-Poly1305, with a key from the passphrase by Argon2id.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Self

import msgspec

from copydesk.datafolder import make_folder, write_atomically
from copydesk.errors import SecretsError
from copydesk.model import KindInfo, Record, from_json, to_json

SEALED_NAME = "secrets.sealed"
PASSPHRASE_VARIABLE = "COPYDESK_PASSPHRASE"  # noqa: S105 - a name
KEYRING_SERVICE = "copydesk"
FORMAT = "copydesk-sealed"
VERSION = 1

Passphrase = Callable[[], str]
"""Called once, when the sealed file is really needed. Raises `SecretsError` where there is none."""


class Header(Record):
    """The clear line of a sealed file: Argon2id's parameters (memory in KiB), its salt, and the cipher's nonce."""

    format: str
    version: int
    memory_kib: int
    iterations: int
    lanes: int
    salt: bytes
    nonce: bytes

    @classmethod
    def fresh(cls) -> Self:
        """The second recommended option of RFC 9106, with a new salt and nonce."""
        return cls(
            format=FORMAT,
            version=VERSION,
            memory_kib=65536,
            iterations=3,
            lanes=4,
            salt=os.urandom(16),
            nonce=os.urandom(12),
        )

    @property
    def is_sane(self) -> bool:
        """False for parameters that nobody sane writes and that would take the machine's memory or minutes."""
        return (
            8 * self.lanes <= self.memory_kib <= 1 << 20
            and 1 <= self.iterations <= 20
            and 1 <= self.lanes <= 16
            and len(self.salt) == 16
            and len(self.nonce) == 12
        )


class SealedFile:
    """The sealed file of a data folder. Opened once, when first asked; `repr` shows the path and nothing else."""

    def __init__(self, folder: Path, passphrase: Passphrase) -> None:
        self.path = folder / SEALED_NAME
        self._passphrase = passphrase
        self._word: str | None = None
        self._secrets: dict[str, dict[str, str]] | None = None

    def __repr__(self) -> str:
        return f"SealedFile({str(self.path)!r})"

    @property
    def exists(self) -> bool:
        return self.path.exists()

    def get(self, connection: str, field: str) -> str | None:
        """The secret, or `None` where the file does not have it. Raises `SecretsError` where it cannot be opened."""
        return self._open().get(connection, {}).get(field)

    def names(self) -> list[tuple[str, str]]:
        """(connection, field) of everything in the file, sorted."""
        return sorted((connection, field) for connection, fields in self._open().items() for field in fields)

    def set(self, connection: str, field: str, value: str) -> None:
        """Add or replace one secret and seal anew."""
        secrets = self._open()
        self._seal({**secrets, connection: {**secrets.get(connection, {}), field: value}})

    def remove(self, connection: str, field: str) -> None:
        """Take one secret out and seal anew. Raises `SecretsError` where it is not there."""
        secrets = {name: dict(fields) for name, fields in self._open().items()}
        if field not in secrets.get(connection, {}):
            raise SecretsError(f"{self.path} has no {field!r} of connection {connection!r}: see `copydesk secrets list`")
        del secrets[connection][field]
        self._seal({name: fields for name, fields in secrets.items() if fields})

    def _open(self) -> dict[str, dict[str, str]]:
        if self._secrets is None:
            self._secrets = unseal(self._content(), self._passphrase_word(), self.path) if self.exists else {}
        return self._secrets

    def _content(self) -> bytes:
        try:
            return self.path.read_bytes()
        except OSError as error:
            raise SecretsError(f"{self.path} cannot be read: {error.strerror}; correct its permissions") from None

    def _seal(self, secrets: dict[str, dict[str, str]]) -> None:
        sealed = seal(secrets, self._passphrase_word())
        make_folder(self.path.parent)
        write_atomically(self.path, sealed)
        self._secrets = secrets

    def _passphrase_word(self) -> str:
        if self._word is None:
            self._word = self._passphrase()
        return self._word


def seal(secrets: Mapping[str, Mapping[str, str]], passphrase: str) -> bytes:
    """The content of a sealed file, with a fresh salt and nonce."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    header = Header.fresh()
    line = to_json(header)
    sealed = ChaCha20Poly1305(_derive(header, passphrase)).encrypt(header.nonce, to_json(secrets), line)
    return line + b"\n" + base64.b64encode(sealed) + b"\n"


def unseal(content: bytes, passphrase: str, path: Path) -> dict[str, dict[str, str]]:
    """The secrets by connection and field. Raises `SecretsError`: not a sealed file, wrong passphrase, or changed."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    line, _, text = content.partition(b"\n")
    try:
        header = from_json(line, Header)
        sealed = base64.b64decode(text.strip(), validate=True)
    except (msgspec.MsgspecError, binascii.Error):
        raise SecretsError(f"{path} is not a sealed file of copydesk: restore it from a copy, or move it away") from None
    if header.format != FORMAT or header.version != VERSION or not header.is_sane:
        raise SecretsError(f"{path} is of version {header.version} or has parameters that this copydesk does not accept")
    try:
        plain = ChaCha20Poly1305(_derive(header, passphrase)).decrypt(header.nonce, sealed, line)
    except InvalidTag:
        raise SecretsError(f"{path} does not open: the passphrase is wrong, or the file was changed") from None
    return from_json(plain, dict[str, dict[str, str]])


def passphrase_from(file: Path | None, prompt: Callable[[], str] | None) -> Passphrase:
    """Where the passphrase comes from: the named file, `COPYDESK_PASSPHRASE`, or the prompt (`None`: nobody to ask)."""

    def ask() -> str:
        if file is not None:
            try:
                word = file.read_text(encoding="utf-8").rstrip("\r\n")
            except (OSError, UnicodeDecodeError):
                raise SecretsError(
                    f"the passphrase file {file} cannot be read: name another with --passphrase-file"
                ) from None
        else:
            word = os.environ.get(PASSPHRASE_VARIABLE, "") or (prompt() if prompt else "")
        if not word:
            raise SecretsError(
                f"the sealed file needs its passphrase: set {PASSPHRASE_VARIABLE}, "
                "give --passphrase-file, or run on a terminal"
            )
        return word

    return ask


# --- looking keys up ----------------------------------------------------------------------------------------


def secrets_for(connection: str, info: KindInfo, sealed: SealedFile) -> dict[str, str]:
    """The secret fields of a connection. Raises `SecretsError` naming the first missing one and the ways to give it."""
    found: dict[str, str] = {}
    for field in info.fields:
        if not field.secret:
            continue
        value, _ = look_up(connection, field.name, sealed)
        if value:
            found[field.name] = value
        elif field.required:
            raise SecretsError(
                f"connection {connection!r} ({info.kind}) has no {field.name!r} ({field.title}): "
                f"`copydesk secrets set {connection} {field.name}`, or set {variable_of(connection, field.name)}"
            )
    return found


def look_up(connection: str, field: str, sealed: SealedFile) -> tuple[str, str]:
    """(the secret, where it came from: `environment`, `sealed` or `keyring`); two empty texts where nobody has it."""
    if value := os.environ.get(variable_of(connection, field), ""):
        return value, "environment"
    if value := sealed.get(connection, field) or "":
        return value, "sealed"
    if value := _from_keyring(connection, field):
        return value, "keyring"
    return "", ""


NOTIFY = ("notify", "url")
"""Where `copydesk notify` sends to: kept like the field of a connection."""


def variable_of(connection: str, field: str) -> str:
    """The environment variable that may hold a secret."""
    return "_".join(["COPYDESK", *(re.sub(r"[^A-Z0-9]", "_", part.upper()) for part in (connection, field))])


def set_in_keyring(connection: str, field: str, value: str) -> None:
    """Store a secret in the system's keyring. Raises `SecretsError` where there is none that works."""
    import keyring
    from keyring.errors import KeyringError

    try:
        keyring.set_password(KEYRING_SERVICE, f"{connection}/{field}", value)
    except KeyringError as error:
        raise SecretsError(
            f"the system's keyring does not take it ({error}): leave --keyring out to use the sealed file"
        ) from None


def remove_from_keyring(connection: str, field: str) -> None:
    """Raises `SecretsError` where the keyring does not have it."""
    import keyring
    from keyring.errors import KeyringError

    try:
        keyring.delete_password(KEYRING_SERVICE, f"{connection}/{field}")
    except KeyringError as error:
        raise SecretsError(
            f"the system's keyring has no {field!r} of connection {connection!r} to remove ({error})"
        ) from None


def _from_keyring(connection: str, field: str) -> str:
    import keyring
    from keyring.errors import KeyringError

    try:
        return keyring.get_password(KEYRING_SERVICE, f"{connection}/{field}") or ""
    except KeyringError:  # no keyring on this machine, or a locked one: then the key is not there
        return ""


def _derive(header: Header, passphrase: str) -> bytes:
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    derive = Argon2id(
        salt=header.salt, length=32, iterations=header.iterations, lanes=header.lanes, memory_cost=header.memory_kib
    )
    return derive.derive(passphrase.encode())
