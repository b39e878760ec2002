from __future__ import annotations

import base64
import json
import traceback
from pathlib import Path

import keyring
import keyring.errors
import pytest
from copydesk.config import Config
from copydesk.connections import settings_for
from copydesk.errors import ConfigError, SecretsError, UsageError
from copydesk.model import Capabilities, Field, KindInfo
from copydesk.secrets import (
    SEALED_NAME,
    SealedFile,
    look_up,
    passphrase_from,
    remove_from_keyring,
    seal,
    secrets_for,
    set_in_keyring,
    unseal,
    variable_of,
)
from keyring.backend import KeyringBackend

VALUE = "do-not-show-this"
PLACE = Path("secrets.sealed")
INFO = KindInfo(
    kind="toy",
    title="Toy",
    capabilities=Capabilities(),
    fields=(
        Field(name="url", title="Address", default="http://toy", required=False),
        Field(name="symbols", title="Symbols"),
        Field(name="key", title="API key", secret=True),
        Field(name="passphrase", title="Passphrase", secret=True, required=False),
    ),
)


class MemoryKeyring(KeyringBackend):
    """A keyring of this process."""

    priority = 1.0

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password

    def delete_password(self, service: str, username: str) -> None:
        if (service, username) not in self.kept:
            raise keyring.errors.PasswordDeleteError("not there")
        del self.kept[service, username]


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> MemoryKeyring:
    backend = MemoryKeyring()
    monkeypatch.setattr("keyring.core._keyring_backend", backend)
    return backend


def nobody() -> str:
    raise AssertionError("the passphrase was asked for without need")


def test_what_was_sealed_opens_with_its_passphrase_and_no_other() -> None:
    secrets = {"main": {"key": VALUE, "secret": "ß" * 300}}
    content = seal(secrets, "open sesame")
    assert unseal(content, "open sesame", PLACE) == secrets
    assert VALUE.encode() not in content
    assert base64.b64encode(VALUE.encode())[:12] not in content
    assert seal(secrets, "open sesame") != content, "salt and nonce must be fresh each time"
    with pytest.raises(SecretsError, match="the passphrase is wrong, or the file was changed"):
        unseal(content, "open sesam", PLACE)


def test_the_header_says_what_it_takes_to_open_it_and_is_bound_to_the_content() -> None:
    line, _, sealed = seal({"main": {"key": VALUE}}, "p").partition(b"\n")
    header = json.loads(line)
    assert (header["version"], header["memory_kib"], header["iterations"], header["lanes"]) == (1, 65536, 3, 4)
    respelled = json.dumps(header).encode()  # the same parameters in other bytes
    assert respelled != line
    with pytest.raises(SecretsError, match="the file was changed"):
        unseal(respelled + b"\n" + sealed, "p", PLACE)


@pytest.mark.parametrize("place", [0.0, 0.3, 0.6, 0.99])
def test_a_changed_byte_does_not_open(place: float) -> None:
    line, _, text = seal({"main": {"key": VALUE}}, "p").partition(b"\n")
    sealed = bytearray(base64.b64decode(text))
    sealed[int(place * len(sealed))] ^= 1
    with pytest.raises(SecretsError, match="the file was changed"):
        unseal(line + b"\n" + base64.b64encode(sealed), "p", PLACE)


@pytest.mark.parametrize(
    "changes",
    [
        {"memory_kib": 1 << 31},
        {"iterations": 10**9},
        {"lanes": 0},
        {"lanes": 99},
        {"salt": ""},
        {"nonce": ""},
        {"version": 2},
    ],
)
def test_parameters_that_would_take_the_machine_are_refused_before_any_work(changes: dict[str, object]) -> None:
    line, _, sealed = seal({}, "p").partition(b"\n")
    header = json.dumps({**json.loads(line), **changes}).encode()
    with pytest.raises(SecretsError, match="does not accept"):
        unseal(header + b"\n" + sealed, "p", PLACE)


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"{}\n", b'{"format":"copydesk-sealed"}\nxx', seal({}, "p")[:-9] + b"???"]
)
def test_what_is_not_a_sealed_file_is_said_to_be_none(content: bytes) -> None:
    with pytest.raises(SecretsError, match="is not a sealed file"):
        unseal(content, "p", PLACE)


def test_secrets_are_kept_between_runs_for_this_user_alone(tmp_path: Path) -> None:
    sealed = SealedFile(tmp_path / "data", lambda: "p")
    sealed.set("main", "key", VALUE)
    sealed.set("main", "secret", "other")
    sealed.set("second", "key", "third")
    sealed.remove("main", "secret")
    again = SealedFile(tmp_path / "data", lambda: "p")
    assert again.names() == [("main", "key"), ("second", "key")]
    assert again.get("main", "key") == VALUE
    assert again.get("main", "secret") is None
    assert sealed.path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(SecretsError, match="has no 'secret' of connection 'main'"):
        again.remove("main", "secret")


def test_a_wrong_passphrase_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    SealedFile(tmp_path, lambda: "right").set("main", "key", VALUE)
    before = (tmp_path / SEALED_NAME).read_bytes()
    with pytest.raises(SecretsError, match="passphrase is wrong"):
        SealedFile(tmp_path, lambda: "wrong").set("main", "key", "new")
    assert (tmp_path / SEALED_NAME).read_bytes() == before


def test_a_sealed_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / SEALED_NAME).mkdir()
    with pytest.raises(SecretsError, match="cannot be read: Is a directory"):
        SealedFile(tmp_path, lambda: "p").get("main", "key")


def test_the_environment_comes_first_then_the_file_then_the_keyring(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: MemoryKeyring
) -> None:
    sealed = SealedFile(tmp_path, lambda: "p")
    assert look_up("my-conn", "key", sealed) == ("", "")
    set_in_keyring("my-conn", "key", "from keyring")
    assert look_up("my-conn", "key", sealed) == ("from keyring", "keyring")
    sealed.set("my-conn", "key", "from file")
    assert look_up("my-conn", "key", sealed) == ("from file", "sealed")
    monkeypatch.setenv("COPYDESK_MY_CONN_KEY", "from environment")
    assert look_up("my-conn", "key", SealedFile(tmp_path, nobody)) == ("from environment", "environment")
    remove_from_keyring("my-conn", "key")
    assert not memory.kept
    with pytest.raises(SecretsError, match="keyring has no 'key'"):
        remove_from_keyring("my-conn", "key")


def test_without_a_sealed_file_no_passphrase_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable_of("main", "key"), VALUE)
    assert secrets_for("main", INFO, SealedFile(tmp_path, nobody)) == {"key": VALUE}


def test_a_missing_key_names_itself_and_the_ways_to_give_it(tmp_path: Path) -> None:
    with pytest.raises(SecretsError) as caught:
        secrets_for("main", INFO, SealedFile(tmp_path, nobody))
    for words in ("'main' (toy) has no 'key' (API key)", "copydesk secrets set main key", "COPYDESK_MAIN_KEY"):
        assert words in str(caught.value)


def test_the_passphrase_comes_from_the_file_the_environment_or_the_prompt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "word"
    file.write_text("from file\n")
    assert passphrase_from(None, lambda: "from prompt")() == "from prompt"
    with pytest.raises(SecretsError, match="set COPYDESK_PASSPHRASE, give --passphrase-file, or run on a terminal"):
        passphrase_from(None, None)()
    monkeypatch.setenv("COPYDESK_PASSPHRASE", "from environment")
    assert passphrase_from(None, nobody)() == "from environment"
    assert passphrase_from(file, nobody)() == "from file"
    with pytest.raises(SecretsError, match="cannot be read: name another"):
        passphrase_from(tmp_path / "nowhere", nobody)()


def test_no_repr_and_no_traceback_shows_a_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = SealedFile(tmp_path, lambda: VALUE)
    sealed.set("main", "key", VALUE)
    config = Config.model_validate({"connections": {"main": {"kind": "toy", "symbols": "all"}}})
    settings = settings_for("main", config, INFO, sealed)
    assert settings.secrets == {"key": VALUE}
    assert settings.options == {"url": "http://toy", "symbols": "all"}
    shown = [repr(sealed), repr(settings), str(settings), str(config)]
    with pytest.raises(SecretsError) as caught:
        SealedFile(tmp_path, lambda: VALUE + "x").get("main", "key")
    shown.append("".join(traceback.format_exception(caught.value)))
    assert not [text for text in shown if VALUE in text]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "'symbols' is missing (Symbols): add it"),
        ({"symbols": "x", "colour": "red"}, "has no setting 'colour'; its settings: url, symbols"),
        ({"symbols": "x", "passphrase-of-mine": "x"}, "has no setting 'passphrase-of-mine'"),
    ],
)
def test_settings_that_do_not_fit_the_kind_are_named(tmp_path: Path, options: dict[str, str], words: str) -> None:
    config = Config.model_validate({"connections": {"main": {"kind": "toy", **options}}})
    with pytest.raises(ConfigError) as caught:
        settings_for("main", config, INFO, SealedFile(tmp_path, nobody))
    assert words in str(caught.value)
    assert "[connections.main]" in str(caught.value)


def test_a_field_that_the_kind_calls_secret_is_refused_in_the_configuration(tmp_path: Path) -> None:
    info = KindInfo(
        kind="odd", title="Odd", capabilities=Capabilities(), fields=(Field(name="pin", title="PIN", secret=True),)
    )
    config = Config.model_validate({"connections": {"main": {"kind": "odd", "pin": VALUE}}})
    with pytest.raises(ConfigError, match="'pin' is secret: take it out of the file") as caught:
        settings_for("main", config, info, SealedFile(tmp_path, nobody))
    assert VALUE not in str(caught.value)


def test_a_connection_that_is_not_configured_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no connection 'main'"):
        settings_for("main", Config(), INFO, SealedFile(tmp_path, nobody))
