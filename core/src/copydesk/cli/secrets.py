"""`copydesk secrets`: keys into the sealed file or the keyring, and out of them. Values are never printed."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from copydesk.cli.common import Json, folder_of, print_json, print_table, say, sealed_of

app = typer.Typer(name="secrets", help="Keys of connections: set, list, remove.", no_args_is_help=True)

LOCK_NAME = "secrets.lock"  # of its own: a running engine only reads the sealed file

Connection = Annotated[str, typer.Argument(metavar="CONNECTION", help="A connection of copydesk.toml.")]
Field = Annotated[str, typer.Argument(metavar="FIELD", help="A secret field of its kind, such as `key` or `secret`.")]
Keyring = Annotated[bool, typer.Option("--keyring", help="The system's keyring instead of the sealed file.")]


@app.command("set")
def set_secret(context: typer.Context, connection: Connection, field: Field, keyring: Keyring = False) -> None:
    """Store a key. The value is asked for, or read from standard input: never give it on the command line."""
    from copydesk.datafolder import lock_folder
    from copydesk.errors import SecretsError
    from copydesk.secrets import set_in_keyring

    _check_field(context, connection, field)
    value = _read_value(connection, field)
    if not value or not value.isprintable():
        raise SecretsError(f"the {field} of {connection!r} is empty or has characters that no key has: give it on one line")
    if keyring:
        set_in_keyring(connection, field, value)
    else:
        sealed = sealed_of(context)
        with lock_folder(folder_of(context), LOCK_NAME):
            sealed.set(connection, field, value)
    say(f"Stored the {field} of {connection} in the {'keyring' if keyring else 'sealed file'}.")


@app.command("list")
def list_secrets(context: typer.Context, as_json: Json = False) -> None:
    """List which keys the connections have and where they come from; never the keys."""
    from copydesk.config import load_config
    from copydesk.errors import PluginError, UnknownKind
    from copydesk.plugins import describe_kind
    from copydesk.secrets import look_up

    config, sealed = load_config(folder_of(context)), sealed_of(context)
    found: list[dict[str, str]] = []
    for name, connection in config.connections.items():
        try:
            fields = [field.name for field in describe_kind(connection.kind).fields if field.secret]
        except (UnknownKind, PluginError):
            fields = []
        sources = {field: look_up(name, field, sealed)[1] or "missing" for field in fields}
        found += [{"connection": name, "field": field, "source": source} for field, source in sources.items()]
    known = {(entry["connection"], entry["field"]) for entry in found}
    found += [
        {"connection": name, "field": field, "source": "sealed, of no connection that is configured"}
        for name, field in sealed.names()
        if (name, field) not in known
    ]
    if as_json:
        print_json(found)
        return
    rows = [(entry["connection"], entry["field"], entry["source"]) for entry in found]
    print_table(("connection", "field", "source"), rows, empty="No connection needs a key.")


@app.command("remove")
def remove_secret(context: typer.Context, connection: Connection, field: Field, keyring: Keyring = False) -> None:
    """Take a key out of the sealed file or the keyring."""
    from copydesk.datafolder import lock_folder
    from copydesk.secrets import remove_from_keyring

    if keyring:
        remove_from_keyring(connection, field)
    else:
        with lock_folder(folder_of(context), LOCK_NAME):
            sealed_of(context).remove(connection, field)
    say(f"Removed the {field} of {connection}.")


def _check_field(context: typer.Context, connection: str, field: str) -> None:
    """Raises `UsageError` where the connection is not configured, or its kind has no such secret field."""
    from copydesk.config import CONFIG_NAME, load_config
    from copydesk.errors import UsageError
    from copydesk.plugins import describe_kind
    from copydesk.secrets import NOTIFY

    config = load_config(folder_of(context))
    if (connection, field) == NOTIFY:
        return
    info = describe_kind(config.kind_of(connection))
    names = [known.name for known in info.fields if known.secret]
    if field not in names:
        there = ", ".join(names) or "none"
        raise UsageError(
            f"{CONFIG_NAME}: connection {connection!r} ({info.kind}) has no secret field {field!r}; it has: {there}"
        )


def _read_value(connection: str, field: str) -> str:
    if sys.stdin.isatty():
        return str(typer.prompt(f"{field} of {connection}", hide_input=True, err=True)).strip()
    return sys.stdin.readline().strip()
