"""`copydesk limits`: what may be traded on a child just now. Works through the engine that runs."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from copydesk.cli.common import Json, folder_of, print_json, print_table, say

if TYPE_CHECKING:
    from copydesk.view import LimitView

app = typer.Typer(
    name="limits",
    help="Trading states of child accounts: show, set, reset. Limits on size and loss are settings of a bot's child.",
    no_args_is_help=True,
)

Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="A child account.")]
Actor = Annotated[str, typer.Option("--actor", metavar="NAME", help="Who decides; otherwise the user of this machine.")]
_UNITS_S = {"m": 60, "h": 3600, "d": 86400}


@app.command("show")
def show(
    context: typer.Context,
    account: Annotated[str, typer.Argument(metavar="[ACCOUNT]", help="One account; otherwise all.")] = "",
    as_json: Json = False,
) -> None:
    """Show what may be traded on each child, why, who decided so, and until when."""
    from copydesk.client import ControlClient
    from copydesk.errors import UnknownName

    with ControlClient.for_folder(folder_of(context)) as client:
        found = client.limits()
    if account:
        there = ", ".join(view.account for view in found) or "none"
        found = [view for view in found if view.account == account]
        if not found:
            raise UnknownName(f"no bot has a child {account!r} (there: {there})")
    if as_json:
        print_json(found)
        return
    rows = [(view.account, view.state, _until(view), view.actor, view.reason, _day(view)) for view in found]
    print_table(("account", "trading", "until", "by", "reason", "day"), rows, empty="No bot has a child yet.")


@app.command("set")
def set_limit(
    context: typer.Context,
    account: Account,
    state: Annotated[
        Literal["all", "close_only", "none"],
        typer.Argument(metavar="STATE", help="all, close_only or none. Exits go in each of them."),
    ],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; it is shown and logged.")] = "",
    for_: Annotated[str, typer.Option("--for", metavar="TIME", help="For how long, such as 30m, 2h or 1d.")] = "",
    until: Annotated[
        str, typer.Option("--until", metavar="TIME", help="Until when, such as 2026-11-24T09:00+01:00; UTC without a zone.")
    ] = "",
    actor: Actor = "",
    as_json: Json = False,
) -> None:
    """Let a child trade everything, only what closes, or nothing but the exits that follow the parent's."""
    _change(context, account, state, reason, _time(for_, until), actor, as_json=as_json)


@app.command("reset")
def reset(context: typer.Context, account: Account, actor: Actor = "", as_json: Json = False) -> None:
    """Let a child trade everything again; a daily loss counts anew from the equity of now."""
    _change(context, account, "all", "", 0, actor, as_json=as_json)


def _change(
    context: typer.Context,
    account: str,
    state: Literal["all", "close_only", "none"],
    reason: str,
    until_ns: int,
    actor: str,
    *,
    as_json: bool,
) -> None:
    from getpass import getuser

    from copydesk.client import ControlClient
    from copydesk.view import LimitChange

    change = LimitChange(state=state, reason=reason, actor=actor or getuser(), until_ns=until_ns)
    with ControlClient.for_folder(folder_of(context)) as client:
        view = client.set_limit(account, change)
    if as_json:
        print_json(view)
        return
    ends = f" until {_until(view)}" if view.until_ns else ""
    say(f"{account}: {view.state}{ends}.")


def _time(for_: str, until: str) -> int:
    """Nanoseconds of the epoch, zero where neither is given. Raises `UsageError`."""
    from copydesk.errors import UsageError

    if for_ and until:
        raise UsageError("give --for or --until, not both")
    if for_:
        found = re.fullmatch(r"(\d+)([mhd])", for_.strip())
        if found is None or not int(found[1]):
            raise UsageError(f"--for {for_!r} is not a time: write it like 30m, 2h or 1d")
        return time.time_ns() + int(found[1]) * _UNITS_S[found[2]] * 1_000_000_000
    if until:
        try:
            at = datetime.fromisoformat(until)
        except ValueError:
            raise UsageError(f"--until {until!r} is not a time: write it like 2026-11-24T09:00+01:00") from None
        return int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()) * 1_000_000_000
    return 0


def _until(view: LimitView) -> str:
    return f"{datetime.fromtimestamp(view.until_ns // 1_000_000_000, UTC):%Y-%m-%d %H:%M} UTC" if view.until_ns else ""


def _day(view: LimitView) -> str:
    return f"{view.day}: began at {view.day_equity:f}" if view.day_equity is not None else ""
