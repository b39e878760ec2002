"""What commands share: the global options, and output for people and for machines."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

if TYPE_CHECKING:
    from copydesk.secrets import SealedFile

Json = Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")]


class Globals(NamedTuple):
    """The options that stand before the command."""

    folder: Path
    passphrase_file: Path | None


def _tell_version(wanted: bool) -> None:
    if wanted:
        from copydesk import __version__

        typer.echo(f"copydesk {__version__}")
        raise typer.Exit


def set_globals(
    context: typer.Context,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="The data folder.", envvar="COPYDESK_DATA", show_envvar=True),
    ] = None,
    passphrase_file: Annotated[
        Path | None,
        typer.Option("--passphrase-file", metavar="FILE", help="Where the passphrase of the sealed keys stands."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """Mirrors every trade of a parent account to child accounts."""
    from copydesk.datafolder import resolve_folder

    context.obj = Globals(resolve_folder(data), passphrase_file)


def globals_of(context: typer.Context) -> Globals:
    """The global options of the command that runs."""
    found = context.find_object(Globals)
    assert found is not None
    return found


def folder_of(context: typer.Context) -> Path:
    """The data folder of the command that runs."""
    return globals_of(context).folder


def sealed_of(context: typer.Context) -> SealedFile:
    """The sealed file of the data folder, its passphrase from wherever it may come; a new one is prompted for twice."""
    from copydesk.secrets import SEALED_NAME, SealedFile, passphrase_from

    folder, passphrase_file = globals_of(context)

    def prompt() -> str:
        new = not (folder / SEALED_NAME).exists()
        words = f"{'New passphrase' if new else 'Passphrase'} of the sealed keys"
        return str(typer.prompt(words, hide_input=True, confirmation_prompt=new, err=True))

    return SealedFile(folder, passphrase_from(passphrase_file, prompt if sys.stdin.isatty() else None))


def say(text: str) -> None:
    """A line for people."""
    typer.echo(text)


def print_json(value: Any) -> None:
    """One line of JSON, at once."""
    from copydesk.model import to_json

    sys.stdout.write(to_json(value).decode() + "\n")
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[str]], *, empty: str) -> None:
    """A table for people, or the sentence `empty` where there is no row. Cells are text, never markup."""
    cells = [tuple(row) for row in rows]
    if not cells:
        say(empty)
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(markup=False, emoji=False, highlight=False)
    if not console.is_terminal:
        console.width = 10_000
    table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
    for row in cells:
        table.add_row(*row)
    console.print(table)
