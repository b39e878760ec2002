"""`copydesk boot-report`: what the engine found at its start; of the last start where none runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from copydesk.cli.common import Json, folder_of, print_json, say

if TYPE_CHECKING:
    from pathlib import Path

    from copydesk.bootreport import BootReport


def boot_report(context: typer.Context, as_json: Json = False) -> None:
    """What changed while no engine ran: bots resumed, orders settled, parents' changes, what was sent, what is down."""
    report = _report(folder_of(context))
    if report is None:
        if as_json:
            print_json(None)
        else:
            say("No engine has had anything to report at its start yet.")
        return
    if as_json:
        print_json(report)
    else:
        _show(report)


def _report(folder: Path) -> BootReport | None:
    """From the engine that runs, else from the journal."""
    from copydesk.datafolder import JOURNAL_NAME, read_control

    control = read_control(folder)
    if control is not None:
        from copydesk.client import ControlClient

        with ControlClient(control.url, control.token) as client:
            return client.boot_report()
    if not (folder / JOURNAL_NAME).exists():
        return None
    import msgspec

    from copydesk.bootreport import BootReport
    from copydesk.journal import Journal
    from copydesk.model import from_json
    from copydesk.view import LogEntry

    with Journal.open(folder / JOURNAL_NAME, read_only=True) as journal:
        for row in journal.rows(kinds=("log",), newest_first=True):
            entry = from_json(row.body, LogEntry)
            if entry.kind == "boot":
                return msgspec.convert(entry.data, BootReport)
    return None


def _show(report: BootReport) -> None:
    from copydesk.bootreport import in_words

    _, text = in_words(report)
    say(text[:1].upper() + text[1:] + ("." if report.complete else "; not everything is known yet."))
    parts = (
        ("Resumed", report.bots),
        ("In flight before", [f"{one.account}: {one.text}: {one.became}" for one in report.intents]),
        ("Parents meanwhile", report.parent),
        ("Added", report.added),
        ("Reduced", report.reduced),
        ("Cancelled or changed", report.withdrawn),
        ("Not added", report.left),
        ("Down", [f"{one.account}{' (was up before)' if one.was_up else ''}" for one in report.down]),
    )
    for title, lines in parts:
        for line in lines:
            say(f"{title}: {line}")
    if report.more:
        say(f"and {report.more} more: see `copydesk journal show`")
