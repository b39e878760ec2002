"""`copydesk journal`: verify and show."""

from __future__ import annotations

import base64
import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from copydesk.cli.common import Json, folder_of, print_json, say

if TYPE_CHECKING:
    from copydesk.journal import Journal, Row

app = typer.Typer(name="journal", help="The journal of everything that went in and what was decided.", no_args_is_help=True)

_AGO = re.compile(r"(\d+)\s*([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_LINE_LENGTH = 160
KINDS = ("input", "intent", "log", "engine", "certificate")


def open_journal(context: typer.Context) -> Journal:
    """The journal of the data folder, for reading; an engine may be writing to it. Raises `JournalError`."""
    from copydesk.datafolder import JOURNAL_NAME
    from copydesk.journal import Journal

    return Journal.open(folder_of(context) / JOURNAL_NAME, read_only=True)


@app.command("verify")
def verify(context: typer.Context, as_json: Json = False) -> int:
    """Check that no row was changed, removed or put in. Exit status 1 names the first bad row."""
    from copydesk.errors import JournalBroken

    with open_journal(context) as journal:
        try:
            rows = journal.verify()
        except JournalBroken as error:
            if not as_json:
                raise
            print_json({"ok": False, "first_bad_row": error.seq, "message": str(error)})
            return 1
    if as_json:
        print_json({"ok": True, "rows": rows})
    else:
        say(f"The journal holds: {rows} rows, none changed, removed or put in.")
    return 0


@app.command("show")
def show(
    context: typer.Context,
    bot: Annotated[str, typer.Option(metavar="NAME", help="Only this bot's rows.")] = "",
    account: Annotated[str, typer.Option(metavar="ACCOUNT", help="Only this account's rows.")] = "",
    kind: Annotated[
        list[str], typer.Option(metavar="KIND", help="Only `input`, `intent`, `log`, `engine` or `certificate`; repeat it.")
    ] = [],  # noqa: B006
    since: Annotated[
        str, typer.Option("--from", metavar="TIME", help="From 2026-01-31T09:00 on, or an age: 15m, 2h, 3d.")
    ] = "",
    until: Annotated[str, typer.Option("--to", metavar="TIME", help="Until then, exclusive.")] = "",
    limit: Annotated[int, typer.Option(min=0, help="The latest so many rows; 0: all.")] = 100,
    as_json: Json = False,
) -> None:
    """Show rows, oldest first; with --json one line of JSON for each."""
    if wrong := [name for name in kind if name not in KINDS]:
        from copydesk.errors import UsageError

        raise UsageError(f"--kind {wrong[0]!r} is no kind of row: the kinds are {', '.join(KINDS)}")
    filters: dict[str, Any] = {"kinds": kind, "bot": bot, "account": account}
    filters |= {"from_ns": parse_moment("--from", since), "to_ns": parse_moment("--to", until)}
    with open_journal(context) as journal:
        newest = journal.rows(**filters, limit=limit, newest_first=True)
        for row in reversed(list(newest)) if limit else journal.rows(**filters):
            if as_json:
                print_json(_row_json(row))
            else:
                say(_row_text(row))


def parse_moment(option: str, text: str) -> int:
    """Nanoseconds since the epoch of a local or zoned date and time, or of an age; 0 for no text. Raises `UsageError`."""
    from copydesk.errors import UsageError

    if not text:
        return 0
    if age := _AGO.fullmatch(text.strip()):
        moment = datetime.now().astimezone() - timedelta(**{_UNITS[age[2]]: int(age[1])})
    else:
        try:
            moment = datetime.fromisoformat(text).astimezone()
        except ValueError:
            raise UsageError(
                f"{option} {text!r} is no time: write 2026-01-31T09:00, or an age such as 15m, 2h or 3d"
            ) from None
    return int(moment.timestamp() * 1_000_000) * 1000


def _row_json(row: Row) -> dict[str, Any]:
    import msgspec

    table: dict[str, Any] = {"seq": row.seq, "at_ns": row.at_ns, "kind": row.kind, "bot": row.bot, "account": row.account}
    try:
        msgspec.json.decode(row.body)
        table["body"] = msgspec.Raw(row.body)
    except msgspec.DecodeError:
        table["body_base64"] = base64.b64encode(row.body).decode()
    return {**table, "hash": row.hash.hex()}


def _row_text(row: Row) -> str:
    import msgspec

    from copydesk.model import from_json
    from copydesk.view import LogEntry

    at = datetime.fromtimestamp(row.at_ns / 1e9).astimezone()
    try:
        words = from_json(row.body, LogEntry).text if row.kind == "log" else row.body.decode("utf-8", "replace")
    except msgspec.MsgspecError:
        words = row.body.decode("utf-8", "replace")
    if len(words) > _LINE_LENGTH:
        words = words[: _LINE_LENGTH - 1] + "…"
    place = " ".join(part for part in (row.bot, row.account) if part)
    return f"{row.seq:>8}  {at:%Y-%m-%d %H:%M:%S.%f}  {row.kind:<6}  {place:<24}  {words}"


@app.command("replay")
def replay(context: typer.Context, as_json: Json = False) -> int:
    """Run the engine over the recorded inputs again and compare its intents byte for byte. Exit status 1: they differ."""
    from copydesk.replay import replay as run_again

    with open_journal(context) as journal:
        report = run_again(journal)
    if as_json:
        print_json(report)
    elif report.difference is not None:
        say(f"Row {report.difference.seq} differs.\nrecorded: {report.difference.recorded}")
        say(f"replayed: {report.difference.replayed or 'nothing'}")
    else:
        left = f"; {report.unrecorded} decided just before a process ended" if report.unrecorded else ""
        say(f"{report.inputs} inputs give the same {report.intents} intents again, byte for byte{left}.")
    return 1 if report.difference is not None else 0
