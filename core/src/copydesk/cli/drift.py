"""`copydesk drift` and `copydesk certificate`: how every child stands against its target, now and at the end of a day."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from copydesk.cli.common import Json, folder_of, print_json, print_table, say

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from copydesk.view import DriftView

_COLUMNS = ("bot", "child", "symbol", "target", "copied", "foreign", "in flight", "difference", "cause", "since")
_NONE = "Nobody holds or should hold anything."


def drift(
    context: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", help="Go on, and tell every change until Ctrl-C.")] = False,
    as_json: Json = False,
) -> None:
    """Show per child and symbol what it should hold, what it holds, the difference, its causes and since when.

    Foreign is what the account holds beside what was copied. With --watch and --json there is one line for each change.
    """
    from copydesk.client import ControlClient

    if watch:
        _watch(folder_of(context), as_json=as_json)
        return
    with ControlClient.for_folder(folder_of(context)) as client:
        rows = client.drift()
    if as_json:
        print_json(rows)
    else:
        print_table(_COLUMNS, _cells(rows), empty=_NONE)


def _watch(folder: Path, *, as_json: bool) -> None:
    import asyncio
    from contextlib import aclosing

    from copydesk.client import AsyncControlClient
    from copydesk.view import DriftView

    def show(rows: Iterable[DriftView]) -> None:
        for row in rows:
            if as_json:
                print_json(row)
            else:
                said = f"{row.difference:+f} ({_causes(row)})" if row.difference else "in step"
                at = f"{datetime.now().astimezone():%H:%M:%S}"
                say(f"{at}  {row.bot}  {row.child}  {_symbol(row)}  {row.attributed:f} of {row.target:f}: {said}")

    async def follow() -> None:
        async with AsyncControlClient.for_folder(folder) as client:
            view = await client.view()
            show(view.drift)
            async with aclosing(client.stream(view.seq)) as events:
                async for event in events:
                    if event.kind == "drift" and isinstance(event.body, DriftView):
                        show((event.body,))

    asyncio.run(follow())


def certificate(
    context: typer.Context,
    day: Annotated[
        str, typer.Option("--date", metavar="DATE", help="Of the day that began then; otherwise the latest.")
    ] = "",
    as_json: Json = False,
) -> int:
    """Print the certificate of a trading day and check it against the journal. Exit status 1: it does not hold.

    A running engine writes one when a day ends (`day_ends` in copydesk.toml). Checking replays the
    journal up to that moment.
    """
    _check_date(day)
    from copydesk.certifying import certificate_words, check, find
    from copydesk.cli.journal import open_journal

    with open_journal(context) as journal:
        checked = check(journal, find(journal, day))
    made = checked.certificate
    if as_json:
        unexplained = [{"bot": link.bot, "child": link.child, "quantity": quantity} for link, quantity in made.unexplained]
        print_json({"ok": not checked.faults, "faults": checked.faults, "unexplained": unexplained, "certificate": made})
    else:
        say(f"{certificate_words(made)}.")
        print_table(("bot", "child", "health"), [(c.bot, c.child, c.health) for c in made.children], empty="No bots.")
        links = [link for child in made.children for link in child.links]
        print_table(_COLUMNS, _cells(links, made.at_ns), empty=_NONE)
        at = f"{datetime.fromtimestamp(made.at_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S} UTC"
        say(f"Made {at} on row {made.row_seq} of the journal, {made.row_hash[:16]}...")
        say("It holds." if not checked.faults else f"It does NOT hold: {'; '.join(checked.faults)}.")
    return 1 if checked.faults else 0


def _check_date(day: str) -> None:
    from copydesk.errors import UsageError

    try:
        date.fromisoformat(day or "2026-01-31")
    except ValueError:
        raise UsageError(f"--date {day!r} is no date: write it like 2026-01-31") from None


def _cells(rows: Iterable[DriftView], now_ns: int = 0) -> list[tuple[str, ...]]:
    now_ns = now_ns or time.time_ns()
    return [
        (
            row.bot,
            row.child,
            _symbol(row),
            *(f"{amount:f}" for amount in (row.target, row.attributed, row.foreign, row.in_flight, row.difference)),
            _causes(row),
            _age(now_ns - row.since_ns) if row.since_ns else "",
        )
        for row in rows
    ]


def _symbol(row: DriftView) -> str:
    return row.symbol if row.position_side == "net" else f"{row.symbol} {row.position_side}"


def _causes(row: DriftView) -> str:
    """The one cause, or how much of the difference each explains."""
    if len(row.causes) == 1:
        return row.cause
    return ", ".join(f"{part.cause} {abs(part.quantity):f}" for part in row.causes)


def _age(nanoseconds: int) -> str:
    seconds = nanoseconds // 1_000_000_000
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{max(0, seconds)} s"
